//! A backup: judged, then taken into its location's bucket.

use std::time::Duration;

use serde_json::{Value, json};

use super::layout::{self, Item, Messages, gzip, gzip_json};
use super::store::{Store, available, location_of, read_only};
use super::{BACKUPS, NOTICE, Pass, WORK, contents, span, volumes};
use crate::kubernetes::apiserver::timestamp;
use crate::kubernetes::object::{self, Object, set, set_default, text};

/// How long a backup is kept that does not say.
const TTL: Duration = Duration::from_hours(720);

/// The label with the location of a backup.
pub(super) const LOCATION: &str = "velero.io/storage-location";

/// Moves a backup to its next phase when that is due.
pub(super) fn reconcile(pass: &mut Pass<'_>, backup: &Object) {
    match text(backup, &["status", "phase"]).unwrap_or("New") {
        "" | "New" if pass.due("notice", backup, NOTICE) => begin(pass, backup),
        "InProgress" if pass.due("work", backup, WORK) => {
            let finished = write(pass, backup);
            pass.adjust(BACKUPS, backup, |backup| match finished {
                Ok(status) => set(backup, &["status"], status),
                Err(why) => {
                    set(backup, &["status", "phase"], "Failed");
                    set(backup, &["status", "failureReason"], why);
                    set(
                        backup,
                        &["status", "completionTimestamp"],
                        pass.server.now(),
                    );
                }
            });
        }
        _ => {}
    }
}

fn begin(pass: &Pass<'_>, backup: &Object) {
    let (errors, place) = match location_of(pass, backup) {
        Ok(location) => {
            let place = object::name(&location).to_owned();
            let mut errors = Vec::new();
            if read_only(&location) {
                errors.push(format!("backup can't be created because backup storage location {place} is currently in read-only mode"));
            }
            if !available(&location) {
                errors.push(format!("backup can't be created because BackupStorageLocation {place} is in Unavailable status."));
            }
            (errors, Some(place))
        }
        Err(why) => (vec![why], None),
    };
    let now = pass.server.clock.now();
    let version = pass.server.version.clone();
    pass.adjust(BACKUPS, backup, |backup| {
        if let Some(place) = place {
            set(backup, &["spec", "storageLocation"], place.clone());
            set(backup, &["metadata", "labels", LOCATION], place);
        }
        for (field, value) in [
            ("ttl", "720h0m0s"),
            ("csiSnapshotTimeout", "10m0s"),
            ("itemOperationTimeout", "4h0m0s"),
        ] {
            set_default(backup, &["spec", field], value);
        }
        let mut numbers = version.trim_start_matches('v').split('.');
        let (major, minor) = (numbers.next(), numbers.next());
        for (name, value) in [
            ("velero.io/source-cluster-k8s-gitversion", version.as_str()),
            (
                "velero.io/source-cluster-k8s-major-version",
                major.unwrap_or_default(),
            ),
            (
                "velero.io/source-cluster-k8s-minor-version",
                minor.unwrap_or_default(),
            ),
            ("velero.io/resource-timeout", "10m0s"),
        ] {
            set(backup, &["metadata", "annotations", name], value);
        }
        set(backup, &["status", "version"], 1);
        set(backup, &["status", "formatVersion"], layout::FORMAT);
        let ttl = text(backup, &["spec", "ttl"]).and_then(span).unwrap_or(TTL);
        if let Ok(expiration) = now.checked_add(ttl) {
            set(backup, &["status", "expiration"], timestamp(expiration));
        }
        if errors.is_empty() {
            set(backup, &["status", "phase"], "InProgress");
            set(backup, &["status", "startTimestamp"], timestamp(now));
        } else {
            set(backup, &["status", "phase"], "FailedValidation");
            set(backup, &["status", "validationErrors"], errors);
        }
    });
}

/// Writes the backup and gives its final status. Its description goes last, so that a backup that
/// was cut off does not look like one.
fn write(pass: &Pass<'_>, backup: &Object) -> Result<Value, String> {
    let location = location_of(pass, backup)?;
    let store = Store::open(pass, &location)?;
    let name = object::name(backup);
    if let Some(bytes) = store.get(&layout::description(name))? {
        // Its own, when the sandbox was killed after writing it.
        let known: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if object::uid(&known) == object::uid(backup) {
            return Ok(known["status"].clone());
        }
        return Err("backup already exists in object storage".to_owned());
    }
    let items = contents::choose(pass, &backup["spec"]);
    let mut errors = Messages::default();
    let saved = volumes::save(pass, backup, &store, &items, &mut errors);
    let warnings = Messages::default();
    let mut finished = Value::clone(backup);
    let phase = match errors.count() {
        0 => "Completed",
        count => {
            set(&mut finished, &["status", "errors"], count);
            "PartiallyFailed"
        }
    };
    set(&mut finished, &["status", "phase"], phase);
    let total = json!({"totalItems": items.len(), "itemsBackedUp": items.len()});
    set(&mut finished, &["status", "progress"], total);
    set(
        &mut finished,
        &["status", "completionTimestamp"],
        pass.server.now(),
    );
    for (field, count) in [
        ("backupItemOperationsAttempted", saved.attempted),
        ("backupItemOperationsCompleted", saved.completed),
        (
            "backupItemOperationsFailed",
            saved.attempted - saved.completed,
        ),
    ] {
        if count > 0 {
            set(&mut finished, &["status", field], count);
        }
    }
    let results = json!({"errors": errors.json(), "warnings": warnings.json()});
    let log = log(name, &items, &errors);
    for (suffix, bytes) in [
        ("-logs.gz", gzip(log.as_bytes())),
        ("-results.gz", gzip_json(&results)),
        (
            "-resource-list.json.gz",
            gzip_json(&layout::resource_list(&items)),
        ),
        ("-volumeinfo.json.gz", gzip_json(&saved.infos.into())),
        ("-csi-volumesnapshots.json.gz", gzip_json(&json!([]))),
        ("-itemoperations.json.gz", gzip_json(&json!([]))),
        ("-podvolumebackups.json.gz", gzip_json(&json!([]))),
        ("-volumesnapshots.json.gz", gzip_json(&json!([]))),
        (".tar.gz", layout::pack(&items)?),
    ] {
        store.put(&layout::file(name, suffix), bytes)?;
    }
    store.put(
        &layout::description(name),
        finished.to_string().into_bytes(),
    )?;
    Ok(finished["status"].clone())
}

fn log(name: &str, items: &[Item], errors: &Messages) -> String {
    let mut lines = vec![format!("level=info msg=\"Backing up\" backup={name}")];
    lines.extend(items.iter().map(|item| {
        let (kind, path) = (item.kind.qualified(), item.path());
        format!("level=info msg=\"Backed up {kind} {path}\"")
    }));
    lines.extend(errors.lines("error"));
    lines.join("\n")
}
