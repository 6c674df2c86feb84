//! Whether an object does what it is for, from its own status.

use super::object::Object;
use kplan_model::Readiness;
use serde_json::Value;

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

fn number(value: &Value, pointer: &str) -> i64 {
    value.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

/// Status, reason and message of a condition.
fn condition<'a>(value: &'a Value, of: &str) -> Option<(&'a str, &'a str)> {
    let conditions = value.pointer("/status/conditions")?.as_array()?;
    let found = conditions.iter().find(|one| one["type"] == of)?;
    Some((text(found, "/status"), text(found, "/message")))
}

fn waiting(what: impl Into<String>) -> Readiness {
    Readiness::Waiting(what.into())
}

/// Whether a controller has seen the newest version of an object.
fn observed(value: &Value) -> bool {
    number(value, "/status/observedGeneration") >= number(value, "/metadata/generation")
}

fn replicas(value: &Value) -> i64 {
    value
        .pointer("/spec/replicas")
        .and_then(Value::as_i64)
        .unwrap_or(1)
}

fn deployment(value: &Value) -> Readiness {
    let wanted = replicas(value);
    let available = number(value, "/status/availableReplicas");
    let updated = number(value, "/status/updatedReplicas");
    if observed(value)
        && updated >= wanted
        && available >= wanted
        && number(value, "/status/replicas") <= wanted
    {
        return Readiness::Ready;
    }
    match condition(value, "Progressing") {
        Some(("False", message)) => {
            waiting(format!("{available} of {wanted} available: {message}"))
        }
        _ => waiting(format!("{available} of {wanted} available")),
    }
}

fn stateful_set(value: &Value) -> Readiness {
    let wanted = replicas(value);
    let ready = number(value, "/status/readyReplicas");
    let (current, update) = (
        text(value, "/status/currentRevision"),
        text(value, "/status/updateRevision"),
    );
    let rolled = current == update || number(value, "/status/updatedReplicas") >= wanted;
    if observed(value) && ready >= wanted && rolled {
        Readiness::Ready
    } else {
        waiting(format!("{ready} of {wanted} ready"))
    }
}

fn daemon_set(value: &Value) -> Readiness {
    let wanted = number(value, "/status/desiredNumberScheduled");
    let available = number(value, "/status/numberAvailable");
    let updated = number(value, "/status/updatedNumberScheduled");
    let seen = value.pointer("/status/observedGeneration").is_some() && observed(value);
    if seen && available >= wanted && updated >= wanted {
        Readiness::Ready
    } else {
        waiting(format!("{available} of {wanted} available"))
    }
}

fn definition(value: &Value) -> Readiness {
    match (
        condition(value, "Established"),
        condition(value, "NamesAccepted"),
    ) {
        (Some(("True", _)), _) => Readiness::Ready,
        (_, Some(("False", message))) => Readiness::Failed(message.to_owned()),
        _ => waiting("not established"),
    }
}

fn job(value: &Value) -> Readiness {
    match (condition(value, "Complete"), condition(value, "Failed")) {
        (Some(("True", _)), _) => Readiness::Ready,
        (_, Some(("True", message))) => Readiness::Failed(message.to_owned()),
        _ => waiting("running"),
    }
}

/// The annotation of an Application that is ready as soon as it is there.
pub(super) const NOT_WAITED_FOR: &str = "kplan.dev/not-waited-for";

fn application(value: &Value) -> Readiness {
    if value["metadata"]["annotations"][NOT_WAITED_FOR] == "true" {
        return Readiness::Ready;
    }
    let or = |text: &str, none: &str| {
        if text.is_empty() {
            none.to_owned()
        } else {
            text.to_owned()
        }
    };
    let sync = or(text(value, "/status/sync/status"), "not compared yet");
    let health = or(text(value, "/status/health/status"), "health unknown");
    if sync == "Synced" && health == "Healthy" {
        return Readiness::Ready;
    }
    let mut what = format!("{sync}, {health}");
    for pointer in [
        "/status/operationState/message",
        "/status/conditions/0/message",
    ] {
        let message = text(value, pointer);
        if !message.is_empty() {
            what = format!("{what}: {message}");
            break;
        }
    }
    waiting(what)
}

fn backup_location(value: &Value) -> Readiness {
    match text(value, "/status/phase") {
        "Available" => Readiness::Ready,
        "" => waiting("not checked yet"),
        phase => waiting(format!("{phase}: {}", text(value, "/status/message"))),
    }
}

fn schedule(value: &Value) -> Readiness {
    match text(value, "/status/phase") {
        "Enabled" => Readiness::Ready,
        "FailedValidation" => {
            let errors = value
                .pointer("/status/validationErrors")
                .and_then(Value::as_array);
            let errors: Vec<&str> = errors
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            Readiness::Failed(errors.join("; "))
        }
        _ => waiting("not accepted yet"),
    }
}

/// Whether K3s took a chart up. Its job is looked at by `helm_release`.
fn helm_chart(value: &Value) -> Readiness {
    match condition(value, "Failed") {
        Some(("True", message)) => waiting(message),
        _ if text(value, "/status/jobName").is_empty() => waiting("no job yet"),
        _ => Readiness::Ready,
    }
}

