//! For each kind: what to make, what to change, and what it needs to be there first.

use crate::world::{World, attr};
use kplan_model::codec::ObjectCodec;
use kplan_model::{Address, Codec, Input, Known, Object, Value};
use kplan_providers::digitalocean::{
    DatabaseArgs, DatabaseDbArgs, DatabaseRule, DatabaseUserArgs, DomainArgs, DomainRecordArgs,
    DropletArgs, FirewallArgs, FirewallRule, ForwardingRule, HealthCheck, LoadBalancerArgs,
    LoadBalancerFirewall, ProjectArgs, ReservedIpArgs, SpacesGrant, SpacesKeyArgs, SshKeyArgs,
    TagArgs, VolumeArgs, VpcArgs, all_ports,
};
use kplan_providers::spaces::{BucketArgs, LifecycleRule};

/// What the contract needs to know of a kind.
pub(crate) struct Case {
    /// The address of the first one.
    pub(crate) address: Address,
    /// Its arguments.
    pub(crate) args: Object,
    /// The address of the one whose answer is lost.
    pub(crate) other: Address,
    /// Its arguments.
    pub(crate) second: Object,
    /// The path that makes one, or `s3`.
    pub(crate) create_path: &'static str,
    /// Fields and their new values, in this order.
    pub(crate) changes: Vec<(&'static str, Value)>,
    /// Fields that change in place but not here, because the sandbox has no such engine.
    pub(crate) untried: &'static [&'static str],
}

fn case(kind: &str, create_path: &'static str, args: Object, second: Object) -> Case {
    Case {
        address: format!("{kind}.first").parse().unwrap(),
        args,
        other: format!("{kind}.second").parse().unwrap(),
        second,
        create_path,
        changes: Vec::new(),
        untried: &[],
    }
}

fn text(text: &str) -> Value {
    Value::str(text)
}

fn texts(items: &[&str]) -> Value {
    Value::List(items.iter().map(|item| Value::str(*item)).collect())
}

pub(crate) fn input(text: impl Into<String>) -> Input<String> {
    Input::Known(text.into())
}

pub(crate) async fn a_tag(world: &World, name: &str) -> Known {
    let args = TagArgs {
        name: Some(name.to_owned()),
    };
    world.make(&format!("tag.{name}"), args.to_object()).await
}

pub(crate) fn vpc_args(name: &str, range: &str) -> VpcArgs {
    VpcArgs {
        name: name.to_owned(),
        region: "fra1".to_owned(),
        ip_range: Some(range.to_owned()),
        description: None,
    }
}

pub(crate) async fn a_vpc(world: &World) -> Known {
    world
        .make(
            "vpc.main",
            vpc_args("k3s-vpc-01", "10.10.10.0/24").to_object(),
        )
        .await
}

pub(crate) fn droplet_args(name: &str, vpc: Option<&Known>) -> DropletArgs {
    DropletArgs {
        name: name.to_owned(),
        region: "fra1".to_owned(),
        size: "s-1vcpu-2gb".to_owned(),
        image: "ubuntu-24-04-x64".to_owned(),
        vpc_uuid: vpc.map(|vpc| input(vpc.id.as_str())),
        ssh_keys: Vec::new(),
        tags: vec![input("web")],
        user_data: Some(input("#cloud-config\n")),
        boot: None,
        monitoring: true,
        backups: false,
        ipv6: false,
        droplet_agent: None,
        resize_disk: Some(false),
        power: Some("on".to_owned()),
    }
}

pub(crate) async fn a_droplet(world: &World, name: &str) -> Known {
    world
        .make(
            &format!("droplet.{name}"),
            droplet_args(name, None).to_object(),
        )
        .await
}

pub(crate) async fn tag(_world: &World) -> Case {
    let second = TagArgs {
        name: Some("role:b".to_owned()),
    };
    // Left out, the name is the owner's own tag.
    case(
        "tag",
        "/v2/tags",
        TagArgs { name: None }.to_object(),
        second.to_object(),
    )
}

pub(crate) async fn vpc(_world: &World) -> Case {
    let mut first = vpc_args("first", "10.20.0.0/24");
    first.description = Some("first".to_owned());
    let second = vpc_args("second", "10.21.0.0/16");
    let mut case = case("vpc", "/v2/vpcs", first.to_object(), second.to_object());
    case.changes = vec![("name", text("renamed")), ("description", text("other"))];
    case
}

