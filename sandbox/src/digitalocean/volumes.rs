//! Block storage volumes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::actions::{self, Action, Effect, Target};
use super::snapshots::{self, Snapshot};
use super::{droplets, moment, projects, region, required, tags};
use crate::http::{ApiError, Reply, Request, Response, list};
use crate::world::catalogue::region_view;
use crate::world::table::Row;
use crate::world::{World, lag};

/// The largest volume, in GiB.
const MAX_GIB: u64 = 16_384;
/// Most volumes of one droplet, from the document.
pub(crate) const MAX_PER_DROPLET: usize = 15;

/// How a volume is formatted; empty when it is not.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Filesystem {
    #[serde(rename = "filesystem_type", default)]
    kind: String,
    #[serde(rename = "filesystem_label", default)]
    label: String,
}

impl Filesystem {
    /// The longest label of each kind is the document's.
    fn checked(kind: String, label: String) -> Result<Filesystem, ApiError> {
        let longest = match kind.as_str() {
            "ext4" => 16,
            "xfs" => 12,
            "" if label.is_empty() => 0,
            "" => {
                return Err(ApiError::unprocessable(
                    "filesystem_label needs a filesystem_type",
                ));
            }
            _ => {
                return Err(ApiError::unprocessable(
                    "filesystem_type must be ext4 or xfs",
                ));
            }
        };
        if label.chars().count() > longest {
            return Err(ApiError::unprocessable(format!(
                "filesystem_label has more than {longest} characters"
            )));
        }
        Ok(Filesystem { kind, label })
    }
}

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
    #[serde(flatten)]
    pub(crate) filesystem: Filesystem,
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

    /// US dollars a month: ten cents a GiB.
    pub(crate) fn cost(&self) -> String {
        format!("{}.{}0", self.size_gib / 10, self.size_gib % 10)
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
    tags: Option<Vec<String>>,
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
    if volume.droplet.is_some() {
        return Err(ApiError::unprocessable("This volume is already attached"));
    }
    Ok(())
}

