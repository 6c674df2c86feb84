//! What changed outside of kplan: in Terraform's form, and in kplan's three columns.

use super::changes::sides;
use super::values::recorded;
use crate::render::json::plain;
use crate::render::terraform;
use crate::review::Kinds;
use kplan_engine::Planned;
use kplan_model::{Address, Declaration, Declarations, Drift, KindInfo, Object, Value};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// `resource_drift`: as on record, and as it is.
pub(super) fn changes(planned: &Planned, kinds: &Kinds) -> Vec<Json> {
    let one = |drift: &Drift| {
        let record = planned.snapshot.resources.get(&drift.address);
        let base = record.map(recorded).unwrap_or_default();
        let with = |side: fn(&(String, Value, Value)) -> &Value| {
            let mut fields: Object = base.clone();
            fields.extend(
                drift
                    .fields
                    .iter()
                    .map(|field| (field.0.as_str(), side(field).clone())),
            );
            fields
        };
        let before = with(|(_, recorded, _)| recorded);
        let after = (!drift.vanished).then(|| with(|(_, _, real)| real));
        let mut change = sides(&drift.address, Some(&before), after.as_ref(), kinds);
        let action = if drift.vanished { "delete" } else { "update" };
        change.insert("actions".to_owned(), json!([action]));
        let mut entry = terraform::named(&drift.address, kinds);
        entry.insert("change".to_owned(), Json::Object(change));
        Json::Object(entry)
    };
    planned.plan.drift.iter().map(one).collect()
}

/// `drift`: by kplan's fields, what is on record, what is real and what the file says.
pub(super) fn columns(planned: &Planned, declarations: &Declarations, kinds: &Kinds) -> Vec<Json> {
    let drift = &planned.plan.drift;
    if drift.is_empty() {
        return Vec::new();
    }
    let asked: BTreeMap<&Address, &Declaration> = declarations
        .resources
        .iter()
        .map(|declaration| (&declaration.address, declaration))
        .collect();
    let one = |drift: &Drift| {
        let info = kinds.get(drift.address.kind()).copied();
        let asked = asked
            .get(&drift.address)
            .map(|it| it.filled(&planned.snapshot));
        let fields = drift.fields.iter().map(|(name, recorded, real)| {
            let file = asked.as_ref().and_then(|args| args.get(name));
            columns_of(info, name, [Some(recorded), Some(real), file])
        });
        json!({
            "address": drift.address.to_string(),
            "vanished": drift.vanished,
            "fields": fields.collect::<Vec<_>>(),
        })
    };
    drift.iter().map(one).collect()
}

fn columns_of(info: Option<&KindInfo>, name: &str, columns: [Option<&Value>; 3]) -> Json {
    let declared = info
        .and_then(|info| info.field(name))
        .is_some_and(|field| field.secret);
    let sensitive = declared || columns.iter().flatten().any(|value| value.has_secret());
    let shown = |value: Option<&Value>| match value {
        Some(value) if !sensitive => plain(value),
        _ => Json::Null,
    };
    let [recorded, real, file] = columns.map(shown);
    json!({
        "field": name,
        "recorded": recorded,
        "real": real,
        "file": file,
        "sensitive": sensitive,
    })
}
