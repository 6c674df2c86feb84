//! Droplets: their states, what keeps them busy, and what selects them.

use serde_json::json;

use crate::client::{Client, id};

#[tokio::test(start_paused = true)]
async fn a_new_droplet_has_no_address_and_is_locked_until_it_is_active() {
    let client = Client::in_memory();
    let droplet = client.new_droplet("one", json!({ "ipv6": true })).await;
    let path = format!("/v2/droplets/{droplet}");
    let new = client.get(&path).await["droplet"].clone();
    assert_eq!(
        (&new["status"], &new["locked"]),
        (&json!("new"), &json!(true))
    );
    assert_eq!(new["networks"], json!({ "v4": [], "v6": [] }));
    let action = client.get(&format!("{path}/actions")).await["actions"][0].clone();
    assert_eq!(
        (&action["type"], &action["status"]),
        (&json!("create"), &json!("in-progress"))
    );
    let busy = client
        .post(422, &format!("{path}/actions"), json!({ "type": "reboot" }))
        .await;
    assert_eq!(busy["message"], "Droplet already has a pending event.");
    client.expect(422, "DELETE", &path, None).await;
    client.wait(46).await;
    let active = client.get(&path).await["droplet"].clone();
    assert_eq!(
        (&active["status"], &active["locked"]),
        (&json!("active"), &json!(false))
    );
    assert_eq!(active["networks"]["v4"].as_array().unwrap().len(), 2);
    assert_eq!(active["networks"]["v6"].as_array().unwrap().len(), 1);
    let action = client.get(&format!("/v2/actions/{}", action["id"])).await;
    assert_eq!(action["action"]["status"], "completed");
    assert_eq!(action["action"]["completed_at"], "2026-01-02T03:04:50Z");
}

#[tokio::test(start_paused = true)]
async fn a_droplet_is_resized_when_it_is_off_and_its_disk_never_shrinks() {
    let client = Client::in_memory();
    let droplet = client.droplet("one", json!({})).await;
    let path = format!("/v2/droplets/{droplet}/actions");
    let bigger = json!({ "type": "resize", "size": "s-4vcpu-8gb", "disk": true });
    client.post(422, &path, bigger.clone()).await;
    client
        .post(201, &path, json!({ "type": "power_off" }))
        .await;
    client.wait(11).await;
    client.post(201, &path, bigger).await;
    client.wait(61).await;
    let shown = client.get(&format!("/v2/droplets/{droplet}")).await["droplet"].clone();
    assert_eq!(
        (&shown["size_slug"], &shown["disk"]),
        (&json!("s-4vcpu-8gb"), &json!(160))
    );
    assert_eq!(shown["status"], "off");
    client
        .post(
            422,
            &path,
            json!({ "type": "resize", "size": "s-2vcpu-4gb" }),
        )
        .await;
    client.post(501, &path, json!({ "type": "restore" })).await;
    client.post(422, &path, json!({ "type": "levitate" })).await;
}

