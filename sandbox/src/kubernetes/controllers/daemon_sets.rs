//! `DaemonSet`s: one pod on every node that takes it.

use serde_json::{Value, json};

use super::Pass;
use super::scheduler::{selected, tolerated};
use super::workload::{PODS, active, owned_pods, pod_of, set_label, template_hash};
use crate::kubernetes::object::{self, Object, items, set, text};

const DAEMON_SETS: &str = "apps/daemonsets";
const REVISION: &str = "controller-revision-hash";

/// One pass over all daemon sets.
pub(super) fn reconcile(pass: &mut Pass<'_>) {
    for set in pass.all(DAEMON_SETS) {
        if !object::terminating(&set) {
            one(pass, &set);
        }
    }
}

fn one(pass: &Pass<'_>, owner: &Object) {
    let hash = template_hash(&owner["spec"]["template"]);
    let template = template(owner);
    let eligible: Vec<Object> = pass
        .all("/nodes")
        .into_iter()
        .filter(|node| !object::terminating(node) && selected(&template, node))
        .filter(|node| {
            items(node, &["spec", "taints"])
                .iter()
                .all(|taint| tolerated(&template, taint))
        })
        .collect();
    let pods = owned_pods(pass, owner);
    let on = |pod: &Value| {
        text(pod, &["spec", "nodeName"])
            .unwrap_or_default()
            .to_owned()
    };
    for node in &eligible {
        let name = object::name(node);
        if !pods.iter().any(|pod| on(pod) == name) {
            pass.create(pod(owner, &template, name, &hash));
        }
    }
    for pod in pods.iter().filter(|pod| !object::terminating(pod)) {
        let homeless = !eligible.iter().any(|node| object::name(node) == on(pod));
        if homeless || !active(pod) {
            pass.delete(PODS, pod);
        }
    }
    let outdated = |pod: &&Object| active(pod) && object::label(pod, REVISION) != Some(&hash);
    let all_ready = pods.iter().all(|pod| object::serves(pod));
    if all_ready && let Some(pod) = pods.iter().find(outdated) {
        pass.delete(PODS, pod);
    }
    super::revisions::record(pass, owner, &hash);
    status(pass, owner, eligible.len(), &hash);
}

/// The template with the tolerations every daemon pod gets.
fn template(owner: &Value) -> Value {
    let mut template = owner["spec"]["template"].clone();
    let mut tolerations = items(&template, &["spec", "tolerations"]).to_vec();
    for (key, effect) in [
        ("node.kubernetes.io/not-ready", "NoExecute"),
        ("node.kubernetes.io/unreachable", "NoExecute"),
        ("node.kubernetes.io/disk-pressure", "NoSchedule"),
        ("node.kubernetes.io/memory-pressure", "NoSchedule"),
        ("node.kubernetes.io/pid-pressure", "NoSchedule"),
        ("node.kubernetes.io/unschedulable", "NoSchedule"),
    ] {
        tolerations.push(json!({"key": key, "operator": "Exists", "effect": effect}));
    }
    set(&mut template, &["spec", "tolerations"], tolerations);
    template
}

fn pod(owner: &Value, template: &Value, node: &str, hash: &str) -> Value {
    let mut pod = pod_of(owner, template);
    set(
        &mut pod,
        &["metadata", "generateName"],
        format!("{}-", object::name(owner)),
    );
    set_label(&mut pod, REVISION, hash);
    // The real controller pins the pod by affinity and lets the scheduler bind it.
    set(&mut pod, &["spec", "nodeName"], node);
    pod
}

fn status(pass: &Pass<'_>, owner: &Object, wanted: usize, hash: &str) {
    let pods = owned_pods(pass, owner);
    let current = pods.iter().filter(|pod| active(pod)).count();
    let serving = pods.iter().filter(|pod| object::serves(pod)).count();
    let updated = pods
        .iter()
        .filter(|pod| active(pod) && object::label(pod, REVISION) == Some(hash))
        .count();
    pass.adjust(DAEMON_SETS, owner, |object| {
        let generation = object["metadata"]["generation"].clone();
        set(object, &["status", "observedGeneration"], generation);
        for (field, count) in [
            ("desiredNumberScheduled", wanted),
            ("currentNumberScheduled", current),
            ("numberReady", serving),
            ("numberMisscheduled", 0),
        ] {
            set(object, &["status", field], count);
        }
        for (field, count) in [
            ("numberAvailable", serving),
            ("updatedNumberScheduled", updated),
            ("numberUnavailable", wanted.saturating_sub(serving)),
        ] {
            super::replica_sets::counted(object, field, count);
        }
    });
}
