//! A scripted Kubernetes API for unit tests.

use super::connect::{Connector, Endpoint, Kubernetes, KubernetesCalls, KubernetesConfig};
use super::session::Session;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use kplan_model::{ProviderError, Timestamp};
use kube::client::Body;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// Method, path with query, body.
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: Value,
}

/// `None` cuts the connection.
pub(crate) type Answer = Option<(u16, Value)>;
type Handler = dyn FnMut(&Asked) -> Answer + Send;

/// Answers by a closure and remembers what it was asked.
#[derive(Clone)]
pub(crate) struct Fake {
    handler: Arc<Mutex<Box<Handler>>>,
    asked: Arc<Mutex<Vec<String>>>,
    pub(crate) calls: Arc<KubernetesCalls>,
    /// How long each answer takes.
    takes: std::time::Duration,
}

/// Names of the types that tests use, as discovery answers them.
fn discovery(path: &str) -> Option<Value> {
    let one = |name: &str, kind: &str, namespaced: bool| json!({"name": name, "kind": kind, "namespaced": namespaced, "verbs": []});
    let resources = match path {
        "/api/v1" => vec![
            one("configmaps", "ConfigMap", true),
            one("secrets", "Secret", true),
            one("pods", "Pod", true),
            one("pods/log", "Pod", true),
            one("nodes", "Node", false),
            one("namespaces", "Namespace", false),
            one("services", "Service", true),
            one("persistentvolumes", "PersistentVolume", false),
            one("persistentvolumeclaims", "PersistentVolumeClaim", true),
        ],
        "/apis/apps/v1" => vec![
            one("deployments", "Deployment", true),
            one("replicasets", "ReplicaSet", true),
            one("statefulsets", "StatefulSet", true),
        ],
        "/apis/rbac.authorization.k8s.io/v1" => {
            vec![one("clusterrolebindings", "ClusterRoleBinding", false)]
        }
        "/apis/batch/v1" => vec![one("jobs", "Job", true)],
        "/apis/apiextensions.k8s.io/v1" => {
            vec![one(
                "customresourcedefinitions",
                "CustomResourceDefinition",
                false,
            )]
        }
        _ => return None,
    };
    Some(json!({ "kind": "APIResourceList", "groupVersion": "v1", "resources": resources }))
}

impl Fake {
    /// Discovery is answered; everything else by the closure.
    pub(crate) fn new(handler: impl FnMut(&Asked) -> Answer + Send + 'static) -> Self {
        Self {
            handler: Arc::new(Mutex::new(Box::new(handler))),
            asked: Arc::default(),
            calls: Arc::default(),
            takes: std::time::Duration::ZERO,
        }
    }

    /// The same, where each answer takes so long.
    pub(crate) fn slow(mut self, takes: std::time::Duration) -> Self {
        self.takes = takes;
        self
    }

    fn answer(&self, asked: &Asked) -> Answer {
        self.asked
            .lock()
            .unwrap()
            .push(format!("{} {}", asked.method, asked.path));
        match discovery(&asked.path) {
            Some(found) => Some((200, found)),
            None => (self.handler.lock().unwrap())(asked),
        }
    }

    /// `METHOD path?query` of every call but discovery.
    pub(crate) fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        let plain = |call: &&String| discovery(call.trim_start_matches("GET ")).is_none();
        asked.iter().filter(plain).cloned().collect()
    }

    pub(crate) fn client(&self) -> kube::Client {
        let fake = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let fake = fake.clone();
            async move {
                let (parts, body) = request.into_parts();
                let bytes = body.collect().await.unwrap().to_bytes();
                let asked = Asked {
                    method: parts.method.to_string(),
                    path: parts.uri.to_string(),
                    body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
                };
                if !fake.takes.is_zero() {
                    tokio::time::sleep(fake.takes).await;
                }
                match fake.answer(&asked) {
                    None => Err(std::io::Error::other("connection reset")),
                    Some((status, body)) => {
                        let text = body
                            .as_str()
                            .map_or_else(|| body.to_string(), str::to_owned);
                        let answer = Response::builder().status(status);
                        Ok(answer.body(Full::new(Bytes::from(text))).unwrap())
                    }
                }
            }
        });
        kube::Client::new(service, "default")
    }

    pub(crate) fn session(&self) -> Session {
        Session::new(self.client(), Arc::clone(&self.calls), 1)
    }

    pub(crate) fn kubernetes(&self) -> Kubernetes {
        Kubernetes::new(KubernetesConfig {
            connector: Arc::new(self.clone()),
            now: Arc::new(|| Timestamp::from_seconds(1_790_000_000)),
            calls: Arc::clone(&self.calls),
            scale: 1,
        })
    }
}

impl Connector for Fake {
    fn connect(&self, _endpoint: &Endpoint) -> Result<kube::Client, ProviderError> {
        Ok(self.client())
    }
}

/// Kubernetes's form of a failure.
#[expect(
    clippy::unnecessary_wraps,
    reason = "it is written where an answer belongs"
)]
pub(crate) fn status(code: u16, reason: &str, message: &str) -> Answer {
    Some((
        code,
        json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}),
    ))
}
