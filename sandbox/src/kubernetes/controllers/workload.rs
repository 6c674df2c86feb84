//! What the workload controllers share: pods from templates, readiness, hashes.

use serde_json::{Value, json};

use super::Pass;
use crate::kubernetes::object::{self, Object, map_mut, set};

/// Collection of pods.
pub(super) const PODS: &str = "/pods";

/// The pods an object controls.
pub(super) fn owned_pods(pass: &Pass<'_>, owner: &Value) -> Vec<Object> {
    let pods = pass.in_namespace(PODS, object::namespace(owner));
    pods.into_iter()
        .filter(|pod| object::controlled_by(pod, object::uid(owner)))
        .collect()
}

/// Whether a pod still works or will.
pub(super) fn active(pod: &Value) -> bool {
    !object::terminating(pod) && !object::ended(pod)
}

/// A pod of a template, not yet named.
pub(super) fn pod_of(owner: &Value, template: &Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {},
        "spec": template.get("spec").cloned().unwrap_or_else(|| json!({})),
    });
    // Of a template's metadata only these reach the pods; a name there means nothing.
    for field in ["labels", "annotations", "finalizers"] {
        if let Some(value) = object::at(template, &["metadata", field]) {
            set(&mut pod, &["metadata", field], value.clone());
        }
    }
    set(
        &mut pod,
        &["metadata", "namespace"],
        object::namespace(owner),
    );
    set(
        &mut pod,
        &["metadata", "ownerReferences"],
        json!([object::controller_reference(owner)]),
    );
    pod
}

/// Sets a label.
pub(super) fn set_label(object: &mut Value, key: &str, value: &str) {
    map_mut(object, &["metadata", "labels"]).insert(key.to_owned(), value.into());
}

/// Characters of generated names, as the API machinery chooses them.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// A short name of a template's content, the same for the same content.
pub(super) fn template_hash(template: &Value) -> String {
    // FNV-1a over the sorted JSON; the real server hashes its own structs the same way in spirit.
    let hash = template
        .to_string()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let mut rest = hash;
    let mut name = String::new();
    for _ in 0..9 {
        let digit = usize::try_from(rest % 27).unwrap_or(0);
        name.push(char::from(ALPHABET[digit]));
        rest /= 27;
    }
    name
}
