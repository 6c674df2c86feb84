//! The Helm controller: charts that are installed, changed, uninstalled, and refused.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use serde_json::{Value, json};

use super::platform::namespace;
use super::{CRD, Client, Cluster, condition, config, established, plain_node};
use crate::clock::Clock;
use crate::kubernetes::ClusterConfig;
use crate::kubernetes::controllers::packed_chart;
use crate::rng::Rng;
use crate::store::Store;

const CHARTS: &str = "/apis/helm.cattle.io/v1/namespaces/kube-system/helmcharts";
const JOBS: &str = "/apis/batch/v1/namespaces/kube-system/jobs";
const PODS: &str = "/api/v1/namespaces/kube-system/pods";
const SHOP: &str = "/api/v1/namespaces/shop";
const MERGE: &str = "application/merge-patch+json";

const CHART: (&str, &str) = ("Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.2.3\n");
const DEPLOYMENT: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: nginx}]}
";
const WIDGETS: &str = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, kind: Widget}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";
const WIDGET: &str = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: one}\n";

fn map(name: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{key: {value}}}\n")
}

/// A chart of these files beside its `Chart.yaml`, as `spec.chartContent` has it.
fn packed(files: &[(&str, &str)]) -> String {
    let mut all = vec![CHART];
    all.extend(files);
    STANDARD.encode(packed_chart(&all))
}

/// A chart for the namespace `shop`, which it makes.
fn chart(content: &str) -> Value {
    json!({"metadata": {"name": "web"}, "spec": {
        "chartContent": content, "targetNamespace": "shop", "createNamespace": true,
        "valuesContent": "replicas: 2\n", "backOffLimit": 2}})
}

async fn ready() -> (Cluster, Client) {
    let clock = Clock::starting_at(60.0, "2026-03-01T12:00:00Z".parse().unwrap());
    let opened = Cluster::open("helm", config(), Store::in_memory(), clock, Rng::seeded(7));
    let cluster = opened.await.unwrap();
    cluster.register_node(plain_node("n1"));
    let client = Client::admin(&cluster);
    for plural in ["helmcharts", "helmchartconfigs"] {
        established(&client, &format!("{plural}.helm.cattle.io")).await;
    }
    (cluster, client)
}

async fn complete(client: &Client, job: &str) -> Value {
    let path = format!("{JOBS}/{job}");
    client.until(&path, |job| condition(job, "Complete")).await
}

async fn installed(client: &Client, content: &str) -> Value {
    client.create(CHARTS, &chart(content)).await;
    complete(client, "helm-install-web").await
}

async fn change(client: &Client, spec: Value) {
    let patch = json!({"spec": spec});
    let path = format!("{CHARTS}/web");
    let (code, body) = client.call("PATCH", &path, MERGE, &patch).await;
    assert_eq!(code, 200, "{body}");
}

/// The pods of a chart's jobs.
async fn pods(client: &Client) -> Vec<Value> {
    let path = format!("{PODS}?labelSelector=helmcharts.helm.cattle.io/chart=web");
    client.get(&path).await["items"].as_array().unwrap().clone()
}

