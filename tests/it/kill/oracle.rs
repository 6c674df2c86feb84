//! What must be true after every convergence: the cloud is what is on record, by id, both ways;
//! nothing is there twice; nothing is unfinished or in doubt; no secret stands in plain text in
//! the folder. Strict: the account is the cluster's alone, so whatever is in it and not on record
//! is an orphan, whether its kind has unique names or not.

use crate::secrets::{files, secrets_on_record};
use crate::support::{Folder, GITHUB_TOKEN};
use kplan_model::{Snapshot, Status};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// In the cloud and not on record.
    Orphan {
        kind: String,
        id: String,
        name: String,
    },
    /// Two of a kind have one name.
    Duplicate { kind: String, name: String },
    /// On record and not in the cloud.
    Lost { address: String, id: String },
    /// On record in a way that a finished apply does not leave behind.
    Unsettled { address: String, how: String },
    /// A secret of that length stands there in plain text.
    Secret { place: String, length: usize },
}

/// Kinds with a list of their own in the cloud: the kind, and the list's name.
const LISTED: [(&str, &str); 13] = [
    ("bucket", "buckets"),
    ("database", "databases"),
    ("domain", "domains"),
    ("droplet", "droplets"),
    ("firewall", "firewalls"),
    ("load_balancer", "load_balancers"),
    ("project", "projects"),
    ("reserved_ip", "reserved_ips"),
    ("spaces_key", "spaces_keys"),
    ("ssh_key", "ssh_keys"),
    ("tag", "tags"),
    ("volume", "volumes"),
    ("vpc", "vpcs"),
];

/// Everything that is wrong, in order.
pub(crate) fn findings(folder: &Folder, cluster: &str) -> Vec<Finding> {
    let snapshot = folder.snapshot(cluster);
    let cloud = cloud(folder, &snapshot);
    let mut found = Vec::new();
    compare(&snapshot, &cloud, &mut found);
    settled(&snapshot, &mut found);
    plain_text(folder, cluster, &mut found);
    found
}

/// Ids and names in the cloud, by kind.
type Cloud = BTreeMap<String, Vec<(String, String)>>;

fn cloud(folder: &Folder, snapshot: &Snapshot) -> Cloud {
    let seen = folder.inspect();
    let mut cloud = Cloud::new();
    for part in ["resources", "kept"] {
        for (list, rows) in seen[part].as_object().into_iter().flatten() {
            let listed = LISTED.iter().find(|(_, name)| name == list);
            let kind = listed.map_or(list.as_str(), |(kind, _)| kind);
            let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
            let rows = rows.as_array().into_iter().flatten();
            let rows = rows.map(|row| {
                let name = text(row, "name");
                let id = text(row, "id");
                // A bucket has no id of its own.
                let id = if id.is_empty() {
                    format!("{}/{name}", text(row, "region"))
                } else {
                    id
                };
                (id, name)
            });
            cloud.entry(kind.to_owned()).or_default().extend(rows);
        }
    }
    members_of_databases(folder, snapshot, &mut cloud);
    cloud
}

/// Users and databases live inside a database cluster, which lists them. The first of each comes
/// with the cluster.
fn members_of_databases(folder: &Folder, snapshot: &Snapshot, cloud: &mut Cloud) {
    let recorded = |kind: &str| {
        let of_kind = snapshot.resources.values();
        let of_kind = of_kind.filter(|record| record.address.kind().as_str() == kind);
        of_kind
            .map(|record| record.id.as_str().to_owned())
            .collect::<BTreeSet<_>>()
    };
    for (cluster, _) in cloud.get("database").cloned().unwrap_or_default() {
        for (kind, list, builtin) in [
            ("database_user", "users", "doadmin"),
            ("database_db", "dbs", "defaultdb"),
        ] {
            let path = format!("/v2/databases/{cluster}/{list}");
            let answer = folder.cloud("GET", &path, None);
            let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            let body: Value = serde_json::from_str(body).expect("a JSON answer");
            let mine = recorded(kind);
            for row in body[list].as_array().expect("a list") {
                let name = row["name"].as_str().expect("a name").to_owned();
                let ids = mine.iter().filter(|id| id.ends_with(&format!("/{name}")));
                let id = ids.clone().next().cloned().unwrap_or_else(|| name.clone());
                if name != builtin {
                    cloud.entry(kind.to_owned()).or_default().push((id, name));
                }
            }
        }
    }
}

fn compare(snapshot: &Snapshot, cloud: &Cloud, found: &mut Vec<Finding>) {
    let mut known: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let checked = |kind: &str| {
        LISTED.iter().any(|(listed, _)| *listed == kind)
            || ["database_user", "database_db"].contains(&kind)
    };
    for record in snapshot.resources.values().chain(&snapshot.deposed) {
        let (kind, id) = (record.address.kind().as_str(), record.id.as_str());
        known.entry(kind).or_default().insert(id);
        let there = cloud.get(kind).into_iter().flatten();
        if checked(kind) && !there.into_iter().any(|(seen, _)| seen == id) {
            found.push(Finding::Lost {
                address: record.address.to_string(),
                id: id.to_owned(),
            });
        }
    }
    for (kind, rows) in cloud {
        let mut names = BTreeSet::new();
        for (id, name) in rows {
            if !known
                .get(kind.as_str())
                .is_some_and(|ids| ids.contains(id.as_str()))
            {
                found.push(Finding::Orphan {
                    kind: kind.clone(),
                    id: id.clone(),
                    name: name.clone(),
                });
            }
            if !names.insert(name) {
                found.push(Finding::Duplicate {
                    kind: kind.clone(),
                    name: name.clone(),
                });
            }
        }
    }
}

fn settled(snapshot: &Snapshot, found: &mut Vec<Finding>) {
    let mut unsettled = |address: String, how: &str| {
        let how = how.to_owned();
        found.push(Finding::Unsettled { address, how });
    };
    for record in snapshot.resources.values() {
        if record.status != Status::Ready {
            unsettled(record.address.to_string(), &format!("{:?}", record.status));
        }
    }
    for record in &snapshot.deposed {
        unsettled(record.address.to_string(), "deposed");
    }
    for address in snapshot.in_doubt.keys() {
        unsettled(address.to_string(), "in doubt");
    }
}

/// Every secret on record, and the one a run is given.
pub(crate) fn secrets(folder: &Folder, cluster: &str) -> BTreeSet<String> {
    let mut secrets = secrets_on_record(folder, cluster);
    secrets.insert(GITHUB_TOKEN.to_owned());
    secrets
}

fn plain_text(folder: &Folder, cluster: &str, found: &mut Vec<Finding>) {
    let mut places = Vec::new();
    files(folder.path(), &mut places);
    files(folder.home(), &mut places);
    let secrets = secrets(folder, cluster);
    for (place, bytes) in &places {
        let text = String::from_utf8_lossy(bytes);
        if let Some(secret) = secrets.iter().find(|secret| text.contains(*secret)) {
            found.push(Finding::Secret {
                place: place.clone(),
                length: secret.len(),
            });
        }
    }
}
