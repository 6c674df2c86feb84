//! Whether a store is fit for a shared state: asked before one is made in it. Everything rests on
//! creates that fail when the object is there; a store that ignores the condition would let two
//! runs write over each other without either of them noticing.

use super::keys;
use super::objects::Objects;
use super::record::mark;
use crate::error::{code, error_help};
use crate::keyring::hex;
use kplan_model::{Put, StoreError};

/// How far the time of a new object may be from the store's own, in milliseconds. More than the
/// takeover time would make live runs look dead.
const SKEW: i64 = 60_000;

/// Tries it.
///
/// # Errors
/// `state::store_unfit`.
pub(super) fn fit(objects: &Objects) -> Result<(), StoreError> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|cause| {
        error_help(
            code::IO,
            format!("the system gives no random bytes: {cause}"),
            "this is no computer to keep a cluster with",
        )
    })?;
    let key = format!("{}{}", keys::PROBES, hex(&random));
    let judged = judge(objects, &key);
    // Whatever came of it, nothing stays behind.
    drop(objects.delete(&[key]));
    judged
}

fn judge(objects: &Objects, key: &str) -> Result<(), StoreError> {
    let (first, second) = (mark()?, mark()?);
    objects.create(key, &first)?;
    if objects.put_once(key, &second)? == Put::Created {
        return Err(unfit(
            objects,
            "it wrote over an object although it was asked to create one (`If-None-Match: *`)",
        ));
    }
    if objects.get(key)?.as_deref() != Some(&first) {
        return Err(unfit(objects, "an object just written does not read back"));
    }
    let listing = objects.list(key, None)?;
    let Some(found) = listing.objects.first() else {
        return Err(unfit(objects, "an object just written is not in its list"));
    };
    if listing.now.since(found.modified).abs() > SKEW {
        return Err(unfit(
            objects,
            "the time it gives to new objects is not its own time (the Date of its answers)",
        ));
    }
    Ok(())
}

fn unfit(objects: &Objects, what: &str) -> StoreError {
    error_help(
        code::STORE_UNFIT,
        format!("{} cannot hold a shared state: {what}", objects.name()),
        "two runs at once would not notice each other, and one would write over what the other \
         recorded. Use a store that keeps conditional writes, such as DigitalOcean Spaces, Amazon \
         S3, MinIO or Ceph, or keep the state in the folder (`[state] backend = \"local\"`)",
    )
}
