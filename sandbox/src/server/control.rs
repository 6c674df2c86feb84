//! Control endpoints under `/_sandbox/`, and what keeps the process alive.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::FORMAT_VERSION;
use crate::fault::FaultRule;
use crate::http::{ApiError, Reply, Request, Response};
use crate::spaces::Spaces;
use crate::world::cloud::Cloud;

/// What the control endpoints act on.
pub(crate) struct Control {
    spaces: Spaces,
    last_activity: Mutex<Instant>,
    stop: watch::Sender<bool>,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultsBody {
    rules: Vec<FaultRule>,
    seed: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenBody {
    scopes: BTreeSet<String>,
}

impl Control {
    pub(crate) fn new(spaces: Spaces) -> Control {
        let last_activity = Mutex::new(Instant::now());
        Control {
            spaces,
            last_activity,
            stop: watch::Sender::new(false),
        }
    }

    /// The names of all buckets.
    pub(crate) fn bucket_names(&self) -> Vec<String> {
        self.spaces.bucket_names()
    }

    /// Somebody uses the sandbox.
    pub(crate) fn touch(&self) {
        *self
            .last_activity
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// How long nobody has used the sandbox.
    pub(crate) fn idle(&self) -> Duration {
        self.last_activity
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .elapsed()
    }

    /// Asks the process to end.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Returns once the process was asked to end.
    pub(crate) async fn stopping(&self) {
        // The sender lives as long as `self`.
        drop(self.stop.subscribe().wait_for(|stop| *stop).await);
    }

    /// Answers a control request. They do not count for the request limits.
    pub(crate) fn answer(&self, cloud: &Cloud, request: &Request) -> Response {
        let reply = if cloud.authorized(request) {
            self.touch();
            self.route(cloud, request)
        } else {
            Err(ApiError::unauthorized())
        };
        reply.unwrap_or_else(|error| error.into_response(""))
    }

    fn route(&self, cloud: &Cloud, request: &Request) -> Reply {
        match (&request.method, request.path.as_str()) {
            (&Method::GET, "/_sandbox/health") => Ok(Response::ok(
                json!({ "format_version": FORMAT_VERSION, "status": "ok" }),
            )),
            (&Method::GET, "/_sandbox/inspect") => {
                let keep: Vec<&str> = request
                    .query("keep")
                    .unwrap_or_default()
                    .split(',')
                    .collect();
                Ok(Response::ok(self.inspect(cloud, &keep)))
            }
            (&Method::POST, "/_sandbox/faults") => {
                let body: FaultsBody = request.body()?;
                let count = body.rules.len();
                cloud.set_faults(body.rules, body.seed);
                Ok(Response::ok(json!({ "rules": count })))
            }
            (&Method::POST, "/_sandbox/tokens") => {
                let body: TokenBody = request.body()?;
                let token = cloud.create_token(body.scopes.clone())?;
                let made = json!({ "token": token, "scopes": body.scopes });
                Ok(Response::new(201, made))
            }
            (&Method::DELETE, path) if path.starts_with("/_sandbox/tokens/") => {
                let token = path.trim_start_matches("/_sandbox/tokens/");
                cloud.delete_token(token)?;
                Ok(Response::no_content())
            }
            (&Method::POST, "/_sandbox/shutdown") => {
                self.stop();
                Ok(Response::accepted())
            }
            _ => Err(ApiError::not_found()),
        }
    }

    /// Resources by kind. `keep` names some as `kind:name` (kind in the singular, such as
    /// `bucket`), which go under `kept` instead: the sandbox does not know what its users mean to
    /// outlive a destroy.
    pub(crate) fn inspect(&self, cloud: &Cloud, keep: &[&str]) -> Value {
        let mut resources = cloud.inspect();
        let buckets: Vec<Value> = self
            .spaces
            .buckets()
            .iter()
            .map(|bucket| json!(bucket))
            .collect();
        if !buckets.is_empty() {
            resources.insert("buckets".to_owned(), buckets);
        }
        let mut kept: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for (kind, name) in keep.iter().filter_map(|entry| entry.split_once(':')) {
            let plural = format!("{kind}s");
            let Some(rows) = resources.get_mut(&plural) else {
                continue;
            };
            let named = |row: &Value| row["name"] == name || row["id"] == name;
            let moved: Vec<Value> = rows.extract_if(.., |row| named(row)).collect();
            if !moved.is_empty() {
                kept.entry(plural).or_default().extend(moved);
            }
        }
        resources.retain(|_, rows| !rows.is_empty());
        let object = |map: BTreeMap<String, Vec<Value>>| -> Map<String, Value> {
            map.into_iter()
                .map(|(kind, rows)| (kind, Value::Array(rows)))
                .collect()
        };
        json!({
            "format_version": FORMAT_VERSION,
            "resources": object(resources),
            "kept": object(kept),
        })
    }
}
