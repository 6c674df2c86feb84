//! `LocalReader`: what plans and listings use. It takes no lock, creates nothing, and works on a
//! folder that cannot be written.

use super::disk::{Disk, StdDisk};
use super::files::Layout;
use super::history::{self, HistoryEntry};
use super::load::{Found, Loading, State};
use super::lock::{Holder, signed};
use super::moved;
use crate::error::{code, error_help};
use crate::identity::Identity;
use crate::keyring::Keyring;
use crate::notice::Notice;
use kplan_model::{Snapshot, Snapshots, StoreError};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// How often a reader looks again when a writer seems to be at work. With the pauses this is
/// 110 ms, a thousand times what exchanging two files takes.
const LOOKS: u32 = 10;
/// The first pause between two looks; each is that much longer than the one before.
const PAUSE: Duration = Duration::from_millis(2);

/// Reads the state in one folder.
pub struct LocalReader {
    disk: Arc<dyn Disk>,
    layout: Layout,
    cluster: String,
    identity: Option<Identity>,
}

/// What a reader found.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The state; `None` when there is none yet, which is never said of a damaged one.
    pub snapshot: Option<Snapshot>,
    /// The keys, for fingerprints; `None` without identity or state.
    pub keyring: Option<Keyring>,
    /// Whom the state is encrypted to, `age1…`. With one recipient a lost identity is a lost
    /// state.
    pub recipients: Vec<String>,
    /// What its caller should tell somebody.
    pub notices: Vec<Notice>,
    /// Where the state went, when it was moved: what is here is as it was then.
    pub moved_to: Option<String>,
}

impl LocalReader {
    /// A reader of the state of `cluster` in `dir`. Without an identity secrets are read as
    /// [`Secret::sealed`](kplan_model::Secret::sealed). Touches nothing yet.
    pub fn open(dir: &Path, cluster: &str, identity: Option<&Identity>) -> Self {
        Self::on(Arc::new(StdDisk), dir, cluster, identity)
    }

    /// The same on another disk than the system's: for simulations.
    pub fn on(disk: Arc<dyn Disk>, dir: &Path, cluster: &str, identity: Option<&Identity>) -> Self {
        Self {
            disk,
            layout: Layout(dir.to_path_buf()),
            cluster: cluster.to_owned(),
            identity: identity.cloned(),
        }
    }

    pub(crate) fn place(&self) -> String {
        self.layout.0.display().to_string()
    }

    /// The bytes of every history entry, by serial.
    pub(crate) fn entries(&self) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let mut entries = Vec::new();
        for serial in history::serials(&*self.disk, &self.layout)? {
            if let Some(bytes) = history::bytes(&*self.disk, &self.layout, serial)? {
                entries.push((serial, bytes));
            }
        }
        Ok(entries)
    }

    /// Reads the state. Errors: `state::damaged`, `state::newer_format`, `state::other_lineage`,
    /// `state::other_cluster`, `state::wrong_key`, `state::io`.
    pub fn read(&self) -> Result<Loaded, StoreError> {
        Ok(match self.settled()? {
            None => Loaded::default(),
            Some(state) => Loaded {
                snapshot: Some(state.snapshot),
                keyring: state.keyring,
                recipients: state.head.key.recipients,
                notices: state.notices,
                moved_to: moved::moved_to(&self.layout)?,
            },
        })
    }

    /// Looks until what is seen cannot be the middle of a writer's work: a gap between two files,
    /// or a half-written last record that is still growing.
    pub(super) fn settled(&self) -> Result<Option<State>, StoreError> {
        let loading = Loading {
            disk: &*self.disk,
            layout: &self.layout,
            cluster: &self.cluster,
            identity: self.identity.as_ref(),
            skip_damage: false,
        };
        let mut torn = None;
        for look in 1.. {
            match loading.load()? {
                Found::Nothing => return Ok(None),
                Found::State(state) => {
                    let seen = state.torn_at.map(|at| (at, state.journal_length));
                    if seen.is_none() || seen == torn || look >= LOOKS {
                        return Ok(Some(*state));
                    }
                    torn = seen;
                }
                Found::Gap(error) if look >= LOOKS => return Err(error),
                Found::Gap(_) => {}
            }
            thread::sleep(PAUSE * look);
        }
        Ok(None)
    }

    /// The runs that changed this state, oldest first; none when there is no state.
    pub fn history(&self) -> Result<Vec<HistoryEntry>, StoreError> {
        match self.settled()? {
            None => Ok(Vec::new()),
            Some(state) => history::list(&*self.disk, &self.layout, &state.head.lineage),
        }
    }

    /// The state as it was at the end of the run that left `serial`.
    pub fn at(&self, serial: u64) -> Result<Snapshot, StoreError> {
        self.entry(&self.whole()?, serial)
    }

    pub(super) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(super) fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Who signed the lock, for messages; that somebody did does not mean that he still holds it.
    pub fn holder(&self) -> Option<Holder> {
        signed(&self.layout.lock())
    }
}

pub(crate) fn missing(layout: &Layout) -> StoreError {
    error_help(
        code::MISSING,
        format!("there is no state in {}", layout.0.display()),
        "`kplan apply` makes it",
    )
}

impl Snapshots for LocalReader {
    /// As [`LocalReader::read`], with `state::missing` where there is no state.
    fn load(&self) -> Result<Snapshot, StoreError> {
        self.read()?.snapshot.ok_or_else(|| missing(&self.layout))
    }
}
