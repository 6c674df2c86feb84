//! The command line's own behaviour: exit codes, messages, guards.

use crate::support::{Folder, GITHUB_TOKEN, SMALL};

#[test]
fn validate_reports_everything_at_once() {
    let folder = Folder::with("[cluster]\nnam = \"demo\"\nregion = \"fra9\"\n[servers]\n");
    let run = folder.kplan(&["validate"]).expect_code(1);
    for code in ["spec::unknown_key", "spec::missing"] {
        assert!(run.err.contains(code), "{code} is missing in:\n{}", run.err);
    }
    let json = folder.kplan(&["validate", "--json"]).expect_code(1).json();
    assert!(
        json["diagnostics"].as_array().expect("a list").len() >= 3,
        "{json:#}"
    );
    assert!(
        !folder.path().join(".kplan").exists(),
        "validate wrote something"
    );
}

#[test]
fn plan_writes_nothing_and_exits_2_when_something_would_change() {
    let folder = Folder::with(SMALL);
    folder
        .kplan(&["plan", "--sandbox", "--detailed-exitcode"])
        .expect_code(2);
    folder.kplan(&["plan", "--sandbox"]).ok();
    assert!(
        !folder.path().join(".kplan/.sandbox/state").exists(),
        "plan wrote a state"
    );
}

#[test]
fn without_a_token_the_error_says_what_to_do() {
    let folder = Folder::with(SMALL);
    let run = folder.kplan(&["plan"]).expect_code(1);
    assert!(run.err.contains("DIGITALOCEAN_TOKEN"), "{}", run.err);
    assert!(run.err.contains("--sandbox"), "{}", run.err);
}

#[test]
fn apply_without_consent_changes_nothing() {
    let folder = Folder::with(SMALL);
    let run = folder.kplan(&["apply", "--sandbox"]).expect_code(1);
    assert!(run.out.contains("Plan: "), "{}", run.out);
    folder.assert_cloud_empty();
}

#[test]
fn destroy_needs_the_clusters_name() {
    let folder = Folder::with(SMALL);
    folder.apply();
    folder
        .kplan(&["destroy", "--sandbox", "--auto-approve"])
        .expect_code(6);
    folder.destroy("other").expect_code(6);
    assert!(folder.count("droplets") > 0);
    folder.destroy("demo").ok();
    folder.assert_cloud_empty();
}

#[test]
fn a_protected_cluster_is_not_destroyed_even_when_its_block_is_gone() {
    let protected = SMALL.replace("region = \"fra1\"", "region = \"fra1\"\nprotect = true");
    let folder = Folder::with(&protected);
    folder.apply();
    folder.write(SMALL);
    let run = folder.destroy("demo").expect_code(6);
    assert!(run.err.contains("protect"), "{}", run.err);
    folder.apply();
    folder.destroy("demo").ok();
}

/// Another region means another address of the API: what is reached there is not given up by an edit.
#[test]
fn another_region_is_refused_where_it_would_give_up_the_clusters_address() {
    let reserved = format!("{SMALL}\n[endpoint]\nreserved_ip = true\n");
    let balanced = SMALL.replace("[servers]\n", "[servers]\ncount = 3\n")
        + "\n[k3s]\ndatastore = \"etcd\"\n\n[load_balancer.api]\n";
    for (text, guarded) in [
        (reserved, "reserved_ip.api"),
        (balanced, "load_balancer.api"),
    ] {
        let folder = Folder::with(&text);
        folder.apply();
        let before = folder.snapshot("demo");
        folder.write(&text.replace("fra1", "ams3"));
        for command in [
            &["plan", "--sandbox"][..],
            &["apply", "--sandbox", "--auto-approve"],
        ] {
            let refused = folder.kplan(command).expect_code(6);
            assert!(refused.err.contains(guarded), "{}", refused.err);
            assert!(refused.err.contains("--allow-destroy"), "{}", refused.err);
        }
        assert_eq!(folder.snapshot("demo"), before);
        folder.write(&text);
        folder.assert_no_changes();
    }
}

#[test]
fn state_show_and_output_tell_what_is_there_without_secrets() {
    let folder = Folder::example("single-node");
    folder.apply();
    let list = folder.kplan(&["state", "list", "--sandbox"]).ok();
    assert!(
        list.out.lines().any(|line| line == "droplet.servers[0]"),
        "{}",
        list.out
    );
    let shown = folder
        .kplan(&["state", "show", "droplet.servers[0]", "--sandbox", "--json"])
        .ok();
    assert_eq!(shown.json()["type"], "digitalocean_droplet");
    let all = folder.kplan(&["show", "--sandbox", "--json"]).ok();
    assert!(!all.out.contains(GITHUB_TOKEN));
    let output = folder.kplan(&["output", "--sandbox", "--json"]).ok().json();
    assert_eq!(output["outputs"]["cluster"]["value"], "single");
    folder
        .kplan(&["output", "--sandbox", "no-such-output"])
        .expect_code(1);
}

