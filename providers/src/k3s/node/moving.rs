//! A living server's data moves from SQLite to embedded etcd.
//!
//! K3s does it itself, once, when a server that has SQLite is started with `cluster-init` (K3s
//! documentation, "High Availability Embedded etcd", "Existing single-node clusters"). What is left
//! to do is to tell it so ([`crate::k3s::configure`]) and to see it done: K3s then says on the
//! server's Node that it is a member of etcd. Until that is seen, the server's data counts as being
//! in SQLite, whatever was asked for: a job that did not work out is begun again by the next plan,
//! and one that did is not.
//!
//! The file stays on the droplet. K3s takes no notice of it once there is a member's data on the
//! disk, and a droplet that is made in its place joins the others by its own bundle.

use super::drain::node_of;
use super::life::{NodeApi, permitted};
use super::{Datastore, NodeArgs, NodeAttrs, etcd};
use crate::k3s::configure;
use crate::kubernetes::Kubernetes;
use crate::kubernetes::session::{Ownership, Session};
use kplan_model::{ErrorKind, Permit, ProviderError};
use serde_json::Value;

/// What K3s is told.
const CONFIG: &str = "cluster-init: true\n";
/// What a server waits for meanwhile.
const MOVES: &str = "K3s is started again and moves its data from SQLite to etcd";

fn kind(datastore: Option<&Datastore>) -> &str {
    datastore.map_or("", |datastore| datastore.kind.as_str())
}

/// Whether a server is to have etcd and, as far as was seen, has SQLite yet.
pub(super) fn is_moving(args: &NodeArgs, attrs: &NodeAttrs) -> bool {
    kind(args.datastore.as_ref()) == "etcd" && kind(attrs.datastore.as_ref()) == "sqlite"
}

/// The attributes of a server whose data was seen where it was asked for.
pub(super) fn has_moved(args: &NodeArgs, attrs: &mut NodeAttrs) {
    attrs.datastore.clone_from(&args.datastore);
}

/// Whether K3s says on its Node that it is a member of etcd.
pub(super) fn is_member(node: &Value) -> bool {
    let label = node
        .pointer("/metadata/labels")
        .and_then(|all| all.get(etcd::ROLE));
    let annotations = node.pointer("/metadata/annotations");
    let name = annotations.and_then(|all| all.get(etcd::NAME));
    label.is_some_and(|label| label == "true") && name.is_some()
}

/// Has the server move its data, unless it did. Doing it again begins nothing new, except in the
/// place of a job that gave up.
pub(super) async fn begin(
    kubernetes: &Kubernetes,
    attrs: NodeAttrs,
    (before, after): (&NodeArgs, &NodeArgs),
    permit: &Permit,
) -> Result<NodeAttrs, ProviderError> {
    let Some(node) = node_of(kubernetes, after).await? else {
        let message = format!("{} has not registered", after.boot.node);
        return Err(ProviderError::new(ErrorKind::Busy, message));
    };
    if is_member(&node.seen) {
        let mut attrs = attrs;
        has_moved(after, &mut attrs);
        return Ok(attrs);
    }
    let name = &after.boot.node;
    let job = configure::object(name, CONFIG);
    let there = node.session.get(&job).await?;
    if there.as_ref().is_some_and(configure::has_failed) {
        node.session.delete(permit, &job).await?;
    }
    let wanted = configure::job(name, CONFIG);
    node.session.apply(permit, &wanted, Ownership::Take).await?;
    // Seen before and not now: it is as it was until it is seen otherwise.
    let was = attrs.datastore.clone().or_else(|| before.datastore.clone());
    Ok(NodeAttrs {
        datastore: was,
        away: Some(MOVES.to_owned()),
        heartbeat: None,
        ..attrs
    })
}

/// What is to be said while a server moves its data: how its job is, as far as the cluster answers.
pub(super) async fn says(kubernetes: &Kubernetes, api: &NodeApi, node: &str) -> String {
    let job = configure::object(node, CONFIG);
    let look = |session: Session| {
        let job = job.clone();
        async move { session.get(&job).await }
    };
    let seen = match api.access() {
        Ok(access) => permitted(kubernetes, &access, look).await.ok(),
        Err(_) => None,
    };
    let seen = seen.and_then(|(_, job)| job);
    let trouble = seen.as_ref().and_then(configure::trouble);
    trouble.unwrap_or_else(|| MOVES.to_owned())
}
