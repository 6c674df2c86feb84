//! The retry table: what follows an error, by its kind and by what was being done. It is written
//! out in `docs/internals/retries.md`, which a test below holds against the code.
//!
//! *Busy* and *throttled* are answers: the remote side says that it did nothing. After anything
//! less certain a create is never repeated without looking first.

use kplan_model::{Action, ErrorKind, ProviderError, Tried};
use std::time::Duration;
use tokio::time::Instant;

/// What follows an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Call again after a pause.
    Again,
    /// Look whether it happened.
    Look,
    /// Give up: nothing was done.
    Fail,
    /// Give up: nobody knows.
    Doubt,
}

/// Bounds of the pause between attempts.
pub(super) const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));
/// How long a throttled call is tried. DigitalOcean's longest window is an hour: who used it up
/// has calls again after that. The pauses grow like others do, so that it is no busy loop.
const THROTTLED: Duration = Duration::from_mins(70);

/// What happened to one step's call so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Tries {
    /// Failed attempts that count against `attempts`.
    pub(super) failed: u32,
    throttled: u32,
    throttled_since: Option<Instant>,
    busy: u32,
    busy_since: Option<Instant>,
    /// Requests that failed, those that a provider repeated by itself included.
    requests: u32,
    first: Option<Instant>,
    /// How often it was looked for after that.
    pub(super) looks: u32,
    /// Whether one of them may have had an effect.
    pub(super) unknown: bool,
}

impl Tries {
    /// What follows `error`.
    pub(super) fn next(
        &mut self,
        action: Action,
        error: &ProviderError,
        (attempts, busy_limit): (u32, Duration),
        now: Instant,
    ) -> Next {
        let own = error.tried.unwrap_or(Tried {
            times: 1,
            seconds: 0,
        });
        self.requests += u32::from(own.times);
        let began = now.checked_sub(Duration::from_secs(own.seconds.into()));
        self.first.get_or_insert(began.unwrap_or(now));
        match error.kind {
            ErrorKind::Busy => {
                self.busy += 1;
                let since = *self.busy_since.get_or_insert(now);
                if now.duration_since(since) < busy_limit {
                    Next::Again
                } else {
                    self.give_up()
                }
            }
            ErrorKind::Throttled => {
                self.throttled += 1;
                let since = *self.throttled_since.get_or_insert(now);
                if now.duration_since(since) < THROTTLED {
                    Next::Again
                } else {
                    self.give_up()
                }
            }
            ErrorKind::Transient | ErrorKind::OutcomeUnknown => {
                self.failed += 1;
                self.unknown |= error.kind == ErrorKind::OutcomeUnknown;
                match action {
                    Action::Create => Next::Look,
                    _ if self.failed < attempts => Next::Again,
                    _ => self.give_up(),
                }
            }
            _ => self.give_up(),
        }
    }

    /// A definite refusal says nothing about an earlier attempt whose answer was lost.
    fn give_up(&self) -> Next {
        if self.unknown {
            Next::Doubt
        } else {
            Next::Fail
        }
    }

    /// Whether a create that a look did not find may be sent again.
    pub(super) fn may_create_again(&self, attempts: u32) -> bool {
        let most = if self.unknown { 2 } else { attempts };
        self.failed < most
    }

    /// The error with how often and how long it was tried.
    pub(super) fn told(&self, mut error: ProviderError, now: Instant) -> ProviderError {
        if self.requests > 1 {
            let took = self.first.map(|first| now.duration_since(first));
            error.tried = Some(Tried::new(self.requests, took.unwrap_or_default()));
        }
        error
    }

    /// How many attempts there were, for growing pauses.
    pub(super) fn count(&self) -> u32 {
        self.failed + self.throttled + self.busy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: (u32, Duration) = (3, Duration::from_mins(1));

    fn error(kind: ErrorKind) -> ProviderError {
        ProviderError::new(kind, "x")
    }

    #[test]
    fn a_create_is_never_repeated_blindly_after_an_uncertain_error() {
        for kind in [ErrorKind::Transient, ErrorKind::OutcomeUnknown] {
            let mut tries = Tries::default();
            for _ in 0..10 {
                let next = tries.next(Action::Create, &error(kind), LIMITS, Instant::now());
                assert_eq!(next, Next::Look);
            }
        }
    }

    #[test]
    fn every_kind_of_error_is_bounded() {
        let start = Instant::now();
        for kind in [ErrorKind::Busy, ErrorKind::Throttled, ErrorKind::Transient] {
            let mut tries = Tries::default();
            let mut last = Next::Again;
            for turn in 0..100 {
                let now = start + Duration::from_mins(turn);
                last = tries.next(Action::Update, &error(kind), LIMITS, now);
                if last != Next::Again {
                    break;
                }
            }
            assert_eq!(last, Next::Fail, "{kind:?}");
        }
    }

    #[test]
    fn what_may_have_happened_ends_in_doubt_not_in_failure() {
        let mut tries = Tries::default();
        let now = Instant::now();
        let unknown = error(ErrorKind::OutcomeUnknown);
        assert_eq!(
            tries.next(Action::Update, &unknown, LIMITS, now),
            Next::Again
        );
        let refused = error(ErrorKind::Invalid);
        assert_eq!(
            tries.next(Action::Update, &refused, LIMITS, now),
            Next::Doubt
        );
    }

    /// What the table says: what follows the error, and how long it does.
    fn in_words(kind: ErrorKind, action: Action) -> String {
        let limits = (5, Duration::from_mins(5));
        let start = Instant::now();
        // Once a second for two hours, to find the bound in time or in number.
        let mut tries = Tries::default();
        let mut calls = 0;
        for second in 0..7200 {
            let now = start + Duration::from_secs(second);
            match tries.next(action, &error(kind), limits, now) {
                Next::Again => calls += 1,
                Next::Look => return "look".to_owned(),
                Next::Fail | Next::Doubt if second == 0 => return "fail".to_owned(),
                last @ (Next::Fail | Next::Doubt) => {
                    let bound = if calls < 10 {
                        format!("{} times", calls + 1)
                    } else {
                        format!("{} minutes", second / 60)
                    };
                    let end = if last == Next::Doubt {
                        "in doubt"
                    } else {
                        "fail"
                    };
                    return format!("again, for {bound}; then {end}");
                }
            }
        }
        panic!("{kind:?} has no bound");
    }

    #[test]
    fn the_documented_table_is_what_happens() {
        let page = include_str!("../../../docs/internals/retries.md");
        for kind in [
            ErrorKind::NotFound,
            ErrorKind::Busy,
            ErrorKind::Throttled,
            ErrorKind::Transient,
            ErrorKind::OutcomeUnknown,
            ErrorKind::Denied,
            ErrorKind::Invalid,
            ErrorKind::Exists,
            ErrorKind::Failed,
            ErrorKind::Bug,
        ] {
            let create = in_words(kind, Action::Create);
            let other = in_words(kind, Action::Update);
            assert_eq!(other, in_words(kind, Action::Delete), "{kind:?}");
            let row = format!("| `{kind:?}` | {create} | {other} |");
            assert!(page.contains(&row), "retries.md lacks this row:\n{row}");
        }
    }
}
