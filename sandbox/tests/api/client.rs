//! A client in the same process, and a sandbox whose time only moves when a test says so.

use std::path::Path;
use std::time::Duration;

use axum::body::Body;
use http::{Request, header};
use http_body_util::BodyExt as _;
use kplan_sandbox::{Clock, Config, ConnectionLost, Sandbox};
use serde_json::Value;
use tower::Service as _;

use crate::conformance;

/// Small enough that nothing becomes ready between two calls.
const SCALE: f64 = 1.0;

pub(crate) struct Client {
    pub(crate) sandbox: Sandbox,
    clock: Clock,
}

/// What a call came back with.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Value,
}

pub(crate) fn config() -> Config {
    Config {
        time_scale: SCALE,
        token: "token".to_owned(),
        seed: 7,
        ..Config::default()
    }
}

impl Client {
    pub(crate) fn new(config: &Config) -> Client {
        let origin = "2026-01-02T03:04:05Z".parse().unwrap();
        Client::starting_at(config, Clock::starting_at(config.time_scale, origin))
    }

    pub(crate) fn starting_at(config: &Config, clock: Clock) -> Client {
        let sandbox = Sandbox::open_at(config, clock.clone()).unwrap();
        Client { sandbox, clock }
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock.clone()
    }

    pub(crate) fn in_memory() -> Client {
        Client::new(&config())
    }

    pub(crate) fn recording(path: &Path) -> Client {
        Client::new(&Config {
            record: Some(path.to_owned()),
            ..config()
        })
    }

    /// Lets the cloud's seconds pass.
    pub(crate) async fn wait(&self, seconds: u64) {
        self.clock.sleep(Duration::from_secs(seconds)).await;
    }

    pub(crate) async fn try_call(
        &self,
        method: &str,
        target: &str,
        body: Option<Value>,
    ) -> Result<Answer, ConnectionLost> {
        self.try_call_with(method, target, body, &[]).await
    }

    /// A call with headers of its own.
    pub(crate) async fn try_call_with(
        &self,
        method: &str,
        target: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Result<Answer, ConnectionLost> {
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header(header::AUTHORIZATION, "Bearer token");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .body(
                body.as_ref()
                    .map_or_else(Body::empty, |body| Body::from(body.to_string())),
            )
            .unwrap();
        let response = self.sandbox.service().call(request).await?;
        let (parts, stream) = response.into_parts();
        let bytes = stream.collect().await.unwrap().to_bytes();
        let answered = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).unwrap()
        };
        let status = parts.status.as_u16();
        conformance::judge(method, target, body, status, &answered);
        Ok(Answer {
            status,
            headers: parts.headers,
            body: answered,
        })
    }

    /// A call whose answer must have this status.
    pub(crate) async fn expect(
        &self,
        status: u16,
        method: &str,
        target: &str,
        body: Option<Value>,
    ) -> Value {
        let answer = self.try_call(method, target, body.clone()).await.unwrap();
        assert_eq!(
            answer.status, status,
            "{method} {target} {body:?}: {}",
            answer.body
        );
        answer.body
    }

    pub(crate) async fn get(&self, target: &str) -> Value {
        self.expect(200, "GET", target, None).await
    }

    pub(crate) async fn post(&self, status: u16, target: &str, body: Value) -> Value {
        self.expect(status, "POST", target, Some(body)).await
    }

    pub(crate) async fn put(&self, status: u16, target: &str, body: Value) -> Value {
        self.expect(status, "PUT", target, Some(body)).await
    }

    pub(crate) async fn delete(&self, target: &str) {
        self.expect(204, "DELETE", target, None).await;
    }

    /// A droplet that is not active yet; its id.
    pub(crate) async fn new_droplet(&self, name: &str, extra: Value) -> u64 {
        let mut body = serde_json::json!({
            "name": name, "region": "fra1", "size": "s-2vcpu-4gb", "image": "ubuntu-24-04-x64",
        });
        for (key, value) in extra.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        self.post(202, "/v2/droplets", body).await["droplet"]["id"]
            .as_u64()
            .unwrap()
    }

    /// A droplet that is active.
    pub(crate) async fn droplet(&self, name: &str, extra: Value) -> u64 {
        let id = self.new_droplet(name, extra).await;
        self.wait(60).await;
        id
    }
}

/// The id of a created resource.
pub(crate) fn id(answer: &Value, key: &str) -> String {
    match &answer[key]["id"] {
        Value::String(id) => id.clone(),
        Value::Number(id) => id.to_string(),
        other => panic!("no id in {answer}: {other}"),
    }
}
