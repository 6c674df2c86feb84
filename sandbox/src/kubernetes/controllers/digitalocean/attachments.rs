//! Which volume is attached to which node's droplet: the controller manager says it in
//! `VolumeAttachment`s, the driver does it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Account, CLAIMS, DRIVER, RETRY, Silent, VOLUMES, driver_runs, droplet, let_go};
use crate::kubernetes::controllers::Pass;
use crate::kubernetes::controllers::claims::claim_of;
use crate::kubernetes::controllers::workload::PODS;
use crate::kubernetes::object::{self, Object, flag, items, set, text};
use crate::spaces::to_hex;

pub(super) const ATTACHMENTS: &str = "storage.k8s.io/volumeattachments";
/// Keeps an attachment until the driver has detached the volume.
const FINALIZER: &str = "external-attacher/dobs-csi-digitalocean-com";
/// The number of the droplet that the volume was attached to: the node may be gone by then.
const NODE_ID: &str = "csi.alpha.kubernetes.io/node-id";
/// How long the controller manager waits for a kubelet to say that a volume is unmounted (its
/// `maxWaitForUnmountDuration`), when nobody is there to say it.
const UNMOUNT: Duration = Duration::from_mins(6);

/// One pass over all volumes of the driver.
pub(super) fn reconcile(pass: &mut Pass<'_>) {
    let volumes = pass.all(VOLUMES);
    let mut own = volumes.iter().filter(|volume| is_own(volume)).peekable();
    if own.peek().is_none() && pass.all(ATTACHMENTS).is_empty() {
        return;
    }
    let own: BTreeMap<&str, &Object> = own.map(|volume| (object::name(volume), volume)).collect();
    let wanted = wanted(pass, &own);
    manage(pass, &own, &wanted);
    if driver_runs(pass) {
        for attachment in pass.all(ATTACHMENTS) {
            if text(&attachment, &["spec", "attacher"]) == Some(DRIVER) {
                drive(pass, &attachment);
            }
        }
    }
}

fn is_own(volume: &Value) -> bool {
    text(volume, &["spec", "csi", "driver"]) == Some(DRIVER)
}

/// The names of the volumes that a pod's claims are bound to.
fn volumes_of(pass: &Pass<'_>, pod: &Value) -> Vec<String> {
    let claims = items(pod, &["spec", "volumes"]).iter();
    let names = claims.filter_map(|one| claim_of(pod, one));
    let bound = names.filter_map(|name| {
        let claim = pass.get(CLAIMS, object::namespace(pod), &name)?;
        text(&claim, &["spec", "volumeName"]).map(str::to_owned)
    });
    bound.collect()
}

/// (volume, node) of every pod that is on a node and has not ended.
fn wanted(pass: &Pass<'_>, own: &BTreeMap<&str, &Object>) -> BTreeSet<(String, String)> {
    let mut wanted = BTreeSet::new();
    for pod in pass.all(PODS) {
        let Some(node) = text(&pod, &["spec", "nodeName"]).filter(|node| !node.is_empty()) else {
            continue;
        };
        if object::ended(&pod) {
            continue;
        }
        let volumes = volumes_of(pass, &pod).into_iter();
        let volumes = volumes.filter(|volume| own.contains_key(volume.as_str()));
        wanted.extend(volumes.map(|volume| (volume, node.to_owned())));
    }
    wanted
}

fn place(attachment: &Value) -> (String, String) {
    let part = |path: &[&str]| text(attachment, path).unwrap_or_default().to_owned();
    (
        part(&["spec", "source", "persistentVolumeName"]),
        part(&["spec", "nodeName"]),
    )
}

/// The controller manager's part: what is to be attached, and what no longer.
fn manage(pass: &mut Pass<'_>, own: &BTreeMap<&str, &Object>, wanted: &BTreeSet<(String, String)>) {
    let mut held: BTreeSet<String> = BTreeSet::new();
    for attachment in pass.all(ATTACHMENTS) {
        let place = place(&attachment);
        held.insert(place.0.clone());
        if object::terminating(&attachment) || wanted.contains(&place) {
            continue;
        }
        let silent = pass.nodes.get(&place.1).is_none_or(|node| node.lost);
        let unmounted = !silent && pass.get("/nodes", "", &place.1).is_some();
        if unmounted || pass.due("unmount", &attachment, UNMOUNT) {
            pass.delete(ATTACHMENTS, &attachment);
        }
    }
    for (volume, node) in wanted {
        // One that is attached elsewhere is waited for: a block volume has one node.
        let (false, Some(found)) = (held.contains(volume), own.get(volume.as_str())) else {
            continue;
        };
        let handle = text(found, &["spec", "csi", "volumeHandle"]).unwrap_or_default();
        let digest = Sha256::digest(format!("{handle}{DRIVER}{node}"));
        pass.create(json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment",
            "metadata": {"name": format!("csi-{}", to_hex(&digest))},
            "spec": {"attacher": DRIVER, "nodeName": node,
                "source": {"persistentVolumeName": volume}},
            "status": {"attached": false},
        }));
        held.insert(volume.clone());
    }
}

