//! `SharedObjects`: objects below one prefix of a bucket as a store that several machines share
//! ([`ObjectStore`]). Its callers block, and may themselves run inside an asynchronous runtime
//! whose thread they hold; so requests are made by a thread of their own with a small runtime, and
//! one caller's request never waits for another's.

use super::Spaces;
use super::errors::{Does, map};
use super::objects::{Objects, Version};
use crate::k3s::pki::secret::hex;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::DateTime;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::date_time::Format;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use kplan_model::{
    BoxFuture, ErrorKind, Listed, Listing, ObjectStore, ProviderError, Put, Timestamp,
};
use sha2::{Digest as _, Sha256};
use std::future::Future;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::sync::mpsc;

/// How long a small request may take. Signs of life of a run rest on it: they have to be there, or
/// fail, well within the time for which a claim is valid.
const SMALL: Duration = Duration::from_secs(20);
/// Bytes a second that are waited for besides: a whole state may be large, and the line slow.
const PACE: usize = 64 * 1024;
/// How long a request may take at most, as every one of ours.
const LONGEST: Duration = Duration::from_mins(1);
/// How long it may take to read one object to its end: a gigabyte by a line of 10 Mbit/s.
const LARGE: Duration = Duration::from_mins(15);
/// What the thread that makes requests is given beyond their time.
const GRACE: Duration = Duration::from_secs(5);
/// Requests that wait to be begun. Callers block, so there are no more than threads.
const QUEUE: usize = 64;
/// Objects fetched at the same time.
const AT_ONCE: usize = 8;
/// Pages of a list: a million objects, thousands of times more than a state has.
const MAX_PAGES: u32 = 1000;

/// Objects below one prefix of a bucket.
pub struct SharedObjects {
    name: String,
    prefix: String,
    objects: Objects,
    jobs: mpsc::Sender<BoxFuture<'static, ()>>,
}

impl SharedObjects {
    /// The objects of `bucket` whose keys begin with `prefix`, which ends with a slash or is empty.
    ///
    /// # Errors
    /// `Denied` without keys; `Bug` where the system gives no thread.
    pub fn open(
        spaces: &Spaces,
        region: &str,
        bucket: &str,
        prefix: &str,
    ) -> Result<Self, ProviderError> {
        let objects = spaces.objects(region, bucket, None)?;
        let (jobs, mut queue) = mpsc::channel::<BoxFuture<'static, ()>>(QUEUE);
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| no_thread(&error))?;
        let requests = thread::Builder::new().name("kplan-state".to_owned());
        // Ends with the last sender.
        let worker = requests.spawn(move || {
            runtime.block_on(async {
                while let Some(job) = queue.recv().await {
                    drop(tokio::spawn(job));
                }
            });
        });
        worker.map_err(|error| no_thread(&error))?;
        Ok(Self {
            name: format!("s3://{bucket}/{prefix}")
                .trim_end_matches('/')
                .to_owned(),
            prefix: prefix.to_owned(),
            objects,
            jobs,
        })
    }

    /// Has a request made and waits for what comes of it, for a bounded time.
    fn call<T: Send + 'static>(
        &self,
        what: String,
        does: Does,
        limit: Duration,
        request: impl Future<Output = Result<T, ProviderError>> + Send + 'static,
    ) -> Result<T, ProviderError> {
        let (tell, told) = sync_channel(1);
        let job = async move {
            let done = tokio::time::timeout(limit, request).await;
            // Whoever asked may have given up.
            drop(tell.send(done.ok()));
        };
        self.jobs.try_send(Box::pin(job)).map_err(|_| {
            ProviderError::new(
                ErrorKind::Transient,
                format!("{what}: too many requests wait already"),
            )
        })?;
        match told.recv_timeout(limit + GRACE) {
            Ok(Some(done)) => done,
            Ok(None) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                let kind = match does {
                    Does::Read => ErrorKind::Transient,
                    Does::Write => ErrorKind::OutcomeUnknown,
                };
                let message = format!("{what}: no answer within {} s", limit.as_secs());
                Err(ProviderError::new(kind, message))
            }
        }
    }

    /// Size in bytes and SHA-256 of an object, in hexadecimal digits; `None` when it is not there.
    /// It is read to its end, and never held as a whole.
    ///
    /// # Errors
    /// As those of [`ObjectStore::get`]; `Transient` also where it takes more than a quarter of an hour.
    pub fn digest(&self, key: &str) -> Result<Option<(u64, String)>, ProviderError> {
        let (objects, key) = (self.objects.clone(), self.key(key));
        let what = objects.what("GET", &key);
        self.call(what, Does::Read, LARGE, async move {
            digest(&objects, &key).await
        })
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }
}

fn no_thread(error: &std::io::Error) -> ProviderError {
    ProviderError::new(
        ErrorKind::Bug,
        format!("the system gives no thread for the bucket's requests: {error}"),
    )
}

/// As [`map`]; a key that the store does not know is no bucket that still settles here.
fn refused<E>(what: &str, does: Does, error: SdkError<E, HttpResponse>) -> ProviderError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let mut error = map(what, does, error);
    if error.code.as_deref() == Some("InvalidAccessKeyId") {
        error.kind = ErrorKind::Denied;
    }
    error
}

/// How long a request with that much in it may take.
fn limit(bytes: usize) -> Duration {
    let more = u64::try_from(bytes / PACE).unwrap_or(u64::MAX);
    SMALL.saturating_add(Duration::from_secs(more)).min(LONGEST)
}

