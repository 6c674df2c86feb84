//! Kubernetes objects as plain JSON, and what identifies one.

use crate::k3s::pki::secret::sha256_hex;
use kplan_model::{ErrorKind, ProviderError};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use std::fmt;

/// What may stand unescaped in a part of an address (RFC 3986, unreserved).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A part of an address.
pub(super) fn encode(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// Group, version and kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Type {
    /// Group and version, such as `apps/v1`.
    pub api_version: String,
    /// The kind, such as `Deployment`.
    pub kind: String,
}

impl Type {
    /// From text.
    pub fn new(api_version: &str, kind: &str) -> Self {
        Self {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
        }
    }

    /// Where the server keeps the group and version.
    pub(super) fn root(&self) -> String {
        if self.api_version.contains('/') {
            format!("/apis/{}", self.api_version)
        } else {
            format!("/api/{}", self.api_version)
        }
    }

    /// The group; empty for the core group.
    pub fn group(&self) -> &str {
        self.api_version
            .split_once('/')
            .map_or("", |(group, _)| group)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.api_version, self.kind)
    }
}

/// What identifies one object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Object {
    /// Its type.
    pub of: Type,
    /// Its namespace, where it has one.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.of, self.name),
            None => write!(f, "{} {}", self.of, self.name),
        }
    }
}

impl Object {
    /// From its parts.
    pub fn new(api_version: &str, kind: &str, namespace: Option<&str>, name: &str) -> Self {
        Self {
            of: Type::new(api_version, kind),
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
        }
    }

    /// Of an object in JSON.
    pub fn of(value: &Value) -> Result<Self, ProviderError> {
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
        match (text("/apiVersion"), text("/kind"), text("/metadata/name")) {
            (Some(api_version), Some(kind), Some(name)) => Ok(Self::new(
                api_version,
                kind,
                text("/metadata/namespace"),
                name,
            )),
            _ => Err(ProviderError::new(
                ErrorKind::Invalid,
                "a Kubernetes object has no apiVersion, kind or name",
            )),
        }
    }

    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let (api_version, kind, name) = (words.next()?, words.next()?, words.next()?);
        let (namespace, name) = match name.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, name),
        };
        words
            .next()
            .is_none()
            .then(|| Self::new(api_version, kind, namespace, name))
    }

    /// Whether it is a core `Secret`.
    pub fn is_secret(&self) -> bool {
        self.of.kind == "Secret" && self.of.api_version == "v1"
    }
}

/// The map at `/metadata/<name>`, made where it is missing; `None` when `value` is no object.
pub(super) fn metadata<'a>(value: &'a mut Value, name: &str) -> Option<&'a mut Map<String, Value>> {
    let metadata = value
        .as_object_mut()?
        .entry("metadata")
        .or_insert_with(|| Value::Object(Map::new()));
    let map = metadata
        .as_object_mut()?
        .entry(name)
        .or_insert_with(|| Value::Object(Map::new()));
    // `labels: null` stands in some manifests.
    if map.is_null() {
        *map = Value::Object(Map::new());
    }
    map.as_object_mut()
}

/// JSON with names in order, so that equal values have equal texts however they were read.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut names: Vec<&String> = map.keys().collect();
            names.sort();
            out.push('{');
            for name in names {
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                if let Some(inner) = map.get(name) {
                    canonical(inner, out);
                }
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}

/// A digest of a value, however its names are ordered.
pub(super) fn canonical_digest(value: &Value) -> String {
    let mut text = String::new();
    canonical(value, &mut text);
    let digest = sha256_hex(text.as_bytes());
    digest.get(..16).unwrap_or_default().to_owned()
}

/// A digest of what an object asks for. The values of a Secret are left out: the digest of a weak
/// secret could be guessed from.
pub fn digest(value: &Value) -> String {
    if Object::of(value).is_ok_and(|object| object.is_secret()) {
        canonical_digest(&masked(value, |_| "secret".to_owned()))
    } else {
        canonical_digest(value)
    }
}

/// A Secret with its values replaced.
pub(super) fn masked(value: &Value, mask: impl Fn(&str) -> String) -> Value {
    let mut value = value.clone();
    for part in ["data", "stringData"] {
        if let Some(Value::Object(data)) = value.get_mut(part) {
            for (name, inner) in data.iter_mut() {
                *inner = Value::from(mask(name));
            }
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_identity_reads_what_it_writes() {
        for object in [
            Object::new("v1", "Namespace", None, "velero"),
            Object::new("apps/v1", "Deployment", Some("argocd"), "argocd-server"),
            Object::new(
                "rbac.authorization.k8s.io/v1",
                "ClusterRole",
                None,
                "system:a:b",
            ),
        ] {
            assert_eq!(Object::parse(&object.to_string()), Some(object));
        }
        assert_eq!(Object::parse("v1 Secret"), None);
        assert_eq!(Object::parse("v1 Secret a/b c"), None);
    }

    #[test]
    fn a_digest_sees_everything_but_secrets() {
        let secret = |data: &str, label: &str| {
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "labels": {"l": label}},
                   "data": {"token": data}})
        };
        assert_eq!(digest(&secret("aaaa", "x")), digest(&secret("bbbb", "x")));
        assert_ne!(digest(&secret("aaaa", "x")), digest(&secret("aaaa", "y")));
        let map = |data: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "s"}, "data": {"a": data}});
        assert_ne!(digest(&map("1")), digest(&map("2")));
        assert_eq!(
            digest(&serde_json::from_str(r#"{"a":{"b":1,"c":2}}"#).unwrap()),
            digest(&serde_json::from_str(r#"{"a":{"c":2,"b":1}}"#).unwrap()),
        );
    }
}
