//! Clusters and their members: which server opens which cluster, and who may join.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::bundle::Files;
use super::config::{Datastore, K3sConfig};
use super::datastore::{DatastoreError, Endpoint};
use super::disks::ClusterDisks;
use super::pki::{self, Authorities, PkiError, Token};
use super::start::{Passwords, Taken};
use super::{DropletFacts, Nodes};
use crate::kubernetes::{Cluster, ClusterConfig, Leaf, NodeFacts, NodeRole, ServerGuard};

/// Collection of [`ClusterRecord`], keyed by id.
pub(super) const CLUSTERS: &str = "boot/cluster";

/// Port of the Kubernetes API, which kplan does not change.
const API_PORT: u16 = 6443;

/// What outlives a cluster's processes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ClusterRecord {
    pub id: String,
    /// Whether the state lives on the servers and is lost with the last of them.
    pub local: bool,
    pub etcd: bool,
    root: String,
    fingerprint: String,
    /// Of the token that the bootstrap data in the datastore is encrypted with.
    pub server_secret: String,
    /// The copy of the file of passwords in that data.
    #[serde(default)]
    pub passwords: Option<Passwords>,
    /// By droplet: whom the K3s there takes, since its start.
    #[serde(default)]
    pub taken: BTreeMap<u64, Taken>,
    critical: BTreeMap<String, String>,
    /// Droplets whose disks hold the state (servers).
    pub members: BTreeSet<u64>,
    /// Node name to the droplet that registered it first.
    pub nodes: BTreeMap<String, u64>,
    /// Nodes whose droplets went while no server ran; removed when the next one starts.
    pub departed: BTreeSet<String>,
}

/// Why K3s does not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error(transparent)]
    Pki(#[from] PkiError),
    #[error(transparent)]
    Datastore(#[from] DatastoreError),
    #[error("{0}")]
    Node(String),
    #[error("cannot join {url}: {why}")]
    Join { url: String, why: String },
    #[error("critical configuration value mismatch: {0} differs from the other servers'")]
    Critical(String),
    #[error("bootstrap data in the datastore: {0}")]
    Bootstrap(&'static str),
    #[error(
        "/var/lib/rancher/k3s/server/cred/passwd newer than datastore and could cause a cluster outage. \
         Remove the file(s) from disk and restart to be recreated from datastore."
    )]
    Newer,
    #[error("etcd does not take this server: {0}")]
    Etcd(String),
    #[error("the API server does not start: {0}")]
    Api(String),
}

/// A running API server.
pub(super) struct Server {
    pub cluster: String,
    pub address: SocketAddr,
    pub node: String,
    /// Dropping it stops the server.
    _guard: ServerGuard,
}

/// What a droplet starts K3s with.
pub(super) struct Installed<'a> {
    pub droplet: &'a DropletFacts,
    pub files: &'a Files,
    pub config: &'a K3sConfig,
    pub version: &'a str,
    pub leaf: Option<&'a Leaf>,
    /// The file of passwords on the disk.
    pub passwords: Option<&'a Passwords>,
}

/// How a start ends.
pub(super) enum Started {
    Server(Server),
    /// The cluster and the node's name.
    Agent {
        cluster: String,
        node: String,
    },
}

pub(super) fn secret_hash(secret: &str) -> String {
    pki::hex(&Sha256::digest(secret.as_bytes()))
}

impl ClusterRecord {
    fn new(
        id: String,
        installed: &Installed<'_>,
        authorities: &Authorities,
        token: &Token,
    ) -> ClusterRecord {
        let datastore = &installed.config.datastore;
        ClusterRecord {
            id,
            local: !matches!(datastore, Datastore::External { .. }),
            etcd: matches!(datastore, Datastore::EtcdInit),
            root: authorities.root.clone(),
            fingerprint: authorities.fingerprint.clone(),
            server_secret: secret_hash(&token.secret),
            passwords: None,
            taken: BTreeMap::new(),
            critical: installed.config.critical.clone(),
            members: BTreeSet::new(),
            nodes: BTreeMap::new(),
            departed: BTreeSet::new(),
        }
    }

