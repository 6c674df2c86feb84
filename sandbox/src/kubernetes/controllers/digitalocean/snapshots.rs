//! `VolumeSnapshot`s: bound to contents by the snapshot controller, taken and deleted by the driver.

use http::Method;
use serde_json::{Value, json};

use super::{Account, CLAIMS, DRIVER, RETRY, VOLUMES, driver_runs, hold, let_go, runs, tags};
use crate::kubernetes::controllers::Pass;
use crate::kubernetes::controllers::velero::CONTENT;
use crate::kubernetes::object::{self, Object, flag, map, set, text};

const SNAPSHOTS: &str = "snapshot.storage.k8s.io/volumesnapshots";
const CONTENTS: &str = "snapshot.storage.k8s.io/volumesnapshotcontents";
const CLASSES: &str = "snapshot.storage.k8s.io/volumesnapshotclasses";
/// The class of snapshots that name none.
const DEFAULT: &str = "snapshot.storage.kubernetes.io/is-default-class";

/// What keeps a snapshot until its content is gone.
const HELD: [&str; 2] = [
    "snapshot.storage.kubernetes.io/volumesnapshot-as-source-protection",
    "snapshot.storage.kubernetes.io/volumesnapshot-bound-protection",
];
/// What keeps a content until the driver has deleted what is behind it.
const BOUND: &str = "snapshot.storage.kubernetes.io/volumesnapshotcontent-bound-protection";

/// What a claim is made of.
pub(super) struct Source {
    /// The snapshot in the account.
    pub(super) handle: String,
    /// What its volume held.
    pub(super) content: String,
}

/// One pass.
pub(super) fn reconcile(pass: &mut Pass<'_>) {
    if runs(pass, "snapshot-controller") {
        for snapshot in pass.all(SNAPSHOTS) {
            if object::terminating(&snapshot) {
                release(pass, &snapshot);
            } else {
                bind(pass, &snapshot);
            }
        }
    }
    if driver_runs(pass) {
        for content in pass.all(CONTENTS) {
            if text(&content, &["spec", "driver"]) == Some(DRIVER) {
                drive(pass, &content);
            }
        }
    }
}

fn content_of(snapshot: &Value) -> String {
    format!("snapcontent-{}", object::uid(snapshot))
}

/// The class of a snapshot, if it is the driver's.
fn class_of(pass: &Pass<'_>, snapshot: &Value) -> Option<Object> {
    let class = match text(snapshot, &["spec", "volumeSnapshotClassName"]) {
        Some(name) => pass.get(CLASSES, "", name),
        None => {
            let all = pass.all(CLASSES).into_iter();
            let mut default = all.filter(|one| object::annotation(one, DEFAULT) == Some("true"));
            default.next()
        }
    };
    class.filter(|class| text(class, &["driver"]) == Some(DRIVER))
}

/// Makes the content of a snapshot of a claim, and tells the snapshot what became of it.
fn bind(pass: &Pass<'_>, snapshot: &Object) {
    let name = content_of(snapshot);
    let content = pass.get(CONTENTS, "", &name);
    let Some(content) = content.or_else(|| begin(pass, snapshot, &name)) else {
        return;
    };
    hold(pass, SNAPSHOTS, snapshot, &HELD);
    let mut status = map(snapshot, &["status"]).cloned().unwrap_or_default();
    status.insert("boundVolumeSnapshotContentName".to_owned(), name.into());
    status.insert(
        "readyToUse".to_owned(),
        flag(&content, &["status", "readyToUse"]).into(),
    );
    if let Some(bytes) = content["status"]["restoreSize"].as_u64() {
        let gib = bytes >> 30;
        status.insert("restoreSize".to_owned(), format!("{gib}Gi").into());
    }
    pass.adjust(SNAPSHOTS, snapshot, |snapshot| {
        set(snapshot, &["status"], status);
    });
}

