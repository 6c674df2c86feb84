//! What a real server makes of what kplan tells nodes: their labels, the job that writes K3s's
//! configuration and the Secret that goes with it, drains, leaving etcd, upgrades.

use super::{NOBODY, OWNER, Real};
use crate::hands::permit;
use kplan_model::codec::ObjectCodec as _;
use kplan_model::{Known, Object, Readiness, RemoteId, Secret};
use kplan_providers::artifacts::ArtifactRef;
use kplan_providers::k3s::{BootArgs, Datastore, NodeApi, NodeArgs, NodeAttrs};
use kplan_providers::kubernetes::k3s_upgrade::K3sUpgradeArgs;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const SERVER: (&str, &str, &str) = ("demo-server-0", "server", "4711");
const AGENT: (&str, &str, &str) = ("demo-agent-0", "agent", "4712");
const NODE: (&str, &str) = ("v1", "Node");
const JOBS: &str = "/apis/batch/v1/namespaces/kube-system/jobs";
const SECRETS: &str = "/api/v1/namespaces/kube-system/secrets";
const FILE: &str = "50-kplan.yaml";

/// Two nodes, as their kubelets and K3s register them.
pub(super) async fn register(real: &Real) -> (&'static str, &'static str) {
    for (name, role, droplet) in [SERVER, AGENT] {
        let mut labels = json!({ "kubernetes.io/hostname": name });
        if role == "server" {
            labels["node-role.kubernetes.io/control-plane"] = json!("true");
        }
        let node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {
                "name": name, "labels": labels,
                "annotations": { "k3s.io/node-args": json!([role]).to_string() },
            },
            "spec": { "providerID": format!("digitalocean://{droplet}") },
        });
        real.others("POST", "/api/v1/nodes", &node).await;
        let status = json!({ "status": {
            "conditions": [{ "type": "Ready", "status": "True", "reason": "KubeletReady" }],
            "nodeInfo": { "kubeletVersion": "v1.34.9+k3s1" },
        } });
        let path = format!("/api/v1/nodes/{name}/status");
        real.others("PATCH", &path, &status).await;
    }
    (SERVER.0, AGENT.0)
}

fn args(real: &Real, (name, role, droplet): (&str, &str, &str)) -> NodeArgs {
    let host = real.access.server.strip_prefix("https://").unwrap();
    let (host, _) = host.rsplit_once(':').unwrap();
    let secret = || Secret::new("5ecret");
    let is_server = role == "server";
    NodeArgs {
        boot: BootArgs {
            cluster: OWNER.to_owned(),
            node: name.to_owned(),
            role: role.to_owned(),
            bucket: "demo-boot".to_owned().into(),
            endpoint: NOBODY.to_owned().into(),
            region: "fra1".to_owned().into(),
            access_key: "DO00".to_owned().into(),
            secret_key: secret().into(),
            public_key: String::new().into(),
            packages: None,
            datastore_admin: None,
        },
        droplet_id: droplet.to_owned().into(),
        droplet_created_at: None,
        private_ip: "10.10.10.2".to_owned().into(),
        public_ip: None,
        certificates: None,
        server_keys: None,
        token_hash: "ab".repeat(32).into(),
        server_token: is_server.then(|| secret().into()),
        server_token_before: None,
        server_token_after: None,
        agent_token: secret().into(),
        bundle_key: secret().into(),
        datastore: is_server.then(|| datastore("sqlite")),
        init: false,
        join: None,
        begun: None,
        etcd_snapshots: None,
        restore: None,
        tls_sans: Vec::new(),
        disable: Vec::new(),
        labels: BTreeMap::new(),
        taints: Vec::new(),
        version: "v1.34.9+k3s1".to_owned(),
        binary: ArtifactRef {
            component: "k3s".to_owned(),
            version: "v1.34.9+k3s1".to_owned(),
            file: "k3s".to_owned(),
            url: NOBODY.to_owned(),
            sha256: None,
        },
        api: Some(NodeApi {
            endpoint: host.to_owned().into(),
            server_ca: real.access.server_ca.clone().into(),
            client_ca: real.access.client_ca.clone().into(),
            client_ca_key: real.access.client_ca_key.clone().into(),
        }),
        certificates_after: None,
    }
}

fn datastore(kind: &str) -> Datastore {
    Datastore {
        kind: kind.to_owned(),
        host: None,
        port: None,
        user: None,
        password: None,
        database: None,
        ca: None,
    }
}

