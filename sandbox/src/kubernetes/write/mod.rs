//! Creating and changing objects: what the HTTP verbs and the controllers both go through.

mod delete;
mod patch;
mod scale;

use serde_json::Value;

pub(crate) use delete::{DeleteOptions, Propagation};
pub(crate) use patch::Patch;
pub(crate) use scale::{scale_of, set_scale};

use super::admission::{self, FieldValidation};
use super::apiserver::{ApiServer, CONTROLLER, CRDS};
use super::managed_fields::{Change, Managers};
use super::object::{self, Object, items, remove, set, text};
use super::resources::ResourceType;
use super::status::ApiError;
use super::storage::{WriteError, resource_version};

/// Who writes, and how.
#[derive(Clone, Debug, Default)]
pub(crate) struct WriteOptions {
    /// Field manager.
    pub(crate) manager: String,
    pub(crate) dry_run: bool,
    pub(crate) validation: FieldValidation,
    /// Server-side apply takes fields of other managers.
    pub(crate) force: bool,
}

impl WriteOptions {
    /// The server's own controllers.
    pub(crate) fn controller() -> WriteOptions {
        WriteOptions {
            manager: CONTROLLER.to_owned(),
            validation: FieldValidation::Ignore,
            ..WriteOptions::default()
        }
    }
}

/// The outcome of a write.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) object: Object,
    pub(crate) created: bool,
    pub(crate) warnings: Vec<String>,
}

/// An object's place: resource, namespace (empty for the whole cluster), name, subresource.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) resource: &'a ResourceType,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    /// Empty for the object itself.
    pub(crate) subresource: &'a str,
}

impl Target<'_> {
    fn missing(&self) -> ApiError {
        ApiError::not_found(&self.resource.group, &self.resource.plural, self.name)
    }

    fn stale(&self) -> ApiError {
        ApiError::modified(&self.resource.group, &self.resource.plural, self.name)
    }

    fn conflict(&self, why: &str) -> ApiError {
        ApiError::conflict(&self.resource.group, &self.resource.plural, self.name, why)
    }

    fn error(&self, error: WriteError) -> ApiError {
        match error {
            WriteError::Exists => {
                ApiError::already_exists(&self.resource.group, &self.resource.plural, self.name)
            }
            WriteError::Missing => self.missing(),
            WriteError::Stale => self.stale(),
            WriteError::Store(error) => {
                ApiError::internal(format!("the object could not be stored: {error}"))
            }
        }
    }
}

impl ApiServer {
    /// The stored object, at the version of the resource.
    pub(crate) fn read(&self, target: Target<'_>) -> Result<Object, ApiError> {
        let collection = target.resource.storage_key();
        let found = self.storage.get(&collection, target.namespace, target.name);
        found
            .map(|object| ApiServer::shown(target.resource, &object))
            .ok_or_else(|| target.missing())
    }

    /// Creates an object; its name may be generated.
    pub(crate) fn create(
        &self,
        resource: &ResourceType,
        namespace: &str,
        mut object: Value,
        options: &WriteOptions,
    ) -> Result<Written, ApiError> {
        let _writing = self.writing();
        let warnings = admission::decode(resource, &mut object, options.validation)?;
        self.name_new(resource, namespace, &mut object)?;
        if resource.status {
            remove(&mut object, &["status"]);
        }
        self.stamp(resource, &mut object);
        admission::complete(self, resource, &mut object, None)?;
        let mut managers = Managers::default();
        let empty = Value::Object(serde_json::Map::new());
        let (now, api_version) = (self.now(), resource.api_version());
        let change = change(options, "", resource, &now, &api_version);
        managers.update(
            resource.schema(),
            &empty,
            &object,
            &Change {
                has_status: false,
                ..change
            },
        );
        set(
            &mut object,
            &["metadata", "managedFields"],
            managers.to_json(),
        );
        let name = object::name(&object).to_owned();
        let target = Target {
            resource,
            namespace,
            name: &name,
            subresource: "",
        };
        let object = self.store_new(target, object, options.dry_run)?;
        Ok(Written {
            object,
            created: true,
            warnings,
        })
    }

    /// Namespace and name of a new object.
    fn name_new(
        &self,
        resource: &ResourceType,
        namespace: &str,
        object: &mut Value,
    ) -> Result<(), ApiError> {
        if text(object, &["metadata", "resourceVersion"]).is_some_and(|version| !version.is_empty())
        {
            return Err(ApiError::bare(
                "resourceVersion should not be set on objects to be created",
            ));
        }
        let own = object::namespace(object);
        if resource.namespaced {
            if !own.is_empty() && own != namespace {
                return Err(ApiError::bad_request(
                    "the namespace of the provided object does not match the namespace sent on the request",
                ));
            }
            set(object, &["metadata", "namespace"], namespace);
            self.open_namespace(resource, namespace, object::name(object))?;
        } else {
            remove(object, &["metadata", "namespace"]);
        }
        if object::name(object).is_empty()
            && let Some(prefix) = text(object, &["metadata", "generateName"]).map(str::to_owned)
        {
            set(
                object,
                &["metadata", "name"],
                format!("{prefix}{}", self.suffix()),
            );
        }
        Ok(())
    }

