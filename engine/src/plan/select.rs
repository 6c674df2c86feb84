//! Which of the differences become steps: within the targets, and not hanging on something that
//! could not be read.

use super::make::Inputs;
use super::relations::{Relations, changes, goes};
use super::report::{NotDone, WhyNot};
use crate::diff::Change;
use crate::error::Refusal;
use kplan_model::Origin;
use std::collections::BTreeSet;

/// The outcome.
pub(super) struct Selection {
    /// By position: whether the change becomes steps.
    pub(super) chosen: Vec<bool>,
    /// What does not, and why.
    pub(super) not_done: Vec<NotDone>,
}

pub(super) fn select(
    inputs: &Inputs<'_, '_>,
    relations: &Relations,
    refused: &mut Vec<Refusal>,
) -> Selection {
    let nodes = &inputs.diff.nodes;
    let mut selection = Selection {
        chosen: nodes.iter().map(changes).collect(),
        not_done: Vec::new(),
    };
    block(inputs, relations, &mut selection);
    if !inputs.options.targets.is_empty() {
        let within = closure(inputs, relations, &selection.chosen, refused);
        for (at, node) in nodes.iter().enumerate() {
            if selection.chosen[at] && !within.contains(&at) {
                selection.chosen[at] = false;
                selection.not_done.push(NotDone {
                    address: node.address.clone(),
                    why: WhyNot::NotTargeted,
                });
            }
        }
    }
    for node in nodes.iter().filter(|node| node.change == Change::Kept) {
        selection.not_done.push(NotDone {
            address: node.address.clone(),
            why: WhyNot::Kept,
        });
    }
    selection.not_done.sort_by(|a, b| a.address.cmp(&b.address));
    selection
}

/// Nothing is done to what depends on an unreadable resource, and nothing that one depends on
/// is destroyed. Each node is blocked at most once, so this is linear.
fn block(inputs: &Inputs<'_, '_>, relations: &Relations, selection: &mut Selection) {
    let nodes = &inputs.diff.nodes;
    let mut blocked = vec![false; nodes.len()];
    let mut queue: Vec<(usize, usize)> = Vec::new();
    for (at, node) in nodes.iter().enumerate() {
        if let Change::Blocked { error } = &node.change {
            blocked[at] = true;
            queue.push((at, at));
            selection.not_done.push(NotDone {
                address: node.address.clone(),
                why: WhyNot::Unreadable(error.clone()),
            });
        }
    }
    while let Some((at, root)) = queue.pop() {
        let dependents = relations.needed_by[at]
            .iter()
            .chain(&relations.old_needed_by[at]);
        let lost = relations.old_needs[at]
            .iter()
            .filter(|need| goes(&nodes[**need]));
        for next in dependents.chain(lost) {
            if !blocked[*next] && changes(&nodes[*next]) {
                blocked[*next] = true;
                selection.chosen[*next] = false;
                queue.push((*next, root));
                selection.not_done.push(NotDone {
                    address: nodes[*next].address.clone(),
                    why: WhyNot::WaitsFor(nodes[root].address.clone()),
                });
            }
        }
    }
}

/// The targets, everything they need, and, for what goes, everything that depends on it.
fn closure(
    inputs: &Inputs<'_, '_>,
    relations: &Relations,
    chosen: &[bool],
    refused: &mut Vec<Refusal>,
) -> BTreeSet<usize> {
    let nodes = &inputs.diff.nodes;
    let mut within = BTreeSet::new();
    let mut queue = Vec::new();
    for target in &inputs.options.targets {
        match inputs.graph.position(target) {
            Some(at) => queue.push(at),
            None => refused.push(Refusal {
                code: "plan::unknown_target",
                address: target.clone(),
                field: None,
                origin: Origin::Default,
                message: "it is given as a target, but neither the file nor the state has it"
                    .to_owned(),
                help: "`kplan state list` and `kplan plan` show the addresses there are".to_owned(),
            }),
        }
    }
    while let Some(at) = queue.pop() {
        if !within.insert(at) {
            continue;
        }
        queue.extend(&relations.needs[at]);
        if goes(&nodes[at]) && chosen[at] {
            let dependents = relations.old_needed_by[at].iter();
            queue.extend(dependents.filter(|dependent| chosen[**dependent]));
        }
    }
    within
}
