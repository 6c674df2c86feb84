//! Draining a node and taking it back, against a scripted API.

use super::*;
use crate::k3s::{Drain, Uncordon};
use crate::kubernetes::testing::{Answer, Asked, status};
use kplan_model::Operation;
use serde_json::{Value as Json, json};
use std::sync::Mutex;

const NAME: &str = "demo-server-0";
const MARK: &str = "kplan.io/cordoned";

/// What the API has.
#[derive(Default)]
struct Cluster {
    /// `None`: no such node.
    node: Option<Json>,
    pods: Vec<Json>,
    /// Pods that a disruption budget keeps.
    kept: Vec<&'static str>,
    patches: Vec<Json>,
}

fn pod(name: &str, controller: Option<&str>) -> Json {
    let owner = controller.map(|kind| json!({"kind": kind, "name": "x", "controller": true}));
    json!({
        "metadata": {"name": name, "namespace": "apps", "labels": {"app": name}, "ownerReferences": owner.into_iter().collect::<Vec<_>>()},
        "status": {"phase": "Running"},
    })
}

/// One that lets a pod of that name not go.
fn budget(pod: &str) -> Json {
    json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": format!("keep-{pod}"), "namespace": "apps"},
        "spec": {"selector": {"matchLabels": {"app": pod}}},
        "status": {"disruptionsAllowed": 0},
    })
}

impl Cluster {
    fn with(pods: Vec<Json>) -> Self {
        let node = json!({
            "metadata": {"name": NAME}, "spec": {"providerID": "digitalocean://4711"},
        });
        Self {
            node: Some(node),
            pods,
            ..Self::default()
        }
    }

    fn ready(&mut self, ready: bool) {
        let status = if ready { "True" } else { "Unknown" };
        let conditions = json!([{"type": "Ready", "status": status}]);
        self.node.as_mut().unwrap()["status"] = json!({"conditions": conditions});
    }

    fn answer(&mut self, asked: &Asked) -> Answer {
        let path = asked.path.split('?').next().unwrap_or("");
        match (asked.method.as_str(), path) {
            ("GET", "/api/v1/nodes/demo-server-0") => match &self.node {
                Some(node) => Some((200, node.clone())),
                None => status(404, "NotFound", "no"),
            },
            ("PATCH", "/api/v1/nodes/demo-server-0") => {
                self.patches.push(asked.body.clone());
                let node = self.node.as_mut()?;
                node["spec"]["unschedulable"] = asked.body["spec"]["unschedulable"].clone();
                node["metadata"]["annotations"] = match &asked.body["metadata"]["annotations"] {
                    Json::Object(all) if !all[MARK].is_null() => json!(all),
                    _ => json!({}),
                };
                Some((200, node.clone()))
            }
            ("DELETE", "/api/v1/nodes/demo-server-0") => {
                self.node = None;
                Some((200, json!({"kind": "Status", "status": "Success"})))
            }
            ("GET", "/api/v1/pods") => {
                let here = format!("fieldSelector=spec.nodeName%3D{NAME}");
                assert!(asked.path.contains(&here), "{}", asked.path);
                Some((200, json!({"items": self.pods, "metadata": {}})))
            }
            ("GET", "/apis/policy/v1") => {
                let budgets = json!({"name": "poddisruptionbudgets", "kind": "PodDisruptionBudget", "namespaced": true});
                Some((200, json!({"resources": [budgets]})))
            }
            ("GET", "/apis/policy/v1/poddisruptionbudgets") => {
                let budgets: Vec<Json> = self.kept.iter().map(|pod| budget(pod)).collect();
                Some((200, json!({"items": budgets, "metadata": {}})))
            }
            ("POST", path) => Some(self.evict(path)),
            (method, path) => panic!("nobody expected {method} {path}"),
        }
    }

    fn evict(&mut self, path: &str) -> (u16, Json) {
        let name = path
            .trim_start_matches("/api/v1/namespaces/apps/pods/")
            .trim_end_matches("/eviction");
        if self.kept.contains(&name) {
            let cause = json!({"reason": "DisruptionBudget", "message": "needs 3 healthy pods"});
            let body = json!({
                "kind": "Status", "reason": "TooManyRequests", "code": 429,
                "message": "Cannot evict pod as it would violate the pod's disruption budget.",
                "details": {"causes": [cause]},
            });
            return (429, body);
        }
        self.pods.retain(|pod| pod["metadata"]["name"] != name);
        (201, json!({"kind": "Status", "status": "Success"}))
    }
}

struct Scene {
    cluster: Arc<Mutex<Cluster>>,
    drain: Drain,
    uncordon: Uncordon,
    record: Known,
}

fn scene(cluster: Cluster) -> Scene {
    let args = server("etcd");
    let cluster = Arc::new(Mutex::new(cluster));
    let answers = Arc::clone(&cluster);
    let fake = Fake::new(move |asked| answers.lock().unwrap().answer(asked));
    Scene {
        cluster,
        drain: Drain(fake.kubernetes()),
        uncordon: Uncordon(fake.kubernetes()),
        record: known(&args, &blank(&args).unwrap()),
    }
}

impl Scene {
    async fn done(&self, operation: &dyn Operation) -> Readiness {
        // Lists are shared for a second.
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        operation.done(&self.record).await.unwrap()
    }

    async fn run(&self, operation: &dyn Operation) {
        let permit = kplan_model::testing::permit(&self.record.address).unwrap();
        operation.run(&self.record, &permit).await.unwrap();
    }
}