/// Whether an object does what it is for. What has no such notion is ready as soon as it exists.
pub fn state(value: &Value) -> Readiness {
    match (text(value, "/apiVersion"), text(value, "/kind")) {
        ("apps/v1", "Deployment") => deployment(value),
        ("apps/v1", "StatefulSet") => stateful_set(value),
        ("apps/v1", "DaemonSet") => daemon_set(value),
        ("batch/v1", "Job") => job(value),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition") => definition(value),
        ("v1", "Namespace") if text(value, "/status/phase") != "Active" => {
            waiting(text(value, "/status/phase"))
        }
        ("argoproj.io/v1alpha1", "Application") => application(value),
        ("velero.io/v1", "BackupStorageLocation") => backup_location(value),
        ("helm.cattle.io/v1", "HelmChart") => helm_chart(value),
        ("velero.io/v1", "Schedule") => schedule(value),
        _ => Readiness::Ready,
    }
}

/// The state of many: the first that failed, else how many wait and the first of them.
pub fn all<'a>(values: impl IntoIterator<Item = &'a Value>) -> Readiness {
    let mut first = None;
    let mut count = 0_u32;
    for value in values {
        let name = || Object::of(value).map_or_else(|_| String::new(), |object| object.to_string());
        match state(value) {
            Readiness::Ready => {}
            Readiness::Failed(why) => return Readiness::Failed(format!("{}: {why}", name())),
            Readiness::Waiting(why) => {
                count += 1;
                first.get_or_insert_with(|| format!("{}: {why}", name()));
            }
        }
    }
    match first {
        None => Readiness::Ready,
        Some(first) if count == 1 => Readiness::Waiting(first),
        Some(first) => Readiness::Waiting(format!("{first} (and {} more)", count - 1)),
    }
}

/// The taint a node carries until the cloud controller has seen it.
pub const UNINITIALIZED: &str = "node.cloudprovider.kubernetes.io/uninitialized";

/// Nodes that still carry [`UNINITIALIZED`], by name.
pub fn uninitialized(nodes: &[Value]) -> Vec<String> {
    let tainted = |node: &&Value| {
        let taints = node.pointer("/spec/taints").and_then(Value::as_array);
        taints
            .into_iter()
            .flatten()
            .any(|taint| taint["key"] == UNINITIALIZED)
    };
    nodes
        .iter()
        .filter(tainted)
        .map(|node| text(node, "/metadata/name").to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ready(value: Value) -> bool {
        state(&value) == Readiness::Ready
    }

    #[test]
    fn a_rollout_counts_only_once_its_controller_saw_it() {
        let deployment = |generation: i64, available: i64, old: i64| {
            json!({"apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "d", "generation": generation}, "spec": {"replicas": 2},
                "status": {"observedGeneration": 3, "replicas": 2 + old, "updatedReplicas": 2, "availableReplicas": available}})
        };
        assert!(ready(deployment(3, 2, 0)));
        assert!(!ready(deployment(4, 2, 0)));
        assert!(!ready(deployment(3, 1, 0)));
        assert!(!ready(deployment(3, 2, 1)));
        let daemon = |seen: Option<i64>| {
            json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "d", "generation": 1},
                "status": {"observedGeneration": seen}})
        };
        assert!(ready(
            json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"generation": 1},
            "status": {"observedGeneration": 1, "desiredNumberScheduled": 2, "numberAvailable": 2, "updatedNumberScheduled": 2}})
        ));
        assert!(!ready(daemon(None)));
        let set = |revision: &str, updated: i64| {
            json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"generation": 1},
                "status": {"observedGeneration": 1, "readyReplicas": 1, "currentRevision": "a",
                           "updateRevision": revision, "updatedReplicas": updated}})
        };
        assert!(ready(set("a", 0)) && ready(set("b", 1)) && !ready(set("b", 0)));
    }

    #[test]
    fn custom_resources_say_what_they_wait_for() {
        let app = |sync: &str, health: &str| {
            json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "root"},
                "status": {"sync": {"status": sync}, "health": {"status": health},
                           "conditions": [{"type": "ComparisonError", "message": "authentication required"}]}})
        };
        assert!(ready(app("Synced", "Healthy")));
        assert_eq!(
            state(&app("Unknown", "Healthy")),
            Readiness::Waiting("Unknown, Healthy: authentication required".to_owned())
        );
        let location = |phase: &str| json!({"apiVersion": "velero.io/v1", "kind": "BackupStorageLocation", "status": {"phase": phase}});
        assert!(
            ready(location("Available")) && !ready(location("Unavailable")) && !ready(location(""))
        );
        let failed = json!({"apiVersion": "velero.io/v1", "kind": "Schedule",
            "status": {"phase": "FailedValidation", "validationErrors": ["invalid schedule"]}});
        assert_eq!(
            state(&failed),
            Readiness::Failed("invalid schedule".to_owned())
        );
        let crd = |established: &str| {
            json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "status": {"conditions": [{"type": "Established", "status": established}]}})
        };
        assert!(ready(crd("True")) && !ready(crd("False")));
    }

    #[test]
    fn many_are_summed_up_in_one_line() {
        let job = |name: &str, condition: &str| {
            json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": "x"},
                "status": {"conditions": [{"type": condition, "status": "True", "message": "m"}]}})
        };
        assert_eq!(all(&[job("a", "Complete")]), Readiness::Ready);
        assert_eq!(
            all(&[job("a", "-"), job("b", "-")]),
            Readiness::Waiting("batch/v1 Job x/a: running (and 1 more)".to_owned())
        );
        assert_eq!(
            all(&[job("a", "-"), job("b", "Failed")]),
            Readiness::Failed("batch/v1 Job x/b: m".to_owned())
        );
    }

    #[test]
    fn a_node_without_the_taint_is_initialized() {
        let node = |key: &str| json!({"metadata": {"name": key}, "spec": {"taints": [{"key": key, "effect": "NoSchedule"}]}});
        assert_eq!(
            uninitialized(&[node("a"), node(UNINITIALIZED)]),
            [UNINITIALIZED]
        );
    }
}
