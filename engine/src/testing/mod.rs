//! For tests: a scripted in-memory cloud with a handful of kinds, a journal that can be killed,
//! short ways to write declarations, and text forms of graphs and plans.

mod build;
mod cloud;
mod drain;
mod journal;
mod kinds;
mod lab;
mod text;

pub use build::{Build, decl, declare, int, list, map, reference, text as string};
pub use cloud::{Call, Cloud, CloudClock, Fault, Verb};
pub use journal::{Dying, MemoryJournal};
pub use kinds::{kinds, registry};
pub use lab::{Lab, Life};
pub use text::{graph_text, plan_text};
