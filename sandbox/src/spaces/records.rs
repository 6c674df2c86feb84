//! What Spaces keeps on disk: one record per bucket, object version and multipart upload.

use std::collections::BTreeMap;

use jiff::Timestamp;
use s3s::dto::{BucketLifecycleConfiguration, CORSConfiguration};
use serde::{Deserialize, Serialize};

/// Collection of [`BucketRecord`], keyed by name.
pub(super) const BUCKETS: &str = "spaces/bucket";
/// Collection of [`VersionRecord`], keyed by bucket and sequence.
pub(super) const VERSIONS: &str = "spaces/version";
/// Collection of [`UploadRecord`], keyed by bucket and upload id.
pub(super) const UPLOADS: &str = "spaces/upload";
/// Names of deleted buckets, which cannot be used again for a while.
pub(super) const RETIRED: &str = "spaces/retired";

/// The canned ACL that lets anybody read.
pub(super) const PUBLIC_READ: &str = "public-read";
/// The canned ACL that lets only keys of the account in.
pub(super) const PRIVATE: &str = "private";

/// Whether overwritten objects are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Versioning {
    /// Never switched on: the answer of `GetBucketVersioning` has no status.
    #[default]
    Never,
    /// Every write makes a new version.
    Enabled,
    /// Old versions stay, new writes replace the version `null`.
    Suspended,
}

/// A bucket and its settings.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct BucketRecord {
    pub name: String,
    pub region: String,
    pub created: Timestamp,
    pub acl: String,
    pub versioning: Versioning,
    pub lifecycle: Option<BucketLifecycleConfiguration>,
    pub cors: Option<CORSConfiguration>,
    pub policy: Option<String>,
}

/// The type of an object whose writer did not say any.
pub(super) fn default_type() -> String {
    "binary/octet-stream".to_owned()
}

/// The headers an object is served with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ObjectHeaders {
    pub content_type: Option<String>,
    pub cache_control: Option<String>,
    pub content_disposition: Option<String>,
    pub content_encoding: Option<String>,
    pub content_language: Option<String>,
    /// An HTTP date.
    #[serde(default)]
    pub expires: Option<String>,
    pub metadata: BTreeMap<String, String>,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    pub acl: String,
}

/// The bytes of a version and how they are served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Content {
    pub blob: String,
    pub size: u64,
    pub etag: String,
    pub headers: ObjectHeaders,
}

/// One version of one key; without content it is a delete marker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct VersionRecord {
    pub bucket: String,
    pub key: String,
    /// Order of writing over the whole service; later is greater.
    pub sequence: u64,
    /// `null` when the bucket was not versioned at the time of writing.
    pub version_id: String,
    pub modified: Timestamp,
    pub content: Option<Content>,
}

impl VersionRecord {
    /// Key in [`VERSIONS`].
    pub(super) fn store_key(&self) -> String {
        format!("{}/{:016x}", self.bucket, self.sequence)
    }
}

/// One uploaded part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PartRecord {
    pub blob: String,
    pub size: u64,
    pub etag: String,
    pub modified: Timestamp,
}

/// A multipart upload that is neither completed nor aborted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UploadRecord {
    pub bucket: String,
    pub key: String,
    pub id: String,
    pub initiated: Timestamp,
    pub headers: ObjectHeaders,
    pub parts: BTreeMap<i32, PartRecord>,
}

impl UploadRecord {
    /// Key in [`UPLOADS`].
    pub(super) fn store_key(&self) -> String {
        format!("{}/{}", self.bucket, self.id)
    }
}
