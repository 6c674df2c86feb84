//! What `destroy` does before anything goes, and how it ends: prices, a last backup, Argo CD suspended,
//! what the cluster made taken down by its own controllers, and the account listed once more.

use crate::conformance::judge;
use crate::orphans::{DESTROY, SERVICE, at_work, faults};
use crate::support::cluster::Cluster;
use crate::support::{Folder, Run, SMALL, meanwhile};
use serde_json::{Value, json};

/// A cluster with Argo CD and Velero.
const WHOLE: &str = "quickstart";
const CONTROLLER: &str = "apps/v1 StatefulSet argocd/argocd-application-controller";
const LOCATION: &str = "velero.io/v1 BackupStorageLocation velero/default";

fn whole() -> Folder {
    let folder = Folder::example(WHOLE);
    folder.apply();
    folder
}

/// A destroy without a prompt, of [`WHOLE`].
fn destroy(folder: &Folder, more: &[&str]) -> Run {
    let destroy = ["destroy", "--sandbox", "--auto-approve", "--confirm", WHOLE];
    folder.kplan(&[&destroy, more].concat())
}

/// A fault that keeps every droplet.
fn droplets_stay() -> Value {
    json!([{
        "method": "DELETE", "path": "/v2/droplets/*", "fault": { "kind": "status", "status": 503 },
    }])
}

/// The events of a run with `--json`.
fn events(run: &Run) -> Vec<Value> {
    let lines = run.out.lines();
    let events = lines.map(|line| serde_json::from_str(line).expect("a line of JSON"));
    events.collect()
}

/// The last event, which says what is left.
fn remainder(run: &Run) -> Value {
    let last = events(run).pop().expect("an event");
    assert_eq!(last["type"], "remainder", "{}", run.out);
    last
}

#[test]
fn what_the_cluster_made_is_listed_with_its_price_and_taken_down_by_the_cluster_itself() {
    let folder = at_work();
    let plan = folder.kplan(&["plan", "--sandbox", "--destroy"]).ok();
    plan.assert_says(&[
        "cluster_wind_down.main deletes Service default/web, Deployment default/web, claim \
         default/data, and lets the cluster's own controllers take down what they made for them",
        "cluster_load_balancer.",
        "$12.00 -> $0.00",
        "$0.50 -> $0.00",
        // Of the snapshot nothing is billed, because the sandbox's volumes hold nothing.
        "What ends: $42.00 a month. Nothing goes on being billed.",
    ]);
    let plan = folder
        .kplan(&[
            "plan",
            "--sandbox",
            "--destroy",
            "--orphans",
            "keep",
            "--json",
        ])
        .ok();
    let price = &plan.json()["price"];
    assert_eq!(price["ends"], "41.00", "{price:#}");
    let goes_on = price["continues"].as_array().expect("what goes on");
    let goes_on: Vec<&Value> = goes_on.iter().map(|one| &one["monthly"]).collect();
    assert_eq!(goes_on, ["0.50", "0.50", "0.00"]);

    // Before the first droplet goes, the cluster's own controllers have taken down what they made.
    faults(&folder, &droplets_stay());
    folder.kplan(DESTROY).expect_code(3);
    assert_eq!(folder.count("droplets"), 1);
    assert_eq!(folder.count("load_balancers"), 0);
    assert_eq!(folder.count("volumes"), 1, "the one whose class retains it");
    faults(&folder, &json!([]));
    let run = folder.kplan(DESTROY).ok();
    run.assert_says(&["Nothing of demo is left in the account.\n"]);
    folder.assert_cloud_empty();
    judge(&folder);
}

#[test]
fn an_operators_workload_is_left_to_the_sweep() {
    let folder = at_work();
    let cluster = Cluster::of(&folder, "demo");
    // Somebody stands behind the Deployment who would make it again, claims and all.
    cluster.apply(&json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "shop", "namespace": "default" },
    }));
    let shop = cluster.get("v1 ConfigMap default/shop").expect("a shop");
    let owner = json!([{
        "apiVersion": "v1", "kind": "ConfigMap", "name": "shop", "uid": shop["metadata"]["uid"],
        "controller": true,
    }]);
    cluster.merge(
        "apps/v1 Deployment default/web",
        &json!({ "metadata": { "ownerReferences": owner } }),
    );
    let plan = folder.kplan(&["plan", "--sandbox", "--destroy"]).ok();
    plan.assert_says(&["cluster_wind_down.main deletes Service default/web, and lets"]);
    folder.kplan(DESTROY).ok();
    folder.assert_cloud_empty();
}

