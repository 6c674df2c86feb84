//! The writer's lock: an advisory lock on the file `lock`, which the system releases when its
//! holder dies, so that no lock is ever left behind. The file's text says who holds it; it is
//! for people, and the lock does not depend on it.

use crate::error::{code, error_help, io_error};
use jiff::Timestamp as Moment;
use kplan_model::{StoreError, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// The first pause between two tries; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Bytes of the lock file that are read for a message.
const MAX_HOLDER: u64 = 4096;

/// Who holds a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The user's login name.
    pub user: String,
    /// The machine.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// Since when.
    pub since: Timestamp,
    /// What it runs, such as `kplan apply`.
    pub command: String,
    /// The page of the CI run it is part of, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

/// The page of the CI run this process is part of, by what GitHub, GitLab and Jenkins tell it.
fn ci_run() -> Option<String> {
    let set = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let github = || {
        let (server, repository) = (set("GITHUB_SERVER_URL")?, set("GITHUB_REPOSITORY")?);
        Some(format!(
            "{server}/{repository}/actions/runs/{}",
            set("GITHUB_RUN_ID")?
        ))
    };
    github()
        .or_else(|| set("CI_JOB_URL"))
        .or_else(|| set("BUILD_URL"))
}

impl Holder {
    /// This process, now.
    pub fn current(command: impl Into<String>) -> Self {
        let variable = |names: [&str; 2]| names.iter().find_map(|name| std::env::var(name).ok());
        let host = fs::read_to_string("/proc/sys/kernel/hostname")
            .ok()
            .map(|name| name.trim().to_owned())
            .or_else(|| variable(["HOSTNAME", "COMPUTERNAME"]));
        Self {
            user: variable(["USER", "USERNAME"]).unwrap_or_else(|| "somebody".to_owned()),
            host: host.unwrap_or_else(|| "this machine".to_owned()),
            pid: std::process::id(),
            since: Timestamp(Moment::now().as_millisecond()),
            command: command.into(),
            run: ci_run(),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` of {}@{} (process {}",
            self.command, self.user, self.host, self.pid
        )?;
        if let Ok(since) = Moment::from_millisecond(self.since.0) {
            write!(f, ", since {since:.0}")?;
        }
        if let Some(run) = &self.run {
            write!(f, ", {run}")?;
        }
        f.write_str(")")
    }
}

/// A held lock; dropping it releases it.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock at `path`, trying again until `timeout` is over.
    pub(crate) fn acquire(
        path: &Path,
        holder: &Holder,
        timeout: Duration,
    ) -> Result<Self, StoreError> {
        let start = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            if let Some(file) = try_once(path)? {
                let mut lock = Self { file };
                lock.sign(path, holder)?;
                return Ok(lock);
            }
            let left = timeout.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Err(locked(path, timeout));
            }
            thread::sleep(pause.min(left));
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn sign(&mut self, path: &Path, holder: &Holder) -> Result<(), StoreError> {
        let text = serde_json::to_string(holder).unwrap_or_default();
        self.file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .and_then(|()| self.file.write_all(text.as_bytes()))
            .map_err(|cause| io_error("write", path, &cause))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The name of a holder that is gone would only mislead. Closing the file unlocks it.
        drop(self.file.set_len(0));
        drop(self.file.unlock());
    }
}

/// The locked file, or `None` when somebody else has it.
fn try_once(path: &Path) -> Result<Option<File>, StoreError> {
    let fail = |cause: std::io::Error| io_error("lock", path, &cause);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(fail)?;
    match file.try_lock() {
        Ok(()) if is_still(path, &file).map_err(fail)? => Ok(Some(file)),
        // Somebody removed the file in between: a lock on a nameless file locks nobody out.
        Ok(()) | Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(cause)) => Err(fail(cause)),
    }
}

#[cfg(unix)]
fn is_still(path: &Path, file: &File) -> std::io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let (ours, named) = (file.metadata()?, fs::metadata(path));
    Ok(named.is_ok_and(|named| (named.dev(), named.ino()) == (ours.dev(), ours.ino())))
}

#[cfg(not(unix))]
fn is_still(_: &Path, _: &File) -> std::io::Result<bool> {
    Ok(true)
}

/// Who signed the lock file; `None` when nobody did.
pub(crate) fn signed(path: &Path) -> Option<Holder> {
    let mut text = String::new();
    File::open(path)
        .ok()?
        .take(MAX_HOLDER)
        .read_to_string(&mut text)
        .ok()?;
    serde_json::from_str(&text).ok()
}

fn locked(path: &Path, timeout: Duration) -> StoreError {
    let who = signed(path).map_or_else(|| "another process".to_owned(), |who| who.to_string());
    let waited = if timeout.is_zero() {
        String::new()
    } else {
        format!(" (waited {} s)", timeout.as_secs())
    };
    error_help(
        code::LOCKED,
        format!("the state is locked by {who}{waited}"),
        if timeout.is_zero() {
            "wait until it ends, or give --lock-timeout 5m to wait here; the lock goes with its \
             process, so there is nothing to remove"
        } else {
            "wait until it ends, or give a longer --lock-timeout; the lock goes with its process, \
             so there is nothing to remove"
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(command: &str) -> Holder {
        Holder {
            user: "ada".to_owned(),
            host: "mill".to_owned(),
            pid: 7,
            since: Timestamp(0),
            command: command.to_owned(),
            run: None,
        }
    }

    #[test]
    fn the_second_is_told_who_the_first_is_and_gets_it_when_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = Lock::acquire(&path, &holder("kplan apply"), Duration::ZERO).unwrap();
        let refused =
            Lock::acquire(&path, &holder("kplan destroy"), Duration::from_millis(5)).unwrap_err();
        assert_eq!(refused.code, code::LOCKED);
        assert_eq!(
            refused.message,
            "the state is locked by `kplan apply` of ada@mill (process 7, since \
             1970-01-01T00:00:00Z) (waited 0 s)"
        );
        drop(first);
        assert_eq!(signed(&path), None);
        let second = Lock::acquire(&path, &holder("kplan destroy"), Duration::ZERO).unwrap();
        assert_eq!(signed(&path), Some(holder("kplan destroy")));
        drop(second);
        assert!(path.exists());
    }

    #[test]
    fn waiting_ends_as_soon_as_the_lock_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = Lock::acquire(&path, &holder("a"), Duration::ZERO).unwrap();
        let waiter = {
            let path = path.clone();
            thread::spawn(move || Lock::acquire(&path, &holder("b"), Duration::from_mins(1)))
        };
        drop(first);
        assert!(waiter.join().unwrap().is_ok());
    }

    #[test]
    fn a_lock_file_that_was_removed_does_not_let_two_in() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&path)
            .unwrap();
        assert!(is_still(&path, &file).unwrap());
        fs::remove_file(&path).unwrap();
        assert!(!is_still(&path, &file).unwrap());
        let _other = File::create(&path).unwrap();
        assert!(!is_still(&path, &file).unwrap());
    }
}