#[tokio::test(start_paused = true)]
async fn names_need_not_be_unique_and_lists_filter() {
    let client = Client::in_memory();
    let first = client.droplet("twin", json!({ "tags": ["Red"] })).await;
    let second = client
        .droplet("twin", json!({ "tags": ["red", "blue"] }))
        .await;
    assert_ne!(first, second);
    let by_name = client.get("/v2/droplets?name=TWIN").await;
    assert_eq!(by_name["meta"]["total"], 2);
    let by_tag = client.get("/v2/droplets?tag_name=RED").await;
    assert_eq!(
        by_tag["droplets"][1]["tags"],
        json!(["Red", "blue"]),
        "the first spelling stays"
    );
    assert_eq!(
        client.get("/v2/droplets?tag_name=blue").await["meta"]["total"],
        1
    );
    client
        .expect(422, "GET", "/v2/droplets?tag_name=blue&name=twin", None)
        .await;
    client.delete("/v2/droplets?tag_name=red").await;
    assert_eq!(client.get("/v2/droplets").await["meta"]["total"], 0);
    client
        .expect(404, "GET", &format!("/v2/droplets/{first}"), None)
        .await;
    client
        .expect(404, "DELETE", &format!("/v2/droplets/{first}"), None)
        .await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_made_when_something_is_wrong() {
    let client = Client::in_memory();
    for wrong in [
        json!({ "size": "s-0vcpu" }),
        json!({ "image": "ubuntu-9" }),
        json!({ "region": "mars1" }),
        json!({ "name": "under_score" }),
        json!({ "name": "ends-" }),
        json!({ "ssh_keys": [42] }),
        json!({ "volumes": ["none"] }),
        json!({ "vpc_uuid": "00000000-0000-4000-8000-000000000000" }),
        json!({ "tags": ["fine", "not fine"] }),
        json!({ "user_data": "x".repeat(65 * 1024) }),
    ] {
        let mut body = json!({
            "name": "one", "region": "fra1", "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64",
        });
        for (key, value) in wrong.as_object().unwrap() {
            body[key] = value.clone();
        }
        client.post(422, "/v2/droplets", body).await;
    }
    let eleven: Vec<String> = (0..11).map(|n| format!("n{n}")).collect();
    let body = json!({ "names": eleven, "region": "fra1", "size": "s-1vcpu-1gb", "image": 1 });
    client.post(422, "/v2/droplets", body).await;
    assert_eq!(client.sandbox.inspect()["resources"], json!({}));
}

#[tokio::test(start_paused = true)]
async fn addresses_are_distinct_private_ones_inside_the_vpc() {
    let client = Client::in_memory();
    let body = json!({ "name": "small", "region": "fra1", "ip_range": "10.9.8.0/28" });
    let vpc = id(&client.post(201, "/v2/vpcs", body).await, "vpc");
    for n in 0..13 {
        client
            .new_droplet(&format!("n{n}"), json!({ "vpc_uuid": vpc }))
            .await;
    }
    client.wait(60).await;
    let mut private = std::collections::BTreeSet::new();
    let mut public = std::collections::BTreeSet::new();
    for droplet in client.get("/v2/droplets?per_page=50").await["droplets"]
        .as_array()
        .unwrap()
    {
        for network in droplet["networks"]["v4"].as_array().unwrap() {
            let ip = network["ip_address"].as_str().unwrap().to_owned();
            if network["type"] == "public" {
                public.insert(ip)
            } else {
                private.insert(ip)
            };
        }
    }
    assert_eq!((private.len(), public.len()), (13, 13));
    assert!(private.iter().all(|ip| ip.starts_with("10.9.8.")));
    assert!(public.iter().all(|ip| ip.starts_with("198.18.")));
    let full = json!({
        "name": "x", "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-12-x64",
        "vpc_uuid": vpc,
    });
    client.post(422, "/v2/droplets", full).await;
}

#[tokio::test(start_paused = true)]
async fn tags_are_made_by_droplets_and_taken_off_by_their_deletion() {
    let client = Client::in_memory();
    let droplet = client.droplet("one", json!({ "tags": ["k:server"] })).await;
    let tag = client.get("/v2/tags/k%3Aserver").await["tag"].clone();
    assert_eq!(tag["resources"]["droplets"]["count"], 1);
    client.delete("/v2/tags/k:server").await;
    client
        .expect(404, "DELETE", "/v2/tags/k:server", None)
        .await;
    let shown = client.get(&format!("/v2/droplets/{droplet}")).await;
    assert_eq!(shown["droplet"]["tags"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn backups_are_daily_unless_said_otherwise_and_none_is_made_at_once() {
    let client = Client::in_memory();
    let droplet = client.droplet("one", json!({})).await;
    let path = format!("/v2/droplets/{droplet}");
    let actions = format!("{path}/actions");
    let wrong = json!({ "type": "enable_backups", "backup_policy": { "plan": "hourly" } });
    client.post(422, &actions, wrong).await;
    client
        .post(201, &actions, json!({ "type": "enable_backups" }))
        .await;
    client.wait(11).await;
    let shown = client.get(&format!("{path}/backups/policy")).await["policy"].clone();
    assert_eq!(shown["backup_policy"]["plan"], "daily");
    assert_eq!(shown["backup_policy"].get("weekday"), None);
    let made = client.get(&format!("{path}/backups")).await;
    assert_eq!(made["meta"]["total"], 0);
}
