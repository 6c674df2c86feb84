//! Who makes a request.

use x509_parser::prelude::{FromDer, X509Certificate};

/// A user, as the client certificate or a test says. Put into the request's extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Common name of the certificate.
    pub user: String,
    /// Organisations of the certificate. `system:authenticated` is implied.
    pub groups: Vec<String>,
}

impl Identity {
    /// A user in groups.
    pub fn new(user: &str, groups: &[&str]) -> Identity {
        Identity {
            user: user.to_owned(),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
        }
    }

    /// The administrator K3s mints for itself.
    pub fn admin() -> Identity {
        Identity::new("system:admin", &["system:masters"])
    }

    /// The subject of a verified client certificate; nothing when it has no common name.
    pub fn of_certificate(der: &[u8]) -> Option<Identity> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let subject = certificate.subject();
        let user = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
        let groups = subject
            .iter_organization()
            .filter_map(|o| o.as_str().ok())
            .map(str::to_owned)
            .collect();
        Some(Identity { user, groups })
    }

    pub(crate) fn in_group(&self, group: &str) -> bool {
        group == "system:authenticated" || self.groups.iter().any(|own| own == group)
    }
}
