//! The API as a tower service: the same for a socket and for a client in the same process.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tower::Service;

use super::{ApiError, Request, Response};
use crate::log::{Asked, RequestLog, Service as Which};
use crate::server::control::Control;
use crate::world::cloud::{Cloud, Handled, Outcome};

/// Larger than any request of the API: `user_data` is at most 64 KiB.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// The connection was closed before an answer came.
#[derive(Debug, thiserror::Error)]
#[error("the connection was closed before an answer came")]
pub struct ConnectionLost;

/// Answers HTTP requests to the DigitalOcean API and the sandbox's control endpoints.
#[derive(Clone, Debug)]
pub struct ApiService {
    cloud: Cloud,
    control: Arc<Control>,
    /// Where links lead when a request does not say which host it is for.
    api_url: Arc<str>,
    log: Option<RequestLog>,
}

impl ApiService {
    pub(crate) fn new(
        cloud: Cloud,
        control: Arc<Control>,
        api_url: &str,
        log: Option<RequestLog>,
    ) -> ApiService {
        ApiService {
            cloud,
            control,
            api_url: Arc::from(api_url),
            log,
        }
    }

    async fn respond(
        self,
        request: http::Request<Body>,
    ) -> Result<http::Response<Body>, ConnectionLost> {
        let (parts, body) = request.into_parts();
        let target = parts
            .uri
            .path_and_query()
            .map_or("/", |target| target.as_str());
        let mut own = Request::new(parts.method, target);
        own.base_url = base_url(&parts.uri, &parts.headers, &self.api_url);
        own.authorization = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        own.dangerous = parts
            .headers
            .get("x-dangerous")
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"));
        match Limited::new(body, MAX_BODY).collect().await {
            Ok(body) => own.raw_body = body.to_bytes().to_vec(),
            Err(error) if !error.is::<LengthLimitError>() => {
                let error = ApiError::bad_request("The request body could not be read.");
                return Ok(render(error.into_response("")));
            }
            Err(_) => {
                let error = ApiError::new(413, "request_too_large", "The request is too large.");
                return Ok(render(error.into_response("")));
            }
        }
        if own.path.starts_with("/_sandbox/") {
            return Ok(render(self.control.answer(&self.cloud, &own)));
        }
        self.control.touch();
        if own.path.starts_with("/v2/projects") {
            own.buckets = self.control.bucket_names();
        }
        let mut asked = Asked::begin(self.log.as_ref(), Which::Api, &own.method, &parts.uri);
        let Handled { outcome, faults } = self.handle(own);
        let answer = match outcome {
            Outcome::Respond(delay, response) => {
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
                Ok(render(response))
            }
            Outcome::Drop(delay) => {
                tokio::time::sleep(delay).await;
                Err(ConnectionLost)
            }
        };
        asked.faults(faults);
        asked.answered(answer.as_ref().ok());
        answer
    }

    /// Lets the account answer. Where other threads can take over, waiting for the disk does not
    /// keep this one's other tasks from running; in a single thread everything stays in order.
    fn handle(&self, request: Request) -> Handled {
        let flavor = tokio::runtime::Handle::try_current().map(|handle| handle.runtime_flavor());
        if matches!(flavor, Ok(tokio::runtime::RuntimeFlavor::MultiThread)) && self.cloud.on_disk()
        {
            return tokio::task::block_in_place(|| self.cloud.handle(request));
        }
        self.cloud.handle(request)
    }

    /// The service as a router, for clients that take one. A lost connection becomes a body that
    /// fails at its first byte.
    pub fn router(self) -> axum::Router {
        axum::Router::new().fallback_service(Infallibly(self))
    }
}

impl Service<http::Request<Body>> for ApiService {
    type Response = http::Response<Body>;
    type Error = ConnectionLost;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.clone().respond(request))
    }
}

#[derive(Clone)]
struct Infallibly(ApiService);

impl Service<http::Request<Body>> for Infallibly {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.0.clone();
        Box::pin(async move {
            Ok(service.respond(request).await.unwrap_or_else(|lost| {
                let failing = futures_util::stream::once(async { Err::<Bytes, _>(lost) });
                http::Response::new(Body::from_stream(failing))
            }))
        })
    }
}

/// The host the client spoke to.
fn base_url(uri: &http::Uri, headers: &http::HeaderMap, fallback: &str) -> String {
    if let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) {
        return format!("{scheme}://{authority}");
    }
    match headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
    {
        Some(host) => format!("http://{host}"),
        None => fallback.to_owned(),
    }
}

fn render(response: Response) -> http::Response<Body> {
    let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = response
        .body
        .map_or_else(Body::empty, |body| Body::from(body.to_string()));
    let mut rendered = http::Response::new(body);
    *rendered.status_mut() = status;
    let headers = rendered.headers_mut();
    if status != StatusCode::NO_CONTENT {
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, json);
    }
    for (name, value) in response.headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    rendered
}
