//! Where in the file a value stands: byte ranges, and values that remember theirs.

use std::ops::{Deref, Range};

/// A range of bytes in the source text, end exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset behind the last byte.
    pub end: usize,
}

impl Span {
    /// The bytes from `start` up to, not including, `end`.
    pub const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// Length in bytes.
    pub const fn len(self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// Whether the range holds no byte.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether the two ranges share a byte, or are the same empty range.
    pub const fn touches(self, other: Self) -> bool {
        (self.start < other.end && other.start < self.end)
            || (self.start == other.start && self.end == other.end)
    }
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        Self::new(range.start, range.end)
    }
}

impl From<Span> for Range<usize> {
    fn from(span: Span) -> Self {
        span.start..span.end
    }
}

/// A value together with the place it was written at, or none when it is a default.
///
/// Dereferences to the value, so that readers who do not care about the place need not name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it was written; `None` when nobody wrote it and it is kplan's default.
    pub span: Option<Span>,
}

impl<T> Spanned<T> {
    /// A value written at `span`.
    pub fn at(span: Span, value: T) -> Self {
        Self {
            value,
            span: Some(span),
        }
    }

    /// A value nobody wrote.
    pub fn default_of(value: T) -> Self {
        Self { value, span: None }
    }

    /// Whether the value is kplan's default and not the user's choice.
    pub fn is_default(&self) -> bool {
        self.span.is_none()
    }

    /// The same place with another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Spanned<U> {
        Spanned {
            value: f(self.value),
            span: self.span,
        }
    }
}

impl<T> Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: std::fmt::Display> std::fmt::Display for Spanned<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.value.fmt(f)
    }
}
