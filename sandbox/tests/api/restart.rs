//! A sandbox that ends at any moment carries on where it was.

use kplan_sandbox::{Clock, Config};
use serde_json::json;

use crate::client::{Client, config};

#[tokio::test(start_paused = true)]
async fn everything_and_what_is_under_way_is_there_again() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        dir: Some(dir.path().to_owned()),
        ..config()
    };
    let first = Client::new(&config);
    let done = first.droplet("done", json!({ "tags": ["web"] })).await;
    let under_way = first.new_droplet("under-way", json!({})).await;
    let database = json!({
        "name": "store", "engine": "pg", "size": "db-s-1vcpu-2gb", "num_nodes": 1, "region": "fra1",
    });
    first.post(201, "/v2/databases", database).await;
    first
        .post(201, "/v2/domains", json!({ "name": "example.com" }))
        .await;
    let certificate = json!({
        "name": "signed", "type": "lets_encrypt", "dns_names": ["example.com"],
    });
    first.post(201, "/v2/certificates", certificate).await;
    let before = first.sandbox.inspect();
    let stopped_at = first.clock().now();
    drop(first);
    let clock = Clock::starting_at(config.time_scale, stopped_at);
    let second = Client::starting_at(&config, clock);
    assert_eq!(second.sandbox.inspect(), before);
    let status = |answer: serde_json::Value| answer["droplet"]["status"].clone();
    assert_eq!(
        status(second.get(&format!("/v2/droplets/{done}")).await),
        "active"
    );
    assert_eq!(
        status(second.get(&format!("/v2/droplets/{under_way}")).await),
        "new"
    );
    let state = |answer: serde_json::Value| answer["certificates"][0]["state"].clone();
    assert_eq!(state(second.get("/v2/certificates").await), "pending");
    second.wait(301).await;
    assert_eq!(state(second.get("/v2/certificates").await), "verified");
    assert_eq!(
        status(second.get(&format!("/v2/droplets/{under_way}")).await),
        "active"
    );
    assert_eq!(
        second.get("/v2/databases").await["databases"][0]["status"],
        "online"
    );
    let fresh = second.new_droplet("fresh", json!({})).await;
    assert!(fresh > under_way, "no id is given twice");
}

#[tokio::test(start_paused = true)]
async fn a_folder_is_served_by_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        dir: Some(dir.path().to_owned()),
        ..config()
    };
    let first = Client::new(&config);
    let second = kplan_sandbox::Sandbox::open(&config);
    assert!(matches!(
        second,
        Err(kplan_sandbox::SandboxError::Locked(_))
    ));
    drop(first);
    drop(kplan_sandbox::Sandbox::open(&config).unwrap());
}
