//! `destroy`, killed at every step of it: whenever a step begins, or ends, for the first time. In the
//! end nothing is left, and what belongs to nobody of the cluster is as it was.

use crate::orphans::{DESTROY, account, at_work, faults, unrelated};
use crate::support::{Folder, Run};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

/// So many runs at most: a cluster of one server, with what it made, has fewer steps.
const RUNS: usize = 120;

/// At fewer steps than this one of a cluster of one server was never killed: what one run had asked
/// for when it was killed, the next finds done.
const STEPS: usize = 8;

/// Kills a destroy at the first event of this type about a resource that no run was killed at yet.
/// Whether there was one.
fn killed(folder: &Folder, event: &str, seen: &mut BTreeSet<String>) -> bool {
    // One step at a time: of several in flight, the others would go on while this one is killed at.
    let mut command = folder.command(&[DESTROY, &["--json", "--parallelism", "1"]].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("kplan starts");
    let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut events = lines.map_while(Result::ok).filter_map(|line| {
        let event: Value = serde_json::from_str(&line).ok()?;
        let address = event["hook"]["resource"]["addr"].as_str()?;
        Some((event["type"].as_str()?.to_owned(), address.to_owned()))
    });
    let found = events.any(|(kind, address)| kind == event && seen.insert(address));
    if found {
        child.kill().expect("it is killed");
    }
    drop(events);
    child.wait().expect("it ends");
    found
}

/// Destroys a cluster with what it made, killed at every event of this type.
fn destroyed(folder: &Folder, event: &str) {
    // A deletion takes long enough for a kill to find it under way.
    let slow = json!({
        "method": "DELETE", "path": "/v2/*", "fault": { "kind": "delay", "seconds": 400 },
    });
    faults(folder, &json!([slow]));
    let mut seen = BTreeSet::new();
    for _ in 0..RUNS {
        if killed(folder, event, &mut seen) {
            continue;
        }
        let run: Run = folder.kplan(DESTROY);
        assert_eq!(run.code, Some(0), "{}{}", run.out, run.err);
        assert!(seen.len() >= STEPS, "it was killed at {seen:?} alone");
        return;
    }
    panic!("it was killed {RUNS} times and is not through: {seen:?}");
}

/// What was there before and beside the cluster, as the account shows it.
fn beside(folder: &Folder) -> Vec<Value> {
    let ours = |it: &Value| {
        let name = it["name"].as_str().unwrap_or_default();
        name.starts_with("pvc-00000000-")
            || name == "by-hand"
            || name == format!("a{}", "1".repeat(31))
    };
    let lists = account(folder).into_iter().take(3);
    let all = lists.flat_map(|list| {
        let lists = list.as_object().into_iter().flatten();
        let lists = lists.filter_map(|(_, it)| it.as_array().cloned());
        lists.flatten().collect::<Vec<Value>>()
    });
    all.filter(ours).collect()
}

#[test]
fn with_its_api_alive_as_each_step_begins() {
    let folder = at_work().unrecorded();
    destroyed(&folder, "apply_start");
    folder.assert_cloud_empty();
}

#[test]
fn with_its_api_dead_as_each_step_ends_and_strangers_beside_it() {
    let folder = at_work().unrecorded();
    folder.switch_off(|_| true);
    unrelated(&folder);
    let strangers = beside(&folder);
    assert_eq!(strangers.len(), 4);
    destroyed(&folder, "apply_complete");
    assert_eq!(beside(&folder), strangers);
}
