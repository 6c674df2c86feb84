//! The certificate authorities a server finds on its disk, judged as K3s and TLS would.

use jiff::Timestamp;
use rcgen::{KeyPair, PublicKeyData as _};
use sha2::{Digest as _, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer as _;

use super::bundle::Files;

/// The folder K3s reads.
const FOLDER: &str = "var/lib/rancher/k3s/server/tls";
/// The five authorities, all of which must be there for K3s to use any.
const AUTHORITIES: [&str; 5] = [
    "server-ca",
    "client-ca",
    "request-header-ca",
    "etcd/peer-ca",
    "etcd/server-ca",
];

/// Why a server does not start with its CA files.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum PkiError {
    #[error("/{FOLDER}/{0} is missing; K3s uses its CA files only when all of them are there")]
    Missing(String),
    #[error("/{FOLDER}/{file}: {why}")]
    Invalid { file: String, why: String },
    #[error(
        "/{FOLDER}/{0}.crt ends in another root than server-ca.crt: the authorities share one root"
    )]
    Roots(String),
    #[error("the token pins the root {token}, but server-ca.crt ends in {root}")]
    Pin { token: String, root: String },
    #[error(
        "the token is not K10<sha256 of the root>::<user>:<secret>; with own CAs it must pin the root"
    )]
    Token,
}

/// What a server needs of its authorities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Authorities {
    pub server_ca_chain: String,
    pub server_ca_key: String,
    pub client_ca_chain: String,
    pub service_account_key: String,
    /// SHA-256 of the root's DER, lower-case hexadecimal: what tokens pin.
    pub root: String,
    /// SHA-256 over all certificates: servers of one cluster have the same files.
    pub fingerprint: String,
}

fn file(files: &Files, name: &str) -> Result<String, PkiError> {
    let found = files.get(&format!("{FOLDER}/{name}"));
    found
        .map(|file| file.content.clone())
        .ok_or_else(|| PkiError::Missing(name.to_owned()))
}

/// Checks all authorities and the service account key.
pub(super) fn check(files: &Files, now: Timestamp) -> Result<Authorities, PkiError> {
    let (mut root, mut all) = (None, Sha256::new());
    for name in AUTHORITIES {
        let (chain, key) = (
            file(files, &format!("{name}.crt"))?,
            file(files, &format!("{name}.key"))?,
        );
        let invalid = |why: String| PkiError::Invalid {
            file: format!("{name}.crt"),
            why,
        };
        let own = check_chain(&chain, &key, now).map_err(invalid)?;
        all.update(chain.as_bytes());
        if *root.get_or_insert_with(|| own.clone()) != own {
            return Err(PkiError::Roots(name.to_owned()));
        }
    }
    let service = file(files, "service.key")?;
    KeyPair::from_pem(&service).map_err(|error| PkiError::Invalid {
        file: "service.key".to_owned(),
        why: format!("is not a private key in PEM: {error}"),
    })?;
    Ok(Authorities {
        server_ca_chain: file(files, "server-ca.crt")?,
        server_ca_key: file(files, "server-ca.key")?,
        client_ca_chain: file(files, "client-ca.crt")?,
        service_account_key: service,
        root: root.unwrap_or_default(),
        fingerprint: hex(&all.finalize()),
    })
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    crate::spaces::to_hex(bytes)
}

/// Checks a chain from an authority to a self-signed root; returns the root's digest.
fn check_chain(chain: &str, key: &str, now: Timestamp) -> Result<String, String> {
    let ders: Vec<Vec<u8>> = Pem::iter_from_buffer(chain.as_bytes())
        .map(|pem| pem.map_err(|error| format!("is not PEM: {error}")))
        .filter(|pem| pem.as_ref().map_or(true, |pem| pem.label == "CERTIFICATE"))
        .map(|pem| pem.map(|pem| pem.contents))
        .collect::<Result<_, _>>()?;
    let certificates: Vec<X509Certificate<'_>> = ders
        .iter()
        .map(|der| X509Certificate::from_der(der).map(|(_, certificate)| certificate))
        .collect::<Result<_, _>>()
        .map_err(|error| format!("is not a certificate: {error}"))?;
    let (Some(first), Some(root)) = (certificates.first(), certificates.last()) else {
        return Err("has no certificate".to_owned());
    };
    if certificates.len() < 2 {
        return Err(
            "has one certificate only; it must be followed by its issuers up to the root"
                .to_owned(),
        );
    }
    for (at, certificate) in certificates.iter().enumerate() {
        check_authority(certificate, now)?;
        let issuer = certificates.get(at + 1).unwrap_or(root);
        let linked = certificate.issuer() == issuer.subject()
            && certificate
                .verify_signature(Some(issuer.public_key()))
                .is_ok();
        if !linked {
            return Err(format!(
                "{} is not signed by {}",
                certificate.subject(),
                issuer.subject()
            ));
        }
    }
    let pair = KeyPair::from_pem(key)
        .map_err(|error| format!("its key is not a private key in PEM: {error}"))?;
    if pair.subject_public_key_info() != first.public_key().raw {
        return Err("its key belongs to another certificate".to_owned());
    }
    Ok(hex(&Sha256::digest(
        ders.last().map(Vec::as_slice).unwrap_or_default(),
    )))
}

fn check_authority(certificate: &X509Certificate<'_>, now: Timestamp) -> Result<(), String> {
    let subject = certificate.subject();
    if !certificate.is_ca() {
        return Err(format!("{subject} is not a certificate authority"));
    }
    let validity = certificate.validity();
    let valid = validity.not_before.timestamp() <= now.as_second()
        && now.as_second() <= validity.not_after.timestamp();
    if !valid {
        return Err(format!(
            "{subject} is valid from {} to {}, not now",
            validity.not_before, validity.not_after
        ));
    }
    Ok(())
}

/// A full token: who it lets in, and to which root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub root: String,
    pub user: String,
    pub secret: String,
}

impl Token {
    /// Parses `K10<hash>::<user>:<secret>`.
    pub(super) fn parse(text: &str) -> Result<Token, PkiError> {
        let parts = text.strip_prefix("K10").and_then(|rest| {
            let (root, login) = rest.split_once("::")?;
            let (user, secret) = login.split_once(':')?;
            let hash = root.len() == 64
                && root
                    .bytes()
                    .all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase());
            (hash && !secret.is_empty())
                .then(|| (root.to_owned(), user.to_owned(), secret.to_owned()))
        });
        let (root, user, secret) = parts.ok_or(PkiError::Token)?;
        Ok(Token { root, user, secret })
    }

    /// Refuses a token that pins another root.
    pub(super) fn check_pin(&self, root: &str) -> Result<(), PkiError> {
        if self.root == root {
            return Ok(());
        }
        Err(PkiError::Pin {
            token: self.root.clone(),
            root: root.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_full_and_pinned() {
        let hash = "ab".repeat(32);
        let token = Token::parse(&format!("K10{hash}::server:s3cret:x")).unwrap();
        assert_eq!(
            (token.user.as_str(), token.secret.as_str()),
            ("server", "s3cret:x")
        );
        assert!(token.check_pin(&hash).is_ok());
        assert!(token.check_pin(&"cd".repeat(32)).is_err());
        for short in [
            "s3cret",
            "K10ab::server:x",
            &format!("K10{hash}::server:"),
            &format!("K10{}::server:x", "AB".repeat(32)),
        ] {
            assert_eq!(Token::parse(short), Err(PkiError::Token), "{short}");
        }
    }
}
