//! The action and the workflows of the guide: held against actionlint and shellcheck, and the
//! action's own script run with the real `kplan`.

use crate::support::hub::Hub;
use crate::support::{Folder, Run, SMALL, repository};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tempfile::TempDir;

const PAGE: &str = "docs/guide/pull-requests.md";
/// How the page names the action, and how actionlint finds it here.
const PUBLIC: &str = "acme/kplan@v1";
const LOCAL: &str = "./kplan";

fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).expect(path)
}

/// The workflows of the page by their path, which is their first line.
fn workflows() -> BTreeMap<String, String> {
    let page = read(PAGE);
    let fences = page.split("```yaml\n").skip(1);
    fences
        .map(|fence| {
            let (text, _) = fence.split_once("\n```").expect("the fence ends");
            let path = text.lines().next().and_then(|line| line.strip_prefix("# "));
            (path.expect("a path").to_owned(), text.to_owned())
        })
        .collect()
}

fn action() -> Value {
    serde_norway::from_str(&read("action.yml")).expect("YAML")
}

fn steps(action: &Value) -> &[Value] {
    action["runs"]["steps"].as_array().expect("steps")
}

fn there(program: &str, flag: &str) -> bool {
    let there = Command::new(program).arg(flag).output();
    let there = there.is_ok_and(|output| output.status.success());
    if !there {
        kplan_conformance::skipped(program);
    }
    there
}

#[test]
fn the_workflows_of_the_guide_are_clean_for_actionlint() {
    let workflows = workflows();
    let paths: Vec<&str> = workflows.keys().map(String::as_str).collect();
    let all = ["apply", "drift", "plan"].map(|name| format!(".github/workflows/{name}.yml"));
    assert_eq!(paths, all);
    if !there("actionlint", "-version") || !there("shellcheck", "--version") {
        return;
    }
    let folder = TempDir::new().expect("a folder");
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("written");
    };
    // It takes the folder of a repository for one by this.
    write(".git/HEAD", "ref: refs/heads/main\n");
    write("kplan/action.yml", &read("action.yml"));
    for (path, text) in &workflows {
        assert!(text.contains(PUBLIC), "{path}");
        write(path, &text.replace(PUBLIC, LOCAL));
    }
    let lint = || {
        let mut command = Command::new("actionlint");
        command.args(["-no-color", "-shellcheck", "shellcheck", "-pyflakes", ""]);
        command.args(&paths).current_dir(folder.path());
        Run::of(command)
    };
    let clean = lint();
    assert_eq!(clean.code, Some(0), "{}{}", clean.out, clean.err);
    // The judge sees what it is there for: an input that the action has not, and a bare variable.
    let (path, text) = workflows.iter().next().expect("a workflow");
    let bad = text
        .replace(PUBLIC, LOCAL)
        .replace("command: apply", "comand: apply");
    write(path, &bad.replace("commit \"$head\"", "commit $head"));
    let found = lint().expect_code(1).out;
    for words in [
        "missing input \"command\"",
        "\"comand\" is not defined",
        "SC2086",
    ] {
        assert!(found.contains(words), "no `{words}`:\n{found}");
    }
}

#[test]
fn the_workflows_ask_for_no_more_than_they_need() {
    for (path, text) in workflows() {
        let workflow: Value = serde_norway::from_str(&text).expect(&path);
        assert_eq!(workflow["permissions"], serde_json::json!({}), "{path}");
        assert!(workflow["concurrency"]["group"].is_string(), "{path}");
        let jobs = workflow["jobs"].as_object().expect("jobs");
        for (name, job) in jobs {
            assert!(job["permissions"].is_object(), "{path} {name}");
            let secret = job.to_string().contains("secrets.");
            assert_eq!(secret, job["environment"].is_string(), "{path} {name}");
            for step in job["steps"].as_array().expect("steps") {
                let script = step["run"].as_str().unwrap_or_default();
                assert!(!script.contains("${{"), "{path} {name}: {script}");
                let checkout = step["uses"]
                    .as_str()
                    .unwrap_or_default()
                    .contains("checkout");
                let kept = &step["with"]["persist-credentials"];
                assert!(!checkout || kept == false, "{path} {name}");
            }
        }
        for word in ["pull_request_target", "workflow_run", "write-all"] {
            assert!(!text.contains(word), "{path}: {word}");
        }
    }
}

