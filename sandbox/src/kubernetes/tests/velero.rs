//! Velero: backups that are in the bucket, and come back out of it in another cluster.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::platform::{define, namespace, run, with_node};
use super::{CRD, Client, Cluster, config, established, widgets, with_account};
use crate::clock::Clock;
use crate::kubernetes::{BucketAccess, BucketKey};
use crate::rng::Rng;
use crate::spaces::testkit::{TestCloud, client as s3};
use crate::spaces::{Spaces, SpacesConfig};
use crate::store::Store;

mod locations;

const VELERO: &str = "/apis/velero.io/v1/namespaces/velero";
const CLAIMS: &str = "/api/v1/namespaces/shop/persistentvolumeclaims";
const MERGE: &str = "application/merge-patch+json";

/// The sandbox's Spaces, as pods reach them.
struct Reach(Spaces);

impl BucketAccess for Reach {
    fn list(&self, at: &BucketKey, prefix: &str) -> Result<Vec<String>, String> {
        self.0
            .session(&at.region, &at.access_key, &at.secret_key)?
            .list(&at.bucket, prefix)
    }

    fn get(&self, at: &BucketKey, key: &str) -> Result<Option<Bytes>, String> {
        self.0
            .session(&at.region, &at.access_key, &at.secret_key)?
            .get(&at.bucket, key)
    }

    fn put(&self, at: &BucketKey, key: &str, bytes: Vec<u8>) -> Result<(), String> {
        self.0
            .session(&at.region, &at.access_key, &at.secret_key)?
            .put(&at.bucket, key, bytes)
    }

    fn delete(&self, at: &BucketKey, key: &str) -> Result<(), String> {
        self.0
            .session(&at.region, &at.access_key, &at.secret_key)?
            .delete(&at.bucket, key)
    }
}

/// An account with the bucket `velero-bucket` in `fra1`, and a key that may write to it and one that may not.
struct Account {
    spaces: Spaces,
    cloud: Arc<TestCloud>,
}

impl Account {
    async fn new() -> Account {
        let cloud = TestCloud::with_admin();
        cloud.add_key("a", &[("velero-bucket", "readwrite")]);
        cloud.add_key("r", &[("velero-bucket", "read")]);
        let clock = Clock::new(1.0);
        let config = SpacesConfig::default();
        let spaces = Spaces::open(config, cloud.clone(), Store::in_memory(), clock).unwrap();
        let admin = s3(&spaces, "ADMIN", "fra1");
        admin
            .create_bucket()
            .bucket("velero-bucket")
            .send()
            .await
            .unwrap();
        Account { spaces, cloud }
    }

    fn keys(&self, prefix: &str) -> Vec<String> {
        let session = self.spaces.session("fra1", "a", "secret-of-a").unwrap();
        session.list("velero-bucket", prefix).unwrap()
    }

    fn put(&self, key: &str, bytes: &[u8]) {
        let session = self.spaces.session("fra1", "a", "secret-of-a").unwrap();
        session.put("velero-bucket", key, bytes.to_vec()).unwrap();
    }
}

fn credentials(key: &str, secret: &str) -> Value {
    let ini = format!("[default]\naws_access_key_id={key}\naws_secret_access_key={secret}\n");
    json!({"metadata": {"name": "cloud-credentials"}, "stringData": {"cloud": ini}})
}

fn password(text: &str) -> Value {
    json!({"metadata": {"name": "velero-repo-credentials"}, "stringData": {"repository-password": text}})
}

/// Velero's definitions, its namespace, and a location in the bucket under `c`. No server yet.
async fn installed(
    cluster: &Cluster,
    client: &Client,
    account: &Account,
    (mode, folder): (&str, &str),
) {
    for (plural, kind) in [
        ("backupstoragelocations", "BackupStorageLocation"),
        ("schedules", "Schedule"),
        ("backups", "Backup"),
        ("restores", "Restore"),
        ("deletebackuprequests", "DeleteBackupRequest"),
    ] {
        define(client, "velero.io", plural, kind).await;
    }
    namespace(client, "velero").await;
    let mut own = location("default", folder, mode);
    own["spec"]["credential"]["name"] = "cloud-credentials".into();
    client
        .create(&format!("{VELERO}/backupstoragelocations"), &own)
        .await;
    cluster.set_bucket_access(Arc::new(Reach(account.spaces.clone())));
}

