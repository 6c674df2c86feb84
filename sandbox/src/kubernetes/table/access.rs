//! Columns of kinds about access, admission, leases and quotas.

use serde_json::{Value, json};

use super::cells::{Cells, Entry, string};
use super::{Column, name};
use crate::kubernetes::object::{items, map, number, text};

/// The layouts of this file.
pub(super) const LAYOUTS: &[Entry] = &[
    (
        "rbac.authorization.k8s.io/clusterrolebindings",
        BINDING,
        binding,
    ),
    ("rbac.authorization.k8s.io/rolebindings", BINDING, binding),
    ("/resourcequotas", QUOTA, quota),
    ("policy/poddisruptionbudgets", BUDGET, budget),
    ("scheduling.k8s.io/priorityclasses", PRIORITY, priority),
    ("node.k8s.io/runtimeclasses", RUNTIME, runtime),
    ("coordination.k8s.io/leases", LEASE, lease),
    ("apiregistration.k8s.io/apiservices", SERVICE, api_service),
    (
        "admissionregistration.k8s.io/mutatingwebhookconfigurations",
        WEBHOOKS,
        webhooks,
    ),
    (
        "admissionregistration.k8s.io/validatingwebhookconfigurations",
        WEBHOOKS,
        webhooks,
    ),
];

const BINDING: &[Column] = &[
    ("Name", "string", 0),
    ("Role", "string", 0),
    ("Age", "string", 0),
    ("Users", "string", 1),
    ("Groups", "string", 1),
    ("ServiceAccounts", "string", 1),
];

fn binding(object: &Value, age: &str) -> Cells {
    let reference = json!(format!(
        "{}/{}",
        text(object, &["roleRef", "kind"]).unwrap_or_default(),
        text(object, &["roleRef", "name"]).unwrap_or_default()
    ));
    let subjects = |kind: &str| -> Value {
        items(object, &["subjects"])
            .iter()
            .filter(|subject| text(subject, &["kind"]) == Some(kind))
            .map(|subject| match text(subject, &["namespace"]) {
                Some(namespace) => format!("{namespace}/{}", string(subject, &["name"])),
                None => string(subject, &["name"]),
            })
            .collect::<Vec<_>>()
            .join(", ")
            .into()
    };
    vec![
        name(object),
        reference,
        age.into(),
        subjects("User"),
        subjects("Group"),
        subjects("ServiceAccount"),
    ]
}

const QUOTA: &[Column] = &[
    ("Name", "string", 0),
    ("Request", "string", 0),
    ("Limit", "string", 0),
    ("Age", "string", 0),
];

fn quota(object: &Value, age: &str) -> Cells {
    let shown = |limits: bool| -> Value {
        map(object, &["status", "hard"])
            .into_iter()
            .flatten()
            .filter(|(key, _)| key.starts_with("limits.") == limits)
            .map(|(key, hard)| {
                let used = text(object, &["status", "used", key]).unwrap_or("0");
                format!("{key}: {used}/{}", hard.as_str().unwrap_or_default())
            })
            .collect::<Vec<_>>()
            .join(", ")
            .into()
    };
    vec![name(object), shown(false), shown(true), age.into()]
}

const BUDGET: &[Column] = &[
    ("Name", "string", 0),
    ("Min Available", "string", 0),
    ("Max Unavailable", "string", 0),
    ("Allowed Disruptions", "integer", 0),
    ("Age", "string", 0),
];

fn budget(object: &Value, age: &str) -> Cells {
    let bound = |field: &str| match &object["spec"][field] {
        Value::Null => json!("N/A"),
        Value::String(text) => json!(text),
        other => json!(other.to_string()),
    };
    vec![
        name(object),
        bound("minAvailable"),
        bound("maxUnavailable"),
        number(object, &["status", "disruptionsAllowed"])
            .unwrap_or(0)
            .into(),
        age.into(),
    ]
}

const PRIORITY: &[Column] = &[
    ("Name", "string", 0),
    ("Value", "integer", 0),
    ("Global-Default", "boolean", 0),
    ("Age", "string", 0),
    ("PreemptionPolicy", "string", 0),
];

fn priority(object: &Value, age: &str) -> Cells {
    vec![
        name(object),
        number(object, &["value"]).unwrap_or(0).into(),
        (object["globalDefault"] == json!(true)).into(),
        age.into(),
        string(object, &["preemptionPolicy"]).into(),
    ]
}

const RUNTIME: &[Column] = &[
    ("Name", "string", 0),
    ("Handler", "string", 0),
    ("Age", "string", 0),
];

fn runtime(object: &Value, age: &str) -> Cells {
    vec![
        name(object),
        string(object, &["handler"]).into(),
        age.into(),
    ]
}

const LEASE: &[Column] = &[
    ("Name", "string", 0),
    ("Holder", "string", 0),
    ("Age", "string", 0),
];

fn lease(object: &Value, age: &str) -> Cells {
    let holder = string(object, &["spec", "holderIdentity"]);
    vec![name(object), holder.into(), age.into()]
}

const SERVICE: &[Column] = &[
    ("Name", "string", 0),
    ("Service", "string", 0),
    ("Available", "string", 0),
    ("Age", "string", 0),
];

fn api_service(object: &Value, age: &str) -> Cells {
    let service = match text(object, &["spec", "service", "name"]) {
        Some(found) => format!(
            "{}/{found}",
            string(object, &["spec", "service", "namespace"])
        ),
        None => "Local".to_owned(),
    };
    let available = crate::kubernetes::object::condition(object, "Available").unwrap_or("Unknown");
    vec![name(object), service.into(), available.into(), age.into()]
}

const WEBHOOKS: &[Column] = &[
    ("Name", "string", 0),
    ("Webhooks", "integer", 0),
    ("Age", "string", 0),
];

fn webhooks(object: &Value, age: &str) -> Cells {
    vec![
        name(object),
        items(object, &["webhooks"]).len().into(),
        age.into(),
    ]
}
