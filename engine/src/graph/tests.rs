//! Table tests of graphs: edges, order, errors.

use super::{GraphError, build};
use crate::testing::{Build as _, decl, declare, graph_text, kinds, list, reference, string};
use kplan_model::{Declaration, Owner, Snapshot};

fn empty() -> Snapshot {
    let owner = Owner {
        cluster: "c".to_owned(),
        suffix: "0".to_owned(),
    };
    Snapshot::empty("l", owner)
}

fn errors(resources: impl IntoIterator<Item = Declaration>) -> Vec<String> {
    let errors = build(&declare(resources), &empty(), &kinds()).unwrap_err();
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn edges_come_from_references_containers_and_relations() {
    let resources = [
        decl("app.x")
            .with("endpoint", reference("box.c", "endpoint"))
            .inside("box.c"),
        decl("box.c")
            .with("net", reference("net.main", "id"))
            .after("vm.a"),
        decl("vm.a").with("tags", list([string("t"), reference("net.main", "name")])),
        decl("net.main"),
    ];
    let graph = build(&declare(resources), &empty(), &kinds()).unwrap();
    assert_eq!(
        graph_text(&graph),
        "net.main\n\
         app.x -> box.c (`endpoint` uses its `endpoint`)\n\
         box.c -> net.main (`net` uses its `id`)\n\
         box.c -> vm.a (declared to come after it)\n\
         vm.a -> net.main (`tags` uses its `name`)\n"
    );
    let order: Vec<String> = graph
        .ordered()
        .map(|node| node.address.to_string())
        .collect();
    assert_eq!(order, ["net.main", "vm.a", "box.c", "app.x"]);
    assert_eq!(graph.dependents(&"net.main".parse().unwrap()).len(), 2);
}

#[test]
fn every_error_is_found_in_one_go() {
    let found = errors([
        decl("gizmo.x"),
        decl("net.main"),
        decl("net.main"),
        decl("vm.a").with("net", reference("net.gone", "id")),
        decl("vm.b").with("net", reference("net.main", "colour.red")),
        decl("vm.c").with("wheels", string("4")),
        decl("vm.d").after("vm.zzz"),
    ]);
    assert_eq!(
        found,
        [
            "net.main is declared twice",
            "no provider knows the kind of gizmo.x",
            "`net` of vm.a refers to net.gone, which is not declared",
            "`net` of vm.b refers to `colour.red` of net.main, which it does not have",
            "vm.c is given `wheels`, which its kind does not have",
            "vm.d comes after or lives inside vm.zzz, which is not declared",
        ]
    );
}

#[test]
fn the_shortest_circle_is_shown_with_its_reasons() {
    let found = errors([
        decl("vm.a").after("vm.b"),
        decl("vm.b").after("vm.c"),
        decl("vm.c")
            .after("vm.a")
            .with("tags", reference("vm.b", "name")),
        decl("vm.d").after("vm.a"),
    ]);
    assert_eq!(
        found,
        [
            "resources need each other in a circle, so none can be made first: vm.b needs vm.c \
          (declared to come after it), vm.c needs vm.b (`tags` uses its `name`)"
        ]
    );
}

#[test]
fn a_resource_that_needs_itself_is_a_circle() {
    let found = build(&declare([decl("vm.a").after("vm.a")]), &empty(), &kinds()).unwrap_err();
    let GraphError::Cycle { edges } = &found[0] else {
        panic!("{found:?}");
    };
    assert_eq!(edges.len(), 1);
}

#[test]
fn a_huge_circle_is_found_in_bounded_time() {
    let ring = (0..5_000)
        .map(|n| decl(&format!("vm.r[{n}]")).after(&format!("vm.r[{}]", (n + 1) % 5_000)));
    let found = build(&declare(ring), &empty(), &kinds()).unwrap_err();
    assert!(matches!(&found[..], [GraphError::Cycle { edges }] if edges.len() == 5_000));
}
