//! What a move between two places needs of a shared writer.

use super::keys;
use super::writer::SharedWriter;
use crate::keyring::Keyring;
use crate::seed::Seed;
use crate::wire::snapshot::Head;
use kplan_model::{Snapshot, StoreError};

impl SharedWriter {
    /// What another place begins with to hold this state.
    pub(crate) fn seed(&self) -> Seed {
        Seed {
            snapshot: self.snapshot.clone(),
            key: self.head.key.clone(),
        }
    }

    /// Puts the state of another place in the place of this one, under its key. It is here again.
    pub(crate) fn take_over(
        &mut self,
        keyring: Keyring,
        next: Snapshot,
        head: Head,
    ) -> Result<(), StoreError> {
        self.put_sealed_by(keyring, next, head)
    }

    /// Writes an entry of the history as it is.
    pub(crate) fn put_entry(&self, serial: u64, bytes: &[u8]) -> Result<(), StoreError> {
        self.objects.create(&keys::history(serial), bytes).map(drop)
    }
}
