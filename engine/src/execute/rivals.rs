//! Rivals: other creates of this run whose fruit a look for a lost create may find.

use super::adopt;
use super::dispatch::{Call, Dispatcher, State};
use super::settle::interrupted;
use kplan_model::{ErrorKind, KindInfo, ProviderError, RemoteId};

/// The rivals of one lost create.
#[derive(Debug, Default)]
pub(super) struct Rivals {
    /// Whether one of them waits for its answer.
    pub(super) in_flight: bool,
    /// What creates of its kind were answered with, as far as the state does not know it yet.
    pub(super) taken: Vec<RemoteId>,
    /// Lost creates of exactly the same.
    pub(super) twins: usize,
}

impl Dispatcher<'_> {
    /// The rivals of the lost create at `at`.
    pub(super) fn rivals(&self, at: usize, info: &KindInfo) -> Rivals {
        let mut rivals = Rivals::default();
        let args = &self.slots[at].args;
        let of_kind = self.creates.get(&info.kind).into_iter().flatten();
        for other in of_kind.copied().filter(|other| *other != at) {
            let slot = &self.slots[other];
            rivals
                .taken
                .extend(slot.record.as_ref().map(|record| record.id.clone()));
            if slot.started.is_none() || !adopt::are_rivals(info, args, &slot.args) {
                continue;
            }
            match slot.state {
                State::Running(Call::Change) => rivals.in_flight = true,
                State::Running(Call::Relook { .. })
                | State::Queued(Call::Relook { .. })
                | State::Pausing(Call::Relook { .. })
                    if slot.args == *args =>
                {
                    rivals.twins += 1;
                }
                _ => {}
            }
        }
        rivals
    }

    /// Looks again a little later. Ends, because every call in flight does: its transport gives
    /// up on an answer after a minute.
    pub(super) fn after_rivals(&mut self, at: usize, earlier: u32) {
        let why = self.slots[at].last_error.clone().unwrap_or_else(|| {
            ProviderError::new(ErrorKind::OutcomeUnknown, "the answer was lost")
        });
        if self.is_stopping() {
            return self.doubt(at, interrupted());
        }
        let pause = self.run.options.paced(super::answers::FIRST_LOOK);
        self.pause(at, Call::Relook { earlier }, pause, why);
    }
}
