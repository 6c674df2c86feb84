//! Nodes: kubelets register them and give signs of life, the cloud controller manager initialises
//! and removes them.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{NodeRecord, Pass};
use crate::kubernetes::object::{self, Object, at, items, map_mut, number, set, text};
use crate::kubernetes::{NodeFacts, NodeRole};

const NODES: &str = "/nodes";
const LEASES: &str = "coordination.k8s.io/leases";
/// Where kubelets keep their leases.
const LEASE_NAMESPACE: &str = "kube-node-lease";

/// How often a kubelet renews its lease (`nodeLeaseDurationSeconds` is 40, a quarter of it).
const RENEW: Duration = Duration::from_secs(10);
/// Renewed no more often than this in real time, however fast the sandbox's clock runs: every
/// renewal is a write.
const RENEW_REAL: Duration = Duration::from_millis(200);

/// From registration until the kubelet reports Ready.
const READY: Duration = Duration::from_secs(10);

/// Silence after which a node counts as not ready (the controller manager's grace period).
const SILENT: Duration = Duration::from_secs(40);

/// The cloud controller manager's round.
const CLOUD: Duration = Duration::from_secs(5);

/// Taint of nodes the cloud controller manager has not seen.
pub(super) const UNINITIALIZED: &str = "node.cloudprovider.kubernetes.io/uninitialized";
const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
/// Taint the cloud controller manager gives a node whose machine exists and is off.
const SHUTDOWN: &str = "node.cloudprovider.kubernetes.io/shutdown";

/// Labels the cloud controller manager sets.
const CLOUD_LABELS: &[&str] = &[
    "topology.kubernetes.io/region",
    "node.kubernetes.io/instance-type",
];

/// One pass over all nodes.
pub(super) fn reconcile(pass: &mut Pass<'_>) {
    let cloud = cloud_controller_works(pass);
    for (name, record) in pass.nodes.clone() {
        match pass.get(NODES, "", &name) {
            None if record.lost => {}
            None => drop(pass.create(new_node(pass, &record))),
            Some(node) => {
                follow(pass, &node, &record);
                if !record.lost {
                    renew(pass, &node);
                }
                if cloud {
                    initialise(pass, &node, &record);
                }
            }
        }
    }
}

/// The real manager's conditions: its pod runs, and has a token to ask DigitalOcean with.
pub(super) fn cloud_controller_works(pass: &Pass<'_>) -> bool {
    let deployment = pass.get(
        "apps/deployments",
        "kube-system",
        "digitalocean-cloud-controller-manager",
    );
    let available =
        deployment.is_some_and(|d| number(&d, &["status", "availableReplicas"]).unwrap_or(0) > 0);
    let secret = pass.get("/secrets", "kube-system", "digitalocean");
    available
        && secret
            .is_some_and(|s| text(&s, &["data", "access-token"]).is_some_and(|t| !t.is_empty()))
}

fn new_node(pass: &Pass<'_>, record: &NodeRecord) -> Value {
    let facts = &record.facts;
    let mut labels = Map::new();
    for (key, value) in [
        ("kubernetes.io/hostname", facts.name.as_str()),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", "amd64"),
        ("beta.kubernetes.io/os", "linux"),
        ("beta.kubernetes.io/arch", "amd64"),
    ] {
        labels.insert(key.to_owned(), value.into());
    }
    if facts.role == NodeRole::Server {
        labels.insert(
            "node-role.kubernetes.io/control-plane".to_owned(),
            "true".into(),
        );
    }
    labels.extend(own_labels(facts));
    let mut taints: Vec<Value> = facts
        .taints
        .iter()
        .map(|(key, value, effect)| json!({"key": key, "value": value, "effect": effect}))
        .collect();
    taints.push(json!({"key": NOT_READY, "effect": "NoSchedule"}));
    let cidr = free_cidr(pass);
    let mut annotations = json!({"node.alpha.kubernetes.io/ttl": "0"});
    if let Some(args) = said(facts) {
        annotations[NODE_ARGS] = args.into();
    }
    let mut node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": facts.name, "labels": labels, "annotations": annotations},
        "spec": {"providerID": facts.provider_id, "podCIDR": cidr, "podCIDRs": [cidr], "taints": taints},
    });
    if facts.etcd {
        mark_member(&mut node, facts);
    }
    node
}

/// The labels of K3s's configuration.
fn own_labels(facts: &NodeFacts) -> impl Iterator<Item = (String, Value)> {
    let own = facts.labels.iter();
    let own = own.filter(|(key, _)| !CLOUD_LABELS.contains(&key.as_str()));
    own.map(|(key, value)| (key.clone(), value.as_str().into()))
}

/// Where K3s says what it was started with.
const NODE_ARGS: &str = "k3s.io/node-args";

/// What K3s says so, where it says anything.
fn said(facts: &NodeFacts) -> Option<String> {
    let args = (!facts.args.is_empty()).then_some(&facts.args)?;
    serde_json::to_string(args).ok()
}

