//! Verbs, errors and forms.

use http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::{Client, WIDGETS, cluster, cluster_in, deployment, with_widgets};
use crate::store::Store;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": "v"}})
}

#[tokio::test(start_paused = true)]
async fn errors_are_status_objects_in_the_servers_words() {
    let client = Client::admin(&cluster().await);
    client.create(MAPS, &config_map("a")).await;
    let cases: Vec<(&str, String, Value, u16, &str, &str)> = vec![
        (
            "GET",
            format!("{MAPS}/none"),
            Value::Null,
            404,
            "NotFound",
            "configmaps \"none\" not found",
        ),
        (
            "POST",
            MAPS.into(),
            config_map("a"),
            409,
            "AlreadyExists",
            "configmaps \"a\" already exists",
        ),
        (
            "GET",
            "/api/v1/gizmos".into(),
            Value::Null,
            404,
            "NotFound",
            "the server could not find the requested resource",
        ),
        (
            "POST",
            "/api/v1/namespaces/nope/configmaps".into(),
            config_map("a"),
            404,
            "NotFound",
            "namespaces \"nope\" not found",
        ),
        (
            "POST",
            MAPS.into(),
            json!({"kind": "ConfigMap"}),
            422,
            "Invalid",
            "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required",
        ),
        (
            "POST",
            "/apis/apps/v1/namespaces/default/deployments".into(),
            json!({"metadata": {"name": "d"}, "spec": {"replicas": "x"}}),
            400,
            "BadRequest",
            "Deployment in version \"v1\" cannot be handled as a Deployment: json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
    ];
    for (method, path, body, code, reason, message) in cases {
        let (found, status) = client.call(method, &path, "application/json", &body).await;
        assert_eq!(
            (found, &status["reason"], &status["message"]),
            (code, &json!(reason), &json!(message))
        );
        assert_eq!(
            (&status["kind"], &status["code"]),
            (&json!("Status"), &json!(code))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn system_namespaces_stay() {
    let client = Client::admin(&cluster().await);
    let path = "/api/v1/namespaces/kube-system";
    let (code, status) = client.call("DELETE", path, "", &Value::Null).await;
    let message = "namespaces \"kube-system\" is forbidden: this namespace may not be deleted";
    assert_eq!((code, &status["message"]), (403, &json!(message)));
}

#[tokio::test(start_paused = true)]
async fn updates_need_the_current_version() {
    let client = Client::admin(&cluster().await);
    let first = client.create(MAPS, &config_map("a")).await;
    let mut changed = first.clone();
    changed["data"]["k"] = "w".into();
    let place = format!("{MAPS}/a");
    let (code, second) = client
        .call("PUT", &place, "application/json", &changed)
        .await;
    assert_eq!((code, &second["data"]["k"]), (200, &json!("w")));
    assert_eq!(second["metadata"]["uid"], first["metadata"]["uid"]);
    changed["data"]["k"] = "z".into();
    let (code, status) = client
        .call("PUT", &place, "application/json", &changed)
        .await;
    assert_eq!((code, &status["reason"]), (409, &json!("Conflict")));
    assert!(
        status["message"]
            .as_str()
            .unwrap()
            .contains("the object has been modified")
    );
    // Writing what is there already is no change.
    let (_, same) = client
        .call("PUT", &place, "application/json", &second)
        .await;
    assert_eq!(same, second);
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_patch_works() {
    let client = Client::admin(&cluster().await);
    client
        .create(
            "/apis/apps/v1/namespaces/default/deployments",
            &deployment("web", 1),
        )
        .await;
    let place = "/apis/apps/v1/namespaces/default/deployments/web";
    let json_patch = json!([{"op": "replace", "path": "/spec/replicas", "value": 2}]);
    let (code, body) = client
        .call("PATCH", place, "application/json-patch+json", &json_patch)
        .await;
    assert_eq!((code, &body["spec"]["replicas"]), (200, &json!(2)));
    let merge = json!({"metadata": {"labels": {"x": "y"}}, "spec": {"replicas": null}});
    let (code, body) = client
        .call("PATCH", place, "application/merge-patch+json", &merge)
        .await;
    assert_eq!(
        (code, &body["spec"]["replicas"]),
        (200, &json!(1)),
        "the default comes back"
    );
    let strategic = json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "env": [{"name": "A", "value": "1"}]}]}}}});
    let (code, body) = client
        .call(
            "PATCH",
            place,
            "application/strategic-merge-patch+json",
            &strategic,
        )
        .await;
    let container = &body["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(
        (code, &container["image"], &container["env"][0]["name"]),
        (200, &json!("nginx:1.27"), &json!("A"))
    );
    assert_eq!(
        client.call("PATCH", place, "text/plain", &merge).await.0,
        415
    );
    let scale = json!({"spec": {"replicas": 4}});
    let (code, body) = client
        .call(
            "PATCH",
            &format!("{place}/scale"),
            "application/merge-patch+json",
            &scale,
        )
        .await;
    assert_eq!(
        (code, &body["kind"], &body["spec"]["replicas"]),
        (200, &json!("Scale"), &json!(4))
    );
    assert_eq!(client.get(place).await["spec"]["replicas"], json!(4));
}

