//! The flags of `plan` and `apply`: what each covers, and what it leaves alone.

use crate::support::{Folder, Run};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

const SMALL: &str = r#"
[cluster]
name   = "demo"
region = "fra1"

[servers]
size = "s-2vcpu-4gb"

[[volume]]
name    = "data"
size    = 10
"#;

/// The addresses of a plan's changes, with their actions.
fn changes(run: &Run) -> Vec<(String, String)> {
    let plan = run.json();
    plan["resource_changes"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|change| {
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            let actions: Vec<String> = change["change"]["actions"]
                .as_array()
                .into_iter()
                .flatten()
                .map(text)
                .collect();
            (text(&change["address"]), actions.join("+"))
        })
        .collect()
}

#[test]
fn a_target_brings_what_it_needs_and_nothing_else() {
    let folder = Folder::with(SMALL);
    let plan = folder
        .kplan(&[
            "plan",
            "--sandbox",
            "--json",
            "--target",
            "firewall.servers",
        ])
        .ok();
    let addresses: Vec<String> = changes(&plan).into_iter().map(|(at, _)| at).collect();
    assert_eq!(
        addresses,
        ["tag.agent", "tag.server", "firewall.servers"],
        "{}",
        plan.out
    );
    let run = folder.kplan(&["plan", "--sandbox", "--target", "not an address"]);
    assert!(run.expect_code(1).err.contains("--target"));
    let run = folder.kplan(&["plan", "--sandbox", "--target", "droplet.none[7]"]);
    assert!(run.expect_code(6).err.contains("droplet.none[7]"));
}

#[test]
fn a_replacement_can_be_asked_for() {
    let folder = Folder::with(SMALL);
    folder.apply();
    let plan = folder
        .kplan(&["plan", "--sandbox", "--json", "--replace", "tag.server"])
        .ok();
    let found = changes(&plan);
    assert!(
        found.contains(&("tag.server".to_owned(), "create+delete".to_owned()))
            || found.contains(&("tag.server".to_owned(), "delete+create".to_owned())),
        "{found:?}"
    );
}

#[test]
fn a_node_is_not_replaced_without_its_droplet() {
    let folder = Folder::with(SMALL);
    folder.apply();
    let node = &["plan", "--sandbox", "--replace", "k3s_node.servers[0]"];
    let refused = folder.kplan(node);
    for said in [
        "plan::too_late",
        "it cannot be replaced without droplet.servers[0]",
        "--replace droplet.servers[0]",
    ] {
        assert!(refused.err.contains(said), "{said}:\n{}", refused.err);
    }
    refused.expect_code(6);
}

#[test]
fn refresh_only_writes_what_was_seen_and_changes_nothing() {
    let folder = Folder::with(SMALL);
    folder.apply();
    // Somebody changes the firewall by hand; the state is then made to agree.
    folder.cloud(
        "DELETE",
        &folder.first_path("firewalls", "/v2/firewalls"),
        None,
    );
    let plan = folder.kplan(&["plan", "--sandbox", "--refresh-only"]).ok();
    assert!(
        plan.out.contains("firewall.servers has been deleted"),
        "{}",
        plan.out
    );
    assert!(!plan.out.contains("will be created"), "{}", plan.out);
    let applied = folder
        .kplan(&["apply", "--sandbox", "--refresh-only", "--auto-approve"])
        .ok();
    assert!(
        applied.out.contains("0 added, 0 changed, 0 destroyed"),
        "{}",
        applied.out
    );
    assert_eq!(folder.count("firewalls"), 0);
    let list = folder.kplan(&["state", "list", "--sandbox"]).ok();
    assert!(!list.out.contains("firewall.servers"), "{}", list.out);
    // The file still asks for it.
    folder.apply();
    assert_eq!(folder.count("firewalls"), 1);
    folder.assert_no_changes();
}

/// Switches the only droplet off by hand and gives the plan that sees it.
fn switched_off(folder: &Folder) -> Run {
    let actions = folder.first_path("droplets", "/v2/droplets") + "/actions";
    let off = serde_json::json!({ "type": "power_off" });
    folder.cloud("POST", &actions, Some(&off));
    // The power goes off a moment after the action was accepted.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let plan = folder.kplan(&["plan", "--sandbox"]);
        if plan.out.contains("power = ") || std::time::Instant::now() > deadline {
            return plan;
        }
    }
}

