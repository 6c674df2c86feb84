//! A Kubernetes control plane: a generic API server for any group, version and resource, with
//! controllers just real enough that what is applied becomes ready for the right reasons.

mod admission;
mod api;
mod apiserver;
mod authn;
mod authz;
mod bootstrap;
mod bucket;
mod cloud;
mod controllers;
mod defaults;
mod disks;
mod disruption;
mod etcd;
mod managed_fields;
mod names;
mod object;
mod patch;
mod pki;
mod pod_rules;
mod resources;
mod rules;
mod schema;
mod selector;
mod serve;
mod snapshot;
mod status;
mod storage;
mod table;
mod write;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use serde::{Deserialize, Serialize};

pub use authn::Identity;
pub use bucket::{BucketAccess, BucketKey};
pub use cloud::CloudApi;
pub use disks::NodeDisks;
pub use pki::Leaf;
pub use serve::ServerGuard;
pub use snapshot::EtcdSnapshot;

use crate::clock::Clock;
use crate::log::RequestLog;
use crate::rng::Rng;
use crate::store::{Store, StoreError};
use apiserver::ApiServer;
use controllers::{Controllers, NodeRecord};
use storage::Storage;

/// What a control plane is started with: the files and settings its servers share.
#[derive(Clone)]
pub struct ClusterConfig {
    /// Server CA, then its issuers up to the root, PEM.
    pub server_ca_chain_pem: String,
    /// Private key of the server CA, PKCS#8 PEM.
    pub server_ca_key_pem: String,
    /// Client CA, then its issuers, PEM. Client certificates signed by the client CA are accepted.
    pub client_ca_chain_pem: String,
    /// RSA key that signs service account tokens, PEM.
    pub service_account_key_pem: String,
    /// Names and addresses every serving certificate carries.
    pub sans: Vec<String>,
    /// Version K3s reports, such as `v1.35.6+k3s1`.
    pub version: String,
    /// Packaged components that are not deployed (`coredns`, `traefik`, `metrics-server`,
    /// `local-storage`).
    pub disabled: Vec<String>,
    /// Whether K3s's Helm controller runs and its definitions exist: not with
    /// `disable-helm-controller`.
    pub helm_controller: bool,
}

/// Without the private keys.
impl fmt::Debug for ClusterConfig {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ClusterConfig")
            .field("sans", &self.sans)
            .field("version", &self.version)
            .field("disabled", &self.disabled)
            .field("helm_controller", &self.helm_controller)
            .finish_non_exhaustive()
    }
}

/// Why a control plane does not start.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The stored objects cannot be read.
    #[error("the cluster's state cannot be read: {0}")]
    Store(#[from] StoreError),
    /// A certificate or key does not parse or sign.
    #[error("the certificate authority files do not work: {0}")]
    Authority(String),
    /// The loopback listener cannot be opened.
    #[error("no loopback port for the API server: {0}")]
    Listen(std::io::Error),
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeRole {
    /// Runs the control plane, and workloads too as K3s servers do.
    Server,
    /// Runs workloads only.
    Agent,
}

/// What a node's kubelet reports about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFacts {
    /// Name of the Node object.
    pub name: String,
    /// Server or agent.
    pub role: NodeRole,
    /// Such as `digitalocean://123`.
    pub provider_id: String,
    /// Address inside the VPC.
    pub internal_ip: Ipv4Addr,
    /// Public address.
    pub external_ip: Option<Ipv4Addr>,
    /// Labels of the node. `topology.kubernetes.io/region` and `node.kubernetes.io/instance-type`
    /// are held back until the cloud controller manager initialises the node.
    pub labels: BTreeMap<String, String>,
    /// Taints as (key, value, effect).
    pub taints: Vec<(String, String, String)>,
    /// Number of CPUs.
    pub cpu: u32,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Whether the node is a member of embedded etcd.
    pub etcd: bool,
    /// Version of the K3s it runs, such as `v1.35.6+k3s1`; empty is the cluster's.
    #[serde(default)]
    pub version: String,
    /// What its K3s was started with; nothing where it does not say.
    #[serde(default)]
    pub args: Vec<String>,
}

