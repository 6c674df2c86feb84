//! Plans in files: `plan --out FILE` writes one, `apply FILE` carries it out, `show FILE` shows it.

use crate::artifacts::lock_path;
use crate::cli::{ApplyArgs, Global, Orphans, PlanArgs};
use crate::cmd::ending::Began;
use crate::cmd::execution::{Execution, outputs};
use crate::cmd::leavings::{self, Left, Wishes};
use crate::cmd::review::{Beside, Form, Shown};
use crate::cmd::session::Session;
use crate::compose::leavings::traces;
use crate::error::{CommandResult, Failure, Problem};
use crate::exit::Exit;
use crate::interrupt::Interrupts;
use crate::load::{self, Secrets, SourcePolicy};
use crate::planfile::{self, Asked, FORMAT, Moved, Pins, PlanFile, Sealed, Unrelated, sha256};
use crate::preflight::Preflight;
use crate::relocate::{self, Which};
use crate::render::Terminal;
use crate::render::text::Style;
use crate::render::value::printable;
use crate::whole::{self, Readers};
use crate::wire::SystemClock;
use crate::{git, wire};
use kplan_engine::clock::Clock as _;
use kplan_engine::{PlanOptions, Planned};
use kplan_model::{Plan, PlanMode, Snapshot, Value};
use kplan_schema::value::SecretSource;
use kplan_state::{Identity, Keyring};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// Before planning for a file: what it will be sealed with. Where there is no state yet, keys of its
/// own, for whoever has this machine's identity.
pub struct Sealing {
    keyring: Keyring,
    identity: Option<String>,
}

impl Sealing {
    /// Finds the keys.
    ///
    /// # Errors
    /// `state::no_identity`: a plan that cannot compare secrets is no plan to agree to.
    pub fn of(
        session: &Session,
        snapshot: &Snapshot,
        terminal: &mut Terminal,
    ) -> Result<Self, Failure> {
        let identity = session.place.identity_or_new(terminal)?;
        if let Some(keyring) = session.place.reader(Some(&identity)).read()?.keyring {
            return Ok(Self {
                keyring,
                identity: None,
            });
        }
        let keys = identity.plan_keys(None, &snapshot.lineage);
        let (recipient, keyring) = keys.ok_or_else(wire::no_identity)?;
        Ok(Self {
            keyring,
            identity: Some(recipient),
        })
    }
}

/// Writes a plan into a file.
///
/// # Errors
/// `planfile::unwritable`; a secret that cannot be compared.
pub fn save(
    session: &Session,
    (global, args): (&Global, &PlanArgs),
    (planned, options, shown): (&Planned, &PlanOptions, &Shown),
    (secrets, sealing): (&Secrets, &Sealing),
    path: &Path,
) -> Result<(), Failure> {
    let pinned = planfile::pinned(&planned.plan, &sealing.keyring);
    let keep = args.orphans.map(|what| what == Orphans::Keep);
    let mut pins = pins(session, global, secrets, &sealing.keyring)?;
    pins.lineage.clone_from(&planned.snapshot.lineage);
    pins.at(git::head(&session.loaded.folder));
    if session.place.exists()? {
        pins.serial = Some(planned.snapshot.serial);
    }
    let file = PlanFile {
        format: FORMAT,
        at: SystemClock.now(),
        pins,
        asked: Asked {
            skip_preflight: args.planning.preflight.skip_preflight.clone(),
            final_backup: args.final_backup,
            ..Asked::of(options, keep)
        },
        identity: sealing.identity.clone(),
        steps: pinned.ok_or_else(wire::no_identity)?,
        seen: planfile::seen(&planned.plan, &sealing.keyring).ok_or_else(wire::no_identity)?,
        relocated: planfile::relocated(&planned.plan),
        shown: shown.clone(),
    };
    let unwritable = |error: &dyn std::fmt::Display| {
        let message = format!("cannot write the plan to {}: {error}", path.display());
        Failure::from(Problem::error("planfile::unwritable", message))
    };
    let bytes = planfile::write(&file, &sealing.keyring).map_err(|error| unwritable(&error))?;
    whole::write(path, &bytes, Readers::Owner).map_err(|error| unwritable(&error))
}

