//! How plans read: a golden transcript of text, Markdown and JSON for each of many edits, in
//! `tests/plans`. `UPDATE_GOLDEN=1` rewrites them; read the difference before keeping it.

use crate::support::steady::steady;
use crate::support::{Folder, Run, repository};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::path::PathBuf;

/// One server, and everything that can stand beside a cluster.
const SMALL: &str = r#"
[cluster]
name   = "demo"
region = "fra1"

[project]
name = "demo"

[network]
vpc       = { name = "demo-vpc", ip_range = "10.30.0.0/20" }
api_allow = ["203.0.113.0/24", "198.51.100.0/24"]

[servers]
size   = "s-2vcpu-4gb"
labels = { tier = "all" }

[cloud_controller]
token = { env = "CLOUD_TOKEN" }

[[addon]]
name = "hello"
namespace = "hello"
manifest = { file = "hello.yaml" }

[[droplet]]
name = "web"
size = "s-1vcpu-1gb"
tags = ["blue", "green"]

[[volume]]
name       = "data"
size       = 10
filesystem = "ext4"

[[volume]]
name = "spare"
size = 10
"#;

/// The block of its add-on.
const ADDON: &str =
    "[[addon]]\nname = \"hello\"\nnamespace = \"hello\"\nmanifest = { file = \"hello.yaml\" }\n";

/// One edit and how it is planned.
struct Case {
    /// The name of its transcripts.
    name: &'static str,
    /// What is replaced in the file by what.
    edit: &'static [(&'static str, &'static str)],
    /// Options of `plan`.
    options: &'static [&'static str],
}

const fn case(
    name: &'static str,
    edit: &'static [(&'static str, &'static str)],
    options: &'static [&'static str],
) -> Case {
    Case {
        name,
        edit,
        options,
    }
}

