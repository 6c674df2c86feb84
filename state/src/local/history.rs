//! History: after every run that changed something, a whole copy of the state under its serial.
//! Copies are plain JSON with sealed secrets, are never changed once they are there, and do not
//! depend on the writer's store. The last [`KEPT`] stay.

use super::disk::Disk;
use super::files::{Layout, TEMPORARY, read, temporary};
use crate::error::{code, damaged, error, error_help, io_error, newer_format};
use crate::keyring::hex;
use crate::wire::snapshot::SnapshotWire;
use crate::wire::{FORMAT, WrongFormat, check};
use kplan_model::{StoreError, Timestamp};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};

/// How many entries stay: a hundred runs, a few kilobytes to a few megabytes each.
pub const KEPT: usize = 100;

/// One entry of the history, without its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The state's serial then; it names the entry.
    pub serial: u64,
    /// When the run ended.
    pub at: Timestamp,
    /// What ran, such as `kplan apply`.
    pub command: String,
    /// SHA-256 of the stored state, in hexadecimal.
    pub digest: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryWire<S> {
    kplan: String,
    format: u32,
    lineage: String,
    cluster: String,
    serial: u64,
    at: i64,
    command: String,
    digest: String,
    snapshot: S,
}

impl<S> HistoryWire<S> {
    fn entry(&self) -> HistoryEntry {
        HistoryEntry {
            serial: self.serial,
            at: Timestamp(self.at),
            command: self.command.clone(),
            digest: self.digest.clone(),
        }
    }
}

/// An entry of the history and its bytes.
pub(crate) fn written(
    snapshot: SnapshotWire,
    command: &str,
    at: Timestamp,
) -> Result<(HistoryEntry, Vec<u8>), StoreError> {
    let wire = HistoryWire {
        kplan: "history".to_owned(),
        format: FORMAT,
        lineage: snapshot.lineage.clone(),
        cluster: snapshot.cluster.clone(),
        serial: snapshot.serial,
        at: at.0,
        command: command.to_owned(),
        digest: digest(&snapshot)?,
        snapshot,
    };
    let bytes =
        serde_json::to_vec(&wire).map_err(|cause| error(code::UNSTORABLE, cause.to_string()))?;
    Ok((wire.entry(), bytes))
}

/// What an entry says of itself; `None` for one of another state.
pub(crate) fn entry_of(bytes: &[u8], lineage: &str) -> Result<Option<HistoryEntry>, Unusable> {
    let wire: HistoryWire<IgnoredAny> = parsed(bytes)?;
    Ok((wire.lineage == lineage).then(|| wire.entry()))
}

/// What every future entry has.
#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

/// An entry as its format says.
fn parsed<S: DeserializeOwned>(bytes: &[u8]) -> Result<HistoryWire<S>, Unusable> {
    let broken = |cause: serde_json::Error| Unusable::Damaged(cause.to_string());
    let FormatOnly { format } = serde_json::from_slice(bytes).map_err(broken)?;
    check(format).map_err(|wrong| match wrong {
        WrongFormat::Newer(format) => Unusable::Newer(format),
        WrongFormat::Never(_) => Unusable::Damaged(wrong.words()),
    })?;
    serde_json::from_slice(bytes).map_err(broken)
}

/// Why an entry does not give its state.
pub(crate) enum Unusable {
    /// It belongs to another state.
    OtherLineage,
    /// A newer kplan wrote it.
    Newer(u32),
    /// It is not what was written.
    Damaged(String),
}

impl Unusable {
    /// As an error about the entry of that name; `damaged` makes the one of a damaged entry.
    pub(crate) fn at(self, entry: &str, damaged: impl Fn(&str) -> StoreError) -> StoreError {
        match self {
            Self::OtherLineage => error(
                code::OTHER_LINEAGE,
                format!("{entry} belongs to another state"),
            ),
            Self::Newer(format) => newer_format(entry, format),
            Self::Damaged(what) => damaged(&what),
        }
    }
}

/// The state of an entry.
pub(crate) fn state_of(bytes: &[u8], lineage: &str, serial: u64) -> Result<SnapshotWire, Unusable> {
    let wire: HistoryWire<SnapshotWire> = parsed(bytes)?;
    if wire.lineage != lineage || wire.snapshot.lineage != lineage {
        return Err(Unusable::OtherLineage);
    }
    let fits = wire.serial == serial
        && wire.snapshot.serial == serial
        && digest(&wire.snapshot).is_ok_and(|digest| digest == wire.digest);
    if !fits {
        let what = "its digest does not fit its state";
        return Err(Unusable::Damaged(what.to_owned()));
    }
    Ok(wire.snapshot)
}

