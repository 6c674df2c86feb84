//! Tags, and what carries them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::snapshots::{self, Snapshot};
use super::{all_chars, firewalls, required};
use crate::http::{ApiError, Reply, Request, Response, list};
use crate::world::World;
use crate::world::table::Row;

/// A tag. Its key is the name in lower case; the first spelling stays.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Tag {
    pub(crate) name: String,
    created_at: Timestamp,
}

impl Row for Tag {
    fn created_at(&self) -> Timestamp {
        self.created_at
    }
}

#[derive(Deserialize)]
struct Named {
    name: Option<String>,
}

#[derive(Deserialize)]
struct Tagging {
    resources: Option<Vec<Target>>,
}

#[derive(Clone, Deserialize)]
struct Target {
    resource_id: Option<Value>,
    resource_type: Option<String>,
}

/// A resource that can be tagged.
enum Taggable {
    Droplet(u64),
    Volume(String),
    Snapshot(String),
    Database(String),
}

/// Whether two tag names mean the same tag.
pub(crate) fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

/// The tag's own spelling, if it exists.
pub(crate) fn spelling(world: &World, name: &str) -> Option<String> {
    world
        .tags
        .get(&name.to_ascii_lowercase())
        .map(|tag| tag.name.clone())
}

/// The tag a path names. A path must spell it the way it was made.
fn canonical<'a>(world: &'a World, request: &Request) -> Result<&'a Tag, ApiError> {
    let name = request.param(0);
    let tag = world.tags.get(&name.to_ascii_lowercase());
    tag.filter(|tag| tag.name == name)
        .ok_or_else(ApiError::not_found)
}

/// The tag's own spelling, or the answer for a tag that has to exist.
pub(crate) fn existing(world: &World, name: &str) -> Result<String, ApiError> {
    spelling(world, name).ok_or_else(|| {
        ApiError::unprocessable(format!(
            "tag {name:?} does not exist; create it before using it here"
        ))
    })
}

/// Makes the tags that do not exist yet; answers all with their own spelling, each once.
pub(crate) fn ensure(world: &mut World, names: &[String]) -> Result<Vec<String>, ApiError> {
    for name in names {
        valid(name)?;
    }
    let mut spelled: Vec<String> = Vec::with_capacity(names.len());
    for name in names {
        let key = name.to_ascii_lowercase();
        if !world.tags.contains(&key) {
            let tag = Tag {
                name: name.clone(),
                created_at: world.now(),
            };
            world.tags.insert(key, tag);
        }
        let own = spelling(world, name).unwrap_or_default();
        if !spelled.contains(&own) {
            spelled.push(own);
        }
    }
    Ok(spelled)
}

/// Refuses what cannot be a tag's name.
pub(crate) fn valid(name: &str) -> Result<(), ApiError> {
    if all_chars(name, 255, |c| {
        c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':')
    }) {
        return Ok(());
    }
    Err(ApiError::unprocessable(format!(
        "tag name {name:?} must be 1 to 255 letters, numbers, colons, dashes or underscores"
    )))
}

pub(crate) fn create(world: &mut World, request: &Request) -> Reply {
    let name = required(request.body::<Named>()?.name, "name")?;
    if valid(&name).is_err() {
        return Ok(refused(&name));
    }
    ensure(world, std::slice::from_ref(&name))?;
    let key = name.to_ascii_lowercase();
    let tag = world.tags.get(&key).ok_or_else(ApiError::not_found)?;
    Ok(Response::new(201, json!({ "tag": view(world, tag) })))
}

/// This endpoint refuses names in a form of its own.
fn refused(name: &str) -> Response {
    let error = format!(
        "Error validating resource tag: {:?}",
        format!("tag-name {name:?} contains invalid characters")
    );
    let cause = format!("rpc error: code = InvalidArgument desc = {error}");
    let body = json!({ "error": error, "messages": null, "root_causes": [cause] });
    Response::new(400, body)
}

pub(crate) fn index(world: &mut World, request: &Request) -> Reply {
    let tags = world.tags.sorted();
    Ok(list(
        request,
        "tags",
        tags,
        |tag| tag.created_at,
        |tag| view(world, tag),
    ))
}

pub(crate) fn show(world: &mut World, request: &Request) -> Reply {
    let tag = canonical(world, request)?;
    Ok(Response::ok(json!({ "tag": view(world, tag) })).created_at(tag.created_at))
}

/// Takes the tag off everything, firewalls and load balancers included.
pub(crate) fn delete(world: &mut World, request: &Request) -> Reply {
    let name = canonical(world, request)?.name.clone();
    world.tags.remove(&name.to_ascii_lowercase());
    let has = |tags: &[String]| tags.iter().any(|tag| same(tag, &name));
    for key in world.droplets.keys_where(|droplet| has(&droplet.tags)) {
        if let Some(droplet) = world.droplets.get_mut(&key) {
            droplet.tags.retain(|tag| !same(tag, &name));
        }
    }
    for key in world.volumes.keys_where(|volume| has(&volume.tags)) {
        if let Some(volume) = world.volumes.get_mut(&key) {
            volume.tags.retain(|tag| !same(tag, &name));
        }
    }
    for key in world.snapshots.keys_where(|snapshot| has(&snapshot.tags)) {
        if let Some(snapshot) = world.snapshots.get_mut(&key) {
            snapshot.tags.retain(|tag| !same(tag, &name));
        }
    }
    for key in world.databases.keys_where(|database| has(&database.tags)) {
        if let Some(database) = world.databases.get_mut(&key) {
            database.tags.retain(|tag| !same(tag, &name));
        }
    }
    for key in world
        .load_balancers
        .keys_where(|balancer| same(&balancer.tag, &name))
    {
        if let Some(balancer) = world.load_balancers.get_mut(&key) {
            balancer.tag = String::new();
        }
    }
    firewalls::forget_tag(world, &name);
    Ok(Response::no_content())
}

