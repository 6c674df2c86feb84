//! What a run does at its end besides the checkpoint: the history entry, and removing what nobody
//! needs any more.
//!
//! # Why removing is safe
//!
//! The newest two checkpoints stay, and every log object behind the older of them: readers need
//! no more, even when the newest checkpoint is damaged. A reader that was about to read what is
//! removed finds it gone and looks again.
//!
//! A run that lost the lock long ago may still try to write under its next number. That number is
//! never free: right behind its last object stands the fence of whoever took over, because that
//! one began where the log ended, and fences stay for good. A run that was late with its own fence
//! may find its number free, for what stood there is removed; it then sees later objects and ends
//! (see `Opening::fence`), and its fence lies behind both checkpoints, where nobody reads.

use super::keys;
use super::objects::Objects;
use super::writer::SharedWriter;
use crate::local::{HISTORY_KEPT, written_entry};
use crate::wire::snapshot::SnapshotWire;
use kplan_model::{StoreError, Timestamp};
use std::collections::BTreeSet;

/// Checkpoints that stay.
const CHECKPOINTS_KEPT: usize = 2;
/// Objects removed at the end of one run at most: one call of S3's.
const AT_MOST: usize = 1000;

/// Adds a history entry, unless there is one of this serial, and removes those that are too many.
pub(super) fn add_history(
    objects: &Objects,
    snapshot: SnapshotWire,
    command: &str,
    at: Timestamp,
) -> Result<(), StoreError> {
    let serial = snapshot.serial;
    let (_, bytes) = written_entry(snapshot, command, at)?;
    // The serial counts changes: an entry that is there holds the same state.
    objects.create(&keys::history(serial), &bytes)?;
    let mut there: Vec<String> = objects
        .list(keys::HISTORY, None)?
        .objects
        .into_iter()
        .filter(|object| keys::number(&object.key, keys::HISTORY).is_some())
        .map(|object| object.key)
        .collect();
    let surplus = there.len().saturating_sub(HISTORY_KEPT).min(AT_MOST);
    there.truncate(surplus);
    objects.delete(&there)
}

/// Removes checkpoints and log objects that two newer checkpoints make needless.
pub(super) fn sweep(writer: &mut SharedWriter) -> Result<(), StoreError> {
    let listed = writer.objects.list(keys::SNAPSHOTS, None)?;
    let mut checkpoints: Vec<u64> = listed
        .objects
        .iter()
        .filter_map(|object| keys::number(&object.key, keys::SNAPSHOTS))
        .collect();
    checkpoints.sort_unstable();
    let Some(older) = checkpoints.len().checked_sub(CHECKPOINTS_KEPT) else {
        return Ok(());
    };
    let keep_after = checkpoints[older];
    let mut useless: Vec<String> = checkpoints[..older]
        .iter()
        .map(|number| keys::snapshot(*number))
        .collect();
    let fences: BTreeSet<u64> = writer.fences.iter().copied().collect();
    let swept = keys::log(writer.swept);
    let log = writer.objects.list(keys::LOG, Some(&swept))?;
    let mut done_to = writer.swept;
    for object in &log.objects {
        let Some(number) = keys::number(&object.key, keys::LOG) else {
            continue;
        };
        // Behind its own last record it does not know what is a fence.
        if number > keep_after.min(writer.number) || useless.len() >= AT_MOST {
            break;
        }
        if !fences.contains(&number) {
            useless.push(object.key.clone());
        }
        done_to = number;
    }
    writer.objects.delete(&useless)?;
    writer.swept = done_to;
    Ok(())
}
