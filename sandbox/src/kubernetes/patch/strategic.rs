//! Strategic merge patch: lists of the built-in types merge by their patch keys.

use serde_json::{Map, Value};

use crate::kubernetes::object::as_map;
use crate::kubernetes::schema::Schema;

const DIRECTIVE: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";

/// Lays the patch over the target.
pub(crate) fn apply(schema: Schema<'_>, target: &mut Value, patch: &Value) -> Result<(), String> {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return Ok(());
    };
    match patch.get(DIRECTIVE).and_then(Value::as_str) {
        Some("replace") => {
            *target = Value::Object(plain(patch));
            return Ok(());
        }
        Some("delete") => {
            *target = Value::Object(Map::new());
            return Ok(());
        }
        Some("merge") | None => {}
        Some(other) => return Err(format!("unknown patch type: {other}")),
    }
    let map = as_map(target);
    if let Some(Value::Array(retained)) = patch.get(RETAIN) {
        map.retain(|key, _| retained.iter().any(|name| name.as_str() == Some(key)));
    }
    for (key, value) in patch.iter().filter(|(key, _)| !key.starts_with('$')) {
        if value.is_null() {
            map.remove(key);
            continue;
        }
        let below = schema.child(key).schema();
        let place = map.entry(key.clone()).or_insert(Value::Null);
        match (value, below.patch_merge_key()) {
            (Value::Array(items), Some("")) => merge_set(place, items),
            (Value::Array(items), Some(merge_key)) => merge_list(below, place, items, merge_key)?,
            (Value::Object(_), _) => apply(below, place, value)?,
            _ => *place = value.clone(),
        }
    }
    for (key, value) in patch {
        if let (Some(field), Value::Array(gone)) = (key.strip_prefix(DELETE_FROM), value)
            && let Some(Value::Array(list)) = map.get_mut(field)
        {
            list.retain(|item| !gone.contains(item));
        }
        if let (Some(field), Value::Array(order)) = (key.strip_prefix(ORDER), value)
            && let Some(Value::Array(list)) = map.get_mut(field)
        {
            let merge_key = schema
                .child(field)
                .schema()
                .patch_merge_key()
                .unwrap_or_default();
            reorder(list, order, merge_key);
        }
    }
    Ok(())
}

/// The patch without its directives, as a replacement.
fn plain(patch: &Map<String, Value>) -> Map<String, Value> {
    patch
        .iter()
        .filter(|(key, _)| !key.starts_with('$'))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

fn list_in(place: &mut Value) -> &mut Vec<Value> {
    if !place.is_array() {
        *place = Value::Array(Vec::new());
    }
    match place {
        Value::Array(list) => list,
        // Unreachable: made a list two lines above; a leaked empty list keeps this total.
        _ => Box::leak(Box::default()),
    }
}

fn merge_set(place: &mut Value, items: &[Value]) {
    let list = list_in(place);
    for item in items {
        if !list.contains(item) {
            list.push(item.clone());
        }
    }
}

fn merge_list(
    schema: Schema<'_>,
    place: &mut Value,
    items: &[Value],
    merge_key: &str,
) -> Result<(), String> {
    let list = list_in(place);
    let replace = items.iter().any(|i| {
        i.get(DIRECTIVE).and_then(Value::as_str) == Some("replace") && i.get(merge_key).is_none()
    });
    if replace {
        list.clear();
    }
    for item in items
        .iter()
        .filter(|item| item.get(merge_key).is_some() || !replace)
    {
        let Some(identity) = item.get(merge_key) else {
            return Err(format!(
                "map: {item} does not contain declared merge key: {merge_key}"
            ));
        };
        let found = list
            .iter()
            .position(|other| other.get(merge_key) == Some(identity));
        if item.get(DIRECTIVE).and_then(Value::as_str) == Some("delete") {
            list.retain(|other| other.get(merge_key) != Some(identity));
            continue;
        }
        match found {
            Some(at) => apply(schema.items(), &mut list[at], item)?,
            None => {
                let mut fresh = Value::Null;
                apply(schema.items(), &mut fresh, item)?;
                list.push(fresh);
            }
        }
    }
    Ok(())
}

/// Sorts the items an order names; others keep their places behind them.
fn reorder(list: &mut [Value], order: &[Value], merge_key: &str) {
    let place = |item: &Value| {
        order
            .iter()
            .position(|wanted| {
                if merge_key.is_empty() {
                    wanted == item
                } else {
                    wanted.get(merge_key) == item.get(merge_key)
                }
            })
            .unwrap_or(order.len())
    };
    list.sort_by_key(place);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kubernetes::schema::core::definition;

    fn patched(mut target: Value, patch: &Value) -> Value {
        apply(definition("io.k8s.api.core.v1.Pod"), &mut target, patch).unwrap();
        target
    }

    #[test]
    fn lists_merge_by_their_keys() {
        let pod = json!({"spec": {"containers": [
            {"name": "a", "image": "a:1", "ports": [{"containerPort": 80, "name": "web"}]},
            {"name": "b", "image": "b:1"},
        ], "tolerations": [{"key": "x"}]}});
        let patch = json!({"spec": {"containers": [
            {"name": "a", "image": "a:2", "ports": [{"containerPort": 81}]},
            {"name": "b", "$patch": "delete"},
            {"name": "c", "image": "c:1"},
        ], "tolerations": [{"key": "y"}]}});
        assert_eq!(
            patched(pod, &patch),
            json!({"spec": {"containers": [
                {"name": "a", "image": "a:2", "ports": [{"containerPort": 80, "name": "web"}, {"containerPort": 81}]},
                {"name": "c", "image": "c:1"},
            ], "tolerations": [{"key": "y"}]}})
        );
    }

    #[test]
    fn directives_replace_delete_and_order() {
        let pod = json!({"metadata": {"finalizers": ["a", "b"]},
            "spec": {"containers": [{"name": "a"}, {"name": "b"}], "nodeSelector": {"x": "1", "y": "2"}}});
        let patch = json!({
            "metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]},
            "spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}],
                     "containers": [{"name": "a", "image": "i"}],
                     "nodeSelector": {"$retainKeys": ["y"], "z": "3"}},
        });
        assert_eq!(
            patched(pod, &patch),
            json!({"metadata": {"finalizers": ["b", "c"]},
                "spec": {"containers": [{"name": "b"}, {"name": "a", "image": "i"}],
                         "nodeSelector": {"y": "2", "z": "3"}}})
        );
    }
}
