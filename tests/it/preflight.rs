//! What the API would refuse is said before anything is done, what is offered is not, and what
//! everything costs stands beside the plan.

use crate::support::{Folder, Run, SMALL};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The cluster's only server, in an account in which nothing is.
fn with(more: &str) -> Folder {
    Folder::with(&format!("{SMALL}{more}"))
}

/// A cloud that runs, in which nothing is.
fn begun(text: &str) -> Folder {
    let folder = Folder::with(text);
    folder.kplan(&["sandbox", "inspect", "--json"]).ok();
    folder
}

#[track_caller]
fn plan(folder: &Folder, more: &[&str]) -> (Run, Value) {
    let run = folder.kplan(&[&["plan", "--sandbox", "--json"], more].concat());
    let document = run.json();
    (run, document)
}

/// Codes of what a plan's preflight found.
fn codes(plan: &Value) -> Vec<&str> {
    let found = plan["preflight"].as_array().expect("findings");
    found
        .iter()
        .map(|one| one["code"].as_str().expect("a code"))
        .collect()
}

/// Notes of what could not be checked.
fn unchecked(plan: &Value) -> Vec<&str> {
    let notes = plan["notes"].as_array().expect("notes");
    let texts = notes.iter().filter_map(Value::as_str);
    texts
        .filter(|note| note.starts_with("not checked before apply"))
        .collect()
}

/// Fails unless the plan is refused for this alone, `apply` too, and nothing was made by that.
#[track_caller]
fn refused(folder: &Folder, code: &str, place: &str) -> Value {
    let (run, document) = plan(folder, &[]);
    assert_eq!(codes(&document), [code], "{:#}", document["preflight"]);
    run.expect_code(1);
    let told = folder.kplan(&["plan", "--sandbox"]).expect_code(1);
    assert!(told.err.contains(code), "{}", told.err);
    assert!(told.err.contains(place), "no {place}:\n{}", told.err);
    let before = folder.count("droplets");
    let applied = folder.kplan(&["apply", "--sandbox", "--auto-approve"]);
    let applied = applied.expect_code(6);
    assert!(
        applied.err.contains("preflight::refused"),
        "{}",
        applied.err
    );
    assert_eq!(folder.count("droplets"), before);
    let (run, _) = plan(folder, &["--skip-preflight", code]);
    run.ok();
    document["preflight"][0].clone()
}

#[test]
fn what_is_offered_gives_no_finding_and_has_a_price() {
    for (example, price) in [
        // A droplet of $24.00, and buckets, which cost $5.00 together.
        ("quickstart", "29.00"),
        ("single-node", "29.00"),
        // Five of $24.00, two of $48.00, a load balancer of $12.00.
        ("ha-etcd", "233.00"),
        // Three of $24.00, three of $12.00, a database of $30.45, a load balancer.
        ("ha-postgres", "155.45"),
    ] {
        let folder = Folder::example(example);
        let (run, document) = plan(&folder, &[]);
        run.ok();
        assert_eq!(codes(&document), Vec::<&str>::new(), "{example}");
        assert_eq!(unchecked(&document), Vec::<&str>::new(), "{example}");
        assert_eq!(document["price"]["before"], "0.00", "{example}");
        assert_eq!(document["price"]["after"], price, "{example}");
        assert_eq!(document["price"]["difference"], price, "{example}");
    }
}

