//! Volumes, reserved addresses and Spaces keys.

use serde_json::json;

use crate::client::{Client, id};

#[tokio::test(start_paused = true)]
async fn a_volume_is_attached_once_and_only_grows() {
    let client = Client::in_memory();
    let droplet = client.droplet("one", json!({})).await;
    let body = json!({ "name": "data", "region": "fra1", "size_gigabytes": 10 });
    let volume = id(
        &client.post(201, "/v2/volumes", body.clone()).await,
        "volume",
    );
    client.post(409, "/v2/volumes", body).await;
    let path = format!("/v2/volumes/{volume}");
    let attach = json!({ "type": "attach", "droplet_id": droplet });
    client
        .post(202, &format!("{path}/actions"), attach.clone())
        .await;
    client
        .post(422, &format!("{path}/actions"), attach.clone())
        .await;
    let busy = json!({ "type": "reboot" });
    client
        .post(422, &format!("/v2/droplets/{droplet}/actions"), busy)
        .await;
    client.wait(6).await;
    assert_eq!(
        client.get(&path).await["volume"]["droplet_ids"],
        json!([droplet])
    );
    client.post(422, &format!("{path}/actions"), attach).await;
    client.expect(409, "DELETE", &path, None).await;
    client
        .post(
            422,
            &format!("{path}/actions"),
            json!({ "type": "resize", "size_gigabytes": 10 }),
        )
        .await;
    client.delete(&format!("/v2/droplets/{droplet}")).await;
    assert_eq!(client.get(&path).await["volume"]["droplet_ids"], json!([]));
    client.delete(&path).await;
}

#[tokio::test(start_paused = true)]
async fn a_reserved_address_leads_to_its_droplet() {
    let client = Client::in_memory();
    let droplet = client.droplet("one", json!({})).await;
    let made = client
        .post(202, "/v2/reserved_ips", json!({ "region": "fra1" }))
        .await;
    let ip = made["reserved_ip"]["ip"].as_str().unwrap().to_owned();
    let path = format!("/v2/reserved_ips/{ip}");
    let assign = json!({ "type": "assign", "droplet_id": droplet });
    client
        .post(201, &format!("{path}/actions"), assign.clone())
        .await;
    client.expect(422, "DELETE", &path, None).await;
    client.wait(6).await;
    assert_eq!(
        client.get(&path).await["reserved_ip"]["droplet"]["id"],
        droplet
    );
    assert_eq!(
        client.sandbox.facts().droplet_by_ip(ip.parse().unwrap()),
        Some(droplet)
    );
    client.delete(&format!("/v2/droplets/{droplet}")).await;
    assert_eq!(
        client.get(&path).await["reserved_ip"]["droplet"],
        json!(null)
    );
    client.post(404, &format!("{path}/actions"), assign).await;
    let done = client.get(&format!("{path}/actions")).await["actions"][0].clone();
    assert_eq!(
        (&done["type"], &done["resource_type"], &done["status"]),
        (
            &json!("assign_ip"),
            &json!("reserved_ip"),
            &json!("completed")
        )
    );
    let shown = client.get(&format!("{path}/actions/{}", done["id"])).await;
    let project = client.get("/v2/projects/default").await["project"]["id"].clone();
    assert_eq!(shown["action"]["project_id"], project);
    client.delete(&path).await;
}

#[tokio::test(start_paused = true)]
async fn the_secret_of_a_spaces_key_is_shown_once() {
    let client = Client::in_memory();
    let grants = json!([{ "bucket": "b", "permission": "readwrite" }]);
    let body = json!({ "name": "k", "grants": grants });
    let key = client.post(201, "/v2/spaces/keys", body).await["key"].clone();
    let secret = key["secret_key"].as_str().unwrap();
    let access = key["access_key"].as_str().unwrap();
    let path = format!("/v2/spaces/keys/{access}");
    assert!(!client.get(&path).await.to_string().contains(secret));
    assert!(
        !client
            .get("/v2/spaces/keys")
            .await
            .to_string()
            .contains(secret)
    );
    let facts = client.sandbox.facts().spaces_keys();
    assert_eq!(
        (facts[0].access_key.as_str(), facts[0].secret_key.as_str()),
        (access, secret)
    );
    let full = json!({ "name": "k", "grants": [{ "bucket": "", "permission": "fullaccess" }] });
    client.put(400, &path, full).await;
    for wrong in [
        json!([{ "bucket": "b", "permission": "fullaccess" }]),
        json!([{ "bucket": "", "permission": "read" }]),
        json!([{ "bucket": "b", "permission": "write" }]),
    ] {
        client
            .post(
                400,
                "/v2/spaces/keys",
                json!({ "name": "x", "grants": wrong }),
            )
            .await;
    }
}
