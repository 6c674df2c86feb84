//! The mark: which batch was acknowledged last, in a small file of its own. It is written over,
//! without `fsync`, after the journal's `fdatasync` and before the append returns. So it never
//! says more than the journal once held, and a journal that ends before it has lost records: a
//! bad or missing last frame can be told from the unfinished work of a process that died.
//!
//! A power loss may take back the mark (never the journal). Then it says less than it did, and a
//! damaged last frame is a torn tail again.

use super::disk::{Disk, Overwrite};
use super::files::{Layout, put, read};
use crate::error::{code, io_error};
use crate::notice::Notice;
use kplan_model::StoreError;

/// How often a mark that cannot be read is read again: a writer may be at it at this moment, and
/// is done within microseconds.
const READS: u32 = 3;

const MAGIC: &str = "kplan mark ";

/// What the mark says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// There is none: a kplan that did not write one yet, or somebody removed it.
    Missing,
    /// It is there, and is not what was written.
    Unreadable,
    /// This batch of this lineage was acknowledged.
    At { lineage: String, batch: u64 },
}

impl Mark {
    /// The newest acknowledged batch of the state of this lineage, if the mark tells.
    pub(crate) fn batch_of(&self, lineage: &str) -> Option<u64> {
        match self {
            Self::At {
                lineage: theirs,
                batch,
            } if theirs == lineage => Some(*batch),
            _ => None,
        }
    }
}

/// The bytes of a mark. All marks of one state are equally long, so that one lies exactly over
/// the other: a `u64` has at most 20 digits.
fn bytes(lineage: &str, batch: u64) -> Vec<u8> {
    let said = format!("lineage={lineage} batch={batch:020}");
    let sum = crc32fast::hash(said.as_bytes());
    format!("{MAGIC}{said} crc32={sum:08x}\n").into_bytes()
}

fn parse(found: &[u8]) -> Option<(String, u64)> {
    let line = std::str::from_utf8(found).ok()?.strip_prefix(MAGIC)?;
    let mut words = line.split(' ');
    let lineage = words.next()?.strip_prefix("lineage=")?;
    let batch = words.next()?.strip_prefix("batch=")?.parse().ok()?;
    (bytes(lineage, batch) == found).then(|| (lineage.to_owned(), batch))
}

/// Reads the mark. To be read before snapshot and journal: what it says is in them then.
pub(crate) fn load(disk: &dyn Disk, layout: &Layout) -> Result<Mark, StoreError> {
    for _ in 0..READS {
        let Some(found) = read(disk, &layout.mark())? else {
            return Ok(Mark::Missing);
        };
        if let Some((lineage, batch)) = parse(&found) {
            return Ok(Mark::At { lineage, batch });
        }
    }
    Ok(Mark::Unreadable)
}

/// Makes the mark say exactly this, durably.
pub(crate) fn set(
    disk: &dyn Disk,
    layout: &Layout,
    lineage: &str,
    batch: u64,
) -> Result<(), StoreError> {
    put(disk, &layout.mark(), &bytes(lineage, batch))
}

/// The mark in a writer's hand.
pub(crate) struct Marker {
    file: Box<dyn Overwrite>,
    lineage: String,
}

impl Marker {
    /// Makes the mark say this batch and keeps it open.
    pub(crate) fn begin(
        disk: &dyn Disk,
        layout: &Layout,
        lineage: &str,
        batch: u64,
    ) -> Result<Self, StoreError> {
        if load(disk, layout)?.batch_of(lineage) != Some(batch) {
            set(disk, layout, lineage, batch)?;
        }
        let file = disk
            .open_overwrite(&layout.mark())
            .map_err(|cause| io_error("open", &layout.mark(), &cause))?;
        Ok(Self {
            file,
            lineage: lineage.to_owned(),
        })
    }

    /// This batch is durable in the journal.
    pub(crate) fn reached(&mut self, batch: u64) -> std::io::Result<()> {
        self.file.overwrite(&bytes(&self.lineage, batch))
    }
}

/// The mark cannot be written any more.
pub(crate) fn failed(why: impl std::fmt::Display) -> Notice {
    Notice::warning(
        code::UNMARKED,
        format!("the mark of the last acknowledged record cannot be written ({why})"),
    )
    .help("nothing is lost; should the journal's end be damaged, nobody could tell")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_changed_byte_is_noticed_and_all_are_equally_long() {
        let whole = bytes("00112233445566778899aabbccddeeff", 17);
        let (lineage, batch) = parse(&whole).unwrap();
        assert_eq!((lineage.len(), batch), (32, 17));
        for index in 0..whole.len() {
            for bit in 0..8 {
                let mut changed = whole.clone();
                changed[index] ^= 1 << bit;
                assert_eq!(parse(&changed), None, "byte {index} bit {bit}");
            }
            assert_eq!(parse(&whole[..index]), None);
        }
        assert_eq!(bytes(&lineage, u64::MAX).len(), whole.len());
    }
}
