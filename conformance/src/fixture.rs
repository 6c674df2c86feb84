//! Small documents and exchanges for the tests of this crate.

use serde_json::{Value, json};

use crate::{Document, Exchange, Violation};

/// A document with one operation, `POST /things`, whose request and 200 response both carry
/// `schema`; `components` are its component schemas.
pub(crate) fn one(schema: Value, components: Value) -> Document {
    let content = json!({ "application/json": { "schema": schema } });
    Document::from_value(json!({
        "openapi": "3.0.0",
        "components": { "schemas": components },
        "paths": { "/things": { "post": {
            "requestBody": { "content": content },
            "responses": { "200": { "content": content }, "202": {} }
        } } }
    }))
    .unwrap()
}

pub(crate) fn exchange(method: &str, path: &str, status: u16) -> Exchange {
    Exchange {
        method: method.into(),
        path: path.into(),
        query: None,
        request: None,
        status,
        response: None,
    }
}

/// What [`one`]'s document says about `body` as a response, as `pointer: message`.
pub(crate) fn response(document: &Document, body: Value) -> Vec<String> {
    let exchange = Exchange {
        response: Some(body),
        ..exchange("POST", "/things", 200)
    };
    lines(&document.check(&exchange))
}

/// What [`one`]'s document says about `body` as a request, as `pointer: message`.
pub(crate) fn request(document: &Document, body: Value) -> Vec<String> {
    let exchange = Exchange {
        request: Some(body),
        ..exchange("POST", "/things", 202)
    };
    lines(&document.check(&exchange))
}

pub(crate) fn lines(violations: &[Violation]) -> Vec<String> {
    violations
        .iter()
        .map(|v| format!("{}: {}", v.pointer, v.message))
        .collect()
}
