//! Firewalls: full replacement, targets by tag, rules on their way.

use serde_json::{Value, json};

use crate::client::{Client, id};

fn firewall(name: &str, extra: &Value) -> Value {
    let mut body = json!({
        "name": name,
        "inbound_rules": [
            { "protocol": "tcp", "ports": "22", "sources": { "addresses": ["0.0.0.0/0"] } },
        ],
    });
    for (key, value) in extra.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

#[tokio::test(start_paused = true)]
async fn tags_must_exist_and_names_are_unique() {
    let client = Client::in_memory();
    client
        .post(
            422,
            "/v2/firewalls",
            firewall("fw", &json!({ "tags": ["web"] })),
        )
        .await;
    client.post(201, "/v2/tags", json!({ "name": "web" })).await;
    client
        .post(
            202,
            "/v2/firewalls",
            firewall("fw", &json!({ "tags": ["web"] })),
        )
        .await;
    client
        .post(409, "/v2/firewalls", firewall("fw", &json!({})))
        .await;
    client
        .post(422, "/v2/firewalls", json!({ "name": "empty" }))
        .await;
    client
        .post(
            422,
            "/v2/firewalls",
            firewall("fw2", &json!({ "droplet_ids": [1] })),
        )
        .await;
}

#[tokio::test(start_paused = true)]
async fn rules_are_on_their_way_until_they_have_arrived() {
    let client = Client::in_memory();
    client.post(201, "/v2/tags", json!({ "name": "web" })).await;
    let made = client
        .post(
            202,
            "/v2/firewalls",
            firewall("fw", &json!({ "tags": ["web"] })),
        )
        .await;
    let path = format!("/v2/firewalls/{}", id(&made, "firewall"));
    assert_eq!(made["firewall"]["status"], "waiting");
    client.wait(6).await;
    assert_eq!(client.get(&path).await["firewall"]["status"], "succeeded");
    let droplet = client.new_droplet("one", json!({ "tags": ["web"] })).await;
    let touched = client.get(&path).await["firewall"].clone();
    assert_eq!(touched["status"], "waiting");
    assert_eq!(touched["pending_changes"][0]["droplet_id"], droplet);
    client.wait(6).await;
    let settled = client.get(&path).await["firewall"].clone();
    assert_eq!(
        (&settled["status"], &settled["pending_changes"]),
        (&json!("succeeded"), &json!([]))
    );
    let of_droplet = client
        .get(&format!("/v2/droplets/{droplet}/firewalls"))
        .await;
    assert_eq!(of_droplet["meta"]["total"], 1);
}

#[tokio::test(start_paused = true)]
async fn put_replaces_everything_and_a_deleted_tag_selects_nothing() {
    let client = Client::in_memory();
    client.post(201, "/v2/tags", json!({ "name": "web" })).await;
    let made = client
        .post(
            202,
            "/v2/firewalls",
            firewall("fw", &json!({ "tags": ["web"] })),
        )
        .await;
    let path = format!("/v2/firewalls/{}", id(&made, "firewall"));
    let outbound = json!({ "name": "fw", "tags": ["web"], "outbound_rules": [
        { "protocol": "icmp", "ports": "0", "destinations": { "tags": ["WEB"] } },
    ] });
    let replaced = client.put(200, &path, outbound).await["firewall"].clone();
    assert_eq!(replaced["inbound_rules"], json!([]));
    assert_eq!(
        replaced["outbound_rules"][0]["destinations"],
        json!({ "tags": ["web"] })
    );
    client.delete("/v2/tags/web").await;
    let stripped = client.get(&path).await["firewall"].clone();
    assert_eq!(stripped["tags"], json!([]));
    assert_eq!(stripped["outbound_rules"][0]["destinations"], json!({}));
}
