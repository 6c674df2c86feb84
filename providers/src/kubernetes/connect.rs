//! Connections to clusters: one per cluster and identity, made when first needed, with a client
//! certificate that is minted in memory and renewed before it expires.

use super::session::Session;
use crate::http::Now;
use crate::k3s::access::{ADMINS, Access, MASTERS, Who, mint};
use crate::k3s::pki::exposed;
use crate::k3s::pki::secret::sha256_hex;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kplan_model::{ErrorKind, ProviderError, Secret, Timestamp};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a certificate minted for kplan's own calls is valid.
const VALID: Duration = Duration::from_hours(1);
/// A certificate that expires sooner than this is not used any more.
const RENEW_BEFORE_MS: i64 = 10 * 60 * 1000;
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer may take: the largest are a megabyte or two.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);

/// The shortest pause between two looks.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);

/// Where to connect, whom to trust, who calls.
pub struct Endpoint {
    /// The API's address.
    pub server: String,
    /// Certificates to trust, DER.
    pub roots: Vec<Vec<u8>>,
    /// The client certificate, PEM.
    pub certificate: String,
    /// Its key, PEM.
    pub key: Secret,
    /// The name the server's certificate has to bear, where that is not the address's.
    pub name: Option<&'static str>,
}

/// A name in the certificate of every API server that K3s or another distribution starts. By it a server
/// is known whatever address it is reached at, one that its certificate does not bear yet included.
/// Kubelets' certificates, of the same authority, have their node's name: who can join a node can get
/// one of another name, and of any address just so.
const NAME: &str = "kubernetes";

/// Makes clients: over the network, or to a service in the same process.
pub trait Connector: Send + Sync + 'static {
    /// A client of that endpoint. Called inside a runtime.
    fn connect(&self, endpoint: &Endpoint) -> Result<kube::Client, ProviderError>;
}

/// TLS over the network, through an HTTP proxy where one is named.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// The proxy, such as `http://127.0.0.1:8081`.
    pub proxy_url: Option<String>,
}

fn invalid(what: &str) -> ProviderError {
    ProviderError::new(
        ErrorKind::Invalid,
        format!("no connection to the cluster can be made: {what}"),
    )
}

impl Connector for Network {
    fn connect(&self, endpoint: &Endpoint) -> Result<kube::Client, ProviderError> {
        let address = endpoint
            .server
            .parse()
            .map_err(|_| invalid(&format!("`{}` is not an address", endpoint.server)))?;
        let mut config = kube::Config::new(address);
        config.root_cert = Some(endpoint.roots.clone());
        config.tls_server_name = endpoint.name.map(str::to_owned);
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.read_timeout = Some(ANSWER_TIMEOUT);
        config.reset_reader_on_write = true;
        config.default_retry = false;
        if let Some(proxy) = &self.proxy_url {
            let proxy = proxy
                .parse()
                .map_err(|_| invalid("the proxy is not an address"))?;
            config.proxy_url = Some(proxy);
        }
        config.auth_info.client_certificate_data = Some(STANDARD.encode(&endpoint.certificate));
        config.auth_info.client_key_data = Some(STANDARD.encode(exposed(&endpoint.key)?).into());
        // kube's text may quote the identity it could not read.
        kube::Client::try_from(config).map_err(|_| invalid("its certificates cannot be used"))
    }
}

/// How many requests went to Kubernetes.
#[derive(Debug, Default)]
pub struct KubernetesCalls(AtomicU64);

impl KubernetesCalls {
    /// One more.
    pub fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests so far.
    pub fn calls(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What connections are made with.
pub struct KubernetesConfig {
    /// Makes clients.
    pub connector: Arc<dyn Connector>,
    /// The current moment, for the validity of certificates.
    pub now: Now,
    /// Counts requests.
    pub calls: Arc<KubernetesCalls>,
    /// How many times faster than a real cluster's the remote side's clock runs; 1 for a real
    /// one. Pauses between looks follow it.
    pub scale: u32,
}

/// As whom to call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// `kplan:apply` of the group `kplan:admins`.
    Admin,
    /// `kplan:bootstrap` of the group `system:masters`, before the admins' binding is there.
    Bootstrap,
}

struct Kept {
    session: Session,
    until: Timestamp,
}

struct Inner {
    config: KubernetesConfig,
    kept: Mutex<BTreeMap<(String, Role), Kept>>,
}

/// Connections to clusters. Clones share them.
#[derive(Clone)]
pub struct Kubernetes(Arc<Inner>);

impl Kubernetes {
    /// No connection is made yet.
    pub fn new(config: KubernetesConfig) -> Self {
        Self(Arc::new(Inner {
            config,
            kept: Mutex::default(),
        }))
    }

    /// How many requests were made.
    pub fn calls(&self) -> u64 {
        self.0.config.calls.calls()
    }

    /// A pause of the remote side's clock, though never so short that asking becomes its load.
    pub async fn pause(&self, cloud: Duration) {
        tokio::time::sleep((cloud / self.0.config.scale.max(1)).max(SHORTEST_PAUSE)).await;
    }

    /// A time of the remote side's clock in ours.
    pub fn scaled(&self, cloud: Duration) -> Duration {
        cloud / self.0.config.scale.max(1)
    }

    /// A session with a cluster as whoever the endpoint's certificate names.
    ///
    /// # Errors
    /// Where no client can be made of it.
    pub fn session_at(&self, endpoint: &Endpoint) -> Result<Session, ProviderError> {
        let client = self.0.config.connector.connect(endpoint)?;
        let calls = Arc::clone(&self.0.config.calls);
        Ok(Session::new(client, calls, self.0.config.scale))
    }

    /// The session with a cluster.
    pub fn session(&self, access: &Access, role: Role) -> Result<Session, ProviderError> {
        let now = (self.0.config.now)();
        let name = [&access.server, &access.server_ca, &access.client_ca]
            .map(String::as_str)
            .join("\n");
        let key = (sha256_hex(name.as_bytes()), role);
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = kept.get(&key)
            && found.until.since(now) > RENEW_BEFORE_MS
        {
            return Ok(found.session.clone());
        }
        let who = match role {
            Role::Admin => Who {
                user: "kplan:apply",
                groups: &[ADMINS],
            },
            Role::Bootstrap => Who {
                user: "kplan:bootstrap",
                groups: &[MASTERS],
            },
        };
        let signed = mint(access, who, now, VALID)?;
        let endpoint = Endpoint {
            server: access.server.clone(),
            roots: certificates(&access.server_ca)?,
            certificate: signed.certificate,
            key: signed.key,
            name: Some(NAME),
        };
        let session = self.session_at(&endpoint)?;
        let valid = i64::try_from(VALID.as_millis()).unwrap_or(i64::MAX);
        let until = Timestamp(now.0.saturating_add(valid));
        kept.insert(
            key,
            Kept {
                session: session.clone(),
                until,
            },
        );
        Ok(session)
    }
}

/// The certificates of a PEM text, DER.
fn certificates(pem: &str) -> Result<Vec<Vec<u8>>, ProviderError> {
    let found: Result<Vec<Vec<u8>>, _> = x509_parser::pem::Pem::iter_from_buffer(pem.as_bytes())
        .map(|one| one.map(|one| one.contents))
        .collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(invalid("the server's authority is not PEM")),
    }
}
