//! Loopback listeners.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tower::Service as _;

use super::SandboxError;
use super::control::Control;
use crate::http::ApiService;
use crate::log::{Asked, RequestLog, Service as Which};
use crate::spaces::{Peer, Spaces};
use crate::store::Store;

const PORTS: &str = "ports";

/// A listener on the port asked for; 0 stands for the one used last time (kubeconfigs and signed
/// URLs name it), or any when that is taken.
pub(super) async fn bind(
    store: &Store,
    what: &'static str,
    asked: u16,
) -> Result<TcpListener, SandboxError> {
    let port_error = |source| SandboxError::Port { what, source };
    let on = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let last: u16 = store.load(PORTS)?.remove(what).unwrap_or(0);
    let listener = if asked != 0 {
        TcpListener::bind(on(asked)).await.map_err(port_error)?
    } else {
        match TcpListener::bind(on(last)).await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind(on(0)).await.map_err(port_error)?,
        }
    };
    let port = listener.local_addr().map_err(port_error)?.port();
    if port != last {
        store.put(PORTS, what, &port)?;
    }
    Ok(listener)
}

/// Serves the DigitalOcean API. A connection that a fault closes ends without an answer.
pub(super) async fn api(listener: TcpListener, service: ApiService) {
    accept(listener, move |stream| {
        let service = service.clone();
        async move {
            let answer = service_fn(move |request: http::Request<Incoming>| {
                service.clone().call(request.map(Body::new))
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), answer);
            // A client that goes away ends its own connection only.
            drop(connection.await);
        }
    })
    .await;
}

/// Serves Spaces.
pub(super) async fn spaces(
    listener: TcpListener,
    spaces: Spaces,
    control: Arc<Control>,
    log: Option<RequestLog>,
) {
    accept(listener, move |stream| {
        let (spaces, control) = (spaces.clone(), Arc::clone(&control));
        let log = log.clone();
        let peer = stream.peer_addr().ok().map(|peer| Peer(peer.ip()));
        async move {
            let answer = service_fn(move |mut request: http::Request<Incoming>| {
                control.touch();
                // Bucket policies may ask where a request comes from.
                if let Some(peer) = peer {
                    request.extensions_mut().insert(peer);
                }
                let spaces = spaces.clone();
                let (method, uri) = (request.method(), request.uri());
                let asked = Asked::begin(log.as_ref(), Which::Spaces, method, uri);
                async move {
                    let answer = spaces.handle(request.map(s3s::Body::from)).await;
                    asked.answered(Some(&answer));
                    Ok::<_, Infallible>(answer)
                }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), answer);
            drop(connection.await);
        }
    })
    .await;
}

/// Serves the artifact mirror.
pub(super) async fn mirror(
    listener: TcpListener,
    router: axum::Router,
    control: Arc<Control>,
    log: Option<RequestLog>,
) {
    accept(listener, move |stream| {
        let (router, control) = (router.clone(), Arc::clone(&control));
        let log = log.clone();
        async move {
            let answer = service_fn(move |request: http::Request<Incoming>| {
                control.touch();
                let (method, uri) = (request.method(), request.uri());
                let asked = Asked::begin(log.as_ref(), Which::Mirror, method, uri);
                let answer = router.clone().call(request.map(Body::new));
                async move {
                    let answer = answer.await;
                    asked.answered(answer.as_ref().ok());
                    answer
                }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), answer);
            drop(connection.await);
        }
    })
    .await;
}

/// Accepts for ever, each connection in its own task; all of them end with this one.
pub(super) async fn accept<F>(listener: TcpListener, mut serve: impl FnMut(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _peer)) => {
                    // Small answers should not wait for more.
                    drop(stream.set_nodelay(true));
                    connections.spawn(serve(stream));
                }
                // No file descriptors left, or the like: others may finish meanwhile.
                Err(_) => tokio::task::yield_now().await,
            },
        }
    }
}
