//! Good files are read as what they say, with defaults filled in and places kept.

use super::{good, parse_text, spec_files};
use crate::spec::{BackupStore, DatabaseSource, GitCredentials, Mirror, Pool};
use crate::value::{BlockRef, Datastore, DnsLabel, SecretSource};
use crate::{Severity, Spanned, Spec};

fn spec(name: &str) -> Spec {
    let parsed = parse_text(&good(name));
    let errors: Vec<_> = parsed
        .diagnostics
        .iter()
        .filter(|finding| finding.is_error())
        .collect();
    assert!(errors.is_empty(), "{name}: {errors:?}");
    parsed.spec.expect("a spec without errors")
}

#[test]
fn every_good_file_is_accepted() {
    for (stem, text) in spec_files("good") {
        let parsed = parse_text(&text);
        assert!(parsed.spec.is_some(), "{stem}: {:?}", parsed.diagnostics);
        assert!(
            parsed
                .diagnostics
                .iter()
                .all(|finding| finding.level() == Severity::Warning)
        );
    }
}

#[test]
fn minimal_is_one_server_with_every_default() {
    let spec = spec("minimal");
    assert_eq!((spec.name(), spec.region()), ("demo", "fra1"));
    assert_eq!(
        (spec.server_count(), spec.agent_count(), spec.node_count()),
        (1, 0, 1)
    );
    assert_eq!(spec.datastore(), Datastore::Sqlite);
    assert!(spec.k3s.datastore.is_default() && spec.servers.count.is_default());
    assert_eq!(spec.k3s.version.to_string(), "v1.35.6+k3s1");
    assert_eq!(spec.servers.image.as_str(), "ubuntu-24-04-x64");
    assert_eq!(spec.network.vpc.name.as_str(), "demo");
    assert_eq!(spec.network.vpc.ip_range, None);
    assert_eq!(spec.api_sources(), ["0.0.0.0/0", "::/0"]);
    assert!(spec.network.ssh_allow.is_empty());
    assert_eq!(
        spec.k3s_disable(),
        ["local-storage", "servicelb", "traefik"]
    );
    assert!(spec.gitops.is_none() && spec.backup.is_none() && spec.project.is_none());
    assert!(spec.secret_sources().is_empty());
    assert_eq!(spec.node_name("servers", 0), "demo-servers-0");
}

#[test]
fn minimal_warns_of_what_is_open() {
    assert_eq!(
        super::codes(&good("minimal")),
        ["spec::api_allow_open", "spec::cloud_controller_token"]
    );
}

#[test]
fn single_node_follows_a_repository_and_backs_up() {
    let spec = spec("single-node");
    let gitops = spec.gitops.as_ref().expect("gitops");
    assert_eq!(gitops.repo.as_str(), "https://github.com/acme/infra.git");
    assert_eq!(
        (gitops.path.as_str(), gitops.revision.as_str()),
        ("clusters/demo", "HEAD")
    );
    assert_eq!(gitops.version.as_str(), "v3.4.7");
    let Some(GitCredentials::Token(token)) = gitops.credentials.as_ref().map(|c| &c.value) else {
        panic!("no token");
    };
    assert_eq!(token.value, SecretSource::Env("GITHUB_TOKEN".to_owned()));
    let backup = spec.backup.as_ref().expect("backup");
    let BackupStore::Own {
        region, versioning, ..
    } = &backup.store
    else {
        panic!("{backup:?}")
    };
    assert_eq!(region.as_str(), "fra1");
    assert!(region.is_default() && versioning.value);
    let schedule = &backup.schedules[0];
    assert_eq!(
        (schedule.name.as_str(), schedule.cron.as_str()),
        ("nightly", "0 2 * * *")
    );
    assert_eq!(schedule.keep.go_duration(), "720h0m0s");
}

#[test]
fn backups_may_go_to_a_bucket_of_another_store() {
    let spec = spec("backup-elsewhere");
    let backup = spec.backup.as_ref().expect("backup");
    let BackupStore::Existing {
        place, access_key, ..
    } = &backup.store
    else {
        panic!("{backup:?}")
    };
    assert_eq!(
        (place.bucket.as_str(), place.prefix.as_str(), place.region()),
        ("acme-backup", "demo", "eu-central-003")
    );
    assert_eq!(place.url(), "https://s3.eu-central-003.backblazeb2.com");
    assert_eq!(access_key.value.as_str(), "00352f1d9b7a");
    let sources: Vec<&str> = spec
        .secret_sources()
        .into_iter()
        .map(|(at, _)| at)
        .collect();
    assert!(sources.contains(&"backup.credentials.secret_key"));
    // Without an endpoint it is in Spaces, in the cluster's region.
    let text = std::fs::read_to_string(super::specs("good").join("backup-elsewhere.toml")).unwrap();
    let text = text.replace(
        "?region=eu-central-003&endpoint=https://s3.eu-central-003.backblazeb2.com",
        "",
    );
    let spec = parse_text(&text).spec.expect("valid");
    let Some(BackupStore::Existing { place, .. }) = spec.backup.map(|backup| backup.store) else {
        panic!()
    };
    assert_eq!(place.url(), "https://fra1.digitaloceanspaces.com");
}

