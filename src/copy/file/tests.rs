//! The file of a copy: what is left out of it, and what stays.

use super::*;

/// Everything that can exist once, in the forms people write it.
const FIRST: &str = r#"# Ours.
[cluster]
name    = "first" # never renamed
region  = "fra1"
protect = true

[project]
name = "Shop"
environment = "Production"

[servers]
count = 3
size  = "s-2vcpu-4gb"

[network]
vpc = { name = "shop-net", ip_range = "10.10.0.0/20" }
api_allow = ["203.0.113.0/24"]

# Where kubectl goes.
[endpoint]
hostname = "k8s.example.com"

[gitops]
repo    = "https://github.com/acme/infra.git"
ingress = { host = "argocd.example.com" }

[backup]
bucket    = "first-backup"
schedules = [{ name = "nightly", cron = "0 2 * * *" }]

[[ssh_key]]
name       = "me"
public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@host"

[[droplet]]
name = "bastion"
size = "s-1vcpu-1gb"

[[volume]]
name = "scratch"
size = 10

[[domain]]
name = "example.com"

[[domain_record]]
domain = "example.com"
type   = "CNAME"
name   = "www"
value  = "shop.example.net"
"#;

fn spec(text: &str) -> Spec {
    let parsed = kplan_schema::parse(&Source::new("cluster.toml", text.to_owned()));
    parsed
        .spec
        .unwrap_or_else(|| panic!("{text}\n{:#?}", parsed.diagnostics))
}

fn wanted(region: Option<&str>) -> Wanted<'_> {
    Wanted {
        name: "copy",
        region,
        mark: "01234567",
        state: Some("s3://acme-state?region=fra1".to_owned()),
    }
}

fn copied(text: &str, region: Option<&str>) -> (Spec, Vec<&'static str>, String) {
    let (text, changes) = of(&spec(text), text, &wanted(region));
    let what = changes.iter().map(|change| change.what).collect();
    (spec(&text), what, text)
}

#[test]
fn what_exists_once_is_the_first_clusters_and_the_rest_is_as_it_was() {
    let (copy, what, text) = copied(FIRST, Some("ams3"));
    assert_eq!((copy.name(), copy.region()), ("copy", "ams3"));
    assert!(copy.cluster.protect.value);
    assert_eq!(copy.project.as_ref().unwrap().name.as_str(), "copy");
    assert_eq!(copy.network.vpc.name.as_str(), "copy");
    assert!(copy.network.vpc.ip_range.is_none() && copy.network.api_allow.is_some());
    assert!(copy.endpoint.is_none() && copy.api_load_balancer.is_some());
    assert!(copy.gitops.as_ref().unwrap().ingress.is_none());
    assert!(copy.ssh_keys.is_empty() && copy.droplets.is_empty());
    assert!(copy.volumes.is_empty() && copy.domain_records.is_empty());
    assert!(copy.domains.is_empty());
    let Some(BackupStore::Own { bucket, region, .. }) = copy.backup.map(|it| it.store) else {
        panic!("{text}")
    };
    assert_eq!(
        (bucket.as_str(), region.as_str()),
        ("copy-backup-01234567", "ams3")
    );
    assert_eq!(
        what,
        [
            "cluster.name",
            "cluster.region",
            "project.name",
            "network.vpc.name",
            "network.vpc.ip_range",
            "ssh_key",
            "droplet",
            "volume",
            "domain",
            "domain_record",
            "endpoint",
            "load_balancer.api",
            "gitops.ingress",
            "backup.bucket",
        ]
    );
    for kept in [
        "# Ours.",
        "# never renamed",
        "# Where kubectl goes.",
        "# hostname = \"k8s.example.com\"",
        "# [[domain_record]]",
    ] {
        assert!(text.contains(kept), "{kept} is not in\n{text}");
    }
    assert_eq!(
        shared_bucket(&spec(FIRST), &spec(FIRST)).as_deref(),
        Some("first-backup")
    );
    assert_eq!(shared_bucket(&spec(FIRST), &spec(&text)), None);
}

/// Whatever else can stand beside a cluster.
const BESIDE: &str = r#"
[load_balancer.api]

[load_balancer.web]
tag             = "web"
forwarding_rule = [{ entry_protocol = "tcp", entry_port = 80, target_protocol = "tcp", target_port = 80 }]

[[vpc]]
name = "office"

[[firewall]]
name         = "web"
droplets     = ["droplet.servers"]
inbound_rule = [{ protocol = "tcp", port_range = "80", source_load_balancers = ["web"] }]

[[database]]
name   = "shop"
engine = "pg"
size   = "db-s-1vcpu-1gb"
vpc    = "office"
rules  = [{ type = "droplet", value = "droplet.bastion" }]

