//! Changing the tags of a living resource, by the tag interface.

use super::DigitalOcean;
use super::owner_tag::is_owner_tag;
use crate::http::encode;
use http::Method;
use kplan_model::{ErrorKind, Permit, ProviderError};
use serde_json::json;

impl DigitalOcean {
    /// Makes `from` into `to` on one resource; other tags are not touched, nor is the owner's
    /// taken off. `kind` is DigitalOcean's `resource_type`.
    pub(super) async fn retag(
        &self,
        permit: &Permit,
        kind: &str,
        id: &str,
        from: &[String],
        to: &[String],
    ) -> Result<(), ProviderError> {
        let body = json!({ "resources": [{ "resource_id": id, "resource_type": kind }] });
        let path = |tag: &str| format!("/v2/tags/{}/resources", encode(tag));
        for tag in to.iter().filter(|tag| !from.contains(tag)) {
            // Making a tag that is there already changes nothing.
            self.http
                .change_only(permit, &Method::POST, "/v2/tags", &json!({ "name": tag }))
                .await?;
            self.http
                .change_only(permit, &Method::POST, &path(tag), &body)
                .await?;
        }
        let stale = |tag: &&String| !to.contains(tag) && !is_owner_tag(tag);
        for tag in from.iter().filter(stale) {
            match self
                .http
                .change_only(permit, &Method::DELETE, &path(tag), &body)
                .await
            {
                Err(error) if error.kind != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}
