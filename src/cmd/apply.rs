//! `kplan apply`: makes the cloud as the file says.

use crate::cli::{ApplyArgs, Global, RunArgs};
use crate::cmd::execution::{Execution, consent, outputs};
use crate::cmd::plan::changes;
use crate::cmd::review::{Beside, show_with};
use crate::cmd::session::{self, Session};
use crate::cmd::{restore, saved};
use crate::compose::Rotating;
use crate::error::{CommandResult, Failure, Problem};
use crate::exit::Exit;
use crate::interrupt::Interrupts;
use crate::load::{self, Secrets, SourcePolicy};
use crate::preflight::Preflight;
use crate::relocate::{self, Which};
use crate::render::Terminal;
use kplan_engine::{PlanOptions, Planned};
use kplan_model::{Declarations, Plan, PlanMode, Snapshot};
use std::collections::BTreeSet;

const QUESTION: &str = "Do you want to perform these actions?
  kplan will perform the actions described above.
  Only 'yes' will be accepted to approve.";

const REFRESH_QUESTION: &str =
    "Would you like to update the state to reflect these detected changes?
  kplan will write these changes to the state without modifying any real infrastructure.
  Only 'yes' will be accepted to confirm.";

/// What goes on record with the consent to a plan, before anything of it is done.
pub type Wish = dyn Fn(&mut Snapshot) + Send + Sync;

/// Runs it.
pub async fn run(global: &Global, args: &ApplyArgs, terminal: &mut Terminal) -> CommandResult {
    if let Some(path) = &args.plan {
        return Box::pin(saved::apply(global, args, path, terminal)).await;
    }
    Box::pin(run_for(global, args, None, terminal)).await
}

/// The same, for something that the file does not say.
pub async fn run_for(
    global: &Global,
    args: &ApplyArgs,
    wish: Option<&Wish>,
    terminal: &mut Terminal,
) -> CommandResult {
    if global.json && !args.run.auto_approve {
        return Err(
            Problem::error("cli::no_consent", "--json cannot ask for consent")
                .help("add --auto-approve")
                .into(),
        );
    }
    let interrupts = Interrupts::listen();
    let session = interrupts.unless(Session::open(global, terminal)).await?;
    let apply = Apply {
        session: &session,
        interrupts: &interrupts,
        global,
        args: &args.run,
        wish,
        options: session::options(&args.planning, false)?,
        skip: &args.planning.preflight.skip_preflight,
    };
    let Some((mut execution, first)) = Box::pin(interrupts.unless(apply.begin(terminal))).await?
    else {
        terminal.line("Apply cancelled.");
        return Ok(Exit::Error);
    };
    let secrets = first.secrets.clone();
    let mut end = Box::pin(apply.rounds(&mut execution, first, terminal)).await;
    if matches!(end, Ok(Exit::Ok)) && apply.options.mode == PlanMode::Apply {
        // A restore that an earlier run began, and this one finished.
        end = restore::end(&session, global, &mut execution, &secrets, terminal).await;
    }
    if let (Ok(Exit::Ok), PlanMode::Apply, false, Some(recorded)) =
        (&end, apply.options.mode, global.json, execution.recorded())
    {
        outputs(recorded, terminal);
        if Rotating::of(recorded).is_exchanging() {
            terminal.note(
                "a server that was made meanwhile may have joined with the old server token: run \
                 `kplan apply` once more, and it has the new one, too",
            );
        }
    }
    execution.close(terminal).await;
    end
}

/// What one apply is about.
struct Apply<'a> {
    session: &'a Session,
    interrupts: &'a Interrupts,
    global: &'a Global,
    args: &'a RunArgs,
    wish: Option<&'a Wish>,
    options: PlanOptions,
    /// Codes of preflight that refuse nothing.
    skip: &'a [String],
}

/// Carries out a plan that was agreed to elsewhere, and then what could not be read before it, round
/// by round as an apply does.
pub async fn carry_out<'a>(
    session: &'a Session,
    (global, interrupts): (&'a Global, &'a Interrupts),
    (args, skip): (&'a RunArgs, &'a [String]),
    execution: &mut Execution<'a>,
    (planned, secrets): (Planned, Secrets),
    terminal: &mut Terminal,
) -> CommandResult {
    let apply = Apply {
        session,
        interrupts,
        global,
        args,
        wish: None,
        options: PlanOptions::new(PlanMode::Apply),
        skip,
    };
    let first = Ready {
        unread: planned.report.unread(),
        plan: planned.plan,
        secrets,
    };
    Box::pin(apply.rounds(execution, first, terminal)).await
}

/// A plan somebody agreed to.
struct Ready {
    plan: Plan,
    /// How many resources it leaves out because something could not be read.
    unread: usize,
    /// The secrets the file names: asked for once.
    secrets: Secrets,
}

