//! The simulated DigitalOcean API, called in memory.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail"
)]

mod account;
mod backups;
mod certificates;
mod client;
mod conformance;
mod coverage;
mod database_settings;
mod databases;
mod destroy;
mod domains;
mod droplets;
mod faults;
mod firewalls;
mod fuzz;
mod images;
mod judges;
mod load_balancers;
mod nodes;
mod process;
mod projects;
mod protocol;
mod restart;
mod session;
mod spaces_keys;
mod storage;
mod tags;
mod volumes;
mod vpcs;

#[path = "../../../tests/corpus/json.rs"]
mod json;
#[path = "../../../tests/corpus/mutate.rs"]
mod mutate;
