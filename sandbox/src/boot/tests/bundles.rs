//! What a node accepts and refuses before it starts anything.

use std::time::Duration;

use serde_json::json;

use super::pki::{PKI, Pki};
use super::rig::{AGENT_SECRET, Node, Rig, SERVER_SECRET};
use crate::boot::Phase;

/// Boots a changed single server, expects a failure, and returns what it says.
async fn refused(change: impl FnOnce(&mut Node)) -> String {
    let rig = Rig::new(60.0).await;
    let mut node = Node::single();
    change(&mut node);
    let status = rig.boot(&node).await;
    assert_eq!(status.phase, Phase::Failed, "{status:?}");
    assert_eq!(rig.nodes.endpoint(node.facts().public_ip), None);
    let report = rig.report(&node).await;
    assert_eq!(
        (report["phase"].as_str(), report["format"].as_u64()),
        (Some("failed"), Some(1))
    );
    let text = report.to_string();
    assert!(
        !text.contains(SERVER_SECRET)
            && !text.contains(AGENT_SECRET)
            && !text.contains("PRIVATE KEY"),
        "{text}"
    );
    report["message"].as_str().unwrap().to_owned()
}

macro_rules! assert_says {
    ($text:expr, $part:expr) => {{
        let text = $text;
        assert!(text.contains($part), "{text:?} does not say {:?}", $part);
    }};
}

#[tokio::test(start_paused = true)]
async fn a_server_waits_for_its_bundle_and_starts() {
    let rig = Rig::new(60.0).await;
    let node = Node::single();
    rig.power_on(&node).await;
    let waiting = rig.wait(node.id, &[Phase::WaitingForBundle]).await;
    assert_eq!(waiting.name, node.name);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(rig.report(&node).await["phase"], "waiting-for-bundle");
    rig.upload(&node, &node.payload()).await;
    let status = rig.settled(node.id).await;
    assert_eq!(status.phase, Phase::Started, "{status:?}");
    assert!(rig.nodes.endpoint(node.facts().public_ip).is_some());
    assert_eq!(
        rig.nodes.endpoint(node.facts().private_ip.unwrap()),
        rig.nodes.endpoint_of(node.id)
    );
    let report = rig.report(&node).await;
    assert_eq!(
        (report["phase"].as_str(), report["node"].as_str()),
        (Some("started"), Some(node.name.as_str()))
    );
    let log = report["log"].as_str().unwrap();
    for step in [
        "no bundle yet (404",
        "signed and meant for this node",
        "downloading k3s",
    ] {
        assert_says!(log, step);
    }
}

#[tokio::test(start_paused = true)]
async fn droplets_that_are_no_nodes_just_run() {
    let rig = Rig::new(60.0).await;
    for (id, user_data) in [
        (1, None),
        (2, Some("#!/bin/sh\necho hi\n")),
        (3, Some("#cloud-config\npackages: [nginx]\n")),
    ] {
        let mut facts = Node::agent(id, 1, String::new()).facts();
        facts.user_data = user_data.map(str::to_owned);
        rig.nodes.droplet_active(facts.clone()).unwrap();
        assert_eq!(rig.settled(facts.id).await.phase, Phase::Idle);
        assert_eq!(rig.nodes.endpoint(facts.public_ip), None);
    }
}

#[tokio::test(start_paused = true)]
async fn changed_and_foreign_bundles_are_refused_until_the_right_one_comes() {
    let rig = Rig::new(60.0).await;
    let node = Node::single();
    let stranger = Rig::new(60.0).await;
    stranger.upload(&node, &node.payload()).await;
    let signature = stranger.key.sign(&node.payload());
    let line = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(signature)
    };
    let forged = [line.as_bytes(), b"\n", &node.payload()].concat();
    rig.upload_raw(&node, forged).await;
    rig.power_on(&node).await;
    assert_says!(
        rig.settled(node.id).await.message,
        "the signature does not match"
    );
    rig.upload(&node, &node.payload()).await;
    assert_eq!(
        rig.wait(node.id, &[Phase::Started]).await.phase,
        Phase::Started
    );
}

#[tokio::test(start_paused = true)]
async fn one_flipped_bit_is_noticed() {
    let rig = Rig::new(60.0).await;
    let node = Node::single();
    rig.upload(&node, &node.payload()).await;
    let object = rig
        .admin
        .get_object()
        .bucket("kplan-demo-boot")
        .key(node.bundle_key())
        .send()
        .await
        .unwrap();
    let mut bytes = object.body.collect().await.unwrap().to_vec();
    let last = bytes.len() - 2000;
    bytes[last] ^= 1;
    rig.upload_raw(&node, bytes).await;
    rig.power_on(&node).await;
    assert_says!(
        rig.settled(node.id).await.message,
        "the signature does not match"
    );
}

#[tokio::test(start_paused = true)]
async fn bundles_of_other_nodes_are_refused() {
    for (field, other) in [
        ("droplet_id", "4711"),
        ("cluster", "other-1a2b3c4d"),
        ("node", "demo-server-9"),
        ("role", "agent"),
        ("format", "2"),
    ] {
        let said = refused(|node| drop(node.header.insert(field, other.to_owned()))).await;
        assert_says!(said, &format!("the header says {field}={other}"));
    }
}

