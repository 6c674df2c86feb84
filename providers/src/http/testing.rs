//! A scripted remote side for unit tests.

use super::client::{Client, ClientConfig};
use super::limiter::Rate;
use super::statistics::Statistics;
use super::transport::{Transport, TransportError};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use kplan_model::{BoxFuture, Owner, Permit, Secret, Timestamp};
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

pub(crate) type Answer = Result<Response<Bytes>, TransportError>;
type Handler = dyn FnMut(&Request<Bytes>) -> Answer + Send;

/// Answers by a closure and remembers what it was asked.
#[derive(Clone)]
pub(crate) struct Script {
    handler: Arc<Mutex<Box<Handler>>>,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Script {
    pub(crate) fn new(handler: impl FnMut(&Request<Bytes>) -> Answer + Send + 'static) -> Self {
        Self {
            handler: Arc::new(Mutex::new(Box::new(handler))),
            asked: Arc::default(),
        }
    }

    /// These answers, in this order, and none after that.
    pub(crate) fn answers(answers: impl IntoIterator<Item = Response<Bytes>>) -> Self {
        Self::outcomes(answers.into_iter().map(Ok))
    }

    pub(crate) fn outcomes(outcomes: impl IntoIterator<Item = Answer>) -> Self {
        let mut left: VecDeque<Answer> = outcomes.into_iter().collect();
        Self::new(move |request| {
            left.pop_front()
                .unwrap_or_else(|| panic!("nobody expected {} {}", request.method(), request.uri()))
        })
    }

    /// `METHOD path?query` of every call.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.asked
            .lock()
            .unwrap()
            .iter()
            .map(|(call, _)| call.clone())
            .collect()
    }

    /// The body of a call; null when it had none.
    pub(crate) fn body(&self, call: usize) -> Value {
        self.asked.lock().unwrap()[call].1.clone()
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.config())
    }

    pub(crate) fn config(&self) -> ClientConfig {
        ClientConfig {
            base_url: "https://api.example/v2/".to_owned(),
            token: Secret::new("dop_v1_secret"),
            transport: Arc::new(self.clone()),
            rate: Rate { per_minute: 60_000 },
            scale: 1,
            statistics: Arc::new(Statistics::default()),
            now: Arc::new(|| Timestamp::from_seconds(1_700_000_000)),
            on_event: None,
            per_page: 200,
            seed: 7,
        }
    }
}

impl Transport for Script {
    fn call(&self, request: Request<Bytes>) -> BoxFuture<'static, Answer> {
        let uri = request.uri();
        let path = uri.path_and_query().map_or("", |path| path.as_str());
        let body = serde_json::from_slice(request.body()).unwrap_or(Value::Null);
        self.asked
            .lock()
            .unwrap()
            .push((format!("{} {path}", request.method()), body));
        let answer = (self.handler.lock().unwrap())(&request);
        Box::pin(async move { answer })
    }
}

/// An answer with a JSON body.
pub(crate) fn json(status: u16, body: &Value) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from(body.to_string()));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    answer
}

/// An answer without a body.
pub(crate) fn empty(status: u16) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    answer
}

/// The owner in these tests.
pub(crate) fn owner() -> Owner {
    Owner {
        cluster: "demo".to_owned(),
        suffix: "3f9a1c2e".to_owned(),
    }
}

/// A permit, for whatever.
pub(crate) fn permit() -> Permit {
    kplan_model::testing::permit(&"tag.x".parse().unwrap()).unwrap()
}
