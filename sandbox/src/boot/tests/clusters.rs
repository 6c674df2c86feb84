//! Who opens a cluster, and who may join it.

use serde_json::json;

use super::pki::{PKI, Pki};
use super::rig::{AGENT_SECRET, Node, Rig, SERVER_SECRET};
use crate::boot::Phase;
use crate::kubernetes::NodeDisks as _;

fn init() -> Node {
    Node::server(1, &PKI, json!({"cluster-init": true}))
}

fn joining(id: u8) -> Node {
    Node::server(id, &PKI, json!({"server": "https://10.0.0.1:6443"}))
}

fn node_token() -> String {
    format!("K10{}::node:{AGENT_SECRET}", PKI.root)
}

#[tokio::test(start_paused = true)]
async fn servers_with_the_token_join_etcd() {
    let rig = Rig::new(60.0).await;
    assert_eq!(
        rig.boot(&init()).await.message,
        "server demo-server-1 of cluster etcd-1001 is up"
    );
    assert_eq!(
        rig.boot(&joining(2)).await.message,
        "server demo-server-2 of cluster etcd-1001 is up"
    );
    assert_eq!(rig.boot(&joining(3)).await.phase, Phase::Started);
    let record = rig.nodes.cluster_record("etcd-1001").unwrap();
    assert_eq!(
        record.members.into_iter().collect::<Vec<_>>(),
        [1001, 1002, 1003]
    );
    assert_ne!(rig.nodes.endpoint_of(1001), rig.nodes.endpoint_of(1002));
}

#[tokio::test(start_paused = true)]
async fn a_second_cluster_init_is_a_second_cluster() {
    let rig = Rig::new(60.0).await;
    rig.boot(&init()).await;
    let second = Node::server(2, &PKI, json!({"cluster-init": true}));
    assert_eq!(
        rig.boot(&second).await.message,
        "server demo-server-2 of cluster etcd-1002 is up"
    );
}

