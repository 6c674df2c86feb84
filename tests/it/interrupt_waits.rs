//! An interrupt ends every wait: for the cloud, for the lock, at a prompt, for the rate limit, for
//! a call that hangs. Whatever was done is recorded, the lock is free, the next apply carries on.

use crate::flags::signal;
use crate::support::{Folder, SMALL};
use serde_json::json;
use std::io::Read;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

/// What CI runners leave between SIGTERM and SIGKILL.
const BEFORE_THE_KILL: Duration = Duration::from_millis(2500);

/// A kplan that runs, and what it says.
struct Running {
    child: Child,
    out: ChildStdout,
    err: ChildStderr,
    /// Held open: a prompt waits for it.
    _input: ChildStdin,
}

fn start(folder: &Folder, arguments: &[&str]) -> Running {
    let mut child = folder
        .command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kplan starts");
    Running {
        out: child.stdout.take().expect("its output"),
        err: child.stderr.take().expect("its errors"),
        _input: child.stdin.take().expect("its input"),
        child,
    }
}

/// Reads byte by byte, because a prompt ends no line.
fn until(from: &mut impl Read, word: &str) {
    let (mut text, mut byte) = (Vec::new(), [0]);
    while !text.ends_with(word.as_bytes()) {
        let read = from.read(&mut byte).expect("its output");
        let said = || String::from_utf8_lossy(&text).into_owned();
        assert!(read > 0, "it ended before it said `{word}`:\n{}", said());
        text.extend_from_slice(&byte);
    }
}

