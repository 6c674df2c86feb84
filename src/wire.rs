//! The composition root: which cloud, which state, and the only place where adapters are made.

mod place;

pub use place::{StatePlace, identity, kits_at, state_address};

use crate::artifacts::Artifacts;
use crate::cli::Global;
use crate::embedded;
use crate::error::{Failure, Problem};
use crate::load::Loaded;
use crate::render::Terminal;
use crate::render::waits::Waits;
use kplan_engine::Cancel;
use kplan_model::{Kind, KindInfo, Owner, ProviderError, Registry, Secret, Timestamp};
use kplan_providers::artifacts::{Fetcher, FetcherConfig};
use kplan_providers::digitalocean::{Claim, DigitalOcean, Look, Marks, Member};
use kplan_providers::http::{
    self, ClientConfig, OnEvent, Rate, Reqwest, Statistics, Transport, system_clock,
};
use kplan_providers::kubernetes::connect::Connector;
use kplan_providers::kubernetes::read_only;
use kplan_providers::kubernetes::{
    Kubernetes, KubernetesCalls, KubernetesConfig, Network, Remarks,
};
use kplan_providers::recovery::{KitKeeper, MemoryKits};
use kplan_providers::registry::Clients;
use kplan_providers::spaces::{Keys, Spaces, SpacesConfig};
use kplan_schema::Spec;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The cloud a command works with.
pub struct Cloud {
    /// DigitalOcean's API.
    pub api_url: String,
    /// Its token.
    pub token: Secret,
    /// Spaces, where it is not the region's own address.
    pub spaces_url: Option<String>,
    /// The proxy to Kubernetes API servers.
    pub proxy_url: Option<String>,
    /// The embedded cloud's artifact mirror.
    pub mirror_url: Option<String>,
    /// How many times faster than the real cloud its clock runs.
    pub scale: u32,
    /// Whether it is the embedded one.
    pub embedded: bool,
}

/// DigitalOcean's own address.
const API_URL: &str = "https://api.digitalocean.com";

impl Cloud {
    /// The embedded cloud of the file's folder (started where it is not running), or the real one
    /// by the environment's token.
    pub async fn choose(
        global: &Global,
        loaded: &Loaded,
        terminal: &mut Terminal,
    ) -> Result<Self, Failure> {
        if !global.sandbox {
            return Self::real();
        }
        let (endpoints, started) = embedded::ensure(&loaded.folder).await?;
        if started {
            let folder = embedded::folder(&loaded.folder);
            terminal.note(&format!(
                "Started the embedded cloud in {} (it ends after ten idle minutes; `kplan sandbox stop` ends it now).",
                folder.display()
            ));
        }
        let scale = endpoints.scale();
        Ok(Self {
            api_url: endpoints.api_url,
            token: Secret::new(endpoints.token),
            spaces_url: Some(endpoints.spaces_url),
            proxy_url: Some(endpoints.proxy_url),
            mirror_url: Some(endpoints.mirror_url),
            scale,
            embedded: true,
        })
    }

    /// DigitalOcean without a token, for a look at everything else: it refuses every request before
    /// it is sent.
    pub fn without_token() -> Self {
        let url = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        Self {
            api_url: API_URL.to_owned(),
            token: Secret::sealed("none"),
            spaces_url: url("SPACES_ENDPOINT_URL"),
            proxy_url: None,
            mirror_url: None,
            scale: 1,
            embedded: false,
        }
    }

    fn real() -> Result<Self, Failure> {
        let token = ["DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN"]
            .iter()
            .find_map(|name| std::env::var(name).ok().filter(|text| !text.is_empty()));
        let Some(token) = token else {
            return Err(Problem::error(
                "cloud::no_token",
                "DIGITALOCEAN_TOKEN is not set, so nothing at DigitalOcean can be seen or changed",
            )
            .help(
                "export DIGITALOCEAN_TOKEN=… (a token with write access), or add --sandbox to use \
                 the embedded cloud of this folder",
            )
            .into());
        };
        let url = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        Ok(Self {
            api_url: url("DIGITALOCEAN_API_URL").unwrap_or_else(|| API_URL.to_owned()),
            token: Secret::new(token),
            spaces_url: url("SPACES_ENDPOINT_URL"),
            proxy_url: None,
            mirror_url: None,
            scale: 1,
            embedded: false,
        })
    }
}

