//! DigitalOcean's request limits: sliding windows per token.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ApiError;
use crate::clock::Clock;

const HOUR: Duration = Duration::from_hours(1);
const MINUTE: Duration = Duration::from_mins(1);

/// How many requests a token may make. The windows are the cloud's, so they shrink with the time
/// scale like every other lag. The defaults are the documented limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RateLimits {
    /// Requests per hour.
    pub per_hour: u32,
    /// Requests per minute (burst).
    pub per_minute: u32,
    /// `GET /v2/account/keys` per minute.
    pub ssh_key_lists_per_minute: u32,
}

impl Default for RateLimits {
    fn default() -> RateLimits {
        RateLimits {
            per_hour: 5000,
            per_minute: 250,
            ssh_key_lists_per_minute: 10,
        }
    }
}

/// What the limiter says about one request.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) refused: Option<ApiError>,
}

/// One [`Limiter`] for each token that was used.
#[derive(Debug)]
pub(crate) struct Limiters {
    limits: Option<RateLimits>,
    by_token: BTreeMap<String, Limiter>,
}

impl Limiters {
    pub(crate) fn new(limits: Option<RateLimits>) -> Limiters {
        Limiters {
            limits,
            by_token: BTreeMap::new(),
        }
    }

    /// Counts a request of a token, or refuses it. To be asked for tokens that exist only: their
    /// number is bounded.
    pub(crate) fn admit(&mut self, token: &str, clock: &Clock, ssh_key_list: bool) -> Verdict {
        if let Some(limiter) = self.by_token.get_mut(token) {
            return limiter.admit(clock, ssh_key_list);
        }
        let fresh = Limiter::new(self.limits);
        let limiter = self.by_token.entry(token.to_owned()).or_insert(fresh);
        limiter.admit(clock, ssh_key_list)
    }

    /// Forgets a token that is no more.
    pub(crate) fn forget(&mut self, token: &str) {
        self.by_token.remove(token);
    }
}

/// Counts requests in sliding windows; each window remembers at most as many as it allows.
#[derive(Debug)]
struct Limiter {
    limits: Option<RateLimits>,
    hour: Window,
    minute: Window,
    ssh_key_lists: Window,
}

#[derive(Debug, Default)]
struct Window(VecDeque<Timestamp>);

impl Window {
    fn expire(&mut self, now: Timestamp, length: Duration) {
        while self
            .0
            .front()
            .is_some_and(|first| add(*first, length) <= now)
        {
            self.0.pop_front();
        }
    }

    fn full(&self, limit: u32) -> bool {
        self.0.len() >= usize::try_from(limit).unwrap_or(usize::MAX)
    }

    /// When the oldest request leaves the window; now when it is empty.
    fn reset(&self, now: Timestamp, length: Duration) -> Timestamp {
        self.0.front().map_or(now, |first| add(*first, length))
    }
}

impl Limiter {
    fn new(limits: Option<RateLimits>) -> Limiter {
        Limiter {
            limits,
            hour: Window::default(),
            minute: Window::default(),
            ssh_key_lists: Window::default(),
        }
    }

    /// Counts a request, or refuses it.
    fn admit(&mut self, clock: &Clock, ssh_key_list: bool) -> Verdict {
        let limits = self.limits.unwrap_or_default();
        let now = clock.now();
        let (hour, minute) = (clock.scaled(HOUR), clock.scaled(MINUTE));
        self.hour.expire(now, hour);
        self.minute.expire(now, minute);
        self.ssh_key_lists.expire(now, minute);
        let refused = self.limits.and_then(|limits| {
            if self.hour.full(limits.per_hour) {
                return Some((None, "API Rate limit exceeded."));
            }
            let burst = if self.minute.full(limits.per_minute) {
                self.minute.reset(now, minute)
            } else if ssh_key_list && self.ssh_key_lists.full(limits.ssh_key_lists_per_minute) {
                self.ssh_key_lists.reset(now, minute)
            } else {
                return None;
            };
            Some((Some(seconds_until(now, burst)), "API burst limit exceeded."))
        });
        if refused.is_none() && self.limits.is_some() {
            self.hour.0.push_back(now);
            self.minute.0.push_back(now);
            if ssh_key_list {
                self.ssh_key_lists.0.push_back(now);
            }
        }
        let used = u32::try_from(self.hour.0.len()).unwrap_or(u32::MAX);
        let headers = vec![
            ("ratelimit-limit", limits.per_hour.to_string()),
            (
                "ratelimit-remaining",
                limits.per_hour.saturating_sub(used).to_string(),
            ),
            (
                "ratelimit-reset",
                self.hour.reset(now, hour).as_second().to_string(),
            ),
        ];
        let refused = refused.map(|(retry, message)| {
            let error = ApiError::new(429, "too_many_requests", message);
            match retry {
                Some(seconds) => error.with_header("retry-after", seconds.to_string()),
                None => error,
            }
        });
        Verdict { headers, refused }
    }
}

fn add(moment: Timestamp, length: Duration) -> Timestamp {
    moment.saturating_add(length).unwrap_or(Timestamp::MAX)
}

/// Whole seconds, rounded up, at least one.
fn seconds_until(now: Timestamp, then: Timestamp) -> i64 {
    (then.duration_since(now).as_millis().div_euclid(1000) + 1)
        .try_into()
        .unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(per_hour: u32, per_minute: u32) -> RateLimits {
        RateLimits {
            per_hour,
            per_minute,
            ssh_key_lists_per_minute: 1,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_burst_limit_slides_and_says_when_to_come_back() {
        let clock = Clock::starting_at(1.0, Timestamp::UNIX_EPOCH);
        let mut limiter = Limiter::new(Some(limits(100, 2)));
        assert!(limiter.admit(&clock, false).refused.is_none());
        clock.sleep(Duration::from_secs(30)).await;
        let second = limiter.admit(&clock, false);
        assert!(second.refused.is_none());
        assert_eq!(second.headers[1], ("ratelimit-remaining", "98".to_owned()));
        assert_eq!(second.headers[2], ("ratelimit-reset", "3600".to_owned()));
        let refused = limiter.admit(&clock, false).refused.unwrap();
        assert_eq!(refused.status, 429);
        let retry: u64 = refused.headers[0].1.parse().unwrap();
        assert!((30..=31).contains(&retry), "{retry}");
        clock.sleep(Duration::from_secs(retry)).await;
        assert!(limiter.admit(&clock, false).refused.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_hourly_limit_has_no_retry_after() {
        let clock = Clock::starting_at(60.0, Timestamp::UNIX_EPOCH);
        let mut limiter = Limiter::new(Some(limits(1, 9)));
        assert!(limiter.admit(&clock, false).refused.is_none());
        assert!(
            limiter
                .admit(&clock, false)
                .refused
                .unwrap()
                .headers
                .is_empty()
        );
        clock.sleep(HOUR).await;
        clock.sleep(Duration::from_secs(1)).await;
        assert!(limiter.admit(&clock, false).refused.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn key_lists_have_their_own_limit_and_off_means_off() {
        let clock = Clock::starting_at(1.0, Timestamp::UNIX_EPOCH);
        let mut limiter = Limiter::new(Some(limits(100, 50)));
        assert!(limiter.admit(&clock, true).refused.is_none());
        assert!(limiter.admit(&clock, true).refused.is_some());
        assert!(limiter.admit(&clock, false).refused.is_none());
        let mut off = Limiter::new(None);
        assert!((0..300).all(|_| off.admit(&clock, true).refused.is_none()));
    }
}
