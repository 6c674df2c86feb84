//! One block of a file, as text: keys in a column, long lists on lines of their own.

use crate::render::value::is_hidden;
use std::fmt::Write as _;

/// What something is called at DigitalOcean: its kind and id.
pub type Key = (&'static str, String);

/// A list longer than this stands on several lines.
const ONE_LINE: usize = 70;

/// A table of the file, and which resources it describes.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// `[servers]`, `[[droplet]]`.
    pub header: String,
    /// Comments above it.
    pub notes: Vec<String>,
    /// What it describes, each with its address in the file.
    pub holds: Vec<(Key, String)>,
    rows: Vec<(&'static str, String)>,
}

impl Block {
    /// One without keys.
    pub(super) fn new(header: impl Into<String>) -> Self {
        Self {
            header: header.into(),
            notes: Vec::new(),
            holds: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Says what it describes.
    pub(super) fn holding(mut self, key: Key, address: impl Into<String>) -> Self {
        self.holds.push((key, address.into()));
        self
    }

    /// A key with a value that is TOML already.
    pub(super) fn row(&mut self, key: &'static str, toml: impl Into<String>) {
        self.rows.push((key, toml.into()));
    }

    /// A key with text.
    pub(super) fn text(&mut self, key: &'static str, text: &str) {
        self.row(key, quoted(text));
    }

    /// A key with text, where there is any.
    pub(super) fn optional(&mut self, key: &'static str, text: Option<&str>) {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.text(key, text);
        }
    }

    /// A key with a list of texts, where there are any.
    pub(super) fn texts<T: AsRef<str>>(&mut self, key: &'static str, texts: &[T]) {
        if !texts.is_empty() {
            let all: Vec<String> = texts.iter().map(|text| quoted(text.as_ref())).collect();
            self.row(key, list(&all));
        }
    }

    /// A key with a list of tables, one a line, where there are any.
    pub(super) fn tables(&mut self, key: &'static str, tables: &[Inline]) {
        if !tables.is_empty() {
            self.row(key, lines(tables.iter().map(Inline::as_toml)));
        }
    }

    /// A flag, where it is not as it would be without.
    pub(super) fn flag(&mut self, key: &'static str, flag: bool, otherwise: bool) {
        if flag != otherwise {
            self.row(key, flag.to_string());
        }
    }

    /// All of it.
    pub(super) fn as_toml(&self) -> String {
        let mut out = String::new();
        for note in &self.notes {
            let _ = writeln!(out, "# {note}");
        }
        let _ = writeln!(out, "{}", self.header);
        let width = self.rows.iter().map(|(key, _)| key.len()).max();
        let width = width.unwrap_or_default();
        for (key, value) in &self.rows {
            let _ = writeln!(out, "{key:width$} = {value}");
        }
        out
    }
}

/// A table within `{}`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Inline(Vec<String>);

impl Inline {
    /// A key with a value that is TOML already.
    pub(super) fn row(&mut self, key: &str, toml: impl std::fmt::Display) {
        self.0.push(format!("{key} = {toml}"));
    }

    /// A key with text, where there is any.
    pub(super) fn optional(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.row(key, quoted(text));
        }
    }

    /// A key with a list of texts, where there are any.
    pub(super) fn texts<T: AsRef<str>>(&mut self, key: &str, texts: &[T]) {
        if !texts.is_empty() {
            let all: Vec<String> = texts.iter().map(|text| quoted(text.as_ref())).collect();
            self.row(key, format!("[{}]", all.join(", ")));
        }
    }

    /// All of it.
    pub(super) fn as_toml(&self) -> String {
        format!("{{ {} }}", self.0.join(", "))
    }
}

/// Text as a TOML string: JSON's escapes are TOML's. What is not seen is escaped besides, so that the
/// file is read as it is shown.
pub(super) fn quoted(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_hidden(c) {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

fn list(values: &[String]) -> String {
    let short = format!("[{}]", values.join(", "));
    if short.len() <= ONE_LINE {
        return short;
    }
    lines(values.iter().cloned())
}

fn lines(values: impl Iterator<Item = String>) -> String {
    let mut out = String::from("[\n");
    for value in values {
        let _ = writeln!(out, "    {value},");
    }
    out.push(']');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stand_in_a_column_and_text_stays_what_it_is() {
        let mut block = Block::new("[[droplet]]");
        block.text("name", "web \"1\"\n[x]\u{7f}\u{1}\u{202e}é");
        block.texts("tags", &["a", "b"]);
        block.flag("monitoring", true, true);
        block.flag("backups", true, false);
        block.optional("vpc", None);
        let text = block.as_toml();
        let read: toml::Table = toml::from_str(&text).expect("TOML");
        let droplet = &read["droplet"][0];
        assert_eq!(
            droplet["name"].as_str(),
            Some("web \"1\"\n[x]\u{7f}\u{1}\u{202e}é")
        );
        assert_eq!(droplet["tags"].as_array().map(Vec::len), Some(2));
        assert_eq!(droplet.as_table().map(toml::Table::len), Some(3));
        assert!(
            text.contains("\nbackups = true\n") && text.contains("\ntags    = [\"a\", \"b\"]\n")
        );
    }

    #[test]
    fn tables_in_a_list_have_a_line_each() {
        let mut rule = Inline::default();
        rule.row("protocol", quoted("tcp"));
        rule.texts("source_tags", &["web"]);
        rule.optional("port_range", Some(""));
        let mut block = Block::new("[[firewall]]");
        block.tables("inbound_rule", &[rule]);
        assert_eq!(
            block.as_toml(),
            "[[firewall]]\ninbound_rule = [\n    { protocol = \"tcp\", source_tags = [\"web\"] },\n]\n"
        );
        assert!(
            list(&vec!["\"a-long-tag\"".to_owned(); 9]).starts_with("[\n    \"a-long-tag\",\n")
        );
    }
}
