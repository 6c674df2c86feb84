//! What exists comes on record, gets another address, or leaves the file on purpose: always by a plan
//! that can be read, and never by touching what exists.

use crate::support::{Folder, Run, SMALL, repository};
use serde_json::json;

const POOL: &str = "\n[[agents]]\nname = \"web\"\ncount = 2\nsize = \"s-2vcpu-4gb\"\n";
const DROPLET: &str =
    "\n[[droplet]]\nname = \"box\"\nsize = \"s-1vcpu-1gb\"\ntags = [\"legacy\"]\n";

/// A droplet in the cluster's network, as somebody would make it by hand; its id.
fn by_hand(folder: &Folder, name: &str) -> u64 {
    let vpcs = folder.ask("GET", "/v2/vpcs?per_page=200", None);
    let mut own = vpcs["vpcs"].as_array().into_iter().flatten();
    let own = own.find(|vpc| vpc["name"] == "demo").expect("the VPC");
    let wanted = json!({
        "name": name, "region": "fra1", "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64",
        "vpc_uuid": own["id"], "tags": ["legacy"], "monitoring": true,
    });
    let made = folder.ask("POST", "/v2/droplets", Some(&wanted));
    made["droplet"]["id"].as_u64().expect("an id")
}

/// A cluster, and a droplet beside it.
fn beside() -> (Folder, u64) {
    let folder = Folder::with(SMALL);
    folder.apply();
    let id = by_hand(&folder, "box");
    folder.write(&format!("{SMALL}{DROPLET}"));
    (folder, id)
}

fn droplets(folder: &Folder) -> Vec<(u64, String)> {
    let listed = folder.ask("GET", "/v2/droplets?per_page=200", None);
    let droplets = listed["droplets"].as_array().into_iter().flatten();
    let mut all: Vec<(u64, String)> = droplets
        .map(|it| {
            let name = it["name"].as_str().expect("a name").to_owned();
            (it["id"].as_u64().expect("an id"), name)
        })
        .collect();
    all.sort();
    all
}

fn plan(folder: &Folder) -> Run {
    folder.kplan(&["plan", "--sandbox"])
}

/// A run that is refused, and says so on standard error, however its lines are broken.
#[track_caller]
fn refuses(run: Run, code: i32, says: &[&str]) {
    let run = run.expect_code(code);
    let err: Vec<&str> = run
        .err
        .split_whitespace()
        .filter(|word| *word != "│")
        .collect();
    let err = err.join(" ");
    for words in says {
        assert!(err.contains(words), "no {words}:\n{}", run.err);
    }
}

const APPLY: &[&str] = &["apply", "--sandbox", "--auto-approve"];

#[test]
fn what_exists_is_imported_guarded_and_given_back() {
    let (folder, id) = beside();
    let id = id.to_string();
    let import = ["import", "droplet.box", &id, "--sandbox"];
    let asked = folder.kplan_answering(&import, "no\n");
    asked.expect_code(1).assert_says(&["Import cancelled."]);
    let run = folder.kplan_answering(&import, "yes\n").ok();
    run.assert_says(&["Plan: 1 to import, 0 to add, 0 to change, 0 to destroy."]);
    folder.assert_no_changes();
    let again = folder.kplan(&import).ok();
    again.assert_says(&["on record already"]);
    // Nothing of it was touched.
    let shown = folder.ask("GET", &format!("/v2/droplets/{id}"), None);
    assert_eq!(shown["droplet"]["tags"], json!(["legacy"]));

    // Without its block it would be destroyed, and is not.
    folder.write(SMALL);
    refuses(plan(&folder), 6, &["plan::imported", "droplet.box"]);
    let destroy = folder.destroy("demo");
    refuses(destroy, 6, &["plan::imported"]);
    let removed = "\n[[removed]]\nfrom = \"droplet.box\"\nkeep = true\n";
    folder.write(&format!("{SMALL}{removed}"));
    plan(&folder).ok().assert_says(&[
        "droplet.box will no longer be managed by kplan, but will not be destroyed",
        "because the file says so ([[removed]]); it stays in the account",
    ]);
    // Everything else goes, but for the network it stands in.
    folder
        .destroy("demo")
        .ok()
        .assert_says(&["because droplet.box stands in it, and stays"]);
    let left = droplets(&folder);
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0].0.to_string(), id);
}

