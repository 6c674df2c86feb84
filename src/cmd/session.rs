//! What `plan`, `apply` and `destroy` share: the file, the cloud, the state as it is, and a plan
//! of the one against the other.

use crate::addons;
use crate::artifacts::{self, Artifacts};
use crate::cli::{Global, PlanningArgs};
use crate::cmd::{backup_store, drift, managed};
use crate::compose::{self, Inputs, leavings};
use crate::error::{Failure, Problem};
use crate::exit::Exit;
use crate::kit::Keeper;
use crate::load::{self, Loaded, SourcePolicy};
use crate::preflight;
use crate::relocate;
use crate::render::json::Statistics;
use crate::render::{Terminal, problem};
use crate::wire::{Adapters, Cloud, Rights, StatePlace, SystemClock};
use kplan_engine::clock::Clock as _;
use kplan_engine::{EngineError, GraphError, PlanOptions, Planned, Planning, Refusal};
use kplan_model::{Address, Declarations, Kind, KindInfo, Origin, PlanMode, Snapshot, Value};
use kplan_providers::kubernetes::k3s_upgrade;
use kplan_state::Notice;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

/// One command's view of the world.
pub struct Session {
    /// The file.
    pub loaded: Loaded,
    /// The cloud.
    pub cloud: Cloud,
    /// The state's place.
    pub place: StatePlace,
    /// Clients and kinds.
    pub adapters: Adapters,
    /// When the command began.
    pub began: Instant,
}

impl Session {
    /// Reads the file, chooses the cloud, makes the clients.
    pub async fn open(global: &Global, terminal: &mut Terminal) -> Result<Self, Failure> {
        let loaded = load::file(&global.file)?;
        Box::pin(Self::reaching(global, loaded, terminal, Rights::Change)).await
    }

    /// The same with clients that only read.
    pub async fn reading(global: &Global, terminal: &mut Terminal) -> Result<Self, Failure> {
        Self::reading_as(global, load::file(&global.file)?, terminal).await
    }

    /// The same for a file that was read before, or is none yet.
    pub async fn reading_as(
        global: &Global,
        loaded: Loaded,
        terminal: &mut Terminal,
    ) -> Result<Self, Failure> {
        Box::pin(Self::reaching(global, loaded, terminal, Rights::Read)).await
    }

    async fn reaching(
        global: &Global,
        loaded: Loaded,
        terminal: &mut Terminal,
        rights: Rights,
    ) -> Result<Self, Failure> {
        let began = Instant::now();
        if !global.json {
            problem::brief(terminal, &loaded.warnings);
        }
        let cloud = Cloud::choose(global, &loaded, terminal).await?;
        let place = StatePlace::of(global, &loaded.identified())?;
        not_renamed(global, &loaded, &place)?;
        let fetcher = artifacts::fetcher(&loaded, cloud.mirror_url.as_deref())?;
        let artifacts = Artifacts::of(&loaded, &cloud).await?;
        let lock = artifacts::read_lock(&artifacts::lock_path(&loaded.folder))?;
        let artifacts = artifacts.with_addons(addons::found(&loaded, &lock, &fetcher).await?);
        let kits = Arc::new(Keeper::new(&loaded, &cloud, place.clone()));
        let adapters = Adapters::new(&cloud, artifacts, fetcher, kits, rights)?;
        Ok(Self {
            loaded,
            cloud,
            place,
            adapters,
            began,
        })
    }

