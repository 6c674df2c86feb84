//! Findings: what is wrong, where, why it matters and what to do.

use std::collections::BTreeSet;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, SourceCode};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::code::{Code, Severity};
use crate::redact;
use crate::source::Source;
use crate::span::Span;

/// Most findings reported for one file; a file with more is not being read any further.
pub const MAX_DIAGNOSTICS: usize = 100;

/// A place a finding points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The bytes meant.
    pub span: Span,
    /// What is said about them.
    pub text: String,
}

/// A replacement that would repair the finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// The bytes to replace.
    pub span: Span,
    /// The bare word to put there; quotes, if any, stay.
    pub replacement: String,
}

/// One finding about a `cluster.toml`.
///
/// As a [`miette::Diagnostic`] it renders with a snippet of the file in which everything that
/// could be a secret is masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecDiagnostic {
    /// Stable code.
    pub code: Code,
    /// What is wrong, in one line.
    pub message: String,
    /// Why it matters.
    pub why: String,
    /// What to do.
    pub remedy: String,
    /// Where; the first is the main one. Empty only when no place can be named.
    pub labels: Vec<Label>,
    /// The nearest word, when one is near.
    pub suggestion: Option<Suggestion>,
    source: Arc<Source>,
}

impl SpecDiagnostic {
    /// Error or warning.
    pub fn level(&self) -> Severity {
        self.code.severity()
    }

    /// Whether it stops the file from being used.
    pub fn is_error(&self) -> bool {
        self.level() == Severity::Error
    }

    /// The file it is about, with secrets masked; byte offsets are the original's.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// The main place.
    pub fn span(&self) -> Option<Span> {
        self.labels.first().map(|label| label.span)
    }
}

impl std::fmt::Display for SpecDiagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SpecDiagnostic {}

impl Diagnostic for SpecDiagnostic {
    fn code<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(Box::new(self.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.level() {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(Box::new(format!("{}\n{}", self.why, self.remedy)))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        (!self.labels.is_empty()).then_some(&*self.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        if self.labels.is_empty() {
            return None;
        }
        Some(Box::new(self.labels.iter().enumerate().map(
            |(index, label)| {
                let text = (!label.text.is_empty()).then(|| label.text.clone());
                let span = (label.span.start, label.span.len());
                if index == 0 {
                    LabeledSpan::new_primary_with_span(text, span)
                } else {
                    LabeledSpan::new_with_span(text, span)
                }
            },
        )))
    }
}

impl Serialize for SpecDiagnostic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut record = serializer.serialize_struct("SpecDiagnostic", 8)?;
        record.serialize_field("code", self.code.as_str())?;
        record.serialize_field("severity", self.level().as_str())?;
        record.serialize_field("message", &self.message)?;
        record.serialize_field("why", &self.why)?;
        record.serialize_field("remedy", &self.remedy)?;
        record.serialize_field("file", self.source.name())?;
        let places: Vec<Place<'_>> = self
            .labels
            .iter()
            .map(|l| Place::new(&self.source, l.span, &l.text))
            .collect();
        record.serialize_field("labels", &places)?;
        let suggestion = self
            .suggestion
            .as_ref()
            .map(|s| Place::new(&self.source, s.span, &s.replacement));
        record.serialize_field("suggestion", &suggestion)?;
        record.end()
    }
}

/// A span as JSON carries it: positions for people, offsets for programs.
#[derive(Serialize)]
struct Place<'a> {
    text: &'a str,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
    offset: usize,
    length: usize,
}

impl<'a> Place<'a> {
    fn new(source: &Source, span: Span, text: &'a str) -> Self {
        let (start, end) = (source.position(span.start), source.position(span.end));
        Self {
            text,
            line: start.line,
            column: start.column,
            end_line: end.line,
            end_column: end.column,
            offset: span.start,
            length: span.len(),
        }
    }
}

/// A finding before it is tied to its (masked) source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) why: String,
    pub(crate) remedy: String,
    pub(crate) labels: Vec<Label>,
    pub(crate) suggestion: Option<Suggestion>,
}

