//! What a living node is told anew: the agent token, the datastore's password, names in the API's certificate,
//! that its certificates are made anew, and that a single server's data moves from SQLite to embedded
//! etcd. K3s reads all of it when it starts, so [`crate::k3s::configure`] has it started again.
//!
//! What is told counts as done when K3s says so. Every change has a mark of its own in the
//! configuration, and K3s writes on its Node what it was started with (its annotation
//! `k3s.io/node-args`); a server whose data moves says besides that it is a member of etcd. Until
//! that is seen, the attributes hold what was before, whatever was asked for: a job that did not work
//! out is begun again by the next plan, and one that did is not.
//!
//! K3s moves the data itself, once, when a server that has SQLite is started with `cluster-init`
//! (K3s documentation, "High Availability Embedded etcd", "Existing single-node clusters").
//!
//! The file stays on the droplet. A droplet that is made in its place is told everything by its own
//! bundle.

use super::drain::node_of;
use super::life::{Life, NodeApi, permitted, text};
use super::{Datastore, NodeArgs, NodeAttrs, etcd};
use crate::k3s::config::{self, Told};
use crate::k3s::configure::{self, About, Order};
use crate::k3s::token::{self, Tokens};
use crate::kubernetes::Kubernetes;
use crate::kubernetes::object::Type;
use crate::kubernetes::session::{Ownership, Session};
use kplan_model::{ErrorKind, FieldSet, Permit, ProviderError};
use serde_json::Value;

/// The arguments K3s takes at its next start.
pub(super) const AT_START: [&str; 5] = [
    "agent_token",
    "certificates_after",
    "datastore",
    "server_token_after",
    "tls_sans",
];
/// What a server waits for while its data moves.
const MOVES: &str = "K3s is started again and moves its data from SQLite to etcd";
/// What a node waits for otherwise.
const STARTS: &str = "K3s is started again with its new configuration";

fn kind(datastore: Option<&Datastore>) -> &str {
    datastore.map_or("", |datastore| datastore.kind.as_str())
}

/// Whether a server is to have etcd and, as far as was seen, has SQLite yet.
fn is_moving(args: &NodeArgs, attrs: &NodeAttrs) -> bool {
    kind(args.datastore.as_ref()) == "etcd" && kind(attrs.datastore.as_ref()) == "sqlite"
}

/// Whether a server's data was in SQLite, and is in etcd or on its way there.
fn moves(args: &NodeArgs, attrs: &NodeAttrs) -> bool {
    kind(args.datastore.as_ref()) == "etcd" && attrs.datastore.is_some()
}

fn waits_for(args: &NodeArgs, attrs: &NodeAttrs) -> &'static str {
    if is_moving(args, attrs) {
        MOVES
    } else {
        STARTS
    }
}

fn known_sans(args: &NodeArgs) -> Option<Vec<String>> {
    let sans = args.tls_sans.iter().map(|san| san.known().ok().cloned());
    sans.collect()
}

/// Notes what was in effect before, of the arguments that change. What was noted before and is not
/// in effect yet stays.
fn note_before(attrs: &mut NodeAttrs, before: &NodeArgs, changed: &FieldSet) {
    if changed.contains("datastore") && attrs.datastore.is_none() {
        attrs.datastore.clone_from(&before.datastore);
    }
    if changed.contains("tls_sans") && attrs.tls_sans.is_none() {
        attrs.tls_sans = known_sans(before);
    }
    if changed.contains("agent_token") && attrs.agent_token.is_none() {
        attrs.agent_token = before.agent_token.known().ok().cloned();
    }
    if changed.contains("certificates_after") && attrs.certificates_after.is_none() {
        attrs.certificates_after = Some(before.certificates_after.unwrap_or_default());
    }
    if changed.contains("server_token_after") && attrs.server_token_after.is_none() {
        attrs.server_token_after = Some(before.server_token_after.unwrap_or_default());
    }
}

