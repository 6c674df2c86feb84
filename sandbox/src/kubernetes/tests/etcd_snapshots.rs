//! Snapshots of etcd in a bucket, and servers that begin from one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Client, condition};
use crate::boot::tests::pki::{PKI, Pki};
use crate::boot::tests::rig::{Node, Rig, SERVER_SECRET};
use crate::boot::{NodeStatus, Phase};
use crate::spaces::to_hex;

const PODS: &str = "/api/v1/namespaces/kube-system/pods";
const SECRETS: &str = "/api/v1/namespaces/kube-system/secrets";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const NODES: &str = "/api/v1/nodes";
const BUCKET: &str = "kplan-demo-boot";
const FOLDER: &str = "plugins/k3s/demo";
const LOOKED: &str = "etcd.k3s.cattle.io/s3-snapshots-timestamp";
const RESTORE: &str = "files/etc/kplan/etcd-restore.env";

/// A server whose K3s copies snapshots as the Secret `copies` says.
fn server(id: u8, more: Value) -> Node {
    let mut config = json!({"etcd-s3": true, "etcd-s3-config-secret": "copies"});
    config
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    Node::server(id, &PKI, config)
}

fn first() -> Node {
    server(1, json!({"cluster-init": true}))
}

fn joining(id: u8, other: u8) -> Node {
    server(
        id,
        json!({"server": format!("https://10.0.0.{other}:6443")}),
    )
}

fn secret() -> Value {
    let data = [
        ("etcd-s3-endpoint", "127.0.0.1:9000"),
        ("etcd-s3-insecure", "true"),
        ("etcd-s3-bucket", BUCKET),
        ("etcd-s3-folder", FOLDER),
        ("etcd-s3-region", "fra1"),
        ("etcd-s3-access-key", "ADMIN"),
        ("etcd-s3-secret-key", "secret-of-ADMIN"),
    ];
    let data: serde_json::Map<String, Value> = data
        .into_iter()
        .map(|(key, value)| (key.to_owned(), STANDARD.encode(value).into()))
        .collect();
    json!({"metadata": {"name": "copies"}, "data": data})
}

/// Has a server take one.
async fn take(rig: &Rig, name: &str, base: &str) -> Value {
    let client = Client::admin(&rig.cluster());
    let pod = json!({
        "metadata": {"name": name},
        "spec": {
            "nodeName": "demo-server-1", "hostPID": true, "restartPolicy": "Never",
            "containers": [{
                "name": "save", "image": "example.org/empty:1",
                "command": [
                    "/usr/bin/nsenter", "--target=1", "--mount", "--",
                    "k3s", "etcd-snapshot", "save", format!("--name={base}"),
                ],
                "securityContext": {"privileged": true},
                "volumeMounts": [{"name": "usr", "mountPath": "/usr", "readOnly": true}],
            }],
            "volumes": [{"name": "usr", "hostPath": {"path": "/usr"}}],
        },
    });
    client.create(PODS, &pod).await;
    let ended = |pod: &Value| {
        let phase = pod["status"]["phase"].as_str().unwrap_or_default();
        matches!(phase, "Succeeded" | "Failed")
    };
    client.until(&format!("{PODS}/{name}"), ended).await
}

async fn copies(rig: &Rig) -> Vec<String> {
    let listed = rig.admin.list_objects_v2().bucket(BUCKET);
    let listed = listed.prefix(FOLDER).send().await.unwrap();
    let keys = listed.contents().iter();
    keys.map(|object| object.key().unwrap().to_owned())
        .collect()
}

async fn bytes(rig: &Rig, key: &str) -> Vec<u8> {
    let object = rig.admin.get_object().bucket(BUCKET).key(key).send().await;
    object.unwrap().body.collect().await.unwrap().to_vec()
}

