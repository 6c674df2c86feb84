//! Workloads, nodes, namespaces and the garbage collector.

use serde_json::{Value, json};

use super::{
    Client, WIDGETS, cloud_node, cluster, condition, deployment, plain_node, with_widgets,
};

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
const PODS: &str = "/api/v1/namespaces/default/pods";

async fn pod_names(client: &Client) -> Vec<String> {
    let list = client.get(PODS).await;
    list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["metadata"]["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_deployment_becomes_available_only_with_a_node() {
    let cluster = cluster().await;
    let client = Client::admin(&cluster);
    client.create(DEPLOYMENTS, &deployment("web", 2)).await;
    let place = format!("{DEPLOYMENTS}/web");
    client
        .until(&place, |d| d["status"]["observedGeneration"] == json!(1))
        .await;
    tokio::time::sleep(std::time::Duration::from_mins(1)).await;
    assert!(!condition(&client.get(&place).await, "Available"));
    cluster.register_node(plain_node("n1"));
    let done = client.until(&place, |d| condition(d, "Available")).await;
    assert_eq!(done["status"]["availableReplicas"], json!(2));
    assert_eq!(pod_names(&client).await.len(), 2);

    // A new template rolls over to new pods, and the old ones go.
    let old = pod_names(&client).await;
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "nginx:1.28"}]}}}});
    client
        .call(
            "PATCH",
            &place,
            "application/strategic-merge-patch+json",
            &image,
        )
        .await;
    let rolled = |d: &Value| {
        d["status"]["observedGeneration"] == json!(2)
            && d["status"]["replicas"] == json!(2)
            && d["status"]["updatedReplicas"] == json!(2)
    };
    client.until(&place, rolled).await;
    client
        .until(PODS, |list| list["items"].as_array().unwrap().len() == 2)
        .await;
    assert!(
        pod_names(&client)
            .await
            .iter()
            .all(|name| !old.contains(name))
    );

    // Deleting it takes replica sets and pods along.
    client.call("DELETE", &place, "", &Value::Null).await;
    client
        .until(PODS, |list| list["items"].as_array().unwrap().is_empty())
        .await;
}

#[tokio::test(start_paused = true)]
async fn nodes_wait_for_the_cloud_controller_and_its_token() {
    let cluster = cluster().await;
    let client = Client::admin(&cluster);
    cluster.register_node(cloud_node("n1"));
    let node = "/api/v1/nodes/n1";
    client.until(node, |n| condition(n, "Ready")).await;
    let tainted = |n: &Value| n["spec"]["taints"].to_string().contains("uninitialized");
    let mut manager = deployment("digitalocean-cloud-controller-manager", 1);
    manager["metadata"]["namespace"] = "kube-system".into();
    let spec = &mut manager["spec"]["template"]["spec"];
    spec["hostNetwork"] = true.into();
    spec["tolerations"] = json!([{"key": "node.cloudprovider.kubernetes.io/uninitialized", "value": "true", "effect": "NoSchedule"}]);
    spec["containers"][0]["env"] = json!([{"name": "T", "valueFrom": {"secretKeyRef": {"name": "digitalocean", "key": "access-token"}}}]);
    client
        .create("/apis/apps/v1/namespaces/kube-system/deployments", &manager)
        .await;
    tokio::time::sleep(std::time::Duration::from_mins(1)).await;
    assert!(tainted(&client.get(node).await), "no secret, no manager");
    let dns = "/apis/apps/v1/namespaces/kube-system/deployments/coredns";
    assert!(
        !condition(&client.get(dns).await, "Available"),
        "nothing else is scheduled meanwhile"
    );
    client
        .create(
            "/api/v1/namespaces/kube-system/secrets",
            &json!({
                "metadata": {"name": "digitalocean"}, "stringData": {"access-token": "t"},
            }),
        )
        .await;
    let node = client.until(node, |n| !tainted(n)).await;
    assert!(
        node["status"]["addresses"]
            .to_string()
            .contains("203.0.113.2")
    );
    client.until(dns, |d| condition(d, "Available")).await;
    // Off is not gone: the node stays, marked, and comes back.
    cluster.stop_node("n1");
    let shut = |node: &Value| {
        let taints = node["spec"]["taints"].to_string();
        taints.contains("node.cloudprovider.kubernetes.io/shutdown")
    };
    client.until("/api/v1/nodes/n1", shut).await;
    cluster.register_node(plain_node("n1"));
    client.until("/api/v1/nodes/n1", |node| !shut(node)).await;
    cluster.remove_node("n1");
    client.until_gone("/api/v1/nodes/n1").await;
}

#[tokio::test(start_paused = true)]
async fn every_node_has_pods_in_a_network_of_its_own() {
    let cluster = cluster().await;
    let client = Client::admin(&cluster);
    let names = ["n3", "n1", "n2"];
    let mut networks = std::collections::BTreeSet::new();
    for name in names {
        cluster.register_node(plain_node(name));
        let path = format!("/api/v1/nodes/{name}");
        let node = client
            .until(&path, |node| !node["spec"]["podCIDR"].is_null())
            .await;
        networks.insert(node["spec"]["podCIDR"].to_string());
    }
    assert_eq!(networks.len(), names.len(), "{networks:?}");
}

