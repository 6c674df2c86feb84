//! Kubernetes's own types as a judge of the objects kplan writes. Tests of the library and beside it
//! include this file.

use serde_json::Value;

/// Kubernetes' own types know every field of what kplan writes: reading drops what they do not
/// know, so what comes back would differ.
#[track_caller]
pub(crate) fn survives(object: &Value) {
    fn through<T: serde::de::DeserializeOwned + serde::Serialize>(object: &Value) -> Value {
        let read: T = serde_json::from_value(object.clone())
            .unwrap_or_else(|error| panic!("{error}: {object}"));
        serde_json::to_value(read).unwrap()
    }
    use k8s_openapi::api::{
        apps::v1 as apps, batch::v1 as batch, core::v1 as core, networking::v1 as networking,
        policy::v1 as policy, rbac::v1 as rbac,
    };
    let kind = object["kind"].as_str().unwrap();
    let back = match (object["apiVersion"].as_str().unwrap(), kind) {
        ("v1", "Namespace") => through::<core::Namespace>(object),
        ("v1", "ServiceAccount") => through::<core::ServiceAccount>(object),
        ("v1", "ConfigMap") => through::<core::ConfigMap>(object),
        ("v1", "Secret") => through::<core::Secret>(object),
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding") => {
            through::<rbac::ClusterRoleBinding>(object)
        }
        ("apps/v1", "Deployment") => through::<apps::Deployment>(object),
        ("apps/v1", "DaemonSet") => through::<apps::DaemonSet>(object),
        ("batch/v1", "Job") => through::<batch::Job>(object),
        ("policy/v1", "Eviction") => through::<policy::Eviction>(object),
        ("networking.k8s.io/v1", "Ingress") => through::<networking::Ingress>(object),
        (version, _) => panic!("{version} {kind} is not compared"),
    };
    assert_eq!(&back, object);
}
