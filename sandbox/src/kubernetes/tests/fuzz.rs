//! Hostile bodies to the API server: JSON, YAML, protobuf, and the four kinds of patches. No panic,
//! no 5xx.

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use super::{Client, cluster};
use crate::json::mutate_json;
use crate::mutate::{Random, corpus, mutate, rounds};

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const JSON_PATCH: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

/// Where bodies go, and as what.
const CALLS: [(&str, &str, &str); 22] = [
    ("POST", "/api/v1/namespaces/default/configmaps", JSON),
    ("POST", "/api/v1/namespaces/default/configmaps", YAML),
    ("POST", "/api/v1/namespaces/default/configmaps", PROTOBUF),
    ("POST", "/api/v1/namespaces/default/secrets", JSON),
    ("POST", "/api/v1/namespaces/default/secrets", PROTOBUF),
    ("POST", "/api/v1/namespaces/default/services", JSON),
    ("POST", "/api/v1/namespaces", JSON),
    ("POST", "/apis/apps/v1/namespaces/default/deployments", JSON),
    ("POST", "/apis/batch/v1/namespaces/default/cronjobs", JSON),
    (
        "POST",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        JSON,
    ),
    (
        "POST",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        YAML,
    ),
    ("PUT", "/api/v1/namespaces/default/configmaps/a", JSON),
    (
        "PUT",
        "/apis/apps/v1/namespaces/default/deployments/d",
        YAML,
    ),
    (
        "PATCH",
        "/api/v1/namespaces/default/configmaps/a",
        JSON_PATCH,
    ),
    ("PATCH", "/api/v1/namespaces/default/configmaps/a", MERGE),
    (
        "PATCH",
        "/apis/apps/v1/namespaces/default/deployments/d",
        STRATEGIC,
    ),
    (
        "PATCH",
        "/apis/apps/v1/namespaces/default/deployments/d",
        JSON_PATCH,
    ),
    (
        "PATCH",
        "/api/v1/namespaces/default/configmaps/z?fieldManager=f",
        APPLY,
    ),
    (
        "PATCH",
        "/apis/apps/v1/namespaces/default/deployments/z?fieldManager=f&force=true",
        APPLY,
    ),
    (
        "PATCH",
        "/apis/apps/v1/namespaces/default/deployments/d/scale",
        MERGE,
    ),
    ("DELETE", "/api/v1/namespaces/default/configmaps/none", JSON),
    (
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        JSON,
    ),
];

async fn send(
    client: &Client,
    (method, target, media): (&str, &str, &str),
    body: &[u8],
    what: &str,
) {
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .header("content-type", media)
        .header("user-agent", "fuzz/1.0")
        .body(Body::from(body.to_vec()))
        .unwrap();
    if let Some(identity) = &client.identity {
        request.extensions_mut().insert(identity.clone());
    }
    let answer = client.cluster.router().oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    let said = answer.into_body().collect().await.unwrap().to_bytes();
    let said = String::from_utf8_lossy(&said);
    // The real server, too, has no other status for an applied object of the wrong types.
    let of_wrong_types = said.contains("failed to create typed patch object");
    assert!(
        status < 500 || status == 501 || of_wrong_types,
        "{what}: {method} {target} {media}: {said}: {}",
        String::from_utf8_lossy(&body[..body.len().min(600)])
    );
}

/// A cluster with something to change.
async fn client() -> Client {
    let client = Client::admin(&cluster().await);
    for (name, at) in [("configmap.json", 0), ("deployment.json", 7)] {
        let body = corpus("kubernetes")
            .into_iter()
            .find(|(found, _)| found == name);
        send(&client, CALLS[at], &body.unwrap().1, name).await;
    }
    client
}

#[tokio::test(start_paused = true)]
async fn the_corpus_and_bombs_are_answered() {
    let client = client().await;
    let mut bodies = corpus("kubernetes");
    bodies.push(("brackets".to_owned(), "[".repeat(500_000).into_bytes()));
    bodies.push(("braces".to_owned(), "{\"a\":".repeat(200_000).into_bytes()));
    bodies.push(("indents".to_owned(), "- ".repeat(100_000).into_bytes()));
    let flow = format!("a: {}", "{a: ".repeat(100_000));
    bodies.push(("flow".to_owned(), flow.into_bytes()));
    let double = r#"{"op":"copy","from":"","path":"/data"}"#;
    let bomb = format!("[{}{double}]", format!("{double},").repeat(60));
    bodies.push(("a patch that doubles".to_owned(), bomb.into_bytes()));
    for call in CALLS {
        for (name, body) in &bodies {
            send(&client, call, body, name).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn thousands_of_mutations_are_answered() {
    let all = corpus("kubernetes");
    let trees: Vec<Value> = all
        .iter()
        .filter_map(|(_, bytes)| serde_json::from_slice(bytes).ok())
        .collect();
    let mut fresh = client().await;
    for number in 0..rounds(2_000) {
        if number % 500 == 0 {
            fresh = client().await;
        }
        let mut random = Random::new(number);
        let call = CALLS[random.below(CALLS.len())];
        let body = if random.below(2) == 0 {
            let base = &trees[random.below(trees.len())];
            let other = &trees[random.below(trees.len())];
            mutate_json(&mut random, base, other)
                .to_string()
                .into_bytes()
        } else {
            let base = &all[random.below(all.len())].1;
            let other = &all[random.below(all.len())].1;
            let pieces = [
                "\n  - ",
                "$patch",
                "\"$retainKeys\":",
                "metadata:\n",
                "k8s\0",
            ];
            mutate(&mut random, base, other, &pieces)
        };
        send(&fresh, call, &body, &format!("mutation {number}")).await;
    }
}
