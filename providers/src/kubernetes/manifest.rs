//! Reads manifests: YAML with several documents, to JSON with every field kept.

use super::object::{Object, Type};
use kplan_model::{ErrorKind, ProviderError};
use serde::Deserialize as _;
use serde_json::Value;
use std::collections::BTreeSet;

/// Kinds of Kubernetes itself that live in no namespace.
const CLUSTER_WIDE: &[&str] = &[
    "APIService",
    "CSIDriver",
    "CSINode",
    "CertificateSigningRequest",
    "ClusterRole",
    "ClusterRoleBinding",
    "ClusterTrustBundle",
    "CustomResourceDefinition",
    "DeviceClass",
    "FlowSchema",
    "IPAddress",
    "IngressClass",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "PriorityLevelConfiguration",
    "ResourceSlice",
    "RuntimeClass",
    "ServiceCIDR",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
    "VolumeAttachment",
    "VolumeAttributesClass",
    "VolumeSnapshotClass",
];

/// The API groups of Kubernetes itself.
const BUILT_IN: &[&str] = &[
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
];

/// Whether a type is one of Kubernetes itself, not of a definition.
pub(super) fn is_built_in(of: &Type) -> bool {
    BUILT_IN.contains(&of.group())
}

/// Whether an object is known to live in no namespace.
fn is_cluster_wide(object: &Value) -> bool {
    let api = object["apiVersion"].as_str().unwrap_or_default();
    let of = Type::new(api, object["kind"].as_str().unwrap_or_default());
    let known = is_built_in(&of) || of.group() == "snapshot.storage.k8s.io";
    known && CLUSTER_WIDE.contains(&of.kind.as_str())
}

fn refused(what: &str, why: &str) -> ProviderError {
    ProviderError::new(
        ErrorKind::Invalid,
        format!("the manifest {what} cannot be used: {why}"),
    )
}

/// The objects of a manifest, in its order; `List`s are opened, empty documents skipped, and what
/// lives in no namespace names none.
///
/// `what` names the manifest in errors.
pub fn parse(what: &str, bytes: &[u8]) -> Result<Vec<Value>, ProviderError> {
    let text = std::str::from_utf8(bytes).map_err(|_| refused(what, "it is not UTF-8"))?;
    let mut objects = Vec::new();
    for document in serde_norway::Deserializer::from_str(text) {
        let unread = |error: serde_norway::Error| refused(what, &error.to_string());
        let mut yaml = serde_norway::Value::deserialize(document).map_err(unread)?;
        yaml.apply_merge().map_err(unread)?;
        let mut value = Value::deserialize(yaml).map_err(unread)?;
        modes(&mut value);
        match value {
            Value::Null => {}
            Value::Object(mut map) if map.get("kind").and_then(Value::as_str) == Some("List") => {
                let Some(Value::Array(items)) = map.remove("items") else {
                    return Err(refused(what, "a List has no items"));
                };
                objects.extend(items);
            }
            other => objects.push(other),
        }
    }
    for object in &mut objects {
        // A server takes such a namespace away; upstream's CSI driver has one.
        if is_cluster_wide(object)
            && let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut)
        {
            metadata.remove("namespace");
        }
        Object::of(object).map_err(|error| refused(what, &error.message))?;
    }
    Ok(objects)
}

/// Objects as a manifest: one document for each.
///
/// # Errors
/// `Bug` for what cannot be written as YAML.
pub fn write(objects: &[Value]) -> Result<String, ProviderError> {
    let mut text = String::new();
    for object in objects {
        let document = serde_norway::to_string(object).map_err(|error| {
            let message = format!("an object cannot be written as YAML: {error}");
            ProviderError::new(ErrorKind::Bug, message)
        })?;
        text.push_str("---\n");
        text.push_str(&document);
    }
    Ok(text)
}

/// The modes of files in volumes: kubectl reads YAML 1.1, where `0644` is a number in octal. The API
/// takes no text there, so nothing else can be meant.
fn modes(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(modes),
        Value::Object(map) => {
            for (key, value) in map {
                let octal = value
                    .as_str()
                    .filter(|_| key == "defaultMode" || key == "mode")
                    .and_then(|text| text.strip_prefix('0'))
                    .and_then(|digits| i64::from_str_radix(digits.trim_start_matches('o'), 8).ok());
                match octal {
                    Some(mode) => *value = Value::from(mode),
                    None => modes(value),
                }
            }
        }
        _ => {}
    }
}

/// Puts every object that lives in a namespace and names none into this one.
pub fn in_namespace(objects: &mut [Value], namespace: &str) {
    for object in objects {
        if !is_cluster_wide(object) && object["metadata"].get("namespace").is_none() {
            object["metadata"]["namespace"] = Value::from(namespace);
        }
    }
}