[[bucket]]
name = "first-assets"

[[reserved_ip]]
name    = "bastion"
droplet = "droplet.bastion"
"#;

#[test]
fn what_stands_beside_the_first_stands_there_alone() {
    let (copy, what, text) = copied(&format!("{FIRST}{BESIDE}"), None);
    assert!(copy.api_load_balancer.is_some() && copy.load_balancers.is_empty());
    assert!(copy.vpcs.is_empty() && copy.firewalls.is_empty(), "{text}");
    assert!(copy.databases.is_empty() && copy.buckets.is_empty());
    assert!(copy.reserved_ips.is_empty() && copy.droplets.is_empty());
    assert!(what.contains(&"load_balancer") && what.contains(&"reserved_ip"));
    // Without the API's it may be a list, of which nothing stays.
    let list = BESIDE.replace("[load_balancer.api]\n", "");
    let list = list.replace("[load_balancer.web]", "[[load_balancer]]\nname = \"web\"");
    let (copy, _, _) = copied(&format!("{FIRST}{list}"), None);
    assert!(copy.load_balancers.is_empty() && copy.api_load_balancer.is_some());
}

#[test]
fn a_bucket_is_where_there_are_buckets() {
    let region = |text: &str, to: Option<&str>| match copied(text, to).0.backup.unwrap().store {
        BackupStore::Own { region, .. } => region.to_string(),
        BackupStore::Existing { .. } => panic!("not the copy's own"),
    };
    assert_eq!(region(FIRST, None), "fra1");
    // No Spaces in nyc1.
    assert_eq!(region(FIRST, Some("nyc1")), "fra1");
    let explicit = FIRST.replace("[backup]\n", "[backup]\nregion = \"sgp1\"\n");
    assert_eq!(region(&explicit, None), "sgp1");
    assert_eq!(region(&explicit, Some("ams3")), "ams3");
    assert_eq!(region(&explicit, Some("nyc1")), "sgp1");
    let store = "[backup]\nstore = \"s3://acme/first?region=fra1\"\ncredentials = { access_key = \"key\", secret_key = { env = \"S3\" } }\n";
    let existing = FIRST.replace("[backup]\nbucket    = \"first-backup\"\n", store);
    assert_eq!(region(&existing, None), "fra1");
    assert_eq!(region(&existing, Some("nyc1")), "nyc3");
    let apart = store.replace(
        "credentials = { access_key = \"key\", secret_key = { env = \"S3\" } }\n",
        "schedules = []\n[backup.credentials]\naccess_key = \"key\"\nsecret_key = { env = \"S3\" }\n",
    );
    let small = FIRST.split("[backup]").next().unwrap().to_owned() + &apart;
    assert_eq!(region(&small, None), "fra1");
}

#[test]
fn a_tree_that_was_written_for_the_first_cluster_is_not_followed() {
    let git = FIRST.replace("[gitops]\n", "[gitops]\ndelivery = \"git\"\n");
    let (copy, what, _) = copied(&git, None);
    assert!(copy.gitops.is_none());
    assert!(what.contains(&"gitops") && !what.contains(&"gitops.ingress"));
}

#[test]
fn an_address_that_is_not_a_name_stays() {
    let one = FIRST.replace("count = 3", "count = 1").replace(
        "hostname = \"k8s.example.com\"",
        "hostname = \"k8s.example.com\"\ndomain = \"example.com\"\nreserved_ip = true",
    );
    let (copy, what, _) = copied(&one, None);
    let endpoint = copy.endpoint.unwrap();
    assert!(endpoint.reserved_ip.value);
    assert!(endpoint.hostname.is_none() && endpoint.domain.is_none());
    assert!(copy.api_load_balancer.is_none());
    assert!(what.contains(&"endpoint.hostname") && what.contains(&"endpoint.domain"));
}

#[test]
fn a_shared_state_stays_in_the_region_that_was_the_clusters() {
    let shared = format!("{FIRST}\n[state]\nbackend = \"s3://acme-state\"\n");
    for (region, wanted) in [(None, "fra1"), (Some("ams3"), "fra1")] {
        let (copy, ..) = copied(&shared, region);
        let StateBackend::S3(place) = copy.state.value else {
            panic!("not shared")
        };
        assert_eq!(place.region(), wanted);
    }
}

#[test]
fn names_and_regions_are_the_schemas() {
    assert!(is_name("copy") && is_region("ams3"));
    for wrong in ["", "Copy", "../copy", "a b", "a\"b", "-a"] {
        assert!(!is_name(wrong), "{wrong}");
    }
    assert!(!is_region("mars1"));
}
