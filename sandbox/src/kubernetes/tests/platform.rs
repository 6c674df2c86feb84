//! Argo CD and volumes: ready for the right reasons only.

use serde_json::{Value, json};

use super::{
    CRD, Client, Cluster, cluster, condition, deployment, established, plain_node, with_account,
};

/// A definition that takes anything, with the status of the real one where it matters.
pub(super) async fn define(client: &Client, group: &str, plural: &str, kind: &str) {
    let name = format!("{plural}.{group}");
    let version = if group == "argoproj.io" {
        "v1alpha1"
    } else {
        "v1"
    };
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    client
        .create(CRD, &json!({
            "metadata": {"name": name},
            "spec": {"group": group, "scope": "Namespaced", "names": {"plural": plural, "kind": kind},
                "versions": [{"name": version, "served": true, "storage": true, "schema": {"openAPIV3Schema": open}}]},
        }))
        .await;
    established(client, &name).await;
}

pub(super) async fn namespace(client: &Client, name: &str) {
    client
        .create("/api/v1/namespaces", &json!({"metadata": {"name": name}}))
        .await;
}

pub(super) async fn run(client: &Client, namespace: &str, name: &str, kind: &str) {
    let mut object = deployment(name, 1);
    object["metadata"]["namespace"] = namespace.into();
    object["kind"] = kind.into();
    let plural = if kind == "Deployment" {
        "deployments"
    } else {
        "statefulsets"
    };
    let place = format!("/apis/apps/v1/namespaces/{namespace}/{plural}");
    client.create(&place, &object).await;
    client
        .until(&format!("{place}/{name}"), |o| {
            o["status"]["readyReplicas"] == json!(1)
        })
        .await;
}

pub(super) async fn with_node() -> (Cluster, Client) {
    let cluster = cluster().await;
    cluster.register_node(plain_node("n1"));
    let client = Client::admin(&cluster);
    (cluster, client)
}

#[tokio::test(start_paused = true)]
async fn an_application_syncs_when_argo_cd_runs() {
    let (_cluster, client) = with_node().await;
    define(&client, "argoproj.io", "applications", "Application").await;
    define(&client, "argoproj.io", "appprojects", "AppProject").await;
    namespace(&client, "argocd").await;
    let applications = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications";
    let root = json!({
        "metadata": {"name": "root", "finalizers": ["resources-finalizer.argocd.argoproj.io"]},
        "spec": {"project": "default", "source": {"repoURL": "https://github.com/acme/infra.git"},
                 "destination": {"namespace": "argocd"}, "syncPolicy": {"automated": {}}},
    });
    client.create(applications, &root).await;
    let place = format!("{applications}/root");
    tokio::time::sleep(std::time::Duration::from_mins(1)).await;
    assert_eq!(
        client.get(&place).await.get("status"),
        None,
        "nothing watches it yet"
    );
    for name in ["argocd-repo-server", "argocd-server"] {
        run(&client, "argocd", name, "Deployment").await;
    }
    run(
        &client,
        "argocd",
        "argocd-application-controller",
        "StatefulSet",
    )
    .await;
    let synced = |a: &Value| {
        a["status"]["sync"]["status"] == "Synced" && a["status"]["health"]["status"] == "Healthy"
    };
    client.until(&place, synced).await;
    client
        .get("/apis/argoproj.io/v1alpha1/namespaces/argocd/appprojects/default")
        .await;
    let mut stray = root.clone();
    stray["metadata"]["name"] = "stray".into();
    stray["spec"]["project"] = "none".into();
    client.create(applications, &stray).await;
    let refused = client
        .until(&format!("{applications}/stray"), |a| {
            a["status"]["conditions"].is_array()
        })
        .await;
    assert_eq!(
        refused["status"]["conditions"][0]["type"],
        "InvalidSpecError"
    );
    client.call("DELETE", &place, "", &Value::Null).await;
    client.until_gone(&place).await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_binds_when_its_driver_runs() {
    let cluster = cluster().await;
    let client = Client::admin(&cluster);
    let _account = with_account(&cluster, &client, "n1").await;
    client.create("/apis/storage.k8s.io/v1/storageclasses", &json!({
        "metadata": {"name": "do-block-storage", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "dobs.csi.digitalocean.com"})).await;
    let claims = "/api/v1/namespaces/default/persistentvolumeclaims";
    client
        .create(
            claims,
            &json!({"metadata": {"name": "data"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}}}),
        )
        .await;
    let mut user = deployment("app", 1);
    user["spec"]["template"]["spec"]["volumes"] =
        json!([{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]);
    client
        .create("/apis/apps/v1/namespaces/default/deployments", &user)
        .await;
    tokio::time::sleep(std::time::Duration::from_secs(30)).await;
    assert_eq!(
        client.get(&format!("{claims}/data")).await["status"]["phase"],
        "Pending"
    );
    client
        .create(
            "/apis/storage.k8s.io/v1/csidrivers",
            &json!({"metadata": {"name": "dobs.csi.digitalocean.com"}, "spec": {}}),
        )
        .await;
    run(&client, "kube-system", "csi-do-controller", "StatefulSet").await;
    let claim = client
        .until(&format!("{claims}/data"), |c| {
            c["status"]["phase"] == "Bound"
        })
        .await;
    let volume = format!(
        "/api/v1/persistentvolumes/{}",
        claim["spec"]["volumeName"].as_str().unwrap()
    );
    client
        .until("/apis/apps/v1/namespaces/default/deployments/app", |d| {
            condition(d, "Available")
        })
        .await;
    client
        .call("DELETE", &format!("{claims}/data"), "", &Value::Null)
        .await;
    // Its pod has it: it goes with that.
    tokio::time::sleep(std::time::Duration::from_mins(1)).await;
    let claim = client.get(&format!("{claims}/data")).await;
    assert!(claim["metadata"]["deletionTimestamp"].is_string());
    client.get(&volume).await;
    let app = "/apis/apps/v1/namespaces/default/deployments/app";
    client.call("DELETE", app, "", &Value::Null).await;
    client.until_gone(&volume).await;
    client.until_gone(&format!("{claims}/data")).await;
}