/// What is planned of the small file once it is applied.
const SMALL_CASES: &[Case] = &[
    case("nothing", &[], &[]),
    case(
        "volume-grows",
        &[("size       = 10", "size       = 50")],
        &[],
    ),
    case(
        "volume-shrinks",
        &[("size       = 10", "size       = 5")],
        &[],
    ),
    case(
        "volume-added",
        &[(
            "[[droplet]]",
            "[[volume]]\nname = \"more\"\nsize = 100\n\n[[droplet]]",
        )],
        &[],
    ),
    case(
        "volume-removed",
        &[("[[volume]]\nname = \"spare\"\nsize = 10\n", "")],
        &[],
    ),
    case(
        "volume-removed-and-allowed",
        &[("[[volume]]\nname = \"spare\"\nsize = 10\n", "")],
        &["--allow-destroy", "volume.spare"],
    ),
    case(
        "volume-renamed",
        &[("name = \"spare\"", "name = \"extra\"")],
        &[],
    ),
    case(
        "volume-renamed-and-moved",
        &[
            ("name = \"spare\"", "name = \"extra\""),
            (
                "[[addon]]",
                "[[moved]]\nfrom = \"volume.spare\"\nto = \"volume.extra\"\n\n[[addon]]",
            ),
        ],
        &[],
    ),
    case(
        "volume-removed-by-the-file",
        &[(
            "[[volume]]\nname = \"spare\"\nsize = 10\n",
            "[[removed]]\nfrom = \"volume.spare\"\n",
        )],
        &[],
    ),
    case(
        "volume-removed-and-kept",
        &[(
            "[[volume]]\nname = \"spare\"\nsize = 10\n",
            "[[removed]]\nfrom = \"volume.spare\"\nkeep = true\n",
        )],
        &[],
    ),
    case(
        "volumes-reordered",
        &[
            ("[[volume]]\nname = \"spare\"\nsize = 10\n", ""),
            (
                "[[droplet]]",
                "[[volume]]\nname = \"spare\"\nsize = 10\n\n[[droplet]]",
            ),
        ],
        &[],
    ),
    case(
        "droplet-renamed",
        &[("name = \"web\"", "name = \"www\"")],
        &[],
    ),
    case(
        "droplet-renamed-and-moved",
        &[
            ("name = \"web\"", "name = \"www\""),
            (
                "[[addon]]",
                "[[moved]]\nfrom = \"droplet.web\"\nto = \"droplet.www\"\n\n[[addon]]",
            ),
        ],
        &[],
    ),
    case(
        "droplet-moved-and-still-there",
        &[(
            "[[addon]]",
            "[[moved]]\nfrom = \"droplet.web\"\nto = \"droplet.www\"\n\n[[addon]]",
        )],
        &[],
    ),
    case(
        "droplet-removed",
        &[(
            "[[droplet]]\nname = \"web\"\nsize = \"s-1vcpu-1gb\"\ntags = [\"blue\", \"green\"]\n",
            "",
        )],
        &[],
    ),
    case(
        "an-import-of-nothing",
        &[
            ("name = \"web\"", "name = \"other\""),
            (
                "[[addon]]",
                "[[import]]\nto = \"droplet.other\"\nid = \"1\"\n\n[[addon]]",
            ),
        ],
        &[],
    ),
    case(
        "the-network-renamed",
        &[("name = \"demo-vpc\"", "name = \"demo-net\"")],
        &[],
    ),
    case(
        "the-project-described",
        &[(
            "[project]\nname = \"demo\"",
            "[project]\nname = \"demo\"\ndescription = \"what it is for\"",
        )],
        &[],
    ),
    case(
        "volume-of-another-filesystem",
        &[("\"ext4\"", "\"xfs\"")],
        &["--allow-destroy", "volume.data"],
    ),
    case("droplet-larger", &[("s-1vcpu-1gb", "s-1vcpu-2gb")], &[]),
    case(
        "droplet-of-another-image",
        &[(
            "size = \"s-1vcpu-1gb\"",
            "size = \"s-1vcpu-1gb\"\nimage = \"debian-12-x64\"",
        )],
        &["--allow-destroy", "droplet.web"],
    ),
    case(
        "droplet-with-backups",
        &[(
            "size = \"s-1vcpu-1gb\"",
            "size = \"s-1vcpu-1gb\"\nbackups = true",
        )],
        &[],
    ),
    case(
        "tags-in-another-order",
        &[("[\"blue\", \"green\"]", "[\"green\", \"blue\"]")],
        &[],
    ),
    case(
        "tags-changed",
        &[("[\"blue\", \"green\"]", "[\"green\", \"red\"]")],
        &[],
    ),
    case(
        "server-larger",
        &[("size   = \"s-2vcpu-4gb\"", "size   = \"s-4vcpu-8gb\"")],
        &[],
    ),
    case(
        "server-larger-in-a-line",
        &[("size   = \"s-2vcpu-4gb\"", "size   = \"s-4vcpu-8gb\"")],
        &["--summary"],
    ),
    case(
        "server-larger-in-full",
        &[("size   = \"s-2vcpu-4gb\"", "size   = \"s-4vcpu-8gb\"")],
        &["--full"],
    ),
    case(
        "labels-changed",
        &[("tier = \"all\"", "tier = \"front\", zone = \"a\"")],
        &[],
    ),
    case(
        "who-may-reach-the-api",
        &[("198.51.100.0/24", "192.0.2.0/24")],
        &[],
    ),
    case(
        "who-may-reach-the-api-in-another-order",
        &[(
            "\"203.0.113.0/24\", \"198.51.100.0/24\"",
            "\"198.51.100.0/24\", \"203.0.113.0/24\"",
        )],
        &[],
    ),
    case("another-region", &[("fra1", "ams3")], &[]),
    case("another-range", &[("10.30.0.0/20", "10.31.0.0/20")], &[]),
    case(
        "agents-added",
        &[(
            "[cloud_controller]",
            "[[agents]]\nname = \"workers\"\ncount = 2\nsize = \"s-2vcpu-4gb\"\n\n[cloud_controller]",
        )],
        &[],
    ),
    case(
        "protected",
        &[("region = \"fra1\"", "region = \"fra1\"\nprotect = true")],
        &[],
    ),
    case(
        "a-replacement-that-is-asked-for",
        &[],
        &["--replace", "volume.data", "--allow-destroy", "volume.data"],
    ),
    case(
        "a-replacement-made-first",
        &[],
        &["--replace", "tag.server"],
    ),
    case(
        "one-target",
        &[
            ("size       = 10", "size       = 50"),
            ("s-1vcpu-1gb", "s-1vcpu-2gb"),
        ],
        &["--target", "volume.data"],
    ),
    case(
        "the-riskiest-first",
        &[
            ("size       = 10", "size       = 50"),
            ("[[volume]]\nname = \"spare\"\nsize = 10\n", ""),
        ],
        &["--sort", "risk", "--allow-destroy", "volume.spare"],
    ),
    case("an-addon-removed", &[(ADDON, "")], &[]),
    case(
        "a-size-that-nobody-offers",
        &[("s-1vcpu-1gb", "s-99vcpu-1gb")],
        &[],
    ),
    case(
        "an-image-that-nobody-offers",
        &[(
            "size = \"s-1vcpu-1gb\"",
            "size = \"s-1vcpu-1gb\"\nimage = \"beos-5-x64\"",
        )],
        &["--allow-destroy", "droplet.web"],
    ),
    case("destroy", &[], &["--destroy"]),
    case(
        "destroy-with-its-backups",
        &[],
        &["--destroy", "--delete-backups"],
    ),
    case("only-what-was-seen", &[], &["--refresh-only"]),
    case(
        "an-address-that-nothing-has",
        &[],
        &["--target", "volume.none"],
    ),
];

