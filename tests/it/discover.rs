//! `kplan import --discover` over an account that somebody else filled: exactly the right bindings, and
//! what could be several things is left to whoever reads it.

use crate::support::steady::golden;
use crate::support::{Folder, Run};
use serde_json::json;

const SHOP: &str = r#"
[cluster]
name   = "shop"
region = "fra1"

[[vpc]]
name     = "office"
ip_range = "10.40.0.0/20"

[[droplet]]
name = "web-1"
size = "s-1vcpu-1gb"
vpc  = "office"
tags = ["web"]

[[droplet]]
name = "web-2"
size = "s-2vcpu-2gb"
vpc  = "office"
tags = ["web"]

# Nothing is called so, and one of this size carries the tag.
[[droplet]]
name = "mail"
size = "s-1vcpu-2gb"
vpc  = "office"
tags = ["mail"]

# Two could be this one.
[[droplet]]
name = "queue"
size = "s-4vcpu-8gb"
vpc  = "office"
tags = ["queue"]

[[volume]]
name = "data"
size = 10

[[volume]]
name = "nowhere"
size = 77
"#;

/// An account as somebody filled it by hand, with two pages of droplets of others around.
struct Account {
    folder: Folder,
    network: String,
}

impl Account {
    fn new(file: &str) -> Self {
        let folder = Folder::with(file).unrecorded();
        // Whatever looks first starts the cloud.
        folder.kplan(&["plan", "--sandbox"]);
        let others = |folder: &Folder, from: usize| {
            for batch in from..from + 13 {
                let names: Vec<String> = (0..10).map(|at| format!("other-{batch}-{at}")).collect();
                let wanted = json!({
                    "names": names, "region": "fra1", "size": "s-1vcpu-1gb",
                    "image": "ubuntu-24-04-x64", "tags": ["web"],
                });
                folder.ask("POST", "/v2/droplets", Some(&wanted));
            }
        };
        others(&folder, 0);
        let network = json!({ "name": "office", "region": "fra1", "ip_range": "10.40.0.0/20" });
        let network = folder.ask("POST", "/v2/vpcs", Some(&network))["vpc"]["id"].clone();
        let account = Self {
            folder,
            network: network.as_str().expect("an id").to_owned(),
        };
        others(&account.folder, 13);
        account
    }

    fn droplet(&self, name: &str, size: &str, tag: &str) -> String {
        let wanted = json!({
            "name": name, "region": "fra1", "size": size, "image": "ubuntu-24-04-x64",
            "vpc_uuid": self.network, "tags": [tag], "monitoring": true,
        });
        self.folder.ask("POST", "/v2/droplets", Some(&wanted))["droplet"]["id"].to_string()
    }

    fn discover(&self, more: &[&str]) -> Run {
        let arguments = [&["import", "--discover", "--sandbox"], more].concat();
        self.folder.kplan(&arguments)
    }
}

#[test]
fn an_account_full_of_others_gives_exactly_what_the_file_describes() {
    let account = Account::new(SHOP);
    let first = account.droplet("web-1", "s-1vcpu-1gb", "web");
    // Of another size than the file says.
    let second = account.droplet("web-2", "s-1vcpu-1gb", "web");
    let mail = account.droplet("postfix", "s-1vcpu-2gb", "mail");
    for name in ["queue-a", "queue-b"] {
        account.droplet(name, "s-4vcpu-8gb", "queue");
    }
    let volume = json!({ "name": "data", "region": "fra1", "size_gigabytes": 10 });
    let volume = account.folder.ask("POST", "/v2/volumes", Some(&volume))["volume"]["id"].clone();

    let document = account.discover(&["--json"]).ok().json();
    let proposals = document["proposals"].as_array().expect("proposals");
    let short: Vec<(&str, &str, &str)> = proposals
        .iter()
        .map(|it| {
            let text = |name: &str| it[name].as_str().expect("text");
            (text("to"), text("id"), text("confidence"))
        })
        .collect();
    let volume = volume.as_str().expect("an id");
    assert_eq!(
        short,
        [
            ("droplet.mail", mail.as_str(), "likely"),
            ("droplet.web-1", &first, "certain"),
            ("droplet.web-2", &second, "certain"),
            ("volume.data", volume, "certain"),
            ("vpc.office", &account.network, "certain"),
        ]
    );
    assert_eq!(proposals[0]["differs_in"], json!(["name"]));
    assert_eq!(proposals[2]["differs_in"], json!(["size"]));
    assert_eq!(document["nothing_fits"], json!(["volume.nowhere"]));
    assert_eq!(document["ambiguous"][0]["to"], "droplet.queue");
    let candidates = document["ambiguous"][0]["candidates"].as_array();
    assert_eq!(candidates.map(Vec::len), Some(2));
    // 260 of others, and the two of which one could be the queue.
    assert_eq!(document["besides"]["droplet"], 262);
    // With the blocks in it, the plan imports them and changes what the file says otherwise.
    let text = account.discover(&[]).ok().out;
    golden("import/discover.txt", &text);
    assert!(text.contains("[[import]]\nto = \"vpc.office\""), "{text}");
    assert!(
        text.contains("# droplet.queue: several could be it"),
        "{text}"
    );
    account.discover(&["--write"]).ok();
    let written = std::fs::read_to_string(account.folder.path().join("cluster.toml"));
    let written = written.expect("the file");
    assert!(written.starts_with(SHOP.trim_end()), "{written}");
    let plan = account.folder.kplan(&["plan", "--sandbox"]).ok();
    // Mail and web-2 change in place; the queue, the volume that is nowhere and the tag
    // of what kplan makes are made.
    plan.assert_says(&["Plan: 5 to import, 3 to add, 2 to change, 0 to destroy."]);
    assert_eq!(
        account.discover(&["--json"]).ok().json()["proposals"],
        json!([])
    );
}

