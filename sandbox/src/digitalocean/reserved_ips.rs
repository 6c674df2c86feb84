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
            droplets::find(world, id)?.region.clone()
        }
        (None, asked) => region(&required(asked.clone(), "region")?)?,
    };
    projects::check(world, body.project_id.as_deref())?;
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
    let key = request.param(0);
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
    Ok(Response::no_content())
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
            let found = droplets::find(world, droplet)?;
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
    Ok(Response::new(
        201,
        json!({ "action": actions::view(&action) }),
    ))
}

pub(crate) fn actions(world: &mut World, request: &Request) -> Reply {
    let row = world
        .reserved_ips
        .get(request.param(0))
        .ok_or_else(ApiError::not_found)?;
    let ip = row.ip;
    Ok(actions::page(
        world,
        request,
        |target| matches!(target, Target::ReservedIp(i, _) if *i == ip),
    ))
}

pub(crate) fn action(world: &mut World, request: &Request) -> Reply {
    let row = world
        .reserved_ips
        .get(request.param(0))
        .ok_or_else(ApiError::not_found)?;
    let ip = row.ip;
    actions::show_of(
        world,
        request.param(1),
        |t| matches!(t, Target::ReservedIp(i, _) if *i == ip),
    )
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
