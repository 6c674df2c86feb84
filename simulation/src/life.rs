//! One life of the process: what `kplan apply` and `kplan destroy` do below the command line.

use crate::world::{Adapters, Place, World};
use kplan::compose::{self, Inputs};
use kplan_engine::observe::Options as Observing;
use kplan_engine::{
    Cancel, Clock as _, Discipline, ExecuteOptions, PlanOptions, Planned, Planning, Run,
};
use kplan_model::{Approval, Declarations, Plan, PlanMode, RunId, Snapshot};
use kplan_schema::{Source, Spec};
use kplan_state::{
    Identity, LocalReader, LocalWriter, Location, SharedReader, WriteOptions, Writer,
};
use std::path::Path;
use std::sync::Arc;

/// Where the state lies on the simulated disk.
pub const FOLDER: &str = "/project/.kplan/sim";
/// The cluster's name in every file.
pub const CLUSTER: &str = "sim";
/// The domain that the account has.
pub const DOMAIN: &str = "sim.example";
/// The domain that files make, where anything has a record in it.
pub const OWN_DOMAIN: &str = "sim-own.example";

/// The kinds that need no node and no cluster.
const CLOUD: [&str; 21] = [
    "bucket",
    "database",
    "database_db",
    "database_user",
    "domain",
    "domain_record",
    "droplet",
    "firewall",
    "load_balancer",
    "pki",
    "project",
    "random_password",
    "recovery_kit",
    "repository_password",
    "reserved_ip",
    "signing_key",
    "spaces_key",
    "ssh_key",
    "tag",
    "volume",
    "vpc",
];

/// What a life is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `kplan apply --auto-approve`.
    Apply,
    /// `kplan destroy --auto-approve --delete-backups`.
    Destroy,
}

/// How a life ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything the plan said was done.
    Complete,
    /// Something failed; the report says what.
    Incomplete(String),
    /// It would not begin: a refusal, a damaged state, a doubt it could not clear up.
    Refused(String),
    /// Another process holds the state.
    Locked,
    /// The process died.
    Died,
}

/// Who runs a command.
pub struct Operator<'a> {
    /// The world it runs in.
    pub world: &'a World,
    /// Its key to the state's secrets.
    pub identity: &'a Identity,
    /// The lineage of the state, should it make one.
    pub lineage: &'a str,
    /// Whether the cluster and what runs in it belong to the file; else its droplets stay bare.
    pub platform: bool,
    /// The rules its engine keeps.
    pub discipline: Discipline,
    /// Seeds its jitter.
    pub seed: u64,
}

