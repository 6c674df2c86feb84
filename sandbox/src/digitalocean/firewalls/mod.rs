//! Cloud firewalls: `waiting` until their rules have reached every droplet they cover.

mod rules;

use std::collections::BTreeSet;

use http::Method;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::droplets::{self, Droplet};
use super::{moment, required, tags};
use crate::http::{ApiError, Reply, Request, Response, list};
use crate::world::table::Row;
use crate::world::{Due, World, lag};
use rules::{Rule, RuleBody};

/// Most droplets a firewall names by id; beyond that tags are needed.
const MAX_DROPLETS: usize = 10;
/// Most tags of a firewall, and most rules of both kinds (DigitalOcean's page of limits).
const MAX_TAGS: usize = 5;
const MAX_RULES: usize = 50;

/// A firewall.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Firewall {
    pub(crate) id: String,
    pub(crate) name: String,
    inbound: Vec<Rule>,
    outbound: Vec<Rule>,
    droplet_ids: Vec<u64>,
    tags: Vec<String>,
    /// Droplets whose rules are on their way.
    pending: BTreeSet<u64>,
    /// Droplets it no longer covers, whose rules are being taken away.
    #[serde(default)]
    removing: BTreeSet<u64>,
    /// When the rules have arrived; `None` once they have.
    pub(crate) ready_at: Option<Timestamp>,
    created_at: Timestamp,
}

impl Row for Firewall {
    fn created_at(&self) -> Timestamp {
        self.created_at
    }
}

impl Firewall {
    fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.inbound.iter().chain(&self.outbound)
    }

    /// Whether it guards a droplet.
    pub(crate) fn covers(&self, droplet: &Droplet) -> bool {
        self.droplet_ids.contains(&droplet.id) || self.tags.iter().any(|tag| droplet.has_tag(tag))
    }
}

#[derive(Deserialize)]
struct Body {
    name: Option<String>,
    inbound_rules: Option<Vec<RuleBody>>,
    outbound_rules: Option<Vec<RuleBody>>,
    droplet_ids: Option<Vec<u64>>,
    tags: Option<Vec<String>>,
}

pub(crate) fn create(world: &mut World, request: &Request) -> Reply {
    let body: Body = request.body()?;
    let (id, created_at) = (world.rng.uuid(), world.now());
    let firewall = desired(world, body, id.clone(), created_at)?;
    put(world, firewall);
    let firewall = world.firewalls.get(&id).ok_or_else(ApiError::not_found)?;
    Ok(Response::new(202, json!({ "firewall": view(firewall) })))
}

pub(crate) fn index(world: &mut World, request: &Request) -> Reply {
    Ok(list(
        request,
        "firewalls",
        world.firewalls.sorted(),
        Row::created_at,
        view,
    ))
}

pub(crate) fn show(world: &mut World, request: &Request) -> Reply {
    let firewall = world
        .firewalls
        .get(request.param(0))
        .ok_or_else(ApiError::not_found)?;
    Ok(Response::ok(json!({ "firewall": view(firewall) })).created_at(firewall.created_at))
}

/// Replaces the whole firewall: what is left out is gone.
pub(crate) fn update(world: &mut World, request: &Request) -> Reply {
    let id = request.param(0).to_owned();
    let created_at = world
        .firewalls
        .get(&id)
        .ok_or_else(ApiError::not_found)?
        .created_at;
    let firewall = desired(world, request.body()?, id.clone(), created_at)?;
    put(world, firewall);
    let firewall = world.firewalls.get(&id).ok_or_else(ApiError::not_found)?;
    Ok(Response::ok(json!({ "firewall": view(firewall) })))
}

pub(crate) fn delete(world: &mut World, request: &Request) -> Reply {
    world
        .firewalls
        .remove(request.param(0))
        .ok_or_else(ApiError::not_found)?;
    Ok(Response::no_content())
}

/// POST adds droplets, DELETE takes them away.
pub(crate) fn change_droplets(world: &mut World, request: &Request) -> Reply {
    let ids = required(request.body::<Body>()?.droplet_ids, "droplet_ids")?;
    change(world, request, |world, firewall| {
        if request.method == Method::DELETE {
            firewall.droplet_ids.retain(|id| !ids.contains(id));
        } else {
            firewall.droplet_ids.extend(ids.iter().copied());
            firewall.droplet_ids = existing_droplets(world, &firewall.droplet_ids)?;
        }
        Ok(())
    })
}

/// POST adds targets by tag, DELETE takes them away.
pub(crate) fn change_tags(world: &mut World, request: &Request) -> Reply {
    let names = required(request.body::<Body>()?.tags, "tags")?;
    change(world, request, |world, firewall| {
        if request.method == Method::DELETE {
            firewall
                .tags
                .retain(|tag| !names.iter().any(|name| tags::same(name, tag)));
            return Ok(());
        }
        for name in &names {
            let tag = tags::existing(world, name)?;
            if !firewall.tags.contains(&tag) {
                firewall.tags.push(tag);
            }
        }
        Ok(())
    })
}

