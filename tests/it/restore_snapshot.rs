//! A cluster whose servers are lost begins again from a snapshot of etcd that K3s copied into the
//! backup bucket.

use crate::support::bucket::SpacesAccess;
use crate::support::cluster::Cluster;
use crate::support::{Folder, Run, SMALL, cut_off};
use serde_json::{Value, json};

const FILE: &str = r#"
[cluster]
name   = "demo"
region = "fra1"

[network]
api_allow = ["203.0.113.0/24"]

[servers]
count = 3
size  = "s-2vcpu-4gb"

[[agents]]
name  = "workers"
count = 2
size  = "s-1vcpu-2gb"

[load_balancer.api]

[backup]
bucket    = "acme-demo-backup"
schedules = [{ name = "nightly", cron = "0 2 * * *", keep = "30d" }]
"#;

const RESTORE: &[&str] = &[
    "restore",
    "--snapshot",
    "latest",
    "--sandbox",
    "--auto-approve",
];

/// One server with etcd, and no agent.
fn alone() -> String {
    let file = FILE.replace("count = 3", "count = 1");
    let agents = file.find("[[agents]]").expect("agents");
    let balancer = file.find("[load_balancer.api]").expect("a balancer");
    format!(
        "{}{}\n[k3s]\ndatastore = \"etcd\"\n",
        &file[..agents],
        &file[balancer..]
    )
}

fn config(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": name, "namespace": "default" }, "data": { "colour": "green" },
    })
}

/// Has a server take a snapshot, as somebody does who has a shell there.
fn take(folder: &Folder) {
    let cluster = Cluster::of(folder, "demo");
    let command = "/usr/bin/nsenter --target=1 --mount -- k3s etcd-snapshot save";
    let command: Vec<&str> = command.split(' ').collect();
    cluster.apply(&json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "save", "namespace": "kube-system" },
        "spec": {
            "nodeName": "demo-servers-0", "hostPID": true, "restartPolicy": "Never",
            "containers": [{
                "name": "save", "image": "example.org/empty:1",
                "command": command,
                "securityContext": { "privileged": true },
                "volumeMounts": [{ "name": "usr", "mountPath": "/usr", "readOnly": true }],
            }],
            "volumes": [{ "name": "usr", "hostPath": { "path": "/usr" } }],
        },
    }));
    cluster.until("v1 Pod kube-system/save", "/status/phase", "Succeeded");
}

/// A cluster with an object, a snapshot of it, and an object that came later.
fn live(file: &str) -> Folder {
    lived(Folder::with(file))
}

fn lived(folder: Folder) -> Folder {
    folder.apply();
    Cluster::of(&folder, "demo").apply(&config("kept"));
    take(&folder);
    Cluster::of(&folder, "demo").apply(&config("later"));
    folder
}

fn lose_the_servers(folder: &Folder) {
    folder.lose_droplets(|name| name.contains("servers"));
}

/// What was in the snapshot is there and nothing else, on nodes that are all new; and nothing is left
/// to do.
fn assert_back(folder: &Folder, servers: usize, agents: usize) {
    let cluster = Cluster::of(folder, "demo");
    let kept = cluster.get("v1 ConfigMap default/kept");
    assert_eq!(kept.expect("it is back")["data"]["colour"], "green");
    assert!(cluster.get("v1 ConfigMap default/later").is_none());
    let droplets = folder.inspect()["resources"]["droplets"].clone();
    let pools = [("servers", servers), ("workers", agents)];
    let names = pools.iter().flat_map(|(pool, count)| {
        let names = (0..*count).map(move |index| format!("demo-{pool}-{index}"));
        names.map(move |name| (*pool, name))
    });
    for (pool, name) in names {
        let node = cluster.get(&format!("v1 Node {name}"));
        let node = node.unwrap_or_else(|| panic!("no node {name}"));
        let ready = node["status"]["conditions"].as_array().expect("conditions");
        let ready = ready.iter().find(|one| one["type"] == "Ready");
        assert_eq!(ready.expect("a condition")["status"], "True", "{name}");
        let member = &node["metadata"]["labels"]["node-role.kubernetes.io/etcd"];
        assert_eq!(member == "true", pool == "servers", "{name}");
        let mut droplets = droplets.as_array().expect("droplets").iter();
        let droplet = droplets.find(|one| one["name"] == name.as_str());
        let id = droplet.expect("its droplet")["id"].as_str().expect("an id");
        assert_eq!(
            node["spec"]["providerID"],
            format!("digitalocean://{id}"),
            "{name}"
        );
    }
    folder.assert_no_changes();
    let list = folder.kplan(&["state", "list", "--sandbox"]).ok();
    assert!(!list.out.contains("restore_request"), "{}", list.out);
}

