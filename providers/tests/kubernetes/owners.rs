//! Fields of one object that kplan, an autoscaler and somebody's hand have: what each of them sets stays
//! theirs. For any server that keeps a book of owners.

use crate::boots::boot;
use crate::hands::Hands;
use crate::rig::Rig;
use kplan_model::codec::ObjectCodec as _;
use kplan_model::{Input, Known, Object};
use kplan_providers::k3s::Access;
use kplan_providers::kubernetes::{AddonManifestArgs, Applied};
use serde_json::{Value as Json, json};

const WEB: &str = "/apis/apps/v1/namespaces/owners/deployments/web";
const MAP: &str = "/api/v1/namespaces/owners/configmaps/map";
const HPA: &str = "kube-controller-manager";

const TEAM: &str = "apps/v1 Deployment owners/web: metadata.labels.team is \"two\"";

/// Everybody but kplan.
pub(crate) struct Others(pub(crate) kube::Client);

impl Others {
    /// Once more where the object changed meanwhile, as every such program does.
    async fn ask(&self, method: &str, path: &str, body: Vec<u8>) -> Json {
        for _ in 0..20 {
            let request = http::Request::builder().method(method).uri(path);
            let request = request.header("content-type", "application/merge-patch+json");
            match self.0.request(request.body(body.clone()).unwrap()).await {
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                answer => return answer.unwrap_or_else(|error| panic!("{method} {path}: {error}")),
            }
        }
        panic!("{method} {path} is always a conflict");
    }

    async fn get(&self, path: &str) -> Json {
        self.ask("GET", path, Vec::new()).await
    }

    /// Merges a patch as this manager.
    async fn set(&self, manager: &str, path: &str, patch: &Json) {
        let path = format!("{path}?fieldManager={manager}");
        self.ask("PATCH", &path, patch.to_string().into_bytes())
            .await;
    }

    async fn label(&self, name: &str, value: &str) {
        let patch = json!({ "metadata": { "labels": { name: value } } });
        self.set("kubectl-label", WEB, &patch).await;
    }

    async fn scale(&self, manager: &str, replicas: u32) {
        let patch = json!({ "spec": { "replicas": replicas } });
        self.set(manager, &format!("{WEB}/scale"), &patch).await;
    }
}

/// What the file says: an image, and more labels than `team`.
fn args(access: &Input<Access>, image: &str, labels: &[(&str, &str)]) -> Object {
    let labels: serde_json::Map<String, Json> = labels
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect();
    let web = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "labels": labels },
        "spec": {
            "replicas": 2,
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "web", "image": image }] },
            },
        },
    });
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "map", "finalizers": ["example.org/a"], "labels": { "team": "one" } },
    });
    AddonManifestArgs {
        access: access.clone(),
        objects: Applied,
        artifacts: Vec::new(),
        sources: None,
        content: Some(format!("{web}\n---\n{map}\n")),
        namespace: Some("owners".to_owned()),
    }
    .to_object()
}

struct Owners<'a> {
    hands: &'a Hands,
    others: &'a Others,
    known: Known,
}

