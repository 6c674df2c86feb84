//! `LocalWriter`: the one process that changes a state.

use super::checkpoint::{NewJournal, rotate};
use super::disk::{Append, Disk, Held, StdDisk};
use super::files::{Layout, batch_frame};
use super::history;
use super::load::{Found, Loading, State};
use super::lock::Holder;
use super::mark::{self, Marker};
use super::moved::moved_to;
use super::opening::{create, create_dir, resume, tidy};
use super::reader::missing;
use super::store::{Changes, Stamp, Store, Touched, changes, rows};
use super::witness::{consult, store_failed};
use crate::error::{code, error, error_help, io_error};
use crate::identity::Identity;
use crate::keyring::Keyring;
use crate::location::moved;
use crate::notice::Notice;
use crate::recipients;
use crate::seed::Seed;
use crate::shared::LeaseTimes;
use crate::wire::batch::BatchWire;
use crate::wire::event::EntryWire;
use crate::wire::snapshot::{Head, SnapshotWire};
use kplan_model::{
    Address, Journal, JournalEntry, JournalError, JournalEvent, OperationEntry, Snapshot,
    Snapshots, StoreError, Timestamp,
};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// When the journal has grown to this many bytes, a checkpoint is made in the middle of a run.
/// Replaying 4 MiB takes a reader well under a tenth of a second.
pub const CHECKPOINT_BYTES: u64 = 4 * 1024 * 1024;

/// How to open a state for writing.
#[derive(Clone, Debug)]
pub struct WriteOptions {
    /// Make the state when there is none.
    pub create: bool,
    /// The lineage of a state that is made: the one the plan was made with. `None` takes a fresh
    /// one. An existing state keeps its own.
    pub lineage: Option<String>,
    /// How long to wait for the lock.
    pub lock_timeout: Duration,
    /// Who asks, shown to others who want the lock meanwhile.
    pub holder: Holder,
    /// When a local writer makes a checkpoint in the middle of a run, in bytes of journal.
    pub checkpoint_bytes: u64,
    /// The times of a shared state's lock.
    pub lease: LeaseTimes,
    /// What a state that is made begins with, instead of nothing.
    pub(crate) seed: Option<Seed>,
    /// Leave out what is damaged instead of refusing (repair of a shared state).
    pub(crate) skip_damage: bool,
    /// Open it also where the state was moved away, to move it back or again.
    pub(crate) even_moved: bool,
}

impl WriteOptions {
    /// Creates a state where there is none, does not wait for the lock, and signs as this
    /// process running `command`.
    pub fn new(command: impl Into<String>) -> Self {
        Self {
            create: true,
            lineage: None,
            lock_timeout: Duration::ZERO,
            holder: Holder::current(command),
            checkpoint_bytes: CHECKPOINT_BYTES,
            lease: LeaseTimes::STANDARD,
            seed: None,
            skip_damage: false,
            even_moved: false,
        }
    }
}

/// Writes the state in one folder. Holds its lock until it is dropped.
pub struct LocalWriter {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) layout: Layout,
    pub(super) head: Head,
    keyring: Keyring,
    pub(super) snapshot: Snapshot,
    /// The newest batch that is durable.
    batch: u64,
    /// Whether the journal holds anything that the snapshot does not.
    dirty: bool,
    journal: Box<dyn Append>,
    journal_length: u64,
    checkpoint_bytes: u64,
    /// The journal's length at which the next checkpoint is tried.
    checkpoint_at: u64,
    /// `None` once it failed: the next writer brings it up to date.
    store: Option<Store>,
    /// `None` once it failed: the next writer makes the mark anew.
    marker: Option<Marker>,
    poisoned: Option<StoreError>,
    notices: Vec<Notice>,
    /// Last, so that it is released last.
    _lock: Box<dyn Held>,
}

impl LocalWriter {
    /// Opens the state of `cluster` in `dir`, making it when there is none and the options say
    /// so. Errors besides those of reading: `state::locked`, `state::missing`, `state::full`,
    /// `state::moved`.
    pub fn open(
        dir: &Path,
        cluster: &str,
        identity: &Identity,
        options: &WriteOptions,
    ) -> Result<Self, StoreError> {
        if let Some(to) = moved_to(&Layout(dir.to_path_buf()))?.filter(|_| !options.even_moved) {
            return Err(moved(&dir.display().to_string(), &to));
        }
        Self::open_on(Arc::new(StdDisk), dir, cluster, identity, options)
    }

