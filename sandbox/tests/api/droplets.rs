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
    let smaller = json!({ "type": "resize", "size": "s-2vcpu-4gb" });
    let refused = client.post(422, &path, smaller).await;
    assert_eq!(
        refused["message"],
        "This size is not available because it has a smaller disk."
    );
    client.post(422, &path, json!({ "type": "levitate" })).await;
    let kernel = json!({ "type": "change_kernel", "kernel": 1 });
    client.post(501, &path, kernel).await;
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
async fn a_disk_that_stayed_small_can_grow_later() {
    let client = Client::in_memory();
    let droplet = client.droplet("one", json!({})).await;
    let path = format!("/v2/droplets/{droplet}/actions");
    let off = json!({ "type": "power_off" });
    client.post(201, &path, off.clone()).await;
    client.wait(11).await;
    let refused = client.post(422, &path, off).await;
    assert_eq!(refused["message"], "The droplet is already off.");
    let resize = |disk| json!({ "type": "resize", "size": "s-4vcpu-8gb", "disk": disk });
    for (disk, gib) in [(false, 80), (true, 160)] {
        client.post(201, &path, resize(disk)).await;
        client.wait(61).await;
        let shown = client.get(&format!("/v2/droplets/{droplet}")).await["droplet"].clone();
        assert_eq!(
            (&shown["memory"], &shown["disk"]),
            (&json!(8192), &json!(gib))
        );
        let refused = client.post(422, &path, resize(disk)).await;
        assert_eq!(
            refused["message"],
            "The droplet is already set to this size."
        );
    }
    client.post(201, &path, json!({ "type": "power_on" })).await;
    client.wait(11).await;
    let refused = client.post(422, &path, resize(true)).await;
    let on = "Droplet is currently on. Please power it off to run this event.";
    assert_eq!(refused["message"], on);
}

#[tokio::test(start_paused = true)]
async fn a_region_may_be_half_said_or_left_out() {
    let client = Client::in_memory();
    let near = client.droplet("near", json!({ "region": "ams" })).await;
    let shown = client.get(&format!("/v2/droplets/{near}")).await;
    assert_eq!(shown["droplet"]["region"]["slug"], "ams3");
    let volume = json!({ "name": "v", "region": "sgp1", "size_gigabytes": 1 });
    let volume = id(&client.post(201, "/v2/volumes", volume).await, "volume");
    let body = json!({
        "name": "far", "size": "s-1vcpu-1gb", "image": "debian-12-x64", "volumes": [volume],
    });
    let far = client.post(202, "/v2/droplets", body).await;
    assert_eq!(far["droplet"]["region"]["slug"], "sgp1");
    assert_eq!(far["droplet"]["volume_ids"], json!([volume]));
    for region in ["am", "ams9", ""] {
        let body = json!({
            "name": "x", "size": "s-1vcpu-1gb", "image": "debian-12-x64", "region": region,
        });
        client.post(422, "/v2/droplets", body).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_for_at_creation_shows() {
    let client = Client::in_memory();
    let body = json!({
        "name": "one", "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-12-x64",
        "monitoring": true, "private_networking": true,
    });
    let made = client.post(202, "/v2/droplets", body).await["droplet"].clone();
    // As DigitalOcean answers; what is read later says that it is busy.
    assert_eq!(
        (&made["status"], &made["locked"]),
        (&json!("new"), &json!(false))
    );
    assert_eq!(
        made["features"],
        json!(["private_networking", "monitoring", "droplet_agent"]),
        "the agent is installed unless that is refused"
    );
    let inside = json!({
        "public_networking": false, "ipv6": true, "with_droplet_agent": false,
    });
    let inside = client.droplet("inside", inside).await;
    let shown = client.get(&format!("/v2/droplets/{inside}")).await["droplet"].clone();
    assert_eq!(shown["features"], json!(["private_networking"]));
    assert_eq!(shown["networks"]["v4"].as_array().unwrap().len(), 1);
    assert_eq!(shown["networks"]["v6"], json!([]));
    let ipv6 = json!({ "type": "enable_ipv6" });
    client
        .post(422, &format!("/v2/droplets/{inside}/actions"), ipv6)
        .await;
    let address = json!({ "droplet_id": inside });
    client.post(422, "/v2/reserved_ips", address).await;
}

#[tokio::test(start_paused = true)]
async fn only_some_actions_are_for_all_with_a_tag() {
    let client = Client::in_memory();
    client.droplet("one", json!({ "tags": ["web"] })).await;
    client.droplet("two", json!({ "tags": ["web"] })).await;
    let path = "/v2/droplets/actions?tag_name=web";
    for kind in ["reboot", "password_reset", "rename", "rebuild", "resize"] {
        client.post(422, path, json!({ "type": kind })).await;
    }
    let started = client.post(201, path, json!({ "type": "power_off" })).await;
    assert_eq!(started["actions"].as_array().unwrap().len(), 2);
    client.wait(11).await;
    client.post(422, path, json!({ "type": "shutdown" })).await;
    let nobody = "/v2/droplets/actions?tag_name=nobody";
    let none = client
        .post(201, nobody, json!({ "type": "power_on" }))
        .await;
    assert_eq!(none["actions"], json!([]));
    client
        .expect(404, "DELETE", "/v2/droplets?tag_name=nobody", None)
        .await;
    client
        .expect(422, "GET", "/v2/droplets?tag_name=web&type=gpus", None)
        .await;
    let gpus = client.get("/v2/droplets?type=gpus").await;
    assert_eq!(gpus["meta"]["total"], 0);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_without_a_name_gets_the_droplets() {
    let client = Client::in_memory();
    let droplet = client.droplet("one", json!({})).await;
    let path = format!("/v2/droplets/{droplet}");
    client
        .post(
            201,
            &format!("{path}/actions"),
            json!({ "type": "snapshot" }),
        )
        .await;
    client.wait(91).await;
    let made = client.get(&format!("{path}/snapshots")).await["snapshots"][0].clone();
    // 2026-01-02T03:05:05Z in milliseconds.
    assert_eq!(made["name"], "one-1767323105000");
    assert!(made["size_gigabytes"].as_f64().unwrap() > 0.0);
    let shown = client.get(&path).await["droplet"].clone();
    assert_eq!(shown["snapshot_ids"], json!([made["id"]]));
    assert_eq!(shown["backup_ids"], json!([]));
}
