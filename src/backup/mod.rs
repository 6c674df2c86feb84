//! The backup bucket as kplan itself reads it: which backups are there, and where kits lie.

pub mod overdue;
pub mod snapshots;
pub mod verify;

use crate::cmd::managed;
use crate::compose::storage;
use crate::error::{Failure, Problem};
use crate::load::{Loaded, Secrets};
use crate::wire::{Cloud, StatePlace, keys_of_environment};
use kplan_model::{ObjectStore, ProviderError, Snapshot, Value};
use kplan_providers::recovery::KitPlace;
use kplan_providers::spaces::Keys;
use kplan_schema::spec::{Backup as Wanted, BackupStore};
use kplan_schema::value::S3Place;
use serde_json::Value as Json;

/// Where Velero keeps backups, below its prefix.
pub const BACKUPS: &str = "backups/";

/// One backup, as its own file in the bucket tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Its name.
    pub name: String,
    /// Velero's word for how it ended.
    pub phase: String,
    /// When it began, RFC 3339.
    pub started: String,
    /// When Velero deletes it, RFC 3339.
    pub expires: String,
    /// Objects in it.
    pub items: u64,
    /// What could not be backed up.
    pub errors: u64,
    /// The namespaces in it, where not all are.
    pub only: Vec<String>,
    /// Whether it is limited otherwise: by labels or by kinds.
    pub limited: bool,
}

impl Backup {
    /// Whether everything is in it.
    pub fn is_whole(&self) -> bool {
        self.phase == "Completed"
    }

    /// What of the cluster is not in it, besides namespaces that were left out by name.
    pub fn lacks(&self) -> Option<String> {
        if !self.only.is_empty() {
            return Some(format!("only the namespaces {}", self.only.join(", ")));
        }
        if self.limited {
            return Some("only some kinds of objects, or those with some labels".to_owned());
        }
        None
    }

    fn read(name: &str, bytes: &[u8]) -> Self {
        let json: Json = serde_json::from_slice(bytes).unwrap_or_default();
        let text = |path: &str| {
            let value = json.pointer(path).and_then(Json::as_str);
            value.unwrap_or_default().to_owned()
        };
        let number = |path: &str| json.pointer(path).and_then(Json::as_u64).unwrap_or(0);
        // `*` is everything.
        let list = |path: &str| -> Vec<String> {
            let items = json.pointer(path).and_then(Json::as_array);
            let items = items.into_iter().flatten().filter_map(Json::as_str);
            items
                .filter(|item| *item != "*")
                .map(str::to_owned)
                .collect()
        };
        let phase = text("/status/phase");
        Self {
            name: name.to_owned(),
            phase: if phase.is_empty() {
                "Unreadable".to_owned()
            } else {
                phase
            },
            started: text("/status/startTimestamp"),
            expires: text("/status/expiration"),
            items: number("/status/progress/itemsBackedUp"),
            errors: number("/status/errors"),
            only: list("/spec/includedNamespaces"),
            limited: !list("/spec/includedResources").is_empty()
                || !list("/spec/includedNamespaceScopedResources").is_empty()
                || ["/spec/labelSelector", "/spec/orLabelSelectors"]
                    .iter()
                    .any(|path| json.pointer(path).is_some_and(|value| !value.is_null())),
        }
    }
}

/// Every backup in the bucket, the oldest first.
///
/// # Errors
/// Those of the store.
pub fn all(objects: &dyn ObjectStore) -> Result<Vec<Backup>, ProviderError> {
    let listing = objects.list(BACKUPS, None)?;
    let files: Vec<String> = listing
        .objects
        .into_iter()
        .map(|object| object.key)
        .filter(|key| key.ends_with("/velero-backup.json"))
        .collect();
    let contents = objects.get_all(&files)?;
    let mut backups: Vec<Backup> = files
        .iter()
        .zip(contents)
        .filter_map(|(key, bytes)| {
            let name = key.strip_prefix(BACKUPS)?.split_once('/')?.0;
            Some(Backup::read(name, &bytes?))
        })
        .collect();
    backups.sort_by(|a, b| (&a.started, &a.name).cmp(&(&b.started, &b.name)));
    Ok(backups)
}