/// What everything is made of, as it is now; lineage, serial and commit are the caller's to add.
fn pins(
    session: &Session,
    global: &Global,
    secrets: &Secrets,
    keyring: &Keyring,
) -> Result<Pins, Failure> {
    let loaded = &session.loaded;
    let spec = std::fs::read(&global.file).map_err(|error| {
        let message = format!("cannot read {}: {error}", global.file.display());
        Problem::error("file::unreadable", message)
    })?;
    let named = secrets.iter().filter_map(|(source, secret)| {
        let pin = keyring.pin(&Value::Secret(secret.clone()))?;
        Some((name_of(source), pin))
    });
    let beside = loaded.beside.iter();
    Ok(Pins {
        kplan: env!("CARGO_PKG_VERSION").to_owned(),
        cloud: if session.cloud.embedded {
            "sandbox".to_owned()
        } else {
            session.cloud.api_url.clone()
        },
        cluster: session.place.cluster.clone(),
        lineage: String::new(),
        serial: None,
        spec: sha256(&spec),
        lock: std::fs::read(lock_path(&loaded.folder))
            .ok()
            .map(|bytes| sha256(&bytes)),
        beside: beside
            .map(|(path, text)| (path.clone(), sha256(text.as_bytes())))
            .collect(),
        commit: None,
        uncommitted: false,
        secrets: named.collect(),
    })
}

/// A source as its file names it.
fn name_of(source: &SecretSource) -> String {
    match source {
        SecretSource::Env(name) => format!("env {name}"),
        SecretSource::File(path) => format!("file {path}"),
        SecretSource::Command(words) => format!("command {}", words.join(" ")),
    }
}

/// What is said under a plan: where it was saved, or that it was not.
pub fn epilogue(global: &Global, out: Option<&Path>, terminal: &mut Terminal) {
    let alone = std::env::var_os("KPLAN_IN_AUTOMATION").is_none_or(|value| value.is_empty());
    let rule = "─".repeat(77);
    match out {
        Some(path) => {
            let path = path.display();
            terminal.line(&format!("\n{rule}\n\nSaved the plan to: {path}"));
            if alone {
                let sandbox = if global.sandbox { " --sandbox" } else { "" };
                terminal.line(&format!(
                    "\nTo perform exactly these actions, run:\n    kplan apply {path}{sandbox}"
                ));
            }
        }
        None if alone => terminal.line(&format!(
            "\n{rule}\n\nNote: you did not use --out to save this plan, so kplan cannot promise to take \
             exactly these actions if you run `kplan apply` now."
        )),
        None => {}
    }
}

/// Reads a plan file.
///
/// # Errors
/// `planfile::missing`, and those of [`planfile::read`].
pub fn read(path: &Path) -> Result<Sealed, Failure> {
    let bytes = std::fs::read(path).map_err(|error| {
        let message = format!("cannot read the plan file {}: {error}", path.display());
        Problem::error("planfile::missing", message)
            .help("`kplan plan --out FILE` writes plan files")
    })?;
    planfile::read(bytes)
}

/// `kplan show PLAN`.
pub fn show(global: &Global, path: &Path, form: Form, terminal: &mut Terminal) -> CommandResult {
    let sealed = read(path)?;
    let unchecked = unchecked(global, &sealed)?;
    let file = &sealed.plan;
    if let Some(why) = &unchecked {
        terminal.note(&format!(
            "Note: the plan file's seal was not checked: {why}"
        ));
        if let Form::Text(style) = form {
            // Whoever wrote it may have put anything into it.
            let style = Style {
                color: false,
                ..style
            };
            let text = file.shown.printed(Form::Text(style), terminal);
            terminal.out(
                &text
                    .split('\n')
                    .map(printable)
                    .collect::<Vec<_>>()
                    .join("\n"),
            );
            return Ok(Exit::Ok);
        }
    }
    if let Form::Text(_) = form {
        terminal.note(&format!("Plan of {} in {}", about(file), path.display()));
    }
    file.shown.page(form, terminal);
    if let Form::Text(_) = form {
        for finding in &file.shown.findings {
            terminal.line(finding);
        }
    }
    Ok(Exit::Ok)
}

