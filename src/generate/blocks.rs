//! Blocks of what stands by itself: keys, networks, droplets, volumes, addresses, buckets and DNS
//! records.

use super::block::{Block, Inline, Key, quoted};
use super::k3s::Pool;
use super::names::Names;
use super::read::{Machine, typed};
use kplan_providers::digitalocean::{
    Discovered, DomainAttrs, DomainRecordAttrs, ReservedIpAttrs, SshKeyAttrs, VolumeAttrs, VpcAttrs,
};
use kplan_providers::spaces::{BucketAttrs, LifecycleRule};
use kplan_schema::value::DnsLabel;
use std::collections::BTreeSet;

/// Resolvers keep a record so many seconds where the file does not say.
const TTL: u32 = 1800;

/// What blocks are written for.
#[derive(Clone, Debug, Default)]
pub(super) struct Site {
    /// The file's region, which blocks need not name.
    pub region: String,
    /// Whether what names no VPC in that region stands in the cluster's own.
    pub has_own_vpc: bool,
    /// The id of that one, where it is known.
    pub own_vpc: Option<String>,
    /// The default VPCs of all regions, by id.
    pub defaults: BTreeSet<String>,
    /// What the names of SSH keys begin with at DigitalOcean and not in the file.
    pub prefix: String,
    /// The public half of the key that sees buckets.
    pub access_key: String,
    /// Whether load balancers are a list in the file.
    pub balancers_are_listed: bool,
    /// The addresses of everything.
    pub names: Names,
}

impl Site {
    /// The keys that say where something stands.
    pub(super) fn place(&self, block: &mut Block, region: &str, vpc: Option<&str>) {
        if region != self.region {
            block.text("region", region);
        }
        let Some(vpc) = vpc else { return };
        let own_is_meant = self.has_own_vpc && region == self.region;
        let is_meant = if own_is_meant {
            self.own_vpc.as_deref() == Some(vpc)
        } else {
            self.defaults.contains(vpc)
        };
        if !is_meant {
            block.text("vpc", &self.names.block("vpc", vpc));
        }
    }

    /// A block of this kind with the keys that say what it is called.
    pub(super) fn named(&self, key: Key, name: &str) -> Block {
        let label = self.names.block(key.0, &key.1);
        let mut block = Block::new(format!("[[{}]]", key.0));
        if DnsLabel::of(name).as_str() != label {
            block.text("label", &label);
        }
        block.text("name", name);
        let address = format!("{}.{label}", key.0);
        block.holding(key, address)
    }
}

/// One `[[ssh_key]]`.
pub(super) fn ssh_key(site: &Site, key: Key, one: &Discovered) -> Option<Block> {
    let attrs: SshKeyAttrs = typed(one)?;
    let name = attrs.name.strip_prefix(site.prefix.as_str())?;
    let mut block = site.named(key, name);
    block.text("public_key", attrs.public_key.trim());
    Some(block)
}

/// One `[[vpc]]`, or the cluster's own.
pub(super) fn vpc(site: &Site, key: Key, one: &Discovered) -> Option<Block> {
    let attrs: VpcAttrs = typed(one)?;
    let mut block = if site.own_vpc.as_ref() == Some(&one.id) {
        let mut block = Block::new("[network.vpc]").holding(key, "vpc.main");
        block.text("name", &attrs.name);
        block
    } else {
        let mut block = site.named(key, &attrs.name);
        site.place(&mut block, &attrs.region, None);
        block.optional("description", attrs.description.as_deref());
        block
    };
    block.optional("ip_range", attrs.ip_range.as_deref());
    Some(block)
}

/// One `[[droplet]]`.
pub(super) fn droplet(site: &Site, key: Key, machine: &Machine) -> Block {
    let mut block = site.named(key, &machine.name);
    site.place(&mut block, &machine.region, machine.vpc.as_deref());
    hardware(&mut block, machine);
    if !machine.on {
        block.text("power", "any");
    }
    block
}

fn hardware(block: &mut Block, machine: &Machine) {
    block.text("size", &machine.size);
    block.optional("image", machine.image.as_deref());
    block.texts("tags", &machine.tags);
    block.flag("backups", machine.backups, false);
    block.flag("monitoring", machine.monitoring, true);
    block.flag("ipv6", machine.ipv6, false);
}

/// `[servers]`, or one `[[agents]]`.
pub(super) fn pool(pool: &Pool<'_>) -> Option<Block> {
    let first = pool.members.first()?;
    let mut block = if pool.name == "servers" {
        Block::new("[servers]")
    } else {
        let mut block = Block::new("[[agents]]");
        block.text("name", &pool.name);
        block
    };
    block.row("count", pool.members.len().to_string());
    hardware(&mut block, first);
    for (index, machine) in pool.members.iter().enumerate() {
        let address = format!("droplet.{}[{index}]", pool.name);
        block = block.holding(("droplet", machine.id.clone()), address);
    }
    Some(block)
}