    /// The same on another disk than the system's: for simulations.
    pub fn open_on(
        disk: Arc<dyn Disk>,
        dir: &Path,
        cluster: &str,
        identity: &Identity,
        options: &WriteOptions,
    ) -> Result<Self, StoreError> {
        let layout = Layout(dir.to_path_buf());
        let loading = Loading {
            disk: &*disk,
            layout: &layout,
            cluster,
            identity: Some(identity),
            skip_damage: false,
        };
        // What is refused for good is refused before the lock file is touched.
        let there = loading.peek()?;
        if options.create {
            create_dir(&*disk, dir)?;
        } else if !there {
            return Err(nothing_there(&loading));
        }
        let lock = disk.lock(&layout.lock(), &options.holder, options.lock_timeout)?;
        let (state, opened, store) = match loading.load()? {
            Found::Gap(error) => return Err(error),
            Found::Nothing if !options.create => return Err(missing(&layout)),
            Found::Nothing => {
                tidy(&*disk, &layout);
                let (mut state, opened) = create(&*disk, &layout, cluster, identity, options)?;
                let store = consult(&*disk, &layout, &mut state)?;
                (state, opened, store)
            }
            Found::State(mut state) => {
                let store = consult(&*disk, &layout, &mut state)?;
                tidy(&*disk, &layout);
                let opened = resume(&*disk, &layout, &mut state)?;
                (*state, opened, store)
            }
        };
        Self::assemble(Parts {
            disk: Arc::clone(&disk),
            layout,
            state,
            opened,
            store,
            checkpoint_bytes: options.checkpoint_bytes,
            lock,
        })
    }

    fn assemble(parts: Parts) -> Result<Self, StoreError> {
        let Parts {
            disk,
            layout,
            mut state,
            opened,
            store,
            checkpoint_bytes,
            lock,
        } = parts;
        let Some(keyring) = state.keyring else {
            return Err(error(
                code::NO_IDENTITY,
                "a state is written with an identity",
            ));
        };
        let marker = match Marker::begin(&*disk, &layout, &state.head.lineage, state.batch) {
            Ok(marker) => Some(marker),
            Err(why) => {
                state.notices.push(mark::failed(&why));
                None
            }
        };
        Ok(Self {
            dirty: state.checkpointed != Some(state.batch),
            head: state.head,
            keyring,
            snapshot: state.snapshot,
            batch: state.batch,
            journal: opened.file,
            journal_length: opened.length,
            checkpoint_bytes,
            checkpoint_at: opened.length.max(checkpoint_bytes),
            store,
            marker,
            poisoned: opened.uncertain,
            notices: state.notices,
            disk,
            layout,
            _lock: lock,
        })
    }

    /// The state with everything acknowledged so far.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The state's keys, for fingerprints.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Whom the state is encrypted to, `age1…`.
    pub fn recipients(&self) -> &[String] {
        &self.head.key.recipients
    }

    /// What its caller should tell somebody, since the last time this was asked.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Puts another state in the place of this one, in one durable step: what `import`,
    /// `state rm` or `state restore` do. Lineage and owner must be the same; the serial becomes
    /// one more than now.
    pub fn replace(&mut self, mut next: Snapshot) -> Result<(), StoreError> {
        next.serial = self.snapshot.serial + 1;
        self.put(next)
    }

    /// The same under the serial that it has.
    fn put(&mut self, next: Snapshot) -> Result<(), StoreError> {
        if (&next.lineage, &next.owner) != (&self.snapshot.lineage, &self.snapshot.owner) {
            return Err(other_lineage());
        }
        self.put_whole(next, self.head.clone())
    }

    /// Encrypts the state's key to one more recipient (`age1…`), who can read every secret of
    /// this state from then on, those in the history written later included.
    pub fn add_recipient(&mut self, recipient: &str) -> Result<(), StoreError> {
        match recipients::with(&self.keyring, &self.head, recipient)? {
            None => Ok(()),
            Some(head) => self.put_whole(self.snapshot.clone(), head),
        }
    }

    /// Takes a recipient's access away: the state gets a new data key, every secret is sealed
    /// anew, and snapshot and journal are exchanged twice so that no copy under the old key stays
    /// beside them. What that recipient has read, and the history written until now, stays
    /// readable for them.
    ///
    /// # Errors
    /// `state::identity` for one who is no recipient, `state::locked_out` when `own`, those of the
    /// identity at hand, would have none left among the recipients.
    pub fn remove_recipient(&mut self, recipient: &str, own: &[String]) -> Result<(), StoreError> {
        let (keyring, head) = recipients::without(&self.head, recipient, own)?;
        self.put_sealed_by(keyring, self.snapshot.clone(), head)?;
        // The predecessors still hold the old key; after the second exchange they do not.
        self.checkpoint()?;
        self.dirty = true;
        self.checkpoint()
    }

