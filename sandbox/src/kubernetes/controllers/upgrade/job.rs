//! The job that applies a plan to a node.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{CONTROLLER, EXCLUSIVE, NAME, NAMESPACE, NODE, PLAN, Settings, VERSION, plan_label};
use crate::kubernetes::controllers::workload::template_hash;
use crate::kubernetes::object::{self, at, flag, items, map, number, text};
use crate::spaces::to_hex;

/// Label of a node that jobs are bound to it by.
pub(super) const HOSTNAME: &str = "kubernetes.io/hostname";
/// Annotation with the hash of what the job was made of.
pub(super) const HASH: &str = "objectset.rio.cattle.io/hash";

/// The node's host name, or its name.
pub(super) fn hostname(node: &Value) -> &str {
    object::label(node, HOSTNAME).unwrap_or_else(|| object::name(node))
}

/// A name of at most 63 characters; a longer one ends in a hash of itself.
fn short_name(full: &str) -> String {
    let Some(last) = full.as_bytes().get(56).filter(|_| full.len() > 63) else {
        return full.to_owned();
    };
    let digest = to_hex(&Sha256::digest(full));
    // What is cut may end in no character that a name may have before its last part.
    let (kept, digits) = if last.is_ascii_lowercase() || last.is_ascii_digit() {
        (57, 5)
    } else {
        (56, 6)
    };
    format!("{}-{}", &full[..kept], &digest[..digits])
}

/// The job of a plan for a node.
pub(super) fn job(plan: &Value, node: &Value, settings: &Settings) -> Value {
    let status = |field: &str| text(plan, &["status", field]).unwrap_or_default();
    let (name, hash) = (object::name(plan), status("latestHash"));
    let host = object::name(node);
    let short = host.split('.').next().unwrap_or(host);
    let mut labels = json!({
        CONTROLLER: NAME,
        EXCLUSIVE: flag(plan, &["spec", "exclusive"]).to_string(),
        NODE: host,
        PLAN: name,
        VERSION: status("latestVersion"),
        plan_label(name): hash,
    });
    for (key, value) in map(plan, &["metadata", "labels"]).into_iter().flatten() {
        if !key.contains("cattle.io/") {
            labels[key] = value.clone();
        }
    }
    let template = json!({"metadata": {"labels": labels}, "spec": pod(plan, node, settings)});
    let mut spec = json!({
        "backoffLimit": settings.backoff_limit,
        "ttlSecondsAfterFinished": settings.ttl,
        "podReplacementPolicy": "TerminatingOrFailed",
        "completions": 1, "parallelism": 1,
        "template": template,
    });
    let deadline = number(plan, &["spec", "jobActiveDeadlineSecs"]).filter(|seconds| *seconds >= 0);
    let deadline = deadline.unwrap_or(settings.deadline);
    if deadline > 0 {
        spec["activeDeadlineSeconds"] = deadline.into();
    }
    let full = format!("apply-{name}-on-{short}-with-{hash}");
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "name": short_name(&full), "namespace": NAMESPACE, "labels": labels,
            "annotations": {
                "upgrade.cattle.io/ttl-seconds-after-finished": settings.ttl.to_string(),
                HASH: template_hash(&template),
            },
        },
        "spec": spec,
    })
}

