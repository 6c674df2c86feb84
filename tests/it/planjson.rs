//! Plans and events for machines: they fit their schemas, and what reads Terraform's plans reads
//! kplan's.

use crate::support::{Folder, Run, repository};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Output};

#[path = "../../src/render/terraform/tests/names.rs"]
mod names;

/// What kplan says of what it prints.
struct Schemas {
    plan: jsonschema::Validator,
    events: jsonschema::Validator,
}

impl Schemas {
    fn of(folder: &Folder) -> Self {
        let read = |what: &str| {
            let schema = folder.kplan(&["schema", what]).ok().json();
            jsonschema::validator_for(&schema).expect("a JSON Schema")
        };
        Self {
            plan: read("--plan"),
            events: read("--events"),
        }
    }

    #[track_caller]
    fn plan(&self, run: Run) -> Value {
        let document = run.ok().json();
        fits(&self.plan, &document);
        has_names_of_providers(&document);
        document
    }
}

#[track_caller]
fn fits(validator: &jsonschema::Validator, document: &Value) {
    let errors: Vec<String> = validator
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}\n{document:#}");
}

/// Every attribute, and everything in its blocks, is one that the type's provider has.
#[track_caller]
fn has_names_of_providers(document: &Value) {
    let planned = &document["planned_values"]["root_module"]["resources"];
    let prior = &document["prior_state"]["values"]["root_module"]["resources"];
    for resource in [planned, prior].into_iter().flat_map(resources) {
        let terraform = resource["type"].as_str().expect("a type");
        let Some((_, known)) = names::NAMES.iter().find(|(name, _)| *name == terraform) else {
            assert!(terraform.starts_with("kplan_"), "{terraform}");
            continue;
        };
        let known: BTreeSet<&str> = known.split_whitespace().collect();
        let values = resource["values"].as_object().expect("values");
        for (name, value) in values.iter().filter(|(name, _)| *name != "kplan") {
            assert!(known.contains(name.as_str()), "{terraform}.{name}");
            for block in value.as_array().into_iter().flatten() {
                for inner in block.as_object().into_iter().flatten() {
                    let nested = format!("{name}.{}", inner.0);
                    assert!(known.contains(nested.as_str()), "{terraform}.{nested}");
                }
            }
        }
    }
}

