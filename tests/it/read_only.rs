//! Planning and drift change nothing: not the state, whoever owns its folder, and nothing in the cloud.

use crate::support::{Folder, Run, SMALL};
use serde_json::Value;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const BESIDE: &str = "\n[[volume]]\nname = \"data\"\nsize = 10\n";

/// The commands that only look, and how each ends where a droplet is gone.
const LOOKS: [(&[&str], i32); 6] = [
    (&["plan", "--sandbox"], 0),
    (&["plan", "--sandbox", "--destroy"], 0),
    (&["plan", "--sandbox", "--refresh-only"], 0),
    (&["drift", "--sandbox"], 2),
    (&["doctor", "--sandbox"], 1),
    (&["show", "--sandbox"], 0),
];

/// The same command, with its cloud's requests in a log.
fn logged(folder: &Folder, arguments: &[&str]) -> Run {
    let mut command = folder.command(arguments);
    command.env("KPLAN_SANDBOX_LOG", "json");
    Run::of(command)
}

/// Requests that may change something, of every service of the cloud. Requests do not wait for the
/// log, so it is read when it has the last of them, which is this one.
fn changing(folder: &Folder, last: &str) -> Vec<String> {
    let log = folder.path().join(".kplan/.sandbox/cloud/log");
    let last = format!("/v2/account?last={last}");
    folder.cloud("GET", &last, None);
    let mut text = String::new();
    for _ in 0..1000 {
        text = std::fs::read_to_string(&log).expect("the log");
        if text.contains(&last) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(text.contains(&last), "the log lacks {last}");
    let lines = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let requests = lines.filter(|line: &Value| line["method"].is_string());
    let mut all = Vec::new();
    for request in requests {
        let [service, method, target] =
            ["service", "method", "target"].map(|name| request[name].as_str().expect("text"));
        // A server's dry run answers and does nothing.
        if !["GET", "HEAD"].contains(&method) && !target.contains("dryRun=All") {
            all.push(format!("{service} {method} {target}"));
        }
    }
    all
}

/// Every file of the state: what is in it, and when it was written.
fn files(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            let written = path.metadata().expect("about it").modified();
            let bytes = std::fs::read(&path).expect("a file");
            all.insert(path, (bytes, written.expect("a time")));
        }
    }
    all
}

#[test]
fn what_only_looks_sends_nothing_that_changes_and_writes_nothing_into_the_state() {
    let folder = Folder::with(SMALL);
    logged(&folder, &["apply", "--sandbox", "--auto-approve"]).ok();
    let made = changing(&folder, "applied");
    for service in ["api ", "spaces ", "kubernetes "] {
        // Else the log would not tell.
        assert!(made.iter().any(|it| it.starts_with(service)), "{made:?}");
    }
    let state = folder.path().join(".kplan/.sandbox/state/demo");
    let before = files(&state);
    assert!(!before.is_empty());
    // With something to do, somebody else's change, and something gone.
    folder.write(&format!("{SMALL}{BESIDE}"));
    folder.lose_droplets(|_| true);
    let made = changing(&folder, "before");
    for (look, code) in LOOKS {
        let run = folder.kplan(look).expect_code(code);
        assert!(!run.err.contains("this is a bug"), "{look:?}: {}", run.err);
    }
    folder.kplan(&["plan", "--sandbox", "--out", "p.plan"]).ok();
    let now = changing(&folder, "after");
    assert_eq!(made, now, "{:#?}", &now[made.len()..]);
    assert_eq!(before, files(&state));
}

#[test]
fn who_may_not_write_the_state_may_look() {
    let is_root = is_root();
    if is_root && Command::new("setpriv").arg("--version").output().is_err() {
        kplan_conformance::skipped("setpriv");
        return;
    }
    let folder = Folder::with(SMALL);
    folder.apply();
    folder.lose_droplets(|_| true);
    let state = folder.path().join(".kplan/.sandbox/state/demo");
    let program = folder.path().join("kplan");
    let mut looks = LOOKS.map(|(look, code)| (folder.command(look), code));
    if is_root {
        // Root may write everything: somebody else looks, whose program lies beside the file.
        std::fs::copy(env!("CARGO_BIN_EXE_kplan"), &program).expect("a copy");
        for tree in [folder.path(), folder.home()] {
            give_away(tree);
        }
        looks = LOOKS.map(|(look, code)| (as_nobody(&folder, &program, look), code));
    }
    for (path, mode) in tree(&state) {
        let only_read = std::fs::Permissions::from_mode(mode & 0o555);
        std::fs::set_permissions(path, only_read).expect("a mode");
    }
    for (look, code) in looks {
        let run = Run::of(look).expect_code(code);
        assert!(!run.err.contains("ermission"), "{}", run.err);
    }
    // It could not have been written: an apply cannot.
    let mut apply = folder.command(&["apply", "--sandbox", "--auto-approve"]);
    if is_root {
        apply = as_nobody(&folder, &program, &["apply", "--sandbox", "--auto-approve"]);
    }
    let apply = Run::of(apply);
    assert!(!matches!(apply.code, Some(0)), "{}", apply.out);
    for (path, mode) in tree(&state) {
        let writable = std::fs::Permissions::from_mode(mode | 0o700);
        std::fs::set_permissions(path, writable).expect("a mode");
    }
}

fn is_root() -> bool {
    let output = Command::new("id")
        .arg("-u")
        .output()
        .expect("who runs this");
    output.stdout == b"0\n"
}

/// A folder and everything below it, with its mode.
fn tree(folder: &Path) -> Vec<(PathBuf, u32)> {
    let mode = |path: &Path| path.metadata().expect("about it").permissions().mode();
    let mut all = vec![(folder.to_owned(), mode(folder))];
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            all.extend(tree(&path));
        } else {
            all.push((path.clone(), mode(&path)));
        }
    }
    all
}

const NOBODY: u32 = 65534;

fn give_away(folder: &Path) {
    for (path, _) in tree(folder) {
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).expect("another owner");
    }
}

fn as_nobody(folder: &Folder, program: &Path, look: &[&str]) -> Command {
    let usual = folder.command(look);
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(program)
        .args(look)
        .current_dir(folder.path())
        .env_clear();
    for (name, value) in usual.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command
}
