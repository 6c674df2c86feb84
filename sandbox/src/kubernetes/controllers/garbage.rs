//! The garbage collector: dependents follow their owners, unless they are orphaned.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Pass;
use crate::kubernetes::object::{self, Object, flag, items, set, text};
use crate::kubernetes::write::DeleteOptions;

/// One pass over all objects.
pub(super) fn reconcile(pass: &mut Pass<'_>) {
    let mut objects: Vec<(String, Object)> = Vec::new();
    for collection in pass.server.storage.collections() {
        objects.extend(
            pass.all(&collection)
                .into_iter()
                .map(|object| (collection.clone(), object)),
        );
    }
    let alive: BTreeSet<&str> = objects
        .iter()
        .map(|(_, object)| object::uid(object))
        .collect();
    for (collection, owner) in &objects {
        if object::terminating(owner) {
            finish(pass, collection, owner, &objects);
        }
    }
    for (collection, dependent) in &objects {
        let owners = items(dependent, &["metadata", "ownerReferences"]);
        let orphaned = !owners.is_empty()
            && !owners
                .iter()
                .any(|owner| alive.contains(text(owner, &["uid"]).unwrap_or_default()));
        if orphaned && !object::terminating(dependent) {
            // Whoever gave it another owner meanwhile keeps it; it is looked at again.
            let unchanged = DeleteOptions {
                resource_version: text(dependent, &["metadata", "resourceVersion"])
                    .map(str::to_owned),
                ..DeleteOptions::default()
            };
            drop(pass.delete_with(collection, dependent, unchanged));
        }
    }
}

fn depends(object: &Value, owner: &Value) -> bool {
    items(object, &["metadata", "ownerReferences"])
        .iter()
        .any(|reference| text(reference, &["uid"]) == Some(object::uid(owner)))
}

/// Carries out the two finalizers that deletion policies add.
fn finish(pass: &Pass<'_>, collection: &str, owner: &Object, objects: &[(String, Object)]) {
    let finalizers: Vec<&str> = items(owner, &["metadata", "finalizers"])
        .iter()
        .filter_map(Value::as_str)
        .collect();
    if finalizers.contains(&"orphan") {
        for (of, dependent) in objects.iter().filter(|(_, object)| depends(object, owner)) {
            pass.adjust(of, dependent, |dependent| {
                let mut owners = items(dependent, &["metadata", "ownerReferences"]).to_vec();
                owners.retain(|reference| text(reference, &["uid"]) != Some(object::uid(owner)));
                set(dependent, &["metadata", "ownerReferences"], owners);
            });
        }
        without(pass, collection, owner, "orphan");
    } else if finalizers.contains(&"foregroundDeletion") {
        let mut blocked = false;
        for (of, dependent) in objects.iter().filter(|(_, object)| depends(object, owner)) {
            let blocking = items(dependent, &["metadata", "ownerReferences"])
                .iter()
                .any(|reference| {
                    text(reference, &["uid"]) == Some(object::uid(owner))
                        && flag(reference, &["blockOwnerDeletion"])
                });
            blocked |= blocking;
            if !object::terminating(dependent) {
                pass.delete(of, dependent);
            }
        }
        if !blocked {
            without(pass, collection, owner, "foregroundDeletion");
        }
    }
}

fn without(pass: &Pass<'_>, collection: &str, object: &Object, finalizer: &str) {
    pass.adjust(collection, object, |object| {
        let mut finalizers = items(object, &["metadata", "finalizers"]).to_vec();
        finalizers.retain(|other| other != finalizer);
        set(object, &["metadata", "finalizers"], finalizers);
    });
}