/// Reads a plan file and checks its seal.
///
/// # Errors
/// Those of [`read`], `planfile::forged`, and `planfile::unsealed` where it cannot be checked here.
pub fn checked(global: &Global, path: &Path) -> Result<Sealed, Failure> {
    let sealed = read(path)?;
    match unchecked(global, &sealed)? {
        None => Ok(sealed),
        Some(why) => {
            let message = format!("the plan file's seal cannot be checked: {why}");
            let problem = Problem::error("planfile::unsealed", message);
            Err(problem
                .help("run it where the plan was made: with its cluster.toml, its state, and the identity")
                .into())
        }
    }
}

/// Makes room for a plan file: one that is there already goes, so that a plan that fails leaves
/// none behind that could be taken for it.
///
/// # Errors
/// `planfile::unwritable` where something else has that name.
pub fn make_room(path: &Path) -> Result<(), Failure> {
    let refused = |why: &str| {
        let message = format!("the plan cannot be saved as {}: {why}", path.display());
        let problem = Problem::error("planfile::unwritable", message);
        Failure::from(problem.help("choose another name with --out"))
    };
    let Ok(there) = std::fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !there.is_file() || read(path).is_err_and(|why| is_stranger(&why)) {
        return Err(refused("something that is no plan file has that name"));
    }
    std::fs::remove_file(path).map_err(|error| refused(&error.to_string()))
}

fn is_stranger(why: &Failure) -> bool {
    why.problems
        .iter()
        .any(|problem| problem.code == "planfile::not_one")
}

/// Why the seal cannot be checked here.
fn unchecked(global: &Global, sealed: &Sealed) -> Result<Option<String>, Failure> {
    let Ok(loaded) = load::file(&global.file) else {
        return Ok(Some(format!("{} cannot be read", global.file.display())));
    };
    let place = wire::StatePlace::of(global, &loaded.identified())?;
    let Some(identity) = place.identity()? else {
        return Ok(Some("there is no identity".to_owned()));
    };
    let state = place.reader(Some(&identity)).read()?;
    let keyring = match state.keyring {
        _ if sealed.plan.identity.is_some() => of_identity(&sealed.plan, &identity)?,
        Some(keyring) => keyring,
        None => return Ok(Some("its state is not here".to_owned())),
    };
    sealed.check(&keyring)?;
    Ok(None)
}

/// The keys of a plan that was made before its state.
fn of_identity(file: &PlanFile, identity: &Identity) -> Result<Keyring, Failure> {
    let whose = file.identity.as_deref();
    let keys = identity.plan_keys(whose, &file.pins.lineage);
    let Some((_, keyring)) = keys else {
        let message = format!(
            "the plan was made with the identity {}, which is not here",
            whose.unwrap_or("of nobody")
        );
        let problem = Problem::error("planfile::other_identity", message).help(
            "nothing was changed. Give that identity in KPLAN_IDENTITY, or make the plan anew with this one",
        );
        return Err(Failure::with(Exit::StalePlan, problem));
    };
    Ok(keyring)
}

/// When and where from.
fn about(file: &PlanFile) -> String {
    let at = jiff::Timestamp::from_millisecond(file.at.0);
    let at = at.map_or_else(
        |_| "an unknown time".to_owned(),
        |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
    );
    let mut said = format!("{at}, made by kplan {}", file.pins.kplan);
    if let Some(commit) = &file.pins.commit {
        let commit = git::Commit {
            id: commit.clone(),
            changed: file.pins.uncommitted,
        };
        let _ = write!(said, " at commit {commit}");
    }
    said
}

