//! `addon_manifest`: a manifest of the operator's own.

use super::bundle::Target;
use super::ccm::upstream;
use super::kind::{Applied, BundleKind, SOURCES, bundle_fields};
use super::manifest::{parse, place};
use super::namespace;
use crate::artifacts::{ArtifactPin, ArtifactSource, Sources};
use crate::k3s::access::Access;
use kplan_model::{Field, Input, Kind, KindInfo, ProviderError, ReplaceOrder, Typical};
use serde_json::Value;

kplan_model::object! {
    /// What is asked for. The manifest is one artifact, or a text.
    pub struct AddonManifestArgs {
        /// How the cluster is reached.
        pub access: Input<Access>,
        /// Always applied.
        pub objects: Applied,
        /// The manifest behind an address.
        pub artifacts: Vec<ArtifactPin>,
        /// Where it comes from; not compared, because a mirror changes no bytes.
        pub sources: Option<Sources>,
        /// The manifest beside the file.
        pub content: Option<String>,
        /// The namespace of what names none itself. It is made where it is not there, and stays.
        pub namespace: Option<String>,
    }
}

static FIELDS: &[Field] = bundle_fields![
    Field::in_place(
        "artifacts",
        "The manifest behind an address, with its digest.",
    ),
    SOURCES,
    Field::in_place("content", "The manifest beside the file."),
    Field::in_place(
        "namespace",
        "The namespace of what names none itself; made where it is not there.",
    ),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("addon_manifest"),
    terraform: "kplan_addon_manifest",
    doc: "A manifest of your own, applied and pruned as one.",
    fields: FIELDS,
    replace: ReplaceOrder::DeleteFirst,
    identity: &[],
    holds: None,
    typical: Typical {
        create: 60,
        update: 30,
        delete: 20,
    },
    max_parallel: 4,
    alike: &[],
    import: None,
    operations: &[],
};

/// The kind.
pub struct AddonManifest;

impl BundleKind for AddonManifest {
    type Args = AddonManifestArgs;

    const INFO: &'static KindInfo = &INFO;
    const IS_REMADE: bool = false;
    const IS_ALONE: bool = true;

    fn access(args: &AddonManifestArgs) -> &Input<Access> {
        &args.access
    }

    async fn objects(
        args: &AddonManifestArgs,
        artifacts: &dyn ArtifactSource,
    ) -> Result<Vec<Value>, ProviderError> {
        let mut objects = upstream(&args.artifacts, args.sources.as_ref(), artifacts).await?;
        if let Some(text) = &args.content {
            objects.extend(parse("beside the file", text.as_bytes())?);
        }
        place(&mut objects, args.namespace.as_deref().unwrap_or("default"));
        Ok(objects)
    }

    async fn before_apply(to: &Target<'_>, args: &AddonManifestArgs) -> Result<(), ProviderError> {
        match &args.namespace {
            Some(name) => namespace::ensure(to, name).await,
            None => Ok(()),
        }
    }
}