#[tokio::test(start_paused = true)]
async fn servers_without_the_right_token_or_files_stay_out() {
    let rig = Rig::new(60.0).await;
    rig.boot(&init()).await;
    let mut node = joining(2);
    node.config["token"] = json!(format!("K10{}::server:wrong", PKI.root));
    assert!(rig.boot(&node).await.message.contains("401 Unauthorized"));
    let mut node = joining(3);
    node.config["token"] = json!(format!("K10{}::node:{AGENT_SECRET}", PKI.root));
    assert!(
        rig.boot(&node)
            .await
            .message
            .contains("a server needs a server token")
    );
    let other = Pki::new();
    let node = Node::server(4, &other, json!({"server": "https://10.0.0.1:6443"}));
    assert!(rig.boot(&node).await.message.contains("pins another root"));
    let mut node = joining(5);
    node.vpc = "vpc-b";
    assert!(rig.boot(&node).await.message.contains("connection refused"));
    let mut node = joining(6);
    node.config["cluster-cidr"] = json!("10.50.0.0/16");
    assert!(
        rig.boot(&node)
            .await
            .message
            .contains("cluster-cidr differs")
    );
    assert_eq!(
        rig.nodes.cluster_record("etcd-1001").unwrap().members.len(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn agents_get_another_token_after_their_servers() {
    let rig = Rig::new(60.0).await;
    let server = init();
    rig.boot(&server).await;
    let agent =
        |id: u8, secret: &str| Node::agent(id, 1, format!("K10{}::node:{secret}", PKI.root));
    assert!(rig.boot(&agent(10, "new")).await.message.contains("401"));
    let file = "/etc/rancher/k3s/config.yaml.d/60-more.yaml";
    let disks = rig.disks("etcd-1001");
    disks
        .write("demo-server-1", file, 0o600, "agent-token: new\n")
        .unwrap();
    rig.nodes.droplet_stopped(server.id).unwrap();
    rig.power_on(&server).await;
    assert_eq!(rig.settled(server.id).await.phase, Phase::Started);
    assert_eq!(rig.boot(&agent(11, "new")).await.phase, Phase::Started);
    let old = rig.boot(&agent(12, AGENT_SECRET)).await;
    assert!(old.message.contains("401"), "{old:?}");
}

#[tokio::test(start_paused = true)]
async fn a_sqlite_server_takes_no_second_one() {
    let rig = Rig::new(60.0).await;
    rig.boot(&Node::single()).await;
    assert!(
        rig.boot(&joining(2))
            .await
            .message
            .contains("keeps its state in SQLite")
    );
}

#[tokio::test(start_paused = true)]
async fn agents_join_with_the_agent_or_server_token_only() {
    let rig = Rig::new(60.0).await;
    rig.boot(&init()).await;
    let server = format!("K10{}::server:{SERVER_SECRET}", PKI.root);
    for (id, token) in [(10, node_token()), (11, server)] {
        let status = rig.boot(&Node::agent(id, 1, token)).await;
        assert_eq!(status.phase, Phase::Started, "{status:?}");
        assert_eq!(rig.nodes.endpoint_of(status.droplet_id), None);
    }
    let other = Pki::new();
    let cases = [
        (
            12,
            format!("K10{}::node:wrong", PKI.root),
            "401 Unauthorized",
        ),
        (
            13,
            format!("K10{}::server:{AGENT_SECRET}", PKI.root),
            "401 Unauthorized",
        ),
        (
            14,
            format!("K10{}::node:{AGENT_SECRET}", other.root),
            "pins another root",
        ),
        (15, AGENT_SECRET.to_owned(), "is not K10"),
    ];
    for (id, token, why) in cases {
        let node = Node::agent(id, 1, token);
        let status = rig.boot(&node).await;
        assert!(
            status.phase == Phase::Failed && status.message.contains(why),
            "{status:?}"
        );
        assert!(!rig.report(&node).await.to_string().contains(AGENT_SECRET));
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_waits_for_its_server() {
    let rig = Rig::new(60.0).await;
    let agent = Node::agent(10, 1, node_token());
    assert!(
        rig.boot(&agent)
            .await
            .message
            .contains("connection refused")
    );
    rig.boot(&init()).await;
    assert_eq!(
        rig.wait(agent.id, &[Phase::Started]).await.message,
        "agent demo-agent-10 joined cluster etcd-1001"
    );
}

#[tokio::test(start_paused = true)]
async fn a_name_belongs_to_one_droplet() {
    let rig = Rig::new(60.0).await;
    rig.boot(&init()).await;
    let mut node = Node::agent(10, 1, node_token());
    rig.boot(&node).await;
    let first = node.id;
    node = Node::agent(11, 1, node_token());
    node.config["node-name"] = json!("demo-agent-10");
    assert!(
        rig.boot(&node)
            .await
            .message
            .contains("node password rejected")
    );
    rig.nodes.droplet_gone(first).unwrap();
    assert_eq!(
        rig.wait(node.id, &[Phase::Started]).await.phase,
        Phase::Started
    );
}

fn members(rig: &Rig) -> Vec<String> {
    rig.nodes
        .running_cluster("etcd-1001")
        .unwrap()
        .etcd_members()
}

async fn node_call(rig: &Rig, method: &str, name: &str, body: &str) {
    let request = axum::http::Request::builder()
        .method(method)
        .uri(format!("/api/v1/nodes/{name}"))
        .header("content-type", "application/merge-patch+json")
        .extension(crate::kubernetes::Identity::admin())
        .body(axum::body::Body::from(body.to_owned()))
        .unwrap();
    let router = rig.nodes.router_of(1002).unwrap();
    let answer = tower::ServiceExt::oneshot(router, request).await.unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
}

/// As etcd has it: a member that does not answer and was not removed keeps new ones out.
#[tokio::test(start_paused = true)]
async fn a_member_that_went_without_leaving_keeps_its_successor_out() {
    let rig = Rig::new(60.0).await;
    rig.boot(&init()).await;
    rig.boot(&joining(2)).await;
    rig.boot(&joining(3)).await;
    assert_eq!(members(&rig).len(), 3);
    rig.nodes.droplet_gone(1003).unwrap();
    let status = rig.boot(&joining(4)).await;
    assert!(
        status
            .message
            .contains("etcdserver: unhealthy cluster: demo-server-3"),
        "{status:?}"
    );
    // Its Node goes, and its member with it.
    node_call(&rig, "DELETE", "demo-server-3", "").await;
    let status = rig.wait(1004, &[Phase::Started]).await;
    assert!(
        status.message.contains("of cluster etcd-1001"),
        "{status:?}"
    );
    assert_eq!(
        members(&rig),
        ["demo-server-1", "demo-server-2", "demo-server-4"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_member_leaves_by_its_annotation() {
    let rig = Rig::new(60.0).await;
    rig.boot(&init()).await;
    rig.boot(&joining(2)).await;
    rig.boot(&joining(3)).await;
    // A Node is there once its kubelet registered it.
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    let remove = r#"{"metadata":{"annotations":{"etcd.k3s.cattle.io/remove":"true"}}}"#;
    node_call(&rig, "PATCH", "demo-server-1", remove).await;
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    assert_eq!(members(&rig), ["demo-server-2", "demo-server-3"]);
    rig.nodes.droplet_gone(1001).unwrap();
    let mut node = joining(4);
    node.config["server"] = json!("https://10.0.0.2:6443");
    assert_eq!(rig.boot(&node).await.phase, Phase::Started);
}
