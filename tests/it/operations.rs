//! What is done to a node before it goes is in the plan, in the order of its run, and in JSON.

use crate::support::{Folder, SMALL};
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
    assert!(skipped.out.ends_with("2 to destroy.\n"), "{}", skipped.out);
    let mistyped = ["plan", "--sandbox", "--skip-operation", "train"];
    let mistyped = folder.kplan(&mistyped).expect_code(1);
    assert!(
        mistyped
            .err
            .contains("there are drain, leave-etcd, uncordon"),
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
    assert!(
        refused.err.contains("k3s.cluster: destroying it loses"),
        "{}",
        refused.err
    );
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
