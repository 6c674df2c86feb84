//! `kplan doctor`: what is well is said to be, and what somebody broke is told under its code.

use crate::support::cluster::Cluster;
use crate::support::{Folder, Run, SMALL};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Checks of a run's document, by code.
fn checks(run: &Run) -> BTreeMap<String, Value> {
    let document = run.json();
    assert_eq!(document["format_version"], "1.0");
    let checks = document["checks"].as_array().expect("checks");
    checks
        .iter()
        .map(|check| {
            let code = check["code"].as_str().expect("a code");
            assert!(
                check["message"].is_string() && check["details"].is_object(),
                "{check}"
            );
            (code.to_owned(), check.clone())
        })
        .collect()
}

fn doctor(folder: &Folder) -> (Run, BTreeMap<String, Value>) {
    let run = folder.kplan(&["doctor", "--sandbox", "--json"]);
    let found = checks(&run);
    (run, found)
}

/// Codes whose outcome is this one.
fn of<'a>(found: &'a BTreeMap<String, Value>, outcome: &str) -> Vec<&'a str> {
    let with = found
        .iter()
        .filter(|(_, check)| check["outcome"] == outcome);
    with.map(|(code, _)| code.as_str()).collect()
}

#[test]
fn a_cluster_that_is_well_has_no_problem_and_its_warnings_are_known() {
    let folder = Folder::example("quickstart");
    folder.apply();
    let (run, found) = doctor(&folder);
    let run = run.ok();
    assert_eq!(of(&found, "problem"), Vec::<&str>::new(), "{}", run.out);
    // The example has no token of its own for the controllers, and one person's identity.
    assert_eq!(
        of(&found, "warning"),
        [
            "doctor::controllers_token",
            "doctor::file",
            "doctor::recipients"
        ],
        "{}",
        run.out
    );
    // Pods of the embedded cloud run nothing, and the example has no Sealed Secrets.
    assert_eq!(
        of(&found, "not_looked_at"),
        ["doctor::metadata", "doctor::sealing_certificate"],
        "{}",
        run.out
    );
    let recipient = "age1yxer7wvtzj7utst9h6hggwd698tfrvqwl38mhhdldclnfu06edkqlh9txc";
    folder
        .kplan(&["state", "recipients", "add", recipient, "--sandbox"])
        .ok();
    let (_, found) = doctor(&folder);
    assert_eq!(found["doctor::recipients"]["outcome"], "ok", "{found:#?}");
    // The record is changed without an apply: the kit in the bucket is of before.
    folder
        .kplan(&["state", "mv", "--sandbox", "vpc.main", "vpc.moved"])
        .ok();
    let (_, found) = doctor(&folder);
    let kit = &found["doctor::recovery_kit"];
    assert_eq!(kit["outcome"], "warning", "{kit:#}");
}

#[test]
fn what_somebody_broke_in_the_cluster_is_told_under_its_code() {
    let folder = Folder::example("quickstart");
    folder.apply();
    let cluster = Cluster::of(&folder, "quickstart");
    let node = "quickstart-servers-0";
    cluster.apply(
        &json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node},
                          "spec": {"unschedulable": true}}),
    );
    let mut class = cluster
        .get("storage.k8s.io/v1 StorageClass do-block-storage")
        .expect("the class");
    let metadata = class["metadata"].as_object_mut().expect("metadata");
    metadata.retain(|field, _| ["name", "labels", "annotations"].contains(&field.as_str()));
    metadata["annotations"]["storageclass.kubernetes.io/is-default-class"] = "false".into();
    cluster.apply(&class);
    cluster.delete("apps/v1 Deployment velero/velero");
    let (run, found) = doctor(&folder);
    let run = run.expect_code(1);
    let message = |code: &str| {
        found[code]["message"]
            .as_str()
            .expect("a message")
            .to_owned()
    };
    assert_eq!(
        of(&found, "problem"),
        ["doctor::addons", "doctor::default_class"],
        "{}",
        run.out
    );
    assert!(
        message("doctor::addons").contains("velero.main"),
        "{}",
        run.out
    );
    assert_eq!(found["doctor::nodes"]["outcome"], "warning", "{}", run.out);
    assert!(message("doctor::nodes").contains("cordoned"), "{}", run.out);
    // Told to people with what to do, and repaired by what they are told.
    let told = folder.kplan(&["doctor", "--sandbox"]).expect_code(1).out;
    assert!(
        told.contains("doctor::default_class: no storage class"),
        "{told}"
    );
    assert!(told.contains("claims that name no class"), "{told}");
}

