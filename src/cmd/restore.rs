//! `kplan restore`: one command from a bucket, an identity and a token to the cluster that was.
//!
//! A lost state comes back from the newest recovery kit. Where the cluster is gone, too, it is made
//! again like by any apply, and what a backup holds is put into it before Argo CD fills it; where it
//! is still there, nothing but the state was lost, and that is back.

use crate::artifacts::{LOCK_FILE, read_lock};
use crate::backup::{self, Backup};
use crate::cli::{ApplyArgs, Global, PlanningArgs, RestoreArgs};
use crate::cmd::apply;
use crate::cmd::session::{Session, notices, planning_policy};
use crate::compose::{k3s, restoring};
use crate::error::{CommandResult, Failure, Problem};
use crate::exit::Exit;
use crate::interrupt::{Interrupts, blocking};
use crate::kit::{self, frame};
use crate::load::{self, Secrets};
use crate::render::Terminal;
use crate::wire::{SystemClock, no_identity};
use kplan_engine::PlanOptions;
use kplan_engine::clock::Clock as _;
use kplan_model::{
    Action, Meta, ObjectCodec as _, ObjectStore as _, PlanMode, Recorded, RemoteId, Snapshot,
    Status,
};
use kplan_providers::local::{RestoreRequestArgs, RestoreRequestAttrs};
use kplan_state::{Document, Identity, KitContents};
use std::collections::BTreeSet;
use std::path::Path;

/// Runs it.
pub async fn run(global: &Global, args: &RestoreArgs, terminal: &mut Terminal) -> CommandResult {
    if global.json && !args.run.auto_approve {
        let problem = Problem::error("cli::no_consent", "--json cannot ask for consent");
        return Err(problem.help("add --auto-approve").into());
    }
    let interrupts = Interrupts::listen();
    let beginning = async {
        unpack_here(global, args, terminal)?;
        let session = Session::open(global, terminal).await?;
        let restore = Restore {
            global,
            args,
            secrets: load::secrets(&session.loaded, planning_policy(true))?,
            session,
        };
        let lost = restore.begin(terminal).await?;
        Ok((restore.session, lost))
    };
    let (session, lost) = Box::pin(interrupts.unless(beginning)).await?;
    if !lost {
        return Ok(Exit::Ok);
    }
    let apply_args = as_apply(args);
    let exit = apply::in_session(global, &apply_args, &session, &interrupts, terminal).await?;
    if exit != Exit::Ok {
        return Ok(exit);
    }
    // What was only for the time of the restore ends: the wish, and the bucket being read-only.
    if !global.json {
        terminal.line("\nThe backup is back. Backups are made again from now on:\n");
    }
    let unasked = ApplyArgs {
        run: crate::cli::RunArgs {
            auto_approve: true,
            ..apply_args.run
        },
        ..apply_args
    };
    apply::in_session(global, &unasked, &session, &interrupts, terminal).await
}

/// An apply with nothing but how it runs.
fn as_apply(args: &RestoreArgs) -> ApplyArgs {
    ApplyArgs {
        planning: PlanningArgs {
            target: Vec::new(),
            replace: Vec::new(),
            refresh_only: false,
            refresh: true,
            allow_destroy: Vec::new(),
            skip_operation: Vec::new(),
            secrets: args.secrets,
        },
        run: args.run.clone(),
    }
}

/// On an empty machine a kit that is a file gives `cluster.toml` and `kplan.lock`, too.
fn unpack_here(
    global: &Global,
    args: &RestoreArgs,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    if global.file.exists() {
        return Ok(());
    }
    let (Some(kit), Some(digest)) = (&args.kit, &args.trust_kit) else {
        let message = format!("{} is not here", global.file.display());
        let problem = Problem::error("file::unreadable", message).help(
            "bring it from version control, with kplan.lock beside it. Where that is lost, too, both \
             come out of a recovery kit in a file: --kit FILE --trust-kit SHA256",
        );
        return Err(problem.into());
    };
    let frame = frame::open(&read_file(Path::new(kit))?, kit)?;
    trusted(&frame, None, Some(digest), kit)?;
    let identity = crate::wire::identity()?.ok_or_else(no_identity)?;
    let contents = KitContents::open(frame.contents(), &identity)?;
    let folder = global.file.parent().unwrap_or(Path::new("."));
    for (name, text) in &contents.files {
        let target = if name == LOCK_FILE {
            kit::trusted_in(folder, global.sandbox)
        } else {
            // There is one besides the lock, whatever it was called where the kit was made.
            global.file.clone()
        };
        if !target.exists() {
            write_file(&target, text)?;
            terminal.note(&format!("Wrote {} from the kit.", target.display()));
        }
    }
    Ok(())
}

fn write_file(path: &Path, text: &str) -> Result<(), Failure> {
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

fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        let message = format!("cannot read {}: {error}", path.display());
        Problem::error("cli::file", message).into()
    })
}

