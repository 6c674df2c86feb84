//! The state in a bucket, over a real S3 protocol server: two operators, runners that disappear,
//! holders that die or sleep, and moves there and back.

use crate::support::bucket::{Shared, file_at};
use crate::support::{Folder, Run};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const APPLY: &[&str] = &["apply", "--sandbox", "--auto-approve"];
const DESTROY: &[&str] = &[
    "destroy",
    "--sandbox",
    "--auto-approve",
    "--confirm",
    "demo",
];
const EMPTY: &[&str] = &["plan", "--sandbox", "--detailed-exitcode"];

/// Time scales of the cloud: an apply is over at once, or takes long enough to be interrupted.
const FAST: f64 = 2000.0;
const SLOW: f64 = 10.0;

impl Shared {
    fn kplan(&self, folder: &Folder, arguments: &[&str]) -> Run {
        Run::of(self.command(folder, arguments))
    }

    fn start(&self, folder: &Folder, arguments: &[&str]) -> Child {
        let mut command = self.command(folder, arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("kplan starts")
    }

    /// Fails the test unless a fresh plan finds nothing to do and nothing is there twice.
    fn converged(&self, folder: &Folder) {
        self.kplan(folder, APPLY).ok();
        self.kplan(folder, EMPTY).ok();
        let seen = self.first.inspect();
        let droplets = seen["resources"]["droplets"].as_array().map_or(0, Vec::len);
        assert_eq!(droplets, 1, "{:#}", seen["resources"]["droplets"]);
        let list = self.kplan(folder, &["state", "list", "--sandbox"]).ok().out;
        assert!(list.contains("droplet.servers[0]"), "{list}");
    }
}

/// Waits until something has begun in the cloud: the run holds the lock and is at work.
fn begun(shared: &Shared) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while shared.first.count("vpcs") == 0 {
        assert!(Instant::now() < deadline, "nothing began");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .args([name, &child.id().to_string()])
        .status();
    assert!(sent.is_ok_and(|status| status.success()), "kill {name}");
}

fn ended(child: Child) -> Run {
    let output = child.wait_with_output().expect("it ends");
    Run {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).expect("UTF-8 output"),
        err: String::from_utf8(output.stderr).expect("UTF-8 output"),
    }
}

#[test]
fn a_second_operator_sees_the_firsts_cluster_and_a_runners_folder_is_of_no_account() {
    let shared = Shared::with(FAST);
    shared.kplan(&shared.first, APPLY).ok();
    assert!(
        !shared
            .first
            .path()
            .join(".kplan/.sandbox/state/demo/snapshot")
            .exists()
    );
    let second = shared.other();
    shared.kplan(&second, EMPTY).ok();
    shared
        .kplan(&second, &["state", "verify", "--sandbox"])
        .ok();
    let history = shared
        .kplan(&second, &["state", "history", "--sandbox"])
        .ok();
    assert!(history.out.contains("apply"), "{}", history.out);
    shared
        .kplan(&second, &["kubeconfig", "--sandbox", "--path"])
        .ok();
    // Its folder goes; the state does not.
    drop(second);
    let third = shared.other();
    shared
        .kplan(&third, &["state", "rm", "--sandbox", "tag.owner"])
        .ok();
    let list = shared.kplan(&shared.first, &["state", "list", "--sandbox"]);
    assert!(!list.ok().out.contains("tag.owner"));
    let serials = shared
        .kplan(&third, &["state", "history", "--sandbox", "--json"])
        .ok()
        .json();
    let before = serials["entries"][0]["serial"].to_string();
    shared
        .kplan(
            &third,
            &["state", "restore", "--sandbox", "--auto-approve", &before],
        )
        .ok();
    shared.kplan(&shared.first, EMPTY).ok();
    shared.kplan(&third, DESTROY).ok();
    assert_eq!(shared.first.count("droplets"), 0);
}

#[test]
fn of_two_applies_at_once_one_is_told_of_the_other() {
    let shared = Shared::with(SLOW);
    let first = shared.start(&shared.first, APPLY);
    begun(&shared);
    let second = shared.other();
    let refused = shared.kplan(&second, APPLY).expect_code(5);
    assert!(refused.err.contains("state::locked"), "{}", refused.err);
    assert!(refused.err.contains("`apply` of "), "{}", refused.err);
    assert!(refused.err.contains("last sign of life"), "{}", refused.err);
    let waited = [APPLY, &["--lock-timeout", "2m"]].concat();
    let waited = shared.kplan(&second, &waited);
    ended(first).ok();
    // It waited, and planned against what the first had done meanwhile.
    waited.ok();
    shared.converged(&second);
}

