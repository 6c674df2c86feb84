//! Pods that run programs of their host: they change K3s's configuration, and K3s starts again.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Client, condition};
use crate::boot::Phase;
use crate::boot::tests::pki::PKI;
use crate::boot::tests::rig::{Node, Rig};

const JOBS: &str = "/apis/batch/v1/namespaces/kube-system/jobs";
const NODE: &str = "/api/v1/nodes/demo-server-1";
const ETCD: &str = "node-role.kubernetes.io/etcd";
const FILE: &str = "/etc/rancher/k3s/config.yaml.d/60-more.yaml";

fn container(name: &str, command: &Value) -> Value {
    json!({
        "name": name, "image": "example.org/empty:1", "command": command,
        "securityContext": {"privileged": true},
        "volumeMounts": [
            {"name": "usr", "mountPath": "/usr", "readOnly": true},
            {"name": "more", "mountPath": "/more"},
            {"name": "k3s", "mountPath": "/etc/rancher/k3s/config.yaml.d"},
        ],
    })
}

/// A job that writes this and restarts K3s, with a change of it.
fn job(content: &str, change: impl FnOnce(&mut Value)) -> Value {
    let new = format!("{FILE}.new");
    let write = json!([
        "/usr/bin/install",
        "--mode=0600",
        "--",
        "/more/content",
        new
    ]);
    let place = json!([
        "/usr/bin/mv",
        "--force",
        "--no-target-directory",
        "--",
        new,
        FILE
    ]);
    let restart = json!([
        "/usr/bin/nsenter",
        "--target=1",
        "--mount",
        "--",
        "systemd-run",
        "--collect",
        "--on-active=2s",
        "systemctl",
        "restart",
        "k3s",
    ]);
    let folder = "/etc/rancher/k3s/config.yaml.d";
    let field = json!({"fieldPath": "metadata.annotations['example.org/more']"});
    let mut pod = json!({
        "nodeName": "demo-server-1", "hostPID": true, "restartPolicy": "Never",
        "initContainers": [container("write", &write), container("place", &place)],
        "containers": [container("restart", &restart)],
        "volumes": [
            {"name": "usr", "hostPath": {"path": "/usr"}},
            {"name": "more", "downwardAPI": {"items": [{"path": "content", "fieldRef": field}]}},
            {"name": "k3s", "hostPath": {"path": folder, "type": "DirectoryOrCreate"}},
        ],
    });
    change(&mut pod);
    let template = json!({"metadata": {"annotations": {"example.org/more": content}}, "spec": pod});
    json!({"metadata": {"name": "more"}, "spec": {"backoffLimit": 0, "template": template}})
}