    /// New content needs a namespace that exists and stays.
    fn open_namespace(
        &self,
        resource: &ResourceType,
        namespace: &str,
        name: &str,
    ) -> Result<(), ApiError> {
        let Some(found) = self.storage.get("/namespaces", "", namespace) else {
            return Err(ApiError::not_found("", "namespaces", namespace));
        };
        if !object::terminating(&found) {
            return Ok(());
        }
        let message = format!(
            "{} \"{name}\" is forbidden: unable to create new content in namespace {namespace} because it is being terminated",
            resource.qualified()
        );
        Err(ApiError::forbidden(
            &resource.group,
            &resource.plural,
            name,
            message,
        ))
    }

    /// Server-set metadata of a new object.
    fn stamp(&self, resource: &ResourceType, object: &mut Value) {
        for field in [
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "generation",
            "managedFields",
            "selfLink",
        ] {
            remove(object, &["metadata", field]);
        }
        set(object, &["metadata", "uid"], self.rng.uuid());
        set(object, &["metadata", "creationTimestamp"], self.now());
        if resource.counts_generation() {
            set(object, &["metadata", "generation"], 1);
        }
    }

    fn store_new(
        &self,
        target: Target<'_>,
        mut object: Value,
        dry_run: bool,
    ) -> Result<Object, ApiError> {
        let collection = target.resource.storage_key();
        if self
            .storage
            .get(&collection, target.namespace, target.name)
            .is_some()
        {
            return Err(target.error(WriteError::Exists));
        }
        if dry_run {
            remove(&mut object, &["metadata", "resourceVersion"]);
            return Ok(Object::new(object));
        }
        object["apiVersion"] = self.storage_version(target.resource).into();
        let stored = self
            .storage
            .create(&collection, object)
            .map_err(|error| target.error(error))?;
        self.finish(&collection)?;
        Ok(ApiServer::shown(target.resource, &stored))
    }

    /// Makes writes durable, and the catalogue follow its definitions.
    fn finish(&self, collection: &str) -> Result<(), ApiError> {
        if collection == CRDS {
            self.refresh_catalogue();
        }
        self.storage
            .sync()
            .map_err(|error| ApiError::internal(format!("the object could not be stored: {error}")))
    }

    /// Replaces an object or its status.
    pub(crate) fn update(
        &self,
        target: Target<'_>,
        mut object: Value,
        options: &WriteOptions,
    ) -> Result<Written, ApiError> {
        let _writing = self.writing();
        let warnings = admission::decode(target.resource, &mut object, options.validation)?;
        let old = self.read(target)?;
        let object = self.replace(target, &old, object, options)?;
        Ok(Written {
            object,
            created: false,
            warnings,
        })
    }

    /// Replaces `old` by a decoded object. The caller holds the write lock.
    fn replace(
        &self,
        target: Target<'_>,
        old: &Object,
        object: Value,
        options: &WriteOptions,
    ) -> Result<Object, ApiError> {
        preconditions(target, old, &object)?;
        let resets = items(&object, &["metadata", "managedFields"])
            .iter()
            .all(|entry| entry.get("manager").is_none())
            && object::at(&object, &["metadata", "managedFields"]).is_some_and(Value::is_array);
        // Clients may rewrite who owns what: kubectl does when it hands fields over to apply.
        let given = Managers::of(&object);
        let mut new = desired(target, old, object);
        admission::complete(self, target.resource, &mut new, Some(old))?;
        let mut managers = match (resets, given.is_empty()) {
            (true, _) => Managers::default(),
            (false, true) => Managers::of(old),
            (false, false) => given,
        };
        let (now, api_version) = (self.now(), target.resource.api_version());
        let change = change(
            options,
            target.subresource,
            target.resource,
            &now,
            &api_version,
        );
        managers.update(target.resource.schema(), old, &new, &change);
        self.store_changed(target, old, new, &managers, options.dry_run)
    }

