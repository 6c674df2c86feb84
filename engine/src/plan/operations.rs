//! Operations: what is done to a resource before it is destroyed, or before what it runs on is
//! interrupted, and undone where it stays.

use super::draft::{Draft, Drafts};
use super::make::Inputs;
use super::relations::goes;
use super::remake;
use crate::diff::{Change, stands_in_deposed};
use kplan_model::{
    Action, Address, Kind, Object, Operated, OperationInfo, PlanMode, Reason, Recorded, Status,
};
use std::collections::BTreeMap;

/// Adds the operations to the finished requirements: each waits for all that the delete waits for,
/// so that members of a group are drained in their turns, too. What goes with its container is
/// prepared before that is destroyed.
pub(super) fn require(inputs: &Inputs<'_, '_>, chosen: &[bool], drafts: &mut Drafts) {
    if inputs.options.mode != PlanMode::Apply {
        return;
    }
    let undone = undo(inputs, drafts);
    let mut peers = Peers::of(inputs, chosen, drafts);
    for (kind, undo) in &undone {
        peers.coming.entry(kind).or_default().push(*undo);
    }
    let mut prepared = before_deletes(inputs, &peers, drafts);
    prepared.extend(around_interruptions(inputs, &peers, drafts));
    if prepared.is_empty() {
        return;
    }
    // Whatever now comes before a destruction may be missing for the new half of another.
    remake::require(drafts);
    for (operate, first) in prepared {
        let after = drafts.dependents_of(operate);
        for earlier in drafts.all[first].requires.clone() {
            drafts.require_softly(operate, earlier, &after);
        }
    }
}

/// The operations before deletes, each with the delete that it precedes.
fn before_deletes(
    inputs: &Inputs<'_, '_>,
    peers: &Peers<'_>,
    drafts: &mut Drafts,
) -> Vec<(usize, usize)> {
    let mut prepared = Vec::new();
    for (delete, record) in operable(inputs, drafts) {
        for info in applicable(inputs, peers, &record) {
            let first = outermost(inputs, drafts, delete);
            let reason = drafts.all[delete].reason.clone();
            let operate = prepare(&record, info, reason, first, drafts);
            drafts.require(delete, operate);
            if info.needs_peer {
                peers.come_first(record.address.kind(), operate, drafts);
            }
            prepared.push((operate, first));
        }
    }
    prepared
}

/// The operations around what interrupts something that others run on: before it, and undone once
/// they were seen working again. Only those that can be undone, and of what works.
fn around_interruptions(
    inputs: &Inputs<'_, '_>,
    peers: &Peers<'_>,
    drafts: &mut Drafts,
) -> Vec<(usize, usize)> {
    let mut prepared = Vec::new();
    for (at, node) in inputs.diff.nodes.iter().enumerate() {
        let parent = node.change.disrupted_by().cloned();
        let record = node.record.as_deref();
        let works = record.filter(|record| record.status == Status::Ready);
        let (Some(parent), Some(record)) = (parent, works) else {
            continue;
        };
        let interrupted = inputs.graph.position(&parent);
        let off = interrupted.filter(|at| inputs.diff.nodes[*at].change.powers_off());
        let off = off.and_then(|parent| drafts.make[parent]);
        let (Some(first), Some(back)) = (off, drafts.make[at]) else {
            continue;
        };
        for info in applicable(inputs, peers, record) {
            if info.undo.is_none() {
                continue;
            }
            let reason = Reason::PoweredOff(parent.clone());
            let operate = prepare(record, info, reason, first, drafts);
            if info.needs_peer {
                peers.come_first(record.address.kind(), operate, drafts);
            }
            prepared.push((operate, first));
            // What an earlier run began on it is undone behind the same wait already.
            if !record.operations.contains(info.name) {
                put_back(record, info, back, drafts);
            }
        }
    }
    prepared
}

/// Undoes the operation once the resource is back, before anything that waits for that: the next of
/// a group is only touched when this one takes its share again.
fn put_back(record: &Recorded, info: &OperationInfo, back: usize, drafts: &mut Drafts) -> usize {
    let behind: Vec<usize> = (0..drafts.all.len())
        .filter(|later| drafts.all[*later].requires.contains(&back))
        .collect();
    let undone = Operated {
        info: *info,
        undone: true,
    };
    let undo = drafts.push(Draft::operate(record, undone, Reason::Kept));
    drafts.require(undo, back);
    for later in behind {
        drafts.require(later, undo);
    }
    undo
}

/// The kind's operations that make sense for a record.
fn applicable<'a>(
    inputs: &'a Inputs<'_, '_>,
    peers: &'a Peers<'_>,
    record: &'a Recorded,
) -> impl Iterator<Item = &'static OperationInfo> + 'a {
    table(inputs, record.address.kind()).iter().filter(|info| {
        let skipped = inputs.options.skip_operations.contains(info.name);
        let lonely = info.needs_peer && !peers.has_other(&record.address, info);
        !info.of_destroy && !skipped && !lonely && info.is_for(&record.args)
    })
}

/// The step that does it, before `first` and behind all that `first` is behind.
fn prepare(
    record: &Recorded,
    info: &OperationInfo,
    reason: Reason,
    first: usize,
    drafts: &mut Drafts,
) -> usize {
    let requires = drafts.all[first].requires.clone();
    let done = Operated {
        info: *info,
        undone: false,
    };
    let operate = drafts.push(Draft::operate(record, done, reason));
    for earlier in requires {
        drafts.require(operate, earlier);
    }
    drafts.require(first, operate);
    operate
}

