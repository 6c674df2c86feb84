//! What somebody changed past kplan is seen, and the next applies bring it back.

mod account;
mod cluster;
mod hand;
mod nodes;
mod server;
mod whole;

use crate::support::cluster::Cluster;
use crate::support::{Folder, SMALL};
use serde_json::{Value, json};

#[test]
fn a_key_that_was_deleted_is_made_again_and_what_it_opened_is_read_with_the_new_one() {
    let folder = Folder::example("quickstart");
    folder.apply();
    let keys = folder.ask("GET", "/v2/spaces/keys", None);
    let key = keys["keys"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|key| {
            key["name"]
                .as_str()
                .is_some_and(|name| name.starts_with("kplan-"))
        })
        .and_then(|key| key["access_key"].as_str())
        .expect("the operator's key");
    folder.cloud("DELETE", &format!("/v2/spaces/keys/{key}"), None);
    // The buckets cannot be read with a key that is gone; the key is made, and then they can.
    let run = folder.kplan(&["apply", "--sandbox", "--auto-approve"]).ok();
    assert!(run.out.contains("bucket.boot are left out"), "{}", run.out);
    folder.assert_no_changes();
    folder.destroy("quickstart").ok();
    folder.assert_cloud_empty();
}

#[test]
fn a_load_balancer_whose_tag_was_cleared_gets_it_back() {
    let folder = Folder::example("ha-etcd");
    folder.apply();
    let path = folder.first_path("load_balancers", "/v2/load_balancers");
    let now = folder.ask("GET", &path, None)["load_balancer"].clone();
    let mut body = json!({ "region": now["region"]["slug"] });
    for name in [
        "name",
        "forwarding_rules",
        "health_check",
        "size_unit",
        "vpc_uuid",
        "firewall",
    ] {
        body[name] = now[name].clone();
    }
    // A full replace without the tag: the load balancer leads nowhere, and the API with it.
    folder.cloud("PUT", &path, Some(&body));
    let plan = folder.kplan(&["plan", "--sandbox"]);
    // On record, real, and in the file.
    let drift = plan
        .out
        .lines()
        .find(|line| line.contains("~ droplet_tag "));
    let columns: Vec<&str> = drift.unwrap_or(&plan.out).split_whitespace().collect();
    let tag = "\"ha-server\"";
    assert_eq!(columns, ["~", "droplet_tag", tag, "null", tag]);
    folder.apply();
    assert_eq!(
        folder.ask("GET", &path, None)["load_balancer"]["tag"],
        "ha-server"
    );
    folder.assert_no_changes();
}

#[test]
fn an_ssh_key_and_the_owners_tag_come_back_without_a_droplet_being_replaced() {
    let folder = Folder::example("quickstart");
    folder.apply();
    let droplet = folder.first_path("droplets", "/v2/droplets");
    let tags = folder.ask("GET", &droplet, None)["droplet"]["tags"].clone();
    let key = folder.first_path("ssh_keys", "/v2/account/keys");
    folder.cloud("DELETE", &key, None);
    let owner = tags
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .find(|tag| tag.starts_with("kplan:"))
        .expect("the owner's tag");
    folder.cloud("DELETE", &format!("/v2/tags/{owner}"), None);
    let run = folder.apply();
    assert!(run.out.contains(" 0 destroyed."), "{}", run.out);
    assert_eq!(folder.ask("GET", &droplet, None)["droplet"]["tags"], tags);
    folder.assert_no_changes();
}

/// Somebody works on the cluster at night.
fn by_night() -> Folder {
    let folder = Folder::with(&format!(
        "{SMALL}\n[[droplet]]\nname = \"box\"\nsize = \"s-1vcpu-1gb\"\ntags = [\"mine\"]\n"
    ));
    folder.apply();
    let droplets = folder.ask("GET", "/v2/droplets?name=box", None);
    let id = &droplets["droplets"][0]["id"];
    let rename = json!({ "type": "rename", "name": "night" });
    folder.cloud("POST", &format!("/v2/droplets/{id}/actions"), Some(&rename));
    folder
}

