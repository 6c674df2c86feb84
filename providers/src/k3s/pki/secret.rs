//! Random secrets and the tokens made of them.

use kplan_model::{ErrorKind, ProviderError, Secret};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// SHA-256 in hexadecimal digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// 32 random bytes of the system, as hexadecimal digits.
pub fn random() -> Result<Secret, ProviderError> {
    Ok(Secret::new(hex(&random_bytes::<32>()?)))
}

/// A random name, 16 hexadecimal digits. No secret.
pub(crate) fn random_id() -> Result<String, ProviderError> {
    Ok(hex(&random_bytes::<8>()?))
}

/// Random bytes of the system.
pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N], ProviderError> {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        ProviderError::new(
            ErrorKind::Transient,
            format!("the system gives no random bytes: {error}"),
        )
    })?;
    Ok(bytes)
}

/// Who joins with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joiner {
    /// `server`: may read the cluster's keys.
    Server,
    /// `node`: may only join as an agent.
    Agent,
}

/// K3s's pinned token: `K10<digest of the root>::<user>:<secret>`. K3s hashes the DER of the root
/// when it serves more than one certificate, which a chain of ours always is.
pub fn token(root_digest: &str, joiner: Joiner, secret: &str) -> String {
    let user = match joiner {
        Joiner::Server => "server",
        Joiner::Agent => "node",
    };
    format!("K10{root_digest}::{user}:{secret}")
}
