//! Disruption budgets: how many pods may be evicted, for the controller and for evictions.

use std::collections::BTreeMap;

use serde_json::Value;

use super::object::{self, Object, at, items, map, number, text};
use super::selector::LabelSelector;
use super::status::ApiError;
use super::storage::Storage;

/// Collection of budgets.
pub(crate) const BUDGETS: &str = "policy/poddisruptionbudgets";

/// What a budget allows at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Pods that must stay healthy.
    pub(crate) desired: i64,
    /// Pods that are.
    pub(crate) healthy: i64,
    /// Pods there should be.
    pub(crate) expected: i64,
}

impl Budget {
    /// Pods that may be evicted now.
    pub(crate) fn allowed(&self) -> i64 {
        if self.expected <= 0 {
            return 0;
        }
        self.healthy.saturating_sub(self.desired).max(0)
    }
}

/// Whether a budget is about a pod. Without a selector it is about none.
pub(crate) fn covers(budget: &Value, pod: &Value) -> bool {
    at(budget, &["spec", "selector"])
        .filter(|selector| !selector.is_null())
        .is_some_and(|selector| {
            LabelSelector::of_spec(selector).matches(map(pod, &["metadata", "labels"]))
        })
}

/// What a budget allows.
pub(crate) fn budget(storage: &Storage, budget: &Value) -> Budget {
    let (pods, _) = storage.list("/pods", Some(object::namespace(budget)));
    let pods: Vec<Object> = pods
        .into_iter()
        .filter(|pod| covers(budget, pod) && !object::ended(pod))
        .collect();
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let healthy = count(pods.iter().filter(|pod| object::serves(pod)).count());
    let unset = Value::Null;
    let least = at(budget, &["spec", "minAvailable"]).unwrap_or(&unset);
    let most = at(budget, &["spec", "maxUnavailable"]).unwrap_or(&unset);
    // A plain number counts the pods there are; everything else those their owners want.
    let expected = if most.is_null() && least.is_number() {
        count(pods.len())
    } else {
        wanted(storage, &pods)
    };
    let desired = if most.is_null() {
        share(least, expected)
    } else {
        expected.saturating_sub(share(most, expected))
    };
    Budget {
        desired: desired.max(0),
        healthy,
        expected,
    }
}

/// Whether the budgets about a pod let it go: asked under the lock of whoever deletes it.
pub(crate) fn permit(storage: &Storage, pod: &Value) -> Result<(), ApiError> {
    if text(pod, &["status", "phase"]) != Some("Running") || object::terminating(pod) {
        return Ok(());
    }
    let (budgets, _) = storage.list(BUDGETS, Some(object::namespace(pod)));
    let about: Vec<&Object> = budgets.iter().filter(|one| covers(one, pod)).collect();
    match about.as_slice() {
        [] => Ok(()),
        [only] => {
            let budget = budget(storage, only);
            // A pod that serves nobody may go as long as enough others do.
            let useless = !object::serves(pod) && budget.desired > 0;
            if budget.allowed() > 0 || (useless && budget.healthy >= budget.desired) {
                return Ok(());
            }
            let (desired, healthy) = (budget.desired, budget.healthy);
            Err(ApiError::disrupts(&format!(
                "The disruption budget {} needs {desired} healthy pods and has {healthy} currently",
                object::name(only)
            )))
        }
        _ => Err(ApiError::internal(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
        )),
    }
}

/// A number, or a percentage of all, rounded up. What users write may be any number there is.
pub(crate) fn share(value: &Value, all: i64) -> i64 {
    let percent = value
        .as_str()
        .and_then(|text| text.strip_suffix('%')?.parse::<i64>().ok());
    match percent {
        Some(percent) => percent.saturating_mul(all).saturating_add(99) / 100,
        None => value.as_i64().unwrap_or(0),
    }
}

/// How many pods the controllers of these want together.
fn wanted(storage: &Storage, pods: &[Object]) -> i64 {
    let mut owners: BTreeMap<String, i64> = BTreeMap::new();
    for pod in pods {
        let owner = items(pod, &["metadata", "ownerReferences"])
            .iter()
            .find(|owner| object::flag(owner, &["controller"]));
        let Some(owner) = owner else {
            continue;
        };
        let collection = match text(owner, &["kind"]) {
            Some("ReplicaSet") => "apps/replicasets",
            Some("StatefulSet") => "apps/statefulsets",
            Some("ReplicationController") => "/replicationcontrollers",
            _ => continue,
        };
        let name = text(owner, &["name"]).unwrap_or_default();
        if let Some(found) = storage.get(collection, object::namespace(pod), name) {
            let replicas = number(&found, &["spec", "replicas"]).unwrap_or(1);
            owners.insert(format!("{collection}/{name}"), replicas);
        }
    }
    owners.values().sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn percentages_round_up() {
        assert_eq!(share(&json!("50%"), 3), 2);
        assert_eq!(share(&json!(2), 3), 2);
        assert_eq!(share(&Value::Null, 3), 0);
        assert_eq!(share(&json!("9223372036854775807%"), 3), i64::MAX / 100);
        let budget = |healthy, desired, expected| Budget {
            desired,
            healthy,
            expected,
        };
        assert_eq!(budget(3, 2, 3).allowed(), 1);
        assert_eq!(budget(1, 2, 3).allowed(), 0);
        assert_eq!(budget(1, 0, 0).allowed(), 0);
    }
}
