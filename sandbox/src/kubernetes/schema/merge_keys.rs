//! How lists and maps of the built-in types merge: the table the type definitions lack.
//!
//! Source: the markers `+listType`, `+listMapKey`, `+mapType` and `+structType` of the Kubernetes
//! API types, as published in `api/openapi-spec/swagger.json` of release 1.35 under
//! `x-kubernetes-list-type`, `x-kubernetes-list-map-keys` and `x-kubernetes-map-type`, and
//! described in the reference page "Server-Side Apply, merge strategy". What is not named here is
//! what the API conventions say for unmarked fields: lists atomic, maps and structs granular.
//! `STRATEGIC` is `x-kubernetes-patch-merge-key` where it differs from the keys for apply.

use serde_json::{Map, Value, json};

const CORE: &str = "io.k8s.api.core.v1.";
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";

/// Lists whose items are told apart by the named fields: type, field, keys.
const LIST_MAPS: &[(&str, &str, &[&str])] = &[
    (
        "io.k8s.api.admissionregistration.v1.MutatingWebhook",
        "matchConditions",
        &["name"],
    ),
    (
        "io.k8s.api.admissionregistration.v1.MutatingWebhookConfiguration",
        "webhooks",
        &["name"],
    ),
    (
        "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicySpec",
        "matchConditions",
        &["name"],
    ),
    (
        "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicySpec",
        "variables",
        &["name"],
    ),
    (
        "io.k8s.api.admissionregistration.v1.ValidatingWebhook",
        "matchConditions",
        &["name"],
    ),
    (
        "io.k8s.api.admissionregistration.v1.ValidatingWebhookConfiguration",
        "webhooks",
        &["name"],
    ),
    (
        "io.k8s.api.apps.v1.DaemonSetStatus",
        "conditions",
        &["type"],
    ),
    (
        "io.k8s.api.apps.v1.DeploymentStatus",
        "conditions",
        &["type"],
    ),
    (
        "io.k8s.api.apps.v1.ReplicaSetStatus",
        "conditions",
        &["type"],
    ),
    (
        "io.k8s.api.apps.v1.StatefulSetStatus",
        "conditions",
        &["type"],
    ),
    (
        "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerStatus",
        "conditions",
        &["type"],
    ),
    (
        "io.k8s.api.certificates.v1.CertificateSigningRequestStatus",
        "conditions",
        &["type"],
    ),
    ("io.k8s.api.core.v1.Container", "env", &["name"]),
    (
        "io.k8s.api.core.v1.Container",
        "ports",
        &["containerPort", "protocol"],
    ),
    (
        "io.k8s.api.core.v1.Container",
        "volumeDevices",
        &["devicePath"],
    ),
    (
        "io.k8s.api.core.v1.Container",
        "volumeMounts",
        &["mountPath"],
    ),
    ("io.k8s.api.core.v1.EphemeralContainer", "env", &["name"]),
    (
        "io.k8s.api.core.v1.EphemeralContainer",
        "ports",
        &["containerPort", "protocol"],
    ),
    (
        "io.k8s.api.core.v1.EphemeralContainer",
        "volumeDevices",
        &["devicePath"],
    ),
    (
        "io.k8s.api.core.v1.EphemeralContainer",
        "volumeMounts",
        &["mountPath"],
    ),
    (
        "io.k8s.api.core.v1.NamespaceStatus",
        "conditions",
        &["type"],
    ),
    ("io.k8s.api.core.v1.NodeStatus", "addresses", &["type"]),
    ("io.k8s.api.core.v1.NodeStatus", "conditions", &["type"]),
    (
        "io.k8s.api.core.v1.PersistentVolumeClaimStatus",
        "conditions",
        &["type"],
    ),
    ("io.k8s.api.core.v1.PodSpec", "containers", &["name"]),
    (
        "io.k8s.api.core.v1.PodSpec",
        "ephemeralContainers",
        &["name"],
    ),
    ("io.k8s.api.core.v1.PodSpec", "hostAliases", &["ip"]),
    ("io.k8s.api.core.v1.PodSpec", "imagePullSecrets", &["name"]),
    ("io.k8s.api.core.v1.PodSpec", "initContainers", &["name"]),
    ("io.k8s.api.core.v1.PodSpec", "resourceClaims", &["name"]),
    ("io.k8s.api.core.v1.PodSpec", "schedulingGates", &["name"]),
    (
        "io.k8s.api.core.v1.PodSpec",
        "topologySpreadConstraints",
        &["topologyKey", "whenUnsatisfiable"],
    ),
    ("io.k8s.api.core.v1.PodSpec", "volumes", &["name"]),
    ("io.k8s.api.core.v1.PodStatus", "conditions", &["type"]),
    ("io.k8s.api.core.v1.PodStatus", "podIPs", &["ip"]),
    (
        "io.k8s.api.core.v1.ReplicationControllerStatus",
        "conditions",
        &["type"],
    ),
    (
        "io.k8s.api.core.v1.ResourceRequirements",
        "claims",
        &["name"],
    ),
    ("io.k8s.api.core.v1.ServiceAccount", "secrets", &["name"]),
    (
        "io.k8s.api.core.v1.ServiceSpec",
        "ports",
        &["port", "protocol"],
    ),
    ("io.k8s.api.core.v1.ServiceStatus", "conditions", &["type"]),
    (
        "io.k8s.api.flowcontrol.v1.FlowSchemaStatus",
        "conditions",
        &["type"],
    ),
    (
        "io.k8s.api.flowcontrol.v1.PriorityLevelConfigurationStatus",
        "conditions",
        &["type"],
    ),
    (
        "io.k8s.api.policy.v1.PodDisruptionBudgetStatus",
        "conditions",
        &["type"],
    ),
    ("io.k8s.api.storage.v1.CSINodeSpec", "drivers", &["name"]),
    (
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionStatus",
        "conditions",
        &["type"],
    ),
    (
        "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIServiceStatus",
        "conditions",
        &["type"],
    ),
    (
        "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
        "ownerReferences",
        &["uid"],
    ),
];