/// There is no entry of that serial.
pub(crate) fn no_entry(serial: u64) -> StoreError {
    error_help(
        code::MISSING,
        format!("the history has no entry {serial}"),
        format!("`kplan state history` lists them; the last {KEPT} are kept"),
    )
}

fn file(layout: &Layout, serial: u64) -> PathBuf {
    layout.history().join(format!("{serial}.json"))
}

fn digest(snapshot: &SnapshotWire) -> Result<String, StoreError> {
    let bytes =
        serde_json::to_vec(snapshot).map_err(|cause| error(code::UNSTORABLE, cause.to_string()))?;
    Ok(hex(&Sha256::digest(bytes)))
}

/// The serials there are, in order.
pub(super) fn serials(disk: &dyn Disk, layout: &Layout) -> Result<Vec<u64>, StoreError> {
    let dir = layout.history();
    let names = disk
        .list(&dir)
        .map_err(|cause| io_error("list", &dir, &cause))?;
    let mut serials: Vec<u64> = names
        .iter()
        .filter_map(|name| name.strip_suffix(".json")?.parse().ok())
        .collect();
    serials.sort_unstable();
    Ok(serials)
}

/// The bytes of an entry; `None` when there is none.
pub(super) fn bytes(
    disk: &dyn Disk,
    layout: &Layout,
    serial: u64,
) -> Result<Option<Vec<u8>>, StoreError> {
    read(disk, &file(layout, serial))
}

/// Writes an entry.
pub(super) fn put(
    disk: &dyn Disk,
    layout: &Layout,
    serial: u64,
    bytes: &[u8],
) -> Result<(), StoreError> {
    let (dir, path) = (layout.history(), file(layout, serial));
    let new = temporary(&path);
    disk.create_dir(&dir)
        .and_then(|()| disk.write(&new, bytes))
        .and_then(|()| disk.rename(&new, &path))
        .and_then(|()| disk.sync_dir(&dir))
        .map_err(|cause| io_error("write", &path, &cause))
}

/// Adds an entry, unless there is one of this serial: the serial counts changes, so that entry
/// holds the same state. Gives the entry when it is new.
pub(crate) fn add(
    disk: &dyn Disk,
    layout: &Layout,
    snapshot: SnapshotWire,
    command: &str,
    at: Timestamp,
) -> Result<Option<HistoryEntry>, StoreError> {
    let there = serials(disk, layout)?;
    if there.contains(&snapshot.serial) {
        return Ok(None);
    }
    let (entry, bytes) = written(snapshot, command, at)?;
    put(disk, layout, entry.serial, &bytes)?;
    let surplus = (there.len() + 1).saturating_sub(KEPT);
    for serial in there.into_iter().take(surplus) {
        let old = file(layout, serial);
        disk.remove(&old)
            .map_err(|cause| io_error("remove", &old, &cause))?;
    }
    Ok(Some(entry))
}

/// Every entry, oldest first.
pub(crate) fn list(
    disk: &dyn Disk,
    layout: &Layout,
    lineage: &str,
) -> Result<Vec<HistoryEntry>, StoreError> {
    let mut entries = Vec::new();
    for serial in serials(disk, layout)? {
        let path = file(layout, serial);
        let Some(bytes) = read(disk, &path)? else {
            continue;
        };
        entries.extend(entry_of(&bytes, lineage).map_err(|why| unusable(&path, why))?);
    }
    Ok(entries)
}

/// The state of one entry.
pub(crate) fn at(
    disk: &dyn Disk,
    layout: &Layout,
    lineage: &str,
    serial: u64,
) -> Result<SnapshotWire, StoreError> {
    let path = file(layout, serial);
    let Some(bytes) = read(disk, &path)? else {
        return Err(no_entry(serial));
    };
    state_of(&bytes, lineage, serial).map_err(|why| unusable(&path, why))
}

fn unusable(path: &Path, why: Unusable) -> StoreError {
    why.at(&path.display().to_string(), |what| damaged(path, what))
}

/// Removes what a cut-off write left in the folder.
pub(crate) fn tidy(disk: &dyn Disk, layout: &Layout) -> std::io::Result<()> {
    let dir = layout.history();
    for name in disk.list(&dir)? {
        if name.ends_with(TEMPORARY) {
            disk.remove(&dir.join(name))?;
        }
    }
    Ok(())
}
