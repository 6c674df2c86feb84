//! A cluster that is being restored: what is on record says so, from before anything is made until
//! the backup is back.

use super::build::{Builder, address, to};
use super::k3s;
use kplan_model::{
    Action, Address, Input, Meta, ObjectCodec as _, Plan, Recorded, RemoteId, Snapshot, Status,
    Timestamp, Value,
};
use kplan_providers::kubernetes::RestoreArgs;
use kplan_providers::local::{RestoreRequestArgs, RestoreRequestAttrs};
use std::collections::BTreeSet;

/// See the module. The default is a cluster that is not.
#[derive(Clone, Debug, Default)]
pub struct Restoring(Option<RestoreRequestArgs>);

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
        let wanted = snapshot.resources.get(&request()).filter(|_| !done);
        Self(wanted.and_then(|record| RestoreRequestArgs::from_object(&record.args).ok()))
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
            let own = step.address == request() || step.address == restore();
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
    let args = RestoreArgs {
        access: to(&k3s::cluster(), "access"),
        backup: Input::Known(wish.backup.clone()),
        excluded_namespaces: wish.excluded_namespaces.clone(),
        accept_partial: wish.accept_partial,
    };
    let meta = Meta {
        inside: Some(k3s::cluster()),
        after: after.to_vec(),
        ..Meta::default()
    };
    let restore = builder.add_with(restore(), &args, None, meta);
    builder.add_with(request(), &wish, None, meta_of_wish());
    Some(restore)
}

/// Whether it is wanted and not done yet.
pub(super) fn is_wanted(builder: &Builder<'_>) -> bool {
    builder.inputs.restoring.0.is_some()
}

/// Whether Velero is to leave its bucket alone.
pub(super) fn is_under_way(builder: &Builder<'_>) -> Option<bool> {
    is_wanted(builder).then_some(true)
}
