//! Waiting: one list call answers for all waiters of a kind, at growing intervals.
//!
//! How soon a poll is worth its calls depends on who waits for the answer:
//!
//! | for a waiter of the kind wait | interval |
//! |---|---|
//! | steps that need nothing else but what waits | a twentieth of how long the youngest such waiter has waited |
//! | the end of the run alone | a twentieth of how long the run will have taken, as far as that can be told |
//! | nobody yet, because other calls are still to be made | a minute, so that people see it go on |
//!
//! between one and fifteen seconds but for the last. So no chain of steps takes more than a
//! twentieth longer than its resources do, and polls leave the calls of a scarce budget to work.
//! A poll that took long had to wait for the budget itself: the next one leaves as long a gap.

use kplan_model::{Kind, Known};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// The shortest interval between two polls of one kind.
const FIRST: Duration = Duration::from_secs(1);
/// The longest.
const CAP: Duration = Duration::from_secs(15);
/// The interval as a share of what has been waited: waiting overshoots by a twentieth at most.
const SHARE: f64 = 0.05;
/// The interval while nobody waits for the answer.
const IDLE: Duration = Duration::from_mins(1);
/// So long without any answer, and the waiters are given up.
pub(super) const UNANSWERED: Duration = Duration::from_mins(10);
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
    /// How long that typically takes.
    pub(super) typical: Duration,
    /// Whether a step waits for it that needs nothing else but what waits.
    pub(super) awaited: bool,
    /// Whether a poll asked about it.
    pub(super) asked: bool,
    /// Whether a read of it alone is under way.
    pub(super) confirming: bool,
}

/// The waiters of one kind.
#[derive(Debug, Default)]
struct Poll {
    waiters: BTreeMap<usize, Waiter>,
    due: Option<Instant>,
    polling: bool,
    /// Failed polls since the last answer, and since when.
    failing: Option<Failing>,
    /// How long the last poll took.
    took: Duration,
}

/// Polls that were not answered, one after another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failing {
    /// Since then.
    pub(super) since: Instant,
    /// How many.
    pub(super) attempts: u32,
    /// How many of them failed so that trying again cannot help.
    pub(super) lasting: u32,
    /// How many steps wait for an answer.
    pub(super) waiting: usize,
}

/// What the interval of polls follows, besides the waiters themselves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Multiplies every pause.
    pub(super) factor: f64,
    /// When the run began.
    pub(super) begun: Instant,
    /// Whether calls are under way or could be made.
    pub(super) busy: bool,
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
    pub(super) fn add(&mut self, step: usize, waiter: Waiter, pace: Pace) -> Option<Instant> {
        let poll = self
            .kinds
            .entry(waiter.known.address.kind().clone())
            .or_default();
        let since = waiter.since;
        poll.waiters.insert(step, waiter);
        let pause = poll.pause(since, pace);
        poll.arm(since + pause)
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
        let mut known = Vec::with_capacity(poll.waiters.len());
        for waiter in poll.waiters.values_mut() {
            waiter.asked = true;
            known.push(waiter.known.clone());
        }
        Some(known)
    }

    /// A poll that began at `began` was answered: the steps the answer is about.
    pub(super) fn answered(&mut self, kind: &Kind, began: Instant) -> Vec<usize> {
        let Some(poll) = self.kinds.get_mut(kind) else {
            return Vec::new();
        };
        poll.took = began.elapsed();
        poll.polling = false;
        poll.failing = None;
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

    /// A poll failed: what that makes, with those before it.
    pub(super) fn failed(&mut self, kind: &Kind, lasting: bool) -> Option<Failing> {
        let poll = self.kinds.get_mut(kind)?;
        poll.polling = false;
        let failing = poll.failing.get_or_insert(Failing {
            since: Instant::now(),
            attempts: 0,
            lasting: 0,
            waiting: 0,
        });
        failing.attempts += 1;
        failing.lasting += u32::from(lasting);
        failing.waiting = poll.waiters.len();
        Some(*failing)
    }

    /// Forgets those who wait for something of the kind, and names them.
    pub(super) fn give_up(&mut self, kind: &Kind) -> Vec<usize> {
        let Some(poll) = self.kinds.get_mut(kind) else {
            return Vec::new();
        };
        poll.failing = None;
        std::mem::take(&mut poll.waiters).into_keys().collect()
    }

    /// The time of the next poll, if anybody still waits and none is set.
    pub(super) fn next(&mut self, kind: &Kind, now: Instant, pace: Pace) -> Option<Instant> {
        let poll = self.kinds.get_mut(kind)?;
        if poll.waiters.is_empty() {
            return None;
        }
        let pause = poll.pause(now, pace);
        poll.arm(now + pause)
    }

    /// The kinds of which something waits.
    pub(super) fn waited_for(&self) -> Vec<Kind> {
        let kinds = self.kinds.iter();
        kinds
            .filter(|(_, poll)| !poll.waiters.is_empty())
            .map(|(kind, _)| kind.clone())
            .collect()
    }
}

