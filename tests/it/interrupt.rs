//! Ctrl-C, once and twice: nothing new begins, what was made is on record, the lock is gone, and
//! the next apply carries on.

use crate::flags::signal;
use crate::support::Folder;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Stdio};

/// Starts an apply and gives it back with its output when it says `word`.
fn apply_until(folder: &Folder, word: &str) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = folder
        .command(&["apply", "--sandbox", "--auto-approve"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("kplan starts");
    let mut reader = BufReader::new(child.stdout.take().expect("its output"));
    let mut line = String::new();
    while !line.contains(word) {
        line.clear();
        let read = reader.read_line(&mut line).expect("its output");
        assert!(read > 0, "the apply ended before it said {word}");
    }
    (child, reader)
}

fn carries_on(folder: &Folder, name: &str) {
    folder.apply();
    folder.assert_no_changes();
    let droplets = folder.inspect()["resources"]["droplets"].clone();
    let mut names: Vec<&str> = droplets
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|droplet| droplet["name"].as_str())
        .collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count, "a droplet was made twice: {droplets:#}");
    folder.destroy(name).ok();
    folder.assert_cloud_empty();
}

#[test]
fn the_first_interrupt_lets_what_runs_finish_and_records_it() {
    let folder = Folder::example("ha-etcd").scaled(60.0);
    let (mut child, mut reader) = apply_until(&folder, "droplet.servers[0]: Creating...");
    signal(child.id(), "INT");
    let mut rest = String::new();
    reader.read_to_string(&mut rest).expect("its output");
    assert_eq!(child.wait().expect("it ends").code(), Some(130), "{rest}");
    assert!(rest.contains("Apply cancelled."), "{rest}");
    assert!(!rest.contains("argocd.main: Creating"), "{rest}");
    let list = folder.kplan(&["state", "list", "--sandbox"]).ok().out;
    let recorded = list
        .lines()
        .filter(|line| line.starts_with("droplet."))
        .count();
    assert_eq!(recorded, folder.count("droplets"), "{list}");
    let state = folder.kplan(&["show", "--sandbox", "--json"]).ok().json();
    assert_eq!(
        state["in_doubt"],
        serde_json::json!([]),
        "a polite end leaves nothing in doubt"
    );
    carries_on(&folder, "ha");
}

#[test]
fn the_second_interrupt_ends_at_once_and_loses_nothing() {
    let folder = Folder::example("ha-etcd").scaled(60.0);
    let (mut child, mut reader) = apply_until(&folder, "droplet.servers[0]: Creating...");
    signal(child.id(), "INT");
    signal(child.id(), "TERM");
    let mut rest = String::new();
    reader.read_to_string(&mut rest).expect("its output");
    assert_eq!(child.wait().expect("it ends").code(), Some(130), "{rest}");
    carries_on(&folder, "ha");
}
