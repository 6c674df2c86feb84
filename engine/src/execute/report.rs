//! What came of a run.

use kplan_model::{Action, Address, JournalError, ProviderError, Snapshot, StepId};
use std::fmt;

/// A step that was done.
#[derive(Clone, Debug, PartialEq)]
pub struct StepOutcome {
    /// The step.
    pub step: StepId,
    /// The resource.
    pub address: Address,
    /// What was done.
    pub action: Action,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// A step that failed, whose outcome is not known, or that was stopped while it waited.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The step.
    pub step: StepId,
    /// The resource.
    pub address: Address,
    /// What was to be done.
    pub action: Action,
    /// Why it was not.
    pub error: ProviderError,
}

/// Why a step was not started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyNotStarted {
    /// A step it depends on failed; that one's resource.
    DependencyFailed(Address),
    /// An operation before it did not succeed; on which resource, and its name.
    OperationFailed(Address, &'static str),
    /// Nobody answered for another of its kind; that one.
    Unreachable(Address),
    /// The run was interrupted.
    Interrupted,
    /// The journal could not be written.
    JournalFailed,
}

impl fmt::Display for WhyNotStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DependencyFailed(address) => write!(f, "{address} did not succeed"),
            Self::OperationFailed(address, name) => {
                write!(f, "the {name} of {address} did not succeed")
            }
            Self::Unreachable(address) => {
                write!(
                    f,
                    "nobody answered for {address}, which is of the same kind"
                )
            }
            Self::Interrupted => f.write_str("interrupted"),
            Self::JournalFailed => f.write_str("the state could not be written"),
        }
    }
}

/// A step that was not started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotStarted {
    /// The step.
    pub step: StepId,
    /// The resource.
    pub address: Address,
    /// What was to be done.
    pub action: Action,
    /// Why it was not.
    pub why: WhyNotStarted,
}

/// What came of a run, step by step.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// What was done, by step.
    pub done: Vec<StepOutcome>,
    /// What failed, by step.
    pub failed: Vec<Failure>,
    /// What may or may not have happened; the next run clears it up.
    pub in_doubt: Vec<Failure>,
    /// What was made or changed and was not ready when the run was stopped, by step; the next run
    /// waits for it.
    pub unfinished: Vec<Failure>,
    /// What was not started, by step.
    pub not_started: Vec<NotStarted>,
    /// Outputs that refer to what is not there, by name.
    pub missing_outputs: Vec<String>,
    /// Why the journal could not be written, if it could not.
    pub journal: Option<JournalError>,
    /// What exists now.
    pub snapshot: Snapshot,
    /// How long the longest chain of dependent steps took, in seconds: no scheduler can be
    /// faster.
    pub critical_path_seconds: f64,
    /// The steps of that chain, first to last.
    pub critical_path: Vec<Address>,
    /// How long the run took, in seconds.
    pub wall_seconds: f64,
}

impl Report {
    /// Whether every step was done and recorded.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty()
            && self.in_doubt.is_empty()
            && self.unfinished.is_empty()
            && self.not_started.is_empty()
            && self.journal.is_none()
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub enum Outcome {
    /// It came to its end, with or without failures.
    Completed(Report),
    /// It was stopped.
    Interrupted(Report),
}

impl Outcome {
    /// What came of it.
    pub fn report(&self) -> &Report {
        match self {
            Self::Completed(report) | Self::Interrupted(report) => report,
        }
    }

    /// What came of it.
    pub fn into_report(self) -> Report {
        match self {
            Self::Completed(report) | Self::Interrupted(report) => report,
        }
    }
}