#[test]
fn an_import_in_the_file_is_part_of_a_plan_that_is_saved_and_carried_out() {
    let (folder, id) = beside();
    let block = format!("\n[[import]]\nto = \"droplet.box\"\nid = \"{id}\"\n");
    // The size differs: only that is changed.
    let larger = DROPLET.replace("s-1vcpu-1gb", "s-1vcpu-2gb");
    folder.write(&format!("{SMALL}{larger}{block}"));
    let saved = ["plan", "--sandbox", "--out", "p.plan"];
    let run = folder.kplan(&saved).ok();
    run.assert_says(&[
        "will be imported, from the id",
        "Plan: 1 to import, 0 to add, 1 to change, 0 to destroy.",
    ]);
    let document = folder.kplan(&["plan", "--sandbox", "--json"]).ok().json();
    let changes = document["resource_changes"]
        .as_array()
        .into_iter()
        .flatten();
    let mut own = changes.filter(|it| it["address"] == "droplet.box");
    let own = own.next().expect("the droplet");
    assert_eq!(own["change"]["importing"]["id"], id.to_string());
    assert_eq!(own["change"]["actions"], json!(["update"]));
    let applied = folder.kplan(&["apply", "p.plan", "--sandbox"]).ok();
    applied
        .assert_says(&["Apply complete! Resources: 1 imported, 0 added, 1 changed, 0 destroyed."]);
    // The block may stay, and may go.
    folder.assert_no_changes();
    folder.write(&format!("{SMALL}{larger}"));
    folder.assert_no_changes();
    assert!(droplets(&folder).contains(&(id, "box".to_owned())));
}

#[test]
fn a_saved_plan_that_imports_is_refused_where_that_moved() {
    let (folder, id) = beside();
    let block = format!("\n[[import]]\nto = \"droplet.box\"\nid = \"{id}\"\n");
    folder.write(&format!("{SMALL}{DROPLET}{block}"));
    folder.kplan(&["plan", "--sandbox", "--out", "p.plan"]).ok();
    let import = [
        "import",
        "droplet.box",
        &id.to_string(),
        "--sandbox",
        "--auto-approve",
    ];
    folder.kplan(&import).ok();
    let stale = folder.kplan(&["apply", "p.plan", "--sandbox"]);
    refuses(stale, 4, &["droplet.box: that is not so any more"]);
}

#[test]
fn what_cannot_be_imported_is_told_with_the_reason() {
    let (folder, id) = beside();
    let id = id.to_string();
    folder.write(&format!(
        "{SMALL}{DROPLET}{}",
        DROPLET.replace("box", "other")
    ));
    let refused = |address: &str, id: &str, code: &str| {
        let import = ["import", address, id, "--sandbox", "--auto-approve"];
        refuses(folder.kplan(&import), 6, &[code]);
    };
    refused("pki.main", "1", "import::kind");
    refused("vpc.main", "1", "import::taken");
    refused("droplet.nobody", &id, "import::not_declared");
    refused("droplet.box", "1", "import::not_found");
    folder
        .kplan(&["import", "droplet.box", &id, "--sandbox", "--auto-approve"])
        .ok();
    refused("droplet.other", &id, "import::known");
    // A droplet that runs cannot become a node.
    let node = by_hand(&folder, "node").to_string();
    folder.write(&format!("{SMALL}{DROPLET}{POOL}"));
    refused("droplet.web[0]", &node, "import::node");
}

