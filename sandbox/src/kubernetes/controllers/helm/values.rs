//! The values a release gets: files over each other, and `--set` over them.

use serde_json::{Map, Value, json};

/// A text for `--set-string`: commas would part it.
pub(super) fn escaped(text: &str) -> String {
    text.replace("\\,", ",").replace(',', "\\,")
}

/// Lays values over values. Null takes away.
pub(super) fn lay(over: Value, base: &mut Value) {
    match (over, base) {
        (Value::Object(over), Value::Object(base)) => {
            for (key, value) in over {
                if value.is_null() {
                    base.remove(&key);
                } else {
                    lay(value, base.entry(key).or_insert(Value::Null));
                }
            }
        }
        (over, base) => *base = over,
    }
}

/// The values of files, in order.
///
/// # Errors
/// When one is no YAML of a map.
pub(super) fn of_files(files: &[(String, String)]) -> Result<Value, String> {
    let mut all = json!({});
    for (path, content) in files {
        let bad = |why: String| format!("failed to parse /config/{path}: {why}");
        let read: Value =
            serde_norway::from_str(content).map_err(|error| bad(error.to_string()))?;
        match read {
            Value::Null => {}
            Value::Object(_) => lay(read, &mut all),
            _ => return Err(bad("it is no map".to_owned())),
        }
    }
    Ok(all)
}

/// The value of one `--set` (or, as `text`, `--set-string`).
///
/// # Errors
/// When it is more than `a.b.c=value`, which is all the sandbox reads.
pub(super) fn of_argument(argument: &str, text: bool) -> Result<Value, String> {
    let unread = || format!("the sandbox reads only --set a.b.c=value, not {argument:?}");
    let (key, value) = argument.split_once('=').ok_or_else(unread)?;
    let plain = value.replace("\\,", "");
    if key.contains(['[', '{', '\\']) || plain.contains(',') || value.starts_with('{') {
        return Err(unread());
    }
    let value = value.replace("\\,", ",");
    let mut value = match value.as_str() {
        _ if text => value.into(),
        "null" => Value::Null,
        "true" => true.into(),
        "false" => false.into(),
        number => number
            .parse::<i64>()
            .map_or_else(|_| number.into(), Value::from),
    };
    for part in key.rsplit('.') {
        let mut map = Map::new();
        map.insert(part.to_owned(), value);
        value = map.into();
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_files_win_and_null_takes_away() {
        let files = [
            ("a.yaml", "a: {b: 1, c: 2}\nd: [1]"),
            ("b.yaml", ""),
            ("c.yaml", "a: {c: null, e: 3}\nd: [2]"),
        ];
        let files = files.map(|(path, content)| (path.to_owned(), content.to_owned()));
        let values = of_files(&files).unwrap();
        assert_eq!(values, json!({"a": {"b": 1, "e": 3}, "d": [2]}));
        for wrong in ["a: [", "- a", "text"] {
            let files = [("x.yaml".to_owned(), wrong.to_owned())];
            assert!(of_files(&files).unwrap_err().contains("/config/x.yaml"));
        }
    }

    #[test]
    fn arguments_are_paths_with_values() {
        assert_eq!(of_argument("a.b=1", false), Ok(json!({"a": {"b": 1}})));
        assert_eq!(of_argument("a=1", true), Ok(json!({"a": "1"})));
        assert_eq!(of_argument("a=true", false), Ok(json!({"a": true})));
        let both = format!("a={}", escaped("x,y\\,z"));
        assert_eq!(of_argument(&both, true), Ok(json!({"a": "x,y,z"})));
        for unread in ["a", "a[0]=1", "a={1,2}", "a=1,b=2", "a\\.b=1"] {
            assert!(of_argument(unread, false).is_err(), "{unread}");
        }
    }
}
