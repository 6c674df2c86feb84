//! Custom resources against the definitions that the server would hold them against, field by field.
//! Other test programs include this file by its path.

use serde_json::Value;
use std::collections::BTreeMap;

/// The definitions among objects, by the kind they define.
pub(crate) fn definitions(objects: &[Value]) -> BTreeMap<&str, &Value> {
    objects
        .iter()
        .filter(|object| object["kind"] == "CustomResourceDefinition")
        .map(|object| (object["spec"]["names"]["kind"].as_str().unwrap(), object))
        .collect()
}

/// Fails unless every field of the object is one of its definition's, with the type and among the
/// values it has there, and none that must be there is missing.
#[track_caller]
pub(crate) fn fits_its_definition(object: &Value, definition: &Value) {
    let group = definition["spec"]["group"].as_str().unwrap();
    let versions = definition["spec"]["versions"].as_array().unwrap();
    let version = versions
        .iter()
        .find(|v| object["apiVersion"] == format!("{group}/{}", v["name"].as_str().unwrap()))
        .unwrap_or_else(|| panic!("{} is not served", object["apiVersion"]));
    assert_eq!(version["served"], true, "{}", object["apiVersion"]);
    let schema = &version["schema"]["openAPIV3Schema"];
    let kind = object["kind"].as_str().unwrap();
    assert_eq!(definition["spec"]["names"]["kind"], kind);
    let namespaced = definition["spec"]["scope"] == "Namespaced";
    assert_eq!(object["metadata"].get("namespace").is_some(), namespaced);
    let mut own = object.as_object().unwrap().clone();
    for common in ["apiVersion", "kind", "metadata"] {
        own.remove(common).unwrap();
    }
    let mut schema = schema.clone();
    if let Some(required) = schema["required"].as_array_mut() {
        required.retain(|name| {
            !["apiVersion", "kind", "metadata"]
                .map(Value::from)
                .contains(name)
        });
    }
    fits(kind, &Value::Object(own), &schema);
}

/// Every field stands in the schema, with its type and among its values.
fn fits(path: &str, value: &Value, schema: &Value) {
    let kind = schema["type"]
        .as_str()
        .unwrap_or_else(|| panic!("{path} is not in the schema"));
    match value {
        Value::Object(map) => {
            assert_eq!(kind, "object", "{path}");
            for required in schema["required"].as_array().into_iter().flatten() {
                assert!(
                    map.contains_key(required.as_str().unwrap()),
                    "{path} lacks {required}"
                );
            }
            for (name, inner) in map {
                let inner_schema = schema["properties"]
                    .get(name)
                    .or_else(|| schema.get("additionalProperties"));
                fits(
                    &format!("{path}.{name}"),
                    inner,
                    inner_schema.unwrap_or_else(|| panic!("{path}.{name} is unknown")),
                );
            }
        }
        Value::Array(items) => {
            assert_eq!(kind, "array", "{path}");
            for item in items {
                fits(path, item, &schema["items"]);
            }
        }
        Value::String(_) => {
            assert_eq!(kind, "string", "{path}");
            if let Some(values) = schema["enum"].as_array() {
                assert!(values.contains(value), "{path}: {value}");
            }
        }
        Value::Bool(_) => assert_eq!(kind, "boolean", "{path}"),
        Value::Number(_) => assert_eq!(kind, "integer", "{path}"),
        Value::Null => panic!("{path} is null"),
    }
}
