//! `kplan import`: puts resources that exist already on record, and changes nothing else.

use crate::cli::{Global, ImportArgs};
use crate::cmd::execution::{Execution, consent};
use crate::cmd::generate;
use crate::cmd::review::{Beside, show_with};
use crate::cmd::session::Session;
use crate::cmd::state::address;
use crate::discover::{self, Only};
use crate::error::{CommandResult, Failure, Problem};
use crate::exit::Exit;
use crate::interrupt::Interrupts;
use crate::load::{self, SourcePolicy};
use crate::relocate::{self, Arranged, Wanted, Which};
use crate::render::Terminal;
use crate::whole::{self, Readers};
use kplan_engine::PlanOptions;
use kplan_model::{Origin, PlanMode};
use kplan_providers::digitalocean::Discovered;
use serde_json::json;
use std::path::Path;

/// Runs it.
pub async fn run(global: &Global, args: &ImportArgs, terminal: &mut Terminal) -> CommandResult {
    if args.generate || args.discover {
        let looking = Interrupts::listen();
        return if args.generate {
            Box::pin(looking.unless(generate::run(global, args, terminal))).await
        } else {
            Box::pin(looking.unless(discovered(global, args, terminal))).await
        };
    }
    let (Some(to), Some(id)) = (&args.address, &args.id) else {
        let problem = Problem::error("cli::import", "nothing says what to import, and as what");
        let help = "`kplan import ADDRESS ID` imports one, such as `kplan import droplet.web 426969151`; \
                    `--discover` looks for what the file describes, and `--generate` prints a file for \
                    what has no place in one";
        return Err(problem.help(help).into());
    };
    if global.json && !args.run.auto_approve {
        let problem = Problem::error("cli::no_consent", "--json cannot ask for consent");
        return Err(problem.help("add --auto-approve").into());
    }
    let wanted = Wanted::new(address(to)?, id, Origin::Default);
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

/// What of the account is what the file describes. Its clients send nothing but reads.
async fn discovered(global: &Global, args: &ImportArgs, terminal: &mut Terminal) -> CommandResult {
    let session = Session::reading(global, terminal).await?;
    let snapshot = session.recorded(terminal)?;
    let declarations = session.references(&snapshot);
    let account = discover::look(&session, terminal).await;
    let only = Only::of_arguments(args);
    let spec = &session.loaded.spec;
    let taken = relocate::in_file(spec).into_iter();
    let taken = taken.map(|one| (one.to, one.id.to_string())).collect();
    nothing_like(&only, &account.existing)?;
    let existing = only.of(account.existing);
    let kinds = session.kinds();
    let mut found = discover::matched(&declarations, &kinds, &snapshot, &existing, &taken);
    found.unread = account.unread;
    found.is_part = only.is_part();
    if args.write && !found.proposals.is_empty() {
        append(&global.file, &discover::blocks(&found))?;
        for (address, proposal) in &found.proposals {
            let why = discover::reasons(proposal).join("; ");
            terminal.note(&format!("Wrote [[import]] of {address} ({why})"));
        }
    }
    if global.json {
        terminal.line(&discover::document(&found).to_string());
    } else {
        if args.write {
            found.proposals.clear();
        }
        terminal.out(&discover::text(&found));
    }
    Ok(if found.unread.is_empty() {
        Exit::Ok
    } else {
        Exit::Error
    })
}

/// A filter that nothing passes is a slip of the pen.
///
/// # Errors
/// What the account has nothing of.
pub fn nothing_like(only: &Only, all: &[Discovered]) -> Result<(), Failure> {
    let Some(why) = only.misses(all) else {
        return Ok(());
    };
    let problem = Problem::error("import::nothing_like", why);
    Err(problem
        .help("look at its spelling; without --vpc, --tag and --name everything is looked at")
        .into())
}

/// Puts text behind everything that is in the file.
fn append(file: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        let message = format!("cannot write {}: {error}", file.display());
        Failure::from(Problem::error("file::unwritable", message))
    };
    let mut whole = std::fs::read_to_string(file).map_err(failed)?;
    if !whole.ends_with('\n') {
        whole.push('\n');
    }
    whole.push('\n');
    whole.push_str(text.trim_end());
    whole.push('\n');
    // What stands within brackets cannot be added to behind them, and the file stays a file.
    if let Err(error) = toml::from_str::<toml::Table>(&whole) {
        let message = format!(
            "[[import]] cannot be added to {}: {}",
            file.display(),
            error.message()
        );
        let problem = Problem::error("import::inline", message);
        return Err(problem
            .help("write `import = [...]` as [[import]] blocks, or put what is printed without --write there")
            .into());
    }
    whole::write(file, whole.as_bytes(), Readers::Anybody).map_err(failed)
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
    let only = Which::Only(wanted);
    let arranged = relocate::arrange(session, (snapshot, &secrets), only, &mut options).await?;
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
