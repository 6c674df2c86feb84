//! The linter's look at replacements: both halves are there, and the old one does not go while
//! the new one may still turn out impossible.

use super::Lint;
use crate::plan::remake::is_tainted;
use kplan_model::{Action, Step, StepId};
use std::collections::BTreeSet;

impl Lint<'_> {
    pub(super) fn halves(&mut self, step: &Step) {
        let Some(pair) = step.pair else {
            return;
        };
        let fits = self.plan.step(pair).is_some_and(|other| {
            let actions = BTreeSet::from([step.action, other.action]);
            other.pair == Some(step.id)
                && other.address == step.address
                && actions == BTreeSet::from([Action::Create, Action::Delete])
        });
        if !fits {
            self.report(
                "lint::pair",
                step,
                "it is half of a replacement without the other half",
            );
        } else if step.action == Action::Delete {
            self.destroyed_early(step, pair);
        }
    }

    /// What the new half needs besides the destruction comes before the destruction.
    fn destroyed_early(&mut self, step: &Step, new: StepId) {
        if is_tainted(step.before.as_ref()) {
            return;
        }
        let end = self.destruction(step);
        if !self.comes_after(new, end) {
            return;
        }
        let needs = self.before(new);
        let done = self.before(end);
        let missing = needs
            .into_iter()
            .find(|first| *first != end && !done.contains(first) && !self.comes_after(*first, end));
        if let Some(first) = missing.and_then(|first| self.plan.step(first)) {
            let message = format!(
                "it may be destroyed before {}, without which its new half cannot be made, is done",
                first.address
            );
            self.report("lint::remake", step, message);
        }
    }

    /// The step that really destroys what a step is for: that of its outermost container.
    fn destruction(&self, step: &Step) -> StepId {
        let mut at = step;
        while let Some(container) = &at.goes_with {
            // Requirements have smaller numbers, so this ends.
            let mut firsts = at
                .requires
                .iter()
                .filter_map(|first| self.plan.step(*first));
            let outer = firsts.find(|first| {
                first.action == Action::Delete && first.address == *container && first.id < at.id
            });
            match outer {
                Some(outer) => at = outer,
                None => break,
            }
        }
        at.id
    }

    /// Everything a step requires, directly or not.
    fn before(&self, step: StepId) -> BTreeSet<StepId> {
        let mut found = BTreeSet::new();
        let mut queue = vec![step];
        while let Some(step) = queue.pop().and_then(|id| self.plan.step(id)) {
            queue.extend(step.requires.iter().filter(|first| found.insert(**first)));
        }
        found
    }
}
