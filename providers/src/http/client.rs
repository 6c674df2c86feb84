//! The HTTP client: token, limits, bounded retries of what is safe to repeat, error mapping.

use super::clock::Now;
use super::errors::{Asked, from_answer, from_transport};
use super::event::{HttpEvent, OnEvent};
use super::flight::Flights;
use super::limiter::{Limiter, Quota, Rate, Stopped};
use super::page::{self, List, MAX_PER_PAGE};
use super::statistics::Statistics;
use super::transport::{Transport, TransportError};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use kplan_model::{ErrorKind, Permit, ProviderError, Secret, Timestamp, Tried};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often one call is made at most.
const ATTEMPTS: u32 = 5;
/// The first pause between attempts; each later one is twice as long, shortened by up to half.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// A longer wait is not sat out here: the error goes up and says how long.
const LONGEST_WAIT: Duration = Duration::from_secs(90);

/// What a client is made of.
pub struct ClientConfig {
    /// Where the API is, such as `https://api.digitalocean.com`.
    pub base_url: String,
    /// The API token.
    pub token: Secret,
    /// Carries the requests.
    pub transport: Arc<dyn Transport>,
    /// How fast requests may follow each other.
    pub rate: Rate,
    /// How many times faster than the real cloud's the remote side's clock runs; 1 for the real
    /// one. Limits and pauses follow it.
    pub scale: u32,
    /// Counts the requests.
    pub statistics: Arc<Statistics>,
    /// The current moment.
    pub now: Now,
    /// Hears of waits and retries.
    pub on_event: Option<OnEvent>,
    /// Items asked for per page, 1 to 200; tests take few so as to see several pages.
    pub per_page: u32,
    /// Seeds the jitter of retries; the same seed gives the same pauses.
    pub seed: u64,
}

struct Inner {
    base: String,
    token: Secret,
    transport: Arc<dyn Transport>,
    limiter: Limiter,
    scale: u32,
    statistics: Arc<Statistics>,
    now: Now,
    on_event: Option<OnEvent>,
    random: AtomicU64,
    flights: Flights,
    per_page: u32,
    /// Paths of what was deleted with this client.
    deleted: Mutex<BTreeSet<String>>,
}

/// A client of one API with one token. Clones share the limiter and the lists under way.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

impl Client {
    /// A client.
    pub fn new(config: ClientConfig) -> Self {
        let base = config.base_url.trim_end_matches('/');
        let base = base.strip_suffix("/v2").unwrap_or(base).to_owned();
        Self(Arc::new(Inner {
            base,
            token: config.token,
            transport: config.transport,
            limiter: Limiter::new(config.rate, config.scale),
            scale: config.scale.max(1),
            statistics: config.statistics,
            now: config.now,
            on_event: config.on_event,
            random: AtomicU64::new(config.seed),
            flights: Flights::default(),
            per_page: config.per_page.clamp(1, MAX_PER_PAGE),
            deleted: Mutex::default(),
        }))
    }

