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
    // What is the default stays it, until another one becomes it.
    for (method, body) in [
        ("PATCH", json!({ "default": false })),
        ("PUT", json!({ "name": "a", "default": false })),
    ] {
        client
            .expect(422, method, &format!("/v2/vpcs/{first}"), Some(body))
            .await;
    }
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

#[tokio::test(start_paused = true)]
async fn a_put_replaces_and_a_patch_changes() {
    let client = Client::in_memory();
    let body = json!({ "name": "a", "region": "fra1", "description": "first" });
    let path = format!(
        "/v2/vpcs/{}",
        id(&client.post(201, "/v2/vpcs", body).await, "vpc")
    );
    let patched = client
        .expect(200, "PATCH", &path, Some(json!({ "name": "b" })))
        .await;
    assert_eq!(patched["vpc"]["description"], "first");
    let replaced = client.put(200, &path, json!({ "name": "c" })).await;
    assert_eq!(
        (&replaced["vpc"]["name"], &replaced["vpc"]["description"]),
        (&json!("c"), &json!(""))
    );
    client
        .put(422, &path, json!({ "description": "no name" }))
        .await;
    client
        .put(422, &path, json!({ "name": "default-fra1" }))
        .await;
    client
        .put(422, &path, json!({ "name": "not a name" }))
        .await;
    let long = json!({ "name": "c", "description": "x".repeat(256) });
    client.put(422, &path, long).await;
}

#[tokio::test(start_paused = true)]
async fn members_are_of_every_kind() {
    let client = Client::in_memory();
    let vpc = id(
        &client
            .post(201, "/v2/vpcs", json!({ "name": "a", "region": "fra1" }))
            .await,
        "vpc",
    );
    let droplet = client.droplet("one", json!({ "vpc_uuid": vpc })).await;
    let balancer = json!({
        "name": "lb", "region": "fra1", "droplet_ids": [droplet], "vpc_uuid": vpc,
        "forwarding_rules": [{
            "entry_protocol": "tcp", "entry_port": 1, "target_protocol": "tcp", "target_port": 1,
        }],
    });
    client.post(202, "/v2/load_balancers", balancer).await;
    let database = json!({
        "name": "store", "engine": "pg", "size": "db-s-1vcpu-1gb", "num_nodes": 1,
        "region": "fra1", "private_network_uuid": vpc,
    });
    client.post(201, "/v2/databases", database).await;
    for (query, count) in [
        ("", 3),
        ("?resource_type=droplet", 1),
        ("?resource_type=loadbalancer", 1),
        ("?resource_type=dbaas", 1),
        ("?resource_type=kubernetes", 0),
        ("?per_page=2", 3),
    ] {
        let members = client.get(&format!("/v2/vpcs/{vpc}/members{query}")).await;
        assert_eq!(members["meta"]["total"], count, "{query}");
    }
}
