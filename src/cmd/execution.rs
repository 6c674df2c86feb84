//! What `apply` and `destroy` share: the lock, recovery, consent, the run, and its report.

use crate::cli::{Global, RunArgs};
use crate::cmd::session::{Session, notices};
use crate::cmd::traces;
use crate::compose::leavings::{has_resources, is_leaving, is_no_resource};
use crate::compose::storage;
use crate::error::{CommandResult, Failure, Problem};
use crate::exit::Exit;
use crate::interrupt::{Interrupts, blocking};
use crate::price;
use crate::render::events;
use crate::render::progress::Progress;
use crate::render::{Terminal, problem, value};
use crate::wire::SystemClock;
use kplan_engine::clock::Clock as _;
use kplan_engine::{ExecuteOptions, Outcome, Report, Run};
use kplan_model::{
    Action, Address, Approval, JournalError, Plan, PlanMode, Recorded, RunId, Snapshot, StepId,
    Text,
};
use kplan_state::{Document, Keyring, Writer, code};
use std::collections::BTreeSet;
use std::io::BufRead as _;

/// A state opened for writing, and how the run is done.
pub struct Execution<'a> {
    session: &'a Session,
    global: &'a Global,
    args: &'a RunArgs,
    command: &'static str,
    interrupts: &'a Interrupts,
    writer: Option<Writer>,
    /// Whether anything was run.
    ran: bool,
    /// Whether a run said that the journal could not be written.
    unwritten: bool,
}

impl<'a> Execution<'a> {
    /// Takes the lock where there is a state already; a first apply takes it after consent, so
    /// that nothing is written before.
    pub async fn open(
        session: &'a Session,
        (global, interrupts): (&'a Global, &'a Interrupts),
        args: &'a RunArgs,
        command: &'static str,
        terminal: &mut Terminal,
    ) -> Result<Self, Failure> {
        let mut execution = Self {
            session,
            global,
            args,
            command,
            interrupts,
            writer: None,
            ran: false,
            unwritten: false,
        };
        if session.place.exists()? {
            execution.writer = Some(execution.lock(None, terminal).await?);
        }
        // An import runs nothing: it prints one document, and no events.
        if global.json && command != "import" {
            terminal.line(&events::version().to_string());
        }
        Ok(execution)
    }

    async fn lock(
        &self,
        lineage: Option<String>,
        terminal: &mut Terminal,
    ) -> Result<Writer, Failure> {
        let place = &self.session.place;
        let identity = place.identity_or_new(terminal)?;
        let mut options = place.options(self.command, &self.args.lock_timeout)?;
        options.lineage = lineage;
        // Dropped, the writer releases the lock, a shared one too; the thread may outlive a wait
        // for it that an interrupt ended, and drops what it got.
        let mut writer = blocking(place.opening(&identity, &options)).await??;
        place.bind()?;
        notices(terminal, &writer.take_notices());
        Ok(writer)
    }

    fn options(&self, id: &str) -> ExecuteOptions {
        let mut options = ExecuteOptions::new(RunId(id.to_owned()));
        options.parallelism = usize::from(self.args.parallelism);
        options.pace = 1.0 / f64::from(self.session.cloud.scale);
        options
    }

    /// Clears up what an earlier run left in doubt; gives the state as it is then.
    pub async fn recovered(&mut self, terminal: &mut Terminal) -> Result<Snapshot, Failure> {
        let options = self.options(&run_id());
        let Some(writer) = &mut self.writer else {
            return self.session.recorded(terminal);
        };
        let snapshot = writer.snapshot().clone();
        if snapshot.in_doubt.is_empty() {
            return Ok(snapshot);
        }
        let run = Run {
            registry: &self.session.adapters.registry,
            clock: &SystemClock,
            cancel: self.interrupts.cancel(),
            options: &options,
        };
        let waits = self.session.adapters.waits();
        let mut progress = Progress::new(terminal, self.global.json, waits);
        let mut show = |event| progress.show(terminal, &event);
        let recovered = kplan_engine::recover(run, snapshot, writer, &mut show).await;
        if recovered.is_clear() {
            return Ok(recovered.snapshot);
        }
        let mut problems: Vec<Problem> = recovered.notes.iter().filter_map(stuck).collect();
        if let Some(error) = &recovered.journal {
            problems.push(Problem::error("state::not_written", error.to_string()));
        }
        Err(Failure::all(Exit::Error, problems))
    }

