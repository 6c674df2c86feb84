//! `kplan destroy`: destroys everything on record but what is kept by design.

use crate::cli::{DestroyArgs, Global};
use crate::cmd::ending::Began;
use crate::cmd::execution::{Execution, answer, consent};
use crate::cmd::leavings::{self, Left, Wishes};
use crate::cmd::plan::changes;
use crate::cmd::review::{Beside, show_with};
use crate::cmd::session::Session;
use crate::compose::leavings::traces;
use crate::compose::storage;
use crate::error::{CommandResult, Failure, Problem};
use crate::exit::Exit;
use crate::interrupt::Interrupts;
use crate::render::{Terminal, events};
use kplan_engine::{PlanOptions, Planned, WhyNot};
use kplan_model::{Action, PlanMode, Snapshot, Step};
use kplan_schema::spec::BackupStore;

/// Runs it.
pub async fn run(global: &Global, args: &DestroyArgs, terminal: &mut Terminal) -> CommandResult {
    let interrupts = Interrupts::listen();
    let session = interrupts.unless(Session::open(global, terminal)).await?;
    let name = session.loaded.spec.name().to_owned();
    confirmed(args, global, &name)?;
    if !session.place.exists()? {
        if global.json {
            terminal.line(&events::version().to_string());
            let nothing = events::summary((0, 0, 0), 0, PlanMode::Destroy);
            terminal.line(&nothing.to_string());
        } else {
            terminal.line("No changes. No objects need to be destroyed.");
        }
        return Ok(Exit::Ok);
    }
    let wanted = (global, &interrupts);
    let ready = interrupts.unless(prepare(&session, wanted, args, terminal));
    let Some(Ready {
        mut execution,
        planned,
        began,
    }) = Box::pin(ready).await?
    else {
        terminal.line("Destroy cancelled.");
        return Ok(Exit::Error);
    };
    let kept: Vec<String> = planned
        .report
        .not_done
        .iter()
        .filter(|item| item.why == WhyNot::Kept)
        .map(|item| item.address.to_string())
        .collect();
    let mut exit = Exit::Ok;
    let runs = changes(&planned.plan);
    if runs {
        let how = if args.run.auto_approve {
            "--confirm"
        } else {
            "prompt"
        };
        exit = execution.run(planned.plan, how, terminal).await?;
        if !global.json && exit == Exit::Ok && !kept.is_empty() {
            terminal.line(&kept_by_design(&kept));
        }
    }
    let ended = (exit, execution.recorded());
    let ended = began.ended((&session, &interrupts), ended, (global, terminal));
    let ended = Box::pin(ended).await;
    let forgot = ended.is_proven && execution.forget(&traces())?;
    if runs || forgot {
        execution.close(terminal).await;
    }
    Ok(ended.exit)
}

/// What stays, and how it goes.
fn kept_by_design(kept: &[String]) -> String {
    let has = |address: kplan_model::Address| kept.contains(&address.to_string());
    let what = if has(storage::backup_bucket()) {
        "the backups, and the Spaces key they are read with, which opens every bucket of the \
         account; `kplan destroy --delete-backups` destroys them too"
    } else if has(storage::operator_key()) {
        "there are no backups yet that it would open: their bucket was never made; `kplan destroy \
         --delete-backups` destroys the key, too"
    } else {
        "the password of the volumes in the backups, which are in a bucket of your own; `kplan \
         destroy --delete-backups` destroys the password, and leaves the backups unreadable"
    };
    format!("Kept: {} ({what}).", kept.join(", "))
}

/// What is destroyed, agreed to where that was needed.
struct Ready<'a> {
    execution: Execution<'a>,
    planned: Planned,
    began: Began,
}

