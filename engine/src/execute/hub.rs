//! Waiting: one list call answers for all waiters of a kind, at growing intervals.

use kplan_model::{Kind, Known};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// The shortest interval between two polls of one kind.
const FIRST: Duration = Duration::from_secs(1);
/// The longest.
const CAP: Duration = Duration::from_secs(15);
/// The interval as a share of how long the youngest waiter has waited: waiting overshoots by a
/// twentieth at most.
const SHARE: f64 = 0.05;
/// A poll that fails for good is tried this often before its waiters are given up.
pub(super) const FAILURES: u32 = 3;

/// What a waiter waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// That it can be used.
    Ready,
    /// That it is gone.
    Gone,
}

/// One step that waits.
#[derive(Clone, Debug)]
pub(super) struct Waiter {
    pub(super) known: Known,
    pub(super) purpose: Purpose,
    pub(super) since: Instant,
    /// Whether a read of it alone is under way.
    pub(super) confirming: bool,
}

/// The waiters of one kind.
#[derive(Debug, Default)]
struct Poll {
    waiters: BTreeMap<usize, Waiter>,
    due: Option<Instant>,
    polling: bool,
    failures: u32,
}

/// All waiters.
#[derive(Debug, Default)]
pub(super) struct Hub {
    kinds: BTreeMap<Kind, Poll>,
}

impl Hub {
    pub(super) fn is_empty(&self) -> bool {
        self.kinds.values().all(|poll| poll.waiters.is_empty())
    }

    /// A step begins to wait. Gives the time of a timer to set, where one is needed.
    pub(super) fn add(&mut self, step: usize, waiter: Waiter, pace: f64) -> Option<Instant> {
        let poll = self
            .kinds
            .entry(waiter.known.address.kind().clone())
            .or_default();
        let pause = match waiter.purpose {
            Purpose::Ready => FIRST.mul_f64(pace),
            Purpose::Gone => Duration::ZERO,
        };
        let due = waiter.since + pause;
        poll.waiters.insert(step, waiter);
        poll.arm(due)
    }

    pub(super) fn waiter(&mut self, kind: &Kind, step: usize) -> Option<&mut Waiter> {
        self.kinds.get_mut(kind)?.waiters.get_mut(&step)
    }

    pub(super) fn remove(&mut self, kind: &Kind, step: usize) {
        if let Some(poll) = self.kinds.get_mut(kind) {
            poll.waiters.remove(&step);
        }
    }

    /// Everything that waits, by step; the hub is empty afterwards.
    pub(super) fn drain(&mut self) -> Vec<usize> {
        let polls = std::mem::take(&mut self.kinds).into_values();
        let mut steps: Vec<usize> = polls.flat_map(|poll| poll.waiters.into_keys()).collect();
        steps.sort_unstable();
        steps
    }

    /// A timer rang: what to ask about, if it is time to ask.
    pub(super) fn begin(&mut self, kind: &Kind, now: Instant) -> Option<Vec<Known>> {
        let poll = self.kinds.get_mut(kind)?;
        if poll.polling || poll.due.is_none_or(|due| now < due) {
            return None;
        }
        poll.due = None;
        if poll.waiters.is_empty() {
            return None;
        }
        poll.polling = true;
        Some(
            poll.waiters
                .values()
                .map(|waiter| waiter.known.clone())
                .collect(),
        )
    }

    /// A poll that began at `began` was answered: the steps the answer is about.
    pub(super) fn answered(&mut self, kind: &Kind, began: Instant) -> Vec<usize> {
        let Some(poll) = self.kinds.get_mut(kind) else {
            return Vec::new();
        };
        poll.polling = false;
        poll.failures = 0;
        let asked = poll
            .waiters
            .iter()
            .filter(|(_, waiter)| waiter.since <= began);
        asked.map(|(step, _)| *step).collect()
    }

    /// Every step that waits for something of the kind.
    pub(super) fn all(&self, kind: &Kind) -> Vec<usize> {
        let poll = self.kinds.get(kind);
        poll.map_or_else(Vec::new, |poll| poll.waiters.keys().copied().collect())
    }

    /// A poll failed. After too many failures in a row that trying again cannot help, the
    /// waiters are given up and named.
    pub(super) fn failed(&mut self, kind: &Kind, lasting: bool) -> Vec<usize> {
        let Some(poll) = self.kinds.get_mut(kind) else {
            return Vec::new();
        };
        poll.polling = false;
        poll.failures += u32::from(lasting);
        if poll.failures < FAILURES {
            return Vec::new();
        }
        poll.failures = 0;
        std::mem::take(&mut poll.waiters).into_keys().collect()
    }

    /// The time of the next poll, if anybody still waits and none is set.
    pub(super) fn next(&mut self, kind: &Kind, now: Instant, pace: f64) -> Option<Instant> {
        let poll = self.kinds.get_mut(kind)?;
        let youngest = poll.waiters.values().map(|waiter| waiter.since).max()?;
        let age = now.duration_since(youngest);
        let pause = age
            .mul_f64(SHARE)
            .clamp(FIRST.mul_f64(pace), CAP.mul_f64(pace.max(f64::EPSILON)));
        poll.arm(now + pause)
    }
}

impl Poll {
    /// Sets the time of the next poll, unless an earlier one is set or one is under way.
    fn arm(&mut self, due: Instant) -> Option<Instant> {
        if self.polling || self.due.is_some_and(|set| set <= due) {
            return None;
        }
        self.due = Some(due);
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kplan_model::{Address, Object, RemoteId};

    fn waiter(name: &str, since: Instant) -> Waiter {
        Waiter {
            known: Known {
                address: Address::new(Kind::new("vm"), name),
                id: RemoteId::new(name),
                args: Object::new(),
                attrs: Object::new(),
            },
            purpose: Purpose::Ready,
            since,
            confirming: false,
        }
    }

    #[test]
    fn one_poll_serves_all_waiters_of_a_kind() {
        let mut hub = Hub::default();
        let start = Instant::now();
        let kind = Kind::new("vm");
        let due = hub.add(0, waiter("a", start), 1.0).unwrap();
        assert_eq!(hub.add(1, waiter("b", start), 1.0), None);
        assert_eq!(hub.begin(&kind, start), None);
        assert_eq!(hub.begin(&kind, due).unwrap().len(), 2);
        // A step that begins to wait during the poll is not judged by its answer.
        assert_eq!(hub.add(2, waiter("c", due + FIRST), 1.0), None);
        assert_eq!(hub.answered(&kind, due), [0, 1]);
    }

    #[test]
    fn a_timer_that_rings_for_nobody_does_not_silence_the_next() {
        let mut hub = Hub::default();
        let start = Instant::now();
        let kind = Kind::new("vm");
        let due = hub.add(0, waiter("a", start), 1.0).unwrap();
        hub.remove(&kind, 0);
        assert_eq!(hub.begin(&kind, due), None);
        assert!(hub.add(1, waiter("b", due), 1.0).is_some());
    }

    #[test]
    fn intervals_grow_to_the_cap() {
        let mut hub = Hub::default();
        let start = Instant::now();
        let kind = Kind::new("vm");
        hub.add(0, waiter("a", start), 1.0);
        for (age, pause) in [(2, 1), (100, 5), (10_000, 15)] {
            let now = start + Duration::from_secs(age);
            hub.begin(&kind, now).unwrap();
            hub.answered(&kind, now);
            assert_eq!(
                hub.next(&kind, now, 1.0),
                Some(now + Duration::from_secs(pause))
            );
        }
    }
}
