//! The lock of a shared state: a lease. `lock/<n>` is created by whoever takes it; `n` counts the
//! locks of a state and is the fencing number. While a run holds it, it creates `lock/<n>/beat/<k>`
//! every now and then; when it ends, `lock/<n>/released`.
//!
//! # Why nobody goes on beside somebody who took over
//!
//! Three times decide ([`LeaseTimes`]): *beat* 20 s, *valid* 90 s, *takeover* 5 min.
//!
//! - A holder counts its claim as valid for 90 s since **before it sent** the last beat that became
//!   durable, by both of its clocks, whichever says more. A beat sent when the claim was over does
//!   not bring it back: a lapse is final.
//! - Others take over when the newest object of the lock is 5 min old, by the store's clock alone
//!   (its modification times against its own Date).
//!
//! Let a holder send its last beat at 0. The store dates it at 0 or later, so nobody takes over
//! before 300. The holder starts no changing call after 90. A request to DigitalOcean or to S3 ends
//! within 60 s, so the last one is over at 150. A further beat, sent at 89 at the latest, is tried
//! for 60 s and once more, each request for 20 s at most, so it is there by 175, or never: while
//! others may not take over yet. What is left between 175 and 300 is for a store whose own clocks
//! differ.
//!
//! The *record* needs none of this: it is fenced by the log itself (see [`super`]). The lease keeps
//! two runs from changing the *cloud* at once. What it cannot keep from happening: a process that
//! is stopped between the check and the moment its request leaves the machine, for minutes, and
//! then goes on. Such a request was announced (`Started`) before the other took over, so the other
//! found the step in doubt; what it makes afterwards carries the owner's mark and is found by the
//! look before the next create.

use super::clock::{Clock, Moment};
use super::keys::{self, LockKey};
use super::objects::{Created, Objects};
use super::record::{LockWire, Unread, mark};
use crate::error::{code, error_help};
use crate::local::Holder;
use jiff::Timestamp as Date;
use kplan_model::{StoreError, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often a lock that was snatched away is tried for at most.
const SNATCHES: u32 = 100;
/// The first pause while waiting for a lock, and the longest: a list call each.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Signs of life that stay: the newest, and the one before.
const BEATS_KEPT: u64 = 2;

/// The times of a lease. Their proportions are what its safety rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTimes {
    /// From one sign of life to the next.
    pub(crate) beat: Duration,
    /// How long after its last sign of life a holder starts changing calls.
    pub(crate) valid: Duration,
    /// How long after the last sign of life others take over.
    pub(crate) takeover: Duration,
}

impl LeaseTimes {
    /// 20 s, 90 s, 5 min: four beats may fail before a run stops, and a run whose machine is gone
    /// keeps others waiting for five minutes.
    pub const STANDARD: Self = Self {
        beat: Duration::from_secs(20),
        valid: Duration::from_secs(90),
        takeover: Duration::from_mins(5),
    };

    /// All of them shorter by one factor, for tests with real processes.
    #[must_use]
    pub fn divided(self, by: u32) -> Self {
        let by = by.max(1);
        Self {
            beat: self.beat / by,
            valid: self.valid / by,
            takeover: self.takeover / by,
        }
    }
}

/// What the objects say about the lock.
pub(super) struct Look {
    /// The newest lock; 0 before the first.
    pub(super) number: u64,
    released: bool,
    /// Its last sign of life.
    last: Timestamp,
    now: Timestamp,
    /// Every key of earlier locks.
    pub(super) earlier: Vec<String>,
}

/// Looks who holds the lock.
pub(super) fn look(objects: &Objects) -> Result<Look, StoreError> {
    let listing = objects.list(keys::LOCKS, None)?;
    let mut locks: BTreeMap<u64, (bool, Timestamp)> = BTreeMap::new();
    for object in &listing.objects {
        let Some((number, what)) = keys::lock_key(&object.key) else {
            continue;
        };
        let (released, last) = locks.entry(number).or_insert((false, object.modified));
        *released |= what == LockKey::Released;
        *last = (*last).max(object.modified);
    }
    let newest = locks.last_key_value();
    let (number, (released, last)) = newest.map_or((0, (true, listing.now)), |(n, l)| (*n, *l));
    let earlier = listing
        .objects
        .into_iter()
        .filter(|object| keys::lock_key(&object.key).is_some_and(|(n, _)| n < number))
        .map(|object| object.key)
        .collect();
    Ok(Look {
        number,
        released,
        last,
        now: listing.now,
        earlier,
    })
}

