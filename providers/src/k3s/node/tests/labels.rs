//! Labels and taints of a living node, against a scripted API.

use super::*;
use crate::kubernetes::testing::{Asked, status};
use serde_json::{Value as Json, json};

const NAME: &str = "demo-server-0";

/// A node with what others put on it.
fn node_with(labels: &Json, taints: &Json) -> Json {
    let mut all = json!({"kubernetes.io/os": "linux", "team": "shop"});
    for (key, value) in labels.as_object().unwrap() {
        all[key] = value.clone();
    }
    let mut other =
        vec![json!({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"})];
    other.extend(taints.as_array().unwrap().iter().cloned());
    json!({
        "metadata": {"name": NAME, "resourceVersion": "7", "labels": all},
        "spec": {"providerID": "digitalocean://4711", "taints": other},
    })
}

struct Scene {
    node: Arc<Mutex<Json>>,
    patches: Arc<Mutex<Vec<Json>>>,
    /// What was written for K3s's next start.
    files: Arc<Mutex<Vec<Json>>>,
    /// What somebody else does before the next write, which misses it.
    between: Arc<Mutex<Option<Json>>>,
    fake: Fake,
    kind: K3sNode,
}

const JOBS: &str = "/apis/batch/v1/namespaces/kube-system/jobs/";
const SECRETS: &str = "/api/v1/namespaces/kube-system/secrets/";

/// A cluster of one node, merging patches where they name the version that is there.
fn scene(node: Json) -> Scene {
    let node = Arc::new(Mutex::new(node));
    let patches = Arc::new(Mutex::new(Vec::new()));
    let between = Arc::new(Mutex::new(None));
    let files = Arc::new(Mutex::new(Vec::new()));
    let (shown, patched, other) = (node.clone(), patches.clone(), between.clone());
    let noted = files.clone();
    let fake = Fake::new(move |asked: &Asked| {
        let mut node = shown.lock().unwrap();
        let path = asked.path.split('?').next().unwrap_or("");
        match (asked.method.as_str(), path) {
            ("GET", "/api/v1/nodes") => Some((200, json!({"items": [*node], "metadata": {}}))),
            ("GET", "/api/v1/nodes/demo-server-0") => Some((200, node.clone())),
            ("PATCH", "/api/v1/nodes/demo-server-0") => {
                if let Some(change) = other.lock().unwrap().take() {
                    merge(&mut node, &change);
                    return status(409, "Conflict", "the object has been modified");
                }
                assert_eq!(
                    asked.body["metadata"]["resourceVersion"],
                    node["metadata"]["resourceVersion"]
                );
                patched.lock().unwrap().push(asked.body.clone());
                merge(&mut node, &asked.body);
                Some((200, node.clone()))
            }
            ("GET", "/apis/batch/v1") => {
                let jobs = json!({"name": "jobs", "kind": "Job", "namespaced": true});
                Some((200, json!({"resources": [jobs]})))
            }
            ("GET", path) if path.starts_with(JOBS) => status(404, "NotFound", "no"),
            ("PATCH", path) if path.starts_with(JOBS) => {
                let pod = &asked.body["spec"]["template"]["spec"];
                // K3s goes on: only its file is written.
                assert_eq!(pod["containers"][0]["name"], "place-0");
                Some((200, asked.body.clone()))
            }
            ("PATCH", path) if path.starts_with(SECRETS) => {
                noted.lock().unwrap().push(asked.body["data"].clone());
                Some((200, asked.body.clone()))
            }
            (method, path) => panic!("nobody expected {method} {path}"),
        }
    });
    let kind = beside(&fake);
    Scene {
        node,
        patches,
        files,
        between,
        fake,
        kind,
    }
}

/// RFC 7386.
fn merge(into: &mut Json, patch: &Json) {
    let Some(patch) = patch.as_object() else {
        *into = patch.clone();
        return;
    };
    for (key, value) in patch {
        if value.is_null() {
            into.as_object_mut().unwrap().remove(key);
        } else if value.is_object() && into[key].is_object() {
            merge(&mut into[key], value);
        } else {
            into[key] = value.clone();
        }
    }
}

fn with(labels: &[(&str, &str)], taints: &[&str]) -> NodeArgs {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    NodeArgs {
        labels: labels.iter().map(owned).collect(),
        taints: taints.iter().map(|taint| (*taint).to_owned()).collect(),
        ..server("sqlite")
    }
}

fn started(args: &NodeArgs) -> NodeAttrs {
    NodeAttrs {
        phase: "started".to_owned(),
        ..blank(args).unwrap()
    }
}

impl Scene {
    async fn update(
        &self,
        before: &NodeArgs,
        after: &NodeArgs,
    ) -> Result<NodeAttrs, ProviderError> {
        let known = known(before, &started(before));
        let changed = ["labels", "taints"].into_iter().collect();
        Resource::update(&self.kind, &known, after, &changed, &permit()).await
    }

    async fn read(&self, args: &NodeArgs, attrs: &NodeAttrs) -> NodeAttrs {
        // Lists are shared for a second.
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        let known = known(args, attrs);
        Resource::read(&self.kind, &known).await.unwrap().unwrap()
    }
}

fn labels(labels: &[(&str, &str)]) -> BTreeMap<String, String> {
    with(labels, &[]).labels
}

#[tokio::test(start_paused = true)]
async fn what_kplan_set_is_changed_and_what_others_set_stays() {
    let ours = json!([
        {"key": "a", "value": "b", "effect": "NoSchedule"},
        {"key": "a", "effect": "NoExecute"},
    ]);
    let scene = scene(node_with(&json!({"tier": "app", "old": "1"}), &ours));
    let before = with(
        &[("tier", "app"), ("old", "1")],
        &["a=b:NoSchedule", "a:NoExecute"],
    );
    let after = with(
        &[("tier", "db"), ("new", "")],
        &["a=c:NoSchedule", "d:PreferNoSchedule"],
    );
    let attrs = scene.update(&before, &after).await.unwrap();
    let node = scene.node.lock().unwrap().clone();
    assert_eq!(
        node["metadata"]["labels"],
        json!({"kubernetes.io/os": "linux", "team": "shop", "tier": "db", "new": ""})
    );
    assert_eq!(
        node["spec"]["taints"],
        json!([
            {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"},
            {"key": "a", "value": "c", "effect": "NoSchedule"},
            {"key": "d", "effect": "PreferNoSchedule"},
        ])
    );
    assert_eq!(attrs.labels, Some(after.labels.clone()));
    assert_eq!(attrs.taints, Some(after.taints.clone()));
    assert_eq!(attrs.phase, "started");
    // K3s would give its node the old ones again when it is started.
    let file = scene.files.lock().unwrap()[0]["50-kplan.yaml"].clone();
    let file = base64::engine::general_purpose::STANDARD.decode(file.as_str().unwrap());
    let file = String::from_utf8(file.unwrap()).unwrap();
    assert!(
        file.contains("  - \"tier=db\"\n") && !file.contains("old"),
        "{file}"
    );
    // Cut off after it was done and run again, it writes nothing.
    scene.update(&before, &after).await.unwrap();
    assert_eq!(scene.patches.lock().unwrap().len(), 1);
    // The last taint goes without the others.
    let none = with(&[], &[]);
    let attrs = scene.update(&after, &none).await.unwrap();
    assert_eq!(
        (attrs.labels, attrs.taints),
        (Some(labels(&[])), Some(vec![]))
    );
    let node = scene.node.lock().unwrap().clone();
    assert_eq!(
        node["metadata"]["labels"],
        json!({"kubernetes.io/os": "linux", "team": "shop"})
    );
    assert_eq!(node["spec"]["taints"].as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_taint_that_comes_between_reading_and_writing_is_not_lost() {
    let scene = scene(node_with(&json!({}), &json!([])));
    let not_ready = json!([{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]);
    let change = json!({"metadata": {"resourceVersion": "8"}, "spec": {"taints": not_ready}});
    *scene.between.lock().unwrap() = Some(change);
    scene
        .update(&with(&[], &[]), &with(&[], &["a:NoSchedule"]))
        .await
        .unwrap();
    let node = scene.node.lock().unwrap().clone();
    assert_eq!(
        node["spec"]["taints"],
        json!([
            {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"},
            {"key": "a", "effect": "NoSchedule"},
        ])
    );
}

#[tokio::test(start_paused = true)]
async fn a_node_that_has_not_registered_is_waited_for() {
    let mut other = node_with(&json!({}), &json!([]));
    other["spec"]["providerID"] = json!("digitalocean://9");
    let scene = scene(other);
    let error = scene
        .update(&with(&[], &[]), &with(&[("a", "b")], &[]))
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Busy);
    assert!(error.message.contains("has not registered"), "{error}");
    assert_eq!(scene.patches.lock().unwrap().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_took_off_is_seen_where_the_cluster_answers() {
    let args = with(
        &[("tier", "app"), ("zone", "a")],
        &["a=b:NoSchedule", "c:NoExecute"],
    );
    let taint = json!([{"key": "a", "value": "x", "effect": "NoSchedule"}]);
    let scene = scene(node_with(&json!({"tier": "app"}), &taint));
    let seen = scene.read(&args, &started(&args)).await;
    assert_eq!(seen.labels, Some(labels(&[("tier", "app")])));
    assert_eq!(seen.taints, Some(vec!["a=x:NoSchedule".to_owned()]));
    // A cluster without the node, or none that answers, says nothing about it.
    scene.node.lock().unwrap()["spec"]["providerID"] = json!("digitalocean://9");
    assert_eq!(scene.read(&args, &seen).await, seen);
    let silent = kind(&Arc::new(Bucket::default()), 1);
    let known = known(&args, &seen);
    assert_eq!(Resource::read(&silent, &known).await.unwrap(), Some(seen));
}

#[tokio::test(start_paused = true)]
async fn one_list_serves_all_nodes_and_none_is_needed_without_labels() {
    let scene = scene(node_with(&json!({}), &json!([])));
    let mut nodes = Vec::new();
    for (index, of) in [with(&[("a", "b")], &[]), with(&[], &[])]
        .iter()
        .cycle()
        .take(40)
        .enumerate()
    {
        let mut args = of.clone();
        args.boot.node = format!("demo-agent-{index}");
        nodes.push(known(&args, &started(&args)));
    }
    let seen = Resource::read_all(&scene.kind, &nodes).await.unwrap();
    assert!(!seen.is_empty());
    assert_eq!(scene.fake.asked().len(), 1, "{:?}", scene.fake.asked());
    let plain = [nodes.swap_remove(1)];
    Resource::read_all(&scene.kind, &plain).await.unwrap();
    assert_eq!(scene.fake.asked().len(), 1);
}