/// What is planned of three servers with etcd, two pools of agents and a load balancer.
const HA_CASES: &[Case] = &[
    case(
        "agents-of-a-pool-removed",
        &[(
            "count  = 2\nsize   = \"s-2vcpu-4gb\"",
            "count  = 1\nsize   = \"s-2vcpu-4gb\"",
        )],
        &[],
    ),
    case(
        "a-pool-removed",
        &[(
            "[[agents]]\nname   = \"batch\"\ncount  = 2\nsize   = \"s-4vcpu-8gb\"\nlabels = { tier = \"batch\" }\ntaints = [\"dedicated=batch:NoSchedule\"]\n",
            "",
        )],
        &[],
    ),
    case(
        "taints-changed",
        &[("batch:NoSchedule", "batch:NoExecute")],
        &[],
    ),
    case(
        "two-of-three-servers-removed",
        &[("count       = 3", "count       = 1")],
        &[],
    ),
    case(
        "servers-added",
        &[("count       = 3", "count       = 5")],
        &[],
    ),
    case(
        "servers-larger",
        &[(
            "count       = 3\nsize        = \"s-2vcpu-4gb\"",
            "count       = 3\nsize        = \"s-4vcpu-8gb\"",
        )],
        &[],
    ),
    case(
        "servers-of-another-image",
        &[(
            "count       = 3",
            "count       = 3\nimage       = \"debian-12-x64\"",
        )],
        &[],
    ),
    case(
        "k3s-upgraded",
        &[("[gitops]", "[k3s]\nversion = \"v1.36.2+k3s1\"\n\n[gitops]")],
        &[],
    ),
    case(
        "a-larger-load-balancer",
        &[("name = \"ha-api\"", "name = \"ha-api\"\nsize_unit = 2")],
        &[],
    ),
    case(
        "another-branch",
        &[("path = \"apps\"", "path = \"apps\"\nrevision = \"next\"")],
        &[],
    ),
    case(
        "a-pool-renamed",
        &[("name   = \"web\"", "name   = \"front\"")],
        &[],
    ),
    case(
        "a-pool-renamed-and-moved",
        &[
            ("name   = \"web\"", "name   = \"front\""),
            (
                "[gitops]",
                "[[moved]]\nfrom = \"droplet.web\"\nto = \"droplet.front\"\n\n[gitops]",
            ),
        ],
        &[],
    ),
    case(
        "a-pool-split",
        &[(
            "name   = \"web\"\ncount  = 2\n",
            "name   = \"web\"\ncount  = 1\nsize   = \"s-2vcpu-4gb\"\n\n[[agents]]\nname   = \"shop\"\ncount  = 1\n",
        )],
        &[],
    ),
    case(
        "a-pool-split-and-moved",
        &[
            (
                "name   = \"web\"\ncount  = 2\n",
                "name   = \"web\"\ncount  = 1\nsize   = \"s-2vcpu-4gb\"\n\n[[agents]]\nname   = \"shop\"\ncount  = 1\n",
            ),
            (
                "[gitops]",
                "[[moved]]\nfrom = \"droplet.web[1]\"\nto = \"droplet.shop[0]\"\n\n[gitops]",
            ),
        ],
        &[],
    ),
    case(
        "a-pool-of-another-size",
        &[(
            "count  = 2\nsize   = \"s-2vcpu-4gb\"",
            "count  = 2\nsize   = \"s-4vcpu-8gb\"",
        )],
        &[],
    ),
    case(
        "agents-added-to-a-pool",
        &[(
            "count  = 2\nsize   = \"s-2vcpu-4gb\"",
            "count  = 3\nsize   = \"s-2vcpu-4gb\"",
        )],
        &[],
    ),
    case(
        "a-pool-given-to-others",
        &[(
            "[[agents]]\nname   = \"batch\"\ncount  = 2\nsize   = \"s-4vcpu-8gb\"\nlabels = { tier = \"batch\" }\ntaints = [\"dedicated=batch:NoSchedule\"]\n",
            "[[removed]]\nfrom = \"droplet.batch\"\nkeep = true\n",
        )],
        &[],
    ),
    case(
        "k3s-downgraded",
        &[("[gitops]", "[k3s]\nversion = \"v1.34.9+k3s1\"\n\n[gitops]")],
        &[],
    ),
    case(
        "argo-cd-twice",
        &[("path = \"apps\"", "path = \"apps\"\nha = true")],
        &[],
    ),
];

