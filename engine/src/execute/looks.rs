//! Looks before creates: who could be created next of a kind is looked for together, where the
//! kind can answer for all from one list.
//!
//! What a look must know: every id that exists when the create is sent and could be mistaken for
//! its fruit. Those are the ids that `find` gives, written into `Started` as `seen`, and those the
//! state knows. What appears between the look and the create is neither, and comes from
//!
//! - this run: it is on record once it is answered, and before that its create is a rival, which
//!   a relook asks after ([`super::adopt`]);
//! - somebody else: an old look tells no more about them than none. A look as old as
//!   [`VALID`] leaves nothing open that a look just before the create would not: adoption takes
//!   what was created up to that long before the create anyhow, because clocks differ.

use super::adopt::{self, SKEW_MILLIS};
use super::dispatch::{Call, Dispatcher, Message, State};
use kplan_model::{Action, Address, FoundAs, FoundOrNot, Object, RemoteId, Wanted};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a look serves. See above why not longer; with 240 creates a minute it is the price of
/// one list for 240 creates.
const VALID: Duration = Duration::from_millis(SKEW_MILLIS.unsigned_abs());

/// What is known about what exists before a create.
#[derive(Clone, Debug, Default)]
pub(super) enum Look {
    /// Nothing.
    #[default]
    No,
    /// It was asked for together with others.
    Asked,
    /// These ids, by a look that began then.
    Seen(Instant, Vec<(RemoteId, FoundAs)>),
}

impl Dispatcher<'_> {
    /// The look before a create: the one that was made for it together with others, or one more.
    pub(super) fn look_before(&mut self, at: usize) {
        self.slots[at].state = State::Running(Call::Look);
        match &self.slots[at].look {
            Look::Asked => return,
            Look::Seen(began, ids) if began.elapsed() < VALID && !self.has_stranger(at, ids) => {
                let ids = ids.clone();
                self.release(at);
                return self.on_first_look(at, ids);
            }
            Look::No | Look::Seen(..) => {}
        }
        let together = self.entry(at).is_ok_and(|entry| entry.observe.finds_all());
        if together {
            self.look_for_all(at);
        } else {
            self.look(at);
        }
    }

    /// Whether the state does not know one of these.
    fn has_stranger(&self, at: usize, ids: &[(RemoteId, FoundAs)]) -> bool {
        let kind = self.step(at).address.kind();
        let mut asked = ids.iter().filter(|(_, role)| *role == FoundAs::Asked);
        asked.any(|(id, _)| !adopt::is_known(&self.snapshot, kind, id))
    }

    /// Looks for the step at `at` and for every other create of its kind that could start now.
    fn look_for_all(&mut self, at: usize) {
        let kind = self.step(at).address.kind();
        let mut steps = vec![at];
        for other in self.queue.of(kind) {
            if self.may_come_along(other) && self.prepare(other).is_ok() {
                steps.push(other);
            }
        }
        let observe = match self.entry(at) {
            Ok(entry) => Arc::clone(&entry.observe),
            Err(error) => return self.on_looked(at, Err(error)),
        };
        let asked: Vec<(Address, Object)> = steps
            .iter()
            .map(|at| (self.step(*at).address.clone(), self.slots[*at].args.clone()))
            .collect();
        for at in &steps {
            self.slots[*at].look = Look::Asked;
        }
        let (owner, began) = (self.snapshot.owner.clone(), Instant::now());
        self.flights.push(Box::pin(async move {
            let wanted: Vec<_> = asked
                .iter()
                .map(|(address, args)| Wanted {
                    owner: &owner,
                    address,
                    args,
                })
                .collect();
            let found = observe.find_all(&wanted).await;
            Message::LookedForAll(steps, began, found)
        }));
    }

    /// A create that only waits for its turn, and has no look.
    fn may_come_along(&self, at: usize) -> bool {
        let (step, slot) = (self.step(at), &self.slots[at]);
        step.action == Action::Create
            && step.goes_with.is_none()
            && matches!(slot.state, State::Queued(Call::Begin | Call::Look))
            && match &slot.look {
                Look::No => true,
                Look::Asked => false,
                Look::Seen(began, _) => began.elapsed() >= VALID,
            }
    }

    pub(super) fn on_looked_for_all(
        &mut self,
        steps: Vec<usize>,
        began: Instant,
        found: Vec<FoundOrNot<Object>>,
    ) {
        for (at, found) in steps.into_iter().zip(found) {
            self.slots[at].look = match &found {
                Ok(found) => Look::Seen(began, adopt::looked_at(found)),
                // Who waits for it hears of the failure; the others look when it is their turn.
                Err(_) => Look::No,
            };
            if matches!(self.slots[at].state, State::Running(Call::Look)) {
                self.on_looked(at, found);
            }
        }
    }
}