fn waits(readiness: &Readiness, words: &str) {
    match readiness {
        Readiness::Waiting(why) => assert!(why.contains(words), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn pods_leave_but_for_those_of_every_node() {
    let mut ended = pod("ended", None);
    ended["status"]["phase"] = json!("Succeeded");
    let mut fixed = pod("fixed", None);
    fixed["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
    let pods = vec![
        pod("web-1", Some("ReplicaSet")),
        pod("db-0", Some("StatefulSet")),
        pod("agent", Some("DaemonSet")),
        ended,
        fixed,
    ];
    let scene = scene(Cluster::with(pods));
    let before = scene.done(&scene.drain).await;
    waits(&before, "2 pods are still there: apps/web-1, apps/db-0");
    scene.run(&scene.drain).await;
    assert_eq!(scene.done(&scene.drain).await, Readiness::Ready);
    assert_eq!(scene.cluster.lock().unwrap().pods.len(), 3);
    // Done again, it changes nothing.
    scene.run(&scene.drain).await;
    assert_eq!(scene.cluster.lock().unwrap().patches.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_budget_is_kept_until_it_allows_it() {
    let pods = vec![
        pod("web-1", Some("ReplicaSet")),
        pod("web-2", Some("ReplicaSet")),
    ];
    let scene = scene(Cluster {
        kept: vec!["web-2"],
        ..Cluster::with(pods)
    });
    scene.run(&scene.drain).await;
    waits(
        &scene.done(&scene.drain).await,
        "1 pod is still there: apps/web-2; held by the disruption budget apps/keep-web-2",
    );
    scene.cluster.lock().unwrap().kept.clear();
    scene.run(&scene.drain).await;
    assert_eq!(scene.done(&scene.drain).await, Readiness::Ready);
}

#[tokio::test(start_paused = true)]
async fn a_dead_node_is_not_waited_for() {
    let mut leaving = pod("web-1", Some("ReplicaSet"));
    leaving["metadata"]["deletionTimestamp"] = json!("2026-08-01T12:00:00Z");
    let mut cluster = Cluster::with(vec![leaving]);
    cluster.ready(true);
    let scene = scene(cluster);
    scene.run(&scene.drain).await;
    waits(&scene.done(&scene.drain).await, "1 pod is still there");
    scene.cluster.lock().unwrap().ready(false);
    assert_eq!(scene.done(&scene.drain).await, Readiness::Ready);
}

#[tokio::test(start_paused = true)]
async fn what_a_cordon_does_not_keep_away_leaves_once() {
    let mut pod = pod("web-1", Some("ReplicaSet"));
    pod["spec"] = json!({"tolerations": [{"operator": "Exists"}]});
    let scene = scene(Cluster::with(vec![pod.clone()]));
    waits(&scene.done(&scene.drain).await, "1 pod is still there");
    scene.run(&scene.drain).await;
    assert!(scene.cluster.lock().unwrap().pods.is_empty());
    // Its controller puts it back.
    scene.cluster.lock().unwrap().pods.push(pod);
    assert_eq!(scene.done(&scene.drain).await, Readiness::Ready);
}

#[tokio::test(start_paused = true)]
async fn an_earlier_node_of_the_name_is_forgotten_before_the_bundle_is_there() {
    for (provider, left) in [("digitalocean://1", false), ("digitalocean://4711", true)] {
        let mut cluster = Cluster::with(Vec::new());
        cluster.node.as_mut().unwrap()["spec"]["providerID"] = json!(provider);
        let scene = scene(cluster);
        let permit = kplan_model::testing::permit(&scene.record.address).unwrap();
        let args = server("etcd");
        crate::k3s::node::life::forget_predecessor(&scene.drain.0, &args, &permit)
            .await
            .unwrap();
        assert_eq!(
            scene.cluster.lock().unwrap().node.is_some(),
            left,
            "{provider}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_nothing_would_make_again_is_not_evicted() {
    let scene = scene(Cluster::with(vec![
        pod("mine", None),
        pod("web-1", Some("ReplicaSet")),
    ]));
    match scene.done(&scene.drain).await {
        Readiness::Failed(why) => assert!(why.contains("apps/mine"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn only_what_kplan_cordoned_is_uncordoned() {
    let scene = scene(Cluster::with(Vec::new()));
    waits(&scene.done(&scene.drain).await, "it still takes new pods");
    scene.run(&scene.drain).await;
    waits(&scene.done(&scene.uncordon).await, "takes no new pods");
    scene.run(&scene.uncordon).await;
    assert_eq!(scene.done(&scene.uncordon).await, Readiness::Ready);
    let spec = |cluster: &Cluster| cluster.node.as_ref().unwrap()["spec"]["unschedulable"].clone();
    assert_eq!(spec(&scene.cluster.lock().unwrap()), json!(false));
    // Somebody else cordons it: the drain leaves that alone, and so does what undoes it.
    scene.cluster.lock().unwrap().node.as_mut().unwrap()["spec"]["unschedulable"] = json!(true);
    scene.run(&scene.drain).await;
    assert_eq!(scene.done(&scene.uncordon).await, Readiness::Ready);
    scene.run(&scene.uncordon).await;
    assert_eq!(spec(&scene.cluster.lock().unwrap()), json!(true));
}

#[tokio::test(start_paused = true)]
async fn another_node_of_the_name_is_left_alone() {
    let mut cluster = Cluster::with(vec![pod("web-1", Some("ReplicaSet"))]);
    cluster.node.as_mut().unwrap()["spec"]["providerID"] = json!("digitalocean://1");
    let other = scene(cluster);
    assert_eq!(other.done(&other.drain).await, Readiness::Ready);
    other.run(&other.drain).await;
    assert!(other.cluster.lock().unwrap().patches.is_empty());
    let none = scene(Cluster::default());
    assert_eq!(none.done(&none.drain).await, Readiness::Ready);
    assert_eq!(none.done(&none.uncordon).await, Readiness::Ready);
}
