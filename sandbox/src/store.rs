//! Where the sandbox keeps its state: an append-only journal that is on disk before a mutation
//! is answered.
//!
//! One line per batch: a JSON array of `{"c":collection,"k":key,"v":value or null}`. Opening
//! replays the journal, drops a torn last line and writes a compacted copy.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, IntoInnerError, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Why the state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("sandbox state {path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line in the middle of the journal is not what this version writes.
    #[error(
        "sandbox state {path}, line {line}: not a journal record ({source}); remove the folder to start over"
    )]
    Corrupt {
        /// The journal.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// A stored value does not have the expected type.
    #[error("sandbox state {collection}/{key}: {source}")]
    Value {
        /// Collection of the value.
        collection: String,
        /// Key of the value.
        key: String,
        /// What the (de)serializer said.
        source: serde_json::Error,
    },
    /// An earlier write failed, so nothing more is promised.
    #[error("sandbox state: an earlier write failed ({0}); restart the sandbox")]
    Poisoned(String),
}

/// One change of a batch; `v` absent removes the key.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Record {
    c: String,
    k: String,
    v: Value,
}

/// Changes that reach the disk together or not at all.
#[derive(Debug, Default)]
pub struct Batch {
    records: Vec<Record>,
}

impl Batch {
    /// Adds or replaces a value.
    pub fn put<T: Serialize>(
        &mut self,
        collection: &str,
        key: &str,
        value: &T,
    ) -> Result<(), StoreError> {
        let v =
            serde_json::to_value(value).map_err(|source| value_error(collection, key, source))?;
        self.records.push(Record {
            c: collection.to_owned(),
            k: key.to_owned(),
            v,
        });
        Ok(())
    }

    /// Removes a value.
    pub fn delete(&mut self, collection: &str, key: &str) {
        self.records.push(Record {
            c: collection.to_owned(),
            k: key.to_owned(),
            v: Value::Null,
        });
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

type Collections = BTreeMap<String, BTreeMap<String, Value>>;

#[derive(Debug)]
struct Journal {
    dir: PathBuf,
    path: PathBuf,
    file: File,
    /// Bytes after the last compaction, and now.
    compacted: u64,
    length: u64,
}

#[derive(Debug, Default)]
struct Pending {
    data: Collections,
    /// Bytes appended but not yet written.
    buffer: Vec<u8>,
    /// Number of batches appended so far.
    appended: u64,
}

#[derive(Debug)]
struct Disk {
    journal: Journal,
    /// Number of batches known to be on disk.
    durable: u64,
    failed: Option<String>,
}

#[derive(Debug)]
struct Inner {
    pending: Mutex<Pending>,
    /// `None` in memory. Taken for the whole write, so writers that arrive meanwhile share the next.
    disk: Option<Mutex<Disk>>,
}

/// A journal is compacted once it is this long and [`GROWTH`] times what it was.
const LONG: u64 = 64 * 1024 * 1024;
const GROWTH: u64 = 4;

/// A handle to the state; clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

impl Store {
    /// Opens (or makes) the state of a folder.
    pub fn open(dir: &Path) -> Result<Store, StoreError> {
        std::fs::create_dir_all(dir).map_err(|source| io_error(dir, source))?;
        let path = dir.join("journal.jsonl");
        let data = replay(&path)?;
        let journal = Journal::compacted(dir, path, &data)?;
        let disk = Disk {
            journal,
            durable: 0,
            failed: None,
        };
        let pending = Pending {
            data,
            ..Pending::default()
        };
        Ok(Store {
            inner: Arc::new(Inner {
                pending: Mutex::new(pending),
                disk: Some(Mutex::new(disk)),
            }),
        })
    }

    /// State that lives as long as the process.
    pub fn in_memory() -> Store {
        Store {
            inner: Arc::new(Inner {
                pending: Mutex::default(),
                disk: None,
            }),
        }
    }

    /// Adds or replaces a value; durable when this returns.
    pub fn put<T: Serialize>(
        &self,
        collection: &str,
        key: &str,
        value: &T,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        batch.put(collection, key, value)?;
        self.commit(batch)
    }

    /// Removes a value; durable when this returns. Removing what is not there is fine.
    pub fn delete(&self, collection: &str, key: &str) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        batch.delete(collection, key);
        self.commit(batch)
    }

    /// Writes a batch; durable when this returns.
    pub fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.append(batch)?;
        self.sync()
    }

