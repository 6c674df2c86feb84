//! Server-side apply: ownership per field, conflicts, pruning, idempotence.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Client, WIDGETS, cluster, deployment, with_widgets};
use crate::kubernetes::managed_fields::{Change, Managers};
use crate::kubernetes::schema::Schema;

const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/default/deployments/web";

fn widget(spec: Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": spec})
}

fn place() -> String {
    format!("{WIDGETS}/w")
}

#[tokio::test(start_paused = true)]
async fn applying_twice_changes_nothing() {
    let client = Client::admin(&cluster().await);
    let first = client.apply(DEPLOYMENT, &deployment("web", 1)).await;
    let fields = &first["metadata"]["managedFields"][0];
    assert_eq!(
        (&fields["manager"], &fields["operation"]),
        (&json!("kplan"), &json!("Apply"))
    );
    let containers = &fields["fieldsV1"]["f:spec"]["f:template"]["f:spec"]["f:containers"];
    assert_eq!(
        *containers,
        json!({"k:{\"name\":\"main\"}": {".": {}, "f:image": {}, "f:name": {}}})
    );
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let before = client.get(DEPLOYMENT).await;
    let second = client.apply(DEPLOYMENT, &deployment("web", 1)).await;
    assert_eq!(second, before);
    let third = client.apply(DEPLOYMENT, &deployment("web", 2)).await;
    assert_eq!(third["metadata"]["generation"], json!(2));
    assert_ne!(
        third["metadata"]["resourceVersion"],
        before["metadata"]["resourceVersion"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_field_of_another_manager_is_a_conflict_until_forced() {
    let client = Client::admin(&cluster().await);
    client.apply(DEPLOYMENT, &deployment("web", 1)).await;
    let scale = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 5}});
    let (code, refusal) = client.apply_as("scaler", DEPLOYMENT, &scale, false).await;
    assert_eq!(code, 409);
    assert_eq!(refusal["reason"], "Conflict");
    assert_eq!(
        refusal["message"],
        "Apply failed with 1 conflict: conflict with \"kplan\": .spec.replicas"
    );
    assert_eq!(
        refusal["details"]["causes"],
        json!([{"reason": "FieldManagerConflict", "message": "conflict with \"kplan\"", "field": ".spec.replicas"}])
    );
    let (code, forced) = client.apply_as("scaler", DEPLOYMENT, &scale, true).await;
    assert_eq!((code, &forced["spec"]["replicas"]), (200, &json!(5)));
    // The other fields survived, and the first manager no longer owns the one it lost.
    assert_eq!(
        forced["spec"]["template"]["spec"]["containers"][0]["image"],
        "nginx:1.27"
    );
    let (code, refusal) = client
        .apply_as("kplan", DEPLOYMENT, &deployment("web", 1), false)
        .await;
    assert_eq!(code, 409);
    assert_eq!(
        refusal["details"]["causes"][0]["message"],
        "conflict with \"scaler\""
    );
    // The same value is shared, not fought over.
    assert_eq!(
        client
            .apply_as("kplan", DEPLOYMENT, &deployment("web", 5), false)
            .await
            .0,
        200
    );
}

#[tokio::test(start_paused = true)]
async fn conflicts_with_updates_name_the_version() {
    let client = Client::admin(&cluster().await);
    client
        .create(
            "/apis/apps/v1/namespaces/default/deployments?fieldManager=editor",
            &deployment("web", 1),
        )
        .await;
    let (code, refusal) = client
        .apply_as("kplan", DEPLOYMENT, &deployment("web", 3), false)
        .await;
    assert_eq!(code, 409);
    let message = refusal["details"]["causes"][0]["message"].as_str().unwrap();
    assert_eq!(message, "conflict with \"editor\" using apps/v1");
}

