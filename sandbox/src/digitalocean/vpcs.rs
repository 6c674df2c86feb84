//! VPCs, their ranges, and who is in them.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{all_chars, moment, projects, region, required, scopes};
use crate::http::{ApiError, Reply, Request, Response, list};
use crate::world::table::Row;
use crate::world::{Due, World, lag, net};

/// A virtual private cloud.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Vpc {
    pub(crate) id: String,
    pub(crate) name: String,
    description: String,
    pub(crate) region: String,
    pub(crate) ip_range: Ipv4Net,
    pub(crate) default: bool,
    /// Came with the account.
    pub(crate) builtin: bool,
    created_at: Timestamp,
}

impl Vpc {
    fn urn(&self) -> String {
        format!("do:vpc:{}", self.id)
    }
}

impl Row for Vpc {
    fn created_at(&self) -> Timestamp {
        self.created_at
    }
}

/// A destroyed resource its VPC still lists.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Lingering {
    vpc: String,
    member: Member,
    pub(crate) until: Timestamp,
}

impl Row for Lingering {
    fn created_at(&self) -> Timestamp {
        self.member.created_at
    }
}

/// A resource inside a VPC.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) urn: String,
    pub(crate) name: String,
    pub(crate) created_at: Timestamp,
}

#[derive(Deserialize)]
struct Body {
    name: Option<String>,
    description: Option<String>,
    region: Option<String>,
    ip_range: Option<String>,
    default: Option<bool>,
}

/// Makes a region's default VPC.
pub(crate) fn found(world: &mut World, region: &str) -> Option<String> {
    let name = format!("default-{region}");
    let ip_range = net::free_range(&ranges(world))?;
    Some(insert(
        world,
        Vpc {
            id: world.rng.uuid(),
            name,
            description: String::new(),
            region: region.to_owned(),
            ip_range,
            default: true,
            builtin: true,
            created_at: world.now(),
        },
    ))
}

/// The VPC a new resource of a region goes to: the one asked for, or the region's default,
/// made when there is none.
pub(crate) fn for_resource(
    world: &mut World,
    region: &str,
    asked: Option<&str>,
) -> Result<String, ApiError> {
    if let Some(id) = asked.filter(|id| !id.is_empty()) {
        let vpc = world
            .vpcs
            .get(id)
            .ok_or_else(|| ApiError::unprocessable(format!("VPC {id} does not exist")))?;
        if vpc.region != region {
            let message = format!("VPC {id} is in {}, not in {region}", vpc.region);
            return Err(ApiError::unprocessable(message));
        }
        return Ok(vpc.id.clone());
    }
    let default = world
        .vpcs
        .values()
        .find(|vpc| vpc.region == region && vpc.default);
    if let Some(vpc) = default {
        return Ok(vpc.id.clone());
    }
    found(world, region).ok_or_else(|| ApiError::unprocessable("No free range for a default VPC"))
}

/// A free private address of a VPC.
pub(crate) fn free_address(world: &World, id: &str) -> Result<Ipv4Addr, ApiError> {
    let vpc = world.vpcs.get(id).ok_or_else(ApiError::not_found)?;
    let droplets = world
        .droplets
        .values()
        .filter(|d| d.vpc_uuid == id)
        .map(|d| d.private_ip);
    let balancers = world
        .load_balancers
        .values()
        .filter(|l| l.vpc_uuid == id)
        .filter_map(|l| l.private_ip);
    let taken: std::collections::BTreeSet<Ipv4Addr> = droplets.chain(balancers).collect();
    net::private_ipv4(vpc.ip_range, |ip| taken.contains(&ip)).ok_or_else(|| {
        ApiError::unprocessable(format!("VPC {} has no free address left", vpc.name))
    })
}

/// Keeps a destroyed resource on its VPC's list for a while.
pub(crate) fn linger(world: &mut World, vpc: &str, member: Member) {
    let key = member.urn.clone();
    let until = world.schedule(lag::MEMBER_LINGERS, Due::Member(key.clone()));
    world.lingering.insert(
        key,
        Lingering {
            vpc: vpc.to_owned(),
            member,
            until,
        },
    );
}

