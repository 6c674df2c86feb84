//! Plans in files: exactly what was read is carried out, and one that was changed, is too old, or is
//! about something that moved is refused with what is wrong.

use crate::support::{Folder, Run};
use kplan::planfile::{self, PlanFile, sha256};
use kplan_state::Identity;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Small, with a volume to change, a secret of its own, and a droplet beside the cluster.
const FILE: &str = r#"
[cluster]
name   = "demo"
region = "fra1"

[servers]
size = "s-2vcpu-4gb"

[cloud_controller]
token = { env = "CLOUD_TOKEN" }

[[volume]]
name = "data"
size = 10

[[volume]]
name = "other"
size = 10
"#;

const PLAN: &str = "p.plan";

struct Saved(Folder);

impl Saved {
    fn new() -> Self {
        Self(Folder::with(FILE))
    }

    fn run(&self, arguments: &[&str]) -> Run {
        self.with_token(arguments, "dop_v1_canary_cloud")
    }

    fn with_token(&self, arguments: &[&str], token: &str) -> Run {
        let mut command = self.0.command(&[arguments, &["--sandbox"]].concat());
        command.env("CLOUD_TOKEN", token);
        Run::of(command)
    }

    /// The file with another size of its first volume.
    fn grow(&self, size: u32) {
        let grown = FILE.replacen("size = 10", &format!("size = {size}"), 1);
        self.0.write(&grown);
    }

    fn save(&self) -> Run {
        self.run(&["plan", "--out", PLAN]).ok()
    }

    fn path(&self) -> PathBuf {
        self.0.path().join(PLAN)
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.path()).expect("as this test made it")
    }

    fn put(&self, bytes: &[u8]) {
        std::fs::write(self.path(), bytes).expect("as this test made it");
    }

    /// It is refused, with this code and these words, and nothing is changed.
    #[track_caller]
    fn refused(&self, exit: i32, code: &str, words: &[&str]) {
        let before = self.0.inspect()["resources"].clone();
        let run = self.run(&["apply", PLAN]).expect_code(exit);
        assert!(run.err.contains(code), "no {code}:\n{}", run.err);
        let said = run.err.split_whitespace().collect::<Vec<_>>().join(" ");
        for word in words {
            assert!(said.contains(word), "no `{word}`:\n{said}");
        }
        assert_eq!(self.0.inspect()["resources"], before);
    }

    fn volume(&self, name: &str) -> Value {
        let seen = self.0.inspect();
        let mut volumes = seen["resources"]["volumes"]
            .as_array()
            .expect("as this test made it")
            .iter();
        let found = volumes.find(|volume| {
            volume["name"]
                .as_str()
                .expect("as this test made it")
                .ends_with(name)
        });
        let found = found.unwrap_or_else(|| panic!("no {name}: {seen:#}"));
        let path = format!("/v2/volumes/{}", found["id"].as_str().expect("an id"));
        self.0.ask("GET", &path, None)["volume"].clone()
    }

    /// Somebody makes a volume larger by hand.
    fn resize(&self, name: &str, size: u32) {
        let volume = self.volume(name);
        let path = format!(
            "/v2/volumes/{}/actions",
            volume["id"].as_str().expect("as this test made it")
        );
        let body = json!({ "type": "resize", "size_gigabytes": size, "region": "fra1" });
        self.0.cloud("POST", &path, Some(&body));
    }
}

/// The file with another document in it, and a digest that fits.
fn forged(bytes: &[u8], change: impl Fn(&mut Value)) -> Vec<u8> {
    let end = bytes
        .iter()
        .position(|byte| *byte == b'\n')
        .expect("as this test made it");
    let head = std::str::from_utf8(&bytes[..end]).expect("as this test made it");
    let mut document: Value =
        serde_json::from_slice(&bytes[end + 1..]).expect("as this test made it");
    change(&mut document);
    let payload = serde_json::to_vec(&document).expect("as this test made it");
    let seal = head.rsplit(' ').next().expect("as this test made it");
    let head = format!(
        "kplan-plan 1 {} {} {seal}\n",
        payload.len(),
        sha256(&payload)
    );
    [head.into_bytes(), payload].concat()
}

