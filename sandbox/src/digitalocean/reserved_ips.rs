//! Reserved addresses and where they lead.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::actions::{self, Effect, Target};
use super::{droplets, projects, region, required};
use crate::http::{ApiError, Reply, Request, Response, list};
use crate::world::catalogue::region_view;
use crate::world::table::Row;
use crate::world::{World, lag};

/// Most reserved addresses of the account, as `/v2/account` says.
pub(crate) const LIMIT: usize = 100;
/// US dollars a month while it leads nowhere, from the document's example.
pub(crate) const UNASSIGNED_COST: &str = "4.00";

/// A reserved address; its key is the address.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ReservedIp {
    pub(crate) ip: Ipv4Addr,
    region: String,
    pub(crate) droplet: Option<u64>,
    /// Being assigned or unassigned.
    busy: bool,
    created_at: Timestamp,
}

impl Row for ReservedIp {
    fn created_at(&self) -> Timestamp {
        self.created_at
    }
}

impl ReservedIp {
    pub(crate) fn urn(&self) -> String {
        // Still the name it had when it was called a floating IP.
        format!("do:floatingip:{}", self.ip)
    }

    /// The number by which actions and lists of what belongs to a droplet know it.
    pub(crate) fn number(&self) -> String {
        self.ip.to_bits().to_string()
    }
}

/// The number of an address.
pub(crate) fn number_of(ip: &str) -> Option<String> {
    let ip: Ipv4Addr = ip.parse().ok()?;
    Some(ip.to_bits().to_string())
}

#[derive(Deserialize)]
struct Body {
    droplet_id: Option<u64>,
    region: Option<String>,
    project_id: Option<String>,
    r#type: Option<String>,
}

pub(crate) fn create(world: &mut World, request: &Request) -> Reply {
    let body: Body = request.body()?;
    let region = match (body.droplet_id, &body.region) {
        (Some(_), Some(_)) => {
            return Err(ApiError::unprocessable(
                "give droplet_id or region, not both",
            ));
        }
        (Some(id), None) => {
            droplets::idle(world, id).map_err(|error| match error.status {
                404 => ApiError::unprocessable(format!("droplet {id} does not exist")),
                _ => error,
            })?;
            reachable(world, id)?.region.clone()
        }
        (None, asked) => region(&required(asked.clone(), "region")?)?,
    };
    projects::check(world, body.project_id.as_deref())?;
    if world.reserved_ips.len() >= LIMIT {
        return Err(ApiError::unprocessable(
            "creating this reserved IP will exceed your reserved IP limit",
        ));
    }
    let ip = world.new_public_ip();
    let created_at = world.now();
    let row = ReservedIp {
        ip,
        region: region.clone(),
        droplet: None,
        busy: false,
        created_at,
    };
    projects::adopt(world, row.urn(), body.project_id.as_deref())?;
    world.reserved_ips.insert(ip.to_string(), row);
    let mut links = json!({});
    if let Some(droplet) = body.droplet_id {
        let action = assign(world, ip, &region, droplet)?;
        let href = format!("{}/v2/droplets/{droplet}", request.base_url);
        links = json!({
            "droplets": [{ "id": droplet, "rel": "droplet", "href": href }],
            "actions": [actions::link(request, &action, "assign_ip")],
        });
    }
    let row = world
        .reserved_ips
        .get(&ip.to_string())
        .ok_or_else(ApiError::not_found)?;
    Ok(Response::new(
        202,
        json!({ "reserved_ip": view(world, row), "links": links }),
    ))
}

/// A droplet an address can lead to.
fn reachable(world: &World, id: u64) -> Result<&droplets::Droplet, ApiError> {
    let droplet = droplets::find(world, id)?;
    if droplet.public_ip.is_none() {
        return Err(ApiError::unprocessable(
            "The droplet has no public networking.",
        ));
    }
    Ok(droplet)
}

fn assign(
    world: &mut World,
    ip: Ipv4Addr,
    region: &str,
    droplet: u64,
) -> Result<actions::Action, ApiError> {
    let target = Target::ReservedIp(ip, Some(droplet));
    let effect = Effect::Assign(droplet);
    let action = actions::start(
        world,
        "assign_ip",
        region,
        target,
        effect,
        lag::RESERVED_IP_ACTION,
    )?;
    occupy(world, ip);
    Ok(action)
}

fn occupy(world: &mut World, ip: Ipv4Addr) {
    if let Some(row) = world.reserved_ips.get_mut(&ip.to_string()) {
        row.busy = true;
    }
}

pub(crate) fn index(world: &mut World, request: &Request) -> Reply {
    let rows = world.reserved_ips.sorted();
    Ok(list(request, "reserved_ips", rows, Row::created_at, |ip| {
        view(world, ip)
    }))
}

