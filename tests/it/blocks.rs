//! Files without a cluster of kplan's, and what stands beside one: made, changed, read and destroyed.

use crate::conformance::judge;
use crate::support::{Folder, Run, SMALL};
use serde_json::{Value, json};

/// Everything that can stand by itself.
const SHOP: &str = r##"
[cluster]
name   = "shop"
region = "fra1"

[project]
name = "shop"

[[ssh_key]]
name       = "Max's laptop"
public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtfVZxSMt8rFSHmKkQGH3yJPB9NqwVbXIjQvL8tYqMR max"

[[vpc]]
name     = "main"
ip_range = "10.20.0.0/20"

[[droplet]]
name = "web-1"
size = "s-1vcpu-1gb"
vpc  = "main"
tags = ["web"]

[[droplet]]
label      = "web-2"
name       = "Web2.example.com"
size       = "s-1vcpu-1gb"
vpc        = "main"
tags       = ["web"]
monitoring = false
user_data  = "#cloud-config\n"

[[volume]]
name    = "data"
size    = 10
droplet = "droplet.web-1"

[[firewall]]
name          = "web"
tags          = ["web"]
inbound_rule  = [
    { protocol = "tcp", port_range = "80", source_load_balancers = ["front"] },
    { protocol = "tcp", port_range = "22", source_addresses = ["203.0.113.7"] },
]
outbound_rule = [
    { protocol = "tcp", port_range = "all", destination_addresses = ["0.0.0.0/0", "::/0"] },
]

[[load_balancer]]
name            = "front"
vpc             = "main"
droplets        = ["droplet.web-1", "droplet.web-2"]
forwarding_rule = [
    { entry_protocol = "http", entry_port = 80, target_protocol = "http", target_port = 80 },
]
healthcheck     = { protocol = "http", port = 80, path = "/healthz" }

[[database]]
name   = "shop"
engine = "pg"
size   = "db-s-1vcpu-2gb"
vpc    = "main"
rules  = [{ type = "tag", value = "web" }, { type = "droplet", value = "droplet.web-2" }]

[[bucket]]
name = "shop-assets"

[[reserved_ip]]
name    = "shop"
droplet = "droplet.web-2"

[[domain_record]]
domain = "example.com"
type   = "A"
name   = "shop"
value  = "203.0.113.7"
"##;

/// Droplets on which somebody else installed K3s.
const LEGACY: &str = r#"
[cluster]
name    = "legacy"
region  = "fra1"
protect = true

[k3s]
managed = false

[network]
vpc = { ip_range = "10.30.0.0/24" }

[servers]
count = 3
size  = "s-2vcpu-4gb"
tags  = ["k3s"]

[[agents]]
name  = "workers"
size  = "s-1vcpu-2gb"
tags  = ["k3s"]
ipv6  = true

[load_balancer.front]
droplets        = ["droplet.servers", "droplet.workers[0]"]
forwarding_rule = [
    { entry_protocol = "tcp", entry_port = 443, target_protocol = "tcp", target_port = 443 },
]
protect         = false
"#;

/// A change of each that can be made in place.
const EDITS: [(&str, &str); 9] = [
    (
        "name     = \"main\"",
        "label    = \"main\"\nname     = \"shop-vpc\"",
    ),
    (
        "label      = \"web-2\"",
        "label      = \"web-2\"\nbackups    = true",
    ),
    (
        "size    = 10\ndroplet = \"droplet.web-1\"",
        "size    = 20\ndroplet = \"droplet.web-2\"",
    ),
    ("\"203.0.113.7\"]", "\"203.0.113.8\"]"),
    ("path = \"/healthz\"", "path = \"/ready\""),
    ("db-s-1vcpu-2gb\"", "db-s-1vcpu-2gb\"\nnodes  = 2"),
    (
        "name = \"shop-assets\"",
        "name = \"shop-assets\"\nversioning = true",
    ),
    (
        "droplet = \"droplet.web-2\"\n\n[[domain",
        "droplet = \"droplet.web-1\"\n\n[[domain",
    ),
    ("value  = \"203.0.113.7\"", "value  = \"203.0.113.9\""),
];

/// The text with each pair's first replaced by its second; each is there once.
fn edited(text: &str, edits: &[(&str, &str)]) -> String {
    edits.iter().fold(text.to_owned(), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text.replace(from, to)
    })
}

/// One list of the cloud's.
fn list(folder: &Folder, path: &str, key: &str) -> Vec<Value> {
    let body = folder.ask("GET", &format!("{path}?per_page=200"), None);
    body[key].as_array().expect("a list").clone()
}

fn named<'a>(list: &'a [Value], name: &str) -> &'a Value {
    let found = list.iter().find(|one| one["name"] == name);
    found.unwrap_or_else(|| panic!("{name} is not in {list:?}"))
}

/// The kinds of which the cloud still has some.
fn left(folder: &Folder) -> Vec<String> {
    let seen = folder.inspect();
    let resources = seen["resources"].as_object().expect("resources");
    let some = |list: &Value| list.as_array().is_none_or(|list| !list.is_empty());
    let left = resources.iter().filter(|(_, list)| some(list));
    left.map(|(kind, _)| kind.clone()).collect()
}