/// The state cannot be opened.
pub fn no_identity() -> Problem {
    Problem::error(
        "state::no_identity",
        "the state's secrets are encrypted and the identity that opens them is not here",
    )
    .help("restore ~/.config/kplan/identity from your copy, or set KPLAN_IDENTITY")
}

fn identity_file() -> PathBuf {
    let base = std::env::var_os("XDG_CONFIG_HOME")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".config")))
        .unwrap_or_else(|| PathBuf::from(".config"));
    base.join("kplan").join("identity")
}

/// The system's clock, for the engine.
pub struct SystemClock;

impl kplan_engine::clock::Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp(jiff::Timestamp::now().as_millisecond())
    }
}

/// What a command may do to what exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Look at it: its clients send nothing but reads.
    Read,
    /// Change it, where somebody agreed to a plan.
    Change,
}

/// Clients, kinds and artifacts of one command.
pub struct Adapters {
    /// Every kind.
    pub registry: Registry,
    /// What the plan rests on besides the file.
    pub artifacts: Artifacts,
    /// Brings artifacts.
    pub fetcher: Arc<Fetcher>,
    /// DigitalOcean, for what is no resource: the account.
    pub digitalocean: DigitalOcean,
    /// Clusters, for what is no resource.
    pub clusters: Kubernetes,
    /// Buckets.
    pub spaces: Spaces,
    /// Recovery kits.
    pub kits: Arc<dyn KitKeeper>,
    /// What is to be said once everything is over.
    pub remarks: Remarks,
    statistics: Arc<Statistics>,
    kubernetes: Arc<KubernetesCalls>,
    waits: Waits,
}

impl Adapters {
    /// Makes them.
    pub fn new(
        cloud: &Cloud,
        artifacts: Artifacts,
        fetcher: Arc<Fetcher>,
        kits: Arc<dyn KitKeeper>,
        rights: Rights,
    ) -> Result<Self, Failure> {
        let statistics = Arc::new(Statistics::default());
        let transport: Arc<dyn Transport> = Arc::new(Reqwest::new()?);
        let transport = match rights {
            Rights::Read => Arc::new(http::ReadOnly(transport)),
            Rights::Change => transport,
        };
        let waits = Waits::default();
        let told = waits.clone();
        let heard: OnEvent = Arc::new(move |event| told.hear(&event));
        let digitalocean = DigitalOcean::new(ClientConfig {
            base_url: cloud.api_url.clone(),
            token: cloud.token.clone(),
            transport: transport.clone(),
            rate: Rate::DIGITALOCEAN,
            scale: cloud.scale,
            statistics: Arc::clone(&statistics),
            now: system_clock(),
            on_event: Some(heard),
            per_page: 200,
            seed: u64::from(std::process::id()),
        });
        let spaces = Spaces::new(SpacesConfig {
            endpoint: cloud.spaces_url.clone(),
            keys: spaces_keys(cloud),
            transport,
            statistics: Arc::clone(&statistics),
            now: system_clock(),
            scale: cloud.scale,
        });
        let calls = Arc::new(KubernetesCalls::default());
        let network: Arc<dyn Connector> = Arc::new(Network {
            proxy_url: cloud.proxy_url.clone(),
        });
        let kubernetes = Kubernetes::new(KubernetesConfig {
            connector: match rights {
                Rights::Read => Arc::new(read_only::ReadOnly(network)),
                Rights::Change => network,
            },
            now: system_clock(),
            calls: Arc::clone(&calls),
            scale: cloud.scale,
        });
        let remarks = Remarks::default();
        let registry = kplan_providers::registry::all(&Clients {
            digitalocean: digitalocean.clone(),
            spaces: spaces.clone(),
            kubernetes: kubernetes.clone(),
            artifacts: Arc::clone(&fetcher) as _,
            kits: Arc::clone(&kits),
            now: system_clock(),
            remarks: remarks.clone(),
        });
        Ok(Self {
            registry,
            artifacts,
            fetcher,
            digitalocean,
            clusters: kubernetes,
            spaces,
            kits,
            remarks,
            statistics,
            kubernetes: calls,
            waits,
        })
    }

