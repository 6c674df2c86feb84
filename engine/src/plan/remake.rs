//! Replacements that destroy first: the old half goes only when nothing but the destruction
//! itself is missing for the new half.
//!
//! Otherwise something that fails on the way (a database that cannot be changed) would leave the
//! old half destroyed and the new one never made, one more with every apply. What is tainted did
//! not work: it goes as soon as it may, lest something that works wait for it.

use super::draft::Drafts;
use kplan_model::{Action, Recorded, Status};
use std::collections::BTreeSet;

/// Lets every delete that a create waits for come after what else that create waits for. What
/// goes with its container stands for that: the container is destroyed then.
///
/// One requirement can lead to another, so this is repeated until nothing is added; each round
/// but the last adds at least one of a bounded number.
pub(super) fn require(drafts: &mut Drafts) {
    let pairs: Vec<(usize, usize)> = (0..drafts.all.len())
        .filter(|step| drafts.all[*step].action == Action::Delete)
        .filter(|step| !is_tainted(drafts.all[*step].before.as_ref()))
        .filter_map(|old| Some((old, drafts.all[old].pair?)))
        .map(|(old, new)| (destruction(drafts, old), new))
        .collect();
    loop {
        let mut added = false;
        for (old, new) in &pairs {
            added |= hold(*old, *new, drafts);
        }
        if !added {
            break;
        }
    }
}

/// Whether it is destroyed because it did not work.
pub(super) fn is_tainted(before: Option<&Recorded>) -> bool {
    before.is_some_and(|record| record.status == Status::Tainted)
}

/// The step with which a resource is really destroyed: that of its outermost container.
fn destruction(drafts: &Drafts, old: usize) -> usize {
    let mut at = old;
    let mut seen = BTreeSet::from([old]);
    while let Some(container) = drafts.all[at].goes_with.clone() {
        let outer = drafts.all[at].requires.iter().copied().find(|first| {
            let first = &drafts.all[*first];
            first.action == Action::Delete && first.address == container
        });
        match outer.filter(|outer| seen.insert(*outer)) {
            Some(outer) => at = outer,
            None => break,
        }
    }
    at
}

/// Whether anything was added.
fn hold(old: usize, new: usize, drafts: &mut Drafts) -> bool {
    let unblocked = drafts.dependents_of(old);
    if !unblocked.contains(&new) {
        return false;
    }
    let mut firsts = Vec::new();
    let mut seen = BTreeSet::from([old, new]);
    let mut queue = vec![new];
    while let Some(at) = queue.pop() {
        for first in &drafts.all[at].requires {
            if !seen.insert(*first) {
                continue;
            }
            if unblocked.contains(first) {
                queue.push(*first);
            } else {
                firsts.push(*first);
            }
        }
    }
    if firsts.is_empty() {
        return false;
    }
    let before = drafts.requirements_of(&BTreeSet::from([old]));
    let mut added = false;
    for first in firsts {
        if !before.contains(&first) {
            // It does not come after `old`, so this closes no circle.
            drafts.require(old, first);
            added = true;
        }
    }
    added
}