/// Takes a kit that the lock's key signed, or the one whose digest somebody gave.
fn trusted(
    frame: &frame::Frame,
    key: Option<&str>,
    digest: Option<&str>,
    what: &str,
) -> Result<(), Failure> {
    if digest.is_some_and(|digest| digest.eq_ignore_ascii_case(&frame.digest))
        || (digest.is_none() && key == Some(frame.header.public_key.as_str()))
    {
        return Ok(());
    }
    let message = match (digest, key) {
        (Some(_), _) => format!(
            "{what} has another digest than --trust-kit says: {}",
            frame.digest
        ),
        (None, None) => format!(
            "nothing here says who may sign recovery kits of {}: kplan.lock has no key for it",
            frame.header.cluster
        ),
        (None, Some(_)) => format!("{what} is not signed by the key in kplan.lock"),
    };
    let problem = Problem::error("kit::not_trusted", message).help(format!(
        "bring kplan.lock from version control, where the last apply's is. A kit decides what runs \
         in your account: only where you know that this one is yours, name it: --trust-kit {}",
        frame.digest
    ));
    Err(Failure::with(Exit::Refused, problem))
}

/// What one restore is about.
struct Restore<'a> {
    global: &'a Global,
    args: &'a RestoreArgs,
    secrets: Secrets,
    session: Session,
}

/// A state to go on with.
struct Found {
    snapshot: Snapshot,
    /// Where it is from, when it is not here yet.
    kit: Option<Kit>,
}

/// What a kit gave.
struct Kit {
    identity: Identity,
    /// Who can read the state.
    recipients: Vec<String>,
    /// For people.
    what: String,
}

