//! Volume claims: bound when their class exists and its provisioner runs, kept while a pod has them.

use std::time::Duration;

use serde_json::{Value, json};

use super::Pass;
use super::digitalocean::{self, DRIVER, RETRY};
use super::velero::CONTENT;
use super::workload::PODS;
use crate::kubernetes::object::{self, Object, items, number, set, text};

const CLAIMS: &str = "/persistentvolumeclaims";
const VOLUMES: &str = "/persistentvolumes";

/// K3s's own provisioner, whose volumes are folders of a node.
const LOCAL: &str = "rancher.io/local-path";

/// From a claim until its volume is made.
const PROVISION: Duration = Duration::from_secs(3);

/// Keeps a claim while a pod has it.
const IN_USE: &str = "kubernetes.io/pvc-protection";

/// One pass over all claims and volumes.
pub(super) fn reconcile(pass: &mut Pass<'_>) {
    for pod in pass.all(PODS) {
        make_ephemeral(pass, &pod);
    }
    for claim in pass.all(CLAIMS) {
        protect(pass, &claim);
        if !object::terminating(&claim) && text(&claim, &["status", "phase"]) != Some("Bound") {
            bind(pass, &claim);
        }
    }
    for volume in pass.all(VOLUMES) {
        release(pass, &volume);
    }
}

/// The claim of one of a pod's volumes, where it has one.
pub(super) fn claim_of(pod: &Value, volume: &Value) -> Option<String> {
    if volume["ephemeral"].is_object() {
        return Some(format!(
            "{}-{}",
            object::name(pod),
            text(volume, &["name"])?
        ));
    }
    text(volume, &["persistentVolumeClaim", "claimName"]).map(str::to_owned)
}

/// Makes the claims of a pod's generic ephemeral volumes, which go with it.
fn make_ephemeral(pass: &Pass<'_>, pod: &Object) {
    if object::terminating(pod) || object::ended(pod) {
        return;
    }
    for volume in items(pod, &["spec", "volumes"]) {
        let template = &volume["ephemeral"]["volumeClaimTemplate"];
        let Some(name) = claim_of(pod, volume).filter(|_| template.is_object()) else {
            continue;
        };
        let namespace = object::namespace(pod);
        if pass.get(CLAIMS, namespace, &name).is_some() {
            continue;
        }
        let mut claim = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {}, "spec": template["spec"],
        });
        for field in ["labels", "annotations"] {
            let given = &template["metadata"][field];
            if given.is_object() {
                set(&mut claim, &["metadata", field], given.clone());
            }
        }
        set(&mut claim, &["metadata", "name"], name);
        set(&mut claim, &["metadata", "namespace"], namespace);
        let owner = json!([object::controller_reference(pod)]);
        set(&mut claim, &["metadata", "ownerReferences"], owner);
        pass.create(claim);
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
    if !pass.turn("provision", claim, PROVISION, RETRY) {
        return;
    }
    let name = format!("pvc-{}", object::uid(claim));
    if pass.get(VOLUMES, "", &name).is_none() {
        let made = if provisioner == LOCAL {
            Some(local(claim, &name))
        } else {
            digitalocean::provision(pass, &name, claim, &class)
        };
        let Some(mut volume) = made else {
            return;
        };
        describe(&mut volume, &name, claim, &class);
        pass.create(volume);
    }
    let Some(volume) = pass.get(VOLUMES, "", &name) else {
        return;
    };
    let capacity = volume["spec"]["capacity"].clone();
    pass.adjust(VOLUMES, &volume, |volume| {
        set(volume, &["status", "phase"], "Bound");
    });
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

/// A folder of a node.
fn local(claim: &Value, name: &str) -> Value {
    let content = object::annotation(claim, CONTENT).unwrap_or(object::uid(claim));
    let path = format!("/var/lib/rancher/k3s/storage/{name}");
    json!({
        "metadata": {"annotations": {CONTENT: content}},
        "spec": {
            "capacity": claim["spec"]["resources"]["requests"],
            "hostPath": {"path": path, "type": "DirectoryOrCreate"},
        },
    })
}

/// What every provisioner says of a volume.
fn describe(volume: &mut Value, name: &str, claim: &Value, class: &Value) {
    set(volume, &["apiVersion"], "v1");
    set(volume, &["kind"], "PersistentVolume");
    set(volume, &["metadata", "name"], name);
    let by = "pv.kubernetes.io/provisioned-by";
    let provisioner = class["provisioner"].clone();
    set(volume, &["metadata", "annotations", by], provisioner);
    for (field, value) in [
        ("accessModes", claim["spec"]["accessModes"].clone()),
        ("storageClassName", object::name(class).into()),
        (
            "persistentVolumeReclaimPolicy",
            class["reclaimPolicy"].clone(),
        ),
        ("volumeMode", claim["spec"]["volumeMode"].clone()),
    ] {
        set(volume, &["spec", field], value);
    }
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": object::name(claim),
        "namespace": object::namespace(claim), "uid": object::uid(claim),
    });
    set(volume, &["spec", "claimRef"], claim);
}

/// Holds a claim until it is deleted and no pod has it.
fn protect(pass: &Pass<'_>, claim: &Object) {
    if !object::terminating(claim) {
        digitalocean::hold(pass, CLAIMS, claim, &[IN_USE]);
    } else if !consumed(pass, claim) {
        digitalocean::let_go(pass, CLAIMS, claim, &[IN_USE]);
    }
}

/// Whether a pod that has not ended names the claim.
fn consumed(pass: &Pass<'_>, claim: &Object) -> bool {
    pass.in_namespace(PODS, object::namespace(claim))
        .iter()
        .filter(|pod| !object::ended(pod))
        .any(|pod| {
            let mut volumes = items(pod, &["spec", "volumes"]).iter();
            volumes.any(|volume| claim_of(pod, volume).as_deref() == Some(object::name(claim)))
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
        DRIVER => digitalocean::driver_runs(pass),
        LOCAL => serving(
            "apps/deployments",
            "local-path-provisioner",
            "availableReplicas",
        ),
        _ => false,
    }
}

/// A volume whose claim is gone is released, and deleted when its policy says so.
fn release(pass: &mut Pass<'_>, volume: &Object) {
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
    let own = text(volume, &["spec", "csi", "driver"]) == Some(DRIVER);
    let deletes = text(volume, &["spec", "persistentVolumeReclaimPolicy"]) == Some("Delete");
    pass.adjust(VOLUMES, volume, |volume| {
        set(volume, &["status", "phase"], "Released");
    });
    match (deletes, own) {
        (true, true) => {
            let runs = digitalocean::driver_runs(pass);
            if runs && pass.turn("unprovision", volume, Duration::ZERO, RETRY) {
                digitalocean::delete(pass, volume);
            }
        }
        (true, false) => pass.delete(VOLUMES, volume),
        (false, _) => digitalocean::forget(pass, volume),
    }
}
