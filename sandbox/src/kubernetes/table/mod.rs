//! Objects as tables, the form `kubectl get` prints.

mod access;
mod cells;
mod custom;
mod network;
mod workloads;

use serde_json::{Value, json};

use super::api::{Include, metadata_only};
use super::apiserver::ApiServer;
use super::object::{self, Object, text};
use super::resources::ResourceType;

/// A column: name, type, priority (0 is always shown, 1 with `-o wide`).
pub(crate) type Column = (&'static str, &'static str, u8);

/// Columns and cells of one built-in kind.
pub(crate) struct Layout {
    pub(crate) columns: &'static [Column],
    /// Cells of an object, given its age.
    pub(crate) cells: fn(&Value, &str) -> Vec<Value>,
}

/// A `Table` of objects.
pub(crate) fn table(
    server: &ApiServer,
    resource: &ResourceType,
    objects: &[Object],
    metadata: Value,
    include: Include,
) -> Value {
    let now = server.clock.now();
    let (columns, rows): (Vec<Value>, Vec<Vec<Value>>) = match resource.custom() {
        Some(version) => custom::layout(version, objects, now),
        None => {
            let layout = cells::layout(&resource.storage_key());
            let columns = layout
                .columns
                .iter()
                .map(|(name, kind, priority)| column(name, kind, "", i64::from(*priority)));
            let rows = objects
                .iter()
                .map(|object| (layout.cells)(object, &age(object, now)));
            (columns.collect(), rows.collect())
        }
    };
    let rows: Vec<Value> = rows
        .into_iter()
        .zip(objects)
        .map(|(cells, object)| match include {
            Include::None => json!({"cells": cells}),
            Include::Metadata => json!({"cells": cells, "object": metadata_only(object)}),
            Include::Object => json!({"cells": cells, "object": Value::clone(object)}),
        })
        .collect();
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": columns,
        "rows": rows,
    })
}

/// A column definition; the name column has the format that lets clients add prefixes.
fn column(name: &str, kind: &str, format: &str, priority: i64) -> Value {
    let format = if name == "Name" { "name" } else { format };
    json!({"name": name, "type": kind, "format": format, "description": "", "priority": priority})
}

/// How long ago the object was created.
fn age(object: &Value, now: jiff::Timestamp) -> String {
    text(object, &["metadata", "creationTimestamp"])
        .map_or_else(|| "<unknown>".to_owned(), |at| since(at, now))
}

/// How long ago a time was, in kubectl's short form.
fn since(at: &str, now: jiff::Timestamp) -> String {
    match at.parse::<jiff::Timestamp>() {
        Ok(at) => duration(now.as_second().saturating_sub(at.as_second()).max(0)),
        Err(_) => "<unknown>".to_owned(),
    }
}

/// Seconds the way the API machinery shortens them: two units while the first is small.
pub(crate) fn duration(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |first: i64, unit: char, second: i64, below: char| {
        if second == 0 {
            format!("{first}{unit}")
        } else {
            format!("{first}{unit}{second}{below}")
        }
    };
    match seconds {
        ..120 => format!("{seconds}s"),
        120..600 => two(minutes, 'm', seconds % 60, 's'),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, 'h', minutes % 60, 'm'),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, 'd', hours % 24, 'h'),
        691_200..63_072_000 => format!("{days}d"),
        _ => two(days / 365, 'y', days % 365, 'd'),
    }
}

/// The name of an object, as a cell.
fn name(object: &Value) -> Value {
    object::name(object).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_shorten_as_kubectl_shortens_them() {
        let cases = [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (600, "10m"),
            (7200, "120m"),
            (10_800, "3h"),
            (11_000, "3h3m"),
            (90_000, "25h"),
            (172_800, "2d"),
            (200_000, "2d7h"),
            (864_000, "10d"),
            (63_072_000, "2y"),
        ];
        for (seconds, shown) in cases {
            assert_eq!(duration(seconds), shown);
        }
    }
}
