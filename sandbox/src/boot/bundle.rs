//! A node's bundle: signature, header, and the files it may install.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Component, Path};

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::start;
use super::user_data::NodeIdentity;

/// Where a bundle may put files; everything else refuses the whole bundle.
const ALLOWED: [&str; 3] = [
    "etc/rancher/k3s/",
    "var/lib/rancher/k3s/server/tls/",
    "etc/kplan/",
];
/// The one file outside those folders.
const ALLOWED_FILE: &str = "etc/systemd/system/k3s.service";
/// The login of the datastore's administrator, for the moment the node needs it.
pub(super) const DATASTORE_ADMIN: &str = "etc/kplan/datastore-admin.env";
/// The snapshot of etcd that a server begins from, until it did.
pub(super) const ETCD_RESTORE: &str = "etc/kplan/etcd-restore.env";
/// Object identifier of Ed25519.
const ED25519_OID: &str = "1.3.101.112";
/// Largest bundle: CA files and a configuration are a few dozen KiB.
const MAX_BYTES: usize = 1024 * 1024;

/// An installed file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct File {
    pub mode: u32,
    pub content: String,
}

/// Files by absolute path without the leading slash.
pub(super) type Files = BTreeMap<String, File>;

/// Why a bundle is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum BundleError {
    #[error("bundle.pub is not the PEM of an Ed25519 public key")]
    PublicKey,
    #[error("the bundle is larger than {MAX_BYTES} bytes")]
    Size,
    #[error("the first line is not the Base64 of a 64-byte signature")]
    Signature,
    #[error(
        "the signature does not match: the bundle was not signed with this cluster's key, or was changed"
    )]
    Forged,
    #[error("the payload is not an archive: {0}")]
    Archive(String),
    #[error("the first member is not the header")]
    NoHeader,
    #[error("the header says {field}={found}, but this node is {field}={expected}")]
    Header {
        field: &'static str,
        found: String,
        expected: String,
    },
    #[error("the member {0:?} is not a regular file under a path a bundle may write")]
    Path(String),
    #[error("the member {0:?} has mode {1:o}; the keys and configuration of a node are 0600")]
    Mode(String, u32),
}

/// Checks a bundle for this node and returns its files.
pub(super) fn open(
    bytes: &[u8],
    node: &NodeIdentity,
    droplet_id: u64,
) -> Result<Files, BundleError> {
    if bytes.len() > MAX_BYTES {
        return Err(BundleError::Size);
    }
    let payload = verified(bytes, &node.bundle_key)?;
    let mut archive = tar::Archive::new(payload);
    let entries = archive.entries().map_err(archive_error)?;
    let (mut files, mut headed) = (Files::new(), false);
    for entry in entries {
        let mut entry = entry.map_err(archive_error)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let regular = entry.header().entry_type() == tar::EntryType::Regular;
        let mode = entry.header().mode().map_err(archive_error)?;
        let mut content = String::new();
        entry.read_to_string(&mut content).map_err(archive_error)?;
        if !headed {
            if name != "header" || !regular {
                return Err(BundleError::NoHeader);
            }
            check_header(&content, node, droplet_id)?;
            headed = true;
            continue;
        }
        let path = installed_path(&name)
            .filter(|_| regular)
            .ok_or_else(|| BundleError::Path(name.clone()))?;
        if is_secret(path) && mode & 0o077 != 0 {
            return Err(BundleError::Mode(name, mode));
        }
        files.insert(
            path.to_owned(),
            File {
                mode: mode & 0o7777,
                content,
            },
        );
    }
    if headed {
        Ok(files)
    } else {
        Err(BundleError::NoHeader)
    }
}

fn archive_error(error: std::io::Error) -> BundleError {
    BundleError::Archive(error.to_string())
}

fn verified<'a>(bytes: &'a [u8], key_pem: &str) -> Result<&'a [u8], BundleError> {
    let key = public_key(key_pem).ok_or(BundleError::PublicKey)?;
    let end = bytes
        .iter()
        .position(|byte| *byte == b'\n')
        .ok_or(BundleError::Signature)?;
    let (line, payload) = (&bytes[..end], &bytes[end + 1..]);
    let signature = STANDARD
        .decode(line)
        .ok()
        .filter(|signature| signature.len() == 64);
    let signature = signature.ok_or(BundleError::Signature)?;
    let key = UnparsedPublicKey::new(&ED25519, key);
    key.verify(payload, &signature)
        .map_err(|_unspecified| BundleError::Forged)?;
    Ok(payload)
}

/// The raw key inside a `SubjectPublicKeyInfo` in PEM.
fn public_key(pem: &str) -> Option<Vec<u8>> {
    let pem = Pem::iter_from_buffer(pem.as_bytes()).next()?.ok()?;
    let (_, info) = SubjectPublicKeyInfo::from_der(&pem.contents).ok()?;
    (pem.label == "PUBLIC KEY" && info.algorithm.algorithm.to_id_string() == ED25519_OID)
        .then(|| info.subject_public_key.data.to_vec())
}

fn check_header(text: &str, node: &NodeIdentity, droplet_id: u64) -> Result<(), BundleError> {
    let values: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect();
    let expected = [
        ("format", "1".to_owned()),
        ("cluster", node.cluster.clone()),
        ("node", node.node.clone()),
        ("droplet_id", droplet_id.to_string()),
        ("role", node.role.as_str().to_owned()),
    ];
    for (field, expected) in expected {
        let found = values.get(field).copied().unwrap_or("(nothing)");
        if found != expected {
            return Err(BundleError::Header {
                field,
                found: found.to_owned(),
                expected,
            });
        }
    }
    Ok(())
}

/// The path a member is installed at, if a bundle may write there.
fn installed_path(name: &str) -> Option<&str> {
    let path = name.strip_prefix("files/")?;
    let plain = Path::new(path)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let exact = !path.contains("//") && !path.contains("/./") && !path.ends_with('/');
    let below = ALLOWED.iter().any(|folder| path.starts_with(folder));
    (plain && exact && (below || path == ALLOWED_FILE)).then_some(path)
}

fn is_secret(path: &str) -> bool {
    let key = Path::new(path)
        .extension()
        .is_some_and(|extension| extension == "key");
    let secret = ["etc/rancher/k3s/config.yaml", DATASTORE_ADMIN, ETCD_RESTORE];
    key || secret.contains(&path) || [start::OLD, start::NEW, start::CHOSEN].contains(&path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_agreed_paths_are_written() {
        for good in [
            "files/etc/rancher/k3s/config.yaml",
            "files/var/lib/rancher/k3s/server/tls/etcd/peer-ca.crt",
            "files/etc/systemd/system/k3s.service",
        ] {
            assert!(installed_path(good).is_some(), "{good}");
        }
        for bad in [
            "etc/rancher/k3s/config.yaml",
            "files/etc/passwd",
            "files/etc/rancher/k3s/../../passwd",
            "files//etc/kplan/x",
            "files/etc/kplan/",
            "files/etc/systemd/system/k3s.service.d/x",
            "files/root/.ssh/authorized_keys",
        ] {
            assert!(installed_path(bad).is_none(), "{bad}");
        }
    }
}
