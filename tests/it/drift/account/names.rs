//! What is mostly a name: a VPC, a project, records, a key.

use super::{hand, post, put, row};
use crate::drift::hand::{Deed, Hand, Ids, Place, Seen};
use serde_json::json;

pub(super) fn hands(id: Ids<'_>) -> Vec<Hand> {
    let vpc = format!("/v2/vpcs/{}", id("vpc.main"));
    let key = format!("/v2/spaces/keys/{}", id("spaces_key.operator"));
    let tag = id("tag.owner");
    let owner = tag.rsplit(':').next().unwrap_or(&tag);
    let mut all = records(id);
    all.push(project(id));
    all.push(hand(
        "vpc.main",
        &vpc,
        vec![put(&vpc, json!({ "name": "night", "description": "mine" }))],
        vec![
            row("name", "main", "night", "/vpc/name"),
            row("description", "ours", "mine", "/vpc/description"),
        ],
    ));
    all.push(hand(
        "spaces_key.operator",
        &key,
        vec![put(&key, json!({ "name": "night" }))],
        vec![row("name", format!("kplan-{owner}"), "night", "/key/name")],
    ));
    all
}

fn records(id: Ids<'_>) -> Vec<Hand> {
    let at = |address: &str| {
        let id = id(address);
        let number = id.rsplit('/').next().unwrap_or(&id);
        format!("/v2/domains/example.com/records/{number}")
    };
    let (shop, sip) = (at("domain_record.shop"), at("domain_record.sip"));
    let a = json!({ "type": "A", "name": "night", "data": "198.51.100.9", "ttl": 60 });
    let srv = json!({ "type": "SRV", "priority": 20, "port": 5061, "weight": 50 });
    vec![
        hand(
            "domain_record.shop",
            &shop,
            vec![put(&shop, a)],
            vec![
                row("name", "shop", "night", "/domain_record/name"),
                row(
                    "value",
                    "203.0.113.7",
                    "198.51.100.9",
                    "/domain_record/data",
                ),
                row("ttl", 1800, 60, "/domain_record/ttl"),
            ],
        ),
        hand(
            "domain_record.sip",
            &sip,
            vec![put(&sip, srv)],
            vec![
                row("priority", 10, 20, "/domain_record/priority"),
                row("port", 5060, 5061, "/domain_record/port"),
                row("weight", 5, 50, "/domain_record/weight"),
            ],
        ),
    ]
}

fn project(id: Ids<'_>) -> Hand {
    let members = [
        ("droplet", "droplet.one"),
        ("droplet", "droplet.two"),
        ("droplet", "droplet.six"),
        ("volume", "volume.data"),
        ("volume", "volume.big"),
        ("loadbalancer", "load_balancer.front"),
        ("loadbalancer", "load_balancer.rear"),
        ("dbaas", "database.shop"),
        ("dbaas", "database.grows"),
        ("dbaas", "database.moves"),
        ("floatingip", "reserved_ip.shop"),
    ];
    let urns = members.map(|(kind, address)| format!("do:{kind}:{}", id(address)));
    let gone = format!("do:volume:{}", id("volume.big"));
    let rest: Vec<&String> = urns.iter().filter(|urn| **urn != gone).collect();
    let path = format!("/v2/projects/{}", id("project.main"));
    let (ours, theirs) = ("Service or API", "Just trying out DigitalOcean");
    let body = json!({
        "name": "night", "description": "mine", "purpose": theirs, "environment": "Staging",
    });
    let elsewhere = post(
        "/v2/projects/default/resources".to_owned(),
        json!({ "resources": [gone] }),
    );
    let mut project = hand(
        "project.main",
        &path,
        vec![Deed::Ask("PATCH", path.clone(), body), elsewhere],
        vec![
            row("name", "all", "night", "/project/name"),
            row("description", "ours", "mine", "/project/description"),
            row("purpose", ours, theirs, "/project/purpose"),
            row(
                "environment",
                "Development",
                "Staging",
                "/project/environment",
            ),
        ],
    );
    project.fields.push(Seen {
        field: "resources",
        was: json!(urns),
        real: json!(rest),
        place: Place::Api(format!("{path}/resources?per_page=200"), "/resources"),
    });
    project
}
