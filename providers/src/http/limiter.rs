//! One limiter per API token, shared by refreshing, working and polling: a token bucket that the
//! remote side's own headers slow down.

use http::HeaderMap;
use kplan_model::Timestamp;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How fast requests may follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests that may be made at once after a quiet while.
    pub burst: u32,
    /// Requests per minute after that.
    pub per_minute: u32,
}

impl Rate {
    /// DigitalOcean allows 250 requests in any minute (API description, "Rate Limit"): 120 at
    /// once and 120 a minute after that never make more than 240 in any sixty seconds.
    pub const DIGITALOCEAN: Self = Self {
        burst: 120,
        per_minute: 120,
    };

    /// Listing SSH keys is limited to ten a minute by itself.
    const SSH_KEY_LISTS: Self = Self {
        burst: 5,
        per_minute: 5,
    };
}

/// A bucket as its theoretical arrival time (GCRA): no drift, no floating point.
#[derive(Debug)]
struct Bucket {
    interval: Duration,
    tolerance: Duration,
    arrival: Option<Instant>,
}

impl Bucket {
    fn new(rate: Rate, scale: u32) -> Self {
        let interval = Duration::from_mins(1) / rate.per_minute.max(1) / scale.max(1);
        Self {
            interval,
            tolerance: interval * rate.burst.saturating_sub(1),
            arrival: None,
        }
    }

    /// Takes a place and says when it comes.
    fn take(&mut self, now: Instant, slow: Duration) -> Instant {
        let arrival = self.arrival.map_or(now, |arrival| arrival.max(now));
        self.arrival = Some(arrival + self.interval.max(slow));
        arrival
            .checked_sub(self.tolerance)
            .map_or(now, |at| at.max(now))
    }
}

#[derive(Debug)]
struct State {
    requests: Bucket,
    key_lists: Bucket,
    /// The interval that the rest of the hour's budget allows, while it is nearly used up.
    slow: Duration,
    /// Nobody sends before this moment.
    closed_until: Option<Instant>,
}

/// Lets requests through at the allowed rate.
#[derive(Debug)]
pub struct Limiter {
    state: Mutex<State>,
}

impl Limiter {
    /// A limiter; `scale` is how many times faster than the real cloud's the remote side's clock
    /// runs (1 for the real one).
    pub fn new(rate: Rate, scale: u32) -> Self {
        Self {
            state: Mutex::new(State {
                requests: Bucket::new(rate, scale),
                key_lists: Bucket::new(Rate::SSH_KEY_LISTS, scale),
                slow: Duration::ZERO,
                closed_until: None,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for its turn; `notice` hears of a wait before it begins.
    pub async fn acquire(&self, path: &str, notice: impl Fn(Duration)) {
        let mut at = {
            let now = Instant::now();
            let mut state = self.state();
            let slow = state.slow;
            let at = state.requests.take(now, slow);
            if is_key_list(path) {
                at.max(state.key_lists.take(now, Duration::ZERO))
            } else {
                at
            }
        };
        loop {
            let closed = self.state().closed_until;
            at = closed.map_or(at, |closed| at.max(closed));
            let wait = at.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                return;
            }
            notice(wait);
            tokio::time::sleep(wait).await;
        }
    }

    /// Nobody sends for this long: the remote side refused a request.
    pub fn close(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut state = self.state();
        state.closed_until = Some(state.closed_until.map_or(until, |old| old.max(until)));
    }

    /// Reads the remote side's headers: with less than a tenth of the hour's requests left they
    /// are spread over the time until the oldest one expires.
    pub fn heed(&self, headers: &HeaderMap, now: Timestamp) {
        let number = |name: &str| -> Option<i64> { headers.get(name)?.to_str().ok()?.parse().ok() };
        let (Some(limit), Some(remaining), Some(reset)) = (
            number("ratelimit-limit"),
            number("ratelimit-remaining"),
            number("ratelimit-reset"),
        ) else {
            return;
        };
        let slow = if remaining.saturating_mul(10) < limit {
            let left = Timestamp::from_seconds(reset).since(now).max(0);
            let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
            let requests = u32::try_from(remaining.max(1)).unwrap_or(u32::MAX);
            (left / requests).min(Duration::from_mins(1))
        } else {
            Duration::ZERO
        };
        self.state().slow = slow;
    }
}

fn is_key_list(path: &str) -> bool {
    path == "/v2/account/keys" || path.starts_with("/v2/account/keys?")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    async fn sent_in(limiter: &Limiter, seconds: u64, path: &str) -> u32 {
        let end = Instant::now() + Duration::from_secs(seconds);
        let mut sent = 0;
        while tokio::time::timeout_at(end, limiter.acquire(path, |_| ()))
            .await
            .is_ok()
        {
            sent += 1;
        }
        sent
    }

    #[tokio::test(start_paused = true)]
    async fn a_minute_never_sees_more_than_the_limit() {
        let limiter = Limiter::new(Rate::DIGITALOCEAN, 1);
        let first = sent_in(&limiter, 60, "/v2/droplets").await;
        assert!((235..=242).contains(&first), "{first}");
        let second = sent_in(&limiter, 60, "/v2/droplets").await;
        assert!((118..=121).contains(&second), "{second}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_faster_clock_has_a_faster_limit() {
        let limiter = Limiter::new(Rate::DIGITALOCEAN, 60);
        let sent = sent_in(&limiter, 1, "/v2/droplets").await;
        assert!((235..=242).contains(&sent), "{sent}");
    }

    #[tokio::test(start_paused = true)]
    async fn key_lists_have_their_own_limit() {
        let limiter = Limiter::new(Rate::DIGITALOCEAN, 1);
        let sent = sent_in(&limiter, 60, "/v2/account/keys?page=1").await;
        assert!((9..=10).contains(&sent), "{sent}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_limiter_lets_nobody_through() {
        let limiter = Limiter::new(Rate::DIGITALOCEAN, 1);
        limiter.close(Duration::from_secs(7));
        let start = Instant::now();
        let waits = Mutex::new(Vec::new());
        limiter
            .acquire("/v2/droplets", |wait| waits.lock().unwrap().push(wait))
            .await;
        assert!(start.elapsed() >= Duration::from_secs(7));
        assert_eq!(*waits.lock().unwrap(), [Duration::from_secs(7)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_of_the_hour_is_spread_over_it() {
        let limiter = Limiter::new(
            Rate {
                burst: 1,
                per_minute: 600,
            },
            1,
        );
        let mut headers = HeaderMap::new();
        headers.insert("ratelimit-limit", HeaderValue::from_static("5000"));
        headers.insert("ratelimit-remaining", HeaderValue::from_static("10"));
        headers.insert("ratelimit-reset", HeaderValue::from_static("1100"));
        limiter.heed(&headers, Timestamp::from_seconds(1000));
        let sent = sent_in(&limiter, 100, "/v2/droplets").await;
        assert!((10..=11).contains(&sent), "{sent}");
    }
}
