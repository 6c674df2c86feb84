//! `kill -9` at any moment: nothing is lost, nothing is made twice, the next apply carries on.

use crate::support::{Dice, Folder};
use std::time::{Duration, Instant};

/// How often the process is killed. Moments are drawn from the seed; on failure it is printed.
const KILLS: u32 = 30;

fn killed_at_random_moments(example: &str, seed: u64) {
    let folder = Folder::example(example).scaled(100.0);
    // The cloud is started before the clock, so that kills hit the apply and not its start.
    folder.kplan(&["sandbox", "inspect", "--json"]).ok();
    let mut dice = Dice::new(seed);
    let (mut kills, mut lives) = (0, 0);
    while kills < KILLS {
        lives += 1;
        kills += killed_until_it_converges(&folder, &mut dice, KILLS - kills);
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
    println!("seed {seed}: killed {kills} times in the lives of {lives} clusters");
}

/// Kills an apply again and again until one gets through; gives how often it was killed.
fn killed_until_it_converges(folder: &Folder, dice: &mut Dice, at_most: u32) -> u32 {
    for kills in 0..at_most {
        let mut child = folder.start(&["apply", "--sandbox", "--auto-approve"]);
        let after = Duration::from_millis(20 + dice.below(480));
        let deadline = Instant::now() + after;
        while Instant::now() < deadline {
            if child.try_wait().expect("wait").is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        drop(child.kill());
        if child.wait().expect("wait").code().is_some() {
            return kills;
        }
    }
    at_most
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
