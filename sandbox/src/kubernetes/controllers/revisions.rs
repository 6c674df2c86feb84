//! Controller revisions: the templates a set had, for `kubectl rollout history` and `undo`.

use serde_json::{Value, json};

use super::Pass;
use crate::kubernetes::object::{self, Object, number, set};

const REVISIONS: &str = "apps/controllerrevisions";

/// Label of a revision that names its template.
const HASH: &str = "controller-revision-hash";

/// Annotation that says why a template came to be.
const CAUSE: &str = "kubernetes.io/change-cause";

fn revision(object: &Value) -> i64 {
    number(object, &["revision"]).unwrap_or(0)
}

/// Records the present template of a set; one that comes back gets the newest number.
pub(super) fn record(pass: &Pass<'_>, owner: &Object, hash: &str) {
    let owned: Vec<Object> = pass
        .in_namespace(REVISIONS, object::namespace(owner))
        .into_iter()
        .filter(|revision| object::controlled_by(revision, object::uid(owner)))
        .collect();
    let newest = owned.iter().map(|one| revision(one)).max().unwrap_or(0);
    let current = owned
        .iter()
        .find(|one| object::label(one, HASH) == Some(hash));
    match current {
        Some(current) if revision(current) < newest => {
            pass.adjust(REVISIONS, current, |object| {
                set(object, &["revision"], newest + 1);
            });
        }
        Some(_) => {}
        None => {
            pass.create(new(owner, hash, newest + 1));
        }
    }
    let limit = number(owner, &["spec", "revisionHistoryLimit"]).unwrap_or(10);
    let mut old: Vec<&Object> = owned
        .iter()
        .filter(|one| object::label(one, HASH) != Some(hash))
        .collect();
    old.sort_by_key(|one| std::cmp::Reverse(revision(one)));
    for one in old.into_iter().skip(usize::try_from(limit).unwrap_or(0)) {
        pass.delete(REVISIONS, one);
    }
}

fn new(owner: &Object, hash: &str, number: i64) -> Value {
    let mut template = owner["spec"]["template"].clone();
    // The patch that `undo` sends replaces the template as a whole.
    template["$patch"] = "replace".into();
    let mut labels = owner["spec"]["template"]["metadata"]["labels"].clone();
    set(&mut labels, &[HASH], hash);
    let mut revision = json!({
        "apiVersion": "apps/v1", "kind": "ControllerRevision",
        "metadata": {
            "name": format!("{}-{hash}", object::name(owner)),
            "namespace": object::namespace(owner),
            "labels": labels,
            "ownerReferences": [object::controller_reference(owner)],
        },
        "data": {"spec": {"template": template}},
        "revision": number,
    });
    if let Some(cause) = object::annotation(owner, CAUSE) {
        set(&mut revision, &["metadata", "annotations", CAUSE], cause);
    }
    revision
}
