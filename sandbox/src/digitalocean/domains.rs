//! Domains and their DNS records.

use std::net::{Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{projects, required};
use crate::http::{ApiError, Reply, Request, Response, list};
use crate::world::World;
use crate::world::table::Row;

const TTL: u32 = 1800;
/// What a zone's SOA record says besides its serial number: refresh, retry, expire (the
/// document's example).
const SOA: &str = "10800 3600 604800";

/// A domain with its records; its key is the name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Domain {
    pub(crate) name: String,
    records: Vec<Record>,
    /// How often its records changed.
    #[serde(default)]
    changes: u32,
    created_at: Timestamp,
}

impl Row for Domain {
    fn created_at(&self) -> Timestamp {
        self.created_at
    }
}

impl Domain {
    fn urn(&self) -> String {
        format!("do:domain:{}", self.name)
    }

    /// The records that did not come with the domain: number, and type, full name and data.
    pub(crate) fn made(&self) -> impl Iterator<Item = (u64, String)> {
        let own = |record: &&Record| {
            record.r#type == "SOA" || (record.r#type == "NS" && record.name == "@")
        };
        let records = self.records.iter().filter(move |record| !own(record));
        records.map(|record| {
            let full = self.full(&record.name);
            (
                record.id,
                format!("{} {full} {}", record.r#type, record.data),
            )
        })
    }

    /// A record's name with the domain.
    fn full(&self, name: &str) -> String {
        match name {
            "@" => self.name.clone(),
            name => format!("{name}.{}", self.name),
        }
    }
}

/// A record as the API shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Record {
    id: u64,
    r#type: String,
    name: String,
    data: String,
    priority: Option<u32>,
    port: Option<u32>,
    ttl: u32,
    weight: Option<u32>,
    flags: Option<u32>,
    tag: Option<String>,
}

/// The types of records.
const KINDS: [&str; 9] = ["A", "AAAA", "CAA", "CNAME", "MX", "NS", "SOA", "SRV", "TXT"];

#[derive(Deserialize)]
struct DomainBody {
    name: Option<String>,
    ip_address: Option<String>,
}

#[derive(Deserialize)]
struct RecordBody {
    r#type: Option<String>,
    name: Option<String>,
    data: Option<String>,
    priority: Option<u32>,
    port: Option<u32>,
    ttl: Option<u32>,
    weight: Option<u32>,
    flags: Option<u32>,
    tag: Option<String>,
}

pub(crate) fn create(world: &mut World, request: &Request) -> Reply {
    let body: DomainBody = request.body()?;
    let name = required(body.name, "name")?.to_ascii_lowercase();
    if !is_domain(&name) {
        return Err(ApiError::unprocessable(format!(
            "{name:?} is not a domain name"
        )));
    }
    if world.domains.contains(&name) {
        return Err(ApiError::unprocessable("Name already exists"));
    }
    // The first one listed, as doctl shows it (digitalocean/doctl#1436).
    let mut records = vec![record(world, "SOA", &TTL.to_string())];
    records.extend((1..=3).map(|n| record(world, "NS", &format!("ns{n}.digitalocean.com"))));
    if let Some(ip) = body.ip_address.filter(|ip| !ip.is_empty()) {
        if ip.parse::<Ipv4Addr>().is_err() {
            return Err(ApiError::unprocessable(format!(
                "{ip:?} is not an IPv4 address"
            )));
        }
        records.push(record(world, "A", &ip));
    }
    let domain = Domain {
        name: name.clone(),
        records,
        changes: 0,
        created_at: world.now(),
    };
    projects::adopt(world, domain.urn(), None)?;
    world.domains.insert(name.clone(), domain);
    // The zone file is written after the answer.
    Ok(Response::new(
        201,
        json!({ "domain": { "name": name, "ttl": TTL, "zone_file": null } }),
    ))
}

/// Labels of letters, digits and dashes (and underscores), at least two.
fn is_domain(name: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    let label = |label: &str| {
        super::all_chars(label, 63, allowed) && !label.starts_with('-') && !label.ends_with('-')
    };
    name.contains('.') && name.len() <= 253 && name.split('.').all(label)
}

/// The domain a path names; names have no case.
fn find<'a>(world: &'a World, request: &Request) -> Result<&'a Domain, ApiError> {
    let name = request.param(0).to_ascii_lowercase();
    world.domains.get(&name).ok_or_else(ApiError::not_found)
}

