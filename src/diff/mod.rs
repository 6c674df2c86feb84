//! What differs between two values, as lines that say it: for the plan on a terminal, in Markdown
//! and in JSON. Nothing here renders: no colour, no signs, no width.
//!
//! How a diff is chosen is told in `docs/internals/diffs.md`. In short: a secret is masked before
//! anything is compared in words; maps, lists and texts that are YAML, JSON or TOML are compared
//! by path; every other text of several lines by line; what is encoded is decoded first.
//!
//! Same inputs, same lines: what takes too long is bounded by sizes, never by a clock.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod align;
mod choose;
mod decode;
mod kubernetes;
mod lines;
mod node;
mod structure;
#[cfg(test)]
mod tests;
mod tree;

use crate::diff::node::{Node, Reading};
use crate::diff::tree::Differ;
use kplan_model::{Field, Value};
use serde::{Deserialize, Serialize};

/// What a line of a diff says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tag {
    /// It is in both.
    Same,
    /// It is in the old value only.
    Removed,
    /// It is in the new value only.
    Added,
    /// It is in both and differs, as `"a" -> "b"`; or it names what the lines below it, one
    /// level deeper, say of it.
    Changed,
    /// It is said about the diff: `whitespace only`, `210 unchanged lines`.
    Note,
}

/// A part of a line. It holds no control character but the tab.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// What it says.
    pub text: String,
    /// Whether these are the words of a replaced line that differ.
    pub strong: bool,
}

impl Piece {
    /// A part of a line, with everything that could move a cursor made visible.
    fn new(text: &str, strong: bool) -> Self {
        let text = text.chars().fold(String::new(), |mut out, c| {
            visible(&mut out, c);
            out
        });
        Self { text, strong }
    }
}

/// One line of a diff.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What it says.
    pub tag: Tag,
    /// How many levels it stands below the field's own line. A line of level 0 that [`field`]
    /// gives is the only one, and belongs behind the field's name.
    pub indent: usize,
    /// Its text; none for an empty line.
    pub pieces: Vec<Piece>,
}

impl Line {
    fn new(tag: Tag, indent: usize, text: &str) -> Self {
        let pieces = if text.is_empty() {
            Vec::new()
        } else {
            vec![Piece::new(text, false)]
        };
        Self {
            tag,
            indent,
            pieces,
        }
    }

    fn note(indent: usize, text: &str) -> Self {
        Self::new(Tag::Note, indent, text)
    }

    /// Its text without emphasis.
    pub fn text(&self) -> String {
        self.pieces
            .iter()
            .map(|piece| piece.text.as_str())
            .collect()
    }
}

/// The lines for one changed field; `field` is the kind's table entry, if known. Values of one
/// line give one line of level 0, such as `1 -> 2`; everything else stands below the field, from
/// level 1 on. Equal values give none.
pub fn field(before: &Value, after: &Value, field: Option<&Field>) -> Vec<Line> {
    if before == after {
        return Vec::new();
    }
    if field.is_some_and(|field| field.secret) {
        return vec![masked(before, after)];
    }
    let how = Reading::new(field.map(|field| field.compare), [before, after]);
    let mut differ = Differ::new(1, 0);
    differ.compare(&Node::of(before, &how), &Node::of(after, &how));
    let mut found = differ.finish();
    match found.lines.as_mut_slice() {
        [] => found.lines.push(Line::note(
            1,
            "differs only in order, in spelling, or in what is not set",
        )),
        [line] if found.whole => line.indent = 0,
        _ => {}
    }
    found.lines
}

/// The lines for a text on its own, from level 0 on. Equal texts give none.
pub fn text(before: &str, after: &str) -> Vec<Line> {
    if before == after {
        return Vec::new();
    }
    choose::always(before, after, 0, 0).lines
}

/// A field that is secret as a whole.
fn masked(before: &Value, after: &Value) -> Line {
    let show = |value: &Value| match value {
        Value::Null => "null",
        value if !value.is_known() => node::UNKNOWN,
        _ => node::SENSITIVE,
    };
    let (before, after) = (show(before), show(after));
    let changed = if before == node::SENSITIVE && after == node::SENSITIVE {
        " (changed)"
    } else {
        ""
    };
    Line::new(Tag::Changed, 0, &format!("{before} -> {after}{changed}"))
}

/// Appends a character as it may be shown: control characters, and those that turn the direction
/// of a text around, as their escape; a carriage return as its symbol.
fn visible(out: &mut String, c: char) {
    let turns = matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}');
    match c {
        '\t' => out.push(c),
        '\r' => out.push('␍'),
        '\n' => out.push('␊'),
        c if c.is_control() || turns => out.extend(c.escape_unicode()),
        c => out.push(c),
    }
}