#[test]
fn a_pods_own_volumes_go_with_their_workload_and_are_not_waited_for() {
    let folder = Folder::with(SMALL);
    folder.apply();
    let cluster = Cluster::of(&folder, "demo");
    cluster.apply(&json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "web", "namespace": "default" },
        "spec": {
            "replicas": 1, "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": {
                    "containers": [{ "name": "web", "image": "nginx:1.29" }],
                    "volumes": [{ "name": "scratch", "ephemeral": { "volumeClaimTemplate": { "spec": {
                        "accessModes": ["ReadWriteOnce"], "storageClassName": "do-block-storage",
                        "resources": { "requests": { "storage": "5Gi" } },
                    } } } }],
                },
            },
        },
    }));
    let web = "apps/v1 Deployment default/web";
    cluster.until_is(web, "/status/availableReplicas", &json!(1));
    assert_eq!(folder.count("volumes"), 1);
    let run = folder.kplan(DESTROY).ok();
    run.assert_says(&["cluster_wind_down.main deletes Deployment default/web, claim default/web-"]);
    assert!(
        !run.out.contains("did not take down in time"),
        "{}",
        run.out
    );
    assert!(
        !run.err.contains("did not take down in time"),
        "{}",
        run.err
    );
    folder.assert_cloud_empty();
}

#[test]
fn volumes_that_stay_keep_their_claims() {
    let folder = at_work();
    let keep = [&DESTROY[..6], &["keep"]].concat();
    let run = folder.kplan(&keep).ok();
    run.assert_says(&[
        "cluster_wind_down.main deletes Service default/web, and lets",
        "Nothing of demo is left in the account but: pvc-",
        "What goes on being billed: $1.00 a month: pvc-",
    ]);
    assert_eq!(folder.count("volumes"), 2);
    assert_eq!(folder.count("snapshots"), 1);
    assert_eq!(folder.count("load_balancers"), 0);
}

#[test]
fn argo_cd_is_suspended_and_works_again_where_the_cluster_stays() {
    let folder = whole();
    // What goes after Argo CD is suspended does not go: the cluster stays.
    faults(&folder, &droplets_stay());
    let run = destroy(&folder, &[]).expect_code(3);
    run.assert_says(&["cluster_wind_down.main suspends Argo CD, so that it brings nothing again"]);
    faults(&folder, &json!([]));
    let cluster = Cluster::of(&folder, WHOLE);
    let stopped = cluster.get(CONTROLLER).expect("a controller");
    assert_eq!(stopped["spec"]["replicas"], 0);
    let plan = folder.kplan(&["plan", "--sandbox"]).ok();
    plan.assert_says(&["argocd.main brings from Git again (resume)"]);
    folder.kplan(&["apply", "--sandbox", "--auto-approve"]).ok();
    let works = cluster.get(CONTROLLER).expect("a controller");
    assert_eq!(works["spec"]["replicas"], 1);
    assert_eq!(
        works["metadata"]["annotations"]["kplan.dev/replicas"],
        Value::Null
    );
    folder.assert_no_changes();
}

#[test]
fn a_last_backup_is_asked_for_made_and_kept() {
    let folder = whole();
    // Neither yes nor no destroys nothing.
    let asking = || folder.command(&["destroy", "--sandbox"]);
    let run = Run::answering(asking(), "quickstart\n").expect_code(1);
    run.assert_says(&[
        "Make a last backup before anything is destroyed?",
        "Destroy cancelled.",
    ]);
    assert_eq!(folder.count("droplets"), 1);
    let run = Run::answering(asking(), "yes\nquickstart\n").ok();
    run.assert_says(&[
        "cluster_final_backup.main makes a last backup, kplan-final-",
        "unless that is whole, nothing is destroyed",
        "cluster_final_backup.main: Backup complete after",
        "Nothing of quickstart is left in the account but: bucket.backup (fra1/quickstart-kplan-backup)",
        "What goes on being billed: $5.00 a month: bucket.backup $5.00.",
    ]);
    let list = folder.kplan(&["backup", "list", "--sandbox"]).ok();
    assert!(list.out.starts_with("kplan-final-"), "{}", list.out);
    list.assert_says(&["Completed"]);
    folder.assert_cloud_empty();
}

