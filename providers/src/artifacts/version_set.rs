//! The version set: which upstream artifacts this kplan was tested with, and their digests.

use super::ArtifactRef;
use super::lock::Lock;
use kplan_model::{ErrorKind, ProviderError};
use serde::Deserialize;

const EMBEDDED: &str = include_str!("version-set.toml");

/// One artifact of a version set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// The component, such as `argo-cd`.
    pub component: String,
    /// Its version.
    pub version: String,
    /// The file's name.
    pub file: String,
    /// Where it comes from.
    pub url: String,
    /// SHA-256 of its bytes, hexadecimal, where bytes were at hand.
    pub sha256: Option<String>,
}

/// A dated set of artifacts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VersionSet {
    /// Its date, or `sandbox`.
    pub name: String,
    /// What is in it; the first version of a component is its default.
    #[serde(rename = "artifact")]
    pub artifacts: Vec<Known>,
}

/// The sandbox's own form.
#[derive(Deserialize)]
struct Served {
    name: String,
    artifacts: Vec<ServedArtifact>,
}

#[derive(Deserialize)]
struct ServedArtifact {
    component: String,
    version: String,
    file: String,
    url_path: String,
    sha256: String,
}

fn refused(message: String) -> ProviderError {
    ProviderError::new(ErrorKind::Invalid, message)
}

impl VersionSet {
    /// The set inside this kplan.
    pub fn embedded() -> Result<Self, ProviderError> {
        toml::from_str(EMBEDDED).map_err(|error| {
            ProviderError::new(ErrorKind::Bug, format!("the embedded version set: {error}"))
        })
    }

    /// The set a mirror serves at `/version-set.json`; `base` is the mirror's own address.
    pub fn served(json: &[u8], base: &str) -> Result<Self, ProviderError> {
        let served: Served = serde_json::from_slice(json).map_err(|error| {
            refused(format!("the mirror's version set cannot be read: {error}"))
        })?;
        let base = base.trim_end_matches('/');
        Ok(Self {
            name: served.name,
            artifacts: served
                .artifacts
                .into_iter()
                .map(|one| Known {
                    url: format!("{base}{}", one.url_path),
                    component: one.component,
                    version: one.version,
                    file: one.file,
                    sha256: Some(one.sha256),
                })
                .collect(),
        })
    }

    /// The component's default version.
    pub fn default_version(&self, component: &str) -> Option<&str> {
        self.of(component)
            .map(|known| known.version.as_str())
            .next()
    }

    /// The component's versions, the default first.
    pub fn versions(&self, component: &str) -> Vec<&str> {
        let mut versions = Vec::new();
        for known in self.of(component) {
            if !versions.contains(&known.version.as_str()) {
                versions.push(known.version.as_str());
            }
        }
        versions
    }

    fn of<'a, 'b>(&'a self, component: &'b str) -> impl Iterator<Item = &'a Known> + use<'a, 'b> {
        self.artifacts
            .iter()
            .filter(move |known| known.component == component)
    }

    /// Every file of one version of a component, with the digests of the set and of the lock.
    ///
    /// A version the set does not have takes the addresses of the default version with the version
    /// exchanged, and is unpinned until the lock has it. Fails when the set knows no such
    /// component, or when set and lock have different digests for one file.
    pub fn resolve(
        &self,
        lock: &Lock,
        component: &str,
        version: &str,
    ) -> Result<Vec<ArtifactRef>, ProviderError> {
        let default = self
            .default_version(component)
            .ok_or_else(|| refused(format!("the version set {} has no {component}", self.name)))?;
        let listed = self.of(component).any(|known| known.version == version);
        let from = if listed { version } else { default };
        self.of(component)
            .filter(|known| known.version == from)
            .map(|known| {
                let known = if listed {
                    known.clone()
                } else {
                    known.moved(version)
                };
                known.pinned(lock)
            })
            .collect()
    }
}

fn in_address(version: &str) -> String {
    version.replace('+', "%2B")
}

impl Known {
    /// The same file of another version.
    fn moved(&self, version: &str) -> Self {
        let exchange = |text: &str| text.replace(&in_address(&self.version), &in_address(version));
        Self {
            component: self.component.clone(),
            version: version.to_owned(),
            file: exchange(&self.file),
            url: exchange(&self.url),
            sha256: None,
        }
    }

