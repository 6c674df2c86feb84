//! VPCs: ranges, names, defaults and members.

use kplan_sandbox::Config;
use serde_json::json;

use crate::client::{Client, config, id};

#[tokio::test(start_paused = true)]
async fn names_and_ranges_are_unique() {
    let client = Client::in_memory();
    let body = json!({ "name": "a", "region": "fra1", "ip_range": "10.10.10.0/24" });
    client.post(201, "/v2/vpcs", body.clone()).await;
    client.post(422, "/v2/vpcs", body).await;
    for range in [
        "10.10.10.128/25",
        "10.10.0.0/16",
        "10.10.10.0/30",
        "8.8.8.0/24",
        "10.1.0.0",
    ] {
        let body = json!({ "name": "b", "region": "ams3", "ip_range": range });
        client.post(422, "/v2/vpcs", body).await;
    }
    let auto = client
        .post(201, "/v2/vpcs", json!({ "name": "b", "region": "ams3" }))
        .await;
    assert!(auto["vpc"]["ip_range"].as_str().unwrap().ends_with("/20"));
}

#[tokio::test(start_paused = true)]
async fn the_first_vpc_of_a_region_becomes_its_default_and_stays() {
    let client = Client::new(&Config {
        default_vpcs: false,
        ..config()
    });
    let first = client
        .post(201, "/v2/vpcs", json!({ "name": "a", "region": "fra1" }))
        .await;
    assert_eq!(first["vpc"]["default"], true);
    let second = client
        .post(201, "/v2/vpcs", json!({ "name": "b", "region": "fra1" }))
        .await;
    assert_eq!(second["vpc"]["default"], false);
    let (first, second) = (id(&first, "vpc"), id(&second, "vpc"));
    client
        .expect(403, "DELETE", &format!("/v2/vpcs/{first}"), None)
        .await;
    let change = json!({ "default": true });
    client
        .expect(200, "PATCH", &format!("/v2/vpcs/{second}"), Some(change))
        .await;
    client.delete(&format!("/v2/vpcs/{first}")).await;
}

#[tokio::test(start_paused = true)]
async fn members_keep_a_vpc_and_linger_after_their_end() {
    let client = Client::in_memory();
    let vpc = id(
        &client
            .post(201, "/v2/vpcs", json!({ "name": "a", "region": "fra1" }))
            .await,
        "vpc",
    );
    let path = format!("/v2/vpcs/{vpc}");
    let droplet = client.droplet("one", json!({ "vpc_uuid": vpc })).await;
    let members = client
        .get(&format!("{path}/members?resource_type=droplet"))
        .await;
    assert_eq!(
        members["members"][0]["urn"],
        format!("do:droplet:{droplet}")
    );
    client.expect(409, "DELETE", &path, None).await;
    client.delete(&format!("/v2/droplets/{droplet}")).await;
    client.expect(409, "DELETE", &path, None).await;
    client.wait(30).await;
    client.delete(&path).await;
}

#[tokio::test(start_paused = true)]
async fn resources_stay_in_their_region() {
    let client = Client::in_memory();
    let vpc = id(
        &client
            .post(201, "/v2/vpcs", json!({ "name": "a", "region": "fra1" }))
            .await,
        "vpc",
    );
    let droplet = json!({
        "name": "x", "region": "ams3", "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64",
        "vpc_uuid": vpc,
    });
    client.post(422, "/v2/droplets", droplet).await;
}