#[test]
fn without_a_prompt_the_flag_decides_and_a_backup_that_is_not_whole_stops_everything() {
    let folder = whole();
    let cluster = Cluster::of(&folder, WHOLE);
    let mode = |mode: &str| cluster.merge(LOCATION, &json!({ "spec": { "accessMode": mode } }));
    mode("ReadOnly");
    let run = destroy(&folder, &["--final-backup"]).expect_code(1);
    for words in [
        "the last backup is not whole: Velero says FailedValidation",
        "nothing was destroyed",
        "--final-backup=false",
    ] {
        assert!(run.err.contains(words), "{words}: {}", run.err);
    }
    assert_eq!(folder.count("droplets"), 1);
    // Who agreed to one meant that nothing goes without it, and the broken one is not waited for.
    mode("ReadWrite");
    faults(&folder, &droplets_stay());
    destroy(&folder, &[]).expect_code(3);
    faults(&folder, &json!([]));
    // One that was made is not made again by whoever goes on.
    let run = destroy(&folder, &["--final-backup", "--json"]).ok();
    let events = events(&run);
    let plan = events.iter().find(|event| event["type"].is_null());
    let notes = plan.expect("a plan")["notes"].to_string();
    assert!(
        notes.contains("was made by an earlier run of destroy"),
        "{notes}"
    );
    let last = remainder(&run);
    assert_eq!(last["proven"], true, "{last:#}");
    assert_eq!(last["left"], json!([]));
    assert!(
        last["kept"].to_string().contains("bucket.backup"),
        "{last:#}"
    );
    let list = folder.kplan(&["backup", "list", "--sandbox"]).ok();
    assert_eq!(list.out.matches("Completed").count(), 1, "{}", list.out);
}

#[test]
fn a_run_that_goes_on_does_not_take_the_last_backup_that_was_agreed_to() {
    let folder = whole();
    faults(&folder, &droplets_stay());
    destroy(&folder, &["--final-backup"]).expect_code(3);
    faults(&folder, &json!([]));
    let run = destroy(&folder, &["--delete-backups"]).expect_code(6);
    for words in [
        "destroy::final_backup",
        "an earlier run of destroy made the last backup kplan-final-",
        "--final-backup=false",
    ] {
        assert!(run.err.contains(words), "{words}: {}", run.err);
    }
    assert_eq!(folder.count("droplets"), 1);
    let list = folder.kplan(&["backup", "list", "--sandbox"]).ok();
    assert!(list.out.starts_with("kplan-final-"), "{}", list.out);
    // Who says it twice means it, and is told.
    let run = destroy(&folder, &["--delete-backups", "--final-backup=false"]).ok();
    run.assert_says(&[
        "the last backup, kplan-final-",
        "goes with all other backups",
        "Nothing of quickstart is left in the account.\n",
    ]);
}

#[test]
fn a_bucket_of_backups_that_was_never_made_is_not_told_of() {
    let folder = Folder::example(WHOLE);
    let begun = ["--target", "spaces_key.operator", "--target", "vpc.main"];
    let key = [&["apply", "--sandbox", "--auto-approve"], &begun[..]].concat();
    folder.kplan(&key).ok();
    let run = destroy(&folder, &[]).ok();
    run.assert_says(&["Kept: spaces_key.operator (there are no backups yet"]);
    assert!(!run.out.contains("bucket of your own"), "{}", run.out);
    destroy(&folder, &["--delete-backups"]).ok();
    folder.assert_cloud_empty();
}

#[test]
fn what_the_file_lets_go_is_told_and_priced_as_it_stays() {
    let file =
        format!("{SMALL}\n[[reserved_ip]]\nname = \"front\"\ndroplet = \"droplet.servers[0]\"\n");
    let folder = Folder::with(&file);
    folder.apply();
    folder.write(&format!(
        "{SMALL}\n[[removed]]\nfrom = \"reserved_ip.front\"\nkeep = true\n"
    ));
    let run = folder.kplan(DESTROY).ok();
    // It led to a droplet, which cost nothing; it leads nowhere now.
    run.assert_says(&[
        "Kept: reserved_ip.front (",
        "the file lets it go and keeps it ([[removed]])",
        "What goes on being billed: $5.00 a month: reserved_ip.front (",
    ]);
    assert!(!run.out.contains("programs stored"), "{}", run.out);
    assert_eq!(folder.count("reserved_ips"), 1);
}

#[test]
fn a_last_backup_that_cannot_be_made_is_refused() {
    let folder = Folder::with(SMALL);
    folder.apply();
    let backed = [DESTROY, &["--final-backup"]].concat();
    let run = folder.kplan(&backed).expect_code(6);
    assert!(
        run.err.contains("there is no Velero on record"),
        "{}",
        run.err
    );
    let both = [&backed[..], &["--delete-backups"]].concat();
    let run = folder.kplan(&both).expect_code(6);
    assert!(run.err.contains("destroy::final_backup"), "{}", run.err);
    folder.switch_off(|_| true);
    let run = folder.kplan(&backed).expect_code(6);
    assert!(
        run.err.contains("the cluster's API does not answer"),
        "{}",
        run.err
    );
    let without = [DESTROY, &["--final-backup=false"]].concat();
    folder.kplan(&without).ok();
    folder.assert_cloud_empty();
}

