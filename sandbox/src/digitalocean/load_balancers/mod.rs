//! Load balancers: `new` without an address, `active` with one; PUT replaces everything.

mod settings;

use std::net::{Ipv4Addr, Ipv6Addr};

use http::Method;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::droplets::{self, Droplet};
use super::vpcs::{self, Member};
use super::{certificates, domains, moment, projects, region, required, tags};
use crate::http::{ApiError, Reply, Request, Response, list};
use crate::world::catalogue::region_view;
use crate::world::table::Row;
use crate::world::{Due, World, lag, net};
use settings::{ForwardingRule, Settings};

/// A load balancer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LoadBalancer {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) region: String,
    pub(crate) vpc_uuid: String,
    /// Its address, shown once it is active.
    pub(crate) ip: Ipv4Addr,
    /// Its other public address, when it has both kinds.
    #[serde(default)]
    ipv6: Option<Ipv6Addr>,
    /// Its address in the VPC.
    pub(crate) private_ip: Option<Ipv4Addr>,
    /// When it becomes active; `None` once it is.
    pub(crate) ready_at: Option<Timestamp>,
    droplet_ids: Vec<u64>,
    /// The tag that selects the targets; empty when there is none.
    pub(crate) tag: String,
    size_unit: u32,
    /// When the size was last chosen.
    sized_at: Timestamp,
    settings: Settings,
    created_at: Timestamp,
}

impl Row for LoadBalancer {
    fn created_at(&self) -> Timestamp {
        self.created_at
    }
}

impl LoadBalancer {
    pub(crate) fn urn(&self) -> String {
        format!("do:loadbalancer:{}", self.id)
    }

    pub(crate) fn member(&self) -> Member {
        Member {
            urn: self.urn(),
            name: self.name.clone(),
            created_at: self.created_at,
        }
    }

    /// Whether a droplet is one of its targets.
    pub(crate) fn targets(&self, droplet: &Droplet) -> bool {
        let tagged = !self.tag.is_empty() && droplet.has_tag(&self.tag);
        self.droplet_ids.contains(&droplet.id) || (tagged && droplet.region == self.region)
    }
}

/// Most droplets named by id; beyond that a tag is needed (DigitalOcean's page of limits).
const MAX_DROPLETS: usize = 10;

#[derive(Deserialize)]
struct Body {
    name: Option<String>,
    region: Option<String>,
    vpc_uuid: Option<String>,
    project_id: Option<String>,
    droplet_ids: Option<Vec<u64>>,
    tag: Option<String>,
    size_unit: Option<u32>,
    size: Option<String>,
}

#[derive(Deserialize)]
struct Targets {
    droplet_ids: Option<Vec<u64>>,
}

#[derive(Deserialize)]
struct Rules {
    forwarding_rules: Option<Vec<ForwardingRule>>,
}

pub(crate) fn create(world: &mut World, request: &Request) -> Reply {
    let body: Body = request.body()?;
    let settings: Settings = request.body()?;
    check(world, &settings)?;
    if settings.is_global() {
        return Err(ApiError::not_implemented("global load balancers"));
    }
    let name = valid_name(world, body.name.clone(), None)?;
    let region = region(&required(body.region.clone(), "region")?)?;
    let (droplet_ids, tag) = valid_targets(world, &body, &region)?;
    let size_unit = valid_size(&body)?;
    projects::check(world, body.project_id.as_deref())?;
    let vpc_uuid = vpcs::for_resource(world, &region, body.vpc_uuid.as_deref())?;
    let private_ip = vpcs::free_address(world, &vpc_uuid)?;
    let ip = if settings.is_internal() {
        private_ip
    } else {
        world.new_public_ip()
    };
    let ipv6 = (settings.is_dual_stack() && !settings.is_internal())
        .then(|| net::public_ipv6(world.new_id()));
    let (id, now) = (world.rng.uuid(), world.now());
    let ready_at = world.schedule(lag::LOAD_BALANCER_CREATE, Due::LoadBalancer(id.clone()));
    let balancer = LoadBalancer {
        id: id.clone(),
        name,
        region,
        vpc_uuid,
        ip,
        ipv6,
        private_ip: Some(private_ip),
        ready_at: Some(ready_at),
        droplet_ids,
        tag,
        size_unit,
        sized_at: now,
        settings,
        created_at: now,
    };
    projects::adopt(world, balancer.urn(), body.project_id.as_deref())?;
    let shown = view(world, &balancer);
    world.load_balancers.insert(id, balancer);
    Ok(Response::new(202, json!({ "load_balancer": shown })))
}

