//! Backups of droplets: when they are made, what is kept of them, how they are shown.

use jiff::{SignedDuration, Timestamp};
use serde::de::IntoDeserializer as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

use super::{Droplet, Status, find, key};
use crate::digitalocean::{moment, snapshots};
use crate::http::{ApiError, Reply, Request, Response, list};
use crate::world::table::Row as _;
use crate::world::{Due, World};

const DAY: i64 = 24 * 60 * 60;
/// How long a window is open, in hours: what the API says of every policy.
const WINDOW_HOURS: i64 = 4;

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

/// In the order of the days since the epoch's first Sunday.
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

    fn weekly(self) -> bool {
        self.plan == Some(Plan::Weekly)
    }

    /// Days a backup is kept.
    fn retention(self) -> i64 {
        if self.weekly() { 28 } else { 7 }
    }

    /// When the first window after a moment opens. Windows are of the clock on the wall, so the
    /// time scale does not move them.
    pub(super) fn next_window(self, after: Timestamp) -> Timestamp {
        let hour = i64::from(self.hour.unwrap_or(0));
        let today = after.as_second().div_euclid(DAY);
        let opens = (0..=7)
            .map(|later| today + later)
            .filter(|day| {
                // The epoch was a Thursday.
                let of_week = (day + 4).rem_euclid(7);
                !self.weekly() || of_week == self.weekday.unwrap_or(Weekday::Sun) as i64
            })
            .map(|day| day * DAY + hour * 60 * 60)
            .find(|second| *second > after.as_second());
        opens
            .and_then(|second| Timestamp::from_second(second).ok())
            .unwrap_or(Timestamp::MAX)
    }
}

/// Turns backups on or off, or changes when they are made.
pub(super) fn set(world: &mut World, id: u64, on: bool, policy: Option<BackupPolicy>) {
    let next = policy.unwrap_or_default().next_window(world.now());
    let Some(droplet) = world.droplets.get_mut(&key(id)) else {
        return;
    };
    droplet.backups = on;
    droplet.backup_policy = policy.filter(|_| on);
    droplet.next_backup = on.then_some(next);
    if on {
        world.schedule_at(next, Due::Backup(key(id)));
    }
}

/// Plans the next backup of droplets that have none planned: their folder is from before
/// backups were made.
pub(crate) fn plan_missing(world: &mut World) {
    let missing = |droplet: &Droplet| droplet.backups && droplet.next_backup.is_none();
    for key in world.droplets.keys_where(missing) {
        if let Some((id, policy)) = world.droplets.get(&key).map(|d| (d.id, d.backup_policy)) {
            set(world, id, true, policy);
        }
    }
}

/// A window has opened: makes the backup, lets go of what is too old, plans the next one.
pub(crate) fn settle(world: &mut World, key: &str, at: Timestamp) {
    let Some(droplet) = world.droplets.get(key) else {
        return;
    };
    // An entry of a policy that has been changed since.
    if droplet.next_backup != Some(at) {
        return;
    }
    let (id, new) = (droplet.id, droplet.status == Status::New);
    let policy = droplet.backup_policy.unwrap_or_default();
    let kept = SignedDuration::from_hours(24 * policy.retention());
    let oldest = world.now().saturating_sub(kept).unwrap_or(Timestamp::MIN);
    if !new && at > oldest {
        snapshots::back_up(world, id, at);
    }
    snapshots::expire_backups(world, id, oldest);
    // A sandbox that was not running missed windows; those of what is still kept are made up for.
    let next = policy.next_window(at.max(oldest));
    if let Some(droplet) = world.droplets.get_mut(key) {
        droplet.next_backup = Some(next);
    }
    world.schedule_at(next, Due::Backup(key.to_owned()));
}

pub(crate) fn backups(world: &mut World, request: &Request) -> Reply {
    let id = request.id(0)?;
    find(world, id)?;
    let rows = world
        .snapshots
        .filtered(|snapshot| snapshot.is_backup_of(id));
    let shown = snapshots::droplet_view;
    Ok(list(
        request,
        "backups",
        rows,
        snapshots::Snapshot::created_at,
        shown,
    ))
}

pub(crate) fn backup_policy(world: &mut World, request: &Request) -> Reply {
    let droplet = find(world, request.id(0)?)?;
    Ok(Response::ok(json!({ "policy": view(droplet) })))
}

/// Policies of all droplets by their id; an object, so it is put together from one page of them.
pub(crate) fn backup_policies(world: &mut World, request: &Request) -> Reply {
    let rows = world.droplets.sorted();
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
        let mut shown = json!({
            "plan": policy.plan.unwrap_or_default(),
            "hour": policy.hour.unwrap_or(0),
            "window_length_hours": WINDOW_HOURS,
            "retention_period_days": policy.retention(),
        });
        if policy.weekly() {
            shown["weekday"] = json!(policy.weekday.unwrap_or(Weekday::Sun));
        }
        value["backup_policy"] = shown;
        value["next_backup_window"] = window(droplet);
    }
    value
}

/// The next window of a droplet; null while there is none.
pub(super) fn window(droplet: &Droplet) -> Value {
    let Some(start) = droplet
        .next_backup
        .filter(|_| droplet.status != Status::New)
    else {
        return Value::Null;
    };
    let end = start.saturating_add(SignedDuration::from_hours(WINDOW_HOURS));
    json!({ "start": moment(start), "end": moment(end.unwrap_or(Timestamp::MAX)) })
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

    #[test]
    fn windows_open_at_their_hour_on_their_day() {
        let policy = |text| serde_json::from_str::<BackupPolicy>(text).unwrap();
        let daily = policy(r#"{ "plan": "daily", "hour": 20 }"#);
        let weekly = policy(r#"{ "plan": "weekly", "weekday": "SUN", "hour": 20 }"#);
        // The first two rows are the document's own example of policies.
        for (policy, after, opens) in [
            (daily, "2024-09-13T12:00:00Z", "2024-09-13T20:00:00Z"),
            (weekly, "2024-09-13T12:00:00Z", "2024-09-15T20:00:00Z"),
            (daily, "2024-09-13T20:00:00Z", "2024-09-14T20:00:00Z"),
            (weekly, "2024-09-15T20:00:00Z", "2024-09-22T20:00:00Z"),
            (weekly, "2024-09-15T19:59:59Z", "2024-09-15T20:00:00Z"),
        ] {
            let next = policy.next_window(after.parse().unwrap());
            assert_eq!(next.to_string(), opens, "{policy:?} after {after}");
        }
    }
}
