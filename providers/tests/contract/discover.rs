//! What exists in an account is found by lists alone, whoever made it.

use crate::cases::{a_key, bucket_args};
use crate::world::World;
use kplan_model::Value;
use kplan_model::codec::ObjectCodec;
use kplan_providers::digitalocean::{Discovered, Discovery, KINDS, TagArgs};
use kplan_providers::spaces::Keys;
use serde_json::{Value as Json, json};
use std::time::Duration;

/// One of each kind by hand, and more droplets than a page holds.
async fn filled(world: &World) -> Json {
    let vpc = json!({ "name": "office", "region": "fra1", "ip_range": "10.20.0.0/20" });
    let vpc = world.by_hand("POST", "/v2/vpcs", &vpc).await["vpc"].clone();
    let key = json!({
        "name": "Max's laptop",
        "public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtfVZxSMt8rFSHmKkQGH3yJPB9NqwVbXIjQvL8tYqMR",
    });
    world.by_hand("POST", "/v2/account/keys", &key).await;
    for index in 0..5 {
        let droplet = json!({
            "name": format!("Web{index}.example.com"), "region": "fra1", "size": "s-1vcpu-1gb",
            "image": "debian-12-x64", "vpc_uuid": vpc["id"], "tags": ["web", "kplan:demo-3f9a1c2e"],
        });
        world.by_hand("POST", "/v2/droplets", &droplet).await;
    }
    let volume = json!({ "name": "data", "region": "fra1", "size_gigabytes": 10 });
    world.by_hand("POST", "/v2/volumes", &volume).await;
    let from = json!({ "addresses": ["0.0.0.0/0"] });
    let firewall = json!({
        "name": "web", "tags": ["web"],
        "inbound_rules": [{ "protocol": "tcp", "ports": "80", "sources": from }],
    });
    world.by_hand("POST", "/v2/firewalls", &firewall).await;
    let balancer = json!({
        "name": "front", "region": "fra1", "tag": "web", "vpc_uuid": vpc["id"],
        "forwarding_rules": [{ "entry_protocol": "tcp", "entry_port": 80, "target_protocol": "tcp", "target_port": 80 }],
    });
    world.by_hand("POST", "/v2/load_balancers", &balancer).await;
    let database = json!({
        "name": "shop", "engine": "pg", "region": "fra1", "size": "db-s-1vcpu-1gb", "num_nodes": 1,
        "rules": [{ "type": "tag", "value": "web" }],
    });
    world.by_hand("POST", "/v2/databases", &database).await;
    let reserved = json!({ "region": "fra1" });
    world.by_hand("POST", "/v2/reserved_ips", &reserved).await;
    let project = json!({ "name": "shop", "purpose": "Service or API" });
    world.by_hand("POST", "/v2/projects", &project).await;
    for domain in ["example.com", "example.org"] {
        let body = json!({ "name": domain });
        world.by_hand("POST", "/v2/domains", &body).await;
        let record = json!({ "type": "A", "name": "www", "data": "203.0.113.7" });
        let path = format!("/v2/domains/{domain}/records");
        world.by_hand("POST", &path, &record).await;
    }
    vpc
}

fn named<'d>(all: &'d [Discovered], name: &str) -> &'d Discovered {
    let found = all.iter().find(|one| one.name == name);
    found.unwrap_or_else(|| panic!("{name} is not among {all:?}"))
}

