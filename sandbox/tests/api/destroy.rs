//! Destroying a droplet together with what belongs to it.

use serde_json::{Value, json};

use crate::client::{Client, id};

const PATH: &str = "destroy_with_associated_resources";

/// A droplet with a snapshot, a volume, the volume's snapshot and a reserved address.
struct Estate {
    droplet: u64,
    snapshot: String,
    volume: String,
    copy: String,
    ip: String,
}

async fn estate(client: &Client) -> Estate {
    let body = json!({ "name": "data", "region": "fra1", "size_gigabytes": 15 });
    let volume = id(&client.post(201, "/v2/volumes", body).await, "volume");
    let copy = json!({ "name": "copy" });
    let path = format!("/v2/volumes/{volume}/snapshots");
    let copy = id(&client.post(201, &path, copy).await, "snapshot");
    let droplet = client.droplet("one", json!({ "volumes": [volume] })).await;
    let path = format!("/v2/droplets/{droplet}/actions");
    client
        .post(201, &path, json!({ "type": "snapshot", "name": "saved" }))
        .await;
    client.wait(91).await;
    let saved = client.get("/v2/snapshots?resource_type=droplet").await;
    let address = json!({ "droplet_id": droplet });
    let ip = client.post(202, "/v2/reserved_ips", address).await;
    client.wait(6).await;
    Estate {
        droplet,
        snapshot: saved["snapshots"][0]["id"].as_str().unwrap().to_owned(),
        volume,
        copy,
        ip: ip["reserved_ip"]["ip"].as_str().unwrap().to_owned(),
    }
}

fn path(droplet: u64, end: &str) -> String {
    format!("/v2/droplets/{droplet}/{PATH}{end}")
}

async fn destroy_all(client: &Client, droplet: u64) -> u16 {
    let headers = [("X-Dangerous", "true")];
    let target = path(droplet, "/dangerous");
    let call = client.try_call_with("DELETE", &target, None, &headers);
    call.await.unwrap().status
}

#[tokio::test(start_paused = true)]
async fn what_belongs_to_a_droplet_is_listed_with_its_price() {
    let client = Client::in_memory();
    let own = estate(&client).await;
    let stranger = json!({ "name": "stranger", "region": "fra1", "size_gigabytes": 1 });
    client.post(201, "/v2/volumes", stranger).await;
    let found = client.get(&path(own.droplet, "")).await;
    assert_eq!(
        found["volumes"],
        json!([{ "id": own.volume, "name": "data", "cost": "1.50" }])
    );
    assert_eq!(
        found["volume_snapshots"],
        json!([{ "id": own.copy, "name": "copy", "cost": "0.00" }])
    );
    assert_eq!(
        found["snapshots"],
        json!([{ "id": own.snapshot, "name": "saved", "cost": "0.14" }])
    );
    assert_eq!(found["reserved_ips"][0]["name"], own.ip);
    assert_eq!(found["reserved_ips"], found["floating_ips"]);
    client.expect(404, "GET", &path(1, ""), None).await;
}

#[tokio::test(start_paused = true)]
async fn everything_goes_when_the_header_says_so() {
    let client = Client::in_memory();
    let own = estate(&client).await;
    let status = path(own.droplet, "/status");
    client.expect(404, "GET", &status, None).await;
    let target = path(own.droplet, "/dangerous");
    client.expect(400, "DELETE", &target, None).await;
    assert_eq!(destroy_all(&client, own.droplet).await, 202);
    assert_eq!(destroy_all(&client, own.droplet).await, 409);
    client
        .expect(409, "POST", &path(own.droplet, "/retry"), None)
        .await;
    let under_way = client.get(&status).await;
    assert_eq!(under_way.get("completed_at"), None);
    assert_eq!(under_way["droplet"].get("destroyed_at"), None);
    let droplet = format!("/v2/droplets/{}", own.droplet);
    let busy = client.expect(422, "DELETE", &droplet, None).await;
    assert_eq!(busy["message"], "Droplet already has a pending event.");
    client.wait(6).await;
    let done = client.get(&status).await;
    assert_eq!(done["failures"], 0);
    assert_eq!(done["completed_at"], done["droplet"]["destroyed_at"]);
    for kind in [
        "reserved_ips",
        "floating_ips",
        "snapshots",
        "volumes",
        "volume_snapshots",
    ] {
        assert_eq!(
            done["resources"][kind][0]["destroyed_at"], done["completed_at"],
            "{kind}"
        );
    }
    client.expect(404, "GET", &droplet, None).await;
    assert_eq!(client.sandbox.inspect()["resources"], json!({}));
    assert_eq!(destroy_all(&client, own.droplet).await, 404);
}

async fn select(client: &Client, droplet: u64, selection: Value) {
    client
        .expect(202, "DELETE", &path(droplet, "/selective"), Some(selection))
        .await;
    client.wait(6).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_named_stays() {
    let client = Client::in_memory();
    let own = estate(&client).await;
    let chosen = json!({ "volumes": [own.volume], "reserved_ips": [own.ip] });
    select(&client, own.droplet, chosen).await;
    let status = client.get(&path(own.droplet, "/status")).await;
    assert_eq!(status["failures"], 0);
    assert_eq!(status["resources"]["snapshots"], json!([]));
    client
        .expect(404, "GET", &format!("/v2/volumes/{}", own.volume), None)
        .await;
    client
        .expect(404, "GET", &format!("/v2/reserved_ips/{}", own.ip), None)
        .await;
    client.get(&format!("/v2/snapshots/{}", own.snapshot)).await;
    client.get(&format!("/v2/snapshots/{}", own.copy)).await;
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_counted_and_can_be_retried() {
    let client = Client::in_memory();
    let own = estate(&client).await;
    client
        .expect(404, "POST", &path(own.droplet, "/retry"), None)
        .await;
    // Another one's volume is not this droplet's.
    let stranger = json!({ "name": "stranger", "region": "fra1", "size_gigabytes": 1 });
    let stranger = id(&client.post(201, "/v2/volumes", stranger).await, "volume");
    let chosen = json!({ "volumes": [own.volume, stranger] });
    select(&client, own.droplet, chosen).await;
    let status = client.get(&path(own.droplet, "/status")).await;
    assert_eq!(status["failures"], 1);
    assert_eq!(status["droplet"].get("destroyed_at"), None);
    let failed: Vec<&Value> = status["resources"]["volumes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row.get("error_message").is_some())
        .collect();
    assert_eq!(failed[0]["id"], stranger);
    client.get(&format!("/v2/volumes/{stranger}")).await;
    let attach = json!({ "type": "attach", "droplet_id": own.droplet });
    client
        .post(202, &format!("/v2/volumes/{stranger}/actions"), attach)
        .await;
    client.wait(6).await;
    client
        .expect(202, "POST", &path(own.droplet, "/retry"), None)
        .await;
    client.wait(6).await;
    let status = client.get(&path(own.droplet, "/status")).await;
    assert_eq!(status["failures"], 0);
    client
        .expect(404, "GET", &format!("/v2/droplets/{}", own.droplet), None)
        .await;
    client
        .expect(404, "GET", &format!("/v2/volumes/{stranger}"), None)
        .await;
}
