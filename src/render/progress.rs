//! What happens during an apply, as it happens: a spinner per resource on a terminal, plain lines
//! elsewhere, one JSON object a line with `--json`.

use crate::compose::leavings::{FINAL_BACKUP, LAST, WIND_DOWN};
use crate::render::Terminal;
use crate::render::events::{self, Changes};
use crate::render::pending::Pending;
use crate::render::waits::Waits;
use crate::review::Kinds;
use indicatif::{MultiProgress, ProgressBar, ProgressFinish, ProgressStyle};
use kplan_engine::event::{Event, StepRef};
use kplan_model::{Action, Address, Plan, ProviderError};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

/// Plain output says that something still goes on this often.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// How events are shown.
pub enum Progress {
    /// One JSON object a line.
    Json {
        /// What each step changes.
        changes: Changes,
    },
    /// Lines.
    Plain {
        /// When each step was last heard of.
        said: BTreeMap<Address, Duration>,
    },
    /// Redrawn lines, one per step in flight.
    Live {
        /// All of them.
        bars: MultiProgress,
        /// By address.
        steps: BTreeMap<Address, ProgressBar>,
        /// What is not begun yet.
        pending: Pending,
        /// The line that tells of it, below all others.
        rest: ProgressBar,
    },
}

impl Progress {
    /// Chooses the form. What tells of waits tells above the redrawn lines, where there are any.
    pub fn new(terminal: &Terminal, json: bool, waits: &Waits) -> Self {
        if json {
            Self::Json {
                changes: Changes::new(),
            }
        } else if terminal.live() {
            let bars = MultiProgress::new();
            waits.above(&bars);
            let rest = line("  {wide_msg}").with_finish(ProgressFinish::AndClear);
            let rest = bars.add(rest);
            Self::Live {
                bars,
                steps: BTreeMap::new(),
                pending: Pending::default(),
                rest,
            }
        } else {
            Self::Plain {
                said: BTreeMap::new(),
            }
        }
    }

    /// What a plan changes is said with its steps, where that is read by machines: first for all
    /// of it, then as each one begins and ends. Where lines are redrawn, one tells what is not begun
    /// yet, and what that waits for.
    pub fn of(&mut self, plan: &Plan, kinds: &Kinds, terminal: &mut Terminal) {
        match self {
            Self::Json { changes } => {
                for line in events::planned(plan, kinds) {
                    terminal.line(&line.to_string());
                }
                *changes = events::changes(plan, kinds);
            }
            Self::Live { pending, .. } => *pending = Pending::of(plan),
            Self::Plain { .. } => {}
        }
    }

    /// Shows one event.
    pub fn show(&mut self, terminal: &mut Terminal, event: &Event) {
        if !matches!(self, Self::Json { .. }) && is_bookkeeping(event) {
            return;
        }
        match self {
            Self::Json { changes } => terminal.line(&document(event, changes).to_string()),
            Self::Plain { .. } if matches!(event, Event::Unanswered { .. }) => {
                if let Some(line) = sentence(event).filter(|_| is_worth_telling(event)) {
                    terminal.note(&line);
                }
            }
            Self::Plain { said } => {
                if let Some(line) = plain(event, said) {
                    terminal.line(&line);
                }
            }
            Self::Live {
                bars,
                steps,
                pending,
                rest,
            } => {
                live(event, bars, steps, rest);
                match event {
                    Event::StepStarted { at, .. } => pending.began(at.step),
                    Event::StepDone { at, .. }
                    | Event::StepFailed { at, .. }
                    | Event::StepInDoubt { at, .. }
                    | Event::StepUnfinished { at, .. } => pending.ended(at.step),
                    Event::RunFinished { .. } => return rest.finish_and_clear(),
                    _ => return,
                }
                rest.set_message(pending.sentence());
            }
        }
    }
}

/// The first time, and then half as often each time.
fn is_worth_telling(event: &Event) -> bool {
    match event {
        Event::Unanswered { attempts, .. } => attempts.is_power_of_two(),
        _ => true,
    }
}

