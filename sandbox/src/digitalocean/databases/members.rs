//! Users and databases of a cluster.

use serde::Deserialize;
use serde_json::{Value, json};

use super::create::{default_plugin, password};
use super::{FIRST_DATABASE, User, find, online};
use crate::digitalocean::{all_chars, required};
use crate::http::{ApiError, Reply, Request, Response};
use crate::world::World;

#[derive(Deserialize)]
struct Body {
    name: Option<String>,
    mysql_settings: Option<MysqlSettings>,
}

#[derive(Deserialize)]
struct MysqlSettings {
    auth_plugin: Option<String>,
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
    let body: Body = request.body()?;
    let name = valid_name(body.name)?;
    let password = password(world);
    let database = online(world, request)?;
    if database.users.iter().any(|user| user.name == name) {
        return Err(ApiError::conflict(format!(
            "a user named {name:?} already exists"
        )));
    }
    let auth_plugin = plugin(body.mysql_settings)?.or_else(|| default_plugin(database.engine));
    let auth_plugin = auth_plugin.filter(|_| default_plugin(database.engine).is_some());
    let user = User {
        name,
        password,
        primary: false,
        auth_plugin,
    };
    let shown = user_view(&user);
    database.users.push(user);
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
    let asked = plugin(request.body::<Body>()?.mysql_settings)?;
    let password = password(world);
    let name = request.param(1);
    let database = online(world, request)?;
    let mysql = default_plugin(database.engine).is_some();
    let user = database.users.iter_mut().find(|user| user.name == name);
    let user = user.ok_or_else(ApiError::not_found)?;
    user.password = password;
    if mysql && asked.is_some() {
        user.auth_plugin = asked;
    }
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

fn plugin(settings: Option<MysqlSettings>) -> Result<Option<String>, ApiError> {
    let plugin = settings.and_then(|settings| settings.auth_plugin);
    match plugin.as_deref() {
        None | Some("mysql_native_password" | "caching_sha2_password") => Ok(plugin),
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
    value
}