#[test]
fn a_droplet_that_somebody_switched_off_is_drift_and_comes_back() {
    let folder = Folder::with(SMALL);
    folder.apply();
    let plan = switched_off(&folder);
    // On record, real, and in the file.
    let drift = plan.out.lines().find(|line| line.contains("~ power "));
    let columns: Vec<&str> = drift.unwrap_or(&plan.out).split_whitespace().collect();
    assert_eq!(columns, ["~", "power", "\"on\"", "\"off\"", "\"on\""]);
    // Nothing in the cluster can be read while its only server is off: a plan says so, and an
    // apply does the rest when the server is back.
    assert!(plan.out.contains("are left out"), "{}", plan.out);
    plan.expect_code(1);
    let apply = folder.apply();
    assert!(
        apply.out.contains("is looked at again"),
        "stdout:\n{}",
        apply.out
    );
    folder.assert_no_changes();
}

/// A cluster whose pieces in Kubernetes are to change while its only server is off.
fn switched_off_with_an_edit(edit: &str) -> Folder {
    let folder = Folder::with(&format!("{SMALL}\n{GITOPS}"));
    folder.apply();
    drop(switched_off(&folder));
    folder.write(&format!("{SMALL}\n{edit}"));
    folder
}

const GITOPS: &str = r#"
[gitops]
repo = "https://github.com/acme/infra.git"
path = "clusters/demo"
credentials = { token = { env = "GITHUB_TOKEN" } }
"#;

#[test]
fn what_stands_on_a_server_that_was_off_is_changed_by_the_same_apply() {
    let folder = switched_off_with_an_edit(&GITOPS.replace("clusters/demo", "clusters/other"));
    // Asked for by name, and done once: a tag before the server is back, the application after.
    let apply = folder
        .kplan(&[
            "apply",
            "--sandbox",
            "--auto-approve",
            "--replace",
            "tag.server",
        ])
        .ok();
    let replaced = apply.out.matches("tag.server: Destroying...").count();
    assert_eq!(replaced, 1, "stdout:\n{}", apply.out);
    assert!(
        apply.out.contains("clusters/demo\" -> \"clusters/other"),
        "stdout:\n{}",
        apply.out
    );
    let outputs = apply.out.matches("Outputs:").count();
    assert_eq!(outputs, 1, "stdout:\n{}", apply.out);
    folder.assert_no_changes();
    let history = folder.kplan(&["state", "history", "--sandbox"]).ok().out;
    assert_eq!(history.matches("apply").count(), 2, "{history}");
}

#[test]
fn a_second_plan_of_one_apply_is_agreed_to_like_the_first() {
    let folder = switched_off_with_an_edit(&GITOPS.replace("clusters/demo", "clusters/other"));
    let answers = |text: &str| folder.kplan_answering(&["apply", "--sandbox"], text);
    let refused = answers("yes\nno\n");
    let asked = refused.out.matches("Enter a value:").count();
    assert_eq!(asked, 2, "stdout:\n{}", refused.out);
    assert!(
        refused.err.contains("was not agreed to"),
        "stderr:\n{}",
        refused.err
    );
    refused.expect_code(3);
    answers("yes\n").ok();
    folder.assert_no_changes();
}

#[test]
fn what_still_cannot_be_read_is_left_out_after_a_second_look() {
    let folder = Folder::with(SMALL);
    folder.apply();
    folder.write(&SMALL.replace(
        "[servers]",
        "[network]\nssh_allow = [\"192.0.2.0/24\"]\n[servers]",
    ));
    let unread = serde_json::json!({ "rules": [{
        "method": "GET", "path": "/v2/volumes*", "fault": { "kind": "status", "status": 503 },
    }] });
    folder.cloud("POST", "/_sandbox/faults", Some(&unread));
    let apply = folder.kplan(&["apply", "--sandbox", "--auto-approve"]);
    assert!(apply.out.contains("1 changed"), "{}", apply.out);
    assert_eq!(
        apply.out.matches("Apply complete!").count(),
        1,
        "{}",
        apply.out
    );
    assert!(apply.err.contains("plan::partial"), "{}", apply.err);
    apply.expect_code(3);
    let none = serde_json::json!({ "rules": [] });
    folder.cloud("POST", "/_sandbox/faults", Some(&none));
    folder.assert_no_changes();
}

