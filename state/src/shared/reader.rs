//! `SharedReader`: what plans and listings use of a shared state. It takes no lock and writes
//! nothing.

use super::keys;
use super::lease;
use super::load::{Loading, State, missing};
use super::objects::{FIRST_PAUSE, Objects};
use super::record::damaged;
use crate::identity::Identity;
use crate::keyring::Keyring;
use crate::local::{
    Document, HistoryEntry, Holder, Loaded, Verified, entry_of, no_entry, state_of,
};
use crate::wire::Unreadable;
use crate::wire::snapshot::SnapshotWire;
use kplan_model::{ObjectStore, Snapshot, Snapshots, StoreError};
use std::sync::Arc;
use std::time::Duration;

/// Reads a shared state.
pub struct SharedReader {
    objects: Objects,
    cluster: String,
    identity: Option<Identity>,
    pause: Duration,
}

/// Whether a state was ever begun below the root of `store`.
pub(crate) fn exists(store: &Arc<dyn ObjectStore>) -> Result<bool, StoreError> {
    let objects = Objects::new(Arc::clone(store), FIRST_PAUSE);
    for prefix in [keys::SNAPSHOTS, keys::LOG] {
        if !objects.list(prefix, None)?.objects.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

impl SharedReader {
    /// A reader of the state of `cluster` below the root of `store`. Without an identity secrets
    /// stay sealed.
    pub fn open(store: Arc<dyn ObjectStore>, cluster: &str, identity: Option<&Identity>) -> Self {
        Self::open_with(FIRST_PAUSE, store, cluster, identity)
    }

    pub(crate) fn open_with(
        pause: Duration,
        store: Arc<dyn ObjectStore>,
        cluster: &str,
        identity: Option<&Identity>,
    ) -> Self {
        Self {
            objects: Objects::new(store, pause),
            cluster: cluster.to_owned(),
            identity: identity.cloned(),
            pause,
        }
    }

    pub(crate) fn place(&self) -> String {
        self.objects.name()
    }

    fn state(&self) -> Result<Option<State>, StoreError> {
        let loading = Loading {
            objects: &self.objects,
            cluster: &self.cluster,
            identity: self.identity.as_ref(),
            skip_damage: false,
            pause: self.pause,
        };
        loading.settled()
    }

    fn whole(&self) -> Result<State, StoreError> {
        self.state()?.ok_or_else(|| missing(&self.objects))
    }

    /// Reads the state. Errors: `state::damaged`, `state::newer_format`, `state::other_lineage`,
    /// `state::other_cluster`, `state::wrong_key`, and those of a store that does not answer.
    pub fn read(&self) -> Result<Loaded, StoreError> {
        Ok(match self.state()? {
            None => Loaded::default(),
            Some(state) => Loaded {
                snapshot: Some(state.snapshot),
                keyring: state.keyring,
                recipients: state.head.key.recipients,
                notices: state.notices,
                moved_to: state.moved_to,
            },
        })
    }

    fn serials(&self) -> Result<Vec<u64>, StoreError> {
        let listed = self.objects.list(keys::HISTORY, None)?;
        Ok(listed
            .objects
            .iter()
            .filter_map(|object| keys::number(&object.key, keys::HISTORY))
            .collect())
    }

    /// The bytes of every history entry, by serial.
    pub(crate) fn entries(&self) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let serials = self.serials()?;
        let wanted: Vec<String> = serials
            .iter()
            .map(|serial| keys::history(*serial))
            .collect();
        let found = self.objects.get_all(&wanted)?;
        let both = serials.into_iter().zip(found);
        // One that went meanwhile was too old.
        Ok(both
            .filter_map(|(serial, bytes)| Some((serial, bytes?)))
            .collect())
    }

    /// The runs that changed this state, oldest first; none when there is no state.
    pub fn history(&self) -> Result<Vec<HistoryEntry>, StoreError> {
        let Some(state) = self.state()? else {
            return Ok(Vec::new());
        };
        let mut entries = Vec::new();
        for (serial, bytes) in self.entries()? {
            let at = self.objects.at(&keys::history(serial));
            let entry = entry_of(&bytes, &state.head.lineage)
                .map_err(|why| why.at(&at, |what| damaged(&at, what)))?;
            entries.extend(entry);
        }
        Ok(entries)
    }

    /// The state as it was at the end of the run that left `serial`.
    pub fn at(&self, serial: u64) -> Result<Snapshot, StoreError> {
        let state = self.whole()?;
        let bytes = self.objects.get(&keys::history(serial))?;
        let bytes = bytes.ok_or_else(|| no_entry(serial))?;
        self.entry(&state, serial, &bytes)
    }

    /// An entry of the history, opened with the key it was written under.
    fn entry(&self, state: &State, serial: u64, bytes: &[u8]) -> Result<Snapshot, StoreError> {
        let at = self.objects.at(&keys::history(serial));
        let wire = state_of(bytes, &state.head.lineage, serial)
            .map_err(|why| why.at(&at, |what| damaged(&at, what)))?;
        let keys = match &self.identity {
            Some(identity) if wire.key != state.head.key => {
                Some(Keyring::unwrap(&wire.lineage, &wire.key, identity)?)
            }
            _ => state.keyring.clone(),
        };
        wire.read(keys.as_ref())
            .map_err(|Unreadable(what)| damaged(&at, &what))
    }

    /// The state as a document. Needs no identity.
    ///
    /// # Errors
    /// Those of [`SharedReader::read`], and `state::missing` where there is no state.
    pub fn document(&self) -> Result<Document, StoreError> {
        let state = self.whole()?;
        let keys = state.keyring.as_ref();
        let wire = SnapshotWire::out(keys, &state.head.key, state.number, &state.snapshot)?;
        Ok(Document::of(wire))
    }

    /// Reads everything: checkpoint, log and each entry of the history with its digest, and opens
    /// every secret where there is an identity.
    ///
    /// # Errors
    /// Those of [`SharedReader::read`], and `state::missing` where there is no state.
    pub fn verify(&self) -> Result<Verified, StoreError> {
        let state = self.whole()?;
        let mut verified = Verified::of(&state.snapshot, state.keyring.is_some());
        for (serial, bytes) in self.entries()? {
            match self.entry(&state, serial, &bytes) {
                Ok(_) => verified.history += 1,
                Err(problem) => verified.problems.push(problem),
            }
        }
        Ok(verified)
    }

    /// Who signed the newest lock, for messages; that somebody did does not mean that he still
    /// holds it.
    pub fn holder(&self) -> Option<Holder> {
        let seen = lease::look(&self.objects).ok()?;
        let signed = lease::signed(&self.objects, seen.number).ok()??;
        Some(signed.0)
    }
}

impl Snapshots for SharedReader {
    /// As [`SharedReader::read`], with `state::missing` where there is no state.
    fn load(&self) -> Result<Snapshot, StoreError> {
        Ok(self.whole()?.snapshot)
    }
}
