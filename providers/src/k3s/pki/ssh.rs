//! A public SSH key whose private half nobody has, so that `DigitalOcean` mails no root password.

use super::authority;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kplan_model::ProviderError;

/// One length-prefixed string of the SSH wire format (RFC 4253, 6.6).
fn string(wire: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    wire.extend_from_slice(&length.to_be_bytes());
    wire.extend_from_slice(bytes);
}

/// `ssh-ed25519 AAAA… comment`; the private key is dropped here.
pub(super) fn throwaway(comment: &str) -> Result<String, ProviderError> {
    let pair = authority::ed25519()?;
    let mut wire = Vec::new();
    string(&mut wire, b"ssh-ed25519");
    string(&mut wire, &pair.public);
    Ok(format!("ssh-ed25519 {} {comment}", STANDARD.encode(wire)))
}
