//! `ObjectStore`: the port to a store of objects that several machines share, such as an
//! S3-compatible bucket. What is built on it rests on one promise: an object is created by exactly
//! one of those who try.

use crate::error::ProviderError;
use crate::time::Timestamp;

/// What came of a create.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// The object is new, and these are its bytes.
    Created,
    /// There was an object of that key already; it is as it was.
    Exists,
}

/// One object of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// When it was written, by the store's own clock.
    pub modified: Timestamp,
}

/// What a list found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The objects, in the order of their keys; all of them.
    pub objects: Vec<Listed>,
    /// The store's own time when it answered. Ages are differences of two times of one clock:
    /// what the clocks of machines say never matters.
    pub now: Timestamp,
}

/// Objects under one root that several machines share. Synchronous, as the journal is: a call
/// blocks until it is answered or given up, which it is within a bounded time. Usable from several
/// threads at once, and none waits for another's call.
///
/// # Errors
/// Every method: `Denied` when the keys may not do this, `NotFound` when the root itself (the
/// bucket) is not there, `Throttled`, `Busy` and `Transient` when nothing was done and trying again
/// may help, `OutcomeUnknown` when a change may or may not have been done, and others for what
/// will not change by trying again. A missing object is no error.
pub trait ObjectStore: Send + Sync {
    /// Where the root is, for messages, such as `s3://bucket/prefix`.
    fn name(&self) -> String;

    /// Writes an object that must not be there yet.
    fn put_new(&self, key: &str, bytes: &[u8]) -> Result<Put, ProviderError>;

    /// The bytes of an object; `None` when it is not there.
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, ProviderError>;

    /// The bytes of several objects, in the order asked for.
    fn get_all(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, ProviderError> {
        keys.iter().map(|key| self.get(key)).collect()
    }

    /// Every object whose key begins with `prefix` and, where `after` is given, comes behind that
    /// key in the order of bytes.
    fn list(&self, prefix: &str, after: Option<&str>) -> Result<Listing, ProviderError>;

    /// Deletes objects; those that are gone already are fine.
    fn delete(&self, keys: &[String]) -> Result<(), ProviderError>;
}
