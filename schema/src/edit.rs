//! Edits of a `cluster.toml` that leave every other byte as it was: comments, order, layout. What is
//! taken out of a table of its own stays in the file as a comment, with the reason above it.

use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// A file that is being edited.
#[derive(Clone, Debug)]
pub struct Text(String);

/// A key and its value.
struct Entry {
    key: Range<usize>,
    value: Range<usize>,
    /// Whether the table it is in stands within `{}`.
    inline: bool,
}

/// A table with a header line.
struct Section {
    header: Range<usize>,
    path: Vec<String>,
}

impl Text {
    /// Of a file.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// As it is now.
    pub fn into_string(self) -> String {
        self.0
    }

    /// Puts another value, which is TOML, in the place of the one that is there.
    pub fn set(&mut self, path: &[&str], value: &str) {
        if let Some(entry) = self.entry(path) {
            self.0.replace_range(entry.value, value);
        }
    }

    /// Puts other entries, which are TOML, in the place of one. In a table of its own each stands
    /// on a line of its own, and the old one stays as a comment.
    pub fn exchange(&mut self, path: &[&str], with: &[String], why: &str) {
        let Some(entry) = self.entry(path) else {
            return;
        };
        if entry.inline {
            self.0
                .replace_range(entry.key.start..entry.value.end, &with.join(", "));
            return;
        }
        let lines = self.lines(entry.key.start..entry.value.end);
        let mut next = commented(&self.0[lines.clone()], why);
        for line in with {
            next.push_str(line);
            next.push('\n');
        }
        self.0.replace_range(lines, &next);
    }

    /// Takes out an entry, or a table with all that is in it. What is not there is out already.
    pub fn take_out(&mut self, path: &[&str], why: &str) {
        let is_below = |section: &Section| {
            section
                .path
                .iter()
                .map(String::as_str)
                .take(path.len())
                .eq(path.iter().copied())
        };
        // From the last one on, so that what was found before stays where it is.
        let mut below: Vec<Range<usize>> = self.bodies(is_below);
        let first = below.first().map(|body| body.start);
        while let Some(body) = below.pop() {
            let why = if Some(body.start) == first { why } else { "" };
            let next = commented(&self.0[body.clone()], why);
            self.0.replace_range(body, &next);
        }
        let Some(entry) = self.entry(path) else {
            return;
        };
        if entry.inline {
            let gone = self.with_comma(entry.key.start..entry.value.end);
            self.0.replace_range(gone, "");
        } else {
            let lines = self.lines(entry.key.start..entry.value.end);
            let next = commented(&self.0[lines.clone()], why);
            self.0.replace_range(lines, &next);
        }
    }

    /// Adds text behind the end.
    pub fn append(&mut self, text: &str) {
        if !self.0.ends_with('\n') {
            self.0.push('\n');
        }
        self.0.push('\n');
        self.0.push_str(text);
    }

    /// An entry, but for tables with a header: those have no key on a line.
    fn entry(&self, path: &[&str]) -> Option<Entry> {
        let root = DeTable::parse(&self.0).ok()?;
        let mut table = root.get_ref();
        let mut inline = false;
        let (last, above) = path.split_last()?;
        for name in above {
            let (_, value) = table.get_key_value(*name)?;
            inline |= self.0[value.span()].starts_with('{');
            table = value.get_ref().as_table()?;
        }
        let (key, value) = table.get_key_value(*last)?;
        let text = &self.0[value.span()];
        let has_header = match value.get_ref() {
            DeValue::Table(_) => !text.starts_with('{'),
            DeValue::Array(_) => text.starts_with("[["),
            _ => false,
        };
        (!has_header).then(|| Entry {
            key: key.span(),
            value: value.span(),
            inline,
        })
    }

    /// From the line of each header that fits to the last line that belongs to it: blank lines and
    /// comments before the next header are that one's.
    fn bodies(&self, fits: impl Fn(&Section) -> bool) -> Vec<Range<usize>> {
        let sections = self.sections();
        let ends = sections.iter().skip(1).map(|next| next.header.start);
        let ends = ends.chain([self.0.len()]);
        let body = |(section, end): (&Section, usize)| {
            let start = self.lines(section.header.clone()).start;
            let mut last = self.lines(section.header.clone()).end;
            let mut at = last;
            for line in self.0[last.min(end)..end].split_inclusive('\n') {
                at += line.len();
                let text = line.trim();
                if !text.is_empty() && !text.starts_with('#') {
                    last = at;
                }
            }
            start..last
        };
        let with_ends = sections.iter().zip(ends);
        with_ends
            .filter(|(section, _)| fits(section))
            .map(body)
            .collect()
    }

    /// Every table with a header line, in the order of the file.
    fn sections(&self) -> Vec<Section> {
        let mut sections = Vec::new();
        if let Ok(root) = DeTable::parse(&self.0) {
            headers(&self.0, root.get_ref(), &mut Vec::new(), &mut sections);
        }
        sections.sort_by_key(|section| section.header.start);
        sections
    }

    /// The whole lines that a range is on.
    fn lines(&self, range: Range<usize>) -> Range<usize> {
        let start = self.0[..range.start].rfind('\n').map_or(0, |at| at + 1);
        let end = self.0[range.end..].find('\n');
        start..end.map_or(self.0.len(), |at| range.end + at + 1)
    }

