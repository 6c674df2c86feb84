//! Rollouts as `kubectl rollout` sees them: revisions, undo, pause, and fields that change hands.

use serde_json::{Value, json};

use super::{Client, cluster, deployment, plain_node};
use crate::kubernetes::object;

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
const SETS: &str = "/apis/apps/v1/namespaces/default/replicasets";
const MERGE: &str = "application/merge-patch+json";
const REVISION: &str = "deployment.kubernetes.io/revision";

async fn image(client: &Client, tag: &str) {
    let container = json!({"name": "main", "image": format!("nginx:{tag}")});
    let patch = json!({"spec": {"template": {"spec": {"containers": [container]}}}});
    let place = format!("{DEPLOYMENTS}/web");
    let (code, body) = client.call("PATCH", &place, MERGE, &patch).await;
    assert_eq!(code, 200, "{body}");
}

async fn at_revision(client: &Client, revision: &str) -> Value {
    client
        .until(&format!("{DEPLOYMENTS}/web"), |web| {
            object::annotation(web, REVISION) == Some(revision)
                && web["status"]["updatedReplicas"] == 1
                && web["status"]["replicas"] == 1
        })
        .await
}

#[tokio::test(start_paused = true)]
async fn a_template_that_comes_back_gets_the_newest_revision() {
    let cluster = cluster().await;
    let client = Client::admin(&cluster);
    cluster.register_node(plain_node("n1"));
    client.create(DEPLOYMENTS, &deployment("web", 1)).await;
    at_revision(&client, "1").await;
    image(&client, "1.28").await;
    at_revision(&client, "2").await;
    image(&client, "1.27").await;
    at_revision(&client, "3").await;
    let sets = client.get(SETS).await;
    let mut revisions: Vec<&str> = object::items(&sets, &["items"])
        .iter()
        .filter_map(|set| object::annotation(set, REVISION))
        .collect();
    revisions.sort_unstable();
    assert_eq!(revisions, ["2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn a_paused_deployment_rolls_nothing_out() {
    let cluster = cluster().await;
    let client = Client::admin(&cluster);
    cluster.register_node(plain_node("n1"));
    client.create(DEPLOYMENTS, &deployment("web", 1)).await;
    at_revision(&client, "1").await;
    let place = format!("{DEPLOYMENTS}/web");
    let paused = json!({"spec": {"paused": true}});
    client.call("PATCH", &place, MERGE, &paused).await;
    image(&client, "1.28").await;
    let held = client
        .until(&place, |web| {
            web["status"]["observedGeneration"] == web["metadata"]["generation"]
        })
        .await;
    assert_eq!(held["status"].get("updatedReplicas"), None);
    assert_eq!(client.get(SETS).await["items"].as_array().unwrap().len(), 1);
    let resumed = json!({"spec": {"paused": null}});
    client.call("PATCH", &place, MERGE, &resumed).await;
    at_revision(&client, "2").await;
}

#[tokio::test(start_paused = true)]
async fn sets_keep_the_templates_they_had() {
    let cluster = cluster().await;
    let client = Client::admin(&cluster);
    cluster.register_node(plain_node("n1"));
    let mut set = deployment("ds", 1);
    set["kind"] = "DaemonSet".into();
    object::remove(&mut set, &["spec", "replicas"]);
    let place = "/apis/apps/v1/namespaces/default/daemonsets";
    client.create(place, &set).await;
    let revisions = "/apis/apps/v1/namespaces/default/controllerrevisions";
    let first = client
        .until(revisions, |list| list["items"][0]["revision"] == 1)
        .await;
    let template = &first["items"][0]["data"]["spec"]["template"];
    assert_eq!(template["$patch"], "replace");
    let patch = json!({"spec": {"template": {"metadata": {"annotations": {"again": "yes"}}}}});
    client
        .call("PATCH", &format!("{place}/ds"), MERGE, &patch)
        .await;
    client
        .until(revisions, |list| {
            list["items"].as_array().unwrap().len() == 2
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_may_rewrite_who_owns_what() {
    let client = Client::admin(&cluster().await);
    let maps = "/api/v1/namespaces/default/configmaps";
    let path = format!("{maps}?fieldManager=kubectl-client-side-apply");
    let map = json!({"metadata": {"name": "m"}, "data": {"a": "1"}});
    let made = client.create(&path, &map).await;
    let entry = &made["metadata"]["managedFields"][0];
    assert_eq!(
        entry["fieldsV1"],
        json!({"f:data": {".": {}, "f:a": {}}}),
        "nobody owns metadata itself"
    );
    let mut taken = entry.clone();
    taken["manager"] = "kubectl".into();
    taken["operation"] = "Apply".into();
    let patch = json!([{"op": "replace", "path": "/metadata/managedFields", "value": [taken]}]);
    let place = format!("{maps}/m");
    let (code, after) = client
        .call("PATCH", &place, "application/json-patch+json", &patch)
        .await;
    assert_eq!(code, 200);
    let managers = object::items(&after, &["metadata", "managedFields"]);
    assert_eq!(managers.len(), 1);
    assert_eq!(managers[0]["manager"], "kubectl");
}

#[tokio::test(start_paused = true)]
async fn kubectl_goes_over_to_apply_without_conflict() {
    let client = Client::admin(&cluster().await);
    let maps = "/api/v1/namespaces/default/configmaps";
    let path = format!("{maps}?fieldManager=kubectl-client-side-apply");
    let last = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": "1"}});
    let mut map = last.clone();
    map["data"]["b"] = "1".into();
    map["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": last.to_string()});
    client.create(&path, &map).await;
    let place = format!("{maps}/m");
    let mut wanted = last.clone();
    wanted["data"]["a"] = "2".into();
    assert_eq!(
        client.apply_as("other", &place, &wanted, false).await.0,
        409
    );
    assert_eq!(
        client.apply_as("kubectl", &place, &wanted, false).await.0,
        200
    );
    // What the last configuration did not name is somebody else's still.
    wanted["data"]["b"] = "2".into();
    assert_eq!(
        client.apply_as("kubectl", &place, &wanted, false).await.0,
        409
    );
}

/// The count that `apps/v1` shows of a `DaemonSet`'s templates, and nobody can set.
#[tokio::test(start_paused = true)]
async fn the_templates_of_a_daemon_set_are_counted() {
    const COUNT: &str = "deprecated.daemonset.template.generation";
    let client = Client::admin(&cluster().await);
    let sets = "/apis/apps/v1/namespaces/default/daemonsets";
    let mut set = deployment("agent", 1);
    set["kind"] = json!("DaemonSet");
    let spec = set["spec"].as_object_mut().unwrap();
    spec.retain(|name, _| name == "selector" || name == "template");
    client.create(sets, &set).await;
    let place = format!("{sets}/agent");
    for (patch, count) in [
        (json!({"metadata": {"annotations": {COUNT: "7"}}}), "1"),
        (json!({"spec": {"minReadySeconds": 5}}), "1"),
        (
            json!({"spec": {"template": {"metadata": {"labels": {"a": "b"}}}}}),
            "2",
        ),
    ] {
        let (code, body) = client.call("PATCH", &place, MERGE, &patch).await;
        assert_eq!(code, 200, "{body}");
        assert_eq!(object::annotation(&body, COUNT), Some(count), "{patch}");
    }
}
