//! Test support: arbitrary values and events, and a sample state. Every secret is or contains
//! [`CANARY`], so that a search of what was written finds any that escaped.

use crate::identity::Identity;
use crate::keyring::Keyring;
use crate::wire::snapshot::SnapshotWire;
use kplan_model::{
    Action, Address, ErrorKind, Group, JournalEntry, JournalEvent, Kind, Meta, Object,
    OperationEntry, PlanMode, Recorded, Ref, RemoteId, RolloutOrder, RunId, Secret, Snapshot,
    Status, StepId, StoredError, Timestamp, Value,
};
use proptest::option;
use proptest::prelude::*;

/// Part of every secret in tests.
pub(crate) const CANARY: &str = "canary-7f3d";

pub(crate) fn secret(text: &str) -> Value {
    Value::Secret(Secret::new(format!("{CANARY}{text}")))
}

pub(crate) fn address(name: &str) -> Address {
    Address::new(Kind::new("vpc"), name)
}

pub(crate) fn record(name: &str, id: &str) -> Recorded {
    Recorded {
        address: address(name),
        id: RemoteId::new(id),
        args: Object::from([
            ("name".to_owned(), Value::str(name)),
            ("key".to_owned(), secret(name)),
        ]),
        attrs: Object::from([("ports".to_owned(), Value::list([Value::Int(80)]))]),
        meta: Meta {
            protect: true,
            after: vec![address("other")],
            ..Meta::default()
        },
        depends_on: vec![address("other")],
        status: Status::Ready,
        created_at: Timestamp(1_700_000_000_000),
        operations: std::collections::BTreeSet::new(),
        version: 0,
    }
}

pub(crate) fn entry(event: JournalEvent) -> JournalEntry {
    JournalEntry {
        run: RunId("run".to_owned()),
        at: Timestamp(1_700_000_000_000),
        event,
    }
}

pub(crate) fn started(name: &str) -> JournalEntry {
    entry(JournalEvent::Started {
        step: StepId(1),
        address: address(name),
        action: Action::Create,
        args: record(name, "").args,
        meta: Meta::default(),
        depends_on: vec![address("other")],
        id: None,
        seen: vec![RemoteId::new("seen")],
    })
}

pub(crate) fn succeeded(name: &str, id: &str) -> JournalEntry {
    entry(JournalEvent::Succeeded {
        step: StepId(1),
        address: address(name),
        record: Some(record(name, id)),
    })
}

/// Batches as a small run writes them.
pub(crate) fn run(names: &[&str]) -> Vec<Vec<JournalEntry>> {
    let mut batches = vec![vec![entry(JournalEvent::RunStarted {
        mode: PlanMode::Apply,
        approval: "prompt".to_owned(),
        steps: 1,
    })]];
    for name in names {
        batches.push(vec![started(name)]);
        batches.push(vec![succeeded(name, &format!("id-{name}"))]);
    }
    batches.push(vec![
        entry(JournalEvent::Outputs {
            outputs: Object::from([("kubeconfig".to_owned(), secret("out"))]),
        }),
        entry(JournalEvent::RunEnded { complete: true }),
    ]);
    batches
}

/// Begins or ends an operation on `name`, or the undoing of one.
pub(crate) fn operation(name: &str, begins: bool, undone: bool) -> JournalEntry {
    let operation = OperationEntry {
        step: StepId(7),
        address: address(name),
        id: RemoteId::new(format!("id-{name}")),
        operation: "drain".to_owned(),
        undone,
    };
    entry(if begins {
        JournalEvent::OperationStarted(operation)
    } else {
        JournalEvent::OperationSucceeded(operation)
    })
}

/// A state with a record, a doubt, a deposed record and an output.
pub(crate) fn sample() -> Snapshot {
    let lineage = "00112233445566778899aabbccddeeff";
    let owner = crate::lineage::owner("demo", lineage).unwrap();
    let mut snapshot = Snapshot::empty(lineage, owner);
    for batch in run(&["a", "b"]) {
        for entry in &batch {
            snapshot.apply(entry);
        }
    }
    snapshot.apply(&succeeded("a", "id-a2"));
    snapshot.apply(&started("c"));
    snapshot
}

pub(crate) fn small_snapshot() -> SnapshotWire {
    let snapshot = sample();
    let keys = Keyring::random(&snapshot.lineage).unwrap();
    let key = keys.wrap(&Identity::generate().recipients()).unwrap();
    SnapshotWire::out(Some(&keys), &key, 7, &snapshot).unwrap()
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![Just("a"), Just("b"), Just("c"), Just("d-1")].prop_map(str::to_owned)
}

pub(crate) fn any_address() -> impl Strategy<Value = Address> {
    (any_name(), option::of(0..3_u32)).prop_map(|(name, index)| match index {
        Some(index) => Address::indexed(Kind::new("droplet"), name, index),
        None => address(&name),
    })
}

fn any_key() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,3}",
        Just("$secret".to_owned()),
        Just("$$".to_owned()),
        Just("a/b~".to_owned()),
        Just(String::new()),
    ]
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        ".{0,6}".prop_map(Value::str),
        ".{0,4}".prop_map(|text| secret(&text)),
        (any_address(), "[a-z.]{1,5}").prop_map(|(to, at)| Value::reference(Ref::new(to, at))),
        Just(Value::Unknown),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::list),
            prop::collection::btree_map(any_key(), inner, 0..3)
                .prop_map(|map| Value::Map(map.into_iter().collect())),
        ]
    })
}

