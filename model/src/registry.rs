//! `Registry`: the kinds an engine run can use.

use crate::kind::{Kind, KindInfo};
use crate::operation::Operation;
use crate::resource::{Mutate, Observe, Resource};
use std::collections::{BTreeMap, BTreeSet};
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
    /// How its operations and their undoing are done, by name.
    pub operations: BTreeMap<&'static str, Arc<dyn Operation>>,
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
            operations: BTreeMap::new(),
        };
        self.entries.insert(R::INFO.kind.clone(), entry);
    }

    /// Registers how an operation of a kind is done. The kind has to be there already.
    pub fn add_operation(&mut self, operation: impl Operation + 'static) {
        if let Some(entry) = self.entries.get_mut(operation.kind()) {
            entry
                .operations
                .insert(operation.name(), Arc::new(operation));
        }
    }

    /// Operations that a table has and nobody knows how to do, and the other way round, by kind
    /// and name. Every registry's test asks for it.
    pub fn unmatched_operations(&self) -> Vec<(&Kind, &'static str)> {
        let unmatched = self.entries.iter().flat_map(|(kind, entry)| {
            let table = entry.info.operations.iter();
            let listed: BTreeSet<&'static str> =
                table.flat_map(crate::OperationInfo::names).collect();
            let known: BTreeSet<&'static str> = entry.operations.keys().copied().collect();
            let names: Vec<&'static str> = listed.symmetric_difference(&known).copied().collect();
            names.into_iter().map(move |name| (kind, name))
        });
        unmatched.collect()
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
