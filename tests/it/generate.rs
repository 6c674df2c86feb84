//! `kplan import --generate` over accounts that somebody filled by plain HTTP, as curl or doctl would:
//! the file it prints is a file, its plan imports and changes nothing, and what belongs to somebody
//! else is left to them. `UPDATE_GOLDEN=1` rewrites the transcripts in `tests/import`; read the
//! difference before keeping it.

use crate::support::bucket::SpacesAccess;
use crate::support::steady::golden;
use crate::support::{Folder, Run};
use serde_json::{Value, json};

/// An account that no file of kplan's knows of.
struct Account {
    folder: Folder,
}

impl Account {
    fn new() -> Self {
        let folder = Folder::with("").unrecorded();
        std::fs::remove_file(folder.path().join("cluster.toml")).expect("it was there");
        // Whatever looks first starts the cloud.
        let account = Self { folder };
        account.generate(&[]).ok();
        account
    }

    fn generate(&self, more: &[&str]) -> Run {
        let arguments = [&["import", "--generate", "--sandbox"], more].concat();
        self.folder.kplan(&arguments)
    }

    fn make(&self, path: &str, one: &str, body: &Value) -> Value {
        self.folder.ask("POST", path, Some(body))[one].clone()
    }

    fn vpc(&self, name: &str, range: &str) -> String {
        let body =
            json!({ "name": name, "region": "fra1", "ip_range": range, "description": "by hand" });
        text(&self.make("/v2/vpcs", "vpc", &body)["id"])
    }

    fn droplet(&self, name: &str, size: &str, vpc: Option<&str>, tags: &[&str]) -> String {
        let mut body = json!({
            "name": name, "region": "fra1", "size": size, "image": "ubuntu-24-04-x64",
            "tags": tags, "monitoring": true,
        });
        if let Some(vpc) = vpc {
            body["vpc_uuid"] = json!(vpc);
        }
        let id = self.make("/v2/droplets", "droplet", &body)["id"].to_string();
        self.folder.until(&format!("/v2/droplets/{id}"), |it| {
            it["droplet"]["status"] == "active"
        });
        id
    }

    /// Two pages of what has nothing to do with anything.
    fn crowd(&self) {
        for batch in 0..26 {
            let names: Vec<String> = (0..10).map(|at| format!("other-{batch}-{at}")).collect();
            let body = json!({
                "names": names, "region": "fra1", "size": "s-1vcpu-1gb",
                "image": "ubuntu-24-04-x64", "tags": ["others"],
            });
            self.folder.ask("POST", "/v2/droplets", Some(&body));
        }
    }

    /// One of everything, in a network of its own and beside it.
    fn shop(&self) {
        let vpc = self.vpc("Office.Net", "10.40.0.0/20");
        let web = self.droplet("web-1", "s-1vcpu-1gb", Some(&vpc), &["web"]);
        // Of one name with the first, and in the default network.
        let twin = self.droplet("web-1", "s-1vcpu-2gb", None, &[]);
        let key =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtfVZxSMt8rFSHmKkQGH3yJPB9NqwVbXIjQvL8tYqMR max";
        let key = json!({ "name": "Max's \"laptop\"", "public_key": key });
        self.make("/v2/account/keys", "ssh_key", &key);
        self.volume("data", &web);
        self.make(
            "/v2/reserved_ips",
            "reserved_ip",
            &json!({ "droplet_id": number(&twin) }),
        );
        let balancer = self.balancer(&vpc, &web);
        self.firewall(&balancer, &web);
        self.database(&vpc, &web);
        self.make("/v2/domains", "domain", &json!({ "name": "shop.example" }));
        for (kind, name, data) in [
            ("A", "@", "203.0.113.7"),
            ("A", "@", "203.0.113.8"),
            ("CNAME", "www", "@"),
            ("TXT", "@", "v=spf1 -all"),
            ("MX", "@", "mail.shop.example."),
            ("CAA", "@", "letsencrypt.org."),
        ] {
            let mut body = json!({ "type": kind, "name": name, "data": data, "ttl": 300 });
            if kind == "MX" {
                body["priority"] = json!(10);
            }
            if kind == "CAA" {
                body["flags"] = json!(0);
                body["tag"] = json!("issue");
            }
            self.make("/v2/domains/shop.example/records", "domain_record", &body);
        }
    }

