//! That a state is somewhere else now: the file `moved` in its folder. The rest of the folder
//! stays as it was.

use super::disk::{Disk, StdDisk};
use super::files::{Layout, put, read};
use crate::error::{damaged, io_error};
use crate::wire::FORMAT;
use kplan_model::StoreError;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MovedWire {
    kplan: String,
    format: u32,
    to: String,
}

/// Where the state of this folder went.
pub(super) fn moved_to(layout: &Layout) -> Result<Option<String>, StoreError> {
    let path = layout.moved();
    let Some(bytes) = read(&StdDisk, &path)? else {
        return Ok(None);
    };
    let wire: MovedWire =
        serde_json::from_slice(&bytes).map_err(|cause| damaged(&path, cause.to_string()))?;
    Ok(Some(wire.to))
}

/// Says where it went.
pub(super) fn mark(layout: &Layout, to: &str) -> Result<(), StoreError> {
    let wire = MovedWire {
        kplan: "moved".to_owned(),
        format: FORMAT,
        to: to.to_owned(),
    };
    // A struct of strings and a number always has a JSON form.
    let bytes = serde_json::to_vec(&wire).unwrap_or_default();
    put(&StdDisk, &layout.moved(), &bytes)
}

/// It is here again.
pub(super) fn unmark(layout: &Layout) -> Result<(), StoreError> {
    let path = layout.moved();
    StdDisk
        .remove(&path)
        .and_then(|()| StdDisk.sync_dir(&layout.0))
        .map_err(|cause| io_error("remove", &path, &cause))
}
