//! A property: whatever is in the account, whatever the cluster made, whether its API answers or not,
//! and wherever the destroys before the last were killed: in the end nothing of the cluster is left but
//! what was asked to stay, and everything else in the account is as it was, byte for byte.
//!
//! The ordinary tests draw a few cases. More of them:
//!
//! ```text
//! KPLAN_DESTROYS=200 KPLAN_SEED=1 cargo test --release --test it destroyed:: -- --nocapture
//! ```
//!
//! A failure prints the seed of its case and keeps its folder; `KPLAN_DESTROYS=1 KPLAN_SEED=n` draws
//! that case again (its moments are the same numbers; what a process does in a millisecond is not in
//! them).

use crate::orphans::{account, claim, unrelated};
use crate::support::cluster::Cluster;
use crate::support::{Dice, Folder, SMALL};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Cases that the ordinary tests draw.
const CASES: u64 = 3;
/// A run is killed within this time: such runs take about so long here.
const LENGTH: u64 = 2500;
/// A destroy is killed so often at most before one is let through.
const KILLS: u64 = 4;
/// The other cluster of the account.
const OTHER: &str = "other.toml";

/// One case.
#[derive(Debug)]
struct Case {
    /// Claims: whether a pod has it, and whether its class retains the volume.
    claims: Vec<(bool, bool)>,
    /// Services of type `LoadBalancer`.
    services: u64,
    /// Whether a snapshot is taken of the first claim.
    snapshot: bool,
    /// Unrelated things, by what they are.
    strangers: Vec<u64>,
    /// Whether there is a second cluster of kplan's in the account.
    other: bool,
    /// Whether the cluster's API answers nobody.
    dead: bool,
    /// Whether what holds data stays.
    keeps: bool,
    /// After how many milliseconds destroys are killed.
    kills: Vec<u64>,
}

impl Case {
    fn draw(dice: &mut Dice) -> Self {
        let mut coin = |of: u64| dice.below(of) == 0;
        let (other, dead, keeps) = (coin(3), coin(3), coin(4));
        let claims = 0..dice.below(4);
        let claims: Vec<_> = claims
            .map(|_| (dice.below(2) == 0, dice.below(3) == 0))
            .collect();
        Self {
            snapshot: !claims.is_empty() && dice.below(2) == 0,
            claims,
            services: dice.below(3),
            strangers: (0..dice.below(7)).map(|_| dice.below(5)).collect(),
            other,
            dead,
            keeps,
            kills: (0..dice.below(KILLS + 1))
                .map(|_| dice.below(LENGTH))
                .collect(),
        }
    }

    /// What in the account is not the cluster's.
    fn surround(&self, folder: &Folder) {
        if self.other {
            let text = SMALL.replace("\"demo\"", "\"other\"");
            std::fs::write(folder.path().join(OTHER), text).expect("another file");
            let apply = ["apply", "--sandbox", "--auto-approve", "-f", OTHER];
            folder.kplan(&apply).ok();
            let cluster = Cluster::of(folder, "other");
            claim(&cluster, "theirs", "do-block-storage");
            balance(&cluster, 9);
            unrelated(folder);
        } else {
            // The cloud runs before anything is asked of it.
            folder.inspect();
        }
        for (at, what) in self.strangers.iter().enumerate() {
            stranger(folder, at, *what);
        }
    }

    /// What the cluster makes.
    fn work(&self, folder: &Folder) {
        let cluster = Cluster::of(folder, "demo");
        for (at, (held, retains)) in self.claims.iter().enumerate() {
            let class = if *retains {
                "do-block-storage-retain"
            } else {
                "do-block-storage"
            };
            let name = format!("data-{at}");
            claim(&cluster, &name, class);
            if *held {
                hold(&cluster, &name);
            }
        }
        for at in 0..self.services {
            balance(&cluster, at);
        }
        if self.snapshot {
            cluster.apply(&json!({
                "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
                "metadata": { "name": "before", "namespace": "default" },
                "spec": {
                    "volumeSnapshotClassName": "do-block-storage",
                    "source": { "persistentVolumeClaimName": "data-0" },
                },
            }));
            let what = "snapshot.storage.k8s.io/v1 VolumeSnapshot default/before";
            cluster.until(what, "/status/restoreSize", "5Gi");
        }
    }

    /// The names and ids of volumes and snapshots, where they are to stay.
    fn data(&self, folder: &Folder) -> Vec<Value> {
        let seen = folder.inspect();
        let kinds = ["volumes", "snapshots"].into_iter().filter(|_| self.keeps);
        kinds
            .filter_map(|kind| seen["resources"][kind].as_array().cloned())
            .flatten()
            .map(|one| one["id"].clone())
            .collect()
    }

