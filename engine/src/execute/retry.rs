//! The retry table: what follows an error, by its kind and by what was being done.
//!
//! | error | create | update, delete |
//! |---|---|---|
//! | busy | again, for up to `busy_limit` | the same |
//! | throttled | again when the remote side says | the same |
//! | transient | look, then again | again, up to `attempts` |
//! | outcome unknown | look twice; adopt, or create once more | again, up to `attempts`; then in doubt |
//! | anything else | fail | fail |
//!
//! *Busy* and *throttled* are answers: the remote side says that it did nothing. After anything
//! less certain a create is never repeated without looking first.

use kplan_model::{Action, ErrorKind, ProviderError};
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
/// How often a throttled call is tried: at up to a minute a time, ten minutes.
const THROTTLED: u32 = 10;

/// What happened to one step's call so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Tries {
    /// Failed attempts that count against `attempts`.
    pub(super) failed: u32,
    throttled: u32,
    busy_since: Option<Instant>,
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
        match error.kind {
            ErrorKind::Busy => {
                let since = *self.busy_since.get_or_insert(now);
                if now.duration_since(since) < busy_limit {
                    Next::Again
                } else {
                    self.give_up()
                }
            }
            ErrorKind::Throttled => {
                self.throttled += 1;
                if self.throttled < THROTTLED {
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

    /// How many attempts there were, for growing pauses.
    pub(super) fn count(&self) -> u32 {
        self.failed + self.throttled
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
                let now = start + Duration::from_secs(turn);
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
}
