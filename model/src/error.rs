//! `ProviderError`: why a remote call did not do what was asked, in terms the engine can act on.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// What the engine may do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The resource is not there (404).
    NotFound,
    /// The remote side is busy with it or holds something against it (409, 412, 422 pending
    /// event, members in a VPC): worth trying again for a while.
    Busy,
    /// Too many requests (429).
    Throttled,
    /// Nothing was changed and trying again may help (connect error, 5xx on a read).
    Transient,
    /// A changing call whose outcome is not known: look before doing anything else.
    OutcomeUnknown,
    /// Not authenticated or not allowed (401, 403).
    Denied,
    /// The remote side refuses the request for good (422, quota, unknown slug).
    Invalid,
    /// Something with this identity exists already and is not ours.
    Exists,
    /// The remote side reports that the resource failed (load balancer `errored`).
    Failed,
    /// kplan is wrong: an answer it cannot read, a value of the wrong shape.
    Bug,
}

/// How often something was tried before it was given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// Requests that failed; the greatest number stands for more, too.
    pub times: u16,
    /// Seconds from the first of them to the last; the greatest number stands for more, too.
    pub seconds: u16,
}

impl Tried {
    /// So often within so long.
    pub fn new(times: u32, within: Duration) -> Self {
        Self {
            times: u16::try_from(times).unwrap_or(u16::MAX),
            seconds: u16::try_from(within.as_secs()).unwrap_or(u16::MAX),
        }
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tried {} times over {} s", self.times, self.seconds)
    }
}

/// A failed remote call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderError {
    /// What the engine may do about it.
    pub kind: ErrorKind,
    /// What is wrong, in one or two sentences without secrets.
    pub message: String,
    /// The remote side's own error code, such as `unprocessable_entity`.
    pub code: Option<String>,
    /// The remote side's request id, for its support.
    pub request_id: Option<String>,
    /// Seconds to wait, where the remote side said so.
    pub retry_after: Option<u32>,
    /// How often it was tried, where that was more than once.
    pub tried: Option<Tried>,
    /// What the reader can do.
    pub help: Option<String>,
}

impl ProviderError {
    /// An error with a message.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            code: None,
            request_id: None,
            retry_after: None,
            tried: None,
            help: None,
        }
    }

    /// The same error with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let code = self.code.clone();
        let request = self.request_id.as_ref().map(|id| format!("request {id}"));
        let tried = self.tried.map(|tried| tried.to_string());
        let notes: Vec<String> = [code, request, tried].into_iter().flatten().collect();
        if notes.is_empty() {
            Ok(())
        } else {
            write!(f, " ({})", notes.join(", "))
        }
    }
}

impl std::error::Error for ProviderError {}

impl From<crate::codec::ShapeError> for ProviderError {
    fn from(error: crate::codec::ShapeError) -> Self {
        Self::new(ErrorKind::Bug, error.to_string())
            .help("this is a bug in kplan or a damaged state; please report it with this text")
    }
}
