//! The system-upgrade-controller: order, drains, refusals, and that versions last.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::{Client, condition, config, deployment, established, plain_node};
use crate::boot::tests::rig::{Node, Rig};
use crate::clock::Clock;
use crate::kubernetes::{Cluster, ClusterConfig, NodeFacts, NodeRole};
use crate::mirror::{Mirror, version_set};
use crate::rng::Rng;
use crate::store::Store;

const OLD: &str = "v1.34.9+k3s1";
const NEW: &str = "v1.35.6+k3s1";
const SPACE: &str = "/apis/apps/v1/namespaces/system-upgrade";
const PLANS: &str = "/apis/upgrade.cattle.io/v1/namespaces/system-upgrade/plans";
const JOBS: &str = "/apis/batch/v1/namespaces/system-upgrade/jobs";
const PODS: &str = "/api/v1/namespaces/default/pods";
const BUDGETS: &str = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
const MERGE: &str = "application/merge-patch+json";

async fn open(store: &Store, version: &str) -> Cluster {
    let clock = Clock::starting_at(60.0, "2026-03-01T12:00:00Z".parse().unwrap());
    let config = ClusterConfig {
        version: version.to_owned(),
        ..config()
    };
    Cluster::open("test", config, store.clone(), clock, Rng::seeded(7))
        .await
        .unwrap()
}

fn agent(name: &str) -> NodeFacts {
    NodeFacts {
        role: NodeRole::Agent,
        ..plain_node(name)
    }
}

/// The mirror's manifests, with the namespaces that upstream's kustomization sets.
async fn install(client: &Client) {
    let mut documents: Vec<Value> = Vec::new();
    for artifact in version_set() {
        if artifact.component != "system-upgrade-controller" {
            continue;
        }
        let request = http::Request::get(&artifact.url_path).body(Bytes::new());
        let answer = Mirror::new().call(request.unwrap()).await;
        let text = String::from_utf8(answer.body().to_vec()).unwrap();
        let read = serde_norway::Deserializer::from_str(&text);
        documents.extend(read.map(|one| Value::deserialize(one).unwrap()));
    }
    let first = ["Namespace", "CustomResourceDefinition"];
    documents.sort_by_key(|one| !first.contains(&one["kind"].as_str().unwrap()));
    for mut one in documents {
        let rbac = "/apis/rbac.authorization.k8s.io/v1";
        let space = "namespaces/system-upgrade";
        let path = match one["kind"].as_str().unwrap() {
            "Namespace" => "/api/v1/namespaces".to_owned(),
            "CustomResourceDefinition" => super::CRD.to_owned(),
            "ServiceAccount" => format!("/api/v1/{space}/serviceaccounts"),
            "ConfigMap" => format!("/api/v1/{space}/configmaps"),
            "Deployment" => format!("{SPACE}/deployments"),
            "ClusterRole" => format!("{rbac}/clusterroles"),
            "ClusterRoleBinding" => format!("{rbac}/clusterrolebindings"),
            "Role" => format!("{rbac}/{space}/roles"),
            "RoleBinding" => format!("{rbac}/{space}/rolebindings"),
            other => panic!("{other}"),
        };
        if one["kind"] == "ClusterRoleBinding" {
            let (code, body) = client.call("POST", &path, "application/json", &one).await;
            assert_eq!(code, 422, "a subject without a namespace: {body}");
        }
        if one.get("subjects").is_some() {
            one["subjects"][0]["namespace"] = "system-upgrade".into();
        }
        client.create(&path, &one).await;
    }
    established(client, "plans.upgrade.cattle.io").await;
    let place = format!("{SPACE}/deployments/system-upgrade-controller");
    client.until(&place, |d| condition(d, "Available")).await;
}

/// Two servers and an agent of the old version, and the controller.
async fn three(store: &Store) -> (Cluster, Client) {
    let cluster = open(store, OLD).await;
    let client = Client::admin(&cluster);
    for facts in [plain_node("s1"), plain_node("s2"), agent("a1")] {
        cluster.register_node(facts);
    }
    for name in ["s1", "s2", "a1"] {
        ready(&client, name).await;
    }
    install(&client).await;
    (cluster, client)
}

async fn ready(client: &Client, name: &str) -> Value {
    let path = format!("/api/v1/nodes/{name}");
    client.until(&path, |node| condition(node, "Ready")).await
}