#[test]
fn a_pool_gets_another_name_and_its_nodes_stay() {
    let folder = Folder::with(&format!("{SMALL}{POOL}"));
    folder.apply();
    let before = droplets(&folder);
    let renamed = POOL.replace("web", "front");
    folder.write(&format!("{SMALL}{renamed}"));
    refuses(
        plan(&folder),
        6,
        &[
            "plan::looks_moved",
            "[[moved]] from = \"droplet.web\", to = \"droplet.front\"",
        ],
    );
    let moved = "\n[[moved]]\nfrom = \"droplet.web\"\nto = \"droplet.front\"\n";
    folder.write(&format!("{SMALL}{renamed}{moved}"));
    let run = plan(&folder).ok();
    run.assert_says(&[
        "k3s_node.front[1] is what k3s_node.web[1] was",
        "4 addresses change",
    ]);
    folder.kplan(APPLY).ok();
    folder.assert_no_changes();
    folder.write(&format!("{SMALL}{renamed}"));
    folder.assert_no_changes();
    assert_eq!(droplets(&folder), before);
    // A new pool of the old name would have nodes of the same names.
    folder.write(&format!("{SMALL}{renamed}{POOL}"));
    refuses(plan(&folder), 6, &["moved::name_taken", "demo-web-0"]);
    // A replaced node keeps the name, and the rest of the life is as ever.
    folder.write(&format!("{SMALL}{renamed}"));
    let replace = [APPLY, &["--replace", "droplet.front[0]"]].concat();
    folder.kplan(&replace).ok();
    let names: Vec<String> = droplets(&folder)
        .into_iter()
        .map(|(_, name)| name)
        .collect();
    assert!(names.contains(&"demo-web-0".to_owned()), "{names:?}");
    folder.assert_no_changes();
    folder.destroy("demo").ok();
    folder.assert_cloud_empty();
}

#[test]
fn a_part_of_a_pool_becomes_another_pool() {
    let folder = Folder::with(&format!("{SMALL}{POOL}"));
    folder.apply();
    let before = droplets(&folder);
    let split = format!(
        "{}{}",
        POOL.replace("count = 2", "count = 1"),
        POOL.replace("web", "shop")
            .replace("count = 2", "count = 1")
    );
    folder.write(&format!("{SMALL}{split}"));
    refuses(
        plan(&folder),
        6,
        &["[[moved]] from = \"droplet.web[1]\", to = \"droplet.shop[0]\""],
    );
    let moved = "\n[[moved]]\nfrom = \"droplet.web[1]\"\nto = \"droplet.shop[0]\"\n";
    folder.write(&format!("{SMALL}{split}{moved}"));
    folder.kplan(APPLY).ok();
    folder.assert_no_changes();
    assert_eq!(droplets(&folder), before);
    // Said otherwise, one goes and one comes.
    let removed = "\n[[removed]]\nfrom = \"droplet.shop[0]\"\n";
    let third = split.replace("shop", "third");
    folder.write(&format!("{SMALL}{third}{removed}"));
    plan(&folder)
        .ok()
        .assert_says(&["droplet.shop[0] will be destroyed"]);
}

#[test]
fn moves_and_removals_that_contradict_the_file_are_refused_at_their_place() {
    let folder = Folder::with(&format!("{SMALL}{DROPLET}"));
    folder.apply();
    let refused = |text: &str, says: &[&str]| {
        folder.write(&format!("{SMALL}{text}"));
        refuses(plan(&folder), 6, says);
    };
    let moved = "\n[[moved]]\nfrom = \"droplet.box\"\nto = \"droplet.new\"\n";
    refused(moved, &["moved::contradiction", "which is not in the file"]);
    let both = format!("{DROPLET}{}{moved}", DROPLET.replace("box", "new"));
    refused(&both, &["moved::contradiction", "is still in the file"]);
    let removed = format!("{DROPLET}\n[[removed]]\nfrom = \"droplet.box\"\n");
    refused(&removed, &["removed::still_there", "cluster.toml:"]);
    // One that is there already is another resource.
    folder.write(&format!(
        "{SMALL}{DROPLET}{}",
        DROPLET.replace("box", "new")
    ));
    folder.kplan(APPLY).ok();
    let taken = format!("{}{moved}", DROPLET.replace("box", "new"));
    refused(&taken, &["moved::taken"]);
}

