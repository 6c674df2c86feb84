//! Droplets and the keys they are made with.

use super::{hand, number, post, put, row, tagged};
use crate::drift::hand::{Hand, Ids};
use serde_json::{Value, json};

fn at(id: Ids<'_>, address: &str) -> String {
    format!("/v2/droplets/{}", number(id, address))
}

pub(super) fn hands(id: Ids<'_>) -> Vec<Hand> {
    let two = at(id, "droplet.two");
    let key = format!("/v2/account/keys/{}", id("ssh_key.max"));
    vec![
        one(id),
        hand(
            "droplet.two",
            &two,
            vec![post(
                format!("{two}/actions"),
                json!({ "type": "power_off" }),
            )],
            vec![row("power", "on", "off", "/droplet/status")],
        ),
        hand(
            "ssh_key.max",
            &key,
            vec![put(&key, json!({ "name": "night" }))],
            vec![row("name", "max", "night", "/ssh_key/name")],
        ),
    ]
}

fn one(id: Ids<'_>) -> Hand {
    let one = at(id, "droplet.one");
    let act = |body: Value| post(format!("{one}/actions"), body);
    let owner = id("tag.owner");
    let (was, real) = (json!(["web", owner]), json!(["web", "mine", owner]));
    hand(
        "droplet.one",
        &one,
        vec![
            act(json!({ "type": "rename", "name": "night" })),
            post("/v2/tags".to_owned(), json!({ "name": "mine" })),
            tagged("droplet", id("droplet.one")),
            act(json!({ "type": "enable_backups" })),
            act(json!({ "type": "power_off" })),
            act(json!({ "type": "resize", "size": "s-1vcpu-2gb", "disk": false })),
            act(json!({ "type": "power_on" })),
        ],
        vec![
            row("name", "one", "night", "/droplet/name"),
            row("tags", was, real, "/droplet/tags"),
            row("backups", false, true, "/droplet/features"),
            row("size", "s-1vcpu-1gb", "s-1vcpu-2gb", "/droplet/size_slug"),
        ],
    )
}

pub(super) fn grown(id: Ids<'_>) -> Hand {
    let six = at(id, "droplet.six");
    hand(
        "droplet.six",
        &six,
        vec![post(
            format!("{six}/actions"),
            json!({ "type": "enable_ipv6" }),
        )],
        vec![row("ipv6", false, true, "/droplet/features")],
    )
}
