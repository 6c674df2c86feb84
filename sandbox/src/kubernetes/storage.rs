//! Objects, their resource versions and the log that watches read.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::watch;

use super::object::{self, Object};
use crate::store::{Batch, Store, StoreError};

/// Changes a watch can start from; older resource versions answer 410.
const LOG: usize = 8192;

/// Name inside a collection: namespace (empty for objects of the whole cluster) and name.
pub(crate) type Name = (String, String);

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventKind {
    Added,
    Modified,
    Deleted,
}

/// One change.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) version: u64,
    pub(crate) collection: String,
    pub(crate) kind: EventKind,
    pub(crate) object: Object,
    /// What stood there before, to tell whether a selector's view gained or lost the object.
    pub(crate) previous: Option<Object>,
}

#[derive(Debug, Default)]
struct State {
    version: u64,
    objects: BTreeMap<String, BTreeMap<Name, Object>>,
    log: VecDeque<Arc<Event>>,
    /// Version of the last change that fell out of the log.
    forgotten: u64,
}

/// Why a write was not made.
#[derive(Debug)]
pub(crate) enum WriteError {
    Exists,
    Missing,
    /// The named resource version is not the current one.
    Stale,
    Store(StoreError),
}

/// The objects of one cluster.
#[derive(Debug)]
pub(crate) struct Storage {
    state: Mutex<State>,
    store: Store,
    /// Collection in the store.
    place: String,
    changed: watch::Sender<u64>,
}

