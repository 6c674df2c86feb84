//! Bodies in protobuf, which clients with typed objects send: `kubectl create deployment` does.
//!
//! They do not fall back to JSON when they are refused, so every built-in kind but
//! `CustomResourceDefinition` and `APIService` is read. The fields
//! stand in `protobuf/messages.txt`, a line a message:
//!
//! ```text
//! core.v1.EnvVar name:s value:s valueFrom?:core.v1.EnvVarSource
//! ```
//!
//! Numbers count from one; `7=` says where they go on after a gap. A name with `?` is a pointer in
//! the API's types: its zero says something. A `+` before the type inlines the message. Types are
//! messages and `s` string, `b` bool, `i` integer, `d` double, `y` bytes, `q` quantity, `x` number
//! or string, `t` and `u` time, `r` JSON, `l` a message that is a list of strings; `*` repeats,
//! `%` is a map by strings. A field that is not in the table refuses the body: nothing is lost
//! silently.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::kubernetes::status::ApiError;

/// Every protobuf body starts with this.
const MAGIC: &[u8] = b"k8s\0";

/// Messages by their names, such as `core.v1.Pod`.
static MESSAGES: LazyLock<BTreeMap<&str, Message>> = LazyLock::new(|| {
    include_str!("protobuf/messages.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(parse)
        .collect()
});

/// Fields by their numbers.
type Message = BTreeMap<u64, Field>;

/// How a field becomes JSON.
#[derive(Clone, Copy, Debug)]
struct Field {
    /// Empty when the message is inlined.
    name: &'static str,
    /// Whether its zero is a value of its own.
    pointer: bool,
    shape: Shape,
    kind: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    One,
    Repeated,
    Map,
}

fn parse(line: &'static str) -> Option<(&'static str, Message)> {
    let mut words = line.split(' ');
    let name = words.next()?;
    let (mut message, mut number) = (Message::new(), 0);
    for word in words {
        let (place, field) = match word.split_once('=') {
            Some((place, field)) => (place.parse().ok()?, field),
            None => (number + 1, word),
        };
        number = place;
        message.insert(number, Field::parse(field)?);
    }
    Some((name, message))
}

impl Field {
    fn parse(word: &'static str) -> Option<Field> {
        let (name, kind) = match word.strip_prefix('+') {
            Some(kind) => ("", kind),
            None => word.split_once(':')?,
        };
        let (shape, kind) = if let Some(kind) = kind.strip_prefix('*') {
            (Shape::Repeated, kind)
        } else if let Some(kind) = kind.strip_prefix('%') {
            (Shape::Map, kind)
        } else {
            (Shape::One, kind)
        };
        Some(Field {
            name: name.trim_end_matches('?'),
            pointer: name.ends_with('?'),
            shape,
            kind,
        })
    }
}

/// The name of a kind's message.
fn message_name(api_version: &str, kind: &str) -> String {
    if kind == "DeleteOptions" {
        // Every group knows it.
        return "meta.v1.DeleteOptions".to_owned();
    }
    let (group, version) = api_version.split_once('/').unwrap_or(("core", api_version));
    let group = group.split('.').next().unwrap_or(group);
    format!("{group}.{version}.{kind}")
}

/// The object a body holds.
pub(super) fn decode(body: &[u8]) -> Result<Value, ApiError> {
    let envelope = body.strip_prefix(MAGIC).ok_or_else(broken)?;
    let (mut api_version, mut kind) = (String::new(), String::new());
    let mut raw: &[u8] = &[];
    for (number, wire) in fields(envelope)? {
        match (number, wire) {
            (1, Wire::Bytes(bytes)) => {
                for (number, wire) in fields(bytes)? {
                    match (number, wire) {
                        (1, Wire::Bytes(bytes)) => api_version = text(bytes)?,
                        (2, Wire::Bytes(bytes)) => kind = text(bytes)?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let Some(table) = MESSAGES.get(message_name(&api_version, &kind).as_str()) else {
        return Err(ApiError::unsupported_media_type(format!(
            "the sandbox does not read {kind} of {api_version} in application/vnd.kubernetes.protobuf; send application/json, for instance with kubectl apply or kubectl create -f"
        )));
    };
    let mut object = message(table, raw)?;
    object.insert("apiVersion".to_owned(), api_version.into());
    object.insert("kind".to_owned(), kind.into());
    Ok(Value::Object(object))
}

fn broken() -> ApiError {
    ApiError::bad_request("the body is not a protobuf object of the Kubernetes API")
}

#[derive(Clone, Copy)]
enum Wire<'a> {
    Number(u64),
    Double(f64),
    Bytes(&'a [u8]),
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn one<'b>(bytes: &mut &'b [u8]) -> Option<(u64, Wire<'b>)> {
    let tag = varint(bytes)?;
    let wire = match tag & 7 {
        0 => Wire::Number(varint(bytes)?),
        1 => {
            let (part, rest) = bytes.split_first_chunk()?;
            *bytes = rest;
            Wire::Double(f64::from_le_bytes(*part))
        }
        2 => {
            let length = usize::try_from(varint(bytes)?).ok()?;
            let (part, rest) = bytes.split_at_checked(length)?;
            *bytes = rest;
            Wire::Bytes(part)
        }
        _ => return None,
    };
    Some((tag >> 3, wire))
}

/// The fields of a message, in order.
fn fields(mut bytes: &[u8]) -> Result<Vec<(u64, Wire<'_>)>, ApiError> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let mut rest = bytes;
        found.push(one(&mut rest).ok_or_else(broken)?);
        bytes = rest;
    }
    Ok(found)
}

fn text(bytes: &[u8]) -> Result<String, ApiError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| broken())
}

fn message(table: &Message, bytes: &[u8]) -> Result<Map<String, Value>, ApiError> {
    let mut out = Map::new();
    for (number, wire) in fields(bytes)? {
        let Some(field) = table.get(&number) else {
            return Err(ApiError::unsupported_media_type(format!(
                "field {number} of this kind is not read in application/vnd.kubernetes.protobuf; send application/json"
            )));
        };
        if field.name.is_empty() {
            if let Value::Object(inlined) = value(field.kind, wire)? {
                out.extend(inlined);
            }
            continue;
        }
        match (field.shape, wire) {
            (Shape::One, wire) => {
                let value = value(field.kind, wire)?;
                // The API's types take the zero of what is no pointer for an absent field.
                if field.pointer || !is_zero(&value) {
                    out.insert(field.name.to_owned(), value);
                }
            }
            (Shape::Repeated, wire) => {
                let value = value(field.kind, wire)?;
                let list = out
                    .entry(field.name)
                    .or_insert_with(|| Vec::<Value>::new().into());
                list.as_array_mut().ok_or_else(broken)?.push(value);
            }
            (Shape::Map, Wire::Bytes(bytes)) => {
                let (key, value) = entry(field.kind, bytes)?;
                let map = out.entry(field.name).or_insert_with(|| Map::new().into());
                map.as_object_mut().ok_or_else(broken)?.insert(key, value);
            }
            (Shape::Map, _) => return Err(broken()),
        }
    }
    Ok(out)
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// An entry of a map. What it leaves out is zero.
fn entry(kind: &str, bytes: &[u8]) -> Result<(String, Value), ApiError> {
    let (mut key, mut found) = (String::new(), None);
    for (number, wire) in fields(bytes)? {
        match (number, wire) {
            (1, Wire::Bytes(bytes)) => key = text(bytes)?,
            (2, wire) => found = Some(value(kind, wire)?),
            _ => return Err(broken()),
        }
    }
    let found = match found {
        Some(found) => found,
        None => value(kind, Wire::Bytes(&[]))?,
    };
    Ok((key, found))
}

fn value(kind: &str, wire: Wire<'_>) -> Result<Value, ApiError> {
    Ok(match (kind, wire) {
        ("b", Wire::Number(n)) => (n != 0).into(),
        ("i", Wire::Number(n)) => n.cast_signed().into(),
        ("d", Wire::Double(n)) => n.into(),
        ("s", Wire::Bytes(bytes)) => text(bytes)?.into(),
        ("y", Wire::Bytes(bytes)) => STANDARD.encode(bytes).into(),
        ("q", Wire::Bytes(bytes)) => first_text(bytes)?.into(),
        ("r", Wire::Bytes(bytes)) => json(bytes)?,
        ("x", Wire::Bytes(bytes)) => number_or_text(bytes)?,
        ("l", Wire::Bytes(bytes)) => {
            let items = fields(bytes)?.into_iter().map(|(_, wire)| value("s", wire));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        ("t" | "u", Wire::Bytes(bytes)) => time(bytes, kind == "u")?,
        (name, Wire::Bytes(bytes)) => {
            Value::Object(message(MESSAGES.get(name).ok_or_else(broken)?, bytes)?)
        }
        _ => return Err(broken()),
    })
}

/// The text in a message's first field: a quantity.
fn first_text(bytes: &[u8]) -> Result<String, ApiError> {
    for (number, wire) in fields(bytes)? {
        if let (1, Wire::Bytes(bytes)) = (number, wire) {
            return text(bytes);
        }
    }
    Ok(String::new())
}

/// The JSON in a message's first field.
fn json(bytes: &[u8]) -> Result<Value, ApiError> {
    for (number, wire) in fields(bytes)? {
        if let (1, Wire::Bytes(bytes)) = (number, wire) {
            return serde_json::from_slice(bytes).map_err(|_| broken());
        }
    }
    Ok(Value::Null)
}

fn number_or_text(bytes: &[u8]) -> Result<Value, ApiError> {
    let (mut is_text, mut number, mut words) = (false, 0, String::new());
    for (field, wire) in fields(bytes)? {
        match (field, wire) {
            (1, Wire::Number(n)) => is_text = n == 1,
            (2, Wire::Number(n)) => number = n.cast_signed(),
            (3, Wire::Bytes(bytes)) => words = text(bytes)?,
            _ => return Err(broken()),
        }
    }
    Ok(if is_text { words.into() } else { number.into() })
}

/// Seconds and nanoseconds since 1970; nothing is no time.
fn time(bytes: &[u8], exact: bool) -> Result<Value, ApiError> {
    let (mut seconds, mut nanos) = (None, 0);
    for (field, wire) in fields(bytes)? {
        match (field, wire) {
            (1, Wire::Number(n)) => seconds = Some(n.cast_signed()),
            (2, Wire::Number(n)) => nanos = i32::try_from(n.cast_signed()).unwrap_or(0),
            _ => return Err(broken()),
        }
    }
    let Some(seconds) = seconds else {
        return Ok(Value::Null);
    };
    let at = jiff::Timestamp::new(seconds, nanos).map_err(|_| broken())?;
    let shown = if exact {
        format!("{at:.6}")
    } else {
        crate::kubernetes::apiserver::timestamp(at)
    };
    Ok(shown.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kubernetes::resources::BUILTINS;
    use crate::kubernetes::schema::core;

    /// A length-delimited field.
    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2, u8::try_from(content.len()).unwrap()];
        out.extend_from_slice(content);
        out
    }

    fn body(version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let kind = [field(1, version.as_bytes()), field(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), field(1, &kind), field(2, raw)].concat()
    }

    #[test]
    fn a_secret_is_read_and_what_is_unknown_refused() {
        let labels = field(11, &[field(1, b"a"), field(2, b"b")].concat());
        let meta = [field(1, b"s"), field(3, b""), labels].concat();
        let data = [field(1, b"k"), field(2, b"v")].concat();
        let secret = [
            field(1, &meta),
            field(2, &data),
            field(3, b"Opaque"),
            vec![5 << 3, 1],
        ]
        .concat();
        assert_eq!(
            decode(&body("v1", "Secret", &secret)).unwrap(),
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "labels": {"a": "b"}},
                   "data": {"k": "dg=="}, "type": "Opaque", "immutable": true})
        );
        let refused = |kind: &str, raw: &[u8]| decode(&body("v1", kind, raw)).unwrap_err().code;
        assert_eq!(refused("Secret", &field(9, b"x")), 415);
        assert_eq!(refused("Widget", &[]), 415);
        assert_eq!(refused("Secret", &[0x0a, 0x50]), 400);
        assert_eq!(decode(b"{}").unwrap_err().code, 400);
    }

    #[test]
    fn zeros_count_where_the_type_is_a_pointer() {
        // replicas: 0 (a pointer), minReadySeconds: 0 (none), maxSurge: 25% (number or text).
        let surge = field(2, &[vec![1 << 3, 1, 2 << 3, 0], field(3, b"25%")].concat());
        let strategy = field(4, &[field(1, b""), field(2, &surge)].concat());
        let spec = [vec![1 << 3, 0], strategy, vec![5 << 3, 0]].concat();
        let made = [0x08, 0x80, 0xa4, 0xdd, 0xcb, 0x06]; // 1769411072 s
        let meta = [field(1, b"d"), field(8, &made), field(9, &[])].concat();
        let raw = [field(1, &meta), field(2, &spec), field(3, &[])].concat();
        assert_eq!(
            decode(&body("apps/v1", "Deployment", &raw)).unwrap(),
            json!({"apiVersion": "apps/v1", "kind": "Deployment",
                   "metadata": {"name": "d", "creationTimestamp": "2026-01-26T11:37:36Z", "deletionTimestamp": null},
                   "spec": {"replicas": 0, "strategy": {"rollingUpdate": {"maxSurge": "25%"}}}})
        );
    }

    /// The definitions of OpenAPI that have the fields of a message.
    fn definition(name: &str) -> Option<&'static Value> {
        let place = if name.starts_with("meta.") {
            "io.k8s.apimachinery.pkg.apis."
        } else {
            "io.k8s.api."
        };
        core::definitions().get(&format!("{place}{name}"))
    }

    fn names(message: &Message, found: &mut Vec<&'static str>) {
        for field in message.values() {
            if field.name.is_empty() {
                names(&MESSAGES[field.kind], found);
            } else {
                found.push(field.name);
            }
        }
    }

    #[test]
    fn no_line_of_the_table_is_lost() {
        let lines = include_str!("protobuf/messages.txt").lines();
        let written = lines.filter(|line| !line.starts_with('#')).count();
        assert_eq!(MESSAGES.len(), written);
        let scalars = ["s", "b", "i", "q", "x", "d", "y", "t", "u", "r", "l"];
        for (name, message) in MESSAGES.iter() {
            for Field { kind, .. } in message.values() {
                assert!(
                    kind.contains('.') || scalars.contains(kind),
                    "{name}: {kind}"
                );
            }
        }
        for builtin in BUILTINS.iter() {
            let name = match builtin.group {
                "" => message_name(builtin.version, builtin.kind),
                group => message_name(&format!("{group}/{}", builtin.version), builtin.kind),
            };
            let read = MESSAGES.contains_key(name.as_str());
            let left_out = ["CustomResourceDefinition", "APIService"];
            assert_eq!(read, !left_out.contains(&builtin.kind), "{name}");
        }
    }

    #[test]
    fn messages_have_the_fields_of_the_definitions() {
        let mut compared = 0;
        for (name, message) in MESSAGES.iter() {
            for field in message.values().filter(|field| field.kind.contains('.')) {
                assert!(MESSAGES.contains_key(field.kind), "{}", field.kind);
            }
            let Some(properties) = definition(name).and_then(|d| d["properties"].as_object())
            else {
                continue;
            };
            let mut own = Vec::new();
            names(message, &mut own);
            let declared = properties
                .keys()
                .filter(|key| !matches!(key.as_str(), "apiVersion" | "kind"));
            for key in declared {
                assert!(own.contains(&key.as_str()), "{name} lacks {key}");
            }
            for key in own {
                assert!(properties.contains_key(key), "{name} has no {key}");
            }
            compared += 1;
        }
        assert!(compared > 350, "{compared}");
    }
}
