//! Each feature of the conversion, seen through what a small document allows and refuses.

use serde_json::{Value, json};

use crate::Document;
use crate::fixture::{one, request, response};

fn document(schema: Value) -> Document {
    one(schema, json!({}))
}

#[track_caller]
fn fine(document: &Document, bodies: &[Value]) {
    for body in bodies {
        assert_eq!(
            response(document, body.clone()),
            Vec::<String>::new(),
            "{body}"
        );
    }
}

#[track_caller]
fn wrong(document: &Document, body: Value, expected: &[&str]) {
    assert_eq!(response(document, body), expected);
}

#[test]
fn unknown_properties_are_refused_at_every_depth() {
    let document = document(json!({ "type": "object", "properties": {
        "thing": { "type": "object", "properties": { "id": { "type": "integer" } } },
        "list": { "type": "array", "items": {
            "type": "object", "properties": { "a/b": { "type": "string" } } } }
    } }));
    fine(
        &document,
        &[json!({ "thing": { "id": 1 }, "list": [{ "a/b": "x" }] })],
    );
    wrong(
        &document,
        json!({ "thing": { "id": 1, "idd": 2 }, "list": [{}, { "c/d": 1 }], "more": 1 }),
        &[
            "/list/1/c~1d: unknown property `c/d`",
            "/more: unknown property `more`",
            "/thing/idd: unknown property `idd`",
        ],
    );
}

#[test]
fn objects_stay_open_where_the_document_says_nothing_or_says_so() {
    let document = document(json!({ "type": "object", "properties": {
        "free": { "type": "object" },
        "anything": {},
        "open": { "type": "object", "properties": { "a": {} }, "additionalProperties": true },
        "numbers": { "type": "object", "additionalProperties": { "type": "integer" } }
    } }));
    let body = json!({ "free": { "x": 1 }, "anything": { "x": 1 }, "open": { "x": 1 },
        "numbers": { "x": 1 } });
    fine(&document, &[body]);
    wrong(
        &document,
        json!({ "numbers": { "x": "1" } }),
        &["/numbers/x: \"1\" is not of type \"integer\""],
    );
}

#[test]
fn closing_sees_through_all_of_and_references() {
    let document = one(
        json!({ "allOf": [
            { "$ref": "#/components/schemas/named" },
            { "type": "object", "properties": { "size": { "type": "integer" } } },
            { "required": ["name"] }
        ] }),
        json!({ "named": { "allOf": [
            { "type": "object", "properties": { "name": { "type": "string" } } }
        ] } }),
    );
    fine(&document, &[json!({ "name": "a", "size": 1 })]);
    wrong(
        &document,
        json!({ "name": "a", "siz": 1 }),
        &["/siz: unknown property `siz`"],
    );
    wrong(
        &document,
        json!({ "size": 1 }),
        &["/name: required property `name` is missing"],
    );
}

#[test]
fn a_failing_branch_does_not_make_its_properties_look_unknown() {
    let document = document(json!({ "allOf": [
        { "type": "object", "properties": { "name": { "type": "string" }, "a": {} } },
        { "type": "object", "properties": { "size": { "type": "integer" } } }
    ] }));
    wrong(
        &document,
        json!({ "name": 1, "a": 1, "size": 1, "what": 1 }),
        &[
            "/name: 1 is not of type \"string\"",
            "/what: unknown property `what`",
        ],
    );
}

#[test]
fn an_unknown_property_below_does_not_make_its_parents_look_unknown() {
    let document = document(json!({ "allOf": [
        { "type": "object", "properties": { "list": { "type": "array", "items": { "allOf": [
            { "type": "object", "properties": { "inner": {
                "type": "object", "properties": { "a": {} } } } }
        ] } } } },
        { "required": ["list"] }
    ] }));
    wrong(
        &document,
        json!({ "list": [{ "inner": { "b": 1 } }] }),
        &["/list/0/inner/b: unknown property `b`"],
    );
}

