//! The keys of one state. A random data key, wrapped to `age` recipients, gives three keys by
//! HMAC: one seals values, one makes nonces, one makes fingerprints. None of them ever leaves the
//! state, so a fingerprint of a weak secret cannot be guessed by somebody who has only the plan.
//!
//! Sealing is XChaCha20-Poly1305, bound (as associated data) to the lineage, the resource's
//! address and the field's path: a ciphertext that was moved to another place does not open. The
//! nonce is an HMAC over place and text. Equal text in one place therefore gives equal
//! ciphertext, so a replayed journal gives the same bytes as the live run; different text gives a
//! different 192-bit nonce, which is what the cipher needs. What an onlooker learns is whether the
//! value of one field changed between two versions of the state, which the plan says anyway.

use crate::error::{code, error, error_help};
use crate::identity::Identity;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use kplan_model::{Secret, StoreError};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::fmt;
use std::io::{Read, Write};
use std::str::FromStr;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Bytes of a symmetric key (XChaCha20-Poly1305 and HMAC-SHA-256 alike).
const KEY: usize = 32;
/// Bytes of a nonce of that cipher.
const NONCE: usize = 24;
/// Bytes of a fingerprint: 48 bits tell a few thousand secrets apart and give away nothing.
const PRINT: usize = 6;
/// What every sealed value begins with; the digit is the scheme's version.
const TOKEN_PREFIX: &str = "kp1:";
/// Recipients one state may have.
const MAX_RECIPIENTS: usize = 64;

type Key = Zeroizing<[u8; KEY]>;

/// The data key as it is stored: encrypted to every recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrappedKey {
    /// `age1…`, in the order in which they were added.
    pub(crate) recipients: Vec<String>,
    /// An age file in base64: the lineage, then the key.
    pub(crate) wrapped: String,
}

/// The keys of one state, unwrapped. Cheap to clone.
#[derive(Clone)]
pub struct Keyring(Arc<Keys>);

struct Keys {
    lineage: String,
    data: Key,
    seal: Key,
    nonce: Key,
    print: Key,
    plan: Key,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyring(…)")
    }
}

/// HMAC-SHA-256 over parts, each preceded by its length so that no two lists of parts agree.
fn hmac(key: &[u8; KEY], parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    // Any key length is legal for HMAC; `new_from_slice` cannot fail for 32 bytes, and an empty
    // key would only make the result useless, never reveal anything.
    let Ok(mut mac) = <Hmac<Sha256> as Mac>::new_from_slice(key) else {
        return Zeroizing::new([0; 32]);
    };
    for part in parts {
        mac.update(&(part.len() as u64).to_le_bytes());
        mac.update(part);
    }
    Zeroizing::new(mac.finalize().into_bytes().into())
}

impl Keyring {
    /// Keys made from a fresh random data key.
    pub fn random(lineage: &str) -> Result<Self, StoreError> {
        let mut data = Zeroizing::new([0; KEY]);
        getrandom::fill(data.as_mut_slice()).map_err(|cause| {
            error(
                code::IO,
                format!("the system gives no random bytes: {cause}"),
            )
        })?;
        Ok(Self::from_data_key(lineage, data))
    }

    pub(crate) fn from_data_key(lineage: &str, data: Key) -> Self {
        let keys = Keys {
            lineage: lineage.to_owned(),
            seal: hmac(&data, &[b"kplan state 1: seal"]),
            nonce: hmac(&data, &[b"kplan state 1: nonce"]),
            print: hmac(&data, &[b"kplan state 1: fingerprint"]),
            plan: hmac(&data, &[b"kplan state 1: plan file"]),
            data,
        };
        Self(Arc::new(keys))
    }

    /// A short fingerprint such as `hmac:ab12cd34ef56` by which plans, logs and events can say
    /// whether two secrets of this state are equal; `None` for a sealed secret.
    pub fn fingerprint(&self, secret: &Secret) -> Option<String> {
        let digest = hmac(&self.0.print, &[secret.expose()?.as_bytes()]);
        Some(format!("hmac:{}", hex(&digest[..PRINT])))
    }

    /// Keys for the plan of a state that does not exist yet, made of the private half of an identity:
    /// nobody else can make them, so a seal says who sealed. They open nothing.
    pub(crate) fn of_identity(secret: &str, lineage: &str) -> Self {
        let root = hmac(
            &[0; KEY],
            &[b"kplan identity 1: plan file", secret.as_bytes()],
        );
        Self::from_data_key(lineage, hmac(&root, &[lineage.as_bytes()]))
    }

