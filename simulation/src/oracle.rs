//! What must be true in the end: cloud, state and file say the same, nothing exists twice, nothing
//! exists unknown, nothing was destroyed that nobody wanted gone, and no secret is on the disk.

use crate::life::{CLUSTER, DOMAIN};
use kplan_model::{Address, Object, Recorded, Snapshot, Status, Value};
use kplan_sandbox::Sandbox;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Shorter secrets are not searched for: their bytes occur by chance.
const SHORTEST: usize = 12;

/// Kinds of the cloud's summary and ours.
const KINDS: [(&str, &str); 14] = [
    ("buckets", "bucket"),
    ("databases", "database"),
    ("domain_records", "domain_record"),
    ("domains", "domain"),
    ("droplets", "droplet"),
    ("firewalls", "firewall"),
    ("load_balancers", "load_balancer"),
    ("projects", "project"),
    ("reserved_ips", "reserved_ip"),
    ("spaces_keys", "spaces_key"),
    ("ssh_keys", "ssh_key"),
    ("tags", "tag"),
    ("volumes", "volume"),
    ("vpcs", "vpc"),
];

/// Everything of these kinds that exists, but for the neighbours': kind and id, with the name.
fn living(sandbox: &Sandbox) -> BTreeMap<(String, String), String> {
    let seen = sandbox.inspect();
    let mut found = BTreeMap::new();
    for (plural, kind) in KINDS {
        let rows = seen["resources"][plural].as_array();
        for row in rows.into_iter().flatten() {
            let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            let id = if kind == "bucket" {
                format!("{}/{}", text("region"), text("name"))
            } else {
                text("id")
            };
            if is_ours(kind, &text("name")) {
                found.insert((kind.to_owned(), id), text("name"));
            }
        }
    }
    found
}

/// Whether it is for kplan to keep. DigitalOcean makes a tag by itself when something is given
/// one; only those that kplan makes are resources.
fn is_ours(kind: &str, name: &str) -> bool {
    match kind {
        "tag" => name.starts_with("kplan:") || name.starts_with(CLUSTER),
        "domain" => name != DOMAIN,
        _ => name != "neighbour",
    }
}

/// Where cloud and state disagree.
pub fn disagreements(sandbox: &Sandbox, snapshot: &Snapshot) -> Vec<String> {
    let living = living(sandbox);
    let mut on_record = BTreeMap::new();
    let mut wrong = Vec::new();
    for record in snapshot.resources.values().chain(&snapshot.deposed) {
        let kind = record.address.kind().as_str();
        if KINDS.iter().any(|(_, ours)| *ours == kind) {
            let key = (kind.to_owned(), record.id.as_str().to_owned());
            if let Some(twice) = on_record.insert(key, &record.address) {
                wrong.push(format!("{twice} and {} have one id", record.address));
            }
        }
    }
    let mut named = BTreeSet::new();
    for (key, name) in &living {
        let (kind, id) = key;
        if !on_record.contains_key(key) {
            wrong.push(format!("orphan: {kind} {id} exists and is not on record"));
        }
        // No two of one kind have one name in the files that are drawn.
        if !named.insert((kind, name)) {
            wrong.push(format!("duplicate: two of kind {kind} are named {name}"));
        }
    }
    for (key, address) in &on_record {
        if !living.contains_key(key) {
            wrong.push(format!("ghost: {address} ({}) does not exist", key.1));
        }
    }
    let left = snapshot.in_doubt.keys();
    wrong.extend(left.map(|address| format!("{address} is in doubt")));
    for record in snapshot.resources.values() {
        for operation in &record.operations {
            let stays = format!(
                "{} stays after a {operation} was begun on it",
                record.address
            );
            wrong.push(stays);
        }
    }
    let deposed = snapshot.deposed.iter();
    wrong.extend(deposed.map(|old| format!("{} is deposed and still there", old.address)));
    wrong
}

/// Where the servers on record are not one cluster: a second one beside it holds other data.
pub fn divided(clusters: &BTreeMap<String, Vec<String>>, snapshot: &Snapshot) -> Vec<String> {
    let servers = snapshot
        .resources
        .keys()
        .filter(|address| address.kind().as_str() == "k3s_node" && address.name() == "servers");
    let servers = servers.count();
    let largest = clusters.values().map(Vec::len).max().unwrap_or(0);
    if clusters.len() <= 1 && largest == servers {
        return Vec::new();
    }
    vec![format!(
        "ghost: {servers} servers on record are these clusters: {clusters:?}"
    )]
}

/// What was ready at some moment, to be found again later.
#[derive(Default)]
pub struct Memory {
    ready: BTreeMap<Address, (String, Object)>,
}

impl Memory {
    /// Remembers what is ready now. What is not, or is not wanted by this version of the file, may
    /// become another one.
    pub fn remember(&mut self, snapshot: &Snapshot) {
        self.ready = snapshot
            .resources
            .values()
            .filter(|record| record.status == Status::Ready && is_kept(record))
            .map(|record| {
                let kept = (record.id.as_str().to_owned(), record.args.clone());
                (record.address.clone(), kept)
            })
            .collect();
    }

    /// What was ready, is still wanted with the same arguments, and is another one now.
    pub fn exchanged(&self, snapshot: &Snapshot) -> Vec<String> {
        let mut wrong = Vec::new();
        for (address, (id, args)) in &self.ready {
            let Some(now) = snapshot.resources.get(address) else {
                continue;
            };
            if now.id.as_str() != id && now.args == *args {
                wrong.push(format!(
                    "{address} was {id}, is {}, and nothing about it was edited",
                    now.id.as_str()
                ));
            }
        }
        wrong
    }
}

/// Whether a resource has an identity of its own: others are made anew with what they live in.
fn is_kept(record: &Recorded) -> bool {
    let kind = record.address.kind().as_str();
    // These are in the state alone.
    let local = matches!(
        kind,
        "pki"
            | "random_password"
            | "repository_password"
            | "signing_key"
            | "restore_request"
            | "rotation"
    );
    let own = local || KINDS.iter().any(|(_, ours)| *ours == kind);
    own && record.meta.inside.is_none()
}

/// Files that hold a secret in plain text.
pub fn leaks(snapshot: &Snapshot, token: &str, disk: &[(PathBuf, Vec<u8>)]) -> Vec<String> {
    let mut secrets: BTreeMap<String, String> = BTreeMap::new();
    secrets.insert(token.to_owned(), "the operator's token".to_owned());
    for record in snapshot.resources.values() {
        for (name, value) in record.args.iter().chain(&record.attrs) {
            collect(value, &format!("{}.{name}", record.address), &mut secrets);
        }
    }
    let mut wrong = Vec::new();
    for (path, bytes) in disk {
        let text = String::from_utf8_lossy(bytes);
        for (secret, of) in &secrets {
            // As JSON would write it, too.
            let escaped = secret.replace('\n', "\\n");
            if text.contains(secret.as_str()) || text.contains(&escaped) {
                wrong.push(format!("leak: {} holds {of}", path.display()));
            }
        }
    }
    wrong
}

fn collect(value: &Value, of: &str, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Secret(secret) => {
            let text = secret.expose().filter(|text| text.len() >= SHORTEST);
            if let Some(text) = text {
                into.insert(text.to_owned(), of.to_owned());
            }
        }
        Value::List(items) => items.iter().for_each(|item| collect(item, of, into)),
        Value::Map(map) => map.values().for_each(|item| collect(item, of, into)),
        _ => {}
    }
}
