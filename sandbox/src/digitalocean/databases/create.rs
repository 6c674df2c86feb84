//! Creating a cluster, with its trusted sources from the first moment.

use serde::Deserialize;
use serde_json::{Value, json};

use super::rules::{self, RuleBody};
use super::settings::{Autoscale, DoSettings, StorageAutoscale};
use super::{ADMIN, Database, Engine, FIRST_DATABASE, Status, User, authority, view};
use crate::digitalocean::{all_chars, projects, region, required, tags, vpcs};
use crate::http::{ApiError, Reply, Request, Response};
use crate::world::catalogue::DATABASE_SIZES;
use crate::world::{Due, World, lag};

#[derive(Deserialize)]
struct Body {
    name: Option<String>,
    engine: Option<String>,
    version: Option<String>,
    size: Option<String>,
    num_nodes: Option<u32>,
    region: Option<String>,
    private_network_uuid: Option<String>,
    project_id: Option<String>,
    tags: Option<Vec<String>>,
    rules: Option<Vec<RuleBody>>,
    storage_size_mib: Option<u64>,
    backup_restore: Option<Value>,
    autoscale: Option<Autoscale>,
    /// What DigitalOcean's Go client sends instead (godo, `DatabaseCreateRequest`).
    storage_autoscale: Option<StorageAutoscale>,
    do_settings: Option<DoSettings>,
}

pub(crate) fn create(world: &mut World, request: &Request) -> Reply {
    let body: Body = request.body()?;
    if body.backup_restore.is_some() {
        return Err(ApiError::not_implemented(
            "restoring a database from a backup",
        ));
    }
    let name = valid_name(world, body.name)?;
    let engine = valid_engine(body.engine.as_deref())?;
    let version = valid_version(engine, body.version)?;
    let size = required(body.size, "size")?;
    let num_nodes = required(body.num_nodes, "num_nodes")?;
    valid_nodes(&size, num_nodes)?;
    let storage_size_mib = valid_storage(&size, body.storage_size_mib)?;
    let region = region(&required(body.region, "region")?)?;
    projects::check(world, body.project_id.as_deref())?;
    let asked_tags = body.tags.unwrap_or_default();
    asked_tags.iter().try_for_each(|tag| tags::valid(tag))?;
    let rules = rules::checked(world, body.rules.unwrap_or_default(), &[])?;
    let autoscale = body.autoscale.or(body.storage_autoscale.map(Into::into));
    let autoscale = autoscale.map(Autoscale::checked).transpose()?;
    let service_cnames = body.do_settings.map(DoSettings::checked).transpose()?;
    let vpc_uuid = vpcs::for_resource(world, &region, body.private_network_uuid.as_deref())?;
    let tags = tags::ensure(world, &asked_tags)?;
    authority::ensure(world)?;
    let id = world.rng.uuid();
    let ready_at = world.schedule(lag::DATABASE_CREATE, Due::Database(id.clone()));
    let admin = admin(world, engine);
    let number = world.rng.below(9_000_000) + 1_000_000;
    let database = Database {
        id: id.clone(),
        host: format!("{name}-do-user-{number}-0.k.db.ondigitalocean.com"),
        name,
        engine,
        version,
        size,
        num_nodes,
        storage_size_mib,
        region,
        vpc_uuid,
        tags,
        status: Status::Creating,
        ready_at: Some(ready_at),
        users: vec![admin],
        databases: vec![FIRST_DATABASE.to_owned()],
        creators: std::collections::BTreeSet::new(),
        rules,
        maintenance: ("sunday".to_owned(), "02:00:00".to_owned()),
        sql_mode: None,
        online_since: None,
        autoscale,
        service_cnames: service_cnames.unwrap_or_default(),
        config: std::collections::BTreeMap::new(),
        created_at: world.now(),
    };
    projects::adopt(world, database.urn(), body.project_id.as_deref())?;
    let shown = view(world, &database);
    world.databases.insert(id, database);
    Ok(Response::new(201, json!({ "database": shown })))
}

/// The user a cluster comes with.
fn admin(world: &World, engine: Engine) -> User {
    User {
        name: ADMIN.to_owned(),
        password: password(world),
        primary: true,
        auth_plugin: default_plugin(engine),
        replication: false,
    }
}

