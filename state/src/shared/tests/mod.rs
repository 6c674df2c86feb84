//! Tests of the shared store over a bucket in memory.

mod crash;
mod damage;
mod lease;
mod moves;
mod roundtrip;

use super::bucket::{Bucket, Connection};
use super::writer::Surroundings;
use super::{LeaseTimes, SharedReader, SharedWriter};
use crate::identity::Identity;
use crate::local::WriteOptions;
use crate::testing::run;
use kplan_model::{Journal as _, JournalEntry, Snapshot, StoreError, Timestamp};
use std::sync::Arc;
use std::time::Duration;

pub(super) const LINEAGE: &str = "00112233445566778899aabbccddeeff";

/// A bucket and an identity for what is in it.
pub(super) struct Place {
    pub(super) bucket: Bucket,
    pub(super) identity: Identity,
}

impl Place {
    pub(super) fn new() -> Self {
        Self {
            bucket: Bucket::default(),
            identity: Identity::generate(),
        }
    }

    /// A place where three runs were: there are checkpoints, history, and swept numbers.
    pub(super) fn full() -> Self {
        let place = Self::new();
        for names in [["a", "b"], ["c", "d"], ["e", "f"]] {
            let mut writer = place.writer();
            for batch in run(&names) {
                writer.append(&batch).unwrap();
            }
            writer.close("kplan apply", Timestamp(0)).unwrap();
        }
        place
    }

    pub(super) fn surroundings(&self) -> Surroundings {
        Surroundings {
            clock: self.bucket.clock(),
            heart: false,
            pause: Duration::ZERO,
            checkpoint_every: 3,
        }
    }

    pub(super) fn options(who: &str) -> WriteOptions {
        let mut options = WriteOptions::new(format!("kplan {who}"));
        options.lineage = Some(LINEAGE.to_owned());
        options
    }

    pub(super) fn open(
        &self,
        connection: Arc<Connection>,
        who: &str,
    ) -> Result<SharedWriter, StoreError> {
        SharedWriter::open_in(
            self.surroundings(),
            connection,
            "demo",
            &self.identity,
            &Self::options(who),
        )
    }

    pub(super) fn writer(&self) -> SharedWriter {
        self.open(self.bucket.connect(), "apply").unwrap()
    }

    pub(super) fn reader(&self) -> SharedReader {
        let store = self.bucket.connect();
        SharedReader::open_with(Duration::ZERO, store, "demo", Some(&self.identity))
    }

    pub(super) fn read(&self) -> Result<Option<Snapshot>, StoreError> {
        Ok(self.reader().read()?.snapshot)
    }

    /// Waits until a lock that nobody holds any more is free.
    pub(super) fn outlive(&self) {
        self.bucket.advance(LeaseTimes::STANDARD.takeover);
    }
}

pub(super) fn append_all(
    writer: &mut SharedWriter,
    batches: &[Vec<JournalEntry>],
) -> Result<(), kplan_model::JournalError> {
    batches.iter().try_for_each(|batch| writer.append(batch))
}
