//! What the answers to one step's calls mean: done, wait, look, try again, fail, or in doubt.

use super::adopt::{self, Lost, Verdict};
use super::discipline::Rule;
use super::dispatch::{After, Call, Dispatcher, Message, State};
use super::retry::{Next, PAUSES};
use crate::attrs;
use crate::event::Event;
use crate::observe::SECOND_LOOK;
use kplan_model::{
    Action, CreateFailed, ErrorKind, Found, FoundAs, JournalEvent, Object, ProviderError,
    Readiness, Recorded, RemoteId, Status, StoredError,
};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// How soon the first look for a lost create is.
pub(super) const FIRST_LOOK: Duration = Duration::from_secs(1);

impl Dispatcher<'_> {
    pub(super) fn on(&mut self, message: Message) {
        match message {
            Message::Looked(at, result) => self.on_looked(at, result),
            Message::LookedForAll(steps, began, found) => {
                self.on_looked_for_all(steps, began, found);
            }
            Message::Created(at, result) => {
                self.release(at);
                self.on_created(at, result);
            }
            Message::Updated(at, result) => {
                self.release(at);
                match result {
                    Ok(attrs) => self.on_updated(at, &attrs),
                    Err(error) => self.on_error(at, error),
                }
            }
            Message::Inspected(at, result) => self.on_inspected(at, result),
            Message::Aligned(at, result) => self.on_aligned(at, result),
            Message::Operated(at, result) => self.on_operated(at, result),
            Message::Deleted(at, result) => {
                self.release(at);
                match result {
                    Ok(()) if self.is_gone_at_once(at) => self.succeeded(at, None),
                    Ok(()) => self.wait(at),
                    Err(error) if error.kind == ErrorKind::NotFound => self.succeeded(at, None),
                    Err(error) => self.on_error(at, error),
                }
            }
            Message::Released(at, result) => {
                self.release(at);
                match result {
                    Err(error) if error.kind != ErrorKind::NotFound => self.on_error(at, error),
                    _ => self.succeeded(at, None),
                }
            }
            Message::Woke(at) => {
                if let State::Pausing(call) = self.slots[at].state {
                    self.enqueue(at, call);
                }
            }
            Message::Read(at, result) => self.on_read(at, result),
            Message::PollDue(kind) => self.poll(&kind),
            Message::Polled(kind, began, result) => self.on_polled(&kind, began, result),
        }
    }

    pub(super) fn on_looked(
        &mut self,
        at: usize,
        result: Result<Vec<Found<Object>>, ProviderError>,
    ) {
        self.release(at);
        let State::Running(call) = self.slots[at].state else {
            return;
        };
        match (call, result) {
            (Call::Relook { earlier }, Ok(found)) => self.on_relooked(at, earlier, found),
            (_, Ok(found)) => {
                self.on_first_look(at, adopt::looked_at(&found));
            }
            (_, Err(error)) => self.on_look_failed(at, call, error),
        }
    }

    /// Nothing was created yet: whatever is there is a stranger, unless the state knows it.
    pub(super) fn on_first_look(&mut self, at: usize, found: Vec<(RemoteId, FoundAs)>) {
        if self.is_stopping() {
            return self.settle_not_started(at);
        }
        let step = self.step(at);
        let kind = step.address.kind();
        let strangers: Vec<_> = found
            .iter()
            .filter(|(_, role)| *role == FoundAs::Asked)
            .map(|(id, _)| id)
            .filter(|id| !adopt::is_known(&self.snapshot, kind, id))
            .collect();
        if !strangers.is_empty() {
            let error = match self.entry(at) {
                Ok(entry) => adopt::exists(entry.info, &strangers),
                Err(error) => error,
            };
            return self.settle_failed(at, error);
        }
        self.slots[at].seen = found.into_iter().map(|(id, _)| id).collect();
        self.log_started(at);
        // The place among the calls goes to the create itself.
        self.take_place(at);
        self.slots[at].state = State::Recording;
        self.then(After::Call(at));
    }

    /// Looks for what a lost create made.
    pub(super) fn on_relooked(&mut self, at: usize, earlier: u32, found: Vec<Found<Object>>) {
        let info = match self.entry(at) {
            Ok(entry) => entry.info,
            Err(error) => return self.doubt(at, error),
        };
        self.slots[at].tries.looks += 1;
        let rivals = self.rivals(at, info);
        if rivals.in_flight && !found.is_empty() {
            // What was found may be the fruit of a create whose answer is still to come.
            return self.after_rivals(at, earlier);
        }
        let slot = &self.slots[at];
        let lost = Lost {
            info,
            args: &slot.args,
            seen: &slot.seen,
            started_at: slot.started.unwrap_or_default(),
            taken: &rivals.taken,
            twins: rivals.twins,
        };
        let looked_twice = earlier > 0 || !slot.tries.unknown;
        let looks = slot.tries.looks;
        let again = slot.tries.may_create_again(self.run.options.attempts);
        let error = slot.last_error.clone().unwrap_or_else(|| {
            ProviderError::new(ErrorKind::OutcomeUnknown, "the answer was lost")
        });
        let found = if self.run.options.discipline.keeps(Rule::Adoption) {
            found
        } else {
            Vec::new()
        };
        match adopt::judge(lost, found, &self.snapshot) {
            Verdict::Ours(found) => self.adopt(at, found),
            Verdict::Nothing if !again && looked_twice => {
                self.give_up(at, not_found_again(error, looks));
            }
            Verdict::Unclear(unclear) => self.doubt(at, unclear),
            Verdict::Nothing if self.is_stopping() => self.give_up(at, error),
            Verdict::Nothing if !looked_twice => {
                let pause = self.run.options.paced(SECOND_LOOK);
                let earlier = earlier + 1;
                self.pause(at, Call::Relook { earlier }, pause, error);
            }
            Verdict::Nothing => self.enqueue(at, Call::Change),
        }
    }

    pub(super) fn on_look_failed(&mut self, at: usize, call: Call, error: ProviderError) {
        // A look is a read: an unknown outcome of it is no doubt about the create.
        let kind = match error.kind {
            ErrorKind::OutcomeUnknown => ErrorKind::Transient,
            kind => kind,
        };
        match self.try_again_as(kind, at, call, error) {
            None => {}
            Some((_, error)) if self.slots[at].started.is_some() => self.give_up(at, error),
            Some((_, error)) => self.settle_failed(at, error),
        }
    }

    /// Puts off a call that may be repeated without a look, where its error lets it be tried
    /// again and the run goes on. What else is to be done, and why, where not.
    pub(super) fn try_again(
        &mut self,
        at: usize,
        call: Call,
        error: ProviderError,
    ) -> Option<(Next, ProviderError)> {
        self.try_again_as(error.kind, at, call, error)
    }

    /// The same, where the error counts as one of this kind.
    fn try_again_as(
        &mut self,
        kind: ErrorKind,
        at: usize,
        call: Call,
        error: ProviderError,
    ) -> Option<(Next, ProviderError)> {
        let limits = (self.run.options.attempts, self.run.options.busy_limit);
        let counted = ProviderError {
            kind,
            ..error.clone()
        };
        let tries = &mut self.slots[at].tries;
        let next = tries.next(Action::Update, &counted, limits, Instant::now());
        if next != Next::Again || self.is_stopping() {
            return Some((next, error));
        }
        let pause = self.backoff(at, &error);
        self.pause(at, call, pause, error);
        None
    }

    pub(super) fn on_created(
        &mut self,
        at: usize,
        result: Result<Found<Object>, CreateFailed<Object>>,
    ) {
        let (found, error) = match result {
            Ok(found) => (found, None),
            Err(CreateFailed {
                error,
                partial: Some(found),
            }) => (found, Some(error)),
            Err(CreateFailed {
                error,
                partial: None,
            }) => return self.on_error(at, error),
        };
        self.record_made(at, found);
        match error {
            Some(error) => self.failed(at, error),
            None => self.judge_readiness(at),
        }
    }

    /// Writes down that the step's create made this.
    pub(super) fn record_made(&mut self, at: usize, found: Found<Object>) {
        let step = self.step(at);
        let record = Recorded {
            address: step.address.clone(),
            id: found.id,
            args: self.slots[at].args.clone(),
            attrs: attrs::merge_new(&found.attrs),
            meta: step.meta.clone(),
            depends_on: step.depends_on.clone(),
            status: Status::Tainted,
            created_at: found.created_at.unwrap_or_else(|| self.run.clock.now()),
            operations: BTreeSet::new(),
            version: 0,
        };
        self.log(JournalEvent::Created {
            step: step.id,
            record: record.clone(),
        });
        self.slots[at].record = Some(record);
    }

    pub(super) fn on_updated(&mut self, at: usize, attrs: &Object) {
        let step = self.step(at);
        let info = match self.entry(at) {
            Ok(entry) => entry.info,
            Err(error) => return self.doubt(at, error),
        };
        let Some(record) = self.live(at).cloned() else {
            let error = ProviderError::new(ErrorKind::Bug, "its record is gone");
            return self.doubt(at, error);
        };
        self.slots[at].record = Some(Recorded {
            args: self.slots[at].args.clone(),
            attrs: attrs::merge(info, &record.attrs, attrs),
            meta: step.meta.clone(),
            depends_on: step.depends_on.clone(),
            ..record
        });
        self.judge_readiness(at);
    }

    /// The record's attributes say whether the step is done, must wait, or failed.
    pub(super) fn judge_readiness(&mut self, at: usize) {
        let Some(record) = &self.slots[at].record else {
            return;
        };
        let readiness = self
            .entry(at)
            .and_then(|entry| entry.observe.readiness(&record.attrs));
        match readiness {
            Ok(Readiness::Ready) => {
                let record = self.slots[at].record.take().map(|record| Recorded {
                    status: Status::Ready,
                    ..record
                });
                self.succeeded(at, record);
            }
            Ok(Readiness::Waiting(why)) => self.keep_waiting(at, why),
            Ok(Readiness::Failed(why)) => {
                let error = ProviderError::new(ErrorKind::Failed, why)
                    .help("it is recorded as tainted; the next apply replaces it");
                self.failed(at, error);
            }
            Err(error) => self.failed(at, error),
        }
    }

    /// A changing call failed without leaving anything we know of.
    pub(super) fn on_error(&mut self, at: usize, error: ProviderError) {
        let limits = (self.run.options.attempts, self.run.options.busy_limit);
        let action = self.step(at).action;
        let next = self.slots[at]
            .tries
            .next(action, &error, limits, Instant::now());
        let next = match next {
            Next::Look if !self.run.options.discipline.keeps(Rule::LookBeforeRetry) => Next::Again,
            next => next,
        };
        self.slots[at].last_error = Some(error.clone());
        match next {
            Next::Fail => self.failed(at, error),
            Next::Doubt => self.doubt(at, error),
            Next::Again if self.is_stopping() => self.give_up(at, error),
            Next::Again => {
                let pause = self.backoff(at, &error);
                self.pause(at, Call::Change, pause, error);
            }
            Next::Look if self.is_stopping() && !self.slots[at].tries.unknown => {
                // It is known that nothing was done.
                self.not_called(at);
            }
            Next::Look if self.is_stopping() => {
                // One look more tells whether it happened; it changes nothing.
                self.take_place(at);
                self.start(at, Call::Relook { earlier: 1 });
            }
            Next::Look => {
                let pause = self.run.options.paced(FIRST_LOOK);
                self.pause(at, Call::Relook { earlier: 0 }, pause, error);
            }
        }
    }

    /// Ends a started step whose call is not repeated: nothing was done, or nobody knows, or what
    /// it made was adopted and is not all that was asked for.
    pub(super) fn give_up(&mut self, at: usize, error: ProviderError) {
        if self.step(at).action == Action::Operate {
            self.leave_operation(at, error);
        } else if let Some(record) = self.slots[at].record.take() {
            let error = self.slots[at].tries.told(error, Instant::now());
            self.left(
                at,
                Some(record),
                error.help("the next apply does what is left"),
            );
        } else if self.slots[at].tries.unknown {
            self.doubt(at, error);
        } else {
            self.failed(at, error);
        }
    }

    pub(super) fn refused(&mut self, at: usize, error: ProviderError) {
        self.release(at);
        self.failed(at, error);
    }

    /// Takes a place among the calls without asking whether one is free: the step just gave its
    /// own back.
    pub(super) fn take_place(&mut self, at: usize) {
        self.calls += 1;
        let kind = self.step(at).address.kind();
        self.queue.take(kind);
    }

    pub(super) fn backoff(&mut self, at: usize, error: &ProviderError) -> Duration {
        let tried = self.slots[at].tries.count();
        let options = self.run.options;
        let bounds = (options.paced(PAUSES.0), options.paced(PAUSES.1));
        self.jitter.pause(tried, bounds, error.retry_after)
    }

    pub(super) fn pause(&mut self, at: usize, call: Call, pause: Duration, why: ProviderError) {
        self.slots[at].state = State::Pausing(call);
        self.slots[at].last_error = Some(why.clone());
        let event = Event::PutOff {
            at: self.step_ref(at),
            pause,
            why,
        };
        self.emit(event);
        self.at(Instant::now() + pause, Message::Woke(at));
    }

    /// Whether what the step waits for was interrupted and has not been seen working since.
    pub(super) fn is_interrupted(&self, at: usize) -> bool {
        let Some(record) = &self.slots[at].record else {
            return false;
        };
        self.entry(at)
            .and_then(|entry| entry.observe.is_interrupted(&record.attrs))
            .unwrap_or_default()
    }

    /// The step failed, and we know what exists: for a create, or for waiting for what an earlier
    /// one made, what is left is on record as tainted, but for what worked before it was
    /// interrupted, which is waited for again; for an update, the record keeps the old arguments,
    /// so that the next plan shows what is left to do.
    pub(super) fn failed(&mut self, at: usize, error: ProviderError) {
        let error = self.slots[at].tries.told(error, Instant::now());
        let step = self.step(at);
        let is_remade = self
            .entry(at)
            .map_or(true, |entry| entry.observe.is_remade());
        let status = if self.is_interrupted(at) || !is_remade {
            Status::Unfinished
        } else {
            Status::Tainted
        };
        let record = self.slots[at]
            .record
            .take()
            .filter(|_| step.action == Action::Create || step.only_waits())
            .map(|record| Recorded { status, ..record });
        self.log(JournalEvent::Failed {
            step: step.id,
            address: step.address.clone(),
            error: StoredError::from(&error),
            record,
        });
        self.slots[at].state = State::Recording;
        self.then(After::Failed(at, error));
    }

    pub(super) fn doubt(&mut self, at: usize, error: ProviderError) {
        let mut error = self.slots[at].tries.told(error, Instant::now());
        let step = self.step(at);
        error.help.get_or_insert_with(|| {
            let next = match step.action {
                Action::Create => "looks for it before it does anything else",
                _ => "reads what exists and does what is left",
            };
            format!("it is recorded as in doubt: the next apply {next}")
        });
        self.log(JournalEvent::InDoubt {
            step: step.id,
            address: step.address.clone(),
            error: StoredError::from(&error),
        });
        self.slots[at].state = State::Recording;
        self.then(After::Doubt(at, error));
    }

    pub(super) fn succeeded(&mut self, at: usize, record: Option<Recorded>) {
        let step = self.step(at);
        self.log(JournalEvent::Succeeded {
            step: step.id,
            address: step.address.clone(),
            record,
        });
        self.slots[at].state = State::Recording;
        self.then(After::Done(at));
    }
}

/// What became of a create is as open as before, although it was looked for.
fn not_found_again(mut error: ProviderError, looks: u32) -> ProviderError {
    let times = if looks == 1 {
        "once".to_owned()
    } else {
        format!("{looks} times")
    };
    error.message = format!("{}; looked for it {times} and found nothing", error.message);
    error
}
