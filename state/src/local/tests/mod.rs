//! Tests of the local store as a whole, and what they share.

mod corruption;
mod crash;
mod damage;
mod fixture;
mod fuzz;
mod history;
mod process;
mod refuse;
mod roundtrip;
mod surgery;
mod witness;

#[path = "../../../../tests/corpus/json.rs"]
mod json;
#[path = "../../../../tests/corpus/mutate.rs"]
mod mutate;

use super::disk::{Disk, StdDisk};
use super::files::Layout;
use super::load::{Found, Loading};
use super::mark::{self, Mark};
use super::{LocalReader, LocalWriter, WriteOptions};
use crate::identity::Identity;
use crate::notice::{Notice, Severity};
use crate::testing;
use kplan_model::{Journal as _, JournalEntry, Snapshot, StoreError, Timestamp};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A folder with an identity for it.
pub(crate) struct Place {
    _dir: tempfile::TempDir,
    pub(crate) path: PathBuf,
    pub(crate) identity: Identity,
}

impl Place {
    pub(crate) fn new() -> Self {
        // In memory where there is such a folder: these tests synchronise tens of thousands of
        // times, and a disk adds nothing to what they prove.
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() {
            tempfile::tempdir_in(memory)
        } else {
            tempfile::tempdir()
        };
        let dir = dir.unwrap();
        Self {
            path: crate::state_dir(dir.path(), "demo"),
            _dir: dir,
            identity: Identity::generate(),
        }
    }

    /// A place with a state that was checkpointed twice and then went on: every file is there.
    pub(crate) fn full() -> Self {
        let place = Self::new();
        for names in [["a", "b"], ["c", "d"]] {
            let mut writer = place.writer();
            append_all(&mut writer, &testing::run(&names)).unwrap();
            writer.close("kplan apply", Timestamp(0)).unwrap();
        }
        let mut writer = place.writer();
        append_all(&mut writer, &testing::run(&["e", "f"])).unwrap();
        drop(writer);
        place
    }

    pub(crate) fn options() -> WriteOptions {
        WriteOptions::new("kplan apply")
    }

    pub(crate) fn try_writer(&self) -> Result<LocalWriter, StoreError> {
        LocalWriter::open(&self.path, "demo", &self.identity, &Self::options())
    }

    pub(crate) fn writer(&self) -> LocalWriter {
        self.try_writer().unwrap()
    }

    pub(crate) fn writer_on(
        &self,
        disk: Arc<dyn Disk>,
        options: &WriteOptions,
    ) -> Result<LocalWriter, StoreError> {
        LocalWriter::open_on(disk, &self.path, "demo", &self.identity, options)
    }

    pub(crate) fn reader(&self) -> LocalReader {
        LocalReader::open(&self.path, "demo", Some(&self.identity))
    }

    /// The state and the warnings.
    pub(crate) fn read(&self) -> Result<(Option<Snapshot>, Vec<Notice>), StoreError> {
        let loaded = self.reader().read()?;
        Ok((loaded.snapshot, loaded.notices))
    }

    /// The same without looking twice, for the thousands of files nobody else is writing.
    pub(crate) fn read_once(&self) -> Result<(Option<Snapshot>, Vec<Notice>), StoreError> {
        let loading = Loading {
            disk: &StdDisk,
            layout: &Layout(self.path.clone()),
            cluster: "demo",
            identity: Some(&self.identity),
            skip_damage: false,
        };
        match loading.load()? {
            Found::Nothing => Ok((None, Vec::new())),
            Found::State(state) => Ok((Some(state.snapshot), state.notices)),
            Found::Gap(error) => Err(error),
        }
    }

    pub(crate) fn state(&self) -> Snapshot {
        self.read().unwrap().0.unwrap()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.file(name)).unwrap()
    }

    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.file(name), bytes).unwrap();
    }

    /// Sets the mark back to this batch, as a power loss may.
    pub(crate) fn mark_at(&self, batch: u64) {
        let layout = Layout(self.path.clone());
        let Mark::At { lineage, .. } = mark::load(&StdDisk, &layout).unwrap() else {
            panic!("no mark");
        };
        mark::set(&StdDisk, &layout, &lineage, batch).unwrap();
    }

    /// Half a record at the end of the journal, as a process leaves it that died in a write.
    pub(crate) fn tear(&self) {
        let mut journal = self.bytes("journal");
        let frame = super::frame::frame(&[b'x'; 80]).unwrap();
        journal.extend_from_slice(&frame[..frame.len() / 2]);
        self.put("journal", &journal);
    }

    /// Every file below, with its bytes.
    pub(crate) fn everything(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(&self.path, &mut files);
        files
    }
}

fn collect(dir: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
}

pub(crate) fn append_all(
    writer: &mut LocalWriter,
    batches: &[Vec<JournalEntry>],
) -> Result<(), kplan_model::JournalError> {
    batches.iter().try_for_each(|batch| writer.append(batch))
}

pub(crate) fn warnings(notices: &[Notice]) -> Vec<&'static str> {
    notices
        .iter()
        .filter(|notice| notice.severity == Severity::Warning)
        .map(|notice| notice.code)
        .collect()
}
