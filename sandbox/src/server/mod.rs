//! The sandbox put together: in memory for tests, or as a process with its ports and its folder.

pub(crate) mod control;
mod folder;
mod listen;
mod nodes;
mod process;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Clock;
use crate::facts::CloudFacts;
use crate::fault::{FaultRule, Faults};
use crate::http::{ApiService, Limiters, RateLimits};
use crate::kubernetes::CloudApi;
use crate::log::RequestLog;
use crate::record::Lines;
use crate::rng::Rng;
use crate::spaces::{Spaces, SpacesConfig, SpacesError};
use crate::store::{Store, StoreError};
use crate::world::cloud::{Cloud, Parts};
use crate::world::{AccountOptions, World};
use control::Control;
use folder::Folder;

pub use process::{Running, start};

/// Version of `endpoint.json` and of what `inspect` answers.
pub const FORMAT_VERSION: &str = "1.0";

/// How a sandbox behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// Folder of its state; `None` keeps everything in memory.
    pub dir: Option<PathBuf>,
    /// Port of the DigitalOcean API on loopback; 0 takes the last one again, or any free one.
    pub api_port: u16,
    /// Divides every lag of the cloud. DigitalOcean's own pace is 1.
    pub time_scale: f64,
    /// Ids, addresses, secrets and the dice of faults follow from it.
    pub seed: u64,
    /// The API token clients must send; when empty one is made and kept with the state.
    pub token: String,
    /// File every exchange of the DigitalOcean API is appended to, as JSON lines.
    pub record: Option<PathBuf>,
    /// Who hears of every request.
    pub log: Option<RequestLog>,
    /// How long (real time) without any request until the process ends by itself.
    pub idle_exit: Option<Duration>,
    /// Request limits; `None` switches them off.
    pub rate_limits: Option<RateLimits>,
    /// Faults from the start; more can be set while it runs.
    pub faults: Vec<FaultRule>,
    /// Whether every region has its default VPC from the start, as in an account that has been
    /// used. Otherwise the first VPC of a region becomes its default, which cannot be deleted.
    pub default_vpcs: bool,
    /// Most droplets the account may have.
    pub droplet_limit: u32,
    /// Whether the name of a deleted bucket can be used again at once. On DigitalOcean it cannot
    /// for a week or more.
    pub reuse_bucket_names: bool,
    /// How long (cloud time) a new bucket is missed by other operations.
    pub bucket_settle: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            dir: None,
            api_port: 0,
            time_scale: 60.0,
            seed: 0,
            token: String::new(),
            record: None,
            log: None,
            idle_exit: None,
            rate_limits: Some(RateLimits::default()),
            faults: Vec::new(),
            default_vpcs: true,
            droplet_limit: 10_000,
            reuse_bucket_names: false,
            bucket_settle: Duration::ZERO,
        }
    }
}

/// Where a sandbox is reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Endpoints {
    /// The DigitalOcean API, without `/v2`.
    pub api_url: String,
    /// The S3 endpoint, for every region.
    pub spaces_url: String,
    /// The CONNECT proxy that leads to the nodes' addresses.
    pub proxy_url: String,
    /// The artifact mirror.
    pub mirror_url: String,
    /// The API token.
    pub token: String,
    /// By how much the cloud's lags are divided, so that clients can wait accordingly.
    pub time_scale: f64,
}

/// Why a sandbox could not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Its state cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its buckets cannot be read.
    #[error(transparent)]
    Spaces(#[from] SpacesError),
    /// Another process serves this folder.
    #[error(
        "{0} is already served by another sandbox process; connect to that one, or end it with `kplan sandbox stop`"
    )]
    Locked(PathBuf),
    /// A file of its folder cannot be made.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A port cannot be had.
    #[error("no loopback port for the {what}: {source}")]
    Port {
        /// What would have listened.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A sandbox without ports: its services can be called in the same process, and nothing happens
/// between calls except what [`Sandbox::run`] does.
#[derive(Clone)]
pub struct Sandbox {
    cloud: Cloud,
    control: Arc<Control>,
    spaces: Spaces,
    store: Store,
    clock: Clock,
    rng: Rng,
    token: String,
    log: Option<RequestLog>,
    /// Held as long as this or a clone of it lives.
    _folder: Option<Arc<Folder>>,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").finish_non_exhaustive()
    }
}

impl Sandbox {
    /// Opens the state and puts the account together.
    pub fn open(config: &Config) -> Result<Sandbox, SandboxError> {
        Sandbox::open_at(config, Clock::new(config.time_scale))
    }

