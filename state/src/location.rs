//! Where a state is: a folder of this machine, or a root in a store that several machines share.
//! Whoever uses a state asks here for a reader or a writer and need not know which it is.

use crate::error::{code, error_help, io_error};
use crate::identity::Identity;
use crate::keyring::Keyring;
use crate::local::{
    Document, HistoryEntry, Holder, Loaded, LocalReader, LocalWriter, Verified, WriteOptions,
};
use crate::notice::Notice;
use crate::seed::Seed;
use crate::shared::{self, Claim, SharedReader, SharedWriter};
use crate::wire::snapshot::Head;
use kplan_model::{
    Journal, JournalEntry, JournalError, ObjectStore, Snapshot, Snapshots, StoreError, Timestamp,
};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// A place for one cluster's state.
#[derive(Clone)]
pub enum Location {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A root in a store that several machines share.
    Shared(Arc<dyn ObjectStore>),
}

impl Location {
    /// Where it is, for messages: the folder, or the store's own name for its root.
    pub fn name(&self) -> String {
        match self {
            Self::Folder(dir) => dir.display().to_string(),
            Self::Shared(store) => store.name(),
        }
    }

    /// Whether a state was ever begun there. A folder that holds anything is opened, never taken
    /// for an empty state; a store that does not answer is an error.
    pub fn exists(&self) -> Result<bool, StoreError> {
        match self {
            Self::Folder(dir) => match std::fs::read_dir(dir) {
                Ok(mut entries) => Ok(entries.next().is_some()),
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(false),
                Err(cause) => Err(io_error("list", dir, &cause)),
            },
            Self::Shared(store) => shared::exists(store),
        }
    }

    /// A reader of the state of `cluster`. Without an identity secrets stay sealed.
    pub fn reader(&self, cluster: &str, identity: Option<&Identity>) -> Reader {
        match self {
            Self::Folder(dir) => Reader::Local(LocalReader::open(dir, cluster, identity)),
            Self::Shared(store) => {
                Reader::Shared(SharedReader::open(Arc::clone(store), cluster, identity))
            }
        }
    }

    /// Opens the state of `cluster` for writing, making it when there is none and the options say
    /// so.
    ///
    /// # Errors
    /// Besides those of reading: `state::locked`, `state::missing`, `state::moved`, and those of
    /// each kind of place.
    pub fn writer(
        &self,
        cluster: &str,
        identity: &Identity,
        options: &WriteOptions,
    ) -> Result<Writer, StoreError> {
        let writer = match self {
            Self::Folder(dir) => Writer::Local(Box::new(LocalWriter::open(
                dir, cluster, identity, options,
            )?)),
            Self::Shared(store) => Writer::Shared(Box::new(SharedWriter::open(
                Arc::clone(store),
                cluster,
                identity,
                options,
            )?)),
        };
        // Somebody may have moved it while this one waited for the lock.
        match writer.moved_to()?.filter(|_| !options.even_moved) {
            None => Ok(writer),
            Some(to) => Err(moved(&self.name(), &to)),
        }
    }

    /// Makes a damaged state readable again; what had to be left out is in the notices. A shared
    /// state needs the identity, for what is left of it is written anew.
    pub fn repair(
        &self,
        cluster: &str,
        identity: Option<&Identity>,
        options: &WriteOptions,
    ) -> Result<Vec<Notice>, StoreError> {
        match self {
            Self::Folder(dir) => crate::local::repair(dir, cluster, identity, options),
            Self::Shared(store) => shared::repair(Arc::clone(store), cluster, identity, options),
        }
    }
}

/// The state is somewhere else.
pub(crate) fn moved(from: &str, to: &str) -> StoreError {
    error_help(
        code::MOVED,
        format!("the state is not in {from} any more: it was moved to {to}"),
        "say so in `[state] backend`; or bring it back with `kplan state migrate`, which moves it \
         to where the file says",
    )
}