/// A node whose K3s runs.
fn started(real: &Real, which: (&str, &str, &str)) -> Known {
    let (name, role, droplet) = which;
    let attrs = NodeAttrs {
        name: name.to_owned(),
        droplet_id: droplet.to_owned(),
        private_ip: "10.10.10.2".to_owned(),
        phase: "started".to_owned(),
        message: None,
        log: None,
        reported_at: None,
        away: None,
        heartbeat: None,
        datastore: None,
        told: None,
        tls_sans: None,
        agent_token: None,
        server_token_after: None,
        certificates_after: None,
        labels: None,
        taints: None,
    };
    Known {
        address: format!("k3s_node.{role}s[0]").parse().unwrap(),
        id: RemoteId::new(format!("{OWNER}/{name}/{droplet}")),
        args: args(real, which).to_object(),
        attrs: attrs.to_object(),
    }
}

/// What the cluster has of the job and its Secret.
struct Told {
    job: Value,
    secret: Value,
    /// The file.
    content: String,
}

impl Told {
    fn of(list: &Value) -> Vec<Value> {
        let all = list["items"].as_array().unwrap().iter();
        let ours = |one: &&Value| {
            let name = one["metadata"]["name"].as_str().unwrap();
            name.starts_with("kplan-k3s-config-")
        };
        all.filter(ours).cloned().collect()
    }

    /// One of each; the Secret goes with this job and no other.
    async fn look(real: &Real) -> Self {
        use base64::Engine as _;
        let jobs = Self::of(&real.others("GET", JOBS, &Value::Null).await);
        let secrets = Self::of(&real.others("GET", SECRETS, &Value::Null).await);
        let ([job], [secret]) = (&jobs[..], &secrets[..]) else {
            panic!("{jobs:#?} {secrets:#?}");
        };
        let owners = secret["metadata"]["ownerReferences"].as_array().unwrap();
        assert_eq!(owners.len(), 1, "{owners:?}");
        assert_eq!(owners[0]["uid"], job["metadata"]["uid"]);
        let data = secret["data"][FILE].as_str().unwrap();
        let data = base64::engine::general_purpose::STANDARD.decode(data);
        Self {
            job: job.clone(),
            secret: secret.clone(),
            content: String::from_utf8(data.unwrap()).unwrap(),
        }
    }

    fn order(&self) -> &str {
        let annotations = &self.job["metadata"]["annotations"];
        annotations["kplan.io/order"].as_str().unwrap()
    }

    /// How many files are brought, and what is done then.
    fn does(&self) -> (usize, Vec<&str>) {
        let pod = &self.job["spec"]["template"]["spec"];
        let all = ["initContainers", "containers"].iter();
        let names: Vec<&str> = all
            .flat_map(|list| pod[list].as_array().unwrap())
            .map(|container| container["name"].as_str().unwrap())
            .collect();
        let files = names.iter().filter(|name| name.starts_with("write-"));
        let files = files.count();
        for (at, pair) in names[..2 * files].chunks(2).enumerate() {
            assert_eq!(*pair, [format!("write-{at}"), format!("place-{at}")]);
        }
        (files, names[2 * files..].to_vec())
    }

    /// What tells one job from another, and whether its Secret was written anew.
    fn identity(&self) -> [&Value; 2] {
        [
            &self.job["metadata"]["uid"],
            &self.secret["metadata"]["resourceVersion"],
        ]
    }
}

/// Changes a node, and does it once more, as after an answer that was lost: nothing else comes of it.
async fn change(real: &Real, known: &mut Known, change: impl FnOnce(&mut NodeArgs)) -> Told {
    let mut after = NodeArgs::from_object(&known.args).unwrap();
    change(&mut after);
    let once = real.hands.try_update(known, after.to_object()).await;
    let once = once.unwrap();
    let (told, node) = (Told::look(real).await, node(real, SERVER.0).await);
    let again = real.hands.try_update(known, after.to_object()).await;
    assert_eq!(again.unwrap(), once);
    let later = Told::look(real).await;
    assert_eq!(later.identity(), told.identity());
    let labels = |node: &Value| (node["metadata"]["labels"].clone(), node["spec"].clone());
    assert_eq!(labels(&self::node(real, SERVER.0).await), labels(&node));
    known.args = after.to_object();
    known.attrs = once;
    told
}

async fn node(real: &Real, name: &str) -> Value {
    real.get(NODE, None, name).await.unwrap()
}

