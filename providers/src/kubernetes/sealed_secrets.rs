//! `sealed_secrets`: Bitnami's controller, with a key that is on record.

use super::ccm::{SYSTEM, upstream};
use super::cloud_secret::data;
use super::kind::{Applied, BundleKind, SOURCES, bundle_fields};
use super::manifest::{containers, find, in_namespace};
use crate::artifacts::{ArtifactPin, ArtifactSource, Sources};
use crate::k3s::access::Access;
use crate::k3s::pki::exposed;
use crate::k3s::pki::secret::sha256_hex;
use kplan_model::{Field, Input, Kind, KindInfo, ProviderError, ReplaceOrder, Secret, Typical};
use serde_json::{Value, json};

const NAME: &str = "sealed-secrets-controller";
/// What the controller looks for.
const KEY_LABEL: &str = "sealedsecrets.bitnami.com/sealed-secrets-key";
/// The name of our key; the controller's own have one with random letters behind it.
const KEY: &str = "sealed-secrets-key-kplan";
/// The controller makes a key of its own every 30 days, which would be lost with the cluster.
const NO_RENEWAL: &str = "--key-renew-period=0";
/// Changes with the key: the controller reads keys when it starts.
const KEY_DIGEST: &str = "kplan.dev/key-digest";

kplan_model::object! {
    /// What is asked for.
    pub struct SealedSecretsArgs {
        /// How the cluster is reached.
        pub access: Input<Access>,
        /// Always applied.
        pub objects: Applied,
        /// The upstream manifest.
        pub artifacts: Vec<ArtifactPin>,
        /// Where it comes from; not compared, because a mirror changes no bytes.
        pub sources: Option<Sources>,
        /// What secrets are sealed with, in PEM.
        pub certificate: Input<String>,
        /// What they are opened with: PKCS #8 in PEM.
        pub private_key: Input<Secret>,
    }
}

static FIELDS: &[Field] = bundle_fields![
    Field::in_place(
        "artifacts",
        "The upstream manifest, with its version and digest.",
    ),
    SOURCES,
    Field::in_place("certificate", "What secrets are sealed with."),
    Field::in_place("private_key", "What they are opened with.").secret(),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("sealed_secrets"),
    terraform: "kplan_sealed_secrets",
    doc: "Bitnami's Sealed Secrets, with a key that is on record.",
    fields: FIELDS,
    replace: ReplaceOrder::DeleteFirst,
    identity: &[],
    holds: None,
    typical: Typical {
        create: 30,
        update: 20,
        delete: 10,
    },
    max_parallel: 1,
    alike: &[],
    import: None,
    operations: &[],
};

/// The kind.
pub struct SealedSecrets;

impl BundleKind for SealedSecrets {
    type Args = SealedSecretsArgs;

    const INFO: &'static KindInfo = &INFO;

    fn access(args: &SealedSecretsArgs) -> &Input<Access> {
        &args.access
    }

    async fn objects(
        args: &SealedSecretsArgs,
        artifacts: &dyn ArtifactSource,
    ) -> Result<Vec<Value>, ProviderError> {
        let mut objects = upstream(&args.artifacts, args.sources.as_ref(), artifacts).await?;
        in_namespace(&mut objects, SYSTEM);
        let certificate = args.certificate.known()?;
        let deployment = find(&mut objects, "Deployment", NAME)?;
        for container in containers(deployment).filter(|it| it["name"] == NAME) {
            // Where a manifest has none, an empty list or `null` is as good.
            let mut all = container["args"].as_array().cloned().unwrap_or_default();
            all.push(json!(NO_RENEWAL));
            container["args"] = Value::Array(all);
        }
        let digest = sha256_hex(certificate.as_bytes());
        deployment["spec"]["template"]["metadata"]["annotations"][KEY_DIGEST] = json!(digest);
        objects.push(key(certificate, &args.private_key)?);
        Ok(objects)
    }
}

/// The key, where the controller finds it.
pub(super) fn key(certificate: &str, private_key: &Input<Secret>) -> Result<Value, ProviderError> {
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": KEY,
            "namespace": SYSTEM,
            "labels": { KEY_LABEL: "active" },
        },
        "type": "kubernetes.io/tls",
        "data": {
            "tls.crt": data(certificate),
            "tls.key": data(exposed(private_key.known()?)?),
        },
    }))
}
