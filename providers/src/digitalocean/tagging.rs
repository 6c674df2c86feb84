//! Changing the tags of a living resource, by the tag interface.

use super::DigitalOcean;
use super::owner_tag::is_owner_tag;
use super::remote::{Remote, recorded};
use crate::http::encode;
use http::Method;
use kplan_model::{ErrorKind, Known, Permit, ProviderError};
use serde_json::{Value, json};
use std::collections::BTreeSet;

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

    /// Takes the owner's tag off a resource that is not kplan's any more. `kind` is DigitalOcean's
    /// `resource_type`.
    pub(super) async fn disown(
        &self,
        permit: &Permit,
        kind: &str,
        known: &Known,
    ) -> Result<(), ProviderError> {
        let Some(tag) = recorded::<String>(Some(known), "owner_tag") else {
            return Ok(());
        };
        let body = json!({
            "resources": [{ "resource_id": known.id.as_str(), "resource_type": kind }],
        });
        let path = format!("/v2/tags/{}/resources", encode(&tag));
        match self
            .http
            .change_only(permit, &Method::DELETE, &path, &body)
            .await
        {
            Err(error) if error.kind != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Sends a change that names tags of droplets. DigitalOcean takes only tags that are there, and
    /// one is there once something carried it: where it refuses, they are made, and it is asked once
    /// more.
    pub(super) async fn naming<R: Remote>(
        &self,
        permit: &Permit,
        tags: &BTreeSet<String>,
        (method, path): (&Method, &str),
        body: &Value,
    ) -> Result<R, ProviderError> {
        match self.change(permit, method, path, body).await {
            Err(refusal) => self.make_tags(permit, tags, refusal).await?,
            done => return done,
        }
        self.change(permit, method, path, body).await
    }

    /// Makes the tags for the want of which something may have been refused; one that is there already
    /// stays as it is. The refusal itself where that was not why.
    pub(super) async fn make_tags(
        &self,
        permit: &Permit,
        tags: &BTreeSet<String>,
        refusal: ProviderError,
    ) -> Result<(), ProviderError> {
        if refusal.kind != ErrorKind::Invalid || tags.is_empty() {
            return Err(refusal);
        }
        for tag in tags {
            let body = json!({ "name": tag });
            let made = self
                .http
                .change_only(permit, &Method::POST, "/v2/tags", &body);
            if made.await.is_err() {
                return Err(refusal);
            }
        }
        Ok(())
    }
}
