//! Bodies in protobuf, which `kubectl create` sends for a few simple kinds.
//!
//! Field numbers are those of `generated.proto` of the API packages `core/v1`, `policy/v1` and
//! `meta/v1`. A field that is not in the tables refuses the body: nothing is lost silently.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::kubernetes::status::ApiError;

/// Every protobuf body starts with this.
const MAGIC: &[u8] = b"k8s\0";

type Table = &'static [(u64, &'static str, Field)];

/// How a field's bytes become JSON.
#[derive(Clone, Copy)]
enum Field {
    Text,
    Texts,
    Flag,
    Number,
    TextMap,
    BytesMap,
    Message(Table),
    Messages(Table),
    /// Set by the server only.
    Ignored,
}

const META: Table = &[
    (1, "name", Field::Text),
    (2, "generateName", Field::Text),
    (3, "namespace", Field::Text),
    (4, "selfLink", Field::Ignored),
    (5, "uid", Field::Text),
    (6, "resourceVersion", Field::Text),
    (7, "generation", Field::Ignored),
    (8, "creationTimestamp", Field::Ignored),
    (11, "labels", Field::TextMap),
    (12, "annotations", Field::TextMap),
    (14, "finalizers", Field::Texts),
    (17, "managedFields", Field::Ignored),
];

const REFERENCE: Table = &[(1, "name", Field::Text)];

const OBJECT_REFERENCE: Table = &[
    (1, "kind", Field::Text),
    (2, "namespace", Field::Text),
    (3, "name", Field::Text),
];

const RESOURCE_ATTRIBUTES: Table = &[
    (1, "namespace", Field::Text),
    (2, "verb", Field::Text),
    (3, "group", Field::Text),
    (4, "version", Field::Text),
    (5, "resource", Field::Text),
    (6, "subresource", Field::Text),
    (7, "name", Field::Text),
];

const PATH_ATTRIBUTES: Table = &[(1, "path", Field::Text), (2, "verb", Field::Text)];

/// The kinds that are understood.
const KINDS: &[(&str, &str, Table)] = &[
    (
        "v1",
        "Namespace",
        &[
            (1, "metadata", Field::Message(META)),
            (
                2,
                "spec",
                Field::Message(&[(1, "finalizers", Field::Texts)]),
            ),
            (3, "status", Field::Ignored),
        ],
    ),
    (
        "v1",
        "ConfigMap",
        &[
            (1, "metadata", Field::Message(META)),
            (2, "data", Field::TextMap),
            (3, "binaryData", Field::BytesMap),
            (4, "immutable", Field::Flag),
        ],
    ),
    (
        "v1",
        "Secret",
        &[
            (1, "metadata", Field::Message(META)),
            (2, "data", Field::BytesMap),
            (3, "type", Field::Text),
            (4, "stringData", Field::TextMap),
            (5, "immutable", Field::Flag),
        ],
    ),
    (
        "v1",
        "ServiceAccount",
        &[
            (1, "metadata", Field::Message(META)),
            (2, "secrets", Field::Messages(OBJECT_REFERENCE)),
            (3, "imagePullSecrets", Field::Messages(REFERENCE)),
            (4, "automountServiceAccountToken", Field::Flag),
        ],
    ),
    (
        "policy/v1",
        "Eviction",
        &[
            (1, "metadata", Field::Message(META)),
            (
                2,
                "deleteOptions",
                Field::Message(&[(1, "gracePeriodSeconds", Field::Number)]),
            ),
        ],
    ),
    (
        "authorization.k8s.io/v1",
        "SelfSubjectAccessReview",
        &[
            (1, "metadata", Field::Message(META)),
            (
                2,
                "spec",
                Field::Message(&[
                    (1, "resourceAttributes", Field::Message(RESOURCE_ATTRIBUTES)),
                    (2, "nonResourceAttributes", Field::Message(PATH_ATTRIBUTES)),
                ]),
            ),
            (3, "status", Field::Ignored),
        ],
    ),
    (
        "authentication.k8s.io/v1",
        "SelfSubjectReview",
        &[
            (1, "metadata", Field::Message(META)),
            (2, "status", Field::Ignored),
        ],
    ),
];

