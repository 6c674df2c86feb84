//! Trusted sources: who may connect to a cluster. No rule at all means everybody.

use ipnet::Ipv4Net;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::find;
use crate::digitalocean::{droplets, moment, required};
use crate::http::{ApiError, Reply, Request, Response};
use crate::world::World;

/// Most addresses of a cluster's list; a droplet counts two.
const MAX_ADDRESSES: usize = 100;

/// One trusted source.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Rule {
    uuid: String,
    kind: String,
    value: String,
    description: Option<String>,
    created_at: Timestamp,
}

/// A rule as sent.
#[derive(Deserialize)]
pub(super) struct RuleBody {
    r#type: Option<String>,
    value: Option<String>,
    description: Option<String>,
}

#[derive(Deserialize)]
struct Body {
    rules: Option<Vec<RuleBody>>,
}

impl Rule {
    pub(super) fn fact(&self) -> (String, String) {
        (self.kind.clone(), self.value.clone())
    }

    pub(super) fn is_droplet(&self, id: &str) -> bool {
        self.kind == "droplet" && self.value == id
    }

    pub(super) fn view(&self, cluster: &str) -> Value {
        let mut value = json!({
            "uuid": self.uuid,
            "cluster_uuid": cluster,
            "type": self.kind,
            "value": self.value,
            "created_at": moment(self.created_at),
        });
        if let Some(description) = &self.description {
            value["description"] = json!(description);
        }
        value
    }
}

/// The rules of a request, each of which must make sense. One that was there before keeps its
/// uuid.
pub(super) fn checked(
    world: &World,
    rules: Vec<RuleBody>,
    before: &[Rule],
) -> Result<Vec<Rule>, ApiError> {
    let mut made: Vec<Rule> = Vec::with_capacity(rules.len());
    let mut addresses = 0;
    for rule in rules {
        let kind = required(rule.r#type, "rules.type")?;
        let value = required(rule.value, "rules.value")?;
        addresses += if kind == "droplet" { 2 } else { 1 };
        check(world, &kind, &value)?;
        if made
            .iter()
            .any(|other| other.kind == kind && other.value == value)
        {
            let message = format!("the rule {kind}:{value} is given twice");
            return Err(ApiError::unprocessable(message));
        }
        // A rule that stays is the same rule.
        let old = before
            .iter()
            .find(|old| old.kind == kind && old.value == value);
        let (uuid, created_at) = match old {
            Some(old) => (old.uuid.clone(), old.created_at),
            None => (world.rng.uuid(), world.now()),
        };
        made.push(Rule {
            uuid,
            kind,
            value,
            description: rule.description,
            created_at,
        });
    }
    if addresses > MAX_ADDRESSES {
        return Err(ApiError::unprocessable(format!(
            "at most {MAX_ADDRESSES} trusted sources; a droplet counts two, use tags"
        )));
    }
    Ok(made)
}

fn check(world: &World, kind: &str, value: &str) -> Result<(), ApiError> {
    let valid = match kind {
        "ip_addr" => {
            value.parse::<std::net::Ipv4Addr>().is_ok() || value.parse::<Ipv4Net>().is_ok()
        }
        "droplet" => value
            .parse()
            .is_ok_and(|id: u64| world.droplets.contains(&droplets::key(id))),
        "tag" | "k8s" | "app" => !value.is_empty(),
        _ => false,
    };
    if valid {
        return Ok(());
    }
    Err(ApiError::unprocessable(format!(
        "invalid rule: type {kind:?} with value {value:?}"
    )))
}

pub(crate) fn firewall(world: &mut World, request: &Request) -> Reply {
    let database = find(world, request)?;
    let rules: Vec<Value> = database
        .rules
        .iter()
        .map(|rule| rule.view(&database.id))
        .collect();
    Ok(Response::ok(json!({ "rules": rules })))
}

/// Replaces the whole list.
pub(crate) fn set_firewall(world: &mut World, request: &Request) -> Reply {
    let before = &find(world, request)?.rules;
    let body: Body = request.body()?;
    let rules = checked(world, required(body.rules, "rules")?, before)?;
    let database = world
        .databases
        .get_mut(request.param(0))
        .ok_or_else(ApiError::not_found)?;
    database.rules = rules;
    Ok(Response::no_content())
}
