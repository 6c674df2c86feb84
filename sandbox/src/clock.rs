//! The sandbox's time: real timestamps, and the cloud's lags divided by a scale.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// Tells the time and waits; under tokio's paused time both stand still until it advances.
#[derive(Clone, Debug)]
pub struct Clock {
    origin: Timestamp,
    started: Instant,
    scale: f64,
}

impl Clock {
    /// A clock that starts at the machine's time. `scale` divides every lag of the cloud;
    /// values that are not positive and finite count as 1.
    pub fn new(scale: f64) -> Clock {
        Clock::starting_at(scale, Timestamp::now())
    }

    /// A clock that starts at `origin`, so that a replayed run sees the same timestamps.
    pub fn starting_at(scale: f64, origin: Timestamp) -> Clock {
        let scale = if scale.is_finite() && scale > 0.0 {
            scale
        } else {
            1.0
        };
        Clock {
            origin,
            started: Instant::now(),
            scale,
        }
    }

    /// The present: the origin plus what has elapsed on tokio's clock. Not scaled, because
    /// clients compare it with their own time.
    pub fn now(&self) -> Timestamp {
        self.origin
            .saturating_add(self.started.elapsed())
            .unwrap_or(Timestamp::MAX)
    }

    /// How long a lag of the real cloud takes here.
    pub fn scaled(&self, cloud: Duration) -> Duration {
        Duration::try_from_secs_f64(cloud.as_secs_f64() / self.scale).unwrap_or(Duration::MAX)
    }

    /// The moment at which a lag of the real cloud that starts now is over.
    pub fn after(&self, cloud: Duration) -> Timestamp {
        self.now()
            .saturating_add(self.scaled(cloud))
            .unwrap_or(Timestamp::MAX)
    }

    /// Waits for a lag of the real cloud, scaled.
    pub async fn sleep(&self, cloud: Duration) {
        tokio::time::sleep(self.scaled(cloud)).await;
    }

    /// Waits until a moment that [`Clock::after`] gave.
    pub async fn sleep_until(&self, moment: Timestamp) {
        let left = moment.duration_since(self.now());
        tokio::time::sleep(Duration::try_from(left).unwrap_or_default()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn lags_are_divided_and_follow_paused_time() {
        let clock = Clock::starting_at(60.0, Timestamp::UNIX_EPOCH);
        assert_eq!(clock.scaled(Duration::from_mins(1)), Duration::from_secs(1));
        assert_eq!(clock.now(), Timestamp::UNIX_EPOCH);
        let due = clock.after(Duration::from_mins(2));
        clock.sleep(Duration::from_mins(2)).await;
        assert!(clock.now() >= due);
        assert_eq!(clock.now().as_second(), 2);
    }

    #[test]
    fn a_senseless_scale_counts_as_one() {
        let clock = Clock::new(0.0);
        assert_eq!(clock.scaled(Duration::from_secs(3)), Duration::from_secs(3));
    }
}
