//! Argo CD: what its server and application controller do once their pods run.
//!
//! The content of repositories is not simulated: an application that syncs has no resources.

use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Pass;
use crate::kubernetes::object::{self, Object, items, number, set, text};

const APPLICATIONS: &str = "argoproj.io/applications";
const PROJECTS: &str = "argoproj.io/appprojects";
const CASCADE: &str = "resources-finalizer.argocd.argoproj.io";

/// Cloning, rendering and syncing.
const SYNC: Duration = Duration::from_secs(15);

/// Deleting what an application made.
const CASCADE_LAG: Duration = Duration::from_secs(5);

/// One pass over all installations and applications.
pub(super) fn reconcile(pass: &mut Pass<'_>) {
    default_projects(pass);
    for application in pass.all(APPLICATIONS) {
        if !controller_works(pass, object::namespace(&application)) {
            continue;
        }
        if object::terminating(&application) {
            cascade(pass, &application);
        } else {
            sync(pass, &application);
        }
    }
}

fn serves(pass: &Pass<'_>, collection: &str, namespace: &str, name: &str) -> bool {
    let found = pass.get(collection, namespace, name);
    found.is_some_and(|object| number(&object, &["status", "readyReplicas"]).unwrap_or(0) > 0)
}

fn controller_works(pass: &Pass<'_>, namespace: &str) -> bool {
    serves(
        pass,
        "apps/statefulsets",
        namespace,
        "argocd-application-controller",
    ) && serves(pass, "apps/deployments", namespace, "argocd-repo-server")
}

/// The API server of Argo CD makes the project `default` when it starts.
fn default_projects(pass: &Pass<'_>) {
    for deployment in pass.all("apps/deployments") {
        let namespace = object::namespace(&deployment);
        if object::name(&deployment) == "argocd-server"
            && serves(pass, "apps/deployments", namespace, "argocd-server")
            && pass.get(PROJECTS, namespace, "default").is_none()
        {
            pass.create(json!({
                "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject",
                "metadata": {"name": "default", "namespace": namespace},
                "spec": {
                    "sourceRepos": ["*"],
                    "destinations": [{"namespace": "*", "server": "*"}],
                    "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
                },
            }));
        }
    }
}

/// What Argo CD's init containers do before a pod's own containers start: that of Redis makes the
/// password every other component mounts.
pub(super) fn init_containers(pass: &Pass<'_>, pod: &Value) {
    let makes_password = items(pod, &["spec", "initContainers"])
        .iter()
        .any(|container| {
            let mut words = items(container, &["command"])
                .iter()
                .chain(items(container, &["args"]));
            words.any(|word| word == "redis-initial-password")
        });
    let namespace = object::namespace(pod);
    if makes_password && pass.get("/secrets", namespace, "argocd-redis").is_none() {
        pass.create(json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "argocd-redis", "namespace": namespace},
            "stringData": {"auth": pass.server.rng.hex(16)},
        }));
    }
}

fn cascade(pass: &mut Pass<'_>, application: &Object) {
    let finalizers = items(application, &["metadata", "finalizers"]);
    if finalizers.iter().any(|finalizer| finalizer == CASCADE)
        && pass.due("cascade", application, CASCADE_LAG)
    {
        pass.adjust(APPLICATIONS, application, |application| {
            let mut left = items(application, &["metadata", "finalizers"]).to_vec();
            left.retain(|finalizer| finalizer != CASCADE);
            set(application, &["metadata", "finalizers"], left);
        });
    }
}

fn sync(pass: &mut Pass<'_>, application: &Object) {
    let project = text(application, &["spec", "project"]).unwrap_or("default");
    let known = pass
        .get(PROJECTS, object::namespace(application), project)
        .is_some();
    let repository = text(application, &["spec", "source", "repoURL"])
        .or_else(|| {
            items(application, &["spec", "sources"])
                .first()
                .and_then(|s| text(s, &["repoURL"]))
        })
        .unwrap_or_default();
    if !known || repository.is_empty() {
        let message = if known {
            "application spec is invalid: spec.source.repoURL is required".to_owned()
        } else {
            format!("Application referencing project {project} which does not exist")
        };
        let condition = json!([{"type": "InvalidSpecError", "message": message}]);
        pass.adjust(APPLICATIONS, application, |application| {
            set(application, &["status", "conditions"], condition);
            set(application, &["status", "sync", "status"], "Unknown");
            set(application, &["status", "health", "status"], "Unknown");
        });
        return;
    }
    // What was compared is part of the status, so a changed source is compared again.
    let compared = json!({
        "source": application["spec"]["source"], "destination": application["spec"]["destination"],
    });
    let same = object::at(application, &["status", "sync", "comparedTo"])
        .is_some_and(|old| object::without_empty(old) == object::without_empty(&compared));
    let automated =
        object::at(application, &["spec", "syncPolicy", "automated"]).is_some_and(|v| !v.is_null());
    let settled = text(application, &["status", "sync", "status"])
        == Some(if automated { "Synced" } else { "OutOfSync" });
    if (same && settled) || !pass.due("sync", application, SYNC) {
        return;
    }
    let now = pass.server.now();
    let revision = revision(
        repository,
        text(application, &["spec", "source", "targetRevision"]).unwrap_or("HEAD"),
    );
    pass.adjust(APPLICATIONS, application, |application| {
        object::remove(application, &["status", "conditions"]);
        set(application, &["status", "reconciledAt"], now.clone());
        set(application, &["status", "sourceType"], "Directory");
        set(application, &["status", "sync", "comparedTo"], compared);
        set(
            application,
            &["status", "sync", "revision"],
            revision.clone(),
        );
        // Without automation Argo CD only compares: everything in the repository is missing.
        let (sync, health) = if automated {
            ("Synced", "Healthy")
        } else {
            ("OutOfSync", "Missing")
        };
        set(application, &["status", "sync", "status"], sync);
        set(application, &["status", "health", "status"], health);
        if automated {
            set(
                application,
                &["status", "operationState"],
                operation(application, &revision, &now),
            );
        }
    });
}

fn operation(application: &Value, revision: &str, now: &str) -> Value {
    json!({
        "operation": {"sync": {"revision": revision}, "initiatedBy": {"automated": true}},
        "phase": "Succeeded",
        "message": "successfully synced (no more tasks)",
        "startedAt": now,
        "finishedAt": now,
        "syncResult": {"revision": revision, "source": application["spec"]["source"]},
    })
}

/// The commit a repository stands at: made up, but the same for the same question.
fn revision(repository: &str, target: &str) -> String {
    let digest = Sha256::digest(format!("{repository}@{target}"));
    digest
        .iter()
        .take(20)
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
