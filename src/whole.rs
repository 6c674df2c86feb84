//! Writing a file whole or not at all: its content is complete on the disk before it has its name.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// Who may read a new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Whoever the system lets.
    Anybody,
    /// Its owner alone.
    Owner,
}

/// Puts the bytes in the place of whatever is there. Folders on the way are made.
///
/// # Errors
/// Those of the disk; what was there is as it was then.
pub fn write(path: &Path, bytes: &[u8], readers: Readers) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
    name.push(".tmp");
    let fresh = path.with_file_name(name);
    let written = fill(&fresh, bytes, readers).and_then(|()| std::fs::rename(&fresh, path));
    if written.is_err() {
        // It may not even have been made.
        drop(std::fs::remove_file(&fresh));
    }
    written
}

fn fill(fresh: &Path, bytes: &[u8], readers: Readers) -> io::Result<()> {
    // One that an earlier run left could be readable by others.
    drop(std::fs::remove_file(fresh));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if readers == Readers::Owner {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    let mut file: File = options.open(fresh)?;
    file.write_all(bytes)?;
    file.sync_all()
}
