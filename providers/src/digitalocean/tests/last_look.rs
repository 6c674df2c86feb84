//! What the cluster made, as the last look and the sweep tell it from others' where lists lag behind.

use super::*;
use crate::digitalocean::leavings::{LastLook, LastLookArgs, Marks, leavings};
use std::collections::BTreeSet;

const VOLUME: &str = "pvc-0b1c2d3e-0000-4000-8000-0123456789ab";
const SNAPSHOT: &str = "snapshot-0b1c2d3e-0000-4000-8000-0123456789ab";
const TAG: &str = "kplan:demo-3f9a1c2e";

/// The three lists: a volume that is still shown on a droplet, and a snapshot.
fn lists() -> Script {
    let made = "Created by DigitalOcean CSI driver";
    Script::answers([
        ok(value!({ "volumes": [{
            "id": "v", "name": VOLUME, "size_gigabytes": 100, "region": { "slug": "fra1" },
            "description": made, "droplet_ids": [7], "tags": [TAG],
        }] })),
        ok(value!({ "snapshots": [{
            "id": "s", "name": SNAPSHOT, "min_disk_size": 100, "size_gigabytes": 2.36,
            "regions": ["fra1"], "tags": [TAG],
        }] })),
        ok(value!({ "load_balancers": [] })),
    ])
}

fn last_look(droplets: &[&str]) -> Known {
    let args = LastLookArgs {
        tag: TAG.to_owned(),
        vpc_id: Some("net".to_owned()),
        droplets: Some(droplets.iter().map(ToString::to_string).collect()),
        keeps_data: false,
        ours: Vec::new(),
        foreign: Vec::new(),
        final_backup: None,
    };
    known("cluster_leavings", args.to_object(), Object::new())
}

#[tokio::test]
async fn a_volume_that_is_still_shown_on_a_dead_droplet_of_the_clusters_is_the_clusters() {
    let look = |droplets: &'static [&'static str]| async move {
        let script = lists();
        let last = LastLook(cloud(&script));
        let deleted = last.delete(&last_look(droplets), &permit()).await;
        deleted.unwrap_err().to_string()
    };
    let said = look(&["7"]).await;
    assert!(said.contains(VOLUME) && said.contains(SNAPSHOT), "{said}");
    // On somebody else's droplet it is somebody else's.
    let said = look(&["8"]).await;
    assert!(!said.contains(VOLUME) && said.contains(SNAPSHOT), "{said}");
}

#[tokio::test]
async fn what_is_stored_of_a_snapshot_is_read() {
    let marks = Marks {
        tag: TAG.to_owned(),
        droplets: BTreeSet::from(["7".to_owned()]),
        ..Marks::default()
    };
    let script = lists();
    let look = leavings(&cloud(&script), &marks).await.unwrap();
    let stored: Vec<Option<&str>> = look
        .found
        .iter()
        .map(|one| one.args.stored.as_deref())
        .collect();
    assert_eq!(stored, [None, Some("2.36")]);
}
