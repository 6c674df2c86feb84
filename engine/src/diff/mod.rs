//! Diff: for every resource, what would have to happen so that reality is as the file says.
//! Pure: a value from values. Whether it *may* happen and in which order is for `plan`.
//!
//! What is compared, per field of the kind's table:
//!
//! * What the file says is compared with what was observed; where the remote side does not
//!   report the field (missing or `Null`), with what was last applied.
//! * A field the file does not give is not managed and not compared. One it *no longer* gives
//!   is given back: an in-place field that still has a value is changed to `Null`; any other
//!   field stays as it is, and only the record forgets that it was asked for (Terraform's rule
//!   for optional-and-computed attributes: nothing is replaced because a line went). The
//!   exception is a value that holds the id of another resource of ours: that would stay a
//!   dependency nobody knows of, so giving it back is a change like any other.
//! * `Computed` and `Ignored` fields are not compared.
//! * A reference to something that will be created or replaced is unknown, unless it names an
//!   argument whose value the file gives. An unknown value on a field that forces replacement
//!   does; on a field that changes in place it means an update.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod field;
mod node;
mod refresh;
#[cfg(test)]
mod tests;

use crate::error::Refusal;
use crate::graph::{Graph, Kinds};
use crate::late::Late;
use crate::observe::Observations;
use kplan_model::{
    Address, Declaration, Declarations, Disruption, Drift, FieldChange, KindInfo, Object, PlanMode,
    ProviderError, Reason, Recorded, Snapshot,
};
use std::collections::BTreeSet;
use std::ops::Deref;

/// What a diff is made from.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// What the file asks for.
    pub declarations: &'a Declarations,
    /// What we believe exists.
    pub snapshot: &'a Snapshot,
    /// The graph of both.
    pub graph: &'a Graph,
    /// What was seen.
    pub observations: &'a Observations,
    /// Which containers would not take what is to be made inside them.
    pub late: &'a Late,
    /// The tables.
    pub kinds: &'a Kinds,
    /// What the plan is for.
    pub mode: PlanMode,
    /// Resources to replace in any case (`--replace`).
    pub replace: &'a BTreeSet<Address>,
    /// Whether `destroy` takes what is marked `keep`, too.
    pub delete_kept: bool,
}

/// What would have to happen to one resource.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Nothing.
    None,
    /// Make it.
    Create {
        /// Why.
        reason: Reason,
    },
    /// Change fields of the living resource.
    Update {
        /// The fields.
        changes: Vec<FieldChange>,
        /// Why: they differ, or what it runs on is interrupted besides.
        reason: Reason,
    },
    /// Wait for it, and do nothing else to it: an earlier run was cut off before it was ready, or
    /// what it runs on is interrupted.
    Await {
        /// Which of the two.
        reason: Reason,
    },
    /// Destroy it and make a new one.
    Replace {
        /// The fields that force it.
        changes: Vec<FieldChange>,
        /// Why.
        reason: Reason,
    },
    /// Destroy it.
    Delete {
        /// Why.
        reason: Reason,
    },
    /// Take it out of the state without touching it.
    Forget,
    /// Write new relations, guards or arguments into the state; reality is as it should be.
    Record,
    /// It could not be read, so nothing is decided.
    Blocked {
        /// Why it could not be read.
        error: Box<ProviderError>,
    },
    /// `destroy` leaves it, as it is marked.
    Kept,
}

impl Change {
    /// Whether it interrupts what is running: a part of it, or all of it.
    pub fn interrupts(&self) -> bool {
        match self {
            Self::Replace { .. } | Self::Delete { .. } => true,
            Self::Update { changes, .. } => changes
                .iter()
                .any(|change| change.disruption != Disruption::None),
            Self::None
            | Self::Create { .. }
            | Self::Await { .. }
            | Self::Forget
            | Self::Record
            | Self::Blocked { .. }
            | Self::Kept => false,
        }
    }

    /// Whether it powers off what is running. What is found off is only powered on.
    pub fn powers_off(&self) -> bool {
        let Self::Update { changes, .. } = self else {
            return false;
        };
        let any = |wanted| changes.iter().any(|change| change.disruption == wanted);
        any(Disruption::PowerOff) && !any(Disruption::Restart)
    }

    /// Whether the resource on record could be read and is neither destroyed nor made anew.
    pub fn stays(&self) -> bool {
        matches!(
            self,
            Self::None | Self::Update { .. } | Self::Await { .. } | Self::Record
        )
    }

    /// What it waits for to be back, where the plan interrupts that.
    pub fn disrupted_by(&self) -> Option<&Address> {
        match self {
            Self::Update { reason, .. } | Self::Await { reason } => match reason {
                Reason::ParentDisrupted(parent) => Some(parent),
                _ => None,
            },
            _ => None,
        }
    }
}

/// A record: as it is, or brought up to date with what was seen.
#[derive(Clone, Debug, PartialEq)]
pub enum Current<'a> {
    /// What was seen is what is on record.
    Unchanged(&'a Recorded),
    /// With what was seen.
    Refreshed(Box<Recorded>),
}

impl Deref for Current<'_> {
    type Target = Recorded;

    fn deref(&self) -> &Recorded {
        match self {
            Self::Unchanged(record) => record,
            Self::Refreshed(record) => record,
        }
    }
}

/// One resource, compared.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeDiff<'a> {
    /// The resource.
    pub address: &'a Address,
    /// What would have to happen.
    pub change: Change,
    /// The record, brought up to date with what was seen; `None` where nothing exists.
    pub record: Option<Current<'a>>,
    /// For a resource that changes: its arguments with every reference filled whose value is
    /// known now; the others stay references.
    pub args: Object,
    /// Its place among the declarations.
    pub declared: Option<usize>,
}

/// Everything, compared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diff<'a> {
    /// One entry per node of the graph, in address order.
    pub nodes: Vec<NodeDiff<'a>>,
    /// Records to be brought up to date.
    pub refreshed: Vec<Recorded>,
    /// Records of what is gone.
    pub vanished: Vec<Address>,
    /// Differences nobody asked for.
    pub drift: Vec<Drift>,
    /// Changes that a kind's table refuses.
    pub refused: Vec<Refusal>,
    /// Fields holding a sealed secret, which could not be compared.
    pub not_compared: Vec<(Address, String)>,
    /// What could not be read and goes all the same, as everything does, with the reason.
    pub not_read: Vec<(Address, ProviderError)>,
}

/// Whether a resource stands in the old half of its container, after a replacement of that was
/// interrupted: it is older than the new half, and the old one is still to be destroyed.
pub(crate) fn stands_in_deposed(snapshot: &Snapshot, record: &Recorded) -> bool {
    record.meta.inside.as_ref().is_some_and(|container| {
        let mut deposed = snapshot.deposed.iter();
        let current = snapshot.resources.get(container);
        deposed.any(|old| old.address == *container)
            && current.is_none_or(|current| record.created_at < current.created_at)
    })
}

/// What a declared resource runs on.
pub(crate) fn runs_on(info: &KindInfo, declaration: &Declaration) -> BTreeSet<Address> {
    let mut found = BTreeSet::new();
    for field in info.runs_on() {
        if let Some(value) = declaration.args.get(field.name) {
            value.for_each_ref(&mut |reference| {
                found.insert(reference.address.clone());
            });
        }
    }
    found
}

/// Compares everything. Same inputs, same result; linear in resources and references.
pub fn compute<'a>(inputs: &Inputs<'a>) -> Diff<'a> {
    let mut work = node::Work::new(*inputs);
    for position in inputs.graph.order() {
        work.visit(position);
    }
    work.finish()
}
