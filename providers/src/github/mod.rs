//! GitHub, as far as a plan is shown there: one comment of a pull request that is written anew
//! instead of a second one.
//!
//! No resource of a plan is here, so nothing is journaled and nothing needs a permit. What is
//! written is one comment of the token's own.

mod client;
mod comments;
mod errors;

pub use client::{GitHub, GitHubConfig};
pub use comments::{Action, Other, Sticky, Thread};