/// A password the way Aiven, who runs DigitalOcean's databases, writes them.
pub(super) fn password(world: &World) -> String {
    format!("AVNS_{}", world.rng.alphanumeric(19))
}

/// The authentication plugin of new MySQL users.
pub(super) fn default_plugin(engine: Engine) -> Option<String> {
    (engine == Engine::Mysql).then(|| "caching_sha2_password".to_owned())
}

fn valid_name(world: &World, name: Option<String>) -> Result<String, ApiError> {
    let name = required(name, "name")?;
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.len() < 3 || !all_chars(&name, 63, allowed) {
        return Err(ApiError::unprocessable(format!(
            "name {name:?} must be 3 to 63 lower-case letters, numbers and dashes"
        )));
    }
    if world
        .databases
        .values()
        .any(|database| database.name == name)
    {
        return Err(ApiError::unprocessable(format!(
            "cluster name {name:?} is not available"
        )));
    }
    Ok(name)
}

fn valid_engine(engine: Option<&str>) -> Result<Engine, ApiError> {
    match required(engine, "engine")? {
        "pg" => Ok(Engine::Pg),
        "mysql" => Ok(Engine::Mysql),
        other @ ("redis" | "valkey" | "mongodb" | "kafka" | "opensearch" | "advanced_pg"
        | "advanced_mysql") => Err(ApiError::not_implemented(&format!(
            "databases with the engine {other}"
        ))),
        other => Err(ApiError::unprocessable(format!(
            "invalid cluster engine {other:?}"
        ))),
    }
}

/// The versions of an engine that can be had, the default first.
pub(super) fn versions(engine: Engine) -> &'static [&'static str] {
    match engine {
        Engine::Pg => &["17", "14", "15", "16", "18"],
        Engine::Mysql => &["8"],
    }
}

/// What runs in a cluster of a version: the newest releases the sandbox knows of.
pub(super) fn semantic_version(engine: Engine, version: &str) -> &str {
    match (engine, version) {
        (Engine::Pg, "14") => "14.20",
        (Engine::Pg, "15") => "15.15",
        (Engine::Pg, "16") => "16.11",
        (Engine::Pg, "17") => "17.7",
        (Engine::Pg, "18") => "18.1",
        (Engine::Mysql, "8") => "8.0.35",
        (_, other) => other,
    }
}

pub(super) fn valid_version(engine: Engine, version: Option<String>) -> Result<String, ApiError> {
    let sold = versions(engine);
    let version = version.filter(|version| !version.is_empty());
    let version = version.unwrap_or_else(|| sold.first().copied().unwrap_or_default().to_owned());
    if sold.contains(&version.as_str()) {
        return Ok(version);
    }
    Err(ApiError::unprocessable(format!(
        "invalid version {version:?} for {}; available: {}",
        engine.name(),
        sold.join(", ")
    )))
}

/// The place of a size in the order of what sizes cost.
pub(super) fn rank(size: &str) -> Result<usize, ApiError> {
    DATABASE_SIZES
        .iter()
        .position(|(slug, _)| *slug == size)
        .ok_or_else(|| ApiError::unprocessable(format!("invalid size {size:?}")))
}

/// The most nodes of the size with a rank: the smallest has no standby nodes.
pub(super) fn most_nodes(rank: usize) -> u32 {
    if rank == 0 { 1 } else { 3 }
}

pub(super) fn valid_nodes(size: &str, nodes: u32) -> Result<(), ApiError> {
    let most = most_nodes(rank(size)?);
    if (1..=most).contains(&nodes) {
        return Ok(());
    }
    Err(ApiError::unprocessable(format!(
        "num_nodes of {size} must be 1 to {most}"
    )))
}

pub(super) fn valid_storage(size: &str, asked: Option<u64>) -> Result<u64, ApiError> {
    let least = DATABASE_SIZES
        .iter()
        .find(|(slug, _)| *slug == size)
        .map_or(0, |(_, mib)| *mib);
    match asked.filter(|mib| *mib > 0) {
        Some(mib) if mib < least => Err(ApiError::unprocessable(format!(
            "storage_size_mib of {size} must be at least {least}"
        ))),
        asked => Ok(asked.unwrap_or(least)),
    }
}
