//! A restore: judged, then carried out from what is in the bucket, and its files taken out of the
//! bucket again when it is deleted.
//!
//! `accessMode: ReadOnly` keeps backups from being made and deleted. It does not keep a restore from
//! writing its log, its results and its operations beside the backup: Velero 1.17 does so whatever the
//! mode is (`restore_controller.go`, `restore_operations_controller.go`).

use std::time::Duration;

use serde_json::{Value, json};

use super::filter::NEVER_RESTORED;
use super::layout::{self, Archive, gunzip, gzip, gzip_json};
use super::modifiers::Modifiers;
use super::restored::{Plan, Run};
use super::store::{Store, available, location_of};
use super::{BACKUPS, NOTICE, Pass, RESTORES, WORK};
use crate::kubernetes::object::{self, Object, items, set, text};

/// How long restored definitions may take until they are served (`--resource-timeout`).
const SERVED: Duration = Duration::from_mins(10);

/// Keeps a restore that is deleted until its files are out of the bucket.
const FINALIZER: &str = "restores.velero.io/external-resources-finalizer";

/// How often the end of a restore's operations is tried to be written down.
const OPERATIONS: Duration = Duration::from_secs(10);

/// Moves a restore to its next phase when that is due.
pub(super) fn reconcile(pass: &mut Pass<'_>, restore: &Object) {
    let held = items(restore, &["metadata", "finalizers"]).contains(&FINALIZER.into());
    if object::terminating(restore) {
        if held && pass.every("release", restore, NOTICE) && clean_up(pass, restore).is_ok() {
            pass.adjust(RESTORES, restore, |restore| {
                let mut left = items(restore, &["metadata", "finalizers"]).to_vec();
                left.retain(|finalizer| finalizer != FINALIZER);
                set(restore, &["metadata", "finalizers"], left);
            });
        }
        return;
    }
    if !held {
        pass.adjust(RESTORES, restore, |restore| {
            let mut all = items(restore, &["metadata", "finalizers"]).to_vec();
            all.push(FINALIZER.into());
            set(restore, &["metadata", "finalizers"], all);
        });
    }
    match text(restore, &["status", "phase"]).unwrap_or("New") {
        "" | "New" if pass.due("notice", restore, NOTICE) => begin(pass, restore),
        "InProgress" if pass.due("work", restore, WORK) => {
            let finished = match carry_out(pass, restore) {
                Ok(None) => return,
                Ok(Some(status)) => Ok(status),
                Err(why) => Err(why),
            };
            let now = pass.server.now();
            pass.adjust(RESTORES, restore, |restore| match finished {
                Ok(status) => set(restore, &["status"], status),
                Err(why) => {
                    set(restore, &["status", "phase"], "Failed");
                    set(restore, &["status", "failureReason"], why);
                    set(restore, &["status", "completionTimestamp"], now);
                }
            });
        }
        WAITING if pass.every("operations", restore, OPERATIONS) => finish(pass, restore),
        _ => {}
    }
}

/// The phase of a restore with an error whose operations could not be written down.
const WAITING: &str = "WaitingForPluginOperationsPartiallyFailed";

/// Tries again to write down what a restore's volumes came to. Until that is done it does not end.
fn finish(pass: &Pass<'_>, restore: &Object) {
    let backup = text(restore, &["spec", "backupName"]).unwrap_or_default();
    let Some(backup) = pass.get(BACKUPS, object::namespace(restore), backup) else {
        return;
    };
    let store = location_of(pass, &backup).and_then(|location| Store::open(pass, &location));
    if store.and_then(|store| operations(&store, restore)).is_ok() {
        let now = pass.server.now();
        pass.adjust(RESTORES, restore, |restore| {
            set(restore, &["status", "phase"], "PartiallyFailed");
            set(restore, &["status", "completionTimestamp"], now);
        });
    }
}

/// Takes a restore's files out of the bucket. Without its backup, or the backup's location, nobody
/// knows where they are, and they stay.
///
/// # Errors
/// Where the bucket does not let go of them: the restore is held until it does.
fn clean_up(pass: &Pass<'_>, restore: &Object) -> Result<(), String> {
    let name = text(restore, &["spec", "backupName"]).unwrap_or_default();
    let backup = pass.get(BACKUPS, object::namespace(restore), name);
    let Some(location) = backup.and_then(|backup| location_of(pass, &backup).ok()) else {
        return Ok(());
    };
    if !available(&location) {
        let name = object::name(&location);
        return Err(format!("bsl {name} is unavailable"));
    }
    let store = Store::open(pass, &location)?;
    for key in store.list(&format!("restores/{}/", object::name(restore)))? {
        store.delete(&key)?;
    }
    Ok(())
}