/// Writes into the state that the plan does not show either.
fn is_bookkeeping(event: &Event) -> bool {
    matches!(
        event,
        Event::StepStarted { at, .. } | Event::StepDone { at, .. } if at.action == Action::Record
    )
}

/// What is on record for what it does, and is nothing that could be destroyed.
fn done_once(at: &StepRef) -> Option<(&'static str, &'static str)> {
    match at.address.kind().as_str() {
        FINAL_BACKUP => Some(("Backing up", "Backup")),
        WIND_DOWN => Some(("Winding down", "Winding down")),
        LAST => Some(("Looking", "Look")),
        _ => None,
    }
    .filter(|_| at.action == Action::Delete)
}

fn doing(at: &StepRef) -> Cow<'static, str> {
    if let Some((doing, _)) = done_once(at) {
        return doing.into();
    }
    match at.action {
        _ if at.only_waits => "Waiting".into(),
        Action::Operate => at
            .operation
            .map_or("Preparing", |operated| operated.doing())
            .into(),
        action => gerund(action).into(),
    }
}

fn gerund(action: Action) -> &'static str {
    match action {
        Action::Create => "Creating",
        Action::Update => "Modifying",
        Action::Delete => "Destroying",
        Action::Forget => "Forgetting",
        Action::Record => "Recording",
        Action::Operate => "Preparing",
    }
}

/// The operation's name as a headline.
fn operation(at: &StepRef) -> String {
    let name = at.operation.map_or("", |operated| operated.name());
    let mut letters = name.chars();
    let first = letters.next().into_iter();
    first.flat_map(char::to_uppercase).chain(letters).collect()
}

fn noun(at: &StepRef) -> Cow<'static, str> {
    if let Some((_, noun)) = done_once(at) {
        return noun.into();
    }
    let noun = match at.action {
        _ if at.only_waits => "Waiting",
        Action::Create => "Creation",
        Action::Update => "Modifications",
        Action::Delete => "Destruction",
        Action::Forget => "Forgetting",
        Action::Record => "Recording",
        Action::Operate => return operation(at).into(),
    };
    noun.into()
}

fn clock(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    format!("{:02}m{:02}s", seconds / 60, seconds % 60)
}

fn short(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    if seconds >= 60 {
        format!("{}m{}s", seconds / 60, seconds % 60)
    } else {
        format!("{seconds}s")
    }
}

fn id_suffix(id: Option<&kplan_model::RemoteId>) -> String {
    id.map_or_else(String::new, |id| {
        let text: String = id
            .as_str()
            .chars()
            .filter(|c| !c.is_control())
            .take(80)
            .collect();
        format!(" [id={text}]")
    })
}

/// The sentence an event makes; `None` for what plain output leaves out.
fn sentence(event: &Event) -> Option<String> {
    let text = match event {
        Event::StepStarted { at, id } => {
            let id = id_suffix(id.as_ref().filter(|_| done_once(at).is_none()));
            format!("{}: {}...{id}", at.address, doing(at))
        }
        Event::StepDone { at, elapsed, id } => {
            let after = short(*elapsed);
            let id = id_suffix(id.as_ref());
            format!("{}: {} complete after {after}{id}", at.address, noun(at))
        }
        Event::StepProgress {
            at,
            elapsed,
            waiting_for,
        } => {
            let verb = doing(at).to_lowercase();
            format!(
                "{}: Still {verb}... [{} elapsed] {waiting_for}",
                at.address,
                clock(*elapsed)
            )
        }
        Event::PutOff { at, pause, why } => {
            format!("{}: trying again in {}: {why}", at.address, short(*pause))
        }
        Event::Unanswered {
            kind,
            waiting,
            attempts,
            gives_up_in,
            why,
        } => {
            let left = short(*gives_up_in);
            format!(
                "waiting for {waiting} of kind {kind}: no answer, {attempts} attempts; giving up \
                 in {left}: {why}"
            )
        }
        Event::StepFailed { at, error, .. } => format!("{}: failed: {error}", at.address),
        Event::StepInDoubt { at, error } => {
            format!("{}: the outcome is not known: {error}", at.address)
        }
        Event::StepUnfinished { at, error } => {
            format!("{}: {error}", at.address)
        }
        Event::Recovering { address, action } => {
            let verb = gerund(*action).to_lowercase();
            format!("{address}: an earlier run was cut off while {verb} it; looking what exists")
        }
        Event::Recovered { address, outcome } => format!("{address}: {outcome}"),
        Event::Stopping { hard: false } => {
            "Interrupt received. Nothing new is started; calls in flight are finished and \
             recorded. Interrupt again to give them up."
                .to_owned()
        }
        Event::Stopping { hard: true } => {
            "Second interrupt: calls in flight are given up and recorded as in doubt; the next \
             apply clears them up."
                .to_owned()
        }
        Event::RunStarted { .. } | Event::RunFinished { .. } => return None,
    };
    Some(text)
}

