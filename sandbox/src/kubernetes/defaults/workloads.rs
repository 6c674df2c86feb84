//! Defaults of workload controllers.

use serde_json::{Value, json};

use super::{map_value, pods};
use crate::kubernetes::object::{self, annotation, at, set, set_default, text};

fn template(object: &mut Value) {
    let spec = map_value(map_value(map_value(object, "spec"), "template"), "spec");
    pods::spec(spec);
}

/// Fills in a Deployment.
pub(crate) fn deployment(object: &mut Value) {
    template(object);
    set_default(object, &["spec", "replicas"], 1);
    set_default(object, &["spec", "revisionHistoryLimit"], 10);
    set_default(object, &["spec", "progressDeadlineSeconds"], 600);
    set_default(object, &["spec", "strategy", "type"], "RollingUpdate");
    if text(object, &["spec", "strategy", "type"]) == Some("RollingUpdate") {
        set_default(
            object,
            &["spec", "strategy", "rollingUpdate", "maxUnavailable"],
            "25%",
        );
        set_default(
            object,
            &["spec", "strategy", "rollingUpdate", "maxSurge"],
            "25%",
        );
    }
}

/// Fills in a `StatefulSet`.
pub(crate) fn stateful_set(object: &mut Value) {
    template(object);
    set_default(object, &["spec", "replicas"], 1);
    set_default(object, &["spec", "revisionHistoryLimit"], 10);
    set_default(object, &["spec", "podManagementPolicy"], "OrderedReady");
    set_default(object, &["spec", "updateStrategy", "type"], "RollingUpdate");
    if text(object, &["spec", "updateStrategy", "type"]) == Some("RollingUpdate") {
        set_default(
            object,
            &["spec", "updateStrategy", "rollingUpdate", "partition"],
            0,
        );
    }
    let retention = json!({"whenDeleted": "Retain", "whenScaled": "Retain"});
    set_default(
        object,
        &["spec", "persistentVolumeClaimRetentionPolicy"],
        retention,
    );
}

/// Fills in a `DaemonSet`.
pub(crate) fn daemon_set(object: &mut Value, old: Option<&Value>) {
    template(object);
    template_generation(object, old);
    set_default(object, &["spec", "revisionHistoryLimit"], 10);
    set_default(object, &["spec", "updateStrategy", "type"], "RollingUpdate");
    if text(object, &["spec", "updateStrategy", "type"]) == Some("RollingUpdate") {
        set_default(
            object,
            &["spec", "updateStrategy", "rollingUpdate", "maxUnavailable"],
            1,
        );
        set_default(
            object,
            &["spec", "updateStrategy", "rollingUpdate", "maxSurge"],
            0,
        );
    }
}

/// Counts the templates in an annotation, where `apps/v1` has the field that its own type lost
/// (`pkg/apis/apps/v1/conversion.go`, `pkg/registry/apps/daemonset/strategy.go`).
fn template_generation(object: &mut Value, old: Option<&Value>) {
    const COUNT: &str = "deprecated.daemonset.template.generation";
    let count = |object: &Value| {
        let count = annotation(object, COUNT)?.parse::<i64>().ok()?;
        Some(count.max(1))
    };
    let template = |object: &Value| at(object, &["spec", "template"]).cloned();
    let count = match old {
        None => count(object).unwrap_or(1),
        Some(old) => count(old).unwrap_or(1) + i64::from(template(old) != template(object)),
    };
    set(
        object,
        &["metadata", "annotations", COUNT],
        count.to_string(),
    );
}

/// Fills in a `ReplicaSet`.
pub(crate) fn replica_set(object: &mut Value) {
    template(object);
    set_default(object, &["spec", "replicas"], 1);
}

/// Fills in a Job: counts, and the selector by the job's own uid.
pub(crate) fn job(object: &mut Value) {
    template(object);
    for (field, value) in [
        ("parallelism", json!(1)),
        ("completions", json!(1)),
        ("backoffLimit", json!(6)),
        ("completionMode", json!("NonIndexed")),
        ("suspend", json!(false)),
        ("manualSelector", json!(false)),
    ] {
        set_default(object, &["spec", field], value);
    }
    set_default(
        object,
        &["spec", "podReplacementPolicy"],
        "TerminatingOrFailed",
    );
    let (uid, name) = (
        object::uid(object).to_owned(),
        object::name(object).to_owned(),
    );
    if uid.is_empty() || object["spec"]["manualSelector"] == json!(true) {
        return;
    }
    set_default(
        object,
        &[
            "spec",
            "selector",
            "matchLabels",
            "batch.kubernetes.io/controller-uid",
        ],
        uid.clone(),
    );
    let labels = &["spec", "template", "metadata", "labels"];
    for (key, value) in [
        ("batch.kubernetes.io/controller-uid", &uid),
        ("controller-uid", &uid),
        ("batch.kubernetes.io/job-name", &name),
        ("job-name", &name),
    ] {
        object::map_mut(object, labels)
            .entry(key)
            .or_insert_with(|| value.clone().into());
    }
}

/// Fills in a `CronJob`.
pub(crate) fn cron_job(object: &mut Value) {
    set_default(object, &["spec", "concurrencyPolicy"], "Allow");
    set_default(object, &["spec", "suspend"], false);
    set_default(object, &["spec", "successfulJobsHistoryLimit"], 3);
    set_default(object, &["spec", "failedJobsHistoryLimit"], 1);
    let job = map_value(map_value(object, "spec"), "jobTemplate");
    template(job);
}
