//! Snapshots of volumes and droplets.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::droplets::{self, Droplet};
use super::volumes::Filesystem;
use super::{moment, required, tags};
use crate::http::{ApiError, Reply, Request, Response, list};
use crate::world::table::Row;
use crate::world::{World, catalogue};

/// Most snapshots of one volume, from DigitalOcean's page of limits. That page also says one in
/// ten minutes; what the API answers to a second is not known, so it is allowed here.
const MAX_OF_VOLUME: usize = 25;

/// A snapshot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub(crate) id: String,
    pub(crate) name: String,
    regions: Vec<String>,
    resource_id: String,
    of_volume: bool,
    /// Made by a droplet's backup policy: an image, but not a snapshot.
    #[serde(default)]
    backup: bool,
    disk_gib: u64,
    /// Slug of the public image its droplet was made of.
    #[serde(default)]
    base: String,
    /// How its volume was formatted.
    #[serde(default)]
    pub(crate) filesystem: Filesystem,
    pub(crate) tags: Vec<String>,
    created_at: Timestamp,
}

impl Row for Snapshot {
    fn created_at(&self) -> Timestamp {
        self.created_at
    }
}

impl Snapshot {
    /// Whether it is a snapshot of a droplet, and not a backup.
    pub(crate) fn is_of_droplet(&self, id: u64) -> bool {
        !self.backup && self.shows_droplet(id)
    }

    /// Whether it is a backup of a droplet.
    pub(crate) fn is_backup_of(&self, id: u64) -> bool {
        self.backup && self.shows_droplet(id)
    }

    /// Whether it is an image of a droplet's disk, on demand or by policy.
    pub(crate) fn shows_droplet(&self, id: u64) -> bool {
        !self.of_volume && self.resource_id.parse() == Ok(id)
    }

    pub(crate) fn is_backup(&self) -> bool {
        self.backup
    }

    pub(crate) fn is_of_volume(&self, id: &str) -> bool {
        self.of_volume && self.resource_id == id
    }

    /// US dollars a month: six cents a gigabyte.
    pub(crate) fn cost(&self) -> String {
        format!("{:.2}", size_gigabytes(self) * 0.06)
    }

    /// Where a volume can be made from it.
    pub(crate) fn region(&self) -> Option<String> {
        self.regions.first().cloned()
    }

    /// The slug of the public image it comes from, for a droplet's snapshot.
    pub(crate) fn base(&self) -> Option<&str> {
        (!self.of_volume).then_some(self.base.as_str())
    }

    pub(crate) fn min_disk_gib(&self) -> u64 {
        self.disk_gib
    }
}

#[derive(Deserialize)]
struct Body {
    name: Option<String>,
    tags: Option<Vec<String>>,
}

/// Makes the snapshot a droplet action asked for; false when the droplet is gone.
pub(crate) fn of_droplet(world: &mut World, id: u64, name: &str, at: Timestamp) -> bool {
    let Ok(droplet) = droplets::find(world, id) else {
        return false;
    };
    let snapshot = Snapshot {
        name: name.to_owned(),
        ..of_disk(droplet, at)
    };
    insert_image(world, snapshot);
    true
}

/// Makes a droplet's backup.
pub(crate) fn back_up(world: &mut World, id: u64, at: Timestamp) {
    let Ok(droplet) = droplets::find(world, id) else {
        return;
    };
    let snapshot = Snapshot {
        // As in the document's example of a backup.
        name: format!("{}- {}", droplet.name, at.strftime("%Y-%m-%d")),
        backup: true,
        ..of_disk(droplet, at)
    };
    insert_image(world, snapshot);
}

/// An image of a droplet's disk, without id and name.
fn of_disk(droplet: &Droplet, at: Timestamp) -> Snapshot {
    Snapshot {
        id: String::new(),
        name: String::new(),
        regions: vec![droplet.region.clone()],
        resource_id: droplet.id.to_string(),
        of_volume: false,
        backup: false,
        disk_gib: u64::from(droplet.disk_gib),
        base: droplet.image.clone(),
        filesystem: Filesystem::default(),
        tags: Vec::new(),
        created_at: at,
    }
}

