//! The journal: what a run writes down before and after every changing call, the state machine
//! that says which entries may follow which, and how entries change a snapshot.

use crate::address::Address;
use crate::declaration::Meta;
use crate::error::{ErrorKind, ProviderError};
use crate::object::Object;
use crate::observation::RemoteId;
use crate::plan::{Action, PlanMode, StepId};
use crate::snapshot::{InDoubt, Recorded, Snapshot, Status};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// Names one run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub String);

/// A failure as it is written down: readable after a crash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredError {
    /// Its kind.
    pub kind: ErrorKind,
    /// Its message, without secrets.
    pub message: String,
    /// The remote side's request id.
    pub request_id: Option<String>,
}

impl From<&ProviderError> for StoredError {
    fn from(error: &ProviderError) -> Self {
        Self {
            kind: error.kind,
            message: error.to_string(),
            request_id: error.request_id.clone(),
        }
    }
}

/// An operation on one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationEntry {
    /// The step.
    pub step: StepId,
    /// The resource.
    pub address: Address,
    /// Its remote id.
    pub id: RemoteId,
    /// The operation, by its name in the kind's table.
    pub operation: String,
    /// Whether it is undone.
    pub undone: bool,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum JournalEvent {
    /// A run began.
    RunStarted {
        /// What for.
        mode: PlanMode,
        /// How the plan was approved.
        approval: String,
        /// How many steps it has.
        steps: u32,
    },
    /// A record is brought up to date with what was seen.
    Refreshed {
        /// The new record.
        record: Recorded,
    },
    /// A recorded resource is gone from the remote side.
    Vanished {
        /// Which.
        address: Address,
    },
    /// A changing call is about to be made. Durable before the call.
    Started {
        /// The step.
        step: StepId,
        /// The resource.
        address: Address,
        /// What is done.
        action: Action,
        /// The arguments, every reference filled; empty for a delete.
        args: Object,
        /// Guards and relations it will be recorded with.
        meta: Meta,
        /// Dependencies it will be recorded with.
        depends_on: Vec<Address>,
        /// The remote id acted on.
        id: Option<RemoteId>,
        /// Ids that the look before a create saw.
        seen: Vec<RemoteId>,
    },
    /// The remote side answered a create with an id; the resource may not be ready yet.
    Created {
        /// The step.
        step: StepId,
        /// The record, tainted until it is ready.
        record: Recorded,
    },
    /// An operation, or the undoing of one, is about to begin. Durable before its first call.
    OperationStarted(OperationEntry),
    /// The operation is done, or undone.
    OperationSucceeded(OperationEntry),
    /// The step is done.
    Succeeded {
        /// The step.
        step: StepId,
        /// The resource.
        address: Address,
        /// The new record; `None` when it is gone or forgotten.
        record: Option<Recorded>,
    },
    /// The step failed and its outcome is known.
    Failed {
        /// The step.
        step: StepId,
        /// The resource.
        address: Address,
        /// Why.
        error: StoredError,
        /// What is on record now, where the failure changed it: tainted, or, where the run was
        /// stopped while it waited, unfinished.
        record: Option<Recorded>,
    },
    /// The step's outcome is not known and nobody will find out in this run.
    InDoubt {
        /// The step.
        step: StepId,
        /// The resource.
        address: Address,
        /// Why.
        error: StoredError,
    },
    /// An in-doubt step of an earlier run was cleared up.
    Resolved {
        /// The resource.
        address: Address,
        /// What exists, where something does.
        record: Option<Recorded>,
    },
    /// The run's results.
    Outputs {
        /// Named values.
        outputs: Object,
    },
    /// The run ended.
    RunEnded {
        /// Whether every step succeeded.
        complete: bool,
    },
}

/// One line of the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct JournalEntry {
    /// The run.
    pub run: RunId,
    /// When.
    pub at: Timestamp,
    /// What.
    pub event: JournalEvent,
}

/// Where a step stands, by the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StepState {
    /// Nothing written.
    #[default]
    Idle,
    /// A call may have been made.
    Started,
    /// A create was answered.
    Created,
    /// Done.
    Succeeded,
    /// Failed with a known outcome.
    Failed,
    /// The outcome is not known.
    InDoubt,
}

