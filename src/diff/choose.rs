//! How two texts are compared: decoded, by path, or by line.

use super::decode::decoded;
use super::kubernetes::{holds_secret, withheld};
use super::lines::unified;
use super::node::{Node, is_long};
use super::structure::{Format, read};
use super::tree::Differ;
use super::{Line, Tag};
use crate::render::fold;

/// Texts in texts that are decoded or read; what lies deeper is compared by line. A manifest in a
/// `ConfigMap` in a file of cloud-init is the third.
const DEPTH: usize = 4;

/// The lines of two texts.
pub(super) struct Block {
    /// The lines.
    pub(super) lines: Vec<Line>,
    /// Whether something had to be decoded to be compared.
    pub(super) decoded: bool,
}

impl Block {
    fn plain(lines: Vec<Line>) -> Self {
        Self {
            lines,
            decoded: false,
        }
    }
}

/// The lines of two texts that differ; `None` where they are best said on one line. They begin at
/// level `indent`, and so many texts stand around them.
pub(super) fn block(before: &str, after: &str, indent: usize, depth: usize) -> Option<Block> {
    if is_told(before) || is_told(after) {
        return None;
    }
    if depth <= DEPTH {
        if let Some(block) = by_meaning(before, after, indent, depth) {
            return Some(block);
        }
        if let Some(block) = by_path(before, after, indent, depth) {
            return Some(block);
        }
    }
    (is_long(before) || is_long(after)).then(|| by_line(before, after, indent))
}

/// The same, on lines of its own whatever it is.
pub(super) fn always(before: &str, after: &str, indent: usize, depth: usize) -> Block {
    block(before, after, indent, depth).unwrap_or_else(|| {
        if is_told(before) || is_told(after) {
            let show = |text: &str| Node::text(text).told();
            let text = format!("{} -> {}", show(before), show(after));
            return Block::plain(vec![Line::new(Tag::Changed, indent, &text)]);
        }
        by_line(before, after, indent)
    })
}

/// Whether a text is told by its digest: nobody reads a certificate.
fn is_told(text: &str) -> bool {
    fold::pem(text).is_some()
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// Encoded texts by what they stand for.
fn by_meaning(before: &str, after: &str, indent: usize, depth: usize) -> Option<Block> {
    let (was, is) = (decoded(before), decoded(after));
    let how = match (&was, &is) {
        (None, None) => return None,
        (Some((was, _)), Some((is, _))) if was == is => (*was).to_owned(),
        (Some((was, _)), Some((is, _))) => format!("{was} -> {is}"),
        (Some((was, _)), None) if is_blank(after) => (*was).to_owned(),
        (None, Some((is, _))) if is_blank(before) => (*is).to_owned(),
        (Some((was, _)), None) => format!("{was} -> plain text"),
        (None, Some((is, _))) => format!("plain text -> {is}"),
    };
    let before = was.map_or_else(|| before.to_owned(), |(_, text)| text);
    let after = is.map_or_else(|| after.to_owned(), |(_, text)| text);
    let mut lines = vec![Line::note(indent, &format!("{how}, decoded"))];
    if before == after {
        lines.push(Line::note(indent, "decoded, both are the same"));
    } else {
        lines.extend(always(&before, &after, indent, depth + 1).lines);
    }
    Some(Block {
        lines,
        decoded: true,
    })
}

/// Documents by path, unless their lines say it shorter.
fn by_path(before: &str, after: &str, indent: usize, depth: usize) -> Option<Block> {
    if !(may_be_document(before) || may_be_document(after)) {
        return None;
    }
    let (format, was, is) = Format::ALL.into_iter().find_map(|format| {
        let both = (read(before, format)?, read(after, format)?);
        Some((format, both.0, both.1))
    })?;
    let secret = was.masked || is.masked || holds_secret(before) || holds_secret(after);
    // Of what comes or goes as a whole every line is new, and its own order is better to read.
    if (is_blank(before) || is_blank(after)) && !secret {
        return None;
    }
    if was.roots == is.roots {
        // Comments only: whatever it is, it is no document.
        if was.is_empty() {
            return None;
        }
        let name = format.name();
        let text = format!("the same {name}: only comments, order or layout differ");
        let mut lines = vec![Line::note(indent, &text)];
        if !secret {
            lines.extend(unified(before, after, indent));
        }
        return Some(Block::plain(lines));
    }
    let mut differ = Differ::new(indent, depth);
    differ.documents(&was.roots, &is.roots);
    let found = differ.finish();
    if !(secret || found.decoded || is.cloud_config) {
        let lines = unified(before, after, indent);
        if weight(&lines) < weight(&found.lines) {
            return Some(Block::plain(lines));
        }
    }
    Some(Block {
        lines: found.lines,
        decoded: found.decoded,
    })
}

/// Whether it is worth reading: one line is a document only in brackets.
fn may_be_document(text: &str) -> bool {
    is_long(text) || text.trim_start().starts_with(['{', '['])
}

/// How many lines say that something differs; a name above such lines only says where.
fn weight(lines: &[Line]) -> usize {
    let below = lines.iter().skip(1).map(|line| line.indent);
    let below = below.chain(std::iter::once(0));
    let says = |(line, below): &(&Line, usize)| match line.tag {
        Tag::Same | Tag::Note => false,
        Tag::Removed | Tag::Added => true,
        Tag::Changed => *below <= line.indent,
    };
    lines.iter().zip(below).filter(says).count()
}

/// By line, where that gives no Secret away.
fn by_line(before: &str, after: &str, indent: usize) -> Block {
    if holds_secret(before) || holds_secret(after) {
        return Block::plain(vec![Line::note(indent, &withheld())]);
    }
    Block::plain(unified(before, after, indent))
}
