//! The folder of a sandbox process: one process at a time, and a note of where it listens.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Endpoints, FORMAT_VERSION, SandboxError};

/// The note of where the process listens.
const NOTE: &str = "endpoint.json";

/// A folder this process has to itself. The lock ends with the process, however it ends.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    pub(super) fn lock(path: &Path) -> Result<Folder, SandboxError> {
        std::fs::create_dir_all(path).map_err(|source| file_error(path, source))?;
        let name = path.join("lock");
        let lock = private(&name).map_err(|source| file_error(&name, source))?;
        match lock.try_lock() {
            Ok(()) => {
                // A note that a killed process left says nothing true any more.
                drop(std::fs::remove_file(path.join(NOTE)));
                Ok(Folder {
                    path: path.to_owned(),
                    _lock: lock,
                })
            }
            Err(TryLockError::WouldBlock) => Err(SandboxError::Locked(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(file_error(&name, source)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// `endpoint.json`; removed when dropped.
#[derive(Debug)]
pub(super) struct EndpointFile(PathBuf);

impl EndpointFile {
    /// Writes it whole or not at all; it holds the token, so only the owner can read it.
    pub(super) fn write(dir: &Path, endpoints: &Endpoints) -> Result<EndpointFile, SandboxError> {
        let path = dir.join(NOTE);
        let fresh = dir.join("endpoint.json.new");
        let note = json!({
            "format_version": FORMAT_VERSION,
            "pid": std::process::id(),
            "endpoints": endpoints,
        });
        let write = || -> std::io::Result<()> {
            drop(std::fs::remove_file(&fresh));
            let mut file = private(&fresh)?;
            file.write_all(format!("{note:#}\n").as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&fresh, &path)
        };
        write().map_err(|source| file_error(&path, source))?;
        Ok(EndpointFile(path))
    }
}

impl Drop for EndpointFile {
    fn drop(&mut self) {
        // A note that stays behind names a process that is gone; readers check that.
        drop(std::fs::remove_file(&self.0));
    }
}

fn private(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn file_error(path: &Path, source: std::io::Error) -> SandboxError {
    SandboxError::File {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_served_once() {
        let dir = tempfile::tempdir().unwrap();
        let first = Folder::lock(dir.path()).unwrap();
        assert!(matches!(
            Folder::lock(dir.path()),
            Err(SandboxError::Locked(_))
        ));
        drop(first);
        Folder::lock(dir.path()).unwrap();
    }
}
