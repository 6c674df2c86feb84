//! Changing what is on record by hand: forgetting resources, giving them another address. Pure;
//! the writer makes the result durable in one step. Nothing here touches what exists remotely.

use crate::error::{code, error_help};
use kplan_model::{Address, Kind, Recorded, RemoteId, Snapshot, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// The state without these resources. Others no longer depend on them.
///
/// # Errors
/// `state::unknown_address` when one is not on record, `state::in_doubt` when it is not known what
/// became of it, `state::contains` when something that is not forgotten too lives inside it.
pub fn forget(mut snapshot: Snapshot, addresses: &[Address]) -> Result<Snapshot, StoreError> {
    for address in addresses {
        on_record(&snapshot, address)?;
    }
    let gone: BTreeSet<&Address> = addresses.iter().collect();
    let left = |record: &&Recorded| !gone.contains(&record.address);
    for record in snapshot.resources.values().filter(left) {
        if let Some(container) = record.meta.inside.as_ref().filter(|a| gone.contains(a)) {
            return Err(error_help(
                code::CONTAINS,
                format!("{} lives inside {container}", record.address),
                "forget both, or neither: without its container it cannot be reached",
            ));
        }
    }
    snapshot
        .resources
        .retain(|address, _| !gone.contains(address));
    snapshot.deposed.retain(|old| !gone.contains(&old.address));
    for record in records(&mut snapshot) {
        record.depends_on.retain(|address| !gone.contains(address));
        record.meta.after.retain(|address| !gone.contains(address));
    }
    Ok(snapshot)
}

/// The state with a resource under another address of its kind.
///
/// # Errors
/// Those of [`rename_all`].
pub fn rename(snapshot: Snapshot, from: &Address, to: &Address) -> Result<Snapshot, StoreError> {
    rename_all(snapshot, &BTreeMap::from([(from.clone(), to.clone())]))
}

/// The state with resources under other addresses of their kinds, all at once: two may change places.
///
/// # Errors
/// `state::unknown_address` when one is not on record, `state::address_taken` when a new address is
/// and stays so, `state::other_kind` when two addresses are of two kinds, `state::in_doubt` when it
/// is not known what became of one.
pub fn rename_all(
    mut snapshot: Snapshot,
    moves: &BTreeMap<Address, Address>,
) -> Result<Snapshot, StoreError> {
    let mut taken = BTreeSet::new();
    for (from, to) in moves {
        movable(&snapshot, moves, (from, to))?;
        if from == to || !taken.insert(to) {
            return Err(already(to));
        }
    }
    let swap = |address: &mut Address| {
        if let Some(to) = moves.get(address) {
            address.clone_from(to);
        }
    };
    for record in records(&mut snapshot) {
        swap(&mut record.address);
        record.depends_on.iter_mut().for_each(swap);
        record.meta.after.iter_mut().for_each(swap);
        record.meta.inside.iter_mut().for_each(swap);
    }
    let all = std::mem::take(&mut snapshot.resources);
    snapshot.resources = all
        .into_values()
        .map(|record| (record.address.clone(), record))
        .collect();
    for doubt in snapshot.in_doubt.values_mut() {
        doubt.depends_on.iter_mut().for_each(swap);
        doubt.meta.after.iter_mut().for_each(swap);
        doubt.meta.inside.iter_mut().for_each(swap);
    }
    Ok(snapshot)
}

fn movable(
    snapshot: &Snapshot,
    moves: &BTreeMap<Address, Address>,
    (from, to): (&Address, &Address),
) -> Result<(), StoreError> {
    on_record(snapshot, from)?;
    if from.kind() != to.kind() {
        return Err(error_help(
            code::OTHER_KIND,
            format!("{from} is a {}, and {to} is a {}", from.kind(), to.kind()),
            "a resource keeps its kind",
        ));
    }
    let stays = !moves.contains_key(to);
    let there = snapshot.resources.contains_key(to)
        || snapshot.deposed.iter().any(|old| old.address == *to);
    if snapshot.in_doubt.contains_key(to) || (there && stays) {
        return Err(already(to));
    }
    Ok(())
}

fn already(to: &Address) -> StoreError {
    error_help(
        code::ADDRESS_TAKEN,
        format!("{to} is on record already"),
        "move or forget that one first",
    )
}

/// Refuses a state with anything in doubt: what knows of it must not give way before the outcome is
/// known.
///
/// # Errors
/// `state::in_doubt`.
pub fn settled(snapshot: &Snapshot) -> Result<(), StoreError> {
    match snapshot.in_doubt.keys().next() {
        Some(address) => Err(in_doubt(address)),
        None => Ok(()),
    }
}

/// An earlier state as it takes the place of `now`. What was begun on a resource since, such as a
/// drain, has happened to it whatever the record says, and the next apply can only undo or go on
/// with what is on record.
pub fn put_back(mut then: Snapshot, now: &Snapshot) -> Snapshot {
    let current = now.resources.values().chain(&now.deposed);
    // Not by the address: it may have another one since.
    let begun: BTreeMap<(&Kind, &RemoteId), &BTreeSet<String>> = current
        .map(|record| ((record.address.kind(), &record.id), &record.operations))
        .collect();
    for record in records(&mut then) {
        if let Some(operations) = begun.get(&(record.address.kind(), &record.id)) {
            record.operations = (*operations).clone();
        }
    }
    then
}

fn in_doubt(address: &Address) -> StoreError {
    error_help(
        code::IN_DOUBT,
        format!("a run was cut off while it changed {address}, and nobody knows the outcome"),
        "run `kplan apply` first: it finds out before it does anything else",
    )
}

fn records(snapshot: &mut Snapshot) -> impl Iterator<Item = &mut Recorded> {
    let current = snapshot.resources.values_mut();
    current.chain(snapshot.deposed.iter_mut())
}

/// Refuses what is not on record, and what a cut-off run left in doubt.
fn on_record(snapshot: &Snapshot, address: &Address) -> Result<(), StoreError> {
    if snapshot.in_doubt.contains_key(address) {
        return Err(in_doubt(address));
    }
    let deposed = snapshot.deposed.iter().any(|old| old.address == *address);
    if snapshot.resources.contains_key(address) || deposed {
        return Ok(());
    }
    Err(error_help(
        code::UNKNOWN_ADDRESS,
        format!("{address} is not on record"),
        "`kplan state list` shows what is",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kplan_model::{Meta, Object, Owner, RemoteId, Status, Timestamp};

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    fn record(at: &str, depends_on: &[&str], inside: Option<&str>) -> Recorded {
        Recorded {
            address: address(at),
            id: RemoteId::new(at),
            args: Object::new(),
            attrs: Object::new(),
            meta: Meta {
                inside: inside.map(address),
                after: depends_on.iter().map(|text| address(text)).collect(),
                ..Meta::default()
            },
            depends_on: depends_on.iter().map(|text| address(text)).collect(),
            status: Status::Ready,
            created_at: Timestamp(0),
            operations: BTreeSet::new(),
            version: 1,
        }
    }

    fn snapshot() -> Snapshot {
        let owner = Owner {
            cluster: "demo".to_owned(),
            suffix: "00000000".to_owned(),
        };
        let mut snapshot = Snapshot::empty("l", owner);
        for record in [
            record("vpc.main", &[], None),
            record("droplet.a", &["vpc.main"], None),
            record("k3s.cluster", &["droplet.a"], None),
            record("ccm.main", &["k3s.cluster"], Some("k3s.cluster")),
        ] {
            snapshot.resources.insert(record.address.clone(), record);
        }
        snapshot
            .deposed
            .push(record("droplet.a", &["vpc.main"], None));
        snapshot
    }

    #[test]
    fn what_is_forgotten_is_depended_on_no_more() {
        let left = forget(snapshot(), &[address("vpc.main"), address("droplet.a")]).unwrap();
        assert_eq!(left.resources.len(), 2);
        assert!(left.deposed.is_empty());
        assert!(
            left.resources[&address("k3s.cluster")]
                .depends_on
                .is_empty()
        );
        assert!(
            left.resources[&address("k3s.cluster")]
                .meta
                .after
                .is_empty()
        );
    }

    #[test]
    fn a_container_is_forgotten_with_what_lives_inside() {
        let refused = forget(snapshot(), &[address("k3s.cluster")]).unwrap_err();
        assert_eq!(refused.code, code::CONTAINS);
        forget(snapshot(), &[address("k3s.cluster"), address("ccm.main")]).unwrap();
    }

    #[test]
    fn a_new_address_is_known_everywhere() {
        let moved = rename(snapshot(), &address("k3s.cluster"), &address("k3s.other")).unwrap();
        let inside = &moved.resources[&address("ccm.main")];
        assert_eq!(inside.meta.inside, Some(address("k3s.other")));
        assert_eq!(inside.depends_on, [address("k3s.other")]);
        let record = &moved.resources[&address("k3s.other")];
        assert_eq!(record.address, address("k3s.other"));
        let moved = rename(snapshot(), &address("droplet.a"), &address("droplet.b")).unwrap();
        assert_eq!(moved.deposed[0].address, address("droplet.b"));
    }

    #[test]
    fn there_and_back_again_changes_nothing() {
        let (a, b) = (address("droplet.a"), address("droplet.b"));
        let there = rename(snapshot(), &a, &b).unwrap();
        assert_eq!(rename(there, &b, &a).unwrap(), snapshot());
    }

    #[test]
    fn an_address_that_cannot_be_is_refused() {
        let refused = |from: &str, to: &str| {
            rename(snapshot(), &address(from), &address(to))
                .unwrap_err()
                .code
        };
        assert_eq!(refused("vpc.none", "vpc.other"), code::UNKNOWN_ADDRESS);
        assert_eq!(refused("vpc.main", "droplet.b"), code::OTHER_KIND);
        assert_eq!(refused("vpc.main", "vpc.main"), code::ADDRESS_TAKEN);
        let gone = forget(snapshot(), &[address("vpc.none")]).unwrap_err();
        assert_eq!(gone.code, code::UNKNOWN_ADDRESS);
    }

    #[test]
    fn two_change_places_and_what_leads_to_them_follows() {
        let mut before = snapshot();
        let other = record("droplet.b", &["droplet.a"], None);
        before.resources.insert(other.address.clone(), other);
        let (a, b) = (address("droplet.a"), address("droplet.b"));
        let moves = BTreeMap::from([(a.clone(), b.clone()), (b.clone(), a.clone())]);
        let after = rename_all(before, &moves).unwrap();
        assert_eq!(after.resources[&a].id.as_str(), "droplet.b");
        assert_eq!(after.resources[&a].depends_on, vec![b.clone()]);
        assert_eq!(after.resources[&b].id.as_str(), "droplet.a");
        assert_eq!(
            after.resources[&address("k3s.cluster")].depends_on,
            vec![b.clone()]
        );
        assert_eq!(after.deposed[0].address, b);
        let both = BTreeMap::from([(a.clone(), b.clone()), (address("droplet.c"), b)]);
        let refused = rename_all(snapshot(), &both);
        assert_eq!(refused.unwrap_err().code, code::UNKNOWN_ADDRESS);
    }

    #[test]
    fn what_was_begun_since_stays_begun() {
        let then = snapshot();
        let mut now = then.clone();
        let drained = BTreeSet::from(["drain".to_owned()]);
        let current = now.resources.get_mut(&address("k3s.cluster")).unwrap();
        current.operations.clone_from(&drained);
        now.deposed[0].operations.clone_from(&drained);
        let new = now.resources.get_mut(&address("vpc.main")).unwrap();
        new.id = RemoteId::new("another");
        new.operations.clone_from(&drained);
        let back = put_back(then.clone(), &now);
        assert_eq!(back.resources[&address("k3s.cluster")].operations, drained);
        assert_eq!(back.deposed[0].operations, drained);
        assert!(back.resources[&address("vpc.main")].operations.is_empty());
        // Also under another address.
        let moved = rename(now.clone(), &address("k3s.cluster"), &address("k3s.other")).unwrap();
        let back = put_back(then.clone(), &moved);
        assert_eq!(back.resources[&address("k3s.cluster")].operations, drained);
        // What was undone since is undone.
        assert_eq!(put_back(now, &then), {
            let mut then = then;
            let vpc = then.resources.get_mut(&address("vpc.main")).unwrap();
            vpc.id = RemoteId::new("another");
            vpc.operations = drained;
            then
        });
    }

    #[test]
    fn what_is_in_doubt_is_left_alone() {
        let mut snapshot = snapshot();
        let doubt = kplan_model::InDoubt {
            step: kplan_model::StepId(0),
            address: address("vpc.main"),
            action: kplan_model::Action::Update,
            started_at: Timestamp(0),
            args: Object::new(),
            meta: Meta::default(),
            depends_on: vec![],
            id: None,
            seen: vec![],
        };
        snapshot.in_doubt.insert(address("vpc.main"), doubt);
        let refused = forget(snapshot.clone(), &[address("vpc.main")]).unwrap_err();
        assert_eq!(refused.code, code::IN_DOUBT);
        let to = Address::new(Kind::new("vpc"), "other");
        assert_eq!(settled(&snapshot).unwrap_err().code, code::IN_DOUBT);
        let refused = rename(snapshot, &address("vpc.main"), &to).unwrap_err();
        assert_eq!(refused.code, code::IN_DOUBT);
    }
}
