//! Peak memory of one no-op plan from disk. A process of its own, as `VmHWM` only ever grows.
//! Budget: 300 MiB at 100,000 resources.

use super::apply::runtime;
use super::plan::{from_disk, written};
use super::world::{Shape, applied, declarations};
use kplan_state::Identity;
use std::process::Command;

/// Says in which folder the state is that the child plans, and with which identity.
const FOLDER: &str = "KPLAN_BENCH_FOLDER";

/// Writes the state in this process, plans in another, and prints what that one needed.
pub(crate) fn print(resources: u32) {
    if let Ok(folder) = std::env::var(FOLDER) {
        let folder = std::path::PathBuf::from(folder);
        let identity = Identity::load(&folder.join("identity")).expect("readable");
        let declarations = declarations(resources, Shape::Flat);
        let before = peak();
        runtime().block_on(from_disk(
            &folder.join("bench"),
            &identity.expect("an identity"),
            &declarations,
        ));
        println!(
            "{resources} resources: peak {} MiB (of them declarations and process {before} MiB)",
            peak()
        );
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let made = Identity::load_or_create(&dir.path().join("identity"));
    let (identity, _) = made.expect("an identity");
    let snapshot = applied(resources, Shape::Flat);
    written(&dir.path().join("bench"), &identity, snapshot);
    let status = Command::new(std::env::current_exe().expect("this program"))
        .args(["--memory", &resources.to_string()])
        .env(FOLDER, dir.path())
        .status();
    assert!(status.expect("it runs").success());
}

/// `VmHWM` of this process in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.and_then(|text| text.parse::<u64>().ok())
        .expect("a number of KiB")
        / 1024
}
