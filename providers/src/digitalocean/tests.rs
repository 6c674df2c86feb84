//! What the contract suite cannot see: what exactly is sent, and what happens when a change is cut
//! off half way.

mod change;
mod last_look;
mod power;
mod user_data;

use super::*;
use crate::http::testing::{Script, empty, json, owner, permit};
use crate::k3s::boot::BootArgs;
use crate::spaces::{Spaces, SpacesConfig};
use bytes::Bytes;
use http::Response;
use kplan_model::codec::ObjectCodec;
use kplan_model::{
    Address, ErrorKind, FieldSet, Input, Known, Object, Readiness, RemoteId, Resource, Secret,
    Timestamp, Value as Plain, Wanted,
};
use serde_json::{Value, json as value};
use std::sync::Arc;

fn cloud(script: &Script) -> DigitalOcean {
    DigitalOcean {
        http: script.client(),
    }
}

fn droplets(script: &Script) -> Droplet {
    Droplet {
        cloud: cloud(script),
        spaces: Spaces::new(SpacesConfig {
            endpoint: None,
            keys: None,
            transport: Arc::new(script.clone()),
            statistics: Arc::default(),
            now: Arc::new(|| Timestamp::from_seconds(1_785_542_400)),
            scale: 1,
        }),
    }
}

fn known(id: &str, args: Object, attrs: Object) -> Known {
    Known {
        address: "droplet.x".parse().unwrap(),
        id: RemoteId::new(id),
        args,
        attrs,
    }
}

fn changed(fields: &[&str]) -> FieldSet {
    fields.iter().copied().collect()
}

fn ok(body: Value) -> Response<Bytes> {
    json(200, &body)
}

fn done(id: u32) -> Response<Bytes> {
    json(
        201,
        &value!({ "action": { "id": id, "status": "completed", "type": "x" } }),
    )
}

fn droplet(status: &str, size: &str) -> Response<Bytes> {
    ok(value!({ "droplet": {
        "id": 7, "name": "a", "status": status, "size_slug": size,
        "region": { "slug": "fra1" }, "tags": ["web", "kplan:demo-3f9a1c2e"],
        "networks": { "v4": [
            { "type": "public", "ip_address": "203.0.113.7" },
            { "type": "private", "ip_address": "10.0.0.7" },
        ], "v6": [] },
        "size": { "price_monthly": 24.0 },
    } }))
}