impl StepState {
    /// The state after `event`, or an error where the event may not follow.
    pub fn next(self, event: &JournalEvent) -> Result<Self, JournalError> {
        use StepState as S;
        let to = match (self, event) {
            (S::Idle, JournalEvent::Started { .. } | JournalEvent::OperationStarted(_)) => {
                S::Started
            }
            (S::Started, JournalEvent::Created { .. }) => S::Created,
            (S::Started, JournalEvent::OperationSucceeded(_))
            | (S::Started | S::Created, JournalEvent::Succeeded { .. }) => S::Succeeded,
            (S::Started | S::Created, JournalEvent::Failed { .. }) => S::Failed,
            (S::Started | S::Created, JournalEvent::InDoubt { .. }) => S::InDoubt,
            (S::Started | S::Created | S::InDoubt, JournalEvent::Resolved { record, .. }) => {
                if record.is_some() {
                    S::Succeeded
                } else {
                    S::Failed
                }
            }
            _ => {
                return Err(JournalError::Illegal {
                    state: self,
                    event: event.name(),
                });
            }
        };
        Ok(to)
    }
}

impl JournalEvent {
    /// Its name, for messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::RunStarted { .. } => "RunStarted",
            Self::Refreshed { .. } => "Refreshed",
            Self::Vanished { .. } => "Vanished",
            Self::Started { .. } => "Started",
            Self::Created { .. } => "Created",
            Self::OperationStarted(_) => "OperationStarted",
            Self::OperationSucceeded(_) => "OperationSucceeded",
            Self::Succeeded { .. } => "Succeeded",
            Self::Failed { .. } => "Failed",
            Self::InDoubt { .. } => "InDoubt",
            Self::Resolved { .. } => "Resolved",
            Self::Outputs { .. } => "Outputs",
            Self::RunEnded { .. } => "RunEnded",
        }
    }
}

/// The journal cannot be continued or replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalError {
    /// An entry that may not follow.
    Illegal {
        /// Where the step stood.
        state: StepState,
        /// The entry.
        event: &'static str,
    },
    /// It could not be written or read; nothing that depends on it may go on.
    Store(StoreError),
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Illegal { state, event } => {
                write!(
                    f,
                    "the journal entry {event} may not follow {state:?}; this is a bug in kplan"
                )
            }
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for JournalError {}

/// A store's own failure, as text: what is wrong, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError {
    /// A stable code, such as `state::full`.
    pub code: &'static str,
    /// What is wrong and where.
    pub message: String,
    /// What the reader can do.
    pub help: Option<String>,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StoreError {}

/// The writer's side of a state.
pub trait Journal: Send {
    /// Writes the entries; when it returns `Ok` they are durable (one `fdatasync` for all of
    /// them), when it returns an error none of them may be relied on and the run must stop.
    fn append(&mut self, entries: &[JournalEntry]) -> Result<(), JournalError>;

    /// Whether this writer may still change anything: asked right before each changing call. One
    /// that shares its state with other machines may have lost the claim to it since the last
    /// append. Cheap; an error is as final as that of a failed append, and the run must stop.
    fn still_held(&self) -> Result<(), JournalError> {
        Ok(())
    }
}

/// The reader's side of a state; takes no lock.
pub trait Snapshots {
    /// What we believe exists.
    fn load(&self) -> Result<Snapshot, StoreError>;
}

