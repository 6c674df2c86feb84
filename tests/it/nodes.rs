//! Labels and taints of living nodes: changed in place, without what others put on them.

use crate::support::cluster::Cluster;
use crate::support::{Folder, SMALL};
use serde_json::{Value, json};

const SERVER: &str = "v1 Node demo-servers-0";
const WORKER: &str = "v1 Node demo-workers-0";

/// A server and a worker with these lines.
fn file(server: &str, worker: &str) -> String {
    format!(
        "{SMALL}{server}\n[[agents]]\nname = \"workers\"\ncount = 1\nsize = \"s-1vcpu-2gb\"\n\
         {worker}\n"
    )
}

fn label<'a>(node: &'a Value, key: &str) -> Option<&'a str> {
    node["metadata"]["labels"].get(key)?.as_str()
}

/// Keys of a node's taints.
fn taints(node: &Value) -> Vec<&str> {
    let taints = node["spec"]["taints"].as_array();
    let keys = taints.into_iter().flatten();
    keys.filter_map(|taint| taint["key"].as_str()).collect()
}

fn droplets(folder: &Folder) -> Vec<String> {
    let seen = folder.inspect();
    let droplets = seen["resources"]["droplets"].as_array().expect("droplets");
    let ids = droplets.iter().map(|droplet| droplet["id"].as_str());
    ids.map(|id| id.expect("an id").to_owned()).collect()
}

#[test]
fn labels_and_taints_change_in_place_and_those_of_others_stay() {
    let folder =
        Folder::with(&file("", "labels = { tier = \"app\", old = \"1\" }\n")).scaled(100.0);
    folder.apply();
    let before = droplets(&folder);
    let cluster = Cluster::of(&folder, "demo");
    cluster.apply(&json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": "demo-workers-0", "labels": { "team": "shop" } },
    }));
    folder.write(&file(
        "schedulable = false\n",
        "labels = { tier = \"db\", \"example.com/disk\" = \"fast\" }\n\
         taints = [\"dedicated=db:NoSchedule\"]\n",
    ));
    let plan = folder.kplan(&["plan", "--sandbox"]).ok();
    plan.assert_says(&[
        "  ~ k3s_node.servers[0]",
        "  ~ k3s_node.workers[0]",
        "CriticalAddonsOnly=true:NoExecute",
        "dedicated=db:NoSchedule",
        "Plan: 0 to add, 2 to change, 0 to destroy.",
    ]);
    folder.apply();
    assert_eq!(droplets(&folder), before);
    let worker = cluster.get(WORKER).expect("the worker");
    assert_eq!(label(&worker, "tier"), Some("db"));
    assert_eq!(label(&worker, "example.com/disk"), Some("fast"));
    assert_eq!(label(&worker, "old"), None);
    assert_eq!(label(&worker, "team"), Some("shop"));
    assert_eq!(
        label(&worker, "topology.kubernetes.io/region"),
        Some("fra1")
    );
    assert_eq!(taints(&worker), ["dedicated"]);
    let server = cluster.get(SERVER).expect("the server");
    assert_eq!(taints(&server), ["CriticalAddonsOnly"]);
    folder.assert_no_changes();
    // K3s gives a node the labels of its configuration at every start.
    let rotate = ["rotate", "certificates", "--sandbox", "--auto-approve"];
    folder.kplan(&rotate).ok();
    folder.assert_no_changes();
    let worker = cluster.get(WORKER).expect("the worker");
    assert_eq!(label(&worker, "tier"), Some("db"));
    assert_eq!(label(&worker, "old"), None);
    what_somebody_took_off_is_put_back(&folder, &cluster);
    // Nothing is left of what was kplan's.
    folder.write(&file("", ""));
    folder.apply();
    let worker = cluster.get(WORKER).expect("the worker");
    assert_eq!(label(&worker, "tier"), None);
    assert_eq!(label(&worker, "team"), Some("shop"));
    assert_eq!(taints(&worker), [""; 0]);
    let server = cluster.get(SERVER).expect("the server");
    assert_eq!(taints(&server), [""; 0]);
    assert_eq!(droplets(&folder), before);
    folder.assert_no_changes();
}

