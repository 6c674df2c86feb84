//! What a fresh control plane holds before anybody applies anything.

mod components;
mod helm;
mod roles;

use serde_json::{Value, json};

use super::ClusterConfig;
use super::apiserver::ApiServer;
use super::object::name;
use super::write::WriteOptions;

/// Creates what is missing of the objects every cluster has, and the packaged components.
pub(crate) fn run(server: &ApiServer, config: &ClusterConfig) {
    for namespace in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        ensure(
            server,
            &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
        );
    }
    ensure(server, &kubernetes_service());
    for (name, value) in [
        ("system-cluster-critical", 2_000_000_000),
        ("system-node-critical", 2_000_001_000),
    ] {
        ensure(
            server,
            &json!({
                "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
                "metadata": {"name": name}, "value": value,
            }),
        );
    }
    for object in roles::all() {
        ensure(server, &object);
    }
    if config.helm_controller {
        for definition in helm::definitions() {
            ensure(server, &definition);
        }
    }
    for (component, objects) in components::all() {
        if !config.disabled.iter().any(|disabled| disabled == component) {
            for object in &objects {
                ensure(server, object);
            }
        }
    }
}

/// Creates an object unless one of its name is there.
fn ensure(server: &ApiServer, object: &Value) {
    let (version, kind) = (object["apiVersion"].as_str(), object["kind"].as_str());
    let Some(resource) = server
        .catalogue()
        .of_kind(version.unwrap_or_default(), kind.unwrap_or_default())
    else {
        return;
    };
    let namespace = super::object::namespace(object);
    if server
        .storage
        .get(&resource.storage_key(), namespace, name(object))
        .is_none()
    {
        // A store that cannot be written fails the first request; nothing is lost by going on.
        drop(server.create(
            &resource,
            namespace,
            object.clone(),
            &WriteOptions::controller(),
        ));
    }
}

/// The API's own service, at the first address of the service network.
fn kubernetes_service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "kubernetes", "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "clusterIP": "10.43.0.1",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
        },
    })
}