/// Who signed the lock of that number, and after how long others take over.
pub(super) fn signed(
    objects: &Objects,
    number: u64,
) -> Result<Option<(Holder, Duration)>, StoreError> {
    let key = keys::lock(number);
    let Some(bytes) = objects.get(&key)? else {
        return Ok(None);
    };
    match LockWire::parse(&bytes) {
        Ok(wire) => Ok(Some((
            wire.holder,
            Duration::from_millis(wire.takeover_millis),
        ))),
        Err(newer @ Unread::Newer(_)) => Err(newer.at(&objects.at(&key))),
        Err(Unread::Damaged(_)) => Ok(None),
    }
}

/// A held lock.
pub(super) struct Lease {
    objects: Objects,
    number: u64,
    times: LeaseTimes,
    clock: Clock,
    inner: Mutex<Inner>,
}

struct Inner {
    /// When the last sign of life that became durable was sent.
    renewed: Moment,
    lapsed: bool,
    beats: u64,
    released: bool,
}

/// How a lock is taken.
pub(super) struct Wanted<'a> {
    pub(super) holder: &'a Holder,
    pub(super) times: LeaseTimes,
    pub(super) timeout: Duration,
    pub(super) clock: &'a Clock,
}

impl Lease {
    /// Takes the lock, trying again until the timeout is over.
    ///
    /// # Errors
    /// `state::locked`, with who holds it.
    pub(super) fn acquire(objects: &Objects, wanted: &Wanted<'_>) -> Result<Self, StoreError> {
        let start = Instant::now();
        let mut pause = FIRST_PAUSE;
        let mut snatched = 0;
        let wire = LockWire::new(wanted.holder, wanted.times.takeover)?;
        let bytes = wire.bytes()?;
        loop {
            let seen = look(objects)?;
            let held = held_by(objects, &seen, wanted.times)?;
            let Some(held) = held else {
                let number = seen.number + 1;
                let sent = (wanted.clock)();
                match objects.create(&keys::lock(number), &bytes)? {
                    Created::New => return Ok(Self::taken(objects, number, wanted, sent)),
                    Created::Taken(_) if snatched < SNATCHES => snatched += 1,
                    Created::Taken(_) => return Err(snatched_away(objects)),
                }
                continue;
            };
            let left = wanted.timeout.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Err(locked(&held, wanted.timeout));
            }
            thread::sleep(pause.min(left));
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn taken(objects: &Objects, number: u64, wanted: &Wanted<'_>, sent: Moment) -> Self {
        Self {
            objects: objects.clone(),
            number,
            times: wanted.times,
            clock: wanted.clock.clone(),
            inner: Mutex::new(Inner {
                renewed: sent,
                lapsed: false,
                beats: 0,
                released: false,
            }),
        }
    }

    /// Its number, by which later holders are told from earlier ones.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// From one sign of life to the next.
    pub(super) fn beat_every(&self) -> Duration {
        self.times.beat
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing in it can be half done.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a sign of life. Whether the claim is valid.
    pub(super) fn beat(&self) -> Result<bool, StoreError> {
        if !self.is_held() {
            return Ok(false);
        }
        let sent = (self.clock)();
        let beat = self.inner().beats + 1;
        let key = keys::beat(self.number, beat);
        match self.objects.create(&key, &mark()?)? {
            Created::New => {}
            Created::Taken(_) => {
                // Nobody but us writes below our lock: whoever did is not to be argued with.
                self.inner().lapsed = true;
                return Ok(false);
            }
        }
        {
            let mut inner = self.inner();
            inner.beats = beat;
            inner.renewed = sent;
        }
        if let Some(old) = beat.checked_sub(BEATS_KEPT).filter(|old| *old > 0) {
            // Only tidiness: the newest counts.
            drop(self.objects.delete(&[keys::beat(self.number, old)]));
        }
        Ok(self.is_held())
    }

    /// Whether the claim is valid. Once it was not, it never is again.
    pub(super) fn is_held(&self) -> bool {
        let now = (self.clock)();
        let mut inner = self.inner();
        inner.lapsed |= now.since(inner.renewed) >= self.times.valid;
        !inner.lapsed && !inner.released
    }

    /// Releases it. Best effort: without, others wait until it is too old.
    pub(super) fn release(&self) {
        if std::mem::replace(&mut self.inner().released, true) {
            return;
        }
        if let Ok(bytes) = mark() {
            drop(self.objects.create(&keys::released(self.number), &bytes));
        }
    }

    /// Why a claim that is not valid is not: somebody took over, or somebody could have.
    pub(super) fn lost(&self) -> StoreError {
        let newest = look(&self.objects).map(|seen| seen.number);
        if let Ok(newest) = newest
            && newest > self.number
        {
            let by = signed(&self.objects, newest).ok().flatten();
            return fenced(by.map(|(holder, _)| holder).as_ref());
        }
        error_help(
            code::LAPSED,
            format!(
                "this run gave no sign of life for {} s, so others may have taken over",
                self.times.valid.as_secs()
            ),
            "the machine slept, or the bucket did not answer. What was done is recorded; run the \
             command again: it finds out about what was in flight",
        )
    }
}

/// Somebody else took over.
pub(super) fn fenced(by: Option<&Holder>) -> StoreError {
    let who = by.map_or_else(|| "another run".to_owned(), ToString::to_string);
    error_help(
        code::FENCED,
        format!(
            "{who} took over the state, because this run had given no sign of life for too long"
        ),
        "nothing more was changed and nothing more is recorded by this run. Wait until the other \
         one ends and run the command again: what was in flight here is looked for",
    )
}

/// A lock that somebody holds.
struct Held {
    who: String,
    /// Seconds since the last sign of life.
    silent: u64,
    /// When others may take over.
    free_at: Timestamp,
    takeover: Duration,
}

/// Who holds the lock; `None` when it is free.
fn held_by(objects: &Objects, seen: &Look, times: LeaseTimes) -> Result<Option<Held>, StoreError> {
    if seen.number == 0 || seen.released {
        return Ok(None);
    }
    let silent = u64::try_from(seen.now.since(seen.last)).unwrap_or(0);
    let signed = signed(objects, seen.number)?;
    // The holder's own setting, should it be the longer one.
    let takeover = signed.as_ref().map_or(times.takeover, |(_, takeover)| {
        times.takeover.max(*takeover)
    });
    if Duration::from_millis(silent) >= takeover {
        return Ok(None);
    }
    let who = signed.map_or_else(
        || "another run".to_owned(),
        |(holder, _)| holder.to_string(),
    );
    let millis = i64::try_from(takeover.as_millis()).unwrap_or(i64::MAX);
    Ok(Some(Held {
        who,
        silent: silent / 1000,
        free_at: Timestamp(seen.last.0.saturating_add(millis)),
        takeover,
    }))
}

fn locked(held: &Held, timeout: Duration) -> StoreError {
    let waited = if timeout.is_zero() {
        String::new()
    } else {
        format!(" (waited {} s)", timeout.as_secs())
    };
    let free_at = Date::from_millisecond(held.free_at.0)
        .map_or_else(|_| String::new(), |at| format!(", at {at:.0}"));
    error_help(
        code::LOCKED,
        format!(
            "the state is locked by {}; its last sign of life was {} s ago{waited}",
            held.who, held.silent
        ),
        format!(
            "wait until it ends, or give --lock-timeout to wait here. Should its machine be gone, \
             the lock is free {} s after the last sign of life{free_at}; there is nothing to \
             remove",
            held.takeover.as_secs()
        ),
    )
}

fn snatched_away(objects: &Objects) -> StoreError {
    error_help(
        code::LOCKED,
        format!(
            "the lock of {} was taken by others each time",
            objects.name()
        ),
        "many runs want it at once: run the command again",
    )
}
