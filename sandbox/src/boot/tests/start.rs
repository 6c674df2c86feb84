//! The server token: what K3s makes of another one, and servers that know two.

use serde_json::json;

use super::pki::PKI;
use super::rig::{Node, Rig, SERVER_SECRET};
use crate::boot::Phase;
use crate::boot::start::{NEW, OLD};
use crate::kubernetes::NodeDisks as _;

const NEWER: &str = "cred/passwd newer than datastore";
const OTHER: &str = "encrypted with different token";
const UNIT: &str = "[Service]\nExecStartPre=-/bin/sh /etc/kplan/k3s-token before\n\
                    ExecStart=/usr/local/bin/k3s server\n\
                    ExecStartPost=-/bin/sh /etc/kplan/k3s-token after\n";
const MORE: &str = "/etc/rancher/k3s/config.yaml.d/70-more.yaml";

fn token(secret: &str) -> String {
    format!("token: \"K10{}::server:{secret}\"\n", PKI.root)
}

/// With the unit that runs the script.
fn told(mut node: Node) -> Node {
    node.files.insert(
        "files/etc/systemd/system/k3s.service".to_owned(),
        (0o644, UNIT.to_owned()),
    );
    node.files.insert(
        "files/etc/kplan/k3s-token".to_owned(),
        (0o755, "#!/bin/sh\n".to_owned()),
    );
    node
}

fn init() -> Node {
    Node::server(1, &PKI, json!({"cluster-init": true}))
}

fn joining(id: u8) -> Node {
    Node::server(id, &PKI, json!({"server": "https://10.0.0.1:6443"}))
}

impl Rig {
    async fn reboot(&self, node: &Node) -> String {
        self.nodes.droplet_stopped(node.id).unwrap();
        self.power_on(node).await;
        self.settled(node.id).await.message
    }

    fn write(&self, node: &Node, path: &str, content: &str) {
        let disks = self.disks("etcd-1001");
        disks.write(&node.name, path, 0o600, content).unwrap();
    }

    fn tell(&self, node: &Node) {
        self.write(node, &format!("/{OLD}"), &token(SERVER_SECRET));
        self.write(node, &format!("/{NEW}"), &token("new"));
    }

    fn has(&self, node: &Node, path: &str) -> bool {
        self.disks("etcd-1001").read(&node.name, path).is_ok()
    }

    fn exchange(&self, node: &Node) -> Result<(), String> {
        self.disks("etcd-1001").exchange_token(&node.name)
    }
}

/// What K3s does: the file of passwords is newer than its copy in the datastore from the first start
/// with another token on.
#[tokio::test(start_paused = true)]
async fn after_another_agent_token_only_a_server_without_its_old_file_starts_twice() {
    let rig = Rig::new(60.0).await;
    let (plain, wary) = (init(), told(joining(2)));
    rig.boot(&plain).await;
    rig.boot(&wary).await;
    for node in [&wary, &plain] {
        rig.write(node, MORE, "agent-token: other\n");
        assert!(rig.reboot(node).await.contains("is up"));
    }
    for _ in 0..2 {
        let second = rig.reboot(&wary).await;
        assert!(second.contains("is up"), "{second}");
    }
    let second = rig.reboot(&plain).await;
    assert!(second.contains(NEWER), "{second}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_knows_one_token_is_lost_by_the_exchange_and_one_that_knows_two_is_not() {
    let rig = Rig::new(60.0).await;
    let (first, second, third) = (told(init()), told(joining(2)), told(joining(3)));
    for node in [&first, &second, &third] {
        rig.boot(node).await;
    }
    rig.tell(&first);
    rig.tell(&second);
    assert_eq!(rig.exchange(&first), Ok(()));
    // Asked again, at it or at another, it changes nothing.
    assert_eq!(rig.exchange(&first), Ok(()));
    assert_eq!(rig.exchange(&second), Ok(()));
    // Nobody takes the new one before it is started again.
    let mut late = joining(4);
    late.config["token"] = json!(format!("K10{}::server:new", PKI.root));
    let refused = rig.boot(&late).await;
    assert!(refused.message.contains("401"), "{refused:?}");
    assert!(rig.reboot(&first).await.contains("is up"));
    assert!(!rig.has(&first, &format!("/{OLD}")) && !rig.has(&first, &format!("/{NEW}")));
    assert!(rig.reboot(&first).await.contains("is up"));
    assert!(rig.reboot(&second).await.contains("is up"));
    assert!(!rig.has(&second, &format!("/{OLD}")));
    let lost = rig.reboot(&third).await;
    assert!(lost.contains(OTHER) || lost.contains("401"), "{lost}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_was_told_both_starts_with_either() {
    let rig = Rig::new(60.0).await;
    let (first, second) = (told(init()), told(joining(2)));
    rig.boot(&first).await;
    rig.boot(&second).await;
    rig.tell(&first);
    rig.tell(&second);
    // Before the exchange: with the old one, and it still knows both.
    assert!(rig.reboot(&second).await.contains("is up"));
    assert!(rig.has(&second, &format!("/{NEW}")));
    assert_eq!(rig.exchange(&first), Ok(()));
    // Behind its back: the old one is tried, then the new one.
    assert!(rig.reboot(&second).await.contains("is up"));
    assert!(!rig.has(&second, &format!("/{OLD}")));
    // One that joins meanwhile finds servers that take one of the two.
    let mut late = told(joining(3));
    for (path, secret) in [(OLD, SERVER_SECRET), (NEW, "new")] {
        let path = format!("files/{path}");
        late.files.insert(path, (0o600, token(secret)));
    }
    late.config["token"] = json!(format!("K10{}::server:new", PKI.root));
    let joined = rig.boot(&late).await;
    assert_eq!(joined.phase, Phase::Started, "{joined:?}");
}

/// K3s ends after it wrote the token into its file and before it encrypts the data: the old one is what
/// it starts with, and then the exchange can be asked for again.
#[tokio::test(start_paused = true)]
async fn an_exchange_that_was_cut_off_is_done_again() {
    let rig = Rig::new(60.0).await;
    let first = told(init());
    rig.boot(&first).await;
    rig.tell(&first);
    let mut disk = rig.nodes.disk(first.id).unwrap();
    let file = disk.passwords.as_mut().unwrap();
    file.taken.server = crate::boot::clusters::secret_hash("new");
    rig.nodes.save_disk(first.id, &disk).unwrap();
    // Without a restart in between, too.
    assert_eq!(rig.exchange(&first), Ok(()));
    let record = rig.nodes.cluster_record("etcd-1001").unwrap();
    assert_eq!(
        record.server_secret,
        crate::boot::clusters::secret_hash("new")
    );
    assert!(rig.reboot(&first).await.contains("is up"));
    assert!(!rig.has(&first, &format!("/{OLD}")));
}
