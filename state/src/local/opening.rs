//! What a writer does before its first append: making a state, or making an existing one fit to
//! be continued.

use super::aside;
use super::checkpoint::{NewJournal, begin_journal, renew};
use super::disk::Disk;
use super::files::{Layout, TEMPORARY, put, snapshot_bytes};
use super::history;
use super::load::{JournalEnd, State};
use super::mark;
use super::writer::WriteOptions;
use crate::error::{code, io_error};
use crate::identity::Identity;
use crate::notice::Notice;
use crate::seed::Seed;
use crate::wire::FORMAT;
use crate::wire::snapshot::SnapshotWire;
use kplan_model::StoreError;
use std::path::Path;

pub(crate) fn create_dir(disk: &dyn Disk, dir: &Path) -> Result<(), StoreError> {
    disk.create_dir(dir)
        .map_err(|cause| io_error("create", dir, &cause))?;
    // The folder's own name, and that of `.kplan` above it, must be as durable as what it holds.
    for above in dir.ancestors().skip(1).take(2) {
        if !above.as_os_str().is_empty() {
            disk.sync_dir(above)
                .map_err(|cause| io_error("synchronise", above, &cause))?;
        }
    }
    Ok(())
}

/// Makes a new state. The snapshot comes last: until it is there, nothing is.
pub(crate) fn create(
    disk: &dyn Disk,
    layout: &Layout,
    cluster: &str,
    identity: &Identity,
    options: &WriteOptions,
) -> Result<(State, NewJournal), StoreError> {
    let (wire, keyring, snapshot) = Seed::or_fresh(options, cluster, identity)?.begun(identity)?;
    let bytes = snapshot_bytes(&wire)?;
    put(disk, &layout.old_snapshot(), &bytes)?;
    let journal = begin_journal(disk, layout, &wire)?;
    mark::set(disk, layout, &wire.lineage, 0)?;
    put(disk, &layout.snapshot(), &bytes)?;
    let state = State {
        head: wire.head(),
        keyring: Some(keyring),
        snapshot,
        batch: 0,
        checkpointed: Some(0),
        journal: JournalEnd::Whole,
        format: FORMAT,
        journal_length: 0,
        torn_at: None,
        notices: vec![Notice::info(
            code::CREATED,
            format!("a new state was made in {}", layout.0.display()),
        )],
    };
    Ok((state, journal))
}

/// Makes the journal of an existing state ready to be continued.
pub(crate) fn resume(
    disk: &dyn Disk,
    layout: &Layout,
    state: &mut State,
) -> Result<NewJournal, StoreError> {
    // What was read may be what a killed or failing writer left without synchronising it, names
    // included, and this run builds on it.
    disk.sync_dir(&layout.0)
        .map_err(|cause| io_error("synchronise", &layout.0, &cause))?;
    let path = layout.journal();
    let open = || {
        disk.open_append(&path)
            .map_err(|cause| io_error("open", &path, &cause))
    };
    match state.journal {
        JournalEnd::Whole => {
            let mut file = open()?;
            // The mark will say that its end was acknowledged.
            file.sync()
                .map_err(|cause| io_error("synchronise", &path, &cause))?;
            Ok(NewJournal {
                file,
                length: state.journal_length as u64,
                uncertain: None,
            })
        }
        JournalEnd::Torn { keep } => {
            let copy = aside::copy(disk, layout, &path, "journal")?;
            let mut file = open()?;
            file.truncate(keep as u64)
                .map_err(|cause| io_error("cut", &path, &cause))?;
            if let Some(copy) = copy {
                state.notices.push(Notice::info(
                    code::TORN,
                    format!("the whole journal was kept as {}", copy.display()),
                ));
            }
            Ok(NewJournal {
                file,
                length: keep as u64,
                uncertain: None,
            })
        }
        JournalEnd::Older | JournalEnd::Unfit => {
            let keys = state.keyring.as_ref();
            let wire = SnapshotWire::out(keys, &state.head.key, state.batch, &state.snapshot)?;
            let journal = renew(disk, layout, &wire)?;
            state.checkpointed = Some(state.batch);
            if state.journal == JournalEnd::Unfit {
                state.notices.push(written_anew(layout));
            }
            state.notices.extend(carried_over(layout, state.format));
            Ok(journal)
        }
    }
}

/// That snapshot and journal are new.
pub(super) fn written_anew(layout: &Layout) -> Notice {
    let aside = layout.aside();
    let aside = aside.display();
    Notice::info(
        code::RECOVERED,
        format!("snapshot and journal were written anew; the old files are in {aside}"),
    )
}

/// That what was written anew had another format before, where it had.
pub(super) fn carried_over(layout: &Layout, format: u32) -> Option<Notice> {
    let as_it_was = format!("as it was, it is in {}", layout.aside().display());
    (format < FORMAT).then(|| Notice::carried_over(&as_it_was))
}

/// Removes what cut-off writes left. Best effort: such files are never read.
pub(crate) fn tidy(disk: &dyn Disk, layout: &Layout) {
    for name in disk.list(&layout.0).unwrap_or_default() {
        if name.ends_with(TEMPORARY) {
            drop(disk.remove(&layout.0.join(name)));
        }
    }
    drop(history::tidy(disk, layout));
}
