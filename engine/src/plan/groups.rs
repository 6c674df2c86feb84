//! Groups: resources that must not all change at once.
//!
//! Members that share a name and an index (`droplet.servers[1]`, `k3s_node.servers[1]`) are one
//! *unit* of the group, so that the next server is not touched before the node on this one is
//! back. A unit counts as changing when a member of it is replaced, destroyed, or changed in a
//! way that interrupts something. `destroy` knows no groups: everything goes.

use super::draft::Drafts;
use super::make::Inputs;
use crate::diff::{Change, NodeDiff};
use kplan_model::{Disruption, Group, PlanMode, RolloutOrder};
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

/// Whether a change of a member interrupts it.
pub(super) fn interrupts(change: &Change) -> bool {
    match change {
        Change::Replace { .. } | Change::Delete { .. } => true,
        Change::Update { changes } => changes
            .iter()
            .any(|change| change.disruption != Disruption::None),
        Change::None
        | Change::Create { .. }
        | Change::Await
        | Change::Forget
        | Change::Record
        | Change::Blocked { .. }
        | Change::Kept => false,
    }
}

/// A group's changing units in the order they change, with their drafts.
struct Rollout<'a> {
    group: &'a Group,
    units: BTreeMap<Unit<'a>, BTreeSet<usize>>,
}

/// At most `max_parallel` units of a group change at once: the units form that many chains.
/// Where dependencies force several to go down together (their network is replaced), that
/// cannot hold; gives for each group how many units are beyond the limit.
pub(super) fn require<'a>(
    inputs: &Inputs<'a, '_>,
    drafts: &mut Drafts,
) -> BTreeMap<&'a str, usize> {
    if inputs.options.mode != PlanMode::Apply {
        return BTreeMap::new();
    }
    let mut rollouts: BTreeMap<&str, Rollout<'_>> = BTreeMap::new();
    for (at, node) in inputs.diff.nodes.iter().enumerate() {
        let steps: Vec<usize> = drafts.make[at]
            .into_iter()
            .chain(drafts.unmake[at])
            .collect();
        let Some(group) = group_of(inputs, node) else {
            continue;
        };
        if steps.is_empty() || !interrupts(&node.change) {
            continue;
        }
        let rollout = rollouts.entry(&group.name).or_insert_with(|| Rollout {
            group,
            units: BTreeMap::new(),
        });
        rollout
            .units
            .entry(unit_of(node))
            .or_default()
            .extend(steps);
    }
    rollouts
        .into_iter()
        .map(|(name, rollout)| (name, chain(&rollout, drafts)))
        .collect()
}

fn chain(rollout: &Rollout<'_>, drafts: &mut Drafts) -> usize {
    let width = usize::try_from(rollout.group.max_parallel.max(1)).unwrap_or(1);
    let units = in_order(rollout, drafts);
    let mut forced = 0;
    for place in width..units.len() {
        let mut waits = true;
        for step in units[place] {
            let after = drafts.dependents_of(*step);
            for first in units[place - width] {
                waits &= drafts.require_softly(*step, *first, &after);
            }
        }
        forced += usize::from(!waits);
    }
    forced
}

/// The units in rollout order, except that one whose steps need another's, directly or not,
/// comes after it.
fn in_order<'a>(rollout: &'a Rollout<'_>, drafts: &Drafts) -> Vec<&'a BTreeSet<usize>> {
    let mut units: Vec<&BTreeSet<usize>> = rollout.units.values().collect();
    if rollout.group.order == RolloutOrder::ReverseAddress {
        units.reverse();
    }
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