fn pod(plan: &Value, node: &Value, settings: &Settings) -> Value {
    let (about, value) = if flag(plan, &["spec", "exclusive"]) {
        (EXCLUSIVE, "true")
    } else {
        (PLAN, object::name(plan))
    };
    let mut tolerations = vec![
        json!({"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"}),
    ];
    tolerations.extend_from_slice(items(plan, &["spec", "tolerations"]));
    let one_of = |key: &str, value: &str| json!({"matchExpressions": [{"key": key, "operator": "In", "values": [value]}]});
    let mut init = Vec::new();
    if let Some(prepare) = at(plan, &["spec", "prepare"]).filter(|prepare| !prepare.is_null()) {
        init.push(container(plan, "prepare", prepare, settings));
    }
    let name = object::name(node);
    let drain = at(plan, &["spec", "drain"]).filter(|drain| !drain.is_null());
    let kubectl = match drain {
        Some(drain) => Some(("drain", super::drain::arguments(name, drain))),
        None if flag(plan, &["spec", "cordon"]) => {
            Some(("cordon", vec!["cordon".to_owned(), name.to_owned()]))
        }
        None => None,
    };
    if let Some((step, args)) = kubectl {
        let spec = json!({"image": settings.kubectl_image, "args": args});
        init.push(container(plan, step, &spec, settings));
    }
    let mut upgrade = container(plan, "upgrade", &plan["spec"]["upgrade"], settings);
    if upgrade.get("securityContext").is_none() {
        upgrade["securityContext"] =
            json!({"privileged": settings.privileged, "capabilities": {"add": ["CAP_SYS_BOOT"]}});
    }
    let mut spec = json!({
        "hostIPC": true, "hostPID": true, "hostNetwork": true,
        "dnsPolicy": "ClusterFirstWithHostNet",
        "restartPolicy": "Never",
        "affinity": {
            "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [one_of(HOSTNAME, hostname(node))]}},
            "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
                {"labelSelector": one_of(about, value), "topologyKey": HOSTNAME}]},
        },
        "tolerations": tolerations,
        "volumes": [{"name": "host-root", "hostPath": {"path": "/", "type": "Directory"}}],
        "initContainers": init,
        "containers": [upgrade],
    });
    for field in [
        "serviceAccountName",
        "priorityClassName",
        "imagePullSecrets",
    ] {
        if let Some(value) = at(plan, &["spec", field]) {
            spec[field] = value.clone();
        }
    }
    spec
}

/// A container of a plan, its image tagged with the plan's version where it has no tag.
fn container(plan: &Value, name: &str, of: &Value, settings: &Settings) -> Value {
    let status = |field: &str| text(plan, &["status", field]).unwrap_or_default();
    let image = text(of, &["image"]).unwrap_or_default();
    let last = image.rsplit('/').next().unwrap_or(image);
    let image = if last.contains([':', '@']) {
        image.to_owned()
    } else {
        format!("{image}:{}", status("latestVersion"))
    };
    let mut env = vec![json!({
        "name": "SYSTEM_UPGRADE_NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}},
    })];
    env.extend_from_slice(items(of, &["envs"]));
    env.extend([
        json!({"name": "SYSTEM_UPGRADE_PLAN_NAME", "value": object::name(plan)}),
        json!({"name": "SYSTEM_UPGRADE_PLAN_LATEST_HASH", "value": status("latestHash")}),
        json!({"name": "SYSTEM_UPGRADE_PLAN_LATEST_VERSION", "value": status("latestVersion")}),
    ]);
    let mut out = Map::new();
    for (field, value) in [
        ("name", name.into()),
        ("image", image.into()),
        ("imagePullPolicy", settings.pull_policy.as_str().into()),
        ("env", env.into()),
        (
            "volumeMounts",
            json!([{"name": "host-root", "mountPath": "/host"}]),
        ),
    ] {
        out.insert(field.to_owned(), value);
    }
    for field in ["command", "args", "envFrom", "securityContext"] {
        if let Some(value) = of.get(field) {
            out.insert(field.to_owned(), value.clone());
        }
    }
    Value::Object(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_as_wrangler_cuts_them() {
        assert_eq!(short_name("apply-a-on-b-with-c"), "apply-a-on-b-with-c");
        let long = short_name(&format!("apply-servers-on-n1-with-{}", "0a".repeat(28)));
        assert_eq!(long.len(), 63);
        assert!(long.starts_with("apply-servers-on-n1-with-0a0a"), "{long}");
    }
}
