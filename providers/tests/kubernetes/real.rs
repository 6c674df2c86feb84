//! Everything kplan puts into a cluster, against a real `kube-apiserver`: one that
//! `KPLAN_TEST_KUBECONFIG` names, new and of its own, on port 6443. Its first user may do
//! everything and plays what is not there: kubelets, Velero. Its user `authority` is the authority
//! that signs client certificates: kplan calls with those it makes itself, as it does always, and what
//! it may do is what it bound itself to.
//!
//! Needs nothing but the API server and its etcd: no pod ever runs. Where Kubernetes's own controllers
//! run besides, everything is destroyed in the end.

mod compared;
mod kinds;
mod nodes;

use super::hands::{Hands, permit};
use super::owners::{Others, each_keeps_what_is_theirs};
use super::rig::cloud;
use super::upstream::{Upstream, upstream};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use kplan_model::codec::ObjectCodec as _;
use kplan_model::{BoxFuture, Input, Known, Permit, ProviderError, Secret};
use kplan_providers::artifacts::{ArtifactRef, ArtifactSource};
use kplan_providers::digitalocean::DigitalOcean;
use kplan_providers::http::{Reqwest, Transport, system_clock};
use kplan_providers::k3s::{Access, ClusterArgs};
use kplan_providers::kubernetes::bundle::{Basis, Bundle, ByHand, Line, Target, read_inventory};
use kplan_providers::kubernetes::managed::Managed;
use kplan_providers::kubernetes::object::Object;
use kplan_providers::kubernetes::session::{Ownership, Session};
use kplan_providers::kubernetes::{
    Connector, Endpoint, Kubernetes, KubernetesCalls, KubernetesConfig, Network, diff,
};
use kplan_providers::recovery::MemoryKits;
use kplan_providers::registry::Clients;
use kplan_providers::spaces::Spaces;
use kube::client::Body;
use serde_json::{Value, json};
use std::sync::Arc;

const OWNER: &str = "demo-3f9a1c2e";
/// Where nobody listens: DigitalOcean and Spaces are not asked.
const NOBODY: &str = "http://127.0.0.1:9";
/// How many times shorter pauses are than for a cluster whose pods have to start.
const SCALE: u32 = 20;

/// A real server, and what may be done there.
struct Real {
    kubernetes: Kubernetes,
    /// The kubeconfig's first user.
    session: Session,
    /// The same, for requests that kplan does not make.
    others: kube::Client,
    permit: Permit,
    access: Access,
    /// Asked for nothing.
    cloud: (DigitalOcean, Spaces),
    hands: Hands,
}

/// The API server alone has no `/ping`; K3s answers it before that.
struct Supervised(Network);

impl Connector for Supervised {
    fn connect(&self, endpoint: &Endpoint) -> Result<kube::Client, ProviderError> {
        let client = self.0.connect(endpoint)?;
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let client = client.clone();
            async move {
                match request.uri().path() {
                    "/ping" => Ok(http::Response::new(Body::from(b"pong".to_vec()))),
                    _ => client.send(request).await,
                }
            }
        });
        Ok(kube::Client::new(service, "default"))
    }
}

/// What is fetched, upstream's own and what a file of somebody's would name.
struct Artifacts(Upstream);

impl ArtifactSource for Artifacts {
    fn bytes<'a>(
        &'a self,
        artifact: &'a ArtifactRef,
    ) -> BoxFuture<'a, Result<Bytes, ProviderError>> {
        match artifact.component.as_str() {
            kinds::CHART => Box::pin(async { Ok(kinds::chart()) }),
            kinds::SEALED_SECRETS => Box::pin(async { Ok(kinds::sealed_secrets()) }),
            _ => self.0.source.bytes(artifact),
        }
    }

    fn digest<'a>(
        &'a self,
        artifact: &'a ArtifactRef,
    ) -> BoxFuture<'a, Result<String, ProviderError>> {
        self.0.source.digest(artifact)
    }
}

fn pem(value: &Value) -> String {
    let text = value.as_str().expect("a certificate in the kubeconfig");
    String::from_utf8(STANDARD.decode(text).unwrap()).unwrap()
}

/// The certificates of a PEM text, DER.
fn der(pem: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for part in pem.split("-----BEGIN CERTIFICATE-----").skip(1) {
        let body = part.split("-----END").next().unwrap();
        let body: String = body.split_whitespace().collect();
        found.push(STANDARD.decode(body).unwrap());
    }
    found
}

