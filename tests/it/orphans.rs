//! `destroy` and what the cluster's own controllers made: volumes of claims, their snapshots, load
//! balancers of Services.

use crate::conformance::judge;
use crate::support::cluster::Cluster;
use crate::support::{Folder, Run, SMALL, cut_off};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::process::Stdio;

const OTHER: &str = "other.toml";
pub(crate) const DESTROY: &[&str] = &[
    "destroy",
    "--sandbox",
    "--auto-approve",
    "--confirm",
    "demo",
    "--orphans",
    "delete",
];
pub(crate) const CLAIM: &str = "v1 PersistentVolumeClaim default/data";
pub(crate) const SERVICE: &str = "v1 Service default/web";
const SNAPSHOT: &str = "snapshot.storage.k8s.io/v1 VolumeSnapshot default/before";

/// A claim, bound.
pub(crate) fn claim(cluster: &Cluster, name: &str, class: &str) {
    cluster.apply(&json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": { "name": name, "namespace": "default" },
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": class,
            "resources": { "requests": { "storage": "5Gi" } },
        },
    }));
    let claim = format!("v1 PersistentVolumeClaim default/{name}");
    cluster.until(&claim, "/status/phase", "Bound");
}

/// Two claims of which a pod has one, a snapshot, and a load balancer.
pub(crate) fn work(cluster: &Cluster) {
    claim(cluster, "data", "do-block-storage");
    claim(cluster, "kept", "do-block-storage-retain");
    cluster.apply(&json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "web", "namespace": "default" },
        "spec": {
            "replicas": 1, "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": {
                    "containers": [{ "name": "web", "image": "nginx:1.29" }],
                    "volumes": [
                        { "name": "data", "persistentVolumeClaim": { "claimName": "data" } },
                    ],
                },
            },
        },
    }));
    cluster.apply(&json!({
        "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
        "metadata": { "name": "before", "namespace": "default" },
        "spec": {
            "volumeSnapshotClassName": "do-block-storage",
            "source": { "persistentVolumeClaimName": "data" },
        },
    }));
    cluster.apply(&json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": "web", "namespace": "default" },
        "spec": {
            "type": "LoadBalancer", "selector": { "app": "web" },
            "ports": [{ "port": 80, "protocol": "TCP" }],
        },
    }));
    cluster.until(SERVICE, "/status/loadBalancer/ingress/0/ipMode", "VIP");
    let content = cluster.until(SNAPSHOT, "/status/restoreSize", "5Gi");
    assert_eq!(content["status"]["readyToUse"], true);
}

/// The cluster, with what it made.
pub(crate) fn at_work() -> Folder {
    let folder = Folder::with(SMALL);
    folder.apply();
    work(&Cluster::of(&folder, "demo"));
    folder
}

/// Everything there is, as the account shows it.
pub(crate) fn account(folder: &Folder) -> Vec<Value> {
    let paths = [
        "volumes",
        "snapshots",
        "load_balancers",
        "droplets",
        "vpcs",
        "tags",
        "firewalls",
    ];
    let pages = paths.map(|path| format!("/v2/{path}?per_page=200"));
    pages
        .iter()
        .map(|path| folder.ask("GET", path, None))
        .collect()
}