/// A location under a folder of the bucket; its key is in the Secret of its name.
fn location(name: &str, folder: &str, mode: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {
        "provider": "aws", "objectStorage": {"bucket": "velero-bucket", "prefix": folder}, "accessMode": mode,
        "config": {"region": "fra1", "s3Url": "https://fra1.digitaloceanspaces.com"},
        "credential": {"name": name, "key": "cloud"}}})
}

async fn located(client: &Client) {
    client
        .until(&format!("{VELERO}/backupstoragelocations/default"), |l| {
            l["status"]["phase"] == "Available"
        })
        .await;
}

/// Volumes: the CSI driver, its classes, and Velero's data mover.
async fn with_volumes(client: &Client) {
    client.create("/apis/storage.k8s.io/v1/storageclasses", &json!({
        "metadata": {"name": "do-block-storage", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "dobs.csi.digitalocean.com"})).await;
    let driver = json!({"metadata": {"name": "dobs.csi.digitalocean.com"}, "spec": {}});
    client
        .create("/apis/storage.k8s.io/v1/csidrivers", &driver)
        .await;
    run(client, "kube-system", "csi-do-controller", "StatefulSet").await;
    let group = "snapshot.storage.k8s.io";
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    client.create(CRD, &json!({
        "metadata": {"name": format!("volumesnapshotclasses.{group}")},
        "spec": {"group": group, "scope": "Cluster",
            "names": {"plural": "volumesnapshotclasses", "kind": "VolumeSnapshotClass"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": open}}]},
    })).await;
    established(client, &format!("volumesnapshotclasses.{group}")).await;
    client
        .create(
            &format!("/apis/{group}/v1/volumesnapshotclasses"),
            &json!({"metadata": {"name": "do"}, "driver": "dobs.csi.digitalocean.com", "deletionPolicy": "Delete"}),
        )
        .await;
    let agents = "/apis/apps/v1/namespaces/velero/daemonsets";
    client
        .create(agents, &json!({"metadata": {"name": "node-agent"}, "spec": {
            "selector": {"matchLabels": {"name": "node-agent"}},
            "template": {"metadata": {"labels": {"name": "node-agent"}},
                "spec": {"containers": [{"name": "node-agent", "image": "velero/velero:v1.17.2"}]}}}}))
        .await;
    client
        .until(&format!("{agents}/node-agent"), |a| {
            a["status"]["numberReady"] == 1
        })
        .await;
}

/// A cluster whose Velero works on the account's bucket with a key of it.
async fn ready(account: &Account, seed: u64, key: &str, mode: &str) -> (Cluster, Client) {
    ready_at(account, seed, key, mode, "c").await
}

/// The same in another folder of the bucket.
async fn ready_at(
    account: &Account,
    seed: u64,
    key: &str,
    mode: &str,
    folder: &str,
) -> (Cluster, Client) {
    let clock = Clock::starting_at(60.0, "2026-03-01T12:00:00Z".parse().unwrap());
    let name = format!("c{seed}");
    let opened = Cluster::open(
        &name,
        config(),
        Store::in_memory(),
        clock,
        Rng::seeded(seed),
    );
    let cluster = opened.await.unwrap();
    let client = Client::admin(&cluster);
    with_account(&cluster, &client, "n1").await;
    installed(&cluster, &client, account, (mode, folder)).await;
    let secrets = "/api/v1/namespaces/velero/secrets";
    client
        .create(secrets, &credentials(key, &format!("secret-of-{key}")))
        .await;
    client.create(secrets, &password("one")).await;
    run(&client, "velero", "velero", "Deployment").await;
    with_volumes(&client).await;
    located(&client).await;
    (cluster, client)
}

/// A namespace with a claim in use, a service, and a config map.
async fn with_shop(client: &Client) {
    namespace(client, "shop").await;
    client
        .create(
            CLAIMS,
            &json!({"metadata": {"name": "data"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}}}),
        )
        .await;
    let mut web = super::deployment("web", 1);
    web["metadata"]["namespace"] = "shop".into();
    web["spec"]["template"]["spec"]["volumes"] =
        json!([{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]);
    client
        .create("/apis/apps/v1/namespaces/shop/deployments", &web)
        .await;
    client
        .create("/api/v1/namespaces/shop/services", &json!({
            "metadata": {"name": "web", "annotations": {"kubernetes.digitalocean.com/load-balancer-id": "1"}},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}))
        .await;
    client
        .create(
            "/api/v1/namespaces/shop/configmaps",
            &json!({"metadata": {"name": "settings"}, "data": {"colour": "blue"}}),
        )
        .await;
    bound(client).await;
}

/// The claim once it is bound, and what its volume holds.
async fn bound(client: &Client) -> String {
    let claim = client
        .until(&format!("{CLAIMS}/data"), |c| {
            c["status"]["phase"] == "Bound"
        })
        .await;
    let name = claim["spec"]["volumeName"].as_str().unwrap();
    let volume = client
        .get(&format!("/api/v1/persistentvolumes/{name}"))
        .await;
    let content = &volume["metadata"]["annotations"]["sandbox.kplan.dev/content"];
    content.as_str().unwrap().to_owned()
}

async fn back_up(client: &Client, name: &str, spec: Value, phase: &str) -> Value {
    let backup = json!({"metadata": {"name": name}, "spec": spec});
    client.create(&format!("{VELERO}/backups"), &backup).await;
    ended(client, "backups", name, phase).await
}

/// Deletes a restore, and waits until what it wrote of itself is gone, too.
async fn delete_restore(client: &Client, name: &str) {
    let path = format!("{VELERO}/restores/{name}");
    let json = "application/json";
    client.call("DELETE", &path, json, &json!({})).await;
    client.until_gone(&path).await;
}

async fn restore(client: &Client, name: &str, spec: Value, phase: &str) -> Value {
    let restore = json!({"metadata": {"name": name}, "spec": spec});
    client.create(&format!("{VELERO}/restores"), &restore).await;
    ended(client, "restores", name, phase).await
}

/// An operation that is over, with the phase it should have.
async fn ended(client: &Client, plural: &str, name: &str, phase: &str) -> Value {
    let over = client
        .until(&format!("{VELERO}/{plural}/{name}"), |o| {
            !matches!(
                o["status"]["phase"].as_str(),
                None | Some("New" | "InProgress")
            )
        })
        .await;
    assert_eq!(over["status"]["phase"], phase, "{over:#}");
    over
}

async fn synced(client: &Client, name: &str) -> Value {
    client
        .until(&format!("{VELERO}/backups/{name}"), |b| {
            b["status"]["phase"].is_string()
        })
        .await
}

#[tokio::test(start_paused = true)]
async fn a_backup_location_needs_server_credentials_and_bucket() {
    let account = Account::new().await;
    let (cluster, client) = with_node().await;
    installed(&cluster, &client, &account, ("ReadWrite", "c")).await;
    let place = format!("{VELERO}/backupstoragelocations/default");
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(
        client.get(&place).await.get("status"),
        None,
        "no server looks at it yet"
    );
    run(&client, "velero", "velero", "Deployment").await;
    let says = |l: &Value, what: &str| {
        let message = l["status"]["message"].as_str().unwrap_or_default();
        l["status"]["phase"] == "Unavailable" && message.contains(what)
    };
    client
        .until(&place, |l| says(l, "\"cloud-credentials\" not found"))
        .await;
    let secrets = "/api/v1/namespaces/velero/secrets";
    client.create(secrets, &credentials("a", "wrong")).await;
    client
        .until(&place, |l| says(l, "SignatureDoesNotMatch"))
        .await;
    let own = format!("{secrets}/cloud-credentials");
    let right = credentials("a", "secret-of-a");
    client.call("PATCH", &own, MERGE, &right).await;
    located(&client).await;
    account.put("c/else/x", b"");
    client
        .until(&place, |l| says(l, "invalid top-level directories: [else]"))
        .await;
    let made = client
        .get(&format!("{secrets}/velero-repo-credentials"))
        .await;
    assert_eq!(
        made["data"]["repository-password"],
        STANDARD.encode("static-passw0rd")
    );
}

#[tokio::test(start_paused = true)]
async fn schedules_begin_backups_by_the_clock() {
    let account = Account::new().await;
    let (_cluster, client) = ready(&account, 1, "a", "ReadWrite").await;
    let schedules = format!("{VELERO}/schedules");
    for (name, cron, paused, phase) in [
        ("often", "* * * * *", false, "Enabled"),
        ("asleep", "* * * * *", true, "Enabled"),
        ("never", "0 25 * * *", false, "FailedValidation"),
    ] {
        let schedule = json!({"metadata": {"name": name, "labels": {"of": "me"}}, "spec": {
            "schedule": cron, "paused": paused, "template": {"includedNamespaces": ["default"]}}});
        client.create(&schedules, &schedule).await;
        client
            .until(&format!("{schedules}/{name}"), |s| {
                s["status"]["phase"] == phase
            })
            .await;
    }
    tokio::time::sleep(Duration::from_secs(130)).await;
    let backups = client.get(&format!("{VELERO}/backups")).await;
    let backups = backups["items"].as_array().unwrap();
    assert_eq!(backups.len(), 2, "{backups:#?}");
    for backup in backups {
        let labels = &backup["metadata"]["labels"];
        assert_eq!(labels["velero.io/schedule-name"], "often");
        assert_eq!(labels["of"], "me");
        assert_eq!(backup["status"]["phase"], "Completed");
        let name = backup["metadata"]["name"].as_str().unwrap();
        assert!(
            name.starts_with("often-20260301121") || name.starts_with("often-20260301120"),
            "{name}"
        );
    }
    let often = client.get(&format!("{schedules}/often")).await;
    assert!(often["status"]["lastBackup"].is_string());
    let latest = restore(
        &client,
        "latest",
        json!({"scheduleName": "often"}),
        "Completed",
    )
    .await;
    assert_eq!(
        latest["spec"]["backupName"], backups[1]["metadata"]["name"],
        "the newest one"
    );
}

#[tokio::test(start_paused = true)]
async fn a_backup_is_in_the_bucket() {
    let account = Account::new().await;
    let (_cluster, client) = ready(&account, 1, "a", "ReadWrite").await;
    with_shop(&client).await;
    let spec = json!({"includedNamespaces": ["shop"], "snapshotMoveData": true, "ttl": "24h0m0s"});
    let backup = back_up(&client, "one", spec, "Completed").await;
    let status = &backup["status"];
    assert_eq!(
        status["progress"]["totalItems"],
        status["progress"]["itemsBackedUp"]
    );
    assert_eq!(
        backup["metadata"]["labels"]["velero.io/storage-location"],
        "default"
    );
    assert_eq!(
        backup["metadata"]["annotations"]["velero.io/source-cluster-k8s-minor-version"],
        "35"
    );
    let names = [
        "one-csi-volumesnapshots.json.gz",
        "one-itemoperations.json.gz",
        "one-logs.gz",
        "one-podvolumebackups.json.gz",
        "one-resource-list.json.gz",
        "one-results.gz",
        "one-volumeinfo.json.gz",
        "one-volumesnapshots.json.gz",
        "one.tar.gz",
        "velero-backup.json",
    ];
    assert_eq!(
        account.keys("c/backups/"),
        names.map(|name| format!("c/backups/one/{name}"))
    );
    let reader = s3(&account.spaces, "r", "fra1");
    let read = reader
        .get_object()
        .bucket("velero-bucket")
        .key("c/backups/one/velero-backup.json");
    let bytes = read.send().await.unwrap().body.collect().await.unwrap();
    let stored: Value = serde_json::from_slice(&bytes.into_bytes()).unwrap();
    assert_eq!(stored["status"], *status);
    let data = account.keys("c/kopia/shop/");
    assert_eq!(data.len(), 2, "{data:?}");
    let session = account.spaces.session("fra1", "r", "secret-of-r").unwrap();
    let content = bound(&client).await;
    for key in data {
        let bytes = session.get("velero-bucket", &key).unwrap().unwrap();
        assert!(
            !String::from_utf8_lossy(&bytes).contains(&content),
            "{key} is open"
        );
    }
    let again = json!({"includedNamespaces": ["shop"]});
    client
        .call("DELETE", &format!("{VELERO}/backups/one"), "", &Value::Null)
        .await;
    assert_eq!(
        synced(&client, "one").await["status"],
        *status,
        "it is found again"
    );
    account.put("c/backups/two/velero-backup.json", b"damaged");
    let failed = back_up(&client, "two", again, "Failed").await;
    assert_eq!(
        failed["status"]["failureReason"],
        "backup already exists in object storage"
    );
}

#[tokio::test(start_paused = true)]
async fn another_cluster_restores_objects_and_what_volumes_held() {
    let account = Account::new().await;
    let (_old, client) = ready(&account, 1, "a", "ReadWrite").await;
    with_shop(&client).await;
    let content = bound(&client).await;
    back_up(
        &client,
        "one",
        json!({"snapshotMoveData": true}),
        "Completed",
    )
    .await;
    drop(client);

    let (_new, client) = ready(&account, 2, "a", "ReadOnly").await;
    namespace(&client, "shop").await;
    let own = json!({"metadata": {"name": "settings"}, "data": {"colour": "red"}});
    client
        .create("/api/v1/namespaces/shop/configmaps", &own)
        .await;
    synced(&client, "one").await;
    let spec = json!({"backupName": "one", "includedNamespaces": ["shop"]});
    let restored = restore(&client, "r1", spec, "Completed").await;
    assert_eq!(
        restored["status"]["progress"]["totalItems"],
        restored["status"]["progress"]["itemsRestored"]
    );
    // The settings, and the certificates that differ from cluster to cluster.
    assert_eq!(restored["status"]["warnings"], 2);
    let kept = client
        .get("/api/v1/namespaces/shop/configmaps/settings")
        .await;
    assert_eq!(kept["data"]["colour"], "red");
    let web = client
        .get("/apis/apps/v1/namespaces/shop/deployments/web")
        .await;
    assert_eq!(web["metadata"]["labels"]["velero.io/restore-name"], "r1");
    assert_eq!(web["metadata"]["labels"]["velero.io/backup-name"], "one");
    assert_eq!(bound(&client).await, content, "the data came back too");
    let claim = client.get(&format!("{CLAIMS}/data")).await;
    assert_ne!(claim["metadata"]["uid"].as_str().unwrap(), content);
    // What a restore says of itself is written whatever the mode is, and goes with it.
    assert!(!account.keys("c/restores/r1/").is_empty());
    delete_restore(&client, "r1").await;
    assert!(account.keys("c/restores/").is_empty());
    let refused = back_up(&client, "two", json!({}), "FailedValidation").await;
    let why = refused["status"]["validationErrors"][0].as_str().unwrap();
    assert!(
        why.contains("location default is currently in read-only mode"),
        "{why}"
    );
    let unknown = restore(
        &client,
        "r2",
        json!({"backupName": "none"}),
        "FailedValidation",
    )
    .await;
    let why = unknown["status"]["validationErrors"][0].as_str().unwrap();
    assert!(why.contains("\"none\" not found"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn another_password_opens_no_volumes() {
    let account = Account::new().await;
    let (_old, client) = ready(&account, 1, "a", "ReadWrite").await;
    with_shop(&client).await;
    let spec = json!({"includedNamespaces": ["shop"], "snapshotMoveData": true});
    back_up(&client, "one", spec.clone(), "Completed").await;
    let secret = "/api/v1/namespaces/velero/secrets/velero-repo-credentials";
    let other = password("two");
    client.call("PATCH", secret, MERGE, &other).await;
    let half = back_up(&client, "two", spec, "PartiallyFailed").await;
    assert_eq!(half["status"]["errors"], 1);

    let (_new, client) = ready(&account, 2, "a", "ReadWrite").await;
    client.call("PATCH", secret, MERGE, &other).await;
    synced(&client, "one").await;
    let spec = json!({"backupName": "one"});
    let half = restore(&client, "r1", spec.clone(), "PartiallyFailed").await;
    assert_eq!(half["status"]["errors"], 1);
    assert!(client.missing(&format!("{CLAIMS}/data")).await);
    client
        .get("/apis/apps/v1/namespaces/shop/deployments/web")
        .await;
    let session = account.spaces.session("fra1", "a", "secret-of-a").unwrap();
    let results = session
        .get("velero-bucket", "c/restores/r1/restore-r1-results.gz")
        .unwrap();
    let mut text = String::new();
    let results = results.unwrap();
    let mut decoder = flate2::read::GzDecoder::new(results.as_ref());
    std::io::Read::read_to_string(&mut decoder, &mut text).unwrap();
    assert!(text.contains("invalid repository password"), "{text}");
    client.call("PATCH", secret, MERGE, &password("one")).await;
    restore(&client, "r2", spec, "Completed").await;
    client.get(&format!("{CLAIMS}/data")).await;
}

#[tokio::test(start_paused = true)]
async fn namespaces_are_left_out_renamed_and_made() {
    let account = Account::new().await;
    let (_old, client) = ready(&account, 1, "a", "ReadWrite").await;
    with_shop(&client).await;
    namespace(&client, "secret").await;
    let map = json!({"metadata": {"name": "m"}, "data": {"a": "b"}});
    client
        .create("/api/v1/namespaces/secret/configmaps", &map)
        .await;
    let spec = json!({"excludedNamespaces": ["secret", "velero"]});
    back_up(&client, "one", spec, "Completed").await;
    let rules = "version: v1\nresourceModifierRules:\n- conditions:\n    groupResource: services\n  patches:\n  - operation: remove\n    path: /metadata/annotations/kubernetes.digitalocean.com~1load-balancer-id\n";
    let rules = json!({"metadata": {"name": "rules"}, "data": {"rules.yaml": rules}});
    client
        .create("/api/v1/namespaces/velero/configmaps", &rules)
        .await;
    let spec = json!({"backupName": "one", "includedNamespaces": ["shop", "secret"],
        "excludedResources": ["persistentvolumeclaims"],
        "namespaceMapping": {"shop": "copy"},
        "resourceModifier": {"kind": "ConfigMap", "name": "rules"}});
    restore(&client, "r1", spec, "Completed").await;
    let service = client.get("/api/v1/namespaces/copy/services/web").await;
    let first = client.get("/api/v1/namespaces/shop/services/web").await;
    assert!(
        service["metadata"]
            .get("annotations")
            .is_none_or(|a| a.as_object().unwrap().is_empty())
    );
    assert!(first["metadata"]["annotations"].is_object());
    assert_ne!(service["spec"]["clusterIP"], first["spec"]["clusterIP"]);
    let copied = client
        .get("/api/v1/namespaces/copy/configmaps/settings")
        .await;
    assert_eq!(copied["data"]["colour"], "blue");
    assert!(
        client
            .missing("/api/v1/namespaces/copy/persistentvolumeclaims/data")
            .await
    );
    client
        .call(
            "DELETE",
            "/api/v1/namespaces/secret/configmaps/m",
            "",
            &Value::Null,
        )
        .await;
    restore(&client, "r2", json!({"backupName": "one"}), "Completed").await;
    assert!(
        client
            .missing("/api/v1/namespaces/secret/configmaps/m")
            .await
    );
    let wrong =
        json!({"backupName": "one", "resourceModifier": {"kind": "ConfigMap", "name": "no"}});
    restore(&client, "r3", wrong, "FailedValidation").await;
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_that_was_killed_finishes_what_it_began() {
    let account = Account::new().await;
    let (_cluster, client) = ready(&account, 1, "a", "ReadWrite").await;
    with_shop(&client).await;
    let spec = json!({"includedNamespaces": ["shop"], "snapshotMoveData": true});
    let backup = back_up(&client, "one", spec, "Completed").await;
    let files = account.keys("");
    tokio::time::sleep(Duration::from_secs(2)).await;
    // Killed after the last file was written, before the cluster was told.
    let before = json!({"status": {"phase": "InProgress", "completionTimestamp": null}});
    let place = format!("{VELERO}/backups/one");
    client.call("PATCH", &place, MERGE, &before).await;
    let again = ended(&client, "backups", "one", "Completed").await;
    assert_eq!(again["status"], backup["status"]);
    assert_eq!(account.keys(""), files);
    let shop = "/api/v1/namespaces/shop/configmaps/settings";
    client.call("DELETE", shop, "", &Value::Null).await;
    let spec = json!({"backupName": "one"});
    restore(&client, "r1", spec, "Completed").await;
    // Killed after it had made the map.
    let place = format!("{VELERO}/restores/r1");
    let restored = client.get(&place).await;
    client.call("PATCH", &place, MERGE, &before).await;
    let again = ended(&client, "restores", "r1", "Completed").await;
    assert_eq!(again["status"]["warnings"], restored["status"]["warnings"]);
}

#[tokio::test(start_paused = true)]
async fn custom_objects_come_back_after_their_definition() {
    let account = Account::new().await;
    let (_old, client) = ready(&account, 1, "a", "ReadWrite").await;
    client.create(CRD, &widgets()).await;
    established(&client, "widgets.example.com").await;
    let widget = json!({"metadata": {"name": "w"}, "spec": {"size": 3}});
    client.create(super::WIDGETS, &widget).await;
    let spec = json!({"includedNamespaces": ["default"], "excludedResources": ["configmaps"]});
    back_up(&client, "two", spec, "Completed").await;
    let (_new, client) = ready(&account, 2, "a", "ReadWrite").await;
    synced(&client, "two").await;
    restore(&client, "r1", json!({"backupName": "two"}), "Completed").await;
    let widget = client.get(&format!("{}/w", super::WIDGETS)).await;
    assert_eq!(widget["spec"]["size"], 3);
}

#[tokio::test(start_paused = true)]
async fn expired_backups_and_those_gone_from_the_bucket_go() {
    let account = Account::new().await;
    let (_cluster, client) = ready(&account, 1, "a", "ReadWrite").await;
    with_shop(&client).await;
    let spec =
        |ttl: &str| json!({"includedNamespaces": ["shop"], "snapshotMoveData": true, "ttl": ttl});
    back_up(&client, "short", spec("1m"), "Completed").await;
    back_up(&client, "long", spec("48h"), "Completed").await;
    back_up(&client, "gone", spec("48h"), "Completed").await;
    let session = account.spaces.session("fra1", "a", "secret-of-a").unwrap();
    for key in account.keys("c/backups/gone/") {
        session.delete("velero-bucket", &key).unwrap();
    }
    client.until_gone(&format!("{VELERO}/backups/gone")).await;
    tokio::time::sleep(Duration::from_mins(2)).await;
    client.until_gone(&format!("{VELERO}/backups/short")).await;
    assert!(account.keys("c/backups/short/").is_empty());
    assert_eq!(account.keys("c/kopia/shop/").len(), 3);
    let requests = format!("{VELERO}/deletebackuprequests");
    for (name, backup) in [("long", "long"), ("none", "none")] {
        let request = json!({"metadata": {"name": name}, "spec": {"backupName": backup}});
        client.create(&requests, &request).await;
    }
    client.until_gone(&format!("{VELERO}/backups/long")).await;
    client.until_gone(&format!("{requests}/long")).await;
    assert!(account.keys("c/backups/").is_empty());
    let none = client
        .until(&format!("{requests}/none"), |r| {
            r["status"]["phase"] == "Processed"
        })
        .await;
    assert_eq!(none["status"]["errors"][0], "backup not found");
}

#[tokio::test(start_paused = true)]
async fn damaged_and_unwritable_backups_say_so() {
    let account = Account::new().await;
    let (_cluster, client) = ready(&account, 1, "a", "ReadWrite").await;
    with_shop(&client).await;
    let spec = json!({"includedNamespaces": ["shop"]});
    back_up(&client, "one", spec.clone(), "Completed").await;
    account.put("c/backups/one/one.tar.gz", b"damaged");
    let half = restore(
        &client,
        "r1",
        json!({"backupName": "one"}),
        "PartiallyFailed",
    )
    .await;
    assert_eq!(half["status"]["progress"]["totalItems"], 0);
    assert_eq!(half["status"]["errors"], 1);
    let session = account.spaces.session("fra1", "a", "secret-of-a").unwrap();
    session
        .delete("velero-bucket", "c/backups/one/one.tar.gz")
        .unwrap();
    let failed = restore(&client, "r2", json!({"backupName": "one"}), "Failed").await;
    let why = failed["status"]["failureReason"].as_str().unwrap();
    assert!(why.contains("error downloading backup: NoSuchKey"), "{why}");
    let secret = "/api/v1/namespaces/velero/secrets/cloud-credentials";
    client
        .call("PATCH", secret, MERGE, &credentials("r", "secret-of-r"))
        .await;
    let failed = back_up(&client, "two", spec, "Failed").await;
    let why = failed["status"]["failureReason"].as_str().unwrap();
    assert!(why.contains("AccessDenied"), "{why}");
    account.cloud.keys.lock().unwrap().clear();
    let place = format!("{VELERO}/backupstoragelocations/default");
    client
        .until(&place, |l| l["status"]["phase"] == "Unavailable")
        .await;
}
