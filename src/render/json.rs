//! A plan as JSON, with Terraform's field names, so that tools which read Terraform's plans read
//! kplan's. Secrets are replaced by `null` and marked in the `*_sensitive` trees.

use crate::review::Counts;
use kplan_model::{Action, Kind, KindInfo, Object, Plan, Reason, Recorded, Step, Value};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// What it cost to make the plan.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Statistics {
    /// DigitalOcean and S3 requests.
    pub api_calls: u64,
    /// Kubernetes requests.
    pub kubernetes_calls: u64,
    /// Seconds from start to plan.
    pub wall_seconds: f64,
    /// Seconds of the longest chain of changes, by typical durations.
    pub critical_path_seconds: f64,
    /// Resources declared or on record.
    pub resources: usize,
}

impl Statistics {
    /// The JSON object of that name.
    pub fn document(&self) -> Json {
        json!({
            "api_calls": self.api_calls,
            "kubernetes_calls": self.kubernetes_calls,
            "wall_seconds": (self.wall_seconds * 1000.0).round() / 1000.0,
            "critical_path_seconds": (self.critical_path_seconds * 1000.0).round() / 1000.0,
            "resources": self.resources,
        })
    }
}

/// The plan document.
pub fn plan(
    plan: &Plan,
    kinds: &BTreeMap<Kind, &'static KindInfo>,
    statistics: &Statistics,
    notes: &[String],
    complete: bool,
) -> Json {
    let changes: Vec<Json> = plan
        .steps
        .iter()
        .filter(|step| is_listed(plan, step))
        .map(|step| resource_change(plan, step, kinds))
        .collect();
    let drift: Vec<Json> = plan
        .drift
        .iter()
        .map(|drift| {
            let fields: Vec<&String> = drift.fields.iter().map(|(name, _, _)| name).collect();
            json!({
                "address": drift.address.to_string(),
                "type": type_name(drift.address.kind(), kinds),
                "vanished": drift.vanished,
                "fields": fields,
            })
        })
        .collect();
    let counts = Counts::of(plan);
    json!({
        "format_version": "1.2",
        "kplan_version": env!("CARGO_PKG_VERSION"),
        "mode": plan.mode,
        "resource_changes": changes,
        "resource_drift": drift,
        "operations": operations(plan),
        "changes": { "add": counts.add, "change": counts.change, "destroy": counts.destroy },
        "applyable": !plan.steps.is_empty(),
        "complete": complete,
        "notes": notes,
        "statistics": statistics.document(),
    })
}

fn is_listed(plan: &Plan, step: &Step) -> bool {
    !matches!(step.action, Action::Record | Action::Operate)
        && step
            .pair
            .and_then(|pair| plan.step(pair))
            .is_none_or(|other| step.id < other.id)
}

/// What is done to resources besides changing them; Terraform has no name for it.
fn operations(plan: &Plan) -> Vec<Json> {
    let operated = plan
        .steps
        .iter()
        .filter_map(|step| Some((step, step.operation?)));
    operated
        .map(|(step, operated)| {
            json!({
                "address": step.address.to_string(),
                "operation": operated.name(),
                "does": operated.doc(),
                "before": match &step.reason {
                    _ if operated.undone => Json::Null,
                    kplan_model::Reason::PoweredOff(_) => json!("power_off"),
                    _ => json!("delete"),
                },
            })
        })
        .collect()
}

fn type_name(kind: &Kind, kinds: &BTreeMap<Kind, &'static KindInfo>) -> String {
    kinds
        .get(kind)
        .map_or_else(|| kind.to_string(), |info| info.terraform.to_owned())
}