/// What looks like the cluster's at first sight, and is not.
pub(crate) fn unrelated(folder: &Folder) {
    let made = "Created by DigitalOcean CSI driver";
    for (name, description, tag) in [
        (
            "pvc-00000000-0000-4000-8000-000000000001",
            made,
            "kplan:demo2-00000000",
        ),
        ("pvc-00000000-0000-4000-8000-000000000002", made, "k8s"),
        ("by-hand", "mine", "web"),
    ] {
        let volume = json!({ "name": name, "region": "fra1", "size_gigabytes": 1,
            "description": description, "tags": [tag] });
        folder.cloud("POST", "/v2/volumes", Some(&volume));
    }
    let balancer = json!({
        "name": format!("a{}", "1".repeat(31)), "region": "fra1", "droplet_ids": [],
        "forwarding_rules": [{ "entry_protocol": "tcp", "entry_port": 80,
            "target_protocol": "tcp", "target_port": 80 }],
    });
    folder.cloud("POST", "/v2/load_balancers", Some(&balancer));
    let active = || account(folder)[2].to_string().matches("\"active\"").count() == 2;
    while !active() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn what_a_cluster_made_goes_with_it_and_nothing_of_anybody_elses() {
    let folder = Folder::with(SMALL);
    let other = SMALL.replace("\"demo\"", "\"other\"");
    std::fs::write(folder.path().join(OTHER), other).expect("another file");
    folder
        .kplan(&["apply", "--sandbox", "--auto-approve", "-f", OTHER])
        .ok();
    work(&Cluster::of(&folder, "other"));
    unrelated(&folder);
    let before = account(&folder);
    folder.apply();
    work(&Cluster::of(&folder, "demo"));
    let plan = folder
        .kplan(&["plan", "--sandbox", "--destroy", "--json"])
        .ok();
    let plan = plan.json();
    let changes = plan["resource_changes"].as_array().expect("changes");
    let left = |kind: &str| -> Vec<&Value> {
        let of = |one: &&Value| {
            one["address"]
                .as_str()
                .is_some_and(|it| it.starts_with(kind))
        };
        changes.iter().filter(of).collect()
    };
    assert_eq!(left("cluster_volume.").len(), 2);
    assert_eq!(left("cluster_snapshot.").len(), 1);
    assert_eq!(left("cluster_load_balancer.").len(), 1);
    let shown = &left("cluster_load_balancer.")[0]["change"]["before"];
    assert_eq!(
        shown["kplan"]["made_for"], "Service default/web",
        "{shown:#}"
    );
    assert!(shown["id"].is_string(), "{shown:#}");
    let made_for =
        |one: &&&Value| one["change"]["before"]["kplan"]["made_for"] == "claim default/data";
    let volumes = left("cluster_volume.");
    let shown = &volumes.iter().find(made_for).expect("it")["change"]["before"];
    assert_eq!(shown["size"], 5, "{shown:#}");

    let run = folder.kplan(DESTROY).ok();
    run.assert_says(&[
        "for good",
        "claim default/data",
        "claim default/kept",
        "5 GiB",
    ]);
    assert_eq!(account(&folder), before, "{}", run.out);
    judge(&folder);
}

#[test]
fn what_a_dead_cluster_made_is_found_by_its_tag_and_in_its_vpc() {
    let folder = at_work();
    // The Kubernetes API answers nobody.
    folder.switch_off(|_| true);
    let run = folder.kplan(DESTROY).ok();
    run.assert_says(&["looked for by tag and VPC", "5 GiB"]);
    assert!(!run.out.contains("claim default/data"), "{}", run.out);
    folder.assert_cloud_empty();
}

/// A destroy without a prompt that does not say what becomes of data.
const UNSAID: &[&str] = DESTROY.split_at(5).0;

#[test]
fn volumes_and_snapshots_stay_where_they_are_asked_to() {
    let folder = at_work();
    let droplets = folder.count("droplets");
    let unsaid = folder.kplan(UNSAID).expect_code(6);
    assert!(unsaid.err.contains("destroy::orphans"), "{}", unsaid.err);
    assert_eq!(folder.count("droplets"), droplets);
    // One that does not get to its end is remembered with what it was told.
    let refused = json!({
        "method": "DELETE", "path": "/v2/load_balancers/*",
        "fault": { "kind": "status", "status": 503 },
    });
    faults(&folder, &json!([refused]));
    let keep = [UNSAID, &["--orphans", "keep"]].concat();
    let run = folder.kplan(&keep).expect_code(3);
    run.assert_says(&["keep billing", "claim default/data"]);
    faults(&folder, &json!([]));
    let run = folder.kplan(UNSAID).ok();
    run.assert_says(&["keep billing", "Kept: "]);
    assert_eq!(folder.count("volumes"), 2);
    assert_eq!(folder.count("snapshots"), 1);
    for gone in ["load_balancers", "vpcs", "tags", "droplets"] {
        assert_eq!(folder.count(gone), 0, "{gone}");
    }
    // Nobody is reminded of them, and the next cluster of that name is another one.
    folder.kplan(UNSAID).ok();
    assert_eq!(folder.count("volumes"), 2);
}

/// Makes requests to DigitalOcean fail, or none where there are no rules.
pub(crate) fn faults(folder: &Folder, rules: &Value) {
    folder.cloud("POST", "/_sandbox/faults", Some(&json!({ "rules": rules })));
}

#[test]
fn a_destroy_that_could_not_finish_goes_on_with_what_it_knew() {
    let folder = at_work();
    let refused = |path: &str| {
        json!({ "method": "DELETE", "path": path,
        "fault": { "kind": "status", "status": 503 } })
    };
    faults(
        &folder,
        &json!([refused("/v2/volumes/*"), refused("/v2/load_balancers/*")]),
    );
    let run = folder.kplan(DESTROY).expect_code(3);
    assert_eq!(folder.count("droplets"), 0, "{}", run.err);
    assert_eq!(folder.count("volumes"), 2);
    assert_eq!(folder.count("vpcs"), 1);
    faults(&folder, &json!([]));
    // Whoever wants the cluster back gets it, and keeps what the first one made.
    let plan = folder.kplan(&["plan", "--sandbox"]).ok();
    plan.assert_says(&["will no longer be managed by kplan, but will not be destroyed"]);
    let mut held = plan
        .out
        .lines()
        .filter(|line| line.contains("# cluster_volume."));
    let stays = "will no longer be managed by kplan, but will not be destroyed";
    assert!(held.all(|line| line.ends_with(stays)), "{}", plan.out);
    assert_eq!(
        plan.out.matches("# cluster_volume.").count(),
        2,
        "{}",
        plan.out
    );
    // What the cluster's API told is still known.
    let run = folder.kplan(DESTROY).ok();
    run.assert_says(&["claim default/data"]);
    folder.assert_cloud_empty();
}

/// Whether the moment has come.
type Moment = fn(&Folder) -> bool;

#[test]
fn a_destroy_that_is_killed_leaves_nothing_behind_in_the_end() {
    let moments: [(&str, Moment); 3] = [
        ("they are on record", |folder| {
            let resources = folder.snapshot("demo").resources;
            let mut kinds = resources.keys().map(|it| it.kind().as_str());
            kinds.any(|kind| kind == "cluster_volume")
        }),
        ("the droplets are gone", |folder| {
            folder.count("droplets") == 0
        }),
        ("one of them is gone", |folder| {
            let count = |kind| folder.count(kind);
            count("volumes") + count("snapshots") + count("load_balancers") < 4
        }),
    ];
    for (what, moment) in moments {
        let folder = at_work().unrecorded();
        cut_off(folder.command(DESTROY), || moment(&folder));
        let run: Run = folder.kplan(DESTROY);
        assert_eq!(run.code, Some(0), "{what}: {}{}", run.out, run.err);
        folder.assert_cloud_empty();
    }
}

#[test]
fn a_load_balancer_in_the_vpc_that_is_not_provably_the_clusters_is_named_and_stays() {
    let folder = Folder::with(SMALL);
    folder.apply();
    let vpc = folder.inspect()["resources"]["vpcs"][0]["id"].clone();
    let balancer = json!({
        "name": "front", "region": "fra1", "vpc_uuid": vpc, "droplet_ids": [],
        "forwarding_rules": [{ "entry_protocol": "tcp", "entry_port": 80,
            "target_protocol": "tcp", "target_port": 80 }],
    });
    folder.cloud("POST", "/v2/load_balancers", Some(&balancer));
    let run = folder.kplan(DESTROY).expect_code(3);
    run.assert_says(&["nothing proves", "front ("]);
    assert!(run.err.contains("front ("), "{}", run.err);
    assert_eq!(folder.count("load_balancers"), 1);
    assert_eq!(folder.count("vpcs"), 1);
    let path = folder.first_path("load_balancers", "/v2/load_balancers");
    folder.cloud("DELETE", &path, None);
    folder.kplan(DESTROY).ok();
    folder.assert_cloud_empty();
}

/// A destroy that is agreed to after something else was done while it asked.
#[track_caller]
pub(crate) fn while_it_asks(folder: &Folder, then: impl FnOnce()) -> Run {
    let mut command = folder.command(&["destroy", "--sandbox"]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("kplan starts");
    let mut shown = String::new();
    let mut out = child.stdout.take().expect("a pipe");
    let mut chunk = [0; 4096];
    while !shown.contains("Enter a value:") {
        let count = out.read(&mut chunk).expect("it speaks");
        assert!(count > 0, "it never asked: {shown}");
        shown.push_str(&String::from_utf8_lossy(&chunk[..count]));
    }
    then();
    let mut answer = child.stdin.take().expect("a pipe");
    answer.write_all(b"demo\n").expect("it listens");
    let reading = std::thread::spawn(move || {
        let mut rest = String::new();
        out.read_to_string(&mut rest).map(|_| rest)
    });
    let mut run = Run::ended(child.wait_with_output().expect("it ends"));
    let rest = reading.join().expect("it is read").expect("UTF-8 output");
    run.out = format!("{shown}{rest}");
    run
}

#[test]
fn what_is_made_while_somebody_reads_the_plan_is_named_and_not_forgotten() {
    let folder = Folder::with(SMALL);
    folder.apply();
    let cluster = Cluster::of(&folder, "demo");
    let late = || claim(&cluster, "late", "do-block-storage");
    let run = while_it_asks(&folder, late).expect_code(3);
    assert!(run.err.contains("after the plan was shown"), "{}", run.err);
    assert_eq!(folder.count("volumes"), 1);
    assert_eq!(folder.count("vpcs"), 1);
    folder.kplan(DESTROY).ok().assert_says(&["5 GiB"]);
    folder.assert_cloud_empty();
}

#[test]
fn what_the_cluster_makes_is_in_the_account_and_goes_when_it_deletes_it() {
    let folder = at_work();
    let cluster = Cluster::of(&folder, "demo");
    let claim = cluster.get(CLAIM).expect("a claim");
    let name = format!("pvc-{}", claim["metadata"]["uid"].as_str().expect("a uid"));
    let volumes = account(&folder)[0]["volumes"].clone();
    let mut volumes = volumes.as_array().expect("volumes").iter();
    let volume = volumes
        .find(|one| one["name"] == json!(name))
        .expect("its volume");
    let owner = folder.snapshot("demo").owner.tag();
    assert_eq!(volume["tags"], json!([owner]));
    assert_eq!(volume["droplet_ids"].as_array().map(Vec::len), Some(1));
    for what in [SNAPSHOT, SERVICE, "apps/v1 Deployment default/web", CLAIM] {
        cluster.delete(what);
    }
    let left = || ["snapshots", "load_balancers"].map(|kind| folder.count(kind));
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
    while left() != [0, 0] || folder.count("volumes") != 1 {
        assert!(
            std::time::Instant::now() < deadline,
            "{:#}",
            folder.inspect()
        );
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
