//! What the checks look at, each part read once and when it is first asked for.

use super::Verdict;
use crate::addons;
use crate::artifacts::{self, Artifacts};
use crate::cli::Global;
use crate::cmd::session::{Session, not_renamed};
use crate::compose::k3s;
use crate::error::{Failure, Problem};
use crate::interrupt::blocking;
use crate::kit::Keeper;
use crate::load;
use crate::render::Terminal;
use crate::wire::{Adapters, Cloud, Rights, StatePlace, SystemClock};
use kplan_engine::clock::Clock as _;
use kplan_engine::observe::{self, Observations};
use kplan_model::{
    Codec as _, Declarations, ErrorKind, ProviderError, Recorded, Snapshot, Timestamp,
};
use kplan_providers::digitalocean::{self, Account};
use kplan_providers::k3s::Access;
use kplan_providers::kubernetes::object::Type;
use kplan_providers::kubernetes::{self, Role};
use kplan_schema::value::StateBackend;
use kplan_state::Holder;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

/// How long the cluster may take to say that it is there.
const ANSWER: Duration = Duration::from_secs(15);
/// How long reading everything on record may take.
const READING: Duration = Duration::from_secs(100);

/// Whether the cluster's API can be asked.
pub enum Reach {
    /// No cluster is on record.
    NotYet,
    /// Nothing signs a certificate to call it with: the state is sealed, or its record unreadable.
    Sealed,
    /// It does not answer.
    Down(ProviderError),
    /// It answers.
    Up(kubernetes::Session),
}

/// What is on record.
pub struct State {
    /// The snapshot, where there is a state.
    pub snapshot: Option<Snapshot>,
    /// Whom it is encrypted to.
    pub recipients: Vec<String>,
    /// What reading it had to tell, and whether something was damaged.
    pub notices: Vec<kplan_state::Notice>,
    /// Why its secrets stay sealed, where they do.
    pub sealed: Option<Problem>,
    /// Who signed the lock.
    pub holder: Option<Holder>,
    /// When the newest run that changed it ended, and its serial.
    pub changed: Option<(Timestamp, u64)>,
}

/// See the module.
pub struct Examination {
    /// The file, the cloud, the clients.
    pub session: Session,
    /// The state, or why it cannot be read.
    pub state: Result<State, Problem>,
    /// Why there is no token.
    pub no_token: Option<Problem>,
    /// Why artifacts are unknown.
    pub no_artifacts: Option<Problem>,
    /// The cluster this file was applied as before, told as a problem.
    pub renamed: Option<Problem>,
    /// Whether a pod may be run.
    pub probe: bool,
    /// When it began.
    pub now: Timestamp,
    reach: OnceCell<Reach>,
    nodes: OnceCell<Result<Arc<Vec<Value>>, ProviderError>>,
    observed: OnceCell<Result<Observations, String>>,
    account: OnceCell<Result<Account, ProviderError>>,
    counts: OnceCell<Counts>,
}

/// By list: how many things it has, where it says so, or why it cannot be read.
pub type Counts = BTreeMap<&'static str, Result<Option<u64>, ProviderError>>;

impl Examination {
    /// Reads the file and the state, and makes clients. What is missing is kept as what a check
    /// will say.
    ///
    /// # Errors
    /// Where the file is not valid: then nobody knows what to look at.
    pub async fn open(
        global: &Global,
        probe: bool,
        terminal: &mut Terminal,
    ) -> Result<Self, Failure> {
        let began = Instant::now();
        let loaded = load::file(&global.file)?;
        let (cloud, no_token) = match Cloud::choose(global, &loaded, terminal).await {
            Err(failure) if !global.sandbox => (Cloud::without_token(), Some(first(failure))),
            chosen => (chosen?, None),
        };
        let identified = loaded.identified();
        let (place, elsewhere) = match StatePlace::of(global, &identified) {
            Ok(place) => (place, None),
            Err(failure) => {
                let place = StatePlace::at(global, &identified, &StateBackend::Local)?;
                (place, Some(first(failure)))
            }
        };
        let state = match elsewhere {
            Some(problem) => Err(problem),
            None => read(&place).await,
        };
        let renamed = not_renamed(global, &loaded, &place).err().map(first);
        let fetcher = artifacts::fetcher(&loaded, cloud.mirror_url.as_deref())?;
        let found = async {
            let artifacts = Artifacts::of(&loaded, &cloud).await?;
            let lock = artifacts::read_lock(&artifacts::lock_path(&loaded.folder))?;
            let parts = addons::found(&loaded, &lock, &fetcher).await?;
            Ok::<_, Failure>(artifacts.with_addons(parts))
        };
        let (artifacts, no_artifacts) = match found.await {
            Ok(artifacts) => (artifacts, None),
            Err(failure) => (Artifacts::embedded()?, Some(first(failure))),
        };
        let kits = Arc::new(Keeper::new(&loaded, &cloud, place.clone()));
        // A probe starts pods.
        let rights = if probe { Rights::Change } else { Rights::Read };
        let adapters = Adapters::new(&cloud, artifacts, fetcher, kits, rights)?;
        Ok(Self {
            session: Session {
                loaded,
                cloud,
                place,
                adapters,
                began,
            },
            state,
            no_token,
            no_artifacts,
            renamed,
            probe,
            now: SystemClock.now(),
            reach: OnceCell::new(),
            nodes: OnceCell::new(),
            observed: OnceCell::new(),
            account: OnceCell::new(),
            counts: OnceCell::new(),
        })
    }

