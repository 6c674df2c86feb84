//! What of an account comes into a file, as blocks.

use super::block::{Block, Key};
use super::blocks::{self, Site};
use super::k3s::{self, Cluster};
use super::names::Names;
use super::outside::Outside;
use super::read::{Machine, typed};
use super::traffic;
use kplan_model::{Address, Owner};
use kplan_providers::digitalocean::{Discovered, DomainRecordAttrs};
use kplan_schema::Spec;
use kplan_schema::value::DnsLabel;
use std::collections::{BTreeMap, BTreeSet};

/// The order in which a reader meets them.
const ORDER: [&str; 11] = [
    "vpc",
    "ssh_key",
    "droplet",
    "volume",
    "reserved_ip",
    "firewall",
    "load_balancer",
    "database",
    "bucket",
    "domain",
    "domain_record",
];

/// Where the cluster's name is no better known.
const NAMELESS: &str = "imported";

/// What there is already.
pub struct Ground<'a> {
    /// The file; where there is none, one that says nothing.
    pub spec: &'a Spec,
    /// Whether there is none.
    pub is_new: bool,
    /// Whose the file is.
    pub owner: &'a Owner,
    /// Every address of the file and of the record, and those that the file says were left.
    pub addresses: BTreeSet<Address>,
    /// What the file asks for.
    pub asked: BTreeSet<Address>,
    /// Tables that the file writes within brackets, to which none can be added behind it.
    pub inline: BTreeSet<&'static str>,
    /// What is on record, or is imported by the file, by kind and id.
    pub known: BTreeMap<(String, String), Address>,
    /// The public half of the key that sees buckets.
    pub access_key: Option<String>,
    /// Whether the file's load balancers are a list.
    pub balancers_are_listed: bool,
    /// What could be something that the file describes, and what.
    pub claimed: BTreeMap<Key, String>,
}

/// What cannot be written as it would be.
#[derive(Clone, Debug, Default)]
pub(super) struct Refused {
    /// What the file would not take, with the reason.
    pub blocks: BTreeMap<Key, String>,
    /// Why no cluster can be made of the droplets that are one.
    pub cluster: Option<String>,
}

/// What is written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Draft {
    /// The cluster's name.
    pub cluster: String,
    /// The cluster's region.
    pub region: String,
    /// The blocks.
    pub blocks: Vec<Block>,
    /// What is left out, by reason.
    pub left: BTreeMap<String, Vec<String>>,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// The names of nodes, by address.
    pub called: BTreeMap<String, String>,
}

/// Writes what is open of all there is.
pub(super) fn draft(
    ground: &Ground<'_>,
    all: &[Discovered],
    open: &[Discovered],
    refused: &Refused,
) -> Draft {
    let mut draft = Draft::default();
    let kept = kept(ground, all, open, refused, &mut draft);
    let machines: Vec<Machine> = kept.iter().filter_map(|it| machine(it)).collect();
    let cluster = cluster(ground, &machines, refused, &mut draft);
    let mut site = site(ground, all, cluster.as_ref());
    let own = all
        .iter()
        .filter(|it| it.kind == "vpc" && Some(&it.id) == site.own_vpc.as_ref());
    // The cluster's network comes with it, also where only its droplets were asked for.
    let own = own.filter(|_| cluster.is_some() && ground.is_new);
    let beside = kept
        .iter()
        .copied()
        .filter(|it| Some(&it.id) != site.own_vpc.as_ref());
    let mut kept: Vec<&Discovered> = own.chain(beside).collect();
    kept.sort_by_key(|it| {
        (
            place(it.kind),
            it.name.clone(),
            number(&it.id),
            it.id.clone(),
        )
    });
    draft.region = region(ground, &kept, cluster.as_ref());
    site.region.clone_from(&draft.region);
    draft.cluster = name(ground, all, &kept, &site);
    left_out_of_pools(&machines, cluster.as_ref(), &mut draft);
    let pools = pools(&mut site, cluster, &mut draft.called);
    labels(&mut site, &kept);
    draft.blocks.extend(pools);
    for one in kept {
        let key: Key = (one.kind, one.id.clone());
        let is_node = one.kind == "droplet"
            && site
                .names
                .address(one.kind, &one.id)
                .is_some_and(|it| it.contains('['));
        if is_node {
            continue;
        }
        match block(&site, key, one) {
            Some(block) => draft.blocks.push(block),
            None => draft.leave(one, &cannot(&site, one)),
        }
    }
    // A cluster's network is read before what stands in it.
    let rank = |block: &Block| match block.header.as_str() {
        "[k3s]" => 0,
        "[network.vpc]" => 1,
        _ => 2,
    };
    draft.blocks.sort_by_key(rank);
    draft
}