#[test]
fn a_volume_gets_another_address_and_keeps_its_data() {
    let volume = |name: &str| format!("{SMALL}\n[[volume]]\nname = \"{name}\"\nsize = 10\n");
    let folder = Folder::with(&volume("data"));
    folder.apply();
    let path = folder.first_path("volumes", "/v2/volumes");
    folder.write(&volume("archive"));
    refuses(plan(&folder), 6, &["plan::looks_moved", "plan::would_lose"]);
    let moved = "\n[[moved]]\nfrom = \"volume.data\"\nto = \"volume.archive\"\n";
    folder.write(&format!("{}{moved}", volume("archive")));
    folder.kplan(APPLY).ok();
    folder.assert_no_changes();
    assert_eq!(folder.first_path("volumes", "/v2/volumes"), path);
}

#[test]
fn the_example_takes_over_two_droplets_and_their_network_as_they_are() {
    let example = repository().join("examples/import/cluster.toml");
    let example = std::fs::read_to_string(example).expect("the example");
    // The cloud is started by whatever looks at it first.
    let folder = Folder::with(&example);
    plan(&folder).expect_code(6);
    let network = json!({ "name": "office", "region": "fra1", "ip_range": "10.40.0.0/20" });
    let network = folder.ask("POST", "/v2/vpcs", Some(&network))["vpc"]["id"].clone();
    let mut ids = vec![network.as_str().expect("an id").to_owned()];
    for name in ["web-1", "web-2"] {
        let wanted = json!({
            "name": name, "region": "fra1", "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64",
            "vpc_uuid": network, "tags": ["web"], "monitoring": true,
        });
        let made = folder.ask("POST", "/v2/droplets", Some(&wanted));
        ids.push(made["droplet"]["id"].to_string());
    }
    let own = example
        .replace("00000000-0000-4000-8000-000000000000", &ids[0])
        .replace("id = \"1\"", &format!("id = \"{}\"", ids[1]))
        .replace("id = \"2\"", &format!("id = \"{}\"", ids[2]));
    folder.write(&own);
    plan(&folder)
        .ok()
        .assert_says(&["Plan: 3 to import, 0 to add, 0 to change, 0 to destroy."]);
    let before = droplets(&folder);
    folder.kplan(APPLY).ok();
    let blocks = own.find("# Once they").expect("the imports");
    folder.write(&own[..blocks]);
    folder.assert_no_changes();
    assert_eq!(droplets(&folder), before);
    refuses(folder.destroy("legacy"), 6, &["plan::imported"]);
    // Given back to kplan, they go like its own.
    let lifted = own[..blocks].replace("name = \"web", "protect = false\nname = \"web");
    let lifted = lifted.replace(
        "name     = \"office\"",
        "protect = false\nname = \"office\"",
    );
    folder.write(&lifted);
    folder.kplan(APPLY).ok();
    folder.destroy("legacy").ok();
    assert_eq!(droplets(&folder), []);
    let networks = folder.ask("GET", "/v2/vpcs?per_page=200", None);
    assert!(!networks.to_string().contains("office"), "{networks}");
}

