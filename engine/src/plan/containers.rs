//! Containers that go: what goes with them, and what their own destruction waits for.

use super::relations::Relations;
use std::collections::{BTreeMap, BTreeSet};

/// For each node that goes with a container: which nodes' destruction must not wait for it,
/// because the container's own destruction waits for them.
pub(super) struct Containers {
    /// By position of a container that goes: itself and everything whose living resource
    /// depends on it, directly or not.
    behind: BTreeMap<usize, BTreeSet<usize>>,
    /// By position: the containers it goes with, innermost first.
    chains: BTreeMap<usize, Vec<usize>>,
}

impl Containers {
    /// `going` tells by position whether the living resource goes.
    pub(super) fn of(relations: &Relations, going: &[bool]) -> Self {
        let mut containers = Self {
            behind: BTreeMap::new(),
            chains: BTreeMap::new(),
        };
        for at in 0..relations.needs.len() {
            let mut chain = Vec::new();
            let mut inner = at;
            while going[inner]
                && let Some(outer) = relations.old_inside[inner]
                && going[outer]
                && !chain.contains(&outer)
            {
                chain.push(outer);
                inner = outer;
            }
            for outer in &chain {
                containers
                    .behind
                    .entry(*outer)
                    .or_insert_with(|| everything_behind(relations, *outer));
            }
            if !chain.is_empty() {
                containers.chains.insert(at, chain);
            }
        }
        containers
    }

    /// The container that a node goes with.
    pub(super) fn outer(&self, at: usize) -> Option<usize> {
        self.chains.get(&at)?.first().copied()
    }

    /// Whether the destruction of `at` must not wait for `dependent`, which goes with a
    /// container that `at` is, or that waits for `at`.
    pub(super) fn separate(&self, at: usize, dependent: usize) -> bool {
        self.chains.get(&dependent).is_some_and(|chain| {
            let inside_too = self
                .chains
                .get(&at)
                .is_some_and(|own| own.iter().any(|outer| chain.contains(outer)));
            !inside_too && chain.iter().any(|outer| self.behind[outer].contains(&at))
                || chain.contains(&at)
        })
    }
}

fn everything_behind(relations: &Relations, start: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::from([start]);
    let mut queue = vec![start];
    while let Some(at) = queue.pop() {
        for dependent in &relations.old_needed_by[at] {
            if found.insert(*dependent) {
                queue.push(*dependent);
            }
        }
    }
    found
}
