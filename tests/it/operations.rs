//! What is done to a node before it goes is in the plan, in the order of its run, and in JSON.

use crate::support::cluster::Cluster;
use crate::support::{Folder, SMALL, meanwhile};
use serde_json::json;

fn workers(count: u32) -> String {
    format!("{SMALL}\n[[agents]]\nname = \"workers\"\ncount = {count}\nsize = \"s-1vcpu-2gb\"\n")
}

#[test]
fn a_node_is_drained_before_its_droplet_goes() {
    let folder = Folder::with(&workers(2));
    folder.kplan(&["apply", "--sandbox", "--auto-approve"]).ok();
    folder.write(&workers(1));
    let skipped = ["plan", "--sandbox", "--skip-operation", "drain"];
    let skipped = folder.kplan(&skipped).ok();
    assert!(skipped.out.contains("2 to destroy.\n"), "{}", skipped.out);
    let mistyped = ["plan", "--sandbox", "--skip-operation", "train"];
    let mistyped = folder.kplan(&mistyped).expect_code(1);
    assert!(
        mistyped
            .err
            .contains("there are drain, leave-etcd, resume, uncordon"),
        "{}",
        mistyped.err
    );
    let plan = folder
        .kplan(&["plan", "--sandbox", "--format", "json"])
        .ok();
    assert_eq!(
        plan.json()["operations"],
        json!([{
            "address": "k3s_node.workers[1]",
            "operation": "drain",
            "does": "takes no new pods, and its pods move to other nodes",
            "before": "delete",
        }])
    );
    let run = folder.kplan(&["apply", "--sandbox", "--auto-approve"]).ok();
    assert!(
        run.out.contains(
            "\n  # k3s_node.workers[1] takes no new pods, and its pods move to other nodes before it \
             is destroyed (drain)\n  ! k3s_node.workers[1]\n"
        ),
        "{}",
        run.out
    );
    assert!(
        run.out.contains("2 to destroy; 1 operation.\n"),
        "{}",
        run.out
    );
    let at = |words: &str| {
        let all = format!("{}{}", run.out, run.err);
        all.find(words)
            .unwrap_or_else(|| panic!("no {words}:\n{all}"))
    };
    let drained = at("k3s_node.workers[1]: Drain complete");
    assert!(drained < at("droplet.workers[1]: Destroying"));
    let next = folder.kplan(&["plan", "--sandbox"]).ok();
    assert!(next.out.contains("No changes."), "{}", next.out);
    the_last_of_a_pool_keeps_its_firewall_to_the_end(&folder);
    // Nobody stays, so nothing is drained.
    let destroyed = folder
        .kplan(&[
            "destroy",
            "--sandbox",
            "--auto-approve",
            "--confirm",
            "demo",
        ])
        .ok();
    assert!(!destroyed.out.contains("Drain"), "{}", destroyed.out);
}

/// A Deployment that runs on one node only, and a budget that keeps its only pod.
fn kept_on(node: &str) -> [serde_json::Value; 2] {
    let app = json!({ "app": "web" });
    [
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "web", "namespace": "default" },
            "spec": {
                "replicas": 1,
                "selector": { "matchLabels": app },
                "template": {
                    "metadata": { "labels": app },
                    "spec": {
                        "nodeSelector": { "kubernetes.io/hostname": node },
                        "containers": [{ "name": "web", "image": "example.org/web:1" }],
                    },
                },
            },
        }),
        json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
            "metadata": { "name": "webbudget", "namespace": "default" },
            "spec": { "minAvailable": 1, "selector": { "matchLabels": app } },
        }),
    ]
}

#[test]
fn what_holds_a_drain_up_is_named_and_the_drain_goes_on_when_it_is_gone() {
    let folder = Folder::with(&workers(2)).scaled(300.0);
    folder.apply();
    let cluster = Cluster::of(&folder, "demo");
    let objects = kept_on("demo-workers-1");
    for object in &objects {
        cluster.apply(object);
    }
    let web = "apps/v1 Deployment default/web";
    cluster.until_is(web, "/status/readyReplicas", &json!(1));
    let budget = "policy/v1 PodDisruptionBudget default/webbudget";
    cluster.until_is(budget, "/status/currentHealthy", &json!(1));
    folder.write(&workers(1));
    let command = folder.command(&["apply", "--sandbox", "--auto-approve"]);
    let named = "held by the disruption budget default/webbudget";
    let run = meanwhile(command, named, || cluster.delete(budget)).ok();
    run.assert_says(&[
        "1 pod is still there: default/web-",
        "k3s_node.workers[1]: Drain complete",
    ]);
    folder.assert_no_changes();
}

/// What an agent needs while it is drained, to say that its pods are gone, and behind what it
/// stands meanwhile.
fn the_last_of_a_pool_keeps_its_firewall_to_the_end(folder: &Folder) {
    folder.write(SMALL);
    let run = folder.kplan(&["apply", "--sandbox", "--auto-approve"]).ok();
    let all = format!("{}{}", run.out, run.err);
    let at = |words: &str| {
        all.find(words)
            .unwrap_or_else(|| panic!("no {words}:\n{all}"))
    };
    let gone = at("droplet.workers[0]: Destruction complete");
    assert!(at("k3s_node.workers[0]: Drain complete") < gone);
    assert!(gone < at("firewall.agents: Destroying"));
    assert!(!all.contains("firewall.servers:"), "{all}");
}

