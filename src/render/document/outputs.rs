//! The results before and after a plan.

use super::values::Values;
use crate::render::json::plain;
use kplan_engine::Planned;
use kplan_model::value::{fill_object, lookup};
use kplan_model::{Object, PlanMode, Ref, Value};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeSet;

/// The results.
#[derive(Debug)]
pub(super) struct Outputs {
    prior: Object,
    planned: Object,
}

impl Outputs {
    pub(super) fn of(planned: &Planned, values: &Values) -> Self {
        let fill = |reference: &Ref| {
            let standing = values.will_be(&reference.address)?;
            let value = lookup(&standing.fields, &reference.attribute);
            value.filter(|value| value.is_known()).cloned()
        };
        let kept = match planned.plan.mode {
            PlanMode::Destroy => Object::new(),
            PlanMode::Apply => fill_object(&planned.plan.outputs, &fill),
            PlanMode::RefreshOnly => planned.snapshot.outputs.clone(),
        };
        Self {
            prior: planned.snapshot.outputs.clone(),
            planned: kept,
        }
    }

    /// As they are.
    pub(super) fn prior(&self) -> Map<String, Json> {
        listed(&self.prior)
    }

    /// As they will be.
    pub(super) fn planned(&self) -> Map<String, Json> {
        listed(&self.planned)
    }

    /// What becomes of each.
    pub(super) fn changes(&self) -> Map<String, Json> {
        let names: BTreeSet<_> = self.prior.keys().chain(self.planned.keys()).collect();
        let one = |name: &kplan_model::Text| {
            let (before, after) = (self.prior.get(name), self.planned.get(name));
            (name.to_string(), change(before, after))
        };
        names.into_iter().map(one).collect()
    }
}

fn listed(outputs: &Object) -> Map<String, Json> {
    let one = |(name, value): (&kplan_model::Text, &Value)| {
        let mut output = json!({ "sensitive": value.has_secret() });
        if value.is_known() {
            output["value"] = plain(value);
        }
        (name.to_string(), output)
    };
    outputs.iter().map(one).collect()
}

fn change(before: Option<&Value>, after: Option<&Value>) -> Json {
    let action = match (before, after) {
        (None, _) => "create",
        (_, None) => "delete",
        (Some(before), Some(after)) if before == after => "no-op",
        _ => "update",
    };
    let secret = |value: Option<&Value>| value.is_some_and(Value::has_secret);
    let known = |value: Option<&Value>| value.filter(|it| it.is_known()).map_or(Json::Null, plain);
    json!({
        "actions": [action],
        "before": known(before),
        "after": known(after),
        "after_unknown": after.is_some_and(|value| !value.is_known()),
        "before_sensitive": secret(before),
        "after_sensitive": secret(after),
    })
}