/// One `[[volume]]`.
pub(super) fn volume(site: &Site, key: Key, one: &Discovered) -> Option<Block> {
    let attrs: VolumeAttrs = typed(one)?;
    let mut block = site.named(key, &attrs.name);
    site.place(&mut block, &attrs.region, None);
    block.row("size", attrs.size.to_string());
    // What kplan does not know as a file system was made by hand, and nothing makes it again.
    let made = attrs
        .filesystem_type
        .filter(|it| matches!(it.as_str(), "ext4" | "xfs"));
    if let Some(filesystem) = made {
        block.text("filesystem", &filesystem);
        block.optional("filesystem_label", attrs.filesystem_label.as_deref());
    }
    block.optional("description", attrs.description.as_deref());
    block.texts("tags", &attrs.tags);
    // One attached to a droplet of somebody else's is left to whoever attached it.
    let droplet = attrs.droplet_id.as_deref();
    block.optional(
        "droplet",
        droplet.and_then(|id| site.names.address("droplet", id)),
    );
    Some(block)
}

/// One `[[reserved_ip]]`.
pub(super) fn reserved_ip(site: &Site, key: Key, one: &Discovered) -> Option<Block> {
    let attrs: ReservedIpAttrs = typed(one)?;
    let label = site.names.block(key.0, &key.1);
    let address = format!("reserved_ip.{label}");
    let mut block = Block::new("[[reserved_ip]]").holding(key, address);
    block.notes.push(attrs.ip_address);
    block.text("name", &label);
    site.place(&mut block, &attrs.region, None);
    let droplet = attrs.droplet_id.as_deref();
    block.optional(
        "droplet",
        droplet.and_then(|id| site.names.address("droplet", id)),
    );
    Some(block)
}

/// One `[[bucket]]`, with the key that sees it: kplan would make one of its own otherwise.
pub(super) fn bucket(site: &Site, key: Key, one: &Discovered) -> Option<Block> {
    let attrs: BucketAttrs = typed(one)?;
    let mut block = site.named(key, &attrs.name);
    site.place(&mut block, &attrs.region, None);
    block.optional("acl", attrs.acl.as_deref().filter(|acl| *acl != "private"));
    block.flag("versioning", attrs.versioning, false);
    let rules: Vec<Inline> = attrs.lifecycle_rule.iter().map(lifecycle).collect();
    block.tables("lifecycle_rule", &rules);
    let mut credentials = Inline::default();
    credentials.row("access_key", quoted(&site.access_key));
    credentials.row("secret_key", "{ env = \"SPACES_SECRET_ACCESS_KEY\" }");
    block.row("credentials", credentials.as_toml());
    Some(block)
}

fn lifecycle(rule: &LifecycleRule) -> Inline {
    let mut inline = Inline::default();
    inline.row("id", quoted(&rule.id));
    inline.optional("prefix", Some(&rule.prefix));
    if !rule.enabled {
        inline.row("enabled", false);
    }
    for (key, days) in [
        ("expiration_days", rule.expiration_days),
        (
            "noncurrent_version_expiration_days",
            rule.noncurrent_version_expiration_days,
        ),
        (
            "abort_incomplete_multipart_upload_days",
            rule.abort_incomplete_multipart_upload_days,
        ),
    ] {
        if let Some(days) = days {
            inline.row(key, days);
        }
    }
    inline
}

/// One `[[domain]]`.
pub(super) fn domain(site: &Site, key: Key, one: &Discovered) -> Option<Block> {
    let attrs: DomainAttrs = typed(one)?;
    Some(site.named(key, &attrs.name))
}

/// One `[[domain_record]]`.
pub(super) fn domain_record(site: &Site, key: Key, one: &Discovered) -> Option<Block> {
    let attrs: DomainRecordAttrs = typed(one)?;
    let label = site.names.block(key.0, &key.1);
    let address = format!("domain_record.{label}");
    let mut block = Block::new("[[domain_record]]").holding(key, address);
    if label != label_of(&attrs) {
        block.text("label", &label);
    }
    block.text("domain", &attrs.domain);
    block.text("type", &attrs.r#type);
    block.text("name", &attrs.name);
    block.row("value", quoted(&attrs.value));
    if attrs.ttl != TTL {
        block.row("ttl", attrs.ttl.to_string());
    }
    for (name, number) in [
        ("priority", attrs.priority),
        ("port", attrs.port),
        ("weight", attrs.weight),
    ] {
        if let Some(number) = number {
            block.row(name, number.to_string());
        }
    }
    Some(block)
}

/// The label that the file gives a record by itself.
pub(super) fn label_of(record: &DomainRecordAttrs) -> String {
    kplan_schema::value::record_label(&record.r#type, &record.name, &record.domain)
}
