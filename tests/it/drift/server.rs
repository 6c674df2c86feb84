//! What the remote sides own never shows: what they count, list, date and say of themselves.

use super::hand::{Deed, Hand, Site, ids};
use crate::support::Folder;
use serde_json::json;

const FILE: &str = r#"
[cluster]
name   = "all"
region = "fra1"

[project]
name = "all"

[[vpc]]
name = "main"

[[droplet]]
name    = "one"
size    = "s-1vcpu-1gb"
vpc     = "main"
tags    = ["web"]
backups = true

[[volume]]
name = "data"
size = 10

[[firewall]]
name         = "web"
tags         = ["web"]
inbound_rule = [{ protocol = "tcp", port_range = "22", source_addresses = ["203.0.113.7"] }]

[[load_balancer]]
name            = "front"
vpc             = "main"
tag             = "web"
forwarding_rule = [
    { entry_protocol = "http", entry_port = 80, target_protocol = "http", target_port = 80 },
]

[[database]]
name   = "shop"
engine = "pg"
size   = "db-s-1vcpu-2gb"
vpc    = "main"
rules  = [{ type = "tag", value = "web" }]

[[reserved_ip]]
name = "spare"
"#;

/// What happens in the account without changing anything that the file is about.
fn life(id: &dyn Fn(&str) -> String) -> Vec<Deed> {
    let droplet: u64 = id("droplet.one").parse().expect("a number");
    let act = |body| Deed::Ask("POST", format!("/v2/droplets/{droplet}/actions"), body);
    let volume = format!("/v2/volumes/{}", id("volume.data"));
    let database = format!("/v2/databases/{}", id("database.shop"));
    let another = json!({
        "name": "theirs", "region": "fra1", "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64",
        "tags": ["web"], "vpc_uuid": id("vpc.main"),
    });
    vec![
        // `snapshot_ids`, `locked` and `backup_ids` of the droplet.
        act(json!({ "type": "snapshot", "name": "before" })),
        act(json!({ "type": "reboot" })),
        // A snapshot of the volume, and `droplet_ids` and `volume_ids` of a pair that the file does
        // not tie.
        Deed::Ask(
            "POST",
            format!("{volume}/snapshots"),
            json!({ "name": "before" }),
        ),
        Deed::Ask(
            "POST",
            format!("{volume}/actions"),
            json!({ "type": "attach", "droplet_id": droplet, "region": "fra1" }),
        ),
        // A neighbour in the VPC: `pending_changes` of the firewall, `droplet_ids` of the balancer,
        // the count of the tag.
        Deed::Ask("POST", "/v2/droplets".to_owned(), another),
        // What a database has besides.
        Deed::Ask(
            "PUT",
            format!("{database}/maintenance"),
            json!({ "day": "monday", "hour": "03:00" }),
        ),
        Deed::Ask(
            "POST",
            format!("{database}/users"),
            json!({ "name": "guest" }),
        ),
        Deed::Ask(
            "POST",
            format!("{database}/dbs"),
            json!({ "name": "theirs" }),
        ),
    ]
}

#[test]
fn what_digitalocean_owns_never_shows() {
    let folder = Folder::with(FILE);
    folder.apply();
    let id = ids(&folder, "all");
    let site = Site {
        folder: &folder,
        cluster: None,
        spaces: None,
    };
    let hand = Hand {
        address: "droplet.one".to_owned(),
        carried: Vec::new(),
        deeds: life(&id),
        fields: Vec::new(),
    };
    let before = folder.inspect();
    site.act(&[hand]);
    assert_ne!(folder.inspect(), before);
    let droplet = folder.ask("GET", &format!("/v2/droplets/{}", id("droplet.one")), None);
    for list in ["snapshot_ids", "volume_ids"] {
        let ids = droplet["droplet"][list].as_array().expect("a list");
        assert_eq!(ids.len(), 1, "{list}");
    }
    let run = folder.kplan(&["drift", "--sandbox"]).ok();
    run.assert_says(&["No drift. What exists is what is on record."]);
    folder.assert_no_changes();
}