impl Snapshot {
    /// What this snapshot becomes by `entry`. Replaying a journal from the first entry gives the
    /// same snapshot, byte for byte.
    pub fn apply(&mut self, entry: &JournalEntry) {
        match &entry.event {
            JournalEvent::RunStarted { .. } | JournalEvent::RunEnded { .. } => return,
            JournalEvent::Refreshed { record } | JournalEvent::Created { record, .. } => {
                self.put(record.clone());
            }
            JournalEvent::Vanished { address } => {
                self.resources.remove(address);
            }
            JournalEvent::Started {
                step,
                address,
                action,
                args,
                meta,
                depends_on,
                id,
                seen,
            } => {
                let doubt = InDoubt {
                    step: *step,
                    address: address.clone(),
                    action: *action,
                    started_at: entry.at,
                    args: args.clone(),
                    meta: meta.clone(),
                    depends_on: depends_on.clone(),
                    id: id.clone(),
                    seen: seen.clone(),
                };
                self.in_doubt.insert(address.clone(), doubt);
            }
            JournalEvent::Succeeded {
                address, record, ..
            }
            | JournalEvent::Resolved { address, record } => {
                let doubt = self.in_doubt.remove(address);
                match record {
                    Some(record) => self.put(record.clone()),
                    None => self.drop_record(address, doubt.and_then(|doubt| doubt.id).as_ref()),
                }
            }
            JournalEvent::Failed {
                address, record, ..
            } => {
                self.in_doubt.remove(address);
                if let Some(record) = record {
                    self.put(record.clone());
                }
            }
            JournalEvent::OperationStarted(begun) => self.operated(begun, |operations| {
                operations.insert(begun.operation.clone());
            }),
            JournalEvent::OperationSucceeded(ended) => self.operated(ended, |operations| {
                if ended.undone {
                    operations.remove(&ended.operation);
                }
            }),
            // The doubt stays as `Started` wrote it.
            JournalEvent::InDoubt { .. } => {}
            JournalEvent::Outputs { outputs } => self.outputs.clone_from(outputs),
        }
        self.serial += 1;
        self.note_created_id(&entry.event);
    }

    /// A record with another id does not overwrite the one it replaces: that one still exists
    /// and is deposed until it is destroyed. A deposed one that takes the place again (its
    /// successor is gone, and it is not) is not deposed any more.
    fn put(&mut self, mut record: Recorded) {
        record.version = self
            .resources
            .get(&record.address)
            .map_or(1, |old| old.version + 1);
        let id = record.id.clone();
        self.deposed
            .retain(|old| !(old.address == record.address && old.id == id));
        if let Some(old) = self.resources.insert(record.address.clone(), record)
            && old.id != id
        {
            self.deposed.push(old);
        }
    }

    /// Drops the record of `address` with that id: the current one, or a deposed one. Without an
    /// id nothing was ever made (a create that left nothing), so nothing is dropped.
    fn drop_record(&mut self, address: &Address, id: Option<&RemoteId>) {
        let Some(id) = id else { return };
        self.deposed
            .retain(|old| !(old.address == *address && old.id == *id));
        if self
            .resources
            .get(address)
            .is_some_and(|record| record.id == *id)
        {
            self.resources.remove(address);
        }
    }

    /// Changes which operations were begun on the resource of that id, current or deposed.
    fn operated(&mut self, on: &OperationEntry, change: impl FnOnce(&mut BTreeSet<String>)) {
        let current = self.resources.get_mut(&on.address).into_iter();
        let mut all = current.chain(self.deposed.iter_mut());
        if let Some(record) = all.find(|it| it.address == on.address && it.id == on.id) {
            change(&mut record.operations);
            record.version += 1;
        }
    }

    /// A create that was answered is still in doubt until it is ready, but its id is known now.
    fn note_created_id(&mut self, event: &JournalEvent) {
        if let JournalEvent::Created { record, .. } = event
            && let Some(doubt) = self.in_doubt.get_mut(&record.address)
        {
            doubt.id = Some(record.id.clone());
        }
    }

