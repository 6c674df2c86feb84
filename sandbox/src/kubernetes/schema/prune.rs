//! Removal of what a schema does not declare, and of nulls where null means absent.

use serde_json::Value;

use super::{Child, Schema};

/// Removes undeclared fields and gives their paths, as strict decoding names them.
pub(crate) fn prune(schema: Schema<'_>, value: &mut Value) -> Vec<String> {
    let mut unknown = Vec::new();
    visit(schema, value, "", &mut unknown);
    unknown
}

fn visit(schema: Schema<'_>, value: &mut Value, path: &str, unknown: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            map.retain(|key, child| {
                let below = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                match schema.child(key) {
                    Child::Unknown => {
                        unknown.push(below);
                        false
                    }
                    Child::Open => true,
                    Child::Declared(schema) | Child::Additional(schema) => {
                        visit(schema, child, &below, unknown);
                        true
                    }
                }
            });
        }
        Value::Array(list) => {
            for (index, item) in list.iter_mut().enumerate() {
                visit(schema.items(), item, &format!("{path}[{index}]"), unknown);
            }
        }
        _ => {}
    }
}

/// Removes nulls at map keys, which built-in types take for absent fields.
pub(crate) fn drop_nulls(schema: Schema<'_>, value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, child| {
                let below = schema.child(key);
                if matches!(below, Child::Open) {
                    return true;
                }
                let below = below.schema();
                if child.is_null() && !below.nullable() {
                    return false;
                }
                drop_nulls(below, child);
                true
            });
        }
        Value::Array(list) => list
            .iter_mut()
            .for_each(|item| drop_nulls(schema.items(), item)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keeps_declared_free_and_preserved_fields_only() {
        let schema = json!({"type": "object", "properties": {
            "a": {"type": "string"},
            "list": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "integer"}}}},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
                     "properties": {"typed": {"type": "object", "properties": {"n": {"type": "integer"}}}}},
        }});
        let mut value = json!({
            "a": "1", "b": 2, "list": [{"x": 1, "y": 2}], "labels": {"free": "yes"},
            "open": {"any": {"thing": []}, "typed": {"n": 1, "m": 2}},
        });
        let unknown = prune(Schema::new(&schema), &mut value);
        assert_eq!(unknown, ["b", "list[0].y", "open.typed.m"]);
        assert_eq!(
            value,
            json!({
                "a": "1", "list": [{"x": 1}], "labels": {"free": "yes"},
                "open": {"any": {"thing": []}, "typed": {"n": 1}},
            })
        );
    }
}
