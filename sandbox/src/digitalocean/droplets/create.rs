//! Creating droplets, one by `name` or up to ten by `names`.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::backups::{self, BackupPolicy};
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
    volumes: Option<Vec<VolumeName>>,
    vpc_uuid: Option<String>,
    with_droplet_agent: Option<bool>,
    public_networking: Option<bool>,
}

/// A volume as it is named: by its id, which DigitalOcean's Go client wraps in an object.
#[derive(Deserialize)]
#[serde(untagged)]
enum VolumeName {
    Plain(String),
    Wrapped { id: String },
}

impl Body {
    fn volumes(&self) -> impl Iterator<Item = &String> {
        self.volumes.iter().flatten().map(|volume| match volume {
            VolumeName::Plain(id) | VolumeName::Wrapped { id } => id,
        })
    }
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
        .map(|droplet| {
            // Only what is read later shows that it is being created.
            let mut shown = view(world, droplet);
            shown["locked"] = json!(false);
            shown
        })
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
        "Name Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)",
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
    let region = region(world, &body, snapshot.as_ref()).ok_or_else(|| invalid("region"))?;
    if let Some(snapshot) = &snapshot {
        fits(snapshot, u64::from(size.disk_gib), &region)?;
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
        if body.backups != Some(true) {
            return Err(ApiError::unprocessable(
                "backup_policy needs backups to be enabled",
            ));
        }
    }
    let ssh_keys = find_keys(world, body.ssh_keys.as_deref().unwrap_or_default())?;
    attachable(world, &body, &region)?;
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

/// Where the droplets are made: a region, the first one with a prefix like `nyc`, or, when
/// nothing is said, one where everything else of the request is.
fn region(world: &World, body: &Body, snapshot: Option<&Snapshot>) -> Option<String> {
    if let Some(asked) = &body.region {
        let asked = asked.to_ascii_lowercase();
        let mut slugs = catalogue::REGIONS.iter().map(|(slug, _)| *slug);
        let fits = |slug: &&str| {
            let place = slug.trim_end_matches(|c: char| c.is_ascii_digit());
            asked == *slug || asked == place
        };
        return slugs.find(fits).map(str::to_owned);
    }
    let vpc = body.vpc_uuid.as_deref().and_then(|id| world.vpcs.get(id));
    let volume = body.volumes().find_map(|id| world.volumes.get(id));
    vpc.map(|vpc| vpc.region.clone())
        .or_else(|| volume.map(|volume| volume.region.clone()))
        .or_else(|| snapshot.and_then(Snapshot::region))
        .or_else(|| Some("nyc3".to_owned()))
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
pub(super) fn fits(snapshot: &Snapshot, disk_gib: u64, region: &str) -> Result<(), ApiError> {
    if snapshot.region().as_deref() != Some(region) {
        let message = format!("the image {} is not available in {region}", snapshot.name);
        return Err(ApiError::unprocessable(message));
    }
    if snapshot.min_disk_gib() > disk_gib {
        return Err(ApiError::unprocessable(format!(
            "the image {} needs a disk of {} GiB, not {disk_gib} GiB",
            snapshot.name,
            snapshot.min_disk_gib(),
        )));
    }
    Ok(())
}

/// Refuses volumes that cannot be attached to what is made.
fn attachable(world: &World, body: &Body, region: &str) -> Result<(), ApiError> {
    let wanted: Vec<&String> = body.volumes().collect();
    let distinct: BTreeSet<&String> = wanted.iter().copied().collect();
    let droplets = body.names.as_ref().map_or(1, Vec::len);
    // A volume is attached to one droplet.
    if distinct.len() < wanted.len() || (droplets > 1 && !wanted.is_empty()) {
        return Err(ApiError::unprocessable("Invalid volume allocations"));
    }
    if wanted.len() > volumes::MAX_PER_DROPLET {
        return Err(ApiError::unprocessable(
            "cannot attach more volumes to the Droplet",
        ));
    }
    for volume in wanted {
        volumes::attachable(world, volume, region)?;
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
        // Without public networking there is no public address of either kind.
        ipv6: body.ipv6 == Some(true) && public_ip.is_some(),
        monitoring: body.monitoring.unwrap_or(false),
        agent: body.with_droplet_agent.unwrap_or(true),
        backups: false,
        backup_policy: None,
        next_backup: None,
        pending: None,
        created_at: world.now(),
    };
    let urn = droplet.urn();
    world.droplets.insert(key(id), droplet);
    if body.backups == Some(true) {
        backups::set(world, id, true, body.backup_policy);
    }
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
    for volume in body.volumes() {
        if let Some(volume) = world.volumes.get_mut(volume) {
            volume.droplet = Some(id);
        }
    }
    firewalls::touch(world, &template.tags, id);
    Ok((id, action))
}