impl Storage {
    /// Reads a cluster's objects back.
    pub(crate) fn open(store: Store, id: &str) -> Result<Storage, StoreError> {
        let place = format!("k8s/{id}");
        let mut state = State::default();
        for (key, value) in store.load::<Value>(&place)? {
            if key == "version" {
                state.version = state.version.max(value.as_u64().unwrap_or(0));
                continue;
            }
            let version = resource_version(&value);
            state.version = state.version.max(version);
            if let Some((collection, _)) = split_key(&key) {
                let name = (
                    object::namespace(&value).to_owned(),
                    object::name(&value).to_owned(),
                );
                state
                    .objects
                    .entry(collection.to_owned())
                    .or_default()
                    .insert(name, Arc::new(value));
            }
        }
        state.forgotten = state.version;
        let changed = watch::Sender::new(state.version);
        Ok(Storage {
            state: Mutex::new(state),
            store,
            place,
            changed,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The version of the last change.
    pub(crate) fn version(&self) -> u64 {
        self.state().version
    }

    /// Follows the version.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// One object.
    pub(crate) fn get(&self, collection: &str, namespace: &str, name: &str) -> Option<Object> {
        let key = (namespace.to_owned(), name.to_owned());
        self.state().objects.get(collection)?.get(&key).cloned()
    }

    /// The objects of a collection, by namespace and name, with the version they are of.
    pub(crate) fn list(&self, collection: &str, namespace: Option<&str>) -> (Vec<Object>, u64) {
        let state = self.state();
        let found = state
            .objects
            .get(collection)
            .map_or_else(Vec::new, |objects| {
                objects
                    .iter()
                    .filter(|((ns, _), _)| namespace.is_none_or(|wanted| wanted == ns))
                    .map(|(_, object)| object.clone())
                    .collect()
            });
        (found, state.version)
    }

    /// All objects of a collection.
    pub(crate) fn all(&self, collection: &str) -> Vec<Object> {
        self.list(collection, None).0
    }

    /// Every collection that has objects.
    pub(crate) fn collections(&self) -> Vec<String> {
        let state = self.state();
        state
            .objects
            .iter()
            .filter(|(_, objects)| !objects.is_empty())
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// Changes of a collection after a version, or `None` when they are forgotten.
    pub(crate) fn since(&self, collection: &str, version: u64) -> Option<(Vec<Arc<Event>>, u64)> {
        let state = self.state();
        if version < state.forgotten {
            return None;
        }
        let start = state.log.partition_point(|event| event.version <= version);
        let found = state
            .log
            .range(start..)
            .filter(|e| e.collection == collection)
            .cloned();
        Some((found.collect(), state.version))
    }

    /// Stores a new object.
    pub(crate) fn create(&self, collection: &str, object: Value) -> Result<Object, WriteError> {
        let mut state = self.state();
        let name = name_of(&object);
        if state
            .objects
            .get(collection)
            .is_some_and(|objects| objects.contains_key(&name))
        {
            return Err(WriteError::Exists);
        }
        self.write(&mut state, collection, object, EventKind::Added, None)
    }

    /// Replaces an object whose resource version is still the one inside `object`.
    pub(crate) fn update(&self, collection: &str, object: Value) -> Result<Object, WriteError> {
        let mut state = self.state();
        let name = name_of(&object);
        let current = state
            .objects
            .get(collection)
            .and_then(|objects| objects.get(&name))
            .cloned();
        let Some(current) = current else {
            return Err(WriteError::Missing);
        };
        if resource_version(&current) != resource_version(&object) {
            return Err(WriteError::Stale);
        }
        self.write(
            &mut state,
            collection,
            object,
            EventKind::Modified,
            Some(current),
        )
    }

    fn write(
        &self,
        state: &mut State,
        collection: &str,
        mut object: Value,
        kind: EventKind,
        previous: Option<Object>,
    ) -> Result<Object, WriteError> {
        let version = state.version + 1;
        object::set(
            &mut object,
            &["metadata", "resourceVersion"],
            version.to_string(),
        );
        let name = name_of(&object);
        let mut batch = Batch::default();
        batch
            .put(&self.place, &key(collection, &name), &object)
            .map_err(WriteError::Store)?;
        self.store.append(batch).map_err(WriteError::Store)?;
        let object = Arc::new(object);
        state
            .objects
            .entry(collection.to_owned())
            .or_default()
            .insert(name, object.clone());
        let event = Event {
            version,
            collection: collection.to_owned(),
            kind,
            object: object.clone(),
            previous,
        };
        self.publish(state, event);
        Ok(object)
    }

    /// Removes an object; its last state carries the version of the deletion.
    pub(crate) fn delete(
        &self,
        collection: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Object, WriteError> {
        let mut state = self.state();
        let name = (namespace.to_owned(), name.to_owned());
        let removed = state
            .objects
            .get_mut(collection)
            .and_then(|objects| objects.remove(&name));
        let Some(previous) = removed else {
            return Err(WriteError::Missing);
        };
        let version = state.version + 1;
        let mut batch = Batch::default();
        batch
            .put(&self.place, "version", &version)
            .map_err(WriteError::Store)?;
        batch.delete(&self.place, &key(collection, &name));
        self.store.append(batch).map_err(WriteError::Store)?;
        let mut last = Value::clone(&previous);
        object::set(
            &mut last,
            &["metadata", "resourceVersion"],
            version.to_string(),
        );
        let object = Arc::new(last);
        let event = Event {
            version,
            collection: collection.to_owned(),
            kind: EventKind::Deleted,
            object: object.clone(),
            previous: Some(previous),
        };
        self.publish(&mut state, event);
        Ok(object)
    }

    fn publish(&self, state: &mut State, event: Event) {
        state.version = event.version;
        state.log.push_back(Arc::new(event));
        if state.log.len() > LOG
            && let Some(oldest) = state.log.pop_front()
        {
            state.forgotten = oldest.version;
        }
        self.changed.send_replace(state.version);
    }

    /// Returns when every write made so far is on disk.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        self.store.sync()
    }
}

fn name_of(object: &Value) -> Name {
    (
        object::namespace(object).to_owned(),
        object::name(object).to_owned(),
    )
}

fn key(collection: &str, (namespace, name): &Name) -> String {
    format!("{collection}|{namespace}|{name}")
}

fn split_key(key: &str) -> Option<(&str, &str)> {
    key.split_once('|')
}

/// The resource version an object carries; 0 when it has none.
pub(crate) fn resource_version(object: &Value) -> u64 {
    object::text(object, &["metadata", "resourceVersion"])
        .and_then(|v| v.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str) -> Value {
        json!({"metadata": {"name": name, "namespace": "default"}})
    }

    #[test]
    fn versions_only_rise_and_survive_a_reopen() {
        let store = Store::in_memory();
        let storage = Storage::open(store.clone(), "a").unwrap();
        let first = storage.create("/pods", pod("one")).unwrap();
        assert!(matches!(
            storage.create("/pods", pod("one")),
            Err(WriteError::Exists)
        ));
        let second = storage.update("/pods", Value::clone(&first)).unwrap();
        assert!(resource_version(&second) > resource_version(&first));
        assert!(matches!(
            storage.update("/pods", Value::clone(&first)),
            Err(WriteError::Stale)
        ));
        storage.create("/pods", pod("two")).unwrap();
        storage.delete("/pods", "default", "two").unwrap();
        let version = storage.version();

        let reopened = Storage::open(store, "a").unwrap();
        assert_eq!(
            reopened.version(),
            version,
            "a deletion's version is not given out twice"
        );
        assert_eq!(reopened.all("/pods").len(), 1);
        assert!(
            reopened.since("/pods", version - 1).is_none(),
            "the log does not reach back"
        );
    }

    #[test]
    fn the_log_gives_changes_after_a_version() {
        let storage = Storage::open(Store::in_memory(), "a").unwrap();
        storage.create("/pods", pod("one")).unwrap();
        let start = storage.version();
        storage.create("/secrets", pod("s")).unwrap();
        storage.delete("/pods", "default", "one").unwrap();
        let (events, version) = storage.since("/pods", start).unwrap();
        assert_eq!(events.len(), 1);
        assert_eq!(
            (events[0].kind, events[0].version),
            (EventKind::Deleted, version)
        );
    }
}
