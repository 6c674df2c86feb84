//! Moving a state from one place to another: copied, checked, and only then is the old place
//! marked, so that nobody goes on writing there. Both locks are held. Killed at any moment, it can
//! be run again: what was copied is found equal and is not copied twice.

use crate::error::{code, error_help};
use crate::identity::Identity;
use crate::keyring::Keyring;
use crate::local::{WriteOptions, written_entry};
use crate::location::{Location, Writer, moved};
use crate::notice::Notice;
use crate::shared::Claim;
use crate::wire::snapshot::SnapshotWire;
use kplan_model::{Snapshot, StoreError, Timestamp};
use std::collections::BTreeSet;

/// A state that was moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// Its serial.
    pub serial: u64,
    /// Resources on record, deposed ones included.
    pub resources: usize,
    /// Entries of the history that are in the new place.
    pub history: usize,
}

/// Who moves, and how.
pub struct Migration<'a> {
    /// The cluster.
    pub cluster: &'a str,
    /// Opens the state.
    pub identity: &'a Identity,
    /// How both places are opened.
    pub options: &'a WriteOptions,
    /// When.
    pub at: Timestamp,
    /// Given what releases each shared lock, once it is held.
    pub held: &'a dyn Fn(Claim),
    /// Given what the places have to say, also where the move fails afterwards.
    pub told: &'a dyn Fn(Vec<Notice>),
}

/// A place and what it is called in the file.
pub type Named<'a> = (&'a Location, &'a str);

impl Migration<'_> {
    /// Moves the state from one place to another.
    ///
    /// # Errors
    /// `state::missing` when there is none, `state::moved` when it went somewhere else before,
    /// `state::other_lineage` when the new place holds another state, `state::diverged` when both
    /// hold this one and went different ways, and those of opening either.
    pub fn run(
        &self,
        (from, old): Named<'_>,
        (to, new): Named<'_>,
    ) -> Result<Migrated, StoreError> {
        let mut options = self.options.clone();
        options.create = false;
        options.even_moved = true;
        let mut source = from.writer(self.cluster, self.identity, &options)?;
        (self.told)(source.take_notices());
        source.claim().into_iter().for_each(self.held);
        let gone = source.moved_to()?;
        if let Some(elsewhere) = gone.as_ref().filter(|place| **place != new) {
            return Err(moved(old, elsewhere));
        }
        options.create = gone.is_none();
        options.seed = Some(source.seed());
        let mut target = to.writer(self.cluster, self.identity, &options)?;
        (self.told)(target.take_notices());
        target.claim().into_iter().for_each(self.held);
        self.same_state(&source, &target, to)?;
        if gone.is_none() {
            self.copy(&source, from, &mut target, to)?;
            self.check(&source, to)?;
            source.mark_moved(new)?;
        }
        drop(source);
        let done = Migrated {
            serial: target.snapshot().serial,
            resources: target.snapshot().resources.len() + target.snapshot().deposed.len(),
            history: to.reader(self.cluster, None).entries()?.len(),
        };
        (self.told)(target.close(&self.options.holder.command, self.at)?);
        Ok(done)
    }

    fn same_state(
        &self,
        source: &Writer,
        target: &Writer,
        to: &Location,
    ) -> Result<(), StoreError> {
        let (ours, theirs) = (source.snapshot(), target.snapshot());
        if ours.lineage == theirs.lineage {
            return Ok(());
        }
        Err(error_help(
            code::OTHER_LINEAGE,
            format!(
                "{} holds another state of {}: its lineage is {}, and the one to be moved has {}",
                to.name(),
                self.cluster,
                theirs.lineage,
                ours.lineage
            ),
            "nothing was changed. Choose another bucket or prefix, or remove that state where it \
             is of no use any more",
        ))
    }

    /// Makes the target hold what the source holds.
    fn copy(
        &self,
        source: &Writer,
        from: &Location,
        target: &mut Writer,
        to: &Location,
    ) -> Result<(), StoreError> {
        let state = source.snapshot();
        let reader = to.reader(self.cluster, Some(self.identity));
        if target.moved_to()?.is_some() {
            // It was here before, went away, and comes back.
            target.take_over(source)?;
        } else if target.snapshot() != state {
            // An earlier migration was cut off after copying, and the new place was used since.
            let went_on = target.snapshot().serial > state.serial
                && reader.at(state.serial).is_ok_and(|then| then == *state);
            if !went_on {
                return Err(diverged(from, to, state, target.snapshot()));
            }
        }
        target.checkpoint()?;
        let there: BTreeSet<u64> = reader.entries()?.into_iter().map(|(n, _)| n).collect();
        let ours = from.reader(self.cluster, None).entries()?;
        let mut known = there.clone();
        for (serial, bytes) in ours {
            if known.insert(serial) {
                target.put_entry(serial, &bytes)?;
            }
        }
        if !known.contains(&state.serial) {
            let (_, bytes) = self.entry(source)?;
            target.put_entry(state.serial, &bytes)?;
        }
        target.unmark()
    }

    /// The source's state as an entry of the history.
    fn entry(&self, source: &Writer) -> Result<(crate::HistoryEntry, Vec<u8>), StoreError> {
        let seed = source.seed();
        let keys = Keyring::unwrap(&seed.snapshot.lineage, &seed.key, self.identity)?;
        let wire = SnapshotWire::out(Some(&keys), &seed.key, 0, &seed.snapshot)?;
        written_entry(wire, &self.options.holder.command, self.at)
    }

    /// Reads the new place as anybody else would.
    fn check(&self, source: &Writer, to: &Location) -> Result<(), StoreError> {
        let reader = to.reader(self.cluster, Some(self.identity));
        let state = source.snapshot();
        let read = reader.read()?.snapshot;
        let same = match &read {
            Some(read) if read.serial == state.serial => read == state,
            _ => reader.at(state.serial)? == *state,
        };
        let problem = reader.verify()?.problems.into_iter().next();
        match (same, problem) {
            (true, None) => Ok(()),
            (true, Some(problem)) => Err(problem),
            (false, _) => Err(error_help(
                code::DAMAGED,
                format!("what was copied to {} does not read back equal", to.name()),
                "the old place is as it was and still counts; look after the new one",
            )),
        }
    }
}

fn diverged(from: &Location, to: &Location, ours: &Snapshot, theirs: &Snapshot) -> StoreError {
    error_help(
        code::DIVERGED,
        format!(
            "the state is in {} (serial {}) and in {} (serial {}), and they went different ways",
            from.name(),
            ours.serial,
            to.name(),
            theirs.serial
        ),
        "nothing was changed. Look at both (`kplan show`, with `[state] backend` set to one and \
         the other), and make the one that is right the state with `kplan state pull` and `kplan \
         state push --force`",
    )
}
