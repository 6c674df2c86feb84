//! A server whose data moves from SQLite to etcd, against a scripted API.

use super::*;
use crate::kubernetes::testing::{Asked, status};
use serde_json::{Value as Json, json};

const NAME: &str = "demo-server-0";
const LEASES: &str = "/apis/coordination.k8s.io/v1/leases";
const JOBS: &str = "/apis/batch/v1/namespaces/kube-system/jobs/";

/// What the API says, and what may change between two looks.
struct Cluster {
    answers: bool,
    member: bool,
    /// Seconds of the kubelet's last sign of life.
    renewed: u32,
    job: Option<Json>,
    written: Vec<String>,
}

struct Scene {
    cluster: Arc<Mutex<Cluster>>,
    kind: K3sNode,
}

fn answer(cluster: &mut Cluster, asked: &Asked) -> Option<(u16, Json)> {
    if !cluster.answers {
        return None;
    }
    let path = asked.path.split('?').next().unwrap_or("");
    let (mut labels, mut annotations) = (json!({}), json!({}));
    if cluster.member {
        labels["node-role.kubernetes.io/etcd"] = json!("true");
        annotations["etcd.k3s.cattle.io/node-name"] = json!("demo-server-0-1a2b");
    }
    let node = json!({
        "metadata": {"name": NAME, "labels": labels, "annotations": annotations},
        "spec": {"providerID": "digitalocean://4711"},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    });
    let list = |item: Json| Some((200, json!({"items": [item], "metadata": {}})));
    let types = |name: &str, kind: &str| {
        let one = json!({"name": name, "kind": kind, "namespaced": true});
        Some((200, json!({"resources": [one]})))
    };
    match (asked.method.as_str(), path) {
        ("GET", "/api/v1/nodes") => list(node),
        ("GET", "/api/v1/nodes/demo-server-0") => Some((200, node)),
        ("GET", "/apis/coordination.k8s.io/v1") => types("leases", "Lease"),
        ("GET", "/apis/batch/v1") => types("jobs", "Job"),
        ("GET", LEASES) => list(json!({
            "metadata": {"name": NAME, "namespace": "kube-node-lease"},
            "spec": {"renewTime": format!("2026-08-01T12:00:{:02}.000000Z", cluster.renewed)},
        })),
        (method, path) if path.starts_with(JOBS) => match (method, cluster.job.clone()) {
            ("GET", Some(job)) => Some((200, job)),
            ("GET", None) => status(404, "NotFound", "no"),
            ("DELETE", _) => {
                cluster.written.push("delete".to_owned());
                cluster.job = None;
                Some((200, json!({})))
            }
            ("PATCH", _) => {
                cluster.written.push("apply".to_owned());
                cluster.job.get_or_insert(asked.body.clone());
                Some((200, asked.body.clone()))
            }
            other => panic!("nobody expected {other:?}"),
        },
        (method, path) => panic!("nobody expected {method} {path}"),
    }
}

fn scene() -> Scene {
    let cluster = Arc::new(Mutex::new(Cluster {
        answers: true,
        member: false,
        renewed: 1,
        job: None,
        written: Vec::new(),
    }));
    let shown = Arc::clone(&cluster);
    let fake = Fake::new(move |asked| answer(&mut shown.lock().unwrap(), asked));
    let bucket: Arc<dyn BootStorage> = Arc::new(Bucket::default());
    let now = Timestamp(BORN);
    let kind = K3sNode::new(
        bucket,
        Arc::new(Digests),
        fake.kubernetes(),
        Arc::new(move || now),
    );
    Scene { cluster, kind }
}

/// Before and after, without labels, which are another reason to ask.
fn plain(kind: &str) -> NodeArgs {
    let mut args = server(kind);
    args.labels.clear();
    args.taints.clear();
    args
}

fn started(args: &NodeArgs) -> NodeAttrs {
    NodeAttrs {
        phase: "started".to_owned(),
        ..blank(args).unwrap()
    }
}

