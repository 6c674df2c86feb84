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
    let name = valid_name(body.name)?;
    let grants = checked(body.grants.unwrap_or_default())?;
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
    // An empty filter is none: the document lists the empty string among the permissions.
    let filter = |name: &str| request.query(name).filter(|value| !value.is_empty());
    let (name, bucket) = (filter("name"), filter("bucket"));
    let permission = filter("permission");
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
    match request.query("sort_direction") {
        Some("asc") => {}
        Some("desc") | None => rows.reverse(),
        Some(other) => {
            return Err(ApiError::bad_request(format!(
                "sort_direction {other:?} must be asc or desc"
            )));
        }
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
    let full = request.method == http::Method::PUT;
    if full || body.name.is_some() {
        key.name = valid_name(body.name)?;
    }
    match body.grants {
        Some(grants) => change_grants(&mut key, grants)?,
        // The document: of a key with full access only the name can be changed.
        None if full && !has_full_access(&key.grants) => key.grants = Vec::new(),
        None => {}
    }
    let shown = view(&key);
    world.spaces_keys.insert(id, key);
    Ok(Response::ok(json!({ "key": shown })))
}

/// A key with full access stays one, and no other becomes one.
fn change_grants(key: &mut SpacesKey, grants: Vec<Grant>) -> Result<(), ApiError> {
    let grants = checked(grants)?;
    if !key.grants.is_empty() && has_full_access(&key.grants) != has_full_access(&grants) {
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

fn valid_name(name: Option<String>) -> Result<String, ApiError> {
    required(name.filter(|name| !name.is_empty()), "name")
}

fn has_full_access(grants: &[Grant]) -> bool {
    grants.iter().any(|grant| grant.permission == "fullaccess")
}

/// Grants that make sense. Full access goes before what else is asked for with it (the document).
fn checked(grants: Vec<Grant>) -> Result<Vec<Grant>, ApiError> {
    for grant in &grants {
        match grant.permission.as_str() {
            "" | "read" | "readwrite" if grant.bucket.is_empty() => {
                return Err(ApiError::bad_request(
                    "a grant for a bucket must name the bucket",
                ));
            }
            "fullaccess" if !grant.bucket.is_empty() => {
                return Err(ApiError::bad_request("fullaccess has an empty bucket"));
            }
            // The empty one is documented, and lets nobody in.
            "" | "read" | "readwrite" | "fullaccess" => {}
            other => {
                return Err(ApiError::bad_request(format!(
                    "permission {other:?} must be read, readwrite or fullaccess"
                )));
            }
        }
    }
    let full = grants.iter().find(|grant| grant.permission == "fullaccess");
    Ok(full.map_or_else(|| grants.clone(), |grant| vec![grant.clone()]))
}

fn view(key: &SpacesKey) -> Value {
    json!({
        "name": key.name,
        "access_key": key.access_key,
        "grants": key.grants,
        "created_at": moment(key.created_at),
    })
}