    /// The record, or what a check says that cannot do without.
    pub fn snapshot(&self) -> Result<&Snapshot, Verdict> {
        match &self.state {
            Err(_) => Err(Verdict::not_looked("the state cannot be read")),
            Ok(state) => state.snapshot.as_ref().ok_or_else(|| {
                Verdict::not_looked("nothing is on record yet: `kplan apply` makes it")
            }),
        }
    }

    /// What the file asks for, without its secrets.
    pub fn declarations(&self) -> Declarations {
        match self.snapshot() {
            Ok(snapshot) => self.session.references(snapshot),
            Err(_) => {
                let nobody = kplan_model::Owner {
                    cluster: self.session.place.cluster.clone(),
                    suffix: "00000000".to_owned(),
                };
                self.session.references(&Snapshot::empty("", nobody))
            }
        }
    }

    /// How kplan calls the cluster on record.
    pub fn access(&self) -> Option<Access> {
        let snapshot = self.snapshot().ok()?;
        let record = snapshot.resources.get(&k3s::cluster())?;
        Access::decode(record.attrs.get("access")?).ok()
    }

    /// Whether the cluster's API answers; asked once.
    pub async fn reach(&self) -> &Reach {
        self.reach
            .get_or_init(|| async {
                let Ok(snapshot) = self.snapshot() else {
                    return Reach::NotYet;
                };
                if !snapshot.resources.contains_key(&k3s::cluster()) {
                    return Reach::NotYet;
                }
                let access = self.access();
                let opened = access.filter(|access| access.client_ca_key.expose().is_some());
                let Some(access) = opened else {
                    return Reach::Sealed;
                };
                self.call(&access).await
            })
            .await
    }

    async fn call(&self, access: &Access) -> Reach {
        let session = match self.session.adapters.clusters.session(access, Role::Admin) {
            Ok(session) => session,
            Err(error) => return Reach::Down(error),
        };
        match tokio::time::timeout(ANSWER, session.text("/readyz")).await {
            Ok(Ok(_)) => Reach::Up(session),
            Ok(Err(error)) => Reach::Down(error),
            Err(_) => Reach::Down(ProviderError::new(
                ErrorKind::Transient,
                format!("it does not answer within {} s", ANSWER.as_secs()),
            )),
        }
    }

    /// A session with the cluster, or what a check says that cannot do without.
    pub async fn cluster(&self) -> Result<&kubernetes::Session, Verdict> {
        match self.reach().await {
            Reach::Up(session) => Ok(session),
            Reach::NotYet => Err(Verdict::not_looked("there is no cluster on record yet")),
            Reach::Sealed => Err(Verdict::not_looked(
                "the key that opens the cluster is sealed in the state",
            )),
            Reach::Down(_) => Err(Verdict::not_looked("the Kubernetes API does not answer")),
        }
    }

    /// The cluster's nodes, by one list call.
    pub async fn nodes(&self) -> Result<&[Value], Verdict> {
        let session = self.cluster().await?;
        let read = || async { session.list(&Type::new("v1", "Node"), "").await };
        match self.nodes.get_or_init(read).await {
            Ok(nodes) => Ok(nodes),
            Err(error) => Err(unread("the nodes", error)),
        }
    }