impl Restore<'_> {
    /// Puts the state in order; says whether the cluster is gone and will be made again.
    async fn begin(&self, terminal: &mut Terminal) -> Result<bool, Failure> {
        let found = self.state(terminal).await?;
        let lost = self.is_lost(&found.snapshot).await?;
        if !lost {
            return self.only_the_state(found, terminal);
        }
        let backup = self.backup(&found.snapshot).await?;
        if !self.global.json {
            terminal.line(&format!(
                "Restoring from the backup {}, begun {}: {} objects.",
                backup.name, backup.started, backup.items
            ));
        }
        let mut next = found.snapshot.clone();
        let record = self.request(&backup);
        next.resources.insert(record.address.clone(), record);
        self.put(&found, next, terminal)?;
        Ok(true)
    }

    fn only_the_state(&self, found: Found, terminal: &mut Terminal) -> Result<bool, Failure> {
        let Some(kit) = &found.kit else {
            let message = format!(
                "the cluster {} is there, and so is its state: nothing is lost",
                self.session.place.cluster
            );
            let problem = Problem::error("restore::not_lost", message).help(
                "single objects come back with Velero itself: `velero restore create --from-backup \
                 NAME`; `kplan backup list` shows the names",
            );
            return Err(Failure::with(Exit::Refused, problem));
        };
        let what = kit.what.clone();
        let next = found.snapshot.clone();
        self.put(&found, next, terminal)?;
        if !self.global.json {
            terminal.line(&format!(
                "The cluster is there; only its state was lost, and that is back from {what}. Run \
                 `kplan plan` next."
            ));
        }
        Ok(false)
    }

    /// The state that is here, or the one of a kit.
    async fn state(&self, terminal: &mut Terminal) -> Result<Found, Failure> {
        if self.session.place.exists()? {
            let snapshot = self.session.recorded(terminal)?;
            if !snapshot.in_doubt.is_empty() {
                let message = "an earlier run was cut off, and what came of it is not clear yet";
                let problem = Problem::error("state::in_doubt", message);
                return Err(problem
                    .help("run `kplan apply` or `kplan destroy` first")
                    .into());
            }
            return Ok(Found {
                snapshot,
                kit: None,
            });
        }
        let (bytes, what) = self.kit_bytes().await?;
        let frame = frame::open(&bytes, &what)?;
        let session = &self.session;
        let lock = kit::trusted_in(&session.loaded.folder, session.cloud.embedded);
        let lock = read_lock(&lock)?;
        let key = lock.kit_key(&session.place.cluster);
        trusted(&frame, key, self.args.trust_kit.as_deref(), &what)?;
        let identity = session.place.identity()?.ok_or_else(no_identity)?;
        let contents = KitContents::open(frame.contents(), &identity)?;
        if contents.cluster != session.place.cluster {
            let message = format!(
                "{what} is of the cluster {}, and the file is about {}",
                contents.cluster, session.place.cluster
            );
            return Err(Failure::with(
                Exit::Refused,
                Problem::error("kit::other_cluster", message),
            ));
        }
        let document = contents.document()?;
        let recipients = document.recipients().to_vec();
        let snapshot = Document::open(document, &identity)?;
        let kit = Kit {
            identity,
            recipients,
            what,
        };
        Ok(Found {
            snapshot,
            kit: Some(kit),
        })
    }

    /// The kit that was named, or the newest in the bucket.
    async fn kit_bytes(&self) -> Result<(Vec<u8>, String), Failure> {
        if let Some(name) = &self.args.kit
            && Path::new(name).is_file()
        {
            return Ok((read_file(Path::new(name))?, name.clone()));
        }
        let session = &self.session;
        let place = backup::place(&session.loaded, &session.cloud, &self.secrets, None)?;
        let place = backup::kits(place, &session.place);
        let objects = kit::objects_at(&place, None)?;
        let (bucket, wanted) = (place.bucket.clone(), self.args.kit.clone());
        let looking = move || {
            let name = match wanted {
                Some(name) => Some(name),
                None => objects
                    .list("", None)?
                    .objects
                    .pop()
                    .map(|newest| newest.key),
            };
            let Some(name) = name else { return Ok(None) };
            Ok::<_, kplan_model::ProviderError>(objects.get(&name)?.map(|bytes| (bytes, name)))
        };
        let Some((bytes, name)) = blocking(looking).await?? else {
            let message = format!("the bucket {bucket} has no such recovery kit");
            let problem = Problem::error("kit::missing", message).help(
                "is this the bucket of `[backup]`, and the cluster's name? A kit that is a file is \
                 given with --kit FILE: every apply leaves one beside its state",
            );
            return Err(problem.into());
        };
        Ok((bytes, format!("kit {name}")))
    }

    /// Whether the cluster is gone: a plan would make it.
    async fn is_lost(&self, snapshot: &Snapshot) -> Result<bool, Failure> {
        let session = &self.session;
        let declarations = session.declared(snapshot, self.secrets.clone());
        let options = PlanOptions::new(PlanMode::Apply);
        let planned = session
            .plan(&declarations, snapshot.clone(), &options)
            .await?;
        if planned.report.is_partial() {
            let message =
                "something could not be read, so nobody knows whether the cluster is gone";
            let problem = Problem::error("plan::partial", message);
            return Err(problem
                .help("nothing was changed; `kplan plan` names it")
                .into());
        }
        let cluster = k3s::cluster();
        Ok(planned
            .plan
            .steps
            .iter()
            .any(|step| step.address == cluster && step.action == Action::Create))
    }

    /// The backup to restore from.
    async fn backup(&self, snapshot: &Snapshot) -> Result<Backup, Failure> {
        let session = &self.session;
        let place = backup::place(
            &session.loaded,
            &session.cloud,
            &self.secrets,
            Some(snapshot),
        )?;
        let objects = kit::objects_at(&place, None)?;
        let mut all = blocking(move || backup::all(&objects)).await??;
        let latest = self.args.from == "latest";
        let found = if latest {
            all.iter().rposition(Backup::is_whole)
        } else {
            all.iter().position(|one| one.name == self.args.from)
        };
        if let Some(at) = found {
            return Ok(all.swap_remove(at));
        }
        let message = if latest {
            format!("the bucket {} has no whole backup", place.bucket)
        } else {
            format!(
                "the bucket {} has no backup named {}",
                place.bucket, self.args.from
            )
        };
        let help = "`kplan backup list` shows those that are there. Without any, `kplan apply` makes \
                    the cluster anew, and Argo CD fills it from Git";
        Err(Problem::error("backup::missing", message).help(help).into())
    }

    /// The wish to restore, as a record.
    fn request(&self, backup: &Backup) -> Recorded {
        let args = RestoreRequestArgs {
            backup: backup.name.clone(),
            excluded_namespaces: self.args.exclude_namespace.clone(),
            accept_partial: self.args.accept_partial,
        };
        let attrs = RestoreRequestAttrs {
            backup: backup.name.clone(),
        };
        Recorded {
            address: restoring::request(),
            id: RemoteId::new(backup.name.clone()),
            args: args.to_object(),
            attrs: attrs.to_object(),
            meta: Meta::default(),
            depends_on: Vec::new(),
            status: Status::Ready,
            created_at: SystemClock.now(),
            operations: BTreeSet::new(),
            version: 1,
        }
    }

    /// Writes the state where it belongs.
    fn put(&self, found: &Found, next: Snapshot, terminal: &mut Terminal) -> Result<(), Failure> {
        let place = &self.session.place;
        let command = "kplan restore";
        let mut options = place.options(command, &self.args.run.lock_timeout)?;
        options.lineage = Some(next.lineage.clone());
        let identity = match &found.kit {
            Some(kit) => kit.identity.clone(),
            None => place.identity()?.ok_or_else(no_identity)?,
        };
        let mut writer = place.writer(&identity, &options)?;
        place.bind()?;
        notices(terminal, &writer.take_notices());
        if let Some(kit) = &found.kit {
            let known = writer.recipients().to_vec();
            for recipient in kit.recipients.iter().filter(|one| !known.contains(one)) {
                writer.add_recipient(recipient)?;
            }
        }
        writer.replace(next)?;
        let said = writer.close(command, SystemClock.now())?;
        notices(terminal, &said);
        Ok(())
    }
}
