//! The disruption controller: what each budget allows stands in its status.

use serde_json::json;

use super::Pass;
use crate::kubernetes::disruption::{BUDGETS, budget};
use crate::kubernetes::object::set;

/// One pass over all budgets.
pub(super) fn reconcile(pass: &mut Pass<'_>) {
    for object in pass.all(BUDGETS) {
        let found = budget(&pass.server.storage, &object);
        pass.adjust(BUDGETS, &object, |object| {
            let generation = object["metadata"]["generation"].clone();
            set(object, &["status", "observedGeneration"], generation);
            for (field, count) in [
                ("currentHealthy", found.healthy),
                ("desiredHealthy", found.desired),
                ("expectedPods", found.expected),
                ("disruptionsAllowed", found.allowed()),
            ] {
                set(object, &["status", field], json!(count));
            }
            let (allowed, reason) = match (found.expected, found.allowed()) {
                (..=0, _) => (false, "NoPods"),
                (_, 0) => (false, "InsufficientPods"),
                _ => (true, "SufficientPods"),
            };
            pass.set_condition(object, "DisruptionAllowed", allowed, reason, "");
        });
    }
}