fn plain(event: &Event, said: &mut BTreeMap<Address, Duration>) -> Option<String> {
    let (at, elapsed) = match event {
        Event::StepProgress { at, elapsed, .. } => (at, *elapsed),
        // Trying again is worth a line when it takes long, not every time.
        Event::PutOff { at, pause, .. } => {
            let total = said.get(&at.address).copied().unwrap_or_default() + *pause;
            (at, total)
        }
        _ => return sentence(event),
    };
    let last = said.get(&at.address).copied().unwrap_or_default();
    if elapsed.saturating_sub(last) < HEARTBEAT {
        return None;
    }
    said.insert(at.address.clone(), elapsed);
    sentence(event)
}

/// A line that is redrawn. One that is wider than the terminal, also after it was made narrower, is
/// cut: a line that wraps could not be redrawn.
fn line(template: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    let style = ProgressStyle::with_template(template);
    style.map_or(bar.clone(), |style| bar.with_style(style))
}

fn live(
    event: &Event,
    bars: &MultiProgress,
    steps: &mut BTreeMap<Address, ProgressBar>,
    rest: &ProgressBar,
) {
    match event {
        Event::StepStarted { at, .. } => {
            let bar = bars.insert_before(rest, line("  {spinner} {elapsed:>4} {wide_msg}"));
            bar.set_message(format!("{}: {}", at.address, doing(at).to_lowercase()));
            bar.enable_steady_tick(Duration::from_millis(120));
            steps.insert(at.address.clone(), bar);
        }
        Event::StepProgress {
            at, waiting_for, ..
        } => {
            if let Some(bar) = steps.get(&at.address) {
                let verb = doing(at).to_lowercase();
                bar.set_message(format!("{}: {verb}, {waiting_for}", at.address));
            }
        }
        Event::StepDone { at, .. }
        | Event::StepFailed { at, .. }
        | Event::StepInDoubt { at, .. }
        | Event::StepUnfinished { at, .. } => {
            finish(at, bars, steps, event);
        }
        other => {
            if let Some(text) = sentence(other).filter(|_| is_worth_telling(other)) {
                // A terminal that went away is noticed when the result is printed.
                drop(bars.println(text));
            }
        }
    }
}

fn finish(
    at: &StepRef,
    bars: &MultiProgress,
    steps: &mut BTreeMap<Address, ProgressBar>,
    event: &Event,
) {
    if let Some(bar) = steps.remove(&at.address) {
        bar.finish_and_clear();
        bars.remove(&bar);
    }
    if let Some(text) = sentence(event) {
        drop(bars.println(text));
    }
}

fn step_action(at: &StepRef) -> &'static str {
    if at.only_waits {
        "wait"
    } else {
        action_name(at.action)
    }
}