/// What each command that is about a cluster says where there is none of kplan's.
fn says_that_there_is_none(folder: &Folder, why: &str) {
    let commands: [&[&str]; 8] = [
        &["kubeconfig"],
        &["backup", "list", "--sandbox"],
        &["backup", "verify", "--sandbox"],
        &["restore", "--sandbox", "--auto-approve"],
        &["restore", "--sandbox", "--auto-approve", "--name", "other"],
        &["rotate", "certificates", "--sandbox", "--auto-approve"],
        &["render", "gitops", "out", "--sandbox"],
        &["lock"],
    ];
    for command in commands {
        let run = folder.kplan(command).expect_code(1);
        assert!(run.err.contains("k3s::none"), "{command:?}: {}", run.err);
        assert!(run.err.contains(why), "{command:?}: {}", run.err);
    }
    let doctor = folder.kplan(&["doctor", "--sandbox", "--json"]).ok().json();
    let checks = doctor["checks"].as_array().expect("checks");
    let outcome = |code: &str| {
        let check = checks.iter().find(|check| check["code"] == code);
        let check = check.unwrap_or_else(|| panic!("{code}"));
        (check["outcome"].clone(), check["message"].clone())
    };
    for code in ["doctor::nodes", "doctor::backups", "doctor::artifacts"] {
        let (outcome, message) = outcome(code);
        assert_eq!(outcome, "not_looked_at", "{code}");
        assert!(
            message.as_str().is_some_and(|it| it.contains(why)),
            "{code}: {message}"
        );
    }
    assert_eq!(outcome("doctor::resources").0, "ok");
    let outputs = folder.kplan(&["output", "--json"]).ok().json();
    assert!(outputs["outputs"].get("cluster").is_some(), "{outputs}");
    assert!(outputs["outputs"].get("argocd_admin_password").is_none());
}

fn summary(run: &Run) -> &str {
    let line = run.out.lines().find(|line| line.starts_with("Plan: "));
    line.unwrap_or_else(|| panic!("no plan:\n{}", run.out))
}

/// The shop is in the cloud as the file has it; gives the id of its first droplet.
fn stands_as_it_is_written(folder: &Folder) -> Value {
    let droplets = list(folder, "/v2/droplets", "droplets");
    let web = named(&droplets, "Web2.example.com");
    let vpcs = list(folder, "/v2/vpcs", "vpcs");
    assert_eq!(web["vpc_uuid"], named(&vpcs, "main")["id"]);
    assert!(
        !web["features"]
            .as_array()
            .expect("features")
            .contains(&json!("monitoring"))
    );
    let volumes = list(folder, "/v2/volumes", "volumes");
    let first = named(&droplets, "web-1")["id"].clone();
    assert_eq!(volumes[0]["droplet_ids"], json!([first]));
    let keys = list(folder, "/v2/account/keys", "ssh_keys");
    assert_eq!(keys[0]["name"], "Max's laptop");
    first
}

#[test]
fn a_file_without_servers_makes_what_it_names_and_nothing_else() {
    let folder = Folder::with(SHOP);
    let plan = folder.kplan(&["plan", "--sandbox", "--detailed-exitcode"]);
    let plan = plan.expect_code(2);
    // Thirteen of the file, the project among them, the owner's tag, and the key of its bucket.
    assert_eq!(
        summary(&plan),
        "Plan: 14 to add, 0 to change, 0 to destroy."
    );
    assert!(
        plan.out.contains("Price: $0.00 a month -> $"),
        "{}",
        plan.out
    );
    for kind in [
        "k3s",
        "pki",
        "firewall.servers",
        "bucket.boot",
        "tag.server",
    ] {
        assert!(
            !plan.out.contains(&format!("  # {kind}")),
            "{kind}: {}",
            plan.out
        );
    }
    folder.cloud(
        "POST",
        "/v2/domains",
        Some(&json!({ "name": "example.com" })),
    );
    folder.apply();
    folder.assert_no_changes();

    let first = stands_as_it_is_written(&folder);
    says_that_there_is_none(&folder, "no `[servers]`");

    folder.write(&edited(SHOP, &EDITS));
    let plan = folder.kplan(&["plan", "--sandbox"]).ok();
    assert_eq!(summary(&plan), "Plan: 0 to add, 9 to change, 0 to destroy.");
    folder.apply();
    folder.assert_no_changes();
    let volumes = list(&folder, "/v2/volumes", "volumes");
    assert_eq!(volumes[0]["size_gigabytes"], 20);
    assert_ne!(volumes[0]["droplet_ids"], json!([first]));

    folder.destroy("shop").ok();
    // The domain is not the file's, and a tag that nothing carries any more is nobody's.
    assert_eq!(left(&folder), ["domains", "tags"]);
    judge(&folder);
}

