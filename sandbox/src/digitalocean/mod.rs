//! DigitalOcean's API: one file per family of endpoints.

#![expect(
    clippy::unnecessary_wraps,
    reason = "every handler has the type of the table of routes"
)]

pub(crate) mod account;
pub(crate) mod actions;
pub(crate) mod certificates;
pub(crate) mod databases;
pub(crate) mod domains;
pub(crate) mod droplets;
pub(crate) mod firewalls;
pub(crate) mod images;
pub(crate) mod inspect;
pub(crate) mod load_balancers;
pub(crate) mod projects;
pub(crate) mod reserved_ips;
pub(crate) mod routes;
pub(crate) mod scopes;
pub(crate) mod snapshots;
pub(crate) mod spaces_keys;
pub(crate) mod ssh_keys;
pub(crate) mod tags;
pub(crate) mod volumes;
pub(crate) mod vpcs;

use jiff::Timestamp;
use serde_json::Value;

use crate::http::ApiError;
use crate::world::catalogue;

/// One endpoint of DigitalOcean's document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Upper case.
    pub method: &'static str,
    /// With `{…}` for what varies.
    pub path: &'static str,
    /// Whether it is answered, or says with 501 that it is not.
    pub simulated: bool,
}

/// Every endpoint of the document that the sandbox knows.
pub fn endpoints() -> impl Iterator<Item = Endpoint> {
    routes::coverage().map(|(method, path, simulated)| Endpoint {
        method,
        path,
        simulated,
    })
}

/// A moment the way the API writes it: whole seconds, UTC.
pub(crate) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A value the request must have.
pub(crate) fn required<T>(value: Option<T>, name: &str) -> Result<T, ApiError> {
    value.ok_or_else(|| ApiError::unprocessable(format!("{name} is required and can't be blank")))
}

/// Whether a value is more than nothing, in one of JSON's ways.
pub(crate) fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    }
}

/// A region that exists.
pub(crate) fn region(slug: &str) -> Result<String, ApiError> {
    let slug = slug.to_ascii_lowercase();
    if catalogue::has_region(&slug) {
        return Ok(slug);
    }
    Err(ApiError::unprocessable(format!(
        "Region is not available: {slug:?} is not a region."
    )))
}

/// Whether a text is one or more characters, each accepted, at most `max`.
pub(crate) fn all_chars(text: &str, max: usize, accept: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().count() <= max && text.chars().all(accept)
}