    fn volume(&self, name: &str, droplet: &str) {
        let body = json!({
            "name": name, "region": "fra1", "size_gigabytes": 12, "filesystem_type": "ext4",
            "description": "orders", "tags": ["keep"],
        });
        let volume = text(&self.make("/v2/volumes", "volume", &body)["id"]);
        let attach = json!({ "type": "attach", "droplet_id": number(droplet), "region": "fra1" });
        self.make(&format!("/v2/volumes/{volume}/actions"), "action", &attach);
        let path = format!("/v2/volumes/{volume}");
        self.folder
            .until(&path, |it| it["volume"]["droplet_ids"] != json!([]));
    }

    fn balancer(&self, vpc: &str, droplet: &str) -> String {
        let body = json!({
            "name": "front", "region": "fra1", "vpc_uuid": vpc, "size_unit": 2,
            "droplet_ids": [number(droplet)],
            "forwarding_rules": [{
                "entry_protocol": "tcp", "entry_port": 443,
                "target_protocol": "tcp", "target_port": 8443,
            }],
            "health_check": { "protocol": "http", "port": 80, "path": "/up", "check_interval_seconds": 30 },
            "firewall": { "allow": ["ip:203.0.113.5"], "deny": [] },
            "enable_proxy_protocol": true,
            "sticky_sessions": { "type": "cookies", "cookie_name": "LB", "cookie_ttl_seconds": 60 },
        });
        let id = text(&self.make("/v2/load_balancers", "load_balancer", &body)["id"]);
        self.folder
            .until(&format!("/v2/load_balancers/{id}"), |it| {
                it["load_balancer"]["status"] == "active"
            });
        id
    }

    fn firewall(&self, balancer: &str, droplet: &str) {
        let body = json!({
            "name": "web", "tags": ["web"], "droplet_ids": [number(droplet)],
            "inbound_rules": [
                { "protocol": "tcp", "ports": "8443", "sources": { "load_balancer_uids": [balancer] } },
                { "protocol": "tcp", "ports": "22", "sources": { "addresses": ["203.0.113.7"], "tags": ["web"] } },
                { "protocol": "icmp", "sources": { "droplet_ids": [number(droplet)] } },
            ],
            "outbound_rules": [
                { "protocol": "udp", "ports": "all", "destinations": { "addresses": ["0.0.0.0/0", "::/0"] } },
            ],
        });
        self.make("/v2/firewalls", "firewall", &body);
    }

    fn database(&self, vpc: &str, droplet: &str) {
        let body = json!({
            "name": "orders", "engine": "pg", "version": "16", "region": "fra1",
            "size": "db-s-1vcpu-2gb", "num_nodes": 1, "private_network_uuid": vpc, "tags": ["web"],
            "rules": [{ "type": "tag", "value": "web" }, { "type": "droplet", "value": droplet }],
        });
        let id = text(&self.make("/v2/databases", "database", &body)["id"]);
        self.folder.until(&format!("/v2/databases/{id}"), |it| {
            it["database"]["status"] == "online"
        });
    }

    /// Puts what was printed into the file, and says what its plan is.
    fn planned(&self, file: &str) -> Run {
        self.folder.write(file);
        self.folder.kplan(&["plan", "--sandbox"]).ok()
    }

