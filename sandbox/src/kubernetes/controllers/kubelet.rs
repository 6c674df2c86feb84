//! Kubelets: pods on living nodes start, run, finish and end.

use std::time::Duration;

use serde_json::{Value, json};

use super::Pass;
use super::upgrade::{self, Step};
use super::workload::PODS;
use crate::kubernetes::object::{self, Object, flag, items, map, set, text};

/// Pulling images and starting containers.
const START: Duration = Duration::from_secs(6);

/// How long a pod that runs to completion runs.
const RUN: Duration = Duration::from_secs(5);

/// How long containers take to stop.
const STOP: Duration = Duration::from_secs(2);

/// One pass over all pods that have a node.
pub(super) fn reconcile(pass: &mut Pass<'_>) {
    for pod in pass.all(PODS) {
        let Some(node) = text(&pod, &["spec", "nodeName"]).filter(|node| !node.is_empty()) else {
            continue;
        };
        if pass.get("/nodes", "", node).is_none() {
            // The pod collector: nobody will ever end a pod whose node is gone.
            pass.server.erase(PODS, &pod);
            continue;
        }
        if pass.nodes.get(node).is_none_or(|record| record.lost) {
            continue;
        }
        if object::terminating(&pod) {
            if items(&pod, &["metadata", "finalizers"]).is_empty() && pass.due("stop", &pod, STOP) {
                pass.server.erase(PODS, &pod);
            }
            continue;
        }
        match text(&pod, &["status", "phase"]).unwrap_or("Pending") {
            "Pending" => start(pass, &pod),
            "Running" if ends(&pod) => finish(pass, &pod),
            _ => {}
        }
    }
}

/// Whether the pod is meant to end by itself.
fn ends(pod: &Value) -> bool {
    text(pod, &["spec", "restartPolicy"]).is_some_and(|policy| policy != "Always")
}

fn start(pass: &mut Pass<'_>, pod: &Object) {
    super::argocd::init_containers(pass, pod);
    if let Some((reason, message)) = missing(pass, pod) {
        waits(pass, pod, reason, &message);
        return;
    }
    if !pass.due("start", pod, START) || !upgrade::initialised(pass, pod) {
        return;
    }
    let now = pass.server.now();
    let address = address(pass, pod);
    let host = text(pod, &["spec", "nodeName"]).and_then(|node| pass.nodes.get(node));
    let host = host.map_or_else(String::new, |record| record.facts.internal_ip.to_string());
    pass.adjust(PODS, pod, |pod| {
        set(pod, &["status", "phase"], "Running");
        set(pod, &["status", "startTime"], now.clone());
        set(pod, &["status", "podIP"], address.clone());
        set(pod, &["status", "podIPs"], json!([{"ip": address}]));
        set(pod, &["status", "hostIP"], host.clone());
        set(pod, &["status", "hostIPs"], json!([{"ip": host}]));
        let running = json!({"running": {"startedAt": now}});
        set(
            pod,
            &["status", "containerStatuses"],
            containers(pod, &running, true),
        );
        for kind in ["Initialized", "ContainersReady", "Ready"] {
            pass.set_condition(pod, kind, true, "", "");
        }
    });
}

/// Shows why a pod's containers do not start.
pub(super) fn waits(pass: &Pass<'_>, pod: &Object, reason: &str, message: &str) {
    pass.adjust(PODS, pod, |pod| {
        set(pod, &["status", "phase"], "Pending");
        let waiting = json!({"waiting": {"reason": reason, "message": message}});
        set(
            pod,
            &["status", "containerStatuses"],
            containers(pod, &waiting, false),
        );
        pass.set_condition(pod, "Ready", false, "ContainersNotReady", message);
    });
}

/// The node's address for pods of its network, otherwise one of the node's pod range.
fn address(pass: &Pass<'_>, pod: &Value) -> String {
    let node = text(pod, &["spec", "nodeName"]).unwrap_or_default();
    if flag(pod, &["spec", "hostNetwork"]) {
        return pass
            .nodes
            .get(node)
            .map_or_else(String::new, |record| record.facts.internal_ip.to_string());
    }
    let cidr = pass.get("/nodes", "", node);
    let cidr = cidr
        .as_ref()
        .and_then(|node| text(node, &["spec", "podCIDR"]))
        .unwrap_or("10.42.0.0/24");
    let prefix = cidr
        .rsplit_once('.')
        .map_or("10.42.0", |(prefix, _)| prefix);
    format!("{prefix}.{}", 2 + pass.server.rng.u64() % 250)
}

