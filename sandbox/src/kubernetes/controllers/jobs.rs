//! Jobs: pods until enough have succeeded, or too many have failed, or time is over. `CronJob`s are
//! stored but never start a job.

use std::time::Duration;

use serde_json::json;

use super::workload::{PODS, active, owned_pods, pod_of};
use super::{Pass, kubelet};
use crate::kubernetes::object::{self, Object, flag, number, set, text};

const JOBS: &str = "batch/jobs";

/// Pause after the first failed pod; it doubles with every further one. Source: constants of the
/// job controller, `DefaultJobPodFailureBackOff` and `MaxJobPodFailureBackOff`.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(10), Duration::from_mins(10));

/// One pass over all jobs.
pub(super) fn reconcile(pass: &mut Pass<'_>) {
    for job in pass.all(JOBS) {
        if object::terminating(&job) {
            continue;
        }
        if object::is_true(&job, "Complete") || object::is_true(&job, "Failed") {
            expire(pass, &job);
        } else if !flag(&job, &["spec", "suspend"]) {
            one(pass, &job);
        }
    }
}

/// Deletes a finished job once its time to live is over.
fn expire(pass: &mut Pass<'_>, job: &Object) {
    if let Some(lag) = seconds(job, "ttlSecondsAfterFinished")
        && pass.due("ttl", job, lag)
    {
        pass.delete(JOBS, job);
    }
}

fn seconds(job: &Object, field: &str) -> Option<Duration> {
    let seconds = number(job, &["spec", field])?;
    u64::try_from(seconds).ok().map(Duration::from_secs)
}

fn count(job: &Object, path: &[&str]) -> usize {
    usize::try_from(number(job, path).unwrap_or(1)).unwrap_or(0)
}

/// How many of a job's pods ended so. Those that were deleted since still count.
fn ended(job: &Object, pods: &[Object], phase: &str, field: &str) -> usize {
    let pods = pods
        .iter()
        .filter(|pod| text(pod, &["status", "phase"]) == Some(phase));
    let known = number(job, &["status", field]).unwrap_or(0);
    pods.count().max(usize::try_from(known).unwrap_or(0))
}

fn one(pass: &mut Pass<'_>, job: &Object) {
    let wanted = count(job, &["spec", "completions"]);
    let pods = owned_pods(pass, job);
    let succeeded = ended(job, &pods, "Succeeded", "succeeded");
    let failed = ended(job, &pods, "Failed", "failed");
    let verdict = verdict(pass, job, failed, &pods).filter(|_| succeeded < wanted);
    if verdict.is_none() {
        start(pass, job, wanted.saturating_sub(succeeded), failed);
    }
    let over = verdict.is_some() || succeeded >= wanted;
    let pods = owned_pods(pass, job);
    let given_up = pods.iter().filter(|pod| active(pod)).count();
    // Pods that are ended with their job have failed, too.
    let failed = failed + if verdict.is_some() { given_up } else { 0 };
    let working = |pod: &&Object| !over && active(pod);
    let running = pods.iter().filter(working).count();
    let serving = pods
        .iter()
        .filter(working)
        .filter(|pod| object::serves(pod))
        .count();
    let now = pass.server.now();
    pass.adjust(JOBS, job, |object| {
        object::set_default(object, &["status", "startTime"], now.clone());
        set(object, &["status", "ready"], serving);
        set(object, &["status", "uncountedTerminatedPods"], json!({}));
        super::replica_sets::counted(object, "active", running);
        super::replica_sets::counted(object, "succeeded", succeeded);
        super::replica_sets::counted(object, "failed", failed);
        if let Some((reason, message)) = verdict {
            pass.set_condition(object, "FailureTarget", true, reason, message);
            pass.set_condition(object, "Failed", true, reason, message);
        } else if succeeded >= wanted {
            set(object, &["status", "completionTime"], now.clone());
            let reason = "CompletionsReached";
            let message = "Reached expected number of succeeded pods";
            pass.set_condition(object, "SuccessCriteriaMet", true, reason, message);
            pass.set_condition(object, "Complete", true, reason, message);
        }
    });
    if over {
        pods.iter()
            .filter(|pod| active(pod))
            .for_each(|pod| pass.delete(PODS, pod));
    }
}

/// Why a job has failed for good, as reason and message.
fn verdict(
    pass: &mut Pass<'_>,
    job: &Object,
    failed: usize,
    pods: &[Object],
) -> Option<(&'static str, &'static str)> {
    let limit = number(job, &["spec", "backoffLimit"]).unwrap_or(6);
    // Containers that are started again in their pod count instead of pods.
    let restarts: i64 = pods
        .iter()
        .filter(|pod| active(pod) && text(pod, &["spec", "restartPolicy"]) == Some("OnFailure"))
        .map(|pod| kubelet::restarts(pod))
        .sum();
    if i64::try_from(failed).unwrap_or(i64::MAX) > limit || (restarts > 0 && restarts >= limit) {
        let message = "Job has reached the specified backoff limit";
        return Some(("BackoffLimitExceeded", message));
    }
    let lag = seconds(job, "activeDeadlineSeconds")?;
    pass.due("deadline", job, lag).then_some((
        "DeadlineExceeded",
        "Job was active longer than specified deadline",
    ))
}

/// Creates the pods a job has room for, after a pause where some have failed.
fn start(pass: &mut Pass<'_>, job: &Object, missing: usize, failed: usize) {
    let running = owned_pods(pass, job)
        .iter()
        .filter(|pod| active(pod))
        .count();
    let needed = missing.min(count(job, &["spec", "parallelism"]));
    if running >= needed {
        return;
    }
    if let Some(times) = failed.checked_sub(1) {
        let (first, longest) = BACKOFF;
        let doubled = u32::try_from(times).ok().and_then(|n| 2_u32.checked_pow(n));
        let lag = doubled.map_or(longest, |n| first.saturating_mul(n).min(longest));
        if !pass.due(&format!("backoff {failed}"), job, lag) {
            return;
        }
    }
    let account = ["spec", "template", "spec", "serviceAccountName"];
    if let Some(account) = text(job, &account).filter(|account| *account != "default")
        && pass
            .get("/serviceaccounts", object::namespace(job), account)
            .is_none()
    {
        // Admission refuses the pods of an account that is not there.
        return;
    }
    for _ in running..needed {
        let mut pod = pod_of(job, &job["spec"]["template"]);
        set(
            &mut pod,
            &["metadata", "generateName"],
            format!("{}-", object::name(job)),
        );
        pass.create(pod);
    }
}
