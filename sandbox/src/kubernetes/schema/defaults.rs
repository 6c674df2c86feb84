//! Defaults that a CRD's schema declares.

use serde_json::Value;

use super::{Child, Schema};

/// Fills in declared defaults, also below values that were there.
pub(crate) fn fill(schema: Schema<'_>, value: &mut Value) {
    match value {
        Value::Object(map) => {
            let declared = schema.node().get("properties").and_then(Value::as_object);
            for (key, node) in declared.into_iter().flatten() {
                let Some(default) = node.get("default") else {
                    continue;
                };
                let absent = map
                    .get(key)
                    .is_none_or(|v| v.is_null() && !Schema::new(node).nullable());
                if absent {
                    map.insert(key.clone(), default.clone());
                }
            }
            for (key, child) in map.iter_mut() {
                if let Child::Declared(below) | Child::Additional(below) = schema.child(key) {
                    fill(below, child);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|item| fill(schema.items(), item)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_reach_below_defaults_and_never_overwrite() {
        let schema = json!({"type": "object", "properties": {
            "spec": {"type": "object", "default": {}, "properties": {
                "size": {"type": "integer", "default": 3},
                "mode": {"type": "string", "default": "a"},
            }},
        }});
        let mut value = json!({});
        fill(Schema::new(&schema), &mut value);
        assert_eq!(value, json!({"spec": {"size": 3, "mode": "a"}}));
        let mut value = json!({"spec": {"size": 5, "mode": null}});
        fill(Schema::new(&schema), &mut value);
        assert_eq!(value, json!({"spec": {"size": 5, "mode": "a"}}));
    }
}
