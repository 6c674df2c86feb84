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

/// A domain with its records; its key is the name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Domain {
    pub(crate) name: String,
    records: Vec<Record>,
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
    if !name.contains('.') || name.starts_with('.') || name.contains(char::is_whitespace) {
        return Err(ApiError::unprocessable(format!(
            "{name:?} is not a domain name"
        )));
    }
    if world.domains.contains(&name) {
        return Err(ApiError::unprocessable("Name already exists"));
    }
    let mut records: Vec<Record> = (1..=3)
        .map(|n| record(world, "NS", &format!("ns{n}.digitalocean.com")))
        .collect();
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
    let domain = world
        .domains
        .get(request.param(0))
        .ok_or_else(ApiError::not_found)?;
    Ok(Response::ok(json!({ "domain": view(domain) })).created_at(domain.created_at))
}

pub(crate) fn delete(world: &mut World, request: &Request) -> Reply {
    let domain = world
        .domains
        .remove(request.param(0))
        .ok_or_else(ApiError::not_found)?;
    projects::forget(world, &domain.urn());
    Ok(Response::no_content())
}

pub(crate) fn records(world: &mut World, request: &Request) -> Reply {
    let domain = world
        .domains
        .get(request.param(0))
        .ok_or_else(ApiError::not_found)?;
    let (name, kind) = (request.query("name"), request.query("type"));
    let full = |record: &Record| match record.name.as_str() {
        "@" => domain.name.clone(),
        name => format!("{name}.{}", domain.name),
    };
    let rows = domain.records.iter().filter(|record| {
        name.is_none_or(|name| full(record) == name) && kind.is_none_or(|k| record.r#type == k)
    });
    let always = |_: &Record| Timestamp::UNIX_EPOCH;
    Ok(list(request, "domain_records", rows, always, |record| {
        json!(record)
    }))
}

pub(crate) fn record_show(world: &mut World, request: &Request) -> Reply {
    let id = request.id(1)?;
    let domain = world
        .domains
        .get(request.param(0))
        .ok_or_else(ApiError::not_found)?;
    let found = domain.records.iter().find(|record| record.id == id);
    Ok(Response::ok(
        json!({ "domain_record": found.ok_or_else(ApiError::not_found)? }),
    ))
}

pub(crate) fn record_create(world: &mut World, request: &Request) -> Reply {
    if !world.domains.contains(request.param(0)) {
        return Err(ApiError::not_found());
    }
    let body: RecordBody = request.body()?;
    let kind = required(body.r#type.clone(), "type")?;
    required(body.name.as_ref(), "name")?;
    let data = required(body.data.clone(), "data")?;
    let mut made = record(world, &kind, &data);
    change(&mut made, body)?;
    alone(
        world
            .domains
            .get(request.param(0))
            .ok_or_else(ApiError::not_found)?,
        &made,
    )?;
    let domain = world
        .domains
        .get_mut(request.param(0))
        .ok_or_else(ApiError::not_found)?;
    domain.records.push(made.clone());
    Ok(Response::new(201, json!({ "domain_record": made })))
}

pub(crate) fn record_update(world: &mut World, request: &Request) -> Reply {
    let id = request.id(1)?;
    let body: RecordBody = request.body()?;
    let domain = world
        .domains
        .get_mut(request.param(0))
        .ok_or_else(ApiError::not_found)?;
    let found = domain.records.iter().find(|record| record.id == id);
    let mut changed = found.ok_or_else(ApiError::not_found)?.clone();
    change(&mut changed, body)?;
    alone(domain, &changed)?;
    if let Some(record) = domain.records.iter_mut().find(|record| record.id == id) {
        record.clone_from(&changed);
    }
    Ok(Response::ok(json!({ "domain_record": changed })))
}

pub(crate) fn record_delete(world: &mut World, request: &Request) -> Reply {
    let id = request.id(1)?;
    let domain = world
        .domains
        .get_mut(request.param(0))
        .ok_or_else(ApiError::not_found)?;
    let before = domain.records.len();
    domain.records.retain(|record| record.id != id);
    if domain.records.len() == before {
        return Err(ApiError::not_found());
    }
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

fn change(record: &mut Record, body: RecordBody) -> Result<(), ApiError> {
    let mut given = false;
    let kinds = ["A", "AAAA", "CAA", "CNAME", "MX", "NS", "SRV", "TXT", "SOA"];
    record.r#type = body.r#type.unwrap_or_else(|| record.r#type.clone());
    if !kinds.contains(&record.r#type.as_str()) {
        let message = format!("{:?} is not a type of record", record.r#type);
        return Err(ApiError::unprocessable(message));
    }
    record.name = body.name.unwrap_or_else(|| record.name.clone());
    if let Some(data) = body.data {
        record.data = data;
        given = true;
    }
    record.ttl = body.ttl.unwrap_or(record.ttl);
    record.priority = body.priority.or(record.priority);
    record.port = body.port.or(record.port);
    record.weight = body.weight.or(record.weight);
    record.flags = body.flags.or(record.flags);
    record.tag = body.tag.or_else(|| record.tag.clone());
    let needed = match record.r#type.as_str() {
        "A" if record.data.parse::<Ipv4Addr>().is_err() => "an IPv4 address as data",
        "AAAA" if record.data.parse::<Ipv6Addr>().is_err() => "an IPv6 address as data",
        "MX" | "SRV" if record.priority.is_none() => "a priority",
        "SRV" if record.port.is_none() || record.weight.is_none() => "a port and a weight",
        "CAA" if record.flags.is_none() || record.tag.is_none() => "flags and a tag",
        _ if given && leads_to_host(record) => {
            let host = record.data.strip_suffix('.').map(str::to_owned);
            record.data =
                host.ok_or_else(|| ApiError::unprocessable("Data needs to end with a dot (.)"))?;
            return Ok(());
        }
        _ => return Ok(()),
    };
    Err(ApiError::unprocessable(format!(
        "a record of type {} needs {needed}",
        record.r#type
    )))
}

fn view(domain: &Domain) -> Value {
    let mut zone = format!("$ORIGIN {}.\n$TTL {TTL}\n", domain.name);
    for record in &domain.records {
        let dot = if leads_to_host(record) { "." } else { "" };
        let data = format!("{}{dot}", record.data);
        let fields = [
            &record.name,
            &record.ttl.to_string(),
            "IN",
            &record.r#type,
            &data,
        ];
        zone.push_str(&fields.join(" "));
        zone.push('\n');
    }
    json!({ "name": domain.name, "ttl": TTL, "zone_file": zone })
}
