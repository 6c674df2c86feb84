//! Values the API server fills into built-in objects when they are left out.

mod network;
mod pods;
mod workloads;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::apiserver::ApiServer;
use super::object::{self, items, map, map_mut, set, set_default, text};

/// Fills in an object of a built-in resource (`group/plural`); `old` is what is stored.
pub(crate) fn fill(server: &ApiServer, collection: &str, object: &mut Value, old: Option<&Value>) {
    match collection {
        "/pods" => {
            pods::spec(map_value(object, "spec"));
            if old.is_none() {
                set_default(object, &["status", "phase"], "Pending");
                let class = pods::quality(object);
                set_default(object, &["status", "qosClass"], class);
            }
        }
        "/services" => network::service(server, object, old),
        "/secrets" => secret(object),
        "/namespaces" => namespace(object),
        "/persistentvolumeclaims" => claim(server, object, old),
        "/persistentvolumes" => {
            set_default(object, &["spec", "persistentVolumeReclaimPolicy"], "Retain");
            set_default(object, &["spec", "volumeMode"], "Filesystem");
        }
        "apps/deployments" => workloads::deployment(object),
        "apps/statefulsets" => workloads::stateful_set(object),
        "apps/daemonsets" => workloads::daemon_set(object, old),
        "apps/replicasets" => workloads::replica_set(object),
        "batch/jobs" => workloads::job(object),
        "batch/cronjobs" => workloads::cron_job(object),
        "networking.k8s.io/networkpolicies" => network::policy(object),
        "storage.k8s.io/storageclasses" => {
            set_default(object, &["reclaimPolicy"], "Delete");
            set_default(object, &["volumeBindingMode"], "Immediate");
        }
        "storage.k8s.io/csidrivers" => csi_driver(object),
        "scheduling.k8s.io/priorityclasses" => {
            set_default(object, &["preemptionPolicy"], "PreemptLowerPriority");
        }
        "apiextensions.k8s.io/customresourcedefinitions" => definition(object),
        "rbac.authorization.k8s.io/clusterrolebindings"
        | "rbac.authorization.k8s.io/rolebindings" => {
            binding(object);
        }
        _ => {}
    }
}

fn map_value<'a>(object: &'a mut Value, key: &str) -> &'a mut Value {
    object::as_map(object)
        .entry(key)
        .or_insert_with(|| Value::Object(Map::new()))
}

/// `stringData` is a write-only way to spell `data`.
fn secret(object: &mut Value) {
    set_default(object, &["type"], "Opaque");
    if let Some(Value::Object(plain)) = object::remove(object, &["stringData"]) {
        let data = map_mut(object, &["data"]);
        for (key, value) in plain {
            data.insert(
                key,
                STANDARD.encode(value.as_str().unwrap_or_default()).into(),
            );
        }
    }
}

fn namespace(object: &mut Value) {
    let name = object::name(object).to_owned();
    set(
        object,
        &["metadata", "labels", "kubernetes.io/metadata.name"],
        name,
    );
    if !object::terminating(object) {
        set_default(object, &["spec", "finalizers"], json!(["kubernetes"]));
        set_default(object, &["status", "phase"], "Active");
    }
}

fn claim(server: &ApiServer, object: &mut Value, old: Option<&Value>) {
    set_default(object, &["spec", "volumeMode"], "Filesystem");
    set_default(object, &["status", "phase"], "Pending");
    if let Some(kept) = old.and_then(|old| text(old, &["spec", "storageClassName"])) {
        set_default(object, &["spec", "storageClassName"], kept);
    } else if text(object, &["spec", "storageClassName"]).is_none() {
        const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";
        let classes = server.storage.all("storage.k8s.io/storageclasses");
        let default = classes
            .iter()
            .find(|c| object::annotation(c, DEFAULT) == Some("true"));
        if let Some(class) = default {
            set(object, &["spec", "storageClassName"], object::name(class));
        }
    }
    if let Some(volume) = old.and_then(|old| text(old, &["spec", "volumeName"])) {
        set_default(object, &["spec", "volumeName"], volume);
    }
}

fn csi_driver(object: &mut Value) {
    set_default(object, &["spec", "attachRequired"], true);
    set_default(object, &["spec", "podInfoOnMount"], false);
    set_default(object, &["spec", "requiresRepublish"], false);
    set_default(object, &["spec", "storageCapacity"], false);
    set_default(object, &["spec", "seLinuxMount"], false);
    set_default(
        object,
        &["spec", "fsGroupPolicy"],
        "ReadWriteOnceWithFSType",
    );
    set_default(
        object,
        &["spec", "volumeLifecycleModes"],
        json!(["Persistent"]),
    );
}

fn definition(object: &mut Value) {
    let kind = text(object, &["spec", "names", "kind"])
        .unwrap_or_default()
        .to_owned();
    set_default(object, &["spec", "names", "singular"], kind.to_lowercase());
    set_default(
        object,
        &["spec", "names", "listKind"],
        format!("{kind}List"),
    );
    set_default(object, &["spec", "conversion"], json!({"strategy": "None"}));
    let versions = map_mut(object, &["spec"])
        .get_mut("versions")
        .and_then(Value::as_array_mut);
    for version in versions.into_iter().flatten() {
        if let Some(Value::Array(columns)) = version.get_mut("additionalPrinterColumns") {
            // The server writes a priority only when it is not zero.
            for column in columns.iter_mut().filter(|c| c["priority"] == json!(0)) {
                object::remove(column, &["priority"]);
            }
        }
    }
}

fn binding(object: &mut Value) {
    const RBAC: &str = "rbac.authorization.k8s.io";
    set_default(object, &["roleRef", "apiGroup"], RBAC);
    if let Some(Value::Array(subjects)) = object.get_mut("subjects") {
        for subject in subjects {
            if matches!(text(subject, &["kind"]), Some("User" | "Group")) {
                set_default(subject, &["apiGroup"], RBAC);
            }
        }
    }
}

/// Lists inside an object, for filling in each item.
fn each(object: &mut Value, key: &str, mut change: impl FnMut(&mut Value)) {
    if let Some(Value::Array(list)) = object.get_mut(key) {
        list.iter_mut().for_each(&mut change);
    }
}

/// Whether a list stands at a path and is not empty.
fn has_items(object: &Value, path: &[&str]) -> bool {
    !items(object, path).is_empty()
}

/// Whether a map stands at a path.
fn has_map(object: &Value, path: &[&str]) -> bool {
    map(object, path).is_some()
}