/// Reads a state.
pub enum Reader {
    /// In a folder.
    Local(LocalReader),
    /// In a shared store.
    Shared(SharedReader),
}

impl Reader {
    /// Reads it.
    ///
    /// # Errors
    /// `state::moved` where it is somewhere else, and those of each kind of place.
    pub fn read(&self) -> Result<Loaded, StoreError> {
        let loaded = self.read_even_moved()?;
        match &loaded.moved_to {
            None => Ok(loaded),
            Some(to) => Err(moved(&self.place(), to)),
        }
    }

    /// The same, also where the state was moved away since.
    pub(crate) fn read_even_moved(&self) -> Result<Loaded, StoreError> {
        match self {
            Self::Local(reader) => reader.read(),
            Self::Shared(reader) => reader.read(),
        }
    }

    fn place(&self) -> String {
        match self {
            Self::Local(reader) => reader.place(),
            Self::Shared(reader) => reader.place(),
        }
    }

    /// The runs that changed it, oldest first; none when there is no state.
    pub fn history(&self) -> Result<Vec<HistoryEntry>, StoreError> {
        match self {
            Self::Local(reader) => reader.history(),
            Self::Shared(reader) => reader.history(),
        }
    }

    /// The state as it was at the end of the run that left `serial`.
    pub fn at(&self, serial: u64) -> Result<Snapshot, StoreError> {
        match self {
            Self::Local(reader) => reader.at(serial),
            Self::Shared(reader) => reader.at(serial),
        }
    }

    /// The state as one document, secrets sealed. Needs no identity.
    pub fn document(&self) -> Result<Document, StoreError> {
        match self {
            Self::Local(reader) => reader.document(),
            Self::Shared(reader) => reader.document(),
        }
    }

    /// Reads everything there is, and opens every secret where there is an identity.
    pub fn verify(&self) -> Result<Verified, StoreError> {
        match self {
            Self::Local(reader) => reader.verify(),
            Self::Shared(reader) => reader.verify(),
        }
    }

    /// Who signed the lock, for messages.
    pub fn holder(&self) -> Option<Holder> {
        match self {
            Self::Local(reader) => reader.holder(),
            Self::Shared(reader) => reader.holder(),
        }
    }

    pub(crate) fn entries(&self) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        match self {
            Self::Local(reader) => reader.entries(),
            Self::Shared(reader) => reader.entries(),
        }
    }
}

impl Snapshots for Reader {
    fn load(&self) -> Result<Snapshot, StoreError> {
        match self {
            Self::Local(reader) => reader.load(),
            Self::Shared(reader) => reader.load(),
        }
    }
}

/// Writes a state. Holds its lock until it is dropped.
pub enum Writer {
    /// In a folder.
    Local(Box<LocalWriter>),
    /// In a shared store.
    Shared(Box<SharedWriter>),
}

impl Writer {
    /// The state with everything acknowledged so far.
    pub fn snapshot(&self) -> &Snapshot {
        match self {
            Self::Local(writer) => writer.snapshot(),
            Self::Shared(writer) => writer.snapshot(),
        }
    }

    /// The state's keys, for fingerprints.
    pub fn keyring(&self) -> &Keyring {
        match self {
            Self::Local(writer) => writer.keyring(),
            Self::Shared(writer) => writer.keyring(),
        }
    }

    /// Whom the state is encrypted to, `age1…`.
    pub fn recipients(&self) -> &[String] {
        match self {
            Self::Local(writer) => writer.recipients(),
            Self::Shared(writer) => writer.recipients(),
        }
    }