/// What controllers learn from outside, shared with the task that runs them.
pub(crate) struct Outside {
    pub(crate) etcd: etcd::Members,
    pub(crate) nodes: BTreeMap<String, NodeRecord>,
    pub(crate) bucket_access: Option<Arc<dyn BucketAccess>>,
    pub(crate) cloud_api: Option<Arc<dyn CloudApi>>,
    pub(crate) disks: Option<Arc<dyn NodeDisks>>,
    store: Store,
    nodes_place: String,
}

impl fmt::Debug for Outside {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Outside")
            .field("nodes", &self.nodes.keys())
            .finish_non_exhaustive()
    }
}

impl Outside {
    fn keep_node(&mut self, name: &str, record: NodeRecord) {
        // A record that cannot be written costs the node's restoration after a restart; the next
        // request that writes reports the broken store.
        drop(self.store.put(&self.nodes_place, name, &record));
        self.nodes.insert(name.to_owned(), record);
    }

    /// A node's K3s was restarted as another version.
    pub(crate) fn set_version(&mut self, name: &str, version: &str) {
        if let Some(mut record) = self.nodes.get(name).cloned() {
            version.clone_into(&mut record.facts.version);
            self.keep_node(name, record);
        }
    }

    /// A node's K3s has given its labels to the Node.
    pub(crate) fn set_labelled(&mut self, name: &str) {
        if let Some(mut record) = self.nodes.get(name).cloned() {
            record.started = false;
            self.keep_node(name, record);
        }
    }
}

struct Inner {
    server: Arc<ApiServer>,
    face: Arc<api::Face>,
    authority: pki::Authority,
    sans: Vec<String>,
    outside: Arc<Mutex<Outside>>,
    wake: Arc<tokio::sync::Notify>,
    controllers: tokio::task::JoinHandle<()>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.controllers.abort();
    }
}

