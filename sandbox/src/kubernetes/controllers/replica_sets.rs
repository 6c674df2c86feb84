//! `ReplicaSet`s: as many pods as asked for.

use serde_json::Value;

use super::Pass;
use super::workload::{PODS, active, owned_pods, pod_of};
use crate::kubernetes::object::{self, Object, number, set};

/// Collection of replica sets.
pub(super) const REPLICA_SETS: &str = "apps/replicasets";

/// Pods made for one set in one pass.
const AT_ONCE: usize = 500;

/// One pass over all replica sets.
pub(super) fn reconcile(pass: &mut Pass<'_>) {
    for set in pass.all(REPLICA_SETS) {
        if !object::terminating(&set) {
            one(pass, &set);
        }
    }
}

fn one(pass: &Pass<'_>, replica_set: &Object) {
    let wanted =
        usize::try_from(number(replica_set, &["spec", "replicas"]).unwrap_or(1)).unwrap_or(0);
    let pods: Vec<Object> = owned_pods(pass, replica_set)
        .into_iter()
        .filter(|pod| active(pod))
        .collect();
    for _ in pods.len()..wanted.min(pods.len() + AT_ONCE) {
        let mut pod = pod_of(replica_set, &replica_set["spec"]["template"]);
        set(
            &mut pod,
            &["metadata", "generateName"],
            format!("{}-", object::name(replica_set)),
        );
        pass.create(pod);
    }
    let mut surplus = pods.clone();
    // Those that do not serve yet go first, as the real controller prefers.
    surplus.sort_by_key(|pod| object::serves(pod));
    for pod in surplus.iter().take(pods.len().saturating_sub(wanted)) {
        pass.delete(PODS, pod);
    }
    status(pass, replica_set);
}

fn status(pass: &Pass<'_>, replica_set: &Object) {
    let pods = owned_pods(pass, replica_set);
    let total = pods.iter().filter(|pod| active(pod)).count();
    let serving = pods.iter().filter(|pod| object::serves(pod)).count();
    pass.adjust(REPLICA_SETS, replica_set, |object| {
        let generation = object["metadata"]["generation"].clone();
        set(object, &["status", "observedGeneration"], generation);
        for (field, count) in [
            ("replicas", total),
            ("fullyLabeledReplicas", total),
            ("readyReplicas", serving),
            ("availableReplicas", serving),
        ] {
            counted(object, field, count);
        }
    });
}

/// A count in `status`; the API leaves out zeros except for `replicas`.
pub(super) fn counted(object: &mut Value, field: &str, count: usize) {
    if count == 0 && field != "replicas" {
        object::remove(object, &["status", field]);
    } else {
        set(object, &["status", field], count);
    }
}
