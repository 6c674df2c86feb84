//! Whether a node is back after its droplet was interrupted, against a scripted API.

use super::*;
use crate::kubernetes::testing::status;
use serde_json::{Value as Json, json};
use std::sync::Mutex;

const NAME: &str = "demo-server-0";

/// What the API says, and what may change between two looks.
#[derive(Clone)]
struct Cluster {
    ready: &'static str,
    provider: &'static str,
    renewed: Option<&'static str>,
    answers: bool,
    bound: bool,
}

const UP: Cluster = Cluster {
    ready: "True",
    provider: "digitalocean://4711",
    renewed: Some("2026-08-01T12:00:00.000000Z"),
    answers: true,
    bound: true,
};

fn nodes(state: &Cluster) -> Json {
    let node = json!({
        "metadata": {"name": NAME}, "spec": {"providerID": state.provider},
        "status": {"conditions": [{"type": "Ready", "status": state.ready}]},
    });
    json!({"items": [node], "metadata": {}})
}

fn leases(state: &Cluster) -> Json {
    let lease = |namespace: &str, renewed: &str| {
        json!({
            "metadata": {"name": NAME, "namespace": namespace}, "spec": {"renewTime": renewed},
        })
    };
    // One of the same name that is not a kubelet's.
    let mut items = vec![lease("kube-system", "2030-01-01T00:00:00.000000Z")];
    items.extend(
        state
            .renewed
            .map(|renewed| lease("kube-node-lease", renewed)),
    );
    json!({"items": items, "metadata": {}})
}

struct Scene {
    state: Arc<Mutex<Cluster>>,
    kind: K3sNode,
    record: Known,
    fake: Fake,
}

/// A node whose K3s runs, and whose droplet was just interrupted.
fn scene(args: &NodeArgs) -> Scene {
    let state = Arc::new(Mutex::new(UP));
    let shown = Arc::clone(&state);
    let mut denied = false;
    let fake = Fake::new(move |asked| {
        let state = shown.lock().unwrap();
        if !state.answers {
            return None;
        }
        match asked.path.split('?').next().unwrap_or("") {
            // The first identity that asks is the one that needs a binding.
            "/api/v1/nodes" if !state.bound && !denied => {
                denied = true;
                status(403, "Forbidden", "no")
            }
            "/api/v1/nodes" => Some((200, nodes(&state))),
            "/apis/coordination.k8s.io/v1" => {
                let lease = json!({"name": "leases", "kind": "Lease", "namespaced": true});
                Some((200, json!({"resources": [lease]})))
            }
            "/apis/coordination.k8s.io/v1/leases" => Some((200, leases(&state))),
            other => panic!("nobody expected {other}"),
        }
    });
    let kind = beside(&fake);
    let attrs = NodeAttrs {
        phase: "started".to_owned(),
        ..blank(args).unwrap()
    };
    assert_eq!(kind.readiness(&attrs), Readiness::Ready);
    assert!(!kind.is_interrupted(&attrs));
    let attrs = kind.interrupted(attrs);
    assert!(kind.is_interrupted(&attrs));
    let record = known(args, &attrs);
    Scene {
        state,
        kind,
        record,
        fake,
    }
}

impl Scene {
    fn set(&self, change: impl FnOnce(&mut Cluster)) {
        change(&mut self.state.lock().unwrap());
    }

    /// Looks as the engine does: with the attributes of the look before. Lists are shared for a
    /// second.
    async fn look(&mut self) -> Result<NodeAttrs, ProviderError> {
        tokio::time::sleep(std::time::Duration::from_secs(10)).await;
        let attrs = Resource::read(&self.kind, &self.record).await?.unwrap();
        self.record.attrs = attrs.to_object();
        Ok(attrs)
    }

    async fn waits(&mut self, word: &str) {
        let attrs = self.look().await.unwrap();
        match self.kind.readiness(&attrs) {
            Readiness::Waiting(why) => assert!(why.contains(word), "{why}"),
            other => panic!("{other:?}"),
        }
    }

    async fn is_back(&mut self) {
        let attrs = self.look().await.unwrap();
        assert_eq!(self.kind.readiness(&attrs), Readiness::Ready);
        assert_eq!((attrs.away, attrs.heartbeat), (None, None));
    }
}

