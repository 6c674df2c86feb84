//! Deletes: in which order old resources go.
//!
//! A living resource goes after everything that depends on it is gone or no longer refers to
//! it. What goes with its container goes after the container, whatever depends on what inside;
//! what it depends on outside goes after it as far as the container's own place allows. Where
//! members of a group are replaced, that gives way to their turns as well: all of them would go
//! before the first is made anew.

use super::containers::Containers;
use super::draft::Drafts;
use super::make::Inputs;
use super::relations::{Relations, old_needs};
use super::replace::Orders;
use crate::diff::stands_in_deposed;
use kplan_model::{Address, ReplaceOrder};
use std::collections::BTreeMap;

/// Gives the wishes of members of groups, for [`require_softly`] when the turns are taken.
pub(super) fn require(
    inputs: &Inputs<'_, '_>,
    relations: &Relations,
    containers: &Containers,
    orders: &Orders,
    drafts: &mut Drafts,
) -> Vec<(usize, usize)> {
    pairs(orders, drafts);
    with_deposed_containers(inputs, drafts);
    let mut wishes = Vec::new();
    for at in 0..relations.needs.len() {
        let Some(going) = drafts.unmake[at] else {
            continue;
        };
        if drafts.all[going].goes_with.is_some()
            && !stands_in_old_half(inputs, drafts, going)
            && let Some(outer) = relations.old_inside[at].and_then(|outer| drafts.unmake[outer])
        {
            drafts.require(going, outer);
        }
        for dependent in &relations.old_needed_by[at] {
            if let Some(other) = drafts.unmake[*dependent] {
                let follows = containers.outer(*dependent).is_some();
                if super::groups::peers(inputs, at, *dependent) {
                    // They are replaced in turns.
                } else if !follows {
                    drafts.require(going, other);
                } else if containers.outer(at).is_none() && !containers.separate(at, *dependent) {
                    wishes.push((at, *dependent, going, other));
                }
            } else if let Some(update) = drafts.make[*dependent] {
                let delete_first = orders.replace[at] == Some(ReplaceOrder::DeleteFirst);
                if delete_first && relations.needed_by[at].contains(dependent) {
                    // It is updated after the new half is there; it cannot let go before.
                } else if delete_first || orders.early[at] {
                    wishes.push((at, *dependent, going, update));
                } else {
                    drafts.require(going, update);
                }
            }
        }
    }
    // Turns of groups come before wishes of their members.
    let (later, now): (Vec<_>, Vec<_>) = wishes.into_iter().partition(|(at, dependent, ..)| {
        let members = [*at, *dependent];
        members
            .iter()
            .any(|it| super::groups::takes_turns(inputs, *it))
    });
    let steps = |wishes: Vec<(usize, usize, usize, usize)>| {
        let wishes = wishes.into_iter();
        wishes.map(|(_, _, step, first)| (step, first)).collect()
    };
    require_softly(steps(now), drafts);
    deposed(inputs, relations, drafts);
    steps(later)
}

fn pairs(orders: &Orders, drafts: &mut Drafts) {
    for at in 0..orders.replace.len() {
        let (Some(old), Some(new)) = (drafts.unmake[at], drafts.make[at]) else {
            continue;
        };
        match orders.replace[at] {
            Some(ReplaceOrder::CreateFirst) => drafts.require(old, new),
            _ => drafts.require(new, old),
        }
    }
}

/// Whether the step is for something in the old half of its container, of which a new half is on
/// record, too.
fn stands_in_old_half(inputs: &Inputs<'_, '_>, drafts: &Drafts, step: usize) -> bool {
    let record = drafts.all[step].before.as_ref();
    record.is_some_and(|record| stands_in_deposed(inputs.snapshot, record))
}

/// What stands in the old half of its container goes after that, whatever is done to the new one.
fn with_deposed_containers(inputs: &Inputs<'_, '_>, drafts: &mut Drafts) {
    let mut old_halves: BTreeMap<Address, Vec<usize>> = BTreeMap::new();
    for step in &drafts.deposed {
        let address = drafts.all[*step].address.clone();
        old_halves.entry(address).or_default().push(*step);
    }
    for step in 0..drafts.all.len() {
        let Some(container) = &drafts.all[step].goes_with else {
            continue;
        };
        let going = inputs
            .graph
            .position(container)
            .and_then(|at| drafts.unmake[at]);
        if going.is_none() || stands_in_old_half(inputs, drafts, step) {
            for first in old_halves.get(container).into_iter().flatten() {
                drafts.require(step, *first);
            }
        }
    }
}

/// Wishes that a circle may overrule. `wishes` holds each step's together.
pub(super) fn require_softly(wishes: Vec<(usize, usize)>, drafts: &mut Drafts) {
    let mut by_step: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (step, first) in wishes {
        by_step.entry(step).or_default().push(first);
    }
    for (step, firsts) in by_step {
        let after = drafts.dependents_of(step);
        for first in firsts {
            drafts.require_softly(step, first, &after);
        }
    }
}

/// A deposed resource goes after whatever is done to its address and to what depends on that,
/// and before what it depended on.
fn deposed(inputs: &Inputs<'_, '_>, relations: &Relations, drafts: &mut Drafts) {
    let position = |address: &Address| inputs.graph.position(address);
    for place in 0..drafts.deposed.len() {
        let step = drafts.deposed[place];
        let Some(record) = drafts.all[step].before.clone() else {
            continue;
        };
        let container = drafts.all[step].goes_with.as_ref().and_then(position);
        if let Some(outer) = container.and_then(|outer| drafts.unmake[outer]) {
            drafts.require(step, outer);
        }
        for need in old_needs(&record, position) {
            if let Some(going) = drafts.unmake[need] {
                let after = drafts.dependents_of(going);
                drafts.require_softly(going, step, &after);
            }
        }
        let mut firsts: Vec<usize> = drafts.deposed[..place]
            .iter()
            .copied()
            .filter(|other| drafts.all[*other].address == record.address)
            .collect();
        if let Some(at) = position(&record.address) {
            firsts.extend(drafts.unmake[at]);
            firsts.extend(drafts.make[at]);
            let dependents = relations.old_needed_by[at].iter();
            firsts.extend(dependents.filter_map(|dependent| drafts.make[*dependent]));
        }
        let after = drafts.dependents_of(step);
        for first in firsts {
            drafts.require_softly(step, first, &after);
        }
    }
}