#[tokio::test(start_paused = true)]
async fn everything_of_an_account_is_found_to_the_last_page() {
    let world = World::with_pages(2);
    let vpc = filled(&world).await;
    tokio::time::sleep(Duration::from_mins(2)).await;
    let discovery = Discovery::new(world.config());
    let mut all = discovery.all().await;
    assert_eq!(all.len(), KINDS.len());
    let mut of = |kind: &str| all.remove(kind).unwrap().unwrap();

    let droplets = of("droplet");
    assert_eq!(droplets.len(), 5);
    let web = named(&droplets, "Web4.example.com");
    assert_eq!(web.tags, ["kplan:demo-3f9a1c2e", "web"]);
    assert_eq!(web.vpc.as_deref(), vpc["id"].as_str());
    let place = (web.region.as_deref(), web.size.as_deref());
    assert_eq!(place, (Some("fra1"), Some("s-1vcpu-1gb")));
    assert_eq!(web.attrs.get("image"), Some(&Value::str("debian-12-x64")));
    assert!(web.created_at.is_some());
    assert_eq!(named(&of("volume"), "data").size.as_deref(), Some("10"));
    assert_eq!(named(&of("vpc"), "office").id, vpc["id"]);
    assert_eq!(named(&of("ssh_key"), "Max's laptop").kind, "ssh_key");
    assert!(
        named(&of("firewall"), "web")
            .attrs
            .contains_key("inbound_rule")
    );
    let balancer = of("load_balancer");
    assert_eq!(named(&balancer, "front").vpc.as_deref(), vpc["id"].as_str());
    let databases = of("database");
    let shop = named(&databases, "shop");
    let rules = shop.attrs.get("rules").unwrap();
    assert!(
        matches!(rules, Value::List(rules) if rules.len() == 1),
        "{rules:?}"
    );
    let reserved = of("reserved_ip");
    assert_eq!(reserved[0].name, reserved[0].id);
    assert_eq!(named(&of("tag"), "web").id, "web");
    assert_eq!(named(&of("project"), "shop").kind, "project");
    assert_eq!(of("domain").len(), 2);
    let records = of("domain_record");
    let www = named(&records, "www.example.org");
    assert!(www.id.starts_with("example.org/"), "{}", www.id);
    // DigitalOcean's own name servers are records, its SOA is none that anybody could change.
    let kinds = records.iter().map(|one| one.attrs.get("type").unwrap());
    assert!(kinds.clone().any(|kind| *kind == Value::str("NS")));
    assert!(kinds.clone().all(|kind| *kind != Value::str("SOA")));
    world.judge();
}

#[tokio::test(start_paused = true)]
async fn the_way_on_which_is_looked_changes_nothing() {
    let world = World::new();
    let discovery = Discovery::new(world.config());
    let address = "tag.x".parse().unwrap();
    let permit = kplan_model::testing::permit(&address).unwrap();
    let args = TagArgs {
        name: Some("x".to_owned()),
    };
    let registry = kplan_providers::registry::cloud(discovery.cloud(), &world.spaces);
    let entry = registry.get(address.kind()).unwrap();
    let args = args.to_object();
    let wanted = world.wanted(&address, &args);
    assert!(entry.mutate.create(wanted, &permit).await.is_err());
    assert!(discovery.kind("tag").await.unwrap().is_empty());
    assert!(discovery.kind("k3s_node").await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn buckets_are_found_where_there_is_a_key() {
    let world = World::new();
    let key = a_key(&world).await;
    world
        .make(
            "bucket.assets",
            bucket_args("acme-assets", &key).to_object(),
        )
        .await;
    let text = |name: &str| match key.attrs.get(name) {
        Some(Value::Str(text)) => text.to_string(),
        other => panic!("{other:?}"),
    };
    let Some(Value::Secret(secret)) = key.attrs.get("secret_key") else {
        panic!("no secret");
    };
    let keys = Keys {
        access_key: text("access_key"),
        secret_key: secret.clone(),
    };
    let found = Discovery::buckets(&world.spaces, &keys, &["fra1", "nyc3"]).await;
    let found = found.unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (found[0].id.as_str(), found[0].name.as_str()),
        ("fra1/acme-assets", "acme-assets")
    );
    assert_eq!(found[0].attrs["acl"], Value::str("private"));
    assert_eq!(found[0].attrs["versioning"], Value::Bool(true));
}
