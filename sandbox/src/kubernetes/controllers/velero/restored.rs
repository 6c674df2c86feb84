//! The objects of a restore, one after the other.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::filter::{Filter, Kind, left_out};
use super::layout::{Archive, Messages};
use super::modifiers::Modifiers;
use super::store::Store;
use super::{Pass, volumes};
use crate::kubernetes::apiserver::CRDS;
use crate::kubernetes::object::{self, Object, as_map, flag, items, map_mut, remove, set, text};
use crate::kubernetes::resources::ResourceType;
use crate::kubernetes::write::{Patch, Target, WriteOptions};
use crate::spaces::to_hex;

const RESTORE: &str = "velero.io/restore-name";
const BACKUP: &str = "velero.io/backup-name";
const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// What is restored first. Source: `HighPriorities` in `pkg/cmd/server/config/config.go`.
const FIRST: [&str; 20] = [
    DEFINITIONS,
    "namespaces",
    "storageclasses.storage.k8s.io",
    "volumesnapshotclasses.snapshot.storage.k8s.io",
    "persistentvolumes",
    "persistentvolumeclaims",
    "clusterroles.rbac.authorization.k8s.io",
    "roles.rbac.authorization.k8s.io",
    "serviceaccounts",
    "clusterrolebindings.rbac.authorization.k8s.io",
    "rolebindings.rbac.authorization.k8s.io",
    "secrets",
    "configmaps",
    "limitranges",
    "priorityclasses.scheduling.k8s.io",
    "pods",
    "replicasets.apps",
    "clusterclasses.cluster.x-k8s.io",
    "endpoints",
    "services",
];

/// What a restored claim forgets about the volume it had.
const BOUND: [&str; 5] = [
    "pv.kubernetes.io/bind-completed",
    "pv.kubernetes.io/bound-by-controller",
    "volume.kubernetes.io/storage-provisioner",
    "volume.beta.kubernetes.io/storage-provisioner",
    "volume.kubernetes.io/selected-node",
];

/// What a restore works with.
pub(super) struct Plan<'a> {
    pub(super) restore: &'a Object,
    pub(super) store: &'a Store,
    /// The backup's volume info.
    pub(super) infos: &'a [Value],
    pub(super) modifiers: Option<&'a Modifiers>,
    pub(super) archive: &'a Archive,
}

/// A restore on its way.
pub(super) struct Run<'a> {
    pass: &'a Pass<'a>,
    plan: &'a Plan<'a>,
    filter: Filter,
    options: WriteOptions,
    pub(super) errors: Messages,
    pub(super) warnings: Messages,
    /// How many objects it was about.
    pub(super) total: usize,
    /// How many volumes were filled, which is what a restore waits for after its objects.
    pub(super) operations: usize,
}