    /// The plan imports so many and changes nothing, and once it is applied there is no more to do.
    fn taken_over(&self, file: &str, count: usize) {
        let plan = self.planned(file);
        plan.assert_says(&[&format!(
            "Plan: {count} to import, 0 to add, 0 to change, 0 to destroy."
        )]);
        let run = self
            .folder
            .kplan(&["apply", "--sandbox", "--auto-approve"])
            .ok();
        run.assert_says(&[&format!(
            "{count} imported, 0 added, 0 changed, 0 destroyed"
        )]);
        self.folder.assert_no_changes();
        self.folder.kplan(&["drift", "--sandbox"]).ok();
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

fn number(id: &str) -> u64 {
    id.parse().expect("a droplet's number")
}

#[test]
fn a_file_for_everything_there_is_plans_nothing_but_its_import() {
    let account = Account::new();
    account.shop();
    let file = account.generate(&[]).ok().out;
    golden("import/shop.toml", &file);
    account.taken_over(&file, 14);
    // With all of it on record there is nothing to be written.
    let again = account.generate(&["--json"]).ok().json();
    assert_eq!(again["imports"], json!([]), "{again:#}");
}

#[test]
fn droplets_that_form_a_k3s_cluster_become_its_servers_and_agents() {
    let account = Account::new();
    account.crowd();
    let vpc = account.vpc("legacy", "10.50.0.0/20");
    for name in ["beta", "alpha", "gamma"] {
        account.droplet(name, "s-2vcpu-4gb", Some(&vpc), &["k3s_server", "prod"]);
    }
    for name in ["front-2", "front-1"] {
        account.droplet(name, "s-1vcpu-2gb", Some(&vpc), &["k3s_agent"]);
    }
    account.droplet("batch", "s-4vcpu-8gb", Some(&vpc), &["k3s_agent"]);
    let proxy = account.droplet("proxy", "s-1vcpu-1gb", Some(&vpc), &[]);
    // As the shell leaves the file of `> cluster.toml`.
    account.folder.write("");
    let file = account.generate(&["--vpc", "legacy"]).ok().out;
    golden("import/k3s.toml", &file);
    // What carries no tag of K3s stands by itself.
    assert!(file.contains("[[droplet]]\nname  = \"proxy\"\n"), "{file}");
    assert!(
        file.contains(&format!("to = \"droplet.proxy\"\nid = \"{proxy}\"")),
        "{file}"
    );
    account.planned(&file).assert_says(&[
        "not the K3s on them, which it did not install",
        "droplet.servers[0], droplet.servers[1], droplet.servers[2] and 3 more",
    ]);
    account.taken_over(&file, 8);
    let shown = account.folder.kplan(&["state", "list", "--sandbox"]).ok();
    shown.assert_says(&[
        "droplet.servers[2]",
        "droplet.front[1]",
        "droplet.batch[0]",
        "vpc.main",
    ]);
    // Beside that file, everything else; it still changes nothing.
    let rest = account.generate(&["--name", "other-*"]).ok().out;
    assert!(
        !rest.contains("[cluster]") && rest.contains("\"other-25-9\""),
        "{rest}"
    );
    account.taken_over(&format!("{file}\n{rest}"), 260);
}

#[test]
fn what_belongs_to_somebody_else_is_left_to_them() {
    let account = Account::new();
    account.droplet("node", "s-1vcpu-2gb", None, &["k8s", "k8s:worker"]);
    let vpc = account.vpc("theirs", "10.60.0.0/20");
    account.droplet(
        "demo-servers-0",
        "s-1vcpu-2gb",
        Some(&vpc),
        &["kplan:demo-1a2b3c4d", "demo-server"],
    );
    let rule =
        json!([{ "protocol": "tcp", "ports": "22", "sources": { "addresses": ["0.0.0.0/0"] } }]);
    let firewall =
        json!({ "name": "demo-servers", "tags": ["demo-server"], "inbound_rules": rule });
    account.make("/v2/firewalls", "firewall", &firewall);
    for name in ["pvc-0b1c2d3e-0000-4000-8000-0123456789ab", "fine"] {
        let body = json!({ "name": name, "region": "fra1", "size_gigabytes": 1 });
        account.make("/v2/volumes", "volume", &body);
    }
    let file = account.generate(&[]).ok().out;
    golden("import/others.toml", &file);
    account.taken_over(&file, 1);
}

#[test]
fn what_the_file_could_mean_is_left_to_discover_and_references_go_by_id() {
    let account = Account::new();
    let vpc = account.vpc("office", "10.40.0.0/20");
    account.droplet("web", "s-1vcpu-1gb", Some(&vpc), &[]);
    account.droplet("queue-a", "s-4vcpu-8gb", Some(&vpc), &["queue"]);
    account.droplet("queue-b", "s-4vcpu-8gb", Some(&vpc), &["queue"]);
    let before = "[cluster]\nname   = \"shop\"\nregion = \"fra1\"\n\n[[vpc]]\nname = \"office\"\n\
                  ip_range = \"10.40.0.0/20\"\n\n[[droplet]]\nname = \"queue\"\nsize = \"s-4vcpu-8gb\"\n\
                  tags = [\"queue\"]\nvpc = \"office\"\n";
    account.folder.write(before);
    let added = account.generate(&[]).ok().out;
    golden("import/beside.toml", &added);
    assert!(added.contains(&format!("vpc   = \"{vpc}\"")), "{added}");
    account.folder.write(&format!("{before}{added}"));
    account
        .folder
        .kplan(&["import", "--discover", "--write", "--sandbox"])
        .ok();
    let plan = account.folder.kplan(&["plan", "--sandbox"]).ok();
    // The queue, which somebody has to say which it is, and the tag of what kplan makes.
    plan.assert_says(&["Plan: 2 to import, 2 to add, 0 to change, 0 to destroy."]);
}

#[test]
fn buckets_are_seen_with_a_key_and_written_with_it() {
    let account = Account::new();
    let access = SpacesAccess::of(&account.folder);
    access.make("acme-assets");
    let run = |arguments: &[&str]| {
        let mut command = account.folder.command(arguments);
        command
            .env("DIGITALOCEAN_API_URL", account.folder.endpoint("api_url"))
            .env("DIGITALOCEAN_TOKEN", account.folder.endpoint("token"))
            .env("SPACES_ENDPOINT_URL", &access.endpoint)
            .env("SPACES_ACCESS_KEY_ID", &access.access_key)
            .env("SPACES_SECRET_ACCESS_KEY", &access.secret_key);
        Run::of(command)
    };
    let file = run(&["import", "--generate", "--name", "acme-*"]).ok().out;
    golden(
        "import/bucket.toml",
        &file.replace(&access.access_key, "ACCESS"),
    );
    assert!(!file.contains(&access.secret_key));
    account.folder.write(&file);
    let plan = run(&["plan"]).ok();
    plan.assert_says(&["Plan: 1 to import, 0 to add, 0 to change, 0 to destroy."]);
}

#[test]
fn a_second_run_says_what_is_new_and_is_not_misled_by_what_was() {
    let account = Account::new();
    let vpc = account.vpc("office", "10.40.0.0/20");
    let kept = account.droplet("a", "s-1vcpu-1gb", Some(&vpc), &[]);
    let file = account.generate(&[]).ok().out;
    // Something of kplan's own besides, so that its tag is there.
    let own = "\n[[volume]]\nname = \"own\"\nsize = 1\n";
    account.folder.write(&format!("{file}{own}"));
    account.folder.apply();
    // Given away, and another one of the name it had.
    let block = file.split("[[droplet]]").nth(1).expect("its block");
    let block = block.split("\n\n").next().expect("its block");
    let import = format!("[[import]]\nto = \"droplet.a\"\nid = \"{kept}\"\n");
    let without = file
        .replace(&format!("[[droplet]]{block}"), "")
        .replace(&import, "");
    let left = "\n[[removed]]\nfrom = \"droplet.a\"\nkeep = true\n";
    account.folder.write(&format!("{without}{own}{left}"));
    account.folder.apply();
    let added = account.generate(&[]).ok().out;
    assert!(added.contains("label = \"a-2\""), "{added}");
    assert!(!added.contains("It is otherwise"), "{added}");
    account.taken_over(&format!("{without}{own}{left}{added}"), 1);
    // Without its file nothing is written that would lose what is on record.
    std::fs::remove_file(account.folder.path().join("cluster.toml")).expect("it was there");
    let run = account.generate(&[]).expect_code(6);
    assert!(run.err.contains("import::recorded"), "{}", run.err);
}

#[test]
fn one_name_that_no_file_takes_takes_nothing_else_along() {
    let account = Account::new();
    let long = account.droplet(&"z".repeat(64), "s-1vcpu-1gb", None, &[]);
    account.volume("data", &long);
    let rule =
        json!([{ "protocol": "tcp", "ports": "22", "sources": { "addresses": ["0.0.0.0/0"] } }]);
    let firewall = json!({ "name": "web", "droplet_ids": [number(&long)], "inbound_rules": rule });
    account.make("/v2/firewalls", "firewall", &firewall);
    let file = account.generate(&[]).ok().out;
    assert!(
        file.contains(&format!("droplets     = [\"{long}\"]")),
        "{file}"
    );
    account.taken_over(&file, 2);
}
