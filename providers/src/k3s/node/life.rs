//! Signs of life: whether a node works again after its droplet was interrupted.
//!
//! The cluster believes a node to be `Ready` until its kubelet was silent for 40 s (Kubernetes
//! documentation, "Nodes", `--node-monitor-grace-period`), so `Ready` alone may be older than the
//! interruption. The kubelet renews its lease every 10 s ("Heartbeats"). The first look after the
//! interruption notes when the lease was renewed last; the node is back when a later look finds it
//! renewed since, and the node `Ready`. Only the node's own clock is compared with itself. On a
//! server the kubelet starts after that server's K3s, so its lease says that both are there.

use super::{K3sNode, NodeArgs, NodeAttrs, living};
use crate::http::parse_timestamp;
use crate::k3s::access::Access;
use crate::kubernetes::object::{Object, Type};
use crate::kubernetes::session::Session;
use crate::kubernetes::{Kubernetes, Role};
use kplan_model::{ErrorKind, Input, Permit, ProviderError, RemoteId, Secret};
use serde_json::Value;
use std::collections::BTreeMap;

/// Where K3s serves the API.
const PORT: u16 = 6443;
/// Where kubelets keep their leases.
const LEASES: &str = "kube-node-lease";

kplan_model::object! {
    /// How to ask a cluster about its nodes.
    pub struct NodeApi {
        /// Host or address of the API.
        pub endpoint: Input<String>,
        /// The chain that signs the API's certificates, PEM.
        pub server_ca: Input<String>,
        /// The chain that signs client certificates, PEM.
        pub client_ca: Input<String>,
        /// Its key.
        pub client_ca_key: Input<Secret>,
    }
}

impl NodeApi {
    pub(crate) fn access(&self) -> Result<Access, ProviderError> {
        let host = self.endpoint.known()?;
        // An IPv6 address stands in brackets in an address.
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.clone()
        };
        Ok(Access {
            server: format!("https://{host}:{PORT}"),
            server_ca: self.server_ca.known()?.clone(),
            client_ca: self.client_ca.known()?.clone(),
            client_ca_key: self.client_ca_key.known()?.clone(),
        })
    }
}

/// What a cluster knows of one node.
#[derive(Debug, Default)]
pub(super) struct Life {
    ready: bool,
    provider_id: String,
    /// Whether its server is a member of etcd.
    pub(super) member: bool,
    /// What K3s says it was started with.
    pub(super) node_args: String,
    /// When its kubelet renewed its lease last, in milliseconds since 1970.
    renewed: Option<i64>,
}

impl Life {
    /// What its Node says; not when its lease was renewed.
    pub(super) fn of(node: &Value) -> Self {
        Self {
            ready: is_ready(node),
            provider_id: text(node, "/spec/providerID").to_owned(),
            member: living::is_member(node),
            node_args: living::node_args(node).to_owned(),
            renewed: None,
        }
    }
}

/// By name.
type Lives = BTreeMap<String, Life>;

/// The attributes of a node whose droplet is being interrupted.
pub(super) fn interrupted(attrs: NodeAttrs) -> NodeAttrs {
    NodeAttrs {
        away: Some("its droplet was interrupted".to_owned()),
        heartbeat: None,
        ..attrs
    }
}

impl K3sNode {
    /// Whether those that are away are back. `found` holds what their reports say.
    pub(super) async fn look_for_life(
        &self,
        away: Vec<(RemoteId, NodeArgs, NodeAttrs)>,
        found: &mut BTreeMap<RemoteId, NodeAttrs>,
    ) -> Result<(), ProviderError> {
        let mut asked: BTreeMap<String, Result<Lives, String>> = BTreeMap::new();
        for (id, args, before) in away {
            let Some(attrs) = found.get_mut(&id) else {
                continue;
            };
            (attrs.away, attrs.heartbeat) = (before.away, before.heartbeat);
            // A record of an earlier kplan does not say where to ask; the wait's arguments do.
            let Some(api) = args.api.clone().filter(|_| attrs.phase == "started") else {
                continue;
            };
            let access = api.access()?;
            if !asked.contains_key(&access.server) {
                let lives = ask(&self.kubernetes, &access).await?;
                asked.insert(access.server.clone(), lives);
            }
            let lives = asked.get(&access.server);
            if let Some(Ok(lives)) = lives {
                let own = provider_id(&attrs.droplet_id);
                let life = lives.get(&attrs.name);
                let life = life.filter(|life| life.provider_id == own);
                if !living::has_started(&args, attrs, life)? {
                    let says = living::says(&self.kubernetes, &api, &args, attrs).await;
                    attrs.away = Some(says);
                    continue;
                }
            }
            judge(attrs, lives);
        }
        Ok(())
    }
}

/// The cluster's object of a node.
pub(super) fn node_object(args: &NodeArgs) -> Object {
    Object {
        of: Type::new("v1", "Node"),
        namespace: None,
        name: args.boot.node.clone(),
    }
}

