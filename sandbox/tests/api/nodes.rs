//! What the account tells those who boot droplets.

use serde_json::json;

use crate::client::Client;

/// Lets tasks of the paused runtime run until one condition holds.
async fn until(client: &Client, holds: impl Fn() -> bool) {
    for _ in 0..600 {
        if holds() {
            return;
        }
        client.wait(1).await;
    }
    panic!("it never happened");
}

#[tokio::test(start_paused = true)]
async fn a_droplet_boots_when_it_is_active_without_anybody_asking() {
    let client = Client::in_memory();
    let nodes = client
        .sandbox
        .boot_nodes("spaces.test:1", "mirror.test:1")
        .unwrap();
    let sandbox = client.sandbox.clone();
    let running = tokio::spawn(async move { sandbox.run().await });
    let droplet = client.new_droplet("one", json!({})).await;
    assert!(nodes.statuses().is_empty(), "a new droplet has not booted");
    until(&client, || {
        nodes.statuses().iter().any(|s| s.droplet_id == droplet)
    })
    .await;
    let path = format!("/v2/droplets/{droplet}");
    client
        .post(
            201,
            &format!("{path}/actions"),
            json!({ "type": "power_off" }),
        )
        .await;
    until(&client, || nodes.statuses().is_empty()).await;
    client
        .post(
            201,
            &format!("{path}/actions"),
            json!({ "type": "power_on" }),
        )
        .await;
    until(&client, || !nodes.statuses().is_empty()).await;
    client.delete(&path).await;
    assert!(
        nodes.statuses().is_empty(),
        "a destroyed droplet is gone at once"
    );
    running.abort();
}
