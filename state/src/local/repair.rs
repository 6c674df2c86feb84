//! Repair: making a damaged state readable again, leaving out what cannot be read and saying what
//! that was. Never done without being asked.

use super::checkpoint::renew;
use super::disk::StdDisk;
use super::files::Layout;
use super::load::{Found, JournalEnd, Loading};
use super::lock::Lock;
use super::mark;
use super::moved::moved_to;
use super::opening::{carried_over, tidy, written_anew};
use super::reader::missing;
use super::witness::put_aside_if_ahead;
use super::writer::{WriteOptions, nothing_there};
use crate::error::code;
use crate::identity::Identity;
use crate::location::moved;
use crate::notice::Notice;
use crate::wire::snapshot::SnapshotWire;
use kplan_model::StoreError;
use std::path::Path;

/// Repairs the state of `cluster` in `dir`. Every file that is changed is copied into the folder
/// `damaged` first. The identity is not needed: secrets are carried over sealed. What had to be
/// left out is in the notices; after that, compare a plan before applying.
pub fn repair(
    dir: &Path,
    cluster: &str,
    identity: Option<&Identity>,
    options: &WriteOptions,
) -> Result<Vec<Notice>, StoreError> {
    let layout = Layout(dir.to_path_buf());
    let loading = Loading {
        disk: &StdDisk,
        layout: &layout,
        cluster,
        identity,
        skip_damage: true,
    };
    if !loading.peek()? {
        return Err(nothing_there(&loading));
    }
    let _lock = Lock::acquire(&layout.lock(), &options.holder, options.lock_timeout)?;
    // Whatever is here, the state that counts is elsewhere.
    if let Some(to) = moved_to(&layout)? {
        return Err(moved(&layout.0.display().to_string(), &to));
    }
    let mut state = match loading.load()? {
        Found::Nothing => return Err(missing(&layout)),
        Found::Gap(error) => return Err(error),
        Found::State(state) => state,
    };
    if let Some(notice) = put_aside_if_ahead(&StdDisk, &layout, &state)? {
        state.notices.push(notice);
        state.journal = JournalEnd::Unfit;
    }
    if matches!(state.journal, JournalEnd::Whole | JournalEnd::Older) && state.torn_at.is_none() {
        let whole = "snapshot and journal are whole; there is nothing to repair";
        return Ok(vec![Notice::info(code::RECOVERED, whole)]);
    }
    tidy(&StdDisk, &layout);
    let keys = state.keyring.as_ref();
    let wire = SnapshotWire::out(keys, &state.head.key, state.batch, &state.snapshot)?;
    let journal = renew(&StdDisk, &layout, &wire)?;
    if let Some(cause) = journal.uncertain {
        return Err(cause);
    }
    mark::set(&StdDisk, &layout, &state.head.lineage, state.batch)?;
    state.notices.push(written_anew(&layout));
    state.notices.extend(carried_over(&layout, state.format));
    Ok(state.notices)
}