pub(crate) fn tag_resources(world: &mut World, request: &Request) -> Reply {
    let name = canonical(world, request)?.name.clone();
    for target in targets(world, request)? {
        if let Some(tags) = tags_of(world, &target)
            && !tags.contains(&name)
        {
            tags.push(name.clone());
        }
        if let Taggable::Droplet(id) = target {
            firewalls::touch(world, std::slice::from_ref(&name), id);
        }
    }
    Ok(Response::no_content())
}

pub(crate) fn untag_resources(world: &mut World, request: &Request) -> Reply {
    let name = canonical(world, request)?.name.clone();
    for target in targets(world, request)? {
        if let Some(tags) = tags_of(world, &target) {
            tags.retain(|tag| !same(tag, &name));
        }
        if let Taggable::Droplet(id) = target {
            firewalls::release(world, &name, id);
        }
    }
    Ok(Response::no_content())
}

/// The resources of a request, all of which must exist.
fn targets(world: &World, request: &Request) -> Result<Vec<Taggable>, ApiError> {
    let resources = required(request.body::<Tagging>()?.resources, "resources")?;
    resources
        .into_iter()
        .map(|target| find(world, target))
        .collect()
}

fn find(world: &World, target: Target) -> Result<Taggable, ApiError> {
    let id = match target.resource_id {
        Some(Value::String(id)) => id,
        Some(Value::Number(id)) => id.to_string(),
        _ => return Err(ApiError::unprocessable("resource_id is required")),
    };
    let (found, taggable) = match target.resource_type.as_deref() {
        Some("droplet") => {
            let number = id.parse().map_err(|_| ApiError::not_found())?;
            (
                world.droplets.contains(&super::droplets::key(number)),
                Taggable::Droplet(number),
            )
        }
        Some("volume") => (world.volumes.contains(&id), Taggable::Volume(id)),
        Some("volume_snapshot") => {
            let is = |snapshot: &Snapshot| snapshot.base().is_none();
            let found = world.snapshots.get(&id).is_some_and(is);
            (found, Taggable::Snapshot(id))
        }
        // Nobody can tag a public image.
        Some("image") => {
            let found = snapshots::image_of(world, &id).is_some();
            (found, Taggable::Snapshot(id))
        }
        Some("database") => (world.databases.contains(&id), Taggable::Database(id)),
        other => {
            let message = format!(
                "resource_type {} cannot be tagged",
                other.unwrap_or("is required and")
            );
            return Err(ApiError::unprocessable(message));
        }
    };
    if found {
        Ok(taggable)
    } else {
        Err(ApiError::not_found())
    }
}

fn tags_of<'a>(world: &'a mut World, target: &Taggable) -> Option<&'a mut Vec<String>> {
    match target {
        Taggable::Droplet(id) => world
            .droplets
            .get_mut(&super::droplets::key(*id))
            .map(|droplet| &mut droplet.tags),
        Taggable::Volume(id) => world.volumes.get_mut(id).map(|volume| &mut volume.tags),
        Taggable::Snapshot(id) => world
            .snapshots
            .get_mut(id)
            .map(|snapshot| &mut snapshot.tags),
        Taggable::Database(id) => world
            .databases
            .get_mut(id)
            .map(|database| &mut database.tags),
    }
}

fn view(world: &World, tag: &Tag) -> Value {
    let has = |tags: &[String]| tags.iter().any(|own| same(own, &tag.name));
    let snapshots = |images: bool| {
        world
            .snapshots
            .filtered(|s| s.base().is_some() == images && has(&s.tags))
    };
    let tagged = [
        (
            "droplets",
            "droplets",
            newest(&world.droplets.filtered(|d| has(&d.tags)), |d| {
                d.id.to_string()
            }),
        ),
        (
            "images",
            "images",
            newest(&snapshots(true), |s| s.id.clone()),
        ),
        (
            "volumes",
            "volumes",
            newest(&world.volumes.filtered(|v| has(&v.tags)), |v| v.id.clone()),
        ),
        (
            "volume_snapshots",
            "snapshots",
            newest(&snapshots(false), |s| s.id.clone()),
        ),
        (
            "databases",
            "databases",
            newest(&world.databases.filtered(|d| has(&d.tags)), |d| {
                d.id.clone()
            }),
        ),
    ];
    let count: usize = tagged.iter().map(|(_, _, (count, _))| count).sum();
    let mut resources = json!({ "count": count });
    for (kind, path, (count, last)) in &tagged {
        resources[*kind] = json!({ "count": count });
        if let Some((_, id)) = last {
            resources[*kind]["last_tagged_uri"] = Value::String(uri(path, id));
        }
    }
    // When something was tagged is not kept; the newest stands for the last.
    let last = tagged
        .iter()
        .filter_map(|(_, path, (_, last))| last.as_ref().map(|(at, id)| (at, path, id)))
        .max();
    if let Some((_, path, id)) = last {
        resources["last_tagged_uri"] = Value::String(uri(path, id));
    }
    json!({ "name": tag.name, "resources": resources })
}

/// How many rows there are, and the last one's age and id.
fn newest<T: Row>(rows: &[&T], id: impl Fn(&T) -> String) -> (usize, Option<(Timestamp, String)>) {
    let last = rows.last().map(|row| (row.created_at(), id(row)));
    (rows.len(), last)
}

fn uri(path: &str, id: &str) -> String {
    format!("https://api.digitalocean.com/v2/{path}/{id}")
}
