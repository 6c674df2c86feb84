//! The `scale` subresource.

use serde_json::{Value, json};

use crate::kubernetes::object::{self, at, map, number, set, text};
use crate::kubernetes::resources::ScalePaths;

fn keys(path: &[String]) -> Vec<&str> {
    path.iter().map(String::as_str).collect()
}

/// The `Scale` object that shows an object's replicas.
pub(crate) fn scale_of(paths: &ScalePaths, object: &Value) -> Value {
    let selector = match &paths.selector {
        Some(path) => text(object, &keys(path)).unwrap_or_default().to_owned(),
        None => {
            let labels = map(object, &["spec", "selector", "matchLabels"]);
            let pairs = labels
                .into_iter()
                .flatten()
                .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
            pairs.collect::<Vec<_>>().join(",")
        }
    };
    let mut metadata = json!({"name": object::name(object)});
    for field in ["namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = at(object, &["metadata", field]) {
            set(&mut metadata, &[field], value.clone());
        }
    }
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": {"replicas": number(object, &keys(&paths.spec)).unwrap_or(0)},
        "status": {"replicas": number(object, &keys(&paths.status)).unwrap_or(0), "selector": selector},
    })
}

/// Writes a `Scale` object's wish into the object.
pub(crate) fn set_scale(paths: &ScalePaths, object: &mut Value, scale: &Value) {
    if let Some(replicas) = number(scale, &["spec", "replicas"]) {
        set(object, &keys(&paths.spec), replicas);
    }
    if let Some(version) = text(scale, &["metadata", "resourceVersion"]) {
        set(object, &["metadata", "resourceVersion"], version);
    }
}
