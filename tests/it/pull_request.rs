//! A pull request from its first commit to the apply: two checkouts of one repository, the state in
//! a bucket, the plan made in one, shown on GitHub, merged, and carried out in the other.

use crate::support::bucket::Shared;
use crate::support::hub::Hub;
use crate::support::{Folder, Run};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const VOLUMES: &str = "
[[volume]]
name = \"data\"
size = 10

[[volume]]
name = \"other\"
size = 10
";
/// Where the plan lies in either checkout; Git does not know it.
const PLAN: &str = ".kplan/p.plan";

/// Git in a folder, with nobody's settings.
fn git(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(arguments);
    command
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null");
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "Ada");
        command.env(format!("GIT_{who}_EMAIL"), "ada@example.com");
    }
    let output = command.output().expect("git runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {told}");
}

fn has_git() -> bool {
    let there = Command::new("git").arg("--version").output();
    let there = there.is_ok_and(|output| output.status.success());
    if !there {
        kplan_conformance::skipped("git");
    }
    there
}

/// A repository, the main branch's checkout on which applies run, and the one on which a pull request
/// is planned.
struct Project {
    shared: Shared,
    planner: Folder,
    hub: Hub,
    _origin: TempDir,
}

impl Project {
    fn new() -> Self {
        let shared = Shared::with(2000.0);
        let origin = TempDir::new().expect("a folder");
        git(origin.path(), &["init", "--quiet", "--bare", "-b", "main"]);
        let url = origin.path().to_str().expect("a path");
        let main = shared.first.path();
        shared.first.write(&file(&shared, 10));
        std::fs::write(main.join(".gitignore"), ".kplan/\nexchanges.jsonl\n").expect("written");
        git(main, &["init", "--quiet", "-b", "main"]);
        git(main, &["remote", "add", "origin", url]);
        git(main, &["add", "."]);
        git(main, &["commit", "--quiet", "-m", "The cluster"]);
        git(main, &["push", "--quiet", "origin", "main"]);
        let apply = ["apply", "--sandbox", "--auto-approve"];
        Run::of(shared.command(&shared.first, &apply)).ok();
        let planner = shared.other();
        git(planner.path(), &["init", "--quiet", "-b", "main"]);
        git(planner.path(), &["remote", "add", "origin", url]);
        Self {
            shared,
            planner,
            hub: Hub::new(),
            _origin: origin,
        }
    }

    /// A branch on which the volume has another size; its plan, and what the pull request says.
    fn propose(&self, branch: &str, size: u32) -> String {
        let here = self.planner.path();
        git(here, &["fetch", "--quiet", "origin"]);
        git(
            here,
            &[
                "checkout",
                "--quiet",
                "--force",
                "-B",
                branch,
                "origin/main",
            ],
        );
        self.planner.write(&file(&self.shared, size));
        git(here, &["commit", "--quiet", "-am", "A larger volume"]);
        git(here, &["push", "--quiet", "origin", branch]);
        self.plan(&["plan", "--sandbox", "--detailed-exitcode", "--out", PLAN])
            .expect_code(2);
        self.plan(&["comment", PLAN, "--sandbox"]).ok();
        let github = self.hub.github();
        assert_eq!(github.comments.len(), 1, "one comment, whatever is pushed");
        github.comments[0].body.clone()
    }

    /// `kplan` in the job of the pull request.
    fn plan(&self, arguments: &[&str]) -> Run {
        let command = self.shared.command(&self.planner, arguments);
        let mut command = self.hub.of(command);
        command
            .env("CI", "true")
            .env("GITHUB_REPOSITORY", "acme/infra")
            .env("GITHUB_REF", "refs/pull/7/merge");
        Run::of(command)
    }

    /// Brings a branch to the main one, and the plan as an artifact to the job there.
    fn merge(&self, branch: &str, how: &str) {
        let main = self.shared.first.path();
        let branch = format!("origin/{branch}");
        git(main, &["fetch", "--quiet", "origin"]);
        git(main, &["merge", "--quiet", how, &branch]);
        if how == "--squash" {
            git(main, &["commit", "--quiet", "-m", "Squashed"]);
        }
        git(main, &["push", "--quiet", "origin", "main"]);
        std::fs::copy(self.planner.path().join(PLAN), main.join(PLAN)).expect("the artifact");
    }