#[test]
fn ha_etcd_has_pools_taints_and_sources() {
    let spec = spec("ha-etcd");
    assert_eq!(spec.datastore(), Datastore::Etcd);
    assert!(spec.k3s.datastore.is_default());
    assert_eq!((spec.server_count(), spec.agent_count()), (3, 4));
    let names: Vec<&str> = spec.pools().map(Pool::name).collect();
    assert_eq!(names, ["servers", "workers", "databases"]);
    let databases = &spec.agents[1];
    assert_eq!(databases.count.value, 1);
    assert_eq!(
        databases.taints[0].to_string(),
        "dedicated=database:NoSchedule"
    );
    assert_eq!(databases.labels["example.com/fast"].as_str(), "yes");
    assert_eq!(databases.image.as_str(), spec.servers.image.as_str());
    assert_eq!(
        spec.api_sources(),
        ["203.0.113.0/24", "2001:db8::/32", "198.51.100.7/32"]
    );
    let balancer = spec.api_load_balancer.as_ref().expect("load balancer");
    assert_eq!(
        (balancer.name.as_str(), balancer.size_unit.value),
        ("prod-api", 2)
    );
    assert_eq!(
        spec.api_hostname().expect("hostname").as_str(),
        "k8s.example.com"
    );
    let sources: Vec<&str> = spec
        .secret_sources()
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    assert_eq!(
        sources,
        ["gitops.credentials.ssh_key", "cloud_controller.token"]
    );
    assert_eq!(spec.droplets[0].tags[0].as_str(), "env:prod");
    assert_eq!(spec.volumes[0].size.value, 100);
    let Some(Mirror::Url(url)) = &spec.mirror else {
        panic!("no mirror")
    };
    assert_eq!(url.as_str(), "https://mirror.example.com/kplan");
    let apps = &spec.backup.as_ref().expect("backup").schedules[1];
    assert_eq!(apps.include_namespaces.len(), 2);
    assert_eq!(apps.keep.to_string(), "2d");
}

#[test]
fn ha_postgres_is_the_managed_one() {
    let spec = spec("ha-postgres");
    assert_eq!(spec.datastore().engine(), Some("pg"));
    let database = spec.k3s.database.as_ref().expect("database");
    assert_eq!(database.name.as_str(), "k3s-ext-datastore");
    assert_eq!(database.user.as_str(), "k3s_default_user");
    assert_eq!(database.database.as_str(), "k3s");
    assert_eq!(
        (database.size.memory_gib(), database.size.connections()),
        (2, 47)
    );
    assert!(spec.cluster.protect.value);
    let range = spec.network.vpc.ip_range.as_ref().expect("range");
    assert_eq!(range.to_string(), "10.10.10.0/24");
    let project = spec.project.as_ref().expect("project");
    assert_eq!(project.environment.as_str(), "Development");
    assert!(project.purpose.is_default());
    assert!(matches!(
        spec.gitops
            .as_ref()
            .and_then(|g| g.credentials.as_ref())
            .map(|c| &c.value),
        Some(GitCredentials::GithubApp { .. })
    ));
}

