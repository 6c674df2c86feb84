//! The resources the server knows: the built-in table, and those that CRDs add.

use std::any::TypeId;
use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use k8s_openapi::api::admissionregistration::v1 as admission;
use k8s_openapi::api::{
    apps::v1 as apps, autoscaling::v2 as autoscaling, batch::v1 as batch,
    certificates::v1 as certificates, coordination::v1 as coordination, core::v1 as core,
    discovery::v1 as discovery, flowcontrol::v1 as flowcontrol, networking::v1 as networking,
    node::v1 as node, policy::v1 as policy, rbac::v1 as rbac, scheduling::v1 as scheduling,
    storage::v1 as storage,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1 as apiregistration;
use k8s_openapi::{ClusterResourceScope, Resource};
use schemars::{JsonSchema, SchemaGenerator};

use super::schema::{Schema, core as core_schema};
use crate::kubernetes::schema::crd::CrdVersion;

/// One built-in kind.
pub(crate) struct Builtin {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) namespaced: bool,
    pub(crate) short_names: &'static [&'static str],
    pub(crate) in_all: bool,
    pub(crate) status: bool,
    pub(crate) scale: bool,
    /// Name of the type's OpenAPI definition.
    pub(crate) definition: String,
    pub(crate) generate: fn(&mut SchemaGenerator),
}

fn kind<T>(short_names: &'static [&'static str], marks: &str) -> Builtin
where
    T: Resource + JsonSchema,
    T::Scope: 'static,
{
    Builtin {
        group: T::GROUP,
        version: T::VERSION,
        plural: T::URL_PATH_SEGMENT,
        kind: T::KIND,
        namespaced: TypeId::of::<T::Scope>() != TypeId::of::<ClusterResourceScope>(),
        short_names,
        in_all: marks.contains("all"),
        status: marks.contains("status"),
        scale: marks.contains("scale"),
        definition: T::schema_name().into_owned(),
        generate: |generator| {
            generator.subschema_for::<T>();
        },
    }
}

/// The built-in kinds with short names, `status` and `scale` subresources and membership of the
/// category `all`, as `kubectl api-resources` of release 1.35 lists them.
pub(crate) static BUILTINS: LazyLock<Vec<Builtin>> = LazyLock::new(|| {
    let mut table = core_kinds();
    table.extend(workload_kinds());
    table.extend(other_kinds());
    table
});

fn core_kinds() -> Vec<Builtin> {
    vec![
        kind::<core::ConfigMap>(&["cm"], ""),
        kind::<core::Endpoints>(&["ep"], ""),
        kind::<core::Event>(&["ev"], ""),
        kind::<core::LimitRange>(&["limits"], ""),
        kind::<core::Namespace>(&["ns"], "status"),
        kind::<core::Node>(&["no"], "status"),
        kind::<core::PersistentVolumeClaim>(&["pvc"], "status"),
        kind::<core::PersistentVolume>(&["pv"], "status"),
        kind::<core::Pod>(&["po"], "status all"),
        kind::<core::PodTemplate>(&[], ""),
        kind::<core::ReplicationController>(&["rc"], "status scale all"),
        kind::<core::ResourceQuota>(&["quota"], "status"),
        kind::<core::Secret>(&[], ""),
        kind::<core::ServiceAccount>(&["sa"], ""),
        kind::<core::Service>(&["svc"], "status all"),
    ]
}

fn workload_kinds() -> Vec<Builtin> {
    vec![
        kind::<apps::ControllerRevision>(&[], ""),
        kind::<apps::DaemonSet>(&["ds"], "status all"),
        kind::<apps::Deployment>(&["deploy"], "status scale all"),
        kind::<apps::ReplicaSet>(&["rs"], "status scale all"),
        kind::<apps::StatefulSet>(&["sts"], "status scale all"),
        kind::<batch::CronJob>(&["cj"], "status all"),
        kind::<batch::Job>(&[], "status all"),
        kind::<autoscaling::HorizontalPodAutoscaler>(&["hpa"], "status all"),
        kind::<policy::PodDisruptionBudget>(&["pdb"], "status"),
        kind::<scheduling::PriorityClass>(&["pc"], ""),
        kind::<node::RuntimeClass>(&[], ""),
    ]
}

