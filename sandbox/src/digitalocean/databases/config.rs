//! The parameters of a cluster's engine: kept and checked. Nothing runs that could obey them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::change::SQL_MODE;
use super::parameters::{Kind, MYSQL, POSTGRESQL, Parameter};
use super::{Database, Engine, find, online};
use crate::digitalocean::required;
use crate::http::{ApiError, Reply, Request, Response};
use crate::world::World;

#[derive(Deserialize)]
struct Body {
    config: Option<BTreeMap<String, Value>>,
}

/// What was set; the rest is the engine's own and not listed.
pub(crate) fn config(world: &mut World, request: &Request) -> Reply {
    let database = find(world, request)?;
    let mut shown = json!(database.config);
    if database.engine == Engine::Mysql {
        shown["sql_mode"] = json!(database.sql_mode.as_deref().unwrap_or(SQL_MODE));
    }
    Ok(Response::ok(json!({ "config": shown })))
}

/// Sets what is given and leaves the rest.
pub(crate) fn change_config(world: &mut World, request: &Request) -> Reply {
    let database = find(world, request)?;
    let asked = required(request.body::<Body>()?.config, "config")?;
    let mut config = database.config.clone();
    for (name, value) in asked {
        let found = parameters(database).iter().find(|(own, _)| *own == name);
        let (_, kind) = found.ok_or_else(|| {
            let engine = database.engine.name();
            ApiError::unprocessable(format!("{name:?} is not a parameter of {engine}"))
        })?;
        check(&name, kind, &value, config.get(&name))?;
        set(&mut config, name, value);
    }
    let database = online(world, request)?;
    // It has an endpoint of its own, too.
    if let Some(Value::String(modes)) = config.remove("sql_mode") {
        database.sql_mode = Some(modes).filter(|modes| !modes.is_empty());
    }
    database.config = config;
    Ok(Response {
        body: None,
        ..Response::ok(Value::Null)
    })
}

fn parameters(database: &Database) -> &'static [Parameter] {
    match database.engine {
        Engine::Pg => POSTGRESQL,
        Engine::Mysql => MYSQL,
    }
}

fn set(config: &mut BTreeMap<String, Value>, name: String, value: Value) {
    match (config.get_mut(&name), value) {
        (_, Value::Null) => drop(config.remove(&name)),
        (Some(Value::Object(own)), Value::Object(given)) => own.extend(given),
        (_, value) => drop(config.insert(name, value)),
    }
}

fn check(name: &str, kind: &Kind, value: &Value, before: Option<&Value>) -> Result<(), ApiError> {
    let wrong = |what: String| Err(ApiError::unprocessable(format!("{name} must be {what}")));
    let within = |least: f64, most: f64| {
        value
            .as_f64()
            .is_some_and(|given| (least..=most).contains(&given))
    };
    let whole = value.is_i64() || value.is_u64();
    let text = value.as_str();
    let length = text.map_or(0, |text| text.chars().count());
    let shaped = |most: usize, shape: fn(&str) -> bool| text.is_some_and(shape) && length <= most;
    match kind {
        Kind::Flag if value.is_boolean() => Ok(()),
        Kind::Flag => wrong("true or false".to_owned()),
        Kind::Whole(least, most) | Kind::Raised(least, most)
            if !whole || !within(*least, *most) =>
        {
            wrong(format!("a whole number from {least} to {most}"))
        }
        Kind::Raised(..) if before.and_then(Value::as_f64) > value.as_f64() => {
            wrong("at least what it was set to before".to_owned())
        }
        Kind::Whole(..) | Kind::Raised(..) => Ok(()),
        Kind::Number(least, most) if within(*least, *most) => Ok(()),
        Kind::Number(least, most) => wrong(format!("a number from {least} to {most}")),
        Kind::Text(least, most) if text.is_some() && (*least..=*most).contains(&length) => Ok(()),
        Kind::Text(least, most) => wrong(format!("a text of {least} to {most} characters")),
        Kind::OneOf(words) if text.is_some_and(|text| words.contains(&text)) => Ok(()),
        Kind::Words(words) if every(value, words) => Ok(()),
        Kind::OneOf(words) => wrong(format!("one of {}", words.join(", "))),
        Kind::Words(words) => wrong(format!("a list of some of {}", words.join(", "))),
        Kind::Unset(..) if value.is_null() => Ok(()),
        Kind::Shaped(most, shape) | Kind::Unset(most, shape) if shaped(*most, *shape) => Ok(()),
        Kind::Shaped(..) | Kind::Unset(..) => wrong("a text of the documented form".to_owned()),
        Kind::Group(members) => check_group(name, members, value.as_object()),
    }
}

fn every(value: &Value, words: &[&str]) -> bool {
    let word = |item: &Value| item.as_str().is_some_and(|item| words.contains(&item));
    value.as_array().is_some_and(|items| items.iter().all(word))
}

fn check_group(
    name: &str,
    members: &[Parameter],
    given: Option<&Map<String, Value>>,
) -> Result<(), ApiError> {
    let given = given
        .ok_or_else(|| ApiError::unprocessable(format!("{name} must be an object of settings")))?;
    for (member, value) in given {
        let found = members.iter().find(|(own, _)| own == member);
        let (_, kind) = found.ok_or_else(|| {
            ApiError::unprocessable(format!("{member:?} is not a setting of {name}"))
        })?;
        check(&format!("{name}.{member}"), kind, value, None)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(parameters: &[Parameter], name: &str, value: &Value, before: Option<&Value>) -> bool {
        let (_, kind) = parameters.iter().find(|(own, _)| *own == name).unwrap();
        check(name, kind, value, before).is_err()
    }

    #[test]
    fn values_are_what_the_document_allows() {
        for (name, good, bad) in [
            ("jit", json!(true), json!("true")),
            ("work_mem", json!(4), json!(4.5)),
            ("work_mem", json!(1024), json!(1025)),
            ("shared_buffers_percentage", json!(41.5), json!(61)),
            ("log_error_verbosity", json!("TERSE"), json!("terse")),
            ("timezone", json!("Europe/Helsinki"), json!(1)),
            ("pg_partman_bgw.role", json!("a-b.c"), json!("-a")),
            (
                "pgbouncer",
                json!({ "min_pool_size": 1 }),
                json!({ "pool": 1 }),
            ),
            (
                "pgbouncer",
                json!({ "ignore_startup_parameters": ["search_path"] }),
                json!({ "ignore_startup_parameters": ["other"] }),
            ),
        ] {
            assert!(!wrong(POSTGRESQL, name, &good, None), "{name} {good}");
            assert!(wrong(POSTGRESQL, name, &bad, None), "{name} {bad}");
        }
        for (name, good, bad) in [
            ("sql_mode", json!("ANSI,TRADITIONAL"), json!("ANSI,,X")),
            ("optimizer_switch", json!("a=on,b=off"), json!("a=yes")),
            ("innodb_ft_user_stopword_table", json!(null), json!("db")),
            (
                "innodb_ft_server_stopword_table",
                json!("db/t"),
                json!(null),
            ),
            ("innodb_flush_neighbors", json!(2), json!(3)),
        ] {
            assert!(!wrong(MYSQL, name, &good, None), "{name} {good}");
            assert!(wrong(MYSQL, name, &bad, None), "{name} {bad}");
        }
    }

    #[test]
    fn some_are_never_lowered() {
        let (was, less, more) = (json!(32), json!(24), json!(64));
        assert!(wrong(POSTGRESQL, "max_wal_senders", &less, Some(&was)));
        assert!(!wrong(POSTGRESQL, "max_wal_senders", &more, Some(&was)));
    }
}
