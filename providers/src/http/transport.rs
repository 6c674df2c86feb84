//! Carries one request to a remote side and its answer back: over the network, or to a `tower`
//! service in the same process so that tests are deterministic.

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt, Full, Limited};
use kplan_model::{BoxFuture, ErrorKind, ProviderError};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceExt;

/// An answer larger than this is refused: 200 droplets make about 1 MiB.
const MAX_ANSWER: usize = 64 << 20;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransportError {
    /// Nothing was sent: the remote side cannot have acted.
    NotSent(String),
    /// The request was sent, or may have been, and no whole answer came back.
    Lost(String),
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(why) => write!(f, "the request could not be sent: {why}"),
            Self::Lost(why) => write!(f, "the answer was lost: {why}"),
        }
    }
}

impl std::error::Error for TransportError {}

/// One request, one answer, no policy.
pub trait Transport: Send + Sync + 'static {
    /// Makes the call.
    fn call(
        &self,
        request: Request<Bytes>,
    ) -> BoxFuture<'static, Result<Response<Bytes>, TransportError>>;
}

/// The network, by HTTP/1.1 or HTTP/2 over TLS.
#[derive(Clone, Debug)]
pub struct Reqwest(reqwest::Client);

impl Reqwest {
    /// A client that gives up connecting after 10 s and a whole call after 60 s, and follows no
    /// redirect (it would carry the token elsewhere).
    ///
    /// Fails when the system's TLS roots cannot be loaded.
    pub fn new() -> Result<Self, ProviderError> {
        reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(10))
            .timeout(Duration::from_mins(1))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("kplan/", env!("CARGO_PKG_VERSION")))
            .build()
            .map(Self)
            .map_err(|error| {
                ProviderError::new(
                    ErrorKind::Bug,
                    format!("the HTTP client could not be made: {}", chain(&error)),
                )
            })
    }
}

/// An error with its causes: reqwest's own text leaves out the interesting part.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn reqwest_error(error: reqwest::Error) -> TransportError {
    let not_sent = error.is_connect() || error.is_builder();
    // A presigned address is a credential, so no address is ever part of a message.
    let text = chain(&error.without_url());
    if not_sent {
        TransportError::NotSent(text)
    } else {
        TransportError::Lost(text)
    }
}

impl Transport for Reqwest {
    fn call(
        &self,
        request: Request<Bytes>,
    ) -> BoxFuture<'static, Result<Response<Bytes>, TransportError>> {
        let client = self.0.clone();
        Box::pin(async move {
            let request = reqwest::Request::try_from(request).map_err(reqwest_error)?;
            let mut answer = client.execute(request).await.map_err(reqwest_error)?;
            let mut body = BytesMut::new();
            while let Some(chunk) = answer.chunk().await.map_err(reqwest_error)? {
                if body.len().saturating_add(chunk.len()) > MAX_ANSWER {
                    return Err(TransportError::Lost("it is larger than 64 MiB".to_owned()));
                }
                body.extend_from_slice(&chunk);
            }
            let mut response = Response::new(body.freeze());
            *response.status_mut() = answer.status();
            *response.headers_mut() = std::mem::take(answer.headers_mut());
            Ok(response)
        })
    }
}

/// Sends nothing but reads; everything else ends here with an error: for commands that must not be
/// able to change anything.
#[derive(Clone)]
pub struct ReadOnly(pub Arc<dyn Transport>);

impl Transport for ReadOnly {
    fn call(
        &self,
        request: Request<Bytes>,
    ) -> BoxFuture<'static, Result<Response<Bytes>, TransportError>> {
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            return self.0.call(request);
        }
        let why = format!(
            "this command only reads, so {} {} was kept back; this is a bug in kplan",
            request.method(),
            request.uri().path()
        );
        Box::pin(async move { Err(TransportError::NotSent(why)) })
    }
}

/// What a client puts onto the wire by itself: the host, the length of the body, and the target
/// without the host.
fn as_sent(mut request: Request<Bytes>) -> Request<Bytes> {
    let authority = request.uri().authority().map(ToString::to_string);
    let length = HeaderValue::from(request.body().len());
    let bodiless = request.body().is_empty() && request.method() == Method::GET;
    let headers = request.headers_mut();
    if let Some(host) = authority.and_then(|host| HeaderValue::try_from(host).ok()) {
        headers.entry(header::HOST).or_insert(host);
    }
    if !bodiless {
        headers.entry(header::CONTENT_LENGTH).or_insert(length);
    }
    request
}

