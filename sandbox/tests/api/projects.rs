//! Projects: every resource is in exactly one.

use serde_json::json;

use crate::client::{Client, id};

#[tokio::test(start_paused = true)]
async fn resources_start_in_the_default_project_and_move() {
    let client = Client::in_memory();
    let droplet = client.droplet("one", json!({})).await;
    let urn = format!("do:droplet:{droplet}");
    let of_default = client.get("/v2/projects/default/resources").await;
    assert_eq!(of_default["resources"][0]["urn"], urn);
    let body = json!({ "name": "p", "purpose": "Web Application" });
    let project = id(
        &client.post(201, "/v2/projects", body.clone()).await,
        "project",
    );
    client.post(409, "/v2/projects", body).await;
    let path = format!("/v2/projects/{project}");
    let urns = json!({ "resources": [urn, "do:droplet:1", "do:space:kept"] });
    let moved = client
        .post(200, &format!("{path}/resources"), urns.clone())
        .await;
    let status = |n: usize| moved["resources"][n]["status"].as_str().unwrap();
    assert_eq!(
        [status(0), status(1), status(2)],
        ["assigned", "not_found", "not_found"],
        "a bucket that nobody made is not there either"
    );
    let again = client.post(200, &format!("{path}/resources"), urns).await;
    assert_eq!(again["resources"][0]["status"], "already_assigned");
    assert_eq!(
        client.get("/v2/projects/default/resources").await["meta"]["total"],
        0
    );
    client.expect(412, "DELETE", &path, None).await;
    client.delete(&format!("/v2/droplets/{droplet}")).await;
    client.delete(&path).await;
}

#[tokio::test(start_paused = true)]
async fn the_default_project_can_change_and_never_go() {
    let client = Client::in_memory();
    let first = id(&client.get("/v2/projects/default").await, "project");
    client
        .expect(412, "DELETE", &format!("/v2/projects/{first}"), None)
        .await;
    let body = json!({ "name": "p", "purpose": "x", "environment": "development" });
    client.post(422, "/v2/projects", body).await;
    let body = json!({ "name": "p", "purpose": "x", "environment": "Development" });
    let second = id(&client.post(201, "/v2/projects", body).await, "project");
    let path = format!("/v2/projects/{second}");
    client
        .expect(200, "PATCH", &path, Some(json!({ "is_default": true })))
        .await;
    assert_eq!(
        id(&client.get("/v2/projects/default").await, "project"),
        second
    );
    client.put(422, &path, json!({ "name": "only" })).await;
    client.expect(422, "PATCH", &path, Some(json!({}))).await;
    let not = json!({ "is_default": false });
    client.expect(422, "PATCH", &path, Some(not)).await;
    client.delete(&format!("/v2/projects/{first}")).await;
}

#[tokio::test(start_paused = true)]
async fn a_reserved_ip_is_where_its_droplet_is() {
    let client = Client::in_memory();
    let droplet = client.droplet("one", json!({})).await;
    let made = client
        .post(202, "/v2/reserved_ips", json!({ "region": "fra1" }))
        .await;
    let ip = made["reserved_ip"]["ip"].as_str().unwrap().to_owned();
    let body = json!({ "name": "p", "purpose": "Web Application" });
    let project = id(&client.post(201, "/v2/projects", body).await, "project");
    let urns = [
        format!("do:floatingip:{ip}"),
        format!("do:droplet:{droplet}"),
    ];
    let path = format!("/v2/projects/{project}/resources");
    let home = "/v2/projects/default/resources";
    let just = |n: usize| json!({ "resources": [urns[n]] });
    // Free, it goes where it is sent.
    client.post(200, &path, just(0)).await;
    let actions = format!("/v2/reserved_ips/{ip}/actions");
    let assign = json!({ "type": "assign", "droplet_id": droplet });
    client.post(201, &actions, assign).await;
    client.wait(6).await;
    let shown = client.get(&format!("/v2/reserved_ips/{ip}")).await;
    assert_ne!(
        shown["reserved_ip"]["project_id"], project,
        "it followed its droplet"
    );
    let refused = client.post(412, &path, just(0)).await;
    assert_eq!(
        refused["message"],
        "Cannot move a Reserved IP with an associated Droplet. Move the Droplet instead"
    );
    client.post(200, &path, just(1)).await;
    let shown = client.get(&format!("/v2/reserved_ips/{ip}")).await;
    assert_eq!(shown["reserved_ip"]["project_id"], project);
    let both = client.post(200, home, json!({ "resources": urns })).await;
    let status = |n: usize| both["resources"][n]["status"].clone();
    assert_eq!(
        (status(0), status(1)),
        (json!("assigned"), json!("assigned"))
    );
}

#[tokio::test(start_paused = true)]
async fn the_default_project_is_changed_under_its_own_address() {
    let client = Client::in_memory();
    let path = "/v2/projects/default";
    let whole = json!({
        "name": "house", "description": "all of it", "purpose": "Web Application",
        "environment": "Staging", "is_default": true,
    });
    let put = client.put(200, path, whole.clone()).await["project"].clone();
    let patched = json!({
        "name": "home", "description": "", "purpose": "my own", "environment": "Production",
        "is_default": true,
    });
    let patched = client.expect(200, "PATCH", path, Some(patched)).await["project"].clone();
    assert_eq!(put["id"], patched["id"]);
    for (key, value) in whole.as_object().unwrap() {
        assert_eq!(&put[key], value, "{key}");
    }
    assert_eq!(
        (
            &patched["name"],
            &patched["description"],
            &patched["environment"]
        ),
        (&json!("home"), &json!(""), &json!("Production"))
    );
    // What is none of the listed purposes is shown as one of the user's own.
    assert_eq!(patched["purpose"], "Other: my own");
    let named = json!({ "name": "other", "purpose": "x", "description": "d" });
    let other = id(&client.post(201, "/v2/projects", named).await, "project");
    let all = json!({
        "name": "others", "description": "e", "purpose": "Website or blog",
        "environment": "Development", "is_default": false,
    });
    let other = format!("/v2/projects/{other}");
    let shown = client.expect(200, "PATCH", &other, Some(all)).await["project"].clone();
    assert_eq!(
        (&shown["name"], &shown["is_default"]),
        (&json!("others"), &json!(false))
    );
}
