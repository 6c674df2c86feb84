//! The controllers: one task reconciles everything, again after every change, and after lags.

mod argocd;
mod claims;
mod daemon_sets;
mod definitions;
mod deployments;
mod digitalocean;
mod disruption;
mod etcd_snapshots;
mod garbage;
mod helm;
mod host;
mod init_containers;
mod jobs;
mod kubelet;
mod namespaces;
mod nodes;
mod replica_sets;
mod revisions;
mod scheduler;
mod sealed_secrets;
mod stateful_sets;
mod upgrade;
mod velero;
mod workload;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::apiserver::ApiServer;
use super::object::{self, Object};
use super::status::ApiError;
use super::write::{DeleteOptions, Target, WriteOptions};
use super::{BucketAccess, CloudApi, NodeDisks, NodeFacts, Outside};

#[cfg(test)]
pub(crate) use helm::packed_chart;

/// Passes in a row that change something before the task lets others run.
const BURST: usize = 64;

/// What a period lasts at least, whatever the clock's scale: a clock that runs thousands of times
/// faster must not keep the task busy, and objects write their times in whole seconds.
const SHORTEST_PERIOD: Duration = Duration::from_secs(1);

/// What a pause between two tries lasts at least, for the same reason.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);

/// A kubelet as the control plane knows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NodeRecord {
    pub(crate) facts: NodeFacts,
    /// The machine is gone or off: its kubelet is silent.
    pub(crate) lost: bool,
    /// It is gone for good.
    #[serde(default)]
    pub(crate) gone: bool,
    /// K3s was started and has not given its labels to the Node yet.
    #[serde(default)]
    pub(crate) started: bool,
}

/// All controllers of a control plane.
pub(crate) struct Controllers {
    ca_certificates: String,
    helm_controller: bool,
    outside: Arc<Mutex<Outside>>,
    wake: Arc<Notify>,
    timers: Timers,
    applied: upgrade::Applied,
    ensured: digitalocean::Ensured,
}

/// What a pass of the controllers works with.
pub(crate) struct Pass<'a> {
    pub(crate) server: &'a ApiServer,
    pub(crate) nodes: BTreeMap<String, NodeRecord>,
    pub(crate) bucket_access: Option<Arc<dyn BucketAccess>>,
    pub(crate) cloud_api: Option<Arc<dyn CloudApi>>,
    pub(crate) ca_certificates: &'a str,
    outside: &'a Mutex<Outside>,
    timers: &'a mut Timers,
    applied: &'a mut upgrade::Applied,
    ensured: &'a mut digitalocean::Ensured,
}

/// Lags under way, by what they are for. Those nobody asks about in a pass are forgotten.
#[derive(Debug, Default)]
struct Timers {
    running: BTreeMap<String, Timer>,
}

#[derive(Debug)]
struct Timer {
    due: Instant,
    asked: bool,
    /// Whether it was still running when it was asked about last.
    waits: bool,
}

impl Controllers {
    /// Controllers that have not run yet.
    pub(crate) fn new(
        ca_certificates: String,
        helm_controller: bool,
        outside: Arc<Mutex<Outside>>,
        wake: Arc<Notify>,
    ) -> Controllers {
        Controllers {
            ca_certificates,
            helm_controller,
            outside,
            wake,
            timers: Timers::default(),
            applied: upgrade::Applied::default(),
            ensured: digitalocean::Ensured::default(),
        }
    }

