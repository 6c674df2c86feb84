//! `argocd`: Argo CD itself.

use super::ccm::upstream;
use super::kind::{ACCESS, Applied, BundleKind, FAILED, INVENTORY, OBJECTS, WAITING};
use super::manifest::{find, in_namespace};
use crate::artifacts::{ArtifactRef, ArtifactSource};
use crate::k3s::access::Access;
use kplan_model::{Field, Input, Kind, KindInfo, ProviderError, ReplaceOrder, Typical};
use serde_json::{Value, json};

/// The namespace; the upstream bindings name it, so no other works.
pub const NAMESPACE: &str = "argocd";

/// Without it an Application among an Application's resources has no health, and sync waves
/// between Applications wait for nothing. Argo CD's documentation describes the check.
const APPLICATION_HEALTH: &str = "\
hs = { status = \"Progressing\", message = \"\" }
if obj.status ~= nil and obj.status.health ~= nil then
  hs.status = obj.status.health.status
  hs.message = obj.status.health.message or \"\"
end
return hs
";

kplan_model::object! {
    /// What is asked for.
    pub struct ArgocdArgs {
        /// How the cluster is reached.
        pub access: Input<Access>,
        /// Always applied.
        pub objects: Applied,
        /// The upstream manifest: `install.yaml`, or `ha-install.yaml` for three nodes and more.
        pub artifacts: Vec<ArtifactRef>,
    }
}

static FIELDS: &[Field] = &[
    ACCESS,
    OBJECTS,
    Field::in_place(
        "artifacts",
        "The upstream manifest, with its version and digest.",
    ),
    INVENTORY,
    WAITING,
    FAILED,
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("argocd"),
    terraform: "kplan_argocd",
    doc: "Argo CD in its own namespace.",
    fields: FIELDS,
    replace: ReplaceOrder::DeleteFirst,
    identity: &[],
    holds: None,
    // Pulls three images of about 600 MB in all and starts seven workloads.
    typical: Typical {
        create: 120,
        update: 90,
        delete: 30,
    },
    max_parallel: 1,
};

/// The kind.
pub struct Argocd;

impl BundleKind for Argocd {
    type Args = ArgocdArgs;

    const INFO: &'static KindInfo = &INFO;

    fn access(args: &ArgocdArgs) -> &Input<Access> {
        &args.access
    }

    async fn objects(
        args: &ArgocdArgs,
        artifacts: &dyn ArtifactSource,
    ) -> Result<Vec<Value>, ProviderError> {
        let mut objects = upstream(&args.artifacts, artifacts).await?;
        in_namespace(&mut objects, NAMESPACE);
        let settings = find(&mut objects, "ConfigMap", "argocd-cm")?;
        if !settings["data"].is_object() {
            settings["data"] = json!({});
        }
        settings["data"]["resource.customizations.health.argoproj.io_Application"] =
            Value::from(APPLICATION_HEALTH);
        objects.push(json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": { "name": NAMESPACE },
        }));
        Ok(objects)
    }
}
