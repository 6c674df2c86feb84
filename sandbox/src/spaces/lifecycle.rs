//! Lifecycle rules: validated when set, carried out when the bucket is next used.
//!
//! Spaces expires objects by age and removes unfinished multipart uploads; it has no storage
//! classes to move to, and no tags. Ages count on the sandbox's clock, which is not scaled.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use s3s::dto::{self, BucketLifecycleConfiguration, ExpirationStatus, LifecycleRule};
use s3s::{S3Result, s3_error};

use super::buckets::{Bucket, Change};
use super::presigned::sha256_hex;
use super::records::VersionRecord;

/// Most rules a bucket can have.
const MAX_RULES: usize = 1000;

/// Names the rules that came without an id, as S3 does.
pub(super) fn named(
    mut configuration: BucketLifecycleConfiguration,
) -> BucketLifecycleConfiguration {
    for (at, rule) in configuration.rules.iter_mut().enumerate() {
        if rule.id.as_ref().is_none_or(String::is_empty) {
            let seed = format!("{at}/{:?}/{:?}", rule.filter, rule.prefix);
            rule.id = Some(sha256_hex(seed.as_bytes())[..48].to_owned());
        }
    }
    configuration
}

/// Refuses what Spaces refuses.
pub(super) fn validate(rules: &[LifecycleRule]) -> S3Result<()> {
    if rules.is_empty() || rules.len() > MAX_RULES {
        return Err(s3_error!(
            MalformedXML,
            "a lifecycle configuration has 1 to {MAX_RULES} rules"
        ));
    }
    let mut ids = BTreeSet::new();
    for rule in rules {
        if let Some(id) = &rule.id
            && (id.len() > 255 || !ids.insert(id))
        {
            return Err(s3_error!(
                InvalidArgument,
                "rule ids are unique and at most 255 characters; {id:?} is not"
            ));
        }
        validate_rule(rule)?;
    }
    Ok(())
}

fn validate_rule(rule: &LifecycleRule) -> S3Result<()> {
    let status = rule.status.as_str();
    if status != ExpirationStatus::ENABLED && status != ExpirationStatus::DISABLED {
        return Err(s3_error!(
            MalformedXML,
            "a rule's Status is Enabled or Disabled, not {status:?}"
        ));
    }
    if rule.transitions.is_some() || rule.noncurrent_version_transitions.is_some() {
        return Err(s3_error!(
            NotImplemented,
            "Spaces has no storage classes to move objects to"
        ));
    }
    if let Some(filter) = &rule.filter {
        let sized =
            filter.object_size_greater_than.is_some() || filter.object_size_less_than.is_some();
        if filter.tag.is_some() || filter.and.is_some() || sized {
            return Err(s3_error!(
                NotImplemented,
                "Spaces filters lifecycle rules by prefix only, not by tag or size"
            ));
        }
        if rule.prefix.is_some() && filter.prefix.is_some() {
            return Err(s3_error!(
                MalformedXML,
                "a rule has a Prefix or a Filter, not both"
            ));
        }
    }
    let expiration = rule.expiration.as_ref();
    let actions = expiration.is_some()
        || rule.noncurrent_version_expiration.is_some()
        || rule.abort_incomplete_multipart_upload.is_some();
    if !actions {
        return Err(s3_error!(
            InvalidRequest,
            "a rule needs at least one action"
        ));
    }
    if let Some(expiration) = expiration {
        let kinds = usize::from(expiration.days.is_some())
            + usize::from(expiration.date.is_some())
            + usize::from(expiration.expired_object_delete_marker.is_some());
        if kinds != 1 {
            return Err(s3_error!(
                MalformedXML,
                "Expiration has exactly one of Days, Date, ExpiredObjectDeleteMarker"
            ));
        }
    }
    let days = [
        expiration.and_then(|e| e.days),
        rule.noncurrent_version_expiration
            .as_ref()
            .and_then(|e| e.noncurrent_days),
        rule.abort_incomplete_multipart_upload
            .as_ref()
            .and_then(|a| a.days_after_initiation),
    ];
    if days.into_iter().flatten().any(|days| days < 1) {
        return Err(s3_error!(InvalidArgument, "a number of days is at least 1"));
    }
    Ok(())
}

