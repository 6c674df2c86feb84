//! Values as people read them.

use crate::render::fold;
use kplan_model::{Object, Text, Value};
use std::fmt::Write as _;

/// What a value looks like in a plan: `"text"`, `3`, `(known after apply)`, `(sensitive value)`.
/// Lists and maps are broken over lines when they are long; `indent` is where the value's own
/// line starts.
pub fn show(value: &Value, indent: usize) -> String {
    shown(value, indent, LINES)
}

/// The same with every line of every text.
pub fn show_whole(value: &Value, indent: usize) -> String {
    shown(value, indent, usize::MAX)
}

fn shown(value: &Value, indent: usize, most: usize) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Str(text) => fold::pem(text).unwrap_or_else(|| text_of(text, indent, most)),
        Value::Secret(_) => "(sensitive value)".to_owned(),
        Value::Ref(_) | Value::Unknown => "(known after apply)".to_owned(),
        Value::List(items) => list(items, indent, most),
        Value::Map(map) => fold::artifact(map).unwrap_or_else(|| object(map, indent, most)),
    }
}

/// More lines of a text than these are counted instead of shown.
pub const LINES: usize = 12;

/// Text of one line in quotes; of several, each on its own line between `<<-EOT` and `EOT`.
fn text_of(text: &str, indent: usize, most: usize) -> String {
    if !text.trim_end_matches('\n').contains('\n') {
        return quote(text);
    }
    let pad = " ".repeat(indent + 4);
    let all = text.lines().count();
    let mut out = String::from("<<-EOT\n");
    for line in text.lines().take(most) {
        out.push_str(&pad);
        out.push_str(&printable(line));
        out.push('\n');
    }
    if all > most {
        let _ = writeln!(out, "{pad}# ({} more lines)", all - most);
    }
    out.push_str(&" ".repeat(indent));
    out.push_str("EOT");
    out
}

/// Whether a character is not seen and changes how others are shown: it moves the cursor, begins a line,
/// or turns the direction of what follows.
pub fn is_hidden(c: char) -> bool {
    let turns =
        matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || c == '\u{feff}'
}

/// Without what could move the cursor or turn the text around.
pub fn printable(line: &str) -> String {
    line.chars()
        .filter(|c| !is_hidden(*c) || *c == '\t')
        .collect()
}

/// The first of several, with how many more there are.
pub fn some(all: &[impl ToString], most: usize) -> String {
    let named: Vec<String> = all.iter().take(most).map(ToString::to_string).collect();
    match all.len().saturating_sub(most) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// Text in quotes with control characters made visible, so that no value can move the cursor.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_hidden(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn list(items: &[Value], indent: usize, most: usize) -> String {
    let short: Vec<String> = fold::artifacts(items).unwrap_or_else(|| {
        items
            .iter()
            .map(|item| shown(item, indent + 4, most))
            .collect()
    });
    let inline = format!("[{}]", short.join(", "));
    if inline.len() <= 72 && !inline.contains('\n') {
        return inline;
    }
    let pad = " ".repeat(indent + 4);
    let lines: Vec<String> = short.iter().map(|item| format!("{pad}{item},")).collect();
    format!("[\n{}\n{}]", lines.join("\n"), " ".repeat(indent))
}

/// Whether there is nothing to read in it.
pub fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::List(items) => items.is_empty(),
        _ => false,
    }
}

fn object(map: &Object, indent: usize, most: usize) -> String {
    if map.is_empty() {
        return "{}".to_owned();
    }
    let set: Vec<(&Text, &Value)> = map.iter().filter(|(_, value)| !is_nothing(value)).collect();
    let width = set.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let pad = " ".repeat(indent + 4);
    let lines: Vec<String> = set
        .into_iter()
        .map(|(name, value)| format!("{pad}{name:width$} = {}", shown(value, indent + 4, most)))
        .collect();
    format!("{{\n{}\n{}}}", lines.join("\n"), " ".repeat(indent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kplan_model::Secret;

    #[test]
    fn secrets_and_control_characters_are_never_printed() {
        assert_eq!(
            show(&Value::Secret(Secret::new("hunter2")), 0),
            "(sensitive value)"
        );
        assert_eq!(quote("a\u{1b}[2Jb\n"), "\"a\\u{1b}[2Jb\\n\"");
    }

    #[test]
    fn short_lists_stay_on_one_line() {
        let value = Value::list([Value::Int(1), Value::str("a")]);
        assert_eq!(show(&value, 0), "[1, \"a\"]");
    }
}