/// A `tower` service in this process, such as the sandbox's, that takes bodies of type `Q`.
#[derive(Clone, Debug)]
pub struct ServiceTransport<S, Q = Full<Bytes>> {
    service: S,
    body: PhantomData<fn(Bytes) -> Q>,
}

impl<S, Q> ServiceTransport<S, Q> {
    /// Calls go to `service`; each call uses a clone of it.
    pub fn new(service: S) -> Self {
        Self {
            service,
            body: PhantomData,
        }
    }
}

impl<S, Q, B> Transport for ServiceTransport<S, Q>
where
    S: tower::Service<Request<Q>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: fmt::Display,
    Q: From<Bytes> + Send + 'static,
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn call(
        &self,
        request: Request<Bytes>,
    ) -> BoxFuture<'static, Result<Response<Bytes>, TransportError>> {
        let service = self.service.clone();
        Box::pin(async move {
            let request = as_sent(request);
            let answer = service
                .oneshot(request.map(Q::from))
                .await
                .map_err(|error| TransportError::Lost(error.to_string()))?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, MAX_ANSWER)
                .collect()
                .await
                .map_err(|error| TransportError::Lost(error.to_string()))?;
            Ok(Response::from_parts(parts, body.to_bytes()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// A server for one connection: reads something, writes `answer`, closes.
    async fn server(answer: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 4096];
            let read = socket.read(&mut buffer).await.unwrap();
            let request = String::from_utf8_lossy(&buffer[..read]).to_lowercase();
            assert!(request.contains("user-agent: kplan/"), "{request}");
            socket.write_all(answer).await.unwrap();
        });
        format!("http://{address}/v2/x?presigned=secret")
    }

    async fn call(url: &str) -> Result<Response<Bytes>, TransportError> {
        let request = Request::get(url).body(Bytes::new()).unwrap();
        Reqwest::new().unwrap().call(request).await
    }

    #[tokio::test]
    async fn what_only_reads_sends_nothing_else() {
        struct Sent;
        impl Transport for Sent {
            fn call(
                &self,
                _: Request<Bytes>,
            ) -> BoxFuture<'static, Result<Response<Bytes>, TransportError>> {
                Box::pin(async { Ok(Response::new(Bytes::new())) })
            }
        }
        let reads = ReadOnly(Arc::new(Sent));
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] {
            let request = Request::builder().method(method).uri("http://x/v2/y");
            let answer = reads.call(request.body(Bytes::new()).unwrap()).await;
            assert_eq!(
                answer.is_ok(),
                ["GET", "HEAD"].contains(&method),
                "{method}"
            );
        }
    }

    #[tokio::test]
    async fn answers_come_with_status_headers_and_body() {
        let url =
            server(b"HTTP/1.1 404 Not Found\r\nx-request-id: r\r\ncontent-length: 2\r\n\r\n{}")
                .await;
        let answer = call(&url).await.unwrap();
        assert_eq!(answer.status(), 404);
        assert_eq!(answer.headers()["x-request-id"], "r");
        assert_eq!(answer.body(), "{}");
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_not_followed() {
        let url = server(
            b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
        )
        .await;
        assert_eq!(call(&url).await.unwrap().status(), 302);
    }

    #[tokio::test]
    async fn what_was_cut_off_is_lost_and_what_never_left_is_not() {
        for cut in [
            &b""[..],
            b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf",
        ] {
            let url = server(cut).await;
            let error = call(&url).await.unwrap_err();
            assert!(matches!(error, TransportError::Lost(_)), "{error:?}");
            assert!(!error.to_string().contains("presigned"), "{error}");
        }
        let free = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap();
        let error = call(&format!("http://{free}/")).await.unwrap_err();
        assert!(matches!(error, TransportError::NotSent(_)), "{error:?}");
    }

    #[tokio::test]
    async fn a_service_sees_what_a_socket_would_carry() {
        let service = tower::service_fn(|request: Request<Full<Bytes>>| async move {
            assert_eq!(request.headers()["host"], "api.example:8080");
            assert_eq!(request.headers()["content-length"], "4");
            let body = request.into_body();
            Ok::<_, std::convert::Infallible>(Response::new(body))
        });
        let transport: ServiceTransport<_> = ServiceTransport::new(service);
        let request = Request::post("http://api.example:8080/x")
            .body(Bytes::from("body"))
            .unwrap();
        assert_eq!(transport.call(request).await.unwrap().body(), "body");
    }
}
