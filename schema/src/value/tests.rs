//! What the leaf types accept, refuse and suggest.

use super::*;

fn ok<T: FromText>(text: &str) -> T {
    T::from_text(text).unwrap_or_else(|invalid| panic!("{text}: {}", invalid.what))
}

fn code<T: FromText + std::fmt::Debug>(text: &str) -> &'static str {
    T::from_text(text).expect_err(text).code.as_str()
}

fn replacement<T: FromText + std::fmt::Debug>(text: &str) -> Option<String> {
    T::from_text(text).expect_err(text).replacement
}

/// Every stand-in is a value its own type accepts, and every replacement is one, too.
#[test]
fn stand_ins_are_valid() {
    fn check<T: FromText + std::fmt::Display + PartialEq + std::fmt::Debug>() {
        let value = T::stand_in();
        assert_eq!(ok::<T>(&value.to_string()), value);
    }
    check::<RegionSlug>();
    check::<SizeSlug>();
    check::<DatabaseSize>();
    check::<ImageSlug>();
    check::<DnsLabel>();
    check::<ResourceName>();
    check::<Hostname>();
    check::<BucketName>();
    check::<SqlName>();
    check::<Tag>();
    check::<SshPublicKey>();
    check::<Cidr>();
    check::<K3sVersion>();
    check::<ArgoCdVersion>();
    check::<VeleroVersion>();
    check::<DatabaseVersion>();
    check::<LabelValue>();
    check::<Taint>();
    check::<RepoUrl>();
    check::<RepoPath>();
    check::<CronSchedule>();
    check::<Retention>();
    check::<Environment>();
    check::<Datastore>();
    check::<FilesystemType>();
    check::<Domain>();
    check::<RecordName>();
    check::<RecordType>();
}

#[test]
fn records_have_names_within_their_domains() {
    for name in ["@", "*", "www", "*.apps", "_sip._tcp", "a.b-c.d_e", "1"] {
        ok::<RecordName>(name);
    }
    for name in [
        "", ".", "www.", "a..b", "-a", "a b", "apps.*", "a@", "\u{e4}",
    ] {
        assert_eq!(code::<RecordName>(name), "spec::name_invalid", "{name:?}");
    }
    assert_eq!(replacement::<RecordName>("WWW").as_deref(), Some("www"));
    let domain: Domain = ok("example.com");
    assert_eq!(ok::<RecordName>("@").full(&domain), "example.com");
    assert_eq!(
        ok::<RecordName>("*.apps").full(&domain),
        "*.apps.example.com"
    );
    let within = |host: &str| RecordName::within(&ok::<Hostname>(host), &domain);
    assert_eq!(within("example.com"), Some(ok("@")));
    assert_eq!(within("a.b.example.com"), Some(ok("a.b")));
    assert_eq!(within("notexample.com"), None);
    assert_eq!(within("example.org"), None);
}

#[test]
fn domains_are_full_names() {
    ok::<Domain>("example.com");
    for domain in [
        "com",
        "example.com.",
        "Example.com",
        "a_b.com",
        "*.example.com",
        "",
    ] {
        assert_eq!(code::<Domain>(domain), "spec::name_invalid", "{domain:?}");
    }
    assert_eq!(
        replacement::<Domain>("Example.com.").as_deref(),
        Some("example.com")
    );
}

#[test]
fn what_a_record_says_fits_its_type() {
    let said = |kind: RecordType, text: &str| kind.value(text).ok();
    for (kind, text, spelled) in [
        (RecordType::A, "203.0.113.7", "203.0.113.7"),
        (RecordType::Aaaa, "2001:0DB8::0007", "2001:db8::7"),
        (RecordType::Cname, "WWW.example.com.", "www.example.com"),
        (RecordType::Mx, "@", "@"),
        (RecordType::Txt, "\"quoted\" Text.", "\"quoted\" Text."),
    ] {
        assert_eq!(said(kind, text).as_deref(), Some(spelled), "{kind} {text}");
    }
    for (kind, text) in [
        (RecordType::A, "2001:db8::7"),
        (RecordType::A, "203.0.113"),
        (RecordType::Aaaa, "203.0.113.7"),
        (RecordType::Cname, "203.0.113.7"),
        (RecordType::Cname, "www"),
        (RecordType::Ns, "a..b"),
        (RecordType::Srv, ""),
        (RecordType::Txt, ""),
        (RecordType::Txt, "two\nlines"),
    ] {
        assert_eq!(said(kind, text), None, "{kind} {text:?}");
    }
}