fn droplet_args() -> DropletArgs {
    DropletArgs {
        name: "a".to_owned(),
        region: "fra1".to_owned(),
        size: "s-2vcpu-4gb".to_owned(),
        image: "12345".to_owned(),
        vpc_uuid: None,
        ssh_keys: Vec::new(),
        tags: vec![Input::Known("web".to_owned())],
        user_data: None,
        boot: None,
        monitoring: false,
        backups: false,
        ipv6: false,
        droplet_agent: None,
        resize_disk: None,
        power: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_resize_shuts_down_resizes_and_powers_on() {
    let script = Script::answers([
        droplet("active", "s-1vcpu-2gb"),
        done(1),
        droplet("active", "s-1vcpu-2gb"),
        droplet("off", "s-1vcpu-2gb"),
        json(
            201,
            &value!({ "action": { "id": 2, "status": "in-progress", "type": "resize" } }),
        ),
        ok(value!({ "action": { "id": 2, "status": "completed", "type": "resize" } })),
        done(3),
        droplet("active", "s-2vcpu-4gb"),
    ]);
    let known = known("7", Object::new(), Object::new());
    let attrs = droplets(&script)
        .update(&known, &droplet_args(), &changed(&["size"]), &permit())
        .await
        .unwrap();
    assert_eq!(attrs.size, "s-2vcpu-4gb");
    assert_eq!(attrs.price_monthly.as_deref(), Some("24"));
    let action = "POST /v2/droplets/7/actions";
    let look = "GET /v2/droplets/7";
    assert_eq!(
        script.calls(),
        [
            look,
            action,
            look,
            look,
            action,
            "GET /v2/actions/2",
            action,
            look
        ]
    );
    assert_eq!(script.body(1), value!({ "type": "shutdown" }));
    assert_eq!(
        script.body(4),
        value!({ "type": "resize", "size": "s-2vcpu-4gb", "disk": true })
    );
    assert_eq!(script.body(6), value!({ "type": "power_on" }));
}

#[tokio::test(start_paused = true)]
async fn a_resize_that_was_cut_off_carries_on() {
    // Resized, but nobody powered it on.
    let script = Script::answers([
        droplet("off", "s-2vcpu-4gb"),
        done(3),
        droplet("active", "s-2vcpu-4gb"),
    ]);
    let known = known("7", Object::new(), Object::new());
    droplets(&script)
        .update(&known, &droplet_args(), &changed(&["size"]), &permit())
        .await
        .unwrap();
    assert_eq!(script.body(1), value!({ "type": "power_on" }));
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_ignores_the_shutdown_loses_its_power() {
    let mut looks = 0;
    let script = Script::new(move |request| {
        if request.method() == http::Method::POST {
            return Ok(done(1));
        }
        looks += 1;
        // One look first, then thirteen while it is given a minute.
        let size = if looks > 14 {
            "s-2vcpu-4gb"
        } else {
            "s-1vcpu-2gb"
        };
        Ok(droplet("active", size))
    });
    let known = known("7", Object::new(), Object::new());
    droplets(&script)
        .update(&known, &droplet_args(), &changed(&["size"]), &permit())
        .await
        .unwrap();
    let kinds: Vec<Value> = (0..script.calls().len())
        .map(|call| script.body(call)["type"].clone())
        .filter(|kind| !kind.is_null())
        .collect();
    assert_eq!(kinds, ["shutdown", "power_off", "resize", "power_on"]);
}

#[tokio::test]
async fn a_failed_action_is_told() {
    let script = Script::answers([
        droplet("active", "s-2vcpu-4gb"),
        json(
            201,
            &value!({ "action": { "id": 1, "status": "errored", "type": "rename" } }),
        ),
    ]);
    let known = known("7", Object::new(), Object::new());
    let args = DropletArgs {
        name: "b".to_owned(),
        ..droplet_args()
    };
    let error = droplets(&script)
        .update(&known, &args, &changed(&["name"]), &permit())
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Failed);
    assert!(error.message.contains("rename"), "{error}");
}

#[tokio::test]
async fn a_droplet_is_sent_with_the_owners_tag_and_an_image_by_number() {
    let script = Script::answers([json(
        202,
        &serde_json::from_slice(droplet("new", "s").body()).unwrap(),
    )]);
    let (owner, address): (_, Address) = (owner(), "droplet.a".parse().unwrap());
    let args = droplet_args();
    let wanted = Wanted {
        owner: &owner,
        address: &address,
        args: &args,
    };
    let found = droplets(&script).create(wanted, &permit()).await.unwrap();
    assert_eq!(found.id, RemoteId::new("7"));
    assert_eq!(found.attrs.tags, ["web"]);
    assert_eq!(
        found.attrs.owner_tag.as_deref(),
        Some("kplan:demo-3f9a1c2e")
    );
    let body = script.body(0);
    assert_eq!(body["image"], 12345);
    assert_eq!(body["tags"], value!(["web", "kplan:demo-3f9a1c2e"]));
    assert!(
        body.get("ssh_keys").is_none() && body.get("user_data").is_none(),
        "{body}"
    );
}

#[tokio::test]
async fn user_data_beyond_the_limit_is_refused_before_anything_is_sent() {
    let script = Script::answers([]);
    let (owner, address): (_, Address) = (owner(), "droplet.a".parse().unwrap());
    let args = DropletArgs {
        user_data: Some(Input::Known("x".repeat((64 << 10) + 1))),
        ..droplet_args()
    };
    let wanted = Wanted {
        owner: &owner,
        address: &address,
        args: &args,
    };
    let failed = droplets(&script)
        .create(wanted, &permit())
        .await
        .unwrap_err();
    assert_eq!(failed.error.kind, ErrorKind::Invalid);
}

#[tokio::test]
async fn droplets_are_listed_by_owner_where_our_records_agree() {
    let owned = |tag: &str| {
        let attrs = Object::from([("owner_tag".to_owned(), Plain::str(tag))]);
        known("7", Object::new(), attrs)
    };
    for (known, query) in [
        (
            vec![owned("kplan:demo-3f9a1c2e")],
            "tag_name=kplan%3Ademo-3f9a1c2e&",
        ),
        (
            vec![owned("kplan:demo-3f9a1c2e"), owned("kplan:other-3f9a1c2e")],
            "",
        ),
        (vec![known("7", Object::new(), Object::new())], ""),
    ] {
        let script = Script::answers([ok(value!({ "droplets": [], "meta": { "total": 0 } }))]);
        droplets(&script).read_all(&known).await.unwrap();
        assert_eq!(
            script.calls(),
            [format!("GET /v2/droplets?{query}page=1&per_page=200")]
        );
    }
    // Nothing on record costs nothing.
    let script = Script::answers([]);
    assert!(droplets(&script).read_all(&[]).await.unwrap().is_empty());
}

fn database_args(rules: Vec<DatabaseRule>, version: &str) -> DatabaseArgs {
    DatabaseArgs {
        name: "db".to_owned(),
        engine: "pg".to_owned(),
        version: Some(version.to_owned()),
        size: "db-s-1vcpu-2gb".to_owned(),
        region: "fra1".to_owned(),
        node_count: 1,
        storage_size_mib: None,
        private_network_uuid: None,
        tags: Vec::new(),
        rules,
    }
}

fn database(status: &str, version: &str) -> Response<Bytes> {
    ok(value!({ "database": {
        "id": "u", "name": "db", "engine": "pg", "version": version, "size": "db-s-1vcpu-2gb",
        "region": "fra1", "num_nodes": 1, "status": status,
        "connection": { "host": "h", "port": 25060, "user": "doadmin", "password": "hunter2" },
    } }))
}

#[tokio::test]
async fn a_database_is_never_made_or_left_open_to_the_internet() {
    let script = Script::answers([database("online", "16")]);
    let (owner, address): (_, Address) = (owner(), "database.a".parse().unwrap());
    let args = database_args(Vec::new(), "16");
    let wanted = Wanted {
        owner: &owner,
        address: &address,
        args: &args,
    };
    let database = Database(cloud(&script));
    let failed = database.create(wanted, &permit()).await.unwrap_err();
    assert_eq!(failed.error.kind, ErrorKind::Invalid);
    let known = known("u", Object::new(), Object::new());
    let error = database
        .update(&known, &args, &changed(&["rules"]), &permit())
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert!(
        script.calls().iter().all(|call| call.starts_with("GET ")),
        "{:?}",
        script.calls()
    );
}

#[tokio::test(start_paused = true)]
async fn a_database_is_upgraded_once_and_waited_for() {
    let ca = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t";
    let script = Script::answers([
        database("online", "16"),
        empty(204),
        database("migrating", "16"),
        database("online", "17"),
        database("online", "17"),
        ok(value!({ "rules": [{ "type": "tag", "value": "web", "uuid": "1" }] })),
        ok(value!({ "ca": { "certificate": ca } })),
    ]);
    let rules = vec![DatabaseRule::tag("web".to_owned())];
    let known = known("u", Object::new(), Object::new());
    let attrs = Database(cloud(&script))
        .update(
            &known,
            &database_args(rules.clone(), "17"),
            &changed(&["version"]),
            &permit(),
        )
        .await
        .unwrap();
    assert_eq!(attrs.version.as_deref(), Some("17"));
    assert_eq!(attrs.rules, Some(rules));
    assert_eq!(
        attrs.ca_certificate.as_deref(),
        Some("-----BEGIN CERTIFICATE-----")
    );
    assert_eq!(
        attrs.password.as_ref().and_then(Secret::expose),
        Some("hunter2")
    );
    assert_eq!(script.calls()[1], "PUT /v2/databases/u/upgrade");
    assert_eq!(script.body(1), value!({ "version": "17" }));
}

#[tokio::test]
async fn a_password_that_is_not_shown_is_the_one_on_record() {
    let hidden = ok(value!({ "database": {
        "id": "u", "name": "db", "engine": "pg", "size": "s", "region": "fra1", "num_nodes": 1,
        "status": "creating", "connection": { "host": "h", "user": "doadmin", "password": "" },
    } }));
    let script = Script::answers([hidden]);
    let attrs = Object::from([("password".to_owned(), Plain::Secret(Secret::new("kept")))]);
    let known = known("u", Object::new(), attrs);
    let attrs = Resource::read(&Database(cloud(&script)), &known)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        attrs.password.as_ref().and_then(Secret::expose),
        Some("kept")
    );
    assert_eq!(attrs.rules, None, "not read while it is made");
    assert!(matches!(
        Database(cloud(&script)).readiness(&attrs),
        Readiness::Waiting(_)
    ));
}

#[tokio::test]
async fn a_load_balancer_keeps_what_we_do_not_know() {
    let shown = value!({ "load_balancer": {
        "id": "l", "name": "old", "region": { "slug": "fra1" }, "ip": "203.0.113.9",
        "status": "active", "size_unit": 2, "algorithm": "round_robin", "tag": "web",
        "droplet_ids": [1, 2], "project_id": "p", "tls_cipher_policy": "STRONG",
        "sticky_sessions": { "type": "cookies", "cookie_name": "c", "cookie_ttl_seconds": 30 },
        "forwarding_rules": [{ "entry_protocol": "tcp", "entry_port": 6443,
            "target_protocol": "tcp", "target_port": 6443, "certificate_id": "" }],
        "ipv6": "", "vpc_uuid": "v",
    } });
    let script = Script::answers([ok(shown.clone()), ok(shown)]);
    let args = LoadBalancerArgs {
        name: "new".to_owned(),
        region: "fra1".to_owned(),
        size_unit: None,
        forwarding_rule: vec![ForwardingRule {
            entry_protocol: "tcp".to_owned(),
            entry_port: 6443,
            target_protocol: "tcp".to_owned(),
            target_port: 6443,
            certificate_id: None,
            tls_passthrough: false,
        }],
        healthcheck: None,
        droplet_tag: Some(Input::Known("web".to_owned())),
        droplet_ids: Vec::new(),
        vpc_uuid: None,
        firewall: None,
        redirect_http_to_https: false,
        enable_proxy_protocol: false,
        enable_backend_keepalive: false,
        http_idle_timeout_seconds: None,
    };
    let known = known("l", args.to_object(), Object::new());
    let attrs = LoadBalancer(cloud(&script))
        .update(&known, &args, &changed(&["name"]), &permit())
        .await
        .unwrap();
    assert_eq!(attrs.droplet_ids, [""; 0], "the tag names them");
    let body = script.body(1);
    assert_eq!(body["name"], "new");
    assert_eq!(body["size_unit"], 2);
    assert_eq!(body["project_id"], "p");
    assert_eq!(body["tls_cipher_policy"], "STRONG");
    assert_eq!(body["sticky_sessions"]["cookie_name"], "c");
    for absent in ["id", "ip", "ipv6", "status", "algorithm", "droplet_ids"] {
        assert!(body.get(absent).is_none(), "{absent} was sent: {body}");
    }
}

fn vpc(default: bool) -> Response<Bytes> {
    ok(value!({ "vpc": {
        "id": "v", "name": "k3s-vpc-01", "region": "fra1", "ip_range": "10.10.10.0/24",
        "default": default, "created_at": "2026-08-01T00:00:00Z",
    } }))
}

fn forbidden(said: &str) -> Response<Bytes> {
    let body = value!({ "id": "forbidden", "message": said, "request_id": "r1" });
    json(403, &body)
}

#[tokio::test]
async fn a_default_vpc_is_refused_for_good_and_left_alone() {
    let known = known("v", Object::new(), Object::new());
    // Whatever the refusal speaks of.
    for said in ["Can not delete default VPCs", "VPC with members", "No."] {
        let script = Script::answers([forbidden(said), vpc(true)]);
        let error = Vpc(cloud(&script))
            .delete(&known, &permit())
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
        assert_eq!(
            error.message,
            "droplet.x (`k3s-vpc-01`, v) is the default VPC of fra1, which DigitalOcean does not \
             delete"
        );
        assert_eq!(error.request_id.as_deref(), Some("r1"));
        assert!(error.help.unwrap().contains("make another VPC of fra1"));
        // No other VPC was made the default instead.
        assert_eq!(script.calls(), ["DELETE /v2/vpcs/v", "GET /v2/vpcs/v"]);
    }
}

#[tokio::test]
async fn another_vpc_is_refused_as_it_was() {
    let known = known("v", Object::new(), Object::new());
    for (said, kind) in [
        ("VPC with members", ErrorKind::Busy),
        ("No.", ErrorKind::Denied),
    ] {
        let none = value!({ "members": [], "links": {}, "meta": { "total": 0 } });
        let script = Script::answers([forbidden(said), vpc(false), json(200, &none)]);
        let error = Vpc(cloud(&script))
            .delete(&known, &permit())
            .await
            .unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
    }
    let script = Script::answers([empty(404)]);
    Vpc(cloud(&script)).delete(&known, &permit()).await.unwrap();
    assert_eq!(script.calls(), ["DELETE /v2/vpcs/v"], "gone already");
}

#[tokio::test]
async fn a_delete_during_an_event_is_tried_again_later() {
    async fn refused<R: Resource>(script: &Script, resource: R) {
        let known = known("7", Object::new(), Object::new());
        let deleted = Resource::delete(&resource, &known, &permit()).await;
        let error = deleted.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Busy, "{error}");
        assert!(script.calls().last().unwrap().starts_with("DELETE"));
    }
    let script = || {
        Script::new(|request| {
            let said = value!({ "id": "unprocessable_entity", "message": "Droplet already has a pending event." });
            let lone = value!({ "volume": {
                "id": "7", "name": "data", "region": { "slug": "fra1" }, "size_gigabytes": 10,
                "droplet_ids": [], "tags": [], "description": "",
            } });
            Ok(match *request.method() {
                http::Method::GET => ok(lone),
                _ => json(422, &said),
            })
        })
    };
    let answers = script();
    refused(&answers, droplets(&answers)).await;
    let answers = script();
    refused(&answers, Volume(cloud(&answers))).await;
    let answers = script();
    refused(&answers, ReservedIp(cloud(&answers))).await;
    let answers = script();
    refused(&answers, LoadBalancer(cloud(&answers))).await;
}

