//! Upstream artifacts: manifests and binaries, each with an address, a version and a digest;
//! fetched once, kept by content, checked before every use.

mod cache;
mod chart;
mod fetch;
mod lock;
mod version_set;

pub use fetch::{Fetcher, FetcherConfig, Mirror};
pub use lock::{Lock, LockedArtifact};
pub use version_set::{Known as KnownArtifact, VersionSet};

use bytes::Bytes;
use kplan_model::{BoxFuture, ErrorKind, ProviderError};
use std::collections::BTreeMap;

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

kplan_model::object! {
    /// What decides about an artifact that kplan applies: an address says nothing where the bytes
    /// are pinned, and changes with every mirror.
    pub struct ArtifactPin {
        /// The component, such as `argo-cd`.
        pub component: String,
        /// Its version.
        pub version: String,
        /// The file's name within the version.
        pub file: String,
        /// SHA-256 of its bytes, hexadecimal; `None` while it is not pinned.
        pub sha256: Option<String>,
        /// Where it comes from, while it is not pinned.
        pub url: Option<String>,
    }
}

/// Where artifacts come from, by [`ArtifactRef::path`].
pub type Sources = BTreeMap<String, String>;

/// Takes artifacts apart: what decides about them, and where they come from.
pub fn pinned(artifacts: Vec<ArtifactRef>) -> (Vec<ArtifactPin>, Sources) {
    let sources = artifacts
        .iter()
        .map(|artifact| (artifact.path(), artifact.url.clone()))
        .collect();
    let pin = |artifact: ArtifactRef| ArtifactPin {
        url: artifact.sha256.is_none().then_some(artifact.url),
        component: artifact.component,
        version: artifact.version,
        file: artifact.file,
        sha256: artifact.sha256,
    };
    (artifacts.into_iter().map(pin).collect(), sources)
}

impl ArtifactPin {
    /// The artifact with its address. `Bug` when `sources` names none.
    pub fn located(&self, sources: Option<&Sources>) -> Result<ArtifactRef, ProviderError> {
        let mut artifact = ArtifactRef {
            component: self.component.clone(),
            version: self.version.clone(),
            file: self.file.clone(),
            url: String::new(),
            sha256: self.sha256.clone(),
        };
        let listed = sources.and_then(|sources| sources.get(&artifact.path()));
        artifact.url = listed.or(self.url.as_ref()).cloned().ok_or_else(|| {
            let message = format!("nothing says where {} comes from", artifact.path());
            ProviderError::new(ErrorKind::Bug, message)
        })?;
        Ok(artifact)
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

#[cfg(test)]
mod tests {
    use super::*;
    use kplan_model::codec::Codec as _;

    fn artifact(url: &str, sha256: Option<&str>) -> ArtifactRef {
        ArtifactRef {
            component: "velero".to_owned(),
            version: "v1.17.2".to_owned(),
            file: "crds.yaml".to_owned(),
            url: url.to_owned(),
            sha256: sha256.map(str::to_owned),
        }
    }

    #[test]
    fn a_pinned_artifact_is_the_same_wherever_it_comes_from() {
        let plain = |url, sha256| pinned(vec![artifact(url, sha256)]).0.encode();
        let (one, other) = (
            "http://127.0.0.1:1/crds.yaml",
            "http://127.0.0.1:2/crds.yaml",
        );
        assert_eq!(plain(one, Some("ab")), plain(other, Some("ab")));
        assert_ne!(plain(one, Some("ab")), plain(one, Some("cd")));
        // What is not pinned is only known by its address.
        assert_ne!(plain(one, None), plain(other, None));
    }

    #[test]
    fn an_artifact_is_put_together_again() {
        for sha256 in [Some("ab"), None] {
            let whole = artifact("https://example.org/crds.yaml", sha256);
            let (pins, sources) = pinned(vec![whole.clone()]);
            assert_eq!(pins[0].located(Some(&sources)), Ok(whole));
            assert_eq!(pins[0].located(None).is_ok(), sha256.is_none());
        }
    }
}