    /// Puts a state in the place of what is on record: of the one the lock is held for, or of none:
    /// one that begins as a document, or a new one.
    ///
    /// # Errors
    /// `state::exists` where somebody made one meanwhile; those of writing.
    pub async fn put(
        &mut self,
        begin: Option<Document>,
        next: Option<Snapshot>,
        terminal: &mut Terminal,
    ) -> Result<(), Failure> {
        if let Some(document) = begin {
            let place = &self.session.place;
            let identity = place.identity()?.ok_or_else(crate::wire::no_identity)?;
            let mut options = place.options(self.command, &self.args.lock_timeout)?;
            let wanted = document.begin(&identity, &mut options)?;
            let mut writer = blocking(place.opening(&identity, &options)).await??;
            let there = writer.snapshot();
            if there.lineage != wanted.lineage || there.serial != wanted.serial {
                return Err(made_meanwhile());
            }
            place.bind()?;
            notices(terminal, &writer.take_notices());
            self.writer = Some(writer);
        }
        if let (None, Some(next)) = (&self.writer, &next) {
            let writer = self.lock(Some(next.lineage.clone()), terminal).await?;
            if writer.snapshot().lineage != next.lineage || has_resources(writer.snapshot()) {
                return Err(made_meanwhile());
            }
            self.writer = Some(writer);
        }
        if let (Some(writer), Some(next)) = (&mut self.writer, next) {
            writer.replace(next)?;
        }
        Ok(())
    }

    /// Puts a state that only has more on record than the one the lock is held for in its place;
    /// gives its serial.
    ///
    /// # Errors
    /// Those of writing.
    pub fn put_beside(&mut self, next: Snapshot) -> Result<u64, Failure> {
        let Some(writer) = &mut self.writer else {
            return Err(made_meanwhile());
        };
        writer.replace(next)?;
        Ok(writer.snapshot().serial)
    }

    /// Takes what is no resource off the record. Whether it was on it.
    ///
    /// # Errors
    /// Those of writing.
    pub fn forget(&mut self, address: &Address) -> Result<bool, Failure> {
        let Some(writer) = &mut self.writer else {
            return Ok(false);
        };
        let mut next = writer.snapshot().clone();
        let was_there = next.resources.remove(address).is_some();
        if was_there {
            writer.replace(next)?;
        }
        Ok(was_there)
    }

