//! One cloud, one disk and one clock for all lives of a schedule, and the clients of one life.

use crate::disk::MemDisk;
use crate::fate::{Fate, WriteMishap};
use crate::life::DOMAIN;
use crate::net::{Mishap, Net, Remote};
use crate::objects::MemObjects;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use kplan::artifacts::Artifacts;
use kplan_engine::Clock as _;
use kplan_model::{BoxFuture, ErrorKind, ProviderError, Registry, Secret, Timestamp};
use kplan_providers::artifacts::{ArtifactRef, ArtifactSource};
use kplan_providers::digitalocean::DigitalOcean;
use kplan_providers::http::{
    ClientConfig, Now, Rate, ServiceTransport, Statistics, Transport, TransportError,
};
use kplan_providers::k3s::Pki;
use kplan_providers::k3s::pki::{PkiAttrs, generate};
use kplan_providers::kubernetes::{
    Endpoint, InProcess, Kubernetes, KubernetesCalls, KubernetesConfig,
};
use kplan_providers::recovery::MemoryKits;
use kplan_providers::registry::{self, Clients};
use kplan_providers::spaces::{Spaces, SpacesConfig};
use kplan_sandbox::boot::Nodes;
use kplan_sandbox::kubernetes::Identity;
use kplan_sandbox::mirror::Mirror;
use kplan_sandbox::proxy::Proxy;
use kplan_sandbox::{Clock, Config, Fault, FaultRule, Rng, Sandbox};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

/// The token of the account.
const TOKEN: &str = "dop_v1_simulation_5c0ffee5c0ffee";
/// Where nodes reach Spaces and the mirror; nothing listens there.
const SPACES: &str = "127.0.0.1:9000";
const MIRROR: &str = "127.0.0.1:9001";
/// Longer than a lock without signs of life is respected.
const TAKEOVER: Duration = Duration::from_mins(6);
/// When every simulation begins.
const BEGIN: Timestamp = Timestamp(1_790_000_000_000);

/// Tells the cloud's time to the engine.
#[derive(Clone)]
pub struct SimClock(Clock);

impl kplan_engine::clock::Clock for SimClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.now().as_millisecond())
    }
}

/// Where the state is.
pub enum Place {
    /// On the disk of the machine kplan runs on.
    Disk(MemDisk),
    /// In a bucket.
    Bucket(MemObjects),
}

impl Place {
    /// Every file or object.
    pub fn contents(&self) -> Vec<(PathBuf, Vec<u8>)> {
        match self {
            Self::Disk(disk) => disk.contents(),
            Self::Bucket(bucket) => bucket.contents(),
        }
    }

    /// A new process.
    pub fn reopen(&self) {
        if let Self::Disk(disk) = self {
            disk.reopen();
        }
    }

    /// The process died. What it held of the disk is free at once; who finds its lock in the
    /// bucket waits until it is too old.
    pub async fn crash(&self, dice: &Rng) {
        match self {
            Self::Disk(disk) => disk.crash(dice),
            Self::Bucket(_) => tokio::time::sleep(TAKEOVER).await,
        }
    }
}

/// Everything that outlives a process.
pub struct World {
    /// The cloud.
    pub sandbox: Sandbox,
    /// Its clusters.
    nodes: Nodes,
    /// The wire to it.
    pub net: Net,
    /// Where the state is.
    pub place: Place,
    /// What becomes of changes there.
    pub fate: Fate,
    /// The time.
    pub clock: SimClock,
    /// The artifacts the cloud's mirror serves.
    pub artifacts: Artifacts,
    /// Recovery kits: they outlive the lives that made them.
    kits: MemoryKits,
    /// Items a page.
    per_page: u32,
}

/// The clients of one life.
pub struct Adapters {
    /// Every kind.
    pub registry: Registry,
    /// DigitalOcean's API, for what is no kind.
    pub digitalocean: DigitalOcean,
}

