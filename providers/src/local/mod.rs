//! Kinds that exist in the state alone: nothing remote corresponds to them, so what is on record is
//! all there is.

mod kept;
mod restore_request;
mod rotation;
mod sealing_key;

use kplan_model::{Known, ObjectCodec, ProviderError, RemoteId};
use std::collections::BTreeMap;

pub use kept::{
    Kept, Login, Made, RandomPasswordArgs, RandomPasswordAttrs, Repository, Signing,
    SigningKeyAttrs,
};

pub use restore_request::{
    EtcdSnapshot, RestoreRequest, RestoreRequestArgs, RestoreRequestAttrs, RestoreSource,
};
pub use rotation::{Rotation, RotationArgs, RotationAttrs};
pub use sealing_key::{Sealing, SealingKeyAttrs};

/// What is on record of one.
pub(crate) fn recorded<A: ObjectCodec>(known: &Known) -> Result<A, ProviderError> {
    Ok(A::from_object(&known.attrs)?)
}

/// What is on record of each.
pub(crate) fn all_recorded<A: ObjectCodec>(
    known: &[Known],
) -> Result<BTreeMap<RemoteId, A>, ProviderError> {
    let each = known.iter();
    each.map(|one| Ok((one.id.clone(), recorded(one)?)))
        .collect()
}
