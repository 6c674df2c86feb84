//! The API server as clients meet it, in memory and under paused time.

mod access;
mod apply;
mod cloud;
mod controllers;
mod crud;
mod etcd_snapshots;
mod fuzz;
mod heartbeats;
mod helm;
mod host;
mod kubectl;
mod platform;
mod refusals;
mod rollouts;
mod served;
mod upgrade;
mod upstream;
mod velero;

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{Cluster, ClusterConfig, Identity, NodeFacts, NodeRole};
use crate::clock::Clock;
use crate::rng::Rng;
use crate::server::{Config, Sandbox};
use crate::store::Store;

/// A self-signed authority: certificate and key, PEM.
fn authority(name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn config() -> ClusterConfig {
    let (server, key) = authority("server-ca");
    let (client, _) = authority("client-ca");
    ClusterConfig {
        server_ca_chain_pem: server,
        server_ca_key_pem: key,
        client_ca_chain_pem: client,
        service_account_key_pem: String::new(),
        sans: vec!["127.0.0.1".to_owned()],
        version: "v1.35.6+k3s1".to_owned(),
        disabled: vec!["traefik".to_owned(), "local-storage".to_owned()],
        helm_controller: true,
    }
}

async fn cluster_in(store: &Store) -> Cluster {
    let clock = Clock::starting_at(60.0, "2026-03-01T12:00:00Z".parse().unwrap());
    Cluster::open("test", config(), store.clone(), clock, Rng::seeded(7))
        .await
        .unwrap()
}

async fn cluster() -> Cluster {
    cluster_in(&Store::in_memory()).await
}

/// A node without the taint that waits for the cloud controller manager.
fn plain_node(name: &str) -> NodeFacts {
    NodeFacts {
        name: name.to_owned(),
        role: NodeRole::Server,
        provider_id: format!("digitalocean://{name}"),
        internal_ip: "10.10.10.2".parse().unwrap(),
        external_ip: Some("203.0.113.2".parse().unwrap()),
        labels: BTreeMap::new(),
        taints: Vec::new(),
        cpu: 2,
        memory_mib: 4096,
        etcd: false,
        version: String::new(),
        args: Vec::new(),
    }
}

/// The token of the accounts below.
const TOKEN: &str = "dop_v1_test";

/// An account of the cluster's own, with a droplet that is its node of that name, and the token in the
/// Secret where the controllers look for it.
async fn with_account(cluster: &Cluster, client: &Client, node: &str) -> Sandbox {
    let config = Config {
        token: TOKEN.to_owned(),
        rate_limits: None,
        ..Config::default()
    };
    let account = Sandbox::open_at(&config, cluster.inner.server.clock.clone()).unwrap();
    cluster.set_cloud_api(account.cloud_api());
    droplet_node(cluster, &account, node);
    let secrets = "/api/v1/namespaces/kube-system/secrets";
    let token =
        json!({"metadata": {"name": "digitalocean"}, "stringData": {"access-token": TOKEN}});
    client.create(secrets, &token).await;
    account
}

/// Another node on a droplet of the account; gives the droplet's number.
fn droplet_node(cluster: &Cluster, account: &Sandbox, name: &str) -> u64 {
    let droplet = json!({"name": name, "region": "fra1", "size": "s-1vcpu-1gb",
        "image": "ubuntu-24-04-x64"});
    let made = ask(account, "POST", "/v2/droplets", Some(&droplet));
    let id = made["droplet"]["id"].as_u64().unwrap();
    let region = (
        "topology.kubernetes.io/region".to_owned(),
        "fra1".to_owned(),
    );
    cluster.register_node(NodeFacts {
        provider_id: format!("digitalocean://{id}"),
        labels: BTreeMap::from([region]),
        ..plain_node(name)
    });
    id
}

/// What the account answers.
fn ask(account: &Sandbox, method: &str, target: &str, body: Option<&Value>) -> Value {
    let method = method.parse().unwrap();
    let (status, answer) = account
        .cloud_api()
        .call(TOKEN, method, target, body)
        .unwrap();
    assert!((200..300).contains(&status), "{target}: {status} {answer}");
    answer
}

/// The same, as the kubelet registers it under an external cloud provider.
fn cloud_node(name: &str) -> NodeFacts {
    let taint = "node.cloudprovider.kubernetes.io/uninitialized";
    let taints = vec![(taint.to_owned(), "true".to_owned(), "NoSchedule".to_owned())];
    NodeFacts {
        taints,
        ..plain_node(name)
    }
}

/// Talks to a cluster's router as somebody.
struct Client {
    cluster: Cluster,
    identity: Option<Identity>,
}

impl Client {
    fn admin(cluster: &Cluster) -> Client {
        Client {
            cluster: cluster.clone(),
            identity: Some(Identity::admin()),
        }
    }

    async fn raw(&self, request: http::request::Builder, body: String) -> Response<Body> {
        let mut request: Request<Body> = request.body(Body::from(body)).unwrap();
        if let Some(identity) = &self.identity {
            request.extensions_mut().insert(identity.clone());
        }
        self.cluster.router().oneshot(request).await.unwrap()
    }

    async fn call(&self, method: &str, path: &str, media: &str, body: &Value) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", media)
            .header("user-agent", "tester/1.0");
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let response = self.raw(request, body).await;
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        (
            code,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }

    async fn get(&self, path: &str) -> Value {
        let (code, body) = self.call("GET", path, "", &Value::Null).await;
        assert_eq!(code, 200, "{path}: {body}");
        body
    }

    async fn missing(&self, path: &str) -> bool {
        self.call("GET", path, "", &Value::Null).await.0 == 404
    }

    /// Creates an object; kind and version may be left to the path.
    async fn create(&self, path: &str, object: &Value) -> Value {
        let mut object = object.clone();
        if object.get("kind").is_none() && path.starts_with("/apis/") {
            let parts: Vec<&str> = path.split('?').next().unwrap().split('/').collect();
            let place = format!("/apis/{}/{}", parts[2], parts[3]);
            let known = self.get(&place).await;
            let mut resources = known["resources"].as_array().unwrap().iter();
            let plural = parts[parts.len() - 1];
            let found = resources.find(|one| one["name"] == plural).unwrap();
            object["kind"] = found["kind"].clone();
            object["apiVersion"] = known["groupVersion"].clone();
        }
        let (code, body) = self.call("POST", path, "application/json", &object).await;
        assert_eq!(code, 201, "{path}: {body}");
        body
    }

    async fn apply_as(
        &self,
        manager: &str,
        path: &str,
        object: &Value,
        force: bool,
    ) -> (u16, Value) {
        let path = format!("{path}?fieldManager={manager}&force={force}");
        self.call("PATCH", &path, "application/apply-patch+yaml", object)
            .await
    }

    async fn apply(&self, path: &str, object: &Value) -> Value {
        let (code, body) = self.apply_as("kplan", path, object, false).await;
        assert!(matches!(code, 200 | 201), "{path}: {code} {body}");
        body
    }

    /// Waits (in paused time, so at no cost) until an object is as wanted.
    async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        for _ in 0..600 {
            let (code, body) = self.call("GET", path, "", &Value::Null).await;
            if code == 200 && wanted(&body) {
                return body;
            }
            last = body;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{path} never got there: {last:#}");
    }

    async fn until_gone(&self, path: &str) {
        for _ in 0..600 {
            if self.missing(path).await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{path} never went: {:#}", self.get(path).await);
    }
}

fn deployment(name: &str, replicas: i64) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": "nginx:1.27"}]},
            },
        },
    })
}

/// A definition with two lists that merge, defaults and a column.
fn widgets() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}},
                "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
                "schema": {"openAPIV3Schema": {"type": "object", "required": ["spec"], "properties": {
                    "spec": {"type": "object", "required": ["size"], "properties": {
                        "size": {"type": "integer", "minimum": 1},
                        "mode": {"type": "string", "default": "slow", "enum": ["slow", "fast"]},
                        "routes": {
                            "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["host"],
                            "items": {"type": "object", "required": ["host"], "properties": {
                                "host": {"type": "string"}, "port": {"type": "integer"}, "path": {"type": "string"},
                            }},
                        },
                        "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                        "plain": {"type": "array", "items": {"type": "string"}},
                    }},
                    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                }}},
            }],
        },
    })
}

const CRD: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const WIDGETS: &str = "/apis/example.com/v1/namespaces/default/widgets";

async fn with_widgets(client: &Client) {
    client.create(CRD, &widgets()).await;
    established(client, "widgets.example.com").await;
}

async fn established(client: &Client, name: &str) {
    client
        .until(&format!("{CRD}/{name}"), |crd| {
            condition(crd, "Established")
        })
        .await;
}

fn condition(object: &Value, kind: &str) -> bool {
    super::object::is_true(object, kind)
}