impl Finding {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            why: String::new(),
            remedy: String::new(),
            labels: Vec::new(),
            suggestion: None,
        }
    }

    pub(crate) fn why(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// Points at a place, when there is one: defaults have none.
    pub(crate) fn label(mut self, span: impl Into<Option<Span>>, text: impl Into<String>) -> Self {
        if let Some(span) = span.into() {
            self.labels.push(Label {
                span,
                text: text.into(),
            });
        }
        self
    }

    pub(crate) fn suggest(mut self, span: Span, replacement: Option<&str>) -> Self {
        self.suggestion = replacement.map(|word| Suggestion {
            span,
            replacement: word.to_owned(),
        });
        self
    }
}

/// Collects findings, and remembers which leaves could not be read.
///
/// A leaf that could not be read is replaced by a stand-in so that everything else is still
/// judged; findings that touch such a leaf would be about the stand-in and are dropped.
#[derive(Debug, Default)]
pub(crate) struct Report {
    findings: Vec<Finding>,
    unread: BTreeSet<Span>,
    nodes_unknown: bool,
    overflow: bool,
}

impl Report {
    /// Adds a finding of the reader or of a leaf.
    pub(crate) fn push(&mut self, finding: Finding) {
        if !self.is_full() {
            self.findings.push(finding);
        }
    }

    /// Adds a finding of a rule, unless it rests on a leaf that could not be read.
    pub(crate) fn judge(&mut self, finding: Finding) {
        if finding.labels.iter().all(|label| self.trusts(label.span)) {
            self.push(finding);
        }
    }

    /// Whether nothing more is reported. Whoever asks stops, so there may be more to find.
    pub(crate) fn is_full(&mut self) -> bool {
        self.overflow |= self.findings.len() >= MAX_DIAGNOSTICS;
        self.overflow
    }

    /// Says that the leaf written here is a stand-in from now on.
    pub(crate) fn distrust(&mut self, span: Span) {
        self.unread.insert(span);
    }

    /// Whether what stands here was read.
    pub(crate) fn trusts(&self, span: impl Into<Option<Span>>) -> bool {
        span.into().is_none_or(|span| !self.unread.contains(&span))
    }

    /// Says that the number of nodes cannot be known.
    pub(crate) fn distrust_nodes(&mut self) {
        self.nodes_unknown = true;
    }

    /// Whether the number of nodes is what the file says.
    pub(crate) fn trusts_nodes(&self) -> bool {
        !self.nodes_unknown
    }

    /// Places of secrets that stand in the file itself.
    pub(crate) fn secret_places(&self) -> Vec<Span> {
        let secret = |finding: &&Finding| {
            matches!(
                finding.code,
                Code::SecretLiteral | Code::SecretSourceInvalid
            )
        };
        let labels = self
            .findings
            .iter()
            .filter(secret)
            .flat_map(|finding| &finding.labels);
        labels.map(|label| label.span).collect()
    }

    pub(crate) fn has_errors(&self) -> bool {
        let error = |finding: &Finding| finding.code.severity() == Severity::Error;
        // What was cut off may have been an error.
        self.overflow || self.findings.iter().any(error)
    }

    /// The findings in the order of the file, tied to the masked source, without repetitions.
    pub(crate) fn finish(mut self, source: &Arc<Source>) -> Vec<SpecDiagnostic> {
        if self.overflow {
            self.findings.push(
                Finding::new(
                    Code::TooMany,
                    format!("only the first {MAX_DIAGNOSTICS} findings are shown"),
                )
                .why("There may be more: the file was not judged any further.")
                .remedy("Repair what is listed, then validate again."),
            );
        }
        let place = |finding: &Finding| {
            finding
                .labels
                .first()
                .map_or((usize::MAX, 0), |l| (l.span.start, l.span.end))
        };
        self.findings
            .sort_by(|a, b| (place(a), a.code, &a.message).cmp(&(place(b), b.code, &b.message)));
        self.findings.dedup();
        self.findings
            .into_iter()
            .map(|finding| tie(finding, source))
            .collect()
    }
}

fn tie(finding: Finding, source: &Arc<Source>) -> SpecDiagnostic {
    let mask = |text: String| redact::mask_tokens(&text).into_owned();
    SpecDiagnostic {
        code: finding.code,
        message: mask(finding.message),
        why: mask(finding.why),
        remedy: mask(finding.remedy),
        labels: finding
            .labels
            .into_iter()
            .map(|label| Label {
                span: source.fit(label.span),
                text: mask(label.text),
            })
            .collect(),
        suggestion: finding.suggestion.map(|suggestion| Suggestion {
            span: source.fit(suggestion.span),
            replacement: mask(suggestion.replacement),
        }),
        source: Arc::clone(source),
    }
}