/// Lists that are sets of scalars: type, field.
const SETS: &[(&str, &str)] = &[
    (
        "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicyBindingSpec",
        "validationActions",
    ),
    (
        "io.k8s.api.batch.v1.PodFailurePolicyOnExitCodesRequirement",
        "values",
    ),
    ("io.k8s.api.batch.v1.UncountedTerminatedPods", "failed"),
    ("io.k8s.api.batch.v1.UncountedTerminatedPods", "succeeded"),
    ("io.k8s.api.core.v1.NodeSpec", "podCIDRs"),
    ("io.k8s.api.discovery.v1.Endpoint", "addresses"),
    (
        "io.k8s.api.flowcontrol.v1.NonResourcePolicyRule",
        "nonResourceURLs",
    ),
    ("io.k8s.api.flowcontrol.v1.NonResourcePolicyRule", "verbs"),
    ("io.k8s.api.flowcontrol.v1.ResourcePolicyRule", "apiGroups"),
    ("io.k8s.api.flowcontrol.v1.ResourcePolicyRule", "namespaces"),
    ("io.k8s.api.flowcontrol.v1.ResourcePolicyRule", "resources"),
    ("io.k8s.api.flowcontrol.v1.ResourcePolicyRule", "verbs"),
    (
        "io.k8s.api.storage.v1.CSIDriverSpec",
        "volumeLifecycleModes",
    ),
    (
        "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
        "finalizers",
    ),
];

/// Types that are owned as a whole.
const ATOMIC_TYPES: &[&str] = &[
    "io.k8s.api.admissionregistration.v1.MatchResources",
    "io.k8s.api.admissionregistration.v1.NamedRuleWithOperations",
    "io.k8s.api.admissionregistration.v1.ParamKind",
    "io.k8s.api.admissionregistration.v1.ParamRef",
    "io.k8s.api.admissionregistration.v1.Variable",
    "io.k8s.api.core.v1.ConfigMapKeySelector",
    "io.k8s.api.core.v1.EndpointAddress",
    "io.k8s.api.core.v1.EndpointPort",
    "io.k8s.api.core.v1.FileKeySelector",
    "io.k8s.api.core.v1.LocalObjectReference",
    "io.k8s.api.core.v1.NodeSelector",
    "io.k8s.api.core.v1.NodeSelectorTerm",
    "io.k8s.api.core.v1.ObjectFieldSelector",
    "io.k8s.api.core.v1.ObjectReference",
    "io.k8s.api.core.v1.ResourceFieldSelector",
    "io.k8s.api.core.v1.ScopeSelector",
    "io.k8s.api.core.v1.SecretKeySelector",
    "io.k8s.api.core.v1.SecretReference",
    "io.k8s.api.core.v1.TopologySelectorTerm",
    "io.k8s.api.core.v1.TypedLocalObjectReference",
    "io.k8s.api.discovery.v1.EndpointPort",
    "io.k8s.api.networking.v1.ServiceBackendPort",
    "io.k8s.api.rbac.v1.RoleRef",
    "io.k8s.api.rbac.v1.Subject",
    "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector",
    "io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference",
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1",
    "io.k8s.apimachinery.pkg.runtime.RawExtension",
];

/// Map fields that are owned as a whole: type, field.
const ATOMIC_FIELDS: &[(&str, &str)] = &[
    ("io.k8s.api.core.v1.PodSpec", "nodeSelector"),
    ("io.k8s.api.core.v1.ReplicationControllerSpec", "selector"),
    ("io.k8s.api.core.v1.ServiceSpec", "selector"),
    ("io.k8s.api.node.v1.Scheduling", "nodeSelector"),
];