    /// Whether another server's files and configuration fit this cluster.
    pub(super) fn check_server(
        &self,
        installed: &Installed<'_>,
        authorities: &Authorities,
    ) -> Result<(), StartError> {
        if self.fingerprint != authorities.fingerprint {
            return Err(StartError::Bootstrap(
                "its CA files differ from this node's",
            ));
        }
        let keys: BTreeSet<&String> = self
            .critical
            .keys()
            .chain(installed.config.critical.keys())
            .collect();
        let differs = keys
            .into_iter()
            .find(|key| self.critical.get(*key) != installed.config.critical.get(*key));
        differs.map_or(Ok(()), |key| Err(StartError::Critical(key.clone())))
    }

    /// Whether a token lets an agent in at the server on a droplet: that server's agent token, or its
    /// server token.
    fn admits_agent(&self, server: u64, token: &Token) -> bool {
        let hash = secret_hash(&token.secret);
        let taken = self.taken.get(&server);
        match token.user.as_str() {
            "node" => taken.is_some_and(|it| hash == it.server || hash == it.agent),
            "server" => self.admits_server(server, token),
            _ => false,
        }
    }

    /// Whether a token lets a server in at the server on a droplet.
    fn admits_server(&self, server: u64, token: &Token) -> bool {
        let taken = self.taken.get(&server);
        token.user == "server" && taken.is_some_and(|it| it.server == secret_hash(&token.secret))
    }
}

impl Nodes {
    /// Starts K3s as its configuration says.
    pub(super) async fn start_k3s(&self, installed: &Installed<'_>) -> Result<Started, StartError> {
        check_addresses(installed)?;
        // One at a time: two servers that open one cluster together must find the same one.
        let _turn = self.inner.starting.lock().await;
        match &installed.config.server {
            Some(url) => self.join_agent(installed, url),
            None => Box::pin(self.start_server(installed)).await,
        }
    }

    async fn start_server(&self, installed: &Installed<'_>) -> Result<Started, StartError> {
        let config = installed.config;
        let authorities = pki::check(installed.files, self.inner.clock.now())?;
        let token = Token::parse(&config.token)?;
        token.check_pin(&authorities.root)?;
        if token.user != "server" {
            return Err(StartError::Node(format!(
                "a server needs a server token, not one of the user {:?}",
                token.user
            )));
        }
        let id = self.cluster_of(installed)?;
        let mut record = match self.cluster_record(&id) {
            Some(record) => record,
            None => ClusterRecord::new(id.clone(), installed, &authorities, &token),
        };
        record.check_server(installed, &authorities)?;
        self.open_bootstrap(&mut record, installed, &token)?;
        let node = self.claim_name(&mut record, installed)?;
        // A single SQLite server that is restarted with `cluster-init` moves its state to etcd.
        record.etcd |= matches!(config.datastore, Datastore::EtcdInit);
        let facts = node_facts(installed, node.clone(), NodeRole::Server, record.etcd);
        if let Some(cluster) = self.running_cluster(&id).filter(|_| record.etcd) {
            join_etcd(&cluster, &facts)?;
        }
        record.members.insert(installed.droplet.id);
        let departed = std::mem::take(&mut record.departed);
        self.save_cluster(&record, installed.droplet.id)?;
        let cluster = self.open_cluster(&id, installed, &authorities).await?;
        if record.etcd {
            join_etcd(&cluster, &facts)?;
        }
        for node in departed {
            // A destroyed droplet's name belongs to nobody any more.
            if record.nodes.contains_key(&node) {
                cluster.stop_node(&node);
            } else {
                cluster.remove_node(&node);
            }
        }
        let served = cluster
            .serve(
                Some(&node),
                sans(installed, &node),
                installed.leaf,
                self.inner.log.get(),
            )
            .await;
        let (address, guard) = served.map_err(|error| StartError::Api(error.to_string()))?;
        cluster.register_node(facts);
        Ok(Started::Server(Server {
            cluster: id,
            address,
            node,
            _guard: guard,
        }))
    }

