//! `OpenAPI` 3.0 schema objects to JSON Schema 2020-12, with closed objects.
//!
//! An object is closed where it *begins*: at a body, a property, an array item. There
//! `unevaluatedProperties: false` sees through every `allOf`, `anyOf`, `oneOf` and `$ref` below
//! it, which `additionalProperties: false` inside a branch would not. So references met inside a
//! composition are expanded in place and left open, and those at the start of an object become
//! `$ref`s to closed definitions, made once each; that is also what lets recursive schemas end.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Map, Value, json};

use crate::formats;
use crate::pointer::{self, reference, resolve};

/// Which way a body travels: decides over `readOnly` and `writeOnly`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Direction {
    Request,
    Response,
}

/// Keywords that mean the same in both dialects.
const SAME: &[&str] = &[
    "enum",
    "format",
    "maxItems",
    "maxLength",
    "maxProperties",
    "minItems",
    "minLength",
    "minProperties",
    "multipleOf",
    "pattern",
    "uniqueItems",
];

/// Keywords handled by name below.
const HANDLED: &[&str] = &[
    "$ref",
    "additionalProperties",
    "allOf",
    "anyOf",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "items",
    "maximum",
    "minimum",
    "not",
    "nullable",
    "oneOf",
    "properties",
    "readOnly",
    "required",
    "type",
    "writeOnly",
];

/// Keywords that say nothing about validity. `discriminator` is only a hint for choosing a
/// branch: the branches themselves are validated.
const NOTES: &[&str] = &[
    "default",
    "deprecated",
    "description",
    "discriminator",
    "example",
    "examples",
    "externalDocs",
    "title",
    "xml",
];

/// Converts the schema at `pointer` into a self-contained JSON Schema.
pub(crate) fn convert(root: &Value, pointer: &str, direction: Direction) -> Result<Value, String> {
    let schema = root
        .pointer(pointer)
        .ok_or_else(|| format!("nothing stands at {pointer}"))?;
    let mut converter = Converter {
        root,
        direction,
        names: BTreeMap::new(),
        queue: VecDeque::new(),
    };
    let mut out = converter.object(schema)?;
    let mut definitions = Map::new();
    while let Some((name, target)) = converter.queue.pop_front() {
        let (_, schema) = resolve(root, &target)?;
        definitions.insert(name, converter.object(schema)?);
    }
    if let Some(map) = out.as_object_mut() {
        map.insert(
            "$schema".into(),
            json!("https://json-schema.org/draft/2020-12/schema"),
        );
        map.insert("$defs".into(), Value::Object(definitions));
    }
    Ok(out)
}

/// What an object's whole composition says about its properties.
#[derive(Debug, Default)]
struct Shape {
    /// Every property described anywhere in it.
    described: BTreeSet<String>,
    /// Those that may not travel in this direction.
    hidden: BTreeSet<String>,
}

struct Converter<'d> {
    root: &'d Value,
    direction: Direction,
    /// Definition name per reference.
    names: BTreeMap<String, String>,
    /// Definitions still to be made; each reference is queued once, so this is bounded.
    queue: VecDeque<(String, String)>,
}

impl<'d> Converter<'d> {
    /// A schema where a value begins.
    fn object(&mut self, schema: &'d Value) -> Result<Value, String> {
        if let Some(target) = reference(schema) {
            let name = self.definition(target);
            return Ok(json!({ "$ref": format!("#/$defs/{name}") }));
        }
        let mut shape = Shape::default();
        self.shape(schema, &mut shape, &mut Vec::new())?;
        let mut out = self.in_place(schema, &shape)?;
        if !shape.described.is_empty() {
            out.insert("unevaluatedProperties".into(), json!(false));
        }
        Ok(Value::Object(out))
    }

    /// The name under which the closed form of `target` is defined.
    fn definition(&mut self, target: &str) -> String {
        if let Some(name) = self.names.get(target) {
            return name.clone();
        }
        let last = target.rsplit('/').next().unwrap_or_default();
        let plain: String = last
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        let name = format!("{plain}-{}", self.names.len());
        self.names.insert(target.to_owned(), name.clone());
        self.queue.push_back((name.clone(), target.to_owned()));
        name
    }

