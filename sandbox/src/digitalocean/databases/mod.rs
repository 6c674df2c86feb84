//! Managed databases: PostgreSQL and MySQL clusters.

mod authority;
mod catalogue;
mod change;
mod config;
mod connection;
mod create;
mod members;
mod parameters;
mod rules;
mod settings;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::vpcs::{self, Member};
use super::{moment, projects, tags};
use crate::facts::DatabaseFacts;
use crate::http::{ApiError, Reply, Request, Response};
use crate::world::World;
use crate::world::table::Row;

pub(crate) use authority::{Authority, ca, key_pair};
pub(crate) use catalogue::{backups, options};
pub(crate) use change::{maintenance, migrate, resize, set_sql_mode, sql_mode, upgrade};
pub(crate) use config::{change_config, config};
pub(crate) use connection::discreet;
use connection::{connection, metrics_endpoints};
pub(crate) use create::create;
pub(crate) use members::{
    create_database, create_user, database, databases, delete_database, delete_user, reset_auth,
    update_user, user, users,
};
use rules::Rule;
pub(crate) use rules::{firewall, set_firewall};
use settings::Autoscale;
pub(crate) use settings::{autoscale, do_settings, set_autoscale, set_do_settings};

/// The port of every cluster.
const PORT: u16 = 25060;
/// The user every cluster comes with.
const ADMIN: &str = "doadmin";
/// The database every cluster comes with.
const FIRST_DATABASE: &str = "defaultdb";

/// A cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Database {
    pub(crate) id: String,
    pub(crate) name: String,
    engine: Engine,
    version: String,
    size: String,
    num_nodes: u32,
    storage_size_mib: u64,
    pub(crate) region: String,
    pub(crate) vpc_uuid: String,
    pub(crate) tags: Vec<String>,
    status: Status,
    /// When it is online (again); `None` once it is.
    pub(crate) ready_at: Option<Timestamp>,
    host: String,
    users: Vec<User>,
    databases: Vec<String>,
    /// (database, user): who was let create in the schema `public`.
    #[serde(default)]
    creators: BTreeSet<(String, String)>,
    rules: Vec<Rule>,
    maintenance: (String, String),
    /// MySQL's modes, once somebody chose them.
    #[serde(default)]
    sql_mode: Option<String>,
    /// When it was online for the first time; its first backup is of then.
    #[serde(default)]
    online_since: Option<Timestamp>,
    /// How its storage grows by itself, once somebody said so.
    #[serde(default)]
    autoscale: Option<Autoscale>,
    /// Names of its own that its certificate is also for.
    #[serde(default)]
    service_cnames: Vec<String>,
    /// The engine's parameters somebody chose.
    #[serde(default)]
    config: BTreeMap<String, Value>,
    created_at: Timestamp,
}

/// What runs in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Engine {
    Pg,
    Mysql,
}

impl Engine {
    fn name(self) -> &'static str {
        match self {
            Engine::Pg => "pg",
            Engine::Mysql => "mysql",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Creating,
    Online,
    Resizing,
    Migrating,
}

/// A user of a cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct User {
    name: String,
    password: String,
    primary: bool,
    auth_plugin: Option<String>,
    /// PostgreSQL: whether it may replicate.
    #[serde(default)]
    replication: bool,
}

impl Row for Database {
    fn created_at(&self) -> Timestamp {
        self.created_at
    }
}

impl Database {
    pub(crate) fn urn(&self) -> String {
        format!("do:dbaas:{}", self.id)
    }

    pub(crate) fn member(&self) -> Member {
        Member {
            urn: self.urn(),
            name: self.name.clone(),
            created_at: self.created_at,
        }
    }

    fn private_host(&self) -> String {
        format!("private-{}", self.host)
    }

    /// Where its standby nodes answer.
    fn standby_host(&self) -> String {
        format!("replica-{}", self.host)
    }

    fn is_at(&self, host: &str) -> bool {
        self.host == host || self.private_host() == host
    }

    /// Whether clients can connect.
    fn serves(&self) -> bool {
        self.status != Status::Creating
    }

    fn facts(&self, ca_pem: String) -> DatabaseFacts {
        DatabaseFacts {
            engine: self.engine.name().to_owned(),
            version: self.version.clone(),
            admin: ADMIN.to_owned(),
            host: self.host.clone(),
            private_host: self.private_host(),
            port: PORT,
            users: self
                .users
                .iter()
                .map(|u| (u.name.clone(), u.password.clone()))
                .collect(),
            databases: self.databases.clone(),
            creators: self.creators.clone(),
            rules: self.rules.iter().map(Rule::fact).collect(),
            ca_pem,
        }
    }
}

