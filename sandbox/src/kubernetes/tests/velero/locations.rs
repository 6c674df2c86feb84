//! What a location's mode and the rights of its key let a restore do, and a second location beside a
//! cluster's own.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_restore_with_volumes_does_not_end_where_it_may_not_write() {
    let account = Account::new().await;
    let (_old, client) = ready(&account, 1, "a", "ReadWrite").await;
    with_shop(&client).await;
    let spec = json!({"snapshotMoveData": true});
    back_up(&client, "one", spec, "Completed").await;
    drop(client);

    let (_new, client) = ready(&account, 2, "r", "ReadOnly").await;
    synced(&client, "one").await;
    let spec = json!({"backupName": "one", "includedNamespaces": ["shop"]});
    let waits = "WaitingForPluginOperationsPartiallyFailed";
    let restored = restore(&client, "r1", spec.clone(), waits).await;
    assert_eq!(restored["status"]["errors"], 1, "the log was not written");
    bound(&client).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    let still = client.get(&format!("{VELERO}/restores/r1")).await;
    assert_eq!(still["status"]["phase"], waits);
    let secret = "/api/v1/namespaces/velero/secrets/cloud-credentials";
    client
        .call("PATCH", secret, MERGE, &credentials("a", "secret-of-a"))
        .await;
    client
        .until(&format!("{VELERO}/restores/r1"), |r| {
            r["status"]["phase"] == "PartiallyFailed"
        })
        .await;
}

/// A second location beside a cluster's own: what is in both buckets is known, backups go to the one
/// they name, and what was found in the other one stays known when its location goes.
#[tokio::test(start_paused = true)]
async fn a_second_location_is_only_read() {
    let account = Account::new().await;
    let (_old, client) = ready(&account, 1, "a", "ReadWrite").await;
    with_shop(&client).await;
    let content = bound(&client).await;
    let spec = json!({"snapshotMoveData": true});
    back_up(&client, "one", spec, "Completed").await;
    drop(client);

    let (_new, client) = ready_at(&account, 2, "a", "ReadWrite", "d").await;
    let before = account.keys("c/");
    let secrets = "/api/v1/namespaces/velero/secrets";
    let mut key = credentials("a", "secret-of-a");
    key["metadata"]["name"] = "first".into();
    client.create(secrets, &key).await;
    client
        .create(
            &format!("{VELERO}/backupstoragelocations"),
            &location("first", "c", "ReadOnly"),
        )
        .await;
    let found = synced(&client, "one").await;
    assert_eq!(found["spec"]["storageLocation"], "first");
    restore(&client, "r1", json!({"backupName": "one"}), "Completed").await;
    assert_eq!(bound(&client).await, content);
    let refused = json!({"storageLocation": "first"});
    back_up(&client, "two", refused, "FailedValidation").await;
    back_up(
        &client,
        "three",
        json!({"storageLocation": "default"}),
        "Completed",
    )
    .await;
    assert!(account.keys("c/backups/three/").is_empty());
    assert!(!account.keys("d/backups/three/").is_empty());
    delete_restore(&client, "r1").await;
    client
        .call(
            "DELETE",
            &format!("{VELERO}/backupstoragelocations/first"),
            "application/json",
            &json!({}),
        )
        .await;
    tokio::time::sleep(Duration::from_mins(2)).await;
    client.get(&format!("{VELERO}/backups/one")).await;
    client
        .call(
            "DELETE",
            &format!("{VELERO}/backups/one"),
            "application/json",
            &json!({}),
        )
        .await;
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert!(client.missing(&format!("{VELERO}/backups/one")).await);
    assert_eq!(account.keys("c/"), before, "the bucket is as it was");
}
