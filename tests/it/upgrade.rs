//! Another version of K3s on living nodes: servers one at a time, then agents, each drained first.

use crate::support::cluster::Cluster;
use crate::support::{Folder, repository};
use serde_json::Value;

const OLD: &str = "v1.34.9+k3s1";
const NEW: &str = "v1.35.6+k3s1";

/// The example with that version and so many agents in its first pool.
fn file(version: &str, agents: u32) -> String {
    let path = repository().join("examples/ha-etcd/cluster.toml");
    let text = std::fs::read_to_string(path).expect("the example");
    let text = text.replacen("count  = 2", &format!("count  = {agents}"), 1);
    format!("{text}\n[k3s]\nversion = \"{version}\"\n")
}

fn versions(folder: &Folder, names: &[&str]) -> Vec<String> {
    let cluster = Cluster::of(folder, "ha");
    let version = |name: &&str| {
        let node = cluster.get(&format!("v1 Node {name}")).expect("a node");
        assert_ne!(
            node["spec"]["unschedulable"],
            Value::Bool(true),
            "{name} stays cordoned"
        );
        node["status"]["nodeInfo"]["kubeletVersion"]
            .as_str()
            .expect("a version")
            .to_owned()
    };
    names.iter().map(version).collect()
}

#[test]
fn k3s_is_upgraded_on_living_nodes_and_new_ones_begin_with_what_the_others_run() {
    // Its jobs have an hour of the cloud's, which has to be long enough for a busy machine.
    let folder = Folder::with(&file(OLD, 1)).scaled(500.0);
    folder.apply().ok();
    let nodes = [
        "ha-servers-0",
        "ha-servers-1",
        "ha-servers-2",
        "ha-web-0",
        "ha-batch-1",
    ];
    assert_eq!(versions(&folder, &nodes), [OLD; 5]);
    // A minor version must not be left out, and nothing goes back.
    let skipped = file("v1.36.2+k3s1", 1) + "\n[storage]\ncsi = false\n";
    folder.write(&skipped);
    let refused = folder.kplan(&["plan", "--sandbox"]).expect_code(6);
    assert!(refused.err.contains("left out"), "{}", refused.err);
    // Growing and upgrading in one edit: the new node joins with what the others run.
    folder.write(&file(NEW, 2));
    let plan = folder.kplan(&["plan", "--sandbox"]).ok();
    assert!(
        plan.out
            .contains("K3s goes from v1.34.9+k3s1 to v1.35.6+k3s1"),
        "{}",
        plan.out
    );
    assert!(
        !plan.out.contains("droplet.servers[0] will be"),
        "{}",
        plan.out
    );
    folder.apply().ok();
    let nodes = [&nodes[..], &["ha-web-1"]].concat();
    assert_eq!(versions(&folder, &nodes), [NEW; 6]);
    folder.assert_no_changes();
    folder.write(&file(OLD, 2));
    let refused = folder.kplan(&["plan", "--sandbox"]).expect_code(6);
    assert!(
        refused.err.contains("k3s::skew") && refused.err.contains("older"),
        "{}",
        refused.err
    );
}
