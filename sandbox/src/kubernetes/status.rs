//! Errors as the API server words them: `Status` objects with a reason, details and causes.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::{Value, json};

use super::object;

/// A request that failed; becomes a `Status` object of `meta/v1`.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    pub(crate) details: Value,
}

/// One field's part in an `Invalid` answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cause {
    pub(crate) reason: &'static str,
    pub(crate) field: String,
    pub(crate) message: String,
}

impl Cause {
    /// A field that must be set.
    pub(crate) fn required(field: impl Into<String>) -> Cause {
        Cause {
            reason: "FieldValueRequired",
            field: field.into(),
            message: "Required value".into(),
        }
    }

    /// A field whose value is not acceptable.
    pub(crate) fn invalid(field: impl Into<String>, value: &Value, why: &str) -> Cause {
        let message = format!("Invalid value: {}: {why}", shown(value));
        Cause {
            reason: "FieldValueInvalid",
            field: field.into(),
            message,
        }
    }

    /// A field whose value has the wrong type.
    pub(crate) fn wrong_type(field: impl Into<String>, value: &Value, why: &str) -> Cause {
        let message = format!("Invalid value: {}: {why}", shown(value));
        Cause {
            reason: "FieldValueTypeInvalid",
            field: field.into(),
            message,
        }
    }

    /// A value outside the enumeration.
    pub(crate) fn not_supported(
        field: impl Into<String>,
        value: &Value,
        allowed: &[Value],
    ) -> Cause {
        let allowed: Vec<String> = allowed.iter().map(shown).collect();
        let message = format!(
            "Unsupported value: {}: supported values: {}",
            shown(value),
            allowed.join(", ")
        );
        Cause {
            reason: "FieldValueNotSupported",
            field: field.into(),
            message,
        }
    }

    /// A list item that occurs twice.
    pub(crate) fn duplicate(field: impl Into<String>, value: &Value) -> Cause {
        let message = format!("Duplicate value: {}", shown(value));
        Cause {
            reason: "FieldValueDuplicate",
            field: field.into(),
            message,
        }
    }

    /// A value longer than allowed, in bytes.
    pub(crate) fn too_long(field: impl Into<String>, most: u64) -> Cause {
        Cause {
            reason: "FieldValueTooLong",
            field: field.into(),
            message: format!("Too long: may not be more than {most} bytes"),
        }
    }

    /// More items than allowed.
    pub(crate) fn too_many(field: impl Into<String>, found: u64, most: u64) -> Cause {
        let items = if most == 1 { "item" } else { "items" };
        Cause {
            reason: "FieldValueTooMany",
            field: field.into(),
            message: format!("Too many: {found}: must have at most {most} {items}"),
        }
    }

    /// A field that must be set, and why.
    pub(crate) fn missing(field: impl Into<String>, why: &str) -> Cause {
        let mut cause = Cause::required(field);
        cause.message = format!("{}: {why}", cause.message);
        cause
    }

    /// A field that may not be set or changed.
    pub(crate) fn forbidden(field: impl Into<String>, why: &str) -> Cause {
        Cause {
            reason: "FieldValueForbidden",
            field: field.into(),
            message: format!("Forbidden: {why}"),
        }
    }
}

/// The longest value an error quotes, in bytes: objects may be as large as a request.
const SHOWN: usize = 2048;

fn shown(value: &Value) -> String {
    let mut text = value.to_string();
    if text.len() > SHOWN {
        let end = text.floor_char_boundary(SHOWN);
        text.truncate(end);
        text.push_str("...");
    }
    text
}

/// `widgets.example.com`, or `pods` for the core group.
pub(crate) fn qualified(group: &str, resource: &str) -> String {
    if group.is_empty() {
        resource.to_owned()
    } else {
        format!("{resource}.{group}")
    }
}

impl ApiError {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> ApiError {
        ApiError {
            code,
            reason,
            message: message.into(),
            details: Value::Null,
        }
    }

    fn about(mut self, group: &str, kind: &str, name: &str) -> ApiError {
        let mut details = json!({"kind": kind});
        if !group.is_empty() {
            details["group"] = group.into();
        }
        if !name.is_empty() {
            details["name"] = name.into();
        }
        self.details = details;
        self
    }

    pub(crate) fn not_found(group: &str, resource: &str, name: &str) -> ApiError {
        let message = format!("{} \"{name}\" not found", qualified(group, resource));
        ApiError::new(404, "NotFound", message).about(group, resource, name)
    }

    /// The path leads to no resource at all.
    pub(crate) fn no_such_path() -> ApiError {
        let mut error = ApiError::new(
            404,
            "NotFound",
            "the server could not find the requested resource",
        );
        error.details = json!({});
        error
    }

    pub(crate) fn already_exists(group: &str, resource: &str, name: &str) -> ApiError {
        let message = format!("{} \"{name}\" already exists", qualified(group, resource));
        ApiError::new(409, "AlreadyExists", message).about(group, resource, name)
    }

    pub(crate) fn conflict(group: &str, resource: &str, name: &str, why: &str) -> ApiError {
        let message = format!(
            "Operation cannot be fulfilled on {} \"{name}\": {why}",
            qualified(group, resource)
        );
        ApiError::new(409, "Conflict", message).about(group, resource, name)
    }

