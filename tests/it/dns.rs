//! The API's name and the records of the file, from the first apply to the last.

use crate::support::cluster::{Cluster, access};
use crate::support::{Folder, SMALL};
use serde_json::{Value, json};

const ENDPOINT: &str = "
[endpoint]
hostname = \"k8s.example.com\"
domain   = \"example.com\"
";

const RECORDS: &str = "/v2/domains/example.com/records";

fn file(kind: &str, value: &str) -> String {
    let record = format!(
        "[[domain_record]]\ndomain = \"example.com\"\ntype = \"{kind}\"\nname = \"*.apps\"\n\
         value = \"{value}\"\n"
    );
    format!("{SMALL}{ENDPOINT}{record}")
}

/// The records that somebody made, as `type name data ttl`; DigitalOcean's own are left out.
fn records(folder: &Folder) -> Vec<(u64, String)> {
    let body = folder.ask("GET", &format!("{RECORDS}?per_page=200"), None);
    let list = body["domain_records"].as_array().expect("a list");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    list.iter()
        .filter(|record| record["type"] != "SOA" && record["type"] != "NS")
        .map(|record| {
            let [kind, name, data] = ["type", "name", "data"].map(|key| text(&record[key]));
            let id = record["id"].as_u64().expect("a number");
            (id, format!("{kind} {name} {data} {}", record["ttl"]))
        })
        .collect()
}

fn said(records: &[(u64, String)]) -> Vec<&str> {
    records.iter().map(|(_, said)| said.as_str()).collect()
}

#[test]
fn the_api_has_a_name_that_leads_to_it_and_records_come_change_and_go() {
    let folder = Folder::with(&file("CNAME", "k8s.example.com"));
    // Nobody added the domain yet: everything else is made, and the next apply goes on.
    let run = folder.kplan(&["apply", "--sandbox", "--auto-approve"]);
    let run = run.expect_code(3);
    assert!(run.err.contains("has no domain"), "{}", run.err);
    assert!(run.err.contains("ns1.digitalocean.com"), "{}", run.err);
    folder.cloud(
        "POST",
        "/v2/domains",
        Some(&json!({ "name": "example.com" })),
    );
    let other = json!({ "type": "A", "name": "www", "data": "203.0.113.99" });
    folder.cloud("POST", RECORDS, Some(&other));
    folder.apply();

    let called = access(&folder, "demo").server;
    let address = called
        .strip_prefix("https://")
        .and_then(|rest| rest.strip_suffix(":6443"));
    let address = address.expect("an address of the server");
    let api = format!("A k8s {address} 300");
    let made = records(&folder);
    let mut all = said(&made);
    all.sort_unstable();
    let apps = "CNAME *.apps k8s.example.com 1800";
    let foreign = "A www 203.0.113.99 1800";
    assert_eq!(all, [api.as_str(), foreign, apps]);
    folder.assert_no_changes();

    // kubectl is given the name; kplan itself does not wait until anybody knows it.
    let kubeconfig = folder.kplan(&["kubeconfig"]).ok().out;
    let server = "https://k8s.example.com:6443";
    assert!(
        kubeconfig.contains(&format!("server: \"{server}\"")),
        "{kubeconfig}"
    );
    let by_name = Cluster::at(&folder, "demo", server);
    assert!(by_name.get("v1 Node demo-servers-0").is_some());

    folder.write(&file("CNAME", "www.example.com."));
    let plan = folder.kplan(&["plan", "--sandbox"]).ok().out;
    let change = "~ value = \"k8s.example.com\" -> \"www.example.com\"";
    assert!(plan.contains(change), "{plan}");
    assert!(
        plan.contains("Plan: 0 to add, 1 to change, 0 to destroy."),
        "{plan}"
    );
    folder.apply();
    let after = records(&folder);
    let changed = "CNAME *.apps www.example.com 1800";
    for (id, said) in &made {
        let now = if said == apps { changed } else { said.as_str() };
        assert!(after.contains(&(*id, now.to_owned())), "{now}: {after:?}");
    }
    folder.assert_no_changes();

    // Another type is another record, and a CNAME makes room for it in the same apply.
    folder.write(&file("A", "203.0.113.7"));
    folder.apply();
    let after = records(&folder);
    assert!(
        said(&after).contains(&"A *.apps 203.0.113.7 1800"),
        "{after:?}"
    );
    assert!(!said(&after).contains(&changed), "{after:?}");
    folder.assert_no_changes();

    folder.destroy("demo").ok();
    assert_eq!(said(&records(&folder)), [foreign]);
}