    /// The cluster a server belongs to: its own, that of the server it joins, or the datastore's.
    fn cluster_of(&self, installed: &Installed<'_>) -> Result<String, StartError> {
        let id = installed.droplet.id;
        // State already on disk wins over `cluster-init` and `server`, as in K3s.
        if let Some(record) = self.cluster_with_member(id) {
            return Ok(record.id);
        }
        match &installed.config.datastore {
            Datastore::Sqlite => Ok(format!("sqlite-{id}")),
            Datastore::EtcdInit => Ok(format!("etcd-{id}")),
            Datastore::EtcdJoin(url) => {
                let record = self.find_server(installed, url)?;
                if record.etcd {
                    return Ok(record.id);
                }
                let why = "the server keeps its state in SQLite, which cannot have a second server"
                    .to_owned();
                Err(StartError::Join {
                    url: url.clone(),
                    why,
                })
            }
            Datastore::External { endpoint, cafile } => {
                let endpoint = Endpoint::parse(endpoint)?;
                let path = cafile.as_deref().map(|path| path.trim_start_matches('/'));
                let pem = path
                    .and_then(|path| installed.files.get(path))
                    .map(|file| file.content.as_str());
                if let (Some(path), None) = (path, pem) {
                    return Err(StartError::Node(format!(
                        "datastore-cafile /{path} does not exist"
                    )));
                }
                endpoint.connect(self.inner.cloud.as_ref(), installed.droplet, pem)?;
                Ok(format!("sql-{}", &secret_hash(&endpoint.identity())[..16]))
            }
        }
    }

    /// The cluster behind a `server:` URL, after the checks of a join.
    pub(super) fn find_server(
        &self,
        installed: &Installed<'_>,
        url: &str,
    ) -> Result<ClusterRecord, StartError> {
        let fail = |why: String| StartError::Join {
            url: url.to_owned(),
            why,
        };
        let address = server_address(url)
            .ok_or_else(|| fail("it is not https://<address>:6443".to_owned()))?;
        let (record, server) =
            self.cluster_behind(address, installed.droplet)
                .ok_or_else(|| {
                    fail(
                        "connection refused: no API server answers there from this node's network"
                            .to_owned(),
                    )
                })?;
        let token = Token::parse(&installed.config.token)?;
        if token.root != record.root {
            return Err(fail(
                "the token pins another root than the server's /cacerts".to_owned(),
            ));
        }
        let admitted = match &installed.config.server {
            Some(_) => record.admits_agent(server, &token),
            None => record.admits_server(server, &token),
        };
        if admitted {
            Ok(record)
        } else {
            Err(fail(
                "401 Unauthorized: the token is not valid here".to_owned(),
            ))
        }
    }

    fn join_agent(&self, installed: &Installed<'_>, url: &str) -> Result<Started, StartError> {
        let mut record = self.find_server(installed, url)?;
        let node = self.claim_name(&mut record, installed)?;
        self.save_cluster(&record, installed.droplet.id)?;
        let cluster = self.running_cluster(&record.id);
        let cluster =
            cluster.ok_or_else(|| StartError::Api("its server just stopped".to_owned()))?;
        cluster.register_node(node_facts(installed, node.clone(), NodeRole::Agent, false));
        Ok(Started::Agent {
            cluster: record.id,
            node,
        })
    }

    /// Binds a node name to a droplet, as K3s binds it to a password on the node's disk. The password
    /// goes with the Node.
    fn claim_name(
        &self,
        record: &mut ClusterRecord,
        installed: &Installed<'_>,
    ) -> Result<String, StartError> {
        let (name, id) = (installed.config.node_name.clone(), installed.droplet.id);
        let name = name.unwrap_or_else(|| installed.droplet.name.clone());
        let owner = *record.nodes.entry(name.clone()).or_insert(id);
        let free = || {
            let cluster = self.running_cluster(&record.id);
            cluster.is_some_and(|cluster| !cluster.has_node(&name))
        };
        if owner == id || free() {
            record.nodes.insert(name.clone(), id);
            record.departed.remove(&name);
            return Ok(name);
        }
        Err(StartError::Node(format!(
            "node password rejected: the node {name} belongs to droplet {owner}; delete the Node first or use another name"
        )))
    }

