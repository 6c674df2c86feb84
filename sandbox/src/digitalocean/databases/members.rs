//! Users and databases of a cluster.

use serde::Deserialize;
use serde_json::{Value, json};

use super::create::{default_plugin, password};
use super::{Engine, FIRST_DATABASE, User, find, online};
use crate::digitalocean::{all_chars, required, says_something};
use crate::http::{ApiError, Reply, Request, Response};
use crate::world::World;

#[derive(Deserialize)]
struct Body {
    name: Option<String>,
    mysql_settings: Option<MysqlSettings>,
    settings: Option<Settings>,
    readonly: Option<bool>,
}

#[derive(Deserialize)]
struct MysqlSettings {
    auth_plugin: Option<String>,
}

/// What engines let users do; `acl` is Kafka's, and so on.
#[derive(Default, Deserialize)]
struct Settings {
    pg_allow_replication: Option<bool>,
    acl: Option<Value>,
    opensearch_acl: Option<Value>,
    #[serde(rename = "mongo_user_settings")]
    mongo: Option<Value>,
}

impl Settings {
    /// Whether the user may replicate; refuses what other engines have.
    fn replication(&self, engine: Engine) -> Result<bool, ApiError> {
        let others = [
            ("acl", &self.acl),
            ("opensearch_acl", &self.opensearch_acl),
            ("mongo_user_settings", &self.mongo),
        ];
        let given = |value: &Option<Value>| value.as_ref().is_some_and(says_something);
        if let Some((name, _)) = others.iter().find(|(_, value)| given(value)) {
            return Err(unsupported(name, engine));
        }
        match self.pg_allow_replication {
            Some(true) if engine != Engine::Pg => Err(unsupported("pg_allow_replication", engine)),
            allowed => Ok(allowed.unwrap_or(false)),
        }
    }
}

fn unsupported(setting: &str, engine: Engine) -> ApiError {
    let engine = engine.name();
    ApiError::unprocessable(format!(
        "clusters of engine {engine} do not support {setting}"
    ))
}

pub(crate) fn users(world: &mut World, request: &Request) -> Reply {
    let users: Vec<Value> = find(world, request)?.users.iter().map(user_view).collect();
    Ok(Response::ok(json!({ "users": users })))
}

pub(crate) fn user(world: &mut World, request: &Request) -> Reply {
    let name = request.param(1);
    let found = find(world, request)?
        .users
        .iter()
        .find(|user| user.name == name);
    let user = found.ok_or_else(ApiError::not_found)?;
    Ok(Response::ok(json!({ "user": user_view(user) })))
}

pub(crate) fn create_user(world: &mut World, request: &Request) -> Reply {
    let engine = find(world, request)?.engine;
    let body: Body = request.body()?;
    if body.readonly == Some(true) {
        return Err(ApiError::unprocessable(
            "readonly is supported for MongoDB clusters only",
        ));
    }
    let name = valid_name(body.name)?;
    let auth_plugin = plugin(body.mysql_settings, engine)?.or_else(|| default_plugin(engine));
    let replication = body.settings.unwrap_or_default().replication(engine)?;
    let password = password(world);
    let database = online(world, request)?;
    if database.users.iter().any(|user| user.name == name) {
        return Err(ApiError::conflict(format!(
            "a user named {name:?} already exists"
        )));
    }
    let user = User {
        name,
        password,
        primary: false,
        auth_plugin,
        replication,
    };
    let shown = user_view(&user);
    database.users.push(user);
    Ok(Response::new(201, json!({ "user": shown })))
}

/// Changes `settings`, and nothing else of a user.
pub(crate) fn update_user(world: &mut World, request: &Request) -> Reply {
    let engine = find(world, request)?.engine;
    let settings = required(request.body::<Body>()?.settings, "settings")?;
    let replication = settings.replication(engine)?;
    let name = request.param(1);
    let database = online(world, request)?;
    let user = database.users.iter_mut().find(|user| user.name == name);
    let user = user.ok_or_else(ApiError::not_found)?;
    user.replication = replication;
    let mut shown = user_view(user);
    // The answer has what was set, also when that is the default.
    if engine == Engine::Pg {
        shown["settings"] = json!({ "pg_allow_replication": replication });
    }
    Ok(Response::new(201, json!({ "user": shown })))
}

