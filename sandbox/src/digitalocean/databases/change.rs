//! Changing a cluster: size, region, maintenance window.

use serde::Deserialize;
use serde_json::json;

use super::create::{rank, valid_nodes, valid_storage, valid_version};
use super::parameters::sql_modes;
use super::{Database, Engine, Status, find, online};
use crate::digitalocean::{region, required, vpcs};
use crate::http::{ApiError, Reply, Request, Response};
use crate::world::{Due, World, lag};

#[derive(Deserialize)]
struct Body {
    size: Option<String>,
    num_nodes: Option<u32>,
    storage_size_mib: Option<u64>,
    region: Option<String>,
    sql_mode: Option<String>,
    day: Option<String>,
    hour: Option<String>,
    version: Option<String>,
}

/// A cluster's nodes and disk only grow.
pub(crate) fn resize(world: &mut World, request: &Request) -> Reply {
    let database = find(world, request)?;
    let body: Body = request.body()?;
    let size = required(body.size, "size")?;
    let num_nodes = required(body.num_nodes, "num_nodes")?;
    valid_nodes(&size, num_nodes)?;
    if rank(&size)? < rank(&database.size)? {
        return Err(ApiError::unprocessable(format!(
            "a cluster can not be resized to a smaller size than {}",
            database.size
        )));
    }
    let storage = valid_storage(&size, body.storage_size_mib)?;
    if body.storage_size_mib.is_some() && storage < database.storage_size_mib {
        return Err(ApiError::unprocessable(
            "the storage of a cluster can not shrink",
        ));
    }
    let database = begin(world, request, Status::Resizing)?;
    database.size = size;
    database.num_nodes = num_nodes;
    database.storage_size_mib = database.storage_size_mib.max(storage);
    Ok(Response::accepted())
}

/// Moves a cluster to another region.
pub(crate) fn migrate(world: &mut World, request: &Request) -> Reply {
    find(world, request)?;
    let region = region(&required(request.body::<Body>()?.region, "region")?)?;
    online(world, request)?;
    let vpc_uuid = vpcs::for_resource(world, &region, None)?;
    let database = begin(world, request, Status::Migrating)?;
    database.region = region;
    database.vpc_uuid = vpc_uuid;
    Ok(Response::accepted())
}

/// Raises the major version. The new one is shown at once: DigitalOcean's Terraform provider
/// reads it right after this call (its acceptance test of upgrades).
pub(crate) fn upgrade(world: &mut World, request: &Request) -> Reply {
    let database = find(world, request)?;
    let asked = required(request.body::<Body>()?.version, "version")?;
    let version = valid_version(database.engine, Some(asked))?;
    let major = |version: &str| version.parse::<u32>().ok();
    if major(&version) <= major(&database.version) {
        return Err(ApiError::unprocessable(format!(
            "a cluster of version {} can not be upgraded to {version}",
            database.version
        )));
    }
    online(world, request)?.version = version;
    Ok(Response::no_content())
}

pub(crate) fn maintenance(world: &mut World, request: &Request) -> Reply {
    find(world, request)?;
    let body: Body = request.body()?;
    let day = required(body.day, "day")?.to_ascii_lowercase();
    let days = [
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
    ];
    if !days.contains(&day.as_str()) {
        return Err(ApiError::unprocessable(format!(
            "{day:?} is not a day of the week"
        )));
    }
    let hour = required(body.hour, "hour")?;
    let hour = valid_hour(&hour)?;
    online(world, request)?.maintenance = (day, hour);
    Ok(Response::no_content())
}

/// An hour such as `14:00` or `14:00:00`, the way it is shown.
fn valid_hour(hour: &str) -> Result<String, ApiError> {
    let wrong = || ApiError::unprocessable(format!("{hour:?} is not an hour such as 14:00"));
    let part = |part: &str| part.parse::<u8>().map_err(|_| wrong());
    let parts: Vec<u8> = hour.split(':').map(part).collect::<Result<_, _>>()?;
    match parts.as_slice() {
        [hour @ 0..=23] => Ok(format!("{hour:02}:00:00")),
        [hour @ 0..=23, minute @ 0..=59] => Ok(format!("{hour:02}:{minute:02}:00")),
        [hour @ 0..=23, minute @ 0..=59, second @ 0..=59] => {
            Ok(format!("{hour:02}:{minute:02}:{second:02}"))
        }
        _ => Err(wrong()),
    }
}

/// The modes a MySQL cluster starts with.
pub(super) const SQL_MODE: &str = "ANSI,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,NO_ZERO_DATE,\
                        NO_ZERO_IN_DATE,STRICT_ALL_TABLES";

pub(crate) fn sql_mode(world: &mut World, request: &Request) -> Reply {
    let database = mysql(find(world, request)?)?;
    let mode = database.sql_mode.as_deref().unwrap_or(SQL_MODE);
    Ok(Response::ok(json!({ "sql_mode": mode })))
}

pub(crate) fn set_sql_mode(world: &mut World, request: &Request) -> Reply {
    mysql(find(world, request)?)?;
    let modes = required(request.body::<Body>()?.sql_mode, "sql_mode")?;
    if !sql_modes(&modes) {
        return Err(ApiError::unprocessable(format!(
            "invalid sql_mode {modes:?}: modes are upper-case words, separated by commas"
        )));
    }
    online(world, request)?.sql_mode = Some(modes);
    Ok(Response::no_content())
}

fn mysql(database: &Database) -> Result<&Database, ApiError> {
    if database.engine == Engine::Mysql {
        return Ok(database);
    }
    Err(ApiError::unprocessable(
        "only MySQL clusters have SQL modes",
    ))
}

fn begin<'a>(
    world: &'a mut World,
    request: &Request,
    status: Status,
) -> Result<&'a mut Database, ApiError> {
    online(world, request)?;
    let due = Due::Database(request.param(0).to_owned());
    let ready_at = world.schedule(lag::DATABASE_CHANGE, due);
    let database = online(world, request)?;
    database.status = status;
    database.ready_at = Some(ready_at);
    Ok(database)
}
