//! Operations: what surrounds the changes of a kind and is neither create, read, update nor delete,
//! such as draining a node before it goes.
//!
//! An operation is idempotent and asked before it runs whether anything is left to do, so that one
//! that was interrupted is simply done again. That it was begun is on record from before its first
//! call until it is undone or its resource is gone: a plan in which the resource stays undoes it.

use crate::error::ProviderError;
use crate::kind::Kind;
use crate::object::Object;
use crate::observation::{Known, Readiness};
use crate::plan::Permit;
use crate::resource::BoxFuture;
use crate::value::{Value, lookup};

/// An operation in a kind's table, done before one of the kind is destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperationInfo {
    /// Its name, a verb: `drain`.
    pub name: &'static str,
    /// What it is while it goes on, a headline: `Draining`.
    pub doing: &'static str,
    /// What it does, in words that follow the resource's address: `moves its pods to other nodes`.
    pub doc: &'static str,
    /// What undoes it, where the resource stays after all. `None` for what cannot be undone: from
    /// when it was begun the resource is of no use, and is made anew where the file keeps it.
    pub undo: Option<UndoInfo>,
    /// Whether it moves something to others of the kind: where none stays, it is left out.
    pub needs_peer: bool,
    /// Whether it belongs to the destruction of a whole cluster, whose command begins it. A plan of an
    /// apply only undoes it.
    pub of_destroy: bool,
    /// The resources it is for: those whose argument at that path is that text; all where `None`.
    pub only: Option<(&'static str, &'static str)>,
}

/// The undoing of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UndoInfo {
    /// Its name: `uncordon`.
    pub name: &'static str,
    /// What it is while it goes on: `Uncordoning`.
    pub doing: &'static str,
    /// What it does.
    pub doc: &'static str,
}

impl OperationInfo {
    /// Its name, and that of its undoing.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        [Some(self.name), self.undo.map(|undo| undo.name)]
            .into_iter()
            .flatten()
    }

    /// Whether it is for a resource of these arguments.
    pub fn is_for(&self, args: &Object) -> bool {
        self.only.is_none_or(|(path, text)| {
            matches!(lookup(args, path), Some(Value::Str(found)) if found.as_str() == text)
        })
    }
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
    fn undo(&self) -> Option<UndoInfo> {
        self.info.undo.filter(|_| self.undone)
    }

    /// What is done: the operation's name or its undo's.
    pub fn name(&self) -> &'static str {
        self.undo().map_or(self.info.name, |undo| undo.name)
    }

    /// What it is while it goes on.
    pub fn doing(&self) -> &'static str {
        self.undo().map_or(self.info.doing, |undo| undo.doing)
    }

    /// What that does.
    pub fn doc(&self) -> &'static str {
        self.undo().map_or(self.info.doc, |undo| undo.doc)
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
