//! What can be done to a droplet: power, resize, rename, backups, IPv6, snapshots.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::backups::BackupPolicy;
use super::create::{fits, identifier, image as image_named, valid_name};
use super::{Droplet, Status, find, idle, tagged};
use crate::digitalocean::actions::{self, Action, Effect, Target};
use crate::digitalocean::{required, snapshots};
use crate::http::{ApiError, Reply, Request, Response};
use crate::world::{World, catalogue, lag};

/// What can be done to all droplets with a tag at once.
const BY_TAG: [&str; 8] = [
    "power_cycle",
    "power_on",
    "power_off",
    "shutdown",
    "enable_ipv6",
    "enable_backups",
    "disable_backups",
    "snapshot",
];

#[derive(Clone, Deserialize)]
struct Body {
    r#type: Option<String>,
    name: Option<String>,
    size: Option<String>,
    disk: Option<bool>,
    backup_policy: Option<BackupPolicy>,
    image: Option<Value>,
}

pub(crate) fn actions(world: &mut World, request: &Request) -> Reply {
    let id = request.id(0)?;
    find(world, id)?;
    Ok(actions::page(world, request, |target| {
        *target == Target::Droplet(id)
    }))
}

pub(crate) fn action(world: &mut World, request: &Request) -> Reply {
    let id = request.id(0)?;
    actions::show_of(world, request.param(1), |target| {
        *target == Target::Droplet(id)
    })
}

pub(crate) fn act(world: &mut World, request: &Request) -> Reply {
    let action = begin(world, request.id(0)?, &request.body()?)?;
    Ok(Response::new(
        201,
        json!({ "action": actions::view(&action) }),
    ))
}

