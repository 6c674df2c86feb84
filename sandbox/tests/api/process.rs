//! The process: ports, `endpoint.json`, control endpoints, its end.

use std::time::Duration;

use kplan_sandbox::{Config, Fault, FaultRule, start};
use serde_json::{Value, json};

use crate::client::config;

fn client() -> reqwest::Client {
    // Several tests share the process; the first one names the provider.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    reqwest::Client::new()
}

#[tokio::test]
async fn it_listens_says_where_and_ends_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        dir: Some(dir.path().to_owned()),
        ..config()
    };
    let running = start(config.clone()).await.unwrap();
    let note = std::fs::read_to_string(dir.path().join("endpoint.json")).unwrap();
    let note: Value = serde_json::from_str(&note).unwrap();
    assert_eq!(
        note["endpoints"],
        serde_json::to_value(running.endpoints()).unwrap()
    );
    let api = running.endpoints().api_url.clone();
    let http = client();
    let tags = http
        .get(format!("{api}/v2/tags"))
        .bearer_auth("token")
        .send()
        .await
        .unwrap();
    assert_eq!(tags.status(), 200);
    let refused = http
        .get(format!("{api}/_sandbox/inspect"))
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), 401);
    let stopping = tokio::spawn(running.stopped());
    let url = format!("{api}/_sandbox/shutdown");
    let told = http.post(url).bearer_auth("token").send().await.unwrap();
    assert_eq!(told.status(), 202);
    stopping.await.unwrap().unwrap();
    assert!(!dir.path().join("endpoint.json").exists());
    let again = start(config).await.unwrap();
    assert_eq!(
        again.endpoints().api_url,
        api,
        "signed URLs and kubeconfigs name the ports"
    );
}

#[tokio::test]
async fn a_lost_response_closes_the_connection() {
    let lost = FaultRule {
        method: Some("POST".to_owned()),
        path: None,
        nth: None,
        probability: None,
        times: Some(1),
        fault: Fault::LostResponse,
    };
    let running = start(Config {
        faults: vec![lost],
        ..config()
    })
    .await
    .unwrap();
    let url = format!("{}/v2/tags", running.endpoints().api_url);
    let http = client();
    let body = json!({ "name": "a" }).to_string();
    assert!(
        http.post(&url)
            .bearer_auth("token")
            .body(body)
            .send()
            .await
            .is_err()
    );
    let tag = http
        .get(format!("{url}/a"))
        .bearer_auth("token")
        .send()
        .await
        .unwrap();
    assert_eq!(tag.status(), 200);
}

#[tokio::test]
async fn inspect_tells_kept_from_left_and_faults_are_set_from_outside() {
    let running = start(config()).await.unwrap();
    let api = running.endpoints().api_url.clone();
    let http = client();
    let post = |path: &str, body: Value| {
        http.post(format!("{api}{path}"))
            .bearer_auth("token")
            .body(body.to_string())
            .send()
    };
    for name in ["kept", "left"] {
        assert_eq!(
            post("/v2/tags", json!({ "name": name }))
                .await
                .unwrap()
                .status(),
            201
        );
    }
    let url = format!("{api}/_sandbox/inspect?keep=tag:kept,bucket:none");
    let seen = http
        .get(url)
        .bearer_auth("token")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let seen: Value = serde_json::from_str(&seen).unwrap();
    assert_eq!(seen["resources"]["tags"][0]["name"], "left");
    assert_eq!(seen["kept"]["tags"][0]["name"], "kept");
    assert_eq!(seen["kept"].as_object().unwrap().len(), 1);
    let rules =
        json!({ "rules": [{ "path": "/v2/tags", "fault": { "kind": "status", "status": 503 } }] });
    assert_eq!(post("/_sandbox/faults", rules).await.unwrap().status(), 200);
    assert_eq!(
        post("/v2/tags", json!({ "name": "x" }))
            .await
            .unwrap()
            .status(),
        503
    );
    assert_eq!(
        post("/_sandbox/faults", json!({ "rulez": [] }))
            .await
            .unwrap()
            .status(),
        422
    );
}

#[tokio::test]
async fn it_ends_when_nobody_uses_it() {
    let idle_exit = Some(Duration::from_millis(20));
    let running = start(Config {
        idle_exit,
        ..config()
    })
    .await
    .unwrap();
    running.stopped().await.unwrap();
}
