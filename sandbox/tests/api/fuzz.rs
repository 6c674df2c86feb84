//! Hostile bodies to every endpoint that takes one: no panic, no 5xx, and the account goes on.
//!
//! What a session sent is sent again to an account of the same seed, with hostile variants of each
//! body before it, so that they meet the resources that are there at that moment.

use axum::body::Body;
use http::{Request, header};
use kplan_sandbox::digitalocean;
use serde_json::Value;
use tower::Service as _;

use crate::client::Client;
use crate::json::mutate_json;
use crate::mutate::{Random, corpus, mutate, rounds};
use crate::session;

/// A request that a session made.
struct Asked {
    method: String,
    target: String,
    body: Value,
}

/// What the session asked for, in order.
async fn asked() -> Vec<Asked> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("exchanges.jsonl");
    session::run(&Client::recording(&path)).await;
    let text = std::fs::read_to_string(path).unwrap();
    let line = |line: &str| {
        let exchange: Value = serde_json::from_str(line).unwrap();
        let query = exchange["query"].as_str().filter(|query| !query.is_empty());
        let path = exchange["path"].as_str().unwrap();
        Asked {
            method: exchange["method"].as_str().unwrap().to_owned(),
            target: query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}")),
            body: exchange["request"].clone(),
        }
    };
    text.lines().map(line).collect()
}

/// Sends bytes and fails the test where the answer is an accident.
async fn send(client: &Client, method: &str, target: &str, body: Vec<u8>, what: &str) {
    let shown = String::from_utf8_lossy(&body[..body.len().min(600)]).into_owned();
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header(header::AUTHORIZATION, "Bearer token")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body))
        .unwrap();
    let answer = client.sandbox.service().call(request).await.unwrap();
    let status = answer.status().as_u16();
    assert!(
        status < 500 || status == 501,
        "{what}: {method} {target}: {status}: {shown}"
    );
}

/// A body as bytes: mutated as JSON, or as text.
fn hostile(random: &mut Random, body: &Value, other: &Value) -> Vec<u8> {
    if random.below(4) == 0 {
        let (body, other) = (body.to_string(), other.to_string());
        let pieces = [
            "\"region\":\"fra1\"",
            "\"size\":",
            "\"name\":\"a\",\"name\":",
        ];
        return mutate(random, body.as_bytes(), other.as_bytes(), &pieces);
    }
    mutate_json(random, body, other).to_string().into_bytes()
}

#[tokio::test(start_paused = true)]
async fn thousands_of_hostile_bodies_are_answered() {
    let session = asked().await;
    let with_body: Vec<&Asked> = session.iter().filter(|one| !one.body.is_null()).collect();
    assert!(with_body.len() > 50);
    // Each replay sends one hostile body before about every second one.
    let total = rounds(3_000);
    let (mut sent, mut replay) = (0, 0);
    while sent < total {
        let client = Client::in_memory();
        let mut random = Random::new(replay);
        for one in &session {
            if !one.body.is_null() && random.below(2) == 0 {
                let other = with_body[random.below(with_body.len())];
                let body = hostile(&mut random, &one.body, &other.body);
                let what = format!("replay {replay}");
                send(&client, &one.method, &one.target, body, &what).await;
                sent += 1;
            }
            let body = if one.body.is_null() {
                Vec::new()
            } else {
                one.body.to_string().into_bytes()
            };
            send(&client, &one.method, &one.target, body, "the session").await;
            client.wait(random.next() % 40).await;
        }
        replay += 1;
    }
    println!(
        "{sent} hostile bodies in {replay} replays of {} calls",
        session.len()
    );
}

#[tokio::test(start_paused = true)]
async fn the_corpus_and_bombs_are_answered_by_every_endpoint() {
    let client = Client::in_memory();
    session::run(&client).await;
    let mut bodies = corpus("digitalocean");
    bodies.push(("brackets".to_owned(), "[".repeat(1_000_000).into_bytes()));
    bodies.push(("braces".to_owned(), "{\"a\":".repeat(200_000).into_bytes()));
    let long = format!("{{\"name\":\"{}\"}}", "x".repeat(1_000_000));
    bodies.push(("a long name".to_owned(), long.into_bytes()));
    bodies.push(("too large".to_owned(), vec![b' '; 5 * 1024 * 1024]));
    let changing = |method| ["POST", "PUT", "PATCH"].contains(&method);
    for endpoint in digitalocean::endpoints().filter(|one| changing(one.method)) {
        for (name, body) in &bodies {
            let target: Vec<&str> = endpoint
                .path
                .split('/')
                .map(|part| if part.starts_with('{') { "1" } else { part })
                .collect();
            send(
                &client,
                endpoint.method,
                &target.join("/"),
                body.clone(),
                name,
            )
            .await;
        }
    }
}
