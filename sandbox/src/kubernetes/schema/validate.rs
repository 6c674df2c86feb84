//! Checks values against a schema and words the complaints as the API server does.
//!
//! CEL rules (`x-kubernetes-validations`) are not evaluated.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{LazyLock, Mutex, PoisonError};

use regex::Regex;
use serde_json::Value;

use super::{Kind, ListType, Schema};
use crate::kubernetes::status::Cause;

/// How much is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// Only that values have the declared JSON types, as decoding a built-in type does.
    Types,
    /// Everything the schema says, as for custom resources.
    Full,
}

/// All violations, in order of their paths.
pub(crate) fn validate(schema: Schema<'_>, value: &Value, level: Level) -> Vec<Cause> {
    let mut causes = Vec::new();
    Check {
        level,
        causes: &mut causes,
    }
    .visit(schema, value, "");
    causes
}

struct Check<'c> {
    level: Level,
    causes: &'c mut Vec<Cause>,
}

impl Check<'_> {
    fn visit(&mut self, schema: Schema<'_>, value: &Value, path: &str) {
        if value.is_null() && (schema.nullable() || self.level == Level::Types) {
            return;
        }
        if !has_kind(schema.kind(), value) {
            let why = format!(
                "{path} in body must be of type {}: {}",
                kind_name(schema.kind()),
                quoted_type(value)
            );
            // The server names the type where the value should stand.
            let found = Value::from(quoted_type(value).trim_matches('"'));
            self.causes
                .push(Cause::wrong_type(shown(path), &found, &why));
            if self.level == Level::Full {
                self.enumeration(schema.node(), value, path);
            }
            return;
        }
        if self.level == Level::Full {
            self.enumeration(schema.node(), value, path);
            self.keywords(schema.node(), value, path);
            self.combinations(schema.node(), value, path);
        }
        match value {
            Value::Object(map) => {
                for (key, child) in map {
                    let below = join(path, key);
                    self.visit(schema.child(key).schema(), child, &below);
                }
            }
            Value::Array(list) => {
                self.duplicates(schema, list, path);
                for (index, item) in list.iter().enumerate() {
                    self.visit(schema.items(), item, &format!("{path}[{index}]"));
                }
            }
            _ => {}
        }
    }

    fn duplicates(&mut self, schema: Schema<'_>, list: &[Value], path: &str) {
        let mut seen = BTreeSet::new();
        for (index, item) in list.iter().enumerate() {
            let identity = match schema.list_type() {
                ListType::Atomic => return,
                ListType::Set => item.clone(),
                ListType::Map(keys) => keys
                    .iter()
                    .filter_map(|key| {
                        let default = schema.items().key_default(key);
                        let value = item.get(*key).or(default)?.clone();
                        Some(((*key).to_owned(), value))
                    })
                    .collect::<serde_json::Map<_, _>>()
                    .into(),
            };
            if !seen.insert(identity.to_string()) {
                self.causes
                    .push(Cause::duplicate(format!("{path}[{index}]"), &identity));
            }
        }
    }

    fn enumeration(&mut self, node: &Value, value: &Value, path: &str) {
        if let Some(Value::Array(allowed)) = node.get("enum")
            && !allowed.contains(value)
        {
            self.causes
                .push(Cause::not_supported(shown(path), value, allowed));
        }
    }

    fn keywords(&mut self, node: &Value, value: &Value, path: &str) {
        match value {
            Value::Object(map) => {
                let required = node.get("required").and_then(Value::as_array);
                for key in required.into_iter().flatten().filter_map(Value::as_str) {
                    if !map.contains_key(key) {
                        self.causes.push(Cause::required(join(path, key)));
                    }
                }
                let keys = ["minProperties", "maxProperties"];
                self.bounds(node, value, path, (map.len(), "properties"), keys);
            }
            Value::Array(list) => {
                let keys = ["minItems", "maxItems"];
                self.bounds(node, value, path, (list.len(), "items"), keys);
            }
            Value::String(text) => self.string(node, value, text, path),
            Value::Number(number) => self.range(node, value, number.as_f64().unwrap_or(0.0), path),
            _ => {}
        }
    }

    /// The first rule a string breaks; the server looks no further.
    fn string(&mut self, node: &Value, value: &Value, text: &str, path: &str) {
        let limit = |key: &str| node.get(key).and_then(Value::as_u64);
        let length = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
        let broken = if let Some(most) = limit("maxLength").filter(|most| length > *most) {
            self.causes.push(Cause::too_long(shown(path), most));
            return;
        } else if let Some(least) = limit("minLength").filter(|least| length < *least) {
            format!("{path} in body should be at least {least} chars long")
        } else if let Some(pattern) = node.get("pattern").and_then(Value::as_str)
            && !matches(pattern, text)
        {
            format!("{path} in body should match '{pattern}'")
        } else if node.get("format").and_then(Value::as_str) == Some("date-time")
            && text.parse::<jiff::Timestamp>().is_err()
        {
            format!("{path} in body must be of type date-time: \"{text}\"")
        } else {
            return;
        };
        self.causes
            .push(Cause::invalid(shown(path), value, &broken));
    }

    fn bounds(
        &mut self,
        node: &Value,
        value: &Value,
        path: &str,
        (size, unit): (usize, &str),
        keys: [&str; 2],
    ) {
        let limit = |key: &str| node.get(key).and_then(Value::as_u64);
        let size = u64::try_from(size).unwrap_or(u64::MAX);
        if let Some(least) = limit(keys[0])
            && size < least
        {
            let why = format!("{path} in body should have at least {least} {unit}");
            self.causes.push(Cause::invalid(shown(path), value, &why));
        }
        if let Some(most) = limit(keys[1])
            && size > most
        {
            self.causes.push(Cause::too_many(shown(path), size, most));
        }
    }

    fn range(&mut self, node: &Value, value: &Value, number: f64, path: &str) {
        let limit = |key: &str| node.get(key).and_then(Value::as_f64);
        let exclusive = |key: &str| node.get(key).and_then(Value::as_bool).unwrap_or(false);
        if let Some(least) = limit("minimum")
            && (number < least || (exclusive("exclusiveMinimum") && number <= least))
        {
            let why = format!("{path} in body should be greater than or equal to {least}");
            self.causes.push(Cause::invalid(shown(path), value, &why));
        }
        if let Some(most) = limit("maximum")
            && (number > most || (exclusive("exclusiveMaximum") && number >= most))
        {
            let why = format!("{path} in body should be less than or equal to {most}");
            self.causes.push(Cause::invalid(shown(path), value, &why));
        }
    }

    fn combinations(&mut self, node: &Value, value: &Value, path: &str) {
        let list = |key: &str| {
            node.get(key)
                .and_then(Value::as_array)
                .map_or(&[][..], Vec::as_slice)
        };
        let check = |node: &Value| {
            let mut causes = Vec::new();
            let level = self.level;
            let mut check = Check {
                level,
                causes: &mut causes,
            };
            check.visit(Schema::new(node), value, path);
            causes
        };
        let mut found = Vec::new();
        let all: Vec<Vec<Cause>> = list("allOf").iter().map(check).collect();
        if node.get("$ref").is_none() && all.iter().any(|causes| !causes.is_empty()) {
            found.push(composition(path, "must validate all the schemas (allOf)"));
            found.extend(all.into_iter().flatten());
        }
        let any: Vec<Vec<Cause>> = list("anyOf").iter().map(check).collect();
        if !any.is_empty() && any.iter().all(|causes| !causes.is_empty()) {
            found.push(composition(
                path,
                "must validate at least one schema (anyOf)",
            ));
            found.extend(nearest(any));
        }
        let one: Vec<Vec<Cause>> = list("oneOf").iter().map(check).collect();
        let valid = one.iter().filter(|causes| causes.is_empty()).count();
        if !one.is_empty() && valid != 1 {
            let how = if valid == 0 {
                "Found none valid".to_owned()
            } else {
                format!("Found {valid} valid alternatives")
            };
            let why = format!("must validate one and only one schema (oneOf). {how}");
            found.push(composition(path, &why));
            if valid == 0 {
                found.extend(nearest(one));
            }
        }
        if node.get("not").is_some_and(|node| check(node).is_empty()) {
            found.push(composition(path, "must not validate the schema (not)"));
        }
        self.causes.append(&mut found);
    }
}

