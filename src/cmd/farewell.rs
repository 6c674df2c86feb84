//! What a destroy does in a cluster that still answers, before anything of it goes: a last backup, where
//! somebody wants one; Argo CD suspended; what the cluster made in the account taken down by its own
//! controllers. Put on record like what the cluster made, so that it is shown, approved and journalled.

use crate::cmd::leavings::{ANSWER, Wishes, recorded};
use crate::cmd::session::Session;
use crate::compose::leavings::{FINAL_BACKUP, WIND_DOWN, has_resources, is_preparation, traces};
use crate::compose::{k3s, platform};
use crate::error::{Failure, Problem};
use crate::exit::Exit;
use kplan_model::{
    Address, Codec as _, ErrorKind, Input, Kind, ObjectCodec as _, ProviderError, Snapshot, Value,
};
use kplan_providers::digitalocean::LastLookArgs;
use kplan_providers::k3s::Access;
use kplan_providers::kubernetes::{
    FinalBackupArgs, Kept, Role, Targets, WindDownArgs, kept, targets,
};
use std::collections::BTreeSet;

/// The operation of Argo CD that an apply undoes where the cluster stays after all.
const SUSPEND: &str = "suspend";

/// A cluster that answers.
pub struct Reached {
    access: Access,
    targets: Targets,
    /// Whether Argo CD is on record.
    argocd: bool,
    /// Where Velero is on record: whether it backs volumes up.
    pub volumes: Option<bool>,
    /// What became of the last backup that an earlier destroy was to make.
    earlier: Option<Kept>,
}

/// Asks the cluster on record what is to be deleted in it; nothing where there is no cluster. `own` are
/// the ids of what goes with it.
///
/// # Errors
/// Those of the cluster's API; it is asked for a few seconds only.
pub async fn reach(
    session: &Session,
    snapshot: &Snapshot,
    own: &BTreeSet<String>,
    earlier: Option<&str>,
) -> Result<Option<Reached>, ProviderError> {
    let resources = &snapshot.resources;
    let record = resources.get(&k3s::cluster());
    let access = record.and_then(|record| record.attrs.get("access"));
    let Some(access) = access.and_then(|access| Access::decode(access).ok()) else {
        return Ok(None);
    };
    let cluster = session.adapters.clusters.session(&access, Role::Admin)?;
    let asking = async {
        let targets = targets(&cluster, own).await?;
        let earlier = match earlier {
            Some(name) => Some(kept(&cluster, name).await?),
            None => None,
        };
        Ok::<_, ProviderError>((targets, earlier))
    };
    let asked = tokio::time::timeout(ANSWER, asking).await;
    let (targets, earlier) = asked.map_err(|_| {
        let message = format!("it did not answer within {} s", ANSWER.as_secs());
        ProviderError::new(ErrorKind::Transient, message)
    })??;
    let velero = resources.get(&platform::velero());
    Ok(Some(Reached {
        access,
        targets,
        argocd: resources.contains_key(&platform::argocd()),
        volumes: velero.map(|record| record.args.get("volumes") == Some(&Value::Bool(true))),
        earlier,
    }))
}

/// What is decided about a last backup.
pub enum Backup {
    /// None is made.
    None,
    /// An earlier run made it.
    Made(String),
    /// It is made before anything else is done, or gone on with.
    Wanted(String),
    /// An earlier run made it, and it goes with all backups.
    Goes(String),
}

