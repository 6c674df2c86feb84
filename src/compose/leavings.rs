//! What a cluster's own controllers made in the account, and what surrounds its end: on record from the
//! moment a destroy found it.

use kplan_model::{Address, Declarations, Kind, Recorded, Snapshot};

/// The last look for it.
pub const LAST: &str = "cluster_leavings";
/// What is done in the cluster before anything of it goes.
pub const WIND_DOWN: &str = "cluster_wind_down";
/// The last backup.
pub const FINAL_BACKUP: &str = "cluster_final_backup";
/// What a destroy looks for at its end.
const TRACES: &str = "cluster_traces";
/// Kinds of which the cluster makes some, and kplan none; and what surrounds their end.
const KINDS: [&str; 6] = [
    FINAL_BACKUP,
    LAST,
    "cluster_load_balancer",
    "cluster_snapshot",
    "cluster_volume",
    WIND_DOWN,
];

/// Whether a resource on record is one the cluster made.
pub fn is_leaving(address: &Address) -> bool {
    KINDS.contains(&address.kind().as_str())
}

/// Whether clusters make such things, and kplan none.
pub fn made_by_clusters(kind: &Kind) -> bool {
    matches!(
        kind.as_str(),
        "cluster_load_balancer" | "cluster_snapshot" | "cluster_volume"
    )
}

/// Whether it is no resource but the last look for what the cluster made.
pub fn is_last_look(address: &Address) -> bool {
    address.kind().as_str() == LAST
}

/// Whether it is no resource but what is done before anything of the cluster goes.
pub fn is_preparation(address: &Address) -> bool {
    matches!(address.kind().as_str(), WIND_DOWN | FINAL_BACKUP)
}

/// Where it stands on record what a destroy looks for, until it was seen gone. No plan knows of it.
pub fn traces() -> Address {
    Address::new(Kind::new(TRACES), "main")
}

/// Whether anything is on record besides what a destroy looks for.
pub fn has_resources(snapshot: &Snapshot) -> bool {
    resources(snapshot).next().is_some()
}

/// What is on record, without what a destroy looks for, which is no resource.
pub fn resources(snapshot: &Snapshot) -> impl Iterator<Item = &Recorded> {
    let all = snapshot.resources.values();
    all.filter(|record| record.address.kind().as_str() != TRACES)
}

/// Whether it stands on record for what it does, and is nothing that could be destroyed.
pub fn is_no_resource(address: &Address) -> bool {
    is_last_look(address) || is_preparation(address)
}

/// Lets go of what an earlier destroy had put on record: the cluster stays, and with it what it made.
pub fn forget(declarations: &mut Declarations, snapshot: &Snapshot) {
    let left = snapshot.resources.keys().filter(|it| is_leaving(it));
    let why = "the cluster stays, and with it what it made";
    let left = left.map(|address| (address.clone(), why.to_owned()));
    declarations.forgotten.extend(left);
}

#[cfg(test)]
mod tests {
    use super::*;
    use kplan_model::{Owner, RemoteId};

    #[test]
    fn what_a_destroy_looks_for_is_no_resource() {
        let owner = Owner {
            cluster: "demo".to_owned(),
            suffix: "3f9a1c2e".to_owned(),
        };
        let mut snapshot = Snapshot::empty("lineage".to_owned(), owner);
        let mut put = |address: Address| {
            let record = Recorded::bare(address.clone(), RemoteId::new("it"));
            snapshot.resources.insert(address, record);
            (has_resources(&snapshot), resources(&snapshot).count())
        };
        assert_eq!(put(traces()), (false, 0));
        assert_eq!(put("vpc.main".parse().unwrap()), (true, 1));
    }
}
