//! The blocks that stand by themselves: whatever exists at DigitalOcean beside a cluster.
//!
//! Each has a label, which is its name in the file (`droplet.<label>`), and a name, which is what
//! DigitalOcean shows. `protect` is `None` where the file does not say.

use super::Spec;
use crate::span::{Span, Spanned};
use crate::value::{
    AccessKey, AddressRange, BalancerSource, BlockRef, BucketAcl, BucketName, CheckProtocol, Cidr,
    DatabaseEngine, DatabaseRuleType, DatabaseSize, DatabaseVersion, DnsLabel, Domain, DropletRef,
    EntryProtocol, FilesystemType, FirewallProtocol, ImageSlug, PortRange, Power, RecordName,
    RecordType, RegionSlug, ResourceName, SecretSource, SizeSlug, SshPublicKey, Tag,
    TargetProtocol, UserData,
};

/// One `[[ssh_key]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshKey {
    /// Part of the address (`ssh_key.<label>`); default: the name as a DNS label.
    pub label: Spanned<DnsLabel>,
    /// The key's name at DigitalOcean; after the cluster's where kplan runs one.
    pub name: Spanned<String>,
    /// One line in OpenSSH's format.
    pub public_key: Spanned<SshPublicKey>,
    /// Whether it may not be destroyed.
    pub protect: Option<Spanned<bool>>,
    /// The table's header.
    pub span: Option<Span>,
}

/// One `[[vpc]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreeVpc {
    /// Part of the address; default: the name as a DNS label.
    pub label: Spanned<DnsLabel>,
    /// Unique in the account.
    pub name: Spanned<ResourceName>,
    /// Default: the cluster's.
    pub region: Spanned<RegionSlug>,
    /// `None` lets DigitalOcean choose.
    pub ip_range: Option<Spanned<Cidr>>,
    /// Default empty.
    pub description: Spanned<String>,
    /// Whether it may not be destroyed.
    pub protect: Option<Spanned<bool>>,
    /// The table's header.
    pub span: Option<Span>,
}

/// One `[[droplet]]` that is no cluster node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreeDroplet {
    /// Part of the address; neither `servers` nor an agent pool's name. Default: the name as a
    /// DNS label.
    pub label: Spanned<DnsLabel>,
    /// The droplet's name, and its host name.
    pub name: Spanned<ResourceName>,
    /// Default: the cluster's.
    pub region: Spanned<RegionSlug>,
    /// Droplet size.
    pub size: Spanned<SizeSlug>,
    /// Default `ubuntu-24-04-x64`.
    pub image: Spanned<ImageSlug>,
    /// `None`: the cluster's own VPC where there is one in its region, else the region's default.
    pub vpc: Option<Spanned<BlockRef>>,
    /// Labels of `[[ssh_key]]`, fingerprints or ids; `None` for every `[[ssh_key]]` of the file.
    pub ssh_keys: Option<Vec<Spanned<String>>>,
    /// Tags besides kplan's own.
    pub tags: Vec<Spanned<Tag>>,
    /// What cloud-init runs at its first boot.
    pub user_data: Option<Spanned<UserData>>,
    /// DigitalOcean's own droplet backups; default false.
    pub backups: Spanned<bool>,
    /// DigitalOcean's monitoring agent; default true.
    pub monitoring: Spanned<bool>,
    /// A public IPv6 address; default false.
    pub ipv6: Spanned<bool>,
    /// The console's agent; `None` lets DigitalOcean decide.
    pub droplet_agent: Option<Spanned<bool>>,
    /// Whether another size grows the disk too, for good; default true.
    pub resize_disk: Option<Spanned<bool>>,
    /// Default `on`.
    pub power: Spanned<Power>,
    /// Whether it may not be destroyed.
    pub protect: Option<Spanned<bool>>,
    /// The table's header.
    pub span: Option<Span>,
}