/// A cluster that exists.
fn find<'a>(world: &'a World, request: &Request) -> Result<&'a Database, ApiError> {
    world
        .databases
        .get(request.param(0))
        .ok_or_else(ApiError::not_found)
}

/// A cluster that is online, to be changed.
fn online<'a>(world: &'a mut World, request: &Request) -> Result<&'a mut Database, ApiError> {
    if find(world, request)?.status != Status::Online {
        return Err(ApiError::precondition("the database cluster is not online"));
    }
    world
        .databases
        .get_mut(request.param(0))
        .ok_or_else(ApiError::not_found)
}

/// A user of the cluster with this host name was let create in the schema `public` of a database.
pub(crate) fn let_create(world: &mut World, host: &str, database: &str, user: &str) {
    for key in world.databases.keys_where(|cluster| cluster.is_at(host)) {
        if let Some(cluster) = world.databases.get_mut(&key) {
            cluster
                .creators
                .insert((database.to_owned(), user.to_owned()));
        }
    }
}

/// The running cluster with this host name, public or private.
pub(crate) fn facts(world: &World, host: &str) -> Option<DatabaseFacts> {
    let found = world
        .databases
        .values()
        .find(|database| database.is_at(host))?;
    found
        .serves()
        .then(|| found.facts(authority::certificate(world)))
}

/// The lists of databases have no pages.
pub(crate) fn index(world: &mut World, request: &Request) -> Reply {
    let tag = request.query("tag_name").filter(|tag| !tag.is_empty());
    let horizon = request.visible_before;
    let rows = world.databases.filtered(|database| {
        tag.is_none_or(|tag| database.tags.iter().any(|own| tags::same(own, tag)))
            && horizon.is_none_or(|horizon| database.created_at <= horizon)
    });
    let shown: Vec<Value> = rows
        .into_iter()
        .map(|database| view(world, database))
        .collect();
    Ok(Response::ok(json!({ "databases": shown })))
}

pub(crate) fn show(world: &mut World, request: &Request) -> Reply {
    let database = find(world, request)?;
    let body = json!({ "database": view(world, database) });
    Ok(Response::ok(body).created_at(database.created_at))
}

pub(crate) fn delete(world: &mut World, request: &Request) -> Reply {
    let database = world
        .databases
        .remove(request.param(0))
        .ok_or_else(ApiError::not_found)?;
    projects::forget(world, &database.urn());
    vpcs::linger(world, &database.vpc_uuid, database.member());
    Ok(Response::no_content())
}

/// It is online now.
pub(crate) fn settle(world: &mut World, key: &str, at: Timestamp) {
    if let Some(database) = world.databases.get_mut(key)
        && database.ready_at == Some(at)
    {
        database.ready_at = None;
        database.status = Status::Online;
        database.online_since.get_or_insert(at);
    }
}

/// A destroyed droplet is no longer trusted.
pub(crate) fn forget_droplet(world: &mut World, droplet: u64) {
    let value = droplet.to_string();
    for key in world
        .databases
        .keys_where(|cluster| cluster.rules.iter().any(|rule| rule.is_droplet(&value)))
    {
        if let Some(cluster) = world.databases.get_mut(&key) {
            cluster.rules.retain(|rule| !rule.is_droplet(&value));
        }
    }
}

fn view(world: &World, database: &Database) -> Value {
    let users: Vec<Value> = database.users.iter().map(members::user_view).collect();
    let (day, hour) = &database.maintenance;
    let mut value = json!({
        "id": database.id,
        "name": database.name,
        "engine": database.engine,
        "version": database.version,
        "semantic_version": create::semantic_version(database.engine, &database.version),
        "num_nodes": database.num_nodes,
        "size": database.size,
        "storage_size_mib": database.storage_size_mib,
        "region": database.region,
        "status": database.status,
        "created_at": moment(database.created_at),
        "private_network_uuid": database.vpc_uuid,
        "tags": database.tags,
        "db_names": database.databases,
        "users": users,
        "connection": connection(database, &database.host),
        "private_connection": connection(database, &database.private_host()),
        "metrics_endpoints": metrics_endpoints(database),
        "maintenance_window": { "day": day, "hour": hour, "pending": false },
        "rules": database.rules.iter().map(|rule| rule.view(&database.id)).collect::<Vec<_>>(),
        "project_id": projects::project_of(world, &database.urn()),
        "do_settings": settings::do_settings_view(database),
    });
    if database.num_nodes > 1 {
        let standby = database.standby_host();
        value["standby_connection"] = connection(database, &standby);
        value["standby_private_connection"] = connection(database, &format!("private-{standby}"));
    }
    value
}
