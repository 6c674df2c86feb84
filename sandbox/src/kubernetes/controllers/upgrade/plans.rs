//! Plans: their version and hash, and the nodes whose turn it is.

use serde_json::Value;
use sha2::{Digest as _, Sha224, Sha256};

use super::job::{self, HASH};
use super::{
    Applied, JOBS, NAMESPACE, NODES, PLANS, Pass, Settings, job::job, plan_label, set_condition,
};
use crate::kubernetes::object::{self, Object, at, flag, items, map, number, set, text};
use crate::kubernetes::selector::LabelSelector;
use crate::spaces::to_hex;

/// One pass over a plan.
pub(super) fn reconcile(pass: &mut Pass<'_>, plan: &Object, settings: &Settings) {
    if object::terminating(plan) {
        return;
    }
    pass.adjust(PLANS, plan, |plan| resolve(pass, plan));
    let Some(plan) = current(pass, plan) else {
        return;
    };
    let ready = object::is_true(&plan, "Validated") && object::is_true(&plan, "LatestResolved");
    let nodes = if ready { turn(pass, &plan) } else { Vec::new() };
    pass.adjust(PLANS, &plan, |plan| {
        if ready {
            progress(pass, plan, &nodes);
        } else {
            let message = "plan is not valid and resolved";
            set_condition(pass, plan, "Complete", "False", "NotReady", message);
        }
    });
    let Some(plan) = current(pass, &plan) else {
        return;
    };
    let (uid, version) = (
        object::uid(&plan),
        text(&plan, &["metadata", "resourceVersion"]),
    );
    let version = version.unwrap_or_default().to_owned();
    // Jobs are made once of what a plan says: one that failed for good stays failed until the
    // plan is changed, and one that somebody deleted stays away.
    if pass.applied.get(uid) == Some(&version) {
        return;
    }
    if nodes.iter().all(|node| apply(pass, &plan, node, settings)) {
        let applied: &mut Applied = pass.applied;
        applied.insert(uid.to_owned(), version);
    }
}

fn current(pass: &Pass<'_>, plan: &Object) -> Option<Object> {
    pass.get(PLANS, NAMESPACE, object::name(plan))
}

/// Brings the job of a node to what the plan asks for. Whether it is there now.
fn apply(pass: &Pass<'_>, plan: &Value, node: &Value, settings: &Settings) -> bool {
    let wanted = job(plan, node, settings);
    let Some(found) = pass.get(JOBS, NAMESPACE, object::name(&wanted)) else {
        return pass.create(wanted).is_some();
    };
    if object::annotation(&found, HASH) != object::annotation(&wanted, HASH) {
        // Templates of jobs cannot be changed.
        pass.delete(JOBS, &found);
        return false;
    }
    pass.adjust(JOBS, &found, |found| {
        for field in ["activeDeadlineSeconds", "backoffLimit"] {
            match wanted["spec"].get(field) {
                Some(value) => set(found, &["spec", field], value.clone()),
                None => drop(object::remove(found, &["spec", field])),
            }
        }
    });
    true
}

/// What the plan means: whether it is valid, its version and its hash.
fn resolve(pass: &Pass<'_>, plan: &mut Value) {
    for kind in ["Complete", "Validated", "LatestResolved"] {
        if object::condition(plan, kind).is_none() {
            set_condition(pass, plan, kind, "Unknown", "", "");
        }
    }
    if let Err(why) = validate(pass, plan) {
        set_condition(pass, plan, "Validated", "False", "Error", &why);
        return;
    }
    set_condition(pass, plan, "Validated", "True", "PlanIsValid", "");
    let version = text(plan, &["spec", "version"]).unwrap_or_default();
    if version.is_empty() {
        let why = if text(plan, &["spec", "channel"]).is_none_or(str::is_empty) {
            "cannot resolve plan: missing channel and version"
        } else {
            "the sandbox does not resolve channels: set spec.version"
        };
        set_condition(pass, plan, "LatestResolved", "False", "Error", why);
        return;
    }
    let latest = version.replace('+', "-");
    let known = text(plan, &["status", "latestVersion"]) == Some(&latest);
    if !known || !object::is_true(plan, "LatestResolved") {
        set_condition(pass, plan, "Complete", "False", "Resolved", "");
    }
    set(plan, &["status", "latestVersion"], latest);
    set_condition(pass, plan, "LatestResolved", "True", "Version", "");
    let digest = digest(pass, plan);
    set(plan, &["status", "latestHash"], digest);
}

