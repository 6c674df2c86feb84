//! Conditions of requests: on what is read, on what is copied, on what is overwritten.

use s3s::dto::{ETagCondition, IfMatch, IfNoneMatch, Timestamp};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use super::buckets::Bucket;
use super::objects::to_dto;
use super::records::{Content, VersionRecord};

/// The conditions on an object, named as the headers.
#[expect(clippy::struct_field_names, reason = "the headers' names")]
pub(super) struct Conditions {
    pub if_match: Option<IfMatch>,
    pub if_none_match: Option<IfNoneMatch>,
    pub if_modified_since: Option<Timestamp>,
    pub if_unmodified_since: Option<Timestamp>,
}

/// Takes the conditions of a read out of its request.
macro_rules! read_conditions {
    ($input:ident) => {
        $crate::spaces::conditions::Conditions {
            if_match: $input.if_match.take(),
            if_none_match: $input.if_none_match.take(),
            if_modified_since: $input.if_modified_since.take(),
            if_unmodified_since: $input.if_unmodified_since.take(),
        }
    };
}
pub(super) use read_conditions;

/// Takes the conditions on a copy's source out of its request.
macro_rules! copy_conditions {
    ($input:ident) => {
        $crate::spaces::conditions::Conditions {
            if_match: $input.copy_source_if_match.take(),
            if_none_match: $input.copy_source_if_none_match.take(),
            if_modified_since: $input.copy_source_if_modified_since.take(),
            if_unmodified_since: $input.copy_source_if_unmodified_since.take(),
        }
    };
}
pub(super) use copy_conditions;

fn failed() -> S3Error {
    s3_error!(
        PreconditionFailed,
        "At least one of the preconditions you specified did not hold."
    )
}

impl Conditions {
    /// Whether the object is another one than the request speaks of.
    fn is_other(&self, version: &VersionRecord, content: &Content) -> bool {
        match &self.if_match {
            Some(ETagCondition::ETag(wanted)) => wanted.value() != content.etag,
            Some(ETagCondition::Any) => false,
            None => self
                .if_unmodified_since
                .as_ref()
                .is_some_and(|since| modified(version).as_ref() > Some(since)),
        }
    }

    /// Whether the request has this object already.
    fn is_known(&self, version: &VersionRecord, content: &Content) -> bool {
        match &self.if_none_match {
            Some(ETagCondition::ETag(known)) => known.value() == content.etag,
            Some(ETagCondition::Any) => true,
            None => self
                .if_modified_since
                .as_ref()
                .is_some_and(|since| modified(version).as_ref() <= Some(since)),
        }
    }

    /// Whether a read may go on: 412 when it is another object, 304 when it is known.
    pub(super) fn check_read(&self, version: &VersionRecord, content: &Content) -> S3Result<()> {
        if self.is_other(version, content) {
            return Err(failed());
        }
        if self.is_known(version, content) {
            let mut error = S3Error::new(S3ErrorCode::NotModified);
            error.set_status_code(http::StatusCode::NOT_MODIFIED);
            return Err(error);
        }
        Ok(())
    }

    /// Whether a copy may go on: 412 when not.
    pub(super) fn check_source(&self, version: &VersionRecord, content: &Content) -> S3Result<()> {
        if self.is_other(version, content) || self.is_known(version, content) {
            return Err(failed());
        }
        Ok(())
    }
}

/// HTTP dates have seconds.
fn modified(version: &VersionRecord) -> Option<Timestamp> {
    jiff::Timestamp::from_second(version.modified.as_second())
        .map(to_dto)
        .ok()
}

/// Whether a conditional write may go on.
pub(super) fn check_write(
    bucket: &Bucket,
    key: &str,
    if_none_match: Option<&IfNoneMatch>,
    if_match: Option<&IfMatch>,
) -> S3Result<()> {
    let current = bucket
        .current(key)
        .map(|(_, content)| content.etag.as_str());
    let exists = match (if_none_match, current) {
        (Some(ETagCondition::Any), Some(_)) => true,
        (Some(ETagCondition::ETag(unwanted)), Some(etag)) => unwanted.value() == etag,
        _ => false,
    };
    let differs = match (if_match, current) {
        (Some(_), None) => true,
        (Some(ETagCondition::ETag(wanted)), Some(etag)) => wanted.value() != etag,
        _ => false,
    };
    if exists || differs {
        return Err(failed());
    }
    Ok(())
}