fn plan(name: &str, version: &str, operator: &str) -> Value {
    json!({
        "apiVersion": "upgrade.cattle.io/v1", "kind": "Plan",
        "metadata": {"name": name, "namespace": "system-upgrade"},
        "spec": {
            "concurrency": 1, "version": version, "serviceAccountName": "system-upgrade",
            "nodeSelector": {"matchExpressions": [
                {"key": "node-role.kubernetes.io/control-plane", "operator": operator}]},
            "cordon": true,
            "upgrade": {"image": "rancher/k3s-upgrade"},
        },
    })
}

/// A plan for agents that drains them.
fn draining(version: &str, drain: &Value) -> Value {
    let mut plan = plan("agents", version, "DoesNotExist");
    plan["spec"]["drain"] = drain.clone();
    plan
}

async fn complete(client: &Client, name: &str, version: &str) -> Value {
    let path = format!("{PLANS}/{name}");
    let latest = version.replace('+', "-");
    let done = |plan: &Value| {
        condition(plan, "Complete") && plan["status"]["latestVersion"] == json!(latest)
    };
    client.until(&path, done).await
}

fn version_of(node: &Value) -> &str {
    node["status"]["nodeInfo"]["kubeletVersion"]
        .as_str()
        .unwrap()
}

fn cordoned(node: &Value) -> bool {
    node["spec"]["unschedulable"] == json!(true)
}

/// The only job there is, once it is as wanted.
async fn job(client: &Client, wanted: impl Fn(&Value) -> bool) -> Value {
    let one = |list: &Value| {
        list["items"]
            .as_array()
            .unwrap()
            .first()
            .is_some_and(&wanted)
    };
    client.until(JOBS, one).await["items"][0].clone()
}

/// A pod of a deployment that only the agent may run.
async fn web_on_agent(client: &Client, replicas: i64) {
    let mut web = deployment("web", replicas);
    web["spec"]["template"]["spec"]["nodeSelector"] = json!({"kubernetes.io/hostname": "a1"});
    let path = "/apis/apps/v1/namespaces/default/deployments";
    client.create(path, &web).await;
    let place = format!("{path}/web");
    client.until(&place, |d| condition(d, "Available")).await;
}

