//! What K3s serves beside Kubernetes, below `/v1-k3s`: of it only the exchange of the token servers
//! join with. Whoever shows that token as a password may ask for it, whatever certificate they have.

use std::sync::PoisonError;

use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, StatusCode, header, request::Parts};
use serde_json::Value;

use super::Face;
use crate::kubernetes::disks::TokenError;
use crate::kubernetes::object::text;
use crate::kubernetes::status::ApiError;

/// Where it is.
pub(super) const TOKEN: &str = "/v1-k3s/token";

/// The password of `server`, from the header of basic authentication.
fn password(parts: &Parts) -> Option<String> {
    let header = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let login = STANDARD.decode(header.strip_prefix("Basic ")?).ok()?;
    let login = String::from_utf8(login).ok()?;
    let (user, password) = login.split_once(':')?;
    (user == "server").then(|| password.to_owned())
}

/// `PUT /v1-k3s/token`.
pub(super) fn token(face: &Face, parts: &Parts, body: &Bytes) -> Result<Response, ApiError> {
    let own = password(parts).ok_or_else(ApiError::unauthorized)?;
    if parts.method != Method::PUT {
        return Err(ApiError::method_not_allowed());
    }
    let asked: Value = serde_json::from_slice(body)
        .map_err(|error| ApiError::bad_request(format!("the body is not JSON: {error}")))?;
    let next = text(&asked, &["newToken"]).filter(|token| !token.is_empty());
    let next = next.ok_or_else(|| {
        ApiError::not_implemented("the sandbox makes no tokens of its own: give newToken")
    })?;
    let disks = {
        let outside = face.outside.lock().unwrap_or_else(PoisonError::into_inner);
        outside.disks.clone()
    };
    let (Some(disks), Some(node)) = (disks, &face.node) else {
        return Err(ApiError::internal("no server of K3s answers here"));
    };
    match disks.rotate_token(node, &own, next) {
        Ok(()) => Ok(StatusCode::OK.into_response()),
        Err(TokenError::Unauthorized) => Err(ApiError::unauthorized()),
        Err(TokenError::Failed(why)) => Err(ApiError::internal(format!("token: {why}"))),
    }
}
