//! What happens to an object between decoding and storing: types, pruning, defaults, rules.

use serde_json::Value;

use super::apiserver::ApiServer;
use super::object::{self, map, set, text};
use super::resources::{ResourceType, Types};
use super::schema::validate::{Level, validate};
use super::schema::{Kind, Schema, core, decode, defaults as schema_defaults, prune};
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
    let misfit = match &resource.types {
        Types::Core(definition) => {
            prune::drop_nulls(schema, object);
            decode::misfit(definition, object)
                .or_else(|| rules::undecodable(&resource.storage_key(), object))
        }
        Types::Custom(_) => object
            .get("metadata")
            .and_then(|metadata| decode::misfit(core::OBJECT_META, metadata)),
    };
    if let Some(why) = misfit {
        return Err(undecodable(resource, &why));
    }
    let unknown = prune::prune(schema, object);
    let complaints: Vec<String> = unknown
        .iter()
        .map(|path| format!("unknown field \"{path}\""))
        .collect();
    match validation {
        FieldValidation::Strict if !complaints.is_empty() => {
            let message = format!("strict decoding error: {}", complaints.join(", "));
            Err(undecodable(resource, &message))
        }
        FieldValidation::Warn => Ok(complaints),
        _ => Ok(Vec::new()),
    }
}

/// A body that is no object of its kind.
pub(crate) fn undecodable(resource: &ResourceType, why: &str) -> ApiError {
    let (kind, version) = (&resource.kind, &resource.version);
    ApiError::bad_request(format!(
        "{kind} in version \"{version}\" cannot be handled as a {kind}: {why}"
    ))
}

/// The body must be of the path's kind. Bodies of built-in kinds may leave kind and version out.
fn identity(resource: &ResourceType, object: &mut Value) -> Result<(), ApiError> {
    if !object.is_object() {
        return Err(ApiError::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse error: it is no JSON object",
            resource.kind
        )));
    }
    let wanted = resource.api_version();
    let custom = resource.custom().is_some();
    let kind = match text(object, &["kind"]).filter(|kind| !kind.is_empty()) {
        None if custom => {
            return Err(ApiError::bad_request(format!(
                "the object provided is unrecognized (must be of type {}): Object 'Kind' is missing",
                resource.kind
            )));
        }
        None => &resource.kind,
        Some(kind) => kind,
    };
    let given = text(object, &["apiVersion"]).filter(|version| !version.is_empty());
    let version = given.unwrap_or(&wanted);
    if custom && version != wanted {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({version}) does not match the expected API version ({wanted})"
        )));
    }
    if custom && kind != resource.kind {
        let why = format!("must be {}", resource.kind);
        let cause = Cause::invalid("kind", &kind.into(), &why);
        let name = object::name(object);
        return Err(ApiError::invalid(&resource.group, kind, name, &[cause]));
    }
    if kind != resource.kind || version != wanted {
        let short = version.rsplit('/').next().unwrap_or(version);
        return Err(ApiError::bad_request(format!(
            "{kind} in version \"{short}\" cannot be handled as a {}: no kind \"{kind}\" is registered for version \"{version}\" here",
            resource.kind
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
    let (version, kind) = (
        text(config, &["apiVersion"]).unwrap_or_default(),
        text(config, &["kind"]).unwrap_or_default(),
    );
    if version != resource.api_version() || kind != resource.kind {
        let shown = group_version(version);
        return Err(ApiError::bad_request(format!(
            "invalid object type: {shown}, Kind={kind}"
        )));
    }
    let schema = resource.schema();
    prune::drop_nulls(schema, config);
    let mut causes = Vec::new();
    for cause in validate(schema, config, Level::Types) {
        if cause.reason == "FieldValueDuplicate" {
            causes.push(twice(&cause));
        } else if resource.custom().is_none() {
            // The types of custom resources are checked with the rest of their schema.
            causes.push(format!(
                ".{}: {}",
                cause.field,
                applied(schema, config, &cause)
            ));
        }
    }
    let unknown = prune::prune(schema, &mut config.clone());
    causes.extend(
        unknown
            .into_iter()
            .map(|path| format!(".{path}: field not declared in schema")),
    );
    if causes.is_empty() {
        return Ok(());
    }
    let place = format!("{}/{}", object::namespace(config), object::name(config));
    let list = match causes.as_slice() {
        [only] => only.clone(),
        many => format!("errors:\n  {}", many.join("\n  ")),
    };
    Err(ApiError::bare(format!(
        "failed to create typed patch object ({place}; {}, Kind={}): {list}",
        group_version(&resource.api_version()),
        resource.kind
    )))
}

/// `apps/v1`, and `/v1` for the core group.
fn group_version(version: &str) -> String {
    if version.contains('/') {
        version.to_owned()
    } else {
        format!("/{version}")
    }
}

/// Two items of a list with the same key, in the words of the library that merges configurations.
fn twice(cause: &Cause) -> String {
    let list = cause.field.rsplit_once('[').map_or("", |(list, _)| list);
    let value = cause.message.trim_start_matches("Duplicate value: ");
    let key = match serde_json::from_str(value) {
        Ok(Value::Object(keys)) => {
            let pairs: Vec<String> = keys.iter().map(|(k, v)| format!("{k}={v}")).collect();
            format!("[{}]", pairs.join(","))
        }
        _ => format!("[={value}]"),
    };
    format!(".{list}: duplicate entries for key {key}")
}

/// A type error in the words of the library that merges configurations.
fn applied(schema: Schema<'_>, config: &Value, cause: &Cause) -> String {
    if cause.reason != "FieldValueTypeInvalid" {
        return cause.message.clone();
    }
    let (mut schema, mut value) = (schema, config);
    for key in cause.field.split('.') {
        let (key, indexes) = key.split_once('[').unwrap_or((key, ""));
        schema = schema.child(key).schema();
        value = &value[key];
        for index in indexes.split('[').filter(|index| !index.is_empty()) {
            let index: usize = index.trim_end_matches(']').parse().unwrap_or(0);
            schema = schema.items();
            value = &value[index];
        }
    }
    let go = match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    };
    match schema.kind() {
        Kind::Integer | Kind::Number => format!("expected numeric (int or float), got {go}"),
        Kind::Boolean => format!("expected boolean, got {value}"),
        Kind::String => format!("expected string, got {value}"),
        Kind::Array => format!("expected list, got {value}"),
        Kind::Object => format!("expected map, got {value}"),
        Kind::IntOrString | Kind::Any => cause.message.clone(),
    }
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
        prune::drop_nulls(resource.schema(), object);
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
