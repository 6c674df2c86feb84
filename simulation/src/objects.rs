//! A store of objects in memory, as a bucket that several machines share: what is created is there
//! for good, whoever dies; answers can be lost.

use crate::disk::DiskMishap;
use crate::net::Net;
use crate::world::SimClock;
use kplan_engine::Clock as _;
use kplan_model::{ErrorKind, Listed, Listing, ObjectStore, ProviderError, Put, Timestamp};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Default)]
struct State {
    objects: BTreeMap<String, (Vec<u8>, Timestamp)>,
    operations: u64,
    mishaps: BTreeMap<u64, DiskMishap>,
}

/// See the module. Clones share it.
#[derive(Clone)]
pub struct MemObjects {
    state: Arc<Mutex<State>>,
    net: Net,
    clock: SimClock,
}

/// What becomes of one changing call.
enum Go {
    Do,
    /// It is done, and its answer is this error.
    DoThen(ProviderError),
    Not(ProviderError),
}

fn lost() -> ProviderError {
    ProviderError::new(ErrorKind::OutcomeUnknown, "the answer was lost")
}

/// Says nothing more: the process is dead.
fn dead() -> ProviderError {
    ProviderError::new(ErrorKind::Failed, "the process is dead")
}

impl MemObjects {
    /// An empty store; the changing calls of these numbers go wrong.
    pub fn new(net: Net, clock: SimClock, mishaps: BTreeMap<u64, DiskMishap>) -> Self {
        let state = State {
            mishaps,
            ..State::default()
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            net,
            clock,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing goes wrong from here on.
    pub fn heal(&self) {
        self.state().mishaps.clear();
    }

    /// How many changing calls there were.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Every object.
    pub fn contents(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let state = self.state();
        let objects = state.objects.iter();
        objects
            .map(|(key, (bytes, _))| (PathBuf::from(key), bytes.clone()))
            .collect()
    }

    fn next(&self) -> Go {
        if self.net.is_dead() {
            return Go::Not(dead());
        }
        let mut state = self.state();
        let number = state.operations;
        state.operations += 1;
        match state.mishaps.get(&number) {
            None => Go::Do,
            // A bucket is never full; it may be busy.
            Some(DiskMishap::Full) => {
                Go::Not(ProviderError::new(ErrorKind::Throttled, "slow down"))
            }
            Some(DiskMishap::Fails) => Go::DoThen(lost()),
            Some(DiskMishap::DieBefore) => {
                self.net.die();
                Go::Not(dead())
            }
            Some(DiskMishap::DieHalfway | DiskMishap::DieAfter) => {
                self.net.die();
                Go::DoThen(dead())
            }
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> Result<T, ProviderError> {
        match self.next() {
            Go::Do => Ok(change(&mut self.state())),
            Go::DoThen(error) => {
                change(&mut self.state());
                Err(error)
            }
            Go::Not(error) => Err(error),
        }
    }
}

impl ObjectStore for MemObjects {
    fn name(&self) -> String {
        "s3://simulation".to_owned()
    }

    fn put_new(&self, key: &str, bytes: &[u8]) -> Result<Put, ProviderError> {
        let now = self.clock.now();
        self.change(|state| {
            if state.objects.contains_key(key) {
                return Put::Exists;
            }
            state.objects.insert(key.to_owned(), (bytes.to_vec(), now));
            Put::Created
        })
    }

    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, ProviderError> {
        if self.net.is_dead() {
            return Err(dead());
        }
        let state = self.state();
        Ok(state.objects.get(key).map(|(bytes, _)| bytes.clone()))
    }

    fn list(&self, prefix: &str, after: Option<&str>) -> Result<Listing, ProviderError> {
        if self.net.is_dead() {
            return Err(dead());
        }
        let state = self.state();
        let fits = |key: &String| {
            key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after)
        };
        let objects = state.objects.iter().filter(|(key, _)| fits(key));
        Ok(Listing {
            objects: objects
                .map(|(key, (_, modified))| Listed {
                    key: key.clone(),
                    modified: *modified,
                })
                .collect(),
            now: self.clock.now(),
        })
    }

    fn delete(&self, keys: &[String]) -> Result<(), ProviderError> {
        self.change(|state| {
            for key in keys {
                state.objects.remove(key);
            }
        })
    }
}
