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
        mistyped.err.contains("there are drain, uncordon"),
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