    fn live(&self, folder: &Folder) {
        self.surround(folder);
        let before = account(folder);
        folder.apply();
        self.work(folder);
        if self.dead {
            folder.switch_off(|name| name.starts_with("demo-"));
        }
        let kept = self.data(folder);
        let orphans = if self.keeps { "keep" } else { "delete" };
        let destroy = [
            "destroy",
            "--sandbox",
            "--auto-approve",
            "--confirm",
            "demo",
            "--orphans",
            orphans,
        ];
        for after in &self.kills {
            kill(folder, &destroy, Duration::from_millis(*after));
        }
        let run = folder.kplan(&destroy).ok();
        assert!(run.out.contains("Nothing of demo is left"), "{}", run.out);
        let after: Vec<Value> = account(folder)
            .into_iter()
            .map(|list| without(list, &kept))
            .collect();
        let before: Vec<Value> = before
            .into_iter()
            .map(|list| without(list, &kept))
            .collect();
        assert_eq!(after, before, "{}", run.out);
        assert_eq!(self.data(folder), kept, "{}", run.out);
        // What was looked for was seen gone, and is looked for no longer.
        assert!(folder.snapshot("demo").resources.is_empty(), "{}", run.out);
        folder.kplan(&destroy).ok();
    }
}

/// A list of the account without those, and without how many there are.
fn without(mut list: Value, ids: &[Value]) -> Value {
    let fields = list.as_object_mut().expect("a list");
    for field in ["meta", "links"] {
        fields.remove(field);
    }
    for items in fields.values_mut().filter_map(Value::as_array_mut) {
        items.retain(|one| !ids.contains(&one["id"]));
    }
    list
}

/// A pod that has a claim.
fn hold(cluster: &Cluster, claim: &str) {
    cluster.apply(&json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": claim, "namespace": "default" },
        "spec": {
            "replicas": 1, "selector": { "matchLabels": { "app": claim } },
            "template": {
                "metadata": { "labels": { "app": claim } },
                "spec": {
                    "containers": [{ "name": "web", "image": "nginx:1.29" }],
                    "volumes": [
                        { "name": "data", "persistentVolumeClaim": { "claimName": claim } },
                    ],
                },
            },
        },
    }));
}

/// A Service with its load balancer.
fn balance(cluster: &Cluster, at: u64) {
    let name = format!("web-{at}");
    cluster.apply(&json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": name, "namespace": "default" },
        "spec": {
            "type": "LoadBalancer", "selector": { "app": "web" },
            "ports": [{ "port": 80 + at, "protocol": "TCP" }],
        },
    }));
    let service = format!("v1 Service default/{name}");
    cluster.until(&service, "/status/loadBalancer/ingress/0/ipMode", "VIP");
}

/// Something in the account that is somebody else's.
fn stranger(folder: &Folder, at: usize, what: u64) {
    let name = format!("theirs-{at}");
    let (path, body) = match what {
        0 => (
            "/v2/volumes",
            json!({ "name": name, "region": "fra1", "size_gigabytes": 1, "tags": ["web"] }),
        ),
        1 => (
            "/v2/volumes",
            json!({
                "name": format!("pvc-00000000-0000-4000-8000-00000000010{at}"), "region": "fra1",
                "size_gigabytes": 1, "description": "Created by DigitalOcean CSI driver",
                "tags": ["k8s:0b1c2d3e"],
            }),
        ),
        2 => ("/v2/tags", json!({ "name": name })),
        3 => (
            "/v2/vpcs",
            json!({ "name": name, "region": "fra1", "ip_range": format!("10.77.{at}.0/24") }),
        ),
        _ => (
            "/v2/firewalls",
            json!({
                "name": name, "inbound_rules": [{
                    "protocol": "tcp", "ports": "22", "sources": { "addresses": ["10.0.0.0/8"] },
                }],
            }),
        ),
    };
    folder.cloud("POST", path, Some(&body));
}

/// One destroy, killed after that time if it is not through before.
fn kill(folder: &Folder, destroy: &[&str], after: Duration) {
    let mut command = folder.command(destroy);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("kplan starts");
    let begun = Instant::now();
    while begun.elapsed() < after {
        if let Some(status) = child.try_wait().expect("wait") {
            assert_eq!(status.code(), Some(0));
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    drop(child.kill());
    child.wait().expect("it ends");
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn nothing_is_left_and_nothing_else_is_touched_wherever_it_was_killed() {
    let cases = number("KPLAN_DESTROYS").unwrap_or(CASES);
    let seed = number("KPLAN_SEED").unwrap_or(1);
    let mut failures = String::new();
    for seed in seed..seed + cases {
        let case = Case::draw(&mut Dice::new(seed));
        println!("KPLAN_SEED={seed}: {case:?}");
        let mut folder = Folder::with(SMALL).unrecorded();
        let lived = catch_unwind(AssertUnwindSafe(|| case.live(&folder)));
        if let Err(payload) = lived {
            let said = payload.downcast_ref::<String>().cloned();
            let said = said.unwrap_or_else(|| "no message".to_owned());
            let folder = folder.keep().display().to_string();
            let _ = writeln!(
                failures,
                "KPLAN_SEED={seed}, folder {folder}: {case:?}\n{said}\n"
            );
        }
    }
    assert!(failures.is_empty(), "{failures}");
}