/// Key fields with a default, so that an item may leave them out: type, field, default.
const KEY_DEFAULTS: &[(&str, &str, &str)] = &[
    ("io.k8s.api.core.v1.ContainerPort", "protocol", "TCP"),
    ("io.k8s.api.core.v1.ServicePort", "protocol", "TCP"),
];

/// Keys of strategic merge patch where they differ from those of server-side apply, or where the
/// list is atomic for apply: type without its package, field, key (empty: a set of scalars).
const STRATEGIC: &[(&str, &str, &str, &str)] = &[
    (CORE, "Container", "ports", "containerPort"),
    (CORE, "EphemeralContainer", "ports", "containerPort"),
    (CORE, "ServiceSpec", "ports", "port"),
    (CORE, "PodSpec", "topologySpreadConstraints", "topologyKey"),
    (CORE, "NodeSpec", "taints", "key"),
    (CORE, "NodeSpec", "podCIDRs", ""),
    (CORE, "PersistentVolumeClaimStatus", "conditions", "type"),
    ("io.k8s.api.batch.v1.", "JobStatus", "conditions", "type"),
    (META, "ObjectMeta", "ownerReferences", "uid"),
    (META, "ObjectMeta", "finalizers", ""),
];

/// Writes the table into type definitions as the extensions the API server publishes.
pub(super) fn annotate(definitions: &mut Map<String, Value>) {
    for (kind, field, keys) in LIST_MAPS {
        annotate_field(definitions, kind, field, |schema| {
            schema.insert("x-kubernetes-list-type".into(), "map".into());
            schema.insert("x-kubernetes-list-map-keys".into(), json!(keys));
            if let [key] = keys {
                schema.insert("x-kubernetes-patch-merge-key".into(), json!(key));
                schema.insert("x-kubernetes-patch-strategy".into(), "merge".into());
            }
        });
    }
    for (kind, field) in SETS {
        annotate_field(definitions, kind, field, |schema| {
            schema.insert("x-kubernetes-list-type".into(), "set".into());
        });
    }
    for (kind, field) in ATOMIC_FIELDS {
        annotate_field(definitions, kind, field, |schema| {
            schema.insert("x-kubernetes-map-type".into(), "atomic".into());
        });
    }
    for (kind, field, default) in KEY_DEFAULTS {
        annotate_field(definitions, kind, field, |schema| {
            schema.insert("default".into(), json!(default));
        });
    }
    for (package, kind, field, key) in STRATEGIC {
        annotate_field(definitions, &format!("{package}{kind}"), field, |schema| {
            schema.insert("x-kubernetes-patch-strategy".into(), "merge".into());
            if !key.is_empty() {
                schema.insert("x-kubernetes-patch-merge-key".into(), json!(key));
            }
        });
    }
    for kind in ATOMIC_TYPES {
        if let Some(Value::Object(schema)) = definitions.get_mut(*kind) {
            schema.insert("x-kubernetes-map-type".into(), "atomic".into());
        }
    }
}

fn annotate_field(
    definitions: &mut Map<String, Value>,
    kind: &str,
    field: &str,
    change: impl FnOnce(&mut Map<String, Value>),
) {
    let schema = definitions
        .get_mut(kind)
        .and_then(|definition| definition.get_mut("properties"))
        .and_then(|properties| properties.get_mut(field));
    if let Some(Value::Object(schema)) = schema {
        change(schema);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A typo in the table would silently make a list atomic.
    #[test]
    fn every_entry_names_a_type_and_field_that_exist() {
        let definitions = super::super::core::definitions();
        let has = |kind: &str, field: &str| {
            definitions
                .get(kind)
                .is_some_and(|d| d["properties"].get(field).is_some())
        };
        for (kind, field, keys) in LIST_MAPS {
            assert!(has(kind, field), "{kind}.{field}");
            let item = definitions[*kind]["properties"][field]["items"]["$ref"]
                .as_str()
                .unwrap();
            let item = item.rsplit('/').next().unwrap();
            assert!(
                keys.iter().all(|key| has(item, key)),
                "{kind}.{field}: {keys:?} in {item}"
            );
        }
        for (kind, field) in SETS.iter().chain(ATOMIC_FIELDS) {
            assert!(has(kind, field), "{kind}.{field}");
        }
        for (kind, field, _) in KEY_DEFAULTS {
            assert!(has(kind, field), "{kind}.{field}");
        }
        for (package, kind, field, _) in STRATEGIC {
            assert!(has(&format!("{package}{kind}"), field), "{kind}.{field}");
        }
        for kind in ATOMIC_TYPES {
            assert!(definitions.contains_key(*kind), "{kind}");
        }
    }
}
