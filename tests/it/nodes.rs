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
    let folder = Folder::with(&file("", "labels = { tier = \"app\", old = \"1\" }\n"));
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
    for words in [
        "  ~ k3s_node.servers[0]",
        "  ~ k3s_node.workers[0]",
        "CriticalAddonsOnly=true:NoExecute",
        "dedicated=db:NoSchedule",
        "Plan: 0 to add, 2 to change, 0 to destroy.",
    ] {
        assert!(plan.out.contains(words), "no {words}:\n{}", plan.out);
    }
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