#[test]
fn a_cluster_that_does_not_answer_can_be_destroyed() {
    let folder = Folder::with(SMALL);
    folder.apply();
    drop(switched_off(&folder));
    let run = folder.destroy("demo").ok();
    assert!(
        run.out.contains("could not be read and will be destroyed"),
        "{}",
        run.out
    );
    folder.assert_cloud_empty();
}

#[test]
fn without_a_refresh_the_record_is_believed_and_nothing_is_called() {
    let folder = Folder::with(SMALL);
    folder.apply();
    folder.cloud(
        "DELETE",
        &folder.first_path("firewalls", "/v2/firewalls"),
        None,
    );
    let blind = folder
        .kplan(&["plan", "--sandbox", "--refresh=false", "--json"])
        .ok();
    assert_eq!(changes(&blind), []);
    assert_eq!(blind.json()["statistics"]["api_calls"], 0);
    folder
        .kplan(&["plan", "--sandbox", "--detailed-exitcode"])
        .expect_code(2);
}

#[test]
fn one_at_a_time_is_as_good_as_ten() {
    let folder = Folder::with(SMALL);
    folder
        .kplan(&["apply", "--sandbox", "--auto-approve", "--parallelism", "1"])
        .ok();
    folder.assert_no_changes();
    let run = folder.kplan(&["apply", "--sandbox", "--auto-approve", "--parallelism", "0"]);
    assert!(run.expect_code(1).err.contains("--parallelism"));
}

#[test]
fn chdir_and_file_name_the_same_cluster() {
    let folder = Folder::with(SMALL);
    folder.apply();
    let above = folder.path().parent().expect("a folder above").to_owned();
    let at = folder.path().to_str().expect("UTF-8");
    let file = folder.path().join("cluster.toml");
    for arguments in [
        vec!["plan", "--sandbox", "--detailed-exitcode", "--chdir", at],
        vec![
            "plan",
            "--sandbox",
            "--detailed-exitcode",
            "-f",
            file.to_str().expect("UTF-8"),
        ],
    ] {
        let mut command = folder.command(&arguments);
        let output = command.current_dir(&above).output().expect("kplan runs");
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {text}");
    }
}

#[test]
fn a_second_apply_waits_as_long_as_it_was_told_to() {
    let folder = Folder::with(SMALL).scaled(60.0);
    let mut first = folder
        .command(&["apply", "--sandbox", "--auto-approve"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("kplan starts");
    let mut lines = BufReader::new(first.stdout.take().expect("its output")).lines();
    let begun = lines.any(|line| line.is_ok_and(|line| line.contains("Creating...")));
    assert!(begun, "the first apply ended before it began");
    let refused = folder.kplan(&["apply", "--sandbox", "--auto-approve"]);
    assert!(
        refused.err.contains("locked by `kplan apply`")
            || refused.err.contains("locked by `apply`"),
        "{}",
        refused.err
    );
    refused.expect_code(5);
    let reader = std::thread::spawn(move || lines.for_each(drop));
    let waited = folder.kplan(&[
        "apply",
        "--sandbox",
        "--auto-approve",
        "--lock-timeout",
        "2m",
    ]);
    assert!(waited.ok().out.contains("No changes."));
    assert_eq!(first.wait().expect("it ends").code(), Some(0));
    drop(reader.join());
}

/// Sends a signal by its name, as a terminal or a CI runner does.
pub(crate) fn signal(pid: u32, name: &str) {
    let status = Command::new("kill")
        .args([format!("-{name}"), pid.to_string()])
        .status()
        .expect("kill runs");
    assert!(status.success(), "kill -{name} {pid}");
}