fn resource_change(plan: &Plan, step: &Step, kinds: &BTreeMap<Kind, &'static KindInfo>) -> Json {
    let other = step.pair.and_then(|pair| plan.step(pair));
    let create = if step.action == Action::Create {
        Some(step)
    } else {
        other
    };
    let delete = if step.action == Action::Delete {
        Some(step)
    } else {
        other
    };
    let actions = match (step.action, other) {
        (Action::Delete, Some(_)) => json!(["delete", "create"]),
        (_, Some(_)) => json!(["create", "delete"]),
        (Action::Create, None) => json!(["create"]),
        (Action::Update, None) if step.only_waits() => json!(["read"]),
        (Action::Update, None) => json!(["update"]),
        (Action::Delete, None) => json!(["delete"]),
        (Action::Forget, None) => json!(["forget"]),
        (Action::Record | Action::Operate, None) => json!(["no-op"]),
    };
    let old = delete.or(Some(step)).and_then(|step| step.before.as_ref());
    let new = create.or(Some(step)).and_then(|step| step.args.as_ref());
    let after = new.filter(|_| step.action != Action::Delete || other.is_some());
    let replaces: Vec<Json> = create
        .into_iter()
        .flat_map(|step| &step.changes)
        .filter(|change| change.forces_replacement)
        .map(|change| json!([change.field]))
        .collect();
    json!({
        "address": step.address.to_string(),
        "mode": "managed",
        "type": type_name(step.address.kind(), kinds),
        "name": step.address.name(),
        "index": step.address.index(),
        "provider_name": "kplan",
        "change": {
            "actions": actions,
            "before": old.map(|record| values(&record.args)),
            "after": after.map(values),
            "after_unknown": after.map_or_else(|| json!({}), |args| marks(args, unknown)),
            "before_sensitive": old.map_or_else(|| json!({}), |record| marks(&record.args, secret)),
            "after_sensitive": after.map_or_else(|| json!({}), |args| marks(args, secret)),
            "replace_paths": replaces,
        },
        "action_reason": action_reason(create.unwrap_or(step)),
        "loses": delete.and_then(|step| step.loses.clone()),
    })
}

fn action_reason(step: &Step) -> Option<&'static str> {
    match &step.reason {
        Reason::CannotUpdate(_) | Reason::ContainerReplaced(_) | Reason::TooLate(..) => {
            Some("replace_because_cannot_update")
        }
        Reason::Tainted | Reason::Failed(_) | Reason::Spent(_) | Reason::Deposed => {
            Some("replace_because_tainted")
        }
        Reason::Requested => Some("replace_by_request"),
        Reason::NotInConfiguration => Some("delete_because_no_resource_config"),
        Reason::CountIndex => Some("delete_because_count_index"),
        Reason::Declared
        | Reason::Changed
        | Reason::Unfinished
        | Reason::ParentDisrupted(_)
        | Reason::PoweredOff(_)
        | Reason::Vanished
        | Reason::Kept
        | Reason::DestroyRequested => None,
    }
}

fn values(object: &Object) -> Json {
    Json::Object(
        object
            .iter()
            .map(|(name, value)| (name.to_string(), plain(value)))
            .collect(),
    )
}

/// A value without its secrets and unknowns.
pub fn plain(value: &Value) -> Json {
    match value {
        Value::Null | Value::Secret(_) | Value::Ref(_) | Value::Unknown => Json::Null,
        Value::Bool(flag) => json!(flag),
        Value::Int(number) => json!(number),
        Value::Str(text) => json!(text),
        Value::List(items) => Json::Array(items.iter().map(plain).collect()),
        Value::Map(map) => values(map),
    }
}

fn unknown(value: &Value) -> bool {
    matches!(value, Value::Ref(_) | Value::Unknown)
}

fn secret(value: &Value) -> bool {
    matches!(value, Value::Secret(_))
}

/// Terraform's mark trees: `true` where the test holds, nested objects and lists where it holds
/// further in, nothing elsewhere.
fn marks(object: &Object, test: fn(&Value) -> bool) -> Json {
    let mut map = Map::new();
    for (name, value) in object {
        if let Some(mark) = mark(value, test) {
            map.insert(name.to_string(), mark);
        }
    }
    Json::Object(map)
}

fn mark(value: &Value, test: fn(&Value) -> bool) -> Option<Json> {
    if test(value) {
        return Some(Json::Bool(true));
    }
    match value {
        Value::List(items) => {
            let marks: Vec<Option<Json>> = items.iter().map(|item| mark(item, test)).collect();
            marks.iter().any(Option::is_some).then(|| {
                Json::Array(
                    marks
                        .into_iter()
                        .map(|m| m.unwrap_or(Json::Bool(false)))
                        .collect(),
                )
            })
        }
        Value::Map(map) => match marks(map, test) {
            Json::Object(inner) if !inner.is_empty() => Some(Json::Object(inner)),
            _ => None,
        },
        _ => None,
    }
}

/// One record as JSON, secrets left out and marked.
pub fn record(record: &Recorded, kinds: &BTreeMap<Kind, &'static KindInfo>) -> Json {
    let mut merged = record.args.clone();
    merged.extend(record.attrs.clone());
    json!({
        "address": record.address.to_string(),
        "mode": "managed",
        "type": type_name(record.address.kind(), kinds),
        "name": record.address.name(),
        "index": record.address.index(),
        "id": record.id.as_str(),
        "values": values(&merged),
        "sensitive_values": marks(&merged, secret),
        "depends_on": record.depends_on.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "status": record.status,
        "tainted": record.status == kplan_model::Status::Tainted,
        "protected": record.meta.protect,
    })
}
