//! Texts that stand for other texts: base64, gzip, and the files of cloud-init.

use super::{map, numbered, print};
use crate::diff::{field, text};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use kplan_model::Value;
use std::io::Write as _;

fn base64(text: impl AsRef<[u8]>) -> String {
    STANDARD.encode(text)
}

fn gzip(text: impl AsRef<[u8]>) -> String {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_ref()).unwrap();
    base64(encoder.finish().unwrap())
}

#[test]
fn base64_and_gzip_are_decoded_first() {
    let before = numbered(300);
    let after = before.replace("line 150 of it", "line 150 of that");
    let expected = [
        "  # 146 unchanged lines",
        "    line 147 of it",
        "    line 148 of it",
        "    line 149 of it",
        "  - line 150 of «it»",
        "  + line 150 of «that»",
        "    line 151 of it",
        "    line 152 of it",
        "    line 153 of it",
        "  # 147 unchanged lines",
    ];
    let cases = [
        (base64(&before), base64(&after), "  # base64, decoded"),
        (gzip(&before), gzip(&after), "  # gzip in base64, decoded"),
        (
            base64(&before),
            gzip(&after),
            "  # base64 -> gzip in base64, decoded",
        ),
        (
            before.clone(),
            base64(&after),
            "  # plain text -> base64, decoded",
        ),
        (
            base64(&before),
            after.clone(),
            "  # base64 -> plain text, decoded",
        ),
    ];
    for (old, new, note) in cases {
        let lines = print(&field(&Value::str(old), &Value::str(new), None));
        assert_eq!(lines[0], note);
        assert_eq!(lines[1..], expected);
        assert!(lines.len() <= 12);
    }
    let value = |text: &str| map([("m", map([("v", Value::str(base64(text)))]))]);
    assert_eq!(
        print(&field(
            &value("a: 1\nb: two words\n"),
            &value("a: 2\nb: two words\n"),
            None
        )),
        [
            "  ~ m.v:",
            "    # base64, decoded",
            "    ~ a = 1 -> 2",
            "    # (1 unchanged attribute hidden)",
        ]
    );
}

#[test]
fn encoded_another_way_is_the_same() {
    let all = base64(numbered(3));
    let (first, rest) = all.split_at(20);
    assert_eq!(
        print(&text(&all, &format!("{first}\n{rest}\n"))),
        ["# base64, decoded", "# decoded, both are the same"]
    );
}

#[test]
fn what_is_no_text_in_base64_is_left_alone() {
    let bytes: Vec<u8> = (100..200).collect();
    let bomb = gzip(vec![b'a'; 2 * 1024 * 1024]);
    for (before, after) in [
        (base64(&bytes), base64(&bytes[1..])),
        (base64("a short one"), base64("another one")),
        ("sha256".repeat(4), "abcdefghijklmnopqrstuvwx".to_owned()),
        (bomb.clone(), "x".to_owned()),
        (base64("a\u{1b}[2J and so on and on"), "x".to_owned()),
    ] {
        let lines = print(&field(
            &Value::str(before.as_str()),
            &Value::str(after.as_str()),
            None,
        ));
        assert_eq!(lines, [format!("~ \"{before}\" -> \"{after}\"")]);
    }
}

fn cloud_config(files: &[(&str, &str, &str)]) -> String {
    let mut text = "#cloud-config\nssh_pwauth: false\nwrite_files:\n".to_owned();
    for (path, encoding, content) in files {
        text.push_str("  - path: ");
        text.push_str(path);
        if !encoding.is_empty() {
            text.push_str("\n    encoding: ");
            text.push_str(encoding);
        }
        text.push_str("\n    content: |\n");
        for line in content.lines() {
            text.push_str("      ");
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[test]
fn the_files_of_cloud_init_are_decoded_and_known_by_their_path() {
    let script = numbered(300);
    let changed = script.replace("line 150 of it", "line 150 of that");
    let hunk = [
        "  # 146 unchanged lines",
        "    line 147 of it",
        "    line 148 of it",
        "    line 149 of it",
        "  - line 150 of «it»",
        "  + line 150 of «that»",
        "    line 151 of it",
        "    line 152 of it",
        "    line 153 of it",
        "  # 147 unchanged lines",
    ];
    for encoding in [
        "",
        "b64",
        "base64",
        "gz+b64",
        "gz+base64",
        "gzip+b64",
        "gzip+base64",
        "gzip",
    ] {
        let content = |text: &str| match encoding {
            "" => text.to_owned(),
            "b64" | "base64" => base64(text),
            _ => gzip(text),
        };
        let path = "/usr/local/sbin/kplan-boot";
        let config = |text: &str| {
            cloud_config(&[("/etc/motd", "", "hello"), (path, encoding, &content(text))])
        };
        let lines = print(&text(&config(&script), &config(&changed)));
        assert_eq!(
            lines[0],
            "~ write_files[/usr/local/sbin/kplan-boot].content:"
        );
        let unchanged = if encoding.is_empty() { 4 } else { 5 };
        let how = match encoding {
            "" => None,
            "b64" | "base64" => Some("  # base64, decoded"),
            _ => Some("  # gzip in base64, decoded"),
        };
        let from = 1 + usize::from(how.is_some());
        assert_eq!(lines.get(1).map(String::as_str).filter(|_| from == 2), how);
        assert_eq!(lines[from..from + 10], hunk);
        assert_eq!(
            lines[from + 10..],
            [format!("# ({unchanged} unchanged attributes hidden)")]
        );
    }
}

#[test]
fn the_files_of_cloud_init_are_documents_too() {
    let before = cloud_config(&[("/a.yaml", "b64", &base64("a: 1\nb: 2\n")), ("/b", "", "x")]);
    let after = cloud_config(&[("/c", "", "x"), ("/a.yaml", "b64", &base64("a: 1\nb: 3\n"))]);
    assert_eq!(
        print(&text(&before, &after)),
        [
            "- write_files[/b] = { content = \"x\\n\", path = \"/b\" }",
            "+ write_files[/c] = { content = \"x\\n\", path = \"/c\" }",
            "~ write_files[/a.yaml].content:",
            "  # base64, decoded",
            "  ~ b = 2 -> 3",
            "  # (1 unchanged attribute hidden)",
            "# (3 unchanged attributes hidden)",
        ]
    );
}