#[test]
fn a_cluster_whose_servers_are_lost_begins_again_from_its_snapshot() {
    let folder = live(FILE);
    // What came after the snapshot and is on record is made again.
    let more = format!("{FILE}\n[addons]\nsealed_secrets = true\n");
    folder.write(&more);
    folder.apply();
    let listed = folder
        .kplan(&["backup", "list", "--sandbox", "--json"])
        .ok();
    let listed = listed.json()["snapshots"][0]["name"].clone();
    let listed = listed.as_str().expect("a snapshot").to_owned();
    assert!(listed.starts_with("on-demand-demo-servers-0-"), "{listed}");
    lose_the_servers(&folder);
    // Whoever applies is told; the droplets that made are taken.
    let lost = folder.kplan(&["apply", "--sandbox", "--auto-approve"]);
    assert_ne!(lost.code, Some(0), "{}", lost.out);
    let way = "restore --snapshot latest";
    let words: Vec<&str> = lost.err.split_whitespace().collect();
    assert!(words.join(" ").contains(way), "{}", lost.err);
    let run = folder.kplan(RESTORE).ok();
    assert!(
        run.out.contains(&format!("Restoring from {listed}.")),
        "{}",
        run.out
    );
    let at = |words: &str| {
        let found = run.out.find(words);
        found.unwrap_or_else(|| panic!("no {words}:\n{}", run.out))
    };
    let begun = at("k3s_node.servers[0]: Creation complete");
    for behind in [
        "k3s_node.servers[1]: Creating",
        "k3s_node.servers[2]: Creating",
        "k3s_node.workers[0]: Creating",
        "sealed_secrets.main: ",
    ] {
        assert!(begun < at(behind), "{behind}:\n{}", run.out);
    }
    // What ran on the old agents runs nowhere before the cluster, that starts it again, is there.
    for before in [
        "droplet.workers[0]: Destruction complete",
        "droplet.workers[1]: Destruction complete",
    ] {
        assert!(at(before) < begun, "{before}:\n{}", run.out);
    }
    assert!(!run.out.contains("Drain"), "{}", run.out);
    assert_back(&folder, 3, 2);
    // The same once more, from the same snapshot: that one was begun from before does not count.
    lose_the_servers(&folder);
    folder.kplan(RESTORE).ok();
    assert_back(&folder, 3, 2);
}

#[test]
fn a_single_server_comes_back_with_its_state_from_the_bucket_alone() {
    let folder = live(&alone());
    let keys = SpacesAccess::of(&folder);
    folder.lose_everything();
    let mut command = folder.command(RESTORE);
    command
        .env("SPACES_ACCESS_KEY_ID", &keys.access_key)
        .env("SPACES_SECRET_ACCESS_KEY", &keys.secret_key);
    let run = Run::of(command).ok();
    assert!(run.out.contains("Taking kit"), "{}", run.out);
    assert!(!run.out.contains("velero_restore"), "{}", run.out);
    assert_back(&folder, 1, 0);
}

#[test]
fn a_restore_from_a_snapshot_that_is_killed_is_carried_on_by_the_next_apply() {
    let folder = live(FILE);
    lose_the_servers(&folder);
    let before = folder.count("droplets");
    cut_off(folder.command(RESTORE), || {
        folder.count("droplets") != before
    });
    folder.apply();
    assert_back(&folder, 3, 2);
}