fn attrs(known: &Known) -> NodeAttrs {
    NodeAttrs::from_object(&known.attrs).unwrap()
}

/// Labels and taints, names in the API's certificate, new certificates, and etcd instead of SQLite.
pub(super) async fn are_told(real: &Real) {
    let mut known = started(real, SERVER);
    let labelled = change(real, &mut known, |args| {
        args.labels.insert("tier".to_owned(), "front".to_owned());
        args.taints.push("dedicated=db:NoSchedule".to_owned());
    });
    let labelled = labelled.await;
    let seen = node(real, SERVER.0).await;
    assert_eq!(seen["metadata"]["labels"]["tier"], "front");
    let taints = seen["spec"]["taints"].as_array().unwrap();
    assert!(taints.contains(&json!({
        "key": "dedicated", "value": "db", "effect": "NoSchedule"
    })));
    assert_eq!(labelled.does(), (1, vec![]));
    assert!(labelled.content.contains("tier=front"));

    let named = change(real, &mut known, |args| {
        args.tls_sans.push("api.example.com".to_owned().into());
    });
    let named = named.await;
    assert_ne!(named.identity(), labelled.identity());
    // The file, K3s's unit, and the script that the unit runs.
    assert_eq!(named.does(), (3, vec!["reload", "restart"]));
    assert_ne!(named.order(), labelled.order());
    assert!(named.content.contains("api.example.com"));
    assert!(attrs(&known).away.is_some());

    let renewed = change(real, &mut known, |args| {
        args.certificates_after = Some(1_790_000_000_000);
    });
    let renewed = renewed.await;
    let steps = vec!["reload", "certificates", "restart"];
    assert_eq!(renewed.does(), (3, steps));

    let moved = change(real, &mut known, |args| {
        args.datastore = Some(datastore("etcd"));
    });
    let moved = moved.await;
    assert!(moved.content.contains("cluster-init: true"));
    assert_eq!(attrs(&known).datastore, Some(datastore("sqlite")));

    // K3s starts with what it was told, and its data is in etcd.
    let mark = moved.content.lines().last().unwrap();
    let mark = mark.trim_start_matches("  - ").trim_matches('"');
    let started = json!({ "metadata": {
        "labels": { "node-role.kubernetes.io/etcd": "true" },
        "annotations": {
            "etcd.k3s.cattle.io/node-name": "demo-server-0-1a2b",
            "k3s.io/node-args": json!(["server", "--node-label", mark]).to_string(),
        },
    } });
    let path = format!("/api/v1/nodes/{}", SERVER.0);
    real.others("PATCH", &path, &started).await;
    let last = change(real, &mut known, |args| {
        args.tls_sans.push("api.example.org".to_owned().into());
        args.tls_sans.pop();
        args.datastore = Some(datastore("etcd"));
    });
    assert_eq!(last.await.identity(), moved.identity());
    leaves_etcd(real, &known).await;
    if real.has_controllers().await {
        goes_with_its_job(real, &moved).await;
    }
}

/// The Secret, by Kubernetes's own garbage collector.
async fn goes_with_its_job(real: &Real, told: &Told) {
    let name = told.job["metadata"]["name"].as_str().unwrap();
    let path = format!("{JOBS}/{name}?propagationPolicy=Background");
    real.others("DELETE", &path, &Value::Null).await;
    for _ in 0..100 {
        let left = Told::of(&real.others("GET", SECRETS, &Value::Null).await);
        if left.is_empty() {
            return;
        }
        real.kubernetes.pause(Duration::from_secs(2)).await;
    }
    panic!("the Secret {name} stays without its job");
}

async fn run(real: &Real, known: &Known, operation: &str) -> Readiness {
    let entry = real.hands.registry.get(known.address.kind()).unwrap();
    let operation = &entry.operations[operation];
    let ran = operation.run(known, &permit(&known.address)).await;
    ran.unwrap();
    operation.done(known).await.unwrap()
}

async fn leaves_etcd(real: &Real, known: &Known) {
    let left = run(real, known, "leave-etcd").await;
    assert!(matches!(left, Readiness::Waiting(_)), "{left:?}");
    let seen = node(real, SERVER.0).await;
    let asked = &seen["metadata"]["annotations"]["etcd.k3s.cattle.io/remove"];
    assert_eq!(asked, "true");
}

