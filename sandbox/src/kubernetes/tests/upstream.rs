//! The real manifests of Argo CD, the DigitalOcean CSI driver and cloud controller manager,
//! Velero, the Helm controller and the upgrade controller, through server-side apply.
//!
//! `KPLAN_TEST_UPSTREAM` points to a folder with `<component>/<version>/<file>`.

use std::path::{Path, PathBuf};

use serde::Deserialize as _;
use serde_json::{Value, json};

use super::{Client, Cluster, cloud_node, condition, config};
use crate::clock::Clock;
use crate::kubernetes::ClusterConfig;
use crate::rng::Rng;
use crate::store::Store;

/// Three nodes, and no Helm controller: its definitions are applied like all others.
async fn with_nodes() -> Client {
    let clock = Clock::starting_at(60.0, "2026-03-01T12:00:00Z".parse().unwrap());
    let config = ClusterConfig {
        helm_controller: false,
        ..config()
    };
    let opened = Cluster::open("test", config, Store::in_memory(), clock, Rng::seeded(7));
    let cluster = opened.await.unwrap();
    for name in ["n1", "n2", "n3"] {
        cluster.register_node(cloud_node(name));
    }
    Client::admin(&cluster)
}

fn documents(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    serde_norway::Deserializer::from_str(&text)
        .map(|document| Value::deserialize(document).unwrap())
        .filter(|document| !document.is_null())
        .collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            found.extend(files(&entry));
        } else if entry.extension().is_some_and(|e| e == "yaml" || e == "yml") {
            found.push(entry);
        }
    }
    found
}

/// The path of an object, found through discovery as a client does.
async fn path_of(client: &Client, object: &Value, namespace: &str) -> Option<String> {
    let version = object["apiVersion"].as_str().unwrap();
    let base = if version.contains('/') {
        format!("/apis/{version}")
    } else {
        format!("/api/{version}")
    };
    let (code, list) = client.call("GET", &base, "", &Value::Null).await;
    if code != 200 {
        return None;
    }
    let resource = list["resources"]
        .as_array()?
        .iter()
        .find(|r| r["kind"] == object["kind"] && !r["name"].as_str().unwrap().contains('/'))?;
    let name = object["metadata"]["name"].as_str().unwrap();
    let plural = resource["name"].as_str().unwrap();
    Some(if resource["namespaced"] == json!(true) {
        let namespace = object["metadata"]["namespace"]
            .as_str()
            .unwrap_or(namespace);
        format!("{base}/namespaces/{namespace}/{plural}/{name}")
    } else {
        format!("{base}/{plural}/{name}")
    })
}

/// Every field of the manifest must be stored unchanged; the server may add fields. What the
/// server spells otherwise is listed here.
fn lost(applied: &Value, stored: &Value, path: &str, out: &mut Vec<String>) {
    match (applied, stored) {
        (Value::Object(a), Value::Object(s)) => {
            for (key, value) in a {
                let below = format!("{path}.{key}");
                let server_set = matches!(
                    below.as_str(),
                    ".status" | ".metadata.creationTimestamp" | ".stringData"
                );
                if value.is_null() || server_set {
                    continue;
                }
                match s.get(key) {
                    Some(found) => lost(value, found, &below, out),
                    // Columns of priority 0 leave it out.
                    None if key == "priority" && *value == json!(0) => {}
                    None => out.push(below),
                }
            }
        }
        (Value::Array(a), Value::Array(s)) if a.len() == s.len() => {
            for (index, (value, found)) in a.iter().zip(s).enumerate() {
                lost(value, found, &format!("{path}[{index}]"), out);
            }
        }
        (a, s) if a == s => {}
        _ => out.push(path.to_owned()),
    }
}

/// Definitions first, then everything else; gives the objects with their paths.
async fn apply_all(client: &Client, objects: Vec<Value>, namespace: &str) -> Vec<(String, Value)> {
    let (definitions, rest): (Vec<Value>, Vec<Value>) = objects
        .into_iter()
        .partition(|object| object["kind"] == "CustomResourceDefinition");
    let mut applied = Vec::new();
    for object in definitions {
        let path = path_of(client, &object, namespace).await.unwrap();
        client.apply(&path, &object).await;
        client
            .until(&path, |crd| condition(crd, "Established"))
            .await;
        applied.push((path, object));
    }
    for mut object in rest {
        // Some leave it to a kustomization where their accounts are.
        let subjects = object.get_mut("subjects").and_then(Value::as_array_mut);
        for subject in subjects.into_iter().flatten() {
            if subject["kind"] == "ServiceAccount" && subject["namespace"].is_null() {
                subject["namespace"] = namespace.into();
            }
        }
        let path = path_of(client, &object, namespace).await;
        let path = path
            .unwrap_or_else(|| panic!("{} {} is not served", object["apiVersion"], object["kind"]));
        client.apply(&path, &object).await;
        applied.push((path, object));
    }
    applied
}

