//! Argo CD suspended: its controllers stop, so that it brings nothing from Git again while a cluster
//! is destroyed; and resumed, where the cluster stays after all.
//!
//! Stopped are the controllers and not the Applications: an Application that Argo CD brings itself
//! would be put back by the one above it.

use super::argocd::NAMESPACE;
use super::connect::{Kubernetes, Role};
use super::object::Object;
use super::session::Session;
use crate::k3s::access::Access;
use kplan_model::{
    BoxFuture, Codec as _, ErrorKind, Kind, Known, Operation, OperationInfo, Permit, ProviderError,
    Readiness, UndoInfo,
};
use serde_json::{Value, json};

static ARGOCD: Kind = Kind::new("argocd");

/// The table's entry.
pub(super) const SUSPEND: OperationInfo = OperationInfo {
    name: "suspend",
    doing: "Suspending",
    doc: "brings nothing from Git any more",
    undo: Some(UndoInfo {
        name: "resume",
        doing: "Resuming",
        doc: "brings from Git again",
    }),
    needs_peer: false,
    of_destroy: true,
    only: None,
};

/// How many replicas a controller had.
const REPLICAS: &str = "kplan.dev/replicas";
/// What syncs Applications, and what makes Applications of sets.
const CONTROLLERS: [(&str, &str); 2] = [
    ("StatefulSet", "argocd-application-controller"),
    ("Deployment", "argocd-applicationset-controller"),
];

fn controllers() -> impl Iterator<Item = Object> {
    CONTROLLERS
        .into_iter()
        .map(|(kind, name)| Object::new("apps/v1", kind, Some(NAMESPACE), name))
}

/// Whether an object is a controller that was stopped here, and starts again as it was.
pub(super) fn is_suspended(object: &Value) -> bool {
    object["metadata"]["annotations"][REPLICAS].is_string()
}

/// Stops its controllers. Those that are stopped already stay as they are.
///
/// # Errors
/// Those of the cluster's API.
pub(super) async fn suspend(session: &Session, permit: &Permit) -> Result<(), ProviderError> {
    for object in controllers() {
        let Some(seen) = session.get(&object).await? else {
            continue;
        };
        let replicas = seen.pointer("/spec/replicas").and_then(Value::as_i64);
        let replicas = replicas.unwrap_or(1);
        if replicas > 0 {
            let patch = json!({
                "metadata": { "annotations": { REPLICAS: replicas.to_string() } },
                "spec": { "replicas": 0 },
            });
            session.merge(permit, &object, &patch).await?;
        }
    }
    Ok(())
}

/// Which of its controllers still run.
///
/// # Errors
/// Those of the cluster's API.
pub(super) async fn running(session: &Session) -> Result<Vec<String>, ProviderError> {
    let mut running = Vec::new();
    for object in controllers() {
        let seen = session.get(&object).await?;
        let replicas = seen.as_ref().and_then(|it| it.pointer("/status/replicas"));
        if replicas.and_then(Value::as_i64).unwrap_or(0) > 0 {
            running.push(object.name);
        }
    }
    Ok(running)
}

/// The controllers that were stopped here, each with the replicas it had.
async fn stopped(session: &Session) -> Result<Vec<(Object, i64)>, ProviderError> {
    let mut stopped = Vec::new();
    for object in controllers() {
        let seen = session.get(&object).await?;
        let all = seen
            .as_ref()
            .and_then(|it| it.pointer("/metadata/annotations"));
        let replicas = all.and_then(|all| all.get(REPLICAS)?.as_str()?.parse().ok());
        stopped.extend(replicas.map(|replicas| (object, replicas)));
    }
    Ok(stopped)
}

async fn resume(session: &Session, permit: &Permit) -> Result<(), ProviderError> {
    for (object, replicas) in stopped(session).await? {
        let patch = json!({
            "metadata": { "annotations": { REPLICAS: null } },
            "spec": { "replicas": replicas },
        });
        session.merge(permit, &object, &patch).await?;
    }
    Ok(())
}

/// `suspend`.
pub struct Suspend(pub Kubernetes);

/// `resume`.
pub struct Resume(pub Kubernetes);

fn session_of(kubernetes: &Kubernetes, known: &Known) -> Result<Session, ProviderError> {
    let access = known.args.get("access").map(Access::decode);
    let Some(Ok(access)) = access else {
        let message = "its record does not say how its cluster is reached";
        return Err(ProviderError::new(ErrorKind::Invalid, message));
    };
    kubernetes.session(&access, Role::Admin)
}

impl Operation for Suspend {
    fn kind(&self) -> &'static Kind {
        &ARGOCD
    }

    fn name(&self) -> &'static str {
        SUSPEND.name
    }

    fn done<'a>(&'a self, known: &'a Known) -> BoxFuture<'a, Result<Readiness, ProviderError>> {
        Box::pin(async move {
            let running = running(&session_of(&self.0, known)?).await?;
            Ok(if running.is_empty() {
                Readiness::Ready
            } else {
                Readiness::Waiting(format!("{} still runs", running.join(", ")))
            })
        })
    }

    fn run<'a>(
        &'a self,
        known: &'a Known,
        permit: &'a Permit,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(async move { suspend(&session_of(&self.0, known)?, permit).await })
    }
}

impl Operation for Resume {
    fn kind(&self) -> &'static Kind {
        &ARGOCD
    }

    fn name(&self) -> &'static str {
        "resume"
    }

    /// What Argo CD does once its controllers are there again is not waited for.
    fn done<'a>(&'a self, known: &'a Known) -> BoxFuture<'a, Result<Readiness, ProviderError>> {
        Box::pin(async move {
            let stopped = stopped(&session_of(&self.0, known)?).await?;
            Ok(if stopped.is_empty() {
                Readiness::Ready
            } else {
                Readiness::Waiting("its controllers are stopped".to_owned())
            })
        })
    }

    fn run<'a>(
        &'a self,
        known: &'a Known,
        permit: &'a Permit,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(async move { resume(&session_of(&self.0, known)?, permit).await })
    }
}
