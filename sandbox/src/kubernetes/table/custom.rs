//! Tables of custom resources: the columns their CRD declares, found by simple JSON paths.

use serde_json::{Value, json};

use super::{age, column, name, since};
use crate::kubernetes::object::Object;
use crate::kubernetes::schema::crd::CrdVersion;

/// Column definitions and rows.
pub(super) fn layout(
    version: &CrdVersion,
    objects: &[Object],
    now: jiff::Timestamp,
) -> (Vec<Value>, Vec<Vec<Value>>) {
    let mut columns = vec![column("Name", "string", "name", 0)];
    if version.columns.is_empty() {
        columns.push(column("Age", "date", "", 0));
        return (
            columns,
            objects
                .iter()
                .map(|object| vec![name(object), age(object, now).into()])
                .collect(),
        );
    }
    columns.extend(
        version
            .columns
            .iter()
            .map(|c| column(&c.name, &c.kind, &c.format, c.priority)),
    );
    let rows = objects.iter().map(|object| {
        let cells = version.columns.iter().map(|column| {
            let found = find(object, &column.json_path);
            match (column.kind.as_str(), found) {
                (_, None | Some(Value::Null)) if column.kind != "string" => Value::Null,
                (_, None | Some(Value::Null)) => json!(""),
                ("date", Some(at)) => since(at.as_str().unwrap_or_default(), now).into(),
                ("string", Some(Value::String(text))) => text.clone().into(),
                ("string", Some(other)) => other.to_string().into(),
                (_, Some(other)) => other.clone(),
            }
        });
        std::iter::once(name(object)).chain(cells).collect()
    });
    (columns, rows.collect())
}

/// The value at a simple JSON path: keys, quoted keys, indexes and `[?(@.key=="value")]`.
fn find<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    let mut value = object;
    let mut rest = path.trim();
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (selector, after) = inner.split_once(']')?;
            value = select(value, selector)?;
            rest = after;
            continue;
        }
        rest = rest.strip_prefix('.').unwrap_or(rest);
        let mut key = String::new();
        let mut chars = rest.char_indices().peekable();
        let mut end = rest.len();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => key.extend(chars.next().map(|(_, escaped)| escaped)),
                '.' | '[' => {
                    end = at;
                    break;
                }
                other => key.push(other),
            }
        }
        value = value.get(&key)?;
        rest = &rest[end..];
    }
    Some(value)
}

fn select<'a>(value: &'a Value, selector: &str) -> Option<&'a Value> {
    if let Some(filter) = selector.strip_prefix("?(@.") {
        let (key, wanted) = filter.trim_end_matches(')').split_once("==")?;
        let wanted = wanted.trim().trim_matches(['"', '\'']);
        return value
            .as_array()?
            .iter()
            .find(|item| item[key.trim()].as_str() == Some(wanted));
    }
    match selector.trim_matches(['"', '\'']).parse::<usize>() {
        Ok(index) => value.get(index),
        Err(_) => value.get(selector.trim_matches(['"', '\''])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simple_paths_find_values() {
        let object = json!({
            "metadata": {"annotations": {"a.b/c": "x"}},
            "status": {"conditions": [{"type": "Other"}, {"type": "Ready", "status": "True"}], "list": [1, 2]},
        });
        let cases = [
            (
                ".status.conditions[?(@.type==\"Ready\")].status",
                Some(json!("True")),
            ),
            (".status.conditions[?(@.type=='None')].status", None),
            (".status.list[1]", Some(json!(2))),
            (".metadata.annotations.a\\.b/c", Some(json!("x"))),
            (".metadata.annotations['a.b/c']", Some(json!("x"))),
        ];
        for (path, expected) in cases {
            assert_eq!(find(&object, path).cloned(), expected, "{path}");
        }
    }
}
