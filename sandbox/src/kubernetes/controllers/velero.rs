//! Velero: locations are probed, schedules validated, backups completed.
//!
//! Schedules start no backups by themselves, and a backup writes nothing into its bucket.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Pass;
use crate::kubernetes::object::{self, Object, number, set, text};

const LOCATIONS: &str = "velero.io/backupstoragelocations";
const SCHEDULES: &str = "velero.io/schedules";
const BACKUPS: &str = "velero.io/backups";
const RESTORES: &str = "velero.io/restores";

/// The server's first look at a new object.
const NOTICE: Duration = Duration::from_secs(5);

/// Taking a small backup, or restoring one.
const WORK: Duration = Duration::from_secs(20);

/// How often an unavailable location is probed again (the default validation frequency).
const PROBE: Duration = Duration::from_mins(1);

/// One pass over all of Velero's objects.
pub(super) fn reconcile(pass: &mut Pass<'_>) {
    for location in pass
        .all(LOCATIONS)
        .into_iter()
        .filter(|object| server_works(pass, object))
        .collect::<Vec<_>>()
    {
        probe(pass, &location);
    }
    for schedule in pass.all(SCHEDULES) {
        if server_works(pass, &schedule)
            && text(&schedule, &["status", "phase"]).is_none()
            && pass.due("schedule", &schedule, NOTICE)
        {
            validate(pass, &schedule);
        }
    }
    for backup in pass.all(BACKUPS) {
        if server_works(pass, &backup) {
            back_up(pass, &backup);
        }
    }
    for restore in pass.all(RESTORES) {
        if server_works(pass, &restore)
            && !finished(&restore)
            && pass.due("restore", &restore, WORK)
        {
            let name = text(&restore, &["spec", "backupName"]).unwrap_or_default();
            let known = pass.get(BACKUPS, object::namespace(&restore), name);
            let fine = known
                .is_some_and(|backup| text(&backup, &["status", "phase"]) == Some("Completed"));
            let phase = if fine {
                "Completed"
            } else {
                "FailedValidation"
            };
            pass.adjust(RESTORES, &restore, |restore| {
                set(restore, &["status", "phase"], phase);
            });
        }
    }
}

fn server_works(pass: &Pass<'_>, object: &Value) -> bool {
    let server = pass.get("apps/deployments", object::namespace(object), "velero");
    server.is_some_and(|server| number(&server, &["status", "availableReplicas"]).unwrap_or(0) > 0)
}

fn finished(object: &Value) -> bool {
    matches!(
        text(object, &["status", "phase"]),
        Some("Completed" | "FailedValidation" | "Failed" | "PartiallyFailed")
    )
}

fn probe(pass: &mut Pass<'_>, location: &Object) {
    let available = text(location, &["status", "phase"]) == Some("Available");
    let generation = location["metadata"]["generation"].clone();
    // Probed when new, when changed, and again and again while it does not work.
    let lag = if text(location, &["status", "phase"]).is_some() {
        PROBE
    } else {
        NOTICE
    };
    let what = format!(
        "probe/{generation}/{}",
        text(location, &["status", "lastValidationTime"]).unwrap_or_default()
    );
    if !pass.due(&what, location, lag) || (available && lag == PROBE) {
        return;
    }
    let found = access(pass, location);
    let now = pass.server.now();
    pass.adjust(LOCATIONS, location, |location| {
        set(location, &["status", "lastValidationTime"], now.clone());
        match found {
            Ok(()) => {
                set(location, &["status", "phase"], "Available");
                set(location, &["status", "lastSyncedTime"], now);
                object::remove(location, &["status", "message"]);
            }
            Err(why) => {
                set(location, &["status", "phase"], "Unavailable");
                set(location, &["status", "message"], why);
            }
        }
    });
}

/// Whether the location's credential opens its bucket.
fn access(pass: &Pass<'_>, location: &Value) -> Result<(), String> {
    let string = |path: &[&str]| text(location, path).unwrap_or_default();
    let (name, key) = match text(location, &["spec", "credential", "name"]) {
        Some(name) => (
            name,
            text(location, &["spec", "credential", "key"]).unwrap_or("cloud"),
        ),
        None => ("cloud-credentials", "cloud"),
    };
    let secret = pass
        .get("/secrets", object::namespace(location), name)
        .ok_or_else(|| format!("unable to get credentials: secrets \"{name}\" not found"))?;
    let encoded = text(&secret, &["data", key]).ok_or_else(|| {
        format!("unable to get credentials: secret \"{name}\" has no key \"{key}\"")
    })?;
    let bytes = STANDARD
        .decode(encoded)
        .map_err(|error| format!("unable to get credentials: {error}"))?;
    let profile = text(location, &["spec", "config", "profile"]).unwrap_or("default");
    let (access_key, secret_key) = credentials(&String::from_utf8_lossy(&bytes), profile)?;
    let bucket = string(&["spec", "objectStorage", "bucket"]);
    if bucket.is_empty() {
        return Err("spec.objectStorage.bucket is empty".to_owned());
    }
    let check = pass
        .bucket_check
        .as_ref()
        .ok_or("no object store answers in this sandbox")?;
    check(
        bucket,
        string(&["spec", "config", "region"]),
        string(&["spec", "config", "s3Url"]),
        &access_key,
        &secret_key,
    )
}