#[test]
fn sizes_say_cpus_and_memory() {
    let read = |text: &str| {
        let size = ok::<SizeSlug>(text);
        (size.vcpus(), size.memory_mib())
    };
    assert_eq!(read("s-2vcpu-4gb"), (2, Some(4096)));
    assert_eq!(read("s-1vcpu-512mb-10gb"), (1, Some(512)));
    assert_eq!(read("s-4vcpu-8gb-240gb-intel"), (4, Some(8192)));
    assert_eq!(read("so1_5-2vcpu-16gb"), (2, Some(16384)));
    assert_eq!(read("c-4"), (4, None));
    for (slip, meant) in [
        ("S-2VCPU-4GB", "s-2vcpu-4gb"),
        ("2vcpu-4gb", "s-2vcpu-4gb"),
        ("s-2cpu-4gb", "s-2vcpu-4gb"),
        ("s-2vcpu-4", "s-2vcpu-4gb"),
        ("s_2vcpu_4gb", "s-2vcpu-4gb"),
        ("s-2vcpus-4gib", "s-2vcpu-4gb"),
    ] {
        assert_eq!(
            replacement::<SizeSlug>(slip).as_deref(),
            Some(meant),
            "{slip}"
        );
    }
    for bad in [
        "",
        "s",
        "s-",
        "s-0vcpu-4gb",
        "s-2vcpu-",
        "large",
        "s-99999999999vcpu-4gb",
    ] {
        assert_eq!(code::<SizeSlug>(bad), "spec::size_invalid", "{bad}");
    }
}

#[test]
fn database_plans_say_their_connections() {
    let connections = |text: &str| ok::<DatabaseSize>(text).connections();
    assert_eq!(connections("db-s-1vcpu-1gb"), 22);
    assert_eq!(connections("db-s-1vcpu-2gb"), 47);
    assert_eq!(connections("db-intel-4vcpu-8gb"), 197);
    assert_eq!(ok::<DatabaseSize>("gd-2vcpu-8gb").memory_gib(), 8);
    assert_eq!(
        replacement::<DatabaseSize>("s-1vcpu-2gb").as_deref(),
        Some("db-s-1vcpu-2gb")
    );
    assert_eq!(
        replacement::<DatabaseSize>("db-1vcpu-2gb").as_deref(),
        Some("db-s-1vcpu-2gb")
    );
}

#[test]
fn networks_are_whole() {
    assert_eq!(ok::<Cidr>("203.0.113.7").to_string(), "203.0.113.7/32");
    assert_eq!(ok::<Cidr>("2001:db8::/32").prefix_len(), 32);
    assert_eq!(
        replacement::<Cidr>("10.0.0.1/24").as_deref(),
        Some("10.0.0.0/24")
    );
    for bad in ["", "10.0.0.0/33", "10.0.0", "office", "::/129"] {
        assert_eq!(code::<Cidr>(bad), "spec::cidr_invalid", "{bad}");
    }
    for (net, private) in [
        ("10.0.0.0/8", true),
        ("172.16.0.0/12", true),
        ("172.32.0.0/16", false),
        ("192.168.0.0/16", true),
        ("192.0.0.0/8", false),
        ("0.0.0.0/0", false),
        ("fd00::/8", false),
    ] {
        assert_eq!(ok::<Cidr>(net).is_private_v4(), private, "{net}");
    }
    assert!(ok::<Cidr>("10.0.0.0/8").overlaps(&ok("10.42.0.0/16")));
    assert!(ok::<Cidr>("10.42.7.0/24").overlaps(&ok("10.42.0.0/16")));
    assert!(!ok::<Cidr>("10.41.0.0/16").overlaps(&ok("10.42.0.0/16")));
}

#[test]
fn cron_schedules_are_checked_field_by_field() {
    for good in [
        "0 2 * * *",
        "*/15 * * * *",
        "0 0,12 1-15 jan-jun mon",
        "5/10 * * * *",
        "@daily",
        "0 2 ? * SUN",
    ] {
        assert_eq!(ok::<CronSchedule>(good).as_str(), good);
    }
    for bad in [
        "",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 7",
        "*/0 * * * *",
        "9-5 * * * *",
        "a * * * *",
        "1- * * * *",
        "@nightly",
        ", * * * *",
        "99999999999 * * * *",
    ] {
        assert_eq!(code::<CronSchedule>(bad), "spec::cron_invalid", "{bad}");
    }
}

#[test]
fn retentions_have_units() {
    assert_eq!(ok::<Retention>("30d").go_duration(), "720h0m0s");
    assert_eq!(ok::<Retention>("90m").go_duration(), "1h30m0s");
    assert_eq!(ok::<Retention>("8w").to_string(), "56d");
    for bad in [
        "",
        "30",
        "d",
        "0d",
        "-1d",
        "1.5h",
        "30 d",
        "1y",
        "99999w",
        "99999999999999999999d",
    ] {
        assert_eq!(code::<Retention>(bad), "spec::duration_invalid", "{bad}");
    }
}