/// Where one of a restore's files is.
fn file_of(restore: &Object, what: &str) -> String {
    let name = object::name(restore);
    format!("restores/{name}/restore-{name}-{what}.gz")
}

/// Writes down what a restore's volumes came to.
fn operations(store: &Store, restore: &Object) -> Result<(), String> {
    let done = gzip_json(&json!([]));
    store.put(&file_of(restore, "itemoperations.json"), done)
}

fn begin(pass: &Pass<'_>, restore: &Object) {
    let mut spec = restore["spec"].clone();
    let errors = validate(pass, restore, &mut spec);
    let now = pass.server.now();
    pass.adjust(RESTORES, restore, |restore| {
        set(restore, &["spec"], spec);
        if errors.is_empty() {
            set(restore, &["status", "phase"], "InProgress");
            set(restore, &["status", "startTimestamp"], now);
        } else {
            set(restore, &["status", "phase"], "FailedValidation");
            set(restore, &["status", "validationErrors"], errors);
        }
    });
}

/// Completes the spec and says what is wrong with it.
fn validate(pass: &Pass<'_>, restore: &Object, spec: &mut Value) -> Vec<String> {
    let mut errors = Vec::new();
    let mut excluded = items(spec, &["excludedResources"]).to_vec();
    for name in NEVER_RESTORED {
        if items(spec, &["includedResources"]).contains(&name.into()) {
            errors.push(format!("{name} are non-restorable resources"));
        }
        if !excluded.contains(&name.into()) {
            excluded.push(name.into());
        }
    }
    set(spec, &["excludedResources"], excluded);
    let policy = text(spec, &["existingResourcePolicy"]).unwrap_or_default();
    if !matches!(policy, "" | "none" | "update") {
        errors.push(format!("Invalid ExistingResourcePolicy: {policy}"));
    }
    let given = |key: &str| text(spec, &[key]).unwrap_or_default().to_owned();
    let (mut backup, schedule) = (given("backupName"), given("scheduleName"));
    if backup.is_empty() == schedule.is_empty() {
        errors.push(
            "Either a backup or schedule must be specified as a source for the restore, but not both"
                .to_owned(),
        );
        return errors;
    }
    let namespace = object::namespace(restore);
    if !schedule.is_empty() {
        match latest(pass, namespace, &schedule) {
            Some(name) => backup = name,
            None => {
                errors.push("No completed backups found for schedule".to_owned());
                return errors;
            }
        }
        set(spec, &["backupName"], backup.clone());
    }
    let Some(found) = pass.get(BACKUPS, namespace, &backup) else {
        errors.push(format!(
            "Error retrieving backup: backups.velero.io \"{backup}\" not found"
        ));
        return errors;
    };
    match location_of(pass, &found) {
        Ok(location) if available(&location) => {}
        Ok(location) => errors.push(format!(
            "The BSL {} is unavailable, cannot retrieve the backup",
            object::name(&location)
        )),
        Err(why) => errors.push(format!("Error retrieving backup: {why}")),
    }
    errors.extend(modifiers(pass, restore).err());
    errors
}

/// The newest completed backup of a schedule.
fn latest(pass: &Pass<'_>, namespace: &str, schedule: &str) -> Option<String> {
    let of_schedule = pass.in_namespace(BACKUPS, namespace).into_iter();
    let complete = of_schedule.filter(|backup| {
        object::label(backup, super::schedule::SCHEDULE) == Some(schedule)
            && text(backup, &["status", "phase"]) == Some("Completed")
    });
    complete
        .max_by_key(|backup| {
            let started = text(backup, &["status", "startTimestamp"]);
            started.unwrap_or_default().to_owned()
        })
        .map(|backup| object::name(&backup).to_owned())
}

