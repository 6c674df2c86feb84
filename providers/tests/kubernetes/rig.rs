//! A sandbox of its own, on loopback, and the least of an engine: look, create, wait, read.

use kplan_model::{
    Address, FieldSet, Found, Input, Known, Object, Owner, Permit, Preview, ProviderError,
    Readiness, Registry, Secret, WantedObject,
};
use kplan_providers::artifacts::{Fetcher, FetcherConfig, Mirror, VersionSet};
use kplan_providers::digitalocean::DigitalOcean;
use kplan_providers::http::{ClientConfig, Rate, Reqwest, Statistics, Transport, system_clock};
use kplan_providers::k3s::Access;
use kplan_providers::kubernetes::{
    Applied, ArgocdApplicationArgs, Kubernetes, KubernetesCalls, KubernetesConfig, Network,
};
use kplan_providers::recovery::MemoryKits;
use kplan_providers::registry::{self, Clients};
use kplan_providers::spaces::{Spaces, SpacesConfig};
use kplan_sandbox::{Config, Endpoints, Running};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// How many times faster than the real cloud's the sandbox's clock runs.
const SCALE: u32 = 60;
const TOKEN: &str = "dop_v1_rig";

/// A sandbox and clients of it.
pub(crate) struct Rig {
    pub(crate) running: Running,
    pub(crate) registry: Registry,
    pub(crate) calls: Arc<KubernetesCalls>,
    /// What the sandbox's droplets run.
    pub(crate) set: VersionSet,
    /// Where the manifests come from.
    pub(crate) manifests: VersionSet,
    pub(crate) spaces: Spaces,
    owner: Owner,
    _cache: TempDir,
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

/// A permit for an address.
pub(crate) fn permit(address: &Address) -> Permit {
    kplan_model::testing::permit(address).unwrap()
}

/// DigitalOcean and Spaces of a sandbox.
fn cloud(at: &Endpoints, transport: &Arc<dyn Transport>) -> (DigitalOcean, Spaces) {
    let statistics = Arc::new(Statistics::default());
    let digitalocean = DigitalOcean::new(ClientConfig {
        base_url: at.api_url.clone(),
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
        endpoint: Some(at.spaces_url.clone()),
        keys: None,
        transport: Arc::clone(transport),
        statistics,
        now: system_clock(),
        scale: SCALE,
    });
    (digitalocean, spaces)
}

/// The version set the sandbox's mirror serves.
async fn version_set(at: &Endpoints, transport: &Arc<dyn Transport>) -> VersionSet {
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
        let (digitalocean, spaces) = cloud(at, &transport);
        let calls = Arc::new(KubernetesCalls::default());
        let kubernetes = Kubernetes::new(KubernetesConfig {
            connector: Arc::new(Network {
                proxy_url: Some(at.proxy_url.clone()),
            }),
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
        };
        Self {
            manifests: if own {
                set.clone()
            } else {
                VersionSet::embedded().unwrap()
            },
            set,
            running,
            registry: registry::all(&clients),
            spaces,
            calls,
            owner: Owner {
                cluster: "demo".to_owned(),
                suffix: "3f9a1c2e".to_owned(),
            },
            _cache: folder,
        }
    }

    pub(crate) fn owner_id(&self) -> String {
        self.owner.id()
    }

    fn entry(&self, address: &Address) -> &kplan_model::Entry {
        self.registry
            .get(address.kind())
            .unwrap_or_else(|| panic!("no kind {}", address.kind()))
    }

    /// Looks, creates and waits until it is ready.
    pub(crate) async fn make(&self, address: &str, args: Object) -> Known {
        let known = self
            .create(address, args)
            .await
            .unwrap_or_else(|error| panic!("{address}: {error}"));
        self.ready(known).await
    }

    pub(crate) async fn create(&self, address: &str, args: Object) -> Result<Known, ProviderError> {
        let address: Address = address.parse().unwrap();
        let entry = self.entry(&address);
        let wanted = || WantedObject {
            owner: &self.owner,
            address: &address,
            args: &args,
        };
        let before = entry.observe.find(wanted()).await?;
        assert!(before.is_empty(), "{address} is there already: {before:?}");
        let made = entry.mutate.create(wanted(), &permit(&address)).await;
        let Found { id, attrs, .. } = made.map_err(|failed| failed.error)?;
        Ok(Known {
            address,
            id,
            args,
            attrs,
        })
    }

    /// What a create would find already.
    pub(crate) async fn find(&self, known: &Known) -> Vec<Found<Object>> {
        let wanted = WantedObject {
            owner: &self.owner,
            address: &known.address,
            args: &known.args,
        };
        self.entry(&known.address)
            .observe
            .find(wanted)
            .await
            .unwrap()
    }

    /// Waits with lists, as the engine does.
    pub(crate) async fn ready(&self, known: Known) -> Known {
        let address = known.address.clone();
        let made = self.settled(known).await;
        made.unwrap_or_else(|why| panic!("{address}: {why}"))
    }

    /// Waits until it is ready, or says that it never will be.
    pub(crate) async fn settled(&self, mut known: Known) -> Result<Known, String> {
        let entry = self.entry(&known.address);
        let mut last = Readiness::Ready;
        for _ in 0..2400 {
            last = entry.observe.readiness(&known.attrs).unwrap();
            match &last {
                Readiness::Ready => return Ok(known),
                Readiness::Failed(why) => return Err(why.clone()),
                Readiness::Waiting(_) => tokio::time::sleep(Duration::from_millis(25)).await,
            }
            if let Some(attrs) = self.read(&known).await {
                known.attrs = attrs;
            }
        }
        Err(format!("it never becomes ready: {last:?}"))
    }

    pub(crate) async fn read(&self, known: &Known) -> Option<Object> {
        let mut found = self
            .entry(&known.address)
            .observe
            .read_all(std::slice::from_ref(known))
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", known.address));
        found.remove(&known.id)
    }

    pub(crate) async fn preview(&self, known: &Known, args: &Object) -> Vec<Preview> {
        self.entry(&known.address)
            .observe
            .preview(Some(known), args)
            .await
            .unwrap()
    }

    /// Updates and waits until it is ready.
    pub(crate) async fn update(&self, known: &Known, args: Object) -> Known {
        let attrs = self.try_update(known, args.clone()).await;
        let attrs = attrs.unwrap_or_else(|error| panic!("{}: {error}", known.address));
        let known = Known {
            args,
            attrs,
            ..known.clone()
        };
        self.ready(known).await
    }

    pub(crate) async fn try_update(
        &self,
        known: &Known,
        args: Object,
    ) -> Result<Object, ProviderError> {
        let changed: FieldSet = args
            .iter()
            .filter(|(name, value)| known.args.get(name) != Some(value))
            .map(|(name, _)| name.clone())
            .collect();
        let entry = self.entry(&known.address);
        let permit = permit(&known.address);
        entry.mutate.update(known, &args, &changed, &permit).await
    }

    pub(crate) async fn delete(&self, known: &Known) -> Result<(), ProviderError> {
        self.entry(&known.address)
            .mutate
            .delete(known, &permit(&known.address))
            .await
    }
}