#[test]
fn servers_and_agents_of_somebody_elses_k3s_are_bound_by_their_tags() {
    let file = r#"
[cluster]
name   = "legacy"
region = "fra1"

[k3s]
managed = false

[[vpc]]
name     = "office"
ip_range = "10.40.0.0/20"

[servers]
count = 3
size  = "s-2vcpu-4gb"
tags  = ["k3s-server"]

[[agents]]
name  = "workers"
count = 2
size  = "s-2vcpu-4gb"
tags  = ["k3s-agent"]
"#;
    let account = Account::new(file);
    let mut ids = Vec::new();
    for (name, tag) in [
        ("alpha", "k3s-server"),
        ("beta", "k3s-server"),
        ("gamma", "k3s-server"),
        ("delta", "k3s-agent"),
        ("epsilon", "k3s-agent"),
    ] {
        ids.push(account.droplet(name, "s-2vcpu-4gb", tag));
    }
    account.discover(&["--write", "--vpc", "office"]).ok();
    let plan = account.folder.kplan(&["plan", "--sandbox"]).ok();
    plan.assert_says(&["Plan: 6 to import, 0 to add, 0 to change, 0 to destroy."]);
    let run = account
        .folder
        .kplan(&["apply", "--sandbox", "--auto-approve"])
        .ok();
    run.assert_says(&["6 imported, 0 added, 0 changed, 0 destroyed"]);
    account.folder.assert_no_changes();
    let shown = account.folder.kplan(&["state", "list", "--sandbox"]).ok();
    shown.assert_says(&["droplet.servers[2]", "droplet.workers[1]"]);
}

#[test]
fn what_only_stands_where_the_file_wants_something_is_no_guess() {
    let file = r#"
[cluster]
name   = "shop"
region = "fra1"

[[vpc]]
name = "fresh"

[[droplet]]
name = "front"
size = "s-2vcpu-4gb"

[[droplet]]
name = "back"
size = "s-2vcpu-4gb"

[[reserved_ip]]
name    = "mine"
droplet = "droplet.front"

[[load_balancer]]
name            = "staging"
droplets        = ["droplet.front"]
forwarding_rule = [
    { entry_protocol = "tcp", entry_port = 80, target_protocol = "tcp", target_port = 80 },
]

[[volume]]
name = "cache"
size = 10
"#;
    let account = Account::new(file);
    let ask = |path: &str, body: &serde_json::Value| account.folder.ask("POST", path, Some(body));
    // Of one kind with what the file asks for, and somebody's all the same.
    let mut ids = Vec::new();
    for name in ["prod-db", "alice-scratch"] {
        let body = json!({ "name": name, "region": "fra1", "size": "s-2vcpu-4gb",
            "image": "ubuntu-24-04-x64", "monitoring": true });
        let id = ask("/v2/droplets", &body)["droplet"]["id"].clone();
        let path = format!("/v2/droplets/{id}");
        account
            .folder
            .until(&path, |it| it["droplet"]["status"] == "active");
        ids.push(id);
    }
    ask("/v2/reserved_ips", &json!({ "droplet_id": ids[0] }));
    ask(
        "/v2/load_balancers",
        &json!({ "name": "prod", "region": "fra1", "droplet_ids": [ids[0]],
            "forwarding_rules": [{ "entry_protocol": "tcp", "entry_port": 443,
                "target_protocol": "tcp", "target_port": 443 }] }),
    );
    ask(
        "/v2/volumes",
        &json!({ "name": "mysql-data", "region": "fra1", "size_gigabytes": 10 }),
    );
    let document = account.discover(&["--json"]).ok().json();
    assert_eq!(document["proposals"], json!([]), "{document:#}");
    let ambiguous = document["ambiguous"].as_array().expect("a list");
    let ambiguous: Vec<&str> = ambiguous
        .iter()
        .filter_map(|it| it["to"].as_str())
        .collect();
    assert_eq!(ambiguous, ["droplet.back", "droplet.front"]);
}

#[test]
fn a_filter_that_nothing_passes_is_an_error_and_one_that_hides_says_so() {
    let account = Account::new(SHOP);
    for (filter, says) in [
        (["--vpc", "nosuch"], "no VPC `nosuch`"),
        (["--tag", "nosuch"], "the tag `nosuch`"),
        (["--name", "nosuch-*"], "called `nosuch-*`"),
    ] {
        let run = account.discover(&filter).expect_code(1);
        assert!(run.err.contains(says), "{}", run.err);
    }
    let run = account.discover(&["--vpc", "office"]).ok();
    run.assert_says(&["droplet.web-1: nothing that was looked at fits"]);
}

#[test]
fn what_is_written_within_brackets_is_left_as_it_is() {
    let inline =
        "import = [{ to = \"vpc.office\", id = \"00000000-0000-4000-8000-000000000000\" }]\n";
    let account = Account::new(&format!("{inline}{SHOP}"));
    account.droplet("web-1", "s-1vcpu-1gb", "web");
    let path = account.folder.path().join("cluster.toml");
    let before = std::fs::read_to_string(&path).expect("the file");
    let run = account.discover(&["--write"]).expect_code(1);
    assert!(run.err.contains("import::inline"), "{}", run.err);
    assert_eq!(std::fs::read_to_string(&path).expect("the file"), before);
}
