//! What the nodes hold that was made anew, by the record that `kplan rotate` writes.

use super::build::{Builder, address};
use kplan_model::{
    Address, Meta, ObjectCodec as _, Recorded, RemoteId, Snapshot, Status, Timestamp,
};
use kplan_providers::local::{RotationArgs, RotationAttrs};
use std::collections::BTreeSet;

/// See the module. The default is a cluster of which nothing was made anew.
#[derive(Clone, Debug, Default)]
pub struct Rotating(Option<RotationArgs>);

/// Where it is on record.
pub fn rotation() -> Address {
    address("rotation", "main")
}

impl Rotating {
    /// By the record.
    pub fn of(snapshot: &Snapshot) -> Self {
        let record = snapshot.resources.get(&rotation());
        Self(record.and_then(|record| RotationArgs::from_object(&record.args).ok()))
    }

    /// What was made anew, and since when.
    pub fn args(&self) -> RotationArgs {
        self.0.clone().unwrap_or(RotationArgs {
            certificates: None,
            agent_token: None,
            datastore_password: None,
        })
    }
}

/// What is on record of it.
pub fn record(args: &RotationArgs, at: Timestamp) -> Recorded {
    Recorded {
        address: rotation(),
        id: RemoteId::new("rotation"),
        args: args.to_object(),
        attrs: RotationAttrs { asked_at: at.0 }.to_object(),
        meta: Meta::default(),
        depends_on: Vec::new(),
        status: Status::Ready,
        created_at: at,
        operations: BTreeSet::new(),
        version: 1,
    }
}

/// Declares it where something was made anew.
pub(super) fn declare(builder: &mut Builder<'_>) {
    if let Some(args) = builder.inputs.rotating.0.clone() {
        builder.add_with(rotation(), &args, None, Meta::default());
    }
}