/// The same action on every droplet with a tag; none when one of them cannot.
pub(crate) fn act_by_tag(world: &mut World, request: &Request) -> Reply {
    let tag = required(request.query("tag_name"), "tag_name")?;
    let body: Body = request.body()?;
    let kind = required(body.r#type.as_deref(), "type")?;
    if !BY_TAG.contains(&kind) {
        return Err(ApiError::unprocessable(format!(
            "{kind:?} is not supported for tagged droplets"
        )));
    }
    let ids = tagged(world, tag);
    for id in &ids {
        idle(world, *id)?;
        plan(world, find(world, *id)?, &body)?;
    }
    let mut started: Vec<Value> = Vec::with_capacity(ids.len());
    for id in ids {
        started.push(actions::view(&begin(world, id, &body)?));
    }
    Ok(Response::new(201, json!({ "actions": started })))
}

fn begin(world: &mut World, id: u64, body: &Body) -> Result<Action, ApiError> {
    let droplet = find(world, id)?;
    let kind = required(body.r#type.clone(), "type")?;
    idle(world, id)?;
    let (effect, lag) = plan(world, droplet, body)?;
    let region = droplet.region.clone();
    actions::start(world, &kind, &region, Target::Droplet(id), effect, lag)
}

/// What an action will do and how long it takes, if it is possible now.
fn plan(world: &World, droplet: &Droplet, body: &Body) -> Result<(Effect, Duration), ApiError> {
    let kind = required(body.r#type.as_deref(), "type")?;
    let off = droplet.status == Status::Off;
    let refuse = |message: &str| Err(ApiError::unprocessable(message));
    let effect = match kind {
        "power_on" if !off => return refuse("The droplet is already on."),
        "power_on" => Effect::PowerOn,
        "power_off" | "shutdown" if off => return refuse("The droplet is already off."),
        "power_off" | "shutdown" => Effect::PowerOff,
        "reboot" | "power_cycle" | "password_reset" if off => {
            return refuse("Droplet is currently off. Please power it on to run this event.");
        }
        "reboot" | "power_cycle" | "password_reset" => Effect::Nothing,
        "rename" => {
            let name = required(body.name.clone(), "name")?;
            valid_name(&name)?;
            Effect::Rename(name)
        }
        "resize" => return Ok((resize(droplet, body)?, lag::DROPLET_RESIZE)),
        "enable_ipv6" if droplet.public_ip.is_none() => {
            return refuse("The droplet has no public networking.");
        }
        "enable_ipv6" => Effect::EnableIpv6,
        "enable_backups" | "change_backup_policy" | "disable_backups" => {
            backups(droplet, kind, body)?
        }
        "snapshot" => return Ok((snapshot(world, droplet, body), lag::SNAPSHOT)),
        "rebuild" => return Ok((rebuild(world, droplet, body)?, lag::DROPLET_CREATE)),
        "restore" => return Ok((restore(world, droplet, body)?, lag::DROPLET_CREATE)),
        "change_kernel" => {
            return Err(ApiError::not_implemented(
                "the droplet action change_kernel",
            ));
        }
        other => return refuse(&format!("{other:?} is not a droplet action")),
    };
    Ok((effect, lag::DROPLET_ACTION))
}

fn backups(droplet: &Droplet, kind: &str, body: &Body) -> Result<Effect, ApiError> {
    if kind == "disable_backups" {
        if !droplet.backups {
            return Err(ApiError::unprocessable(
                "Backups have already been disabled on this Droplet.",
            ));
        }
        return Ok(Effect::Backups {
            on: false,
            policy: None,
        });
    }
    if kind == "change_backup_policy" {
        required(body.backup_policy, "backup_policy")?;
        if !droplet.backups {
            return Err(ApiError::unprocessable(
                "Backups are not enabled on this Droplet.",
            ));
        }
    }
    if let Some(policy) = &body.backup_policy {
        policy.check()?;
    }
    Ok(Effect::Backups {
        on: true,
        policy: body.backup_policy,
    })
}

/// A snapshot without a name gets the droplet's, and when it was asked for in milliseconds: as
/// in the document's examples.
fn snapshot(world: &World, droplet: &Droplet, body: &Body) -> Effect {
    let name = body.name.clone().filter(|name| !name.is_empty());
    Effect::Snapshot(
        name.unwrap_or_else(|| format!("{}-{}", droplet.name, world.now().as_millisecond())),
    )
}

/// The image a request must name.
fn image_of(body: &Body) -> Result<String, ApiError> {
    let image = body.image.as_ref().and_then(identifier);
    image.ok_or_else(|| ApiError::unprocessable("Image can't be blank"))
}

fn rebuild(world: &World, droplet: &Droplet, body: &Body) -> Result<Effect, ApiError> {
    let image = image_of(body)?;
    let (_, snapshot) = image_named(world, &image).ok_or_else(|| {
        ApiError::unprocessable(format!("{image:?} is not an image of this account"))
    })?;
    if let Some(snapshot) = snapshot {
        fits(&snapshot, u64::from(droplet.disk_gib), &droplet.region)?;
    }
    Ok(Effect::Rebuild(image))
}

/// Back to a backup of the same droplet. Its snapshots do as well: tools restore from them.
fn restore(world: &World, droplet: &Droplet, body: &Body) -> Result<Effect, ApiError> {
    let image = image_of(body)?;
    snapshots::image_of(world, &image)
        .filter(|image| image.shows_droplet(droplet.id))
        .ok_or_else(|| {
            ApiError::unprocessable(format!("image {image} is not a backup of this droplet"))
        })?;
    Ok(Effect::Rebuild(image))
}

fn resize(droplet: &Droplet, body: &Body) -> Result<Effect, ApiError> {
    let slug = required(body.size.clone(), "size")?;
    let size = catalogue::size_of(&slug)
        .ok_or_else(|| ApiError::unprocessable(format!("{slug:?} is not a droplet size")))?;
    let disk = body.disk.unwrap_or(false);
    if droplet.status != Status::Off {
        return Err(ApiError::unprocessable(
            "Droplet is currently on. Please power it off to run this event.",
        ));
    }
    if size.disk_gib < droplet.disk_gib {
        return Err(ApiError::unprocessable(
            "This size is not available because it has a smaller disk.",
        ));
    }
    // A droplet that grew without its disk can still grow the disk.
    if slug == droplet.size && !(disk && size.disk_gib > droplet.disk_gib) {
        return Err(ApiError::unprocessable(
            "The droplet is already set to this size.",
        ));
    }
    Ok(Effect::Resize { size: slug, disk })
}
