//! The whole state.

use super::record::{DoubtWire, RecordWire};
use super::tree::Fields;
use super::value::{object_in, object_out};
use super::{FORMAT, Unreadable};
use crate::identity::Identity;
use crate::keyring::{Keyring, WrappedKey};
use kplan_model::{Address, Owner, Recorded, Snapshot, StoreError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The place of the outputs, which belong to no resource. It is no address: it has no dot.
pub(crate) const OUTPUTS: &str = "outputs";

/// What every file of a state says about the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) lineage: String,
    pub(crate) cluster: String,
    pub(crate) key: WrappedKey,
}

impl Head {
    /// The keys, where there is an identity.
    pub(crate) fn unwrap_key(
        &self,
        identity: Option<&Identity>,
    ) -> Result<Option<Keyring>, StoreError> {
        identity
            .map(|identity| Keyring::unwrap(&self.lineage, &self.key, identity))
            .transpose()
    }
}

/// The whole state as it is written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SnapshotWire {
    pub(crate) format: u32,
    pub(crate) lineage: String,
    pub(crate) cluster: String,
    owner_suffix: String,
    pub(crate) serial: u64,
    /// The number of the last journal batch this contains.
    pub(crate) batch: u64,
    pub(crate) key: WrappedKey,
    resources: Vec<RecordWire>,
    deposed: Vec<RecordWire>,
    in_doubt: Vec<DoubtWire>,
    outputs: Fields,
}

impl SnapshotWire {
    pub(crate) fn out(
        keys: Option<&Keyring>,
        key: &WrappedKey,
        batch: u64,
        snapshot: &Snapshot,
    ) -> Result<Self, StoreError> {
        let Snapshot {
            lineage,
            serial,
            owner,
            resources,
            deposed,
            in_doubt,
            outputs,
        } = snapshot;
        let record = |record| RecordWire::out(keys, record);
        Ok(Self {
            format: FORMAT,
            lineage: lineage.clone(),
            cluster: owner.cluster.clone(),
            owner_suffix: owner.suffix.clone(),
            serial: *serial,
            batch,
            key: key.clone(),
            resources: resources.values().map(record).collect::<Result<_, _>>()?,
            deposed: deposed.iter().map(record).collect::<Result<_, _>>()?,
            in_doubt: in_doubt
                .values()
                .map(|doubt| DoubtWire::out(keys, doubt))
                .collect::<Result<_, _>>()?,
            outputs: object_out(keys, OUTPUTS, OUTPUTS, outputs)?,
        })
    }

    pub(crate) fn head(&self) -> Head {
        Head {
            lineage: self.lineage.clone(),
            cluster: self.cluster.clone(),
            key: self.key.clone(),
        }
    }

    pub(crate) fn read(self, keys: Option<&Keyring>) -> Result<Snapshot, Unreadable> {
        let records = self.resources.into_iter().map(|wire| {
            let record = wire.read(keys)?;
            Ok((record.address.clone(), record))
        });
        let resources = unique(records, "is there")?;
        let doubts = self.in_doubt.into_iter().map(|wire| {
            let doubt = wire.read(keys)?;
            Ok((doubt.address.clone(), doubt))
        });
        let in_doubt = unique(doubts, "is in doubt")?;
        let deposed = self.deposed.into_iter().map(|wire| wire.read(keys));
        let mut deposed: Vec<Recorded> = deposed.collect::<Result<_, _>>()?;
        // Kplans of format 1 could leave what took its place again in both lists; destroyed as the
        // old half, the current one would be gone.
        deposed.retain(|old| {
            let current = resources.get(&old.address);
            current.is_none_or(|current: &Recorded| current.id != old.id)
        });
        Ok(Snapshot {
            lineage: self.lineage,
            serial: self.serial,
            owner: Owner {
                cluster: self.cluster,
                suffix: self.owner_suffix,
            },
            resources,
            deposed,
            in_doubt,
            outputs: object_in(keys, OUTPUTS, OUTPUTS, self.outputs)?,
        })
    }
}

/// Everything by address, each of which may be there once. Made as a whole, the map takes half of
/// what it would if it grew: a node of one that grows in order stays half empty.
fn unique<T>(
    each: impl ExactSizeIterator<Item = Result<(Address, T), Unreadable>>,
    what: &str,
) -> Result<BTreeMap<Address, T>, Unreadable> {
    let mut all = Vec::with_capacity(each.len());
    for one in each {
        all.push(one?);
    }
    all.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    if let Some(twice) = all.windows(2).find(|two| two[0].0 == two[1].0) {
        return Err(Unreadable(format!("{} {what} twice", twice[0].0)));
    }
    Ok(all.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;
    use crate::keyring::Keyring;
    use crate::testing::sample;

    /// What a kplan of format 1 left in both lists is the current one alone.
    #[test]
    fn what_is_current_is_not_deposed_besides() {
        let mut snapshot = sample();
        let current = snapshot.resources.values().next().unwrap().clone();
        let others = snapshot.deposed.len();
        snapshot.deposed.push(current.clone());
        let keys = Keyring::random(&snapshot.lineage).unwrap();
        let key = keys.wrap(&Identity::generate().recipients()).unwrap();
        let wire = SnapshotWire::out(Some(&keys), &key, 1, &snapshot).unwrap();
        let read = wire.read(Some(&keys)).unwrap();
        assert_eq!(read.deposed.len(), others);
        assert!(read.resources.contains_key(&current.address));
    }
}