#[test]
fn a_first_plan_reads_the_same_every_time() {
    let folder = Folder::example("ha-postgres");
    let text = || folder.kplan(&["plan", "--sandbox"]).ok().out;
    let first = text();
    assert_eq!(first, text());
    assert!(!first.contains("BEGIN"), "{first}");
}

#[test]
fn the_readme_shows_a_real_plan() {
    let readme = std::fs::read_to_string(crate::support::repository().join("README.md"));
    let readme = readme.expect("the README");
    let shown = readme.split("```console").nth(1).expect("a plan");
    let shown = shown.split("```").next().expect("its end");
    let plan = Folder::example("quickstart")
        .kplan(&["plan", "--sandbox"])
        .ok();
    for part in shown
        .split('…')
        .skip(1)
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        assert!(plan.out.contains(part), "{part}\nis not in\n{}", plan.out);
    }
}

#[test]
fn a_renamed_cluster_is_refused_before_anything_is_planned() {
    let folder = Folder::with(SMALL);
    folder.apply();
    folder.write(&SMALL.replace("\"demo\"", "\"other\""));
    for verb in ["plan", "apply"] {
        let run = folder.kplan(&[verb, "--sandbox"]).expect_code(6);
        assert!(run.err.contains("plan::renamed"), "{}", run.err);
        assert!(run.err.contains("demo"), "{}", run.err);
    }
    folder.write(SMALL);
    folder.destroy("demo").ok();
    // Nothing is left of the old one, so the name is free to change.
    folder.write(&SMALL.replace("\"demo\"", "\"other\""));
    folder.apply();
    folder.destroy("other").ok();
    folder.assert_cloud_empty();
}

#[test]
fn a_second_state_of_one_name_is_refused_before_anything_is_planned() {
    let folder = Folder::with(SMALL);
    folder.apply();
    let state = folder.path().join(".kplan/.sandbox/state");
    let aside = folder.path().join("aside");
    std::fs::rename(&state, &aside).expect("move the state away");
    for verb in ["plan", "apply"] {
        let run = folder.kplan(&[verb, "--sandbox"]).expect_code(6);
        assert!(run.err.contains("plan::name_taken"), "{}", run.err);
        assert!(run.err.contains("cluster.toml"), "{}", run.err);
    }
    assert!(!state.exists(), "a refused apply made a state");
    std::fs::rename(&aside, &state).expect("bring the state back");
    folder.assert_no_changes();
    folder.destroy("demo").ok();
}

#[test]
fn a_broken_file_does_not_keep_anybody_from_the_cluster() {
    let folder = Folder::with(SMALL);
    folder.apply();
    folder.write(&SMALL.replace("region", "regoin"));
    folder.kplan(&["validate"]).expect_code(1);
    for arguments in [
        vec!["kubeconfig", "--sandbox"],
        vec!["show", "--sandbox"],
        vec!["state", "list", "--sandbox"],
    ] {
        folder.kplan(&arguments).ok();
    }
    folder.write(&SMALL.replace("name   =", "nome   ="));
    let run = folder.kplan(&["show", "--sandbox"]).expect_code(1);
    assert!(run.err.contains("spec::"), "{}", run.err);
}

#[test]
fn destroy_says_what_it_keeps() {
    let folder = Folder::example("quickstart");
    folder.apply();
    let run = folder.destroy("quickstart").ok();
    let kept = run.out.lines().find(|line| line.starts_with("Kept: "));
    let kept = kept.unwrap_or_else(|| panic!("{}", run.out));
    assert!(kept.contains("bucket.backup"), "{kept}");
    let history = folder.kplan(&["state", "history", "--sandbox"]).ok().out;
    assert_eq!(history.lines().count(), 2, "{history}");
    let serial = history.split_whitespace().next().expect("a serial");
    let then = folder.kplan(&["state", "show", "vpc.main", "--sandbox", "--at", serial]);
    assert!(then.ok().out.contains("vpc.main"));
    folder
        .kplan(&["state", "show", "vpc.main", "--sandbox"])
        .expect_code(1);
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let folder = Folder::with(SMALL);
    folder.kplan(&["sandbox", "inspect"]).ok();
    let mut child = folder
        .command(&["plan", "--sandbox"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("kplan starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!text.contains("panicked"), "{text}");
}
