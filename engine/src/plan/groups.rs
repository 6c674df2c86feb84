//! Groups: resources that must not all change at once.
//!
//! Members that share a name and an index (`droplet.servers[1]`, `k3s_node.servers[1]`) are one
//! *unit* of the group, so that the next server is not touched before the node on this one is
//! back. A unit counts as changing when a member of it is replaced, destroyed, or changed in a
//! way that interrupts something, until what runs on it was seen working again. A unit that is not
//! ready, as an earlier run left it so or something was lost, is made whole before a ready one is
//! touched. `destroy` knows no groups: everything goes.

use super::draft::Drafts;
use super::make::Inputs;
use super::ready::{Members, Unit, unit_of};
use super::relations::Relations;
use crate::diff::{Change, NodeDiff};
use kplan_model::{Group, Kind, PlanMode, Reason, RolloutOrder, Status};
use std::collections::{BTreeMap, BTreeSet};

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

/// Whether two nodes are replaced in turns as members of one group, so that neither waits for
/// the other to be destroyed.
pub(super) fn peers(inputs: &Inputs<'_, '_>, left: usize, right: usize) -> bool {
    let (left, right) = (&inputs.diff.nodes[left], &inputs.diff.nodes[right]);
    let replaced = |node: &NodeDiff<'_>| matches!(node.change, Change::Replace { .. });
    if inputs.options.mode != PlanMode::Apply || !replaced(left) || !replaced(right) {
        return false;
    }
    let name = |node| group_of(inputs, node).map(|group| &group.name);
    name(left).is_some()
        && name(left) == name(right)
        && unit_of(left.address) != unit_of(right.address)
}

/// Whether a node is a member of a group that is replaced in turns with the others.
pub(super) fn takes_turns(inputs: &Inputs<'_, '_>, at: usize) -> bool {
    let node = &inputs.diff.nodes[at];
    let replaced = matches!(node.change, Change::Replace { .. });
    inputs.options.mode == PlanMode::Apply && replaced && group_of(inputs, node).is_some()
}

/// A unit and what is done to it.
#[derive(Default)]
pub(super) struct Turn {
    /// Its steps, and the waits for what runs on it.
    steps: BTreeSet<usize>,
    /// Whether it is taken down for a while.
    interrupts: bool,
    /// Whether something of it goes for good.
    deleted: bool,
}

/// A group and what becomes of it.
pub(super) struct Rollout<'a> {
    pub(super) group: &'a Group,
    /// Whether the file has it.
    pub(super) declared: bool,
    members: Members<'a>,
    /// Every kind that the file or the records give a unit, and whether it will be whole.
    parts: BTreeMap<Unit<'a>, BTreeMap<&'a Kind, bool>>,
    /// What is done to ready units that interrupts them.
    changing: BTreeMap<Unit<'a>, Turn>,
    /// What is done to units that are not ready: it takes nothing down.
    repairs: BTreeMap<Unit<'a>, Turn>,
    /// Units that cannot be repaired before every ready one is touched.
    late: BTreeSet<Unit<'a>>,
    /// Ready units that go down together with an earlier one, and why: the step of the unit, and
    /// the one of the other that needs it.
    pub(super) together: Vec<(usize, usize)>,
}

impl<'a> Rollout<'a> {
    fn new(group: &'a Group) -> Self {
        Self {
            group,
            declared: false,
            members: Members::default(),
            parts: BTreeMap::new(),
            changing: BTreeMap::new(),
            repairs: BTreeMap::new(),
            late: BTreeSet::new(),
            together: Vec::new(),
        }
    }

    /// How many members may change at once.
    pub(super) fn width(&self) -> usize {
        usize::try_from(self.group.max_parallel.max(1)).unwrap_or(1)
    }

    /// How many members are ready before the first step.
    pub(super) fn ready(&self) -> usize {
        self.members.ready()
    }

    /// How many of those that are not ready are so before the first ready one is touched.
    pub(super) fn repaired(&self) -> usize {
        let whole = |unit: &Unit<'_>| {
            let parts = self.parts.get(unit);
            let mut kinds = self.members.kinds(unit.0);
            parts.is_some_and(|parts| kinds.all(|kind| parts.get(kind) == Some(&true)))
        };
        let units = self.repairs.keys();
        units
            .filter(|unit| !self.late.contains(*unit) && whole(unit))
            .count()
    }

    /// How many ready ones may be down at the same time at the worst.
    pub(super) fn down(&self) -> usize {
        let deleted = self.changing.values().filter(|turn| turn.deleted).count();
        let turns = self.changing.values();
        let turns = turns.filter(|turn| turn.interrupts && !turn.deleted);
        deleted + turns.count().min(self.width() + self.together.len())
    }

    /// The first step that takes a ready member down.
    pub(super) fn culprit(&self) -> Option<usize> {
        let turns = self.changing.values();
        let mut turns = turns.filter(|turn| turn.deleted || turn.interrupts);
        turns.find_map(|turn| turn.steps.first().copied())
    }
}

