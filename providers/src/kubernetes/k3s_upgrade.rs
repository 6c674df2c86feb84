//! `k3s_upgrade`: the version of K3s on the living nodes, and how it becomes another one.
//!
//! New nodes start with the version the others have. Where the file says another one, the nodes are
//! marked and two plans of the system-upgrade-controller exchange K3s on them: servers one at a time,
//! then agents one at a time, each drained where its pods have somewhere to go (K3s's documentation,
//! "Automated Upgrades"). Nodes without the mark are never touched by a plan, so what is left of one
//! does nothing to nodes that join later.

use super::connect::{Kubernetes, Role};
use super::eviction::{held_by, leaves};
use super::object::{Object, Type};
use super::session::{Ownership, Session};
use super::upgrade_controller::NAMESPACE;
use crate::k3s::access::Access;
use kplan_model::{
    CreateFailed, ErrorKind, Field, FieldSet, Found, FoundAs, Input, Kind, KindInfo, Known,
    ObjectCodec as _, Permit, ProviderError, Readiness, RemoteId, ReplaceOrder, Resource, Typical,
    Wanted,
};
use serde_json::{Value, json};

/// The mark of a node that is to be upgraded; its value is the version.
const MARK: &str = "kplan.dev/upgrade";
const SERVERS: &str = "kplan-servers";
const AGENTS: &str = "kplan-agents";
const ROLE: &str = "node-role.kubernetes.io/control-plane";
/// The jobs of the controller's.
const JOBS: &str = "upgrade.cattle.io/plan";
const PLAN_API: &str = "upgrade.cattle.io/v1";
/// The attempt a plan is for.
const ATTEMPT: &str = "kplan.dev/attempt";
/// The image that brings K3s's binary; its tag follows the version.
const IMAGE: &str = "rancher/k3s-upgrade";
/// Seconds after which a drain no longer waits for pods that are being deleted.
const SKIP_WAIT: u32 = 120;
/// How many jobs a message names.
const NAMED: usize = 3;

kplan_model::object! {
    /// What is asked for.
    pub struct K3sUpgradeArgs {
        /// How the cluster is reached.
        pub access: Input<Access>,
        /// The version every node is to run, such as `v1.35.6+k3s1`.
        pub version: String,
    }
}

kplan_model::object! {
    /// What the nodes run.
    pub struct K3sUpgradeAttrs {
        /// The oldest version a node runs.
        pub version: String,
        /// While nodes are being upgraded: how far it is, and what holds it up.
        pub waiting: Option<String>,
    }
}

static FIELDS: &[Field] = &[
    Field::in_place("access", "How the cluster is reached.")
        .secret()
        .reaches(),
    Field::in_place(
        "version",
        "The version of K3s that every node runs: servers are upgraded one at a time, then agents.",
    ),
    Field::computed("waiting", "How far an upgrade is, and what holds it up."),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("k3s_upgrade"),
    terraform: "kplan_k3s_upgrade",
    doc: "The version of K3s on living nodes.",
    fields: FIELDS,
    replace: ReplaceOrder::DeleteFirst,
    identity: &[],
    holds: None,
    // An upgrade: an image, a drain and a restart for each node.
    typical: Typical {
        create: 1,
        update: 300,
        delete: 1,
    },
    max_parallel: 1,
    alike: &[],
    import: None,
    operations: &[],
};

/// The kind.
pub struct K3sUpgrade(pub Kubernetes);

/// A version as numbers: `v1.35.6+k3s1` is 1, 35, 6, 1.
fn numbers(version: &str) -> Option<[u32; 4]> {
    let (kubernetes, release) = version.strip_prefix('v')?.split_once("+k3s")?;
    let mut parts = kubernetes.split('.').map(str::parse);
    let mut next = || parts.next()?.ok();
    Some([next()?, next()?, next()?, release.parse().ok()?])
}

/// Why living nodes cannot go from one version to another; `Ok` where they can.
///
/// # Errors
/// The reason: Kubernetes supports no downgrade, and no step over a minor version (its "Version Skew
/// Policy").
pub fn allowed(from: &str, to: &str) -> Result<(), String> {
    let (Some(old), Some(new)) = (numbers(from), numbers(to)) else {
        return Err(format!("{from} and {to} cannot be compared"));
    };
    if new < old {
        return Err(format!(
            "{to} is older than {from}, which nodes run: Kubernetes does not go back, its data may \
             already have a form the older one cannot read"
        ));
    }
    if new[0] != old[0] || new[1] > old[1] + 1 {
        return Err(format!(
            "from {from} to {to} a minor version is left out: Kubernetes goes from each to the next"
        ));
    }
    Ok(())
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value
        .pointer(path)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn version_of(node: &Value) -> &str {
    text(node, "/status/nodeInfo/kubeletVersion")
}

fn name_of(node: &Value) -> &str {
    text(node, "/metadata/name")
}

fn label<'a>(node: &'a Value, name: &str) -> Option<&'a str> {
    node.pointer("/metadata/labels")?.get(name)?.as_str()
}