    /// The tables of all kinds.
    pub fn kinds(&self) -> BTreeMap<Kind, &'static KindInfo> {
        self.adapters.registry.kinds()
    }

    /// What has to hold before anything is planned beyond the file and the record: nobody else
    /// has the cluster's name, K3s is still whose it was, and a password to be made is the first of its bucket.
    pub async fn admitted(
        &self,
        snapshot: &Snapshot,
        secrets: &load::Secrets,
    ) -> Result<(), Failure> {
        self.not_taken(snapshot).await?;
        managed::stays(self, snapshot)?;
        self.can_upgrade(snapshot)?;
        self.addons_stay_what_they_are(snapshot)?;
        backup_store::can_be_opened(self, snapshot, secrets).await
    }

    /// What the file asks for without its secrets: enough to know what refers to what, for a
    /// destroy, which needs no secret of the file.
    pub fn references(&self, snapshot: &Snapshot) -> Declarations {
        let mut declarations = self.declared(snapshot, load::Secrets::new());
        declarations.forgotten = relocate::kept_from_all(&self.loaded.spec, snapshot);
        declarations
    }

    /// What the file asks for, with secrets that were resolved before.
    pub fn declared(&self, snapshot: &Snapshot, secrets: load::Secrets) -> Declarations {
        let inputs = self.inputs(snapshot, secrets);
        let mut declarations = compose::compose(&self.loaded.spec, &inputs);
        leavings::forget(&mut declarations, snapshot);
        declarations.ignored = drift::rules(&self.loaded.spec.ignored_drift);
        declarations
    }

    /// What a file is composed with.
    pub fn inputs(&self, snapshot: &Snapshot, secrets: load::Secrets) -> Inputs {
        Inputs {
            owner: snapshot.owner.clone(),
            members: compose::Members::of(snapshot),
            earlier: compose::Earlier::of(snapshot),
            standing: compose::Standing::of(snapshot),
            restoring: compose::Restoring::of(snapshot),
            rotating: compose::Rotating::of(snapshot),
            artifacts: self.adapters.artifacts.clone(),
            secrets,
            token: self.cloud.token.clone(),
        }
    }

    /// An add-on that was a chart and is a manifest now, or the other way: what the one takes away is
    /// what the other brings, and nothing says which would be last.
    fn addons_stay_what_they_are(&self, snapshot: &Snapshot) -> Result<(), Failure> {
        let spec = &self.loaded.spec;
        let turned = spec.own_addons.iter().filter(|addon| {
            let other = compose::addons::as_the_other_kind(addon);
            !spec.is_delivered_by_git() && snapshot.resources.contains_key(&other)
        });
        let problems: Vec<Problem> = turned
            .map(|addon| {
                let other = compose::addons::as_the_other_kind(addon);
                let message = format!("the add-on {} is {other} on record", addon.name);
                let problem = Problem::error("addon::another_kind", message).help(
                    "a chart that becomes a manifest, or the other way, is taken away and brought anew: \
                     take it out of the file and apply, then put it back; or give it another name",
                );
                self.at(problem, load::origin(addon.name.span))
            })
            .collect();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Failure::all(Exit::Refused, problems))
        }
    }

    /// The nodes can go from the version they run to the file's.
    fn can_upgrade(&self, snapshot: &Snapshot) -> Result<(), Failure> {
        let wanted = &self.loaded.spec.k3s.version;
        let record = snapshot.resources.get(&compose::platform::upgrade());
        let running = record.and_then(|record| record.attribute("version"));
        let Some(Value::Str(running)) = running else {
            return Ok(());
        };
        if running.is_empty() {
            return Ok(());
        }
        let Err(why) = k3s_upgrade::allowed(running.as_str(), &wanted.to_string()) else {
            return Ok(());
        };
        let problem = Problem::error("k3s::skew", why).help(format!(
            "nothing was changed. The nodes run {running}; go to each minor version in turn, with an \
             apply for each"
        ));
        Err(Failure::with(
            Exit::Refused,
            self.at(problem, load::origin(wanted.span)),
        ))
    }

    /// A state in which nothing is on record, beside resources that carry the cluster's name and
    /// another state's mark: somebody else's cluster, or one whose state was lost. Planning a
    /// second one would fail half-way on names that are taken.
    pub async fn not_taken(&self, snapshot: &Snapshot) -> Result<(), Failure> {
        let known = leavings::has_resources(snapshot);
        if known || !snapshot.in_doubt.is_empty() {
            return Ok(());
        }
        let claims = self.adapters.other_owners(&snapshot.owner).await?;
        if claims.is_empty() {
            return Ok(());
        }
        let found: Vec<String> = claims
            .iter()
            .map(|claim| format!("{} ({} resources)", claim.owner, claim.resources))
            .collect();
        let message = format!(
            "this account already has a cluster named {}, and this folder's state does not know \
             it: {}",
            self.place.cluster,
            found.join(", ")
        );
        let problem = Problem::error("plan::name_taken", message).help(
            "nothing was changed. Run kplan where that cluster's state is (its .kplan folder), or \
             bring that folder here; where it is lost, `kplan restore` brings it back from the \
             recovery kit in the backup bucket; for a second cluster choose another `[cluster] name`",
        );
        let name = self.loaded.spec.cluster.name.span;
        Err(Failure::with(
            Exit::Refused,
            self.at(problem, load::origin(name)),
        ))
    }

    /// What is on record; an empty state with a fresh lineage where there is none. Takes no lock
    /// and writes nothing.
    pub fn recorded(&self, terminal: &mut Terminal) -> Result<Snapshot, Failure> {
        let identity = self.place.identity()?;
        let found = self.place.reader(identity.as_ref()).read()?;
        notices(terminal, &found.notices);
        match found.snapshot {
            Some(snapshot) => Ok(snapshot),
            None => {
                // Says so where it is somewhere else.
                self.place.exists()?;
                let lineage = kplan_state::new_lineage()?;
                let owner = kplan_state::owner(&self.place.cluster, &lineage)?;
                Ok(Snapshot::empty(lineage, owner))
            }
        }
    }

    /// How everything on record is looked at.
    pub fn observing(&self) -> kplan_engine::observe::Options {
        let mut observing = kplan_engine::observe::Options::new(SystemClock.now());
        observing.pace = 1.0 / f64::from(self.cloud.scale);
        observing
    }

    /// Makes a plan.
    pub async fn plan(
        &self,
        declarations: &Declarations,
        mut snapshot: Snapshot,
        options: &PlanOptions,
    ) -> Result<Planned, Failure> {
        // What an earlier destroy looked for is no resource: it stays on record until it is seen gone.
        snapshot.resources.remove(&leavings::traces());
        let observing = self.observing();
        let planning = Planning {
            declarations,
            snapshot,
            registry: &self.adapters.registry,
            options,
            observing: &observing,
        };
        kplan_engine::plan(planning)
            .await
            .map_err(|error| self.explain(error))
    }

    /// What planning cost so far.
    pub fn statistics(&self, planned: &Planned, declarations: &Declarations) -> Statistics {
        let kinds = self.kinds();
        let mut known: BTreeSet<&Address> = planned.snapshot.resources.keys().collect();
        known.extend(
            declarations
                .resources
                .iter()
                .map(|declaration| &declaration.address),
        );
        Statistics {
            api_calls: self.adapters.api_calls(),
            kubernetes_calls: self.adapters.kubernetes_calls(),
            wall_seconds: self.began.elapsed().as_secs_f64(),
            critical_path_seconds: critical_path(planned, &kinds),
            resources: known.len(),
        }
    }

    /// An engine's error with its places in the file.
    fn explain(&self, error: EngineError) -> Failure {
        match error {
            EngineError::Graph(errors) => {
                let problems = errors
                    .iter()
                    .map(|error| self.graph_problem(error))
                    .collect();
                Failure::all(Exit::Error, problems)
            }
            EngineError::Refused(refusals) => {
                let problems = refusals
                    .iter()
                    .map(|refusal| {
                        let text = refusal.to_string();
                        let problem = if refusal.code == Refusal::DRIFT {
                            Problem::warning(refusal.code, text)
                        } else {
                            Problem::error(refusal.code, text)
                        };
                        self.at(problem.help(&refusal.help), refusal.origin)
                    })
                    .collect();
                Failure::all(Exit::Refused, problems)
            }
            EngineError::Unsound(_) => Failure::with(
                Exit::Refused,
                Problem::error("plan::unsound", error.to_string())
                    .help("nothing was changed; please report this with the file"),
            ),
        }
    }

    fn graph_problem(&self, error: &GraphError) -> Problem {
        self.at(
            Problem::error("plan::graph", error.to_string()),
            Origin::Default,
        )
    }

    /// A problem with its place in the file.
    pub fn at(&self, problem: Problem, origin: Origin) -> Problem {
        match origin {
            Origin::File { start, end } => problem.at(&self.loaded.source, (start, end), "here"),
            Origin::Default | Origin::State => problem,
        }
    }
}

