//! Database clusters: what must be there from the first moment, and what never shrinks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::client::{Client, id};

fn cluster(extra: &Value) -> Value {
    let mut body = json!({
        "name": "store", "engine": "pg", "version": "17", "size": "db-s-1vcpu-2gb",
        "num_nodes": 1, "region": "fra1",
    });
    for (key, value) in extra.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

#[tokio::test(start_paused = true)]
async fn trusted_sources_hold_before_the_cluster_is_online() {
    let client = Client::in_memory();
    let rules = json!({ "rules": [{ "type": "tag", "value": "k:server" }] });
    let made = client.post(201, "/v2/databases", cluster(&rules)).await["database"].clone();
    assert_eq!(made["status"], "creating");
    let path = format!("/v2/databases/{}", made["id"].as_str().unwrap());
    let firewall = client.get(&format!("{path}/firewall")).await;
    assert_eq!(firewall["rules"][0]["value"], "k:server");
    client
        .post(412, &format!("{path}/users"), json!({ "name": "k3s" }))
        .await;
    let host = made["private_connection"]["host"]
        .as_str()
        .unwrap()
        .to_owned();
    let facts = client.sandbox.facts();
    assert_eq!(facts.database_by_private_host(&host), None);
    client.wait(301).await;
    let user = client
        .post(201, &format!("{path}/users"), json!({ "name": "k3s" }))
        .await;
    client
        .post(409, &format!("{path}/users"), json!({ "name": "k3s" }))
        .await;
    client
        .post(201, &format!("{path}/dbs"), json!({ "name": "k3s" }))
        .await;
    let facts = facts.database_by_private_host(&host).unwrap();
    assert_eq!(
        facts.users["k3s"],
        user["user"]["password"].as_str().unwrap()
    );
    assert_eq!(facts.databases, ["defaultdb", "k3s"]);
    assert_eq!(facts.rules, [("tag".to_owned(), "k:server".to_owned())]);
    let ca = client.get(&format!("{path}/ca")).await;
    let pem = STANDARD
        .decode(ca["ca"]["certificate"].as_str().unwrap())
        .unwrap();
    assert_eq!(String::from_utf8(pem).unwrap(), facts.ca_pem);
    assert!(facts.ca_pem.starts_with("-----BEGIN CERTIFICATE-----"));
}

#[tokio::test(start_paused = true)]
async fn a_cluster_never_moves_to_a_smaller_size() {
    let client = Client::in_memory();
    let made = client.post(201, "/v2/databases", cluster(&json!({}))).await;
    let path = format!("/v2/databases/{}/resize", id(&made, "database"));
    let bigger = json!({ "size": "db-s-2vcpu-4gb", "num_nodes": 2 });
    client.put(412, &path, bigger.clone()).await;
    client.wait(301).await;
    client
        .put(
            422,
            &path,
            json!({ "size": "db-s-1vcpu-1gb", "num_nodes": 1 }),
        )
        .await;
    client
        .put(
            422,
            &path,
            json!({ "size": "db-s-2vcpu-4gb", "num_nodes": 4 }),
        )
        .await;
    client.put(202, &path, bigger.clone()).await;
    client.put(412, &path, bigger).await;
    client.wait(181).await;
    let shown = client.get(path.strip_suffix("/resize").unwrap()).await["database"].clone();
    assert_eq!(
        (&shown["status"], &shown["num_nodes"]),
        (&json!("online"), &json!(2))
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_or_not_simulated_is_said() {
    let client = Client::in_memory();
    client.post(201, "/v2/databases", cluster(&json!({}))).await;
    client.post(422, "/v2/databases", cluster(&json!({}))).await;
    client
        .post(
            501,
            "/v2/databases",
            cluster(&json!({ "name": "other", "engine": "valkey" })),
        )
        .await;
    for wrong in [
        json!({ "version": "9" }),
        json!({ "size": "s-1vcpu-1gb" }),
        json!({ "size": "db-s-1vcpu-1gb", "num_nodes": 2 }),
        json!({ "rules": [{ "type": "droplet", "value": "1" }] }),
        json!({ "rules": [{ "type": "ip_addr", "value": "2001:db8::1" }] }),
        json!({ "engine": "oracle" }),
    ] {
        let mut body = cluster(&json!({ "name": "other" }));
        for (key, value) in wrong.as_object().unwrap() {
            body[key] = value.clone();
        }
        client.post(422, "/v2/databases", body).await;
    }
}

#[tokio::test(start_paused = true)]
async fn backups_begin_with_the_cluster_and_modes_are_mysqls() {
    let client = Client::in_memory();
    let made = client.post(201, "/v2/databases", cluster(&json!({}))).await;
    let pg = format!("/v2/databases/{}", id(&made, "database"));
    client
        .expect(412, "GET", &format!("{pg}/backups"), None)
        .await;
    let extra = json!({ "name": "other", "engine": "mysql", "version": "8" });
    let made = client.post(201, "/v2/databases", cluster(&extra)).await;
    let mysql = format!("/v2/databases/{}", id(&made, "database"));
    client.wait(301).await;
    let backups = client.get(&format!("{pg}/backups")).await;
    assert_eq!(backups["backups"][0]["created_at"], "2026-01-02T03:09:05Z");
    assert_eq!(backups["scheduled_backup_time"]["backup_hour"], 3);
    client.wait(25 * 3600).await;
    let backups = client.get(&format!("{mysql}/backups")).await;
    assert_eq!(backups["backups"].as_array().unwrap().len(), 2);
    assert_eq!(backups["backups"][1]["incremental"], false);
    let path = format!("{mysql}/sql_mode");
    let first = client.get(&path).await["sql_mode"].clone();
    assert!(first.as_str().unwrap().starts_with("ANSI,"), "{first}");
    let body = json!({ "sql_mode": "ANSI,STRICT_ALL_TABLES" });
    client.put(204, &path, body.clone()).await;
    assert_eq!(client.get(&path).await, body);
    client.put(422, &path, json!({ "sql_mode": "a b" })).await;
    client
        .expect(422, "GET", &format!("{pg}/sql_mode"), None)
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_can_be_chosen_can_be_had() {
    let client = Client::in_memory();
    let options = client.get("/v2/databases/options").await["options"].clone();
    let engines: Vec<&String> = options.as_object().unwrap().keys().collect();
    assert_eq!(engines, ["mysql", "pg"]);
    let mut made = 0;
    for (engine, choice) in options.as_object().unwrap() {
        for version in choice["versions"].as_array().unwrap() {
            for layout in choice["layouts"].as_array().unwrap() {
                made += 1;
                let extra = json!({
                    "name": format!("choice-{made}"), "engine": engine, "version": version,
                    "num_nodes": layout["num_nodes"], "size": layout["sizes"][0],
                });
                client.post(201, "/v2/databases", cluster(&extra)).await;
            }
        }
    }
    assert_eq!(made, 18);
}
