//! Answers and DigitalOcean's error bodies.

use jiff::Timestamp;
use serde_json::{Value, json};

/// What a handler answers.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Option<Value>,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// When the one resource shown was created: a lagging replica may not know it yet.
    pub(crate) created_at: Option<Timestamp>,
}

/// The header that names the scope a token lacks. DigitalOcean does not say which one it is.
pub(crate) const MISSING_SCOPE: &str = "x-sandbox-missing-scope";

/// A handler's result.
pub(crate) type Reply = Result<Response, ApiError>;

impl Response {
    pub(crate) fn new(status: u16, body: Value) -> Response {
        Response {
            status,
            body: Some(body),
            headers: Vec::new(),
            created_at: None,
        }
    }

    /// 200 with a body.
    pub(crate) fn ok(body: Value) -> Response {
        Response::new(200, body)
    }

    /// 204.
    pub(crate) fn no_content() -> Response {
        Response {
            status: 204,
            body: None,
            headers: Vec::new(),
            created_at: None,
        }
    }

    /// 202 without a body.
    pub(crate) fn accepted() -> Response {
        Response {
            status: 202,
            body: None,
            headers: Vec::new(),
            created_at: None,
        }
    }

    /// Marks what is shown as created at a moment.
    pub(crate) fn created_at(mut self, moment: Timestamp) -> Response {
        self.created_at = Some(moment);
        self
    }
}

/// An answer that refuses: `{"id","message","request_id"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) id: &'static str,
    pub(crate) message: String,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl ApiError {
    pub(crate) fn new(status: u16, id: &'static str, message: impl Into<String>) -> ApiError {
        ApiError {
            status,
            id,
            message: message.into(),
            headers: Vec::new(),
        }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> ApiError {
        ApiError::new(400, "bad_request", message)
    }

    pub(crate) fn unauthorized() -> ApiError {
        ApiError::new(401, "unauthorized", "Unable to authenticate you")
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> ApiError {
        ApiError::new(403, "forbidden", message)
    }

    /// The token may not do this. The words are DigitalOcean's (quoted in doctl's issue 1635).
    pub(crate) fn missing_scope(scope: String) -> ApiError {
        ApiError::forbidden("You are not authorized to perform this operation")
            .with_header(MISSING_SCOPE, scope)
    }

    pub(crate) fn not_found() -> ApiError {
        ApiError::new(
            404,
            "not_found",
            "The resource you requested could not be found.",
        )
    }

    pub(crate) fn conflict(message: impl Into<String>) -> ApiError {
        ApiError::new(409, "conflict", message)
    }

    pub(crate) fn precondition(message: impl Into<String>) -> ApiError {
        ApiError::new(412, "precondition_failed", message)
    }

    pub(crate) fn unprocessable(message: impl Into<String>) -> ApiError {
        ApiError::new(422, "unprocessable_entity", message)
    }

    pub(crate) fn server(message: impl Into<String>) -> ApiError {
        ApiError::new(500, "server_error", message)
    }

    /// What the sandbox knows of but does not simulate.
    pub(crate) fn not_implemented(what: &str) -> ApiError {
        let message = format!("The sandbox does not simulate {what}. Nothing was changed.");
        ApiError::new(501, "not_implemented", message)
    }

    pub(crate) fn with_header(mut self, name: &'static str, value: String) -> ApiError {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn into_response(self, request_id: &str) -> Response {
        let body = json!({ "id": self.id, "message": self.message, "request_id": request_id });
        Response {
            headers: self.headers,
            ..Response::new(self.status, body)
        }
    }
}
