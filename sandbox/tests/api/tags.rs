//! Tags: their names, and what is last tagged.

use serde_json::json;

use crate::client::{Client, id};

#[tokio::test(start_paused = true)]
async fn a_name_that_cannot_be_one_is_refused_in_a_form_of_its_own() {
    let client = Client::in_memory();
    let refused = client
        .post(400, "/v2/tags", json!({ "name": "not a tag" }))
        .await;
    assert_eq!(
        refused["error"],
        r#"Error validating resource tag: "tag-name \"not a tag\" contains invalid characters""#
    );
    assert_eq!(refused["messages"], json!(null));
    client.post(422, "/v2/tags", json!({})).await;
}

#[tokio::test(start_paused = true)]
async fn a_tag_knows_how_many_and_which_last() {
    let client = Client::in_memory();
    client.droplet("one", json!({ "tags": ["web"] })).await;
    let body = json!({ "name": "v", "region": "fra1", "size_gigabytes": 1, "tags": ["web"] });
    let volume = id(&client.post(201, "/v2/volumes", body).await, "volume");
    client.wait(1).await;
    let path = format!("/v2/volumes/{volume}/snapshots");
    let copy = json!({ "name": "copy", "tags": ["web"] });
    let copy = id(&client.post(201, &path, copy).await, "snapshot");
    let tag = client.get("/v2/tags/web").await["tag"]["resources"].clone();
    assert_eq!(tag["count"], 3);
    let uri = |path: &str, id: &str| json!(format!("https://api.digitalocean.com/v2/{path}/{id}"));
    assert_eq!(tag["volumes"]["last_tagged_uri"], uri("volumes", &volume));
    assert_eq!(tag["last_tagged_uri"], uri("snapshots", &copy));
    assert_eq!(tag["databases"], json!({ "count": 0 }));
}
