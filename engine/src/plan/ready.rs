//! Which members of a group are ready: shared words of the planner and the linter, from the
//! records alone.

use kplan_model::{Address, Kind, Status};
use std::collections::{BTreeMap, BTreeSet};

/// A unit's name within its group: members that share a name and an index.
pub(super) type Unit<'a> = (&'a str, Option<u32>);

pub(super) fn unit_of(address: &Address) -> Unit<'_> {
    (address.name(), address.index())
}

/// The living members of one group.
#[derive(Default)]
pub(super) struct Members<'a> {
    /// By name: the kinds that any of its units has on record.
    kinds: BTreeMap<&'a str, BTreeSet<&'a Kind>>,
    /// By unit: the kinds on record that are whole.
    whole: BTreeMap<Unit<'a>, BTreeSet<&'a Kind>>,
}

impl<'a> Members<'a> {
    /// Adds what is on record and was not found to be gone.
    pub(super) fn add(&mut self, address: &'a Address, status: Status) {
        let kind = address.kind();
        self.kinds.entry(address.name()).or_default().insert(kind);
        if status == Status::Ready {
            let whole = self.whole.entry(unit_of(address)).or_default();
            whole.insert(kind);
        }
    }

    /// Whether everything that makes a member is there and whole: each kind that any unit of its
    /// name has. A droplet is no server while its node is missing, unfinished or tainted.
    pub(super) fn is_ready(&self, unit: Unit<'_>) -> bool {
        let whole = self.whole.get(&unit);
        let wanted = self.kinds.get(unit.0);
        wanted.is_some_and(|wanted| whole.is_some_and(|whole| whole.is_superset(wanted)))
    }

    /// How many are ready.
    pub(super) fn ready(&self) -> usize {
        let units = self.whole.keys();
        units.filter(|unit| self.is_ready(**unit)).count()
    }

    /// The kinds a unit of that name is made of.
    pub(super) fn kinds(&self, name: &str) -> impl Iterator<Item = &'a Kind> {
        self.kinds.get(name).into_iter().flatten().copied()
    }
}