#[test]
fn a_killed_holder_is_succeeded_once_its_lock_is_too_old() {
    let shared = Shared::with(SLOW);
    let mut first = shared.start(&shared.first, APPLY);
    begun(&shared);
    first.kill().expect("killed");
    first.wait().expect("dead");
    let second = shared.other();
    shared.kplan(&second, APPLY).expect_code(5);
    let waited = [APPLY, &["--lock-timeout", "2m"]].concat();
    shared.kplan(&second, &waited).ok();
    shared.converged(&second);
}

#[test]
fn a_holder_that_slept_is_fenced_and_nothing_is_there_twice() {
    let shared = Shared::with(SLOW);
    let first = shared.start(&shared.first, APPLY);
    begun(&shared);
    signal(&first, "-STOP");
    let second = shared.other();
    let waited = [APPLY, &["--lock-timeout", "2m"]].concat();
    shared.kplan(&second, &waited).ok();
    signal(&first, "-CONT");
    let fenced = ended(first).expect_code(5);
    assert!(fenced.err.contains("state::fenced"), "{}", fenced.err);
    shared.converged(&second);
}

#[test]
fn an_interrupted_holder_releases_the_lock() {
    let shared = Shared::with(SLOW);
    for name in ["-INT", "-TERM"] {
        let first = shared.start(&shared.first, APPLY);
        begun(&shared);
        signal(&first, name);
        assert!(matches!(ended(first).code, Some(0 | 130)), "{name}");
        // Nobody has to wait.
        shared.converged(&shared.first);
        shared.kplan(&shared.first, DESTROY).ok();
    }
}

#[test]
fn a_state_moves_into_the_bucket_and_back() {
    let shared = Shared::with(FAST);
    let local = file_at("local");
    shared.first.write(&local);
    shared.first.apply();
    shared.first.write(&shared.file());
    // The file says the bucket, and the state is still in the folder.
    let refused = shared
        .kplan(&shared.first, &["plan", "--sandbox"])
        .expect_code(1);
    assert!(refused.err.contains("state::elsewhere"), "{}", refused.err);
    let migrate = ["state", "migrate", "--sandbox"];
    let moved = shared.kplan(&shared.first, &migrate).ok();
    assert!(
        moved.out.contains("Moved the state of demo"),
        "{}",
        moved.out
    );
    shared.kplan(&shared.first, EMPTY).ok();
    let second = shared.other();
    shared.kplan(&second, EMPTY).ok();
    shared.kplan(&shared.first, &migrate).ok();
    shared.first.write(&local);
    let refused = shared
        .kplan(&shared.first, &["plan", "--sandbox"])
        .expect_code(1);
    assert!(refused.err.contains("state::moved"), "{}", refused.err);
    shared.kplan(&shared.first, &migrate).ok();
    shared.first.assert_no_changes();
    let refused = shared.kplan(&second, &["plan", "--sandbox"]).expect_code(1);
    assert!(refused.err.contains("state::moved"), "{}", refused.err);
}

#[test]
fn a_bucket_that_cannot_be_read_is_no_empty_state() {
    let shared = Shared::with(FAST);
    let bare = shared.first.kplan(&["plan", "--sandbox"]).expect_code(1);
    assert!(bare.err.contains("state::no_credentials"), "{}", bare.err);
    let mut denied = shared.command(&shared.first, &["plan", "--sandbox"]);
    let denied = Run::of({
        denied.env("SPACES_SECRET_ACCESS_KEY", "wrong");
        denied
    });
    assert!(denied.err.contains("state::denied"), "{}", denied.err);
    let text = shared.file().replace("acme-state", "acme-nowhere");
    shared.first.write(&text);
    let missing = shared.kplan(&shared.first, APPLY).expect_code(1);
    assert!(missing.err.contains("state::no_bucket"), "{}", missing.err);
    shared
        .first
        .write(&file_at("s3://acme-state?endpoint=http://127.0.0.1:1"));
    let silent = shared.kplan(&shared.first, APPLY).expect_code(1);
    assert!(silent.err.contains("state::unreachable"), "{}", silent.err);
    assert_eq!(shared.first.count("droplets"), 0);
}
