//! Requests to delete a backup with what it holds, as `velero backup delete` makes them.

use serde_json::json;

use super::store::{Store, location_of, read_only};
use super::{BACKUPS, DELETIONS, NOTICE, Pass, sync};
use crate::kubernetes::object::{self, Object, set, text};

/// Carries a request out when it is due. One that was is deleted, with its backup.
pub(super) fn reconcile(pass: &mut Pass<'_>, request: &Object) {
    let phase = text(request, &["status", "phase"]).unwrap_or_default();
    if phase == "Processed" || !pass.due("notice", request, NOTICE) {
        return;
    }
    match carry_out(pass, request) {
        Ok(()) => pass.delete(DELETIONS, request),
        Err(why) => {
            pass.adjust(DELETIONS, request, |request| {
                set(request, &["status", "phase"], "Processed");
                set(request, &["status", "errors"], json!([why]));
            });
        }
    }
}

fn carry_out(pass: &Pass<'_>, request: &Object) -> Result<(), String> {
    let name = text(request, &["spec", "backupName"]).unwrap_or_default();
    if name.is_empty() {
        return Err("spec.backupName is required".to_owned());
    }
    let namespace = object::namespace(request);
    let backup = pass
        .get(BACKUPS, namespace, name)
        .ok_or("backup not found")?;
    if text(&backup, &["status", "phase"]) == Some("InProgress") {
        return Err("backup is still in progress".to_owned());
    }
    let location = location_of(pass, &backup)?;
    if read_only(&location) {
        let place = object::name(&location);
        return Err(format!(
            "cannot delete backup because backup storage location {place} is currently in read-only mode"
        ));
    }
    sync::erase(&Store::open(pass, &location)?, name)?;
    pass.delete(BACKUPS, &backup);
    Ok(())
}
