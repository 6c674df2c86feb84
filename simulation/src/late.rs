//! A run that is carried on after the addresses its droplets were given are over: the droplets
//! are replaced, because none of them fetches its bundle any more.

use crate::life::{Command, Ended, Operator};
use crate::oracle::disagreements;
use crate::run::LINEAGE;
use crate::world::World;
use kplan_engine::Discipline;
use kplan_sandbox::Rng;
use kplan_state::Identity;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::sleep;

const FILE: &str = r#"
[cluster]
name   = "sim"
region = "fra1"

[servers]
size = "s-2vcpu-4gb"

[[agents]]
name  = "web"
count = 1
size  = "s-1vcpu-2gb"
"#;

/// The droplets on record, by address and id.
fn droplets(operator: &Operator<'_>) -> BTreeMap<String, String> {
    let state = operator.recorded().unwrap();
    let droplets = state.resources.values();
    droplets
        .filter(|record| record.address.kind().as_str() == "droplet")
        .map(|record| (record.address.to_string(), record.id.to_string()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn droplets_whose_addresses_are_over_are_replaced_by_the_next_apply() {
    for killed_after in [20, 30] {
        let world = World::new(1, 20, BTreeMap::new(), (false, BTreeMap::new()));
        let world = world.await.unwrap();
        let identity = Identity::generate();
        let operator = Operator {
            world: &world,
            identity: &identity,
            lineage: LINEAGE,
            platform: true,
            discipline: Discipline::default(),
            seed: 1,
        };
        let killer = async {
            sleep(Duration::from_secs(killed_after)).await;
            world.net.die();
        };
        let (ended, ()) = tokio::join!(operator.live(FILE, Command::Apply), killer);
        assert_eq!(ended, Ended::Died);
        world.place.crash(&Rng::seeded(1)).await;
        world.net.live_again();
        let before = droplets(&operator);
        assert_eq!(before.len(), 2, "{before:?}");
        let nodes = operator.recorded().unwrap().resources;
        let nodes = nodes.keys().filter(|at| at.kind().as_str() == "k3s_node");
        assert_eq!(nodes.count(), 0, "killed too late");
        sleep(Duration::from_hours(2)).await;
        assert_eq!(operator.live(FILE, Command::Apply).await, Ended::Complete);
        let after = droplets(&operator);
        assert!(before.keys().eq(after.keys()), "{after:?}");
        for (address, id) in &before {
            assert_ne!(&after[address], id, "{address}");
        }
        let state = operator.recorded().unwrap();
        assert_eq!(disagreements(&world.sandbox, &state), Vec::<String>::new());
        let left = operator.left(FILE, Command::Apply).await;
        assert_eq!(left, Ok(Vec::new()));
    }
}
