//! `MemoryStore`: the same contract without a disk, for tests and simulations. Clones share one
//! state, so a clone is what another process would see.

use crate::error::{code, error};
use crate::keyring::Keyring;
use crate::lineage::{new_lineage, owner};
use kplan_model::{Journal, JournalEntry, JournalError, Snapshot, Snapshots, StoreError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A state in memory. Secrets are kept as they are: nothing leaves the process.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    state: Arc<Mutex<Memory>>,
    keyring: Keyring,
}

#[derive(Debug)]
struct Memory {
    snapshot: Snapshot,
    entries: Vec<JournalEntry>,
    /// Appends that still succeed, when a failure is wanted.
    left: Option<usize>,
}

impl MemoryStore {
    /// An empty state of a cluster, of a fresh lineage.
    pub fn new(cluster: &str) -> Result<Self, StoreError> {
        let lineage = new_lineage()?;
        let owner = owner(cluster, &lineage)?;
        Self::from_snapshot(Snapshot::empty(lineage, owner))
    }

    /// A state that begins with `snapshot`.
    pub fn from_snapshot(snapshot: Snapshot) -> Result<Self, StoreError> {
        Ok(Self {
            keyring: Keyring::random(&snapshot.lineage)?,
            state: Arc::new(Mutex::new(Memory {
                snapshot,
                entries: Vec::new(),
                left: None,
            })),
        })
    }

    /// The keys, for fingerprints.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Everything that was appended.
    pub fn entries(&self) -> Vec<JournalEntry> {
        self.lock().entries.clone()
    }

    /// Lets the next `appends` appends succeed and every later one fail, as a full disk would.
    pub fn fail_after(&self, appends: usize) {
        self.lock().left = Some(appends);
    }

    /// Lets appends succeed again, as a new process after the disk was freed would find it.
    pub fn recover(&self) {
        self.lock().left = None;
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        // A panic elsewhere cannot leave a half-applied entry that matters more than the panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal for MemoryStore {
    fn append(&mut self, entries: &[JournalEntry]) -> Result<(), JournalError> {
        let mut memory = self.lock();
        match &mut memory.left {
            Some(0) => {
                return Err(JournalError::Store(error(
                    code::FULL,
                    "the store was told to fail here",
                )));
            }
            Some(left) => *left -= 1,
            None => {}
        }
        for entry in entries {
            memory.snapshot.apply(entry);
            memory.entries.push(entry.clone());
        }
        Ok(())
    }
}

impl Snapshots for MemoryStore {
    fn load(&self) -> Result<Snapshot, StoreError> {
        Ok(self.lock().snapshot.clone())
    }
}