#[test]
fn a_record_that_somebody_else_made_is_not_taken_over() {
    let folder = Folder::with(&file("CNAME", "k8s.example.com"));
    folder.kplan(&["plan", "--sandbox"]).ok();
    folder.cloud(
        "POST",
        "/v2/domains",
        Some(&json!({ "name": "example.com" })),
    );
    let same = json!({ "type": "CNAME", "name": "*.apps", "data": "k8s.example.com." });
    folder.cloud("POST", RECORDS, Some(&same));
    let run = folder.kplan(&["apply", "--sandbox", "--auto-approve"]);
    let run = run.expect_code(3);
    let refused = "there is already a domain_record of this name or owner";
    assert!(
        run.err.replace("\n  │ ", " ").contains(refused),
        "{}",
        run.err
    );
    folder.destroy("demo").ok();
    assert_eq!(
        said(&records(&folder)),
        ["CNAME *.apps k8s.example.com 1800"]
    );
}

#[test]
fn the_name_leads_to_what_outlives_a_server_where_there_is_such_a_thing() {
    let with = |text: &str| format!("{SMALL}{ENDPOINT}{text}");
    for (text, target) in [
        (with(""), "droplet.servers[0]"),
        (with("reserved_ip = true\n"), "reserved_ip.api"),
        (with("[load_balancer.api]\n"), "load_balancer.api"),
    ] {
        let folder = Folder::with(&text);
        let graph = folder.kplan(&["graph"]).ok().out;
        let leads = |what: &str| graph.contains(&format!("\"{what}\" -> \"{target}\";"));
        assert!(leads("domain_record.api"), "{target}: {graph}");
        // As does kplan's own way to the API.
        assert!(leads("k3s.cluster"), "{target}: {graph}");
    }
}

/// Two domains of the file with a record each, in a file without a cluster.
const DOMAINS: &str = "
[cluster]
name   = \"demo\"
region = \"fra1\"

[[domain]]
name = \"example.com\"

[[domain_record]]
domain = \"example.com\"
type   = \"A\"
name   = \"www\"
value  = \"203.0.113.7\"

[[domain]]
name  = \"example.net\"
label = \"second\"

[[domain_record]]
domain = \"example.net\"
type   = \"CNAME\"
name   = \"www\"
value  = \"www.example.com\"
";

#[test]
fn a_domain_comes_before_its_records_and_goes_after_them() {
    let folder = Folder::with(DOMAINS);
    let plan = folder.kplan(&["plan", "--sandbox"]).ok();
    plan.assert_says(&[
        "# domain.example-com will be created",
        "# domain.second will be created",
        "Plan: 4 to add, 0 to change, 0 to destroy.",
    ]);
    let graph = folder.kplan(&["graph"]).ok().out;
    let edge = "\"domain_record.cname-www-example-net\" -> \"domain.second\";";
    assert!(graph.contains(edge), "{graph}");
    folder.apply();
    folder.assert_no_changes();
    assert_eq!(folder.count("domains"), 2);
    assert_eq!(said(&records(&folder)), ["A www 203.0.113.7 1800"]);
    // Gone with everything in it, it is made again, and so is what the file says of it.
    folder.cloud("DELETE", "/v2/domains/example.com", None);
    let plan = folder.kplan(&["plan", "--sandbox"]).ok();
    plan.assert_says(&["Plan: 2 to add, 0 to change, 0 to destroy."]);
    folder.apply();
    assert_eq!(said(&records(&folder)), ["A www 203.0.113.7 1800"]);
    // Another name is another domain, and takes its record along.
    let (first, rest) = DOMAINS.split_once("[[domain]]\nname  =").expect("two");
    let renamed = first.replace("example.com", "example.org");
    folder.write(&format!("{renamed}[[domain]]\nname  ={rest}"));
    folder.apply();
    folder.assert_no_changes();
    assert_eq!(folder.count("domains"), 2);
    folder.destroy("demo").ok();
    assert_eq!(folder.count("domains"), 0);
}

#[test]
fn a_domain_stays_while_records_of_somebody_elses_are_in_it() {
    let folder = Folder::with(DOMAINS);
    folder.apply();
    let theirs = json!({ "type": "TXT", "name": "@", "data": "v=spf1 -all" });
    folder.cloud("POST", RECORDS, Some(&theirs));
    let named = "domain.example-com stays until these are gone that stand in it and are on no record \
                 of kplan's: DNS record TXT example.com (example.com/";
    let plan = folder.kplan(&["plan", "--sandbox", "--destroy"]).ok();
    plan.assert_says(&[named]);
    let run = folder.destroy("demo").expect_code(3);
    run.assert_says(&[named]);
    let refused = "its records would go with it, and these are still in it: DNS record TXT";
    assert!(
        run.err.replace("\n  │ ", " ").contains(refused),
        "{}",
        run.err
    );
    // Everything else is gone, and theirs is what it was.
    assert_eq!(folder.count("domains"), 1);
    let left = records(&folder);
    assert_eq!(said(&left), ["TXT @ v=spf1 -all 1800"]);
    folder.cloud("DELETE", &format!("{RECORDS}/{}", left[0].0), None);
    folder.destroy("demo").ok();
    assert_eq!(folder.count("domains"), 0);
}