/// The rules a restore names.
fn modifiers(pass: &Pass<'_>, restore: &Value) -> Result<Option<Modifiers>, String> {
    let of = |field: &str| text(restore, &["spec", "resourceModifier", field]).unwrap_or_default();
    if !of("kind").eq_ignore_ascii_case("configmap") {
        return Ok(None);
    }
    let (namespace, name) = (object::namespace(restore), of("name"));
    let map = pass.get("/configmaps", namespace, name);
    let map = map
        .ok_or_else(|| format!("failed to get resource modifiers configmap {namespace}/{name}"))?;
    Modifiers::of(&map).map(Some).map_err(|why| {
        format!(
            "Error in parsing resource modifiers provided in configmap {namespace}/{name}: {why}"
        )
    })
}

/// Restores; `None` while restored definitions are not served yet. What it made carries its label,
/// so that it finds it again after a break.
///
/// # Errors
/// When there is nothing to begin with: the backup is unknown, or its files cannot be fetched.
fn carry_out(pass: &mut Pass<'_>, restore: &Object) -> Result<Option<Value>, String> {
    let namespace = object::namespace(restore);
    let name = text(restore, &["spec", "backupName"]).unwrap_or_default();
    let backup = pass
        .get(BACKUPS, namespace, name)
        .ok_or_else(|| format!("backups.velero.io \"{name}\" not found"))?;
    let location = location_of(pass, &backup)?;
    let store = Store::open(pass, &location)?;
    let fetch = |suffix: &str| {
        let key = layout::file(name, suffix);
        store.get(&key).map(|found| found.ok_or(key))
    };
    let bytes = fetch(".tar.gz").and_then(|found| found.map_err(|key| format!("NoSuchKey: {key}")));
    let bytes = bytes.map_err(|why| format!("error downloading backup: {why}"))?;
    let infos = match fetch("-volumeinfo.json.gz")? {
        Ok(bytes) => gunzip(&bytes)
            .and_then(|bytes| {
                serde_json::from_slice::<Vec<Value>>(&bytes).map_err(|error| error.to_string())
            })
            .map_err(|why| format!("fail to get VolumeInfos metadata file: {why}"))?,
        Err(_missing) => Vec::new(),
    };
    let modifiers = modifiers(pass, restore)?;
    let (archive, unreadable) = match layout::unpack(&bytes) {
        Ok(archive) => (archive, None),
        Err(why) => (Archive::new(), Some(why)),
    };
    let plan = Plan {
        restore,
        store: &store,
        infos: &infos,
        modifiers: modifiers.as_ref(),
        archive: &archive,
    };
    // Custom objects need their definitions first.
    let served = Run::new(pass, &plan).definitions();
    if !served && !pass.due("served", restore, SERVED) {
        return Ok(None);
    }
    let mut run = Run::new(pass, &plan);
    if let Some(why) = unreadable {
        run.errors.velero(why);
    }
    run.everything();
    Ok(Some(report(pass, restore, &mut run, &store)))
}

/// Writes down what was done and gives the status. A log that cannot be written is an error of the
/// restore; operations that cannot be keep it from ending.
fn report(pass: &Pass<'_>, restore: &Object, run: &mut Run<'_>, store: &Store) -> Value {
    let mut log = vec!["level=info msg=\"starting restore\"".to_owned()];
    log.extend(run.warnings.lines("warning"));
    log.extend(run.errors.lines("error"));
    log.push("level=info msg=\"restore completed\"".to_owned());
    let written = store.put(&file_of(restore, "logs"), gzip(log.join("\n").as_bytes()));
    if let Err(why) = written {
        let message = format!("error uploading log file to backup storage: {why}");
        run.errors.velero(message);
    }
    let results = json!({"errors": run.errors.json(), "warnings": run.warnings.json()});
    // A restore is not undone because nobody can read about it.
    drop(store.put(&file_of(restore, "results"), gzip_json(&results)));
    let waits = run.operations > 0 && operations(store, restore).is_err();
    let errors = run.errors.count();
    let phase = match errors {
        // Whoever cannot write operations could not write the log either.
        _ if waits => WAITING,
        0 => "Completed",
        _ => "PartiallyFailed",
    };
    let mut status = restore["status"].clone();
    set(&mut status, &["phase"], phase);
    let progress = json!({"totalItems": run.total, "itemsRestored": run.total});
    set(&mut status, &["progress"], progress);
    for (field, count) in [("errors", errors), ("warnings", run.warnings.count())] {
        if count > 0 {
            set(&mut status, &[field], count);
        }
    }
    if !waits {
        set(&mut status, &["completionTimestamp"], pass.server.now());
    }
    status
}