#[test]
fn prices_follow_the_plan_and_are_told_when_it_is_done() {
    let folder = Folder::example("quickstart");
    let first = folder.apply();
    first.assert_says(&[
        "Price: $0.00 a month -> $29.00 (+$29.00).",
        "Apply complete!",
        "Price: $29.00 a month.\n",
    ]);
    let still = folder.kplan(&["plan", "--sandbox"]).ok();
    still.assert_says(&["Price: $29.00 a month, no change."]);
    let path = folder.path().join("cluster.toml");
    let text = std::fs::read_to_string(path).expect("the file");
    folder.write(&text.replace("s-2vcpu-4gb", "s-4vcpu-8gb"));
    let larger = folder.kplan(&["plan", "--sandbox"]).ok();
    larger.assert_says(&[
        "Price: $29.00 a month -> $53.00 (+$24.00).",
        "droplet.servers",
        "$24.00 -> $48.00",
    ]);
    folder.write(&text);
    // The backups outlive the cluster, and go on billing.
    folder.destroy("quickstart").ok().assert_says(&[
        "Price: $29.00 a month -> $5.00 (-$24.00).",
        "Destroy complete!",
        "What goes on being billed: $5.00 a month: bucket.backup $5.00.",
    ]);
}

#[test]
fn a_size_that_is_none_is_refused_with_its_place() {
    let folder = begun(&SMALL.replace("s-2vcpu-4gb", "s-3vcpu-5gb"));
    let found = refused(&folder, "preflight::size", "cluster.toml:7");
    assert_eq!(found["address"], "droplet.servers[0]");
    assert_eq!(found["range"]["start"]["line"], 7);
    assert!(
        found["help"].as_str().expect("help").contains("such as s-"),
        "{found:#}"
    );
}

#[test]
fn an_image_and_a_database_that_are_none_are_refused() {
    let image = begun(&SMALL.replace("size =", "image = \"ubuntu-98-04-x64\"\nsize ="));
    let found = refused(&image, "preflight::image", "ubuntu-98-04-x64");
    assert!(
        found["help"]
            .as_str()
            .expect("help")
            .contains("ubuntu-24-04-x64"),
        "{found:#}"
    );
    let path = "examples/ha-postgres/cluster.toml";
    let text = std::fs::read_to_string(crate::support::repository().join(path)).expect("a file");
    let database = begun(&text.replace("version = \"16\"", "version = \"99\""));
    let found = refused(&database, "preflight::database", "version");
    assert_eq!(found["address"], "database.datastore");
}

#[test]
fn a_living_droplet_is_not_drained_for_a_size_with_a_smaller_disk() {
    let folder = with("");
    folder.apply();
    folder.write(&SMALL.replace("s-2vcpu-4gb", "s-1vcpu-2gb"));
    let found = refused(&folder, "preflight::size_disk", "cluster.toml:7");
    assert!(
        found["summary"]
            .as_str()
            .expect("a summary")
            .contains("80 GiB"),
        "{found:#}"
    );
    // Made anew it may have any disk.
    let anew = [
        "--replace",
        "droplet.servers[0]",
        "--allow-destroy",
        "k3s.cluster",
    ];
    let (run, anew) = plan(&folder, &anew);
    run.ok();
    assert_eq!(codes(&anew), Vec::<&str>::new());
}

#[test]
fn names_and_addresses_that_a_stranger_has_are_refused() {
    let network = "[network]\nvpc = { name = \"lab\", ip_range = \"10.20.0.0/20\" }\n";
    let folder = begun(&format!("{SMALL}{network}"));
    let theirs = json!({ "name": "theirs", "region": "ams3", "ip_range": "10.20.8.0/24" });
    folder.cloud("POST", "/v2/vpcs", Some(&theirs));
    let found = refused(&folder, "preflight::range", "cluster.toml:9");
    assert!(
        found["summary"]
            .as_str()
            .expect("a summary")
            .contains("theirs in ams3")
    );
    // What DigitalOcean keeps for itself.
    folder.write(&format!(
        "{SMALL}{}",
        network.replace("10.20.0.0/20", "10.19.0.0/20")
    ));
    refused(&folder, "preflight::range_reserved", "cluster.toml:9");
    let network = network.replace("\"lab\"", "\"theirs\"");
    folder.write(&format!(
        "{SMALL}{}",
        network.replace("10.20.0.0/20", "10.21.0.0/20")
    ));
    refused(&folder, "preflight::name_taken", "theirs");
}

