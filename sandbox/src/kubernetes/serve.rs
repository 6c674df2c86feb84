//! The listener: TLS, the client's identity from its certificate, HTTP/1.1.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use super::ClusterError;
use super::authn::Identity;
use crate::log::{Asked, RequestLog, Service};

/// A client that does not finish its handshake is dropped after this long.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Connections one server keeps open; more wait in the listener's queue.
const CONNECTIONS: usize = 1024;

/// Keeps a server running; dropping it closes the port and every connection.
#[derive(Debug)]
pub struct ServerGuard {
    task: tokio::task::JoinHandle<()>,
}

impl Drop for ServerGuard {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Listens on a free loopback port.
pub(crate) async fn serve(
    router: Router,
    tls: Arc<ServerConfig>,
    log: Option<RequestLog>,
) -> Result<(SocketAddr, ServerGuard), ClusterError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .map_err(ClusterError::Listen)?;
    let address = listener.local_addr().map_err(ClusterError::Listen)?;
    let task = tokio::spawn(accept(listener, TlsAcceptor::from(tls), router, log));
    Ok((address, ServerGuard { task }))
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    router: Router,
    log: Option<RequestLog>,
) {
    // Dropped with this task, and then every connection with it.
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= CONNECTIONS {
            connections.join_next().await;
        }
        tokio::select! {
            biased;
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let (acceptor, router) = (acceptor.clone(), router.clone());
                    connections.spawn(connection(stream, acceptor, router, log.clone()));
                }
                // Out of file descriptors, most likely: let some connections end first.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
        }
    }
}

async fn connection(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    router: Router,
    log: Option<RequestLog>,
) {
    drop(stream.set_nodelay(true));
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await else {
        return;
    };
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let identity = certificates
        .first()
        .and_then(|leaf| Identity::of_certificate(leaf));
    let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
        let mut request = request.map(Body::new);
        if let Some(identity) = &identity {
            request.extensions_mut().insert(identity.clone());
        }
        let (method, uri) = (request.method(), request.uri());
        let asked = Asked::begin(log.as_ref(), Service::Kubernetes, method, uri);
        let answer = router.clone().oneshot(request);
        async move {
            let answer = answer.await;
            asked.answered(answer.as_ref().ok());
            answer
        }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
    // A client that hangs up in the middle of an answer is its own business.
    drop(served);
}
