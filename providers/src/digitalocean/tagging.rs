//! Changing the tags of a living resource, by the tag interface.

use super::DigitalOcean;
use super::owner_tag::is_owner_tag;
use super::remote::{Remote, recorded};
use crate::http::encode;
use http::Method;
use kplan_model::{ErrorKind, Known, Permit, ProviderError};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Where it is said that a resource carries a tag, and in which words.
fn carriers(tag: &str, kind: &str, id: &str) -> (String, Value) {
    let body = json!({ "resources": [{ "resource_id": id, "resource_type": kind }] });
    (format!("/v2/tags/{}/resources", encode(tag)), body)
}

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
        for tag in to.iter().filter(|tag| !from.contains(tag)) {
            self.make_tag(permit, tag).await?;
            let (path, body) = carriers(tag, kind, id);
            self.http
                .change_only(permit, &Method::POST, &path, &body)
                .await?;
        }
        let stale = |tag: &&String| !to.contains(tag) && !is_owner_tag(tag);
        for tag in from.iter().filter(stale) {
            self.untag(permit, tag, kind, id).await?;
        }
        Ok(())
    }

    /// Makes a tag; one that is there already stays as it is.
    async fn make_tag(&self, permit: &Permit, tag: &str) -> Result<(), ProviderError> {
        let body = json!({ "name": tag });
        let made = self
            .http
            .change_only(permit, &Method::POST, "/v2/tags", &body);
        made.await.map(drop)
    }

    /// Takes a tag off one resource; one that it does not carry is fine.
    async fn untag(
        &self,
        permit: &Permit,
        tag: &str,
        kind: &str,
        id: &str,
    ) -> Result<(), ProviderError> {
        let (path, body) = carriers(tag, kind, id);
        let off = self.http.change_only(permit, &Method::DELETE, &path, &body);
        match off.await {
            Err(error) if error.kind != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Takes the owner's tag off a resource that is not kplan's any more. `kind` is DigitalOcean's
    /// `resource_type`.
    pub(super) async fn disown(
        &self,
        permit: &Permit,
        kind: &str,
        known: &Known,
    ) -> Result<(), ProviderError> {
        match recorded::<String>(Some(known), "owner_tag") {
            Some(tag) => self.untag(permit, &tag, kind, known.id.as_str()).await,
            None => Ok(()),
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
            if self.make_tag(permit, tag).await.is_err() {
                return Err(refusal);
            }
        }
        Ok(())
    }
}
