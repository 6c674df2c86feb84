//! `ccm`: `DigitalOcean`'s cloud controller, which gives nodes their addresses and Services their
//! load balancers.

use super::kind::{Applied, BundleKind, SOURCES, bundle_fields};
use super::manifest::{containers, find, parse, set_env};
use super::object::Type;
use super::session::Session;
use super::wait::uninitialized;
use crate::artifacts::{ArtifactPin, ArtifactSource, Sources};
use crate::k3s::access::Access;
use kplan_model::{Field, Input, Kind, KindInfo, ProviderError, ReplaceOrder, Typical};
use serde_json::Value;

/// The namespace of Kubernetes's own parts, and of what belongs to them.
pub(super) const SYSTEM: &str = "kube-system";
const NAME: &str = "digitalocean-cloud-controller-manager";

kplan_model::object! {
    /// What is asked for.
    pub struct CcmArgs {
        /// How the cluster is reached.
        pub access: Input<Access>,
        /// Always applied.
        pub objects: Applied,
        /// The upstream manifest.
        pub artifacts: Vec<ArtifactPin>,
        /// Where they come from; not compared, because a mirror changes no bytes.
        pub sources: Option<Sources>,
        /// The cluster's region.
        pub region: String,
        /// The VPC load balancers are made in; without it they could not reach the nodes.
        pub vpc_id: Input<String>,
        /// Marks the load balancers as this cluster's (tag `k8s:<id>`).
        pub cluster_id: String,
        /// `REGIONAL` or `REGIONAL_NETWORK`: what a Service gets that does not say.
        pub load_balancer_type: String,
        /// Another address of `DigitalOcean`'s API.
        pub api_url: Option<String>,
    }
}

static FIELDS: &[Field] = bundle_fields![
    Field::in_place(
        "artifacts",
        "The upstream manifest, with its version and digest.",
    ),
    SOURCES,
    Field::in_place("region", "The cluster's region."),
    Field::in_place(
        "vpc_id",
        "The VPC in which load balancers of Services are made.",
    ),
    Field::in_place(
        "cluster_id",
        "Tags the load balancers of this cluster (`k8s:<id>`).",
    ),
    Field::in_place(
        "load_balancer_type",
        "REGIONAL or REGIONAL_NETWORK, for Services that do not say.",
    ),
    Field::in_place("api_url", "Another address of DigitalOcean's API."),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("ccm"),
    terraform: "kplan_ccm",
    doc: "DigitalOcean's cloud controller manager.",
    fields: FIELDS,
    replace: ReplaceOrder::DeleteFirst,
    identity: &[],
    holds: None,
    // Pulls one image, then sees every node within a minute.
    typical: Typical {
        create: 40,
        update: 30,
        delete: 5,
    },
    max_parallel: 1,
    alike: &[],
    import: None,
    operations: &[],
};

/// The kind.
pub struct Ccm;

impl BundleKind for Ccm {
    type Args = CcmArgs;

    const INFO: &'static KindInfo = &INFO;

    fn access(args: &CcmArgs) -> &Input<Access> {
        &args.access
    }

    async fn objects(
        args: &CcmArgs,
        artifacts: &dyn ArtifactSource,
    ) -> Result<Vec<Value>, ProviderError> {
        let mut objects = upstream(&args.artifacts, args.sources.as_ref(), artifacts).await?;
        let mut env = vec![
            ("REGION", args.region.as_str()),
            ("DO_CLUSTER_VPC_ID", args.vpc_id.known()?),
            ("DO_CLUSTER_ID", &args.cluster_id),
            ("DEFAULT_LB_TYPE", &args.load_balancer_type),
        ];
        env.extend(args.api_url.as_deref().map(|url| ("DO_OVERRIDE_URL", url)));
        for container in containers(find(&mut objects, "Deployment", NAME)?) {
            for (name, value) in &env {
                set_env(container, name, value);
            }
        }
        Ok(objects)
    }

    /// Pods that do not tolerate the taint, such as `CoreDNS`, are scheduled only afterwards.
    async fn waits_for(
        session: &Session,
        _args: &CcmArgs,
    ) -> Result<Option<String>, ProviderError> {
        let nodes = session.list(&Type::new("v1", "Node"), "").await?;
        let left = uninitialized(&nodes);
        Ok((!left.is_empty()).then(|| format!("nodes are not initialized: {}", left.join(", "))))
    }
}

/// The objects of several upstream manifests.
pub(super) async fn upstream(
    artifacts: &[ArtifactPin],
    sources: Option<&Sources>,
    source: &dyn ArtifactSource,
) -> Result<Vec<Value>, ProviderError> {
    let mut objects = Vec::new();
    for pin in artifacts {
        let artifact = pin.located(sources)?;
        objects.extend(parse(&artifact.path(), &source.bytes(&artifact).await?)?);
    }
    Ok(objects)
}
