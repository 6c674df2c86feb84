//! Faults, and that a seed decides them.

use kplan_sandbox::{Fault, FaultRule};
use serde_json::{Value, json};

use crate::client::Client;

fn rule(method: &str, path: &str, fault: Fault) -> FaultRule {
    FaultRule {
        method: Some(method.to_owned()),
        path: Some(path.to_owned()),
        nth: None,
        probability: None,
        times: Some(1),
        fault,
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_was_carried_out_and_a_reset_was_not() {
    let client = Client::in_memory();
    client
        .sandbox
        .set_faults(vec![rule("POST", "/v2/tags", Fault::LostResponse)], Some(1));
    let lost = client
        .try_call("POST", "/v2/tags", Some(json!({ "name": "a" })))
        .await;
    assert!(lost.is_err());
    client.get("/v2/tags/a").await;
    client
        .sandbox
        .set_faults(vec![rule("POST", "/v2/tags", Fault::Reset)], Some(1));
    assert!(
        client
            .try_call("POST", "/v2/tags", Some(json!({ "name": "b" })))
            .await
            .is_err()
    );
    client.expect(404, "GET", "/v2/tags/b", None).await;
}

#[tokio::test(start_paused = true)]
async fn refusals_change_nothing() {
    let client = Client::in_memory();
    for (fault, status) in [
        (Fault::TooManyRequests { retry_after: 7 }, 429),
        (Fault::Status { status: 500 }, 500),
        (Fault::Status { status: 502 }, 502),
        (Fault::Status { status: 503 }, 503),
    ] {
        client
            .sandbox
            .set_faults(vec![rule("POST", "/v2/*", fault)], Some(1));
        let answer = client
            .try_call("POST", "/v2/tags", Some(json!({ "name": "a" })))
            .await
            .unwrap();
        assert_eq!(answer.status, status);
        if status == 429 {
            assert_eq!(answer.headers["retry-after"], "7");
        }
        client.expect(404, "GET", "/v2/tags/a", None).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_young_is_not_seen_by_a_stale_replica() {
    let client = Client::in_memory();
    let stale = |method: &str, path: &str| FaultRule {
        times: None,
        ..rule(method, path, Fault::Stale { seconds: 60.0 })
    };
    let rules = vec![
        stale("GET", "/v2/droplets*"),
        stale("GET", "/v2/databases*"),
    ];
    client.sandbox.set_faults(rules, Some(1));
    let droplet = client.new_droplet("one", json!({})).await;
    let path = format!("/v2/droplets/{droplet}");
    client.expect(404, "GET", &path, None).await;
    assert_eq!(client.get("/v2/droplets").await["droplets"], json!([]));
    client.wait(61).await;
    client.get(&path).await;
    assert_eq!(client.get("/v2/droplets").await["meta"]["total"], 1);
}

#[tokio::test(start_paused = true)]
async fn answers_and_actions_can_be_slow() {
    let client = Client::in_memory();
    let rules = vec![
        rule(
            "POST",
            "/v2/droplets",
            Fault::SlowActions { seconds: 600.0 },
        ),
        rule("GET", "/v2/account", Fault::Delay { seconds: 30.0 }),
        rule("GET", "/v2/regions", Fault::Timeout { committed: false }),
    ];
    client.sandbox.set_faults(rules, Some(1));
    let droplet = client.droplet("one", json!({})).await;
    let path = format!("/v2/droplets/{droplet}");
    assert_eq!(client.get(&path).await["droplet"]["status"], "new");
    client.wait(600).await;
    assert_eq!(client.get(&path).await["droplet"]["status"], "active");
    let before = client.clock().now();
    client.get("/v2/account").await;
    assert!(client.clock().now().duration_since(before).as_secs() >= 30);
    assert!(client.try_call("GET", "/v2/regions", None).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_is_the_same_cloud() {
    let mut runs: Vec<Vec<Value>> = Vec::new();
    for _ in 0..2 {
        let client = Client::in_memory();
        let dice = FaultRule {
            probability: Some(0.3),
            times: None,
            ..rule("*", "*", Fault::LostResponse)
        };
        client.sandbox.set_faults(
            vec![FaultRule {
                method: None,
                ..dice
            }],
            Some(9),
        );
        let mut seen = Vec::new();
        for n in 0..20 {
            let body = json!({
                "name": format!("n{n}"), "region": "fra1", "size": "s-1vcpu-1gb",
                "image": "ubuntu-24-04-x64",
            });
            let answer = client.try_call("POST", "/v2/droplets", Some(body)).await;
            seen.push(answer.map_or(Value::Null, |answer| answer.body));
        }
        assert!(seen.contains(&Value::Null) && seen.iter().any(|body| !body.is_null()));
        runs.push(seen);
    }
    assert_eq!(runs[0], runs[1]);
}