pub(crate) fn create(world: &mut World, request: &Request) -> Reply {
    let body: Body = request.body()?;
    let snapshot = match body.snapshot_id.as_deref().filter(|id| !id.is_empty()) {
        Some(id) => Some(snapshots::find_of_volume(world, id)?.clone()),
        None => None,
    };
    let name = required(body.name, "name")?;
    let origin = snapshot.as_ref().and_then(Snapshot::region);
    let region = region(&required(body.region.or(origin.clone()), "region")?)?;
    if origin.is_some_and(|origin| origin != region) {
        return Err(ApiError::unprocessable(
            "the snapshot is in another region than the volume",
        ));
    }
    valid_name(world, &name, &region)?;
    let least = snapshot.as_ref().map(Snapshot::min_disk_gib);
    let size_gib = required(body.size_gigabytes.or(least), "size_gigabytes")?;
    let least = least.unwrap_or(1);
    if !(least..=MAX_GIB).contains(&size_gib) {
        let message = format!("size_gigabytes must be {least} to {MAX_GIB}");
        return Err(ApiError::unprocessable(message));
    }
    let asked = Filesystem::checked(
        body.filesystem_type.unwrap_or_default(),
        body.filesystem_label.unwrap_or_default(),
    )?;
    // A copy is formatted the way its original was.
    let copied = snapshot.map(|snapshot| snapshot.filesystem);
    let filesystem = copied.filter(|_| asked.kind.is_empty()).unwrap_or(asked);
    let tags = tags::ensure(world, &body.tags.unwrap_or_default())?;
    let volume = Volume {
        id: world.rng.uuid(),
        name,
        region,
        description: body.description.unwrap_or_default(),
        size_gib,
        tags,
        droplet: None,
        filesystem,
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
        return Err(ApiError::conflict(
            "failed to create volume: already exists",
        ));
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

/// Destroys a volume that nothing uses.
pub(crate) fn destroy(world: &mut World, id: &str) -> Reply {
    let volume = world.volumes.get(id).ok_or_else(ApiError::not_found)?;
    if volume.busy {
        return Err(ApiError::unprocessable(
            "Volume already has a pending event.",
        ));
    }
    if volume.droplet.is_some() {
        return Err(ApiError::conflict("attached volume cannot be deleted"));
    }
    let urn = volume.urn();
    world.volumes.remove(id);
    projects::forget(world, &urn);
    Ok(Response::no_content())
}

/// Destroys a volume along with the droplet it is attached to. One that is busy stays attached, so
/// that this can be tried again.
pub(crate) fn destroy_attached(world: &mut World, id: &str) -> Reply {
    let volume = world.volumes.get_mut(id).ok_or_else(ApiError::not_found)?;
    if !volume.busy {
        volume.droplet = None;
    }
    destroy(world, id)
}

pub(crate) fn act(world: &mut World, request: &Request) -> Reply {
    let id = request.param(0).to_owned();
    let action = begin(world, &id, &request.body()?)?;
    Ok(Response::new(
        202,
        json!({ "action": actions::view(&action) }),
    ))
}

/// The same with the volume's name in the body; the document has no resizing by name.
pub(crate) fn act_by_name(world: &mut World, request: &Request) -> Reply {
    let body: ActionBody = request.body()?;
    if body.r#type.as_deref() == Some("resize") {
        return Err(ApiError::unprocessable("type must be attach or detach"));
    }
    let name = required(body.volume_name.as_deref(), "volume_name")?;
    let region = body.region.as_deref();
    let found = world
        .volumes
        .values()
        .find(|volume| volume.name == name && region.is_none_or(|r| volume.region == r));
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
    if body.region.as_ref().is_some_and(|r| *r != volume.region) {
        let message = format!("volume {} is in {}", volume.name, volume.region);
        return Err(ApiError::unprocessable(message));
    }
    for tag in body.tags.iter().flatten() {
        tags::valid(tag)?;
    }
    let (kind, droplet, effect) = plan(world, &volume, body)?;
    let target = Target::Volume(id.to_owned(), droplet);
    let action = actions::start(
        world,
        kind,
        &volume.region,
        target,
        effect,
        lag::VOLUME_ACTION,
    )?;
    let tags = tags::ensure(world, body.tags.as_deref().unwrap_or_default())?;
    if let Some(volume) = world.volumes.get_mut(id) {
        volume.busy = true;
        for tag in tags {
            if !volume.tags.contains(&tag) {
                volume.tags.push(tag);
            }
        }
    }
    Ok(action)
}

/// What an action is called, which droplet is busy with it, and what it does.
fn plan(
    world: &World,
    volume: &Volume,
    body: &ActionBody,
) -> Result<(&'static str, Option<u64>, Effect), ApiError> {
    match body.r#type.as_deref() {
        Some("attach") => {
            let droplet = required(body.droplet_id, "droplet_id")?;
            let region = droplets::find(world, droplet)?.region.clone();
            attachable(world, &volume.id, &region)?;
            if on_droplet(world, droplet) >= MAX_PER_DROPLET {
                return Err(ApiError::unprocessable(
                    "cannot attach more volumes to the Droplet",
                ));
            }
            Ok(("attach_volume", Some(droplet), Effect::Attach(droplet)))
        }
        Some("detach") => {
            if volume.droplet.is_none() || volume.droplet != body.droplet_id {
                return Err(ApiError::unprocessable("Attachment not found"));
            }
            Ok(("detach_volume", volume.droplet, Effect::Detach))
        }
        Some("resize") => {
            let size = required(body.size_gigabytes, "size_gigabytes")?;
            if size <= volume.size_gib || size > MAX_GIB {
                return Err(ApiError::unprocessable(format!(
                    "a volume only grows: size_gigabytes must be more than {} and at most {MAX_GIB}",
                    volume.size_gib
                )));
            }
            Ok(("resize", None, Effect::Grow(size)))
        }
        _ => Err(ApiError::unprocessable(
            "type must be attach, detach or resize",
        )),
    }
}

/// How many volumes a droplet has.
fn on_droplet(world: &World, droplet: u64) -> usize {
    let attached = |volume: &&Volume| volume.droplet == Some(droplet);
    world.volumes.values().filter(attached).count()
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
        "filesystem_type": volume.filesystem.kind,
        "filesystem_label": volume.filesystem.label,
        "created_at": moment(volume.created_at),
    })
}
