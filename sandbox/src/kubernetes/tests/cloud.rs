//! What the cluster's controllers make in the account: volumes, snapshots, load balancers.

use std::time::Duration;

use serde_json::{Value, json};

use super::platform::run;
use super::{
    CRD, Client, Cluster, Sandbox, ask, cluster, condition, deployment, droplet_node, established,
    with_account,
};

const CLAIMS: &str = "/api/v1/namespaces/default/persistentvolumeclaims";
const SERVICES: &str = "/api/v1/namespaces/default/services";
const APPS: &str = "/apis/apps/v1/namespaces/default/deployments";
const TAG: &str = "kplan:demo-00000000";

/// A cluster with the driver, told which tag to use, and its classes.
async fn driven() -> (Cluster, Client, Sandbox) {
    let cluster = cluster().await;
    let client = Client::admin(&cluster);
    let account = with_account(&cluster, &client, "n1").await;
    for (class, policy) in [("do-block-storage", "Delete"), ("retain", "Retain")] {
        let class = json!({"metadata": {"name": class}, "reclaimPolicy": policy,
            "provisioner": "dobs.csi.digitalocean.com"});
        let classes = "/apis/storage.k8s.io/v1/storageclasses";
        client.create(classes, &class).await;
    }
    let driver = json!({"metadata": {"name": "dobs.csi.digitalocean.com"}, "spec": {}});
    let drivers = "/apis/storage.k8s.io/v1/csidrivers";
    client.create(drivers, &driver).await;
    let mut controller = deployment("csi-do-controller", 1);
    controller["kind"] = "StatefulSet".into();
    controller["metadata"]["namespace"] = "kube-system".into();
    controller["spec"]["template"]["spec"]["containers"][0]["args"] =
        json!(["--endpoint=$(CSI_ENDPOINT)", format!("--do-tag={TAG}")]);
    let sets = "/apis/apps/v1/namespaces/kube-system/statefulsets";
    client.create(sets, &controller).await;
    (cluster, client, account)
}

fn claim(name: &str, class: &str, size: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"storageClassName": class,
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}})
}

