//! The HTTP face: authentication, access control and dispatch.

mod discovery;
mod health;
mod impersonate;
mod openapi;
mod protobuf;
mod read;
pub(crate) mod represent;
mod request;
mod review;
mod swagger;
mod watch;
mod write;

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{Method, StatusCode, header, request::Parts};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;

use super::Outside;
use super::apiserver::ApiServer;
use super::authn::Identity;
use super::authz::{self, Attributes};
use super::resources::ResourceType;
use super::status::ApiError;
use super::write::Target;
pub(crate) use represent::{Include, metadata_only};
use request::{Query, ResourcePath};

/// Bytes of a request body the API server takes.
const BODY: usize = 3 * 1024 * 1024;

/// What handlers need.
#[derive(Debug)]
pub(crate) struct Face {
    pub(crate) server: Arc<ApiServer>,
    /// The certificates clients may trust, as `/cacerts` gives them.
    pub(crate) ca_certificates: String,
    /// What is known about the nodes.
    pub(crate) outside: Arc<Mutex<Outside>>,
    /// The node whose server this is; `None` where no server in particular answers.
    pub(crate) node: Option<String>,
}

impl Face {
    /// Version of the K3s that answers.
    fn version(&self) -> String {
        let outside = self.outside.lock().unwrap_or_else(PoisonError::into_inner);
        let record = self.node.as_ref().and_then(|node| outside.nodes.get(node));
        record
            .map(|record| record.facts.version.clone())
            .filter(|version| !version.is_empty())
            .unwrap_or_else(|| self.server.version.clone())
    }
}

/// The service; the client's [`Identity`] is a request extension.
pub(crate) fn router(face: Arc<Face>) -> Router {
    Router::new().fallback(entry).with_state(face)
}

async fn entry(State(face): State<Arc<Face>>, request: Request) -> Response {
    match respond(&face, request).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

/// A request on its way to a resource.
struct Call<'a> {
    server: &'a Arc<ApiServer>,
    identity: &'a Identity,
    parts: &'a Parts,
    path: ResourcePath,
    query: Query,
    body: Bytes,
}

impl Call<'_> {
    fn target<'t>(&'t self, resource: &'t ResourceType) -> Target<'t> {
        Target {
            resource,
            namespace: &self.path.namespace,
            name: &self.path.name,
            subresource: &self.path.subresource,
        }
    }

    fn header(&self, name: header::HeaderName) -> &str {
        self.parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    fn accept(&self) -> &str {
        self.header(header::ACCEPT)
    }

    /// The body as JSON or YAML, or in protobuf where that is understood.
    fn document(&self) -> Result<Value, ApiError> {
        if self
            .header(header::CONTENT_TYPE)
            .starts_with("application/vnd.kubernetes.protobuf")
        {
            return protobuf::decode(&self.body);
        }
        parse_document(&self.body)
    }

    fn namespace(&self) -> Option<&str> {
        (!self.path.namespace.is_empty()).then_some(self.path.namespace.as_str())
    }
}

/// Levels of YAML, as in the real server's reader. The time of ours grows with the square of them.
const MAX_NESTING: usize = 10_000;

/// Whether brackets are opened, or dashes of lists follow each other, so many times. Those in
/// quotes count too: no object has so many.
fn nests_deeper(body: &[u8], limit: usize) -> bool {
    let (mut open, mut dashes) = (0_usize, 0_usize);
    let mut bytes = body.iter().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            b'-' if bytes.next_if_eq(&&b' ').is_some() => dashes += 1,
            b' ' => {}
            _ => dashes = 0,
        }
        if open > limit || dashes > limit {
            return true;
        }
    }
    false
}

/// Reads JSON, or YAML where it is not JSON.
pub(crate) fn parse_document(body: &[u8]) -> Result<Value, ApiError> {
    match serde_json::from_slice(body) {
        Ok(value) => Ok(value),
        Err(_) if nests_deeper(body, MAX_NESTING) => Err(ApiError::bad_request(format!(
            "error converting YAML to JSON: yaml: exceeded max depth of {MAX_NESTING}"
        ))),
        Err(json) => serde_norway::from_slice(body).map_err(|yaml| {
            ApiError::bad_request(format!(
                "the body is neither JSON ({json}) nor YAML ({yaml})"
            ))
        }),
    }
}

async fn respond(face: &Face, request: Request) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    // K3s answers these two before anybody has credentials.
    match parts.uri.path() {
        "/ping" => return Ok("pong".into_response()),
        "/cacerts" => return Ok(face.ca_certificates.clone().into_response()),
        _ => {}
    }
    let identity = parts
        .extensions
        .get::<Identity>()
        .cloned()
        .ok_or_else(ApiError::unauthorized)?;
    let identity = impersonate::acting(&face.server.storage, identity, &parts.headers)?;
    let body = collect(body).await?;
    let query = Query::parse(parts.uri.query());
    let Some(path) = ResourcePath::parse(parts.uri.path()) else {
        return face_of_server(face, &identity, &parts, &query);
    };
    let server = &face.server;
    let call = Call {
        server,
        identity: &identity,
        parts: &parts,
        path,
        query,
        body,
    };
    if let Some(answer) = review::answer(&call) {
        return answer;
    }
    let resource =
        server
            .catalogue()
            .find(&call.path.group, &call.path.version, &call.path.resource);
    // Who may not even ask gets the refusal, also about what does not exist.
    authorise(&call)?;
    let resource = match resource {
        Some(resource) => resource,
        None if call.path.group == "autoscaling" && call.path.version == "v1" => {
            return Err(ApiError::not_implemented(
                "the sandbox serves autoscalers as autoscaling/v2 only and scales nothing by itself. Nothing was changed.",
            ));
        }
        None if server
            .catalogue()
            .serves(&call.path.group, &call.path.version) =>
        {
            return Err(ApiError::no_such_path());
        }
        None => return Ok(no_page()),
    };
    check_scope(&call, &resource)?;
    dispatch(&call, resource)
}