#[test]
fn drift_is_shown_in_three_columns_and_ends_with_2() {
    let folder = by_night();
    let run = folder.kplan(&["drift", "--sandbox"]).expect_code(2);
    run.assert_says(&[
        "# droplet.box has changed",
        "recorded   real      file",
        "~ name   \"box\"      \"night\"   \"box\"",
        "Drift: 1 changed, 0 gone, 0 not on record.",
    ]);
    let document = folder
        .kplan(&["drift", "--sandbox", "--json"])
        .expect_code(2)
        .json();
    let fields = json!([{
        "field": "name", "recorded": "box", "real": "night", "file": "box", "sensitive": false,
    }]);
    let drift = json!([{ "address": "droplet.box", "vanished": false, "fields": fields }]);
    assert_eq!(document["drift"], drift);
    // Accepted by a plan, it is no drift any more, and the file says something else.
    let accept = ["apply", "--sandbox", "--refresh-only", "--auto-approve"];
    folder.kplan(&accept).ok();
    folder.kplan(&["drift", "--sandbox"]).ok();
    folder
        .kplan(&["plan", "--sandbox"])
        .ok()
        .assert_says(&["~ name = \"night\" -> \"box\""]);
    // Repaired, there is neither.
    folder.kplan(&["apply", "--sandbox", "--auto-approve"]).ok();
    folder.kplan(&["drift", "--sandbox"]).ok();
    folder.assert_no_changes();
}

#[test]
fn what_is_ignored_is_neither_drift_nor_put_back() {
    let folder = by_night();
    let given = ["drift", "--sandbox", "--ignore", "droplet.box: name"];
    folder.kplan(&given).ok();
    folder
        .kplan(&["drift", "--sandbox", "--ignore", "*: tags"])
        .expect_code(2);
    let mistyped = folder.kplan(&["drift", "--sandbox", "--ignore", "name"]);
    assert!(mistyped.expect_code(1).err.contains("cli::ignore"));
    // In the file it holds for plans, too; another change of the droplet leaves it as it is.
    let file = std::fs::read_to_string(folder.path().join("cluster.toml")).expect("the file");
    let ignored = format!("{file}\n[drift]\nignore = [\"droplet.box: name\"]\n");
    folder.write(&ignored);
    folder.kplan(&["drift", "--sandbox"]).ok();
    folder.assert_no_changes();
    folder.write(&ignored.replace("\"mine\"", "\"mine\", \"more\""));
    folder.kplan(&["apply", "--sandbox", "--auto-approve"]).ok();
    let droplets = folder.ask("GET", "/v2/droplets?name=night", None);
    assert_eq!(
        droplets["droplets"][0]["tags"].as_array().map(Vec::len),
        Some(3)
    );
    folder.assert_no_changes();
}

#[test]
fn objects_that_are_left_to_others_are_left_by_other_changes_too() {
    let map = |name: &str, value: &str| {
        format!(
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{a: {value}}}\n"
        )
    };
    let folder = Folder::with(&format!(
        "{SMALL}\n[storage]\ncsi = false\n\n[[addon]]\nname = \"own\"\nmanifest = {{ file = \
         \"own.yaml\" }}\n\n[drift]\nignore = [\"addon_manifest.own: objects\"]\n"
    ));
    let manifest = |second: &str| {
        let text = map("first", "b") + &map("second", second);
        std::fs::write(folder.path().join("own.yaml"), text).expect("a file");
    };
    manifest("b");
    folder.apply();
    let cluster = Cluster::of(&folder, "demo");
    let (first, second) = ("v1 ConfigMap default/first", "v1 ConfigMap default/second");
    cluster.merge(first, &json!({ "data": { "a": "theirs" } }));
    folder.kplan(&["drift", "--sandbox"]).ok();
    folder.assert_no_changes();
    manifest("c");
    folder.apply();
    let value = |what: &str| cluster.get(what).expect(what)["data"]["a"].clone();
    assert_eq!((value(first), value(second)), (json!("theirs"), json!("c")));
    folder.assert_no_changes();
    // That apply put it on record. Without the rule, the plan says what is put back.
    let file = std::fs::read_to_string(folder.path().join("cluster.toml")).expect("the file");
    folder.write(file.split("[drift]").next().unwrap_or_default());
    let plan = folder.kplan(&["plan", "--sandbox"]).ok();
    plan.assert_says(&["1 changed by hand (v1 ConfigMap default/first: data.a is "]);
    folder.apply();
    assert_eq!(value(first), "b");
    folder.assert_no_changes();
}

#[test]
fn what_carries_the_owners_tag_and_is_on_no_record_is_named() {
    let folder = Folder::with(SMALL);
    folder.apply();
    let owner = folder.snapshot("demo").owner.tag();
    let stray = json!({
        "name": "stray", "region": "fra1", "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64",
        "tags": [owner],
    });
    folder.cloud("POST", "/v2/droplets", Some(&stray));
    let run = folder.kplan(&["drift", "--sandbox"]).expect_code(2);
    run.assert_says(&[
        "droplet stray (id ",
        "carries the cluster's tag, and is on no record.",
        "Drift: 0 changed, 0 gone, 1 not on record.",
    ]);
    folder.lose_droplets(|name| name != "stray");
    let run = folder.kplan(&["drift", "--sandbox"]).expect_code(2);
    run.assert_says(&["# droplet.servers[0] has been deleted"]);
}
