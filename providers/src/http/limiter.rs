//! One limiter per API token, shared by refreshing, working and polling: it counts as DigitalOcean
//! does, in a window that slides, and the remote side's own headers slow it down.

use http::HeaderMap;
use kplan_model::Timestamp;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio::time::Instant;

/// How many requests may be made in any sixty seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests in any minute.
    pub per_minute: u32,
}

impl Rate {
    /// DigitalOcean allows 250 requests in any minute (API description, "Rate Limit"). Ten fewer
    /// leave room for the way there: what is sent evenly does not arrive evenly.
    pub const DIGITALOCEAN: Self = Self { per_minute: 240 };

    /// Listing SSH keys is limited to ten a minute by itself.
    const SSH_KEY_LISTS: Self = Self { per_minute: 9 };
}

/// The requests of the last minute, at most as many as there may be. Whoever waits for a place
/// holds the lock, so the others queue up behind, first come, first served.
#[derive(Debug)]
struct Window {
    limit: usize,
    length: Duration,
    sent: VecDeque<Instant>,
}

impl Window {
    fn new(rate: Rate, scale: u32) -> AsyncMutex<Self> {
        AsyncMutex::new(Self {
            limit: usize::try_from(rate.per_minute.max(1)).unwrap_or(usize::MAX),
            length: Duration::from_mins(1) / scale.max(1),
            sent: VecDeque::new(),
        })
    }

    /// When the next request may be sent.
    fn free_at(&self) -> Option<Instant> {
        let full = self.sent.len() >= self.limit;
        let oldest = self.sent.front().filter(|_| full)?;
        Some(*oldest + self.length)
    }

    fn note(&mut self, now: Instant) {
        if self.sent.len() >= self.limit {
            self.sent.pop_front();
        }
        self.sent.push_back(now);
    }
}

/// The longest the remote side is believed when it says that nothing is left: its longest window,
/// and a minute for clocks that differ.
const LONGEST_CLOSED: Duration = Duration::from_mins(61);
/// Who ends a run waits this long for what is in flight to be sent, and no longer.
const GRACE: Duration = Duration::from_secs(2);

/// A run ends: what still waited was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

/// What is left of a token's hour, as the remote side said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Requests in any hour.
    pub limit: i64,
    /// Those that are left of them.
    pub remaining: i64,
    /// When the oldest request of the hour no longer counts.
    pub reset: Timestamp,
}

/// What the remote side has said.
#[derive(Debug, Default)]
struct Heard {
    /// The newest headers.
    quota: Option<Quota>,
    /// The interval that the rest of the hour's budget allows, while it is nearly used up.
    slow: Duration,
    /// Nobody sends before this moment.
    closed_until: Option<Instant>,
}

/// Lets requests through at the allowed rate.
#[derive(Debug)]
pub struct Limiter {
    requests: AsyncMutex<Window>,
    key_lists: AsyncMutex<Window>,
    heard: Mutex<Heard>,
    stopped: watch::Sender<bool>,
}

