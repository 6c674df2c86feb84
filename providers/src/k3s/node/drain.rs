//! `drain` and `uncordon`: a node takes no new pods and gives up those it has before it goes, and
//! takes pods again where it stays.
//!
//! As `kubectl drain --ignore-daemonsets --delete-emptydir-data` does (Kubernetes documentation,
//! "Safely Drain a Node"): pods go through the eviction API, which keeps disruption budgets; those
//! of a `DaemonSet`, static ones and those that ended stay; one that nothing would make again is
//! never evicted. A node that somebody else had cordoned is not uncordoned.

use super::NodeArgs;
use super::life::{is_ready, node_object, permitted, provider_id};
use crate::kubernetes::Kubernetes;
use crate::kubernetes::eviction::{controller, held_by, leaves};
use crate::kubernetes::object::{Object, Type};
use crate::kubernetes::session::Session;
use futures_util::{StreamExt as _, stream};
use kplan_model::{
    BoxFuture, ErrorKind, Kind, Known, ObjectCodec as _, Operation, OperationInfo, Permit,
    ProviderError, Readiness, Resource as _, UndoInfo,
};
use serde_json::{Value, json};

/// What undoes it.
const UNCORDON: &str = "uncordon";

/// The table's entry.
pub(super) const DRAIN: OperationInfo = OperationInfo {
    name: "drain",
    doing: "Draining",
    doc: "takes no new pods, and its pods move to other nodes",
    undo: Some(UndoInfo {
        name: UNCORDON,
        doing: "Uncordoning",
        doc: "takes pods again",
    }),
    needs_peer: true,
    of_destroy: false,
    only: None,
};

/// Says that kplan cordoned the node, and nobody before it.
const CORDONED: &str = "kplan.io/cordoned";
/// How many pods are evicted at once.
const PARALLEL: usize = 8;
/// How many pods a message names.
const NAMED: usize = 5;

/// `drain`.
pub struct Drain(pub Kubernetes);

/// `uncordon`.
pub struct Uncordon(pub Kubernetes);

/// A node of a living cluster.
pub(super) struct Node {
    pub(super) session: Session,
    pub(super) object: Object,
    /// As the cluster has it.
    pub(super) seen: Value,
    ready: bool,
    cordoned: bool,
    /// Whether kplan cordoned it.
    by_us: bool,
}

/// The cluster's node of that record; `None` where the cluster has no such node, or another of
/// that name.
pub(super) async fn node(
    kubernetes: &Kubernetes,
    known: &Known,
) -> Result<Option<Node>, ProviderError> {
    node_of(kubernetes, &NodeArgs::from_object(&known.args)?).await
}

/// The cluster's node of these arguments, as [`node`] finds it.
pub(super) async fn node_of(
    kubernetes: &Kubernetes,
    args: &NodeArgs,
) -> Result<Option<Node>, ProviderError> {
    let Some(api) = &args.api else {
        let message = "its record does not say how its cluster is reached";
        return Err(ProviderError::new(ErrorKind::Invalid, message));
    };
    let object = node_object(args);
    let of = &object;
    let look = |session: Session| async move { session.get(of).await };
    let (session, seen) = permitted(kubernetes, &api.access()?, look).await?;
    let own = provider_id(args.droplet_id.known()?);
    let Some(seen) = seen.filter(|seen| seen.pointer("/spec/providerID") == Some(&json!(own)))
    else {
        return Ok(None);
    };
    let annotation = seen
        .pointer("/metadata/annotations")
        .and_then(|all| all.get(CORDONED));
    Ok(Some(Node {
        session,
        object,
        ready: is_ready(&seen),
        cordoned: seen.pointer("/spec/unschedulable") == Some(&Value::Bool(true)),
        by_us: annotation.is_some(),
        seen,
    }))
}

impl Node {
    /// The pods to evict.
    async fn pods(&self) -> Result<Vec<Value>, ProviderError> {
        let here = format!("spec.nodeName={}", self.object.name);
        let pods = self
            .session
            .list_where(&Type::new("v1", "Pod"), "", &here)
            .await?;
        Ok(pods.iter().filter(|pod| leaves(pod)).cloned().collect())
    }

    async fn cordon(&self, permit: &Permit, on: bool) -> Result<(), ProviderError> {
        let mark = if on { json!("true") } else { Value::Null };
        let patch = json!({
            "metadata": {"annotations": {CORDONED: mark}}, "spec": {"unschedulable": on},
        });
        self.session.merge(permit, &self.object, &patch).await
    }
}

/// Whether it may be put on a cordoned node again.
fn comes_back(pod: &Value) -> bool {
    let tolerations = pod.pointer("/spec/tolerations").and_then(Value::as_array);
    tolerations.into_iter().flatten().any(|toleration| {
        let key = toleration["key"].as_str().unwrap_or_default();
        let effect = toleration["effect"].as_str().unwrap_or_default();
        matches!(key, "" | "node.kubernetes.io/unschedulable")
            && matches!(effect, "" | "NoSchedule")
    })
}

