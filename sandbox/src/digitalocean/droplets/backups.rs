//! Backup policies of droplets.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Droplet, find, key};
use crate::http::{ApiError, Reply, Request, Response, list};
use crate::world::World;
use crate::world::table::Row as _;

/// When backups are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BackupPolicy {
    plan: Option<Plan>,
    weekday: Option<Weekday>,
    hour: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Plan {
    Daily,
    Weekly,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Weekday {
    Sun,
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
}

impl BackupPolicy {
    pub(super) fn check(self) -> Result<(), ApiError> {
        if self
            .hour
            .is_some_and(|hour| hour > 20 || !hour.is_multiple_of(4))
        {
            return Err(ApiError::unprocessable(
                "backup_policy.hour must be 0, 4, 8, 12, 16 or 20",
            ));
        }
        Ok(())
    }
}

pub(crate) fn backup_policy(world: &mut World, request: &Request) -> Reply {
    let droplet = find(world, request.id(0)?)?;
    Ok(Response::ok(json!({ "policy": view(droplet) })))
}

/// Policies by droplet id; an object, so it is put together from one page of droplets.
pub(crate) fn backup_policies(world: &mut World, request: &Request) -> Reply {
    let rows = world.droplets.filtered(|droplet| droplet.backups);
    let mut answer = list(
        request,
        "policies",
        rows,
        super::Droplet::created_at,
        |droplet| json!(droplet.id),
    );
    if let Some(ids) = answer
        .body
        .as_mut()
        .and_then(|body| body.get_mut("policies"))
    {
        let policies: Map<String, Value> = ids
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|id| world.droplets.get(&key(id.as_u64()?)))
            .map(|droplet| (droplet.id.to_string(), view(droplet)))
            .collect();
        *ids = Value::Object(policies);
    }
    Ok(answer)
}

pub(crate) fn supported_backup_policies(_: &mut World, _: &Request) -> Reply {
    let days = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
    let hours = [0, 4, 8, 12, 16, 20];
    let policy = |name: &str, days: &[&str], retention: u32| {
        json!({
            "name": name,
            "possible_window_starts": hours,
            "window_length_hours": 4,
            "retention_period_days": retention,
            "possible_days": days,
        })
    };
    Ok(Response::ok(json!({
        "supported_policies": [policy("weekly", &days, 28), policy("daily", &[], 7)],
    })))
}

fn view(droplet: &Droplet) -> Value {
    let mut value = json!({ "droplet_id": droplet.id, "backup_enabled": droplet.backups });
    if let Some(policy) = droplet.backup_policy.filter(|_| droplet.backups) {
        let weekly = policy.plan != Some(Plan::Daily);
        let mut shown = json!({
            "plan": policy.plan.unwrap_or(Plan::Weekly),
            "hour": policy.hour.unwrap_or(0),
            "window_length_hours": 4,
            "retention_period_days": if weekly { 28 } else { 7 },
        });
        if weekly {
            shown["weekday"] = json!(policy.weekday.unwrap_or(Weekday::Sun));
        }
        value["backup_policy"] = shown;
    }
    value
}
