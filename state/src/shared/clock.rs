//! How the holder of a lock measures the time since its last sign of life: by two clocks, for each
//! of them misses something. The monotonic one stands still while a laptop sleeps; the wall clock
//! can be set back.

use jiff::Timestamp as Wall;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A moment by both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Since some beginning of this process.
    pub(crate) monotonic: Duration,
    /// Milliseconds since 1970.
    pub(crate) wall: i64,
}

impl Moment {
    /// What passed since `earlier`, by the clock that says more.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        let wall = u64::try_from(self.wall.saturating_sub(earlier.wall)).unwrap_or(0);
        self.monotonic
            .saturating_sub(earlier.monotonic)
            .max(Duration::from_millis(wall))
    }
}

/// Tells the moment; tests have their own.
pub(crate) type Clock = Arc<dyn Fn() -> Moment + Send + Sync>;

/// The system's clocks.
pub(crate) fn system() -> Clock {
    let origin = Instant::now();
    Arc::new(move || Moment {
        monotonic: origin.elapsed(),
        wall: Wall::now().as_millisecond(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_that_says_more_counts() {
        let at = |monotonic, wall: i64| Moment {
            monotonic: Duration::from_secs(monotonic),
            wall: wall * 1000,
        };
        let slept = at(11, 700).since(at(10, 100));
        assert_eq!(slept, Duration::from_mins(10));
        let set_back = at(70, 50).since(at(10, 100));
        assert_eq!(set_back, Duration::from_mins(1));
    }
}
