//! When certificates end.

use kplan_model::{ErrorKind, ProviderError, Timestamp};
use x509_parser::parse_x509_certificate;
use x509_parser::pem::Pem;

/// A certificate, and when it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Whom it names.
    pub subject: String,
    /// From then on it is refused.
    pub at: Timestamp,
}

fn unreadable() -> ProviderError {
    ProviderError::new(
        ErrorKind::Invalid,
        "this is no certificate that can be read",
    )
}

/// The end of a certificate in DER.
///
/// # Errors
/// `Invalid` for what is none.
pub fn ends_of_der(der: &[u8]) -> Result<Ends, ProviderError> {
    let (_, certificate) = parse_x509_certificate(der).map_err(|_| unreadable())?;
    Ok(Ends {
        subject: certificate.subject().to_string(),
        at: Timestamp::from_seconds(certificate.validity().not_after.timestamp()),
    })
}

/// The ends of all certificates of a PEM text, in its order.
///
/// # Errors
/// `Invalid` for what holds none, or something that is none.
pub fn ends_of_pem(text: &str) -> Result<Vec<Ends>, ProviderError> {
    let mut all = Vec::new();
    for pem in Pem::iter_from_buffer(text.as_bytes()) {
        all.push(ends_of_der(&pem.map_err(|_| unreadable())?.contents)?);
    }
    if all.is_empty() {
        return Err(unreadable());
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_ends_with_its_authority_first() {
        let made = Timestamp::from_seconds(1_790_000_000);
        let pki = crate::k3s::pki::generate("demo-3f9a1c2e", made).unwrap();
        let ends = ends_of_pem(&pki.certificates.server_ca).unwrap();
        let years: Vec<i64> = ends
            .iter()
            .map(|one| one.at.since(made) / (365 * 24 * 60 * 60 * 1000))
            .collect();
        assert_eq!(years, [10, 20, 20]);
        assert!(ends[0].subject.contains("server-ca"), "{ends:?}");
        assert!(ends_of_pem("no certificate").is_err());
    }
}
