//! Paths, parameters, status codes and bodies against small documents.

use std::path::Path;

use serde_json::{Value, json};

use super::{Document, choose};
use crate::fixture::{exchange, lines};
use crate::{Exceptions, Exchange, Location, Violation};

fn document() -> Document {
    let thing = json!({ "application/json": { "schema": {
        "type": "object", "required": ["id"], "properties": { "id": { "type": "integer" } } } } });
    let error = json!({ "application/json": { "schema": {
        "type": "object", "required": ["message"],
        "properties": { "message": { "type": "string" } } } } });
    Document::from_value(json!({
        "openapi": "3.0.3",
        "servers": [{ "url": "https://api.example.com/v2/" }],
        "components": {
            "parameters": { "page": {
                "in": "query", "name": "page", "schema": { "type": "integer", "minimum": 1 } } },
            "responses": { "error": { "content": error } }
        },
        "paths": {
            "/things": {
                "parameters": [{ "$ref": "#/components/parameters/page" }],
                "get": {
                    "parameters": [
                        { "in": "query", "name": "kind", "required": true,
                          "schema": { "type": "string", "enum": ["a", "b"] } },
                        { "in": "query", "name": "ids",
                          "schema": { "type": "array", "items": { "type": "integer" } } },
                        { "in": "query", "name": "deep", "schema": { "type": "boolean" } }
                    ],
                    "responses": { "200": { "content": thing } }
                },
                "post": {
                    "requestBody": { "required": true, "content": thing },
                    "responses": { "201": { "content": thing }, "4XX": {},
                                   "default": { "$ref": "#/components/responses/error" } }
                }
            },
            "/things/{id}": { "delete": {
                "parameters": [{ "in": "path", "name": "id", "required": true,
                                 "schema": { "type": "integer" } }],
                "responses": { "204": { "description": "gone" } }
            } },
            "/things/default": { "get": {
                "responses": { "200": { "content": { "application/yaml": {} } } }
            } }
        }
    }))
    .unwrap()
}

#[track_caller]
fn found(exchange: Exchange) -> Vec<String> {
    let violations = document().check(&exchange);
    violations
        .iter()
        .map(|v| format!("{} {}: {}", v.location, v.pointer, v.message))
        .collect()
}

fn list(query: &str) -> Exchange {
    Exchange {
        query: Some(query.into()),
        response: Some(json!({ "id": 1 })),
        ..exchange("GET", "/v2/things", 200)
    }
}

fn create(request: Option<Value>, status: u16, response: Option<Value>) -> Exchange {
    Exchange {
        request,
        response,
        ..exchange("post", "/v2/things", status)
    }
}

#[test]
fn paths_and_methods_must_be_documented() {
    assert_eq!(
        found(exchange("GET", "/v2/thing", 200)),
        ["path : the document has no such path"]
    );
    assert_eq!(
        found(exchange("PUT", "/v2/things", 200)),
        ["path : the document has no such method here, only GET, POST"]
    );
}

#[test]
fn a_literal_path_is_not_shadowed_by_a_parameter() {
    let body = Exchange {
        response: Some(json!("any: yaml")),
        ..exchange("GET", "/v2/things/default", 200)
    };
    assert_eq!(found(body), Vec::<String>::new());
}

#[test]
fn path_parameters_have_a_type() {
    assert_eq!(
        found(exchange("DELETE", "/v2/things/17", 204)),
        Vec::<String>::new()
    );
    assert_eq!(
        found(exchange("DELETE", "/v2/things/seventeen", 204)),
        ["path /id: \"seventeen\" is not of type \"integer\""]
    );
}

#[test]
fn query_parameters_are_known_present_and_typed() {
    assert_eq!(
        found(list("kind=a&page=2&ids=1,2&ids=3&deep=true")),
        Vec::<String>::new()
    );
    let in_path = Exchange {
        path: "/v2/things?kind=b".into(),
        query: None,
        ..list("")
    };
    assert_eq!(found(in_path), Vec::<String>::new());
    assert_eq!(
        found(list("")),
        ["query /kind: required query parameter `kind` is missing"]
    );
    assert_eq!(
        found(list("kind=a&per_page=2")),
        [
            "query /per_page: unknown query parameter `per_page`: this operation takes deep, ids, \
          kind, page"
        ]
    );
    assert_eq!(
        found(list("kind=a&kind=b")),
        ["query /kind: given more than once"]
    );
    assert_eq!(
        found(list("kind=c")),
        ["query /kind: \"c\" is not one of \"a\" or \"b\""]
    );
    for bad in ["page=0", "page=x", "deep=1", "ids=1,x"] {
        assert_eq!(found(list(&format!("kind=a&{bad}"))).len(), 1, "{bad}");
    }
}

#[test]
fn success_codes_must_be_documented_exactly() {
    let thing = || Some(json!({ "id": 1 }));
    assert_eq!(found(create(thing(), 201, thing())), Vec::<String>::new());
    assert_eq!(
        found(create(thing(), 200, thing())),
        ["status : 200 is not documented; documented are 201, 4XX, default"]
    );
    assert_eq!(
        found(exchange("DELETE", "/v2/things/1", 404)),
        ["status : 404 is not documented; documented are 204"]
    );
}