/// A schema that combines others was not fulfilled; the server names no field then.
fn composition(path: &str, why: &str) -> Cause {
    Cause::invalid("<nil>", &"".into(), &format!("\"{path}\" {why}"))
}

/// The complaints of the alternative that has the fewest.
fn nearest(alternatives: Vec<Vec<Cause>>) -> Vec<Cause> {
    alternatives
        .into_iter()
        .min_by_key(Vec::len)
        .unwrap_or_default()
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn shown(path: &str) -> &str {
    if path.is_empty() { "<nil>" } else { path }
}

fn has_kind(kind: Kind, value: &Value) -> bool {
    match kind {
        Kind::Any => true,
        Kind::Object => value.is_object(),
        Kind::Array => value.is_array(),
        Kind::String => value.is_string(),
        Kind::Boolean => value.is_boolean(),
        Kind::Number => value.is_number(),
        Kind::Integer => is_integer(value),
        // Quantities share this kind and may be fractions.
        Kind::IntOrString => value.is_number() || value.is_string(),
    }
}

fn is_integer(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0)
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Object => "object",
        Kind::Array => "array",
        Kind::String => "string",
        Kind::Integer => "integer",
        Kind::Number => "number",
        Kind::Boolean => "boolean",
        Kind::IntOrString => "integer,string",
        Kind::Any => "any",
    }
}

