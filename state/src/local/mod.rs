//! The local store: one folder per cluster.
//!
//! | File | What | Written |
//! |---|---|---|
//! | `snapshot` | the whole state up to batch *s* | exchanged whole, by rename |
//! | `journal` | the batches after some batch *j* ≤ *s*, up to the newest | appended, one `fdatasync` a batch |
//! | `snapshot.1`, `journal.1` | the pair before, for the case that `snapshot` is damaged | exchanged whole |
//! | `mark` | the newest acknowledged batch | over itself, after the journal, never `fsync`ed |
//! | `history/<serial>.json` | the state at the end of each run | once, never changed |
//! | `store/` | the writer's store | after the journal |
//! | `lock` | the writer's lock, and who holds it | never removed |
//! | `moved` | where the state is now, once it was moved away | at the end of a move |
//! | `damaged/` | copies of what had to give way | before a repair |
//!
//! # What is durable when
//!
//! A batch is what one `append` was given. It is acknowledged after `write` and `fdatasync` of
//! one frame of `journal`, and from then on no crash loses it. Everything else (the store, the
//! snapshot, the history) comes later and can be made from it. The state is always *snapshot,
//! then every batch of the journal with a higher number*; batches are numbered without gaps over
//! the whole life of the state, so a batch that both files hold is applied once, and a batch that
//! neither holds is noticed.
//!
//! # Every place a writer can die
//!
//! Let *S1* be the batch the old snapshot ends with and *S2* the newest.
//!
//! | Died | Left behind | The next one finds |
//! |---|---|---|
//! | while appending | part of a frame at the end of `journal` | the state before that batch, which was never acknowledged; a notice; a writer copies the file to `damaged/` and cuts it |
//! | between `write` and `fdatasync` | a whole frame, or none | the state with or without that batch; neither was promised. The next writer synchronises what it found before it goes on from it |
//! | between journal and mark | a mark that is behind | the state; the mark is brought up to date |
//! | in the middle of writing the mark | half a mark | the state; a notice; the mark is made anew |
//! | between journal and store | a store that is behind | the state; the store is brought up to date |
//! | checkpoint: writing `snapshot.tmp` | a `.tmp` file | *S1* + journal to *S2*; the file is never read and is removed |
//! | … after `snapshot.1` := copy of `snapshot` | `snapshot.1` is *S1* too | the same; should `snapshot` be damaged: `snapshot.1` *S1* + journal to *S2* |
//! | … after `snapshot` := *S2* | a journal from *S1* to *S2* | *S2*; the journal's batches are old news; writing goes on in it; should `snapshot` be damaged: *S1* + journal |
//! | … after `journal.1` := copy of `journal` | both journals equal | the same |
//! | … after `journal` := empty, after *S2* | the new pair | *S2*; should `snapshot` be damaged: `snapshot.1` *S1* + `journal.1` to *S2* + `journal` |
//! | before the history entry | no entry for this run | the state; the next run that changes something adds one |
//! | creation: before `snapshot` | `snapshot.1`, `journal` and `mark`, all of batch 0 | no state: nothing was acknowledged; the next writer makes one |
//!
//! Each exchange is: write `name.tmp`, `fsync` it, rename it to `name`, `fsync` the folder. A name
//! therefore always stands for whole contents, and a later exchange is never durable before an
//! earlier one. The journal is *copied* to `journal.1`, never renamed to it, so there is no moment
//! without `journal`: a missing journal is damage, not an ordinary leftover.
//!
//! # Readers beside a writer
//!
//! A reader reads `mark`, then `snapshot`, then `journal`: what the mark says is in the other two
//! when they are read later. A writer that is faster leaves it with the old
//! snapshot and a journal that begins later (a gap) or with half a frame; the reader looks again,
//! a bounded number of times, before it believes either.
//!
//! # Damage
//!
//! A bad frame with a good one behind it was acknowledged once: `state::damaged`, with the
//! offset, and nothing is guessed ([`repair`](repair()) leaves it out when asked). Of a bad or missing last
//! frame the journal alone cannot say whether it was acknowledged; the mark can: a state that ends
//! before the mark is `state::damaged` too, for readers and writers. Only what the mark does not
//! speak of is a torn write, left out with a notice. (A power loss may take the mark back, not the
//! journal; a damaged last frame is then taken for a torn one, as it is where there is no mark,
//! with a notice of its own.) The store is one more witness: when it remembers more, the next
//! writer refuses. A damaged snapshot is rebuilt from its predecessor. A folder in which
//! any file speaks of an earlier state is never taken for an empty one.
//!
//! After a failed write the writer is poisoned: the end of the file is unknown, and after a failed
//! `fsync` the kernel may have dropped the pages and report success the next time. The next
//! process reads what is really there.

mod aside;
mod checkpoint;
pub(crate) mod disk;
mod document;
pub(crate) mod files;
pub(crate) mod frame;
pub(crate) mod history;
pub(crate) mod load;
mod lock;
pub(crate) mod mark;
mod moved;
mod moving;
mod opening;
mod reader;
mod repair;
mod store;
mod witness;
mod writer;

#[cfg(test)]
mod faulty;
#[cfg(test)]
mod tests;

pub use disk::{Append, Disk, Held, Overwrite};
pub use document::{Document, Verified};
pub use history::{HistoryEntry, KEPT as HISTORY_KEPT};
pub(crate) use history::{entry_of, no_entry, state_of, written as written_entry};
pub use lock::Holder;
pub use reader::{Loaded, LocalReader};
pub use repair::repair;
pub use writer::{CHECKPOINT_BYTES, LocalWriter, WriteOptions};
pub(crate) use writer::{checkpoint_failed, other_lineage, poisoned};
