//! The engine: from declarations and state to a plan, and from an approved plan to a new state.
//! It knows no provider and no kind; it sees addresses, tables of fields, and two traits.
//!
//! ```text
//! Declarations ─┐
//! Snapshot ─────┼─► graph::build ─► observe::observe ─► diff::compute ─► plan::make ─► plan::lint
//! Kinds ────────┘                     (the only async stage)                              │
//!                                                                            Plan::approve │
//!                                                                                          ▼
//! Snapshot ◄─ Journal ◄──────────────────────────────────────────────────── execute::run
//! ```
//!
//! * [`plan()`] runs everything up to the linter and writes nothing.
//! * [`recover()`] clears up what an earlier run left in doubt; it writes, so it needs the lock.
//! * [`apply()`] executes an approved plan.
//!
//! `graph`, `diff` and `plan` are pure; `plan` and `execute` do not know each other.

mod attrs;
mod backoff;
pub mod clock;
pub mod compare;
pub mod diff;
pub mod error;
pub mod event;
pub mod execute;
pub mod graph;
pub mod import;
pub mod late;
pub mod observe;
pub mod plan;
#[cfg(test)]
mod simulation;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use clock::Clock;
pub use error::{EngineError, Refusal};
pub use event::{Event, StepRef};
pub use execute::recover::{Note, Recovered, recover};
pub use execute::{
    Cancel, Discipline, ExecuteOptions, Level, Outcome, Report, Rule, Run, run as apply,
};
pub use graph::{Graph, GraphError};
pub use plan::{Finding, NotDone, PlanOptions, PlanReport, WhyNot};

use kplan_model::{Declarations, Plan, PlanMode, Registry, Snapshot};

/// What a plan is made from.
#[derive(Clone)]
pub struct Planning<'a> {
    /// What the file asks for.
    pub declarations: &'a Declarations,
    /// What we believe exists. Comes back in [`Planned::snapshot`]: there is no second copy of it.
    pub snapshot: Snapshot,
    /// The kinds; only their reading halves and tables are used.
    pub registry: &'a Registry,
    /// What is wanted.
    pub options: &'a PlanOptions,
    /// How to observe. `refresh` is taken from `options`.
    pub observing: &'a observe::Options,
}

/// A plan and what must be shown with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// The plan, sound by the linter.
    pub plan: Plan,
    /// What it does not do.
    pub report: PlanReport,
    /// The state it was made from: as loaded, with what an earlier run left in doubt cleared up
    /// as [`recover()`] would.
    pub snapshot: Snapshot,
    /// What was in doubt, and how it was taken.
    pub notes: Vec<Note>,
}

/// Makes a plan. Reads the remote side, writes nothing, takes no lock.
pub async fn plan(planning: Planning<'_>) -> Result<Planned, EngineError> {
    let Planning {
        declarations,
        snapshot,
        registry,
        options,
        observing,
    } = planning;
    let observing = observe::Options {
        refresh: options.refresh,
        ..observing.clone()
    };
    let observers = observe::observers(registry);
    let (snapshot, notes) =
        execute::recover::preview(&observers, registry, snapshot, &observing).await;
    let kinds = registry.kinds();
    // Destroying and refreshing look at what is on record, not at what the file asks for; but what
    // it says somebody else manages is nobody's to destroy.
    let nothing = Declarations {
        forgotten: declarations.forgotten.clone(),
        ignored: declarations.ignored.clone(),
        ..Declarations::default()
    };
    let asked = match options.mode {
        PlanMode::Apply => declarations,
        PlanMode::Destroy | PlanMode::RefreshOnly => &nothing,
    };
    let graph = graph::build(asked, &snapshot, &kinds).map_err(EngineError::Graph)?;
    let ways = observe::ways(declarations, &snapshot, &kinds);
    let observations = observe::observe(&snapshot, &ways, &observers, &observing).await;
    let wanted = (asked, &options.replace);
    let late = late::late(wanted, &snapshot, &observations, &observers, &kinds);
    let diff = diff::compute(&diff::Inputs {
        declarations: asked,
        snapshot: &snapshot,
        graph: &graph,
        observations: &observations,
        late: &late,
        kinds: &kinds,
        mode: options.mode,
        replace: &options.replace,
        delete_kept: options.delete_kept,
    });
    let inputs = plan::Inputs {
        declarations,
        snapshot: &snapshot,
        graph: &graph,
        diff: &diff,
        kinds: &kinds,
        options,
    };
    let refused = |refusals: Vec<Refusal>| {
        // What changed outside may be why: nobody edited the file.
        let seen = diff.drift.iter().map(Refusal::of_drift);
        EngineError::Refused(seen.chain(refusals).collect())
    };
    let (plan, report) = plan::make(&inputs).map_err(refused)?;
    let findings = plan::lint(&plan, &snapshot, &kinds);
    if !findings.is_empty() {
        return Err(EngineError::Unsound(findings));
    }
    Ok(Planned {
        plan,
        report,
        snapshot,
        notes,
    })
}
