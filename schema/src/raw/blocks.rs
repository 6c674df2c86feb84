//! The tables of what stands by itself. The comments of the keys become the descriptions in the JSON
//! Schema and the reference documentation.

use super::leaf::{Leaf, Opt, Req};
use super::reader::raw_table;
use super::secret::Sensitive;
use super::tables::RawStoreCredentials;
use crate::value::{
    BucketAcl, CheckProtocol, DatabaseEngine, DatabaseRuleType, EntryProtocol, FilesystemType,
    FirewallProtocol, Power, REGIONS, RecordType, SPACES_REGIONS, TargetProtocol,
};

raw_table! {
    /// `[[ssh_key]]`: an SSH public key to register with DigitalOcean.
    RawSshKey {
        /// DNS label, unique; part of its address, `ssh_key.<label>`. Default: the name in lower case,
        /// with hyphens for all that is no letter or digit.
        label: Opt<String>,
        /// The key's name at DigitalOcean, behind the cluster's where kplan runs one; at most 255
        /// characters.
        name: Req<String>,
        /// One line in OpenSSH's format: `ssh-ed25519 AAAA… you@host`.
        public_key: Req<String>,
        /// Whether it may not be destroyed. Default: `false`; in a file in which kplan runs no
        /// cluster, `[cluster] protect`.
        protect: Opt<bool>,
    }
}

raw_table! {
    /// `[[vpc]]`: a private network.
    RawFreeVpc {
        /// DNS label, unique; part of its address, `vpc.<label>`. Default: the name in lower case,
        /// with hyphens for all that is no letter or digit.
        label: Opt<String>,
        /// Its name, unique in the account.
        name: Req<String>,
        /// Default: the cluster's.
        #[schemars(extend("enum" = REGIONS))]
        region: Opt<String>,
        /// Private IPv4 network from /16 to /28; another one replaces the VPC. Default:
        /// DigitalOcean chooses.
        ip_range: Opt<String>,
        /// Free text.
        #[schemars(extend("default" = ""))]
        description: Opt<String>,
        /// Whether it may not be destroyed. Default: `false`; in a file in which kplan runs no
        /// cluster, `[cluster] protect`.
        protect: Opt<bool>,
    }
}

raw_table! {
    /// `[[droplet]]`: a droplet that is no node of the cluster.
    RawDroplet {
        /// DNS label, unique; part of its address, `droplet.<label>`. Default: the name in lower case,
        /// with hyphens for all that is no letter or digit.
        label: Opt<String>,
        /// The droplet's name, and its host name.
        name: Req<String>,
        /// Default: the cluster's.
        #[schemars(extend("enum" = REGIONS))]
        region: Opt<String>,
        /// Droplet size, such as `s-1vcpu-1gb`.
        size: Req<String>,
        /// Droplet image: a slug, or the number of a snapshot.
        #[schemars(extend("default" = "ubuntu-24-04-x64"))]
        image: Opt<String>,
        /// Label of a `[[vpc]]`, `main` for the cluster's own, or the UUID of one that is in no
        /// file. Default: the cluster's own where it is in this region, else the region's default.
        vpc: Opt<String>,
        /// SSH keys it takes at its first boot: labels of `[[ssh_key]]`, fingerprints or ids.
        /// Default: every `[[ssh_key]]` of the file.
        ssh_keys: Opt<Vec<Leaf<String>>>,
        /// Tags besides kplan's own.
        tags: Opt<Vec<Leaf<String>>>,
        /// What cloud-init runs at the first boot; no secrets. A change concerns droplets made later.
        user_data: Opt<String>,
        /// DigitalOcean's own weekly droplet backups, at its surcharge.
        #[schemars(extend("default" = false))]
        backups: Opt<bool>,
        /// DigitalOcean's monitoring agent; free. Changing it replaces the droplet.
        #[schemars(extend("default" = true))]
        monitoring: Opt<bool>,
        /// A public IPv6 address; it can be switched on, not off.
        #[schemars(extend("default" = false))]
        ipv6: Opt<bool>,
        /// The agent of the console. Default: DigitalOcean decides. Changing it replaces the droplet.
        droplet_agent: Opt<bool>,
        /// Whether another size grows the disk too, which cannot be undone.
        #[schemars(extend("default" = true))]
        resize_disk: Opt<bool>,
        /// `on`: it is powered on where it is found off. `any` leaves it alone.
        #[schemars(extend("enum" = Power::WORDS, "default" = "on"))]
        power: Opt<String>,
        /// Whether it may not be destroyed. Default: `false`; in a file in which kplan runs no
        /// cluster, `[cluster] protect`.
        protect: Opt<bool>,
    }
}