/// The kubeconfig's first user, and how kplan reaches the same server.
fn named() -> Option<(Endpoint, Access)> {
    let Some(path) = std::env::var_os("KPLAN_TEST_KUBECONFIG") else {
        println!("not asked: KPLAN_TEST_KUBECONFIG names no server");
        return None;
    };
    let text = std::fs::read_to_string(path).unwrap();
    let config: Value = serde_norway::from_str(&text).unwrap();
    let cluster = &config["clusters"][0]["cluster"];
    let server = cluster["server"].as_str().unwrap().to_owned();
    let server_ca = pem(&cluster["certificate-authority-data"]);
    let users = config["users"].as_array().unwrap();
    let authority = users.iter().find(|user| user["name"] == "authority");
    let authority = &authority.expect("a user `authority` in the kubeconfig")["user"];
    let first = &users[0]["user"];
    let endpoint = Endpoint {
        server: server.clone(),
        roots: der(&server_ca),
        certificate: pem(&first["client-certificate-data"]),
        key: Secret::new(pem(&first["client-key-data"])),
        name: None,
    };
    let access = Access {
        server,
        server_ca,
        client_ca: pem(&authority["client-certificate-data"]),
        client_ca_key: Secret::new(pem(&authority["client-key-data"])),
    };
    Some((endpoint, access))
}

/// Nothing of it changed by hand.
fn basis<'a>(lines: &'a [Line], managed: &'a Managed) -> Basis<'a> {
    Basis {
        lines,
        before: None,
        managed,
        by_hand: ByHand::Leave,
        is_left: &|_| false,
        is_standin: &|_| false,
    }
}

impl Real {
    fn with(artifacts: Arc<dyn ArtifactSource>) -> Option<Self> {
        let (endpoint, access) = named()?;
        let network = Network { proxy_url: None };
        let others = network.connect(&endpoint).unwrap();
        let kubernetes = Kubernetes::new(KubernetesConfig {
            connector: Arc::new(Supervised(network)),
            now: system_clock(),
            calls: Arc::new(KubernetesCalls::default()),
            scale: SCALE,
        });
        let session = kubernetes.session_at(&endpoint).unwrap();
        let transport: Arc<dyn Transport> = Arc::new(Reqwest::new().unwrap());
        let cloud = cloud((NOBODY, NOBODY), &transport);
        let hands = Hands::new(&Clients {
            digitalocean: cloud.0.clone(),
            spaces: cloud.1.clone(),
            kubernetes: kubernetes.clone(),
            artifacts,
            kits: Arc::new(MemoryKits::default()),
            now: system_clock(),
            remarks: kplan_providers::kubernetes::Remarks::default(),
        });
        Some(Self {
            kubernetes,
            session,
            others,
            permit: permit(&"k3s.cluster".parse().unwrap()),
            access,
            cloud,
            hands,
        })
    }

    fn access(&self) -> Input<Access> {
        Input::Known(self.access.clone())
    }

    /// The cluster, whose admins kplan's certificates name.
    async fn cluster(&self, nodes: &[&str]) -> Known {
        let server = self.access.server.strip_prefix("https://").unwrap();
        let (host, port) = server.rsplit_once(':').unwrap();
        assert_eq!(port, "6443", "kplan knows K3s's port alone");
        let args = ClusterArgs {
            endpoint: host.to_owned().into(),
            hostname: None,
            nodes: nodes.iter().map(|name| (*name).to_owned().into()).collect(),
            server_ca: self.access.server_ca.clone().into(),
            client_ca: self.access.client_ca.clone().into(),
            client_ca_key: self.access.client_ca_key.clone().into(),
            bundles: None,
        };
        let made = self.hands.create("k3s.cluster", args.to_object()).await;
        made.unwrap()
    }