/// What the newest container of a chart left as its message.
async fn said(client: &Client) -> String {
    for _ in 0..600 {
        for pod in pods(client).await {
            let status = &pod["status"]["containerStatuses"][0];
            for state in ["state", "lastState"] {
                if let Some(text) = status[state]["terminated"]["message"].as_str() {
                    return text.to_owned();
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no container ended: {:#?}", pods(client).await);
}

async fn release(client: &Client, revision: u64) -> Value {
    client
        .get(&format!(
            "{SHOP}/secrets/sh.helm.release.v1.web.v{revision}"
        ))
        .await
}

/// What a release's Secret records.
fn record(secret: &Value) -> Value {
    let sealed = STANDARD.decode(secret["data"]["release"].as_str().unwrap());
    let packed = STANDARD.decode(sealed.unwrap()).unwrap();
    serde_json::from_reader(GzDecoder::new(packed.as_slice())).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_chart_is_installed_with_its_definitions_and_becomes_ready() {
    let (_cluster, client) = ready().await;
    let content = packed(&[
        ("crds/widgets.yaml", WIDGETS),
        ("templates/deployment.yaml", DEPLOYMENT),
        ("templates/widget.yaml", WIDGET),
    ]);
    let job = installed(&client, &content).await;
    assert_eq!(job["spec"]["backoffLimit"], 2);
    let pod = &job["spec"]["template"]["spec"];
    assert_eq!(
        pod["containers"][0]["args"],
        json!(["install", "--namespace", "shop", "--create-namespace"])
    );
    assert_eq!(pod["restartPolicy"], "OnFailure");
    assert_eq!(said(&client).await, "Installing helm chart");
    let path = "/apis/apps/v1/namespaces/shop/deployments/web";
    let deployment = client.until(path, |d| condition(d, "Available")).await;
    let metadata = &deployment["metadata"];
    assert_eq!(metadata["labels"]["app.kubernetes.io/managed-by"], "Helm");
    assert_eq!(metadata["annotations"]["meta.helm.sh/release-name"], "web");
    assert_eq!(
        metadata["annotations"]["meta.helm.sh/release-namespace"],
        "shop"
    );
    assert_eq!(metadata["managedFields"][0]["manager"], "helm");
    client
        .get("/apis/example.com/v1/namespaces/shop/widgets/one")
        .await;
    let definition = client.get(&format!("{CRD}/widgets.example.com")).await;
    assert!(
        definition["metadata"].get("labels").is_none(),
        "not of the release"
    );
    assert_eq!(client.get(SHOP).await["metadata"]["labels"]["name"], "shop");
    let secret = release(&client, 1).await;
    assert_eq!(secret["type"], "helm.sh/release.v1");
    assert_eq!(secret["metadata"]["labels"]["status"], "deployed");
    let record = record(&secret);
    assert_eq!(record["config"], json!({"replicas": 2}));
    assert_eq!(record["chart"]["metadata"]["version"], "1.2.3");
    let manifest = record["manifest"].as_str().unwrap();
    assert!(manifest.contains("# Source: web/templates/deployment.yaml"));
    assert!(!manifest.contains("CustomResourceDefinition"));
    let chart = client.get(&format!("{CHARTS}/web")).await;
    assert_eq!(chart["status"]["jobName"], "helm-install-web");
    assert!(condition(&chart, "JobCreated") && !condition(&chart, "Failed"));
    let owner = &chart["metadata"]["annotations"]["helmcharts.cattle.io/managed-by"];
    assert_eq!(owner, "helm-controller");
    // Nothing changed, so nothing is done again.
    tokio::time::sleep(Duration::from_mins(1)).await;
    let later = client.get(&format!("{JOBS}/helm-install-web")).await;
    assert_eq!(later["metadata"]["uid"], job["metadata"]["uid"]);
    assert!(
        client
            .missing(&format!("{SHOP}/secrets/sh.helm.release.v1.web.v2"))
            .await
    );
}

#[tokio::test(start_paused = true)]
async fn a_changed_chart_is_upgraded_and_what_left_it_goes() {
    let (_cluster, client) = ready().await;
    let first = [
        ("templates/a.yaml", map("a", "one")),
        ("templates/b.yaml", map("b", "one")),
    ];
    let files = |all: &[(&'static str, String)]| {
        let all: Vec<(&str, &str)> = all
            .iter()
            .map(|(path, text)| (*path, text.as_str()))
            .collect();
        packed(&all)
    };
    let old = installed(&client, &files(&first)).await;
    client.get(&format!("{SHOP}/configmaps/b")).await;
    let second = [("templates/a.yaml", map("a", "two"))];
    change(&client, json!({"chartContent": files(&second)})).await;
    client.until_gone(&format!("{SHOP}/configmaps/b")).await;
    let map = client.get(&format!("{SHOP}/configmaps/a")).await;
    assert_eq!(map["data"]["key"], "two");
    let new = complete(&client, "helm-install-web").await;
    assert_ne!(old["metadata"]["uid"], new["metadata"]["uid"], "a new job");
    let env = &new["spec"]["template"]["spec"]["containers"][0]["env"];
    let expected = json!({"name": "EXPECTED_RELEASE_REVISION", "value": "1"});
    assert!(env.as_array().unwrap().contains(&expected), "{env}");
    for (revision, status) in [(1, "superseded"), (2, "deployed")] {
        let labels = &release(&client, revision).await["metadata"]["labels"];
        assert_eq!(labels["status"], status);
    }
    // Ten revisions are kept.
    for revision in 3..=12 {
        change(
            &client,
            json!({"valuesContent": format!("replicas: {revision}")}),
        )
        .await;
        let path = format!("{SHOP}/secrets/sh.helm.release.v1.web.v{revision}");
        client
            .until(&path, |secret| {
                secret["metadata"]["labels"]["status"] == "deployed"
            })
            .await;
    }
    let left = client
        .get(&format!("{SHOP}/secrets?labelSelector=owner=helm"))
        .await;
    assert_eq!(left["items"].as_array().unwrap().len(), 10);
    assert!(
        client
            .missing(&format!("{SHOP}/secrets/sh.helm.release.v1.web.v2"))
            .await
    );
}

#[tokio::test(start_paused = true)]
async fn a_deleted_chart_is_uninstalled_before_it_goes() {
    let (_cluster, client) = ready().await;
    let kept = map("kept", "x").replace(
        "{name: kept}",
        "{name: kept, annotations: {helm.sh/resource-policy: keep}}",
    );
    installed(
        &client,
        &packed(&[
            ("crds/widgets.yaml", WIDGETS),
            ("templates/deployment.yaml", DEPLOYMENT),
            ("templates/kept.yaml", &kept),
        ]),
    )
    .await;
    let path = format!("{CHARTS}/web");
    client.call("DELETE", &path, "", &Value::Null).await;
    let waiting = client.get(&path).await;
    let finalizers = json!(["wrangler.cattle.io/on-helm-chart-remove"]);
    assert_eq!(waiting["metadata"]["finalizers"], finalizers);
    let job = client
        .until(&format!("{JOBS}/helm-delete-web"), |_| true)
        .await;
    let container = &job["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["args"], json!(["delete"]));
    client.until_gone(&path).await;
    for gone in [
        "/apis/apps/v1/namespaces/shop/deployments/web".to_owned(),
        format!("{SHOP}/secrets/sh.helm.release.v1.web.v1"),
        "/api/v1/namespaces/kube-system/configmaps/chart-content-web".to_owned(),
        "/api/v1/namespaces/kube-system/secrets/chart-values-web".to_owned(),
        "/api/v1/namespaces/kube-system/serviceaccounts/helm-web".to_owned(),
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/helm-kube-system-web".to_owned(),
    ] {
        assert!(client.missing(&gone).await, "{gone}");
    }
    client.until_gone(&format!("{JOBS}/helm-install-web")).await;
    client.until_gone(&format!("{JOBS}/helm-delete-web")).await;
    client.get(&format!("{CRD}/widgets.example.com")).await;
    client.get(&format!("{SHOP}/configmaps/kept")).await;
    client.get(SHOP).await;
}

#[tokio::test(start_paused = true)]
async fn a_chart_in_a_namespace_that_ends_is_let_go() {
    let (_cluster, client) = ready().await;
    namespace(&client, "charts").await;
    let charts = "/apis/helm.cattle.io/v1/namespaces/charts/helmcharts";
    let content = packed(&[("templates/a.yaml", &map("a", "one"))]);
    client.create(charts, &chart(&content)).await;
    let job = "/apis/batch/v1/namespaces/charts/jobs/helm-install-web";
    client.until(job, |job| condition(job, "Complete")).await;
    client
        .call("DELETE", "/api/v1/namespaces/charts", "", &Value::Null)
        .await;
    client.until_gone("/api/v1/namespaces/charts").await;
    client.get(&format!("{SHOP}/configmaps/a")).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_no_chart_fails_its_job_after_so_many_restarts() {
    for (content, why) in [
        ("not base64!".to_owned(), "base64: invalid input"),
        (
            STANDARD.encode("not gzip"),
            "INSTALLATION FAILED: cannot load the chart's archive",
        ),
        (
            STANDARD.encode(packed_chart(&[("values.yaml", "a: 1")])),
            "INSTALLATION FAILED: Chart.yaml file is missing",
        ),
        (
            packed(&[("templates/a.yaml", WIDGET)]),
            "no matches for kind \"Widget\" in version \"example.com/v1\"",
        ),
    ] {
        let (_cluster, client) = ready().await;
        client.create(CHARTS, &chart(&content)).await;
        let found = said(&client).await;
        assert!(found.contains(why), "{found}");
        let path = format!("{JOBS}/helm-install-web");
        let job = client.until(&path, |job| condition(job, "Failed")).await;
        let failed = job["status"]["conditions"].as_array().unwrap().iter();
        let failed = failed.filter(|one| one["reason"] == "BackoffLimitExceeded");
        assert_eq!(failed.count(), 2, "{job}");
        // v0.17.1 says nothing of it.
        let chart = client.get(&format!("{CHARTS}/web")).await;
        assert!(condition(&chart, "JobCreated") && !condition(&chart, "Failed"));
        // A chart that is one gets a job of its own.
        let right = packed(&[("templates/a.yaml", &map("a", "one"))]);
        change(&client, json!({"chartContent": right})).await;
        complete(&client, "helm-install-web").await;
    }
}

#[tokio::test(start_paused = true)]
async fn containers_are_started_again_with_growing_pauses() {
    let (_cluster, client) = ready().await;
    let mut wrong = chart("not base64!");
    wrong["spec"]["backOffLimit"] = 1000.into();
    client.create(CHARTS, &wrong).await;
    said(&client).await;
    let name = pods(&client).await[0]["metadata"]["name"].clone();
    let path = format!("{PODS}/{}", name.as_str().unwrap());
    let pod = client
        .until(&path, |pod| {
            pod["status"]["containerStatuses"][0]["restartCount"] == 3
        })
        .await;
    let waiting = client
        .until(&path, |pod| {
            pod["status"]["containerStatuses"][0]["state"]["waiting"].is_object()
        })
        .await;
    assert_eq!(
        pod["metadata"]["uid"], waiting["metadata"]["uid"],
        "one pod"
    );
    let status = &waiting["status"]["containerStatuses"][0];
    assert_eq!(status["state"]["waiting"]["reason"], "CrashLoopBackOff");
    assert_eq!(
        status["state"]["waiting"]["message"],
        "back-off 40s restarting failed container"
    );
    assert_eq!(status["lastState"]["terminated"]["exitCode"], 1);
    let job = client.get(&format!("{JOBS}/helm-install-web")).await;
    assert_eq!(job["status"]["active"], 1);
}

#[tokio::test(start_paused = true)]
async fn what_only_helm_renders_is_left_out_and_told() {
    let (_cluster, client) = ready().await;
    let hook = map("h", "x").replace(
        "{name: h}",
        "{name: h, annotations: {helm.sh/hook: post-install}}",
    );
    installed(
        &client,
        &packed(&[
            (
                "templates/_helpers.tpl",
                "{{ define \"web.name\" }}web{{ end }}",
            ),
            ("templates/a.yaml", &map("a", "one")),
            ("templates/b.yaml", &map("b", "{{ .Values.b }}")),
            ("templates/hook.yaml", &hook),
        ]),
    )
    .await;
    assert_eq!(
        said(&client).await,
        "Installing helm chart\n\
         the sandbox does not render templates: 1 of 3 files were left out: templates/b.yaml\n\
         the sandbox does not run hooks: templates/hook.yaml"
    );
    client.get(&format!("{SHOP}/configmaps/a")).await;
    for name in ["b", "h"] {
        assert!(client.missing(&format!("{SHOP}/configmaps/{name}")).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_chart_that_fits_into_no_config_map_never_starts() {
    let (_cluster, client) = ready().await;
    let content = STANDARD.encode(vec![7_u8; 900 * 1024]);
    assert!(content.len() > 1024 * 1024);
    client.create(CHARTS, &chart(&content)).await;
    let pod = loop {
        if let [pod] = pods(&client).await.as_slice()
            && pod["status"]["containerStatuses"][0]["state"]["waiting"].is_object()
        {
            break pod.clone();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let waiting = &pod["status"]["containerStatuses"][0]["state"]["waiting"];
    let message = waiting["message"].as_str().unwrap();
    assert!(
        message.contains("configmap \"chart-content-web\" not found"),
        "{message}"
    );
    let chart = client.get(&format!("{CHARTS}/web")).await;
    assert!(chart.get("status").is_none(), "the apply failed: {chart}");
    let maps = "/api/v1/namespaces/kube-system/configmaps";
    let map = json!({"metadata": {"name": "big"}, "data": {"a": content}});
    let (code, body) = client.call("POST", maps, "application/json", &map).await;
    let message = body["message"].as_str().unwrap();
    assert_eq!(code, 422);
    assert_eq!(
        message,
        "ConfigMap \"big\" is invalid: []: Too long: may not be more than 1048576 bytes"
    );
}

/// A chart whose only object somebody else has.
async fn occupied(client: &Client) -> String {
    namespace(client, "shop").await;
    let own = json!({"metadata": {"name": "a"}, "data": {"key": "mine"}});
    client.create(&format!("{SHOP}/configmaps"), &own).await;
    packed(&[("templates/a.yaml", &map("a", "one"))])
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_made_is_not_taken_unasked() {
    let (_cluster, client) = ready().await;
    let content = occupied(&client).await;
    client.create(CHARTS, &chart(&content)).await;
    let found = said(&client).await;
    assert!(
        found.contains("cannot be imported into the current release"),
        "{found}"
    );
    let map = client.get(&format!("{SHOP}/configmaps/a")).await;
    assert_eq!(map["data"]["key"], "mine");
    assert!(
        client
            .missing(&format!("{SHOP}/secrets/sh.helm.release.v1.web.v1"))
            .await
    );
}

/// An upgrade in the middle of which an object is refused: a field of another manager.
async fn failed_upgrade(client: &Client, policy: &str) {
    let content = packed(&[("templates/a.yaml", &map("a", "one"))]);
    let mut chart = chart(&content);
    chart["spec"]["failurePolicy"] = policy.into();
    client.create(CHARTS, &chart).await;
    complete(client, "helm-install-web").await;
    let path = format!("{SHOP}/configmaps/a");
    let taken = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"},
        "data": {"key": "mine"}});
    let (code, body) = client.apply_as("somebody", &path, &taken, true).await;
    assert_eq!(code, 200, "{body}");
    let content = packed(&[("templates/a.yaml", &map("a", "two"))]);
    change(client, json!({"chartContent": content})).await;
    let path = format!("{SHOP}/secrets/sh.helm.release.v1.web.v2");
    client
        .until(&path, |secret| {
            secret["metadata"]["labels"]["status"] == "failed"
        })
        .await;
    let labels = release(client, 1).await;
    assert_eq!(labels["metadata"]["labels"]["status"], "deployed");
}

#[tokio::test(start_paused = true)]
async fn a_failed_upgrade_ends_its_job_well_and_waits_for_the_next_change() {
    let (_cluster, client) = ready().await;
    failed_upgrade(&client, "abort").await;
    // The second container finds a revision it was not told of.
    complete(&client, "helm-install-web").await;
    assert_eq!(
        said(&client).await,
        "Current release revision 2 does not match expected revision 1"
    );
    change(&client, json!({"valuesContent": "replicas: 3"})).await;
    let path = format!("{JOBS}/helm-install-web");
    client.until(&path, |job| condition(job, "Failed")).await;
    let map = client.get(&format!("{SHOP}/configmaps/a")).await;
    assert_eq!(map["data"]["key"], "mine", "left to the operator");
}

#[tokio::test(start_paused = true)]
async fn a_failed_release_is_made_anew_where_its_chart_says_so() {
    let (_cluster, client) = ready().await;
    failed_upgrade(&client, "reinstall").await;
    complete(&client, "helm-install-web").await;
    change(&client, json!({"valuesContent": "replicas: 3"})).await;
    let path = format!("{SHOP}/configmaps/a");
    client.until(&path, |map| map["data"]["key"] == "two").await;
    client
        .until_gone(&format!("{SHOP}/secrets/sh.helm.release.v1.web.v2"))
        .await;
    let secret = release(&client, 1).await;
    assert_eq!(record(&secret)["config"], json!({"replicas": 3}));
}

#[tokio::test(start_paused = true)]
async fn values_are_laid_over_each_other_and_recorded() {
    let (_cluster, client) = ready().await;
    let secrets = "/api/v1/namespaces/kube-system/secrets";
    let secret = |value: &str| json!({"metadata": {"name": "more"}, "stringData": {"v": format!("c: {value}")}});
    let mut chart = chart(&packed(&[("templates/a.yaml", &map("a", "one"))]));
    let spec = &mut chart["spec"];
    spec["valuesContent"] = "{a: 1, b: 1, c: 1, d: 1, e: 1}".into();
    spec["values"] = json!({"b": 2, "c": 2, "d": 2, "e": 2});
    spec["valuesSecrets"] = json!([{"name": "more", "keys": ["v"]}]);
    spec["set"] = json!({"e": 5, "f.g": "x,y"});
    client.create(CHARTS, &chart).await;
    let found = client
        .until(&format!("{JOBS}/helm-install-web"), |_| true)
        .await;
    let args = &found["spec"]["template"]["spec"]["containers"][0]["args"];
    let set = json!(["--set", "e=5", "--set-string", "f.g=x\\,y"]);
    assert_eq!(args.as_array().unwrap()[4..], set.as_array().unwrap()[..]);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let pod = &pods(&client).await[0];
    let waiting = &pod["status"]["containerStatuses"][0]["state"]["waiting"];
    assert!(
        waiting["message"]
            .as_str()
            .unwrap()
            .contains("\"more\" not found"),
        "{pod}"
    );
    let configs = CHARTS.replace("helmcharts", "helmchartconfigs");
    let config = json!({"metadata": {"name": "web"}, "spec": {"valuesContent": "d: 4"}});
    client.create(&configs, &config).await;
    client.create(secrets, &secret("3")).await;
    let path = format!("{SHOP}/secrets/sh.helm.release.v1.web.v1");
    let first = client
        .until(&path, |one| {
            one["metadata"]["labels"]["status"] == "deployed"
        })
        .await;
    let wanted = json!({"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": {"g": "x,y"}});
    assert_eq!(record(&first)["config"], wanted);
    // A Secret that changes is a change of the chart.
    let (code, body) = client
        .call("PATCH", &format!("{secrets}/more"), MERGE, &secret("7"))
        .await;
    assert_eq!(code, 200, "{body}");
    let path = format!("{SHOP}/secrets/sh.helm.release.v1.web.v2");
    let second = client
        .until(&path, |one| {
            one["metadata"]["labels"]["status"] == "deployed"
        })
        .await;
    assert_eq!(record(&second)["config"]["c"], 7);
}

#[tokio::test(start_paused = true)]
async fn what_the_sandbox_cannot_do_fails_with_its_reason() {
    for (field, value, why) in [
        (
            "jobImage",
            "me/helm:1",
            "the sandbox knows rancher/klipper-helm only",
        ),
        (
            "driver",
            "configmap",
            "the sandbox keeps releases in Secrets only",
        ),
        ("chartContent", "", "the sandbox has no chart repositories"),
        (
            "valuesContent",
            "a: [",
            "failed to parse /config/values-0-000",
        ),
    ] {
        let (_cluster, client) = ready().await;
        let mut chart = chart(&packed(&[("templates/a.yaml", &map("a", "one"))]));
        chart["spec"]["chart"] = "web".into();
        chart["spec"][field] = value.into();
        client.create(CHARTS, &chart).await;
        let found = said(&client).await;
        assert!(found.contains(why), "{field}: {found}");
        assert!(client.missing(&format!("{SHOP}/configmaps/a")).await);
    }
    let (_cluster, client) = ready().await;
    let mut old = chart("");
    old["spec"]["chart"] = "web".into();
    old["spec"]["helmVersion"] = "v2".into();
    client.create(CHARTS, &old).await;
    let path = format!("{CHARTS}/web");
    client
        .until(&path, |chart| condition(chart, "Failed"))
        .await;
    assert!(client.missing(&format!("{JOBS}/helm-install-web")).await);
}

#[tokio::test(start_paused = true)]
async fn without_the_controller_there_are_no_charts() {
    let clock = Clock::starting_at(60.0, "2026-03-01T12:00:00Z".parse().unwrap());
    let config = ClusterConfig {
        helm_controller: false,
        ..config()
    };
    let opened = Cluster::open("helm", config, Store::in_memory(), clock, Rng::seeded(7));
    let client = Client::admin(&opened.await.unwrap());
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(
        client
            .missing(&format!("{CRD}/helmcharts.helm.cattle.io"))
            .await
    );
    assert!(client.missing(CHARTS).await);
}