#[test]
fn one_of_closes_on_the_branch_that_fits() {
    let document = document(json!({ "oneOf": [
        { "type": "object", "required": ["id"], "properties": { "id": {}, "links": {} } },
        { "type": "object", "required": ["ids"], "properties": { "ids": {}, "links": {} } }
    ] }));
    fine(
        &document,
        &[json!({ "id": 1, "links": 1 }), json!({ "ids": 1 })],
    );
    wrong(
        &document,
        json!({ "id": 1, "x": 1 }),
        &["/x: unknown property `x`"],
    );
    wrong(
        &document,
        json!({ "id": 1, "ids": 1 }),
        &[": fits more than one of the 2 alternatives of which it must fit exactly one"],
    );
    wrong(
        &document,
        json!({ "links": 1 }),
        &["/id: required property `id` is missing (nearest of 2 alternatives)"],
    );
}

#[test]
fn an_alternative_without_properties_does_not_open_the_others() {
    let document = document(
        json!({ "type": "object", "properties": { "pages": { "anyOf": [
        { "type": "object", "properties": { "next": { "type": "string" } } },
        {}
    ] } } }),
    );
    fine(
        &document,
        &[json!({ "pages": { "next": "x" } }), json!({ "pages": {} })],
    );
    wrong(
        &document,
        json!({ "pages": { "nxt": "x" } }),
        &["/pages/nxt: unknown property `nxt`"],
    );
}

#[test]
fn scalar_alternatives_are_explained_together() {
    let document = document(json!({ "type": "object", "properties": {
        "image": { "anyOf": [{ "type": "string" }, { "type": "integer" }] } } }));
    fine(&document, &[json!({ "image": "x" }), json!({ "image": 1 })]);
    wrong(
        &document,
        json!({ "image": true }),
        &[
            "/image: fits none of 2 alternatives: true is not of type \"integer\"; \
           true is not of type \"string\"",
        ],
    );
}

#[test]
fn nullable_widens_types_enums_and_compositions() {
    let document = one(
        json!({ "type": "object", "properties": {
            "text": { "type": "string", "nullable": true },
            "kind": { "type": "string", "enum": ["a"], "nullable": true },
            "object": { "nullable": true, "allOf": [{ "$ref": "#/components/schemas/object" }] },
            "referred": { "$ref": "#/components/schemas/nullable" },
            "plain": { "type": "string" }
        } }),
        json!({
            "object": { "type": "object", "properties": { "a": {} } },
            "nullable": { "type": "object", "nullable": true, "properties": { "a": {} } }
        }),
    );
    let nulls = json!({ "text": null, "kind": null, "object": null, "referred": null });
    let values = json!({ "text": "", "kind": "a", "object": { "a": 1 }, "referred": { "a": 1 } });
    fine(&document, &[nulls, values]);
    wrong(
        &document,
        json!({ "plain": null }),
        &["/plain: null is not of type \"string\""],
    );
    wrong(
        &document,
        json!({ "object": { "b": 1 }, "referred": { "b": 1 } }),
        &[
            "/object/b: unknown property `b`",
            "/referred/b: unknown property `b`",
        ],
    );
}

#[test]
fn bounds_are_translated() {
    let document = document(json!({ "type": "object", "properties": {
        "above": { "type": "number", "minimum": 1, "exclusiveMinimum": true },
        "below": { "type": "number", "maximum": 5, "exclusiveMaximum": true },
        "from": { "type": "number", "minimum": 1, "exclusiveMinimum": false }
    } }));
    fine(
        &document,
        &[json!({ "above": 1.5, "below": 4.5, "from": 1 })],
    );
    assert_eq!(
        response(&document, json!({ "above": 1, "below": 5, "from": 0 })).len(),
        3
    );
}

#[test]
fn formats_are_checked() {
    let schema = |format: &str, kind: &str| json!({ "type": kind, "format": format });
    let cases = [
        (
            "date-time",
            json!("2020-03-13T19:20:47.442049222Z"),
            json!("yesterday"),
        ),
        (
            "uuid",
            json!("5a4981aa-9653-4bd1-bef5-d6bff52042e4"),
            json!("5a4981aa"),
        ),
        ("ipv4", json!("10.0.0.1"), json!("10.0.0.256")),
        ("ipv6", json!("fd00::1"), json!("10.0.0.1")),
        ("uri", json!("https://example.com/a"), json!("example")),
        ("email", json!("a@example.com"), json!("a.example.com")),
        ("cidr", json!("10.0.0.0/16"), json!("10.0.0.0")),
        ("byte", json!("aGkh"), json!("a-b")),
    ];
    for (format, good, bad) in cases {
        let document = document(schema(format, "string"));
        fine(&document, std::slice::from_ref(&good));
        assert_eq!(response(&document, bad).len(), 1, "{format}");
    }
    let document = document(schema("int32", "integer"));
    fine(&document, &[json!(i32::MAX)]);
    assert_eq!(response(&document, json!(2_147_483_648_i64)).len(), 1);
}