/// A cluster of three with an agent, an object, and a snapshot of it; then all of it is lost, but
/// for the agent's droplet. Gives the copy's key.
async fn lost(rig: &Rig) -> String {
    rig.boot(&first()).await;
    let client = Client::admin(&rig.cluster());
    client.create(SECRETS, &secret()).await;
    for id in [2, 3] {
        assert_eq!(rig.boot(&joining(id, 1)).await.phase, Phase::Started);
    }
    let token = format!("K10{}::server:{SERVER_SECRET}", PKI.root);
    rig.boot(&Node::agent(10, 1, token)).await;
    let kept = json!({"metadata": {"name": "kept"}, "data": {"a": "b"}});
    client.create(MAPS, &kept).await;
    client
        .until(&format!("{NODES}/demo-agent-10"), |node| {
            condition(node, "Ready")
        })
        .await;
    let pod = take(rig, "save", "by-hand").await;
    assert_eq!(pod["status"]["phase"], "Succeeded", "{pod:#}");
    let later = json!({"metadata": {"name": "later"}});
    client.create(MAPS, &later).await;
    drop(client);
    for id in [1001, 1002, 1003] {
        rig.nodes.droplet_gone(id).unwrap();
    }
    let copies = copies(rig).await;
    let [copy] = &copies[..] else {
        panic!("{copies:?}");
    };
    assert!(
        copy.starts_with(&format!("{FOLDER}/by-hand-demo-server-1-")),
        "{copy}"
    );
    copy.clone()
}

/// A server of an earlier one's name that begins from that copy, by the object's own address.
async fn restoring(rig: &Rig, name: &str, copy: &str) -> Node {
    let bytes = bytes(rig, copy).await;
    let mut node = server(4, json!({"cluster-init": true, "node-name": name}));
    name.clone_into(&mut node.name);
    node.header.insert("node", name.to_owned());
    let start = std::time::SystemTime::now();
    let url = crate::spaces::testkit::presign_get(&rig.admin, BUCKET, copy, start, rig.valid).await;
    let text = format!(
        "NAME=by-hand\nURL={url}\nSIZE={}\nSHA256={}\n",
        bytes.len(),
        to_hex(&Sha256::digest(&bytes))
    );
    node.files.insert(RESTORE.to_owned(), (0o600, text));
    node
}

#[tokio::test(start_paused = true)]
async fn a_lost_cluster_comes_back_as_it_was_when_the_snapshot_was_taken() {
    let rig = Rig::new(60.0).await;
    let copy = lost(&rig).await;
    let node = restoring(&rig, "demo-server-1", &copy).await;
    let status = rig.boot(&node).await;
    assert_eq!(status.phase, Phase::Started, "{status:?}");
    let client = Client::admin(&rig.cluster());
    let kept = client.get(&format!("{MAPS}/kept")).await;
    assert_eq!(kept["data"], json!({"a": "b"}));
    assert!(client.missing(&format!("{MAPS}/later")).await);
    // The nodes of before are forgotten, and it is its own again.
    let own = client
        .until(&format!("{NODES}/demo-server-1"), |node| {
            condition(node, "Ready")
        })
        .await;
    assert_eq!(own["spec"]["providerID"], "digitalocean://1004");
    let nodes = client.get(NODES).await;
    assert_eq!(nodes["items"].as_array().unwrap().len(), 1, "{nodes:#}");
    assert_eq!(rig.cluster().etcd_members(), ["demo-server-1"]);
    drop(client);
    // Another takes the name of one that was.
    let mut second = joining(5, 4);
    second.config["node-name"] = json!("demo-server-2");
    let status = rig.boot(&second).await;
    assert_eq!(status.phase, Phase::Started, "{status:?}");
    // Booted again, it begins from nothing.
    rig.nodes.droplet_stopped(node.id).unwrap();
    rig.power_on(&node).await;
    assert_eq!(rig.settled(node.id).await.phase, Phase::Started);
    assert_eq!(rig.cluster().etcd_members().len(), 2);
    let disks = rig.store.load::<Value>("boot/disk").unwrap();
    let disk = disks[&node.id.to_string()].to_string();
    assert!(disk.contains("k3s.env") && !disk.contains("etcd-restore"));
}

async fn refused(rig: &Rig, node: &Node) -> NodeStatus {
    let status = rig.boot(node).await;
    assert_eq!(status.phase, Phase::Failed, "{status:?}");
    rig.nodes.droplet_gone(node.id).unwrap();
    status
}

