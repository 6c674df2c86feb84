//! Which of the differences become steps: within the targets, and not hanging on something that
//! could not be read.

use super::groups;
use super::make::Inputs;
use super::relations::{Relations, changes, goes};
use super::report::{NotDone, WhyNot};
use crate::diff::{Change, NodeDiff};
use crate::error::Refusal;
use kplan_model::{Address, Origin, ProviderError, Recorded, Status};
use std::collections::{BTreeMap, BTreeSet};

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
                if is_only_settling(node) {
                    continue;
                }
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
/// is destroyed or, where it runs on it, interrupted. Each node is blocked at most once, so this is linear.
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
                why: WhyNot::Unreadable(ProviderError::clone(error)),
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
        // Nobody could see whether it works again.
        let under = relations.runs_on[at]
            .iter()
            .filter(|under| nodes[**under].change.interrupts());
        for next in dependents.chain(lost).chain(under) {
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

/// An address that an option names and nothing has: most likely mistyped, and what was meant
/// would silently not be done.
fn unknown(address: &Address, given: &str) -> Refusal {
    Refusal {
        code: "plan::unknown_target",
        address: address.clone(),
        field: None,
        origin: Origin::Default,
        message: format!("it is given {given}, but neither the file nor the state has it"),
        help: "`kplan state list` and `kplan plan` show the addresses there are".to_owned(),
    }
}

/// Refuses what `--replace` and `--allow-destroy` name and nothing has.
pub(super) fn check_options(inputs: &Inputs<'_, '_>, refused: &mut Vec<Refusal>) {
    let options = inputs.options;
    for (addresses, given) in [
        (&options.replace, "to be replaced"),
        (&options.allow_destroy, "as what may be destroyed"),
    ] {
        let strangers = addresses
            .iter()
            .filter(|one| inputs.graph.position(one).is_none());
        refused.extend(strangers.map(|one| unknown(one, given)));
    }
}

/// Whether nothing would be done if what it runs on were left alone.
fn is_only_settling(node: &NodeDiff<'_>) -> bool {
    let change = &node.change;
    let whole = |record: &Recorded| record.status == Status::Ready;
    matches!(change, Change::Await { .. })
        && change.disrupted_by().is_some()
        && node.record.as_deref().is_none_or(whole)
}

/// Whether it is only now made, or not known to work.
fn is_missing(node: &NodeDiff<'_>) -> bool {
    matches!(node.change, Change::Create { .. }) || groups::is_unfinished(node)
}

/// The unfinished members of each group that is to be waited for before others are interrupted.
fn unfinished<'a>(inputs: &Inputs<'a, '_>) -> BTreeMap<&'a str, Vec<usize>> {
    let mut found: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, node) in inputs.diff.nodes.iter().enumerate() {
        if groups::is_unfinished(node)
            && let Some(group) = groups::group_of(inputs, node)
        {
            found.entry(&group.name).or_default().push(at);
        }
    }
    found
}

/// The targets, everything they need, for what goes, everything that depends on it, and for what
/// is interrupted, what has to be seen working before and after.
fn closure(
    inputs: &Inputs<'_, '_>,
    relations: &Relations,
    chosen: &[bool],
    refused: &mut Vec<Refusal>,
) -> BTreeSet<usize> {
    let nodes = &inputs.diff.nodes;
    let unfinished = unfinished(inputs);
    let mut within = BTreeSet::new();
    let mut waits = BTreeSet::new();
    let mut queue = Vec::new();
    for target in &inputs.options.targets {
        match inputs.graph.position(target) {
            Some(at) => queue.push(at),
            None => refused.push(unknown(target, "as a target")),
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
        if chosen[at] && nodes[at].change.interrupts() {
            let group = groups::group_of(inputs, &nodes[at]);
            let others = group.and_then(|group| unfinished.get(group.name.as_str()));
            let others = others.into_iter().flatten().copied();
            for wait in groups::settling(inputs, relations, at).chain(others) {
                waits.insert(wait);
                // It has what it needs, unless that is not there yet.
                let needs = relations.needs[wait].iter();
                queue.extend(needs.filter(|need| is_missing(&nodes[**need])));
            }
        }
    }
    within.append(&mut waits);
    within
}