#[tokio::test]
async fn members_leave_a_project_before_it_is_deleted() {
    let script = Script::answers([
        ok(value!({ "resources": [{ "urn": "do:droplet:1" }], "meta": { "total": 1 } })),
        ok(value!({ "resources": [{ "urn": "do:droplet:1", "status": "ok" }] })),
        empty(204),
    ]);
    let known = known("p", Object::new(), Object::new());
    Project(cloud(&script))
        .delete(&known, &permit())
        .await
        .unwrap();
    assert_eq!(
        script.calls(),
        [
            "GET /v2/projects/p/resources?page=1&per_page=200",
            "POST /v2/projects/default/resources",
            "DELETE /v2/projects/p",
        ]
    );
}

#[tokio::test]
async fn a_member_that_is_not_known_yet_is_tried_again_later() {
    let script = Script::answers([
        json(
            201,
            &value!({ "project": { "id": "p", "name": "n", "created_at": "2026-08-01T00:00:00Z" } }),
        ),
        ok(value!({ "resources": [{ "urn": "do:droplet:1", "status": "not_found" }] })),
    ]);
    let (owner, address): (_, Address) = (owner(), "project.a".parse().unwrap());
    let args = ProjectArgs {
        name: "n".to_owned(),
        description: None,
        purpose: None,
        environment: None,
        resources: vec![Input::Known("do:droplet:1".to_owned())],
    };
    let wanted = Wanted {
        owner: &owner,
        address: &address,
        args: &args,
    };
    let failed = Project(cloud(&script))
        .create(wanted, &permit())
        .await
        .unwrap_err();
    assert_eq!(failed.error.kind, ErrorKind::Busy);
    let partial = failed.partial.unwrap();
    assert_eq!(
        partial.id,
        RemoteId::new("p"),
        "what was made is never forgotten"
    );
    assert_eq!(partial.attrs.resources, [""; 0]);
}

