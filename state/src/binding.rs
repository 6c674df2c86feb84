//! Which cluster a file was last applied as: `files.json` beside the clusters' states. A file whose
//! `[cluster] name` was edited would otherwise be planned as a second cluster while the first one
//! goes on running, and billing, unseen.

use crate::error::{code, damaged, error};
use crate::local::disk::{Disk as _, StdDisk};
use crate::local::files::{put, read};
use kplan_model::StoreError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The format of `files.json`.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FilesWire {
    format: u32,
    /// Name of a file in the folder, and the cluster it was applied as.
    files: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct FormatWire {
    format: u32,
}

fn path(root: &Path) -> PathBuf {
    root.join("files.json")
}

fn load(root: &Path) -> Result<FilesWire, StoreError> {
    let path = path(root);
    let Some(bytes) = read(&StdDisk, &path)? else {
        return Ok(FilesWire {
            format: FORMAT,
            files: BTreeMap::new(),
        });
    };
    let unreadable = |cause: serde_json::Error| damaged(&path, cause.to_string());
    // The format first: what a newer kplan adds is no damage.
    let FormatWire { format } = serde_json::from_slice(&bytes).map_err(unreadable)?;
    if format != FORMAT {
        let message = format!(
            "{} has format {format}; this kplan knows {FORMAT}",
            path.display()
        );
        return Err(error(code::NEWER_FORMAT, message));
    }
    serde_json::from_slice(&bytes).map_err(unreadable)
}

/// The cluster that the file of that name was last applied as. `root` is the folder that holds
/// the clusters' states.
pub fn bound_cluster(root: &Path, file: &str) -> Result<Option<String>, StoreError> {
    Ok(load(root)?.files.remove(file))
}

/// Remembers that the file of that name is applied as `cluster`. Writes nothing where that is
/// known. Two first applies of two files in one folder at one instant may forget one of them:
/// its next apply remembers it again.
pub fn bind_file(root: &Path, file: &str, cluster: &str) -> Result<(), StoreError> {
    let mut wire = load(root)?;
    let before = wire.files.insert(file.to_owned(), cluster.to_owned());
    if before.as_deref() == Some(cluster) {
        return Ok(());
    }
    let bytes = serde_json::to_vec_pretty(&wire)
        .map_err(|cause| error(code::UNSTORABLE, cause.to_string()))?;
    let path = path(root);
    StdDisk
        .create_dir(root)
        .map_err(|cause| crate::error::io_error("create", root, &cause))?;
    put(&StdDisk, &path, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_the_cluster_it_was_applied_as() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join(".kplan");
        assert_eq!(bound_cluster(&root, "cluster.toml").unwrap(), None);
        bind_file(&root, "cluster.toml", "demo").unwrap();
        bind_file(&root, "stage.toml", "stage").unwrap();
        bind_file(&root, "cluster.toml", "demo").unwrap();
        assert_eq!(
            bound_cluster(&root, "cluster.toml").unwrap().as_deref(),
            Some("demo")
        );
        bind_file(&root, "cluster.toml", "other").unwrap();
        assert_eq!(
            bound_cluster(&root, "cluster.toml").unwrap().as_deref(),
            Some("other")
        );
        assert_eq!(
            bound_cluster(&root, "stage.toml").unwrap().as_deref(),
            Some("stage")
        );
    }

    #[test]
    fn a_newer_or_damaged_list_is_said_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for (text, code) in [
            ("{\"format\":2,\"files\":[]}", code::NEWER_FORMAT),
            ("{\"format\":1,", code::DAMAGED),
        ] {
            std::fs::write(path(root), text).unwrap();
            assert_eq!(bound_cluster(root, "cluster.toml").unwrap_err().code, code);
            assert_eq!(
                bind_file(root, "cluster.toml", "demo").unwrap_err().code,
                code
            );
            assert_eq!(std::fs::read_to_string(path(root)).unwrap(), text);
        }
    }
}
