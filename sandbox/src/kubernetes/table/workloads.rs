//! Columns of workload kinds that have more than a count of replicas.

use serde_json::{Value, json};

use super::cells::{Cells, Entry, containers_of, pairs, string};
use super::{Column, name};
use crate::kubernetes::object::{self, items, number, text};

/// The layouts of this file.
pub(super) const LAYOUTS: &[Entry] = &[
    ("batch/cronjobs", CRON_JOB, cron_job),
    ("apps/controllerrevisions", REVISION, revision),
    ("autoscaling/horizontalpodautoscalers", SCALER, scaler),
    ("/podtemplates", TEMPLATE, template),
];

const CRON_JOB: &[Column] = &[
    ("Name", "string", 0),
    ("Schedule", "string", 0),
    ("Timezone", "string", 0),
    ("Suspend", "boolean", 0),
    ("Active", "integer", 0),
    ("Last Schedule", "string", 0),
    ("Age", "string", 0),
    ("Containers", "string", 1),
    ("Images", "string", 1),
    ("Selector", "string", 1),
];

fn cron_job(object: &Value, age: &str) -> Cells {
    let zone = text(object, &["spec", "timeZone"]).unwrap_or("<none>");
    let suspended = if object::flag(object, &["spec", "suspend"]) {
        "True"
    } else {
        "False"
    };
    let template = &object["spec"]["jobTemplate"]["spec"]["template"];
    let [names, images, _] = containers_of(object, template);
    vec![
        name(object),
        string(object, &["spec", "schedule"]).into(),
        zone.into(),
        suspended.into(),
        items(object, &["status", "active"]).len().into(),
        // The sandbox starts no jobs by itself.
        "<none>".into(),
        age.into(),
        names,
        images,
        "<none>".into(),
    ]
}

const REVISION: &[Column] = &[
    ("Name", "string", 0),
    ("Controller", "string", 0),
    ("Revision", "string", 0),
    ("Age", "string", 0),
];

fn revision(object: &Value, age: &str) -> Cells {
    let owner = items(object, &["metadata", "ownerReferences"])
        .iter()
        .find(|owner| object::flag(owner, &["controller"]));
    let controller = owner.map_or_else(
        || "<none>".to_owned(),
        |owner| {
            let version = string(owner, &["apiVersion"]);
            let group = version.split_once('/').map_or("", |(group, _)| group);
            let kind = string(owner, &["kind"]).to_lowercase();
            format!("{kind}.{group}/{}", string(owner, &["name"]))
        },
    );
    vec![
        name(object),
        controller.into(),
        number(object, &["revision"]).unwrap_or(0).into(),
        age.into(),
    ]
}

const SCALER: &[Column] = &[
    ("Name", "string", 0),
    ("Reference", "string", 0),
    ("Targets", "string", 0),
    ("MinPods", "string", 0),
    ("MaxPods", "string", 0),
    ("Replicas", "string", 0),
    ("Age", "string", 0),
];

fn scaler(object: &Value, age: &str) -> Cells {
    let target = format!(
        "{}/{}",
        string(object, &["spec", "scaleTargetRef", "kind"]),
        string(object, &["spec", "scaleTargetRef", "name"])
    );
    let metrics: Vec<String> = items(object, &["spec", "metrics"])
        .iter()
        .map(|metric| {
            let resource = &metric["resource"];
            let wanted = number(resource, &["target", "averageUtilization"]).unwrap_or(0);
            format!("{}: <unknown>/{wanted}%", string(resource, &["name"]))
        })
        .collect();
    let least = number(object, &["spec", "minReplicas"]).map_or(json!("<unset>"), Value::from);
    vec![
        name(object),
        target.into(),
        metrics.join(", ").into(),
        least,
        object["spec"]["maxReplicas"].clone(),
        number(object, &["status", "currentReplicas"])
            .unwrap_or(0)
            .into(),
        age.into(),
    ]
}

const TEMPLATE: &[Column] = &[
    ("Name", "string", 0),
    ("Containers", "string", 0),
    ("Images", "string", 0),
    ("Pod Labels", "string", 0),
];

fn template(object: &Value, _: &str) -> Cells {
    let [names, images, _] = containers_of(object, &object["template"]);
    let labels = pairs(object, &["template", "metadata", "labels"]);
    vec![name(object), names, images, labels.into()]
}
