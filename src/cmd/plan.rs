//! `kplan plan`: what apply would do. Reads the cloud, writes nothing, takes no lock.

use crate::cli::{Detail, Format, Global, PlanArgs, ShowArgs, Sort};
use crate::cmd::leavings::{self, Wishes};
use crate::cmd::review::{Beside, Form, Shown};
use crate::cmd::saved::{self, Sealing};
use crate::cmd::session::{self, Session};
use crate::error::CommandResult;
use crate::exit::Exit;
use crate::interrupt::Interrupts;
use crate::load;
use crate::relocate::{self, Which};
use crate::render::{Terminal, markdown, text};
use crate::review;
use kplan_engine::Planned;
use kplan_model::{Owner, Plan, Value};
use std::sync::Arc;

/// Runs it.
pub async fn run(global: &Global, args: &PlanArgs, terminal: &mut Terminal) -> CommandResult {
    let planning = Interrupts::listen();
    Box::pin(planning.unless(plan(global, args, terminal))).await
}

async fn plan(global: &Global, args: &PlanArgs, terminal: &mut Terminal) -> CommandResult {
    if let Some(path) = &args.out {
        saved::make_room(path)?;
    }
    let session = Session::reading(global, terminal).await?;
    let policy = session::planning_policy(args.planning.secrets.allow_secret_sources);
    let snapshot = session.recorded(terminal)?;
    let secrets = load::secrets(&session.loaded, policy)?;
    if !args.destroy {
        session.admitted(&snapshot, &secrets).await?;
    }
    let mut options = session::options(&args.planning, args.destroy)?;
    options.delete_kept = args.delete_backups;
    let given = options.clone();
    let sealing = match &args.out {
        Some(_) => Some(Sealing::of(&session, &snapshot, terminal)?),
        None => None,
    };
    let (snapshot, mut found, staying) = if args.destroy {
        let wishes = Wishes {
            orphans: args.orphans,
            final_backup: args.final_backup,
            delete_backups: args.delete_backups,
        };
        wishes.agree()?;
        let left = leavings::find(&session, snapshot, wishes).await?;
        if args.out.is_some() {
            leavings::answered(&left)?;
        }
        let staying = left.staying();
        (left.snapshot, left.notes, staying)
    } else {
        (snapshot, Vec::new(), Vec::new())
    };
    let arranged =
        relocate::arrange(&session, (snapshot, &secrets), Which::File, &mut options).await?;
    found.extend(arranged.notes.iter().cloned());
    let planning = arranged.planned(&session, &secrets, &options);
    let (mut planned, declarations) = planning.await?;
    if sealing.is_none() && !session.place.exists()? {
        // The lineage is made when the state is: a first plan reads the same every time.
        unknown_owner(&mut planned.plan, &planned.snapshot.owner);
    }
    let beside = Beside {
        notes: &found,
        staying: &staying,
    };
    let looks = (&planned, beside);
    let (shown, looked) = Shown::of(&session, looks, &declarations).await;
    let refused = looked.refuses(&args.planning.preflight.skip_preflight);
    if let (Some(sealing), Some(path), false) = (&sealing, &args.out, refused) {
        let what = (&planned, &given, &shown);
        saved::save(&session, (global, args), what, (&secrets, sealing), path)?;
    }
    let form = form(global, &args.show, terminal);
    shown.page(form, terminal);
    if let Form::Text(_) = form {
        looked.print(&session, terminal);
    }
    if refused {
        return Ok(Exit::Error);
    }
    if let (Form::Text(_), true) = (form, changes(&planned.plan) || args.out.is_some()) {
        saved::epilogue(global, args.out.as_deref(), terminal);
    }
    Ok(exit(&planned, args.detailed_exitcode))
}

/// How the command line wants a plan printed.
pub fn form(global: &Global, args: &ShowArgs, terminal: &Terminal) -> Form {
    match args.format {
        _ if global.json => Form::Json,
        Format::Json => Form::Json,
        Format::Markdown => Form::Markdown(args.max_bytes.unwrap_or(markdown::MOST)),
        Format::Text => Form::Text(text::Style {
            color: terminal.color(),
            detail: match args.detail() {
                Detail::Summary => text::Detail::Summary,
                Detail::Changes => text::Detail::Changes,
                Detail::Full => text::Detail::Full,
            },
            order: match args.sort {
                Sort::Dependency => text::Order::Dependency,
                Sort::Risk => text::Order::Risk,
            },
        }),
    }
}

/// What holds the owner's id is shown as known after apply. Such a plan is never executed: `apply`
/// makes its own.
fn unknown_owner(plan: &mut Plan, owner: &Owner) {
    let id = owner.id();
    for step in &mut plan.steps {
        for value in step
            .args
            .iter_mut()
            .flat_map(kplan_model::Object::values_mut)
        {
            forget(value, &id);
        }
    }
}

fn forget(value: &mut Value, id: &str) {
    match value {
        Value::Str(text) if text.contains(id) => *value = Value::Unknown,
        Value::List(items) => Arc::make_mut(items)
            .iter_mut()
            .for_each(|item| forget(item, id)),
        Value::Map(map) => map.values_mut().for_each(|item| forget(item, id)),
        _ => {}
    }
}

fn exit(planned: &Planned, detailed: bool) -> Exit {
    if planned.report.is_partial() {
        return Exit::Error;
    }
    if detailed && changes(&planned.plan) {
        Exit::Changes
    } else {
        Exit::Ok
    }
}

/// Whether applying the plan would change anything but the bookkeeping.
pub fn changes(plan: &Plan) -> bool {
    plan.steps.iter().any(review::is_visible)
        || !plan.moved.is_empty()
        || !plan.imported.is_empty()
        || (plan.mode == kplan_model::PlanMode::RefreshOnly && !plan.drift.is_empty())
}
