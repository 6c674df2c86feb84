//! Load balancers: full replacement to defaults, targets, sizes.

use serde_json::{Value, json};

use crate::client::{Client, id};

fn balancer(extra: &Value) -> Value {
    let mut body = json!({
        "name": "lb", "region": "fra1",
        "forwarding_rules": [{
            "entry_protocol": "tcp", "entry_port": 6443,
            "target_protocol": "tcp", "target_port": 6443,
        }],
    });
    for (key, value) in extra.as_object().unwrap() {
        body[key] = value.clone();
    }
    // The document wants one of both.
    if body.get("tag").is_none() && body.get("droplet_ids").is_none() {
        body["droplet_ids"] = json!([]);
    }
    body
}

#[tokio::test(start_paused = true)]
async fn the_address_comes_with_the_active_state() {
    let client = Client::in_memory();
    let made = client
        .post(202, "/v2/load_balancers", balancer(&json!({})))
        .await;
    let path = format!("/v2/load_balancers/{}", id(&made, "load_balancer"));
    assert_eq!(made["load_balancer"]["status"], "new");
    assert_eq!(made["load_balancer"]["ip"], "");
    client.wait(91).await;
    let active = client.get(&path).await["load_balancer"].clone();
    assert_eq!(active["status"], "active");
    assert!(active["ip"].as_str().unwrap().starts_with("198.18."));
    client
        .post(422, "/v2/load_balancers", balancer(&json!({})))
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_a_put_leaves_out_is_at_its_default_again() {
    let client = Client::in_memory();
    let full = balancer(&json!({
        "enable_proxy_protocol": true,
        "health_check": { "protocol": "tcp", "port": 6443, "healthy_threshold": 7 },
        "firewall": { "allow": ["cidr:10.0.0.0/8"] },
    }));
    let made = client.post(202, "/v2/load_balancers", full).await;
    assert_eq!(made["load_balancer"]["health_check"]["port"], 6443);
    let path = format!("/v2/load_balancers/{}", id(&made, "load_balancer"));
    let after = client.put(200, &path, balancer(&json!({}))).await["load_balancer"].clone();
    assert_eq!(after["enable_proxy_protocol"], false);
    assert_eq!(after["firewall"], json!({ "allow": [], "deny": [] }));
    assert_eq!(
        after["health_check"],
        json!({
            "protocol": "http", "port": 80, "path": "/", "check_interval_seconds": 10,
            "response_timeout_seconds": 5, "unhealthy_threshold": 5, "healthy_threshold": 3,
        })
    );
    client
        .put(422, &path, balancer(&json!({ "region": "ams3" })))
        .await;
    client
        .put(422, &path, balancer(&json!({ "type": "REGIONAL_NETWORK" })))
        .await;
}

#[tokio::test(start_paused = true)]
async fn targets_come_by_tag_or_by_id() {
    let client = Client::in_memory();
    client
        .post(
            422,
            "/v2/load_balancers",
            balancer(&json!({ "tag": "web" })),
        )
        .await;
    let droplet = client.droplet("one", json!({ "tags": ["web"] })).await;
    let both = balancer(&json!({ "tag": "web", "droplet_ids": [droplet] }));
    client.post(422, "/v2/load_balancers", both).await;
    let made = client
        .post(
            202,
            "/v2/load_balancers",
            balancer(&json!({ "tag": "web" })),
        )
        .await;
    assert_eq!(made["load_balancer"]["droplet_ids"], json!([droplet]));
    let path = format!("/v2/load_balancers/{}", id(&made, "load_balancer"));
    let ids = json!({ "droplet_ids": [droplet] });
    client.post(422, &format!("{path}/droplets"), ids).await;
    client.wait(100).await;
    let ip = client.get(&path).await["load_balancer"]["ip"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let facts = client.sandbox.facts();
    assert_eq!(facts.load_balancer_targets(ip).unwrap().len(), 1);
    client.delete(&format!("/v2/droplets/{droplet}")).await;
    assert_eq!(facts.load_balancer_targets(ip).unwrap().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_size_changes_once_an_hour() {
    let client = Client::in_memory();
    let made = client
        .post(
            202,
            "/v2/load_balancers",
            balancer(&json!({ "size_unit": 2 })),
        )
        .await;
    let path = format!("/v2/load_balancers/{}", id(&made, "load_balancer"));
    client
        .put(200, &path, balancer(&json!({ "size_unit": 2 })))
        .await;
    client
        .put(422, &path, balancer(&json!({ "size_unit": 3 })))
        .await;
    client.wait(3600).await;
    client
        .put(200, &path, balancer(&json!({ "size_unit": 3 })))
        .await;
    client
        .put(422, &path, balancer(&json!({ "size_unit": 2 })))
        .await;
    client
        .post(
            422,
            "/v2/load_balancers",
            balancer(&json!({ "size_unit": 101 })),
        )
        .await;
}

fn rule(entry: &str, port: u32) -> Value {
    json!({
        "entry_protocol": entry, "entry_port": port,
        "target_protocol": "tcp", "target_port": port,
    })
}

#[tokio::test(start_paused = true)]
async fn what_makes_no_sense_is_refused() {
    let client = Client::in_memory();
    let sticky = |name: &str, seconds: u32| json!({ "sticky_sessions": { "type": "cookies", "cookie_name": name, "cookie_ttl_seconds": seconds } });
    for wrong in [
        json!({ "forwarding_rules": [] }),
        json!({ "forwarding_rules": [rule("ftp", 21)] }),
        json!({ "forwarding_rules": [rule("udp", 53)] }),
        json!({ "forwarding_rules": [rule("tcp", 0)] }),
        json!({ "forwarding_rules": [rule("tcp", 50_053)] }),
        json!({ "type": "REGIONAL_NETWORK", "forwarding_rules": [rule("http", 80)] }),
        json!({ "sticky_sessions": { "type": "sometimes" } }),
        json!({ "sticky_sessions": { "type": "cookies" } }),
        sticky("A", 300),
        sticky("LB", 0),
        json!({ "health_check": { "protocol": "udp" } }),
        json!({ "health_check": { "port": 0 } }),
        json!({ "health_check": { "unhealthy_threshold": 11 } }),
        json!({ "firewall": { "deny": ["10.0.0.1"] } }),
        json!({ "http_idle_timeout_seconds": 29 }),
        json!({ "health_check": { "protocol": "http", "port": 80, "path": "no" } }),
        json!({ "tls_cipher_policy": "WEAK" }),
        json!({ "domains": [{ "name": "example.com" }] }),
        json!({ "glb_settings": { "target_protocol": "http", "target_port": 80 } }),
        json!({ "target_load_balancer_ids": ["7dbf91fe-cbdb-48dc-8290-c3a181554905"] }),
        json!({ "size": "lb-small", "size_unit": 1 }),
        json!({ "size": "lb-huge" }),
        json!({ "vpc_uuid": "c33931f2-a26a-4e61-b85c-4e95a2ec431b" }),
        json!({ "project_id": "4de7ac8b-495b-4884-9a69-1050c6793cd6" }),
    ] {
        client
            .post(422, "/v2/load_balancers", balancer(&wrong))
            .await;
    }
    let reserved = json!({ "forwarding_rules": [rule("tcp", 50_055)] });
    let refused = client
        .post(422, "/v2/load_balancers", balancer(&reserved))
        .await;
    assert_eq!(refused["message"], "entry port is invalid");
    let global = balancer(&json!({ "type": "GLOBAL" }));
    client.post(501, "/v2/load_balancers", global).await;
    // The cookie is shown only where there is one.
    let with =
        json!({ "sticky_sessions": { "type": "none", "cookie_name": "LB" }, "size": "lb-medium" });
    let made = client
        .post(202, "/v2/load_balancers", balancer(&with))
        .await["load_balancer"]
        .clone();
    assert_eq!(made["sticky_sessions"], json!({ "type": "none" }));
    assert_eq!(made["size_unit"], 3);
}

#[tokio::test(start_paused = true)]
async fn networks_and_stacks() {
    let client = Client::in_memory();
    let both = balancer(&json!({ "type": "REGIONAL_NETWORK", "network_stack": "DUALSTACK" }));
    let both = client.post(202, "/v2/load_balancers", both).await;
    let inside = balancer(&json!({ "name": "inside", "network": "INTERNAL" }));
    let inside = client.post(202, "/v2/load_balancers", inside).await;
    assert_eq!(both["load_balancer"]["ipv6"], Value::Null);
    client.wait(91).await;
    let show = async |made: &Value| {
        let path = format!("/v2/load_balancers/{}", id(made, "load_balancer"));
        client.get(&path).await["load_balancer"].clone()
    };
    let (both, inside) = (show(&both).await, show(&inside).await);
    assert_eq!(
        (&both["type"], &both["network"], &both["network_stack"]),
        (
            &json!("REGIONAL_NETWORK"),
            &json!("EXTERNAL"),
            &json!("DUALSTACK")
        )
    );
    let ipv6 = both["ipv6"].as_str().unwrap();
    assert!(ipv6.parse::<std::net::Ipv6Addr>().is_ok(), "{ipv6}");
    assert!(
        inside["ip"].as_str().unwrap().starts_with("10."),
        "{inside}"
    );
    assert_eq!(inside["ipv6"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn droplets_are_of_the_same_region_and_at_most_ten() {
    let client = Client::in_memory();
    let body = json!({ "names": ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"],
        "region": "fra1", "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64", "tags": ["web"] });
    let many = client.post(202, "/v2/droplets", body).await;
    let mut ids: Vec<u64> = many["droplets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|droplet| droplet["id"].as_u64().unwrap())
        .collect();
    let away = json!({ "region": "ams3", "tags": ["web"] });
    let away = client.droplet("away", away).await;
    let refused = balancer(&json!({ "droplet_ids": [away] }));
    client.post(422, "/v2/load_balancers", refused).await;
    let by_tag = balancer(&json!({ "name": "by-tag", "tag": "web" }));
    let by_tag = client.post(202, "/v2/load_balancers", by_tag).await;
    let targets = by_tag["load_balancer"]["droplet_ids"].as_array().unwrap();
    assert_eq!(targets.len(), 10);
    let made = balancer(&json!({ "droplet_ids": ids }));
    let made = client.post(202, "/v2/load_balancers", made).await;
    let path = format!("/v2/load_balancers/{}", id(&made, "load_balancer"));
    let more = client.droplet("more", json!({})).await;
    let one = json!({ "droplet_ids": [more] });
    client
        .post(422, &format!("{path}/droplets"), one.clone())
        .await;
    let gone = json!({ "droplet_ids": [ids.pop()] });
    client
        .expect(204, "DELETE", &format!("{path}/droplets"), Some(gone))
        .await;
    client.post(204, &format!("{path}/droplets"), one).await;
}

#[tokio::test(start_paused = true)]
async fn names_of_signed_certificates_lead_to_it() {
    let client = Client::in_memory();
    client
        .post(201, "/v2/domains", json!({ "name": "example.com" }))
        .await;
    let asked = json!({ "name": "le", "type": "lets_encrypt", "dns_names": ["example.com", "www.example.com"] });
    let certificate = client.post(201, "/v2/certificates", asked).await;
    let certificate = id(&certificate, "certificate");
    let https = |name: &str, disable: bool| {
        balancer(&json!({
            "name": name, "disable_lets_encrypt_dns_records": disable, "forwarding_rules": [{
                "entry_protocol": "https", "entry_port": 443, "target_protocol": "http",
                "target_port": 80, "certificate_id": certificate,
            }],
        }))
    };
    let records = "/v2/domains/example.com/records?type=A";
    client
        .post(202, "/v2/load_balancers", https("without", true))
        .await;
    client.wait(91).await;
    assert_eq!(client.get(records).await["meta"]["total"], 0);
    let made = client
        .post(202, "/v2/load_balancers", https("with", false))
        .await;
    client.wait(91).await;
    let path = format!("/v2/load_balancers/{}", id(&made, "load_balancer"));
    let ip = client.get(&path).await["load_balancer"]["ip"].clone();
    let found = client.get(records).await["domain_records"].clone();
    let pair = |n: usize| (found[n]["name"].clone(), found[n]["data"].clone());
    assert_eq!(
        [pair(0), pair(1)],
        [(json!("@"), ip.clone()), (json!("www"), ip)]
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_put_says_is_what_is_shown() {
    let client = Client::in_memory();
    let made = client
        .post(
            202,
            "/v2/load_balancers",
            balancer(&json!({ "tls_cipher_policy": "STRONG" })),
        )
        .await;
    let path = format!("/v2/load_balancers/{}", id(&made, "load_balancer"));
    assert_eq!(made["load_balancer"]["tls_cipher_policy"], "STRONG");
    let said = json!({
        "enable_proxy_protocol": true, "tls_cipher_policy": "DEFAULT",
        "network": "EXTERNAL", "network_stack": "IPV4", "size": "lb-small",
    });
    let shown = client.put(200, &path, balancer(&said)).await["load_balancer"].clone();
    for key in [
        "enable_proxy_protocol",
        "tls_cipher_policy",
        "network",
        "network_stack",
    ] {
        assert_eq!(shown[key], said[key], "{key}");
    }
    assert_eq!(shown["size_unit"], 1, "what lb-small is");
    for wrong in [
        json!({ "tls_cipher_policy": "WEAK" }),
        json!({ "network": "INTERNAL" }),
        json!({ "network_stack": "DUALSTACK" }),
    ] {
        client.put(422, &path, balancer(&wrong)).await;
    }
}
