//! A batch: what one append made durable, under its number.

use super::Unreadable;
use super::event::EntryWire;
use super::snapshot::{Head, SnapshotWire};
use crate::identity::Identity;
use crate::keyring::Keyring;
use kplan_model::{Snapshot, StoreError};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchWire {
    /// Counts batches over the whole life of a state.
    pub(crate) batch: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) entries: Vec<EntryWire>,
    /// A state put in the place of everything before (state surgery).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) replaced_by: Option<Box<SnapshotWire>>,
}

/// What a batch is applied to.
pub(crate) struct Onto<'a> {
    pub(crate) head: &'a mut Head,
    pub(crate) keyring: &'a mut Option<Keyring>,
    pub(crate) snapshot: &'a mut Snapshot,
    /// Without one, secrets stay sealed.
    pub(crate) identity: Option<&'a Identity>,
}

/// Why a batch could not be applied.
pub(crate) enum Unapplied {
    /// It does not mean what a batch must mean. The caller adds the place.
    Unreadable(String),
    /// The identity does not open it.
    Refused(StoreError),
}

impl From<Unreadable> for Unapplied {
    fn from(Unreadable(what): Unreadable) -> Self {
        Self::Unreadable(what)
    }
}

impl BatchWire {
    /// Applies it.
    pub(crate) fn apply(self, onto: Onto<'_>) -> Result<(), Unapplied> {
        if let Some(wire) = self.replaced_by {
            // A recipient was added, or removed and the secrets sealed under a new key.
            if wire.key != onto.head.key {
                onto.head.key = wire.key.clone();
                *onto.keyring = onto
                    .head
                    .unwrap_key(onto.identity)
                    .map_err(Unapplied::Refused)?;
            }
            *onto.snapshot = wire.read(onto.keyring.as_ref())?;
        }
        for entry in self.entries {
            let entry = entry.read(onto.keyring.as_ref())?;
            onto.snapshot.apply(&entry);
        }
        Ok(())
    }
}
