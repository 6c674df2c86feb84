//! `kplan import`: puts resources that exist already on record, and changes nothing else.

use crate::cli::{Global, ImportArgs};
use crate::cmd::execution::{Execution, consent};
use crate::cmd::review::{Beside, show_with};
use crate::cmd::session::Session;
use crate::cmd::state::address;
use crate::error::{CommandResult, Problem};
use crate::exit::Exit;
use crate::interrupt::Interrupts;
use crate::load::{self, SourcePolicy};
use crate::relocate::{self, Arranged, Wanted};
use crate::render::Terminal;
use kplan_engine::PlanOptions;
use kplan_model::{Origin, PlanMode, RemoteId};
use serde_json::json;

/// Runs it.
pub async fn run(global: &Global, args: &ImportArgs, terminal: &mut Terminal) -> CommandResult {
    if global.json && !args.run.auto_approve {
        let problem = Problem::error("cli::no_consent", "--json cannot ask for consent");
        return Err(problem.help("add --auto-approve").into());
    }
    let wanted = Wanted {
        to: address(&args.address)?,
        id: RemoteId::new(args.id.clone()),
        origin: Origin::Default,
    };
    let interrupts = Interrupts::listen();
    let session = interrupts.unless(Session::open(global, terminal)).await?;
    let opening = Execution::open(
        &session,
        (global, &interrupts),
        &args.run,
        "import",
        terminal,
    );
    let mut execution = interrupts.unless(opening).await?;
    let taking = take(&session, &mut execution, (global, args), &wanted, terminal);
    let end = Box::pin(interrupts.unless(taking)).await;
    execution.close(terminal).await;
    end
}

async fn take(
    session: &Session,
    execution: &mut Execution<'_>,
    (global, args): (&Global, &ImportArgs),
    wanted: &Wanted,
    terminal: &mut Terminal,
) -> CommandResult {
    let snapshot = execution.recovered(terminal).await?;
    let secrets = load::secrets(&session.loaded, SourcePolicy::All)?;
    session.admitted(&snapshot, &secrets).await?;
    let mut options = PlanOptions::new(PlanMode::Apply);
    options.targets.insert(wanted.to.clone());
    let all = std::slice::from_ref(wanted);
    let arranged = relocate::arrange(session, (snapshot, &secrets), all, &mut options).await?;
    if !arranged.is_new() {
        told(global, &arranged, terminal);
        return Ok(Exit::Ok);
    }
    let next = arranged.snapshot.clone();
    let declarations = &arranged.declarations;
    let planned = session
        .plan(declarations, arranged.snapshot.clone(), &options)
        .await?;
    if !global.json {
        let looks = (&planned, Beside::noted(&arranged.notes));
        // What the next apply would do is only shown.
        let _idle = show_with(session, looks, declarations, terminal, false).await;
    }
    let question = "Do you want to import this?\n  Only the record changes; what differs is changed by \
                    the next apply, which asks again.\n  Only 'yes' will be accepted.";
    if !args.run.auto_approve && !consent(terminal, question, "yes").await? {
        terminal.line("Import cancelled.");
        return Ok(Exit::Error);
    }
    execution.put(None, Some(next), terminal).await?;
    told(global, &arranged, terminal);
    Ok(Exit::Ok)
}

/// What came of it.
fn told(global: &Global, arranged: &Arranged, terminal: &mut Terminal) {
    let declarations = &arranged.declarations;
    if global.json {
        let imported = declarations.imported.iter();
        let imported =
            imported.map(|(to, id)| json!({ "address": to.to_string(), "id": id.as_str() }));
        let moved = declarations.moved.iter();
        let moved =
            moved.map(|(from, to)| json!({ "from": from.to_string(), "to": to.to_string() }));
        let document = json!({
            "format_version": "1.0",
            "imported": imported.collect::<Vec<_>>(),
            "moved": moved.collect::<Vec<_>>(),
        });
        terminal.line(&document.to_string());
        return;
    }
    if !arranged.is_new() {
        terminal.line("It is on record already. Nothing was changed.");
        return;
    }
    for (to, id) in &declarations.imported {
        terminal.line(&format!("Imported {to} (id {id})."));
    }
    for (from, to) in &declarations.moved {
        terminal.line(&format!("Moved {from} to {to}."));
    }
    terminal.line("Nothing was changed but the record. Run `kplan plan` to see what differs.");
}