/// What an enabled rule says, in terms of time.
struct Ages {
    prefix: String,
    days: Option<SignedDuration>,
    date: Option<Timestamp>,
    lone_markers: bool,
    noncurrent: Option<SignedDuration>,
    /// How many noncurrent versions stay whatever their age.
    spared: usize,
    uploads: Option<SignedDuration>,
}

fn days(count: Option<i32>) -> Option<SignedDuration> {
    count.map(|count| SignedDuration::from_hours(24 * i64::from(count)))
}

fn ages(rule: &LifecycleRule) -> Option<Ages> {
    let filter = rule
        .filter
        .as_ref()
        .and_then(|filter| filter.prefix.clone());
    let expiration = rule.expiration.as_ref();
    (rule.status.as_str() == ExpirationStatus::ENABLED).then(|| Ages {
        prefix: rule.prefix.clone().or(filter).unwrap_or_default(),
        days: days(expiration.and_then(|e| e.days)),
        date: expiration.and_then(|e| e.date.clone()).and_then(to_jiff),
        lone_markers: expiration.and_then(|e| e.expired_object_delete_marker) == Some(true),
        noncurrent: days(
            rule.noncurrent_version_expiration
                .as_ref()
                .and_then(|e| e.noncurrent_days),
        ),
        spared: rule
            .noncurrent_version_expiration
            .as_ref()
            .and_then(|e| e.newer_noncurrent_versions)
            .and_then(|count| usize::try_from(count).ok())
            .unwrap_or(0),
        uploads: days(
            rule.abort_incomplete_multipart_upload
                .as_ref()
                .and_then(|a| a.days_after_initiation),
        ),
    })
}

fn to_jiff(timestamp: dto::Timestamp) -> Option<Timestamp> {
    let mut text = Vec::new();
    timestamp
        .format(dto::TimestampFormat::DateTime, &mut text)
        .ok()?;
    std::str::from_utf8(&text).ok()?.parse().ok()
}

/// Carries out the rules of a bucket at this moment.
pub(super) fn expire(bucket: &mut Bucket, change: &mut Change<'_>) {
    let rules: Vec<Ages> = bucket
        .record
        .lifecycle
        .iter()
        .flat_map(|lifecycle| &lifecycle.rules)
        .filter_map(ages)
        .collect();
    for rule in rules {
        let late = |since: Timestamp, age: Option<SignedDuration>| {
            age.is_some_and(|age| change.now.duration_since(since) >= age)
        };
        let stale: Vec<String> = bucket
            .uploads
            .values()
            .filter(|upload| {
                upload.key.starts_with(&rule.prefix) && late(upload.initiated, rule.uploads)
            })
            .map(|upload| upload.id.clone())
            .collect();
        let past = rule.date.is_some_and(|date| change.now >= date);
        let (mut expired, mut removed) = (Vec::new(), Vec::new());
        for (key, versions) in bucket
            .keys
            .range(rule.prefix.clone()..)
            .take_while(|(k, _)| k.starts_with(&rule.prefix))
        {
            if let Some(last) = versions.last()
                && last.content.is_some()
                && (past || late(last.modified, rule.days))
            {
                expired.push(key.clone());
            }
            let late = |since| late(since, rule.noncurrent);
            removed.extend(noncurrent(versions, rule.spared, late));
            if let [only] = versions.as_slice()
                && only.content.is_none()
                && rule.lone_markers
            {
                removed.push((key.clone(), only.version_id.clone()));
            }
        }
        for id in stale {
            bucket.remove_upload(change, &id);
        }
        for key in expired {
            // A marker that cannot be recorded now is tried again at the next use of the bucket.
            drop(bucket.delete(change, &key));
        }
        for (key, version) in removed {
            bucket.remove_version(change, &key, &version);
        }
    }
}

/// Versions that were replaced long enough ago, except the newest of them that are spared: the age
/// counts from their successor's birth.
fn noncurrent(
    versions: &[VersionRecord],
    spared: usize,
    late: impl Fn(Timestamp) -> bool,
) -> Vec<(String, String)> {
    let pairs = versions.iter().zip(versions.iter().skip(1));
    let count = versions.len().saturating_sub(1 + spared);
    pairs
        .take(count)
        .filter(|(_, successor)| late(successor.modified))
        .map(|(version, _)| (version.key.clone(), version.version_id.clone()))
        .collect()
}