struct Base {
    folder: Folder,
    file: String,
    goldens: PathBuf,
    changed: Vec<String>,
    /// What `CLOUD_TOKEN` gives.
    token: &'static str,
}

impl Base {
    fn new(folder: Folder, file: String, name: &str) -> Self {
        Self {
            folder,
            file,
            goldens: repository().join("tests/plans").join(name),
            changed: Vec::new(),
            token: "dop_v1_canary_cloud",
        }
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let mut command = self.folder.command(&[arguments, &["--sandbox"]].concat());
        command
            .env("CLOUD_TOKEN", self.token)
            .env("KPLAN_IN_AUTOMATION", "1");
        Run::of(command)
    }

    fn case(&mut self, case: &Case) {
        let mut text = self.file.clone();
        for (from, to) in case.edit {
            assert!(text.contains(from), "{}: no `{from}`", case.name);
            text = text.replacen(from, to, 1);
        }
        self.folder.write(&text);
        self.transcripts(case.name, case.options);
        self.folder.write(&self.file);
    }

    /// Text, Markdown and JSON of one plan.
    fn transcripts(&mut self, name: &str, options: &[&str]) {
        let shown = |format: &str| self.run(&[&["plan", "--format", format], options].concat());
        let text = shown("text");
        let command = [&["kplan", "plan"], options].concat();
        let mut out = format!("$ {}\n", command.join(" "));
        let _ = write!(
            out,
            "{}\n# exit code {}\n",
            text.out,
            text.code.unwrap_or(-1)
        );
        out.push_str(&problems(&text.err));
        let mut all = vec![("txt", out)];
        if !text.out.is_empty() {
            all.push(("md", shown("markdown").out));
            let json: Value =
                serde_json::from_str(&shown("json").out).expect("as this test made it");
            all.push(("json", format!("{:#}\n", told(&json))));
        }
        for (kind, content) in all {
            let path = self.goldens.join(format!("{name}.{kind}"));
            self.compare(path, &steady(&content));
        }
    }

    fn compare(&mut self, path: PathBuf, content: &str) {
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(&self.goldens).expect("as this test made it");
            std::fs::write(path, content).expect("as this test made it");
            return;
        }
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        if before != content {
            let name = path
                .strip_prefix(repository())
                .expect("as this test made it")
                .display();
            self.changed
                .push(format!("{name}:\n{}", first_difference(&before, content)));
        }
    }

    fn done(self) {
        assert!(
            self.changed.is_empty(),
            "{} transcripts changed; UPDATE_GOLDEN=1 rewrites them:\n{}",
            self.changed.len(),
            self.changed.join("\n")
        );
    }
}

/// What was printed about problems, without warnings about the file that every plan has.
fn problems(err: &str) -> String {
    let lines = err
        .lines()
        .filter(|line| !line.starts_with("Warning: ") && !line.starts_with("Started "));
    lines.fold(String::new(), |mut out, line| {
        let _ = writeln!(out, "{line}");
        out
    })
}

/// What of the document is about the plan alone: not what it cost, nor all that stays.
fn told(document: &Value) -> Value {
    const ALL: [&str; 10] = [
        "format_version",
        "mode",
        "resource_changes",
        "resource_drift",
        "drift",
        "operations",
        "changes",
        "price",
        "preflight",
        "notes",
    ];
    let told = ALL
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), document.get(*name)?.clone())));
    let mut told: Map<String, Value> = told.collect();
    // What is compared by every create of a whole cluster would fill a book.
    if let Some(changes) = told
        .get_mut("resource_changes")
        .and_then(Value::as_array_mut)
    {
        changes.truncate(6);
    }
    json!(told)
}

