//! `CustomResourceDefinition`s: established after a moment, cleaned up when deleted.

use std::time::Duration;

use serde_json::{Value, json};

use super::Pass;
use crate::kubernetes::apiserver::{CLEANUP, CRDS};
use crate::kubernetes::object::{self, Object, items, set, text};

/// Between a definition's creation and its serving.
const ESTABLISH: Duration = Duration::from_secs(2);

/// One pass over all definitions.
pub(super) fn reconcile(pass: &mut Pass<'_>) {
    for crd in pass.all(CRDS) {
        if object::terminating(&crd) {
            clean_up(pass, &crd);
        } else if !object::is_true(&crd, "Established") {
            if pass.due("establish", &crd, ESTABLISH) {
                establish(pass, &crd);
            }
        } else {
            follow(pass, &crd);
        }
    }
}

fn establish(pass: &Pass<'_>, crd: &Object) {
    pass.adjust(CRDS, crd, |crd| {
        names(crd);
        pass.set_condition(
            crd,
            "NamesAccepted",
            true,
            "NoConflicts",
            "no conflicts found",
        );
        pass.set_condition(
            crd,
            "Established",
            true,
            "InitialNamesAccepted",
            "the initial names have been accepted",
        );
    });
}

/// Accepted names and stored versions follow the spec.
fn follow(pass: &Pass<'_>, crd: &Object) {
    pass.adjust(CRDS, crd, names);
}

fn names(crd: &mut Value) {
    let accepted = crd["spec"]["names"].clone();
    set(crd, &["status", "acceptedNames"], accepted);
    let storage = items(crd, &["spec", "versions"])
        .iter()
        .find(|version| object::flag(version, &["storage"]))
        .and_then(|version| text(version, &["name"]))
        .unwrap_or_default()
        .to_owned();
    let mut stored = items(crd, &["status", "storedVersions"]).to_vec();
    if !stored.contains(&json!(storage)) {
        stored.push(storage.into());
    }
    set(crd, &["status", "storedVersions"], stored);
}

/// Deletes every object of the kind, then lets the definition go.
fn clean_up(pass: &Pass<'_>, crd: &Object) {
    let group = text(crd, &["spec", "group"]).unwrap_or_default();
    let plural = text(crd, &["spec", "names", "plural"]).unwrap_or_default();
    let collection = format!("{group}/{plural}");
    let left = pass.all(&collection);
    for object in &left {
        if !object::terminating(object) {
            pass.delete(&collection, object);
        }
    }
    if !left.is_empty() {
        return;
    }
    pass.adjust(CRDS, crd, |crd| {
        let mut finalizers = items(crd, &["metadata", "finalizers"]).to_vec();
        finalizers.retain(|finalizer| finalizer != CLEANUP);
        set(crd, &["metadata", "finalizers"], finalizers);
    });
}
