//! A snapshot of etcd as a file: every object of a cluster, and what K3s keeps beside them.
//!
//! The form is the sandbox's own. As in etcd's, a digest at the end tells a file that was cut off or
//! changed, and nothing of the members is in it: whoever restores is the only one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::controllers::NodeRecord;
use super::storage::Storage;
use super::{Cluster, object};
use crate::spaces::to_hex;
use crate::store::{Batch, Store, StoreError};

/// Where a cluster's parts lie in the store, behind its own name.
const PARTS: [&str; 3] = ["", "/nodes", "/etcd"];
/// The first words of such a file.
const FORMAT: &str = "kplan-sandbox-etcd-snapshot-1";
/// Characters of the digest at the end.
const DIGEST: usize = 64;

/// What a snapshot holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EtcdSnapshot {
    format: String,
    /// The resource version it was taken at.
    version: u64,
    /// By collection.
    objects: BTreeMap<String, Vec<Value>>,
    /// The kubelets that reported then: the sandbox's own, so that it knows who is silent later.
    kubelets: BTreeMap<String, NodeRecord>,
    /// What K3s keeps in its datastore that is no object: see [`super::NodeDisks::datastore`].
    pub datastore: Value,
}

impl EtcdSnapshot {
    /// Everything as it is now.
    pub(crate) fn take(
        storage: &Storage,
        kubelets: BTreeMap<String, NodeRecord>,
        datastore: Value,
    ) -> EtcdSnapshot {
        let version = storage.version();
        let collections = storage.collections().into_iter();
        let objects = collections.map(|collection| {
            let all = storage.all(&collection);
            let all = all.iter().map(|object| Value::clone(object)).collect();
            (collection, all)
        });
        EtcdSnapshot {
            format: FORMAT.to_owned(),
            version,
            objects: objects.collect(),
            kubelets,
            datastore,
        }
    }

    /// The file.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        // Maps of texts and JSON always have a JSON form.
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        bytes.extend(to_hex(&Sha256::digest(&bytes)).into_bytes());
        bytes
    }

    /// Reads a file.
    ///
    /// # Errors
    /// With etcd's words where its digest is another or it is no snapshot.
    pub fn read(bytes: &[u8]) -> Result<EtcdSnapshot, String> {
        let end = bytes.len().saturating_sub(DIGEST);
        let (content, digest) = bytes.split_at(end);
        if to_hex(&Sha256::digest(content)).as_bytes() != digest {
            return Err("expected sha256 does not match: the snapshot is damaged".to_owned());
        }
        serde_json::from_slice::<EtcdSnapshot>(content)
            .ok()
            .filter(|snapshot| snapshot.format == FORMAT)
            .ok_or_else(|| "it is not a snapshot of etcd".to_owned())
    }

    /// Makes it the whole content of a cluster that does not run. No kubelet reports to that yet;
    /// `gone` says whose machine does not exist any more.
    ///
    /// # Errors
    /// Those of the store.
    pub fn restore(
        &self,
        store: &Store,
        cluster: &str,
        gone: impl Fn(&str) -> bool,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for part in PARTS {
            let place = format!("k8s/{cluster}{part}");
            for key in store.load::<Value>(&place)?.into_keys() {
                batch.delete(&place, &key);
            }
        }
        let place = format!("k8s/{cluster}");
        batch.put(&place, "version", &self.version)?;
        for (collection, objects) in &self.objects {
            for one in objects {
                let (namespace, name) = (object::namespace(one), object::name(one));
                batch.put(&place, &format!("{collection}|{namespace}|{name}"), one)?;
            }
        }
        for (name, record) in &self.kubelets {
            let silent = NodeRecord {
                lost: true,
                gone: gone(name),
                ..record.clone()
            };
            batch.put(&format!("{place}/nodes"), name, &silent)?;
        }
        store.commit(batch)
    }
}

const NODES: &str = "/nodes";

impl Cluster {
    /// Whether a node has that name: its object is there, or its kubelet reports.
    pub fn has_node(&self, name: &str) -> bool {
        let reports = self.outside(|outside| outside.nodes.get(name).is_some_and(|it| !it.lost));
        reports || self.inner.server.storage.get(NODES, "", name).is_some()
    }

    /// Deletes every Node object, as `kubectl delete nodes --all`.
    ///
    /// # Errors
    /// With the API's words where one cannot be deleted.
    pub fn delete_nodes(&self) -> Result<(), String> {
        let server = &self.inner.server;
        let Some(resource) = server.catalogue().stored(NODES) else {
            return Ok(());
        };
        for node in server.storage.all(NODES) {
            let target = super::write::Target {
                resource: &resource,
                namespace: "",
                name: object::name(&node),
                subresource: "",
            };
            let deleted = server.delete(target, &super::write::DeleteOptions::default());
            deleted.map_err(|error| error.message)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_brings_back_what_was_there_and_a_damaged_one_nothing() {
        let storage = Storage::open(Store::in_memory(), "a").unwrap();
        let map = json!({"metadata": {"name": "kept", "namespace": "default"}, "data": {"a": "b"}});
        storage.create("/configmaps", map).unwrap();
        let taken = EtcdSnapshot::take(&storage, BTreeMap::new(), json!({"token": "t"}));
        storage.delete("/configmaps", "default", "kept").unwrap();
        let bytes = taken.to_bytes();
        for broken in [&bytes[..bytes.len() - 1], &bytes[1..], b"", b"etcd"] {
            assert!(EtcdSnapshot::read(broken).is_err());
        }
        let mut changed = bytes.clone();
        let at = changed.len() / 2;
        changed[at] ^= 1;
        assert!(EtcdSnapshot::read(&changed).is_err());
        let read = EtcdSnapshot::read(&bytes).unwrap();
        assert_eq!(read.datastore["token"], "t");
        let store = Store::in_memory();
        let before = Storage::open(store.clone(), "b").unwrap();
        let other = json!({"metadata": {"name": "other", "namespace": "default"}});
        before.create("/pods", other).unwrap();
        read.restore(&store, "b", |_| true).unwrap();
        let after = Storage::open(store, "b").unwrap();
        assert!(after.all("/pods").is_empty());
        let kept = after.get("/configmaps", "default", "kept").unwrap();
        assert_eq!(kept["data"]["a"], "b");
        assert_eq!(after.version(), 1, "deletions after it did not happen");
    }
}
