//! Texts by line: what is replaced with three lines around it, and the words of it that differ.

use super::align::{ALIGNED, align};
use super::{Line, Piece, Tag, visible};
use similar::{ChangeTag, DiffOp, DiffTag, TextDiff, group_diff_ops};
use std::ops::Range;

/// Lines shown before and after what differs.
const AROUND: usize = 3;
/// In blocks of more bytes than these no words are compared: the search takes up to the square of
/// their number, and what is rewritten to that extent is read anew.
const WORDS: usize = 8 * 1024;
/// Of the lines that differ in nothing but whitespace no more than these are shown: it may be all
/// lines of a file.
const BLANK: usize = 12;

/// The diff by line, from that level on; nothing for equal texts.
pub(super) fn unified(before: &str, after: &str, indent: usize) -> Vec<Line> {
    if before == after {
        return Vec::new();
    }
    let newline = (before.ends_with('\n'), after.ends_with('\n'));
    let mut by_line = ByLine {
        old: before.split_inclusive('\n').collect(),
        new: after.split_inclusive('\n').collect(),
        blank: solid(before).eq(solid(after)),
        // That there is no newline at the end is worth a line only where the other text has one.
        end_differs: newline.0 != newline.1 && !before.is_empty() && !after.is_empty(),
        indent,
        lines: Vec::new(),
        changed: 0,
    };
    by_line.compare();
    by_line.lines
}

/// Without whitespace.
fn solid(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|c| !c.is_whitespace())
}

struct ByLine<'a> {
    old: Vec<&'a str>,
    new: Vec<&'a str>,
    /// Whether nothing but whitespace differs.
    blank: bool,
    end_differs: bool,
    indent: usize,
    lines: Vec<Line>,
    /// How many lines differ, also those not shown.
    changed: usize,
}

impl ByLine<'_> {
    fn compare(&mut self) {
        let (ops, aligned) = align(&self.old, &self.new);
        if self.blank {
            self.note("whitespace only");
        }
        if !aligned {
            self.note(&format!(
                "more than {ALIGNED} lines in a row differ: not compared line by line"
            ));
        }
        let mut at = 0;
        for group in group_diff_ops(ops, AROUND) {
            let first = group.first().map_or(at, |op| op.old_range().start);
            self.gap(at..first);
            at = group.last().map_or(at, |op| op.old_range().end);
            for op in &group {
                self.operation(op);
            }
        }
        if self.blank && self.changed > BLANK {
            let more = self.changed - BLANK;
            self.note(&format!("{more} more lines differ in whitespace only"));
        } else {
            self.gap(at..self.old.len());
        }
    }

    fn note(&mut self, text: &str) {
        self.lines.push(Line::note(self.indent, text));
    }

    /// Lines in both that are not shown; one is, as its note would be no shorter.
    fn gap(&mut self, range: Range<usize>) {
        if self.is_full() {
            return;
        }
        match range.len() {
            0 => {}
            1 => self.same(range),
            more => self.note(&format!("{more} unchanged lines")),
        }
    }

    /// Whether enough was shown of what differs in whitespace only.
    fn is_full(&self) -> bool {
        self.blank && self.changed > BLANK
    }

    fn same(&mut self, range: Range<usize>) {
        for index in range {
            if let (false, Some(line)) = (self.is_full(), self.old.get(index)) {
                let text = line.trim_end_matches('\n').trim_end_matches('\r');
                self.lines.push(Line::new(Tag::Same, self.indent, text));
            }
        }
    }

    fn operation(&mut self, op: &DiffOp) {
        let (old, new) = (op.old_range(), op.new_range());
        if op.tag() == DiffTag::Equal {
            return self.same(old);
        }
        let removed = self.old.get(old.clone()).unwrap_or_default().to_vec();
        let added = self.new.get(new.clone()).unwrap_or_default().to_vec();
        let bytes = removed.iter().chain(&added).map(|line| line.len());
        if op.tag() == DiffTag::Replace && bytes.sum::<usize>() <= WORDS {
            let (old_len, new_len) = (removed.len(), added.len());
            let whole = DiffOp::Replace {
                old_index: 0,
                old_len,
                new_index: 0,
                new_len,
            };
            let diff = TextDiff::from_slices(&removed, &added);
            // Without a deadline: the size is bound, and the clock has no say in what is shown.
            for change in diff.iter_inline_changes_deadline(&whole, None) {
                let index = match change.tag() {
                    ChangeTag::Delete => change.old_index().map(|at| at + old.start),
                    _ => change.new_index().map(|at| at + new.start),
                };
                self.differing(change.tag(), index, change.values());
            }
            return;
        }
        for (index, line) in old.zip(removed) {
            self.differing(ChangeTag::Delete, Some(index), &[(false, line)]);
        }
        for (index, line) in new.zip(added) {
            self.differing(ChangeTag::Insert, Some(index), &[(false, line)]);
        }
    }

    /// A line that is in one of the texts only, with the words of it that are.
    fn differing(&mut self, tag: ChangeTag, index: Option<usize>, words: &[(bool, &str)]) {
        self.changed += 1;
        if self.is_full() {
            return;
        }
        let (tag, last) = match tag {
            ChangeTag::Delete => (Tag::Removed, self.old.len()),
            _ => (Tag::Added, self.new.len()),
        };
        self.lines.push(Line {
            tag,
            indent: self.indent,
            pieces: pieces(words, self.blank),
        });
        let ends = words.last().is_some_and(|(_, word)| word.ends_with('\n'));
        if self.end_differs && !ends && index.map(|index| index + 1) == Some(last) {
            self.note("no newline at the end");
        }
    }
}

/// The pieces of a line that differs: whitespace at its end is made visible, and where nothing
/// else differs all of it.
fn pieces(words: &[(bool, &str)], blank: bool) -> Vec<Piece> {
    let length: usize = words.iter().map(|(_, word)| word.len()).sum();
    let behind = words.iter().rev().map(|(_, word)| *word);
    let mut end = length;
    for word in behind {
        let solid = word.trim_end();
        end -= word.len() - solid.len();
        if !solid.is_empty() {
            break;
        }
    }
    // Where every word differs, none has to be found.
    let all = !blank
        && words
            .iter()
            .all(|(strong, word)| *strong || word.trim().is_empty());
    let mut pieces: Vec<Piece> = Vec::new();
    let mut at = 0;
    for (strong, word) in words {
        let strong = *strong && !all;
        let mut text = String::with_capacity(word.len());
        for c in word.chars() {
            match c {
                '\n' => {}
                ' ' if blank || at >= end => text.push('·'),
                '\t' if blank || at >= end => text.push('→'),
                c => visible(&mut text, c),
            }
            at += c.len_utf8();
        }
        match pieces.last_mut() {
            _ if text.is_empty() => {}
            Some(last) if last.strong == strong => last.text.push_str(&text),
            _ => pieces.push(Piece { text, strong }),
        }
    }
    pieces
}
