//! How the server words that a value does not fit the Go type of a field: it decodes built-in
//! objects into structs, and the decoder's words reach the client.

use serde_json::Value;

use super::{REF_PREFIX, core};

/// What a quantity may look like; the server quotes this expression.
const QUANTITY: &str = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$";

/// The decoder's complaint about the first value in an object that does not fit its field.
pub(crate) fn misfit(definition: &str, value: &Value) -> Option<String> {
    let place = Place {
        owner: short(definition),
        path: String::new(),
    };
    visit(core::definitions().get(definition)?, value, &place)
}

/// Where a value stands: the struct, and the names of the fields that lead to it from the top.
struct Place<'a> {
    owner: &'a str,
    path: String,
}

fn short(definition: &str) -> &str {
    definition.rsplit('.').next().unwrap_or(definition)
}

/// The definition a node refers to, and its name.
fn resolve(node: &Value) -> (Option<&str>, &Value) {
    let inner = match node.get("allOf").and_then(Value::as_array) {
        Some(all) if all.len() == 1 && node.get("type").is_none() => &all[0],
        _ => node,
    };
    let Some(target) = inner.get("$ref").and_then(Value::as_str) else {
        return (None, node);
    };
    let name = target.trim_start_matches(REF_PREFIX);
    (
        Some(name),
        core::definitions().get(name).unwrap_or(&Value::Null),
    )
}

fn visit(node: &Value, value: &Value, place: &Place<'_>) -> Option<String> {
    let (name, node) = resolve(node);
    if value.is_null() {
        return None;
    }
    match name.map(short) {
        Some("Quantity") => return quantity(value),
        Some("IntOrString") => {
            let fits = value.is_string() || value.is_i64();
            return (!fits).then(|| complaint(value, place, "intstr.IntOrString"));
        }
        _ => {}
    }
    let kind = node.get("type").and_then(Value::as_str);
    let fits = match kind {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        _ => return None,
    };
    if !fits {
        return Some(complaint(value, place, &go_type(name, node)));
    }
    match value {
        Value::Object(map) => map.iter().find_map(|(key, child)| {
            if let Some(declared) = node.get("properties").and_then(|all| all.get(key)) {
                let path = if place.path.is_empty() {
                    key.clone()
                } else {
                    format!("{}.{key}", place.path)
                };
                let owner = name.map_or(place.owner, short);
                return visit(declared, child, &Place { owner, path });
            }
            let free = node.get("additionalProperties").filter(|n| n.is_object())?;
            let path = place.path.clone();
            visit(free, child, &Place { path, ..*place })
        }),
        Value::Array(list) => {
            let items = node.get("items")?;
            list.iter().find_map(|item| visit(items, item, place))
        }
        _ => None,
    }
}

fn quantity(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    let digits = text.trim_start_matches(['+', '-']);
    let suffix = digits.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number = &digits[..digits.len() - suffix.len()];
    let known = [
        "", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
    ];
    let exponent = suffix
        .strip_prefix(['e', 'E'])
        .is_some_and(|rest| rest.parse::<i16>().is_ok());
    let fits = number.parse::<f64>().is_ok() && (known.contains(&suffix) || exponent);
    (!fits).then(|| format!("quantities must match the regular expression '{QUANTITY}'"))
}

fn complaint(value: &Value, place: &Place<'_>, wanted: &str) -> String {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    format!(
        "json: cannot unmarshal {found} into Go struct field {}.{} of type {wanted}",
        place.owner, place.path
    )
}

/// The Go type of a field.
fn go_type(name: Option<&str>, node: &Value) -> String {
    let keyword = |key: &str| node.get(key).and_then(Value::as_str).unwrap_or_default();
    match (keyword("type"), keyword("format")) {
        ("integer", format @ ("int32" | "int64")) => format.to_owned(),
        ("integer", _) => "int64".to_owned(),
        ("number", _) => "float64".to_owned(),
        ("boolean", _) => "bool".to_owned(),
        ("string", "byte") => "[]uint8".to_owned(),
        ("string", _) => "string".to_owned(),
        ("array", _) => {
            let (name, items) = resolve(&node["items"]);
            format!("[]{}", go_type(name, items))
        }
        _ => match (name, node.get("additionalProperties")) {
            (Some(name), _) => {
                let mut parts = name.rsplit('.');
                let kind = parts.next().unwrap_or_default();
                format!("{}.{kind}", parts.next().unwrap_or_default())
            }
            (None, Some(values)) => {
                let (name, values) = resolve(values);
                format!("map[string]{}", go_type(name, values))
            }
            (None, None) => "map[string]interface {}".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn complaints_are_those_of_the_real_server() {
        let of = |kind: &str, value: Value| misfit(&format!("io.k8s.api.{kind}"), &value);
        assert_eq!(of("core.v1.ConfigMap", json!({"data": {"a": "b"}})), None);
        for (kind, value, expected) in [
            (
                "core.v1.ConfigMap",
                json!({"data": {"a": 7}}),
                "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
            ),
            (
                "core.v1.ConfigMap",
                json!({"data": [1]}),
                "json: cannot unmarshal array into Go struct field ConfigMap.data of type map[string]string",
            ),
            (
                "apps.v1.Deployment",
                json!({"spec": {"replicas": "two"}}),
                "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
            ),
            (
                "apps.v1.Deployment",
                json!({"spec": {"template": {"spec": {"containers": {}}}}}),
                "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container",
            ),
            (
                "core.v1.PersistentVolumeClaim",
                json!({"spec": {"resources": {"requests": {"storage": "x"}}}}),
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            ),
        ] {
            assert_eq!(of(kind, value).as_deref(), Some(expected));
        }
        for quantity in ["1", "0.5", "100m", "1Gi", "1e3", "-1", "12E", "1E6"] {
            let claim = json!({"spec": {"resources": {"requests": {"storage": quantity}}}});
            assert_eq!(
                of("core.v1.PersistentVolumeClaim", claim),
                None,
                "{quantity}"
            );
        }
    }
}
