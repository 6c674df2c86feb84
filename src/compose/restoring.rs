//! A cluster that is being restored: what is on record says so, from before anything is made until
//! the backup is back.

use super::build::{Builder, address, to};
use super::k3s;
use kplan_model::{
    Action, Address, Codec as _, Input, Kind, Meta, ObjectCodec as _, Plan, Recorded, RemoteId,
    Snapshot, Status, Timestamp, Value,
};
use kplan_providers::digitalocean::{SpacesGrant, SpacesKeyArgs};
use kplan_providers::k3s::EtcdRestore;
use kplan_providers::kubernetes::{Applied, RestoreArgs, VeleroSourceArgs, velero_source};
use kplan_providers::local::{
    EtcdSnapshot, RestoreRequestArgs, RestoreRequestAttrs, RestoreSource,
};
use kplan_schema::spec::SERVERS_POOL;
use std::collections::BTreeSet;

/// See the module. It begins from a snapshot of etcd, or empty and is filled from a backup. The default
/// is a cluster that is not.
#[derive(Clone, Debug, Default)]
pub struct Restoring(Option<RestoreRequestArgs>);

/// The other cluster's bucket in this cluster's Velero.
pub fn source() -> Address {
    address("velero_source", "main")
}

/// The key that opens the other cluster's bucket.
pub fn source_key() -> Address {
    address("spaces_key", "source")
}

/// That it is wanted.
pub fn request() -> Address {
    address("restore_request", "main")
}

/// The restore itself.
pub fn restore() -> Address {
    address("velero_restore", "main")
}

impl Restoring {
    /// By the record: wanted, and not done yet.
    pub fn of(snapshot: &Snapshot) -> Self {
        let wanted = Self::asked(snapshot);
        let done = match wanted.as_ref().and_then(|wish| wish.snapshot.as_ref()) {
            Some(from) => begun_from(snapshot, from),
            None => Self::is_back(snapshot),
        };
        Self(wanted.filter(|_| !done))
    }

    /// Whether what the backup holds is back.
    fn is_back(snapshot: &Snapshot) -> bool {
        snapshot.resources.get(&restore()).is_some_and(|record| {
            let whole = record.attrs.get("waiting").is_none_or(Value::is_null)
                && record.attrs.get("failed").is_none_or(Value::is_null);
            record.status == Status::Ready && whole
        })
    }

    /// The wish on record, fulfilled or not: a fulfilled one goes when the rest of the cluster is
    /// there, too.
    pub fn asked(snapshot: &Snapshot) -> Option<RestoreRequestArgs> {
        let record = snapshot.resources.get(&request())?;
        RestoreRequestArgs::from_object(&record.args).ok()
    }

    /// The wish for a backup that is not fulfilled yet.
    pub fn wish(&self) -> Option<&RestoreRequestArgs> {
        self.0.as_ref().filter(|wish| wish.snapshot.is_none())
    }

    /// The wish for a snapshot of etcd that is not fulfilled yet.
    pub fn snapshot(&self) -> Option<&RestoreRequestArgs> {
        self.0.as_ref().filter(|wish| wish.snapshot.is_some())
    }

    /// Whether it ends with a plan: nothing in it but Velero writing again, and what was only for
    /// the time of the restore going.
    pub fn is_end(plan: &Plan) -> bool {
        plan.steps.iter().all(|step| {
            let velero = step.address == super::platform::velero();
            let own = [request(), restore(), source(), source_key()].contains(&step.address);
            let kept = super::platform::kept_from_git().contains(&step.address);
            match step.action {
                Action::Update => velero,
                Action::Delete => own,
                Action::Record | Action::Forget => true,
                // What it restored with is Argo CD's from now on.
                Action::Create => kept,
                Action::Operate => false,
            }
        })
    }
}

