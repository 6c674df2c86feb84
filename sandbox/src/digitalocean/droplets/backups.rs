//! Backup policies of droplets.

use jiff::Timestamp;
use serde::de::IntoDeserializer as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

use super::{Droplet, find, key};
use crate::http::{ApiError, Reply, Request, Response, list};
use crate::world::World;
use crate::world::table::Row as _;

/// When backups are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BackupPolicy {
    plan: Option<Plan>,
    #[serde(default, deserialize_with = "weekday")]
    weekday: Option<Weekday>,
    hour: Option<u8>,
}

/// Daily when nobody chose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Plan {
    #[default]
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

/// A daily policy has no day; clients then leave it out or send an empty one.
fn weekday<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Weekday>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    if text.is_empty() {
        return Ok(None);
    }
    Weekday::deserialize(text.into_deserializer()).map(Some)
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

/// There are none: a policy is kept, but the sandbox has no disks it could copy at its hours.
pub(crate) fn backups(world: &mut World, request: &Request) -> Reply {
    find(world, request.id(0)?)?;
    let none: [Value; 0] = [];
    let never = |_: &Value| Timestamp::UNIX_EPOCH;
    Ok(list(request, "backups", &none, never, Value::clone))
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
    if droplet.backups {
        let policy = droplet.backup_policy.unwrap_or_default();
        let plan = policy.plan.unwrap_or_default();
        let weekly = plan == Plan::Weekly;
        let mut shown = json!({
            "plan": plan,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_weekday_is_none() {
        let policy = |text| serde_json::from_str::<BackupPolicy>(text);
        let daily = policy(r#"{ "plan": "daily", "weekday": "", "hour": 8 }"#).unwrap();
        assert_eq!((daily.plan, daily.weekday), (Some(Plan::Daily), None));
        let weekly = policy(r#"{ "plan": "weekly", "weekday": "TUE" }"#).unwrap();
        assert_eq!(weekly.weekday, Some(Weekday::Tue));
        assert!(policy(r#"{ "weekday": "someday" }"#).is_err());
    }
}
