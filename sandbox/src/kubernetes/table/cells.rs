//! Columns of the built-in kinds.

use serde_json::Value;

use super::{Layout, access, name, network, workloads};
use crate::kubernetes::object::{self, items, map, number, text};

/// The cells of a row.
pub(super) type Cells = Vec<Value>;

/// A collection with its columns and how its cells are filled.
pub(super) type Entry = (&'static str, &'static [super::Column], Fill);

/// The layout of a collection; what has none of its own shows name and age.
pub(super) fn layout(collection: &str) -> Layout {
    let found = [
        LAYOUTS,
        access::LAYOUTS,
        network::LAYOUTS,
        workloads::LAYOUTS,
    ]
    .into_iter()
    .flatten()
    .find(|(name, ..)| *name == collection);
    let (columns, cells) = found.map_or((PLAIN, plain as Fill), |(_, columns, cells)| {
        (*columns, *cells)
    });
    Layout { columns, cells }
}

pub(super) type Fill = fn(&Value, &str) -> Cells;

const LAYOUTS: &[Entry] = &[
    ("/nodes", NODE, node),
    ("/pods", POD, pod),
    ("/namespaces", STATUS_AGE, phase),
    ("/services", SERVICE, service),
    ("/secrets", SECRET, secret),
    ("/configmaps", CONFIG_MAP, config_map),
    ("/persistentvolumeclaims", CLAIM, claim),
    ("/events", EVENT, event),
    ("apps/deployments", DEPLOYMENT, deployment),
    ("apps/replicasets", REPLICA_SET, replica_set),
    ("apps/statefulsets", STATEFUL_SET, stateful_set),
    ("apps/daemonsets", DAEMON_SET, daemon_set),
    ("batch/jobs", JOB, job),
    (
        "storage.k8s.io/storageclasses",
        STORAGE_CLASS,
        storage_class,
    ),
    (
        "apiextensions.k8s.io/customresourcedefinitions",
        CREATED,
        created,
    ),
    ("rbac.authorization.k8s.io/clusterroles", CREATED, created),
    ("rbac.authorization.k8s.io/roles", CREATED, created),
    ("/limitranges", CREATED, created),
    ("storage.k8s.io/csistoragecapacities", CREATED, created),
];

fn plain(object: &Value, age: &str) -> Cells {
    vec![name(object), age.into()]
}

const PLAIN: &[super::Column] = &[("Name", "string", 0), ("Age", "string", 0)];
const CREATED: &[super::Column] = &[("Name", "string", 0), ("Created At", "date", 0)];
const STATUS_AGE: &[super::Column] = &[
    ("Name", "string", 0),
    ("Status", "string", 0),
    ("Age", "string", 0),
];

fn created(object: &Value, _: &str) -> Cells {
    vec![
        name(object),
        object["metadata"]["creationTimestamp"].clone(),
    ]
}

fn phase(object: &Value, age: &str) -> Cells {
    vec![
        name(object),
        text(object, &["status", "phase"])
            .unwrap_or_default()
            .into(),
        age.into(),
    ]
}

const NODE: &[super::Column] = &[
    ("Name", "string", 0),
    ("Status", "string", 0),
    ("Roles", "string", 0),
    ("Age", "string", 0),
    ("Version", "string", 0),
    ("Internal-IP", "string", 1),
    ("External-IP", "string", 1),
    ("OS-Image", "string", 1),
    ("Kernel-Version", "string", 1),
    ("Container-Runtime", "string", 1),
];

/// Labels that name a node's roles start with this.
const ROLE: &str = "node-role.kubernetes.io/";

fn node(object: &Value, age: &str) -> Cells {
    let mut status = if object::is_true(object, "Ready") {
        "Ready"
    } else {
        "NotReady"
    }
    .to_owned();
    if object::flag(object, &["spec", "unschedulable"]) {
        status.push_str(",SchedulingDisabled");
    }
    let roles: Vec<&str> = map(object, &["metadata", "labels"])
        .into_iter()
        .flatten()
        .filter_map(|(key, _)| key.strip_prefix(ROLE))
        .collect();
    let roles = if roles.is_empty() {
        "<none>".to_owned()
    } else {
        roles.join(",")
    };
    let address = |kind: &str| {
        items(object, &["status", "addresses"])
            .iter()
            .find(|address| text(address, &["type"]) == Some(kind))
            .and_then(|address| text(address, &["address"]))
            .unwrap_or("<none>")
            .to_owned()
    };
    let info = |key: &str| {
        text(object, &["status", "nodeInfo", key])
            .unwrap_or("<unknown>")
            .to_owned()
    };
    vec![
        name(object),
        status.into(),
        roles.into(),
        age.into(),
        info("kubeletVersion").into(),
        address("InternalIP").into(),
        address("ExternalIP").into(),
        info("osImage").into(),
        info("kernelVersion").into(),
        info("containerRuntimeVersion").into(),
    ]
}