#[test]
fn a_bucket_that_somebody_has_is_refused() {
    let folder = Folder::example("quickstart");
    folder.apply();
    let text = std::fs::read_to_string(folder.path().join("cluster.toml")).expect("the file");
    let second = text.replace("name   = \"quickstart\"", "name   = \"second\"");
    assert_ne!(text, second);
    std::fs::write(folder.path().join("second.toml"), second).expect("written");
    let (run, document) = plan(&folder, &["-f", "second.toml"]);
    assert_eq!(codes(&document), ["preflight::bucket_taken"], "{}", run.out);
    run.expect_code(1);
}

#[test]
fn a_limit_of_the_account_is_told_before_it_is_reached() {
    let folder = begun(&format!("{SMALL}[endpoint]\nreserved_ip = true\n"));
    let address = json!({ "region": "ams3" });
    for _ in 0..100 {
        folder.cloud("POST", "/v2/reserved_ips", Some(&address));
    }
    refused(
        &folder,
        "preflight::limit",
        "100 reserved addresses and may have 100",
    );
}

#[test]
fn whoever_says_where_he_is_learns_that_he_would_be_left_out() {
    let folder = Folder::example("ha-etcd");
    let from = |address: &str, more: &[&str]| {
        let arguments = [&["plan", "--sandbox", "--json"], more].concat();
        let mut command = folder.command(&arguments);
        command.env("KPLAN_OPERATOR_ADDRESS", address);
        Run::of(command)
    };
    let outside = from("198.51.100.7", &[]).expect_code(1);
    let document = outside.json();
    assert_eq!(codes(&document), ["preflight::operator_address"]);
    assert_eq!(document["preflight"][0]["range"]["start"]["line"], 9);
    from("203.0.113.9", &[]).ok();
    from("198.51.100.7", &["--skip-preflight", "operator_address"]).ok();
    let strange = folder.kplan(&["plan", "--sandbox", "--skip-preflight", "everything"]);
    assert!(
        strange.expect_code(1).err.contains("preflight::size"),
        "it names the codes there are"
    );
}

#[test]
fn a_domain_that_is_not_there_yet_is_a_warning() {
    let record = "[[domain_record]]\ndomain = \"example.com\"\ntype = \"A\"\nname = \"www\"\n\
                  value = \"203.0.113.9\"\n";
    let folder = with(record);
    let (run, document) = plan(&folder, &[]);
    run.ok();
    assert_eq!(codes(&document), ["preflight::domain"]);
    assert_eq!(document["preflight"][0]["severity"], "warning");
}

#[test]
fn a_catalogue_that_cannot_be_read_leaves_the_plan_usable() {
    let folder = begun(SMALL);
    let mut rules = Vec::new();
    for path in ["/v2/sizes", "/v2/regions", "/v2/images", "/v2/account"] {
        rules.push(json!({ "path": path, "fault": { "kind": "status", "status": 503 } }));
    }
    folder.cloud("POST", "/_sandbox/faults", Some(&json!({ "rules": rules })));
    let (run, document) = plan(&folder, &[]);
    run.ok();
    assert_eq!(codes(&document), Vec::<&str>::new());
    let said = unchecked(&document).join("\n");
    for what in ["droplet sizes", "regions", "images", "the account's limits"] {
        assert!(said.contains(what), "{what}:\n{said}");
    }
    // What is not known costs something, and nobody says that it costs nothing.
    let unpriced = document["price"]["not_priced"].as_array().expect("a list");
    assert!(
        unpriced
            .iter()
            .any(|one| one["address"] == "droplet.servers[0]"),
        "{unpriced:#?}"
    );
    folder.apply();
}

/// A plan by the sandbox's API as if it were DigitalOcean's, with a token of these scopes.
fn with_scopes(folder: &Folder, scopes: &[&str]) -> Run {
    let body = json!({ "scopes": scopes });
    let made = folder.cloud("POST", "/_sandbox/tokens", Some(&body));
    let token = made.split("\"token\":\"").nth(1);
    let token = token.and_then(|rest| rest.split('"').next());
    let mut command = folder.command(&["plan", "--json"]);
    command
        .env("DIGITALOCEAN_API_URL", folder.endpoint("api_url"))
        .env("SPACES_ENDPOINT_URL", folder.endpoint("spaces_url"))
        .env("DIGITALOCEAN_TOKEN", token.expect("a token"));
    Run::of(command)
}

