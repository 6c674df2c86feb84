//! What holds data: volumes, databases, a bucket.

use super::{hand, number, post, put, row, tagged};
use crate::drift::hand::{Deed, Hand, Ids, Place, Seen};
use serde_json::{Value, json};

pub(super) fn hands(id: Ids<'_>) -> Vec<Hand> {
    vec![volume(id), shop(id), moves(id), bucket()]
}

/// Tags before and after.
fn tags(id: Ids<'_>) -> (Value, Value) {
    let owner = id("tag.owner");
    (json!(["data", owner]), json!(["data", "mine", owner]))
}

fn volume(id: Ids<'_>) -> Hand {
    let volume = format!("/v2/volumes/{}", id("volume.data"));
    let attach = |what: &str, droplet: &str| {
        let droplet = number(id, droplet);
        let body = json!({ "type": what, "droplet_id": droplet, "region": "fra1" });
        post(format!("{volume}/actions"), body)
    };
    let (was, real) = tags(id);
    hand(
        "volume.data",
        &volume,
        vec![
            tagged("volume", id("volume.data")),
            attach("detach", "droplet.two"),
            attach("attach", "droplet.six"),
        ],
        vec![
            row("tags", was, real, "/volume/tags"),
            row(
                "droplet_id",
                id("droplet.two"),
                id("droplet.six"),
                "/volume/droplet_ids",
            ),
        ],
    )
}

pub(super) fn grown_volume(id: Ids<'_>) -> Hand {
    let volume = format!("/v2/volumes/{}", id("volume.big"));
    let resize = json!({ "type": "resize", "size_gigabytes": 20, "region": "fra1" });
    hand(
        "volume.big",
        &volume,
        vec![post(format!("{volume}/actions"), resize)],
        vec![row("size", 10, 20, "/volume/size_gigabytes")],
    )
}

fn shop(id: Ids<'_>) -> Hand {
    let shop = format!("/v2/databases/{}", id("database.shop"));
    let (was, real) = tags(id);
    let rule = |value: &str| json!([{ "type": "tag", "value": value }]);
    let resize = json!({ "size": "db-s-2vcpu-4gb", "num_nodes": 2 });
    hand(
        "database.shop",
        &shop,
        vec![
            tagged("database", id("database.shop")),
            put(
                &format!("{shop}/firewall"),
                json!({ "rules": rule("other") }),
            ),
            put(&format!("{shop}/resize"), resize),
        ],
        vec![
            row("tags", was, real, "/database/tags"),
            row("rules", rule("web"), rule("other"), "/database/rules"),
            row("node_count", 1, 2, "/database/num_nodes"),
        ],
    )
}

/// One in a VPC of the file's leaves that with its region, which only a new one could mend.
fn moves(id: Ids<'_>) -> Hand {
    let moves = format!("/v2/databases/{}", id("database.moves"));
    hand(
        "database.moves",
        &moves,
        vec![put(
            &format!("{moves}/migrate"),
            json!({ "region": "ams3" }),
        )],
        vec![row("region", "fra1", "ams3", "/database/region")],
    )
}

pub(super) fn grown_database(id: Ids<'_>) -> Hand {
    let grows = format!("/v2/databases/{}", id("database.grows"));
    let (small, large) = ("db-s-1vcpu-2gb", "db-s-2vcpu-4gb");
    let resize = json!({ "size": large, "num_nodes": 1, "storage_size_mib": 71_680 });
    hand(
        "database.grows",
        &grows,
        vec![
            put(&format!("{grows}/upgrade"), json!({ "version": "17" })),
            put(&format!("{grows}/resize"), resize),
        ],
        vec![
            row("version", "16", "17", "/database/version"),
            row("size", small, large, "/database/size"),
            row(
                "storage_size_mib",
                30_720,
                71_680,
                "/database/storage_size_mib",
            ),
        ],
    )
}

fn bucket() -> Hand {
    const NAME: &str = "all-assets";
    let rule = |days: u32| json!([{ "id": "old", "prefix": "logs/", "enabled": true, "expiration_days": days }]);
    let rows = [
        ("acl", json!("private"), json!("public-read")),
        ("versioning", json!(false), json!(true)),
        ("lifecycle_rule", rule(30), rule(7)),
    ];
    let deeds = rows.iter();
    let deeds = deeds.map(|(setting, _, real)| Deed::Bucket(NAME, setting, real.clone()));
    let deeds = deeds.collect();
    let seen = |(field, was, real)| Seen {
        field,
        was,
        real,
        place: Place::Bucket(NAME, field),
    };
    Hand {
        address: "bucket.all-assets".to_owned(),
        carried: Vec::new(),
        deeds,
        fields: rows.into_iter().map(seen).collect(),
    }
}
