//! The bytes of objects: files under `spaces/<bucket>/` of the sandbox's folder, or memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// Where the bytes live.
#[derive(Debug)]
pub(super) enum Blobs {
    /// One file per blob.
    Disk(PathBuf),
    /// Lost when the process ends.
    Memory(Mutex<BTreeMap<(String, String), Bytes>>),
}

impl Blobs {
    /// Under `spaces/` of a folder, or in memory without one.
    pub(super) fn open(dir: Option<&Path>) -> Blobs {
        dir.map_or_else(
            || Blobs::Memory(Mutex::default()),
            |dir| Blobs::Disk(dir.join("spaces")),
        )
    }

    /// Frees what nothing refers to: bytes whose record was not written before the process died.
    /// A file that cannot be read or removed costs space only.
    pub(super) fn sweep(&self, used: &BTreeSet<(String, String)>) {
        let Blobs::Disk(root) = self else { return };
        let entries = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten();
        for bucket in entries(root) {
            let name = bucket.file_name().to_string_lossy().into_owned();
            for blob in entries(&bucket.path()) {
                let blob_name = blob.file_name().to_string_lossy().into_owned();
                if !used.contains(&(name.clone(), blob_name)) {
                    drop(fs::remove_file(blob.path()));
                }
            }
        }
    }

    /// Stores bytes; they are on disk under their final name, or not at all, when this returns.
    pub(super) fn put(&self, bucket: &str, blob: &str, bytes: Bytes) -> io::Result<()> {
        match self {
            Blobs::Disk(root) => write_durably(&root.join(bucket), blob, &bytes),
            Blobs::Memory(map) => {
                let mut map = map.lock().unwrap_or_else(PoisonError::into_inner);
                map.insert((bucket.to_owned(), blob.to_owned()), bytes);
                Ok(())
            }
        }
    }

    /// Reads bytes.
    pub(super) fn get(&self, bucket: &str, blob: &str) -> io::Result<Bytes> {
        match self {
            Blobs::Disk(root) => fs::read(root.join(bucket).join(blob)).map(Bytes::from),
            Blobs::Memory(map) => {
                let map = map.lock().unwrap_or_else(PoisonError::into_inner);
                let found = map.get(&(bucket.to_owned(), blob.to_owned())).cloned();
                found.ok_or_else(|| io::ErrorKind::NotFound.into())
            }
        }
    }

    /// Frees bytes nothing refers to any more. A file that cannot be removed costs space only.
    pub(super) fn discard(&self, bucket: &str, blob: &str) {
        match self {
            Blobs::Disk(root) => drop(fs::remove_file(root.join(bucket).join(blob))),
            Blobs::Memory(map) => {
                let mut map = map.lock().unwrap_or_else(PoisonError::into_inner);
                map.remove(&(bucket.to_owned(), blob.to_owned()));
            }
        }
    }
}

fn write_durably(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let temporary = dir.join(format!("{name}.part"));
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, dir.join(name))?;
    File::open(dir)?.sync_all()
}
