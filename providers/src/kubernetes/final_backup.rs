//! `cluster_final_backup`: one last backup of a cluster before it is destroyed. Unless it is whole,
//! nothing is destroyed.

use super::connect::{Kubernetes, Role};
use super::object::Object;
use super::session::{Ownership, Session};
use super::velero::NAMESPACE;
use crate::k3s::access::Access;
use kplan_model::{
    CreateFailed, ErrorKind, Field, FieldSet, Found, Input, Kind, KindInfo, Known,
    ObjectCodec as _, Permit, ProviderError, Readiness, ReplaceOrder, Resource, Typical, Wanted,
};
use serde_json::{Value, json};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

const API: &str = "velero.io/v1";
/// How long Velero keeps it: nobody makes another one of this cluster. Ten years.
const TTL: &str = "87600h0m0s";
/// How long the API may take to be told.
const TELLING: Duration = Duration::from_secs(45);
/// How long it may take to say how far Velero is.
const LOOK: Duration = Duration::from_secs(15);
/// How long Velero is waited for in one run: less than the 30 minutes the engine waits for anything, so
/// that it is said what was waited for. Velero goes on; the next run waits on.
const LIMIT: Duration = Duration::from_mins(25);
/// What to do where it is not whole.
const WAY_ON: &str = "nothing was destroyed. Run destroy again with --final-backup to make another \
                      one, or with --final-backup=false to go without it";

kplan_model::object! {
    /// What is asked for.
    pub struct FinalBackupArgs {
        /// How the cluster is reached.
        pub access: Input<Access>,
        /// Its name.
        pub name: String,
        /// Whether what is in volumes is copied into the bucket too.
        pub volumes: bool,
    }
}

kplan_model::object! {
    /// How far it is.
    pub struct FinalBackupAttrs {
        /// What it waits for; nothing where it is whole.
        pub waiting: Option<String>,
        /// Why it never will be.
        pub failed: Option<String>,
    }
}

static FIELDS: &[Field] = &[
    Field::ignored("access", "How the cluster is reached.").secret(),
    Field::ignored("name", "Its name."),
    Field::ignored("volumes", "Whether what is in volumes is backed up too."),
    Field::computed("waiting", "What it waits for."),
    Field::computed("failed", "Why it never will be whole."),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("cluster_final_backup"),
    terraform: "kplan_cluster_final_backup",
    doc: "The last backup, which `destroy --final-backup` makes before it destroys anything.",
    fields: FIELDS,
    replace: ReplaceOrder::DeleteFirst,
    identity: &[],
    holds: None,
    // What a small cluster takes.
    typical: Typical {
        create: 1,
        update: 1,
        delete: 30,
    },
    max_parallel: 1,
    alike: &[],
    import: None,
    operations: &[],
};

/// The kind.
pub struct FinalBackup {
    kubernetes: Kubernetes,
    /// Since when this run waits for it.
    since: Mutex<Option<Instant>>,
}

/// What is known of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The cluster has none of that name.
    Absent,
    /// Velero works on it.
    UnderWay,
    /// It is whole.
    Whole,
    /// It is not, and never will be.
    Broken,
}

fn object(name: &str) -> Object {
    Object::new(API, "Backup", Some(NAMESPACE), name)
}

/// What is known of the backup of that name.
///
/// # Errors
/// Those of the cluster's API.
pub async fn kept(session: &Session, name: &str) -> Result<Kept, ProviderError> {
    let Some(seen) = session.get(&object(name)).await? else {
        return Ok(Kept::Absent);
    };
    Ok(match phase(&seen) {
        "Completed" => Kept::Whole,
        "Failed" | "FailedValidation" | "PartiallyFailed" | "Deleting" => Kept::Broken,
        _ => Kept::UnderWay,
    })
}

fn phase(seen: &Value) -> &str {
    let phase = seen.pointer("/status/phase").and_then(Value::as_str);
    phase.filter(|it| !it.is_empty()).unwrap_or("New")
}

fn backup(args: &FinalBackupArgs) -> Value {
    json!({
        "apiVersion": API,
        "kind": "Backup",
        "metadata": { "name": args.name, "namespace": NAMESPACE },
        "spec": {
            "ttl": TTL,
            "storageLocation": "default",
            "snapshotMoveData": args.volumes,
        },
    })
}