impl Operator<'_> {
    /// Runs a command until its end or the process's.
    pub async fn live(&self, text: &str, command: Command) -> Ended {
        self.mortal(self.ended(text, command))
            .await
            .unwrap_or(Ended::Died)
    }

    /// Two operators run the command at once, on one state; when one process dies, both do.
    pub async fn live_beside(&self, other: &Self, text: &str, command: Command) -> [Ended; 2] {
        let both = async {
            let (mine, theirs) =
                tokio::join!(self.ended(text, command), other.ended(text, command));
            [mine, theirs]
        };
        self.mortal(both)
            .await
            .unwrap_or([Ended::Died, Ended::Died])
    }

    /// A new process that does this, and `None` where it dies of it.
    async fn mortal<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let net = &self.world.net;
        net.live_again();
        self.world.place.reopen();
        let done = tokio::select! {
            biased;
            () = net.died() => return None,
            done = Box::pin(work) => done,
        };
        // It may have died of its last write, without another call to wait for.
        (!net.is_dead()).then_some(done)
    }

    async fn ended(&self, text: &str, command: Command) -> Ended {
        let ended = Box::pin(self.run(text, command)).await;
        ended.unwrap_or_else(|ended| ended)
    }

    /// The error is an end before anything was done.
    async fn run(&self, text: &str, command: Command) -> Result<Ended, Ended> {
        let spec = spec(text)?;
        let adapters = self.world.adapters(self.seed);
        let mut writer = None;
        if self.begun()? {
            writer = Some(self.open(None)?);
        }
        let snapshot = match &mut writer {
            Some(writer) => self.recovered(&adapters, writer).await?,
            None => self.fresh()?,
        };
        if snapshot.resources.is_empty() && snapshot.in_doubt.is_empty() {
            self.not_taken(&adapters, &snapshot).await?;
        }
        let declarations = self.declarations(&spec, &snapshot);
        let planned = self
            .plan(&adapters, &declarations, &snapshot, command)
            .await?;
        let mut writer = match writer {
            Some(writer) => writer,
            None => self.open(Some(planned.plan.base.lineage.clone()))?,
        };
        let now = writer.snapshot();
        let base = &planned.plan.base;
        if (now.serial, &now.lineage) != (base.serial, &base.lineage) {
            return Err(Ended::Refused(
                "the state changed after the plan".to_owned(),
            ));
        }
        let ended = self
            .rounds(&adapters, &spec, planned, &mut writer, command)
            .await;
        match writer.close("simulation", self.world.clock.now()) {
            Ok(_) => ended,
            Err(error) => Ok(Ended::Incomplete(error.to_string())),
        }
    }

    /// Runs the plan, and as long as each leaves out less than the one before, another of what
    /// could not be read: as the command line does.
    async fn rounds(
        &self,
        adapters: &Adapters,
        spec: &Spec,
        mut planned: Planned,
        writer: &mut Writer,
        command: Command,
    ) -> Result<Ended, Ended> {
        loop {
            let unread = planned.report.unread();
            let ended = self.executed(adapters, planned, writer).await;
            if ended != Ended::Complete || unread == 0 {
                return Ok(ended);
            }
            let snapshot = writer.snapshot().clone();
            let declarations = self.declarations(spec, &snapshot);
            planned = self
                .plan(adapters, &declarations, &snapshot, command)
                .await?;
            if planned.report.unread() >= unread {
                let left = format!("{} could not be read", planned.report.unread());
                return Ok(Ended::Incomplete(left));
            }
        }
    }

    async fn executed(&self, adapters: &Adapters, planned: Planned, writer: &mut Writer) -> Ended {
        let approved = planned.plan.approve(Approval {
            how: "simulation".to_owned(),
            at: self.world.clock.now(),
        });
        let cancel = Cancel::new();
        let options = self.options();
        let run = Run {
            registry: &adapters.registry,
            clock: &self.world.clock,
            cancel: &cancel,
            options: &options,
        };
        let before = writer.snapshot().clone();
        let mut silent = |_| ();
        let outcome = kplan_engine::apply(run, &approved, before, writer, &mut silent).await;
        let report = outcome.report();
        if report.is_complete() {
            return Ended::Complete;
        }
        let failures = report.failed.iter().chain(&report.in_doubt);
        let told: Vec<String> = failures
            .map(|failure| format!("{}: {}", failure.address, failure.error))
            .chain(
                report
                    .unfinished
                    .iter()
                    .map(|one| format!("{}: {}", one.address, one.error)),
            )
            .chain(report.journal.iter().map(ToString::to_string))
            .collect();
        Ended::Incomplete(told.join("; "))
    }

    fn options(&self) -> ExecuteOptions {
        let run = format!("{}-{}", self.world.clock.now().0, self.seed);
        let mut options = ExecuteOptions::new(RunId(run));
        options.seed = self.seed;
        options.discipline = self.discipline;
        options
    }

    /// Whether a state was ever begun.
    fn begun(&self) -> Result<bool, Ended> {
        use kplan_state::Disk as _;
        match &self.world.place {
            Place::Disk(disk) => {
                let entries = disk.list(Path::new(FOLDER));
                Ok(entries.is_ok_and(|names| !names.is_empty()))
            }
            Place::Bucket(bucket) => {
                let there = Location::Shared(Arc::new(bucket.clone())).exists();
                there.map_err(stopped)
            }
        }
    }

    fn open(&self, lineage: Option<String>) -> Result<Writer, Ended> {
        let mut options = WriteOptions::new("simulation");
        options.lineage = Some(lineage.unwrap_or_else(|| self.lineage.to_owned()));
        let key = self.identity;
        let opened = match &self.world.place {
            Place::Disk(disk) => {
                let disk = Arc::new(disk.clone());
                LocalWriter::open_on(disk, Path::new(FOLDER), CLUSTER, key, &options)
                    .map(|writer| Writer::Local(Box::new(writer)))
            }
            Place::Bucket(bucket) => {
                Location::Shared(Arc::new(bucket.clone())).writer(CLUSTER, key, &options)
            }
        };
        opened.map_err(stopped)
    }

    fn fresh(&self) -> Result<Snapshot, Ended> {
        let owner = kplan_state::owner(CLUSTER, self.lineage).map_err(stopped)?;
        Ok(Snapshot::empty(self.lineage, owner))
    }

    /// What is on record, read as `plan` reads it.
    pub fn recorded(&self) -> Result<Snapshot, Ended> {
        let read = match &self.world.place {
            Place::Disk(disk) => {
                let disk = Arc::new(disk.clone());
                LocalReader::on(disk, Path::new(FOLDER), CLUSTER, Some(self.identity)).read()
            }
            Place::Bucket(bucket) => {
                SharedReader::open(Arc::new(bucket.clone()), CLUSTER, Some(self.identity)).read()
            }
        };
        match read.map_err(stopped)?.snapshot {
            Some(snapshot) => Ok(snapshot),
            None => self.fresh(),
        }
    }

    async fn recovered(&self, adapters: &Adapters, writer: &mut Writer) -> Result<Snapshot, Ended> {
        let cancel = Cancel::new();
        let options = self.options();
        let run = Run {
            registry: &adapters.registry,
            clock: &self.world.clock,
            cancel: &cancel,
            options: &options,
        };
        let snapshot = writer.snapshot().clone();
        if snapshot.in_doubt.is_empty() {
            return Ok(snapshot);
        }
        let recovered = kplan_engine::recover(run, snapshot, writer, &mut |_| ()).await;
        if recovered.is_clear() {
            return Ok(recovered.snapshot);
        }
        let notes = recovered.notes.iter().filter_map(|note| {
            let error = note.outcome.as_ref().err()?;
            Some(format!("{}: {error}", note.address))
        });
        let journal = recovered.journal.iter().map(ToString::to_string);
        let told: Vec<String> = notes.chain(journal).collect();
        Err(Ended::Refused(told.join("; ")))
    }

    async fn not_taken(&self, adapters: &Adapters, snapshot: &Snapshot) -> Result<(), Ended> {
        let claims =
            kplan_providers::digitalocean::other_owners(&adapters.digitalocean, &snapshot.owner)
                .await
                .map_err(|error| Ended::Incomplete(error.to_string()))?;
        if claims.is_empty() {
            return Ok(());
        }
        Err(Ended::Refused("the cluster's name is taken".to_owned()))
    }

    fn declarations(&self, spec: &Spec, snapshot: &Snapshot) -> Declarations {
        let inputs = Inputs {
            owner: snapshot.owner.clone(),
            members: compose::Members::of(snapshot),
            earlier: compose::Earlier::of(snapshot),
            standing: compose::Standing::of(snapshot),
            restoring: compose::Restoring::of(snapshot),
            rotating: compose::Rotating::of(snapshot),
            artifacts: self.world.artifacts.clone(),
            secrets: kplan::load::Secrets::new(),
            token: self.world.token(),
        };
        let mut declarations = compose::compose(spec, &inputs);
        if !self.platform {
            declarations
                .resources
                .retain(|one| CLOUD.contains(&one.address.kind().as_str()));
        }
        declarations
    }

    async fn plan(
        &self,
        adapters: &Adapters,
        declarations: &Declarations,
        snapshot: &Snapshot,
        command: Command,
    ) -> Result<Planned, Ended> {
        let mode = match command {
            Command::Apply => PlanMode::Apply,
            Command::Destroy => PlanMode::Destroy,
        };
        let mut options = PlanOptions::new(mode);
        // The operator consents to what the edit loses.
        options.allow_destroy = snapshot.resources.keys().cloned().collect();
        options.delete_kept = command == Command::Destroy;
        let mut observing = Observing::new(self.world.clock.now());
        observing.seed = self.seed;
        let planned = kplan_engine::plan(Planning {
            declarations,
            snapshot: snapshot.clone(),
            registry: &adapters.registry,
            options: &options,
            observing: &observing,
        });
        planned
            .await
            .map_err(|error| Ended::Refused(error.to_string()))
    }

    /// The plan of the file as it would be now.
    pub async fn planned(&self, text: &str, command: Command) -> Result<Plan, Ended> {
        let snapshot = self.recorded()?;
        self.planned_from(text, command, snapshot).await
    }

    /// The plan of the file, were this on record.
    pub async fn planned_from(
        &self,
        text: &str,
        command: Command,
        snapshot: Snapshot,
    ) -> Result<Plan, Ended> {
        let spec = spec(text)?;
        let adapters = self.world.adapters(self.seed);
        let declarations = self.declarations(&spec, &snapshot);
        let planned = self.plan(&adapters, &declarations, &snapshot, command);
        Ok(planned.await?.plan)
    }

    /// What an apply of the file would do now, step by step.
    pub async fn left(&self, text: &str, command: Command) -> Result<Vec<String>, Ended> {
        let plan = self.planned(text, command).await?;
        let steps = plan.steps.iter();
        Ok(steps
            .map(|step| {
                let fields = step.changes.iter().map(|change| change.field.clone());
                let fields: Vec<String> = fields.collect();
                format!(
                    "{:?} {}: {:?} ({})",
                    step.action,
                    step.address,
                    step.reason,
                    fields.join(", ")
                )
            })
            .collect())
    }
}

fn spec(text: &str) -> Result<Spec, Ended> {
    let parsed = kplan_schema::parse(&Source::new("cluster.toml", text.to_owned()));
    parsed.spec.ok_or_else(|| {
        let found = parsed.diagnostics.iter().map(|one| one.message.clone());
        Ended::Refused(format!(
            "the file: {}",
            found.collect::<Vec<_>>().join("; ")
        ))
    })
}

fn stopped(error: kplan_model::StoreError) -> Ended {
    match error.code {
        "state::locked" => Ended::Locked,
        "state::full" | "state::io" | "state::poisoned" | "state::unreachable" | "state::store" => {
            Ended::Incomplete(format!("{}: {error}", error.code))
        }
        code => Ended::Refused(format!("{code}: {error}")),
    }
}