/// The oldest version among nodes.
fn oldest(nodes: &[Value]) -> String {
    let versions = nodes.iter().map(version_of);
    versions
        .min_by_key(|version| numbers(version).unwrap_or_default())
        .unwrap_or_default()
        .to_owned()
}

/// A version as the value of a label, which takes no `+`.
fn mark_of(version: &str) -> String {
    version.replace('+', "-")
}

/// Whether a node runs what its mark says, or something newer: somebody may have gone on by hand.
fn has_come_to(version: &str, mark: &str) -> bool {
    let marked = mark.replace("-k3s", "+k3s");
    match (numbers(version), numbers(&marked)) {
        (Some(runs), Some(marked)) => runs >= marked,
        _ => mark_of(version) == mark,
    }
}

/// Whether pods of a drained node have somewhere to go.
fn can_drain(nodes: &[Value]) -> bool {
    let takes_pods = |node: &&Value| {
        let taints = node.pointer("/spec/taints").and_then(Value::as_array);
        let closed = taints.into_iter().flatten().any(|taint| {
            matches!(taint["effect"].as_str(), Some("NoSchedule" | "NoExecute"))
                && !text(taint, "/key").starts_with("node.kubernetes.io/unschedulable")
        });
        !closed
    };
    nodes.iter().filter(takes_pods).count() > 1
}

/// The two plans of an upgrade: of servers, and of agents. `drain` where pods have somewhere to go.
pub fn plans(version: &str, drain: bool) -> [Value; 2] {
    [
        plan(SERVERS, version, true, drain),
        plan(AGENTS, version, false, drain),
    ]
}

fn plan(name: &str, version: &str, servers: bool, drain: bool) -> Value {
    let role = if servers {
        json!({ "key": ROLE, "operator": "Exists" })
    } else {
        json!({ "key": ROLE, "operator": "DoesNotExist" })
    };
    let mut spec = json!({
        "concurrency": 1,
        "cordon": true,
        "nodeSelector": {
            "matchExpressions": [
                { "key": MARK, "operator": "In", "values": [mark_of(version)] },
                role,
            ],
        },
        "serviceAccountName": "system-upgrade",
        "tolerations": [{ "operator": "Exists" }],
        "upgrade": { "image": IMAGE },
        "version": version,
    });
    if drain {
        spec["drain"] = json!({
            "deleteEmptydirData": true,
            "ignoreDaemonSets": true,
            // A pod that nothing would make again is nobody's to delete.
            "force": false,
            "skipWaitForDeleteTimeout": SKIP_WAIT,
        });
    }
    if !servers {
        // An agent must never be newer than a server it talks to.
        spec["prepare"] = json!({ "image": IMAGE, "args": ["prepare", SERVERS] });
    }
    json!({
        "apiVersion": PLAN_API,
        "kind": "Plan",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": spec,
    })
}

impl K3sUpgrade {
    fn session(&self, args: &K3sUpgradeArgs) -> Result<Session, ProviderError> {
        self.0.session(args.access.known()?, Role::Admin)
    }

    async fn seen(&self, args: &K3sUpgradeArgs) -> Result<K3sUpgradeAttrs, ProviderError> {
        let session = self.session(args)?;
        let nodes = session.list(&Type::new("v1", "Node"), "").await?;
        let waiting = under_way(&session, &nodes).await?;
        Ok(K3sUpgradeAttrs {
            version: oldest(&nodes),
            waiting,
        })
    }

    /// What the plans are annotated with: a job of the controller's that failed for good is begun
    /// again only when its plan changes, and one that runs must not be disturbed.
    async fn attempt(&self, session: &Session) -> Result<String, ProviderError> {
        let jobs = session.list(&Type::new("batch/v1", "Job"), JOBS).await?;
        if failing(&jobs).is_none() {
            let plan = Object::new(PLAN_API, "Plan", Some(NAMESPACE), SERVERS);
            let seen = session.get(&plan).await?;
            let annotations = seen
                .as_ref()
                .and_then(|it| it.pointer("/metadata/annotations"));
            if let Some(attempt) = annotations.and_then(|all| all.get(ATTEMPT)?.as_str()) {
                return Ok(attempt.to_owned());
            }
        }
        crate::k3s::pki::secret::random_id()
    }

