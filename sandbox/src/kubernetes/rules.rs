//! What the API server refuses in built-in objects beyond their types.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::object::{at, items, map, number, text};
use super::pod_rules;
use super::selector::LabelSelector;
use super::status::Cause;

/// Fields that never change once set: collection, path.
const IMMUTABLE: &[(&str, &[&str])] = &[
    ("apps/deployments", &["spec", "selector"]),
    ("apps/daemonsets", &["spec", "selector"]),
    ("apps/replicasets", &["spec", "selector"]),
    ("batch/jobs", &["spec", "selector"]),
    ("batch/jobs", &["spec", "template"]),
    ("/secrets", &["type"]),
    ("/services", &["spec", "clusterIP"]),
    ("/persistentvolumeclaims", &["spec", "storageClassName"]),
    ("/persistentvolumeclaims", &["spec", "accessModes"]),
    ("/persistentvolumeclaims", &["spec", "volumeMode"]),
    ("storage.k8s.io/storageclasses", &["provisioner"]),
    ("storage.k8s.io/storageclasses", &["parameters"]),
    ("storage.k8s.io/storageclasses", &["reclaimPolicy"]),
    ("storage.k8s.io/csidrivers", &["spec", "attachRequired"]),
    ("scheduling.k8s.io/priorityclasses", &["value"]),
    (
        "apiextensions.k8s.io/customresourcedefinitions",
        &["spec", "group"],
    ),
    (
        "apiextensions.k8s.io/customresourcedefinitions",
        &["spec", "scope"],
    ),
    (
        "apiextensions.k8s.io/customresourcedefinitions",
        &["spec", "names", "plural"],
    ),
    (
        "apiextensions.k8s.io/customresourcedefinitions",
        &["spec", "names", "kind"],
    ),
];