    /// Every value of a collection.
    pub fn load<T: DeserializeOwned>(
        &self,
        collection: &str,
    ) -> Result<BTreeMap<String, T>, StoreError> {
        let pending = lock(&self.inner.pending);
        let Some(values) = pending.data.get(collection) else {
            return Ok(BTreeMap::new());
        };
        values
            .iter()
            .map(|(key, value)| match T::deserialize(value) {
                Ok(parsed) => Ok((key.clone(), parsed)),
                Err(source) => Err(value_error(collection, key, source)),
            })
            .collect()
    }

    /// Queues a batch in order; [`Store::sync`] makes it durable.
    pub fn append(&self, batch: Batch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut pending = lock(&self.inner.pending);
        if self.inner.disk.is_some() {
            let mark = pending.buffer.len();
            if let Err(source) = serde_json::to_writer(&mut pending.buffer, &batch.records) {
                pending.buffer.truncate(mark);
                return Err(value_error("batch", "", source));
            }
            pending.buffer.push(b'\n');
        }
        pending.appended += 1;
        for record in batch.records {
            apply(&mut pending.data, record);
        }
        Ok(())
    }

    /// Returns when everything appended before this call is on disk. Callers that come together
    /// share one write.
    pub fn sync(&self) -> Result<(), StoreError> {
        let Some(disk) = &self.inner.disk else {
            return Ok(());
        };
        let wanted = lock(&self.inner.pending).appended;
        let mut disk = lock(disk);
        if let Some(reason) = &disk.failed {
            return Err(StoreError::Poisoned(reason.clone()));
        }
        if disk.durable >= wanted {
            return Ok(());
        }
        let (bytes, appended) = {
            let mut pending = lock(&self.inner.pending);
            (std::mem::take(&mut pending.buffer), pending.appended)
        };
        if let Err(error) = self.write(&mut disk.journal, &bytes) {
            disk.failed = Some(error.to_string());
            return Err(error);
        }
        disk.durable = appended;
        Ok(())
    }

    /// Appends to the journal, or writes it anew when it holds mostly what is past.
    fn write(&self, journal: &mut Journal, bytes: &[u8]) -> Result<(), StoreError> {
        let written = journal
            .file
            .write_all(bytes)
            .and_then(|()| journal.file.sync_data());
        written.map_err(|source| io_error(&journal.path, source))?;
        journal.length += bytes.len() as u64;
        if journal.length > LONG && journal.length / GROWTH > journal.compacted {
            // What was appended meanwhile is in both: writing it twice changes nothing.
            let data = lock(&self.inner.pending).data.clone();
            *journal = Journal::compacted(&journal.dir, journal.path.clone(), &data)?;
        }
        Ok(())
    }

    /// Whether writes wait for a disk.
    pub fn on_disk(&self) -> bool {
        self.inner.disk.is_some()
    }
}

fn apply(data: &mut Collections, record: Record) {
    if record.v.is_null() {
        if let Some(collection) = data.get_mut(&record.c) {
            collection.remove(&record.k);
        }
    } else {
        data.entry(record.c).or_default().insert(record.k, record.v);
    }
}

fn replay(path: &Path) -> Result<Collections, StoreError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Collections::new()),
        Err(source) => return Err(io_error(path, source)),
    };
    let mut data = Collections::new();
    // Only a complete line ends with a newline; the rest was being written when the process died
    // and was never answered.
    let complete = bytes
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |end| end + 1);
    for (index, line) in bytes[..complete].split(|b| *b == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let records: Vec<Record> =
            serde_json::from_slice(line).map_err(|source| StoreError::Corrupt {
                path: path.to_owned(),
                line: index + 1,
                source,
            })?;
        for record in records {
            apply(&mut data, record);
        }
    }
    Ok(data)
}

