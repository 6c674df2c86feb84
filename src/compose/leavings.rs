//! What a cluster's own controllers made in the account, and what surrounds its end: on record from the
//! moment a destroy found it.

use kplan_model::{Address, Declarations, Kind, Snapshot};

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