/// The same, to be changed: its zone counts it. What may still be refused looks with [`find`].
fn find_mut<'a>(world: &'a mut World, request: &Request) -> Result<&'a mut Domain, ApiError> {
    let name = request.param(0).to_ascii_lowercase();
    let domain = world.domains.get_mut(&name);
    let domain = domain.ok_or_else(ApiError::not_found)?;
    domain.changes += 1;
    Ok(domain)
}

fn record(world: &mut World, kind: &str, data: &str) -> Record {
    Record {
        id: world.new_id(),
        r#type: kind.to_owned(),
        name: "@".to_owned(),
        data: data.to_owned(),
        priority: None,
        port: None,
        ttl: TTL,
        weight: None,
        flags: None,
        tag: None,
    }
}

/// The domain of the account that answers for a name, the longest there is, and what the name is
/// called within it. Names have no case.
fn zone_of(world: &World, name: &str) -> Option<(String, String)> {
    let name = name.to_ascii_lowercase();
    let within = |domain: &Domain| {
        let rest = name.strip_suffix(domain.name.as_str())?;
        if rest.is_empty() {
            return Some("@".to_owned());
        }
        rest.strip_suffix('.').map(str::to_owned)
    };
    world
        .domains
        .values()
        .filter_map(|domain| Some((domain.name.clone(), within(domain)?)))
        .max_by_key(|(domain, _)| domain.len())
}

