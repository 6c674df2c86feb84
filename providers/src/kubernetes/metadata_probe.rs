//! Whether pods are kept away from the metadata service, as a pod sees it: on every node a job tries
//! for some seconds, says in its termination message how it went, and is removed.
//!
//! The rule is in each node's own firewall, where the Kubernetes API does not reach; only a pod can
//! tell. Pods in the host's network are a documented exception and are not what is tried here.

use super::connect::Kubernetes;
use super::object::{Object, Type};
use super::session::Session;
use kplan_model::ProviderError;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// In every K3s release's list of images (`k3s-images.txt`) and its air-gap bundle; the volumes of
/// K3s's own storage class are prepared by it. None that has a shell is on every node already.
const IMAGE: &str = "rancher/mirrored-library-busybox:1.37.0";
/// Where ordinary pods live: nothing there is trusted more than they are.
const NAMESPACE: &str = "default";
/// Marks the jobs and pods of one look.
const LABEL: &str = "kplan.dev/metadata-probe";
/// Seconds until Kubernetes ends a job that hangs, and until it removes one that ended, should
/// kplan not be there any more.
const DEADLINE: u32 = 60;
/// Looks for the pods' ends, and the pause before each: longer than [`DEADLINE`] together.
const LOOKS: u32 = 40;
const PAUSE: Duration = Duration::from_secs(2);
/// Nodes that are tried at most: each takes a pod, and all have the same unit.
pub const MOST_NODES: usize = 50;

/// The other address is asked first: a pod that reaches nothing at all proves nothing.
const SCRIPT: &str = "\
say() { printf %s \"$1\" > /dev/termination-log; exit 0; }
nc -z -w 5 \"$KUBERNETES_SERVICE_HOST\" \"$KUBERNETES_SERVICE_PORT\" || say no-network
timeout 10 wget -q -T 5 -O /dev/null http://169.254.169.254/metadata/v1/id && say reached
say blocked
";

/// What a pod of a node saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The metadata service did not answer it, and another address did.
    Blocked,
    /// The metadata service answered it.
    Reached,
    /// Nobody knows; why.
    Unknown(String),
}

/// Tries on each of these nodes. `id` tells this look's jobs from those of another.
///
/// # Errors
/// Where the jobs cannot be made or their pods not be read. What was made is removed all the same.
pub async fn probe(
    kubernetes: &Kubernetes,
    session: &Session,
    nodes: &[String],
    id: &str,
) -> Result<BTreeMap<String, Seen>, ProviderError> {
    let jobs: Vec<Value> = nodes
        .iter()
        .take(MOST_NODES)
        .enumerate()
        .map(|(index, node)| job(id, index, node))
        .collect();
    let seen = run(kubernetes, session, &jobs, id).await;
    for job in &jobs {
        // Kubernetes removes it a minute after its end where this fails.
        drop(session.end_look(&Object::of(job)?).await);
    }
    let mut seen = seen?;
    for node in nodes {
        let none = || Seen::Unknown("it has no pod that could tell".to_owned());
        seen.entry(node.clone()).or_insert_with(none);
    }
    Ok(seen)
}

async fn run(
    kubernetes: &Kubernetes,
    session: &Session,
    jobs: &[Value],
    id: &str,
) -> Result<BTreeMap<String, Seen>, ProviderError> {
    for job in jobs {
        session.begin_look(job).await?;
    }
    let mut seen = BTreeMap::new();
    for _ in 0..LOOKS {
        kubernetes.pause(PAUSE).await;
        let pods = session
            .list(&Type::new("v1", "Pod"), &format!("{LABEL}={id}"))
            .await?;
        seen = pods.iter().filter_map(judged).collect();
        let over = |seen: &Option<Seen>| seen.is_some();
        if seen.len() >= jobs.len() && seen.values().all(over) {
            break;
        }
    }
    let late = || Seen::Unknown("its pod did not end in time".to_owned());
    Ok(seen
        .into_iter()
        .map(|(node, seen)| (node, seen.unwrap_or_else(late)))
        .collect())
}

/// The node of a pod, and what it saw once that is known.
fn judged(pod: &Value) -> Option<(String, Option<Seen>)> {
    let text = |path: &str| pod.pointer(path).and_then(Value::as_str);
    let node = text("/spec/nodeName")?.to_owned();
    let seen = match text("/status/containerStatuses/0/state/terminated/message") {
        Some("blocked") => Some(Seen::Blocked),
        Some("reached") => Some(Seen::Reached),
        Some("no-network") => Some(Seen::Unknown(
            "its pod does not reach the Kubernetes API either: a network policy, or no network"
                .to_owned(),
        )),
        _ => match text("/status/phase") {
            // A node that ran its pod without a word did not run it at all.
            Some("Succeeded") => Some(Seen::Unknown("its pod ended without a word".to_owned())),
            Some("Failed") => {
                let why = text("/status/containerStatuses/0/state/terminated/reason")
                    .or(text("/status/message"))
                    .or(text("/status/reason"))
                    .unwrap_or("no reason given");
                Some(Seen::Unknown(format!("its pod failed: {why}")))
            }
            _ => pull_error(pod),
        },
    };
    Some((node, seen))
}

