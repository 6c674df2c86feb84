//! Certificate authorities and the certificates they sign.

use kplan_model::{ErrorKind, ProviderError, Secret, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256,
    RsaKeySize, date_time_ymd,
};
use std::time::Duration;

/// Certificates are valid from a little before they are made: clocks differ.
const CLOCK_SKEW_MS: i64 = 5 * 60 * 1000;

/// A certificate and its key.
#[derive(Clone, Debug)]
pub struct Signed {
    /// PEM.
    pub certificate: String,
    /// DER of the same certificate.
    pub der: Vec<u8>,
    /// PKCS #8, PEM.
    pub key: Secret,
}

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Signs certificates; how many authorities may stand below it.
    Authority {
        /// 0 signs only leaves.
        below: Option<u8>,
    },
    /// Names a client.
    Client,
    /// What others encrypt to.
    Sealing,
}

/// Whom a certificate names, and how long.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The common name.
    pub name: &'a str,
    /// The organisations: groups, for Kubernetes.
    pub groups: &'a [&'a str],
    /// When it is made.
    pub now: Timestamp,
    /// How long it is valid from then on.
    pub valid: Duration,
}

/// A failure of the cryptographic library, without anything secret.
pub(crate) fn failed(what: &str, error: &rcgen::Error) -> ProviderError {
    ProviderError::new(ErrorKind::Bug, format!("{what}: {error}"))
}

/// Seconds since 1970; earlier moments count as 1970.
fn seconds(at_ms: i64) -> Duration {
    Duration::from_secs(u64::try_from(at_ms / 1000).unwrap_or(0))
}

fn params(subject: Subject<'_>, purpose: Purpose) -> CertificateParams {
    let mut params = CertificateParams::default();
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + seconds(subject.now.0.saturating_sub(CLOCK_SKEW_MS));
    params.not_after = epoch + seconds(subject.now.0) + subject.valid;
    let mut name = DistinguishedName::new();
    for group in subject.groups {
        name.push(DnType::OrganizationName, *group);
    }
    name.push(DnType::CommonName, subject.name);
    params.distinguished_name = name;
    params.use_authority_key_identifier_extension = true;
    match purpose {
        Purpose::Authority { below } => {
            params.is_ca = IsCa::Ca(below.map_or(
                BasicConstraints::Unconstrained,
                BasicConstraints::Constrained,
            ));
            params.key_usages = vec![
                KeyUsagePurpose::DigitalSignature,
                KeyUsagePurpose::KeyCertSign,
                KeyUsagePurpose::CrlSign,
            ];
        }
        Purpose::Client => {
            params.is_ca = IsCa::ExplicitNoCa;
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        }
        Purpose::Sealing => {
            params.is_ca = IsCa::ExplicitNoCa;
            params.key_usages = vec![
                KeyUsagePurpose::KeyEncipherment,
                KeyUsagePurpose::DataEncipherment,
            ];
        }
    }
    params
}

fn ecdsa() -> Result<KeyPair, ProviderError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
        .map_err(|error| failed("no ECDSA key could be made", &error))
}

fn pem_key(pair: &KeyPair) -> Secret {
    Secret::new(pair.serialize_pem())
}

/// An authority that signs itself.
pub fn root(subject: Subject<'_>) -> Result<Signed, ProviderError> {
    let pair = ecdsa()?;
    let certificate = params(subject, Purpose::Authority { below: None })
        .self_signed(&pair)
        .map_err(|error| failed("the root certificate could not be signed", &error))?;
    Ok(Signed {
        certificate: certificate.pem(),
        der: certificate.der().to_vec(),
        key: pem_key(&pair),
    })
}

/// A certificate with a new ECDSA P-256 key, signed by an authority (its own certificate in PEM,
/// and its key).
pub fn sign(
    subject: Subject<'_>,
    purpose: Purpose,
    authority: &str,
    authority_key: &str,
) -> Result<Signed, ProviderError> {
    let what = "a certificate could not be signed";
    let signer = KeyPair::from_pem(authority_key).map_err(|error| failed(what, &error))?;
    let issuer =
        Issuer::from_ca_cert_pem(authority, signer).map_err(|error| failed(what, &error))?;
    let pair = ecdsa()?;
    let certificate = params(subject, purpose)
        .signed_by(&pair, &issuer)
        .map_err(|error| failed(what, &error))?;
    Ok(Signed {
        certificate: certificate.pem(),
        der: certificate.der().to_vec(),
        key: pem_key(&pair),
    })
}

/// A new RSA key of 2048 bits, PKCS #8, PEM: K3s signs service account tokens with it.
pub fn rsa() -> Result<Secret, ProviderError> {
    let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)
        .map_err(|error| failed("no RSA key could be made", &error))?;
    Ok(pem_key(&pair))
}

/// A new RSA key of 4096 bits with a certificate that it signs itself, for whoever encrypts to it.
pub fn sealing(subject: Subject<'_>) -> Result<Signed, ProviderError> {
    let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_4096)
        .map_err(|error| failed("no RSA key could be made", &error))?;
    let certificate = params(subject, Purpose::Sealing)
        .self_signed(&pair)
        .map_err(|error| failed("the certificate could not be signed", &error))?;
    Ok(Signed {
        certificate: certificate.pem(),
        der: certificate.der().to_vec(),
        key: pem_key(&pair),
    })
}

/// A new Ed25519 key pair.
pub struct Ed25519 {
    /// PKCS #8, PEM.
    pub key: Secret,
    /// `SubjectPublicKeyInfo`, PEM.
    pub public_pem: String,
    /// The 32 bytes of the public key.
    pub public: Vec<u8>,
}

/// A new Ed25519 key pair.
pub fn ed25519() -> Result<Ed25519, ProviderError> {
    let pair = KeyPair::generate_for(&PKCS_ED25519)
        .map_err(|error| failed("no Ed25519 key could be made", &error))?;
    Ok(Ed25519 {
        key: pem_key(&pair),
        public_pem: pair.public_key_pem(),
        public: pair.public_key_raw().to_vec(),
    })
}

/// Signs with an Ed25519 key in PKCS #8, PEM.
pub fn sign_bytes(key: &str, bytes: &[u8]) -> Result<Vec<u8>, ProviderError> {
    let what = "a bundle could not be signed";
    let pair = KeyPair::from_pem(key).map_err(|error| failed(what, &error))?;
    rcgen::SigningKey::sign(&pair, bytes).map_err(|error| failed(what, &error))
}