#[test]
fn an_untouched_plan_is_carried_out_exactly_and_once() {
    let saved = Saved::new();
    // The first plan of all: there is no state yet, nor an identity.
    let shown = saved.save();
    shown.assert_says(&["Saved the plan to: p.plan", "kplan apply p.plan --sandbox"]);
    let document = saved.run(&["show", PLAN, "--json"]).ok().json();
    let planned: BTreeSet<String> = document["resource_changes"]
        .as_array()
        .expect("as this test made it")
        .iter()
        .map(|change| {
            change["address"]
                .as_str()
                .expect("as this test made it")
                .to_owned()
        })
        .collect();
    let events = saved.run(&["apply", PLAN, "--json"]).ok().out;
    let events = events
        .lines()
        .skip(1)
        .map(|line| serde_json::from_str::<Value>(line).expect("as this test made it"));
    let done: BTreeSet<String> = events
        .filter(|event| event["type"] == "apply_complete")
        .map(|event| {
            event["hook"]["resource"]["addr"]
                .as_str()
                .expect("as this test made it")
                .to_owned()
        })
        .collect();
    assert_eq!(done, planned);
    saved.run(&["plan", "--detailed-exitcode"]).ok();
    // It is done: doing it again would be something else.
    saved.refused(4, "planfile::stale", &["when there was no state yet"]);

    saved.grow(20);
    saved.save();
    // Nobody is asked, and only that is done.
    let run = saved.run(&["apply", PLAN]).ok();
    run.assert_says(&[
        "Carrying out the plan of",
        "0 added, 1 changed, 0 destroyed.",
    ]);
    assert_eq!(saved.volume("data")["size_gigabytes"], 20);
    let done = "volume.data: there is nothing to be done about it any more";
    saved.refused(4, "planfile::stale", &[done]);
    // A plan of nothing is one, too.
    saved.save();
    saved
        .run(&["apply", PLAN])
        .ok()
        .assert_says(&["No changes."]);
}

#[test]
fn a_file_that_was_changed_or_cut_is_refused_each_with_its_own_message() {
    let saved = Saved::new();
    saved.run(&["apply", "--auto-approve"]).ok();
    saved.grow(20);
    saved.save();
    let whole = saved.bytes();

    saved.put(&whole[..whole.len() - 40]);
    saved.refused(4, "planfile::truncated", &["is cut off"]);
    saved.put(&[&whole[..], b"\n"].concat());
    saved.refused(4, "planfile::longer", &["1 bytes more than it says"]);
    let mut damaged = whole.clone();
    let at = damaged.len() / 2;
    damaged[at] ^= 1;
    saved.put(&damaged);
    saved.refused(4, "planfile::damaged", &["its digest is not the one"]);
    saved.put(b"");
    saved.refused(1, "planfile::not_one", &["is empty"]);
    saved.put(FILE.as_bytes());
    saved.refused(1, "planfile::not_one", &["does not begin as one"]);
    let newer = String::from_utf8(whole.clone()).expect("as this test made it");
    let newer = newer.replacen("kplan-plan 1 ", "kplan-plan 2 ", 1);
    saved.put(newer.as_bytes());
    saved.refused(4, "planfile::format", &["format 2", "reads format 1"]);
    // With a digest that fits, the seal still does not.
    saved.put(&forged(&whole, |document| document["steps"] = json!([])));
    saved.refused(4, "planfile::forged", &["its seal does not fit"]);
    saved.put(&forged(&whole, |document| document["more"] = json!(1)));
    saved.refused(4, "planfile::unreadable", &["unknown field `more`"]);
    saved.put(&forged(&whole, |document| {
        document["pins"]["kplan"] = json!("9.9.9");
    }));
    saved.refused(4, "planfile::stale", &["another kplan", "9.9.9"]);
    saved.put(&forged(&whole, |document| {
        document["pins"]["cloud"] = json!("https://api.example.com");
    }));
    saved.refused(4, "planfile::stale", &["another cloud"]);
    std::fs::remove_file(saved.path()).expect("as this test made it");
    saved.refused(1, "planfile::missing", &[PLAN]);
    // What is no plan file is not written over.
    let file = saved.0.path().join("cluster.toml");
    let before = std::fs::read(&file).expect("the file");
    let run = saved.run(&["plan", "--out", "cluster.toml"]).expect_code(1);
    assert!(run.err.contains("planfile::unwritable"), "{}", run.err);
    assert_eq!(std::fs::read(&file).expect("the file"), before);
    // Nor does a seal help that somebody made with keys of their own.
    let stranger = Identity::generate();
    let mut plan = planfile::read(whole.clone()).expect("the real one").plan;
    let keys = stranger.plan_keys(None, &plan.pins.lineage);
    let (name, keys) = keys.expect("keys");
    plan.identity = Some(name);
    plan.steps.clear();
    let made_up = |plan: &PlanFile| planfile::write(plan, &keys).expect("bytes");
    saved.put(&made_up(&plan));
    saved.refused(4, "planfile::forged", &["its seal does not fit"]);
    let run = saved.run(&["show", PLAN]).expect_code(4);
    assert!(run.err.contains("planfile::other_identity"), "{}", run.err);
    plan.pins.serial = None;
    saved.put(&made_up(&plan));
    saved.refused(4, "planfile::stale", &["when there was no state yet"]);
    // And nothing of all that broke the real one.
    saved.put(&whole);
    saved
        .run(&["show", PLAN])
        .ok()
        .assert_says(&["volume.data will be updated"]);
    saved.run(&["apply", PLAN]).ok();
}