/// The two keys of a profile in an AWS credentials file.
fn credentials(file: &str, profile: &str) -> Result<(String, String), String> {
    let (mut section, mut access, mut secret) = (String::new(), None, None);
    for line in file.lines().map(str::trim) {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            name.trim().clone_into(&mut section);
        } else if section == profile
            && let Some((key, value)) = line.split_once('=')
        {
            match key.trim() {
                "aws_access_key_id" => access = Some(value.trim().to_owned()),
                "aws_secret_access_key" => secret = Some(value.trim().to_owned()),
                _ => {}
            }
        }
    }
    match (access, secret) {
        (Some(access), Some(secret)) if !access.is_empty() && !secret.is_empty() => {
            Ok((access, secret))
        }
        _ => Err(format!(
            "the credentials file has no aws_access_key_id and aws_secret_access_key in [{profile}]"
        )),
    }
}

fn validate(pass: &Pass<'_>, schedule: &Object) {
    let wrong = cron_error(text(schedule, &["spec", "schedule"]).unwrap_or_default());
    pass.adjust(SCHEDULES, schedule, |schedule| match wrong {
        None => set(schedule, &["status", "phase"], "Enabled"),
        Some(why) => {
            set(schedule, &["status", "phase"], "FailedValidation");
            set(
                schedule,
                &["status", "validationErrors"],
                json!([format!("invalid schedule: {why}")]),
            );
        }
    });
}

/// Least and greatest value of minute, hour, day, month and weekday.
const RANGES: [(u32, u32); 5] = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)];

/// What is wrong with a cron expression of five fields, or a descriptor such as `@daily`.
fn cron_error(cron: &str) -> Option<String> {
    if let Some(name) = cron.strip_prefix('@') {
        let known = [
            "yearly", "annually", "monthly", "weekly", "daily", "midnight", "hourly",
        ];
        let every = name
            .strip_prefix("every ")
            .is_some_and(|span| !span.trim().is_empty());
        return (!known.contains(&name) && !every)
            .then(|| format!("unrecognized descriptor: {cron}"));
    }
    let fields: Vec<&str> = cron.split_whitespace().collect();
    if fields.len() != RANGES.len() {
        return Some(format!(
            "expected exactly 5 fields, found {}: {cron:?}",
            fields.len()
        ));
    }
    let names = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", "sun",
        "mon", "tue", "wed", "thu", "fri", "sat",
    ];
    let fits = |text: &str, (low, high): (u32, u32)| {
        names.contains(&text.to_lowercase().as_str())
            || text.parse::<u32>().is_ok_and(|n| (low..=high).contains(&n))
    };
    for (field, range) in fields.iter().zip(RANGES) {
        for part in field.split(',') {
            let (span, step) = part
                .split_once('/')
                .map_or((part, None), |(span, step)| (span, Some(step)));
            let step_fits = step.is_none_or(|step| step.parse::<u32>().is_ok_and(|n| n > 0));
            let span_fits = matches!(span, "*" | "?")
                || span.split_once('-').map_or_else(
                    || fits(span, range),
                    |(a, b)| fits(a, range) && fits(b, range),
                );
            if !step_fits || !span_fits {
                return Some(format!("failed to parse {part:?} in {cron:?}"));
            }
        }
    }
    None
}

fn back_up(pass: &mut Pass<'_>, backup: &Object) {
    let now = pass.server.now();
    match text(backup, &["status", "phase"]).unwrap_or("New") {
        "New" if pass.due("notice", backup, NOTICE) => {
            let place = text(backup, &["spec", "storageLocation"]).unwrap_or("default");
            let location = pass.get(LOCATIONS, object::namespace(backup), place);
            let open =
                location.is_some_and(|l| text(&l, &["status", "phase"]) == Some("Available"));
            let place = place.to_owned();
            pass.adjust(BACKUPS, backup, |backup| {
                set(backup, &["status", "version"], 1);
                set(backup, &["status", "formatVersion"], "1.1.0");
                if open {
                    set(backup, &["status", "phase"], "InProgress");
                    set(backup, &["status", "startTimestamp"], now);
                } else {
                    let why = format!("backup can't be created because BackupStorageLocation {place} is in Unavailable status");
                    set(backup, &["status", "phase"], "FailedValidation");
                    set(backup, &["status", "validationErrors"], json!([why]));
                }
            });
        }
        "InProgress" if pass.due("work", backup, WORK) => {
            pass.adjust(BACKUPS, backup, |backup| {
                set(backup, &["status", "phase"], "Completed");
                set(backup, &["status", "completionTimestamp"], now);
            });
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cron_expressions_are_checked() {
        for good in [
            "0 2 * * *",
            "*/15 0-6 1,15 jan-mar mon",
            "@daily",
            "@every 6h",
        ] {
            assert_eq!(cron_error(good), None, "{good}");
        }
        for bad in [
            "",
            "0 2 * *",
            "60 * * * *",
            "a * * * *",
            "*/0 * * * *",
            "@never",
            "0 2 * * * *",
        ] {
            assert!(cron_error(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn credentials_come_from_the_profile() {
        let file = "[other]\naws_access_key_id=x\n[default]\naws_access_key_id = a\naws_secret_access_key=b=c\n";
        assert_eq!(
            credentials(file, "default"),
            Ok(("a".to_owned(), "b=c".to_owned()))
        );
        assert!(credentials(file, "other").is_err());
        assert!(credentials("", "default").is_err());
    }
}
