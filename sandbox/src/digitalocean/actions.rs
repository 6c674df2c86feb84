//! Actions: what is being done to a droplet, a volume or a reserved address, and its end.

use std::net::Ipv4Addr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::droplets::{self, BackupPolicy};
use super::{moment, reserved_ips, snapshots, volumes};
use crate::http::{ApiError, Reply, Request, Response, list};
use crate::world::table::Row;
use crate::world::{Due, World, catalogue};

/// One action.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Action {
    pub(crate) id: u64,
    pub(crate) kind: String,
    region: String,
    started_at: Timestamp,
    completed_at: Option<Timestamp>,
    errored: bool,
    /// Whether it is going to end as `errored`, by a fault.
    #[serde(default)]
    fails: bool,
    /// When it ends; `None` once it has.
    pub(crate) ready_at: Option<Timestamp>,
    pub(crate) target: Target,
    effect: Effect,
}

impl Row for Action {
    fn created_at(&self) -> Timestamp {
        self.started_at
    }
}

/// What an action is done to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Target {
    Droplet(u64),
    /// The volume and the droplet that is busy with it.
    Volume(String, Option<u64>),
    /// The address and the droplet that is busy with it.
    ReservedIp(Ipv4Addr, Option<u64>),
}

impl Target {
    fn busy_droplet(&self) -> Option<u64> {
        match self {
            Target::Droplet(id) => Some(*id),
            Target::Volume(_, droplet) | Target::ReservedIp(_, droplet) => *droplet,
        }
    }
}

/// What is different when an action has ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Effect {
    Nothing,
    PowerOn,
    PowerOff,
    Rename(String),
    Resize {
        size: String,
        disk: bool,
    },
    EnableIpv6,
    /// Begins anew from the image with this slug, or the snapshot with this id.
    Rebuild(String),
    Backups {
        on: bool,
        policy: Option<BackupPolicy>,
    },
    Snapshot(String),
    Attach(u64),
    Detach,
    Grow(u64),
    Assign(u64),
    Unassign,
}

/// Starts an action; its droplet is busy until it ends.
pub(crate) fn start(
    world: &mut World,
    kind: &str,
    region: &str,
    target: Target,
    effect: Effect,
    lag: Duration,
) -> Result<Action, ApiError> {
    let id = world.new_id();
    if let Some(droplet) = target.busy_droplet() {
        droplets::occupy(world, droplet, id)?;
    }
    let ready_at = world.schedule(lag, Due::Action(id.to_string()));
    let action = Action {
        id,
        kind: kind.to_owned(),
        region: region.to_owned(),
        started_at: world.now(),
        completed_at: None,
        errored: false,
        fails: world.actions_fail(),
        ready_at: Some(ready_at),
        target,
        effect,
    };
    world.actions.insert(id.to_string(), action.clone());
    Ok(action)
}

/// Ends an action.
pub(crate) fn settle(world: &mut World, key: &str, at: Timestamp) {
    let Some(action) = world.actions.get_mut(key) else {
        return;
    };
    if action.ready_at != Some(at) {
        return;
    }
    action.ready_at = None;
    action.completed_at = Some(at);
    let action = action.clone();
    if let Some(droplet) = action.target.busy_droplet() {
        droplets::release(world, droplet, action.id);
    }
    let done = match &action.target {
        Target::ReservedIp(ip, _) if action.fails => reserved_ips::release(world, *ip),
        _ if action.fails => false,
        Target::Droplet(id) => match &action.effect {
            // A snapshot is of the moment its action began; clients find it by that.
            Effect::Snapshot(name) => snapshots::of_droplet(world, *id, name, action.started_at),
            effect => droplets::apply(world, *id, effect),
        },
        Target::Volume(id, _) => volumes::apply(world, id, &action.effect),
        Target::ReservedIp(ip, _) => reserved_ips::apply(world, *ip, &action.effect),
    };
    if !done && let Some(action) = world.actions.get_mut(key) {
        action.errored = true;
    }
}

/// Whether one is in progress that a fault lets fail.
pub(crate) fn any_doomed(world: &World) -> bool {
    let doomed = |action: &Action| action.fails && action.ready_at.is_some();
    !world.actions.filtered(doomed).is_empty()
}

/// The droplets that are there and never will be anything, because a fault let their creation fail.
pub(crate) fn stillborn(world: &World) -> Vec<u64> {
    let failed = world
        .actions
        .filtered(|action| action.fails && action.errored);
    let droplets = failed.into_iter().filter_map(|action| match action.target {
        Target::Droplet(id) => Some(id),
        Target::Volume(..) | Target::ReservedIp(..) => None,
    });
    droplets.filter(|id| droplets::is_new(world, *id)).collect()
}

pub(crate) fn index(world: &mut World, request: &Request) -> Reply {
    Ok(page(world, request, |_| true))
}

pub(crate) fn show(world: &mut World, request: &Request) -> Reply {
    let action = world
        .actions
        .get(request.param(0))
        .ok_or_else(ApiError::not_found)?;
    Ok(Response::ok(json!({ "action": view(action) })))
}

/// One page of the actions a condition holds for, newest first.
pub(crate) fn page(world: &World, request: &Request, keep: impl Fn(&Target) -> bool) -> Response {
    let mut rows = world.actions.filtered(|action| keep(&action.target));
    rows.reverse();
    list(request, "actions", rows, |action| action.started_at, view)
}

/// One action of a target.
pub(crate) fn show_of(world: &World, id: &str, keep: impl Fn(&Target) -> bool) -> Reply {
    let action = world.actions.get(id).filter(|action| keep(&action.target));
    let action = action.ok_or_else(ApiError::not_found)?;
    Ok(Response::ok(json!({ "action": view(action) })))
}

pub(crate) fn view(action: &Action) -> Value {
    let (kind, id) = match &action.target {
        Target::Droplet(id) => ("droplet", Some(*id)),
        Target::Volume(..) => ("backend", None),
        Target::ReservedIp(ip, _) => ("reserved_ip", Some(u64::from(ip.to_bits()))),
    };
    let status = match action.completed_at {
        None => "in-progress",
        Some(_) if action.errored => "errored",
        Some(_) => "completed",
    };
    json!({
        "id": action.id,
        "status": status,
        "type": action.kind,
        "started_at": moment(action.started_at),
        "completed_at": action.completed_at.map(moment),
        "resource_id": id,
        "resource_type": kind,
        "region": catalogue::region_view(&action.region),
        "region_slug": action.region,
    })
}

/// The link a creation answers with.
pub(crate) fn link(request: &Request, action: &Action, rel: &str) -> Value {
    let href = format!("{}/v2/actions/{}", request.base_url, action.id);
    json!({ "id": action.id, "rel": rel, "href": href })
}