/// One `[[volume]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreeVolume {
    /// Part of the address; default: the name.
    pub label: Spanned<DnsLabel>,
    /// Unique in the region.
    pub name: Spanned<DnsLabel>,
    /// Default: the cluster's.
    pub region: Spanned<RegionSlug>,
    /// Size in GiB, 1 to 16384; it can only grow.
    pub size: Spanned<u32>,
    /// File system made at creation; `None` leaves it raw.
    pub filesystem: Option<Spanned<FilesystemType>>,
    /// The label of that file system.
    pub filesystem_label: Option<Spanned<String>>,
    /// The snapshot it begins as.
    pub snapshot_id: Option<Spanned<String>>,
    /// Default empty.
    pub description: Spanned<String>,
    /// Tags besides kplan's own.
    pub tags: Vec<Spanned<Tag>>,
    /// The droplet it is attached to; never a whole pool. `None` leaves that to others.
    pub droplet: Option<Spanned<DropletRef>>,
    /// Whether it may not be destroyed.
    pub protect: Option<Spanned<bool>>,
    /// The table's header.
    pub span: Option<Span>,
}

/// One `[[firewall]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreeFirewall {
    /// Part of the address; default: the name as a DNS label.
    pub label: Spanned<DnsLabel>,
    /// Unique in the account.
    pub name: Spanned<ResourceName>,
    /// Droplets with one of these tags are protected; at most five.
    pub tags: Vec<Spanned<Tag>>,
    /// Droplets that are protected, by address.
    pub droplets: Vec<Spanned<DropletRef>>,
    /// What may come in; nothing else may.
    pub inbound_rule: Vec<TrafficRule>,
    /// What may go out; nothing else may.
    pub outbound_rule: Vec<TrafficRule>,
    /// Whether it may not be destroyed.
    pub protect: Option<Spanned<bool>>,
    /// The table's header.
    pub span: Option<Span>,
}

/// One rule of a firewall. Its other end are sources or destinations, by where it stands; it has
/// at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrafficRule {
    /// What it is about.
    pub protocol: Spanned<FirewallProtocol>,
    /// Given exactly where the protocol is not ICMP.
    pub port_range: Option<Spanned<PortRange>>,
    /// Addresses and networks.
    pub addresses: Vec<Spanned<AddressRange>>,
    /// Tags of droplets.
    pub tags: Vec<Spanned<Tag>>,
    /// Droplets.
    pub droplets: Vec<Spanned<DropletRef>>,
    /// Load balancers.
    pub load_balancers: Vec<Spanned<BlockRef>>,
    /// The table.
    pub span: Option<Span>,
}

/// One `[[load_balancer]]`, or one `[load_balancer.<label>]` besides `api`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreeLoadBalancer {
    /// Part of the address; not `api` where the cluster's own is.
    pub label: Spanned<DnsLabel>,
    /// Unique in the account.
    pub name: Spanned<ResourceName>,
    /// Default: the cluster's.
    pub region: Spanned<RegionSlug>,
    /// Number of its nodes, 1 to 100; `None` lets DigitalOcean decide.
    pub size_unit: Option<Spanned<u32>>,
    /// As a droplet's.
    pub vpc: Option<Spanned<BlockRef>>,
    /// The tag of its droplets. Not together with `droplets`.
    pub tag: Option<Spanned<Tag>>,
    /// Its droplets by address.
    pub droplets: Vec<Spanned<DropletRef>>,
    /// Where connections go; at least one.
    pub forwarding_rule: Vec<Forwarding>,
    /// How droplets are checked; `None` leaves it as it is.
    pub healthcheck: Option<BalancerCheck>,
    /// Who may connect; `None` for everybody.
    pub firewall: Option<BalancerFirewall>,
    /// Default false.
    pub redirect_http_to_https: Spanned<bool>,
    /// Whether droplets are told the client's address; default false.
    pub enable_proxy_protocol: Spanned<bool>,
    /// Whether connections to droplets stay open; default false.
    pub enable_backend_keepalive: Spanned<bool>,
    /// Seconds an idle HTTP connection is kept, 30 to 600.
    pub http_idle_timeout_seconds: Option<Spanned<u32>>,
    /// Whether it may not be destroyed.
    pub protect: Option<Spanned<bool>>,
    /// The table's header.
    pub span: Option<Span>,
}

