//! How pods reach an object store.

use std::fmt;

use bytes::Bytes;

/// A bucket and the key that opens it, as a backup location names them.
#[derive(Clone)]
pub struct BucketKey {
    /// Name of the bucket.
    pub bucket: String,
    /// Region, for endpoints whose name does not say it.
    pub region: String,
    /// URL of the store.
    pub endpoint: String,
    /// The key's id.
    pub access_key: String,
    /// The key.
    pub secret_key: String,
}

/// Without the secret.
impl fmt::Debug for BucketKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("BucketKey")
            .field("bucket", &self.bucket)
            .field("region", &self.region)
            .field("endpoint", &self.endpoint)
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
}

/// An object store. Every operation is judged as the signed request would be; errors are what the
/// store says.
pub trait BucketAccess: Send + Sync {
    /// Every key that begins so, in order.
    fn list(&self, at: &BucketKey, prefix: &str) -> Result<Vec<String>, String>;

    /// An object's bytes; `None` when there is no such key.
    fn get(&self, at: &BucketKey, key: &str) -> Result<Option<Bytes>, String>;

    /// Writes an object.
    fn put(&self, at: &BucketKey, key: &str, bytes: Vec<u8>) -> Result<(), String>;

    /// Deletes an object; one that is not there counts as deleted.
    fn delete(&self, at: &BucketKey, key: &str) -> Result<(), String>;
}