raw_table! {
    /// `[[volume]]`: a block storage volume.
    RawVolume {
        /// DNS label, unique; part of its address, `volume.<label>`. Default: the name in lower case,
        /// with hyphens for all that is no letter or digit.
        label: Opt<String>,
        /// The volume's name: lower-case letters, digits and hyphens; unique in the region.
        name: Req<String>,
        /// Default: the cluster's.
        #[schemars(extend("enum" = REGIONS))]
        region: Opt<String>,
        /// Size in GiB; it can only grow.
        #[schemars(extend("minimum" = 1, "maximum" = 16384))]
        size: Req<i64>,
        /// File system to make on the new volume; without it the volume is raw.
        #[schemars(extend("enum" = FilesystemType::WORDS))]
        filesystem: Opt<String>,
        /// Label of that file system.
        filesystem_label: Opt<String>,
        /// Id of the snapshot the new volume begins as.
        snapshot_id: Opt<String>,
        /// Free text.
        #[schemars(extend("default" = ""))]
        description: Opt<String>,
        /// Tags besides kplan's own.
        tags: Opt<Vec<Leaf<String>>>,
        /// The droplet it is attached to: `droplet.web-1`, `droplet.workers[0]`, or an id. Without it
        /// kplan neither attaches nor detaches it.
        droplet: Opt<String>,
        /// Whether it may not be destroyed. Default: `false`; in a file in which kplan runs no
        /// cluster, `[cluster] protect`.
        protect: Opt<bool>,
    }
}

raw_table! {
    /// `[[firewall]]`: which traffic reaches some droplets, and leaves them.
    RawFirewall {
        /// DNS label, unique; part of its address, `firewall.<label>`. Default: the name in lower case,
        /// with hyphens for all that is no letter or digit.
        label: Opt<String>,
        /// Its name, unique in the account.
        name: Req<String>,
        /// Droplets with one of these tags are protected; at most five.
        tags: Opt<Vec<Leaf<String>>>,
        /// Droplets that are protected: `droplet.web-1`, `droplet.workers` for all of a pool, or
        /// ids; at most ten.
        droplets: Opt<Vec<Leaf<String>>>,
        /// What may come in; everything else may not.
        inbound_rule: Opt<Vec<Leaf<RawInboundRule>>>,
        /// What may go out; everything else may not.
        outbound_rule: Opt<Vec<Leaf<RawOutboundRule>>>,
        /// Whether it may not be destroyed. Default: `false`; in a file in which kplan runs no
        /// cluster, `[cluster] protect`.
        protect: Opt<bool>,
    }
}

raw_table! {
    /// `[[firewall]] inbound_rule`: what may come in.
    RawInboundRule {
        /// What it is about.
        #[schemars(extend("enum" = FirewallProtocol::WORDS))]
        protocol: Req<String>,
        /// `443`, `8000-9000` or `all`; for TCP and UDP, which need it.
        port_range: Opt<String>,
        /// Addresses and networks.
        source_addresses: Opt<Vec<Leaf<String>>>,
        /// Tags of droplets.
        source_tags: Opt<Vec<Leaf<String>>>,
        /// Droplets: `droplet.web-1`, `droplet.workers` for all of a pool, or ids.
        source_droplets: Opt<Vec<Leaf<String>>>,
        /// Load balancers: labels of `[[load_balancer]]`, or ids.
        source_load_balancers: Opt<Vec<Leaf<String>>>,
    }
}

