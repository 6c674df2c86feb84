//! Spaces keys: grants, lists, what can be changed.

use serde_json::{Value, json};

use crate::client::Client;

const KEYS: &str = "/v2/spaces/keys";

fn grant(bucket: &str, permission: &str) -> Value {
    json!({ "bucket": bucket, "permission": permission })
}

async fn key(client: &Client, name: &str, grants: Value) -> Value {
    let body = json!({ "name": name, "grants": grants });
    client.post(201, KEYS, body).await["key"].clone()
}

async fn names(client: &Client, query: &str) -> Vec<String> {
    let found = client.get(&format!("{KEYS}?{query}")).await;
    let name = |key: &Value| key["name"].as_str().unwrap().to_owned();
    found["keys"].as_array().unwrap().iter().map(name).collect()
}

#[tokio::test(start_paused = true)]
async fn lists_are_filtered_and_sorted() {
    let client = Client::in_memory();
    for (name, grants) in [
        ("b", json!([grant("one", "read")])),
        ("c", json!([grant("", "fullaccess")])),
        (
            "a",
            json!([grant("one", "readwrite"), grant("two", "read")]),
        ),
    ] {
        key(&client, name, grants).await;
        client.wait(1).await;
    }
    for (query, expected) in [
        ("", "a c b"),
        ("sort=created_at&sort_direction=asc", "b c a"),
        ("sort=name&sort_direction=asc", "a b c"),
        ("sort=name", "c b a"),
        ("name=b", "b"),
        ("bucket=one&sort=name&sort_direction=asc", "a b"),
        ("permission=fullaccess", "c"),
        ("permission=&name=&bucket=", "a c b"),
        ("per_page=1&page=2", "c"),
    ] {
        assert_eq!(names(&client, query).await.join(" "), expected, "{query}");
    }
    for wrong in ["sort=grants", "sort=name&sort_direction=up"] {
        client
            .expect(400, "GET", &format!("{KEYS}?{wrong}"), None)
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn full_access_goes_first_and_stays() {
    let client = Client::in_memory();
    let mixed = json!([grant("one", "read"), grant("", "fullaccess")]);
    let full = key(&client, "full", mixed).await;
    assert_eq!(full["grants"], json!([grant("", "fullaccess")]));
    assert!(full["secret_key"].is_string());
    let path = format!("{KEYS}/{}", full["access_key"].as_str().unwrap());
    // Its name is all that can change.
    let renamed = client.put(200, &path, json!({ "name": "renamed" })).await;
    assert_eq!(renamed["key"]["name"], "renamed");
    assert_eq!(renamed["key"]["grants"], full["grants"]);
    assert_eq!(renamed["key"]["secret_key"], Value::Null);
    let less = json!({ "name": "renamed", "grants": [grant("one", "read")] });
    client.put(400, &path, less).await;

    let some = key(
        &client,
        "some",
        json!([grant("one", "read"), grant("two", "")]),
    )
    .await;
    let path = format!("{KEYS}/{}", some["access_key"].as_str().unwrap());
    let more = json!({ "grants": [grant("", "fullaccess")] });
    client.expect(400, "PATCH", &path, Some(more)).await;
    let body = json!({ "grants": [grant("one", "readwrite")] });
    let changed = client.expect(200, "PATCH", &path, Some(body)).await;
    assert_eq!(changed["key"]["name"], "some");
    assert_eq!(changed["key"]["grants"], json!([grant("one", "readwrite")]));
    // A PUT without grants takes them away.
    let none = client.put(200, &path, json!({ "name": "none" })).await;
    assert_eq!(none["key"]["grants"], json!([]));
    client.put(422, &path, json!({ "name": "" })).await;
    client
        .expect(422, "PATCH", &path, Some(json!({ "name": "" })))
        .await;
    for wrong in [
        grant("", "read"),
        grant("one", "fullaccess"),
        grant("one", "admin"),
    ] {
        let body = json!({ "name": "wrong", "grants": [wrong] });
        client.post(400, KEYS, body).await;
    }
}
