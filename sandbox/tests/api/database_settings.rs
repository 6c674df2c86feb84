//! What is set of a database cluster after its creation: users, parameters, growth, names.

use serde_json::{Value, json};

use crate::client::{Client, id};

/// The path of a new cluster that is online.
async fn cluster(client: &Client, engine: &str, extra: &Value) -> String {
    let mut body = json!({
        "name": format!("store-{engine}"), "engine": engine, "size": "db-s-1vcpu-2gb",
        "num_nodes": 1, "region": "fra1",
    });
    for (key, value) in extra.as_object().unwrap() {
        body[key] = value.clone();
    }
    let made = client.post(201, "/v2/databases", body).await;
    client.wait(301).await;
    format!("/v2/databases/{}", id(&made, "database"))
}

#[tokio::test(start_paused = true)]
async fn a_user_of_postgresql_may_replicate() {
    let client = Client::in_memory();
    let pg = cluster(&client, "pg", &json!({})).await;
    let users = format!("{pg}/users");
    let body = json!({ "name": "copy", "settings": { "pg_allow_replication": true } });
    let made = client.post(201, &users, body).await;
    assert_eq!(made["user"]["settings"]["pg_allow_replication"], true);
    let copy = format!("{users}/copy");
    assert_eq!(client.get(&copy).await, made);
    // What is left out goes back to its default.
    let changed = client.put(201, &copy, json!({ "settings": {} })).await;
    assert_eq!(changed["user"]["settings"]["pg_allow_replication"], false);
    assert_eq!(changed["user"]["password"], made["user"]["password"]);
    assert_eq!(client.get(&copy).await["user"]["settings"], Value::Null);
    client.put(422, &copy, json!({})).await;
    let kafka = json!({ "settings": { "acl": [{ "topic": "t", "permission": "admin" }] } });
    client.put(422, &copy, kafka).await;
    client
        .put(404, &format!("{users}/nobody"), json!({ "settings": {} }))
        .await;
    let plugin = json!({ "mysql_settings": { "auth_plugin": "mysql_native_password" } });
    client
        .post(422, &format!("{copy}/reset_auth"), plugin.clone())
        .await;

    let mysql = cluster(&client, "mysql", &json!({})).await;
    let users = format!("{mysql}/users");
    let body = json!({ "name": "copy", "settings": { "pg_allow_replication": true } });
    client.post(422, &users, body).await;
    let made = client.post(201, &users, json!({ "name": "app" })).await;
    let used = |user: &Value| user["user"]["mysql_settings"]["auth_plugin"].clone();
    assert_eq!(used(&made), "caching_sha2_password");
    let app = format!("{users}/app/reset_auth");
    let reset = client.post(200, &app, plugin).await;
    assert_eq!(used(&reset), "mysql_native_password");
    assert_ne!(reset["user"]["password"], made["user"]["password"]);
    let reset = client.post(200, &app, json!({})).await;
    assert_eq!(used(&reset), "mysql_native_password");
}

#[tokio::test(start_paused = true)]
async fn parameters_are_checked_and_kept() {
    let client = Client::in_memory();
    let pg = cluster(&client, "pg", &json!({})).await;
    let path = format!("{pg}/config");
    assert_eq!(client.get(&path).await, json!({ "config": {} }));
    let patch = |config: Value| json!({ "config": config });
    let first = json!({
        "work_mem": 8, "backup_hour": 21, "pgbouncer": { "min_pool_size": 2 },
        "pg_stat_statements.track": "top",
    });
    client.expect(200, "PATCH", &path, Some(patch(first))).await;
    let second = json!({ "jit": false, "pgbouncer": { "server_lifetime": 60 } });
    client
        .expect(200, "PATCH", &path, Some(patch(second)))
        .await;
    assert_eq!(
        client.get(&path).await["config"],
        json!({
            "work_mem": 8, "backup_hour": 21, "jit": false, "pg_stat_statements.track": "top",
            "pgbouncer": { "min_pool_size": 2, "server_lifetime": 60 },
        })
    );
    let backups = client.get(&format!("{pg}/backups")).await;
    assert_eq!(backups["scheduled_backup_time"]["backup_hour"], 21);
    for wrong in [
        json!({ "work_mem": 2000 }),
        json!({ "jit": "yes" }),
        json!({ "sql_mode": "ANSI" }),
    ] {
        client.expect(422, "PATCH", &path, Some(patch(wrong))).await;
    }
    client.expect(422, "PATCH", &path, Some(json!({}))).await;

    let mysql = cluster(&client, "mysql", &json!({})).await;
    let path = format!("{mysql}/config");
    let modes = json!({ "sql_mode": "ANSI,TRADITIONAL", "long_query_time": 2.5 });
    client.expect(200, "PATCH", &path, Some(patch(modes))).await;
    let shown = client.get(&path).await["config"].clone();
    assert_eq!(shown["long_query_time"], 2.5);
    let one = client.get(&format!("{mysql}/sql_mode")).await;
    assert_eq!(
        (&one["sql_mode"], &shown["sql_mode"]),
        (&json!("ANSI,TRADITIONAL"), &one["sql_mode"])
    );
}

