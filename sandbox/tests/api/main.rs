//! The simulated DigitalOcean API, called in memory.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail"
)]

mod account;
mod certificates;
mod client;
mod conformance;
mod databases;
mod domains;
mod droplets;
mod faults;
mod firewalls;
mod images;
mod judges;
mod kubectl;
mod load_balancers;
mod nodes;
mod process;
mod projects;
mod protocol;
mod restart;
mod session;
mod storage;
mod vpcs;
