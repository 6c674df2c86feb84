//! The dispatcher: the one loop that owns a run's state.

use super::cancel::Level;
use super::discipline::Rule;
use super::hub::Hub;
use super::looks::Look;
use super::report::WhyNotStarted;
use super::retry::Tries;
use super::schedule::{Queue, remaining_paths, requirements};
use super::{Outcome, Run};
use crate::backoff::Jitter;
use crate::event::{Event, StepRef};
use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use kplan_model::{
    Action, Address, ApprovedPlan, BoxFuture, CreateFailed, Found, FoundOrNot, Journal,
    JournalEntry, JournalError, JournalEvent, Kind, Object, Plan, ProviderError, Readiness, Reason,
    Recorded, RemoteId, Snapshot, Step, Timestamp,
};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How many messages are handled before their journal entries are written, at most.
const BATCH: usize = 256;

/// What a future of the run came to.
pub(super) enum Message {
    /// A look before or after a create.
    Looked(usize, Result<Vec<Found<Object>>, ProviderError>),
    /// One look before creates, for these steps; it began then.
    LookedForAll(Vec<usize>, Instant, Vec<FoundOrNot<Object>>),
    /// A create.
    Created(usize, Result<Found<Object>, CreateFailed<Object>>),
    /// An update.
    Updated(usize, Result<Object, ProviderError>),
    /// A read of what was adopted.
    Inspected(usize, Result<Option<Object>, ProviderError>),
    /// An update of what was adopted.
    Aligned(usize, Result<Object, ProviderError>),
    /// A turn of an operation.
    Operated(usize, Result<Readiness, ProviderError>),
    /// A delete.
    Deleted(usize, Result<(), ProviderError>),
    /// One that leaves the record and stays is nobody's any more.
    Released(usize, Result<(), ProviderError>),
    /// A single read of a waiter.
    Read(usize, Result<Option<Object>, ProviderError>),
    /// A step's pause is over.
    Woke(usize),
    /// It may be time to poll the kind.
    PollDue(Kind),
    /// A poll that began then.
    Polled(
        Kind,
        Instant,
        Result<BTreeMap<RemoteId, Object>, ProviderError>,
    ),
}

/// Where a step stands.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// Steps before it are not done.
    Waiting,
    /// It could run; the next call is this.
    Queued(Call),
    /// The call is in flight.
    Running(Call),
    /// The call is put off.
    Pausing(Call),
    /// Its result is being written down.
    Recording,
    /// It waits until the resource is ready or gone.
    Polling,
    /// It is done.
    Done,
    /// It failed.
    Failed(ProviderError),
    /// Nobody knows.
    Doubt(ProviderError),
    /// It was done, but is not known to be ready.
    Unfinished(ProviderError),
    /// It was not started.
    NotStarted(WhyNotStarted),
}

/// A step's next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// Nothing was called yet.
    Begin,
    /// Look before a create.
    Look,
    /// The changing call.
    Change,
    /// Look for the fruit of a create whose answer was lost.
    Relook {
        /// How many looks came before, since the last create.
        earlier: u32,
    },
    /// Read what was adopted.
    Inspect,
    /// Bring what was adopted in line with what was asked for.
    Align,
}

/// A step at run time.
pub(super) struct Slot {
    pub(super) state: State,
    /// How many steps before it are not done.
    pub(super) missing: usize,
    /// How many steps before it have calls to make.
    pub(super) unsent: usize,
    /// Whether it has no call to make any more: it waits or is done.
    pub(super) sent: bool,
    /// The steps that require it.
    pub(super) dependents: Vec<usize>,
    /// Seconds that it and the longest chain behind it are expected to take.
    pub(super) remaining: u64,
    /// Its arguments, filled.
    pub(super) args: Object,
    /// What a look before the create saw, before it is started.
    pub(super) look: Look,
    /// Ids seen before the create.
    pub(super) seen: Vec<RemoteId>,
    /// Whether `Started` is durable, and since when.
    pub(super) started: Option<Timestamp>,
    pub(super) began: Option<Instant>,
    pub(super) tries: Tries,
    pub(super) last_error: Option<ProviderError>,
    /// What will be on record once it is ready.
    pub(super) record: Option<Recorded>,
    pub(super) seconds: f64,
}

/// What happens once the journal entries of this turn are durable.
pub(super) enum After {
    Call(usize),
    Align(usize),
    Wait(usize),
    Done(usize),
    Failed(usize, ProviderError),
    Doubt(usize, ProviderError),
    Unfinished(usize, ProviderError),
    NotStarted(usize),
}

