//! Block storage volumes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::actions::{self, Action, Effect, Target};
use super::{droplets, moment, projects, region, required, snapshots, tags};
use crate::http::{ApiError, Reply, Request, Response, list};
use crate::world::catalogue::region_view;
use crate::world::table::Row;
use crate::world::{World, lag};

/// The largest volume, in GiB.
const MAX_GIB: u64 = 16_384;

/// A volume.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Volume {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) region: String,
    description: String,
    pub(crate) size_gib: u64,
    pub(crate) tags: Vec<String>,
    /// The droplet it is attached to.
    pub(crate) droplet: Option<u64>,
    filesystem_type: String,
    filesystem_label: String,
    /// Being attached, detached or grown.
    busy: bool,
    created_at: Timestamp,
}

impl Row for Volume {
    fn created_at(&self) -> Timestamp {
        self.created_at
    }
}

impl Volume {
    pub(crate) fn urn(&self) -> String {
        format!("do:volume:{}", self.id)
    }
}

#[derive(Deserialize)]
struct Body {
    name: Option<String>,
    region: Option<String>,
    description: Option<String>,
    size_gigabytes: Option<u64>,
    tags: Option<Vec<String>>,
    snapshot_id: Option<String>,
    filesystem_type: Option<String>,
    filesystem_label: Option<String>,
}

#[derive(Deserialize)]
struct ActionBody {
    r#type: Option<String>,
    droplet_id: Option<u64>,
    volume_name: Option<String>,
    region: Option<String>,
    size_gigabytes: Option<u64>,
}

/// Refuses a volume that cannot be attached in a region.
pub(crate) fn attachable(world: &World, id: &str, region: &str) -> Result<(), ApiError> {
    let volume = world
        .volumes
        .get(id)
        .ok_or_else(|| ApiError::unprocessable(format!("volume {id} does not exist")))?;
    if volume.region != region {
        let message = format!(
            "volume {} is in {}, not in {region}",
            volume.name, volume.region
        );
        return Err(ApiError::unprocessable(message));
    }
    if volume.busy {
        return Err(ApiError::unprocessable(
            "Volume already has a pending event.",
        ));
    }
    match volume.droplet {
        Some(droplet) => Err(ApiError::unprocessable(format!(
            "volume {} is already attached to droplet {droplet}",
            volume.name
        ))),
        None => Ok(()),
    }
}

pub(crate) fn create(world: &mut World, request: &Request) -> Reply {
    let body: Body = request.body()?;
    let snapshot =
        match body.snapshot_id.as_deref().filter(|id| !id.is_empty()) {
            Some(id) => {
                Some(world.snapshots.get(id).cloned().ok_or_else(|| {
                    ApiError::unprocessable(format!("snapshot {id} does not exist"))
                })?)
            }
            None => None,
        };
    let name = required(body.name, "name")?;
    let asked = body
        .region
        .or_else(|| snapshot.as_ref().and_then(snapshots::Snapshot::region));
    let region = region(&required(asked, "region")?)?;
    valid_name(world, &name, &region)?;
    let least = snapshot
        .as_ref()
        .map_or(1, snapshots::Snapshot::min_disk_gib);
    let size_gib = body.size_gigabytes.unwrap_or(least);
    if !(least..=MAX_GIB).contains(&size_gib) {
        let message = format!("size_gigabytes must be {least} to {MAX_GIB}");
        return Err(ApiError::unprocessable(message));
    }
    let filesystem_type = body.filesystem_type.unwrap_or_default();
    if !matches!(filesystem_type.as_str(), "" | "ext4" | "xfs") {
        return Err(ApiError::unprocessable(
            "filesystem_type must be ext4 or xfs",
        ));
    }
    let tags = tags::ensure(world, &body.tags.unwrap_or_default())?;
    let volume = Volume {
        id: world.rng.uuid(),
        name,
        region,
        description: body.description.unwrap_or_default(),
        size_gib,
        tags,
        droplet: None,
        filesystem_type,
        filesystem_label: body.filesystem_label.unwrap_or_default(),
        busy: false,
        created_at: world.now(),
    };
    projects::adopt(world, volume.urn(), None)?;
    let shown = view(&volume);
    world.volumes.insert(volume.id.clone(), volume);
    Ok(Response::new(201, json!({ "volume": shown })))
}

fn valid_name(world: &World, name: &str, region: &str) -> Result<(), ApiError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let first = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !first || !super::all_chars(name, 64, allowed) {
        return Err(ApiError::unprocessable(format!(
            "volume name {name:?} must be at most 64 lower-case letters, numbers and dashes, \
             starting with a letter"
        )));
    }
    if world
        .volumes
        .values()
        .any(|other| other.name == name && other.region == region)
    {
        return Err(ApiError::conflict(format!(
            "a volume named {name:?} already exists in {region}"
        )));
    }
    Ok(())
}

pub(crate) fn index(world: &mut World, request: &Request) -> Reply {
    let (name, region) = (request.query("name"), request.query("region"));
    let rows = world.volumes.filtered(|volume| {
        name.is_none_or(|name| volume.name == name)
            && region.is_none_or(|region| volume.region == region)
    });
    Ok(list(request, "volumes", rows, Row::created_at, view))
}

pub(crate) fn show(world: &mut World, request: &Request) -> Reply {
    let volume = world
        .volumes
        .get(request.param(0))
        .ok_or_else(ApiError::not_found)?;
    Ok(Response::ok(json!({ "volume": view(volume) })).created_at(volume.created_at))
}