fn action_name(action: Action) -> &'static str {
    match action {
        Action::Create => "create",
        Action::Update => "update",
        Action::Delete => "delete",
        Action::Forget => "forget",
        Action::Record => "noop",
        Action::Operate => "operate",
    }
}

fn hook(at: &StepRef) -> Value {
    let mut hook = json!({
        "resource": events::resource(&at.address),
        "action": step_action(at),
    });
    if let Some(operated) = at.operation {
        hook["operation"] = json!(operated.name());
    }
    hook
}

fn level(event: &Event) -> &'static str {
    match event {
        Event::StepFailed { .. } => "error",
        Event::StepInDoubt { .. }
        | Event::StepUnfinished { .. }
        | Event::Unanswered { .. }
        | Event::Stopping { .. } => "warn",
        _ => "info",
    }
}

fn code(error: &ProviderError) -> String {
    format!("cloud::{}", crate::error::code_of(error.kind))
}

/// The JSON line of an event. Types and names are Terraform's where it has them.
fn document(event: &Event, changes: &Changes) -> Value {
    let line = match event {
        Event::RunStarted { mode, steps } => {
            json!({ "type": "run_start", "mode": mode, "steps": steps })
        }
        Event::StepStarted { at, id } => json!({
            "type": "apply_start", "hook": hook(at), "change": changes.get(&at.step),
            "id": id.as_ref().map(kplan_model::RemoteId::as_str),
        }),
        Event::StepProgress {
            at,
            elapsed,
            waiting_for,
        } => json!({
            "type": "apply_progress", "hook": hook(at),
            "elapsed_seconds": elapsed.as_secs_f64(), "waiting_for": waiting_for,
        }),
        Event::StepDone { at, elapsed, id } => json!({
            "type": "apply_complete", "hook": hook(at), "change": changes.get(&at.step),
            "elapsed_seconds": elapsed.as_secs_f64(), "id": id.as_ref().map(kplan_model::RemoteId::as_str),
        }),
        Event::StepFailed { at, elapsed, error } => json!({
            "type": "apply_errored", "hook": hook(at),
            "elapsed_seconds": elapsed.as_secs_f64(),
            "code": code(error), "request_id": error.request_id, "error": error.to_string(),
        }),
        Event::StepInDoubt { at, error } => json!({
            "type": "apply_in_doubt", "hook": hook(at), "error": error.to_string(),
            "code": code(error), "request_id": error.request_id,
        }),
        Event::StepUnfinished { at, error } => json!({
            "type": "apply_unfinished", "hook": hook(at), "error": error.to_string(),
            "code": code(error),
        }),
        Event::PutOff { at, pause, why } => json!({
            "type": "apply_put_off", "hook": hook(at), "pause_seconds": pause.as_secs_f64(),
            "code": code(why),
        }),
        Event::Unanswered {
            kind,
            waiting,
            attempts,
            gives_up_in,
            why,
        } => json!({
            "type": "poll_unanswered", "kind": kind.as_str(), "waiting": waiting,
            "attempts": attempts, "gives_up_in_seconds": gives_up_in.as_secs_f64(),
            "code": code(why),
        }),
        Event::Recovering { address, action } => json!({
            "type": "recover_start", "addr": address.to_string(), "action": action_name(*action),
        }),
        Event::Recovered { address, outcome } => json!({
            "type": "recover_complete", "addr": address.to_string(), "outcome": outcome,
        }),
        Event::Stopping { hard } => json!({ "type": "interrupt", "hard": hard }),
        Event::RunFinished {
            done,
            failed,
            in_doubt,
            unfinished,
            not_started,
            wall_seconds,
            critical_path_seconds,
        } => json!({
            "type": "run_complete", "done": done, "failed": failed, "in_doubt": in_doubt,
            "unfinished": unfinished, "not_started": not_started, "wall_seconds": wall_seconds,
            "critical_path_seconds": critical_path_seconds,
        }),
    };
    events::stamped(line, level(event), &sentence(event).unwrap_or_default())
}
