//! What a destroy says of what it leaves: who else stands in the cluster's network, what could not be
//! looked at, and that a second run looks for the same once more.

use crate::conformance::judge;
use crate::orphans::{DESTROY, claim, faults, while_it_asks};
use crate::support::cluster::Cluster;
use crate::support::{Folder, Run, SMALL};
use serde_json::{Value, json};

const PLAN: &[&str] = &["plan", "--sandbox", "--destroy"];

/// A fault of every read of a path.
fn unread(path: &str, status: u16) -> Value {
    json!([{ "method": "GET", "path": path, "fault": { "kind": "status", "status": status } }])
}

/// The last event of a run with `--json`, which says what is left.
fn remainder(run: &Run) -> Value {
    let last = run.out.lines().last().expect("an event");
    let last: Value = serde_json::from_str(last).expect("a line of JSON");
    assert_eq!(last["type"], "remainder", "{}", run.out);
    last
}

/// What is made by a request, as the account shows it once it is there.
fn made(folder: &Folder, list: &str, key: &str, body: &Value, done: &str) -> (String, Value) {
    let answer = folder.cloud("POST", list, Some(body));
    let (_, text) = answer.split_once("\r\n\r\n").expect("a body");
    let made: Value = serde_json::from_str(text).expect("JSON");
    let id = match &made[key]["id"] {
        Value::String(id) => id.clone(),
        id => id.to_string(),
    };
    let path = format!("{list}/{id}");
    for _ in 0..3000 {
        let seen = folder.ask("GET", &path, None);
        if seen[key]["status"] == done {
            return (path, seen);
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("{path} is never {done}");
}

/// The state knows nothing any more.
fn assert_forgotten(folder: &Folder) {
    let left = folder.snapshot("demo").resources;
    let left: Vec<String> = left.keys().map(ToString::to_string).collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn who_else_stands_in_the_network_is_named_first_and_left_alone() {
    let folder = Folder::with(SMALL);
    folder.apply();
    let vpc = folder.inspect()["resources"]["vpcs"][0]["id"].clone();
    let droplet = json!({
        "name": "theirs", "region": "fra1", "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64",
        "vpc_uuid": vpc,
    });
    let database = json!({
        "name": "their-data", "region": "fra1", "engine": "pg", "version": "16",
        "size": "db-s-1vcpu-1gb", "num_nodes": 1, "private_network_uuid": vpc,
    });
    let theirs = [
        made(&folder, "/v2/droplets", "droplet", &droplet, "active"),
        made(&folder, "/v2/databases", "database", &database, "online"),
    ];
    let said = [
        "vpc.main stays until these are gone that stand in it and are on no record of kplan's: database \
         their-data (",
        "droplet theirs (",
        "Once they are deleted, run destroy again: it removes vpc.main",
    ];
    folder.kplan(PLAN).ok().assert_says(&said);
    let run = folder.kplan(DESTROY).expect_code(3);
    run.assert_says(&said);
    run.assert_says(&[
        "Still in the account of demo: VPC ",
        "Note: droplet theirs (",
        "is not demo's. It was left as it is, and the VPC stays until it is gone.",
    ]);
    assert!(
        run.err.contains("these stand in it: database their-data"),
        "{}",
        run.err
    );
    // Everything else is gone, and theirs is what it was.
    assert_eq!(folder.count("droplets"), 1);
    assert_eq!(folder.count("firewalls"), 0);
    for (path, before) in &theirs {
        assert_eq!(&folder.ask("GET", path, None), before);
    }
    // Still there, it is still named: on the lines of machines, too.
    let run = folder
        .kplan(&[DESTROY, &["--json"]].concat())
        .expect_code(3);
    let last = remainder(&run);
    assert_eq!(last["proven"], false);
    assert_eq!(last["left"][0]["what"], "VPC", "{last:#}");
    assert_eq!(last["left"].as_array().map(Vec::len), Some(1), "{last:#}");
    assert_eq!(last["others"].as_array().map(Vec::len), Some(2), "{last:#}");
    for (path, before) in &theirs {
        assert_eq!(&folder.ask("GET", path, None), before);
        folder.cloud("DELETE", path, None);
    }
    let run = folder.kplan(DESTROY).ok();
    run.assert_says(&["Nothing of demo is left in the account.\n"]);
    folder.assert_cloud_empty();
    assert_forgotten(&folder);
    judge(&folder);
}

#[test]
fn a_destroy_that_is_run_again_looks_for_the_same_once_more() {
    let folder = Folder::with(SMALL);
    folder.apply();
    let name = folder.inspect()["resources"]["droplets"][0]["name"].clone();
    faults(&folder, &unread("/v2/databases", 503));
    let run = folder.kplan(DESTROY).expect_code(3);
    assert!(run.err.contains("destroy::remainder"), "{}", run.err);
    assert!(run.err.contains("run destroy again"), "{}", run.err);
    // Nothing is on record any more but what it looked for.
    let list = folder.kplan(&["state", "list", "--sandbox"]).ok();
    assert_eq!(list.out.trim(), "cluster_traces.main");
    // It is no resource.
    let show = folder.kplan(&["show", "--sandbox"]).ok();
    assert_eq!(
        show.out.trim(),
        "The state is empty. No resources are recorded."
    );
    // An SSH key was on record. Whether it is gone cannot be read, so nothing is proven.
    faults(&folder, &unread("/v2/account/keys*", 503));
    let run = folder.kplan(DESTROY).expect_code(3);
    assert!(run.err.contains("ssh_key: "), "{}{}", run.out, run.err);
    faults(&folder, &json!([]));
    // Names are remembered, too.
    let droplet = json!({
        "name": name, "region": "fra1", "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64",
    });
    folder.cloud("POST", "/v2/droplets", Some(&droplet));
    let run = folder.kplan(DESTROY).ok();
    run.assert_says(&[
        "stays: it is called like one of demo's",
        "Nothing of demo is left in the account.\n",
    ]);
    assert_eq!(folder.count("droplets"), 1);
    assert_forgotten(&folder);
}

#[test]
fn what_was_looked_for_outlives_an_apply_and_is_in_no_plan() {
    let folder = Folder::with(SMALL);
    folder.apply();
    faults(&folder, &unread("/v2/databases", 503));
    folder.kplan(DESTROY).expect_code(3);
    faults(&folder, &json!([]));
    let plan = folder.kplan(&["plan", "--sandbox"]).ok();
    assert!(!plan.out.contains("cluster_traces"), "{}", plan.out);
    folder.apply();
    folder.assert_no_changes();
    let resources = folder.snapshot("demo").resources;
    assert!(
        resources
            .keys()
            .any(|it| it.kind().as_str() == "cluster_traces")
    );
    let plan = folder.kplan(PLAN).ok();
    assert!(!plan.out.contains("cluster_traces"), "{}", plan.out);
    folder.kplan(DESTROY).ok();
    folder.assert_cloud_empty();
    assert_forgotten(&folder);
}

#[test]
fn a_list_that_the_token_may_not_read_proves_nothing() {
    let folder = Folder::with(SMALL);
    folder.apply();
    faults(&folder, &unread("/v2/databases", 503));
    folder.kplan(DESTROY).expect_code(3);
    // A firewall was on record.
    faults(&folder, &unread("/v2/firewalls", 403));
    let run = folder.kplan(DESTROY).expect_code(3);
    assert!(!run.out.contains("Nothing of demo is left"), "{}", run.out);
    run.assert_says(&[
        "the token may not list these, so of them only what was on record was looked for: firewalls.",
    ]);
    assert!(run.err.contains("may not list these"), "{}", run.err);
    assert!(run.err.contains("give the token"), "{}", run.err);
    let run = folder
        .kplan(&[DESTROY, &["--json"]].concat())
        .expect_code(3);
    let last = remainder(&run);
    assert_eq!(last["proven"], false);
    assert_eq!(last["unlisted"], json!(["firewall"]));
    faults(&folder, &json!([]));
    let run = folder.kplan(DESTROY).ok();
    run.assert_says(&["Nothing of demo is left in the account.\n"]);
    assert_forgotten(&folder);
}

#[test]
fn a_list_of_what_the_cluster_never_had_is_not_needed_once_its_network_is_gone() {
    let folder = Folder::with(SMALL);
    folder.apply();
    faults(&folder, &unread("/v2/databases", 403));
    let run = folder.kplan(DESTROY).ok();
    run.assert_says(&["Nothing of demo is left in the account.\n"]);
    assert_forgotten(&folder);
}

/// A droplet of somebody else's in the cluster's network.
fn neighbour(folder: &Folder) -> String {
    let vpc = folder.inspect()["resources"]["vpcs"][0]["id"].clone();
    let droplet = json!({
        "name": "theirs", "region": "fra1", "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64",
        "vpc_uuid": vpc,
    });
    made(folder, "/v2/droplets", "droplet", &droplet, "active").0
}

#[test]
fn what_was_kept_is_no_leftover_of_a_later_destroy() {
    let folder = Folder::with(SMALL);
    folder.apply();
    claim(
        &Cluster::of(&folder, "demo"),
        "data",
        "do-block-storage-retain",
    );
    let theirs = neighbour(&folder);
    let refused = json!([{ "method": "DELETE", "path": "/v2/volumes/*",
        "fault": { "kind": "status", "status": 403 } }]);
    faults(&folder, &refused);
    folder.kplan(DESTROY).expect_code(3);
    faults(&folder, &json!([]));
    // What is kept is named also where the rest is not done.
    let keep = [DESTROY.split_at(5).0, &["--orphans", "keep"]].concat();
    let run = folder.kplan(&keep).expect_code(3);
    run.assert_says(&["Kept: pvc-", "5 GiB"]);
    // The sums of the next one know it, and it says what it cannot do any more.
    let run = folder.kplan(DESTROY).expect_code(3);
    run.assert_says(&[
        "an earlier run of destroy kept these, and they stay in the account and keep billing: pvc-",
        "--orphans delete does not reach them any more",
        "Kept: pvc-",
        "an earlier run of destroy kept it",
    ]);
    assert!(
        !run.out.contains("Nothing goes on being billed"),
        "{}",
        run.out
    );
    assert_eq!(folder.count("volumes"), 1);
    folder.cloud("DELETE", &theirs, None);
    let run = folder.kplan(DESTROY).ok();
    run.assert_says(&["Nothing of demo is left in the account but: pvc-"]);
    assert_eq!(folder.count("volumes"), 1);
    assert_forgotten(&folder);
}

#[test]
fn what_an_apply_let_go_of_is_no_leftover_of_a_later_destroy() {
    let volume = "\n[[volume]]\nname = \"data\"\nsize = 10\n";
    let folder = Folder::with(&format!("{SMALL}{volume}"));
    folder.apply();
    let refused = json!([{ "method": "DELETE", "path": "/v2/volumes/*",
        "fault": { "kind": "status", "status": 403 } }]);
    faults(&folder, &refused);
    folder.kplan(DESTROY).expect_code(3);
    faults(&folder, &json!([]));
    folder.apply();
    folder.write(&format!(
        "{SMALL}\n[[removed]]\nfrom = \"volume.data\"\nkeep = true\n"
    ));
    folder.apply();
    folder.write(SMALL);
    let run = folder.kplan(DESTROY).ok();
    run.assert_says(&["Nothing of demo is left in the account but: volume.data ("]);
    assert_eq!(folder.count("volumes"), 1);
    assert_forgotten(&folder);
}

#[test]
fn a_volume_that_somebody_took_over_while_destroy_asked_stays_theirs() {
    let folder = Folder::with(SMALL);
    folder.apply();
    claim(
        &Cluster::of(&folder, "demo"),
        "data",
        "do-block-storage-retain",
    );
    let droplet = json!({
        "name": "theirs", "region": "fra1", "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64",
    });
    let (path, _) = made(&folder, "/v2/droplets", "droplet", &droplet, "active");
    let holder: u64 = path.rsplit('/').next().expect("an id").parse().expect("it");
    let volume = folder.first_path("volumes", "/v2/volumes");
    let id = volume.rsplit('/').next().expect("an id").to_owned();
    let taken_over = || {
        let attach = json!({ "type": "attach", "droplet_id": holder, "region": "fra1" });
        folder.cloud("POST", &format!("{volume}/actions"), Some(&attach));
        let tag = folder.snapshot("demo").owner.tag().replace(':', "%3A");
        let body = json!({ "resources": [{ "resource_id": id, "resource_type": "volume" }] });
        folder.cloud("DELETE", &format!("/v2/tags/{tag}/resources"), Some(&body));
        while folder.ask("GET", &volume, None)["volume"]["droplet_ids"] != json!([holder]) {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    };
    let run = while_it_asks(&folder, taken_over).ok();
    let said = format!("{}{}", run.out, run.err);
    assert!(said.contains("was left as it is"), "{said}");
    run.assert_says(&["stays: it is called like one of demo's"]);
    let shown = folder.ask("GET", &volume, None);
    assert_eq!(shown["volume"]["droplet_ids"], json!([holder]), "{shown:#}");
    assert_forgotten(&folder);
}

#[test]
fn a_load_balancer_that_only_has_a_services_name_is_somebody_elses() {
    let folder = Folder::with(SMALL);
    folder.apply();
    let vpc = folder.inspect()["resources"]["vpcs"][0]["id"].clone();
    let balancer = json!({
        "name": format!("a{}", "1".repeat(31)), "region": "fra1", "vpc_uuid": vpc, "droplet_ids": [],
        "forwarding_rules": [{ "entry_protocol": "tcp", "entry_port": 80,
            "target_protocol": "tcp", "target_port": 80 }],
    });
    let list = "/v2/load_balancers";
    let (path, before) = made(&folder, list, "load_balancer", &balancer, "active");
    // While the API answers, and after the cluster is gone, when nothing else is left to destroy.
    for code in [3, 1] {
        let run = folder.kplan(DESTROY).expect_code(code);
        run.assert_says(&["nothing proves that the cluster made them"]);
        assert_eq!(folder.ask("GET", &path, None), before);
    }
    folder.cloud("DELETE", &path, None);
    folder.kplan(DESTROY).ok();
    folder.assert_cloud_empty();
}
