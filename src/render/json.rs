//! Values and records as JSON. Secrets are replaced by `null` and marked in the `*_sensitive` trees.

use crate::render::terraform::type_name;
use crate::review::Kinds;
use kplan_model::{KindInfo, Object, Recorded, Secret, Value};
use serde_json::{Map, Value as Json, json};

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

/// Named values without their secrets; what is not known yet is left out.
pub fn values(object: &Object) -> Json {
    Json::Object(
        object
            .iter()
            .filter(|(_, value)| !unknown(value))
            .map(|(name, value)| (name.to_string(), plain(value)))
            .collect(),
    )
}

/// The same fields, with a secret in the place of every value of a field that is secret by its
/// kind's table and is none by itself.
pub fn masked(info: Option<&KindInfo>, fields: &Object) -> Object {
    let open = |name: &str, value: &Value| {
        let field = info.and_then(|info| info.field(name));
        let secret = field.is_some_and(|field| field.secret);
        secret && value.is_known() && !value.is_null() && !value.has_secret()
    };
    let fields = fields.iter().map(|(name, value)| {
        let value = if open(name, value) {
            Value::Secret(Secret::sealed(""))
        } else {
            value.clone()
        };
        (name.clone(), value)
    });
    fields.collect()
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

/// Whether a value is known only after apply.
pub fn unknown(value: &Value) -> bool {
    matches!(value, Value::Ref(_) | Value::Unknown)
}

/// Whether a value is never shown.
pub fn secret(value: &Value) -> bool {
    matches!(value, Value::Secret(_))
}

/// Terraform's mark trees: `true` where the test holds, nested objects and lists where it holds
/// further in, nothing elsewhere.
pub fn marks(object: &Object, test: fn(&Value) -> bool) -> Json {
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
pub fn record(record: &Recorded, kinds: &Kinds) -> Json {
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