    /// Collects what `schema` and everything composed into it says about properties.
    fn shape(
        &self,
        schema: &'d Value,
        out: &mut Shape,
        open: &mut Vec<&'d str>,
    ) -> Result<(), String> {
        if let Some(target) = reference(schema) {
            if open.contains(&target) {
                return Err(format!("`$ref: {target}` is composed into itself"));
            }
            open.push(target);
            self.shape(resolve(self.root, target)?.1, out, open)?;
            open.pop();
            return Ok(());
        }
        for (name, property) in members(schema, "properties") {
            out.described.insert(name.clone());
            if self.hides(property, 0)? {
                out.hidden.insert(name.clone());
            }
        }
        for keyword in ["allOf", "anyOf", "oneOf"] {
            for branch in branches(schema, keyword) {
                self.shape(branch, out, open)?;
            }
        }
        Ok(())
    }

    /// Whether a property with this schema may not travel in this direction.
    fn hides(&self, schema: &'d Value, depth: usize) -> Result<bool, String> {
        if depth > 32 {
            return Err("a property's schema refers to itself".into());
        }
        if let Some(target) = reference(schema) {
            return self.hides(resolve(self.root, target)?.1, depth + 1);
        }
        let keyword = match self.direction {
            Direction::Request => "readOnly",
            Direction::Response => "writeOnly",
        };
        if schema.get(keyword) == Some(&json!(true)) {
            return Ok(true);
        }
        for branch in branches(schema, "allOf") {
            if self.hides(branch, depth + 1)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A schema as part of the object whose shape is given: left open, references expanded.
    fn in_place(&mut self, schema: &'d Value, shape: &Shape) -> Result<Map<String, Value>, String> {
        if let Some(target) = reference(schema) {
            return self.in_place(resolve(self.root, target)?.1, shape);
        }
        let Some(source) = schema.as_object() else {
            return Err(format!("expected a schema object, found {schema}"));
        };
        let mut out = Map::new();
        for (key, value) in source {
            if SAME.contains(&key.as_str()) {
                out.insert(key.clone(), value.clone());
            } else if !HANDLED.contains(&key.as_str())
                && !NOTES.contains(&key.as_str())
                && !key.starts_with("x-")
            {
                return Err(format!("`{key}` is no schema keyword of OpenAPI 3.0"));
            }
        }
        numbers(source, &mut out);
        self.properties(source, shape, &mut out)?;
        if let Some(items) = source.get("items") {
            out.insert("items".into(), self.object(items)?);
        }
        for keyword in ["allOf", "anyOf", "oneOf"] {
            if source.contains_key(keyword) {
                let converted = branches(schema, keyword)
                    .map(|branch| self.in_place(branch, shape).map(Value::Object))
                    .collect::<Result<Vec<_>, _>>()?;
                out.insert(keyword.into(), Value::Array(converted));
            }
        }
        if let Some(not) = source.get("not") {
            out.insert("not".into(), Value::Object(self.in_place(not, shape)?));
        }
        Ok(nullable(source, types(source, out)))
    }

    /// `properties`, `required` and `additionalProperties`.
    fn properties(
        &mut self,
        source: &'d Map<String, Value>,
        shape: &Shape,
        out: &mut Map<String, Value>,
    ) -> Result<(), String> {
        if let Some(Value::Object(properties)) = source.get("properties") {
            let mut converted = Map::new();
            for (name, property) in properties {
                let value = if shape.hidden.contains(name) {
                    json!(false)
                } else {
                    self.object(property)?
                };
                converted.insert(name.clone(), value);
            }
            out.insert("properties".into(), Value::Object(converted));
        }
        if let Some(Value::Array(required)) = source.get("required") {
            let kept = required
                .iter()
                .filter(|name| {
                    !name
                        .as_str()
                        .is_some_and(|name| shape.hidden.contains(name))
                })
                .cloned()
                .collect();
            out.insert("required".into(), Value::Array(kept));
        }
        match source.get("additionalProperties") {
            None => {}
            Some(Value::Bool(allowed)) => {
                out.insert("additionalProperties".into(), json!(allowed));
            }
            Some(schema) => {
                out.insert("additionalProperties".into(), self.object(schema)?);
            }
        }
        Ok(())
    }
}

/// Bounds: `OpenAPI` 3.0 has `exclusiveMinimum: true` beside `minimum`.
fn numbers(source: &Map<String, Value>, out: &mut Map<String, Value>) {
    for (bound, exclusive) in [
        ("minimum", "exclusiveMinimum"),
        ("maximum", "exclusiveMaximum"),
    ] {
        match (source.get(bound), source.get(exclusive)) {
            (Some(limit), Some(Value::Bool(true))) | (None, Some(limit @ Value::Number(_))) => {
                out.insert(exclusive.into(), limit.clone());
            }
            (Some(limit), _) => {
                out.insert(bound.into(), limit.clone());
            }
            (None, _) => {}
        }
    }
    if let Some(format) = source.get("format").and_then(Value::as_str) {
        formats::number_bounds(format, out);
    }
}

/// The type, implied where properties or items are described without one: a schema that lists
/// an object's properties and lets any string pass says nothing.
fn types(source: &Map<String, Value>, mut out: Map<String, Value>) -> Map<String, Value> {
    if let Some(kind) = source.get("type") {
        out.insert("type".into(), kind.clone());
    } else if source.contains_key("properties") || source.contains_key("additionalProperties") {
        out.insert("type".into(), json!("object"));
    } else if source.contains_key("items") {
        out.insert("type".into(), json!("array"));
    }
    out
}

/// `nullable: true`. The specification lets it widen a `type` beside it only; documents use it
/// beside compositions as well and mean the same, so both are honoured.
fn nullable(source: &Map<String, Value>, mut out: Map<String, Value>) -> Map<String, Value> {
    if source.get("nullable") != Some(&json!(true)) || out.is_empty() {
        return out;
    }
    if ["allOf", "anyOf", "oneOf", "not"]
        .iter()
        .any(|keyword| out.contains_key(*keyword))
    {
        let mut wrapped = Map::new();
        wrapped.insert("anyOf".into(), json!([{ "type": "null" }, out]));
        return wrapped;
    }
    if let Some(kind @ Value::String(_)) = out.get("type").cloned() {
        out.insert("type".into(), json!([kind, "null"]));
    }
    if let Some(Value::Array(values)) = out.get_mut("enum")
        && !values.contains(&Value::Null)
    {
        values.push(Value::Null);
    }
    out
}

fn members<'v>(schema: &'v Value, keyword: &str) -> impl Iterator<Item = (&'v String, &'v Value)> {
    schema
        .get(keyword)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
}

fn branches<'v>(schema: &'v Value, keyword: &str) -> impl Iterator<Item = &'v Value> {
    schema
        .get(keyword)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

/// Every property name a *converted* schema describes at the object it begins at.
pub(crate) fn described_names(schema: &Value) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = members(schema, "properties")
        .map(|(name, _)| name.clone())
        .collect();
    for keyword in ["allOf", "anyOf", "oneOf"] {
        for branch in branches(schema, keyword) {
            names.extend(described_names(branch));
        }
    }
    names
}

/// The schema that stands above the keyword at `keyword_location` in a converted schema.
pub(crate) fn parent<'v>(schema: &'v Value, keyword_location: &str) -> Option<&'v Value> {
    let (parent, _) = keyword_location.rsplit_once('/')?;
    schema.pointer(parent)
}

/// The pointer of the schema of the first JSON media type in a `content` map.
pub(crate) fn json_content(content: &pointer::Place<'_>) -> Option<String> {
    let (media_type, body) = content
        .value
        .as_object()?
        .iter()
        .find(|(name, _)| name.starts_with("application/json"))?;
    body.get("schema")?;
    Some(format!(
        "{}/schema",
        pointer::join(&content.pointer, media_type)
    ))
}

#[cfg(test)]
mod tests;
