//! Request and response bodies and the status code between them.

use serde_json::Value;

use crate::compile::Cache;
use crate::explain::Finding;
use crate::pointer::Place;
use crate::schema::{Direction, json_content};

/// What the document says about one body.
pub(crate) enum Described {
    /// There must be none.
    Nothing,
    /// Some media type that is not JSON: not looked at.
    NotJson,
    /// JSON; the pointer of its schema.
    Json(String),
}

impl Described {
    /// Reads the `content` of a request body or response.
    fn of<'d>(root: &'d Value, owner: &Place<'d>) -> Result<Described, String> {
        let Some(content) = owner.get(root, "content")? else {
            return Ok(Described::Nothing);
        };
        Ok(match json_content(&content) {
            Some(pointer) => Described::Json(pointer),
            None if content
                .value
                .as_object()
                .is_none_or(serde_json::Map::is_empty) =>
            {
                Described::Nothing
            }
            None => Described::NotJson,
        })
    }
}

/// Checks a request body against its operation.
pub(crate) fn check_request<'d>(
    root: &'d Value,
    cache: &Cache,
    operation: &Place<'d>,
    body: Option<&Value>,
) -> Result<Vec<Finding>, String> {
    let Some(described) = operation.get(root, "requestBody")? else {
        return Ok(match body {
            None => Vec::new(),
            Some(_) => whole("the document describes no body for this operation".into()),
        });
    };
    match body {
        None if described.value.get("required") == Some(&Value::Bool(true)) => {
            Ok(whole("the required body is missing".into()))
        }
        None => Ok(Vec::new()),
        Some(body) => match Described::of(root, &described)? {
            Described::Json(pointer) => {
                Ok(cache.get(root, &pointer, Direction::Request)?.check(body))
            }
            Described::Nothing | Described::NotJson => Ok(whole(
                "a JSON body was sent where the document describes none".into(),
            )),
        },
    }
}

/// Checks a response body against the response the document gives for its status.
pub(crate) fn check_response<'d>(
    root: &'d Value,
    cache: &Cache,
    response: &Place<'d>,
    body: Option<&Value>,
) -> Result<Vec<Finding>, String> {
    match (Described::of(root, response)?, body) {
        (Described::Nothing, None) | (Described::NotJson, _) => Ok(Vec::new()),
        (Described::Nothing, Some(_)) => Ok(whole(
            "a body was answered where the document describes none".into(),
        )),
        (Described::Json(_), None) => Ok(whole(
            "no JSON body was answered where the document describes one".into(),
        )),
        (Described::Json(pointer), Some(body)) => {
            Ok(cache.get(root, &pointer, Direction::Response)?.check(body))
        }
    }
}

/// The response the document gives for `status`. Success must be listed exactly; errors may
/// fall back to a range (`4XX`) or to `default`.
pub(crate) fn response_for<'d>(
    root: &'d Value,
    operation: &Place<'d>,
    status: u16,
) -> Result<Result<Place<'d>, String>, String> {
    let Some(responses) = operation.get(root, "responses")? else {
        return Err(format!(
            "the operation at #{} has no responses",
            operation.pointer
        ));
    };
    if let Some(response) = responses.get(root, &status.to_string())? {
        return Ok(Ok(response));
    }
    if status >= 400 {
        for key in [format!("{}XX", status / 100), "default".into()] {
            if let Some(response) = responses.get(root, &key)? {
                return Ok(Ok(response));
            }
        }
    }
    let listed: Vec<&str> = responses
        .value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key.as_str())
        .collect();
    Ok(Err(format!(
        "{status} is not documented; documented are {}",
        listed.join(", ")
    )))
}

fn whole(message: String) -> Vec<Finding> {
    vec![Finding {
        pointer: String::new(),
        message,
    }]
}