/// A label that somebody changed, seen by the plan after.
fn what_somebody_took_off_is_put_back(folder: &Folder, cluster: &Cluster) {
    cluster.apply(&json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": "demo-workers-0", "labels": { "team": "shop", "tier": "other" } },
    }));
    let plan = folder.kplan(&["plan", "--sandbox"]).ok();
    assert!(plan.out.contains("~ k3s_node.workers[0]"), "{}", plan.out);
    assert!(plan.out.contains("other"), "{}", plan.out);
    folder.apply();
    let worker = cluster.get(WORKER).expect("the worker");
    assert_eq!(label(&worker, "tier"), Some("db"));
    folder.assert_no_changes();
}

/// One server behind the load balancer that several will need.
const ONE: &str = "[cluster]\nname = \"demo\"\nregion = \"fra1\"\n\n[network]\napi_allow = \
                   [\"203.0.113.0/24\"]\n\n[servers]\ncount = 1\nsize = \"s-2vcpu-4gb\"\n\n\
                   [load_balancer.api]\n";
const KEPT: &str = "v1 ConfigMap default/kept";

fn put_something(folder: &Folder) {
    Cluster::of(folder, "demo").apply(&json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "kept", "namespace": "default" }, "data": { "a": "b" },
    }));
}

/// Fails the test unless three servers are Ready members of etcd with what was put before.
#[track_caller]
fn assert_three(folder: &Folder) {
    let cluster = Cluster::of(folder, "demo");
    for index in 0..3 {
        let node = format!("v1 Node demo-servers-{index}");
        let node = cluster.get(&node).expect("a server");
        assert_eq!(label(&node, "node-role.kubernetes.io/etcd"), Some("true"));
        let conditions = node["status"]["conditions"].as_array().expect("conditions");
        let ready = |one: &&Value| one["type"] == "Ready" && one["status"] == "True";
        assert!(conditions.iter().any(|one| ready(&one)), "{node:#?}");
    }
    let kept = cluster.get(KEPT).expect("it is still there");
    assert_eq!(kept["data"]["a"], "b");
}

#[test]
fn a_single_server_moves_its_data_to_etcd_and_others_join_it() {
    let folder = Folder::with(ONE).scaled(100.0);
    folder.apply();
    put_something(&folder);
    let before = droplets(&folder);
    folder.write(&ONE.replace("count = 1", "count = 3"));
    let plan = folder.kplan(&["plan", "--sandbox"]).ok();
    plan.assert_says(&[
        "  ~ k3s_node.servers[0]",
        "the data of k3s_node.servers[0] moves from SQLite to etcd. Its droplet stays",
        "There is no way back to SQLite",
        "Plan: 4 to add, 2 to change, 0 to destroy.",
    ]);
    let run = folder.apply();
    let all = format!("{}{}", run.out, run.err);
    let at = |words: &str| {
        all.find(words)
            .unwrap_or_else(|| panic!("no {words}:\n{all}"))
    };
    let moved = at("k3s_node.servers[0]: Modifications complete");
    for server in 1..3 {
        assert!(
            moved < at(&format!("k3s_node.servers[{server}]: Creating")),
            "{all}"
        );
    }
    assert_three(&folder);
    assert!(droplets(&folder).contains(&before[0]));
    folder.assert_no_changes();
    // The first server is one like the others from now on.
    let replace = [
        "apply",
        "--sandbox",
        "--auto-approve",
        "--replace",
        "droplet.servers[0]",
    ];
    folder.kplan(&replace).ok();
    assert_three(&folder);
    assert!(!droplets(&folder).contains(&before[0]));
    folder.assert_no_changes();
    let back = format!("{ONE}\n[k3s]\ndatastore = \"sqlite\"\n");
    folder.write(&back);
    let refused = folder.kplan(&["plan", "--sandbox"]).expect_code(6);
    assert!(refused.err.contains("and not back"), "{}", refused.err);
}

