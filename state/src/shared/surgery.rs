//! Changing a shared state by hand: another state in its place, recipients, moves.

use super::tidy;
use super::writer::SharedWriter;
use crate::local::other_lineage;
use crate::recipients;
use kplan_model::{Snapshot, StoreError};

impl SharedWriter {
    /// Puts another state in the place of this one, in one durable step. Lineage and owner must be
    /// the same; the serial becomes one more than now.
    pub fn replace(&mut self, mut next: Snapshot) -> Result<(), StoreError> {
        next.serial = self.snapshot.serial + 1;
        self.put(next)
    }

    /// The same under the serial that it has.
    fn put(&mut self, next: Snapshot) -> Result<(), StoreError> {
        if (&next.lineage, &next.owner) != (&self.snapshot.lineage, &self.snapshot.owner) {
            return Err(other_lineage());
        }
        self.put_sealed_by(self.keyring.clone(), next, self.head.clone())
    }

    /// Encrypts the state's key to one more recipient (`age1…`), who can read every secret of
    /// this state from then on.
    pub fn add_recipient(&mut self, recipient: &str) -> Result<(), StoreError> {
        match recipients::with(&self.keyring, &self.head, recipient)? {
            None => Ok(()),
            Some(head) => {
                self.put_sealed_by(self.keyring.clone(), self.snapshot.clone(), head)?;
                // A reader begins with the checkpoint: it must be able to open that one.
                self.checkpoint()
            }
        }
    }

    /// Makes what is on record readable without anything written before (repair).
    pub(super) fn write_anew(&mut self) -> Result<(), StoreError> {
        for _ in 0..2 {
            // Two, for the predecessor of the newest checkpoint must be good, too.
            self.put_sealed_by(
                self.keyring.clone(),
                self.snapshot.clone(),
                self.head.clone(),
            )?;
            self.checkpoint()?;
        }
        Ok(())
    }

    /// Takes a recipient's access away: the state gets a new data key, every secret is sealed
    /// anew, and checkpoints and log objects under the old key are removed. What that recipient
    /// has read, the history written until now, and older versions that a bucket keeps stay
    /// readable for them.
    ///
    /// # Errors
    /// `state::identity` for one who is no recipient, `state::locked_out` when `own`, those of the
    /// identity at hand, would have none left among the recipients.
    pub fn remove_recipient(&mut self, recipient: &str, own: &[String]) -> Result<(), StoreError> {
        let (keyring, head) = recipients::without(&self.head, recipient, own)?;
        self.put_sealed_by(keyring.clone(), self.snapshot.clone(), head.clone())?;
        self.checkpoint()?;
        // Two checkpoints stay: with a second one under the new key, none under the old does.
        self.put_sealed_by(keyring, self.snapshot.clone(), head)?;
        self.checkpoint()?;
        tidy::sweep(self)
    }
}
