//! A disk in memory that loses, at a crash, what a real one may lose: bytes that were not
//! synchronised (some, all or none of them), and names whose folder was not.

use crate::fate::{Extent, Fate, Why};
use kplan_sandbox::Rng;
use kplan_state::{Append, Disk, Held, Holder, Overwrite};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[derive(Clone, Default)]
struct File {
    /// What the process sees.
    live: Vec<u8>,
    /// What is on the platters.
    durable: Vec<u8>,
}

enum NameOp {
    Put(PathBuf, u64),
    Remove(PathBuf),
}

#[derive(Default)]
struct State {
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    /// Changes of names since their folder was synchronised, in order.
    pending: Vec<NameOp>,
    files: BTreeMap<u64, File>,
    next: u64,
    full: bool,
    locked: BTreeSet<PathBuf>,
}

/// See the module. Clones share it.
#[derive(Clone)]
pub struct MemDisk {
    state: Arc<Mutex<State>>,
    fate: Fate,
}

fn error(why: Why) -> io::Error {
    match why {
        Why::Dead => io::Error::other("the process is dead"),
        Why::Failed => io::Error::other("input/output error"),
        Why::Full => io::ErrorKind::StorageFull.into(),
    }
}

impl MemDisk {
    /// An empty disk.
    pub fn new(fate: Fate) -> Self {
        Self {
            state: Arc::default(),
            fate,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the next process finds: durable bytes, some of the rest, and names in the order in
    /// which they were given, up to some point.
    pub fn crash(&self, dice: &Rng) {
        let mut state = self.state();
        let pending = std::mem::take(&mut state.pending);
        let kept = dice.below(pending.len() as u64 + 1);
        for (_, op) in (0..kept).zip(pending) {
            apply(&mut state.durable_names, op);
        }
        state.names = state.durable_names.clone();
        let named: BTreeSet<u64> = state.names.values().copied().collect();
        state.files.retain(|id, _| named.contains(id));
        for file in state.files.values_mut() {
            file.live = survived(file, dice);
            file.durable = file.live.clone();
        }
        state.locked.clear();
    }

    /// A new process: there is room again.
    pub fn reopen(&self) {
        self.state().full = false;
    }

    /// Every file.
    pub fn contents(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let state = self.state();
        let named = state.names.iter();
        named
            .filter_map(|(path, id)| Some((path.clone(), state.files.get(id)?.live.clone())))
            .collect()
    }

    fn next(&self) -> (Extent, Option<Why>) {
        let (extent, why) = self.fate.next();
        let mut state = self.state();
        state.full |= why == Some(Why::Full);
        if state.full && why != Some(Why::Dead) {
            return (Extent::Half, Some(Why::Full));
        }
        (extent, why)
    }

    fn opened(&self, path: &Path) -> io::Result<MemAppend> {
        let id = self.state().names.get(path).copied();
        let id = id.ok_or(io::ErrorKind::NotFound)?;
        Ok(MemAppend {
            disk: self.clone(),
            id,
        })
    }

    /// Does what cannot be done by halves.
    fn change(&self, change: impl FnOnce(&mut State)) -> io::Result<()> {
        let (extent, why) = self.next();
        if extent == Extent::All {
            change(&mut self.state());
        }
        why.map_or(Ok(()), |why| Err(error(why)))
    }

    /// Writes these bytes, or half of them.
    fn put(&self, bytes: &[u8], put: impl FnOnce(&mut State, &[u8])) -> io::Result<()> {
        let (extent, why) = self.next();
        match extent {
            Extent::None => {}
            Extent::Half => put(&mut self.state(), &bytes[..bytes.len() / 2]),
            Extent::All => put(&mut self.state(), bytes),
        }
        why.map_or(Ok(()), |why| Err(error(why)))
    }
}

fn apply(names: &mut BTreeMap<PathBuf, u64>, op: NameOp) {
    match op {
        NameOp::Put(path, id) => drop(names.insert(path, id)),
        NameOp::Remove(path) => drop(names.remove(&path)),
    }
}

/// A file after a crash. What was appended since the last synchronisation may be there in part,
/// and the end of that part may be zeros: the length reached the disk, the bytes did not.
fn survived(file: &File, dice: &Rng) -> Vec<u8> {
    let Some(tail) = file.live.strip_prefix(file.durable.as_slice()) else {
        // Written over, which is done only within one sector: a disk writes it whole or not.
        let written = dice.below(2) == 0;
        return if written { &file.live } else { &file.durable }.clone();
    };
    let kept = usize::try_from(dice.below(tail.len() as u64 + 1)).unwrap_or(0);
    let mut bytes = file.durable.clone();
    bytes.extend_from_slice(&tail[..kept]);
    if dice.below(4) == 0 {
        let zeros = usize::try_from(dice.below(kept as u64 + 1)).unwrap_or(0);
        let length = bytes.len();
        bytes[length - zeros..].fill(0);
    }
    bytes
}

impl State {
    fn file(&mut self, path: &Path) -> io::Result<&mut File> {
        let id = self.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        self.files
            .get_mut(id)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn name(&mut self, path: &Path, id: u64) {
        self.names.insert(path.to_owned(), id);
        self.pending.push(NameOp::Put(path.to_owned(), id));
    }

    fn unname(&mut self, path: &Path) {
        if self.names.remove(path).is_some() {
            self.pending.push(NameOp::Remove(path.to_owned()));
        }
    }
}

impl Disk for MemDisk {
    fn lock(
        &self,
        path: &Path,
        holder: &Holder,
        _timeout: Duration,
    ) -> Result<Box<dyn Held>, kplan_model::StoreError> {
        if !self.state().locked.insert(path.to_owned()) {
            return Err(kplan_model::StoreError {
                code: "state::locked",
                message: format!("the state is locked; {holder} asked"),
                help: None,
            });
        }
        Ok(Box::new(MemLock {
            disk: self.clone(),
            path: path.to_owned(),
        }))
    }

    fn holds_store(&self) -> bool {
        false
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Ok(self.state().file(path)?.live.clone())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        let mut names = BTreeSet::new();
        for path in state.names.keys() {
            let below = path.strip_prefix(dir).ok();
            let first = below.and_then(|below| below.components().next());
            names.extend(first.map(|first| first.as_os_str().to_string_lossy().into_owned()));
        }
        Ok(names.into_iter().collect())
    }

    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        // Folders are parts of names here.
        self.change(|_| ())
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.put(bytes, |state, bytes| {
            let id = state.next;
            state.next += 1;
            // A replaced file loses its bytes at once; a new one is nameless until its folder is
            // synchronised.
            let file = File {
                live: bytes.to_vec(),
                durable: bytes.to_vec(),
            };
            state.files.insert(id, file);
            state.name(path, id);
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let id = self.state().names.get(from).copied();
        let id = id.ok_or(io::ErrorKind::NotFound)?;
        self.change(|state| {
            state.name(to, id);
            state.unname(from);
        })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.change(|state| {
            let inside = |op: &NameOp| match op {
                NameOp::Put(path, _) | NameOp::Remove(path) => path.parent() == Some(dir),
            };
            // A journaled file system writes names in order: synchronising one folder may write
            // earlier changes of others, never later ones of its own first.
            let last = state.pending.iter().rposition(inside);
            let done: Vec<NameOp> = match last {
                Some(last) => state.pending.drain(..=last).collect(),
                None => Vec::new(),
            };
            for op in done {
                apply(&mut state.durable_names, op);
            }
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change(|state| state.unname(path))
    }

    fn open_append(&self, path: &Path) -> io::Result<Box<dyn Append>> {
        Ok(Box::new(self.opened(path)?))
    }

    fn open_overwrite(&self, path: &Path) -> io::Result<Box<dyn Overwrite>> {
        Ok(Box::new(MemOverwrite(self.opened(path)?)))
    }
}

struct MemOverwrite(MemAppend);

impl Overwrite for MemOverwrite {
    fn overwrite(&mut self, bytes: &[u8]) -> io::Result<()> {
        let id = self.0.id;
        self.0.disk.put(bytes, |state, bytes| {
            if let Some(file) = state.files.get_mut(&id) {
                let length = bytes.len().min(file.live.len());
                file.live.splice(..length, bytes.iter().copied());
            }
        })
    }
}

struct MemLock {
    disk: MemDisk,
    path: PathBuf,
}

impl Held for MemLock {}

impl Drop for MemLock {
    fn drop(&mut self) {
        self.disk.state().locked.remove(&self.path);
    }
}

/// An open file: by its number, so that a new file of its name is another one.
struct MemAppend {
    disk: MemDisk,
    id: u64,
}

impl Append for MemAppend {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let id = self.id;
        self.disk.put(bytes, |state, bytes| {
            if let Some(file) = state.files.get_mut(&id) {
                file.live.extend_from_slice(bytes);
            }
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        let id = self.id;
        self.disk.change(|state| {
            if let Some(file) = state.files.get_mut(&id) {
                file.durable = file.live.clone();
            }
        })
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let (id, length) = (self.id, usize::try_from(length).unwrap_or(usize::MAX));
        self.disk.change(|state| {
            if let Some(file) = state.files.get_mut(&id) {
                file.live.truncate(length);
                file.durable = file.live.clone();
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fate::WriteMishap;
    use crate::net::Net;

    fn disk() -> MemDisk {
        MemDisk::new(Fate::new(Net::new(BTreeMap::new()), BTreeMap::new()))
    }

    #[test]
    fn what_was_synchronised_survives_and_only_that_is_certain() {
        let mut lengths = BTreeSet::new();
        for seed in 0..64 {
            let disk = disk();
            let (dir, path) = (Path::new("/s"), Path::new("/s/journal"));
            disk.write(path, b"head").unwrap();
            disk.sync_dir(dir).unwrap();
            let mut file = disk.open_append(path).unwrap();
            file.append(b"one").unwrap();
            file.sync().unwrap();
            file.append(b"two").unwrap();
            disk.crash(&Rng::seeded(seed));
            let found = disk.read(path).unwrap();
            assert_eq!(found[..7], *b"headone");
            lengths.insert(found.len());
        }
        assert_eq!(lengths, BTreeSet::from([7, 8, 9, 10]));
    }

    /// What a failing writer left in the journal, whole and not synchronised, is read by the next
    /// one, which builds on it; a power loss must not take it away again.
    #[test]
    fn what_a_writer_goes_on_from_survives() {
        use kplan_model::{Journal as _, JournalEntry, JournalEvent, Object, RunId, Timestamp};
        use kplan_state::{Identity, LocalReader, LocalWriter, WriteOptions};
        let identity = Identity::generate();
        let (dir, options) = (Path::new("/p/.kplan/demo"), WriteOptions::new("test"));
        for failing in 0..60 {
            for seed in 0..4 {
                let mishaps = BTreeMap::from([(failing, WriteMishap::Fails)]);
                let disk = MemDisk::new(Fate::new(Net::new(BTreeMap::new()), mishaps));
                let shared: Arc<dyn Disk> = Arc::new(disk.clone());
                let open =
                    || LocalWriter::open_on(Arc::clone(&shared), dir, "demo", &identity, &options);
                if let Ok(mut writer) = open() {
                    let entry = JournalEntry {
                        run: RunId("r".to_owned()),
                        at: Timestamp(1),
                        event: JournalEvent::Outputs {
                            outputs: Object::new(),
                        },
                    };
                    while writer.append(std::slice::from_ref(&entry)).is_ok()
                        && disk.fate.operations() <= failing
                    {}
                }
                if let Ok(writer) = open() {
                    let believed = writer.snapshot().serial;
                    drop(writer);
                    disk.crash(&Rng::seeded(seed));
                    let reader = LocalReader::on(Arc::clone(&shared), dir, "demo", Some(&identity));
                    let found = reader.read();
                    let found = found.unwrap_or_else(|error| panic!("{failing} {seed}: {error}"));
                    let serial = found.snapshot.map(|state| state.serial);
                    assert_eq!(serial, Some(believed), "{failing} {seed}");
                }
            }
        }
    }

    #[test]
    fn a_name_is_certain_only_when_its_folder_was_synchronised() {
        let mut outcomes = BTreeSet::new();
        for seed in 0..64 {
            let disk = disk();
            let (dir, path) = (Path::new("/s"), Path::new("/s/snapshot"));
            disk.write(path, b"old").unwrap();
            disk.sync_dir(dir).unwrap();
            disk.write(Path::new("/s/tmp"), b"new").unwrap();
            disk.rename(Path::new("/s/tmp"), path).unwrap();
            disk.crash(&Rng::seeded(seed));
            outcomes.insert(disk.read(path).unwrap());
        }
        assert_eq!(outcomes, BTreeSet::from([b"old".to_vec(), b"new".to_vec()]));
    }
}