pub(super) struct Dispatcher<'a> {
    pub(super) run: Run<'a>,
    pub(super) approved: &'a ApprovedPlan,
    pub(super) plan: &'a Plan,
    pub(super) snapshot: Snapshot,
    journal: &'a mut dyn Journal,
    events: &'a mut (dyn FnMut(Event) + Send),
    pub(super) slots: Vec<Slot>,
    /// By the resource that is interrupted: the steps that wait until it is back.
    settling: BTreeMap<&'a Address, Vec<usize>>,
    /// By kind: the steps that create, in order.
    pub(super) creates: BTreeMap<&'a Kind, Vec<usize>>,
    pub(super) queue: Queue,
    pub(super) hub: Hub,
    pub(super) flights: FuturesUnordered<BoxFuture<'static, Message>>,
    /// Calls in flight; timers and polls are not among them.
    pub(super) calls: usize,
    /// Whether there were calls in flight or to be made, a turn ago.
    pub(super) busy: bool,
    pending: Vec<JournalEntry>,
    /// `Started` entries that are not written before their calls; always empty in a run that
    /// keeps [`Rule::WriteAhead`].
    held_back: Vec<JournalEntry>,
    after: Vec<After>,
    pub(super) level: Level,
    pub(super) broken: Option<JournalError>,
    pub(super) jitter: Jitter,
    pub(super) begun: Instant,
}

impl<'a> Dispatcher<'a> {
    pub(super) fn new(
        run: Run<'a>,
        approved: &'a ApprovedPlan,
        snapshot: Snapshot,
        journal: &'a mut dyn Journal,
        events: &'a mut (dyn FnMut(Event) + Send),
    ) -> Self {
        let plan = approved.plan();
        Self {
            run,
            approved,
            plan,
            snapshot,
            journal,
            events,
            slots: slots(plan, &remaining_paths(plan, run.registry)),
            settling: settling(plan),
            creates: creates(plan),
            queue: Queue::default(),
            hub: Hub::default(),
            flights: FuturesUnordered::new(),
            calls: 0,
            busy: false,
            pending: Vec::new(),
            held_back: Vec::new(),
            after: Vec::new(),
            level: Level::None,
            broken: None,
            jitter: Jitter::new(run.options.seed),
            begun: Instant::now(),
        }
    }

    /// Runs to the end, whatever the end is.
    pub(super) async fn run(mut self) -> Outcome {
        self.open();
        loop {
            // What happened and what starts share a batch; what becomes durable by it may let
            // more start at once.
            while self.start_what_can() | self.flush() {}
            self.hurry();
            // Without a future in flight nothing can ever happen again.
            if self.is_over() || self.flights.is_empty() {
                break;
            }
            tokio::select! {
                biased;
                level = self.run.cancel.harder_than(self.level) => self.on_cancel(level),
                Some(message) = self.flights.next() => self.on(message),
            }
            // What else is there already shares the next batch of journal entries.
            for _ in 0..BATCH {
                let Some(Some(message)) = self.flights.next().now_or_never() else {
                    break;
                };
                self.on(message);
            }
        }
        self.close()
    }

    /// Whether nothing is left that could still be done or found out.
    fn is_over(&self) -> bool {
        if !self.pending.is_empty() || !self.after.is_empty() {
            return false;
        }
        if self.level == Level::Hard {
            return true;
        }
        if self.is_stopping() {
            return self.calls == 0;
        }
        let idle = |slot: &Slot| {
            !matches!(
                slot.state,
                State::Queued(_) | State::Running(_) | State::Pausing(_) | State::Recording
            )
        };
        self.calls == 0 && self.hub.is_empty() && self.slots.iter().all(idle)
    }

    /// Whether nothing new may start.
    pub(super) fn is_stopping(&self) -> bool {
        self.level > Level::None || self.broken.is_some()
    }

    fn open(&mut self) {
        let mode = self.plan.mode;
        self.emit(Event::RunStarted {
            mode,
            steps: self.plan.steps.len(),
        });
        self.log(JournalEvent::RunStarted {
            mode,
            approval: self.approved.approval().how.clone(),
            steps: u32::try_from(self.plan.steps.len()).unwrap_or(u32::MAX),
        });
        for record in &self.plan.refreshed {
            self.log(JournalEvent::Refreshed {
                record: record.clone(),
            });
        }
        for address in &self.plan.vanished {
            self.log(JournalEvent::Vanished {
                address: address.clone(),
            });
        }
        for at in 0..self.slots.len() {
            if self.slots[at].missing == 0 {
                self.enqueue(at, Call::Begin);
            }
        }
        // Nothing starts before the opening is durable.
        self.flush();
    }

    /// Starts calls while there is room for them. Whether any was started.
    fn start_what_can(&mut self) -> bool {
        let mut any = false;
        while !self.is_stopping() && self.calls < self.run.options.parallelism.max(1) {
            let Some(at) = self.queue.pop(self.run.registry) else {
                break;
            };
            self.calls += 1;
            let State::Queued(call) = self.slots[at].state else {
                self.release(at);
                continue;
            };
            self.start(at, call);
            any = true;
        }
        any
    }

    pub(super) fn enqueue(&mut self, at: usize, call: Call) {
        self.slots[at].state = State::Queued(call);
        let kind = self.step(at).address.kind();
        self.queue.push(kind, self.slots[at].remaining, at);
    }

    /// A call ended, or was not needed after all.
    pub(super) fn release(&mut self, at: usize) {
        self.calls = self.calls.saturating_sub(1);
        let kind = self.step(at).address.kind();
        self.queue.release(kind);
    }