impl World {
    /// A new account, an empty disk. Needs a runtime.
    pub async fn new(
        seed: u64,
        per_page: u32,
        mishaps: BTreeMap<u64, Mishap>,
        (shared, writes): (bool, BTreeMap<u64, WriteMishap>),
    ) -> Result<Self, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let begin = jiff::Timestamp::from_millisecond(BEGIN.0).map_err(|error| text(&error))?;
        let clock = Clock::starting_at(1.0, begin);
        let config = Config {
            time_scale: 1.0,
            seed,
            token: TOKEN.to_owned(),
            ..Config::default()
        };
        let sandbox = Sandbox::open_at(&config, clock.clone()).map_err(|error| text(&error))?;
        let nodes = sandbox
            .boot_nodes(SPACES, MIRROR)
            .map_err(|error| text(&error))?;
        let running = sandbox.clone();
        drop(tokio::spawn(async move { running.run().await }));
        let net = Net::new(mishaps);
        let account = Account {
            service: Arc::new(ServiceTransport::new(sandbox.service())),
            neighbours: Arc::default(),
        };
        account.adds_domain().await?;
        let cloud = sandbox.clone();
        net.set_cloud(Arc::new(move |mishap| bend(&cloud, &account, mishap)));
        let listing = Mirror::new()
            .call(get("http://127.0.0.1:9001/version-set.json"))
            .await;
        let artifacts = Artifacts::served(listing.body(), &format!("http://{MIRROR}"))
            .map_err(|error| text(&error))?;
        let clock = SimClock(clock);
        let fate = Fate::new(net.clone(), writes);
        let place = if shared {
            Place::Bucket(MemObjects::new(fate.clone(), clock.clone()))
        } else {
            Place::Disk(MemDisk::new(fate.clone()))
        };
        Ok(Self {
            sandbox,
            nodes,
            net,
            place,
            fate,
            clock,
            artifacts,
            kits: MemoryKits::default(),
            per_page,
        })
    }

    /// The clusters that run, each with its servers.
    pub fn clusters(&self) -> BTreeMap<String, Vec<String>> {
        self.nodes.clusters()
    }

    /// The operator's token.
    pub fn token(&self) -> Secret {
        Secret::new(TOKEN)
    }

    fn now(&self) -> Now {
        let clock = self.clock.clone();
        Arc::new(move || clock.now())
    }

    /// Clients for a new process.
    pub fn adapters(&self, seed: u64) -> Adapters {
        let statistics = Arc::new(Statistics::default());
        let api = Arc::new(ServiceTransport::new(self.sandbox.service()));
        let digitalocean = DigitalOcean::new(ClientConfig {
            base_url: "https://api.digitalocean.com".to_owned(),
            token: self.token(),
            transport: self.net.wire(Remote::Api, api),
            rate: Rate::DIGITALOCEAN,
            scale: 1,
            statistics: Arc::clone(&statistics),
            now: self.now(),
            on_event: None,
            per_page: self.per_page,
            seed,
        });
        let store = self.sandbox.spaces();
        let service = tower::service_fn(move |request| {
            let store = store.clone();
            async move { Ok::<_, Infallible>(store.handle(request).await) }
        });
        let spaces = Spaces::new(SpacesConfig {
            endpoint: Some(format!("http://{SPACES}")),
            keys: None,
            transport: self
                .net
                .wire(Remote::Spaces, Arc::new(ServiceTransport::new(service))),
            statistics,
            now: self.now(),
            scale: 1,
        });
        let kubernetes = self.kubernetes();
        let mut registry = registry::all(&Clients {
            digitalocean: digitalocean.clone(),
            spaces,
            kubernetes,
            artifacts: Arc::new(Shelf),
            kits: Arc::new(self.kits.clone()),
            now: self.now(),
            remarks: kplan_providers::kubernetes::Remarks::default(),
        });
        registry.add(Pki::made_by(self.now(), Arc::new(keys)));
        Adapters {
            registry,
            digitalocean,
        }
    }

    fn kubernetes(&self) -> Kubernetes {
        let proxy = Proxy::new(self.nodes.clone(), self.sandbox.facts());
        let net = self.net.clone();
        Kubernetes::new(KubernetesConfig {
            connector: Arc::new(InProcess::new(move |endpoint| {
                let tunnel = Tunnel::new(proxy.clone(), endpoint)?;
                Ok(net.wire(Remote::Kubernetes, Arc::new(tunnel)))
            })),
            now: self.now(),
            calls: Arc::new(KubernetesCalls::default()),
            scale: 1,
        })
    }
}

/// One set of keys for each owner there is in simulations: making them would take most of the time.
static KEYS: LazyLock<Mutex<BTreeMap<String, PkiAttrs>>> = LazyLock::new(Mutex::default);

fn keys(cluster: &str, now: Timestamp) -> Result<PkiAttrs, ProviderError> {
    let mut made = KEYS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(keys) = made.get(cluster) {
        return Ok(keys.clone());
    }
    // Made when the simulation began: certificates are valid from then on.
    let keys = generate(cluster, Timestamp(BEGIN.0.min(now.0)))?;
    made.insert(cluster.to_owned(), keys.clone());
    Ok(keys)
}

fn get(uri: &str) -> Request<Bytes> {
    let mut request = Request::new(Bytes::new());
    if let Ok(uri) = uri.parse() {
        *request.uri_mut() = uri;
    }
    request
}

/// The account's other user.
struct Account {
    service: Arc<dyn Transport>,
    neighbours: Arc<Mutex<Vec<u64>>>,
}

