//! The one integration-test binary: the real `kplan` against its embedded cloud.

mod budget;
mod cli;
mod conformance;
mod kill;
mod lifecycle;
mod secrets;
mod support;
#[path = "../tidy/mod.rs"]
mod tidy;
