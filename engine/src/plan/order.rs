//! Numbers: drafts in an order in which every requirement has a smaller number.

use super::draft::Drafts;
use crate::error::Refusal;
use kplan_model::{Origin, Step, StepId};
use std::collections::BTreeSet;

/// Numbers the drafts: after what they require, and among those that could stand next the one
/// made first (by address). A circle is refused, never broken at random.
pub(super) fn number(drafts: Drafts) -> Result<Vec<Step>, Box<Refusal>> {
    let mut missing: Vec<usize> = drafts
        .all
        .iter()
        .map(|draft| draft.requires.len())
        .collect();
    let mut ready: BTreeSet<usize> = (0..missing.len()).filter(|at| missing[*at] == 0).collect();
    let mut order = Vec::with_capacity(missing.len());
    while let Some(at) = ready.pop_first() {
        order.push(at);
        for next in &drafts.all[at].required_by {
            missing[*next] -= 1;
            if missing[*next] == 0 {
                ready.insert(*next);
            }
        }
    }
    if let Some(stuck) = missing.iter().position(|left| *left > 0) {
        return Err(Box::new(circle(&drafts, &missing, stuck)));
    }
    let mut numbers = vec![StepId::default(); order.len()];
    for (number, at) in order.iter().enumerate() {
        numbers[*at] = StepId(u32::try_from(number).unwrap_or(u32::MAX));
    }
    let mut all: Vec<Option<super::draft::Draft>> = drafts.all.into_iter().map(Some).collect();
    let steps = order.iter().filter_map(|at| {
        let draft = all[*at].take()?;
        Some(Step {
            id: numbers[*at],
            address: draft.address,
            action: draft.action,
            before: draft.before,
            args: draft.args,
            meta: draft.meta,
            depends_on: draft.depends_on,
            changes: draft.changes,
            reason: draft.reason,
            requires: draft
                .requires
                .into_iter()
                .map(|first| numbers[first])
                .collect(),
            pair: draft.pair.map(|other| numbers[other]),
            goes_with: draft.goes_with,
            loses: draft.loses,
            operation: draft.operation,
            origin: draft.origin,
        })
    });
    Ok(steps.collect())
}

fn circle(drafts: &Drafts, missing: &[usize], stuck: usize) -> Refusal {
    const SHOWN: usize = 8;
    let names: BTreeSet<String> = (0..missing.len())
        .filter(|at| missing[*at] > 0)
        .map(|at| drafts.all[at].address.to_string())
        .collect();
    let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    Refusal {
        code: "plan::no_order",
        address: drafts.all[stuck].address.clone(),
        field: None,
        origin: Origin::Default,
        message: format!(
            "there is no safe order for the changes to {}: each waits for another",
            shown.join(", ")
        ),
        help: "apply the change in two steps, for example with --target".to_owned(),
    }
}