    /// Marks the nodes that are behind and puts up the plans.
    async fn begin(
        &self,
        args: &K3sUpgradeArgs,
        permit: &Permit,
    ) -> Result<K3sUpgradeAttrs, ProviderError> {
        let session = self.session(args)?;
        let nodes = session.list(&Type::new("v1", "Node"), "").await?;
        let behind: Vec<&Value> = nodes
            .iter()
            .filter(|node| version_of(node) != args.version)
            .collect();
        if !behind.is_empty() {
            allowed(&oldest(&nodes), &args.version)
                .map_err(|why| ProviderError::new(ErrorKind::Invalid, why))?;
            let drain = can_drain(&nodes);
            let attempt = self.attempt(&session).await?;
            for mut plan in plans(&args.version, drain) {
                plan["metadata"]["annotations"] = json!({ ATTEMPT: attempt });
                session.apply(permit, &plan, Ownership::Take).await?;
            }
            let mark = json!({ "metadata": { "labels": { MARK: mark_of(&args.version) } } });
            for node in behind {
                let node = Object::new("v1", "Node", None, name_of(node));
                session.merge(permit, &node, &mark).await?;
            }
        }
        self.seen(args).await
    }
}

/// What is left to do of an upgrade; nothing where every marked node runs what its mark says and
/// takes pods again.
async fn under_way(session: &Session, nodes: &[Value]) -> Result<Option<String>, ProviderError> {
    let Some((far, at)) = progress(nodes) else {
        return Ok(None);
    };
    let mut said = vec![far];
    if let Some(at) = at {
        said.push(format!("{at} is being drained and upgraded"));
        let here = format!("spec.nodeName={at}");
        let pods = session
            .list_where(&Type::new("v1", "Pod"), "", &here)
            .await?;
        let pods: Vec<&Value> = pods.iter().filter(|pod| leaves(pod)).collect();
        said.extend(held_by(session, &pods).await);
    }
    let jobs = session.list(&Type::new("batch/v1", "Job"), JOBS).await?;
    said.extend(failing(&jobs));
    Ok(Some(said.join("; ")))
}

/// How far an upgrade is, and the node it is at; nothing where it is done.
fn progress(nodes: &[Value]) -> Option<(String, Option<&str>)> {
    let marked = nodes
        .iter()
        .filter_map(|node| label(node, MARK).map(|mark| (node, mark)));
    let (done, left): (Vec<_>, Vec<_>) =
        marked.partition(|(node, mark)| has_come_to(version_of(node), mark));
    let mut closed = nodes
        .iter()
        .filter(|node| label(node, MARK).is_some() && is_closed(node))
        .map(name_of);
    let at = closed.next();
    if left.is_empty() && at.is_none() {
        return None;
    }
    let all = done.len() + left.len();
    Some((format!("{} of {all} nodes are upgraded", done.len()), at))
}

fn is_closed(node: &Value) -> bool {
    node.pointer("/spec/unschedulable") == Some(&Value::Bool(true))
}

/// Jobs of the controller's that failed at least once.
fn failing(jobs: &[Value]) -> Option<String> {
    let failed = jobs.iter().filter(|job| {
        let failed = job.pointer("/status/failed").and_then(Value::as_i64);
        let succeeded = job.pointer("/status/succeeded").and_then(Value::as_i64);
        failed.unwrap_or(0) > 0 && succeeded.unwrap_or(0) == 0
    });
    let names: Vec<&str> = failed.map(name_of).take(NAMED).collect();
    let said = names.join(", ");
    (!names.is_empty())
        .then(|| format!("failing jobs, whose logs are in the namespace {NAMESPACE}: {said}"))
}

impl Resource for K3sUpgrade {
    type Args = K3sUpgradeArgs;
    type Attrs = K3sUpgradeAttrs;

    const INFO: &'static KindInfo = &INFO;
    const GONE_AT_ONCE: bool = true;

    async fn read(&self, known: &Known) -> Result<Option<K3sUpgradeAttrs>, ProviderError> {
        let args = K3sUpgradeArgs::from_object(&known.args)?;
        self.seen(&args).await.map(Some)
    }

    /// It is about nodes that are there anyhow: nothing is made that could be there twice.
    async fn find(
        &self,
        _wanted: Wanted<'_, K3sUpgradeArgs>,
    ) -> Result<Vec<Found<K3sUpgradeAttrs>>, ProviderError> {
        Ok(Vec::new())
    }

    async fn create(
        &self,
        wanted: Wanted<'_, K3sUpgradeArgs>,
        permit: &Permit,
    ) -> Result<Found<K3sUpgradeAttrs>, CreateFailed<K3sUpgradeAttrs>> {
        let attrs = self.begin(wanted.args, permit).await?;
        Ok(Found {
            id: RemoteId::new(format!("{}/nodes", wanted.owner.id())),
            created_at: None,
            attrs,
            role: FoundAs::Asked,
        })
    }