    fn put_whole(&mut self, next: Snapshot, head: Head) -> Result<(), StoreError> {
        self.put_sealed_by(self.keyring.clone(), next, head)
    }

    pub(super) fn put_sealed_by(
        &mut self,
        keyring: Keyring,
        next: Snapshot,
        head: Head,
    ) -> Result<(), StoreError> {
        let keys = Some(&keyring);
        let wire = SnapshotWire::out(keys, &head.key, self.batch + 1, &next)?;
        let all = rows(keys, &next)?;
        let frame = batch_frame(&BatchWire {
            batch: self.batch + 1,
            entries: Vec::new(),
            replaced_by: Some(Box::new(wire)),
        })?;
        self.make_durable(&frame)?;
        self.snapshot = next;
        self.head = head;
        self.keyring = keyring;
        self.tell_store(|store, stamp| store.rewrite(stamp, &all));
        self.checkpoint_if_due();
        Ok(())
    }

    /// The write-ahead step: when this returns, the frame survives everything.
    fn make_durable(&mut self, frame: &[u8]) -> Result<(), StoreError> {
        if let Some(cause) = &self.poisoned {
            return Err(poisoned(cause));
        }
        let written = self
            .journal
            .append(frame)
            .and_then(|()| self.journal.sync());
        if let Err(cause) = written {
            // The end of the file is unknown now, and a second fsync may report success for
            // pages the first one dropped: nothing more is written in this run.
            let refused = io_error("write", &self.layout.journal(), &cause);
            self.poisoned = Some(refused.clone());
            return Err(refused);
        }
        self.journal_length += frame.len() as u64;
        self.batch += 1;
        self.dirty = true;
        if let Some(Err(why)) = self
            .marker
            .as_mut()
            .map(|marker| marker.reached(self.batch))
        {
            self.marker = None;
            self.notices.push(mark::failed(why));
        }
        Ok(())
    }

    /// The store comes after the journal, and its failures cost nothing but the second witness.
    fn tell_store(&mut self, tell: impl FnOnce(&Store, &Stamp) -> Result<(), String>) {
        let Some(store) = &self.store else {
            return;
        };
        let stamp = Stamp::new(&self.head.key, self.batch, &self.snapshot);
        if let Err(why) = tell(store, &stamp) {
            self.store = None;
            self.notices.push(store_failed(&why));
        }
    }

    fn checkpoint_if_due(&mut self) {
        if self.journal_length < self.checkpoint_at {
            return;
        }
        if let Err(why) = self.checkpoint() {
            self.notices.push(checkpoint_failed(&why));
            self.checkpoint_at = self.journal_length + self.checkpoint_bytes;
        }
    }

    /// Writes a snapshot and begins a new journal. Not needed for safety: everything acknowledged
    /// is durable already. An error leaves the state as it was.
    pub fn checkpoint(&mut self) -> Result<(), StoreError> {
        if let Some(cause) = &self.poisoned {
            return Err(poisoned(cause));
        }
        if !self.dirty {
            return Ok(());
        }
        let journal = rotate(&*self.disk, &self.layout, &self.wire()?)?;
        self.journal = journal.file;
        self.journal_length = journal.length;
        self.checkpoint_at = journal.length.max(self.checkpoint_bytes);
        self.dirty = false;
        if let Some(cause) = journal.uncertain {
            self.poisoned = Some(cause.clone());
            return Err(cause);
        }
        if let Some(Err(why)) = self.store.as_ref().map(Store::flush) {
            self.store = None;
            self.notices.push(store_failed(&why));
        }
        Ok(())
    }

    fn wire(&self) -> Result<SnapshotWire, StoreError> {
        SnapshotWire::out(
            Some(&self.keyring),
            &self.head.key,
            self.batch,
            &self.snapshot,
        )
    }

    /// Ends a run: makes a checkpoint, adds a history entry when something changed, and releases
    /// the lock. What cannot be done here is a notice, not an error: nothing acknowledged depends
    /// on it. Dropping a writer without closing it is what a crash does, and as safe. The only
    /// error is that an earlier write failed.
    pub fn close(mut self, command: &str, at: Timestamp) -> Result<Vec<Notice>, StoreError> {
        if let Some(cause) = &self.poisoned {
            return Err(poisoned(cause));
        }
        if self.dirty {
            if let Err(why) = self.checkpoint() {
                self.notices.push(checkpoint_failed(&why));
            }
            if let Err(why) = self.add_history(command, at) {
                self.notices.push(
                    Notice::warning(
                        code::DEGRADED,
                        format!("this run left no entry in the history: {why}"),
                    )
                    .help("the state itself is written"),
                );
            }
        }
        if let Some(Err(why)) = self.store.as_ref().map(Store::flush) {
            self.notices.push(store_failed(&why));
        }
        Ok(self.take_notices())
    }

