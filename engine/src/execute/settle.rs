//! How steps end: waiting, polling, stopping, and the report.

use super::cancel::Level;
use super::dispatch::{After, Call, Dispatcher, Message, State};
use super::hub::{FAILURES, Pace, Purpose, UNANSWERED, Waiter};
use super::report::{Failure, NotStarted, Outcome, Report, StepOutcome, WhyNotStarted};
use super::{resolve, schedule};
use crate::attrs;
use crate::event::Event;
use crate::observe::{YOUNG_MILLIS, read_one};
use kplan_model::{
    Action, ErrorKind, JournalEvent, Kind, Known, Object, ProviderError, Readiness, Recorded,
    RemoteId, Status, StoredError,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

impl Dispatcher<'_> {
    /// What waited for the journal goes on.
    pub(super) fn go_on(&mut self, after: After) {
        match after {
            After::Call(at) if self.is_stopping() => {
                self.release(at);
                self.not_called(at);
            }
            After::NotStarted(at) => self.settle_not_started(at),
            After::Call(at) => self.change(at),
            After::Align(at) if self.is_stopping() => {
                self.release(at);
                self.give_up(at, interrupted());
            }
            After::Align(at) => self.align(at),
            After::Wait(at) => self.wait(at),
            After::Done(at) => self.settle_done(at),
            After::Failed(at, error) => self.settle_failed(at, error),
            After::Doubt(at, error) => self.settle_doubt(at, error),
            After::Unfinished(at, error) => self.settle_unfinished(at, error),
        }
    }

    /// The journal could not be written: what waited for it does not happen.
    pub(super) fn lost(&mut self, after: After) {
        let unwritten = || {
            let message = "it is not known to be recorded: the state could not be written";
            ProviderError::new(ErrorKind::Bug, message).help("the next apply looks for it")
        };
        match after {
            After::Call(at) => {
                self.release(at);
                self.slots[at].state = State::NotStarted(WhyNotStarted::JournalFailed);
            }
            After::Align(at) => {
                self.release(at);
                self.settle_doubt(at, unwritten());
            }
            After::Wait(at) | After::Done(at) => self.settle_doubt(at, unwritten()),
            After::Failed(at, error) | After::Doubt(at, error) | After::Unfinished(at, error) => {
                self.settle_doubt(at, error);
            }
            After::NotStarted(at) => self.settle_not_started(at),
        }
    }

    /// `Started` is durable, but nothing was called, and that is known.
    pub(super) fn not_called(&mut self, at: usize) {
        let step = self.step(at);
        let error = ProviderError::new(ErrorKind::Transient, "interrupted before it was called");
        self.log(JournalEvent::Failed {
            step: step.id,
            address: step.address.clone(),
            error: StoredError::from(&error),
            record: None,
        });
        self.slots[at].started = None;
        self.slots[at].state = State::Recording;
        self.then(After::NotStarted(at));
    }

    /// Begins to wait: for readiness, or for being gone.
    pub(super) fn wait(&mut self, at: usize) {
        let step = self.step(at);
        let (record, purpose) = match (&self.slots[at].record, step.action) {
            (Some(record), _) => (record.known(), Purpose::Ready),
            (None, _) => match &step.before {
                Some(record) => (record.known(), Purpose::Gone),
                None => return,
            },
        };
        if self.is_stopping() {
            return self.stop_polling(at);
        }
        self.slots[at].state = State::Polling;
        let kind = step.address.kind();
        let waiter = Waiter {
            known: record,
            purpose,
            since: Instant::now(),
            typical: self.typical(at, purpose),
            awaited: false,
            asked: false,
            confirming: false,
        };
        let pace = self.pace();
        if let Some(due) = self.hub.add(at, waiter, pace) {
            self.at(due, Message::PollDue(kind.clone()));
        }
        self.sent(at);
    }

    /// Ends a step that waits, although what it waits for is not there. What was made or changed
    /// is known, and recorded as not ready yet; whether something is gone is not known.
    fn stop_polling(&mut self, at: usize) {
        let Some(record) = self.slots[at].record.take() else {
            return self.doubt(at, interrupted());
        };
        self.leave(at, record, ErrorKind::Transient, "interrupted");
    }

    /// Ends a step that waits: what it made or changed is recorded as not ready yet.
    fn leave(&mut self, at: usize, record: Recorded, kind: ErrorKind, why: &str) {
        let step = self.step(at);
        let done = match step.action {
            _ if step.only_waits() => "it is not ready yet",
            Action::Create => "it is made, and not ready yet",
            _ => "it is changed, and not ready yet",
        };
        let error =
            ProviderError::new(kind, format!("{why}: {done}")).help("the next apply waits for it");
        self.left(at, Some(record), error);
    }

    /// Ends a step that is not done, with the record of what exists, where it changed.
    pub(super) fn left(&mut self, at: usize, record: Option<Recorded>, error: ProviderError) {
        let step = self.step(at);
        self.log(JournalEvent::Failed {
            step: step.id,
            address: step.address.clone(),
            error: StoredError::from(&error),
            record: record.map(|record| Recorded {
                status: Status::Unfinished,
                ..record
            }),
        });
        self.slots[at].state = State::Recording;
        self.then(After::Unfinished(at, error));
    }

    /// Not ready yet: goes on waiting, or begins to.
    pub(super) fn keep_waiting(&mut self, at: usize, waiting_for: String) {
        self.tell_progress(at, waiting_for);
        if !matches!(self.slots[at].state, State::Polling) {
            self.slots[at].state = State::Recording;
            self.then(After::Wait(at));
        }
    }

    pub(super) fn tell_progress(&mut self, at: usize, waiting_for: String) {
        let event = Event::StepProgress {
            at: self.step_ref(at),
            elapsed: self.elapsed(at),
            waiting_for,
        };
        self.emit(event);
    }

    /// Brings what will be on record up to date with what was seen.
    pub(super) fn see(&mut self, at: usize, attrs: &Object) {
        let info = self.run.registry.info(self.step(at).address.kind());
        if let (Some(record), Some(info)) = (&mut self.slots[at].record, info) {
            record.attrs = attrs::merge(info, &record.attrs, attrs);
        }
    }

    pub(super) fn poll(&mut self, kind: &Kind) {
        let now = Instant::now();
        let Some(known) = self.hub.begin(kind, now) else {
            return;
        };
        let Some(entry) = self.run.registry.get(kind) else {
            return;
        };
        let observe = Arc::clone(&entry.observe);
        let kind = kind.clone();
        self.flights.push(Box::pin(async move {
            let result = observe.read_all(&known).await;
            Message::Polled(kind, now, result)
        }));
    }

    pub(super) fn on_polled(
        &mut self,
        kind: &Kind,
        began: Instant,
        result: Result<BTreeMap<RemoteId, Object>, ProviderError>,
    ) {
        match result {
            Ok(listed) => {
                for at in self.hub.answered(kind, began) {
                    self.on_listed(kind, at, &listed);
                }
            }
            Err(error) => {
                let passing = matches!(
                    error.kind,
                    ErrorKind::Transient
                        | ErrorKind::Throttled
                        | ErrorKind::Busy
                        | ErrorKind::OutcomeUnknown
                );
                self.on_unanswered(kind, &error, !passing);
                self.expire(kind);
            }
        }
        self.next_poll(kind);
    }

    /// A poll failed. After too long a time without an answer, or too many that trying again
    /// cannot help, those who wait are given up.
    fn on_unanswered(&mut self, kind: &Kind, error: &ProviderError, lasting: bool) {
        let limit = self.run.options.paced(UNANSWERED);
        let Some(failing) = self.hub.failed(kind, lasting) else {
            return;
        };
        let left = limit.saturating_sub(failing.since.elapsed());
        if failing.lasting < FAILURES && !left.is_zero() {
            let event = Event::Unanswered {
                kind: kind.clone(),
                waiting: failing.waiting,
                attempts: failing.attempts,
                gives_up_in: left,
                why: error.clone(),
            };
            return self.emit(event);
        }
        for at in self.hub.give_up(kind) {
            match self.slots[at].record.take() {
                Some(record) if failing.lasting < FAILURES => {
                    let why = format!("no answer for {} s: {error}", limit.as_secs());
                    self.leave(at, record, error.kind, &why);
                }
                record => {
                    self.slots[at].record = record;
                    self.doubt(at, error.clone());
                }
            }
        }
    }

    /// All there is to call for a step was called. Steps that need nothing else any more but what
    /// waits are in a hurry from now on.
    fn sent(&mut self, at: usize) {
        if std::mem::replace(&mut self.slots[at].sent, true) {
            return;
        }
        let mut hurried: BTreeSet<&Kind> = BTreeSet::new();
        for at in self.slots[at].dependents.clone() {
            let slot = &mut self.slots[at];
            slot.unsent = slot.unsent.saturating_sub(1);
            if slot.unsent > 0 || !matches!(slot.state, State::Waiting) {
                continue;
            }
            for first in schedule::requirements(self.step(at)) {
                let kind = self.step(first).address.kind();
                if let Some(waiter) = self.hub.waiter(kind, first) {
                    waiter.awaited = true;
                    hurried.insert(kind);
                }
            }
        }
        for kind in hurried {
            self.next_poll(kind);
        }
    }

    fn next_poll(&mut self, kind: &Kind) {
        let pace = self.pace();
        if let Some(due) = self.hub.next(kind, Instant::now(), pace) {
            self.at(due, Message::PollDue(kind.clone()));
        }
    }

    fn typical(&self, at: usize, purpose: Purpose) -> Duration {
        let info = self.run.registry.info(self.step(at).address.kind());
        let seconds = info.map_or(0, |info| match purpose {
            Purpose::Ready => info.typical.create,
            Purpose::Gone => info.typical.delete,
        });
        Duration::from_secs(u64::from(seconds))
    }

    fn pace(&self) -> Pace {
        Pace {
            factor: self.run.options.pace,
            begun: self.begun,
            busy: self.calls > 0 || !self.queue.is_empty(),
        }
    }

    /// When the last call is made, polls that could wait for that are due.
    pub(super) fn hurry(&mut self) {
        let busy = self.pace().busy;
        if std::mem::replace(&mut self.busy, busy) && !busy {
            for kind in self.hub.waited_for() {
                self.next_poll(&kind);
            }
        }
    }

    /// One waiter, after its kind was listed.
    fn on_listed(&mut self, kind: &Kind, at: usize, listed: &BTreeMap<RemoteId, Object>) {
        let Some(waiter) = self.hub.waiter(kind, at) else {
            return;
        };
        let purpose = waiter.purpose;
        let age = waiter.since.elapsed();
        match (purpose, listed.get(&waiter.known.id)) {
            (Purpose::Ready, Some(attrs)) => self.on_attributes(kind, at, attrs),
            (Purpose::Gone, Some(attrs)) => self.on_still_there(kind, at, attrs),
            (Purpose::Gone, None) => self.confirm(kind, at),
            (Purpose::Ready, None) => {
                // A list may lag behind a create for a while.
                let lag = u64::try_from(YOUNG_MILLIS).unwrap_or(0);
                if age > self.run.options.paced(Duration::from_millis(lag)) {
                    self.confirm(kind, at);
                } else {
                    self.keep_waiting(at, "it is not listed yet".to_owned());
                }
            }
        }
        self.expire_one(kind, at);
    }

    fn on_attributes(&mut self, kind: &Kind, at: usize, attrs: &Object) {
        self.see(at, attrs);
        // The next read is compared with this one.
        if let (Some(record), Some(waiter)) = (&self.slots[at].record, self.hub.waiter(kind, at)) {
            waiter.known.attrs.clone_from(&record.attrs);
        }
        self.judge_readiness(at);
        if !matches!(self.slots[at].state, State::Polling) {
            self.hub.remove(kind, at);
        }
    }

    /// What is being destroyed and still there says how far it is.
    fn on_still_there(&mut self, kind: &Kind, at: usize, attrs: &Object) {
        let going = self.entry(at).and_then(|entry| entry.observe.going(attrs));
        match going {
            Ok(Readiness::Waiting(why)) => self.keep_waiting(at, why),
            Ok(Readiness::Ready) => {
                self.hub.remove(kind, at);
                self.succeeded(at, None);
            }
            Ok(Readiness::Failed(why)) => {
                self.hub.remove(kind, at);
                self.failed(at, ProviderError::new(ErrorKind::Failed, why));
            }
            // The next poll tries again; the time limit ends it.
            Err(error) => self.keep_waiting(at, error.to_string()),
        }
    }

    /// Reads one waiter by its id.
    fn confirm(&mut self, kind: &Kind, at: usize) {
        let Some(entry) = self.run.registry.get(kind) else {
            return;
        };
        let Some(waiter) = self
            .hub
            .waiter(kind, at)
            .filter(|waiter| !waiter.confirming)
        else {
            return;
        };
        waiter.confirming = true;
        let known: Known = waiter.known.clone();
        let observe = Arc::clone(&entry.observe);
        self.flights.push(Box::pin(async move {
            Message::Read(at, read_one(observe.as_ref(), &known).await)
        }));
    }

    pub(super) fn on_read(&mut self, at: usize, result: Result<Option<Object>, ProviderError>) {
        let kind = self.step(at).address.kind();
        let Some(waiter) = self.hub.waiter(kind, at) else {
            return;
        };
        waiter.confirming = false;
        match (waiter.purpose, result) {
            (Purpose::Gone, Ok(None)) => {
                self.hub.remove(kind, at);
                self.succeeded(at, None);
            }
            (Purpose::Gone, Ok(Some(attrs))) => self.on_still_there(kind, at, &attrs),
            (Purpose::Ready, Ok(Some(attrs))) => self.on_attributes(kind, at, &attrs),
            (Purpose::Ready, Ok(None)) => {
                self.hub.remove(kind, at);
                let message = "it was created and is gone again before it became ready";
                self.failed(at, ProviderError::new(ErrorKind::NotFound, message));
            }
            // The next poll tries again; the time limit ends it.
            (_, Err(error)) => self.keep_waiting(at, error.to_string()),
        }
    }

    fn expire(&mut self, kind: &Kind) {
        for at in self.hub.all(kind) {
            self.expire_one(kind, at);
        }
    }

    fn expire_one(&mut self, kind: &Kind, at: usize) {
        let limit = self.run.options.wait_limit;
        let Some(waiter) = self.hub.waiter(kind, at) else {
            return;
        };
        if waiter.since.elapsed() < limit {
            return;
        }
        let what = match waiter.purpose {
            Purpose::Ready => "ready",
            Purpose::Gone => "gone",
        };
        self.hub.remove(kind, at);
        let message = format!("it was not {what} after {} minutes", limit.as_secs() / 60);
        let error =
            ProviderError::new(ErrorKind::Failed, message).help(if self.is_interrupted(at) {
                "it worked before what it runs on was interrupted, so it is not replaced: look at \
                 it; the next apply waits for it again"
            } else {
                "look at it in the control panel; the next apply replaces what is not ready"
            });
        self.failed(at, error);
    }

    fn settle_done(&mut self, at: usize) {
        let elapsed = self.elapsed(at);
        self.slots[at].seconds = elapsed.as_secs_f64();
        self.slots[at].state = State::Done;
        self.sent(at);
        self.slots[at].args = Object::new();
        let address = &self.step(at).address;
        let removes = matches!(self.step(at).action, Action::Delete | Action::Forget);
        let record: Option<&Recorded> = self.snapshot.resources.get(address);
        let id = record.filter(|_| !removes).map(|record| record.id.clone());
        let event = Event::StepDone {
            at: self.step_ref(at),
            elapsed,
            id,
        };
        self.emit(event);
        for dependent in std::mem::take(&mut self.slots[at].dependents) {
            let slot = &mut self.slots[dependent];
            slot.missing = slot.missing.saturating_sub(1);
            if slot.missing == 0 && matches!(slot.state, State::Waiting) {
                self.enqueue(dependent, Call::Begin);
            }
        }
    }

    pub(super) fn settle_failed(&mut self, at: usize, error: ProviderError) {
        let event = Event::StepFailed {
            at: self.step_ref(at),
            elapsed: self.elapsed(at),
            error: error.clone(),
        };
        self.emit(event);
        self.stop_unreachable(at, &error);
        self.slots[at].state = State::Failed(error);
        self.skip_dependents(at);
    }

    /// Whoever cannot be reached for one resource of a kind after all that was tried cannot be
    /// reached for the others: they are not tried one after another for hours.
    fn stop_unreachable(&mut self, at: usize, error: &ProviderError) {
        let operates = |at: usize| self.step(at).action == Action::Operate;
        // Operations may ask somebody else than creates and reads do.
        if error.kind != ErrorKind::Transient || self.is_stopping() || operates(at) {
            return;
        }
        let (kind, address) = (self.step(at).address.kind(), self.step(at).address.clone());
        drop(self.queue.take_kind(kind));
        for at in 0..self.slots.len() {
            let slot = &self.slots[at];
            let (State::Queued(call) | State::Pausing(call)) = slot.state else {
                continue;
            };
            if self.step(at).address.kind() != kind || self.step(at).action == Action::Operate {
                continue;
            }
            let passing = |error: &ProviderError| {
                matches!(error.kind, ErrorKind::Transient | ErrorKind::OutcomeUnknown)
            };
            match slot.last_error.clone() {
                None if slot.started.is_none() => {
                    let why = WhyNotStarted::Unreachable(address.clone());
                    self.slots[at].state = State::NotStarted(why);
                    self.skip_dependents(at);
                }
                Some(error) if slot.started.is_some() && passing(&error) => {
                    self.give_up(at, error);
                }
                _ if matches!(slot.state, State::Queued(_)) => self.enqueue(at, call),
                _ => {}
            }
        }
    }

    pub(super) fn settle_doubt(&mut self, at: usize, error: ProviderError) {
        let event = Event::StepInDoubt {
            at: self.step_ref(at),
            error: error.clone(),
        };
        self.emit(event);
        self.slots[at].state = State::Doubt(error);
        self.skip_dependents(at);
    }

    fn settle_unfinished(&mut self, at: usize, error: ProviderError) {
        let event = Event::StepUnfinished {
            at: self.step_ref(at),
            error: error.clone(),
        };
        self.emit(event);
        self.slots[at].state = State::Unfinished(error);
        self.skip_dependents(at);
    }

    pub(super) fn settle_not_started(&mut self, at: usize) {
        let why = if self.broken.is_some() {
            WhyNotStarted::JournalFailed
        } else {
            WhyNotStarted::Interrupted
        };
        self.slots[at].state = State::NotStarted(why);
    }

    /// Everything behind a step that did not succeed.
    fn skip_dependents(&mut self, at: usize) {
        let address = self.step(at).address.clone();
        let operation = self.step(at).operation.map(|operated| operated.name());
        let mut queue = std::mem::take(&mut self.slots[at].dependents);
        while let Some(next) = queue.pop() {
            if matches!(self.slots[next].state, State::Waiting) {
                let why = match operation {
                    Some(name) => WhyNotStarted::OperationFailed(address.clone(), name),
                    None => WhyNotStarted::DependencyFailed(address.clone()),
                };
                self.slots[next].state = State::NotStarted(why);
                queue.append(&mut self.slots[next].dependents);
            }
        }
    }

    pub(super) fn on_cancel(&mut self, level: Level) {
        self.level = level;
        self.emit(Event::Stopping {
            hard: level == Level::Hard,
        });
        self.stop_waiting();
        if level == Level::Hard {
            let running = (0..self.slots.len())
                .filter(|at| matches!(self.slots[*at].state, State::Running(_)));
            for at in running.collect::<Vec<_>>() {
                if self.slots[at].started.is_some() {
                    self.doubt(at, interrupted());
                } else {
                    self.settle_not_started(at);
                }
            }
        }
    }

    /// Ends everything that waits: in queues, for pauses, for readiness. Calls in flight go on.
    pub(super) fn stop_waiting(&mut self) {
        drop(self.queue.drain());
        drop(self.hub.drain());
        for at in 0..self.slots.len() {
            let started = self.slots[at].started.is_some();
            match &self.slots[at].state {
                State::Queued(_) | State::Pausing(_) if !started => self.settle_not_started(at),
                State::Queued(_) | State::Pausing(_) => {
                    let error = self.slots[at].last_error.clone();
                    self.give_up(at, error.unwrap_or_else(interrupted));
                }
                State::Polling => self.stop_polling(at),
                _ => {}
            }
        }
    }

    /// Writes the end and reports.
    pub(super) fn close(mut self) -> Outcome {
        let complete = self
            .slots
            .iter()
            .all(|slot| matches!(slot.state, State::Done));
        let mut missing_outputs = Vec::new();
        if complete && self.broken.is_none() {
            let (outputs, missing) = resolve::outputs(&self.plan.outputs, &self.snapshot);
            missing_outputs = missing;
            if outputs != self.snapshot.outputs {
                self.log(JournalEvent::Outputs { outputs });
            }
        }
        self.log(JournalEvent::RunEnded { complete });
        self.flush();
        let report = self.report(missing_outputs);
        let interrupted = self.level > Level::None;
        let event = Event::RunFinished {
            done: report.done.len(),
            failed: report.failed.len(),
            in_doubt: report.in_doubt.len(),
            unfinished: report.unfinished.len(),
            not_started: report.not_started.len(),
            wall_seconds: report.wall_seconds,
            critical_path_seconds: report.critical_path_seconds,
        };
        self.emit(event);
        if interrupted {
            Outcome::Interrupted(report)
        } else {
            Outcome::Completed(report)
        }
    }

    fn report(&mut self, missing_outputs: Vec<String>) -> Report {
        let seconds: Vec<f64> = self.slots.iter().map(|slot| slot.seconds).collect();
        let (critical_path_seconds, chain) = schedule::critical_path(self.plan, &seconds);
        let mut report = Report {
            done: Vec::new(),
            failed: Vec::new(),
            in_doubt: Vec::new(),
            unfinished: Vec::new(),
            not_started: Vec::new(),
            missing_outputs,
            journal: self.broken.take(),
            snapshot: self.snapshot.clone(),
            critical_path_seconds,
            critical_path: chain
                .into_iter()
                .map(|at| self.step(at).address.clone())
                .collect(),
            wall_seconds: self.begun.elapsed().as_secs_f64(),
        };
        for (slot, step) in self.slots.iter().zip(&self.plan.steps) {
            let (id, address, action) = (step.id, step.address.clone(), step.action);
            let failure = |address, error: &ProviderError| Failure {
                step: id,
                address,
                action,
                error: error.clone(),
            };
            let not_started = |address, why| NotStarted {
                step: id,
                address,
                action,
                why,
            };
            match &slot.state {
                State::Done => report.done.push(StepOutcome {
                    step: id,
                    address,
                    action,
                    seconds: slot.seconds,
                }),
                State::Failed(error) => report.failed.push(failure(address, error)),
                State::Doubt(error) => report.in_doubt.push(failure(address, error)),
                State::Unfinished(error) => report.unfinished.push(failure(address, error)),
                State::NotStarted(why) => {
                    report.not_started.push(not_started(address, why.clone()));
                }
                State::Running(_) | State::Recording | State::Polling if slot.started.is_some() => {
                    report.in_doubt.push(failure(address, &interrupted()));
                }
                _ => {
                    let why = match report.journal {
                        Some(_) => WhyNotStarted::JournalFailed,
                        None => WhyNotStarted::Interrupted,
                    };
                    report.not_started.push(not_started(address, why));
                }
            }
        }
        report
    }
}

pub(super) fn interrupted() -> ProviderError {
    ProviderError::new(
        ErrorKind::OutcomeUnknown,
        "the run was interrupted while it was going on",
    )
    .help("the next apply finds out what came of it and carries on")
}
