//! What a living node is told anew, against a scripted API.

use super::*;
use crate::kubernetes::testing::{Asked, status};
use serde_json::{Value as Json, json};

const NAME: &str = "demo-server-0";
const LEASES: &str = "/apis/coordination.k8s.io/v1/leases";
const JOBS: &str = "/apis/batch/v1/namespaces/kube-system/jobs/";
const SECRETS: &str = "/api/v1/namespaces/kube-system/secrets/";

/// What the API says, and what may change between two looks.
struct Cluster {
    answers: bool,
    member: bool,
    /// Seconds of the kubelet's last sign of life.
    renewed: u32,
    job: Option<Json>,
    /// The file K3s finds when it is started.
    file: String,
    /// The configurations with the server tokens that were brought, the old one first.
    tokens: Vec<String>,
    /// What K3s was started with.
    args: Json,
    written: Vec<String>,
}

impl Cluster {
    /// K3s is started again.
    fn restart(&mut self) {
        let mark = self.file.lines().last().unwrap_or_default();
        let mark = mark.trim_start_matches("  - ").trim_matches('"');
        self.args = json!(["server", "--node-label", mark]);
    }

    /// K3s is started again, with one of the two server tokens.
    fn restart_with(&mut self, token: usize) {
        self.restart();
        let label = self.tokens[token].lines().last().unwrap_or_default();
        let label = label.trim_start_matches("  - ").trim_matches('"');
        let args = self.args.as_array_mut().unwrap();
        args.extend([json!("--node-label"), json!(label)]);
    }
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
    let mut labels = json!({});
    let mut annotations = json!({"k3s.io/node-args": cluster.args.to_string()});
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
                let mut made = asked.body.clone();
                made["metadata"]["uid"] = json!("1f");
                Some((200, cluster.job.get_or_insert(made).clone()))
            }
            other => panic!("nobody expected {other:?}"),
        },
        ("PATCH", path) if path.starts_with(SECRETS) => {
            let owner = &asked.body["metadata"]["ownerReferences"][0];
            assert_eq!(
                (&owner["kind"], &owner["uid"]),
                (&json!("Job"), &json!("1f"))
            );
            let text = |key: &str| {
                let data = asked.body["data"][key].as_str()?;
                let data = base64::engine::general_purpose::STANDARD.decode(data);
                String::from_utf8(data.unwrap()).ok()
            };
            cluster.file = text("50-kplan.yaml").unwrap();
            let tokens = ["old", "new"].iter();
            let tokens = tokens.filter_map(|one| text(&format!("server-token.{one}")));
            cluster.tokens = tokens.collect();
            Some((200, asked.body.clone()))
        }
        (method, path) => panic!("nobody expected {method} {path}"),
    }
}

fn scene() -> Scene {
    let cluster = Arc::new(Mutex::new(Cluster {
        answers: true,
        member: false,
        renewed: 1,
        job: None,
        file: String::new(),
        tokens: Vec::new(),
        args: json!(["server"]),
        written: Vec::new(),
    }));
    let shown = Arc::clone(&cluster);
    let fake = Fake::new(move |asked| answer(&mut shown.lock().unwrap(), asked));
    let kind = beside(&fake);
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
        self.change((&plain("sqlite"), &plain("etcd")), "datastore")
            .await
    }

    async fn change(&self, (before, after): (&NodeArgs, &NodeArgs), field: &str) -> NodeAttrs {
        let known = known(before, &started(before));
        let changed = std::iter::once(field).collect();
        let permit = permit();
        let updated = Resource::update(&self.kind, &known, after, &changed, &permit);
        updated.await.unwrap()
    }

    /// Looks as the engine does: with the attributes of the look before.
    async fn look(&self, attrs: &NodeAttrs) -> NodeAttrs {
        self.look_at(&plain("etcd"), attrs).await
    }

    async fn look_at(&self, args: &NodeArgs, attrs: &NodeAttrs) -> NodeAttrs {
        tokio::time::sleep(std::time::Duration::from_secs(10)).await;
        let known = known(args, attrs);
        Resource::read(&self.kind, &known).await.unwrap().unwrap()
    }

    fn file(&self) -> String {
        self.cluster.lock().unwrap().file.clone()
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
    scene.set(Cluster::restart);
    attrs = scene.look(&attrs).await;
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
    scene.set(Cluster::restart);
    scene.set(|cluster| cluster.member = true);
    let attrs = scene.update().await;
    assert_eq!((kind_of(&attrs), attrs.away.as_deref()), ("etcd", None));
    assert_eq!(scene.written(), [""; 0]);
}

/// What a job does after the files are there, and before the restart.
fn programs(job: &Json) -> Vec<&str> {
    let all = job["spec"]["template"]["spec"]["initContainers"].as_array();
    let names = all.unwrap().iter();
    let names = names.map(|one| one["name"].as_str().unwrap());
    let files = |name: &str| name.starts_with("write-") || name.starts_with("place-");
    names.filter(|name| !files(name)).collect()
}

