//! TLS certificates for load balancers: own ones, and ones "Let's Encrypt" would have signed.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateParams, DnType, KeyPair, PublicKeyData as _, SerialNumber};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer as _;

use super::{databases, load_balancers, moment, required};
use crate::http::{ApiError, Reply, Request, Response, list};
use crate::world::table::Row;
use crate::world::{Due, World, lag};

/// How long Let's Encrypt's certificates are valid, in hours: 90 days.
const LETS_ENCRYPT_HOURS: i64 = 90 * 24;

/// A certificate; never its private key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Certificate {
    pub(crate) id: String,
    pub(crate) name: String,
    kind: Kind,
    dns_names: Vec<String>,
    not_after: Timestamp,
    sha1_fingerprint: String,
    /// When it is verified; `None` once it is.
    pub(crate) ready_at: Option<Timestamp>,
    created_at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Custom,
    LetsEncrypt,
}

impl Row for Certificate {
    fn created_at(&self) -> Timestamp {
        self.created_at
    }
}

#[derive(Deserialize)]
struct Body {
    name: Option<String>,
    r#type: Option<String>,
    dns_names: Option<Vec<String>>,
    private_key: Option<String>,
    leaf_certificate: Option<String>,
    certificate_chain: Option<String>,
}

/// What a certificate says of itself.
struct Facts {
    dns_names: Vec<String>,
    not_after: Timestamp,
    sha1_fingerprint: String,
}

pub(crate) fn create(world: &mut World, request: &Request) -> Reply {
    let body: Body = request.body()?;
    let name = required(body.name.clone().filter(|name| !name.is_empty()), "name")?;
    if world.certificates.values().any(|other| other.name == name) {
        return Err(ApiError::unprocessable(format!(
            "a certificate named {name:?} already exists"
        )));
    }
    // The type may be left out: names are for Let's Encrypt to sign.
    let named = body
        .dns_names
        .as_ref()
        .is_some_and(|names| !names.is_empty());
    let kind = match body.r#type.as_deref() {
        Some("lets_encrypt") => Kind::LetsEncrypt,
        None | Some("") if named => Kind::LetsEncrypt,
        None | Some("custom" | "") => Kind::Custom,
        Some(other) => {
            return Err(ApiError::unprocessable(format!(
                "type {other:?} must be custom or lets_encrypt"
            )));
        }
    };
    let facts = match kind {
        Kind::Custom => own(&body, world.now())?,
        Kind::LetsEncrypt => signed(world, body.dns_names.unwrap_or_default())?,
    };
    let (id, created_at) = (world.rng.uuid(), world.now());
    let ready_at = (kind == Kind::LetsEncrypt)
        .then(|| world.schedule(lag::CERTIFICATE_VERIFY, Due::Certificate(id.clone())));
    let certificate = Certificate {
        id: id.clone(),
        name,
        kind,
        dns_names: facts.dns_names,
        not_after: facts.not_after,
        sha1_fingerprint: facts.sha1_fingerprint,
        ready_at,
        created_at,
    };
    let shown = view(&certificate);
    world.certificates.insert(id, certificate);
    Ok(Response::new(201, json!({ "certificate": shown })))
}

/// Judges an uploaded certificate with its key.
fn own(body: &Body, now: Timestamp) -> Result<Facts, ApiError> {
    let invalid = |what: &str, why: String| ApiError::unprocessable(format!("{what} {why}"));
    let key = required(body.private_key.as_deref(), "private_key")?;
    let leaf = required(body.leaf_certificate.as_deref(), "leaf_certificate")?;
    let key = KeyPair::from_pem(key)
        .map_err(|error| invalid("private_key", format!("is not a private key: {error}")))?;
    let leaf = certificates(leaf).map_err(|why| invalid("leaf_certificate", why))?;
    let leaf = leaf
        .first()
        .ok_or_else(|| invalid("leaf_certificate", "has no certificate".to_owned()))?;
    let facts = facts(leaf, &key).map_err(|why| invalid("leaf_certificate", why))?;
    if facts.not_after <= now {
        let why = format!("expired at {}", moment(facts.not_after));
        return Err(invalid("leaf_certificate", why));
    }
    let chain = body.certificate_chain.as_deref().unwrap_or_default();
    let chain = certificates(chain).map_err(|why| invalid("certificate_chain", why))?;
    if let Some(issuer) = chain.first() {
        issued_by(leaf, issuer).map_err(|why| invalid("certificate_chain", why))?;
    }
    Ok(facts)
}

