//! The document: loading it, and checking exchanges against it.

use std::fmt;
use std::io::BufRead;
use std::path::Path;

use serde_json::Value;

use crate::body::{check_request, check_response, response_for};
use crate::compile::Cache;
use crate::explain::Finding;
use crate::parameters::{check_path, check_query, documented};
use crate::pointer::{Place, join};
use crate::report::{Exchange, Location, Report, Violation};
use crate::routes::{self, Route};

/// Names the file that holds the `OpenAPI` document.
const DOCUMENT_VARIABLE: &str = "KPLAN_TEST_OPENAPI";
/// Set to `1` where a missing outside judge must fail the run (CI).
const REQUIRE_VARIABLE: &str = "KPLAN_TEST_REQUIRE";

/// Why a document or a recording could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentError(pub(crate) String);

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DocumentError {}

/// The document named by `KPLAN_TEST_OPENAPI`; `None` when the variable is not set or the file
/// cannot be read. Use [`required_document`] where the difference matters.
pub fn document_from_env() -> Option<Document> {
    let path = std::env::var_os(DOCUMENT_VARIABLE)?;
    Document::load(path).ok()
}

/// The document named by `KPLAN_TEST_OPENAPI`; `Ok(None)` when the variable is not set.
///
/// # Errors
/// When the file cannot be read or is no `OpenAPI` 3.0 document, and when the variable is
/// missing although `KPLAN_TEST_REQUIRE=1` says that no outside judge may be skipped.
pub fn required_document() -> Result<Option<Document>, String> {
    choose(
        std::env::var_os(DOCUMENT_VARIABLE)
            .as_deref()
            .map(Path::new),
        is_required(),
    )
}

/// Whether every judge from outside has to be there.
pub(crate) fn is_required() -> bool {
    std::env::var_os(REQUIRE_VARIABLE).is_some_and(|value| value == "1")
}

fn choose(path: Option<&Path>, required: bool) -> Result<Option<Document>, String> {
    match path {
        Some(path) => Document::load(path)
            .map(Some)
            .map_err(|error| error.to_string()),
        None if required => Err(format!(
            "{DOCUMENT_VARIABLE} is not set although {REQUIRE_VARIABLE}=1: point it at \
             DigitalOcean's OpenAPI 3.0 document (JSON), so that the recorded exchanges are judged"
        )),
        None => Ok(None),
    }
}

/// An `OpenAPI` 3.0 document and the schemas compiled from it so far.
pub struct Document {
    pub(crate) root: Value,
    routes: Vec<Route>,
    /// The path part of the first server's address, without a trailing slash.
    base: String,
    pub(crate) cache: Cache,
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("paths", &self.routes.len())
            .finish_non_exhaustive()
    }
}

impl Document {
    /// Reads a document in JSON.
    ///
    /// # Errors
    /// When the file cannot be read, is no JSON, or is no `OpenAPI` 3.0 document.
    pub fn load(path: impl AsRef<Path>) -> Result<Document, DocumentError> {
        let path = path.as_ref();
        let explain = |error: &dyn fmt::Display| {
            DocumentError(format!(
                "cannot read the OpenAPI document {}: {error}",
                path.display()
            ))
        };
        let bytes = std::fs::read(path).map_err(|error| explain(&error))?;
        let root = serde_json::from_slice(&bytes).map_err(|error| explain(&error))?;
        Document::from_value(root).map_err(|error| explain(&error))
    }

    /// Takes a document that is already parsed.
    ///
    /// # Errors
    /// When it is no `OpenAPI` 3.0 document.
    pub fn from_value(root: Value) -> Result<Document, DocumentError> {
        let version = root
            .get("openapi")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !version.starts_with("3.0.") {
            return Err(DocumentError(format!(
                "`openapi` must be 3.0.x, found `{version}`: its schemas mean something else"
            )));
        }
        let paths = root.get("paths").and_then(Value::as_object);
        let routes = paths
            .ok_or_else(|| DocumentError("it has no `paths`".into()))?
            .keys()
            .map(|template| Route::parse(template))
            .collect::<Result<Vec<_>, _>>()
            .map_err(DocumentError)?;
        let server = root
            .pointer("/servers/0/url")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let after_host = server.split_once("://").map_or(server, |(_, rest)| rest);
        let base = match after_host.find('/') {
            Some(slash) => after_host
                .get(slash..)
                .unwrap_or_default()
                .trim_end_matches('/'),
            None => "",
        };
        Ok(Document {
            routes,
            base: base.to_owned(),
            cache: Cache::default(),
            root,
        })
    }