/// Whether it is on its way out already.
fn is_leaving(pod: &Value) -> bool {
    pod.pointer("/metadata/deletionTimestamp").is_some()
}

fn named(pods: &[&Value]) -> String {
    let name = |pod: &&Value| {
        let pod = Object::of(pod).ok()?;
        Some(format!("{}/{}", pod.namespace?, pod.name))
    };
    let mut names: Vec<String> = pods.iter().take(NAMED).filter_map(name).collect();
    if pods.len() > NAMED {
        names.push(format!("and {} more", pods.len() - NAMED));
    }
    names.join(", ")
}

async fn drained(kubernetes: &Kubernetes, known: &Known) -> Result<Readiness, ProviderError> {
    let Some(node) = node(kubernetes, known).await? else {
        return Ok(Readiness::Ready);
    };
    let pods = node.pods().await?;
    // Without a kubelet nobody ends a pod that is to leave; and what takes no notice of a cordon
    // may come back at once.
    let stuck = |pod: &&Value| !node.ready && is_leaving(pod);
    let lost: Vec<&Value> = pods
        .iter()
        .filter(|pod| controller(pod).is_none() && !is_leaving(pod))
        .collect();
    if !lost.is_empty() {
        return Ok(Readiness::Failed(format!(
            "nothing would make these pods of {} again: {}; delete them or move them first",
            node.object.name,
            named(&lost)
        )));
    }
    let left: Vec<&Value> = pods
        .iter()
        .filter(|pod| !stuck(pod) && (!node.cordoned || !comes_back(pod)))
        .collect();
    let mut said = match (node.cordoned, left.len()) {
        (true, 0) => return Ok(Readiness::Ready),
        (false, 0) => "it still takes new pods".to_owned(),
        (_, 1) => format!("1 pod is still there: {}", named(&left)),
        (_, many) => format!("{many} pods are still there: {}", named(&left)),
    };
    let staying: Vec<&Value> = left.into_iter().filter(|pod| !is_leaving(pod)).collect();
    if let Some(budgets) = held_by(&node.session, &staying).await {
        said = format!("{said}; {budgets}");
    }
    Ok(Readiness::Waiting(said))
}

async fn drain(
    kubernetes: &Kubernetes,
    known: &Known,
    permit: &Permit,
) -> Result<(), ProviderError> {
    let Some(node) = node(kubernetes, known).await? else {
        return Ok(());
    };
    if !node.cordoned {
        node.cordon(permit, true).await?;
    }
    let pods = node.pods().await?;
    let mut evictions: Vec<BoxFuture<'_, Result<(), ProviderError>>> = Vec::new();
    for pod in &pods {
        if controller(pod).is_some() && !is_leaving(pod) {
            let (pod, session) = (Object::of(pod)?, &node.session);
            evictions.push(Box::pin(async move { session.evict(permit, &pod).await }));
        }
    }
    let mut results = stream::iter(evictions).buffer_unordered(PARALLEL);
    let mut failed = None;
    while let Some(result) = results.next().await {
        match result {
            // A disruption budget: the next turn asks again.
            Err(error) if error.kind == ErrorKind::Busy => {}
            Err(error) => failed = failed.or(Some(error)),
            Ok(()) => {}
        }
    }
    failed.map_or(Ok(()), Err)
}

impl Operation for Drain {
    fn kind(&self) -> &'static Kind {
        &super::K3sNode::INFO.kind
    }

    fn name(&self) -> &'static str {
        DRAIN.name
    }

    fn done<'a>(&'a self, known: &'a Known) -> BoxFuture<'a, Result<Readiness, ProviderError>> {
        Box::pin(drained(&self.0, known))
    }

    fn run<'a>(
        &'a self,
        known: &'a Known,
        permit: &'a Permit,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(drain(&self.0, known, permit))
    }
}

impl Operation for Uncordon {
    fn kind(&self) -> &'static Kind {
        &super::K3sNode::INFO.kind
    }

    fn name(&self) -> &'static str {
        UNCORDON
    }

    fn done<'a>(&'a self, known: &'a Known) -> BoxFuture<'a, Result<Readiness, ProviderError>> {
        Box::pin(async move {
            let ours = node(&self.0, known).await?.is_some_and(|node| node.by_us);
            Ok(if ours {
                Readiness::Waiting("it takes no new pods".to_owned())
            } else {
                Readiness::Ready
            })
        })
    }

    fn run<'a>(
        &'a self,
        known: &'a Known,
        permit: &'a Permit,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(async move {
            match node(&self.0, known).await? {
                Some(node) if node.by_us => node.cordon(permit, false).await,
                _ => Ok(()),
            }
        })
    }
}
