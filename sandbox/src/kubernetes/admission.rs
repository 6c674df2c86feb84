//! What happens to an object between decoding and storing: types, pruning, defaults, rules.

use serde_json::Value;

use super::apiserver::ApiServer;
use super::object::{self, map, set, text};
use super::resources::ResourceType;
use super::schema::validate::{Level, validate};
use super::schema::{Schema, defaults as schema_defaults, prune};
use super::status::{ApiError, Cause};
use super::{defaults, names, rules};

/// What to do about undeclared fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    Ignore,
    #[default]
    Warn,
    Strict,
}

/// Checks types and removes what is not declared; gives warnings.
pub(crate) fn decode(
    resource: &ResourceType,
    object: &mut Value,
    validation: FieldValidation,
) -> Result<Vec<String>, ApiError> {
    identity(resource, object)?;
    let schema = resource.schema();
    let metadata = schema.child("metadata").schema();
    if let Some(meta) = object.get_mut("metadata") {
        prune::drop_nulls(metadata, meta);
    }
    if resource.custom().is_none() {
        prune::drop_nulls(schema, object);
        if let Some(cause) = validate(schema, object, Level::Types).first() {
            let (kind, version) = (&resource.kind, &resource.version);
            return Err(ApiError::bad_request(format!(
                "{kind} in version \"{version}\" cannot be handled as a {kind}: {}: {}",
                cause.field, cause.message
            )));
        }
        if let Some(why) = rules::undecodable(&resource.storage_key(), object) {
            let (kind, version) = (&resource.kind, &resource.version);
            return Err(ApiError::bad_request(format!(
                "{kind} in version \"{version}\" cannot be handled as a {kind}: {why}"
            )));
        }
    }
    let unknown = prune::prune(schema, object);
    let complaints: Vec<String> = unknown
        .iter()
        .map(|path| format!("unknown field \"{path}\""))
        .collect();
    match validation {
        FieldValidation::Strict if !complaints.is_empty() => {
            let message = format!("strict decoding error: {}", complaints.join(", "));
            Err(ApiError::bad_request(format!(
                "{} in version \"{}\" cannot be handled as a {}: {message}",
                resource.kind, resource.version, resource.kind
            )))
        }
        FieldValidation::Warn => Ok(complaints),
        _ => Ok(Vec::new()),
    }
}

/// The body must be of the path's kind; kind and version may be left out.
fn identity(resource: &ResourceType, object: &mut Value) -> Result<(), ApiError> {
    if !object.is_object() {
        return Err(ApiError::bad_request(
            "the body of the request must be a JSON object",
        ));
    }
    let (wanted, kind) = (
        resource.api_version(),
        text(object, &["kind"]).unwrap_or(&resource.kind),
    );
    let version = text(object, &["apiVersion"]).unwrap_or(&wanted);
    if kind != resource.kind || version != wanted {
        return Err(ApiError::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): {version}, Kind={kind} does not match {wanted}, Kind={}",
            resource.kind, resource.kind
        )));
    }
    set(object, &["kind"], resource.kind.clone());
    set(object, &["apiVersion"], wanted);
    Ok(())
}

/// Undeclared or mistyped fields of an applied configuration, which apply never tolerates.
pub(crate) fn typed_configuration(
    resource: &ResourceType,
    config: &mut Value,
) -> Result<(), ApiError> {
    identity(resource, config)?;
    let schema = resource.schema();
    prune::drop_nulls(schema, config);
    let mut causes: Vec<String> = validate(schema, config, Level::Types)
        .into_iter()
        .map(|cause| format!(".{}: {}", cause.field, cause.message))
        .collect();
    let unknown = prune::prune(schema, &mut config.clone());
    causes.extend(
        unknown
            .into_iter()
            .map(|path| format!(".{path}: field not declared in schema")),
    );
    if causes.is_empty() {
        return Ok(());
    }
    let place = match (object::namespace(config), object::name(config)) {
        ("", name) => name.to_owned(),
        (namespace, name) => format!("{namespace}/{name}"),
    };
    let list = match causes.as_slice() {
        [only] => only.clone(),
        many => format!("errors:\n  {}", many.join("\n  ")),
    };
    let version = resource.api_version();
    let mut error = ApiError::internal(format!(
        "failed to create typed patch object ({place}; {version}, Kind={}): {list}",
        resource.kind
    ));
    error.reason = "";
    Err(error)
}

/// Fills in defaults and checks everything that makes an object `Invalid`.
pub(crate) fn complete(
    server: &ApiServer,
    resource: &ResourceType,
    object: &mut Value,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    let collection = resource.storage_key();
    let mut causes = names::check(resource, object);
    if resource.custom().is_some() {
        schema_defaults::fill(resource.schema(), object);
        causes.extend(validate(resource.schema(), object, Level::Full));
    } else {
        causes.extend(duplicates(resource.schema(), object));
        defaults::fill(server, &collection, object, old);
        causes.extend(rules::check(&collection, object, old));
    }
    if causes.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid(
        &resource.group,
        &resource.kind,
        object::name(object),
        &causes,
    ))
}

/// Items of built-in lists that share their key.
fn duplicates(schema: Schema<'_>, object: &Value) -> Vec<Cause> {
    validate(schema, object, Level::Types)
        .into_iter()
        .filter(|cause| cause.reason == "FieldValueDuplicate" && strict_list(&cause.field))
        .collect()
}

/// Lists whose duplicates the real validation refuses; others, such as `env`, it lets pass.
fn strict_list(field: &str) -> bool {
    ["containers[", "volumes[", "volumeMounts["]
        .iter()
        .any(|list| {
            field
                .rsplit('.')
                .next()
                .is_some_and(|last| last.starts_with(list))
        })
}

/// What `metadata` must keep from the stored object.
pub(crate) fn keep_metadata(object: &mut Value, old: &Value) {
    for field in [
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "generateName",
        "managedFields",
        "selfLink",
    ] {
        match object::at(old, &["metadata", field]) {
            Some(value) => set(object, &["metadata", field], value.clone()),
            None => {
                object::remove(object, &["metadata", field]);
            }
        }
    }
    if object::namespace(old).is_empty() {
        object::remove(object, &["metadata", "namespace"]);
    }
    // An empty map and no map are the same to the API types.
    for field in ["labels", "annotations"] {
        if map(object, &["metadata", field]).is_some_and(serde_json::Map::is_empty) {
            object::remove(object, &["metadata", field]);
        }
    }
}

/// Counts up `metadata.generation` when the desired state changed.
pub(crate) fn count_generation(resource: &ResourceType, object: &mut Value, old: &Value) {
    if !resource.counts_generation() {
        return;
    }
    let desired = |object: &Value| -> Value {
        let mut map = object.as_object().cloned().unwrap_or_default();
        for key in ["metadata", "apiVersion", "kind"] {
            map.remove(key);
        }
        if resource.status {
            map.remove("status");
        }
        Value::Object(map)
    };
    if desired(object) != desired(old) {
        let generation = object::number(old, &["metadata", "generation"]).unwrap_or(1);
        set(object, &["metadata", "generation"], generation + 1);
    }
}