/// Everything before the first change: the lock, recovery, the plan, and consent where something
/// would change. Nothing where that was not given.
async fn prepare<'a>(
    session: &'a Session,
    (global, interrupts): (&'a Global, &'a Interrupts),
    args: &'a DestroyArgs,
    terminal: &mut Terminal,
) -> Result<Option<Ready<'a>>, Failure> {
    let wanted = (global, interrupts);
    let mut execution = Execution::open(session, wanted, &args.run, "destroy", terminal).await?;
    let snapshot = execution.recovered(terminal).await?;
    let Some(mut left) = found(session, snapshot, args, terminal).await? else {
        return Ok(None);
    };
    if args.run.auto_approve {
        leavings::answered(&left)?;
    }
    let snapshot = left.snapshot.clone();
    let mut options = PlanOptions::new(PlanMode::Destroy);
    options.delete_kept = args.delete_backups;
    // Destroying looks at the record. The file only says how what is on record is reached.
    let declarations = session.references(&snapshot);
    let mut planned = session.plan(&declarations, snapshot, &options).await?;
    let staying = left.staying();
    let beside = Beside {
        notes: &left.notes,
        staying: &staying,
    };
    let looks = (&planned, beside);
    // Nothing is made, so nothing could be refused.
    let _idle = show_with(session, looks, &declarations, terminal, global.json).await;
    if !global.json
        && let Some(loss) = left_unreadable(session, &planned)
    {
        terminal.line(&loss);
    }
    if planned.report.is_partial() {
        let problem = Problem::error(
            "plan::partial",
            "something could not be read, so nobody knows what would be left; nothing was destroyed",
        );
        return Err(problem
            .help("see the notes above; run destroy again when it can be read")
            .into());
    }
    let name = session.loaded.spec.name();
    let question = format!(
        "Do you really want to destroy all resources?\n  kplan will destroy everything shown above. \
         There is no undo.\n  Only the cluster's name, {name}, will be accepted to confirm."
    );
    let asked = changes(&planned.plan) && !args.run.auto_approve;
    if asked && !consent(terminal, &question, name).await? {
        return Ok(None);
    }
    let began = Began::of(session, &planned, &left);
    if changes(&planned.plan) && (began.put(&mut left.snapshot) || left.is_new) {
        // On record before the first of them goes: whatever cuts the run off, the next one knows them.
        planned.plan.base.serial = execution.put_beside(left.snapshot)?;
    }
    Ok(Some(Ready {
        execution,
        planned,
        began,
    }))
}

/// What the cluster made, and what is done in it first. Asks whether a last backup is made where
/// nobody said; nothing where that was not answered.
async fn found(
    session: &Session,
    snapshot: Snapshot,
    args: &DestroyArgs,
    terminal: &mut Terminal,
) -> Result<Option<Left>, Failure> {
    let mut wishes = Wishes {
        orphans: args.orphans,
        final_backup: args.final_backup,
        delete_backups: args.delete_backups,
    };
    wishes.agree()?;
    let looked = Box::pin(leavings::look(session, &snapshot, wishes)).await?;
    if looked.can_be_backed_up(wishes) && !args.run.auto_approve {
        let question = "Make a last backup before anything is destroyed?\n  It goes into the bucket of the \
                        backups, which stays. Unless it is whole, nothing is destroyed.\n  Only 'yes' or \
                        'no' will be accepted.";
        wishes.final_backup = match answer(terminal, question).await?.as_str() {
            "yes" => Some(true),
            "no" => Some(false),
            _ => return Ok(None),
        };
    }
    looked.decided(snapshot, wishes).map(Some)
}

/// What `--delete-backups` takes where the bucket is not kplan's to delete.
fn left_unreadable(session: &Session, planned: &Planned) -> Option<String> {
    let backup = session.loaded.spec.backup.as_ref()?;
    let BackupStore::Existing { place, .. } = &backup.store else {
        return None;
    };
    let password = storage::backup_password();
    let goes = |step: &Step| step.address == password && step.action == Action::Delete;
    planned.plan.steps.iter().any(goes).then(|| {
        format!(
            "Note: the backups in {} stay, because that bucket is not kplan's, and {password} \
             goes: what volumes hold in them can be read by nobody after that. To keep it, leave \
             --delete-backups out.",
            place.bucket
        )
    })
}

/// Without a prompt the cluster's name stands in for the answer.
fn confirmed(args: &DestroyArgs, global: &Global, name: &str) -> Result<(), Failure> {
    if !args.run.auto_approve {
        if global.json {
            let problem = Problem::error("cli::no_consent", "--json cannot ask for consent");
            return Err(problem.help("add --auto-approve --confirm NAME").into());
        }
        return Ok(());
    }
    if args.confirm.as_deref() == Some(name) {
        return Ok(());
    }
    let message = match &args.confirm {
        Some(other) => format!("--confirm {other} is not the cluster's name"),
        None => "--auto-approve alone does not consent to losing a cluster".to_owned(),
    };
    let problem = Problem::error("destroy::not_confirmed", message);
    Err(Failure::with(
        Exit::Refused,
        problem.help(format!("add --confirm {name}")),
    ))
}
