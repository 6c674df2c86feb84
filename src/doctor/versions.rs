//! Versions: of K3s on the nodes, and of what kplan installed in the cluster.

use super::verdict::Findings;
use super::{Examination, Verdict, nodes};
use crate::compose::platform;
use kplan_model::{Address, Snapshot, Value};
use kplan_providers::kubernetes::k3s_upgrade;
use kplan_schema::value::{K3sVersion, TESTED_K3S_VERSIONS};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Every node runs what the file says, and kplan is tested with it.
pub(super) async fn nodes(at: &Examination) -> Verdict {
    match at.nodes().await {
        Ok(nodes) => judged(nodes, &at.session.loaded.spec.k3s.version),
        Err(verdict) => verdict,
    }
}

fn judged(nodes: &[Json], wanted: &K3sVersion) -> Verdict {
    let mut by_version: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for node in nodes {
        let version = node.pointer("/status/nodeInfo/kubeletVersion");
        let version = version.and_then(Json::as_str).unwrap_or_default();
        by_version
            .entry(version)
            .or_default()
            .push(nodes::name(node));
    }
    let file = wanted.to_string();
    let mut findings = Findings::new();
    for (version, names) in by_version.iter().filter(|(version, _)| **version != file) {
        let names = names.join(", ");
        match k3s_upgrade::allowed(version, &file) {
            Ok(()) => findings.warning(format!("{names} run {version}, the file says {file}")),
            Err(why) => findings.problem(format!("{names} run {version}: {why}")),
        }
    }
    if by_version.len() > 1 {
        findings.warning(format!(
            "nodes run {} versions of K3s: an upgrade is under way or was cut off",
            by_version.len()
        ));
    }
    if !wanted.is_tested() {
        findings.warning(format!(
            "this kplan is tested with {}, and not with {file}",
            TESTED_K3S_VERSIONS.join(", ")
        ));
    }
    let mut verdict = findings.verdict(
        format!("every node runs {file}"),
        "`kplan apply` brings nodes to the file's version, one at a time; a version that is too far \
         away is reached by way of each minor version between",
    );
    verdict.details["nodes"] = json!(by_version);
    verdict
}

/// What was installed is what this kplan was tested with.
pub(super) async fn components(at: &Examination) -> Verdict {
    let snapshot = match at.snapshot() {
        Ok(snapshot) => snapshot,
        Err(verdict) => return verdict,
    };
    let artifacts = &at.session.adapters.artifacts;
    let installed: Vec<Installed> = COMPONENTS
        .iter()
        .filter_map(|(address, component)| {
            Some(Installed {
                component,
                runs: version_of(snapshot, &address())?,
                tested: artifacts.default_version(component),
            })
        })
        .collect();
    judged_components(&installed)
}

/// Where the version of a component is on record.
type At = fn() -> Address;

const COMPONENTS: [(At, &str); 5] = [
    (platform::argocd, "argo-cd"),
    (platform::velero, "velero"),
    (platform::csi, "csi-digitalocean"),
    (platform::cloud_controller, "digitalocean-ccm"),
    (platform::sealed_secrets, "sealed-secrets"),
];

#[derive(Clone, Debug)]
struct Installed {
    component: &'static str,
    runs: String,
    tested: String,
}

/// By its artifacts, which are all of one version; Velero's has plugins of others beside it.
fn version_of(snapshot: &Snapshot, address: &Address) -> Option<String> {
    let text = |value: Value| match value {
        Value::Str(text) => Some(text.as_str().to_owned()),
        _ => None,
    };
    let record = snapshot.resources.get(address)?;
    let own = record.args.get("version").cloned().and_then(text);
    own.or_else(|| match record.args.get("artifacts") {
        Some(Value::List(artifacts)) => match artifacts.first()? {
            Value::Map(artifact) => artifact.get("version").cloned().and_then(text),
            _ => None,
        },
        _ => None,
    })
}

fn judged_components(installed: &[Installed]) -> Verdict {
    if installed.is_empty() {
        return Verdict::not_looked("kplan has installed nothing in the cluster yet");
    }
    let mut findings = Findings::new();
    for one in installed {
        let Installed {
            component,
            runs,
            tested,
        } = one;
        // A mirror may serve a set that knows no default of it.
        if !tested.is_empty() && runs != tested {
            findings.warning(format!(
                "{component} {runs} is installed, this kplan was tested with {tested}"
            ));
        }
    }
    let all: Vec<String> = installed
        .iter()
        .map(|one| format!("{} {}", one.component, one.runs))
        .collect();
    let mut verdict = findings.verdict(
        all.join(", "),
        "the version is the file's (`[gitops] version`, `[backup] version`) where it says one, and \
         this kplan's where it does not: `kplan apply` installs it",
    );
    let details = installed.iter().map(
        |one| json!({ "component": one.component, "installed": one.runs, "tested": one.tested }),
    );
    verdict.details["components"] = details.collect();
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Outcome;
    use kplan_schema::value::DEFAULT_K3S_VERSION;

    fn judge(running: &[&str]) -> Verdict {
        let text = "[cluster]\nname='demo'\nregion='fra1'\n[servers]\nsize='s-2vcpu-4gb'\n";
        let parsed = kplan_schema::parse(&kplan_schema::Source::new("cluster.toml", text));
        let spec = parsed.spec.expect("a spec");
        let nodes: Vec<Json> = running
            .iter()
            .enumerate()
            .map(|(index, version)| {
                json!({"metadata": {"name": format!("n{index}")},
                       "status": {"nodeInfo": {"kubeletVersion": version}}})
            })
            .collect();
        judged(&nodes, &spec.k3s.version)
    }

    #[test]
    fn older_nodes_are_behind_and_newer_ones_refuse_the_file() {
        let verdict = judge(&[DEFAULT_K3S_VERSION, DEFAULT_K3S_VERSION]);
        assert_eq!(verdict.outcome, Outcome::Ok, "{verdict:?}");
        let behind = judge(&["v1.34.9+k3s1", DEFAULT_K3S_VERSION]);
        assert_eq!(behind.outcome, Outcome::Warning);
        assert!(behind.message.contains("n0 run v1.34.9+k3s1"), "{behind:?}");
        assert!(behind.message.contains("2 versions"), "{behind:?}");
        for far in ["v1.36.2+k3s1", "v1.33.1+k3s1", ""] {
            assert_eq!(judge(&[far]).outcome, Outcome::Problem, "{far}");
        }
    }

    #[test]
    fn a_component_of_another_version_than_the_tested_is_told() {
        let one = |runs: &str| Installed {
            component: "argo-cd",
            runs: runs.to_owned(),
            tested: "v3.4.7".to_owned(),
        };
        assert_eq!(judged_components(&[one("v3.4.7")]).outcome, Outcome::Ok);
        let other = judged_components(&[one("v3.3.0")]);
        assert_eq!(other.outcome, Outcome::Warning);
        assert_eq!(other.details["components"][0]["installed"], "v3.3.0");
        assert_eq!(judged_components(&[]).outcome, Outcome::NotLookedAt);
    }
}
