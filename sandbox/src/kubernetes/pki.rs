//! Serving certificates from the cluster's server CA, and trust in its client CA.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use serde::{Deserialize, Serialize};

use super::{ClusterConfig, ClusterError};

/// K3s's serving certificates live for a year.
const VALIDITY_DAYS: i64 = 365;

/// A clock of a client may be behind ours by this much.
const SKEW_DAYS: i64 = 1;

/// K3s renews a certificate when it starts within so many days of its end (K3s documentation,
/// `k3s certificate`); the key stays.
const RENEWED_DAYS: i64 = 120;

/// The key of a serving certificate, and when that was issued: what K3s finds on its disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaf {
    key_pem: String,
    issued: Timestamp,
    /// Names it was asked to bear at any start: K3s only ever adds some.
    #[serde(default)]
    names: BTreeSet<String>,
}

impl Leaf {
    /// A new key, and a certificate that begins now.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new(now: Timestamp) -> Result<Leaf, ClusterError> {
        let key = KeyPair::generate().map_err(|error| broken("serving key")(&error))?;
        Ok(Leaf {
            key_pem: key.serialize_pem(),
            issued: now,
            names: BTreeSet::new(),
        })
    }

    /// The same key with a certificate that is as young as K3s wants it at this start, and bears these
    /// names, too.
    #[must_use]
    pub fn at_start(mut self, now: Timestamp, names: &[String]) -> Leaf {
        self.names.extend(names.iter().cloned());
        let age = now.duration_since(self.issued);
        let issued = if age > SignedDuration::from_hours((VALIDITY_DAYS - RENEWED_DAYS) * 24) {
            now
        } else {
            self.issued
        };
        Leaf { issued, ..self }
    }
}

/// The two authorities of a cluster.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    server_chain: Vec<CertificateDer<'static>>,
    client_roots: Arc<RootCertStore>,
}

fn broken(what: &str) -> impl Fn(&dyn std::fmt::Display) -> ClusterError {
    move |why| ClusterError::Authority(format!("{what}: {why}"))
}

fn certificates(pem: &str, what: &str) -> Result<Vec<CertificateDer<'static>>, ClusterError> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let parsed = parsed.map_err(|error| broken(what)(&error))?;
    if parsed.is_empty() {
        return Err(broken(what)(&"no certificate in the file"));
    }
    Ok(parsed)
}

impl Authority {
    /// Reads the files.
    pub(crate) fn new(config: &ClusterConfig) -> Result<Authority, ClusterError> {
        let key = KeyPair::from_pem(&config.server_ca_key_pem)
            .map_err(|error| broken("server-ca.key")(&error))?;
        let server_chain = certificates(&config.server_ca_chain_pem, "server-ca.crt")?;
        let issuer = Issuer::from_ca_cert_der(&server_chain[0], key)
            .map_err(|error| broken("server-ca.crt")(&error))?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&config.client_ca_chain_pem, "client-ca.crt")? {
            roots
                .add(certificate)
                .map_err(|error| broken("client-ca.crt")(&error))?;
        }
        Ok(Authority {
            issuer,
            server_chain,
            client_roots: Arc::new(roots),
        })
    }

    /// TLS settings of one server: a certificate for the names, client certificates verified when
    /// shown.
    pub(crate) fn server_config(
        &self,
        names: &[String],
        leaf: &Leaf,
    ) -> Result<Arc<ServerConfig>, ClusterError> {
        let failed = broken("serving certificate");
        let now = leaf.issued;
        let key = KeyPair::from_pem(&leaf.key_pem).map_err(|error| failed(&error))?;
        let kept = leaf.names.iter().filter(|name| !names.contains(name));
        let names: Vec<String> = names.iter().chain(kept).cloned().collect();
        let mut params = CertificateParams::new(names).map_err(|error| failed(&error))?;
        let mut subject = DistinguishedName::new();
        subject.push(DnType::OrganizationName, "k3s");
        subject.push(DnType::CommonName, "k3s");
        params.distinguished_name = subject;
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let (from, until) = (day(now, -SKEW_DAYS), day(now, VALIDITY_DAYS));
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(until.0, until.1, until.2);
        let signed = params
            .signed_by(&key, &self.issuer)
            .map_err(|error| failed(&error))?;
        let mut chain = vec![signed.der().clone()];
        chain.extend(self.server_chain.iter().cloned());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(
            self.client_roots.clone(),
            provider.clone(),
        )
        .allow_unauthenticated()
        .build()
        .map_err(|error| broken("client-ca.crt")(&error))?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(&error))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(|error| failed(&error))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// The date some days from a time, in UTC.
fn day(at: Timestamp, days: i64) -> (i32, u8, u8) {
    let at = at
        .saturating_add(SignedDuration::from_hours(days * 24))
        .unwrap_or(at);
    let date = at.to_zoned(TimeZone::UTC).date();
    (
        i32::from(date.year()),
        date.month().unsigned_abs(),
        date.day().unsigned_abs(),
    )
}
