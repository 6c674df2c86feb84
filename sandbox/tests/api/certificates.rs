//! Certificates: own ones are judged, Let's Encrypt's become verified, used ones stay.

use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use crate::client::{Client, id};

/// A key and a certificate of its own, both in PEM.
fn pair(name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    (key.serialize_pem(), certificate.pem())
}

fn own(name: &str, key: &str, certificate: &str) -> Value {
    json!({
        "name": name, "type": "custom", "private_key": key, "leaf_certificate": certificate,
    })
}

#[tokio::test(start_paused = true)]
async fn an_own_certificate_must_belong_to_its_key() {
    let client = Client::in_memory();
    let ((key, certificate), (other, _)) = (pair("a.example.com"), pair("b.example.com"));
    let path = "/v2/certificates";
    let made = client.post(201, path, own("own", &key, &certificate)).await;
    let shown = &made["certificate"];
    assert_eq!(shown["state"], "verified");
    assert_eq!(shown["dns_names"], json!(["a.example.com"]));
    assert_eq!(shown["sha1_fingerprint"].as_str().unwrap().len(), 40);
    for wrong in [
        own("own", &key, &certificate),
        own("wrong", &other, &certificate),
        own("wrong", &certificate, &certificate),
        own("wrong", &key, "nothing"),
        own("wrong", &key, &key),
        json!({ "name": "wrong", "type": "custom", "leaf_certificate": certificate }),
        json!({ "name": "wrong", "type": "free" }),
        json!({ "type": "custom" }),
    ] {
        client.post(422, path, wrong).await;
    }
    let unrelated = pair("c.example.com").1;
    let mut chained = own("chained", &key, &certificate);
    chained["certificate_chain"] = json!(certificate);
    // Self-signed, so it is its own issuer.
    client.post(201, path, chained).await;
    let mut chained = own("broken", &key, &certificate);
    chained["certificate_chain"] = json!(unrelated.replace("CERTIFICATE", "PRIVATE KEY"));
    client.post(422, path, chained).await;
    let named = client.get("/v2/certificates?name=own").await;
    assert_eq!(named["meta"]["total"], 1);
}

#[tokio::test(start_paused = true)]
async fn lets_encrypt_signs_names_of_the_accounts_domains() {
    let client = Client::in_memory();
    let asked = json!({ "name": "le", "type": "lets_encrypt", "dns_names": ["*.example.com"] });
    client.post(422, "/v2/certificates", asked.clone()).await;
    client
        .post(201, "/v2/domains", json!({ "name": "example.com" }))
        .await;
    let made = client.post(201, "/v2/certificates", asked).await;
    assert_eq!(made["certificate"]["state"], "pending");
    assert_eq!(made["certificate"]["not_after"], "2026-04-02T03:04:05Z");
    client.wait(31).await;
    let path = format!("/v2/certificates/{}", id(&made, "certificate"));
    assert_eq!(client.get(&path).await["certificate"]["state"], "verified");
    let close = json!({ "name": "x", "type": "lets_encrypt", "dns_names": ["notexample.com"] });
    client.post(422, "/v2/certificates", close).await;
    client.delete(&path).await;
    client.expect(404, "GET", &path, None).await;
}

#[tokio::test(start_paused = true)]
async fn a_certificate_a_load_balancer_uses_stays() {
    let client = Client::in_memory();
    let (key, certificate) = pair("a.example.com");
    let made = client
        .post(201, "/v2/certificates", own("own", &key, &certificate))
        .await;
    let certificate = id(&made, "certificate");
    let balancer = |certificate: &str| {
        json!({
            "name": "lb", "region": "fra1", "droplet_ids": [], "forwarding_rules": [{
                "entry_protocol": "https", "entry_port": 443, "target_protocol": "http",
                "target_port": 80, "certificate_id": certificate,
            }, {
                "entry_protocol": "http3", "entry_port": 443, "target_protocol": "http",
                "target_port": 80, "certificate_id": certificate,
            }],
        })
    };
    let unknown = "892071a0-bb95-49bc-8021-3afd67a210bf";
    client
        .post(422, "/v2/load_balancers", balancer(unknown))
        .await;
    let made = client
        .post(202, "/v2/load_balancers", balancer(&certificate))
        .await;
    let path = format!("/v2/certificates/{certificate}");
    client.expect(403, "DELETE", &path, None).await;
    let balancer = format!("/v2/load_balancers/{}", id(&made, "load_balancer"));
    client.delete(&balancer).await;
    client.delete(&path).await;
}
