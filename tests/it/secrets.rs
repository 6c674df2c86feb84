//! No secret of a run is found outside ciphertext: not in the state, not in what is printed, not
//! in any `user_data` the cloud received.

use crate::support::{Folder, GITHUB_TOKEN, Run, repository};
use kplan_model::{Object, Value};
use std::collections::BTreeSet;
use std::path::Path;

/// Every secret text in the state, opened with the identity that the run made.
pub(crate) fn secrets_on_record(folder: &Folder, cluster: &str) -> BTreeSet<String> {
    let snapshot = folder.snapshot(cluster);
    let mut secrets = BTreeSet::new();
    for record in snapshot.resources.values() {
        collect_object(&record.args, &mut secrets);
        collect_object(&record.attrs, &mut secrets);
    }
    secrets
}

fn collect_object(object: &Object, into: &mut BTreeSet<String>) {
    for value in object.values() {
        collect(value, into);
    }
}

fn collect(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Secret(secret) => {
            let text = secret.expose().expect("opened with the identity");
            into.insert(text.to_owned());
            // A key in PEM would also be recognised by any of its lines, but for the last of
            // several: that holds the public half alone, which certificates hold too.
            let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('-')).collect();
            let private = lines.len().saturating_sub(1).max(1);
            let private = lines.into_iter().take(private);
            into.extend(private.filter(|line| line.len() >= 40).map(str::to_owned));
        }
        Value::List(items) => {
            for item in items.iter() {
                collect(item, into);
            }
        }
        Value::Map(map) => collect_object(map, into),
        _ => {}
    }
}

fn contains(bytes: &[u8], secret: &str) -> bool {
    bytes
        .windows(secret.len())
        .any(|window| window == secret.as_bytes())
}

/// Files below a folder with their bytes; the embedded cloud's own folder is the cloud, which
/// knows its customers' secrets, and is left out.
pub(crate) fn files(root: &Path, into: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(root).expect("readable folder").flatten() {
        let path = entry.path();
        let is_cloud = path.ends_with(".kplan/.sandbox/cloud");
        let is_record = path.ends_with("exchanges.jsonl");
        if is_cloud || is_record {
            continue;
        }
        if path.is_dir() {
            files(&path, into);
        } else {
            into.push((
                path.display().to_string(),
                std::fs::read(&path).expect("readable file"),
            ));
        }
    }
}

fn user_data(folder: &Folder) -> Vec<String> {
    let text = std::fs::read_to_string(folder.record_path()).expect("recorded exchanges");
    text.lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|exchange| exchange["method"] == "POST" && exchange["path"] == "/v2/droplets")
        .filter_map(|exchange| exchange["request"]["user_data"].as_str().map(str::to_owned))
        .collect()
}

/// Runs what shows most of a cluster, and looks for its secrets and those the environment gave.
fn no_leak(folder: &Folder, cluster: &str, at_least: usize, given: &[(&str, &str)]) {
    let mut printed = Vec::new();
    for arguments in [
        vec!["plan", "--sandbox"],
        vec!["plan", "--sandbox", "--json"],
        vec!["apply", "--sandbox", "--auto-approve"],
        vec!["plan", "--sandbox", "--json"],
        vec!["show", "--sandbox"],
        vec!["show", "--sandbox", "--json"],
        vec!["output", "--sandbox", "--json"],
    ] {
        let mut command = folder.command(&arguments);
        command.envs(given.iter().copied());
        let run = Run::of(command).ok();
        printed.push((format!("{arguments:?}"), (run.out + &run.err).into_bytes()));
    }
    let mut secrets = secrets_on_record(folder, cluster);
    assert!(
        secrets.len() >= at_least,
        "only {} secrets on record",
        secrets.len()
    );
    secrets.insert(GITHUB_TOKEN.to_owned());
    for (name, value) in given {
        // What was given and is on no record would be looked for in vain.
        assert!(secrets.contains(*value), "{name} is not on record");
    }
    let mut places = printed;
    files(folder.path(), &mut places);
    files(folder.home(), &mut places);
    let received = user_data(folder);
    assert!(!received.is_empty(), "no user_data was recorded");
    places.extend(
        received
            .into_iter()
            .map(|text| ("user_data".to_owned(), text.into_bytes())),
    );
    for (place, bytes) in &places {
        for secret in &secrets {
            // The identity is what opens the state; it is the one secret kplan keeps in a file.
            assert!(
                !contains(bytes, secret),
                "{place} holds a secret ({} characters)",
                secret.len()
            );
        }
    }
}

#[test]
fn single_node_leaks_nothing() {
    no_leak(&Folder::example("single-node"), "single", 12, &[]);
}

#[test]
fn ha_postgres_leaks_nothing() {
    no_leak(&Folder::example("ha-postgres"), "k3s-cluster", 12, &[]);
}

/// Servers that join one another, copies of etcd and backups in a bucket, sealed secrets, and a key of
/// several lines that the file names.
#[test]
fn ha_etcd_with_backups_and_a_github_app_leaks_nothing() {
    let lines: Vec<String> = ('A'..='H')
        .map(|line| format!("{line}{}", "kP9x+Q/z".repeat(7)))
        .collect();
    let key = format!(
        "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----",
        lines.join("\n")
    );
    let path = repository().join("examples/ha-etcd/cluster.toml");
    let text = std::fs::read_to_string(path).expect("the example");
    let private = "[gitops]\ncredentials = { github_app = { id = 123456, installation_id = 7891011, \
                   private_key = { env = \"GITHUB_APP_KEY\" } } }\n";
    let text = text.replacen("[gitops]\n", private, 1);
    let folder = Folder::with(&format!(
        "{text}\n[backup]\nbucket = \"acme-ha-backup\"\nschedules = [{{ name = \"nightly\", cron = \
         \"0 2 * * *\" }}]\n\n[addons]\nsealed_secrets = true\n"
    ));
    no_leak(&folder, "ha", 20, &[("GITHUB_APP_KEY", &key)]);
}
