//! A disk that fails when it is told to: once with an error, or for good, as the last thing a
//! process ever did.

use super::disk::{Append, Disk, Overwrite, StdDisk};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

/// What happens at the chosen operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing is done, an error is answered, and the next operation works again.
    Error(io::ErrorKind),
    /// Half of it is done (a write), an error is answered, and the next operation works again.
    HalfError(io::ErrorKind),
    /// The process dies before it.
    DieBefore,
    /// The process dies in the middle of it.
    DieHalfway,
    /// The process dies directly after it.
    DieAfter,
}

#[derive(Default)]
struct Plan {
    done: usize,
    at: Option<(usize, Fault)>,
    dead: bool,
}

/// See the module.
#[derive(Clone, Default)]
pub(crate) struct FaultyDisk(Arc<Mutex<Plan>>);

/// How an operation goes.
enum Go {
    Do,
    Half(io::Error),
    Not(io::Error),
    DoThenFail(io::Error),
}

fn died() -> io::Error {
    io::Error::other("the process is dead")
}

impl FaultyDisk {
    /// Fails at the operation of that number, counted from 0.
    pub(crate) fn at(operation: usize, fault: Fault) -> Self {
        let disk = Self::default();
        disk.plan().at = Some((operation, fault));
        disk
    }

    /// How many changing operations were asked for.
    pub(crate) fn operations(&self) -> usize {
        self.plan().done
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.lock().unwrap()
    }

    fn next(&self) -> Go {
        let mut plan = self.plan();
        if plan.dead {
            return Go::Not(died());
        }
        let number = plan.done;
        plan.done += 1;
        let Some((at, fault)) = plan.at else {
            return Go::Do;
        };
        if number != at {
            return Go::Do;
        }
        match fault {
            Fault::Error(kind) => Go::Not(kind.into()),
            Fault::HalfError(kind) => Go::Half(kind.into()),
            Fault::DieBefore => {
                plan.dead = true;
                Go::Not(died())
            }
            Fault::DieHalfway => {
                plan.dead = true;
                Go::Half(died())
            }
            Fault::DieAfter => {
                plan.dead = true;
                Go::DoThenFail(died())
            }
        }
    }

    fn run(&self, all: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        self.run_bytes(&[], |_| all())
    }

    fn run_bytes(
        &self,
        bytes: &[u8],
        write: impl FnOnce(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        match self.next() {
            Go::Do => write(bytes),
            Go::Not(cause) => Err(cause),
            Go::Half(cause) => {
                if !bytes.is_empty() {
                    write(&bytes[..bytes.len() / 2])?;
                }
                Err(cause)
            }
            Go::DoThenFail(cause) => {
                write(bytes)?;
                Err(cause)
            }
        }
    }
}

impl Disk for FaultyDisk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        StdDisk.read(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        StdDisk.list(dir)
    }
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.run(|| StdDisk.create_dir(dir))
    }
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.run_bytes(bytes, |bytes| StdDisk.write(path, bytes))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.run(|| StdDisk.rename(from, to))
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.run(|| StdDisk.sync_dir(dir))
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.run(|| StdDisk.remove(path))
    }
    fn open_append(&self, path: &Path) -> io::Result<Box<dyn Append>> {
        Ok(Box::new(FaultyAppend {
            disk: self.clone(),
            file: StdDisk.open_append(path)?,
        }))
    }
    fn open_overwrite(&self, path: &Path) -> io::Result<Box<dyn Overwrite>> {
        Ok(Box::new(FaultyOverwrite {
            disk: self.clone(),
            file: StdDisk.open_overwrite(path)?,
        }))
    }
}

struct FaultyOverwrite {
    disk: FaultyDisk,
    file: Box<dyn Overwrite>,
}

impl Overwrite for FaultyOverwrite {
    fn overwrite(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = &mut self.file;
        self.disk.run_bytes(bytes, |bytes| file.overwrite(bytes))
    }
}

struct FaultyAppend {
    disk: FaultyDisk,
    file: Box<dyn Append>,
}

impl Append for FaultyAppend {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = &mut self.file;
        self.disk.run_bytes(bytes, |bytes| file.append(bytes))
    }
    fn sync(&mut self) -> io::Result<()> {
        let file = &mut self.file;
        self.disk.run(|| file.sync())
    }
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let file = &mut self.file;
        self.disk.run(|| file.truncate(length))
    }
}
