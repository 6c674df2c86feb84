//! Every field that changes in place of everything inside a cluster: changed by hand in the objects
//! that are made of it, shown, put back; changed once more, and accepted.

use super::hand::{Deed, Hand, Place, Seen, Site};
use crate::support::bucket::Shared;
use crate::support::cluster::Cluster;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The whole platform on one droplet.
const FILE: &str = include_str!("cluster.toml");

const SETTINGS: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: green, shape: round}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: 8080}, {name: other, port: 81}]
";

/// `edits.yaml`.
#[derive(Deserialize)]
struct Edits {
    put_back: Vec<Edited>,
    accepted: Vec<Edited>,
    never_shown: Vec<Edited>,
}

/// A resource of whose objects some are edited.
#[derive(Deserialize)]
struct Edited {
    address: String,
    carries: Vec<String>,
    objects: Vec<Edit>,
}

/// One object that somebody edits, with what kplan says of it.
#[derive(Deserialize)]
struct Edit {
    is: String,
    /// As whom.
    by: Option<String>,
    sets: BTreeMap<String, Value>,
    says: Vec<String>,
}

/// How many objects kplan names.
const NAMED: usize = 3;

impl From<Edited> for Hand {
    fn from(edited: Edited) -> Self {
        let objects = edited.objects;
        let says = objects.iter().take(NAMED);
        let mut says: Vec<String> = says
            .map(|edit| format!("{}: {}", edit.is, edit.says.join(", ")))
            .collect();
        if objects.len() > NAMED {
            says.push("…".to_owned());
        }
        let real = format!("{} changed by hand ({})", objects.len(), says.join("; "));
        let places = objects.iter().flat_map(|edit| {
            let ways = edit.sets.keys();
            ways.map(|way| (edit.is.clone(), way.clone()))
        });
        let seen = Seen {
            field: "objects",
            was: json!("applied"),
            real: json!(real),
            place: Place::Objects(places.collect()),
        };
        let deeds = objects.into_iter();
        let deeds = deeds.map(|edit| match edit.by {
            Some(by) => Deed::EditAs(by, edit.is, edit.sets),
            None => Deed::Edit(edit.is, edit.sets),
        });
        Self {
            address: edited.address,
            carried: edited.carries,
            deeds: deeds.collect(),
            fields: vec![seen],
        }
    }
}

/// Those that are put back, those that are accepted, those that never show.
fn tables() -> [Vec<Hand>; 3] {
    let edits: Edits = serde_norway::from_str(include_str!("edits.yaml")).expect("the edits");
    [edits.put_back, edits.accepted, edits.never_shown]
        .map(|table| table.into_iter().map(Hand::from).collect())
}

pub(super) fn hands() -> Vec<Hand> {
    let [mut all, accepted, _] = tables();
    all.extend(accepted);
    all.push(nodes());
    all
}

/// Labels and taints, which the kubelet gives a node once and never looks at again.
fn nodes() -> Hand {
    const NODE: &str = "v1 Node single-servers-0";
    let seen = |field, was, real, way| Seen {
        field,
        was,
        real,
        place: Place::object(NODE, way),
    };
    Hand {
        address: "k3s_node.servers[0]".to_owned(),
        deeds: vec![Deed::Edit(
            NODE.to_owned(),
            BTreeMap::from([
                ("metadata/labels/tier".to_owned(), json!("back")),
                (
                    "spec/taints/key=example.org~1slow/value".to_owned(),
                    json!("no"),
                ),
            ]),
        )],
        fields: vec![
            seen(
                "labels",
                json!({ "tier": "front" }),
                json!({ "tier": "back" }),
                "metadata/labels/tier",
            ),
            seen(
                "taints",
                json!(["example.org/slow=yes:PreferNoSchedule"]),
                json!(["example.org/slow=no:PreferNoSchedule"]),
                "spec/taints",
            ),
        ],
        carried: Vec::new(),
    }
}

/// Writes the files into a folder, with backups in a bucket that is there already.
fn write(shared: &Shared) {
    let folder = &shared.first;
    let store = shared.backend().replace("/clusters", "/backups");
    let text = FILE.replace("STORE", &store);
    folder.write(&text.replace("KEY", shared.access_key()));
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, bytes).expect("a file");
    };
    put("settings.yaml", SETTINGS.as_bytes());
    put("values.yaml", b"replicas: 1\n");
    let inside = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: from-the-chart}\n";
    let chart = crate::addons::chart("v1.0.0", &[("templates/a.yaml", inside)]);
    put("mirror/addon-chart/v1.0.0/chart-v1.0.0.tgz", &chart);
    put("key", shared.secret_key().as_bytes());
}

#[test]
fn every_object_changed_by_hand_is_shown_and_put_back_or_accepted() {
    let shared = Shared::with(2000.0);
    write(&shared);
    let folder = &shared.first;
    folder.apply();
    let site = Site {
        folder,
        cluster: Some(Cluster::of(folder, "single")),
        spaces: None,
    };
    let [mut mine, theirs, others] = tables();
    mine.push(nodes());
    site.act(&others);
    let run = folder.kplan(&["drift", "--sandbox"]).ok();
    run.assert_says(&["No drift. What exists is what is on record."]);
    folder.assert_no_changes();

    // One half is put back by the next apply.
    let before = site.looks(&mine);
    site.act(&mine);
    for (at, now) in site.looks(&mine) {
        assert_ne!(before[&at], now, "{at:?} was not changed");
    }
    site.shows(&mine);
    folder.apply();
    site.is_as(&mine, &before);
    folder.kplan(&["drift", "--sandbox"]).ok();
    folder.assert_no_changes();

    // The other is accepted: nothing in the cluster changes, and the record has it.
    let before = site.looks(&theirs);
    site.act(&theirs);
    let changed = site.looks(&theirs);
    site.shows(&theirs);
    folder
        .kplan(&["apply", "--sandbox", "--refresh-only", "--auto-approve"])
        .ok();
    site.is_as(&theirs, &changed);
    folder.kplan(&["drift", "--sandbox"]).ok();
    // The file says otherwise, and another apply does as it says.
    let only = [
        "apply",
        "--sandbox",
        "--auto-approve",
        "--target",
        "addon_manifest.settings",
    ];
    folder.kplan(&only).ok();
    for (at, now) in site.looks(&theirs) {
        let is_back = at.0 == "addon_manifest.settings";
        assert_eq!(now, if is_back { &before } else { &changed }[&at], "{at:?}");
    }
}
