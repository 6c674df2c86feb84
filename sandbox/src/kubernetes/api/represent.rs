//! The forms objects are answered in: whole, as a table, or only their metadata.

use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use super::Call;
use crate::kubernetes::apiserver::ApiServer;
use crate::kubernetes::object::Object;
use crate::kubernetes::resources::ResourceType;
use crate::kubernetes::status::{ApiError, json_response};
use crate::kubernetes::table;

/// What the client asked for in `Accept`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Whole,
    Table { include: Include },
    Metadata,
}

/// How much of each object a table row carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Include {
    None,
    Metadata,
    Object,
}

impl Form {
    /// The first acceptable form.
    pub(super) fn of(call: &Call<'_>) -> Result<Form, ApiError> {
        let accept = call.accept();
        if accept.trim().is_empty() {
            return Ok(Form::Whole);
        }
        for offer in accept.split(',') {
            let mut parts = offer.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            if !matches!(
                media,
                "application/json" | "application/*" | "*/*" | "application/yaml"
            ) {
                continue;
            }
            let parameters: Vec<&str> = parts.collect();
            let parameter = |key: &str| {
                parameters
                    .iter()
                    .find_map(|p| p.strip_prefix(key).and_then(|rest| rest.strip_prefix('=')))
            };
            let known = parameter("g") == Some("meta.k8s.io") && parameter("v") == Some("v1");
            return match parameter("as") {
                None => Ok(Form::Whole),
                Some("Table") if known => Ok(Form::Table {
                    include: Include::of(call),
                }),
                Some("PartialObjectMetadata" | "PartialObjectMetadataList") if known => {
                    Ok(Form::Metadata)
                }
                Some(_) => continue,
            };
        }
        Err(ApiError::not_acceptable(
            "only the following media types are accepted: application/json, application/yaml",
        ))
    }
}

impl Include {
    fn of(call: &Call<'_>) -> Include {
        match call.query.get("includeObject") {
            Some("None") => Include::None,
            Some("Object") => Include::Object,
            _ => Include::Metadata,
        }
    }
}

/// Only the metadata of an object.
pub(crate) fn metadata_only(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}

/// One object in the wanted form.
pub(super) fn one(
    call: &Call<'_>,
    resource: &ResourceType,
    object: &Object,
) -> Result<Value, ApiError> {
    Ok(shape(call.server, resource, object, Form::of(call)?))
}

/// One object in a form.
pub(crate) fn shape(
    server: &ApiServer,
    resource: &ResourceType,
    object: &Object,
    form: Form,
) -> Value {
    match form {
        Form::Whole => Value::clone(object),
        Form::Metadata => metadata_only(object),
        Form::Table { include } => {
            let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
            table::table(
                server,
                resource,
                std::slice::from_ref(object),
                metadata,
                include,
            )
        }
    }
}

/// A list in a form.
pub(crate) fn many(
    server: &ApiServer,
    resource: &ResourceType,
    objects: &[Object],
    metadata: Value,
    form: Form,
) -> Value {
    match form {
        Form::Whole => ApiServer::list_of(resource, objects, metadata),
        Form::Metadata => json!({
            "kind": "PartialObjectMetadataList",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": metadata,
            "items": objects.iter().map(|object| metadata_only(object)).collect::<Vec<_>>(),
        }),
        Form::Table { include } => table::table(server, resource, objects, metadata, include),
    }
}

/// Answers with an object.
pub(super) fn respond(
    call: &Call<'_>,
    resource: &ResourceType,
    object: &Object,
    code: StatusCode,
) -> Result<Response, ApiError> {
    Ok(json_response(code, &one(call, resource, object)?))
}
