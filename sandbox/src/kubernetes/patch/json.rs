//! JSON Patch (RFC 6902).

use serde_json::Value;

/// Operations in one patch, as `kube-apiserver` counts them.
const MAX_OPERATIONS: usize = 10_000;
/// Bytes that all `copy` operations of one patch may add, as in `kube-apiserver`: copying a
/// document into itself doubles it each time.
const MAX_COPIED: usize = 3 * 1024 * 1024;
/// How deep a document may become: what is deeper could not be read from JSON again. A `move` into
/// its own sibling makes it one deeper each time, so the size of a patch does not bound it.
const MAX_DEPTH: usize = 120;

/// Applies all operations, or says which one does not fit.
pub(crate) fn apply(target: &mut Value, patch: &Value) -> Result<(), String> {
    let operations = patch
        .as_array()
        .ok_or("a JSON patch must be a list of operations")?;
    if operations.len() > MAX_OPERATIONS {
        return Err(format!(
            "the allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
            operations.len()
        ));
    }
    let mut copied = 0;
    for operation in operations {
        step(target, operation, &mut copied)?;
    }
    Ok(())
}

fn step(target: &mut Value, operation: &Value, copied: &mut usize) -> Result<(), String> {
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
            let value = value()?;
            shallow(path, &value)?;
            let place = target
                .pointer_mut(path)
                .ok_or_else(|| missing("replace", path))?;
            *place = value;
            Ok(())
        }
        "move" => {
            let moved = take(target, from()?)?;
            add(target, path, moved)
        }
        "copy" => {
            let from = from()?;
            let found = target.pointer(from).ok_or_else(|| missing("copy", from))?;
            *copied += found.to_string().len();
            if *copied > MAX_COPIED {
                return Err(format!(
                    "the accumulated size increase of copy is {copied}, exceeding the limit \
                     {MAX_COPIED}"
                ));
            }
            let found = found.clone();
            add(target, path, found)
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

/// Levels of lists and objects.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Whether a value may stand there.
fn shallow(path: &str, value: &Value) -> Result<(), String> {
    let depth = path.matches('/').count() + depth(value);
    if depth <= MAX_DEPTH {
        return Ok(());
    }
    Err(format!(
        "an operation would make the object {depth} levels deep, and {MAX_DEPTH} are allowed"
    ))
}

fn add(target: &mut Value, path: &str, value: Value) -> Result<(), String> {
    shallow(path, &value)?;
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
    fn a_patch_can_make_a_document_neither_huge_nor_deep() {
        let double = |at| json!({"op": "copy", "from": "", "path": format!("/a{at}")});
        let patch: Vec<Value> = (0..40).map(double).collect();
        let mut value = json!({"text": "x".repeat(1000)});
        let refused = apply(&mut value, &patch.into()).unwrap_err();
        assert!(refused.contains("accumulated size"), "{refused}");
        assert!(value.to_string().len() < 2 * MAX_COPIED);

        let deeper = [
            json!({"op": "add", "path": "/b", "value": {}}),
            json!({"op": "move", "from": "/a", "path": "/b/a"}),
            json!({"op": "move", "from": "/b", "path": "/a"}),
        ];
        let patch: Vec<Value> = deeper.iter().cycle().take(9_000).cloned().collect();
        let refused = apply(&mut json!({"a": {}}), &patch.into()).unwrap_err();
        assert!(refused.contains("levels deep"), "{refused}");

        let nest = |levels: usize| (0..levels).fold(json!({}), |inner, _| json!({ "a": inner }));
        let mut value = nest(100);
        let path = "/a".repeat(100);
        let replace = json!([{"op": "replace", "path": path, "value": nest(100)}]);
        assert!(apply(&mut value, &replace).is_err());

        let many = vec![json!({"op": "test", "path": "/a", "value": 1}); MAX_OPERATIONS + 1];
        assert!(apply(&mut json!({"a": 1}), &many.into()).is_err());
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
