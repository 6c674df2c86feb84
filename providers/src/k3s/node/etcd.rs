//! Members of embedded etcd: whom a new server joins, and `leave-etcd`, by which one leaves the
//! others before its droplet goes.
//!
//! K3s removes a member whose Node is annotated, and says so in another annotation (K3s,
//! `pkg/etcd`, member controller). A droplet that went without that stays a member which does not
//! answer: etcd counts it for its majority, and takes no new member meanwhile.

use super::NodeArgs;
use super::drain::node;
use super::life::{is_ready, permitted, provider_id, text};
use crate::kubernetes::Kubernetes;
use crate::kubernetes::object::Type;
use crate::kubernetes::session::Session;
use kplan_model::{
    BoxFuture, ErrorKind, Input, Kind, Known, Operation, OperationInfo, Permit, ProviderError,
    Readiness, Resource as _,
};
use serde_json::{Value, json};
use std::borrow::Cow;

/// The table's entry.
pub(super) const LEAVE: OperationInfo = OperationInfo {
    name: "leave-etcd",
    doing: "Leaving etcd",
    doc: "leaves etcd, whose other members keep their majority",
    undo: None,
    needs_peer: true,
    of_destroy: false,
    only: Some(("datastore.kind", "etcd")),
};

const REMOVE: &str = "etcd.k3s.cattle.io/remove";
const REMOVED: &str = "etcd.k3s.cattle.io/removed-node-name";
/// K3s puts it on the nodes whose servers are members.
pub(super) const ROLE: &str = "node-role.kubernetes.io/etcd";
/// K3s says there what its member is called.
pub(super) const NAME: &str = "etcd.k3s.cattle.io/node-name";
const LABEL: &str = "node-role.kubernetes.io/etcd=true";
const MEMBERS: &str = "/api/v1/nodes?labelSelector=node-role.kubernetes.io%2Fetcd%3Dtrue";

/// `leave-etcd`.
pub struct LeaveEtcd(pub Kubernetes);

fn annotation<'a>(node: &'a Value, key: &str) -> Option<&'a str> {
    node.pointer("/metadata/annotations")?.get(key)?.as_str()
}

fn name(node: &Value) -> &str {
    text(node, "/metadata/name")
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list["items"].as_array().into_iter().flatten()
}

/// The nodes that K3s counts among the members of etcd.
async fn members(session: &Session) -> Result<Vec<Value>, ProviderError> {
    let node = Type::new("v1", "Node");
    let nodes = session.list_where(&node, LABEL, "").await?;
    Ok(nodes.iter().cloned().collect())
}

/// Whether it was let go.
fn has_left(node: &Value) -> bool {
    annotation(node, REMOVED).is_some()
}

/// The other members that are not Ready.
async fn silent(session: &Session, own: &str) -> Result<Vec<String>, ProviderError> {
    let members = members(session).await?;
    let others = members.iter();
    let others = others.filter(|node| name(node) != own && !has_left(node));
    let silent = others.filter(|node| !is_ready(node));
    Ok(silent.map(|node| name(node).to_owned()).collect())
}

async fn done(kubernetes: &Kubernetes, known: &Known) -> Result<Readiness, ProviderError> {
    let Some(node) = node(kubernetes, known).await? else {
        return Ok(Readiness::Ready);
    };
    if has_left(&node.seen) {
        return Ok(Readiness::Ready);
    }
    let silent = silent(&node.session, &node.object.name).await?;
    Ok(Readiness::Waiting(if silent.is_empty() {
        "it is still a member of etcd".to_owned()
    } else {
        format!(
            "etcd must not lose a member while {} is not Ready",
            silent.join(", ")
        )
    }))
}

