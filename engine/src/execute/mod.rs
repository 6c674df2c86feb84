//! Execute: does what an approved plan says, and nothing else. It fills references and
//! re-derives nothing.
//!
//! One loop owns all state; calls are futures it polls. Every turn gathers what happened into
//! journal entries, appends them in one batch, and only then goes on to what depends on them:
//! the call after its `Started`, the dependents after their parent's result.

pub(crate) mod adopt;
mod align;
mod answers;
mod cancel;
mod discipline;
mod dispatch;
mod hub;
mod looks;
mod operate;
pub mod recover;
mod report;
mod resolve;
mod retry;
mod rivals;
mod schedule;
mod settle;
#[cfg(test)]
mod tests;
mod work;

pub use cancel::{Cancel, Level};
pub use discipline::{Discipline, Rule};
pub use report::{Failure, NotStarted, Outcome, Report, StepOutcome, WhyNotStarted};

use crate::clock::Clock;
use crate::event::Event;
use kplan_model::{ApprovedPlan, Journal, Registry, RunId, Snapshot};
use std::time::Duration;

/// How to execute.
#[derive(Clone, Debug)]
pub struct ExecuteOptions {
    /// The run's name in the journal.
    pub run: RunId,
    /// How many calls may be in flight at once. Waiting for readiness takes no place among them.
    pub parallelism: usize,
    /// Multiplies every pause; the sandbox's clock runs faster than ours.
    pub pace: f64,
    /// How long a resource may take to become ready, or to be gone.
    pub wait_limit: Duration,
    /// How long a busy resource is tried again.
    pub busy_limit: Duration,
    /// How often a call is tried where trying again may help.
    pub attempts: u32,
    /// Seed of the jitter.
    pub seed: u64,
    /// The rules that are kept: all of them, outside tests.
    pub discipline: Discipline,
}

impl ExecuteOptions {
    /// Ten calls at once, thirty minutes for readiness, five minutes for busy resources, five
    /// attempts.
    pub fn new(run: RunId) -> Self {
        Self {
            run,
            parallelism: 10,
            pace: 1.0,
            wait_limit: Duration::from_mins(30),
            busy_limit: Duration::from_mins(5),
            attempts: 5,
            seed: 0,
            discipline: Discipline::default(),
        }
    }

    /// A pause at this run's pace.
    pub(crate) fn paced(&self, pause: Duration) -> Duration {
        pause.mul_f64(self.pace)
    }
}

/// What a run works with.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// The kinds.
    pub registry: &'a Registry,
    /// Tells the time for journal entries.
    pub clock: &'a dyn Clock,
    /// Says when to stop.
    pub cancel: &'a Cancel,
    /// How.
    pub options: &'a ExecuteOptions,
}

/// Executes an approved plan over the snapshot it was made from (after [`recover::recover`]).
///
/// There is no `Result`: whatever happens, the outcome says what was done, what failed, what was
/// not started, and what exists now.
pub async fn run(
    run: Run<'_>,
    approved: &ApprovedPlan,
    snapshot: Snapshot,
    journal: &mut dyn Journal,
    events: &mut (dyn FnMut(Event) + Send),
) -> Outcome {
    dispatch::Dispatcher::new(run, approved, snapshot, journal, events)
        .run()
        .await
}
