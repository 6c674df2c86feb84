//! `kplan apply`: makes the cloud as the file says.

use crate::cli::{ApplyArgs, Global};
use crate::cmd::execution::{Execution, consent};
use crate::cmd::plan::{changes, show};
use crate::cmd::session::{self, Session};
use crate::error::{CommandResult, Failure, Problem};
use crate::exit::Exit;
use crate::interrupt::Interrupts;
use crate::load::SourcePolicy;
use crate::render::Terminal;
use kplan_model::{Plan, PlanMode};

const QUESTION: &str = "Do you want to perform these actions?
  kplan will perform the actions described above.
  Only 'yes' will be accepted to approve.";

const REFRESH_QUESTION: &str =
    "Would you like to update the state to reflect these detected changes?
  kplan will write these changes to the state without modifying any real infrastructure.
  Only 'yes' will be accepted to confirm.";

/// Runs it.
pub async fn run(global: &Global, args: &ApplyArgs, terminal: &mut Terminal) -> CommandResult {
    if global.json && !args.run.auto_approve {
        return Err(
            Problem::error("cli::no_consent", "--json cannot ask for consent")
                .help("add --auto-approve")
                .into(),
        );
    }
    let interrupts = Interrupts::listen();
    let session = interrupts.unless(Session::open(global, terminal)).await?;
    let wanted = (global, &interrupts);
    let ready = interrupts.unless(prepare(&session, wanted, args, terminal));
    let Some(ready) = Box::pin(ready).await? else {
        terminal.line("Apply cancelled.");
        return Ok(Exit::Error);
    };
    let how = if args.run.auto_approve {
        "--auto-approve"
    } else {
        "prompt"
    };
    let exit = ready.execution.run(ready.plan, how, terminal).await?;
    if ready.partial && exit == Exit::Ok {
        // What was read is done. It may have been what kept the rest from being read: a server
        // that was off, say.
        let problem = unread("that part was left out; the rest is done and recorded");
        return Err(Failure::with(Exit::Partial, problem));
    }
    Ok(exit)
}

/// A plan somebody agreed to.
struct Ready<'a> {
    execution: Execution<'a>,
    plan: Plan,
    /// Whether something could not be read.
    partial: bool,
}

/// Everything before the first change: the lock, recovery, the plan, consent. Nothing where that
/// was not given.
async fn prepare<'a>(
    session: &'a Session,
    (global, interrupts): (&'a Global, &'a Interrupts),
    args: &'a ApplyArgs,
    terminal: &mut Terminal,
) -> Result<Option<Ready<'a>>, Failure> {
    let options = session::options(&args.planning, false)?;
    let wanted = (global, interrupts);
    let mut execution = Execution::open(session, wanted, &args.run, "apply", terminal).await?;
    let snapshot = execution.recovered(terminal).await?;
    let declarations = session.declarations(&snapshot, SourcePolicy::All)?;
    session.not_taken(&snapshot).await?;
    let planned = session.plan(&declarations, snapshot, &options).await?;
    show(session, &planned, &declarations, terminal, global.json).await;
    let partial = planned.report.is_partial();
    if partial && !changes(&planned.plan) {
        return Err(unread("nothing was changed").into());
    }
    let plan = planned.plan;
    let question = match (changes(&plan), plan.mode) {
        (true, PlanMode::RefreshOnly) => Some(REFRESH_QUESTION),
        (true, _) => Some(QUESTION),
        (false, _) => None,
    };
    if let Some(question) = question
        && !args.run.auto_approve
        && !consent(terminal, question, "yes").await?
    {
        return Ok(None);
    }
    Ok(Some(Ready {
        execution,
        plan,
        partial,
    }))
}

fn unread(what_came_of_it: &str) -> Problem {
    let message = format!(
        "something could not be read, so the plan is not the whole truth; {what_came_of_it}"
    );
    Problem::error("plan::partial", message)
        .help("the notes under the plan name it; run apply again when it can be read")
}