async fn collect(body: Body) -> Result<Bytes, ApiError> {
    match Limited::new(body, BODY).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::too_large()),
        Err(error) => Err(ApiError::bad_request(format!(
            "the body did not arrive whole: {error}"
        ))),
    }
}

fn watches(call: &Call<'_>) -> bool {
    call.query.is_set("watch")
}

fn authorise(call: &Call<'_>) -> Result<(), ApiError> {
    let wanted = Attributes {
        verb: call
            .path
            .verb(&call.parts.method, watches(call))?
            .to_owned(),
        group: call.path.group.clone(),
        resource: call.path.resource.clone(),
        subresource: call.path.subresource.clone(),
        namespace: if call.path.resource == "namespaces" && call.path.group.is_empty() {
            call.path.name.clone()
        } else {
            call.path.namespace.clone()
        },
        name: call.path.name.clone(),
        path: None,
    };
    if authz::allowed(&call.server.storage, call.identity, &wanted) {
        Ok(())
    } else {
        Err(authz::refusal(call.identity, &wanted))
    }
}

/// A namespaced object needs its namespace in the path, others must not have one.
fn check_scope(call: &Call<'_>, resource: &ResourceType) -> Result<(), ApiError> {
    let namespaced = !call.path.namespace.is_empty();
    let single = !call.path.name.is_empty() || call.parts.method == Method::POST;
    if (namespaced && !resource.namespaced) || (single && resource.namespaced && !namespaced) {
        return Err(ApiError::no_such_path());
    }
    Ok(())
}

fn dispatch(call: &Call<'_>, resource: Arc<ResourceType>) -> Result<Response, ApiError> {
    let named = !call.path.name.is_empty();
    let method = call.parts.method.as_str();
    match call.path.subresource.as_str() {
        "" => {}
        "status" if resource.status => {}
        "finalize" if resource.storage_key() == "/namespaces" && method == "PUT" => {}
        "scale" if resource.scale.is_some() => return write::scale(call, &resource),
        "eviction" if resource.storage_key() == "/pods" && method == "POST" => {
            return write::evict(call, &resource);
        }
        "log" | "exec" | "attach" | "portforward" | "proxy"
            if resource.storage_key() == "/pods" =>
        {
            call.server.read(Target {
                subresource: "",
                ..call.target(&resource)
            })?;
            let what = &call.path.subresource;
            return Err(ApiError::not_implemented(format!(
                "pods of the sandbox run no containers, so {what} has nothing to show"
            )));
        }
        "token" if resource.storage_key() == "/serviceaccounts" => {
            return Err(ApiError::not_implemented(
                "the sandbox signs no service account tokens. Nothing was changed.",
            ));
        }
        "ephemeralcontainers" | "resize" | "binding" if resource.storage_key() == "/pods" => {
            let what = &call.path.subresource;
            return Err(ApiError::not_implemented(format!(
                "the sandbox does not simulate {what} of pods. Nothing was changed."
            )));
        }
        _ => return Err(ApiError::no_such_path()),
    }
    match (method, named) {
        ("GET" | "HEAD", _) if watches(call) => watch::watch(call, resource),
        ("GET" | "HEAD", true) => read::get(call, &resource),
        ("GET" | "HEAD", false) => read::list(call, &resource),
        ("POST", false) => write::create(call, &resource),
        ("PUT", true) => write::update(call, &resource),
        ("PATCH", true) => write::patch(call, &resource),
        ("DELETE", true) if call.path.subresource.is_empty() => write::delete(call, &resource),
        ("DELETE", false) => write::delete_collection(call, &resource),
        _ => Err(ApiError::method_not_allowed()),
    }
}

/// What the server's router says of a path that leads nowhere.
fn no_page() -> Response {
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}

/// Paths that are about the server, not about a resource.
fn face_of_server(
    face: &Face,
    identity: &Identity,
    parts: &Parts,
    query: &Query,
) -> Result<Response, ApiError> {
    let path = parts.uri.path();
    let wanted = Attributes {
        verb: parts.method.as_str().to_lowercase(),
        path: Some(path.to_owned()),
        ..Attributes::default()
    };
    if !authz::allowed(&face.server.storage, identity, &wanted) {
        return Err(authz::refusal(identity, &wanted));
    }
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return Err(ApiError::method_not_allowed());
    }
    let accept = parts
        .headers
        .get(header::ACCEPT)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    health::answer(&face.server, &face.version(), path, query)
        .or_else(|| openapi::answer(&face.server, path, accept))
        .or_else(|| discovery::answer(&face.server, path, accept))
        .unwrap_or_else(|| Ok(no_page()))
}