/// Why something has no block.
fn cannot(site: &Site, one: &Discovered) -> String {
    if one.kind == "ssh_key" {
        return format!(
            "in a file with a cluster of kplan's the names of keys begin with `{}`",
            site.prefix
        );
    }
    "was not understood".to_owned()
}

impl Draft {
    /// Notes what is left out; an empty reason tells nobody.
    fn leave(&mut self, one: &Discovered, reason: &str) {
        if !reason.is_empty() {
            let of_reason = self.left.entry(reason.to_owned()).or_default();
            let told = if one.name == one.id {
                format!("{} {}", one.kind, one.name)
            } else {
                format!("{} {} ({})", one.kind, one.name, one.id)
            };
            of_reason.push(told);
        }
    }
}

fn kept<'a>(
    ground: &Ground<'_>,
    all: &[Discovered],
    open: &'a [Discovered],
    refused: &Refused,
    draft: &mut Draft,
) -> Vec<&'a Discovered> {
    let outside = Outside::of(all, ground.owner, &ground.spec.state.value);
    let mut kept = Vec::new();
    for one in open {
        let key: Key = (one.kind, one.id.clone());
        if ground
            .known
            .contains_key(&(one.kind.to_owned(), one.id.clone()))
        {
            continue;
        }
        let reason = ground
            .claimed
            .get(&key)
            .or_else(|| refused.blocks.get(&key));
        match reason.cloned().or_else(|| outside.reason(one)) {
            Some(reason) => draft.leave(one, &reason),
            None => kept.push(one),
        }
    }
    if kept.iter().any(|it| it.kind == "domain") {
        draft.notes.extend(outside.domains());
    }
    kept
}

fn machine(one: &Discovered) -> Option<Machine> {
    (one.kind == "droplet").then(|| Machine::of(one)).flatten()
}

/// The cluster that the droplets form, where the file has a place for one.
fn cluster<'a>(
    ground: &Ground<'_>,
    machines: &'a [Machine],
    refused: &Refused,
    draft: &mut Draft,
) -> Option<Cluster<'a>> {
    let found = match k3s::cluster(machines) {
        Ok(found) => found?,
        Err(why) => {
            draft
                .notes
                .push(format!("No [servers] were written: {why}."));
            return None;
        }
    };
    let why = refused.cluster.clone().or_else(|| no_place(ground));
    if let Some(why) = &why {
        draft.notes.push(format!(
            "Droplets carry the tags of a K3s cluster and are written one by one: {why}."
        ));
    }
    why.is_none().then_some(found)
}

/// Why a file that is there takes no cluster: its tables stand there once, and a network of the
/// cluster's own would become that of every block that names none.
fn no_place(ground: &Ground<'_>) -> Option<String> {
    let spec = ground.spec;
    if ground.is_new {
        return None;
    }
    let stands = spec.has_servers() || spec.k3s.span.is_some() || spec.network.span.is_some();
    let nowhere = spec.droplets.iter().any(|it| it.vpc.is_none())
        || spec.load_balancers.iter().any(|it| it.vpc.is_none())
        || spec.databases.iter().any(|it| it.vpc.is_none());
    if stands {
        Some("the file has [servers], [k3s] or [network] of its own".to_owned())
    } else if nowhere {
        Some("the file has blocks without a `vpc`, which would stand in the cluster's".to_owned())
    } else {
        None
    }
}