async fn ready(client: &Client, path: &str, object: &Value) {
    match object["kind"].as_str().unwrap() {
        "Deployment" => drop(client.until(path, |d| condition(d, "Available")).await),
        "StatefulSet" => {
            client
                .until(path, |s| {
                    s["status"]["readyReplicas"] == s["spec"]["replicas"]
                })
                .await;
        }
        "DaemonSet" => drop(
            client
                .until(path, |s| s["status"]["numberReady"] == json!(3))
                .await,
        ),
        _ => {}
    }
}

async fn namespace(client: &Client, name: &str) {
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    client
        .apply(&format!("/api/v1/namespaces/{name}"), &object)
        .await;
}

#[tokio::test(start_paused = true)]
async fn upstream_manifests_apply_become_ready_and_apply_again_as_no_change() {
    let Some(folder) = std::env::var_os("KPLAN_TEST_UPSTREAM").map(PathBuf::from) else {
        kplan_conformance::skipped("KPLAN_TEST_UPSTREAM");
        return;
    };
    let client = with_nodes().await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "digitalocean"},
        "stringData": {"access-token": "token"}});
    client
        .apply(
            "/api/v1/namespaces/kube-system/secrets/digitalocean",
            &secret,
        )
        .await;
    for name in ["argocd", "velero", "system-upgrade"] {
        namespace(&client, name).await;
    }
    let mut all = Vec::new();
    for (component, place) in [
        ("digitalocean-ccm", "kube-system"),
        ("csi-digitalocean", "kube-system"),
        ("helm-controller", "kube-system"),
        ("system-upgrade-controller", "system-upgrade"),
        ("velero", "velero"),
        ("argo-cd", "argocd"),
    ] {
        let mut objects: Vec<Value> = Vec::new();
        for file in files(&folder.join(component)) {
            // The HA flavour has the same names; it gets a cluster of its own below.
            if !file.ends_with("ha-install.yaml") {
                objects.extend(documents(&file));
            }
        }
        assert!(
            !objects.is_empty(),
            "{component}: nothing in {}",
            folder.display()
        );
        all.extend(apply_all(&client, objects, place).await);
    }
    assert!(all.len() > 100, "only {} objects", all.len());
    check(&client, &all).await;
}

#[tokio::test(start_paused = true)]
async fn argo_cd_in_high_availability_spreads_over_three_nodes() {
    let Some(folder) = std::env::var_os("KPLAN_TEST_UPSTREAM").map(PathBuf::from) else {
        kplan_conformance::skipped("KPLAN_TEST_UPSTREAM");
        return;
    };
    let client = with_nodes().await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "digitalocean"},
        "stringData": {"access-token": "token"}});
    client
        .apply(
            "/api/v1/namespaces/kube-system/secrets/digitalocean",
            &secret,
        )
        .await;
    namespace(&client, "argocd").await;
    for file in files(&folder.join("digitalocean-ccm")) {
        apply_all(&client, documents(&file), "kube-system").await;
    }
    let file = files(&folder.join("argo-cd"))
        .into_iter()
        .find(|file| file.ends_with("ha-install.yaml"))
        .unwrap();
    let all = apply_all(&client, documents(&file), "argocd").await;
    check(&client, &all).await;
}

/// Ready, nothing lost, and applying again changes neither generation nor resource version.
async fn check(client: &Client, all: &[(String, Value)]) {
    for (path, object) in all {
        ready(client, path, object).await;
    }
    let mut losses = Vec::new();
    for (path, object) in all {
        let before = client.get(path).await;
        let mut missing = Vec::new();
        lost(object, &before, "", &mut missing);
        // The CSI manifest puts a namespace on a cluster role; the server takes it off.
        missing.retain(|field| path.contains("/namespaces/") || field != ".metadata.namespace");
        losses.extend(missing.into_iter().map(|field| format!("{path}: {field}")));
        let after = client.apply(path, object).await;
        for field in ["generation", "resourceVersion"] {
            assert_eq!(
                before["metadata"][field], after["metadata"][field],
                "{path}: {field}"
            );
        }
    }
    assert!(losses.is_empty(), "{losses:#?}");
}
