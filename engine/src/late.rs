//! Late: what would be waited for or made in vain. Something an earlier run left on its way that
//! failed meanwhile; a container that would not take what is to be made inside it any more, as a
//! machine that takes one thing at its first start has to be made anew with it.

use crate::attrs;
use crate::graph::Kinds;
use crate::observe::{Observations, Observers};
use kplan_model::{
    Address, Declarations, Object, Observation, Observe, Readiness, Recorded, Snapshot, Status,
};
use std::collections::{BTreeMap, BTreeSet};

/// What is too late, with the reason, in the provider's words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Late {
    /// Containers that have to be made anew, each with the first of what is missing or broken
    /// inside, which it would not take.
    pub containers: BTreeMap<Address, (Address, String)>,
    /// Whole resources that are to be replaced as requested, and would not be taken again.
    pub alone: BTreeMap<Address, String>,
    /// What an earlier run did not see ready and has failed since, with the reason.
    pub failed: BTreeMap<Address, String>,
}

/// Asks the kinds, of what is to be made inside containers that are on record. Reads nothing; a
/// kind that cannot tell says nothing, and the create finds out.
pub fn late(
    (declarations, replace): (&Declarations, &BTreeSet<Address>),
    snapshot: &Snapshot,
    observations: &Observations,
    observers: &Observers,
    kinds: &Kinds,
) -> Late {
    let mut late = Late::default();
    for declaration in &declarations.resources {
        let address = &declaration.address;
        let Some(observer) = observers.get(address.kind()) else {
            continue;
        };
        let record = snapshot.resources.get(address);
        let seen = observations.get(address);
        if let Some(why) = record
            .filter(|_| stands(seen))
            .and_then(|record| failed(observer.as_ref(), record, &newest(record, seen, kinds)))
        {
            late.failed.insert(address.clone(), why);
        }
        let Some(container) = declaration.meta.inside.as_ref().filter(|container| {
            snapshot.resources.contains_key(container) && stands(observations.get(container))
        }) else {
            continue;
        };
        if matches!(seen, Some(Observation::Unreadable(_)))
            || record.is_some_and(|record| record.meta.inside.as_ref() != Some(container))
        {
            continue;
        }
        let there = record.filter(|_| stands(seen));
        let replaced = replace.contains(address);
        let standing = there.map(|record| {
            let info = kinds.get(address.kind());
            info.map_or(record.status, |info| info.standing(record))
        });
        if !replaced && standing == Some(Status::Ready) {
            continue;
        }
        let attrs = there.map(|record| newest(record, seen, kinds));
        let broken = standing
            .zip(attrs.as_ref())
            .is_none_or(|(standing, attrs)| is_broken(observer.as_ref(), standing, attrs));
        if !broken && !replaced {
            continue;
        }
        let args = declaration.filled(snapshot);
        let Ok(Some(why)) = observer.too_late(&args, attrs.as_ref()) else {
            continue;
        };
        if broken {
            let first = || (address.clone(), why);
            late.containers
                .entry(container.clone())
                .or_insert_with(first);
        } else {
            late.alone.insert(address.clone(), why);
        }
    }
    late
}

/// Whether it was seen, or nobody looked.
fn stands(seen: Option<&Observation>) -> bool {
    matches!(seen, Some(Observation::Present(_) | Observation::NotRead))
}

/// Its attributes as they were seen last.
fn newest(record: &Recorded, seen: Option<&Observation>, kinds: &Kinds) -> Object {
    match (seen, kinds.get(record.address.kind())) {
        (Some(Observation::Present(seen)), Some(info)) => attrs::merge(info, &record.attrs, seen),
        _ => record.attrs.clone(),
    }
}

/// Why what was on its way will never be ready. What worked before it was interrupted is waited
/// for all the same: it holds what a new one would not.
fn failed(observer: &dyn Observe, record: &Recorded, attrs: &Object) -> Option<String> {
    if record.status != Status::Unfinished || observer.is_interrupted(attrs).unwrap_or_default() {
        return None;
    }
    match observer.readiness(attrs) {
        Ok(Readiness::Failed(why)) => Some(why),
        _ => None,
    }
}

/// Whether it is to be made again, or will be after it was waited for in vain.
fn is_broken(observer: &dyn Observe, standing: Status, attrs: &Object) -> bool {
    match standing {
        Status::Ready => false,
        Status::Tainted => true,
        Status::Unfinished => matches!(observer.readiness(attrs), Ok(Readiness::Failed(_))),
    }
}
