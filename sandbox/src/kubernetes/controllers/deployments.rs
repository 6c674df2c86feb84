//! Deployments: a replica set per template; the old one goes when the new one serves.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::Pass;
use super::replica_sets::{REPLICA_SETS, counted};
use super::workload::{set_label, template_hash};
use crate::kubernetes::disruption;
use crate::kubernetes::object::{self, Object, number, set, text};

const DEPLOYMENTS: &str = "apps/deployments";
const REVISION: &str = "deployment.kubernetes.io/revision";
const HASH: &str = "pod-template-hash";

/// The controller's reaction to a change.
const REACT: Duration = Duration::from_millis(200);

/// One pass over all deployments.
pub(super) fn reconcile(pass: &mut Pass<'_>) {
    for deployment in pass.all(DEPLOYMENTS) {
        if !object::terminating(&deployment) {
            one(pass, &deployment);
        }
    }
}

fn one(pass: &mut Pass<'_>, deployment: &Object) {
    let hash = template_hash(&deployment["spec"]["template"]);
    let owned: Vec<Object> = pass
        .in_namespace(REPLICA_SETS, object::namespace(deployment))
        .into_iter()
        .filter(|set| object::controlled_by(set, object::uid(deployment)))
        .collect();
    let current = owned
        .iter()
        .find(|set| object::label(set, HASH) == Some(&hash));
    let wanted = number(deployment, &["spec", "replicas"]).unwrap_or(1);
    let paused = object::flag(deployment, &["spec", "paused"]);
    let Some(current) = current else {
        if paused {
            hold(pass, deployment, &owned, wanted);
        } else if pass.due("deploy", deployment, REACT) {
            create(pass, deployment, &hash, &owned);
        }
        return;
    };
    let newest = owned.iter().map(|set| revision(set)).max().unwrap_or(0);
    annotate(pass, deployment, current, newest);
    scale(pass, current, wanted);
    let serving = number(current, &["status", "availableReplicas"]).unwrap_or(0);
    let old: Vec<&Object> = owned
        .iter()
        .filter(|set| object::uid(set) != object::uid(current))
        .collect();
    if serving >= wanted && !paused {
        for set in &old {
            scale(pass, set, 0);
        }
        collect(pass, deployment, &old);
    }
    status(pass, deployment, current, &old);
}

fn revision(object: &Value) -> i64 {
    object::annotation(object, REVISION)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

fn create(pass: &Pass<'_>, deployment: &Object, hash: &str, owned: &[Object]) {
    let next = owned.iter().map(|set| revision(set)).max().unwrap_or(0) + 1;
    let mut annotations = own_annotations(deployment);
    annotations.insert(REVISION.to_owned(), next.to_string().into());
    let mut template = deployment["spec"]["template"].clone();
    set_label(&mut template, HASH, hash);
    let mut selector = deployment["spec"]["selector"].clone();
    set(&mut selector, &["matchLabels", HASH], hash);
    let mut labels = template["metadata"]["labels"].clone();
    set(&mut labels, &[HASH], hash);
    pass.create(json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{}-{hash}", object::name(deployment)),
            "namespace": object::namespace(deployment),
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [object::controller_reference(deployment)],
        },
        "spec": {"replicas": deployment["spec"]["replicas"], "selector": selector, "template": template},
    }));
    pass.adjust(DEPLOYMENTS, deployment, |deployment| {
        set(
            deployment,
            &["metadata", "annotations", REVISION],
            next.to_string(),
        );
    });
}

/// Annotations of a deployment that its replica sets do not get.
const NOT_COPIED: &[&str] = &[
    "kubectl.kubernetes.io/last-applied-configuration",
    "deployment.kubernetes.io/revision",
    "deployment.kubernetes.io/revision-history",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.deployment.rollback.to",
];

/// What replica sets are annotated with: the deployment's own, and its size.
fn own_annotations(deployment: &Value) -> Map<String, Value> {
    let mut copied = object::map(deployment, &["metadata", "annotations"])
        .cloned()
        .unwrap_or_default();
    copied.retain(|key, _| !NOT_COPIED.contains(&key.as_str()));
    let wanted = number(deployment, &["spec", "replicas"]).unwrap_or(1);
    let surge = &deployment["spec"]["strategy"]["rollingUpdate"]["maxSurge"];
    let most = wanted.saturating_add(disruption::share(surge, wanted));
    for (key, count) in [("desired-replicas", wanted), ("max-replicas", most)] {
        copied.insert(
            format!("deployment.kubernetes.io/{key}"),
            count.to_string().into(),
        );
    }
    copied
}