    async fn update(
        &self,
        _known: &Known,
        args: &K3sUpgradeArgs,
        _changed: &FieldSet,
        permit: &Permit,
    ) -> Result<K3sUpgradeAttrs, ProviderError> {
        self.begin(args, permit).await
    }

    /// The nodes stay as they are.
    async fn delete(&self, _known: &Known, _permit: &Permit) -> Result<(), ProviderError> {
        Ok(())
    }

    fn readiness(&self, attrs: &K3sUpgradeAttrs) -> Readiness {
        match &attrs.waiting {
            Some(what) => Readiness::Waiting(what.clone()),
            None => Readiness::Ready,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_go_forward_one_minor_at_a_time() {
        let from = "v1.34.9+k3s1";
        for to in [
            "v1.34.9+k3s1",
            "v1.34.9+k3s2",
            "v1.34.10+k3s1",
            "v1.35.6+k3s1",
        ] {
            assert_eq!(allowed(from, to), Ok(()), "{to}");
        }
        for (to, word) in [
            ("v1.34.8+k3s1", "older"),
            ("v1.33.12+k3s1", "older"),
            ("v1.36.2+k3s1", "left out"),
            ("v2.0.0+k3s1", "left out"),
            ("latest", "compared"),
        ] {
            assert!(allowed(from, to).unwrap_err().contains(word), "{to}");
        }
    }

    #[test]
    fn a_mark_from_before_holds_nothing_up() {
        assert!(has_come_to("v1.35.6+k3s1", "v1.35.6-k3s1"));
        assert!(has_come_to("v1.35.7+k3s1", "v1.35.6-k3s1"));
        assert!(!has_come_to("v1.34.9+k3s1", "v1.35.6-k3s1"));
    }

    fn node(name: &str, version: &str, tainted: bool) -> Value {
        let taints = if tainted {
            json!([{ "key": "CriticalAddonsOnly", "effect": "NoExecute" }])
        } else {
            json!([])
        };
        json!({
            "metadata": { "name": name, "labels": {} },
            "spec": { "taints": taints },
            "status": { "nodeInfo": { "kubeletVersion": version } },
        })
    }

    #[test]
    fn nodes_are_drained_where_their_pods_have_somewhere_to_go() {
        let one = [node("a", "v1.34.9+k3s1", false)];
        let closed = [
            node("a", "v1.34.9+k3s1", false),
            node("b", "v1.34.9+k3s1", true),
        ];
        let two = [
            node("a", "v1.34.9+k3s1", false),
            node("b", "v1.34.10+k3s1", false),
        ];
        assert!(!can_drain(&one) && !can_drain(&closed) && can_drain(&two));
        assert_eq!(oldest(&two), "v1.34.9+k3s1");
    }

    #[test]
    fn agents_wait_for_servers_and_nothing_but_marked_nodes_is_chosen() {
        let agents = plan(AGENTS, "v1.35.6+k3s1", false, true);
        assert_eq!(agents["spec"]["prepare"]["args"][1], SERVERS);
        let servers = plan(SERVERS, "v1.35.6+k3s1", true, false);
        assert_eq!(servers["spec"]["concurrency"], 1);
        assert!(servers["spec"].get("drain").is_none());
        for plan in [agents, servers] {
            let chosen = &plan["spec"]["nodeSelector"]["matchExpressions"][0];
            assert_eq!(
                (&chosen["key"], &chosen["values"][0]),
                (&json!(MARK), &json!("v1.35.6-k3s1"))
            );
        }
    }

    #[test]
    fn an_upgrade_says_how_far_it_is_and_which_node_it_is_at() {
        let node = |name: &str, version: &str, closed: bool| {
            json!({
                "metadata": { "name": name, "labels": { MARK: "v1.35.6-k3s1" } },
                "spec": { "unschedulable": closed },
                "status": { "nodeInfo": { "kubeletVersion": version } },
            })
        };
        let (old, new) = ("v1.34.9+k3s1", "v1.35.6+k3s1");
        let nodes = [
            node("a", new, false),
            node("b", old, true),
            node("c", old, false),
        ];
        let far = "1 of 3 nodes are upgraded".to_owned();
        assert_eq!(progress(&nodes), Some((far, Some("b"))));
        // One that is upgraded and does not take pods yet is not done.
        let far = "1 of 1 nodes are upgraded".to_owned();
        let closed = [node("a", new, true)];
        assert_eq!(progress(&closed), Some((far, Some("a"))));
        assert_eq!(progress(&nodes[..1]), None);
    }

    #[test]
    fn a_job_that_failed_is_named() {
        let job = json!({ "metadata": { "name": "apply-x" }, "status": { "failed": 2 } });
        assert!(failing(&[job]).unwrap().contains("apply-x"));
        assert_eq!(failing(&[]), None);
    }
}