/// The attributes of a node whose K3s was seen started with what it was told.
fn in_effect(args: &NodeArgs, attrs: &mut NodeAttrs) {
    attrs.told = None;
    if attrs.datastore.is_some() {
        attrs.datastore.clone_from(&args.datastore);
    }
    if attrs.tls_sans.is_some() {
        attrs.tls_sans = known_sans(args);
    }
    if attrs.agent_token.is_some() {
        attrs.agent_token = args.agent_token.known().ok().cloned();
    }
    if attrs.certificates_after.is_some() {
        attrs.certificates_after = args.certificates_after;
    }
    if attrs.server_token_after.is_some() {
        attrs.server_token_after = args.server_token_after;
    }
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

/// What K3s says it was started with: a JSON list of flags and values, secrets left out.
pub(super) fn node_args(node: &Value) -> &str {
    text(node, "/metadata/annotations/k3s.io~1node-args")
}

/// Whether a server is to have another token than the one it was seen started with.
fn is_exchanging(args: &NodeArgs, attrs: &NodeAttrs) -> bool {
    attrs.server_token_after.is_some() && attrs.server_token_after != args.server_token_after
}

/// Whether a server whose token is exchanged was started with the new one.
fn has_new_token(args: &NodeArgs, attrs: &NodeAttrs, life: &Life) -> Result<bool, ProviderError> {
    match &args.server_token {
        Some(secret) if is_exchanging(args, attrs) => {
            token::started_with(&life.node_args, secret.known()?)
        }
        _ => Ok(true),
    }
}

/// Whether a node was seen started with what it was told, and was told anything at all. Notes it.
pub(super) fn has_started(
    args: &NodeArgs,
    attrs: &mut NodeAttrs,
    life: Option<&Life>,
) -> Result<bool, ProviderError> {
    let Some(mark) = &attrs.told else {
        return Ok(true);
    };
    let Some(life) = life else {
        return Ok(false);
    };
    let told = config::started_with(&life.node_args, mark);
    let moved = life.member || !is_moving(args, attrs);
    let started = told && moved && has_new_token(args, attrs, life)?;
    if started {
        in_effect(args, attrs);
    }
    Ok(started)
}

/// Has K3s told what changed, unless it was. Doing it again begins nothing new while the job runs.
pub(super) async fn begin(
    kubernetes: &Kubernetes,
    mut attrs: NodeAttrs,
    (before, after): (&NodeArgs, &NodeArgs),
    changed: &FieldSet,
    permit: &Permit,
) -> Result<NodeAttrs, ProviderError> {
    let node = node_of(kubernetes, after).await.map_err(patient)?;
    let Some(node) = node else {
        let message = format!("{} has not registered", after.boot.node);
        return Err(ProviderError::new(ErrorKind::Busy, message));
    };
    note_before(&mut attrs, before, changed);
    let told = config::told(after, moves(after, &attrs))?;
    attrs.told = Some(told.mark.clone());
    let life = Life::of(&node.seen);
    if has_started(after, &mut attrs, Some(&life))? {
        return Ok(attrs);
    }
    let exchanged = is_exchanging(after, &attrs) && is_exchanged(&node.session, after).await?;
    let order = order_of(after, &attrs, &told, exchanged)?;
    if is_exchanging(after, &attrs) {
        // It brought what this order brings again.
        let earlier = configure::object(&after.boot.node, About::Token);
        node.session.delete(permit, &earlier).await?;
    }
    give(&node.session, &order, permit).await?;
    Ok(NodeAttrs {
        away: Some(waits_for(after, &attrs).to_owned()),
        heartbeat: None,
        ..attrs
    })
}

/// Whether another server was started with the new server token already: the data is encrypted with it.
/// An exchange stores what the server it is asked of has on its disk, so one is enough.
async fn is_exchanged(session: &Session, args: &NodeArgs) -> Result<bool, ProviderError> {
    let Some(secret) = &args.server_token else {
        return Ok(false);
    };
    let secret = secret.known()?;
    let nodes = session.list(&Type::new("v1", "Node"), "").await?;
    for node in nodes.iter() {
        let other = text(node, "/metadata/name") != args.boot.node;
        if other && token::started_with(node_args(node), secret)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is to be done on a node that is told something. `exchanged` is whether another server exchanged
/// the server token.
fn order_of<'a>(
    args: &'a NodeArgs,
    attrs: &NodeAttrs,
    told: &Told,
    exchanged: bool,
) -> Result<Order<'a>, ProviderError> {
    let mut order = Order::restart(&args.boot.node, told);
    if args.boot.role == "server" {
        order = order.of_server();
    }
    // What is not asked for any more was not asked for.
    let renewed = attrs.certificates_after;
    if renewed.is_some() && renewed < args.certificates_after {
        order = order.renewing();
    }
    if is_exchanging(args, attrs) {
        let tokens = Tokens::of(args)?.ok_or_else(|| {
            let message = format!("{} was declared without the token before", args.boot.node);
            ProviderError::new(ErrorKind::Bug, message)
        })?;
        order = if exchanged {
            order.taking(&tokens)
        } else {
            order.exchanging(&tokens)
        };
    }
    Ok(order)
}

/// An API that does not answer before anything was sent is asked again for minutes: a load balancer that
/// is new sends nothing to a server before it looked at it several times.
fn patient(error: ProviderError) -> ProviderError {
    let kind = match error.kind {
        ErrorKind::Transient => ErrorKind::Busy,
        kind => kind,
    };
    ProviderError { kind, ..error }
}

/// Has K3s find the labels of its node the next time it is started: it gives them to the node again
/// then.
pub(super) async fn note_labels(
    kubernetes: &Kubernetes,
    attrs: &NodeAttrs,
    args: &NodeArgs,
    permit: &Permit,
) -> Result<(), ProviderError> {
    let node = node_of(kubernetes, args).await.map_err(patient)?;
    let Some(node) = node else {
        return Ok(());
    };
    let told = config::told(args, moves(args, attrs))?;
    give(&node.session, &Order::note(&args.boot.node, &told), permit).await
}

/// Makes the job and, for it, the Secret: the job's pod waits for that.
pub(crate) async fn give(
    session: &Session,
    order: &Order<'_>,
    permit: &Permit,
) -> Result<(), ProviderError> {
    let object = order.object();
    let there = session.get(&object).await?;
    // An older order goes with its pods, which may still wait for the node.
    let stays = |job: &Value| order.is(job) && !configure::is_over(job);
    if there.as_ref().is_some_and(|job| !stays(job)) {
        session.delete(permit, &object).await?;
    }
    let job = session.apply(permit, &order.job(), Ownership::Take).await?;
    let secret = order.secret(text(&job, "/metadata/uid"));
    session.apply(permit, &secret, Ownership::Take).await?;
    Ok(())
}

/// What is to be said while K3s is told: how its job is, as far as the cluster answers.
pub(super) async fn says(
    kubernetes: &Kubernetes,
    api: &NodeApi,
    args: &NodeArgs,
    attrs: &NodeAttrs,
) -> String {
    let waits = || waits_for(args, attrs).to_owned();
    let job = configure::object(&args.boot.node, About::Config);
    let look = |session: Session| {
        let job = job.clone();
        async move { session.get(&job).await }
    };
    let seen = match api.access() {
        Ok(access) => permitted(kubernetes, &access, look).await.ok(),
        Err(_) => None,
    };
    let seen = seen.and_then(|(_, job)| job);
    seen.as_ref()
        .and_then(configure::trouble)
        .unwrap_or_else(waits)
}
