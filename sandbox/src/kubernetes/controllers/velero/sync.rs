//! Backups in a bucket become known to the cluster, those gone from it are forgotten, and those
//! that have expired are deleted with what they hold.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::backup::LOCATION;
use super::layout::{description, file, gunzip};
use super::store::{Store, available, read_only};
use super::{BACKUPS, LOCATIONS, Pass, SCHEDULES, span_at, volumes};
use crate::kubernetes::object::{self, Object, items, set, text};

/// How often a bucket is looked at when its location does not say.
const SYNC: Duration = Duration::from_mins(1);

/// How often expired backups are looked for (`--garbage-collection-frequency`).
const COLLECT: Duration = Duration::from_hours(1);

/// One pass over a location.
pub(super) fn reconcile(pass: &mut Pass<'_>, location: &Object) {
    if !available(location) {
        return;
    }
    let period = span_at(location, &["spec", "backupSyncPeriod"], SYNC);
    let first = text(location, &["status", "lastSyncedTime"]).is_none();
    if !period.is_zero() && (first || pass.every("sync", location, period)) {
        // What the store refuses is what the next probe of the location says.
        drop(Store::open(pass, location).and_then(|store| sync(pass, location, &store)));
        let now = pass.server.now();
        pass.adjust(LOCATIONS, location, |location| {
            set(location, &["status", "lastSyncedTime"], now);
        });
    }
    if pass.every("collect", location, COLLECT) && !read_only(location) {
        collect(pass, location);
    }
}

fn sync(pass: &Pass<'_>, location: &Object, store: &Store) -> Result<(), String> {
    let namespace = object::namespace(location);
    let stored = store.backups()?;
    for name in &stored {
        if pass.get(BACKUPS, namespace, name).is_some() {
            continue;
        }
        let Some(bytes) = store.get(&description(name))? else {
            continue;
        };
        // One that does not read is left alone, as Velero leaves it.
        if let Ok(backup) = serde_json::from_slice::<Value>(&bytes) {
            adopt(pass, location, name, backup);
        }
    }
    forget(pass, location, &stored);
    Ok(())
}

fn adopt(pass: &Pass<'_>, location: &Object, name: &str, mut backup: Value) {
    let namespace = object::namespace(location);
    if object::name(&backup) != name || text(&backup, &["kind"]) != Some("Backup") {
        return;
    }
    set(&mut backup, &["metadata", "namespace"], namespace);
    object::remove(&mut backup, &["metadata", "resourceVersion"]);
    let place = object::name(location);
    set(&mut backup, &["spec", "storageLocation"], place);
    set(&mut backup, &["metadata", "labels", LOCATION], place);
    // Owners that are not this cluster's would have it collected at once.
    let owners: Vec<Value> = items(&backup, &["metadata", "ownerReferences"])
        .iter()
        .filter(|owner| {
            let schedule = text(owner, &["name"]).unwrap_or_default();
            let found = pass.get(SCHEDULES, namespace, schedule);
            text(owner, &["kind"]) == Some("Schedule")
                && found.is_some_and(|found| text(owner, &["uid"]) == Some(object::uid(&found)))
        })
        .cloned()
        .collect();
    if owners.is_empty() {
        object::remove(&mut backup, &["metadata", "ownerReferences"]);
    } else {
        set(&mut backup, &["metadata", "ownerReferences"], owners);
    }
    pass.create(backup);
}

/// Completed backups whose folder is gone.
fn forget(pass: &Pass<'_>, location: &Object, stored: &BTreeSet<String>) {
    for backup in pass.in_namespace(BACKUPS, object::namespace(location)) {
        let here = object::label(&backup, LOCATION) == Some(object::name(location));
        let complete = text(&backup, &["status", "phase"]) == Some("Completed");
        if here && complete && !stored.contains(object::name(&backup)) {
            pass.delete(BACKUPS, &backup);
        }
    }
}

fn collect(pass: &Pass<'_>, location: &Object) {
    let Ok(store) = Store::open(pass, location) else {
        return;
    };
    let now = pass.server.clock.now();
    for backup in pass.in_namespace(BACKUPS, object::namespace(location)) {
        let here = text(&backup, &["spec", "storageLocation"]) == Some(object::name(location));
        let expiration = text(&backup, &["status", "expiration"]);
        let expired = expiration
            .and_then(|moment| moment.parse::<Timestamp>().ok())
            .is_some_and(|moment| moment < now);
        // What cannot be deleted from the bucket stays known, and is tried again.
        if here && expired && erase(&store, object::name(&backup)).is_ok() {
            pass.delete(BACKUPS, &backup);
        }
    }
}

/// Deletes a backup from its bucket: what volumes held, its files, its description last.
pub(super) fn erase(store: &Store, name: &str) -> Result<(), String> {
    if let Some(bytes) = store.get(&file(name, "-volumeinfo.json.gz"))?
        && let Ok(infos) = gunzip(&bytes)
    {
        let infos: Vec<Value> = serde_json::from_slice(&infos).unwrap_or_default();
        for key in infos.iter().filter_map(volumes::moved) {
            store.delete(&key)?;
        }
    }
    let last = description(name);
    for key in store.list(&format!("backups/{name}/"))? {
        if key != last {
            store.delete(&key)?;
        }
    }
    store.delete(&last)
}
