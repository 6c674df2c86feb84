//! The wire between kplan and its remote sides: counts calls, lets some of them go wrong, and is
//! where a process dies amid its calls.

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use kplan_model::BoxFuture;
use kplan_providers::http::{Transport, TransportError};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// As the client of the real network: it gives up after a minute.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);

/// What befalls one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mishap {
    /// No connection is made.
    NoConnection,
    /// The connection is reset before the request is read.
    Reset,
    /// The request is carried out, its answer is lost.
    LostAnswer,
    /// The request is carried out and its answer takes so many seconds; longer than a minute is
    /// longer than the client waits.
    SlowAnswer(u16),
    /// 429 with that `retry-after`.
    Throttled(u16),
    /// An error of the server, before anything is done.
    Status(u16),
    /// Lists do not show, and reads answer 404 for, what is younger than so many seconds.
    Stale(u16),
    /// What the request starts takes so many seconds longer.
    SlowActions(u16),
    /// The action that the request starts ends in an error.
    FailedAction,
    /// Somebody else's droplet appears.
    NeighbourComes,
    /// Somebody else's droplet goes.
    NeighbourGoes,
    /// The process dies before the request is sent.
    DieBefore,
    /// The process dies when the request was carried out, before the answer.
    DieAfter,
    /// The process dies, and its request arrives so many milliseconds later.
    DieInFlight(u16),
    /// The process dies so many milliseconds after this call began.
    DieLater(u32),
}

/// Which remote side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Remote {
    /// DigitalOcean's API.
    Api,
    /// Spaces.
    Spaces,
    /// A cluster.
    Kubernetes,
}

/// What must happen at the cloud for a mishap that only it can do.
pub type AtCloud = dyn Fn(Mishap) + Send + Sync;

struct Shared {
    calls: AtomicU64,
    mishaps: Mutex<BTreeMap<u64, Mishap>>,
    /// Counts lives; a wire of an earlier one carries nothing.
    life: AtomicU64,
    dead: AtomicBool,
    died: Mutex<Arc<Notify>>,
    at_cloud: Mutex<Option<Arc<AtCloud>>>,
    trace: Mutex<Option<Vec<String>>>,
}

/// The network. Clones share it.
#[derive(Clone)]
pub struct Net(Arc<Shared>);

impl Net {
    /// A network in which the calls of these numbers, counted over all lives, go wrong.
    pub fn new(mishaps: BTreeMap<u64, Mishap>) -> Self {
        Self(Arc::new(Shared {
            calls: AtomicU64::new(0),
            mishaps: Mutex::new(mishaps),
            life: AtomicU64::new(0),
            dead: AtomicBool::new(false),
            died: Mutex::default(),
            at_cloud: Mutex::new(None),
            trace: Mutex::new(None),
        }))
    }

    /// Names who does what only the cloud can do.
    pub fn set_cloud(&self, at_cloud: Arc<AtCloud>) {
        *lock(&self.0.at_cloud) = Some(at_cloud);
    }

    /// Remembers every call from now on.
    pub fn start_trace(&self) {
        *lock(&self.0.trace) = Some(Vec::new());
    }

    /// What was remembered.
    pub fn trace(&self) -> Vec<String> {
        lock(&self.0.trace).clone().unwrap_or_default()
    }

    /// Adds a line to what is remembered.
    pub fn note(&self, line: impl FnOnce() -> String) {
        if let Some(trace) = lock(&self.0.trace).as_mut() {
            trace.push(line());
        }
    }

    /// Calls so far.
    pub fn calls(&self) -> u64 {
        self.0.calls.load(Ordering::Relaxed)
    }

    /// Nothing goes wrong from here on.
    pub fn heal(&self) {
        lock(&self.0.mishaps).clear();
    }

    /// The process is dead: it calls nobody and writes nothing any more.
    pub fn die(&self) {
        if !self.0.dead.swap(true, Ordering::SeqCst) {
            self.note(|| "the process dies".to_owned());
            lock(&self.0.died).notify_one();
        }
    }

    /// Whether it is.
    pub fn is_dead(&self) -> bool {
        self.0.dead.load(Ordering::SeqCst)
    }

    /// Resolves when the process dies.
    pub async fn died(&self) {
        let died = Arc::clone(&lock(&self.0.died));
        died.notified().await;
    }

    /// A new process.
    pub fn live_again(&self) {
        self.0.life.fetch_add(1, Ordering::SeqCst);
        self.0.dead.store(false, Ordering::SeqCst);
        *lock(&self.0.died) = Arc::default();
    }

    /// A wire of this life to a remote side.
    pub fn wire(&self, remote: Remote, inner: Arc<dyn Transport>) -> Arc<dyn Transport> {
        Arc::new(Wire {
            net: self.clone(),
            life: self.0.life.load(Ordering::SeqCst),
            remote,
            inner,
        })
    }

    fn at_cloud(&self, mishap: Mishap) {
        let at_cloud = lock(&self.0.at_cloud).clone();
        if let Some(at_cloud) = at_cloud {
            at_cloud(mishap);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Clone)]
struct Wire {
    net: Net,
    life: u64,
    remote: Remote,
    inner: Arc<dyn Transport>,
}

type Answer = Result<Response<Bytes>, TransportError>;

impl Wire {
    fn is_cut(&self) -> bool {
        self.net.is_dead() || self.net.0.life.load(Ordering::SeqCst) != self.life
    }

