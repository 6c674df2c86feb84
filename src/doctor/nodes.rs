//! The cluster's API and its nodes.

use super::examination::Reach;
use super::verdict::Findings;
use super::{Examination, Verdict};
use kplan_model::Value;
use kplan_providers::kubernetes::wait::uninitialized;
use serde_json::Value as Json;
use std::collections::BTreeSet;

/// What a node reports when it runs out of something.
const PRESSURES: [&str; 4] = [
    "MemoryPressure",
    "DiskPressure",
    "PIDPressure",
    "NetworkUnavailable",
];

/// The Kubernetes API answers.
pub(super) async fn api(at: &Examination) -> Verdict {
    match at.reach().await {
        Reach::NotYet => Verdict::not_looked("there is no cluster on record yet"),
        Reach::Sealed => {
            Verdict::not_looked("the key that opens the cluster is sealed in the state")
        }
        Reach::Up(_) => Verdict::ok("the Kubernetes API answers and says that it is ready"),
        Reach::Down(error) => {
            Verdict::problem(format!("the cluster cannot be asked: {}", error.message)).help(
                "is a droplet off (`doctor::resources`)? Is your address among `[network] \
                 api_allow`? `kplan plan` shows what an apply would repair; where the cluster is \
                 lost, `kplan restore` brings it back",
            )
        }
    }
}

/// Every node on record is there, ready, takes pods, and has room.
pub(super) async fn nodes(at: &Examination) -> Verdict {
    let (nodes, snapshot) = match (at.nodes().await, at.snapshot()) {
        (Ok(nodes), Ok(snapshot)) => (nodes, snapshot),
        (Err(verdict), _) | (_, Err(verdict)) => return verdict,
    };
    let records = snapshot.resources.values();
    let made = records.filter(|record| record.address.kind().as_str() == "k3s_node");
    let expected: BTreeSet<String> = made
        .filter_map(|record| match record.attribute("boot.node") {
            Some(Value::Str(name)) => Some(name.as_str().to_owned()),
            _ => None,
        })
        .collect();
    judged(nodes, &expected)
}

/// A node's name.
pub(super) fn name(node: &Json) -> &str {
    node["metadata"]["name"].as_str().unwrap_or_default()
}

fn judged(nodes: &[Json], expected: &BTreeSet<String>) -> Verdict {
    let mut findings = Findings::new();
    let there: BTreeSet<&str> = nodes.iter().map(name).collect();
    for missing in expected
        .iter()
        .filter(|name| !there.contains(name.as_str()))
    {
        findings.problem(format!("{missing} is on record and not in the cluster"));
    }
    for node in nodes {
        let name = name(node);
        match condition(node, "Ready") {
            Some(("True", _)) => {}
            Some((_, message)) => findings.problem(format!("{name} is not ready: {message}")),
            None => findings.problem(format!("{name} never said that it is ready")),
        }
        for pressure in PRESSURES {
            if let Some(("True", message)) = condition(node, pressure) {
                findings.problem(format!("{name} has {pressure}: {message}"));
            }
        }
        if node["spec"]["unschedulable"] == true {
            findings.warning(format!("{name} is cordoned: it takes no new pods"));
        }
    }
    for name in uninitialized(nodes) {
        findings.problem(format!(
            "{name} was never seen by the cloud controller and takes no pods"
        ));
    }
    findings.verdict(
        format!("{0} of {0} nodes are ready and take pods", nodes.len()),
        "`kubectl describe node NAME` says more. `kplan apply` makes again what is gone, and \
         `kubectl uncordon NAME` lets pods onto a node that nobody is working on",
    )
}

/// Status and message of a node's condition.
fn condition<'a>(node: &'a Json, of: &str) -> Option<(&'a str, &'a str)> {
    let conditions = node.pointer("/status/conditions")?.as_array()?;
    let found = conditions.iter().find(|one| one["type"] == of)?;
    let message = found["message"].as_str().unwrap_or_default();
    Some((found["status"].as_str()?, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Outcome;
    use serde_json::json;

    fn node(name: &str, conditions: &[(&str, &str)]) -> Json {
        let conditions: Vec<Json> = conditions
            .iter()
            .map(|(of, status)| json!({"type": of, "status": status, "message": "why"}))
            .collect();
        json!({"metadata": {"name": name}, "spec": {}, "status": {"conditions": conditions}})
    }

    fn judge(nodes: &[Json], expected: &[&str]) -> Verdict {
        judged(
            nodes,
            &expected.iter().map(|&name| name.to_owned()).collect(),
        )
    }

    #[test]
    fn a_node_is_judged_by_what_it_says_of_itself() {
        let well = node("a", &[("Ready", "True"), ("DiskPressure", "False")]);
        assert_eq!(
            judge(std::slice::from_ref(&well), &["a"]).outcome,
            Outcome::Ok
        );
        for conditions in [
            &[("Ready", "Unknown")][..],
            &[("Ready", "True"), ("DiskPressure", "True")],
            &[],
        ] {
            let verdict = judge(&[node("a", conditions)], &["a"]);
            assert_eq!(verdict.outcome, Outcome::Problem, "{conditions:?}");
        }
        let mut cordoned = well;
        cordoned["spec"]["unschedulable"] = true.into();
        let verdict = judge(&[cordoned], &["a"]);
        assert_eq!(verdict.outcome, Outcome::Warning);
        assert!(verdict.message.contains("a is cordoned"));
    }

    #[test]
    fn a_node_that_is_on_record_alone_is_missed() {
        let well = node("a", &[("Ready", "True")]);
        let verdict = judge(&[well], &["a", "b"]);
        assert_eq!(verdict.outcome, Outcome::Problem);
        assert!(verdict.message.starts_with("b is on record"));
    }
}