/// POST adds rules, DELETE takes away the ones that are the same.
pub(crate) fn change_rules(world: &mut World, request: &Request) -> Reply {
    let body: Body = request.body()?;
    let inbound = rules::inbound(world, body.inbound_rules.unwrap_or_default())?;
    let outbound = rules::outbound(world, body.outbound_rules.unwrap_or_default())?;
    if inbound.is_empty() && outbound.is_empty() {
        return Err(ApiError::unprocessable(
            "inbound_rules or outbound_rules is required",
        ));
    }
    change(world, request, |_, firewall| {
        let sides = [
            (&mut firewall.inbound, &inbound),
            (&mut firewall.outbound, &outbound),
        ];
        for (own, given) in sides {
            own.retain(|rule| !given.contains(rule));
            if request.method != Method::DELETE {
                own.extend(given.iter().cloned());
            }
        }
        if firewall.inbound.is_empty() && firewall.outbound.is_empty() {
            return Err(ApiError::unprocessable(
                "a firewall must have at least one rule",
            ));
        }
        Ok(())
    })
}

fn change(
    world: &mut World,
    request: &Request,
    edit: impl FnOnce(&World, &mut Firewall) -> Result<(), ApiError>,
) -> Reply {
    let id = request.param(0).to_owned();
    let mut firewall = world
        .firewalls
        .get(&id)
        .ok_or_else(ApiError::not_found)?
        .clone();
    edit(world, &mut firewall)?;
    check_limits(&firewall)?;
    put(world, firewall);
    Ok(Response::no_content())
}

/// The firewall a request describes.
fn desired(
    world: &World,
    body: Body,
    id: String,
    created_at: Timestamp,
) -> Result<Firewall, ApiError> {
    let name = required(body.name, "name")?;
    let first = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    let allowed = |c| super::all_chars(c, 255, |c| c.is_ascii_alphanumeric() || ".-".contains(c));
    if !first || name.len() < 2 || !allowed(&name) {
        return Err(ApiError::unprocessable(format!(
            "firewall name {name:?} must be letters, numbers, periods and dashes, at least two"
        )));
    }
    if world
        .firewalls
        .values()
        .any(|other| other.name == name && other.id != id)
    {
        return Err(ApiError::conflict("duplicate name"));
    }
    let inbound = rules::inbound(world, body.inbound_rules.unwrap_or_default())?;
    let outbound = rules::outbound(world, body.outbound_rules.unwrap_or_default())?;
    if inbound.is_empty() && outbound.is_empty() {
        return Err(ApiError::unprocessable(
            "a firewall must have at least one rule",
        ));
    }
    let droplet_ids = existing_droplets(world, &body.droplet_ids.unwrap_or_default())?;
    let mut targets: Vec<String> = Vec::new();
    for tag in body.tags.unwrap_or_default() {
        let tag = tags::existing(world, &tag)?;
        if !targets.contains(&tag) {
            targets.push(tag);
        }
    }
    let firewall = Firewall {
        id,
        name,
        inbound,
        outbound,
        droplet_ids,
        tags: targets,
        pending: BTreeSet::new(),
        removing: BTreeSet::new(),
        ready_at: None,
        created_at,
    };
    check_limits(&firewall)?;
    Ok(firewall)
}

fn existing_droplets(world: &World, ids: &[u64]) -> Result<Vec<u64>, ApiError> {
    let mut all: Vec<u64> = ids.to_vec();
    all.sort_unstable();
    all.dedup();
    if all.len() > MAX_DROPLETS {
        return Err(ApiError::unprocessable(format!(
            "a firewall can name at most {MAX_DROPLETS} droplets by id; use tags"
        )));
    }
    match all
        .iter()
        .find(|id| !world.droplets.contains(&droplets::key(**id)))
    {
        Some(id) => Err(ApiError::unprocessable(format!(
            "droplet {id} does not exist"
        ))),
        None => Ok(all),
    }
}

fn check_limits(firewall: &Firewall) -> Result<(), ApiError> {
    let rules = firewall.inbound.len() + firewall.outbound.len();
    for (what, count, most) in [
        ("tags", firewall.tags.len(), MAX_TAGS),
        ("rules", rules, MAX_RULES),
    ] {
        if count > most {
            return Err(ApiError::unprocessable(format!(
                "a firewall can have at most {most} {what}"
            )));
        }
    }
    Ok(())
}

fn covered(world: &World, firewall: &Firewall) -> BTreeSet<u64> {
    world
        .droplets
        .values()
        .filter(|droplet| firewall.covers(droplet))
        .map(|droplet| droplet.id)
        .collect()
}

/// Keeps a firewall, and sends its rules to every droplet it covers and away from those it no
/// longer does.
fn put(world: &mut World, mut firewall: Firewall) {
    let id = firewall.id.clone();
    let before = world.firewalls.get(&id);
    let mut removing =
        before.map_or_else(BTreeSet::new, |old| &covered(world, old) | &old.removing);
    firewall.pending = covered(world, &firewall);
    removing.retain(|droplet| !firewall.pending.contains(droplet));
    firewall.removing = removing;
    firewall.ready_at = Some(world.schedule(lag::FIREWALL_APPLY, Due::Firewall(id.clone())));
    world.firewalls.insert(id, firewall);
}

