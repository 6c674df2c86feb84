//! Droplets: what they are, what changes them, how they are shown.

mod act;
mod backups;
mod create;
pub(crate) mod destroy;
mod view;

use std::net::Ipv4Addr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::actions::Effect;
use super::snapshots::Snapshot;
use super::vpcs::{self, Member};
use super::{projects, required, tags};
use crate::http::{ApiError, Reply, Request, Response, list};
use crate::world::table::Row;
use crate::world::{Event, World, catalogue};

pub(crate) use act::{act, act_by_tag, action, actions};
pub(crate) use backups::{
    BackupPolicy, backup_policies, backup_policy, backups, plan_missing, settle as settle_backup,
    supported_backup_policies,
};
pub(crate) use create::create;
pub(crate) use view::view;

/// Where a droplet is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    New,
    Active,
    Off,
}

/// A droplet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Droplet {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) region: String,
    pub(crate) size: String,
    /// A resize may leave the disk as it is.
    pub(crate) disk_gib: u32,
    /// Slug of the public image it comes from in the end.
    pub(crate) image: String,
    /// The snapshot it was made of, as it was then.
    #[serde(default)]
    snapshot: Option<Snapshot>,
    pub(crate) status: Status,
    pub(crate) tags: Vec<String>,
    pub(crate) vpc_uuid: String,
    pub(crate) public_ip: Option<Ipv4Addr>,
    pub(crate) private_ip: Ipv4Addr,
    pub(crate) user_data: Option<String>,
    ssh_keys: Vec<u64>,
    ipv6: bool,
    monitoring: bool,
    agent: bool,
    backups: bool,
    backup_policy: Option<BackupPolicy>,
    /// When the next backup is made.
    #[serde(default)]
    pub(crate) next_backup: Option<Timestamp>,
    /// The action that keeps it busy.
    pending: Option<u64>,
    created_at: Timestamp,
}

impl Row for Droplet {
    fn created_at(&self) -> Timestamp {
        self.created_at
    }
}

impl Droplet {
    pub(crate) fn urn(&self) -> String {
        format!("do:droplet:{}", self.id)
    }

    pub(crate) fn member(&self) -> Member {
        Member {
            urn: self.urn(),
            name: self.name.clone(),
            created_at: self.created_at,
        }
    }

    pub(crate) fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|own| tags::same(own, tag))
    }

    /// Whether something is being done to it.
    pub(crate) fn busy(&self) -> bool {
        self.pending.is_some()
    }
}

/// The key of a droplet: its id with leading zeros, so that keys sort like ids.
pub(crate) fn key(id: u64) -> String {
    format!("{id:012}")
}

/// A droplet that exists.
pub(crate) fn find(world: &World, id: u64) -> Result<&Droplet, ApiError> {
    world.droplets.get(&key(id)).ok_or_else(ApiError::not_found)
}

/// Makes a droplet busy with an action, or says that it already is.
pub(crate) fn occupy(world: &mut World, id: u64, action: u64) -> Result<(), ApiError> {
    idle(world, id)?;
    if let Some(droplet) = world.droplets.get_mut(&key(id)) {
        droplet.pending = Some(action);
    }
    Ok(())
}

/// Refuses while something is being done to the droplet.
pub(crate) fn idle(world: &World, id: u64) -> Result<(), ApiError> {
    if find(world, id)?.busy() {
        return Err(ApiError::unprocessable(
            "Droplet already has a pending event.",
        ));
    }
    Ok(())
}

/// The droplet's action has ended.
pub(crate) fn release(world: &mut World, id: u64, action: u64) {
    if let Some(droplet) = world.droplets.get_mut(&key(id))
        && droplet.pending == Some(action)
    {
        droplet.pending = None;
    }
}

/// Whether it is there and was never up.
pub(crate) fn is_new(world: &World, id: u64) -> bool {
    let droplet = world.droplets.get(&key(id));
    droplet.is_some_and(|droplet| droplet.status == Status::New)
}

/// Changes a droplet the way its action says; false when it is gone.
pub(crate) fn apply(world: &mut World, id: u64, effect: &Effect) -> bool {
    match effect {
        Effect::Rebuild(image) => return rebuild(world, id, image),
        Effect::Backups { on, policy } => backups::set(world, id, *on, *policy),
        _ => {}
    }
    let Some(droplet) = world.droplets.get_mut(&key(id)) else {
        return false;
    };
    match effect {
        Effect::PowerOn => {
            droplet.status = Status::Active;
            world.emit(Event::Active(id));
        }
        Effect::PowerOff => {
            droplet.status = Status::Off;
            world.emit(Event::Stopped(id));
        }
        Effect::Rename(name) => droplet.name.clone_from(name),
        Effect::Resize { size, disk } => {
            droplet.size.clone_from(size);
            if let Some(size) = catalogue::size_of(size).filter(|_| *disk) {
                droplet.disk_gib = size.disk_gib;
            }
        }
        Effect::EnableIpv6 => droplet.ipv6 = true,
        _ => {}
    }
    true
}

