//! Boots droplets from their `user_data`: bundle, K3s, cluster, as `docs/internals/node-boot.md` says.
//!
//! Written from that page alone; it shares no code with what writes the `user_data` and the bundle.
//! Not simulated: that nothing answers without a majority of etcd's members, a database that is
//! destroyed under running servers, which VPC a database is in, and firewalls between nodes.

mod bundle;
mod clusters;
mod config;
mod datastore;
mod disks;
mod machine;
mod network;
mod pki;
mod report;
mod restore;
mod start;
#[cfg(test)]
pub(crate) mod tests;
mod user_data;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use serde::{Deserialize, Serialize};
use tokio::task::AbortHandle;

pub use machine::NodeStatus;
pub use network::Network;
pub use report::Phase;

use self::clusters::{CLUSTERS, ClusterRecord, Server, StartError, Started};
use self::machine::{Disk, Machine};
use crate::facts::CloudFacts;
use crate::kubernetes::{CloudApi, Cluster};
use crate::log::RequestLog;
use crate::store::{Batch, StoreError};
use crate::{Clock, Rng, Store};

/// Collection of [`DropletFacts`] of droplets that are on, keyed by id.
const DROPLETS: &str = "boot/droplet";
/// Collection of installed disks, keyed by droplet id.
const DISKS: &str = "boot/disk";

/// A droplet as its boot needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropletFacts {
    /// DigitalOcean's number.
    pub id: u64,
    /// Its name, which is the host name.
    pub name: String,
    /// What cloud-init reads.
    pub user_data: Option<String>,
    /// Address of `eth0`.
    pub public_ip: Ipv4Addr,
    /// Address of `eth1`, in a VPC.
    pub private_ip: Option<Ipv4Addr>,
    /// The VPC.
    pub vpc_uuid: Option<String>,
    /// Tags, for the trusted sources of databases.
    pub tags: Vec<String>,
    /// Region slug.
    pub region: String,
    /// Size slug.
    pub size: String,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Image slug.
    pub image: String,
}

/// All droplets that are on; clones share them.
#[derive(Clone)]
pub struct Nodes {
    inner: Arc<Inner>,
}

/// Nodes, as long as somebody else holds them.
pub(crate) struct Held(Weak<Inner>);

impl Held {
    pub(crate) fn nodes(&self) -> Option<Nodes> {
        let inner = self.0.upgrade()?;
        Some(Nodes { inner })
    }
}

struct Inner {
    network: Network,
    cloud: Arc<dyn CloudFacts>,
    store: Store,
    clock: Clock,
    rng: Rng,
    state: Mutex<State>,
    starting: tokio::sync::Mutex<()>,
    log: OnceLock<RequestLog>,
    cloud_api: OnceLock<Arc<dyn CloudApi>>,
}

#[derive(Default)]
struct State {
    machines: BTreeMap<u64, Running>,
    clusters: BTreeMap<String, Cluster>,
    records: BTreeMap<String, ClusterRecord>,
    disks: BTreeMap<u64, Disk>,
}

impl State {
    /// Stops what runs on a droplet.
    fn stop(&mut self, id: u64) {
        let Some(running) = self.machines.remove(&id) else {
            return;
        };
        running.task.abort();
        let Some(server) = running.server else { return };
        // A control plane without a server does nothing; the next server opens it again.
        let others = self
            .machines
            .values()
            .filter_map(|machine| machine.server.as_ref());
        if !others
            .map(|other| &other.cluster)
            .any(|cluster| *cluster == server.cluster)
        {
            self.clusters.remove(&server.cluster);
        }
    }