const POD: &[super::Column] = &[
    ("Name", "string", 0),
    ("Ready", "string", 0),
    ("Status", "string", 0),
    ("Restarts", "string", 0),
    ("Age", "string", 0),
    ("IP", "string", 1),
    ("Node", "string", 1),
    ("Nominated Node", "string", 1),
    ("Readiness Gates", "string", 1),
];

fn pod(object: &Value, age: &str) -> Cells {
    let total = items(object, &["spec", "containers"]).len();
    let statuses = items(object, &["status", "containerStatuses"]);
    let ready = statuses
        .iter()
        .filter(|status| object::flag(status, &["ready"]))
        .count();
    let status = if object::terminating(object) {
        "Terminating"
    } else {
        match text(object, &["status", "phase"]).unwrap_or("Unknown") {
            "Succeeded" => "Completed",
            other => other,
        }
    };
    let or_none = |path: &[&str]| text(object, path).unwrap_or("<none>").to_owned();
    vec![
        name(object),
        format!("{ready}/{total}").into(),
        status.into(),
        "0".into(),
        age.into(),
        or_none(&["status", "podIP"]).into(),
        or_none(&["spec", "nodeName"]).into(),
        "<none>".into(),
        "<none>".into(),
    ]
}

const SERVICE: &[super::Column] = &[
    ("Name", "string", 0),
    ("Type", "string", 0),
    ("Cluster-IP", "string", 0),
    ("External-IP", "string", 0),
    ("Port(s)", "string", 0),
    ("Age", "string", 0),
    ("Selector", "string", 1),
];

fn service(object: &Value, age: &str) -> Cells {
    let kind = text(object, &["spec", "type"]).unwrap_or("ClusterIP");
    let ports: Vec<String> = items(object, &["spec", "ports"])
        .iter()
        .map(|port| {
            let protocol = text(port, &["protocol"]).unwrap_or("TCP");
            match number(port, &["nodePort"]) {
                Some(node) => format!("{}:{node}/{protocol}", port["port"]),
                None => format!("{}/{protocol}", port["port"]),
            }
        })
        .collect();
    let external: Vec<&str> = items(object, &["status", "loadBalancer", "ingress"])
        .iter()
        .filter_map(|entry| text(entry, &["ip"]).or_else(|| text(entry, &["hostname"])))
        .collect();
    let external = match (external.is_empty(), kind) {
        (false, _) => external.join(","),
        (true, "LoadBalancer") => "<pending>".to_owned(),
        (true, "ExternalName") => text(object, &["spec", "externalName"])
            .unwrap_or_default()
            .to_owned(),
        (true, _) => "<none>".to_owned(),
    };
    let ports = if ports.is_empty() {
        "<none>".to_owned()
    } else {
        ports.join(",")
    };
    vec![
        name(object),
        kind.into(),
        text(object, &["spec", "clusterIP"])
            .unwrap_or("<none>")
            .into(),
        external.into(),
        ports.into(),
        age.into(),
        pairs(object, &["spec", "selector"]).into(),
    ]
}

/// Pairs of a map, such as labels.
pub(super) fn pairs(object: &Value, path: &[&str]) -> String {
    let pairs: Vec<String> = map(object, path)
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    if pairs.is_empty() {
        "<none>".to_owned()
    } else {
        pairs.join(",")
    }
}

const SECRET: &[super::Column] = &[
    ("Name", "string", 0),
    ("Type", "string", 0),
    ("Data", "string", 0),
    ("Age", "string", 0),
];

fn secret(object: &Value, age: &str) -> Cells {
    let kind = text(object, &["type"]).unwrap_or_default();
    vec![
        name(object),
        kind.into(),
        map(object, &["data"])
            .map_or(0, serde_json::Map::len)
            .into(),
        age.into(),
    ]
}

