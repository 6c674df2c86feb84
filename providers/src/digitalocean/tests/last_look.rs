//! What the cluster made, as the last look and the sweep tell it from others' where lists lag behind.

use super::*;
use crate::digitalocean::{
    Balancers, LastLook, LastLookArgs, Left, LeftArgs, LeftMarks, Marks, Snapshots, Volumes,
    leavings,
};
use crate::kubernetes::Remarks;
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
        shown: None,
        services: None,
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

/// A load balancer with a Service's name in the cluster's VPC, without targets.
fn balancer(tag: &str) -> Value {
    value!({
        "id": "b", "name": format!("a{}", "0".repeat(31)), "vpc_uuid": "net",
        "region": { "slug": "fra1" }, "droplet_ids": [], "tag": "", "tags": [tag],
    })
}

fn late(tag: &str, more: impl IntoIterator<Item = Response<Bytes>>) -> Script {
    let lists = [
        ok(value!({ "volumes": [] })),
        ok(value!({ "snapshots": [] })),
        ok(value!({ "load_balancers": [balancer(tag)] })),
    ];
    Script::answers(lists.into_iter().chain(more))
}

#[tokio::test(start_paused = true)]
async fn a_late_load_balancer_of_the_clusters_goes_and_is_waited_for() {
    let gone = json(404, &value!({ "id": "not_found", "message": "gone" }));
    let there = || ok(value!({ "load_balancer": balancer("k8s:demo-3f9a1c2e") }));
    let more = [empty(204), there(), there(), gone];
    let script = late("k8s:demo-3f9a1c2e", more);
    let last = LastLook(cloud(&script));
    last.delete(&last_look(&["7"]), &permit()).await.unwrap();
    assert_eq!(script.calls().len(), 7, "{:?}", script.calls());
}

#[tokio::test(start_paused = true)]
async fn a_late_load_balancer_that_only_has_such_a_name_is_named_and_stays() {
    for tag in ["web", "k8s:other-00000000", "kplan:other-00000000"] {
        let script = late(tag, []);
        let last = LastLook(cloud(&script));
        let refused = last.delete(&last_look(&["7"]), &permit()).await;
        let said = refused.unwrap_err().to_string();
        assert!(said.contains("nothing proves"), "{said}");
        assert_eq!(script.calls().len(), 3, "{:?}", script.calls());
    }
}

/// The marks of a plan that somebody agreed to.
fn left(id: &str) -> Known {
    let args = LeftArgs {
        id: id.to_owned(),
        name: VOLUME.to_owned(),
        region: None,
        size: None,
        stored: None,
        size_unit: None,
        made_for: None,
        marks: Some(LeftMarks {
            tag: TAG.to_owned(),
            vpc_id: Some("net".to_owned()),
            droplets: vec!["7".to_owned()],
            ours: Vec::new(),
            foreign: Vec::new(),
        }),
    };
    known(id, args.to_object(), Object::new())
}

#[tokio::test]
async fn a_volume_is_judged_once_more_before_it_is_detached_and_goes() {
    let volume = |droplet: u64, tags: &[&str]| {
        let made = "Created by DigitalOcean CSI driver";
        ok(value!({ "volume": {
            "id": "v", "name": VOLUME, "size_gigabytes": 100, "region": { "slug": "fra1" },
            "description": made, "droplet_ids": [droplet], "tags": tags,
        } }))
    };
    let spared: [(u64, &[&str]); 3] = [(8, &[TAG]), (7, &[]), (7, &[TAG, "k8s:other"])];
    for (droplet, tags) in spared {
        let script = Script::answers([volume(droplet, tags)]);
        let remarks = Remarks::default();
        let kind = Left::<Volumes>::new(cloud(&script), remarks.clone());
        kind.delete(&left("v"), &permit()).await.unwrap();
        assert_eq!(script.calls().len(), 1, "{:?}", script.calls());
        let said = remarks.take().join("\n");
        assert!(said.contains("(v) was left as it is"), "{said}");
    }
    let script = Script::answers([volume(7, &[TAG]), done(1), empty(204)]);
    let remarks = Remarks::default();
    let kind = Left::<Volumes>::new(cloud(&script), remarks.clone());
    kind.delete(&left("v"), &permit()).await.unwrap();
    assert_eq!(script.calls().len(), 3, "{:?}", script.calls());
    assert_eq!(remarks.take(), Vec::<String>::new());
}

#[tokio::test]
async fn a_load_balancer_or_snapshot_that_became_anothers_stays() {
    let remarks = Remarks::default();
    let script = Script::answers([ok(value!({ "load_balancer": balancer("k8s:other") }))]);
    let kind = Left::<Balancers>::new(cloud(&script), remarks.clone());
    kind.delete(&left("b"), &permit()).await.unwrap();
    assert_eq!(script.calls().len(), 1, "{:?}", script.calls());
    let script = Script::answers([ok(value!({ "snapshot": {
        "id": "s", "name": SNAPSHOT, "min_disk_size": 100, "regions": ["fra1"], "tags": [],
    } }))]);
    let kind = Left::<Snapshots>::new(cloud(&script), remarks.clone());
    kind.delete(&left("s"), &permit()).await.unwrap();
    assert_eq!(script.calls().len(), 1, "{:?}", script.calls());
    assert_eq!(remarks.take().len(), 2);
}