raw_table! {
    /// `[[firewall]] outbound_rule`: what may go out.
    RawOutboundRule {
        /// What it is about.
        #[schemars(extend("enum" = FirewallProtocol::WORDS))]
        protocol: Req<String>,
        /// `443`, `8000-9000` or `all`; for TCP and UDP, which need it.
        port_range: Opt<String>,
        /// Addresses and networks.
        destination_addresses: Opt<Vec<Leaf<String>>>,
        /// Tags of droplets.
        destination_tags: Opt<Vec<Leaf<String>>>,
        /// Droplets: `droplet.web-1`, `droplet.workers` for all of a pool, or ids.
        destination_droplets: Opt<Vec<Leaf<String>>>,
        /// Load balancers: labels of `[[load_balancer]]`, or ids.
        destination_load_balancers: Opt<Vec<Leaf<String>>>,
    }
}

raw_table! {
    /// `[[load_balancer]]`, or `[load_balancer.<label>]`: a public address that spreads connections
    /// over droplets.
    RawLoadBalancer {
        /// DNS label, unique; part of its address, `load_balancer.<label>`. Default: the name in
        /// lower case. In `[load_balancer.<label>]` the key is the label.
        label: Opt<String>,
        /// Its name, unique in the account; needed in `[[load_balancer]]`. Default: the key in
        /// `[load_balancer.<key>]`.
        name: Opt<String>,
        /// Default: the cluster's.
        #[schemars(extend("enum" = REGIONS))]
        region: Opt<String>,
        /// Number of load balancer nodes; it can be changed once an hour. Default: DigitalOcean's.
        #[schemars(extend("minimum" = 1, "maximum" = 100))]
        size_unit: Opt<i64>,
        /// Label of a `[[vpc]]`, `main` for the cluster's own, or the UUID of one that is in no
        /// file. Default: the cluster's own where it is in this region, else the region's default.
        vpc: Opt<String>,
        /// The tag of its droplets. Not together with `droplets`.
        tag: Opt<String>,
        /// Its droplets: `droplet.web-1`, `droplet.workers` for all of a pool, or ids.
        droplets: Opt<Vec<Leaf<String>>>,
        /// Where connections go; at least one.
        forwarding_rule: Req<Vec<Leaf<RawForwardingRule>>>,
        /// How droplets are checked. Default: DigitalOcean's own.
        healthcheck: Opt<RawHealthCheck>,
        /// Who may connect. Default: everybody.
        firewall: Opt<RawBalancerFirewall>,
        /// Redirect HTTP to HTTPS.
        #[schemars(extend("default" = false))]
        redirect_http_to_https: Opt<bool>,
        /// Tell droplets the client's address by the PROXY protocol.
        #[schemars(extend("default" = false))]
        enable_proxy_protocol: Opt<bool>,
        /// Keep connections to droplets open.
        #[schemars(extend("default" = false))]
        enable_backend_keepalive: Opt<bool>,
        /// Seconds an idle HTTP connection is kept. Default: DigitalOcean's.
        #[schemars(extend("minimum" = 30, "maximum" = 600))]
        http_idle_timeout_seconds: Opt<i64>,
        /// Whether it may not be destroyed. Default: `false`; in a file in which kplan runs no
        /// cluster, `[cluster] protect`.
        protect: Opt<bool>,
    }
}

raw_table! {
    /// `[[load_balancer]] forwarding_rule`: where connections to one port go.
    RawForwardingRule {
        /// What clients speak.
        #[schemars(extend("enum" = EntryProtocol::WORDS))]
        entry_protocol: Req<String>,
        /// Where they connect.
        #[schemars(extend("minimum" = 1, "maximum" = 65_535))]
        entry_port: Req<i64>,
        /// What droplets speak.
        #[schemars(extend("enum" = TargetProtocol::WORDS))]
        target_protocol: Req<String>,
        /// Where they listen.
        #[schemars(extend("minimum" = 1, "maximum" = 65_535))]
        target_port: Req<i64>,
        /// The id of a certificate at DigitalOcean, where TLS ends at the load balancer.
        certificate_id: Opt<String>,
        /// Whether TLS passes through untouched.
        #[schemars(extend("default" = false))]
        tls_passthrough: Opt<bool>,
    }
}

