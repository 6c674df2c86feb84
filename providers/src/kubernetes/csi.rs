//! `csi`: `DigitalOcean`'s volume driver, its snapshot controller and its storage classes.

use super::ccm::upstream;
use super::kind::{Applied, BundleKind, SOURCES, bundle_fields};
use super::manifest::{containers, find, set_env};
use super::object::metadata;
use crate::artifacts::{ArtifactPin, ArtifactSource, Sources};
use crate::k3s::access::Access;
use kplan_model::{ErrorKind, Field, Input, Kind, KindInfo, ProviderError, ReplaceOrder, Typical};
use serde_json::Value;

/// Marks the class that volumes get that name none.
pub const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";
/// Marks the class with which Velero takes snapshots.
pub const SNAPSHOT_CLASS: &str = "velero.io/csi-volumesnapshot-class";
const PLUGIN: &str = "csi-do-plugin";

kplan_model::object! {
    /// What is asked for.
    pub struct CsiArgs {
        /// How the cluster is reached.
        pub access: Input<Access>,
        /// Always applied.
        pub objects: Applied,
        /// The upstream manifests: definitions, driver, snapshot controller.
        pub artifacts: Vec<ArtifactPin>,
        /// Where they come from; not compared, because a mirror changes no bytes.
        pub sources: Option<Sources>,
        /// Put on every volume, so that what the cluster made is found when it goes.
        pub tag: Input<String>,
        /// The storage class of volumes that name none; no class is the default without it.
        pub default_class: Option<String>,
        /// Another address of `DigitalOcean`'s API.
        pub api_url: Option<String>,
    }
}

static FIELDS: &[Field] = bundle_fields![
    Field::in_place(
        "artifacts",
        "The upstream manifests, with their version and digests.",
    ),
    SOURCES,
    Field::in_place("tag", "The tag put on every volume the cluster makes."),
    Field::in_place(
        "default_class",
        "The storage class of volumes that name none.",
    ),
    Field::in_place("api_url", "Another address of DigitalOcean's API."),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("csi"),
    terraform: "kplan_csi",
    doc: "DigitalOcean's CSI driver with its snapshot controller and storage classes.",
    fields: FIELDS,
    replace: ReplaceOrder::DeleteFirst,
    identity: &[],
    holds: None,
    // Pulls eight images.
    typical: Typical {
        create: 60,
        update: 40,
        delete: 10,
    },
    max_parallel: 1,
    alike: &[],
    import: None,
    operations: &[],
};

/// The kind.
pub struct Csi;

impl BundleKind for Csi {
    type Args = CsiArgs;

    const INFO: &'static KindInfo = &INFO;

    fn access(args: &CsiArgs) -> &Input<Access> {
        &args.access
    }

    async fn objects(
        args: &CsiArgs,
        artifacts: &dyn ArtifactSource,
    ) -> Result<Vec<Value>, ProviderError> {
        let mut objects = upstream(&args.artifacts, args.sources.as_ref(), artifacts).await?;
        plugin(&mut objects, args.tag.known()?, args.api_url.as_deref())?;
        // The driver asks the metadata service for its droplet, which pods cannot reach; a pod of
        // the host's network can. It also needs the cluster's name service for its sidecars.
        let controller = find(&mut objects, "StatefulSet", "csi-do-controller")?;
        controller["spec"]["template"]["spec"]["hostNetwork"] = Value::from(true);
        controller["spec"]["template"]["spec"]["dnsPolicy"] =
            Value::from("ClusterFirstWithHostNet");
        default_class(&mut objects, args.default_class.as_deref())?;
        snapshot_class(&mut objects)?;
        Ok(objects)
    }
}

/// Tells both parts of the driver which tag to use and which API to call.
fn plugin(objects: &mut [Value], tag: &str, api_url: Option<&str>) -> Result<(), ProviderError> {
    for (kind, name) in [
        ("StatefulSet", "csi-do-controller"),
        ("DaemonSet", "csi-do-node"),
    ] {
        let container = containers(find(objects, kind, name)?).find(|one| one["name"] == PLUGIN);
        let args = container.and_then(|container| {
            if let Some(url) = api_url {
                set_env(container, "DIGITALOCEAN_API_URL", url);
            }
            container.get_mut("args")?.as_array_mut()
        });
        let Some(args) = args else {
            return Err(ProviderError::new(
                ErrorKind::Invalid,
                format!("the upstream {kind} {name} has no container {PLUGIN} with arguments"),
            )
            .help("this version is laid out differently from the ones kplan was tested with"));
        };
        args.push(Value::from(format!("--do-tag={tag}")));
    }
    Ok(())
}

/// Velero takes the snapshots of a driver's volumes with the class that has its label.
fn snapshot_class(objects: &mut [Value]) -> Result<(), ProviderError> {
    let class = find(objects, "VolumeSnapshotClass", "do-block-storage")?;
    if let Some(labels) = metadata(class, "labels") {
        labels.insert(SNAPSHOT_CLASS.to_owned(), Value::from("true"));
    }
    Ok(())
}

/// Makes exactly the class of that name the default one.
fn default_class(objects: &mut [Value], wanted: Option<&str>) -> Result<(), ProviderError> {
    if let Some(wanted) = wanted {
        find(objects, "StorageClass", wanted)?;
    }
    for class in objects
        .iter_mut()
        .filter(|object| object["kind"] == "StorageClass")
    {
        let is = wanted.is_some_and(|wanted| class["metadata"]["name"] == wanted);
        if let Some(annotations) = metadata(class, "annotations") {
            annotations.remove(DEFAULT_CLASS);
            if is {
                annotations.insert(DEFAULT_CLASS.to_owned(), Value::from("true"));
            }
        }
    }
    Ok(())
}
