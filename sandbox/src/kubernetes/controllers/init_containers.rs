//! Init containers of the pods whose containers do something: one after the other.

use serde_json::{Value, json};

use super::kubelet::Step;
use super::workload::PODS;
use super::{Pass, host, upgrade};
use crate::kubernetes::object::{Object, items, set};

/// Runs the init containers of a pod one after the other. Whether its containers may start; those of
/// pods whose containers do nothing may.
pub(super) fn ended(pass: &mut Pass<'_>, pod: &Object) -> bool {
    if !upgrade::upgrades(pod) && !host::uses(pod) {
        return true;
    }
    if upgrade::waits_for_image(pass, pod) {
        return false;
    }
    let all = items(pod, &["spec", "initContainers"]);
    let ended = items(pod, &["status", "initContainerStatuses"]);
    let ended = ended
        .iter()
        .filter(|status| status["state"]["terminated"]["exitCode"] == json!(0));
    let done = ended.count();
    let Some(container) = all.get(done) else {
        return true;
    };
    match run(pass, pod, container) {
        Step::Runs => pass.adjust(PODS, pod, |pod| record(pass, pod, done, None)),
        Step::Done(_) => pass.adjust(PODS, pod, |pod| record(pass, pod, done + 1, None)),
        Step::Failed(why) => pass.adjust(PODS, pod, |pod| {
            record(pass, pod, done, Some(&why));
            set(pod, &["status", "phase"], "Failed");
        }),
    };
    false
}

/// How far one of them is.
fn run(pass: &mut Pass<'_>, pod: &Object, container: &Value) -> Step {
    if upgrade::upgrades(pod) {
        upgrade::run(pass, pod, container)
    } else {
        host::run(pass, pod, container)
    }
}

/// Writes down how far the init containers are: so many are done, and the next one runs or failed.
fn record(pass: &Pass<'_>, pod: &mut Value, done: usize, failed: Option<&str>) {
    let now = pass.server.now();
    let old = items(pod, &["status", "initContainerStatuses"]).to_vec();
    let all = items(pod, &["spec", "initContainers"]).to_vec();
    let statuses: Vec<Value> = all
        .iter()
        .enumerate()
        .map(|(index, container)| {
            let state = match failed {
                _ if index < done => {
                    json!({"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": now}})
                }
                Some(why) if index == done => {
                    json!({"terminated": {"exitCode": 1, "reason": "Error", "message": why, "finishedAt": now}})
                }
                None if index == done => json!({"running": {"startedAt": now}}),
                _ => json!({"waiting": {"reason": "PodInitializing"}}),
            };
            let kind = |state: &Value| state.as_object().and_then(|map| map.keys().next().cloned());
            // Times stay those of the change.
            let before = old.get(index).map(|status| &status["state"]);
            let state = before
                .filter(|before| kind(before) == kind(&state))
                .cloned()
                .unwrap_or(state);
            json!({
                "name": container["name"], "image": container["image"], "imageID": "",
                "ready": index < done, "started": index == done && failed.is_none(),
                "restartCount": 0, "state": state,
            })
        })
        .collect();
    set(pod, &["status", "initContainerStatuses"], statuses);
}