pub(crate) fn delete(world: &mut World, request: &Request) -> Reply {
    let id = request.param(0).to_owned();
    destroy(world, &id)
}

pub(crate) fn delete_by_name(world: &mut World, request: &Request) -> Reply {
    let name = required(request.query("name"), "name")?;
    let region = required(request.query("region"), "region")?;
    let found = world
        .volumes
        .values()
        .find(|v| v.name == name && v.region == region);
    let id = found
        .map(|volume| volume.id.clone())
        .ok_or_else(ApiError::not_found)?;
    destroy(world, &id)
}

fn destroy(world: &mut World, id: &str) -> Reply {
    let volume = world.volumes.get(id).ok_or_else(ApiError::not_found)?;
    if volume.busy {
        return Err(ApiError::unprocessable(
            "Volume already has a pending event.",
        ));
    }
    if let Some(droplet) = volume.droplet {
        return Err(ApiError::conflict(format!(
            "the volume is attached to droplet {droplet}; detach it first"
        )));
    }
    let urn = volume.urn();
    world.volumes.remove(id);
    projects::forget(world, &urn);
    Ok(Response::no_content())
}

pub(crate) fn act(world: &mut World, request: &Request) -> Reply {
    let id = request.param(0).to_owned();
    let action = begin(world, &id, &request.body()?)?;
    Ok(Response::new(
        202,
        json!({ "action": actions::view(&action) }),
    ))
}

/// The same with the volume's name in the body.
pub(crate) fn act_by_name(world: &mut World, request: &Request) -> Reply {
    let body: ActionBody = request.body()?;
    let name = required(body.volume_name.as_deref(), "volume_name")?;
    let found = world.volumes.values().find(|volume| {
        volume.name == name && body.region.as_ref().is_none_or(|r| volume.region == *r)
    });
    let id = found
        .map(|volume| volume.id.clone())
        .ok_or_else(ApiError::not_found)?;
    let action = begin(world, &id, &body)?;
    Ok(Response::new(
        202,
        json!({ "action": actions::view(&action) }),
    ))
}

fn begin(world: &mut World, id: &str, body: &ActionBody) -> Result<Action, ApiError> {
    let volume = world
        .volumes
        .get(id)
        .ok_or_else(ApiError::not_found)?
        .clone();
    if volume.busy {
        return Err(ApiError::unprocessable(
            "Volume already has a pending event.",
        ));
    }
    let (kind, droplet, effect) = match body.r#type.as_deref() {
        Some("attach") => {
            let droplet = required(body.droplet_id, "droplet_id")?;
            let found = droplets::find(world, droplet)?;
            attachable(world, id, &found.region.clone())?;
            ("attach_volume", Some(droplet), Effect::Attach(droplet))
        }
        Some("detach") => {
            let droplet = required(body.droplet_id, "droplet_id")?;
            if volume.droplet != Some(droplet) {
                return Err(ApiError::unprocessable("Attachment not found"));
            }
            ("detach_volume", Some(droplet), Effect::Detach)
        }
        Some("resize") => {
            let size = required(body.size_gigabytes, "size_gigabytes")?;
            if size <= volume.size_gib || size > MAX_GIB {
                return Err(ApiError::unprocessable(format!(
                    "a volume only grows: size_gigabytes must be more than {} and at most {MAX_GIB}",
                    volume.size_gib
                )));
            }
            ("resize", None, Effect::Grow(size))
        }
        _ => {
            return Err(ApiError::unprocessable(
                "type must be attach, detach or resize",
            ));
        }
    };
    let target = Target::Volume(id.to_owned(), droplet);
    let action = actions::start(
        world,
        kind,
        &volume.region,
        target,
        effect,
        lag::VOLUME_ACTION,
    )?;
    if let Some(volume) = world.volumes.get_mut(id) {
        volume.busy = true;
    }
    Ok(action)
}

pub(crate) fn actions(world: &mut World, request: &Request) -> Reply {
    let id = request.param(0);
    if !world.volumes.contains(id) {
        return Err(ApiError::not_found());
    }
    Ok(actions::page(
        world,
        request,
        |t| matches!(t, Target::Volume(v, _) if v == id),
    ))
}

pub(crate) fn action(world: &mut World, request: &Request) -> Reply {
    let id = request.param(0);
    actions::show_of(
        world,
        request.param(1),
        |t| matches!(t, Target::Volume(v, _) if v == id),
    )
}

/// The end of an action; false when the volume or the droplet is gone.
pub(crate) fn apply(world: &mut World, id: &str, effect: &Effect) -> bool {
    let gone = matches!(effect, Effect::Attach(d) if droplets::find(world, *d).is_err());
    let Some(volume) = world.volumes.get_mut(id) else {
        return false;
    };
    volume.busy = false;
    match effect {
        Effect::Attach(droplet) if !gone => volume.droplet = Some(*droplet),
        Effect::Detach => volume.droplet = None,
        Effect::Grow(size) => volume.size_gib = *size,
        _ => {}
    }
    !gone
}

fn view(volume: &Volume) -> Value {
    json!({
        "id": volume.id,
        "name": volume.name,
        "description": volume.description,
        "size_gigabytes": volume.size_gib,
        "region": region_view(&volume.region),
        "droplet_ids": volume.droplet.into_iter().collect::<Vec<_>>(),
        "tags": volume.tags,
        "filesystem_type": volume.filesystem_type,
        "filesystem_label": volume.filesystem_label,
        "created_at": moment(volume.created_at),
    })
}