    /// Runs the plan, which somebody agreed to. The lock stays until [`Self::close`], so another
    /// plan may follow.
    pub async fn run(&mut self, plan: Plan, how: &str, terminal: &mut Terminal) -> CommandResult {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => {
                let lock = self.lock(Some(plan.base.lineage.clone()), terminal);
                self.interrupts.unless(lock).await?
            }
        };
        let mut writer = current(writer, &plan)?;
        let mode = plan.mode;
        let let_go = let_go(&plan);
        let only_waits = plan
            .steps
            .iter()
            .filter(|step| step.only_waits() || is_no_resource(&step.address))
            .map(|step| step.id)
            .collect();
        let approved = plan.approve(Approval {
            how: how.to_owned(),
            at: SystemClock.now(),
        });
        let options = self.options(&run_id());
        let run = Run {
            registry: &self.session.adapters.registry,
            clock: &SystemClock,
            cancel: self.interrupts.cancel(),
            options: &options,
        };
        self.session
            .adapters
            .stop_with(self.interrupts.cancel().clone());
        let waits = self.session.adapters.waits();
        let mut progress = Progress::new(terminal, self.global.json, waits);
        progress.of(approved.plan(), &self.session.kinds(), terminal);
        let snapshot = writer.snapshot().clone();
        let mut show = |event| progress.show(terminal, &event);
        let outcome = kplan_engine::apply(run, &approved, snapshot, &mut writer, &mut show).await;
        drop(progress);
        self.ran = true;
        self.unwritten |= outcome.report().journal.is_some();
        self.writer = Some(writer);
        let told = Told {
            mode,
            waits: only_waits,
            imported: approved.plan().imported.len(),
        };
        for remark in self.session.adapters.remarks.take() {
            terminal.note(&remark);
        }
        let exit = finish(&outcome, &told, self.global.json, terminal);
        self.let_go(let_go)?;
        // What a whole destroy leaves is told at its very end.
        let all_gone = mode == PlanMode::Destroy && exit == Exit::Ok;
        if let (Some(now), false, false) = (self.recorded(), self.global.json, all_gone) {
            terminal.line(&price::standing_sentence(&price::standing(now)));
        }
        Ok(exit)
    }

    /// What was let go of is not looked for by a later destroy: it stays.
    fn let_go(&mut self, mut records: Vec<Recorded>) -> Result<(), Failure> {
        let Some(writer) = self.writer.as_mut().filter(|_| !self.unwritten) else {
            return Ok(());
        };
        let now = writer.snapshot();
        records.retain(|record| !now.resources.contains_key(&record.address));
        // Seldom is anything let go of, and a state is not copied for nothing.
        if records.is_empty() {
            return Ok(());
        }
        let mut next = now.clone();
        if traces::let_go(&mut next, &records) {
            writer.replace(next)?;
        }
        Ok(())
    }

    /// The state as it is recorded now; nothing where there is none yet.
    pub fn recorded(&self) -> Option<&Snapshot> {
        self.writer.as_ref().map(Writer::snapshot)
    }

    /// The keys of the state; nothing where there is none yet.
    pub fn keyring(&self) -> Option<&Keyring> {
        self.writer.as_ref().map(Writer::keyring)
    }

    /// Puts a kit of the state as it is now beside the backups, where the cluster has kits. What
    /// goes wrong is told and costs nothing: the kit before it stays.
    async fn keep(&self, terminal: &mut Terminal) {
        let Some(record) = self
            .recorded()
            .and_then(|now| now.resources.get(&storage::kit()))
        else {
            return;
        };
        let landing = async {
            let (place, signer) = kplan_providers::recovery::of_record(&record.args)?;
            self.session.adapters.kits.land(&place, &signer).await
        };
        if let Err(error) = landing.await {
            terminal.note(&format!(
                "kit::not_written: the recovery kit of this apply could not be written: {error}\n  \
                 the one before it stays; the next apply writes another"
            ));
        }
    }

    /// Ends the work on the state: it gets its entry in the history, and the lock is free.
    pub async fn close(self, terminal: &mut Terminal) {
        if self.ran && !self.unwritten {
            self.keep(terminal).await;
        }
        let Some(writer) = self.writer else {
            return;
        };
        match writer.close(self.command, SystemClock.now()) {
            Ok(said) => notices(terminal, &said),
            // That the journal could not be written is said once, with its cause.
            Err(_) if self.unwritten && !self.global.json => {}
            Err(error) => {
                problem::print(terminal, &Failure::from(error).problems, self.global.json);
            }
        }
    }
}

/// What a plan lets go of and leaves where it is. What a cluster made is no such thing: a later destroy
/// looks for it still.
fn let_go(plan: &Plan) -> Vec<Recorded> {
    let steps = plan.steps.iter();
    let forgotten =
        steps.filter(|step| step.action == Action::Forget && !is_leaving(&step.address));
    forgotten.filter_map(|step| step.before.clone()).collect()
}

fn made_meanwhile() -> Failure {
    let message = "somebody made a state meanwhile; it was left as it is";
    let problem = Problem::error("state::exists", message);
    problem.help("run `kplan plan` to see what it knows").into()
}

