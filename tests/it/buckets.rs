//! What the embedded Spaces answered with success outlives `kill -9`, as a client that nobody here
//! wrote sees it.

use crate::support::repository;
use std::process::Command;

#[test]
fn what_was_answered_outlives_the_process() {
    let found = Command::new("python3")
        .args(["-c", "import boto3"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !found {
        kplan_conformance::skipped("python3 with boto3");
        return;
    }
    let output = Command::new("python3")
        .arg(repository().join("sandbox/tests/s3/crash.py"))
        .args([env!("CARGO_BIN_EXE_kplan"), "3"])
        .output()
        .expect("python3 starts");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.contains("steps, no surprise"), "{out}");
}