fn resources(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn whole_life(example: &str) {
    let folder = Folder::example(example);
    let schemas = Schemas::of(&folder);
    let plan = ["plan", "--sandbox", "--format", "json"];
    let first = schemas.plan(folder.kplan(&plan));
    assert_eq!(first["applyable"], true);
    let planned = resources(&first["planned_values"]["root_module"]["resources"]).count();
    assert_eq!(planned, resources(&first["resource_changes"]).count());

    let applied = folder
        .kplan(&["apply", "--sandbox", "--auto-approve", "--json"])
        .ok();
    events(&schemas, &applied.out);

    let path = folder.path().join("cluster.toml");
    let text = std::fs::read_to_string(path).expect("the file");
    let volume = "[[volume]]\nname = \"more\"\nsize = 10\n";
    let edited = format!("{text}\n{volume}");
    folder.write(&edited);
    let edit = schemas.plan(folder.kplan(&plan));
    let created = resources(&edit["resource_changes"]).find(|it| it["address"] == "volume.more");
    let created = created.expect("a change");
    assert_eq!(created["type"], "digitalocean_volume");
    assert_eq!(created["change"]["actions"][0], "create");
    assert_eq!(created["change"]["after"]["size"], 10);
    let prior = &edit["prior_state"]["values"]["root_module"]["resources"];
    let after = &edit["planned_values"]["root_module"]["resources"];
    assert!(resources(prior).count() < resources(after).count());

    folder.write(&text);
    let destroy = ["plan", "--destroy", "--sandbox", "--format", "json"];
    let gone = schemas.plan(folder.kplan(&destroy));
    assert_eq!(gone["mode"], "destroy");
    let deleted = resources(&gone["resource_changes"]);
    assert!(deleted.count() > 5, "{gone:#}");
}

/// Every line is the plan, or an event of the schema; the first and the last are as they should be,
/// and each step says what it changes when it begins as when it ends.
fn events(schemas: &Schemas, out: &str) {
    let lines: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON line"))
        .collect();
    let (plans, events): (Vec<&Value>, Vec<&Value>) = lines
        .iter()
        .partition(|line| line["format_version"] == "1.2");
    assert_eq!(plans.len(), 1, "{out}");
    fits(&schemas.plan, plans[0]);
    for event in &events {
        fits(&schemas.events, event);
    }
    let of = |name: &str| -> Vec<&Value> {
        let found = events.iter().copied();
        found.filter(|event| event["type"] == name).collect()
    };
    assert_eq!(events[0]["type"], "version");
    let last = events[events.len() - 1];
    assert_eq!(last["type"], "change_summary");
    assert_eq!(last["changes"]["add"], plans[0]["changes"]["add"]);
    assert_eq!(
        of("planned_change").len(),
        resources(&plans[0]["resource_changes"]).count()
    );
    let (started, done) = (of("apply_start"), of("apply_complete"));
    assert_eq!(started.len(), done.len());
    let vpc = |events: &[&Value]| -> Value {
        let mut all = events.iter();
        let found = all.find(|event| event["hook"]["resource"]["resource_type"] == "vpc");
        found.expect("a VPC")["change"].clone()
    };
    let change = vpc(&done);
    assert_eq!(change, vpc(&started));
    assert_eq!(change["before"], Value::Null);
    assert!(change["after"]["name"].is_string(), "{change:#}");
}

#[test]
fn quickstart_fits_its_schemas() {
    whole_life("quickstart");
}

#[test]
fn single_node_fits_its_schemas() {
    whole_life("single-node");
}

#[test]
fn ha_etcd_fits_its_schemas() {
    whole_life("ha-etcd");
}

#[test]
fn ha_postgres_fits_its_schemas() {
    whole_life("ha-postgres");
}

/// A plan as a file, as tools want it.
fn plan_file(folder: &Folder, arguments: &[&str]) -> PathBuf {
    let mut all = vec!["plan", "--sandbox", "--format", "json"];
    all.extend(arguments);
    let path = folder.path().join("plan.json");
    std::fs::write(&path, folder.kplan(&all).ok().out).expect("a file");
    path
}

/// Whether a program is there.
fn is_there(program: &str) -> bool {
    let asked = Command::new(program).arg("--version").output();
    asked.is_ok_and(|output| output.status.success())
}

#[test]
fn checkov_reports_its_checks_by_address() {
    if !is_there("checkov") {
        kplan_conformance::skipped("checkov");
        return;
    }
    let folder = Folder::example("ha-postgres");
    let plan = plan_file(&folder, &[]);
    let output = Command::new("checkov")
        .args(["--framework", "terraform_plan", "--output", "json"])
        .args(["--skip-download", "--soft-fail", "--file"])
        .arg(&plan)
        .env("LOG_LEVEL", "ERROR")
        .output()
        .expect("checkov starts");
    let out = String::from_utf8_lossy(&output.stdout);
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|error| {
        let err = String::from_utf8_lossy(&output.stderr);
        panic!("{error}: {out}\n{err}")
    });
    assert_eq!(report["summary"]["parsing_errors"], 0, "{report:#}");
    let found = |outcome: &str| -> BTreeSet<String> {
        resources(&report["results"][outcome])
            .map(|check| {
                let text = |name: &str| check[name].as_str().unwrap_or_default();
                format!("{} {}", text("check_id"), text("resource_address"))
            })
            .collect()
    };
    // Droplets have SSH keys, which are known after apply only: checkov sees what they refer to.
    let passed = [
        "CKV_DIO_2 droplet.servers[0]",
        "CKV_DIO_2 droplet.servers[1]",
        "CKV_DIO_2 droplet.servers[2]",
        "CKV_DIO_2 droplet.workers[0]",
        "CKV_DIO_2 droplet.workers[1]",
        "CKV_DIO_2 droplet.workers[2]",
        "CKV_DIO_3 bucket.boot",
        "CKV_DIO_4 firewall.agents",
        "CKV_DIO_4 firewall.api",
        "CKV_DIO_4 firewall.servers",
    ];
    assert_eq!(
        found("passed_checks"),
        passed.map(str::to_owned).into(),
        "{report:#}"
    );
    // Node bundles are written anew, and nobody needs the old ones.
    assert_eq!(
        found("failed_checks"),
        ["CKV_DIO_1 bucket.boot"].map(str::to_owned).into(),
        "{report:#}"
    );
}

