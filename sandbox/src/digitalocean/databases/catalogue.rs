//! What can be chosen for a cluster, and which backups DigitalOcean made of one.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde_json::{Value, json};

use super::create::{most_nodes, versions};
use super::{Database, Engine, find};
use crate::digitalocean::moment;
use crate::http::{ApiError, Reply, Request, Response};
use crate::world::World;
use crate::world::catalogue::{DATABASE_SIZES, REGIONS};

/// A backup is made when a cluster is new, and then every day.
const INTERVAL_HOURS: i64 = 24;
/// Daily backups are kept this many days.
const KEPT: i64 = 7;

/// The engines the sandbox has; the others are left out, because they cannot be had here.
pub(crate) fn options(_: &mut World, _: &Request) -> Reply {
    let regions: Vec<&str> = REGIONS.iter().map(|(slug, _)| *slug).collect();
    let layouts: Vec<Value> = (1..=3).map(layout).collect();
    let engine = |engine: Engine| {
        let mut sold = versions(engine).to_vec();
        let default = sold.first().copied().unwrap_or_default();
        sold.sort_unstable();
        json!({
            "regions": regions,
            "versions": sold,
            "layouts": layouts,
            "default_version": default,
        })
    };
    // Nobody here knows when a version will end, so no end is told.
    let available = |engine: Engine| {
        let shown = |version: &&str| json!({ "version": version, "end_of_life": null, "end_of_availability": null });
        versions(engine).iter().map(shown).collect::<Vec<Value>>()
    };
    Ok(Response::ok(json!({
        "options": { "pg": engine(Engine::Pg), "mysql": engine(Engine::Mysql) },
        "version_availability": {
            "pg": available(Engine::Pg),
            "mysql": available(Engine::Mysql),
        },
    })))
}

/// The sizes that can have a number of nodes.
fn layout(nodes: u32) -> Value {
    let sizes: Vec<&str> = DATABASE_SIZES
        .iter()
        .enumerate()
        .filter(|(rank, _)| most_nodes(*rank) >= nodes)
        .map(|(_, (slug, _))| *slug)
        .collect();
    json!({ "num_nodes": nodes, "sizes": sizes })
}

pub(crate) fn backups(world: &mut World, request: &Request) -> Reply {
    let database = find(world, request)?;
    let Some(first) = database.online_since else {
        return Err(ApiError::precondition("the database cluster is not online"));
    };
    let clock = first.to_zoned(TimeZone::UTC);
    let chosen = |name: &str, own: i8| database.config.get(name).cloned().unwrap_or(json!(own));
    let made: Vec<Value> = moments(first, world.now())
        .into_iter()
        .map(|at| view(database, at))
        .collect();
    Ok(Response::ok(json!({
        "backups": made,
        "scheduled_backup_time": {
            "backup_hour": chosen("backup_hour", clock.hour()),
            "backup_minute": chosen("backup_minute", clock.minute()),
            "backup_interval_hours": INTERVAL_HOURS,
        },
    })))
}

/// The backups that are kept now: one a day since the first.
fn moments(first: Timestamp, now: Timestamp) -> Vec<Timestamp> {
    let days = now.duration_since(first).as_hours() / INTERVAL_HOURS;
    let oldest = days.saturating_sub(KEPT - 1).max(0);
    (oldest..=days)
        .filter_map(|day| {
            first
                .checked_add(SignedDuration::from_hours(day * INTERVAL_HOURS))
                .ok()
        })
        .collect()
}

/// An empty cluster's backup: the sandbox's clusters hold no rows.
fn view(database: &Database, at: Timestamp) -> Value {
    let mut backup = json!({ "created_at": moment(at), "size_gigabytes": 0.03 });
    if database.engine == Engine::Mysql {
        backup["incremental"] = json!(false);
    }
    backup
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_a_day_and_a_week_of_them() {
        let first: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let after = |hours| first + SignedDuration::from_hours(hours);
        assert_eq!(moments(first, first), [first]);
        assert_eq!(moments(first, after(23)).len(), 1);
        assert_eq!(moments(first, after(24)), [first, after(24)]);
        let kept = moments(first, after(24 * 30));
        assert_eq!((kept.len(), kept[0]), (7, after(24 * 24)));
    }
}