pub(crate) async fn droplet(world: &World) -> Case {
    let vpc = a_vpc(world).await;
    let first = droplet_args("first", Some(&vpc)).to_object();
    let second = droplet_args("second", Some(&vpc)).to_object();
    let mut case = case("droplet", "/v2/droplets", first, second);
    case.changes = vec![
        ("name", text("renamed")),
        ("tags", texts(&["app", "db"])),
        ("backups", Value::Bool(true)),
        ("ipv6", Value::Bool(true)),
        ("size", text("s-2vcpu-4gb")),
        // It is on and stays on; a test of its own finds it off.
        ("power", text("on")),
    ];
    case
}

pub(crate) fn tcp(port: &str) -> FirewallRule {
    FirewallRule {
        port_range: Some(port.to_owned()),
        ..all_ports("tcp", &["0.0.0.0/0", "::/0"])
    }
}

pub(crate) async fn firewall(world: &World) -> Case {
    a_tag(world, "web").await;
    a_tag(world, "app").await;
    let droplet = a_droplet(world, "target").await;
    let out = ["0.0.0.0/0", "::/0"];
    let args = |name: &str| FirewallArgs {
        name: name.to_owned(),
        tags: vec![input("web")],
        droplet_ids: Vec::new(),
        inbound_rule: vec![
            tcp("443"),
            FirewallRule {
                tags: vec![input("web")],
                ..all_ports("udp", &["10.10.10.0/24"])
            },
            all_ports("icmp", &["10.0.0.0/8"]),
        ],
        outbound_rule: vec![
            all_ports("tcp", &out),
            all_ports("udp", &out),
            all_ports("icmp", &out),
        ],
    };
    let (first, second) = (args("first").to_object(), args("second").to_object());
    let mut case = case("firewall", "/v2/firewalls", first, second);
    case.changes = vec![
        ("name", text("renamed")),
        ("tags", texts(&["web", "app"])),
        ("droplet_ids", texts(&[droplet.id.as_str()])),
        (
            "inbound_rule",
            Value::list([tcp("22").encode(), tcp("8000-9000").encode()]),
        ),
        ("outbound_rule", Value::list([tcp("53").encode()])),
    ];
    case
}

pub(crate) async fn project(world: &World) -> Case {
    let one = a_droplet(world, "one").await;
    let two = a_droplet(world, "two").await;
    let args = |name: &str, members: &[&Known]| ProjectArgs {
        name: name.to_owned(),
        description: Some("a cluster".to_owned()),
        purpose: Some("Operational / Developer tooling".to_owned()),
        environment: Some("development".to_owned()),
        resources: members
            .iter()
            .map(|known| input(attr(known, "urn")))
            .collect(),
    };
    let (first, second) = (args("first", &[&one]), args("second", &[]));
    let mut case = case(
        "project",
        "/v2/projects",
        first.to_object(),
        second.to_object(),
    );
    case.changes = vec![
        ("name", text("renamed")),
        ("description", text("another cluster")),
        ("purpose", text("Kubernetes")),
        ("environment", text("Production")),
        (
            "resources",
            texts(&[&attr(&one, "urn"), &attr(&two, "urn")]),
        ),
        ("resources", texts(&[&attr(&two, "urn")])),
    ];
    case
}

/// Adds a domain to the account, by hand as people do.
pub(crate) async fn a_domain(world: &World, name: &str) {
    let body = serde_json::json!({ "name": name });
    world.by_hand("POST", "/v2/domains", &body).await;
}

pub(crate) fn record_args(kind: &str, name: &str, value: &str) -> DomainRecordArgs {
    DomainRecordArgs {
        domain: "example.com".to_owned(),
        r#type: kind.to_owned(),
        name: name.to_owned(),
        value: input(value),
        ttl: 1800,
        priority: None,
        port: None,
        weight: None,
    }
}

pub(crate) async fn domain(_world: &World) -> Case {
    let args = |name: &str| {
        let name = name.to_owned();
        DomainArgs { name }.to_object()
    };
    case(
        "domain",
        "/v2/domains",
        args("example.com"),
        args("example.org"),
    )
}