/// What is between fences of that language.
fn block<'a>(text: &'a str, language: &str) -> &'a str {
    let fence = format!("```{language}\n");
    let (_, rest) = text.split_once(fence.as_str()).expect("a block");
    rest.split("```").next().expect("its end")
}

fn guide() -> String {
    std::fs::read_to_string(repository().join("docs/guide/policy.md")).expect("the guide")
}

/// What the policy says of a plan: nothing, or why not.
fn refused(output: &Output) -> Option<String> {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        assert_eq!(said, "");
        return None;
    }
    Some(said)
}

#[test]
fn the_policy_of_the_guide_refuses_what_it_says() {
    if !is_there("jq") {
        kplan_conformance::skipped("jq");
        return;
    }
    let folder = Folder::example("ha-postgres");
    let policy = folder.path().join("policy.jq");
    std::fs::write(&policy, block(&guide(), "jq")).expect("a file");
    let verdict = |droplets: &str, arguments: &[&str]| {
        let plan = plan_file(&folder, arguments);
        let output = Command::new("jq")
            .args(["--argjson", "droplets", droplets, "-f"])
            .args([&policy, &plan])
            .output()
            .expect("jq starts");
        refused(&output)
    };
    assert_eq!(verdict("10", &[]), None);
    let many = verdict("5", &[]).expect("a refusal");
    assert_eq!(many, "6 droplets are more than 5\n");

    let path = folder.path().join("cluster.toml");
    let text = std::fs::read_to_string(path).expect("the file");
    let open = "[network]\nssh_allow = [\"0.0.0.0/0\"]";
    folder.write(&text.replacen("[network]", open, 1));
    let world = verdict("10", &[]).expect("a refusal");
    assert!(world.contains("firewall."), "{world}");
    assert!(world.contains("port 22 is open to the world"), "{world}");

    folder.write(&text);
    folder.apply().ok();
    let gone = verdict("10", &["--destroy"]).expect("a refusal");
    assert!(gone.starts_with("database."), "{gone}");
    assert!(gone.contains("a database is destroyed"), "{gone}");
}

/// Asks a Rego interpreter what a policy denies.
const REGO: &str = "\
import json, sys
from regopy import Interpreter
rego = Interpreter()
rego.add_module('policy', open(sys.argv[1]).read())
rego.set_input(json.load(open(sys.argv[2])))
print(rego.query('data.main.deny'))
";

#[test]
fn the_rego_of_the_guide_says_the_same() {
    let asked = Command::new("python3")
        .args(["-c", "import regopy"])
        .output();
    if !asked.is_ok_and(|output| output.status.success()) {
        kplan_conformance::skipped("python3 with regopy");
        return;
    }
    let folder = Folder::example("ha-postgres");
    let policy = folder.path().join("policy.rego");
    std::fs::write(&policy, block(&guide(), "rego")).expect("a file");
    let verdict = || {
        let plan = plan_file(&folder, &[]);
        let output = Command::new("python3")
            .args(["-c", REGO])
            .args([&policy, &plan])
            .output()
            .expect("python3 starts");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(!verdict().contains("open to the world"));
    let path = folder.path().join("cluster.toml");
    let text = std::fs::read_to_string(path).expect("the file");
    let open = "[network]\nssh_allow = [\"0.0.0.0/0\"]";
    folder.write(&text.replacen("[network]", open, 1));
    let said = verdict();
    assert!(said.contains("port 22 is open to the world"), "{said}");
}
