//! The cache: files named by the digest of their bytes, written whole or not at all, and checked
//! every time they are read.

use crate::k3s::pki::secret::{hex, sha256_hex};
use bytes::Bytes;
use kplan_model::{ErrorKind, ProviderError};
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::{ErrorKind as IoErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Tells the temporary files of one process apart.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// A folder of files named by digest.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    folder: PathBuf,
}

fn failed(path: &Path, error: &std::io::Error) -> ProviderError {
    ProviderError::new(
        ErrorKind::Invalid,
        format!(
            "the artifact cache cannot be used: {}: {error}",
            path.display()
        ),
    )
}

/// A file under way. Dropped unfinished, it leaves nothing.
pub(super) struct Incoming {
    path: PathBuf,
    file: Option<File>,
    hash: Sha256,
    length: u64,
    folder: PathBuf,
}

impl Cache {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.folder
            .join("sha256")
            .join(digest.get(..2).unwrap_or("00"))
            .join(digest)
    }

    /// The bytes with that digest; `None` when they are not here or were damaged.
    pub(super) fn get(&self, digest: &str) -> Result<Option<Bytes>, ProviderError> {
        let path = self.path(digest);
        match fs::read(&path) {
            Ok(bytes) if sha256_hex(&bytes) == digest => Ok(Some(Bytes::from(bytes))),
            // Damaged: fetched again, and the new file takes its place.
            Ok(_) => Ok(None),
            Err(error) if error.kind() == IoErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&path, &error)),
        }
    }

    /// Begins a file.
    pub(super) fn begin(&self) -> Result<Incoming, ProviderError> {
        fs::create_dir_all(&self.folder).map_err(|error| failed(&self.folder, &error))?;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = self
            .folder
            .join(format!("incoming-{}-{count}", std::process::id()));
        let file = File::create(&path).map_err(|error| failed(&path, &error))?;
        Ok(Incoming {
            path,
            file: Some(file),
            hash: Sha256::new(),
            length: 0,
            folder: self.folder.clone(),
        })
    }
}

impl Incoming {
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), ProviderError> {
        self.hash.update(bytes);
        self.length += u64::try_from(bytes.len()).unwrap_or(0);
        match &mut self.file {
            Some(file) => file
                .write_all(bytes)
                .map_err(|error| failed(&self.path, &error)),
            None => Ok(()),
        }
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The digest of what was written so far.
    pub(super) fn digest(&self) -> String {
        hex(&self.hash.clone().finalize())
    }

    /// Puts the file under its digest.
    pub(super) fn finish(mut self) -> Result<String, ProviderError> {
        let digest = self.digest();
        let target = Cache::new(self.folder.clone()).path(&digest);
        if let Some(file) = self.file.take() {
            file.sync_all()
                .map_err(|error| failed(&self.path, &error))?;
        }
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(|error| failed(parent, &error))?;
        }
        fs::rename(&self.path, &target).map_err(|error| failed(&target, &error))?;
        Ok(digest)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // After `finish` there is nothing left under this name.
        drop(fs::remove_file(&self.path));
    }
}

/// Copies a file into the cache.
pub(super) fn copy(from: &Path, incoming: &mut Incoming, limit: u64) -> Result<(), ProviderError> {
    let unreadable = |error: &std::io::Error| {
        ProviderError::new(
            ErrorKind::Invalid,
            format!("the mirror has no readable {}: {error}", from.display()),
        )
    };
    let mut file = File::open(from).map_err(|error| unreadable(&error))?;
    let mut buffer = vec![0_u8; 1 << 16];
    while incoming.length() <= limit {
        let count = file.read(&mut buffer).map_err(|error| unreadable(&error))?;
        if count == 0 {
            break;
        }
        incoming.write(buffer.get(..count).unwrap_or_default())?;
    }
    Ok(())
}