pub(crate) fn index(world: &mut World, request: &Request) -> Reply {
    let rows = world.load_balancers.sorted();
    Ok(list(
        request,
        "load_balancers",
        rows,
        Row::created_at,
        |l| view(world, l),
    ))
}

pub(crate) fn show(world: &mut World, request: &Request) -> Reply {
    let balancer = world
        .load_balancers
        .get(request.param(0))
        .ok_or_else(ApiError::not_found)?;
    let body = json!({ "load_balancer": view(world, balancer) });
    Ok(Response::ok(body).created_at(balancer.created_at))
}

/// Replaces everything that can change: what is left out goes back to its default.
pub(crate) fn update(world: &mut World, request: &Request) -> Reply {
    let id = request.param(0).to_owned();
    let mut balancer = world
        .load_balancers
        .get(&id)
        .ok_or_else(ApiError::not_found)?
        .clone();
    let body: Body = request.body()?;
    let settings: Settings = request.body()?;
    check(world, &settings)?;
    if !settings.same_kind(&balancer.settings) {
        return Err(ApiError::unprocessable(
            "type, network and network_stack can not be changed",
        ));
    }
    if let Some(asked) = &body.region
        && region(asked)? != balancer.region
    {
        return Err(ApiError::unprocessable(
            "the region of a load balancer can not be changed",
        ));
    }
    if body
        .vpc_uuid
        .as_ref()
        .is_some_and(|vpc| !vpc.is_empty() && *vpc != balancer.vpc_uuid)
    {
        return Err(ApiError::unprocessable(
            "the VPC of a load balancer can not be changed",
        ));
    }
    balancer.name = valid_name(world, body.name.clone(), Some(&id))?;
    (balancer.droplet_ids, balancer.tag) = valid_targets(world, &body, &balancer.region)?;
    resize(world, &mut balancer, valid_size(&body)?)?;
    balancer.settings = settings.keep_kind(&balancer.settings);
    if body.project_id.is_some() {
        projects::check(world, body.project_id.as_deref())?;
        projects::adopt(world, balancer.urn(), body.project_id.as_deref())?;
    }
    let shown = view(world, &balancer);
    world.load_balancers.insert(id.clone(), balancer);
    point_names(world, &id);
    Ok(Response::ok(json!({ "load_balancer": shown })))
}

/// At most once an hour, and not in the first one.
fn resize(world: &World, balancer: &mut LoadBalancer, unit: u32) -> Result<(), ApiError> {
    if unit == balancer.size_unit {
        return Ok(());
    }
    let pause = world.clock.scaled(lag::LOAD_BALANCER_RESIZE_PAUSE);
    let allowed = balancer
        .sized_at
        .saturating_add(pause)
        .unwrap_or(Timestamp::MAX);
    if world.now() < allowed {
        return Err(ApiError::unprocessable(format!(
            "the size of a load balancer can be changed once an hour; next at {}",
            moment(allowed)
        )));
    }
    balancer.size_unit = unit;
    balancer.sized_at = world.now();
    Ok(())
}

pub(crate) fn delete(world: &mut World, request: &Request) -> Reply {
    let id = request.param(0);
    let balancer = world
        .load_balancers
        .remove(id)
        .ok_or_else(ApiError::not_found)?;
    projects::forget(world, &balancer.urn());
    vpcs::linger(world, &balancer.vpc_uuid, balancer.member());
    super::firewalls::forget_load_balancer(world, &balancer.id);
    Ok(Response::no_content())
}