pub(crate) fn any_object() -> impl Strategy<Value = Object> {
    prop::collection::btree_map(any_key(), any_value(), 0..4)
        .prop_map(|map| map.into_iter().collect())
}

fn any_meta() -> impl Strategy<Value = Meta> {
    let group =
        (any_name(), any::<u32>(), any::<bool>()).prop_map(|(name, number, reverse)| Group {
            name,
            min_ready: number,
            max_parallel: 1,
            order: if reverse {
                RolloutOrder::ReverseAddress
            } else {
                RolloutOrder::Address
            },
        });
    let after = prop::collection::vec(any_address(), 0..2);
    (
        any::<[bool; 3]>(),
        option::of(any_address()),
        option::of(group),
        after,
    )
        .prop_map(|([protect, keep, imported], inside, group, after)| Meta {
            protect,
            keep,
            imported,
            inside,
            group,
            after,
        })
}

fn any_record() -> impl Strategy<Value = Recorded> {
    (
        (any_address(), any_id(), any_object(), any_object()),
        any_meta(),
        prop::collection::vec(any_address(), 0..2),
        prop::sample::select(vec![Status::Ready, Status::Unfinished, Status::Tainted]),
        any::<i64>(),
        prop::collection::btree_set(Just("drain".to_owned()), 0..2),
    )
        .prop_map(
            |((address, id, args, attrs), meta, depends_on, status, at, operations)| Recorded {
                address,
                id,
                args,
                attrs,
                meta,
                depends_on,
                status,
                created_at: Timestamp(at),
                operations,
                version: 3,
            },
        )
}

fn any_id() -> impl Strategy<Value = RemoteId> {
    prop_oneof![Just("1"), Just("2"), Just("uuid/user")].prop_map(RemoteId::new)
}

fn any_error() -> impl Strategy<Value = StoredError> {
    let kind = prop_oneof![Just(ErrorKind::Busy), Just(ErrorKind::OutcomeUnknown)];
    (kind, ".{0,8}", option::of("[a-z]{4}")).prop_map(|(kind, message, request_id)| StoredError {
        kind,
        message,
        request_id,
    })
}

fn any_step() -> impl Strategy<Value = StepId> {
    (0..4_u32).prop_map(StepId)
}

fn any_started() -> impl Strategy<Value = JournalEvent> {
    let action = prop_oneof![
        Just(Action::Create),
        Just(Action::Delete),
        Just(Action::Update)
    ];
    let ids = prop::collection::vec(any_id(), 0..2);
    (
        (any_step(), any_address(), action, any_object()),
        any_meta(),
        option::of(any_id()),
        ids,
    )
        .prop_map(
            |((step, address, action, args), meta, id, seen)| JournalEvent::Started {
                step,
                depends_on: meta.after.clone(),
                address,
                action,
                args,
                meta,
                id,
                seen,
            },
        )
}

fn any_operation() -> impl Strategy<Value = JournalEvent> {
    let entry = (any_step(), any_address(), any_id(), any::<bool>());
    (entry, any::<bool>()).prop_map(|((step, address, id, undone), begins)| {
        let entry = OperationEntry {
            step,
            address,
            id,
            operation: "drain".to_owned(),
            undone,
        };
        if begins {
            JournalEvent::OperationStarted(entry)
        } else {
            JournalEvent::OperationSucceeded(entry)
        }
    })
}

pub(crate) fn any_entry() -> impl Strategy<Value = JournalEntry> {
    let event = prop_oneof![
        Just(JournalEvent::RunStarted {
            mode: PlanMode::Destroy,
            approval: "--auto-approve".to_owned(),
            steps: 4
        }),
        any_record().prop_map(|record| JournalEvent::Refreshed { record }),
        any_address().prop_map(|address| JournalEvent::Vanished { address }),
        any_started(),
        any_operation(),
        (any_step(), any_record())
            .prop_map(|(step, record)| JournalEvent::Created { step, record }),
        (any_step(), any_record()).prop_map(|(step, record)| JournalEvent::Succeeded {
            step,
            address: record.address.clone(),
            record: Some(record)
        }),
        (any_step(), any_address()).prop_map(|(step, address)| JournalEvent::Succeeded {
            step,
            address,
            record: None
        }),
        (any_step(), any_error(), any_record()).prop_map(|(step, error, record)| {
            JournalEvent::Failed {
                step,
                address: record.address.clone(),
                error,
                record: Some(record),
            }
        }),
        (any_step(), any_address(), any_error()).prop_map(|(step, address, error)| {
            JournalEvent::InDoubt {
                step,
                address,
                error,
            }
        }),
        any_address().prop_map(|address| JournalEvent::Resolved {
            address,
            record: None
        }),
        any_object().prop_map(|outputs| JournalEvent::Outputs { outputs }),
        any::<bool>().prop_map(|complete| JournalEvent::RunEnded { complete }),
    ];
    (event, any::<i64>()).prop_map(|(event, at)| JournalEntry {
        at: Timestamp(at),
        ..entry(event)
    })
}
