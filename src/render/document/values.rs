//! What resources look like: as they are, and as they will be.

use crate::render::json::{marks, masked, secret, values};
use crate::render::terraform;
use crate::review::Kinds;
use kplan_engine::Planned;
use kplan_model::{Action, Address, Kind, KindInfo, Object, Reason, Recorded, Step, Value};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// Every resource before and after a plan, by kplan's names.
#[derive(Debug, Default)]
pub(super) struct Values {
    prior: BTreeMap<Address, Standing>,
    planned: BTreeMap<Address, Standing>,
}

/// One resource.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    /// Its fields and its `id`.
    pub(super) fields: Object,
    depends_on: Vec<Address>,
    tainted: bool,
}

impl Standing {
    fn of(record: &Recorded) -> Self {
        Self {
            fields: recorded(record),
            depends_on: record.depends_on.clone(),
            tainted: record.status == kplan_model::Status::Tainted,
        }
    }
}

impl Values {
    pub(super) fn of(planned: &Planned, kinds: &Kinds) -> Self {
        let plan = &planned.plan;
        let mut prior: BTreeMap<Address, Standing> = planned
            .snapshot
            .resources
            .iter()
            .map(|(address, record)| (address.clone(), Standing::of(record)))
            .collect();
        for record in &plan.refreshed {
            prior.insert(record.address.clone(), Standing::of(record));
        }
        for address in &plan.vanished {
            prior.remove(address);
        }
        let mut after = prior.clone();
        let gone = |step: &&Step| {
            matches!(step.action, Action::Delete | Action::Forget) && step.reason != Reason::Deposed
        };
        for step in plan.steps.iter().filter(gone) {
            after.remove(&step.address);
        }
        for step in &plan.steps {
            let info = kinds.get(step.address.kind()).copied();
            let fields = match step.action {
                Action::Create => Some(created(step, info)),
                Action::Update => Some(updated(step, info)),
                _ => None,
            };
            if let Some(fields) = fields {
                let standing = Standing {
                    fields,
                    depends_on: step.depends_on.clone(),
                    tainted: false,
                };
                after.insert(step.address.clone(), standing);
            }
        }
        Self {
            prior,
            planned: after,
        }
    }

    /// A resource as it will be.
    pub(super) fn will_be(&self, address: &Address) -> Option<&Standing> {
        self.planned.get(address)
    }

    /// The resources as they are.
    pub(super) fn prior(&self, kinds: &Kinds) -> Vec<Json> {
        let one = |(address, standing): (&Address, &Standing)| {
            let mut entry = entry(address, standing, kinds);
            let depends_on = standing.depends_on.iter().map(ToString::to_string);
            entry.insert(
                "depends_on".to_owned(),
                depends_on.collect::<Vec<_>>().into(),
            );
            if standing.tainted {
                entry.insert("tainted".to_owned(), json!(true));
            }
            Json::Object(entry)
        };
        self.prior.iter().map(one).collect()
    }

    /// The resources as they will be.
    pub(super) fn planned(&self, kinds: &Kinds) -> Vec<Json> {
        let planned = self.planned.iter();
        planned
            .map(|(address, standing)| Json::Object(entry(address, standing, kinds)))
            .collect()
    }
}

fn entry(address: &Address, standing: &Standing, kinds: &Kinds) -> Map<String, Json> {
    let seen = attributes(address.kind(), &standing.fields, kinds);
    let mut entry = terraform::named(address, kinds);
    entry.insert("schema_version".to_owned(), json!(0));
    entry.insert("values".to_owned(), values(&seen));
    entry.insert("sensitive_values".to_owned(), marks(&seen, secret));
    entry
}

/// Fields by the names of Terraform's provider, with secrets where the kind's table says so.
pub(super) fn attributes(kind: &Kind, fields: &Object, kinds: &Kinds) -> Object {
    let info = kinds.get(kind).copied();
    terraform::attributes(kind, &masked(info, fields))
}

/// A resource on record: what was seen of it, and what was asked for besides.
pub(super) fn recorded(record: &Recorded) -> Object {
    let seen = record.attrs.iter().filter(|(_, value)| !value.is_null());
    let all = record.args.iter().chain(seen);
    let all = all.map(|(name, value)| (name.clone(), value.clone()));
    let id = Value::str(record.id.as_str());
    all.chain([("id".into(), id)]).collect()
}

/// A resource that is to be made.
pub(super) fn created(step: &Step, info: Option<&KindInfo>) -> Object {
    let args = step.args.clone().unwrap_or_default();
    let mut fields = terraform::created(info, &args);
    fields.insert("id", Value::Unknown);
    fields
}

/// A resource that is to be changed: what it is, and what becomes of it.
pub(super) fn updated(step: &Step, info: Option<&KindInfo>) -> Object {
    let mut fields = step.before.as_ref().map(recorded).unwrap_or_default();
    for change in &step.changes {
        let asked = step.args.as_ref().and_then(|args| args.get(&change.field));
        fields.insert(
            change.field.as_str(),
            asked.unwrap_or(&change.after).clone(),
        );
        let renewed = info.and_then(|info| info.field(&change.field));
        for name in renewed.into_iter().flat_map(|field| field.renews) {
            fields.insert(*name, Value::Unknown);
        }
    }
    fields
}
