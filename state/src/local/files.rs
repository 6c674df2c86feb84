//! The files of a state, and reading and writing them as wire types: the snapshot (one line that
//! frames it, then JSON) and the journal (frames of JSON; the first says whose it is).

use super::disk::{Disk, if_there};
use super::frame::{FRAME_HEAD, Tail, frame, scan};
use crate::error::{code, damaged, error, io_error, newer_format};
use crate::wire::batch::BatchWire;
use crate::wire::framed::{framed, read_framed};
use crate::wire::snapshot::SnapshotWire;
use crate::wire::{FORMAT, WrongFormat, check};
use kplan_model::StoreError;
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Where the files of one state lie.
#[derive(Clone, Debug)]
pub(crate) struct Layout(pub(crate) PathBuf);

impl Layout {
    pub(crate) fn snapshot(&self) -> PathBuf {
        self.0.join("snapshot")
    }
    pub(crate) fn old_snapshot(&self) -> PathBuf {
        self.0.join("snapshot.1")
    }
    pub(crate) fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }
    pub(crate) fn old_journal(&self) -> PathBuf {
        self.0.join("journal.1")
    }
    pub(crate) fn mark(&self) -> PathBuf {
        self.0.join("mark")
    }
    pub(crate) fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }
    pub(crate) fn store(&self) -> PathBuf {
        self.0.join("store")
    }
    pub(crate) fn history(&self) -> PathBuf {
        self.0.join("history")
    }
    /// Says where the state went, once it is somewhere else.
    pub(crate) fn moved(&self) -> PathBuf {
        self.0.join("moved")
    }
    /// Where damaged files are kept.
    pub(crate) fn aside(&self) -> PathBuf {
        self.0.join("damaged")
    }
}

/// Ends the name of a file that is being written.
pub(crate) const TEMPORARY: &str = ".tmp";

/// The name under which a file is written before it gets its own.
pub(crate) fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(TEMPORARY);
    PathBuf::from(name)
}

/// Writes a file so that its name always stands for whole contents: the old or the new.
pub(crate) fn put(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let new = temporary(path);
    disk.write(&new, bytes)
        .and_then(|()| disk.rename(&new, path))
        .and_then(|()| disk.sync_dir(path.parent().unwrap_or(path)))
        .map_err(|cause| io_error("write", path, &cause))
}

pub(crate) fn read(disk: &dyn Disk, path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    if_there(disk.read(path)).map_err(|cause| io_error("read", path, &cause))
}

/// A file to be read piece by piece: as it is now, whatever gets its name afterwards.
pub(crate) fn open(disk: &dyn Disk, path: &Path) -> Result<Option<Box<dyn Read>>, StoreError> {
    if_there(disk.open(path)).map_err(|cause| io_error("read", path, &cause))
}

/// What the first line of a snapshot file calls it.
const SNAPSHOT: &str = "snapshot";

/// The bytes of a snapshot file.
pub(crate) fn snapshot_bytes(wire: &SnapshotWire) -> Result<Vec<u8>, StoreError> {
    let body = serde_json::to_vec(wire).map_err(|cause| unwritable(&cause))?;
    Ok(framed(SNAPSHOT, wire.format, &body))
}

fn unwritable(cause: &serde_json::Error) -> StoreError {
    error(
        code::UNSTORABLE,
        format!("the state cannot be written as JSON: {cause}"),
    )
}

/// A snapshot file that was read.
pub(crate) enum SnapshotFile {
    Good(Box<SnapshotWire>),
    Damaged(String),
}

/// Reads a snapshot file. Damage is a value, for there may be a predecessor to go back to; a
/// newer format is an error, for going back would lose what the newer kplan did.
pub(crate) fn parse_snapshot(path: &Path, from: impl Read) -> Result<SnapshotFile, StoreError> {
    let parsed = read_framed(SNAPSHOT, from, |format, body| {
        check(format).map(|()| serde_json::from_reader::<_, SnapshotWire>(body))
    });
    let read_error = |cause| io_error("read", path, &cause);
    Ok(match parsed.map_err(read_error)? {
        Ok((format, Ok(Ok(wire)))) if wire.format == format => SnapshotFile::Good(Box::new(wire)),
        Ok((_, Ok(Ok(_)))) => {
            SnapshotFile::Damaged("its body has another format than its first line".into())
        }
        Ok((_, Ok(Err(cause)))) if cause.is_io() => return Err(read_error(cause.into())),
        Ok((_, Ok(Err(cause)))) => {
            SnapshotFile::Damaged(format!("its body cannot be read: {cause}"))
        }
        Ok((_, Err(WrongFormat::Newer(format)))) => return Err(newer(path, format)),
        Ok((_, Err(never))) => SnapshotFile::Damaged(never.words()),
        Err(what) => SnapshotFile::Damaged(what),
    })
}

fn newer(path: &Path, format: u32) -> StoreError {
    newer_format(&path.display().to_string(), format)
}

/// The first frame of a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JournalHead {
    /// Always `journal`.
    kplan: String,
    pub(crate) format: u32,
    pub(crate) lineage: String,
    pub(crate) cluster: String,
    /// The batch this journal follows.
    pub(crate) after: u64,
}

/// What every future first frame has.
#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