fn quoted_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "\"null\"",
        Value::Bool(_) => "\"boolean\"",
        Value::Number(_) if is_integer(value) => "\"integer\"",
        Value::Number(_) => "\"number\"",
        Value::String(_) => "\"string\"",
        Value::Array(_) => "\"array\"",
        Value::Object(_) => "\"object\"",
    }
}

/// How many compiled patterns are kept before they are forgotten at once.
const PATTERNS: usize = 1024;

static COMPILED: LazyLock<Mutex<BTreeMap<String, Option<Regex>>>> = LazyLock::new(Mutex::default);

/// Whether a text matches; a pattern that does not compile matches everything, as no real server
/// would have accepted its CRD.
fn matches(pattern: &str, text: &str) -> bool {
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if compiled.len() >= PATTERNS {
        compiled.clear();
    }
    let regex = compiled
        .entry(pattern.to_owned())
        .or_insert_with(|| Regex::new(pattern).ok());
    regex.as_ref().is_none_or(|regex| regex.is_match(text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(schema: &Value, value: &Value) -> Vec<String> {
        validate(Schema::new(schema), value, Level::Full)
            .into_iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect()
    }

    #[test]
    fn each_keyword_can_fail_and_pass() {
        let schema = json!({"type": "object", "required": ["spec"], "properties": {"spec": {
            "type": "object",
            "required": ["mode"],
            "properties": {
                "mode": {"type": "string", "enum": ["a", "b"]},
                "count": {"type": "integer", "minimum": 1, "maximum": 9},
                "cron": {"type": "string", "pattern": "^[0-9* ]+$", "minLength": 3},
                "port": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]},
                "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
                "maybe": {"type": "string", "nullable": true},
            },
        }}});
        let good = json!({"spec": {"mode": "a", "count": 1, "cron": "0 2 *", "port": "http", "tags": ["x"], "maybe": null}});
        assert_eq!(fields(&schema, &good), Vec::<String>::new());
        assert_eq!(fields(&schema, &json!({})), ["spec: Required value"]);
        let bad = json!({"spec": {"mode": "c", "count": 0, "cron": "x", "port": true, "tags": ["x", "x"]}});
        let found = fields(&schema, &bad);
        assert_eq!(found.len(), 5, "{found:#?}");
        assert!(found.contains(
            &"spec.mode: Unsupported value: \"c\": supported values: \"a\", \"b\"".to_owned()
        ));
        assert!(found.iter().any(|f| {
            f.starts_with("spec.count: Invalid value: 0: spec.count in body should be greater")
        }));
        assert!(
            found
                .iter()
                .any(|f| f.starts_with("spec.tags[1]: Duplicate value"))
        );
    }

    #[test]
    fn types_level_ignores_everything_but_types() {
        let schema =
            json!({"type": "object", "required": ["a"], "properties": {"n": {"type": "integer"}}});
        assert!(validate(Schema::new(&schema), &json!({"n": null}), Level::Types).is_empty());
        let causes = validate(Schema::new(&schema), &json!({"n": "x"}), Level::Types);
        assert_eq!(
            causes[0].message,
            "Invalid value: \"string\": n in body must be of type integer: \"string\""
        );
    }
}
