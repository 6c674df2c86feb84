//! One step's calls: what is called next, with what.

use super::dispatch::{After, Call, Dispatcher, Message, State};
use super::looks::Look;
use super::resolve::resolve;
use crate::event::Event;
use kplan_model::{
    Action, Entry, ErrorKind, JournalEvent, Permit, ProviderError, Recorded, Status, Wanted,
};
use std::sync::Arc;
use tokio::time::Instant;

impl Dispatcher<'_> {
    /// Runs a step's next call. It holds one of the places for calls until [`Self::release`].
    pub(super) fn start(&mut self, at: usize, call: Call) {
        self.slots[at].state = State::Running(call);
        match call {
            Call::Begin => self.begin(at),
            Call::Look => self.look_before(at),
            Call::Relook { .. } => self.look(at),
            Call::Change => self.change(at),
            Call::Inspect => self.inspect(at),
            Call::Align => self.align(at),
        }
    }

    pub(super) fn begin(&mut self, at: usize) {
        let step = self.step(at);
        self.slots[at].began = Some(Instant::now());
        let started = Event::StepStarted {
            at: self.step_ref(at),
            id: step
                .remote()
                .filter(|_| step.action != Action::Create)
                .cloned(),
        };
        self.emit(started);
        if let Err(error) = self.prepare(at) {
            self.release(at);
            self.settle_failed(at, error);
            return;
        }
        let no_call = match step.action {
            Action::Record => true,
            Action::Forget => !self.is_marked(at),
            _ => step.goes_with.is_some(),
        };
        if no_call {
            self.record_only(at);
        } else if step.only_waits() {
            self.wait_only(at);
        } else if step.action == Action::Create {
            self.start(at, Call::Look);
        } else {
            self.log_started(at);
            self.slots[at].state = State::Recording;
            self.then(After::Call(at));
        }
    }

    /// Fills the arguments, and checks that the state is still as planned.
    pub(super) fn prepare(&mut self, at: usize) -> Result<(), ProviderError> {
        let step = self.step(at);
        if self.snapshot.in_doubt.contains_key(&step.address) {
            let message = "an earlier run left it in doubt";
            return Err(ProviderError::new(ErrorKind::Busy, message).help("apply again"));
        }
        let replaced = step.action == Action::Create && step.before.is_some();
        if step.action != Action::Create && self.live(at).is_none() {
            let message = "it is no longer on record as it was planned";
            return Err(ProviderError::new(ErrorKind::Invalid, message).help("plan again"));
        }
        let occupied = self.snapshot.resources.contains_key(&step.address);
        if step.action == Action::Create && !replaced && occupied {
            let message = "it is on record already";
            return Err(ProviderError::new(ErrorKind::Exists, message).help("plan again"));
        }
        if let Some(args) = &step.args {
            let args = resolve(args, &self.snapshot)?;
            if self.slots[at].args != args {
                // What was looked for is not what will be made.
                self.slots[at].look = Look::No;
                self.slots[at].args = args;
            }
        }
        Ok(())
    }

    /// The record a step acts on: the current one or a deposed one, by remote id.
    pub(super) fn live(&self, at: usize) -> Option<&Recorded> {
        let step = self.step(at);
        let id = step.remote()?;
        let current = self.snapshot.resources.get(&step.address);
        current
            .into_iter()
            .chain(
                self.snapshot
                    .deposed
                    .iter()
                    .filter(|old| old.address == step.address),
            )
            .find(|record| record.id == *id)
    }

    /// What runs on something that is about to be interrupted does not work until it was seen to
    /// work again. Durable together with `Started`, so that no kill can make anybody forget it.
    fn mark_interrupted(&mut self, at: usize) {
        for on_it in self.settling(at) {
            let Some(record) = self.live(on_it).cloned() else {
                continue;
            };
            let marked = self
                .entry(on_it)
                .and_then(|entry| entry.observe.interrupted(&record.attrs));
            let record = Recorded {
                // What cannot be read is waited for as it is.
                attrs: marked.unwrap_or_else(|_| record.attrs.clone()),
                status: Status::Unfinished,
                ..record
            };
            self.log(JournalEvent::Refreshed { record });
        }
    }

    pub(super) fn log_started(&mut self, at: usize) {
        self.mark_interrupted(at);
        if self.step(at).action == Action::Operate {
            return self.log_operation(at);
        }
        let step = self.step(at);
        let slot = &mut self.slots[at];
        slot.started = Some(self.run.clock.now());
        let event = JournalEvent::Started {
            step: step.id,
            address: step.address.clone(),
            action: step.action,
            args: slot.args.clone(),
            meta: step.meta.clone(),
            depends_on: step.depends_on.clone(),
            id: step
                .remote()
                .filter(|_| step.action != Action::Create)
                .cloned(),
            seen: slot.seen.clone(),
        };
        self.log(event);
    }

    /// Steps that touch nothing but the state.
    pub(super) fn record_only(&mut self, at: usize) {
        let step = self.step(at);
        let record = match step.action {
            Action::Record => self.live(at).cloned().map(|record| Recorded {
                args: self.slots[at].args.clone(),
                meta: step.meta.clone(),
                depends_on: step.depends_on.clone(),
                ..record
            }),
            _ => None,
        };
        self.log_started(at);
        self.log(JournalEvent::Succeeded {
            step: step.id,
            address: step.address.clone(),
            record,
        });
        self.release(at);
        self.slots[at].state = State::Recording;
        self.then(After::Done(at));
    }

    /// A step that calls nothing and waits: until what an earlier run made is ready, or until what
    /// was interrupted works again.
    pub(super) fn wait_only(&mut self, at: usize) {
        let Some(record) = self.live(at).cloned() else {
            let error = ProviderError::new(ErrorKind::Bug, "its record is gone");
            self.release(at);
            return self.settle_failed(at, error);
        };
        let step = self.step(at);
        self.log_started(at);
        self.slots[at].record = Some(Recorded {
            args: self.slots[at].args.clone(),
            meta: step.meta.clone(),
            depends_on: step.depends_on.clone(),
            ..record
        });
        self.release(at);
        self.slots[at].state = State::Recording;
        self.then(After::Wait(at));
    }

    pub(super) fn entry(&self, at: usize) -> Result<&Entry, ProviderError> {
        let kind = self.step(at).address.kind();
        self.run
            .registry
            .get(kind)
            .ok_or_else(|| ProviderError::new(ErrorKind::Bug, format!("no provider knows {kind}")))
    }

    pub(super) fn is_gone_at_once(&self, at: usize) -> bool {
        self.entry(at)
            .is_ok_and(|entry| entry.observe.gone_at_once())
    }

    fn is_marked(&self, at: usize) -> bool {
        self.entry(at).is_ok_and(|entry| entry.observe.is_marked())
    }

    pub(super) fn look(&mut self, at: usize) {
        let observe = match self.entry(at) {
            Ok(entry) => Arc::clone(&entry.observe),
            Err(error) => return self.on_looked(at, Err(error)),
        };
        let owner = self.snapshot.owner.clone();
        let address = self.step(at).address.clone();
        let args = self.slots[at].args.clone();
        self.flights.push(Box::pin(async move {
            let wanted = Wanted {
                owner: &owner,
                address: &address,
                args: &args,
            };
            Message::Looked(at, observe.find(wanted).await)
        }));
    }

    /// The changing call. Its `Started` is durable.
    pub(super) fn change(&mut self, at: usize) {
        self.slots[at].state = State::Running(Call::Change);
        if !self.may_change() {
            self.lost(After::Call(at));
            return self.stop_waiting();
        }
        let step = self.step(at);
        let (entry, permit) = match (self.entry(at), self.approved.permit(step.id)) {
            (Ok(entry), Some(permit)) => (entry.clone(), permit),
            (Err(error), _) => return self.refused(at, error),
            (_, None) => {
                let error = ProviderError::new(ErrorKind::Bug, "the plan has no such step");
                return self.refused(at, error);
            }
        };
        match step.action {
            Action::Create => self.create(at, entry, permit),
            Action::Update => self.update(at, entry, permit),
            Action::Operate => self.operate(at, &entry, permit),
            Action::Forget => self.disown(at, entry, permit),
            Action::Delete | Action::Record => self.delete(at, entry, permit),
        }
    }

    pub(super) fn create(&mut self, at: usize, entry: Entry, permit: Permit) {
        let owner = self.snapshot.owner.clone();
        let address = self.step(at).address.clone();
        let args = self.slots[at].args.clone();
        self.flights.push(Box::pin(async move {
            let wanted = Wanted {
                owner: &owner,
                address: &address,
                args: &args,
            };
            Message::Created(at, entry.mutate.create(wanted, &permit).await)
        }));
    }

    pub(super) fn update(&mut self, at: usize, entry: Entry, permit: Permit) {
        let Some(known) = self.live(at).map(Recorded::known) else {
            let error = ProviderError::new(ErrorKind::Bug, "its record is gone");
            return self.refused(at, error);
        };
        let args = self.slots[at].args.clone();
        let changed = self.step(at).changed();
        self.flights.push(Box::pin(async move {
            let result = entry.mutate.update(&known, &args, &changed, &permit).await;
            Message::Updated(at, result)
        }));
    }

    pub(super) fn delete(&mut self, at: usize, entry: Entry, permit: Permit) {
        let Some(known) = self.live(at).map(Recorded::known) else {
            let error = ProviderError::new(ErrorKind::Bug, "its record is gone");
            return self.refused(at, error);
        };
        self.flights.push(Box::pin(async move {
            Message::Deleted(at, entry.mutate.delete(&known, &permit).await)
        }));
    }

    /// What leaves the record and stays loses the owner's mark.
    fn disown(&mut self, at: usize, entry: Entry, permit: Permit) {
        let Some(known) = self.live(at).map(Recorded::known) else {
            let error = ProviderError::new(ErrorKind::Bug, "its record is gone");
            return self.refused(at, error);
        };
        self.flights.push(Box::pin(async move {
            Message::Released(at, entry.mutate.release(&known, &permit).await)
        }));
    }
}
