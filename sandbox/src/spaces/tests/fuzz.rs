//! Hostile XML and JSON to every operation of Spaces that takes a body: no panic, no 5xx.

use bytes::Bytes;
use http::{Request, StatusCode};

use super::{bucket, put};
use crate::mutate::{Random, corpus, mutate, rounds};
use crate::spaces::testkit::authorization;
use crate::spaces::{Peer, Spaces};

const HOST: &str = "127.0.0.1:9000";

/// Operations with a body.
const OPERATIONS: [(&str, &str); 14] = [
    ("PUT", "/other"),
    ("PUT", "/demo?versioning"),
    ("PUT", "/demo?lifecycle"),
    ("PUT", "/demo?cors"),
    ("PUT", "/demo?acl"),
    ("PUT", "/demo?policy"),
    ("PUT", "/demo?tagging"),
    ("PUT", "/demo?website"),
    ("PUT", "/demo?encryption"),
    ("POST", "/demo?delete"),
    ("PUT", "/demo/a?acl"),
    ("PUT", "/demo/a?tagging"),
    ("POST", "/demo/a?uploadId=1"),
    ("PUT", "/demo/b"),
];

async fn send(spaces: &Spaces, (method, target): (&str, &str), body: Vec<u8>, what: &str) {
    let date = jiff::Timestamp::now()
        .strftime("%Y%m%dT%H%M%SZ")
        .to_string();
    let payload = "UNSIGNED-PAYLOAD";
    let shown = String::from_utf8_lossy(&body[..body.len().min(400)]).into_owned();
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{HOST}{target}"))
        .header("host", HOST)
        .header("content-length", body.len())
        .header("x-amz-date", &date)
        .header("x-amz-content-sha256", payload)
        .header(
            "authorization",
            authorization(method, target, HOST, &date, payload),
        )
        .extension(Peer(std::net::Ipv4Addr::LOCALHOST.into()));
    let answer = spaces.call(request.body(Bytes::from(body)).unwrap()).await;
    let status = answer.status();
    let said = String::from_utf8_lossy(answer.body());
    assert_ne!(status, StatusCode::FORBIDDEN, "{method} {target}: {said}");
    assert!(
        !status.is_server_error() || status == StatusCode::NOT_IMPLEMENTED,
        "{what}: {method} {target}: {status} {said}: {shown}"
    );
}

#[tokio::test]
async fn the_corpus_and_bombs_are_answered_by_every_operation() {
    let (_, spaces, admin) = bucket("demo").await;
    put(&admin, "demo", "a", "x").await;
    let mut bodies = corpus("s3");
    bodies.push(("deep".to_owned(), "<a>".repeat(200_000).into_bytes()));
    let deep = "<Rule>".repeat(100_000) + &"</Rule>".repeat(100_000);
    let deep = format!("<LifecycleConfiguration>{deep}</LifecycleConfiguration>");
    bodies.push(("deep rules".to_owned(), deep.into_bytes()));
    bodies.push(("brackets".to_owned(), "[".repeat(500_000).into_bytes()));
    bodies.push((
        "attributes".to_owned(),
        format!("<a {}/>", "b=\"\" ".repeat(100_000)).into(),
    ));
    for operation in OPERATIONS {
        for (name, body) in &bodies {
            send(&spaces, operation, body.clone(), name).await;
        }
    }
}

#[tokio::test]
async fn thousands_of_mutations_are_answered() {
    let (_, spaces, admin) = bucket("demo").await;
    put(&admin, "demo", "a", "x").await;
    let all = corpus("s3");
    for number in 0..rounds(3_000) {
        let mut random = Random::new(number);
        let (name, base) = &all[random.below(all.len())];
        let other = &all[random.below(all.len())].1;
        let body = mutate(
            &mut random,
            base,
            other,
            &["<Rule>", "</Rule>", "<Key>", "\"*\""],
        );
        // Half of them where they belong, as far as the name tells.
        let name = name.split('.').next().unwrap_or_default();
        let fitting = OPERATIONS.iter().find(|(_, target)| target.ends_with(name));
        let operation = match fitting {
            Some(fitting) if random.below(2) == 0 => *fitting,
            _ => OPERATIONS[random.below(OPERATIONS.len())],
        };
        send(&spaces, operation, body, &format!("mutation {number}")).await;
    }
}