/// The file is still about the cluster as which it was applied.
pub fn not_renamed(global: &Global, loaded: &Loaded, place: &StatePlace) -> Result<(), Failure> {
    let Some((before, left)) = place.renamed_from(global, &loaded.identified())? else {
        return Ok(());
    };
    let message = format!(
        "{} was applied as cluster {before}, of which {left} resources are on record; now it says \
         {}",
        loaded.file, place.cluster
    );
    let problem = Problem::error("plan::renamed", message).help(format!(
        "a cluster cannot be renamed: its name is part of what exists. Put `name = \"{before}\"` \
         back; for a second cluster use a second file; to start over, destroy {before} first"
    ));
    let problem = match loaded.spec.cluster.name.span {
        Some(span) => problem.at(&loaded.source, (span.start, span.end), "changed here"),
        None => problem,
    };
    Err(Failure::with(Exit::Refused, problem))
}

/// Seconds of the longest chain of steps, by the kinds' typical durations.
fn critical_path(planned: &Planned, kinds: &BTreeMap<Kind, &'static KindInfo>) -> f64 {
    let mut ends: Vec<f64> = Vec::with_capacity(planned.plan.steps.len());
    for step in &planned.plan.steps {
        let begins = step
            .requires
            .iter()
            .filter_map(|id| ends.get(usize::try_from(id.0).unwrap_or(usize::MAX)))
            .fold(0.0_f64, |latest, end| latest.max(*end));
        let typical = kinds
            .get(step.address.kind())
            .map_or(0, |info| step.typical(info));
        ends.push(begins + f64::from(typical));
    }
    ends.into_iter().fold(0.0, f64::max)
}

