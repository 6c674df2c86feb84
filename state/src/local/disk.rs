//! The few file operations durability rests on, behind a trait, so that tests can make any of
//! them fail, stop half-way, or be the last thing a process ever did.

use super::lock::{Holder, Lock};
use crate::identity::private_dir;
use kplan_model::StoreError;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek as _, Write as _};
use std::path::Path;
use std::time::Duration;

/// A lock that is held; dropping it releases it.
pub trait Held: Send + Sync {}

impl Held for Lock {}

/// A file system as the local store uses it.
pub trait Disk: Send + Sync {
    /// Takes the writer's lock, trying again until `timeout` is over.
    fn lock(
        &self,
        path: &Path,
        holder: &Holder,
        timeout: Duration,
    ) -> Result<Box<dyn Held>, StoreError> {
        Ok(Box::new(Lock::acquire(path, holder, timeout)?))
    }
    /// Whether the writer's store, which has files and threads of its own, can lie beside.
    fn holds_store(&self) -> bool {
        true
    }
    /// All bytes of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// A file to be read piece by piece. What gets its name afterwards does not show.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(io::Cursor::new(self.read(path)?)))
    }
    /// The names in a folder, sorted; none when there is no folder.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Makes a folder and those above it.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// Writes a whole file, replacing what was there, and makes its bytes durable.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Gives a file another name, replacing what had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Removes a file; one that is not there is fine.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Opens an existing file for appending.
    fn open_append(&self, path: &Path) -> io::Result<Box<dyn Append>>;
    /// Opens an existing file for writing over it.
    fn open_overwrite(&self, path: &Path) -> io::Result<Box<dyn Overwrite>>;
}

/// An open file of which only the beginning is ever written.
pub trait Overwrite: Send {
    /// Writes at the beginning; makes nothing durable.
    fn overwrite(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// An open journal.
pub trait Append: Send {
    /// Writes at the end.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was written durable.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file to a length and makes that durable.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}

/// What reading a file gave, or `None` when there is none.
pub(crate) fn if_there<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(cause),
    }
}

/// The operating system's.
pub(crate) struct StdDisk;

impl Disk for StdDisk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(File::open(path)?))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(cause) => return Err(cause),
        };
        let mut names = Vec::new();
        for entry in entries {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        private_dir().create(dir)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        // Only unix lets a folder be opened and synchronised.
        if cfg!(unix) {
            File::open(dir)?.sync_all()?;
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
            _ => Ok(()),
        }
    }

    fn open_append(&self, path: &Path) -> io::Result<Box<dyn Append>> {
        let file = OpenOptions::new().append(true).open(path)?;
        Ok(Box::new(StdAppend(file)))
    }

    fn open_overwrite(&self, path: &Path) -> io::Result<Box<dyn Overwrite>> {
        let file = OpenOptions::new().write(true).open(path)?;
        Ok(Box::new(StdOverwrite(file)))
    }
}

struct StdOverwrite(File);

impl Overwrite for StdOverwrite {
    fn overwrite(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.rewind()?;
        self.0.write_all(bytes)
    }
}

struct StdAppend(File);

impl Append for StdAppend {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.set_len(length)?;
        self.0.sync_all()
    }
}
