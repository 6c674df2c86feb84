//! The stable codes of everything a store refuses or reports, and the helpers that build those
//! errors.

use crate::wire::FORMAT;
use kplan_model::StoreError;
use std::io;
use std::path::Path;

/// Codes of [`StoreError`] and [`Notice`](crate::Notice). They are part of the interface: scripts
/// match on them.
pub mod code {
    /// Another process holds the state's lock.
    pub const LOCKED: &str = "state::locked";
    /// A file is not what was written; nothing was dropped or guessed.
    pub const DAMAGED: &str = "state::damaged";
    /// A newer kplan wrote this state.
    pub const NEWER_FORMAT: &str = "state::newer_format";
    /// A file belongs to another state.
    pub const OTHER_LINEAGE: &str = "state::other_lineage";
    /// The folder holds the state of another cluster.
    pub const OTHER_CLUSTER: &str = "state::other_cluster";
    /// The identity is none of those the state's key is wrapped to.
    pub const WRONG_KEY: &str = "state::wrong_key";
    /// Something needs the identity and none was given.
    pub const NO_IDENTITY: &str = "state::no_identity";
    /// An identity cannot be read, parsed or trusted.
    pub const IDENTITY: &str = "state::identity";
    /// There is no state yet.
    pub const MISSING: &str = "state::missing";
    /// The file system refused.
    pub const IO: &str = "state::io";
    /// The disk is full.
    pub const FULL: &str = "state::full";
    /// An earlier write failed, so nothing more is written in this run.
    pub const POISONED: &str = "state::poisoned";
    /// An address that is not on record.
    pub const UNKNOWN_ADDRESS: &str = "state::unknown_address";
    /// An address that is on record already.
    pub const ADDRESS_TAKEN: &str = "state::address_taken";
    /// Two addresses of different kinds.
    pub const OTHER_KIND: &str = "state::other_kind";
    /// Something that lives inside another resource would be left without it.
    pub const CONTAINS: &str = "state::contains";
    /// A cut-off run left something of which nobody knows the outcome.
    pub const IN_DOUBT: &str = "state::in_doubt";
    /// A document is older than the state it would replace.
    pub const OLDER: &str = "state::older";
    /// The last who can read the state would be locked out.
    pub const LOCKED_OUT: &str = "state::locked_out";
    /// A value cannot be written in a way that could be read back.
    pub const UNSTORABLE: &str = "state::unstorable";
    /// Somebody else took over the shared state from a run that gave no sign of life.
    pub const FENCED: &str = "state::fenced";
    /// A run gave no sign of life for so long that others may have taken over.
    pub const LAPSED: &str = "state::lapsed";
    /// The store of a shared state does not do what is asked of it.
    pub const STORE_UNFIT: &str = "state::store_unfit";
    /// The bucket of a shared state is not there.
    pub const NO_BUCKET: &str = "state::no_bucket";
    /// The keys may not use the bucket.
    pub const DENIED: &str = "state::denied";
    /// The bucket does not answer, which is never taken for an empty one.
    pub const UNREACHABLE: &str = "state::unreachable";
    /// The store of a shared state refused a request.
    pub const STORE: &str = "state::store";
    /// The state was moved somewhere else.
    pub const MOVED: &str = "state::moved";
    /// There is a state in both places of a migration, and they differ.
    pub const DIVERGED: &str = "state::diverged";
    /// Notice: an unfinished record at the end of the journal was dropped.
    pub const TORN: &str = "state::torn";
    /// Notice: the snapshot was rebuilt from its predecessor.
    pub const RECOVERED: &str = "state::recovered";
    /// Notice: the state was written anew in the newest format.
    pub const MIGRATED: &str = "state::migrated";
    /// Notice: the writer's store was rebuilt from snapshot and journal.
    pub const STORE_REBUILT: &str = "state::store_rebuilt";
    /// Notice: what says which record was acknowledged last is missing or cannot be read.
    pub const UNMARKED: &str = "state::unmarked";
    /// Notice: something that is not needed for safety could not be done.
    pub const DEGRADED: &str = "state::degraded";
    /// Notice: a state, or an identity, was created.
    pub const CREATED: &str = "state::created";
}

/// An error with a code and a message.
pub(crate) fn error(code: &'static str, message: impl Into<String>) -> StoreError {
    StoreError {
        code,
        message: message.into(),
        help: None,
    }
}

/// An error with advice.
pub(crate) fn error_help(
    code: &'static str,
    message: impl Into<String>,
    help: impl Into<String>,
) -> StoreError {
    StoreError {
        help: Some(help.into()),
        ..error(code, message)
    }
}

/// A file system error at a path.
pub(crate) fn io_error(doing: &str, path: &Path, cause: &io::Error) -> StoreError {
    let full = matches!(
        cause.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    );
    let message = format!("cannot {doing} {}: {cause}", path.display());
    if full {
        error_help(
            code::FULL,
            message,
            "free some space and run the command again; what was recorded before is intact",
        )
    } else {
        error(code::IO, message)
    }
}

/// Something that a newer kplan wrote.
pub(crate) fn newer_format(what: &str, format: u32) -> StoreError {
    error_help(
        code::NEWER_FORMAT,
        format!("{what} has format {format}, and this kplan reads formats up to {FORMAT}"),
        "use the kplan that wrote it, or a newer one; nothing was changed",
    )
}

/// A damaged file, with what can be done about it.
pub(crate) fn damaged(path: &Path, what: impl AsRef<str>) -> StoreError {
    error_help(
        code::DAMAGED,
        format!("{} is damaged: {}", path.display(), what.as_ref()),
        "put the file back from a backup, or run `kplan state repair`, which keeps a copy of \
         everything and says what it had to leave out; older states are in the folder `history`",
    )
}
