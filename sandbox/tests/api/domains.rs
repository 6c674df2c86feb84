//! Records: host names end with a dot in requests and in zone files, and nowhere else.

use serde_json::{Value, json};

use crate::client::{Client, id};

const RECORDS: &str = "/v2/domains/example.com/records";

async fn domain() -> Client {
    let client = Client::in_memory();
    client
        .post(201, "/v2/domains", json!({ "name": "example.com" }))
        .await;
    client
}

fn record(kind: &str, name: &str, data: &str) -> Value {
    let mut record = json!({ "type": kind, "name": name, "data": data });
    match kind {
        "MX" => record["priority"] = json!(10),
        "CAA" => (record["flags"], record["tag"]) = (json!(0), json!("issue")),
        _ => {}
    }
    record
}

#[tokio::test(start_paused = true)]
async fn a_host_name_loses_its_dot() {
    let client = domain().await;
    for kind in ["CNAME", "MX", "NS", "CAA"] {
        let made = client
            .post(201, RECORDS, record(kind, kind, "host.example.org."))
            .await;
        let data = &made["domain_record"]["data"];
        assert_eq!(data, "host.example.org", "{kind}");
        let refused = client
            .post(422, RECORDS, record(kind, "other", "host.example.org"))
            .await;
        assert_eq!(refused["message"], "Data needs to end with a dot (.)");
        // Another change leaves the data as it is.
        let path = format!("{RECORDS}/{}", id(&made, "domain_record"));
        let body = json!({ "type": kind, "ttl": 60 });
        let changed = client.expect(200, "PATCH", &path, Some(body)).await;
        assert_eq!(changed["domain_record"]["data"], "host.example.org");
    }
    let apex = client.post(201, RECORDS, record("CNAME", "www", "@")).await;
    assert_eq!(apex["domain_record"]["data"], "@");
    let mut report = record("CAA", "@", "mailto:me@example.com");
    report["tag"] = json!("iodef");
    let report = client.post(201, RECORDS, report).await;
    assert_eq!(report["domain_record"]["data"], "mailto:me@example.com");
    let zone = client.get("/v2/domains/example.com").await;
    let zone = zone["domain"]["zone_file"].as_str().unwrap();
    assert!(
        zone.contains("CNAME 60 IN CNAME host.example.org.\n"),
        "{zone}"
    );
    assert!(
        zone.contains("@ 1800 IN NS ns1.digitalocean.com.\n"),
        "{zone}"
    );
}

#[tokio::test(start_paused = true)]
async fn addresses_are_addresses_and_an_alias_stands_alone() {
    let client = domain().await;
    client
        .post(422, RECORDS, record("A", "a", "2001:db8::1"))
        .await;
    client
        .post(422, RECORDS, record("AAAA", "a", "192.0.2.1"))
        .await;
    client
        .post(201, RECORDS, record("AAAA", "a", "2001:db8::1"))
        .await;
    client.post(422, RECORDS, record("CNAME", "a", "@")).await;
    let alias = client.post(201, RECORDS, record("CNAME", "b", "@")).await;
    client
        .post(422, RECORDS, record("A", "b", "192.0.2.1"))
        .await;
    let path = format!("{RECORDS}/{}", id(&alias, "domain_record"));
    let onto = json!({ "type": "CNAME", "name": "a" });
    client.put(422, &path, onto).await;
    client
        .put(200, &path, json!({ "type": "CNAME", "name": "c" }))
        .await;
}
