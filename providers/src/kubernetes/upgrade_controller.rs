//! `system_upgrade_controller`: Rancher's controller that exchanges K3s on living nodes.

use super::ccm::upstream;
use super::kind::{Applied, BundleKind, SOURCES, bundle_fields};
use super::manifest::{find, in_namespace};
use crate::artifacts::{ArtifactPin, ArtifactSource, Sources};
use crate::k3s::access::Access;
use kplan_model::{ErrorKind, Field, Input, Kind, KindInfo, ProviderError, ReplaceOrder, Typical};
use serde_json::{Value, json};

/// Its namespace, where its plans are.
pub const NAMESPACE: &str = "system-upgrade";
const NAME: &str = "system-upgrade-controller";
/// Seconds one node's job may take. Upstream's 900 are over before a drain that waits for a
/// disruption budget is (vitobotta/hetzner-k3s issue 750).
const DEADLINE: &str = "3600";

kplan_model::object! {
    /// What is asked for.
    pub struct UpgradeControllerArgs {
        /// How the cluster is reached.
        pub access: Input<Access>,
        /// Always applied.
        pub objects: Applied,
        /// The upstream manifests.
        pub artifacts: Vec<ArtifactPin>,
        /// Where they come from; not compared, because a mirror changes no bytes.
        pub sources: Option<Sources>,
        /// Its version; the image follows it. Upstream's own manifest names an older one.
        pub version: String,
        /// The version of Kubernetes whose kubectl drains nodes, such as `v1.35.6`. Upstream's
        /// default is out of the range in which kubectl works with a server.
        pub kubectl: String,
    }
}

static FIELDS: &[Field] = bundle_fields![
    Field::in_place(
        "artifacts",
        "The upstream manifests, with their version and digests.",
    ),
    SOURCES,
    Field::in_place("version", "The controller's version."),
    Field::in_place("kubectl", "The version of the kubectl that drains nodes."),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("system_upgrade_controller"),
    terraform: "kplan_system_upgrade_controller",
    doc: "Rancher's system-upgrade-controller, which exchanges K3s on living nodes.",
    fields: FIELDS,
    replace: ReplaceOrder::DeleteFirst,
    identity: &[],
    holds: None,
    typical: Typical {
        create: 30,
        update: 20,
        delete: 5,
    },
    max_parallel: 1,
    alike: &[],
    import: None,
    operations: &[],
};

/// The kind.
pub struct UpgradeController;

impl BundleKind for UpgradeController {
    type Args = UpgradeControllerArgs;

    const INFO: &'static KindInfo = &INFO;

    fn access(args: &UpgradeControllerArgs) -> &Input<Access> {
        &args.access
    }

    async fn objects(
        args: &UpgradeControllerArgs,
        artifacts: &dyn ArtifactSource,
    ) -> Result<Vec<Value>, ProviderError> {
        let mut objects = upstream(&args.artifacts, args.sources.as_ref(), artifacts).await?;
        in_namespace(&mut objects, NAMESPACE);
        objects.iter_mut().for_each(bind_in_namespace);
        let settings = find(&mut objects, "ConfigMap", "default-controller-env")?;
        settings["data"]["SYSTEM_UPGRADE_JOB_KUBECTL_IMAGE"] =
            json!(format!("rancher/kubectl:{}", args.kubectl));
        settings["data"]["SYSTEM_UPGRADE_JOB_ACTIVE_DEADLINE_SECONDS"] = json!(DEADLINE);
        let deployment = find(&mut objects, "Deployment", NAME)?;
        let image = deployment
            .pointer_mut("/spec/template/spec/containers/0/image")
            .ok_or_else(|| {
                let message = "the upgrade controller's manifest has another shape than expected";
                ProviderError::new(ErrorKind::Invalid, message)
            })?;
        *image = json!(format!(
            "rancher/system-upgrade-controller:{}",
            args.version
        ));
        Ok(objects)
    }
}

/// Upstream's own tool fills in whom bindings bind; the API server refuses a subject without a
/// namespace.
fn bind_in_namespace(object: &mut Value) {
    let kind = object["kind"].as_str();
    if matches!(kind, Some("ClusterRoleBinding" | "RoleBinding")) {
        let subjects = object["subjects"].as_array_mut();
        for subject in subjects.into_iter().flatten() {
            subject["namespace"] = json!(NAMESPACE);
        }
    }
}