    /// Reads something.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ProviderError> {
        let answer = self.send(&Method::GET, path, Bytes::new()).await?;
        read_json(&Method::GET, path, answer.body())
    }

    /// Reads something that may not be there: `None` when the remote side says so.
    pub async fn get_optional<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<Option<T>, ProviderError> {
        match self.get(path).await {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads a whole list. Equal lists asked for while one is waiting to be sent share it.
    pub async fn list<T: DeserializeOwned>(&self, list: &List) -> Result<Vec<T>, ProviderError> {
        let (client, wanted) = (self.clone(), list.clone());
        let items = self
            .0
            .flights
            .join(&list.page(1, self.per_page()), move || async move {
                page::read(&client, &wanted).await
            })
            .await?;
        items
            .iter()
            .map(|item| {
                T::deserialize(item).map_err(|_| {
                    let name = std::any::type_name::<T>();
                    ProviderError::new(
                        ErrorKind::Bug,
                        format!("an item of GET {} is not a {name}", list.path),
                    )
                })
            })
            .collect()
    }

    /// Makes a changing call and reads its answer.
    pub async fn change<T: DeserializeOwned>(
        &self,
        permit: &Permit,
        method: &Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ProviderError> {
        let answer = self.change_only(permit, method, path, body).await?;
        read_json(method, path, &answer)
    }

    /// Makes a changing call whose answer has no use.
    pub async fn change_only(
        &self,
        _permit: &Permit,
        method: &Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Bytes, ProviderError> {
        let body = serde_json::to_vec(body).map_err(|_| {
            ProviderError::new(
                ErrorKind::Bug,
                format!("the body of {method} {path} has no JSON form"),
            )
        })?;
        let answer = self.send(method, path, Bytes::from(body)).await?;
        Ok(answer.into_body())
    }

    /// Destroys something; already gone is fine.
    pub async fn delete(&self, _permit: &Permit, path: &str) -> Result<(), ProviderError> {
        match self.send(&Method::DELETE, path, Bytes::new()).await {
            Ok(_) => {
                self.deleted().insert(path.to_owned());
                Ok(())
            }
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether this client deleted what is at that path: it may be shown for a while.
    pub fn has_deleted(&self, path: &str) -> bool {
        self.deleted().contains(path)
    }

    fn deleted(&self) -> MutexGuard<'_, BTreeSet<String>> {
        let deleted = self.0.deleted.lock();
        deleted.unwrap_or_else(PoisonError::into_inner)
    }

    /// The run ends: nothing waits any longer to be sent, and nothing is tried again.
    pub fn stop(&self) {
        self.0.limiter.stop();
    }

    /// What is left of the token's hour, as the newest answer said.
    pub fn quota(&self) -> Option<Quota> {
        self.0.limiter.quota()
    }

    /// A pause of the remote side's clock.
    pub async fn pause(&self, cloud: Duration) {
        tokio::time::sleep(cloud / self.0.scale).await;
    }

    /// Whether so much time has passed since then on the remote side's clock.
    pub fn is_past(&self, since: Timestamp, cloud: Duration) -> bool {
        let local = (cloud / self.0.scale).as_millis();
        (self.0.now)().since(since) >= i64::try_from(local).unwrap_or(i64::MAX)
    }

    pub(super) fn per_page(&self) -> u32 {
        self.0.per_page
    }

    async fn send(
        &self,
        method: &Method,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Bytes>, ProviderError> {
        let asked = Asked { method, path };
        let began = tokio::time::Instant::now();
        let mut attempt = 1;
        loop {
            let (error, again) = match self.attempt(method, path, &body).await? {
                Ok(answer) if answer.status().is_success() => return Ok(answer),
                Ok(answer) => {
                    let error = from_answer(asked, &answer, (self.0.now)());
                    let refused = answer.status() == StatusCode::TOO_MANY_REQUESTS;
                    (error, refused)
                }
                Err(lost) => {
                    let not_sent = matches!(lost, TransportError::NotSent(_));
                    (from_transport(asked, &lost), not_sent)
                }
            };
            // A 429 and a connection that was never made are known to have changed nothing;
            // everything else is repeated only where it reads.
            let again = again || (asked.reads() && error.kind == ErrorKind::Transient);
            let wait = self.wait_before(attempt, &error);
            if error.kind == ErrorKind::Throttled {
                // Whoever comes next would be refused, too.
                self.0.limiter.close(wait);
            }
            let over = attempt >= ATTEMPTS || wait > LONGEST_WAIT || self.0.limiter.is_stopped();
            if !again || over {
                return Err(self.redact(tried(error, attempt, began.elapsed())));
            }
            if error.kind == ErrorKind::Throttled {
                self.tell(HttpEvent::Limited {
                    wait,
                    refused: true,
                });
            } else {
                self.tell(HttpEvent::Retrying {
                    wait,
                    what: asked.name(),
                    why: error.message.clone(),
                });
                if self.0.limiter.sleep(wait).await.is_err() {
                    return Err(self.redact(tried(error, attempt, began.elapsed())));
                }
            }
            attempt += 1;
        }
    }

    /// One attempt. The outer error is one that no attempt could avoid.
    async fn attempt(
        &self,
        method: &Method,
        path: &str,
        body: &Bytes,
    ) -> Result<Result<Response<Bytes>, TransportError>, ProviderError> {
        let request = self.request(method, path, body.clone())?;
        self.0
            .limiter
            .acquire(path, |wait| {
                self.tell(HttpEvent::Limited {
                    wait,
                    refused: false,
                });
            })
            .await
            .map_err(|Stopped| not_sent(Asked { method, path }))?;
        self.0.statistics.count();
        let answer = self.0.transport.call(request).await;
        if let Ok(answer) = &answer {
            self.0.limiter.heed(answer.headers(), (self.0.now)());
        }
        Ok(answer)
    }

    fn request(
        &self,
        method: &Method,
        path: &str,
        body: Bytes,
    ) -> Result<Request<Bytes>, ProviderError> {
        let token = self.0.token.expose().ok_or_else(|| {
            ProviderError::new(ErrorKind::Denied, "the DigitalOcean token is not readable")
        })?;
        let mut bearer = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| {
            ProviderError::new(
                ErrorKind::Denied,
                "the DigitalOcean token has characters that no token has",
            )
            .help("check the source the token comes from: a line break or a quote too many?")
        })?;
        bearer.set_sensitive(true);
        let mut request = Request::builder()
            .method(method.clone())
            .uri(format!("{}{path}", self.0.base))
            .header(header::AUTHORIZATION, bearer)
            .header(header::ACCEPT, "application/json")
            .header(
                header::USER_AGENT,
                concat!("kplan/", env!("CARGO_PKG_VERSION")),
            );
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        request.body(body).map_err(|_| {
            ProviderError::new(
                ErrorKind::Invalid,
                format!("`{}` is not the address of an API", self.0.base),
            )
            .help("it looks like https://api.digitalocean.com")
        })
    }

    fn wait_before(&self, attempt: u32, error: &ProviderError) -> Duration {
        if let Some(seconds) = error.retry_after {
            return Duration::from_secs(u64::from(seconds));
        }
        let pause = FIRST_PAUSE * 2_u32.saturating_pow(attempt.saturating_sub(1)) / self.0.scale;
        let half = pause / 2;
        let share = u32::try_from(self.random() % 1000).unwrap_or(0);
        half + half * share / 1000
    }

    /// splitmix64: jitter needs spread, not secrecy.
    fn random(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self
            .0
            .random
            .fetch_add(STEP, Ordering::Relaxed)
            .wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn tell(&self, event: HttpEvent) {
        if let Some(on_event) = &self.0.on_event {
            on_event(event);
        }
    }

    /// No message ever holds the token, whatever a remote side or a proxy echoes.
    fn redact(&self, mut error: ProviderError) -> ProviderError {
        if let Some(token) = self.0.token.expose().filter(|token| !token.is_empty()) {
            error.message = error.message.replace(token, "(token)");
        }
        error
    }
}

/// Says how often it was tried, where that was more than once.
fn tried(mut error: ProviderError, times: u32, took: Duration) -> ProviderError {
    error.tried = (times > 1).then(|| Tried::new(times, took));
    error
}

/// The run ended before it was sent.
fn not_sent(asked: Asked<'_>) -> ProviderError {
    ProviderError::new(
        ErrorKind::Transient,
        format!(
            "{} was not sent: the run was stopped while it waited for DigitalOcean's rate limit",
            asked.name()
        ),
    )
}

/// Reads an answer. The parser's own text is left out: it may quote a secret.
fn read_json<T: DeserializeOwned>(
    method: &Method,
    path: &str,
    body: &[u8],
) -> Result<T, ProviderError> {
    serde_json::from_slice(body).map_err(|error| {
        let path = path.split('?').next().unwrap_or(path);
        ProviderError::new(
            // The call was made and answered with success; only a reading one may be repeated.
            if *method == Method::POST {
                ErrorKind::OutcomeUnknown
            } else {
                ErrorKind::Bug
            },
            format!(
                "the answer of {method} {path} cannot be read: {:?} error at line {}, column {}",
                error.classify(),
                error.line(),
                error.column()
            ),
        )
        .help("DigitalOcean's API changed, or a proxy answered in its place; please report it")
    })
}

#[cfg(test)]
mod tests;
