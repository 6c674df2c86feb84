//! `Problem`: an error or a warning for people, and `Failure`: why a command ends early.

use crate::exit::Exit;
use miette::{Diagnostic, LabeledSpan, NamedSource, Severity, SourceCode};
use std::fmt;
use std::sync::Arc;

/// What is wrong, where, why, and what to do.
#[derive(Clone, Debug)]
pub struct Problem {
    /// A stable code such as `state::locked`.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// Places in the file.
    pub labels: Vec<LabeledSpan>,
    /// The file.
    pub source: Option<Arc<NamedSource<String>>>,
    /// How bad it is.
    pub severity: Severity,
}

impl Problem {
    /// An error without a place in the file.
    pub fn error(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            help: None,
            labels: Vec::new(),
            source: None,
            severity: Severity::Error,
        }
    }

    /// A warning without a place in the file.
    pub fn warning(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, message)
        }
    }

    /// The same problem with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same problem pointing at bytes of the file.
    #[must_use]
    pub fn at(
        mut self,
        source: &Arc<NamedSource<String>>,
        span: (usize, usize),
        label: &str,
    ) -> Self {
        self.source = Some(Arc::clone(source));
        let length = span.1.saturating_sub(span.0);
        self.labels
            .push(LabeledSpan::new(Some(label.to_owned()), span.0, length));
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.code))
    }
    fn severity(&self) -> Option<Severity> {
        Some(self.severity)
    }
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help
            .as_ref()
            .map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }
    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source
            .as_deref()
            .map(|source| source as &dyn SourceCode)
    }
    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        if self.labels.is_empty() {
            None
        } else {
            Some(Box::new(self.labels.iter().cloned()))
        }
    }
}

/// Why a command ends early: every problem, and the exit code.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// Everything that is wrong, not only the first.
    pub problems: Vec<Problem>,
}

impl Failure {
    /// One problem with its own exit code.
    pub fn with(exit: Exit, problem: Problem) -> Self {
        Self {
            exit,
            problems: vec![problem],
        }
    }

    /// The same code for several problems.
    pub fn all(exit: Exit, problems: Vec<Problem>) -> Self {
        Self { exit, problems }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::with(Exit::Error, problem)
    }
}

impl From<kplan_model::StoreError> for Failure {
    fn from(error: kplan_model::StoreError) -> Self {
        // Somebody else has it, still or by now.
        let exit = if ["state::locked", "state::fenced"].contains(&error.code) {
            Exit::Locked
        } else {
            Exit::Error
        };
        let mut problem = Problem::error(error.code, error.message);
        problem.help = error.help;
        Self::with(exit, problem)
    }
}

impl From<kplan_model::ProviderError> for Failure {
    fn from(error: kplan_model::ProviderError) -> Self {
        let mut problem =
            Problem::error(format!("cloud::{}", code_of(error.kind)), error.to_string());
        problem.help = error.help;
        problem.into()
    }
}

/// The stable code of a remote error's kind.
pub fn code_of(kind: kplan_model::ErrorKind) -> &'static str {
    use kplan_model::ErrorKind as K;
    match kind {
        K::NotFound => "not_found",
        K::Busy => "busy",
        K::Throttled => "throttled",
        K::Transient => "transient",
        K::OutcomeUnknown => "outcome_unknown",
        K::Denied => "denied",
        K::Invalid => "invalid",
        K::Exists => "exists",
        K::Failed => "failed",
        K::Bug => "bug",
    }
}

/// What a command gives back.
pub type CommandResult = Result<Exit, Failure>;
