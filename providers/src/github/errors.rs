//! What GitHub's refusals mean, and what to do about them.

use crate::http::{TransportError, header};
use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};
use kplan_model::{ErrorKind, ProviderError, Timestamp};
use serde::Deserialize;

/// What GitHub asks to wait where it refuses for its rate limit and names no time.
const UNNAMED_WAIT: u32 = 60;

/// `{"message", "errors": [{"resource", "field", "code", "message"}], "documentation_url"}`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    message: Option<String>,
    errors: Vec<Detail>,
}

/// One of its errors. Some endpoints list bare sentences instead of objects.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Detail {
    Said(String),
    Field {
        #[serde(default)]
        field: Option<String>,
        #[serde(default)]
        code: Option<String>,
        #[serde(default)]
        message: Option<String>,
    },
}

impl Detail {
    fn text(&self) -> Option<String> {
        match self {
            Self::Said(text) => Some(text.clone()),
            Self::Field {
                message: Some(message),
                ..
            } => Some(message.clone()),
            Self::Field {
                field: Some(field),
                code: Some(code),
                ..
            } => Some(format!("{field}: {code}")),
            Self::Field { .. } => None,
        }
    }
}

/// What was asked, for messages and for telling a changing call from a reading one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// The method.
    pub(super) method: &'a Method,
    /// The path, without the query.
    pub(super) path: &'a str,
    /// Whether it changes nothing.
    pub(super) reads: bool,
}

impl Asked<'_> {
    /// Method and path.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// The error that a refusal means.
pub(super) fn from_answer(
    asked: Asked<'_>,
    answer: &Response<Bytes>,
    now: Timestamp,
) -> ProviderError {
    let body: Body = serde_json::from_slice(answer.body()).unwrap_or_default();
    let status = answer.status();
    let reason = status.canonical_reason().unwrap_or("no reason given");
    let mut said = body.message.unwrap_or_else(|| reason.to_owned());
    let details: Vec<String> = body.errors.iter().filter_map(Detail::text).collect();
    if !details.is_empty() {
        said = format!("{said}: {}", details.join("; "));
    }
    let wait = throttled(status, answer.headers(), &said, now);
    let kind = match status.as_u16() {
        _ if wait.is_some() => ErrorKind::Throttled,
        401 | 403 => ErrorKind::Denied,
        404 | 410 => ErrorKind::NotFound,
        408 | 500..=599 if asked.reads => ErrorKind::Transient,
        408 | 500..=599 => ErrorKind::OutcomeUnknown,
        _ => ErrorKind::Invalid,
    };
    let failed = matches!(kind, ErrorKind::Transient | ErrorKind::OutcomeUnknown);
    let how = if failed {
        "failed at"
    } else {
        "was refused by"
    };
    let name = asked.name();
    let message = format!(
        "{name} {how} GitHub with status {}: {said}",
        status.as_u16()
    );
    let mut error = ProviderError::new(kind, message);
    error.request_id = header(answer.headers(), "x-github-request-id").map(str::to_owned);
    error.retry_after = wait;
    error.help = Some(help(kind, status, &said).to_owned());
    error
}

/// The error that a missing answer means.
pub(super) fn from_transport(asked: Asked<'_>, error: &TransportError) -> ProviderError {
    let kind = match error {
        TransportError::Lost(_) if !asked.reads => ErrorKind::OutcomeUnknown,
        TransportError::NotSent(_) | TransportError::Lost(_) => ErrorKind::Transient,
    };
    let help = if kind == ErrorKind::OutcomeUnknown {
        UNKNOWN
    } else {
        "is there a network, a proxy or a firewall in between, and is GITHUB_API_URL GitHub's? Then \
         run this again"
    };
    ProviderError::new(kind, format!("{} at GitHub: {error}", asked.name())).help(help)
}

/// Seconds to wait, where it is refused for the rate limit: the hour's own, or one of those that
/// GitHub calls secondary. Both come with 403 or 429.
fn throttled(status: StatusCode, headers: &HeaderMap, said: &str, now: Timestamp) -> Option<u32> {
    let refused = status == StatusCode::FORBIDDEN || status == StatusCode::TOO_MANY_REQUESTS;
    let seconds = header(headers, "retry-after").and_then(|text| text.parse().ok());
    let spent = header(headers, "x-ratelimit-remaining") == Some("0");
    let named = said.to_lowercase().contains("rate limit");
    if !refused || !(status != StatusCode::FORBIDDEN || seconds.is_some() || spent || named) {
        return None;
    }
    let reset = || {
        let reset: i64 = header(headers, "x-ratelimit-reset")?.parse().ok()?;
        let left = Timestamp::from_seconds(reset).since(now).max(0);
        u32::try_from(left / 1000 + 1).ok()
    };
    let until = if spent { reset() } else { None };
    Some(seconds.or(until).unwrap_or(UNNAMED_WAIT))
}

const UNKNOWN: &str = "nobody knows whether the comment was written: run this again, it looks first \
                       and never writes a second one";

