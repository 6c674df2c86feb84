//! Values of fields: scalars, maps, lists, sets, secrets.

use super::{list, map, print, secret};
use crate::diff::field;
use kplan_model::{Address, Compare, Field, Kind, Ref, Secret, Value};

fn shown(before: &Value, after: &Value) -> Vec<String> {
    print(&field(before, after, None))
}

fn as_set(before: &Value, after: &Value, how: Compare) -> Vec<String> {
    let table = Field::in_place("f", "A field.").by(how);
    print(&field(before, after, Some(&table)))
}

#[test]
fn scalars_are_one_line_behind_the_name() {
    let id = Ref::new(Address::new(Kind::new("vpc"), "main"), "id");
    let cases = [
        (Value::str("a"), Value::str("b"), r#"~ "a" -> "b""#),
        (Value::Int(1), Value::Int(2), "~ 1 -> 2"),
        (Value::Bool(true), Value::Null, "~ true -> null"),
        (Value::Int(1), Value::str("1"), r#"~ 1 -> "1""#),
        (
            Value::str("a"),
            Value::Unknown,
            r#"~ "a" -> (known after apply)"#,
        ),
        (
            Value::Null,
            Value::reference(id),
            "~ null -> (known after apply)",
        ),
        (Value::Null, list(["a", "b"]), r#"~ null -> ["a", "b"]"#),
        (
            Value::str("a\u{1b}[2J"),
            Value::str("b\r"),
            r#"~ "a\u{1b}[2J" -> "b\r""#,
        ),
        (
            Value::str("a\u{202e}b"),
            Value::Null,
            r#"~ "a\u{202e}b" -> null"#,
        ),
    ];
    for (before, after, expected) in cases {
        assert_eq!(shown(&before, &after), [expected]);
        assert_eq!(shown(&before, &before), [""; 0]);
    }
}

#[test]
fn secrets_are_masked_at_the_leaf() {
    let sensitive = "(sensitive value)";
    assert_eq!(
        shown(&secret("old"), &secret("new")),
        [format!("~ {sensitive} -> {sensitive} (changed)")]
    );
    assert_eq!(
        shown(&Value::Null, &secret("new")),
        [format!("~ null -> {sensitive}")]
    );
    assert_eq!(
        shown(&secret("old"), &Value::Unknown),
        [format!("~ {sensitive} -> (known after apply)")]
    );
    let connection = |host: &str, password: &str| {
        map([
            ("host", Value::str(host)),
            ("password", secret(password)),
            ("port", Value::Int(5432)),
        ])
    };
    assert_eq!(
        shown(&connection("a", "old"), &connection("b", "new")),
        [
            "  ~ host = \"a\" -> \"b\"".to_owned(),
            format!("  ~ password = {sensitive} -> {sensitive} (changed)"),
            "  # (1 unchanged attribute hidden)".to_owned(),
        ]
    );
    assert_eq!(
        shown(&connection("a", "same"), &connection("b", "same")),
        [
            "  ~ host = \"a\" -> \"b\"",
            "  # (2 unchanged attributes hidden)"
        ]
    );
    assert_eq!(
        shown(
            &Value::list([secret("a")]),
            &Value::list([secret("a"), secret("b")])
        ),
        [
            "  + [1] = (sensitive value)",
            "  # (1 unchanged attribute hidden)"
        ]
    );
}

#[test]
fn a_secret_field_is_masked_as_a_whole() {
    let table = Field::in_place("token", "A token.").secret();
    let shown = |before: &Value, after: &Value| print(&field(before, after, Some(&table)));
    let text = Value::str("hunter2\nhunter3");
    assert_eq!(
        shown(&text, &map([("a", Value::str("hunter2"))])),
        ["~ (sensitive value) -> (sensitive value) (changed)"]
    );
    assert_eq!(shown(&Value::Null, &text), ["~ null -> (sensitive value)"]);
    assert_eq!(
        shown(&text, &Value::Unknown),
        ["~ (sensitive value) -> (known after apply)"]
    );
}

#[test]
fn a_text_that_gives_a_secret_beside_it_away_is_masked_too() {
    let connection =
        |password: &str, url: &str| map([("password", secret(password)), ("url", Value::str(url))]);
    assert_eq!(
        shown(
            &connection("correct horse", "pg://u:correct horse@h"),
            &connection("battery staple", "pg://u:battery staple@h"),
        ),
        [
            "  ~ password = (sensitive value) -> (sensitive value) (changed)",
            "  ~ url = (sensitive value) -> (sensitive value) (changed)",
        ]
    );
    // What was recorded in clear before it was a secret, whichever way it is compared.
    assert_eq!(
        shown(
            &list(["a", "hunter2"]),
            &Value::list([Value::str("b"), secret("hunter2")])
        ),
        [
            "  ~ [0] = \"a\" -> \"b\"",
            "  # (1 unchanged attribute hidden)"
        ]
    );
    assert_eq!(
        shown(&Value::str("hunter1"), &secret("hunter2")),
        ["~ (sensitive value) -> (sensitive value) (changed)"]
    );
    let sealed = Value::Secret(Secret::sealed("c2VhbGVk"));
    assert_eq!(
        shown(&sealed, &secret("hunter2")),
        ["~ (sensitive value) -> (sensitive value) (changed)"]
    );
}

#[test]
fn maps_show_what_differs_by_path() {
    let tree = |image: &str, extra: Option<Value>| {
        let spec = map([
            ("image", Value::str(image)),
            ("ports", Value::list([Value::Int(80), Value::Int(443)])),
            ("a.b/c", Value::Bool(true)),
            ("extra", extra.unwrap_or(Value::Null)),
        ]);
        map([("spec", spec), ("name", Value::str("web"))])
    };
    assert_eq!(
        shown(&tree("nginx:1", None), &tree("nginx:2", None)),
        [
            "  ~ spec.image = \"nginx:1\" -> \"nginx:2\"",
            "  # (4 unchanged attributes hidden)"
        ]
    );
    assert_eq!(
        shown(
            &tree("a", None),
            &tree("a", Some(map([("deep", Value::Int(1))])))
        ),
        [
            "  + spec.extra = { deep = 1 }",
            "  # (5 unchanged attributes hidden)"
        ]
    );
    let quoted = |flag| map([("m", map([("a.b/c\n", Value::Bool(flag))]))]);
    assert_eq!(
        shown(&quoted(true), &quoted(false)),
        [r#"  ~ m["a.b/c\n"] = true -> false"#]
    );
    // Null is not set.
    assert_eq!(
        shown(&map([("a", Value::Null)]), &map([])),
        ["  # differs only in order, in spelling, or in what is not set"]
    );
}

#[test]
fn what_is_too_long_for_a_line_is_broken() {
    let long = "x".repeat(60);
    let value = map([
        ("first", Value::str(long.as_str())),
        ("second", list(["a", "b"])),
    ]);
    assert_eq!(
        shown(&map([]), &map([("rule", value)])),
        [
            "  + rule = {".to_owned(),
            format!("  +     first = \"{long}\""),
            "  +     second = [\"a\", \"b\"]".to_owned(),
            "  + }".to_owned(),
        ]
    );
}

#[test]
fn lists_are_aligned() {
    assert_eq!(
        shown(&list(["b", "c", "d"]), &list(["a", "b", "c", "d"])),
        ["  + [0] = \"a\"", "  # (3 unchanged attributes hidden)"]
    );
    assert_eq!(
        shown(&list(["a", "b", "c"]), &list(["a", "x"])),
        [
            "  ~ [1] = \"b\" -> \"x\"",
            "  - [2] = \"c\"",
            "  # (1 unchanged attribute hidden)"
        ]
    );
    let rule =
        |port: i64, source: &str| map([("port", Value::Int(port)), ("source", Value::str(source))]);
    assert_eq!(
        shown(
            &Value::list([rule(1, "a"), rule(2, "b")]),
            &Value::list([rule(1, "a"), rule(2, "c")])
        ),
        [
            "  ~ [1].source = \"b\" -> \"c\"",
            "  # (3 unchanged attributes hidden)"
        ]
    );
}

#[test]
fn items_with_names_are_known_by_them() {
    let item =
        |name: &str, value: i64| map([("name", Value::str(name)), ("value", Value::Int(value))]);
    assert_eq!(
        shown(
            &Value::list([item("a", 1), item("b", 2), item("c", 3)]),
            &Value::list([item("new one", 9), item("c", 3), item("a", 7)]),
        ),
        [
            "  - [b] = { name = \"b\", value = 2 }",
            "  + [\"new one\"] = { name = \"new one\", value = 9 }",
            "  ~ [a].value = 1 -> 7",
            "  # the order differs",
            "  # (3 unchanged attributes hidden)",
        ]
    );
}

#[test]
fn sets_show_what_came_and_went() {
    assert_eq!(
        as_set(
            &list(["a", "b", "c"]),
            &list(["c", "d", "a", "d"]),
            Compare::Set
        ),
        ["  - \"b\"", "  + \"d\"", "  # (2 unchanged items hidden)"]
    );
    assert_eq!(
        as_set(&list(["a", "B"]), &list(["b", "A", "C"]), Compare::CaseFold),
        ["  + \"C\"", "  # (2 unchanged items hidden)"]
    );
    assert_eq!(
        as_set(
            &list(["10.0.0.1/24"]),
            &list(["10.0.0.0/24", "10.1.0.0/24"]),
            Compare::Cidr
        ),
        ["  + \"10.1.0.0/24\"", "  # (1 unchanged item hidden)"]
    );
    assert_eq!(
        as_set(&list(["a", "b"]), &list(["b", "a"]), Compare::Set),
        ["  # differs only in order, in spelling, or in what is not set"]
    );
    let rule = |port: i64, sources: Value| map([("port", Value::Int(port)), ("sources", sources)]);
    assert_eq!(
        as_set(
            &Value::list([rule(22, list(["a", "b"])), rule(80, list(["a"]))]),
            &Value::list([rule(81, list(["a"])), rule(22, list(["b", "a"]))]),
            Compare::Set
        ),
        [
            "  - { port = 80, sources = [\"a\"] }",
            "  + { port = 81, sources = [\"a\"] }",
            "  # (1 unchanged item hidden)",
        ]
    );
    // The only item that is another now is known by what is the same of it.
    let known =
        |ports: &str, sources: Value| map([("ports", Value::str(ports)), ("sources", sources)]);
    assert_eq!(
        as_set(
            &Value::list([known("22", list(["a"])), known("80", list(["a", "b"]))]),
            &Value::list([known("80", list(["c", "a"])), known("22", list(["a"]))]),
            Compare::Set
        ),
        [
            "  - [80].sources[] = \"b\"",
            "  + [80].sources[] = \"c\"",
            "  # (1 unchanged attribute, 2 unchanged items hidden)",
        ]
    );
    let nested = |item: &str| map([("tags", list(["a", item]))]);
    assert_eq!(
        as_set(&nested("b"), &nested("c"), Compare::Set),
        [
            "  - tags[] = \"b\"",
            "  + tags[] = \"c\"",
            "  # (1 unchanged item hidden)",
        ]
    );
}

#[test]
fn artifacts_and_certificates_are_told_in_a_line() {
    let artifact = |version: &str, file: usize| {
        map([
            ("component", Value::str("velero")),
            ("version", Value::str(version)),
            ("file", Value::str(format!("{file}.yaml"))),
        ])
    };
    let all = |version: &str| Value::list([1, 2, 3, 4].map(|file| artifact(version, file)));
    assert_eq!(
        shown(&all("v1"), &all("v2")),
        ["  ~ [0] = velero v1 4 files (unpinned) -> velero v2 4 files (unpinned)"]
    );
    let pem = |body: &str| {
        Value::str(format!(
            "-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"
        ))
    };
    let lines = shown(&pem("AA"), &pem("AB"));
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].starts_with("~ (PEM certificate, sha256:"),
        "{lines:?}"
    );
    assert!(!lines[0].contains("AA"));
    let lines = shown(&pem("AA"), &Value::str("none\nat all\n"));
    assert!(lines[0].ends_with("-> (text of 2 lines)"), "{lines:?}");
}