impl Scene {
    fn set(&self, change: impl FnOnce(&mut Cluster)) {
        change(&mut self.cluster.lock().unwrap());
    }

    fn written(&self) -> Vec<String> {
        std::mem::take(&mut self.cluster.lock().unwrap().written)
    }

    async fn update(&self) -> NodeAttrs {
        let before = plain("sqlite");
        let known = known(&before, &started(&before));
        let changed = std::iter::once("datastore").collect();
        let (after, permit) = (plain("etcd"), permit());
        let updated = Resource::update(&self.kind, &known, &after, &changed, &permit);
        updated.await.unwrap()
    }

    /// Looks as the engine does: with the attributes of the look before.
    async fn look(&self, attrs: &NodeAttrs) -> NodeAttrs {
        tokio::time::sleep(std::time::Duration::from_secs(10)).await;
        let known = known(&plain("etcd"), attrs);
        Resource::read(&self.kind, &known).await.unwrap().unwrap()
    }

    fn waits(&self, attrs: &NodeAttrs, word: &str) {
        match self.kind.readiness(attrs) {
            Readiness::Waiting(why) => assert!(why.contains(word), "{why}"),
            other => panic!("{other:?}"),
        }
        // It is never replaced for being late: it holds the cluster's data.
        assert!(self.kind.is_interrupted(attrs));
    }
}

fn kind_of(attrs: &NodeAttrs) -> &str {
    attrs
        .datastore
        .as_ref()
        .map_or("", |datastore| &datastore.kind)
}

#[tokio::test(start_paused = true)]
async fn it_has_moved_when_k3s_says_so_and_the_node_is_back() {
    let scene = scene();
    let mut attrs = scene.update().await;
    assert_eq!(scene.written(), ["apply"]);
    assert_eq!(kind_of(&attrs), "sqlite");
    scene.waits(&attrs, "moves its data");
    // The API goes away and comes back, before the server is a member.
    scene.set(|cluster| cluster.answers = false);
    attrs = scene.look(&attrs).await;
    scene.waits(&attrs, "does not answer");
    scene.set(|cluster| cluster.answers = true);
    attrs = scene.look(&attrs).await;
    scene.waits(&attrs, "moves its data");
    assert_eq!(kind_of(&attrs), "sqlite");
    scene.set(|cluster| cluster.member = true);
    attrs = scene.look(&attrs).await;
    assert_eq!(kind_of(&attrs), "etcd");
    scene.waits(&attrs, "next sign of life");
    scene.set(|cluster| cluster.renewed = 11);
    attrs = scene.look(&attrs).await;
    assert_eq!(scene.kind.readiness(&attrs), Readiness::Ready);
    assert_eq!((kind_of(&attrs), attrs.away.as_deref()), ("etcd", None));
    assert_eq!(scene.written(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn asked_again_it_begins_nothing_new_unless_the_job_gave_up() {
    let scene = scene();
    scene.update().await;
    scene.update().await;
    assert_eq!(scene.written(), ["apply", "apply"]);
    let failed = |given_up: &str| json!({"failed": 4, "conditions": [{"type": "Failed", "status": given_up}]});
    scene.set(|cluster| cluster.job.as_mut().unwrap()["status"] = failed("False"));
    let attrs = scene.look(&scene.update().await).await;
    scene.waits(&attrs, "in 4 pods; it tries again");
    scene.set(|cluster| cluster.job.as_mut().unwrap()["status"] = failed("True"));
    let attrs = scene.look(&attrs).await;
    scene.waits(&attrs, "it gave up");
    assert_eq!(scene.written(), ["apply"]);
    scene.update().await;
    assert_eq!(scene.written(), ["delete", "apply"]);
    // One that was cut off after it was done has nothing left to do.
    scene.set(|cluster| cluster.member = true);
    let attrs = scene.update().await;
    assert_eq!((kind_of(&attrs), attrs.away.as_deref()), ("etcd", None));
    assert_eq!(scene.written(), [""; 0]);
}