    /// The same with a clock of the caller's, for runs that must be the same every time.
    pub fn open_at(config: &Config, clock: Clock) -> Result<Sandbox, SandboxError> {
        let folder = config
            .dir
            .as_deref()
            .map(Folder::lock)
            .transpose()?
            .map(Arc::new);
        let store = match &folder {
            Some(folder) => Store::open(folder.path())?,
            None => Store::in_memory(),
        };
        let (seed, token) = identity(&store, config)?;
        let rng = Rng::seeded(seed);
        let account = AccountOptions {
            default_vpcs: config.default_vpcs,
            droplet_limit: config.droplet_limit,
        };
        let mut world = World::open(&store, clock.clone(), rng.clone(), account)?;
        store.commit(world.flush()?)?;
        let cloud = Cloud::new(Parts {
            world,
            store: store.clone(),
            clock: clock.clone(),
            rng: rng.clone(),
            token: token.clone(),
            limiters: Limiters::new(config.rate_limits),
            faults: Faults::new(config.faults.clone(), config.seed),
            record: lines(config.record.as_ref())?,
        });
        let facts: Arc<dyn CloudFacts> = Arc::new(cloud.clone());
        let spaces = Spaces::open(
            SpacesConfig {
                dir: config.dir.clone(),
                reuse_deleted_names: config.reuse_bucket_names,
                settle: config.bucket_settle,
            },
            facts,
            store.clone(),
            clock.clone(),
        )?;
        let control = Arc::new(Control::new(spaces.clone()));
        Ok(Sandbox {
            cloud,
            control,
            spaces,
            store,
            clock,
            rng,
            token,
            log: config.log.clone(),
            _folder: folder,
        })
    }

    /// The DigitalOcean API and the control endpoints as a tower service. A connection that a
    /// fault closes is an error of the service.
    pub fn service(&self) -> ApiService {
        ApiService::new(
            self.cloud.clone(),
            Arc::clone(&self.control),
            "https://api.digitalocean.com",
            self.log.clone(),
        )
    }

    /// The same as a router.
    pub fn router(&self) -> axum::Router {
        self.service().router()
    }

    /// The object store.
    pub fn spaces(&self) -> Spaces {
        self.spaces.clone()
    }

    /// What the account says to those who boot nodes or serve objects.
    pub fn facts(&self) -> Arc<dyn CloudFacts> {
        Arc::new(self.cloud.clone())
    }

    /// The account, for controllers of a cluster that runs in the same process.
    pub fn cloud_api(&self) -> Arc<dyn CloudApi> {
        Arc::new(self.cloud.clone())
    }

    /// The token clients must send.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Everything there is that did not come with the account, without secrets.
    pub fn inspect(&self) -> Value {
        self.control.inspect(&self.cloud, &[])
    }

    /// Whether an action is in progress that a fault lets fail.
    pub fn has_doomed_actions(&self) -> bool {
        self.cloud.has_doomed_actions()
    }

    /// The droplets whose creation a fault let fail, and which are still there.
    pub fn stillborn_droplets(&self) -> Vec<u64> {
        self.cloud.stillborn_droplets()
    }

    /// Puts fault rules in force, replacing the ones before; a seed starts their dice again.
    pub fn set_faults(&self, rules: Vec<FaultRule>, seed: Option<u64>) {
        self.cloud.set_faults(rules, seed);
    }

    /// Does what is due when it is due, until the state cannot be written. Requests alone do what
    /// is due before they are answered; this is for those who listen to droplets.
    pub async fn run(&self) -> SandboxError {
        self.cloud.clone().run().await.into()
    }
}

/// The seed of this run and the token. Each start gets another stream of the same seed, so that no
/// id is given twice.
fn identity(store: &Store, config: &Config) -> Result<(u64, String), SandboxError> {
    const COLLECTION: &str = "identity";
    const TOKENS: &str = "identity_token";
    let starts: u64 = store.load(COLLECTION)?.remove("starts").unwrap_or(0);
    store.put(COLLECTION, "starts", &(starts + 1))?;
    let seed = config.seed ^ starts.wrapping_mul(0xd6e8_feb8_6659_fd93);
    if !config.token.is_empty() {
        return Ok((seed, config.token.clone()));
    }
    if let Some(token) = store.load(TOKENS)?.remove("token") {
        return Ok((seed, token));
    }
    let mut bytes = [0_u8; 8];
    // Without the system's randomness the token follows from the seed: it guards loopback only.
    let made = getrandom::fill(&mut bytes).map_or(config.seed, |()| u64::from_le_bytes(bytes));
    let token = format!("dop_v1_{}", Rng::seeded(made).hex(64));
    store.put(TOKENS, "token", &token)?;
    Ok((seed, token))
}

fn lines(path: Option<&PathBuf>) -> Result<Option<Lines>, SandboxError> {
    path.map(|path| {
        Lines::open(path).map_err(|source| SandboxError::File {
            path: path.clone(),
            source,
        })
    })
    .transpose()
}