    /// Tells the clusters of a droplet that its kubelet reports no more: now, or when their next
    /// server starts.
    fn nodes_lost(&mut self, id: u64, gone: bool, batch: &mut Batch) -> Result<(), StoreError> {
        for record in self.records.values_mut() {
            let names: Vec<String> = record
                .nodes
                .iter()
                .filter(|(_, owner)| **owner == id)
                .map(|(name, _)| name.clone())
                .collect();
            for name in names {
                match self.clusters.get(&record.id) {
                    Some(cluster) if gone => cluster.remove_node(&name),
                    Some(cluster) => cluster.stop_node(&name),
                    None => drop(record.departed.insert(name)),
                }
                batch.put(CLUSTERS, &record.id, record)?;
            }
        }
        Ok(())
    }

    /// Forgets a destroyed droplet's names and data; returns the clusters that are lost with it.
    fn forget_member(&mut self, id: u64, batch: &mut Batch) -> Result<Vec<String>, StoreError> {
        let mut lost = Vec::new();
        for record in self.records.values_mut() {
            let held = record.members.remove(&id);
            let names = record.nodes.len();
            record.nodes.retain(|_, owner| *owner != id);
            if held && record.local && record.members.is_empty() {
                lost.push(record.id.clone());
            } else if held || names != record.nodes.len() {
                batch.put(CLUSTERS, &record.id, record)?;
            }
        }
        for id in &lost {
            self.records.remove(id);
            self.clusters.remove(id);
            batch.delete(CLUSTERS, id);
        }
        Ok(lost)
    }
}

struct Running {
    droplet: DropletFacts,
    task: AbortHandle,
    status: NodeStatus,
    server: Option<Server>,
    /// K3s's unit as systemd has read it: when the machine booted, or later.
    unit: Option<String>,
}

impl std::fmt::Debug for Nodes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nodes")
            .field("statuses", &self.statuses())
            .finish_non_exhaustive()
    }
}

impl Nodes {
    /// Reads back disks and clusters. Nothing runs before [`Nodes::resume`] or
    /// [`Nodes::droplet_active`].
    pub fn open(
        network: Network,
        cloud: Arc<dyn CloudFacts>,
        store: Store,
        clock: Clock,
        rng: Rng,
    ) -> Result<Nodes, StoreError> {
        let mut state = State {
            records: store.load(CLUSTERS)?,
            ..State::default()
        };
        for (id, disk) in store.load::<Disk>(DISKS)? {
            // Keys are written by this module as decimal numbers.
            state
                .disks
                .extend(id.parse().ok().map(|id: u64| (id, disk)));
        }
        let starting = tokio::sync::Mutex::default();
        let inner = Inner {
            network,
            cloud,
            store,
            clock,
            rng,
            state: Mutex::new(state),
            starting,
            log: OnceLock::new(),
            cloud_api: OnceLock::new(),
        };
        Ok(Nodes {
            inner: Arc::new(inner),
        })
    }

    /// For the account, which the nodes hold: each would keep the other for ever.
    pub(crate) fn held(&self) -> Held {
        Held(Arc::downgrade(&self.inner))
    }

    /// Tells a log of every request that API servers answer from now on; only the first one counts.
    #[must_use]
    pub fn logging(self, log: Option<RequestLog>) -> Nodes {
        if let Some(log) = log {
            drop(self.inner.log.set(log));
        }
        self
    }

    /// How the controllers of clusters reach DigitalOcean; only the first one counts.
    #[must_use]
    pub fn reaching(self, api: Arc<dyn CloudApi>) -> Nodes {
        drop(self.inner.cloud_api.set(api));
        self
    }

    /// Boots every droplet that was on when the sandbox stopped, as after a power failure. Needs a
    /// tokio runtime.
    pub fn resume(&self) -> Result<(), StoreError> {
        for (_, droplet) in self.inner.store.load::<DropletFacts>(DROPLETS)? {
            self.power_on(droplet);
        }
        Ok(())
    }

    /// A droplet became active (created, or powered on again). Telling it twice changes nothing.
    /// Needs a tokio runtime.
    pub fn droplet_active(&self, facts: DropletFacts) -> Result<(), StoreError> {
        self.inner
            .store
            .put(DROPLETS, &facts.id.to_string(), &facts)?;
        self.power_on(facts);
        Ok(())
    }

