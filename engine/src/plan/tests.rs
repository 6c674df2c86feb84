//! Table tests of plans: shapes of replacement and deletion, guards, groups, modes.

mod rolling;

use super::PlanOptions;
use crate::EngineError;
use crate::testing::{
    Build as _, Cloud, Lab, Life, decl, declare, int, list, plan_text, reference, string,
};
use kplan_model::{Declaration, Declarations, PlanMode, Reason, Value};

/// A lab in which `resources` have been applied.
async fn lab(resources: impl IntoIterator<Item = Declaration>) -> Lab {
    let mut lab = Lab::new(Cloud::new());
    let life = lab.apply(&declare(resources)).await;
    assert!(life.is_complete(), "{life:?}");
    assert_eq!(lab.disagreements(), Vec::<String>::new());
    lab
}

fn options() -> PlanOptions {
    PlanOptions::new(PlanMode::Apply)
}

async fn text(lab: &Lab, declarations: &Declarations) -> String {
    plan_text(&lab.plan(declarations, &options()).await.unwrap().plan)
}

async fn refusals(lab: &Lab, declarations: &Declarations, options: &PlanOptions) -> Vec<String> {
    match lab.plan(declarations, options).await {
        Err(EngineError::Refused(refused)) => {
            let codes = refused
                .iter()
                .map(|refusal| format!("{} {}", refusal.code, refusal.address));
            codes.collect()
        }
        other => panic!("{other:?}"),
    }
}

/// Carries the plan out, and proves that nothing is left to do.
async fn converges(lab: &mut Lab, declarations: &Declarations, options: &PlanOptions) {
    let life = lab.run(declarations, options).await;
    assert!(life.is_complete(), "{life:?}");
    assert_eq!(lab.disagreements(), Vec::<String>::new());
    let again = lab
        .plan(declarations, &PlanOptions::new(PlanMode::Apply))
        .await
        .unwrap()
        .plan;
    assert_eq!(plan_text(&again), "");
}

fn net() -> Declaration {
    decl("net.main")
        .with("name", string("n"))
        .with("range", string("10.0.0.0/24"))
}

fn vm(text: &str) -> Declaration {
    decl(text)
        .with("name", string(text))
        .with("net", reference("net.main", "id"))
        .with("image", string("ubuntu"))
}

#[tokio::test(start_paused = true)]
async fn creates_follow_references_and_stand_in_address_order() {
    let lab = Lab::new(Cloud::new());
    let lb = decl("lb.api")
        .with("name", string("api"))
        .with("net", reference("net.main", "id"))
        .with(
            "members",
            list([reference("vm.a[0]", "id"), reference("vm.a[1]", "id")]),
        );
    let declarations = declare([lb, vm("vm.a[1]"), net(), vm("vm.a[0]")]);
    assert_eq!(
        text(&lab, &declarations).await,
        "0 + net.main\n1 + vm.a[0] after 0\n2 + vm.a[1] after 0\n3 + lb.api after 0 1 2\n"
    );
}

#[tokio::test(start_paused = true)]
async fn a_delete_first_replacement_takes_its_dependents_down_first() {
    let mut lab = lab([net(), vm("vm.a")]).await;
    let moved = declare([net().with("range", string("10.1.0.0/24")), vm("vm.a")]);
    assert_eq!(
        text(&lab, &moved).await,
        "0 - vm.a {net} pair 3\n1 - net.main {range} after 0 pair 2\n\
         2 + net.main {range} after 1 pair 1\n3 + vm.a {net} after 0 2 pair 0\n"
    );
    converges(&mut lab, &moved, &options()).await;
}

#[tokio::test(start_paused = true)]
async fn an_old_half_goes_once_what_the_new_one_needs_is_made() {
    let other = || decl("net.other").with("name", string("o"));
    let moved_vm = || vm("vm.a").with("net", reference("net.other", "id"));
    let mut lab = lab([net(), vm("vm.a")]).await;
    let moved = declare([net(), other(), moved_vm()]);
    assert_eq!(
        text(&lab, &moved).await,
        "0 + net.other\n1 - vm.a {net} after 0 pair 2\n2 + vm.a {net} after 0 1 pair 1\n"
    );
    converges(&mut lab, &moved, &options()).await;
}

