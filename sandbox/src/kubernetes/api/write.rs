//! `create`, `update`, `patch`, `delete` and the subresources that write.

use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::Call;
use super::read::Filter;
use super::represent;
use crate::kubernetes::admission::FieldValidation;
use crate::kubernetes::apiserver::ApiServer;
use crate::kubernetes::object::{self, Object, number, text};
use crate::kubernetes::patch::{json as json_patch, merge};
use crate::kubernetes::resources::ResourceType;
use crate::kubernetes::status::{self, ApiError, Cause, json_response};
use crate::kubernetes::write::{
    DeleteOptions, Patch, Propagation, Target, WriteOptions, Written, scale_of, set_scale,
};

const MEDIA_TYPES: &str = "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml";

fn options(call: &Call<'_>) -> Result<WriteOptions, ApiError> {
    let dry_run = match call.query.get("dryRun") {
        None => false,
        Some("All") => true,
        Some(other) => {
            return Err(ApiError::bad_request(format!(
                "invalid dryRun value {other:?}: only \"All\" is supported"
            )));
        }
    };
    let validation = match call.query.get("fieldValidation") {
        None | Some("Warn") => FieldValidation::Warn,
        Some("Strict") => FieldValidation::Strict,
        Some("Ignore") => FieldValidation::Ignore,
        Some(other) => {
            return Err(ApiError::bad_request(format!(
                "invalid fieldValidation value {other:?}"
            )));
        }
    };
    Ok(WriteOptions {
        manager: manager(call),
        dry_run,
        validation,
        force: call.query.is_set("force"),
    })
}

/// The named field manager, or the program's name from its user agent, as the API server does.
fn manager(call: &Call<'_>) -> String {
    if let Some(named) = call.query.get("fieldManager") {
        return named.to_owned();
    }
    let agent = call
        .header(header::USER_AGENT)
        .split('/')
        .next()
        .unwrap_or_default();
    if agent.is_empty() {
        "unknown".to_owned()
    } else {
        agent.to_owned()
    }
}

