//! Recovery kits: what a cluster is made again from on an empty machine. Encrypted to those who can
//! read the state, signed by a key whose public half is in `kplan.lock`, in the backup bucket and
//! beside the state.

pub mod frame;
mod keeper;

pub use keeper::{Keeper, LOCAL_COPY, objects_at, trusted_in};

/// Kits that stay in the bucket: one for each of the last applies.
pub const KEPT: usize = 10;

/// The key of a kit: the newest comes last.
pub fn object_name(serial: u64, digest: &str) -> String {
    format!("{serial:012}-{}.kit", &digest[..digest.len().min(16)])
}
