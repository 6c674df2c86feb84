//! SSH keys and what can be bought.

use serde_json::json;

use crate::client::{Client, id};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1x1DzxcA0yJmmlBkUN2vDPF0Nsi0Rsjau3SCmLp4HO";

#[tokio::test(start_paused = true)]
async fn a_key_is_added_once_whatever_its_comment() {
    let client = Client::in_memory();
    let body = json!({ "name": "a", "public_key": format!("{KEY} me@here") });
    let key = client.post(201, "/v2/account/keys", body).await;
    let fingerprint = key["ssh_key"]["fingerprint"].as_str().unwrap();
    assert_eq!(
        fingerprint,
        "89:15:a2:97:2a:4a:68:cd:8d:b2:b1:60:23:03:09:cc"
    );
    let again = json!({ "name": "b", "public_key": format!("{KEY} other") });
    client.post(422, "/v2/account/keys", again).await;
    client
        .post(
            422,
            "/v2/account/keys",
            json!({ "name": "c", "public_key": "ssh-rsa AAAA" }),
        )
        .await;
    let droplet = json!({ "ssh_keys": [fingerprint, key["ssh_key"]["id"]] });
    client.droplet("one", droplet).await;
    client
        .delete(&format!("/v2/account/keys/{}", id(&key, "ssh_key")))
        .await;
}

#[tokio::test(start_paused = true)]
async fn sizes_have_the_prices_of_the_list() {
    let client = Client::in_memory();
    let sizes = client.get("/v2/sizes?per_page=200").await;
    let size = |slug: &str| {
        sizes["sizes"]
            .as_array()
            .unwrap()
            .iter()
            .find(|size| size["slug"] == slug)
            .unwrap()
            .clone()
    };
    let basic = size("s-2vcpu-4gb");
    assert_eq!(
        (&basic["price_monthly"], &basic["price_hourly"]),
        (&json!(24.0), &json!(0.03571))
    );
    assert_eq!(size("s-1vcpu-1gb")["price_hourly"], json!(0.00893));
}
