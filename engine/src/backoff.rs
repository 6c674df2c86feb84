//! Growing, jittered pauses. The randomness is seeded by the caller, so that a run can be
//! replayed.

use std::time::Duration;

/// The longest pause a remote side may ask for before we stop believing it.
const LONGEST_ASKED: Duration = Duration::from_mins(10);

/// A small seeded generator (xorshift64*), good enough to spread pauses.
#[derive(Clone, Debug)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed ^ 0x9E37_79B9_7F4A_7C15 | 1)
    }

    /// A number in `0.5..1.0`.
    fn share(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 48;
        let bits = u16::try_from(bits).unwrap_or(0);
        0.5 + f64::from(bits) / 131_072.0
    }

    /// The pause before attempt `attempt + 1`: `first` doubled each time up to `cap`, of which a
    /// random half to whole; or what the remote side asked for, if it did and that is longer.
    pub(crate) fn pause(
        &mut self,
        attempt: u32,
        (first, cap): (Duration, Duration),
        asked: Option<u32>,
    ) -> Duration {
        let asked = asked.map_or(Duration::ZERO, |seconds| {
            Duration::from_secs(u64::from(seconds)).min(LONGEST_ASKED)
        });
        let grown = first.saturating_mul(1_u32.checked_shl(attempt.min(20)).unwrap_or(u32::MAX));
        grown.min(cap).mul_f64(self.share()).max(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_cap_and_obey_the_remote_side() {
        let bounds = (Duration::from_millis(100), Duration::from_secs(2));
        let mut jitter = Jitter::new(7);
        for attempt in 0..40 {
            let pause = jitter.pause(attempt, bounds, None);
            let grown = Duration::from_millis(100)
                .saturating_mul(1 << attempt.min(20))
                .min(bounds.1);
            assert!(pause <= grown && pause >= grown / 2, "{attempt} {pause:?}");
        }
        assert_eq!(jitter.pause(0, bounds, Some(29)), Duration::from_secs(29));
    }

    #[test]
    fn one_seed_one_sequence() {
        let bounds = (Duration::from_millis(100), Duration::from_secs(2));
        let run = |seed| {
            let mut jitter = Jitter::new(seed);
            (0..5)
                .map(|n| jitter.pause(n, bounds, None))
                .collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }
}
