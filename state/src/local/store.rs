//! The writer's store: sled 0.34, named in this file alone. Trees `meta` (format, lineage,
//! serial, …), `resources` (one row per record, deposed record, doubt, and the outputs) and
//! `history` (an index of the history files).
//!
//! It is never what a state is read from: the journal is durable before a row changes here, and
//! every row can be made again from snapshot and journal. That is on purpose. sled 0.34 has open
//! reports of stores that do not open after a hard stop (spacejam/sled 1533, 1166), some of them
//! panics. So a writer that finds a store which does not open, belongs to another state, or says
//! something else than snapshot and journal moves it aside, makes a new one, and says so. A store
//! that is merely *behind* is what every kill leaves: it is brought up to date.
//!
//! What the store adds is a second witness. If it is *ahead* of snapshot and journal, then
//! acknowledged records were lost or an older copy was put back, and no other file could tell.
//!
//! Rows are wire bytes: secrets are sealed before they come here.

use crate::keyring::{Keyring, WrappedKey};
use crate::local::history::HistoryEntry;
use crate::wire::FORMAT;
use crate::wire::record::{DoubtWire, RecordWire};
use crate::wire::snapshot::OUTPUTS;
use crate::wire::value::object_out;
use kplan_model::{Address, Snapshot, StoreError};
use serde::Serialize;
use sled::Transactional as _;
use sled::transaction::{ConflictableTransactionError, TransactionError, TransactionalTree};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

/// Bytes of page cache; sled's own default is a gigabyte.
const CACHE: u64 = 16 * 1024 * 1024;

/// How often, and how long apart, a store that is still held is tried again: two seconds in all.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Rows of the tree `resources`, by key.
pub(crate) type Rows = BTreeMap<Vec<u8>, Vec<u8>>;
/// Changes of that tree: `None` removes.
pub(crate) type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// What the tree `meta` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) format: u32,
    pub(crate) lineage: String,
    pub(crate) cluster: String,
    pub(crate) serial: u64,
    pub(crate) batch: u64,
    /// The wrapped data key, as JSON.
    pub(crate) key: String,
}

impl Stamp {
    pub(crate) fn new(key: &WrappedKey, batch: u64, snapshot: &Snapshot) -> Self {
        Self {
            format: FORMAT,
            lineage: snapshot.lineage.clone(),
            cluster: snapshot.owner.cluster.clone(),
            serial: snapshot.serial,
            batch,
            // A struct of strings always has a JSON form.
            key: serde_json::to_string(key).unwrap_or_default(),
        }
    }

    fn rows(&self) -> [(&'static str, String); 6] {
        [
            ("format", self.format.to_string()),
            ("lineage", self.lineage.clone()),
            ("cluster", self.cluster.clone()),
            ("serial", self.serial.to_string()),
            ("batch", self.batch.to_string()),
            ("key", self.key.clone()),
        ]
    }
}

/// What a store that was there turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It says what snapshot and journal say.
    Agrees,
    /// There is nothing in it yet.
    Empty,
    /// An older kplan wrote it, in its format, and it knows no more than snapshot and journal.
    Older,
    /// The last run was killed before it wrote everything here.
    Behind { batch: u64 },
    /// It knows records that snapshot and journal do not: they were acknowledged, and are lost.
    Ahead(String),
    /// It cannot be trusted.
    Disagrees(String),
}

/// An open store.
pub(crate) struct Store {
    db: sled::Db,
    meta: sled::Tree,
    resources: sled::Tree,
    history: sled::Tree,
}

type Outcome<T> = Result<T, String>;

fn text(cause: impl std::fmt::Display) -> String {
    cause.to_string()
}

/// Opens sled's files. sled's own threads may hold them for a moment after the handle that was
/// used before is gone; no other process can, as the state's lock is ours.
fn open_unlocked(path: &Path) -> Outcome<sled::Db> {
    let mut tries = 0;
    loop {
        let opened = sled::Config::new()
            .path(path)
            .cache_capacity(CACHE)
            // Durability is the journal's; this store is flushed at checkpoints.
            .flush_every_ms(None)
            .open();
        match opened {
            Err(cause) if tries < LOCK_TRIES && is_locked(&cause) => {
                tries += 1;
                std::thread::sleep(LOCK_PAUSE);
            }
            other => return other.map_err(text),
        }
    }
}

