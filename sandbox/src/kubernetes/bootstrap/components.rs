//! The components K3s packages, as the workloads, services and classes they consist of.
//!
//! Names are those K3s uses, so that `disable:` means the same; images carry no meaning here.

use serde_json::{Value, json};

/// Components by the name `disable:` knows them under, with their objects.
pub(super) fn all() -> Vec<(&'static str, Vec<Value>)> {
    vec![
        ("coredns", coredns()),
        (
            "metrics-server",
            vec![
                deployment(
                    "metrics-server",
                    &json!({"k8s-app": "metrics-server"}),
                    "metrics-server",
                ),
                service(
                    "metrics-server",
                    &json!({"k8s-app": "metrics-server"}),
                    None,
                    "ClusterIP",
                    &json!([
                        {"name": "https", "port": 443, "protocol": "TCP", "targetPort": "https"},
                    ]),
                ),
            ],
        ),
        (
            "traefik",
            vec![
                deployment(
                    "traefik",
                    &json!({"app.kubernetes.io/name": "traefik"}),
                    "mirrored-library-traefik",
                ),
                service(
                    "traefik",
                    &json!({"app.kubernetes.io/name": "traefik"}),
                    None,
                    "LoadBalancer",
                    &json!([
                        {"name": "web", "port": 80, "protocol": "TCP", "targetPort": "web"},
                        {"name": "websecure", "port": 443, "protocol": "TCP", "targetPort": "websecure"},
                    ]),
                ),
            ],
        ),
        (
            "local-storage",
            vec![
                deployment(
                    "local-path-provisioner",
                    &json!({"app": "local-path-provisioner"}),
                    "local-path-provisioner",
                ),
                json!({
                    "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
                    "metadata": {
                        "name": "local-path",
                        "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
                    },
                    "provisioner": "rancher.io/local-path",
                    "reclaimPolicy": "Delete",
                    "volumeBindingMode": "WaitForFirstConsumer",
                }),
            ],
        ),
    ]
}

fn coredns() -> Vec<Value> {
    let selector = json!({"k8s-app": "kube-dns"});
    vec![
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "coredns", "namespace": "kube-system"},
            "data": {"Corefile": ".:53 {\n    errors\n    health\n    ready\n    kubernetes cluster.local in-addr.arpa ip6.arpa\n    forward . /etc/resolv.conf\n    cache 30\n}\n"},
        }),
        deployment("coredns", &selector, "mirrored-coredns-coredns"),
        service(
            "kube-dns",
            &selector,
            Some("10.43.0.10"),
            "ClusterIP",
            &json!([
                {"name": "dns", "port": 53, "protocol": "UDP"},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
                {"name": "metrics", "port": 9153, "protocol": "TCP"},
            ]),
        ),
    ]
}

/// A deployment that tolerates what K3s's own components tolerate: control planes, not
/// uninitialised nodes.
fn deployment(name: &str, labels: &Value, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": "kube-system", "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "priorityClassName": "system-cluster-critical",
                    "tolerations": [
                        {"key": "CriticalAddonsOnly", "operator": "Exists"},
                        {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule"},
                    ],
                    "containers": [{"name": name, "image": format!("rancher/{image}:k3s")}],
                },
            },
        },
    })
}

fn service(
    name: &str,
    selector: &Value,
    address: Option<&str>,
    kind: &str,
    ports: &Value,
) -> Value {
    let mut object = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "kube-system", "labels": selector},
        "spec": {"selector": selector, "type": kind, "ports": ports},
    });
    if let Some(address) = address {
        object["spec"]["clusterIP"] = address.into();
    }
    object
}
