//! `kplan restore`: one command from a bucket, an identity and a token to the cluster that was.
//!
//! A lost state comes back from the newest recovery kit. Where the cluster is gone, too, it is made
//! again like by any apply, and what a backup holds is put into it before Argo CD fills it; where it
//! is still there, nothing but the state was lost, and that is back. Nothing is written before
//! somebody agreed to it, and the lock of a state that is there is held from before it is read.

use crate::artifacts::read_lock;
use crate::backup::{self, Backup};
use crate::cli::{Global, RestoreArgs};
use crate::cmd::apply;
use crate::cmd::execution::{Execution, consent};
use crate::cmd::managed;
use crate::cmd::restore_copy;
use crate::cmd::review::show;
use crate::cmd::session::{Session, planning_policy};
use crate::compose::{Restoring, k3s, restoring};
use crate::copy::{self, Origin};
use crate::error::{CommandResult, Failure, Problem};
use crate::exit::Exit;
use crate::interrupt::{Interrupts, blocking};
use crate::kit::{self, Name, frame};
use crate::load::{self, Secrets};
use crate::preflight;
use crate::render::Terminal;
use crate::wire::{SystemClock, no_identity};
use kits::{as_named, read_file, trusted};
use kplan_engine::clock::Clock as _;
use kplan_engine::{NotDone, PlanOptions, Planned};
use kplan_model::{
    Action, Declarations, ObjectCodec as _, ObjectStore, Plan, PlanMode, ProviderError, Snapshot,
};
use kplan_providers::kubernetes::RestoreAttrs;
use kplan_providers::local::{RestoreRequestArgs, RestoreSource};
use kplan_providers::recovery::KitPlace;
use kplan_schema::value::Datastore;
use kplan_state::KitContents;
use serde_json::json;
use std::fmt::Write as _;
use std::path::Path;

mod kits;
mod snapshot;

const QUESTION: &str = "Do you want to restore the cluster?
  kplan will make what is described above, and put the backup into it.
  Only 'yes' will be accepted to approve.";

const STATE_QUESTION: &str = "Do you want to put this state back?
  Nothing but the state is written.
  Only 'yes' will be accepted to approve.";

/// Runs it.
pub async fn run(global: &Global, args: &RestoreArgs, terminal: &mut Terminal) -> CommandResult {
    if global.json && !args.run.auto_approve {
        let problem = Problem::error("cli::no_consent", "--json cannot ask for consent");
        return Err(problem.help("add --auto-approve").into());
    }
    let interrupts = Interrupts::listen();
    let args = &interrupts.unless(kits::brought(args)).await?;
    kits::unpack_here(global, args, terminal)?;
    if args.name.is_some() || args.region.is_some() {
        return Box::pin(restore_copy::run(global, args, &interrupts, terminal)).await;
    }
    let session = interrupts.unless(Session::open(global, terminal)).await?;
    carry_out(global, args, (&session, &interrupts), None, terminal).await
}

/// Restores the cluster of a session, or makes it as the copy of another one.
pub async fn carry_out(
    global: &Global,
    args: &RestoreArgs,
    (session, interrupts): (&Session, &Interrupts),
    origin: Option<&Origin>,
    terminal: &mut Terminal,
) -> CommandResult {
    preflight::known(&args.preflight.skip_preflight)?;
    if let Some(nothing) = managed::nothing_to_do(&session.loaded) {
        return Err(nothing);
    }
    let restore = Restore {
        global,
        args,
        secrets: load::secrets(&session.loaded, planning_policy(true))?,
        session,
        interrupts,
        origin,
    };
    let beginning = Box::pin(interrupts.unless(restore.begin(terminal)));
    let (mut execution, plan) = match beginning.await? {
        Begun::Refused => {
            terminal.line("Restore cancelled. Nothing was written.");
            return Ok(Exit::Error);
        }
        Begun::Done => return Ok(Exit::Ok),
        Begun::Plan(execution, plan) => (*execution, *plan),
    };
    let (with, agreed) = ((global, interrupts), (plan, restore.secrets.clone()));
    let mut exit = Box::pin(apply::carry_out(
        session,
        with,
        (&args.run, &args.preflight.skip_preflight),
        &mut execution,
        agreed,
        terminal,
    ))
    .await;
    if matches!(exit, Ok(Exit::Ok)) {
        exit = end(session, global, &mut execution, &restore.secrets, terminal).await;
    }
    execution.close(terminal).await;
    exit
}