#[tokio::test(start_paused = true)]
async fn stateful_and_daemon_sets_and_jobs_finish() {
    let cluster = cluster().await;
    let client = Client::admin(&cluster);
    cluster.register_node(plain_node("n1"));
    cluster.register_node(plain_node("n2"));
    let mut set = deployment("db", 2);
    set["kind"] = "StatefulSet".into();
    set["spec"]["serviceName"] = "db".into();
    client
        .create("/apis/apps/v1/namespaces/default/statefulsets", &set)
        .await;
    client
        .until("/apis/apps/v1/namespaces/default/statefulsets/db", |s| {
            s["status"]["readyReplicas"] == json!(2)
        })
        .await;
    assert_eq!(pod_names(&client).await, ["db-0", "db-1"]);
    let mut daemon = deployment("agent", 1);
    daemon["kind"] = "DaemonSet".into();
    daemon["spec"].as_object_mut().unwrap().remove("replicas");
    client
        .create("/apis/apps/v1/namespaces/default/daemonsets", &daemon)
        .await;
    client
        .until("/apis/apps/v1/namespaces/default/daemonsets/agent", |s| {
            s["status"]["numberReady"] == json!(2)
        })
        .await;
    let job = json!({"metadata": {"name": "once"}, "spec": {"completions": 2, "template": {"spec": {
        "restartPolicy": "Never", "containers": [{"name": "c", "image": "i:1"}]}}}});
    client
        .create("/apis/batch/v1/namespaces/default/jobs", &job)
        .await;
    let done = client
        .until("/apis/batch/v1/namespaces/default/jobs/once", |j| {
            condition(j, "Complete")
        })
        .await;
    assert_eq!(done["status"]["succeeded"], json!(2));
}

#[tokio::test(start_paused = true)]
async fn a_namespace_goes_when_it_is_empty() {
    let client = Client::admin(&cluster().await);
    with_widgets(&client).await;
    client
        .create("/api/v1/namespaces", &json!({"metadata": {"name": "dev"}}))
        .await;
    client
        .until("/api/v1/namespaces/dev/serviceaccounts/default", |_| true)
        .await;
    let widgets = WIDGETS.replace("default", "dev");
    client.create(&widgets, &json!({"metadata": {"name": "w", "finalizers": ["example.com/keep"]}, "spec": {"size": 1}})).await;
    let (code, ns) = client
        .call("DELETE", "/api/v1/namespaces/dev", "", &Value::Null)
        .await;
    assert_eq!((code, &ns["status"]["phase"]), (200, &json!("Terminating")));
    client
        .until_gone("/api/v1/namespaces/dev/serviceaccounts/default")
        .await;
    let (code, status) = client
        .call(
            "POST",
            &widgets,
            "application/json",
            &json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "x"}, "spec": {"size": 1}}),
        )
        .await;
    assert_eq!((code, &status["reason"]), (403, &json!("Forbidden")));
    tokio::time::sleep(std::time::Duration::from_secs(30)).await;
    assert!(
        !client.missing("/api/v1/namespaces/dev").await,
        "the finalizer holds it"
    );
    let unfinalize = json!({"metadata": {"finalizers": null}});
    client
        .call(
            "PATCH",
            &format!("{widgets}/w"),
            "application/merge-patch+json",
            &unfinalize,
        )
        .await;
    client.until_gone("/api/v1/namespaces/dev").await;
}

#[tokio::test(start_paused = true)]
async fn deleting_a_definition_deletes_its_objects() {
    let client = Client::admin(&cluster().await);
    with_widgets(&client).await;
    client
        .create(
            WIDGETS,
            &json!({"metadata": {"name": "w"}, "spec": {"size": 1}}),
        )
        .await;
    client
        .call(
            "DELETE",
            &format!("{}/widgets.example.com", super::CRD),
            "",
            &Value::Null,
        )
        .await;
    client
        .until_gone(&format!("{}/widgets.example.com", super::CRD))
        .await;
    assert!(client.missing(WIDGETS).await);
    with_widgets(&client).await;
    assert_eq!(client.get(WIDGETS).await["items"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn owners_decide_about_dependents() {
    let client = Client::admin(&cluster().await);
    let maps = "/api/v1/namespaces/default/configmaps";
    for policy in ["Background", "Foreground", "Orphan"] {
        let owner = client
            .create(maps, &json!({"metadata": {"name": "owner"}}))
            .await;
        let reference = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"], "blockOwnerDeletion": true}]);
        client
            .create(
                maps,
                &json!({"metadata": {"name": "child", "ownerReferences": reference}}),
            )
            .await;
        client
            .call(
                "DELETE",
                &format!("{maps}/owner"),
                "application/json",
                &json!({"propagationPolicy": policy}),
            )
            .await;
        client.until_gone(&format!("{maps}/owner")).await;
        if policy == "Orphan" {
            let child = client.get(&format!("{maps}/child")).await;
            assert_eq!(child["metadata"]["ownerReferences"], json!([]));
        } else {
            client.until_gone(&format!("{maps}/child")).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn two_hundred_nodes_settle() {
    let cluster = cluster().await;
    let client = Client::admin(&cluster);
    for n in 0..200 {
        cluster.register_node(plain_node(&format!("n{n:03}")));
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let mut daemon = deployment("agent", 1);
    daemon["kind"] = "DaemonSet".into();
    daemon["spec"].as_object_mut().unwrap().remove("replicas");
    let sets = "/apis/apps/v1/namespaces/default/daemonsets";
    client.create(sets, &daemon).await;
    let all = |set: &Value| set["status"]["numberReady"] == json!(200);
    client.until(&format!("{sets}/agent"), all).await;
}