    /// Reconciles until the server is gone.
    pub(crate) async fn run(mut self, server: Weak<ApiServer>) {
        let Some(mut changes) = server.upgrade().map(|server| server.storage.subscribe()) else {
            return;
        };
        let mut burst = 0;
        loop {
            let seen = *changes.borrow_and_update();
            let next = {
                let Some(server) = server.upgrade() else {
                    return;
                };
                self.pass(&server);
                // A store that fails is reported by the requests that write to it.
                drop(server.storage.sync());
                burst = if server.storage.version() == seen {
                    0
                } else {
                    burst + 1
                };
                self.timers.next()
            };
            if burst > BURST {
                burst = 0;
                tokio::task::yield_now().await;
            }
            let lag = async {
                match next {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                changed = changes.changed() => if changed.is_err() { return },
                () = self.wake.notified() => {}
                () = lag => {}
            }
        }
    }

    fn pass(&mut self, server: &ApiServer) {
        let (nodes, bucket_access, cloud_api) = {
            let outside = self.outside.lock().unwrap_or_else(PoisonError::into_inner);
            let reached = (outside.bucket_access.clone(), outside.cloud_api.clone());
            (outside.nodes.clone(), reached.0, reached.1)
        };
        let timers = &mut self.timers;
        let mut pass = Pass {
            server,
            nodes,
            bucket_access,
            cloud_api,
            ca_certificates: &self.ca_certificates,
            outside: &self.outside,
            timers,
            applied: &mut self.applied,
            ensured: &mut self.ensured,
        };
        definitions::reconcile(&mut pass);
        namespaces::reconcile(&mut pass);
        let mut outside = self.outside.lock().unwrap_or_else(PoisonError::into_inner);
        super::etcd::reconcile(&mut pass, &mut outside.etcd);
        drop(outside);
        nodes::reconcile(&mut pass);
        deployments::reconcile(&mut pass);
        replica_sets::reconcile(&mut pass);
        stateful_sets::reconcile(&mut pass);
        daemon_sets::reconcile(&mut pass);
        jobs::reconcile(&mut pass);
        disruption::reconcile(&mut pass);
        claims::reconcile(&mut pass);
        scheduler::reconcile(&mut pass);
        digitalocean::reconcile(&mut pass);
        kubelet::reconcile(&mut pass);
        garbage::reconcile(&mut pass);
        argocd::reconcile(&mut pass);
        sealed_secrets::reconcile(&mut pass);
        velero::reconcile(&mut pass);
        upgrade::reconcile(&mut pass);
        etcd_snapshots::reconcile(&mut pass);
        if self.helm_controller {
            helm::reconcile(&mut pass);
        }
        self.timers.sweep();
    }
}

impl Timers {
    fn due(&mut self, key: String, lag: Duration) -> bool {
        let now = Instant::now();
        let timer = self.running.entry(key).or_insert_with(|| Timer {
            due: now + lag,
            asked: true,
            waits: true,
        });
        timer.asked = true;
        timer.waits = timer.due > now;
        !timer.waits
    }

    /// Whether a period is over; the next one begins when this says so.
    fn every(&mut self, key: String, period: Duration) -> bool {
        self.turn(key, period, period)
    }

    /// The same with another length of the first one.
    fn turn(&mut self, key: String, first: Duration, period: Duration) -> bool {
        let over = self.due(key.clone(), first);
        if over && let Some(timer) = self.running.get_mut(&key) {
            timer.due = Instant::now() + period;
            timer.waits = true;
        }
        over
    }

    fn sweep(&mut self) {
        self.running
            .retain(|_, timer| std::mem::take(&mut timer.asked));
    }

    /// The earliest moment at which a lag is over that the last pass found running. It may be past
    /// by now: whoever asked was told to wait, so another pass is due at once.
    fn next(&self) -> Option<Instant> {
        self.running
            .values()
            .filter(|timer| timer.waits)
            .map(|timer| timer.due)
            .min()
    }
}

impl Pass<'_> {
    /// Whether a lag of the real cluster, begun when first asked about, is over.
    pub(crate) fn due(&mut self, what: &str, object: &Value, lag: Duration) -> bool {
        let lag = self.server.clock.scaled(lag);
        self.timers
            .due(format!("{what}/{}", object::uid(object)), lag)
    }

    /// Whether a period of the real cluster is over once more. The first begins when first asked
    /// about, the next when this says so.
    pub(crate) fn every(&mut self, what: &str, object: &Value, period: Duration) -> bool {
        let period = self.server.clock.scaled(period).max(SHORTEST_PERIOD);
        self.timers
            .every(format!("{what}/{}", object::uid(object)), period)
    }

    /// Whether it is time to try something: after the first lag, and whenever a pause after the last
    /// try is over.
    pub(crate) fn turn(
        &mut self,
        what: &str,
        object: &Value,
        first: Duration,
        pause: Duration,
    ) -> bool {
        let clock = &self.server.clock;
        let (first, pause) = (clock.scaled(first), clock.scaled(pause).max(SHORTEST_PAUSE));
        let key = format!("{what}/{}", object::uid(object));
        self.timers.turn(key, first, pause)
    }

    /// Whether a moment of the clock has come.
    pub(crate) fn reached(&mut self, what: &str, object: &Value, moment: Timestamp) -> bool {
        let left = moment.duration_since(self.server.clock.now());
        let key = format!("{what}/{moment}/{}", object::uid(object));
        match Duration::try_from(left) {
            Ok(left) if !left.is_zero() => self.timers.due(key, left),
            _ => true,
        }
    }

