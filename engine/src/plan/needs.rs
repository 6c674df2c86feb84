//! Needs: no step before the steps that make what it needs.
//!
//! A need that has no step itself hands on what *it* needs: what is made on top of it must not
//! start while something below is changing.
//!
//! A step that only waits changes nothing and has all it needs, except what is only now made. It
//! stands behind the changes of its other needs as well as it can, but gives way to the order of
//! its group: the next member waits for it, and it must not wait for the next member.

use super::draft::Drafts;
use super::make::Inputs;
use super::relations::Relations;
use kplan_model::{Action, Reason};
use std::collections::BTreeSet;
use std::rc::Rc;

/// What every step that does something must come after, and of those that only wait, what they
/// cannot do without.
pub(super) fn require(inputs: &Inputs<'_, '_>, relations: &Relations, drafts: &mut Drafts) {
    for (at, firsts) in behind(inputs, relations, drafts) {
        let Some(step) = drafts.make[at] else {
            continue;
        };
        let waits = drafts.only_waits(step);
        for first in firsts.iter() {
            if !waits || is_needed_by_wait(drafts, step, *first) {
                drafts.require(step, *first);
            }
        }
    }
}

/// Everything else that steps that only wait should come after.
pub(super) fn require_of_waits(
    inputs: &Inputs<'_, '_>,
    relations: &Relations,
    drafts: &mut Drafts,
) {
    for (at, firsts) in behind(inputs, relations, drafts) {
        let Some(step) = drafts.make[at].filter(|step| drafts.only_waits(*step)) else {
            continue;
        };
        let after = drafts.dependents_of(step);
        for first in firsts.iter() {
            drafts.require_softly(step, *first, &after);
        }
    }
}

/// The old half of what is replaced goes after everything is made that only the new half needs: where
/// that cannot be made, what there is stays.
pub(super) fn require_of_old_halves(
    inputs: &Inputs<'_, '_>,
    relations: &Relations,
    drafts: &mut Drafts,
) {
    for at in inputs.graph.order() {
        let Some(going) = drafts.unmake[at].filter(|_| drafts.make[at].is_some()) else {
            continue;
        };
        let needs = relations.needs[at].iter();
        let made = needs.filter(|need| drafts.unmake[**need].is_none());
        let made = made.filter_map(|need| drafts.make[*need]);
        let made: Vec<usize> = made
            .filter(|first| drafts.all[*first].action == Action::Create)
            .collect();
        if made.is_empty() {
            continue;
        }
        let after = drafts.dependents_of(going);
        for first in made {
            drafts.require_softly(going, first, &after);
        }
    }
}

/// Whether a step that only waits cannot do without `first`: that makes something it refers to,
/// or interrupts what it runs on.
fn is_needed_by_wait(drafts: &Drafts, step: usize, first: usize) -> bool {
    let first = &drafts.all[first];
    first.action == Action::Create
        || drafts.all[step].reason == Reason::ParentDisrupted(first.address.clone())
}

/// For every node with a step: the steps that make what it needs, straight or through nodes
/// without one; in dependency order.
fn behind(
    inputs: &Inputs<'_, '_>,
    relations: &Relations,
    drafts: &Drafts,
) -> Vec<(usize, Rc<BTreeSet<usize>>)> {
    let nothing: Rc<BTreeSet<usize>> = Rc::default();
    let mut through = vec![Rc::clone(&nothing); relations.needs.len()];
    let mut found = Vec::new();
    for at in inputs.graph.order() {
        let needs = &relations.needs[at];
        let direct: BTreeSet<usize> = needs.iter().filter_map(|need| drafts.make[*need]).collect();
        let mut handed = needs
            .iter()
            .filter(|need| drafts.make[**need].is_none() && !through[**need].is_empty())
            .map(|need| &through[*need]);
        let all = match (handed.next(), direct.is_empty()) {
            (None, true) => Rc::clone(&nothing),
            (None, false) => Rc::new(direct),
            (Some(only), true) if handed.clone().all(|other| Rc::ptr_eq(only, other)) => {
                Rc::clone(only)
            }
            (Some(first), _) => {
                let mut all = direct;
                for more in std::iter::once(first).chain(handed) {
                    all.extend(more.iter());
                }
                Rc::new(all)
            }
        };
        if drafts.make[at].is_some() {
            found.push((at, all));
        } else {
            through[at] = all;
        }
    }
    found
}
