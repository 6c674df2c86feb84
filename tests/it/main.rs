//! The one integration-test binary: the real `kplan` against its embedded cloud.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests stand outside test functions; a failing one fails its test"
)]

mod addons;
mod backup;
mod backup_store;
mod blocks;
mod buckets;
mod budget;
mod cli;
mod comment;
mod conformance;
mod copy;
mod corruption;
#[cfg(test)]
#[path = "../../providers/tests/kubernetes/definitions.rs"]
mod definitions;
mod destroy_kills;
mod destroyed;
mod destroying;
mod discover;
mod dns;
mod doctor;
mod drift;
mod failures;
mod flags;
mod generate;
#[cfg(test)]
#[path = "../../providers/tests/github/stand_in.rs"]
mod github;
mod gitops;
mod interrupt;
mod interrupt_waits;
mod json;
mod kill;
mod lifecycle;
mod lock;
mod nodes;
mod operations;
mod orphans;
mod planfile;
mod planjson;
mod plans;
mod preflight;
mod pull_request;
mod read_only;
mod reference;
mod relocate;
mod remainders;
mod restore;
mod restore_snapshot;
mod rotate;
mod secrets;
mod shared;
mod state;
mod support;
#[path = "../tidy/mod.rs"]
mod tidy;
mod upgrade;
mod workflows;
