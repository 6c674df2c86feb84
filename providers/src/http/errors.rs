//! What DigitalOcean's refusals mean, in the engine's terms.

use super::scopes::needed;
use super::transport::TransportError;
use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};
use kplan_model::{ErrorKind, ProviderError, Timestamp};
use serde::Deserialize;

/// Both forms of DigitalOcean's error bodies: `{"id","message","request_id"}` and the newer
/// `{"error","messages":[…],"root_causes":[…]}`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    id: Option<String>,
    message: Option<String>,
    request_id: Option<String>,
    error: Option<String>,
    messages: Option<Vec<String>>,
    root_causes: Option<Vec<String>>,
}

impl Body {
    fn text(&self) -> Option<String> {
        if let Some(message) = self.message.as_ref().filter(|text| !text.is_empty()) {
            return Some(message.clone());
        }
        let mut parts: Vec<&str> = Vec::new();
        parts.extend(self.error.as_deref());
        parts.extend(self.messages.iter().flatten().map(String::as_str));
        parts.extend(self.root_causes.iter().flatten().map(String::as_str));
        parts.dedup();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// What was asked, for messages and for telling a changing call from a reading one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
}

impl Asked<'_> {
    pub(super) fn reads(&self) -> bool {
        self.method == Method::GET || self.method == Method::HEAD
    }

    /// Method and path, without the query.
    pub(super) fn name(&self) -> String {
        let path = self.path.split('?').next().unwrap_or(self.path);
        format!("{} {path}", self.method)
    }
}

pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Seconds to wait after a 429: what `retry-after` says, else until the oldest request of the
/// hour expires.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<u32> {
    if let Some(seconds) = header(headers, "retry-after").and_then(|text| text.parse().ok()) {
        return Some(seconds);
    }
    let reset: i64 = header(headers, "ratelimit-reset")?.parse().ok()?;
    let left = Timestamp::from_seconds(reset).since(now).max(0);
    u32::try_from(left / 1000 + 1).ok()
}

/// The error that a refusal means.
pub(super) fn from_answer(
    asked: Asked<'_>,
    answer: &Response<Bytes>,
    now: Timestamp,
) -> ProviderError {
    let body: Body = serde_json::from_slice(answer.body()).unwrap_or_default();
    let status = answer.status();
    let said = body.text().unwrap_or_else(|| {
        let reason = status.canonical_reason().unwrap_or("no reason given");
        reason.to_owned()
    });
    let kind = kind(asked, status, &said);
    let failed = kind == ErrorKind::OutcomeUnknown || kind == ErrorKind::Transient;
    let how = if failed {
        "failed on the remote side"
    } else {
        "was refused"
    };
    let (name, number) = (asked.name(), status.as_u16());
    let mut error = ProviderError::new(kind, format!("{name} {how} with status {number}: {said}"));
    error.code = body.id.filter(|code| !code.is_empty());
    error.request_id = body
        .request_id
        .or_else(|| header(answer.headers(), "x-request-id").map(str::to_owned));
    if status == StatusCode::TOO_MANY_REQUESTS {
        error.retry_after = retry_after(answer.headers(), now);
    }
    error.help = help(asked, kind, status, &said);
    error
}

/// The error that a missing answer means.
pub(super) fn from_transport(asked: Asked<'_>, error: &TransportError) -> ProviderError {
    let kind = match error {
        TransportError::NotSent(_) => ErrorKind::Transient,
        TransportError::Lost(_) if asked.reads() => ErrorKind::Transient,
        TransportError::Lost(_) => ErrorKind::OutcomeUnknown,
    };
    let mut mapped = ProviderError::new(kind, format!("{}: {error}", asked.name()));
    if kind == ErrorKind::Transient {
        mapped.help = Some(UNREACHED.to_owned());
    }
    mapped
}

