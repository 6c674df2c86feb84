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

const STRATEGIC: &str = "application/strategic-merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

fn options(call: &Call<'_>) -> Result<WriteOptions, ApiError> {
    let kind = match call.parts.method.as_str() {
        "POST" => "CreateOptions",
        "PUT" => "UpdateOptions",
        _ => "PatchOptions",
    };
    let refused = |field: &str, value: Value, allowed: &[&str]| {
        let allowed: Vec<Value> = allowed.iter().map(|&one| one.into()).collect();
        ApiError::options(kind, Cause::not_supported(field, &value, &allowed))
    };
    let dry_run = match call.query.get("dryRun") {
        None => false,
        Some("All") => true,
        Some(other) => return Err(refused("dryRun", json!([other]), &["All"])),
    };
    let validation = match call.query.get("fieldValidation") {
        None | Some("Warn") => FieldValidation::Warn,
        Some("Strict") => FieldValidation::Strict,
        Some("Ignore") => FieldValidation::Ignore,
        Some(other) => {
            let allowed = ["", "Ignore", "Strict", "Warn"];
            return Err(refused("fieldValidation", other.into(), &allowed));
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

/// The object of a body; only built-in kinds are read in protobuf.
fn json_body(call: &Call<'_>, resource: &ResourceType) -> Result<Value, ApiError> {
    let media = media_type(call);
    let (known, listed) = if resource.custom().is_some() {
        ("", "application/json, application/yaml")
    } else {
        (
            "application/vnd.kubernetes.protobuf",
            "application/json, application/yaml, application/vnd.kubernetes.protobuf",
        )
    };
    if !matches!(media, "" | "application/json" | "application/yaml") && media != known {
        return Err(ApiError::unsupported_media_type(format!(
            "the body of the request was in an unknown format - accepted media types include: {listed}"
        )));
    }
    call.document().map_err(|error| {
        if media == known && !media.is_empty() {
            return error;
        }
        ApiError::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse error: {}",
            resource.kind, error.message
        ))
    })
}

/// The media type of the body, without parameters.
fn media_type<'c>(call: &'c Call<'_>) -> &'c str {
    let media = call.header(header::CONTENT_TYPE).split(';').next();
    media.unwrap_or_default().trim()
}

/// `POST` to a collection.
pub(super) fn create(call: &Call<'_>, resource: &ResourceType) -> Result<Response, ApiError> {
    let object = json_body(call, resource)?;
    let done = call
        .server
        .create(resource, &call.path.namespace, object, &options(call)?)?;
    written(call, resource, &done)
}

/// `PUT`.
pub(super) fn update(call: &Call<'_>, resource: &ResourceType) -> Result<Response, ApiError> {
    let object = json_body(call, resource)?;
    let done = call
        .server
        .update(call.target(resource), object, &options(call)?)?;
    written(call, resource, &done)
}

/// `PATCH` by its media type.
pub(super) fn patch(call: &Call<'_>, resource: &ResourceType) -> Result<Response, ApiError> {
    let media = media_type(call);
    let document = || {
        call.document().map_err(|error| {
            ApiError::bad_request(format!("error decoding patch: {}", error.message))
        })
    };
    let apply = media == APPLY;
    let patch = match media {
        "application/json-patch+json" => Patch::Json(document()?),
        "application/merge-patch+json" => Patch::Merge(document()?),
        STRATEGIC if resource.custom().is_none() => Patch::Strategic(document()?),
        _ if apply => Patch::Apply(document()?),
        _ => {
            let known = [
                "application/json-patch+json",
                "application/merge-patch+json",
            ];
            let strategic = resource.custom().is_none().then_some(STRATEGIC);
            let known = known.into_iter().chain(strategic).chain([APPLY]);
            let listed = known.collect::<Vec<_>>().join(", ");
            return Err(ApiError::unsupported_media_type(format!(
                "the body of the request was in an unknown format - accepted media types include: {listed}"
            )));
        }
    };
    let options = options(call)?;
    if apply && call.query.get("fieldManager").is_none() {
        let cause = Cause::missing("fieldManager", "is required for apply patch");
        return Err(ApiError::options("PatchOptions", cause));
    }
    if !apply && options.force {
        let cause = Cause::forbidden("force", "may not be specified for non-apply patch");
        return Err(ApiError::options("PatchOptions", cause));
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
    options_in(call, &body)
}

/// The options in a body, and in the query where the body says nothing.
fn options_in(call: &Call<'_>, body: &Value) -> Result<DeleteOptions, ApiError> {
    let named = text(body, &["propagationPolicy"]).or_else(|| call.query.get("propagationPolicy"));
    let propagation = match named {
        None | Some("Background") => Propagation::Background,
        Some("Foreground") => Propagation::Foreground,
        Some("Orphan") => Propagation::Orphan,
        Some(other) => {
            let known = ["Foreground", "Background", "Orphan", "nil"].map(Value::from);
            let cause = Cause::not_supported("propagationPolicy", &other.into(), &known);
            return Err(ApiError::options("DeleteOptions", cause));
        }
    };
    let orphans = object::flag(body, &["orphanDependents"]);
    let in_query = || {
        call.query
            .number("gracePeriodSeconds")
            .and_then(|n| i64::try_from(n).ok())
    };
    let dry_run = call.query.get("dryRun") == Some("All")
        || object::items(body, &["dryRun"]).contains(&json!("All"));
    Ok(DeleteOptions {
        propagation: if orphans {
            Propagation::Orphan
        } else {
            propagation
        },
        grace_seconds: number(body, &["gracePeriodSeconds"]).or_else(in_query),
        uid: text(body, &["preconditions", "uid"]).map(str::to_owned),
        resource_version: text(body, &["preconditions", "resourceVersion"]).map(str::to_owned),
        dry_run,
        evicts: false,
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
    let filter = Filter::of(call, resource)?;
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

/// `pods/eviction`: a deletion that disruption budgets may refuse.
pub(super) fn evict(call: &Call<'_>, resource: &ResourceType) -> Result<Response, ApiError> {
    let body = json_body(call, resource)?;
    let options = DeleteOptions {
        evicts: true,
        ..options_in(call, &body["deleteOptions"])?
    };
    let target = Target {
        subresource: "",
        ..call.target(resource)
    };
    call.server.delete(target, &options)?;
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
        "PUT" => {
            scale = json_body(call, resource)?;
            // Zero is what the body of a typed client leaves out.
            object::set_default(&mut scale, &["spec", "replicas"], 0);
        }
        "PATCH" if media_type(call) == "application/json-patch+json" => {
            json_patch::apply(&mut scale, &call.document()?)
                .map_err(|_| ApiError::unfit_patch())?;
        }
        "PATCH" => merge::apply(&mut scale, &call.document()?),
        _ => return Err(ApiError::method_not_allowed()),
    }
    let replicas = number(&scale, &["spec", "replicas"]).unwrap_or(0);
    if replicas < 0 {
        let why = "must be greater than or equal to 0";
        let cause = Cause::invalid("spec.replicas", &replicas.into(), why);
        let name = object::name(&object);
        return Err(ApiError::invalid("autoscaling", "Scale", name, &[cause]));
    }
    let mut changed = Value::clone(&object);
    set_scale(paths, &mut changed, &scale);
    let done = call.server.update(target, changed, &options(call)?)?;
    Ok(json_response(
        StatusCode::OK,
        &scale_of(paths, &done.object),
    ))
}
