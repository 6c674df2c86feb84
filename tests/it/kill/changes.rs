//! What a series does to a cluster between its first apply and its end: edits of its file, and
//! replacements.

use crate::support::{Dice, Folder};
use serde_json::Value;

/// One edit of a file.
struct Edit {
    name: &'static str,
    /// What is looked for; empty: `put` is added at the end.
    find: &'static str,
    put: &'static str,
    /// Whether it makes something be replaced.
    replaces: bool,
}

const fn edit(name: &'static str, find: &'static str, put: &'static str) -> Edit {
    Edit {
        name,
        find,
        put,
        replaces: false,
    }
}

const fn forcing(name: &'static str, find: &'static str, put: &'static str) -> Edit {
    Edit {
        replaces: true,
        ..edit(name, find, put)
    }
}

/// Whoever finds its text in a file can be made there.
const EDITS: [Edit; 36] = [
    edit(
        "firewall rule",
        r#"["203.0.113.0/24"]"#,
        r#"["198.51.100.0/24"]"#,
    ),
    edit(
        "firewall rule",
        r#"["198.51.100.0/24"]"#,
        r#"["203.0.113.0/24", "192.0.2.0/24"]"#,
    ),
    edit(
        "firewall rule",
        r#"["0.0.0.0/0", "::/0"]"#,
        r#"["203.0.113.0/24"]"#,
    ),
    edit(
        "ssh rule",
        "[network]\nvpc",
        "[network]\nssh_allow = [\"198.51.100.7/32\"]\nvpc",
    ),
    edit(
        "ssh rule",
        "[network]\napi_allow",
        "[network]\nssh_allow = [\"198.51.100.7/32\"]\napi_allow",
    ),
    edit(
        "grow",
        "name   = \"web\"\ncount  = 2",
        "name   = \"web\"\ncount  = 4",
    ),
    edit(
        "shrink",
        "name   = \"web\"\ncount  = 4",
        "name   = \"web\"\ncount  = 1",
    ),
    edit(
        "shrink",
        "name   = \"batch\"\ncount  = 2",
        "name   = \"batch\"\ncount  = 1",
    ),
    edit(
        "grow",
        "count = 3\nsize  = \"s-1vcpu-2gb\"",
        "count = 5\nsize  = \"s-1vcpu-2gb\"",
    ),
    edit(
        "shrink",
        "count = 5\nsize  = \"s-1vcpu-2gb\"",
        "count = 2\nsize  = \"s-1vcpu-2gb\"",
    ),
    edit(
        "more servers",
        "count = 3\nsize  = \"s-2vcpu-4gb\"",
        "count = 4\nsize  = \"s-2vcpu-4gb\"",
    ),
    edit(
        "new pool",
        "",
        "\n[[agents]]\nname = \"extra\"\ncount = 2\nsize = \"s-1vcpu-2gb\"\n",
    ),
    edit(
        "pool gone",
        "\n[[agents]]\nname = \"extra\"\ncount = 2\nsize = \"s-1vcpu-2gb\"\n",
        "",
    ),
    edit(
        "resize servers",
        "size        = \"s-2vcpu-4gb\"",
        "size        = \"s-4vcpu-8gb\"",
    ),
    edit(
        "resize servers",
        "[servers]\nsize = \"s-2vcpu-4gb\"",
        "[servers]\nsize = \"s-4vcpu-8gb\"",
    ),
    edit(
        "resize agents",
        "size   = \"s-2vcpu-4gb\"",
        "size   = \"s-4vcpu-8gb\"",
    ),
    edit(
        "resize agents",
        "size  = \"s-1vcpu-2gb\"",
        "size  = \"s-2vcpu-4gb\"",
    ),
    edit(
        "SQLite to etcd",
        "[servers]\nsize = \"s-2vcpu-4gb\"\n",
        "[k3s]\ndatastore = \"etcd\"\n\n[servers]\nsize = \"s-2vcpu-4gb\"\n",
    ),
    edit(
        "labels and taints",
        "labels = { tier = \"web\" }\n",
        "labels = { tier = \"www\", team = \"a\" }\ntaints = [\"web=yes:PreferNoSchedule\"]\n",
    ),
    edit("volume", "", "\n[[volume]]\nname = \"data\"\nsize = 10\n"),
    edit(
        "volume grows",
        "name = \"data\"\nsize = 10\n",
        "name = \"data\"\nsize = 20\n",
    ),
    edit("volume", "", "\n[[volume]]\nname = \"more\"\nsize = 5\n"),
    edit("load balancer's name", "\"ha-api\"", "\"ha-api-b\""),
    edit(
        "load balancer's name",
        "\"k3s-api-loadbalancer\"",
        "\"k3s-api-b\"",
    ),
    edit("VPC's name", "\"ha-vpc\"", "\"ha-vpc-b\""),
    edit("VPC's name", "\"k3s-vpc-01\"", "\"k3s-vpc-02\""),
    edit(
        "project",
        "environment = \"Development\"",
        "environment = \"Staging\"",
    ),
    edit(
        "project",
        "environment = \"Production\"",
        "environment = \"Staging\"",
    ),
    edit("repository path", "path = \"apps\"", "path = \"other\""),
    edit(
        "repository revision",
        "revision    = \"main\"",
        "revision    = \"next\"",
    ),
    edit("schedule", "0 2 * * *", "30 4 * * *"),
    edit("database version", "version = \"16\"", "version = \"17\""),
    edit("database nodes", "nodes   = 1", "nodes   = 2"),
    forcing("pool renamed", "name   = \"batch\"", "name   = \"jobs\""),
    forcing(
        "pool without monitoring",
        "taints = [\"dedicated=batch:NoSchedule\"]\n",
        "taints = [\"dedicated=batch:NoSchedule\"]\nmonitoring = false\n",
    ),
    forcing(
        "pool without monitoring",
        "name  = \"workers\"\n",
        "name  = \"workers\"\nmonitoring = false\n",
    ),
];