    /// Stores what changed, or nothing when nothing did.
    fn store_changed(
        &self,
        target: Target<'_>,
        old: &Object,
        mut new: Value,
        managers: &Managers,
        dry_run: bool,
    ) -> Result<Object, ApiError> {
        admission::count_generation(target.resource, &mut new, old);
        let bare = |object: &Value| {
            let mut object = object.clone();
            remove(&mut object, &["metadata", "managedFields"]);
            remove(&mut object, &["metadata", "resourceVersion"]);
            object
        };
        if bare(&new) == bare(old) && managers.same_fields(&Managers::of(old)) {
            return Ok(old.clone());
        }
        set(&mut new, &["metadata", "managedFields"], managers.to_json());
        set(
            &mut new,
            &["metadata", "resourceVersion"],
            resource_version(old).to_string(),
        );
        if dry_run {
            return Ok(Object::new(new));
        }
        let collection = target.resource.storage_key();
        let done = object::terminating(&new) && items(&new, &["metadata", "finalizers"]).is_empty();
        new["apiVersion"] = self.storage_version(target.resource).into();
        let graceful =
            object::number(&new, &["metadata", "deletionGracePeriodSeconds"]).unwrap_or(0) > 0;
        let kept = collection == "/namespaces" && !items(&new, &["spec", "finalizers"]).is_empty();
        let stored = self
            .storage
            .update(&collection, new)
            .map_err(|error| target.error(error))?;
        if done && !graceful && !kept {
            let name = object::name(&stored).to_owned();
            self.storage
                .delete(&collection, target.namespace, &name)
                .map_err(|error| target.error(error))?;
        }
        self.finish(&collection)?;
        Ok(ApiServer::shown(target.resource, &stored))
    }

    /// Changes an object's status (or, for controllers, anything) in place, as the server itself.
    /// Nothing happens when the object is gone or nothing changes; gives whether it changed.
    pub(crate) fn adjust(
        &self,
        collection: &str,
        object: &Value,
        change_it: impl FnOnce(&mut Value),
    ) -> bool {
        let _writing = self.writing();
        let catalogue = self.catalogue();
        let (namespace, name) = (object::namespace(object), object::name(object));
        let (Some(old), Some(resource)) = (
            self.storage.get(collection, namespace, name),
            catalogue.stored(collection),
        ) else {
            return false;
        };
        if object::uid(&old) != object::uid(object) {
            return false;
        }
        let mut new = Value::clone(&old);
        change_it(&mut new);
        if new == *old {
            return false;
        }
        let only_status = {
            let without = |object: &Value| {
                let mut object = object.clone();
                remove(&mut object, &["status"]);
                object
            };
            resource.status && without(&new) == without(&old)
        };
        let options = WriteOptions::controller();
        let (now, api_version) = (self.now(), resource.api_version());
        let subresource = if only_status { "status" } else { "" };
        let change = change(&options, subresource, &resource, &now, &api_version);
        let mut managers = Managers::of(&old);
        managers.update(resource.schema(), &old, &new, &change);
        let target = Target {
            resource: &resource,
            namespace,
            name,
            subresource,
        };
        self.store_changed(target, &old, new, &managers, false)
            .is_ok()
    }
}

fn change<'a>(
    options: &'a WriteOptions,
    subresource: &'a str,
    resource: &ResourceType,
    now: &'a str,
    api_version: &'a str,
) -> Change<'a> {
    Change {
        manager: &options.manager,
        api_version,
        subresource,
        now,
        has_status: resource.status,
    }
}

/// A named resource version or uid must be the stored one, and a named name the path's.
fn preconditions(target: Target<'_>, old: &Value, object: &Value) -> Result<(), ApiError> {
    let name = object::name(object);
    if !name.is_empty() && name != target.name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            target.name
        )));
    }
    let version = text(object, &["metadata", "resourceVersion"]).unwrap_or_default();
    if !version.is_empty() && version.parse::<u64>().is_err() {
        return Err(ApiError::bare(format!(
            "strconv.ParseUint: parsing \"{version}\": invalid syntax"
        )));
    }
    if !version.is_empty() && Some(version) != text(old, &["metadata", "resourceVersion"]) {
        return Err(target.stale());
    }
    let uid = object::uid(object);
    if !uid.is_empty() && uid != object::uid(old) {
        let why = format!(
            "StorageError: invalid object, Code: 4, AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            object::uid(old)
        );
        return Err(target.conflict(&why));
    }
    Ok(())
}

/// The object a request may make of the stored one: status and the rest only change through
/// their own endpoints.
fn desired(target: Target<'_>, old: &Value, object: Value) -> Value {
    if target.subresource == "status" {
        let mut new = old.clone();
        match object.get("status") {
            Some(status) => set(&mut new, &["status"], status.clone()),
            None => drop(remove(&mut new, &["status"])),
        }
        return new;
    }
    if target.subresource == "finalize" {
        let mut new = old.clone();
        let finalizers = object::at(&object, &["spec", "finalizers"]).cloned();
        set(
            &mut new,
            &["spec", "finalizers"],
            finalizers.unwrap_or_else(|| Value::Array(Vec::new())),
        );
        return new;
    }
    let mut new = object;
    set(&mut new, &["metadata", "name"], target.name);
    if target.resource.namespaced {
        set(&mut new, &["metadata", "namespace"], target.namespace);
    }
    admission::keep_metadata(&mut new, old);
    if target.resource.status {
        match old.get("status") {
            Some(status) => set(&mut new, &["status"], status.clone()),
            None => drop(remove(&mut new, &["status"])),
        }
    }
    new
}