fn other_kinds() -> Vec<Builtin> {
    vec![
        kind::<rbac::ClusterRoleBinding>(&[], ""),
        kind::<rbac::ClusterRole>(&[], ""),
        kind::<rbac::RoleBinding>(&[], ""),
        kind::<rbac::Role>(&[], ""),
        kind::<networking::IngressClass>(&[], ""),
        kind::<networking::Ingress>(&["ing"], "status"),
        kind::<networking::NetworkPolicy>(&["netpol"], ""),
        kind::<storage::CSIDriver>(&[], ""),
        kind::<storage::CSINode>(&[], ""),
        kind::<storage::CSIStorageCapacity>(&[], ""),
        kind::<storage::StorageClass>(&["sc"], ""),
        kind::<storage::VolumeAttachment>(&[], "status"),
        kind::<apiextensions::CustomResourceDefinition>(&["crd", "crds"], "status"),
        kind::<apiregistration::APIService>(&[], "status"),
        kind::<admission::MutatingWebhookConfiguration>(&[], ""),
        kind::<admission::ValidatingWebhookConfiguration>(&[], ""),
        kind::<admission::ValidatingAdmissionPolicy>(&[], "status"),
        kind::<admission::ValidatingAdmissionPolicyBinding>(&[], ""),
        kind::<coordination::Lease>(&[], ""),
        kind::<discovery::EndpointSlice>(&[], ""),
        kind::<certificates::CertificateSigningRequest>(&["csr"], "status"),
        kind::<flowcontrol::FlowSchema>(&[], "status"),
        kind::<flowcontrol::PriorityLevelConfiguration>(&[], "status"),
    ]
}

/// A resource at one version, ready to serve.
#[derive(Clone, Debug)]
pub(crate) struct ResourceType {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) kind: String,
    pub(crate) list_kind: String,
    pub(crate) namespaced: bool,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) status: bool,
    pub(crate) scale: Option<ScalePaths>,
    pub(crate) types: Types,
}

/// Where a resource keeps what its `scale` subresource shows.
#[derive(Clone, Debug)]
pub(crate) struct ScalePaths {
    pub(crate) spec: Vec<String>,
    pub(crate) status: Vec<String>,
    pub(crate) selector: Option<Vec<String>>,
}

/// Where a resource's schema comes from.
#[derive(Clone, Debug)]
pub(crate) enum Types {
    /// A definition of the built-in types.
    Core(String),
    /// A version of a CRD.
    Custom(Arc<CrdVersion>),
}

impl ResourceType {
    fn builtin(builtin: &Builtin) -> ResourceType {
        let field = |name: &str| vec![name.to_owned(), "replicas".to_owned()];
        ResourceType {
            group: builtin.group.to_owned(),
            version: builtin.version.to_owned(),
            plural: builtin.plural.to_owned(),
            singular: builtin.kind.to_lowercase(),
            kind: builtin.kind.to_owned(),
            list_kind: format!("{}List", builtin.kind),
            namespaced: builtin.namespaced,
            short_names: builtin
                .short_names
                .iter()
                .map(|&name| name.to_owned())
                .collect(),
            categories: if builtin.in_all {
                vec!["all".to_owned()]
            } else {
                Vec::new()
            },
            status: builtin.status,
            scale: builtin.scale.then(|| ScalePaths {
                spec: field("spec"),
                status: field("status"),
                selector: None,
            }),
            types: Types::Core(builtin.definition.clone()),
        }
    }

