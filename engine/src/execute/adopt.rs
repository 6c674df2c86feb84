//! Adoption: which of the things found is the one that a lost create made.

use crate::attrs;
use crate::compare::{Likeness, compare};
use kplan_model::{
    Address, Change, Compare, ErrorKind, Found, FoundAs, Kind, KindInfo, Object, ProviderError,
    Recorded, RemoteId, Snapshot, Timestamp,
};

/// Clocks differ: what was created up to this long before the create started may be its fruit.
pub(super) const SKEW_MILLIS: i64 = 60_000;

/// What a create asked for, and what was there before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lost<'a> {
    pub(crate) info: &'a KindInfo,
    pub(crate) args: &'a Object,
    pub(crate) seen: &'a [RemoteId],
    pub(crate) started_at: Timestamp,
    /// What creates of the same kind are known to have made or adopted, and what is not in the
    /// state yet.
    pub(crate) taken: &'a [RemoteId],
    /// How many more creates of exactly the same were lost. Each may have made one of what is
    /// found, and nothing tells which.
    pub(crate) twins: usize,
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
    let is_it = |record: &Recorded| record.address.kind() == kind && record.id == *id;
    // Addresses stand by kind: the other kinds are not walked through for each thing found.
    let first = Address::new(kind.clone(), "");
    let mut of_kind = snapshot.resources.range(first..);
    of_kind
        .by_ref()
        .take_while(|(address, _)| address.kind() == kind)
        .any(|(_, record)| is_it(record))
        || snapshot.deposed.iter().any(is_it)
}

/// Judges what was found. Ids seen before the create and ids the state knows are not ours.
///
/// One that fits is adopted. So is the oldest of several, where as many creates of exactly the
/// same were lost: whichever of them made it, each gets one, and none is left over.
pub(crate) fn judge(lost: Lost<'_>, found: Vec<Found<Object>>, snapshot: &Snapshot) -> Verdict {
    let mut new: Vec<Found<Object>> = found
        .into_iter()
        .filter(|found| found.role != FoundAs::Bystander)
        .filter(|found| !lost.seen.contains(&found.id) && !lost.taken.contains(&found.id))
        .filter(|found| !is_known(snapshot, &lost.info.kind, &found.id))
        .collect();
    new.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
    let few = new.len() <= 1 + lost.twins;
    if new.is_empty() {
        Verdict::Nothing
    } else if few && new.iter().all(|found| fits(lost, found)) {
        Verdict::Ours(new.swap_remove(0))
    } else {
        Verdict::Unclear(unclear(lost.info, &new))
    }
}

/// Whether two creates of one kind could be taken for one another: a look for one may find what
/// the other makes.
pub(crate) fn are_rivals(info: &KindInfo, one: &Object, other: &Object) -> bool {
    let same = |name: &&str| match (attrs::set(one, name), attrs::set(other, name)) {
        (Some(one), Some(other)) => {
            let how = info
                .field(name)
                .map_or(Compare::Exact, |field| field.compare);
            compare(how, one, other) != Likeness::Different
        }
        (None, None) => true,
        _ => false,
    };
    // Kinds without an identity are told apart by their addresses.
    !info.identity.is_empty() && info.identity.iter().all(same)
}

fn fits(lost: Lost<'_>, found: &Found<Object>) -> bool {
    let young = found
        .created_at
        .is_none_or(|created| created.since(lost.started_at) >= -SKEW_MILLIS);
    young
        && lost.info.fields.iter().all(|field| {
            // What can be changed in place may not have been set yet when the create was cut off
            // (a bucket gets its rules after it exists); the next plan brings it in line.
            let is_set_later = matches!(
                field.change,
                Change::Computed | Change::Ignored | Change::InPlace { .. }
            );
            is_set_later || !attrs::is_other(field, lost.args, &found.attrs)
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

/// What a look before a create saw.
pub(crate) fn looked_at(found: &[Found<Object>]) -> Vec<(RemoteId, FoundAs)> {
    let seen = found.iter();
    seen.map(|found| (found.id.clone(), found.role)).collect()
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