    /// Everything in one exchange that the document does not allow; empty when all is well.
    pub fn check(&self, exchange: &Exchange) -> Vec<Violation> {
        let (path, in_path) = match exchange.path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (exchange.path.as_str(), None),
        };
        let query = exchange.query.as_deref().or(in_path).unwrap_or_default();
        let mut out = Findings::new(exchange, path);
        let below = path.strip_prefix(self.base.as_str()).unwrap_or(path);
        let Some((route, parameters)) = routes::find(&self.routes, below) else {
            out.path("the document has no such path".into());
            return out.violations;
        };
        out.template.clone_from(&route.template);
        let judged = self.judge(exchange, route, &parameters, query, &mut out);
        if let Err(message) = judged {
            out.path(format!("the document cannot be used here: {message}"));
        }
        out.violations
    }

    fn judge(
        &self,
        exchange: &Exchange,
        route: &Route,
        sent: &[(&str, &str)],
        query: &str,
        out: &mut Findings,
    ) -> Result<(), String> {
        let root = &self.root;
        let Some((path_item, operation)) = self.operation(&route.template, &exchange.method)?
        else {
            let methods = self.methods(&route.template).join(", ");
            out.path(format!(
                "the document has no such method here, only {methods}"
            ));
            return Ok(());
        };
        let known = documented(root, &path_item, &operation)?;
        out.add(Location::Path, check_path(root, &self.cache, &known, sent));
        out.add(
            Location::Query,
            check_query(root, &self.cache, &known, query),
        );
        let body = present(exchange.request.as_ref());
        let found = check_request(root, &self.cache, &operation, body);
        out.add(Location::Request, found.unwrap_or_else(unusable));
        match response_for(root, &operation, exchange.status)? {
            Ok(response) => {
                let body = present(exchange.response.as_ref());
                let found = check_response(root, &self.cache, &response, body);
                out.add(Location::Response, found.unwrap_or_else(unusable));
            }
            Err(message) => out.add(Location::Status, unusable(message)),
        }
        Ok(())
    }

    /// Checks a recording: one exchange per line, blank lines ignored.
    ///
    /// # Errors
    /// When a line cannot be read or is no exchange; a torn recording proves nothing.
    pub fn check_lines(&self, reader: impl BufRead) -> Result<Report, DocumentError> {
        let mut report = Report::default();
        for (index, line) in reader.lines().enumerate() {
            let number = index + 1;
            let line = line.map_err(|error| DocumentError(format!("line {number}: {error}")))?;
            if line.trim().is_empty() {
                continue;
            }
            let exchange: Exchange = serde_json::from_str(&line)
                .map_err(|error| DocumentError(format!("line {number} is no exchange: {error}")))?;
            self.record(&exchange, &mut report);
        }
        Ok(report)
    }

    /// The template that a path, without its query, fits.
    pub(crate) fn template(&self, path: &str) -> Option<&str> {
        let below = path.strip_prefix(self.base.as_str()).unwrap_or(path);
        routes::find(&self.routes, below).map(|(route, _)| route.template.as_str())
    }

    /// Checks one exchange and adds it to a report.
    pub fn record(&self, exchange: &Exchange, report: &mut Report) {
        report.exchanges += 1;
        let path = exchange.path.split('?').next().unwrap_or_default();
        if let Some(template) = self.template(path) {
            let method = exchange.method.to_uppercase();
            let operation = format!("{method} {template}");
            *report.operations.entry(operation).or_default() += 1;
        }
        for violation in self.check(exchange) {
            *report.violations.entry(violation).or_default() += 1;
        }
    }

    /// The path item and the operation, when the document has them.
    pub(crate) fn operation(
        &self,
        template: &str,
        method: &str,
    ) -> Result<Option<(Place<'_>, Place<'_>)>, String> {
        let paths = self.root.get("paths").unwrap_or(&Value::Null);
        let paths = Place {
            pointer: "/paths".into(),
            value: paths,
        };
        let Some(path_item) = paths.get(&self.root, template)? else {
            return Ok(None);
        };
        let method = method.to_lowercase();
        let operation = path_item.value.get(&method).map(|value| Place {
            pointer: join(&path_item.pointer, &method),
            value,
        });
        Ok(operation.map(|operation| (path_item, operation)))
    }

    /// The methods the document has for a path, upper case.
    pub(crate) fn methods(&self, template: &str) -> Vec<String> {
        const METHODS: [&str; 8] = [
            "get", "put", "post", "delete", "options", "head", "patch", "trace",
        ];
        let item = self.root.get("paths").and_then(|paths| paths.get(template));
        let has = |method: &&&str| item.is_some_and(|item| item.get(**method).is_some());
        METHODS
            .iter()
            .filter(has)
            .map(|method| method.to_uppercase())
            .collect()
    }

    /// Every operation of the document, as method and path template.
    pub fn operations(&self) -> Vec<(String, String)> {
        let of = |route: &Route| {
            let template = route.template.clone();
            self.methods(&template)
                .into_iter()
                .map(move |method| (method, template.clone()))
        };
        self.routes.iter().flat_map(of).collect()
    }
}

fn present(body: Option<&Value>) -> Option<&Value> {
    body.filter(|body| !body.is_null())
}

fn unusable(message: String) -> Vec<Finding> {
    vec![Finding {
        pointer: String::new(),
        message,
    }]
}

/// The violations of one exchange as they are found.
struct Findings {
    method: String,
    template: String,
    status: u16,
    violations: Vec<Violation>,
}

impl Findings {
    fn new(exchange: &Exchange, path: &str) -> Findings {
        Findings {
            method: exchange.method.to_uppercase(),
            template: path.to_owned(),
            status: exchange.status,
            violations: Vec::new(),
        }
    }

    fn path(&mut self, message: String) {
        self.add(Location::Path, unusable(message));
    }

    fn add(&mut self, location: Location, findings: Vec<Finding>) {
        for Finding { pointer, message } in findings {
            self.violations.push(Violation {
                method: self.method.clone(),
                path_template: self.template.clone(),
                status: self.status,
                location,
                pointer,
                message,
            });
        }
    }
}

#[cfg(test)]
mod tests;