/// The driver's part.
fn drive(pass: &mut Pass<'_>, attachment: &Object) {
    let (volume, node) = place(attachment);
    let leaves = object::terminating(attachment);
    if !leaves && flag(attachment, &["status", "attached"]) {
        return;
    }
    let what = if leaves { "detach" } else { "attach" };
    if !pass.turn(what, attachment, Duration::ZERO, RETRY) {
        return;
    }
    let volume = pass.get(VOLUMES, "", &volume);
    let handle = volume
        .as_ref()
        .and_then(|it| text(it, &["spec", "csi", "volumeHandle"]));
    let (Some(account), handle) = (Account::of(pass), handle.unwrap_or_default()) else {
        return;
    };
    if leaves {
        let id = object::annotation(attachment, NODE_ID).and_then(|id| id.parse().ok());
        if id.is_none_or(|id| detached(&account, handle, id)) {
            let_go(pass, ATTACHMENTS, attachment, &[FINALIZER]);
        }
        return;
    }
    let seen = pass.get("/nodes", "", &node);
    let id = seen
        .as_ref()
        .and_then(|node| text(node, &["spec", "providerID"]));
    let Some(id) = id.and_then(droplet) else {
        return;
    };
    // From before the call: whatever came of it is undone by whoever detaches.
    pass.adjust(ATTACHMENTS, attachment, |attachment| {
        set(attachment, &["metadata", "finalizers"], json!([FINALIZER]));
        set(
            attachment,
            &["metadata", "annotations", NODE_ID],
            id.to_string(),
        );
    });
    if attached(&account, handle, id) {
        pass.adjust(ATTACHMENTS, attachment, |attachment| {
            set(attachment, &["status", "attached"], true);
        });
    }
}

fn act(account: &Account, volume: &str, kind: &str, droplet: u64) {
    let body = json!({"type": kind, "droplet_id": droplet});
    // What is refused or under way is looked at again in the next turn.
    drop(account.send(
        Method::POST,
        &format!("/v2/volumes/{volume}/actions"),
        &body,
    ));
}

/// Whether the volume is attached; begins to attach it where it is free.
fn attached(account: &Account, volume: &str, droplet: u64) -> bool {
    let Ok(Some(found)) = account.get(&format!("/v2/volumes/{volume}")) else {
        return false;
    };
    match items(&found, &["volume", "droplet_ids"]) {
        [] => {
            act(account, volume, "attach", droplet);
            false
        }
        holders => holders.contains(&json!(droplet)),
    }
}

/// Whether the volume is not attached to the droplet any more; begins to detach it where it is.
fn detached(account: &Account, volume: &str, droplet: u64) -> bool {
    match account.get(&format!("/v2/volumes/{volume}")) {
        Ok(None) => true,
        Ok(Some(found)) => {
            let held = items(&found, &["volume", "droplet_ids"]).contains(&json!(droplet));
            if held {
                act(account, volume, "detach", droplet);
            }
            !held
        }
        Err(Silent) => false,
    }
}

/// The volume that a pod's containers wait for, because it is not attached to the pod's node.
pub(in super::super) fn unattached(pass: &Pass<'_>, pod: &Value) -> Option<String> {
    let volumes = volumes_of(pass, pod);
    if volumes.is_empty() {
        return None;
    }
    let node = text(pod, &["spec", "nodeName"]).unwrap_or_default();
    let attachments = pass.all(ATTACHMENTS);
    let there = |volume: &str| {
        attachments.iter().any(|one| {
            flag(one, &["status", "attached"])
                && !object::terminating(one)
                && place(one) == (volume.to_owned(), node.to_owned())
        })
    };
    let own = |name: &str| {
        pass.get(VOLUMES, "", name)
            .is_some_and(|volume| is_own(&volume))
    };
    let mut missing = volumes.into_iter().filter(|name| own(name) && !there(name));
    missing.next()
}
