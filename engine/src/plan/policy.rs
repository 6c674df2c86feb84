//! Guards: what may not be destroyed, and what must stay ready.

use super::draft::Drafts;
use super::groups::{Unit, group_of, unit_of};
use super::make::Inputs;
use super::relations::Relations;
use crate::diff::Change;
use crate::error::Refusal;
use kplan_model::{Action, Address, Group, Origin, PlanMode, Status};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(
    inputs: &Inputs<'_, '_>,
    relations: &Relations,
    drafts: &Drafts,
    refused: &mut Vec<Refusal>,
) {
    let guarded: BTreeSet<&Address> = inputs
        .declarations
        .resources
        .iter()
        .filter(|declaration| declaration.meta.protect)
        .map(|declaration| &declaration.address)
        .collect();
    for draft in drafts
        .all
        .iter()
        .filter(|draft| draft.action == Action::Delete)
    {
        let recorded = draft
            .before
            .as_ref()
            .is_some_and(|record| record.meta.protect);
        if recorded || guarded.contains(&draft.address) {
            refused.push(protected(&draft.address, draft.origin));
        } else if let Some(lost) = &draft.loses
            && inputs.options.mode == PlanMode::Apply
            && !inputs.options.allow_destroy.contains(&draft.address)
        {
            refused.push(holds(&draft.address, draft.origin, lost));
        }
    }
    kept_inside(inputs, relations, drafts, refused);
}

fn protected(address: &Address, origin: Origin) -> Refusal {
    Refusal {
        code: "plan::protected",
        address: address.clone(),
        field: None,
        origin,
        message: "it is protected and would be destroyed".to_owned(),
        help: "set `protect = false`, apply that, then try again; removing its block from the \
               file does not lift the protection"
            .to_owned(),
    }
}

fn holds(address: &Address, origin: Origin, lost: &str) -> Refusal {
    Refusal {
        code: "plan::would_lose",
        address: address.clone(),
        field: None,
        origin,
        message: format!("destroying it loses {lost} for ever"),
        help: format!("if that is wanted, allow it by name: --allow-destroy {address}"),
    }
}

/// What is kept must not stand in a container that goes.
fn kept_inside(
    inputs: &Inputs<'_, '_>,
    relations: &Relations,
    drafts: &Drafts,
    refused: &mut Vec<Refusal>,
) {
    for (at, node) in inputs.diff.nodes.iter().enumerate() {
        let goes = relations.old_inside[at].is_some_and(|outer| drafts.unmake[outer].is_some());
        if node.change == Change::Kept && goes {
            refused.push(Refusal {
                code: "plan::kept_inside",
                address: node.address.clone(),
                field: None,
                origin: Origin::State,
                message: "it is marked to be kept, but lives inside something that is destroyed"
                    .to_owned(),
                help: "keep its container, too, or destroy both".to_owned(),
            });
        }
    }
}

/// A group's members, counted in units.
#[derive(Default)]
struct Count<'a> {
    group: Option<&'a Group>,
    ready: BTreeSet<Unit<'a>>,
    /// Units that are down and stay so.
    down: BTreeSet<Unit<'a>>,
    declared: bool,
    deleted: BTreeSet<Unit<'a>>,
    interrupted: BTreeSet<Unit<'a>>,
    culprit: Option<(&'a Address, Origin)>,
}

/// At the worst moment, all units that go are gone, none of the new ones is there, and
/// `max_parallel` of the others (and those that dependencies force down with them) are down;
/// `min_ready` must be left even then.
pub(super) fn quorum(
    inputs: &Inputs<'_, '_>,
    drafts: &Drafts,
    forced: &BTreeMap<&str, usize>,
    refused: &mut Vec<Refusal>,
) {
    if inputs.options.mode != PlanMode::Apply {
        return;
    }
    for (name, count) in counts(inputs, drafts) {
        let (Some(group), Some((address, origin))) = (count.group, count.culprit) else {
            continue;
        };
        let width = usize::try_from(group.max_parallel.max(1)).unwrap_or(1);
        let at_once = width + forced.get(name).copied().unwrap_or(0);
        let up = |units: &BTreeSet<Unit<'_>>| units.difference(&count.down).count();
        let interrupted = count.interrupted.difference(&count.deleted);
        let interrupted = interrupted
            .filter(|unit| !count.down.contains(*unit))
            .count();
        let down = up(&count.deleted) + interrupted.min(at_once);
        let left = up(&count.ready).saturating_sub(down);
        let needed = usize::try_from(group.min_ready).unwrap_or(usize::MAX);
        if count.declared && left < needed {
            refused.push(Refusal {
                code: "plan::quorum",
                address: address.clone(),
                field: None,
                origin,
                message: format!(
                    "group `{name}` would have only {left} of its members ready, and needs {needed}"
                ),
                help: "make the change in smaller steps, or add members first".to_owned(),
            });
        }
    }
}

fn counts<'a>(inputs: &Inputs<'a, '_>, drafts: &Drafts) -> BTreeMap<&'a str, Count<'a>> {
    let mut counts: BTreeMap<&str, Count<'_>> = BTreeMap::new();
    for (at, node) in inputs.diff.nodes.iter().enumerate() {
        let Some(group) = group_of(inputs, node) else {
            continue;
        };
        let count = counts.entry(&group.name).or_default();
        if node.declared.is_some() || count.group.is_none() {
            count.group = Some(group);
        }
        count.declared |= node.declared.is_some();
        let steps = [drafts.make[at], drafts.unmake[at]];
        match node.record.as_deref().map(|record| record.status) {
            Some(Status::Ready) => {}
            Some(Status::Unfinished) if steps == [None, None] => {
                // It is not back, and nothing of this plan waits until it is.
                count.down.insert(unit_of(node));
                continue;
            }
            _ => continue,
        }
        count.ready.insert(unit_of(node));
        let create_first = matches!((drafts.unmake[at], drafts.make[at]), (Some(old), Some(new))
            if drafts.all[old].requires.contains(&new));
        if steps == [None, None] || !node.change.interrupts() || create_first {
            continue;
        }
        let origin = node
            .declared
            .map_or(Origin::State, |at| inputs.declarations.resources[at].origin);
        count.culprit.get_or_insert((node.address, origin));
        match node.change {
            Change::Delete { .. } => count.deleted.insert(unit_of(node)),
            _ => count.interrupted.insert(unit_of(node)),
        };
    }
    counts
}
