//! Every example is planned, applied, planned again (nothing to do) and destroyed (nothing left).

use crate::conformance::judge;
use crate::support::Folder;

fn lifecycle(example: &str) {
    lifecycle_of(&Folder::example(example));
}

fn lifecycle_of(folder: &Folder) {
    let plan = folder
        .kplan(&["plan", "--sandbox", "--detailed-exitcode"])
        .expect_code(2);
    assert!(plan.out.contains("Plan: "), "{}", plan.out);
    assert!(
        plan.out.contains(" to add, 0 to change, 0 to destroy."),
        "{}",
        plan.out
    );
    let applied = folder.apply();
    assert!(
        applied.out.contains("Apply complete! Resources: "),
        "{}",
        applied.out
    );
    folder.assert_no_changes();
    let name = cluster_name(folder);
    let destroyed = folder.destroy(&name).ok();
    assert!(
        destroyed.out.contains("Destroy complete!"),
        "{}",
        destroyed.out
    );
    folder.assert_cloud_empty();
    judge(folder);
}

fn cluster_name(folder: &Folder) -> String {
    let text = std::fs::read_to_string(folder.path().join("cluster.toml")).expect("the file");
    let line = text
        .lines()
        .find(|line| line.trim_start().starts_with("name"))
        .expect("a name");
    line.split('"').nth(1).expect("a quoted name").to_owned()
}

#[test]
fn quickstart() {
    lifecycle("quickstart");
}

#[test]
fn single_node() {
    lifecycle("single-node");
}

#[test]
fn ha_etcd() {
    lifecycle("ha-etcd");
}

#[test]
fn ha_postgres() {
    lifecycle("ha-postgres");
}

#[test]
fn ha_mysql() {
    let folder = Folder::example("ha-postgres");
    let text = std::fs::read_to_string(folder.path().join("cluster.toml")).expect("the file");
    let mysql = text
        .replace("datastore = \"postgres\"", "datastore = \"mysql\"")
        .replace("version = \"16\"", "version = \"8\"");
    assert_ne!(mysql, text);
    folder.write(&mysql);
    lifecycle_of(&folder);
}

#[test]
fn servers_are_resized_one_after_the_other_each_seen_working_before_the_next() {
    let folder = Folder::example("ha-etcd");
    folder.apply();
    let path = folder.path().join("cluster.toml");
    let text = std::fs::read_to_string(&path).expect("the file");
    folder.write(&text.replacen("\"s-2vcpu-4gb\"", "\"s-4vcpu-8gb\"", 1));
    let plan = folder.kplan(&["plan", "--sandbox"]).ok();
    assert!(
        plan.out
            .contains("Plan: 0 to add, 3 to change, 0 to destroy"),
        "{}",
        plan.out
    );
    for words in ["(drain)", "will be waited for", "(uncordon)"] {
        assert_eq!(plan.out.matches(words).count(), 3, "{}", plan.out);
    }
    let events = folder
        .kplan(&["apply", "--sandbox", "--auto-approve", "--json"])
        .ok();
    let mut running: Vec<String> = Vec::new();
    let mut order = Vec::new();
    for line in events.out.lines() {
        let event: serde_json::Value = serde_json::from_str(line).expect("a JSON line");
        let at = event["hook"]["resource"]["addr"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        match event["type"].as_str() {
            Some("apply_start") => {
                assert!(
                    running.is_empty(),
                    "{at} began while {running:?} was not done"
                );
                running.push(at);
            }
            Some("apply_complete") => {
                running.retain(|one| *one != at);
                order.push(at);
            }
            _ => {}
        }
    }
    let expected: Vec<String> = (0..3)
        .flat_map(|at| {
            let node = format!("k3s_node.servers[{at}]");
            [
                node.clone(),
                format!("droplet.servers[{at}]"),
                node.clone(),
                node,
            ]
        })
        .collect();
    assert_eq!(order, expected);
    folder.assert_no_changes();
}

#[test]
fn an_edit_is_an_update_in_place_and_removing_a_pool_destroys_only_that_pool() {
    let folder = Folder::example("ha-etcd");
    folder.apply();
    let path = folder.path().join("cluster.toml");
    let text = std::fs::read_to_string(&path).expect("the file");
    folder.write(&text.replace("[\"203.0.113.0/24\"]", "[\"198.51.100.0/24\"]"));
    let plan = folder.kplan(&["plan", "--sandbox"]).ok();
    assert!(
        plan.out
            .contains("Plan: 0 to add, 1 to change, 0 to destroy."),
        "{}",
        plan.out
    );
    folder.apply();
    folder.assert_no_changes();
    let kept = text
        .split("[[agents]]\nname   = \"batch\"")
        .next()
        .expect("text")
        .to_owned()
        + &text[text.find("[load_balancer.api]").expect("load balancer")..];
    folder.write(&kept.replace("[\"203.0.113.0/24\"]", "[\"198.51.100.0/24\"]"));
    let before = folder.count("droplets");
    folder.apply();
    assert_eq!(folder.count("droplets"), before - 2);
    folder.assert_no_changes();
}