impl ObjectStore for SharedObjects {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn put_new(&self, key: &str, bytes: &[u8]) -> Result<Put, ProviderError> {
        let (objects, key) = (self.objects.clone(), self.key(key));
        let bytes = Bytes::copy_from_slice(bytes);
        let limit = limit(bytes.len());
        let what = objects.what("PUT", &key);
        self.call(what, Does::Write, limit, async move {
            let what = objects.what("PUT", &key);
            match objects.send_new(&key, bytes).await {
                Ok(_) => Ok(Put::Created),
                Err(error) => match refused(&what, Does::Write, error) {
                    error if error.kind == ErrorKind::Exists => Ok(Put::Exists),
                    error => Err(error),
                },
            }
        })
    }

    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, ProviderError> {
        let (objects, key) = (self.objects.clone(), self.key(key));
        let what = objects.what("GET", &key);
        self.call(what, Does::Read, LONGEST, async move {
            get(&objects, &key).await
        })
    }

    fn get_all(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, ProviderError> {
        let objects = self.objects.clone();
        let keys: Vec<String> = keys.iter().map(|key| self.key(key)).collect();
        let rounds = u32::try_from(keys.len().div_ceil(AT_ONCE)).unwrap_or(u32::MAX);
        let what = objects.what("GET", &format!("{} objects", keys.len()));
        let limit = LONGEST.saturating_mul(rounds.max(1));
        self.call(what, Does::Read, limit, async move {
            let found = stream::iter(keys).map(|key| {
                let objects = objects.clone();
                async move { get(&objects, &key).await }
            });
            found.buffered(AT_ONCE).try_collect().await
        })
    }

    fn list(&self, prefix: &str, after: Option<&str>) -> Result<Listing, ProviderError> {
        let (objects, root) = (self.objects.clone(), self.prefix.clone());
        let (full, after) = (self.key(prefix), after.map(|key| self.key(key)));
        let what = objects.what("LIST", &full);
        self.call(what, Does::Read, LONGEST, async move {
            list(&objects, &root, &full, after).await
        })
    }

    fn delete(&self, keys: &[String]) -> Result<(), ProviderError> {
        let objects = self.objects.clone();
        let doomed: Vec<Version> = keys
            .iter()
            .map(|key| Version::newest(self.key(key)))
            .collect();
        let what = objects.what("DELETE", &format!("{} objects", keys.len()));
        self.call(what, Does::Write, LONGEST, async move {
            objects.delete(&doomed).await
        })
    }
}

/// An object. Only its own absence is `None`: that of the bucket is an error.
async fn open(objects: &Objects, key: &str) -> Result<Option<ByteStream>, ProviderError> {
    match objects.send_get(key).await {
        Ok(answer) => Ok(Some(answer.body)),
        Err(error) => {
            let error = refused(&objects.what("GET", key), Does::Read, error);
            let absent =
                error.kind == ErrorKind::NotFound && error.code.as_deref() == Some("NoSuchKey");
            if absent { Ok(None) } else { Err(error) }
        }
    }
}

fn cut_off(objects: &Objects, key: &str) -> ProviderError {
    let what = objects.what("GET", key);
    ProviderError::new(
        ErrorKind::Transient,
        format!("{what}: the answer was cut off"),
    )
}

async fn get(objects: &Objects, key: &str) -> Result<Option<Vec<u8>>, ProviderError> {
    let Some(body) = open(objects, key).await? else {
        return Ok(None);
    };
    let body = body.collect().await.map_err(|_| cut_off(objects, key))?;
    Ok(Some(body.into_bytes().to_vec()))
}

async fn digest(objects: &Objects, key: &str) -> Result<Option<(u64, String)>, ProviderError> {
    let Some(mut body) = open(objects, key).await? else {
        return Ok(None);
    };
    let (mut size, mut hash) = (0, Sha256::new());
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|_| cut_off(objects, key))?;
        size += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        hash.update(&chunk);
    }
    Ok(Some((size, hex(&hash.finalize()))))
}

async fn list(
    objects: &Objects,
    root: &str,
    prefix: &str,
    after: Option<String>,
) -> Result<Listing, ProviderError> {
    let what = objects.what("LIST", prefix);
    let mut listing = Listing::default();
    let mut token: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let date = Date::default();
        let page = objects
            .page(prefix)
            .set_start_after(after.clone())
            .set_continuation_token(token)
            .customize()
            .interceptor(date.clone())
            .send()
            .await
            .map_err(|error| refused(&what, Does::Read, error))?;
        listing.now = date.told().ok_or_else(|| undated(&what))?;
        for object in page.contents() {
            let modified = object.last_modified().and_then(|at| at.to_millis().ok());
            let key = object.key().and_then(|key| key.strip_prefix(root));
            let (Some(key), Some(modified)) = (key, modified) else {
                return Err(undated(&what));
            };
            listing.objects.push(Listed {
                key: key.to_owned(),
                modified: Timestamp(modified),
            });
        }
        token = page.next_continuation_token().map(str::to_owned);
        if token.is_none() {
            return Ok(listing);
        }
    }
    Err(ProviderError::new(
        ErrorKind::Bug,
        format!("{what}: the list does not end"),
    ))
}

fn undated(what: &str) -> ProviderError {
    ProviderError::new(
        ErrorKind::Invalid,
        format!("{what}: the store does not say what time it is, or when its objects were written"),
    )
    .help("who holds the lock is told by the store's own clock")
}

/// Keeps the Date of an answer.
#[derive(Clone, Debug, Default)]
struct Date(Arc<Mutex<Option<Timestamp>>>);

impl Date {
    fn told(&self) -> Option<Timestamp> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Intercept for Date {
    fn name(&self) -> &'static str {
        "Date"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let at = date
            .and_then(|text| DateTime::from_str(text, Format::HttpDate).ok())
            .and_then(|at| at.to_millis().ok());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = at.map(Timestamp);
        Ok(())
    }
}