/// `kplan apply PLAN`.
pub async fn apply(
    global: &Global,
    args: &ApplyArgs,
    path: &Path,
    terminal: &mut Terminal,
) -> CommandResult {
    let sealed = read(path)?;
    let interrupts = Interrupts::listen();
    let session = interrupts.unless(Session::open(global, terminal)).await?;
    fits(&session, global, &sealed.plan)?;
    confirmed(&sealed.plan, args)?;
    let command = match sealed.plan.asked.mode {
        PlanMode::Destroy => "destroy",
        PlanMode::Apply | PlanMode::RefreshOnly => "apply",
    };
    let opening = Execution::open(
        &session,
        (global, &interrupts),
        &args.run,
        command,
        terminal,
    );
    let mut execution = interrupts.unless(opening).await?;
    let saved = Saved {
        session: &session,
        global,
        file: &sealed.plan,
        skip: &args.planning.preflight.skip_preflight,
    };
    let ready = saved.ready(&mut execution, &sealed, terminal);
    let Ready {
        plan,
        unread,
        began,
    } = Box::pin(interrupts.unless(ready)).await?;
    let mut end = execution.run(plan, "plan file", terminal).await;
    if let (Ok(Exit::Ok), true) = (&end, unread) {
        terminal.note(
            "something could not be read, so the plan in the file was not the whole truth: plan again \
             for the rest",
        );
        end = Ok(Exit::Partial);
    }
    if let (Ok(Exit::Ok), PlanMode::Apply, false, Some(recorded)) = (
        &end,
        sealed.plan.asked.mode,
        global.json,
        execution.recorded(),
    ) {
        outputs(recorded, terminal);
    }
    if let (Some(began), Ok(exit)) = (&began, &end) {
        let ended = (*exit, execution.recorded());
        let ended = began.ended((&session, &interrupts), ended, (global, terminal));
        let ended = Box::pin(ended).await;
        if ended.is_proven {
            execution.forget(&traces())?;
        }
        end = Ok(ended.exit);
    }
    execution.close(terminal).await;
    end
}

/// A plan that destroys everything needs the cluster's name beside it: a file is easily taken for
/// another.
fn confirmed(file: &PlanFile, args: &ApplyArgs) -> Result<(), Failure> {
    let name = &file.pins.cluster;
    if file.asked.mode != PlanMode::Destroy || args.confirm.as_ref() == Some(name) {
        return Ok(());
    }
    let message = format!("the plan in the file destroys all of {name}");
    let problem = Problem::error("destroy::not_confirmed", message);
    let problem = problem.help(format!("nothing was changed. Add --confirm {name}"));
    Err(Failure::with(Exit::Refused, problem))
}

/// What the file was made of is what is here: everything that can be known before the state is.
fn fits(session: &Session, global: &Global, file: &PlanFile) -> Result<(), Failure> {
    let pins = &file.pins;
    let now = pins_without_secrets(session, global)?;
    let other = |what: &str, was: &str, is: &str| {
        Err(stale(format!(
            "{what}: the plan was made for {was}, here it is {is}"
        )))
    };
    let none = "none".to_owned();
    let lock = |lock: &Option<String>| lock.clone().unwrap_or_else(|| none.clone());
    if pins.kplan != now.kplan {
        return other("another kplan", &pins.kplan, &now.kplan);
    }
    if pins.cloud != now.cloud {
        return other("another cloud", &pins.cloud, &now.cloud);
    }
    if pins.cluster != now.cluster {
        return other("another cluster", &pins.cluster, &now.cluster);
    }
    if pins.spec != now.spec {
        return other(&session.loaded.file, &short(&pins.spec), &short(&now.spec));
    }
    if pins.lock != now.lock {
        let (was, is) = (lock(&pins.lock), lock(&now.lock));
        return other("kplan.lock", &short(&was), &short(&is));
    }
    let names = pins.beside.keys().chain(now.beside.keys());
    let differs = |name: &&String| pins.beside.get(*name) != now.beside.get(*name);
    if let Some(name) = names.into_iter().find(differs) {
        let is =
            |all: &BTreeMap<String, String>| all.get(name).cloned().unwrap_or_else(|| none.clone());
        return other(name, &short(&is(&pins.beside)), &short(&is(&now.beside)));
    }
    Ok(())
}

