//! Makes kits of the state as it is recorded and keeps them.

use super::{BESIDE, Name, frame, too_many};
use crate::artifacts::{self, lock_path};
use crate::error::Failure;
use crate::load::Loaded;
use crate::whole::{self, Readers};
use crate::wire::{Cloud, StatePlace, SystemClock};
use kplan_engine::clock::Clock as _;
use kplan_model::{BoxFuture, ErrorKind, ObjectStore, ProviderError, StoreError};
use kplan_providers::http::{Reqwest, Statistics, system_clock};
use kplan_providers::recovery::{KitKeeper, KitPlace, Signer};
use kplan_providers::spaces::{SharedObjects, Spaces, SpacesConfig};
use kplan_state::KitContents;
use std::collections::BTreeMap;

use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The newest kit, in the folder of the cluster's state.
pub const LOCAL_COPY: &str = "recovery.kit";

/// See the module.
#[derive(Clone)]
pub struct Keeper(Arc<Inner>);

struct Inner {
    place: StatePlace,
    /// The file and those beside it: name and text.
    files: BTreeMap<String, String>,
    lock: PathBuf,
    /// Goes before the endpoint of any bucket: the embedded cloud's.
    endpoint: Option<String>,
}

/// The kits of a place.
///
/// # Errors
/// Where no client can be made.
pub fn objects_at(
    place: &KitPlace,
    endpoint: Option<&String>,
) -> Result<SharedObjects, ProviderError> {
    let transport =
        Reqwest::new().map_err(|error| ProviderError::new(ErrorKind::Bug, error.to_string()))?;
    let spaces = Spaces::new(SpacesConfig {
        endpoint: Some(endpoint.unwrap_or(&place.endpoint).clone()),
        keys: Some(place.keys.clone()),
        transport: Arc::new(transport),
        // About the state, not about the cloud.
        statistics: Arc::new(Statistics::default()),
        now: system_clock(),
        scale: 1,
    });
    SharedObjects::open(&spaces, &place.region, &place.bucket, &place.prefix)
}

/// The lock that says whose kits are taken: beside the file; the embedded cloud has its own.
pub fn trusted_in(folder: &Path, embedded: bool) -> PathBuf {
    if embedded {
        lock_path(&folder.join(".kplan").join(".sandbox"))
    } else {
        lock_path(folder)
    }
}

fn of_state(error: &StoreError) -> ProviderError {
    ProviderError::new(ErrorKind::Invalid, error.message.clone())
}

fn of_failure(failure: &Failure) -> ProviderError {
    let first = failure.problems.first();
    let text = first.map_or_else(String::new, |problem| problem.message.clone());
    ProviderError::new(ErrorKind::Invalid, text)
}

fn of_disk(path: &Path, error: &std::io::Error) -> ProviderError {
    let text = format!("cannot write {}: {error}", path.display());
    ProviderError::new(ErrorKind::Invalid, text)
}

impl Keeper {
    /// Of the state in that place.
    pub fn new(loaded: &Loaded, cloud: &Cloud, place: StatePlace) -> Self {
        let beside = loaded.beside.iter();
        let mut files: BTreeMap<String, String> = beside
            .map(|(name, text)| (format!("{BESIDE}{name}"), text.clone()))
            .collect();
        files.insert(loaded.file.clone(), loaded.source.inner().clone());
        Self(Arc::new(Inner {
            place,
            files,
            lock: trusted_in(&loaded.folder, cloud.embedded),
            endpoint: cloud.spaces_url.clone(),
        }))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, ProviderError> + Send + 'static,
    ) -> Result<T, ProviderError> {
        let inner = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || work(&inner))
            .await
            .map_err(|error| ProviderError::new(ErrorKind::Bug, error.to_string()))?
    }
}

impl Inner {
    fn objects(&self, place: &KitPlace) -> Result<SharedObjects, ProviderError> {
        objects_at(place, self.endpoint.as_ref())
    }

    /// The key goes into the lock first: a kit nobody may take is of no use.
    fn trust(&self, signer: &Signer) -> Result<String, ProviderError> {
        let mut lock = artifacts::read_lock(&self.lock).map_err(|failure| of_failure(&failure))?;
        let fresh = lock.trust(&self.place.cluster, &signer.public_key);
        let text = lock.render()?;
        if fresh {
            put_file(&self.lock, text.as_bytes())?;
        }
        Ok(text)
    }

    fn land(&self, place: &KitPlace, signer: &Signer) -> Result<(), ProviderError> {
        let lock = self.trust(signer)?;
        // One look: while an apply runs, the next one would find a later state.
        let document = self.place.reader(None).document();
        let document = document.map_err(|error| of_state(&error))?;
        let mut files = self.files.clone();
        files.insert(artifacts::LOCK_FILE.to_owned(), lock);
        let contents = KitContents {
            cluster: self.place.cluster.clone(),
            kplan: env!("CARGO_PKG_VERSION").to_owned(),
            files,
            state: document.to_json().map_err(|error| of_state(&error))?,
        };
        let sealed = contents
            .seal(document.recipients())
            .map_err(|error| of_state(&error))?;
        let kit = frame::seal(
            &self.place.cluster,
            (document.lineage(), document.serial()),
            SystemClock.now().0,
            &sealed,
            signer,
        )?;
        let sealed = frame::open(&kit, "the kit that was just made");
        let sealed = sealed.map_err(|failure| of_failure(&failure))?;
        let objects = self.objects(place)?;
        objects.put_new(&Name::of(&sealed).to_string(), &kit)?;
        put_file(&self.place.dir.join(LOCAL_COPY), &kit)?;
        prune(&objects, document.lineage())
    }
}

fn keys(objects: &SharedObjects) -> Result<Vec<String>, ProviderError> {
    let listing = objects.list("", None)?;
    Ok(listing
        .objects
        .into_iter()
        .map(|object| object.key)
        .collect())
}

/// Deletes all of this state's but the newest.
fn prune(objects: &SharedObjects, lineage: &str) -> Result<(), ProviderError> {
    let old = too_many(&keys(objects)?, lineage);
    if old.is_empty() {
        Ok(())
    } else {
        objects.delete(&old)
    }
}

fn put_file(path: &Path, bytes: &[u8]) -> Result<(), ProviderError> {
    whole::write(path, bytes, Readers::Anybody).map_err(|error| of_disk(path, &error))
}

impl KitKeeper for Keeper {
    fn land<'a>(
        &'a self,
        place: &'a KitPlace,
        signer: &'a Signer,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        let (place, signer) = (place.clone(), signer.clone());
        Box::pin(self.blocking(move |inner| inner.land(&place, &signer)))
    }

    fn lies<'a>(&'a self, place: &'a KitPlace) -> BoxFuture<'a, Result<bool, ProviderError>> {
        let place = place.clone();
        Box::pin(self.blocking(move |inner| {
            let found = keys(&inner.objects(&place)?)?;
            Ok(found.iter().any(|key| Name::parse(key).is_some()))
        }))
    }

    fn remove<'a>(&'a self, place: &'a KitPlace) -> BoxFuture<'a, Result<(), ProviderError>> {
        let place = place.clone();
        Box::pin(self.blocking(move |inner| {
            let objects = inner.objects(&place)?;
            let keys = keys(&objects)?;
            if keys.is_empty() {
                Ok(())
            } else {
                objects.delete(&keys)
            }
        }))
    }
}