    /// Other owners of the cluster's name whose tags something in the account carries.
    pub async fn other_owners(&self, owner: &Owner) -> Result<Vec<Claim>, ProviderError> {
        kplan_providers::digitalocean::other_owners(&self.digitalocean, owner).await
    }

    /// What a cluster's own controllers made in the account.
    pub async fn leavings(&self, marks: &Marks) -> Result<Look, ProviderError> {
        kplan_providers::digitalocean::leavings(&self.digitalocean, marks).await
    }

    /// What stands in a VPC and is none of those that `is_known` says it knows.
    pub async fn strangers_in(
        &self,
        vpc: &str,
        is_known: impl Fn(&Member) -> bool,
    ) -> Result<Vec<Member>, ProviderError> {
        kplan_providers::digitalocean::strangers_in(&self.digitalocean, vpc, is_known).await
    }

    /// The records of a domain that DigitalOcean did not put there and that `is_known` says it does
    /// not know.
    pub async fn strange_records(
        &self,
        domain: &str,
        is_known: impl Fn(&Member) -> bool,
    ) -> Result<Vec<Member>, ProviderError> {
        let there =
            kplan_providers::digitalocean::strange_records(&self.digitalocean, domain, is_known);
        Ok(there.await?.unwrap_or_default())
    }

    /// The droplets of an owner, by id, with their names.
    pub async fn droplets_of(
        &self,
        owner: &Owner,
    ) -> Result<BTreeMap<String, String>, ProviderError> {
        kplan_providers::digitalocean::droplets_of(&self.digitalocean, owner).await
    }

    /// Once the button is pressed, nothing waits any longer for DigitalOcean's rate limit, and
    /// nothing is tried again there.
    pub fn stop_with(&self, cancel: Cancel) {
        let digitalocean = self.digitalocean.clone();
        drop(tokio::spawn(async move {
            cancel.pressed().await;
            digitalocean.http().stop();
        }));
    }

    /// What tells of waits for the remote side.
    pub fn waits(&self) -> &Waits {
        &self.waits
    }

    /// Requests to DigitalOcean and Spaces so far.
    pub fn api_calls(&self) -> u64 {
        self.statistics.api_calls()
    }

    /// Requests to Kubernetes so far.
    pub fn kubernetes_calls(&self) -> u64 {
        self.kubernetes.calls()
    }

    /// Lines above every plan: what it rests on besides the file.
    pub fn header(&self, spec: &Spec) -> Vec<String> {
        let mut lines = vec![format!("Version set: {}", self.artifacts.name())];
        for artifact in self.artifacts.used(spec) {
            if artifact.sha256.is_none() {
                lines.push(format!(
                    "  {} is unpinned: run `kplan lock` to record its digest",
                    artifact.path()
                ));
            }
        }
        lines
    }
}

/// `SPACES_ACCESS_KEY_ID` and `SPACES_SECRET_ACCESS_KEY`, for the real cloud only.
fn spaces_keys(cloud: &Cloud) -> Option<Keys> {
    keys_of_environment().filter(|_| !cloud.embedded)
}

/// The Spaces key of whoever runs kplan here.
pub fn keys_of_environment() -> Option<Keys> {
    let get = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    Some(Keys {
        access_key: get("SPACES_ACCESS_KEY_ID")?,
        secret_key: Secret::new(get("SPACES_SECRET_ACCESS_KEY")?),
    })
}

/// The tables of all kinds, for commands that talk to nobody.
pub fn kinds() -> BTreeMap<Kind, &'static KindInfo> {
    registry_of_nowhere().kinds()
}

/// Every kind over clients of nothing, which are never called.
pub fn registry_of_nowhere() -> Registry {
    let nowhere = Cloud {
        api_url: API_URL.to_owned(),
        token: Secret::sealed("none"),
        spaces_url: None,
        proxy_url: None,
        mirror_url: None,
        scale: 1,
        embedded: true,
    };
    let fetcher = Fetcher::new(FetcherConfig {
        cache: PathBuf::new(),
        mirror: None,
        direct: None,
    });
    let (Ok(fetcher), Ok(artifacts)) = (fetcher, Artifacts::embedded()) else {
        return Registry::default();
    };
    Adapters::new(
        &nowhere,
        artifacts,
        Arc::new(fetcher),
        Arc::new(MemoryKits::default()),
        Rights::Read,
    )
    .map(|adapters| adapters.registry)
    .unwrap_or_default()
}
