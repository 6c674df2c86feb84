//! Path and query parameters: known, present, and of the described type.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::compile::Cache;
use crate::explain::Finding;
use crate::pointer::{Place, follow};
use crate::schema::Direction;

/// One documented parameter.
pub(crate) struct Parameter<'d> {
    pub(crate) name: &'d str,
    pub(crate) place: &'d str,
    required: bool,
    /// Where its schema stands; `None` when the document gives none.
    schema: Option<Place<'d>>,
}

/// The parameters of an operation and of its path, the operation's winning.
pub(crate) fn documented<'d>(
    root: &'d Value,
    path_item: &Place<'d>,
    operation: &Place<'d>,
) -> Result<Vec<Parameter<'d>>, String> {
    let mut found: BTreeMap<(&'d str, &'d str), Parameter<'d>> = BTreeMap::new();
    for owner in [path_item, operation] {
        let listed = owner.value.get("parameters").and_then(Value::as_array);
        for (index, value) in listed.into_iter().flatten().enumerate() {
            let parameter = follow(root, format!("{}/parameters/{index}", owner.pointer), value)?;
            let text = |key: &str| parameter.value.get(key).and_then(Value::as_str);
            let (Some(name), Some(place)) = (text("name"), text("in")) else {
                return Err(format!(
                    "the parameter at #{} has no name or place",
                    parameter.pointer
                ));
            };
            let required = parameter.value.get("required") == Some(&json!(true));
            let schema = parameter.get(root, "schema")?;
            found.insert(
                (place, name),
                Parameter {
                    name,
                    place,
                    required,
                    schema,
                },
            );
        }
    }
    Ok(found.into_values().collect())
}

/// Checks the path's parameters, given still encoded.
pub(crate) fn check_path(
    root: &Value,
    cache: &Cache,
    documented: &[Parameter<'_>],
    sent: &[(&str, &str)],
) -> Vec<Finding> {
    let mut out = Vec::new();
    for (name, raw) in sent {
        match documented
            .iter()
            .find(|p| p.place == "path" && p.name == *name)
        {
            Some(parameter) => match decode(raw, false) {
                Some(text) => out.extend(check_value(root, cache, parameter, &[text])),
                None => out.push(finding(
                    name,
                    format!("`{raw}` is not percent-encoded UTF-8"),
                )),
            },
            None => out.push(finding(name, "the document does not describe it".into())),
        }
    }
    out
}

/// Checks a query string: unknown names, missing ones, repeated ones, types.
pub(crate) fn check_query(
    root: &Value,
    cache: &Cache,
    documented: &[Parameter<'_>],
    query: &str,
) -> Vec<Finding> {
    let mut out = Vec::new();
    let mut sent: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match (decode(name, true), decode(value, true)) {
            (Some(name), Some(value)) => sent.entry(name).or_default().push(value),
            _ => out.push(finding(
                name,
                format!("`{pair}` is not percent-encoded UTF-8"),
            )),
        }
    }
    let known: Vec<&Parameter<'_>> = documented.iter().filter(|p| p.place == "query").collect();
    for (name, values) in &sent {
        match known.iter().find(|p| p.name == name) {
            Some(parameter) => out.extend(check_value(root, cache, parameter, values)),
            None => out.push(finding(name, unknown(name, &known))),
        }
    }
    for parameter in known
        .iter()
        .filter(|p| p.required && !sent.contains_key(p.name))
    {
        let name = parameter.name;
        out.push(finding(
            name,
            format!("required query parameter `{name}` is missing"),
        ));
    }
    out
}

fn unknown(name: &str, known: &[&Parameter<'_>]) -> String {
    if known.is_empty() {
        return format!("unknown query parameter `{name}`: this operation takes none");
    }
    let names: Vec<&str> = known.iter().map(|p| p.name).collect();
    format!(
        "unknown query parameter `{name}`: this operation takes {}",
        names.join(", ")
    )
}

fn check_value(
    root: &Value,
    cache: &Cache,
    parameter: &Parameter<'_>,
    texts: &[String],
) -> Vec<Finding> {
    let Some(schema) = &parameter.schema else {
        return Vec::new();
    };
    let compiled = match cache.get(root, &schema.pointer, Direction::Request) {
        Ok(compiled) => compiled,
        Err(message) => return vec![finding(parameter.name, message)],
    };
    let candidates = candidates(root, schema, texts);
    if candidates.iter().any(|value| compiled.accepts(value)) {
        return Vec::new();
    }
    let Some(best) = candidates.first() else {
        return vec![finding(parameter.name, "given more than once".into())];
    };
    let found = compiled.check(best);
    found
        .into_iter()
        .map(|f| finding(parameter.name, f.message))
        .collect()
}

/// The values a parameter's text may stand for, the most likely first. Empty when it was given
/// more than once and its schema is no array.
fn candidates(root: &Value, schema: &Place<'_>, texts: &[String]) -> Vec<Value> {
    let kind = schema.value.get("type").and_then(Value::as_str);
    if kind == Some("array") {
        let item = schema.get(root, "items").ok().flatten();
        let values = texts
            .iter()
            .flat_map(|text| text.split(','))
            .map(|text| first(item.as_ref(), text))
            .collect();
        return vec![Value::Array(values)];
    }
    match texts {
        [text] => typed(kind, text),
        _ => Vec::new(),
    }
}

fn first(schema: Option<&Place<'_>>, text: &str) -> Value {
    let kind = schema
        .and_then(|s| s.value.get("type"))
        .and_then(Value::as_str);
    typed(kind, text).into_iter().next().unwrap_or(Value::Null)
}

fn typed(kind: Option<&str>, text: &str) -> Vec<Value> {
    let number = text
        .parse::<i64>()
        .map(Value::from)
        .or_else(|_| text.parse::<f64>().map(Value::from))
        .ok()
        .filter(Value::is_number);
    let boolean = text.parse::<bool>().map(Value::from).ok();
    let string = Value::from(text);
    match kind {
        Some("string") => vec![string],
        Some("integer" | "number") => vec![number.unwrap_or(string)],
        Some("boolean") => vec![boolean.unwrap_or(string)],
        _ => [Some(string), number, boolean]
            .into_iter()
            .flatten()
            .collect(),
    }
}

fn finding(name: &str, message: String) -> Finding {
    Finding {
        pointer: crate::pointer::join("", name),
        message,
    }
}

/// Percent-decodes; in a query, `+` is a space. `None` when it is no UTF-8 or badly encoded.
fn decode(text: &str, query: bool) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' if query => b' ',
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_is_exact() {
        assert_eq!(decode("a%3Ab%2Fc", false).as_deref(), Some("a:b/c"));
        assert_eq!(decode("a+b", true).as_deref(), Some("a b"));
        assert_eq!(decode("a+b", false).as_deref(), Some("a+b"));
        for bad in ["%", "%4", "%zz", "%ff"] {
            assert_eq!(decode(bad, true), None, "{bad}");
        }
    }
}