fn validate(pass: &Pass<'_>, plan: &Value) -> Result<(), String> {
    let drain = at(plan, &["spec", "drain"]).filter(|drain| !drain.is_null());
    if let Some(drain) = drain
        && drain.get("deleteEmptydirData").is_some()
        && drain.get("deleteLocalData").is_some()
    {
        return Err(
            "spec.drain cannot specify both deleteEmptydirData and deleteLocalData".to_owned(),
        );
    }
    if at(plan, &["spec", "window"]).is_some_and(|window| !window.is_null()) {
        return Err("the sandbox does not simulate spec.window".to_owned());
    }
    for secret in items(plan, &["spec", "secrets"]) {
        let name = text(secret, &["name"]).unwrap_or_default();
        let missing = pass.get("/secrets", NAMESPACE, name).is_none();
        if missing && !flag(secret, &["ignoreUpdates"]) {
            return Err(format!("secrets \"{name}\" not found"));
        }
    }
    Ok(())
}

/// What nodes have to have seen: version, service account, what the plan's annotation names, and
/// its secrets.
fn digest(pass: &Pass<'_>, plan: &Value) -> String {
    let mut hash = Sha224::new();
    hash.update(text(plan, &["status", "latestVersion"]).unwrap_or_default());
    hash.update(text(plan, &["spec", "serviceAccountName"]).unwrap_or_default());
    let named = object::annotation(plan, "upgrade.cattle.io/digest").unwrap_or_default();
    for path in named.split(',').filter(|path| !path.is_empty()) {
        let path: Vec<&str> = path.split('.').collect();
        match at(plan, &path) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => hash.update(text),
            Some(other) => hash.update(other.to_string()),
        }
    }
    for secret in items(plan, &["spec", "secrets"]) {
        let name = text(secret, &["name"]).unwrap_or_default();
        if let Some(found) = pass.get("/secrets", NAMESPACE, name)
            && !flag(secret, &["ignoreUpdates"])
        {
            let content = format!("{name}{}{}", found["type"], found["data"]);
            hash.update(to_hex(&Sha256::digest(content)));
        }
    }
    to_hex(&hash.finalize())
}

/// The nodes to work on now, by name: those under way, and more as concurrency allows. None
/// without `spec.concurrency`, as in the real controller.
fn turn(pass: &Pass<'_>, plan: &Value) -> Vec<Object> {
    let empty = Value::Null;
    let selector = at(plan, &["spec", "nodeSelector"]).filter(|selector| !selector.is_null());
    // Without a selector none is selected: a nil label selector matches nothing.
    let Some(selector) = selector else {
        return Vec::new();
    };
    let selector = LabelSelector::of_spec(selector);
    let label = plan_label(object::name(plan));
    let hash = text(plan, &["status", "latestHash"]).unwrap_or_default();
    let mut nodes = pass.all(NODES);
    nodes.retain(|node| {
        let labels = map(node, &["metadata", "labels"]);
        let seen = object::label(node, &label);
        selector.matches(labels)
            && object::label(node, job::HOSTNAME).is_some()
            && seen != Some(hash)
            && seen != Some("disabled")
    });
    let applying = items(at(plan, &["status"]).unwrap_or(&empty), &["applying"]);
    let working = |node: &Object| applying.iter().any(|name| *name == job::hostname(node));
    let (mut selected, mut others): (Vec<_>, Vec<_>) = nodes.into_iter().partition(working);
    others.sort_by_cached_key(|node| {
        let parts = [object::uid(node), object::uid(plan), hash].concat();
        to_hex(&Sha256::digest(parts))
    });
    let concurrency = number(plan, &["spec", "concurrency"]).unwrap_or(0);
    let free = usize::try_from(concurrency).unwrap_or(0);
    selected.extend(others.into_iter().take(free.saturating_sub(selected.len())));
    selected.sort_by(|a, b| object::name(a).cmp(object::name(b)));
    selected
}

/// Whose turn it is, or that all is done.
fn progress(pass: &Pass<'_>, plan: &mut Value, nodes: &[Object]) {
    if nodes.is_empty() {
        object::remove(plan, &["status", "applying"]);
        set_condition(pass, plan, "Complete", "True", "Complete", "");
        return;
    }
    let names: Vec<Value> = nodes
        .iter()
        .map(|node| job::hostname(node).into())
        .collect();
    if items(plan, &["status", "applying"]) != names {
        set(plan, &["status", "applying"], names);
        set_condition(pass, plan, "Complete", "False", "SyncJob", "");
    }
}