#[test]
fn the_action_is_composite_and_no_input_is_part_of_a_script() {
    let action = action();
    assert_eq!(action["runs"]["using"], "composite");
    for (name, input) in action["inputs"].as_object().expect("inputs") {
        assert!(input["description"].is_string(), "{name}");
    }
    for output in action["outputs"].as_object().expect("outputs").values() {
        assert!(
            output["value"]
                .as_str()
                .expect("a value")
                .starts_with("${{ steps.")
        );
    }
    for step in steps(&action) {
        assert_eq!(step["shell"], "bash", "{step:#}");
        let script = step["run"].as_str().expect("a script");
        assert!(!script.contains("${{"), "{script}");
        shellchecked(script);
    }
}

fn shellchecked(script: &str) {
    if !there("shellcheck", "--version") {
        return;
    }
    let mut command = Command::new("shellcheck");
    command.args(["--shell=bash", "--severity=style", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(script.as_bytes()).expect("it listens");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
}

/// The smallest file, with a volume that somebody can make larger by hand.
const VOLUME: &str = "\n[[volume]]\nname = \"data\"\nsize = 10\n";

/// A runner: a folder, and what the action gave back.
struct Runner {
    folder: Folder,
    hub: Hub,
    bin: TempDir,
}

impl Runner {
    fn new() -> Self {
        let folder = Folder::with(&format!("{SMALL}{VOLUME}"));
        let bin = TempDir::new().expect("a folder");
        let kplan = folder.command(&[]).get_program().to_owned();
        // The embedded cloud stands in for the real one; nothing else is added.
        let mut script = String::from("#!/bin/sh\n");
        writeln!(
            script,
            "exec \"{}\" \"$@\" --sandbox",
            PathBuf::from(kplan).display()
        )
        .expect("a string");
        let path = bin.path().join("kplan");
        std::fs::write(&path, script).expect("written");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, mode).expect("its mode");
        Self {
            folder,
            hub: Hub::new(),
            bin,
        }
    }

    /// Runs a step of the action as a runner does.
    fn step(&self, id: &str, inputs: &[(&str, &str)]) -> (Run, BTreeMap<String, String>) {
        let action = action();
        let step = steps(&action).iter().find(|step| step["id"] == id);
        let step = step.expect("the step");
        let outputs = self.bin.path().join("outputs");
        std::fs::write(&outputs, "").expect("written");
        let path = std::env::var("PATH").expect("a path");
        let mut command = self.hub.of(self.folder.command(&[]));
        let environment: Vec<_> = command
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect();
        command = Command::new("bash");
        command
            .args(["--noprofile", "--norc", "-eo", "pipefail", "-c"])
            .arg(step["run"].as_str().expect("a script"))
            .current_dir(self.folder.path())
            .env_clear()
            .envs(environment)
            .env("CI", "true")
            .env("PATH", format!("{}:{path}", self.bin.path().display()))
            .env("GITHUB_REPOSITORY", "acme/infra")
            .env("GITHUB_OUTPUT", &outputs);
        for (name, value) in step["env"].as_object().expect("an environment") {
            let value = value.as_str().expect("a value");
            command.env(name, evaluated(&action, value, inputs));
        }
        let run = Run::of(command);
        let written = std::fs::read_to_string(&outputs).expect("outputs");
        let pairs = written.lines().filter_map(|line| line.split_once('='));
        let outputs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        (run, outputs.collect())
    }
}

/// What an expression of the action's environments says.
fn evaluated(action: &Value, value: &str, inputs: &[(&str, &str)]) -> String {
    let Some(expression) = value
        .strip_prefix("${{ ")
        .and_then(|it| it.strip_suffix(" }}"))
    else {
        return value.to_owned();
    };
    match expression.strip_prefix("inputs.") {
        Some(name) => {
            let input = &action["inputs"][name];
            assert!(input.is_object(), "the action has no input {name}");
            let given = inputs.iter().find(|(given, _)| *given == name);
            let unsaid = || evaluated(action, input["default"].as_str().unwrap_or_default(), &[]);
            given.map_or_else(unsaid, |(_, value)| (*value).to_owned())
        }
        None => match expression {
            "github.event.pull_request.number" => "7".to_owned(),
            "github.token" => crate::support::GITHUB_TOKEN.to_owned(),
            other => panic!("nobody knows {other}"),
        },
    }
}

#[test]
fn the_action_plans_comments_applies_and_finds_drift() {
    let runner = Runner::new();
    let run = |inputs: &[(&str, &str)]| runner.step("run", inputs);
    let said = |outputs: &BTreeMap<String, String>, name: &str| {
        outputs.get(name).cloned().unwrap_or_default()
    };

    let (valid, outputs) = run(&[("command", "validate")]);
    valid.ok();
    assert_eq!(said(&outputs, "exitcode"), "0");
    assert_eq!(outputs.get("plan-file"), None);

    // That something would change is no failure of a plan.
    let (planned, outputs) = run(&[("command", "plan"), ("args", "\n--summary\n")]);
    planned.ok().assert_says(&["Saved the plan to: kplan.plan"]);
    assert_eq!(said(&outputs, "exitcode"), "2");
    assert_eq!(said(&outputs, "changes"), "true");
    assert_eq!(said(&outputs, "plan-file"), "kplan.plan");

    let (written, outputs) = runner.step("comment", &[("comment-key", "eu")]);
    written.ok();
    let url = said(&outputs, "url");
    assert!(url.contains("/pull/7#issuecomment-"), "{url}");
    let body = runner.hub.github().comments[0].body.clone();
    assert!(body.starts_with("<!-- kplan:plan:demo:eu -->\n"), "{body}");

    let (applied, outputs) = run(&[("command", "apply")]);
    applied.ok();
    assert_eq!(said(&outputs, "changes"), "false");
    let (stale, outputs) = run(&[("command", "apply")]);
    let stale = stale.expect_code(4);
    stale.assert_says(&["::error title=The plan went stale"]);
    assert_eq!(said(&outputs, "exitcode"), "4");

    let (calm, outputs) = run(&[("command", "drift")]);
    calm.ok();
    assert_eq!(said(&outputs, "changes"), "false");
    let volume = runner.folder.first_path("volumes", "/v2/volumes");
    let larger = serde_json::json!({ "type": "resize", "size_gigabytes": 15, "region": "fra1" });
    runner
        .folder
        .cloud("POST", &format!("{volume}/actions"), Some(&larger));
    let (drifted, outputs) = run(&[("command", "drift")]);
    drifted.ok();
    assert_eq!(said(&outputs, "changes"), "true");
    let shown = runner
        .folder
        .kplan(&["show", "kplan.plan", "--sandbox", "--format", "markdown"]);
    shown.ok().assert_says(&["**Changed outside of kplan**"]);

    // Neither a command nor an argument is looked at by the shell.
    let (refused, _) = run(&[("command", "plan; touch hacked")]);
    refused
        .expect_code(1)
        .assert_says(&["has to be validate, plan, drift or apply"]);
    let (refused, _) = run(&[
        ("command", "plan"),
        ("args", "$(touch hacked)"),
        ("file", "`touch hacked`"),
    ]);
    refused.expect_code(1);
    assert!(!runner.folder.path().join("hacked").exists());
}
