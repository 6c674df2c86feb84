//! Expected diffs, written out, and what holds for all of them.

mod documents;
mod encoded;
mod properties;
mod texts;
mod values;

use super::{Line, Tag};
use kplan_model::{Object, Secret, Value};

/// Lines as tests read them: two columns for a level, a sign, and `«»` around what is strong.
fn print(lines: &[Line]) -> Vec<String> {
    lines.iter().map(print_one).collect()
}

fn print_one(line: &Line) -> String {
    let sign = match line.tag {
        Tag::Same => ' ',
        Tag::Removed => '-',
        Tag::Added => '+',
        Tag::Changed => '~',
        Tag::Note => '#',
    };
    let text: String = line
        .pieces
        .iter()
        .map(|piece| {
            if piece.strong {
                format!("«{}»", piece.text)
            } else {
                piece.text.clone()
            }
        })
        .collect();
    format!("{}{sign} {text}", "  ".repeat(line.indent))
}

fn map<const N: usize>(pairs: [(&str, Value); N]) -> Value {
    let pairs = pairs.into_iter();
    Value::Map(
        pairs
            .map(|(name, value)| (name.to_owned(), value))
            .collect::<Object>(),
    )
}

fn list<const N: usize>(items: [&str; N]) -> Value {
    Value::list(items.map(Value::str))
}

fn secret(text: &str) -> Value {
    Value::Secret(Secret::new(text))
}

/// A text of that many lines, each known by its number.
fn numbered(count: usize) -> String {
    (1..=count).fold(String::new(), |text, n| text + &format!("line {n} of it\n"))
}
