//! Volumes: how they are formatted, copied, attached by name and limited.

use serde_json::json;

use crate::client::{Client, id};

#[tokio::test(start_paused = true)]
async fn a_volume_is_formatted_and_its_copy_is_too() {
    let client = Client::in_memory();
    let volume = |extra: serde_json::Value| {
        let mut body = json!({ "name": "data", "region": "fra1", "size_gigabytes": 10 });
        for (key, value) in extra.as_object().unwrap() {
            body[key] = value.clone();
        }
        body
    };
    for wrong in [
        json!({ "filesystem_type": "fat" }),
        json!({ "filesystem_label": "alone" }),
        json!({ "filesystem_type": "xfs", "filesystem_label": "thirteenchars" }),
        json!({ "filesystem_type": "ext4", "filesystem_label": "seventeencharacte" }),
        json!({ "size_gigabytes": 0 }),
        json!({ "size_gigabytes": 16_385 }),
        json!({ "size_gigabytes": null }),
        json!({ "region": "mars1" }),
        json!({ "name": "Data" }),
        json!({ "tags": ["not a tag"] }),
    ] {
        client.post(422, "/v2/volumes", volume(wrong)).await;
    }
    let formatted = json!({ "filesystem_type": "ext4", "filesystem_label": "sixteen-letters-" });
    let made = client.post(201, "/v2/volumes", volume(formatted)).await;
    let path = format!("/v2/volumes/{}/snapshots", id(&made, "volume"));
    let named = json!({ "name": "copy" });
    let copy = client.post(201, &path, named.clone()).await["snapshot"].clone();
    client.post(409, &path, named).await;
    let own = format!("/v2/volumes/snapshots/{}", copy["id"].as_str().unwrap());
    assert_eq!(client.get(&own).await["snapshot"], copy);
    let from = |extra: serde_json::Value| {
        let mut body = json!({
            "name": "twin", "region": "fra1", "snapshot_id": copy["id"], "size_gigabytes": 10,
        });
        for (key, value) in extra.as_object().unwrap() {
            body[key] = value.clone();
        }
        body
    };
    client
        .post(422, "/v2/volumes", from(json!({ "region": "ams3" })))
        .await;
    client
        .post(422, "/v2/volumes", from(json!({ "size_gigabytes": 9 })))
        .await;
    let unknown = json!({ "snapshot_id": "b0798135-fb76-11eb-946a-0a58ac146f33" });
    client.post(404, "/v2/volumes", from(unknown)).await;
    let twin = client.post(201, "/v2/volumes", from(json!({}))).await["volume"].clone();
    assert_eq!(
        (
            &twin["size_gigabytes"],
            &twin["filesystem_type"],
            &twin["filesystem_label"]
        ),
        (&json!(10), &json!("ext4"), &json!("sixteen-letters-"))
    );
    client.delete(&own).await;
    client.expect(404, "DELETE", &own, None).await;
}

#[tokio::test(start_paused = true)]
async fn actions_by_name_attach_tag_and_detach() {
    let client = Client::in_memory();
    let droplet = client.droplet("one", json!({})).await;
    let body = json!({ "name": "data", "region": "fra1", "size_gigabytes": 10, "tags": ["a"] });
    let volume = id(&client.post(201, "/v2/volumes", body).await, "volume");
    let by_name = "/v2/volumes/actions";
    let attach = json!({
        "type": "attach", "volume_name": "data", "region": "fra1", "droplet_id": droplet,
        "tags": ["A", "b"],
    });
    let mut elsewhere = attach.clone();
    elsewhere["region"] = json!("ams3");
    client.post(404, by_name, elsewhere.clone()).await;
    let by_id = format!("/v2/volumes/{volume}/actions");
    client.post(422, &by_id, elsewhere).await;
    let action = client.post(202, by_name, attach.clone()).await["action"].clone();
    assert_eq!(
        (&action["type"], &action["resource_type"]),
        (&json!("attach_volume"), &json!("backend"))
    );
    client.wait(6).await;
    let path = format!("/v2/volumes/{volume}");
    let shown = client.get(&path).await["volume"].clone();
    assert_eq!(shown["tags"], json!(["a", "b"]));
    let refused = client.post(422, by_name, attach).await;
    assert_eq!(refused["message"], "This volume is already attached");
    let refused = client.expect(409, "DELETE", &path, None).await;
    assert_eq!(refused["message"], "attached volume cannot be deleted");
    let resize = json!({
        "type": "resize", "volume_name": "data", "region": "fra1", "size_gigabytes": 20,
    });
    client.post(422, by_name, resize).await;
    let detach =
        |droplet: u64| json!({ "type": "detach", "volume_name": "data", "droplet_id": droplet });
    let refused = client.post(422, by_name, detach(1)).await;
    assert_eq!(refused["message"], "Attachment not found");
    client.post(202, by_name, detach(droplet)).await;
    client.wait(6).await;
    assert_eq!(client.get(&path).await["volume"]["droplet_ids"], json!([]));
    client.delete("/v2/volumes?name=data&region=fra1").await;
}

#[tokio::test(start_paused = true)]
async fn a_droplet_takes_fifteen_volumes_and_a_volume_one_droplet() {
    let client = Client::in_memory();
    let mut ids = Vec::new();
    for n in 0..17 {
        let body = json!({ "name": format!("v{n}"), "region": "fra1", "size_gigabytes": 1 });
        ids.push(id(&client.post(201, "/v2/volumes", body).await, "volume"));
    }
    let droplet = |extra: serde_json::Value| {
        let mut body = json!({
            "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-12-x64",
        });
        for (key, value) in extra.as_object().unwrap() {
            body[key] = value.clone();
        }
        body
    };
    let two = json!({ "names": ["a", "b"], "volumes": [ids[0]] });
    let refused = client.post(422, "/v2/droplets", droplet(two)).await;
    assert_eq!(refused["message"], "Invalid volume allocations");
    let sixteen = json!({ "name": "a", "volumes": &ids[..16] });
    let refused = client.post(422, "/v2/droplets", droplet(sixteen)).await;
    assert_eq!(
        refused["message"],
        "cannot attach more volumes to the Droplet"
    );
    let full = client.droplet("a", json!({ "volumes": &ids[..15] })).await;
    let attach = json!({ "type": "attach", "droplet_id": full });
    let path = format!("/v2/volumes/{}/actions", ids[15]);
    client.post(422, &path, attach).await;
}