pub(crate) fn create(world: &mut World, request: &Request) -> Reply {
    let body: Body = request.body()?;
    let name = required(body.name, "name")?;
    valid_name(world, &name, None)?;
    let region = region(&required(body.region, "region")?)?;
    let taken = ranges(world);
    let ip_range = match body.ip_range.as_deref().filter(|text| !text.is_empty()) {
        Some(text) => asked_range(text, &region, &taken)?,
        None => net::free_range(&taken)
            .ok_or_else(|| ApiError::unprocessable("No free range left; give an ip_range"))?,
    };
    let default = !world.vpcs.values().any(|vpc| vpc.region == region);
    let description = valid_description(body.description)?.unwrap_or_default();
    let (id, created_at) = (world.rng.uuid(), world.now());
    let vpc = Vpc {
        id,
        name,
        description,
        region,
        ip_range,
        default,
        builtin: false,
        created_at,
    };
    let shown = view(&vpc);
    insert(world, vpc);
    Ok(Response::new(201, json!({ "vpc": shown })))
}

fn insert(world: &mut World, vpc: Vpc) -> String {
    let id = vpc.id.clone();
    world.vpcs.insert(id.clone(), vpc);
    id
}

pub(crate) fn index(world: &mut World, request: &Request) -> Reply {
    Ok(list(
        request,
        "vpcs",
        world.vpcs.sorted(),
        |vpc| vpc.created_at,
        view,
    ))
}

pub(crate) fn show(world: &mut World, request: &Request) -> Reply {
    let vpc = world
        .vpcs
        .get(request.param(0))
        .ok_or_else(ApiError::not_found)?;
    Ok(Response::ok(json!({ "vpc": view(vpc) })).created_at(vpc.created_at))
}

/// PUT replaces name and description, PATCH changes what it is given.
pub(crate) fn update(world: &mut World, request: &Request) -> Reply {
    let id = request.param(0).to_owned();
    let full = request.method == http::Method::PUT;
    if !world.vpcs.contains(&id) {
        return Err(ApiError::not_found());
    }
    let body: Body = request.body()?;
    let name = if full {
        Some(required(body.name, "name")?)
    } else {
        body.name
    };
    if let Some(name) = &name {
        valid_name(world, name, Some(&id))?;
    }
    let description = valid_description(body.description)?;
    if body.default == Some(false) && world.vpcs.get(&id).is_some_and(|vpc| vpc.default) {
        return Err(ApiError::unprocessable(
            "the default VPC of a region stays it until another one becomes it",
        ));
    }
    if body.default == Some(true) {
        let region = world.vpcs.get(&id).map(|vpc| vpc.region.clone());
        for other in world
            .vpcs
            .keys_where(|vpc| Some(&vpc.region) == region.as_ref())
        {
            if let Some(other) = world.vpcs.get_mut(&other) {
                other.default = false;
            }
        }
    }
    let vpc = world.vpcs.get_mut(&id).ok_or_else(ApiError::not_found)?;
    vpc.default |= body.default == Some(true);
    vpc.name = name.unwrap_or_else(|| vpc.name.clone());
    match description {
        Some(description) => vpc.description = description,
        None if full => vpc.description = String::new(),
        None => {}
    }
    let shown = view(vpc);
    Ok(Response::ok(json!({ "vpc": shown })))
}

pub(crate) fn delete(world: &mut World, request: &Request) -> Reply {
    let id = request.param(0);
    let vpc = world.vpcs.get(id).ok_or_else(ApiError::not_found)?;
    let urn = vpc.urn();
    if vpc.default {
        return Err(ApiError::forbidden(
            "Can not delete the default VPC of a region",
        ));
    }
    if !members_of(world, id).is_empty() {
        return Err(ApiError::conflict("Can not delete VPC with members"));
    }
    world.vpcs.remove(id);
    projects::forget(world, &urn);
    Ok(Response::no_content())
}

