//! A sandbox without DigitalOcean's API: Spaces, mirror, nodes, and a test that plays kplan.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::pki::{PKI, Pki};
use crate::boot::disks::ClusterDisks;
use crate::boot::{DropletFacts, Network, NodeStatus, Nodes, Phase};
use crate::facts::CloudFacts;
use crate::kubernetes::Cluster;
use crate::mirror::{Mirror, version_set};
use crate::spaces::testkit::{TestCloud, client, presign_get, presign_put};
use crate::spaces::{Spaces, SpacesConfig};
use crate::{Clock, Rng, Store};

const BUCKET: &str = "kplan-demo-boot";
pub(crate) const VERSION: &str = "v1.35.6+k3s1";

/// The world of a test.
pub(crate) struct Rig {
    pub cloud: Arc<TestCloud>,
    pub store: Store,
    pub nodes: Nodes,
    pub admin: Client,
    pub key: Ed25519KeyPair,
    pub valid: Duration,
    network: Network,
    clock: Clock,
}

impl Rig {
    /// A world on tokio's clock, whose lags are divided by `scale`.
    pub(crate) async fn new(scale: f64) -> Rig {
        let (cloud, store, clock) = (
            TestCloud::with_admin(),
            Store::in_memory(),
            Clock::new(scale),
        );
        let facts = || Arc::clone(&cloud) as Arc<dyn CloudFacts>;
        let spaces = Spaces::open(
            SpacesConfig::default(),
            facts(),
            store.clone(),
            clock.clone(),
        )
        .unwrap();
        let admin = client(&spaces, "ADMIN", "fra1");
        admin.create_bucket().bucket(BUCKET).send().await.unwrap();
        let network = Network {
            spaces,
            spaces_authority: "127.0.0.1:9000".to_owned(),
            mirror: Mirror::new(),
            mirror_authority: "127.0.0.1:9001".to_owned(),
        };
        let nodes = Nodes::open(
            network.clone(),
            facts(),
            store.clone(),
            clock.clone(),
            Rng::seeded(1),
        )
        .unwrap();
        let key = Ed25519KeyPair::generate().unwrap();
        Rig {
            cloud,
            store,
            nodes,
            admin,
            key,
            valid: Duration::from_hours(1),
            network,
            clock,
        }
    }

    /// The sandbox process ends and starts again: only the store survives.
    pub(crate) fn restart(&mut self) {
        for status in self.nodes.statuses() {
            self.nodes.lock().stop(status.droplet_id);
        }
        let facts = Arc::clone(&self.cloud) as Arc<dyn CloudFacts>;
        let (network, store, clock) =
            (self.network.clone(), self.store.clone(), self.clock.clone());
        self.nodes = Nodes::open(network, facts, store, clock, Rng::seeded(1)).unwrap();
        self.nodes.resume().unwrap();
    }

    /// The only cluster that runs.
    pub(crate) fn cluster(&self) -> Cluster {
        let state = self.nodes.lock();
        state.clusters.values().next().unwrap().clone()
    }

