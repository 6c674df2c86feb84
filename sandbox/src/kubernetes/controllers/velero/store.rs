//! A backup location's bucket, opened with the location's credential.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::Value;

use super::layout::FOLDERS;
use super::{LOCATIONS, Pass};
use crate::kubernetes::object::{self, Object, flag, text};
use crate::kubernetes::{BucketAccess, BucketKey};

/// The bucket of a location. Keys are below the location's prefix; errors are the store's.
pub(super) struct Store {
    access: Arc<dyn BucketAccess>,
    at: BucketKey,
    prefix: String,
}

impl Store {
    /// Finds a location's credential. The bucket is not looked at yet.
    ///
    /// # Errors
    /// When the location names no bucket, or its credential cannot be read.
    pub(super) fn open(pass: &Pass<'_>, location: &Value) -> Result<Store, String> {
        let string = |path: &[&str]| text(location, path).unwrap_or_default();
        let (access_key, secret_key) = keys(pass, location)?;
        let bucket = string(&["spec", "objectStorage", "bucket"]);
        if bucket.is_empty() {
            return Err("spec.objectStorage.bucket is empty".to_owned());
        }
        let prefix = string(&["spec", "objectStorage", "prefix"]).trim_matches('/');
        Ok(Store {
            access: pass
                .bucket_access
                .clone()
                .ok_or("no object store answers in this sandbox")?,
            at: BucketKey {
                bucket: bucket.to_owned(),
                region: string(&["spec", "config", "region"]).to_owned(),
                endpoint: string(&["spec", "config", "s3Url"]).to_owned(),
                access_key,
                secret_key,
            },
            prefix: match prefix {
                "" => String::new(),
                prefix => format!("{prefix}/"),
            },
        })
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    pub(super) fn get(&self, key: &str) -> Result<Option<Bytes>, String> {
        self.access.get(&self.at, &self.key(key))
    }

    pub(super) fn put(&self, key: &str, bytes: Vec<u8>) -> Result<(), String> {
        let key = self.key(key);
        let put = self.access.put(&self.at, &key, bytes);
        put.map_err(|error| format!("error putting object {key}: {error}"))
    }

    pub(super) fn delete(&self, key: &str) -> Result<(), String> {
        self.access.delete(&self.at, &self.key(key))
    }

    /// Every key below a folder, without the prefix.
    pub(super) fn list(&self, folder: &str) -> Result<Vec<String>, String> {
        let keys = self.access.list(&self.at, &self.key(folder))?;
        let short = keys.iter().filter_map(|key| key.strip_prefix(&self.prefix));
        Ok(short.map(str::to_owned).collect())
    }

    /// The names of the folders in a folder.
    fn folders(&self, folder: &str) -> Result<BTreeSet<String>, String> {
        let keys = self.list(folder)?;
        let below = keys.iter().filter_map(|key| key.strip_prefix(folder));
        let folders = below.filter_map(|key| key.split_once('/'));
        Ok(folders.map(|(name, _)| name.to_owned()).collect())
    }

    /// The names of the folders that backups are in.
    pub(super) fn backups(&self) -> Result<BTreeSet<String>, String> {
        self.folders("backups/")
    }

    /// What Velero checks of a location: that the bucket can be listed, and holds nothing else.
    pub(super) fn check(&self) -> Result<(), String> {
        let folders = self.folders("")?;
        let strange: Vec<String> = folders
            .into_iter()
            .filter(|name| !FOLDERS.contains(&name.as_str()))
            .collect();
        match strange.len() {
            0 => Ok(()),
            1..=3 => Err(format!(
                "Backup store contains invalid top-level directories: [{}]",
                strange.join(" ")
            )),
            many => Err(format!(
                "Backup store contains {many} invalid top-level directories: [{} ...]",
                strange[..3].join(" ")
            )),
        }
    }
}

/// The location a backup names, or the default one.
pub(super) fn location_of(pass: &Pass<'_>, backup: &Value) -> Result<Object, String> {
    let namespace = object::namespace(backup);
    if let Some(name) = text(backup, &["spec", "storageLocation"]).filter(|name| !name.is_empty()) {
        return pass.get(LOCATIONS, namespace, name).ok_or_else(|| {
            format!("a BackupStorageLocation CRD with the name specified in the backup spec needs to be created before this backup can be executed. Error: BackupStorageLocation.velero.io \"{name}\" not found")
        });
    }
    let chosen = pass
        .in_namespace(LOCATIONS, namespace)
        .into_iter()
        .find(|location| flag(location, &["spec", "default"]));
    chosen
        .or_else(|| pass.get(LOCATIONS, namespace, "default"))
        .ok_or_else(|| {
            "an existing backup storage location wasn't specified at backup creation time and the default 'default' wasn't found. Please address this issue (see `velero backup-location -h` for options) and create a new backup. Error: BackupStorageLocation.velero.io \"default\" not found".to_owned()
        })
}

/// Whether a location was found to work.
pub(super) fn available(location: &Value) -> bool {
    text(location, &["status", "phase"]) == Some("Available")
}

/// Whether nothing may be written to a location.
pub(super) fn read_only(location: &Value) -> bool {
    text(location, &["spec", "accessMode"]) == Some("ReadOnly")
}

/// The two halves of a location's key.
fn keys(pass: &Pass<'_>, location: &Value) -> Result<(String, String), String> {
    let (name, key) = match text(location, &["spec", "credential", "name"]) {
        Some(name) => (
            name,
            text(location, &["spec", "credential", "key"]).unwrap_or("cloud"),
        ),
        None => ("cloud-credentials", "cloud"),
    };
    let secret = pass
        .get("/secrets", object::namespace(location), name)
        .ok_or_else(|| format!("unable to get credentials: secrets \"{name}\" not found"))?;
    let encoded = text(&secret, &["data", key]).ok_or_else(|| {
        format!("unable to get credentials: secret \"{name}\" has no key \"{key}\"")
    })?;
    let bytes = STANDARD
        .decode(encoded)
        .map_err(|error| format!("unable to get credentials: {error}"))?;
    let profile = text(location, &["spec", "config", "profile"]).unwrap_or("default");
    credentials(&String::from_utf8_lossy(&bytes), profile)
}

/// The two keys of a profile in an AWS credentials file.
fn credentials(file: &str, profile: &str) -> Result<(String, String), String> {
    let (mut section, mut access, mut secret) = (String::new(), None, None);
    for line in file.lines().map(str::trim) {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            name.trim().clone_into(&mut section);
        } else if section == profile
            && let Some((key, value)) = line.split_once('=')
        {
            match key.trim() {
                "aws_access_key_id" => access = Some(value.trim().to_owned()),
                "aws_secret_access_key" => secret = Some(value.trim().to_owned()),
                _ => {}
            }
        }
    }
    match (access, secret) {
        (Some(access), Some(secret)) if !access.is_empty() && !secret.is_empty() => {
            Ok((access, secret))
        }
        _ => Err(format!(
            "the credentials file has no aws_access_key_id and aws_secret_access_key in [{profile}]"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_come_from_the_profile() {
        let file = "[other]\naws_access_key_id=x\n[default]\naws_access_key_id = a\naws_secret_access_key=b=c\n";
        assert_eq!(
            credentials(file, "default"),
            Ok(("a".to_owned(), "b=c".to_owned()))
        );
        assert!(credentials(file, "other").is_err());
        assert!(credentials("", "default").is_err());
    }
}
