//! What the nodes hold that was made anew, by the record that `kplan rotate` writes.

use super::build::{Builder, address, to};
use super::k3s;
use kplan_model::{
    Address, Kind, Meta, ObjectCodec as _, Recorded, RemoteId, Snapshot, Status, Timestamp, Value,
};
use kplan_providers::k3s::{LivingServer, ServerTokenArgs};
use kplan_providers::local::{RotationArgs, RotationAttrs};
use kplan_schema::spec::SERVERS_POOL;
use std::collections::BTreeSet;

/// See the module. The default is a cluster of which nothing was made anew.
#[derive(Clone, Debug, Default)]
pub struct Rotating {
    record: Option<RotationArgs>,
    /// The servers that do not have the server token that is wanted.
    old: Vec<LivingServer>,
    /// Whether that token is yet to be made.
    to_come: bool,
}

/// Where it is on record.
pub fn rotation() -> Address {
    address("rotation", "main")
}

/// A server token that is to come, known to the servers.
pub fn server_token() -> Address {
    address("server_token", "main")
}

impl Rotating {
    /// By the record.
    pub fn of(snapshot: &Snapshot) -> Self {
        let record = snapshot.resources.get(&rotation());
        let record = record.and_then(|record| RotationArgs::from_object(&record.args).ok());
        let Some(after) = record.as_ref().and_then(|it| it.server_token) else {
            return Self {
                record,
                ..Self::default()
            };
        };
        let pki = snapshot.resources.get(&k3s::pki());
        Self {
            record,
            old: servers_without(snapshot, after),
            to_come: pki.is_some_and(|pki| since(pki) != Some(after)),
        }
    }

    /// What was made anew, and since when.
    pub fn args(&self) -> RotationArgs {
        self.record.clone().unwrap_or(RotationArgs {
            certificates: None,
            agent_token: None,
            server_token: None,
            datastore_password: None,
        })
    }

    /// Whether there may be servers that take one server token, and servers that take another.
    pub fn is_exchanging(&self) -> bool {
        self.to_come || !self.old.is_empty()
    }
}

/// Since when the server token of a record is what it is, by what was seen last.
fn since(record: &Recorded) -> Option<i64> {
    match record.attribute("server_token_after") {
        Some(Value::Int(after)) => Some(after),
        _ => None,
    }
}

fn servers_without(snapshot: &Snapshot, after: i64) -> Vec<LivingServer> {
    let node = Kind::new("k3s_node");
    let records = snapshot.resources.values().filter(|record| {
        let at = &record.address;
        *at.kind() == node && at.name() == SERVERS_POOL && since(record) != Some(after)
    });
    let text = |record: &Recorded, field| match record.attribute(field) {
        Some(Value::Str(text)) => Some(text.as_str().to_owned()),
        _ => None,
    };
    let servers = records.filter_map(|record| {
        Some(LivingServer {
            node: text(record, "name")?,
            droplet_id: text(record, "droplet_id")?,
        })
    });
    servers.collect()
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
    let rotating = builder.inputs.rotating.clone();
    let Some(record) = &rotating.record else {
        return;
    };
    builder.add_with(rotation(), record, None, Meta::default());
    let Some(after) = record.server_token else {
        return;
    };
    let before = rotating.is_exchanging();
    let args = ServerTokenArgs {
        after,
        servers: rotating.old,
        token_hash: to(&k3s::pki(), "token_hash"),
        before: before.then(|| to(&k3s::pki(), "server_token_before")),
        token: to(&k3s::pki(), "server_token"),
        api: k3s::api(builder),
    };
    builder.add_with(server_token(), &args, None, Meta::default());
}
