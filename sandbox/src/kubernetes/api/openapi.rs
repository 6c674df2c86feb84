//! OpenAPI documents: version 3 per group; version 2 stands in `swagger`.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use super::swagger;
use crate::kubernetes::apiserver::ApiServer;
use crate::kubernetes::resources::{ResourceType, Types};
use crate::kubernetes::schema::{REF_PREFIX, core};
use crate::kubernetes::status::{ApiError, json_response};

/// The answer, if the path is one of OpenAPI's.
pub(super) fn answer(
    server: &ApiServer,
    path: &str,
    accept: &str,
) -> Option<Result<Response, ApiError>> {
    let rest = path.strip_prefix("/openapi/")?;
    let body = match rest.split('/').collect::<Vec<_>>().as_slice() {
        ["v2"] if accept.contains("proto-openapi.spec.v2") => {
            let mut response = Response::new(Body::from(swagger::protobuf(server)));
            let media = HeaderValue::from_static(swagger::PROTOBUF);
            response.headers_mut().insert(header::CONTENT_TYPE, media);
            return Some(Ok(response));
        }
        ["v2"] => swagger::document(server),
        ["v3"] => index(server),
        ["v3", "api", version] => document(server, "", version)?,
        ["v3", "apis", group, version] => document(server, group, version)?,
        _ => return None,
    };
    Some(Ok(json_response(StatusCode::OK, &body)))
}

fn index(server: &ApiServer) -> Value {
    let mut paths = Map::new();
    for (group, versions) in server.catalogue().groups() {
        for version in versions {
            let path = if group.is_empty() {
                format!("api/{version}")
            } else {
                format!("apis/{group}/{version}")
            };
            // Clients key their caches by the hash; the last change of any object is a safe one.
            let url = format!("/openapi/v3/{path}?hash={}", server.storage.version());
            paths.insert(path, json!({"serverRelativeURL": url}));
        }
    }
    json!({"paths": paths})
}

/// The document of one group and version.
pub(super) fn document(server: &ApiServer, group: &str, version: &str) -> Option<Value> {
    let catalogue = server.catalogue();
    let (mut paths, mut schemas, mut wanted) = (Map::new(), Map::new(), BTreeSet::new());
    for resource in catalogue
        .all()
        .iter()
        .filter(|r| r.group == group && r.version == version)
    {
        let name = match &resource.types {
            Types::Core(definition) => {
                wanted.insert(definition.clone());
                definition.clone()
            }
            Types::Custom(custom) => {
                let name = custom_name(resource);
                references(&custom.schema, &mut wanted);
                schemas.insert(name.clone(), custom.schema.clone());
                name
            }
        };
        paths.extend(operations(resource, &name));
    }
    if paths.is_empty() {
        return None;
    }
    while let Some(name) = wanted.pop_first() {
        if schemas.contains_key(&name) {
            continue;
        }
        if let Some(definition) = core::definitions().get(&name) {
            references(definition, &mut wanted);
            schemas.insert(name, definition.clone());
        }
    }
    Some(json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": server.version},
        "paths": paths,
        "components": {"schemas": schemas},
    }))
}

/// `io.argoproj.v1alpha1.Application`: the group reversed, as the server names CRD types.
fn custom_name(resource: &ResourceType) -> String {
    let reversed: Vec<&str> = resource.group.split('.').rev().collect();
    format!(
        "{}.{}.{}",
        reversed.join("."),
        resource.version,
        resource.kind
    )
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            if let Some(target) = map.get("$ref").and_then(Value::as_str) {
                found.insert(target.trim_start_matches(REF_PREFIX).to_owned());
            }
            map.values().for_each(|child| references(child, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

/// The path of one object.
pub(super) fn object_path(resource: &ResourceType) -> String {
    let base = if resource.group.is_empty() {
        format!("/api/{}", resource.version)
    } else {
        format!("/apis/{}/{}", resource.group, resource.version)
    };
    let place = if resource.namespaced {
        "/namespaces/{namespace}"
    } else {
        ""
    };
    format!("{base}{place}/{}/{{name}}", resource.plural)
}

fn operations(resource: &ResourceType, schema: &str) -> Vec<(String, Value)> {
    let named = object_path(resource);
    let collection = named.trim_end_matches("/{name}").to_owned();
    let operation = |action: &str, parameters: &[&str], reads: bool| {
        let parameters: Vec<Value> = parameters
            .iter()
            .map(|name| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}}))
            .collect();
        let content = json!({"application/json": {"schema": core::reference(schema)}});
        let mut operation = json!({
            "operationId": format!("{action}{}", resource.kind),
            "parameters": parameters,
            "responses": {"200": {"description": "OK", "content": content}},
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind":
                {"group": resource.group, "version": resource.version, "kind": resource.kind},
        });
        if !reads {
            operation["requestBody"] = json!({"content": content});
        }
        operation
    };
    let write = ["dryRun", "fieldManager", "fieldValidation"];
    vec![
        (
            collection,
            json!({
                "get": operation("list", &["labelSelector", "fieldSelector", "limit", "continue", "watch"], true),
                "post": operation("post", &write, false),
                "delete": operation("deletecollection", &["dryRun", "labelSelector", "fieldSelector"], true),
            }),
        ),
        (
            named,
            json!({
                "get": operation("get", &[], true),
                "put": operation("put", &write, false),
                "patch": operation("patch", &["dryRun", "fieldManager", "fieldValidation", "force"], false),
                "delete": operation("delete", &["dryRun", "gracePeriodSeconds", "propagationPolicy"], true),
            }),
        ),
    ]
}
