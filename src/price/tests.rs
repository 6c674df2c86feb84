//! Plans of a few steps, and what they cost.

use super::*;
use crate::preflight::testing::{Arg, Rig, catalogue};

fn droplet(size: &str) -> Vec<(&'static str, Arg)> {
    vec![("size", size.into())]
}

fn totals(rig: &Rig) -> (i64, i64) {
    let prices = of(&rig.plan, &rig.snapshot, &catalogue());
    (prices.before.0, prices.after.0)
}

#[test]
fn what_is_made_stays_changes_and_goes_is_summed() {
    let mut rig = Rig::default();
    rig.has("droplet.stays", "1", &droplet("s-1vcpu-1gb"))
        .has("droplet.grows", "2", &droplet("s-1vcpu-1gb"))
        .has("droplet.goes", "3", &droplet("s-2vcpu-4gb"))
        .update("droplet.grows", "2", &droplet("s-4vcpu-8gb"), "size")
        .delete("droplet.goes", "3")
        .create("droplet.new", &droplet("s-2vcpu-4gb"));
    assert_eq!(totals(&rig), (600 + 600 + 2400, 600 + 4800 + 2400));
    let prices = of(&rig.plan, &rig.snapshot, &catalogue());
    let of = |address: &str| prices.per[&address.parse().unwrap()];
    let change = |before, after| Change {
        before: Cents(before),
        after: Cents(after),
    };
    assert_eq!(of("droplet.grows"), change(600, 4800));
    assert_eq!(of("droplet.goes"), change(2400, 0));
    assert_eq!(of("droplet.new"), change(0, 2400));
    assert_eq!(prices.not_priced, []);
    // Droplets are the API's: nothing of this is of a day.
    assert_eq!(prices.dated, None);
}

#[test]
fn a_replacement_costs_once_in_whatever_order_it_is_done() {
    let mut rig = Rig::default();
    rig.has("droplet.a", "1", &droplet("s-1vcpu-1gb")).replace(
        "droplet.a",
        "1",
        &droplet("s-2vcpu-4gb"),
    );
    assert_eq!(totals(&rig), (600, 2400));
    rig.plan.steps.reverse();
    assert_eq!(totals(&rig), (600, 2400));
}

#[test]
fn each_kind_is_priced_by_its_own_measure() {
    for (kind, args, price) in [
        (
            "droplet",
            vec![("size", "s-2vcpu-4gb".into()), ("backups", true.into())],
            Some(3120),
        ),
        ("load_balancer", vec![("size_unit", 3.into())], Some(3600)),
        ("load_balancer", vec![], Some(1200)),
        ("volume", vec![("size", 100.into())], Some(1000)),
        ("reserved_ip", vec![], Some(500)),
        ("reserved_ip", vec![("droplet_id", "7".into())], Some(0)),
        ("bucket", vec![], Some(500)),
        ("vpc", vec![], Some(0)),
        ("cluster_volume", vec![("size", 5.into())], Some(50)),
        // What is stored counts, and not the size of the volume.
        (
            "cluster_snapshot",
            vec![("size", 5.into()), ("stored", "2.36".into())],
            Some(14),
        ),
        (
            "cluster_snapshot",
            vec![("size", 5.into()), ("stored", "0.0".into())],
            Some(0),
        ),
        ("cluster_snapshot", vec![("size", 5.into())], None),
        (
            "cluster_load_balancer",
            vec![("size_unit", 2.into())],
            Some(2400),
        ),
        ("cluster_load_balancer", vec![], None),
        ("droplet", vec![("size", "s-none".into())], None),
        ("volume", vec![], None),
    ] {
        let mut rig = Rig::default();
        rig.create(&format!("{kind}.a"), &args);
        let prices = of(&rig.plan, &rig.snapshot, &catalogue());
        assert_eq!(prices.after.0, price.unwrap_or(0), "{kind}");
        let unknown = prices
            .not_priced
            .iter()
            .any(|one| kind != "bucket" && !one.why.is_empty());
        assert_eq!(unknown, price.is_none(), "{kind}");
    }
}