#[test]
fn a_cluster_that_is_down_is_one_problem_and_hides_no_other_check() {
    let folder = Folder::with(SMALL);
    folder.apply();
    let droplet = folder.first_path("droplets", "/v2/droplets");
    folder.cloud("DELETE", &droplet, None);
    let (run, found) = doctor(&folder);
    let run = run.expect_code(1);
    for code in ["doctor::api", "doctor::resources"] {
        assert_eq!(found[code]["outcome"], "problem", "{code}: {}", run.out);
    }
    for code in ["doctor::nodes", "doctor::addons", "doctor::default_class"] {
        assert_eq!(
            found[code]["outcome"], "not_looked_at",
            "{code}: {}",
            run.out
        );
    }
    for code in ["doctor::state", "doctor::token", "doctor::authorities"] {
        assert_eq!(found[code]["outcome"], "ok", "{code}: {}", run.out);
    }
    assert_eq!(
        found["doctor::backups"]["outcome"], "warning",
        "{}",
        run.out
    );
}

#[test]
fn a_token_that_may_not_read_what_plans_need_is_told_with_the_scope() {
    let folder = Folder::with(SMALL);
    // Before the first apply there is nothing wrong, and much that is not there yet.
    let (run, found) = doctor(&folder);
    assert_eq!(of(&found, "problem"), Vec::<&str>::new(), "{}", run.out);
    assert!(
        of(&found, "not_looked_at").contains(&"doctor::nodes"),
        "{}",
        run.out
    );
    run.ok();
    let token = folder.kplan(&[
        "sandbox",
        "token",
        "--scope",
        "tag:read,vpc:read,account:read",
    ]);
    let token = token.ok().out;
    let url = folder.endpoint("api_url");
    let with = |token: &str| {
        let mut command = folder.command(&["doctor", "--json"]);
        command.env("DIGITALOCEAN_API_URL", &url);
        command.env("DIGITALOCEAN_TOKEN", token.trim());
        Run::of(command).expect_code(1)
    };
    let run = with(&token);
    let found = checks(&run);
    assert_eq!(
        of(&found, "problem"),
        ["doctor::token_scopes"],
        "{}",
        run.out
    );
    let lacks = &found["doctor::token_scopes"]["details"]["lacks"];
    let lacks = lacks.as_array().expect("scopes");
    assert!(lacks.contains(&json!("droplet:read")), "{lacks:?}");
    assert!(!lacks.contains(&json!("tag:read")), "{lacks:?}");
    let run = with("dop_v1_revoked");
    assert_eq!(
        of(&checks(&run), "problem"),
        ["doctor::token"],
        "{}",
        run.out
    );
    // Without one, everything else is looked at.
    let run = folder.kplan(&["doctor", "--json"]).expect_code(1);
    assert_eq!(
        of(&checks(&run), "problem"),
        ["doctor::token"],
        "{}",
        run.out
    );
}

#[test]
fn without_the_identity_the_state_is_told_to_be_sealed() {
    let folder = Folder::with(SMALL);
    folder.apply();
    let identity = folder.home().join(".config/kplan/identity");
    std::fs::rename(&identity, folder.home().join("elsewhere")).expect("the identity");
    let (run, found) = doctor(&folder);
    let run = run.expect_code(1);
    assert_eq!(found["doctor::state"]["outcome"], "problem", "{}", run.out);
    assert_eq!(
        found["doctor::nodes"]["outcome"], "not_looked_at",
        "{}",
        run.out
    );
    assert_eq!(found["doctor::limits"]["outcome"], "ok", "{}", run.out);
}