/// Where connections to one port of a load balancer go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forwarding {
    /// What clients speak.
    pub entry_protocol: Spanned<EntryProtocol>,
    /// Where they connect, 1 to 65535.
    pub entry_port: Spanned<u32>,
    /// What droplets speak.
    pub target_protocol: Spanned<TargetProtocol>,
    /// Where they listen, 1 to 65535.
    pub target_port: Spanned<u32>,
    /// The certificate at DigitalOcean, where TLS ends at the load balancer.
    pub certificate_id: Option<Spanned<String>>,
    /// Whether TLS passes through; default false.
    pub tls_passthrough: Spanned<bool>,
    /// The table.
    pub span: Option<Span>,
}

/// How a load balancer checks droplets. The defaults are DigitalOcean's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalancerCheck {
    /// By what.
    pub protocol: Spanned<CheckProtocol>,
    /// The droplets' port.
    pub port: Spanned<u32>,
    /// Default `/`; not for TCP.
    pub path: Option<Spanned<String>>,
    /// 3 to 300; default 10.
    pub check_interval_seconds: Spanned<u32>,
    /// 3 to 300; default 5.
    pub response_timeout_seconds: Spanned<u32>,
    /// 2 to 10; default 3.
    pub unhealthy_threshold: Spanned<u32>,
    /// 2 to 10; default 5.
    pub healthy_threshold: Spanned<u32>,
    /// The table.
    pub span: Option<Span>,
}

/// Who may connect to a load balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalancerFirewall {
    /// Who may.
    pub allow: Vec<Spanned<BalancerSource>>,
    /// Who may not.
    pub deny: Vec<Spanned<BalancerSource>>,
    /// The table.
    pub span: Option<Span>,
}

/// One `[[database]]`: a managed database cluster that is not K3s's datastore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreeDatabase {
    /// Part of the address; default: the name as a DNS label.
    pub label: Spanned<DnsLabel>,
    /// Unique in the account.
    pub name: Spanned<ResourceName>,
    /// Its engine.
    pub engine: Spanned<DatabaseEngine>,
    /// `None` lets DigitalOcean choose.
    pub version: Option<Spanned<DatabaseVersion>>,
    /// Plan.
    pub size: Spanned<DatabaseSize>,
    /// Default: the cluster's.
    pub region: Spanned<RegionSlug>,
    /// The primary and its standbys, 1 to 100; default 1.
    pub nodes: Spanned<u32>,
    /// The disk in MiB; `None` for the plan's own.
    pub storage_size_mib: Option<Spanned<u32>>,
    /// As a droplet's.
    pub vpc: Option<Spanned<BlockRef>>,
    /// Tags besides kplan's own.
    pub tags: Vec<Spanned<Tag>>,
    /// Who may connect; empty only for a database that is there already and open to all.
    pub rules: Vec<DatabaseRule>,
    /// Whether it may not be destroyed.
    pub protect: Option<Spanned<bool>>,
    /// The table's header.
    pub span: Option<Span>,
}

/// A trusted source of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseRule {
    /// Who.
    pub source: DatabaseSource,
    /// The table.
    pub span: Option<Span>,
}

/// Who may connect to a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseSource {
    /// Every droplet with a tag.
    Tag(Spanned<Tag>),
    /// A droplet, or all of a pool.
    Droplet(Spanned<DropletRef>),
    /// An address or a network.
    Address(Spanned<AddressRange>),
    /// Something of DigitalOcean's by its id.
    Other(DatabaseRuleType, Spanned<String>),
}

/// One `[[bucket]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreeBucket {
    /// Part of the address; default: the name.
    pub label: Spanned<DnsLabel>,
    /// Unique in the world.
    pub name: Spanned<BucketName>,
    /// A region that has Spaces; default: the cluster's.
    pub region: Spanned<RegionSlug>,
    /// Default `private`.
    pub acl: Spanned<BucketAcl>,
    /// Whether older versions of objects are kept; default false.
    pub versioning: Spanned<bool>,
    /// When objects go by themselves.
    pub lifecycle_rule: Vec<BucketRule>,
    /// Whether destroying it destroys what is in it; default false.
    pub force_destroy: Spanned<bool>,
    /// The key to use; `None` for one that kplan makes.
    pub credentials: Option<BucketCredentials>,
    /// Whether it may not be destroyed.
    pub protect: Option<Spanned<bool>>,
    /// The table's header.
    pub span: Option<Span>,
}

