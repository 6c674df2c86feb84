//! Schedules: checked, and a backup begun when one is due by the clock.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::cron::{Cron, cron_error};
use super::{BACKUPS, NOTICE, Pass, SCHEDULES};
use crate::kubernetes::object::{self, Object, flag, set, text};

/// The label with the schedule of a backup.
pub(super) const SCHEDULE: &str = "velero.io/schedule-name";

/// How often the server looks at its schedules: a backup begins this much late at most.
const LOOK: Duration = Duration::from_mins(1);

/// One pass over a schedule.
pub(super) fn reconcile(pass: &mut Pass<'_>, schedule: &Object) {
    let generation = schedule["metadata"]["generation"].clone();
    if text(schedule, &["status", "phase"]).is_none() {
        if pass.due("notice", schedule, NOTICE) {
            validate(pass, schedule);
        }
        return;
    }
    if pass.every(&format!("look/{generation}"), schedule, LOOK) {
        validate(pass, schedule);
    }
    if text(schedule, &["status", "phase"]) != Some("Enabled")
        || flag(schedule, &["spec", "paused"])
    {
        return;
    }
    let cron = text(schedule, &["spec", "schedule"]).and_then(Cron::parse);
    let next = cron.and_then(|cron| cron.after(last(schedule)?));
    if let Some(next) = next
        && pass.reached("run", schedule, next)
        && !busy(pass, schedule)
    {
        submit(pass, schedule);
    }
}

/// From when on the next run is counted: the last one, or what came in its place.
fn last(schedule: &Value) -> Option<Timestamp> {
    let moment = |path: &[&str]| text(schedule, path)?.parse::<Timestamp>().ok();
    let ran = moment(&["status", "lastBackup"]).or(moment(&["metadata", "creationTimestamp"]));
    ran.max(moment(&["status", "lastSkipped"]))
}

fn validate(pass: &Pass<'_>, schedule: &Object) {
    let wrong = cron_error(text(schedule, &["spec", "schedule"]).unwrap_or_default());
    let now = pass.server.now();
    let skips = skips_by_default(pass, schedule);
    pass.adjust(SCHEDULES, schedule, |schedule| {
        if schedule["spec"].get("skipImmediately").is_none() {
            set(schedule, &["spec", "skipImmediately"], skips);
        }
        if flag(schedule, &["spec", "skipImmediately"]) {
            set(schedule, &["spec", "skipImmediately"], false);
            set(schedule, &["status", "lastSkipped"], now);
        }
        match wrong {
            None => {
                set(schedule, &["status", "phase"], "Enabled");
                object::remove(schedule, &["status", "validationErrors"]);
            }
            Some(why) => {
                set(schedule, &["status", "phase"], "FailedValidation");
                set(
                    schedule,
                    &["status", "validationErrors"],
                    json!([format!("invalid schedule: {why}")]),
                );
            }
        }
    });
}

/// The server's flag: what a schedule that does not say begins with.
fn skips_by_default(pass: &Pass<'_>, schedule: &Object) -> bool {
    let server = pass.get("apps/deployments", object::namespace(schedule), "velero");
    let args = server.as_ref().and_then(|server| {
        server
            .pointer("/spec/template/spec/containers/0/args")?
            .as_array()
    });
    args.is_some_and(|args| {
        args.iter()
            .any(|arg| arg == "--schedule-skip-immediately=true")
    })
}

/// Whether a backup of the schedule is under way: the next one waits for it.
fn busy(pass: &Pass<'_>, schedule: &Object) -> bool {
    let backups = pass.in_namespace(BACKUPS, object::namespace(schedule));
    backups.iter().any(|backup| {
        object::label(backup, SCHEDULE) == Some(object::name(schedule))
            && matches!(
                text(backup, &["status", "phase"]).unwrap_or_default(),
                "" | "New" | "InProgress"
            )
    })
}

/// Begins one backup, however many were missed.
fn submit(pass: &Pass<'_>, schedule: &Object) {
    let now = pass.server.clock.now();
    let name = object::name(schedule);
    let mut metadata = json!({
        "name": format!("{name}-{}", now.strftime("%Y%m%d%H%M%S")),
        "namespace": object::namespace(schedule),
        "labels": schedule["metadata"]["labels"],
        "annotations": schedule["metadata"]["annotations"],
    });
    let extra = object::map(schedule, &["spec", "template", "metadata", "labels"]);
    for (key, value) in extra.into_iter().flatten() {
        set(&mut metadata, &["labels", key], value.clone());
    }
    set(&mut metadata, &["labels", SCHEDULE], name);
    if let Some(annotations) = metadata["annotations"].as_object_mut() {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    } else {
        object::remove(&mut metadata, &["annotations"]);
    }
    if flag(schedule, &["spec", "useOwnerReferencesInBackup"]) {
        metadata["ownerReferences"] = json!([object::controller_reference(schedule)]);
    }
    let mut spec = schedule["spec"]["template"].clone();
    object::remove(&mut spec, &["metadata"]);
    let backup = json!({
        "apiVersion": "velero.io/v1", "kind": "Backup", "metadata": metadata, "spec": spec,
    });
    if pass.create(backup).is_some() {
        let now = crate::kubernetes::apiserver::timestamp(now);
        pass.adjust(SCHEDULES, schedule, |schedule| {
            set(schedule, &["status", "lastBackup"], now);
        });
    }
}
