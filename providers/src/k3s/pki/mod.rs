//! `pki`: the keys of one cluster, made once, before its first droplet exists. Nothing of it is on
//! any remote side: what is on record is all there is.

pub mod authority;
pub mod expiry;
pub mod secret;
mod ssh;
#[cfg(test)]
pub(crate) mod tests;

use crate::http::Now;
use crate::local::{all_recorded, recorded};
use authority::{Purpose, Signed, Subject};
use kplan_model::{
    Change, CreateFailed, ErrorKind, Field, FieldSet, Found, Kind, KindInfo, Known, Permit,
    ProviderError, RemoteId, ReplaceOrder, Resource, Secret, Timestamp, Typical, Wanted,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const YEAR: Duration = Duration::from_hours(365 * 24);
/// The root outlives several generations of authorities below it.
const ROOT_VALID: Duration = YEAR.saturating_mul(20);
/// As long as the authorities K3s makes itself.
const AUTHORITY_VALID: Duration = YEAR.saturating_mul(10);

kplan_model::object! {
    /// What is asked for.
    pub struct PkiArgs {
        /// The owner id, part of every certificate's name.
        pub cluster: String,
        /// Another agent token is made when this changes: since when it has to be new, in milliseconds
        /// since 1970.
        pub agent_token_after: Option<i64>,
        /// The same for the server token.
        pub server_token_after: Option<i64>,
    }
}

kplan_model::object! {
    /// The five authorities, each a chain in PEM: the authority, the intermediate, the root.
    pub struct Chains {
        /// Signs serving certificates.
        pub server_ca: String,
        /// Signs client certificates.
        pub client_ca: String,
        /// Signs the aggregation layer's.
        pub request_header_ca: String,
        /// Signs etcd's between its members.
        pub etcd_peer_ca: String,
        /// Signs etcd's for its clients.
        pub etcd_server_ca: String,
    }
}

kplan_model::object! {
    /// The keys a server needs, PKCS #8 in PEM.
    pub struct ServerKeys {
        /// Of `server_ca`.
        pub server_ca: Secret,
        /// Of `client_ca`.
        pub client_ca: Secret,
        /// Of `request_header_ca`.
        pub request_header_ca: Secret,
        /// Of `etcd_peer_ca`.
        pub etcd_peer_ca: Secret,
        /// Of `etcd_server_ca`.
        pub etcd_server_ca: Secret,
        /// Signs service account tokens; RSA.
        pub service_account: Secret,
    }
}

kplan_model::object! {
    /// The keys that never leave the state.
    pub struct RootKeys {
        /// Of the root.
        pub root: Secret,
        /// Of the intermediate.
        pub intermediate: Secret,
    }
}

kplan_model::object! {
    /// What was made.
    pub struct PkiAttrs {
        /// The owner id.
        pub cluster: String,
        /// The root, PEM.
        pub root_certificate: String,
        /// The intermediate, PEM.
        pub intermediate_certificate: String,
        /// SHA-256 of the root's DER, hexadecimal: what every token pins.
        pub token_hash: String,
        /// The authorities.
        pub certificates: Chains,
        /// Their keys.
        pub server_keys: ServerKeys,
        /// The keys above them.
        pub root_keys: RootKeys,
        /// The secret of the server token.
        pub server_token: Secret,
        /// Where it was made anew: the one before, which snapshots of etcd from then need.
        pub server_token_before: Option<Secret>,
        /// The secret of the agent token.
        pub agent_token: Secret,
        /// Signs bundles; Ed25519, PKCS #8 in PEM.
        pub bundle_key: Secret,
        /// Verifies bundles, PEM.
        pub bundle_public_key: String,
        /// An SSH key whose private half nobody has.
        pub ssh_public_key: String,
    }
}

const ROTATION: &str = "the keys of a living cluster are not exchanged by an apply";

static FIELDS: &[Field] = &[
    Field::new(
        "cluster",
        Change::Refuse(ROTATION),
        "The owner id, part of every certificate's name.",
    ),
    Field::in_place(
        "agent_token_after",
        "Since when the agent token has to be new, in milliseconds since 1970.",
    )
    .renews(&["agent_token"]),
    Field::in_place(
        "server_token_after",
        "Since when the server token has to be new, in milliseconds since 1970.",
    )
    .renews(&["server_token", "server_token_before"]),
    Field::computed("root_certificate", "The root of the cluster's trust, PEM."),
    Field::computed(
        "intermediate_certificate",
        "Signed by the root; signs the authorities. PEM.",
    ),
    Field::computed(
        "token_hash",
        "SHA-256 of the root's DER, which every join token pins.",
    ),
    Field::computed(
        "certificates",
        "The five authorities K3s uses, each a chain in PEM.",
    ),
    Field::computed(
        "server_keys",
        "The keys of the authorities and of service accounts.",
    )
    .secret(),
    Field::computed(
        "root_keys",
        "The keys of root and intermediate; never leave the state.",
    )
    .secret(),
    Field::computed("server_token", "The secret with which servers join.").secret(),
    Field::computed(
        "server_token_before",
        "The secret with which servers joined before it was made anew.",
    )
    .secret(),
    Field::computed("agent_token", "The secret with which agents join.").secret(),
    Field::computed("bundle_key", "Signs the bundles nodes install.").secret(),
    Field::computed(
        "bundle_public_key",
        "Verifies the bundles nodes install, PEM.",
    ),
    Field::computed(
        "ssh_public_key",
        "A public SSH key whose private half was thrown away.",
    ),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("pki"),
    terraform: "kplan_pki",
    doc: "The keys of a cluster, made before its first droplet exists.",
    fields: FIELDS,
    replace: ReplaceOrder::DeleteFirst,
    identity: &["cluster"],
    holds: Some("the keys of the cluster: without them nobody can administer it"),
    // Measured: an RSA key of 2048 bits takes most of it.
    typical: Typical {
        create: 1,
        update: 1,
        delete: 1,
    },
    max_parallel: 1,
    alike: &[],
    import: None,
    operations: &[],
};

/// The kind.
pub struct Pki {
    now: Now,
    make: Arc<Make>,
}

/// Makes the keys of a cluster at a moment; [`generate`], but for simulations, in which making
/// them anew takes longer than everything else.
pub type Make = dyn Fn(&str, Timestamp) -> Result<PkiAttrs, ProviderError> + Send + Sync;

impl Pki {
    /// With a clock, for the certificates' validity.
    pub fn new(now: Now) -> Self {
        Self::made_by(now, Arc::new(generate))
    }

    /// The same with keys from elsewhere.
    pub fn made_by(now: Now, make: Arc<Make>) -> Self {
        Self { now, make }
    }
}

/// Makes all of it.
pub fn generate(cluster: &str, now: Timestamp) -> Result<PkiAttrs, ProviderError> {
    let root = authority::root(Subject {
        name: &format!("kplan {cluster} root"),
        groups: &[],
        now,
        valid: ROOT_VALID,
    })?;
    let name = format!("kplan {cluster} intermediate");
    let intermediate = authority::sign(
        Subject {
            name: &name,
            groups: &[],
            now,
            valid: ROOT_VALID,
        },
        Purpose::Authority { below: Some(1) },
        &root.certificate,
        exposed(&root.key)?,
    )?;
    let make = |name: &str| -> Result<(String, Secret), ProviderError> {
        let name = format!("kplan {cluster} {name}");
        let signed = authority::sign(
            Subject {
                name: &name,
                groups: &[],
                now,
                valid: AUTHORITY_VALID,
            },
            Purpose::Authority { below: Some(0) },
            &intermediate.certificate,
            exposed(&intermediate.key)?,
        )?;
        Ok((chain(&signed, &intermediate, &root), signed.key))
    };
    let (server_ca, server_ca_key) = make("server-ca")?;
    let (client_ca, client_ca_key) = make("client-ca")?;
    let (request_header_ca, request_header_ca_key) = make("request-header-ca")?;
    let (etcd_peer_ca, etcd_peer_ca_key) = make("etcd-peer-ca")?;
    let (etcd_server_ca, etcd_server_ca_key) = make("etcd-server-ca")?;
    let bundle = authority::ed25519()?;
    Ok(PkiAttrs {
        cluster: cluster.to_owned(),
        token_hash: secret::sha256_hex(&root.der),
        certificates: Chains {
            server_ca,
            client_ca,
            request_header_ca,
            etcd_peer_ca,
            etcd_server_ca,
        },
        server_keys: ServerKeys {
            server_ca: server_ca_key,
            client_ca: client_ca_key,
            request_header_ca: request_header_ca_key,
            etcd_peer_ca: etcd_peer_ca_key,
            etcd_server_ca: etcd_server_ca_key,
            service_account: authority::rsa()?,
        },
        root_keys: RootKeys {
            root: root.key,
            intermediate: intermediate.key,
        },
        root_certificate: root.certificate,
        intermediate_certificate: intermediate.certificate,
        server_token: secret::random()?,
        server_token_before: None,
        agent_token: secret::random()?,
        bundle_key: bundle.key,
        bundle_public_key: bundle.public_pem,
        ssh_public_key: ssh::throwaway(&format!("kplan-{cluster}"))?,
    })
}

fn chain(authority: &Signed, intermediate: &Signed, root: &Signed) -> String {
    [authority, intermediate, root]
        .map(|signed| signed.certificate.as_str())
        .concat()
}

/// The text of a secret, or the error that says why it cannot be read.
pub(crate) fn exposed(secret: &Secret) -> Result<&str, ProviderError> {
    secret.expose().ok_or_else(|| {
        ProviderError::new(
            ErrorKind::Denied,
            "a key of the cluster cannot be read without the state's identity",
        )
        .help("set KPLAN_IDENTITY, or bring the identity file that made this state")
    })
}

impl Resource for Pki {
    type Args = PkiArgs;
    type Attrs = PkiAttrs;

    const INFO: &'static KindInfo = &INFO;
    const GONE_AT_ONCE: bool = true;

    async fn read(&self, known: &Known) -> Result<Option<PkiAttrs>, ProviderError> {
        recorded(known).map(Some)
    }

    async fn read_all(
        &self,
        known: &[Known],
    ) -> Result<BTreeMap<RemoteId, PkiAttrs>, ProviderError> {
        all_recorded(known)
    }

    async fn find(
        &self,
        _wanted: Wanted<'_, PkiArgs>,
    ) -> Result<Vec<Found<PkiAttrs>>, ProviderError> {
        Ok(Vec::new())
    }

    async fn create(
        &self,
        wanted: Wanted<'_, PkiArgs>,
        _permit: &Permit,
    ) -> Result<Found<PkiAttrs>, CreateFailed<PkiAttrs>> {
        let now = (self.now)();
        let attrs = (self.make)(&wanted.args.cluster, now)?;
        Ok(Found {
            id: RemoteId::new(format!("{}/{}", attrs.cluster, attrs.token_hash)),
            created_at: Some(now),
            attrs,
            role: kplan_model::FoundAs::Asked,
        })
    }

    async fn update(
        &self,
        known: &Known,
        args: &PkiArgs,
        changed: &FieldSet,
        _permit: &Permit,
    ) -> Result<PkiAttrs, ProviderError> {
        let mut attrs: PkiAttrs = recorded(known)?;
        // One that is not asked for any more stays as it is.
        if changed.contains("agent_token_after") && args.agent_token_after.is_some() {
            attrs.agent_token = secret::random()?;
        }
        if changed.contains("server_token_after") && args.server_token_after.is_some() {
            let before = std::mem::replace(&mut attrs.server_token, secret::random()?);
            attrs.server_token_before = Some(before);
        }
        Ok(attrs)
    }

    async fn delete(&self, _known: &Known, _permit: &Permit) -> Result<(), ProviderError> {
        Ok(())
    }
}