/// The load balancer comes with the other servers: its address is in no certificate, and the servers'
/// own addresses let nobody in any more.
#[test]
fn a_single_server_grows_behind_a_load_balancer_that_is_new() {
    let alone = ONE.replace("\n[load_balancer.api]\n", "");
    let folder = Folder::with(&alone).scaled(100.0);
    folder.apply();
    put_something(&folder);
    let before = droplets(&folder);
    folder.write(&ONE.replace("count = 1", "count = 3"));
    let plan = folder.kplan(&["plan", "--sandbox"]).ok();
    plan.assert_says(&[
        "  ~ k3s_node.servers[0]",
        "moves from SQLite to etcd. Its droplet stays",
        "tls_sans",
    ]);
    folder.apply();
    assert_three(&folder);
    assert!(droplets(&folder).contains(&before[0]));
    folder.assert_no_changes();
    let kubeconfig = folder.kplan(&["kubeconfig", "--sandbox"]).ok();
    let address = |kind: &str, field: &str| {
        let snapshot = folder.snapshot("demo");
        let record = snapshot.resources.get(&kind.parse().expect("an address"));
        match record.expect("a record").attribute(field) {
            Some(kplan_model::Value::Str(text)) => text.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let balancer = address("load_balancer.api", "ip");
    assert!(kubeconfig.out.contains(&balancer), "{}", kubeconfig.out);
    // Every server's certificate bears the address: kubectl checks it, which kplan does not need.
    for _ in 0..3 {
        let names = folder.names_served_at(&format!("https://{balancer}:6443"));
        assert!(names.contains(&balancer), "{names:?}");
    }
}

#[test]
fn names_come_into_the_certificates_of_living_servers() {
    let folder = Folder::with(ONE).scaled(100.0);
    folder.apply();
    let with = format!("{ONE}\n[endpoint]\nhostname = \"k8s.example.org\"\n");
    folder.write(&with);
    let plan = folder.kplan(&["plan", "--sandbox"]).ok();
    assert!(plan.out.contains("k3s_node.servers[0]"), "{}", plan.out);
    assert!(plan.out.contains("0 to destroy"), "{}", plan.out);
    folder.apply();
    folder.assert_no_changes();
    let snapshot = folder.snapshot("demo");
    let cluster = snapshot
        .resources
        .get(&"k3s.cluster".parse().expect("an address"));
    let access = cluster.and_then(|record| record.attribute("access.server"));
    let Some(kplan_model::Value::Str(server)) = access else {
        panic!("{access:?}");
    };
    let names = folder.names_served_at(&server);
    assert!(
        names.iter().any(|name| name == "k8s.example.org"),
        "{names:?}"
    );
    folder.write(ONE);
    folder.apply();
    folder.assert_no_changes();
    // K3s leaves a name in the certificate that it had once.
    let names = folder.names_served_at(&server);
    assert!(names.contains("k8s.example.org"), "{names:?}");
}

/// Killed at moments spread over the whole change, the next apply goes on with it.
#[test]
fn a_move_to_etcd_that_is_killed_is_carried_on_by_the_next_apply() {
    let folder = Folder::with(ONE).scaled(100.0);
    folder.apply();
    put_something(&folder);
    let before = droplets(&folder);
    folder.write(&ONE.replace("count = 1", "count = 3"));
    for moment in 1..10 {
        folder.kill_after(&["apply", "--sandbox", "--auto-approve"], 120 * moment);
    }
    folder.apply();
    assert_three(&folder);
    let after = droplets(&folder);
    assert!(after.len() == 3 && after.contains(&before[0]), "{after:?}");
    folder.assert_no_changes();
}
