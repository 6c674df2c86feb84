//! Groups: resources that must not all change at once.
//!
//! Members that share a name and an index (`droplet.servers[1]`, `k3s_node.servers[1]`) are one
//! *unit* of the group, so that the next server is not touched before the node on this one is
//! back. A unit counts as changing when a member of it is replaced, destroyed, or changed in a
//! way that interrupts something, until what runs on it was seen working again. `destroy` knows no groups: everything goes.

use super::draft::Drafts;
use super::make::Inputs;
use super::relations::Relations;
use crate::diff::{Change, NodeDiff};
use kplan_model::{Group, PlanMode, Reason, Recorded, RolloutOrder, Status};
use std::collections::{BTreeMap, BTreeSet};

/// A unit's name within its group.
pub(super) type Unit<'a> = (&'a str, Option<u32>);

/// The group a node belongs to: as declared, else as recorded.
pub(super) fn group_of<'a>(inputs: &Inputs<'a, '_>, node: &'a NodeDiff<'_>) -> Option<&'a Group> {
    match node.declared {
        Some(at) => inputs.declarations.resources[at].meta.group.as_ref(),
        None => node
            .record
            .as_deref()
            .and_then(|record| record.meta.group.as_ref()),
    }
}

pub(super) fn unit_of<'a>(node: &'a NodeDiff<'_>) -> Unit<'a> {
    (node.address.name(), node.address.index())
}

/// Whether two nodes are replaced in turns as members of one group, so that neither waits for
/// the other to be destroyed.
pub(super) fn peers(inputs: &Inputs<'_, '_>, left: usize, right: usize) -> bool {
    let (left, right) = (&inputs.diff.nodes[left], &inputs.diff.nodes[right]);
    let replaced = |node: &NodeDiff<'_>| matches!(node.change, Change::Replace { .. });
    if inputs.options.mode != PlanMode::Apply || !replaced(left) || !replaced(right) {
        return false;
    }
    let name = |node| group_of(inputs, node).map(|group| &group.name);
    name(left).is_some() && name(left) == name(right) && unit_of(left) != unit_of(right)
}

/// A group's changing units in the order they change, with their drafts.
struct Rollout<'a> {
    group: &'a Group,
    units: BTreeMap<Unit<'a>, BTreeSet<usize>>,
    /// Units of which a member on record is not whole: they are down already.
    broken: BTreeSet<Unit<'a>>,
    /// Waits for members that an earlier run left unfinished.
    waits: BTreeSet<usize>,
}

impl<'a> Rollout<'a> {
    fn new(group: &'a Group) -> Self {
        Self {
            group,
            units: BTreeMap::new(),
            broken: BTreeSet::new(),
            waits: BTreeSet::new(),
        }
    }
}

/// At most `max_parallel` units of a group change at once: the units form that many chains. A
/// unit is changing until what runs on it was seen working again; and none is touched before
/// those that an earlier run left unfinished are back.
/// Where dependencies force several to go down together (their network is replaced), that
/// cannot hold; gives for each group how many units are beyond the limit.
pub(super) fn require<'a>(
    inputs: &Inputs<'a, '_>,
    relations: &Relations,
    drafts: &mut Drafts,
) -> BTreeMap<&'a str, usize> {
    if inputs.options.mode != PlanMode::Apply {
        return BTreeMap::new();
    }
    let mut rollouts: BTreeMap<&str, Rollout<'_>> = BTreeMap::new();
    for (at, node) in inputs.diff.nodes.iter().enumerate() {
        let Some(group) = group_of(inputs, node) else {
            continue;
        };
        let rollout = rollouts
            .entry(&group.name)
            .or_insert_with(|| Rollout::new(group));
        let whole = |record: &Recorded| record.status == Status::Ready;
        if !node.record.as_deref().is_none_or(whole) {
            rollout.broken.insert(unit_of(node));
        }
        if is_unfinished(node) {
            rollout.waits.extend(drafts.make[at]);
        }
        let mut steps: Vec<usize> = drafts.make[at]
            .into_iter()
            .chain(drafts.unmake[at])
            .collect();
        if steps.is_empty() || !node.change.interrupts() {
            continue;
        }
        steps.extend(settling(inputs, relations, at).filter_map(|on_it| drafts.make[on_it]));
        let unit = rollout.units.entry(unit_of(node)).or_default();
        unit.extend(steps);
    }
    rollouts
        .into_iter()
        .map(|(name, rollout)| (name, chain(&rollout, drafts)))
        .collect()
}

/// Whether all that is done to a member is to wait for it, as an earlier run left it unfinished.
pub(super) fn is_unfinished(node: &NodeDiff<'_>) -> bool {
    let reason = Reason::Unfinished;
    node.change == Change::Await { reason }
}

/// Positions of what has to be seen working again after the node at `parent` is interrupted.
pub(super) fn settling<'a>(
    inputs: &'a Inputs<'_, '_>,
    relations: &'a Relations,
    parent: usize,
) -> impl Iterator<Item = usize> + 'a {
    let address = inputs.diff.nodes[parent].address;
    let dependents = relations.needed_by[parent].iter().copied();
    dependents.filter(move |on_it| inputs.diff.nodes[*on_it].change.disrupted_by() == Some(address))
}

fn chain(rollout: &Rollout<'_>, drafts: &mut Drafts) -> usize {
    let width = usize::try_from(rollout.group.max_parallel.max(1)).unwrap_or(1);
    let units = in_order(rollout, drafts);
    let mut forced = 0;
    for place in 0..units.len() {
        let mut waits = true;
        for step in units[place] {
            let after = drafts.dependents_of(*step);
            let before = place.checked_sub(width).map(|place| units[place]);
            for first in before.into_iter().flatten().chain(&rollout.waits) {
                waits &= drafts.require_softly(*step, *first, &after);
            }
        }
        forced += usize::from(!waits);
    }
    forced
}

/// The units in rollout order, those that are down already first, except that one whose steps
/// need another's, directly or not, comes after it.
fn in_order<'a>(rollout: &'a Rollout<'_>, drafts: &Drafts) -> Vec<&'a BTreeSet<usize>> {
    let mut named: Vec<(&Unit<'_>, &BTreeSet<usize>)> = rollout.units.iter().collect();
    if rollout.group.order == RolloutOrder::ReverseAddress {
        named.reverse();
    }
    named.sort_by_key(|(unit, _)| !rollout.broken.contains(*unit));
    let units: Vec<&BTreeSet<usize>> = named.into_iter().map(|(_, steps)| steps).collect();
    let mut place_of: BTreeMap<usize, usize> = BTreeMap::new();
    for (place, steps) in units.iter().enumerate() {
        place_of.extend(steps.iter().map(|step| (*step, place)));
    }
    let needs = |place: usize| -> BTreeSet<usize> {
        let all = drafts.requirements_of(units[place]);
        all.iter()
            .filter_map(|first| place_of.get(first).copied())
            .filter(|other| *other != place)
            .collect()
    };
    let mut missing: BTreeMap<usize, BTreeSet<usize>> = (0..units.len())
        .map(|place| (place, needs(place)))
        .collect();
    let mut sorted = Vec::with_capacity(units.len());
    while let Some(next) = missing
        .iter()
        .find(|(_, needs)| needs.is_empty())
        .or_else(|| missing.iter().next())
        .map(|(place, _)| *place)
    {
        missing.remove(&next);
        for needs in missing.values_mut() {
            needs.remove(&next);
        }
        sorted.push(units[next]);
    }
    sorted
}
