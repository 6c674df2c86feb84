//! What a cluster's own controllers made in the account: on record from the moment a destroy found it.

use kplan_model::{Address, Declarations, Snapshot};

/// The last look for it.
pub const LAST: &str = "cluster_leavings";
/// Kinds of which the cluster makes some, and kplan none.
const KINDS: [&str; 4] = [
    LAST,
    "cluster_load_balancer",
    "cluster_snapshot",
    "cluster_volume",
];

/// Whether a resource on record is one the cluster made.
pub fn is_leaving(address: &Address) -> bool {
    KINDS.contains(&address.kind().as_str())
}

/// Whether it is no resource but the last look for what the cluster made.
pub fn is_last_look(address: &Address) -> bool {
    address.kind().as_str() == LAST
}

/// Lets go of what an earlier destroy had put on record: the cluster stays, and with it what it made.
pub fn forget(declarations: &mut Declarations, snapshot: &Snapshot) {
    let left = snapshot.resources.keys().filter(|it| is_leaving(it));
    let why = "the cluster stays, and with it what it made";
    let left = left.map(|address| (address.clone(), why.to_owned()));
    declarations.forgotten.extend(left);
}