/// A key of Spaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketCredentials {
    /// The id of the key.
    pub access_key: Spanned<AccessKey>,
    /// The key.
    pub secret_key: Spanned<SecretSource>,
}

/// When objects of a bucket go by themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketRule {
    /// Unique in the bucket.
    pub id: Spanned<String>,
    /// The keys it is for begin so; default empty, for all.
    pub prefix: Spanned<String>,
    /// Default true.
    pub enabled: Spanned<bool>,
    /// Days after which an object goes.
    pub expiration_days: Option<Spanned<u32>>,
    /// Days after which an older version goes.
    pub noncurrent_version_expiration_days: Option<Spanned<u32>>,
    /// Days after which an unfinished upload goes.
    pub abort_incomplete_multipart_upload_days: Option<Spanned<u32>>,
    /// The table.
    pub span: Option<Span>,
}

/// One `[[reserved_ip]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreeReservedIp {
    /// Part of the address (`reserved_ip.<name>`); DigitalOcean gives it no name.
    pub name: Spanned<DnsLabel>,
    /// Default: the cluster's.
    pub region: Spanned<RegionSlug>,
    /// The droplet it leads to; never a whole pool.
    pub droplet: Option<Spanned<DropletRef>>,
    /// Whether it may not be destroyed.
    pub protect: Option<Spanned<bool>>,
    /// The table's header.
    pub span: Option<Span>,
}

/// One `[[domain]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreeDomain {
    /// Part of the address (`domain.<label>`); default: made of the name.
    pub label: Spanned<DnsLabel>,
    /// The domain.
    pub name: Spanned<Domain>,
    /// Whether it may not be destroyed.
    pub protect: Option<Spanned<bool>>,
    /// The table's header.
    pub span: Option<Span>,
}

/// One `[[domain_record]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainRecord {
    /// Part of the address (`domain_record.<label>`); default: type and full name, such as
    /// `a-www-example-com`. A default has the place of the table.
    pub label: Spanned<String>,
    /// The domain: a `[[domain]]` of the file, or one that is there already.
    pub domain: Spanned<Domain>,
    /// What the record is about.
    pub kind: Spanned<RecordType>,
    /// Its name within the domain.
    pub name: Spanned<RecordName>,
    /// What it says: an address as it is printed, a host in lower case without a dot at the end,
    /// or text.
    pub value: Spanned<String>,
    /// Seconds that resolvers may keep it, 30 to 2147483647; default 1800.
    pub ttl: Spanned<u32>,
    /// Lower ones come first; for `MX` and `SRV`, and there it is always given.
    pub priority: Option<Spanned<u32>>,
    /// For `SRV`, and there it is always given.
    pub port: Option<Spanned<u32>>,
    /// Share among those of one priority; for `SRV`, and there it is always given.
    pub weight: Option<Spanned<u32>>,
    /// Whether it may not be destroyed; `None` where the file does not say.
    pub protect: Option<Spanned<bool>>,
    /// The table's header.
    pub span: Option<Span>,
}

impl Spec {
    /// What a free-standing block says of its protection; nothing where it says nothing, or there is
    /// no such block.
    pub fn protect_of(&self, kind: &str, label: &str) -> Option<bool> {
        macro_rules! said {
            ($blocks:expr, $label:ident) => {{
                let mut blocks = $blocks.iter();
                let block = blocks.find(|it| it.$label.as_str() == label);
                block.and_then(|it| it.protect.as_ref())
            }};
        }
        let said = match kind {
            "ssh_key" => said!(self.ssh_keys, label),
            "vpc" => said!(self.vpcs, label),
            "droplet" => said!(self.droplets, label),
            "volume" => said!(self.volumes, label),
            "firewall" => said!(self.firewalls, label),
            "load_balancer" => said!(self.load_balancers, label),
            "database" => said!(self.databases, label),
            "bucket" => said!(self.buckets, label),
            "reserved_ip" => said!(self.reserved_ips, name),
            "domain" => said!(self.domains, label),
            "domain_record" => said!(self.domain_records, label),
            _ => None,
        };
        said.map(|protect| protect.value)
    }
}