pub(crate) fn delete_user(world: &mut World, request: &Request) -> Reply {
    let name = request.param(1);
    let found = find(world, request)?
        .users
        .iter()
        .find(|user| user.name == name);
    if found.ok_or_else(ApiError::not_found)?.primary {
        return Err(ApiError::unprocessable(
            "the default user can not be deleted",
        ));
    }
    let cluster = online(world, request)?;
    cluster.users.retain(|user| user.name != name);
    cluster.creators.retain(|(_, user)| user != name);
    Ok(Response::no_content())
}

pub(crate) fn reset_auth(world: &mut World, request: &Request) -> Reply {
    let engine = find(world, request)?.engine;
    let asked = plugin(request.body::<Body>()?.mysql_settings, engine)?;
    let password = password(world);
    let name = request.param(1);
    let database = online(world, request)?;
    let user = database.users.iter_mut().find(|user| user.name == name);
    let user = user.ok_or_else(ApiError::not_found)?;
    user.password = password;
    user.auth_plugin = asked.or_else(|| user.auth_plugin.clone());
    Ok(Response::ok(json!({ "user": user_view(user) })))
}

pub(crate) fn databases(world: &mut World, request: &Request) -> Reply {
    let names = &find(world, request)?.databases;
    let shown: Vec<Value> = names.iter().map(|name| json!({ "name": name })).collect();
    Ok(Response::ok(json!({ "dbs": shown })))
}

pub(crate) fn database(world: &mut World, request: &Request) -> Reply {
    let name = request.param(1);
    if !find(world, request)?
        .databases
        .iter()
        .any(|own| own == name)
    {
        return Err(ApiError::not_found());
    }
    Ok(Response::ok(json!({ "db": { "name": name } })))
}

pub(crate) fn create_database(world: &mut World, request: &Request) -> Reply {
    let name = valid_name(request.body::<Body>()?.name)?;
    let database = online(world, request)?;
    if database.databases.contains(&name) {
        return Err(ApiError::conflict(format!(
            "a database named {name:?} already exists"
        )));
    }
    database.databases.push(name.clone());
    Ok(Response::new(201, json!({ "db": { "name": name } })))
}

pub(crate) fn delete_database(world: &mut World, request: &Request) -> Reply {
    let name = request.param(1);
    if !find(world, request)?
        .databases
        .iter()
        .any(|own| own == name)
    {
        return Err(ApiError::not_found());
    }
    if name == FIRST_DATABASE {
        return Err(ApiError::unprocessable(
            "the default database can not be deleted",
        ));
    }
    let cluster = online(world, request)?;
    cluster.databases.retain(|own| own != name);
    cluster.creators.retain(|(own, _)| own != name);
    Ok(Response::no_content())
}

fn valid_name(name: Option<String>) -> Result<String, ApiError> {
    let name = required(name, "name")?;
    if all_chars(&name, 63, |c| {
        c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
    }) {
        return Ok(name);
    }
    Err(ApiError::unprocessable(format!(
        "name {name:?} must be 1 to 63 letters, numbers, underscores, dashes and periods"
    )))
}

fn plugin(settings: Option<MysqlSettings>, engine: Engine) -> Result<Option<String>, ApiError> {
    let plugin = settings.and_then(|settings| settings.auth_plugin);
    match plugin.as_deref() {
        None => Ok(None),
        Some(_) if engine != Engine::Mysql => Err(unsupported("mysql_settings", engine)),
        Some("mysql_native_password" | "caching_sha2_password") => Ok(plugin),
        Some(other) => Err(ApiError::unprocessable(format!(
            "invalid auth_plugin {other:?}"
        ))),
    }
}

pub(super) fn user_view(user: &User) -> Value {
    let mut value = json!({
        "name": user.name,
        "role": if user.primary { "primary" } else { "normal" },
        "password": user.password,
    });
    if let Some(plugin) = &user.auth_plugin {
        value["mysql_settings"] = json!({ "auth_plugin": plugin });
    }
    if user.replication {
        value["settings"] = json!({ "pg_allow_replication": true });
    }
    value
}
