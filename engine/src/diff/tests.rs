//! Table tests of the differ: what is compared with what, and what a difference means.

use super::{Change, Diff, Inputs, compute};
use crate::graph;
use crate::observe::Observations;
use crate::testing::{Build as _, decl, declare, int, kinds, list, map, reference, string};
use kplan_model::{
    Declaration, Declarations, Object, Observation, Owner, PlanMode, Recorded, RemoteId, Secret,
    Snapshot, Status, Timestamp, Value,
};
use std::collections::BTreeSet;

fn snapshot(records: impl IntoIterator<Item = Recorded>) -> Snapshot {
    let owner = Owner {
        cluster: "c".to_owned(),
        suffix: "0".to_owned(),
    };
    let mut snapshot = Snapshot::empty("l", owner);
    for record in records {
        snapshot.resources.insert(record.address.clone(), record);
    }
    snapshot
}

fn object<const N: usize>(fields: [(&str, Value); N]) -> Object {
    match map(fields) {
        Value::Map(object) => object,
        _ => Object::new(),
    }
}

/// A record of a declaration without references, as if it had just been applied.
fn record(declaration: &Declaration, attrs: Object) -> Recorded {
    Recorded {
        address: declaration.address.clone(),
        id: RemoteId::new(format!("id-{}", declaration.address)),
        args: declaration.args.clone(),
        attrs,
        meta: declaration.meta.clone(),
        depends_on: graph::depends_on(declaration),
        status: Status::Ready,
        created_at: Timestamp(0),
        operations: BTreeSet::new(),
        version: 1,
    }
}

struct Case {
    declarations: Declarations,
    snapshot: Snapshot,
    observations: Observations,
    replace: BTreeSet<kplan_model::Address>,
    mode: PlanMode,
}

impl Case {
    fn new(
        resources: impl IntoIterator<Item = Declaration>,
        records: impl IntoIterator<Item = Recorded>,
    ) -> Self {
        let snapshot = snapshot(records);
        let seen = |record: &Recorded| Observation::Present(record.attrs.clone());
        Self {
            declarations: declare(resources),
            observations: snapshot
                .resources
                .iter()
                .map(|(address, record)| (address.clone(), seen(record)))
                .collect(),
            snapshot,
            replace: BTreeSet::new(),
            mode: PlanMode::Apply,
        }
    }

    fn seen(mut self, address: &str, observation: Observation) -> Self {
        self.observations
            .insert(address.parse().unwrap(), observation);
        self
    }

    fn check(&self, then: impl FnOnce(&Diff<'_>)) {
        let kinds = kinds();
        let graph = graph::build(&self.declarations, &self.snapshot, &kinds).unwrap();
        then(&compute(&Inputs {
            declarations: &self.declarations,
            snapshot: &self.snapshot,
            graph: &graph,
            observations: &self.observations,
            late: &crate::late::Late::default(),
            kinds: &kinds,
            mode: self.mode,
            replace: &self.replace,
            delete_kept: false,
        }));
    }

    /// The changes in address order, in words.
    fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        self.check(|diff| {
            words = diff
                .nodes
                .iter()
                .map(|node| format!("{} {}", node.address, word(&node.change)))
                .collect();
        });
        words
    }
}