    /// A droplet was switched off; its disk stays.
    pub fn droplet_stopped(&self, id: u64) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        batch.delete(DROPLETS, &id.to_string());
        let mut state = self.lock();
        state.stop(id);
        state.nodes_lost(id, false, &mut batch)?;
        drop(state);
        self.inner.store.commit(batch)
    }

    /// A droplet was destroyed with its disk. When it was the last that held a cluster's state,
    /// the cluster is gone with it.
    pub fn droplet_gone(&self, id: u64) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        batch.delete(DROPLETS, &id.to_string());
        batch.delete(DISKS, &id.to_string());
        let mut state = self.lock();
        state.stop(id);
        state.disks.remove(&id);
        state.nodes_lost(id, true, &mut batch)?;
        for cluster in state.forget_member(id, &mut batch)? {
            for part in ["", "/nodes", "/etcd"] {
                let data = format!("k8s/{cluster}{part}");
                for key in self
                    .inner
                    .store
                    .load::<serde_json::Value>(&data)?
                    .into_keys()
                {
                    batch.delete(&data, &key);
                }
            }
        }
        drop(state);
        self.inner.store.commit(batch)
    }

    /// The droplet with this public or private address, if an API server runs there.
    pub fn server_at(&self, ip: Ipv4Addr) -> Option<u64> {
        let state = self.lock();
        let found = state
            .machines
            .values()
            .find(|machine| has_address(&machine.droplet, ip))?;
        found.server.as_ref().map(|_| found.droplet.id)
    }

    /// The loopback address of the API server at this public or private address, if one runs
    /// there.
    pub fn endpoint(&self, ip: Ipv4Addr) -> Option<SocketAddr> {
        self.endpoint_of(self.server_at(ip)?)
    }

    /// The loopback address of the API server on a droplet.
    pub fn endpoint_of(&self, droplet: u64) -> Option<SocketAddr> {
        let state = self.lock();
        state
            .machines
            .get(&droplet)?
            .server
            .as_ref()
            .map(|server| server.address)
    }

    /// The API a droplet serves, for clients in the same process.
    pub fn router_of(&self, droplet: u64) -> Option<axum::Router> {
        let state = self.lock();
        let server = state.machines.get(&droplet)?.server.as_ref()?;
        let cluster = state.clusters.get(&server.cluster)?;
        Some(cluster.router_of(&server.node))
    }

    /// What every droplet that is on is doing.
    pub fn statuses(&self) -> Vec<NodeStatus> {
        self.lock()
            .machines
            .values()
            .map(|machine| machine.status.clone())
            .collect()
    }

    /// The clusters that run, each with the nodes that serve its API.
    pub fn clusters(&self) -> BTreeMap<String, Vec<String>> {
        let state = self.lock();
        let running = state.machines.values();
        let mut clusters: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for server in running.filter_map(|machine| machine.server.as_ref()) {
            let nodes = clusters.entry(server.cluster.clone()).or_default();
            nodes.push(server.node.clone());
        }
        clusters
    }

    /// The droplets that have K3s on their disk: what boots there is a cluster that comes back.
    pub fn installed(&self) -> BTreeSet<u64> {
        self.lock().disks.keys().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn power_on(&self, droplet: DropletFacts) {
        let mut state = self.lock();
        if let Some(running) = state.machines.get_mut(&droplet.id) {
            // Tags and addresses may have changed since.
            running.droplet = droplet;
            return;
        }
        let task = tokio::spawn(Machine::new(self.clone(), droplet.clone()).run()).abort_handle();
        let status = machine::status(&droplet, Phase::Booting, "the droplet boots");
        let unit = state.disks.get(&droplet.id).and_then(start::unit);
        state.machines.insert(
            droplet.id,
            Running {
                droplet,
                task,
                status,
                server: None,
                unit,
            },
        );
    }

    /// The droplet as it is now; `None` once it is off or gone.
    fn droplet(&self, id: u64) -> Option<DropletFacts> {
        self.lock()
            .machines
            .get(&id)
            .map(|machine| machine.droplet.clone())
    }

    fn disk(&self, id: u64) -> Option<Disk> {
        self.lock().disks.get(&id).cloned()
    }

    fn save_disk(&self, id: u64, disk: &Disk) -> Result<(), StoreError> {
        self.inner.store.put(DISKS, &id.to_string(), disk)?;
        self.lock().disks.insert(id, disk.clone());
        Ok(())
    }

    fn set_status(&self, droplet: &DropletFacts, phase: Phase, message: String) {
        if let Some(running) = self.lock().machines.get_mut(&droplet.id) {
            running.status.phase = phase;
            running.status.message = message;
        }
    }

    /// Remembers what runs on a droplet and says so.
    fn keep_started(&self, id: u64, started: Started) -> String {
        let mut state = self.lock();
        let Some(running) = state.machines.get_mut(&id) else {
            return "the droplet is gone".to_owned();
        };
        match started {
            Started::Server(server) => {
                let message = format!("server {} of cluster {} is up", server.node, server.cluster);
                running.server = Some(server);
                message
            }
            Started::Agent { cluster, node } => format!("agent {node} joined cluster {cluster}"),
        }
    }

    fn cluster_record(&self, id: &str) -> Option<ClusterRecord> {
        self.lock().records.get(id).cloned()
    }

    fn cluster_with_member(&self, droplet: u64) -> Option<ClusterRecord> {
        self.lock()
            .records
            .values()
            .find(|record| record.local && record.members.contains(&droplet))
            .cloned()
    }

    /// Records a cluster, unless the droplet that changes it was destroyed meanwhile.
    fn save_cluster(&self, record: &ClusterRecord, droplet: u64) -> Result<(), StartError> {
        let mut state = self.lock();
        if !state.machines.contains_key(&droplet) {
            return Err(StartError::Node(format!("droplet {droplet} is gone")));
        }
        let saved = self.inner.store.put(CLUSTERS, &record.id, record);
        saved.map_err(|error| StartError::Api(error.to_string()))?;
        state.records.insert(record.id.clone(), record.clone());
        Ok(())
    }

    fn running_cluster(&self, id: &str) -> Option<Cluster> {
        self.lock().clusters.get(id).cloned()
    }

    fn keep_cluster(&self, id: &str, cluster: Cluster) {
        self.lock().clusters.insert(id.to_owned(), cluster);
    }

    /// The cluster of the API server a droplet reaches at an address: a server's private address
    /// in its VPC, a public address, or a load balancer's.
    /// Which droplet's server answers is told besides.
    fn cluster_behind(
        &self,
        address: Ipv4Addr,
        from: &DropletFacts,
    ) -> Option<(ClusterRecord, u64)> {
        let targets = self.inner.cloud.load_balancer_targets(address);
        let state = self.lock();
        let (server, id) = state.machines.values().find_map(|machine| {
            let droplet = &machine.droplet;
            let same_vpc = droplet.vpc_uuid.is_some() && droplet.vpc_uuid == from.vpc_uuid;
            let private = droplet.private_ip == Some(address) && same_vpc;
            let balanced = targets
                .as_ref()
                .is_some_and(|targets| targets.contains(&droplet.public_ip));
            machine
                .server
                .as_ref()
                .filter(|_| private || droplet.public_ip == address || balanced)
                .map(|server| (server, droplet.id))
        })?;
        Some((state.records.get(&server.cluster).cloned()?, id))
    }
}

fn has_address(droplet: &DropletFacts, ip: Ipv4Addr) -> bool {
    droplet.public_ip == ip || droplet.private_ip == Some(ip)
}