#[test]
fn versions_are_pinned() {
    let version = ok::<K3sVersion>("v1.35.6+k3s1");
    assert_eq!(
        (version.minor(), version.kubernetes().as_str()),
        (35, "v1.35.6")
    );
    assert!(version.is_tested() && !ok::<K3sVersion>("v1.35.6+k3s2").is_tested());
    assert_eq!(
        ok::<K3sVersion>(DEFAULT_K3S_VERSION),
        K3sVersion::default_version()
    );
    for slip in ["1.35", "v1.35.6", "1.35.6+k3s1", "v1.35.6-k3s1"] {
        assert_eq!(
            replacement::<K3sVersion>(slip).as_deref(),
            Some("v1.35.6+k3s1"),
            "{slip}"
        );
    }
    assert_eq!(code::<K3sVersion>("stable"), "spec::version_invalid");
    assert_eq!(ok::<ArgoCdVersion>("v3.4.7").numbers(), (3, 4, 7));
    assert_eq!(
        replacement::<VeleroVersion>("1.17.2").as_deref(),
        Some("v1.17.2")
    );
    assert_eq!(ok::<DatabaseVersion>("8.4").major(), 8);
    assert_eq!(code::<DatabaseVersion>("latest"), "spec::version_invalid");
}

#[test]
fn names_are_repaired_where_they_can_be() {
    assert_eq!(
        replacement::<DnsLabel>("My Cluster!").as_deref(),
        Some("my-cluster")
    );
    assert_eq!(replacement::<DnsLabel>("-"), None);
    assert_eq!(
        replacement::<DnsLabel>(&"a".repeat(70)).map(|name| name.len()),
        Some(63)
    );
    assert_eq!(code::<BucketName>("ab"), "spec::name_invalid");
    assert_eq!(ok::<BucketName>("abc").as_str(), "abc");
    for bad in [
        "localhost",
        "https://a.b",
        "a.b.",
        "1.2.3.4",
        "a..b",
        "A.example.com",
    ] {
        assert_eq!(code::<Hostname>(bad), "spec::name_invalid", "{bad}");
    }
    assert_eq!(code::<SqlName>("K3s"), "spec::name_invalid");
    assert_eq!(code::<Tag>("KPLAN:demo"), "spec::name_invalid");
}

#[test]
fn labels_and_taints_follow_kubernetes() {
    for key in [
        "tier",
        "example.com/tier",
        "node.kubernetes.io/instance",
        "A_b.c-d",
    ] {
        assert_eq!(label_key(key).as_deref(), Ok(key));
    }
    for key in [
        "",
        "/a",
        "a/",
        "a/b/c",
        "-a",
        "kubernetes.io/role",
        "node-role.kubernetes.io/x",
    ] {
        assert!(label_key(key).is_err(), "{key}");
    }
    let taint = ok::<Taint>("dedicated=db:NoExecute");
    assert_eq!(
        (taint.key.as_str(), taint.value.as_str()),
        ("dedicated", "db")
    );
    assert_eq!(ok::<Taint>("dedicated:NoSchedule").value, "");
    assert_eq!(code::<Taint>("dedicated=db"), "spec::taint_invalid");
    assert_eq!(code::<Taint>("a:Never"), "spec::unknown_value");
    // Controllers take off what they did not put there.
    let theirs = "node.kubernetes.io/unschedulable:NoSchedule";
    assert_eq!(code::<Taint>(theirs), "spec::taint_invalid");
}

#[test]
fn repositories_are_read_over_https_or_ssh_without_credentials() {
    assert!(!ok::<RepoUrl>("https://github.com/acme/infra.git").is_ssh());
    assert!(ok::<RepoUrl>("git@github.com:acme/infra.git").is_ssh());
    assert!(ok::<RepoUrl>("ssh://git@github.com:22/acme/infra.git").is_ssh());
    for secret in [
        "https://x:y@github.com/a/b",
        "https://ghp@github.com/a",
        "ssh://g:p@h/a",
    ] {
        assert_eq!(code::<RepoUrl>(secret), "spec::secret_literal", "{secret}");
    }
    for bad in [
        "",
        "https://",
        "https://github.com",
        "http://h/a",
        "a/b",
        "https://h/a b",
    ] {
        assert_eq!(code::<RepoUrl>(bad), "spec::repo_invalid", "{bad}");
    }
    for bad in ["", "/a", "a/../b", "..", "a\\b"] {
        assert_eq!(code::<RepoPath>(bad), "spec::repo_invalid", "{bad}");
    }
}

#[test]
fn a_private_key_is_no_public_key() {
    let private = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n";
    assert_eq!(code::<SshPublicKey>(private), "spec::secret_literal");
    assert_eq!(code::<SshPublicKey>("ssh-ed25519"), "spec::ssh_key_invalid");
    assert_eq!(
        code::<SshPublicKey>("ssh-dss AAAA"),
        "spec::ssh_key_invalid"
    );
}

#[test]
fn environment_variables_have_plain_names() {
    assert_eq!(env_name("GITHUB_TOKEN").as_deref(), Ok("GITHUB_TOKEN"));
    for bad in ["", "$TOKEN", "${TOKEN}", "1A", "A B", "A-B"] {
        let invalid = env_name(bad).expect_err(bad);
        assert_eq!(invalid.code, Code::SecretSourceInvalid, "{bad}");
    }
    assert_eq!(
        env_name("ghp_0123456789abcdef").expect_err("token").code,
        Code::SecretLiteral
    );
}