async fn until_served(rig: &Rig, served: bool) {
    for _ in 0..10_000 {
        if rig.nodes.endpoint_of(1001).is_some() == served {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("the API is never served: {served}");
}

#[tokio::test(start_paused = true)]
async fn sqlite_becomes_etcd_and_keeps_everything() {
    let rig = Rig::new(60.0).await;
    let node = Node::single();
    rig.boot(&node).await;
    let client = Client::admin(&rig.cluster());
    let before = client.until(NODE, |node| condition(node, "Ready")).await;
    assert!(before["metadata"]["labels"].get(ETCD).is_none(), "{before}");
    let kept = json!({"metadata": {"name": "kept"}, "data": {"a": "b"}});
    client
        .create("/api/v1/namespaces/default/configmaps", &kept)
        .await;
    client
        .create(JOBS, &job("cluster-init: true\n", |_| ()))
        .await;
    // Whoever holds the cluster would go on with it beside the one that is opened again.
    drop(client);
    until_served(&rig, false).await;
    until_served(&rig, true).await;
    let client = Client::admin(&rig.cluster());
    let after = client
        .until(NODE, |node| node["metadata"]["labels"].get(ETCD).is_some())
        .await;
    let name = "etcd.k3s.cattle.io/node-name";
    assert_eq!(after["metadata"]["annotations"][name], "demo-server-1");
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    let kept = client
        .get("/api/v1/namespaces/default/configmaps/kept")
        .await;
    assert_eq!(kept["data"], json!({"a": "b"}));
    client
        .until(&format!("{JOBS}/more"), |job| condition(job, "Complete"))
        .await;
    assert_eq!(rig.cluster().etcd_members(), ["demo-server-1"]);
    drop(client);
    // A second server is taken in now, and the machine boots with what was written.
    let second = Node::server(2, &PKI, json!({"server": "https://10.0.0.1:6443"}));
    let status = rig.boot(&second).await;
    assert_eq!(status.phase, Phase::Started, "{status:?}");
    rig.nodes.droplet_stopped(node.id).unwrap();
    rig.power_on(&node).await;
    assert_eq!(rig.settled(node.id).await.phase, Phase::Started);
    assert_eq!(rig.cluster().etcd_members().len(), 2);
}

/// The key of the certificate that the API shows.
async fn shown(rig: &Rig) -> Vec<u8> {
    let address = rig.nodes.endpoint_of(1001).unwrap();
    super::served::key_at(address).await
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_written_and_certificates_change_only_when_they_are_moved_aside() {
    let rig = Rig::new(60.0).await;
    rig.boot(&Node::single()).await;
    let client = Client::admin(&rig.cluster());
    client.until(NODE, |node| condition(node, "Ready")).await;
    let first = shown(&rig).await;
    let content = "node-label+: [example.org/more=1]\n";
    let secret = json!({
        "metadata": {"name": "more"},
        "stringData": {"content": content},
    });
    let from_secret = |pod: &mut Value| {
        pod["volumes"][1] = json!({"name": "more", "secret": {"secretName": "more"}});
    };
    // The pod waits for its Secret.
    client.create(JOBS, &job("", from_secret)).await;
    client
        .create("/api/v1/namespaces/kube-system/secrets", &secret)
        .await;
    drop(client);
    until_served(&rig, false).await;
    until_served(&rig, true).await;
    let client = Client::admin(&rig.cluster());
    let node = client
        .until(NODE, |node| {
            let args = node["metadata"]["annotations"]["k3s.io/node-args"].as_str();
            args.unwrap_or_default().contains("example.org/more=1")
        })
        .await;
    assert_eq!(node["metadata"]["labels"]["example.org/more"], "1");
    assert_eq!(shown(&rig).await, first);
    // What K3s is started with comes back at every start.
    let other = json!({"metadata": {"labels": {"example.org/more": "2", "example.org/own": "3"}}});
    let merge = "application/merge-patch+json";
    let (code, _) = client.call("PATCH", NODE, merge, &other).await;
    assert_eq!(code, 200);
    let (code, _) = client
        .call("DELETE", &format!("{JOBS}/more"), "", &Value::Null)
        .await;
    assert_eq!(code, 200);
    while !client.missing(&format!("{JOBS}/more")).await {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let rotate = |pod: &mut Value| {
        from_secret(pod);
        let command = ["/usr/bin/nsenter", "--target=1", "--mount", "--", "k3s"];
        let command = [&command[..], &["certificate", "rotate"]].concat();
        let first = container("rotate", &json!(command));
        pod["initContainers"].as_array_mut().unwrap().push(first);
    };
    client.create(JOBS, &job("", rotate)).await;
    drop(client);
    until_served(&rig, false).await;
    until_served(&rig, true).await;
    assert_ne!(shown(&rig).await, first);
    let client = Client::admin(&rig.cluster());
    let node = client
        .until(NODE, |node| {
            node["metadata"]["labels"]["example.org/more"] == "1"
        })
        .await;
    assert_eq!(node["metadata"]["labels"]["example.org/own"], "3");
}

/// What is done to a pod.
type Change = fn(&mut Value);

/// What the container that fails says.
async fn failure(rig: &Rig, change: Change) -> String {
    let client = Client::admin(&rig.cluster());
    let place = format!("{JOBS}/more");
    client
        .create(JOBS, &job("cluster-init: true\n", change))
        .await;
    client.until(&place, |job| condition(job, "Failed")).await;
    let pods = client.get("/api/v1/namespaces/kube-system/pods").await;
    let (code, body) = client.call("DELETE", &place, "", &Value::Null).await;
    assert_eq!(code, 200, "{body}");
    let pods = pods["items"].as_array().unwrap();
    let mut failed = pods.iter().filter(|pod| pod["status"]["phase"] == "Failed");
    let status = failed.next().unwrap()["status"].to_string();
    for pod in pods {
        let path = pod["metadata"]["name"].as_str().unwrap();
        let path = format!("/api/v1/namespaces/kube-system/pods/{path}");
        client.call("DELETE", &path, "", &Value::Null).await;
    }
    for _ in 0..10_000 {
        if client.missing(&place).await {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("the job stays");
}

#[tokio::test(start_paused = true)]
async fn what_a_pod_may_not_do_fails_with_a_word() {
    let rig = Rig::new(60.0).await;
    rig.boot(&Node::single()).await;
    let client = Client::admin(&rig.cluster());
    client.until(NODE, |node| condition(node, "Ready")).await;
    drop(client);
    let cases: [(Change, &str); 5] = [
        (|pod| pod["hostPID"] = json!(false), "Permission denied"),
        (
            |pod| pod["containers"][0]["securityContext"] = json!({}),
            "Permission denied",
        ),
        (
            |pod| pod["initContainers"][0]["volumeMounts"][2]["readOnly"] = json!(true),
            "Read-only file system",
        ),
        (
            |pod| pod["initContainers"][0]["command"][4] = json!("/usr/bin/k3s"),
            "Read-only file system",
        ),
        (
            |pod| pod["containers"][0]["command"] = json!(["/usr/bin/reboot"]),
            "does not simulate",
        ),
    ];
    for (change, why) in cases {
        let said = failure(&rig, change).await;
        assert!(said.contains(why), "{why}: {said}");
    }
    assert!(rig.cluster().etcd_members().is_empty());
    assert!(rig.nodes.endpoint_of(1001).is_some());
}