#[tokio::test(start_paused = true)]
async fn lists_select_and_page() {
    let client = Client::admin(&cluster().await);
    for n in 0..5 {
        let mut object = config_map(&format!("m{n}"));
        object["metadata"]["labels"] = json!({"even": (n % 2 == 0).to_string()});
        client.create(MAPS, &object).await;
    }
    let names = |list: &Value| -> Vec<String> {
        list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|i| i["metadata"]["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        names(
            &client
                .get(&format!("{MAPS}?labelSelector=even%3Dtrue"))
                .await
        ),
        ["m0", "m2", "m4"]
    );
    assert_eq!(
        names(
            &client
                .get(&format!("{MAPS}?fieldSelector=metadata.name%3Dm3"))
                .await
        ),
        ["m3"]
    );
    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let page = client
            .get(&format!(
                "{MAPS}?limit=2&labelSelector=even&continue={token}"
            ))
            .await;
        found.extend(names(&page));
        match page["metadata"]["continue"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(found, ["m0", "m1", "m2", "m3", "m4"]);
    let (code, gone) = client
        .call(
            "DELETE",
            &format!("{MAPS}?labelSelector=even%3Dtrue"),
            "",
            &Value::Null,
        )
        .await;
    assert_eq!((code, names(&gone).len()), (200, 3));
}

#[tokio::test(start_paused = true)]
async fn unknown_fields_warn_or_refuse() {
    let client = Client::admin(&cluster().await);
    with_widgets(&client).await;
    let widget = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 1, "sise": 2}});
    let strict = format!("{WIDGETS}?fieldValidation=Strict");
    let (code, status) = client
        .call("POST", &strict, "application/json", &widget)
        .await;
    assert_eq!(code, 400);
    assert!(
        status["message"]
            .as_str()
            .unwrap()
            .contains("strict decoding error: unknown field \"spec.sise\""),
        "{status}"
    );
    let request = Request::builder()
        .method("POST")
        .uri(WIDGETS)
        .header("content-type", "application/json");
    let response = client.raw(request, widget.to_string()).await;
    assert_eq!(response.status(), 201);
    assert_eq!(
        response.headers()["warning"],
        "299 - \"unknown field \\\"spec.sise\\\"\""
    );
    assert_eq!(
        client.get(&format!("{WIDGETS}/w")).await["spec"].get("sise"),
        None,
        "pruned"
    );
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_what_happens_after_a_version() {
    let client = Client::admin(&cluster().await);
    let list = client.get(MAPS).await;
    let version = list["metadata"]["resourceVersion"].as_str().unwrap();
    client.create(MAPS, &config_map("a")).await;
    let patch = json!({"data": {"k": "w"}});
    client
        .call(
            "PATCH",
            &format!("{MAPS}/a"),
            "application/merge-patch+json",
            &patch,
        )
        .await;
    client
        .call("DELETE", &format!("{MAPS}/a"), "", &Value::Null)
        .await;
    let path = format!(
        "{MAPS}?watch=true&resourceVersion={version}&timeoutSeconds=1&fieldSelector=metadata.name%3Da"
    );
    let response = client
        .raw(Request::builder().uri(path), String::new())
        .await;
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let kinds: Vec<String> = String::from_utf8(bytes.to_vec())
        .unwrap()
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["type"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(kinds, ["ADDED", "MODIFIED", "DELETED"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_list_marks_the_end_of_what_was_there() {
    let client = Client::admin(&cluster().await);
    let path = "/api/v1/namespaces?watch=true&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=1";
    let response = client
        .raw(Request::builder().uri(path), String::new())
        .await;
    let text = String::from_utf8(
        response
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .to_vec(),
    )
    .unwrap();
    assert_eq!(text.matches("\"ADDED\"").count(), 4);
    let last: Value = serde_json::from_str(text.lines().nth(4).unwrap()).unwrap();
    assert_eq!(last["type"], "BOOKMARK");
    assert_eq!(
        last["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"],
        "true"
    );
}

#[tokio::test(start_paused = true)]
async fn tables_have_the_columns_of_the_kind() {
    let client = Client::admin(&cluster().await);
    with_widgets(&client).await;
    client
        .create(
            WIDGETS,
            &json!({"metadata": {"name": "w"}, "spec": {"size": 3}}),
        )
        .await;
    let table = async |path: &str| {
        let request = Request::builder().uri(path).header(
            "accept",
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
        );
        let bytes = client
            .raw(request, String::new())
            .await
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes();
        let body: Value = serde_json::from_slice(&bytes).unwrap();
        let columns: Vec<String> = body["columnDefinitions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["name"].as_str().unwrap().to_owned())
            .collect();
        (columns, body["rows"][0]["cells"].clone())
    };
    assert_eq!(
        table(WIDGETS).await,
        (vec!["Name".to_owned(), "Size".to_owned()], json!(["w", 3]))
    );
    let (columns, cells) = table("/api/v1/namespaces").await;
    assert_eq!(
        (columns.join(","), &cells[1]),
        ("Name,Status,Age".to_owned(), &json!("Active"))
    );
}

#[tokio::test(start_paused = true)]
async fn state_survives_a_restart() {
    let store = Store::in_memory();
    let first = cluster_in(&store).await;
    let client = Client::admin(&first);
    with_widgets(&client).await;
    let widget = client
        .create(
            WIDGETS,
            &json!({"metadata": {"name": "w"}, "spec": {"size": 3}}),
        )
        .await;
    drop((first, client));
    let client = Client::admin(&cluster_in(&store).await);
    assert_eq!(client.get(&format!("{WIDGETS}/w")).await, widget);
    let next = client.create(MAPS, &config_map("later")).await;
    let version = |object: &Value| {
        object["metadata"]["resourceVersion"]
            .as_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    assert!(version(&next) > version(&widget));
}

#[tokio::test(start_paused = true)]
async fn discovery_and_openapi_follow_definitions() {
    let client = Client::admin(&cluster().await);
    assert!(client.missing("/apis/example.com/v1").await);
    with_widgets(&client).await;
    let list = client.get("/apis/example.com/v1").await;
    assert_eq!(list["resources"][0]["name"], "widgets");
    assert_eq!(list["resources"][1]["name"], "widgets/status");
    let request = Request::builder().uri("/apis").header(
        "accept",
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
    );
    let response = client.raw(request, String::new()).await;
    assert!(
        response.headers()["content-type"]
            .to_str()
            .unwrap()
            .contains("as=APIGroupDiscoveryList")
    );
    let index = client.get("/openapi/v3").await;
    assert!(index["paths"].get("apis/example.com/v1").is_some());
    let document = client.get("/openapi/v3/apis/example.com/v1").await;
    let schemas = document["components"]["schemas"].as_object().unwrap();
    assert!(schemas.contains_key("com.example.v1.Widget"));
    assert!(schemas.contains_key("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"));
}

/// A definition waits for its objects from its deletion on, and keeps finalizers of others.
#[tokio::test(start_paused = true)]
async fn a_definition_gets_its_finalizer_when_it_is_deleted() {
    let client = Client::admin(&cluster().await);
    with_widgets(&client).await;
    let place = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.com";
    let seen = client.get(place).await;
    assert!(seen["metadata"].get("finalizers").is_none(), "{seen}");
    let own = json!({"metadata": {"finalizers": ["example.com/mine"]}});
    let form = "application/merge-patch+json";
    client.call("PATCH", place, form, &own).await;
    let (code, body) = client
        .call("DELETE", place, "application/json", &Value::Null)
        .await;
    assert_eq!(code, 200, "{body}");
    let cleanup = "customresourcecleanup.apiextensions.k8s.io";
    let kept = json!(["example.com/mine", cleanup]);
    assert_eq!(body["metadata"]["finalizers"], kept);
    let left = client
        .until(place, |seen| seen["metadata"]["finalizers"] != kept)
        .await;
    assert_eq!(left["metadata"]["finalizers"], json!(["example.com/mine"]));
}
