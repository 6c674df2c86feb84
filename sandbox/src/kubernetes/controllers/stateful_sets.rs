//! `StatefulSet`s: numbered pods with their own claims, one after the other.

use serde_json::{Value, json};

use super::Pass;
use super::replica_sets::counted;
use super::workload::{PODS, active, owned_pods, pod_of, set_label, template_hash};
use crate::kubernetes::object::{self, Object, items, number, set, text};

const STATEFUL_SETS: &str = "apps/statefulsets";
const REVISION: &str = "controller-revision-hash";

/// One pass over all stateful sets.
pub(super) fn reconcile(pass: &mut Pass<'_>) {
    for set in pass.all(STATEFUL_SETS) {
        if !object::terminating(&set) {
            one(pass, &set);
        }
    }
}

fn one(pass: &Pass<'_>, owner: &Object) {
    let wanted = number(owner, &["spec", "replicas"]).unwrap_or(1);
    let parallel = text(owner, &["spec", "podManagementPolicy"]) == Some("Parallel");
    let hash = template_hash(&owner["spec"]["template"]);
    let pods = owned_pods(pass, owner);
    let find = |n: i64| {
        pods.iter()
            .find(|pod| object::name(pod) == format!("{}-{n}", object::name(owner)))
    };
    for n in 0..wanted {
        match find(n) {
            None => {
                claims(pass, owner, n);
                pass.create(numbered(owner, n, &hash));
            }
            Some(pod) if !active(pod) && !object::terminating(pod) => pass.delete(PODS, pod),
            Some(_) => {}
        }
        if !parallel && !find(n).is_some_and(|pod| object::serves(pod)) {
            break;
        }
    }
    let number_of = |pod: &Value| {
        object::name(pod)
            .rsplit('-')
            .next()
            .and_then(|n| n.parse::<i64>().ok())
            .unwrap_or(0)
    };
    for pod in pods
        .iter()
        .filter(|pod| number_of(pod) >= wanted && !object::terminating(pod))
    {
        pass.delete(PODS, pod);
    }
    let all_ready = pods.iter().all(|pod| object::serves(pod));
    let outdated = pods
        .iter()
        .filter(|pod| object::label(pod, REVISION) != Some(&hash) && active(pod));
    if let Some(pod) = outdated
        .max_by_key(|pod| number_of(pod))
        .filter(|pod| all_ready || !object::serves(pod))
    {
        pass.delete(PODS, pod);
    }
    super::revisions::record(pass, owner, &hash);
    status(pass, owner, &hash);
}

fn numbered(owner: &Value, n: i64, hash: &str) -> Value {
    let name = format!("{}-{n}", object::name(owner));
    let mut pod = pod_of(owner, &owner["spec"]["template"]);
    set(&mut pod, &["metadata", "name"], name.clone());
    set_label(&mut pod, REVISION, hash);
    set_label(&mut pod, "statefulset.kubernetes.io/pod-name", &name);
    set_label(&mut pod, "apps.kubernetes.io/pod-index", &n.to_string());
    set(&mut pod, &["spec", "hostname"], name);
    if let Some(subdomain) = text(owner, &["spec", "serviceName"]) {
        set(&mut pod, &["spec", "subdomain"], subdomain);
    }
    let mut volumes = items(&pod, &["spec", "volumes"]).to_vec();
    for claim in items(owner, &["spec", "volumeClaimTemplates"]) {
        let volume = object::name(claim);
        volumes.retain(|other| text(other, &["name"]) != Some(volume));
        volumes.push(json!({"name": volume, "persistentVolumeClaim": {"claimName": claim_name(owner, claim, n)}}));
    }
    if !volumes.is_empty() {
        set(&mut pod, &["spec", "volumes"], volumes);
    }
    pod
}

fn claim_name(owner: &Value, claim: &Value, n: i64) -> String {
    format!("{}-{}-{n}", object::name(claim), object::name(owner))
}

fn claims(pass: &Pass<'_>, owner: &Value, n: i64) {
    for template in items(owner, &["spec", "volumeClaimTemplates"]) {
        let name = claim_name(owner, template, n);
        let namespace = object::namespace(owner);
        if pass
            .get("/persistentvolumeclaims", namespace, &name)
            .is_none()
        {
            pass.create(json!({
                "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "metadata": {
                    "name": name, "namespace": namespace,
                    "labels": owner["spec"]["selector"]["matchLabels"],
                },
                "spec": template["spec"],
            }));
        }
    }
}

fn status(pass: &Pass<'_>, owner: &Object, hash: &str) {
    let pods = owned_pods(pass, owner);
    let total = pods.iter().filter(|pod| active(pod)).count();
    let serving = pods.iter().filter(|pod| object::serves(pod)).count();
    let updated = pods
        .iter()
        .filter(|pod| active(pod) && object::label(pod, REVISION) == Some(hash))
        .count();
    pass.adjust(STATEFUL_SETS, owner, |object| {
        let generation = object["metadata"]["generation"].clone();
        let revision = format!("{}-{hash}", object::name(object));
        set(object, &["status", "observedGeneration"], generation);
        for (field, count) in [
            ("replicas", total),
            ("readyReplicas", serving),
            ("currentReplicas", updated),
            ("updatedReplicas", updated),
        ] {
            counted(object, field, count);
        }
        set(object, &["status", "availableReplicas"], serving);
        set(object, &["status", "collisionCount"], 0);
        set(object, &["status", "updateRevision"], revision.clone());
        if updated == total || object::at(object, &["status", "currentRevision"]).is_none() {
            set(object, &["status", "currentRevision"], revision);
        }
    });
}