    /// HMAC-SHA-256 over a list of texts, under the key that is for plan files alone.
    pub(crate) fn plan_mac(&self, parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
        hmac(&self.0.plan, parts)
    }

    /// The token under which `text` is stored at this place.
    pub(crate) fn seal(&self, address: &str, path: &str, text: &str) -> Result<String, StoreError> {
        let place = self.place(address, path);
        let nonce = hmac(&self.0.nonce, &[&place, text.as_bytes()]);
        let nonce = XNonce::from_slice(&nonce[..NONCE]);
        let payload = Payload {
            msg: text.as_bytes(),
            aad: &place,
        };
        let sealed = self.cipher().encrypt(nonce, payload).map_err(|_| {
            error(
                code::UNSTORABLE,
                format!("the secret at `{path}` of {address} is too long to be sealed"),
            )
        })?;
        let bytes = [nonce.as_slice(), &sealed].concat();
        Ok(format!("{TOKEN_PREFIX}{}", BASE64.encode(bytes)))
    }

    /// The text of a token; `None` when it is not one of this place in this state.
    pub(crate) fn open(&self, address: &str, path: &str, token: &str) -> Option<Zeroizing<String>> {
        let bytes = BASE64.decode(token.strip_prefix(TOKEN_PREFIX)?).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE)?;
        let payload = Payload {
            msg: sealed,
            aad: &self.place(address, path),
        };
        let text = self
            .cipher()
            .decrypt(XNonce::from_slice(nonce), payload)
            .ok()?;
        String::from_utf8(text).ok().map(Zeroizing::new)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.0.seal.as_slice().into())
    }

    fn place(&self, address: &str, path: &str) -> Vec<u8> {
        // No part can hold a zero byte in the middle of a valid lineage or address, and the path
        // comes last, so the parts cannot be split in two ways.
        [&self.0.lineage, address, path].join("\0").into_bytes()
    }

    /// Encrypts the data key to recipients.
    pub(crate) fn wrap(&self, recipients: &[String]) -> Result<WrappedKey, StoreError> {
        if recipients.len() > MAX_RECIPIENTS {
            return Err(error(
                code::IDENTITY,
                format!("a state has at most {MAX_RECIPIENTS} recipients"),
            ));
        }
        let failed = |cause: &dyn fmt::Display| {
            error(
                code::IDENTITY,
                format!("cannot encrypt the state's key to its recipients: {cause}"),
            )
        };
        let encryptor = encryptor(recipients)?;
        let mut bytes = Vec::new();
        let mut writer = encryptor
            .wrap_output(&mut bytes)
            .map_err(|cause| failed(&cause))?;
        writer
            .write_all(self.0.lineage.as_bytes())
            .and_then(|()| writer.write_all(self.0.data.as_slice()))
            .map_err(|cause| failed(&cause))?;
        writer.finish().map_err(|cause| failed(&cause))?;
        Ok(WrappedKey {
            recipients: recipients.to_vec(),
            wrapped: BASE64.encode(bytes),
        })
    }

    /// Decrypts the data key.
    pub(crate) fn unwrap(
        lineage: &str,
        wrapped: &WrappedKey,
        identity: &Identity,
    ) -> Result<Self, StoreError> {
        let broken = |what: &str| {
            error_help(
                code::DAMAGED,
                format!("the state's encrypted key cannot be used: {what}"),
                "put the snapshot back from a backup or from the folder `history`",
            )
        };
        let bytes = BASE64
            .decode(&wrapped.wrapped)
            .map_err(|_| broken("it is not base64"))?;
        let decryptor = age::Decryptor::new_buffered(bytes.as_slice())
            .map_err(|cause| broken(&cause.to_string()))?;
        let mut reader = match decryptor.decrypt(identity.keys()) {
            Ok(reader) => reader,
            Err(age::DecryptError::NoMatchingKeys) => return Err(wrong_key(wrapped, identity)),
            Err(cause) => return Err(broken(&cause.to_string())),
        };
        let mut text = Zeroizing::new(Vec::with_capacity(lineage.len() + KEY + 1));
        let limit = (lineage.len() + KEY + 1) as u64;
        reader
            .by_ref()
            .take(limit)
            .read_to_end(&mut text)
            .map_err(|cause| broken(&cause.to_string()))?;
        let key = text
            .strip_prefix(lineage.as_bytes())
            .ok_or_else(|| broken("it belongs to another state"))?;
        let key = <[u8; KEY]>::try_from(key).map_err(|_| broken("it has the wrong length"))?;
        Ok(Self::from_data_key(lineage, Zeroizing::new(key)))
    }
}