fn word(change: &Change) -> String {
    let names = |changes: &[kplan_model::FieldChange]| {
        changes
            .iter()
            .map(|change| change.field.clone())
            .collect::<Vec<_>>()
            .join(",")
    };
    match change {
        Change::Update { changes, .. } => format!("update {}", names(changes)),
        Change::Replace { changes, reason } => format!("replace {} {reason:?}", names(changes)),
        Change::Create { reason } => format!("create {reason:?}"),
        Change::Delete { reason } => format!("delete {reason:?}"),
        Change::Await { reason } if *reason == kplan_model::Reason::Unfinished => {
            "await".to_owned()
        }
        Change::Await { reason } => format!("await {reason:?}"),
        Change::Blocked { .. } => "blocked".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// One `vm` declared with `wanted`, on record with `args`, seen with `attrs`.
fn one(wanted: Object, args: Object, attrs: Object) -> String {
    let mut old = decl("vm.a");
    old.args = args;
    let mut new = decl("vm.a");
    new.args = wanted;
    Case::new([new], [record(&old, attrs)]).words().remove(0)
}

#[test]
fn fields_are_compared_with_what_is_real_and_else_with_what_was_applied() {
    let a = || object([("name", string("a"))]);
    let b = || object([("name", string("b"))]);
    let none = Object::new;
    assert_eq!(one(a(), a(), a()), "vm.a none");
    assert_eq!(one(b(), a(), a()), "vm.a update name");
    // Somebody changed it outside: put it back.
    assert_eq!(one(a(), a(), b()), "vm.a update name");
    // Somebody changed it outside to what the file asks for now: only the record is behind.
    assert_eq!(one(b(), a(), b()), "vm.a record");
    // Not reported: compared with what was applied.
    assert_eq!(one(a(), a(), none()), "vm.a none");
    assert_eq!(one(b(), a(), none()), "vm.a update name");
    // Newly given and already so.
    assert_eq!(one(a(), none(), a()), "vm.a none");
}

#[test]
fn a_field_no_longer_given_is_given_back_or_left_as_it_is() {
    let none = Object::new;
    let tags = || object([("tags", list([string("x")]))]);
    let image = || object([("image", string("ubuntu"))]);
    let no_tags = || object([("tags", list([]))]);
    // In place: given back.
    assert_eq!(one(none(), tags(), tags()), "vm.a update tags");
    // Already empty: only the record forgets it.
    assert_eq!(one(none(), tags(), no_tags()), "vm.a record");
    // Forces replacement: stays, and the record forgets it.
    assert_eq!(one(none(), image(), image()), "vm.a record");
    // Never given: not managed, whatever it is.
    assert_eq!(one(none(), none(), tags()), "vm.a none");
    assert_eq!(
        one(object([("tags", Value::Null)]), none(), tags()),
        "vm.a none"
    );
}

#[test]
fn computed_and_ignored_fields_are_not_compared() {
    let boot = |text: &str| object([("boot", string(text))]);
    assert_eq!(one(boot("new"), boot("old"), Object::new()), "vm.a none");
}

#[test]
fn disruption_is_told() {
    let size = |text: &str| object([("size", string(text))]);
    let mut old = decl("vm.a");
    old.args = size("s");
    let mut new = decl("vm.a");
    new.args = size("m");
    Case::new([new], [record(&old, size("s"))]).check(|diff| {
        let Change::Update { changes, .. } = &diff.nodes[0].change else {
            panic!("{diff:?}");
        };
        assert_eq!(changes[0].disruption, kplan_model::Disruption::PowerOff);
    });
}

#[test]
fn reasons_for_replacement() {
    let vm = || decl("vm.a").with("image", string("new"));
    let old = decl("vm.a").with("image", string("old"));
    let tainted = Recorded {
        status: Status::Tainted,
        ..record(&vm(), Object::new())
    };
    assert_eq!(
        Case::new([vm()], [tainted]).words(),
        ["vm.a replace  Tainted"]
    );
    assert_eq!(
        Case::new([vm()], [record(&old, Object::new())]).words(),
        ["vm.a replace image CannotUpdate([\"image\"])"]
    );
    let mut asked = Case::new([vm()], [record(&vm(), Object::new())]);
    asked.replace.insert("vm.a".parse().unwrap());
    assert_eq!(asked.words(), ["vm.a replace  Requested"]);
}

#[test]
fn what_somebody_else_manages_now_is_forgotten_and_not_destroyed() {
    let vm = || decl("vm.a").with("image", string("i"));
    let mut case = Case::new([], [record(&vm(), Object::new())]);
    case.declarations
        .forgotten
        .insert("vm.a".parse().unwrap(), "so".to_owned());
    assert_eq!(case.words(), ["vm.a forget"]);
    // What is asked for is not.
    let mut case = Case::new([vm()], [record(&vm(), Object::new())]);
    case.declarations
        .forgotten
        .insert("vm.a".parse().unwrap(), "so".to_owned());
    assert_eq!(case.words(), ["vm.a none"]);
    // It is nobody's to destroy, either.
    let mut case = Case::new([], [record(&vm(), Object::new())]);
    case.declarations
        .forgotten
        .insert("vm.a".parse().unwrap(), "so".to_owned());
    case.mode = PlanMode::Destroy;
    assert_eq!(case.words(), ["vm.a forget"]);
}

#[test]
fn what_is_unfinished_is_compared_and_waited_for_only_where_nothing_else_is_to_be_done() {
    let vm = |image: &str| decl("vm.a").with("image", string(image));
    let unfinished = || Recorded {
        status: Status::Unfinished,
        ..record(&vm("i"), Object::new())
    };
    let words = |declared: Vec<Declaration>| Case::new(declared, [unfinished()]).words();
    assert_eq!(words(vec![vm("i")]), ["vm.a await"]);
    assert_eq!(words(vec![vm("i").protected()]), ["vm.a await"]);
    assert_eq!(
        words(vec![vm("i").with("size", int(2))]),
        ["vm.a update size"]
    );
    assert_eq!(
        words(vec![vm("j")]),
        ["vm.a replace image CannotUpdate([\"image\"])"]
    );
    assert_eq!(words(vec![]), ["vm.a delete NotInConfiguration"]);
}

#[test]
fn what_something_unfinished_does_not_report_yet_is_unknown_not_nothing() {
    let lb = || decl("lb.api").with("name", string("l"));
    let vm = |attribute| decl("vm.a").with("image", reference("lb.api", attribute));
    let on_record = |image: &str| {
        let mut record = record(&vm("id"), object([("image", string(image))]));
        record.args.insert("image".to_owned(), string(image));
        record
    };
    let unfinished = || Recorded {
        status: Status::Unfinished,
        ..record(&lb(), Object::new())
    };
    let id = unfinished().id.as_str().to_owned();
    let words = |attribute, image: &str| {
        Case::new([lb(), vm(attribute)], [unfinished(), on_record(image)]).words()
    };
    assert_eq!(words("id", &id), ["lb.api await", "vm.a none"]);
    assert_eq!(
        words("ip", "10.0.0.1"),
        [
            "lb.api await",
            "vm.a replace image CannotUpdate([\"image\"])"
        ]
    );
}

#[test]
fn what_is_gone_is_made_again_and_what_cannot_be_read_is_left_alone() {
    let vm = || decl("vm.a").with("image", string("i"));
    let gone = Case::new([vm()], [record(&vm(), Object::new())]).seen("vm.a", Observation::Absent);
    assert_eq!(gone.words(), ["vm.a create Vanished"]);
    gone.check(|diff| {
        assert_eq!(diff.vanished.len(), 1);
        assert!(diff.drift[0].vanished);
    });
    let error = kplan_model::ProviderError::new(kplan_model::ErrorKind::Denied, "no");
    let unreadable = Case::new([], [record(&vm(), Object::new())])
        .seen("vm.a", Observation::Unreadable(Box::new(error)));
    assert_eq!(unreadable.words(), ["vm.a blocked"]);
    // Not looked at at all is no proof of absence either.
    let mut unseen = Case::new([vm()], [record(&vm(), Object::new())]);
    unseen.observations.clear();
    assert_eq!(unseen.words(), ["vm.a blocked"]);
}

#[test]
fn what_was_seen_and_is_cleared_is_drift_and_what_is_never_shown_is_not() {
    let vm = || {
        decl("vm.a")
            .with("image", string("i"))
            .with("tags", list([string("t")]))
    };
    let seen = || Observation::Present(Object::new());
    // Never shown: taken as it was asked for.
    let hidden = Case::new([vm()], [record(&vm(), Object::new())]).seen("vm.a", seen());
    assert_eq!(hidden.words(), ["vm.a none"]);
    // Shown once, and then not any more.
    let shown = || record(&vm(), object([("tags", list([string("t")]))]));
    let cleared = Case::new([vm()], [shown()]).seen("vm.a", seen());
    assert_eq!(cleared.words(), ["vm.a update tags"]);
    cleared.check(|diff| {
        assert_eq!(diff.drift[0].fields[0].2, Value::Null);
        // On record as cleared, it is still drift the next time.
        let again = Case::new([vm()], [diff.refreshed[0].clone()]).seen("vm.a", seen());
        assert_eq!(again.words(), ["vm.a update tags"]);
    });
}

#[test]
fn a_destroy_takes_what_cannot_be_read_but_not_where_reading_is_denied() {
    use kplan_model::{ErrorKind, ProviderError};
    let vm = || decl("vm.a").with("image", string("i"));
    for (kind, expected, unread) in [
        (ErrorKind::Transient, "vm.a delete DestroyRequested", 1),
        (ErrorKind::Failed, "vm.a delete DestroyRequested", 1),
        (ErrorKind::Denied, "vm.a blocked", 0),
    ] {
        let error = Observation::Unreadable(Box::new(ProviderError::new(kind, "no")));
        let mut case = Case::new([], [record(&vm(), Object::new())]).seen("vm.a", error);
        case.mode = PlanMode::Destroy;
        assert_eq!(case.words(), [expected]);
        case.check(|diff| assert_eq!(diff.not_read.len(), unread));
    }
}

#[test]
fn a_vanished_container_takes_its_contents() {
    let inner = || decl("app.x").with("manifest", string("m")).inside("box.c");
    let records = [
        record(&decl("box.c"), Object::new()),
        record(&inner(), Object::new()),
    ];
    let case = Case::new([decl("box.c"), inner()], records)
        .seen("box.c", Observation::Absent)
        .seen("app.x", Observation::Gone);
    let words = case.words();
    assert!(
        words[0].starts_with("app.x create ContainerReplaced"),
        "{words:?}"
    );
    assert_eq!(words[1], "box.c create Vanished");
}

#[test]
fn a_reference_to_a_given_argument_of_something_new_is_known() {
    // The network vanished and is made again: its id is unknown, its name is not.
    let net = || decl("net.main").with("name", string("n"));
    let by_name = || decl("vm.a").with("image", reference("net.main", "name"));
    let by_id = || decl("vm.b").with("image", reference("net.main", "id"));
    let recorded = |declaration: Declaration, image: &str| {
        let mut record = record(&declaration, object([("image", string(image))]));
        record.args.insert("image".to_owned(), string(image));
        record
    };
    let records = [
        record(&net(), Object::new()),
        recorded(by_name(), "n"),
        recorded(by_id(), "net-1"),
    ];
    let case =
        Case::new([net(), by_name(), by_id()], records).seen("net.main", Observation::Absent);
    assert_eq!(
        case.words(),
        [
            "net.main create Vanished",
            "vm.a none",
            "vm.b replace image CannotUpdate([\"image\"])"
        ]
    );
}

#[test]
fn sealed_secrets_are_reported_not_compared() {
    let db = |secret| decl("db.d").with("admin", Value::Secret(secret));
    let case = Case::new(
        [db(Secret::new("p"))],
        [record(&db(Secret::sealed("x")), Object::new())],
    );
    assert_eq!(case.words(), ["db.d none"]);
    case.check(|diff| assert_eq!(diff.not_compared.len(), 1));
    let changed = Case::new(
        [db(Secret::new("p"))],
        [record(&db(Secret::new("q")), Object::new())],
    );
    assert_eq!(changed.words(), ["db.d update admin"]);
}

#[test]
fn what_was_seen_refreshes_the_record_and_keeps_what_is_shown_once() {
    let db = decl("db.d").with("size", int(10));
    let password = || Value::Secret(Secret::new("pw"));
    let old = object([
        ("size", int(10)),
        ("password", password()),
        ("note", string("gone")),
    ]);
    let case = Case::new([db.clone()], [record(&db, old)])
        .seen("db.d", Observation::Present(object([("size", int(20))])));
    case.check(|diff| {
        let attrs = &diff.refreshed[0].attrs;
        let seen = [
            ("size", int(20)),
            ("password", password()),
            ("note", Value::Null),
        ];
        assert_eq!(*attrs, object(seen));
        let drift = &diff.drift[0].fields;
        assert_eq!(drift[..], [("size".to_owned(), int(10), int(20))]);
    });
}

#[test]
fn what_refers_to_an_attribute_that_is_made_anew_changes_as_well() {
    let db = |turn| decl("db.d").with("turn", int(turn));
    let uses = |attribute: &str| decl("app.x").with("uses", reference("db.d", attribute));
    let records = |used: Value| {
        let attrs = object([("password", string("old")), ("urn", string("u"))]);
        let known = decl("app.x").with("uses", used);
        [record(&db(1), attrs), record(&known, Object::new())]
    };
    let case = |turn, attribute: &str, used: &str| {
        Case::new([db(turn), uses(attribute)], records(string(used))).words()
    };
    assert_eq!(case(1, "password", "old"), ["app.x record", "db.d none"]);
    assert_eq!(
        case(2, "password", "old"),
        ["app.x update uses", "db.d update turn"]
    );
    assert_eq!(case(2, "urn", "u")[1], "db.d update turn");
}

#[test]
fn moving_into_another_container_replaces() {
    let inner = |container: &str| decl("app.x").inside(container);
    let both = || [decl("box.a"), decl("box.b")];
    let mut records: Vec<Recorded> = both().iter().map(|d| record(d, Object::new())).collect();
    records.push(record(&inner("box.a"), Object::new()));
    let case = Case::new(both().into_iter().chain([inner("box.b")]), records);
    assert!(
        case.words()[0].starts_with("app.x replace  ContainerReplaced"),
        "{:?}",
        case.words()
    );
}

#[test]
fn relations_and_guards_are_recorded_without_touching_anything() {
    let plain = || decl("vm.a");
    let case = Case::new([plain().protected()], [record(&plain(), Object::new())]);
    assert_eq!(case.words(), ["vm.a record"]);
    let case = Case::new(
        [plain().after("vm.b"), decl("vm.b")],
        [
            record(&plain(), Object::new()),
            record(&decl("vm.b"), Object::new()),
        ],
    );
    assert_eq!(case.words(), ["vm.a record", "vm.b none"]);
}