const MEMBER: &str = "node-role.kubernetes.io/etcd";

/// What a server that is a member of etcd says on its Node when it starts.
fn mark_member(node: &mut Value, facts: &NodeFacts) {
    map_mut(node, &["metadata", "labels"]).insert(MEMBER.to_owned(), "true".into());
    let annotations = map_mut(node, &["metadata", "annotations"]);
    for (key, value) in [
        ("etcd.k3s.cattle.io/node-name", facts.name.clone()),
        (
            "etcd.k3s.cattle.io/node-address",
            facts.internal_ip.to_string(),
        ),
    ] {
        annotations.insert(key.to_owned(), value.into());
    }
}

/// The first /24 of the pod network that no node has. K3s gives each node one, and takes it back
/// with the Node object.
fn free_cidr(pass: &Pass<'_>) -> String {
    let nodes = pass.all(NODES);
    let taken: BTreeSet<&str> = nodes
        .iter()
        .filter_map(|node| text(node, &["spec", "podCIDR"]))
        .collect();
    (0..=255)
        .map(|third| format!("10.42.{third}.0/24"))
        .find(|cidr| !taken.contains(cidr.as_str()))
        .unwrap_or_default()
}

/// What the kubelet reports.
fn status(pass: &Pass<'_>, node: &mut Value, record: &NodeRecord, ready: bool) {
    let facts = &record.facts;
    let memory = format!("{}Ki", u64::from(facts.memory_mib) * 1024);
    let resources = json!({"cpu": facts.cpu.to_string(), "memory": memory, "pods": "110"});
    if items(node, &["status", "addresses"]).is_empty() {
        let addresses = json!([
            {"type": "InternalIP", "address": facts.internal_ip.to_string()},
            {"type": "Hostname", "address": facts.name},
        ]);
        set(node, &["status", "addresses"], addresses);
    }
    set(node, &["status", "capacity"], resources.clone());
    set(node, &["status", "allocatable"], resources);
    let info = json!({
        "kubeletVersion": pass.version_of(record),
        "osImage": "Ubuntu 24.04 LTS",
        "kernelVersion": "6.8.0",
        "containerRuntimeVersion": "containerd://2.1.5-k3s1",
        "operatingSystem": "linux",
        "architecture": "amd64",
        "machineID": "", "systemUUID": "", "bootID": "", "kubeProxyVersion": "",
    });
    set(node, &["status", "nodeInfo"], info);
    for (kind, reason) in [
        ("MemoryPressure", "KubeletHasSufficientMemory"),
        ("DiskPressure", "KubeletHasNoDiskPressure"),
        ("PIDPressure", "KubeletHasSufficientPID"),
    ] {
        pass.set_condition(
            node,
            kind,
            false,
            reason,
            "kubelet has sufficient resources",
        );
    }
    if ready {
        pass.set_condition(
            node,
            "Ready",
            true,
            "KubeletReady",
            "kubelet is posting ready status",
        );
    } else {
        pass.set_condition(
            node,
            "Ready",
            false,
            "KubeletNotReady",
            "container runtime network not ready",
        );
    }
    let now = pass.server.now();
    each_condition(node, |condition| {
        condition["lastHeartbeatTime"] = now.clone().into();
    });
}

fn each_condition(node: &mut Value, change: impl Fn(&mut Value)) {
    let mut conditions = items(node, &["status", "conditions"]).to_vec();
    conditions.iter_mut().for_each(change);
    set(node, &["status", "conditions"], conditions);
}

/// What the node controller makes of a kubelet that fell silent: nobody knows. The last heartbeat
/// stays as the kubelet wrote it.
fn unknown(pass: &Pass<'_>, node: &mut Value) {
    let now = pass.server.now();
    each_condition(node, |condition| {
        condition["status"] = "Unknown".into();
        condition["reason"] = "NodeStatusUnknown".into();
        condition["message"] = "Kubelet stopped posting node status.".into();
        condition["lastTransitionTime"] = now.clone().into();
    });
}

/// The kubelet's sign of life.
fn renew(pass: &mut Pass<'_>, node: &Object) {
    let name = object::name(node);
    let now = format!("{:.6}", pass.server.clock.now());
    let Some(lease) = pass.get(LEASES, LEASE_NAMESPACE, name) else {
        let owner = json!({
            "apiVersion": "v1", "kind": "Node", "name": name, "uid": object::uid(node),
        });
        drop(pass.create(json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": name, "namespace": LEASE_NAMESPACE, "ownerReferences": [owner]},
            "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": now},
        })));
        return;
    };
    let last = text(&lease, &["spec", "renewTime"]).unwrap_or_default();
    let real = pass.server.clock.scaled(RENEW).as_secs_f64();
    let slower = (RENEW_REAL.as_secs_f64() / real.max(f64::EPSILON)).max(1.0);
    if pass.due(&format!("renew {last}"), &lease, RENEW.mul_f64(slower)) {
        pass.adjust(LEASES, &lease, |lease| {
            set(lease, &["spec", "renewTime"], now);
        });
    }
}

