//! Upstream artifacts: manifests and binaries, each with an address, a version and a digest;
//! fetched once, kept by content, checked before every use.

mod cache;
mod fetch;
mod lock;
mod version_set;

pub use fetch::{Fetcher, FetcherConfig, Mirror};
pub use lock::{Lock, LockedArtifact};
pub use version_set::{Known as KnownArtifact, VersionSet};

use bytes::Bytes;
use kplan_model::{BoxFuture, ProviderError};

kplan_model::object! {
    /// Names one artifact. Two of one component, version and file are the same bytes.
    pub struct ArtifactRef {
        /// The component, such as `argo-cd`.
        pub component: String,
        /// Its version.
        pub version: String,
        /// The file's name within the version.
        pub file: String,
        /// Where it comes from.
        pub url: String,
        /// SHA-256 of its bytes, hexadecimal; `None` while it is not pinned.
        pub sha256: Option<String>,
    }
}

impl ArtifactRef {
    /// `component/version/file`.
    pub fn path(&self) -> String {
        format!("{}/{}/{}", self.component, self.version, self.file)
    }
}

/// Where kinds get artifacts from. What it hands out has been checked against the digest, where
/// there is one.
pub trait ArtifactSource: Send + Sync + 'static {
    /// The bytes.
    fn bytes<'a>(
        &'a self,
        artifact: &'a ArtifactRef,
    ) -> BoxFuture<'a, Result<Bytes, ProviderError>>;

    /// SHA-256 of the bytes, computed from them where it is not pinned.
    fn digest<'a>(
        &'a self,
        artifact: &'a ArtifactRef,
    ) -> BoxFuture<'a, Result<String, ProviderError>>;
}