#[tokio::test(start_paused = true)]
async fn what_is_damaged_or_somebody_elses_is_not_begun_from() {
    let rig = Rig::new(60.0).await;
    let copy = lost(&rig).await;
    let good = restoring(&rig, "demo-server-1", &copy).await;
    let changed = |from: &str, to: &str| {
        let mut node = good.clone();
        let (_, text) = node.files.get_mut(RESTORE).unwrap();
        *text = text.replace(from, to);
        node
    };
    let other = refused(&rig, &changed("SHA256=", "SHA256=00")).await;
    assert!(other.message.contains("the sha256"), "{other:?}");
    let over = refused(&rig, &changed("X-Amz-Signature=", "X-Amz-Signature=0")).await;
    assert!(over.message.contains("403"), "{over:?}");
    assert!(!over.message.contains("X-Amz"), "{over:?}");
    let mut node = good.clone();
    node.config["token"] = json!(format!("K10{}::server:another", PKI.root));
    let token = refused(&rig, &node).await;
    assert!(
        token.message.contains("encrypted with different token"),
        "{token:?}"
    );
    let strangers = Pki::new();
    let mut node = Node::server(4, &strangers, json!({"cluster-init": true}));
    node.header.clone_from(&good.header);
    node.name.clone_from(&good.name);
    node.files
        .insert(RESTORE.to_owned(), good.files[RESTORE].clone());
    let keys = refused(&rig, &node).await;
    assert!(keys.message.contains("CA files differ"), "{keys:?}");
    let mut node = good.clone();
    node.config["cluster-init"] = json!(false);
    let sqlite = refused(&rig, &node).await;
    assert!(
        sqlite.message.contains("only a server that begins etcd"),
        "{sqlite:?}"
    );
    // What K3s itself finds out: the object's digest is told of what is there now.
    let mut damaged = bytes(&rig, &copy).await;
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    let put = rig.admin.put_object().bucket(BUCKET).key(&copy);
    put.body(damaged.into()).send().await.unwrap();
    let node = restoring(&rig, "demo-server-1", &copy).await;
    let broken = refused(&rig, &node).await;
    assert!(
        broken.message.contains("the snapshot is damaged"),
        "{broken:?}"
    );
    assert_eq!(rig.boot(&good).await.phase, Phase::Failed);
}

#[tokio::test(start_paused = true)]
async fn snapshots_are_taken_when_due_and_of_one_name_the_last_five_stay() {
    let rig = Rig::new(60.0).await;
    rig.boot(&first()).await;
    let client = Client::admin(&rig.cluster());
    let place = format!("{NODES}/demo-server-1");
    client.until(&place, |node| condition(node, "Ready")).await;
    // Nothing says where to: K3s goes on.
    let failed = take(&rig, "early", "by-hand").await;
    assert!(
        failed["status"].to_string().contains("not found"),
        "{failed:#}"
    );
    client.create(SECRETS, &secret()).await;
    for number in 0..7 {
        let pod = take(&rig, &format!("save-{number}"), "by-hand").await;
        assert_eq!(pod["status"]["phase"], "Succeeded", "{pod:#}");
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    let by_hand = copies(&rig).await;
    assert_eq!(by_hand.len(), 5, "{by_hand:?}");
    // Noon or midnight went by since it looked last.
    let looked = "2026-01-01T11:59:00Z";
    let patch = json!({"metadata": {"annotations": {LOOKED: looked}}});
    let media = "application/merge-patch+json";
    let (code, body) = client.call("PATCH", &place, media, &patch).await;
    assert_eq!(code, 200, "{body}");
    client
        .until(&place, |node| {
            node["metadata"]["annotations"][LOOKED] != looked
        })
        .await;
    let copies = copies(&rig).await;
    let name = format!("{FOLDER}/etcd-snapshot-demo-server-1-");
    let scheduled = copies.iter().filter(|copy| copy.starts_with(&name));
    assert_eq!(scheduled.count(), 1, "{copies:?}");
    assert!(by_hand.iter().all(|copy| copies.contains(copy)));
}

#[tokio::test(start_paused = true)]
async fn a_name_belongs_to_its_droplet_until_its_node_is_deleted() {
    let rig = Rig::new(60.0).await;
    rig.boot(&first()).await;
    rig.boot(&joining(2, 1)).await;
    let client = Client::admin(&rig.cluster());
    let place = format!("{NODES}/demo-server-2");
    client.until(&place, |node| condition(node, "Ready")).await;
    rig.nodes.droplet_stopped(1002).unwrap();
    let mut other = Node::agent(11, 1, format!("K10{}::server:{SERVER_SECRET}", PKI.root));
    other.config["node-name"] = json!("demo-server-2");
    let refused = rig.boot(&other).await;
    assert!(
        refused.message.contains("node password rejected"),
        "{refused:?}"
    );
    let (code, body) = client.call("DELETE", &place, "", &Value::Null).await;
    assert_eq!(code, 200, "{body}");
    drop(client);
    let taken = rig.wait(1011, &[Phase::Started]).await;
    assert!(taken.message.contains("demo-server-2"), "{taken:?}");
}