/// The state must be the one the plan was made from.
fn current(writer: Writer, plan: &Plan) -> Result<Writer, Failure> {
    let now = writer.snapshot();
    if now.lineage == plan.base.lineage && now.serial == plan.base.serial {
        return Ok(writer);
    }
    let message = format!(
        "the state changed after the plan was made: it was at serial {}, it is at {}",
        plan.base.serial, now.serial
    );
    Err(Failure::with(
        Exit::StalePlan,
        Problem::error("plan::stale", message).help("nothing was changed; run the command again"),
    ))
}

/// A step of an earlier run that could not be cleared up.
fn stuck(note: &kplan_engine::Note) -> Option<Problem> {
    let error = note.outcome.as_ref().err()?;
    let message = format!(
        "{}: an earlier run was cut off while it worked on it, and what came of that is not \
         clear: {error}",
        note.address
    );
    let mut problem = Problem::error("state::in_doubt", message);
    problem.help = error.help.clone().or_else(|| {
        Some("nothing was changed; clear up what exists, then run the command again".to_owned())
    });
    Some(problem)
}

fn run_id() -> String {
    format!("{}-{}", SystemClock.now().0, std::process::id())
}

/// Asks; only the expected answer is a yes. An interrupt can end the wait for it.
pub async fn consent(
    terminal: &mut Terminal,
    question: &str,
    expected: &str,
) -> Result<bool, Failure> {
    Ok(answer(terminal, question).await? == expected)
}

/// Asks; gives the answer. An interrupt can end the wait for it.
pub async fn answer(terminal: &mut Terminal, question: &str) -> Result<String, Failure> {
    ask(terminal, question);
    let answer = blocking(read_answer).await?;
    terminal.line("");
    Ok(answer)
}

/// [`consent`] for commands that wait for nothing else: a signal ends the process.
pub fn consent_now(terminal: &mut Terminal, question: &str, expected: &str) -> bool {
    ask(terminal, question);
    let answer = read_answer();
    terminal.line("");
    answer == expected
}

fn ask(terminal: &mut Terminal, question: &str) {
    terminal.out(&format!("\n{question}\n\n  Enter a value: "));
}

/// What cannot be read is no answer.
fn read_answer() -> String {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    read.map_or_else(|_| String::new(), |_| line.trim().to_owned())
}

/// What the summary needs to know of the plan.
struct Told {
    mode: PlanMode,
    /// Steps that change nothing: the resource is only waited for.
    waits: BTreeSet<StepId>,
    /// How many came on record before the first step.
    imported: usize,
}

impl Told {
    /// How many resources were added, changed and destroyed.
    fn counts(&self, report: &Report) -> (usize, usize, usize) {
        let count = |wanted: Action| {
            report
                .done
                .iter()
                .filter(|step| step.action == wanted && !self.waits.contains(&step.step))
                .count()
        };
        (
            count(Action::Create),
            count(Action::Update),
            count(Action::Delete),
        )
    }
}

fn finish(outcome: &Outcome, told: &Told, json: bool, terminal: &mut Terminal) -> Exit {
    let report = outcome.report();
    let exit = exit_of(outcome);
    if json {
        for line in problems(report).iter().map(events::diagnostic) {
            terminal.line(&line.to_string());
        }
        terminal.line(&events::summary(told.counts(report), told.imported, told.mode).to_string());
        return exit;
    }
    failures(report, terminal);
    summary(report, told, exit, terminal);
    exit
}

fn exit_of(outcome: &Outcome) -> Exit {
    let report = outcome.report();
    match outcome {
        _ if fenced(report) => Exit::Locked,
        Outcome::Interrupted(_) => Exit::Interrupted,
        Outcome::Completed(_) if report.is_complete() => Exit::Ok,
        Outcome::Completed(_) if report.done.is_empty() => Exit::Error,
        Outcome::Completed(_) => Exit::Partial,
    }
}

