//! `kill -9` at any moment: nothing is lost, nothing is made twice, the next apply carries on.

use crate::support::{Dice, Folder};
use std::time::{Duration, Instant};

/// How often the process is killed. Moments are drawn from the seed; on failure it is printed.
const KILLS: u32 = 30;

fn killed_at_random_moments(example: &str, seed: u64) {
    let folder = Folder::example(example).scaled(200.0);
    // The cloud is started before the clock, so that kills hit the apply and not its start.
    folder.kplan(&["sandbox", "inspect", "--json"]).ok();
    let mut dice = Dice::new(seed);
    let mut kills = 0;
    while kills < KILLS {
        let mut child = folder.start(&["apply", "--sandbox", "--auto-approve"]);
        let after = Duration::from_millis(20 + dice.below(380));
        let deadline = Instant::now() + after;
        while Instant::now() < deadline {
            if child.try_wait().expect("wait").is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        drop(child.kill());
        if child.wait().expect("wait").code().is_some() {
            break;
        }
        kills += 1;
    }
    println!("seed {seed}: killed {kills} times");
    assert!(
        kills > 0,
        "seed {seed}: it was through before it could be killed"
    );
    folder.apply();
    folder.assert_no_changes();
    assert_no_duplicates(&folder, seed);
    let name = folder
        .kplan(&["output", "--sandbox", "cluster", "--raw"])
        .ok()
        .out;
    folder.destroy(name.trim()).ok();
    folder.assert_cloud_empty();
}

/// Names in the cloud are unique although DigitalOcean does not ask for it.
#[track_caller]
fn assert_no_duplicates(folder: &Folder, seed: u64) {
    let seen = folder.inspect();
    for (kind, list) in seen["resources"].as_object().expect("resources") {
        let mut names: Vec<&str> = list
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|item| item["name"].as_str())
            .collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(
            names.len(),
            count,
            "seed {seed}: duplicate {kind}: {list:#}"
        );
    }
}

#[test]
fn ha_etcd_survives_kill_9_at_random_moments() {
    killed_at_random_moments("ha-etcd", 1);
}