/// A new disk from an image; its addresses and what it was told at its first boot stay.
fn rebuild(world: &mut World, id: u64, image: &str) -> bool {
    let Some((slug, snapshot)) = create::image(world, image) else {
        return false;
    };
    let Some(droplet) = world.droplets.get_mut(&key(id)) else {
        return false;
    };
    (droplet.image, droplet.snapshot) = (slug, snapshot);
    droplet.status = Status::Active;
    world.emit(Event::Gone(id));
    world.emit(Event::Active(id));
    true
}

pub(crate) fn index(world: &mut World, request: &Request) -> Reply {
    let (tag, name) = (request.query("tag_name"), request.query("name"));
    let kind = request.query("type");
    if tag.is_some() && (name.is_some() || kind.is_some()) {
        return Err(ApiError::unprocessable(
            "tag_name can not be combined with name or type",
        ));
    }
    // The sandbox sells no GPU droplets.
    let any = match kind {
        None | Some("droplets") => true,
        Some("gpus") => false,
        Some(other) => {
            return Err(ApiError::unprocessable(format!(
                "type must be droplets or gpus, not {other:?}"
            )));
        }
    };
    let rows = world.droplets.filtered(|droplet| {
        any && tag.is_none_or(|tag| droplet.has_tag(tag))
            && name.is_none_or(|name| droplet.name.eq_ignore_ascii_case(name))
    });
    Ok(list(
        request,
        "droplets",
        rows,
        |droplet| droplet.created_at,
        |d| view(world, d),
    ))
}

pub(crate) fn show(world: &mut World, request: &Request) -> Reply {
    let droplet = find(world, request.id(0)?)?;
    let body = json!({ "droplet": view(world, droplet) });
    Ok(Response::ok(body).created_at(droplet.created_at))
}

pub(crate) fn delete(world: &mut World, request: &Request) -> Reply {
    let id = request.id(0)?;
    idle(world, id)?;
    destroy(world, id);
    Ok(Response::no_content())
}

/// Destroys every droplet with a tag; none when one of them is busy.
pub(crate) fn delete_by_tag(world: &mut World, request: &Request) -> Reply {
    let tag = required(request.query("tag_name"), "tag_name")?;
    tags::spelling(world, tag).ok_or_else(ApiError::not_found)?;
    let ids = tagged(world, tag);
    for id in &ids {
        idle(world, *id)?;
    }
    for id in ids {
        destroy(world, id);
    }
    Ok(Response::no_content())
}

/// The droplets with a tag.
fn tagged(world: &World, tag: &str) -> Vec<u64> {
    let droplets = world.droplets.filtered(|droplet| droplet.has_tag(tag));
    droplets.iter().map(|droplet| droplet.id).collect()
}

fn destroy(world: &mut World, id: u64) {
    let Some(droplet) = world.droplets.remove(&key(id)) else {
        return;
    };
    for volume in world
        .volumes
        .keys_where(|volume| volume.droplet == Some(id))
    {
        if let Some(volume) = world.volumes.get_mut(&volume) {
            volume.droplet = None;
        }
    }
    for ip in world.reserved_ips.keys_where(|ip| ip.droplet == Some(id)) {
        if let Some(ip) = world.reserved_ips.get_mut(&ip) {
            ip.droplet = None;
        }
    }
    // Its snapshots stay, its backups do not.
    super::snapshots::expire_backups(world, id, Timestamp::MAX);
    super::firewalls::forget_droplet(world, id);
    super::load_balancers::forget_droplet(world, id);
    super::databases::forget_droplet(world, id);
    projects::forget(world, &droplet.urn());
    vpcs::linger(world, &droplet.vpc_uuid, droplet.member());
    world.emit(Event::Gone(id));
}

/// The firewalls that guard a droplet, by id or by tag.
pub(crate) fn firewalls(world: &mut World, request: &Request) -> Reply {
    let droplet = find(world, request.id(0)?)?;
    let rows = world
        .firewalls
        .filtered(|firewall| firewall.covers(droplet));
    Ok(list(
        request,
        "firewalls",
        rows,
        Row::created_at,
        super::firewalls::view,
    ))
}

/// The sandbox has one rack for each droplet, so nobody has neighbours.
pub(crate) fn neighbors(world: &mut World, request: &Request) -> Reply {
    find(world, request.id(0)?)?;
    Ok(Response::ok(json!({ "droplets": [] })))
}

/// The droplet's own snapshots.
pub(crate) fn snapshots(world: &mut World, request: &Request) -> Reply {
    let id = request.id(0)?;
    find(world, id)?;
    let rows = world
        .snapshots
        .filtered(|snapshot| snapshot.is_of_droplet(id));
    Ok(list(
        request,
        "snapshots",
        rows,
        Row::created_at,
        super::snapshots::droplet_view,
    ))
}
