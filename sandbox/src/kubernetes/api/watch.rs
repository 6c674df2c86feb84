//! `watch`: changes as they happen, as a stream of JSON lines.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, stream};
use http::{HeaderValue, header};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Call;
use super::read::{self, Filter};
use super::represent::{self, Form};
use crate::kubernetes::apiserver::ApiServer;
use crate::kubernetes::object::Object;
use crate::kubernetes::resources::ResourceType;
use crate::kubernetes::status::ApiError;
use crate::kubernetes::storage::{Event, EventKind};

/// A watch without its own timeout ends after this long, as real ones do after 30 to 60 minutes.
const LONGEST: Duration = Duration::from_mins(30);

/// How often a quiet watch that asked for bookmarks gets one.
const BOOKMARK: Duration = Duration::from_mins(1);

struct Watch {
    server: Arc<ApiServer>,
    resource: Arc<ResourceType>,
    namespace: Option<String>,
    filter: Filter,
    form: Form,
    /// Version up to which everything was sent.
    sent: u64,
    bookmarks: bool,
    ends: Instant,
    changes: tokio::sync::watch::Receiver<u64>,
    /// What the stream starts with: objects that exist already, and the mark of their end.
    first: Option<Bytes>,
    over: bool,
}

/// Answers with the stream.
pub(super) fn watch(call: &Call<'_>, resource: Arc<ResourceType>) -> Result<Response, ApiError> {
    let mut filter = Filter::of(call, &resource)?;
    if let Some(text) = call.query.get("resourceVersion")
        && text.parse::<u64>().is_err()
    {
        return Err(ApiError::bare(read::not_a_version(text)));
    }
    if !call.path.name.is_empty() {
        let pinned = format!("metadata.name={}", call.path.name);
        filter.fields = crate::kubernetes::selector::FieldSelector::parse(&pinned)
            .map_err(ApiError::bad_request)?;
    }
    let timeout = call
        .query
        .number("timeoutSeconds")
        .map_or(LONGEST, Duration::from_secs)
        .min(LONGEST);
    let asked = call
        .query
        .get("resourceVersion")
        .and_then(|version| version.parse::<u64>().ok());
    let mut watch = Watch {
        server: call.server.clone(),
        form: Form::of(call)?,
        namespace: call.namespace().map(str::to_owned),
        filter,
        sent: 0,
        bookmarks: call.query.is_set("allowWatchBookmarks"),
        ends: Instant::now() + timeout,
        changes: call.server.storage.subscribe(),
        first: None,
        over: false,
        resource,
    };
    let initial = call.query.is_set("sendInitialEvents");
    match asked.filter(|version| *version > 0 && !initial) {
        Some(version) => watch.sent = version,
        None => watch.first = Some(watch.existing(initial)),
    }
    let mut response = Response::new(Body::from_stream(events(watch)));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    Ok(response)
}

fn events(watch: Watch) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> {
    stream::unfold(watch, |mut watch| async move {
        let bytes = watch.next().await?;
        Some((Ok(bytes), watch))
    })
}

impl Watch {
    /// The objects there are, as if just added.
    fn existing(&mut self, mark_end: bool) -> Bytes {
        let (objects, version) = self
            .server
            .storage
            .list(&self.resource.storage_key(), self.namespace.as_deref());
        let mut out = String::new();
        for object in &objects {
            let object = ApiServer::shown(&self.resource, object);
            if self.filter.matches(&object) {
                out.push_str(&self.line("ADDED", &object));
            }
        }
        self.sent = version;
        if mark_end {
            out.push_str(&self.bookmark(&json!({"k8s.io/initial-events-end": "true"})));
        }
        out.into()
    }

    fn line(&self, kind: &str, object: &Object) -> String {
        let object = represent::shape(&self.server, &self.resource, object, self.form);
        format!("{}\n", json!({"type": kind, "object": object}))
    }

    fn bookmark(&self, annotations: &Value) -> String {
        let mut metadata =
            json!({"resourceVersion": self.sent.to_string(), "creationTimestamp": null});
        if !annotations.is_null() {
            metadata["annotations"] = annotations.clone();
        }
        let (kind, version) = match self.form {
            Form::Metadata => (
                "PartialObjectMetadata".to_owned(),
                "meta.k8s.io/v1".to_owned(),
            ),
            _ => (self.resource.kind.clone(), self.resource.api_version()),
        };
        let object = json!({"kind": kind, "apiVersion": version, "metadata": metadata});
        format!("{}\n", json!({"type": "BOOKMARK", "object": object}))
    }

    /// The next bytes; nothing when the watch is over.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take()
            && !first.is_empty()
        {
            return Some(first);
        }
        while !self.over {
            self.changes.borrow_and_update();
            let Some((events, version)) = self
                .server
                .storage
                .since(&self.resource.storage_key(), self.sent)
            else {
                self.over = true;
                let error = ApiError::expired(format!("too old resource version: {}", self.sent));
                return Some(
                    format!("{}\n", json!({"type": "ERROR", "object": error.body()})).into(),
                );
            };
            let lines: String = events.iter().filter_map(|event| self.told(event)).collect();
            self.sent = self.sent.max(version);
            if !lines.is_empty() {
                return Some(lines.into());
            }
            tokio::select! {
                biased;
                changed = self.changes.changed() => self.over = changed.is_err(),
                () = tokio::time::sleep_until(self.ends) => self.over = true,
                () = tokio::time::sleep(BOOKMARK), if self.bookmarks => {
                    return Some(self.bookmark(&Value::Null).into());
                }
            }
        }
        None
    }

    /// How a change looks through the selectors.
    fn told(&self, event: &Event) -> Option<String> {
        let mine = |object: &Object| {
            self.namespace
                .as_deref()
                .is_none_or(|ns| crate::kubernetes::object::namespace(object) == ns)
        };
        if !mine(&event.object) {
            return None;
        }
        let object = ApiServer::shown(&self.resource, &event.object);
        let was = event.previous.as_ref().is_some_and(|previous| {
            self.filter
                .matches(&ApiServer::shown(&self.resource, previous))
        });
        let is = self.filter.matches(&object);
        let kind = match (event.kind, was, is) {
            (EventKind::Deleted, true, _) | (_, true, false) => "DELETED",
            (EventKind::Added | EventKind::Modified, false, true) => "ADDED",
            (EventKind::Modified | EventKind::Added, true, true) => "MODIFIED",
            _ => return None,
        };
        Some(self.line(kind, &object))
    }
}
