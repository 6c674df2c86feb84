//! Keys of Spaces; the secret is shown once.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{moment, required};
use crate::facts::SpacesKeyFacts;
use crate::http::{ApiError, Reply, Request, Response, list};
use crate::world::World;
use crate::world::table::Row;

/// Most keys of an account.
const MAX_KEYS: usize = 200;

/// A Spaces key; its key is the access key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SpacesKey {
    pub(crate) name: String,
    access_key: String,
    secret_key: String,
    grants: Vec<Grant>,
    created_at: Timestamp,
}

impl Row for SpacesKey {
    fn created_at(&self) -> Timestamp {
        self.created_at
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Grant {
    #[serde(default)]
    bucket: String,
    #[serde(default)]
    permission: String,
}

#[derive(Deserialize)]
struct Body {
    name: Option<String>,
    grants: Option<Vec<Grant>>,
}

/// The keys as the object store needs them.
pub(crate) fn facts(world: &World) -> Vec<SpacesKeyFacts> {
    let facts = |key: &SpacesKey| SpacesKeyFacts {
        access_key: key.access_key.clone(),
        secret_key: key.secret_key.clone(),
        grants: key
            .grants
            .iter()
            .map(|g| (g.bucket.clone(), g.permission.clone()))
            .collect(),
    };
    world.spaces_keys.values().map(facts).collect()
}

pub(crate) fn create(world: &mut World, request: &Request) -> Reply {
    let body: Body = request.body()?;
    let name = required(body.name.filter(|name| !name.is_empty()), "name")?;
    let grants = body.grants.unwrap_or_default();
    check(&grants)?;
    if world.spaces_keys.len() >= MAX_KEYS {
        return Err(ApiError::bad_request(format!(
            "an account has at most {MAX_KEYS} Spaces keys"
        )));
    }
    let access_key = format!("DO{}", world.rng.alphanumeric(18).to_ascii_uppercase());
    let secret_key = world.rng.alphanumeric(43);
    let created_at = world.now();
    let key = SpacesKey {
        name,
        access_key,
        secret_key,
        grants,
        created_at,
    };
    let mut shown = view(&key);
    shown["secret_key"] = json!(key.secret_key);
    world.spaces_keys.insert(key.access_key.clone(), key);
    Ok(Response::new(201, json!({ "key": shown })))
}

pub(crate) fn index(world: &mut World, request: &Request) -> Reply {
    let (name, bucket) = (request.query("name"), request.query("bucket"));
    let permission = request.query("permission");
    let mut rows = world.spaces_keys.filtered(|key| {
        name.is_none_or(|name| key.name == name)
            && bucket.is_none_or(|bucket| key.grants.iter().any(|g| g.bucket == bucket))
            && permission.is_none_or(|p| key.grants.iter().any(|g| g.permission == p))
    });
    match request.query("sort") {
        Some("name") => rows.sort_by(|a, b| a.name.cmp(&b.name)),
        Some("created_at") | None => {}
        Some(other) => {
            return Err(ApiError::bad_request(format!("can not sort by {other:?}")));
        }
    }
    if request.query("sort_direction") != Some("asc") {
        rows.reverse();
    }
    Ok(list(request, "keys", rows, Row::created_at, view))
}

/// The document's schema says `keys`, its example and the real API say `key`.
pub(crate) fn show(world: &mut World, request: &Request) -> Reply {
    let key = world
        .spaces_keys
        .get(request.param(0))
        .ok_or_else(ApiError::not_found)?;
    Ok(Response::ok(json!({ "key": view(key) })).created_at(key.created_at))
}

/// PUT replaces name and grants, PATCH changes what it is given.
pub(crate) fn update(world: &mut World, request: &Request) -> Reply {
    let id = request.param(0).to_owned();
    let mut key = world
        .spaces_keys
        .get(&id)
        .ok_or_else(ApiError::not_found)?
        .clone();
    let body: Body = request.body()?;
    if request.method == http::Method::PUT {
        key.name = required(body.name, "name")?;
        change_grants(&mut key, body.grants.unwrap_or_default())?;
    } else {
        key.name = body.name.unwrap_or(key.name);
        if let Some(grants) = body.grants {
            change_grants(&mut key, grants)?;
        }
    }
    let shown = view(&key);
    world.spaces_keys.insert(id, key);
    Ok(Response::ok(json!({ "key": shown })))
}

/// A key with full access stays one, and no other becomes one.
fn change_grants(key: &mut SpacesKey, grants: Vec<Grant>) -> Result<(), ApiError> {
    check(&grants)?;
    let full = |grants: &[Grant]| grants.iter().any(|grant| grant.permission == "fullaccess");
    if !key.grants.is_empty() && full(&key.grants) != full(&grants) {
        return Err(ApiError::bad_request(
            "a key can not be changed between fullaccess and grants for buckets",
        ));
    }
    key.grants = grants;
    Ok(())
}

pub(crate) fn delete(world: &mut World, request: &Request) -> Reply {
    world
        .spaces_keys
        .remove(request.param(0))
        .ok_or_else(ApiError::not_found)?;
    Ok(Response::no_content())
}

fn check(grants: &[Grant]) -> Result<(), ApiError> {
    for grant in grants {
        match grant.permission.as_str() {
            "read" | "readwrite" if grant.bucket.is_empty() => {
                return Err(ApiError::bad_request(
                    "a grant for a bucket must name the bucket",
                ));
            }
            "fullaccess" if !grant.bucket.is_empty() || grants.len() > 1 => {
                return Err(ApiError::bad_request(
                    "fullaccess has an empty bucket and can not be mixed with other grants",
                ));
            }
            "read" | "readwrite" | "fullaccess" => {}
            other => {
                return Err(ApiError::bad_request(format!(
                    "permission {other:?} must be read, readwrite or fullaccess"
                )));
            }
        }
    }
    Ok(())
}

fn view(key: &SpacesKey) -> Value {
    json!({
        "name": key.name,
        "access_key": key.access_key,
        "grants": key.grants,
        "created_at": moment(key.created_at),
    })
}
