//! What a new state begins with: nothing, or all that another place holds (a move).

use crate::identity::Identity;
use crate::keyring::{Keyring, WrappedKey};
use crate::lineage::{new_lineage, owner};
use crate::local::WriteOptions;
use crate::wire::snapshot::SnapshotWire;
use kplan_model::{Snapshot, StoreError};

/// The first snapshot of a state, and its data key.
#[derive(Clone, Debug)]
pub(crate) struct Seed {
    pub(crate) snapshot: Snapshot,
    pub(crate) key: WrappedKey,
}

impl Seed {
    /// The one of the options; else an empty state under a fresh key, of the lineage that the
    /// options name or a fresh one.
    pub(crate) fn or_fresh(
        options: &WriteOptions,
        cluster: &str,
        identity: &Identity,
    ) -> Result<Self, StoreError> {
        if let Some(seed) = &options.seed {
            return Ok(seed.clone());
        }
        let lineage = options.lineage.clone().map_or_else(new_lineage, Ok)?;
        let keyring = Keyring::random(&lineage)?;
        let recipients: Vec<String> = identity.recipients().into_iter().take(1).collect();
        Ok(Self {
            key: keyring.wrap(&recipients)?,
            snapshot: Snapshot::empty(lineage.clone(), owner(cluster, &lineage)?),
        })
    }

    /// The state as it is written first, as batch 0.
    pub(crate) fn begun(
        self,
        identity: &Identity,
    ) -> Result<(SnapshotWire, Keyring, Snapshot), StoreError> {
        let keyring = Keyring::unwrap(&self.snapshot.lineage, &self.key, identity)?;
        let wire = SnapshotWire::out(Some(&keyring), &self.key, 0, &self.snapshot)?;
        Ok((wire, keyring, self.snapshot))
    }
}
