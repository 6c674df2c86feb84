//! The objects of a release: their kinds, their order, and whose they are.

use std::sync::Arc;

use serde_json::Value;

use super::archive;
use super::client::{Client, place};
use crate::kubernetes::object::{self, set, text};
use crate::kubernetes::resources::ResourceType;
use crate::kubernetes::write::Target;

const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const RELEASE: &str = "meta.helm.sh/release-name";
const NAMESPACE: &str = "meta.helm.sh/release-namespace";

/// Kinds in the order they are made in; all others follow. Source: `InstallOrder`.
const ORDER: [&str; 36] = [
    "PriorityClass",
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
];

/// An object with its kind.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) resource: Arc<ResourceType>,
    pub(super) object: Value,
}

/// Name and namespace of a release.
#[derive(Clone, Copy)]
pub(super) struct Owner<'a> {
    pub(super) name: &'a str,
    pub(super) namespace: &'a str,
}

impl Item {
    /// Where it lives.
    pub(super) fn at<'i>(&'i self, owner: Owner<'i>) -> Target<'i> {
        place(&self.resource, &self.object, owner.namespace)
    }

    /// Whether it stays when its release goes.
    pub(super) fn stays(&self) -> bool {
        object::annotation(&self.object, "helm.sh/resource-policy") == Some("keep")
    }

    /// The object as Helm applies it, with its release's marks.
    pub(super) fn marked(&self, owner: Owner<'_>) -> Value {
        let mut object = self.object.clone();
        set(&mut object, &["metadata", "labels", MANAGED_BY], "Helm");
        for (key, value) in [(RELEASE, owner.name), (NAMESPACE, owner.namespace)] {
            set(&mut object, &["metadata", "annotations", key], value);
        }
        object
    }

    /// Why it cannot become this release's: somebody else made it.
    pub(super) fn foreign(&self, client: &Client<'_, '_>, owner: Owner<'_>) -> Option<String> {
        let at = self.at(owner);
        let found = client.get(at)?;
        let mut wrong = Vec::new();
        if object::label(&found, MANAGED_BY) != Some("Helm") {
            wrong.push(format!(
                "label validation error: key {MANAGED_BY:?} must be set to \"Helm\""
            ));
        }
        for (key, value) in [(RELEASE, owner.name), (NAMESPACE, owner.namespace)] {
            if object::annotation(&found, key) != Some(value) {
                wrong.push(format!(
                    "annotation validation error: key {key:?} must be set to {value:?}"
                ));
            }
        }
        (!wrong.is_empty()).then(|| {
            format!(
                "{} {:?} in namespace {:?} exists and cannot be imported into the current release: invalid ownership metadata; {}",
                self.resource.kind,
                at.name,
                at.namespace,
                wrong.join("; ")
            )
        })
    }
}

/// Objects with their kinds, in the order they are made in.
///
/// # Errors
/// When the cluster does not serve one of the kinds.
pub(super) fn build(client: &Client<'_, '_>, objects: Vec<Value>) -> Result<Vec<Item>, String> {
    let catalogue = client.pass().server.catalogue();
    let mut items = Vec::new();
    for object in objects {
        let word = |field: &str| text(&object, &[field]).unwrap_or_default();
        let (version, kind) = (word("apiVersion"), word("kind"));
        let Some(resource) = catalogue.of_kind(version, kind) else {
            return Err(format!(
                "unable to build kubernetes objects from release manifest: resource mapping not found for name: {:?} namespace: {:?} from \"\": no matches for kind {kind:?} in version {version:?}\nensure CRDs are installed first",
                object::name(&object),
                object::namespace(&object),
            ));
        };
        items.push(Item { resource, object });
    }
    items.sort_by_key(|item| {
        let kind = item.resource.kind.as_str();
        let place = ORDER.iter().position(|one| *one == kind);
        (place.unwrap_or(ORDER.len()), item.resource.kind.clone())
    });
    Ok(items)
}

/// The objects of a release's manifest that the cluster still has kinds for.
pub(super) fn recorded(client: &Client<'_, '_>, manifest: &str) -> Vec<Item> {
    let objects = archive::documents(manifest).unwrap_or_default();
    let known = objects
        .into_iter()
        .map(|object| build(client, vec![object]));
    known.flatten().flatten().collect()
}

/// Whether two objects are in one place.
pub(super) fn same(a: &Item, b: &Item, owner: Owner<'_>) -> bool {
    let (one, other) = (a.at(owner), b.at(owner));
    a.resource.storage_key() == b.resource.storage_key()
        && (one.namespace, one.name) == (other.namespace, other.name)
}
