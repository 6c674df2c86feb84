//! A request, read whole and taken apart.

use http::Method;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{ApiError, shape};
use crate::world::tokens::Access;

/// What has to be encoded in a part of a path: everything but `pchar` of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

fn decoded(path: &str) -> impl Iterator<Item = String> {
    path.split('/')
        .filter(|segment| !segment.is_empty())
        .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
}

fn normal(path: &str) -> String {
    let mut normal = String::with_capacity(path.len());
    for segment in decoded(path) {
        normal.push('/');
        normal.extend(utf8_percent_encode(&segment, ENCODED));
    }
    normal
}

/// What a handler gets to see.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// The path in its normal form: percent-encoded only where it must be, no empty parts. Whoever
    /// looks at its beginning sees what the table of routes sees.
    pub(crate) path: String,
    /// Query string as sent, without the question mark.
    pub(crate) raw_query: String,
    pub(crate) query: Vec<(String, String)>,
    /// The body's bytes when there are any.
    pub(crate) raw_body: Vec<u8>,
    /// The `Authorization` header.
    pub(crate) authorization: Option<String>,
    /// What its token may do.
    pub(crate) access: Access,
    /// Whether `X-Dangerous` says that the caller knows what the request destroys.
    pub(crate) dangerous: bool,
    /// The buckets there are, for requests about projects: they live outside the account.
    pub(crate) buckets: Vec<String>,
    /// `http://host:port`, for absolute links.
    pub(crate) base_url: String,
    /// The route's `{…}` segments in order, decoded.
    pub(crate) params: Vec<String>,
    /// A stale answer shows nothing that was created after this.
    pub(crate) visible_before: Option<Timestamp>,
}

impl Request {
    pub(crate) fn new(method: Method, target: &str) -> Request {
        let (path, raw_query) = target.split_once('?').unwrap_or((target, ""));
        Request {
            method,
            path: normal(path),
            raw_query: raw_query.to_owned(),
            query: form_urlencoded::parse(raw_query.as_bytes())
                .into_owned()
                .collect(),
            raw_body: Vec::new(),
            authorization: None,
            access: Access::Full,
            buckets: Vec::new(),
            dangerous: false,
            base_url: String::new(),
            params: Vec::new(),
            visible_before: None,
        }
    }

    /// The path cut at its slashes, each part decoded.
    pub(crate) fn segments(&self) -> Vec<String> {
        decoded(&self.path).collect()
    }

    /// The first value of a query parameter.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The bearer token.
    pub(crate) fn token(&self) -> Option<&str> {
        let (scheme, token) = self.authorization.as_deref()?.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then_some(token.trim())
    }

    /// A `{…}` segment of the route; empty when the route has fewer.
    pub(crate) fn param(&self, index: usize) -> &str {
        self.params.get(index).map_or("", String::as_str)
    }

    /// A numeric segment; what is not a number cannot exist.
    pub(crate) fn id(&self, index: usize) -> Result<u64, ApiError> {
        self.param(index).parse().map_err(|_| ApiError::not_found())
    }

    /// The body as JSON, `None` when empty or not JSON (for the record).
    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.raw_body).ok()
    }

    /// The body as a type. Unknown properties are ignored, as DigitalOcean does.
    pub(crate) fn body<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let bytes: &[u8] = if self.raw_body.is_empty() {
            b"{}"
        } else {
            &self.raw_body
        };
        let value: Value = serde_json::from_slice(bytes).map_err(|error| {
            ApiError::bad_request(format!("The request body is not JSON: {error}"))
        })?;
        shape::read(&value).map_err(|error| ApiError::unprocessable(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_taken_apart_and_decoded() {
        let request = Request::new(Method::GET, "/v2/tags/kplan%3Ademo?page=2&tag_name=a%20b");
        assert_eq!(request.segments(), ["v2", "tags", "kplan:demo"]);
        assert_eq!(request.query("tag_name"), Some("a b"));
        assert_eq!(request.query("missing"), None);
    }

    #[test]
    fn a_path_has_one_form_however_it_is_written() {
        for (written, normal) in [
            ("/v2/data%62ases/", "/v2/databases"),
            ("//v2//databases", "/v2/databases"),
            ("/v2/tags/kplan%3ademo", "/v2/tags/kplan:demo"),
            ("/v2/tags/a%2Fb%20c", "/v2/tags/a%2Fb%20c"),
        ] {
            let request = Request::new(Method::GET, written);
            assert_eq!(request.path, normal, "{written}");
            let again = Request::new(Method::GET, normal);
            assert_eq!(request.segments(), again.segments(), "{written}");
        }
    }

    #[test]
    fn a_body_that_is_not_json_differs_from_one_of_the_wrong_shape() {
        let mut request = Request::new(Method::POST, "/v2/tags");
        request.raw_body = b"{".to_vec();
        assert_eq!(request.body::<Value>().unwrap_err().status, 400);
        request.raw_body = b"[]".to_vec();
        assert_eq!(
            request
                .body::<std::collections::BTreeMap<String, u8>>()
                .unwrap_err()
                .status,
            422
        );
    }
}
