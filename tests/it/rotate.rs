//! Secrets that are made anew, one life of the cluster long.

use crate::support::{Folder, Run, cut_off_at};
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
    Folder::with(file).scaled(100.0)
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
    // K3s never starts again where its file of passwords is newer than the datastore's copy.
    boot_the_servers(&folder);
    folder.assert_no_changes();

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

const SQLITE: &str =
    "[cluster]\nname = \"demo\"\nregion = \"fra1\"\n\n[servers]\nsize = \"s-2vcpu-4gb\"\n";
const SERVER_TOKEN: [&str; 4] = ["rotate", "server-token", "--sandbox", "--auto-approve"];

fn tokens(folder: &Folder) -> [String; 2] {
    ["server_token", "server_token_before"].map(|field| text(folder, "pki.cluster", field))
}

/// The servers whose record says that they have another token than the one that is wanted.
fn servers_without(folder: &Folder) -> usize {
    let snapshot = folder.snapshot("demo");
    let wanted = &snapshot.resources[&"rotation.main".parse().expect("an address")];
    let wanted = wanted.attribute("server_token");
    let of_servers = snapshot.resources.values().filter(|record| {
        let at = &record.address;
        at.kind().as_str() == "k3s_node" && at.name() == "servers"
    });
    of_servers
        .filter(|record| record.attribute("server_token_after") != wanted)
        .count()
}

/// The power of all servers fails for a moment.
fn boot_the_servers(folder: &Folder) {
    let on = serde_json::json!({ "type": "power_on" });
    for path in folder.switch_off(|name| name.contains("servers")) {
        folder.cloud("POST", &format!("{path}/actions"), Some(&on));
    }
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
    // Until then a plan is not the whole truth.
    while folder
        .kplan(&["plan", "--sandbox"])
        .out
        .contains("could not be read")
    {
        assert!(std::time::Instant::now() < deadline, "K3s does not start");
    }
}

/// Every server has the new token, and starts with it again and again.
#[track_caller]
fn assert_exchanged(folder: &Folder, old: &str) {
    let [token, before] = tokens(folder);
    assert_ne!(token, old);
    assert_eq!(before, old);
    assert_eq!(servers_without(folder), 0);
    folder.assert_no_changes();
    boot_the_servers(folder);
    folder.apply().ok();
    boot_the_servers(folder);
    folder.apply().ok();
    folder.assert_no_changes();
}

/// None of these is in what was printed, or in a file that is not the cloud's.
#[track_caller]
fn assert_hidden(folder: &Folder, printed: &str, secrets: &[String]) {
    let mut files = Vec::new();
    crate::secrets::files(folder.path(), &mut files);
    for secret in secrets {
        assert!(!printed.contains(secret.as_str()), "{printed}");
        for (name, bytes) in &files {
            let found = bytes
                .windows(secret.len())
                .any(|it| it == secret.as_bytes());
            assert!(!found, "{name} holds a token");
        }
    }
}

#[test]
fn the_server_token_is_known_to_all_servers_before_it_is_exchanged() {
    let folder = told(ETCD);
    folder.apply().ok();
    let old = text(&folder, "pki.cluster", "server_token");
    let run = rotate(&folder, &["server-token"]).ok();
    assert_order(
        &run,
        &[
            "pki.cluster: Modifications complete",
            "server_token.main: Creation complete",
            DONE[0],
            DONE[1],
            DONE[2],
        ],
    );
    assert!(
        !run.out.contains("k3s_node.workers[0]: Modif"),
        "{}",
        run.out
    );
    assert_exchanged(&folder, &old);
    let secrets = tokens(&folder);
    assert_hidden(&folder, &(run.out + &run.err), &secrets);

    // It is what new servers join with, and it can be made anew again.
    let replace = [
        "apply",
        "--sandbox",
        "--auto-approve",
        "--replace",
        "droplet.servers[1]",
    ];
    folder.kplan(&replace).ok();
    folder.assert_no_changes();
    rotate(&folder, &["server-token", "agent-token"]).ok();
    assert_exchanged(&folder, &secrets[0]);
}

#[test]
fn the_server_token_of_a_single_server_and_of_one_with_a_database_is_exchanged() {
    for file in [SQLITE, POSTGRES] {
        let folder = told(file);
        folder.apply().ok();
        let old = text(&folder, "pki.cluster", "server_token");
        rotate(&folder, &["server-token"]).ok();
        assert_exchanged(&folder, &old);
    }
}

/// Killed at moments spread over it, and the servers' power fails after each: the next apply ends what was
/// begun.
#[test]
fn an_exchange_that_is_killed_is_carried_on_by_the_next_apply() {
    for file in [SQLITE, ETCD] {
        let folder = told(file);
        folder.apply().ok();
        let old = text(&folder, "pki.cluster", "server_token");
        let mut moment = 600;
        while !has_rotation(&folder) {
            folder.kill_after(&SERVER_TOKEN, moment);
            moment += 200;
        }
        let again = folder.kplan(&SERVER_TOKEN).expect_code(1);
        assert!(again.err.contains("rotate::under_way"), "{}", again.err);
        for moment in 1..10 {
            folder.kill_after(&["apply", "--sandbox", "--auto-approve"], 400 * moment);
            boot_the_servers(&folder);
        }
        folder.apply().ok();
        assert_exchanged(&folder, &old);
    }
}

/// A server that is lost when some have the new token, and some the old one.
#[test]
fn a_server_that_is_lost_while_the_token_is_exchanged_is_replaced() {
    let folder = told(ETCD);
    folder.apply().ok();
    cut_off_at(folder.command(&SERVER_TOKEN), DONE[0]);
    let left = servers_without(&folder);
    assert!((1..3).contains(&left), "not in the middle of it: {left}");
    let [_, old] = tokens(&folder);
    folder.lose_droplets(|name| name == "demo-servers-2");
    let run = folder.apply();
    // Its successor may have joined with the old one.
    if servers_without(&folder) > 0 {
        assert!(run.err.contains("once more"), "{}", run.err);
        folder.apply();
    }
    assert_exchanged(&folder, &old);
}

/// A server that is missing when the exchange begins is made first, and joins with the old token, because
/// nobody takes another yet. It is not done with that.
#[test]
fn a_server_that_is_made_before_the_exchange_gets_the_new_token_too() {
    let folder = told(ETCD);
    folder.apply().ok();
    let old = text(&folder, "pki.cluster", "server_token");
    folder.lose_droplets(|name| name == "demo-servers-2");
    let run = rotate(&folder, &["server-token"]).ok();
    assert_eq!(servers_without(&folder), 1);
    assert!(run.err.contains("once more"), "{}", run.err);
    folder.apply().ok();
    assert_eq!(servers_without(&folder), 0);
    // Nobody was started again by other means: whoever is made now joins the last one.
    let replace = [
        "apply",
        "--sandbox",
        "--auto-approve",
        "--replace",
        "droplet.servers[0]",
    ];
    folder.kplan(&replace).ok();
    assert_exchanged(&folder, &old);
}
