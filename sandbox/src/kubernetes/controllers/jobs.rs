//! Jobs: pods until enough have succeeded. `CronJob`s are stored but never start a job.

use serde_json::json;

use super::Pass;
use super::workload::{PODS, active, owned_pods, pod_of};
use crate::kubernetes::object::{self, Object, flag, number, set, text};

const JOBS: &str = "batch/jobs";

/// One pass over all jobs.
pub(super) fn reconcile(pass: &mut Pass<'_>) {
    for job in pass.all(JOBS) {
        let done = object::is_true(&job, "Complete") || object::is_true(&job, "Failed");
        if !object::terminating(&job) && !done && !flag(&job, &["spec", "suspend"]) {
            one(pass, &job);
        }
    }
}

fn count(job: &Object, path: &[&str]) -> usize {
    usize::try_from(number(job, path).unwrap_or(1)).unwrap_or(0)
}

fn one(pass: &Pass<'_>, job: &Object) {
    let (wanted, parallel) = (
        count(job, &["spec", "completions"]),
        count(job, &["spec", "parallelism"]),
    );
    let pods = owned_pods(pass, job);
    let succeeded = pods
        .iter()
        .filter(|pod| text(pod, &["status", "phase"]) == Some("Succeeded"))
        .count();
    let running = pods.iter().filter(|pod| active(pod)).count();
    let needed = wanted.saturating_sub(succeeded).min(parallel);
    for _ in running..needed {
        let mut pod = pod_of(job, &job["spec"]["template"]);
        set(
            &mut pod,
            &["metadata", "generateName"],
            format!("{}-", object::name(job)),
        );
        pass.create(pod);
    }
    let now = pass.server.now();
    let pods = owned_pods(pass, job);
    let running = pods.iter().filter(|pod| active(pod)).count();
    let serving = pods.iter().filter(|pod| object::serves(pod)).count();
    pass.adjust(JOBS, job, |object| {
        object::set_default(object, &["status", "startTime"], now.clone());
        set(object, &["status", "ready"], serving);
        set(object, &["status", "uncountedTerminatedPods"], json!({}));
        super::replica_sets::counted(object, "active", running);
        super::replica_sets::counted(object, "succeeded", succeeded);
        if succeeded >= wanted {
            set(object, &["status", "completionTime"], now.clone());
            let reason = "CompletionsReached";
            let message = "Reached expected number of succeeded pods";
            pass.set_condition(object, "SuccessCriteriaMet", true, reason, message);
            pass.set_condition(object, "Complete", true, reason, message);
        }
    });
    if succeeded >= wanted {
        owned_pods(pass, job)
            .iter()
            .filter(|pod| active(pod))
            .for_each(|pod| pass.delete(PODS, pod));
    }
}
