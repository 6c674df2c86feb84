//! Cross-origin requests: preflights are answered, and answers to a matching origin are marked.
//!
//! The first rule that has the origin, the method and the headers decides. An answer that no
//! rule speaks of is not marked; the request itself is carried out all the same.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use s3s::dto::CORSRule;
use s3s::{S3Result, s3_error};

use super::pattern::fits;

/// Rules a CORS configuration can have.
const MAX_RULES: usize = 100;
/// Methods a rule can allow.
const METHODS: [&str; 5] = ["GET", "PUT", "HEAD", "POST", "DELETE"];

/// Refuses what Spaces refuses.
pub(super) fn validate(rules: &[CORSRule]) -> S3Result<()> {
    if rules.is_empty() || rules.len() > MAX_RULES {
        return Err(s3_error!(
            MalformedXML,
            "a CORS configuration has 1 to {MAX_RULES} rules"
        ));
    }
    for rule in rules {
        let known = |method: &String| METHODS.contains(&method.as_str());
        if rule.allowed_origins.is_empty()
            || rule.allowed_methods.is_empty()
            || !rule.allowed_methods.iter().all(known)
        {
            return Err(s3_error!(
                InvalidRequest,
                "a CORS rule has at least one AllowedOrigin and one AllowedMethod of {}",
                METHODS.join(", ")
            ));
        }
        let headers = rule.allowed_headers.iter().flatten();
        let mut patterns = rule.allowed_origins.iter().chain(headers);
        if let Some(wild) = patterns.find(|pattern| pattern.matches('*').count() > 1) {
            return Err(s3_error!(
                InvalidRequest,
                "AllowedOrigin and AllowedHeader have at most one *, {wild:?} has more"
            ));
        }
    }
    Ok(())
}

/// What a request says about its origin.
pub(super) struct Crossing {
    origin: String,
    method: String,
    headers: Vec<String>,
    signed: bool,
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

impl Crossing {
    /// Reads it out of a request that is carried out; `None` without an origin.
    pub(super) fn of(method: &Method, headers: &HeaderMap) -> Option<Crossing> {
        let asked = text(headers, ACCESS_CONTROL_REQUEST_METHOD);
        Some(Crossing {
            origin: text(headers, ORIGIN)?,
            method: asked.unwrap_or_else(|| method.to_string()),
            headers: Vec::new(),
            signed: headers.contains_key(AUTHORIZATION),
        })
    }

    /// Reads it out of a preflight.
    pub(super) fn preflight(headers: &HeaderMap) -> S3Result<Crossing> {
        let (Some(origin), Some(method)) = (
            text(headers, ORIGIN),
            text(headers, ACCESS_CONTROL_REQUEST_METHOD),
        ) else {
            return Err(s3_error!(
                InvalidArgument,
                "a preflight request has the headers Origin and Access-Control-Request-Method"
            ));
        };
        let asked = text(headers, ACCESS_CONTROL_REQUEST_HEADERS).unwrap_or_default();
        let names = asked
            .split(',')
            .map(|name| name.trim().to_ascii_lowercase());
        Ok(Crossing {
            origin,
            method,
            headers: names.filter(|name| !name.is_empty()).collect(),
            signed: false,
        })
    }

    /// The headers that let the browser go on; `None` when no rule does.
    pub(super) fn answer(&self, rules: &[CORSRule]) -> Option<HeaderMap> {
        let rule = rules.iter().find(|rule| self.fits(rule))?;
        let anybody = rule.allowed_origins.iter().any(|origin| origin == "*");
        let mut answer = HeaderMap::new();
        let mut add = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                answer.insert(name, value);
            }
        };
        if anybody && !self.signed {
            add(ACCESS_CONTROL_ALLOW_ORIGIN, "*");
        } else {
            add(ACCESS_CONTROL_ALLOW_ORIGIN, &self.origin);
            add(VARY, "Origin");
        }
        add(ACCESS_CONTROL_ALLOW_METHODS, &self.method);
        if !self.headers.is_empty() {
            add(ACCESS_CONTROL_ALLOW_HEADERS, &self.headers.join(","));
        }
        if let Some(exposed) = &rule.expose_headers
            && !exposed.is_empty()
        {
            add(ACCESS_CONTROL_EXPOSE_HEADERS, &exposed.join(","));
        }
        if let Some(age) = rule.max_age_seconds {
            add(ACCESS_CONTROL_MAX_AGE, &age.to_string());
        }
        Some(answer)
    }

    fn fits(&self, rule: &CORSRule) -> bool {
        let allowed = |name: &String| {
            let mut patterns = rule.allowed_headers.iter().flatten();
            patterns.any(|pattern| fits(&pattern.to_ascii_lowercase(), name))
        };
        rule.allowed_origins
            .iter()
            .any(|origin| fits(origin, &self.origin))
            && rule.allowed_methods.contains(&self.method)
            && self.headers.iter().all(allowed)
    }
}
