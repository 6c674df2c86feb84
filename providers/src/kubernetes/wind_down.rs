//! `cluster_wind_down`: what happens in a cluster before its droplets go. Argo CD is suspended, so that
//! nothing comes back, and what the cluster's own controllers made in the account for is deleted, so
//! that they take it down themselves.
//!
//! It is help, and never a condition: a cluster that does not answer, or does not get on, holds nothing
//! up for longer than a few minutes. What is left goes after the droplets.

use super::connect::{Kubernetes, Role};
use super::object::Object;
use super::session::Session;
use super::suspend;
use crate::k3s::access::Access;
use kplan_model::{
    CreateFailed, ErrorKind, Field, FieldSet, Found, Input, Kind, KindInfo, Known,
    ObjectCodec as _, Permit, ProviderError, Readiness, ReplaceOrder, Resource, Typical, Wanted,
};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long the API may take to be told that Argo CD stops, and once more to be told everything else:
/// a part that is slow takes nothing from the next one's time.
const TELLING: Duration = Duration::from_secs(45);
/// How long Argo CD's controllers may take to stop: a pod has 30 s to end. After that everything else is
/// told all the same.
const STOPPING: Duration = Duration::from_secs(40);
/// Between two looks at them.
const PAUSE: Duration = Duration::from_secs(2);
/// How long the API may take to say what is still there.
const LOOK: Duration = Duration::from_secs(15);
/// How long the cluster's controllers are waited for: pods end in 30 s, volumes are detached and load
/// balancers deleted in less than a minute each.
const LIMIT: Duration = Duration::from_mins(3);
/// However fast the remote side's clock runs, they are programs on this one.
const LEAST: Duration = Duration::from_secs(10);
/// How many objects a sentence names.
const NAMED: usize = 4;

kplan_model::object! {
    /// What is done.
    pub struct WindDownArgs {
        /// How the cluster is reached.
        pub access: Input<Access>,
        /// Whether Argo CD is suspended.
        pub suspends: bool,
        /// Objects that are deleted, in their order.
        pub deleted: Vec<String>,
        /// Objects that are waited for.
        pub awaited: Vec<String>,
    }
}

kplan_model::object! {
    /// How far it is.
    pub struct WindDownAttrs {
        /// What it waits for; nothing where nothing more is waited for.
        pub waiting: Option<String>,
    }
}

static FIELDS: &[Field] = &[
    Field::ignored("access", "How the cluster is reached.").secret(),
    Field::ignored("suspends", "Whether Argo CD is suspended."),
    Field::ignored("deleted", "Objects that are deleted, in their order."),
    Field::ignored("awaited", "Objects that are waited for."),
    Field::computed("waiting", "What it waits for."),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("cluster_wind_down"),
    terraform: "kplan_cluster_wind_down",
    doc: "What `destroy` does in the cluster before anything of it goes: Argo CD is suspended; Services \
          of type LoadBalancer, and claims with what holds them, are deleted.",
    fields: FIELDS,
    replace: ReplaceOrder::DeleteFirst,
    identity: &[],
    holds: None,
    // Pods end, volumes are detached and deleted.
    typical: Typical {
        create: 1,
        update: 1,
        delete: 20,
    },
    max_parallel: 1,
    alike: &[],
    import: None,
    operations: &[],
};

/// What is to be said once everything is over. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Remarks(Arc<Mutex<Vec<String>>>);

impl Remarks {
    /// Keeps one for the end.
    pub fn keep(&self, remark: String) {
        self.said().push(remark);
    }

    /// All of them, which are kept no longer.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.said())
    }

    fn said(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far this run is with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    NotBegun,
    Since(Instant),
    Over,
}

/// The kind.
pub struct WindDown {
    kubernetes: Kubernetes,
    remarks: Remarks,
    progress: Mutex<Progress>,
}

impl WindDown {
    /// Over connections; what did not work is kept for the end.
    pub fn new(kubernetes: Kubernetes, remarks: Remarks) -> Self {
        Self {
            kubernetes,
            remarks,
            progress: Mutex::new(Progress::NotBegun),
        }
    }