pub(crate) async fn domain_record(world: &World) -> Case {
    a_domain(world, "example.com").await;
    let service = DomainRecordArgs {
        priority: Some(10),
        port: Some(5060),
        weight: Some(100),
        ..record_args("SRV", "_sip._tcp", "sip.example.com")
    };
    let address = record_args("A", "k8s", "203.0.113.7");
    let path = "/v2/domains/example.com/records";
    let mut case = case(
        "domain_record",
        path,
        service.to_object(),
        address.to_object(),
    );
    case.changes = vec![
        ("name", text("_sips._tcp")),
        ("value", text("sip.example.net")),
        ("ttl", 300_u32.encode()),
        ("priority", 0_u32.encode()),
        ("port", 5061_u32.encode()),
        ("weight", 0_u32.encode()),
    ];
    case
}

pub(crate) async fn ssh_key(_world: &World) -> Case {
    let key = |text: &str| {
        use base64::Engine as _;
        let mut blob = vec![0, 0, 0, 11];
        blob.extend_from_slice(b"ssh-ed25519");
        blob.extend_from_slice(&[0, 0, 0, 32]);
        blob.extend_from_slice(text.repeat(32).as_bytes());
        format!(
            "ssh-ed25519 {} me@here",
            base64::engine::general_purpose::STANDARD.encode(blob)
        )
    };
    let args = |name: &str, letter: &str| SshKeyArgs {
        name: name.to_owned(),
        public_key: input(key(letter)),
    };
    let (first, second) = (
        args("first", "a").to_object(),
        args("second", "b").to_object(),
    );
    let mut case = case("ssh_key", "/v2/account/keys", first, second);
    case.changes = vec![("name", text("renamed"))];
    case
}

pub(crate) fn forward(port: u16) -> ForwardingRule {
    ForwardingRule {
        entry_protocol: "tcp".to_owned(),
        entry_port: port,
        target_protocol: "tcp".to_owned(),
        target_port: port,
        certificate_id: None,
        tls_passthrough: false,
    }
}

pub(crate) fn check(port: u16) -> HealthCheck {
    HealthCheck {
        protocol: "tcp".to_owned(),
        port,
        path: None,
        check_interval_seconds: 10,
        response_timeout_seconds: 5,
        unhealthy_threshold: 3,
        healthy_threshold: 5,
    }
}

pub(crate) async fn load_balancer(world: &World) -> Case {
    a_tag(world, "web").await;
    a_tag(world, "app").await;
    let droplet = a_droplet(world, "target").await;
    let vpc = a_vpc(world).await;
    let firewall = |allow: &[&str]| LoadBalancerFirewall {
        allow: allow.iter().map(|&entry| entry.to_owned()).collect(),
        deny: Vec::new(),
    };
    let args = |name: &str| LoadBalancerArgs {
        name: name.to_owned(),
        region: "fra1".to_owned(),
        size_unit: Some(1),
        forwarding_rule: vec![forward(6443)],
        healthcheck: Some(check(6443)),
        droplet_tag: Some(input("web")),
        droplet_ids: Vec::new(),
        vpc_uuid: Some(input(vpc.id.as_str())),
        firewall: Some(firewall(&["cidr:203.0.113.0/24"])),
        redirect_http_to_https: false,
        enable_proxy_protocol: false,
        enable_backend_keepalive: false,
        http_idle_timeout_seconds: Some(60),
    };
    let (first, second) = (args("first").to_object(), args("second").to_object());
    let mut case = case("load_balancer", "/v2/load_balancers", first, second);
    let http = ForwardingRule {
        entry_protocol: "http".to_owned(),
        target_protocol: "http".to_owned(),
        ..forward(80)
    };
    let open = firewall(&["ip:198.51.100.7", "cidr:203.0.113.0/24"]);
    case.changes = vec![
        ("name", text("renamed")),
        (
            "forwarding_rule",
            Value::list([forward(6443).encode(), http.encode()]),
        ),
        ("healthcheck", check(80).encode()),
        ("firewall", open.encode()),
        ("firewall", Value::Null),
        ("redirect_http_to_https", Value::Bool(false)),
        ("enable_proxy_protocol", Value::Bool(true)),
        ("enable_backend_keepalive", Value::Bool(true)),
        ("http_idle_timeout_seconds", Value::Int(120)),
        ("droplet_tag", text("app")),
        ("droplet_tag", Value::Null),
        ("droplet_ids", texts(&[droplet.id.as_str()])),
    ];
    // Not in the first hour after it was made: a test of its own waits for it.
    case.untried = &["size_unit"];
    case
}

