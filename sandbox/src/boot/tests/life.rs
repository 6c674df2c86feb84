//! What survives power cycles, restarts of the sandbox, and the end of droplets; and the proxy.

use std::net::Ipv4Addr;
use std::sync::Arc;

use serde_json::json;

use super::pki::{PKI, Pki};
use super::rig::{AGENT_SECRET, Node, Rig};
use crate::boot::Phase;
use crate::facts::CloudFacts;
use crate::proxy::{Proxy, ProxyError};

fn data(rig: &Rig, cluster: &str) -> usize {
    rig.store
        .load::<serde_json::Value>(&format!("k8s/{cluster}"))
        .unwrap()
        .len()
}

#[tokio::test(start_paused = true)]
async fn the_state_of_a_single_server_goes_with_its_droplet() {
    let rig = Rig::new(60.0).await;
    let node = Node::single();
    rig.boot(&node).await;
    assert!(data(&rig, "sqlite-1001") > 0);
    rig.nodes.droplet_gone(node.id).unwrap();
    assert_eq!(rig.nodes.endpoint(node.facts().public_ip), None);
    assert_eq!(data(&rig, "sqlite-1001"), 0);
    assert!(
        rig.store
            .load::<serde_json::Value>("boot/disk")
            .unwrap()
            .is_empty()
    );
    assert!(rig.nodes.statuses().is_empty());
}

#[tokio::test(start_paused = true)]
async fn etcd_lives_while_one_member_does() {
    let rig = Rig::new(60.0).await;
    rig.boot(&Node::server(1, &PKI, json!({"cluster-init": true})))
        .await;
    rig.boot(&Node::server(
        2,
        &PKI,
        json!({"server": "https://10.0.0.1:6443"}),
    ))
    .await;
    rig.nodes.droplet_gone(1001).unwrap();
    assert!(data(&rig, "etcd-1001") > 0);
    assert!(rig.nodes.endpoint_of(1002).is_some());
    rig.nodes.droplet_gone(1002).unwrap();
    assert_eq!(data(&rig, "etcd-1001"), 0);
}

#[tokio::test(start_paused = true)]
async fn nodes_come_back_without_their_bundle() {
    let mut rig = Rig::new(60.0).await;
    let (server, agent) = (
        Node::single(),
        Node::agent(10, 1, format!("K10{}::node:{AGENT_SECRET}", PKI.root)),
    );
    for node in [&server, &agent] {
        rig.boot(node).await;
        rig.remove_bundle(node).await;
    }
    rig.nodes.droplet_stopped(server.id).unwrap();
    assert_eq!(rig.nodes.endpoint_of(server.id), None);
    rig.power_on(&server).await;
    assert_eq!(rig.settled(server.id).await.phase, Phase::Started);
    rig.restart();
    assert_eq!(
        rig.wait(server.id, &[Phase::Started]).await.message,
        "server demo-server-1 of cluster sqlite-1001 is up"
    );
    assert_eq!(
        rig.wait(agent.id, &[Phase::Started]).await.phase,
        Phase::Started
    );
    assert!(rig.nodes.endpoint_of(server.id).is_some());
}

#[tokio::test(start_paused = true)]
async fn the_proxy_leads_to_running_servers_only() {
    let rig = Rig::new(60.0).await;
    rig.boot(&Node::server(1, &PKI, json!({"cluster-init": true})))
        .await;
    rig.boot(&Node::server(
        2,
        &PKI,
        json!({"server": "https://10.0.0.1:6443"}),
    ))
    .await;
    let (balancer, idle) = (
        Ipv4Addr::new(198, 51, 100, 1),
        Ipv4Addr::new(198, 51, 100, 2),
    );
    let targets = [1, 2, 3]
        .map(|last| Ipv4Addr::new(203, 0, 113, last))
        .to_vec();
    rig.cloud
        .balancers
        .lock()
        .unwrap()
        .extend([(balancer, targets), (idle, Vec::new())]);
    let reserved = Ipv4Addr::new(198, 51, 100, 9);
    rig.cloud
        .droplets
        .lock()
        .unwrap()
        .extend([(reserved, 1002), (Ipv4Addr::new(203, 0, 113, 3), 1003)]);
    let proxy = Proxy::new(
        rig.nodes.clone(),
        Arc::clone(&rig.cloud) as Arc<dyn CloudFacts>,
    );
    let (one, two) = (
        rig.nodes.endpoint_of(1001).unwrap(),
        rig.nodes.endpoint_of(1002).unwrap(),
    );
    assert_eq!(proxy.resolve("203.0.113.1:6443"), Ok(one));
    assert_eq!(proxy.resolve("10.0.0.2:6443"), Ok(two));
    assert_eq!(proxy.resolve("198.51.100.9:6443"), Ok(two));
    let turns = [(); 4].map(|()| proxy.resolve("198.51.100.1:6443").unwrap());
    assert_eq!(turns, [one, two, one, two]);
    assert!(proxy.router("198.51.100.1:6443").is_ok());
    assert_eq!(
        proxy.router("198.51.100.2:6443").err(),
        Some(ProxyError::Unhealthy(idle))
    );
    assert_eq!(
        proxy.resolve("198.51.100.2:6443"),
        Err(ProxyError::Unhealthy(idle))
    );
    assert_eq!(
        proxy.resolve("203.0.113.3:6443"),
        Err(ProxyError::Down(Ipv4Addr::new(203, 0, 113, 3)))
    );
    assert_eq!(
        proxy.resolve("192.0.2.1:6443"),
        Err(ProxyError::Unknown(Ipv4Addr::new(192, 0, 2, 1)))
    );
    assert_eq!(
        proxy.resolve("203.0.113.1:22"),
        Err(ProxyError::Target("203.0.113.1:22".to_owned()))
    );
    assert_eq!(
        proxy.resolve("example.com:6443"),
        Err(ProxyError::Name("example.com".to_owned()))
    );
}

