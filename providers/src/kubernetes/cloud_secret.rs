//! `cloud_secret`: the token with which controllers in the cluster call `DigitalOcean`, where the
//! cloud controller and the volume driver look for it.

use super::ccm::SYSTEM;
use super::kind::{Applied, BundleKind, bundle_fields};
use crate::artifacts::ArtifactSource;
use crate::k3s::access::Access;
use crate::k3s::pki::exposed;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kplan_model::{Field, Input, Kind, KindInfo, ProviderError, ReplaceOrder, Secret, Typical};
use serde_json::{Value, json};

kplan_model::object! {
    /// What is asked for.
    pub struct CloudSecretArgs {
        /// How the cluster is reached.
        pub access: Input<Access>,
        /// Always applied.
        pub objects: Applied,
        /// The `DigitalOcean` token.
        pub token: Input<Secret>,
    }
}

static FIELDS: &[Field] = bundle_fields![
    Field::in_place(
        "token",
        "The DigitalOcean token controllers in the cluster use.",
    )
    .secret(),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("cloud_secret"),
    terraform: "kplan_cloud_secret",
    doc: "The DigitalOcean token inside the cluster: Secret kube-system/digitalocean.",
    fields: FIELDS,
    replace: ReplaceOrder::DeleteFirst,
    identity: &[],
    holds: None,
    // One request.
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
pub struct CloudSecret;

/// A value of a Secret.
pub(super) fn data(value: &str) -> Value {
    Value::from(STANDARD.encode(value))
}

impl BundleKind for CloudSecret {
    type Args = CloudSecretArgs;

    const INFO: &'static KindInfo = &INFO;
    const YIELDS: bool = false;

    fn access(args: &CloudSecretArgs) -> &Input<Access> {
        &args.access
    }

    async fn objects(
        args: &CloudSecretArgs,
        _artifacts: &dyn ArtifactSource,
    ) -> Result<Vec<Value>, ProviderError> {
        let token = exposed(args.token.known()?)?;
        Ok(vec![json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": "digitalocean", "namespace": SYSTEM },
            "type": "Opaque",
            "data": { "access-token": data(token) },
        })])
    }
}