/// What the cloud controller names a droplet's node by.
pub(crate) fn provider_id(droplet: &str) -> String {
    format!("digitalocean://{droplet}")
}

/// Asks the cluster as somebody who may, and gives that session besides: the admins are bound when
/// the cluster is made, which comes after its nodes.
pub(crate) async fn permitted<T, F>(
    kubernetes: &Kubernetes,
    access: &Access,
    ask: impl Fn(Session) -> F,
) -> Result<(Session, T), ProviderError>
where
    F: Future<Output = Result<T, ProviderError>>,
{
    let session = kubernetes.session(access, Role::Admin)?;
    match ask(session.clone()).await {
        Err(error) if error.kind == ErrorKind::Denied => {
            let session = kubernetes.session(access, Role::Bootstrap)?;
            let answer = ask(session.clone()).await?;
            Ok((session, answer))
        }
        answer => Ok((session, answer?)),
    }
}

/// Deletes what the cluster still has under the node's name from an earlier droplet: its successor
/// would take over that one's identity, and its cordon. Asked once and shortly, because a cluster
/// that is only now made does not answer; one that does not answer cannot be asked.
pub(super) async fn forget_predecessor(
    kubernetes: &Kubernetes,
    args: &NodeArgs,
    permit: &Permit,
) -> Result<(), ProviderError> {
    let Some(api) = &args.api else {
        return Ok(());
    };
    let node = node_object(args);
    let path = format!("/api/v1/nodes/{}", node.name);
    let own = provider_id(args.droplet_id.known()?);
    let path = &path;
    let look = |session: Session| async move { session.json_once(path).await };
    match permitted(kubernetes, &api.access()?, look).await {
        Ok((session, seen)) if text(&seen, "/spec/providerID") != own => {
            session.delete(permit, &node).await
        }
        _ => Ok(()),
    }
}

/// Everything a cluster knows of its nodes; or why it does not answer at the moment, which is to
/// be expected while one of its servers is off.
async fn ask(
    kubernetes: &Kubernetes,
    access: &Access,
) -> Result<Result<Lives, String>, ProviderError> {
    let look = |session: Session| async move { lives(&session).await };
    let answer = permitted(kubernetes, access, look);
    match answer.await.map(|(_, lives)| lives) {
        Ok(lives) => Ok(Ok(lives)),
        Err(error) if is_passing(error.kind) => Ok(Err(error.message)),
        Err(error) => Err(error),
    }
}

pub(crate) fn is_passing(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Transient | ErrorKind::Throttled | ErrorKind::Busy | ErrorKind::OutcomeUnknown
    )
}

async fn lives(session: &Session) -> Result<Lives, ProviderError> {
    let nodes = session.list(&Type::new("v1", "Node"), "").await?;
    let lease = Type::new("coordination.k8s.io/v1", "Lease");
    let leases = session.list(&lease, "").await?;
    let mut lives: Lives = nodes
        .iter()
        .filter_map(|node| {
            Some((
                node.pointer("/metadata/name")?.as_str()?.to_owned(),
                Life::of(node),
            ))
        })
        .collect();
    for lease in leases.iter() {
        if text(lease, "/metadata/namespace") == LEASES
            && let Some(life) = lives.get_mut(text(lease, "/metadata/name"))
        {
            life.renewed = parse_timestamp(text(lease, "/spec/renewTime")).map(|at| at.0);
        }
    }
    Ok(lives)
}

pub(super) fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value
        .pointer(path)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

pub(super) fn is_ready(node: &Value) -> bool {
    let conditions = node.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|condition| {
        condition["type"].as_str() == Some("Ready") && condition["status"].as_str() == Some("True")
    })
}

/// Notes what is known of the node, and lets it count as working when it is back.
fn judge(attrs: &mut NodeAttrs, lives: Option<&Result<Lives, String>>) {
    let why = match lives {
        Some(Ok(lives)) => match still_away(attrs, lives.get(&attrs.name)) {
            Some(why) => why,
            None => {
                (attrs.away, attrs.heartbeat) = (None, None);
                return;
            }
        },
        Some(Err(error)) => error.clone(),
        None => return,
    };
    attrs.away = Some(why);
}

fn still_away(attrs: &mut NodeAttrs, life: Option<&Life>) -> Option<String> {
    let own = provider_id(&attrs.droplet_id);
    let life = life.filter(|life| life.provider_id == own);
    let Some(life) = life else {
        return Some(format!("{} is not registered", attrs.name));
    };
    let Some(renewed) = life.renewed else {
        return Some("its kubelet gave no sign of life yet".to_owned());
    };
    match attrs.heartbeat {
        None => {
            attrs.heartbeat = Some(renewed);
            Some("waits for its kubelet's next sign of life".to_owned())
        }
        Some(before) if renewed <= before => {
            Some("its kubelet gave no sign of life since its droplet was interrupted".to_owned())
        }
        Some(_) if !life.ready => Some("its kubelet is back, but it is not Ready yet".to_owned()),
        Some(_) => None,
    }
}