    fn progress(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A time of the cluster's, though never too short for a program on this machine.
    fn limit(&self, cloud: Duration) -> Duration {
        self.kubernetes.scaled(cloud).max(LEAST)
    }

    /// Ends it with a remark: everything else goes on.
    fn give_up(&self, why: &str) {
        self.remarks.keep(format!(
            "{why}; what the cluster made was destroyed after its droplets instead"
        ));
        *self.progress() = Progress::Over;
    }

    fn session(&self, args: &WindDownArgs) -> Result<Session, ProviderError> {
        self.kubernetes.session(args.access.known()?, Role::Admin)
    }

    async fn tell(
        &self,
        session: &Session,
        args: &WindDownArgs,
        permit: &Permit,
    ) -> Result<(), ProviderError> {
        if args.suspends {
            in_time(suspend::suspend(session, permit)).await?;
            if !args.deleted.is_empty() {
                self.stopped(session).await;
            }
        }
        in_time(async {
            for object in args.deleted.iter().filter_map(|text| Object::parse(text)) {
                session.delete(permit, &object).await?;
            }
            Ok(())
        })
        .await
    }

    /// Waits for Argo CD's controllers, for a while: what is deleted while they still work, they may bring
    /// back. What comes back goes after the droplets.
    async fn stopped(&self, session: &Session) {
        let looking = async {
            while suspend::running(session)
                .await
                .is_ok_and(|it| !it.is_empty())
            {
                self.kubernetes.pause(PAUSE).await;
            }
        };
        // Bounded by the time alone: each look in it asks for two objects.
        drop(tokio::time::timeout(self.limit(STOPPING), looking).await);
    }

    /// Objects that are still there.
    async fn left(&self, args: &WindDownArgs) -> Result<Vec<String>, ProviderError> {
        let session = self.session(args)?;
        let mut left = Vec::new();
        for object in args.awaited.iter().filter_map(|text| Object::parse(text)) {
            if session.get(&object).await?.is_some() {
                left.push(named(&object));
            }
        }
        Ok(left)
    }

    /// What is still waited for; nothing where it is over.
    async fn waiting(&self, args: &WindDownArgs) -> Option<String> {
        let since = match *self.progress() {
            Progress::NotBegun => return Some("it has not begun".to_owned()),
            Progress::Since(since) => since,
            Progress::Over => return None,
        };
        let left = tokio::time::timeout(LOOK, self.left(args)).await;
        let waiting = match left {
            Ok(Ok(left)) if left.is_empty() => {
                *self.progress() = Progress::Over;
                return None;
            }
            Ok(Ok(left)) => some(&left),
            Ok(Err(error)) => format!("the cluster's API: {error}"),
            Err(_) => "the cluster's API does not answer".to_owned(),
        };
        let limit = self.limit(LIMIT);
        if since.elapsed() < limit {
            return Some(waiting);
        }
        self.give_up(&format!(
            "cluster_wind_down: the cluster's own controllers did not take down in time what they \
             made, still waiting for {waiting}"
        ));
        None
    }
}

/// What the API is told, unless it takes too long.
async fn in_time(
    telling: impl Future<Output = Result<(), ProviderError>>,
) -> Result<(), ProviderError> {
    let told = tokio::time::timeout(TELLING, telling).await;
    told.unwrap_or_else(|_| {
        let seconds = TELLING.as_secs();
        let message = format!("the cluster's API did not answer within {seconds} s");
        Err(ProviderError::new(ErrorKind::Transient, message))
    })
}

/// The first of them, and how many more there are.
fn some(all: &[String]) -> String {
    let first = all.iter().take(NAMED).cloned().collect::<Vec<_>>();
    let more = all.len().saturating_sub(NAMED);
    let first = first.join(", ");
    if more == 0 {
        first
    } else {
        format!("{first} and {more} more")
    }
}

/// As people call it: `Service shop/web`.
pub fn named(object: &Object) -> String {
    let kind = match object.of.kind.as_str() {
        "PersistentVolumeClaim" => "claim",
        kind => kind,
    };
    match &object.namespace {
        Some(namespace) => format!("{kind} {namespace}/{}", object.name),
        None => format!("{kind} {}", object.name),
    }
}

fn only_destroyed(address: &kplan_model::Address) -> ProviderError {
    let message = format!("{address} is done once, by destroy");
    ProviderError::new(ErrorKind::Bug, message)
}

impl Resource for WindDown {
    type Args = WindDownArgs;
    type Attrs = WindDownAttrs;
    const INFO: &'static KindInfo = &INFO;

