//! What goes in (an exchange) and what comes out (violations and their report).

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One HTTP request and its answer, as a recorder wrote it: one JSON object per line.
///
/// Unknown keys are ignored, so recorders may add what they like (time, client, test).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// The request method, in any case.
    pub method: String,
    /// The path as sent, still percent-encoded, without host; a `?query` part is understood too.
    pub path: String,
    /// The query string without its `?`, still percent-encoded.
    #[serde(default)]
    pub query: Option<String>,
    /// The request's JSON body; absent and `null` both mean that none was sent.
    #[serde(default)]
    pub request: Option<Value>,
    /// The status code of the answer.
    pub status: u16,
    /// The answer's JSON body; absent and `null` both mean that none was sent.
    #[serde(default)]
    pub response: Option<Value>,
}

/// Which part of an exchange breaks the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Location {
    /// The path or method: not in the document, or a path parameter of the wrong shape.
    Path,
    /// A query parameter.
    Query,
    /// The request body.
    Request,
    /// The status code of the answer.
    Status,
    /// The response body.
    Response,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Location::Path => "path",
            Location::Query => "query",
            Location::Request => "request",
            Location::Status => "status",
            Location::Response => "response",
        })
    }
}

/// One place where an exchange and the document disagree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Violation {
    /// The request method, upper case.
    pub method: String,
    /// The document's path template; the path as sent where no template matches.
    pub path_template: String,
    /// The status code of the answer.
    pub status: u16,
    /// Which part of the exchange.
    pub location: Location,
    /// JSON pointer to the value; for a missing or unknown property, to that property. For
    /// parameters `/<name>`; empty for the whole body, the path or the status.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
}

impl Violation {
    /// Whether this is about what was asked, and the server refused it as malformed (400 or
    /// 422): what a test that sends a bad request on purpose expects to see.
    pub fn is_refused_request(&self) -> bool {
        matches!(
            self.location,
            Location::Request | Location::Query | Location::Path
        ) && matches!(self.status, 400 | 422)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation {
            method,
            path_template,
            status,
            location,
            pointer,
            message,
        } = self;
        write!(f, "{method} {path_template} -> {status}: {location}")?;
        if !pointer.is_empty() {
            write!(f, " {pointer}")?;
        }
        write!(f, ": {message}")
    }
}

/// The result of checking a whole recording.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// How many exchanges were read. A run that expects some must check that it is not zero.
    pub exchanges: usize,
    /// How often each documented operation (`GET /v2/droplets`) was seen.
    pub operations: BTreeMap<String, usize>,
    /// Everything that is wrong, each different violation once, with how often it occurred.
    pub violations: BTreeMap<Violation, usize>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (exchanges, operations) = (self.exchanges, self.operations.len());
        writeln!(f, "{exchanges} exchanges over {operations} operations")?;
        for (violation, count) in &self.violations {
            writeln!(f, "  {count} x {violation}")?;
        }
        Ok(())
    }
}
