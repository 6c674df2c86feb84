//! `Registry`: the kinds an engine run can use.

use crate::kind::{Kind, KindInfo};
use crate::resource::{Mutate, Observe, Resource};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One registered kind.
#[derive(Clone)]
pub struct Entry {
    /// Its table.
    pub info: &'static KindInfo,
    /// Its reading half.
    pub observe: Arc<dyn Observe>,
    /// Its changing half.
    pub mutate: Arc<dyn Mutate>,
}

/// Every registered kind.
#[derive(Clone, Default)]
pub struct Registry {
    entries: BTreeMap<Kind, Entry>,
}

impl Registry {
    /// Registers a kind; a second one of the same name takes the place of the first.
    pub fn add<R: Resource>(&mut self, resource: R) {
        let resource = Arc::new(resource);
        let entry = Entry {
            info: R::INFO,
            observe: Arc::clone(&resource) as Arc<dyn Observe>,
            mutate: resource,
        };
        self.entries.insert(R::INFO.kind.clone(), entry);
    }

    /// The kind of that name.
    pub fn get(&self, kind: &Kind) -> Option<&Entry> {
        self.entries.get(kind)
    }

    /// The table of that kind.
    pub fn info(&self, kind: &Kind) -> Option<&'static KindInfo> {
        self.entries.get(kind).map(|entry| entry.info)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// All tables, for the pure stages, which must not be able to call anything.
    pub fn kinds(&self) -> BTreeMap<Kind, &'static KindInfo> {
        self.entries
            .iter()
            .map(|(kind, entry)| (kind.clone(), entry.info))
            .collect()
    }
}
