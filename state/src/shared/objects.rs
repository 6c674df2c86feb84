//! Calls to the store of objects, repeated where that may help, and what its refusals mean here.

use super::record::damaged;
use crate::error::{code, error_help};
use kplan_model::{ErrorKind, Listing, ObjectStore, ProviderError, Put, StoreError};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How often a call is made at most.
const ATTEMPTS: u32 = 5;
/// The first pause between two attempts; each later one is twice as long. Two seconds in all is
/// what a store needs to get over a hiccup, and a run waits for it meanwhile.
pub(crate) const FIRST_PAUSE: Duration = if cfg!(test) {
    // The bucket of tests gets over nothing by waiting.
    Duration::ZERO
} else {
    Duration::from_millis(150)
};
/// When this much time has passed, no further attempt is made: what a holder writes must be over
/// well before others may take over (see [`super::lease`]).
const AT_MOST: Duration = Duration::from_mins(1);

/// What came of a create.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Created {
    /// The object is there with these bytes, by this call or by one whose answer was lost.
    New,
    /// Somebody else's object is there: its bytes.
    Taken(Vec<u8>),
}

/// A store of objects.
#[derive(Clone)]
pub(super) struct Objects {
    store: Arc<dyn ObjectStore>,
    pause: Duration,
}

impl Objects {
    pub(super) fn new(store: Arc<dyn ObjectStore>, pause: Duration) -> Self {
        Self { store, pause }
    }

    /// The root, for messages.
    pub(super) fn name(&self) -> String {
        self.store.name()
    }

    /// The name of an object, for messages.
    pub(super) fn at(&self, key: &str) -> String {
        format!("{}/{key}", self.store.name())
    }

    /// Creates an object. Where an answer is lost, what is there now tells what came of it: the
    /// bytes are this writer's alone. Repeating it is safe: it can be created once.
    ///
    /// # Errors
    /// When it is refused, and when after all attempts nobody knows whether it is there.
    pub(super) fn create(&self, key: &str, bytes: &[u8]) -> Result<Created, StoreError> {
        self.attempts(|| match self.store.put_new(key, bytes)? {
            Put::Created => Ok(Created::New),
            Put::Exists => match self.store.get(key)? {
                Some(there) if there == bytes => Ok(Created::New),
                Some(there) => Ok(Created::Taken(there)),
                // It was deleted in between, or the store is not of one mind yet.
                None => Err(ProviderError::new(
                    ErrorKind::Busy,
                    "it is there and cannot be read",
                )),
            },
        })
        .map_err(|error| self.trouble("write", key, &error))
    }

    /// One create and its answer as it is; for the probe.
    pub(super) fn put_once(&self, key: &str, bytes: &[u8]) -> Result<Put, StoreError> {
        self.attempts(|| self.store.put_new(key, bytes))
            .map_err(|error| self.trouble("write", key, &error))
    }

    /// An object's bytes; `None` when it is not there.
    pub(super) fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.attempts(|| self.store.get(key))
            .map_err(|error| self.trouble("read", key, &error))
    }

    /// The bytes of several objects.
    pub(super) fn get_all(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let found = self
            .attempts(|| self.store.get_all(keys))
            .map_err(|error| self.trouble("read", &keys[0], &error))?;
        if found.len() == keys.len() {
            return Ok(found);
        }
        Err(damaged(
            &self.name(),
            "it answered with another number of objects",
        ))
    }

    /// What is there.
    pub(super) fn list(&self, prefix: &str, after: Option<&str>) -> Result<Listing, StoreError> {
        self.attempts(|| self.store.list(prefix, after))
            .map_err(|error| self.trouble("list", prefix, &error))
    }

    /// Deletes objects.
    pub(super) fn delete(&self, keys: &[String]) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        self.attempts(|| self.store.delete(keys))
            .map_err(|error| self.trouble("delete", &keys[0], &error))
    }

    fn attempts<T>(&self, call: impl Fn() -> Result<T, ProviderError>) -> Result<T, ProviderError> {
        let began = Instant::now();
        let mut pause = self.pause;
        for _ in 1..ATTEMPTS {
            match call() {
                Err(error) if passes(error.kind) && began.elapsed() < AT_MOST => {}
                other => return other,
            }
            thread::sleep(pause);
            pause *= 2;
        }
        call()
    }

    fn trouble(&self, doing: &str, key: &str, error: &ProviderError) -> StoreError {
        let message = format!("cannot {doing} {}: {error}", self.at(key));
        let (code, help) = match error.kind {
            ErrorKind::NotFound => (
                code::NO_BUCKET,
                "make the bucket first (kplan does not: it must outlive every cluster), or correct \
                 `[state] backend`; until it can be read, nobody knows what is on record",
            ),
            ErrorKind::Denied => (
                code::DENIED,
                "give a key that may read, write, list and delete in this bucket, in \
                 SPACES_ACCESS_KEY_ID and SPACES_SECRET_ACCESS_KEY (or the AWS_ names)",
            ),
            ErrorKind::Transient
            | ErrorKind::OutcomeUnknown
            | ErrorKind::Throttled
            | ErrorKind::Busy => (
                code::UNREACHABLE,
                "without the bucket nobody knows what is on record, so nothing more is done; run \
                 the command again when it answers",
            ),
            _ => (
                code::STORE,
                "the store refuses what kplan needs; see its own words above",
            ),
        };
        let help = match &error.help {
            Some(more) => format!("{more}; {help}"),
            None => help.to_owned(),
        };
        error_help(code, message, help)
    }
}

/// Whether trying again may help.
fn passes(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Transient | ErrorKind::OutcomeUnknown | ErrorKind::Throttled | ErrorKind::Busy
    )
}