    pub(super) async fn open_cluster(
        &self,
        id: &str,
        installed: &Installed<'_>,
        authorities: &Authorities,
    ) -> Result<Cluster, StartError> {
        if let Some(cluster) = self.running_cluster(id) {
            return Ok(cluster);
        }
        let config = ClusterConfig {
            server_ca_chain_pem: authorities.server_ca_chain.clone(),
            server_ca_key_pem: authorities.server_ca_key.clone(),
            client_ca_chain_pem: authorities.client_ca_chain.clone(),
            service_account_key_pem: authorities.service_account_key.clone(),
            sans: sans(
                installed,
                installed
                    .config
                    .node_name
                    .as_deref()
                    .unwrap_or(&installed.droplet.name),
            ),
            version: installed.version.to_owned(),
            disabled: installed.config.disable.clone(),
            helm_controller: installed.config.helm_controller,
        };
        let (store, clock, rng) = (
            self.inner.store.clone(),
            self.inner.clock.clone(),
            self.inner.rng.clone(),
        );
        let opened = Cluster::open(id, config, store, clock, rng).await;
        let cluster = opened.map_err(|error| StartError::Api(error.to_string()))?;
        cluster.set_bucket_access(Arc::new(self.inner.network.clone()));
        if let Some(api) = self.inner.cloud_api.get() {
            cluster.set_cloud_api(Arc::clone(api));
        }
        cluster.set_disks(Arc::new(ClusterDisks {
            nodes: self.held(),
            cluster: id.to_owned(),
        }));
        self.keep_cluster(id, cluster.clone());
        Ok(cluster)
    }
}

fn join_etcd(cluster: &Cluster, facts: &NodeFacts) -> Result<(), StartError> {
    let joined = cluster.join_etcd(&facts.name, &facts.provider_id);
    joined.map_err(StartError::Etcd)
}

fn server_address(url: &str) -> Option<Ipv4Addr> {
    let rest = url.strip_prefix("https://")?;
    let (host, port) = rest.trim_end_matches('/').split_once(':')?;
    (port.parse() == Ok(API_PORT))
        .then(|| host.parse().ok())
        .flatten()
}

/// Refuses addresses and interfaces the droplet does not have.
fn check_addresses(installed: &Installed<'_>) -> Result<(), StartError> {
    let (droplet, config) = (installed.droplet, installed.config);
    let own = |ip: Ipv4Addr| ip == droplet.public_ip || Some(ip) == droplet.private_ip;
    if let Some(ip) = config.node_ip.filter(|ip| !own(*ip)) {
        return Err(StartError::Node(format!(
            "node-ip {ip} is not an address of this droplet"
        )));
    }
    match config.flannel_iface.as_deref() {
        None | Some("eth0") => Ok(()),
        Some("eth1") if droplet.private_ip.is_some() => Ok(()),
        Some(other) => Err(StartError::Node(format!(
            "flannel-iface: this droplet has no interface {other}"
        ))),
    }
}

/// Names and addresses on a server's certificate.
fn sans(installed: &Installed<'_>, node: &str) -> Vec<String> {
    let (droplet, config) = (installed.droplet, installed.config);
    let internal = config
        .node_ip
        .or(droplet.private_ip)
        .unwrap_or(droplet.public_ip);
    let mut names = config.tls_san.clone();
    names.push(internal.to_string());
    names.extend(config.node_external_ip.map(|ip| ip.to_string()));
    let fixed = [
        node,
        "127.0.0.1",
        "localhost",
        "10.43.0.1",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ];
    names.extend(fixed.map(str::to_owned));
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

fn node_facts(installed: &Installed<'_>, name: String, role: NodeRole, etcd: bool) -> NodeFacts {
    let (droplet, config) = (installed.droplet, installed.config);
    let mut taints = config.taints.clone();
    if config.external_cloud {
        let key = "node.cloudprovider.kubernetes.io/uninitialized".to_owned();
        taints.push((key, "true".to_owned(), "NoSchedule".to_owned()));
    }
    // What the cloud controller manager would learn from DigitalOcean about the droplet.
    let mut labels = config.labels.clone();
    labels.insert(
        "topology.kubernetes.io/region".to_owned(),
        droplet.region.clone(),
    );
    labels.insert(
        "node.kubernetes.io/instance-type".to_owned(),
        droplet.size.clone(),
    );
    NodeFacts {
        provider_id: config
            .provider_id
            .clone()
            .unwrap_or_else(|| format!("k3s://{name}")),
        name,
        role,
        internal_ip: config
            .node_ip
            .or(droplet.private_ip)
            .unwrap_or(droplet.public_ip),
        external_ip: config.node_external_ip,
        labels,
        taints,
        cpu: droplet.vcpus,
        memory_mib: droplet.memory_mib,
        etcd,
        version: installed.version.to_owned(),
        args: config.args.clone(),
    }
}