    async fn read(&self, known: &Known) -> Result<Option<WindDownAttrs>, ProviderError> {
        let args = WindDownArgs::from_object(&known.args)?;
        let waiting = self.waiting(&args).await;
        Ok(Some(WindDownAttrs { waiting }))
    }

    async fn find(
        &self,
        _wanted: Wanted<'_, WindDownArgs>,
    ) -> Result<Vec<Found<WindDownAttrs>>, ProviderError> {
        Ok(Vec::new())
    }

    async fn create(
        &self,
        wanted: Wanted<'_, WindDownArgs>,
        _permit: &Permit,
    ) -> Result<Found<WindDownAttrs>, CreateFailed<WindDownAttrs>> {
        Err(only_destroyed(wanted.address).into())
    }

    async fn update(
        &self,
        known: &Known,
        _args: &WindDownArgs,
        _changed: &FieldSet,
        _permit: &Permit,
    ) -> Result<WindDownAttrs, ProviderError> {
        Err(only_destroyed(&known.address))
    }

    /// Never fails for what the cluster says or does not say.
    async fn delete(&self, known: &Known, permit: &Permit) -> Result<(), ProviderError> {
        let args = WindDownArgs::from_object(&known.args)?;
        let told = match self.session(&args) {
            Ok(session) => self.tell(&session, &args, permit).await,
            Err(error) => Err(error),
        };
        match told {
            // The controllers have their time from when they were told.
            Ok(()) => *self.progress() = Progress::Since(Instant::now()),
            Err(error) => self.give_up(&format!("cluster_wind_down: {error}")),
        }
        Ok(())
    }

    fn going(&self, attrs: &WindDownAttrs) -> Readiness {
        match &attrs.waiting {
            None => Readiness::Ready,
            Some(why) => Readiness::Waiting(why.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::permit;
    use crate::kubernetes::testing::Fake;
    use serde_json::json;

    /// A cluster that takes three seconds for each answer, with an Argo CD that never stops.
    fn slow() -> Fake {
        let fake = Fake::new(|asked| match asked.method.as_str() {
            "GET" if asked.path.contains("/namespaces/argocd/") => Some((
                200,
                json!({
                    "apiVersion": "apps/v1", "kind": "Deployment",
                    "metadata": { "name": "it", "namespace": "argocd", "uid": "u" },
                    "spec": { "replicas": 1 }, "status": { "replicas": 1 },
                }),
            )),
            _ => Some((200, json!({ "kind": "Status", "status": "Success" }))),
        });
        fake.slow(Duration::from_secs(3))
    }

    #[tokio::test(start_paused = true)]
    async fn an_argo_cd_that_does_not_stop_takes_no_time_from_the_rest() {
        let fake = slow();
        let down = WindDown::new(fake.kubernetes(), Remarks::default());
        let service = Object::new("v1", "Service", Some("shop"), "web");
        let args = WindDownArgs {
            access: Input::Unknown,
            suspends: true,
            deleted: vec![service.to_string()],
            awaited: vec![service.to_string()],
        };
        let told = down.tell(&fake.session(), &args, &permit()).await;
        assert_eq!(told, Ok(()));
        let asked = fake.asked();
        let deleted = asked
            .iter()
            .any(|it| it.starts_with("DELETE ") && it.contains("/services/web"));
        assert!(deleted, "{asked:?}");
    }
}