/// A snapshot opens with the server token of its time, and the cluster goes on with the one it has now.
#[test]
fn a_snapshot_from_before_the_server_token_was_made_anew_is_restored() {
    let folder = lived(Folder::with(&alone()).scaled(100.0));
    let rotate = ["rotate", "server-token", "--sandbox", "--auto-approve"];
    folder.kplan(&rotate).ok();
    lose_the_servers(&folder);
    folder.kplan(RESTORE).ok();
    assert_back(&folder, 1, 0);
    // It is what the next server joins with.
    folder.write(&alone().replace("count = 1", "count = 3"));
    folder.apply();
    assert_back(&folder, 3, 0);
}

#[test]
fn a_snapshot_is_restored_only_where_it_can_be_and_has_to() {
    let folder = live(FILE);
    let droplets = folder.count("droplets");
    let alive = folder.kplan(RESTORE).expect_code(6);
    assert!(alive.err.contains("restore::not_lost"), "{}", alive.err);
    assert!(alive.err.contains("Snapshots of etcd"), "{}", alive.err);
    let both: Vec<&str> = [RESTORE, &["--from", "latest"]].concat();
    let both = folder.kplan(&both).expect_code(1);
    assert!(both.err.contains("cannot be used with"), "{}", both.err);
    lose_the_servers(&folder);
    let named = [
        "restore",
        "--snapshot",
        "tomorrow",
        "--sandbox",
        "--auto-approve",
    ];
    let missing = folder.kplan(&named).expect_code(1);
    assert!(missing.err.contains("snapshot::missing"), "{}", missing.err);
    assert_eq!(folder.count("droplets"), droplets - 3);
    let refused = folder.kplan(&["restore", "--snapshot", "latest", "--sandbox"]);
    let refused = refused.expect_code(1);
    assert!(
        refused.out.contains("Nothing was written"),
        "{}",
        refused.out
    );
    let list = folder.kplan(&["state", "list", "--sandbox"]).ok();
    assert!(!list.out.contains("restore_request"), "{}", list.out);
    let sqlite = Folder::with(SMALL);
    sqlite.apply();
    let other = sqlite.kplan(RESTORE).expect_code(6);
    assert!(other.err.contains("restore::no_etcd"), "{}", other.err);
    let unsaved = format!("{SMALL}\n[k3s]\ndatastore = \"etcd\"\n");
    let unsaved = Folder::with(&unsaved);
    unsaved.apply();
    let nowhere = unsaved.kplan(RESTORE).expect_code(6);
    assert!(
        nowhere.err.contains("restore::no_snapshots"),
        "{}",
        nowhere.err
    );
}

/// A backup of a cluster with several servers: nobody can be asked any more what is in it.
#[test]
fn a_cluster_whose_servers_are_lost_is_made_again_from_its_backup() {
    let folder = live(FILE);
    let cluster = Cluster::of(&folder, "demo");
    cluster.apply(&json!({
        "apiVersion": "velero.io/v1", "kind": "Backup",
        "metadata": { "name": "drill", "namespace": "velero" },
        "spec": { "storageLocation": "default" },
    }));
    cluster.until(
        "velero.io/v1 Backup velero/drill",
        "/status/phase",
        "Completed",
    );
    drop(cluster);
    lose_the_servers(&folder);
    let restore = ["restore", "--sandbox", "--auto-approve", "--from", "drill"];
    let run = folder.kplan(&restore).ok();
    assert!(!run.out.contains("back already"), "{}", run.out);
    let cluster = Cluster::of(&folder, "demo");
    for name in ["kept", "later"] {
        let object = cluster.get(&format!("v1 ConfigMap default/{name}"));
        assert_eq!(object.expect("it is back")["data"]["colour"], "green");
    }
    for node in ["servers-0", "servers-2", "workers-1"] {
        let node = cluster.get(&format!("v1 Node demo-{node}"));
        assert!(node.is_some(), "{node:?}");
    }
    folder.assert_no_changes();
    let list = folder.kplan(&["state", "list", "--sandbox"]).ok();
    assert!(!list.out.contains("restore_request"), "{}", list.out);
}
