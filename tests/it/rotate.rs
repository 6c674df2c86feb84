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

const ETCD: &str = r#"
[cluster]
name = "demo"
region = "fra1"

[servers]
count = 3
size = "s-2vcpu-4gb"

[load_balancer.api]

[[agents]]
name = "workers"
count = 1
size = "s-2vcpu-4gb"
"#;
const POSTGRES: &str = r#"
[cluster]
name = "demo"
region = "fra1"

[servers]
count = 2
size = "s-2vcpu-4gb"

[load_balancer.api]

[k3s]
datastore = "postgres"

[k3s.database]
size = "db-s-2vcpu-4gb"
"#;

/// The jobs that tell nodes something end after half an hour of the cloud's, which has to be long enough
/// for a machine that does other things.
fn told(file: &str) -> Folder {
    Folder::with(file).scaled(300.0)
}

fn text(folder: &Folder, address: &str, field: &str) -> String {
    let snapshot = folder.snapshot("demo");
    let record = snapshot
        .resources
        .get(&address.parse().expect("an address"));
    match record.expect("a record").attribute(field) {
        Some(Value::Str(text)) => text.to_string(),
        Some(Value::Secret(secret)) => secret.expose().expect("it opens").to_owned(),
        other => panic!("{address}: {other:?}"),
    }
}

/// The places of these words in what was printed, which come in this order.
#[track_caller]
fn assert_order(run: &Run, words: &[&str]) {
    let mut from = 0;
    for word in words {
        let found = run.out[from..].find(word);
        from += found.unwrap_or_else(|| panic!("no {word} after {from}:\n{}", run.out));
    }
}

const DONE: [&str; 4] = [
    "k3s_node.servers[0]: Modifications complete",
    "k3s_node.servers[1]: Modifications complete",
    "k3s_node.servers[2]: Modifications complete",
    "k3s_node.workers[0]: Modifications complete",
];

#[test]
fn what_nodes_hold_is_made_anew_one_server_after_the_other() {
    let folder = told(ETCD);
    folder.apply().ok();
    let old = ["agent_token", "server_token"].map(|field| text(&folder, "pki.cluster", field));
    let run = rotate(&folder, &["agent-token"]).ok();
    // An agent that is started with the new token needs servers that know it.
    assert_order(
        &run,
        &["pki.cluster: Modifications complete", DONE[0], DONE[1]],
    );
    assert_order(&run, &[DONE[2], DONE[3]]);
    folder.assert_no_changes();
    assert_ne!(text(&folder, "pki.cluster", "agent_token"), old[0]);
    assert_eq!(text(&folder, "pki.cluster", "server_token"), old[1]);

    // It is what new nodes join with.
    let more = ETCD.replace("count = 1", "count = 2");
    folder.write(&more);
    let arguments = ["--replace", "droplet.servers[1]"];
    let arguments = [&["apply", "--sandbox", "--auto-approve"][..], &arguments].concat();
    folder.kplan(&arguments).ok();
    folder.assert_no_changes();
}

#[test]
fn certificates_are_made_anew_with_their_keys() {
    let folder = told(ETCD);
    folder.apply().ok();
    let server = text(&folder, "k3s.cluster", "access.server");
    let before = folder.keys_served_at(&server, 12);
    assert_eq!(before.len(), 3, "a key of each server");
    let plan = ["rotate", "certificates", "--sandbox"];
    let refused = folder.kplan_answering(&plan, "no\n");
    assert!(
        refused.out.contains("certificates_after"),
        "{}",
        refused.out
    );
    folder.assert_no_changes();
    let run = rotate(&folder, &["certificates"]).ok();
    assert_order(&run, &DONE[..3]);
    assert_order(&run, &DONE[3..]);
    let after = folder.keys_served_at(&server, 12);
    assert_eq!(after.len(), 3);
    assert!(before.is_disjoint(&after));
    folder.assert_no_changes();
    let shown = folder.kplan(&["show", "--sandbox"]).ok();
    assert!(shown.out.contains("rotation.main"), "{}", shown.out);
}

#[test]
fn the_password_of_the_database_is_told_to_the_servers() {
    let folder = told(POSTGRES);
    folder.apply().ok();
    let old = text(&folder, "database_user.k3s", "password");
    let run = rotate(&folder, &["datastore-password"]).ok();
    assert_order(
        &run,
        &[
            "database_user.k3s: Modifications complete",
            DONE[0],
            DONE[1],
        ],
    );
    assert_ne!(text(&folder, "database_user.k3s", "password"), old);
    folder.assert_no_changes();
    // The administrator's password is DigitalOcean's to make anew.
    let admins = POSTGRES.replace("[k3s.database]", "[k3s.database]\nuser = \"doadmin\"");
    let folder = told(&admins);
    folder.apply().ok();
    let none = rotate(&folder, &["datastore-password"]).expect_code(1);
    assert!(none.err.contains("rotate::nothing"), "{}", none.err);
    assert!(none.err.contains("administrator"), "{}", none.err);
}

fn has_rotation(folder: &Folder) -> bool {
    let rotation = "rotation.main".parse().expect("an address");
    folder.snapshot("demo").resources.contains_key(&rotation)
}

/// Killed at moments spread over it, the next apply ends what was begun.
#[test]
fn a_rotation_that_is_killed_is_carried_on_by_the_next_apply() {
    let folder = told(ETCD);
    folder.apply().ok();
    let old = text(&folder, "pki.cluster", "agent_token");
    let arguments = ["rotate", "agent-token", "--sandbox", "--auto-approve"];
    // Until it is agreed to, it is as if nobody had asked for it.
    let mut moment = 600;
    while !has_rotation(&folder) {
        folder.kill_after(&arguments, moment);
        moment += 200;
    }
    for moment in 1..8 {
        folder.kill_after(&["apply", "--sandbox", "--auto-approve"], 150 * moment);
    }
    folder.apply().ok();
    folder.assert_no_changes();
    assert_ne!(text(&folder, "pki.cluster", "agent_token"), old);
}
