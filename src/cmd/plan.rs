//! `kplan plan`: what apply would do. Reads the cloud, writes nothing, takes no lock.

use crate::cli::{Format, Global, PlanArgs};
use crate::cmd::session::{self, Session};
use crate::error::CommandResult;
use crate::exit::Exit;
use crate::render::{Terminal, json, plan as text};
use kplan_engine::{Planned, WhyNot};
use kplan_model::value::fill_object;
use kplan_model::{Action, Declarations, Plan, Ref, Snapshot, Value};

/// Runs it.
pub async fn run(global: &Global, args: &PlanArgs, terminal: &mut Terminal) -> CommandResult {
    let session = Session::open(global, terminal).await?;
    let policy = session::planning_policy(args.planning.secrets.allow_secret_sources);
    let snapshot = session.recorded(terminal)?;
    let declarations = session.declarations(&snapshot, policy)?;
    let options = session::options(&args.planning, args.destroy)?;
    let planned = session.plan(&declarations, &snapshot, &options).await?;
    let as_json = global.json || args.format == Format::Json;
    show(&session, &planned, &declarations, terminal, as_json);
    if !as_json {
        previews(&session, &planned, terminal).await;
    }
    Ok(exit(&planned, args.detailed_exitcode))
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
    plan.steps.iter().any(text::is_visible)
        || (plan.mode == kplan_model::PlanMode::RefreshOnly && !plan.drift.is_empty())
}

/// Prints the plan with everything that belongs to it.
pub fn show(
    session: &Session,
    planned: &Planned,
    declarations: &Declarations,
    terminal: &mut Terminal,
    as_json: bool,
) {
    let statistics = session.statistics(planned, declarations);
    let notes = notes(planned);
    let kinds = session.kinds();
    if as_json {
        let document = json::plan(&planned.plan, &kinds, &statistics, &notes);
        terminal.line(&document.to_string());
        return;
    }
    for line in session.adapters.header(&session.loaded.spec) {
        terminal.line(&line);
    }
    if planned.report.is_partial() && !changes(&planned.plan) {
        terminal.line(
            "Nothing to change among what could be read. The notes say what could not be looked at.",
        );
    } else {
        terminal.out(&text::text(&planned.plan, &kinds, terminal.color()));
    }
    for note in notes {
        terminal.line(&format!("Note: {note}"));
    }
}

/// The Kubernetes server's own dry run of what would be updated. A cluster that does not answer
/// is said, and takes nothing from the plan.
async fn previews(session: &Session, planned: &Planned, terminal: &mut Terminal) {
    for step in planned
        .plan
        .steps
        .iter()
        .filter(|step| step.action == Action::Update)
    {
        let (Some(entry), Some(before), Some(args)) = (
            session.adapters.registry.get(step.address.kind()),
            step.before.as_ref(),
            step.args.as_ref(),
        ) else {
            continue;
        };
        let args = fill_object(args, &|reference| recorded(&planned.snapshot, reference));
        match entry.observe.preview(Some(&before.known()), &args).await {
            Ok(objects) => {
                for object in objects {
                    let title = format!(
                        "  # {}: the server's dry run of {}",
                        step.address, object.object
                    );
                    terminal.line(&format!("\n{title}"));
                    terminal.out(&text::lines(
                        &object.before,
                        &object.after,
                        terminal.color(),
                    ));
                }
            }
            Err(error) => {
                terminal.line(&format!(
                    "Note: {}: no dry run by the server: {error}",
                    step.address
                ));
            }
        }
    }
}

/// What a reference gives by the record: good enough for a preview, never for an apply.
fn recorded(snapshot: &Snapshot, reference: &Ref) -> Option<Value> {
    let record = snapshot.resources.get(&reference.address)?;
    record.attribute(&reference.attribute)
}

fn notes(planned: &Planned) -> Vec<String> {
    let mut notes: Vec<String> = planned
        .notes
        .iter()
        .map(|note| match &note.outcome {
            Ok(found) => format!("{}: an earlier run was cut off; {found}", note.address),
            Err(error) => format!("{}: an earlier run was cut off; {error}", note.address),
        })
        .collect();
    for item in &planned.report.not_done {
        // What is kept is no surprise to whoever destroys; it is said all the same.
        let verb = if item.why == WhyNot::Kept {
            "stays: it"
        } else {
            "is left out: it"
        };
        notes.push(format!("{} {verb} {}", item.address, item.why));
    }
    for (address, field) in &planned.report.not_compared {
        notes.push(format!("{address}: {field} (not compared: no identity)"));
    }
    notes
}