/// A change that was found to be possible.
pub(crate) struct Change {
    /// `grow`, or the kind that is replaced.
    pub(crate) name: String,
    /// More arguments of `apply` until it got through.
    pub(crate) arguments: Vec<String>,
    /// The file with it.
    pub(crate) text: String,
}

/// How often another change is drawn when one is refused or changes nothing.
const TRIES: u32 = 12;

fn possible(folder: &Folder, arguments: &[String]) -> bool {
    let mut all = vec!["plan", "--sandbox", "--json"];
    all.extend(arguments.iter().map(String::as_str));
    let run = folder.kplan(&all);
    assert!(
        matches!(run.code, Some(0 | 6)),
        "a plan ends with {:?}: {}{}",
        run.code,
        run.out,
        run.err
    );
    let changed = |plan: &Value| {
        let changes = plan["resource_changes"].as_array().into_iter().flatten();
        changes
            .into_iter()
            .any(|one| one["change"]["actions"] != serde_json::json!(["no-op"]))
    };
    run.code == Some(0) && changed(&run.json())
}

fn text(folder: &Folder) -> String {
    std::fs::read_to_string(folder.path().join("cluster.toml")).expect("the file")
}

/// Draws an edit that this file can have and that kplan does not refuse, and writes it.
fn edited(folder: &Folder, dice: &mut Dice, replaces: bool) -> Option<Change> {
    let before = text(folder);
    let fitting: Vec<&Edit> = EDITS
        .iter()
        .filter(|edit| edit.replaces == replaces)
        .filter(|edit| match edit.find {
            "" => !before.contains(edit.put),
            find => before.contains(find),
        })
        .collect();
    for _ in 0..TRIES.min(u32::try_from(fitting.len()).unwrap_or(TRIES)) {
        let edit = fitting[dice.index(fitting.len())];
        let after = match edit.find {
            "" => before.clone() + edit.put,
            find => before.replacen(find, edit.put, 1),
        };
        folder.write(&after);
        if possible(folder, &[]) {
            return Some(Change {
                name: edit.name.to_owned(),
                arguments: Vec::new(),
                text: after,
            });
        }
        folder.write(&before);
    }
    None
}

/// An update in place, or with another number of things.
pub(crate) fn update(folder: &Folder, dice: &mut Dice) -> Option<Change> {
    edited(folder, dice, false)
}

/// A replacement: asked for by address, or forced by an edit.
pub(crate) fn replace(folder: &Folder, dice: &mut Dice, addresses: &[String]) -> Option<Change> {
    if dice.below(3) == 0
        && let Some(change) = edited(folder, dice, true)
    {
        return Some(change);
    }
    for _ in 0..TRIES {
        let address = &addresses[dice.index(addresses.len())];
        let arguments = vec!["--replace".to_owned(), address.clone()];
        if possible(folder, &arguments) {
            let kind = address.split('.').next().unwrap_or_default();
            return Some(Change {
                name: format!("--replace {kind}"),
                arguments,
                text: text(folder),
            });
        }
    }
    None
}