#[tokio::test(start_paused = true)]
async fn members_stay_in_their_folders() {
    for path in [
        "files/etc/rancher/k3s/../../passwd",
        "files/etc/cron.d/x",
        "etc/kplan/x",
        "files/root/.ssh/authorized_keys",
    ] {
        let said =
            refused(|node| drop(node.files.insert(path.to_owned(), (0o644, "x".to_owned())))).await;
        assert_says!(said, path);
    }
    let open = "files/etc/rancher/k3s/config.yaml";
    let said = refused(|node| {
        drop(
            node.files
                .insert(open.to_owned(), (0o644, "token: x".to_owned())),
        );
    })
    .await;
    assert_says!(said, "has mode 644");
}

#[tokio::test(start_paused = true)]
async fn links_are_refused() {
    let rig = Rig::new(60.0).await;
    let node = Node::single();
    let mut archive = tar::Builder::new(Vec::new());
    super::rig::append(&mut archive, "header", 0o644, &node.header_text());
    let mut link = tar::Header::new_ustar();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    link.set_mode(0o777);
    archive
        .append_link(&mut link, "files/etc/kplan/link", "/etc/shadow")
        .unwrap();
    rig.upload(&node, &archive.into_inner().unwrap()).await;
    rig.power_on(&node).await;
    assert_says!(rig.settled(node.id).await.message, "is not a regular file");
}

#[tokio::test(start_paused = true)]
async fn an_expired_url_is_final() {
    let mut rig = Rig::new(60.0).await;
    rig.valid = Duration::from_secs(2);
    let node = Node::single();
    rig.power_on(&node).await;
    let status = rig.settled(node.id).await;
    assert_says!(&status.message, "answers 403");
    assert!(!status.message.contains("X-Amz"), "{status:?}");
    rig.upload(&node, &node.payload()).await;
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(rig.settled(node.id).await.phase, Phase::Failed);
}

#[tokio::test(start_paused = true)]
async fn deleting_the_key_kills_the_url() {
    let rig = Rig::new(60.0).await;
    let node = Node::single();
    rig.power_on(&node).await;
    rig.wait(node.id, &[Phase::WaitingForBundle]).await;
    rig.cloud.keys.lock().unwrap().clear();
    assert_says!(rig.settled(node.id).await.message, "answers 403");
}

fn with_env(from: &'static str, to: &'static str) -> impl FnOnce(&mut Node) {
    move |node| {
        let env = node.files.get_mut("files/etc/kplan/k3s.env").unwrap();
        env.1 = env
            .1
            .lines()
            .map(|line| if line.starts_with(from) { to } else { line })
            .collect::<Vec<_>>()
            .join("\n");
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_named_binary_is_installed() {
    let digest =
        "K3S_BINARY_SHA256=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    assert_says!(
        refused(with_env("K3S_BINARY_SHA256", digest)).await,
        "has the sha256"
    );
    let elsewhere =
        "K3S_BINARY_URL=https://github.com/k3s-io/k3s/releases/download/v1.35.6%2Bk3s1/k3s";
    assert_says!(
        refused(with_env("K3S_BINARY_URL", elsewhere)).await,
        "the sandbox has no internet"
    );
    let missing = "K3S_BINARY_URL=http://127.0.0.1:9001/artifacts/k3s/v0/k3s";
    assert_says!(
        refused(with_env("K3S_BINARY_URL", missing)).await,
        "answers 404"
    );
    assert_says!(
        refused(with_env("K3S_VERSION", "K3S_VERSION=v1.34.0+k3s1")).await,
        "the binary is k3s v1.35.6+k3s1"
    );
}

#[tokio::test(start_paused = true)]
async fn configurations_k3s_does_not_know_are_refused() {
    let said = refused(|node| node.config["tls-sans"] = json!(["a"])).await;
    assert_says!(said, "has the key \"tls-sans\"");
    let said = refused(|node| node.config["node-ip"] = json!("10.9.9.9")).await;
    assert_says!(said, "node-ip 10.9.9.9 is not an address of this droplet");
}

#[tokio::test(start_paused = true)]
async fn authorities_must_fit_together_and_to_the_token() {
    let tls = |name: &str| format!("files/var/lib/rancher/k3s/server/tls/{name}");
    let other = Pki::new();
    let said = refused(|node| drop(node.files.remove(&tls("etcd/peer-ca.crt")))).await;
    assert_says!(said, "etcd/peer-ca.crt is missing");
    let said = refused(|node| node.config["token"] = json!(super::rig::server_token(&other))).await;
    assert_says!(said, "the token pins the root");
    let said = refused(|node| node.config["token"] = json!("short")).await;
    assert_says!(said, "the token is not K10");
    let said = refused(|node| {
        for name in ["client-ca.crt", "client-ca.key"] {
            let mode = if name.ends_with("key") { 0o600 } else { 0o644 };
            node.files
                .insert(tls(name), (mode, other.files[name].clone()));
        }
    })
    .await;
    assert_says!(said, "client-ca.crt ends in another root");
    let said = refused(|node| {
        drop(node.files.insert(
            tls("server-ca.key"),
            (0o600, PKI.files["client-ca.key"].clone()),
        ));
    })
    .await;
    assert_says!(said, "its key belongs to another certificate");
    let said = refused(|node| {
        let chain = &PKI.files["server-ca.crt"];
        let end = chain.find("-----END CERTIFICATE-----").unwrap() + 26;
        drop(
            node.files
                .insert(tls("server-ca.crt"), (0o644, chain[..end].to_owned())),
        );
    })
    .await;
    assert_says!(said, "has one certificate only");
}