const THREE: &str = "[cluster]\nname = \"demo\"\nregion = \"fra1\"\n\n[network]\napi_allow = \
                     [\"203.0.113.0/24\"]\n\n[servers]\ncount = 3\nsize = \"s-2vcpu-4gb\"\n\n\
                     [load_balancer.api]\n";

/// Each server leaves etcd before its droplet goes, and the next one is not touched before its
/// successor is back; none of them is told to begin a cluster.
#[test]
fn servers_leave_etcd_one_after_the_other_and_their_successors_join() {
    let folder = Folder::with(THREE);
    folder.kplan(&["apply", "--sandbox", "--auto-approve"]).ok();
    folder.write(&THREE.replace("count = 3\n", "count = 3\nimage = \"ubuntu-25-04-x64\"\n"));
    let plan = folder.kplan(&["plan", "--sandbox"]).ok();
    assert!(
        plan.out.contains(
            "\n  # k3s_node.servers[0] leaves etcd, whose other members keep their majority before \
             it is destroyed (leave-etcd)\n"
        ),
        "{}",
        plan.out
    );
    let run = folder.kplan(&["apply", "--sandbox", "--auto-approve"]).ok();
    let all = format!("{}{}", run.out, run.err);
    let mut last = 0;
    for server in 0..3 {
        for (address, words) in [
            ("k3s_node", "Drain complete"),
            ("k3s_node", "Leave-etcd complete"),
            ("droplet", "Destruction complete"),
            ("droplet", "Creation complete"),
            ("k3s_node", "Creation complete"),
        ] {
            let line = format!("{address}.servers[{server}]: {words}");
            let at = all.find(&line);
            let at = at.unwrap_or_else(|| panic!("no {line}:\n{all}"));
            assert!(at > last, "{line} comes too early:\n{all}");
            last = at;
        }
    }
    let next = folder.kplan(&["plan", "--sandbox"]).ok();
    assert!(next.out.contains("No changes."), "{}", next.out);
}

/// One server with etcd becomes three and never one again in one step; the only one is not
/// replaced.
#[test]
fn etcd_grows_and_keeps_its_majority() {
    let etcd = format!("{THREE}\n[k3s]\ndatastore = \"etcd\"\n");
    let single = etcd.replace("count = 3", "count = 1");
    let folder = Folder::with(&single);
    folder.kplan(&["apply", "--sandbox", "--auto-approve"]).ok();
    let replace = ["plan", "--sandbox", "--replace", "droplet.servers[0]"];
    let refused = folder.kplan(&replace).expect_code(6);
    let lost = "k3s.cluster: destroying it loses";
    assert!(refused.err.contains(lost), "{}", refused.err);
    let sqlite = Folder::with(SMALL);
    sqlite.apply();
    let refused = sqlite.kplan(&replace).expect_code(6);
    assert!(refused.err.contains(lost), "{}", refused.err);
    folder.write(&etcd);
    let grown = folder.kplan(&["apply", "--sandbox", "--auto-approve"]).ok();
    assert!(
        grown.out.contains("4 added, 1 changed, 0 destroyed"),
        "{}",
        grown.out
    );
    let next = folder.kplan(&["plan", "--sandbox"]).ok();
    assert!(next.out.contains("No changes."), "{}", next.out);
    folder.write(&single);
    let refused = folder.kplan(&["plan", "--sandbox"]).expect_code(6);
    assert!(
        refused
            .err
            .contains("would have only 1 of its members ready, and needs 2"),
        "{}",
        refused.err
    );
}

/// Five members become three, one after the other, and never one.
#[test]
fn five_servers_become_three_one_after_the_other() {
    let three = format!("{THREE}\n[k3s]\ndatastore = \"etcd\"\n");
    let folder = Folder::with(&three.replace("count = 3", "count = 5"));
    folder.apply();
    folder.write(&three);
    let run = folder.apply();
    let at = |words: &str| {
        let all = format!("{}{}", run.out, run.err);
        all.find(words)
            .unwrap_or_else(|| panic!("no {words}:\n{all}"))
    };
    let gone = |server: usize| at(&format!("droplet.servers[{server}]: Destruction complete"));
    let leaves = |server: usize| at(&format!("k3s_node.servers[{server}]: Leave-etcd complete"));
    let (first, second) = if gone(3) < gone(4) { (3, 4) } else { (4, 3) };
    assert!(gone(first) < leaves(second), "{}", run.out);
    folder.assert_no_changes();
    folder.write(&three.replace("count = 3", "count = 1"));
    let refused = folder.kplan(&["plan", "--sandbox"]).expect_code(6);
    assert!(refused.err.contains("and needs 2"), "{}", refused.err);
}