fn insert_image(world: &mut World, mut snapshot: Snapshot) {
    snapshot.id = world.new_id().to_string();
    world.snapshots.insert(snapshot.id.clone(), snapshot);
}

/// Forgets a droplet's backups from before a moment.
pub(crate) fn expire_backups(world: &mut World, id: u64, oldest: Timestamp) {
    let old = |snapshot: &Snapshot| snapshot.is_backup_of(id) && snapshot.created_at <= oldest;
    for key in world.snapshots.keys_where(old) {
        world.snapshots.remove(&key);
    }
}

pub(crate) fn create_of_volume(world: &mut World, request: &Request) -> Reply {
    let volume = world
        .volumes
        .get(request.param(0))
        .ok_or_else(ApiError::not_found)?
        .clone();
    let body: Body = request.body()?;
    let name = required(body.name.filter(|name| !name.is_empty()), "name")?;
    let own = |snapshot: &&Snapshot| snapshot.is_of_volume(&volume.id);
    if world.snapshots.values().filter(own).any(|s| s.name == name) {
        return Err(ApiError::conflict(
            "failed to create snapshot: already exists",
        ));
    }
    if world.snapshots.values().filter(own).count() >= MAX_OF_VOLUME {
        return Err(ApiError::unprocessable(format!(
            "a volume has at most {MAX_OF_VOLUME} snapshots"
        )));
    }
    let tags = tags::ensure(world, &body.tags.unwrap_or_default())?;
    let snapshot = Snapshot {
        id: world.rng.uuid(),
        name,
        regions: vec![volume.region],
        resource_id: volume.id,
        of_volume: true,
        backup: false,
        disk_gib: volume.size_gib,
        base: String::new(),
        filesystem: volume.filesystem,
        tags,
        created_at: world.now(),
    };
    let shown = view(&snapshot);
    world.snapshots.insert(snapshot.id.clone(), snapshot);
    Ok(Response::new(201, json!({ "snapshot": shown })))
}

pub(crate) fn index_of_volume(world: &mut World, request: &Request) -> Reply {
    let id = request.param(0);
    if !world.volumes.contains(id) {
        return Err(ApiError::not_found());
    }
    let rows = world
        .snapshots
        .filtered(|snapshot| snapshot.is_of_volume(id));
    Ok(list(request, "snapshots", rows, Row::created_at, view))
}

pub(crate) fn index(world: &mut World, request: &Request) -> Reply {
    let of_volume = match request.query("resource_type") {
        None => None,
        Some("volume") => Some(true),
        Some("droplet") => Some(false),
        Some(other) => {
            return Err(ApiError::unprocessable(format!(
                "resource_type must be droplet or volume, not {other:?}"
            )));
        }
    };
    let rows = world.snapshots.filtered(|snapshot| {
        !snapshot.backup && of_volume.is_none_or(|of_volume| snapshot.of_volume == of_volume)
    });
    Ok(list(request, "snapshots", rows, Row::created_at, view))
}

pub(crate) fn show(world: &mut World, request: &Request) -> Reply {
    show_one(find(world, request.param(0))?)
}

pub(crate) fn delete(world: &mut World, request: &Request) -> Reply {
    destroy(world, request.param(0))?;
    Ok(Response::no_content())
}

/// Destroys a snapshot, which nothing ever uses.
pub(crate) fn destroy(world: &mut World, id: &str) -> Result<(), ApiError> {
    let id = find(world, id)?.id.clone();
    world.snapshots.remove(&id);
    Ok(())
}

/// A snapshot of a volume: the endpoints below `/v2/volumes` know no others.
pub(crate) fn show_of_volume(world: &mut World, request: &Request) -> Reply {
    show_one(find_of_volume(world, request.param(0))?)
}

