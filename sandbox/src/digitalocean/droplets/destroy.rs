//! Destroying a droplet together with what belongs to it: its snapshots, its volumes with their
//! snapshots, its reserved addresses.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{find, idle, key, occupy, release};
use crate::digitalocean::{moment, reserved_ips, snapshots, volumes};
use crate::http::{ApiError, Reply, Request, Response};
use crate::world::table::Row;
use crate::world::{Due, World, lag};

/// What can belong to a droplet, in the order in which it is destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Kind {
    ReservedIp,
    Snapshot,
    Volume,
    VolumeSnapshot,
}

impl Kind {
    const ALL: [Kind; 4] = [
        Kind::ReservedIp,
        Kind::Snapshot,
        Kind::Volume,
        Kind::VolumeSnapshot,
    ];

    /// Its name in answers.
    fn plural(self) -> &'static str {
        match self {
            Kind::ReservedIp => "reserved_ips",
            Kind::Snapshot => "snapshots",
            Kind::Volume => "volumes",
            Kind::VolumeSnapshot => "volume_snapshots",
        }
    }
}

/// Something that belongs to a droplet.
struct Associated {
    name: String,
    /// US dollars a month, if it is kept.
    cost: String,
}

/// One resource of a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Item {
    kind: Kind,
    id: String,
    name: String,
    destroyed_at: Option<Timestamp>,
    error: Option<String>,
}

/// The last request to destroy a droplet with what belongs to it. Its key is the droplet's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Destruction {
    droplet: u64,
    name: String,
    resources: Vec<Item>,
    destroyed_at: Option<Timestamp>,
    error: Option<String>,
    /// What keeps the droplet busy meanwhile.
    event: u64,
    requested_at: Timestamp,
    /// When it ends; `None` once it has.
    pub(crate) ready_at: Option<Timestamp>,
    completed_at: Option<Timestamp>,
}

impl Row for Destruction {
    fn created_at(&self) -> Timestamp {
        self.requested_at
    }
}

/// What is to be destroyed along with the droplet, by id.
#[derive(Deserialize)]
struct Selection {
    floating_ips: Option<Vec<String>>,
    reserved_ips: Option<Vec<String>>,
    snapshots: Option<Vec<String>>,
    volumes: Option<Vec<String>>,
    volume_snapshots: Option<Vec<String>>,
}

/// Everything that belongs to a droplet, by kind and id.
fn associated(world: &World, droplet: u64) -> BTreeMap<(Kind, String), Associated> {
    let mut all = BTreeMap::new();
    let mut add = |kind, id: String, name: &str, cost: String| {
        let name = name.to_owned();
        all.insert((kind, id), Associated { name, cost });
    };
    for ip in world
        .reserved_ips
        .filtered(|ip| ip.droplet == Some(droplet))
    {
        let cost = reserved_ips::UNASSIGNED_COST.to_owned();
        add(Kind::ReservedIp, ip.number(), &ip.ip.to_string(), cost);
    }
    for image in world.snapshots.filtered(|s| s.is_of_droplet(droplet)) {
        add(Kind::Snapshot, image.id.clone(), &image.name, image.cost());
    }
    for volume in world.volumes.filtered(|v| v.droplet == Some(droplet)) {
        let (id, cost) = (volume.id.clone(), volume.cost());
        add(Kind::Volume, id, &volume.name, cost);
        for copy in world.snapshots.filtered(|s| s.is_of_volume(&volume.id)) {
            add(
                Kind::VolumeSnapshot,
                copy.id.clone(),
                &copy.name,
                copy.cost(),
            );
        }
    }
    all
}

/// What belongs to a droplet and would still cost something without it.
pub(crate) fn index(world: &mut World, request: &Request) -> Reply {
    let id = request.id(0)?;
    find(world, id)?;
    let found = associated(world, id);
    Ok(Response::ok(by_kind(|kind| {
        let own = found.iter().filter(|((own, _), _)| *own == kind);
        own.map(|((_, id), it)| json!({ "id": id, "name": it.name, "cost": it.cost }))
            .collect()
    })))
}

/// One list for every kind; reserved addresses also by their former name.
fn by_kind(rows: impl Fn(Kind) -> Vec<Value>) -> Value {
    let mut lists: serde_json::Map<String, Value> = Kind::ALL
        .into_iter()
        .map(|kind| (kind.plural().to_owned(), Value::Array(rows(kind))))
        .collect();
    lists.insert(
        "floating_ips".to_owned(),
        Value::Array(rows(Kind::ReservedIp)),
    );
    Value::Object(lists)
}

/// Destroys a droplet with everything that belongs to it.
pub(crate) fn everything(world: &mut World, request: &Request) -> Reply {
    let id = request.id(0)?;
    find(world, id)?;
    if !request.dangerous {
        return Err(ApiError::bad_request(
            "The X-Dangerous header must be set to true.",
        ));
    }
    let items = associated(world, id)
        .into_iter()
        .map(|((kind, id), it)| item(kind, id, it.name))
        .collect();
    start(world, id, items)
}