#[tokio::test(start_paused = true)]
async fn a_create_first_replacement_keeps_the_old_half_until_dependents_let_go() {
    let lb = |net: &str| {
        decl("lb.api")
            .with("name", string("api"))
            .with("net", reference(net, "id"))
    };
    let other = decl("net.other").with("name", string("o"));
    // Its address is known only after apply; the app is updated in place.
    let app = || decl("app.x").with("manifest", reference("lb.api", "ip"));
    let mut lab = lab([net(), other.clone(), lb("net.main"), app()]).await;
    let moved = declare([net(), other, lb("net.other"), app()]);
    assert_eq!(
        text(&lab, &moved).await,
        "0 + lb.api {net} pair 2\n1 ~ app.x {manifest} after 0\n2 - lb.api {net} after 0 1 pair 0\n"
    );
    converges(&mut lab, &moved, &options()).await;
}

#[tokio::test(start_paused = true)]
async fn create_first_gives_way_where_a_dependency_is_destroyed_first() {
    let lb = decl("lb.api")
        .with("name", string("api"))
        .with("net", reference("net.main", "id"));
    let mut lab = lab([net(), lb.clone()]).await;
    let moved = declare([net().with("range", string("10.1.0.0/24")), lb]);
    assert_eq!(
        text(&lab, &moved).await,
        "0 - lb.api {net} pair 3\n1 - net.main {range} after 0 pair 2\n\
         2 + net.main {range} after 1 pair 1\n3 + lb.api {net} after 0 2 pair 0\n"
    );
    converges(&mut lab, &moved, &options()).await;
}

#[tokio::test(start_paused = true)]
async fn deletes_come_after_survivors_let_go_and_in_reverse() {
    let lb = |members: Vec<Value>| {
        decl("lb.api")
            .with("name", string("api"))
            .with("members", Value::list(members))
    };
    let both = || vec![reference("vm.a[0]", "id"), reference("vm.a[1]", "id")];
    let mut lab = lab([net(), vm("vm.a[0]"), vm("vm.a[1]"), lb(both())]).await;
    let fewer = declare([net(), vm("vm.a[0]"), lb(vec![reference("vm.a[0]", "id")])]);
    assert_eq!(
        text(&lab, &fewer).await,
        "0 ~ lb.api {members}\n1 - vm.a[1] after 0\n"
    );
    let plan = lab.plan(&fewer, &options()).await.unwrap().plan;
    assert_eq!(plan.steps[1].reason, Reason::CountIndex);
    converges(&mut lab, &fewer, &options()).await;
    let destroy = PlanOptions::new(PlanMode::Destroy);
    let plan = lab.plan(&fewer, &destroy).await.unwrap().plan;
    assert_eq!(
        plan_text(&plan),
        "0 - lb.api\n1 - vm.a[0] after 0\n2 - net.main after 1\n"
    );
    converges(&mut lab, &declare([]), &destroy).await;
    assert_eq!(lab.cloud.living(), []);
}

fn container(kind: &str) -> Declaration {
    decl(&format!("{kind}.c"))
        .with("name", string("c"))
        .with("net", reference("net.main", "id"))
}

fn app(name: &str, container: &str) -> Declaration {
    decl(name)
        .with("name", string(name))
        .with("endpoint", reference(container, "endpoint"))
        .inside(container)
}