fn site(ground: &Ground<'_>, all: &[Discovered], cluster: Option<&Cluster<'_>>) -> Site {
    let spec = ground.spec;
    let taken = ground.addresses.iter();
    let taken = taken.map(|it| (it.kind().to_string(), it.name().to_owned()));
    let mut names = Names::beside(taken);
    let mut own = None;
    for one in all {
        let key = (one.kind.to_owned(), one.id.clone());
        if let Some(address) = ground.known.get(&key) {
            names.give(&(one.kind, one.id.clone()), address.to_string());
            if spec.has_own_vpc() && address.to_string() == "vpc.main" {
                own = Some(one.id.clone());
            }
        }
    }
    let defaults = all.iter().filter(|it| it.is_default_vpc());
    let defaults = defaults.map(|it| it.id.clone());
    let defaults: BTreeSet<String> = defaults.collect();
    let first = cluster.and_then(|it| it.servers.members.first());
    let stands = first.and_then(|it| it.vpc.clone());
    let stands = stands.filter(|id| !defaults.contains(id) && names.address("vpc", id).is_none());
    if let Some(id) = stands {
        names.give(&("vpc", id.clone()), "vpc.main".to_owned());
        own = Some(id);
    }
    Site {
        region: String::new(),
        has_own_vpc: spec.has_own_vpc() || own.is_some(),
        own_vpc: own,
        defaults,
        prefix: if spec.runs_k3s() {
            format!("{}-", spec.name())
        } else {
            String::new()
        },
        access_key: ground.access_key.clone().unwrap_or_default(),
        balancers_are_listed: ground.balancers_are_listed,
        names,
    }
}

/// The file's region; in a new one the servers', or the one in which most stands.
fn region(ground: &Ground<'_>, kept: &[&Discovered], cluster: Option<&Cluster<'_>>) -> String {
    let servers = cluster.and_then(|it| it.servers.members.first());
    if let Some(server) = servers.filter(|_| ground.is_new) {
        return server.region.clone();
    }
    if !ground.is_new {
        return ground.spec.region().to_owned();
    }
    let mut regions: BTreeMap<&str, usize> = BTreeMap::new();
    for region in kept.iter().filter_map(|it| it.region.as_deref()) {
        *regions.entry(region).or_default() += 1;
    }
    let most = regions
        .iter()
        .max_by_key(|(name, count)| (**count, std::cmp::Reverse(**name)));
    most.map_or_else(
        || ground.spec.region().to_owned(),
        |(name, _)| (*name).to_owned(),
    )
}

/// The file's name; in a new one that of the network in which most droplets stand.
fn name(ground: &Ground<'_>, all: &[Discovered], kept: &[&Discovered], site: &Site) -> String {
    if !ground.is_new {
        return ground.spec.name().to_owned();
    }
    let mut networks: BTreeMap<&str, usize> = BTreeMap::new();
    for one in kept.iter().filter(|it| it.kind == "droplet") {
        let vpc = one
            .vpc
            .as_deref()
            .filter(|vpc| !site.defaults.contains(*vpc));
        if let Some(vpc) = vpc {
            *networks.entry(vpc).or_default() += 1;
        }
    }
    let most = networks
        .iter()
        .max_by_key(|(id, count)| (**count, std::cmp::Reverse(**id)));
    let most = site.own_vpc.as_deref().or(most.map(|(id, _)| *id));
    let vpc = all
        .iter()
        .find(|it| it.kind == "vpc" && Some(it.id.as_str()) == most);
    let named = vpc.map(|it| DnsLabel::of(&it.name).to_string());
    named.unwrap_or_else(|| NAMELESS.to_owned())
}

