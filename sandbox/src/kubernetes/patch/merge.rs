//! JSON Merge Patch (RFC 7396).

use serde_json::Value;

use crate::kubernetes::object::as_map;

/// Lays the patch over the target; null removes.
pub(crate) fn apply(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    let map = as_map(target);
    for (key, value) in patch {
        if value.is_null() {
            map.remove(key);
        } else {
            apply(map.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nulls_remove_and_lists_replace() {
        let mut value = json!({"a": {"b": 1, "c": 2}, "l": [1, 2]});
        apply(
            &mut value,
            &json!({"a": {"b": null, "d": {"e": null}}, "l": [3]}),
        );
        assert_eq!(value, json!({"a": {"c": 2, "d": {}}, "l": [3]}));
    }
}