fn pins_without_secrets(session: &Session, global: &Global) -> Result<Pins, Failure> {
    let nobody = Keyring::random("")?;
    pins(session, global, &Secrets::new(), &nobody)
}

fn short(digest: &str) -> String {
    digest.get(..19).unwrap_or(digest).to_owned()
}

/// A plan file that no longer fits.
fn stale(message: impl Into<String>) -> Failure {
    let problem = Problem::error("planfile::stale", message).help(
        "nothing was changed. Make the plan anew with `kplan plan --out FILE`, and have it read again",
    );
    Failure::with(Exit::StalePlan, problem)
}

/// A plan file that is about to be carried out.
struct Saved<'a> {
    session: &'a Session,
    global: &'a Global,
    file: &'a PlanFile,
    /// `--skip-preflight`.
    skip: &'a [String],
}

/// What will be done.
struct Ready {
    plan: Plan,
    /// Whether the plan left something out that could not be read.
    unread: bool,
    /// Of a plan that destroys: what it began with.
    began: Option<Began>,
}

impl Saved<'_> {
    /// Makes the plan anew and compares it.
    async fn ready(
        &self,
        execution: &mut Execution<'_>,
        sealed: &Sealed,
        terminal: &mut Terminal,
    ) -> Result<Ready, Failure> {
        let (session, file) = (self.session, self.file);
        let snapshot = self.snapshot(execution, terminal).await?;
        let keyring = self.keyring(execution)?;
        sealed.check(&keyring)?;
        let secrets = load::secrets(&session.loaded, SourcePolicy::All)?;
        self.same_secrets(&secrets, &keyring)?;
        let left = self.left(&snapshot).await?;
        let snapshot = left.as_ref().map_or(snapshot, |left| left.snapshot.clone());
        if file.asked.mode != PlanMode::Destroy {
            session.admitted(&snapshot, &secrets).await?;
        }
        let mut options = file.asked.options();
        let mut arranged =
            relocate::arrange(session, (snapshot, &secrets), Which::File, &mut options).await?;
        if arranged.is_new() {
            arranged.snapshot.serial += 1;
        }
        let next = arranged.is_new().then(|| arranged.snapshot.clone());
        let planning = arranged.planned(session, &secrets, &options);
        let (mut planned, declarations) = planning.await?;
        let (mut plan, unrelated) = self.compared(&planned, &keyring)?;
        // All that was seen to have changed is shown, also what is left as it is.
        let drift = std::mem::take(&mut planned.plan.drift);
        planned.plan = Plan {
            drift,
            ..plan.clone()
        };
        let looked = self
            .tell(&planned, &unrelated, &declarations, terminal)
            .await;
        let skip = [&file.asked.skip_preflight[..], self.skip].concat();
        looked.admits(&skip)?;
        let mut began = None;
        if let Some(mut left) = left {
            let begun = Began::of(session, &planned, &left);
            if begun.put(&mut left.snapshot) || left.is_new {
                plan.base.serial = execution.put_beside(left.snapshot)?;
            }
            began = Some(begun);
        }
        execution.put(None, next, terminal).await?;
        Ok(Ready {
            plan,
            unread: planned.report.unread() > 0,
            began,
        })
    }

    /// The state, cleared up; where there is none yet, the one the plan begins with.
    async fn snapshot(
        &self,
        execution: &mut Execution<'_>,
        terminal: &mut Terminal,
    ) -> Result<Snapshot, Failure> {
        let pins = &self.file.pins;
        let exists = execution.recorded().is_some();
        if exists != pins.serial.is_some() {
            let message = if exists {
                "the plan was made when there was no state yet, and now there is one"
            } else {
                "the plan was made for a state that is not here"
            };
            return Err(stale(message));
        }
        if !exists {
            let owner = kplan_state::owner(&pins.cluster, &pins.lineage)?;
            return Ok(Snapshot::empty(pins.lineage.clone(), owner));
        }
        let snapshot = execution.recovered(terminal).await?;
        if snapshot.lineage != pins.lineage {
            return Err(stale(format!(
                "the plan was made for another state: its lineage is {}, here it is {}",
                pins.lineage, snapshot.lineage
            )));
        }
        Ok(snapshot)
    }

    fn keyring(&self, execution: &Execution<'_>) -> Result<Keyring, Failure> {
        // A state has keys of its own, which nobody else can make.
        if self.file.identity.is_some() && self.file.pins.serial.is_none() {
            let identity = self.session.place.identity()?;
            let identity = identity.ok_or_else(wire::no_identity)?;
            return of_identity(self.file, &identity);
        }
        let keyring = execution.keyring().cloned();
        keyring.ok_or_else(|| wire::no_identity().into())
    }

    fn same_secrets(&self, secrets: &Secrets, keyring: &Keyring) -> Result<(), Failure> {
        let then = &self.file.pins.secrets;
        for (source, secret) in secrets {
            let name = name_of(source);
            let now = keyring.pin(&Value::Secret(secret.clone()));
            if then.get(&name) != now.as_ref() {
                return Err(stale(format!(
                    "the secret that {name} gives is another than when the plan was made"
                )));
            }
        }
        Ok(())
    }

    /// Of a plan that destroys: what the cluster made.
    async fn left(&self, snapshot: &Snapshot) -> Result<Option<Left>, Failure> {
        if self.file.asked.mode != PlanMode::Destroy {
            return Ok(None);
        }
        let orphans = self
            .file
            .asked
            .keep_orphans
            .map(|keep| if keep { Orphans::Keep } else { Orphans::Delete });
        let wishes = Wishes {
            orphans,
            final_backup: self.file.asked.final_backup,
            delete_backups: self.file.asked.delete_backups,
        };
        let left = leavings::find(self.session, snapshot.clone(), wishes).await?;
        leavings::answered(&left)?;
        Ok(Some(left))
    }

    fn compared(
        &self,
        planned: &Planned,
        keyring: &Keyring,
    ) -> Result<(Plan, Vec<Unrelated>), Failure> {
        let file = self.file;
        let found = planfile::compare(file, planned, keyring);
        let (plan, unrelated) = found.map_err(|moved| Self::moved(&moved))?;
        let findings = kplan_engine::plan::lint(&plan, &planned.snapshot, &self.session.kinds());
        if let Some(finding) = findings.first() {
            return Err(stale(format!(
                "what is in the file cannot be done without what has to be done besides: {finding}"
            )));
        }
        Ok((plan, unrelated))
    }

    fn moved(moved: &[Moved]) -> Failure {
        let all: Vec<String> = moved.iter().map(|one| format!("\n  {one}")).collect();
        stale(format!(
            "the plan in the file is not what would be done now; what moved:{}",
            all.concat()
        ))
    }

    async fn tell(
        &self,
        planned: &Planned,
        unrelated: &[Unrelated],
        declarations: &kplan_model::Declarations,
        terminal: &mut Terminal,
    ) -> Preflight {
        let (session, file) = (self.session, self.file);
        let (mut shown, looked) =
            Shown::of(session, (planned, Beside::default()), declarations).await;
        if self.global.json {
            let told: Vec<String> = unrelated.iter().map(ToString::to_string).collect();
            shown.document["unrelated"] = told.into();
            shown.print(Form::Json, terminal);
            return looked;
        }
        terminal.line(&format!("Carrying out the plan of {}.", about(file)));
        if let Some(commit) = &file.pins.commit
            && git::has(&session.loaded.folder, commit) == Some(false)
        {
            terminal.line(&format!(
                "Note: commit {} is not in the history of this checkout; the files the plan was made of \
                 are the same",
                commit.get(..12).unwrap_or(commit)
            ));
        }
        let style = Style {
            color: terminal.color(),
            ..Style::default()
        };
        shown.print(Form::Text(style), terminal);
        for one in unrelated {
            terminal.line(&format!(
                "Note: {one}; it is not in the plan file, and is left as it is"
            ));
        }
        looked.print(session, terminal);
        looked
    }
}