/// POST adds targets, DELETE takes them away.
pub(crate) fn change_droplets(world: &mut World, request: &Request) -> Reply {
    let ids = required(request.body::<Targets>()?.droplet_ids, "droplet_ids")?;
    let id = request.param(0).to_owned();
    let mut balancer = world
        .load_balancers
        .get(&id)
        .ok_or_else(ApiError::not_found)?
        .clone();
    if !balancer.tag.is_empty() {
        return Err(ApiError::unprocessable(
            "this load balancer selects its droplets by tag",
        ));
    }
    if request.method == Method::DELETE {
        balancer.droplet_ids.retain(|own| !ids.contains(own));
    } else {
        let all = balancer
            .droplet_ids
            .iter()
            .chain(&ids)
            .copied()
            .collect::<Vec<_>>();
        balancer.droplet_ids = existing_droplets(world, &all, &balancer.region)?;
    }
    world.load_balancers.insert(id, balancer);
    Ok(Response::no_content())
}

/// POST adds forwarding rules, DELETE takes away the ones that are the same.
pub(crate) fn change_rules(world: &mut World, request: &Request) -> Reply {
    let rules = required(
        request.body::<Rules>()?.forwarding_rules,
        "forwarding_rules",
    )?;
    let id = request.param(0).to_owned();
    let mut balancer = world
        .load_balancers
        .get(&id)
        .ok_or_else(ApiError::not_found)?
        .clone();
    balancer
        .settings
        .change_rules(rules, request.method != Method::DELETE);
    check(world, &balancer.settings)?;
    world.load_balancers.insert(id.clone(), balancer);
    point_names(world, &id);
    Ok(Response::no_content())
}

/// Refuses settings that make no sense, or name a certificate that does not exist.
fn check(world: &World, settings: &Settings) -> Result<(), ApiError> {
    settings.check()?;
    let known = |id: &&str| world.certificates.contains(id);
    match settings.certificates().find(|id| !known(id)) {
        Some(id) => Err(ApiError::unprocessable(format!(
            "certificate {id} does not exist"
        ))),
        None => Ok(()),
    }
}

/// Whether a certificate is in use.
pub(crate) fn uses_certificate(world: &World, id: &str) -> bool {
    let uses = |balancer: &LoadBalancer| balancer.settings.certificates().any(|own| own == id);
    world.load_balancers.values().any(uses)
}

/// It has its address now.
pub(crate) fn settle(world: &mut World, key: &str, at: Timestamp) {
    if let Some(balancer) = world.load_balancers.get_mut(key)
        && balancer.ready_at == Some(at)
    {
        balancer.ready_at = None;
        point_names(world, key);
    }
}

/// Names of Let's Encrypt's certificates lead to the load balancer that has these certificates,
/// once it has an address, unless its owner said no.
fn point_names(world: &mut World, key: &str) {
    let Some(balancer) = world.load_balancers.get(key) else {
        return;
    };
    if balancer.ready_at.is_some() || !balancer.settings.makes_dns_records() {
        return;
    }
    let ip = balancer.ip;
    let names: Vec<String> = balancer
        .settings
        .certificates()
        .flat_map(|id| certificates::managed_names(world, id))
        .collect();
    for name in names {
        domains::point(world, &name, ip);
    }
}

/// A destroyed droplet is no longer a target.
pub(crate) fn forget_droplet(world: &mut World, droplet: u64) {
    for id in world
        .load_balancers
        .keys_where(|l| l.droplet_ids.contains(&droplet))
    {
        if let Some(balancer) = world.load_balancers.get_mut(&id) {
            balancer.droplet_ids.retain(|id| *id != droplet);
        }
    }
}