/// What the newest kit of a session's cluster knows, of those that are trusted, or the one that was
/// named.
pub async fn kit_of(
    global: &Global,
    args: &RestoreArgs,
    (session, interrupts): (&Session, &Interrupts),
    terminal: &mut Terminal,
) -> Result<Snapshot, Failure> {
    preflight::known(&args.preflight.skip_preflight)?;
    let restore = Restore {
        global,
        args,
        secrets: load::secrets(&session.loaded, planning_policy(true))?,
        session,
        interrupts,
        origin: None,
    };
    let kit = restore.kit(terminal).await?;
    restore.say(&format!("Taking {}.", kit.what), terminal);
    Ok(kit.snapshot)
}

/// How a restore comes to its end.
struct Ending {
    /// Whether nothing but the end is left in a plan.
    is_end: fn(&Plan) -> bool,
    /// What is there again.
    back: &'static str,
    /// What is so as long as the end is not done.
    meanwhile: &'static str,
    /// How it is done all the same.
    way: &'static str,
    /// What is said before it.
    said: fn(&Snapshot) -> String,
}

const FROM_BACKUP: Ending = Ending {
    is_end: Restoring::is_end,
    back: "the backup is back",
    meanwhile: ", so backups are still switched off",
    way: "run `kplan apply`: its plan switches them on again",
    said: how_much_is_back,
};

/// How much Velero restored: it called the restore complete, and every claim that waits for nobody has
/// its volume, else it would not be done.
fn how_much_is_back(snapshot: &Snapshot) -> String {
    let restore = snapshot.resources.get(&restoring::restore());
    let attrs = restore.and_then(|record| RestoreAttrs::from_object(&record.attrs).ok());
    let (Some(restore), Some(attrs)) = (restore, attrs) else {
        return "\nThe backup is back. Backups are made again from now on:\n".to_owned();
    };
    let counted = |count: i64, what: &str| match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    let mut said = format!(
        "\nThe backup is back: {} restored, {} bound.",
        counted(attrs.items_restored, "object"),
        counted(attrs.claims_bound.unwrap_or_default(), "claim")
    );
    if attrs.errors + attrs.warnings > 0 {
        let _ = write!(
            said,
            " Velero has {} and {}: `velero restore describe {} --details` says which.",
            counted(attrs.errors, "error"),
            counted(attrs.warnings, "warning"),
            restore.id
        );
    }
    said.push_str(" Backups are made again from now on:\n");
    said
}

/// Ends a restore that is done: Velero writes again and makes backups, and what was only for the
/// time of the restore goes. Agreed to with the restore; anything else is left to the next plan.
pub async fn end(
    session: &Session,
    global: &Global,
    execution: &mut Execution<'_>,
    secrets: &Secrets,
    terminal: &mut Terminal,
) -> CommandResult {
    let Some(snapshot) = execution.recorded().cloned() else {
        return Ok(Exit::Ok);
    };
    let Some(request) = snapshot.resources.get(&restoring::request()) else {
        return Ok(Exit::Ok);
    };
    let from_snapshot = request.args.get("snapshot").is_some_and(|it| !it.is_null());
    let ending = if from_snapshot {
        &snapshot::ENDING
    } else {
        &FROM_BACKUP
    };
    let left = |why: &str| {
        let message = format!("{}, and {why}{}", ending.back, ending.meanwhile);
        Problem::error("restore::not_ended", message).help(ending.way)
    };
    if Restoring::of(&snapshot).wish().is_some() {
        return Err(Failure::with(Exit::Partial, left("it is not whole yet")));
    }
    let declarations = session.declared(&snapshot, secrets.clone());
    let options = PlanOptions::new(PlanMode::Apply);
    let planned = session.plan(&declarations, snapshot, &options).await?;
    if planned.report.is_partial() || !(ending.is_end)(&planned.plan) {
        return Err(Failure::with(
            Exit::Partial,
            left("something else is to be changed, too"),
        ));
    }
    if !global.json {
        terminal.line(&(ending.said)(&planned.snapshot));
    }
    // It makes nothing that could be refused.
    let _idle = show(session, &planned, &declarations, terminal, global.json).await;
    execution
        .run(planned.plan, "with the restore", terminal)
        .await
}