#[tokio::test(start_paused = true)]
async fn servers_go_one_by_one_and_agents_after_them() {
    let (_, client) = three(&Store::in_memory()).await;
    let mut agents = draining(NEW, &json!({"force": true}));
    agents["spec"]["prepare"] =
        json!({"image": "rancher/k3s-upgrade", "args": ["prepare", "servers"]});
    client.create(PLANS, &agents).await;
    client.create(PLANS, &plan("servers", NEW, "Exists")).await;
    let mut order = Vec::new();
    let mut applying = std::collections::BTreeSet::new();
    for _ in 0..2000 {
        let nodes = client.get("/api/v1/nodes").await;
        let nodes = nodes["items"].as_array().unwrap();
        for node in nodes {
            let name = node["metadata"]["name"].as_str().unwrap().to_owned();
            if version_of(node) == NEW && !order.contains(&name) {
                order.push(name);
            }
        }
        let upgrading = nodes.iter().filter(|node| cordoned(node)).count();
        assert!(upgrading <= 1, "one at a time");
        let servers = client.get(&format!("{PLANS}/servers")).await;
        applying.insert(servers["status"]["applying"].to_string());
        if order.len() == 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(order.last().map(String::as_str), Some("a1"), "{order:?}");
    assert!(
        applying.contains("[\"s1\"]") && applying.contains("[\"s2\"]"),
        "{applying:?}"
    );
    for name in ["servers", "agents"] {
        let plan = complete(&client, name, NEW).await;
        assert_eq!(plan["status"]["latestVersion"], "v1.35.6-k3s1");
        let label = format!("plan.upgrade.cattle.io/{name}");
        let nodes = client.get("/api/v1/nodes").await;
        let seen = nodes["items"].as_array().unwrap().iter();
        let seen = seen.filter(|n| n["metadata"]["labels"][&label] == plan["status"]["latestHash"]);
        assert_eq!(seen.count(), if name == "servers" { 2 } else { 1 });
    }
    let jobs = client.get(JOBS).await;
    let jobs = jobs["items"].as_array().unwrap();
    assert_eq!(jobs.len(), 3);
    for job in jobs {
        assert_eq!(job["status"]["succeeded"], json!(1));
        let name = job["metadata"]["name"].as_str().unwrap();
        let label = |key: &str| job["metadata"]["labels"][key].as_str().unwrap().to_owned();
        let (plan, node) = (
            label("upgrade.cattle.io/plan"),
            label("upgrade.cattle.io/node"),
        );
        assert!(
            name.starts_with(&format!("apply-{plan}-on-{node}-with-")),
            "{name}"
        );
        assert_eq!(
            label("upgrade.cattle.io/controller"),
            "system-upgrade-controller"
        );
    }
    for name in ["s1", "s2", "a1"] {
        let node = ready(&client, name).await;
        assert!(!cordoned(&node) && version_of(&node) == NEW);
    }
    // They stay for a quarter of an hour after their end.
    let gone = |list: &Value| list["items"].as_array().unwrap().is_empty();
    client.until(JOBS, gone).await;
}

#[tokio::test(start_paused = true)]
async fn nodes_of_no_plan_are_left_alone_and_without_concurrency_all_are() {
    let (_, client) = three(&Store::in_memory()).await;
    client.create(PLANS, &plan("servers", NEW, "Exists")).await;
    let mut none = plan("agents", NEW, "DoesNotExist");
    none["spec"].as_object_mut().unwrap().remove("concurrency");
    client.create(PLANS, &none).await;
    complete(&client, "servers", NEW).await;
    complete(&client, "agents", NEW).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let node = ready(&client, "a1").await;
    assert_eq!(version_of(&node), OLD);
    let label = &node["metadata"]["labels"]["plan.upgrade.cattle.io/agents"];
    assert!(label.is_null() && !cordoned(&node), "{node:#}");
}

#[tokio::test(start_paused = true)]
async fn a_budget_holds_a_drain_up_until_it_is_lifted() {
    let (_, client) = three(&Store::in_memory()).await;
    web_on_agent(&client, 1).await;
    let budget = json!({"metadata": {"name": "web"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}});
    client.create(BUDGETS, &budget).await;
    client.create(PLANS, &draining(NEW, &json!({}))).await;
    client.until("/api/v1/nodes/a1", cordoned).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let held = job(&client, |job| job["status"]["active"] == json!(1)).await;
    assert!(held["status"]["failed"].is_null(), "{held:#}");
    assert_eq!(version_of(&ready(&client, "a1").await), OLD);
    client
        .call("DELETE", &format!("{BUDGETS}/web"), "", &Value::Null)
        .await;
    complete(&client, "agents", NEW).await;
    let node = ready(&client, "a1").await;
    assert!(version_of(&node) == NEW && !cordoned(&node));
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_never_ends_fails_its_job_and_stops_the_plan() {
    let (_, client) = three(&Store::in_memory()).await;
    web_on_agent(&client, 1).await;
    let budget = json!({"metadata": {"name": "web"}, "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "web"}}}});
    client.create(BUDGETS, &budget).await;
    client.create(PLANS, &draining(NEW, &json!({}))).await;
    let failed = job(&client, |job| condition(job, "Failed")).await;
    assert!(
        failed["status"].to_string().contains("DeadlineExceeded"),
        "{failed:#}"
    );
    assert_eq!(failed["status"]["failed"], json!(1));
    let path = format!("{PLANS}/agents");
    let stopped = client
        .until(&path, |plan| plan.to_string().contains("JobFailed"))
        .await;
    assert!(!condition(&stopped, "Complete"));
    client
        .call("DELETE", &format!("{BUDGETS}/web"), "", &Value::Null)
        .await;
    client
        .until(JOBS, |list| list["items"].as_array().unwrap().is_empty())
        .await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let node = ready(&client, "a1").await;
    assert!(
        version_of(&node) == OLD && cordoned(&node),
        "it stays as it is"
    );
    // Whatever is changed in the plan makes it begin again.
    let patch = json!({"spec": {"jobActiveDeadlineSecs": 600}});
    client.call("PATCH", &path, MERGE, &patch).await;
    complete(&client, "agents", NEW).await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_without_controller_fails_the_drain_until_forced() {
    let (_, client) = three(&Store::in_memory()).await;
    let bare = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare"}, "spec": {
        "nodeName": "a1", "containers": [{"name": "c", "image": "i:1"}]}});
    client.create(PODS, &bare).await;
    web_on_agent(&client, 1).await;
    client
        .create(PLANS, &draining(NEW, &json!({"force": false})))
        .await;
    let failed = job(&client, |job| job["status"]["failed"].as_i64() >= Some(2)).await;
    assert!(
        !condition(&failed, "Failed"),
        "it is tried again: {failed:#}"
    );
    let pods = client.get("/api/v1/namespaces/system-upgrade/pods").await;
    assert!(
        pods.to_string().contains("declare no controller"),
        "{pods:#}"
    );
    let node = ready(&client, "a1").await;
    assert!(cordoned(&node) && version_of(&node) == OLD);
    assert!(
        !client.missing(&format!("{PODS}/bare")).await,
        "nothing was evicted"
    );
    let forced = json!({"spec": {"drain": {"force": true}}});
    client
        .call("PATCH", &format!("{PLANS}/agents"), MERGE, &forced)
        .await;
    complete(&client, "agents", NEW).await;
    assert!(client.missing(&format!("{PODS}/bare")).await);
    assert!(!cordoned(&ready(&client, "a1").await));
}

#[tokio::test(start_paused = true)]
async fn a_downgrade_fails_and_the_same_version_only_labels() {
    let store = Store::in_memory();
    let cluster = open(&store, NEW).await;
    let client = Client::admin(&cluster);
    cluster.register_node(plain_node("s1"));
    ready(&client, "s1").await;
    install(&client).await;
    client.create(PLANS, &plan("servers", OLD, "Exists")).await;
    job(&client, |job| job["status"]["failed"] == json!(1)).await;
    let node = ready(&client, "s1").await;
    assert!(cordoned(&node) && version_of(&node) == NEW);
    let pods = client.get("/api/v1/namespaces/system-upgrade/pods").await;
    assert!(pods.to_string().contains("is higher than"), "{pods:#}");
    // The plan is put right.
    let since = |node: &Value| {
        let conditions = node["status"]["conditions"].as_array().unwrap().iter();
        let ready = conditions.filter(|one| one["type"] == "Ready");
        ready
            .map(|one| one["lastTransitionTime"].clone())
            .collect::<Vec<_>>()
    };
    let same = json!({"spec": {"version": NEW}});
    client
        .call("PATCH", &format!("{PLANS}/servers"), MERGE, &same)
        .await;
    let plan = complete(&client, "servers", NEW).await;
    let after = ready(&client, "s1").await;
    assert_eq!(since(&after), since(&node), "K3s was not started again");
    assert!(!cordoned(&after));
    assert_eq!(
        after["metadata"]["labels"]["plan.upgrade.cattle.io/servers"],
        plan["status"]["latestHash"]
    );
}

#[tokio::test(start_paused = true)]
async fn who_cordons_a_node_after_its_upgrade_means_it() {
    let (_, client) = three(&Store::in_memory()).await;
    client.create(PLANS, &draining(NEW, &json!({}))).await;
    complete(&client, "agents", NEW).await;
    let cordon = json!({"spec": {"unschedulable": true}});
    client
        .call("PATCH", "/api/v1/nodes/a1", MERGE, &cordon)
        .await;
    let jobs = client.get(JOBS).await;
    assert!(!jobs["items"].as_array().unwrap().is_empty());
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(cordoned(&ready(&client, "a1").await));
}

#[tokio::test(start_paused = true)]
async fn without_its_rights_a_drain_is_refused_and_the_controller_does_nothing() {
    let (_, client) = three(&Store::in_memory()).await;
    let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    let drop_binding = async |name: &str| {
        let path = format!("{bindings}/{name}");
        let (code, _) = client.call("DELETE", &path, "", &Value::Null).await;
        assert_eq!(code, 200);
    };
    drop_binding("system-upgrade-drainer").await;
    client.create(PLANS, &draining(NEW, &json!({}))).await;
    job(&client, |job| job["status"]["failed"] == json!(1)).await;
    let pods = client
        .get("/api/v1/namespaces/system-upgrade/pods")
        .await
        .to_string();
    assert!(pods.contains("cannot patch resource"), "{pods}");
    drop_binding("system-upgrade").await;
    client.create(PLANS, &plan("servers", NEW, "Exists")).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let plan = client.get(&format!("{PLANS}/servers")).await;
    assert!(plan["status"].is_null(), "{plan:#}");
}

#[tokio::test(start_paused = true)]
async fn an_image_that_is_not_there_is_not_pulled() {
    let (_, client) = three(&Store::in_memory()).await;
    client
        .create(PLANS, &plan("agents", "v1.99.0+k3s1", "DoesNotExist"))
        .await;
    let pods = "/api/v1/namespaces/system-upgrade/pods";
    client
        .until(pods, |list| list.to_string().contains("ErrImagePull"))
        .await;
    assert_eq!(version_of(&ready(&client, "a1").await), OLD);
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_goes_on_after_a_restart_and_lasts() {
    let store = Store::in_memory();
    let (cluster, client) = three(&store).await;
    client.create(PLANS, &plan("servers", NEW, "Exists")).await;
    client.create(PLANS, &draining(NEW, &json!({}))).await;
    // Killed with one node under way.
    job(&client, |job| job["status"]["active"] == json!(1)).await;
    drop((client, cluster));
    let cluster = open(&store, OLD).await;
    let client = Client::admin(&cluster);
    for name in ["servers", "agents"] {
        complete(&client, name, NEW).await;
    }
    let said = |router: axum::Router| async move {
        let mut request = http::Request::get("/version")
            .body(axum::body::Body::empty())
            .unwrap();
        request
            .extensions_mut()
            .insert(crate::kubernetes::Identity::admin());
        let answer = tower::ServiceExt::oneshot(router, request).await.unwrap();
        let bytes = http_body_util::BodyExt::collect(answer.into_body())
            .await
            .unwrap()
            .to_bytes();
        serde_json::from_slice::<Value>(&bytes).unwrap()["gitVersion"].clone()
    };
    assert_eq!(said(cluster.router_of("s1")).await, NEW);
    drop((client, cluster));
    let cluster = open(&store, OLD).await;
    let client = Client::admin(&cluster);
    tokio::time::sleep(Duration::from_secs(10)).await;
    for name in ["s1", "s2", "a1"] {
        assert_eq!(
            version_of(&ready(&client, name).await),
            NEW,
            "heartbeats keep it"
        );
    }
    // A machine that boots with another K3s reports that one.
    cluster.stop_node("a1");
    cluster.register_node(NodeFacts {
        version: OLD.to_owned(),
        ..agent("a1")
    });
    let old = |node: &Value| condition(node, "Ready") && version_of(node) == OLD;
    client.until("/api/v1/nodes/a1", old).await;
}

/// A droplet whose bundle names the old version of K3s.
fn old_droplet() -> Node {
    let mut node = Node::single();
    let mut set = version_set().into_iter();
    let old = set.find(|one| one.version == OLD && one.file == "k3s");
    let old = old.unwrap();
    let env = format!(
        "K3S_VERSION={OLD}\nK3S_BINARY_URL=http://127.0.0.1:9001{}\nK3S_BINARY_SHA256={}\n",
        old.url_path, old.sha256
    );
    node.files
        .insert("files/etc/kplan/k3s.env".to_owned(), (0o644, env));
    // Without a cloud controller manager nothing would run on it.
    node.config["kubelet-arg"] = json!([]);
    node
}

#[tokio::test(start_paused = true)]
async fn a_droplet_boots_the_upgraded_k3s_ever_after() {
    let mut rig = Rig::new(60.0).await;
    let node = old_droplet();
    rig.boot(&node).await;
    let client = Client::admin(&rig.cluster());
    assert_eq!(version_of(&ready(&client, "demo-server-1").await), OLD);
    install(&client).await;
    client.create(PLANS, &plan("servers", NEW, "Exists")).await;
    complete(&client, "servers", NEW).await;
    assert_eq!(version_of(&ready(&client, "demo-server-1").await), NEW);
    drop(client);
    for power_cycle in [true, false] {
        if power_cycle {
            rig.nodes.droplet_stopped(node.id).unwrap();
            rig.power_on(&node).await;
        } else {
            rig.restart();
        }
        rig.settled(node.id).await;
        let client = Client::admin(&rig.cluster());
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(version_of(&ready(&client, "demo-server-1").await), NEW);
        assert_eq!(client.get("/version").await["gitVersion"], json!(NEW));
    }
}