fn help(kind: ErrorKind, status: StatusCode, said: &str) -> &'static str {
    let said = said.to_lowercase();
    match kind {
        ErrorKind::Denied if status == StatusCode::UNAUTHORIZED => {
            "GITHUB_TOKEN (or GH_TOKEN) is wrong, expired or revoked: make a new one, or in a \
             workflow pass `GITHUB_TOKEN: ${{ github.token }}` in the step's `env`"
        }
        ErrorKind::Denied if said.contains("locked") => {
            "the conversation of this pull request is locked: unlock it, or leave the comment out"
        }
        ErrorKind::Denied => {
            "the token may not write comments there: give the workflow's job `permissions: \
             pull-requests: write`, another token the permission to write pull requests. For a pull \
             request from a fork the workflow's token only reads, whatever it is given: leave the \
             comment out there"
        }
        ErrorKind::NotFound => {
            "is there such a repository and such a pull request, and may the token read it? GitHub \
             says of a private repository that a token may not read that there is none"
        }
        ErrorKind::Throttled => {
            "nothing was changed by it: run this again later; a workflow's token has 1,000 requests \
             an hour for each repository"
        }
        ErrorKind::Transient => {
            "nothing was changed by it; GitHub has trouble (see https://www.githubstatus.com): run \
             this again later"
        }
        ErrorKind::OutcomeUnknown => UNKNOWN,
        _ if status.is_redirection() => {
            "the repository was moved or renamed: name it as it is called now (--repo)"
        }
        _ if said.contains("too long") => "make it shorter: --max-bytes",
        _ => "nothing was changed by it; is GITHUB_API_URL GitHub's?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Headers<'a> = &'a [(&'a str, &'a str)];

    fn refused(reads: bool, status: u16, headers: Headers<'_>, body: &str) -> ProviderError {
        let mut answer = Response::builder().status(status);
        for (name, value) in headers {
            answer = answer.header(*name, *value);
        }
        let answer = answer.body(Bytes::copy_from_slice(body.as_bytes()));
        let asked = Asked {
            method: if reads { &Method::GET } else { &Method::POST },
            path: "/repos/o/r/issues/7/comments",
            reads,
        };
        from_answer(asked, &answer.unwrap(), Timestamp::from_seconds(1000))
    }

    #[test]
    fn what_was_said_of_fields_is_told() {
        let error = refused(
            false,
            422,
            &[("x-github-request-id", "ABCD:1")],
            r#"{"message":"Validation Failed","errors":[{"resource":"IssueComment","code":"unprocessable","field":"data","message":"Body is too long (maximum is 65536 characters)"},{"field":"body","code":"missing_field"},"and more"],"documentation_url":"https://docs.github.com","status":"422"}"#,
        );
        assert_eq!(
            error.to_string(),
            "POST /repos/o/r/issues/7/comments was refused by GitHub with status 422: Validation \
             Failed: Body is too long (maximum is 65536 characters); body: missing_field; and more \
             (request ABCD:1)"
        );
        assert_eq!(error.help.as_deref(), Some("make it shorter: --max-bytes"));
    }

    #[test]
    fn a_refusal_for_a_rate_limit_is_told_from_one_for_want_of_permission() {
        let body = |text: &str| format!(r#"{{"message":"{text}"}}"#);
        let table: [(u16, Headers<'_>, &str, Option<u32>); 7] = [
            (403, &[], "Resource not accessible by integration", None),
            (403, &[("x-ratelimit-remaining", "12")], "no", None),
            (403, &[("retry-after", "7")], "slow down", Some(7)),
            (429, &[("retry-after", "7")], "slow down", Some(7)),
            (
                403,
                &[],
                "You have exceeded a secondary rate limit.",
                Some(60),
            ),
            (429, &[], "", Some(60)),
            (
                403,
                &[
                    ("x-ratelimit-remaining", "0"),
                    ("x-ratelimit-reset", "1009"),
                ],
                "API rate limit exceeded for installation ID 1.",
                Some(10),
            ),
        ];
        for (status, headers, said, wait) in table {
            let error = refused(false, status, headers, &body(said));
            assert_eq!(error.retry_after, wait, "{status} {headers:?} {said}");
            let throttled = error.kind == ErrorKind::Throttled;
            assert_eq!(throttled, wait.is_some(), "{status} {headers:?} {said}");
        }
    }

    #[test]
    fn kinds_and_remedies_follow_the_status() {
        use ErrorKind as K;
        let table = [
            (
                true,
                401,
                "Bad credentials",
                K::Denied,
                "wrong, expired or revoked",
            ),
            (
                false,
                403,
                "Resource not accessible by integration",
                K::Denied,
                "pull-requests: write",
            ),
            (
                false,
                403,
                "Unable to create comment because issue is locked.",
                K::Denied,
                "locked",
            ),
            (true, 404, "Not Found", K::NotFound, "may the token read it"),
            (
                true,
                301,
                "Moved Permanently",
                K::Invalid,
                "moved or renamed",
            ),
            (true, 502, "<html>", K::Transient, "githubstatus"),
            (false, 502, "<html>", K::OutcomeUnknown, "looks first"),
            (
                false,
                400,
                "Problems parsing JSON",
                K::Invalid,
                "GITHUB_API_URL",
            ),
        ];
        for (reads, status, said, kind, help) in table {
            let error = refused(reads, status, &[], &format!(r#"{{"message":"{said}"}}"#));
            assert_eq!(error.kind, kind, "{status} {said}");
            let told = error.help.unwrap_or_default();
            assert!(told.contains(help), "{status} {said}: {told}");
        }
    }
}