fn valid_name(world: &World, name: Option<String>, own: Option<&str>) -> Result<String, ApiError> {
    let name = required(name, "name")?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    if !super::all_chars(&name, 255, allowed) {
        return Err(ApiError::unprocessable(format!(
            "load balancer name {name:?} is not valid"
        )));
    }
    let taken = |l: &LoadBalancer| l.name == name && Some(l.id.as_str()) != own;
    if world.load_balancers.values().any(taken) {
        return Err(ApiError::unprocessable(format!(
            "a load balancer named {name:?} already exists"
        )));
    }
    Ok(name)
}

/// Targets by id or by tag, not both.
fn valid_targets(world: &World, body: &Body, region: &str) -> Result<(Vec<u64>, String), ApiError> {
    let asked = body.droplet_ids.as_deref().unwrap_or_default();
    let ids = existing_droplets(world, asked, region)?;
    let tag = match body.tag.as_deref().filter(|tag| !tag.is_empty()) {
        Some(_) if !ids.is_empty() => {
            return Err(ApiError::unprocessable("give droplet_ids or tag, not both"));
        }
        Some(tag) => tags::existing(world, tag)?,
        None => String::new(),
    };
    Ok((ids, tag))
}

fn existing_droplets(world: &World, ids: &[u64], region: &str) -> Result<Vec<u64>, ApiError> {
    let mut all = ids.to_vec();
    all.sort_unstable();
    all.dedup();
    if all.len() > MAX_DROPLETS {
        return Err(ApiError::unprocessable(format!(
            "a load balancer can name at most {MAX_DROPLETS} droplets by id; use a tag"
        )));
    }
    for id in &all {
        match world.droplets.get(&droplets::key(*id)) {
            None => {
                return Err(ApiError::unprocessable(format!(
                    "droplet {id} does not exist"
                )));
            }
            Some(droplet) if droplet.region != region => {
                return Err(ApiError::unprocessable(format!(
                    "droplet {id} is in {}, not in {region}",
                    droplet.region
                )));
            }
            Some(_) => {}
        }
    }
    Ok(all)
}

/// The size in nodes; the old names count 1, 3 and 6.
fn valid_size(body: &Body) -> Result<u32, ApiError> {
    let named = match body.size.as_deref() {
        None | Some("") => None,
        Some("lb-small") => Some(1),
        Some("lb-medium") => Some(3),
        Some("lb-large") => Some(6),
        Some(other) => {
            return Err(ApiError::unprocessable(format!(
                "size {other:?} does not exist"
            )));
        }
    };
    match (body.size_unit, named) {
        (Some(_), Some(_)) => Err(ApiError::unprocessable("give size_unit or size, not both")),
        (Some(unit), None) if !(1..=100).contains(&unit) => {
            Err(ApiError::unprocessable("size_unit must be 1 to 100"))
        }
        (unit, named) => Ok(unit.or(named).unwrap_or(1)),
    }
}

fn view(world: &World, balancer: &LoadBalancer) -> Value {
    let mut value = balancer.settings.view();
    let droplets: Vec<u64> = world
        .droplets
        .values()
        .filter(|droplet| balancer.targets(droplet))
        .map(|droplet| droplet.id)
        .collect();
    let ready = balancer.ready_at.is_none();
    value["id"] = json!(balancer.id);
    value["name"] = json!(balancer.name);
    value["ip"] = if ready { json!(balancer.ip) } else { json!("") };
    if let Some(ipv6) = balancer.ipv6.filter(|_| ready) {
        value["ipv6"] = json!(ipv6);
    }
    value["status"] = json!(if ready { "active" } else { "new" });
    value["size_unit"] = json!(balancer.size_unit);
    value["created_at"] = json!(moment(balancer.created_at));
    value["region"] = region_view(&balancer.region);
    value["vpc_uuid"] = json!(balancer.vpc_uuid);
    value["project_id"] = json!(projects::project_of(world, &balancer.urn()));
    value["droplet_ids"] = json!(droplets);
    value["tag"] = json!(balancer.tag);
    value
}