fn written(
    call: &Call<'_>,
    resource: &ResourceType,
    written: &Written,
) -> Result<Response, ApiError> {
    let code = if written.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let mut response = represent::respond(call, resource, &written.object, code)?;
    for warning in &written.warnings {
        let text = format!(
            "299 - \"{}\"",
            warning.replace('\\', "\\\\").replace('"', "\\\"")
        );
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
    Ok(response)
}

fn json_body(call: &Call<'_>) -> Result<Value, ApiError> {
    let media = call
        .header(header::CONTENT_TYPE)
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    if media == "application/vnd.kubernetes.protobuf" {
        return call.document();
    }
    if !matches!(media, "" | "application/json" | "application/yaml") {
        return Err(ApiError::unsupported_media_type(format!(
            "the body of the request was in an unknown format ({media}) - accepted media types include: application/json, application/yaml"
        )));
    }
    call.document()
}

/// `POST` to a collection.
pub(super) fn create(call: &Call<'_>, resource: &ResourceType) -> Result<Response, ApiError> {
    let object = json_body(call)?;
    let done = call
        .server
        .create(resource, &call.path.namespace, object, &options(call)?)?;
    written(call, resource, &done)
}

/// `PUT`.
pub(super) fn update(call: &Call<'_>, resource: &ResourceType) -> Result<Response, ApiError> {
    let object = json_body(call)?;
    let done = call
        .server
        .update(call.target(resource), object, &options(call)?)?;
    written(call, resource, &done)
}

/// `PATCH` by its media type.
pub(super) fn patch(call: &Call<'_>, resource: &ResourceType) -> Result<Response, ApiError> {
    let media = call
        .header(header::CONTENT_TYPE)
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    let document = call.document()?;
    let apply = media == "application/apply-patch+yaml";
    let patch = match media {
        "application/json-patch+json" => Patch::Json(document),
        "application/merge-patch+json" => Patch::Merge(document),
        "application/strategic-merge-patch+json" if resource.custom().is_none() => {
            Patch::Strategic(document)
        }
        _ if apply => Patch::Apply(document),
        _ => {
            return Err(ApiError::unsupported_media_type(format!(
                "the body of the request was in an unknown format - accepted media types include: {MEDIA_TYPES}"
            )));
        }
    };
    let options = options(call)?;
    if apply && call.query.get("fieldManager").is_none() {
        let mut cause = Cause::required("fieldManager");
        "Required value: is required for apply patch".clone_into(&mut cause.message);
        return Err(ApiError::invalid(
            "meta.k8s.io",
            "PatchOptions",
            "",
            &[cause],
        ));
    }
    if !apply && options.force {
        let cause = Cause::forbidden("force", "may not be specified for non-apply patch");
        return Err(ApiError::invalid(
            "meta.k8s.io",
            "PatchOptions",
            "",
            &[cause],
        ));
    }
    let done = call.server.patch(call.target(resource), patch, &options)?;
    written(call, resource, &done)
}

fn delete_options(call: &Call<'_>) -> Result<DeleteOptions, ApiError> {
    let body = if call.body.is_empty() {
        json!({})
    } else {
        call.document()?
    };
    let named = text(&body, &["propagationPolicy"]).or_else(|| call.query.get("propagationPolicy"));
    let propagation = match named {
        None | Some("Background") => Propagation::Background,
        Some("Foreground") => Propagation::Foreground,
        Some("Orphan") => Propagation::Orphan,
        Some(other) => {
            return Err(ApiError::bad_request(format!(
                "invalid propagationPolicy {other:?}"
            )));
        }
    };
    let orphans = object::flag(&body, &["orphanDependents"]);
    let in_query = || {
        call.query
            .number("gracePeriodSeconds")
            .and_then(|n| i64::try_from(n).ok())
    };
    let dry_run = call.query.get("dryRun") == Some("All")
        || object::items(&body, &["dryRun"]).contains(&json!("All"));
    Ok(DeleteOptions {
        propagation: if orphans {
            Propagation::Orphan
        } else {
            propagation
        },
        grace_seconds: number(&body, &["gracePeriodSeconds"]).or_else(in_query),
        uid: text(&body, &["preconditions", "uid"]).map(str::to_owned),
        resource_version: text(&body, &["preconditions", "resourceVersion"]).map(str::to_owned),
        dry_run,
    })
}

/// `DELETE` of one object: its last state while it waits, a success `Status` once it is gone.
pub(super) fn delete(call: &Call<'_>, resource: &ResourceType) -> Result<Response, ApiError> {
    let (object, gone) = call
        .server
        .delete(call.target(resource), &delete_options(call)?)?;
    if gone && resource.storage_key() != "/pods" {
        let status = status::deleted(
            &resource.group,
            &resource.plural,
            &call.path.name,
            object::uid(&object),
        );
        return Ok(json_response(StatusCode::OK, &status));
    }
    represent::respond(call, resource, &object, StatusCode::OK)
}

/// `DELETE` of a collection.
pub(super) fn delete_collection(
    call: &Call<'_>,
    resource: &ResourceType,
) -> Result<Response, ApiError> {
    let options = delete_options(call)?;
    let filter = Filter::of(call)?;
    let (objects, version) = call
        .server
        .storage
        .list(&resource.storage_key(), call.namespace());
    let mut deleted: Vec<Object> = Vec::new();
    for object in objects.iter().filter(|object| filter.matches(object)) {
        let target = Target {
            resource,
            namespace: object::namespace(object),
            name: object::name(object),
            subresource: "",
        };
        match call.server.delete(target, &options) {
            Ok((last, _)) => deleted.push(last),
            Err(error) if error.code == 404 => {}
            Err(error) => return Err(error),
        }
    }
    let metadata = json!({"resourceVersion": version.to_string()});
    Ok(json_response(
        StatusCode::OK,
        &ApiServer::list_of(resource, &deleted, metadata),
    ))
}

/// `pods/eviction`. Disruption budgets are not enforced.
pub(super) fn evict(call: &Call<'_>, resource: &ResourceType) -> Result<Response, ApiError> {
    let body = json_body(call)?;
    let options = DeleteOptions {
        grace_seconds: number(&body, &["deleteOptions", "gracePeriodSeconds"]),
        ..DeleteOptions::default()
    };
    call.server.delete(
        Target {
            subresource: "",
            ..call.target(resource)
        },
        &options,
    )?;
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    Ok(json_response(StatusCode::CREATED, &status))
}

/// `scale`.
pub(super) fn scale(call: &Call<'_>, resource: &ResourceType) -> Result<Response, ApiError> {
    let Some(paths) = &resource.scale else {
        return Err(ApiError::no_such_path());
    };
    let target = Target {
        subresource: "",
        ..call.target(resource)
    };
    let object = call.server.read(target)?;
    let mut scale = scale_of(paths, &object);
    match call.parts.method.as_str() {
        "GET" | "HEAD" => return Ok(json_response(StatusCode::OK, &scale)),
        "PUT" => scale = json_body(call)?,
        "PATCH"
            if call
                .header(header::CONTENT_TYPE)
                .starts_with("application/json-patch") =>
        {
            json_patch::apply(&mut scale, &call.document()?).map_err(ApiError::bad_request)?;
        }
        "PATCH" => merge::apply(&mut scale, &call.document()?),
        _ => return Err(ApiError::method_not_allowed()),
    }
    let mut changed = Value::clone(&object);
    set_scale(paths, &mut changed, &scale);
    let done = call.server.update(target, changed, &options(call)?)?;
    Ok(json_response(
        StatusCode::OK,
        &scale_of(paths, &done.object),
    ))
}
