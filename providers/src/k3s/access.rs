//! How to reach a cluster, and who may call: certificates signed by the cluster's own client
//! authority, minted when needed and valid for a short time.

use super::pki::authority::{Purpose, Signed, Subject, sign};
use super::pki::exposed;
use kplan_model::{ProviderError, Secret, Timestamp};
use std::time::Duration;

/// The group that `kplan:admins` is bound to the role `cluster-admin` by.
pub const ADMINS: &str = "kplan:admins";
/// The group that needs no binding; used in memory only, until the binding is there.
pub const MASTERS: &str = "system:masters";

kplan_model::object! {
    /// Everything it takes to call a cluster's API as anybody.
    pub struct Access {
        /// The API's address, such as `https://203.0.113.7:6443`.
        pub server: String,
        /// The chain that signed the API's certificate, PEM.
        pub server_ca: String,
        /// The chain whose first certificate signs client certificates, PEM.
        pub client_ca: String,
        /// The key of the first certificate of `client_ca`, PEM.
        pub client_ca_key: Secret,
    }
}

/// Whom a client certificate names.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    /// The user.
    pub user: &'a str,
    /// The groups.
    pub groups: &'a [&'a str],
}

/// Signs a client certificate that is valid from now on.
pub fn mint(
    access: &Access,
    who: Who<'_>,
    now: Timestamp,
    valid: Duration,
) -> Result<Signed, ProviderError> {
    let subject = Subject {
        name: who.user,
        groups: who.groups,
        now,
        valid,
    };
    sign(
        subject,
        Purpose::Client,
        &access.client_ca,
        exposed(&access.client_ca_key)?,
    )
}
