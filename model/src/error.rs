//! `ProviderError`: why a remote call did not do what was asked, in terms the engine can act on.

use serde::{Deserialize, Serialize};
use std::fmt;

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
        match (&self.code, &self.request_id) {
            (Some(code), Some(id)) => write!(f, " ({code}, request {id})"),
            (Some(code), None) => write!(f, " ({code})"),
            (None, Some(id)) => write!(f, " (request {id})"),
            (None, None) => Ok(()),
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