#[tokio::test]
async fn a_key_without_its_secret_is_useless_and_says_so() {
    let shown = value!({ "key": { "access_key": "A", "name": "n", "grants": [] } });
    let script = Script::answers([ok(shown.clone()), ok(shown)]);
    let kind = SpacesKey(cloud(&script));
    let lost = known("A", Object::new(), Object::new());
    let attrs = Resource::read(&kind, &lost).await.unwrap().unwrap();
    assert!(matches!(kind.readiness(&attrs), Readiness::Failed(_)));
    let recorded = Object::from([("secret_key".to_owned(), Plain::Secret(Secret::new("s")))]);
    let attrs = Resource::read(&kind, &known("A", Object::new(), recorded))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        attrs.secret_key.as_ref().and_then(Secret::expose),
        Some("s")
    );
    assert_eq!(kind.readiness(&attrs), Readiness::Ready);
}

#[tokio::test]
async fn a_firewall_reads_back_in_the_words_it_was_asked_for() {
    let shown = value!({ "firewall": {
        "id": "f", "name": "n", "status": "succeeded", "tags": ["web"], "droplet_ids": null,
        "inbound_rules": [{ "protocol": "tcp", "ports": "0",
            "sources": { "addresses": ["::/0", "0.0.0.0/0"] } }],
        "outbound_rules": [{ "protocol": "icmp", "ports": "0",
            "destinations": { "addresses": ["0.0.0.0/0"] } }],
    } });
    let script = Script::answers([ok(shown)]);
    let args = FirewallArgs {
        name: "n".to_owned(),
        tags: vec![Input::Known("web".to_owned())],
        droplet_ids: Vec::new(),
        inbound_rule: vec![all_ports("tcp", &["0.0.0.0/0", "::/0"])],
        outbound_rule: vec![all_ports("icmp", &["0.0.0.0/0"])],
    };
    let known = known("f", args.to_object(), Object::new());
    let attrs = Resource::read(&Firewall(cloud(&script)), &known)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(attrs.inbound_rule, args.inbound_rule);
    assert_eq!(attrs.outbound_rule, args.outbound_rule);
}