/// The addresses of a name take turns, also those that lead to nobody.
#[tokio::test(start_paused = true)]
async fn the_proxy_knows_the_names_of_the_accounts_domains() {
    let rig = Rig::new(60.0).await;
    rig.boot(&Node::single()).await;
    let addresses = [1, 77].map(|last| Ipv4Addr::new(203, 0, 113, last));
    let name = "k8s.example.com".to_owned();
    let names = [(name, addresses.to_vec())];
    rig.cloud.names.lock().unwrap().extend(names);
    let cloud = Arc::clone(&rig.cloud) as Arc<dyn CloudFacts>;
    let proxy = Proxy::new(rig.nodes.clone(), cloud);
    let mut turns = [(); 2].map(|()| proxy.resolve("k8s.example.com:6443"));
    turns.sort_by_key(Result::is_err);
    let server = rig.nodes.endpoint_of(1001).unwrap();
    let stale = ProxyError::Unknown(addresses[1]);
    assert_eq!(turns, [Ok(server), Err(stale)]);
}

/// The whole way a `kubectl` with `proxy-url` goes, on real sockets.
#[tokio::test]
async fn an_administrator_reaches_readyz_through_the_proxy() {
    let rig = Rig::new(5000.0).await;
    let node = Node::single();
    let status = rig.boot(&node).await;
    assert_eq!(status.phase, Phase::Started, "{status:?}");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let server = Proxy::new(
        rig.nodes.clone(),
        Arc::clone(&rig.cloud) as Arc<dyn CloudFacts>,
    )
    .serve(listener);
    let server = tokio::spawn(server);
    let roots: Vec<_> = reqwest::Certificate::from_pem_bundle(PKI.server_chain.as_bytes()).unwrap();
    let client = |identity: Option<String>| {
        let builder = reqwest::Client::builder()
            .proxy(reqwest::Proxy::all(&proxy).unwrap())
            .tls_certs_only(roots.clone());
        match identity {
            Some(pem) => builder.identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap()),
            None => builder,
        }
        .build()
        .unwrap()
    };
    let get = async |client: reqwest::Client, path: &str| {
        let response = client
            .get(format!("https://203.0.113.1:6443{path}"))
            .send()
            .await
            .unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    assert_eq!(get(client(None), "/ping").await, (200, "pong".to_owned()));
    assert_eq!(get(client(None), "/readyz").await.0, 401);
    assert_eq!(get(client(Some(PKI.admin())), "/readyz").await.0, 200);
    assert_eq!(
        get(client(Some(PKI.admin())), "/api/v1/namespaces/kube-system")
            .await
            .0,
        200
    );
    let private = client(None).get("https://10.0.0.1:6443/ping").send().await;
    assert_eq!(private.unwrap().status(), 200);
    // A reserved IP leads to the droplet, but is not on the certificate.
    rig.cloud
        .droplets
        .lock()
        .unwrap()
        .insert(Ipv4Addr::new(198, 51, 100, 9), node.id);
    assert!(
        client(None)
            .get("https://198.51.100.9:6443/ping")
            .send()
            .await
            .is_err()
    );
    // A certificate of another authority is no certificate.
    let stranger = client(Some(Pki::new().admin()))
        .get("https://203.0.113.1:6443/readyz")
        .send()
        .await;
    assert!(stranger.is_err() || stranger.is_ok_and(|response| response.status() == 401));
    let down = client(None)
        .get("https://203.0.113.99:6443/ping")
        .send()
        .await;
    assert!(down.unwrap_err().is_connect());
    server.abort();
}