pub(crate) fn members(world: &mut World, request: &Request) -> Reply {
    let id = request.param(0);
    if !world.vpcs.contains(id) {
        return Err(ApiError::not_found());
    }
    let kind = request
        .query("resource_type")
        .filter(|kind| !kind.is_empty())
        .map(|kind| format!("do:{kind}:"));
    let mut members = members_of(world, id);
    members.retain(|member| {
        // Only what the token may see is shown, as the document says.
        let scope = scopes::scope_of_urn(&member.urn);
        let shown = scope.is_none_or(|scope| request.access.allows(&scope));
        let wanted = kind
            .as_ref()
            .is_none_or(|kind| member.urn.starts_with(kind));
        shown && wanted
    });
    Ok(list(
        request,
        "members",
        &members,
        |member| member.created_at,
        |member| {
            json!({
                "urn": member.urn,
                "name": member.name,
                "created_at": moment(member.created_at),
            })
        },
    ))
}

/// Everything in a VPC, what was destroyed a moment ago included.
fn members_of(world: &World, id: &str) -> Vec<Member> {
    let droplets = world
        .droplets
        .values()
        .filter(|d| d.vpc_uuid == id)
        .map(super::droplets::Droplet::member);
    let balancers = world
        .load_balancers
        .values()
        .filter(|l| l.vpc_uuid == id)
        .map(super::load_balancers::LoadBalancer::member);
    let databases = world
        .databases
        .values()
        .filter(|d| d.vpc_uuid == id)
        .map(super::databases::Database::member);
    let lingering = world
        .lingering
        .values()
        .filter(|l| l.vpc == id)
        .map(|lingering| lingering.member.clone());
    let mut all: Vec<Member> = droplets
        .chain(balancers)
        .chain(databases)
        .chain(lingering)
        .collect();
    all.sort_by_key(|member| member.created_at);
    all
}

fn ranges(world: &World) -> Vec<Ipv4Net> {
    world.vpcs.values().map(|vpc| vpc.ip_range).collect()
}

fn asked_range(text: &str, region: &str, taken: &[Ipv4Net]) -> Result<Ipv4Net, ApiError> {
    let range: Ipv4Net = text
        .parse()
        .map_err(|_| ApiError::unprocessable(format!("ip_range {text:?} is not a CIDR")))?;
    let range = range.trunc();
    if let Some(reason) = net::refuse_range(range, region) {
        return Err(ApiError::unprocessable(reason));
    }
    if taken.iter().any(|other| net::overlap(*other, range)) {
        return Err(ApiError::unprocessable(format!(
            "This range/size overlaps with another VPC network in your account: {range}"
        )));
    }
    Ok(range)
}

fn valid_name(world: &World, name: &str, own: Option<&str>) -> Result<(), ApiError> {
    if !all_chars(name, 255, |c| {
        c.is_ascii_alphanumeric() || matches!(c, '-' | '.')
    }) {
        return Err(ApiError::unprocessable(
            "name may only contain letters, numbers, dashes, and periods",
        ));
    }
    if world
        .vpcs
        .values()
        .any(|vpc| vpc.name == name && Some(vpc.id.as_str()) != own)
    {
        return Err(ApiError::unprocessable(format!(
            "A VPC named {name:?} already exists"
        )));
    }
    Ok(())
}

fn valid_description(description: Option<String>) -> Result<Option<String>, ApiError> {
    if description
        .as_ref()
        .is_some_and(|text| text.chars().count() > 255)
    {
        return Err(ApiError::unprocessable(
            "description is longer than 255 characters",
        ));
    }
    Ok(description)
}

fn view(vpc: &Vpc) -> Value {
    json!({
        "id": vpc.id,
        "urn": vpc.urn(),
        "name": vpc.name,
        "description": vpc.description,
        "region": vpc.region,
        "ip_range": vpc.ip_range.to_string(),
        "default": vpc.default,
        "created_at": moment(vpc.created_at),
    })
}