fn has_taint(node: &Value, key: &str) -> bool {
    items(node, &["spec", "taints"])
        .iter()
        .any(|taint| taint["key"] == key)
}

fn set_taint(node: &mut Value, key: &str, effects: &[&str]) {
    let mut taints = items(node, &["spec", "taints"]).to_vec();
    taints.retain(|taint| taint["key"] != key);
    taints.extend(
        effects
            .iter()
            .map(|effect| json!({"key": key, "effect": effect})),
    );
    if taints.is_empty() {
        object::remove(node, &["spec", "taints"]);
    } else {
        set(node, &["spec", "taints"], taints);
    }
}

/// Readiness follows the kubelet.
fn follow(pass: &mut Pass<'_>, node: &Object, record: &NodeRecord) {
    let was_ready = object::is_true(node, "Ready");
    if record.lost {
        let silent = was_ready && pass.due("silent", node, SILENT);
        if silent {
            pass.adjust(NODES, node, |node| unknown(pass, node));
            pass.adjust(NODES, node, |node| {
                set_taint(node, UNREACHABLE, &["NoSchedule", "NoExecute"]);
            });
        }
        return;
    }
    if at(node, &["status", "nodeInfo"]).is_none() {
        pass.adjust(NODES, node, |node| status(pass, node, record, false));
        return;
    }
    if record.facts.etcd && object::label(node, MEMBER).is_none() {
        // It was registered before its server had etcd.
        pass.adjust(NODES, node, |node| mark_member(node, &record.facts));
        return;
    }
    if record.started {
        // K3s gives its node the labels it was started with, at every start; what else is there stays.
        pass.adjust(NODES, node, |node| {
            let labels = map_mut(node, &["metadata", "labels"]);
            labels.extend(own_labels(&record.facts));
        });
        pass.labelled(&record.facts.name);
        return;
    }
    if let Some(args) = said(&record.facts)
        && text(node, &["metadata", "annotations", NODE_ARGS]) != Some(&args)
    {
        // K3s was started again with another configuration.
        pass.adjust(NODES, node, |node| {
            map_mut(node, &["metadata", "annotations"]).insert(NODE_ARGS.to_owned(), args.into());
        });
        return;
    }
    if text(node, &["status", "nodeInfo", "kubeletVersion"]) != Some(pass.version_of(record)) {
        // K3s was started again as another version.
        pass.adjust(NODES, node, |node| status(pass, node, record, false));
        pass.adjust(NODES, node, |node| {
            set_taint(node, NOT_READY, &["NoSchedule"]);
        });
        return;
    }
    if !was_ready && pass.due("ready", node, READY) {
        pass.adjust(NODES, node, |node| status(pass, node, record, true));
        pass.adjust(NODES, node, |node| {
            set_taint(node, NOT_READY, &[]);
            set_taint(node, UNREACHABLE, &[]);
        });
    }
}

/// What the cloud controller manager does to a node.
fn initialise(pass: &mut Pass<'_>, node: &Object, record: &NodeRecord) {
    if record.lost {
        // It asks DigitalOcean only about nodes that are not ready.
        if object::is_true(node, "Ready") {
            return;
        }
        if record.gone {
            if pass.due("cloud-gone", node, CLOUD) {
                pass.delete(NODES, node);
            }
        } else if !has_taint(node, SHUTDOWN) && pass.due("cloud-off", node, CLOUD) {
            pass.adjust(NODES, node, |node| {
                set_taint(node, SHUTDOWN, &["NoSchedule"]);
            });
        }
        return;
    }
    if has_taint(node, SHUTDOWN) && object::is_true(node, "Ready") {
        pass.adjust(NODES, node, |node| set_taint(node, SHUTDOWN, &[]));
        return;
    }
    if !has_taint(node, UNINITIALIZED) || !pass.due("cloud", node, CLOUD) {
        return;
    }
    let facts = &record.facts;
    pass.adjust(NODES, node, |node| {
        let mut addresses = items(node, &["status", "addresses"]).to_vec();
        addresses.retain(|address| address["type"] != "ExternalIP");
        if let Some(ip) = facts.external_ip {
            addresses.push(json!({"type": "ExternalIP", "address": ip.to_string()}));
        }
        set(node, &["status", "addresses"], addresses);
    });
    pass.adjust(NODES, node, |node| {
        set_taint(node, UNINITIALIZED, &[]);
        for key in CLOUD_LABELS {
            if let Some(value) = facts.labels.get(*key) {
                map_mut(node, &["metadata", "labels"])
                    .insert((*key).to_owned(), value.as_str().into());
            }
        }
    });
}