/// One control plane, shared by all its servers. Clones share it; its controllers stop with the
/// last one.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Cluster")
            .field("version", &self.inner.server.version)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// Opens a control plane: restores its objects, or makes those a fresh cluster has, and starts
    /// its controllers on the current tokio runtime.
    ///
    /// # Errors
    /// When the state does not read, or the CA files do not fit together.
    #[expect(
        clippy::unused_async,
        reason = "callers await it; starting controllers needs a runtime"
    )]
    pub async fn open(
        id: &str,
        config: ClusterConfig,
        store: Store,
        clock: Clock,
        rng: Rng,
    ) -> Result<Cluster, ClusterError> {
        let authority = pki::Authority::new(&config)?;
        let storage = Storage::open(store.clone(), id)?;
        let server = Arc::new(ApiServer::new(
            storage,
            clock.clone(),
            rng,
            config.version.clone(),
        ));
        bootstrap::run(&server, &config);
        let nodes_place = format!("k8s/{id}/nodes");
        let nodes = store.load::<NodeRecord>(&nodes_place)?;
        let outside = Arc::new(Mutex::new(Outside {
            etcd: etcd::Members::open(store.clone(), id)?,
            nodes,
            bucket_access: None,
            cloud_api: None,
            disks: None,
            store,
            nodes_place,
        }));
        let wake = Arc::new(tokio::sync::Notify::new());
        let face = Arc::new(api::Face {
            server: server.clone(),
            ca_certificates: config.server_ca_chain_pem.clone(),
            outside: outside.clone(),
            node: None,
        });
        let controllers = Controllers::new(
            config.server_ca_chain_pem.clone(),
            config.helm_controller,
            outside.clone(),
            wake.clone(),
        );
        let task = tokio::spawn(controllers.run(Arc::downgrade(&server)));
        Ok(Cluster {
            inner: Arc::new(Inner {
                server,
                face,
                authority,
                sans: config.sans,
                outside,
                wake,
                controllers: task,
            }),
        })
    }

    /// Serves the API with mutual TLS on a free loopback port; `sans` come on top of the
    /// cluster's own, and `node` is the one it runs on. `leaf` is the key its certificate has and when
    /// that was issued; without one it is new. Dropping the guard stops this server.
    ///
    /// # Errors
    /// When the certificate cannot be made or no port is free.
    pub async fn serve(
        &self,
        node: Option<&str>,
        sans: Vec<String>,
        leaf: Option<&Leaf>,
        log: Option<&RequestLog>,
    ) -> Result<(SocketAddr, ServerGuard), ClusterError> {
        let mut names = self.inner.sans.clone();
        names.extend(
            sans.into_iter()
                .filter(|name| !self.inner.sans.contains(name)),
        );
        let new = Leaf::new(self.inner.server.clock.now())?;
        let leaf = leaf.unwrap_or(&new);
        let tls = self.inner.authority.server_config(&names, leaf)?;
        let router = node.map_or_else(|| self.router(), |node| self.router_of(node));
        serve::serve(router, tls, log.cloned()).await
    }

    /// The API as a service for in-memory clients; put an [`Identity`] into the request's
    /// extensions, as TLS would.
    pub fn router(&self) -> Router {
        api::router(self.inner.face.clone())
    }

    /// The same as the server on a node answers it: `/version` says what runs there.
    pub fn router_of(&self, node: &str) -> Router {
        api::router(Arc::new(api::Face {
            server: self.inner.server.clone(),
            ca_certificates: self.inner.face.ca_certificates.clone(),
            outside: self.inner.outside.clone(),
            node: Some(node.to_owned()),
        }))
    }

    /// What the machines under the nodes keep. Without it an upgrade changes the cluster's own
    /// record of the node only.
    pub fn set_disks(&self, disks: Arc<dyn NodeDisks>) {
        self.outside(|outside| outside.disks = Some(disks));
    }

    /// How the cluster's pods reach the object store. Without it backup locations stay unavailable.
    pub fn set_bucket_access(&self, access: Arc<dyn BucketAccess>) {
        self.outside(|outside| outside.bucket_access = Some(access));
    }

    /// How the cluster's controllers reach DigitalOcean. Without it they make no volumes, snapshots
    /// and load balancers: claims and Services wait.
    pub fn set_cloud_api(&self, api: Arc<dyn CloudApi>) {
        self.outside(|outside| outside.cloud_api = Some(api));
    }

    /// A node's kubelet starts (again) and reports to this control plane.
    pub fn register_node(&self, node: NodeFacts) {
        let name = node.name.clone();
        self.save_node(
            &name,
            NodeRecord {
                facts: node,
                lost: false,
                gone: false,
                started: true,
            },
        );
    }

    /// A server becomes a member of the cluster's etcd before it registers its node. One that is a
    /// member already stays it.
    ///
    /// # Errors
    /// With etcd's words when it takes no new member at the moment.
    pub fn join_etcd(&self, node: &str, provider_id: &str) -> Result<(), String> {
        self.outside(|outside| outside.etcd.join(&outside.nodes, node, provider_id))
    }

    /// The nodes that are members of the cluster's etcd.
    pub fn etcd_members(&self) -> Vec<String> {
        self.outside(|outside| outside.etcd.names())
    }

    /// A node's machine is off: its kubelet reports no more. The cloud controller manager, where
    /// it runs, marks the Node object.
    pub fn stop_node(&self, name: &str) {
        self.silence(name, false);
    }

    /// A node's machine is gone: its kubelet reports no more. The cloud controller manager, where
    /// it runs, deletes the Node object.
    pub fn remove_node(&self, name: &str) {
        self.silence(name, true);
    }

    fn silence(&self, name: &str, gone: bool) {
        let known = self.outside(|outside| outside.nodes.get(name).cloned());
        if let Some(record) = known {
            let record = NodeRecord {
                lost: true,
                gone,
                ..record
            };
            self.save_node(name, record);
        }
    }

    fn save_node(&self, name: &str, record: NodeRecord) {
        self.outside(|outside| outside.keep_node(name, record));
    }

    fn outside<T>(&self, change: impl FnOnce(&mut Outside) -> T) -> T {
        let out = change(
            &mut self
                .inner
                .outside
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        self.inner.wake.notify_one();
        out
    }
}