    fn target(&self) -> Target<'_> {
        Target {
            kubernetes: &self.kubernetes,
            session: &self.session,
            permit: &self.permit,
        }
    }

    /// Applied, and a second plan finds nothing to change.
    async fn takes(&self, address: &str, objects: Vec<Value>) -> Bundle {
        let bundle = Bundle::new(OWNER, &address.parse().unwrap(), objects).unwrap();
        let applied = bundle
            .apply(&self.target(), |_, _| true, Ownership::Respect)
            .await;
        applied.unwrap_or_else(|error| panic!("{address}: {error}"));
        let mut lines = read_inventory(&bundle.inventory()).unwrap();
        // With the digests that were applied nobody would be asked.
        for line in &mut lines {
            "another".clone_into(&mut line.digest);
        }
        let managed = Managed::default();
        let differ = diff::previews(&self.session, &bundle, &basis(&lines, &managed)).await;
        let differ = differ.unwrap_or_else(|error| panic!("{address}: {error}"));
        assert!(differ.is_empty(), "{address}: {differ:#?}");
        bundle
    }

    async fn apply(&self, value: &Value) -> Result<Value, ProviderError> {
        self.session
            .apply(&self.permit, value, Ownership::Respect)
            .await
    }

    /// What the cluster has under that name.
    async fn get(
        &self,
        (api_version, kind): (&str, &str),
        namespace: Option<&str>,
        name: &str,
    ) -> Option<Value> {
        let object = Object::new(api_version, kind, namespace, name);
        self.session.get(&object).await.unwrap()
    }

    /// A request of somebody else's.
    async fn others(&self, method: &str, path: &str, body: &Value) -> Value {
        let form = match method {
            "PATCH" => "application/merge-patch+json",
            _ => "application/json",
        };
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", form)
            .body(match body {
                Value::Null => Vec::new(),
                body => body.to_string().into_bytes(),
            });
        let answer = self.others.request(request.unwrap()).await;
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Whether Kubernetes's own controllers run: without them no namespace ever goes.
    async fn has_controllers(&self) -> bool {
        let lease = ("coordination.k8s.io/v1", "Lease");
        let at = Some("kube-system");
        let lease = self.get(lease, at, "kube-controller-manager").await;
        lease.is_some()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_server_takes_everything_and_a_second_plan_is_empty() {
    let Some(found) = upstream() else { return };
    let Some(real) = Real::with(Arc::new(Artifacts(found))) else {
        return;
    };
    let version = real.session.json("/version").await.unwrap();
    println!("kube-apiserver {}", version["gitVersion"]);
    let (first, second) = nodes::register(&real).await;
    let cluster = real.cluster(&[first, second]).await;
    let others = Others(real.others.clone());
    each_keeps_what_is_theirs(&real.hands, &others, real.access()).await;
    let made = kinds::make(&real).await;
    let differ = compared::with_the_sandbox(&real, &made).await;
    assert!(differ.is_empty(), "{differ:#?}");
    nodes::are_told(&real).await;
    nodes::are_drained(&real).await;
    nodes::are_upgraded(&real).await;
    kinds::restored(&real).await;
    kinds::probed(&real, &[first.to_owned(), second.to_owned()]).await;
    if !real.has_controllers().await {
        println!("not asked to destroy: no kube-controller-manager");
        return;
    }
    for known in made.iter().rev().chain([&cluster]) {
        let deleted = real.hands.delete(known).await;
        deleted.unwrap_or_else(|error| panic!("{}: {error}", known.address));
        assert_eq!(real.hands.find(known).await, [], "{}", known.address);
    }
}

#[tokio::test]
async fn a_real_server_prunes_and_says_who_else_manages_a_field() {
    let Some(found) = upstream() else { return };
    let Some(real) = Real::with(Arc::new(Artifacts(found))) else {
        return;
    };
    let map = |name: &str, colour: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": name, "namespace": "default" }, "data": { "colour": colour },
        })
    };
    let (one, two) = ["one", "two"]
        .map(|name| Object::new("v1", "ConfigMap", Some("default"), name))
        .into();
    for object in [&one, &two] {
        real.session.delete(&real.permit, object).await.unwrap();
    }
    let both = real
        .takes("addon.real", vec![map("one", "green"), map("two", "green")])
        .await;
    let before = read_inventory(&both.inventory()).unwrap();
    let less = Bundle::new(
        OWNER,
        &"addon.real".parse().unwrap(),
        vec![map("one", "green")],
    );
    let less = less.unwrap();
    let managed = Managed::default();
    let updated = less.update(&real.target(), &basis(&before, &managed)).await;
    updated.unwrap();
    assert_eq!(real.session.get(&two).await.unwrap(), None);
    // Somebody else takes the field over; kplan neither fights nor stays silent.
    let theirs = json!({ "data": { "colour": "blue" } });
    let merged = real.session.merge(&real.permit, &one, &theirs).await;
    merged.unwrap();
    let refused = real.apply(&map("one", "red")).await.unwrap_err();
    assert!(
        refused.message.contains("conflict with"),
        "{}",
        refused.message
    );
    let now = real.session.get(&one).await.unwrap().unwrap();
    assert_eq!(now["data"]["colour"], "blue");
}