#[tokio::test(start_paused = true)]
async fn growth_and_names_of_its_own_can_be_set() {
    let client = Client::in_memory();
    let extra = json!({
        "autoscale": { "storage": { "enabled": true, "threshold_percent": 80, "increment_gib": 10 } },
        "do_settings": { "service_cnames": ["db.example.com"] },
    });
    let pg = cluster(&client, "pg", &extra).await;
    let shown = client.get(&pg).await["database"].clone();
    assert_eq!(shown["do_settings"], extra["do_settings"]);
    let (autoscale, names) = (format!("{pg}/autoscale"), format!("{pg}/do_settings"));
    assert_eq!(
        client.get(&autoscale).await["autoscale"],
        extra["autoscale"]
    );
    assert_eq!(
        client.get(&names).await["do_settings"],
        extra["do_settings"]
    );
    let seen = client.get(&autoscale).await["storage"].clone();
    assert_eq!(seen, extra["autoscale"]["storage"]);
    let off = json!({ "storage": { "enabled": false } });
    client.put(204, &autoscale, off.clone()).await;
    assert_eq!(client.get(&autoscale).await["autoscale"], off);
    for wrong in [
        json!({ "storage": {} }),
        json!({ "storage": { "enabled": true, "threshold_percent": 99 } }),
        json!({ "storage": { "enabled": true, "increment_gib": 5 } }),
    ] {
        client.put(422, &autoscale, wrong).await;
    }
    let none = json!({ "do_settings": { "service_cnames": [] } });
    client.put(204, &names, none.clone()).await;
    assert_eq!(client.get(&names).await, none);
    let wrong = json!({ "do_settings": { "service_cnames": ["db"] } });
    client.put(422, &names, wrong).await;
    client.put(422, &names, json!({})).await;

    let storage = json!({ "enabled": true, "threshold_percent": 80, "increment_gib": 20 });
    let sent = json!({ "autoscale": { "storage": storage } });
    let mysql = cluster(&client, "mysql", &sent).await;
    let shown = client.get(&format!("{mysql}/autoscale")).await;
    assert_eq!(shown["storage"], sent["autoscale"]["storage"]);
    client.delete(&mysql).await;
    let mysql = cluster(&client, "mysql", &json!({})).await;
    let unset = client.get(&format!("{mysql}/autoscale")).await;
    assert_eq!(unset["autoscale"], off);
}

#[tokio::test(start_paused = true)]
async fn versions_only_go_up() {
    let client = Client::in_memory();
    let pg = cluster(&client, "pg", &json!({ "version": "16" })).await;
    let before = client.get(&pg).await["database"]["semantic_version"].clone();
    assert!(before.as_str().unwrap().starts_with("16."), "{before}");
    let upgrade = format!("{pg}/upgrade");
    for wrong in [
        json!({ "version": "16" }),
        json!({ "version": "15" }),
        json!({ "version": "99" }),
        json!({}),
    ] {
        client.put(422, &upgrade, wrong).await;
    }
    client.put(204, &upgrade, json!({ "version": "17" })).await;
    let after = client.get(&pg).await["database"].clone();
    assert_eq!(
        (&after["version"], &after["status"]),
        (&json!("17"), &json!("online"))
    );
    assert!(
        after["semantic_version"]
            .as_str()
            .unwrap()
            .starts_with("17.")
    );
}

#[tokio::test(start_paused = true)]
async fn standby_nodes_have_addresses() {
    let client = Client::in_memory();
    let pg = cluster(&client, "pg", &json!({ "num_nodes": 2 })).await;
    let shown = client.get(&pg).await["database"].clone();
    let host = shown["connection"]["host"].as_str().unwrap();
    assert_eq!(
        shown["standby_connection"]["host"],
        format!("replica-{host}")
    );
    assert_eq!(
        shown["standby_private_connection"]["host"],
        format!("private-replica-{host}")
    );
    assert_eq!(
        shown["metrics_endpoints"],
        json!([
            { "host": host, "port": 9273 },
            { "host": format!("replica-{host}"), "port": 9273 },
        ])
    );
    let mysql = cluster(&client, "mysql", &json!({})).await;
    let shown = client.get(&mysql).await["database"].clone();
    assert_eq!(shown["standby_connection"], Value::Null);
    assert_eq!(shown["metrics_endpoints"].as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_stays_keeps_its_id_and_a_destroyed_droplet_is_not_trusted() {
    let client = Client::in_memory();
    let droplet = client.droplet("one", json!({})).await;
    let pg = cluster(&client, "pg", &json!({})).await;
    let path = format!("{pg}/firewall");
    let office = json!({ "type": "ip_addr", "value": "192.0.2.1", "description": "the office" });
    let one = json!({ "type": "droplet", "value": droplet.to_string() });
    client.put(204, &path, json!({ "rules": [office] })).await;
    let first = client.get(&path).await["rules"][0].clone();
    assert_eq!(first["description"], "the office");
    client.wait(5).await;
    client
        .put(204, &path, json!({ "rules": [one, office] }))
        .await;
    assert_eq!(client.get(&path).await["rules"][1], first);
    client.delete(&format!("/v2/droplets/{droplet}")).await;
    assert_eq!(client.get(&path).await["rules"], json!([first]));
    let twice = json!({ "rules": [office, office] });
    client.put(422, &path, twice).await;
}

#[tokio::test(start_paused = true)]
async fn a_maintenance_window_has_a_day_and_an_hour() {
    let client = Client::in_memory();
    let pg = cluster(&client, "pg", &json!({})).await;
    let path = format!("{pg}/maintenance");
    for (hour, shown) in [("14:00", "14:00:00"), ("08:45:12", "08:45:12")] {
        let body = json!({ "day": "Tuesday", "hour": hour });
        client.put(204, &path, body).await;
        let window = client.get(&pg).await["database"]["maintenance_window"].clone();
        assert_eq!(
            window,
            json!({ "day": "tuesday", "hour": shown, "pending": false })
        );
    }
    for (day, hour) in [
        ("tuesday", "24:00"),
        ("tuesday", "14:60"),
        ("someday", "1:00"),
    ] {
        client
            .put(422, &path, json!({ "day": day, "hour": hour }))
            .await;
    }
}
