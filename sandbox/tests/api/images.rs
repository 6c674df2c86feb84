//! Images: public ones, and droplets' snapshots, from which droplets are made and rebuilt.

use serde_json::json;

use crate::client::Client;

/// A droplet's snapshot; its id.
async fn snapshot(client: &Client, droplet: u64) -> u64 {
    let path = format!("/v2/droplets/{droplet}/actions");
    let asked = json!({ "type": "snapshot", "name": "saved" });
    let action = client.post(201, &path, asked).await["action"].clone();
    client.wait(91).await;
    let path = format!("/v2/droplets/{droplet}/snapshots");
    let made = client.get(&path).await["snapshots"][0].clone();
    assert_eq!(
        made["created_at"], action["started_at"],
        "clients find an action's snapshot by its moment"
    );
    made["id"].as_u64().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_is_a_private_image() {
    let client = Client::in_memory();
    let droplet = client.droplet("one", json!({})).await;
    assert_eq!(
        client.get("/v2/images?private=true").await["images"],
        json!([])
    );
    let image = snapshot(&client, droplet).await;
    let private = client.get("/v2/images?private=true").await["images"].clone();
    assert_eq!(private[0]["id"], image);
    assert_eq!(private[0]["distribution"], "Ubuntu");
    assert_eq!(private[0]["min_disk_size"], 80);
    let all = client.get("/v2/images?per_page=200").await["meta"]["total"].clone();
    let public = client.get("/v2/images?type=distribution").await["meta"]["total"].clone();
    assert_eq!(all.as_u64(), public.as_u64().map(|n| n + 1));
    let shown = client.get(&format!("/v2/images/{image}")).await;
    assert_eq!(shown["image"]["public"], false);
    let tagging = json!({ "resources": [
        { "resource_id": image.to_string(), "resource_type": "image" },
    ] });
    client
        .post(201, "/v2/tags", json!({ "name": "Kept" }))
        .await;
    client
        .post(204, "/v2/tags/Kept/resources", tagging.clone())
        .await;
    let tag = client.get("/v2/tags/Kept").await["tag"]["resources"].clone();
    assert_eq!(
        (&tag["images"]["count"], &tag["count"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(tag["volume_snapshots"]["count"], 0);
    let tagged = client.get("/v2/images?tag_name=Kept").await;
    assert_eq!(tagged["images"][0]["id"], image);
    // A path must spell the tag as it was made.
    client.expect(404, "GET", "/v2/tags/kept", None).await;
    client.post(404, "/v2/tags/kept/resources", tagging).await;
    client.delete(&format!("/v2/snapshots/{image}")).await;
    client
        .expect(404, "GET", &format!("/v2/images/{image}"), None)
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_droplet_is_made_of_a_snapshot_and_rebuilt() {
    let client = Client::in_memory();
    let droplet = client.droplet("one", json!({})).await;
    let image = snapshot(&client, droplet).await;
    let mut body = json!({
        "name": "copy", "region": "ams3", "size": "s-2vcpu-4gb", "image": image,
    });
    client.post(422, "/v2/droplets", body.clone()).await;
    body["region"] = json!("fra1");
    body["size"] = json!("s-1vcpu-1gb");
    client.post(422, "/v2/droplets", body).await;
    let copy = client.droplet("copy", json!({ "image": image })).await;
    let path = format!("/v2/droplets/{copy}");
    client.delete(&format!("/v2/snapshots/{image}")).await;
    let before = client.get(&path).await["droplet"].clone();
    assert_eq!(
        before["image"]["id"], image,
        "what it was made of, also when that is gone"
    );
    let actions = format!("{path}/actions");
    let rebuild = |image| json!({ "type": "rebuild", "image": image });
    client.post(422, &actions, rebuild(json!(image))).await;
    client
        .post(422, &actions, json!({ "type": "rebuild" }))
        .await;
    client
        .post(201, &actions, rebuild(json!("debian-12-x64")))
        .await;
    client.wait(46).await;
    let after = client.get(&path).await["droplet"].clone();
    assert_eq!(after["image"]["slug"], "debian-12-x64");
    assert_eq!(after["status"], "active");
    assert_eq!(after["networks"], before["networks"]);
    let restore = json!({ "type": "restore", "image": image });
    client.post(422, &actions, restore).await;
}

#[tokio::test(start_paused = true)]
async fn a_droplet_goes_back_to_its_own_image_only() {
    let client = Client::in_memory();
    let droplet = client.droplet("one", json!({})).await;
    let other = client.droplet("two", json!({})).await;
    let image = snapshot(&client, droplet).await;
    let restore = json!({ "type": "restore", "image": image });
    let path = |id: u64| format!("/v2/droplets/{id}/actions");
    client.post(422, &path(other), restore.clone()).await;
    let blank = client
        .post(422, &path(droplet), json!({ "type": "restore" }))
        .await;
    assert_eq!(blank["message"], "Image can't be blank");
    let action = client.post(201, &path(droplet), restore).await["action"].clone();
    assert_eq!(action["type"], "restore");
    client.wait(46).await;
    let action = client.get(&format!("/v2/actions/{}", action["id"])).await;
    assert_eq!(action["action"]["status"], "completed");
    let shown = client.get(&format!("/v2/droplets/{droplet}")).await["droplet"].clone();
    assert_eq!(
        (&shown["status"], &shown["image"]["id"]),
        (&json!("active"), &json!(image))
    );
    // Gone before the action ends.
    let again = json!({ "type": "restore", "image": image });
    let action = client.post(201, &path(droplet), again).await["action"].clone();
    client.delete(&format!("/v2/snapshots/{image}")).await;
    client.wait(46).await;
    let action = client.get(&format!("/v2/actions/{}", action["id"])).await;
    assert_eq!(action["action"]["status"], "errored");
}

#[tokio::test(start_paused = true)]
async fn images_are_read_and_not_written() {
    let client = Client::in_memory();
    client
        .expect(422, "GET", "/v2/images?type=snapshot", None)
        .await;
    let shown = client.get("/v2/images/ubuntu-24-04-x64").await["image"].clone();
    let path = format!("/v2/images/{}", shown["id"]);
    assert_eq!(client.get(&path).await["image"], shown);
    let done = client.get(&format!("{path}/actions")).await;
    assert_eq!(done["meta"]["total"], 0);
    client
        .expect(404, "GET", &format!("{path}/actions/1"), None)
        .await;
    client
        .expect(404, "GET", "/v2/images/1/actions", None)
        .await;
    client.put(501, &path, json!({ "name": "x" })).await;
    client.expect(501, "DELETE", &path, None).await;
}
