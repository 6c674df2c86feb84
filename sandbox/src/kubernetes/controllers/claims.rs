//! Volume claims: bound when their class exists and its provisioner runs.
//!
//! A volume exists in the cluster only; no volume appears in the DigitalOcean account.

use std::time::Duration;

use serde_json::json;

use super::Pass;
use super::velero::CONTENT;
use super::workload::PODS;
use crate::kubernetes::object::{self, Object, items, number, set, text};

const CLAIMS: &str = "/persistentvolumeclaims";
const VOLUMES: &str = "/persistentvolumes";

/// K3s's own provisioner, whose volumes are folders of a node.
const LOCAL: &str = "rancher.io/local-path";

/// Creating and attaching a block volume.
const PROVISION: Duration = Duration::from_secs(8);

/// One pass over all claims and volumes.
pub(super) fn reconcile(pass: &mut Pass<'_>) {
    for claim in pass.all(CLAIMS) {
        if !object::terminating(&claim) && text(&claim, &["status", "phase"]) != Some("Bound") {
            bind(pass, &claim);
        }
    }
    for volume in pass.all(VOLUMES) {
        release(pass, &volume);
    }
}

fn bind(pass: &mut Pass<'_>, claim: &Object) {
    let Some(class) = text(claim, &["spec", "storageClassName"]) else {
        return;
    };
    let Some(class) = pass.get("storage.k8s.io/storageclasses", "", class) else {
        return;
    };
    let late = text(&class, &["volumeBindingMode"]) == Some("WaitForFirstConsumer");
    let provisioner = text(&class, &["provisioner"]).unwrap_or_default();
    if (late && !consumed(pass, claim)) || !provisions(pass, provisioner) {
        return;
    }
    if !pass.due("provision", claim, PROVISION) {
        return;
    }
    let name = format!("pvc-{}", object::uid(claim));
    // A claim that was restored with its data brings it along; any other volume is new.
    let content = object::annotation(claim, CONTENT).unwrap_or(object::uid(claim));
    let capacity = claim["spec"]["resources"]["requests"].clone();
    if pass.get(VOLUMES, "", &name).is_none() {
        let mut volume = json!({
            "apiVersion": "v1", "kind": "PersistentVolume",
            "metadata": {"name": name, "annotations": {
                "pv.kubernetes.io/provisioned-by": provisioner, CONTENT: content,
            }},
            "spec": {
                "accessModes": claim["spec"]["accessModes"],
                "capacity": capacity,
                "storageClassName": object::name(&class),
                "persistentVolumeReclaimPolicy": class["reclaimPolicy"],
                "volumeMode": claim["spec"]["volumeMode"],
                "claimRef": {
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": object::name(claim),
                    "namespace": object::namespace(claim), "uid": object::uid(claim),
                },
            },
        });
        if provisioner == LOCAL {
            let path = format!("/var/lib/rancher/k3s/storage/{name}");
            let place = json!({"path": path, "type": "DirectoryOrCreate"});
            set(&mut volume, &["spec", "hostPath"], place);
        } else {
            let handle = json!({"driver": provisioner, "volumeHandle": object::uid(claim)});
            set(&mut volume, &["spec", "csi"], handle);
        }
        pass.create(volume);
    }
    if let Some(volume) = pass.get(VOLUMES, "", &name) {
        pass.adjust(VOLUMES, &volume, |volume| {
            set(volume, &["status", "phase"], "Bound");
        });
    }
    pass.adjust(CLAIMS, claim, |claim| {
        set(claim, &["spec", "volumeName"], name.clone());
    });
    pass.adjust(CLAIMS, claim, |claim| {
        let modes = claim["spec"]["accessModes"].clone();
        set(claim, &["status", "phase"], "Bound");
        set(claim, &["status", "accessModes"], modes);
        set(claim, &["status", "capacity"], capacity);
    });
}

/// Whether a pod waits for the claim.
fn consumed(pass: &Pass<'_>, claim: &Object) -> bool {
    pass.in_namespace(PODS, object::namespace(claim))
        .iter()
        .any(|pod| {
            items(pod, &["spec", "volumes"]).iter().any(|volume| {
                text(volume, &["persistentVolumeClaim", "claimName"]) == Some(object::name(claim))
            })
        })
}

/// Whether the program behind a class runs. Provisioners other than these two are not simulated:
/// their claims stay pending.
fn provisions(pass: &Pass<'_>, provisioner: &str) -> bool {
    let serving = |collection: &str, name: &str, field: &str| {
        let found = pass.get(collection, "kube-system", name);
        found.is_some_and(|object| number(&object, &["status", field]).unwrap_or(0) > 0)
    };
    match provisioner {
        "dobs.csi.digitalocean.com" => {
            pass.get("storage.k8s.io/csidrivers", "", provisioner)
                .is_some()
                && serving("apps/statefulsets", "csi-do-controller", "readyReplicas")
        }
        LOCAL => serving(
            "apps/deployments",
            "local-path-provisioner",
            "availableReplicas",
        ),
        _ => false,
    }
}

/// A volume whose claim is gone is released, and deleted when its policy says so.
fn release(pass: &Pass<'_>, volume: &Object) {
    let Some(uid) = text(volume, &["spec", "claimRef", "uid"]) else {
        return;
    };
    let namespace = text(volume, &["spec", "claimRef", "namespace"]).unwrap_or_default();
    let name = text(volume, &["spec", "claimRef", "name"]).unwrap_or_default();
    if pass
        .get(CLAIMS, namespace, name)
        .is_some_and(|claim| object::uid(&claim) == uid)
    {
        return;
    }
    if text(volume, &["spec", "persistentVolumeReclaimPolicy"]) == Some("Delete") {
        pass.delete(VOLUMES, volume);
    } else {
        pass.adjust(VOLUMES, volume, |volume| {
            set(volume, &["status", "phase"], "Released");
        });
    }
}