/// Somebody else holds the state now.
fn fenced(report: &Report) -> bool {
    matches!(&report.journal, Some(JournalError::Store(error)) if error.code == code::FENCED)
}

/// What went wrong, with its codes.
fn problems(report: &Report) -> Vec<Problem> {
    let mut problems = Vec::new();
    for failure in report.failed.iter().chain(&report.in_doubt) {
        let code = format!("cloud::{}", crate::error::code_of(failure.error.kind));
        let message = format!("{}: {}", failure.address, failure.error);
        let mut problem = Problem::error(code, message);
        problem.help.clone_from(&failure.error.help);
        problems.push(problem);
    }
    problems.extend(report.journal.as_ref().map(unwritten));
    problems
}

fn failures(report: &Report, terminal: &mut Terminal) {
    problem::print(terminal, &problems(report), false);
    for item in &report.unfinished {
        let next = item.error.help.as_deref();
        terminal.note(&format!(
            "{}: recorded: {}; {}",
            item.address,
            item.error,
            next.unwrap_or("the next apply waits for it")
        ));
    }
    for item in &report.not_started {
        terminal.note(&format!("{}: not started: {}", item.address, item.why));
    }
}

/// The state could not be written, or may not be any more.
fn unwritten(error: &JournalError) -> Problem {
    if let JournalError::Store(error) = error
        && [code::FENCED, code::LAPSED, code::UNREACHABLE].contains(&error.code)
    {
        let mut problem = Problem::error(error.code, &error.message);
        problem.help.clone_from(&error.help);
        return problem;
    }
    Problem::error("state::not_written", error.to_string()).help(
        "everything reported as done before is recorded; make room or repair the disk, then run \
         apply again",
    )
}

fn summary(report: &Report, told: &Told, exit: Exit, terminal: &mut Terminal) {
    let mode = told.mode;
    let (added, changed, destroyed) = told.counts(report);
    let imported = match told.imported {
        0 => String::new(),
        some => format!("{some} imported, "),
    };
    let word = if mode == PlanMode::Destroy {
        "Destroy"
    } else {
        "Apply"
    };
    let text = match (exit, mode) {
        (Exit::Ok, PlanMode::Destroy) => {
            format!("Destroy complete! Resources: {destroyed} destroyed.")
        }
        (Exit::Ok, _) => format!(
            "Apply complete! Resources: {imported}{added} added, {changed} changed, {destroyed} destroyed."
        ),
        (Exit::Interrupted, _) => format!(
            "{word} cancelled. {added} added, {changed} changed, {destroyed} destroyed; all of it \
             is recorded. Run it again to carry on."
        ),
        _ => format!(
            "{word} incomplete: {added} added, {changed} changed, {destroyed} destroyed, {} \
             failed, {} in doubt, {} not ready, {} not started. What was done is recorded; run it again to \
             carry on.",
            report.failed.len(),
            report.in_doubt.len(),
            report.unfinished.len(),
            report.not_started.len()
        ),
    };
    terminal.line(&format!("\n{text}"));
    terminal.line(&format!(
        "Took {:.1} s; the longest chain of dependent steps took {:.1} s{}.",
        report.wall_seconds,
        report.critical_path_seconds,
        chain(&report.critical_path)
    ));
}

/// The steps nothing could have been faster than.
fn chain(path: &[Address]) -> String {
    if path.len() < 2 {
        return String::new();
    }
    let steps: Vec<String> = path.iter().map(ToString::to_string).collect();
    format!(": {}", steps.join(" → "))
}

/// The results of what was applied.
pub fn outputs(snapshot: &Snapshot, terminal: &mut Terminal) {
    if snapshot.outputs.is_empty() {
        return;
    }
    terminal.line("\nOutputs:\n");
    let width = snapshot.outputs.keys().map(Text::len).max().unwrap_or(0);
    for (name, item) in &snapshot.outputs {
        terminal.line(&format!("{name:width$} = {}", value::show(item, 0)));
    }
}
