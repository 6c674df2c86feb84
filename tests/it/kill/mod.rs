//! `kill -9` at any moment of apply, update, replace and destroy, of kplan and now and then of its
//! cloud: nothing is lost, nothing is made twice, the next apply carries on.
//!
//! The ordinary tests kill a few times. The campaign has a command of its own:
//!
//! ```text
//! KPLAN_KILLS=1000 KPLAN_SEED=1 cargo test --release --test it kill::campaign -- --nocapture
//! ```
//!
//! A failure prints the seed of its series and keeps the folder; `KPLAN_SERIES=1 KPLAN_SEED=n`
//! runs that series again (its moments are drawn anew from the same numbers; what a process does
//! in a millisecond is not in them).

mod changes;
mod oracle;
mod series;
mod tally;

use crate::support::{Folder, SMALL};
use oracle::{Finding, findings};
use series::Campaign;
use tally::Tally;

/// The examples, in the order in which series take turns.
const EXAMPLES: [&str; 4] = ["ha-etcd", "quickstart", "ha-postgres", "single-node"];

/// One series, however many kills.
const ONE: (u64, u64) = (u64::MAX, 1);

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Series until there are so many kills, or so many series; fails with every failure there was.
fn run(mut campaign: Campaign, bounds: (u64, u64), seed: u64, examples: &[&'static str]) -> Tally {
    let (kills, series) = bounds;
    let mut number = 0;
    while number < series && campaign.tally.kills() < kills {
        let seed = seed + number;
        let at = usize::try_from(seed).expect("a small number") % examples.len();
        campaign.series(examples[at], seed);
        number += 1;
        if number.is_multiple_of(10) {
            println!("{number} series, {} kills", campaign.tally.kills());
        }
    }
    println!("{}", campaign.tally);
    assert!(
        campaign.tally.failures.is_empty(),
        "{}",
        campaign.tally.failures.join("\n\n")
    );
    campaign.tally
}

#[test]
fn ha_etcd_survives_kills_in_every_phase() {
    assert!(run(Campaign::new(1), ONE, 4, &["ha-etcd"]).kills() > 4);
}

#[test]
fn quickstart_survives_kills_in_every_phase() {
    assert!(run(Campaign::new(1), ONE, 5, &["quickstart"]).kills() > 4);
}

/// Only when asked for: a thousand kills take half an hour.
#[test]
fn campaign() {
    let Some(kills) = number("KPLAN_KILLS") else {
        return;
    };
    let series = number("KPLAN_SERIES").unwrap_or(u64::MAX);
    let seed = number("KPLAN_SEED").unwrap_or(1);
    let tally = run(Campaign::new(4), (kills, series), seed, &EXAMPLES);
    assert!(series < u64::MAX || tally.kills() >= kills);
}

/// The oracle sees what it is there for.
#[test]
fn a_duplicate_an_orphan_and_a_loss_are_found() {
    let folder = Folder::with(&format!(
        "{SMALL}\n[[volume]]\nname = \"data\"\nsize = 10\n"
    ));
    folder.apply();
    assert_eq!(findings(&folder, "demo"), []);

    // A droplet of the same name, and a volume nobody asked for.
    let name = folder.inspect()["resources"]["droplets"][0]["name"].clone();
    let droplet = serde_json::json!({
        "name": name, "region": "fra1", "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64",
    });
    folder.cloud("POST", "/v2/droplets", Some(&droplet));
    let volume = serde_json::json!({ "name": "stray", "region": "fra1", "size_gigabytes": 1 });
    folder.cloud("POST", "/v2/volumes", Some(&volume));
    let found = findings(&folder, "demo");
    let names = |found: &[Finding], wanted: fn(&Finding) -> bool| {
        found.iter().filter(|one| wanted(one)).count()
    };
    assert_eq!(
        names(&found, |one| matches!(one, Finding::Duplicate { .. })),
        1,
        "{found:?}"
    );
    assert_eq!(
        names(&found, |one| matches!(one, Finding::Orphan { .. })),
        2,
        "{found:?}"
    );

    // Something on record is gone.
    folder.cloud(
        "DELETE",
        &folder.first_path("firewalls", "/v2/firewalls"),
        None,
    );
    let found = findings(&folder, "demo");
    assert_eq!(
        names(&found, |one| matches!(one, Finding::Lost { .. })),
        1,
        "{found:?}"
    );

    // A secret in plain text.
    let path = folder
        .path()
        .join(".kplan/.sandbox/state/demo/history/note");
    std::fs::write(
        path,
        oracle::secrets(&folder, "demo").first().expect("a secret"),
    )
    .expect("written");
    let found = findings(&folder, "demo");
    assert_eq!(
        names(&found, |one| matches!(one, Finding::Secret { .. })),
        1,
        "{found:?}"
    );
}
