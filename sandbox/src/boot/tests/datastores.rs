//! Servers that share an external SQL database.

use std::collections::BTreeMap;

use serde_json::json;

use super::pki::{PKI, Pki};
use super::rig::{Node, Rig};
use crate::boot::Phase;
use crate::facts::DatabaseFacts;

const HOST: &str = "private-k3s-do-user-1-0.a.db.ondigitalocean.com";
const PASSWORD: &str = "db-password-canary";
const CA: &str = "-----BEGIN CERTIFICATE-----\nDATABASE\n-----END CERTIFICATE-----\n";

fn database() -> DatabaseFacts {
    DatabaseFacts {
        engine: "pg".to_owned(),
        host: HOST.trim_start_matches("private-").to_owned(),
        private_host: HOST.to_owned(),
        port: 25060,
        users: BTreeMap::from([("k3s".to_owned(), PASSWORD.to_owned())]),
        databases: vec!["k3s".to_owned()],
        rules: vec![("tag".to_owned(), "demo-servers".to_owned())],
        ca_pem: CA.to_owned(),
    }
}

async fn rig() -> Rig {
    let rig = Rig::new(60.0).await;
    rig.cloud
        .databases
        .lock()
        .unwrap()
        .insert(HOST.to_owned(), database());
    rig
}

fn server_with(id: u8, pki: &Pki, endpoint: &str) -> Node {
    let cafile = "/etc/rancher/k3s/datastore-ca.pem";
    let mut node = Node::server(
        id,
        pki,
        json!({"datastore-endpoint": endpoint, "datastore-cafile": cafile}),
    );
    node.files
        .insert(format!("files{cafile}"), (0o644, CA.to_owned()));
    node.tags = vec!["demo-servers".to_owned()];
    node
}

fn endpoint() -> String {
    format!("postgres://k3s:{PASSWORD}@{HOST}:25060/k3s?sslmode=verify-full")
}

fn server(id: u8) -> Node {
    server_with(id, &PKI, &endpoint())
}

#[tokio::test(start_paused = true)]
async fn servers_of_one_database_are_one_cluster_and_outlive_their_droplets() {
    let rig = rig().await;
    for id in [1, 2] {
        let status = rig.boot(&server(id)).await;
        assert_eq!(status.phase, Phase::Started, "{status:?}");
    }
    let records = rig.store.load::<serde_json::Value>("boot/cluster").unwrap();
    assert_eq!(records.len(), 1);
    let id = records.into_keys().next().unwrap();
    for droplet in [1001, 1002] {
        rig.nodes.droplet_gone(droplet).unwrap();
    }
    assert!(rig.nodes.cluster_record(&id).is_some());
    assert!(
        !rig.store
            .load::<serde_json::Value>(&format!("k8s/{id}"))
            .unwrap()
            .is_empty()
    );
    assert!(rig.boot(&server(3)).await.message.contains(&id));
}

#[tokio::test(start_paused = true)]
async fn every_mistake_about_the_database_is_told_apart() {
    let rig = rig().await;
    let swap = |from: &str, to: &str| endpoint().replace(from, to);
    let cases = [
        (
            swap(PASSWORD, "wrong"),
            "password authentication failed for user \"k3s\"",
        ),
        (swap("25060", "5432"), "does not answer"),
        (
            swap("/k3s?", "/other?"),
            "the database \"other\" does not exist",
        ),
        (swap("private-", "privat-"), "no such host"),
        (swap("verify-full", "require"), "no sslmode=verify-full"),
        (
            swap("postgres://", "mysql://")
                .replace('@', "@tcp(")
                .replace("25060/", "25060)/"),
            "is a pg database",
        ),
    ];
    for (id, (endpoint, why)) in (1..).zip(cases) {
        let node = server_with(id, &PKI, &endpoint);
        let status = rig.boot(&node).await;
        assert!(
            status.phase == Phase::Failed && status.message.contains(why),
            "{status:?} {why}"
        );
        assert!(!rig.report(&node).await.to_string().contains(PASSWORD));
    }
}

#[tokio::test(start_paused = true)]
async fn the_certificate_and_the_trusted_sources_count() {
    let rig = rig().await;
    let mut node = server(1);
    node.files.insert(
        "files/etc/rancher/k3s/datastore-ca.pem".to_owned(),
        (0o644, "OTHER".to_owned()),
    );
    assert!(rig.boot(&node).await.message.contains("unknown authority"));
    let mut node = server(2);
    node.files.remove("files/etc/rancher/k3s/datastore-ca.pem");
    assert!(
        rig.boot(&node)
            .await
            .message
            .contains("datastore-cafile /etc/rancher/k3s/datastore-ca.pem does not exist")
    );
    let mut node = server(3);
    node.tags.clear();
    assert!(
        rig.boot(&node)
            .await
            .message
            .contains("not among the trusted sources")
    );
    // The tag is added later; K3s, which tries again and again, then comes up.
    let mut facts = node.facts();
    facts.tags = vec!["demo-servers".to_owned()];
    rig.nodes.droplet_active(facts).unwrap();
    assert_eq!(
        rig.wait(node.id, &[Phase::Started]).await.phase,
        Phase::Started
    );
}

#[tokio::test(start_paused = true)]
async fn another_cluster_cannot_use_the_same_database() {
    let rig = rig().await;
    rig.boot(&server(1)).await;
    let other = Pki::new();
    assert!(
        rig.boot(&server_with(2, &other, &endpoint()))
            .await
            .message
            .contains("its CA files differ")
    );
    let mut node = server(3);
    node.config["token"] = json!(format!("K10{}::server:another", PKI.root));
    assert!(
        rig.boot(&node)
            .await
            .message
            .contains("a different server token")
    );
}
