//! Texts that are YAML, JSON or TOML.

use super::{map, numbered, print};
use crate::diff::{field, text};
use kplan_model::Value;
use std::fmt::Write as _;

/// A Deployment with a hundred variables.
fn deployment(image: &str, variable: &str) -> String {
    let mut text = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  replicas: 3\n  \
         template:\n    spec:\n      containers:\n      - name: web\n        image: {image}\n        env:\n"
    );
    for number in 0..100 {
        let value = if number == 70 { variable } else { "same" };
        let _ = write!(
            text,
            "        - name: V{number}\n          value: {value}\n"
        );
    }
    text
}

#[test]
fn one_leaf_of_a_big_document_is_its_path() {
    assert_eq!(
        print(&text(
            &deployment("nginx:1", "old"),
            &deployment("nginx:2", "new")
        )),
        [
            "~ spec.template.spec.containers[web].env[V70].value = \"old\" -> \"new\"",
            "~ spec.template.spec.containers[web].image = \"nginx:1\" -> \"nginx:2\"",
            "# (204 unchanged attributes hidden)",
        ]
    );
}

#[test]
fn every_format_is_compared_by_path() {
    let cases = [
        ("{\"a\": {\"b\": [1, 2.5]}}", "{\"a\":{\"b\":[1,2.75]}}"),
        ("a:\n  b:\n  - 1\n  - 2.5\n", "a: {b: [1, 2.75]}\n\n"),
        ("[a]\nb = [1, 2.5]\n", "[a]\nb = [\n  1,\n  2.75,\n]\n"),
    ];
    for (before, after) in cases {
        assert_eq!(
            print(&text(before, after)),
            ["~ a.b[1] = 2.5 -> 2.75", "# (1 unchanged attribute hidden)"]
        );
    }
    assert_eq!(
        print(&text("d = 2026-01-01\ne = 1\n", "d = 2026-01-02\ne = 1\n")),
        [
            "~ d = 2026-01-01 -> 2026-01-02",
            "# (1 unchanged attribute hidden)"
        ]
    );
    // The type of a value is a part of it.
    assert_eq!(
        print(&text("a: 1\nb: x\n", "a: '1'\nb: x\n")),
        ["~ a = 1 -> \"1\"", "# (1 unchanged attribute hidden)"]
    );
    let policy = |action: &str| Value::str(format!(r#"{{"Action":["{action}"],"V":1}}"#));
    assert_eq!(
        print(&field(&policy("s3:Get"), &policy("s3:Put"), None)),
        [
            "  ~ Action[0] = \"s3:Get\" -> \"s3:Put\"",
            "  # (1 unchanged attribute hidden)"
        ]
    );
}

#[test]
fn documents_of_one_file_are_known_by_their_objects() {
    let object = |name: &str, value: i64| {
        format!("kind: ConfigMap\nmetadata:\n  name: {name}\n  namespace: n\ndata:\n  v: {value}\n")
    };
    let before = format!("{}---\n{}", object("a", 1), object("b", 2));
    let after = format!(
        "---\n{}---\n{}---\n{}",
        object("c", 3),
        object("a", 1),
        object("b", 5)
    );
    assert_eq!(
        print(&text(&before, &after)),
        [
            "+ [ConfigMap/n/c] = {",
            "+     data = { v = 3 }",
            "+     kind = \"ConfigMap\"",
            "+     metadata = { name = \"c\", namespace = \"n\" }",
            "+ }",
            "~ [ConfigMap/n/b].data.v = 2 -> 5",
            "# (7 unchanged attributes hidden)",
        ]
    );
}

#[test]
fn a_text_in_a_document_is_compared_by_line_under_its_path() {
    let document = |script: &str| {
        let mut text = "kind: ConfigMap\ndata:\n  other: 1\n  run.sh: |\n".to_owned();
        for line in script.lines() {
            let _ = writeln!(text, "    {line}");
        }
        text
    };
    let script = numbered(40);
    let changed = script.replace("line 20 of it", "line 20 of that");
    let expected = [
        "~ data[\"run.sh\"]:",
        "  # 16 unchanged lines",
        "    line 17 of it",
        "    line 18 of it",
        "    line 19 of it",
        "  - line 20 of «it»",
        "  + line 20 of «that»",
        "    line 21 of it",
        "    line 22 of it",
        "    line 23 of it",
        "  # 17 unchanged lines",
        "# (2 unchanged attributes hidden)",
    ];
    assert_eq!(
        print(&text(&document(&script), &document(&changed))),
        expected
    );
    let value = |script: &str| map([("data", map([("run.sh", Value::str(script))]))]);
    let lines = print(&field(&value(&script), &value(&changed), None));
    let under: Vec<String> = expected[..11]
        .iter()
        .map(|line| format!("  {line}"))
        .collect();
    assert_eq!(lines, under);
}

#[test]
fn the_same_document_in_other_words_is_said_and_shown_by_line() {
    assert_eq!(
        print(&text("a: 1\nb: [x]\n", "# why\nb: [x]\na: 1\n")),
        [
            "# the same YAML: only comments, order or layout differ",
            "- a: 1",
            "+ # why",
            "  b: [x]",
            "+ a: 1",
        ]
    );
    assert_eq!(
        print(&text("{\"a\": 1}", "{\"a\":1}")),
        [
            "# the same JSON: only comments, order or layout differ",
            "# whitespace only",
            "- {\"a\":·1}",
            "+ {\"a\":1}",
        ]
    );
}

#[test]
fn what_is_no_document_is_compared_by_line() {
    let cases = [
        // A name stands twice.
        (
            "a: 1\na: 2\n",
            "a: 1\na: 3\n",
            ["  a: 1", "- a: «2»", "+ a: «3»"],
        ),
        // Tags.
        (
            "a: !x 1\nb: 1\n",
            "a: !x 1\nb: 2\n",
            ["  a: !x 1", "- b: «1»", "+ b: «2»"],
        ),
        // Templates.
        (
            "a: {{ x }}\nb: 1\n",
            "a: {{ x }}\nb: 2\n",
            ["  a: {{ x }}", "- b: «1»", "+ b: «2»"],
        ),
        // Comments only.
        ("# a\n# b\n", "# a\n# c\n", ["  # a", "- # «b»", "+ # «c»"]),
    ];
    for (before, after, expected) in cases {
        assert_eq!(print(&text(before, after)), expected);
    }
}

#[test]
fn a_document_that_is_longer_by_path_is_compared_by_line() {
    let before = "a:\n  b: {x: 1, y: 2, z: 3}\n";
    let after =
        "a:\n  c: {x: 1, y: 2, z: 3, text: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}\n";
    assert_eq!(
        print(&text(before, after)),
        [
            "  a:",
            "-   «b:» {x: 1, y: 2, z: «3}»",
            "+   «c:» {x: 1, y: 2, z: «3, text: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}»",
        ]
    );
}

#[test]
fn the_data_of_a_secret_is_not_shown_wherever_it_stands() {
    let object = |token: &str, note: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\n  annotations:\n    note: {note}\n    \
             kubectl.kubernetes.io/last-applied-configuration: '{{\"data\":\"{token}\"}}'\n\
             data:\n  token: {token}\nstringData: {{n: 1}}\n"
        )
    };
    let (old, new) = (object("aHVudGVyMg==", "x"), object("aHVudGVyMw==", "y"));
    assert_eq!(
        print(&text(&old, &new)),
        [
            "~ data.token = (sensitive value) -> (sensitive value) (changed)",
            "~ metadata.annotations[\"kubectl.kubernetes.io/last-applied-configuration\"] = \
             (sensitive value) -> (sensitive value) (changed)",
            "~ metadata.annotations.note = \"x\" -> \"y\"",
            "# (4 unchanged attributes hidden)",
        ]
    );
    let broken = |text: &str| format!("{text}: :\n");
    let inside = |text: &str| {
        let lines: String = text.lines().flat_map(|line| ["    ", line, "\n"]).collect();
        format!("kind: ConfigMap\ndata:\n  s.yaml: |\n{lines}  x: 1\n")
    };
    let json = |token: &str| format!("echo '{{\"kind\": \"Secret\", \"data\": \"{token}\"}}'\nx\n");
    let cases = [
        (String::new(), new.clone()),
        (old.clone(), String::new()),
        (old.clone(), format!("# why\n{old}")),
        (broken(&old), broken(&new)),
        (inside(&old), inside(&new)),
        (inside(&old), "kind: ConfigMap\ndata: {}\n".to_owned()),
        (json("aHVudGVyMg=="), json("aHVudGVyMw==")),
        (format!("{old}---\n{old}"), new.clone()),
    ];
    for (before, after) in cases {
        let lines = print(&text(&before, &after));
        assert!(!lines.is_empty());
        assert!(
            !lines.iter().any(|line| line.contains("aHVudGVy")),
            "{lines:#?}"
        );
        let lines = print(&field(&Value::str(before), &Value::str(after), None));
        assert!(!lines.is_empty());
        assert!(
            !lines.iter().any(|line| line.contains("aHVudGVy")),
            "{lines:#?}"
        );
    }
}

#[test]
fn bombs_and_depths_are_compared_by_line() {
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    let mut last = 'a';
    for next in 'b'..='i' {
        let items = vec![format!("*{last}"); 9].join(", ");
        let _ = writeln!(bomb, "{next}: &{next} [{items}]");
        last = next;
    }
    let deep = "[".repeat(200_000);
    let block: String = (0..300)
        .flat_map(|n| [" ".repeat(n), "a:\n".to_owned()])
        .collect();
    let long = numbered(20_000).replace(" of", ": of");
    for document in [bomb, deep, block, long] {
        let lines = print(&text(
            &format!("{document}\nz: 1\n"),
            &format!("{document}\nz: 2\n"),
        ));
        let end: Vec<&str> = lines.iter().rev().take(2).map(String::as_str).collect();
        assert_eq!(end, ["+ z: «2»", "- z: «1»"]);
    }
}
