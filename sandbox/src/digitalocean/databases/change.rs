//! Changing a cluster: size, region, maintenance window.

use serde::Deserialize;
use serde_json::json;

use super::create::{rank, valid_nodes, valid_storage};
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
    let whole = hour
        .split(':')
        .next()
        .and_then(|hour| hour.parse::<u8>().ok());
    if whole.is_none_or(|hour| hour > 23) {
        return Err(ApiError::unprocessable(format!(
            "{hour:?} is not an hour such as 14:00"
        )));
    }
    let hour = if hour.matches(':').count() == 1 {
        format!("{hour}:00")
    } else {
        hour
    };
    online(world, request)?.maintenance = (day, hour);
    Ok(Response::no_content())
}

/// The modes a MySQL cluster starts with.
const SQL_MODE: &str = "ANSI,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,NO_ZERO_DATE,\
                        NO_ZERO_IN_DATE,STRICT_ALL_TABLES";

pub(crate) fn sql_mode(world: &mut World, request: &Request) -> Reply {
    let database = mysql(find(world, request)?)?;
    let mode = database.sql_mode.as_deref().unwrap_or(SQL_MODE);
    Ok(Response::ok(json!({ "sql_mode": mode })))
}

pub(crate) fn set_sql_mode(world: &mut World, request: &Request) -> Reply {
    mysql(find(world, request)?)?;
    let modes = required(request.body::<Body>()?.sql_mode, "sql_mode")?;
    let word = |mode: &str| mode.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    if !modes.split(',').all(word) {
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