    fn public_key(&self) -> String {
        // SubjectPublicKeyInfo of Ed25519: a fixed prefix and the 32 bytes of the key.
        let mut der = vec![
            0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
        ];
        der.extend_from_slice(self.key.public_key().as_ref());
        format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            STANDARD.encode(der)
        )
    }

    /// The `user_data` of a node.
    pub(crate) async fn user_data(&self, node: &Node) -> String {
        let start = SystemTime::now();
        let bundle = presign_get(&self.admin, BUCKET, &node.bundle_key(), start, self.valid).await;
        let report = presign_put(
            &self.admin,
            BUCKET,
            &node.report_key(),
            start,
            Duration::from_hours(1),
        )
        .await;
        let env = format!(
            "FORMAT=1\nCLUSTER=demo-1a2b3c4d\nNODE={}\nROLE={}\nBUNDLE_URL={bundle}\nREPORT_URL={report}\n",
            node.name, node.role
        );
        let file = |path: &str, mode: &str, content: &str| json!({"path": path, "permissions": mode, "content": content});
        let document = json!({
            "ssh_pwauth": false,
            "write_files": [
                file("/etc/kplan/node.env", "0644", &env),
                file("/etc/kplan/bundle.pub", "0644", &self.public_key()),
                file("/usr/local/sbin/kplan-boot", "0755", "#!/bin/sh\n"),
                file("/etc/systemd/system/kplan-boot.service", "0644", "[Unit]\n"),
            ],
            "runcmd": [["systemctl", "start", "--no-block", "kplan-boot.service"]],
        });
        format!(
            "#cloud-config\n{}",
            serde_norway::to_string(&document).unwrap()
        )
    }

    /// Signs a payload and uploads it as the node's bundle.
    pub(crate) async fn upload(&self, node: &Node, payload: &[u8]) {
        let mut bytes = STANDARD.encode(self.key.sign(payload)).into_bytes();
        bytes.push(b'\n');
        bytes.extend_from_slice(payload);
        self.upload_raw(node, bytes).await;
    }

    /// Uploads any bytes as the node's bundle.
    pub(crate) async fn upload_raw(&self, node: &Node, bytes: Vec<u8>) {
        let put = self
            .admin
            .put_object()
            .bucket(BUCKET)
            .key(node.bundle_key());
        put.body(ByteStream::from(bytes)).send().await.unwrap();
    }

    /// Deletes the node's bundle.
    pub(crate) async fn remove_bundle(&self, node: &Node) {
        self.admin
            .delete_object()
            .bucket(BUCKET)
            .key(node.bundle_key())
            .send()
            .await
            .unwrap();
    }

    /// Creates the node's droplet.
    pub(crate) async fn power_on(&self, node: &Node) {
        let mut facts = node.facts();
        facts.user_data = Some(self.user_data(node).await);
        self.cloud
            .droplets
            .lock()
            .unwrap()
            .insert(facts.public_ip, facts.id);
        self.nodes.droplet_active(facts).unwrap();
    }

    /// Boots a node with a proper bundle and waits for what becomes of it.
    pub(crate) async fn boot(&self, node: &Node) -> NodeStatus {
        self.upload(node, &node.payload()).await;
        self.power_on(node).await;
        self.settled(node.id).await
    }

    /// Waits until a droplet has started, failed or gone idle.
    pub(crate) async fn settled(&self, id: u64) -> NodeStatus {
        self.wait(id, &[Phase::Started, Phase::Failed, Phase::Idle])
            .await
    }

    /// Waits for one of these phases.
    pub(crate) async fn wait(&self, id: u64, phases: &[Phase]) -> NodeStatus {
        for _ in 0..20_000 {
            let status = self
                .nodes
                .statuses()
                .into_iter()
                .find(|status| status.droplet_id == id);
            if let Some(status) = status.filter(|status| phases.contains(&status.phase)) {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!(
            "droplet {id} never came to {phases:?}: {:?}",
            self.nodes.statuses()
        );
    }

    /// The node's last report.
    pub(crate) async fn report(&self, node: &Node) -> Value {
        let object = self
            .admin
            .get_object()
            .bucket(BUCKET)
            .key(node.report_key())
            .send()
            .await
            .unwrap();
        serde_json::from_slice(&object.body.collect().await.unwrap().to_vec()).unwrap()
    }
}

/// A node a test describes.
#[derive(Clone)]
pub(crate) struct Node {
    pub id: u64,
    pub name: String,
    pub role: &'static str,
    pub vpc: &'static str,
    pub tags: Vec<String>,
    pub header: BTreeMap<&'static str, String>,
    pub config: Value,
    /// Member path to (mode, content).
    pub files: BTreeMap<String, (u32, String)>,
}

/// Secrets of the bundles.
pub(crate) const SERVER_SECRET: &str = "server-secret-canary";
pub(crate) const AGENT_SECRET: &str = "agent-secret-canary";

/// A full server token for authorities.
pub(crate) fn server_token(pki: &Pki) -> String {
    format!("K10{}::server:{SERVER_SECRET}", pki.root)
}

impl Rig {
    /// What pods of a cluster reach of its nodes.
    pub(in crate::boot) fn disks(&self, cluster: &str) -> ClusterDisks {
        ClusterDisks {
            nodes: self.nodes.held(),
            cluster: cluster.to_owned(),
        }
    }
}

impl Node {
    fn new(id: u8, role: &'static str, config: Value) -> Node {
        let name = format!("demo-{role}-{id}");
        let header = BTreeMap::from([
            ("format", "1".to_owned()),
            ("cluster", "demo-1a2b3c4d".to_owned()),
            ("node", name.clone()),
            ("droplet_id", (1000 + u64::from(id)).to_string()),
            ("role", role.to_owned()),
        ]);
        let binary = version_set()
            .into_iter()
            .find(|artifact| artifact.file == "k3s")
            .unwrap();
        let env = format!(
            "K3S_VERSION={VERSION}\nK3S_BINARY_URL=http://127.0.0.1:9001{}\nK3S_BINARY_SHA256={}\n",
            binary.url_path, binary.sha256
        );
        let files = BTreeMap::from([
            ("files/etc/kplan/k3s.env".to_owned(), (0o644, env)),
            (
                "files/etc/systemd/system/k3s.service".to_owned(),
                (0o644, "[Service]\n".to_owned()),
            ),
        ]);
        let id = 1000 + u64::from(id);
        Node {
            id,
            name,
            role,
            vpc: "vpc-a",
            tags: Vec::new(),
            header,
            config,
            files,
        }
    }

    /// A server with the CA files of `pki` and more configuration.
    pub(crate) fn server(id: u8, pki: &Pki, more: Value) -> Node {
        let mut config = json!({
            "token": server_token(pki),
            "agent-token": AGENT_SECRET,
            "node-name": format!("demo-server-{id}"),
            "node-ip": format!("10.0.0.{id}"),
            "node-external-ip": format!("203.0.113.{id}"),
            "tls-san": ["203.0.113.200"],
            "flannel-iface": "eth1",
            "disable": ["servicelb", "local-storage"],
            "disable-cloud-controller": true,
            "kubelet-arg": ["cloud-provider=external", format!("provider-id=digitalocean://{}", 1000 + u64::from(id))],
            "secrets-encryption": true,
            "write-kubeconfig-mode": "0600",
        });
        config
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let mut node = Node::new(id, "server", config);
        for (path, content) in &pki.files {
            let mode = if content.contains("PRIVATE KEY") {
                0o600
            } else {
                0o644
            };
            node.files.insert(
                format!("files/var/lib/rancher/k3s/server/tls/{path}"),
                (mode, content.clone()),
            );
        }
        node
    }

    /// An agent that joins the server with this number.
    pub(crate) fn agent(id: u8, server: u8, token: String) -> Node {
        let config = json!({
            "server": format!("https://10.0.0.{server}:6443"),
            "token": token,
            "node-name": format!("demo-agent-{id}"),
            "node-ip": format!("10.0.0.{id}"),
            "flannel-iface": "eth1",
            "kubelet-arg": ["cloud-provider=external"],
        });
        Node::new(id, "agent", config)
    }

    /// The common single server: SQLite.
    pub(crate) fn single() -> Node {
        Node::server(1, &PKI, json!({}))
    }

    pub(crate) fn bundle_key(&self) -> String {
        format!("boot/{}-r4nd0m", self.name)
    }

    pub(crate) fn report_key(&self) -> String {
        format!("report/{}", self.name)
    }

    /// The droplet, without `user_data`.
    pub(crate) fn facts(&self) -> DropletFacts {
        let last = u8::try_from(self.id - 1000).unwrap();
        DropletFacts {
            id: self.id,
            name: self.name.clone(),
            user_data: None,
            public_ip: Ipv4Addr::new(203, 0, 113, last),
            private_ip: Some(Ipv4Addr::new(10, 0, 0, last)),
            vpc_uuid: Some(self.vpc.to_owned()),
            tags: self.tags.clone(),
            region: "fra1".to_owned(),
            size: "s-2vcpu-4gb".to_owned(),
            vcpus: 2,
            memory_mib: 4096,
            image: "ubuntu-24-04-x64".to_owned(),
        }
    }

    /// The lines of the archive's first member.
    pub(crate) fn header_text(&self) -> String {
        let lines: Vec<String> = self
            .header
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        lines.join("\n") + "\n"
    }

    /// The archive: header first, then the files.
    pub(crate) fn payload(&self) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        append(&mut archive, "header", 0o644, &self.header_text());
        let config = serde_norway::to_string(&self.config).unwrap();
        if !self.files.contains_key("files/etc/rancher/k3s/config.yaml") {
            append(
                &mut archive,
                "files/etc/rancher/k3s/config.yaml",
                0o600,
                &config,
            );
        }
        for (path, (mode, content)) in &self.files {
            append(&mut archive, path, *mode, content);
        }
        archive.into_inner().unwrap()
    }
}

/// Adds a regular file under any name, even one an honest archiver would refuse.
pub(crate) fn append(archive: &mut tar::Builder<Vec<u8>>, path: &str, mode: u32, content: &str) {
    let mut header = tar::Header::new_ustar();
    header.as_ustar_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_mode(mode);
    header.set_size(content.len() as u64);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    archive.append(&header, content.as_bytes()).unwrap();
}
