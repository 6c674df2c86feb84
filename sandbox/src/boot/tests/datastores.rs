//! Servers that share an external SQL database.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::pki::{PKI, Pki};
use super::rig::{Node, Rig};
use crate::boot::Phase;
use crate::facts::DatabaseFacts;

const HOST: &str = "private-k3s-do-user-1-0.a.db.ondigitalocean.com";
const PASSWORD: &str = "db-password-canary";
const ADMIN_PASSWORD: &str = "admin-password-canary";
const CA: &str = "-----BEGIN CERTIFICATE-----\nDATABASE\n-----END CERTIFICATE-----\n";

fn database() -> DatabaseFacts {
    DatabaseFacts {
        engine: "pg".to_owned(),
        version: "16".to_owned(),
        admin: "doadmin".to_owned(),
        host: HOST.trim_start_matches("private-").to_owned(),
        private_host: HOST.to_owned(),
        port: 25060,
        users: BTreeMap::from([
            ("doadmin".to_owned(), ADMIN_PASSWORD.to_owned()),
            ("k3s".to_owned(), PASSWORD.to_owned()),
        ]),
        databases: vec!["k3s".to_owned()],
        creators: BTreeSet::new(),
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
    node.files.insert(GRANT.to_owned(), (0o600, login()));
    node.tags = vec!["demo-servers".to_owned()];
    node
}

/// Where a bundle brings the administrator's login.
const GRANT: &str = "files/etc/kplan/datastore-admin.env";

fn login() -> String {
    format!(
        "HOST={HOST}\nPORT=25060\nDATABASE=k3s\nUSER=k3s\nADMIN=doadmin\nPASSWORD={ADMIN_PASSWORD}\n"
    )
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
    node.files.remove(GRANT);
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
            .contains("encrypted with different token")
    );
}

#[tokio::test(start_paused = true)]
async fn k3s_cannot_create_its_table_before_a_server_was_let_give_it_the_right() {
    let rig = rig().await;
    let mut node = server(1);
    node.files.remove(GRANT);
    let status = rig.boot(&node).await;
    assert_eq!(status.phase, Phase::Failed, "{status:?}");
    assert!(
        status
            .message
            .contains("permission denied for schema public"),
        "{status:?}"
    );
    // One server that brings the login is enough, also for those that do not.
    assert_eq!(rig.boot(&server(2)).await.phase, Phase::Started);
    assert_eq!(
        rig.wait(node.id, &[Phase::Started]).await.phase,
        Phase::Started
    );
    let disks = rig.store.load::<serde_json::Value>("boot/disk").unwrap();
    assert!(!format!("{disks:?}").contains(ADMIN_PASSWORD), "it stays");
}

#[tokio::test(start_paused = true)]
async fn only_the_owner_gives_the_right_and_only_to_a_user_there_is() {
    let rig = rig().await;
    let cases = [
        (
            (ADMIN_PASSWORD, "wrong"),
            "password authentication failed for user \"doadmin\"",
        ),
        (("USER=k3s", "USER=other"), "role \"other\" does not exist"),
        (
            (
                "ADMIN=doadmin\nPASSWORD=admin-password-canary",
                "ADMIN=k3s\nPASSWORD=db-password-canary",
            ),
            "no privileges were granted",
        ),
        (("HOST=private-", "HOST=privat-"), "no such host"),
        (("PORT=25060", "PORT="), "datastore-admin.env is not"),
    ];
    for (id, ((from, to), why)) in (1..).zip(cases) {
        let mut node = server(id);
        let text = login().replace(from, to);
        node.files.insert(GRANT.to_owned(), (0o600, text));
        let status = rig.boot(&node).await;
        assert!(
            status.phase == Phase::Failed && status.message.contains(why),
            "{status:?} {why}"
        );
        let report = rig.report(&node).await.to_string();
        assert!(!report.contains(PASSWORD) && !report.contains(ADMIN_PASSWORD));
    }
    // A login that everybody on the machine could read is refused with its bundle.
    let mut node = server(9);
    node.files.insert(GRANT.to_owned(), (0o644, login()));
    assert!(rig.boot(&node).await.message.contains("has mode 644"));
}

#[tokio::test(start_paused = true)]
async fn nothing_has_to_be_given_before_postgresql_15_or_to_the_owner() {
    for (version, user, password) in [("14", "k3s", PASSWORD), ("16", "doadmin", ADMIN_PASSWORD)] {
        let rig = rig().await;
        if let Some(database) = rig.cloud.databases.lock().unwrap().get_mut(HOST) {
            database.version = version.to_owned();
        }
        let endpoint = endpoint()
            .replace("k3s:", &format!("{user}:"))
            .replace(PASSWORD, password);
        let mut node = server_with(1, &PKI, &endpoint);
        node.files.remove(GRANT);
        let status = rig.boot(&node).await;
        assert_eq!(status.phase, Phase::Started, "{status:?}");
    }
}
