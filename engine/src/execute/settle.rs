//! How steps end: waiting, polling, stopping, and the report.

use super::cancel::Level;
use super::dispatch::{After, Call, Dispatcher, Message, State};
use super::hub::{Purpose, Waiter};
use super::report::{Failure, NotStarted, Outcome, Report, StepOutcome, WhyNotStarted};
use super::{resolve, schedule};
use crate::attrs;
use crate::event::Event;
use crate::observe::{YOUNG_MILLIS, read_one};
use kplan_model::{
    Action, ErrorKind, JournalEvent, Kind, Known, Object, ProviderError, Recorded, RemoteId,
    Status, StoredError,
};
use std::collections::BTreeMap;
use std::sync::Arc;
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
            After::Wait(at) | After::Done(at) => self.settle_doubt(at, unwritten()),
            After::Failed(at, error) | After::Doubt(at, error) | After::Unfinished(at, error) => {
                self.settle_doubt(at, error);
            }
            After::NotStarted(at) => self.settle_not_started(at),
        }
    }

    /// `Started` is durable, but nothing was called, and that is known.
    fn not_called(&mut self, at: usize) {
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
            confirming: false,
        };
        if let Some(due) = self.hub.add(at, waiter, self.run.options.pace) {
            self.at(due, Message::PollDue(kind.clone()));
        }
    }

    /// Ends a step that waits, although what it waits for is not there. What was made or changed
    /// is known, and recorded as not ready yet; whether something is gone is not known.
    fn stop_polling(&mut self, at: usize) {
        let Some(record) = self.slots[at].record.take() else {
            return self.doubt(at, interrupted());
        };
        let step = self.step(at);
        let done = match step.action {
            _ if step.only_waits() => "it is not ready yet",
            Action::Create => "it is made, and not ready yet",
            _ => "it is changed, and not ready yet",
        };
        let error = ProviderError::new(ErrorKind::Transient, format!("interrupted: {done}"))
            .help("the next apply waits for it");
        self.log(JournalEvent::Failed {
            step: step.id,
            address: step.address.clone(),
            error: StoredError::from(&error),
            record: Some(Recorded {
                status: Status::Unfinished,
                ..record
            }),
        });
        self.slots[at].state = State::Recording;
        self.then(After::Unfinished(at, error));
    }

    /// Not ready yet: goes on waiting, or begins to.
    pub(super) fn keep_waiting(&mut self, at: usize, waiting_for: String) {
        let event = Event::StepProgress {
            at: self.step_ref(at),
            elapsed: self.elapsed(at),
            waiting_for,
        };
        self.emit(event);
        if !matches!(self.slots[at].state, State::Polling) {
            self.slots[at].state = State::Recording;
            self.then(After::Wait(at));
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
                for at in self.hub.failed(kind, !passing) {
                    self.doubt(at, error.clone());
                }
                self.expire(kind);
            }
        }
        if let Some(due) = self.hub.next(kind, Instant::now(), self.run.options.pace) {
            self.at(due, Message::PollDue(kind.clone()));
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
            (Purpose::Gone, Some(_)) => self.keep_waiting(at, "it is still there".to_owned()),
            (Purpose::Gone, None) => self.confirm(kind, at),
            (Purpose::Ready, None) => {
                // A list may lag behind a create for a while.
                let lag = u64::try_from(YOUNG_MILLIS).unwrap_or(0);
                if age
                    > self
                        .run
                        .options
                        .paced(std::time::Duration::from_millis(lag))
                {
                    self.confirm(kind, at);
                } else {
                    self.keep_waiting(at, "it is not listed yet".to_owned());
                }
            }
        }
        self.expire_one(kind, at);
    }

    fn on_attributes(&mut self, kind: &Kind, at: usize, attrs: &Object) {
        let info = self.run.registry.info(kind);
        if let (Some(record), Some(info)) = (&mut self.slots[at].record, info) {
            record.attrs = attrs::merge(info, &record.attrs, attrs);
            // The next read is compared with this one.
            if let Some(waiter) = self.hub.waiter(kind, at) {
                waiter.known.attrs.clone_from(&record.attrs);
            }
        }
        self.judge_readiness(at);
        if !matches!(self.slots[at].state, State::Polling) {
            self.hub.remove(kind, at);
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
            (Purpose::Gone, Ok(Some(_))) => self.keep_waiting(at, "it is still there".to_owned()),
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
        self.slots[at].state = State::Failed(error);
        self.skip_dependents(at);
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
        let mut queue = std::mem::take(&mut self.slots[at].dependents);
        while let Some(next) = queue.pop() {
            if matches!(self.slots[next].state, State::Waiting) {
                let why = WhyNotStarted::DependencyFailed(address.clone());
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

fn interrupted() -> ProviderError {
    ProviderError::new(
        ErrorKind::OutcomeUnknown,
        "the run was interrupted while it was going on",
    )
    .help("the next apply finds out what came of it and carries on")
}
