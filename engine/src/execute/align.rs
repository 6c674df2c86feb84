//! Align: what a lost create made is adopted, and brought in line with what was asked for. A create
//! that takes more than one request may have been cut off between them (a project without its
//! members, a bucket without its rules): it is read, and what is missing is set, before it counts
//! as made.

use super::dispatch::{After, Call, Dispatcher, Message, State};
use super::retry::Tries;
use crate::attrs;
use crate::observe::read_one;
use kplan_model::{ErrorKind, Found, Object, ProviderError, Recorded};
use std::sync::Arc;

impl Dispatcher<'_> {
    /// Records what a look found to be the fruit of the step's create, and reads it.
    pub(super) fn adopt(&mut self, at: usize, found: Found<Object>) {
        self.record_made(at, found);
        // The create is settled: what follows is tried by its own count.
        self.slots[at].tries = Tries::default();
        self.slots[at].last_error = None;
        if self.is_stopping() {
            return self.give_up(at, super::settle::interrupted());
        }
        self.take_place(at);
        self.start(at, Call::Inspect);
    }

    /// Reads what was adopted: a list may show less than there is.
    pub(super) fn inspect(&mut self, at: usize) {
        let known = self.slots[at].record.as_ref().map(Recorded::known);
        let (Ok(entry), Some(known)) = (self.entry(at), known) else {
            self.release(at);
            return self.judge_readiness(at);
        };
        let observe = Arc::clone(&entry.observe);
        self.flights.push(Box::pin(async move {
            Message::Inspected(at, read_one(observe.as_ref(), &known).await)
        }));
    }

    pub(super) fn on_inspected(
        &mut self,
        at: usize,
        result: Result<Option<Object>, ProviderError>,
    ) {
        self.release(at);
        match result {
            Ok(Some(attrs)) => {
                self.see(at, &attrs);
                self.align_or_go_on(at);
            }
            // A list showed it a moment ago: a read may lag behind that.
            Ok(None) => {
                let message = "it was found in a list and cannot be read yet";
                let error = ProviderError::new(ErrorKind::Transient, message);
                self.on_not_aligned(at, Call::Inspect, error);
            }
            Err(error) => self.on_not_aligned(at, Call::Inspect, error),
        }
    }

    fn align_or_go_on(&mut self, at: usize) {
        match self.unaligned(at) {
            _ if self.is_stopping() => self.give_up(at, super::settle::interrupted()),
            Some(fields) if !fields.is_empty() => {
                self.slots[at].state = State::Recording;
                self.take_place(at);
                self.then(After::Align(at));
            }
            _ => self.judge_readiness(at),
        }
    }

    fn unaligned(&self, at: usize) -> Option<kplan_model::FieldSet> {
        let info = self.entry(at).ok()?.info;
        let record = self.slots[at].record.as_ref()?;
        Some(attrs::unaligned(info, &record.args, &record.attrs))
    }

    /// Sets what the create did not come to. The record of what it made is durable.
    pub(super) fn align(&mut self, at: usize) {
        self.slots[at].state = State::Running(Call::Align);
        if !self.may_change() {
            self.lost(After::Align(at));
            return self.stop_waiting();
        }
        let record = self.slots[at].record.as_ref();
        let known = record.map(|record| (record.known(), record.args.clone()));
        let permit = self.approved.permit(self.step(at).id);
        let (Ok(entry), Some(permit), Some((known, args)), Some(changed)) =
            (self.entry(at), permit, known, self.unaligned(at))
        else {
            self.release(at);
            return self.judge_readiness(at);
        };
        let mutate = Arc::clone(&entry.mutate);
        self.flights.push(Box::pin(async move {
            let result = mutate.update(&known, &args, &changed, &permit).await;
            Message::Aligned(at, result)
        }));
    }

    pub(super) fn on_aligned(&mut self, at: usize, result: Result<Object, ProviderError>) {
        self.release(at);
        match result {
            Ok(attrs) => {
                self.see(at, &attrs);
                self.judge_readiness(at);
            }
            Err(error) => self.on_not_aligned(at, Call::Align, error),
        }
    }

    /// Tries again, or leaves it as it is: on record, with what is missing for the next plan.
    fn on_not_aligned(&mut self, at: usize, call: Call, error: ProviderError) {
        if let Some((_, error)) = self.try_again(at, call, error) {
            self.give_up(at, error);
        }
    }
}