fn first_difference(before: &str, after: &str) -> String {
    let (mut old, mut new) = (before.lines(), after.lines());
    loop {
        match (old.next(), new.next()) {
            (Some(old), Some(new)) if old == new => {}
            (None, None) => return "  the end of a line".to_owned(),
            (old, new) => {
                return format!(
                    "  - {:.200}\n  + {:.200}",
                    old.unwrap_or("(the end)"),
                    new.unwrap_or("(the end)")
                );
            }
        }
    }
}

#[test]
fn plans_of_a_small_cluster_read_as_they_always_did() {
    let folder = Folder::with(SMALL);
    let hello = folder.path().join("hello.yaml");
    std::fs::write(&hello, HELLO).expect("as this test made it");
    let mut base = Base::new(folder, SMALL.to_owned(), "small");
    base.transcripts("first", &[]);
    base.transcripts("first-in-full", &["--full"]);
    base.run(&["apply", "--auto-approve"]).ok();
    for case in SMALL_CASES {
        base.case(case);
    }
    base.token = "dop_v1_canary_another";
    base.transcripts("another-token", &[]);
    base.token = "dop_v1_canary_cloud";
    let edited = HELLO.replace("    three: 3\n", "    three: 4\n");
    std::fs::write(&hello, edited).expect("as this test made it");
    base.transcripts("a-line-of-an-addon", &[]);
    std::fs::write(&hello, HELLO).expect("as this test made it");
    by_hand(&mut base);
    base.done();
}

/// What somebody changed past kplan, one after the other.
fn by_hand(base: &mut Base) {
    let seen = base.folder.inspect();
    let id = |kind: &str, name: &str| {
        let mut all = seen["resources"][kind]
            .as_array()
            .expect("as this test made it")
            .iter();
        let one = all
            .find(|one| {
                one["name"]
                    .as_str()
                    .expect("as this test made it")
                    .ends_with(name)
            })
            .expect("as this test made it");
        one["id"]
            .as_str()
            .map_or_else(|| one["id"].to_string(), str::to_owned)
    };
    let firewall = base.folder.first_path("firewalls", "/v2/firewalls");
    let mut rules = base.folder.ask("GET", &firewall, None)["firewall"].clone();
    rules["inbound_rules"]
        .as_array_mut()
        .expect("as this test made it")
        .push(json!({
            "protocol": "tcp", "ports": "22", "sources": { "addresses": ["0.0.0.0/0"] }
        }));
    let rules = json!({
        "name": rules["name"], "inbound_rules": rules["inbound_rules"],
        "outbound_rules": rules["outbound_rules"], "droplet_ids": rules["droplet_ids"],
        "tags": rules["tags"],
    });
    base.folder.cloud("PUT", &firewall, Some(&rules));
    base.transcripts("drift-of-a-firewall", &[]);
    base.transcripts("drift-that-is-only-seen", &["--refresh-only"]);
    base.folder.switch_off(|name| name.ends_with("web"));
    base.transcripts("drift-of-a-droplet-that-is-off", &[]);
    let spare = format!("/v2/volumes/{}", id("volumes", "spare"));
    base.folder.cloud("DELETE", &spare, None);
    base.transcripts("drift-of-what-is-gone", &[]);
    let data = format!("/v2/volumes/{}/actions", id("volumes", "data"));
    let grown = json!({ "type": "resize", "size_gigabytes": 20, "region": "fra1" });
    base.folder.cloud("POST", &data, Some(&grown));
    base.transcripts("drift-that-cannot-be-undone", &[]);
}

/// A namespace, and a text of several lines in it.
const HELLO: &str = "apiVersion: v1
kind: Namespace
metadata:
  name: hello
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: hello
  namespace: hello
data:
  text: |
    one: 1
    two: 2
    three: 3
    four: 4
    five: 5
    six: 6
    seven: 7
";

#[test]
fn plans_of_a_highly_available_cluster_read_as_they_always_did() {
    let folder = Folder::example("ha-etcd");
    let file =
        std::fs::read_to_string(folder.path().join("cluster.toml")).expect("as this test made it");
    let mut base = Base::new(folder, file, "ha");
    base.run(&["apply", "--auto-approve"]).ok();
    for case in HA_CASES {
        base.case(case);
    }
    base.done();
}
