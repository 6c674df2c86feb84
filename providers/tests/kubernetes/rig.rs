//! A sandbox of its own, on loopback.

use crate::hands::Hands;
use kplan_model::{Input, ProviderError, Secret};
use kplan_providers::artifacts::{Fetcher, FetcherConfig, Mirror, VersionSet};
use kplan_providers::digitalocean::DigitalOcean;
use kplan_providers::http::{ClientConfig, Rate, Reqwest, Statistics, Transport, system_clock};
use kplan_providers::k3s::Access;
use kplan_providers::kubernetes::{
    Applied, ArgocdApplicationArgs, Connector, Endpoint, Kubernetes, KubernetesCalls,
    KubernetesConfig, Network,
};
use kplan_providers::recovery::MemoryKits;
use kplan_providers::registry::Clients;
use kplan_providers::spaces::{Spaces, SpacesConfig};
use kplan_sandbox::{Config, Endpoints as Addresses, Running};
use std::ops::Deref;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// How many times faster than the real cloud's the sandbox's clock runs.
const SCALE: u32 = 60;
const TOKEN: &str = "dop_v1_rig";

/// A sandbox and clients of it.
pub(crate) struct Rig {
    pub(crate) running: Running,
    pub(crate) calls: Arc<KubernetesCalls>,
    /// What the sandbox's droplets run.
    pub(crate) set: VersionSet,
    /// Where the manifests come from.
    pub(crate) manifests: VersionSet,
    pub(crate) spaces: Spaces,
    /// What reaches the cluster that was connected with last.
    pub(crate) client: Arc<Mutex<Option<kube::Client>>>,
    hands: Hands,
    _cache: TempDir,
}

/// Keeps the last client that was made.
struct Noted(Network, Arc<Mutex<Option<kube::Client>>>);

impl Connector for Noted {
    fn connect(&self, endpoint: &Endpoint) -> Result<kube::Client, ProviderError> {
        let client = self.0.connect(endpoint)?;
        *self.1.lock().unwrap() = Some(client.clone());
        Ok(client)
    }
}

impl Deref for Rig {
    type Target = Hands;

    fn deref(&self) -> &Hands {
        &self.hands
    }
}

/// The root Application of a cluster that is reached so.
pub(crate) fn root_application(access: Input<Access>) -> ArgocdApplicationArgs {
    ArgocdApplicationArgs {
        access,
        objects: Applied,
        name: "root".to_owned(),
        repo: "https://github.com/acme/infra.git".to_owned(),
        path: "clusters/demo".to_owned(),
        revision: "HEAD".to_owned(),
        namespace: "argocd".to_owned(),
        recurse: false,
        prune: true,
        self_heal: true,
        waited_for: None,
    }
}

/// DigitalOcean and Spaces at these addresses.
pub(crate) fn cloud(
    (api_url, spaces_url): (&str, &str),
    transport: &Arc<dyn Transport>,
) -> (DigitalOcean, Spaces) {
    let statistics = Arc::new(Statistics::default());
    let digitalocean = DigitalOcean::new(ClientConfig {
        base_url: api_url.to_owned(),
        token: Secret::new(TOKEN),
        transport: Arc::clone(transport),
        rate: Rate { per_minute: 60_000 },
        scale: SCALE,
        statistics: Arc::clone(&statistics),
        now: system_clock(),
        on_event: None,
        per_page: 200,
        seed: 1,
    });
    let spaces = Spaces::new(SpacesConfig {
        endpoint: Some(spaces_url.to_owned()),
        keys: None,
        transport: Arc::clone(transport),
        statistics,
        now: system_clock(),
        scale: SCALE,
    });
    (digitalocean, spaces)
}

/// The version set the sandbox's mirror serves.
async fn version_set(at: &Addresses, transport: &Arc<dyn Transport>) -> VersionSet {
    let listing = http::Request::get(format!("{}/version-set.json", at.mirror_url));
    let listing = listing.body(bytes::Bytes::new()).unwrap();
    let listing = transport.call(listing).await.unwrap();
    VersionSet::served(listing.body(), &at.mirror_url).unwrap()
}

impl Rig {
    /// With the sandbox's own manifests.
    pub(crate) async fn start() -> Self {
        Self::with(None).await
    }

    /// With the manifests of a mirror that has upstream's.
    pub(crate) async fn with(mirror: Option<Mirror>) -> Self {
        let config = Config {
            time_scale: f64::from(SCALE),
            seed: 3,
            token: TOKEN.to_owned(),
            rate_limits: None,
            default_vpcs: true,
            ..Config::default()
        };
        let running = kplan_sandbox::start(config).await.unwrap();
        let at = running.endpoints();
        let transport: Arc<dyn Transport> = Arc::new(Reqwest::new().unwrap());
        let (digitalocean, spaces) = cloud((&at.api_url, &at.spaces_url), &transport);
        let calls = Arc::new(KubernetesCalls::default());
        let network = Network {
            proxy_url: Some(at.proxy_url.clone()),
        };
        let client = Arc::default();
        let kubernetes = Kubernetes::new(KubernetesConfig {
            connector: Arc::new(Noted(network, Arc::clone(&client))),
            now: system_clock(),
            calls: Arc::clone(&calls),
            scale: SCALE,
        });
        let folder = TempDir::new().unwrap();
        let cache = folder.path().to_owned();
        let own = mirror.is_none();
        let fetcher = Fetcher::new(FetcherConfig {
            cache,
            mirror,
            direct: None,
        })
        .unwrap();
        let set = version_set(at, &transport).await;
        let clients = Clients {
            digitalocean,
            spaces: spaces.clone(),
            kubernetes,
            artifacts: Arc::new(fetcher),
            kits: Arc::new(MemoryKits::default()),
            now: system_clock(),
            remarks: kplan_providers::kubernetes::Remarks::default(),
        };
        Self {
            manifests: if own {
                set.clone()
            } else {
                VersionSet::embedded().unwrap()
            },
            set,
            running,
            spaces,
            calls,
            client,
            hands: Hands::new(&clients),
            _cache: folder,
        }
    }
}
