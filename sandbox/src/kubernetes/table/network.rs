//! Columns of networking and storage kinds.

use serde_json::{Value, json};

use super::cells::{Cells, Entry, modes, or_none, pairs, string};
use super::{Column, name};
use crate::kubernetes::object::{items, text};

/// The layouts of this file.
pub(super) const LAYOUTS: &[Entry] = &[
    ("networking.k8s.io/ingresses", INGRESS, ingress),
    ("networking.k8s.io/ingressclasses", CLASS, class),
    ("networking.k8s.io/networkpolicies", POLICY, policy),
    ("/endpoints", ENDPOINTS, endpoints),
    ("discovery.k8s.io/endpointslices", SLICE, slice),
    ("/persistentvolumes", VOLUME, volume),
    ("storage.k8s.io/csidrivers", DRIVER, driver),
    ("storage.k8s.io/csinodes", CSI_NODE, csi_node),
    ("storage.k8s.io/volumeattachments", ATTACHMENT, attachment),
];

const INGRESS: &[Column] = &[
    ("Name", "string", 0),
    ("Class", "string", 0),
    ("Hosts", "string", 0),
    ("Address", "string", 0),
    ("Ports", "string", 0),
    ("Age", "string", 0),
];

fn ingress(object: &Value, age: &str) -> Cells {
    let hosts: Vec<&str> = items(object, &["spec", "rules"])
        .iter()
        .filter_map(|rule| text(rule, &["host"]).filter(|host| !host.is_empty()))
        .collect();
    let hosts = if hosts.is_empty() {
        "*".to_owned()
    } else {
        hosts.join(",")
    };
    let addresses: Vec<&str> = items(object, &["status", "loadBalancer", "ingress"])
        .iter()
        .filter_map(|entry| text(entry, &["ip"]).or_else(|| text(entry, &["hostname"])))
        .collect();
    let ports = if items(object, &["spec", "tls"]).is_empty() {
        "80"
    } else {
        "80, 443"
    };
    vec![
        name(object),
        or_none(object, &["spec", "ingressClassName"]),
        hosts.into(),
        addresses.join(",").into(),
        ports.into(),
        age.into(),
    ]
}

const CLASS: &[Column] = &[
    ("Name", "string", 0),
    ("Controller", "string", 0),
    ("Parameters", "string", 0),
    ("Age", "string", 0),
];

fn class(object: &Value, age: &str) -> Cells {
    let parameters = match text(object, &["spec", "parameters", "name"]) {
        Some(found) => format!(
            "{}/{found}",
            string(object, &["spec", "parameters", "kind"])
        ),
        None => "<none>".to_owned(),
    };
    vec![
        name(object),
        string(object, &["spec", "controller"]).into(),
        parameters.into(),
        age.into(),
    ]
}

const POLICY: &[Column] = &[
    ("Name", "string", 0),
    ("Pod-Selector", "string", 0),
    ("Age", "string", 0),
];

fn policy(object: &Value, age: &str) -> Cells {
    let selector = pairs(object, &["spec", "podSelector", "matchLabels"]);
    vec![name(object), selector.into(), age.into()]
}

const ENDPOINTS: &[Column] = &[
    ("Name", "string", 0),
    ("Endpoints", "string", 0),
    ("Age", "string", 0),
];

fn endpoints(object: &Value, age: &str) -> Cells {
    let mut found = Vec::new();
    for subset in items(object, &["subsets"]) {
        for address in items(subset, &["addresses"]) {
            for port in items(subset, &["ports"]) {
                found.push(format!("{}:{}", string(address, &["ip"]), port["port"]));
            }
        }
    }
    let shown = if found.is_empty() {
        "<none>".to_owned()
    } else {
        found.join(",")
    };
    vec![name(object), shown.into(), age.into()]
}

const SLICE: &[Column] = &[
    ("Name", "string", 0),
    ("AddressType", "string", 0),
    ("Ports", "string", 0),
    ("Endpoints", "string", 0),
    ("Age", "string", 0),
];

