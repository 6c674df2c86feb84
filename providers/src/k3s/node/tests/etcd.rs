//! Leaving etcd and joining it, against a scripted API.

use super::*;
use crate::k3s::LeaveEtcd;
use crate::k3s::node::etcd::joining;
use crate::kubernetes::testing::{Asked, status};
use kplan_model::Operation;
use serde_json::{Value as Json, json};
use std::sync::Mutex;

const OWN: &str = "demo-server-0";

/// A server's Node.
fn server_node(name: &str, droplet: u32, ready: bool) -> Json {
    let ready = if ready { "True" } else { "Unknown" };
    json!({
        "metadata": {"name": name, "annotations": {}},
        "spec": {"providerID": format!("digitalocean://{droplet}")},
        "status": {
            "conditions": [{"type": "Ready", "status": ready}],
            "addresses": [{"type": "InternalIP", "address": format!("10.10.10.{droplet}")}],
        },
    })
}

struct Scene {
    nodes: Arc<Mutex<Vec<Json>>>,
    patches: Arc<Mutex<Vec<Json>>>,
    fake: Fake,
}

/// A cluster of these; without any, nobody answers.
fn scene(nodes: Vec<Json>) -> Scene {
    let nodes = Arc::new(Mutex::new(nodes));
    let patches = Arc::new(Mutex::new(Vec::new()));
    let (all, patched) = (Arc::clone(&nodes), Arc::clone(&patches));
    let fake = Fake::new(move |asked: &Asked| {
        let mut nodes = all.lock().unwrap();
        if nodes.is_empty() {
            return None;
        }
        let path = asked.path.split('?').next().unwrap_or("");
        match (asked.method.as_str(), path) {
            ("GET", "/api/v1/nodes") => {
                assert!(asked.path.contains("node-role.kubernetes.io%2Fetcd%3Dtrue"));
                Some((200, json!({"items": *nodes, "metadata": {}})))
            }
            ("GET", "/api/v1/nodes/demo-server-0") => {
                match nodes.iter().find(|node| node["metadata"]["name"] == OWN) {
                    Some(node) => Some((200, node.clone())),
                    None => status(404, "NotFound", "no"),
                }
            }
            ("PATCH", "/api/v1/nodes/demo-server-0") => {
                patched.lock().unwrap().push(asked.body.clone());
                let node = nodes
                    .iter_mut()
                    .find(|node| node["metadata"]["name"] == OWN)?;
                node["metadata"]["annotations"] = asked.body["metadata"]["annotations"].clone();
                Some((200, node.clone()))
            }
            (method, path) => panic!("nobody expected {method} {path}"),
        }
    });
    Scene {
        nodes,
        patches,
        fake,
    }
}