    /// All objects of a collection.
    pub(crate) fn all(&self, collection: &str) -> Vec<Object> {
        self.server.storage.all(collection)
    }

    /// The objects of a collection in a namespace.
    pub(crate) fn in_namespace(&self, collection: &str, namespace: &str) -> Vec<Object> {
        self.server.storage.list(collection, Some(namespace)).0
    }

    /// One object.
    pub(crate) fn get(&self, collection: &str, namespace: &str, name: &str) -> Option<Object> {
        self.server.storage.get(collection, namespace, name)
    }

    /// Changes an object in place.
    pub(crate) fn adjust(
        &self,
        collection: &str,
        object: &Value,
        change: impl FnOnce(&mut Value),
    ) -> bool {
        self.server.adjust(collection, object, change)
    }

    /// Creates an object of a built-in or custom kind. What fails is tried again in a later pass.
    pub(crate) fn create(&self, object: Value) -> Option<Object> {
        let (version, kind) = (object["apiVersion"].as_str()?, object["kind"].as_str()?);
        let resource = self.server.catalogue().of_kind(version, kind)?;
        let namespace = object::namespace(&object).to_owned();
        let created =
            self.server
                .create(&resource, &namespace, object, &WriteOptions::controller());
        created.ok().map(|written| written.object)
    }

    /// Deletes an object the way a client would.
    pub(crate) fn delete(&self, collection: &str, object: &Value) {
        // Somebody else may have deleted it first.
        drop(self.delete_with(collection, object, DeleteOptions::default()));
    }

    /// The same with options; an eviction may be refused.
    pub(crate) fn delete_with(
        &self,
        collection: &str,
        object: &Value,
        options: DeleteOptions,
    ) -> Result<(), ApiError> {
        let Some(resource) = self.server.catalogue().stored(collection) else {
            return Ok(());
        };
        let (namespace, name) = (object::namespace(object), object::name(object));
        let target = Target {
            resource: &resource,
            namespace,
            name,
            subresource: "",
        };
        let options = DeleteOptions {
            uid: Some(object::uid(object).to_owned()),
            ..options
        };
        self.server.delete(target, &options).map(|_| ())
    }

    /// Version of the K3s that a node runs.
    pub(crate) fn version_of<'n>(&'n self, record: &'n NodeRecord) -> &'n str {
        match record.facts.version.as_str() {
            "" => &self.server.version,
            version => version,
        }
    }

    /// Replaces a node's K3s and starts it again. The error is the machine's; nothing was changed
    /// then.
    pub(crate) fn replace_k3s(&mut self, node: &str, version: &str) -> Result<(), String> {
        let outside = || self.outside.lock().unwrap_or_else(PoisonError::into_inner);
        // Not under the lock: whoever holds the droplets asks for it, too.
        let disks = outside().disks.clone();
        if let Some(disks) = disks {
            disks.replace_k3s(node, version)?;
        }
        outside().set_version(node, version);
        if let Some(record) = self.nodes.get_mut(node) {
            version.clone_into(&mut record.facts.version);
        }
        Ok(())
    }

    /// A node's K3s has given its labels to the Node.
    pub(crate) fn labelled(&mut self, node: &str) {
        let mut outside = self.outside.lock().unwrap_or_else(PoisonError::into_inner);
        outside.set_labelled(node);
    }

    /// The disks under the nodes.
    fn disks(&self) -> Result<Arc<dyn NodeDisks>, String> {
        let outside = self.outside.lock().unwrap_or_else(PoisonError::into_inner);
        let disks = outside.disks.clone();
        disks.ok_or_else(|| "this cluster's nodes have no disks".to_owned())
    }

    /// Sets a condition in `status.conditions`; the transition time moves only with the status.
    pub(crate) fn set_condition(
        &self,
        object: &mut Value,
        kind: &str,
        status: bool,
        reason: &str,
        message: &str,
    ) {
        let status = if status { "True" } else { "False" };
        let mut conditions = object::items(object, &["status", "conditions"]).to_vec();
        let now = self.server.now();
        let mut condition = serde_json::json!({
            "type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": now,
        });
        match conditions.iter_mut().find(|other| other["type"] == kind) {
            Some(old) if old["status"] == status => {
                condition["lastTransitionTime"] = old["lastTransitionTime"].clone();
                *old = condition;
            }
            Some(old) => *old = condition,
            None => conditions.push(condition),
        }
        object::set(object, &["status", "conditions"], conditions);
    }
}