fn begin(pass: &Pass<'_>, snapshot: &Object, name: &str) -> Option<Object> {
    let class = class_of(pass, snapshot)?;
    let claim = text(snapshot, &["spec", "source", "persistentVolumeClaimName"])?;
    let namespace = object::namespace(snapshot);
    let claim = pass.get(CLAIMS, namespace, claim)?;
    let volume = text(&claim, &["spec", "volumeName"])?;
    let volume = pass.get(VOLUMES, "", volume)?;
    let handle = text(&volume, &["spec", "csi", "volumeHandle"])?;
    let content = object::annotation(&volume, CONTENT).unwrap_or_default();
    pass.create(json!({
        "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotContent",
        "metadata": {"name": name, "finalizers": [BOUND], "annotations": {CONTENT: content}},
        "spec": {
            "driver": DRIVER, "deletionPolicy": class["deletionPolicy"],
            "source": {"volumeHandle": handle},
            "volumeSnapshotClassName": object::name(&class),
            "volumeSnapshotRef": {
                "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
                "name": object::name(snapshot), "namespace": namespace,
                "uid": object::uid(snapshot),
            },
        },
    }))
}

/// Deletes what stands behind a snapshot where its class says so, and lets it go after that.
fn release(pass: &Pass<'_>, snapshot: &Object) {
    let content = pass.get(CONTENTS, "", &content_of(snapshot));
    match content.filter(deletes) {
        Some(content) if object::terminating(&content) => {}
        Some(content) => pass.delete(CONTENTS, &content),
        None => let_go(pass, SNAPSHOTS, snapshot, &HELD),
    }
}

fn deletes(content: &Object) -> bool {
    text(content, &["spec", "deletionPolicy"]) == Some("Delete")
}

/// The driver's part.
fn drive(pass: &mut Pass<'_>, content: &Object) {
    let handle = text(content, &["status", "snapshotHandle"]);
    if !object::terminating(content) && handle.is_some() {
        return;
    }
    if !pass.turn("snapshot", content, std::time::Duration::ZERO, RETRY) {
        return;
    }
    let Some(account) = Account::of(pass) else {
        return;
    };
    if object::terminating(content) {
        let gone = match handle.filter(|_| deletes(content)) {
            Some(handle) => account.delete(&format!("/v2/snapshots/{handle}")),
            None => true,
        };
        if gone {
            let_go(pass, CONTENTS, content, &[BOUND]);
        }
        return;
    }
    let Some(taken) = taken(pass, &account, content) else {
        return;
    };
    let gib = taken["min_disk_size"].as_u64().unwrap_or(0);
    let now = pass.server.clock.now().as_nanosecond();
    pass.adjust(CONTENTS, content, |content| {
        set(content, &["status", "snapshotHandle"], taken["id"].clone());
        set(
            content,
            &["status", "creationTime"],
            i64::try_from(now).unwrap_or(0),
        );
        set(content, &["status", "restoreSize"], gib << 30);
        set(content, &["status", "readyToUse"], true);
    });
}

/// The snapshot in the account, taken now unless an earlier try did.
fn taken(pass: &Pass<'_>, account: &Account, content: &Value) -> Option<Value> {
    let volume = text(content, &["spec", "source", "volumeHandle"])?;
    let uid = text(content, &["spec", "volumeSnapshotRef", "uid"])?;
    let (place, name) = (
        format!("/v2/volumes/{volume}/snapshots"),
        format!("snapshot-{uid}"),
    );
    let earlier = account.list(&place, "snapshots")?;
    if let Some(found) = earlier.iter().find(|one| one["name"] == json!(name)) {
        return Some(found.clone());
    }
    let body = json!({"name": name, "tags": tags(pass)});
    let made = account.send(Method::POST, &place, &body)?;
    Some(made["snapshot"].clone())
}

/// What a claim is made of that names a snapshot; nothing until that can be used.
pub(super) fn source(pass: &Pass<'_>, claim: &Value) -> Option<Source> {
    let name = text(claim, &["spec", "dataSource", "name"])?;
    let snapshot = pass.get(SNAPSHOTS, object::namespace(claim), name)?;
    if !flag(&snapshot, &["status", "readyToUse"]) {
        return None;
    }
    let content = pass.get(CONTENTS, "", &content_of(&snapshot))?;
    let handle = text(&content, &["status", "snapshotHandle"])?;
    Some(Source {
        handle: handle.to_owned(),
        content: object::annotation(&content, CONTENT)
            .unwrap_or_default()
            .to_owned(),
    })
}