#[test]
fn dns_records_have_one_spelling_and_an_address() {
    let spec = spec("dns");
    let (domain, name) = spec.api_record().expect("the API's record");
    assert_eq!((domain.as_str(), name.as_str()), ("example.com", "k8s"));
    let told: Vec<_> = spec
        .domain_records
        .iter()
        .map(|record| {
            (
                record.label.as_str(),
                record.value.as_str(),
                record.ttl.value,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("a-wildcard-apps-example-com", "203.0.113.80", 300),
            ("cname-www-example-com", "shop.example.net", 1800),
            ("mail-1", "mail-1.example.com", 1800),
            ("mail-2", "@", 1800),
            ("srv-sip-tcp-example-com", "sip.example.com", 1800),
            ("txt-dmarc-example-com", "v=DMARC1; p=none", 1800),
            ("aaaa-example-com", "2001:db8::7", 1800),
        ]
    );
    let service = &spec.domain_records[4];
    let numbers = [&service.priority, &service.port, &service.weight];
    assert_eq!(
        numbers.map(|number| number.as_ref().map(|number| number.value)),
        [Some(10), Some(5060), Some(0)]
    );
}

#[test]
fn leaves_remember_their_places() {
    let text = good("ha-postgres");
    let spec = spec("ha-postgres");
    let shown = |span: Option<crate::Span>| {
        let span = span.expect("written in the file");
        text[span.start..span.end].to_owned()
    };
    assert_eq!(shown(spec.cluster.region.span), "\"fra1\"");
    assert_eq!(shown(spec.servers.count.span), "3");
    assert_eq!(shown(spec.servers.span), "[servers]");
    assert_eq!(shown(spec.agents[0].span), "[[agents]]");
    assert_eq!(shown(spec.agents[0].labels["tier"].span), "\"app\"");
    assert_eq!(
        shown(spec.k3s.database.as_ref().expect("database").span),
        "[k3s.database]"
    );
    assert_eq!(
        shown(spec.network.vpc.ip_range.as_ref().expect("range").span),
        "\"10.10.10.0/24\""
    );
    assert_eq!(
        shown(spec.network.vpc.span),
        "{ name = \"k3s-vpc-01\", ip_range = \"10.10.10.0/24\" }"
    );
}

#[test]
fn a_file_without_servers_describes_what_it_names() {
    let spec = spec("without-cluster");
    assert_eq!(super::codes(&good("without-cluster")), Vec::<&str>::new());
    assert!(!spec.runs_k3s() && !spec.has_servers() && !spec.has_own_vpc());
    assert_eq!((spec.pools().count(), spec.node_count()), (0, 0));
    let labels = |labels: Vec<&Spanned<DnsLabel>>| -> Vec<String> {
        labels.into_iter().map(ToString::to_string).collect()
    };
    let vpcs = spec.vpcs.iter().map(|it| &it.label).collect();
    assert_eq!(labels(vpcs), ["main", "backup-nyc"]);
    let droplets = spec.droplets.iter().map(|it| &it.label).collect();
    assert_eq!(labels(droplets), ["web-1", "web-2"]);
    let web = &spec.droplets[1];
    assert_eq!(web.name.as_str(), "web-2.example.com");
    assert!(matches!(
        web.vpc.as_ref().map(|vpc| &vpc.value),
        Some(BlockRef::Id(_))
    ));
    assert!(
        web.user_data
            .as_ref()
            .is_some_and(|it| it.as_str().starts_with("#cloud-config\n"))
    );
    assert_eq!(
        web.protect.as_ref().map(|protect| protect.value),
        Some(false)
    );
    assert_eq!(spec.droplets[0].protect, None);
    let inbound = &spec.firewalls[0].inbound_rule;
    assert_eq!(inbound[1].addresses[0].as_str(), "203.0.113.7");
    assert!(inbound[2].port_range.is_none());
    let check = spec.load_balancers[0]
        .healthcheck
        .as_ref()
        .expect("a check");
    assert_eq!(
        (
            check.healthy_threshold.value,
            check.unhealthy_threshold.value
        ),
        (5, 3)
    );
    assert!(matches!(
        spec.databases[0].rules[0].source,
        DatabaseSource::Tag(_)
    ));
    assert_eq!(spec.buckets[0].region.as_str(), "fra1");
    let sources = spec.secret_sources().into_iter().map(|(at, _)| at);
    assert_eq!(
        sources.collect::<Vec<_>>(),
        ["bucket.credentials.secret_key"]
    );
}

#[test]
fn a_file_of_somebody_elses_k3s_describes_droplets() {
    let spec = spec("unmanaged-k3s");
    assert_eq!(super::codes(&good("unmanaged-k3s")), Vec::<&str>::new());
    assert!(!spec.runs_k3s() && spec.has_servers() && spec.has_own_vpc());
    assert_eq!((spec.server_count(), spec.agent_count()), (3, 2));
    assert_eq!(spec.servers.unmanaged.tags[1].as_str(), "k3s-server");
    assert_eq!(spec.load_balancers[0].label.as_str(), "front");
    assert!(spec.load_balancers[0].label.span.is_some());
}

/// Beside a cluster of kplan's a load balancer is a table of its own beside `api`.
#[test]
fn load_balancers_stand_beside_the_clusters_own() {
    let rule = "forwarding_rule = [{ entry_protocol = \"tcp\", entry_port = 80, \
                target_protocol = \"tcp\", target_port = 80 }]";
    let text = good("ha-etcd").replace(
        "[load_balancer.api]",
        &format!("[load_balancer.web]\ntag = \"web\"\n{rule}\n\n[load_balancer.api]"),
    );
    let spec = parse_text(&text).spec.expect("valid");
    assert_eq!(spec.load_balancers[0].label.as_str(), "web");
    assert_eq!(spec.load_balancers[0].name.as_str(), "web");
    assert_eq!(
        spec.api_load_balancer.expect("the API's").size_unit.value,
        2
    );
}