fn kind(asked: Asked<'_>, status: StatusCode, said: &str) -> ErrorKind {
    let said = said.to_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| said.contains(word));
    match status.as_u16() {
        404 | 410 => ErrorKind::NotFound,
        429 => ErrorKind::Throttled,
        // A VPC that still has members is refused with 403 or 409; the default VPC of a region
        // is refused with 403 for ever.
        403 if asked.path.starts_with("/v2/vpcs/") && any(&["default"]) => ErrorKind::Invalid,
        403 if asked.path.starts_with("/v2/vpcs/") && any(&["member", "resource", "in use"]) => {
            ErrorKind::Busy
        }
        401 | 403 => ErrorKind::Denied,
        409 | 422 if any(&EXISTS) => ErrorKind::Exists,
        409 | 412 | 423 => ErrorKind::Busy,
        422 if any(&BUSY) => ErrorKind::Busy,
        408 | 500..=599 if asked.reads() => ErrorKind::Transient,
        408 | 500 | 502..=599 => ErrorKind::OutcomeUnknown,
        // 501 says that the call is not known there: nothing happened.
        _ => ErrorKind::Invalid,
    }
}

/// How refusals of a second thing of one identity read.
const EXISTS: [&str; 5] = [
    "already exists",
    "already in use",
    "already been taken",
    "already taken",
    "must be unique",
];

/// How refusals read that pass by themselves: an event in progress on a droplet, a database that
/// is not online yet, a volume that is being moved.
const BUSY: [&str; 8] = [
    "pending event",
    "event in progress",
    "currently being",
    "currently locked",
    "try again",
    "not online",
    "is not ready",
    "still in use",
];

fn help(asked: Asked<'_>, kind: ErrorKind, status: StatusCode, said: &str) -> Option<String> {
    let text = match kind {
        ErrorKind::Denied if status == StatusCode::UNAUTHORIZED => {
            "the DigitalOcean token is wrong, expired or revoked: make a new one".to_owned()
        }
        ErrorKind::Denied => match scope(said).map(str::to_owned).or_else(|| needed(asked)) {
            Some(scope) => format!("give the DigitalOcean token the scope `{scope}`"),
            None => "the DigitalOcean token lacks a scope that this call needs".to_owned(),
        },
        ErrorKind::Exists => "something with this name exists already and is not in the state: \
                              choose another name, or remove it where nothing needs it"
            .to_owned(),
        ErrorKind::Invalid => "nothing was changed by it: change in the file what DigitalOcean \
                               does not take, then run this again"
            .to_owned(),
        ErrorKind::Throttled => "one token has 250 requests a minute and 5,000 an hour: run this \
                                 again later, or give what else uses the token one of its own"
            .to_owned(),
        ErrorKind::Transient => TROUBLE.to_owned(),
        ErrorKind::Busy => "something is still going on there, or still uses it: run this again \
                            when that is over"
            .to_owned(),
        ErrorKind::NotFound if asked.reads() => "is that DigitalOcean's API? \
                                                 DIGITALOCEAN_API_URL says where it is"
            .to_owned(),
        ErrorKind::NotFound => "what it is about was removed meanwhile: run this again, and the \
                                plan shows what is missing"
            .to_owned(),
        _ => return None,
    };
    Some(text)
}

/// The remote side, not what was asked of it, is the reason.
const TROUBLE: &str = "nothing was changed by it; DigitalOcean has trouble (see \
                       https://status.digitalocean.com): run this again later";

/// Nobody was reached.
const UNREACHED: &str = "nothing was changed by it; is there a network, a proxy or a firewall in \
                         between? Then run this again";