/// The deletes, each with the record of what it destroys, before which operations make sense: it
/// worked at some time, or may have.
fn operable(inputs: &Inputs<'_, '_>, drafts: &Drafts) -> Vec<(usize, Recorded)> {
    let deletes = drafts
        .all
        .iter()
        .enumerate()
        .filter(|(_, draft)| draft.action == Action::Delete);
    let records = deletes.filter_map(|(at, draft)| Some((at, draft.before.as_ref()?)));
    let operable = records.filter(|(_, record)| {
        record.status != Status::Tainted && !table(inputs, record.address.kind()).is_empty()
    });
    operable.map(|(at, record)| (at, record.clone())).collect()
}

/// The delete that takes this one's resource along: its own, or that of the container it goes
/// with.
fn outermost(inputs: &Inputs<'_, '_>, drafts: &Drafts, delete: usize) -> usize {
    let mut at = delete;
    // Containers stand in containers, never in a circle: the graph has none.
    for _ in 0..drafts.all.len() {
        let Some(container) = &drafts.all[at].goes_with else {
            break;
        };
        let record = drafts.all[at].before.as_ref();
        let in_old_half = record.is_some_and(|it| stands_in_deposed(inputs.snapshot, it));
        let living = inputs.graph.position(container);
        let living = living.and_then(|at| drafts.unmake[at]);
        let mut deposed = drafts.deposed.iter().copied();
        let deposed = deposed.find(|at| drafts.all[*at].address == *container);
        let outer = if in_old_half {
            deposed.or(living)
        } else {
            living.or(deposed)
        };
        match outer {
            Some(outer) => at = outer,
            None => break,
        }
    }
    at
}

/// Others of a kind, to which an operation may move something.
struct Peers<'a> {
    /// By kind: what stays or is made, itself replaced or not, with its arguments.
    there: BTreeMap<&'a Kind, BTreeMap<&'a Address, &'a Object>>,
    /// By kind: the steps that make one, wait until it works, or make it fit to take something
    /// again.
    coming: BTreeMap<&'a Kind, Vec<usize>>,
}

impl<'a> Peers<'a> {
    fn of(inputs: &Inputs<'a, '_>, chosen: &[bool], drafts: &Drafts) -> Self {
        let mut peers = Self {
            there: BTreeMap::new(),
            coming: BTreeMap::new(),
        };
        for (at, node) in inputs.diff.nodes.iter().enumerate() {
            let kind = node.address.kind();
            if table(inputs, kind).is_empty() {
                continue;
            }
            let there = match &node.change {
                Change::Create { .. } => chosen[at],
                Change::Replace { .. } => true,
                _ => node.record.is_some() && !(chosen[at] && goes(node)),
            };
            if there {
                let declared = node
                    .declared
                    .map(|at| &inputs.declarations.resources[at].args);
                let recorded = inputs.snapshot.resources.get(node.address);
                let recorded = recorded.map(|record| &record.args);
                if let Some(args) = declared.or(recorded) {
                    let there = peers.there.entry(kind).or_default();
                    there.insert(node.address, args);
                }
            }
            // What is only away for a while takes its own turn.
            let comes = matches!(node.change, Change::Create { .. } | Change::Await { .. })
                && node.change.disrupted_by().is_none();
            if let Some(make) = drafts.make[at].filter(|_| comes) {
                peers.coming.entry(kind).or_default().push(make);
            }
        }
        peers
    }

    /// Whether there is one besides this that the operation is for, too.
    fn has_other(&self, address: &Address, info: &OperationInfo) -> bool {
        let there = self.there.get(address.kind()).into_iter().flatten();
        let mut others = there.filter(|(other, _)| **other != address);
        others.any(|(_, args)| info.is_for(args))
    }

    /// The operation waits for those that are only now made, unless they wait for it.
    fn come_first(&self, kind: &Kind, operate: usize, drafts: &mut Drafts) {
        let after = drafts.dependents_of(operate);
        for make in self.coming.get(kind).into_iter().flatten() {
            drafts.require_softly(operate, *make, &after);
        }
    }
}

/// What was begun on a resource that stays is undone: its delete was given up, or its file says
/// otherwise now. Gives the steps.
fn undo<'a>(inputs: &Inputs<'a, '_>, drafts: &mut Drafts) -> Vec<(&'a Kind, usize)> {
    let mut steps = Vec::new();
    for (at, node) in inputs.diff.nodes.iter().enumerate() {
        let Some(record) = node.record.as_deref() else {
            continue;
        };
        let targets = &inputs.options.targets;
        // What is waited for on the way is made whole, too.
        let on_the_way = drafts.make[at].is_some();
        let within = targets.is_empty() || targets.contains(node.address) || on_the_way;
        if record.operations.is_empty() || !within || !node.change.stays() {
            continue;
        }
        for info in table(inputs, node.address.kind()) {
            let Some(undo) = info.undo else {
                continue;
            };
            let skipped = inputs.options.skip_operations.contains(undo.name);
            if skipped || !record.operations.contains(info.name) {
                continue;
            }
            let undone = Operated {
                info: *info,
                undone: true,
            };
            let undo = match drafts.make[at] {
                Some(back) => put_back(record, info, back, drafts),
                None => drafts.push(Draft::operate(record, undone, Reason::Kept)),
            };
            steps.push((node.address.kind(), undo));
        }
    }
    steps
}

fn table(inputs: &Inputs<'_, '_>, kind: &Kind) -> &'static [OperationInfo] {
    inputs.kinds.get(kind).map_or(&[], |info| info.operations)
}