/// An image that cannot be had will not be had within a minute.
fn pull_error(pod: &Value) -> Option<Seen> {
    let waiting = pod.pointer("/status/containerStatuses/0/state/waiting")?;
    let reason = waiting["reason"].as_str()?;
    matches!(
        reason,
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName"
    )
    .then(|| Seen::Unknown(format!("{IMAGE} cannot be pulled there ({reason})")))
}

/// Within the strictest of Kubernetes's pod security standards, on that node whatever its taints.
pub(super) fn job(id: &str, index: usize, node: &str) -> Value {
    let labels = json!({ LABEL: id });
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "name": format!("kplan-metadata-probe-{id}-{index}"),
            "namespace": NAMESPACE,
            "labels": labels,
        },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": DEADLINE,
            "ttlSecondsAfterFinished": DEADLINE,
            "template": {
                "metadata": { "labels": labels },
                "spec": {
                    "nodeName": node,
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": false,
                    "tolerations": [{ "operator": "Exists" }],
                    "securityContext": {
                        "runAsNonRoot": true, "runAsUser": 65534, "runAsGroup": 65534,
                        "seccompProfile": { "type": "RuntimeDefault" },
                    },
                    "containers": [{
                        "name": "probe",
                        "image": IMAGE,
                        "imagePullPolicy": "IfNotPresent",
                        "command": ["/bin/sh", "-c", SCRIPT],
                        "securityContext": {
                            "allowPrivilegeEscalation": false,
                            "readOnlyRootFilesystem": true,
                            "capabilities": { "drop": ["ALL"] },
                        },
                        "resources": { "requests": { "cpu": "10m", "memory": "16Mi" } },
                    }],
                },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::testing::{Asked, Fake, status};

    /// A cluster whose pods end so, by node.
    fn cluster(ends: &'static [(&'static str, Value)]) -> Fake {
        Fake::new(move |asked: &Asked| match asked.method.as_str() {
            "PATCH" => {
                let pod = &asked.body["spec"]["template"]["spec"];
                assert_ne!(pod["hostNetwork"], true);
                assert!(pod["containers"][0]["securityContext"]["privileged"].is_null());
                Some((201, asked.body.clone()))
            }
            "GET" => {
                let pods: Vec<Value> = ends
                    .iter()
                    .map(|(node, status)| json!({"spec": {"nodeName": node}, "status": status}))
                    .collect();
                Some((200, json!({"items": pods, "metadata": {}})))
            }
            "DELETE" => Some((200, json!({}))),
            _ => status(405, "MethodNotAllowed", "no"),
        })
    }

    fn ended(message: &str) -> Value {
        json!({"phase": "Succeeded",
               "containerStatuses": [{"state": {"terminated": {"exitCode": 0, "message": message}}}]})
    }

    async fn tried(fake: &Fake, nodes: &[&str]) -> BTreeMap<String, Seen> {
        let nodes: Vec<String> = nodes.iter().map(|node| (*node).to_owned()).collect();
        let seen = probe(&fake.kubernetes(), &fake.session(), &nodes, "1a").await;
        let removed = fake
            .asked()
            .iter()
            .filter(|call| call.starts_with("DELETE"))
            .count();
        assert_eq!(removed, nodes.len(), "{:?}", fake.asked());
        seen.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn every_node_is_judged_by_what_its_own_pod_says() {
        let ends = Box::leak(Box::new([
            ("a", ended("blocked")),
            ("b", ended("reached")),
            ("c", ended("no-network")),
            ("d", ended("")),
        ]));
        let seen = tried(&cluster(ends), &["a", "b", "c", "d", "e"]).await;
        assert_eq!(seen["a"], Seen::Blocked);
        assert_eq!(seen["b"], Seen::Reached);
        for node in ["c", "d", "e"] {
            assert!(matches!(seen[node], Seen::Unknown(_)), "{node}: {seen:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_that_says_nothing_is_never_taken_for_one_that_was_kept_away() {
        let ends = Box::leak(Box::new([
            (
                "a",
                json!({"phase": "Pending", "containerStatuses": [
                {"state": {"waiting": {"reason": "ImagePullBackOff"}}}]}),
            ),
            ("b", json!({"phase": "Running"})),
            (
                "c",
                json!({"phase": "Failed", "reason": "DeadlineExceeded"}),
            ),
        ]));
        let seen = tried(&cluster(ends), &["a", "b", "c"]).await;
        let why = |node: &str| match &seen[node] {
            Seen::Unknown(why) => why.clone(),
            other => panic!("{node}: {other:?}"),
        };
        assert!(why("a").contains("ImagePullBackOff"));
        assert!(why("b").contains("in time"));
        assert!(why("c").contains("DeadlineExceeded"));
    }

    #[tokio::test]
    async fn what_was_made_is_removed_where_the_rest_is_refused() {
        let mut made = 0;
        let fake = Fake::new(move |asked: &Asked| match asked.method.as_str() {
            "PATCH" if made == 0 => {
                made += 1;
                Some((201, asked.body.clone()))
            }
            "PATCH" => status(403, "Forbidden", "exceeded quota"),
            _ => Some((200, json!({}))),
        });
        let nodes = ["a".to_owned(), "b".to_owned()];
        let refused = probe(&fake.kubernetes(), &fake.session(), &nodes, "1a").await;
        assert!(refused.unwrap_err().message.contains("quota"));
        let calls = fake.asked();
        assert_eq!(
            calls
                .iter()
                .filter(|call| call.starts_with("DELETE"))
                .count(),
            2
        );
    }
}
