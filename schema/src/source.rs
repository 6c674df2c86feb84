//! The text being read: its name, and where a byte offset is for a person.

use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

use crate::span::Span;

/// A file's name and text, with an index of its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    name: String,
    text: String,
    line_starts: Vec<usize>,
}

/// A place as people count: both from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in Unicode characters, from 1.
    pub column: usize,
}

impl Source {
    /// A text and the name to show for it, usually its path.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let mut line_starts = vec![0];
        line_starts.extend(text.match_indices('\n').map(|(offset, _)| offset + 1));
        Self {
            name: name.into(),
            text,
            line_starts,
        }
    }

    /// The name to show.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Line and column of a byte offset. Offsets behind the end are the end; offsets inside a
    /// character are that character.
    pub fn position(&self, offset: usize) -> Position {
        let offset = self.clamp(offset);
        let line = self
            .line_starts
            .partition_point(|start| *start <= offset)
            .max(1);
        let start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        let column = self
            .text
            .get(start..offset)
            .map_or(0, |before| before.chars().count());
        Position {
            line,
            column: column + 1,
        }
    }

    /// The text of a line, counted from 1, without its line break.
    pub fn line(&self, line: usize) -> Option<&str> {
        let start = *self.line_starts.get(line.checked_sub(1)?)?;
        let end = self
            .line_starts
            .get(line)
            .map_or(self.text.len(), |next| next - 1);
        self.text
            .get(start..end)
            .map(|text| text.strip_suffix('\r').unwrap_or(text))
    }

    /// The span cut to the text and to whole characters.
    pub(crate) fn fit(&self, span: Span) -> Span {
        let start = self.clamp(span.start);
        Span::new(start, self.clamp(span.end).max(start))
    }

    fn clamp(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }
}

impl SourceCode for Source {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        context_lines_before: usize,
        context_lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let inner = self
            .text
            .read_span(span, context_lines_before, context_lines_after)?;
        Ok(Box::new(
            MietteSpanContents::new_named(
                self.name.clone(),
                inner.data(),
                *inner.span(),
                inner.line(),
                inner.column(),
                inner.line_count(),
            )
            .with_language("toml"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(source: &Source, offset: usize) -> (usize, usize) {
        let position = source.position(offset);
        (position.line, position.column)
    }

    #[test]
    fn counts_lines_and_characters_from_one() {
        let source = Source::new("f", "ab\ncé🙂d\r\n\nend");
        assert_eq!(at(&source, 0), (1, 1));
        assert_eq!(at(&source, 2), (1, 3), "the line break belongs to its line");
        assert_eq!(at(&source, 3), (2, 1));
        assert_eq!(at(&source, 6), (2, 3), "two-byte é is one column");
        assert_eq!(
            at(&source, 8),
            (2, 3),
            "inside a character is that character"
        );
        assert_eq!(at(&source, 10), (2, 4));
        assert_eq!(at(&source, 13), (3, 1));
        assert_eq!(at(&source, 14), (4, 1));
        assert_eq!(at(&source, 17), (4, 4));
        assert_eq!(at(&source, 9999), (4, 4), "behind the end is the end");
    }

    #[test]
    fn gives_lines_without_their_breaks() {
        let source = Source::new("f", "one\r\ntwo\n");
        assert_eq!(source.line(1), Some("one"));
        assert_eq!(source.line(2), Some("two"));
        assert_eq!(source.line(3), Some(""));
        assert_eq!(source.line(4), None);
        assert_eq!(source.line(0), None);
    }

    #[test]
    fn an_empty_text_has_one_position() {
        let source = Source::new("f", "");
        assert_eq!(at(&source, 0), (1, 1));
        assert_eq!(source.fit(Span::new(5, 9)), Span::new(0, 0));
    }
}
