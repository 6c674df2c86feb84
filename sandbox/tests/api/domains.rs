//! Records: host names end with a dot in requests and in zone files, and nowhere else.

use std::net::Ipv4Addr;

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
        zone.contains("\nCNAME.example.com. 60 IN CNAME host.example.org.\n"),
        "{zone}"
    );
    assert!(
        zone.contains("\nexample.com. 1800 IN NS ns1.digitalocean.com.\n"),
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

#[tokio::test(start_paused = true)]
async fn a_zone_begins_with_its_soa_record() {
    let client = domain().await;
    let first = client.get(RECORDS).await["domain_records"][0].clone();
    let path = format!("{RECORDS}/{}", first["id"]);
    assert_eq!(
        (&first["type"], &first["name"], &first["data"]),
        (&json!("SOA"), &json!("@"), &json!("1800"))
    );
    let zone = |answer: Value| answer["domain"]["zone_file"].as_str().unwrap().to_owned();
    let before = zone(client.get("/v2/domains/example.com").await);
    assert!(
        before.starts_with(
            "$ORIGIN example.com.\n$TTL 1800\n\
             example.com. IN SOA ns1.digitalocean.com. hostmaster.example.com. "
        ),
        "{before}"
    );
    // Of it, only the time to live can be changed.
    let body = json!({ "type": "SOA", "ttl": 3600, "data": "1" });
    let changed = client.put(200, &path, body).await["domain_record"].clone();
    assert_eq!(
        (&changed["ttl"], &changed["data"]),
        (&json!(3600), &first["data"])
    );
    assert_ne!(zone(client.get("/v2/domains/example.com").await), before);
    client
        .put(422, &path, json!({ "type": "A", "data": "192.0.2.1" }))
        .await;
    client.expect(422, "DELETE", &path, None).await;
    client
        .post(422, RECORDS, json!({ "type": "SOA", "ttl": 60 }))
        .await;
}

#[tokio::test(start_paused = true)]
async fn zone_files_hold_every_type() {
    let client = domain().await;
    let mut srv = record("SRV", "_sip._tcp", "sip.example.com.");
    (srv["priority"], srv["weight"], srv["port"]) = (json!(1), json!(2), json!(5060));
    for body in [
        record("MX", "@", "mail.example.com."),
        srv,
        record("CAA", "@", "letsencrypt.org."),
        record("TXT", "note", "say \"hi\""),
        record("CNAME", "www", "@"),
    ] {
        client.post(201, RECORDS, body).await;
    }
    // Without a name, they are the domain's own.
    let mx = json!({ "type": "MX", "data": "other.example.com.", "priority": 20 });
    let mx = client.post(201, RECORDS, mx).await;
    assert_eq!(mx["domain_record"]["name"], "@");
    let zone = client.get("/v2/domains/EXAMPLE.com").await;
    let zone = zone["domain"]["zone_file"].as_str().unwrap();
    for line in [
        "example.com. 1800 IN MX 10 mail.example.com.",
        "_sip._tcp.example.com. 1800 IN SRV 1 2 5060 sip.example.com.",
        "example.com. 1800 IN CAA 0 issue \"letsencrypt.org\"",
        "note.example.com. 1800 IN TXT \"say \\\"hi\\\"\"",
        "www.example.com. 1800 IN CNAME example.com.",
        "example.com. 1800 IN MX 20 other.example.com.",
    ] {
        assert!(zone.lines().any(|own| own == line), "{line}\n{zone}");
    }
}

#[tokio::test(start_paused = true)]
async fn records_are_checked_and_found() {
    let client = domain().await;
    let with = |kind: &str, field: &str, value: Value| {
        let mut body = record(kind, "x", "host.example.org.");
        body[field] = value;
        body
    };
    for wrong in [
        with("MX", "priority", json!(65_536)),
        with("MX", "priority", json!(null)),
        with("CAA", "flags", json!(256)),
        with("CAA", "tag", json!("all")),
        with("SRV", "port", json!(1)),
        with("TXT", "data", json!("")),
        json!({ "type": "A", "data": "192.0.2.1" }),
        json!({ "name": "x", "data": "192.0.2.1" }),
        record("PTR", "x", "host."),
    ] {
        client.post(422, RECORDS, wrong).await;
    }
    for name in ["a", "b"] {
        client
            .post(201, RECORDS, record("A", name, "192.0.2.1"))
            .await;
    }
    let total = |answer: Value| answer["meta"]["total"].clone();
    for (query, count) in [
        ("type=A", 2),
        ("name=a.example.com", 1),
        ("name=A.EXAMPLE.COM&type=A", 1),
        ("name=a.example.com&type=TXT", 0),
        ("name=a", 0),
        ("type=SOA", 1),
    ] {
        assert_eq!(
            total(client.get(&format!("{RECORDS}?{query}")).await),
            count,
            "{query}"
        );
    }
    client
        .expect(422, "GET", &format!("{RECORDS}?type=PTR"), None)
        .await;
    for wrong in ["example", ".com", "a b.com", "-a.com"] {
        client
            .post(422, "/v2/domains", json!({ "name": wrong }))
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_value_of_a_record_can_change() {
    let client = domain().await;
    let srv = json!({
        "type": "SRV", "name": "_sip._tcp", "data": "a.example.org.", "priority": 1,
        "port": 5060, "weight": 5, "ttl": 300,
    });
    let made = client.post(201, RECORDS, srv).await;
    let path = format!("{RECORDS}/{}", id(&made, "domain_record"));
    let change = json!({
        "type": "SRV", "name": "_sip._udp", "data": "b.example.org.", "priority": 2,
        "port": 5061, "weight": 6, "ttl": 600,
    });
    let shown = client
        .expect(200, "PATCH", &path, Some(change.clone()))
        .await;
    for (key, value) in change.as_object().unwrap() {
        let wanted = if key == "data" {
            &json!("b.example.org")
        } else {
            value
        };
        assert_eq!(&shown["domain_record"][key], wanted, "{key}");
    }
    let caa = client
        .post(201, RECORDS, record("CAA", "@", "letsencrypt.org."))
        .await;
    let path = format!("{RECORDS}/{}", id(&caa, "domain_record"));
    for method in ["PUT", "PATCH"] {
        let tag = if method == "PUT" {
            "issuewild"
        } else {
            "issue"
        };
        let change = json!({ "type": "CAA", "flags": 128, "tag": tag });
        let shown = client.expect(200, method, &path, Some(change)).await;
        assert_eq!(shown["domain_record"]["tag"], tag);
        assert_eq!(shown["domain_record"]["flags"], 128);
    }
}

#[tokio::test(start_paused = true)]
async fn names_are_host_names_and_times_to_live_half_a_minute_at_least() {
    let client = domain().await;
    for name in ["bad name!", "ü", "a/b"] {
        client
            .post(422, RECORDS, record("A", name, "192.0.2.1"))
            .await;
    }
    for name in ["*", "@", "_sip._tcp", "a-b.c"] {
        client
            .post(201, RECORDS, record("A", name, "192.0.2.1"))
            .await;
    }
    for ttl in [0, 29] {
        let mut short = record("TXT", "short", "text");
        short["ttl"] = json!(ttl);
        client.post(422, RECORDS, short).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_leads_to_the_addresses_of_its_domain() {
    let client = domain().await;
    client
        .post(201, "/v2/domains", json!({ "name": "sub.example.com" }))
        .await;
    let sub = "/v2/domains/sub.example.com/records";
    for (path, name, data) in [
        (RECORDS, "k8s", "203.0.113.1"),
        (RECORDS, "k8s", "203.0.113.2"),
        (RECORDS, "www.sub", "203.0.113.3"),
        (sub, "www", "203.0.113.4"),
        (sub, "@", "203.0.113.5"),
    ] {
        client.post(201, path, record("A", name, data)).await;
    }
    client
        .post(201, RECORDS, record("CNAME", "docs", "k8s.example.com."))
        .await;
    let facts = client.sandbox.facts();
    for (name, last) in [
        ("k8s.example.com", [1, 2].as_slice()),
        ("K8S.Example.com", &[1, 2]),
        // The longest domain answers.
        ("www.sub.example.com", &[4]),
        ("sub.example.com", &[5]),
        ("docs.example.com", &[]),
        ("k8s.example.org", &[]),
        ("xk8s.example.com", &[]),
    ] {
        let last = last.iter().map(|last| Ipv4Addr::new(203, 0, 113, *last));
        assert_eq!(facts.addresses_of(name), last.collect::<Vec<_>>(), "{name}");
    }
}