/// A droplet got tags: the firewalls of these tags send it their rules.
pub(crate) fn touch(world: &mut World, tags: &[String], droplet: u64) {
    for id in of_tags(world, tags) {
        let at = world.schedule(lag::FIREWALL_APPLY, Due::Firewall(id.clone()));
        if let Some(firewall) = world.firewalls.get_mut(&id) {
            firewall.pending.insert(droplet);
            firewall.removing.remove(&droplet);
            firewall.ready_at = Some(at);
        }
    }
}

/// A droplet lost a tag: the tag's firewalls that no longer cover it take their rules away.
pub(crate) fn release(world: &mut World, tag: &str, droplet: u64) {
    for id in of_tags(world, &[tag.to_owned()]) {
        let still = world
            .firewalls
            .get(&id)
            .zip(world.droplets.get(&droplets::key(droplet)))
            .is_none_or(|(firewall, droplet)| firewall.covers(droplet));
        if still {
            continue;
        }
        let at = world.schedule(lag::FIREWALL_APPLY, Due::Firewall(id.clone()));
        if let Some(firewall) = world.firewalls.get_mut(&id) {
            firewall.pending.remove(&droplet);
            firewall.removing.insert(droplet);
            firewall.ready_at = Some(at);
        }
    }
}

/// The firewalls that cover one of these tags.
fn of_tags(world: &World, tags: &[String]) -> Vec<String> {
    world.firewalls.keys_where(|firewall| {
        firewall
            .tags
            .iter()
            .any(|tag| tags.iter().any(|own| tags::same(own, tag)))
    })
}

/// The rules have arrived.
pub(crate) fn settle(world: &mut World, key: &str, at: Timestamp) {
    // A later change moved the moment.
    if world
        .firewalls
        .get(key)
        .is_none_or(|firewall| firewall.ready_at != Some(at))
    {
        return;
    }
    if let Some(firewall) = world.firewalls.get_mut(key) {
        firewall.ready_at = None;
        firewall.pending.clear();
        firewall.removing.clear();
    }
}

/// A deleted tag no longer selects anything.
pub(crate) fn forget_tag(world: &mut World, name: &str) {
    let concerned = world.firewalls.keys_where(|firewall| {
        firewall.tags.iter().any(|tag| tags::same(tag, name))
            || firewall.rules().any(|rule| rule.names_tag(name))
    });
    for id in concerned {
        if let Some(firewall) = world.firewalls.get_mut(&id) {
            firewall.tags.retain(|tag| !tags::same(tag, name));
            for rule in firewall.inbound.iter_mut().chain(&mut firewall.outbound) {
                rule.forget_tag(name);
            }
        }
    }
}

/// A destroyed droplet is no longer covered, and no rule names it.
pub(crate) fn forget_droplet(world: &mut World, droplet: u64) {
    let concerned = world.firewalls.keys_where(|firewall| {
        firewall.droplet_ids.contains(&droplet)
            || firewall.pending.contains(&droplet)
            || firewall.removing.contains(&droplet)
            || firewall.rules().any(|rule| rule.names_droplet(droplet))
    });
    for id in concerned {
        if let Some(firewall) = world.firewalls.get_mut(&id) {
            firewall.droplet_ids.retain(|id| *id != droplet);
            firewall.pending.remove(&droplet);
            firewall.removing.remove(&droplet);
            for rule in firewall.inbound.iter_mut().chain(&mut firewall.outbound) {
                rule.forget_droplet(droplet);
            }
        }
    }
}

/// No rule names a destroyed load balancer.
pub(crate) fn forget_load_balancer(world: &mut World, balancer: &str) {
    let concerned = world
        .firewalls
        .keys_where(|firewall| firewall.rules().any(|rule| rule.names_balancer(balancer)));
    for id in concerned {
        if let Some(firewall) = world.firewalls.get_mut(&id) {
            for rule in firewall.inbound.iter_mut().chain(&mut firewall.outbound) {
                rule.forget_balancer(balancer);
            }
        }
    }
}

pub(crate) fn view(firewall: &Firewall) -> Value {
    let change = |id: &u64, removing: bool| json!({ "droplet_id": id, "removing": removing, "status": "waiting" });
    let adding = firewall.pending.iter().map(|id| change(id, false));
    let removing = firewall.removing.iter().map(|id| change(id, true));
    let pending: Vec<Value> = adding.chain(removing).collect();
    json!({
        "id": firewall.id,
        "name": firewall.name,
        "status": if firewall.ready_at.is_some() { "waiting" } else { "succeeded" },
        "inbound_rules": firewall.inbound.iter().map(|r| r.view("sources")).collect::<Vec<_>>(),
        "outbound_rules":
            firewall.outbound.iter().map(|r| r.view("destinations")).collect::<Vec<_>>(),
        "created_at": moment(firewall.created_at),
        "droplet_ids": firewall.droplet_ids,
        "tags": firewall.tags,
        "pending_changes": pending,
    })
}