/// What is on record of a wish: it goes before the restore does, so that one that was fulfilled is
/// never taken for one that was not.
pub fn wish(args: &RestoreRequestArgs, at: Timestamp) -> Recorded {
    let attrs = RestoreRequestAttrs {
        backup: args.backup.clone(),
    };
    Recorded {
        address: request(),
        id: RemoteId::new(args.backup.clone()),
        args: args.to_object(),
        attrs: attrs.to_object(),
        meta: meta_of(args),
        depends_on: meta_of(args).after,
        status: Status::Ready,
        created_at: at,
        operations: BTreeSet::new(),
        version: 1,
    }
}

/// It goes before what fulfils it.
fn meta_of(wish: &RestoreRequestArgs) -> Meta {
    let fulfils = match wish.snapshot {
        Some(_) => k3s::node(SERVERS_POOL, 0),
        None => restore(),
    };
    Meta {
        after: vec![fulfils],
        ..Meta::default()
    }
}

/// Whether the first server is one that began from that snapshot.
fn begun_from(snapshot: &Snapshot, from: &EtcdSnapshot) -> bool {
    let first = snapshot.resources.get(&k3s::node(SERVERS_POOL, 0));
    first.is_some_and(|record| {
        let begun = record.args.get("restore").map(EtcdRestore::decode);
        let same = |it: &EtcdRestore| it.key == from.key && it.sha256 == from.sha256;
        record.status == Status::Ready && begun.and_then(Result::ok).is_some_and(|it| same(&it))
    })
}

/// Marks what a cluster without servers makes anew although it is there: agents know no servers but
/// those that are lost, and a first server that began from the same snapshot before is not this one.
/// Nobody can be asked about an agent's node, so that is forgotten, and its droplet goes at once.
pub fn give_up_the_nodes(snapshot: &mut Snapshot) {
    let (droplet, node) = (Kind::new("droplet"), Kind::new("k3s_node"));
    let nodes: BTreeSet<Address> = snapshot
        .resources
        .keys()
        .filter(|at| *at.kind() == node)
        .cloned()
        .collect();
    let first = k3s::node(SERVERS_POOL, 0);
    for (at, record) in &mut snapshot.resources {
        // Free-standing droplets have no node.
        let agent = at.name() != SERVERS_POOL
            && *at.kind() == droplet
            && at
                .index()
                .is_some_and(|index| nodes.contains(&k3s::node(at.name(), index)));
        if agent || *at == first {
            record.status = Status::Tainted;
        }
    }
    let is_agent = |at: &Address| nodes.contains(at) && at.name() != SERVERS_POOL;
    snapshot.resources.retain(|at, _| !is_agent(at));
}

/// Forgets a cluster whose servers are all lost, and with it everything that was in it: nobody can be
/// asked about it, and its first server is to begin another. Agents know no servers but those that are
/// lost and are made anew.
pub fn forget_the_cluster(snapshot: &mut Snapshot) {
    give_up_the_nodes(snapshot);
    let cluster = k3s::cluster();
    let mut gone: BTreeSet<Address> = BTreeSet::from([cluster]);
    // What stands in something that goes, to the innermost.
    loop {
        let inside = |record: &Recorded| {
            let inside = record.meta.inside.as_ref();
            inside.is_some_and(|outer| gone.contains(outer)) && !gone.contains(&record.address)
        };
        let more: Vec<Address> = snapshot
            .resources
            .values()
            .filter(|record| inside(record))
            .map(|record| record.address.clone())
            .collect();
        if more.is_empty() {
            break;
        }
        gone.extend(more);
    }
    let is_server = |at: &Address| at.kind().as_str() == "k3s_node" && at.name() == SERVERS_POOL;
    snapshot
        .resources
        .retain(|at, _| !gone.contains(at) && !is_server(at));
}

