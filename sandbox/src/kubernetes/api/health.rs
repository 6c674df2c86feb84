//! `/version` and the health endpoints.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

use super::request::Query;
use crate::kubernetes::apiserver::ApiServer;
use crate::kubernetes::status::{ApiError, json_response};

/// The checks `?verbose` lists.
const CHECKS: &[&str] = &[
    "ping",
    "log",
    "etcd",
    "informer-sync",
    "poststarthook/start-apiextensions-controllers",
];

/// The answer, if the path is one of these.
pub(super) fn answer(
    server: &ApiServer,
    version: &str,
    path: &str,
    query: &Query,
) -> Option<Result<Response, ApiError>> {
    let path = path.trim_end_matches('/');
    let name = path.trim_start_matches('/');
    match name.split('/').next()? {
        "version" if name == "version" => Some(Ok(numbered(version))),
        probe @ ("healthz" | "livez" | "readyz") => {
            let check = name.trim_start_matches(probe).trim_start_matches('/');
            if !check.is_empty() && !CHECKS.contains(&check) {
                return Some(Err(ApiError::no_such_path()));
            }
            // The checks have one truth here: whether the state can still be written.
            Some(match server.storage.sync() {
                Ok(()) => Ok(healthy(probe, query)),
                Err(error) => Err(ApiError::internal(format!(
                    "{probe} check failed: etcd: {error}"
                ))),
            })
        }
        _ => None,
    }
}

fn healthy(probe: &str, query: &Query) -> Response {
    if !query.is_set("verbose") {
        return "ok".into_response();
    }
    let mut text = String::new();
    for check in CHECKS {
        text.extend(["[+]", check, " ok\n"]);
    }
    text.extend([probe, " check passed\n"]);
    text.into_response()
}

fn numbered(version: &str) -> Response {
    let plain = version.trim_start_matches('v');
    let mut numbers = plain.split(['.', '+']);
    let body = json!({
        "major": numbers.next().unwrap_or_default(),
        "minor": numbers.next().unwrap_or_default(),
        "gitVersion": version,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": "linux/amd64",
    });
    json_response(StatusCode::OK, &body)
}