/// The object a body holds.
pub(super) fn decode(body: &[u8]) -> Result<Value, ApiError> {
    let envelope = body.strip_prefix(MAGIC).ok_or_else(broken)?;
    let mut kind = Value::Null;
    let mut raw: &[u8] = &[];
    for (number, wire) in fields(envelope)? {
        match (number, wire) {
            (1, Wire::Bytes(bytes)) => {
                kind = message(
                    &[(1, "apiVersion", Field::Text), (2, "kind", Field::Text)],
                    bytes,
                )?;
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let table = KINDS
        .iter()
        .find(|(version, name, _)| kind["apiVersion"] == *version && kind["kind"] == *name);
    let Some((.., table)) = table else {
        return Err(ApiError::unsupported_media_type(format!(
            "the sandbox does not read {} of {} in application/vnd.kubernetes.protobuf; send application/json, for instance with kubectl apply or kubectl create -f",
            kind["kind"], kind["apiVersion"]
        )));
    };
    let mut object = message(table, raw)?;
    object["apiVersion"] = kind["apiVersion"].clone();
    object["kind"] = kind["kind"].clone();
    Ok(object)
}

fn broken() -> ApiError {
    ApiError::bad_request("the body is not a protobuf object of the Kubernetes API")
}

#[derive(Clone, Copy)]
enum Wire<'a> {
    Number(u64),
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

/// The fields of a message, in order.
fn fields(mut bytes: &[u8]) -> Result<Vec<(u64, Wire<'_>)>, ApiError> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes).ok_or_else(broken)?;
        let wire = match tag & 7 {
            0 => Wire::Number(varint(&mut bytes).ok_or_else(broken)?),
            2 => {
                let length = varint(&mut bytes)
                    .and_then(|n| usize::try_from(n).ok())
                    .ok_or_else(broken)?;
                let (part, rest) = bytes.split_at_checked(length).ok_or_else(broken)?;
                bytes = rest;
                Wire::Bytes(part)
            }
            _ => return Err(broken()),
        };
        found.push((tag >> 3, wire));
    }
    Ok(found)
}

fn text(bytes: &[u8]) -> Result<Value, ApiError> {
    std::str::from_utf8(bytes)
        .map(Value::from)
        .map_err(|_| broken())
}

fn message(table: Table, bytes: &[u8]) -> Result<Value, ApiError> {
    let mut out = Map::new();
    for (number, wire) in fields(bytes)? {
        let entry = table.iter().find(|(known, ..)| *known == number);
        let Some((_, name, field)) = entry else {
            return Err(ApiError::unsupported_media_type(format!(
                "field {number} of this kind is not read in application/vnd.kubernetes.protobuf; send application/json"
            )));
        };
        match (field, wire) {
            // An empty string is an absent field to the API types.
            (Field::Ignored, _) | (Field::Text, Wire::Bytes([])) => {}
            (Field::Text, Wire::Bytes(bytes)) => drop(out.insert((*name).to_owned(), text(bytes)?)),
            (Field::Flag, Wire::Number(n)) => drop(out.insert((*name).to_owned(), (n != 0).into())),
            (Field::Number, Wire::Number(n)) => {
                out.insert((*name).to_owned(), n.cast_signed().into());
            }
            (Field::Message(table), Wire::Bytes(bytes)) => {
                out.insert((*name).to_owned(), message(table, bytes)?);
            }
            (Field::Texts, Wire::Bytes(bytes)) => push(&mut out, name, text(bytes)?),
            (Field::Messages(table), Wire::Bytes(bytes)) => {
                push(&mut out, name, message(table, bytes)?);
            }
            (Field::TextMap | Field::BytesMap, Wire::Bytes(bytes)) => {
                let (key, value) = pair(bytes)?;
                let value = match field {
                    Field::TextMap => text(value)?,
                    _ => STANDARD.encode(value).into(),
                };
                if let Some(map) = out
                    .entry(*name)
                    .or_insert_with(|| Map::new().into())
                    .as_object_mut()
                {
                    map.insert(key, value);
                }
            }
            _ => return Err(broken()),
        }
    }
    Ok(Value::Object(out))
}

fn push(out: &mut Map<String, Value>, name: &str, value: Value) {
    if let Some(list) = out
        .entry(name)
        .or_insert_with(|| Vec::<Value>::new().into())
        .as_array_mut()
    {
        list.push(value);
    }
}

/// An entry of a map: key and the bytes of its value.
fn pair(bytes: &[u8]) -> Result<(String, &[u8]), ApiError> {
    let (mut key, mut value): (String, &[u8]) = (String::new(), &[]);
    for (number, wire) in fields(bytes)? {
        match (number, wire) {
            (1, Wire::Bytes(bytes)) => {
                key = String::from_utf8(bytes.to_vec()).map_err(|_| broken())?;
            }
            (2, Wire::Bytes(bytes)) => value = bytes,
            _ => return Err(broken()),
        }
    }
    Ok((key, value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A length-delimited field.
    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2, u8::try_from(content.len()).unwrap()];
        out.extend_from_slice(content);
        out
    }

    fn body(kind: &str, raw: &[u8]) -> Vec<u8> {
        let kind = [field(1, b"v1"), field(2, kind.as_bytes())].concat();
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
            decode(&body("Secret", &secret)).unwrap(),
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "labels": {"a": "b"}},
                   "data": {"k": "dg=="}, "type": "Opaque", "immutable": true})
        );
        assert_eq!(
            decode(&body("Secret", &field(9, b"x"))).unwrap_err().code,
            415
        );
        assert_eq!(decode(&body("Pod", &[])).unwrap_err().code, 415);
        assert_eq!(
            decode(&body("Secret", &[0x0a, 0x50])).unwrap_err().code,
            400
        );
        assert_eq!(decode(b"{}").unwrap_err().code, 400);
    }
}