/// Destroys a droplet with some of what belongs to it.
pub(crate) fn some(world: &mut World, request: &Request) -> Reply {
    let id = request.id(0)?;
    find(world, id)?;
    let asked: Selection = request.body()?;
    let found = associated(world, id);
    let addresses = asked.reserved_ips.into_iter().chain(asked.floating_ips);
    // An address may be named by itself.
    let addresses: Vec<String> = addresses
        .flatten()
        .map(|id| reserved_ips::number_of(&id).unwrap_or(id))
        .collect();
    let lists = [
        (Kind::ReservedIp, addresses),
        (Kind::Snapshot, asked.snapshots.unwrap_or_default()),
        (Kind::Volume, asked.volumes.unwrap_or_default()),
        (
            Kind::VolumeSnapshot,
            asked.volume_snapshots.unwrap_or_default(),
        ),
    ];
    let mut items: BTreeMap<(Kind, String), Item> = BTreeMap::new();
    for (kind, ids) in lists {
        for id in ids {
            let name = found.get(&(kind, id.clone())).map(|it| it.name.clone());
            let row = item(kind, id.clone(), name.unwrap_or_default());
            items.insert((kind, id), row);
        }
    }
    start(world, id, items.into_values().collect())
}

fn item(kind: Kind, id: String, name: String) -> Item {
    Item {
        kind,
        id,
        name,
        destroyed_at: None,
        error: None,
    }
}

fn conflict() -> ApiError {
    ApiError::conflict("The request could not be completed due to a conflict.")
}

fn under_way(world: &World, id: u64) -> bool {
    let last = world.destructions.get(&key(id));
    last.is_some_and(|last| last.ready_at.is_some())
}

fn start(world: &mut World, id: u64, resources: Vec<Item>) -> Reply {
    if under_way(world, id) {
        return Err(conflict());
    }
    idle(world, id)?;
    let name = find(world, id)?.name.clone();
    let event = world.new_id();
    occupy(world, id, event)?;
    let ready_at = world.schedule(lag::DROPLET_DESTROY, Due::Destruction(key(id)));
    let row = Destruction {
        droplet: id,
        name,
        resources,
        destroyed_at: None,
        error: None,
        event,
        requested_at: world.now(),
        ready_at: Some(ready_at),
        completed_at: None,
    };
    world.destructions.insert(key(id), row);
    Ok(Response::accepted())
}

/// Tries again what failed.
pub(crate) fn retry(world: &mut World, request: &Request) -> Reply {
    let id = request.id(0)?;
    let last = world.destructions.get(&key(id));
    let last = last.ok_or_else(ApiError::not_found)?.clone();
    let again = |row: Item| match row.destroyed_at {
        Some(_) => row,
        None => item(row.kind, row.id, row.name),
    };
    start(world, id, last.resources.into_iter().map(again).collect())
}

/// How far the last request is.
pub(crate) fn status(world: &mut World, request: &Request) -> Reply {
    let last = world.destructions.get(&key(request.id(0)?));
    let last = last.ok_or_else(ApiError::not_found)?;
    let shown = |id: &str, name: &str, at: Option<Timestamp>, error: Option<&String>| {
        let mut value = json!({ "id": id, "name": name });
        if let Some(at) = at {
            value["destroyed_at"] = json!(moment(at));
        }
        if let Some(error) = error {
            value["error_message"] = json!(error);
        }
        value
    };
    let resources = by_kind(|kind| {
        let own = last.resources.iter().filter(|row| row.kind == kind);
        own.map(|row| shown(&row.id, &row.name, row.destroyed_at, row.error.as_ref()))
            .collect()
    });
    let mut body = json!({
        "droplet": shown(
            &last.droplet.to_string(),
            &last.name,
            last.destroyed_at,
            last.error.as_ref(),
        ),
        "resources": resources,
        "failures": last.resources.iter().filter(|row| row.error.is_some()).count(),
    });
    if let Some(at) = last.completed_at {
        body["completed_at"] = json!(moment(at));
    }
    Ok(Response::ok(body))
}

/// The request has been worked on: first what belongs to the droplet, then the droplet itself,
/// which stays while something of the request is still there, so that it can be retried.
pub(crate) fn settle(world: &mut World, key: &str, at: Timestamp) {
    let Some(mut last) = world.destructions.get(key).cloned() else {
        return;
    };
    if last.ready_at != Some(at) {
        return;
    }
    release(world, last.droplet, last.event);
    let own = associated(world, last.droplet);
    for row in &mut last.resources {
        if row.destroyed_at.is_some() {
            continue;
        }
        let belongs = own.contains_key(&(row.kind, row.id.clone()));
        let done = if belongs {
            destroy(world, row)
        } else {
            Err(ApiError::not_found())
        };
        match done {
            Ok(()) => row.destroyed_at = Some(at),
            Err(error) => row.error = Some(error.message),
        }
    }
    if last.resources.iter().all(|row| row.error.is_none()) {
        super::destroy(world, last.droplet);
        last.destroyed_at = Some(at);
    } else {
        last.error = Some("Some of the associated resources could not be destroyed.".to_owned());
    }
    (last.ready_at, last.completed_at) = (None, Some(at));
    world.destructions.insert(key.to_owned(), last);
}

fn destroy(world: &mut World, row: &Item) -> Result<(), ApiError> {
    match row.kind {
        Kind::ReservedIp => reserved_ips::destroy(world, &row.name),
        Kind::Volume => volumes::destroy_attached(world, &row.id).map(drop),
        Kind::Snapshot | Kind::VolumeSnapshot => snapshots::destroy(world, &row.id),
    }
}
