//! Backups of droplets: their policies, their windows, and what a window leaves.

use serde_json::{Value, json};

use crate::client::Client;

const DAY: u64 = 24 * 60 * 60;

fn window(start: &str, end: &str) -> Value {
    json!({ "start": start, "end": end })
}

#[tokio::test(start_paused = true)]
async fn backups_are_daily_unless_said_otherwise_and_none_is_made_at_once() {
    let client = Client::in_memory();
    let droplet = client.droplet("one", json!({})).await;
    let path = format!("/v2/droplets/{droplet}");
    let actions = format!("{path}/actions");
    let change = json!({ "type": "change_backup_policy", "backup_policy": { "plan": "daily" } });
    client.post(422, &actions, change).await;
    let off = client
        .post(422, &actions, json!({ "type": "disable_backups" }))
        .await;
    assert_eq!(
        off["message"],
        "Backups have already been disabled on this Droplet."
    );
    let wrong = json!({ "type": "enable_backups", "backup_policy": { "plan": "hourly" } });
    client.post(422, &actions, wrong).await;
    client
        .post(201, &actions, json!({ "type": "enable_backups" }))
        .await;
    client.wait(11).await;
    let shown = client.get(&format!("{path}/backups/policy")).await["policy"].clone();
    assert_eq!(shown["backup_policy"]["plan"], "daily");
    assert_eq!(shown["backup_policy"].get("weekday"), None);
    // The clock began at 03:04:05 on Friday, 2 January 2026.
    let next = window("2026-01-03T00:00:00Z", "2026-01-03T04:00:00Z");
    assert_eq!(shown["next_backup_window"], next);
    let droplet = client.get(&path).await["droplet"].clone();
    assert_eq!(droplet["next_backup_window"], next);
    assert!(droplet["features"].to_string().contains("\"backups\""));
    let made = client.get(&format!("{path}/backups")).await;
    assert_eq!(made["meta"]["total"], 0);
}

#[tokio::test(start_paused = true)]
async fn every_window_leaves_a_backup_and_old_ones_go() {
    let client = Client::in_memory();
    let policy = json!({ "plan": "daily", "hour": 4 });
    let extra = json!({ "backups": true, "backup_policy": policy });
    let droplet = client.new_droplet("one", extra).await;
    let path = format!("/v2/droplets/{droplet}");
    let new = client.get(&path).await["droplet"].clone();
    assert_eq!(
        new["next_backup_window"],
        json!(null),
        "not while it is new"
    );
    client.wait(DAY).await;
    let made = client.get(&format!("{path}/backups")).await["backups"].clone();
    assert_eq!(made.as_array().unwrap().len(), 1);
    assert_eq!(
        (&made[0]["name"], &made[0]["type"], &made[0]["created_at"]),
        (
            &json!("one- 2026-01-02"),
            &json!("backup"),
            &json!("2026-01-02T04:00:00Z")
        )
    );
    let shown = client.get(&path).await["droplet"].clone();
    assert_eq!(shown["backup_ids"], json!([made[0]["id"]]));
    assert_eq!(shown["snapshot_ids"], json!([]));
    assert_eq!(shown["next_backup_window"]["start"], "2026-01-03T04:00:00Z");
    // An image, but not a snapshot.
    let backup = made[0]["id"].clone();
    let image = client.get(&format!("/v2/images/{backup}")).await["image"].clone();
    assert_eq!(image["type"], "backup");
    assert_eq!(
        client.get("/v2/images?private=true").await["images"][0],
        image
    );
    assert_eq!(client.get("/v2/snapshots").await["meta"]["total"], 0);
    let refused = client
        .expect(400, "GET", &format!("/v2/snapshots/{backup}"), None)
        .await;
    assert_eq!(refused["message"], "the resource is not a snapshot");
    let restore = json!({ "type": "restore", "image": backup });
    client.post(201, &format!("{path}/actions"), restore).await;
    client.wait(30 * DAY).await;
    let kept = client.get(&format!("{path}/backups?per_page=200")).await["backups"].clone();
    assert_eq!(kept.as_array().unwrap().len(), 7, "a week of days");
    assert_eq!(kept[6]["created_at"], "2026-02-01T04:00:00Z");
    client.delete(&path).await;
    assert_eq!(
        client.get("/v2/images?private=true").await["meta"]["total"],
        0,
        "backups go with their droplet"
    );
}

#[tokio::test(start_paused = true)]
async fn a_changed_policy_moves_the_window_and_policies_of_all_droplets_are_listed() {
    let client = Client::in_memory();
    let first = client.droplet("one", json!({ "backups": true })).await;
    let second = client.droplet("two", json!({})).await;
    let path = format!("/v2/droplets/{first}");
    let weekly = json!({ "plan": "weekly", "weekday": "MON", "hour": 8 });
    let change = json!({ "type": "change_backup_policy", "backup_policy": weekly });
    client.post(201, &format!("{path}/actions"), change).await;
    client.wait(11).await;
    let all = client.get("/v2/droplets/backups/policies").await;
    assert_eq!(all["meta"]["total"], 2);
    let first_policy = all["policies"][first.to_string()].clone();
    assert_eq!(first_policy["backup_policy"]["retention_period_days"], 28);
    assert_eq!(
        first_policy["next_backup_window"],
        window("2026-01-05T08:00:00Z", "2026-01-05T12:00:00Z")
    );
    assert_eq!(
        all["policies"][second.to_string()],
        json!({ "droplet_id": second, "backup_enabled": false })
    );
    client.wait(4 * DAY).await;
    let made = client.get(&format!("{path}/backups")).await["backups"].clone();
    assert_eq!(made[0]["created_at"], "2026-01-05T08:00:00Z");
    assert_eq!(
        made.as_array().unwrap().len(),
        1,
        "none of the former policy"
    );
    let disable = json!({ "type": "disable_backups" });
    client.post(201, &format!("{path}/actions"), disable).await;
    client.wait(30 * DAY).await;
    let kept = client.get(&format!("{path}/backups")).await;
    assert_eq!(kept["meta"]["total"], 1, "what was made stays");
    let shown = client.get(&path).await["droplet"].clone();
    assert_eq!(shown["next_backup_window"], json!(null));
    let body = json!({
        "name": "x", "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-12-x64",
        "backup_policy": { "plan": "daily" },
    });
    client.post(422, "/v2/droplets", body).await;
}
