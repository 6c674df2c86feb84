//! The document's own errors, each with its reason: what is forgiven, and nothing else.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Deserialize;

use crate::report::{Location, Report, Violation};

/// One error of the document.
///
/// ```toml
/// [[exception]]
/// endpoint = "GET /v2/things/{thing_id}"   # method and path template; see below
/// location = "response"                    # path, query, request, status or response
/// pointer  = "/thing/owners/*/name"        # `*` stands for one reference token
/// says     = "is not of type"              # optional: part of the message
/// reason   = "The document says integer; the API answers a string (source of that fact)."
/// ```
///
/// `endpoint` may have `*` as its method, and its path may end in `*` to mean everything that
/// begins so, for a component many endpoints share.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// Method and path template.
    pub endpoint: String,
    /// Which part of the exchange.
    pub location: Location,
    /// JSON pointer of the violation, `*` standing for one reference token.
    pub pointer: String,
    /// Part of the message; absent allows any.
    #[serde(default)]
    pub says: Option<String>,
    /// Why the document is wrong here and what the real API does.
    pub reason: String,
}

/// All exceptions, remembering which were needed.
#[derive(Debug, Default)]
pub struct Exceptions {
    entries: Vec<(Exception, AtomicBool)>,
}

/// Why an exceptions file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExceptionsError(String);

impl fmt::Display for ExceptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exceptions of the OpenAPI document: {}", self.0)
    }
}

impl std::error::Error for ExceptionsError {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    exception: Vec<Exception>,
}

/// A reason in fewer characters than this explains nothing.
const MIN_REASON: usize = 20;

impl Exceptions {
    /// The exceptions kept beside this crate, in `conformance/exceptions.toml`.
    ///
    /// # Errors
    /// When that file is malformed.
    pub fn bundled() -> Result<Exceptions, ExceptionsError> {
        Exceptions::parse(include_str!("../exceptions.toml"))
    }

    /// What DigitalOcean's own clients may ask besides, kept in `conformance/clients.toml`: for
    /// recordings of those clients only.
    ///
    /// # Errors
    /// When that file is malformed.
    pub fn of_clients() -> Result<Exceptions, ExceptionsError> {
        Exceptions::parse(include_str!("../clients.toml"))
    }

    /// Reads an exceptions file.
    ///
    /// # Errors
    /// When it cannot be read or is malformed.
    pub fn load(path: impl AsRef<Path>) -> Result<Exceptions, ExceptionsError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path)
            .map_err(|error| ExceptionsError(format!("{}: {error}", path.display())))?;
        Exceptions::parse(&text)
    }

    /// Reads exceptions from TOML.
    ///
    /// # Errors
    /// When it is no TOML of this form, an entry is written twice, has no reason or no proper
    /// endpoint or pointer.
    pub fn parse(text: &str) -> Result<Exceptions, ExceptionsError> {
        let file: File = toml::from_str(text).map_err(|e| ExceptionsError(e.to_string()))?;
        for (index, entry) in file.exception.iter().enumerate() {
            let refuse = |why: &str| {
                let Exception {
                    endpoint,
                    location,
                    pointer,
                    ..
                } = entry;
                Err(ExceptionsError(format!(
                    "`{endpoint}` {location} `{pointer}`: {why}"
                )))
            };
            if entry.reason.trim().len() < MIN_REASON {
                return refuse("say in `reason` what the document says and what the API does");
            }
            if !entry
                .endpoint
                .split_once(' ')
                .is_some_and(|(_, path)| path.starts_with('/'))
            {
                return refuse("`endpoint` is a method and a path template: `GET /v2/things`");
            }
            if !(entry.pointer.is_empty() || entry.pointer.starts_with('/')) {
                return refuse("`pointer` is empty or begins with `/`");
            }
            if file
                .exception
                .iter()
                .take(index)
                .any(|earlier| earlier == entry)
            {
                return refuse("it is written twice");
            }
        }
        let entries = file
            .exception
            .into_iter()
            .map(|entry| (entry, AtomicBool::new(false)))
            .collect();
        Ok(Exceptions { entries })
    }

    /// Whether a violation is one of the document's known errors; marks the entry as used.
    pub fn allow(&self, violation: &Violation) -> bool {
        let mut allowed = false;
        for (entry, used) in &self.entries {
            if entry.covers(violation) {
                used.store(true, Ordering::Relaxed);
                allowed = true;
            }
        }
        allowed
    }

    /// Takes the known errors out of a report.
    pub fn apply(&self, report: &mut Report) {
        report
            .violations
            .retain(|violation, _| !self.allow(violation));
    }

    /// Entries that matched nothing so far. After a full run they are out of date: the document
    /// was corrected, or nothing calls that endpoint any more.
    pub fn unused(&self) -> Vec<&Exception> {
        self.entries
            .iter()
            .filter(|(_, used)| !used.load(Ordering::Relaxed))
            .map(|(entry, _)| entry)
            .collect()
    }
}