/// What the state has to tell.
pub fn notices(terminal: &mut Terminal, notices: &[Notice]) {
    for notice in notices {
        let mut text = format!("{}: {}", notice.code, notice.message);
        if let Some(help) = &notice.help {
            text.push_str("\n  ");
            text.push_str(help);
        }
        terminal.note(&text);
    }
}

/// The engine's options from the command line's.
pub fn options(args: &PlanningArgs, destroy: bool) -> Result<PlanOptions, Failure> {
    let mode = match (destroy, args.refresh_only) {
        (true, _) => PlanMode::Destroy,
        (false, true) => PlanMode::RefreshOnly,
        (false, false) => PlanMode::Apply,
    };
    let mut options = PlanOptions::new(mode);
    options.refresh = args.refresh;
    options.targets = addresses("--target", &args.target)?;
    options.replace = addresses("--replace", &args.replace)?;
    options.allow_destroy = addresses("--allow-destroy", &args.allow_destroy)?;
    options.skip_operations = operations(&args.skip_operation)?;
    preflight::known(&args.preflight.skip_preflight)?;
    Ok(options)
}

/// The operations to leave out; an unknown one is most likely mistyped.
fn operations(names: &[String]) -> Result<BTreeSet<String>, Failure> {
    if names.is_empty() {
        return Ok(BTreeSet::new());
    }
    let kinds = crate::wire::kinds();
    let tables = kinds.values().flat_map(|info| info.operations);
    // What belongs to the end of a whole cluster is in no plan that takes this.
    let planned = tables.flat_map(|one| {
        one.names()
            .filter(|name| !one.of_destroy || *name != one.name)
    });
    let known: BTreeSet<&str> = planned.collect();
    let strangers = names.iter().filter(|name| !known.contains(name.as_str()));
    let problems: Vec<Problem> = strangers
        .map(|name| {
            let all: Vec<&str> = known.iter().copied().collect();
            let message = format!("--skip-operation: there is no operation {name}");
            Problem::error("cli::operation", message).help(format!("there are {}", all.join(", ")))
        })
        .collect();
    if problems.is_empty() {
        Ok(names.iter().cloned().collect())
    } else {
        Err(Failure::all(Exit::Error, problems))
    }
}

fn addresses(flag: &str, texts: &[String]) -> Result<BTreeSet<Address>, Failure> {
    let mut problems = Vec::new();
    let mut addresses = BTreeSet::new();
    for text in texts {
        match text.parse() {
            Ok(address) => drop(addresses.insert(address)),
            Err(error) => problems.push(Problem::error("cli::address", format!("{flag}: {error}"))),
        }
    }
    if problems.is_empty() {
        Ok(addresses)
    } else {
        Err(Failure::all(Exit::Error, problems))
    }
}

/// Under `CI=true` a plan neither runs commands nor reads files that the spec names, unless told.
pub fn planning_policy(allow: bool) -> SourcePolicy {
    let ci = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
    if ci && !allow {
        SourcePolicy::EnvironmentOnly
    } else {
        SourcePolicy::All
    }
}
