//! The form of a backup in its bucket, as Velero 1.17 writes and reads it.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::filter::Kind;

/// The version of this layout, which the archive and `status.formatVersion` name.
pub(super) const FORMAT: &str = "1.1.0";

/// Most bytes a file of a backup may have unpacked: a damaged one must not fill the memory.
const MAX_UNPACKED: u64 = 512 * 1024 * 1024;

/// Folders a location may have at its top; any other makes Velero refuse the bucket.
pub(super) const FOLDERS: [&str; 6] = [
    "backups", "restores", "restic", "metadata", "plugins", "kopia",
];

/// The key of a backup's description.
pub(super) fn description(backup: &str) -> String {
    format!("backups/{backup}/velero-backup.json")
}

/// The key of one of a backup's files, such as `-logs.gz`.
pub(super) fn file(backup: &str, suffix: &str) -> String {
    format!("backups/{backup}/{backup}{suffix}")
}

/// Bytes, compressed.
pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing into memory does not fail.
    drop(encoder.write_all(bytes));
    encoder.finish().unwrap_or_default()
}

/// JSON, compressed.
pub(super) fn gzip_json(value: &Value) -> Vec<u8> {
    gzip(value.to_string().as_bytes())
}

/// What was compressed.
///
/// # Errors
/// When the bytes are not gzip's, are cut off, damaged, or too large unpacked.
pub(super) fn gunzip(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut decoder = GzDecoder::new(bytes).take(MAX_UNPACKED);
    let read = decoder.read_to_end(&mut out);
    read.map_err(|error| format!("gzip: {error}"))?;
    if out.len() as u64 == MAX_UNPACKED {
        return Err(format!("gzip: more than {MAX_UNPACKED} bytes"));
    }
    Ok(out)
}

/// An object of a backup with its kind.
pub(super) struct Item {
    pub(super) kind: Kind,
    pub(super) object: super::Object,
}

impl Item {
    /// `namespace/name`, or the name of what belongs to the whole cluster.
    pub(super) fn path(&self) -> String {
        let name = super::object::name(&self.object);
        match super::object::namespace(&self.object) {
            "" => name.to_owned(),
            namespace => format!("{namespace}/{name}"),
        }
    }
}

/// The archive of a backup's objects.
///
/// # Errors
/// When a path does not fit into an archive.
pub(super) fn pack(items: &[Item]) -> Result<Vec<u8>, String> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |path: String, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        archive
            .append_data(&mut header, &path, content)
            .map_err(|error| format!("error writing {path}: {error}"))
    };
    add("metadata/version".to_owned(), FORMAT.as_bytes())?;
    for item in items {
        let folder = item.kind.qualified();
        let name = super::object::name(&item.object);
        let path = match super::object::namespace(&item.object) {
            "" => format!("resources/{folder}/cluster/{name}.json"),
            namespace => format!("resources/{folder}/namespaces/{namespace}/{name}.json"),
        };
        add(path, item.object.to_string().as_bytes())?;
    }
    let bytes = archive
        .into_inner()
        .map_err(|error| format!("error closing the archive: {error}"))?;
    Ok(gzip(&bytes))
}

/// Objects of an archive by `plural.group`, each with its namespace (empty: of the whole cluster).
pub(super) type Archive = BTreeMap<String, Vec<(String, Value)>>;

/// Reads an archive.
///
/// # Errors
/// When it is damaged, or is not an archive of a backup.
pub(super) fn unpack(bytes: &[u8]) -> Result<Archive, String> {
    let bytes = gunzip(bytes)?;
    let mut archive = tar::Archive::new(bytes.as_slice());
    let entries = archive
        .entries()
        .map_err(|error| format!("error reading tar: {error}"))?;
    let (mut found, mut version) = (Archive::new(), None);
    for entry in entries {
        let mut entry = entry.map_err(|error| format!("error reading tar: {error}"))?;
        let path = entry
            .path()
            .map_err(|error| format!("error reading tar: {error}"))?
            .to_string_lossy()
            .into_owned();
        let mut content = String::new();
        entry
            .read_to_string(&mut content)
            .map_err(|error| format!("error reading {path}: {error}"))?;
        if path == "metadata/version" {
            version = Some(content);
            continue;
        }
        let parts: Vec<&str> = path.split('/').collect();
        let (folder, namespace) = match parts[..] {
            ["resources", folder, "cluster", _] => (folder, ""),
            ["resources", folder, "namespaces", namespace, _] => (folder, namespace),
            _ => continue,
        };
        let object = serde_json::from_str(&content)
            .map_err(|error| format!("error decoding {path}: {error}"))?;
        let of_kind = found.entry(folder.to_owned()).or_default();
        of_kind.push((namespace.to_owned(), object));
    }
    match version.as_deref().map(str::trim) {
        Some("1" | FORMAT) => Ok(found),
        Some(other) => Err(format!("unsupported backup format version {other:?}")),
        None => Err("the archive has no metadata/version".to_owned()),
    }
}

/// What a backup holds: names by `group/version/Kind`.
pub(super) fn resource_list(items: &[Item]) -> Value {
    let mut list: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for item in items {
        let text = |key: &str| item.object[key].as_str().unwrap_or_default();
        let kind = format!("{}/{}", text("apiVersion"), text("kind"));
        list.entry(kind).or_default().push(item.path());
    }
    for names in list.values_mut() {
        names.sort();
    }
    json!(list)
}

/// Messages by where they belong.
#[derive(Debug, Default)]
pub(super) struct Messages {
    velero: Vec<String>,
    cluster: Vec<String>,
    namespaces: BTreeMap<String, Vec<String>>,
}

impl Messages {
    /// About the whole operation.
    pub(super) fn velero(&mut self, text: impl Into<String>) {
        self.velero.push(text.into());
    }

    /// About an object of a namespace, or of the whole cluster.
    pub(super) fn add(&mut self, namespace: &str, text: impl Into<String>) {
        if namespace.is_empty() {
            self.cluster.push(text.into());
        } else {
            let messages = self.namespaces.entry(namespace.to_owned()).or_default();
            messages.push(text.into());
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.velero.len()
            + self.cluster.len()
            + self.namespaces.values().map(Vec::len).sum::<usize>()
    }

    /// As the results files have them.
    pub(super) fn json(&self) -> Value {
        let mut out = json!({});
        for (key, list) in [("velero", &self.velero), ("cluster", &self.cluster)] {
            if !list.is_empty() {
                out[key] = json!(list);
            }
        }
        if !self.namespaces.is_empty() {
            out["namespaces"] = json!(self.namespaces);
        }
        out
    }

    /// One line each, for the log.
    pub(super) fn lines(&self, level: &str) -> Vec<String> {
        let all = self.velero.iter().chain(&self.cluster);
        all.chain(self.namespaces.values().flatten())
            .map(|text| format!("level={level} msg={text:?}"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_come_back_and_damaged_ones_do_not() {
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop"}});
        let items = [Item {
            kind: Kind::new("deployments", "apps"),
            object: object.clone().into(),
        }];
        let bytes = pack(&items).unwrap();
        let archive = unpack(&bytes).unwrap();
        assert_eq!(
            archive["deployments.apps"],
            [("shop".to_owned(), object.clone())]
        );
        assert_eq!(
            resource_list(&items),
            json!({"apps/v1/Deployment": ["shop/web"]})
        );
        assert!(unpack(&bytes[..bytes.len() / 2]).is_err());
        assert!(unpack(b"nonsense").is_err());
        assert!(unpack(&gzip(&[0; 1024])).is_err());
    }
}