impl Limiter {
    /// A limiter; `scale` is how many times faster than the real cloud's the remote side's clock
    /// runs (1 for the real one).
    pub fn new(rate: Rate, scale: u32) -> Self {
        Self {
            requests: Window::new(rate, scale),
            key_lists: Window::new(Rate::SSH_KEY_LISTS, scale),
            heard: Mutex::default(),
            stopped: watch::Sender::new(false),
        }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run ends: what would wait longer than two seconds is not sent any more, nor is what
    /// waits already. What can be sent soon still is, so that calls in flight can come to an end.
    pub fn stop(&self) {
        self.stopped.send_replace(true);
    }

    /// Whether the run ends.
    pub fn is_stopped(&self) -> bool {
        *self.stopped.borrow()
    }

    /// Sleeps, or gives up when the run ends and the sleep would outlast it.
    pub async fn sleep(&self, wait: Duration) -> Result<(), Stopped> {
        let until = Instant::now() + wait;
        let mut stopped = self.stopped.subscribe();
        let ends = async {
            // The sender lives as long as `self`.
            drop(stopped.wait_for(|stopped| *stopped).await);
            if until.saturating_duration_since(Instant::now()) > GRACE {
                return;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(until) => Ok(()),
            () = ends => Err(Stopped),
        }
    }

    /// Waits for its turn; `notice` hears of a wait before it begins. Who queues up behind another
    /// waits in silence: that one has told.
    pub async fn acquire(&self, path: &str, notice: impl Fn(Duration)) -> Result<(), Stopped> {
        if is_key_list(path) {
            // Its own window first: waiting for it must not hold up anybody else.
            let mut window = self.key_lists.lock().await;
            let at = window.free_at();
            self.pass(&mut window, || at, &notice).await?;
        }
        let mut window = self.requests.lock().await;
        let (free, last) = (window.free_at(), window.sent.back().copied());
        let at = || {
            let heard = self.heard();
            let spread = last
                .filter(|_| !heard.slow.is_zero())
                .map(|last| last + heard.slow);
            [free, spread, heard.closed_until]
                .into_iter()
                .flatten()
                .max()
        };
        self.pass(&mut window, at, &notice).await
    }

    /// Sleeps until a moment that may move while it sleeps, and takes the place.
    async fn pass(
        &self,
        window: &mut Window,
        at: impl Fn() -> Option<Instant>,
        notice: &impl Fn(Duration),
    ) -> Result<(), Stopped> {
        // Ends: the moment moves only when the remote side refuses another request meanwhile, and
        // those in flight are few.
        while let Some(at) = at() {
            let wait = at.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                break;
            }
            notice(wait);
            self.sleep(wait).await?;
        }
        window.note(Instant::now());
        Ok(())
    }

    /// Nobody sends for this long: the remote side refused a request.
    pub fn close(&self, wait: Duration) {
        let until = Instant::now() + wait.min(LONGEST_CLOSED);
        let mut heard = self.heard();
        heard.closed_until = Some(heard.closed_until.map_or(until, |old| old.max(until)));
    }

    /// What is left of the hour; nothing before the first answer, or where answers do not say.
    pub fn quota(&self) -> Option<Quota> {
        self.heard().quota
    }

    /// Reads the remote side's headers: with less than a tenth of the hour's requests left they
    /// are spread over the time until the oldest one expires; with none left nobody sends until
    /// then.
    pub fn heed(&self, headers: &HeaderMap, now: Timestamp) {
        let number = |name: &str| -> Option<i64> { headers.get(name)?.to_str().ok()?.parse().ok() };
        let (Some(limit), Some(remaining), Some(reset)) = (
            number("ratelimit-limit"),
            number("ratelimit-remaining"),
            number("ratelimit-reset"),
        ) else {
            return;
        };
        let reset = Timestamp::from_seconds(reset);
        self.heard().quota = Some(Quota {
            limit,
            remaining,
            reset,
        });
        let left = reset.since(now).max(0);
        let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
        if remaining <= 0 {
            // The header has whole seconds.
            self.close(left + Duration::from_secs(1));
        }
        let slow = if remaining.saturating_mul(10) < limit {
            let requests = u32::try_from(remaining.max(1)).unwrap_or(u32::MAX);
            (left / requests).min(Duration::from_mins(1))
        } else {
            Duration::ZERO
        };
        self.heard().slow = slow;
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
        // Just before the first requests leave the window.
        let end = Instant::now() + Duration::from_secs(seconds) - Duration::from_millis(5);
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
        assert_eq!(first, 240);
        // The next window is as full as the first, not half of it.
        let second = sent_in(&limiter, 60, "/v2/droplets").await;
        assert_eq!(second, 240);
    }

    #[tokio::test(start_paused = true)]
    async fn no_sixty_seconds_see_more_than_the_limit_whatever_happened_before() {
        let limiter = std::sync::Arc::new(Limiter::new(Rate { per_minute: 10 }, 1));
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..50_u64 {
            let limiter = std::sync::Arc::clone(&limiter);
            tasks.spawn(async move {
                tokio::time::sleep(Duration::from_secs(n / 3)).await;
                if n == 20 {
                    limiter.close(Duration::from_secs(45));
                }
                limiter.acquire("/v2/droplets", |_| ()).await.unwrap();
                Instant::now()
            });
        }
        let mut sent = tasks.join_all().await;
        sent.sort();
        for pair in sent.windows(11) {
            let apart = pair[10].duration_since(pair[0]);
            assert!(apart >= Duration::from_mins(1), "{apart:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_faster_clock_has_a_faster_limit() {
        let limiter = Limiter::new(Rate::DIGITALOCEAN, 60);
        let sent = sent_in(&limiter, 1, "/v2/droplets").await;
        assert_eq!(sent, 240);
    }

    #[tokio::test(start_paused = true)]
    async fn key_lists_have_their_own_limit() {
        let limiter = Limiter::new(Rate::DIGITALOCEAN, 1);
        let sent = sent_in(&limiter, 60, "/v2/account/keys?page=1").await;
        assert_eq!(sent, 9);
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_limiter_lets_nobody_through() {
        let limiter = Limiter::new(Rate::DIGITALOCEAN, 1);
        limiter.close(Duration::from_secs(7));
        let start = Instant::now();
        let waits = Mutex::new(Vec::new());
        limiter
            .acquire("/v2/droplets", |wait| waits.lock().unwrap().push(wait))
            .await
            .unwrap();
        assert!(start.elapsed() >= Duration::from_secs(7));
        assert_eq!(*waits.lock().unwrap(), [Duration::from_secs(7)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_of_the_hour_is_spread_over_it() {
        let limiter = Limiter::new(Rate { per_minute: 600 }, 1);
        let mut headers = HeaderMap::new();
        headers.insert("ratelimit-limit", HeaderValue::from_static("5000"));
        headers.insert("ratelimit-remaining", HeaderValue::from_static("10"));
        headers.insert("ratelimit-reset", HeaderValue::from_static("1100"));
        limiter.heed(&headers, Timestamp::from_seconds(1000));
        let sent = sent_in(&limiter, 100, "/v2/droplets").await;
        assert!((10..=11).contains(&sent), "{sent}");
    }

    /// DigitalOcean's counting: 5,000 in any hour, told in the headers of each answer.
    struct Hour {
        begun: Instant,
        sent: VecDeque<Instant>,
        refused: u32,
    }

    impl Hour {
        const LIMIT: usize = 5000;
        const LENGTH: Duration = Duration::from_hours(1);

        fn answer(&mut self) -> (HeaderMap, Timestamp) {
            let now = Instant::now();
            while self
                .sent
                .front()
                .is_some_and(|first| *first + Self::LENGTH <= now)
            {
                self.sent.pop_front();
            }
            if self.sent.len() < Self::LIMIT {
                self.sent.push_back(now);
            } else {
                self.refused += 1;
            }
            let seconds = |moment: Instant| moment.duration_since(self.begun).as_secs();
            let reset = seconds(*self.sent.front().unwrap() + Self::LENGTH);
            let mut headers = HeaderMap::new();
            for (name, value) in [
                ("ratelimit-limit", 5000),
                (
                    "ratelimit-remaining",
                    u64::try_from(Self::LIMIT - self.sent.len()).unwrap(),
                ),
                ("ratelimit-reset", reset),
            ] {
                headers.insert(name, value.to_string().parse().unwrap());
            }
            let now = now.duration_since(self.begun).as_millis();
            (headers, Timestamp(i64::try_from(now).unwrap()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_hours_budget_is_kept_without_a_refusal() {
        let limiter = std::sync::Arc::new(Limiter::new(Rate::DIGITALOCEAN, 1));
        let begun = Instant::now();
        let hour = std::sync::Arc::new(Mutex::new(Hour {
            begun,
            sent: VecDeque::new(),
            refused: 0,
        }));
        // As many as the engine's default lets fly at once.
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..10 {
            let (limiter, hour) = (limiter.clone(), hour.clone());
            tasks.spawn(async move {
                for _ in 0..600 {
                    limiter.acquire("/v2/droplets", |_| ()).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(700)).await;
                    let (headers, now) = hour.lock().unwrap().answer();
                    limiter.heed(&headers, now);
                }
            });
        }
        tasks.join_all().await;
        let seconds = begun.elapsed().as_secs();
        let refused = hour.lock().unwrap().refused;
        println!("6000 calls took {seconds} s, {refused} were refused");
        assert_eq!(refused, 0);
        // 5,000 in the first hour, the rest at what the minute allows; not much later.
        assert!(seconds <= 3600 + 1000 * 60 / 240 + 60, "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_when_the_run_ends_is_not_sent() {
        let limiter = std::sync::Arc::new(Limiter::new(Rate { per_minute: 1 }, 1));
        limiter.acquire("/v2/droplets", |_| ()).await.unwrap();
        let waiting = {
            let limiter = limiter.clone();
            tokio::spawn(async move { limiter.acquire("/v2/droplets", |_| ()).await })
        };
        tokio::time::sleep(Duration::from_secs(5)).await;
        let start = Instant::now();
        limiter.stop();
        assert_eq!(waiting.await.unwrap(), Err(Stopped));
        assert_eq!(start.elapsed(), Duration::ZERO);
        // What waits only a moment still goes.
        tokio::time::sleep(Duration::from_secs(54)).await;
        assert_eq!(limiter.acquire("/v2/droplets", |_| ()).await, Ok(()));
    }
}