raw_table! {
    /// `[[load_balancer]] healthcheck`: how droplets are checked.
    RawHealthCheck {
        /// By what.
        #[schemars(extend("enum" = CheckProtocol::WORDS))]
        protocol: Req<String>,
        /// The droplets' port.
        #[schemars(extend("minimum" = 1, "maximum" = 65_535))]
        port: Req<i64>,
        /// The path, for HTTP and HTTPS. Default: `/`.
        path: Opt<String>,
        /// Seconds between two checks.
        #[schemars(extend("default" = 10, "minimum" = 3, "maximum" = 300))]
        check_interval_seconds: Opt<i64>,
        /// Seconds until a check has failed.
        #[schemars(extend("default" = 5, "minimum" = 3, "maximum" = 300))]
        response_timeout_seconds: Opt<i64>,
        /// Failures in a row that take a droplet out.
        #[schemars(extend("default" = 3, "minimum" = 2, "maximum" = 10))]
        unhealthy_threshold: Opt<i64>,
        /// Successes in a row that take it in again.
        #[schemars(extend("default" = 5, "minimum" = 2, "maximum" = 10))]
        healthy_threshold: Opt<i64>,
    }
}

raw_table! {
    /// `[[load_balancer]] firewall`: who may connect.
    RawBalancerFirewall {
        /// Who may: `ip:203.0.113.5` or `cidr:203.0.113.0/24`; nobody else, where it is not empty.
        allow: Opt<Vec<Leaf<String>>>,
        /// Who may not.
        deny: Opt<Vec<Leaf<String>>>,
    }
}

raw_table! {
    /// `[[database]]`: a managed database cluster that is not K3s's datastore.
    RawFreeDatabase {
        /// DNS label, unique; part of its address, `database.<label>`. Default: the name in lower case,
        /// with hyphens for all that is no letter or digit.
        label: Opt<String>,
        /// Its name, unique in the account.
        name: Req<String>,
        /// Its engine.
        #[schemars(extend("enum" = DatabaseEngine::WORDS))]
        engine: Req<String>,
        /// Engine version; it can only go up. Default: DigitalOcean chooses.
        version: Opt<String>,
        /// Plan, such as `db-s-1vcpu-2gb`; it can only grow.
        size: Req<String>,
        /// Default: the cluster's.
        #[schemars(extend("enum" = REGIONS))]
        region: Opt<String>,
        /// The primary and its standbys.
        #[schemars(extend("default" = 1, "minimum" = 1, "maximum" = 100))]
        nodes: Opt<i64>,
        /// The disk in MiB; it can only grow. Default: the plan's own.
        storage_size_mib: Opt<i64>,
        /// Label of a `[[vpc]]`, `main` for the cluster's own, or the UUID of one that is in no
        /// file. Default: the cluster's own where it is in this region, else the region's default.
        vpc: Opt<String>,
        /// Tags besides kplan's own.
        tags: Opt<Vec<Leaf<String>>>,
        /// Who may connect. Without it the database is open to the internet, and a new one is refused.
        rules: Opt<Vec<Leaf<RawDatabaseRule>>>,
        /// Whether it may not be destroyed. Default: `false`; in a file in which kplan runs no
        /// cluster, `[cluster] protect`.
        protect: Opt<bool>,
    }
}

raw_table! {
    /// `[[database]] rules`: a trusted source.
    RawDatabaseRule {
        /// What it is.
        #[schemars(extend("enum" = DatabaseRuleType::WORDS))]
        r#type: Req<String>,
        /// The tag; the droplet's address, such as `droplet.web-1` or
        /// `droplet.workers` for all of a pool, or its id; the address or network; or the id.
        value: Req<String>,
    }
}

raw_table! {
    /// `[[bucket]]`: a bucket of Spaces.
    RawFreeBucket {
        /// DNS label, unique; part of its address, `bucket.<label>`. Default: the name in lower case,
        /// with hyphens for all that is no letter or digit.
        label: Opt<String>,
        /// Its name, unique in the world; it stays taken for a week or more after it is deleted.
        name: Req<String>,
        /// A region that has Spaces. Default: the cluster's.
        #[schemars(extend("enum" = SPACES_REGIONS))]
        region: Opt<String>,
        /// Who may read its objects.
        #[schemars(extend("enum" = BucketAcl::WORDS, "default" = "private"))]
        acl: Opt<String>,
        /// Keep overwritten and deleted objects.
        #[schemars(extend("default" = false))]
        versioning: Opt<bool>,
        /// When objects go by themselves.
        lifecycle_rule: Opt<Vec<Leaf<RawLifecycleRule>>>,
        /// Whether destroying it destroys the objects in it; refused otherwise.
        #[schemars(extend("default" = false))]
        force_destroy: Opt<bool>,
        /// The key to use. Default: one that kplan makes for its buckets.
        credentials: Opt<Sensitive<RawStoreCredentials>>,
        /// Whether it may not be destroyed. Default: `false`; in a file in which kplan runs no
        /// cluster, `[cluster] protect`.
        protect: Opt<bool>,
    }
}