/// Keeps the annotations of the present replica set; one that comes back gets the newest revision.
fn annotate(pass: &Pass<'_>, deployment: &Object, current: &Object, newest: i64) {
    const HISTORY: &str = "deployment.kubernetes.io/revision-history";
    let wanted = own_annotations(deployment);
    let own = revision(current);
    pass.adjust(REPLICA_SETS, current, |object| {
        let annotations = object::map_mut(object, &["metadata", "annotations"]);
        annotations.extend(wanted);
        if own < newest {
            let before = annotations.get(HISTORY).and_then(Value::as_str);
            let history = before.map_or_else(|| own.to_string(), |text| format!("{text},{own}"));
            annotations.insert(HISTORY.to_owned(), history.into());
            annotations.insert(REVISION.to_owned(), (newest + 1).to_string().into());
        }
    });
}

/// A paused deployment keeps its replica sets, and their size, whatever its template says.
fn hold(pass: &Pass<'_>, deployment: &Object, owned: &[Object], wanted: i64) {
    if let Some(newest) = owned.iter().max_by_key(|set| revision(set)) {
        scale(pass, newest, wanted);
    }
    pass.adjust(DEPLOYMENTS, deployment, |object| {
        let generation = object["metadata"]["generation"].clone();
        set(object, &["status", "observedGeneration"], generation);
        object::remove(object, &["status", "updatedReplicas"]);
    });
}

fn scale(pass: &Pass<'_>, replica_set: &Object, replicas: i64) {
    pass.adjust(REPLICA_SETS, replica_set, |object| {
        set(object, &["spec", "replicas"], replicas);
    });
}

/// Forgets old replica sets beyond the history limit.
fn collect(pass: &Pass<'_>, deployment: &Object, old: &[&Object]) {
    let limit = number(deployment, &["spec", "revisionHistoryLimit"]).unwrap_or(10);
    let mut idle: Vec<&&Object> = old
        .iter()
        .filter(|set| number(set, &["status", "replicas"]).unwrap_or(0) == 0)
        .collect();
    idle.sort_by_key(|set| std::cmp::Reverse(revision(set)));
    for set in idle.into_iter().skip(usize::try_from(limit).unwrap_or(0)) {
        pass.delete(REPLICA_SETS, set);
    }
}

fn status(pass: &Pass<'_>, deployment: &Object, current: &Object, old: &[&Object]) {
    let count = |set: &Value, field: &str| {
        usize::try_from(number(set, &["status", field]).unwrap_or(0)).unwrap_or(0)
    };
    let sum = |field: &str| {
        count(current, field) + old.iter().map(|set| count(set, field)).sum::<usize>()
    };
    let wanted =
        usize::try_from(number(deployment, &["spec", "replicas"]).unwrap_or(1)).unwrap_or(0);
    let (total, serving, updated) = (
        sum("replicas"),
        sum("availableReplicas"),
        count(current, "replicas"),
    );
    let complete = updated == wanted && total == wanted && serving == wanted;
    pass.adjust(DEPLOYMENTS, deployment, |object| {
        let generation = object["metadata"]["generation"].clone();
        set(object, &["status", "observedGeneration"], generation);
        for (field, count) in [
            ("replicas", total),
            ("updatedReplicas", updated),
            ("readyReplicas", serving),
            ("availableReplicas", serving),
            (
                "unavailableReplicas",
                wanted.max(total).saturating_sub(serving),
            ),
        ] {
            counted(object, field, count);
        }
        if total == 0 {
            object::remove(object, &["status", "replicas"]);
        }
        if serving >= wanted {
            pass.set_condition(
                object,
                "Available",
                true,
                "MinimumReplicasAvailable",
                "Deployment has minimum availability.",
            );
        } else {
            pass.set_condition(
                object,
                "Available",
                false,
                "MinimumReplicasUnavailable",
                "Deployment does not have minimum availability.",
            );
        }
        let set_name = object::name(current);
        if complete {
            let message = format!("ReplicaSet \"{set_name}\" has successfully progressed.");
            pass.set_condition(
                object,
                "Progressing",
                true,
                "NewReplicaSetAvailable",
                &message,
            );
        } else {
            let message = format!("ReplicaSet \"{set_name}\" is progressing.");
            pass.set_condition(object, "Progressing", true, "ReplicaSetUpdated", &message);
        }
        let own = text(current, &["metadata", "annotations", REVISION])
            .unwrap_or("1")
            .to_owned();
        set(object, &["metadata", "annotations", REVISION], own);
    });
}
