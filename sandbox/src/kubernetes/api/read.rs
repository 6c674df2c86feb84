//! `get` and `list`.

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::{Value, json};

use super::Call;
use super::represent::{self, Form};
use crate::kubernetes::apiserver::ApiServer;
use crate::kubernetes::object::{self, Object, map};
use crate::kubernetes::resources::ResourceType;
use crate::kubernetes::selector::{FieldSelector, LabelSelector};
use crate::kubernetes::status::{ApiError, json_response};

/// Which objects a query is about.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    labels: LabelSelector,
    pub(super) fields: FieldSelector,
}

impl Filter {
    /// The selectors of a query.
    pub(super) fn of(call: &Call<'_>, resource: &ResourceType) -> Result<Filter, ApiError> {
        let labels = call.query.get("labelSelector").unwrap_or_default();
        let fields = call.query.get("fieldSelector").unwrap_or_default();
        Ok(Filter {
            labels: LabelSelector::parse(labels).map_err(ApiError::bad_request)?,
            fields: FieldSelector::parse(fields)
                .and_then(|fields| fields.supported(resource))
                .map_err(ApiError::bad_request)?,
        })
    }

    /// Whether an object is meant.
    pub(super) fn matches(&self, object: &Value) -> bool {
        self.labels.matches(map(object, &["metadata", "labels"])) && self.fields.matches(object)
    }
}

/// Numbers of the query that are none.
fn checked(call: &Call<'_>) -> Result<(), ApiError> {
    let wrong = |key: &str| {
        let text = call.query.get(key)?;
        text.parse::<u64>().is_err().then_some(text)
    };
    if let Some(text) = wrong("limit") {
        return Err(ApiError::bad_request(format!(
            "strconv.ParseInt: parsing \"{text}\": invalid syntax"
        )));
    }
    if let Some(text) = wrong("resourceVersion") {
        return Err(ApiError::bad_request(format!(
            "invalid resource version: {}",
            not_a_version(text)
        )));
    }
    Ok(())
}

/// The complaint about a resource version that is no number.
pub(super) fn not_a_version(text: &str) -> String {
    format!(
        "resourceVersion: Invalid value: \"{text}\": strconv.ParseUint: parsing \"{text}\": invalid syntax"
    )
}

/// One object.
pub(super) fn get(call: &Call<'_>, resource: &ResourceType) -> Result<Response, ApiError> {
    let object = call.server.read(call.target(resource))?;
    represent::respond(call, resource, &object, StatusCode::OK)
}

/// A list, in pages when a limit is asked for.
pub(super) fn list(call: &Call<'_>, resource: &ResourceType) -> Result<Response, ApiError> {
    let form = Form::of(call)?;
    let filter = Filter::of(call, resource)?;
    checked(call)?;
    let (stored, version) = call
        .server
        .storage
        .list(&resource.storage_key(), call.namespace());
    let after = match call.query.get("continue") {
        Some(token) => Some(Token::decode(token)?),
        None => None,
    };
    let mut objects: Vec<Object> = stored
        .iter()
        .filter(|object| after.as_ref().is_none_or(|token| token.precedes(object)))
        .map(|object| ApiServer::shown(resource, object))
        .filter(|object| filter.matches(object))
        .collect();
    let version = after.as_ref().map_or(version, |token| token.version);
    let mut metadata = json!({"resourceVersion": version.to_string()});
    let limit = call
        .query
        .number("limit")
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(0);
    if limit > 0 && objects.len() > limit {
        let left = objects.len() - limit;
        objects.truncate(limit);
        if let Some(last) = objects.last() {
            metadata["continue"] = Token::after(last, version).encode().into();
            metadata["remainingItemCount"] = left.into();
        }
    }
    let body = represent::many(call.server, resource, &objects, metadata, form);
    Ok(json_response(StatusCode::OK, &body))
}

/// Where the next page starts.
struct Token {
    version: u64,
    namespace: String,
    name: String,
}

impl Token {
    fn after(object: &Value, version: u64) -> Token {
        Token {
            version,
            namespace: object::namespace(object).to_owned(),
            name: object::name(object).to_owned(),
        }
    }

    fn precedes(&self, object: &Value) -> bool {
        (self.namespace.as_str(), self.name.as_str())
            < (object::namespace(object), object::name(object))
    }

    fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(json!([self.version, self.namespace, self.name]).to_string())
    }

    fn decode(token: &str) -> Result<Token, ApiError> {
        let parse = || -> Option<Token> {
            let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
            let (version, namespace, name) = serde_json::from_slice(&bytes).ok()?;
            Some(Token {
                version,
                namespace,
                name,
            })
        };
        parse().ok_or_else(|| {
            ApiError::bad_request("invalid continue token: continue key is not valid")
        })
    }
}