impl Owners<'_> {
    async fn says(&mut self, expected: &str) {
        let seen = self.hands.says(&self.known, |seen| seen == expected);
        self.known.attrs = seen.await;
    }

    async fn put_back(&mut self, shown: &str) {
        self.says(&format!("1 changed by hand ({shown})")).await;
        self.known.attrs = self.hands.put_back(&self.known).await.unwrap();
        self.says("applied").await;
    }

    /// Somebody gives the label another value, and then the one it had.
    async fn there_and_back(&mut self, value: &str) {
        self.others.label("team", "two").await;
        self.says(&format!("1 changed by hand ({TEAM})")).await;
        self.others.label("team", value).await;
        self.says("applied").await;
    }

    /// The plan shows one line that changes, and the apply changes that.
    async fn change(&mut self, to: Object, lines: [&str; 2]) {
        let shown = self.hands.preview(&self.known, &to).await;
        let [shown] = shown.as_slice() else {
            panic!("{shown:?}")
        };
        // The controller counts its roll-outs meanwhile.
        let only = |one: &str, other: &str| -> Vec<String> {
            let lines = one.lines().map(str::trim);
            let other: Vec<&str> = other.lines().map(str::trim).collect();
            let new = lines.filter(|line| !other.contains(line) && !line.contains("/revision: "));
            new.map(str::to_owned).collect()
        };
        let [before, after] = lines;
        assert_eq!(only(&shown.before, &shown.after), [before]);
        assert_eq!(only(&shown.after, &shown.before), [after]);
        let attrs = self.hands.try_update(&self.known, to.clone()).await;
        self.known.attrs = attrs.unwrap();
        self.known.args = to;
        self.says("applied").await;
    }

    /// Replicas, the label `team`, the image.
    async fn web(&self) -> (Json, Json, Json) {
        let web = self.others.get(WEB).await;
        (
            web["spec"]["replicas"].clone(),
            web["metadata"]["labels"]["team"].clone(),
            web["spec"]["template"]["spec"]["containers"][0]["image"].clone(),
        )
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_keeps_what_is_theirs_in_the_sandbox() {
    let rig = Rig::start().await;
    let booted = boot(&rig).await;
    let client = rig.client.lock().unwrap().clone();
    let others = Others(client.unwrap());
    each_keeps_what_is_theirs(&rig, &others, booted.access.clone().into()).await;
    rig.running.shutdown();
}

pub(crate) async fn each_keeps_what_is_theirs(
    hands: &Hands,
    others: &Others,
    access: Input<Access>,
) {
    let file = |image: &str, team: &str| args(&access, image, &[("team", team)]);
    let made = hands.create("addon_manifest.owners", file("web:1", "one"));
    let mut at = Owners {
        hands,
        others,
        known: made.await.unwrap(),
    };
    at.says("applied").await;

    // One label is put back, and the autoscaler's replicas stay.
    others.scale(HPA, 7).await;
    at.says("applied").await;
    others.label("team", "two").await;
    at.put_back(TEAM).await;
    assert_eq!(at.web().await, (json!(7), json!("one"), json!("web:1")));
    // The file changes something else, then the very field that somebody changed and changed back.
    let lines = ["- image: web:1", "- image: web:2"];
    at.change(file("web:2", "one"), lines).await;
    assert_eq!(at.web().await, (json!(7), json!("one"), json!("web:2")));
    at.there_and_back("one").await;
    at.change(file("web:2", "three"), ["team: one", "team: three"])
        .await;
    // The same once kplan has it together with somebody else.
    at.there_and_back("three").await;
    let lines = ["- image: web:2", "- image: web:3"];
    at.change(file("web:3", "three"), lines).await;
    at.change(file("web:3", "one"), ["team: three", "team: one"])
        .await;
    assert_eq!(at.web().await, (json!(7), json!("one"), json!("web:3")));

    // A field that others added is not taken because the file names it, too.
    others.label("more", "theirs").await;
    let more = args(&access, "web:3", &[("team", "one"), ("more", "ours")]);
    let refused = hands.try_update(&at.known, more).await.unwrap_err();
    assert!(refused.message.contains("kubectl-label"), "{refused}");
    // By hand it is what an autoscaler had before.
    others.scale("kubectl", 3).await;
    at.put_back("apps/v1 Deployment owners/web: spec.replicas is 3")
        .await;
    assert_eq!(at.web().await, (json!(2), json!("one"), json!("web:3")));
    sets(&mut at).await;
    hands.delete(&at.known).await.unwrap();
}

/// A list that others add to.
async fn sets(at: &mut Owners<'_>) {
    let others = at.others;
    let finalizers = |all: &[&str]| json!({ "metadata": { "finalizers": all } });
    let both = finalizers(&["example.org/a", "other.io/b"]);
    others.set("other", MAP, &both).await;
    let label = json!({ "metadata": { "labels": { "team": "two" } } });
    others.set("kubectl-label", MAP, &label).await;
    at.put_back("v1 ConfigMap owners/map: metadata.labels.team is \"two\"")
        .await;
    others.set("other", MAP, &finalizers(&["other.io/b"])).await;
    at.put_back("v1 ConfigMap owners/map: metadata.finalizers[example.org/a] is gone")
        .await;
    let map = others.get(MAP).await;
    let there = map["metadata"]["finalizers"].as_array().unwrap();
    assert!(there.contains(&json!("example.org/a")) && there.contains(&json!("other.io/b")));
    others
        .set("other", MAP, &json!({ "metadata": { "finalizers": null } }))
        .await;
}
