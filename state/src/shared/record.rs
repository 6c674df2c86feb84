//! What the objects of a shared state hold: wire types, framed with their format, length and
//! checksum. Each holds a random nonce, so that no two writers ever write equal bytes under one
//! key: whoever finds its own bytes there knows that they are its own.

use crate::error::{code, error, error_help, newer_format};
use crate::keyring::hex;
use crate::local::Holder;
use crate::wire::batch::BatchWire;
use crate::wire::framed::{framed, unframed};
use crate::wire::snapshot::SnapshotWire;
use crate::wire::{FORMAT, WrongFormat, check};
use kplan_model::StoreError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One object of the log.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogWire {
    pub(super) lineage: String,
    pub(super) cluster: String,
    /// The number of the object, which its key says too.
    pub(super) number: u64,
    /// The lock of its writer.
    pub(super) lock: u64,
    nonce: String,
    pub(super) body: BodyWire,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum BodyWire {
    /// A run took the lock: earlier holders end here.
    Fence { holder: Holder },
    /// What one append made durable.
    Batch(BatchWire),
    /// The state is somewhere else from now on.
    Moved { to: String },
}

/// A checkpoint: the whole state up to a log object.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckpointWire {
    /// The highest lock whose fence the log has up to here.
    pub(super) lock: u64,
    /// The numbers of all fences up to here: they are never deleted.
    pub(super) fences: Vec<u64>,
    /// Every log object up to this number that is no fence was deleted.
    pub(super) swept: u64,
    /// Where the state went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) moved_to: Option<String>,
    pub(super) state: SnapshotWire,
}

/// A lock.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LockWire {
    pub(super) holder: Holder,
    /// After this many milliseconds without a sign of life others may take over. The holder's own
    /// setting counts, so that nobody with another one takes over too early.
    pub(super) takeover_millis: u64,
    nonce: String,
}

/// What the first line of each kind of object calls it.
const LOG: &str = "record";
const CHECKPOINT: &str = "checkpoint";
const LOCK: &str = "lock";
const MARK: &str = "mark";

/// Why an object cannot be read.
#[derive(Debug)]
pub(super) enum Unread {
    /// A newer kplan wrote it.
    Newer(u32),
    /// It is not what was written.
    Damaged(String),
}

impl LogWire {
    pub(super) fn new(
        state: (&str, &str),
        number: u64,
        lock: u64,
        body: BodyWire,
    ) -> Result<Self, StoreError> {
        let (lineage, cluster) = state;
        Ok(Self {
            lineage: lineage.to_owned(),
            cluster: cluster.to_owned(),
            number,
            lock,
            nonce: nonce()?,
            body,
        })
    }

    pub(super) fn bytes(&self) -> Result<Vec<u8>, StoreError> {
        written(LOG, self)
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Unread> {
        Ok(Self::parse_with_format(bytes)?.1)
    }

    /// The same, with the format it was written in.
    pub(super) fn parse_with_format(bytes: &[u8]) -> Result<(u32, Self), Unread> {
        parsed(LOG, bytes)
    }
}

impl CheckpointWire {
    pub(super) fn bytes(&self) -> Result<Vec<u8>, StoreError> {
        written(CHECKPOINT, self)
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Unread> {
        Ok(parsed(CHECKPOINT, bytes)?.1)
    }
}

impl LockWire {
    pub(super) fn new(holder: &Holder, takeover: Duration) -> Result<Self, StoreError> {
        Ok(Self {
            holder: holder.clone(),
            takeover_millis: u64::try_from(takeover.as_millis()).unwrap_or(u64::MAX),
            nonce: nonce()?,
        })
    }

    pub(super) fn bytes(&self) -> Result<Vec<u8>, StoreError> {
        written(LOCK, self)
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Unread> {
        Ok(parsed(LOCK, bytes)?.1)
    }
}

/// The bytes of an object that says something by being there.
pub(super) fn mark() -> Result<Vec<u8>, StoreError> {
    written(MARK, &nonce()?)
}

fn nonce() -> Result<String, StoreError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|cause| {
        error(
            code::IO,
            format!("the system gives no random bytes: {cause}"),
        )
    })?;
    Ok(hex(&bytes))
}

fn written(kind: &str, wire: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    let body = serde_json::to_vec(wire).map_err(|cause| {
        error(
            code::UNSTORABLE,
            format!("the state cannot be written as JSON: {cause}"),
        )
    })?;
    Ok(framed(kind, FORMAT, &body))
}

fn parsed<T: DeserializeOwned>(kind: &str, bytes: &[u8]) -> Result<(u32, T), Unread> {
    let (format, body) = unframed(kind, bytes).map_err(Unread::Damaged)?;
    check(format).map_err(|wrong| match wrong {
        WrongFormat::Newer(format) => Unread::Newer(format),
        WrongFormat::Never(_) => Unread::Damaged(wrong.words()),
    })?;
    let wire = serde_json::from_slice(body)
        .map_err(|cause| Unread::Damaged(format!("its body cannot be read: {cause}")))?;
    Ok((format, wire))
}

impl Unread {
    /// As an error about the object of that name.
    pub(super) fn at(self, object: &str) -> StoreError {
        match self {
            Self::Newer(format) => newer_format(object, format),
            Self::Damaged(what) => damaged(object, &what),
        }
    }
}

/// An object that is not what was written, or not there although others build on it.
pub(super) fn damaged(object: &str, what: &str) -> StoreError {
    error_help(
        code::DAMAGED,
        format!("{object} is damaged: {what}"),
        "put the object back from a copy or an older version of it, or run `kplan state repair`, \
         which says what it had to leave out; older states are in the history",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::OLDEST;

    #[test]
    fn every_changed_byte_of_an_object_is_noticed_and_a_newer_one_is_told_from_a_damaged_one() {
        let holder = Holder::current("kplan apply");
        let wire = LogWire::new(("l", "demo"), 7, 1, BodyWire::Fence { holder }).unwrap();
        let bytes = wire.bytes().unwrap();
        assert_eq!(LogWire::parse(&bytes).unwrap().number, 7);
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            assert!(LogWire::parse(&changed).is_err(), "byte {index}");
            assert!(LogWire::parse(&bytes[..index]).is_err(), "cut {index}");
        }
        let body = serde_json::to_vec(&wire).unwrap();
        assert!(LogWire::parse(&framed(LOG, OLDEST, &body)).is_ok());
        let newer = framed(LOG, FORMAT + 1, b"{}");
        assert!(matches!(LogWire::parse(&newer), Err(Unread::Newer(_))));
        assert!(CheckpointWire::parse(&bytes).is_err());
    }

    #[test]
    fn no_two_writers_write_equal_bytes() {
        let holder = Holder::current("kplan apply");
        let bytes = || {
            let body = BodyWire::Fence {
                holder: holder.clone(),
            };
            let wire = LogWire::new(("l", "demo"), 7, 1, body).unwrap();
            wire.bytes().unwrap()
        };
        assert_ne!(bytes(), bytes());
    }
}
