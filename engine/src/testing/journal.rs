//! A journal in memory that replays like a real one and can die at any entry.

use kplan_model::{
    Journal, JournalEntry, JournalError, JournalEvent, Snapshot, StepId, StepState, StoreError,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Notify;

/// When the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dying {
    /// During append number `n`, before it is durable.
    Before(usize),
    /// Right after append number `n` is durable.
    After(usize),
}

/// The journal.
pub struct MemoryJournal {
    /// What a reader would load.
    pub durable: Snapshot,
    /// Every entry ever made durable.
    pub entries: Vec<JournalEntry>,
    /// How many appends there were in this life.
    pub appends: usize,
    /// After that many appends of a life, somebody else holds the state.
    pub lost_after: Option<usize>,
    /// Told when the process dies; whoever runs the engine must drop it then.
    pub died: Arc<Notify>,
    dying: Option<Dying>,
    states: BTreeMap<StepId, StepState>,
}

impl MemoryJournal {
    /// A journal of an empty state.
    pub fn new(snapshot: Snapshot) -> Self {
        Self {
            durable: snapshot,
            entries: Vec::new(),
            appends: 0,
            lost_after: None,
            died: Arc::new(Notify::new()),
            dying: None,
            states: BTreeMap::new(),
        }
    }

    /// A new process opens the journal. It may be about to die.
    pub fn reopen(&mut self, dying: Option<Dying>) {
        self.appends = 0;
        self.died = Arc::new(Notify::new());
        self.dying = dying;
        self.states.clear();
    }

    /// Whether the process died in this life.
    pub fn is_dead(&self) -> bool {
        match self.dying {
            Some(Dying::Before(n) | Dying::After(n)) => self.appends >= n,
            None => false,
        }
    }

    fn dead() -> JournalError {
        JournalError::Store(StoreError {
            code: "test::dead",
            message: "the process is dead".to_owned(),
            help: None,
        })
    }

    /// The step a step's entry is about.
    fn step(event: &JournalEvent) -> Option<StepId> {
        match event {
            JournalEvent::Started { step, .. }
            | JournalEvent::Created { step, .. }
            | JournalEvent::Succeeded { step, .. }
            | JournalEvent::Failed { step, .. }
            | JournalEvent::InDoubt { step, .. } => Some(*step),
            JournalEvent::OperationStarted(operation)
            | JournalEvent::OperationSucceeded(operation) => Some(operation.step),
            _ => None,
        }
    }
}

impl Journal for MemoryJournal {
    fn append(&mut self, entries: &[JournalEntry]) -> Result<(), JournalError> {
        self.appends += 1;
        let now = self.appends;
        match self.dying {
            Some(Dying::Before(n)) if now >= n => {
                self.died.notify_one();
                return Err(Self::dead());
            }
            Some(Dying::After(n)) if now > n => return Err(Self::dead()),
            _ => {}
        }
        for entry in entries {
            if let Some(step) = Self::step(&entry.event) {
                let state = self.states.entry(step).or_default();
                *state = state.next(&entry.event)?;
            }
            self.durable.apply(entry);
            self.entries.push(entry.clone());
        }
        if self.dying == Some(Dying::After(now)) {
            self.died.notify_one();
            return Err(Self::dead());
        }
        Ok(())
    }

    fn still_held(&self) -> Result<(), JournalError> {
        match self.lost_after {
            Some(n) if self.appends >= n => Err(Self::dead()),
            _ => Ok(()),
        }
    }
}
