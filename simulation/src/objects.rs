//! A store of objects in memory, as a bucket that several machines share: what is created is there
//! for good, whoever dies; answers can be lost.

use crate::fate::{Extent, Fate, Why};
use crate::world::SimClock;
use kplan_engine::Clock as _;
use kplan_model::{ErrorKind, Listed, Listing, ObjectStore, ProviderError, Put, Timestamp};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Default)]
struct State {
    objects: BTreeMap<String, (Vec<u8>, Timestamp)>,
}

/// See the module. Clones share it.
#[derive(Clone)]
pub struct MemObjects {
    state: Arc<Mutex<State>>,
    fate: Fate,
    clock: SimClock,
}

fn error(why: Why) -> ProviderError {
    match why {
        Why::Dead => ProviderError::new(ErrorKind::Failed, "the process is dead"),
        Why::Failed => ProviderError::new(ErrorKind::OutcomeUnknown, "the answer was lost"),
        // A bucket is never full; it may be busy.
        Why::Full => ProviderError::new(ErrorKind::Throttled, "slow down"),
    }
}

impl MemObjects {
    /// An empty store.
    pub fn new(fate: Fate, clock: SimClock) -> Self {
        Self {
            state: Arc::default(),
            fate,
            clock,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every object.
    pub fn contents(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let state = self.state();
        let objects = state.objects.iter();
        objects
            .map(|(key, (bytes, _))| (PathBuf::from(key), bytes.clone()))
            .collect()
    }

    /// What the process may read: nothing once it is dead.
    fn read(&self) -> Result<MutexGuard<'_, State>, ProviderError> {
        if self.fate.is_dead() {
            return Err(error(Why::Dead));
        }
        Ok(self.state())
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> Result<T, ProviderError> {
        let (extent, why) = self.fate.next();
        // A request that arrived in part is none; one whose sender died was sent.
        let done = match (extent, why) {
            (Extent::All, _) | (Extent::Half, Some(Why::Dead)) => Ok(change(&mut self.state())),
            (Extent::None | Extent::Half, why) => Err(error(why.unwrap_or(Why::Failed))),
        };
        why.map_or(done, |why| Err(error(why)))
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
        let state = self.read()?;
        Ok(state.objects.get(key).map(|(bytes, _)| bytes.clone()))
    }

    fn list(&self, prefix: &str, after: Option<&str>) -> Result<Listing, ProviderError> {
        let state = self.read()?;
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
