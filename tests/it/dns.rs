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
