//! Plan: which of the differences become steps, in which order, and which guards speak against
//! it. Pure: a value from values, and the linter proves each of them before it is shown.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod containers;
mod deleting;
mod draft;
mod groups;
mod lint;
mod make;
mod moved;
mod needs;
mod operations;
mod order;
mod policy;
mod quorum;
mod ready;
mod relations;
mod remake;
mod replace;
mod report;
mod select;
#[cfg(test)]
mod tests;

pub use lint::{Finding, lint};
pub use make::{Inputs, make};
pub use report::{NotDone, PlanReport, Together, WhyNot};

use kplan_model::{Address, PlanMode};
use std::collections::BTreeSet;

/// What a plan is to be made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanOptions {
    /// Apply, destroy, or only refresh.
    pub mode: PlanMode,
    /// Only these and what they need (`--target`); empty means everything.
    pub targets: BTreeSet<Address>,
    /// Replace these in any case (`--replace`).
    pub replace: BTreeSet<Address>,
    /// These may be destroyed although something is lost with them (`--allow-destroy`).
    pub allow_destroy: BTreeSet<Address>,
    /// Operations that are left out, done or undone (`--skip-operation`).
    pub skip_operations: BTreeSet<String>,
    /// Whether `destroy` takes what is marked `keep`, too (`--delete-backups`).
    pub delete_kept: bool,
    /// Whether to read the remote side first (`--refresh=false` does not).
    pub refresh: bool,
}

impl PlanOptions {
    /// A plan of this mode for everything, with nothing allowed or asked for besides.
    pub fn new(mode: PlanMode) -> Self {
        Self {
            mode,
            targets: BTreeSet::new(),
            replace: BTreeSet::new(),
            allow_destroy: BTreeSet::new(),
            skip_operations: BTreeSet::new(),
            delete_kept: false,
            refresh: true,
        }
    }
}
