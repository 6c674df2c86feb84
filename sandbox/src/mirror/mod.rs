//! The artifact mirror: what the version set `sandbox` names, made of the sandbox's own bytes.
//!
//! The manifests are stand-ins written for the sandbox: they have the names, kinds, containers and
//! selectors that the upstream manifests of the same versions have, so that what handles those
//! handles these, but not their contents. The K3s binary is a text that says its version.

mod artifacts;
#[cfg(test)]
mod tests;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::get;
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tower::ServiceExt as _;

use self::artifacts::ARTIFACTS;
use crate::spaces::to_hex;

/// Name of the version set the mirror serves.
pub const VERSION_SET: &str = "sandbox";

/// The line a stand-in binary starts its version with.
const BINARY_MARK: &str = "# sandbox stand-in: k3s ";

/// One file of the version set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MirrorArtifact {
    /// Such as `argo-cd`.
    pub component: String,
    /// Such as `v3.4.7`.
    pub version: String,
    /// Name of the file, as upstream.
    pub file: String,
    /// Path on the mirror, percent-encoded.
    pub url_path: String,
    /// Digest of the bytes, lower-case hexadecimal.
    pub sha256: String,
    /// Number of bytes.
    pub bytes: u64,
}

/// Why a file is not a K3s binary the sandbox can run.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BinaryError {
    /// Not one of the mirror's stand-ins.
    #[error(
        "cannot execute the downloaded k3s: the sandbox runs only the k3s of its own mirror (version set {VERSION_SET:?})"
    )]
    Foreign,
    /// Made for another processor.
    #[error("cannot execute the downloaded k3s: it is for {0}, droplets are amd64")]
    Architecture(String),
}

/// The bytes of a stand-in for a K3s binary.
fn k3s_binary(version: &str, architecture: &str) -> Vec<u8> {
    format!(
        "#!/bin/sh\n{BINARY_MARK}{version} {architecture}\necho 'k3s version {version} (sandbox)'\n"
    )
    .into_bytes()
}

/// What a K3s binary answers when asked for its version on a droplet.
pub fn k3s_binary_version(binary: &[u8]) -> Result<String, BinaryError> {
    let text = std::str::from_utf8(binary).map_err(|_bytes| BinaryError::Foreign)?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(BINARY_MARK))
        .ok_or(BinaryError::Foreign)?;
    let (version, architecture) = line.split_once(' ').ok_or(BinaryError::Foreign)?;
    if architecture != "amd64" {
        return Err(BinaryError::Architecture(architecture.to_owned()));
    }
    Ok(version.to_owned())
}

/// The versions of K3s there is a binary of; the sandbox can run no others.
pub(crate) fn k3s_versions() -> impl Iterator<Item = &'static str> {
    let binaries = ARTIFACTS
        .iter()
        .filter(|artifact| artifact.component == "k3s");
    binaries.map(|artifact| artifact.version)
}

/// The version set `sandbox`, computed from the bytes the mirror serves.
pub fn version_set() -> Vec<MirrorArtifact> {
    ARTIFACTS
        .iter()
        .map(|artifact| {
            let bytes = artifact.content();
            let version = artifact.version.replace('+', "%2B");
            MirrorArtifact {
                component: artifact.component.to_owned(),
                version: artifact.version.to_owned(),
                file: artifact.file.to_owned(),
                url_path: format!(
                    "/artifacts/{}/{version}/{}",
                    artifact.component, artifact.file
                ),
                sha256: to_hex(&Sha256::digest(&bytes)),
                bytes: bytes.len() as u64,
            }
        })
        .collect()
}

/// The service; it has no state.
#[derive(Clone, Debug)]
pub struct Mirror {
    router: Router,
}

impl Default for Mirror {
    fn default() -> Mirror {
        Mirror::new()
    }
}

impl Mirror {
    /// The mirror.
    pub fn new() -> Mirror {
        let set = version_set();
        let router = Router::new()
            .route("/artifacts/{component}/{version}/{file}", get(artifact))
            .route("/version-set.json", get(listing))
            .with_state(set);
        Mirror { router }
    }

    /// The routes, to be served on a listener or mounted under another service.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Answers one request in memory.
    pub async fn call(&self, request: Request<Bytes>) -> Response<Bytes> {
        let request = request.map(|body| axum::body::Body::new(Full::new(body)));
        // The router's error type has no values.
        let response = match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let (parts, body) = response.into_parts();
        // Bodies are made of bytes at hand and cannot fail.
        let bytes = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default();
        Response::from_parts(parts, bytes)
    }
}

async fn artifact(
    Path((component, version, file)): Path<(String, String, String)>,
) -> axum::response::Response {
    let found = ARTIFACTS
        .iter()
        .find(|a| a.component == component && a.version == version && a.file == file);
    let Some(artifact) = found else {
        let text = format!(
            "the version set {VERSION_SET} has no {component} {version} {file}; see /version-set.json\n"
        );
        return (StatusCode::NOT_FOUND, text).into_response();
    };
    (
        [(header::CONTENT_TYPE, artifact.media_type())],
        artifact.content(),
    )
        .into_response()
}

async fn listing(State(set): State<Vec<MirrorArtifact>>) -> axum::Json<serde_json::Value> {
    axum::Json(
        serde_json::json!({ "format_version": "1.0", "name": VERSION_SET, "artifacts": set }),
    )
}