impl Poll {
    /// How long it is until the next poll.
    fn pause(&self, now: Instant, pace: Pace) -> Duration {
        let paced = |pause: Duration| pause.mul_f64(pace.factor);
        // What is deleted is often gone at once; nothing is ready at once.
        let may_be_over = |waiter: &Waiter| {
            waiter.purpose == Purpose::Gone && !waiter.asked && (waiter.awaited || !pace.busy)
        };
        if self.waiters.values().any(may_be_over) {
            return Duration::ZERO;
        }
        let awaited = self.waiters.values().filter(|waiter| waiter.awaited);
        let waited = match awaited.map(|waiter| waiter.since).max() {
            Some(youngest) => now.duration_since(youngest),
            None if pace.busy => return paced(IDLE),
            None => {
                let left = |waiter: &Waiter| {
                    let waited = now.duration_since(waiter.since);
                    paced(waiter.typical).saturating_sub(waited)
                };
                let longest = self.waiters.values().map(left).max();
                now.duration_since(pace.begun) + longest.unwrap_or_default()
            }
        };
        let pause = waited.mul_f64(SHARE).clamp(paced(FIRST), paced(CAP));
        pause.max(self.took.min(paced(IDLE)))
    }

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
            typical: Duration::from_secs(10),
            awaited: true,
            asked: false,
            confirming: false,
        }
    }

    fn pace(begun: Instant, busy: bool) -> Pace {
        Pace {
            factor: 1.0,
            begun,
            busy,
        }
    }

    #[test]
    fn one_poll_serves_all_waiters_of_a_kind() {
        let mut hub = Hub::default();
        let start = Instant::now();
        let kind = Kind::new("vm");
        let due = hub.add(0, waiter("a", start), pace(start, false)).unwrap();
        assert_eq!(hub.add(1, waiter("b", start), pace(start, false)), None);
        assert_eq!(hub.begin(&kind, start), None);
        assert_eq!(hub.begin(&kind, due).unwrap().len(), 2);
        // A step that begins to wait during the poll is not judged by its answer.
        assert_eq!(
            hub.add(2, waiter("c", due + FIRST), pace(start, false)),
            None
        );
        assert_eq!(hub.answered(&kind, due), [0, 1]);
    }

    #[test]
    fn a_timer_that_rings_for_nobody_does_not_silence_the_next() {
        let mut hub = Hub::default();
        let start = Instant::now();
        let kind = Kind::new("vm");
        let due = hub.add(0, waiter("a", start), pace(start, false)).unwrap();
        hub.remove(&kind, 0);
        assert_eq!(hub.begin(&kind, due), None);
        assert!(hub.add(1, waiter("b", due), pace(start, false)).is_some());
    }

    #[test]
    fn intervals_grow_to_the_cap() {
        let mut hub = Hub::default();
        let start = Instant::now();
        let kind = Kind::new("vm");
        hub.add(0, waiter("a", start), pace(start, false));
        for (age, pause) in [(2, 1), (100, 5), (10_000, 15)] {
            let now = start + Duration::from_secs(age);
            hub.begin(&kind, now).unwrap();
            hub.answered(&kind, now);
            assert_eq!(
                hub.next(&kind, now, pace(start, true)),
                Some(now + Duration::from_secs(pause))
            );
        }
    }

    #[test]
    fn what_nobody_waits_for_is_not_asked_about_while_there_is_work() {
        let start = Instant::now();
        let kind = Kind::new("vm");
        let free = |since| Waiter {
            awaited: false,
            ..waiter("a", since)
        };
        let mut hub = Hub::default();
        assert_eq!(
            hub.add(0, free(start), pace(start, true)),
            Some(start + IDLE)
        );
        // When the last call is made, only the end of the run waits for it: a twentieth of that.
        let now = start + Duration::from_secs(50);
        // The ten seconds that it typically takes are over.
        assert_eq!(
            hub.next(&kind, now, pace(start, false)),
            Some(now + Duration::from_millis(2500))
        );
        // A step that waits for another of them is in a hurry.
        let late = Waiter {
            awaited: true,
            ..waiter("b", now)
        };
        assert_eq!(hub.add(1, late, pace(start, true)), Some(now + FIRST));
    }
}