#[test]
fn a_database_is_priced_by_its_nodes_and_its_disk_and_never_by_a_guess() {
    let database = |engine: &str, size: &str, nodes: i64, gib: i64| {
        let mut rig = Rig::default();
        rig.create(
            "database.a",
            &[
                ("engine", engine.into()),
                ("size", size.into()),
                ("node_count", nodes.into()),
                ("storage_size_mib", (gib * 1024).into()),
            ],
        );
        let prices = of(&rig.plan, &rig.snapshot, &catalogue());
        (prices.after.0, prices.not_priced.len())
    };
    assert_eq!(database("pg", "db-s-1vcpu-2gb", 1, 30), (3045, 0));
    assert_eq!(database("mysql", "db-s-1vcpu-2gb", 3, 0), (9135, 0));
    assert_eq!(database("pg", "db-s-1vcpu-2gb", 1, 45), (3045 + 430, 0));
    assert_eq!(database("pg", "db-s-1vcpu-2gb", 2, 45), (0, 1));
    assert_eq!(database("pg", "db-s-16vcpu-64gb", 1, 0), (0, 1));
    assert_eq!(database("mongodb", "db-s-1vcpu-2gb", 1, 0), (0, 1));
    // A sum that lacks something says so, and no difference.
    let mut rig = Rig::default();
    rig.create(
        "database.a",
        &[
            ("engine", "pg".into()),
            ("size", "db-s-16vcpu-64gb".into()),
            ("node_count", 1.into()),
        ],
    );
    let prices = of(&rig.plan, &rig.snapshot, &catalogue());
    assert_eq!(sentence(&prices), "Price: $0.00 a month -> at least $0.00.");
}

#[test]
fn buckets_cost_together_what_one_costs() {
    let mut rig = Rig::default();
    rig.has("bucket.backup", "fra1/a", &[])
        .create("bucket.boot", &[])
        .create("bucket.another", &[]);
    let prices = of(&rig.plan, &rig.snapshot, &catalogue());
    assert_eq!((prices.before, prices.after), (Cents(500), Cents(500)));
    // It is said once that what they hold is not in it.
    let whys: std::collections::BTreeSet<&str> = prices
        .not_priced
        .iter()
        .map(|one| one.why.as_str())
        .collect();
    assert_eq!(whys.len(), 1);
    rig.delete("bucket.backup", "fra1/a");
    assert_eq!(totals(&rig), (500, 500));
}

#[test]
fn without_a_catalogue_what_stands_is_priced_as_it_was_seen() {
    let nothing = Catalogue::default();
    let mut rig = Rig::default();
    let seen = [
        ("size", "s-1vcpu-1gb".into()),
        ("price_monthly", "6".into()),
    ];
    rig.has("droplet.a", "1", &seen);
    let prices = of(&rig.plan, &rig.snapshot, &nothing);
    assert_eq!((prices.before, prices.after), (Cents(600), Cents(600)));
    assert_eq!(standing(&rig.snapshot).after, Cents(600));
    // The size it will have is another one than that of the price.
    rig.update("droplet.a", "1", &droplet("s-2vcpu-4gb"), "size");
    let prices = of(&rig.plan, &rig.snapshot, &nothing);
    assert_eq!(prices.before, Cents(600));
    assert_eq!(prices.after, Cents(0));
    assert_eq!(prices.not_priced.len(), 1);
}

#[test]
fn what_is_gone_costs_nothing_before() {
    let mut rig = Rig::default();
    rig.has("droplet.a", "1", &droplet("s-1vcpu-1gb"));
    rig.plan.vanished.push("droplet.a".parse().unwrap());
    rig.create("droplet.a", &droplet("s-1vcpu-1gb"));
    assert_eq!(totals(&rig), (0, 600));
}

#[test]
fn what_is_forgotten_is_said_to_go_on_billing() {
    let mut rig = Rig::default();
    rig.has("droplet.a", "1", &droplet("s-1vcpu-1gb"))
        .delete("droplet.a", "1");
    rig.plan.steps[0].action = Action::Forget;
    let prices = of(&rig.plan, &rig.snapshot, &catalogue());
    assert_eq!(prices.after, Cents(0));
    assert!(prices.not_priced[0].why.contains("goes on billing"));
}