pub(crate) fn show(world: &mut World, request: &Request) -> Reply {
    let row = world
        .reserved_ips
        .get(request.param(0))
        .ok_or_else(ApiError::not_found)?;
    let body = json!({ "reserved_ip": view(world, row) });
    Ok(Response::ok(body).created_at(row.created_at))
}

pub(crate) fn delete(world: &mut World, request: &Request) -> Reply {
    destroy(world, request.param(0))?;
    Ok(Response::no_content())
}

/// Gives an address back.
pub(crate) fn destroy(world: &mut World, key: &str) -> Result<(), ApiError> {
    let row = world
        .reserved_ips
        .get(key)
        .ok_or_else(ApiError::not_found)?;
    if row.busy {
        return Err(ApiError::unprocessable(
            "The reserved IP already has a pending event.",
        ));
    }
    let urn = row.urn();
    world.reserved_ips.remove(key);
    projects::forget(world, &urn);
    Ok(())
}

pub(crate) fn act(world: &mut World, request: &Request) -> Reply {
    let body: Body = request.body()?;
    let row = world
        .reserved_ips
        .get(request.param(0))
        .ok_or_else(ApiError::not_found)?
        .clone();
    if row.busy {
        return Err(ApiError::unprocessable(
            "The reserved IP already has a pending event.",
        ));
    }
    let action = match body.r#type.as_deref() {
        Some("assign") => {
            let droplet = required(body.droplet_id, "droplet_id")?;
            let found = reachable(world, droplet)?;
            if found.region != row.region {
                return Err(ApiError::unprocessable(format!(
                    "The droplet is in {}, the reserved IP in {}",
                    found.region, row.region
                )));
            }
            assign(world, row.ip, &row.region, droplet)?
        }
        Some("unassign") => {
            if row.droplet.is_none() {
                return Err(ApiError::unprocessable("The reserved IP is not assigned."));
            }
            let target = Target::ReservedIp(row.ip, row.droplet);
            let lag = lag::RESERVED_IP_ACTION;
            let effect = Effect::Unassign;
            let action = actions::start(world, "unassign_ip", &row.region, target, effect, lag)?;
            occupy(world, row.ip);
            action
        }
        _ => return Err(ApiError::unprocessable("type must be assign or unassign")),
    };
    let mut shown = actions::view(&action);
    shown["project_id"] = json!(projects::project_of(world, &row.urn()));
    Ok(Response::new(201, json!({ "action": shown })))
}

pub(crate) fn actions(world: &mut World, request: &Request) -> Reply {
    let row = world
        .reserved_ips
        .get(request.param(0))
        .ok_or_else(ApiError::not_found)?;
    let ip = row.ip;
    // Only a single action says which project its address is in.
    Ok(actions::page(
        world,
        request,
        |target| matches!(target, Target::ReservedIp(own, _) if *own == ip),
    ))
}

pub(crate) fn action(world: &mut World, request: &Request) -> Reply {
    let row = world
        .reserved_ips
        .get(request.param(0))
        .ok_or_else(ApiError::not_found)?;
    let mut answer = actions::show_of(
        world,
        request.param(1),
        |target| matches!(target, Target::ReservedIp(ip, _) if *ip == row.ip),
    )?;
    if let Some(body) = &mut answer.body {
        body["action"]["project_id"] = json!(projects::project_of(world, &row.urn()));
    }
    Ok(answer)
}

/// The end of an action that came to nothing: the address is where it was.
pub(crate) fn release(world: &mut World, ip: Ipv4Addr) -> bool {
    if let Some(row) = world.reserved_ips.get_mut(&ip.to_string()) {
        row.busy = false;
    }
    false
}

/// The end of an action; false when the address or the droplet is gone.
pub(crate) fn apply(world: &mut World, ip: Ipv4Addr, effect: &Effect) -> bool {
    let target = match effect {
        Effect::Assign(droplet) => Some(*droplet),
        _ => None,
    };
    let gone = target.is_some_and(|id| droplets::find(world, id).is_err());
    // A droplet has at most one reserved address.
    for key in world
        .reserved_ips
        .keys_where(|row| target.is_some() && row.droplet == target)
    {
        if let Some(other) = world.reserved_ips.get_mut(&key) {
            other.droplet = None;
        }
    }
    let Some(row) = world.reserved_ips.get_mut(&ip.to_string()) else {
        return false;
    };
    row.busy = false;
    if gone {
        return false;
    }
    row.droplet = target;
    let urn = row.urn();
    if let Some(droplet) = target {
        projects::follow(world, &urn, &format!("do:droplet:{droplet}"));
    }
    true
}

fn view(world: &World, row: &ReservedIp) -> Value {
    let droplet = row.droplet.and_then(|id| droplets::find(world, id).ok());
    json!({
        "ip": row.ip,
        "region": region_view(&row.region),
        "droplet": droplet.map(|droplet| droplets::view(world, droplet)),
        "locked": row.busy,
        "project_id": projects::project_of(world, &row.urn()),
    })
}
