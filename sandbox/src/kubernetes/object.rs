//! Reading and writing parts of Kubernetes objects, which are kept as JSON trees.

use std::sync::Arc;

use serde_json::{Map, Value};

/// A stored object. Shared, because lists and watches hand out the same trees.
pub(crate) type Object = Arc<Value>;

/// The value at a path of map keys.
pub(crate) fn at<'a>(object: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, key| value.get(key))
}

/// The string at a path, or nothing when it is absent or of another type.
pub(crate) fn text<'a>(object: &'a Value, path: &[&str]) -> Option<&'a str> {
    at(object, path).and_then(Value::as_str)
}

/// The integer at a path.
pub(crate) fn number(object: &Value, path: &[&str]) -> Option<i64> {
    at(object, path).and_then(Value::as_i64)
}

/// The boolean at a path; absent counts as false.
pub(crate) fn flag(object: &Value, path: &[&str]) -> bool {
    at(object, path).and_then(Value::as_bool).unwrap_or(false)
}

/// The list at a path; absent counts as empty.
pub(crate) fn items<'a>(object: &'a Value, path: &[&str]) -> &'a [Value] {
    at(object, path)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The map at a path, if there is one.
pub(crate) fn map<'a>(object: &'a Value, path: &[&str]) -> Option<&'a Map<String, Value>> {
    at(object, path).and_then(Value::as_object)
}

/// Turns the value into a map if it is none and gives it.
pub(crate) fn as_map(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        // Unreachable: made a map two lines above; a leaked empty map keeps this total.
        _ => Box::leak(Box::default()),
    }
}

/// The map at a path, created on the way.
pub(crate) fn map_mut<'a>(object: &'a mut Value, path: &[&str]) -> &'a mut Map<String, Value> {
    let mut value = object;
    for key in path {
        value = as_map(value).entry(*key).or_insert(Value::Null);
    }
    as_map(value)
}

/// Sets the value at a path, creating maps on the way.
pub(crate) fn set(object: &mut Value, path: &[&str], value: impl Into<Value>) {
    if let Some((last, parents)) = path.split_last() {
        map_mut(object, parents).insert((*last).to_owned(), value.into());
    }
}

/// Sets the value at a path unless something stands there already.
pub(crate) fn set_default(object: &mut Value, path: &[&str], value: impl Into<Value>) {
    if at(object, path).is_none_or(Value::is_null) {
        set(object, path, value);
    }
}

/// Removes the value at a path and gives it.
pub(crate) fn remove(object: &mut Value, path: &[&str]) -> Option<Value> {
    let (last, parents) = path.split_last()?;
    let mut value = object;
    for key in parents {
        value = value.get_mut(key)?;
    }
    value.as_object_mut()?.remove(*last)
}

/// `metadata.name`, or the empty string.
pub(crate) fn name(object: &Value) -> &str {
    text(object, &["metadata", "name"]).unwrap_or_default()
}

/// `metadata.namespace`, or the empty string for objects of the whole cluster.
pub(crate) fn namespace(object: &Value) -> &str {
    text(object, &["metadata", "namespace"]).unwrap_or_default()
}

/// `metadata.uid`, or the empty string.
pub(crate) fn uid(object: &Value) -> &str {
    text(object, &["metadata", "uid"]).unwrap_or_default()
}

/// Whether deletion has begun and waits for finalizers.
pub(crate) fn terminating(object: &Value) -> bool {
    text(object, &["metadata", "deletionTimestamp"]).is_some()
}

/// A label's value.
pub(crate) fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    text(object, &["metadata", "labels", key])
}

/// An annotation's value.
pub(crate) fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    text(object, &["metadata", "annotations", key])
}

/// The status of a condition in `status.conditions`.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a str> {
    items(object, &["status", "conditions"])
        .iter()
        .find(|condition| text(condition, &["type"]) == Some(kind))
        .and_then(|condition| text(condition, &["status"]))
}

/// Whether the condition stands at `True`.
pub(crate) fn is_true(object: &Value, kind: &str) -> bool {
    condition(object, kind) == Some("True")
}

/// Whether a pod serves.
pub(crate) fn serves(pod: &Value) -> bool {
    !terminating(pod) && is_true(pod, "Ready")
}

/// Whether a pod has run to its end.
pub(crate) fn ended(pod: &Value) -> bool {
    matches!(
        text(pod, &["status", "phase"]),
        Some("Succeeded" | "Failed")
    )
}

/// An owner reference that names the controller of an object.
pub(crate) fn controller_reference(owner: &Value) -> Value {
    serde_json::json!({
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name(owner),
        "uid": uid(owner),
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// Whether `object` is controlled by the object with this uid.
pub(crate) fn controlled_by(object: &Value, owner_uid: &str) -> bool {
    items(object, &["metadata", "ownerReferences"])
        .iter()
        .any(|owner| text(owner, &["uid"]) == Some(owner_uid) && flag(owner, &["controller"]))
}

/// The value without empty maps and nulls at map keys, to compare what a merge may leave empty.
pub(crate) fn without_empty(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, value)| (key.clone(), without_empty(value)))
                .filter(|(_, value)| {
                    !value.is_null() && value.as_object().is_none_or(|m| !m.is_empty())
                })
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(without_empty).collect()),
        other => other.clone(),
    }
}