/// The certificates of a PEM text in DER.
fn certificates(pem: &str) -> Result<Vec<Vec<u8>>, String> {
    Pem::iter_from_buffer(pem.as_bytes())
        .map(|block| match block {
            Ok(block) if block.label == "CERTIFICATE" => Ok(block.contents),
            Ok(block) => Err(format!("holds a {}, not a certificate", block.label)),
            Err(error) => Err(format!("is not PEM: {error}")),
        })
        .collect()
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, String> {
    X509Certificate::from_der(der)
        .map(|(_, certificate)| certificate)
        .map_err(|error| format!("is not a certificate: {error}"))
}

fn facts(der: &[u8], key: &KeyPair) -> Result<Facts, String> {
    let certificate = parse(der)?;
    if certificate.public_key().raw != key.subject_public_key_info() {
        return Err("does not belong to private_key".to_owned());
    }
    let names = certificate
        .subject_alternative_name()
        .ok()
        .flatten()
        .map(|names| names.value.general_names.clone())
        .unwrap_or_default();
    let dns_names = names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        })
        .collect();
    let end = certificate.validity().not_after.timestamp();
    Ok(Facts {
        dns_names,
        not_after: Timestamp::from_second(end).unwrap_or(Timestamp::MAX),
        sha1_fingerprint: crate::spaces::to_hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, der).as_ref()),
    })
}

fn issued_by(leaf: &[u8], issuer: &[u8]) -> Result<(), String> {
    if parse(leaf)?.issuer() == parse(issuer)?.subject() {
        return Ok(());
    }
    Err("does not start with the issuer of leaf_certificate".to_owned())
}

/// Signs names that DigitalOcean's DNS answers for, so that it can prove them to Let's Encrypt.
fn signed(world: &World, names: Vec<String>) -> Result<Facts, ApiError> {
    if names.is_empty() {
        return Err(ApiError::unprocessable(
            "dns_names is required and can't be blank",
        ));
    }
    for name in &names {
        let bare = name.strip_prefix("*.").unwrap_or(name).to_ascii_lowercase();
        let managed = |domain: &str| bare == domain || bare.ends_with(&format!(".{domain}"));
        if !world.domains.iter().any(|(domain, _)| managed(domain)) {
            return Err(ApiError::unprocessable(format!(
                "{name:?} is not in a domain of this account; Let's Encrypt certificates are \
                 only for domains that use DigitalOcean's DNS"
            )));
        }
    }
    sign(world, names)
        .map_err(|why| ApiError::server(format!("the certificate could not be signed: {why}")))
}

fn sign(world: &World, names: Vec<String>) -> Result<Facts, String> {
    let text = |error: rcgen::Error| error.to_string();
    let key = databases::key_pair(&world.rng).map_err(text)?;
    let mut params = CertificateParams::new(names.clone()).map_err(text)?;
    let end = world
        .now()
        .saturating_add(SignedDuration::from_hours(LETS_ENCRYPT_HOURS))
        .unwrap_or(Timestamp::MAX);
    params.not_after = std::time::SystemTime::from(end).into();
    params.serial_number = Some(SerialNumber::from(world.rng.u64() >> 1));
    let common = names.first().cloned().unwrap_or_default();
    params.distinguished_name.push(DnType::CommonName, common);
    let certificate = params.self_signed(&key).map_err(text)?;
    facts(certificate.der(), &key)
}

pub(crate) fn index(world: &mut World, request: &Request) -> Reply {
    let name = request.query("name").filter(|name| !name.is_empty());
    let rows = world
        .certificates
        .filtered(|certificate| name.is_none_or(|name| certificate.name == name));
    Ok(list(request, "certificates", rows, Row::created_at, view))
}

pub(crate) fn show(world: &mut World, request: &Request) -> Reply {
    let certificate = world
        .certificates
        .get(request.param(0))
        .ok_or_else(ApiError::not_found)?;
    let body = json!({ "certificate": view(certificate) });
    Ok(Response::ok(body).created_at(certificate.created_at))
}

pub(crate) fn delete(world: &mut World, request: &Request) -> Reply {
    let id = request.param(0);
    if !world.certificates.contains(id) {
        return Err(ApiError::not_found());
    }
    if load_balancers::uses_certificate(world, id) {
        return Err(ApiError::forbidden(
            "The certificate is being used by one or more load balancers. Make sure the \
             certificate is not in use before deleting it",
        ));
    }
    world.certificates.remove(id);
    Ok(Response::no_content())
}

/// The names of a certificate that DigitalOcean renews; none of an own one.
pub(crate) fn managed_names(world: &World, id: &str) -> Vec<String> {
    world
        .certificates
        .get(id)
        .filter(|certificate| certificate.kind == Kind::LetsEncrypt)
        .map(|certificate| certificate.dns_names.clone())
        .unwrap_or_default()
}

/// It is verified now.
pub(crate) fn settle(world: &mut World, key: &str, at: Timestamp) {
    if let Some(certificate) = world.certificates.get_mut(key)
        && certificate.ready_at == Some(at)
    {
        certificate.ready_at = None;
    }
}

fn view(certificate: &Certificate) -> Value {
    let ready = certificate.ready_at.is_none();
    json!({
        "id": certificate.id,
        "name": certificate.name,
        "not_after": moment(certificate.not_after),
        "sha1_fingerprint": certificate.sha1_fingerprint,
        "created_at": moment(certificate.created_at),
        "dns_names": certificate.dns_names,
        "state": if ready { "verified" } else { "pending" },
        "type": certificate.kind,
    })
}
