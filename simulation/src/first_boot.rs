//! What a living droplet was told at its first boot is never compared: another boot script, other
//! packages or another key for the bucket of bundles replace nothing (docs/internals/traps.md, 2).

use crate::life::{Command, Ended, Operator};
use crate::run::LINEAGE;
use crate::world::World;
use kplan_engine::Discipline;
use kplan_model::{Codec as _, Plan, Secret, Snapshot, Value};
use kplan_providers::k3s::BootArgs;
use kplan_state::Identity;
use std::collections::BTreeMap;

const FILE: &str = r#"
[cluster]
name   = "sim"
region = "fra1"

[servers]
count = 3
size  = "s-2vcpu-4gb"

[load_balancer.api]

[k3s]
datastore = "etcd"

[[agents]]
name  = "web"
count = 2
size  = "s-1vcpu-2gb"
"#;

/// As though another kplan had made the droplets: one with another script, of which everything but
/// the script itself is among these arguments.
fn told_otherwise(snapshot: &mut Snapshot, kinds: &[&str]) -> usize {
    let mut changed = 0;
    for record in snapshot.resources.values_mut() {
        if !kinds.contains(&record.address.kind().as_str()) {
            continue;
        }
        let boot = record.args.get("boot").expect("a node");
        let mut boot = BootArgs::decode(boot).unwrap();
        boot.packages = Some(vec!["jq".to_owned()]);
        boot.bucket = "another-bucket".to_owned().into();
        boot.endpoint = "https://ams3.digitaloceanspaces.com".to_owned().into();
        boot.region = "ams3".to_owned().into();
        boot.access_key = "DO00ANOTHER".to_owned().into();
        boot.secret_key = Secret::new("another-key").into();
        boot.public_key = "another public key".to_owned().into();
        record.args.insert("boot", boot.encode());
        changed += 1;
    }
    changed
}

fn words(plan: &Plan) -> Vec<String> {
    let steps = plan.steps.iter();
    steps
        .map(|step| format!("{:?} {}", step.action, step.address))
        .collect()
}

/// Whether a text stands anywhere in a value.
fn holds(value: &Value, text: &str) -> bool {
    match value {
        Value::Str(own) => own.contains(text),
        Value::List(items) => items.iter().any(|item| holds(item, text)),
        Value::Map(map) => map.values().any(|inner| holds(inner, text)),
        _ => false,
    }
}

#[tokio::test(start_paused = true)]
async fn another_boot_script_plans_nothing_on_living_droplets() {
    let world = World::new(1, 200, BTreeMap::new(), (false, BTreeMap::new()));
    let (world, identity) = (world.await.unwrap(), Identity::generate());
    let operator = Operator {
        world: &world,
        identity: &identity,
        lineage: LINEAGE,
        platform: true,
        discipline: Discipline::default(),
        seed: 1,
    };
    assert_eq!(operator.live(FILE, Command::Apply).await, Ended::Complete);
    let snapshot = operator.recorded().unwrap();
    // The script is on no record, so there is nothing to compare it with.
    for record in snapshot.resources.values() {
        for value in record.args.values().chain(record.attrs.values()) {
            assert!(!holds(value, "fetch_bundle") && !holds(value, "#cloud-config"));
        }
    }
    let planned = async |snapshot| {
        let plan = operator.planned_from(FILE, Command::Apply, snapshot).await;
        words(&plan.unwrap())
    };
    let mut otherwise = snapshot.clone();
    assert_eq!(told_otherwise(&mut otherwise, &["droplet", "k3s_node"]), 10);
    assert_eq!(planned(otherwise).await, Vec::<String>::new());
    // What a droplet is made of besides is compared.
    let mut otherwise = snapshot;
    let server = "droplet.servers[0]".parse().unwrap();
    let record = otherwise.resources.get_mut(&server).unwrap();
    record.args.insert("image", Value::str("debian-12-x64"));
    assert!(!planned(otherwise).await.is_empty());
}
