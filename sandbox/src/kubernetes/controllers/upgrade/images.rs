//! What the containers of upgrade pods do: `rancher/k3s-upgrade` and the kubectl before it.

use std::time::Duration;

use serde_json::Value;

use super::{GROUP, NAMESPACE, NODES, PLAN, PLANS, drain, may, wanted};
use crate::kubernetes::controllers::Pass;
use crate::kubernetes::controllers::kubelet::{self, Step};
use crate::kubernetes::object::{self, Object, items, text};
use crate::mirror::k3s_versions;

/// How long a container takes that has little to do.
const BRIEF: Duration = Duration::from_secs(2);

/// Copying the binary and starting K3s again.
const REPLACE: Duration = Duration::from_secs(30);

/// Whether the pod is one of a plan's job.
pub(in crate::kubernetes::controllers) fn upgrades(pod: &Value) -> bool {
    object::namespace(pod) == NAMESPACE && object::label(pod, PLAN).is_some()
}

/// The version an image of `rancher/k3s-upgrade` brings; `None` for other images.
fn k3s_image(container: &Value) -> Option<String> {
    let image = text(container, &["image"])?;
    let (name, tag) = image.rsplit_once(':')?;
    let name = name.trim_start_matches("docker.io/");
    // Tags cannot have a plus.
    (name == "rancher/k3s-upgrade").then(|| tag.replacen("-k3s", "+k3s", 1))
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    let init = items(pod, &["spec", "initContainers"]).iter();
    init.chain(items(pod, &["spec", "containers"]))
}

/// Whether an image of an upgrade pod is not there; the pod shows it then.
pub(in crate::kubernetes::controllers) fn waits_for_image(pass: &Pass<'_>, pod: &Object) -> bool {
    if !upgrades(pod) {
        return false;
    }
    let unknown = containers(pod).find(|container| {
        k3s_image(container).is_some_and(|version| !k3s_versions().any(|known| known == version))
    });
    if let Some(container) = unknown {
        let image = text(container, &["image"]).unwrap_or_default();
        let message = format!("failed to pull image \"{image}\": not found");
        kubelet::waits(pass, pod, "ErrImagePull", &message);
    }
    unknown.is_some()
}

/// How far the pod's own container is; `None` for pods that are not a plan's.
pub(in crate::kubernetes::controllers) fn step(pass: &mut Pass<'_>, pod: &Object) -> Option<Step> {
    if !upgrades(pod) {
        return None;
    }
    let container = items(pod, &["spec", "containers"]).first()?;
    k3s_image(container)?;
    Some(run(pass, pod, container))
}

/// How far a container of an upgrade pod is.
pub(in crate::kubernetes::controllers) fn run(
    pass: &mut Pass<'_>,
    pod: &Object,
    container: &Value,
) -> Step {
    let name = text(container, &["name"]).unwrap_or_default();
    if !pass.due(&format!("runs {name}"), pod, BRIEF) {
        return Step::Runs;
    }
    let args: Vec<&str> = items(container, &["args"])
        .iter()
        .filter_map(Value::as_str)
        .collect();
    match (k3s_image(container), name, args.as_slice()) {
        (Some(_), _, ["prepare", plan]) => prepare(pass, pod, container, plan),
        // The image's own command, without arguments.
        (Some(version), _, [] | ["upgrade"]) => upgrade(pass, pod, &version),
        (Some(_), _, other) => Step::Failed(format!(
            "the sandbox does not simulate {other:?} of this image"
        )),
        (None, "drain", ["drain", node, ..]) => drain::drain(pass, pod, node, &args),
        (None, "cordon", ["cordon", node]) => drain::cordon(pass, pod, node),
        _ => Step::Done(String::new()),
    }
}

/// `prepare <plan>`: until that plan works on no node and every server has this plan's version.
fn prepare(pass: &Pass<'_>, pod: &Value, container: &Value, plan: &str) -> Step {
    let account = text(pod, &["spec", "serviceAccountName"]).unwrap_or("default");
    // A refusal reads like a plan that is not there yet: the script asks again.
    if !may(pass, account, &wanted("get", GROUP, "plans", "", NAMESPACE))
        || !may(pass, account, &wanted("list", "", "nodes", "", ""))
    {
        return Step::Runs;
    }
    let Some(other) = pass.get(PLANS, NAMESPACE, plan) else {
        return Step::Runs;
    };
    if !items(&other, &["status", "applying"]).is_empty() {
        return Step::Runs;
    }
    let env = items(container, &["env"]);
    let wanted = env
        .iter()
        .find(|variable| variable["name"] == "SYSTEM_UPGRADE_PLAN_LATEST_VERSION")
        .and_then(|variable| text(variable, &["value"]));
    let mut servers = pass.all(NODES);
    servers.retain(|node| object::label(node, "node-role.kubernetes.io/control-plane").is_some());
    let same = servers.iter().all(|node| {
        let version = text(node, &["status", "nodeInfo", "kubeletVersion"]).unwrap_or_default();
        Some(version.replace('+', "-").as_str()) == wanted
    });
    if same && !servers.is_empty() {
        Step::Done(String::new())
    } else {
        Step::Runs
    }
}

/// `upgrade`: replaces the binary by the image's and ends K3s, which systemd starts again.
fn upgrade(pass: &mut Pass<'_>, pod: &Object, version: &str) -> Step {
    let node = text(pod, &["spec", "nodeName"]).unwrap_or_default();
    let Some(record) = pass.nodes.get(node) else {
        return Step::Runs;
    };
    let current = pass.version_of(record).to_owned();
    if current == version {
        // Nobody learns of the end before the kubelet is back.
        let back = pass.get(NODES, "", node).is_some_and(|node| {
            object::is_true(&node, "Ready")
                && text(&node, &["status", "nodeInfo", "kubeletVersion"]) == Some(version)
        });
        return if back {
            Step::Done(String::new())
        } else {
            Step::Runs
        };
    }
    if numbers(&current) > numbers(version) {
        return Step::Failed(format!(
            "Error: Current k3s version {current} is higher than k3s version {version}"
        ));
    }
    if !pass.due("replace", pod, REPLACE) {
        return Step::Runs;
    }
    match pass.replace_k3s(node, version) {
        Ok(()) => Step::Runs,
        Err(why) => Step::Failed(why),
    }
}

/// Major, minor and patch, which is all the script compares.
fn numbers(version: &str) -> Vec<u64> {
    let plain = version.trim_start_matches('v');
    let plain = plain.split(['+', '-']).next().unwrap_or(plain);
    plain
        .split('.')
        .filter_map(|part| part.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_versions_and_compare_by_number() {
        let image = |image: &str| k3s_image(&serde_json::json!({"image": image}));
        for name in ["rancher/k3s-upgrade", "docker.io/rancher/k3s-upgrade"] {
            let tagged = format!("{name}:v1.35.6-k3s1");
            assert_eq!(image(&tagged).as_deref(), Some("v1.35.6+k3s1"));
        }
        assert_eq!(image("rancher/kubectl:v1.30.3"), None);
        assert!(numbers("v1.34.10+k3s1") > numbers("v1.34.9+k3s2"));
        assert_eq!(numbers("v1.34.9+k3s1"), numbers("v1.34.9+k3s2"));
    }
}