impl<'a> Apply<'a> {
    /// Everything before the first change: the lock, recovery, the plan, consent. Nothing where
    /// that was not given.
    async fn begin(
        &self,
        terminal: &mut Terminal,
    ) -> Result<Option<(Execution<'a>, Ready)>, Failure> {
        let wanted = (self.global, self.interrupts);
        let run = self.args;
        let mut execution = Execution::open(self.session, wanted, run, "apply", terminal).await?;
        let mut snapshot = execution.recovered(terminal).await?;
        if let Some(wish) = self.wish {
            // What writing it makes of it, so that the plan is about exactly that.
            snapshot.serial += 1;
            wish(&mut snapshot);
        }
        let secrets = load::secrets(&self.session.loaded, SourcePolicy::All)?;
        self.session.admitted(&snapshot, &secrets).await?;
        let mut options = self.options.clone();
        let from = (snapshot, &secrets);
        let mut arranged = relocate::arrange(self.session, from, Which::File, &mut options).await?;
        if self.wish.is_none() && arranged.is_new() {
            arranged.snapshot.serial += 1;
        }
        let is_new = self.wish.is_some() || arranged.is_new();
        let wished = is_new.then(|| arranged.snapshot.clone());
        let notes = std::mem::take(&mut arranged.notes);
        let planning = arranged.planned(self.session, &secrets, &options);
        let (planned, declarations) = planning.await?;
        let looks = (&planned, notes.as_slice());
        let looked = self.show(looks, &declarations, terminal).await;
        let unread = planned.report.unread();
        if unread > 0 && !changes(&planned.plan) {
            return Err(partial("nothing was changed").into());
        }
        looked.admits(self.skip)?;
        if !self.agreed(&planned.plan, terminal).await? {
            return Ok(None);
        }
        execution.put(None, wished, terminal).await?;
        let plan = planned.plan;
        let ready = Ready {
            plan,
            unread,
            secrets,
        };
        Ok(Some((execution, ready)))
    }

    /// Runs the plan. What could not be read may have become readable by that (it stood on a
    /// server that was off, say), so it is looked at once more, and what is to be done there is
    /// planned and agreed to like everything else. Ends, because each round leaves out less than
    /// the one before.
    async fn rounds(
        &self,
        execution: &mut Execution<'a>,
        mut ready: Ready,
        terminal: &mut Terminal,
    ) -> CommandResult {
        let how = if self.args.auto_approve {
            "--auto-approve"
        } else {
            "prompt"
        };
        let mut options = self.options.clone();
        let mut exit = execution.run(ready.plan.clone(), how, terminal).await?;
        while exit == Exit::Ok && ready.unread > 0 {
            // Whatever was replaced as asked for is not replaced again.
            let done: BTreeSet<_> = ready.plan.steps.iter().map(|step| &step.address).collect();
            options.replace.retain(|address| !done.contains(address));
            let next = self.again(execution, &ready, &options, terminal);
            let next = Box::pin(self.interrupts.unless_again(next)).await;
            ready = next.map_err(after_a_round)?;
            let run = execution.run(ready.plan.clone(), how, terminal).await;
            exit = match run.map_err(after_a_round)? {
                Exit::Error => Exit::Partial,
                other => other,
            };
        }
        Ok(exit)
    }

    /// The next plan, after a round that left something out.
    async fn again(
        &self,
        execution: &Execution<'a>,
        before: &Ready,
        options: &PlanOptions,
        terminal: &mut Terminal,
    ) -> Result<Ready, Failure> {
        let left = || partial("that part was left out; the rest is done and recorded");
        let Some(snapshot) = execution.recorded() else {
            return Err(left().into());
        };
        if !self.global.json {
            terminal.line("\nWhat could not be read before is looked at again.\n");
        }
        let secrets = before.secrets.clone();
        let mut options = options.clone();
        let from = (snapshot.clone(), &secrets);
        let arranged = relocate::arrange(self.session, from, Which::File, &mut options).await?;
        let planning = arranged.planned(self.session, &secrets, &options);
        let (planned, declarations) = planning.await?;
        let unread = planned.report.unread();
        if unread >= before.unread {
            return Err(left().into());
        }
        let looked = self.show((&planned, &[]), &declarations, terminal).await;
        if unread > 0 && !changes(&planned.plan) {
            return Err(left().into());
        }
        looked.admits(self.skip)?;
        if !self.agreed(&planned.plan, terminal).await? {
            let said = "the plan of what could not be read before was not agreed to; what was \
                        agreed to is done and recorded";
            let problem = Problem::error("cli::no_consent", said);
            return Err(problem.help("run apply again for the rest").into());
        }
        Ok(Ready {
            plan: planned.plan,
            unread,
            secrets,
        })
    }

    async fn show(
        &self,
        (planned, notes): (&Planned, &[String]),
        declarations: &Declarations,
        terminal: &mut Terminal,
    ) -> Preflight {
        let json = self.global.json;
        let looks = (planned, Beside::noted(notes));
        show_with(self.session, looks, declarations, terminal, json).await
    }

    /// Whether the plan may be executed: somebody said so, or it changes nothing.
    async fn agreed(&self, plan: &Plan, terminal: &mut Terminal) -> Result<bool, Failure> {
        let question = match (changes(plan), plan.mode) {
            (true, PlanMode::RefreshOnly) => REFRESH_QUESTION,
            (true, _) => QUESTION,
            (false, _) => return Ok(true),
        };
        Ok(self.args.auto_approve || consent(terminal, question, "yes").await?)
    }
}

/// An error after something was done: no exit code may say that nothing was.
fn after_a_round(failure: Failure) -> Failure {
    let exit = match failure.exit {
        Exit::Locked | Exit::Interrupted => failure.exit,
        _ => Exit::Partial,
    };
    Failure { exit, ..failure }
}

fn partial(what_came_of_it: &str) -> Problem {
    let message = format!(
        "something could not be read, so the plan is not the whole truth; {what_came_of_it}"
    );
    Problem::error("plan::partial", message)
        .help("the notes under the plan name it; run apply again when it can be read")
}