    fn pinned(self, lock: &Lock) -> Result<ArtifactRef, ProviderError> {
        let locked = lock.digest(&self.component, &self.version, &self.file);
        if let (Some(ours), Some(theirs)) = (&self.sha256, locked)
            && ours != theirs
        {
            return Err(refused(format!(
                "kplan.lock and the version set disagree about {} {} {}: {theirs} in the lock, \
                 {ours} in the set",
                self.component, self.version, self.file
            ))
            .help("one of the two was changed: find out which before applying anything"));
        }
        let sha256 = self.sha256.or_else(|| locked.map(str::to_owned));
        Ok(ArtifactRef {
            component: self.component,
            version: self.version,
            file: self.file,
            url: self.url,
            sha256,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_embedded_set_is_sound() {
        let set = VersionSet::embedded().unwrap();
        let mut seen = BTreeSet::new();
        for known in &set.artifacts {
            assert!(
                seen.insert((&known.component, &known.version, &known.file)),
                "{known:?}"
            );
            assert!(known.url.starts_with("https://"), "{known:?}");
            if let Some(digest) = &known.sha256 {
                assert!(digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()));
            }
        }
        // What nobody here had the bytes of: taken as it comes until `kplan lock`, see the table of traps, row 8.
        let unpinned = set.artifacts.iter().filter(|known| known.sha256.is_none());
        let unpinned: BTreeSet<&str> = unpinned.map(|known| known.component.as_str()).collect();
        assert_eq!(unpinned, BTreeSet::from(["k3s", "sealed-secrets"]));
        assert_eq!(set.default_version("k3s"), Some("v1.35.6+k3s1"));
        let velero = set.resolve(&Lock::default(), "velero", "v1.17.2").unwrap();
        assert_eq!(velero.len(), 13);
        assert!(velero.iter().all(|artifact| artifact.sha256.is_some()));
    }

    #[test]
    fn another_version_is_unpinned_until_the_lock_has_it() {
        let set = VersionSet::embedded().unwrap();
        let other = set
            .resolve(&Lock::default(), "k3s", "v1.35.5+k3s1")
            .unwrap();
        assert_eq!(
            other[0].url,
            "https://github.com/k3s-io/k3s/releases/download/v1.35.5%2Bk3s1/k3s"
        );
        assert_eq!(other[0].sha256, None);
        let ccm = set
            .resolve(&Lock::default(), "digitalocean-ccm", "v0.1.67")
            .unwrap();
        assert_eq!(ccm[0].file, "v0.1.67.yml");
        let mut lock = Lock::default();
        lock.record(&other[0], "ab".repeat(32));
        let again = set.resolve(&lock, "k3s", "v1.35.5+k3s1").unwrap();
        assert_eq!(again[0].sha256, Some("ab".repeat(32)));
        assert!(set.resolve(&lock, "helm", "v1").is_err());
    }

    #[test]
    fn a_lock_that_contradicts_the_set_stops_everything() {
        let set = VersionSet::embedded().unwrap();
        let artifact = &set.resolve(&Lock::default(), "argo-cd", "v3.4.7").unwrap()[0];
        let mut lock = Lock::default();
        lock.record(artifact, "0".repeat(64));
        let error = set.resolve(&lock, "argo-cd", "v3.4.7").unwrap_err();
        assert!(error.message.contains(&"0".repeat(64)), "{error}");
        assert!(
            error.message.contains(artifact.sha256.as_ref().unwrap()),
            "{error}"
        );
    }

    #[test]
    fn a_served_set_has_the_mirrors_addresses() {
        let json = br#"{"format_version":"1.0","name":"sandbox","artifacts":[{"component":"k3s",
            "version":"v1+k3s1","file":"k3s","url_path":"/artifacts/k3s/v1%2Bk3s1/k3s","sha256":"ab","bytes":3}]}"#;
        let set = VersionSet::served(json, "http://127.0.0.1:9/").unwrap();
        assert_eq!(set.name, "sandbox");
        assert_eq!(
            set.artifacts[0].url,
            "http://127.0.0.1:9/artifacts/k3s/v1%2Bk3s1/k3s"
        );
    }
}
