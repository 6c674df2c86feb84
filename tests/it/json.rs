//! `--json`: every command prints one document that says its format, and nothing else, to
//! standard output.

use crate::support::{Folder, Run, SMALL};

#[track_caller]
fn document(run: Run, what: &str) -> serde_json::Value {
    let run = run.ok();
    let document = run.json();
    assert!(
        document["format_version"].is_string(),
        "{what} does not say its format: {}",
        run.out
    );
    document
}

#[test]
fn every_command_prints_one_document_with_its_format() {
    let folder = Folder::with(SMALL);
    let events = folder
        .kplan(&["apply", "--sandbox", "--auto-approve", "--json"])
        .ok();
    for line in events.out.lines() {
        let event: serde_json::Value = serde_json::from_str(line).expect("a JSON line");
        assert!(event.is_object(), "{line}");
    }
    for arguments in [
        vec!["validate"],
        vec!["plan", "--sandbox"],
        vec!["show", "--sandbox"],
        vec!["output", "--sandbox"],
        vec!["output", "--sandbox", "cluster"],
        vec!["state", "list", "--sandbox"],
        vec!["state", "history", "--sandbox"],
        vec!["state", "repair", "--sandbox"],
        vec!["state", "verify", "--sandbox"],
        vec!["state", "pull", "--sandbox"],
        vec!["state", "recipients", "list", "--sandbox"],
        vec!["state", "mv", "--sandbox", "vpc.main", "vpc.moved"],
        vec!["state", "mv", "--sandbox", "vpc.moved", "vpc.main"],
        vec!["state", "show", "--sandbox", "vpc.main"],
        vec!["graph"],
        vec!["kubeconfig", "--sandbox"],
        vec!["kubeconfig", "--sandbox", "--path"],
        vec!["doctor", "--sandbox"],
        vec!["completions", "bash"],
        vec!["sandbox", "inspect"],
    ] {
        let mut all = arguments.clone();
        all.push("--json");
        document(folder.kplan(&all), &arguments.join(" "));
    }
    // The JSON Schema is a format of its own.
    let schema = folder.kplan(&["schema", "--json"]).ok().json();
    assert!(schema["$schema"].is_string(), "{schema:#}");
    let wrong = folder.kplan(&["state", "show", "--sandbox", "vpc.none", "--json"]);
    let wrong = wrong.expect_code(1).json();
    assert_eq!(wrong["diagnostics"][0]["code"], "state::unknown_address");
}

#[test]
fn the_graph_is_the_same_in_all_its_languages() {
    let folder = Folder::example("ha-postgres");
    let json = folder.kplan(&["graph", "--json"]).ok().json();
    let edges = json["edges"].as_array().expect("edges").len();
    let dot = folder.kplan(&["graph"]).ok().out;
    let mermaid = folder.kplan(&["graph", "--format", "mermaid"]).ok().out;
    assert!(edges > 20, "{edges}");
    assert_eq!(dot.matches(" -> ").count(), edges);
    assert_eq!(mermaid.matches(" --> ").count(), edges);
    assert!(dot.starts_with("digraph") && mermaid.starts_with("flowchart"));
}

#[test]
fn completions_know_every_verb() {
    let folder = Folder::with(SMALL);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = folder.kplan(&["completions", shell]).ok().out;
        for verb in ["apply", "destroy", "kubeconfig"] {
            assert!(script.contains(verb), "{shell}: {verb}");
        }
    }
}
