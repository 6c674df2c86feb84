//! Namespaces: what each starts with, and how each ends.

use serde_json::{Value, json};

use super::Pass;
use crate::kubernetes::object::{self, Object, set};

const NAMESPACES: &str = "/namespaces";

/// One pass over all namespaces.
pub(super) fn reconcile(pass: &mut Pass<'_>) {
    for namespace in pass.all(NAMESPACES) {
        if object::terminating(&namespace) {
            empty(pass, &namespace);
        } else {
            furnish(pass, &namespace);
        }
    }
}

/// The default service account and the certificates pods trust the API server by.
fn furnish(pass: &Pass<'_>, namespace: &Object) {
    let name = object::name(namespace);
    if pass.get("/serviceaccounts", name, "default").is_none() {
        pass.create(json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": "default", "namespace": name},
        }));
    }
    if pass.get("/configmaps", name, "kube-root-ca.crt").is_none() {
        pass.create(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "kube-root-ca.crt", "namespace": name},
            "data": {"ca.crt": pass.ca_certificates},
        }));
    }
}

/// Deletes the content; when nothing is left, the namespace goes.
fn empty(pass: &Pass<'_>, namespace: &Object) {
    let name = object::name(namespace);
    let mut left = 0;
    for collection in pass.server.storage.collections() {
        for object in pass.in_namespace(&collection, name) {
            left += 1;
            if !object::terminating(&object) {
                pass.delete(&collection, &object);
            }
        }
    }
    if left == 0 && object::items(namespace, &["metadata", "finalizers"]).is_empty() {
        pass.adjust(NAMESPACES, namespace, |namespace| {
            set(namespace, &["spec", "finalizers"], Vec::<Value>::new());
        });
    }
}
