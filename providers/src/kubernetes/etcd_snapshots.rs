//! `etcd_snapshots`: where K3s copies its snapshots of etcd to. Servers know the Secret's name from
//! their first start on; what is in it can change.

use super::ccm::SYSTEM;
use super::cloud_secret::data;
use super::kind::{Applied, BundleKind, bundle_fields};
use crate::artifacts::ArtifactSource;
use crate::k3s::access::Access;
use crate::k3s::pki::exposed;
use kplan_model::{Field, Input, Kind, KindInfo, ProviderError, ReplaceOrder, Secret, Typical};
use serde_json::{Value, json};

/// The Secret's name, as servers have it in `etcd-s3-config-secret`.
pub const SECRET: &str = "kplan-etcd-s3";

kplan_model::object! {
    /// What is asked for.
    pub struct EtcdSnapshotsArgs {
        /// How the cluster is reached.
        pub access: Input<Access>,
        /// Always applied.
        pub objects: Applied,
        /// The bucket.
        pub bucket: Input<String>,
        /// The folder in it.
        pub folder: String,
        /// The bucket's region.
        pub region: String,
        /// The storage's address.
        pub endpoint: Input<String>,
        /// The id of the bucket's key.
        pub access_key: Input<String>,
        /// The key.
        pub secret_key: Input<Secret>,
    }
}

static FIELDS: &[Field] = bundle_fields![
    Field::in_place("bucket", "The bucket snapshots go to."),
    Field::in_place("folder", "The folder in the bucket."),
    Field::in_place("region", "The bucket's region."),
    Field::in_place("endpoint", "The storage's address."),
    Field::in_place("access_key", "The id of the bucket's key."),
    Field::in_place("secret_key", "The bucket's key.").secret(),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("etcd_snapshots"),
    terraform: "kplan_etcd_snapshots",
    doc: "Where K3s copies its snapshots of etcd to: Secret kube-system/kplan-etcd-s3.",
    fields: FIELDS,
    replace: ReplaceOrder::DeleteFirst,
    identity: &[],
    holds: None,
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
pub struct EtcdSnapshots;

impl BundleKind for EtcdSnapshots {
    type Args = EtcdSnapshotsArgs;

    const INFO: &'static KindInfo = &INFO;
    const YIELDS: bool = false;

    fn access(args: &EtcdSnapshotsArgs) -> &Input<Access> {
        &args.access
    }

    async fn objects(
        args: &EtcdSnapshotsArgs,
        _artifacts: &dyn ArtifactSource,
    ) -> Result<Vec<Value>, ProviderError> {
        let endpoint = args.endpoint.known()?;
        // K3s takes a host, and says otherwise whether it is encrypted.
        let (host, insecure) = match endpoint.split_once("://") {
            Some((scheme, host)) => (host, scheme == "http"),
            None => (endpoint.as_str(), false),
        };
        Ok(vec![json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": SECRET, "namespace": SYSTEM },
            "type": "etcd.k3s.cattle.io/s3-config-secret",
            "data": {
                "etcd-s3-endpoint": data(host.trim_end_matches('/')),
                "etcd-s3-insecure": data(&insecure.to_string()),
                "etcd-s3-bucket": data(args.bucket.known()?),
                "etcd-s3-folder": data(&args.folder),
                "etcd-s3-region": data(&args.region),
                "etcd-s3-access-key": data(args.access_key.known()?),
                "etcd-s3-secret-key": data(exposed(args.secret_key.known()?)?),
            },
        })])
    }
}