#[test]
fn a_cluster_that_stops_answering_holds_nothing_up() {
    let folder = at_work();
    let mut cluster = folder.command(DESTROY);
    // It answered when the plan was made, and is gone when it is to take things down.
    cluster.args(["--json"]);
    let run = meanwhile(cluster, "\"type\":\"run_start\"", || {
        folder.switch_off(|_| true);
    });
    assert_eq!(run.code, Some(0), "{}{}", run.out, run.err);
    assert_eq!(remainder(&run)["proven"], true);
    folder.assert_cloud_empty();
}

#[test]
fn a_remainder_is_named_and_what_cannot_be_listed_is_not_proven() {
    let folder = at_work();
    folder.switch_off(|_| true);
    faults(
        &folder,
        &json!([{
            "method": "DELETE", "path": "/v2/load_balancers/*",
            "fault": { "kind": "status", "status": 503 },
        }]),
    );
    let json = [DESTROY, &["--json"]].concat();
    let run = folder.kplan(&json).expect_code(3);
    let last = remainder(&run);
    let left = last["left"].as_array().expect("what is left");
    let named = |what: &str, why: &str| {
        let is_it = |one: &&Value| one["what"] == what && one["why"] == why;
        assert!(left.iter().any(|one| is_it(&one)), "{what}: {last:#}");
    };
    assert_eq!(last["proven"], false);
    assert_eq!(left.len(), 3, "{last:#}");
    named("load balancer", "stands in the cluster's VPC");
    named("VPC", "is the cluster's network");
    named("tag", "is the owner's tag");
    // Gone, and nobody can say so.
    let unread = json!([{
        "method": "GET", "path": "/v2/databases", "fault": { "kind": "status", "status": 503 },
    }]);
    faults(&folder, &unread);
    let run = folder.kplan(DESTROY).expect_code(3);
    assert!(
        run.err.contains("destroy::remainder"),
        "{}{}",
        run.out,
        run.err
    );
    faults(&folder, &json!([]));
    let run = folder.kplan(DESTROY).ok();
    run.assert_says(&["Nothing of demo is left in the account.\n"]);
    folder.assert_cloud_empty();
}

#[test]
fn what_is_only_called_like_the_clusters_is_named_and_stays() {
    let folder = Folder::with(SMALL);
    folder.apply();
    let name = folder.inspect()["resources"]["droplets"][0]["name"].clone();
    let droplet = json!({
        "name": name, "region": "fra1", "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64",
    });
    folder.cloud("POST", "/v2/droplets", Some(&droplet));
    let run = folder.kplan(DESTROY).ok();
    run.assert_says(&["stays: it is called like one of demo's, and nothing proves that it is."]);
    assert_eq!(folder.count("droplets"), 1);
}

#[test]
fn a_saved_plan_takes_a_last_backup_along() {
    let folder = whole();
    let plan = [
        "plan",
        "--sandbox",
        "--destroy",
        "--final-backup",
        "--out",
        "end.kplan",
    ];
    let shown = folder.kplan(&plan).ok();
    shown.assert_says(&["cluster_final_backup.main makes a last backup"]);
    let run = folder
        .kplan(&["apply", "--sandbox", "end.kplan", "--confirm", WHOLE])
        .ok();
    run.assert_says(&[
        "Backup complete after",
        "Nothing of quickstart is left in the account but:",
    ]);
    folder.assert_cloud_empty();
}

#[test]
fn a_service_whose_load_balancer_is_anothers_is_not_deleted() {
    let folder = at_work();
    let cluster = Cluster::of(&folder, "demo");
    let balancer = json!({
        "name": "front", "region": "fra1", "droplet_ids": [],
        "forwarding_rules": [{ "entry_protocol": "tcp", "entry_port": 80,
            "target_protocol": "tcp", "target_port": 80 }],
    });
    let made = folder.cloud("POST", "/v2/load_balancers", Some(&balancer));
    let (_, body) = made.split_once("\r\n\r\n").expect("a body");
    let made: Value = serde_json::from_str(body).expect("JSON");
    let id = &made["load_balancer"]["id"];
    let key = "kubernetes.digitalocean.com/load-balancer-id";
    // Deleted, this Service would take somebody else's load balancer along.
    cluster.merge(
        SERVICE,
        &json!({ "metadata": { "annotations": { key: id } } }),
    );
    let run = folder.kplan(DESTROY).ok();
    assert!(!run.out.contains("Service default/web"), "{}", run.out);
    let left = folder.inspect()["resources"]["load_balancers"].clone();
    assert_eq!(left.as_array().map(Vec::len), Some(1), "{left:#}");
    assert_eq!(&left[0]["id"], id);
}
