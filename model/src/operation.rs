//! Operations: what surrounds the changes of a kind and is neither create, read, update nor delete,
//! such as draining a node before it goes.
//!
//! An operation is idempotent and asked before it runs whether anything is left to do, so that one
//! that was interrupted is simply done again. That it was begun is on record from before its first
//! call until it is undone or its resource is gone: a plan in which the resource stays undoes it.

use crate::error::ProviderError;
use crate::kind::Kind;
use crate::observation::{Known, Readiness};
use crate::plan::Permit;
use crate::resource::BoxFuture;

/// An operation in a kind's table, done before one of the kind is destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperationInfo {
    /// Its name, a verb: `drain`.
    pub name: &'static str,
    /// What it is while it goes on, a headline: `Draining`.
    pub doing: &'static str,
    /// What it does, in words that follow the resource's address: `moves its pods to other nodes`.
    pub doc: &'static str,
    /// The operation that undoes it, where the resource stays after all: `uncordon`.
    pub undo: &'static str,
    /// What that is while it goes on: `Uncordoning`.
    pub undoing: &'static str,
    /// What that does.
    pub undo_doc: &'static str,
    /// Whether it moves something to others of the kind: where none stays, it is left out.
    pub needs_peer: bool,
}

/// An operation in a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operated {
    /// The table's entry.
    pub info: OperationInfo,
    /// Whether it is undone.
    pub undone: bool,
}

impl Operated {
    /// What is done: the operation's name or its undo's.
    pub fn name(&self) -> &'static str {
        if self.undone {
            self.info.undo
        } else {
            self.info.name
        }
    }

    /// What it is while it goes on.
    pub fn doing(&self) -> &'static str {
        if self.undone {
            self.info.undoing
        } else {
            self.info.doing
        }
    }

    /// What that does.
    pub fn doc(&self) -> &'static str {
        if self.undone {
            self.info.undo_doc
        } else {
            self.info.doc
        }
    }
}

/// How one operation, or its undo, is done.
pub trait Operation: Send + Sync {
    /// The kind it is for.
    fn kind(&self) -> &'static Kind;

    /// Its name in the kind's table.
    fn name(&self) -> &'static str;

    /// Whether it is done: `Ready` when nothing is left to do, `Waiting` with what is, `Failed`
    /// where going on would lose something. Changes nothing.
    ///
    /// # Errors
    ///
    /// Where it cannot be told, by the kind of the failure.
    fn done<'a>(&'a self, known: &'a Known) -> BoxFuture<'a, Result<Readiness, ProviderError>>;

    /// Does what can be done of it at the moment, without waiting for what that causes. Called
    /// again while [`Self::done`] says that something is left.
    ///
    /// # Errors
    ///
    /// Where nothing could be done, by the kind of the failure.
    fn run<'a>(
        &'a self,
        known: &'a Known,
        permit: &'a Permit,
    ) -> BoxFuture<'a, Result<(), ProviderError>>;
}