#[test]
fn errors_fall_back_to_ranges_and_the_default() {
    let thing = || Some(json!({ "id": 1 }));
    let message = || Some(json!({ "message": "sorry" }));
    assert_eq!(found(create(thing(), 404, None)), Vec::<String>::new());
    assert_eq!(found(create(thing(), 503, message())), Vec::<String>::new());
    assert_eq!(
        found(create(thing(), 503, thing())),
        [
            "response /id: unknown property `id`",
            "response /message: required property `message` is missing"
        ]
    );
}

#[test]
fn bodies_appear_exactly_where_described() {
    let thing = || Some(json!({ "id": 1 }));
    assert_eq!(
        found(create(None, 201, None)),
        [
            "request : the required body is missing",
            "response : no JSON body was answered where the document describes one"
        ]
    );
    let with_bodies = Exchange {
        request: thing(),
        response: thing(),
        ..exchange("DELETE", "/v2/things/1", 204)
    };
    assert_eq!(
        found(with_bodies),
        [
            "request : the document describes no body for this operation",
            "response : a body was answered where the document describes none"
        ]
    );
}

#[test]
fn a_refused_request_can_be_told_apart() {
    let refused = create(Some(json!({ "idd": 1 })), 422, None);
    let violations = document().check(&refused);
    assert_eq!(violations.len(), 2, "{:?}", lines(&violations));
    assert!(violations.iter().all(Violation::is_refused_request));
    let accepted = create(Some(json!({})), 201, Some(json!({ "id": 1 })));
    assert!(
        document()
            .check(&accepted)
            .iter()
            .all(|v| !v.is_refused_request())
    );
}

#[test]
fn a_recording_is_read_line_by_line_and_counted() {
    let recording = concat!(
        r#"{"method":"DELETE","path":"/v2/things/1","status":204,"at":"now","by":"test"}"#,
        "\n\n",
        r#"{"method":"delete","path":"/v2/things/2","status":200,"query":"","response":null}"#,
        "\n",
        r#"{"method":"DELETE","path":"/v2/things/3","status":200}"#,
    );
    let mut report = document().check_lines(recording.as_bytes()).unwrap();
    assert_eq!(report.exchanges, 3);
    assert_eq!(report.operations.get("DELETE /things/{id}"), Some(&3));
    let (violation, count) = report.violations.iter().next().unwrap();
    assert_eq!((violation.location, *count), (Location::Status, 2));
    assert!(
        report
            .to_string()
            .contains("2 x DELETE /things/{id} -> 200: status: 200 is not")
    );

    let exceptions = Exceptions::parse(
        "[[exception]]\nendpoint = \"DELETE /things/{id}\"\nlocation = \"status\"\n\
         pointer = \"\"\nreason = \"The API answers 200, the document forgot it.\"",
    )
    .unwrap();
    exceptions.apply(&mut report);
    assert!(report.violations.is_empty());
    assert!(exceptions.unused().is_empty());
}

#[test]
fn a_torn_recording_is_an_error() {
    let error = document()
        .check_lines("{}\n{\"method\":".as_bytes())
        .unwrap_err();
    assert!(
        error.to_string().starts_with("line 1 is no exchange"),
        "{error}"
    );
}

#[test]
fn an_exchange_survives_its_line() {
    let exchange = create(Some(json!({ "id": 1 })), 201, None);
    let line = serde_json::to_string(&exchange).unwrap();
    assert_eq!(serde_json::from_str::<Exchange>(&line).unwrap(), exchange);
}

#[test]
fn other_versions_are_refused() {
    for version in ["2.0", "3.1.0", ""] {
        let document = Document::from_value(json!({ "openapi": version, "paths": {} }));
        assert!(document.is_err(), "{version}");
    }
}

#[test]
fn a_missing_judge_is_an_error_only_where_required() {
    assert!(choose(None, false).unwrap().is_none());
    assert!(
        choose(None, true)
            .unwrap_err()
            .contains("KPLAN_TEST_OPENAPI is not set")
    );

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("openapi.json");
    assert!(
        choose(Some(Path::new(&file)), false).is_err(),
        "a file that is not there"
    );
    std::fs::write(&file, r#"{"openapi":"3.0.0","paths":{}}"#).unwrap();
    assert!(choose(Some(&file), true).unwrap().is_some());
}

#[test]
fn examples_are_found_and_judged() {
    let document = Document::from_value(json!({
        "openapi": "3.0.0",
        "components": { "examples": { "bad": { "value": { "id": "x" } } } },
        "paths": { "/things": { "get": { "responses": {
            "200": { "content": { "application/json": {
                "schema": { "type": "object", "properties": { "id": { "type": "integer" } } },
                "example": { "id": 1 },
                "examples": { "second": { "$ref": "#/components/examples/bad" } }
            } } },
            "500": { "content": { "application/json": { "schema": {}, "example": 1 } } }
        } } } }
    }))
    .unwrap();
    let examples = document.examples().unwrap();
    let judged: Vec<_> = examples
        .iter()
        .map(|e| (e.name.as_str(), document.check_example(e).len()))
        .collect();
    assert_eq!(judged, [("", 0), ("second", 1)]);
}