#[test]
fn droplets_of_somebody_elses_k3s_are_droplets_and_no_more() {
    let folder = Folder::with(LEGACY);
    let plan = folder.kplan(&["plan", "--sandbox"]).ok();
    assert_eq!(summary(&plan), "Plan: 7 to add, 0 to change, 0 to destroy.");
    folder.apply();
    folder.assert_no_changes();
    let droplets = list(&folder, "/v2/droplets", "droplets");
    let server = named(&droplets, "legacy-servers-2");
    assert!(
        server["tags"]
            .as_array()
            .expect("tags")
            .contains(&json!("k3s"))
    );
    let agent = named(&droplets, "legacy-workers-0");
    assert!(
        agent["features"]
            .as_array()
            .expect("features")
            .contains(&json!("ipv6"))
    );
    assert_eq!(
        left(&folder),
        ["droplets", "load_balancers", "tags", "vpcs"]
    );
    says_that_there_is_none(&folder, "somebody else's");

    // kplan does not become their master afterwards.
    let managed = edited(LEGACY, &[("managed = false", "version = \"v1.35.6+k3s1\"")]);
    let managed = managed
        .replace("tags  = [\"k3s\"]\n", "")
        .replace("ipv6  = true\n", "");
    folder.write(&format!(
        "{managed}\n[endpoint]\nhostname = \"k8s.example.com\"\n"
    ));
    let refused = folder.kplan(&["plan", "--sandbox"]).expect_code(6);
    assert!(refused.err.contains("k3s::not_managed"), "{}", refused.err);

    folder.write(LEGACY);
    let refused = folder.destroy("legacy").expect_code(6);
    assert!(refused.err.contains("protect"), "{}", refused.err);
    let open = edited(LEGACY, &[("protect = true", "protect = false")]);
    folder.write(&edited(
        &open,
        &[("size  = \"s-1vcpu-2gb\"", "size  = \"s-2vcpu-2gb\"")],
    ));
    let plan = folder.kplan(&["plan", "--sandbox"]).ok();
    // The other three droplets and the VPC are free to go.
    let changes = "Plan: 0 to add, 1 to change, 0 to destroy; 4 guards change.";
    assert_eq!(summary(&plan), changes);
    folder.apply();
    folder.assert_no_changes();
    folder.destroy("legacy").ok();
    assert_eq!(left(&folder), ["tags"]);
    judge(&folder);
}

#[test]
fn blocks_stand_beside_a_cluster_and_know_its_vpc_and_its_nodes() {
    let beside = r#"
[[vpc]]
name     = "office"
region   = "ams3"
ip_range = "10.99.0.0/24"

[[droplet]]
name   = "far"
region = "ams3"
size   = "s-1vcpu-1gb"
vpc    = "office"

[load_balancer.web]
droplets        = ["droplet.servers"]
forwarding_rule = [
    { entry_protocol = "tcp", entry_port = 80, target_protocol = "tcp", target_port = 30080 },
]

[[firewall]]
name         = "web"
droplets     = ["droplet.servers[0]"]
inbound_rule = [{ protocol = "tcp", port_range = "30080", source_load_balancers = ["web"] }]

[[volume]]
name    = "scratch"
size    = 5
droplet = "droplet.servers[0]"
protect = true

[[bucket]]
name = "demo-assets"
"#;
    let folder = Folder::with(&format!("{SMALL}{beside}"));
    folder.apply();
    folder.assert_no_changes();
    let vpcs = list(&folder, "/v2/vpcs", "vpcs");
    let balancers = list(&folder, "/v2/load_balancers", "load_balancers");
    assert_eq!(balancers[0]["vpc_uuid"], named(&vpcs, "demo")["id"]);
    let droplets = list(&folder, "/v2/droplets", "droplets");
    assert_eq!(
        named(&droplets, "far")["vpc_uuid"],
        named(&vpcs, "office")["id"]
    );

    // A cluster of kplan's is not given away.
    let away = SMALL.replace("[servers]", "[k3s]\nmanaged = false\n\n[servers]");
    folder.write(&format!("{away}{beside}"));
    let refused = folder.kplan(&["plan", "--sandbox"]).expect_code(6);
    assert!(refused.err.contains("k3s::managed"), "{}", refused.err);
    // Nor without a word: what it made would be left behind.
    let without = SMALL.replace("\n[servers]\nsize = \"s-2vcpu-4gb\"\n", "");
    assert_ne!(without, SMALL);
    folder.write(&without);
    let refused = folder.kplan(&["plan", "--sandbox"]).expect_code(6);
    assert!(
        refused.err.contains("no `[servers]` any more"),
        "{}",
        refused.err
    );

    folder.write(&format!("{SMALL}{beside}"));
    let refused = folder.destroy("demo").expect_code(6);
    assert!(refused.err.contains("volume.scratch"), "{}", refused.err);
    folder.write(&format!("{SMALL}{}", beside.replace("protect = true", "")));
    folder.apply();
    folder.destroy("demo").ok();
    folder.assert_cloud_empty();
    judge(&folder);
}