/// The scope a message names, such as `droplet:create`.
fn scope(said: &str) -> Option<&str> {
    let word =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    said.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
        .find(|token| {
            token
                .split_once(':')
                .is_some_and(|(a, b)| word(a) && word(b))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(method: Method, path: &str, status: u16, body: &str) -> ProviderError {
        let mut answer = Response::new(Bytes::copy_from_slice(body.as_bytes()));
        *answer.status_mut() = StatusCode::from_u16(status).unwrap();
        answer
            .headers_mut()
            .insert("x-request-id", "from-header".parse().unwrap());
        let asked = Asked {
            method: &method,
            path,
        };
        from_answer(asked, &answer, Timestamp::from_seconds(1000))
    }

    #[test]
    fn both_forms_of_bodies_are_read() {
        let old = refused(
            Method::POST,
            "/v2/droplets",
            422,
            r#"{"id":"unprocessable_entity","message":"Name is invalid","request_id":"r1"}"#,
        );
        assert_eq!(
            old.to_string(),
            "POST /v2/droplets was refused with status 422: Name is invalid (unprocessable_entity, \
             request r1)"
        );
        let new = refused(
            Method::GET,
            "/v2/x?page=1",
            400,
            r#"{"error":"bad","messages":["no such page"],"root_causes":[]}"#,
        );
        assert_eq!(
            new.to_string(),
            "GET /v2/x was refused with status 400: bad; no such page (request from-header)"
        );
        let none = refused(Method::GET, "/v2/x", 503, "<html>");
        assert!(none.message.contains("status 503"), "{none}");
    }

    #[test]
    fn kinds_follow_the_retry_table() {
        use ErrorKind as K;
        let table = [
            ("GET /v2/droplets/1", 404, "gone", K::NotFound),
            ("GET /v2/droplets/1", 500, "oops", K::Transient),
            ("POST /v2/droplets", 500, "oops", K::OutcomeUnknown),
            ("POST /v2/droplets", 504, "oops", K::OutcomeUnknown),
            ("PUT /v2/firewalls/1", 502, "oops", K::OutcomeUnknown),
            ("POST /v2/kubernetes", 501, "not simulated", K::Invalid),
            ("POST /v2/droplets", 429, "slow", K::Throttled),
            ("POST /v2/d", 422, "has a pending event.", K::Busy),
            ("POST /v2/d", 422, "Size is not available", K::Invalid),
            ("POST /v2/keys", 422, "is already in use", K::Exists),
            ("DELETE /v2/vpcs/1", 403, "VPC with members", K::Busy),
            ("DELETE /v2/vpcs/1", 409, "VPC has resources", K::Busy),
            ("DELETE /v2/vpcs/1", 403, "default VPCs stay", K::Invalid),
            ("DELETE /v2/projects/1", 412, "has resources", K::Busy),
            ("GET /v2/droplets", 401, "Unable to do that", K::Denied),
        ];
        for (call, status, text, kind) in table {
            let (method, path) = call.split_once(' ').unwrap();
            let method: Method = method.parse().unwrap();
            let body = format!(r#"{{"id":"x","message":"{text}"}}"#);
            let error = refused(method, path, status, &body);
            assert_eq!(error.kind, kind, "{call}: {status} {text}");
        }
    }

    /// Those that are waited for too long, or happen too seldom, for `tests/it/failures.txt`.
    #[test]
    fn what_is_gone_or_in_use_is_told_with_a_remedy() {
        let told = |method: Method, path: &str, status: u16, text: &str| {
            let body = format!(r#"{{"id":"x","message":"{text}","request_id":"r1"}}"#);
            let error = refused(method, path, status, &body);
            format!("{error}; {}", error.help.as_deref().unwrap_or_default())
        };
        assert_eq!(
            told(
                Method::DELETE,
                "/v2/vpcs/1",
                409,
                "Can not delete VPC with members"
            ),
            "DELETE /v2/vpcs/1 was refused with status 409: Can not delete VPC with members (x, \
             request r1); something is still going on there, or still uses it: run this again when \
             that is over"
        );
        assert_eq!(
            told(
                Method::POST,
                "/v2/volumes",
                409,
                "a volume of that name already exists"
            ),
            "POST /v2/volumes was refused with status 409: a volume of that name already exists (x, \
             request r1); something with this name exists already and is not in the state: choose \
             another name, or remove it where nothing needs it"
        );
        assert_eq!(
            told(Method::PUT, "/v2/firewalls/1", 404, "not there"),
            "PUT /v2/firewalls/1 was refused with status 404: not there (x, request r1); what it is \
             about was removed meanwhile: run this again, and the plan shows what is missing"
        );
    }

    #[test]
    fn a_missing_scope_is_named() {
        let error = refused(
            Method::POST,
            "/v2/droplets",
            403,
            r#"{"id":"forbidden","message":"You are missing the required permission droplet:create."}"#,
        );
        assert_eq!(error.kind, ErrorKind::Denied);
        assert_eq!(
            error.help.as_deref(),
            Some("give the DigitalOcean token the scope `droplet:create`")
        );
    }

    #[test]
    fn waits_come_from_either_header() {
        let mut headers = HeaderMap::new();
        headers.insert("ratelimit-reset", "1009".parse().unwrap());
        assert_eq!(
            retry_after(&headers, Timestamp::from_seconds(1000)),
            Some(10)
        );
        headers.insert("retry-after", "3".parse().unwrap());
        assert_eq!(
            retry_after(&headers, Timestamp::from_seconds(1000)),
            Some(3)
        );
    }
}
