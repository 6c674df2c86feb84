//! The certificate authority of the account's databases, one for all of them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, SerialNumber};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::find;
use crate::http::{ApiError, Reply, Request, Response};
use crate::rng::Rng;
use crate::world::World;
use crate::world::table::Row;

const KEY: &str = "account";

/// A self-signed authority.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Authority {
    certificate_pem: String,
    key_pem: String,
    created_at: Timestamp,
}

impl Row for Authority {
    fn created_at(&self) -> Timestamp {
        self.created_at
    }
}

/// The authority's certificate; empty before the first cluster.
pub(super) fn certificate(world: &World) -> String {
    world
        .database_ca
        .get(KEY)
        .map(|ca| ca.certificate_pem.clone())
        .unwrap_or_default()
}

/// Makes the authority with the account's first cluster.
pub(super) fn ensure(world: &mut World) -> Result<(), ApiError> {
    if world.database_ca.contains(KEY) {
        return Ok(());
    }
    let authority = make(world).map_err(|error| {
        ApiError::server(format!("the database authority could not be made: {error}"))
    })?;
    world.database_ca.insert(KEY.to_owned(), authority);
    Ok(())
}

/// A new key. An Ed25519 key in PKCS #8 is this header and the seed, so it comes from the world's
/// own randomness and is the same for the same seed.
pub(crate) fn key_pair(rng: &Rng) -> Result<KeyPair, rcgen::Error> {
    let mut der = vec![
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ];
    der.extend(rng.bytes(32));
    KeyPair::try_from(der)
}

fn make(world: &World) -> Result<Authority, rcgen::Error> {
    let key = key_pair(&world.rng)?;
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "Sandbox Project CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.serial_number = Some(SerialNumber::from(world.rng.u64() >> 1));
    let certificate = params.self_signed(&key)?;
    Ok(Authority {
        certificate_pem: certificate.pem(),
        key_pem: key.serialize_pem(),
        created_at: world.now(),
    })
}

pub(crate) fn ca(world: &mut World, request: &Request) -> Reply {
    find(world, request)?;
    let encoded = STANDARD.encode(certificate(world));
    Ok(Response::ok(json!({ "ca": { "certificate": encoded } })))
}
