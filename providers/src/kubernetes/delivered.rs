//! What kplan keeps where Argo CD brings the rest from Git: `velero_secret` and `sealing_secret`, the
//! secrets that have no place there; and the objects that do.

use super::kind::{Applied, BundleKind, bundle_fields};
use super::{AddonManifest, Csi, HelmRelease, SealedSecrets, Velero, sealed_secrets, velero};
use crate::artifacts::ArtifactSource;
use crate::k3s::access::Access;
use kplan_model::{
    Change, ErrorKind, Field, Input, Kind, KindInfo, Object, ObjectCodec as _, ProviderError,
    ReplaceOrder, Secret, Typical, Value as Item,
};
use serde_json::Value;

kplan_model::object! {
    /// What is asked for.
    pub struct VeleroSecretArgs {
        /// How the cluster is reached.
        pub access: Input<Access>,
        /// Always applied.
        pub objects: Applied,
        /// The id of the bucket's key.
        pub access_key: Input<String>,
        /// The key.
        pub secret_key: Input<Secret>,
        /// Encrypts what is in volumes, in the bucket.
        pub repository_password: Option<Input<Secret>>,
    }
}

static VELERO_FIELDS: &[Field] = bundle_fields![
    Field::in_place("access_key", "The id of the bucket's key."),
    Field::in_place("secret_key", "The bucket's key.").secret(),
    Field::new(
        "repository_password",
        Change::Refuse("what volumes hold is in the bucket under the old password"),
        "Encrypts what is in volumes, in the bucket.",
    )
    .secret(),
];

kplan_model::object! {
    /// What is asked for.
    pub struct SealingSecretArgs {
        /// How the cluster is reached.
        pub access: Input<Access>,
        /// Always applied.
        pub objects: Applied,
        /// What secrets are sealed with, in PEM.
        pub certificate: Input<String>,
        /// What they are opened with: PKCS #8 in PEM.
        pub private_key: Input<Secret>,
    }
}

static SEALING_FIELDS: &[Field] = bundle_fields![
    Field::in_place("certificate", "What secrets are sealed with."),
    Field::in_place("private_key", "What they are opened with.").secret(),
];

const fn info(
    (kind, terraform): (&'static str, &'static str),
    doc: &'static str,
    fields: &'static [Field],
) -> KindInfo {
    KindInfo {
        kind: Kind::new(kind),
        terraform,
        doc,
        fields,
        replace: ReplaceOrder::DeleteFirst,
        identity: &[],
        holds: None,
        typical: Typical {
            create: 2,
            update: 2,
            delete: 2,
        },
        max_parallel: 1,
        alike: &[],
        import: None,
        operations: &[],
    }
}

static VELERO_SECRET: KindInfo = info(
    ("velero_secret", "kplan_velero_secret"),
    "Velero's namespace and its secrets, where Argo CD brings the rest from Git.",
    VELERO_FIELDS,
);

static SEALING_SECRET: KindInfo = info(
    ("sealing_secret", "kplan_sealing_secret"),
    "The key of Sealed Secrets, where Argo CD brings the rest from Git.",
    SEALING_FIELDS,
);

/// Velero's secrets alone.
pub struct VeleroSecret;

impl BundleKind for VeleroSecret {
    type Args = VeleroSecretArgs;

    const INFO: &'static KindInfo = &VELERO_SECRET;
    const YIELDS: bool = false;

    fn access(args: &VeleroSecretArgs) -> &Input<Access> {
        &args.access
    }

    async fn objects(
        args: &VeleroSecretArgs,
        _artifacts: &dyn ArtifactSource,
    ) -> Result<Vec<Value>, ProviderError> {
        let mut objects = vec![
            velero::namespace(),
            velero::credentials(velero::CREDENTIALS, &args.access_key, &args.secret_key)?,
        ];
        if let Some(password) = &args.repository_password {
            objects.push(velero::repository_password(password)?);
        }
        Ok(objects)
    }
}

/// The key of Sealed Secrets alone.
pub struct SealingSecret;

impl BundleKind for SealingSecret {
    type Args = SealingSecretArgs;

    const INFO: &'static KindInfo = &SEALING_SECRET;
    const YIELDS: bool = false;

    fn access(args: &SealingSecretArgs) -> &Input<Access> {
        &args.access
    }

    async fn objects(
        args: &SealingSecretArgs,
        _artifacts: &dyn ArtifactSource,
    ) -> Result<Vec<Value>, ProviderError> {
        let certificate = args.certificate.known()?;
        Ok(vec![sealed_secrets::key(certificate, &args.private_key)?])
    }
}

/// The objects of a resource as they belong into Git: without its secrets, whatever those are.
///
/// # Errors
/// `Invalid` where an argument is not known before the first apply; `Bug` for another kind.
pub async fn objects_for_git(
    kind: &Kind,
    args: &Object,
    artifacts: &dyn ArtifactSource,
) -> Result<Vec<Value>, ProviderError> {
    let args: Object = args
        .iter()
        .map(|(name, value)| (name.clone(), without_secrets(value)))
        .collect();
    let mut objects = match kind.as_str() {
        "csi" => objects::<Csi>(&args, artifacts).await,
        "velero" => objects::<Velero>(&args, artifacts).await,
        "sealed_secrets" => objects::<SealedSecrets>(&args, artifacts).await,
        "addon_manifest" => objects::<AddonManifest>(&args, artifacts).await,
        "helm_release" => objects::<HelmRelease>(&args, artifacts).await,
        other => {
            let message = format!("{other} is not brought by Git");
            Err(ProviderError::new(ErrorKind::Bug, message))
        }
    }?;
    let ours = |object: &Value| object["kind"] == "Secret" && object["apiVersion"] == "v1";
    if kind.as_str() != "addon_manifest" {
        objects.retain(|object| !ours(object));
    }
    Ok(objects)
}

async fn objects<K: BundleKind>(
    args: &Object,
    artifacts: &dyn ArtifactSource,
) -> Result<Vec<Value>, ProviderError> {
    K::objects(&K::Args::from_object(args)?, artifacts).await
}

/// Secrets are never written, so any text stands for them.
fn without_secrets(value: &Item) -> Item {
    match value {
        Item::Secret(_) => Item::Secret(Secret::new("none")),
        other => other.clone(),
    }
}
