//! The certificate that a cluster's API shows, as it is: also where it has ended and nobody would
//! talk to it any more.

use crate::http::chain;
use kplan_model::{ErrorKind, ProviderError};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long it may take to show it.
const LIMIT: Duration = Duration::from_secs(10);

/// Keeps the certificate and ends the handshake: nothing is sent to, and nothing believed of, whoever
/// showed it.
#[derive(Debug)]
struct Glance {
    provider: Arc<CryptoProvider>,
    seen: OnceLock<Vec<u8>>,
}

impl ServerCertVerifier for Glance {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // A second connection shows the same one.
        drop(self.seen.set(end_entity.to_vec()));
        Err(Error::General("it was only looked at".to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("it was only looked at".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("it was only looked at".to_owned()))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

fn failed(text: String) -> ProviderError {
    ProviderError::new(ErrorKind::Transient, text)
}

/// The leaf certificate that `server` (`https://…:6443`) shows, DER. It is not verified: one that has
/// ended is what is looked for.
///
/// # Errors
/// `Transient` where nobody shows one there.
pub async fn served_certificate(
    server: &str,
    proxy_url: Option<&str>,
) -> Result<Vec<u8>, ProviderError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let glance = Arc::new(Glance {
        provider: Arc::clone(&provider),
        seen: OnceLock::new(),
    });
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ProviderError::new(ErrorKind::Bug, error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&glance) as _)
        .with_no_client_auth();
    let mut builder = reqwest::Client::builder()
        .timeout(LIMIT)
        .tls_backend_preconfigured(tls);
    if let Some(url) = proxy_url {
        let proxy = reqwest::Proxy::all(url).map_err(|error| failed(chain(&error)))?;
        builder = builder.proxy(proxy);
    }
    let client = builder.build().map_err(|error| failed(chain(&error)))?;
    let answer = client.get(format!("{server}/ping")).send().await;
    if let Some(seen) = glance.seen.get() {
        return Ok(seen.clone());
    }
    let why = match answer {
        Ok(_) => "it answered without one".to_owned(),
        Err(error) => chain(&error.without_url()),
    };
    Err(failed(format!("{server} shows no certificate: {why}")))
}
