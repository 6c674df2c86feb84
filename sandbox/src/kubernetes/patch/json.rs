//! JSON Patch (RFC 6902).

use serde_json::Value;

/// Applies all operations, or says which one does not fit.
pub(crate) fn apply(target: &mut Value, patch: &Value) -> Result<(), String> {
    let operations = patch
        .as_array()
        .ok_or("a JSON patch must be a list of operations")?;
    for operation in operations {
        step(target, operation)?;
    }
    Ok(())
}

fn step(target: &mut Value, operation: &Value) -> Result<(), String> {
    let field = |key: &str| operation.get(key).and_then(Value::as_str);
    let path = field("path").ok_or("an operation lacks its path")?;
    let value = || {
        operation
            .get("value")
            .cloned()
            .ok_or_else(|| format!("{path}: value is missing"))
    };
    let from = || field("from").ok_or_else(|| format!("{path}: from is missing"));
    match field("op").unwrap_or_default() {
        "add" => add(target, path, value()?),
        "remove" => take(target, path).map(|_| ()),
        "replace" => {
            let place = target
                .pointer_mut(path)
                .ok_or_else(|| missing("replace", path))?;
            *place = value()?;
            Ok(())
        }
        "move" => {
            let moved = take(target, from()?)?;
            add(target, path, moved)
        }
        "copy" => {
            let from = from()?;
            let copied = target
                .pointer(from)
                .cloned()
                .ok_or_else(|| missing("copy", from))?;
            add(target, path, copied)
        }
        "test" => {
            let found = target.pointer(path).unwrap_or(&Value::Null);
            if *found == value()? {
                Ok(())
            } else {
                Err(format!("testing value {path} failed"))
            }
        }
        other => Err(format!("unexpected kind of operation: {other:?}")),
    }
}

fn missing(operation: &str, path: &str) -> String {
    format!("{operation} operation does not apply: doc is missing path: {path:?}")
}

fn split(path: &str) -> Option<(&str, String)> {
    let (parent, last) = path.rsplit_once('/')?;
    Some((parent, last.replace("~1", "/").replace("~0", "~")))
}

fn add(target: &mut Value, path: &str, value: Value) -> Result<(), String> {
    if path.is_empty() {
        *target = value;
        return Ok(());
    }
    let (parent, key) = split(path).ok_or_else(|| missing("add", path))?;
    match target.pointer_mut(parent) {
        Some(Value::Object(map)) => {
            map.insert(key, value);
            Ok(())
        }
        Some(Value::Array(list)) => {
            let at = if key == "-" {
                Some(list.len())
            } else {
                key.parse().ok()
            };
            match at.filter(|at| *at <= list.len()) {
                Some(at) => {
                    list.insert(at, value);
                    Ok(())
                }
                None => Err(missing("add", path)),
            }
        }
        _ => Err(missing("add", path)),
    }
}

fn take(target: &mut Value, path: &str) -> Result<Value, String> {
    let gone = || missing("remove", path);
    let (parent, key) = split(path).ok_or_else(gone)?;
    match target.pointer_mut(parent) {
        Some(Value::Object(map)) => map.remove(&key).ok_or_else(gone),
        Some(Value::Array(list)) => {
            let at: usize = key.parse().map_err(|_| gone())?;
            if at < list.len() {
                Ok(list.remove(at))
            } else {
                Err(gone())
            }
        }
        _ => Err(gone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operations_change_maps_and_lists() {
        let mut value = json!({"a": {"x/y": 1}, "l": [1, 3]});
        let patch = json!([
            {"op": "test", "path": "/a/x~1y", "value": 1},
            {"op": "add", "path": "/l/1", "value": 2},
            {"op": "add", "path": "/l/-", "value": 4},
            {"op": "move", "from": "/a/x~1y", "path": "/b"},
            {"op": "replace", "path": "/l/0", "value": 0},
            {"op": "copy", "from": "/b", "path": "/c"},
            {"op": "remove", "path": "/b"},
        ]);
        apply(&mut value, &patch).unwrap();
        assert_eq!(value, json!({"a": {}, "c": 1, "l": [0, 2, 3, 4]}));
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        for operation in [
            json!({"op": "remove", "path": "/none"}),
            json!({"op": "test", "path": "/a", "value": 2}),
            json!({"op": "replace", "path": "/b/c", "value": 2}),
            json!({"op": "add", "path": "/l/9", "value": 2}),
            json!({"op": "shout", "path": "/a"}),
        ] {
            let mut value = json!({"a": 1, "l": []});
            assert!(
                apply(&mut value, &json!([operation])).is_err(),
                "{operation}"
            );
        }
    }
}