/// How far it is, as the cluster shows it.
fn attrs_of(seen: &Value) -> FinalBackupAttrs {
    let number = |path: &str| seen.pointer(path).and_then(Value::as_i64).unwrap_or(0);
    let (mut waiting, mut failed) = (None, None);
    match phase(seen) {
        "Completed" => {}
        "PartiallyFailed" => {
            failed = Some(format!(
                "Velero could not back up everything ({} errors)",
                number("/status/errors")
            ));
        }
        phase @ ("Failed" | "FailedValidation" | "Deleting") => {
            let why = seen
                .pointer("/status/failureReason")
                .and_then(Value::as_str);
            let errors = seen.pointer("/status/validationErrors");
            let errors = errors.and_then(Value::as_array).into_iter().flatten();
            let why: Vec<&str> = why
                .into_iter()
                .chain(errors.filter_map(Value::as_str))
                .collect();
            failed = Some(format!("Velero says {phase}: {}", why.join("; ")));
        }
        phase => {
            waiting = Some(format!(
                "Velero says {phase}: {} of {} objects",
                number("/status/progress/itemsBackedUp"),
                number("/status/progress/totalItems"),
            ));
        }
    }
    FinalBackupAttrs { waiting, failed }
}

fn waiting(why: String) -> FinalBackupAttrs {
    FinalBackupAttrs {
        waiting: Some(why),
        failed: None,
    }
}

fn broken(why: &str) -> FinalBackupAttrs {
    FinalBackupAttrs {
        waiting: None,
        failed: Some(why.to_owned()),
    }
}

impl FinalBackup {
    /// Over connections.
    pub fn new(kubernetes: Kubernetes) -> Self {
        Self {
            kubernetes,
            since: Mutex::default(),
        }
    }

    fn session(&self, args: &FinalBackupArgs) -> Result<Session, ProviderError> {
        self.kubernetes.session(args.access.known()?, Role::Admin)
    }

    async fn look(&self, args: &FinalBackupArgs) -> Result<FinalBackupAttrs, ProviderError> {
        let seen = self.session(args)?.get(&object(&args.name)).await?;
        Ok(seen.map_or_else(|| broken("somebody deleted it"), |seen| attrs_of(&seen)))
    }

    async fn seen(&self, args: &FinalBackupArgs) -> FinalBackupAttrs {
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(since) = since else {
            return waiting("it has not begun".to_owned());
        };
        let attrs = match tokio::time::timeout(LOOK, self.look(args)).await {
            Ok(Ok(attrs)) => attrs,
            Ok(Err(error)) => waiting(format!("the cluster's API: {error}")),
            Err(_) => waiting("the cluster's API does not answer".to_owned()),
        };
        match &attrs.waiting {
            Some(why) if since.elapsed() >= LIMIT => broken(&format!(
                "it was not done after {} minutes ({why}); Velero goes on with it",
                LIMIT.as_secs() / 60
            )),
            _ => attrs,
        }
    }
}

fn only_made(address: &kplan_model::Address) -> ProviderError {
    let message = format!("{address} is made once, by destroy");
    ProviderError::new(ErrorKind::Bug, message)
}

impl Resource for FinalBackup {
    type Args = FinalBackupArgs;
    type Attrs = FinalBackupAttrs;
    const INFO: &'static KindInfo = &INFO;

    async fn read(&self, known: &Known) -> Result<Option<FinalBackupAttrs>, ProviderError> {
        let args = FinalBackupArgs::from_object(&known.args)?;
        Ok(Some(self.seen(&args).await))
    }

    async fn find(
        &self,
        _wanted: Wanted<'_, FinalBackupArgs>,
    ) -> Result<Vec<Found<FinalBackupAttrs>>, ProviderError> {
        Ok(Vec::new())
    }

    async fn create(
        &self,
        wanted: Wanted<'_, FinalBackupArgs>,
        _permit: &Permit,
    ) -> Result<Found<FinalBackupAttrs>, CreateFailed<FinalBackupAttrs>> {
        Err(only_made(wanted.address).into())
    }

    async fn update(
        &self,
        known: &Known,
        _args: &FinalBackupArgs,
        _changed: &FieldSet,
        _permit: &Permit,
    ) -> Result<FinalBackupAttrs, ProviderError> {
        Err(only_made(&known.address))
    }

    /// Begins it. One that an earlier run began is waited for.
    async fn delete(&self, known: &Known, permit: &Permit) -> Result<(), ProviderError> {
        let args = FinalBackupArgs::from_object(&known.args)?;
        let wanted = backup(&args);
        let telling = async {
            let session = self.session(&args)?;
            session.apply(permit, &wanted, Ownership::Take).await
        };
        let told = match tokio::time::timeout(TELLING, telling).await {
            Ok(told) => told.map(drop).map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {} s", TELLING.as_secs())),
        };
        if let Err(why) = told {
            let message = format!("the last backup {} could not be begun: {why}", args.name);
            return Err(ProviderError::new(ErrorKind::Failed, message).help(WAY_ON));
        }
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Ok(())
    }

    fn going(&self, attrs: &FinalBackupAttrs) -> Readiness {
        match (&attrs.failed, &attrs.waiting) {
            (Some(why), _) => {
                Readiness::Failed(format!("the last backup is not whole: {why}; {WAY_ON}"))
            }
            (None, Some(why)) => Readiness::Waiting(why.clone()),
            (None, None) => Readiness::Ready,
        }
    }
}
