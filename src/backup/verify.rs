//! Whether a backup can be restored, as far as that shows without a cluster: its files are there and
//! whole, and hold what they say. (A release of Velero's plugin damaged such files on storage that is
//! not AWS's and called the backup complete: velero-io/velero issue 9951.)

use super::BACKUPS;
use flate2::read::GzDecoder;
use kplan_model::{ObjectStore, ProviderError};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read as _;

/// Bytes one file may have once it is unpacked.
const MAX_FILE: u64 = 2 * 1024 * 1024 * 1024;

/// What was found of one backup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Objects in the archive.
    pub objects: usize,
    /// By kind, such as `v1/ConfigMap`, from the list Velero wrote beside it.
    pub kinds: BTreeMap<String, usize>,
    /// Volumes whose contents are in the bucket.
    pub volumes: usize,
    /// What is not whole.
    pub problems: Vec<String>,
}

/// Reads everything there is of a backup.
///
/// # Errors
/// Those of the store; what is wrong with the backup is in the answer.
pub fn verify(objects: &dyn ObjectStore, name: &str) -> Result<Verified, ProviderError> {
    let mut found = Verified::default();
    let file = |suffix: &str| format!("{BACKUPS}{name}/{suffix}");
    let (meta, archive, list, volumes) = (
        file("velero-backup.json"),
        file(&format!("{name}.tar.gz")),
        file(&format!("{name}-resource-list.json.gz")),
        file(&format!("{name}-volumeinfo.json.gz")),
    );
    let keys = [meta, archive, list, volumes];
    let contents = objects.get_all(&keys)?;
    for (key, bytes) in keys.iter().zip(&contents) {
        if bytes.is_none() {
            found.problems.push(format!("{key} is not there"));
        }
    }
    let [meta, archive, list, volumes] = contents.try_into().unwrap_or_default();
    let meta: Value = meta
        .and_then(|bytes| read(&keys[0], serde_json::from_slice(&bytes), &mut found))
        .unwrap_or_default();
    phase(&meta, &mut found);
    if let Some(bytes) = archive {
        match count(&bytes) {
            Ok(objects) => found.objects = objects,
            Err(why) => found.problems.push(format!("{}: {why}", keys[1])),
        }
    }
    if let Some(list) = unpacked(&keys[2], list, &mut found) {
        listed(&list, &mut found);
    }
    if let Some(Value::Array(all)) = unpacked(&keys[3], volumes, &mut found) {
        let moved = |volume: &&Value| volume["backupMethod"].as_str() == Some("CSISnapshot");
        found.volumes = all.iter().filter(moved).count();
    }
    compare(&meta, &mut found);
    Ok(found)
}

fn read<T, E: std::fmt::Display>(
    key: &str,
    result: Result<T, E>,
    found: &mut Verified,
) -> Option<T> {
    result
        .map_err(|error| found.problems.push(format!("{key}: {error}")))
        .ok()
}

fn gunzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    GzDecoder::new(bytes)
        .take(MAX_FILE)
        .read_to_end(&mut plain)?;
    Ok(plain)
}

fn unpacked(key: &str, bytes: Option<Vec<u8>>, found: &mut Verified) -> Option<Value> {
    let plain = read(key, gunzip(&bytes?), found)?;
    read(key, serde_json::from_slice(&plain), found)
}

/// Objects in an archive, each of which has to be JSON. `v1-preferredversion` and the like are
/// second copies of the same objects.
fn count(bytes: &[u8]) -> Result<usize, String> {
    let plain = gunzip(bytes).map_err(|error| error.to_string())?;
    let mut archive = tar::Archive::new(plain.as_slice());
    let mut objects = 0;
    for entry in archive.entries().map_err(|error| error.to_string())? {
        let mut entry = entry.map_err(|error| error.to_string())?;
        let path = entry
            .path()
            .map_err(|error| error.to_string())?
            .into_owned();
        let shown = path.display().to_string();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let mut text = Vec::new();
        entry
            .read_to_end(&mut text)
            .map_err(|error| format!("{shown}: {error}"))?;
        serde_json::from_slice::<Value>(&text).map_err(|error| format!("{shown}: {error}"))?;
        let copy = path.components().any(|part| {
            part.as_os_str()
                .to_string_lossy()
                .ends_with("-preferredversion")
        });
        objects += usize::from(!copy && shown.starts_with("resources/"));
    }
    Ok(objects)
}

fn phase(meta: &Value, found: &mut Verified) {
    let phase = meta.pointer("/status/phase").and_then(Value::as_str);
    if let Some(phase) = phase
        && phase != "Completed"
    {
        found
            .problems
            .push(format!("Velero says that it is {phase}"));
    }
}

fn listed(list: &Value, found: &mut Verified) {
    for (kind, names) in list.as_object().into_iter().flatten() {
        let count = names.as_array().map_or(0, Vec::len);
        found.kinds.insert(kind.clone(), count);
    }
}

/// What the archive holds against what the files beside it say.
fn compare(meta: &Value, found: &mut Verified) {
    let listed: usize = found.kinds.values().sum();
    let said = meta
        .pointer("/status/progress/itemsBackedUp")
        .and_then(Value::as_u64)
        .and_then(|items| usize::try_from(items).ok());
    let holds = found.objects;
    if holds == 0 && found.problems.is_empty() {
        found.problems.push("there is nothing in it".to_owned());
    }
    if listed != holds {
        found.problems.push(format!(
            "its list names {listed} objects, its archive holds {holds}"
        ));
    }
    if let Some(said) = said
        && said != holds
    {
        found
            .problems
            .push(format!("it says {said} objects, its archive holds {holds}"));
    }
}