impl Running {
    fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Its exit code; fails the test when a SIGKILL would have come first.
    #[track_caller]
    fn ends(mut self, what: &str) {
        let deadline = Instant::now() + BEFORE_THE_KILL;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("wait") {
                assert_eq!(status.code(), Some(130), "{what}");
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(self.child.kill());
        drop(self.child.wait());
        panic!("{what}: an interrupt did not end it");
    }
}

/// A folder whose cloud runs, with faults in force.
fn with_faults(scale: f64, faults: serde_json::Value) -> Folder {
    let folder = Folder::with(SMALL).scaled(scale);
    folder.kplan(&["sandbox", "inspect", "--json"]).ok();
    set(&folder, faults);
    folder
}

fn set(folder: &Folder, faults: serde_json::Value) {
    let rules = json!({ "rules": faults });
    folder.cloud("POST", "/_sandbox/faults", Some(&rules));
}

/// What nobody knows the outcome of.
fn in_doubt(folder: &Folder) -> Vec<String> {
    let state = folder.kplan(&["show", "--sandbox", "--json"]).ok().json();
    let doubts = state["in_doubt"].as_array().cloned().unwrap_or_default();
    let addresses = doubts.iter().filter_map(|doubt| doubt.as_str());
    addresses.map(str::to_owned).collect()
}

/// Waits until a step is written down as begun and as nothing else: its call is under way.
fn until_called(folder: &Folder, address: &str) {
    for _ in 0..500 {
        let begun = folder.kplan(&["show", "--sandbox", "--json"]);
        if begun.code == Some(0) && in_doubt(folder) == [address] {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{address} was never called");
}

/// The cloud is well again: the next apply does the rest, and nothing exists twice.
fn carries_on(folder: &Folder) {
    set(folder, json!([]));
    folder.apply();
    folder.assert_no_changes();
    assert_eq!(folder.count("droplets"), 1);
    assert_eq!(folder.count("vpcs"), 1);
}

const APPLY: [&str; 3] = ["apply", "--sandbox", "--auto-approve"];

#[test]
fn every_signal_ends_what_waits_for_readiness_and_records_it() {
    for name in ["INT", "TERM", "HUP"] {
        // A droplet takes three quarters of a minute here: nobody waits for it.
        let folder = with_faults(1.0, json!([]));
        let mut run = start(&folder, &APPLY);
        until(&mut run.out, "droplet.servers[0]: Creating...");
        // Its answer is there before the signal, or the call is finished first.
        run.signal(name);
        run.ends(name);
        let state = folder.kplan(&["show", "--sandbox", "--json"]).ok().json();
        assert_eq!(state["in_doubt"], json!([]), "{name}: {state:#}");
        let list = folder.kplan(&["state", "list", "--sandbox"]).ok().out;
        let recorded = list.lines().filter(|line| line.starts_with("droplet."));
        assert_eq!(recorded.count(), folder.count("droplets"), "{name}: {list}");
    }
}

#[test]
fn a_call_that_hangs_is_given_up_at_the_second_signal_and_found_by_the_next_apply() {
    for committed in [false, true] {
        let hang = json!([{
            "method": "POST", "path": "/v2/droplets",
            "fault": { "kind": "timeout", "committed": committed },
        }]);
        // Ten minutes of the cloud are twenty seconds here.
        let folder = with_faults(30.0, hang);
        let mut run = start(&folder, &APPLY);
        // What else is under way at first is over soon.
        until_called(&folder, "droplet.servers[0]");
        run.signal("INT");
        until(&mut run.out, "Interrupt received.");
        run.signal("TERM");
        run.ends("a call that hangs");
        assert_eq!(in_doubt(&folder), ["droplet.servers[0]"]);
        carries_on(&folder);
    }
}

#[test]
fn one_signal_ends_a_wait_for_the_rate_limit_and_leaves_no_doubt() {
    let refuse = json!([{
        "method": "POST", "path": "/v2/droplets",
        "fault": { "kind": "too_many_requests", "retry_after": 60 },
    }]);
    let folder = with_faults(2000.0, refuse);
    let mut run = start(&folder, &APPLY);
    until(&mut run.err, "for the DigitalOcean rate limit");
    run.signal("TERM");
    run.ends("a wait for the rate limit");
    let state = folder.kplan(&["show", "--sandbox", "--json"]).ok().json();
    assert_eq!(state["in_doubt"], json!([]), "{state:#}");
    carries_on(&folder);
}

#[test]
fn one_signal_ends_whatever_comes_before_the_first_change() {
    // A refresh that hangs.
    let folder = Folder::with(SMALL);
    folder.apply();
    let hang = json!([{ "method": "GET", "fault": { "kind": "delay", "seconds": 80_000 } }]);
    set(&folder, hang);
    for command in [&["plan", "--sandbox"][..], &APPLY] {
        let run = start(&folder, command);
        // It has to reach the cloud first; nothing it says tells when.
        std::thread::sleep(Duration::from_millis(500));
        run.signal("INT");
        run.ends("a refresh");
    }
    set(&folder, json!([]));

    // A prompt.
    folder.write(&format!(
        "{SMALL}\n[[volume]]\nname = \"data\"\nsize = 10\n"
    ));
    let mut asking = start(&folder, &["apply", "--sandbox"]);
    until(&mut asking.out, "Enter a value: ");

    // The lock that the prompt holds.
    let waiting = start(&folder, &["apply", "--sandbox", "--lock-timeout", "5m"]);
    std::thread::sleep(Duration::from_millis(500));
    waiting.signal("HUP");
    waiting.ends("a wait for the lock");

    asking.signal("INT");
    asking.ends("a prompt");
    assert_eq!(folder.count("volumes"), 0);
    folder.apply();
    assert_eq!(folder.count("volumes"), 1);
}

#[test]
fn a_reader_that_goes_away_loses_no_record() {
    let folder = Folder::with(SMALL);
    let mut run = start(&folder, &APPLY);
    until(&mut run.out, "\n");
    drop((run.out, run.err));
    let status = run.child.wait().expect("it ends");
    assert_eq!(status.code(), Some(0));
    folder.assert_no_changes();
    assert_eq!(folder.count("droplets"), 1);
}
