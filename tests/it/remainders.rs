//! What a destroy says of what it leaves: who else stands in the cluster's network, what could not be
//! looked at, and that a second run looks for the same once more.

use crate::conformance::judge;
use crate::orphans::{DESTROY, faults};
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
    faults(&folder, &unread("/v2/databases", 403));
    let run = folder.kplan(DESTROY).expect_code(3);
    assert!(!run.out.contains("Nothing of demo is left"), "{}", run.out);
    run.assert_says(&[
        "Whether anything of demo is left in the account is not known: the token may not list these, so of \
         them only what was on record was looked for: databases.",
    ]);
    assert!(run.err.contains("may not list these"), "{}", run.err);
    assert!(run.err.contains("give the token"), "{}", run.err);
    let run = folder
        .kplan(&[DESTROY, &["--json"]].concat())
        .expect_code(3);
    let last = remainder(&run);
    assert_eq!(last["proven"], false);
    assert_eq!(last["unlisted"], json!(["database"]));
    faults(&folder, &json!([]));
    let run = folder.kplan(DESTROY).ok();
    run.assert_says(&["Nothing of demo is left in the account.\n"]);
    assert_forgotten(&folder);
}