    /// The resource version the client named is not the current one.
    pub(crate) fn modified(group: &str, resource: &str, name: &str) -> ApiError {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        ApiError::conflict(group, resource, name, why)
    }

    /// Server-side apply met fields of other managers.
    pub(crate) fn apply_conflict(causes: &[Cause]) -> ApiError {
        let message = match causes {
            [only] => format!(
                "Apply failed with 1 conflict: {}: {}",
                only.message, only.field
            ),
            many => {
                let mut lines = Vec::new();
                let mut last = "";
                for cause in many {
                    if cause.message != last {
                        lines.push(
                            cause.message.replacen("conflict with", "conflicts with", 1) + ":",
                        );
                        last = &cause.message;
                    }
                    lines.push(format!("- {}", cause.field));
                }
                format!(
                    "Apply failed with {} conflicts: {}",
                    many.len(),
                    lines.join("\n")
                )
            }
        };
        let mut error = ApiError::new(409, "Conflict", message);
        error.details = json!({"causes": causes_json(causes)});
        error
    }

    pub(crate) fn invalid(group: &str, kind: &str, name: &str, causes: &[Cause]) -> ApiError {
        let lines: Vec<String> = causes
            .iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect();
        let list = match lines.as_slice() {
            [only] => only.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        // `GroupKind` puts the group behind the kind: `Deployment.apps`.
        let message = format!("{} \"{name}\" is invalid: {list}", qualified(group, kind));
        let mut error = ApiError::new(422, "Invalid", message).about(group, kind, name);
        error.details["causes"] = causes_json(causes);
        error
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> ApiError {
        ApiError::new(400, "BadRequest", message)
    }

    /// A patch that does not fit the object. The server does not say where.
    pub(crate) fn unfit_patch() -> ApiError {
        let message = "the server rejected our request due to an error in our request";
        let mut error = ApiError::new(422, "Invalid", message);
        error.details = json!({});
        error
    }

    /// An eviction that a disruption budget does not allow now.
    pub(crate) fn disrupts(why: &str) -> ApiError {
        let message = "Cannot evict pod as it would violate the pod's disruption budget.";
        let mut error = ApiError::new(429, "TooManyRequests", message);
        error.details = json!({"causes": [{"reason": "DisruptionBudget", "message": why}]});
        error
    }

    /// Options of a request that are not understood.
    pub(crate) fn options(kind: &str, cause: Cause) -> ApiError {
        ApiError::invalid("meta.k8s.io", kind, "", &[cause])
    }

    /// An error that has no reason of its own: status 500 and what went wrong.
    pub(crate) fn bare(message: impl Into<String>) -> ApiError {
        ApiError::new(500, "", message)
    }

    pub(crate) fn unauthorized() -> ApiError {
        ApiError::new(401, "Unauthorized", "Unauthorized")
    }

    pub(crate) fn forbidden(group: &str, resource: &str, name: &str, message: String) -> ApiError {
        ApiError::new(403, "Forbidden", message).about(group, resource, name)
    }

    pub(crate) fn method_not_allowed() -> ApiError {
        let message = "the server does not allow this method on the requested resource";
        let mut error = ApiError::new(405, "MethodNotAllowed", message);
        error.details = json!({});
        error
    }

    pub(crate) fn not_acceptable(message: impl Into<String>) -> ApiError {
        ApiError::new(406, "NotAcceptable", message)
    }

    pub(crate) fn unsupported_media_type(message: impl Into<String>) -> ApiError {
        ApiError::new(415, "UnsupportedMediaType", message)
    }

    /// A watch or a page that starts before what the server remembers.
    pub(crate) fn expired(message: impl Into<String>) -> ApiError {
        ApiError::new(410, "Expired", message)
    }

    pub(crate) fn too_large() -> ApiError {
        ApiError::new(413, "RequestEntityTooLarge", "limit is 3145728")
    }

    pub(crate) fn not_implemented(message: impl Into<String>) -> ApiError {
        ApiError::new(501, "NotImplemented", message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> ApiError {
        ApiError::new(500, "InternalError", message)
    }

    /// The `Status` object.
    pub(crate) fn body(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        });
        if self.reason.is_empty() {
            object::remove(&mut status, &["reason"]);
        }
        if !self.details.is_null() {
            status["details"] = self.details.clone();
        }
        status
    }
}

fn causes_json(causes: &[Cause]) -> Value {
    causes
        .iter()
        .map(
            |cause| json!({"reason": cause.reason, "message": cause.message, "field": cause.field}),
        )
        .collect()
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let code = StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        json_response(code, &self.body())
    }
}

/// An answer in JSON.
pub(crate) fn json_response(code: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = code;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    response
}

/// The `Status` a successful deletion answers with.
pub(crate) fn deleted(group: &str, resource: &str, name: &str, uid: &str) -> Value {
    let mut details = json!({"name": name, "kind": resource, "uid": uid});
    if !group.is_empty() {
        details["group"] = group.into();
    }
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}
