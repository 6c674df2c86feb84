//! The scheduler: pods go to ready nodes that their selectors, affinities and tolerations allow.
//!
//! Resource requests are not weighed: every node takes any number of pods.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Pass;
use super::claims::claim_of;
use super::workload::PODS;
use crate::kubernetes::object::{self, Object, at, flag, items, map, set, text};
use crate::kubernetes::selector::LabelSelector;

/// One pass over all pods that have no node.
pub(super) fn reconcile(pass: &mut Pass<'_>) {
    let pods = pass.all(PODS);
    let waiting: Vec<&Object> = pods
        .iter()
        .filter(|pod| {
            text(pod, &["spec", "nodeName"]).is_none_or(str::is_empty) && !object::terminating(pod)
        })
        .collect();
    if waiting.is_empty() {
        return;
    }
    let nodes = pass.all("/nodes");
    // What has ended is in nobody's way.
    let mut placed: Vec<(String, Object)> = pods
        .iter()
        .filter(|pod| !object::ended(pod))
        .filter_map(|pod| {
            text(pod, &["spec", "nodeName"]).map(|node| (node.to_owned(), pod.clone()))
        })
        .collect();
    for pod in waiting {
        place(pass, pod, &nodes, &mut placed);
    }
}

fn place(pass: &Pass<'_>, pod: &Object, nodes: &[Object], placed: &mut Vec<(String, Object)>) {
    let mut load: BTreeMap<&str, usize> = BTreeMap::new();
    for (node, _) in placed.iter() {
        *load.entry(node).or_default() += 1;
    }
    let why = unbound_claim(pass, pod);
    let best = nodes
        .iter()
        .filter(|node| why.is_none() && fits(pod, node) && apart(pod, node, placed))
        .min_by_key(|node| {
            (
                load.get(object::name(node)).copied().unwrap_or(0),
                object::name(node).to_owned(),
            )
        });
    if let Some(node) = best {
        let name = object::name(node).to_owned();
        pass.adjust(PODS, pod, |pod| {
            set(pod, &["spec", "nodeName"], name.clone());
        });
        pass.adjust(PODS, pod, |pod| {
            pass.set_condition(pod, "PodScheduled", true, "", "");
        });
        placed.push((name, pod.clone()));
        return;
    }
    let message = why.unwrap_or_else(|| {
        format!("0/{} nodes are available: no node matches the pod's selectors, affinity and tolerations", nodes.len())
    });
    pass.adjust(PODS, pod, |pod| {
        set(pod, &["status", "phase"], "Pending");
        pass.set_condition(pod, "PodScheduled", false, "Unschedulable", &message);
    });
}

/// Why a pod's claims keep it waiting.
fn unbound_claim(pass: &Pass<'_>, pod: &Value) -> Option<String> {
    for volume in items(pod, &["spec", "volumes"]) {
        let Some(name) = claim_of(pod, volume) else {
            continue;
        };
        let Some(claim) = pass.get("/persistentvolumeclaims", object::namespace(pod), &name) else {
            return Some(format!("persistentvolumeclaim \"{name}\" not found"));
        };
        if text(&claim, &["status", "phase"]) != Some("Bound") {
            return Some(format!(
                "pod has unbound immediate PersistentVolumeClaims: {name}"
            ));
        }
    }
    None
}

/// Whether a node may run a pod, other pods aside.
pub(super) fn fits(pod: &Value, node: &Value) -> bool {
    !object::terminating(node)
        && object::is_true(node, "Ready")
        && (!flag(node, &["spec", "unschedulable"])
            || tolerates_key(pod, "node.kubernetes.io/unschedulable"))
        && selected(pod, node)
        && items(node, &["spec", "taints"])
            .iter()
            .all(|taint| tolerated(pod, taint))
}

/// `nodeSelector` and required node affinity.
pub(super) fn selected(pod: &Value, node: &Value) -> bool {
    let labels = map(node, &["metadata", "labels"]);
    let selector = at(pod, &["spec", "nodeSelector"])
        .cloned()
        .unwrap_or_default();
    if !LabelSelector::of_spec(&json!({"matchLabels": selector})).matches(labels) {
        return false;
    }
    let required = [
        "spec",
        "affinity",
        "nodeAffinity",
        "requiredDuringSchedulingIgnoredDuringExecution",
        "nodeSelectorTerms",
    ];
    let terms = items(pod, &required);
    terms.is_empty()
        || terms
            .iter()
            .any(|term| LabelSelector::of_spec(term).matches(labels))
}

fn tolerates_key(pod: &Value, key: &str) -> bool {
    tolerated(pod, &json!({"key": key, "effect": "NoSchedule"}))
}

/// Whether a taint lets the pod in.
pub(super) fn tolerated(pod: &Value, taint: &Value) -> bool {
    let effect = text(taint, &["effect"]).unwrap_or_default();
    if effect == "PreferNoSchedule" {
        return true;
    }
    items(pod, &["spec", "tolerations"])
        .iter()
        .any(|toleration| {
            let key = text(toleration, &["key"]).unwrap_or_default();
            let wanted = text(toleration, &["effect"]).unwrap_or_default();
            let exists = text(toleration, &["operator"]) == Some("Exists");
            let same_key = (key.is_empty() && exists) || Some(key) == text(taint, &["key"]);
            let value = |object: &Value| text(object, &["value"]).unwrap_or_default().to_owned();
            same_key
                && (wanted.is_empty() || wanted == effect)
                && (exists || value(toleration) == value(taint))
        })
}

/// Required anti-affinity: no pod the terms select in the same topology.
fn apart(pod: &Value, node: &Value, placed: &[(String, Object)]) -> bool {
    let required = [
        "spec",
        "affinity",
        "podAntiAffinity",
        "requiredDuringSchedulingIgnoredDuringExecution",
    ];
    items(pod, &required).iter().all(|term| {
        // Topologies other than the host would need the labels of the other pods' nodes; a
        // single-region cluster has one of each, and the real charts ask for hosts.
        if text(term, &["topologyKey"]) != Some("kubernetes.io/hostname") {
            return true;
        }
        let selector = LabelSelector::of_spec(&term["labelSelector"]);
        !placed.iter().any(|(on, other)| {
            on == object::name(node)
                && object::namespace(other) == object::namespace(pod)
                && selector.matches(map(other, &["metadata", "labels"]))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(taints: &Value) -> Value {
        json!({
            "metadata": {"name": "a", "labels": {"tier": "app"}},
            "spec": {"taints": taints},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        })
    }

    #[test]
    fn selectors_and_taints_decide() {
        let free = node(&json!([]));
        assert!(fits(&json!({"spec": {}}), &free));
        assert!(fits(
            &json!({"spec": {"nodeSelector": {"tier": "app"}}}),
            &free
        ));
        assert!(!fits(
            &json!({"spec": {"nodeSelector": {"tier": "db"}}}),
            &free
        ));
        let tainted = node(&json!([{"key": "k", "value": "true", "effect": "NoSchedule"}]));
        assert!(!fits(&json!({"spec": {}}), &tainted));
        for (toleration, expected) in [
            (
                json!({"key": "k", "value": "true", "effect": "NoSchedule"}),
                true,
            ),
            (json!({"key": "k", "value": "false"}), false),
            (json!({"key": "k", "operator": "Exists"}), true),
            (json!({"operator": "Exists"}), true),
            (
                json!({"key": "k", "operator": "Exists", "effect": "NoExecute"}),
                false,
            ),
        ] {
            let pod = json!({"spec": {"tolerations": [toleration]}});
            assert_eq!(fits(&pod, &tainted), expected, "{pod}");
        }
    }
}