#[tokio::test(start_paused = true)]
async fn fields_left_out_go_unless_somebody_else_has_them() {
    let client = Client::admin(&cluster().await);
    with_widgets(&client).await;
    let full = widget(json!({"size": 1, "routes": [
        {"host": "a", "port": 1}, {"host": "b", "port": 2}, {"host": "c", "port": 3},
    ], "tags": ["x", "y"], "plain": ["1", "2"]}));
    client.apply(&place(), &full).await;
    let other =
        widget(json!({"size": 1, "routes": [{"host": "b", "path": "/"}], "tags": ["y", "z"]}));
    assert_eq!(
        client.apply_as("other", &place(), &other, false).await.0,
        200
    );
    let less = widget(json!({"size": 1, "routes": [{"host": "c"}]}));
    let after = client.apply(&place(), &less).await;
    // `a` was ours alone; of `b` only our port goes; `c` stays without its port; tag `x` goes.
    assert_eq!(
        after["spec"]["routes"],
        json!([{"host": "b", "path": "/"}, {"host": "c"}])
    );
    assert_eq!(after["spec"]["tags"], json!(["y", "z"]));
    assert_eq!(after["spec"].get("plain"), None);
    assert_eq!(
        after["spec"]["mode"], "slow",
        "the schema's default is there whoever applies"
    );
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_shows_the_result_and_stores_nothing() {
    let client = Client::admin(&cluster().await);
    with_widgets(&client).await;
    let path = format!("{}?fieldManager=kplan&dryRun=All", place());
    let media = "application/apply-patch+yaml";
    let (code, shown) = client
        .call("PATCH", &path, media, &widget(json!({"size": 1})))
        .await;
    assert_eq!((code, &shown["spec"]["mode"]), (201, &json!("slow")));
    assert!(client.missing(&place()).await);
    let stored = client.apply(&place(), &widget(json!({"size": 1}))).await;
    let (code, shown) = client
        .call("PATCH", &path, media, &widget(json!({"size": 2})))
        .await;
    assert_eq!((code, &shown["spec"]["size"]), (200, &json!(2)));
    assert_eq!(client.get(&place()).await, stored);
}

#[tokio::test(start_paused = true)]
async fn apply_refuses_what_it_cannot_own() {
    let client = Client::admin(&cluster().await);
    with_widgets(&client).await;
    let media = "application/apply-patch+yaml";
    let (code, body) = client
        .call("PATCH", &place(), media, &widget(json!({"size": 1})))
        .await;
    assert_eq!(code, 422, "a manager is required: {body}");
    let (code, body) = client
        .apply_as(
            "kplan",
            &place(),
            &widget(json!({"size": 1, "sise": 2})),
            false,
        )
        .await;
    assert_eq!(code, 500);
    assert!(
        body["message"]
            .as_str()
            .unwrap()
            .ends_with(".spec.sise: field not declared in schema"),
        "{body}"
    );
    let twice = widget(json!({"size": 1, "routes": [{"host": "a"}, {"host": "a"}]}));
    assert_eq!(
        client.apply_as("kplan", &place(), &twice, false).await.0,
        500
    );
    let mut managed = widget(json!({"size": 1}));
    managed["metadata"]["managedFields"] = json!([{"manager": "x"}]);
    assert_eq!(
        client.apply_as("kplan", &place(), &managed, false).await.0,
        400
    );
    let (code, body) = client
        .apply_as("kplan", &place(), &widget(json!({"size": 0})), false)
        .await;
    assert_eq!((code, &body["reason"]), (422, &json!("Invalid")));
}

#[tokio::test(start_paused = true)]
async fn status_belongs_to_its_own_endpoint() {
    let client = Client::admin(&cluster().await);
    with_widgets(&client).await;
    let mut with_status = widget(json!({"size": 1}));
    with_status["status"] = json!({"phase": "Done"});
    let stored = client.apply(&place(), &with_status).await;
    assert_eq!(stored.get("status"), None);
    let (code, stored) = client
        .apply_as(
            "operator",
            &format!("{}/status", place()),
            &with_status,
            false,
        )
        .await;
    assert_eq!((code, &stored["status"]["phase"]), (200, &json!("Done")));
    assert_eq!(stored["metadata"]["generation"], json!(1));
    let again = client.apply(&place(), &widget(json!({"size": 1}))).await;
    assert_eq!(again["status"]["phase"], "Done");
}

/// A schema with every way of merging, for the properties below.
fn schema() -> Value {
    json!({"type": "object", "properties": {
        "metadata": {"type": "object", "properties": {"labels": {"type": "object", "additionalProperties": {"type": "string"}}}},
        "spec": {"type": "object", "properties": {
            "a": {"type": "integer"}, "b": {"type": "string"},
            "list": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"],
                     "items": {"type": "object", "properties": {"n": {"type": "string"}, "v": {"type": "integer"}}}},
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "whole": {"type": "array", "items": {"type": "integer"}},
        }},
    }})
}

