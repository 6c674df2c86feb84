//! Keeping copies of what is damaged before anything is repaired, in the folder `damaged`.

use super::disk::Disk;
use super::files::Layout;
use crate::error::io_error;
use kplan_model::StoreError;
use std::fs;
use std::path::{Path, PathBuf};

/// How many copies of one kind of file are kept; the oldest goes first.
const KEPT: usize = 5;

/// A free name `damaged/<stem>-<n>`, and the names that are too many.
fn name(
    disk: &dyn Disk,
    layout: &Layout,
    stem: &str,
) -> Result<(PathBuf, Vec<PathBuf>), StoreError> {
    let dir = layout.aside();
    disk.create_dir(&dir)
        .map_err(|cause| io_error("create", &dir, &cause))?;
    let names = disk
        .list(&dir)
        .map_err(|cause| io_error("list", &dir, &cause))?;
    let prefix = format!("{stem}-");
    let mut numbers: Vec<u64> = names
        .iter()
        .filter_map(|name| name.strip_prefix(&prefix)?.parse().ok())
        .collect();
    numbers.sort_unstable();
    let next = numbers.last().map_or(1, |last| last + 1);
    let surplus = (numbers.len() + 1).saturating_sub(KEPT);
    let path = |number: &u64| dir.join(format!("{prefix}{number}"));
    Ok((
        path(&next),
        numbers.iter().take(surplus).map(path).collect(),
    ))
}

/// Copies a file aside; gives the copy's path, or `None` when there is no such file.
pub(crate) fn copy(
    disk: &dyn Disk,
    layout: &Layout,
    file: &Path,
    stem: &str,
) -> Result<Option<PathBuf>, StoreError> {
    let Some(bytes) = super::files::read(disk, file)? else {
        return Ok(None);
    };
    let (path, surplus) = name(disk, layout, stem)?;
    disk.write(&path, &bytes)
        .and_then(|()| disk.sync_dir(&layout.aside()))
        .map_err(|cause| io_error("write", &path, &cause))?;
    for old in surplus {
        disk.remove(&old)
            .map_err(|cause| io_error("remove", &old, &cause))?;
    }
    Ok(Some(path))
}

/// Moves the writer's store aside.
pub(crate) fn move_store(disk: &dyn Disk, layout: &Layout) -> Result<PathBuf, StoreError> {
    let (path, surplus) = name(disk, layout, "store")?;
    disk.rename(&layout.store(), &path)
        .map_err(|cause| io_error("move aside", &layout.store(), &cause))?;
    for old in surplus {
        fs::remove_dir_all(&old).map_err(|cause| io_error("remove", &old, &cause))?;
    }
    Ok(path)
}
