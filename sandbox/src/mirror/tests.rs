//! The mirror's answers, and its manifests on a simulated cluster.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize as _;
use serde_norway::Value;

use super::*;
use crate::boot::tests::pki::PKI;
use crate::kubernetes::{Cluster, ClusterConfig, Identity};
use crate::{Clock, Rng, Store};

fn fetch(path: &str) -> Request<Bytes> {
    Request::get(path).body(Bytes::new()).unwrap()
}

#[tokio::test]
async fn every_artifact_is_served_with_its_digest() {
    let (mirror, set) = (Mirror::new(), version_set());
    for artifact in &set {
        let response = mirror.call(fetch(&artifact.url_path)).await;
        assert_eq!(response.status(), StatusCode::OK, "{}", artifact.url_path);
        assert_eq!(to_hex(&Sha256::digest(response.body())), artifact.sha256);
        assert_eq!(response.body().len() as u64, artifact.bytes);
    }
    let listed = mirror.call(fetch("/version-set.json")).await;
    let listed: serde_json::Value = serde_json::from_slice(listed.body()).unwrap();
    assert_eq!(listed["artifacts"], serde_json::to_value(&set).unwrap());
    assert_eq!(
        mirror
            .call(fetch("/artifacts/argo-cd/v0/install.yaml"))
            .await
            .status(),
        StatusCode::NOT_FOUND
    );
}

#[test]
fn binaries_say_their_version() {
    assert_eq!(
        k3s_binary_version(&k3s_binary("v1.35.6+k3s1", "amd64")).as_deref(),
        Ok("v1.35.6+k3s1")
    );
    assert_eq!(
        k3s_binary_version(&k3s_binary("v1.35.6+k3s1", "arm64")),
        Err(BinaryError::Architecture("arm64".to_owned()))
    );
    assert_eq!(
        k3s_binary_version(b"\x7fELF\xff"),
        Err(BinaryError::Foreign)
    );
}

/// The documents of every manifest of the set.
fn documents() -> Vec<(String, Value)> {
    let yaml = ARTIFACTS
        .iter()
        .filter(|artifact| !artifact.component.starts_with("k3s"));
    yaml.flat_map(|artifact| {
        let text = String::from_utf8(artifact.content().to_vec()).unwrap();
        let documents: Vec<Value> = serde_norway::Deserializer::from_str(&text)
            .map(|d| Value::deserialize(d).unwrap())
            .collect();
        documents
            .into_iter()
            .map(|document| (artifact.file.to_owned(), document))
    })
    .collect()
}

#[test]
fn manifests_are_lists_of_distinct_objects() {
    let mut seen = BTreeSet::new();
    for (file, document) in documents() {
        let get = |path: &[&str]| {
            path.iter()
                .try_fold(&document, |at, key| at.get(*key))
                .and_then(Value::as_str)
        };
        let kind = get(&["kind"]).unwrap_or_else(|| panic!("{file}: an object without a kind"));
        let name =
            get(&["metadata", "name"]).unwrap_or_else(|| panic!("{file}: a {kind} without a name"));
        assert!(get(&["apiVersion"]).is_some(), "{file}: {kind} {name}");
        let namespace = get(&["metadata", "namespace"]).unwrap_or_default();
        let new = seen.insert((
            file.clone(),
            kind.to_owned(),
            namespace.to_owned(),
            name.to_owned(),
        ));
        assert!(new, "{file}: {kind} {name} twice");
    }
    assert!(seen.len() > 100);
}

#[test]
fn workloads_select_their_own_pods() {
    let mut checked = 0;
    for (file, document) in documents() {
        let Some(wanted) = document
            .get("spec")
            .and_then(|spec| spec.get("selector")?.get("matchLabels"))
        else {
            continue;
        };
        let labels = document["spec"]["template"]["metadata"]["labels"]
            .as_mapping()
            .unwrap();
        for (key, value) in wanted.as_mapping().unwrap() {
            assert_eq!(
                labels.get(key),
                Some(value),
                "{file}: {:?}",
                document["metadata"]["name"]
            );
        }
        checked += 1;
    }
    assert!(checked >= 15, "{checked}");
}

async fn cluster() -> Cluster {
    let config = ClusterConfig {
        server_ca_chain_pem: PKI.files["server-ca.crt"].clone(),
        server_ca_key_pem: PKI.files["server-ca.key"].clone(),
        client_ca_chain_pem: PKI.files["client-ca.crt"].clone(),
        service_account_key_pem: PKI.files["service.key"].clone(),
        sans: Vec::new(),
        version: "v1.35.6+k3s1".to_owned(),
        disabled: Vec::new(),
        helm_controller: true,
    };
    Cluster::open(
        "mirror",
        config,
        Store::in_memory(),
        Clock::new(60.0),
        Rng::seeded(1),
    )
    .await
    .unwrap()
}

/// Applies an object on the server's side and returns the answer.
async fn apply(cluster: &Cluster, path: &str, object: &Value) -> (StatusCode, String) {
    let request = Request::patch(format!("{path}?fieldManager=kplan&force=true"))
        .header(header::CONTENT_TYPE, "application/apply-patch+yaml")
        .extension(Identity::admin())
        .body(axum::body::Body::from(
            serde_norway::to_string(object).unwrap(),
        ))
        .unwrap();
    let response = cluster.router().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// Where an object lives; the mirror's kinds have regular plurals.
fn place(object: &Value) -> String {
    let get = |path: &[&str]| {
        path.iter()
            .try_fold(object, |at, key| at.get(*key))
            .and_then(Value::as_str)
    };
    let (version, kind) = (
        get(&["apiVersion"]).unwrap(),
        get(&["kind"]).unwrap().to_lowercase(),
    );
    let root = if version.contains('/') { "apis" } else { "api" };
    let plural = match kind.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None if kind.ends_with('s') => format!("{kind}es"),
        None => format!("{kind}s"),
    };
    let whole = [
        "customresourcedefinition",
        "clusterrole",
        "clusterrolebinding",
        "storageclass",
        "csidriver",
    ];
    let name = get(&["metadata", "name"]).unwrap();
    if whole.contains(&kind.as_str()) || kind == "volumesnapshotclass" || kind == "namespace" {
        return format!("/{root}/{version}/{plural}/{name}");
    }
    let namespace = get(&["metadata", "namespace"]).unwrap_or("argocd");
    format!("/{root}/{version}/namespaces/{namespace}/{plural}/{name}")
}

#[tokio::test(start_paused = true)]
async fn a_cluster_takes_every_manifest() {
    let cluster = cluster().await;
    let namespace =
        serde_norway::from_str("{apiVersion: v1, kind: Namespace, metadata: {name: argocd}}")
            .unwrap();
    assert_eq!(
        apply(&cluster, &place(&namespace), &namespace).await.0,
        StatusCode::CREATED
    );
    let suc = serde_norway::from_str(
        "{apiVersion: v1, kind: Namespace, metadata: {name: system-upgrade}}",
    )
    .unwrap();
    assert_eq!(
        apply(&cluster, &place(&suc), &suc).await.0,
        StatusCode::CREATED
    );
    for (file, mut document) in documents() {
        // Upstream's own kustomization says the namespace of these.
        if file == "clusterrolebinding.yaml" {
            document["metadata"]["namespace"] = "system-upgrade".into();
            document["subjects"][0]["namespace"] = "system-upgrade".into();
        }
        let path = place(&document);
        let (status, body) = apply(&cluster, &path, &document).await;
        assert!(status.is_success(), "{file}: {path}: {status} {body}");
        if path.contains("/customresourcedefinitions/") {
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    }
}
