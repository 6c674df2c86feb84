//! Secrets that are made anew, one life of the cluster long.

use crate::support::{Folder, Run};
use kplan_model::Value;
use std::collections::BTreeMap;

/// The values of a field over all resources of a kind.
fn values(folder: &Folder, kind: &str, field: &str) -> BTreeMap<String, String> {
    let snapshot = folder.snapshot("single");
    let of_kind = snapshot
        .resources
        .iter()
        .filter(|(at, _)| at.kind().as_str() == kind);
    of_kind
        .map(|(at, record)| match record.attribute(field) {
            Some(Value::Str(text)) => (at.to_string(), text.to_string()),
            other => panic!("{at}: {other:?}"),
        })
        .collect()
}

fn rotate(folder: &Folder, what: &[&str]) -> Run {
    let arguments = [&["rotate"], what, &["--sandbox", "--auto-approve"]].concat();
    folder.kplan(&arguments)
}

#[test]
fn keys_are_made_anew_and_whatever_used_the_old_ones_works_on() {
    let folder = Folder::example("single-node");
    folder.apply().ok();
    let before = values(&folder, "spaces_key", "access_key");
    let password = || {
        let out = folder
            .kplan(&["output", "--raw", "argocd_admin_password", "--sandbox"])
            .ok();
        out.out
    };
    let old = password();
    let run = rotate(&folder, &["spaces-keys", "argocd-password"]).ok();
    let at = |what: &str| {
        run.out
            .find(what)
            .unwrap_or_else(|| panic!("no {what}: {}", run.out))
    };
    assert!(at("velero.main: Modifications complete") < at("spaces_key.backup: Destroying"));
    let after = values(&folder, "spaces_key", "access_key");
    assert_eq!(before.len(), 2);
    assert!(
        before
            .iter()
            .all(|(at, key)| after.contains_key(at) && after[at] != *key)
    );
    assert_ne!(old, password());
    folder.assert_no_changes();
    // The old keys are gone, not only out of use.
    let there = folder.inspect();
    for part in ["resources", "kept"] {
        let keys = there[part]["spaces_keys"].as_array().expect("keys");
        assert_eq!(keys.len(), 1, "{there:#}");
    }

    let public = values(&folder, "signing_key", "public_key");
    rotate(&folder, &["kit-key"]).ok();
    let lock = folder.path().join(".kplan/.sandbox/kplan.lock");
    let lock = std::fs::read_to_string(lock).expect("a lock");
    let now = values(&folder, "signing_key", "public_key");
    assert_ne!(public, now);
    assert!(
        now.values().all(|key| lock.contains(key.as_str())),
        "{lock}"
    );
    folder.assert_no_changes();
    folder.kplan(&["backup", "list", "--sandbox"]).ok();
}

#[test]
fn what_a_cluster_does_not_have_cannot_be_made_anew() {
    let file =
        "[cluster]\nname = \"bare\"\nregion = \"fra1\"\n\n[servers]\nsize = \"s-2vcpu-4gb\"\n";
    let folder = Folder::with(file);
    let none = rotate(&folder, &["spaces-keys"]).expect_code(1);
    assert!(none.err.contains("state::none"), "{}", none.err);
    folder.apply().ok();
    let none = rotate(&folder, &["argocd-password"]).expect_code(1);
    assert!(none.err.contains("rotate::nothing"), "{}", none.err);
}