/// What a resolver would be told about a host in one of the account's domains: the addresses of
/// its A records. Asterisks and CNAME records lead nowhere here.
pub(crate) fn addresses(world: &World, name: &str) -> Vec<Ipv4Addr> {
    let zone =
        zone_of(world, name).and_then(|(domain, own)| Some((world.domains.get(&domain)?, own)));
    let Some((domain, own)) = zone else {
        return Vec::new();
    };
    let records = domain.records.iter();
    records
        .filter(|record| record.r#type == "A" && record.name.eq_ignore_ascii_case(&own))
        .filter_map(|record| record.data.parse().ok())
        .collect()
}

/// Makes an A record for a name in one of the account's domains, where there is none yet.
pub(crate) fn point(world: &mut World, name: &str, ip: Ipv4Addr) {
    let Some((domain, own)) = zone_of(world, name) else {
        return;
    };
    let mut made = record(world, "A", &ip.to_string());
    made.name = own;
    if let Some(domain) = world.domains.get_mut(&domain) {
        let taken = |other: &Record| {
            other.name == made.name && matches!(other.r#type.as_str(), "A" | "CNAME")
        };
        if !domain.records.iter().any(taken) {
            domain.records.push(made);
            domain.changes += 1;
        }
    }
}

pub(crate) fn index(world: &mut World, request: &Request) -> Reply {
    Ok(list(
        request,
        "domains",
        world.domains.sorted(),
        Row::created_at,
        view,
    ))
}

pub(crate) fn show(world: &mut World, request: &Request) -> Reply {
    let domain = find(world, request)?;
    Ok(Response::ok(json!({ "domain": view(domain) })).created_at(domain.created_at))
}

pub(crate) fn delete(world: &mut World, request: &Request) -> Reply {
    let name = find(world, request)?.name.clone();
    let domain = world
        .domains
        .remove(&name)
        .ok_or_else(ApiError::not_found)?;
    projects::forget(world, &domain.urn());
    Ok(Response::no_content())
}

pub(crate) fn records(world: &mut World, request: &Request) -> Reply {
    let domain = find(world, request)?;
    let filter = |name: &str| request.query(name).filter(|value| !value.is_empty());
    let (name, kind) = (filter("name"), filter("type"));
    if let Some(kind) = kind
        && !KINDS.contains(&kind)
    {
        return Err(unknown_kind(kind));
    }
    let rows = domain.records.iter().filter(|record| {
        name.is_none_or(|name| domain.full(&record.name).eq_ignore_ascii_case(name))
            && kind.is_none_or(|kind| record.r#type == kind)
    });
    let always = |_: &Record| Timestamp::UNIX_EPOCH;
    Ok(list(request, "domain_records", rows, always, |record| {
        json!(record)
    }))
}

pub(crate) fn record_show(world: &mut World, request: &Request) -> Reply {
    let id = request.id(1)?;
    let domain = find(world, request)?;
    let found = domain.records.iter().find(|record| record.id == id);
    Ok(Response::ok(
        json!({ "domain_record": found.ok_or_else(ApiError::not_found)? }),
    ))
}

pub(crate) fn record_create(world: &mut World, request: &Request) -> Reply {
    find(world, request)?;
    let body: RecordBody = request.body()?;
    let kind = required(body.r#type.clone(), "type")?;
    match kind.as_str() {
        "SOA" => {
            return Err(ApiError::unprocessable(
                "a domain has one SOA record; change that one",
            ));
        }
        // These are the domain's own when they have no name.
        "MX" | "NS" => {}
        _ => drop(required(body.name.as_ref(), "name")?),
    }
    let data = required(body.data.clone(), "data")?;
    let mut made = record(world, &kind, &data);
    change(&mut made, body)?;
    alone(find(world, request)?, &made)?;
    find_mut(world, request)?.records.push(made.clone());
    Ok(Response::new(201, json!({ "domain_record": made })))
}

pub(crate) fn record_update(world: &mut World, request: &Request) -> Reply {
    let id = request.id(1)?;
    let body: RecordBody = request.body()?;
    let domain = find(world, request)?;
    let found = domain.records.iter().find(|record| record.id == id);
    let mut changed = found.ok_or_else(ApiError::not_found)?.clone();
    change(&mut changed, body)?;
    alone(domain, &changed)?;
    let records = &mut find_mut(world, request)?.records;
    if let Some(record) = records.iter_mut().find(|record| record.id == id) {
        record.clone_from(&changed);
    }
    Ok(Response::ok(json!({ "domain_record": changed })))
}

pub(crate) fn record_delete(world: &mut World, request: &Request) -> Reply {
    let id = request.id(1)?;
    let domain = find(world, request)?;
    let found = domain.records.iter().find(|record| record.id == id);
    if found.ok_or_else(ApiError::not_found)?.r#type == "SOA" {
        return Err(ApiError::unprocessable(
            "the SOA record of a domain can not be deleted",
        ));
    }
    let records = &mut find_mut(world, request)?.records;
    records.retain(|record| record.id != id);
    Ok(Response::no_content())
}

/// Whether a record's data is a host name. A request ends it with a dot, an answer does not.
fn leads_to_host(record: &Record) -> bool {
    // The one CAA record that names no host is an address for reports.
    matches!(
        record.r#type.as_str(),
        "CNAME" | "MX" | "NS" | "SRV" | "CAA"
    ) && record.data != "@"
        && record.tag.as_deref() != Some("iodef")
}

/// A name with a CNAME record has no other record.
fn alone(domain: &Domain, record: &Record) -> Result<(), ApiError> {
    let clashes = |other: &Record| {
        other.id != record.id
            && other.name == record.name
            && (other.r#type == "CNAME" || record.r#type == "CNAME")
    };
    if domain.records.iter().any(clashes) {
        return Err(ApiError::unprocessable(
            "CNAME records cannot share a name with other records",
        ));
    }
    Ok(())
}

/// Seconds; what DigitalOcean's clients report as its least.
const MIN_TTL: u32 = 30;
/// Most characters of a host name (RFC 1035).
const MAX_NAME: usize = 253;

fn unknown_kind(kind: &str) -> ApiError {
    ApiError::unprocessable(format!("{kind:?} is not a type of record"))
}

fn change(record: &mut Record, body: RecordBody) -> Result<(), ApiError> {
    let kind = body.r#type.clone().unwrap_or_else(|| record.r#type.clone());
    if !KINDS.contains(&kind.as_str()) {
        return Err(unknown_kind(&kind));
    }
    if (kind == "SOA") != (record.r#type == "SOA") {
        return Err(ApiError::unprocessable(
            "a domain has one SOA record, and it stays one",
        ));
    }
    check_numbers(&body)?;
    if let Some(ttl) = body.ttl.filter(|ttl| *ttl < MIN_TTL) {
        return Err(ApiError::unprocessable(format!(
            "TTL must be greater than or equal to {MIN_TTL}, not {ttl}"
        )));
    }
    record.ttl = body.ttl.unwrap_or(record.ttl);
    // Nothing else of it can be changed.
    if kind == "SOA" {
        return Ok(());
    }
    let given = body.data.is_some();
    record.r#type = kind;
    record.name = body.name.unwrap_or_else(|| record.name.clone());
    record.data = body.data.unwrap_or_else(|| record.data.clone());
    record.priority = body.priority.or(record.priority);
    record.port = body.port.or(record.port);
    record.weight = body.weight.or(record.weight);
    record.flags = body.flags.or(record.flags);
    record.tag = body.tag.or_else(|| record.tag.clone());
    if !record.name.chars().all(of_a_name) || record.name.len() > MAX_NAME {
        return Err(ApiError::unprocessable(format!(
            "Name Only valid hostname characters are allowed. (a-z, A-Z, 0-9, ., _ and -), {MAX_NAME} at most"
        )));
    }
    complete(record)?;
    if given && leads_to_host(record) {
        let host = record.data.strip_suffix('.').map(str::to_owned);
        record.data =
            host.ok_or_else(|| ApiError::unprocessable("Data needs to end with a dot (.)"))?;
    }
    Ok(())
}

/// Characters of a record's name: those of host names, `_` of services, `*` for all and `@` for the
/// domain itself.
fn of_a_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || ".-_*@".contains(c)
}

/// Refuses numbers that do not fit into a record, and tags no CAA record has.
fn check_numbers(body: &RecordBody) -> Result<(), ApiError> {
    let most = [
        ("priority", body.priority, 65_535),
        ("port", body.port, 65_535),
        ("weight", body.weight, 65_535),
        ("flags", body.flags, 255),
    ];
    if let Some((name, _, most)) = most
        .iter()
        .find(|(_, value, most)| value.is_some_and(|value| value > *most))
    {
        return Err(ApiError::unprocessable(format!(
            "{name} must be 0 to {most}"
        )));
    }
    match body.tag.as_deref() {
        None | Some("" | "issue" | "issuewild" | "iodef") => Ok(()),
        Some(other) => Err(ApiError::unprocessable(format!(
            "tag {other:?} must be issue, issuewild or iodef"
        ))),
    }
}

/// Refuses a record without what its type needs.
fn complete(record: &Record) -> Result<(), ApiError> {
    let needed = match record.r#type.as_str() {
        "A" if record.data.parse::<Ipv4Addr>().is_err() => "an IPv4 address as data",
        "AAAA" if record.data.parse::<Ipv6Addr>().is_err() => "an IPv6 address as data",
        "MX" | "SRV" if record.priority.is_none() => "a priority",
        "SRV" if record.port.is_none() || record.weight.is_none() => "a port and a weight",
        "CAA" if record.flags.is_none() || record.tag.as_deref().is_none_or(str::is_empty) => {
            "flags and a tag"
        }
        _ if record.data.is_empty() => "data",
        _ => return Ok(()),
    };
    Err(ApiError::unprocessable(format!(
        "a record of type {} needs {needed}",
        record.r#type
    )))
}

/// The zone's file the way the document's example has it.
fn view(domain: &Domain) -> Value {
    let mut zone = format!("$ORIGIN {}.\n$TTL {TTL}\n", domain.name);
    for record in &domain.records {
        let name = domain.full(&record.name);
        let line = match record.r#type.as_str() {
            "SOA" => format!(
                "{name}. IN SOA ns1.digitalocean.com. hostmaster.{}. {} {SOA} {}",
                domain.name,
                serial(domain),
                record.ttl
            ),
            kind => format!(
                "{name}. {} IN {kind} {}",
                record.ttl,
                zone_data(domain, record)
            ),
        };
        zone.push_str(&line);
        zone.push('\n');
    }
    json!({ "name": domain.name, "ttl": TTL, "zone_file": zone })
}

/// Grows with every change.
fn serial(domain: &Domain) -> i64 {
    domain.created_at.as_second() + i64::from(domain.changes)
}

/// What stands behind a record's type in a zone file.
fn zone_data(domain: &Domain, record: &Record) -> String {
    let host = match record.data.as_str() {
        "@" => format!("{}.", domain.name),
        host => format!("{host}."),
    };
    let number = |value: Option<u32>| value.unwrap_or(0).to_string();
    match record.r#type.as_str() {
        "CNAME" | "NS" => host,
        "MX" => format!("{} {host}", number(record.priority)),
        "SRV" => [
            number(record.priority),
            number(record.weight),
            number(record.port),
            host,
        ]
        .join(" "),
        "CAA" => {
            let tag = record.tag.as_deref().unwrap_or_default();
            format!("{} {tag} \"{}\"", number(record.flags), record.data)
        }
        "TXT" => format!(
            "\"{}\"",
            record.data.replace('\\', "\\\\").replace('"', "\\\"")
        ),
        _ => record.data.clone(),
    }
}
