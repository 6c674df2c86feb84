//! A cluster that is being restored: what is on record says so, from before anything is made until
//! the backup is back.

use super::build::{Builder, address, to};
use super::k3s;
use kplan_model::{Address, Input, Meta, ObjectCodec as _, Snapshot, Status, Value};
use kplan_providers::kubernetes::RestoreArgs;
use kplan_providers::local::RestoreRequestArgs;

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

    /// The backup it is restored from.
    pub fn from(&self) -> Option<&str> {
        self.0.as_ref().map(|request| request.backup.as_str())
    }
}

/// Declares the wish and the restore, behind `after`; gives what has to come after it.
pub(super) fn declare(builder: &mut Builder<'_>, after: &[Address]) -> Option<Address> {
    let request_args = builder.inputs.restoring.0.clone()?;
    builder.add(request(), &request_args, None);
    let args = RestoreArgs {
        access: to(&k3s::cluster(), "access"),
        backup: Input::Known(request_args.backup.clone()),
        excluded_namespaces: request_args.excluded_namespaces.clone(),
        accept_partial: request_args.accept_partial,
    };
    let mut after = after.to_vec();
    after.push(request());
    let meta = Meta {
        inside: Some(k3s::cluster()),
        after,
        ..Meta::default()
    };
    Some(builder.add_with(restore(), &args, None, meta))
}

/// Whether Velero is to leave its bucket alone.
pub(super) fn is_under_way(builder: &Builder<'_>) -> Option<bool> {
    builder.inputs.restoring.0.is_some().then_some(true)
}