pub(crate) async fn reserved_ip(world: &World) -> Case {
    let one = a_droplet(world, "one").await;
    let two = a_droplet(world, "two").await;
    let args = |droplet: Option<&Known>| ReservedIpArgs {
        region: "fra1".to_owned(),
        droplet_id: droplet.map(|droplet| input(droplet.id.as_str())),
    };
    let (first, second) = (args(None).to_object(), args(Some(&one)).to_object());
    let mut case = case("reserved_ip", "/v2/reserved_ips", first, second);
    case.changes = vec![
        ("droplet_id", text(two.id.as_str())),
        ("droplet_id", Value::Null),
        ("droplet_id", text(two.id.as_str())),
    ];
    case
}

pub(crate) fn volume_args(name: &str) -> VolumeArgs {
    VolumeArgs {
        name: name.to_owned(),
        region: "fra1".to_owned(),
        size: 10,
        description: Some("data".to_owned()),
        initial_filesystem_type: Some("ext4".to_owned()),
        initial_filesystem_label: Some("data".to_owned()),
        snapshot_id: None,
        tags: vec![input("web")],
        droplet_id: None,
    }
}

pub(crate) async fn volume(world: &World) -> Case {
    let one = a_droplet(world, "one").await;
    let two = a_droplet(world, "two").await;
    let (first, second) = (
        volume_args("first").to_object(),
        volume_args("second").to_object(),
    );
    let mut case = case("volume", "/v2/volumes", first, second);
    case.changes = vec![
        ("size", Value::Int(20)),
        ("droplet_id", text(one.id.as_str())),
        ("droplet_id", text(two.id.as_str())),
        ("tags", texts(&["app", "db"])),
    ];
    case
}

pub(crate) fn database_args(name: &str) -> DatabaseArgs {
    DatabaseArgs {
        name: name.to_owned(),
        engine: "pg".to_owned(),
        version: Some("16".to_owned()),
        size: "db-s-1vcpu-2gb".to_owned(),
        region: "fra1".to_owned(),
        node_count: 1,
        storage_size_mib: None,
        private_network_uuid: None,
        tags: vec![input("web")],
        rules: vec![DatabaseRule::tag("web".to_owned())],
    }
}

pub(crate) async fn a_database(world: &World) -> Known {
    a_tag(world, "web").await;
    world
        .make("database.main", database_args("main").to_object())
        .await
}

pub(crate) async fn database(world: &World) -> Case {
    a_tag(world, "web").await;
    a_tag(world, "app").await;
    let (first, second) = (
        database_args("first").to_object(),
        database_args("second").to_object(),
    );
    let mut case = case("database", "/v2/databases", first, second);
    let rule = DatabaseRule {
        kind: "ip_addr".to_owned(),
        value: input("203.0.113.7"),
    };
    let rules = vec![DatabaseRule::tag("app".to_owned()).encode(), rule.encode()];
    case.changes = vec![
        ("rules", Value::List(rules.into())),
        ("tags", texts(&["app"])),
        ("size", text("db-s-2vcpu-4gb")),
        ("node_count", Value::Int(2)),
        ("storage_size_mib", Value::Int(102_400)),
        ("region", text("nyc3")),
    ];
    // The sandbox has no upgrades; a unit test covers the call.
    case.untried = &["version"];
    case
}

pub(crate) async fn database_user(world: &World) -> Case {
    let cluster = a_database(world).await;
    let args = |name: &str| DatabaseUserArgs {
        cluster_id: input(cluster.id.as_str()),
        name: name.to_owned(),
        mysql_auth_plugin: None,
        password_after: None,
    };
    let (first, second) = (args("k3s").to_object(), args("other").to_object());
    let mut case = case("database_user", "/v2/databases/*/users", first, second);
    case.changes = vec![("password_after", Value::Int(1_795_970_305_336))];
    case.untried = &["mysql_auth_plugin"];
    case
}

