//! OpenAPI version 2. kubectl still asks for it, in protobuf only, when it looks up which query
//! parameters the `PATCH` of a kind takes that its copy of version 3 does not know yet.

use serde_json::{Map, Value, json};

use super::openapi;
use crate::kubernetes::apiserver::ApiServer;
use crate::kubernetes::resources::ResourceType;
use crate::kubernetes::schema::REF_PREFIX;

/// Media type of the protobuf form.
pub(super) const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// Parameters of a `PATCH`.
const PARAMETERS: &[&str] = &["dryRun", "fieldManager", "fieldValidation", "force"];

/// The document as JSON.
pub(super) fn document(server: &ApiServer) -> Value {
    let (mut paths, mut definitions) = (Map::new(), Map::new());
    for (group, versions) in server.catalogue().groups() {
        for version in versions {
            let Some(mut part) = openapi::document(server, &group, &version) else {
                continue;
            };
            if let Value::Object(found) = part["paths"].take() {
                paths.extend(found);
            }
            if let Value::Object(found) = part["components"]["schemas"].take() {
                definitions.extend(found);
            }
        }
    }
    let mut document = json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": server.version},
        "paths": paths,
        "definitions": definitions,
    });
    point(&mut document);
    document
}

/// Lets references lead to `definitions`.
fn point(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, child) in map.iter_mut() {
                match child {
                    Value::String(target) if key == "$ref" => {
                        *target = target.replacen(REF_PREFIX, "#/definitions/", 1);
                    }
                    other => point(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(point),
        _ => {}
    }
}

/// The `PATCH` operations as a message of gnostic's `OpenAPIv2.proto`, whose field numbers these
/// are. Definitions are left out: clients take those of version 3.
pub(super) fn protobuf(server: &ApiServer) -> Vec<u8> {
    let info = [text(1, "Kubernetes"), text(2, &server.version)].concat();
    let catalogue = server.catalogue();
    let paths: Vec<u8> = catalogue
        .all()
        .iter()
        .flat_map(|resource| field(2, &path(resource)))
        .collect();
    [text(1, "2.0"), field(2, &info), field(8, &paths)].concat()
}

fn path(resource: &ResourceType) -> Vec<u8> {
    let parameter = |name: &&str| {
        let query = [text(2, "query"), text(4, name), text(6, "string")].concat();
        field(8, &field(1, &field(2, &field(3, &query))))
    };
    let kind = format!(
        "group: \"{}\"\nkind: {}\nversion: {}\n",
        resource.group, resource.kind, resource.version
    );
    let extension = [
        text(1, "x-kubernetes-group-version-kind"),
        field(2, &text(2, &kind)),
    ]
    .concat();
    let mut operation: Vec<u8> = PARAMETERS.iter().flat_map(parameter).collect();
    operation.extend(field(13, &extension));
    let name = openapi::object_path(resource);
    [text(1, &name), field(2, &field(8, &operation))].concat()
}

fn text(number: u8, content: &str) -> Vec<u8> {
    field(number, content.as_bytes())
}

/// A length-delimited field; numbers up to 15 fit into one byte.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = content.len();
    while length > 0x7f {
        out.push(u8::try_from(length & 0x7f).unwrap_or(0) | 0x80);
        length >>= 7;
    }
    out.push(u8::try_from(length).unwrap_or(0));
    out.extend_from_slice(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_fields_have_long_lengths() {
        assert_eq!(field(1, b"a"), [0x0a, 1, b'a']);
        assert_eq!(field(2, &[0; 300])[..3], [0x12, 0xac, 0x02]);
    }
}