/// What the server that begins is told of the snapshot.
pub(super) fn snapshot(builder: &Builder<'_>, begins: bool) -> Option<EtcdRestore> {
    let wish = builder.inputs.restoring.snapshot().filter(|_| begins)?;
    let (from, backup) = (wish.snapshot.clone()?, builder.spec.backup.as_ref()?);
    let store = super::platform::location(builder, &backup.store);
    Some(EtcdRestore {
        bucket: store.bucket,
        endpoint: store.endpoint,
        region: store.region,
        access_key: store.access_key,
        secret_key: store.secret_key,
        key: from.key,
        size: from.size,
        sha256: from.sha256,
    })
}

/// Whether the cluster begins from a snapshot of etcd, and did not yet.
pub(super) fn begins_from_a_snapshot(builder: &Builder<'_>) -> bool {
    builder.inputs.restoring.snapshot().is_some()
}

/// Declares the wish for a snapshot, behind the server that begins from it.
pub(super) fn declare_snapshot(builder: &mut Builder<'_>) {
    if let Some(wish) = builder.inputs.restoring.snapshot().cloned() {
        builder.add_with(request(), &wish, None, meta_of(&wish));
    }
}

/// Declares the wish for a backup and the restore, behind `after`; gives what has to come after it.
pub(super) fn declare(builder: &mut Builder<'_>, after: &[Address]) -> Option<Address> {
    let wish = builder.inputs.restoring.wish()?.clone();
    let mut args = RestoreArgs {
        access: to(&k3s::cluster(), "access"),
        backup: Input::Known(wish.backup.clone()),
        excluded_namespaces: wish.excluded_namespaces.clone(),
        accept_partial: wish.accept_partial,
        location: None,
        name: None,
    };
    let mut after = after.to_vec();
    if let Some(wanted) = &wish.source {
        // Velero writes beside the backup what it did, under this name: no other cluster's.
        let owner = builder.inputs.owner.id();
        args.name = Some(format!("kplan-{owner}-{}", wish.backup));
        args.location = Some(velero_source::LOCATION.to_owned());
        after.push(declare_source(builder, wanted, &after));
    }
    let restore = builder.add_with(restore(), &args, None, inside(after));
    builder.add_with(request(), &wish, None, meta_of(&wish));
    Some(restore)
}

fn inside(after: Vec<Address>) -> Meta {
    Meta {
        inside: Some(k3s::cluster()),
        after,
        ..Meta::default()
    }
}

/// Declares the bucket of the cluster this one is a copy of, and a key for it that goes with it. It
/// has to write: see `velero_source`.
fn declare_source(builder: &mut Builder<'_>, wanted: &RestoreSource, after: &[Address]) -> Address {
    let keys = match (&wanted.access_key, &wanted.secret_key) {
        (Some(access_key), Some(secret_key)) => (
            Input::Known(access_key.clone()),
            Input::Known(secret_key.clone()),
        ),
        _ => {
            let key = SpacesKeyArgs {
                name: format!("{}-source", builder.inputs.owner.id()),
                grant: vec![SpacesGrant {
                    bucket: Input::Known(wanted.bucket.clone()),
                    permission: "readwrite".to_owned(),
                }],
            };
            builder.add(source_key(), &key, None);
            (
                to(&source_key(), "access_key"),
                to(&source_key(), "secret_key"),
            )
        }
    };
    let args = VeleroSourceArgs {
        access: to(&k3s::cluster(), "access"),
        objects: Applied,
        bucket: wanted.bucket.clone(),
        prefix: wanted.prefix.clone(),
        region: wanted.region.clone(),
        endpoint: wanted.endpoint.clone(),
        access_key: keys.0,
        secret_key: keys.1,
    };
    builder.add_with(source(), &args, None, inside(after.to_vec()))
}

/// Whether it is to be filled from a backup, and was not yet.
pub(super) fn is_wanted(builder: &Builder<'_>) -> bool {
    builder.inputs.restoring.wish().is_some()
}

/// Whether Velero is to leave its bucket alone.
pub(super) fn is_under_way(builder: &Builder<'_>) -> Option<bool> {
    is_wanted(builder).then_some(true)
}
