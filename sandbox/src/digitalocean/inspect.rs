//! A summary of what the account holds, without what came with it and without secrets.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::domains::Domain;
use super::moment;
use crate::world::World;
use crate::world::table::{Row, Table};

/// Resources by the plural name the API uses; kinds without any are left out.
pub(crate) fn resources(world: &World) -> BTreeMap<String, Vec<Value>> {
    let mut all = named(world);
    let own = |builtin: bool, id: &str, name: &str| (!builtin).then(|| summary(id, name));
    let projects = rows(&world.projects, |_, p| own(p.builtin, &p.id, &p.name));
    let vpcs = rows(&world.vpcs, |_, v| own(v.builtin, &v.id, &v.name));
    let reserved_ips = rows(&world.reserved_ips, |ip, _| Some(summary(ip, ip)));
    all.extend([
        ("projects", projects),
        ("vpcs", vpcs),
        ("reserved_ips", reserved_ips),
    ]);
    all.into_iter()
        .filter(|(_, rows)| !rows.is_empty())
        .map(|(kind, rows)| (kind.to_owned(), rows))
        .collect()
}

/// The kinds whose every row was made by somebody.
fn named(w: &World) -> Vec<(&'static str, Vec<Value>)> {
    let number = |id: u64, name: &str| Some(summary(&id.to_string(), name));
    let text = |id: &str, name: &str| Some(summary(id, name));
    vec![
        (
            "certificates",
            rows(&w.certificates, |_, c| text(&c.id, &c.name)),
        ),
        ("databases", rows(&w.databases, |_, d| text(&d.id, &d.name))),
        ("domain_records", records(w)),
        ("domains", rows(&w.domains, |_, d| text(&d.name, &d.name))),
        ("droplets", rows(&w.droplets, |_, d| number(d.id, &d.name))),
        ("firewalls", rows(&w.firewalls, |_, f| text(&f.id, &f.name))),
        (
            "load_balancers",
            rows(&w.load_balancers, |_, l| text(&l.id, &l.name)),
        ),
        (
            "backups",
            rows(&w.snapshots, |_, s| {
                text(&s.id, &s.name).filter(|_| s.is_backup())
            }),
        ),
        (
            "snapshots",
            rows(&w.snapshots, |_, s| {
                text(&s.id, &s.name).filter(|_| !s.is_backup())
            }),
        ),
        (
            "spaces_keys",
            rows(&w.spaces_keys, |id, k| text(id, &k.name)),
        ),
        ("ssh_keys", rows(&w.ssh_keys, |_, k| number(k.id, &k.name))),
        ("tags", rows(&w.tags, |_, t| text(&t.name, &t.name))),
        ("volumes", rows(&w.volumes, |_, v| text(&v.id, &v.name))),
    ]
}

fn summary(id: &str, name: &str) -> Value {
    json!({ "id": id, "name": name })
}

/// The records of all domains but those that came with them. Nobody knows when one was made.
fn records(w: &World) -> Vec<Value> {
    let of = |(key, domain): (&str, &Domain)| {
        let made = domain.made();
        let row = |(id, name): (u64, String)| summary(&format!("{key}/{id}"), &name);
        made.map(row).collect::<Vec<_>>()
    };
    w.domains.iter().flat_map(of).collect()
}

/// The summary of every row that counts, with when it was made.
fn rows<T: Row>(table: &Table<T>, summary: impl Fn(&str, &T) -> Option<Value>) -> Vec<Value> {
    let dated = |(key, row): (&str, &T)| {
        let mut shown = summary(key, row)?;
        shown["created_at"] = json!(moment(row.created_at()));
        Some(shown)
    };
    table.iter().filter_map(dated).collect()
}
