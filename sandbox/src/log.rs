//! The request log: one entry for each request that was answered, for whoever watches.
//!
//! No entry holds a body, a token or a signature.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Method, Uri};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::mpsc;

/// Query parameters whose value is a credential: whoever has such a link can use it.
const SECRET_PARAMETERS: &[&str] = &[
    "x-amz-signature",
    "x-amz-security-token",
    "signature",
    "x-amz-credential",
];

/// Which of the sandbox's services was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// DigitalOcean's API.
    Api,
    /// The object store.
    Spaces,
    /// A cluster's API server.
    Kubernetes,
    /// The artifact mirror.
    Mirror,
}

/// One request and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// When it was answered (real time, UTC).
    pub time: Timestamp,
    /// Who answered.
    pub service: Service,
    /// The request's method.
    pub method: String,
    /// Path and query as sent; credentials in the query are cut out.
    pub target: String,
    /// The answer's status; absent when the connection was closed instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Milliseconds (real time) until the answer began.
    pub millis: u64,
    /// The answer's `x-request-id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The faults that befell it, by kind.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<&'static str>,
    /// The scope its token lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_scope: Option<String>,
    /// How many entries before this one were lost because nobody took them.
    #[serde(skip_serializing_if = "is_zero")]
    pub lost: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.lost > 0 {
            write!(f, "({} lines lost) ", self.lost)?;
        }
        let service = match self.service {
            Service::Api => "api",
            Service::Spaces => "spaces",
            Service::Kubernetes => "kubernetes",
            Service::Mirror => "mirror",
        };
        write!(f, "{service:<10} {:<6} {} ", self.method, self.target)?;
        match self.status {
            Some(status) => write!(f, "{status}")?,
            None => f.write_str("closed")?,
        }
        write!(f, " {} ms", self.millis)?;
        if !self.faults.is_empty() {
            write!(f, " fault={}", self.faults.join("+"))?;
        }
        if let Some(scope) = &self.missing_scope {
            write!(f, " missing={scope}")?;
        }
        Ok(())
    }
}

/// Where entries go; clones lead to the same place.
#[derive(Clone, Debug)]
pub struct RequestLog {
    sender: mpsc::Sender<Entry>,
    lost: Arc<AtomicU64>,
}

impl RequestLog {
    /// A log that keeps at most `bound` entries until somebody takes them. Requests never wait for
    /// their log: what does not fit is counted in the next entry that does.
    pub fn bounded(bound: usize) -> (RequestLog, mpsc::Receiver<Entry>) {
        let (sender, receiver) = mpsc::channel(bound);
        let lost = Arc::default();
        (RequestLog { sender, lost }, receiver)
    }

    fn write(&self, mut entry: Entry) {
        match self.sender.try_reserve() {
            Ok(place) => {
                entry.lost = self.lost.swap(0, Ordering::Relaxed);
                place.send(entry);
            }
            Err(_full_or_closed) => drop(self.lost.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

/// A request that is being answered; finished, it becomes an entry where somebody watches.
#[derive(Debug)]
pub(crate) struct Asked(Option<Open>);

#[derive(Debug)]
struct Open {
    log: RequestLog,
    began: std::time::Instant,
    entry: Entry,
}

impl Asked {
    /// Without a log it costs nothing and says nothing.
    pub(crate) fn begin(
        log: Option<&RequestLog>,
        service: Service,
        method: &Method,
        uri: &Uri,
    ) -> Asked {
        Asked(log.map(|log| Open {
            log: log.clone(),
            began: std::time::Instant::now(),
            entry: Entry {
                time: Timestamp::UNIX_EPOCH,
                service,
                method: method.to_string(),
                target: target(uri),
                status: None,
                millis: 0,
                request_id: None,
                faults: Vec::new(),
                missing_scope: None,
                lost: 0,
            },
        }))
    }

    /// Names what befell the request.
    pub(crate) fn faults(&mut self, faults: Vec<&'static str>) {
        if let Some(open) = &mut self.0 {
            open.entry.faults = faults;
        }
    }

    /// The answer begins, or (`None`) the connection is closed.
    pub(crate) fn answered<B>(self, response: Option<&http::Response<B>>) {
        let Some(mut open) = self.0 else { return };
        let header = |name| {
            let value = response?.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        open.entry.request_id = header("x-request-id");
        open.entry.missing_scope = header(crate::http::MISSING_SCOPE);
        open.entry.status = response.map(|response| response.status().as_u16());
        open.entry.millis = millis(open.began.elapsed());
        open.entry.time = Timestamp::now();
        open.log.write(open.entry);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Path and query, without the values of parameters that are credentials.
fn target(uri: &Uri) -> String {
    let Some(query) = uri.query() else {
        return uri.path().to_owned();
    };
    let shown: Vec<String> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name, _)) if SECRET_PARAMETERS.contains(&&*name.to_ascii_lowercase()) => {
                format!("{name}=...")
            }
            _ => pair.to_owned(),
        })
        .collect();
    format!("{}?{}", uri.path(), shown.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(log: &RequestLog, uri: &str) {
        let asked = Asked::begin(
            Some(log),
            Service::Spaces,
            &Method::GET,
            &uri.parse().unwrap(),
        );
        asked.answered(Some(&http::Response::new(())));
    }

    #[test]
    fn links_lose_their_signature_and_keep_the_rest() {
        let (log, mut entries) = RequestLog::bounded(1);
        asked(
            &log,
            "/files/a?X-Amz-Signature=abc&list-type=2&X-Amz-Credential=DO1%2F",
        );
        let entry = entries.try_recv().unwrap();
        assert_eq!(
            entry.target,
            "/files/a?X-Amz-Signature=...&list-type=2&X-Amz-Credential=..."
        );
        assert_eq!(entry.status, Some(200));
    }

    #[test]
    fn nobody_waits_for_a_log_that_nobody_reads() {
        let (log, mut entries) = RequestLog::bounded(1);
        for _ in 0..4 {
            asked(&log, "/a");
        }
        assert_eq!(entries.try_recv().unwrap().lost, 0);
        asked(&log, "/b");
        let next = entries.try_recv().unwrap();
        assert_eq!((next.target.as_str(), next.lost), ("/b", 3));
        assert!(
            next.to_string().starts_with("(3 lines lost) spaces"),
            "{next}"
        );
    }
}