impl Exception {
    fn covers(&self, violation: &Violation) -> bool {
        self.location == violation.location
            && self.covers_endpoint(violation)
            && covers_pointer(&self.pointer, &violation.pointer)
            && self
                .says
                .as_ref()
                .is_none_or(|part| violation.message.contains(part.as_str()))
    }

    fn covers_endpoint(&self, violation: &Violation) -> bool {
        let Some((method, path)) = self.endpoint.split_once(' ') else {
            return false;
        };
        let path_fits = match path.strip_suffix('*') {
            Some(begin) => violation.path_template.starts_with(begin),
            None => violation.path_template == path,
        };
        path_fits && (method == "*" || method == violation.method)
    }
}

fn covers_pointer(pattern: &str, pointer: &str) -> bool {
    let mut patterns = pattern.split('/');
    let mut tokens = pointer.split('/');
    loop {
        match (patterns.next(), tokens.next()) {
            (None, None) => return true,
            (Some(pattern), Some(token)) if pattern == "*" || pattern == token => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REASON: &str = "The document says integer, the API answers a string.";

    fn violation(pointer: &str) -> Violation {
        Violation {
            method: "GET".into(),
            path_template: "/v2/things/{id}".into(),
            status: 200,
            location: Location::Response,
            pointer: pointer.into(),
            message: "1 is not of type \"string\"".into(),
        }
    }

    fn entry(endpoint: &str, pointer: &str, more: &str) -> String {
        format!(
            "[[exception]]\nendpoint = \"{endpoint}\"\nlocation = \"response\"\n\
             pointer = \"{pointer}\"\nreason = \"{REASON}\"\n{more}\n"
        )
    }

    fn covers(endpoint: &str, pointer: &str, more: &str) -> bool {
        let exceptions = Exceptions::parse(&entry(endpoint, pointer, more)).unwrap();
        exceptions.allow(&violation("/thing/owners/3/name"))
    }

    #[test]
    fn an_exception_covers_its_endpoint_and_pointer_only() {
        let exact = "GET /v2/things/{id}";
        assert!(covers(exact, "/thing/owners/3/name", ""));
        assert!(covers(
            exact,
            "/thing/owners/*/name",
            "says = \"not of type\""
        ));
        assert!(covers("* /v2/things/{id}", "/thing/owners/*/name", ""));
        assert!(covers("GET /v2/*", "/thing/owners/*/name", ""));
        assert!(!covers("POST /v2/things/{id}", "/thing/owners/*/name", ""));
        assert!(!covers("GET /v2/things", "/thing/owners/*/name", ""));
        assert!(!covers(exact, "/thing/owners/*", ""));
        assert!(!covers(exact, "/thing/*", ""));
        assert!(!covers(
            exact,
            "/thing/owners/*/name",
            "says = \"is missing\""
        ));
    }

    #[test]
    fn what_was_never_needed_is_reported() {
        let text = entry("GET /v2/things/{id}", "/a", "") + &entry("GET /v2/things/{id}", "/b", "");
        let exceptions = Exceptions::parse(&text).unwrap();
        assert!(exceptions.allow(&violation("/a")));
        let unused: Vec<&str> = exceptions
            .unused()
            .iter()
            .map(|e| e.pointer.as_str())
            .collect();
        assert_eq!(unused, ["/b"]);
    }

    #[test]
    fn careless_entries_are_refused() {
        let good = entry("GET /v2/things", "/a", "");
        for bad in [
            good.replace(REASON, "wrong"),
            good.replace("GET /v2", "GET v2"),
            good.replace("\"/a\"", "\"a\""),
            good.replace("pointer", "pointre"),
            good.repeat(2),
        ] {
            assert!(Exceptions::parse(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_bundled_file_is_well_formed() {
        Exceptions::bundled().unwrap();
        let clients = Exceptions::of_clients().unwrap();
        let asked = |entry: &(Exception, AtomicBool)| {
            matches!(entry.0.location, Location::Query | Location::Request)
        };
        assert!(
            clients.entries.iter().all(asked),
            "answers are never excused"
        );
    }
}