    /// The records that are whole.
    pub fn ready(&self) -> impl Iterator<Item = &Recorded> {
        self.resources
            .values()
            .filter(|record| record.status == Status::Ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Kind;
    use crate::owner::Owner;

    fn address() -> Address {
        Address::new(Kind::new("vpc"), "main")
    }

    fn record(status: Status) -> Recorded {
        Recorded {
            address: address(),
            id: RemoteId::new("1"),
            args: Object::new(),
            attrs: Object::new(),
            meta: Meta::default(),
            depends_on: vec![],
            status,
            created_at: Timestamp(0),
            operations: BTreeSet::new(),
            version: 0,
        }
    }

    fn started() -> JournalEvent {
        JournalEvent::Started {
            step: StepId(0),
            address: address(),
            action: Action::Create,
            args: Object::new(),
            meta: Meta::default(),
            depends_on: vec![],
            id: None,
            seen: vec![],
        }
    }

    fn entry(event: JournalEvent) -> JournalEntry {
        JournalEntry {
            run: RunId("r".to_owned()),
            at: Timestamp(5),
            event,
        }
    }

    fn empty() -> Snapshot {
        Snapshot::empty(
            "l",
            Owner {
                cluster: "demo".to_owned(),
                suffix: "00000000".to_owned(),
            },
        )
    }

    #[test]
    fn a_started_create_is_in_doubt_until_it_ends() {
        let mut snapshot = empty();
        snapshot.apply(&entry(started()));
        assert_eq!(snapshot.in_doubt.len(), 1);
        snapshot.apply(&entry(JournalEvent::Created {
            step: StepId(0),
            record: record(Status::Tainted),
        }));
        assert_eq!(snapshot.in_doubt[&address()].id, Some(RemoteId::new("1")));
        assert_eq!(snapshot.resources[&address()].status, Status::Tainted);
        snapshot.apply(&entry(JournalEvent::Succeeded {
            step: StepId(0),
            address: address(),
            record: Some(record(Status::Ready)),
        }));
        assert!(snapshot.in_doubt.is_empty());
        assert_eq!(snapshot.resources[&address()].version, 2);
        assert_eq!(snapshot.serial, 3);
    }

    fn with_id(id: &str) -> Recorded {
        Recorded {
            id: RemoteId::new(id),
            ..record(Status::Ready)
        }
    }

    fn done(record: Option<Recorded>) -> JournalEvent {
        JournalEvent::Succeeded {
            step: StepId(0),
            address: address(),
            record,
        }
    }

    #[test]
    fn a_create_first_replacement_keeps_the_old_half_until_it_is_destroyed() {
        let mut snapshot = empty();
        for event in [
            started(),
            done(Some(with_id("old"))),
            started(),
            done(Some(with_id("new"))),
        ] {
            snapshot.apply(&entry(event));
        }
        assert_eq!(snapshot.deposed[0].id, RemoteId::new("old"));
        let JournalEvent::Started {
            step,
            address,
            args,
            meta,
            depends_on,
            seen,
            ..
        } = started()
        else {
            unreachable!()
        };
        let id = Some(RemoteId::new("old"));
        let action = Action::Delete;
        let delete = JournalEvent::Started {
            step,
            address,
            action,
            args,
            meta,
            depends_on,
            id,
            seen,
        };
        snapshot.apply(&entry(delete));
        snapshot.apply(&entry(done(None)));
        assert!(snapshot.deposed.is_empty());
        assert_eq!(
            snapshot.resources[&self::address()].id,
            RemoteId::new("new")
        );
    }

    #[test]
    fn a_create_that_left_nothing_does_not_drop_what_it_was_to_replace() {
        let mut snapshot = empty();
        for event in [started(), done(Some(with_id("old"))), started()] {
            snapshot.apply(&entry(event));
        }
        snapshot.apply(&entry(JournalEvent::Resolved {
            address: address(),
            record: None,
        }));
        assert_eq!(snapshot.resources[&address()].id, RemoteId::new("old"));
        assert!(snapshot.in_doubt.is_empty());
    }

    #[test]
    fn what_was_deposed_and_takes_its_place_again_stands_there_once() {
        let mut snapshot = empty();
        for event in [started(), done(Some(with_id("old")))] {
            snapshot.apply(&entry(event));
        }
        for event in [started(), done(Some(with_id("new")))] {
            snapshot.apply(&entry(event));
        }
        assert_eq!(snapshot.deposed.len(), 1);
        snapshot.drop_record(&address(), Some(&RemoteId::new("new")));
        snapshot.apply(&entry(JournalEvent::Resolved {
            address: address(),
            record: Some(with_id("old")),
        }));
        assert_eq!(snapshot.resources[&address()].id, RemoteId::new("old"));
        assert!(snapshot.deposed.is_empty());
    }

    #[test]
    fn only_legal_entries_follow() {
        let succeeded = JournalEvent::Succeeded {
            step: StepId(0),
            address: address(),
            record: None,
        };
        assert!(StepState::Idle.next(&succeeded).is_err());
        let state = StepState::Idle.next(&started()).unwrap();
        assert!(state.next(&started()).is_err());
        assert_eq!(state.next(&succeeded), Ok(StepState::Succeeded));
        assert!(StepState::Succeeded.next(&succeeded).is_err());
    }
}