pub(crate) fn delete_of_volume(world: &mut World, request: &Request) -> Reply {
    let id = find_of_volume(world, request.param(0))?.id.clone();
    destroy(world, &id)?;
    Ok(Response::no_content())
}

fn show_one(snapshot: &Snapshot) -> Reply {
    Ok(Response::ok(json!({ "snapshot": view(snapshot) })).created_at(snapshot.created_at))
}

fn find<'a>(world: &'a World, id: &str) -> Result<&'a Snapshot, ApiError> {
    match world.snapshots.get(id) {
        Some(snapshot) if !snapshot.backup => Ok(snapshot),
        None if catalogue::image_of(id).is_none_or(|image| image.id.to_string() != id) => {
            Err(ApiError::not_found())
        }
        // The document's example of this answer.
        _ => Err(ApiError::bad_request("the resource is not a snapshot")),
    }
}

pub(crate) fn find_of_volume<'a>(world: &'a World, id: &str) -> Result<&'a Snapshot, ApiError> {
    let snapshot = world.snapshots.get(id);
    snapshot
        .filter(|snapshot| snapshot.of_volume)
        .ok_or_else(ApiError::not_found)
}

fn view(snapshot: &Snapshot) -> Value {
    json!({
        "id": snapshot.id,
        "name": snapshot.name,
        "regions": snapshot.regions,
        "created_at": moment(snapshot.created_at),
        "resource_id": snapshot.resource_id,
        "resource_type": if snapshot.of_volume { "volume" } else { "droplet" },
        "min_disk_size": snapshot.disk_gib,
        "size_gigabytes": size_gigabytes(snapshot),
        "tags": snapshot.tags,
    })
}

/// What is stored of it. Volumes here hold nothing, droplets the image they were made of.
fn size_gigabytes(snapshot: &Snapshot) -> f64 {
    if snapshot.of_volume {
        0.0
    } else {
        catalogue::IMAGE_GIGABYTES
    }
}

/// The droplet snapshot or backup with an id, which is also a private image.
pub(crate) fn image_of<'a>(world: &'a World, id: &str) -> Option<&'a Snapshot> {
    world
        .snapshots
        .get(id)
        .filter(|snapshot| !snapshot.of_volume)
}

/// The private images of the account, oldest first.
pub(crate) fn images(world: &World) -> Vec<&Snapshot> {
    world.snapshots.filtered(|snapshot| !snapshot.of_volume)
}

/// A droplet's snapshot as the image it also is.
pub(crate) fn image_view(snapshot: &Snapshot) -> Value {
    let base = catalogue::image_of(&snapshot.base);
    json!({
        "id": snapshot.id.parse::<u64>().unwrap_or_default(),
        "name": snapshot.name,
        "distribution": base.map_or("Unknown", |image| image.distribution),
        "slug": Value::Null,
        "public": false,
        "regions": snapshot.regions,
        "created_at": moment(snapshot.created_at),
        "min_disk_size": snapshot.disk_gib,
        "type": kind(snapshot),
        "size_gigabytes": size_gigabytes(snapshot),
        "description": "",
        "tags": snapshot.tags,
        "status": "available",
        "error_message": "",
    })
}

fn kind(snapshot: &Snapshot) -> &'static str {
    if snapshot.backup {
        "backup"
    } else {
        "snapshot"
    }
}

/// A droplet's snapshot or backup in the droplet's own list.
pub(crate) fn droplet_view(snapshot: &Snapshot) -> Value {
    json!({
        "id": snapshot.id.parse::<u64>().unwrap_or_default(),
        "name": snapshot.name,
        "regions": snapshot.regions,
        "created_at": moment(snapshot.created_at),
        "min_disk_size": snapshot.disk_gib,
        "size_gigabytes": size_gigabytes(snapshot),
        "type": kind(snapshot),
    })
}
