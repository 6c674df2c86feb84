//! Creating droplets, one by `name` or up to ten by `names`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::backups::BackupPolicy;
use super::{Droplet, Status, key, view};
use crate::digitalocean::actions::{self, Action, Effect, Target};
use crate::digitalocean::snapshots::{self, Snapshot};
use crate::digitalocean::{firewalls, projects, ssh_keys, tags, volumes, vpcs};
use crate::http::{ApiError, Reply, Request, Response};
use crate::world::catalogue::{self, Size};
use crate::world::{World, lag};

/// DigitalOcean's limit of `user_data`.
const MAX_USER_DATA: usize = 64 * 1024;
/// Most droplets one call creates.
const MAX_NAMES: usize = 10;

#[derive(Deserialize)]
struct Body {
    name: Option<String>,
    names: Option<Vec<String>>,
    region: Option<String>,
    size: Option<String>,
    image: Option<Value>,
    ssh_keys: Option<Vec<Value>>,
    backups: Option<bool>,
    backup_policy: Option<BackupPolicy>,
    ipv6: Option<bool>,
    monitoring: Option<bool>,
    tags: Option<Vec<String>>,
    user_data: Option<String>,
    volumes: Option<Vec<String>>,
    vpc_uuid: Option<String>,
    with_droplet_agent: Option<bool>,
    public_networking: Option<bool>,
}

/// What all droplets of one call share.
struct Template {
    region: String,
    size: &'static Size,
    image: String,
    snapshot: Option<Snapshot>,
    ssh_keys: Vec<u64>,
    vpc_uuid: String,
    tags: Vec<String>,
    body: Body,
}

pub(crate) fn create(world: &mut World, request: &Request) -> Reply {
    let body: Body = request.body()?;
    let (names, single) = names(&body)?;
    let limit = usize::try_from(world.options.droplet_limit).unwrap_or(usize::MAX);
    if world.droplets.len() + names.len() > limit {
        return Err(ApiError::unprocessable(
            "creating this/these droplet(s) will exceed your droplet limit",
        ));
    }
    let template = template(world, body)?;
    let mut made = Vec::with_capacity(names.len());
    for name in names {
        made.push(insert(world, &template, name)?);
    }
    let links: Vec<Value> = made
        .iter()
        .map(|(_, action)| actions::link(request, action, "create"))
        .collect();
    let links = json!({ "actions": links });
    let mut shown: Vec<Value> = made
        .iter()
        .filter_map(|(id, _)| world.droplets.get(&key(*id)))
        .map(|droplet| view(world, droplet))
        .collect();
    let body = if single {
        json!({ "droplet": shown.pop(), "links": links })
    } else {
        json!({ "droplets": shown, "links": links })
    };
    Ok(Response::new(202, body))
}

/// The names, and whether there was just `name`.
fn names(body: &Body) -> Result<(Vec<String>, bool), ApiError> {
    let (names, single) = match (&body.name, &body.names) {
        (Some(_), Some(_)) => {
            return Err(ApiError::unprocessable("give name or names, not both"));
        }
        (Some(name), None) => (vec![name.clone()], true),
        (None, Some(names)) => (names.clone(), false),
        (None, None) => (Vec::new(), true),
    };
    if names.is_empty() || names.len() > MAX_NAMES {
        return Err(ApiError::unprocessable(format!(
            "Name is required, and at most {MAX_NAMES} droplets are created at once"
        )));
    }
    for name in &names {
        valid_name(name)?;
    }
    Ok((names, single))
}

/// Refuses what is not a host name.
pub(super) fn valid_name(name: &str) -> Result<(), ApiError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let ends = name.ends_with(|c: char| c.is_ascii_alphanumeric());
    if name.len() <= 255 && name.chars().all(allowed) && ends {
        return Ok(());
    }
    Err(ApiError::unprocessable(
        "Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)",
    ))
}