    /// The steps that wait until what the step at `at` interrupts is back.
    pub(super) fn settling(&self, at: usize) -> Vec<usize> {
        let step = self.step(at);
        let waiting = self.settling.get(&step.address);
        let waiting = waiting.filter(|_| step.interrupts());
        waiting.cloned().unwrap_or_default()
    }

    pub(super) fn step(&self, at: usize) -> &'a Step {
        &self.plan.steps[at]
    }

    pub(super) fn emit(&mut self, event: Event) {
        (self.events)(event);
    }

    pub(super) fn step_ref(&self, at: usize) -> StepRef {
        let step = self.step(at);
        StepRef {
            step: step.id,
            address: step.address.clone(),
            action: step.action,
            only_waits: step.only_waits(),
            operation: step.operation,
        }
    }

    pub(super) fn elapsed(&self, at: usize) -> Duration {
        let now = Instant::now();
        self.slots[at]
            .began
            .map_or(Duration::ZERO, |began| now.duration_since(began))
    }

    /// Adds a journal entry to this turn's batch.
    pub(super) fn log(&mut self, event: JournalEvent) {
        self.pending.push(JournalEntry {
            run: self.run.options.run.clone(),
            at: self.run.clock.now(),
            event,
        });
    }

    /// Does `after` once this turn's batch is durable.
    pub(super) fn then(&mut self, after: After) {
        self.after.push(after);
    }

    /// Sets a timer.
    pub(super) fn at(&mut self, time: Instant, message: Message) {
        self.flights.push(Box::pin(async move {
            sleep_until(time).await;
            message
        }));
    }

    /// Writes this turn's entries, then does what waited for them; again, until nothing is left.
    /// Whether there was anything.
    pub(super) fn flush(&mut self) -> bool {
        let any = !self.pending.is_empty() || !self.after.is_empty();
        while !self.pending.is_empty() || !self.after.is_empty() {
            let entries = self.due();
            let after = std::mem::take(&mut self.after);
            if let Err(error) = self.append(&entries) {
                self.broken.get_or_insert(error);
                for after in after {
                    self.lost(after);
                }
                self.stop_waiting();
                continue;
            }
            for after in after {
                self.go_on(after);
            }
        }
        any
    }

    /// The entries to write before anything goes on: all of this turn's.
    fn due(&mut self) -> Vec<JournalEntry> {
        let entries = std::mem::take(&mut self.pending);
        if self.run.options.discipline.keeps(Rule::WriteAhead) {
            return entries;
        }
        let (started, mut others): (Vec<_>, Vec<_>) = entries
            .into_iter()
            .partition(|entry| matches!(entry.event, JournalEvent::Started { .. }));
        self.held_back.extend(started);
        if !others.is_empty() {
            others.splice(0..0, std::mem::take(&mut self.held_back));
        }
        others
    }

    /// Whether this run may still change anything. When not, it stops as for a journal that could
    /// not be written.
    pub(super) fn may_change(&mut self) -> bool {
        match self.journal.still_held() {
            Ok(()) => true,
            Err(error) => {
                self.broken.get_or_insert(error);
                false
            }
        }
    }

    fn append(&mut self, entries: &[JournalEntry]) -> Result<(), JournalError> {
        if entries.is_empty() {
            return Ok(());
        }
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        self.journal.append(entries)?;
        for entry in entries {
            self.snapshot.apply(entry);
        }
        Ok(())
    }
}

fn creates(plan: &Plan) -> BTreeMap<&Kind, Vec<usize>> {
    let mut creates: BTreeMap<&Kind, Vec<usize>> = BTreeMap::new();
    for (at, step) in plan.steps.iter().enumerate() {
        if step.action == Action::Create {
            creates.entry(step.address.kind()).or_default().push(at);
        }
    }
    creates
}

fn settling(plan: &Plan) -> BTreeMap<&Address, Vec<usize>> {
    let mut found: BTreeMap<&Address, Vec<usize>> = BTreeMap::new();
    for (at, step) in plan.steps.iter().enumerate() {
        if let Reason::ParentDisrupted(parent) = &step.reason {
            found.entry(parent).or_default().push(at);
        }
    }
    found
}

fn slots(plan: &Plan, remaining: &[u64]) -> Vec<Slot> {
    let mut slots: Vec<Slot> = plan
        .steps
        .iter()
        .zip(remaining)
        .map(|(step, remaining)| Slot {
            state: State::Waiting,
            missing: step.requires.len(),
            unsent: step.requires.len(),
            sent: false,
            dependents: Vec::new(),
            remaining: *remaining,
            args: Object::new(),
            look: Look::No,
            seen: Vec::new(),
            started: None,
            began: None,
            tries: Tries::default(),
            last_error: None,
            record: None,
            seconds: 0.0,
        })
        .collect();
    for (at, step) in plan.steps.iter().enumerate() {
        for first in requirements(step) {
            if let Some(slot) = slots.get_mut(first) {
                slot.dependents.push(at);
            }
        }
    }
    slots
}
