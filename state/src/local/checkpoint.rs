//! Exchanging snapshot and journal. The order of steps is what the module documentation of
//! [`super`] reasons about; each step is one durable exchange of one name.

use super::aside;
use super::disk::{Append, Disk};
use super::files::{
    Layout, SnapshotFile, journal_head, parse_snapshot, put, read, snapshot_bytes, temporary,
};
use crate::error::io_error;
use crate::wire::snapshot::SnapshotWire;
use kplan_model::StoreError;
use std::io;
use std::path::PathBuf;

/// A journal that was just made.
pub(crate) struct NewJournal {
    pub(crate) file: Box<dyn Append>,
    pub(crate) length: u64,
    /// Its name may not survive a power loss: nothing may be acknowledged into it.
    pub(crate) uncertain: Option<StoreError>,
}

/// The usual way: the old pair of snapshot and journal becomes the predecessor. An error leaves
/// the old journal in place and usable.
pub(crate) fn rotate(
    disk: &dyn Disk,
    layout: &Layout,
    wire: &SnapshotWire,
) -> Result<NewJournal, StoreError> {
    let path = layout.snapshot();
    let bytes = snapshot_bytes(wire)?;
    let new = temporary(&path);
    let fail = |cause: io::Error| io_error("write", &path, &cause);
    disk.write(&new, &bytes).map_err(fail)?;
    let old = read(disk, &path)?.unwrap_or_default();
    if !matches!(parse_snapshot(&path, &old[..]), Ok(SnapshotFile::Good(_))) {
        // Damaged since it was read: it must not become the predecessor.
        return renew(disk, layout, wire);
    }
    put(disk, &layout.old_snapshot(), &old)?;
    disk.rename(&new, &path)
        .and_then(|()| disk.sync_dir(&layout.0))
        .map_err(fail)?;
    let old = read(disk, &layout.journal())?.unwrap_or_default();
    put(disk, &layout.old_journal(), &old)?;
    begin_journal(disk, layout, wire)
}

/// The way after damage: what is there cannot be a predecessor, so the new snapshot is its own.
/// Copies of everything that gives way are kept.
pub(crate) fn renew(
    disk: &dyn Disk,
    layout: &Layout,
    wire: &SnapshotWire,
) -> Result<NewJournal, StoreError> {
    keep_copies(disk, layout)?;
    let bytes = snapshot_bytes(wire)?;
    put(disk, &layout.snapshot(), &bytes)?;
    put(disk, &layout.old_snapshot(), &bytes)?;
    let journal = begin_journal(disk, layout, wire)?;
    let old = layout.old_journal();
    disk.remove(&old)
        .map_err(|cause| io_error("remove", &old, &cause))?;
    Ok(journal)
}

/// Copies snapshot, journal and their predecessors aside; gives the copies' paths.
pub(crate) fn keep_copies(disk: &dyn Disk, layout: &Layout) -> Result<Vec<PathBuf>, StoreError> {
    let files = [
        (layout.snapshot(), "snapshot"),
        (layout.journal(), "journal"),
        (layout.old_snapshot(), "snapshot.1"),
        (layout.old_journal(), "journal.1"),
    ];
    let mut copies = Vec::new();
    for (file, stem) in files {
        copies.extend(aside::copy(disk, layout, &file, stem)?);
    }
    Ok(copies)
}

/// Puts an empty journal that follows `wire` in the place of the current one.
pub(crate) fn begin_journal(
    disk: &dyn Disk,
    layout: &Layout,
    wire: &SnapshotWire,
) -> Result<NewJournal, StoreError> {
    let path = layout.journal();
    let fail = |cause: io::Error| io_error("write", &path, &cause);
    let head = journal_head(&wire.lineage, &wire.cluster, wire.batch)?;
    let new = temporary(&path);
    disk.write(&new, &head).map_err(fail)?;
    // Opened before it gets its name: once the name is given, nothing can fail any more that
    // would leave the writer with the old file in its hand.
    let file = disk.open_append(&new).map_err(fail)?;
    disk.rename(&new, &path).map_err(fail)?;
    let uncertain = disk.sync_dir(&layout.0).map_err(fail).err();
    Ok(NewJournal {
        file,
        length: head.len() as u64,
        uncertain,
    })
}