#[test]
fn a_scope_that_is_missing_is_named_for_resources_and_noted_for_catalogues() {
    let folder = begun(SMALL);
    let all = [
        "account:read",
        "database:read",
        "domain:read",
        "droplet:read",
        "firewall:read",
        "image:read",
        "load_balancer:read",
        "project:read",
        "regions:read",
        "reserved_ip:read",
        "sizes:read",
        "spaces_key:read",
        "ssh_key:read",
        "tag:read",
        "block_storage:read",
        "vpc:read",
    ];
    let whole = with_scopes(&folder, &all).ok().json();
    assert_eq!(codes(&whole), Vec::<&str>::new());
    assert_eq!(unchecked(&whole), Vec::<&str>::new());
    let without =
        |scope: &str| -> Vec<&str> { all.into_iter().filter(|one| *one != scope).collect() };
    let blind = with_scopes(&folder, &without("firewall:read")).expect_code(1);
    let blind = blind.json();
    assert_eq!(codes(&blind), ["preflight::token_scope"]);
    let said = blind["preflight"][0]["summary"].as_str().expect("words");
    assert!(said.contains("firewall:read"), "{said}");
    // Of what was read a moment ago with another token, a day is remembered; so not here.
    let cache = folder.home().join(".cache/kplan/catalogue");
    std::fs::remove_dir_all(cache).expect("it was kept");
    let no_sizes = with_scopes(&folder, &without("sizes:read")).ok().json();
    assert_eq!(codes(&no_sizes), Vec::<&str>::new());
    assert!(
        unchecked(&no_sizes).join("\n").contains("sizes:read"),
        "{:#}",
        no_sizes["notes"]
    );
}

#[test]
fn catalogues_are_read_once_a_day_and_a_cache_that_cannot_be_written_costs_nothing_else() {
    let folder = begun(SMALL);
    let calls = |run: Run| {
        let document = run.ok().json();
        assert_eq!(codes(&document), Vec::<&str>::new());
        document["statistics"]["api_calls"]
            .as_u64()
            .expect("a number")
    };
    let plan = ["plan", "--sandbox", "--json"];
    let first = calls(folder.kplan(&plan));
    assert_eq!(calls(folder.kplan(&plan)), first - 3);
    let mut command = folder.command(&plan);
    command.env("XDG_CACHE_HOME", "/dev/null");
    assert_eq!(calls(Run::of(command)), first);
    // What was kept refuses nothing: it is read again first.
    let kept = folder
        .home()
        .join(".cache/kplan/catalogue/sandbox/sizes.json");
    let text = std::fs::read_to_string(&kept).expect("it was kept");
    std::fs::write(&kept, text.replace("s-2vcpu-4gb", "s-2vcpu-9gb")).expect("written");
    assert!(calls(folder.kplan(&plan)) >= first);
}

#[test]
fn a_plan_that_changes_nothing_looks_at_nothing() {
    let folder = with("");
    folder.apply();
    let record = folder.record_path();
    let before = std::fs::read_to_string(&record).expect("a record");
    folder.assert_no_changes();
    let after = std::fs::read_to_string(&record).expect("a record");
    let mut asked = String::new();
    for line in after[before.len()..].lines() {
        let exchange: Value = serde_json::from_str(line).expect("an exchange");
        let _ = writeln!(asked, "{}", exchange["path"]);
    }
    assert!(asked.contains("/v2/droplets"), "{asked}");
    for path in ["/v2/sizes", "/v2/regions", "/v2/images", "/v2/account"] {
        let whole = format!("\"{path}\"");
        assert!(!asked.contains(&whole), "{path}:\n{asked}");
    }
}