    /// The key of the collection its objects are stored in.
    pub(crate) fn storage_key(&self) -> String {
        format!("{}/{}", self.group, self.plural)
    }

    /// `apps/v1`, or `v1` for the core group.
    pub(crate) fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    /// The schema of whole objects.
    pub(crate) fn schema(&self) -> Schema<'_> {
        match &self.types {
            Types::Core(definition) => core_schema::definition(definition),
            Types::Custom(version) => Schema::new(&version.schema),
        }
    }

    /// Whether it comes from a CRD.
    pub(crate) fn custom(&self) -> Option<&CrdVersion> {
        match &self.types {
            Types::Core(_) => None,
            Types::Custom(version) => Some(version),
        }
    }

    /// Whether `metadata.generation` counts changes of the desired state.
    pub(crate) fn counts_generation(&self) -> bool {
        let group = self.group.as_str();
        self.custom().is_some()
            || matches!(
                group,
                "apps"
                    | "batch"
                    | "policy"
                    | "networking.k8s.io"
                    | "apiextensions.k8s.io"
                    | "admissionregistration.k8s.io"
                    | "flowcontrol.apiserver.k8s.io"
            )
            || (group.is_empty() && self.plural == "pods")
    }

    /// What the resource is called in messages: `widgets.example.com`.
    pub(crate) fn qualified(&self) -> Cow<'_, str> {
        if self.group.is_empty() {
            Cow::Borrowed(&self.plural)
        } else {
            Cow::Owned(format!("{}.{}", self.plural, self.group))
        }
    }
}

/// Joins group and version the way `apiVersion` spells it.
pub(crate) fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}

/// Every resource served at one moment. Replaced as a whole when a CRD changes.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    types: Vec<Arc<ResourceType>>,
}

impl Catalogue {
    /// The built-in kinds and the served versions of established CRDs, preferred versions first.
    pub(crate) fn new(custom: Vec<ResourceType>) -> Catalogue {
        let builtins = BUILTINS.iter().map(ResourceType::builtin);
        Catalogue {
            types: builtins.chain(custom).map(Arc::new).collect(),
        }
    }

    /// All resources in order of their groups.
    pub(crate) fn all(&self) -> &[Arc<ResourceType>] {
        &self.types
    }

    /// The resource of a path.
    pub(crate) fn find(
        &self,
        group: &str,
        version: &str,
        plural: &str,
    ) -> Option<Arc<ResourceType>> {
        self.types
            .iter()
            .find(|t| t.plural == plural && t.group == group && t.version == version)
            .cloned()
    }

    /// Whether there is anything of a group and version.
    pub(crate) fn serves(&self, group: &str, version: &str) -> bool {
        let mut all = self.types.iter();
        all.any(|t| t.group == group && t.version == version)
    }

    /// The resource of an object's `apiVersion` and `kind`.
    pub(crate) fn of_kind(&self, api_version: &str, kind: &str) -> Option<Arc<ResourceType>> {
        self.types
            .iter()
            .find(|t| t.kind == kind && t.api_version() == api_version)
            .cloned()
    }

    /// The resource of a collection, at its preferred version.
    pub(crate) fn stored(&self, storage_key: &str) -> Option<Arc<ResourceType>> {
        self.types
            .iter()
            .find(|t| t.storage_key() == storage_key)
            .cloned()
    }

    /// Groups with their versions, preferred first, in order of appearance; the core group is `""`.
    pub(crate) fn groups(&self) -> Vec<(String, Vec<String>)> {
        let mut groups: Vec<(String, Vec<String>)> = Vec::new();
        for resource in &self.types {
            match groups
                .iter_mut()
                .find(|(group, _)| *group == resource.group)
            {
                Some((_, versions)) if versions.contains(&resource.version) => {}
                Some((_, versions)) => versions.push(resource.version.clone()),
                None => groups.push((resource.group.clone(), vec![resource.version.clone()])),
            }
        }
        groups
    }
}
