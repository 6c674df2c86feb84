//! Repair: making a damaged shared state readable again, leaving out what cannot be read and saying
//! what that was. Never done without being asked. Nothing is written over: what is left becomes a
//! new record and a new checkpoint, behind everything that is damaged.

use super::load::no_identity;
use super::writer::{SharedWriter, Surroundings};
use crate::error::code;
use crate::identity::Identity;
use crate::local::WriteOptions;
use crate::notice::{Notice, Severity};
use kplan_model::{ObjectStore, StoreError};
use std::sync::Arc;

/// Repairs the state of `cluster`. What had to be left out is in the notices; after that, compare a
/// plan before applying.
///
/// # Errors
/// `state::no_identity`, `state::missing`, `state::moved`, `state::locked`, and `state::damaged` where no checkpoint
/// can be read at all.
pub(crate) fn repair(
    store: Arc<dyn ObjectStore>,
    cluster: &str,
    identity: Option<&Identity>,
    options: &WriteOptions,
) -> Result<Vec<Notice>, StoreError> {
    repair_in(Surroundings::real(), store, cluster, identity, options)
}

pub(super) fn repair_in(
    surroundings: Surroundings,
    store: Arc<dyn ObjectStore>,
    cluster: &str,
    identity: Option<&Identity>,
    options: &WriteOptions,
) -> Result<Vec<Notice>, StoreError> {
    let identity = identity.ok_or_else(no_identity)?;
    let mut options = options.clone();
    options.create = false;
    options.skip_damage = true;
    options.even_moved = false;
    let mut writer = SharedWriter::open_in(surroundings, store, cluster, identity, &options)?;
    let mut notices = writer.take_notices();
    if !notices
        .iter()
        .any(|notice| notice.severity == Severity::Warning)
    {
        let whole = "checkpoint and log are whole; there is nothing to repair";
        notices.retain(|notice| notice.code == code::MIGRATED);
        notices.push(Notice::info(code::RECOVERED, whole));
        return Ok(notices);
    }
    writer.write_anew()?;
    notices.push(Notice::info(
        code::RECOVERED,
        "what is left was written anew, behind what is damaged",
    ));
    Ok(notices)
}