    /// What its caller should tell somebody, since the last time this was asked.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        match self {
            Self::Local(writer) => writer.take_notices(),
            Self::Shared(writer) => writer.take_notices(),
        }
    }

    /// What releases the lock when this run is told to end; `None` where the system does.
    pub fn claim(&self) -> Option<Claim> {
        match self {
            Self::Local(_) => None,
            Self::Shared(writer) => Some(writer.claim()),
        }
    }

    /// Puts another state in the place of this one, in one durable step. Lineage and owner must be
    /// the same; the serial becomes one more than now.
    pub fn replace(&mut self, next: Snapshot) -> Result<(), StoreError> {
        match self {
            Self::Local(writer) => writer.replace(next),
            Self::Shared(writer) => writer.replace(next),
        }
    }

    /// Lets one more recipient (`age1…`) read the state.
    pub fn add_recipient(&mut self, recipient: &str) -> Result<(), StoreError> {
        match self {
            Self::Local(writer) => writer.add_recipient(recipient),
            Self::Shared(writer) => writer.add_recipient(recipient),
        }
    }

    /// Takes a recipient's access away; `own` are those of the identity at hand.
    pub fn remove_recipient(&mut self, recipient: &str, own: &[String]) -> Result<(), StoreError> {
        match self {
            Self::Local(writer) => writer.remove_recipient(recipient, own),
            Self::Shared(writer) => writer.remove_recipient(recipient, own),
        }
    }

    /// Ends a run and releases the lock. What cannot be done here is a notice; the only error is
    /// that an earlier write failed.
    pub fn close(self, command: &str, at: Timestamp) -> Result<Vec<Notice>, StoreError> {
        match self {
            Self::Local(writer) => writer.close(command, at),
            Self::Shared(writer) => writer.close(command, at),
        }
    }

    pub(crate) fn moved_to(&self) -> Result<Option<String>, StoreError> {
        match self {
            Self::Local(writer) => writer.moved_to(),
            Self::Shared(writer) => Ok(writer.moved_to().map(str::to_owned)),
        }
    }

    pub(crate) fn seed(&self) -> Seed {
        match self {
            Self::Local(writer) => writer.seed(),
            Self::Shared(writer) => writer.seed(),
        }
    }

    /// Puts the state of another place, of the same lineage, in the place of this one.
    pub(crate) fn take_over(&mut self, source: &Self) -> Result<(), StoreError> {
        let Seed { snapshot, key } = source.seed();
        let keyring = source.keyring().clone();
        let head = Head {
            lineage: snapshot.lineage.clone(),
            cluster: snapshot.owner.cluster.clone(),
            key,
        };
        match self {
            Self::Local(writer) => writer.take_over(keyring, snapshot, head),
            Self::Shared(writer) => writer.take_over(keyring, snapshot, head),
        }
    }

    pub(crate) fn checkpoint(&mut self) -> Result<(), StoreError> {
        match self {
            Self::Local(writer) => writer.checkpoint(),
            Self::Shared(writer) => writer.checkpoint(),
        }
    }

    pub(crate) fn put_entry(&self, serial: u64, bytes: &[u8]) -> Result<(), StoreError> {
        match self {
            Self::Local(writer) => writer.put_entry(serial, bytes),
            Self::Shared(writer) => writer.put_entry(serial, bytes),
        }
    }

    /// Says where the state went.
    pub(crate) fn mark_moved(&mut self, to: &str) -> Result<(), StoreError> {
        match self {
            Self::Local(writer) => writer.mark_moved(to),
            Self::Shared(writer) => writer.mark_moved(to),
        }
    }

    /// It is here again: putting a state here said so in a shared place already.
    pub(crate) fn unmark(&self) -> Result<(), StoreError> {
        match self {
            Self::Local(writer) => writer.unmark(),
            Self::Shared(_) => Ok(()),
        }
    }
}

impl Journal for Writer {
    fn append(&mut self, entries: &[JournalEntry]) -> Result<(), JournalError> {
        match self {
            Self::Local(writer) => writer.append(entries),
            Self::Shared(writer) => writer.append(entries),
        }
    }

    fn still_held(&self) -> Result<(), JournalError> {
        match self {
            Self::Local(writer) => writer.still_held(),
            Self::Shared(writer) => writer.still_held(),
        }
    }
}

impl Snapshots for Writer {
    fn load(&self) -> Result<Snapshot, StoreError> {
        Ok(self.snapshot().clone())
    }
}
