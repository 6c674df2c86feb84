//! Durable memory of what was applied: a local store for one cluster ([`LocalReader`],
//! [`LocalWriter`]), one in memory ([`MemoryStore`]), and one contract both keep.
//!
//! A state holds secrets as ciphertext only; [`Identity`] opens it, [`Keyring`] makes the
//! fingerprints by which others may compare secrets. Formats are versioned ([`FORMAT`]) and apart
//! from the domain's types. This crate does not print: what should be said is a [`Notice`].

mod binding;
mod error;
mod export;
mod identity;
mod keyring;
mod kit;
mod lineage;
mod local;
mod location;
mod memory;
mod migrate;
mod notice;
mod pins;
mod recipients;
mod seed;
mod shared;
mod surgery;
mod wire;

#[cfg(test)]
mod contract;
#[cfg(test)]
mod testing;

pub use binding::{bind_file, bound_cluster};
pub use error::code;
pub use export::{export, export_record, export_value};
pub use identity::Identity;
pub use keyring::Keyring;
pub use kit::KitContents;
pub use lineage::{new_lineage, owner};
pub use local::{
    Append, CHECKPOINT_BYTES, Disk, Document, HISTORY_KEPT, Held, HistoryEntry, Holder, Loaded,
    LocalReader, LocalWriter, Overwrite, Verified, WriteOptions, repair,
};
pub use location::{Location, Reader, Writer};
pub use memory::MemoryStore;
pub use migrate::{Migrated, Migration, Named};
pub use notice::{Notice, Severity};
pub use shared::{Claim, LeaseTimes, SharedReader, SharedWriter};
pub use surgery::{forget, put_back, rename, rename_all, settled};

use std::path::{Path, PathBuf};

/// The format of what is written: 1.
pub const FORMAT: u32 = wire::FORMAT;

/// The folder of a cluster's state, beside its file: `.kplan/<cluster>`. Two files in one folder
/// never share a state.
pub fn state_dir(beside: &Path, cluster: &str) -> PathBuf {
    beside.join(".kplan").join(cluster)
}