/// sled gives the reason only as text.
fn is_locked(cause: &sled::Error) -> bool {
    matches!(cause, sled::Error::Io(_)) && cause.to_string().contains("could not acquire lock")
}

/// Runs what may panic inside sled on damaged files, and turns that into an error.
fn guarded<T>(work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        let said = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied());
        Err(format!("it panicked: {}", said.unwrap_or("no message")))
    })
}

impl Store {
    /// Opens the store at `path`, making it when there is none.
    pub(crate) fn open(path: &Path) -> Outcome<Self> {
        guarded(|| {
            let db = open_unlocked(path)?;
            let tree = |name: &str| db.open_tree(name).map_err(text);
            Ok(Self {
                meta: tree("meta")?,
                resources: tree("resources")?,
                history: tree("history")?,
                db,
            })
        })
    }

    /// Compares the store with what snapshot and journal say.
    pub(crate) fn check(&self, stamp: &Stamp, rows: &Rows) -> Verdict {
        guarded(|| {
            let Some(found) = self.stamp()? else {
                let empty = self.meta.is_empty() && self.resources.is_empty();
                return Ok(if empty {
                    Verdict::Empty
                } else {
                    Verdict::Disagrees("it is incomplete".to_owned())
                });
            };
            if (&found.lineage, &found.cluster) != (&stamp.lineage, &stamp.cluster) {
                return Ok(Verdict::Disagrees("it belongs to another state".to_owned()));
            }
            if found.batch > stamp.batch {
                return Ok(Verdict::Ahead(format!(
                    "the writer's store knows serial {}, but snapshot and journal end with serial \
                     {}: records were lost, or an older copy of them was put back",
                    found.serial, stamp.serial
                )));
            }
            // What an older kplan wrote is a witness, too: only after it was heard is it rewritten.
            if found.format < stamp.format {
                return Ok(Verdict::Older);
            }
            if found.batch < stamp.batch {
                return Ok(Verdict::Behind { batch: found.batch });
            }
            if found != *stamp || !self.same_rows(rows)? {
                return Ok(Verdict::Disagrees(
                    "its rows are not those of snapshot and journal".to_owned(),
                ));
            }
            Ok(Verdict::Agrees)
        })
        .unwrap_or_else(Verdict::Disagrees)
    }

    /// Makes it one that was written in that format.
    #[cfg(test)]
    pub(crate) fn pretend_format(&self, format: u32) {
        let format = format.to_string();
        self.meta.insert("format", format.as_bytes()).unwrap();
        self.flush().unwrap();
    }

    fn stamp(&self) -> Outcome<Option<Stamp>> {
        let row = |name: &str| -> Outcome<Option<String>> {
            let Some(bytes) = self.meta.get(name).map_err(text)? else {
                return Ok(None);
            };
            String::from_utf8(bytes.to_vec()).map(Some).map_err(text)
        };
        let number = |text: String| text.parse::<u64>().ok();
        let (Some(format), Some(lineage), Some(cluster), Some(key)) = (
            row("format")?,
            row("lineage")?,
            row("cluster")?,
            row("key")?,
        ) else {
            return Ok(None);
        };
        let (serial, batch) = (
            row("serial")?.and_then(number),
            row("batch")?.and_then(number),
        );
        let (Ok(format), Some(serial), Some(batch)) = (format.parse(), serial, batch) else {
            return Err("its numbers cannot be read".to_owned());
        };
        Ok(Some(Stamp {
            format,
            lineage,
            cluster,
            serial,
            batch,
            key,
        }))
    }

    fn same_rows(&self, rows: &Rows) -> Outcome<bool> {
        let mut expected = rows.iter();
        for found in &self.resources {
            let (key, value) = found.map_err(text)?;
            if expected.next() != Some((&key.to_vec(), &value.to_vec())) {
                return Ok(false);
            }
        }
        Ok(expected.next().is_none())
    }

    /// Writes changes and the new stamp, all or nothing.
    pub(crate) fn write(&self, stamp: &Stamp, changes: &Changes) -> Outcome<()> {
        type Trees = (TransactionalTree, TransactionalTree);
        guarded(|| {
            (&self.meta, &self.resources)
                .transaction(
                    |(meta, resources): &Trees| -> Result<(), ConflictableTransactionError<()>> {
                        for (key, value) in changes {
                            match value {
                                Some(value) => {
                                    resources.insert(key.as_slice(), value.as_slice())?
                                }
                                None => resources.remove(key.as_slice())?,
                            };
                        }
                        for (key, value) in stamp.rows() {
                            meta.insert(key, value.as_str())?;
                        }
                        Ok(())
                    },
                )
                .map_err(|cause| match cause {
                    TransactionError::Storage(cause) => text(cause),
                    TransactionError::Abort(()) => "the transaction was aborted".to_owned(),
                })
        })
    }

