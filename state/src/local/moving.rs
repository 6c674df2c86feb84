//! What a move between two places needs of a local writer.

use super::history;
use super::moved;
use super::writer::LocalWriter;
use crate::seed::Seed;
use crate::wire::snapshot::Head;
use kplan_model::{Snapshot, StoreError};

impl LocalWriter {
    /// What another place begins with to hold this state.
    pub(crate) fn seed(&self) -> Seed {
        Seed {
            snapshot: self.snapshot.clone(),
            key: self.head.key.clone(),
        }
    }

    /// Puts the state of another place in the place of this one, under its key.
    pub(crate) fn take_over(
        &mut self,
        keyring: crate::Keyring,
        next: Snapshot,
        head: Head,
    ) -> Result<(), StoreError> {
        self.put_sealed_by(keyring, next, head)
    }

    /// Writes an entry of the history as it is.
    pub(crate) fn put_entry(&self, serial: u64, bytes: &[u8]) -> Result<(), StoreError> {
        history::put(&*self.disk, &self.layout, serial, bytes)
    }

    /// Where the state went.
    pub(crate) fn moved_to(&self) -> Result<Option<String>, StoreError> {
        moved::moved_to(&self.layout)
    }

    /// Says where it went.
    pub(crate) fn mark_moved(&self, to: &str) -> Result<(), StoreError> {
        moved::mark(&self.layout, to)
    }

    /// It is here again.
    pub(crate) fn unmark(&self) -> Result<(), StoreError> {
        moved::unmark(&self.layout)
    }
}
