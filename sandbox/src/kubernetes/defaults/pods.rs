//! Defaults of pods and pod templates.

use serde_json::{Value, json};

use super::each;
use crate::kubernetes::object::{at, items, set, set_default, text};

/// Fills in a pod's `spec`.
pub(crate) fn spec(spec: &mut Value) {
    set_default(spec, &["restartPolicy"], "Always");
    set_default(spec, &["dnsPolicy"], "ClusterFirst");
    set_default(spec, &["terminationGracePeriodSeconds"], 30);
    set_default(spec, &["schedulerName"], "default-scheduler");
    set_default(spec, &["securityContext"], json!({}));
    // `serviceAccount` is the old spelling; the server keeps both in step.
    let account = text(spec, &["serviceAccountName"]).or_else(|| text(spec, &["serviceAccount"]));
    if let Some(account) = account.map(str::to_owned) {
        set(spec, &["serviceAccountName"], account.clone());
        set(spec, &["serviceAccount"], account);
    }
    let host_network = spec.get("hostNetwork") == Some(&Value::Bool(true));
    for containers in ["initContainers", "containers"] {
        each(spec, containers, |one| container(one, host_network));
    }
    each(spec, "volumes", volume);
}

fn container(container: &mut Value, host_network: bool) {
    let image = text(container, &["image"]).unwrap_or_default();
    let policy = if floating(image) {
        "Always"
    } else {
        "IfNotPresent"
    };
    set_default(container, &["imagePullPolicy"], policy);
    set_default(
        container,
        &["terminationMessagePath"],
        "/dev/termination-log",
    );
    set_default(container, &["terminationMessagePolicy"], "File");
    set_default(container, &["resources"], json!({}));
    each(container, "ports", |port| {
        set_default(port, &["protocol"], "TCP");
        if host_network {
            let number = port["containerPort"].clone();
            set_default(port, &["hostPort"], number);
        }
    });
    each(container, "env", |variable| {
        if let Some(source) = variable
            .get_mut("valueFrom")
            .and_then(|from| from.get_mut("fieldRef"))
        {
            set_default(source, &["apiVersion"], "v1");
        }
    });
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(found) = container.get_mut(name) {
            probe(found);
        }
    }
}

fn probe(probe: &mut Value) {
    set_default(probe, &["timeoutSeconds"], 1);
    set_default(probe, &["periodSeconds"], 10);
    set_default(probe, &["successThreshold"], 1);
    set_default(probe, &["failureThreshold"], 3);
    if probe.get("httpGet").is_some() {
        set_default(probe, &["httpGet", "scheme"], "HTTP");
        set_default(probe, &["httpGet", "path"], "/");
    }
    if probe.get("grpc").is_some() {
        set_default(probe, &["grpc", "service"], "");
    }
}

/// The quality-of-service class: guaranteed when every container may use exactly what it asks
/// for, best effort when none asks.
pub(crate) fn quality(pod: &Value) -> &'static str {
    let containers = items(pod, &["spec", "containers"]);
    let of = |container: &Value, kind: &str, what: &str| {
        at(container, &["resources", kind, what]).cloned()
    };
    let any = containers.iter().any(|container| {
        ["requests", "limits"].iter().any(|kind| {
            ["cpu", "memory"]
                .iter()
                .any(|what| of(container, kind, what).is_some())
        })
    });
    let exact = containers.iter().all(|container| {
        ["cpu", "memory"].iter().all(|what| {
            let limit = of(container, "limits", what);
            let request = of(container, "requests", what);
            limit.is_some() && (request.is_none() || request == limit)
        })
    });
    match (any, exact) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// Whether an image names no fixed tag or digest.
fn floating(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    let last = image.rsplit('/').next().unwrap_or(image);
    last.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

fn volume(volume: &mut Value) {
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(found) = volume.get_mut(source) {
            set_default(found, &["defaultMode"], 420);
            fields(found);
        }
    }
    if let Some(projected) = volume.get_mut("projected") {
        each(projected, "sources", |source| {
            if source.get("serviceAccountToken").is_some() {
                set_default(source, &["serviceAccountToken", "expirationSeconds"], 3600);
            }
            if let Some(downward) = source.get_mut("downwardAPI") {
                fields(downward);
            }
        });
    }
    if volume.get("hostPath").is_some() {
        set_default(volume, &["hostPath", "type"], "");
    }
}

fn fields(source: &mut Value) {
    each(source, "items", |item| {
        if let Some(reference) = item.get_mut("fieldRef") {
            set_default(reference, &["apiVersion"], "v1");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pull_policy_follows_the_tag() {
        assert!(floating("nginx") && floating("r:5000/a/b") && floating("a:latest"));
        assert!(!floating("nginx:1.2") && !floating("r:5000/a@sha256:00"));
    }
}