#[tokio::test(start_paused = true)]
async fn ready_alone_may_be_older_than_the_interruption() {
    let mut scene = scene(&server("etcd"));
    // The cluster still believes it to be Ready, for 40 s.
    scene.waits("next sign of life").await;
    scene.waits("no sign of life since").await;
    scene.set(|state| state.ready = "Unknown");
    scene.waits("no sign of life since").await;
    // The kubelet is back before the node is Ready.
    scene.set(|state| {
        state.ready = "False";
        state.renewed = Some("2026-08-01T12:01:30.500000Z");
    });
    scene.waits("not Ready").await;
    scene.set(|state| state.ready = "True");
    scene.is_back().await;
}

#[tokio::test(start_paused = true)]
async fn an_api_that_is_off_with_its_server_is_waited_for() {
    let mut scene = scene(&agent());
    scene.set(|state| state.answers = false);
    scene.waits("does not answer").await;
    scene.set(|state| state.answers = true);
    scene.waits("next sign of life").await;
    scene.set(|state| state.renewed = Some("2026-08-01T12:01:30.500000Z"));
    scene.is_back().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_registers_anew_is_seen_twice() {
    let mut scene = scene(&server("sqlite"));
    scene.set(|state| state.renewed = None);
    scene.waits("no sign of life yet").await;
    scene.set(|state| state.renewed = Some("2026-08-01T12:01:30.500000Z"));
    scene.waits("next sign of life").await;
    scene.set(|state| state.renewed = Some("2026-08-01T12:01:40.500000Z"));
    scene.is_back().await;
}

#[tokio::test(start_paused = true)]
async fn another_droplets_node_of_that_name_does_not_count() {
    let mut scene = scene(&server("sqlite"));
    scene.set(|state| state.provider = "digitalocean://4710");
    scene.waits("not registered").await;
}

#[tokio::test(start_paused = true)]
async fn before_the_admins_are_bound_it_asks_as_the_bootstrap_identity() {
    let mut scene = scene(&server("sqlite"));
    scene.set(|state| state.bound = false);
    scene.waits("next sign of life").await;
}

#[tokio::test(start_paused = true)]
async fn a_record_that_does_not_say_where_to_ask_stays_away() {
    let mut args = server("sqlite");
    args.api = None;
    let mut scene = scene(&args);
    scene.waits("was interrupted").await;
    assert_eq!(scene.fake.asked(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn nobody_asks_the_cluster_about_nodes_that_were_not_interrupted() {
    let mut args = server("sqlite");
    // Labels are another reason to ask.
    args.labels.clear();
    args.taints.clear();
    let mut scene = scene(&args);
    let attrs = NodeAttrs {
        phase: "started".to_owned(),
        ..blank(&args).unwrap()
    };
    scene.record.attrs = attrs.to_object();
    scene.is_back().await;
    assert_eq!(scene.fake.asked(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn one_look_at_the_cluster_serves_all_that_are_away() {
    let scene = scene(&server("sqlite"));
    let mut records = Vec::new();
    for index in 0..20 {
        let mut args = agent();
        args.boot.node = format!("demo-agent-{index}");
        let attrs = NodeAttrs {
            phase: "started".to_owned(),
            ..blank(&args).unwrap()
        };
        records.push(known(&args, &scene.kind.interrupted(attrs)));
    }
    let seen = Resource::read_all(&scene.kind, &records).await.unwrap();
    assert_eq!(seen.len(), 20);
    assert_eq!(scene.fake.asked().len(), 3, "{:?}", scene.fake.asked());
}

/// A node whose K3s never ran here is told by its report first.
#[tokio::test(start_paused = true)]
async fn a_report_that_may_be_older_than_the_interruption_is_not_enough() {
    let args = server("sqlite");
    let mut scene = scene(&args);
    let bucket = Arc::new(Bucket::default());
    scene.kind.storage = Arc::clone(&bucket) as Arc<dyn BootStorage>;
    let fresh = scene.kind.interrupted(blank(&args).unwrap());
    scene.record.attrs = fresh.to_object();
    scene.waits("the droplet boots").await;
    bucket.report(&args, "started", "K3s is running");
    scene.waits("next sign of life").await;
    scene.set(|state| state.renewed = Some("2026-08-01T12:01:30.500000Z"));
    scene.is_back().await;
}
