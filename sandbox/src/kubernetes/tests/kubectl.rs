//! `kubectl` as a judge, where it is installed.

use std::path::Path;
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::served::client_certificate;
use super::{authority, config, plain_node};
use crate::clock::Clock;
use crate::kubernetes::{Cluster, ClusterConfig};
use crate::rng::Rng;
use crate::store::Store;

const OBJECTS: &str = r"
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: main, image: 'nginx:1.27', ports: [{containerPort: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80}]}
";

struct Kubectl<'a> {
    folder: &'a Path,
}

impl Kubectl<'_> {
    /// Runs a command; gives whether it succeeded, and everything it said.
    async fn try_run(&self, arguments: &str, input: &str) -> (bool, String) {
        let mut child = Command::new("kubectl")
            .args(arguments.split_whitespace())
            .env("KUBECONFIG", self.folder.join("kubeconfig"))
            .env("HOME", self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .await
            .unwrap();
        let output = child.wait_with_output().await.unwrap();
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    }

    async fn run(&self, arguments: &str, input: &str) -> String {
        let (fine, text) = self.try_run(arguments, input).await;
        assert!(fine, "kubectl {arguments}: {text}");
        text
    }

    async fn says(&self, arguments: &str, input: &str, expected: &[&str]) {
        let text = self.run(arguments, input).await;
        for part in expected {
            assert!(
                text.contains(part),
                "kubectl {arguments}: no {part:?} in:\n{text}"
            );
        }
    }
}

async fn served(folder: &Path) -> (Cluster, crate::kubernetes::ServerGuard) {
    let client_ca = authority("client-ca");
    let config = ClusterConfig {
        client_ca_chain_pem: client_ca.0.clone(),
        ..config()
    };
    let server_ca = config.server_ca_chain_pem.clone();
    let cluster = Cluster::open(
        "kubectl",
        config,
        Store::in_memory(),
        Clock::new(120.0),
        Rng::seeded(1),
    )
    .await
    .unwrap();
    cluster.register_node(plain_node("n1"));
    let (address, guard) = cluster.serve(None, Vec::new(), None, None).await.unwrap();
    let pem = STANDARD.encode(client_certificate(&client_ca, "admin", "system:masters"));
    let server_ca = STANDARD.encode(server_ca);
    let kubeconfig = format!(
        "{{apiVersion: v1, kind: Config, current-context: x, contexts: [{{name: x, context: {{cluster: c, user: u}}}}], \
         clusters: [{{name: c, cluster: {{server: 'https://{address}', certificate-authority-data: {server_ca}}}}}], \
         users: [{{name: u, user: {{client-certificate-data: {pem}, client-key-data: {pem}}}}}]}}"
    );
    std::fs::write(folder.join("kubeconfig"), kubeconfig).unwrap();
    (cluster, guard)
}

/// The first kubectl whose every command the script knows.
const OLDEST: (u32, u32) = (1, 32);

/// The version of the `kubectl` on the path, if there is one.
async fn version() -> Option<(u32, u32)> {
    let output = Command::new("kubectl")
        .args(["version", "--client", "-o", "json"])
        .output()
        .await
        .ok()?;
    let version: Value = serde_json::from_slice(&output.stdout).ok()?;
    let version = version["clientVersion"]["gitVersion"].as_str()?;
    let mut numbers = version.trim_start_matches('v').split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

async fn installed() -> bool {
    let found = version().await.is_some();
    if !found {
        kplan_conformance::skipped("kubectl");
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_is_not_surprised() {
    if version().await.is_none_or(|version| version < OLDEST) {
        kplan_conformance::skipped("kubectl 1.32 or newer");
        return;
    }
    let Some(upstream) = std::env::var_os("KPLAN_TEST_UPSTREAM") else {
        kplan_conformance::skipped("KPLAN_TEST_UPSTREAM");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (_cluster, _guard) = served(folder.path()).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/kubectl/session.sh");
    let output = Command::new("bash")
        .arg(script)
        .env("KUBECONFIG", folder.path().join("kubeconfig"))
        .env("KPLAN_TEST_UPSTREAM", upstream)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let last = said.lines().last().unwrap_or_default();
    assert!(last.ends_with("steps, no surprise"), "{last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_applies_waits_compares_and_deletes() {
    if !installed().await {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (_cluster, _guard) = served(folder.path()).await;
    let kubectl = Kubectl {
        folder: folder.path(),
    };
    kubectl
        .run("wait --for=condition=Ready node/n1 --timeout=30s", "")
        .await;
    let applied = ["namespace/shop serverside-applied"];
    kubectl
        .says("apply --server-side -f -", OBJECTS, &applied)
        .await;
    kubectl
        .run(
            "wait -n shop --for=condition=Available deploy/web --timeout=30s",
            "",
        )
        .await;
    kubectl
        .says(
            "get deploy,pods,svc -n shop",
            "",
            &["2/2", "Running", "10.43."],
        )
        .await;
    assert_eq!(kubectl.run("diff --server-side -f -", OBJECTS).await, "");
    let changed = OBJECTS.replace("nginx:1.27", "nginx:1.28");
    let (same, difference) = kubectl.try_run("diff --server-side -f -", &changed).await;
    assert!(!same && difference.contains("nginx:1.28"), "{difference}");
    let shown = ["2 desired", "MinimumReplicasAvailable"];
    kubectl
        .says("describe deploy web -n shop", "", &shown)
        .await;
    kubectl
        .says("scale -n shop deploy/web --replicas=1", "", &["scaled"])
        .await;
    kubectl
        .says("label -n shop deploy/web tier=front", "", &["labeled"])
        .await;
    kubectl.run("delete namespace shop --timeout=30s", "").await;
    let (_, left) = kubectl.try_run("get namespace shop", "").await;
    assert!(left.contains("not found"), "{left}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_discovers_explains_and_creates() {
    if !installed().await {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (_cluster, _guard) = served(folder.path()).await;
    let kubectl = Kubectl {
        folder: folder.path(),
    };
    let resources = ["deployments", "customresourcedefinitions", "crd,crds"];
    kubectl.says("api-resources", "", &resources).await;
    let node = ["n1", "control-plane", "v1.35.6+k3s1"];
    kubectl.says("get nodes", "", &node).await;
    kubectl
        .says(
            "explain deployment.spec.replicas",
            "",
            &["FIELD: replicas <integer>"],
        )
        .await;
    kubectl
        .says("auth whoami", "", &["admin", "system:masters"])
        .await;
    kubectl.says("auth can-i delete nodes", "", &["yes"]).await;
    for typed in [
        "create namespace dev",
        "create configmap c --from-literal=a=b",
        "create secret generic s --from-literal=a=b",
    ] {
        kubectl.says(typed, "", &["created"]).await;
    }
    kubectl
        .says("get secret s -o jsonpath={.data.a}", "", &["Yg=="])
        .await;
    let (fine, why) = kubectl.try_run("get pods no-such-pod", "").await;
    assert!(
        !fine && why.contains("pods \"no-such-pod\" not found"),
        "{why}"
    );
}
