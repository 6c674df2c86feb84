//! Whether pods are kept away from the metadata service, where anybody could read a droplet's
//! `user_data`.

use super::verdict::Findings;
use super::{Examination, Verdict, nodes};
use kplan_providers::kubernetes::metadata_probe::{self, MOST_NODES, Seen};
use serde_json::json;
use std::collections::BTreeMap;

/// By a pod on every node, where somebody asked for that.
pub(super) async fn blocked(at: &Examination) -> Verdict {
    let (session, nodes) = match (at.cluster().await, at.nodes().await) {
        (Ok(session), Ok(nodes)) => (session, nodes),
        (Err(verdict), _) | (_, Err(verdict)) => return verdict,
    };
    if at.session.cloud.embedded {
        return Verdict::not_looked("pods of the embedded cloud run nothing, so none can try");
    }
    if !at.probe {
        return Verdict::not_looked(
            "only a pod can tell: `kplan doctor --probe` runs one on every node for some seconds",
        );
    }
    let names: Vec<String> = nodes
        .iter()
        .map(|node| nodes::name(node).to_owned())
        .collect();
    let clusters = &at.session.adapters.clusters;
    let id = format!("{:x}", at.now.0);
    match metadata_probe::probe(clusters, session, &names, &id).await {
        Ok(seen) => judged(&seen),
        Err(error) => super::examination::unread("the pods that tried", &error),
    }
}

fn judged(seen: &BTreeMap<String, Seen>) -> Verdict {
    let mut findings = Findings::new();
    let (mut kept_away, mut unknown) = (0_usize, Vec::new());
    for (node, seen) in seen {
        match seen {
            Seen::Blocked => kept_away += 1,
            Seen::Reached => {
                findings.problem(format!("a pod on {node} reads the metadata service"));
            }
            Seen::Unknown(why) => unknown.push(format!("{node}: {why}")),
        }
    }
    let details = json!({ "kept_away": kept_away, "unknown": unknown });
    if kept_away == 0 && unknown.len() == seen.len() {
        return Verdict::not_looked(unknown.join("; ")).details(details);
    }
    for why in unknown {
        findings.warning(format!("nobody knows of {why}"));
    }
    let mut verdict = findings.verdict(
        format!("pods on {kept_away} nodes do not reach the metadata service"),
        "anybody's pod reads there what the droplet was made with. The rule is in the unit \
         kplan-metadata.service of every node: `systemctl status kplan-metadata` there says why it \
         does not hold; `kplan apply --replace droplet.…` makes the node anew",
    );
    verdict.details["nodes"] = details;
    if seen.len() >= MOST_NODES {
        verdict.details["limited_to"] = MOST_NODES.into();
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Outcome;

    fn judge(seen: &[(&str, Seen)]) -> Outcome {
        let seen = seen
            .iter()
            .map(|(node, seen)| ((*node).to_owned(), seen.clone()));
        judged(&seen.collect()).outcome
    }

    #[test]
    fn one_node_that_lets_pods_through_is_a_problem_and_silence_is_no_proof() {
        let unknown = Seen::Unknown("its pod did not end in time".to_owned());
        assert_eq!(judge(&[("a", Seen::Blocked)]), Outcome::Ok);
        assert_eq!(
            judge(&[("a", Seen::Blocked), ("b", Seen::Reached)]),
            Outcome::Problem
        );
        assert_eq!(
            judge(&[("a", Seen::Blocked), ("b", unknown.clone())]),
            Outcome::Warning
        );
        assert_eq!(judge(&[("b", unknown)]), Outcome::NotLookedAt);
    }
}
