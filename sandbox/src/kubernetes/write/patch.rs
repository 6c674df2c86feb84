//! `PATCH` in its four forms.

use serde_json::{Map, Value, json};

use super::{Target, WriteOptions, Written, change};
use crate::kubernetes::admission;
use crate::kubernetes::apiserver::ApiServer;
use crate::kubernetes::managed_fields::{Change, Managers};
use crate::kubernetes::object::{self, items, remove, set, text};
use crate::kubernetes::patch::{json, merge, strategic};
use crate::kubernetes::resources::ResourceType;
use crate::kubernetes::status::{ApiError, Cause};

/// A patch by its media type.
#[derive(Clone, Debug)]
pub(crate) enum Patch {
    Json(Value),
    Merge(Value),
    Strategic(Value),
    /// Server-side apply of a whole configuration.
    Apply(Value),
}

/// What is wrong with a patched built-in object is said of the patch, with the object it made.
fn refused(resource: &ResourceType, patched: &Value, error: ApiError) -> ApiError {
    let why = match error
        .message
        .split_once(&format!(" as a {}: ", resource.kind))
    {
        Some((_, why)) if error.code == 400 && resource.custom().is_none() => why,
        _ => return error,
    };
    let shown = Value::from(patched.to_string());
    let cause = Cause::invalid("patch", &shown, why);
    ApiError::invalid("", "", "", &[cause])
}

/// The conflicts that remain when kubectl goes over from applying on its own side: what its last
/// configuration named was its own.
fn not_last_applied(
    resource: &ResourceType,
    old: &Value,
    options: &WriteOptions,
    conflicts: Vec<Cause>,
) -> Vec<Cause> {
    const LAST: &str = "kubectl.kubernetes.io/last-applied-configuration";
    let last = object::annotation(old, LAST)
        .filter(|_| options.manager == "kubectl")
        .and_then(|text| serde_json::from_str::<Value>(text).ok());
    let Some(last) = last else {
        return conflicts;
    };
    let named = Managers::named(resource.schema(), &last);
    let mut left = conflicts;
    left.retain(|conflict| !named.contains(&conflict.field));
    left
}

impl ApiServer {
    /// Patches an object or its status; apply may create it.
    pub(crate) fn patch(
        &self,
        target: Target<'_>,
        patch: Patch,
        options: &WriteOptions,
    ) -> Result<Written, ApiError> {
        let _writing = self.writing();
        let patch = match patch {
            Patch::Apply(config) => return self.apply(target, config, options),
            other => other,
        };
        let old = self.read(target)?;
        let mut object = Value::clone(&old);
        match &patch {
            Patch::Json(patch) => {
                if !patch.is_array() {
                    return Err(ApiError::bad_request(
                        "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp",
                    ));
                }
                json::apply(&mut object, patch).map_err(|_| ApiError::unfit_patch())?;
            }
            Patch::Merge(patch) => merge::apply(&mut object, patch),
            Patch::Strategic(patch) => {
                strategic::apply(target.resource.schema(), &mut object, patch)
                    .map_err(ApiError::bare)?;
            }
            Patch::Apply(_) => {}
        }
        let patched = object.clone();
        let warnings = admission::decode(target.resource, &mut object, options.validation)
            .map_err(|error| refused(target.resource, &patched, error))?;
        let object = self.replace(target, &old, object, options)?;
        Ok(Written {
            object,
            created: false,
            warnings,
        })
    }

    fn apply(
        &self,
        target: Target<'_>,
        mut config: Value,
        options: &WriteOptions,
    ) -> Result<Written, ApiError> {
        if !items(&config, &["metadata", "managedFields"]).is_empty() {
            return Err(ApiError::bad_request("metadata.managedFields must be nil"));
        }
        admission::typed_configuration(target.resource, &mut config)?;
        if object::name(&config).is_empty() {
            set(&mut config, &["metadata", "name"], target.name);
        }
        if target.resource.namespaced {
            let own = object::namespace(&config);
            if !own.is_empty() && own != target.namespace {
                return Err(ApiError::bad_request(
                    "the namespace of the provided object does not match the namespace sent on the request",
                ));
            }
        } else {
            remove(&mut config, &["metadata", "namespace"]);
        }
        if target.resource.status && target.subresource.is_empty() {
            remove(&mut config, &["status"]);
        }
        match self.read(target) {
            Ok(old) => self.apply_over(target, &old, &config, options),
            Err(error) if error.code == 404 && target.subresource.is_empty() => {
                self.apply_new(target, config, options)
            }
            Err(error) => Err(error),
        }
    }

    fn apply_over(
        &self,
        target: Target<'_>,
        old: &object::Object,
        config: &Value,
        options: &WriteOptions,
    ) -> Result<Written, ApiError> {
        super::preconditions(target, old, config)?;
        let mut managers = Managers::of(old);
        let (now, api_version) = (self.now(), target.resource.api_version());
        let change = change(
            options,
            target.subresource,
            target.resource,
            &now,
            &api_version,
        );
        let base = ApiServer::unstamped(config);
        let merged = managers
            .apply(target.resource.schema(), old, &base, &change, options.force)
            .or_else(|conflicts| {
                let left = not_last_applied(target.resource, old, options, conflicts);
                if left.is_empty() {
                    managers.apply(target.resource.schema(), old, &base, &change, true)
                } else {
                    Err(left)
                }
            })
            .map_err(|conflicts| ApiError::apply_conflict(&conflicts))?;
        let mut new = super::desired(target, old, merged);
        admission::complete(self, target.resource, &mut new, Some(old))?;
        let object = self.store_changed(target, old, new, &managers, options.dry_run)?;
        Ok(Written {
            object,
            created: false,
            warnings: Vec::new(),
        })
    }

    fn apply_new(
        &self,
        target: Target<'_>,
        config: Value,
        options: &WriteOptions,
    ) -> Result<Written, ApiError> {
        if !object::uid(&config).is_empty()
            || text(&config, &["metadata", "resourceVersion"]).is_some_and(|v| !v.is_empty())
        {
            return Err(target.conflict(
                "the object does not exist, but a uid or resourceVersion was specified",
            ));
        }
        let mut managers = Managers::default();
        let (now, api_version) = (self.now(), target.resource.api_version());
        let change = Change {
            has_status: target.resource.status,
            ..change(options, "", target.resource, &now, &api_version)
        };
        let empty = Value::Object(Map::new());
        let config = ApiServer::unstamped(&config);
        let mut object = managers
            .apply(target.resource.schema(), &empty, &config, &change, true)
            .map_err(|conflicts| ApiError::apply_conflict(&conflicts))?;
        self.name_new(target.resource, target.namespace, &mut object)?;
        self.stamp(target.resource, &mut object);
        admission::complete(self, target.resource, &mut object, None)?;
        set(
            &mut object,
            &["metadata", "managedFields"],
            managers.to_json(),
        );
        let object = self.store_new(target, object, options.dry_run)?;
        Ok(Written {
            object,
            created: true,
            warnings: Vec::new(),
        })
    }

    /// The configuration without metadata that only the server sets.
    fn unstamped(config: &Value) -> Value {
        let mut config = config.clone();
        let fields = [
            "creationTimestamp",
            "uid",
            "resourceVersion",
            "generation",
            "selfLink",
            "managedFields",
        ];
        for field in fields {
            remove(&mut config, &["metadata", field]);
        }
        if config.get("metadata").is_none() {
            config["metadata"] = json!({});
        }
        config
    }
}