/// Says which droplets have tags of K3s and are in no pool.
fn left_out_of_pools(machines: &[Machine], cluster: Option<&Cluster<'_>>, draft: &mut Draft) {
    let Some(cluster) = cluster else { return };
    let pools = std::iter::once(&cluster.servers).chain(&cluster.agents);
    let inside: BTreeSet<&str> = pools
        .flat_map(|pool| pool.members.iter().map(|it| it.id.as_str()))
        .collect();
    let beside = machines.iter().filter(|it| k3s::speaks_of_k3s(&it.tags));
    let beside = beside.filter(|it| !inside.contains(it.id.as_str()));
    let names: Vec<&str> = beside.map(|it| it.name.as_str()).collect();
    if !names.is_empty() {
        draft.notes.push(format!(
            "Tagged as of K3s and in no pool, because they are off, stand in another network, or are \
             tagged as both: {}.",
            names.join(", ")
        ));
    }
}

/// The tables of a cluster, each of whose droplets has its address then.
fn pools(
    site: &mut Site,
    cluster: Option<Cluster<'_>>,
    called: &mut BTreeMap<String, String>,
) -> Vec<Block> {
    let Some(mut cluster) = cluster else {
        return Vec::new();
    };
    let mut k3s = Block::new("[k3s]");
    k3s.notes.push(
        "Somebody else installed K3s: kplan keeps the droplets and touches nothing on them."
            .to_owned(),
    );
    k3s.flag("managed", false, true);
    let mut all = vec![k3s];
    let mut pools = vec![&mut cluster.servers];
    pools.extend(&mut cluster.agents);
    for pool in pools {
        if pool.name != "servers" {
            let wanted = DnsLabel::of(&pool.name);
            pool.name = site.names.free("droplet", wanted.as_str());
        }
        pool.members
            .sort_by_key(|it| (it.name.clone(), number(&it.id)));
        site.names.pool(&pool.name, pool.members.len());
        let block = blocks::pool(pool);
        let holds = block.iter().flat_map(|block| &block.holds);
        for ((key, address), machine) in holds.zip(&pool.members) {
            site.names.give(key, address.clone());
            called.insert(address.clone(), machine.name.clone());
        }
        all.extend(block);
    }
    all
}

/// Gives everything else its label.
fn labels(site: &mut Site, kept: &[&Discovered]) {
    for one in kept {
        let key: Key = (one.kind, one.id.clone());
        if site.names.address(one.kind, &one.id).is_some() {
            continue;
        }
        let wanted = match one.kind {
            "reserved_ip" => DnsLabel::of(&format!("ip-{}", one.name)),
            "ssh_key" => {
                let name = one.name.strip_prefix(site.prefix.as_str());
                DnsLabel::of(name.unwrap_or(&one.name))
            }
            "domain_record" => {
                let record: Option<DomainRecordAttrs> = typed(one);
                let label = record.map(|it| blocks::label_of(&it));
                DnsLabel::of(&label.unwrap_or_default())
            }
            _ => DnsLabel::of(&one.name),
        };
        site.names.label(&key, &wanted);
    }
}

fn block(site: &Site, key: Key, one: &Discovered) -> Option<Block> {
    match one.kind {
        "ssh_key" => blocks::ssh_key(site, key, one),
        "vpc" => blocks::vpc(site, key, one),
        "droplet" => Some(blocks::droplet(site, key, &Machine::of(one)?)),
        "volume" => blocks::volume(site, key, one),
        "reserved_ip" => blocks::reserved_ip(site, key, one),
        "firewall" => traffic::firewall(site, key, one),
        "load_balancer" => traffic::load_balancer(site, key, one),
        "database" => traffic::database(site, key, one),
        "bucket" => blocks::bucket(site, key, one),
        "domain" => blocks::domain(site, key, one),
        "domain_record" => blocks::domain_record(site, key, one),
        _ => None,
    }
}

fn place(kind: &str) -> usize {
    let at = ORDER.iter().position(|it| *it == kind);
    at.unwrap_or(ORDER.len())
}

/// An id that is a number by its value, so that 9 comes before 10.
fn number(id: &str) -> u64 {
    id.parse().unwrap_or_default()
}
