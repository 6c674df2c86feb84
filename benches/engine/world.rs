//! What is planned and applied: machines, flat or in layers, and the state after they were made.

use super::kinds::attrs;
use kplan_engine::Clock;
use kplan_model::{
    Address, Declaration, Declarations, Kind, Meta, Object, Observation, Origin, Owner, Recorded,
    Ref, RemoteId, Secret, Snapshot, Status, Timestamp, Value,
};
use std::collections::{BTreeMap, BTreeSet};

/// The time is always the same.
pub(crate) struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp(1_767_225_600_000)
    }
}

/// How machines depend on each other.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    /// Not at all.
    Flat,
    /// Layers of a hundred, each machine referring to one of the layer before.
    Layers,
}

const LAYER: u32 = 100;

fn address(number: u32) -> Address {
    Address::indexed(Kind::new("machine"), "pool", number)
}

fn arguments(number: u32, shape: Shape) -> Object {
    let text = |name: &str, value: &str| (name.to_owned(), Value::str(value));
    let mut args = Object::from([
        text("name", &format!("machine-{number}")),
        text("region", "fra1"),
        text("size", "s-2vcpu-4gb"),
        text("image", "ubuntu-24-04-x64"),
    ]);
    let tags = ["k8s", "k8s:worker", "pool"].map(Value::str);
    args.insert("tags".to_owned(), Value::list(tags));
    let password = Secret::new(format!("a secret of machine {number}"));
    args.insert("password".to_owned(), Value::Secret(password));
    let net = match shape {
        Shape::Layers if number >= LAYER => {
            Value::reference(Ref::new(address(number - LAYER), "id"))
        }
        Shape::Flat | Shape::Layers => Value::str("net-1"),
    };
    args.insert("net".to_owned(), net);
    args
}

/// What the file asks for.
pub(crate) fn declarations(count: u32, shape: Shape) -> Declarations {
    let declaration =
        |number| Declaration::new(address(number), arguments(number, shape), Origin::Default);
    Declarations {
        resources: (0..count).map(declaration).collect(),
        outputs: Object::new(),
        ..Declarations::default()
    }
}

/// The lineage of every state here.
pub(crate) const LINEAGE: &str = "00112233445566778899aabbccddeeff";

/// A state without anything.
pub(crate) fn empty() -> Snapshot {
    let owner = Owner {
        cluster: "bench".to_owned(),
        suffix: LINEAGE[..8].to_owned(),
    };
    Snapshot::empty(LINEAGE, owner)
}

/// The state after they were made.
pub(crate) fn applied(count: u32, shape: Shape) -> Snapshot {
    let mut snapshot = empty();
    snapshot.serial = u64::from(count);
    for number in 0..count {
        let mut args = arguments(number, shape);
        let mut depends_on = Vec::new();
        if let Some(Value::Ref(reference)) = args.get("net") {
            depends_on.push(reference.address.clone());
            let id = Value::str(format!("id-{}", reference.address));
            args.insert("net".to_owned(), id);
        }
        let record = Recorded {
            address: address(number),
            id: RemoteId::new(format!("id-{}", address(number))),
            attrs: attrs(&args),
            args,
            meta: Meta::default(),
            depends_on,
            status: Status::Ready,
            created_at: Timestamp(0),
            operations: BTreeSet::new(),
            version: 1,
        };
        snapshot.resources.insert(record.address.clone(), record);
    }
    snapshot
}

/// Everything is as it is on record.
pub(crate) fn observations(snapshot: &Snapshot) -> BTreeMap<Address, Observation> {
    let seen = |record: &Recorded| {
        (
            record.address.clone(),
            Observation::Present(record.attrs.clone()),
        )
    };
    snapshot.resources.values().map(seen).collect()
}