    /// Makes the rows exactly `rows`.
    pub(crate) fn rewrite(&self, stamp: &Stamp, rows: &Rows) -> Outcome<()> {
        let mut changes = Changes::new();
        for found in &self.resources {
            let (key, _) = found.map_err(text)?;
            changes.insert(key.to_vec(), None);
        }
        let wanted = rows
            .iter()
            .map(|(key, value)| (key.clone(), Some(value.clone())));
        changes.extend(wanted);
        self.write(stamp, &changes)
    }

    /// Puts an entry into the index of the history.
    pub(crate) fn index(&self, entry: &HistoryEntry) -> Outcome<()> {
        guarded(|| {
            let value = format!("{} {} {}", entry.at.0, entry.digest, entry.command);
            self.history
                .insert(entry.serial.to_be_bytes(), value.as_str())
                .map_err(text)?;
            while self.history.len() > crate::local::history::KEPT {
                self.history.pop_min().map_err(text)?;
            }
            Ok(())
        })
    }

    /// Makes everything written so far durable.
    pub(crate) fn flush(&self) -> Outcome<()> {
        guarded(|| self.db.flush().map(|_| ()).map_err(text))
    }
}

fn json(wire: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(wire)
        .map_err(|cause| crate::error::error(crate::error::code::UNSTORABLE, cause.to_string()))
}

fn resource_key(address: &Address) -> Vec<u8> {
    format!("resource {address}").into_bytes()
}

fn doubt_key(address: &Address) -> Vec<u8> {
    format!("in_doubt {address}").into_bytes()
}

fn deposed_key(index: usize) -> Vec<u8> {
    format!("deposed {index:010}").into_bytes()
}

fn outputs_row(keys: Option<&Keyring>, snapshot: &Snapshot) -> Result<Vec<u8>, StoreError> {
    json(&object_out(keys, OUTPUTS, OUTPUTS, &snapshot.outputs)?)
}

/// Every row of a snapshot.
pub(crate) fn rows(keys: Option<&Keyring>, snapshot: &Snapshot) -> Result<Rows, StoreError> {
    let mut rows = Rows::new();
    for (address, record) in &snapshot.resources {
        rows.insert(
            resource_key(address),
            json(&RecordWire::out(keys, record)?)?,
        );
    }
    for (address, doubt) in &snapshot.in_doubt {
        rows.insert(doubt_key(address), json(&DoubtWire::out(keys, doubt)?)?);
    }
    for (index, record) in snapshot.deposed.iter().enumerate() {
        rows.insert(deposed_key(index), json(&RecordWire::out(keys, record)?)?);
    }
    rows.insert(OUTPUTS.into(), outputs_row(keys, snapshot)?);
    Ok(rows)
}

/// What entries changed: the addresses they name, whether they name outputs, and how many
/// deposed records there were before.
#[derive(Default)]
pub(crate) struct Touched {
    pub(crate) addresses: std::collections::BTreeSet<Address>,
    pub(crate) outputs: bool,
    pub(crate) deposed_before: usize,
}

/// The rows that differ after `touched`.
pub(crate) fn changes(
    keys: Option<&Keyring>,
    snapshot: &Snapshot,
    touched: &Touched,
) -> Result<Changes, StoreError> {
    let mut changes = Changes::new();
    for address in &touched.addresses {
        let record = snapshot.resources.get(address);
        let row = record.map(|record| json(&RecordWire::out(keys, record)?));
        changes.insert(resource_key(address), row.transpose()?);
        let doubt = snapshot.in_doubt.get(address);
        let row = doubt.map(|doubt| json(&DoubtWire::out(keys, doubt)?));
        changes.insert(doubt_key(address), row.transpose()?);
    }
    for index in 0..snapshot.deposed.len().max(touched.deposed_before) {
        let record = snapshot.deposed.get(index);
        let row = record.map(|record| json(&RecordWire::out(keys, record)?));
        changes.insert(deposed_key(index), row.transpose()?);
    }
    if touched.outputs {
        changes.insert(OUTPUTS.into(), Some(outputs_row(keys, snapshot)?));
    }
    Ok(changes)
}