fn wrong_key(wrapped: &WrappedKey, identity: &Identity) -> StoreError {
    error_help(
        code::WRONG_KEY,
        format!(
            "the identity {} cannot read this state: its key is encrypted to {}",
            identity.recipients().join(", "),
            wrapped.recipients.join(", ")
        ),
        "give the identity that belongs to one of those recipients in KPLAN_IDENTITY, or have \
         somebody who can read the state add yours",
    )
}

/// An `age1…` recipient.
pub(crate) fn parse_recipient(text: &str) -> Result<age::x25519::Recipient, StoreError> {
    age::x25519::Recipient::from_str(text.trim()).map_err(|cause| {
        error_help(
            code::IDENTITY,
            format!("`{}` is not an age recipient: {cause}", text.trim()),
            "a recipient begins with age1",
        )
    })
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What encrypts to those recipients, `age1…`.
pub(crate) fn encryptor(recipients: &[String]) -> Result<age::Encryptor, StoreError> {
    let parsed = recipients
        .iter()
        .map(|text| parse_recipient(text))
        .collect::<Result<Vec<_>, _>>()?;
    let dynamic = parsed.iter().map(|one| one as &dyn age::Recipient);
    age::Encryptor::with_recipients(dynamic).map_err(|cause| {
        error(
            code::IDENTITY,
            format!("cannot encrypt to recipients: {cause}"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keyring {
        Keyring::from_data_key("lineage", Zeroizing::new([7; KEY]))
    }

    #[test]
    fn a_sealed_value_opens_only_in_its_place() {
        let token = keys().seal("vpc.main", "args.key", "hunter2").unwrap();
        assert!(token.starts_with("kp1:") && !token.contains("hunter2"));
        let open = |address, path| keys().open(address, path, &token).map(|t| t.to_string());
        assert_eq!(open("vpc.main", "args.key").as_deref(), Some("hunter2"));
        assert_eq!(open("vpc.other", "args.key"), None);
        assert_eq!(open("vpc.main", "args.other"), None);
        let other = Keyring::from_data_key("other", Zeroizing::new([7; KEY]));
        assert!(other.open("vpc.main", "args.key", &token).is_none());
    }

    #[test]
    fn equal_text_in_one_place_gives_equal_bytes_and_nothing_else_does() {
        let seal = |path, text| keys().seal("vpc.main", path, text).unwrap();
        assert_eq!(seal("a", "x"), seal("a", "x"));
        assert_ne!(seal("a", "x"), seal("b", "x"));
        assert_ne!(seal("a", "x")[..30], seal("a", "y")[..30]);
    }

    #[test]
    fn every_changed_character_of_a_token_is_noticed() {
        let token = keys().seal("a.b", "p", "hunter2").unwrap();
        for index in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(keys().open("a.b", "p", &changed).is_none(), "{index}");
        }
    }

    #[test]
    fn the_data_key_comes_back_for_every_recipient_and_for_nobody_else() {
        let (a, b, c) = (
            Identity::generate(),
            Identity::generate(),
            Identity::generate(),
        );
        let recipients = [a.recipients(), b.recipients()].concat();
        let wrapped = keys().wrap(&recipients).unwrap();
        let secret = Secret::new("x");
        for identity in [&a, &b] {
            let again = Keyring::unwrap("lineage", &wrapped, identity).unwrap();
            assert_eq!(again.fingerprint(&secret), keys().fingerprint(&secret));
        }
        let refused = Keyring::unwrap("lineage", &wrapped, &c).unwrap_err();
        assert_eq!(refused.code, code::WRONG_KEY);
        let moved = Keyring::unwrap("another", &wrapped, &a).unwrap_err();
        assert_eq!(moved.code, code::DAMAGED);
    }

    #[test]
    fn a_fingerprint_is_short_keyed_and_not_made_of_ciphertext() {
        let print = keys().fingerprint(&Secret::new("x")).unwrap();
        assert_eq!(print.len(), "hmac:".len() + 2 * PRINT);
        let other = Keyring::from_data_key("lineage", Zeroizing::new([8; KEY]));
        assert_ne!(other.fingerprint(&Secret::new("x")), Some(print));
        assert_eq!(keys().fingerprint(&Secret::sealed("kp1:x")), None);
    }
}
