//! Adoption: which of the things found is the one that a lost create made.

use crate::attrs;
use crate::compare::{Likeness, compare};
use kplan_model::{
    Change, ErrorKind, Found, Kind, KindInfo, Object, ProviderError, RemoteId, Snapshot, Timestamp,
};

/// Clocks differ: what was created up to this long before the create started may be its fruit.
const SKEW_MILLIS: i64 = 60_000;

/// What a create asked for, and what was there before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lost<'a> {
    pub(crate) info: &'a KindInfo,
    pub(crate) args: &'a Object,
    pub(crate) seen: &'a [RemoteId],
    pub(crate) started_at: Timestamp,
}

/// The outcome of looking for a lost create.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It made this.
    Ours(Found<Object>),
    /// There is nothing it could have made.
    Nothing,
    /// There is something, but it cannot be told whether it is ours.
    Unclear(ProviderError),
}

/// Whether the state knows a resource of this kind with this id.
pub(crate) fn is_known(snapshot: &Snapshot, kind: &Kind, id: &RemoteId) -> bool {
    let current = snapshot.resources.values();
    current
        .chain(&snapshot.deposed)
        .any(|record| record.address.kind() == kind && record.id == *id)
}

/// Judges what was found. Ids seen before the create and ids the state knows are not ours.
pub(crate) fn judge(lost: Lost<'_>, found: Vec<Found<Object>>, snapshot: &Snapshot) -> Verdict {
    let mut new: Vec<Found<Object>> = found
        .into_iter()
        .filter(|found| !lost.seen.contains(&found.id))
        .filter(|found| !is_known(snapshot, &lost.info.kind, &found.id))
        .collect();
    match (new.pop(), new.is_empty()) {
        (None, _) => Verdict::Nothing,
        (Some(only), true) if fits(lost, &only) => Verdict::Ours(only),
        (Some(last), _) => {
            new.push(last);
            Verdict::Unclear(unclear(lost.info, &new))
        }
    }
}

fn fits(lost: Lost<'_>, found: &Found<Object>) -> bool {
    let young = found
        .created_at
        .is_none_or(|created| created.since(lost.started_at) >= -SKEW_MILLIS);
    young
        && lost.info.fields.iter().all(|field| {
            // What can be changed in place may not have been set yet when the create was cut off
            // (a bucket gets its rules after it exists); the next plan brings it in line.
            if matches!(
                field.change,
                Change::Computed | Change::Ignored | Change::InPlace { .. }
            ) {
                return true;
            }
            match (
                attrs::set(lost.args, field.name),
                attrs::set(&found.attrs, field.name),
            ) {
                (Some(asked), Some(real)) => {
                    compare(field.compare, asked, real) != Likeness::Different
                }
                _ => true,
            }
        })
}

fn unclear(info: &KindInfo, found: &[Found<Object>]) -> ProviderError {
    let ids: Vec<&str> = found.iter().map(|found| found.id.as_str()).collect();
    ProviderError::new(
        ErrorKind::OutcomeUnknown,
        format!(
            "the answer to creating this {} was lost, and what exists now cannot be told to be its \
             fruit: {}",
            info.kind,
            ids.join(", ")
        ),
    )
    .help("import the one that belongs here, or delete what does not, then apply again")
}

/// Why a create is not even tried: something like it is there, and the state does not know it.
pub(crate) fn exists(info: &KindInfo, ids: &[&RemoteId]) -> ProviderError {
    let ids: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
    ProviderError::new(
        ErrorKind::Exists,
        format!(
            "there is already a {} of this name or owner that the state does not know: {}",
            info.kind,
            ids.join(", ")
        ),
    )
    .help("choose another name, or remove it where nothing needs it, then apply again")
}