/// A journal that was read.
pub(crate) struct JournalFile {
    /// `None` when the file ends within its first frame.
    pub(crate) head: Option<JournalHead>,
    /// The batches up to the first bad byte, with their offsets.
    pub(crate) batches: Vec<(usize, BatchWire)>,
    pub(crate) tail: Tail,
    /// The bytes that are whole frames.
    pub(crate) good: usize,
    pub(crate) length: usize,
    /// Batches behind damage, when they were asked for.
    pub(crate) skipped: Vec<(usize, usize)>,
}

/// The first frame of a new journal.
pub(crate) fn journal_head(
    lineage: &str,
    cluster: &str,
    after: u64,
) -> Result<Vec<u8>, StoreError> {
    let head = JournalHead {
        kplan: "journal".to_owned(),
        format: FORMAT,
        lineage: lineage.to_owned(),
        cluster: cluster.to_owned(),
        after,
    };
    json_frame(&head)
}

/// A frame for a batch.
pub(crate) fn batch_frame(batch: &BatchWire) -> Result<Vec<u8>, StoreError> {
    json_frame(batch)
}

fn json_frame(payload: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    let mut json = serde_json::to_vec(payload).map_err(|cause| unwritable(&cause))?;
    // For those who look at a journal with a pager.
    json.push(b'\n');
    frame(&json).ok_or_else(|| {
        error(
            code::UNSTORABLE,
            "one journal record would be larger than 256 MiB",
        )
    })
}

/// Reads a journal. With `skip_damage` it goes on behind damaged parts and lists them; without,
/// it stops there and says so in `tail`.
pub(crate) fn parse_journal(
    path: &Path,
    bytes: &[u8],
    skip_damage: bool,
) -> Result<JournalFile, StoreError> {
    let (mut payloads, mut tail) = scan(bytes, 0);
    let good = match tail {
        Tail::Clean => bytes.len(),
        Tail::Torn { at } | Tail::Damaged { at, .. } => at,
    };
    let mut skipped = Vec::new();
    if skip_damage {
        while let Tail::Damaged { at, resume } = tail {
            skipped.push((at, resume));
            let (more, next) = scan(bytes, resume);
            payloads.extend(more);
            tail = next;
        }
    }
    let mut file = JournalFile {
        head: None,
        batches: Vec::with_capacity(payloads.len()),
        tail,
        good,
        length: bytes.len(),
        skipped,
    };
    for range in payloads {
        let payload = &bytes[range.clone()];
        let unreadable =
            |cause: serde_json::Error| damaged(path, format!("byte {}: {cause}", range.start));
        // With the first frame damaged and skipped there is no head, only batches.
        if range.start == FRAME_HEAD {
            file.head = Some(parse_head(path, payload)?);
            continue;
        }
        let batch = serde_json::from_slice(payload).map_err(unreadable)?;
        file.batches.push((range.start, batch));
    }
    Ok(file)
}

fn parse_head(path: &Path, payload: &[u8]) -> Result<JournalHead, StoreError> {
    let broken = |cause: serde_json::Error| damaged(path, format!("first record: {cause}"));
    let FormatOnly { format } = serde_json::from_slice(payload).map_err(broken)?;
    match check(format) {
        Ok(()) => serde_json::from_slice(payload).map_err(broken),
        Err(WrongFormat::Newer(format)) => Err(newer(path, format)),
        Err(never) => Err(damaged(path, format!("first record: {}", never.words()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use proptest::prelude::*;

    #[test]
    fn every_changed_byte_of_a_snapshot_is_noticed() {
        let wire = testing::small_snapshot();
        let bytes = snapshot_bytes(&wire).unwrap();
        let path = Path::new("snapshot");
        assert!(matches!(
            parse_snapshot(path, &bytes[..]),
            Ok(SnapshotFile::Good(_))
        ));
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            let read = parse_snapshot(path, &changed[..]);
            assert!(matches!(read, Ok(SnapshotFile::Damaged(_))), "byte {index}");
            let cut = parse_snapshot(path, &bytes[..index]);
            assert!(matches!(cut, Ok(SnapshotFile::Damaged(_))), "cut {index}");
        }
    }

    #[test]
    fn a_newer_snapshot_is_told_from_a_damaged_one() {
        let mut wire = testing::small_snapshot();
        wire.format = FORMAT + 1;
        let bytes = snapshot_bytes(&wire).unwrap();
        let refused = parse_snapshot(Path::new("snapshot"), &bytes[..])
            .err()
            .unwrap();
        assert_eq!(refused.code, code::NEWER_FORMAT);
    }

    proptest! {
        #[test]
        fn no_record_makes_the_reader_panic(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..4),
            json in "[{}\\[\\]\",:a-z0-9]{0,60}",
            skip in any::<bool>(),
        ) {
            let head = journal_head("l", "demo", 0).unwrap();
            let frames = payloads.iter().map(|payload| frame(payload).unwrap());
            let bytes = [head, frame(json.as_bytes()).unwrap()].into_iter().chain(frames);
            let bytes = bytes.collect::<Vec<_>>().concat();
            let read = parse_journal(Path::new("journal"), &bytes, skip);
            prop_assert!(read.is_err_and(|refused| refused.code == code::DAMAGED));
        }
    }

    #[test]
    fn a_newer_journal_is_refused() {
        let head = format!(r#"{{"format":{},"later":1}}"#, FORMAT + 1);
        let bytes = frame(head.as_bytes()).unwrap();
        let refused = parse_journal(Path::new("journal"), &bytes, false)
            .err()
            .unwrap();
        assert_eq!(refused.code, code::NEWER_FORMAT);
    }
}