#[test]
fn read_only_properties_are_answered_and_never_sent() {
    let document = one(
        json!({ "allOf": [
            { "required": ["id", "name"] },
            { "$ref": "#/components/schemas/base" }
        ] }),
        json!({
            "base": { "type": "object", "properties": {
                "id": { "$ref": "#/components/schemas/id" },
                "name": { "type": "string" }
            } },
            "id": { "type": "integer", "readOnly": true }
        }),
    );
    assert_eq!(
        request(&document, json!({ "name": "a" })),
        Vec::<String>::new()
    );
    assert_eq!(
        request(&document, json!({ "name": "a", "id": 1 })),
        ["/id: `id` is read-only and must not be sent"]
    );
    fine(&document, &[json!({ "name": "a", "id": 1 })]);
    wrong(
        &document,
        json!({ "name": "a" }),
        &["/id: required property `id` is missing"],
    );
}

#[test]
fn write_only_properties_are_sent_and_never_answered() {
    let document = document(
        json!({ "type": "object", "required": ["secret"], "properties": {
        "secret": { "type": "string", "writeOnly": true } } }),
    );
    assert_eq!(
        request(&document, json!({ "secret": "a" })),
        Vec::<String>::new()
    );
    fine(&document, &[json!({})]);
    wrong(
        &document,
        json!({ "secret": "a" }),
        &["/secret: `secret` is write-only and must not be answered"],
    );
}

#[test]
fn recursive_schemas_end() {
    let document = one(
        json!({ "$ref": "#/components/schemas/node" }),
        json!({ "node": { "type": "object", "properties": {
            "name": { "type": "string" },
            "children": { "type": "array", "items": { "$ref": "#/components/schemas/node" } }
        } } }),
    );
    fine(
        &document,
        &[json!({ "children": [{ "children": [{ "name": "leaf" }] }] })],
    );
    wrong(
        &document,
        json!({ "children": [{ "children": [{ "nam": "leaf" }] }] }),
        &["/children/0/children/0/nam: unknown property `nam`"],
    );
}

#[test]
fn annotations_and_discriminators_are_no_constraints() {
    let document = document(json!({
        "type": "object",
        "title": "t", "description": "d", "example": { "zzz": 1 }, "default": 3, "x-note": [],
        "discriminator": { "propertyName": "kind", "mapping": { "a": "#/nowhere" } },
        "properties": { "kind": { "type": "string", "deprecated": true } }
    }));
    fine(&document, &[json!({ "kind": "whatever" })]);
}

#[test]
fn a_document_that_cannot_be_used_says_where_and_never_passes() {
    let cases = [
        (
            json!({ "$ref": "#/components/schemas/none" }),
            "leads to nothing",
        ),
        (
            json!({ "$ref": "other.json#/a" }),
            "leads out of the document",
        ),
        (
            json!({ "type": "string", "maxLen": 3 }),
            "`maxLen` is no schema keyword",
        ),
        (
            json!({ "type": "string", "pattern": "(" }),
            "not a \"regex\"",
        ),
        (
            json!({ "allOf": [{ "$ref": "#/components/schemas/loop" }] }),
            "composed into itself",
        ),
    ];
    let components = json!({ "loop": { "allOf": [{ "$ref": "#/components/schemas/loop" }] } });
    for (schema, expected) in cases {
        let document = one(schema, components.clone());
        let found = response(&document, json!("x"));
        assert_eq!(found.len(), 1, "{found:?}");
        let message = found.concat();
        assert!(message.contains(expected), "{message}");
        assert!(
            message.contains("#/paths/~1things/post/responses/200"),
            "{message}"
        );
    }
}
