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

#[tokio::test(start_paused = true)]
async fn rules_leave_droplets_that_are_no_longer_covered() {
    let client = Client::in_memory();
    client.post(201, "/v2/tags", json!({ "name": "web" })).await;
    let tagged = client.droplet("tagged", json!({ "tags": ["web"] })).await;
    let named = client.droplet("named", json!({})).await;
    let body = firewall("fw", &json!({ "tags": ["web"], "droplet_ids": [named] }));
    let made = client.post(202, "/v2/firewalls", body).await;
    let path = format!("/v2/firewalls/{}", id(&made, "firewall"));
    client.wait(6).await;
    let changes = |shown: &Value| shown["firewall"]["pending_changes"].clone();
    let change = |droplet: u64, removing: bool| json!({ "droplet_id": droplet, "removing": removing, "status": "waiting" });
    let ids = json!({ "droplet_ids": [named] });
    client
        .expect(204, "DELETE", &format!("{path}/droplets"), Some(ids))
        .await;
    let shown = client.get(&path).await;
    assert_eq!(shown["firewall"]["status"], "waiting");
    assert_eq!(
        changes(&shown),
        json!([change(tagged, false), change(named, true)])
    );
    client.wait(6).await;
    let untag =
        json!({ "resources": [{ "resource_id": tagged.to_string(), "resource_type": "droplet" }] });
    client
        .expect(204, "DELETE", "/v2/tags/web/resources", Some(untag))
        .await;
    assert_eq!(
        changes(&client.get(&path).await),
        json!([change(tagged, true)])
    );
    client.wait(6).await;
    assert_eq!(changes(&client.get(&path).await), json!([]));
}

#[tokio::test(start_paused = true)]
async fn rules_name_what_exists_and_forget_what_is_gone() {
    let client = Client::in_memory();
    let droplet = client.droplet("one", json!({})).await;
    let balancer = json!({
        "name": "lb", "region": "fra1", "droplet_ids": [], "forwarding_rules": [{
            "entry_protocol": "tcp", "entry_port": 1, "target_protocol": "tcp", "target_port": 1,
        }],
    });
    let balancer = client.post(202, "/v2/load_balancers", balancer).await;
    let balancer = id(&balancer, "load_balancer");
    let from = |sources: Value| {
        let rule = json!({ "protocol": "tcp", "ports": "22", "sources": sources });
        json!({ "name": "fw", "inbound_rules": [rule] })
    };
    for unknown in [
        json!({ "droplet_ids": [1] }),
        json!({ "load_balancer_uids": ["4de7ac8b-495b-4884-9a69-1050c6793cd6"] }),
        json!({ "kubernetes_ids": ["41b74c5d-9bd0-5555-5555-a57c495b81a3"] }),
        json!({ "tags": ["nobody"] }),
        json!({ "addresses": ["1.2.3.4/33"] }),
    ] {
        client.post(422, "/v2/firewalls", from(unknown)).await;
    }
    let sources = json!({ "droplet_ids": [droplet], "load_balancer_uids": [balancer], "tags": [] });
    let made = client.post(202, "/v2/firewalls", from(sources)).await;
    let path = format!("/v2/firewalls/{}", id(&made, "firewall"));
    client.delete(&format!("/v2/droplets/{droplet}")).await;
    client
        .delete(&format!("/v2/load_balancers/{balancer}"))
        .await;
    let shown = client.get(&path).await["firewall"].clone();
    assert_eq!(shown["inbound_rules"][0]["sources"], json!({}));
    // Another rule, and the same again, however its lists of nothing are written.
    let rule = |sources: Value| json!({ "inbound_rules": [{ "protocol": "tcp", "ports": "80", "sources": sources }] });
    let rules = format!("{path}/rules");
    let plain = json!({ "addresses": ["0.0.0.0/0"] });
    let padded = json!({ "addresses": ["0.0.0.0/0"], "tags": [], "droplet_ids": [] });
    client.post(204, &rules, rule(plain.clone())).await;
    client.post(204, &rules, rule(padded.clone())).await;
    let count = |shown: Value| shown["firewall"]["inbound_rules"].as_array().unwrap().len();
    assert_eq!(count(client.get(&path).await), 2);
    client
        .expect(204, "DELETE", &rules, Some(rule(padded)))
        .await;
    assert_eq!(count(client.get(&path).await), 1);
    client.expect(422, "DELETE", &rules, Some(json!({}))).await;
}

#[tokio::test(start_paused = true)]
async fn a_firewall_has_limits() {
    let client = Client::in_memory();
    let tags: Vec<String> = (0..6).map(|n| format!("t{n}")).collect();
    for tag in &tags {
        client.post(201, "/v2/tags", json!({ "name": tag })).await;
    }
    let body = firewall("fw", &json!({ "tags": tags }));
    client.post(422, "/v2/firewalls", body).await;
    let body = firewall("fw", &json!({ "tags": &tags[..5] }));
    let made = client.post(202, "/v2/firewalls", body).await;
    let path = format!("/v2/firewalls/{}", id(&made, "firewall"));
    client
        .post(422, &format!("{path}/tags"), json!({ "tags": ["t5"] }))
        .await;
    let rules: Vec<Value> = (1..=51)
        .map(|port| {
            let any = json!({ "addresses": ["::/0"] });
            json!({ "protocol": "udp", "ports": port.to_string(), "destinations": any })
        })
        .collect();
    let body = json!({ "name": "fw", "outbound_rules": rules });
    client.put(422, &path, body).await;
    let body = json!({ "name": "fw", "outbound_rules": &rules[..50] });
    client.put(200, &path, body).await;
    client
        .post(
            422,
            &format!("{path}/rules"),
            json!({ "outbound_rules": &rules[50..] }),
        )
        .await;
}