#[test]
fn a_domain_that_is_there_is_imported_and_not_taken_over() {
    let folder = Folder::with(DOMAINS);
    folder.kplan(&["plan", "--sandbox"]).ok();
    let domain = json!({ "name": "example.com" });
    folder.cloud("POST", "/v2/domains", Some(&domain));
    let plan = folder.kplan(&["plan", "--sandbox"]).expect_code(1);
    let said = plan.err.replace("\n  │ ", " ");
    let taken = "the account has a domain named example.com already";
    assert!(said.contains(taken), "{said}");
    let said = said.replace("\n        ", " ");
    let import = "`kplan import domain.example-com example.com` takes it over";
    assert!(said.contains(import), "{said}");
    folder
        .kplan(&["import", "--discover", "--sandbox", "--write"])
        .ok();
    folder.apply();
    folder.assert_no_changes();
    // It was there before kplan, so it is there after it.
    folder.destroy("demo").expect_code(6);
    assert_eq!(folder.count("domains"), 2);
}

#[test]
fn a_domain_is_not_taken_from_under_its_records_nor_renamed() {
    let folder = Folder::with(DOMAINS);
    folder.apply();
    let without = DOMAINS.replace("[[domain]]\nname = \"example.com\"\n", "");
    folder.write(&without);
    let run = folder.kplan(&["plan", "--sandbox"]).expect_code(6);
    let said = run.err.replace("\n  │ ", " ");
    assert!(said.contains("domain::needed"), "{said}");
    let needed = "domain.example-com is to go, and domain_record.a-www-example-com is in it";
    assert!(said.contains(needed), "{said}");
    // What the message says to write keeps it.
    let kept = "[[removed]]\nfrom = \"domain.example-com\"\nkeep = true\n";
    assert!(said.contains("from = \"domain.example-com\""), "{said}");
    folder.write(&format!("{without}{kept}"));
    let plan = folder.kplan(&["plan", "--sandbox"]).ok();
    plan.assert_says(&["0 to destroy"]);

    folder.write(&DOMAINS.replace("name  = \"example.net\"", "name  = \"example.org\""));
    let run = folder.kplan(&["plan", "--sandbox"]).expect_code(6);
    assert!(run.err.contains("domain::renamed"), "{}", run.err);
    // Who else has records in what leaves the file is named before anybody agrees.
    let theirs = json!({ "type": "TXT", "name": "@", "data": "v=spf1 -all" });
    folder.cloud("POST", RECORDS, Some(&theirs));
    let (_, second) = DOMAINS.split_once("[[domain]]\nname  =").expect("two");
    let head = "[cluster]\nname   = \"demo\"\nregion = \"fra1\"\n";
    folder.write(&format!("{head}[[domain]]\nname  ={second}"));
    let plan = folder.kplan(&["plan", "--sandbox"]).ok();
    plan.assert_says(&[
        "DNS record TXT example.com (example.com/",
        "everything else is done, and apply ends with 3. Once they are deleted, run apply again",
    ]);
    let run = folder.kplan(&["apply", "--sandbox", "--auto-approve"]);
    run.expect_code(3);
    assert_eq!(folder.count("domains"), 2);
    assert_eq!(said_of(&folder), ["TXT @ v=spf1 -all 1800"]);
}

/// What the records of somebody say.
fn said_of(folder: &Folder) -> Vec<String> {
    records(folder).into_iter().map(|(_, said)| said).collect()
}

#[test]
fn a_record_that_is_kept_keeps_its_domain_through_a_destroy() {
    let kept = "[[removed]]\nfrom = \"domain_record.a-www-example-com\"\nkeep = true\n";
    let folder = Folder::with(DOMAINS);
    folder.apply();
    let record = "[[domain_record]]\ndomain = \"example.com\"\ntype   = \"A\"\nname   = \"www\"\n\
                  value  = \"203.0.113.7\"\n";
    assert!(DOMAINS.contains(record));
    folder.write(&format!("{}{kept}", DOMAINS.replace(record, "")));
    folder.destroy("demo").ok();
    assert_eq!(said_of(&folder), ["A www 203.0.113.7 1800"]);
    assert_eq!(folder.count("domains"), 1);
}
