//! Operations: what is done to a resource before it is destroyed, and undone where it stays after
//! all.

use super::draft::{Draft, Drafts};
use super::make::Inputs;
use super::relations::goes;
use crate::diff::{Change, NodeDiff};
use kplan_model::{Action, Kind, Operated, OperationInfo, PlanMode, Reason, Recorded, Status};
use std::collections::BTreeSet;

/// Adds the operations to the finished requirements: each waits for all that the delete waits for,
/// so that members of a group are drained in their turns, too. What goes with its container is
/// prepared before that is destroyed.
pub(super) fn require(inputs: &Inputs<'_, '_>, chosen: &[bool], drafts: &mut Drafts) {
    if inputs.options.mode != PlanMode::Apply {
        return;
    }
    before_deletes(inputs, chosen, drafts);
    undo(inputs, drafts);
}

fn before_deletes(inputs: &Inputs<'_, '_>, chosen: &[bool], drafts: &mut Drafts) {
    let staying = staying(inputs, chosen);
    for delete in 0..drafts.all.len() {
        let Some(record) = operable(&drafts.all[delete]).cloned() else {
            continue;
        };
        let kind = record.address.kind();
        for info in table(inputs, kind) {
            let skipped = inputs.options.skip_operations.contains(info.name);
            if skipped || (info.needs_peer && !staying.contains(kind)) {
                continue;
            }
            let first = outermost(inputs, drafts, delete);
            let requires = drafts.all[first].requires.clone();
            let draft = &drafts.all[delete];
            let done = Operated {
                info: *info,
                undone: false,
            };
            let step = Draft::operate(&record, done, draft.reason.clone());
            let operate = drafts.push(step);
            for first in requires {
                drafts.require(operate, first);
            }
            drafts.require(first, operate);
            drafts.require(delete, operate);
        }
    }
}

/// The record of what a draft destroys, where operations make sense: it works.
fn operable(draft: &Draft) -> Option<&Recorded> {
    let record = draft.before.as_ref()?;
    let destroys = draft.action == Action::Delete && record.status == Status::Ready;
    destroys.then_some(record)
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
        let living = inputs.graph.position(container);
        let deposed = drafts.deposed.iter().copied();
        let outer = living.and_then(|at| drafts.unmake[at]);
        let outer = outer.or_else(|| {
            deposed
                .clone()
                .find(|at| drafts.all[*at].address == *container)
        });
        match outer {
            Some(outer) => at = outer,
            None => break,
        }
    }
    at
}

/// Kinds of which a resource stays or is made.
fn staying<'a>(inputs: &'a Inputs<'_, '_>, chosen: &[bool]) -> BTreeSet<&'a Kind> {
    let nodes = inputs.diff.nodes.iter().zip(chosen);
    let stays = nodes.filter(|(node, chosen)| match &node.change {
        Change::Replace { .. } | Change::Create { .. } => true,
        _ => node.record.is_some() && !(**chosen && goes(node)),
    });
    stays.map(|(node, _)| node.address.kind()).collect()
}

/// What was begun on a resource that stays is undone: its delete was given up, or its file says
/// otherwise now.
fn undo(inputs: &Inputs<'_, '_>, drafts: &mut Drafts) {
    for (at, node) in inputs.diff.nodes.iter().enumerate() {
        let Some(record) = node.record.as_deref() else {
            continue;
        };
        let targets = &inputs.options.targets;
        let within = targets.is_empty() || targets.contains(node.address);
        if record.operations.is_empty() || !within || !stays(node) {
            continue;
        }
        for info in table(inputs, node.address.kind()) {
            let skipped = inputs.options.skip_operations.contains(info.undo);
            if skipped || !record.operations.contains(info.name) {
                continue;
            }
            let undone = Operated {
                info: *info,
                undone: true,
            };
            let undo = drafts.push(Draft::operate(record, undone, Reason::Kept));
            if let Some(make) = drafts.make[at] {
                drafts.require(undo, make);
            }
        }
    }
}

/// Whether the file keeps it, and it could be read.
fn stays(node: &NodeDiff<'_>) -> bool {
    matches!(
        node.change,
        Change::None | Change::Update { .. } | Change::Await { .. } | Change::Record
    )
}

fn table(inputs: &Inputs<'_, '_>, kind: &Kind) -> &'static [OperationInfo] {
    inputs.kinds.get(kind).map_or(&[], |info| info.operations)
}
