//! The shared store: the state of one cluster as objects in a store that several machines reach,
//! such as an S3-compatible bucket. Objects are only ever created, by exactly one of those who try,
//! and later removed; none is written over.
//!
//! | Object | What |
//! |---|---|
//! | `state/<number>` | the log: what one append made durable, or the fence of a run; contiguous over the state's whole life |
//! | `snapshot/<number>` | a checkpoint: the whole state up to that log object |
//! | `history/<serial>` | the state at the end of each run |
//! | `lock/<n>`, `lock/<n>/beat/<k>`, `lock/<n>/released` | the lock, see [`lease`] |
//! | `probe/<random>` | a probe of the store, removed at once |
//!
//! The state is *the newest checkpoint, then every log object with a higher number*.
//!
//! # Fencing
//!
//! Who takes lock *n* writes a fence, before anything else, at the first free number of the log. A
//! holder before it that still lives tries to write its next record under that very number, is
//! told that the object exists, reads the fence, and ends (`state::fenced`). So the log has one
//! writer at any point of it, whatever clocks say; clocks only decide who *may* try
//! ([`lease`]).
//!
//! # Every place a run can die
//!
//! | Died | Left behind | The next one finds |
//! |---|---|---|
//! | after `lock/<n>`, before the fence | a lock without signs of life | the state; it takes over when the lock is too old |
//! | creation: after the lock, before `snapshot/0` | no checkpoint, no log | no state: nothing was acknowledged |
//! | … after `snapshot/0` | an empty state | that, and goes on in it |
//! | after the fence | a fence | the state |
//! | during an append | the object, or not | the state with or without it; neither was promised |
//! | answer lost | the object, or not | the same run reads it back and compares the bytes, which hold a nonce; where the store does not answer it is poisoned |
//! | before, after a checkpoint | more or less to replay | the state |
//! | before the history entry | no entry for this run | the state |
//! | while removing | some of it | the state; the next run goes on |
//! | before `released` | a lock without signs of life | it takes over when the lock is too old |
//!
//! A missing or damaged object is never taken for an empty state: a checkpoint that cannot be read
//! has a predecessor, and anything else is `state::damaged`.

pub(crate) mod clock;
mod heart;
mod keys;
mod lease;
mod load;
mod moving;
pub(crate) mod objects;
mod probe;
mod reader;
mod record;
mod repair;
mod surgery;
mod tidy;
mod writer;

#[cfg(test)]
mod bucket;
#[cfg(test)]
mod tests;

pub use lease::LeaseTimes;
pub use reader::SharedReader;
pub(crate) use reader::exists;
pub(crate) use repair::repair;
pub use writer::{Claim, SharedWriter};