impl Journal {
    /// Writes the living values to a new journal and puts it in the old one's place.
    fn compacted(dir: &Path, path: PathBuf, data: &Collections) -> Result<Journal, StoreError> {
        let fresh = dir.join("journal.jsonl.new");
        let write = || -> std::io::Result<File> {
            let mut out = BufWriter::new(private_file(&fresh)?);
            for (collection, values) in data {
                for (key, value) in values {
                    let record = json!([{ "c": collection, "k": key, "v": value }]);
                    serde_json::to_writer(&mut out, &record)?;
                    out.write_all(b"\n")?;
                }
            }
            let out = out.into_inner().map_err(IntoInnerError::into_error)?;
            out.sync_all()?;
            std::fs::rename(&fresh, &path)?;
            File::open(dir)?.sync_all()?;
            OpenOptions::new().append(true).open(&path)
        };
        let file = write().map_err(|source| io_error(&path, source))?;
        let length = file
            .metadata()
            .map_err(|source| io_error(&path, source))?
            .len();
        let dir = dir.to_owned();
        Ok(Journal {
            dir,
            path,
            file,
            compacted: length,
            length,
        })
    }
}

/// Makes a file only its owner can read: the journal holds the account's passwords.
fn private_file(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn io_error(path: &Path, source: std::io::Error) -> StoreError {
    StoreError::Io {
        path: path.to_owned(),
        source,
    }
}

fn value_error(collection: &str, key: &str, source: serde_json::Error) -> StoreError {
    StoreError::Value {
        collection: collection.to_owned(),
        key: key.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(store: &Store) -> Vec<(String, u32)> {
        store.load::<u32>("things").unwrap().into_iter().collect()
    }

    #[test]
    fn what_was_put_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.put("things", "a", &1).unwrap();
        store.put("things", "b", &2).unwrap();
        store.put("things", "a", &3).unwrap();
        store.delete("things", "b").unwrap();
        store.delete("things", "never").unwrap();
        drop(store);
        let again = Store::open(dir.path()).unwrap();
        assert_eq!(names(&again), [("a".to_owned(), 3)]);
        drop(again);
        let text = std::fs::read_to_string(dir.path().join("journal.jsonl")).unwrap();
        assert_eq!(text.lines().count(), 1, "compacted when opened: {text}");
    }

    #[test]
    fn a_torn_last_line_is_dropped_and_a_torn_batch_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        let whole = r#"[{"c":"things","k":"a","v":1}]"#;
        let torn = r#"[{"c":"things","k":"a","v":2},{"c":"things","k":"b","#;
        std::fs::write(&path, format!("{whole}\n{torn}")).unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(names(&store), [("a".to_owned(), 1)]);
        store.put("things", "c", &5).unwrap();
        drop(store);
        assert_eq!(names(&Store::open(dir.path()).unwrap()).len(), 2);
    }

    #[test]
    fn a_journal_of_the_past_is_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let large = "x".repeat(5 * 1024 * 1024);
        for n in 0..16 {
            store.put("things", "same", &format!("{n}{large}")).unwrap();
        }
        let length = std::fs::metadata(dir.path().join("journal.jsonl"))
            .unwrap()
            .len();
        assert!(length < LONG, "{length}");
        store.put("things", "after", &"it").unwrap();
        drop(store);
        let again = Store::open(dir.path()).unwrap();
        let values = again.load::<String>("things").unwrap();
        assert!(values["same"].starts_with("15x"));
        assert_eq!(values["after"], "it");
    }

    #[test]
    fn damage_in_the_middle_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("journal.jsonl"), "nonsense\n[]\n").unwrap();
        let error = Store::open(dir.path()).unwrap_err();
        assert!(
            matches!(error, StoreError::Corrupt { line: 1, .. }),
            "{error}"
        );
    }

    #[test]
    fn writers_of_many_threads_all_become_durable() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        std::thread::scope(|scope| {
            for t in 0..4 {
                let store = store.clone();
                scope.spawn(move || {
                    for i in 0..10 {
                        store.put("things", &format!("{t}-{i}"), &i).unwrap();
                    }
                });
            }
        });
        drop(store);
        assert_eq!(names(&Store::open(dir.path()).unwrap()).len(), 40);
    }

    #[cfg(unix)]
    #[test]
    fn the_journal_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let _store = Store::open(dir.path()).unwrap();
        let mode = std::fs::metadata(dir.path().join("journal.jsonl"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