/// Fields of a `StatefulSet` that may change.
const STATEFUL_SET_MUTABLE: &[&str] = &[
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

/// Most bytes the values of a Secret or a config map have. Source: `MaxSecretSize` of
/// `k8s.io/api/core/v1`.
const MAX_DATA: usize = 1024 * 1024;

/// What is wrong with an object of a built-in resource (`group/plural`).
pub(crate) fn check(collection: &str, object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    match collection {
        "apps/deployments" | "apps/statefulsets" | "apps/daemonsets" | "apps/replicasets" => {
            workload(object, &mut causes);
        }
        "batch/jobs" => {
            let template = ["spec", "template", "spec"];
            pod_rules::check(object, &template, &mut causes);
            pod_rules::ends(object, &template, &mut causes);
        }
        "batch/cronjobs" => {
            schedule(object, &mut causes);
            let template = ["spec", "jobTemplate", "spec", "template", "spec"];
            pod_rules::check(object, &template, &mut causes);
            pod_rules::ends(object, &template, &mut causes);
        }
        "policy/poddisruptionbudgets" => budget(object, &mut causes),
        "/pods" => pod_rules::check(object, &["spec"], &mut causes),
        "/services" => service(object, &mut causes),
        "/secrets" => {
            data(object, &mut causes);
            secret(object, &mut causes);
            fits(object, &["data"], "data", &mut causes);
        }
        "/configmaps" => {
            data(object, &mut causes);
            // The server names no field here.
            fits(object, &["data", "binaryData"], "[]", &mut causes);
        }
        "/persistentvolumeclaims" => {
            if items(object, &["spec", "accessModes"]).is_empty() {
                let why = "at least 1 access mode is required";
                causes.push(Cause::missing("spec.accessModes", why));
            }
            if at(object, &["spec", "resources", "requests", "storage"]).is_none() {
                causes.push(Cause::required("spec.resources[storage]"));
            }
        }
        "storage.k8s.io/storageclasses" => required(object, &["provisioner"], &mut causes),
        "rbac.authorization.k8s.io/clusterrolebindings"
        | "rbac.authorization.k8s.io/rolebindings" => {
            binding(collection, object, &mut causes);
        }
        "rbac.authorization.k8s.io/clusterroles" | "rbac.authorization.k8s.io/roles" => {
            for (index, rule) in items(object, &["rules"]).iter().enumerate() {
                if items(rule, &["verbs"]).is_empty() {
                    causes.push(Cause::required(format!("rules[{index}].verbs")));
                }
            }
        }
        "apiextensions.k8s.io/customresourcedefinitions" => definition(object, &mut causes),
        _ => {}
    }
    if let Some(old) = old {
        unchanged(collection, object, old, &mut causes);
    }
    causes
}

fn required(object: &Value, path: &[&str], causes: &mut Vec<Cause>) {
    let absent = match at(object, path) {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        Some(_) => false,
    };
    if absent {
        causes.push(Cause::required(path.join(".")));
    }
}

fn workload(object: &Value, causes: &mut Vec<Cause>) {
    not_negative(object, "replicas", causes);
    not_negative(object, "minReadySeconds", causes);
    let selector = at(object, &["spec", "selector"]).filter(|selector| !selector.is_null());
    let labels = at(object, &["spec", "template", "metadata", "labels"]);
    if selector.is_none() {
        causes.push(Cause::required("spec.selector"));
    }
    let fits = selector.is_some_and(|selector| {
        LabelSelector::of_spec(selector).matches(labels.and_then(Value::as_object))
    });
    if !fits {
        let shown = labels.cloned().unwrap_or_default();
        let why = "`selector` does not match template `labels`";
        causes.push(Cause::invalid("spec.template.metadata.labels", &shown, why));
    }
    pod_rules::check(object, &["spec", "template", "spec"], causes);
    let restart = text(object, &["spec", "template", "spec", "restartPolicy"]);
    if restart.is_some_and(|policy| policy != "Always") {
        let value = Value::from(restart);
        causes.push(Cause::not_supported(
            "spec.template.spec.restartPolicy",
            &value,
            &["Always".into()],
        ));
    }
}

fn not_negative(object: &Value, field: &str, causes: &mut Vec<Cause>) {
    let value = number(object, &["spec", field]).unwrap_or(0);
    if value < 0 {
        let why = "must be greater than or equal to 0";
        causes.push(Cause::invalid(format!("spec.{field}"), &value.into(), why));
    }
}

/// A schedule has five fields, or is one of the named ones.
fn schedule(object: &Value, causes: &mut Vec<Cause>) {
    let schedule = text(object, &["spec", "schedule"]).unwrap_or_default();
    if schedule.is_empty() {
        causes.push(Cause::required("spec.schedule"));
        return;
    }
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    if fields.len() != 5 && !schedule.starts_with('@') {
        let why = format!(
            "expected exactly 5 fields, found {}: [{}]",
            fields.len(),
            fields.join(" ")
        );
        causes.push(Cause::invalid("spec.schedule", &schedule.into(), &why));
    }
}

fn budget(object: &Value, causes: &mut Vec<Cause>) {
    let set = |field: &str| at(object, &["spec", field]).is_some_and(|value| !value.is_null());
    if set("minAvailable") && set("maxUnavailable") {
        let why = "minAvailable and maxUnavailable cannot be both set";
        causes.push(Cause::invalid("spec", &object["spec"], why));
    }
}

fn binding(collection: &str, object: &Value, causes: &mut Vec<Cause>) {
    let kinds: &[&str] = if collection.ends_with("clusterrolebindings") {
        &["ClusterRole"]
    } else {
        &["Role", "ClusterRole"]
    };
    let kind = text(object, &["roleRef", "kind"]).unwrap_or_default();
    if !kinds.contains(&kind) {
        let allowed: Vec<Value> = kinds.iter().map(|&kind| kind.into()).collect();
        causes.push(Cause::not_supported("roleRef.kind", &kind.into(), &allowed));
    }
    required(object, &["roleRef", "name"], causes);
    for (index, subject) in items(object, &["subjects"]).iter().enumerate() {
        if text(subject, &["name"]).is_none_or(str::is_empty) {
            causes.push(Cause::required(format!("subjects[{index}].name")));
        }
        let account = text(subject, &["kind"]) == Some("ServiceAccount");
        let anywhere = text(subject, &["namespace"]).is_none_or(str::is_empty);
        // In a RoleBinding it is the binding's.
        if account && anywhere && text(object, &["kind"]) == Some("ClusterRoleBinding") {
            causes.push(Cause::required(format!("subjects[{index}].namespace")));
        }
    }
}

/// Keys that secrets of a type must have.
const SECRET_KEYS: &[(&str, &[&str])] = &[
    ("kubernetes.io/tls", &["tls.crt", "tls.key"]),
    ("kubernetes.io/dockerconfigjson", &[".dockerconfigjson"]),
    ("kubernetes.io/dockercfg", &[".dockercfg"]),
    ("kubernetes.io/ssh-auth", &["ssh-privatekey"]),
];

fn secret(object: &Value, causes: &mut Vec<Cause>) {
    let kind = text(object, &["type"]).unwrap_or_default();
    let keys = SECRET_KEYS.iter().find(|(known, _)| *known == kind);
    for key in keys.into_iter().flat_map(|(_, keys)| *keys) {
        if at(object, &["data", key]).is_none() {
            causes.push(Cause::required(format!("data[{key}]")));
        }
    }
}

fn service(object: &Value, causes: &mut Vec<Cause>) {
    let headless = text(object, &["spec", "clusterIP"]) == Some("None");
    let external = text(object, &["spec", "type"]) == Some("ExternalName");
    let ports = items(object, &["spec", "ports"]);
    if ports.is_empty() && !headless && !external {
        causes.push(Cause::required("spec.ports"));
    }
    for (index, port) in ports.iter().enumerate() {
        if ports.len() > 1 && text(port, &["name"]).is_none_or(str::is_empty) {
            causes.push(Cause::required(format!("spec.ports[{index}].name")));
        }
        let number = port["port"].as_i64().unwrap_or(0);
        if !(1..=65_535).contains(&number) {
            let field = format!("spec.ports[{index}].port");
            causes.push(Cause::invalid(
                field,
                &port["port"],
                "must be between 1 and 65535, inclusive",
            ));
        }
    }
}

fn data(object: &Value, causes: &mut Vec<Cause>) {
    let fits = |key: &str| {
        !key.is_empty()
            && key.len() <= 253
            && key
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    for (key, _) in map(object, &["data"])
        .into_iter()
        .flatten()
        .filter(|(key, _)| !fits(key))
    {
        let why = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
        causes.push(Cause::invalid(
            format!("data[{key}]"),
            &key.as_str().into(),
            why,
        ));
    }
}

/// The values of a Secret or a config map together are limited; what is Base64 counts decoded.
fn fits(object: &Value, fields: &[&str], named: &str, causes: &mut Vec<Cause>) {
    let plain = object["kind"] == "ConfigMap";
    let mut size = 0;
    for field in fields {
        for value in map(object, &[field])
            .into_iter()
            .flat_map(|map| map.values())
        {
            let text = value.as_str().unwrap_or_default();
            size += if plain && *field == "data" {
                text.len()
            } else {
                STANDARD.decode(text).map_or(0, |bytes| bytes.len())
            };
        }
    }
    if size > MAX_DATA {
        causes.push(Cause::too_long(named, MAX_DATA as u64));
    }
}

/// Fields of bytes that are not Base64, which already decoding refuses.
pub(crate) fn undecodable(collection: &str, object: &Value) -> Option<String> {
    let field = match collection {
        "/secrets" => "data",
        "/configmaps" => "binaryData",
        _ => return None,
    };
    map(object, &[field])
        .into_iter()
        .flatten()
        .find(|(_, value)| {
            value
                .as_str()
                .is_some_and(|text| STANDARD.decode(text).is_err())
        })
        .map(|(_, value)| {
            let valid = |c: &char| c.is_ascii_alphanumeric() || "+/=\r\n".contains(*c);
            let text = value.as_str().unwrap_or_default();
            let at = text.chars().take_while(valid).count();
            format!("illegal base64 data at input byte {at}")
        })
}

fn definition(object: &Value, causes: &mut Vec<Cause>) {
    let plural = text(object, &["spec", "names", "plural"]).unwrap_or_default();
    let group = text(object, &["spec", "group"]).unwrap_or_default();
    let name = text(object, &["metadata", "name"]).unwrap_or_default();
    if name != format!("{plural}.{group}") {
        let why = "must be spec.names.plural+\".\"+spec.group";
        causes.push(Cause::invalid("metadata.name", &name.into(), why));
    }
    for path in [
        &["spec", "group"][..],
        &["spec", "names", "plural"],
        &["spec", "names", "kind"],
        &["spec", "scope"],
    ] {
        required(object, path, causes);
    }
    if !group.is_empty() && !group.contains('.') {
        let why = "should be a domain with at least one dot";
        causes.push(Cause::invalid("spec.group", &group.into(), why));
    }
    if let Some(scope) = text(object, &["spec", "scope"])
        && !matches!(scope, "Cluster" | "Namespaced")
    {
        let allowed = ["Cluster".into(), "Namespaced".into()];
        causes.push(Cause::not_supported("spec.scope", &scope.into(), &allowed));
    }
    let versions = items(object, &["spec", "versions"]);
    let storage = versions
        .iter()
        .filter(|version| version["storage"] == Value::Bool(true))
        .count();
    if storage != 1 {
        let why = "must have exactly one version marked as storage version";
        causes.push(Cause::invalid(
            "spec.versions",
            &Value::Array(versions.to_vec()),
            why,
        ));
    }
    for (index, version) in versions.iter().enumerate() {
        if at(version, &["schema", "openAPIV3Schema"]).is_none() {
            causes.push(Cause::required(format!(
                "spec.versions[{index}].schema.openAPIV3Schema"
            )));
        }
    }
}

/// What may not change is said before what follows from its change.
fn unchanged(collection: &str, object: &Value, old: &Value, causes: &mut Vec<Cause>) {
    for (_, path) in IMMUTABLE.iter().filter(|(kind, _)| *kind == collection) {
        let (before, after) = (at(old, path), at(object, path));
        if before != after && before.is_some_and(|value| !value.is_null()) {
            let shown = after.cloned().unwrap_or_default();
            causes.push(Cause::invalid(path.join("."), &shown, "field is immutable"));
        }
    }
    if collection.starts_with("rbac.") && old.get("roleRef") != object.get("roleRef") {
        let shown = object.get("roleRef").cloned().unwrap_or_default();
        causes.push(Cause::invalid("roleRef", &shown, "cannot change roleRef"));
    }
    if collection == "apps/statefulsets" {
        let others = |object: &Value| {
            let mut spec = map(object, &["spec"]).cloned().unwrap_or_default();
            spec.retain(|key, _| !STATEFUL_SET_MUTABLE.contains(&key.as_str()));
            spec
        };
        if others(old) != others(object) {
            let fields = STATEFUL_SET_MUTABLE
                .iter()
                .map(|field| format!("'{field}'"))
                .collect::<Vec<_>>();
            let why = format!(
                "updates to statefulset spec for fields other than {} are forbidden",
                fields.join(", ")
            );
            causes.push(Cause::forbidden("spec", &why));
        }
    }
    let immutable =
        object["immutable"] == Value::Bool(true) || old["immutable"] == Value::Bool(true);
    if matches!(collection, "/secrets" | "/configmaps")
        && old["immutable"] == Value::Bool(true)
        && immutable
        && (old.get("data") != object.get("data") || object["immutable"] != Value::Bool(true))
    {
        causes.push(Cause::forbidden(
            "data",
            "field is immutable when `immutable` is set",
        ));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(collection: &str, object: &Value, old: Option<&Value>) -> Vec<String> {
        check(collection, object, old)
            .into_iter()
            .map(|cause| cause.field)
            .collect()
    }

    #[test]
    fn workloads_need_matching_labels_and_complete_containers() {
        let mut object = json!({"spec": {
            "selector": {"matchLabels": {"app": "x"}},
            "template": {"metadata": {"labels": {"app": "y"}},
                         "spec": {"containers": [{"name": "c", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]}},
        }});
        assert_eq!(
            fields("apps/deployments", &object, None),
            [
                "spec.template.metadata.labels",
                "spec.template.spec.containers[0].image",
                "spec.template.spec.containers[0].volumeMounts[0].name",
            ]
        );
        object["spec"]["template"]["metadata"]["labels"]["app"] = "x".into();
        object["spec"]["template"]["spec"]["containers"] = json!([{"name": "c", "image": "i"}]);
        assert!(fields("apps/deployments", &object, None).is_empty());
        let mut changed = object.clone();
        changed["spec"]["selector"]["matchLabels"] = json!({});
        assert_eq!(
            fields("apps/deployments", &changed, Some(&object)),
            ["spec.selector"]
        );
    }

    #[test]
    fn a_stateful_set_changes_only_in_some_fields() {
        let object = json!({"spec": {"selector": {}, "serviceName": "a", "replicas": 1,
            "template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}}});
        let mut scaled = object.clone();
        scaled["spec"]["replicas"] = 2.into();
        assert!(fields("apps/statefulsets", &scaled, Some(&object)).is_empty());
        scaled["spec"]["serviceName"] = "b".into();
        assert_eq!(
            fields("apps/statefulsets", &scaled, Some(&object)),
            ["spec"]
        );
    }
}