impl<'a> Run<'a> {
    /// A restore of which nothing is done yet.
    pub(super) fn new(pass: &'a Pass<'a>, plan: &'a Plan<'a>) -> Run<'a> {
        Run {
            pass,
            plan,
            filter: Filter::of(&plan.restore["spec"]),
            options: WriteOptions {
                manager: "velero-server".to_owned(),
                ..WriteOptions::controller()
            },
            errors: Messages::default(),
            warnings: Messages::default(),
            total: 0,
            operations: 0,
        }
    }

    /// Restores the definitions of custom objects; gives whether all of them are served.
    pub(super) fn definitions(mut self) -> bool {
        self.kind(DEFINITIONS);
        let definitions = self.plan.archive.get(DEFINITIONS);
        definitions.into_iter().flatten().all(|(_, definition)| {
            let found = self.pass.get(CRDS, "", object::name(definition));
            found.is_none_or(|found| object::is_true(&found, "Established"))
        })
    }

    /// Restores everything, in Velero's order.
    pub(super) fn everything(&mut self) {
        let place = |kind: &str| FIRST.iter().position(|first| *first == kind);
        let mut kinds: Vec<&str> = self.plan.archive.keys().map(String::as_str).collect();
        kinds.sort_by_key(|kind| (place(kind).unwrap_or(FIRST.len()), *kind));
        for kind in kinds {
            self.kind(kind);
        }
    }

    fn kind(&mut self, qualified: &str) {
        let (plural, group) = qualified.split_once('.').unwrap_or((qualified, ""));
        let catalogue = self.pass.server.catalogue();
        let served = catalogue.stored(&format!("{group}/{plural}"));
        let kind = match &served {
            Some(resource) => Kind::of(resource),
            None => Kind::new(plural, group),
        };
        // Volumes are made anew for their claims.
        if kind.is_one_of(&["persistentvolumes"]) {
            return;
        }
        let objects = self.plan.archive.get(qualified);
        for (namespace, object) in objects.into_iter().flatten() {
            let inside = match namespace.as_str() {
                "" if qualified == "namespaces" => self.filter.namespace(object::name(object)),
                "" => true,
                namespace => self.filter.namespace(namespace),
            };
            if !inside
                || !self.filter.kind(&kind, !namespace.is_empty())
                || !self.filter.labels(object)
                || ended(qualified, object)
                || follows(qualified, object)
            {
                continue;
            }
            self.total += 1;
            match self.item(qualified, namespace, object) {
                Ok(()) => {}
                Err(why) => {
                    let namespace = self.mapped(namespace);
                    let name = object::name(object);
                    let text = format!("error restoring {qualified}/{namespace}/{name}: {why}");
                    self.errors.add(&namespace, text);
                }
            }
        }
    }

    /// The namespace that takes the objects of another.
    fn mapped(&self, namespace: &str) -> String {
        let spec = &self.plan.restore["spec"];
        let other = text(spec, &["namespaceMapping", namespace]);
        other.unwrap_or(namespace).to_owned()
    }

    fn item(&mut self, qualified: &str, from: &str, stored: &Value) -> Result<(), String> {
        let field = |name: &str| stored[name].as_str().unwrap_or_default();
        let (version, kind) = (field("apiVersion"), field("kind"));
        let resource = self
            .pass
            .server
            .catalogue()
            .of_kind(version, kind)
            .ok_or_else(|| format!("no matches for kind {kind:?} in version {version:?}"))?;
        let namespace = self.mapped(from);
        if qualified == "namespaces" {
            let name = self.mapped(object::name(stored));
            return self.ensure_namespace(object::name(stored), &name);
        }
        if !namespace.is_empty() {
            self.ensure_namespace(from, &namespace)?;
        }
        let mut object = prepared(stored);
        if !namespace.is_empty() {
            set(&mut object, &["metadata", "namespace"], namespace.clone());
        }
        self.adapt(qualified, &mut object);
        if let Some(modifiers) = self.plan.modifiers {
            let wrong = modifiers.apply(&mut object, qualified, resource.schema());
            if !wrong.is_empty() {
                return Err(wrong.join("; "));
            }
        }
        let name = object::name(&object).to_owned();
        let collection = resource.storage_key();
        if let Some(found) = self.pass.get(&collection, &namespace, &name) {
            self.meet(&resource, &found, &object);
            return Ok(());
        }
        if qualified == "persistentvolumeclaims" {
            self.fill(from, object::name(stored), &mut object)?;
        }
        self.mark(&mut object);
        self.create(&resource, &namespace, object)
    }

    fn create(
        &self,
        resource: &ResourceType,
        namespace: &str,
        object: Value,
    ) -> Result<(), String> {
        let server = self.pass.server;
        let created = server.create(resource, namespace, object, &self.options);
        created.map(drop).map_err(|error| error.message)
    }

    /// Makes a namespace that objects need, as it is in the backup where it is in it.
    fn ensure_namespace(&mut self, from: &str, name: &str) -> Result<(), String> {
        if self.pass.get("/namespaces", "", name).is_some() {
            return Ok(());
        }
        let stored = self.plan.archive.get("namespaces");
        let stored = stored.and_then(|all| all.iter().find(|(_, one)| object::name(one) == from));
        let mut namespace = match stored {
            Some((_, namespace)) => prepared(namespace),
            None => serde_json::json!({"apiVersion": "v1", "kind": "Namespace"}),
        };
        set(&mut namespace, &["metadata", "name"], name);
        self.mark(&mut namespace);
        let resource = self.pass.server.catalogue().stored("/namespaces");
        let resource = resource.ok_or("namespaces are not served")?;
        self.create(&resource, "", namespace)
    }

    fn mark(&self, object: &mut Value) {
        let backup = text(self.plan.restore, &["spec", "backupName"]).unwrap_or_default();
        let labels = map_mut(object, &["metadata", "labels"]);
        labels.insert(BACKUP.to_owned(), label(backup).into());
        let restore = label(object::name(self.plan.restore));
        labels.insert(RESTORE.to_owned(), restore.into());
    }

    /// What Velero's own plugins change.
    fn adapt(&self, qualified: &str, object: &mut Value) {
        match qualified {
            "services" => {
                let keep = flag(self.plan.restore, &["spec", "preserveNodePorts"]);
                service(object, keep);
            }
            "persistentvolumeclaims" => {
                remove(object, &["spec", "volumeName"]);
                remove(object, &["spec", "dataSource"]);
                remove(object, &["spec", "dataSourceRef"]);
                for name in BOUND.iter().chain([&volumes::CONTENT]) {
                    remove(object, &["metadata", "annotations", name]);
                }
            }
            "pods" => pod(object),
            "jobs.batch" => {
                for label in ["controller-uid", "batch.kubernetes.io/controller-uid"] {
                    remove(object, &["spec", "selector", "matchLabels", label]);
                    remove(object, &["spec", "template", "metadata", "labels", label]);
                }
            }
            "clusterrolebindings.rbac.authorization.k8s.io"
            | "rolebindings.rbac.authorization.k8s.io" => {
                for subject in list_mut(object, "subjects") {
                    if let Some(namespace) = text(subject, &["namespace"]) {
                        let namespace = self.mapped(namespace);
                        set(subject, &["namespace"], namespace);
                    }
                }
            }
            _ => {}
        }
    }

    /// Brings back what a claim's volume held, where the backup has it.
    fn fill(&mut self, namespace: &str, name: &str, claim: &mut Value) -> Result<(), String> {
        let plan = self.plan;
        let wanted = object::at(plan.restore, &["spec", "restorePVs"]);
        let info = plan.infos.iter().find(|info| {
            text(info, &["pvcNamespace"]) == Some(namespace)
                && text(info, &["pvcName"]) == Some(name)
        });
        let Some(info) = info.filter(|info| flag(info, &["snapshotDataMoved"])) else {
            return Ok(());
        };
        if wanted == Some(&Value::Bool(false)) {
            return Ok(());
        }
        let server = object::namespace(plan.restore);
        let content = volumes::open(self.pass, server, plan.store, info)?;
        set(
            claim,
            &["metadata", "annotations", volumes::CONTENT],
            content,
        );
        self.operations += 1;
        Ok(())
    }

    /// An object that exists is left as it is, unless the restore says otherwise.
    fn meet(&mut self, resource: &ResourceType, found: &Object, object: &Value) {
        let own = label(object::name(self.plan.restore));
        if object::label(found, RESTORE) == Some(own.as_str()) {
            // Made by this restore before a break.
            return;
        }
        let (namespace, name) = (object::namespace(found), object::name(found));
        let mut there = prepared(found);
        for label in [RESTORE, BACKUP] {
            remove(&mut there, &["metadata", "labels", label]);
        }
        if object::without_empty(&there) == object::without_empty(object) {
            return;
        }
        let kind = &resource.kind;
        let update = text(self.plan.restore, &["spec", "existingResourcePolicy"]) == Some("update");
        // Accounts that every namespace has are merged, as Velero does.
        if update || kind == "ServiceAccount" {
            let mut patch = object.clone();
            if update {
                self.mark(&mut patch);
            }
            let target = Target {
                resource,
                namespace,
                name,
                subresource: "",
            };
            let patched = self
                .pass
                .server
                .patch(target, Patch::Merge(patch), &self.options);
            if let Err(error) = patched {
                self.warnings.add(namespace, error.message);
            }
            return;
        }
        let text = format!(
            "could not restore, {kind}:{name} already exists. Warning: the in-cluster version is different than the backed-up version"
        );
        self.warnings.add(namespace, text);
    }
}

