//! What can be done to a droplet: power, resize, rename, backups, IPv6, snapshots.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::backups::BackupPolicy;
use super::create::{identifier, image as image_named, valid_name};
use super::{Droplet, Status, find, idle};
use crate::digitalocean::actions::{self, Action, Effect, Target};
use crate::digitalocean::{required, tags};
use crate::http::{ApiError, Reply, Request, Response};
use crate::world::{World, catalogue, lag};

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
    let ids: Vec<u64> = world
        .droplets
        .filtered(|droplet| droplet.tags.iter().any(|own| tags::same(own, tag)))
        .iter()
        .map(|droplet| droplet.id)
        .collect();
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
    let effect = match kind {
        "power_on" if droplet.status == Status::Active => {
            return Err(ApiError::unprocessable("Droplet is already powered on."));
        }
        "power_on" => Effect::PowerOn,
        "power_off" | "shutdown" if droplet.status == Status::Off => {
            return Err(ApiError::unprocessable("Droplet is already powered off."));
        }
        "power_off" | "shutdown" => Effect::PowerOff,
        "reboot" | "power_cycle" | "password_reset" if droplet.status == Status::Off => {
            return Err(ApiError::unprocessable(
                "Droplet is currently off. Please power it on.",
            ));
        }
        "reboot" | "power_cycle" | "password_reset" => Effect::Nothing,
        "rename" => {
            let name = required(body.name.clone(), "name")?;
            valid_name(&name)?;
            Effect::Rename(name)
        }
        "resize" => return Ok((resize(droplet, body)?, lag::DROPLET_RESIZE)),
        "enable_ipv6" => Effect::EnableIpv6,
        "enable_backups" | "change_backup_policy" => {
            if let Some(policy) = &body.backup_policy {
                policy.check()?;
            } else if kind == "change_backup_policy" {
                return Err(ApiError::unprocessable("backup_policy is required"));
            }
            Effect::Backups {
                on: true,
                policy: body.backup_policy,
            }
        }
        "disable_backups" => Effect::Backups {
            on: false,
            policy: None,
        },
        "snapshot" => {
            let name = body
                .name
                .clone()
                .unwrap_or_else(|| format!("{}-snapshot", droplet.name));
            return Ok((Effect::Snapshot(name), lag::SNAPSHOT));
        }
        "rebuild" => return Ok((rebuild(world, droplet, body)?, lag::DROPLET_CREATE)),
        "restore" | "change_kernel" => {
            return Err(ApiError::not_implemented(&format!(
                "the droplet action {kind}"
            )));
        }
        other => {
            return Err(ApiError::unprocessable(format!(
                "{other:?} is not a droplet action"
            )));
        }
    };
    Ok((effect, lag::DROPLET_ACTION))
}

fn rebuild(world: &World, droplet: &Droplet, body: &Body) -> Result<Effect, ApiError> {
    let image = required(body.image.as_ref().and_then(identifier), "image")?;
    let (_, snapshot) = image_named(world, &image).ok_or_else(|| {
        ApiError::unprocessable(format!("{image:?} is not an image of this account"))
    })?;
    if snapshot.is_some_and(|snapshot| snapshot.min_disk_gib() > u64::from(droplet.disk_gib)) {
        return Err(ApiError::unprocessable(
            "the image needs a larger disk than the droplet has",
        ));
    }
    Ok(Effect::Rebuild(image))
}

fn resize(droplet: &Droplet, body: &Body) -> Result<Effect, ApiError> {
    let slug = required(body.size.clone(), "size")?;
    let size = catalogue::size_of(&slug)
        .ok_or_else(|| ApiError::unprocessable(format!("{slug:?} is not a droplet size")))?;
    if droplet.status != Status::Off {
        return Err(ApiError::unprocessable(
            "Droplet must be powered off before it is resized.",
        ));
    }
    if size.disk_gib < droplet.disk_gib {
        return Err(ApiError::unprocessable(format!(
            "{slug} has a disk of {} GiB, smaller than the droplet's {} GiB",
            size.disk_gib, droplet.disk_gib
        )));
    }
    Ok(Effect::Resize {
        size: slug,
        disk: body.disk.unwrap_or(false),
    })
}
