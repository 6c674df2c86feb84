//! Kubelets: pods on living nodes start, run, finish and end.

use std::time::Duration;

use serde_json::{Value, json};

use super::Pass;
use super::workload::PODS;
use super::{digitalocean, helm, host, init_containers, upgrade};
use crate::kubernetes::object::{self, Object, flag, items, map, number, set, text};

/// Pulling images and starting containers.
const START: Duration = Duration::from_secs(6);

/// How long a pod that runs to completion runs.
const RUN: Duration = Duration::from_secs(5);

/// How long containers take to stop.
const STOP: Duration = Duration::from_secs(2);

/// Pause before a container that ended is started again for the second time; it doubles with every
/// further one, up to the other. Source: the kubelet's `initialBackOff` and `MaxContainerBackOff`.
const RESTART: (Duration, Duration) = (Duration::from_secs(10), Duration::from_mins(5));

/// How far a container is.
pub(super) enum Step {
    Runs,
    /// It ended well, with this termination message.
    Done(String),
    /// It ended with an error, and says this.
    Failed(String),
}

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
            "Running" if crashed(&pod) => restart(pass, &pod),
            "Running" if ends(&pod) => finish(pass, &pod),
            _ => {}
        }
    }
}

/// Whether its container ended and waits for being started again.
fn crashed(pod: &Value) -> bool {
    let mut statuses = items(pod, &["status", "containerStatuses"]).iter();
    statuses.any(|status| status["state"].get("waiting").is_some())
}

/// How often the pod's containers were started again.
pub(super) fn restarts(pod: &Value) -> i64 {
    let statuses = items(pod, &["status", "containerStatuses"]).iter();
    let counts = statuses.filter_map(|status| number(status, &["restartCount"]));
    counts.sum()
}

/// How long a container stays down that was started again so often before.
fn pause(restarts: i64) -> Duration {
    let (first, longest) = RESTART;
    let Some(doubled) = u32::try_from(restarts - 1).ok() else {
        return Duration::ZERO;
    };
    let factor = 2_u32.checked_pow(doubled).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(longest)
}

/// A container that failed goes down, to be started again.
fn crash(pass: &Pass<'_>, pod: &Object, ended: &Value) {
    let wait = pause(restarts(pod)).as_secs();
    let message = format!("back-off {wait}s restarting failed container");
    let waiting = json!({"waiting": {"reason": "CrashLoopBackOff", "message": message}});
    pass.adjust(PODS, pod, |pod| {
        let mut statuses = containers(pod, &waiting, false);
        for status in &mut statuses {
            status["lastState"] = ended.clone();
        }
        set(pod, &["status", "containerStatuses"], statuses);
        for kind in ["ContainersReady", "Ready"] {
            pass.set_condition(pod, kind, false, "ContainersNotReady", "");
        }
    });
}

fn restart(pass: &mut Pass<'_>, pod: &Object) {
    let count = restarts(pod);
    if !pass.due(&format!("restart {count}"), pod, pause(count)) {
        return;
    }
    let running = json!({"running": {"startedAt": pass.server.now()}});
    pass.adjust(PODS, pod, |pod| {
        let mut statuses = containers(pod, &running, true);
        for status in &mut statuses {
            let before = number(status, &["restartCount"]).unwrap_or(0);
            status["restartCount"] = (before + 1).into();
        }
        set(pod, &["status", "containerStatuses"], statuses);
        for kind in ["ContainersReady", "Ready"] {
            pass.set_condition(pod, kind, true, "", "");
        }
    });
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
    if let Some(volume) = digitalocean::unattached(pass, pod) {
        let message = format!("volume {volume} is not attached to the node");
        waits(pass, pod, "ContainerCreating", &message);
        return;
    }
    if !pass.due("start", pod, START) || !init_containers::ended(pass, pod) {
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
    let volumes = items(pod, &["spec", "volumes"]);
    let projected = volumes
        .iter()
        .flat_map(|volume| items(volume, &["projected", "sources"]));
    for source in volumes.iter().chain(projected) {
        // A projected Secret has a `name` where a volume has a `secretName`.
        for (field, kind, key) in [
            ("secret", "secret", "secretName"),
            ("secret", "secret", "name"),
            ("configMap", "configmap", "name"),
        ] {
            if let Some(name) = text(source, &[field, key])
                && !flag(source, &[field, "optional"])
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
    let before = items(pod, &["status", "containerStatuses"]);
    let all = items(pod, &["spec", "containers"]).iter();
    all.enumerate()
        .map(|(index, container)| {
            let old = before.get(index);
            let count = old.and_then(|old| number(old, &["restartCount"]));
            let mut status = json!({
                "name": container["name"], "image": container["image"], "imageID": "",
                "ready": ready, "started": ready, "restartCount": count.unwrap_or(0),
                "state": state,
            });
            if let Some(last) = old.and_then(|old| old.get("lastState")) {
                status["lastState"] = last.clone();
            }
            status
        })
        .collect()
}

fn finish(pass: &mut Pass<'_>, pod: &Object) {
    let mut step = upgrade::step(pass, pod);
    if step.is_none() {
        step = helm::step(pass, pod);
    }
    if step.is_none() {
        step = host::step(pass, pod);
    }
    let (failed, message) = match step {
        Some(Step::Failed(why)) => (true, why),
        Some(Step::Done(message)) => (false, message),
        None if pass.due("run", pod, RUN) => (false, String::new()),
        Some(Step::Runs) | None => return,
    };
    let now = pass.server.now();
    let (phase, code, reason, why) = if failed {
        ("Failed", 1, "Error", "PodFailed")
    } else {
        ("Succeeded", 0, "Completed", "PodCompleted")
    };
    let mut ended = json!({"exitCode": code, "reason": reason, "finishedAt": now});
    if !message.is_empty() {
        ended["message"] = message.into();
    }
    let ended = json!({"terminated": ended});
    if failed && text(pod, &["spec", "restartPolicy"]) == Some("OnFailure") {
        crash(pass, pod, &ended);
        return;
    }
    pass.adjust(PODS, pod, |pod| {
        set(pod, &["status", "phase"], phase);
        set(
            pod,
            &["status", "containerStatuses"],
            containers(pod, &ended, false),
        );
        for kind in ["ContainersReady", "Ready"] {
            pass.set_condition(pod, kind, false, why, "");
        }
    });
}
