//! What becomes of a plan, its node and its job when the job ends.

use serde_json::Value;

use super::job::hostname;
use super::{JOBS, NODE, NODES, PLAN, PLANS, Pass, VERSION, plan_label, set_condition};
use crate::kubernetes::controllers::velero::span;
use crate::kubernetes::controllers::workload::set_label;
use crate::kubernetes::object::{self, Object, at, flag, items, map, set, text};

/// One pass over a job of the controller.
pub(super) fn reconcile(pass: &mut Pass<'_>, job: &Object) {
    if object::terminating(job) {
        return;
    }
    let label = |key: &str| object::label(job, key).unwrap_or_default();
    let plan = pass.get(PLANS, object::namespace(job), label(PLAN));
    let node = pass.get(NODES, "", label(NODE));
    let (Some(plan), Some(node)) = (plan, node) else {
        pass.delete(JOBS, job);
        return;
    };
    if text(&plan, &["status", "latestVersion"]) != Some(label(VERSION)) {
        pass.delete(JOBS, job);
        return;
    }
    let applying = items(&plan, &["status", "applying"]);
    let in_turn = applying.iter().any(|name| name == hostname(&node));
    if object::is_true(job, "Failed") {
        // One of an older content of the plan says nothing about this one.
        let hash = text(&plan, &["status", "latestHash"]);
        if in_turn && object::label(job, &plan_label(object::name(&plan))) == hash {
            failed(pass, job, &plan, &node);
        }
    } else if object::is_true(job, "Complete") {
        complete(pass, job, &plan, &node);
    } else if !in_turn {
        // It is not this node's turn any more.
        pass.delete(JOBS, job);
    }
}

fn failed(pass: &Pass<'_>, job: &Object, plan: &Object, node: &Object) {
    let conditions = items(job, &["status", "conditions"]);
    let found = conditions.iter().find(|one| one["type"] == "Failed");
    let word = |field: &str| {
        found
            .and_then(|one| text(one, &[field]))
            .unwrap_or_default()
    };
    let message = format!(
        "Job {}/{} failed on Node {}: {}: {}",
        object::namespace(job),
        object::name(job),
        object::name(node),
        word("reason"),
        word("message"),
    );
    pass.adjust(PLANS, plan, |plan| {
        set_condition(pass, plan, "Complete", "False", "JobFailed", &message);
    });
}

fn complete(pass: &mut Pass<'_>, job: &Object, plan: &Object, node: &Object) {
    let key = plan_label(object::name(plan));
    let Some(hash) = object::label(job, &key) else {
        return;
    };
    if object::label(node, &key) == Some(hash) {
        // Whoever cordons the node later means it.
        return;
    }
    let drains = at(plan, &["spec", "drain"]).is_some_and(|drain| !drain.is_null());
    let delay = text(plan, &["spec", "postCompleteDelay"]).and_then(span);
    let over = delay.is_none_or(|delay| pass.due("post-complete", job, delay));
    pass.adjust(NODES, node, |node| {
        if over {
            label(plan, node);
            set_label(node, &key, hash);
        }
        if drains || flag(plan, &["spec", "cordon"]) {
            object::remove(node, &["spec", "unschedulable"]);
        }
    });
}

/// The labels a plan gives the nodes it is through with.
fn label(plan: &Value, node: &mut Value) {
    let status = |field: &str| text(plan, &["status", field]).unwrap_or_default();
    for (key, value) in map(plan, &["spec", "postCompleteLabels"])
        .into_iter()
        .flatten()
    {
        let value = value.as_str().unwrap_or_default();
        let value = value
            .replace("$(LATEST_VERSION)", status("latestVersion"))
            .replace("$(LATEST_HASH)", status("latestHash"));
        set(node, &["metadata", "labels", key], value);
    }
}