    /// What is seen of everything on record, as a plan sees it. What only the cluster's API could
    /// tell is left out where that does not answer.
    pub async fn observed(&self) -> Result<&Observations, Verdict> {
        let snapshot = self.snapshot()?;
        let is_up = matches!(self.reach().await, Reach::Up(_));
        let read = || async {
            let mut seen = snapshot.clone();
            seen.resources
                .retain(|_, record| is_up || !needs_the_api(record));
            let kinds = self.session.kinds();
            let ways = observe::ways(&self.declarations(), &seen, &kinds);
            let observers = observe::observers(&self.session.adapters.registry);
            let options = self.session.observing();
            let reading = observe::observe(&seen, &ways, &observers, &options);
            tokio::time::timeout(READING, reading).await.map_err(|_| {
                format!(
                    "reading everything on record took longer than {} s",
                    READING.as_secs()
                )
            })
        };
        match self.observed.get_or_init(read).await {
            Ok(observations) => Ok(observations),
            Err(why) => Err(Verdict::not_looked(why)),
        }
    }

    /// The DigitalOcean account.
    pub async fn account(&self) -> &Result<Account, ProviderError> {
        let cloud = &self.session.adapters.digitalocean;
        self.account
            .get_or_init(|| digitalocean::account(cloud))
            .await
    }

    /// One request for each list that holds a kind of the file or of the record.
    pub async fn counts(&self) -> &Counts {
        self.counts
            .get_or_init(|| async {
                let declarations = self.declarations();
                let asked = declarations.resources.iter().map(|one| &one.address);
                let recorded = self.snapshot().ok().into_iter();
                let recorded = recorded.flat_map(|snapshot| snapshot.resources.keys());
                let lists: BTreeSet<&'static str> = asked
                    .chain(recorded)
                    .filter_map(|address| digitalocean::list_of(address.kind().as_str()))
                    .collect();
                let cloud = &self.session.adapters.digitalocean;
                let counted = lists
                    .into_iter()
                    .map(|list| async move { (list, digitalocean::count(cloud, list).await) });
                futures_util::future::join_all(counted)
                    .await
                    .into_iter()
                    .collect()
            })
            .await
    }
}

/// What a check says that could not read something.
pub fn unread(what: &str, error: &ProviderError) -> Verdict {
    let verdict = Verdict::not_looked(format!("{what} cannot be read: {}", error.message));
    match &error.help {
        Some(help) => verdict.help(help),
        None => verdict,
    }
}

/// Whether reading it takes the cluster's own API.
pub fn needs_the_api(record: &Recorded) -> bool {
    let inside = record.meta.inside.as_ref() == Some(&k3s::cluster());
    inside
        || ["k3s", "k3s_node", "k3s_upgrade", "server_token"]
            .contains(&record.address.kind().as_str())
}

fn first(failure: Failure) -> Problem {
    let first = failure.problems.into_iter().next();
    first.unwrap_or_else(|| Problem::error("cli::unknown", "it failed without a word"))
}

/// Reads the state, without its secrets where they cannot be opened.
async fn read(place: &StatePlace) -> Result<State, Problem> {
    let at = place.clone();
    blocking(move || read_blocking(&at)).await.map_err(first)?
}

fn read_blocking(place: &StatePlace) -> Result<State, Problem> {
    let told = |error: kplan_model::StoreError| first(error.into());
    let (identity, unreadable) = match place.identity() {
        Ok(identity) => (identity, None),
        Err(error) => (None, Some(told(error))),
    };
    let reader = place.reader(identity.as_ref());
    let (found, refused) = match reader.read() {
        Err(error) if error.code == kplan_state::code::WRONG_KEY => {
            let sealed = place.reader(None).read().map_err(told)?;
            (sealed, Some(told(error)))
        }
        found => (found.map_err(told)?, None),
    };
    if found.snapshot.is_none() {
        // Says so where it is somewhere else.
        place.exists().map_err(first)?;
    }
    let missing = identity.is_none() && found.snapshot.is_some();
    let missing = || missing.then(crate::wire::no_identity);
    let history = reader.history().unwrap_or_default();
    Ok(State {
        sealed: unreadable.or(refused).or_else(missing),
        holder: reader.holder(),
        changed: history.last().map(|entry| (entry.at, entry.serial)),
        snapshot: found.snapshot,
        recipients: found.recipients,
        notices: found.notices,
    })
}