    /// What a dead process sees of the world.
    async fn nothing(&self) -> Answer {
        std::future::pending().await
    }

    async fn carry(self, request: Request<Bytes>) -> Answer {
        if self.is_cut() {
            return self.nothing().await;
        }
        let number = self.net.0.calls.fetch_add(1, Ordering::Relaxed);
        let mishap = lock(&self.net.0.mishaps).get(&number).copied();
        self.net.note(|| {
            let (method, uri, body) = (request.method(), request.uri(), told(request.body()));
            let mishap = mishap.map_or_else(String::new, |mishap| format!(" !! {mishap:?}"));
            format!("{number} {:?} {method} {uri} {body}{mishap}", self.remote)
        });
        let answer = match mishap {
            None => self.send(request).await,
            Some(mishap) => self.mishap(mishap, request).await,
        };
        self.net.note(|| match &answer {
            Ok(answer) if answer.status().is_success() => {
                format!("{number} -> {}", answer.status())
            }
            Ok(answer) => format!("{number} -> {} {}", answer.status(), told(answer.body())),
            Err(error) => format!("{number} -> {error}"),
        });
        if self.is_cut() {
            return self.nothing().await;
        }
        answer
    }

    async fn send(&self, request: Request<Bytes>) -> Answer {
        timeout(ANSWER_TIMEOUT, self.inner.call(request))
            .await
            .unwrap_or_else(|_| Err(TransportError::Lost("no answer for a minute".to_owned())))
    }

    async fn mishap(&self, mishap: Mishap, request: Request<Bytes>) -> Answer {
        match mishap {
            Mishap::NoConnection => Err(TransportError::NotSent("connection refused".to_owned())),
            Mishap::Reset => Err(TransportError::Lost("connection reset".to_owned())),
            Mishap::LostAnswer => {
                drop(self.send(request).await);
                Err(TransportError::Lost("connection reset".to_owned()))
            }
            Mishap::SlowAnswer(seconds) => {
                let answer = self.send(request).await;
                let seconds = Duration::from_secs(u64::from(seconds));
                sleep(seconds.min(ANSWER_TIMEOUT)).await;
                if seconds > ANSWER_TIMEOUT {
                    return Err(TransportError::Lost("no answer for a minute".to_owned()));
                }
                answer
            }
            Mishap::Throttled(seconds) => Ok(refusal(self.remote, 429, Some(seconds))),
            Mishap::Status(status) => Ok(refusal(self.remote, status, None)),
            Mishap::Stale(_) | Mishap::SlowActions(_) | Mishap::FailedAction => {
                if self.remote == Remote::Api {
                    self.net.at_cloud(mishap);
                }
                self.send(request).await
            }
            Mishap::NeighbourComes | Mishap::NeighbourGoes => {
                self.net.at_cloud(mishap);
                self.send(request).await
            }
            Mishap::DieBefore => {
                self.net.die();
                self.nothing().await
            }
            Mishap::DieAfter => {
                drop(self.send(request).await);
                self.net.die();
                self.nothing().await
            }
            Mishap::DieInFlight(millis) => {
                let inner = Arc::clone(&self.inner);
                drop(tokio::spawn(async move {
                    sleep(Duration::from_millis(u64::from(millis))).await;
                    drop(inner.call(request).await);
                }));
                self.net.die();
                self.nothing().await
            }
            Mishap::DieLater(millis) => {
                let (net, life) = (self.net.clone(), self.life);
                drop(tokio::spawn(async move {
                    sleep(Duration::from_millis(u64::from(millis))).await;
                    if net.0.life.load(Ordering::SeqCst) == life {
                        net.die();
                    }
                }));
                self.send(request).await
            }
        }
    }
}

impl Transport for Wire {
    fn call(&self, request: Request<Bytes>) -> BoxFuture<'static, Answer> {
        Box::pin(self.clone().carry(request))
    }
}

/// As much of a body as a line of the trace holds.
fn told(body: &Bytes) -> String {
    const MOST: usize = 200;
    String::from_utf8_lossy(&body[..body.len().min(MOST)]).into_owned()
}

/// A refusal as the remote side would word it.
fn refusal(remote: Remote, status: u16, retry_after: Option<u16>) -> Response<Bytes> {
    let (kind, body) = match remote {
        Remote::Api => (
            "application/json",
            r#"{"id":"refused","message":"refused by the simulation"}"#.to_owned(),
        ),
        Remote::Spaces => (
            "application/xml",
            format!(
                "<?xml version=\"1.0\"?><Error><Code>{}</Code></Error>",
                if status == 500 {
                    "InternalError"
                } else {
                    "SlowDown"
                }
            ),
        ),
        Remote::Kubernetes => (
            "application/json",
            format!(
                r#"{{"kind":"Status","apiVersion":"v1","status":"Failure","code":{status},"reason":"{}","message":"refused by the simulation"}}"#,
                if status == 429 {
                    "TooManyRequests"
                } else {
                    "InternalError"
                }
            ),
        ),
    };
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(seconds) = retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