#[test]
fn guards_of_what_was_imported_hold_whatever_is_written_around_them() {
    let (folder, id) = beside();
    let block = |to: &str| format!("\n[[import]]\nto = \"{to}\"\nid = \"{id}\"\n");
    // One resource has one address.
    let other = DROPLET.replace("box", "other");
    let twice = [block("droplet.box"), block("droplet.other")].concat();
    folder.write(&format!("{SMALL}{DROPLET}{other}{twice}"));
    refuses(
        plan(&folder),
        6,
        &["import::known", "is droplet.box already"],
    );
    // The whole file's word is not a block's.
    let lifted = SMALL.replace("name   = \"demo\"", "name = \"demo\"\nprotect = false");
    folder.write(&format!("{lifted}{DROPLET}{}", block("droplet.box")));
    let run = plan(&folder).ok();
    run.assert_says(&["Plan: 1 to import, 0 to add, 0 to change, 0 to destroy."]);
    // What is written is lifted by nothing but the file.
    let guarded = DROPLET.replace("name = \"box\"", "name = \"box\"\nprotect = true");
    folder.write(&format!("{SMALL}{guarded}{}", block("droplet.box")));
    folder.kplan(APPLY).ok();
    folder.write(&format!("{SMALL}\n[[removed]]\nfrom = \"droplet.box\"\n"));
    refuses(plan(&folder), 6, &["plan::protected"]);
    // The command takes what it is asked for alone.
    let id = by_hand(&folder, "third").to_string();
    let third = DROPLET.replace("box", "third");
    let moved = "\n[[moved]]\nfrom = \"droplet.box\"\nto = \"droplet.new\"\n";
    let new = guarded.replace("box", "new");
    folder.write(&format!("{SMALL}{new}{third}{moved}"));
    let import = [
        "import",
        "droplet.third",
        &id,
        "--sandbox",
        "--auto-approve",
        "--json",
    ];
    let said = folder.kplan(&import).ok().json();
    assert_eq!(said["moved"], json!([]));
    assert_eq!(said["imported"][0]["address"], "droplet.third");
}

#[test]
fn what_kplan_made_and_lets_go_is_nobodys_afterwards() {
    let folder = Folder::with(&format!("{SMALL}{DROPLET}"));
    folder.apply().ok();
    let tags = |folder: &Folder| {
        let shown = folder.ask("GET", "/v2/droplets?name=box", None);
        shown["droplets"][0]["tags"].to_string()
    };
    assert!(tags(&folder).contains("kplan:demo-"), "{}", tags(&folder));
    folder.write(&format!(
        "{SMALL}\n[[removed]]\nfrom = \"droplet.box\"\nkeep = true\n"
    ));
    let run = folder.apply().ok();
    run.assert_says(&["droplet.box"]);
    assert_eq!(tags(&folder), "[\"legacy\"]");
    // Without the block nothing is missed or found, and a destroy leaves it alone.
    folder.write(SMALL);
    folder.assert_no_changes();
    folder.kplan(&["drift", "--sandbox"]).ok();
}

#[test]
fn no_move_makes_a_server_of_an_agent() {
    let folder = Folder::with(&format!("{SMALL}{POOL}"));
    folder.apply();
    let smaller = POOL.replace("count = 2", "count = 1");
    let three = SMALL.replace("[servers]", "[load_balancer.api]\n\n[servers]\ncount = 3");
    folder.write(&format!(
        "{three}{smaller}\n[[moved]]\nfrom = \"droplet.web[1]\"\nto = \"droplet.servers[1]\"\n"
    ));
    let says = ["moved::another_part", "is an agent", "would be a server"];
    refuses(plan(&folder), 6, &says);
}

#[test]
fn what_was_imported_and_is_gone_is_made_anew_as_kplans_own_at_once() {
    let (folder, id) = beside();
    let id = id.to_string();
    let import = ["import", "droplet.box", &id, "--sandbox", "--auto-approve"];
    folder.kplan(&import).ok();
    folder.lose_droplets(|name| name == "box");
    let run = folder.apply().ok();
    run.assert_says(&["1 added, 0 changed, 0 destroyed"]);
    folder.assert_no_changes();
    let shown = folder.ask("GET", "/v2/droplets?name=box", None);
    let tags = shown["droplets"][0]["tags"].to_string();
    assert!(tags.contains("kplan:demo-"), "{tags}");
}