raw_table! {
    /// `[[bucket]] lifecycle_rule`: when objects go by themselves.
    RawLifecycleRule {
        /// Its name, unique in the bucket.
        id: Req<String>,
        /// The keys it is for begin so. Default: all.
        #[schemars(extend("default" = ""))]
        prefix: Opt<String>,
        /// Whether it is in force.
        #[schemars(extend("default" = true))]
        enabled: Opt<bool>,
        /// Days after which an object goes.
        #[schemars(extend("minimum" = 1))]
        expiration_days: Opt<i64>,
        /// Days after which an older version goes.
        #[schemars(extend("minimum" = 1))]
        noncurrent_version_expiration_days: Opt<i64>,
        /// Days after which an unfinished upload goes.
        #[schemars(extend("minimum" = 1))]
        abort_incomplete_multipart_upload_days: Opt<i64>,
    }
}

raw_table! {
    /// `[[reserved_ip]]`: a public address that outlives droplets.
    RawReservedIp {
        /// DNS label, unique; part of its address, `reserved_ip.<name>`. DigitalOcean gives it no
        /// name.
        name: Req<String>,
        /// Default: the cluster's.
        #[schemars(extend("enum" = REGIONS))]
        region: Opt<String>,
        /// The droplet it leads to: `droplet.web-1`, `droplet.servers[0]`, or an id. Without it
        /// kplan leaves it where it is.
        droplet: Opt<String>,
        /// Whether it may not be destroyed. Default: `false`; in a file in which kplan runs no
        /// cluster, `[cluster] protect`.
        protect: Opt<bool>,
    }
}

raw_table! {
    /// `[[domain]]`: a domain whose records DigitalOcean serves.
    RawDomain {
        /// DNS label, unique; part of its address, `domain.<label>`. Default: the name in lower case,
        /// with hyphens for all that is no letter or digit.
        label: Opt<String>,
        /// The domain, such as `example.com`.
        name: Req<String>,
        /// Whether it may not be destroyed. Default: `false`; in a file in which kplan runs no
        /// cluster, `[cluster] protect`.
        protect: Opt<bool>,
    }
}

raw_table! {
    /// `[[domain_record]]`: a DNS record in a domain that DigitalOcean serves.
    RawDomainRecord {
        /// Part of its address, `domain_record.<label>`. Default: its type and full name, such as
        /// `a-www-example-com`; several records of one type and name need labels of their own.
        label: Opt<String>,
        /// The domain: a `[[domain]]` of the file, or one that exists at DigitalOcean.
        domain: Req<String>,
        /// What the record is about.
        #[schemars(extend("enum" = RecordType::WORDS))]
        r#type: Req<String>,
        /// Name within the domain; `@` is the domain itself.
        name: Req<String>,
        /// What it says: an address for `A` and `AAAA`, text for `TXT`, else the full name of a
        /// host, or `@` for the domain itself.
        value: Req<String>,
        /// Seconds resolvers may keep it.
        #[schemars(extend("default" = 1800, "minimum" = 30, "maximum" = 2_147_483_647))]
        ttl: Opt<i64>,
        /// For `MX` and `SRV`, which need it: the lowest is asked first.
        #[schemars(extend("minimum" = 0, "maximum" = 65_535))]
        priority: Opt<i64>,
        /// For `SRV`, which needs it.
        #[schemars(extend("minimum" = 0, "maximum" = 65_535))]
        port: Opt<i64>,
        /// For `SRV`, which needs it: the share among those of one priority.
        #[schemars(extend("minimum" = 0, "maximum" = 65_535))]
        weight: Opt<i64>,
        /// Whether it may not be destroyed. Default: `false`; in a file in which kplan runs no
        /// cluster, `[cluster] protect`.
        protect: Opt<bool>,
    }
}
