//! What a run has not begun yet, and what each of it waits for.

use crate::review::is_visible;
use kplan_model::{Address, Plan, StepId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// How many of what comes next are named.
const NAMED: usize = 3;

/// Steps that are not begun, in the order of the plan.
#[derive(Clone, Debug, Default)]
pub struct Pending {
    /// All visible steps of the plan.
    total: usize,
    done: usize,
    addresses: BTreeMap<StepId, Address>,
    /// What is not begun, and which of what it needs is not done.
    waits: BTreeMap<StepId, BTreeSet<StepId>>,
    /// The other side of it.
    needed_by: BTreeMap<StepId, Vec<StepId>>,
}

impl Pending {
    /// Everything in a plan.
    pub fn of(plan: &Plan) -> Self {
        let visible: BTreeSet<StepId> = plan
            .steps
            .iter()
            .filter(|step| is_visible(step))
            .map(|step| step.id)
            .collect();
        let mut pending = Self {
            total: visible.len(),
            ..Self::default()
        };
        for step in plan.steps.iter().filter(|step| visible.contains(&step.id)) {
            let needs: BTreeSet<StepId> = step.requires.intersection(&visible).copied().collect();
            for need in &needs {
                pending.needed_by.entry(*need).or_default().push(step.id);
            }
            pending.waits.insert(step.id, needs);
            pending.addresses.insert(step.id, step.address.clone());
        }
        pending
    }

    /// A step began.
    pub fn began(&mut self, step: StepId) {
        self.waits.remove(&step);
    }

    /// A step ended, well or not.
    pub fn ended(&mut self, step: StepId) {
        self.waits.remove(&step);
        if self.addresses.remove(&step).is_some() {
            self.done += 1;
        }
        for next in self.needed_by.remove(&step).unwrap_or_default() {
            if let Some(needs) = self.waits.get_mut(&next) {
                needs.remove(&step);
            }
        }
    }

    /// `12 of 26 done; next k3s.cluster after k3s_node.servers[0]; 8 more`.
    pub fn sentence(&self) -> String {
        let mut out = format!("{} of {} done", self.done, self.total);
        let next: Vec<String> = self
            .waits
            .iter()
            .filter_map(|(step, needs)| self.told(*step, needs))
            .take(NAMED)
            .collect();
        if next.is_empty() {
            return out;
        }
        out.push_str("; next ");
        out.push_str(&next.join(", "));
        let more = self.waits.len().saturating_sub(next.len());
        if more > 0 {
            let _ = write!(out, "; {more} more");
        }
        out
    }

    fn told(&self, step: StepId, needs: &BTreeSet<StepId>) -> Option<String> {
        let address = self.addresses.get(&step)?;
        let first = needs.iter().find_map(|need| self.addresses.get(need));
        Some(match first {
            // Its turn has come; a worker takes it at once.
            None => address.to_string(),
            Some(first) if needs.len() == 1 => format!("{address} after {first}"),
            Some(first) => format!("{address} after {first} and {} more", needs.len() - 1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::testing::plan;

    #[test]
    fn what_comes_next_is_told_with_what_it_waits_for_until_nothing_is_left() {
        let plan = plan(7, 6, 0).plan;
        let mut pending = Pending::of(&plan);
        let total = plan.steps.len();
        assert!(
            pending
                .sentence()
                .starts_with(&format!("0 of {total} done; next "))
        );
        assert!(
            pending.sentence().contains(" after "),
            "{}",
            pending.sentence()
        );
        for step in &plan.steps {
            pending.began(step.id);
            let next = format!("next {}", step.address);
            // The other half of a replacement has the same address.
            assert!(
                step.pair.is_some() || !pending.sentence().contains(&next),
                "{}",
                pending.sentence()
            );
            pending.ended(step.id);
            pending.ended(step.id);
        }
        assert_eq!(pending.sentence(), format!("{total} of {total} done"));
    }
}
