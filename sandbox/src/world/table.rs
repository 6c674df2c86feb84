//! A kind's rows in memory, remembering which ones must go to disk.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::store::{Batch, Store, StoreError};

/// One stored resource.
pub(crate) trait Row: Serialize + DeserializeOwned {
    /// When it was made; lists are in this order.
    fn created_at(&self) -> Timestamp;
}

/// The rows of one collection, by key.
#[derive(Debug)]
pub(crate) struct Table<T> {
    collection: &'static str,
    rows: BTreeMap<String, T>,
    dirty: BTreeSet<String>,
}

impl<T: Row> Table<T> {
    pub(crate) fn load(store: &Store, collection: &'static str) -> Result<Table<T>, StoreError> {
        Ok(Table {
            collection,
            rows: store.load(collection)?,
            dirty: BTreeSet::new(),
        })
    }

    pub(crate) fn get(&self, key: &str) -> Option<&T> {
        self.rows.get(key)
    }

    pub(crate) fn contains(&self, key: &str) -> bool {
        self.rows.contains_key(key)
    }

    /// A row to change; it counts as changed.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut T> {
        let row = self.rows.get_mut(key)?;
        self.dirty.insert(key.to_owned());
        Some(row)
    }

    pub(crate) fn insert(&mut self, key: String, row: T) {
        self.dirty.insert(key.clone());
        self.rows.insert(key, row);
    }

    pub(crate) fn remove(&mut self, key: &str) -> Option<T> {
        let row = self.rows.remove(key)?;
        self.dirty.insert(key.to_owned());
        Some(row)
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The rows in the order of their keys.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.rows.values()
    }

    /// Keys and rows in the order of the keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.rows.iter().map(|(key, row)| (key.as_str(), row))
    }

    /// The rows a condition holds for, oldest first.
    pub(crate) fn filtered(&self, keep: impl Fn(&T) -> bool) -> Vec<&T> {
        let mut rows: Vec<&T> = self.rows.values().filter(|row| keep(row)).collect();
        rows.sort_by_key(|row| row.created_at());
        rows
    }

    /// All rows, oldest first.
    pub(crate) fn sorted(&self) -> Vec<&T> {
        self.filtered(|_| true)
    }

    /// The keys of the rows a condition holds for.
    pub(crate) fn keys_where(&self, keep: impl Fn(&T) -> bool) -> Vec<String> {
        self.rows
            .iter()
            .filter(|(_, row)| keep(row))
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// Adds what has changed since the last call to a batch.
    pub(crate) fn flush(&mut self, batch: &mut Batch) -> Result<(), StoreError> {
        for key in std::mem::take(&mut self.dirty) {
            match self.rows.get(&key) {
                Some(row) => batch.put(self.collection, &key, row)?,
                None => batch.delete(self.collection, &key),
            }
        }
        Ok(())
    }
}
