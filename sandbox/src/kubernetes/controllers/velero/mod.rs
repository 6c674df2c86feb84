//! Velero: locations are probed and synced, schedules start backups, backups are written into the
//! bucket, restores read them back.
//!
//! What it knows is in the cluster's objects and in the bucket, so that a sandbox that was killed
//! goes on where it was.

mod backup;
mod contents;
mod cron;
mod deletion;
mod filter;
mod layout;
mod locations;
mod modifiers;
mod restore;
mod restored;
mod schedule;
mod store;
mod sync;
mod volumes;

use std::time::Duration;

use serde_json::Value;

use super::Pass;
use crate::kubernetes::object::{self, Object, number, text};

pub(super) use volumes::CONTENT;

const LOCATIONS: &str = "velero.io/backupstoragelocations";
const SCHEDULES: &str = "velero.io/schedules";
const BACKUPS: &str = "velero.io/backups";
const RESTORES: &str = "velero.io/restores";
const DELETIONS: &str = "velero.io/deletebackuprequests";

/// The server's first look at a new object.
const NOTICE: Duration = Duration::from_secs(5);

/// Taking a small backup, or restoring one.
const WORK: Duration = Duration::from_secs(20);

/// One pass over all of Velero's objects.
pub(super) fn reconcile(pass: &mut Pass<'_>) {
    for location in served(pass, LOCATIONS) {
        volumes::ensure_password(pass, object::namespace(&location));
        locations::probe(pass, &location);
    }
    for location in served(pass, LOCATIONS) {
        sync::reconcile(pass, &location);
    }
    for schedule in served(pass, SCHEDULES) {
        schedule::reconcile(pass, &schedule);
    }
    for backup in served(pass, BACKUPS) {
        backup::reconcile(pass, &backup);
    }
    for restore in served(pass, RESTORES) {
        restore::reconcile(pass, &restore);
    }
    for request in served(pass, DELETIONS) {
        deletion::reconcile(pass, &request);
    }
}

/// The objects of a collection in whose namespace a Velero server runs.
fn served(pass: &Pass<'_>, collection: &str) -> Vec<Object> {
    let mut objects = pass.all(collection);
    objects.retain(|object| {
        let server = pass.get("apps/deployments", object::namespace(object), "velero");
        server.is_some_and(|server| {
            number(&server, &["status", "availableReplicas"]).unwrap_or(0) > 0
        })
    });
    objects
}

/// A span as Go writes it, such as `720h0m0s`; `None` when it is none.
pub(super) fn span(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let count: u32 = rest[..digits].parse().ok()?;
        let unit = rest[digits..]
            .find(|c: char| c.is_ascii_digit())
            .map_or(rest.len(), |end| digits + end);
        let one = match &rest[digits..unit] {
            "h" => Duration::from_hours(1),
            "m" => Duration::from_mins(1),
            "s" => Duration::from_secs(1),
            "ms" => Duration::from_millis(1),
            _ => return None,
        };
        total = total.checked_add(one.checked_mul(count)?)?;
        rest = &rest[unit..];
    }
    (!text.is_empty()).then_some(total)
}

/// A span of a spec, or what Velero takes when there is none.
fn span_at(object: &Value, path: &[&str], default: Duration) -> Duration {
    text(object, path).and_then(span).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_gos() {
        assert_eq!(span("720h0m0s"), Some(Duration::from_hours(720)));
        assert_eq!(span("1m30s"), Some(Duration::from_secs(90)));
        for wrong in ["", "5", "h", "1d", "1.5h"] {
            assert_eq!(span(wrong), None, "{wrong}");
        }
    }
}
