//! Snapshots of volumes and droplets.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{droplets, moment, required, tags};
use crate::http::{ApiError, Reply, Request, Response, list};
use crate::world::table::Row;
use crate::world::{World, catalogue};

/// A snapshot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub(crate) id: String,
    pub(crate) name: String,
    regions: Vec<String>,
    resource_id: String,
    of_volume: bool,
    disk_gib: u64,
    /// Slug of the public image its droplet was made of.
    #[serde(default)]
    base: String,
    pub(crate) tags: Vec<String>,
    created_at: Timestamp,
}

impl Row for Snapshot {
    fn created_at(&self) -> Timestamp {
        self.created_at
    }
}

impl Snapshot {
    pub(crate) fn is_of_droplet(&self, id: u64) -> bool {
        !self.of_volume && self.resource_id == id.to_string()
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
    let (region, disk_gib) = (droplet.region.clone(), u64::from(droplet.disk_gib));
    let base = droplet.image.clone();
    let snapshot = Snapshot {
        id: world.new_id().to_string(),
        name: name.to_owned(),
        regions: vec![region],
        resource_id: id.to_string(),
        of_volume: false,
        disk_gib,
        base,
        tags: Vec::new(),
        created_at: at,
    };
    world.snapshots.insert(snapshot.id.clone(), snapshot);
    true
}

pub(crate) fn create_of_volume(world: &mut World, request: &Request) -> Reply {
    let volume = world
        .volumes
        .get(request.param(0))
        .ok_or_else(ApiError::not_found)?
        .clone();
    let body: Body = request.body()?;
    let name = required(body.name.filter(|name| !name.is_empty()), "name")?;
    let tags = tags::ensure(world, &body.tags.unwrap_or_default())?;
    let snapshot = Snapshot {
        id: world.rng.uuid(),
        name,
        regions: vec![volume.region],
        resource_id: volume.id,
        of_volume: true,
        disk_gib: volume.size_gib,
        base: String::new(),
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
        .filtered(|s| s.of_volume && s.resource_id == id);
    Ok(list(request, "snapshots", rows, Row::created_at, view))
}

pub(crate) fn index(world: &mut World, request: &Request) -> Reply {
    let kind = request.query("resource_type");
    let rows = world.snapshots.filtered(|snapshot| match kind {
        Some("volume") => snapshot.of_volume,
        Some("droplet") => !snapshot.of_volume,
        _ => true,
    });
    Ok(list(request, "snapshots", rows, Row::created_at, view))
}

pub(crate) fn show(world: &mut World, request: &Request) -> Reply {
    let snapshot = world
        .snapshots
        .get(request.param(0))
        .ok_or_else(ApiError::not_found)?;
    Ok(Response::ok(json!({ "snapshot": view(snapshot) })).created_at(snapshot.created_at))
}

pub(crate) fn delete(world: &mut World, request: &Request) -> Reply {
    world
        .snapshots
        .remove(request.param(0))
        .ok_or_else(ApiError::not_found)?;
    Ok(Response::no_content())
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
        "size_gigabytes": 0.0,
        "tags": snapshot.tags,
    })
}

/// The droplet snapshot with an id, which is also a private image.
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
        "type": "snapshot",
        "size_gigabytes": 0.0,
        "description": "",
        "tags": snapshot.tags,
        "status": "available",
    })
}

/// A droplet's snapshot in the droplet's own list.
pub(crate) fn droplet_view(snapshot: &Snapshot) -> Value {
    json!({
        "id": snapshot.id.parse::<u64>().unwrap_or_default(),
        "name": snapshot.name,
        "regions": snapshot.regions,
        "created_at": moment(snapshot.created_at),
        "min_disk_size": snapshot.disk_gib,
        "size_gigabytes": 0.0,
        "type": "snapshot",
    })
}