/// A deployment whose pod has a claim.
fn user(name: &str, claim: &str) -> Value {
    let mut user = deployment(name, 1);
    user["spec"]["template"]["spec"]["volumes"] =
        json!([{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]);
    user
}

async fn bound(client: &Client, name: &str) -> Value {
    let is = |claim: &Value| claim["status"]["phase"] == "Bound";
    client.until(&format!("{CLAIMS}/{name}"), is).await
}

fn volumes(account: &Sandbox) -> Vec<Value> {
    let all = ask(account, "GET", "/v2/volumes", None);
    all["volumes"].as_array().unwrap().clone()
}

async fn delete(client: &Client, path: &str) {
    client.call("DELETE", path, "", &Value::Null).await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_has_a_volume_in_the_account_as_long_as_it_is_there() {
    let (_cluster, client, account) = driven().await;
    client
        .create(CLAIMS, &claim("data", "do-block-storage", "5Gi"))
        .await;
    let bound = bound(&client, "data").await;
    let made = volumes(&account);
    assert_eq!(made.len(), 1, "{made:#?}");
    let uid = bound["metadata"]["uid"].as_str().unwrap();
    assert_eq!(made[0]["name"], format!("pvc-{uid}"));
    assert_eq!(made[0]["description"], "Created by DigitalOcean CSI driver");
    assert_eq!(made[0]["size_gigabytes"], 5);
    assert_eq!(made[0]["tags"], json!([TAG]));
    assert_eq!(made[0]["region"]["slug"], "fra1");
    assert_eq!(made[0]["droplet_ids"], json!([]), "nobody uses it");
    let name = bound["spec"]["volumeName"].as_str().unwrap();
    let place = format!("/api/v1/persistentvolumes/{name}");
    let volume = client.get(&place).await;
    assert_eq!(volume["spec"]["csi"]["volumeHandle"], made[0]["id"]);

    client.create(APPS, &user("app", "data")).await;
    let available = |app: &Value| condition(app, "Available");
    client.until(&format!("{APPS}/app"), available).await;
    let id = ask(&account, "GET", "/v2/droplets", None)["droplets"][0]["id"].clone();
    assert_eq!(volumes(&account)[0]["droplet_ids"], json!([id]));

    delete(&client, &format!("{APPS}/app")).await;
    client.until_gone(&format!("{APPS}/app")).await;
    delete(&client, &format!("{CLAIMS}/data")).await;
    client.until_gone(&place).await;
    assert!(volumes(&account).is_empty());
    let attachments = "/apis/storage.k8s.io/v1/volumeattachments";
    let attachments = client.get(attachments).await;
    assert_eq!(attachments["items"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn a_generic_ephemeral_volume_comes_and_goes_with_its_pod() {
    let (_cluster, client, account) = driven().await;
    let mut app = user("app", "none");
    let mut template = claim("x", "do-block-storage", "5Gi");
    template["metadata"] = json!({"labels": {"app": "app"}});
    app["spec"]["template"]["spec"]["volumes"] =
        json!([{"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}}]);
    client.create(APPS, &app).await;
    let available = |app: &Value| condition(app, "Available");
    client.until(&format!("{APPS}/app"), available).await;
    let claims = client.get(CLAIMS).await["items"].clone();
    assert_eq!(claims.as_array().map(Vec::len), Some(1), "{claims:#}");
    let made = &claims[0]["metadata"];
    let owner = &made["ownerReferences"][0];
    assert_eq!(owner["kind"], "Pod");
    let named = format!("{}-scratch", owner["name"].as_str().unwrap());
    assert_eq!(made["name"], named);
    assert_eq!(made["labels"], json!({"app": "app"}));
    let id = ask(&account, "GET", "/v2/droplets", None)["droplets"][0]["id"].clone();
    assert_eq!(volumes(&account)[0]["droplet_ids"], json!([id]));
    // Deleted under a pod, it stays until the pod is gone.
    delete(&client, &format!("{CLAIMS}/{named}")).await;
    let held = client.get(&format!("{CLAIMS}/{named}")).await;
    assert!(
        held["metadata"]["deletionTimestamp"].is_string(),
        "{held:#}"
    );
    delete(&client, &format!("{APPS}/app")).await;
    client.until_gone(&format!("{CLAIMS}/{named}")).await;
    let volume = format!(
        "/api/v1/persistentvolumes/{}",
        held["spec"]["volumeName"].as_str().unwrap()
    );
    client.until_gone(&volume).await;
    assert!(volumes(&account).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_is_retained_outlives_its_claim_and_its_object() {
    let (_cluster, client, account) = driven().await;
    client
        .create(CLAIMS, &claim("data", "retain", "100Mi"))
        .await;
    let claim = bound(&client, "data").await;
    assert_eq!(
        claim["status"]["capacity"]["storage"], "1Gi",
        "the smallest"
    );
    let name = claim["spec"]["volumeName"].as_str().unwrap();
    let place = format!("/api/v1/persistentvolumes/{name}");
    delete(&client, &format!("{CLAIMS}/data")).await;
    let released = |volume: &Value| volume["status"]["phase"] == "Released";
    client.until(&place, released).await;
    delete(&client, &place).await;
    client.until_gone(&place).await;
    assert_eq!(volumes(&account).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_volume_follows_its_pod_six_minutes_after_its_droplet_is_gone() {
    let (cluster, client, account) = driven().await;
    client
        .create(CLAIMS, &claim("data", "do-block-storage", "5Gi"))
        .await;
    client.create(APPS, &user("app", "data")).await;
    let available = |app: &Value| condition(app, "Available");
    client.until(&format!("{APPS}/app"), available).await;
    let first = volumes(&account)[0]["droplet_ids"][0].clone();
    let second = droplet_node(&cluster, &account, "n2");
    ask(&account, "DELETE", &format!("/v2/droplets/{first}"), None);
    assert_eq!(volumes(&account)[0]["droplet_ids"], json!([]));
    cluster.remove_node("n1");
    delete(&client, "/api/v1/nodes/n1").await;
    let pods = "/api/v1/namespaces/default/pods";
    let moved = |pods: &Value| pods["items"][0]["spec"]["nodeName"] == "n2";
    client.until(pods, moved).await;
    // Five of the real minutes.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(volumes(&account)[0]["droplet_ids"], json!([]));
    let runs = |pods: &Value| pods["items"][0]["status"]["phase"] == "Running";
    client.until(pods, runs).await;
    assert_eq!(volumes(&account)[0]["droplet_ids"], json!([second]));
}

/// A Service's load balancer, once it has its address.
async fn balanced(client: &Client, name: &str) -> Value {
    let has = |service: &Value| service["status"]["loadBalancer"]["ingress"][0]["ip"].is_string();
    client.until(&format!("{SERVICES}/{name}"), has).await
}

fn balancers(account: &Sandbox) -> Vec<Value> {
    let all = ask(account, "GET", "/v2/load_balancers", None);
    all["load_balancers"].as_array().unwrap().clone()
}

fn public(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"type": "LoadBalancer", "selector": {"app": "web"},
        "ports": [{"port": 80, "protocol": "TCP"}]}})
}

async fn manager(client: &Client, vpc: &str) {
    let name = "digitalocean-cloud-controller-manager";
    let mut manager = deployment(name, 1);
    manager["metadata"]["namespace"] = "kube-system".into();
    manager["spec"]["template"]["spec"]["containers"][0]["env"] = json!([
        {"name": "DO_CLUSTER_VPC_ID", "value": vpc}, {"name": "REGION", "value": "fra1"},
        {"name": "DEFAULT_LB_TYPE", "value": "REGIONAL_NETWORK"},
    ]);
    let place = "/apis/apps/v1/namespaces/kube-system/deployments";
    client.create(place, &manager).await;
}

#[tokio::test(start_paused = true)]
async fn a_service_has_a_load_balancer_as_long_as_it_is_there() {
    let (cluster, client, account) = driven().await;
    let vpc = json!({"name": "own", "region": "fra1"});
    let vpc = ask(&account, "POST", "/v2/vpcs", Some(&vpc))["vpc"]["id"].clone();
    client.create(SERVICES, &public("web")).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(balancers(&account).is_empty(), "nobody makes one yet");
    manager(&client, vpc.as_str().unwrap()).await;
    let service = balanced(&client, "web").await;
    let made = balancers(&account);
    assert_eq!(made.len(), 1, "{made:#?}");
    let uid = service["metadata"]["uid"]
        .as_str()
        .unwrap()
        .replace('-', "");
    assert_eq!(made[0]["name"], format!("a{}", &uid[..31]));
    assert_eq!(made[0]["vpc_uuid"], vpc);
    assert_eq!(made[0]["type"], "REGIONAL_NETWORK");
    let rule = &made[0]["forwarding_rules"][0];
    assert_eq!(
        (&rule["entry_port"], &rule["target_port"]),
        (&json!(80), &json!(80))
    );
    assert_eq!(made[0]["droplet_ids"].as_array().unwrap().len(), 1);
    let id = "kubernetes.digitalocean.com/load-balancer-id";
    assert_eq!(service["metadata"]["annotations"][id], made[0]["id"]);
    assert_eq!(
        service["status"]["loadBalancer"]["ingress"][0]["ip"],
        made[0]["ip"]
    );
    let finalizer = "service.kubernetes.io/load-balancer-cleanup";
    assert_eq!(service["metadata"]["finalizers"], json!([finalizer]));

    droplet_node(&cluster, &account, "n2");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(
        balancers(&account)[0]["droplet_ids"]
            .as_array()
            .unwrap()
            .len(),
        2
    );

    delete(&client, &format!("{SERVICES}/web")).await;
    client.until_gone(&format!("{SERVICES}/web")).await;
    assert!(balancers(&account).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_load_balancer_has_the_name_it_is_given_and_stays_when_it_is_disowned() {
    let (_cluster, client, account) = driven().await;
    let vpcs = ask(&account, "GET", "/v2/vpcs", None);
    let default = |vpc: &&Value| vpc["default"] == true && vpc["region"] == "fra1";
    let vpc = vpcs["vpcs"]
        .as_array()
        .unwrap()
        .iter()
        .find(default)
        .unwrap();
    manager(&client, vpc["id"].as_str().unwrap()).await;
    let mut service = public("web");
    service["metadata"]["annotations"] =
        json!({"service.beta.kubernetes.io/do-loadbalancer-name": "front"});
    client.create(SERVICES, &service).await;
    balanced(&client, "web").await;
    assert_eq!(balancers(&account)[0]["name"], "front");
    let patch = json!({"metadata": {"annotations": {
        "service.kubernetes.io/do-loadbalancer-disown": "true"}}});
    let place = format!("{SERVICES}/web");
    let merge = "application/merge-patch+json";
    client.call("PATCH", &place, merge, &patch).await;
    delete(&client, &place).await;
    client.until_gone(&place).await;
    assert_eq!(balancers(&account).len(), 1);
}

/// The definitions and the class of snapshots, and the controller for them.
async fn with_snapshots(client: &Client) {
    let group = "snapshot.storage.k8s.io";
    for (plural, kind, scope) in [
        ("volumesnapshots", "VolumeSnapshot", "Namespaced"),
        ("volumesnapshotcontents", "VolumeSnapshotContent", "Cluster"),
        ("volumesnapshotclasses", "VolumeSnapshotClass", "Cluster"),
    ] {
        let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let name = format!("{plural}.{group}");
        client.create(CRD, &json!({
            "metadata": {"name": name},
            "spec": {"group": group, "scope": scope, "names": {"plural": plural, "kind": kind},
                "versions": [{"name": "v1", "served": true, "storage": true,
                    "subresources": {"status": {}}, "schema": {"openAPIV3Schema": open}}]},
        })).await;
        established(client, &name).await;
    }
    let class = json!({"metadata": {"name": "do"}, "driver": "dobs.csi.digitalocean.com",
        "deletionPolicy": "Delete"});
    let classes = format!("/apis/{group}/v1/volumesnapshotclasses");
    client.create(&classes, &class).await;
    run(client, "kube-system", "snapshot-controller", "StatefulSet").await;
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_is_in_the_account_and_a_claim_is_made_of_it() {
    let (_cluster, client, account) = driven().await;
    with_snapshots(&client).await;
    client
        .create(CLAIMS, &claim("data", "do-block-storage", "5Gi"))
        .await;
    let first = bound(&client, "data").await;
    let place = "/apis/snapshot.storage.k8s.io/v1/namespaces/default/volumesnapshots";
    let snapshot = json!({"metadata": {"name": "before"}, "spec": {
        "volumeSnapshotClassName": "do", "source": {"persistentVolumeClaimName": "data"}}});
    client.create(place, &snapshot).await;
    let place = format!("{place}/before");
    let ready = |snapshot: &Value| snapshot["status"]["readyToUse"] == true;
    let snapshot = client.until(&place, ready).await;
    assert_eq!(snapshot["status"]["restoreSize"], "5Gi");
    let uid = snapshot["metadata"]["uid"].as_str().unwrap();
    let taken = ask(&account, "GET", "/v2/snapshots", None)["snapshots"].clone();
    assert_eq!(taken[0]["name"], format!("snapshot-{uid}"));
    assert_eq!(taken[0]["resource_id"], volumes(&account)[0]["id"]);
    assert_eq!(taken[0]["tags"], json!([TAG]));

    let mut copy = claim("copy", "do-block-storage", "6Gi");
    copy["spec"]["dataSource"] = json!({"apiGroup": "snapshot.storage.k8s.io",
        "kind": "VolumeSnapshot", "name": "before"});
    client.create(CLAIMS, &copy).await;
    let second = bound(&client, "copy").await;
    let mut held = Vec::new();
    for claim in [&first, &second] {
        let name = claim["spec"]["volumeName"].as_str().unwrap();
        let volume = client
            .get(&format!("/api/v1/persistentvolumes/{name}"))
            .await;
        held.push(volume["metadata"]["annotations"]["sandbox.kplan.dev/content"].clone());
    }
    assert_eq!(held[0], held[1], "it holds what the first one held");
    assert_eq!(volumes(&account).len(), 2);

    delete(&client, &place).await;
    client.until_gone(&place).await;
    assert_eq!(
        ask(&account, "GET", "/v2/snapshots", None)["snapshots"],
        json!([])
    );
}

#[tokio::test(start_paused = true)]
async fn a_claim_waits_while_digitalocean_refuses_it() {
    let (_cluster, client, account) = driven().await;
    let refuse = json!({"method": "POST", "path": "/v2/volumes", "times": 3,
        "fault": {"kind": "status", "status": 503}});
    account.set_faults(vec![serde_json::from_value(refuse).unwrap()], None);
    client
        .create(CLAIMS, &claim("data", "do-block-storage", "5Gi"))
        .await;
    bound(&client, "data").await;
    assert_eq!(volumes(&account).len(), 1);
}