#[test]
fn a_destroy_says_what_ends_and_what_goes_on_being_billed() {
    let mut rig = Rig::default();
    rig.has("bucket.backup", "fra1/a", &[])
        .has("droplet.a", "1", &droplet("s-2vcpu-4gb"))
        .has("cluster_volume.b", "2", &[("size", 5.into())])
        .delete("droplet.a", "1")
        .delete("cluster_volume.b", "2");
    rig.plan.mode = PlanMode::Destroy;
    let mut size = Object::new();
    size.insert("size", Value::Int(30));
    let kept = Kind::new("cluster_volume");
    let kept = Staying::of("pvc-1 (9d, 30 GiB)".to_owned(), &kept, &size);
    let domain = Kind::new("domain");
    let free = Staying::of("domain.a".to_owned(), &domain, &Object::new());
    let prices = of(&rig.plan, &rig.snapshot, &catalogue()).beside(&[kept, free]);
    let said = "What ends: $24.50 a month. What goes on being billed: $8.00 a month: bucket.backup \
                $5.00, pvc-1 (9d, 30 GiB) $3.00.";
    assert!(text(&prices).contains(said), "{}", text(&prices));
    assert!(markdown(&prices).contains(said), "{}", markdown(&prices));
    let document = document(&prices);
    assert_eq!(document["before"], "32.50");
    assert_eq!(document["ends"], "24.50");
    assert_eq!(document["continues"][1]["monthly"], "3.00");
    // Where nothing stays, that is said; and any other plan says nothing of it.
    let mut rig = Rig::default();
    rig.has("droplet.a", "1", &droplet("s-2vcpu-4gb"))
        .delete("droplet.a", "1");
    let prices = of(&rig.plan, &rig.snapshot, &catalogue());
    assert!(!text(&prices).contains("What ends"));
    rig.plan.mode = PlanMode::Destroy;
    let prices = of(&rig.plan, &rig.snapshot, &catalogue());
    assert!(text(&prices).contains("What ends: $24.00 a month. Nothing goes on being billed."));
}

fn shown() -> Prices {
    let mut rig = Rig::default();
    rig.has("droplet.servers[0]", "1", &droplet("s-2vcpu-4gb"))
        .create("droplet.workers[0]", &droplet("s-1vcpu-1gb"))
        .create("droplet.workers[1]", &droplet("s-1vcpu-1gb"))
        .create("load_balancer.api", &[])
        .create("volume.odd", &[]);
    of(&rig.plan, &rig.snapshot, &catalogue())
}

#[test]
fn people_read_what_changes_block_by_block() {
    assert_eq!(
        text(&shown()),
        "Price: $24.00 a month -> at least $48.00.\n  \
         droplet.workers (2)        $0.00 -> $12.00\n  \
         load_balancer.api          $0.00 -> $12.00\n  \
         not priced: volume.odd: its size is not on record\n  \
         Droplets by DigitalOcean's API, everything else as of 2026-10-08; without taxes and traffic.\n"
    );
    assert_eq!(standing_sentence(&shown()), "Price: $48.00 a month.");
    assert_eq!(
        text(&Prices::default()),
        "Price: $0.00 a month, no change.\n"
    );
}

#[test]
fn markdown_has_a_row_for_each_block_whose_price_changes() {
    let page = markdown(&shown());
    for row in [
        "**Price: $24.00 a month -> at least $48.00.**",
        "| `droplet.workers` × 2 | $0.00 | $12.00 | +$12.00 |",
        "- volume.odd: its size is not on record",
    ] {
        assert!(page.contains(row), "{row}:\n{page}");
    }
    assert!(!page.contains("droplet.servers"), "{page}");
}

#[test]
fn machines_read_texts_with_two_decimals() {
    let document = document(&shown());
    assert_eq!(document["before"], "24.00");
    assert_eq!(document["difference"], "24.00");
    assert_eq!(document["currency"], "USD");
    let resources = document["resources"].as_array().unwrap();
    assert_eq!(resources.len(), 4);
    assert_eq!(resources[1]["address"], "droplet.workers[0]");
    assert_eq!(resources[1]["after"], "6.00");
    assert_eq!(document["not_priced"][0]["address"], "volume.odd");
}
