//! Calls to one cluster: plain JSON in and out, so that no field is lost on the way; bounded
//! retries of what may be repeated; shared lists.

use super::connect::KubernetesCalls;
use super::object::{Object, Type, encode};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use kplan_model::{ErrorKind, Permit, ProviderError};
use kube::client::Body;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

#[cfg(test)]
mod tests;

/// The field manager of everything kplan applies.
pub const FIELD_MANAGER: &str = "kplan";
/// An answer larger than this is refused: a list of Argo CD's definitions has 2 MB.
const MAX_ANSWER: usize = 64 << 20;
/// How often one call is made at most.
const ATTEMPTS: u32 = 4;
/// The first pause between attempts; each later one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Items asked for per page.
const PAGE: u32 = 500;
/// A list has at most this many pages.
const MAX_PAGES: u32 = 1000;
/// How long a whole answer may take; connecting and pauses in it have shorter bounds.
const WHOLE_ANSWER: Duration = Duration::from_mins(2);
/// How long one short look may take: a connection across a continent, and an answer.
const SHORT: Duration = Duration::from_secs(3);
/// How long a list answers everybody who asks for the same one.
const LIST_AGE: Duration = Duration::from_secs(1);

/// How long an API that did not answer is not asked again.
const DOWN_FOR: Duration = Duration::from_secs(5);
/// The code of an error of that kind.
const UNREACHABLE: &str = "unreachable";

/// What asks for a pod to leave its node.
pub(super) fn eviction(pod: &Object) -> Value {
    serde_json::json!({
        "apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": {"name": pod.name, "namespace": pod.namespace},
    })
}

/// A resource type as the server names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The plural in addresses.
    pub plural: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

/// Kubernetes's own form of a failure.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    message: String,
    reason: String,
    details: Option<Details>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    causes: Vec<Cause>,
    #[serde(rename = "retryAfterSeconds")]
    retry_after: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Cause {
    reason: String,
    message: String,
}

#[derive(Deserialize)]
struct Resources {
    resources: Vec<ApiResource>,
}

#[derive(Deserialize)]
struct ApiResource {
    name: String,
    kind: String,
    namespaced: bool,
}

/// What a list gave, shared by those who asked at once.
pub(super) type Items = Arc<Vec<Value>>;

/// One list under way or just read. Held while it is read, so that others wait for it.
#[derive(Default)]
struct Shared {
    read: Option<(Instant, u64, Items)>,
}

struct Inner {
    client: kube::Client,
    calls: Arc<KubernetesCalls>,
    scale: u32,
    types: Mutex<BTreeMap<Type, Resource>>,
    lists: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<Shared>>>>,
    /// Counts changes: a list read before one is not shared after it.
    changes: AtomicU64,
    /// The API did not answer at that moment, after every attempt.
    down: Mutex<Option<(Instant, ProviderError)>>,
}

/// A session with one cluster as one user. Clones share it.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

/// How an object is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// Fields somebody else manages are an error.
    Respect,
    /// Fields somebody else manages become kplan's.
    Take,
}

impl Session {
    pub(super) fn new(client: kube::Client, calls: Arc<KubernetesCalls>, scale: u32) -> Self {
        Self(Arc::new(Inner {
            client,
            calls,
            scale: scale.max(1),
            types: Mutex::default(),
            lists: Mutex::default(),
            changes: AtomicU64::new(0),
            down: Mutex::default(),
        }))
    }