/// A pod that something would make again, running on the agent; a budget that does not let it go.
async fn occupied(real: &Real) {
    let owner = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "owner", "namespace": "default" },
    });
    let owner = real
        .others("POST", "/api/v1/namespaces/default/configmaps", &owner)
        .await;
    // Whose controller may not run.
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": { "name": "web", "namespace": "default" },
    });
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    real.others("POST", accounts, &account).await;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "web", "namespace": "default", "labels": { "app": "web" },
            "ownerReferences": [{
                "apiVersion": "v1", "kind": "ConfigMap", "name": "owner",
                "uid": owner["metadata"]["uid"], "controller": true,
            }],
        },
        "spec": {
            "nodeName": AGENT.0, "serviceAccountName": "web",
            "automountServiceAccountToken": false,
            "containers": [{ "name": "web", "image": "web" }],
        },
    });
    let pods = "/api/v1/namespaces/default/pods";
    real.others("POST", pods, &pod).await;
    let runs = json!({ "status": {
        "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }],
    } });
    real.others("PATCH", &format!("{pods}/web/status"), &runs)
        .await;
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": { "name": "web", "namespace": "default" },
        "spec": { "minAvailable": 1, "selector": { "matchLabels": { "app": "web" } } },
    });
    let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    real.others("POST", budgets, &budget).await;
    allows(real, 0, 1).await;
}

/// What the disruption controller says of the budget.
async fn allows(real: &Real, pods: u32, generation: u32) {
    let status = json!({ "status": {
        "disruptionsAllowed": pods, "currentHealthy": 1, "desiredHealthy": 1 - pods,
        "expectedPods": 1, "observedGeneration": generation,
    } });
    let path = "/apis/policy/v1/namespaces/default/poddisruptionbudgets/web/status";
    real.others("PATCH", path, &status).await;
}

/// A drain waits for a budget and asks again.
pub(super) async fn are_drained(real: &Real) {
    occupied(real).await;
    let known = started(real, AGENT);
    let held = run(real, &known, "drain").await;
    let Readiness::Waiting(why) = &held else {
        panic!("{held:?}");
    };
    assert!(why.contains("default/web"), "{why}");
    let seen = node(real, AGENT.0).await;
    assert_eq!(seen["spec"]["unschedulable"], true);
    let web = ("v1", "Pod");
    let pod = real.get(web, Some("default"), "web").await.unwrap();
    assert!(pod["metadata"].get("deletionTimestamp").is_none());

    let budget = "/apis/policy/v1/namespaces/default/poddisruptionbudgets/web";
    let none = json!({ "spec": { "minAvailable": 0 } });
    real.others("PATCH", budget, &none).await;
    allows(real, 1, 2).await;
    run(real, &known, "drain").await;
    let pod = real.get(web, Some("default"), "web").await.unwrap();
    assert!(pod["metadata"]["deletionTimestamp"].is_string());
    // Its kubelet has ended it.
    let now = json!({ "gracePeriodSeconds": 0 });
    let path = "/api/v1/namespaces/default/pods/web";
    real.others("DELETE", path, &now).await;
    // Longer than a list is shared.
    real.kubernetes.pause(Duration::from_secs(2)).await;
    assert_eq!(run(real, &known, "drain").await, Readiness::Ready);
    run(real, &known, "uncordon").await;
    let seen = node(real, AGENT.0).await;
    assert!(seen["spec"].get("unschedulable").is_none());
}

/// Plans are put up and nodes marked; asked for again, the plans stay as they are.
pub(super) async fn are_upgraded(real: &Real) {
    let args: Object = K3sUpgradeArgs {
        access: real.access(),
        version: "v1.35.6+k3s1".to_owned(),
    }
    .to_object();
    let made = real.hands.create("k3s_upgrade.main", args.clone()).await;
    made.unwrap();
    for (name, _, _) in [SERVER, AGENT] {
        let seen = node(real, name).await;
        let mark = &seen["metadata"]["labels"]["kplan.dev/upgrade"];
        assert_eq!(mark, "v1.35.6-k3s1", "{name}");
    }
    let plans = "/apis/upgrade.cattle.io/v1/namespaces/system-upgrade/plans";
    let versions = |list: Value| -> Vec<Value> {
        let all = list["items"].as_array().unwrap().iter();
        all.map(|plan| plan["metadata"]["resourceVersion"].clone())
            .collect()
    };
    let once = versions(real.others("GET", plans, &Value::Null).await);
    assert_eq!(once.len(), 2);
    real.hands.create_anyway("k3s_upgrade.main", args).await;
    let again = versions(real.others("GET", plans, &Value::Null).await);
    assert_eq!(again, once);
}