/// A secret or config map the pod cannot start without and that is not there.
fn missing(pass: &Pass<'_>, pod: &Value) -> Option<(&'static str, String)> {
    let namespace = object::namespace(pod);
    let lacks = |kind: &str, name: &str, key: Option<&str>| {
        let collection = if kind == "secret" {
            "/secrets"
        } else {
            "/configmaps"
        };
        match (pass.get(collection, namespace, name), key) {
            (None, _) => Some(format!("{kind} \"{name}\" not found")),
            (Some(found), Some(key)) => {
                let has = ["data", "binaryData"]
                    .iter()
                    .any(|field| map(&found, &[field]).is_some_and(|m| m.contains_key(key)));
                (!has).then(|| format!("couldn't find key {key} in {kind} {namespace}/{name}"))
            }
            _ => None,
        }
    };
    for volume in items(pod, &["spec", "volumes"]) {
        for (field, kind, key) in [
            ("secret", "secret", "secretName"),
            ("configMap", "configmap", "name"),
        ] {
            if let Some(name) = text(volume, &[field, key])
                && !flag(volume, &[field, "optional"])
                && let Some(why) = lacks(kind, name, None)
            {
                return Some((
                    "ContainerCreating",
                    format!("MountVolume.SetUp failed: {why}"),
                ));
            }
        }
    }
    for container in ["initContainers", "containers"]
        .iter()
        .flat_map(|list| items(pod, &["spec", list]))
    {
        for source in items(container, &["envFrom"]) {
            for (field, kind) in [("secretRef", "secret"), ("configMapRef", "configmap")] {
                if let Some(name) = text(source, &[field, "name"])
                    && !flag(source, &[field, "optional"])
                    && let Some(why) = lacks(kind, name, None)
                {
                    return Some(("CreateContainerConfigError", why));
                }
            }
        }
        for variable in items(container, &["env"]) {
            for (field, kind) in [("secretKeyRef", "secret"), ("configMapKeyRef", "configmap")] {
                let Some(reference) = object::at(variable, &["valueFrom", field]) else {
                    continue;
                };
                let name = text(reference, &["name"]).unwrap_or_default();
                if !flag(reference, &["optional"])
                    && let Some(why) = lacks(kind, name, text(reference, &["key"]))
                {
                    return Some(("CreateContainerConfigError", why));
                }
            }
        }
    }
    None
}

fn containers(pod: &Value, state: &Value, ready: bool) -> Vec<Value> {
    items(pod, &["spec", "containers"])
        .iter()
        .map(|container| {
            json!({
                "name": container["name"], "image": container["image"], "imageID": "",
                "ready": ready, "started": ready, "restartCount": 0, "state": state,
            })
        })
        .collect()
}

fn finish(pass: &mut Pass<'_>, pod: &Object) {
    let failed = match upgrade::step(pass, pod) {
        Some(Step::Failed(why)) => Some(why),
        Some(Step::Done) => None,
        None if pass.due("run", pod, RUN) => None,
        Some(Step::Runs) | None => return,
    };
    let now = pass.server.now();
    let (phase, ended) = match &failed {
        None => (
            "Succeeded",
            json!({"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": now}}),
        ),
        Some(why) => (
            "Failed",
            json!({"terminated": {"exitCode": 1, "reason": "Error", "message": why, "finishedAt": now}}),
        ),
    };
    let reason = if failed.is_none() {
        "PodCompleted"
    } else {
        "PodFailed"
    };
    pass.adjust(PODS, pod, |pod| {
        set(pod, &["status", "phase"], phase);
        set(
            pod,
            &["status", "containerStatuses"],
            containers(pod, &ended, false),
        );
        for kind in ["ContainersReady", "Ready"] {
            pass.set_condition(pod, kind, false, reason, "");
        }
    });
}