/// The same for manifests of which nothing is known: what a definition defines is put into the
/// namespace only where that definition is in the manifest and says that it lives in one.
pub fn place(objects: &mut [Value], namespace: &str) {
    let defined: BTreeSet<(String, String)> = objects
        .iter()
        .filter(|object| object["kind"] == "CustomResourceDefinition")
        .filter(|definition| definition["spec"]["scope"] == "Namespaced")
        .filter_map(|definition| {
            let spec = &definition["spec"];
            let text = |value: &Value| Some(value.as_str()?.to_owned());
            Some((text(&spec["group"])?, text(&spec["names"]["kind"])?))
        })
        .collect();
    for object in objects {
        let Ok(Object {
            of, namespace: own, ..
        }) = Object::of(object)
        else {
            continue;
        };
        let lives_in_one = if is_built_in(&of) {
            !is_cluster_wide(object)
        } else {
            defined.contains(&(of.group().to_owned(), of.kind.clone()))
        };
        if lives_in_one && own.is_none() {
            object["metadata"]["namespace"] = Value::from(namespace);
        }
    }
}

/// The one object of that kind and name, to be changed.
///
/// Fails when the manifest has none: then it is another manifest than the one this was written for.
pub fn find<'a>(
    objects: &'a mut [Value],
    kind: &str,
    name: &str,
) -> Result<&'a mut Value, ProviderError> {
    objects
        .iter_mut()
        .find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
        .ok_or_else(|| {
            ProviderError::new(
                ErrorKind::Invalid,
                format!("the upstream manifest has no {kind} {name}"),
            )
            .help("this version is laid out differently from the ones kplan was tested with")
        })
}

/// The containers of a workload, to be changed.
pub fn containers(workload: &mut Value) -> impl Iterator<Item = &mut Value> {
    workload
        .pointer_mut("/spec/template/spec/containers")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
}

/// Sets a value of a `ConfigMap` or a Secret; upstream's have no `data` where they hold nothing.
pub fn set_data(object: &mut Value, key: &str, value: impl Into<Value>) {
    if !object["data"].is_object() {
        object["data"] = serde_json::json!({});
    }
    object["data"][key] = value.into();
}

/// Sets an environment variable of a container.
pub fn set_env(container: &mut Value, name: &str, value: &str) {
    let entry = serde_json::json!({ "name": name, "value": value });
    if !container["env"].is_array() {
        container["env"] = Value::Array(Vec::new());
    }
    if let Some(env) = container["env"].as_array_mut() {
        match env.iter_mut().find(|one| one["name"] == name) {
            Some(slot) => *slot = entry,
            None => env.push(entry),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_lists_and_comments_are_read() {
        let text = "# only a comment\n---\napiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: \
                    ConfigMap\n  metadata: {name: a}\n---\n---\nkind: Secret\napiVersion: v1\nmetadata:\n  \
                    name: b\n  unknown: {kept: [1, 2.5, true, null]}\n";
        let objects = parse("test", text.as_bytes()).unwrap();
        assert_eq!(objects.len(), 2);
        assert_eq!(objects[1]["metadata"]["unknown"]["kept"][1], 2.5);
        assert!(parse("test", b"kind: Secret").is_err());
        assert!(parse("test", b"a: [").is_err());
    }

    const MIXED: &str = "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: \
        {name: a}, spec: {group: example.org, scope: Namespaced, names: {kind: Pool}}}\n---\n\
        {apiVersion: example.org/v1, kind: Pool, metadata: {name: a}}\n---\n\
        {apiVersion: example.org/v1, kind: Pool, metadata: {name: b, namespace: own}}\n---\n\
        {apiVersion: cert-manager.io/v1, kind: Issuer, metadata: {name: a}}\n---\n\
        {apiVersion: apps/v1, kind: Deployment, metadata: {name: a}}\n---\n\
        {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: a}}";

    #[test]
    fn what_kubectl_reads_as_numbers_and_merges_is_read_so() {
        let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nbase: &base {mode: '0'}\nspec:\n  \
                    <<: *base\n  volumes: [{secret: {defaultMode: 0644}}, {secret: {defaultMode: 420}}]\n";
        let pod = &parse("test", text.as_bytes()).unwrap()[0];
        assert_eq!(pod["spec"]["volumes"][0], pod["spec"]["volumes"][1]);
        assert!(pod["spec"].get("<<").is_none() && pod["spec"].get("mode").is_some());
    }

    #[test]
    fn only_what_names_no_namespace_gets_one() {
        let text = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n---\n\
                    {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: b}}\n---\n\
                    {apiVersion: v1, kind: Namespace, metadata: {name: a}}";
        let mut objects = parse("test", text.as_bytes()).unwrap();
        in_namespace(&mut objects, "x");
        let namespaces: Vec<_> = objects
            .iter()
            .map(|o| o["metadata"]["namespace"].as_str())
            .collect();
        assert_eq!(namespaces, [Some("x"), Some("b"), None]);
        let mut objects = parse("test", MIXED.as_bytes()).unwrap();
        place(&mut objects, "x");
        let placed: Vec<_> = objects
            .iter()
            .map(|o| {
                (
                    o["kind"].as_str().unwrap(),
                    o["metadata"]["namespace"].as_str(),
                )
            })
            .collect();
        assert_eq!(
            placed,
            [
                ("CustomResourceDefinition", None),
                ("Pool", Some("x")),
                ("Pool", Some("own")),
                ("Issuer", None),
                ("Deployment", Some("x")),
                ("ClusterRole", None),
            ]
        );
        let role = b"{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: a, namespace: b}}";
        assert_eq!(
            parse("test", role).unwrap()[0]["metadata"],
            serde_json::json!({"name": "a"})
        );
    }
}