    /// An entry of an inline table with the comma that goes with it.
    fn with_comma(&self, entry: Range<usize>) -> Range<usize> {
        let behind = &self.0[entry.end..];
        let blank = behind.len() - behind.trim_start().len();
        if let Some(rest) = behind[blank..].strip_prefix(',') {
            let more = rest.len() - rest.trim_start().len();
            return entry.start..entry.end + blank + 1 + more;
        }
        let before = self.0[..entry.start].trim_end();
        match before.strip_suffix(',') {
            Some(kept) => kept.len()..entry.end,
            None => entry,
        }
    }
}

/// Notes the header of every table below one.
fn headers(text: &str, table: &DeTable<'_>, path: &mut Vec<String>, found: &mut Vec<Section>) {
    for (key, value) in table {
        path.push(key.get_ref().to_string());
        let mut one = |inner: &DeTable<'_>, header: Range<usize>| {
            if text[header.clone()].starts_with('[') {
                let path = path.clone();
                found.push(Section { header, path });
            }
            headers(text, inner, path, found);
        };
        match value.get_ref() {
            DeValue::Table(inner) => one(inner, value.span()),
            DeValue::Array(items) => {
                for item in items {
                    if let DeValue::Table(inner) = item.get_ref() {
                        one(inner, item.span());
                    }
                }
            }
            _ => {}
        }
        path.pop();
    }
}

/// Lines as comments, below the reason.
fn commented(lines: &str, why: &str) -> String {
    let mut text = String::new();
    if !why.is_empty() {
        text.push_str("# ");
        text.push_str(why);
        text.push('\n');
    }
    for line in lines.lines() {
        text.push_str(if line.is_empty() { "#" } else { "# " });
        text.push_str(line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(text: &str, edit: impl FnOnce(&mut Text)) -> String {
        let mut file = Text::new(text);
        edit(&mut file);
        let next = file.into_string();
        assert!(DeTable::parse(&next).is_ok(), "{next}");
        next
    }

    #[test]
    fn a_value_is_exchanged_and_its_comment_stays() {
        let next = edited("[cluster]\nname = \"a\" # ours\n", |file| {
            file.set(&["cluster", "name"], "\"b\"");
            file.set(&["cluster", "none"], "1");
        });
        assert_eq!(next, "[cluster]\nname = \"b\" # ours\n");
    }

    #[test]
    fn a_table_goes_with_all_that_is_in_it_and_nothing_of_its_neighbours() {
        let text = "# who\n[a]\nx = 1\n\n[[key]] # first\nname = [\n  \"[b]\",\n]\n\n[key.more]\ny = 2\n\n# second\n[[key]]\nz = 3\n\n# about b\n[b]\nx = 1\n";
        let next = edited(text, |file| file.take_out(&["key"], "once"));
        let wanted = "# who\n[a]\nx = 1\n\n# once\n# [[key]] # first\n# name = [\n#   \"[b]\",\n# ]\n\n# [key.more]\n# y = 2\n\n# second\n# [[key]]\n# z = 3\n\n# about b\n[b]\nx = 1\n";
        assert_eq!(next, wanted);
    }

    #[test]
    fn an_entry_goes_from_every_kind_of_table() {
        let why = |file: &mut Text| file.take_out(&["network", "vpc", "name"], "taken");
        for (text, wanted) in [
            (
                "[network]\nvpc = { name = \"x\", ip_range = \"r\" }\n",
                "[network]\nvpc = { ip_range = \"r\" }\n",
            ),
            (
                "[network]\nvpc = { ip_range = \"r\", name = \"x\" }\n",
                "[network]\nvpc = { ip_range = \"r\" }\n",
            ),
            (
                "[network]\nvpc = { name = \"x\" }\n",
                "[network]\nvpc = {  }\n",
            ),
            (
                "[network]\nvpc.name = \"x\"\nvpc.ip_range = \"r\"",
                "[network]\n# taken\n# vpc.name = \"x\"\nvpc.ip_range = \"r\"",
            ),
            (
                "[network.vpc]\nname = \"x\"\n",
                "[network.vpc]\n# taken\n# name = \"x\"\n",
            ),
            (
                "network = { vpc = { name = \"x\", ip_range = \"r\" } }\n",
                "network = { vpc = { ip_range = \"r\" } }\n",
            ),
            ("[network]\napi = 1\n", "[network]\napi = 1\n"),
        ] {
            assert_eq!(edited(text, why), wanted);
        }
    }

    #[test]
    fn one_entry_becomes_several() {
        let with = ["bucket = \"b\"".to_owned(), "region = \"r\"".to_owned()];
        let exchange = |file: &mut Text| file.exchange(&["backup", "store"], &with, "its own");
        assert_eq!(
            edited("[backup]\nstore = \"s\"\nx = 1\n", exchange),
            "[backup]\n# its own\n# store = \"s\"\nbucket = \"b\"\nregion = \"r\"\nx = 1\n"
        );
        assert_eq!(
            edited("backup = { store = \"s\", x = 1 }", exchange),
            "backup = { bucket = \"b\", region = \"r\", x = 1 }"
        );
    }
}