#[test]
fn a_plan_is_refused_when_what_it_was_made_of_is_another() {
    let saved = Saved::new();
    saved.run(&["apply", "--auto-approve"]).ok();
    saved.grow(20);
    saved.save();

    saved.grow(30);
    saved.refused(
        4,
        "planfile::stale",
        &["cluster.toml: the plan was made for sha256:"],
    );
    saved.grow(20);
    let lock = saved.0.path().join("kplan.lock");
    assert!(!lock.exists());
    std::fs::write(&lock, "format = 1\n").expect("as this test made it");
    saved.refused(
        4,
        "planfile::stale",
        &["kplan.lock: the plan was made for none"],
    );
    std::fs::remove_file(&lock).expect("as this test made it");
    let run = saved
        .with_token(&["apply", PLAN], "dop_v1_another")
        .expect_code(4);
    assert!(
        run.err
            .contains("the secret that env CLOUD_TOKEN gives is another"),
        "{}",
        run.err
    );
    // Another state of the same name.
    let other = Saved::new();
    other.run(&["apply", "--auto-approve"]).ok();
    other.grow(20);
    other.put(&saved.bytes());
    let run = other.run(&["apply", PLAN]).expect_code(4);
    assert!(
        run.err.contains("another state: its lineage is"),
        "{}",
        run.err
    );
    // No secret is in it, nor the digest of one that could be guessed.
    let text = String::from_utf8(saved.bytes()).expect("as this test made it");
    assert!(!text.contains("dop_v1_canary_cloud"));
    assert!(!text.contains(&sha256(b"dop_v1_canary_cloud")[7..]));
    saved.run(&["apply", PLAN]).ok();
}

#[test]
fn what_moved_is_named_and_what_is_unrelated_is_left_alone() {
    let saved = Saved::new();
    saved.run(&["apply", "--auto-approve"]).ok();
    saved.grow(20);
    saved.save();
    // Somebody deletes something else meanwhile: that is no reason, and no word of it is lost.
    let other = saved.volume("other");
    let path = format!("/v2/volumes/{}", other["id"].as_str().expect("an id"));
    saved.0.cloud("DELETE", &path, None);
    let run = saved.run(&["apply", PLAN]).ok();
    run.assert_says(&[
        "volume.other has been deleted",
        "Note: volume.other: it would be created now; it is not in the plan file",
        "0 added, 1 changed, 0 destroyed.",
    ]);
    let next = saved.run(&["plan"]).ok();
    next.assert_says(&[
        "volume.other has been deleted",
        "volume.other will be created",
    ]);

    // The real one was changed by hand, in the field the plan is about and nowhere on record.
    let fresh = Saved::new();
    fresh.run(&["apply", "--auto-approve"]).ok();
    fresh.grow(30);
    fresh.save();
    fresh.resize("data", 15);
    let moved = "volume.data: size was changed outside of kplan";
    fresh.refused(4, "planfile::stale", &["what moved:", moved]);
    // Somebody applies another size meanwhile: the record moved.
    fresh.grow(20);
    fresh.run(&["apply", "--auto-approve"]).ok();
    fresh.grow(30);
    fresh.refused(
        4,
        "planfile::stale",
        &["volume.data:", "is another on record"],
    );
    // It is gone.
    let path = format!(
        "/v2/volumes/{}",
        fresh.volume("data")["id"]
            .as_str()
            .expect("as this test made it")
    );
    fresh.0.cloud("DELETE", &path, None);
    fresh.refused(
        4,
        "planfile::stale",
        &["volume.data: it would be created now"],
    );
}

#[test]
fn a_plan_to_destroy_and_one_to_refresh_are_carried_out_from_their_files() {
    let saved = Saved::new();
    saved.run(&["apply", "--auto-approve"]).ok();
    saved.0.cloud(
        "DELETE",
        &format!(
            "/v2/volumes/{}",
            saved.volume("other")["id"]
                .as_str()
                .expect("as this test made it")
        ),
        None,
    );
    saved.run(&["plan", "--refresh-only", "--out", PLAN]).ok();
    saved.run(&["apply", PLAN]).ok();
    let known = saved.run(&["state", "list"]).ok().out;
    assert!(
        known.contains("volume.data") && !known.contains("volume.other"),
        "{known}"
    );
    saved.run(&["apply", "--auto-approve"]).ok();

    saved.run(&["plan", "--refresh-only", "--out", PLAN]).ok();
    saved.resize("other", 14);
    saved.refused(
        4,
        "planfile::stale",
        &["volume.other: it is seen otherwise"],
    );

    let fresh = Saved::new();
    fresh.run(&["apply", "--auto-approve"]).ok();
    fresh.run(&["plan", "--destroy", "--out", PLAN]).ok();
    let refused = fresh.run(&["apply", PLAN, "--target", "vpc.main"]);
    assert_eq!(refused.code, Some(1), "{}", refused.err);
    fresh.refused(6, "destroy::not_confirmed", &["destroys all of demo"]);
    let run = fresh.run(&["apply", PLAN, "--confirm", "demo"]);
    assert_eq!(run.code, Some(0), "{}\n{}", run.out, run.err);
    fresh.0.assert_cloud_empty();
}