const CONFIG_MAP: &[super::Column] = &[
    ("Name", "string", 0),
    ("Data", "string", 0),
    ("Age", "string", 0),
];

fn config_map(object: &Value, age: &str) -> Cells {
    let count = ["data", "binaryData"]
        .iter()
        .filter_map(|key| map(object, &[key]))
        .map(serde_json::Map::len);
    vec![name(object), count.sum::<usize>().into(), age.into()]
}

const CLAIM: &[super::Column] = &[
    ("Name", "string", 0),
    ("Status", "string", 0),
    ("Volume", "string", 0),
    ("Capacity", "string", 0),
    ("Access Modes", "string", 0),
    ("StorageClass", "string", 0),
    ("VolumeAttributesClass", "string", 0),
    ("Age", "string", 0),
    ("VolumeMode", "string", 1),
];

fn claim(object: &Value, age: &str) -> Cells {
    let string = |path: &[&str]| Value::from(text(object, path).unwrap_or_default());
    vec![
        name(object),
        string(&["status", "phase"]),
        string(&["spec", "volumeName"]),
        string(&["status", "capacity", "storage"]),
        modes(object, &["status", "accessModes"]),
        string(&["spec", "storageClassName"]),
        "<unset>".into(),
        age.into(),
        string(&["spec", "volumeMode"]),
    ]
}

/// Access modes in their short forms.
pub(super) fn modes(object: &Value, path: &[&str]) -> Value {
    let modes: Vec<&str> = items(object, path)
        .iter()
        .filter_map(Value::as_str)
        .map(|mode| match mode {
            "ReadWriteOnce" => "RWO",
            "ReadOnlyMany" => "ROX",
            "ReadWriteMany" => "RWX",
            "ReadWriteOncePod" => "RWOP",
            other => other,
        })
        .collect();
    modes.join(",").into()
}

/// The text at a path, or nothing.
pub(super) fn string(object: &Value, path: &[&str]) -> String {
    text(object, path).unwrap_or_default().to_owned()
}

/// The text at a path, or that there is none.
pub(super) fn or_none(object: &Value, path: &[&str]) -> Value {
    text(object, path).unwrap_or("<none>").into()
}

const EVENT: &[super::Column] = &[
    ("Last Seen", "string", 0),
    ("Type", "string", 0),
    ("Reason", "string", 0),
    ("Object", "string", 0),
    ("Message", "string", 0),
];

fn event(object: &Value, age: &str) -> Cells {
    let string = |path: &[&str]| text(object, path).unwrap_or_default().to_owned();
    let about = format!(
        "{}/{}",
        string(&["involvedObject", "kind"]).to_lowercase(),
        string(&["involvedObject", "name"])
    );
    vec![
        age.into(),
        string(&["type"]).into(),
        string(&["reason"]).into(),
        about.into(),
        string(&["message"]).into(),
    ]
}

fn count(object: &Value, path: &[&str]) -> i64 {
    number(object, path).unwrap_or(0)
}

const DEPLOYMENT: &[super::Column] = &[
    ("Name", "string", 0),
    ("Ready", "string", 0),
    ("Up-to-date", "string", 0),
    ("Available", "string", 0),
    ("Age", "string", 0),
    ("Containers", "string", 1),
    ("Images", "string", 1),
    ("Selector", "string", 1),
];

fn containers(object: &Value) -> [Value; 3] {
    containers_of(object, &object["spec"]["template"])
}

/// Names, images and selector of what runs by a pod template.
pub(super) fn containers_of(object: &Value, template: &Value) -> [Value; 3] {
    let containers = items(template, &["spec", "containers"]);
    let list = |field: &str| -> Value {
        containers
            .iter()
            .filter_map(|c| text(c, &[field]))
            .collect::<Vec<_>>()
            .join(",")
            .into()
    };
    [
        list("name"),
        list("image"),
        pairs(object, &["spec", "selector", "matchLabels"]).into(),
    ]
}

fn deployment(object: &Value, age: &str) -> Cells {
    let ready = format!(
        "{}/{}",
        count(object, &["status", "readyReplicas"]),
        count(object, &["spec", "replicas"])
    );
    let mut cells = vec![
        name(object),
        ready.into(),
        count(object, &["status", "updatedReplicas"]).into(),
        count(object, &["status", "availableReplicas"]).into(),
        age.into(),
    ];
    cells.extend(containers(object));
    cells
}

