//! What somebody does to nodes: one is switched off and taken off the API, K3s is exchanged. And to
//! the key of their backups.

use super::hand::{Deed, Hand, Ids, Place, Seen, Site, ids};
use crate::support::cluster::Cluster;
use crate::support::{Folder, SMALL};
use serde_json::{Value, json};

const BEFORE: &str = "v1.34.9+k3s1";
const AFTER: &str = "v1.35.6+k3s1";
const BUCKET: &str = "acme-night-backup";
const SERVER: &str = "v1 Node demo-servers-0";
const WORKER: &str = "v1 Node demo-workers-0";

fn file(version: &str) -> String {
    format!(
        "{SMALL}\n[k3s]\nversion = \"{version}\"\n\n[[agents]]\nname = \"workers\"\nsize = \
         \"s-1vcpu-2gb\"\n\n[storage]\ncsi = false\n\n[backup]\nbucket = \"{BUCKET}\"\n"
    )
}

pub(super) fn hands(id: Ids<'_>) -> Vec<Hand> {
    let droplet = format!("/v2/droplets/{}", id("droplet.workers[0]"));
    let key = format!("/v2/spaces/keys/{}", id("spaces_key.backup"));
    let may = |what: &str| json!([{ "bucket": BUCKET, "permission": what }]);
    let less = json!({ "grants": may("read") });
    let off = Deed::Ask(
        "POST",
        format!("{droplet}/actions"),
        json!({ "type": "power_off" }),
    );
    vec![
        Hand {
            address: "spaces_key.backup".to_owned(),
            carried: Vec::new(),
            deeds: vec![Deed::Ask("PATCH", key.clone(), less)],
            fields: vec![Seen {
                field: "grant",
                was: may("readwrite"),
                real: may("read"),
                place: Place::Api(key, "/key/grants"),
            }],
        },
        Hand {
            address: "droplet.workers[0]".to_owned(),
            carried: Vec::new(),
            deeds: vec![off],
            fields: vec![Seen {
                field: "power",
                was: json!("on"),
                real: json!("off"),
                place: Place::Api(droplet, "/droplet/status"),
            }],
        },
        Hand {
            address: "k3s.cluster".to_owned(),
            carried: Vec::new(),
            deeds: vec![Deed::Leave(WORKER)],
            fields: vec![Seen {
                field: "nodes",
                was: json!(["demo-servers-0", "demo-workers-0"]),
                real: json!(["demo-servers-0"]),
                place: Place::object(WORKER, "metadata/name"),
            }],
        },
    ]
}

/// Somebody's own upgrade, of every node.
fn upgrade() -> Value {
    let all = json!([{ "key": "kubernetes.io/os", "operator": "Exists" }]);
    json!({
        "apiVersion": "upgrade.cattle.io/v1", "kind": "Plan",
        "metadata": { "name": "theirs", "namespace": "system-upgrade" },
        "spec": {
            "concurrency": 2, "serviceAccountName": "system-upgrade",
            "nodeSelector": { "matchExpressions": all },
            "tolerations": [{ "operator": "Exists" }],
            "upgrade": { "image": "rancher/k3s-upgrade" }, "version": AFTER,
        },
    })
}

/// There is no way back from it: the file has to follow.
pub(super) fn grown() -> Vec<Hand> {
    const VERSION: &str = "status/nodeInfo/kubeletVersion";
    vec![Hand {
        address: "k3s_upgrade.main".to_owned(),
        carried: Vec::new(),
        deeds: vec![Deed::Apply(upgrade())],
        fields: vec![Seen {
            field: "version",
            was: json!(BEFORE),
            real: json!(AFTER),
            place: Place::Objects(vec![
                (SERVER.to_owned(), VERSION.to_owned()),
                (WORKER.to_owned(), VERSION.to_owned()),
            ]),
        }],
    }]
}

#[test]
fn nodes_changed_by_hand_are_shown_and_put_back_or_accepted() {
    let folder = Folder::with(&file(BEFORE));
    folder.apply();
    let site = Site {
        folder: &folder,
        cluster: Some(Cluster::of(&folder, "demo")),
        spaces: None,
    };
    let id = ids(&folder, "demo");
    let hands = hands(&id);
    let before = site.looks(&hands);
    site.act(&hands);
    site.shows(&hands);
    folder.apply();
    site.is_as(&hands, &before);
    folder.kplan(&["drift", "--sandbox"]).ok();
    folder.assert_no_changes();

    let hands = grown();
    site.act(&hands);
    for node in [SERVER, WORKER] {
        let cluster = site.cluster.as_ref().expect("a cluster");
        cluster.until(node, "/status/nodeInfo/kubeletVersion", AFTER);
    }
    site.shows(&hands);
    folder
        .kplan(&["apply", "--sandbox", "--refresh-only", "--auto-approve"])
        .ok();
    folder.kplan(&["drift", "--sandbox"]).ok();
    folder.write(&file(AFTER));
    folder.apply();
    folder.assert_no_changes();
}
