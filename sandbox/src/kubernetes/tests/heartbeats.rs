//! Signs of life of nodes: what the cluster shows while a machine is off, and when it is back.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Client, cluster, condition, plain_node};

const NODE: &str = "/api/v1/nodes/n1";
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1";

fn renewed(lease: &Value) -> String {
    lease["spec"]["renewTime"].as_str().unwrap().to_owned()
}

fn ready(node: &Value) -> Value {
    let conditions = node["status"]["conditions"].as_array().unwrap();
    let ready = conditions.iter().find(|one| one["type"] == "Ready");
    ready.unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn a_lease_moves_on_while_the_machine_is_on() {
    let cluster = cluster().await;
    let client = Client::admin(&cluster);
    cluster.register_node(plain_node("n1"));
    client.until(NODE, |node| condition(node, "Ready")).await;
    let lease = client.get(LEASE).await;
    assert_eq!(lease["spec"]["holderIdentity"], json!("n1"));
    let owner = &lease["metadata"]["ownerReferences"][0];
    assert_eq!(owner["uid"], client.get(NODE).await["metadata"]["uid"]);
    for _ in 0..3 {
        let before = renewed(&client.get(LEASE).await);
        let after = client.until(LEASE, |lease| renewed(lease) > before).await;
        assert!(renewed(&after) > before);
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_is_off_is_believed_ready_for_a_while_and_shows_no_life() {
    let cluster = cluster().await;
    let client = Client::admin(&cluster);
    cluster.register_node(plain_node("n1"));
    client.until(NODE, |node| condition(node, "Ready")).await;
    let heartbeat = ready(&client.get(NODE).await)["lastHeartbeatTime"].clone();
    assert!(heartbeat.is_string());
    cluster.stop_node("n1");
    // Half a second is half a minute of the cloud's.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let last = renewed(&client.get(LEASE).await);
    assert!(condition(&client.get(NODE).await, "Ready"));
    let node = client.until(NODE, |node| !condition(node, "Ready")).await;
    assert_eq!(ready(&node)["status"], json!("Unknown"));
    assert_eq!(ready(&node)["lastHeartbeatTime"], heartbeat);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(renewed(&client.get(LEASE).await), last);

    cluster.register_node(plain_node("n1"));
    client.until(LEASE, |lease| renewed(lease) > last).await;
    let node = client.until(NODE, |node| condition(node, "Ready")).await;
    assert!(ready(&node)["lastHeartbeatTime"].as_str() > heartbeat.as_str());
}