    fn apply(&self) -> Run {
        let arguments = ["apply", PLAN, "--sandbox"];
        Run::of(self.shared.command(&self.shared.first, &arguments))
    }

    /// Everything there is but the bucket of the state, and all of volumes.
    fn world(&self) -> Value {
        let cloud = &self.shared.first;
        let mut world = cloud.inspect()["resources"].clone();
        let buckets = world["buckets"].as_array_mut().expect("buckets");
        buckets.retain(|bucket| bucket["name"] != "acme-state");
        let answer = cloud.cloud("GET", "/v2/volumes", None);
        let (start, end) = (answer.find('{'), answer.rfind('}'));
        let document = &answer[start.expect("an object")..=end.expect("an object")];
        let document: Value = serde_json::from_str(document).expect("JSON");
        world["volumes"] = document["volumes"].clone();
        world
    }

    /// Everything there is, but with this size of the volume.
    fn with_size(&self, size: u32) -> Value {
        let mut world = self.world();
        let data = data(&mut world);
        assert_ne!(data["size_gigabytes"], size);
        data["size_gigabytes"] = json!(size);
        world
    }

    /// Somebody makes the volume larger by hand.
    fn resize(&self, size: u32) {
        let mut world = self.world();
        let volume = data(&mut world);
        let path = format!(
            "/v2/volumes/{}/actions",
            volume["id"].as_str().expect("an id")
        );
        let body = json!({ "type": "resize", "size_gigabytes": size, "region": "fra1" });
        self.shared.first.cloud("POST", &path, Some(&body));
    }
}

fn file(shared: &Shared, size: u32) -> String {
    let volumes = VOLUMES.replacen("size = 10", &format!("size = {size}"), 1);
    format!("{}{volumes}", shared.file())
}

/// The volume that grows.
fn data(world: &mut Value) -> &mut Value {
    let volumes = world["volumes"].as_array_mut().expect("volumes");
    let found = volumes.iter_mut().find(|one| one["name"] == "data");
    found.expect("the volume")
}

#[test]
fn what_was_read_in_the_pull_request_is_what_the_merge_does() {
    if !has_git() {
        return;
    }
    let project = Project::new();
    for (branch, size, how) in [("grow", 20, "--no-ff"), ("grow-more", 30, "--squash")] {
        let body = project.propose(branch, size);
        for words in [
            "<!-- kplan:plan:demo -->\n",
            "1 to change",
            "`volume.data`",
            "size",
        ] {
            assert!(body.contains(words), "no `{words}`:\n{body}");
        }
        assert!(!body.contains("volume.other"), "{body}");
        let expected = project.with_size(size);
        project.merge(branch, how);
        let run = project.apply().ok();
        run.assert_says(&[
            "Carrying out the plan of",
            "0 added, 1 changed, 0 destroyed.",
        ]);
        // After a squash the commit that was planned is in nobody's history.
        let strange = run.out.contains("is not in the history of this checkout");
        assert_eq!(strange, how == "--squash", "{}", run.out);
        assert_eq!(project.world(), expected);
    }
}

#[test]
fn a_change_of_the_real_world_before_the_merge_is_refused_with_what_moved() {
    if !has_git() {
        return;
    }
    let project = Project::new();
    project.propose("grow", 20);
    project.resize(15);
    let before = project.world();
    project.merge("grow", "--no-ff");
    let run = project.apply().expect_code(4);
    let said = run.err.split_whitespace().collect::<Vec<_>>().join(" ");
    let moved = "volume.data: size was changed outside of kplan";
    for words in [
        "planfile::stale",
        "what moved:",
        moved,
        "nothing was changed",
    ] {
        assert!(said.contains(words), "no `{words}`:\n{}", run.err);
    }
    assert_eq!(project.world(), before);

    // Planned anew on the main branch, and read again, it is done.
    let main = &project.shared.first;
    let anew = ["plan", "--sandbox", "--out", PLAN];
    let anew = Run::of(project.shared.command(main, &anew)).ok();
    anew.assert_says(&["volume.data will be updated"]);
    let expected = project.with_size(20);
    project.apply().ok();
    assert_eq!(project.world(), expected);
}