pub(crate) async fn database_db(world: &World) -> Case {
    let cluster = a_database(world).await;
    let args = |name: &str| DatabaseDbArgs {
        cluster_id: input(cluster.id.as_str()),
        name: name.to_owned(),
    };
    case(
        "database_db",
        "/v2/databases/*/dbs",
        args("k3s").to_object(),
        args("other").to_object(),
    )
}

fn full_access() -> SpacesGrant {
    SpacesGrant {
        bucket: input(""),
        permission: "fullaccess".to_owned(),
    }
}

pub(crate) fn key_args(name: &str) -> SpacesKeyArgs {
    SpacesKeyArgs {
        name: name.to_owned(),
        grant: vec![full_access()],
    }
}

pub(crate) async fn a_key(world: &World) -> Known {
    world
        .make("spaces_key.main", key_args("main").to_object())
        .await
}

pub(crate) async fn spaces_key(world: &World) -> Case {
    let key = a_key(world).await;
    for name in ["one", "two"] {
        world
            .make(
                &format!("bucket.{name}"),
                bucket_args(name, &key).to_object(),
            )
            .await;
    }
    let grant = |bucket: &str, permission: &str| SpacesGrant {
        bucket: input(bucket),
        permission: permission.to_owned(),
    };
    let args = |name: &str| SpacesKeyArgs {
        name: name.to_owned(),
        grant: vec![grant("one", "readwrite")],
    };
    let (first, second) = (args("first").to_object(), args("second").to_object());
    let mut case = case("spaces_key", "/v2/spaces/keys", first, second);
    let grants = vec![grant("two", "read").encode(), grant("one", "read").encode()];
    case.changes = vec![
        ("name", text("renamed")),
        ("grant", Value::List(grants.into())),
    ];
    case
}

pub(crate) fn bucket_args(name: &str, key: &Known) -> BucketArgs {
    let Some(Value::Secret(secret)) = key.attrs.get("secret_key") else {
        panic!("the key has no secret: {:?}", key.attrs);
    };
    BucketArgs {
        name: Some(name.to_owned()),
        name_prefix: None,
        region: "fra1".to_owned(),
        acl: None,
        versioning: true,
        lifecycle_rule: vec![boot_rule(1)],
        force_destroy: false,
        access_key: Some(input(attr(key, "access_key"))),
        secret_key: Some(Input::Known(secret.clone())),
    }
}

fn boot_rule(days: u32) -> LifecycleRule {
    LifecycleRule {
        id: "boot".to_owned(),
        prefix: "boot/".to_owned(),
        enabled: true,
        expiration_days: Some(days),
        noncurrent_version_expiration_days: Some(days),
        abort_incomplete_multipart_upload_days: Some(days),
    }
}

pub(crate) async fn bucket(world: &World) -> Case {
    let key = a_key(world).await;
    let args = |name: &str| bucket_args(name, &key);
    bucket_case(&key, &args("first-3f9a1c2e"), &args("second-3f9a1c2e"))
}

/// Arguments of a bucket that gets a new name each time.
pub(crate) fn renamed_bucket_args(prefix: &str, key: &Known) -> BucketArgs {
    BucketArgs {
        name: None,
        name_prefix: Some(prefix.to_owned()),
        ..bucket_args(prefix, key)
    }
}

/// The same, for buckets with a new name each time.
pub(crate) async fn renamed_bucket(world: &World) -> Case {
    let key = a_key(world).await;
    let args = |prefix: &str| renamed_bucket_args(prefix, &key);
    // One prefix begins like the other.
    bucket_case(&key, &args("kplan-demo"), &args("kplan-demo-3f9a1c2e"))
}

fn bucket_case(key: &Known, first: &BucketArgs, second: &BucketArgs) -> Case {
    let mut case = case("bucket", "s3", first.to_object(), second.to_object());
    let older = LifecycleRule {
        id: "older".to_owned(),
        prefix: String::new(),
        ..boot_rule(30)
    };
    case.changes = vec![
        ("acl", text("public-read")),
        ("acl", text("private")),
        ("versioning", Value::Bool(false)),
        (
            "lifecycle_rule",
            Value::list([older.encode(), boot_rule(2).encode()]),
        ),
        ("lifecycle_rule", Value::List([].into())),
        ("force_destroy", Value::Bool(true)),
        ("secret_key", key.attrs["secret_key"].clone()),
        ("access_key", key.attrs["access_key"].clone()),
    ];
    case
}
