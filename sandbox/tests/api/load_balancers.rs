//! Load balancers: full replacement to defaults, targets, sizes.

use serde_json::{Value, json};

use crate::client::{Client, id};

fn balancer(extra: &Value) -> Value {
    let mut body = json!({
        "name": "lb", "region": "fra1",
        "forwarding_rules": [{
            "entry_protocol": "tcp", "entry_port": 6443,
            "target_protocol": "tcp", "target_port": 6443,
        }],
    });
    for (key, value) in extra.as_object().unwrap() {
        body[key] = value.clone();
    }
    // The document wants one of both.
    if body.get("tag").is_none() && body.get("droplet_ids").is_none() {
        body["droplet_ids"] = json!([]);
    }
    body
}

#[tokio::test(start_paused = true)]
async fn the_address_comes_with_the_active_state() {
    let client = Client::in_memory();
    let made = client
        .post(202, "/v2/load_balancers", balancer(&json!({})))
        .await;
    let path = format!("/v2/load_balancers/{}", id(&made, "load_balancer"));
    assert_eq!(made["load_balancer"]["status"], "new");
    assert_eq!(made["load_balancer"]["ip"], "");
    client.wait(91).await;
    let active = client.get(&path).await["load_balancer"].clone();
    assert_eq!(active["status"], "active");
    assert!(active["ip"].as_str().unwrap().starts_with("198.18."));
    client
        .post(422, "/v2/load_balancers", balancer(&json!({})))
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_a_put_leaves_out_is_at_its_default_again() {
    let client = Client::in_memory();
    let full = balancer(&json!({
        "enable_proxy_protocol": true,
        "health_check": { "protocol": "tcp", "port": 6443, "healthy_threshold": 7 },
        "firewall": { "allow": ["cidr:10.0.0.0/8"] },
    }));
    let made = client.post(202, "/v2/load_balancers", full).await;
    assert_eq!(made["load_balancer"]["health_check"]["port"], 6443);
    let path = format!("/v2/load_balancers/{}", id(&made, "load_balancer"));
    let after = client.put(200, &path, balancer(&json!({}))).await["load_balancer"].clone();
    assert_eq!(after["enable_proxy_protocol"], false);
    assert_eq!(after["firewall"], json!({ "allow": [], "deny": [] }));
    assert_eq!(
        after["health_check"],
        json!({
            "protocol": "http", "port": 80, "path": "/", "check_interval_seconds": 10,
            "response_timeout_seconds": 5, "unhealthy_threshold": 5, "healthy_threshold": 3,
        })
    );
    client
        .put(422, &path, balancer(&json!({ "region": "ams3" })))
        .await;
    client
        .put(422, &path, balancer(&json!({ "type": "REGIONAL_NETWORK" })))
        .await;
}

#[tokio::test(start_paused = true)]
async fn targets_come_by_tag_or_by_id() {
    let client = Client::in_memory();
    client
        .post(
            422,
            "/v2/load_balancers",
            balancer(&json!({ "tag": "web" })),
        )
        .await;
    let droplet = client.droplet("one", json!({ "tags": ["web"] })).await;
    let both = balancer(&json!({ "tag": "web", "droplet_ids": [droplet] }));
    client.post(422, "/v2/load_balancers", both).await;
    let made = client
        .post(
            202,
            "/v2/load_balancers",
            balancer(&json!({ "tag": "web" })),
        )
        .await;
    assert_eq!(made["load_balancer"]["droplet_ids"], json!([droplet]));
    let path = format!("/v2/load_balancers/{}", id(&made, "load_balancer"));
    let ids = json!({ "droplet_ids": [droplet] });
    client.post(422, &format!("{path}/droplets"), ids).await;
    client.wait(100).await;
    let ip = client.get(&path).await["load_balancer"]["ip"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let facts = client.sandbox.facts();
    assert_eq!(facts.load_balancer_targets(ip).unwrap().len(), 1);
    client.delete(&format!("/v2/droplets/{droplet}")).await;
    assert_eq!(facts.load_balancer_targets(ip).unwrap().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_size_changes_once_an_hour() {
    let client = Client::in_memory();
    let made = client
        .post(
            202,
            "/v2/load_balancers",
            balancer(&json!({ "size_unit": 2 })),
        )
        .await;
    let path = format!("/v2/load_balancers/{}", id(&made, "load_balancer"));
    client
        .put(200, &path, balancer(&json!({ "size_unit": 2 })))
        .await;
    client
        .put(422, &path, balancer(&json!({ "size_unit": 3 })))
        .await;
    client.wait(3600).await;
    client
        .put(200, &path, balancer(&json!({ "size_unit": 3 })))
        .await;
    client
        .put(422, &path, balancer(&json!({ "size_unit": 2 })))
        .await;
    client
        .post(
            422,
            "/v2/load_balancers",
            balancer(&json!({ "size_unit": 101 })),
        )
        .await;
}
