//! The whole of kplan below its command line, with the real providers, over a cloud, a disk and a
//! clock in memory: random files, random edits, faults and kills drawn from a seed, and an oracle
//! that says whether anything was lost, made twice or destroyed by mistake.
//!
//! One thread, no sockets between kplan and the cloud, paused time: a seed always gives the same
//! schedule, and a schedule the same run. `docs/internals/simulation.md` says how to use it.

pub mod disk;
pub mod fate;
pub mod file;
#[cfg(test)]
mod first_boot;
#[cfg(test)]
mod late;
pub mod life;
pub mod net;
pub mod objects;
pub mod oracle;
#[cfg(test)]
mod order;
pub mod run;
pub mod schedule;
pub mod shrink;
pub mod world;

pub use run::{Verdict, run};
pub use schedule::Schedule;
pub use shrink::shrink;