#[tokio::test]
async fn an_attached_volume_is_detached_before_it_goes() {
    let shown = value!({ "volume": {
        "id": "v", "name": "n", "size_gigabytes": 10, "region": { "slug": "fra1" },
        "droplet_ids": [7],
    } });
    let script = Script::answers([ok(shown), done(1), empty(204)]);
    Volume(cloud(&script))
        .delete(&known("v", Object::new(), Object::new()), &permit())
        .await
        .unwrap();
    assert_eq!(
        script.body(1),
        value!({ "type": "detach", "droplet_id": 7, "region": "fra1" })
    );
    assert_eq!(script.calls()[2], "DELETE /v2/volumes/v");
    let script = Script::answers([json(404, &value!({ "id": "not_found", "message": "gone" }))]);
    Volume(cloud(&script))
        .delete(&known("v", Object::new(), Object::new()), &permit())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_node_is_told_where_its_bundle_will_be_and_no_secret() {
    let made = serde_json::from_slice(droplet("new", "s").body()).unwrap();
    let script = Script::answers([json(202, &made)]);
    let (owner, address): (_, Address) = (owner(), "droplet.a".parse().unwrap());
    let known = |text: &str| Input::Known(text.to_owned());
    let boot = BootArgs {
        cluster: owner.id(),
        node: "demo-server-0".to_owned(),
        role: "server".to_owned(),
        bucket: known("kplan-demo-a1b2c3d4"),
        endpoint: known("https://fra1.digitaloceanspaces.com"),
        region: known("fra1"),
        access_key: known("DO00EXAMPLE"),
        secret_key: Input::Known(Secret::new("spaces-secret")),
        public_key: known("-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n"),
        packages: None,
        datastore_admin: None,
    };
    let args = DropletArgs {
        boot: Some(boot),
        ..droplet_args()
    };
    let wanted = || Wanted {
        owner: &owner,
        address: &address,
        args: &args,
    };
    droplets(&script).create(wanted(), &permit()).await.unwrap();
    let body = script.body(0);
    let user_data = body["user_data"].as_str().unwrap();
    assert!(user_data.starts_with("#cloud-config\n"));
    let bundle =
        "BUNDLE_URL=https://kplan-demo-a1b2c3d4.fra1.digitaloceanspaces.com/boot/demo-server-0-";
    assert!(user_data.contains(bundle), "{user_data}");
    assert!(
        user_data.contains("X-Amz-Date=20260801T000000Z"),
        "signed at its creation"
    );
    assert!(!body.to_string().contains("spaces-secret"));
    let both = DropletArgs {
        user_data: Some(known("#cloud-config")),
        ..args.clone()
    };
    let wanted = Wanted {
        args: &both,
        ..wanted()
    };
    let failed = droplets(&script)
        .create(wanted, &permit())
        .await
        .unwrap_err();
    assert_eq!(failed.error.kind, ErrorKind::Invalid);
}