impl Backup {
    /// Decides, from what an earlier run went by, the cluster, and why it did not answer.
    ///
    /// # Errors
    /// `destroy::final_backup` where one is wanted and cannot be made.
    pub fn of(
        (last, reached, silent): (
            Option<&LastLookArgs>,
            Option<&Reached>,
            Option<&ProviderError>,
        ),
        snapshot: &Snapshot,
        wishes: Wishes,
    ) -> Result<Self, Failure> {
        let earlier = last.and_then(|last| last.final_backup.clone());
        let mut addresses = snapshot.resources.keys();
        let pending = addresses.any(|it| it.kind().as_str() == FINAL_BACKUP);
        let wanted = match (wishes.final_backup, &earlier) {
            (Some(false), Some(name)) if !pending => {
                let name = name.clone();
                let goes = wishes.delete_backups;
                return Ok(if goes {
                    Self::Goes(name)
                } else {
                    Self::Made(name)
                });
            }
            (Some(false), _) => return Ok(Self::None),
            // Who agreed to one meant that nothing goes without it, and that it stays.
            (_, Some(name)) if wishes.delete_backups => return Err(agreed_to(name, pending)),
            (_, Some(name)) if !pending => return Ok(Self::Made(name.clone())),
            (Some(true), _) => true,
            (None, earlier) => earlier.is_some(),
        };
        if !wanted {
            return Ok(Self::None);
        }
        let volumes = reached.and_then(|it| it.volumes);
        let Some(reached) = reached.filter(|_| volumes.is_some()) else {
            let why = match silent {
                Some(error) => format!("the cluster's API does not answer: {error}"),
                None => "there is no Velero on record that could make one".to_owned(),
            };
            return Err(impossible(&why));
        };
        let name = earlier.filter(|_| reached.earlier != Some(Kept::Broken));
        Ok(Self::Wanted(name.unwrap_or_else(|| {
            format!("kplan-final-{}-{}", snapshot.owner.suffix, snapshot.serial)
        })))
    }

    /// Its name.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::Made(name) | Self::Wanted(name) | Self::Goes(name) => Some(name),
        }
    }

    /// What is told of it besides its step.
    pub fn note(&self) -> Option<String> {
        match self {
            Self::Made(name) => Some(format!(
                "the last backup, {name}, was made by an earlier run of destroy"
            )),
            Self::Goes(name) => Some(format!(
                "the last backup, {name}, was made by an earlier run of destroy, and goes with all other \
                 backups (--delete-backups)"
            )),
            Self::None | Self::Wanted(_) => None,
        }
    }
}

/// The backups are to go, and with them one that somebody agreed to before.
fn agreed_to(name: &str, pending: bool) -> Failure {
    let made = if pending { "was to make" } else { "made" };
    let message = format!(
        "an earlier run of destroy {made} the last backup {name}, so that it stays, and --delete-backups \
         would take it"
    );
    let problem = Problem::error("destroy::final_backup", message).help(
        "nothing was destroyed; leave --delete-backups out, or add --final-backup=false to say that no \
         last backup is kept",
    );
    Failure::with(Exit::Refused, problem)
}

fn impossible(why: &str) -> Failure {
    let message = format!("no last backup can be made: {why}");
    let problem = Problem::error("destroy::final_backup", message).help(
        "nothing was destroyed; run destroy again when one can be made, or with --final-backup=false \
         to go without it",
    );
    Failure::with(Exit::Refused, problem)
}

/// Puts on record what is done in the cluster: first the last backup, then the rest, then everything
/// on record may go.
pub fn record(snapshot: &mut Snapshot, reached: &Reached, backup: &Backup) {
    if !has_resources(snapshot) {
        return;
    }
    let traces = traces();
    let resources = &mut snapshot.resources;
    let all = resources
        .keys()
        .chain(snapshot.deposed.iter().map(|it| &it.address));
    let all: BTreeSet<Address> = all
        .filter(|it| !is_preparation(it) && **it != traces)
        .cloned()
        .collect();
    let mut all: Vec<Address> = all.into_iter().collect();
    let access = || Input::Known(reached.access.clone());
    let texts = |objects: &[kplan_providers::kubernetes::object::Object]| {
        objects.iter().map(ToString::to_string).collect()
    };
    if reached.argocd || !reached.targets.deleted.is_empty() {
        let args = WindDownArgs {
            access: access(),
            suspends: reached.argocd,
            deleted: texts(&reached.targets.deleted),
            awaited: texts(&reached.targets.awaited),
        };
        let address = Address::new(Kind::new(WIND_DOWN), "main");
        let objects = (args.to_object(), kplan_model::Object::new());
        let wind_down = recorded(address.clone(), WIND_DOWN, objects, all.clone());
        resources.insert(address.clone(), wind_down);
        all.push(address);
        if let Some(argocd) = resources.get_mut(&platform::argocd()) {
            argocd.operations.insert(SUSPEND.to_owned());
        }
    }
    if let Backup::Wanted(name) = backup {
        let args = FinalBackupArgs {
            access: access(),
            name: name.clone(),
            volumes: reached.volumes == Some(true),
        };
        let address = Address::new(Kind::new(FINAL_BACKUP), "main");
        let objects = (args.to_object(), kplan_model::Object::new());
        let last = recorded(address.clone(), name, objects, all);
        resources.insert(address, last);
    }
}