/// The object without what its old cluster knew of it.
fn prepared(stored: &Value) -> Value {
    let mut object = stored.clone();
    for field in [
        "generateName",
        "selfLink",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "ownerReferences",
        "managedFields",
    ] {
        remove(&mut object, &["metadata", field]);
    }
    remove(&mut object, &["status"]);
    object
}

/// A label's value that a name fits into, as Velero shortens it.
fn label(name: &str) -> String {
    if name.len() <= 63 {
        return name.to_owned();
    }
    let digest = to_hex(&Sha256::digest(name.as_bytes()));
    let head: String = name.chars().take(57).collect();
    format!("{head}{}", &digest[..6])
}

/// Whether it has run to its end: such pods and jobs are not begun again.
fn ended(qualified: &str, object: &Value) -> bool {
    match qualified {
        "pods" => object::ended(object),
        "jobs.batch" => text(object, &["status", "completionTime"]).is_some(),
        _ => left_out(object),
    }
}

/// Whether its controller, restored, makes it anew.
fn follows(qualified: &str, object: &Value) -> bool {
    let owned = items(object, &["metadata", "ownerReferences"])
        .iter()
        .any(|owner| flag(owner, &["controller"]));
    owned && matches!(qualified, "pods" | "replicasets.apps")
}

fn list_mut<'a>(object: &'a mut Value, key: &str) -> impl Iterator<Item = &'a mut Value> {
    let list = as_map(object).get_mut(key).and_then(Value::as_array_mut);
    list.into_iter().flatten()
}

/// Addresses and ports that the new cluster gives.
fn service(object: &mut Value, keep_ports: bool) {
    if text(object, &["spec", "clusterIP"]) != Some("None") {
        remove(object, &["spec", "clusterIP"]);
        remove(object, &["spec", "clusterIPs"]);
    }
    if keep_ports {
        return;
    }
    remove(object, &["spec", "healthCheckNodePort"]);
    if let Some(spec) = object.get_mut("spec") {
        for port in list_mut(spec, "ports") {
            remove(port, &["nodePort"]);
        }
    }
}

/// A pod without its node and without the token it was given there.
fn pod(object: &mut Value) {
    let Some(spec) = object.get_mut("spec") else {
        return;
    };
    remove(spec, &["nodeName"]);
    remove(spec, &["priority"]);
    let token = |one: &Value| {
        object::text(one, &["name"]).is_some_and(|n| n.starts_with("kube-api-access-"))
    };
    if let Some(volumes) = spec.get_mut("volumes").and_then(Value::as_array_mut) {
        volumes.retain(|volume| !token(volume));
    }
    for of in ["containers", "initContainers"] {
        for container in list_mut(spec, of) {
            if let Some(mounts) = container
                .get_mut("volumeMounts")
                .and_then(Value::as_array_mut)
            {
                mounts.retain(|mount| !token(mount));
            }
        }
    }
}