/// Checks everything before anything is made.
fn template(world: &mut World, body: Body) -> Result<Template, ApiError> {
    let invalid = |what: &str| {
        ApiError::unprocessable(format!(
            "You specified an invalid {what} for Droplet creation."
        ))
    };
    let size = body
        .size
        .as_deref()
        .and_then(catalogue::size_of)
        .ok_or_else(|| invalid("size"))?;
    let (image, snapshot) = body
        .image
        .as_ref()
        .and_then(identifier)
        .and_then(|image| self::image(world, &image))
        .ok_or_else(|| invalid("image"))?;
    let in_vpc = body.vpc_uuid.as_deref().and_then(|id| world.vpcs.get(id));
    let region = body
        .region
        .clone()
        .or_else(|| in_vpc.map(|vpc| vpc.region.clone()))
        .unwrap_or_else(|| "nyc3".to_owned())
        .to_ascii_lowercase();
    if !catalogue::has_region(&region) {
        return Err(invalid("region"));
    }
    if let Some(snapshot) = &snapshot {
        fits(snapshot, size, &region)?;
    }
    if body
        .user_data
        .as_ref()
        .is_some_and(|data| data.len() > MAX_USER_DATA)
    {
        return Err(ApiError::unprocessable("user_data exceeds 64 KiB"));
    }
    if let Some(policy) = &body.backup_policy {
        policy.check()?;
    }
    let ssh_keys = find_keys(world, body.ssh_keys.as_deref().unwrap_or_default())?;
    for volume in body.volumes.iter().flatten() {
        volumes::attachable(world, volume, &region)?;
    }
    for tag in body.tags.iter().flatten() {
        tags::valid(tag)?;
    }
    let vpc_uuid = vpcs::for_resource(world, &region, body.vpc_uuid.as_deref())?;
    let tags = tags::ensure(world, body.tags.as_deref().unwrap_or_default())?;
    Ok(Template {
        region,
        size,
        image,
        snapshot,
        ssh_keys,
        vpc_uuid,
        tags,
        body,
    })
}

/// A slug or an id as it is sent: a text or a number.
pub(super) fn identifier(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

/// The public image an identifier leads to, and the snapshot in between if there is one.
pub(super) fn image(world: &World, identifier: &str) -> Option<(String, Option<Snapshot>)> {
    if let Some(image) = catalogue::image_of(identifier) {
        return Some((image.slug.to_owned(), None));
    }
    let snapshot = snapshots::image_of(world, identifier)?;
    Some((snapshot.base()?.to_owned(), Some(snapshot.clone())))
}

/// Refuses a snapshot that is elsewhere, or larger than the disk.
fn fits(snapshot: &Snapshot, size: &Size, region: &str) -> Result<(), ApiError> {
    if snapshot.region().as_deref() != Some(region) {
        let message = format!("the image {} is not available in {region}", snapshot.name);
        return Err(ApiError::unprocessable(message));
    }
    if snapshot.min_disk_gib() > u64::from(size.disk_gib) {
        return Err(ApiError::unprocessable(format!(
            "the image {} needs a disk of {} GiB; {} has {}",
            snapshot.name,
            snapshot.min_disk_gib(),
            size.slug,
            size.disk_gib
        )));
    }
    Ok(())
}

fn find_keys(world: &World, wanted: &[Value]) -> Result<Vec<u64>, ApiError> {
    let find = |identifier: &Value| {
        let text = match identifier {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        ssh_keys::find(world, &text)
            .map(|key| key.id)
            .ok_or_else(|| {
                ApiError::unprocessable(format!(
                    "{text} are invalid key identifiers for Droplet creation."
                ))
            })
    };
    wanted.iter().map(find).collect()
}

fn insert(world: &mut World, template: &Template, name: String) -> Result<(u64, Action), ApiError> {
    let body = &template.body;
    let private_ip = vpcs::free_address(world, &template.vpc_uuid)?;
    let id = world.new_id();
    let public_ip = (body.public_networking != Some(false)).then(|| world.new_public_ip());
    let droplet = Droplet {
        id,
        name,
        region: template.region.clone(),
        size: template.size.slug.to_owned(),
        disk_gib: template.size.disk_gib,
        image: template.image.clone(),
        snapshot: template.snapshot.clone(),
        status: Status::New,
        tags: template.tags.clone(),
        vpc_uuid: template.vpc_uuid.clone(),
        public_ip,
        private_ip,
        user_data: body.user_data.clone(),
        ssh_keys: template.ssh_keys.clone(),
        ipv6: body.ipv6.unwrap_or(false),
        monitoring: body.monitoring.unwrap_or(false),
        agent: body.with_droplet_agent.unwrap_or(false),
        backups: body.backups.unwrap_or(false),
        backup_policy: body.backup_policy.filter(|_| body.backups == Some(true)),
        pending: None,
        created_at: world.now(),
    };
    let urn = droplet.urn();
    world.droplets.insert(key(id), droplet);
    projects::adopt(world, urn, None)?;
    let target = Target::Droplet(id);
    let action = actions::start(
        world,
        "create",
        &template.region,
        target,
        Effect::PowerOn,
        lag::DROPLET_CREATE,
    )?;
    for volume in body.volumes.iter().flatten() {
        if let Some(volume) = world.volumes.get_mut(volume) {
            volume.droplet = Some(id);
        }
    }
    firewalls::touch(world, &template.tags, id);
    Ok((id, action))
}