#[tokio::test(start_paused = true)]
async fn another_server_token_is_in_effect_when_k3s_was_started_with_it() {
    let scene = scene();
    let before = plain("etcd");
    let mut after = plain("etcd");
    after.server_token_before = after.server_token.clone();
    after.server_token = Some(Secret::new("another".to_owned()).into());
    after.server_token_after = Some(1_700_000_000_000);
    let attrs = scene.change((&before, &after), "server_token_after").await;
    let job = scene.cluster.lock().unwrap().job.clone().unwrap();
    assert_eq!(programs(&job), ["reload", "exchange"]);
    assert_eq!(attrs.server_token_after, Some(0));
    // It came up, but not with that one.
    scene.set(|cluster| cluster.restart_with(0));
    let attrs = scene.look_at(&after, &attrs).await;
    assert_eq!(attrs.server_token_after, Some(0));
    scene.waits(&attrs, "new configuration");
    scene.set(|cluster| cluster.restart_with(1));
    let attrs = scene.look_at(&after, &attrs).await;
    assert_eq!(attrs.server_token_after, after.server_token_after);
    scene.waits(&attrs, "next sign of life");
    // What is told next has nothing to do with it.
    let mut next = after.clone();
    next.server_token_before = None;
    next.agent_token = Secret::new("another".to_owned()).into();
    scene.set(|cluster| cluster.job = None);
    let known = known(&after, &attrs);
    let changed: FieldSet = std::iter::once("agent_token").collect();
    let permit = permit();
    Resource::update(&scene.kind, &known, &next, &changed, &permit)
        .await
        .unwrap();
    let job = scene.cluster.lock().unwrap().job.clone().unwrap();
    assert_eq!(programs(&job), ["reload"]);
}

#[tokio::test(start_paused = true)]
async fn other_names_are_in_effect_when_k3s_was_started_with_them() {
    let scene = scene();
    let before = plain("etcd");
    let mut after = plain("etcd");
    after.tls_sans = vec!["k8s.example.org".to_owned().into()];
    let mut attrs = scene.change((&before, &after), "tls_sans").await;
    scene.waits(&attrs, "new configuration");
    let file = scene.file();
    assert!(
        file.contains("tls-san:\n  - \"k8s.example.org\"\n"),
        "{file}"
    );
    assert!(!file.contains("cluster-init"), "{file}");
    // The kubelet's signs of life say nothing as long as K3s was not started again.
    scene.set(|cluster| cluster.renewed = 11);
    attrs = scene.look_at(&after, &attrs).await;
    scene.set(|cluster| cluster.renewed = 21);
    attrs = scene.look_at(&after, &attrs).await;
    scene.waits(&attrs, "new configuration");
    assert_eq!(attrs.tls_sans.as_deref(), known_before(&before).as_deref());
    scene.set(Cluster::restart);
    attrs = scene.look_at(&after, &attrs).await;
    assert_eq!(attrs.tls_sans, Some(vec!["k8s.example.org".to_owned()]));
    scene.waits(&attrs, "next sign of life");
    scene.set(|cluster| cluster.renewed = 31);
    attrs = scene.look_at(&after, &attrs).await;
    assert_eq!(scene.kind.readiness(&attrs), Readiness::Ready);
    // None at all is told as well, or those of the bundle would stay.
    after.tls_sans.clear();
    scene.set(|cluster| cluster.job = None);
    scene.change((&before, &after), "tls_sans").await;
    assert!(scene.file().contains("tls-san: []\n"), "{}", scene.file());
}

fn known_before(args: &NodeArgs) -> Option<Vec<String>> {
    let sans = args.tls_sans.iter().map(|san| san.known().ok().cloned());
    sans.collect()
}

#[tokio::test(start_paused = true)]
async fn certificates_are_made_anew_at_the_restart_and_once() {
    let scene = scene();
    let before = plain("etcd");
    let mut after = plain("etcd");
    after.certificates_after = Some(1_700_000_000_000);
    let attrs = scene.change((&before, &after), "certificates_after").await;
    let job = scene.cluster.lock().unwrap().job.clone().unwrap();
    assert_eq!(programs(&job), ["reload", "certificates"]);
    assert_eq!(attrs.certificates_after, Some(0));
    scene.set(Cluster::restart);
    let attrs = scene.look_at(&after, &attrs).await;
    assert_eq!(attrs.certificates_after, after.certificates_after);
    // What is told next does not do it again.
    let mut next = after.clone();
    next.agent_token = Secret::new("another".to_owned()).into();
    scene.set(|cluster| cluster.job = None);
    let known = known(&after, &attrs);
    let changed: FieldSet = std::iter::once("agent_token").collect();
    let permit = permit();
    let updated = Resource::update(&scene.kind, &known, &next, &changed, &permit);
    let attrs = updated.await.unwrap();
    scene.waits(&attrs, "new configuration");
    let job = scene.cluster.lock().unwrap().job.clone().unwrap();
    assert_eq!(programs(&job), ["reload"]);
    assert!(scene.file().contains("agent-token: \"another\""));
}

#[test]
fn agents_are_told_their_token_and_nothing_of_a_servers() {
    let mut args = agent();
    args.agent_token = Secret::new("another".to_owned()).into();
    let told = config::told(&args, false).unwrap();
    let lines: Vec<&str> = told.content.lines().collect();
    assert_eq!(lines.len(), 2 + args.labels.len() + 1, "{}", told.content);
    assert!(lines[0].starts_with("token: \"K10") && lines[0].ends_with("::node:another\""));
    assert_eq!(lines[1], "node-label:");
    assert!(lines[lines.len() - 1].contains(&told.mark));
    args.certificates_after = Some(1);
    assert_ne!(config::told(&args, false).unwrap().mark, told.mark);
}