/// Writes a file, in a folder that is made where there is none.
pub fn write_file(path: &Path, text: &str) -> Result<(), Failure> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| std::fs::write(path, text))
        .map_err(|error| {
            let message = format!("cannot write {}: {error}", path.display());
            Problem::error("cli::file", message).into()
        })
}

/// What one restore is about.
struct Restore<'a> {
    global: &'a Global,
    args: &'a RestoreArgs,
    secrets: Secrets,
    session: &'a Session,
    interrupts: &'a Interrupts,
    /// The cluster of which this one is made as a copy.
    origin: Option<&'a Origin>,
}

/// What came of looking at it.
enum Begun<'a> {
    /// Somebody said no.
    Refused,
    /// There is nothing more to do.
    Done,
    /// The state is in order, and this is what was agreed to.
    Plan(Box<Execution<'a>>, Box<Planned>),
}

/// A kit that is trusted, and what is in it.
struct Kit {
    contents: KitContents,
    snapshot: Snapshot,
    /// For people: which one, of when.
    what: String,
}

impl<'a> Restore<'a> {
    /// Everything before the first change.
    async fn begin(&self, terminal: &mut Terminal) -> Result<Begun<'a>, Failure> {
        let wanted = (self.global, self.interrupts);
        let run = &self.args.run;
        let mut execution =
            Execution::open(self.session, wanted, run, "kplan restore", terminal).await?;
        if execution.recorded().is_some() {
            let snapshot = execution.recovered(terminal).await?;
            let snapshot = self.begun(snapshot).await?;
            return self.plan(execution, None, snapshot, terminal).await;
        }
        if self.origin.is_some() {
            let snapshot = self.begun(self.session.recorded(terminal)?).await?;
            return self.plan(execution, None, snapshot, terminal).await;
        }
        let kit = self.kit(terminal).await?;
        self.say(&format!("Taking {}.", kit.what), terminal);
        let there = self.droplets(&kit).await?;
        if there && self.args.snapshot.is_none() {
            return self.only_the_state(execution, kit, terminal).await;
        }
        let snapshot = kit.snapshot.clone();
        self.plan(execution, Some(kit), snapshot, terminal).await
    }

    /// The state that a plan is made of: a copy's begins with what it takes over.
    async fn begun(&self, snapshot: Snapshot) -> Result<Snapshot, Failure> {
        let Some(origin) = self.origin else {
            return Ok(snapshot);
        };
        self.session.admitted(&snapshot, &self.secrets).await?;
        origin.begun(snapshot, &self.session.loaded)
    }

    fn say(&self, line: &str, terminal: &mut Terminal) {
        if !self.global.json {
            terminal.line(line);
        }
    }

    /// Shows a plan, which is refused for what DigitalOcean would refuse.
    async fn show(
        &self,
        planned: &Planned,
        declarations: &Declarations,
        terminal: &mut Terminal,
    ) -> Result<(), Failure> {
        let json = self.global.json;
        let looked = show(self.session, planned, declarations, terminal, json).await;
        looked.admits(&self.args.preflight.skip_preflight)
    }

    async fn agreed(&self, question: &str, terminal: &mut Terminal) -> Result<bool, Failure> {
        Ok(self.args.run.auto_approve || consent(terminal, question, "yes").await?)
    }

    /// Whether the kit's droplets are there. Ones of the same cluster that it does not know make
    /// it too old to go by.
    async fn droplets(&self, kit: &Kit) -> Result<bool, Failure> {
        let there = self
            .session
            .adapters
            .droplets_of(&kit.snapshot.owner)
            .await?;
        let records = kit.snapshot.resources.values();
        let known: Vec<&str> = records
            .filter(|record| record.address.kind().as_str() == "droplet")
            .map(|record| record.id.as_str())
            .collect();
        let strangers: Vec<&str> = there
            .iter()
            .filter(|(id, _)| !known.contains(&id.as_str()))
            .map(|(_, name)| name.as_str())
            .collect();
        if strangers.is_empty() {
            return Ok(!there.is_empty());
        }
        let message = format!(
            "{} is older than what exists: it does not know {}, which this cluster made since",
            kit.what,
            strangers.join(", ")
        );
        let problem = Problem::error("kit::stale", message).help(
            "nothing was changed, and nothing that exists needs to go. Take a newer kit with --kit: \
             one from the bucket, or `recovery.kit` from beside the state of whoever applied last",
        );
        Err(Failure::with(Exit::Refused, problem))
    }

    async fn only_the_state(
        &self,
        mut execution: Execution<'a>,
        kit: Kit,
        terminal: &mut Terminal,
    ) -> Result<Begun<'a>, Failure> {
        self.say(
            "The cluster's droplets are there: only its state was lost.",
            terminal,
        );
        if !self.agreed(STATE_QUESTION, terminal).await? {
            return Ok(Begun::Refused);
        }
        let document = kit.contents.document()?;
        let (serial, resources) = (kit.snapshot.serial, kit.snapshot.resources.len());
        execution.put(Some(document), None, terminal).await?;
        execution.close(terminal).await;
        if self.global.json {
            let document = json!({
                "format_version": "1.0",
                "restored": "state",
                "kit": kit.what,
                "serial": serial,
                "resources": resources,
            });
            terminal.line(&document.to_string());
        } else {
            terminal.line("The state is back. Run `kplan plan` next.");
        }
        Ok(Begun::Done)
    }

    /// The plan that makes the cluster again and restores into it, agreed to and the state ready
    /// for it.
    async fn plan(
        &self,
        mut execution: Execution<'a>,
        kit: Option<Kit>,
        snapshot: Snapshot,
        terminal: &mut Terminal,
    ) -> Result<Begun<'a>, Failure> {
        let begun = self.args.from.is_none() && Restoring::of(&snapshot).snapshot().is_some();
        if begun || self.args.snapshot.is_some() {
            return self
                .begin_from_snapshot(execution, kit, snapshot, terminal)
                .await;
        }
        let begun = Restoring::of(&snapshot).wish().cloned();
        let pending = Restoring::of(&snapshot).snapshot().is_some();
        if begun.is_none() && !pending && Restoring::asked(&snapshot).is_some() {
            return self.rest(execution, snapshot, terminal).await;
        }
        let mut snapshot = snapshot;
        if begun.is_none() && self.has_lost_its_servers(&snapshot).await? {
            restoring::forget_the_cluster(&mut snapshot);
        }
        if begun.is_none() && !self.is_lost(&snapshot).await? {
            return Err(self.not_lost());
        }
        let wish = self.wish(begun, &snapshot, terminal).await?;
        let mut next = snapshot;
        // What writing it makes of it, so that the plan is about exactly that.
        next.serial += 1;
        let record = restoring::wish(&wish, SystemClock.now());
        next.resources.insert(record.address.clone(), record);
        let (planned, declarations) = self.planned(next.clone()).await?;
        self.show(&planned, &declarations, terminal).await?;
        if !self.agreed(QUESTION, terminal).await? {
            return Ok(Begun::Refused);
        }
        let document = kit.map(|kit| kit.contents.document()).transpose()?;
        execution.put(document, Some(next), terminal).await?;
        Ok(Begun::Plan(Box::new(execution), Box::new(planned)))
    }

    /// What was left to do when a run was cut off behind the restore itself.
    async fn rest(
        &self,
        execution: Execution<'a>,
        snapshot: Snapshot,
        terminal: &mut Terminal,
    ) -> Result<Begun<'a>, Failure> {
        self.say("The backup is back already. What is left:", terminal);
        let (planned, declarations) = self.planned(snapshot).await?;
        self.show(&planned, &declarations, terminal).await?;
        if !self.agreed(QUESTION, terminal).await? {
            return Ok(Begun::Refused);
        }
        Ok(Begun::Plan(Box::new(execution), Box::new(planned)))
    }

    /// The plan of an apply, whatever could not be read for it.
    async fn looked_at(&self, snapshot: Snapshot) -> Result<(Planned, Declarations), Failure> {
        let declarations = self.session.declared(&snapshot, self.secrets.clone());
        let options = PlanOptions::new(PlanMode::Apply);
        let planned = self.session.plan(&declarations, snapshot, &options);
        Ok((planned.await?, declarations))
    }

    async fn planned(&self, snapshot: Snapshot) -> Result<(Planned, Declarations), Failure> {
        let (planned, declarations) = self.looked_at(snapshot).await?;
        if planned.report.is_partial() {
            return Err(nobody_knows(&planned.report.not_done));
        }
        Ok((planned, declarations))
    }

    /// Whether the data of a cluster with several servers is lost with all of them: there is nobody to
    /// ask about it any more. A single server's cluster goes with its droplet, and that of a database
    /// stays there.
    async fn has_lost_its_servers(&self, snapshot: &Snapshot) -> Result<bool, Failure> {
        let of_etcd = self.session.loaded.spec.datastore() == Datastore::Etcd;
        let known = snapshot.resources.contains_key(&k3s::cluster());
        Ok(of_etcd && known && self.servers_there(snapshot).await?.is_empty())
    }

    /// Whether the cluster is gone: a plan would make it.
    async fn is_lost(&self, snapshot: &Snapshot) -> Result<bool, Failure> {
        let (planned, _) = self.planned(snapshot.clone()).await?;
        let cluster = k3s::cluster();
        let mut steps = planned.plan.steps.iter();
        Ok(steps.any(|step| step.address == cluster && step.action == Action::Create))
    }

    fn not_lost(&self) -> Failure {
        let message = format!(
            "the cluster {} is there, and so is its state: nothing is lost",
            self.session.place.cluster
        );
        let problem = Problem::error("restore::not_lost", message).help(
            "single objects come back with Velero itself: `velero restore create --from-backup \
             NAME`; `kplan backup list` shows the names",
        );
        Failure::with(Exit::Refused, problem)
    }

    /// What is to be restored: what an earlier run began, unless this one says otherwise.
    async fn wish(
        &self,
        begun: Option<RestoreRequestArgs>,
        snapshot: &Snapshot,
        terminal: &mut Terminal,
    ) -> Result<RestoreRequestArgs, Failure> {
        let args = self.args;
        let name = match (&args.from, &begun) {
            (Some(name), _) => name.as_str(),
            (None, Some(begun)) => begun.backup.as_str(),
            (None, None) => "latest",
        };
        let source = match (self.origin, &begun) {
            (Some(origin), _) => Some(&origin.source),
            (None, begun) => begun.as_ref().and_then(|begun| begun.source.as_ref()),
        };
        let source = source.cloned();
        let place = self.backups(source.as_ref(), snapshot)?;
        let backup = self.backup(name, place).await?;
        let mut wish = begun.unwrap_or_else(|| RestoreRequestArgs {
            backup: String::new(),
            excluded_namespaces: Vec::new(),
            accept_partial: false,
            snapshot: None,
            source: None,
        });
        wish.source = source;
        wish.backup.clone_from(&backup.name);
        wish.accept_partial |= args.accept_partial;
        if !args.exclude_namespace.is_empty() {
            wish.excluded_namespaces.clone_from(&args.exclude_namespace);
        }
        Self::enough(&backup, wish.accept_partial)?;
        self.say(
            &format!(
                "Restoring from the backup {}, begun {}: {} objects{}.",
                backup.name,
                backup.started,
                backup.items,
                backup
                    .lacks()
                    .map(|what| format!(", {what}"))
                    .unwrap_or_default()
            ),
            terminal,
        );
        Ok(wish)
    }

    /// What cannot be restored is refused before anything is made, and what lacks something has to
    /// be agreed to by name.
    fn enough(backup: &Backup, accept_partial: bool) -> Result<(), Failure> {
        let lacks = match backup.phase.as_str() {
            "Completed" => backup.lacks(),
            "PartiallyFailed" => Some(format!("{} objects are missing in it", backup.errors)),
            phase => {
                let message = format!(
                    "the backup {} is {phase}: it cannot be restored",
                    backup.name
                );
                let problem = Problem::error("backup::unusable", message);
                return Err(problem.help("`kplan backup list` shows the others").into());
            }
        };
        let Some(lacks) = lacks.filter(|_| !accept_partial) else {
            return Ok(());
        };
        let message = format!(
            "the backup {} is not the whole cluster: {lacks}",
            backup.name
        );
        let problem = Problem::error("backup::partial", message).help(
            "what is not in it cannot be restored later, because Argo CD fills the cluster. Take \
             another with --from, or add --accept-partial",
        );
        Err(Failure::with(Exit::Refused, problem))
    }

    /// The bucket that the backup is in.
    fn backups(
        &self,
        source: Option<&RestoreSource>,
        snapshot: &Snapshot,
    ) -> Result<KitPlace, Failure> {
        let cloud = &self.session.cloud;
        match (self.origin, source) {
            (Some(origin), _) => Ok(origin.place.clone()),
            (None, Some(source)) => copy::place_of(source, cloud, snapshot),
            (None, None) => {
                backup::place(&self.session.loaded, cloud, &self.secrets, Some(snapshot))
            }
        }
    }

    /// A backup by its name, or the newest of the whole cluster.
    async fn backup(&self, name: &str, place: KitPlace) -> Result<Backup, Failure> {
        let objects = kit::objects_at(&place, None)?;
        let mut all = blocking(move || backup::all(&objects)).await??;
        let found = if name == "latest" {
            all.iter()
                .rposition(|one| one.is_whole() && one.lacks().is_none())
        } else {
            all.iter().position(|one| one.name == name)
        };
        if let Some(at) = found {
            return Ok(all.swap_remove(at));
        }
        let message = if name == "latest" {
            format!(
                "the bucket {} has no whole backup of the whole cluster",
                place.bucket
            )
        } else {
            format!("the bucket {} has no backup named {name}", place.bucket)
        };
        let help = if self.origin.is_some() {
            "`kplan backup list` shows those of the first cluster, of which a copy begins. Wait for one \
             of its schedules, or make one: `velero backup create`"
        } else {
            "`kplan backup list` shows those that are there. Without any, `kplan apply` makes the \
             cluster anew, and Argo CD fills it from Git"
        };
        Err(Problem::error("backup::missing", message).help(help).into())
    }

    /// The kit that was named, or the newest in the bucket that is signed as it has to be.
    async fn kit(&self, terminal: &mut Terminal) -> Result<Kit, Failure> {
        let session = self.session;
        let lock = kit::trusted_in(&session.loaded.folder, session.cloud.embedded);
        let lock = read_lock(&lock)?;
        let key = lock.kit_key(&session.place.cluster);
        let digest = self.args.trust_kit.as_deref();
        if let Some(name) = &self.args.kit {
            let bytes = match &self.args.brought {
                Some(bytes) => bytes.to_vec(),
                None if Path::new(name).is_file() => read_file(Path::new(name))?,
                None => self.fetched(name).await?,
            };
            let frame = frame::open(&bytes, name)?;
            trusted(&frame, key, digest, name)?;
            return self.opened(&frame, name);
        }
        let mut refused = None;
        for name in self.names().await?.into_iter().rev() {
            let frame = frame::open(&self.fetched(&name).await?, &name);
            let checked = frame.and_then(|frame| {
                as_named(&frame, &name)?;
                trusted(&frame, key, digest, &name)?;
                Ok(frame)
            });
            match checked {
                Ok(frame) => return self.opened(&frame, &name),
                Err(failure) => {
                    let first = failure.problems.first();
                    let why = first.map_or_else(String::new, |problem| problem.message.clone());
                    terminal.note(&format!("kit::left_aside: {why}"));
                    refused.get_or_insert(failure);
                }
            }
        }
        Err(refused.unwrap_or_else(Self::no_kit))
    }

    fn no_kit() -> Failure {
        let message = "the backup bucket has no recovery kit of this cluster";
        Problem::error("kit::missing", message)
            .help(
                "is this the bucket of `[backup]`, and the cluster's name? A kit that is a file is \
                 given with --kit FILE: every apply leaves one beside its state",
            )
            .into()
    }

    /// The names of the kits in the bucket, the oldest first.
    async fn names(&self) -> Result<Vec<String>, Failure> {
        let objects = self.kits()?;
        let listing = blocking(move || objects.list("", None)).await??;
        let keys = listing.objects.into_iter();
        let mut names: Vec<Name> = keys.filter_map(|object| Name::parse(&object.key)).collect();
        names.sort();
        Ok(names.iter().map(ToString::to_string).collect())
    }

    fn kits(&self) -> Result<impl ObjectStore + 'static, Failure> {
        let session = self.session;
        let place = backup::place(&session.loaded, &session.cloud, &self.secrets, None)?;
        let place = backup::kits(place, &session.place);
        Ok(kit::objects_at(&place, None)?)
    }

    async fn fetched(&self, name: &str) -> Result<Vec<u8>, Failure> {
        let objects = self.kits()?;
        let wanted = name.to_owned();
        let bytes: Result<_, ProviderError> = blocking(move || objects.get(&wanted)).await?;
        bytes?.ok_or_else(|| {
            let message = format!("there is no kit {name}: neither a file nor in the bucket");
            Problem::error("kit::missing", message).into()
        })
    }

    fn opened(&self, frame: &frame::Frame, name: &str) -> Result<Kit, Failure> {
        let identity = self.session.place.identity()?.ok_or_else(no_identity)?;
        let contents = KitContents::open(frame.contents(), &identity)?;
        let header = &frame.header;
        let document = contents.document()?;
        let fits = contents.cluster == header.cluster
            && document.lineage() == header.lineage
            && document.serial() == header.serial;
        let cluster = &self.session.place.cluster;
        if contents.cluster != *cluster || !fits {
            let message = format!(
                "{name} is of the cluster {}, and the file is about {cluster}",
                contents.cluster
            );
            let problem = Problem::error("kit::other_cluster", message);
            return Err(Failure::with(Exit::Refused, problem));
        }
        let at = jiff::Timestamp::from_millisecond(header.at);
        let at = at.map_or_else(
            |_| String::new(),
            |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        );
        Ok(Kit {
            snapshot: document.open(&identity)?,
            what: format!("kit {name} of {at}, serial {}", header.serial),
            contents,
        })
    }
}

/// What is lost cannot be told where something could not be read.
fn nobody_knows<'p>(unread: impl IntoIterator<Item = &'p NotDone>) -> Failure {
    let unread = unread.into_iter().map(|item| item.address.to_string());
    let unread: Vec<String> = unread.collect();
    let message = format!(
        "not everything could be read, so nobody knows what is lost: {}",
        unread.join(", ")
    );
    let problem = Problem::error("plan::partial", message);
    let help = "nothing was changed; run it again when it can be read";
    problem.help(help).into()
}
