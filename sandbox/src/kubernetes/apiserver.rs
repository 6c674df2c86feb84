//! The state of one API server and what reading and writing share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use serde_json::{Value, json};

use super::object::{self, Object, flag};
use super::resources::{Catalogue, ResourceType};
use super::schema::{crd, defaults};
use super::storage::Storage;
use crate::clock::Clock;
use crate::rng::Rng;

/// Collection of the definitions the catalogue is made from.
pub(crate) const CRDS: &str = "apiextensions.k8s.io/customresourcedefinitions";
/// What keeps a deleted definition until its objects are gone.
pub(crate) const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Field manager of the server's own controllers; K3s runs them all in one process of this name.
pub(crate) const CONTROLLER: &str = "k3s";

/// One API server: storage, the resources it serves, time and randomness.
#[derive(Debug)]
pub(crate) struct ApiServer {
    pub(crate) storage: Storage,
    pub(crate) clock: Clock,
    pub(crate) rng: Rng,
    /// Such as `v1.35.6+k3s1`.
    pub(crate) version: String,
    catalogue: RwLock<Arc<Catalogue>>,
    writes: Mutex<()>,
}

impl ApiServer {
    /// An API server over stored objects.
    pub(crate) fn new(storage: Storage, clock: Clock, rng: Rng, version: String) -> ApiServer {
        let server = ApiServer {
            storage,
            clock,
            rng,
            version,
            catalogue: RwLock::default(),
            writes: Mutex::new(()),
        };
        server.refresh_catalogue();
        server
    }

    /// Held by whoever reads, decides and writes, so that writers see each other's results.
    pub(crate) fn writing(&self) -> MutexGuard<'_, ()> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The resources served now.
    pub(crate) fn catalogue(&self) -> Arc<Catalogue> {
        self.catalogue
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Reads the CRDs again; called after any of them changed.
    pub(crate) fn refresh_catalogue(&self) {
        let crds = self.storage.all(CRDS);
        let custom = crds.iter().flat_map(|crd| crd::resources(crd)).collect();
        let fresh = Arc::new(Catalogue::new(custom));
        *self
            .catalogue
            .write()
            .unwrap_or_else(PoisonError::into_inner) = fresh;
    }

    /// The present, as Kubernetes writes times: whole seconds, UTC.
    pub(crate) fn now(&self) -> String {
        timestamp(self.clock.now())
    }

    /// A stored object as a version of its resource shows it.
    pub(crate) fn shown(resource: &ResourceType, object: &Object) -> Object {
        let Some(version) = resource.custom() else {
            return object.clone();
        };
        let wanted = resource.api_version();
        let same = object::text(object, &["apiVersion"]) == Some(&wanted);
        if same && version.storage {
            return object.clone();
        }
        let mut out = Value::clone(object);
        out["apiVersion"] = wanted.into();
        defaults::fill(resource.schema(), &mut out);
        Arc::new(out)
    }

    /// The `apiVersion` objects of a resource are stored with: versions of a CRD share one.
    pub(crate) fn storage_version(&self, resource: &ResourceType) -> String {
        if resource.custom().is_none() {
            return resource.api_version();
        }
        let name = format!("{}.{}", resource.plural, resource.group);
        let crd = self.storage.get(CRDS, "", &name);
        let stored = crd.as_ref().and_then(|crd| {
            let versions = object::items(crd, &["spec", "versions"]);
            versions
                .iter()
                .find(|v| flag(v, &["storage"]))
                .and_then(|v| object::text(v, &["name"]))
        });
        super::resources::api_version(&resource.group, stored.unwrap_or(&resource.version))
    }

    /// A list object of items.
    pub(crate) fn list_of(resource: &ResourceType, items: &[Object], metadata: Value) -> Value {
        let items: Vec<Value> = items.iter().map(|item| Value::clone(item)).collect();
        json!({
            "kind": resource.list_kind,
            "apiVersion": resource.api_version(),
            "metadata": metadata,
            "items": items,
        })
    }

    /// Five characters that make a generated name unique, from the API machinery's alphabet
    /// (no vowels, nothing that looks alike).
    pub(crate) fn suffix(&self) -> String {
        const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        let bytes = self.rng.bytes(5);
        bytes
            .iter()
            .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]))
            .collect()
    }
}

/// RFC 3339 with whole seconds.
pub(crate) fn timestamp(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