fn three(third_is_ready: bool) -> Vec<Json> {
    vec![
        server_node(OWN, 4711, true),
        server_node("demo-server-1", 21, true),
        server_node("demo-server-2", 22, third_is_ready),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_member_leaves_once_the_others_are_ready() {
    let scene = scene(three(false));
    let args = server("etcd");
    let known = known(&args, &blank(&args).unwrap());
    let leave = LeaveEtcd(scene.fake.kubernetes());
    let permit = kplan_model::testing::permit(&known.address).unwrap();
    // A majority of what would be left is not there: nothing is done, and it is said why.
    leave.run(&known, &permit).await.unwrap();
    let waits = leave.done(&known).await.unwrap();
    let Readiness::Waiting(why) = waits else {
        panic!("{waits:?}");
    };
    assert!(why.contains("while demo-server-2 is not Ready"), "{why}");
    assert_eq!(scene.patches.lock().unwrap().len(), 0);
    *scene.nodes.lock().unwrap() = three(true);
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    leave.run(&known, &permit).await.unwrap();
    // Asked again before K3s did it, nothing is written twice.
    leave.run(&known, &permit).await.unwrap();
    let asked = json!({"metadata": {"annotations": {"etcd.k3s.cattle.io/remove": "true"}}});
    assert_eq!(*scene.patches.lock().unwrap(), [asked]);
    let waits = leave.done(&known).await.unwrap();
    assert!(matches!(waits, Readiness::Waiting(_)), "{waits:?}");
    let removed = json!({"etcd.k3s.cattle.io/removed-node-name": "demo-server-0-1a2b"});
    scene.nodes.lock().unwrap()[0]["metadata"]["annotations"] = removed;
    assert_eq!(leave.done(&known).await.unwrap(), Readiness::Ready);
}

#[tokio::test(start_paused = true)]
async fn a_node_of_another_droplet_is_left_alone() {
    let mut nodes = three(true);
    nodes[0]["spec"]["providerID"] = json!("digitalocean://9");
    let scene = scene(nodes);
    let args = server("etcd");
    let known = known(&args, &blank(&args).unwrap());
    let leave = LeaveEtcd(scene.fake.kubernetes());
    assert_eq!(leave.done(&known).await.unwrap(), Readiness::Ready);
}

fn join_of(args: &NodeArgs) -> (bool, Option<String>) {
    let join = args.join.as_ref().map(|join| join.known().unwrap().clone());
    (args.init, join)
}

#[tokio::test(start_paused = true)]
async fn a_server_joins_one_that_is_ready_and_never_begins_beside_others() {
    let others = || {
        vec![
            server_node("demo-server-1", 21, false),
            server_node("demo-server-2", 22, true),
        ]
    };
    // It is declared as the first of its life, and there are others all the same.
    let mut args = server("etcd");
    (args.init, args.join, args.begun) = (true, None, None);
    let there = scene(others());
    let joined = joining(&there.fake.kubernetes(), &args).await.unwrap();
    assert_eq!(join_of(&joined), (false, Some("10.10.10.22".to_owned())));
    // The one it is to join is not Ready.
    (args.init, args.begun) = (false, Some(true));
    args.join = Some(Input::Known("10.10.10.21".to_owned()));
    let joined = joining(&there.fake.kubernetes(), &args).await.unwrap();
    assert_eq!(join_of(&joined), (false, Some("10.10.10.22".to_owned())));
    // The one it is to join is.
    args.join = Some(Input::Known("10.10.10.22".to_owned()));
    let joined = joining(&there.fake.kubernetes(), &args).await.unwrap();
    assert_eq!(join_of(&joined), (false, Some("10.10.10.22".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn where_nobody_answers_only_a_cluster_that_is_made_goes_on() {
    let nobody = scene(vec![]);
    let mut args = server("etcd");
    (args.init, args.join, args.begun) = (true, None, None);
    let joined = joining(&nobody.fake.kubernetes(), &args).await.unwrap();
    assert_eq!(join_of(&joined), (true, None));
    (args.init, args.begun) = (false, Some(true));
    args.join = Some(Input::Known("10.10.10.22".to_owned()));
    let error = joining(&nobody.fake.kubernetes(), &args).await.unwrap_err();
    assert!(error.message.contains("has to join"), "{error}");
    // Its own earlier Node does not count, nor does one that left.
    let mut left = server_node("demo-server-1", 21, true);
    left["metadata"]["annotations"] = json!({"etcd.k3s.cattle.io/removed-node-name": "x"});
    let alone = scene(vec![server_node(OWN, 4000, true), left]);
    let error = joining(&alone.fake.kubernetes(), &args).await.unwrap_err();
    assert!(
        error.message.contains("no other server is Ready"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_begins_is_told_the_snapshot_and_one_that_joins_is_not() {
    let mut args = server("etcd");
    args.restore = Some(crate::k3s::EtcdRestore {
        bucket: "acme-backup".to_owned().into(),
        endpoint: "https://fra1.digitaloceanspaces.com".to_owned().into(),
        region: "fra1".to_owned(),
        access_key: "DO00ABC".to_owned().into(),
        secret_key: Secret::new("the-buckets-key").into(),
        key: "plugins/k3s/demo/etcd-snapshot-1790000000".to_owned(),
        size: 4711,
        sha256: "ab".repeat(32),
    });
    let (_, files) = bundle_of(&args).await;
    let (mode, text) = &files["etc/kplan/etcd-restore.env"];
    assert_eq!(*mode, 0o600);
    let url = "\nURL=acme-backup/plugins/k3s/demo/etcd-snapshot-1790000000?for=3600\n";
    assert!(text.contains(url), "{text}");
    for (path, (_, content)) in &files {
        assert!(!content.contains("the-buckets-key"), "{path}");
    }
    assert!(
        files["etc/rancher/k3s/config.yaml"]
            .1
            .contains("cluster-init: true")
    );
    // Declared so, it joins the others where there are any, and nothing is restored over them.
    let there = scene(vec![server_node("demo-server-2", 22, true)]);
    let joined = joining(&there.fake.kubernetes(), &args).await.unwrap();
    assert_eq!(join_of(&joined), (false, Some("10.10.10.22".to_owned())));
    let mut files = crate::k3s::bundle::Files::new();
    let bucket = Bucket::default();
    let added = etcd_restore::add(&mut files, &joined, &bucket);
    added.await.unwrap();
    assert!(files.is_empty());
}
