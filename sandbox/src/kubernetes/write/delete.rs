//! Deletion: at once, after finalizers, after a pod's grace, with or without dependents.

use serde_json::{Value, json};

use super::{Target, WriteOptions, change};
use crate::kubernetes::apiserver::{ApiServer, CLEANUP, CRDS};
use crate::kubernetes::disruption;
use crate::kubernetes::managed_fields::Managers;
use crate::kubernetes::object::{self, Object, items, set, text};
use crate::kubernetes::status::ApiError;

/// What becomes of dependents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Propagation {
    /// Deleted afterwards by the garbage collector.
    #[default]
    Background,
    /// Deleted first.
    Foreground,
    /// Left behind without an owner.
    Orphan,
}

/// The body of a `DELETE`.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeleteOptions {
    pub(crate) propagation: Propagation,
    pub(crate) grace_seconds: Option<i64>,
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
    pub(crate) dry_run: bool,
    /// Whether disruption budgets may refuse it.
    pub(crate) evicts: bool,
}

/// Namespaces the system needs.
const PROTECTED: &[&str] = &["default", "kube-system", "kube-public", "kube-node-lease"];

/// Pods without their own value get this long to end.
const GRACE_SECONDS: i64 = 30;

impl ApiServer {
    /// Deletes an object. Gives its last state, and whether it is gone already.
    pub(crate) fn delete(
        &self,
        target: Target<'_>,
        options: &DeleteOptions,
    ) -> Result<(Object, bool), ApiError> {
        let _writing = self.writing();
        let old = self.read(target)?;
        preconditions(target, &old, options)?;
        if options.evicts {
            // Under the lock: two evictions must not both take the last one that is allowed.
            disruption::permit(&self.storage, &old)?;
        }
        let collection = target.resource.storage_key();
        if collection == "/namespaces" && PROTECTED.contains(&target.name) {
            let message = format!(
                "namespaces \"{}\" is forbidden: this namespace may not be deleted",
                target.name
            );
            return Err(ApiError::forbidden("", "namespaces", target.name, message));
        }
        let mut new = Value::clone(&old);
        finalizers(&mut new, options.propagation);
        if collection == CRDS {
            self.ends_objects(&mut new);
        }
        let grace = grace(&collection, &old, options);
        let waits = grace > 0
            || !items(&new, &["metadata", "finalizers"]).is_empty()
            || (collection == "/namespaces" && !items(&new, &["spec", "finalizers"]).is_empty());
        if options.dry_run {
            return Ok((old, !waits));
        }
        if !waits {
            let last = self
                .storage
                .delete(&collection, target.namespace, target.name)
                .map_err(|error| target.error(error))?;
            self.finish(&collection)?;
            return Ok((last, true));
        }
        if !object::terminating(&old) {
            set(&mut new, &["metadata", "deletionTimestamp"], self.now());
        }
        set(&mut new, &["metadata", "deletionGracePeriodSeconds"], grace);
        if collection == "/namespaces" {
            set(&mut new, &["status", "phase"], "Terminating");
        }
        let options = WriteOptions::controller();
        let (now, api_version) = (self.now(), target.resource.api_version());
        let change = change(&options, "", target.resource, &now, &api_version);
        let mut managers = Managers::of(&old);
        managers.update(target.resource.schema(), &old, &new, &change);
        let object = self.store_changed(target, &old, new, &managers, false)?;
        Ok((object, false))
    }

    /// A definition goes after its objects: it waits for that from its deletion on
    /// (`apiextensions-apiserver`, `pkg/registry/customresourcedefinition/etcd.go`).
    fn ends_objects(&self, definition: &mut Value) {
        let mut all = items(definition, &["metadata", "finalizers"]).to_vec();
        if all.iter().any(|one| one == CLEANUP) {
            return;
        }
        all.push(CLEANUP.into());
        set(definition, &["metadata", "finalizers"], all);
        let mut conditions = items(definition, &["status", "conditions"]).to_vec();
        conditions.retain(|one| one["type"] != "Terminating");
        conditions.push(json!({
            "type": "Terminating",
            "status": "True",
            "lastTransitionTime": self.now(),
            "reason": "InstanceDeletionPending",
            "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
        }));
        set(definition, &["status", "conditions"], conditions);
    }

    /// Removes an object whose waiting is over, whatever its finalizers. For controllers.
    pub(crate) fn erase(&self, collection: &str, object: &Value) {
        let _writing = self.writing();
        let (namespace, name) = (object::namespace(object), object::name(object));
        let same = self
            .storage
            .get(collection, namespace, name)
            .is_some_and(|found| object::uid(&found) == object::uid(object));
        if same && self.storage.delete(collection, namespace, name).is_ok() {
            // A failed write is reported by the next one that a client waits for.
            drop(self.finish(collection));
        }
    }
}

/// The uid and the resource version that a client deletes.
fn preconditions(target: Target<'_>, old: &Value, options: &DeleteOptions) -> Result<(), ApiError> {
    for (wanted, field, shown, since) in [
        (&options.uid, "uid", "UID", "deleted and then recreated"),
        (
            &options.resource_version,
            "resourceVersion",
            "ResourceVersion",
            "modified",
        ),
    ] {
        let found = text(old, &["metadata", field]).unwrap_or_default();
        if let Some(wanted) = wanted
            && found != wanted
        {
            let (kind, name) = (&target.resource.kind, target.name);
            let why = format!(
                "the {shown} in the precondition ({wanted}) does not match the {shown} in record ({found}). The object might have been {since}"
            );
            let mut error = target.conflict(&why);
            error.message = format!("Operation cannot be fulfilled on {kind} \"{name}\": {why}");
            return Err(error);
        }
    }
    Ok(())
}

fn finalizers(object: &mut Value, propagation: Propagation) {
    let added = match propagation {
        Propagation::Background => return,
        Propagation::Foreground => "foregroundDeletion",
        Propagation::Orphan => "orphan",
    };
    let mut list = items(object, &["metadata", "finalizers"]).to_vec();
    if !list.contains(&json!(added)) {
        list.push(added.into());
    }
    set(object, &["metadata", "finalizers"], list);
}

/// Seconds a pod gets to end; only pods that a node runs wait.
fn grace(collection: &str, object: &Value, options: &DeleteOptions) -> i64 {
    let running = text(object, &["spec", "nodeName"]).is_some_and(|node| !node.is_empty())
        && !object::ended(object);
    if collection != "/pods" || !running {
        return 0;
    }
    options
        .grace_seconds
        .or_else(|| object::number(object, &["spec", "terminationGracePeriodSeconds"]))
        .unwrap_or(GRACE_SECONDS)
        .max(0)
}