/// At most `max_parallel` units of a group change at once: the units form that many chains. A
/// unit is changing until what runs on it was seen working again; and no ready one is touched
/// before those that are not ready are whole.
/// Where dependencies force several to go down together (their network is replaced), that
/// cannot hold; the outcome says which.
pub(super) fn require<'a>(
    inputs: &Inputs<'a, 'a>,
    relations: &Relations,
    drafts: &mut Drafts,
) -> BTreeMap<&'a str, Rollout<'a>> {
    if inputs.options.mode != PlanMode::Apply {
        return BTreeMap::new();
    }
    let mut rollouts = standing(inputs);
    for (at, node) in inputs.diff.nodes.iter().enumerate() {
        if let Some(group) = group_of(inputs, node)
            && let Some(rollout) = rollouts.get_mut(group.name.as_str())
        {
            add(rollout, inputs, relations, drafts, at);
        }
    }
    for rollout in rollouts.values_mut() {
        chain(rollout, drafts);
    }
    rollouts
}

/// The groups and which of their members are ready.
fn standing<'a>(inputs: &Inputs<'a, 'a>) -> BTreeMap<&'a str, Rollout<'a>> {
    let mut rollouts: BTreeMap<&str, Rollout<'_>> = BTreeMap::new();
    for node in &inputs.diff.nodes {
        let Some(group) = group_of(inputs, node) else {
            continue;
        };
        let rollout = rollouts
            .entry(&group.name)
            .or_insert_with(|| Rollout::new(group));
        if node.declared.is_some() && !rollout.declared {
            rollout.declared = true;
            rollout.group = group;
        }
        if let Some(record) = node.record.as_deref() {
            let info = inputs.kinds.get(node.address.kind());
            let status = info.map_or(record.status, |info| info.standing(record));
            rollout.members.add(node.address, status);
        }
    }
    rollouts
}

/// Adds what is done to the node at `at`.
fn add<'a>(
    rollout: &mut Rollout<'a>,
    inputs: &Inputs<'a, 'a>,
    relations: &Relations,
    drafts: &Drafts,
    at: usize,
) {
    let node = &inputs.diff.nodes[at];
    let unit = unit_of(node.address);
    let (make, unmake) = (drafts.make[at], drafts.unmake[at]);
    let ready = rollout.members.is_ready(unit);
    let whole = match node.record.as_deref() {
        Some(record) if record.status == Status::Ready => unmake.is_none() || make.is_some(),
        _ => make.is_some(),
    };
    let parts = rollout.parts.entry(unit).or_default();
    parts.insert(node.address.kind(), whole);
    let interrupts = node.change.interrupts();
    let counts = if ready {
        interrupts
    } else {
        !matches!(node.change, Change::Record | Change::Forget)
    };
    let steps: Vec<usize> = make.into_iter().chain(unmake).collect();
    if steps.is_empty() || !counts {
        return;
    }
    let turns = if ready {
        &mut rollout.changing
    } else {
        &mut rollout.repairs
    };
    let turn = turns.entry(unit).or_default();
    turn.steps.extend(steps);
    let waits = settling(inputs, relations, at).filter_map(|on_it| drafts.make[on_it]);
    turn.steps.extend(waits);
    let create_first = matches!((unmake, make), (Some(old), Some(new))
        if drafts.all[old].requires.contains(&new));
    // What never worked, or is known not to any more, takes nothing down with it.
    let record = node.record.as_deref();
    let works = record.is_none_or(|record| record.status != Status::Tainted);
    turn.interrupts |= interrupts && !create_first && works;
    turn.deleted |= matches!(node.change, Change::Delete { .. }) && works;
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

/// Lets the units that are not ready come first, then the ready ones in turns.
fn chain(rollout: &mut Rollout<'_>, drafts: &mut Drafts) {
    let width = rollout.width();
    let reverse = rollout.group.order == RolloutOrder::ReverseAddress;
    let broken = rollout.repairs.values();
    let broken = broken.filter(|turn| turn.interrupts || turn.deleted);
    let broken = in_order(broken.map(|turn| &turn.steps).collect(), reverse, drafts);
    take_turns(&broken, width, drafts);
    for turn in rollout.changing.values() {
        for step in &turn.steps {
            let after = drafts.dependents_of(*step);
            for (unit, repair) in &rollout.repairs {
                for first in &repair.steps {
                    if !drafts.require_softly(*step, *first, &after) {
                        rollout.late.insert(*unit);
                    }
                }
            }
        }
    }
    let ready = rollout.changing.values().map(|turn| &turn.steps).collect();
    let ready = in_order(ready, reverse, drafts);
    rollout.together = take_turns(&ready, width, drafts);
}

/// The units that cannot wait for the one before them: their step, and the step that needs it.
fn take_turns(
    units: &[&BTreeSet<usize>],
    width: usize,
    drafts: &mut Drafts,
) -> Vec<(usize, usize)> {
    let mut together = Vec::new();
    for (place, unit) in units.iter().enumerate().skip(width) {
        let mut hindered = None;
        for step in *unit {
            let after = drafts.dependents_of(*step);
            for first in units[place - width] {
                if !drafts.require_softly(*step, *first, &after) {
                    hindered.get_or_insert((*step, *first));
                }
            }
        }
        together.extend(hindered);
    }
    together
}

/// The units in rollout order, except that one whose steps need another's, directly or not,
/// comes after it.
fn in_order<'a>(
    mut units: Vec<&'a BTreeSet<usize>>,
    reverse: bool,
    drafts: &Drafts,
) -> Vec<&'a BTreeSet<usize>> {
    if reverse {
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
