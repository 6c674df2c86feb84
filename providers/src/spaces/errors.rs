//! What refusals of S3 mean, in the engine's terms.

use crate::http::TransportError;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use kplan_model::{ErrorKind, ProviderError};
use std::error::Error;

/// What a call does, for telling what a lost answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Does {
    /// It reads.
    Read,
    /// It changes something, and doing it again changes nothing more.
    Write,
}

/// The error that an S3 error means. `what` names call and bucket.
pub(super) fn map<E>(what: &str, does: Does, error: SdkError<E, HttpResponse>) -> ProviderError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let SdkError::ServiceError(refusal) = &error else {
        return no_answer(what, does, &error);
    };
    let status = refusal.raw().status().as_u16();
    let code = refusal.err().code().map(str::to_owned);
    let said = refusal
        .err()
        .message()
        .map_or_else(|| format!("status {status}"), str::to_owned);
    let kind = kind(code.as_deref().unwrap_or_default(), status, does);
    let mut mapped = ProviderError::new(kind, format!("{what} was refused: {said}"));
    mapped.request_id = refusal
        .raw()
        .headers()
        .get("x-amz-request-id")
        .map(str::to_owned);
    mapped.help = help(kind, code.as_deref()).map(str::to_owned);
    mapped.code = code;
    mapped
}

fn no_answer<E>(what: &str, does: Does, error: &SdkError<E, HttpResponse>) -> ProviderError
where
    E: Error + Send + Sync + 'static,
{
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(transport) = cause.downcast_ref::<TransportError>() {
            let kind = match transport {
                TransportError::NotSent(_) => ErrorKind::Transient,
                TransportError::Lost(_) => lost(does),
            };
            return ProviderError::new(kind, format!("{what}: {transport}"));
        }
        source = cause.source();
    }
    let kind = match error {
        SdkError::ConstructionFailure(_) => ErrorKind::Bug,
        _ => lost(does),
    };
    ProviderError::new(kind, format!("{what} failed: {}", chain(error)))
}

/// An error with its causes. S3 errors quote no secret: keys only go into signatures.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn lost(does: Does) -> ErrorKind {
    match does {
        Does::Read => ErrorKind::Transient,
        Does::Write => ErrorKind::OutcomeUnknown,
    }
}

fn kind(code: &str, status: u16, does: Does) -> ErrorKind {
    match (code, status) {
        ("NoSuchBucket" | "NoSuchKey" | "NoSuchVersion" | "NotFound" | "NoSuchUpload", _) => {
            ErrorKind::NotFound
        }
        ("BucketAlreadyExists" | "BucketAlreadyOwnedByYou" | "PreconditionFailed", _) => {
            ErrorKind::Exists
        }
        ("BucketNotEmpty" | "NotImplemented", _) => ErrorKind::Invalid,
        // A bucket settles for minutes after it was made, and so does a key.
        ("OperationAborted" | "ConditionalRequestConflict", _) => ErrorKind::Busy,
        ("InvalidAccessKeyId", _) if does == Does::Write => ErrorKind::Busy,
        ("SlowDown" | "RequestLimitExceeded", _) | (_, 429) => ErrorKind::Throttled,
        (_, 401 | 403) => ErrorKind::Denied,
        (_, 404) => ErrorKind::NotFound,
        (_, 412) => ErrorKind::Exists,
        (_, 409) => ErrorKind::Busy,
        (_, 500..=599) => lost(does),
        _ => ErrorKind::Invalid,
    }
}

fn help(kind: ErrorKind, code: Option<&str>) -> Option<&'static str> {
    match (kind, code) {
        (ErrorKind::Exists, Some("BucketAlreadyExists")) => Some(
            "bucket names are shared by everybody, and the name of a deleted bucket stays taken \
             for a week or more: choose another",
        ),
        (ErrorKind::Exists, Some("BucketAlreadyOwnedByYou")) => Some(
            "a bucket of yours has this name, in this region or another one: choose another name; \
             nothing in that bucket was touched",
        ),
        (ErrorKind::Invalid, Some("BucketNotEmpty")) => {
            Some("empty it first, or set `force_destroy` and apply before destroying it")
        }
        (ErrorKind::Denied, Some("RequestTimeTooSkewed")) => {
            Some("this machine's clock is wrong by more than 15 minutes")
        }
        (ErrorKind::Denied, _) => Some("the Spaces key does not exist any more or may not do this"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_say_what_to_do() {
        use ErrorKind as K;
        for (code, status, does, wanted) in [
            ("NoSuchBucket", 404, Does::Write, K::NotFound),
            ("", 404, Does::Read, K::NotFound),
            ("BucketAlreadyOwnedByYou", 409, Does::Write, K::Exists),
            ("OperationAborted", 409, Does::Write, K::Busy),
            ("BucketNotEmpty", 409, Does::Write, K::Invalid),
            ("SlowDown", 503, Does::Write, K::Throttled),
            ("InvalidAccessKeyId", 403, Does::Read, K::Denied),
            ("InvalidAccessKeyId", 403, Does::Write, K::Busy),
            ("InternalError", 500, Does::Read, K::Transient),
            ("InternalError", 500, Does::Write, K::OutcomeUnknown),
            ("", 412, Does::Write, K::Exists),
        ] {
            assert_eq!(kind(code, status, does), wanted, "{code} {status}");
        }
    }
}
