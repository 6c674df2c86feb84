//! What is refused, held to the words of a real kube-apiserver (1.36).

use http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::{Client, WIDGETS, cluster, deployment, plain_node, with_widgets};

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const MERGE: &str = "application/merge-patch+json";

#[tokio::test(start_paused = true)]
async fn queries_that_mean_nothing() {
    let client = Client::admin(&cluster().await);
    with_widgets(&client).await;
    for (path, message) in [
        (
            format!("{MAPS}?fieldSelector=data.a%3D1"),
            "\"data.a\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
        ),
        (
            "/api/v1/pods?fieldSelector=spec.nope%3D1".to_owned(),
            "field label not supported: spec.nope",
        ),
        (
            format!("{WIDGETS}?fieldSelector=spec.size%3D1"),
            "field label not supported: spec.size",
        ),
        (
            format!("{MAPS}?labelSelector=a%20b"),
            "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
        ),
        (
            format!("{MAPS}?limit=x"),
            "strconv.ParseInt: parsing \"x\": invalid syntax",
        ),
    ] {
        let (code, body) = client.call("GET", &path, "", &Value::Null).await;
        assert_eq!((code, &body["message"]), (400, &json!(message)), "{path}");
    }
    let (code, body) = client
        .call("GET", "/apis/nope.io/v1/x", "", &Value::Null)
        .await;
    assert_eq!((code, body), (404, json!("404 page not found\n")));
}

#[tokio::test(start_paused = true)]
async fn objects_that_break_a_rule() {
    let client = Client::admin(&cluster().await);
    with_widgets(&client).await;
    let mut negative = deployment("d", 1);
    negative["spec"]["replicas"] = (-1).into();
    let finalizer = json!({"metadata": {"name": "m", "finalizers": ["bad"]}});
    let key = json!({"metadata": {"name": "s"}, "type": "kubernetes.io/tls", "data": {}});
    let widget = |spec: Value| json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": spec});
    for (path, object, message) in [
        (
            DEPLOYMENTS,
            negative,
            "Deployment.apps \"d\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            MAPS,
            finalizer,
            "ConfigMap \"m\" is invalid: metadata.finalizers[0]: Invalid value: \"bad\": name is neither a standard finalizer name nor is it fully qualified",
        ),
        (
            "/api/v1/namespaces/default/secrets",
            key,
            "Secret \"s\" is invalid: [data[tls.crt]: Required value, data[tls.key]: Required value]",
        ),
        (
            WIDGETS,
            widget(json!({"size": null})),
            "Widget.example.com \"w\" is invalid: spec.size: Required value",
        ),
        (
            WIDGETS,
            widget(json!({"size": 1, "mode": 7})),
            "Widget.example.com \"w\" is invalid: [spec.mode: Invalid value: \"integer\": spec.mode in body must be of type string: \"integer\", spec.mode: Unsupported value: 7: supported values: \"slow\", \"fast\"]",
        ),
        (
            WIDGETS,
            widget(json!({"size": 1, "routes": [{"host": "a"}, {"host": "a"}]})),
            "Widget.example.com \"w\" is invalid: spec.routes[1]: Duplicate value: {\"host\":\"a\"}",
        ),
    ] {
        let (code, body) = client.call("POST", path, "application/json", &object).await;
        assert_eq!((code, &body["message"]), (422, &json!(message)));
    }
}

#[tokio::test(start_paused = true)]
async fn patches_that_do_not_fit() {
    let client = Client::admin(&cluster().await);
    client.create(DEPLOYMENTS, &deployment("web", 1)).await;
    let place = format!("{DEPLOYMENTS}/web");
    let test = json!([{"op": "test", "path": "/spec/replicas", "value": 7}]);
    let (code, body) = client
        .call("PATCH", &place, "application/json-patch+json", &test)
        .await;
    let message = "the server rejected our request due to an error in our request";
    assert_eq!((code, &body["message"]), (422, &json!(message)));
    let text = json!({"spec": {"replicas": "x"}});
    let (code, body) = client.call("PATCH", &place, MERGE, &text).await;
    let message = body["message"].as_str().unwrap();
    assert_eq!(code, 422);
    assert!(
        message.starts_with(" \"\" is invalid: patch: Invalid value: \"{")
            && message.ends_with(
                "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"
            ),
        "{message}"
    );
    let scale = json!({"spec": {"replicas": -2}});
    let (code, body) = client
        .call("PATCH", &format!("{place}/scale"), MERGE, &scale)
        .await;
    let message = "Scale.autoscaling \"web\" is invalid: spec.replicas: Invalid value: -2: must be greater than or equal to 0";
    assert_eq!((code, &body["message"]), (422, &json!(message)));
    let typed = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": "x"}});
    let (code, body) = client.apply_as("me", &place, &typed, false).await;
    let message = "failed to create typed patch object (/web; apps/v1, Kind=Deployment): .spec.replicas: expected numeric (int or float), got string";
    assert_eq!((code, &body["message"]), (500, &json!(message)));
    assert_eq!(body.get("reason"), None);
}

#[tokio::test(start_paused = true)]
async fn who_acts_as_somebody_gets_their_rights() {
    let client = Client::admin(&cluster().await);
    let request = Request::builder()
        .uri("/api/v1/namespaces/default/pods")
        .header("impersonate-user", "ann");
    let response = client.raw(request, String::new()).await;
    assert_eq!(response.status(), 403);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&body).contains("User \\\"ann\\\" cannot list"));
    let reviews = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let rules = client
        .create(reviews, &json!({"spec": {"namespace": "default"}}))
        .await;
    let first = &rules["status"]["resourceRules"][0];
    assert_eq!(first["verbs"], json!(["*"]));
}

#[tokio::test(start_paused = true)]
async fn a_budget_keeps_pods_from_eviction() {
    let cluster = cluster().await;
    let client = Client::admin(&cluster);
    cluster.register_node(plain_node("n1"));
    client.create(DEPLOYMENTS, &deployment("web", 2)).await;
    let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    let spec = json!({"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}});
    client
        .create(
            budgets,
            &json!({"metadata": {"name": "keep"}, "spec": spec}),
        )
        .await;
    client
        .until(&format!("{budgets}/keep"), |budget| {
            budget["status"]["disruptionsAllowed"] == 1
        })
        .await;
    let pods = "/api/v1/namespaces/default/pods";
    let list = client.get(pods).await;
    let name = |index: usize| list["items"][index]["metadata"]["name"].as_str().unwrap();
    let evict = async |name: &str| {
        let eviction =
            json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}});
        let path = format!("{pods}/{name}/eviction");
        client
            .call("POST", &path, "application/json", &eviction)
            .await
    };
    assert_eq!(evict(name(0)).await.0, 201);
    let (code, body) = evict(name(1)).await;
    assert_eq!((code, &body["reason"]), (429, &json!("TooManyRequests")));
    assert_eq!(
        body["details"]["causes"][0]["message"],
        "The disruption budget keep needs 1 healthy pods and has 1 currently"
    );
}
