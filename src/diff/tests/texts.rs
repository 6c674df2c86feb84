//! Texts of several lines that are no documents.

use super::{numbered, print};
use crate::diff::{field, text};
use kplan_model::Value;

#[test]
fn one_changed_line_of_300_is_at_most_12_lines() {
    let before = numbered(300);
    let after = before.replace("line 150 of it", "line 150 of that");
    let lines = print(&text(&before, &after));
    assert_eq!(
        lines,
        [
            "# 146 unchanged lines",
            "  line 147 of it",
            "  line 148 of it",
            "  line 149 of it",
            "- line 150 of «it»",
            "+ line 150 of «that»",
            "  line 151 of it",
            "  line 152 of it",
            "  line 153 of it",
            "# 147 unchanged lines",
        ]
    );
    assert!(lines.len() <= 12);
    let lines = field(&Value::str(before), &Value::str(after), None);
    assert!(lines.len() <= 12);
    assert!(lines.iter().all(|line| line.indent == 1));
}

#[test]
fn hunks_are_parted_by_what_is_between() {
    let before = numbered(30);
    let after = before
        .replace("line 1 of it\n", "")
        .replace("line 9 of it\n", "line 9 of it\nnew\n")
        .replace("line 26 of it\n", "");
    assert_eq!(
        print(&text(&before, &after)),
        [
            "- line 1 of it",
            "  line 2 of it",
            "  line 3 of it",
            "  line 4 of it",
            "# 2 unchanged lines",
            "  line 7 of it",
            "  line 8 of it",
            "  line 9 of it",
            "+ new",
            "  line 10 of it",
            "  line 11 of it",
            "  line 12 of it",
            "# 10 unchanged lines",
            "  line 23 of it",
            "  line 24 of it",
            "  line 25 of it",
            "- line 26 of it",
            "  line 27 of it",
            "  line 28 of it",
            "  line 29 of it",
            // A note would be no shorter.
            "  line 30 of it",
        ]
    );
}

#[test]
fn whitespace_alone_is_said_and_made_visible() {
    assert_eq!(
        print(&text("a b\n\tc\nd\n", "a b  \n  c\nd\n")),
        [
            "# whitespace only",
            "- a·b",
            "- «→»c",
            "+ a·b«··»",
            "+ «··»c",
            "  d",
        ]
    );
    assert_eq!(
        print(&text("a\nb\n", "a\r\nb\r\n")),
        ["# whitespace only", "- a", "- b", "+ a␍", "+ b␍"]
    );
    assert_eq!(
        print(&text("a\nb\n", "a\nb")),
        [
            "# whitespace only",
            "  a",
            "- b",
            "+ b",
            "# no newline at the end",
        ]
    );
    assert_eq!(
        print(&text("a\nb", "a\nc\n")),
        ["  a", "- b", "# no newline at the end", "+ c"]
    );
    let before = numbered(300);
    let lines = print(&text(&before, &before.replace('\n', "\r\n")));
    assert_eq!(lines.len(), 14);
    assert_eq!(lines[0], "# whitespace only");
    assert_eq!(lines[13], "# 588 more lines differ in whitespace only");
}

#[test]
fn whitespace_at_the_end_of_a_line_that_differs_is_visible() {
    assert_eq!(
        print(&text("one two\nb\n", "one three \nb\n")),
        ["- one «two»", "+ one «three·»", "  b"]
    );
}

#[test]
fn nothing_moves_the_cursor() {
    assert_eq!(
        print(&text(
            "a\u{1b}[2J\nb\u{7}\n",
            "a\u{1b}[2J\nc\u{8}\rd\u{202e}\n"
        )),
        ["  a\\u{1b}[2J", "- b\\u{7}", "+ c\\u{8}␍d\\u{202e}",]
    );
}

#[test]
fn what_comes_and_goes_is_shown_whole() {
    let lines = ["+ a", "+ b"];
    assert_eq!(print(&text("", "a\nb\n")), lines);
    assert_eq!(print(&text("", "a\nb")), lines);
    assert_eq!(
        print(&field(&Value::Null, &Value::str("a\nb\n"), None)),
        ["  + a", "  + b"]
    );
    assert_eq!(
        print(&field(&Value::str("a\nb\n"), &Value::Null, None)),
        ["  - a", "  - b"]
    );
    assert_eq!(
        print(&field(&Value::str("a\nb\n"), &Value::Unknown, None)),
        ["~ (text of 2 lines) -> (known after apply)"]
    );
    assert_eq!(print(&text("one", "two")), ["- one", "+ two"]);
}

#[test]
fn too_many_lines_in_a_row_are_not_aligned() {
    let (before, after) = (numbered(1_500), numbered(1_500).replace("of it", "of that"));
    let lines = text(
        &format!("top\n{before}end\n"),
        &format!("top\n{after}end\n"),
    );
    assert_eq!(
        lines[0].text(),
        "more than 2000 lines in a row differ: not compared line by line"
    );
    assert_eq!(lines.len(), 3_003);
    assert_eq!(
        (lines[1].text(), lines[3_002].text()),
        ("top".into(), "end".into())
    );
}

#[test]
fn far_more_lines_are_aligned_by_those_that_are_there_once() {
    let before = numbered(50_000);
    let after = before
        .replace("line 7 of it\n", "")
        .replace("line 49999 of", "line 49999 no");
    let lines = print(&text(&before, &after));
    assert_eq!(lines.len(), 15);
    assert_eq!(lines[4], "- line 7 of it");
    assert_eq!(lines[8], "# 49985 unchanged lines");
    assert_eq!(
        lines[12..14],
        ["- line 49999 «of» it", "+ line 49999 «no» it"]
    );
    // Moved to the end.
    let moved = format!("{}line 7 of it\n", before.replace("line 7 of it\n", ""));
    let lines = print(&text(&before, &moved));
    assert_eq!(lines.len(), 13);
    assert_eq!(lines[12], "+ line 7 of it");
}