#[tokio::test(start_paused = true)]
async fn what_lives_inside_goes_with_its_container() {
    for (kind, expected) in [
        (
            "box",
            "0 - box.c {net} pair 3\n1 - app.x after 0 goes with box.c\n\
             2 + app.x after 1 3 pair 1\n",
        ),
        ("cell", ""),
    ] {
        let other = decl("net.other").with("name", string("o"));
        let name = format!("{kind}.c");
        let mut lab = lab([net(), other.clone(), container(kind), app("app.x", &name)]).await;
        let moved = declare([
            net(),
            other,
            container(kind).with("net", reference("net.other", "id")),
            app("app.x", &name),
        ]);
        let plan = lab.plan(&moved, &options()).await.unwrap().plan;
        let inner: Vec<_> = plan
            .steps
            .iter()
            .filter(|s| s.address.kind().as_str() == "app")
            .collect();
        assert_eq!(inner.len(), 2, "{kind}: {}", plan_text(&plan));
        assert!(
            inner.iter().any(|step| step.goes_with.is_some()),
            "{expected}"
        );
        lab.cloud.forget_calls();
        converges(&mut lab, &moved, &options()).await;
        let deletes = lab.cloud.calls().into_iter().filter(|call| {
            call.verb == crate::testing::Verb::Delete && call.kind.as_str() == "app"
        });
        assert_eq!(deletes.count(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dependency_of_what_goes_with_a_container_goes_after_the_container() {
    let vm_of = |text: &str| vm(text).with("note", string("used inside"));
    let inner = app("app.x", "box.c").with("uses", reference("vm.a", "id"));
    let mut lab = lab([net(), vm_of("vm.a"), container("box"), inner]).await;
    let destroy = PlanOptions::new(PlanMode::Destroy);
    let plan = lab.plan(&declare([]), &destroy).await.unwrap().plan;
    assert_eq!(
        plan_text(&plan),
        "0 - box.c\n1 - app.x after 0 goes with box.c\n2 - vm.a after 1\n3 - net.main after 0 2\n"
    );
    converges(&mut lab, &declare([]), &destroy).await;
}

#[tokio::test(start_paused = true)]
async fn an_outside_dependent_of_the_container_goes_before_it_whatever_uses_it_inside() {
    let outside = decl("lb.out")
        .with("name", string("o"))
        .with("note", reference("box.c", "endpoint"));
    let inner = app("app.x", "box.c").with("uses", reference("lb.out", "id"));
    let mut lab = lab([net(), container("box"), outside, inner]).await;
    let destroy = PlanOptions::new(PlanMode::Destroy);
    let plan = lab.plan(&declare([]), &destroy).await.unwrap().plan;
    assert_eq!(
        plan_text(&plan),
        "0 - lb.out\n1 - box.c after 0\n2 - app.x after 1 goes with box.c\n3 - net.main after 1\n"
    );
    converges(&mut lab, &declare([]), &destroy).await;
}

#[tokio::test(start_paused = true)]
async fn guards_live_in_the_state() {
    let mut lab = lab([net().protected(), decl("db.d").with("name", string("d"))]).await;
    let gone = declare([]);
    assert_eq!(
        refusals(&lab, &gone, &options()).await,
        ["plan::would_lose db.d", "plan::protected net.main"]
    );
    let mut allowed = options();
    allowed
        .allow_destroy
        .extend(["db.d".parse().unwrap(), "net.main".parse().unwrap()]);
    assert_eq!(
        refusals(&lab, &gone, &allowed).await,
        ["plan::protected net.main"]
    );
    let destroy = PlanOptions::new(PlanMode::Destroy);
    assert_eq!(
        refusals(&lab, &gone, &destroy).await,
        ["plan::protected net.main"]
    );
    // Lifting it takes an apply of its own, which changes nothing but the record.
    let lifted = declare([net(), decl("db.d").with("name", string("d"))]);
    assert_eq!(text(&lab, &lifted).await, "0 = net.main\n");
    converges(&mut lab, &lifted, &options()).await;
    converges(&mut lab, &gone, &allowed).await;
    assert_eq!(lab.cloud.living(), []);
}

#[tokio::test(start_paused = true)]
async fn protection_in_the_file_counts_before_it_is_recorded() {
    let lab = lab([net()]).await;
    let destroy = PlanOptions::new(PlanMode::Destroy);
    let refused = refusals(&lab, &declare([net().protected()]), &destroy).await;
    assert_eq!(refused, ["plan::protected net.main"]);
}

#[tokio::test(start_paused = true)]
async fn destroy_leaves_what_is_kept_unless_asked() {
    let mut lab = lab([net().kept(), decl("net.b").with("name", string("b"))]).await;
    let mut destroy = PlanOptions::new(PlanMode::Destroy);
    let planned = lab.plan(&declare([]), &destroy).await.unwrap();
    assert_eq!(plan_text(&planned.plan), "0 - net.b\n");
    assert_eq!(planned.report.not_done[0].address.to_string(), "net.main");
    destroy.delete_kept = true;
    converges(&mut lab, &declare([]), &destroy).await;
    assert_eq!(lab.cloud.living(), []);
}

#[tokio::test(start_paused = true)]
async fn a_rename_is_noticed_and_never_carried_out_silently() {
    let lab = lab([net()]).await;
    let renamed = decl("net.renamed").with("name", string("n"));
    let declarations = declare([renamed]);
    assert_eq!(
        refusals(&lab, &declarations, &options()).await,
        ["plan::looks_moved net.renamed"]
    );
    let mut allowed = options();
    allowed.allow_destroy.insert("net.main".parse().unwrap());
    assert!(lab.plan(&declarations, &allowed).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_is_alike_is_proposed_as_a_move_of_all_of_a_name_or_of_each() {
    let other = || decl("net.b").with("name", string("b"));
    let unit = |at: &str, name: &str, net: &str| {
        decl(at)
            .with("name", string(name))
            .with("net", reference(net, "id"))
    };
    let old = [
        unit("unit.old[0]", "a", "net.main"),
        unit("unit.old[1]", "b", "net.main"),
    ];
    let with = |units: Vec<Declaration>| {
        let nets = [net(), other()];
        declare(nets.into_iter().chain(units))
    };
    let lab = lab(with(old.to_vec()).resources).await;
    let new = |net: &str| vec![unit("unit.new[0]", "c", net), unit("unit.new[1]", "d", net)];
    assert_eq!(
        refusals(&lab, &with(new("net.main")), &options()).await,
        ["plan::looks_moved unit.new"]
    );
    // One of them stays: the other is named alone.
    let [first, _] = old;
    let after = with(vec![first, unit("unit.new[1]", "d", "net.main")]);
    assert_eq!(
        refusals(&lab, &after, &options()).await,
        ["plan::looks_moved unit.new[1]"]
    );
    // What differs in one of the fields is another thing.
    assert!(lab.plan(&with(new("net.b")), &options()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn refused_changes_are_collected_and_name_the_reason() {
    let db = |size: i64, engine: &str| {
        decl("db.d")
            .with("size", int(size))
            .with("engine", string(engine))
    };
    let lab = lab([db(20, "pg")]).await;
    let Err(EngineError::Refused(refused)) =
        lab.plan(&declare([db(10, "mysql")]), &options()).await
    else {
        panic!("not refused");
    };
    let fields: Vec<_> = refused
        .iter()
        .filter_map(|refusal| refusal.field.as_deref())
        .collect();
    assert_eq!(fields, ["engine", "size"]);
    assert!(refused[1].message.contains("a database never shrinks"));
    assert_eq!(
        text(&lab, &declare([db(40, "pg")])).await,
        "0 ~ db.d {size}\n"
    );
}

fn server(number: usize, image: &str) -> Declaration {
    vm(&format!("vm.s[{number}]"))
        .with("image", string(image))
        .group("s", 2, 1)
}

#[tokio::test(start_paused = true)]
async fn members_of_a_group_change_one_after_another() {
    let servers = |image: &'static str| (0..3).map(move |n| server(n, image));
    let mut lab = lab(std::iter::once(net()).chain(servers("old"))).await;
    let rolled = declare(std::iter::once(net()).chain(servers("new")));
    assert_eq!(
        text(&lab, &rolled).await,
        "0 - vm.s[0] {image} pair 1\n1 + vm.s[0] {image} after 0 pair 0\n\
         2 - vm.s[1] {image} after 0 1 pair 3\n3 + vm.s[1] {image} after 0 1 2 pair 2\n\
         4 - vm.s[2] {image} after 2 3 pair 5\n5 + vm.s[2] {image} after 2 3 4 pair 4\n"
    );
    converges(&mut lab, &rolled, &options()).await;
}

#[tokio::test(start_paused = true)]
async fn a_group_never_falls_below_its_quorum() {
    let lab = lab([net(), server(0, "old"), server(1, "old")]).await;
    let rolled = declare([net(), server(0, "new"), server(1, "new")]);
    assert_eq!(
        refusals(&lab, &rolled, &options()).await,
        ["plan::quorum vm.s[0]"]
    );
    let fewer = declare([net(), server(0, "old")]);
    assert_eq!(
        refusals(&lab, &fewer, &options()).await,
        ["plan::quorum vm.s[1]"]
    );
    // All of them at once is no accident: the group is gone from the file.
    let none = declare([net()]);
    assert_eq!(
        text(&lab, &none).await,
        "0 - vm.s[0]\n1 - vm.s[1] after 0\n"
    );
}

#[tokio::test(start_paused = true)]
async fn targets_bring_what_they_need_and_leave_the_rest() {
    let lab = Lab::new(Cloud::new());
    let declarations = declare([net(), vm("vm.a"), vm("vm.b")]);
    let mut targeted = options();
    targeted.targets.insert("vm.a".parse().unwrap());
    let planned = lab.plan(&declarations, &targeted).await.unwrap();
    assert_eq!(plan_text(&planned.plan), "0 + net.main\n1 + vm.a after 0\n");
    assert_eq!(planned.report.not_done[0].address.to_string(), "vm.b");
    targeted.targets.insert("vm.zzz".parse().unwrap());
    assert_eq!(
        refusals(&lab, &declarations, &targeted).await,
        ["plan::unknown_target vm.zzz"]
    );
}

#[tokio::test(start_paused = true)]
async fn refresh_only_writes_what_was_seen_and_does_nothing() {
    let mut lab = lab([net().with("tags", list([string("a")]))]).await;
    let address = "net.main".parse().unwrap();
    lab.cloud.meddle(&address, "tags", list([string("b")]));
    let refresh = PlanOptions::new(PlanMode::RefreshOnly);
    let planned = lab.plan(&declare([]), &refresh).await.unwrap();
    assert!(planned.plan.steps.is_empty());
    assert_eq!(planned.plan.drift[0].fields[0].0, "tags");
    assert!(lab.run(&declare([]), &refresh).await.is_complete());
    assert_eq!(
        lab.state().resources[&address].attrs["tags"],
        list([string("b")])
    );
    // The file still asks for the old value.
    let declarations = declare([net().with("tags", list([string("a")]))]);
    assert_eq!(text(&lab, &declarations).await, "0 ~ net.main {tags}\n");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_blocks_its_neighbours_and_is_reported() {
    let lab = lab([net(), vm("vm.a")]).await;
    lab.cloud.script(|call| {
        let denied = crate::testing::Fault::Refuse(kplan_model::ErrorKind::Denied);
        (call.kind.as_str() == "net").then_some(denied)
    });
    let changed = declare([net().with("range", string("10.9.0.0/24")), vm("vm.b")]);
    let planned = lab.plan(&changed, &options()).await.unwrap();
    assert_eq!(plan_text(&planned.plan), "");
    assert!(planned.report.is_partial());
    let blocked: Vec<_> = planned
        .report
        .not_done
        .iter()
        .map(|item| item.address.to_string())
        .collect();
    assert_eq!(blocked, ["net.main", "vm.a", "vm.b"]);
}

#[tokio::test(start_paused = true)]
async fn twenty_thousand_resources_plan_without_blowing_up() {
    let mut lab = Lab::new(Cloud::new());
    lab.options.parallelism = 500;
    let many = (0..20_000).map(|n| {
        vm(&format!("vm.m[{n}]"))
            .with("tags", list([string("x")]))
            .after("net.other")
    });
    let other = decl("net.other").with("name", string("o"));
    let declarations = declare([net(), other].into_iter().chain(many));
    let planned = lab.plan(&declarations, &options()).await.unwrap();
    assert_eq!(planned.plan.steps.len(), 20_002);
    let life = lab.apply(&declarations).await;
    assert!(matches!(&life, Life::Ended(outcome) if outcome.report().is_complete()));
    lab.cloud.forget_calls();
    let again = lab.plan(&declarations, &options()).await.unwrap();
    assert!(again.plan.steps.is_empty());
    assert_eq!(lab.cloud.calls().len(), 2);
}

/// Lets records say that they depended on something when they were last applied.
fn recorded(lab: &mut Lab, edges: &[(&str, &str)]) {
    for (from, to) in edges {
        let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
        let record = lab.journal.durable.resources.get_mut(&from).unwrap();
        record.depends_on.push(to);
        record.depends_on.sort();
    }
}

#[tokio::test(start_paused = true)]
async fn records_that_need_each_other_are_destroyed_all_the_same() {
    let mut lab = lab([net(), vm("vm.a"), vm("vm.b"), vm("vm.c")]).await;
    recorded(
        &mut lab,
        &[
            ("vm.a", "vm.b"),
            ("vm.b", "vm.c"),
            ("vm.c", "vm.a"),
            ("vm.b", "vm.a"),
        ],
    );
    let destroy = PlanOptions::new(PlanMode::Destroy);
    let planned = lab.plan(&declare([]), &destroy).await.unwrap();
    let left_out: Vec<String> = planned
        .report
        .circles
        .iter()
        .map(|(from, to)| format!("{from} {to}"))
        .collect();
    assert_eq!(left_out, ["vm.b vm.a", "vm.c vm.a"]);
    assert_eq!(
        plan_text(&planned.plan),
        "0 - vm.a\n1 - vm.b after 0\n2 - vm.c after 1\n3 - net.main after 0 1 2\n"
    );
    converges(&mut lab, &declare([]), &destroy).await;
    assert_eq!(lab.cloud.living(), []);
}

#[tokio::test(start_paused = true)]
async fn what_the_file_says_goes_before_what_the_records_say() {
    let mut lab = lab([net(), vm("vm.a"), vm("vm.b")]).await;
    recorded(&mut lab, &[("vm.a", "vm.b"), ("vm.b", "vm.a")]);
    // Both are replaced; `b` needs `a` by the file.
    let turned = declare([
        net(),
        vm("vm.a").with("image", string("new")),
        vm("vm.b").with("image", string("new")).after("vm.a"),
    ]);
    let planned = lab.plan(&turned, &options()).await.unwrap();
    let circles = &planned.report.circles;
    let expected = ("vm.a".parse().unwrap(), "vm.b".parse().unwrap());
    assert_eq!(circles, &[expected]);
    assert_eq!(
        plan_text(&planned.plan),
        "0 - vm.b {image} pair 3\n1 - vm.a {image} after 0 pair 2\n\
         2 + vm.a {image} after 1 pair 1\n3 + vm.b {image} after 0 2 pair 0\n"
    );
    converges(&mut lab, &turned, &options()).await;
    let again = lab.plan(&turned, &options()).await.unwrap();
    assert_eq!(again.report.circles, []);
}

/// `b` is to need `c`, which needs `a`, which needed `b`. Nothing is to be done to `c`, but `b`
/// must not be written before `a` let go of it.
#[tokio::test(start_paused = true)]
async fn an_edit_that_turns_dependencies_round_leaves_no_circle_wherever_it_is_cut_off() {
    let before = || {
        declare([
            net(),
            vm("vm.a").after("vm.b"),
            vm("vm.b"),
            vm("vm.c").after("vm.a"),
        ])
    };
    let turned = declare([
        net(),
        vm("vm.a"),
        vm("vm.b").after("vm.c"),
        vm("vm.c").after("vm.a"),
    ]);
    for dying in 1..6 {
        let mut lab = lab(before().resources).await;
        assert_eq!(text(&lab, &turned).await, "0 = vm.a\n1 = vm.b after 0\n");
        let dying = crate::testing::Dying::After(dying);
        lab.live(&turned, &options(), Some(dying)).await;
        let destroy = PlanOptions::new(PlanMode::Destroy);
        let planned = lab.plan(&declare([]), &destroy).await.unwrap();
        assert_eq!(planned.report.circles, [], "died {dying:?}");
        converges(&mut lab, &declare([]), &destroy).await;
    }
}
