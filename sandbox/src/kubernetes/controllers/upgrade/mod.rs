//! The system-upgrade-controller: plans become jobs on nodes, one after the other, and their pods
//! drain the node and replace its K3s.
//!
//! What it knows is in the cluster's objects, so that a sandbox that was killed goes on where it
//! was. As in the real one only the plans it has applied are kept in memory: it looks at all of
//! them again when it starts.
//!
//! Not simulated: channels and windows of plans (their conditions say so), events, images other
//! than `rancher/k3s-upgrade` (their containers end well and do nothing), and the moments in which
//! a server that is started again answers nothing.

mod drain;
mod finished;
mod images;
mod job;
mod plans;

use std::collections::BTreeMap;

use serde_json::Value;

use super::Pass;
use crate::kubernetes::authn::Identity;
use crate::kubernetes::authz::{self, Attributes};
use crate::kubernetes::object::{self, items, number, text};

pub(super) use images::{run, step, upgrades, waits_for_image};

const PLANS: &str = "upgrade.cattle.io/plans";
const JOBS: &str = "batch/jobs";
const NODES: &str = "/nodes";
const GROUP: &str = "upgrade.cattle.io";

/// Where it runs and looks for plans, and its name.
const NAMESPACE: &str = "system-upgrade";
const NAME: &str = "system-upgrade-controller";

const CONTROLLER: &str = "upgrade.cattle.io/controller";
const EXCLUSIVE: &str = "upgrade.cattle.io/exclusive";
const NODE: &str = "upgrade.cattle.io/node";
const PLAN: &str = "upgrade.cattle.io/plan";
const VERSION: &str = "upgrade.cattle.io/version";

/// Plans by uid, with the resource version that jobs were made of.
pub(super) type Applied = BTreeMap<String, String>;

/// What the controller's environment says about jobs.
struct Settings {
    /// Seconds a job may take, retries included.
    deadline: i64,
    /// Failed pods a job may have.
    backoff_limit: i64,
    /// Seconds a finished job stays.
    ttl: i64,
    kubectl_image: String,
    pull_policy: String,
    privileged: bool,
}

/// One pass over all plans and their jobs.
pub(super) fn reconcile(pass: &mut Pass<'_>) {
    let deployment = pass.get("apps/deployments", NAMESPACE, NAME);
    let Some(deployment) = deployment.filter(|deployment| runs(pass, deployment)) else {
        // It remembers nothing of what it did before it starts again.
        pass.applied.clear();
        return;
    };
    let settings = settings(pass, &deployment);
    for plan in pass.in_namespace(PLANS, NAMESPACE) {
        plans::reconcile(pass, &plan, &settings);
    }
    for job in pass.in_namespace(JOBS, NAMESPACE) {
        if object::label(&job, CONTROLLER) == Some(NAME) {
            finished::reconcile(pass, &job);
        }
    }
}

/// Whether its pod runs and may do what it does.
fn runs(pass: &Pass<'_>, deployment: &Value) -> bool {
    let available = number(deployment, &["status", "availableReplicas"]).unwrap_or(0) > 0;
    let account = text(
        deployment,
        &["spec", "template", "spec", "serviceAccountName"],
    );
    let account = account.unwrap_or("default");
    available
        && [
            ("list", GROUP, "plans", ""),
            ("update", GROUP, "plans", "status"),
            ("list", "", "nodes", ""),
            ("update", "", "nodes", ""),
            ("create", "batch", "jobs", ""),
            ("delete", "batch", "jobs", ""),
        ]
        .iter()
        .all(|(verb, group, resource, subresource)| {
            let namespace = if *resource == "nodes" { "" } else { NAMESPACE };
            may(
                pass,
                account,
                &wanted(verb, group, resource, subresource, namespace),
            )
        })
}

fn wanted(
    verb: &str,
    group: &str,
    resource: &str,
    subresource: &str,
    namespace: &str,
) -> Attributes {
    Attributes {
        verb: verb.to_owned(),
        group: group.to_owned(),
        resource: resource.to_owned(),
        subresource: subresource.to_owned(),
        namespace: namespace.to_owned(),
        ..Attributes::default()
    }
}

/// Whether a service account of the controller's namespace may do something.
fn may(pass: &Pass<'_>, account: &str, wanted: &Attributes) -> bool {
    let storage = &pass.server.storage;
    authz::allowed(storage, &identity(account), wanted)
}

fn identity(account: &str) -> Identity {
    Identity::new(
        &format!("system:serviceaccount:{NAMESPACE}:{account}"),
        &[
            "system:serviceaccounts",
            &format!("system:serviceaccounts:{NAMESPACE}"),
        ],
    )
}

/// The environment the controller's container takes from config maps. The defaults are its own.
fn settings(pass: &Pass<'_>, deployment: &Value) -> Settings {
    let containers = items(deployment, &["spec", "template", "spec", "containers"]);
    let sources = containers.first();
    let maps: Vec<_> = sources
        .map(|container| items(container, &["envFrom"]))
        .unwrap_or_default()
        .iter()
        .filter_map(|source| text(source, &["configMapRef", "name"]))
        .filter_map(|name| pass.get("/configmaps", NAMESPACE, name))
        .collect();
    let find = |key: &str| maps.iter().rev().find_map(|map| text(map, &["data", key]));
    let count = |key: &str, default: i64| {
        find(key)
            .and_then(|value| value.parse().ok())
            .unwrap_or(default)
    };
    let word = |key: &str, default: &str| {
        let value = find(key).filter(|value| !value.is_empty());
        value.unwrap_or(default).to_owned()
    };
    Settings {
        deadline: count("SYSTEM_UPGRADE_JOB_ACTIVE_DEADLINE_SECONDS", 600),
        backoff_limit: count("SYSTEM_UPGRADE_JOB_BACKOFF_LIMIT", 2),
        ttl: count("SYSTEM_UPGRADE_JOB_TTL_SECONDS_AFTER_FINISH", 900),
        kubectl_image: word(
            "SYSTEM_UPGRADE_JOB_KUBECTL_IMAGE",
            "rancher/kubectl:v1.30.3",
        ),
        pull_policy: word("SYSTEM_UPGRADE_JOB_IMAGE_PULL_POLICY", "IfNotPresent"),
        privileged: find("SYSTEM_UPGRADE_JOB_PRIVILEGED") != Some("false"),
    }
}

/// The label that says which content of a plan a node has seen.
fn plan_label(plan: &str) -> String {
    format!("plan.upgrade.cattle.io/{plan}")
}

/// Sets a condition as the controller does: its time is that of the last change of any field.
fn set_condition(
    pass: &Pass<'_>,
    plan: &mut Value,
    kind: &str,
    status: &str,
    reason: &str,
    message: &str,
) {
    let mut conditions = items(plan, &["status", "conditions"]).to_vec();
    let mut new =
        serde_json::json!({"type": kind, "status": status, "lastUpdateTime": pass.server.now()});
    for (field, value) in [("reason", reason), ("message", message)] {
        if !value.is_empty() {
            new[field] = value.into();
        }
    }
    match conditions.iter_mut().find(|old| old["type"] == kind) {
        Some(old) => {
            let same = |field: &str| old.get(field) == new.get(field);
            if !["status", "reason", "message"].into_iter().all(same) {
                *old = new;
            }
        }
        None => conditions.push(new),
    }
    object::set(plan, &["status", "conditions"], conditions);
}
