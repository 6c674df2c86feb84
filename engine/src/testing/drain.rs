//! The scripted cloud's operations: agents are drained before they go, which takes a while, and
//! filled again where they stay; voters among them leave the others, and never come back.

use super::cloud::Cloud;
use kplan_model::{
    BoxFuture, Kind, Known, Operation, OperationInfo, Permit, ProviderError, Readiness, UndoInfo,
};

static AGENT: Kind = Kind::new("agent");

/// The table's entry.
pub(super) const DRAIN: OperationInfo = OperationInfo {
    name: "drain",
    doing: "Draining",
    doc: "moves its work to others",
    undo: Some(FILL),
    needs_peer: true,
    of_destroy: false,
    only: None,
};

/// What undoes it.
const FILL: UndoInfo = UndoInfo {
    name: "fill",
    doing: "Filling",
    doc: "takes work again",
};

/// How one of the two is done.
pub(super) struct Drain {
    pub(super) cloud: Cloud,
    pub(super) undone: bool,
}

impl Operation for Drain {
    fn kind(&self) -> &'static Kind {
        &AGENT
    }

    fn name(&self) -> &'static str {
        if self.undone { FILL.name } else { DRAIN.name }
    }

    fn done<'a>(&'a self, known: &'a Known) -> BoxFuture<'a, Result<Readiness, ProviderError>> {
        Box::pin(async move {
            let done = self.cloud.is_operated(known, self.undone).await?;
            let done = done.unwrap_or(true);
            Ok(if done {
                Readiness::Ready
            } else {
                Readiness::Waiting("there is work left".to_owned())
            })
        })
    }

    fn run<'a>(
        &'a self,
        known: &'a Known,
        _: &'a Permit,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(self.cloud.operate(known, self.undone))
    }
}

/// The table's entry.
pub(super) const LEAVE: OperationInfo = OperationInfo {
    name: "leave",
    doing: "Leaving",
    doc: "leaves the others",
    undo: None,
    needs_peer: true,
    of_destroy: false,
    only: Some(("role", "voter")),
};

/// How it is done.
pub(super) struct Leave(pub(super) Cloud);

impl Operation for Leave {
    fn kind(&self) -> &'static Kind {
        &AGENT
    }

    fn name(&self) -> &'static str {
        LEAVE.name
    }

    fn done<'a>(&'a self, known: &'a Known) -> BoxFuture<'a, Result<Readiness, ProviderError>> {
        Box::pin(async move {
            Ok(if self.0.has_left(known).await? {
                Readiness::Ready
            } else {
                Readiness::Waiting("it votes".to_owned())
            })
        })
    }

    fn run<'a>(
        &'a self,
        known: &'a Known,
        _: &'a Permit,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(self.0.leave(known))
    }
}