fn configuration() -> impl Strategy<Value = Value> {
    let names = || proptest::sample::subsequence(vec!["x", "y", "z"], 0..=3);
    (
        proptest::option::of(0..3_i64),
        proptest::option::of("[pq]"),
        names().prop_flat_map(|names| {
            (
                Just(names),
                proptest::collection::vec(proptest::option::of(0..3_i64), 3),
            )
        }),
        names(),
        proptest::option::of(proptest::collection::vec(0..3_i64, 0..3)),
        names(),
    )
        .prop_map(|(a, b, (items, values), set, whole, labels)| {
            let mut spec = json!({});
            if let Some(a) = a {
                spec["a"] = a.into();
            }
            if let Some(b) = b {
                spec["b"] = b.into();
            }
            let item = |(name, value): (&&str, &Option<i64>)| match value {
                Some(value) => json!({"n": name, "v": value}),
                None => json!({"n": name}),
            };
            if !items.is_empty() {
                spec["list"] = items.iter().zip(&values).map(item).collect();
            }
            if !set.is_empty() {
                spec["set"] = json!(set);
            }
            if let Some(whole) = whole {
                spec["whole"] = json!(whole);
            }
            let labels: serde_json::Map<String, Value> = labels
                .iter()
                .map(|name| ((*name).to_owned(), (*name).into()))
                .collect();
            json!({"metadata": {"labels": labels}, "spec": spec})
        })
}

fn apply(managers: &mut Managers, live: &Value, config: &Value, manager: &str) -> Value {
    let schema = schema();
    let change = Change {
        manager,
        api_version: "v1",
        subresource: "",
        now: "now",
        has_status: false,
    };
    managers
        .apply(Schema::new(&schema), live, config, &change, true)
        .unwrap()
}

/// Sets compare without order.
fn sorted(mut object: Value) -> Value {
    for key in ["list", "set"] {
        if let Some(Value::Array(list)) = object["spec"].get_mut(key) {
            list.sort_by_key(Value::to_string);
        }
    }
    crate::kubernetes::object::without_empty(&object)
}

proptest! {
    /// One manager alone: the object is always the last configuration, whatever came before.
    #[test]
    fn alone_the_last_configuration_is_the_object(configs in proptest::collection::vec(configuration(), 1..5)) {
        let (mut managers, mut live) = (Managers::default(), json!({}));
        for config in &configs {
            live = apply(&mut managers, &live, config, "one");
            let again = apply(&mut managers.clone(), &live, config, "one");
            prop_assert_eq!(&again, &live, "applying again changes nothing");
            let stored = Managers::of(&json!({"metadata": {"managedFields": managers.to_json()}}));
            prop_assert!(stored.same_fields(&managers), "ownership survives being stored");
        }
        prop_assert_eq!(sorted(live), sorted(configs.last().unwrap().clone()));
    }

    /// Two managers: what the second applies is there; when it lets go of everything, what only
    /// the first applied is untouched.
    #[test]
    fn another_managers_fields_survive(first in configuration(), second in configuration()) {
        let (mut managers, live) = (Managers::default(), json!({}));
        let live = apply(&mut managers, &live, &first, "one");
        let both = apply(&mut managers, &live, &second, "two");
        for key in ["a", "b", "whole"] {
            let expected = second["spec"].get(key).or_else(|| first["spec"].get(key));
            prop_assert_eq!(both["spec"].get(key), expected);
        }
        for item in second["spec"]["set"].as_array().into_iter().chain(first["spec"]["set"].as_array()).flatten() {
            prop_assert!(both["spec"]["set"].as_array().unwrap().contains(item));
        }
        let left = apply(&mut managers, &both, &json!({}), "two");
        for key in ["a", "b", "whole"] {
            let kept = first["spec"].get(key).filter(|value| second["spec"].get(key).is_none_or(|other| other == *value));
            prop_assert_eq!(left["spec"].get(key), kept);
        }
        for (name, _) in first["metadata"]["labels"].as_object().unwrap() {
            prop_assert!(left["metadata"]["labels"].get(name).is_some());
        }
    }
}
