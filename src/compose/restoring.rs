//! A cluster that is being restored: what is on record says so, from before anything is made until
//! the backup is back.

use super::build::{Builder, address, to};
use super::k3s;
use kplan_model::{
    Action, Address, Input, Meta, ObjectCodec as _, Plan, Recorded, RemoteId, Snapshot, Status,
    Timestamp, Value,
};
use kplan_providers::digitalocean::{SpacesGrant, SpacesKeyArgs};
use kplan_providers::kubernetes::{Applied, RestoreArgs, VeleroSourceArgs, velero_source};
use kplan_providers::local::{RestoreRequestArgs, RestoreRequestAttrs, RestoreSource};
use std::collections::BTreeSet;

/// See the module. The default is a cluster that is not.
#[derive(Clone, Debug, Default)]
pub struct Restoring(Option<RestoreRequestArgs>);

/// The other cluster's bucket in this cluster's Velero.
pub fn source() -> Address {
    address("velero_source", "main")
}

/// The key that opens the other cluster's bucket.
pub fn source_key() -> Address {
    address("spaces_key", "source")
}

/// That it is wanted.
pub fn request() -> Address {
    address("restore_request", "main")
}

/// The restore itself.
pub fn restore() -> Address {
    address("velero_restore", "main")
}

impl Restoring {
    /// By the record: wanted, and not done yet.
    pub fn of(snapshot: &Snapshot) -> Self {
        let done = snapshot.resources.get(&restore()).is_some_and(|record| {
            let whole = record.attrs.get("waiting").is_none_or(Value::is_null)
                && record.attrs.get("failed").is_none_or(Value::is_null);
            record.status == Status::Ready && whole
        });
        Self(Self::asked(snapshot).filter(|_| !done))
    }

    /// The wish on record, fulfilled or not: a fulfilled one goes when the rest of the cluster is
    /// there, too.
    pub fn asked(snapshot: &Snapshot) -> Option<RestoreRequestArgs> {
        let record = snapshot.resources.get(&request())?;
        RestoreRequestArgs::from_object(&record.args).ok()
    }

    /// The wish that is not fulfilled yet.
    pub fn wish(&self) -> Option<&RestoreRequestArgs> {
        self.0.as_ref()
    }

    /// Whether it ends with a plan: nothing in it but Velero writing again, and what was only for
    /// the time of the restore going.
    pub fn is_end(plan: &Plan) -> bool {
        plan.steps.iter().all(|step| {
            let velero = step.address == super::platform::velero();
            let own = [request(), restore(), source(), source_key()].contains(&step.address);
            let kept = super::platform::kept_from_git().contains(&step.address);
            match step.action {
                Action::Update => velero,
                Action::Delete => own,
                Action::Record | Action::Forget => true,
                // What it restored with is Argo CD's from now on.
                Action::Create => kept,
                Action::Operate => false,
            }
        })
    }
}

/// What is on record of a wish: it goes before the restore does, so that one that was fulfilled is
/// never taken for one that was not.
pub fn wish(args: &RestoreRequestArgs, at: Timestamp) -> Recorded {
    let attrs = RestoreRequestAttrs {
        backup: args.backup.clone(),
    };
    Recorded {
        address: request(),
        id: RemoteId::new(args.backup.clone()),
        args: args.to_object(),
        attrs: attrs.to_object(),
        meta: meta_of_wish(),
        depends_on: vec![restore()],
        status: Status::Ready,
        created_at: at,
        operations: BTreeSet::new(),
        version: 1,
    }
}

fn meta_of_wish() -> Meta {
    Meta {
        after: vec![restore()],
        ..Meta::default()
    }
}

/// Declares the wish and the restore, behind `after`; gives what has to come after it.
pub(super) fn declare(builder: &mut Builder<'_>, after: &[Address]) -> Option<Address> {
    let wish = builder.inputs.restoring.0.clone()?;
    let mut args = RestoreArgs {
        access: to(&k3s::cluster(), "access"),
        backup: Input::Known(wish.backup.clone()),
        excluded_namespaces: wish.excluded_namespaces.clone(),
        accept_partial: wish.accept_partial,
        location: None,
        name: None,
    };
    let mut after = after.to_vec();
    if let Some(wanted) = &wish.source {
        // Velero writes beside the backup what it did, under this name: no other cluster's.
        let owner = builder.inputs.owner.id();
        args.name = Some(format!("kplan-{owner}-{}", wish.backup));
        args.location = Some(velero_source::LOCATION.to_owned());
        after.push(declare_source(builder, wanted, &after));
    }
    let restore = builder.add_with(restore(), &args, None, inside(after));
    builder.add_with(request(), &wish, None, meta_of_wish());
    Some(restore)
}

fn inside(after: Vec<Address>) -> Meta {
    Meta {
        inside: Some(k3s::cluster()),
        after,
        ..Meta::default()
    }
}

/// Declares the bucket of the cluster this one is a copy of, and a key for it that goes with it. It
/// has to write: see `velero_source`.
fn declare_source(builder: &mut Builder<'_>, wanted: &RestoreSource, after: &[Address]) -> Address {
    let keys = match (&wanted.access_key, &wanted.secret_key) {
        (Some(access_key), Some(secret_key)) => (
            Input::Known(access_key.clone()),
            Input::Known(secret_key.clone()),
        ),
        _ => {
            let key = SpacesKeyArgs {
                name: format!("{}-source", builder.inputs.owner.id()),
                grant: vec![SpacesGrant {
                    bucket: Input::Known(wanted.bucket.clone()),
                    permission: "readwrite".to_owned(),
                }],
            };
            builder.add(source_key(), &key, None);
            (
                to(&source_key(), "access_key"),
                to(&source_key(), "secret_key"),
            )
        }
    };
    let args = VeleroSourceArgs {
        access: to(&k3s::cluster(), "access"),
        objects: Applied,
        bucket: wanted.bucket.clone(),
        prefix: wanted.prefix.clone(),
        region: wanted.region.clone(),
        endpoint: wanted.endpoint.clone(),
        access_key: keys.0,
        secret_key: keys.1,
    };
    builder.add_with(source(), &args, None, inside(after.to_vec()))
}

/// Whether it is wanted and not done yet.
pub(super) fn is_wanted(builder: &Builder<'_>) -> bool {
    builder.inputs.restoring.0.is_some()
}

/// Whether Velero is to leave its bucket alone.
pub(super) fn is_under_way(builder: &Builder<'_>) -> Option<bool> {
    is_wanted(builder).then_some(true)
}
