//! An HTTP CONNECT proxy that leads from a cluster's real address to its API server on loopback.
//!
//! Kubeconfigs keep the endpoint they would have on DigitalOcean and name this proxy as
//! `proxy-url`. It connects to port 6443 of the sandbox's droplets and load balancers and to
//! nothing else; nothing leaves loopback. Gaps: cloud firewalls and a load balancer's own firewall
//! and forwarding rules are not consulted, and of host names only those are known that have an A
//! record in one of the account's own domains.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::boot::Nodes;
use crate::facts::CloudFacts;

/// The only port the proxy leads to.
const API_PORT: u16 = 6443;

/// The proxy; clones share the balancing state.
#[derive(Clone)]
pub struct Proxy {
    nodes: Nodes,
    cloud: Arc<dyn CloudFacts>,
    turn: Arc<AtomicUsize>,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy")
            .field("nodes", &self.nodes)
            .finish_non_exhaustive()
    }
}

/// Why a target cannot be reached.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ProxyError {
    /// Not `address:6443`.
    #[error("the sandbox's proxy leads to port 6443 of the sandbox's addresses only, not to {0}")]
    Target(String),
    /// A name of nobody's here.
    #[error("no domain of this sandbox has an A record for {0}")]
    Name(String),
    /// Not an address of this sandbox.
    #[error("no droplet, reserved IP or load balancer of this sandbox has the address {0}")]
    Unknown(Ipv4Addr),
    /// A droplet without a running API server.
    #[error(
        "connection refused: no API server runs on the droplet with the address {0} (it may still be booting)"
    )]
    Down(Ipv4Addr),
    /// A load balancer whose targets are all down.
    #[error("the load balancer {0} has no healthy target on port 6443")]
    Unhealthy(Ipv4Addr),
}

impl ProxyError {
    /// 503 for what may come up, 502 for what never will.
    fn status(&self) -> StatusCode {
        match self {
            ProxyError::Down(_) | ProxyError::Unhealthy(_) => StatusCode::SERVICE_UNAVAILABLE,
            ProxyError::Target(_) | ProxyError::Name(_) | ProxyError::Unknown(_) => {
                StatusCode::BAD_GATEWAY
            }
        }
    }
}

impl Proxy {
    /// A proxy to these nodes.
    pub fn new(nodes: Nodes, cloud: Arc<dyn CloudFacts>) -> Proxy {
        Proxy {
            nodes,
            cloud,
            turn: Arc::default(),
        }
    }

    /// The loopback address behind a target such as `203.0.113.7:6443`. A load balancer's healthy
    /// targets take turns.
    pub fn resolve(&self, target: &str) -> Result<SocketAddr, ProxyError> {
        let (ip, droplet) = self.choose(target)?;
        self.nodes.endpoint_of(droplet).ok_or(ProxyError::Down(ip))
    }

    /// The API behind a target as a service, for clients in the same process: without TLS, so the
    /// request says who sends it by a [`crate::kubernetes::Identity`] among its extensions.
    pub fn router(&self, target: &str) -> Result<axum::Router, ProxyError> {
        let (ip, droplet) = self.choose(target)?;
        self.nodes.router_of(droplet).ok_or(ProxyError::Down(ip))
    }

    /// The address of a target, and the droplet that answers there this time.
    fn choose(&self, target: &str) -> Result<(Ipv4Addr, u64), ProxyError> {
        let split = target
            .rsplit_once(':')
            .filter(|(_, port)| port.parse() == Ok(API_PORT));
        let (host, _) = split.ok_or_else(|| ProxyError::Target(target.to_owned()))?;
        let ip = match host.parse() {
            Ok(ip) => ip,
            Err(_name) => self.looked_up(host)?,
        };
        if let Some(droplet) = self.nodes.server_at(ip) {
            return Ok((ip, droplet));
        }
        if let Some(targets) = self.cloud.load_balancer_targets(ip) {
            let healthy: Vec<u64> = targets
                .into_iter()
                .filter_map(|ip| self.nodes.server_at(ip))
                .collect();
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let chosen = turn
                .checked_rem(healthy.len())
                .and_then(|at| healthy.get(at).copied());
            return chosen
                .map(|droplet| (ip, droplet))
                .ok_or(ProxyError::Unhealthy(ip));
        }
        let droplet = self
            .cloud
            .droplet_by_ip(ip)
            .ok_or(ProxyError::Unknown(ip))?;
        Ok((ip, droplet))
    }

    /// An address of a host. Several take turns, as name servers let them.
    fn looked_up(&self, host: &str) -> Result<Ipv4Addr, ProxyError> {
        let addresses = self.cloud.addresses_of(host);
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let chosen = turn
            .checked_rem(addresses.len())
            .and_then(|at| addresses.get(at).copied());
        chosen.ok_or_else(|| ProxyError::Name(host.to_owned()))
    }

    /// Serves on a listener until the task is dropped.
    pub async fn serve(self, listener: TcpListener) {
        loop {
            // A failed accept (such as no file descriptors left) concerns one connection.
            let Ok((stream, _peer)) = listener.accept().await else {
                tokio::task::yield_now().await;
                continue;
            };
            let proxy = self.clone();
            tokio::spawn(async move {
                let service = hyper::service::service_fn(move |request| {
                    let proxy = proxy.clone();
                    async move { Ok::<_, Infallible>(proxy.connect(request).await) }
                });
                let connection = hyper::server::conn::http1::Builder::new();
                // A client that goes away ends its own connection only.
                drop(
                    connection
                        .serve_connection(TokioIo::new(stream), service)
                        .with_upgrades()
                        .await,
                );
            });
        }
    }

    async fn connect(&self, mut request: Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::CONNECT {
            let text = "this proxy understands CONNECT only; set it as proxy-url of a kubeconfig";
            return answer(StatusCode::METHOD_NOT_ALLOWED, text);
        }
        let target = request
            .uri()
            .authority()
            .map(ToString::to_string)
            .unwrap_or_default();
        let address = match self.resolve(&target) {
            Ok(address) => address,
            Err(error) => return answer(error.status(), &error.to_string()),
        };
        match TcpStream::connect(address).await {
            Ok(upstream) => {
                tokio::spawn(tunnel(hyper::upgrade::on(&mut request), upstream));
                Response::new(Full::default())
            }
            Err(error) => answer(
                StatusCode::SERVICE_UNAVAILABLE,
                &format!("{target}: {error}"),
            ),
        }
    }
}

async fn tunnel(upgrade: OnUpgrade, mut upstream: TcpStream) {
    if let Ok(client) = upgrade.await {
        // Either side may close at any time; that is the end of the tunnel, not an error.
        drop(copy_bidirectional(&mut TokioIo::new(client), &mut upstream).await);
    }
}

fn answer(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{text}\n")));
    *response.status_mut() = status;
    let plain = http::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}