const REPLICA_SET: &[super::Column] = &[
    ("Name", "string", 0),
    ("Desired", "integer", 0),
    ("Current", "integer", 0),
    ("Ready", "integer", 0),
    ("Age", "string", 0),
    ("Containers", "string", 1),
    ("Images", "string", 1),
    ("Selector", "string", 1),
];

fn replica_set(object: &Value, age: &str) -> Cells {
    let mut cells = vec![
        name(object),
        count(object, &["spec", "replicas"]).into(),
        count(object, &["status", "replicas"]).into(),
        count(object, &["status", "readyReplicas"]).into(),
        age.into(),
    ];
    cells.extend(containers(object));
    cells
}

const STATEFUL_SET: &[super::Column] = &[
    ("Name", "string", 0),
    ("Ready", "string", 0),
    ("Age", "string", 0),
    ("Containers", "string", 1),
    ("Images", "string", 1),
];

fn stateful_set(object: &Value, age: &str) -> Cells {
    let ready = format!(
        "{}/{}",
        count(object, &["status", "readyReplicas"]),
        count(object, &["spec", "replicas"])
    );
    let [names, images, _] = containers(object);
    vec![name(object), ready.into(), age.into(), names, images]
}

const DAEMON_SET: &[super::Column] = &[
    ("Name", "string", 0),
    ("Desired", "integer", 0),
    ("Current", "integer", 0),
    ("Ready", "integer", 0),
    ("Up-to-date", "integer", 0),
    ("Available", "integer", 0),
    ("Node Selector", "string", 0),
    ("Age", "string", 0),
    ("Containers", "string", 1),
    ("Images", "string", 1),
    ("Selector", "string", 1),
];

fn daemon_set(object: &Value, age: &str) -> Cells {
    let status = |field: &str| Value::from(count(object, &["status", field]));
    let mut cells = vec![
        name(object),
        status("desiredNumberScheduled"),
        status("currentNumberScheduled"),
        status("numberReady"),
        status("updatedNumberScheduled"),
        status("numberAvailable"),
        pairs(object, &["spec", "template", "spec", "nodeSelector"]).into(),
        age.into(),
    ];
    cells.extend(containers(object));
    cells
}

const JOB: &[super::Column] = &[
    ("Name", "string", 0),
    ("Status", "string", 0),
    ("Completions", "string", 0),
    ("Duration", "string", 0),
    ("Age", "string", 0),
    ("Containers", "string", 1),
    ("Images", "string", 1),
    ("Selector", "string", 1),
];

fn job(object: &Value, age: &str) -> Cells {
    let status = match (
        object::is_true(object, "Complete"),
        object::is_true(object, "Failed"),
    ) {
        (true, _) => "Complete",
        (_, true) => "Failed",
        _ => "Running",
    };
    let done = format!(
        "{}/{}",
        count(object, &["status", "succeeded"]),
        count(object, &["spec", "completions"])
    );
    let time = |field: &str| {
        text(object, &["status", field]).and_then(|at| at.parse::<jiff::Timestamp>().ok())
    };
    let took = time("startTime")
        .zip(time("completionTime"))
        .map_or_else(String::new, |(start, end)| {
            super::duration(end.as_second() - start.as_second())
        });
    let mut cells = vec![
        name(object),
        status.into(),
        done.into(),
        took.into(),
        age.into(),
    ];
    cells.extend(containers(object));
    cells
}

const STORAGE_CLASS: &[super::Column] = &[
    ("Name", "string", 0),
    ("Provisioner", "string", 0),
    ("ReclaimPolicy", "string", 0),
    ("VolumeBindingMode", "string", 0),
    ("AllowVolumeExpansion", "string", 0),
    ("Age", "string", 0),
];

fn storage_class(object: &Value, age: &str) -> Cells {
    let default =
        object::annotation(object, "storageclass.kubernetes.io/is-default-class") == Some("true");
    let shown = if default {
        format!("{} (default)", object::name(object))
    } else {
        object::name(object).to_owned()
    };
    let string = |field: &str| Value::from(text(object, &[field]).unwrap_or_default());
    vec![
        shown.into(),
        string("provisioner"),
        string("reclaimPolicy"),
        string("volumeBindingMode"),
        object::flag(object, &["allowVolumeExpansion"]).into(),
        age.into(),
    ]
}