/// Does what only the cloud can do.
fn bend(cloud: &Sandbox, account: &Account, mishap: Mishap) {
    let fault = match mishap {
        Mishap::Stale(seconds) => Fault::Stale {
            seconds: f64::from(seconds),
        },
        Mishap::SlowActions(seconds) => Fault::SlowActions {
            seconds: f64::from(seconds),
        },
        Mishap::FailedAction => Fault::FailedActions,
        Mishap::NeighbourComes => return account.neighbour_comes(),
        Mishap::NeighbourGoes => return account.neighbour_goes(),
        _ => return,
    };
    let rule = FaultRule {
        method: None,
        path: None,
        nth: None,
        probability: None,
        times: Some(1),
        fault,
    };
    cloud.set_faults(vec![rule], None);
}

impl Account {
    /// Before anybody's first life, as people do by hand.
    async fn adds_domain(&self) -> Result<(), String> {
        let domain = json!({ "name": DOMAIN });
        let answer = self.service.call(own("POST", "/v2/domains", &domain)).await;
        let answer = answer.map_err(|error| error.to_string())?;
        if answer.status().is_success() {
            return Ok(());
        }
        Err(format!("no domain: {}", answer.status()))
    }

    fn neighbour_comes(&self) {
        let (service, neighbours) = (Arc::clone(&self.service), Arc::clone(&self.neighbours));
        drop(tokio::spawn(async move {
            let droplet = json!({
                "name": "neighbour", "region": "fra1", "size": "s-1vcpu-1gb",
                "image": "ubuntu-24-04-x64",
            });
            let answer = service.call(own("POST", "/v2/droplets", &droplet)).await;
            let Some(answer) = answer.ok() else { return };
            let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
            if let Some(id) = body["droplet"]["id"].as_u64() {
                neighbours
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(id);
            }
        }));
    }

    fn neighbour_goes(&self) {
        let gone = self
            .neighbours
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        if let Some(id) = gone {
            let call =
                self.service
                    .call(own("DELETE", &format!("/v2/droplets/{id}"), &Value::Null));
            drop(tokio::spawn(call));
        }
    }
}

fn own(method: &str, path: &str, body: &Value) -> Request<Bytes> {
    let mut request = get(&format!("https://api.digitalocean.com{path}"));
    *request.method_mut() = method.parse().unwrap_or_default();
    if !body.is_null() {
        *request.body_mut() = Bytes::from(body.to_string());
    }
    let bearer = format!("Bearer {TOKEN}");
    if let Ok(bearer) = bearer.parse() {
        request.headers_mut().insert("authorization", bearer);
    }
    let json = http::HeaderValue::from_static("application/json");
    request.headers_mut().insert("content-type", json);
    request
}

/// The artifacts, straight from the mirror.
struct Shelf;

impl ArtifactSource for Shelf {
    fn bytes<'a>(
        &'a self,
        artifact: &'a ArtifactRef,
    ) -> BoxFuture<'a, Result<Bytes, ProviderError>> {
        Box::pin(async move {
            let answer = Mirror::new().call(get(&artifact.url)).await;
            if answer.status().is_success() {
                return Ok(answer.into_body());
            }
            let message = format!("the mirror has no {}", artifact.path());
            Err(ProviderError::new(ErrorKind::NotFound, message))
        })
    }

    fn digest<'a>(
        &'a self,
        artifact: &'a ArtifactRef,
    ) -> BoxFuture<'a, Result<String, ProviderError>> {
        let pinned = artifact.sha256.clone().ok_or_else(|| {
            ProviderError::new(ErrorKind::Bug, "the sandbox's artifacts are pinned")
        });
        Box::pin(async move { pinned })
    }
}

/// A connection to one cluster with one certificate.
struct Tunnel {
    proxy: Proxy,
    target: String,
    identity: Identity,
}

impl Tunnel {
    fn new(proxy: Proxy, endpoint: &Endpoint) -> Result<Self, ProviderError> {
        let bug = |what: &str| ProviderError::new(ErrorKind::Bug, what.to_owned());
        let target = endpoint
            .server
            .strip_prefix("https://")
            .ok_or_else(|| bug("the address of a cluster is not https"))?;
        let identity = subject(&endpoint.certificate)
            .ok_or_else(|| bug("a client certificate without a subject"))?;
        Ok(Self {
            proxy,
            target: target.trim_end_matches('/').to_owned(),
            identity,
        })
    }
}

/// Who the first certificate of a PEM text is.
fn subject(pem: &str) -> Option<Identity> {
    let body = pem.split("-----BEGIN CERTIFICATE-----").nth(1)?;
    let body = body.split("-----END").next()?;
    let text: String = body.split_whitespace().collect();
    Identity::of_certificate(&STANDARD.decode(text).ok()?)
}

impl Transport for Tunnel {
    fn call(
        &self,
        mut request: Request<Bytes>,
    ) -> BoxFuture<'static, Result<Response<Bytes>, TransportError>> {
        request.extensions_mut().insert(self.identity.clone());
        match self.proxy.router(&self.target) {
            Ok(router) => ServiceTransport::<_, axum::body::Body>::new(router).call(request),
            Err(error) => {
                let error = TransportError::NotSent(error.to_string());
                Box::pin(async move { Err(error) })
            }
        }
    }
}
