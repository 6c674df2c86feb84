//! `kplan plan`: what apply would do. Reads the cloud, writes nothing, takes no lock.

use crate::backup;
use crate::cli::{Format, Global, PlanArgs};
use crate::cmd::session::{self, Session};
use crate::cmd::{dry_run, leavings};
use crate::compose::{Earlier, Restoring, database, k3s, platform};
use crate::error::CommandResult;
use crate::exit::Exit;
use crate::interrupt::Interrupts;
use crate::load;
use crate::preflight::{self, Preflight};
use crate::price;
use crate::render::{Terminal, json, plan as text};
use kplan_engine::{Planned, WhyNot};
use kplan_model::{Action, Address, Declarations, Owner, Plan, Recorded, Step, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Runs it.
pub async fn run(global: &Global, args: &PlanArgs, terminal: &mut Terminal) -> CommandResult {
    let planning = Interrupts::listen();
    Box::pin(planning.unless(plan(global, args, terminal))).await
}

async fn plan(global: &Global, args: &PlanArgs, terminal: &mut Terminal) -> CommandResult {
    let session = Session::open(global, terminal).await?;
    let policy = session::planning_policy(args.planning.secrets.allow_secret_sources);
    let snapshot = session.recorded(terminal)?;
    let secrets = load::secrets(&session.loaded, policy)?;
    let declarations = session.declared(&snapshot, secrets.clone());
    if !args.destroy {
        session.admitted(&snapshot, &secrets).await?;
    }
    let options = session::options(&args.planning, args.destroy)?;
    let (snapshot, found) = if args.destroy {
        let left = leavings::find(&session, snapshot, None).await?;
        (left.snapshot, left.notes)
    } else {
        (snapshot, Vec::new())
    };
    let mut planned = session.plan(&declarations, snapshot, &options).await?;
    if !session.place.exists()? {
        // The lineage is made when the state is: a first plan reads the same every time.
        unknown_owner(&mut planned.plan, &planned.snapshot.owner);
    }
    let as_json = global.json || args.format == Format::Json;
    let looks = (&planned, found.as_slice());
    let looked = show_with(&session, looks, &declarations, terminal, as_json).await;
    if looked.refuses(&args.planning.preflight.skip_preflight) {
        return Ok(Exit::Error);
    }
    Ok(exit(&planned, args.detailed_exitcode))
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
    plan.steps.iter().any(text::is_visible)
        || (plan.mode == kplan_model::PlanMode::RefreshOnly && !plan.drift.is_empty())
}

/// Prints the plan with everything that belongs to it.
pub async fn show(
    session: &Session,
    planned: &Planned,
    declarations: &Declarations,
    terminal: &mut Terminal,
    as_json: bool,
) -> Preflight {
    show_with(session, (planned, &[]), declarations, terminal, as_json).await
}

/// The same with notes about what was found besides what is on record.
pub async fn show_with(
    session: &Session,
    (planned, found): (&Planned, &[String]),
    declarations: &Declarations,
    terminal: &mut Terminal,
    as_json: bool,
) -> Preflight {
    let dry_runs = dry_run::ask(session, planned).await;
    let looked = Box::pin(preflight::look(session, planned, declarations)).await;
    let prices = price::of(&planned.plan, &planned.snapshot, &looked.catalogue);
    let statistics = session.statistics(planned, declarations);
    let mut notes = notes(planned);
    notes.extend(overdue(session, planned).await);
    notes.extend(found.iter().cloned());
    notes.extend(looked.notes.iter().cloned());
    let kinds = session.kinds();
    if as_json {
        let complete = !planned.report.is_partial();
        let mut document = json::plan(&planned.plan, &kinds, &statistics, &notes, complete);
        if let Some(map) = document.as_object_mut() {
            map.insert("dry_runs".to_owned(), dry_run::document(&dry_runs));
            map.insert("price".to_owned(), price::document(&prices));
            map.insert("preflight".to_owned(), looked.document(session));
        }
        terminal.line(&document.to_string());
        return looked;
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
    terminal.out(&price::text(&prices));
    for note in notes {
        terminal.line(&format!("Note: {note}"));
    }
    dry_run::print(&dry_runs, terminal);
    looked.print(session, terminal);
    looked
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
    if planned.plan.mode == kplan_model::PlanMode::Apply {
        notes.extend(left_behind(&planned.plan));
        notes.extend(Earlier::of(&planned.snapshot).notes());
        notes.extend(begun_anew(planned));
        notes.extend(upgraded(planned));
        notes.extend(yielded(planned));
        notes.extend(moved(planned));
        notes.extend(told(planned));
    }
    notes.extend(left_out(planned));
    notes.extend(unread(planned));
    notes.extend(planned.report.together.iter().map(ToString::to_string));
    for (address, needed) in &planned.report.circles {
        notes.push(format!(
            "an edit that was cut off left {address} and {needed} needing each other on record; \
             what {address} needed of {needed} is left aside"
        ));
    }
    for (address, field) in &planned.report.not_compared {
        notes.push(format!("{address}: {field} (not compared: no identity)"));
    }
    notes
}

/// What the cluster made by itself is in nobody's record.
fn left_behind(plan: &Plan) -> Option<String> {
    let goes = |step: &Step| step.action == Action::Delete && step.address.kind().as_str() == "k3s";
    plan.steps.iter().any(goes).then(|| {
        "what the cluster made itself (load balancers of Services, volumes and snapshots of \
         claims) is not destroyed and goes on billing until `kplan destroy` finds it"
            .to_owned()
    })
}

/// What Argo CD manages is left to it.
fn yielded(planned: &Planned) -> Vec<String> {
    let newest: BTreeMap<&Address, &Recorded> = planned
        .snapshot
        .resources
        .values()
        .chain(&planned.plan.refreshed)
        .filter(|record| record.attrs.get("managed_by").is_some())
        .map(|record| (&record.address, record))
        .collect();
    let managed = newest.into_iter().filter_map(|(address, record)| {
        let Some(Value::Str(application)) = record.attrs.get("managed_by") else {
            return None;
        };
        Some(format!(
            "{address} is managed by the Application {application} of Argo CD; kplan changes nothing of \
             it but its secrets"
        ))
    });
    managed.collect()
}

/// What an upgrade of K3s does to the nodes.
fn upgraded(planned: &Planned) -> Option<String> {
    let mut steps = planned.plan.steps.iter();
    let step = steps.find(|step| {
        step.address == platform::upgrade() && step.action == Action::Update && !step.only_waits()
    })?;
    let from = step.before.as_ref()?.attrs.get("version")?;
    let to = step.args.as_ref()?.get("version")?;
    let (Value::Str(from), Value::Str(to)) = (from, to) else {
        return None;
    };
    // Nodes that registered only now do not say yet what they run.
    (from != to && !from.as_str().is_empty()).then(|| {
        format!(
            "K3s goes from {from} to {to} on every node: servers one at a time, then agents one at a \
             time. A node is drained first where its pods can run elsewhere; disruption budgets are \
             kept. There is no way back to {from} but a restore"
        )
    })
}

/// What becomes of a server whose data moves to another datastore.
fn moved(planned: &Planned) -> Option<String> {
    let mut steps = planned.plan.steps.iter();
    let step = steps.find(|step| {
        let from_sqlite = |before: &Value| {
            matches!(before, Value::Map(map) if map.get("kind") == Some(&Value::str("sqlite")))
        };
        let mut changes = step.changes.iter();
        let moves =
            changes.any(|change| change.field == "datastore" && from_sqlite(&change.before));
        step.address.kind().as_str() == "k3s_node" && step.action == Action::Update && moves
    })?;
    Some(format!(
        "the data of {} moves from SQLite to etcd. Its droplet stays: K3s on it is started again, \
         once, and moves its data itself; the API is away for about a minute, pods go on. New \
         servers join after that. There is no way back to SQLite",
        step.address
    ))
}

/// What it means to tell living nodes something that K3s reads when it starts.
fn told(planned: &Planned) -> Vec<String> {
    let steps = planned.plan.steps.iter();
    let nodes: Vec<&Step> = steps
        .filter(|step| step.address.kind().as_str() == "k3s_node" && step.interrupts())
        .filter(|step| step.action == Action::Update)
        .collect();
    let Some(first) = nodes.first() else {
        return Vec::new();
    };
    let changes = |field: &str| {
        let mut all = nodes.iter().flat_map(|step| &step.changes);
        all.any(|change| change.field == field)
    };
    let which = match nodes.len() {
        1 => format!("on {}", first.address),
        count => format!("on {count} nodes, the servers one after the other"),
    };
    let mut said = vec![format!(
        "K3s is started again {which}: a server's API is away for about a minute, pods go on"
    )];
    if changes("server_token_after") {
        said.push(
            "until all servers have the new server token they know both: one that is started again in \
             the middle of it comes up with either"
                .to_owned(),
        );
    }
    if changes("datastore") && planned_password(planned) {
        said.push(
            "from the moment the password changes until a server was told, that server keeps the \
             connections to the database it has and can open no others"
                .to_owned(),
        );
    }
    said
}

/// Whether the password of K3s's user of the database is made anew.
fn planned_password(planned: &Planned) -> bool {
    let mut steps = planned.plan.steps.iter();
    steps.any(|step| step.address == database::user() && step.action == Action::Update)
}

/// Schedules that are behind, from one list of the bucket; or that nobody could look.
async fn overdue(session: &Session, planned: &Planned) -> Vec<String> {
    let (Some(wanted), kplan_model::PlanMode::Apply) =
        (&session.loaded.spec.backup, planned.plan.mode)
    else {
        return Vec::new();
    };
    let place = (session.place.cluster.as_str(), session.cloud.embedded);
    let found = backup::overdue::look(wanted, &planned.snapshot, place).await;
    found.map_or_else(
        |failure| {
            let first = failure.problems.first();
            let why = first.map_or_else(String::new, |problem| problem.message.clone());
            vec![format!("nobody could look whether backups are made: {why}")]
        },
        |found| found.map_or_else(Vec::new, |looked| looked.overdue),
    )
}

/// A cluster that is gone is made again empty, and Argo CD fills it before anybody can restore.
fn begun_anew(planned: &Planned) -> Option<String> {
    let cluster = k3s::cluster();
    let known = |address: &Address| planned.snapshot.resources.contains_key(address);
    let made = |step: &Step| step.address == cluster && step.action == Action::Create;
    let anew = known(&cluster) && planned.plan.steps.iter().any(made);
    let restoring = Restoring::of(&planned.snapshot).wish().is_some();
    let backed_up = known(&platform::velero()) || known(&platform::velero_secret());
    (anew && backed_up && !restoring).then(|| {
        "the cluster is gone and would be made again empty. `kplan restore` instead of apply brings \
         back what its backups hold, which is not possible any more once Argo CD has filled it"
            .to_owned()
    })
}

/// What a destroy takes although nobody could look at it.
fn unread(planned: &Planned) -> Option<String> {
    let unread = &planned.report.not_read;
    let (_, error) = unread.first()?;
    let addresses: Vec<String> = unread.iter().map(|(at, _)| at.to_string()).collect();
    Some(format!(
        "{} could not be read and will be destroyed as recorded: {error}",
        addresses.join(", ")
    ))
}

/// What is not in the plan, by reason: a cluster that does not answer is told once, not for
/// everything in it.
fn left_out(planned: &Planned) -> Vec<String> {
    let mut reasons: Vec<(String, bool, Vec<String>)> = Vec::new();
    for item in &planned.report.not_done {
        let why = item.why.to_string();
        let address = item.address.to_string();
        match reasons.iter_mut().find(|(known, _, _)| *known == why) {
            Some((_, _, addresses)) => addresses.push(address),
            None => reasons.push((why, item.why == WhyNot::Kept, vec![address])),
        }
    }
    reasons
        .iter()
        .map(|(why, kept, addresses)| {
            // What is kept is no surprise to whoever destroys; it is said all the same.
            let verb = match (kept, addresses.len()) {
                (true, 1) => "stays: it",
                (true, _) => "stay: each",
                (false, 1) => "is left out: it",
                (false, _) => "are left out: each",
            };
            format!("{} {verb} {why}", addresses.join(", "))
        })
        .collect()
}