fn slice(object: &Value, age: &str) -> Cells {
    let shown = |list: Vec<String>| -> Value {
        if list.is_empty() {
            "<unset>".into()
        } else {
            list.join(",").into()
        }
    };
    let ports = items(object, &["ports"]).iter();
    let addresses = items(object, &["endpoints"])
        .iter()
        .flat_map(|endpoint| items(endpoint, &["addresses"]))
        .filter_map(Value::as_str);
    vec![
        name(object),
        string(object, &["addressType"]).into(),
        shown(ports.map(|port| port["port"].to_string()).collect()),
        shown(addresses.map(str::to_owned).collect()),
        age.into(),
    ]
}

const VOLUME: &[Column] = &[
    ("Name", "string", 0),
    ("Capacity", "string", 0),
    ("Access Modes", "string", 0),
    ("Reclaim Policy", "string", 0),
    ("Status", "string", 0),
    ("Claim", "string", 0),
    ("StorageClass", "string", 0),
    ("VolumeAttributesClass", "string", 0),
    ("Reason", "string", 0),
    ("Age", "string", 0),
    ("VolumeMode", "string", 1),
];

fn volume(object: &Value, age: &str) -> Cells {
    let claim = match text(object, &["spec", "claimRef", "name"]) {
        Some(found) => format!(
            "{}/{found}",
            string(object, &["spec", "claimRef", "namespace"])
        ),
        None => String::new(),
    };
    vec![
        name(object),
        string(object, &["spec", "capacity", "storage"]).into(),
        modes(object, &["spec", "accessModes"]),
        string(object, &["spec", "persistentVolumeReclaimPolicy"]).into(),
        string(object, &["status", "phase"]).into(),
        claim.into(),
        string(object, &["spec", "storageClassName"]).into(),
        "<unset>".into(),
        string(object, &["status", "reason"]).into(),
        age.into(),
        string(object, &["spec", "volumeMode"]).into(),
    ]
}

const DRIVER: &[Column] = &[
    ("Name", "string", 0),
    ("AttachRequired", "boolean", 0),
    ("PodInfoOnMount", "boolean", 0),
    ("StorageCapacity", "boolean", 0),
    ("TokenRequests", "string", 0),
    ("RequiresRepublish", "boolean", 0),
    ("Modes", "string", 0),
    ("Age", "string", 0),
];

fn driver(object: &Value, age: &str) -> Cells {
    let flag = |field: &str| json!(object["spec"][field] == json!(true));
    let modes: Vec<&str> = items(object, &["spec", "volumeLifecycleModes"])
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let audiences: Vec<&str> = items(object, &["spec", "tokenRequests"])
        .iter()
        .filter_map(|request| text(request, &["audience"]))
        .collect();
    let audiences = if audiences.is_empty() {
        "<unset>".to_owned()
    } else {
        audiences.join(",")
    };
    vec![
        name(object),
        flag("attachRequired"),
        flag("podInfoOnMount"),
        flag("storageCapacity"),
        audiences.into(),
        flag("requiresRepublish"),
        modes.join(",").into(),
        age.into(),
    ]
}

const CSI_NODE: &[Column] = &[
    ("Name", "string", 0),
    ("Drivers", "integer", 0),
    ("Age", "string", 0),
];

fn csi_node(object: &Value, age: &str) -> Cells {
    let drivers = items(object, &["spec", "drivers"]).len();
    vec![name(object), drivers.into(), age.into()]
}

const ATTACHMENT: &[Column] = &[
    ("Name", "string", 0),
    ("Attacher", "string", 0),
    ("PV", "string", 0),
    ("Node", "string", 0),
    ("Attached", "boolean", 0),
    ("Age", "string", 0),
];

fn attachment(object: &Value, age: &str) -> Cells {
    vec![
        name(object),
        string(object, &["spec", "attacher"]).into(),
        string(object, &["spec", "source", "persistentVolumeName"]).into(),
        string(object, &["spec", "nodeName"]).into(),
        (object["status"]["attached"] == json!(true)).into(),
        age.into(),
    ]
}