async fn leave(
    kubernetes: &Kubernetes,
    known: &Known,
    permit: &Permit,
) -> Result<(), ProviderError> {
    let Some(node) = node(kubernetes, known).await? else {
        return Ok(());
    };
    let asked = annotation(&node.seen, REMOVE) == Some("true");
    if asked || has_left(&node.seen) || !silent(&node.session, &node.object.name).await?.is_empty()
    {
        return Ok(());
    }
    let patch = json!({"metadata": {"annotations": {REMOVE: "true"}}});
    node.session.merge(permit, &node.object, &patch).await
}

impl Operation for LeaveEtcd {
    fn kind(&self) -> &'static Kind {
        &super::K3sNode::INFO.kind
    }

    fn name(&self) -> &'static str {
        LEAVE.name
    }

    fn done<'a>(&'a self, known: &'a Known) -> BoxFuture<'a, Result<Readiness, ProviderError>> {
        Box::pin(done(&self.0, known))
    }

    fn run<'a>(
        &'a self,
        known: &'a Known,
        permit: &'a Permit,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(leave(&self.0, known, permit))
    }
}

/// The arguments with the server that a new member joins: the declared one if the cluster counts
/// it among those that are Ready, else another that is. A cluster that is only now made is asked
/// once and shortly; it does not answer, and then what is declared holds. One that was begun has to
/// answer, because a server that finds nobody to join would begin a second cluster or wait for
/// ever.
pub(super) async fn joining<'a>(
    kubernetes: &Kubernetes,
    args: &'a NodeArgs,
) -> Result<Cow<'a, NodeArgs>, ProviderError> {
    let etcd = args.datastore.as_ref().is_some_and(|it| it.kind == "etcd");
    let Some(api) = args.api.as_ref().filter(|_| etcd) else {
        return Ok(Cow::Borrowed(args));
    };
    let begun = args.begun == Some(true);
    let look = |session: Session| async move {
        if begun {
            return members(&session).await;
        }
        let list = session.json_once(MEMBERS).await?;
        Ok(items(&list).cloned().collect())
    };
    let members: Vec<Value> = match permitted(kubernetes, &api.access()?, look).await {
        Ok((_, members)) => members,
        Err(_) if !begun => return Ok(Cow::Borrowed(args)),
        Err(error) => return Err(unanswered(args, &error)),
    };
    let own = provider_id(args.droplet_id.known()?);
    let addresses: Vec<String> = members
        .iter()
        .filter(|node| text(node, "/spec/providerID") != own)
        .filter(|node| name(node) != args.boot.node && is_ready(node) && !has_left(node))
        .filter_map(internal_ip)
        .collect();
    let declared = args.join.as_ref().map(Input::known).transpose()?;
    match addresses.first() {
        Some(_) if declared.is_some_and(|join| addresses.contains(join)) => Ok(Cow::Borrowed(args)),
        Some(other) => Ok(Cow::Owned(NodeArgs {
            init: false,
            join: Some(Input::Known(other.clone())),
            ..args.clone()
        })),
        None if begun => {
            let message = "no other server is Ready".to_owned();
            let error = ProviderError::new(ErrorKind::Transient, message);
            Err(unanswered(args, &error))
        }
        None => Ok(Cow::Borrowed(args)),
    }
}

fn internal_ip(node: &Value) -> Option<String> {
    let addresses = node.pointer("/status/addresses")?.as_array()?;
    let mut internal = addresses
        .iter()
        .filter(|address| address["type"] == "InternalIP");
    Some(internal.next()?["address"].as_str()?.to_owned())
}

fn unanswered(args: &NodeArgs, error: &ProviderError) -> ProviderError {
    ProviderError::new(
        error.kind,
        format!(
            "{} has to join one of the cluster's other servers, and the cluster does not say \
             which are there: {}",
            args.boot.node, error.message
        ),
    )
    .help(
        "nothing was begun: a second cluster beside the first would split its data. If the others \
         are on, the next apply goes on. If all are lost, so is their etcd: with `[backup]`, `kplan \
         restore --snapshot latest` begins it again from its last snapshot; without, take the \
         servers out of the state (kplan state rm), and the next apply begins a new cluster"
            .to_owned(),
    )
}