    /// Reads a path as text, such as `/readyz`.
    pub async fn text(&self, path: &str) -> Result<String, ProviderError> {
        let bytes = self.call(&Method::GET, path, None, Bytes::new()).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Reads a path as JSON.
    pub async fn json(&self, path: &str) -> Result<Value, ProviderError> {
        let bytes = self.call(&Method::GET, path, None, Bytes::new()).await?;
        parse(path, &bytes)
    }

    /// Reads a path as JSON, trying once and not for long.
    pub async fn json_once(&self, path: &str) -> Result<Value, ProviderError> {
        let answer = self.attempt(&Method::GET, path, None, Bytes::new());
        let bytes = match tokio::time::timeout(SHORT / self.0.scale, answer).await {
            Ok(answer) => answer?,
            Err(_) => return Err(too_slow(&Method::GET, path)),
        };
        parse(path, &bytes)
    }

    /// How the server names a type; asked once.
    ///
    /// `NotFound` when it has no such type (yet).
    pub async fn resource(&self, of: &Type) -> Result<Resource, ProviderError> {
        let known = |types: &Mutex<BTreeMap<Type, Resource>>| {
            types
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get(of)
                .cloned()
        };
        if let Some(found) = known(&self.0.types) {
            return Ok(found);
        }
        let missing =
            || ProviderError::new(ErrorKind::NotFound, format!("the cluster has no {of}"));
        let bytes = match self
            .call(&Method::GET, &of.root(), None, Bytes::new())
            .await
        {
            Err(error) if error.kind == ErrorKind::NotFound => return Err(missing()),
            other => other?,
        };
        let read: Resources = serde_json::from_slice(&bytes).map_err(|_| unreadable(&of.root()))?;
        {
            let mut types = self.0.types.lock().unwrap_or_else(PoisonError::into_inner);
            for one in read
                .resources
                .into_iter()
                .filter(|one| !one.name.contains('/'))
            {
                let named = Type {
                    api_version: of.api_version.clone(),
                    kind: one.kind,
                };
                types.insert(
                    named,
                    Resource {
                        plural: one.name,
                        namespaced: one.namespaced,
                    },
                );
            }
        }
        known(&self.0.types).ok_or_else(missing)
    }

    async fn path(&self, object: &Object) -> Result<String, ProviderError> {
        let resource = self.resource(&object.of).await?;
        let mut path = object.of.root();
        if resource.namespaced {
            let namespace = object.namespace.as_deref().unwrap_or("default");
            path = format!("{path}/namespaces/{}", encode(namespace));
        }
        Ok(format!(
            "{path}/{}/{}",
            resource.plural,
            encode(&object.name)
        ))
    }

    /// Reads one object; `None` when the cluster has no such object, or no such type.
    pub async fn get(&self, object: &Object) -> Result<Option<Value>, ProviderError> {
        let read = async {
            let path = self.path(object).await?;
            self.json(&path).await
        };
        match read.await {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads all objects of a type with these labels, in all namespaces, to the last page. A type
    /// the cluster does not have has no objects. Equal lists asked for at about the same time are
    /// read once.
    pub async fn list(&self, of: &Type, labels: &str) -> Result<Items, ProviderError> {
        self.list_where(of, labels, "").await
    }

    /// Like [`Self::list`], of those whose fields have these values, too.
    pub async fn list_where(
        &self,
        of: &Type,
        labels: &str,
        fields: &str,
    ) -> Result<Items, ProviderError> {
        let resource = match self.resource(of).await {
            Ok(resource) => resource,
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(Items::default()),
            Err(error) => return Err(error),
        };
        let mut path = format!(
            "{}/{}?labelSelector={}&limit={PAGE}",
            of.root(),
            resource.plural,
            encode(labels)
        );
        if !fields.is_empty() {
            path = format!("{path}&fieldSelector={}", encode(fields));
        }
        let slot = {
            let mut lists = self.0.lists.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(lists.entry(path.clone()).or_default())
        };
        let mut slot = slot.lock().await;
        let changes = self.0.changes.load(Ordering::SeqCst);
        if let Some((at, seen, items)) = &slot.read
            && *seen == changes
            && at.elapsed() < LIST_AGE / self.0.scale
        {
            return Ok(Arc::clone(items));
        }
        let items = match self.pages(&path, of).await {
            // Its definition went after the server was asked about it.
            Err(error) if error.kind == ErrorKind::NotFound => {
                self.0
                    .types
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(of);
                Items::default()
            }
            other => Arc::new(other?),
        };
        slot.read = Some((Instant::now(), changes, Arc::clone(&items)));
        Ok(items)
    }

    async fn pages(&self, path: &str, of: &Type) -> Result<Vec<Value>, ProviderError> {
        let mut items: Vec<Value> = Vec::new();
        let mut next = path.to_owned();
        for _ in 0..MAX_PAGES {
            let mut page = match self.json(&next).await {
                // The continuation is too old: the list begins again.
                Err(error) if error.code.as_deref() == Some("Expired") && !items.is_empty() => {
                    items.clear();
                    path.clone_into(&mut next);
                    continue;
                }
                other => other?,
            };
            let Some(Value::Array(found)) = page.get_mut("items").map(Value::take) else {
                return Err(unreadable(path));
            };
            // The items of a list leave their type out.
            items.extend(found.into_iter().map(|mut item| {
                item["apiVersion"] = Value::from(of.api_version.as_str());
                item["kind"] = Value::from(of.kind.as_str());
                item
            }));
            match page.pointer("/metadata/continue").and_then(Value::as_str) {
                Some(token) if !token.is_empty() => {
                    next = format!("{path}&continue={}", encode(token));
                }
                _ => return Ok(items),
            }
        }
        Err(ProviderError::new(
            ErrorKind::Bug,
            format!("GET {path} has more than {MAX_PAGES} pages"),
        ))
    }

    /// Applies an object on the server's side and returns it as it is now.
    pub async fn apply(
        &self,
        _permit: &Permit,
        value: &Value,
        ownership: Ownership,
    ) -> Result<Value, ProviderError> {
        let answer = self.patch(value, ownership, false).await;
        self.0.changes.fetch_add(1, Ordering::SeqCst);
        answer
    }

    /// What [`Self::apply`] would make of an object. Changes nothing.
    pub async fn dry_run(
        &self,
        value: &Value,
        ownership: Ownership,
    ) -> Result<Value, ProviderError> {
        self.patch(value, ownership, true).await
    }

    async fn patch(
        &self,
        value: &Value,
        ownership: Ownership,
        dry: bool,
    ) -> Result<Value, ProviderError> {
        let object = Object::of(value)?;
        let path = format!(
            "{}?fieldManager={FIELD_MANAGER}&force={}{}",
            self.path(&object).await?,
            ownership == Ownership::Take,
            if dry { "&dryRun=All" } else { "" }
        );
        let body = Bytes::from(value.to_string());
        let bytes = self
            .call(
                &Method::PATCH,
                &path,
                Some("application/apply-patch+yaml"),
                body,
            )
            .await
            .map_err(|error| explain(&object, error))?;
        parse(&path, &bytes)
    }

    /// Merges a patch (RFC 7386) into an object that is there.
    pub async fn merge(
        &self,
        _permit: &Permit,
        object: &Object,
        patch: &Value,
    ) -> Result<(), ProviderError> {
        let path = self.path(object).await?;
        let body = Bytes::from(patch.to_string());
        let kind = Some("application/merge-patch+json");
        let answer = self.call(&Method::PATCH, &path, kind, body).await;
        self.0.changes.fetch_add(1, Ordering::SeqCst);
        answer.map(drop).map_err(|error| explain(object, error))
    }

    /// Asks for a pod to leave its node. `Busy` where a disruption budget does not allow it at the
    /// moment; already gone is fine.
    pub async fn evict(&self, _permit: &Permit, pod: &Object) -> Result<(), ProviderError> {
        let path = format!("{}/eviction", self.path(pod).await?);
        let body = Bytes::from(eviction(pod).to_string());
        let answer = self
            .call(&Method::POST, &path, Some("application/json"), body)
            .await;
        self.0.changes.fetch_add(1, Ordering::SeqCst);
        match answer {
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            // Answered so every time: two budgets select the pod, for example.
            Err(error)
                if error.kind == ErrorKind::Transient
                    && error.code.as_deref() != Some(UNREACHABLE) =>
            {
                let kind = ErrorKind::Failed;
                Err(explain(pod, ProviderError { kind, ..error }))
            }
            Err(error) => Err(explain(pod, error)),
            Ok(_) => Ok(()),
        }
    }

    /// Deletes an object and, in the background, what it owns; already gone is fine.
    pub async fn delete(&self, _permit: &Permit, object: &Object) -> Result<(), ProviderError> {
        self.remove(object).await
    }

    /// Makes a job for a look that no list answers. It is of no record, so no permit gives the right
    /// to it; whoever asks removes it with [`Self::end_look`], and the cluster where he cannot.
    pub(super) async fn begin_look(&self, job: &Value) -> Result<(), ProviderError> {
        self.patch(job, Ownership::Respect, false).await.map(drop)
    }

    /// Removes what [`Self::begin_look`] made.
    pub(super) async fn end_look(&self, job: &Object) -> Result<(), ProviderError> {
        self.remove(job).await
    }

    async fn remove(&self, object: &Object) -> Result<(), ProviderError> {
        let path = match self.path(object).await {
            Ok(path) => path,
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let body = Bytes::from_static(br#"{"propagationPolicy":"Background"}"#);
        let answer = self
            .call(&Method::DELETE, &path, Some("application/json"), body)
            .await;
        self.0.changes.fetch_add(1, Ordering::SeqCst);
        match answer {
            Ok(_) => Ok(()),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(explain(object, error)),
        }
    }

    /// The error of an API that did not answer a moment ago: a plan that reads ten kinds of a
    /// cluster that is gone must not wait for it ten times.
    fn is_down(&self) -> Option<ProviderError> {
        let down = self.0.down.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, error) = down.as_ref()?;
        (at.elapsed() < DOWN_FOR / self.0.scale).then(|| error.clone())
    }

    /// One call. Everything sent here may be repeated: reads, applies, evictions and deletes.
    async fn call(
        &self,
        method: &Method,
        path: &str,
        content_type: Option<&str>,
        body: Bytes,
    ) -> Result<Bytes, ProviderError> {
        if let Some(error) = self.is_down() {
            return Err(error);
        }
        let mut attempt = 1;
        loop {
            let answer = self.attempt(method, path, content_type, body.clone());
            let error = match tokio::time::timeout(WHOLE_ANSWER, answer).await {
                Ok(Ok(bytes)) => return Ok(bytes),
                Ok(Err(error)) => error,
                Err(_) => too_slow(method, path),
            };
            let again = matches!(error.kind, ErrorKind::Transient | ErrorKind::Throttled);
            if !again || attempt >= ATTEMPTS {
                if error.code.as_deref() == Some(UNREACHABLE) {
                    let mut down = self.0.down.lock().unwrap_or_else(PoisonError::into_inner);
                    *down = Some((Instant::now(), error.clone()));
                }
                return Err(error);
            }
            let pause = error
                .retry_after
                .map_or(FIRST_PAUSE * 2_u32.saturating_pow(attempt - 1), |seconds| {
                    Duration::from_secs(u64::from(seconds.min(30)))
                });
            tokio::time::sleep(pause / self.0.scale).await;
            attempt += 1;
        }
    }

    async fn attempt(
        &self,
        method: &Method,
        path: &str,
        content_type: Option<&str>,
        body: Bytes,
    ) -> Result<Bytes, ProviderError> {
        let mut request = Request::builder()
            .method(method.clone())
            .uri(path)
            .header("accept", "application/json");
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let request = request.body(Body::from(body)).map_err(|_| {
            ProviderError::new(ErrorKind::Bug, format!("{method} {path} is not a request"))
        })?;
        self.0.calls.count();
        let answer = self
            .0
            .client
            .send(request)
            .await
            .map_err(|error| unreachable(&error))?;
        let status = answer.status();
        let bytes = Limited::new(answer.into_body(), MAX_ANSWER)
            .collect()
            .await
            .map_err(|error| lost(method, path, error.as_ref()))?
            .to_bytes();
        if status.is_success() {
            Ok(bytes)
        } else {
            Err(refused(method, path, status, &bytes))
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // kube's own text repeats its cause.
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    // The names of two libraries' types tell a reader nothing.
    let text = text.strip_prefix("ServiceError: ").unwrap_or(&text);
    let text = text
        .strip_prefix("client error (Connect): ")
        .unwrap_or(text);
    text.to_owned()
}

fn unreachable(error: &kube::Error) -> ProviderError {
    let text = format!("the Kubernetes API does not answer: {}", chain(error));
    let mut error = ProviderError::new(ErrorKind::Transient, text);
    error.code = Some(UNREACHABLE.to_owned());
    error
}

fn lost(method: &Method, path: &str, error: &dyn std::error::Error) -> ProviderError {
    ProviderError::new(
        ErrorKind::Transient,
        format!(
            "the answer of {method} {} was cut off: {}",
            bare(path),
            chain(error)
        ),
    )
}

fn too_slow(method: &Method, path: &str) -> ProviderError {
    let seconds = WHOLE_ANSWER.as_secs();
    ProviderError::new(
        ErrorKind::Transient,
        format!(
            "{method} {} was not answered within {seconds} s",
            bare(path)
        ),
    )
}

fn bare(path: &str) -> &str {
    path.split('?').next().unwrap_or(path)
}

fn unreadable(path: &str) -> ProviderError {
    ProviderError::new(
        ErrorKind::Bug,
        format!("the answer of GET {} cannot be read", bare(path)),
    )
    .help("a proxy may have answered in the cluster's place")
}

fn parse(path: &str, bytes: &[u8]) -> Result<Value, ProviderError> {
    serde_json::from_slice(bytes).map_err(|_| unreadable(path))
}

fn refused(method: &Method, path: &str, status: StatusCode, body: &[u8]) -> ProviderError {
    let read: Status = serde_json::from_slice(body).unwrap_or_default();
    let kind = match status.as_u16() {
        404 => ErrorKind::NotFound,
        409 if read.reason == "AlreadyExists" => ErrorKind::Exists,
        409 => ErrorKind::Busy,
        401 | 403 => ErrorKind::Denied,
        429 => ErrorKind::Throttled,
        500..=599 => ErrorKind::Transient,
        _ => ErrorKind::Invalid,
    };
    let mut text = if read.message.is_empty() {
        status.to_string()
    } else {
        read.message
    };
    let details = read.details.unwrap_or_default();
    let conflicts: Vec<&str> = details
        .causes
        .iter()
        .filter(|cause| cause.reason == "FieldManagerConflict")
        .map(|cause| cause.message.as_str())
        .collect();
    // Asked again at once, the budget is the same: it changes when pods are ready elsewhere.
    let by_budget = |cause: &Cause| cause.reason == "DisruptionBudget";
    let kind = if kind == ErrorKind::Throttled && details.causes.iter().any(by_budget) {
        ErrorKind::Busy
    } else {
        kind
    };
    // Asked again, another manager's field is still another manager's.
    let kind = if conflicts.is_empty() {
        kind
    } else {
        ErrorKind::Invalid
    };
    for conflict in &conflicts {
        if !text.contains(conflict) {
            text = format!("{text}; {conflict}");
        }
    }
    let mut error = ProviderError::new(kind, format!("{method} {}: {text}", bare(path)));
    error.code = (!read.reason.is_empty()).then_some(read.reason);
    error.retry_after = details.retry_after;
    if !conflicts.is_empty() {
        error = error.help(
            "somebody else manages these fields now: let go of them there, or take them out of \
             the cluster's file; kplan does not fight over them",
        );
    }
    error
}

fn explain(object: &Object, mut error: ProviderError) -> ProviderError {
    error.message = format!("{object}: {}", error.message);
    error
}