/// Whether the backup of that name is whole.
///
/// # Errors
/// Those of the store.
pub fn is_whole(objects: &dyn ObjectStore, name: &str) -> Result<bool, ProviderError> {
    let bytes = objects.get(&format!("{BACKUPS}{name}/velero-backup.json"))?;
    Ok(bytes.is_some_and(|bytes| Backup::read(name, &bytes).is_whole()))
}

/// The file has no `[backup]`.
pub fn none(loaded: &Loaded) -> Problem {
    Problem::error(
        "backup::none",
        format!(
            "{} has no `[backup]`, so there is no bucket with backups",
            loaded.file
        ),
    )
    .help("add `[backup]`, or name another file with -f")
}

/// The same bucket by the record of its kits: needs no secret of the file.
///
/// # Errors
/// Where the record's secrets are sealed.
pub fn on_record(snapshot: &Snapshot, cluster: &str) -> Result<Option<KitPlace>, ProviderError> {
    let Some(record) = snapshot.resources.get(&storage::kit()) else {
        return Ok(None);
    };
    let (mut place, _) = kplan_providers::recovery::of_record(&record.args)?;
    let own = storage::kit_prefix("", cluster);
    let root = place.prefix.strip_suffix(&own).map_or(0, str::len);
    place.prefix.truncate(root);
    Ok(Some(place))
}

/// The bucket, from its root or from Velero's prefix on, with a key that reads it.
///
/// # Errors
/// `backup::none` without `[backup]`; `backup::no_credentials` where no key is at hand.
pub fn place(
    loaded: &Loaded,
    cloud: &Cloud,
    secrets: &Secrets,
    snapshot: Option<&Snapshot>,
) -> Result<KitPlace, Failure> {
    if let Some(nothing) = managed::nothing_to_do(loaded) {
        return Err(nothing);
    }
    let Some(wanted) = &loaded.spec.backup else {
        return Err(none(loaded).into());
    };
    let at = address(wanted);
    let keys = match &wanted.store {
        BackupStore::Existing {
            access_key,
            secret_key,
            ..
        } => secrets.get(&secret_key.value).map(|secret| Keys {
            access_key: access_key.as_str().to_owned(),
            secret_key: secret.clone(),
        }),
        BackupStore::Own { .. } => snapshot
            .and_then(operator_keys)
            .or_else(keys_of_environment),
    };
    let keys = keys.ok_or_else(|| no_key(&at.bucket))?;
    Ok(KitPlace {
        prefix: at.root(),
        region: at.region().to_owned(),
        endpoint: cloud.spaces_url.clone().unwrap_or_else(|| at.url()),
        bucket: at.bucket,
        keys,
    })
}

/// Nothing opens a bucket.
pub fn no_key(bucket: &str) -> Problem {
    let message = format!("there is no key to read the bucket {bucket} with");
    Problem::error("backup::no_credentials", message).help(
        "export SPACES_ACCESS_KEY_ID and SPACES_SECRET_ACCESS_KEY: a key that may read that bucket, \
         made in DigitalOcean's control panel under Spaces, or with `doctl spaces keys create`",
    )
}

/// Where it is; one of kplan's own has no prefix.
pub fn address(wanted: &Wanted) -> S3Place {
    match &wanted.store {
        BackupStore::Own { bucket, region, .. } => S3Place {
            bucket: bucket.to_string(),
            prefix: String::new(),
            region: Some(region.to_string()),
            endpoint: None,
        },
        BackupStore::Existing { place, .. } => place.value.clone(),
    }
}

/// The operator's key on record: it opens every bucket of the account.
pub fn operator_keys(snapshot: &Snapshot) -> Option<Keys> {
    let record = snapshot.resources.get(&storage::operator_key())?;
    let text = |name: &str| record.attribute(name);
    match (text("access_key")?, text("secret_key")?) {
        (Value::Str(access_key), Value::Secret(secret_key)) if secret_key.expose().is_some() => {
            Some(Keys {
                access_key: access_key.to_string(),
                secret_key,
            })
        }
        _ => None,
    }
}

/// The same bucket where the cluster's kits lie.
pub fn kits(mut place: KitPlace, state: &StatePlace) -> KitPlace {
    place.prefix = storage::kit_prefix(&place.prefix, &state.cluster);
    place
}