    fn add_history(&mut self, command: &str, at: Timestamp) -> Result<(), StoreError> {
        let added = history::add(&*self.disk, &self.layout, self.wire()?, command, at)?;
        if let (Some(entry), Some(store)) = (added, &self.store)
            && let Err(why) = store.index(&entry)
        {
            self.notices.push(store_failed(&why));
        }
        Ok(())
    }
}

impl Journal for LocalWriter {
    fn append(&mut self, entries: &[JournalEntry]) -> Result<(), JournalError> {
        if entries.is_empty() {
            return Ok(());
        }
        let keys = self.keyring.clone();
        let wires = entries
            .iter()
            .map(|entry| EntryWire::out(Some(&keys), entry))
            .collect::<Result<_, _>>()
            .map_err(JournalError::Store)?;
        let frame = batch_frame(&BatchWire {
            batch: self.batch + 1,
            entries: wires,
            replaced_by: None,
        })
        .map_err(JournalError::Store)?;
        self.make_durable(&frame).map_err(JournalError::Store)?;

        let mut touched = Touched {
            deposed_before: self.snapshot.deposed.len(),
            ..Touched::default()
        };
        for entry in entries {
            self.snapshot.apply(entry);
            touched.addresses.extend(touches(&entry.event).cloned());
            touched.outputs |= matches!(entry.event, JournalEvent::Outputs { .. });
        }
        // The values were encodable a moment ago; should they not be now, the store is let go.
        let differing = changes(Some(&keys), &self.snapshot, &touched);
        self.tell_store(|store, stamp| {
            let differing: Changes = differing.map_err(|cause| cause.message)?;
            store.write(stamp, &differing)
        });
        self.checkpoint_if_due();
        Ok(())
    }
}

impl Snapshots for LocalWriter {
    fn load(&self) -> Result<Snapshot, StoreError> {
        Ok(self.snapshot.clone())
    }
}

/// The resource an event is about.
fn touches(event: &JournalEvent) -> impl Iterator<Item = &Address> {
    match event {
        JournalEvent::Refreshed { record } | JournalEvent::Created { record, .. } => {
            Some(&record.address)
        }
        JournalEvent::Vanished { address }
        | JournalEvent::Started { address, .. }
        | JournalEvent::OperationStarted(OperationEntry { address, .. })
        | JournalEvent::OperationSucceeded(OperationEntry { address, .. })
        | JournalEvent::Succeeded { address, .. }
        | JournalEvent::Failed { address, .. }
        | JournalEvent::InDoubt { address, .. }
        | JournalEvent::Resolved { address, .. } => Some(address),
        JournalEvent::RunStarted { .. }
        | JournalEvent::Outputs { .. }
        | JournalEvent::RunEnded { .. } => None,
    }
    .into_iter()
}

/// A state of another lineage or owner was to take this one's place.
pub(crate) fn other_lineage() -> StoreError {
    error(
        code::OTHER_LINEAGE,
        "the state of another lineage or owner cannot take this one's place",
    )
}

/// What a writer is made of.
struct Parts {
    disk: Arc<dyn Disk>,
    layout: Layout,
    state: State,
    opened: NewJournal,
    store: Option<Store>,
    checkpoint_bytes: u64,
    lock: Box<dyn Held>,
}

/// The error where there is nothing to open: a state that never was, or files that speak of one
/// that is gone.
pub(crate) fn nothing_there(loading: &Loading<'_>) -> StoreError {
    match loading.load() {
        Err(error) | Ok(Found::Gap(error)) => error,
        Ok(Found::Nothing | Found::State(_)) => missing(loading.layout),
    }
}

pub(crate) fn poisoned(cause: &StoreError) -> StoreError {
    error_help(
        code::POISONED,
        format!("nothing more is written in this run, because an earlier write failed: {cause}"),
        "what was recorded before is intact; when the cause is gone, run the command again",
    )
}

pub(crate) fn checkpoint_failed(why: &StoreError) -> Notice {
    Notice::warning(
        code::DEGRADED,
        format!("no snapshot could be written: {why}"),
    )
    .help("nothing is lost: the journal holds everything, and the next run tries again")
}
