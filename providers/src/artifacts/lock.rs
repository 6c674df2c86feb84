//! `kplan.lock`: the digests of what was used, so that the next run uses the same bytes; and the
//! keys that recovery kits are signed with, so that a restore takes no other.

use super::ArtifactRef;
use kplan_model::{ErrorKind, ProviderError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The format this kplan writes.
const FORMAT: u32 = 1;
const HEAD: &str = "# Written by kplan: the digests of upstream artifacts, and the keys that recovery kits are \
                    signed with. Commit it.\n\n";

/// One line of the lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedArtifact {
    /// The component.
    pub component: String,
    /// Its version.
    pub version: String,
    /// The file's name.
    pub file: String,
    /// Where the bytes came from.
    pub url: String,
    /// SHA-256 of the bytes, hexadecimal.
    pub sha256: String,
    /// The chart repository whose index named the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    format: u32,
    /// By cluster: the public half of the key that signs its recovery kits.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    kit_keys: BTreeMap<String, String>,
    #[serde(default, rename = "artifact")]
    artifacts: Vec<LockedArtifact>,
}

type Key = (String, String, String);

/// The whole lock; artifacts are ordered by component, version and file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    artifacts: BTreeMap<Key, LockedArtifact>,
    kit_keys: BTreeMap<String, String>,
}

fn key(component: &str, version: &str, file: &str) -> Key {
    (component.to_owned(), version.to_owned(), file.to_owned())
}

fn refused(message: String) -> ProviderError {
    ProviderError::new(ErrorKind::Invalid, message)
        .help("restore kplan.lock from version control, or delete it and run `kplan lock`")
}

impl Lock {
    /// Reads a lock. Fails on anything it does not understand: a digest must not be overlooked.
    pub fn parse(text: &str) -> Result<Self, ProviderError> {
        let wire: Wire = toml::from_str(text)
            .map_err(|error| refused(format!("kplan.lock cannot be read: {error}")))?;
        if wire.format != FORMAT {
            return Err(refused(format!(
                "kplan.lock has format {}; this kplan reads format {FORMAT}",
                wire.format
            )));
        }
        let mut lock = Self {
            kit_keys: wire.kit_keys,
            ..Self::default()
        };
        for one in wire.artifacts {
            let valid = one.sha256.len() == 64 && one.sha256.bytes().all(|b| b.is_ascii_hexdigit());
            if !valid {
                return Err(refused(format!(
                    "kplan.lock: `{}` is not a SHA-256",
                    one.sha256
                )));
            }
            let key = key(&one.component, &one.version, &one.file);
            if lock.artifacts.insert(key, one.clone()).is_some() {
                return Err(refused(format!(
                    "kplan.lock has {} {} {} twice",
                    one.component, one.version, one.file
                )));
            }
        }
        Ok(lock)
    }

    /// The lock as text. Same lock, same text.
    pub fn render(&self) -> Result<String, ProviderError> {
        let wire = Wire {
            format: FORMAT,
            kit_keys: self.kit_keys.clone(),
            artifacts: self.artifacts.values().cloned().collect(),
        };
        toml::to_string(&wire)
            .map(|text| format!("{HEAD}{text}"))
            .map_err(|error| {
                ProviderError::new(
                    ErrorKind::Bug,
                    format!("kplan.lock cannot be written: {error}"),
                )
            })
    }

    /// The recorded digest of one file.
    pub fn digest(&self, component: &str, version: &str, file: &str) -> Option<&str> {
        self.artifacts
            .get(&key(component, version, file))
            .map(|one| one.sha256.as_str())
    }

    /// What is recorded of one file.
    pub fn get(&self, component: &str, version: &str, file: &str) -> Option<&LockedArtifact> {
        self.artifacts.get(&key(component, version, file))
    }

    /// Records which repository's index named an artifact that is recorded.
    pub fn came_from(&mut self, artifact: &ArtifactRef, repo: &str) {
        let key = key(&artifact.component, &artifact.version, &artifact.file);
        if let Some(locked) = self.artifacts.get_mut(&key) {
            locked.repo = Some(repo.to_owned());
        }
    }

    /// Records a digest that was computed from bytes.
    pub fn record(&mut self, artifact: &ArtifactRef, sha256: String) {
        let locked = LockedArtifact {
            repo: None,
            component: artifact.component.clone(),
            version: artifact.version.clone(),
            file: artifact.file.clone(),
            url: artifact.url.clone(),
            sha256,
        };
        self.artifacts.insert(
            key(&locked.component, &locked.version, &locked.file),
            locked,
        );
    }

    /// The public half of the key that signs a cluster's recovery kits, in base64.
    pub fn kit_key(&self, cluster: &str) -> Option<&str> {
        self.kit_keys.get(cluster).map(String::as_str)
    }

    /// Records it. Says whether that changed anything.
    pub fn trust(&mut self, cluster: &str, public_key: &str) -> bool {
        let before = self
            .kit_keys
            .insert(cluster.to_owned(), public_key.to_owned());
        before.as_deref() != Some(public_key)
    }

    /// The artifacts that are recorded, in order.
    pub fn iter(&self) -> impl Iterator<Item = &LockedArtifact> {
        self.artifacts.values()
    }

    /// Whether nothing is recorded.
    pub fn is_empty(&self) -> bool {
        self.artifacts.is_empty() && self.kit_keys.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact(file: &str) -> ArtifactRef {
        ArtifactRef {
            component: "argo-cd".to_owned(),
            version: "v3.4.7".to_owned(),
            file: file.to_owned(),
            url: format!("https://example.org/{file}"),
            sha256: None,
        }
    }

    #[test]
    fn a_lock_reads_what_it_writes_in_one_order() {
        let (mut one, mut other) = (Lock::default(), Lock::default());
        for file in ["b.yaml", "a.yaml"] {
            one.record(&artifact(file), "1".repeat(64));
        }
        for file in ["a.yaml", "b.yaml"] {
            other.record(&artifact(file), "1".repeat(64));
        }
        let text = one.render().unwrap();
        assert_eq!(text, other.render().unwrap());
        assert_eq!(Lock::parse(&text).unwrap(), one);
        assert_eq!(Lock::parse("format = 1").unwrap(), Lock::default());
    }

    #[test]
    fn what_it_does_not_understand_is_refused() {
        let line = "component='c'\nversion='v'\nfile='f'\nurl='u'\n";
        let good = format!("[[artifact]]\n{line}sha256='{}'\n", "a".repeat(64));
        assert!(Lock::parse(&format!("format = 1\n{good}")).is_ok());
        for bad in [
            String::new(),
            format!("format = 2\n{good}"),
            format!("format = 1\n{good}{good}"),
            format!("format = 1\n[[artifact]]\n{line}sha256='abc'\n"),
            format!("format = 1\nextra = true\n{good}"),
            format!("format = 1\n[[artifact]]\n{line}"),
        ] {
            assert!(Lock::parse(&bad).is_err(), "{bad}");
        }
    }
}
