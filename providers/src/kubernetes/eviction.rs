//! What a drained node waits for: which pods have to leave, and what holds them.

use super::object::{Object, Type};
use super::session::Session;
use serde_json::Value;

/// How many budgets a message names.
const NAMED: usize = 5;

/// Whether a drain has to wait for the pod to go: not for one that ended, a static one, or one of a
/// `DaemonSet`.
pub(crate) fn leaves(pod: &Value) -> bool {
    let ended = matches!(
        pod.pointer("/status/phase").and_then(Value::as_str),
        Some("Succeeded" | "Failed")
    );
    let mirror = pod
        .pointer("/metadata/annotations")
        .is_some_and(|all| all.get("kubernetes.io/config.mirror").is_some());
    !ended && !mirror && controller(pod) != Some("DaemonSet")
}

/// The kind of what would make the pod again.
pub(crate) fn controller(pod: &Value) -> Option<&str> {
    let owners = pod.pointer("/metadata/ownerReferences")?.as_array()?;
    let mut managing = owners
        .iter()
        .filter(|owner| owner["controller"].as_bool() == Some(true));
    managing.next()?["kind"].as_str()
}

/// What is said of the disruption budgets that let none of these pods go; `None` where none does, or
/// the cluster does not say.
pub(crate) async fn held_by(session: &Session, pods: &[&Value]) -> Option<String> {
    if pods.is_empty() {
        return None;
    }
    let of = Type::new("policy/v1", "PodDisruptionBudget");
    let budgets = session.list(&of, "").await.ok()?;
    say(&holding(&budgets, pods))
}

fn say(budgets: &[String]) -> Option<String> {
    let mut names: Vec<&str> = budgets.iter().take(NAMED).map(String::as_str).collect();
    let more = format!("{} more", budgets.len().saturating_sub(NAMED));
    if budgets.len() > NAMED {
        names.push(&more);
    }
    match names.as_slice() {
        [] => None,
        [one] => Some(format!("held by the disruption budget {one}")),
        [first @ .., last] => Some(format!(
            "held by the disruption budgets {} and {last}",
            first.join(", ")
        )),
    }
}

/// The budgets that allow no disruption and select one of the pods: `namespace/name`.
fn holding(budgets: &[Value], pods: &[&Value]) -> Vec<String> {
    let strict = budgets.iter().filter(|budget| {
        let allowed = budget.pointer("/status/disruptionsAllowed");
        allowed.and_then(Value::as_i64) == Some(0)
            && pods.iter().any(|pod| is_selected(budget, pod))
    });
    let names = strict.filter_map(|budget| {
        let budget = Object::of(budget).ok()?;
        Some(format!("{}/{}", budget.namespace?, budget.name))
    });
    names.collect()
}

/// Whether a budget is about a pod. One without a selector is about none, one with an empty selector
/// about all of its namespace (Kubernetes API reference, `PodDisruptionBudgetSpec`).
fn is_selected(budget: &Value, pod: &Value) -> bool {
    let place = |object: &Value| object.pointer("/metadata/namespace").cloned();
    let Some(selector) = budget.pointer("/spec/selector").filter(|it| !it.is_null()) else {
        return false;
    };
    let value = |key: &str| pod.pointer("/metadata/labels")?.get(key)?.as_str();
    let labels = selector["matchLabels"].as_object();
    let labels = labels
        .into_iter()
        .flatten()
        .all(|(key, wanted)| value(key) == wanted.as_str());
    let rules = selector["matchExpressions"].as_array();
    let rules = rules.into_iter().flatten().all(|rule| {
        let found = rule["key"].as_str().and_then(value);
        let values = rule["values"].as_array();
        let listed = values.into_iter().flatten().filter_map(Value::as_str);
        let among = found.is_some_and(|found| listed.into_iter().any(|one| one == found));
        match rule["operator"].as_str() {
            Some("In") => among,
            Some("NotIn") => !among,
            Some("Exists") => found.is_some(),
            Some("DoesNotExist") => found.is_none(),
            _ => false,
        }
    });
    place(budget) == place(pod) && labels && rules
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn budget(name: &str, selector: &Value, allowed: u32) -> Value {
        json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
            "metadata": { "name": name, "namespace": "shop" },
            "spec": { "selector": selector },
            "status": { "disruptionsAllowed": allowed },
        })
    }

    fn pod(namespace: &str, app: &str) -> Value {
        json!({ "metadata": { "name": "p", "namespace": namespace, "labels": { "app": app } } })
    }

    #[test]
    fn a_budget_holds_what_it_selects_where_it_allows_nothing() {
        let web = pod("shop", "web");
        let rule = |operator: &str, values: &[&str]| json!({ "matchExpressions": [{ "key": "app", "operator": operator, "values": values }] });
        let label = |app: &str| json!({ "matchLabels": { "app": app } });
        let cases = [
            ("label", label("web"), 0, true),
            ("allows", label("web"), 1, false),
            ("other", label("db"), 0, false),
            ("all", json!({}), 0, true),
            ("none", Value::Null, 0, false),
            ("in", rule("In", &["db", "web"]), 0, true),
            ("not-in", rule("NotIn", &["web"]), 0, false),
            ("exists", rule("Exists", &[]), 0, true),
            ("absent", rule("DoesNotExist", &[]), 0, false),
        ];
        for (name, selector, allowed, holds) in cases {
            let found = holding(&[budget(name, &selector, allowed)], &[&web]);
            let wanted: Vec<String> = holds.then(|| format!("shop/{name}")).into_iter().collect();
            assert_eq!(found, wanted);
        }
        let elsewhere = pod("blog", "web");
        assert!(holding(&[budget("label", &label("web"), 0)], &[&elsewhere]).is_empty());
    }

    #[test]
    fn many_budgets_are_counted() {
        let names = |count: usize| (0..count).map(|at| format!("a/{at}")).collect::<Vec<_>>();
        assert_eq!(say(&names(0)), None);
        assert_eq!(
            say(&names(1)).as_deref(),
            Some("held by the disruption budget a/0")
        );
        assert_eq!(
            say(&names(2)).as_deref(),
            Some("held by the disruption budgets a/0 and a/1")
        );
        assert_eq!(
            say(&names(7)).as_deref(),
            Some("held by the disruption budgets a/0, a/1, a/2, a/3, a/4 and 2 more")
        );
    }
}
