//! `resource_changes`: what becomes of each resource.

use super::values::{attributes, created, recorded, updated};
use crate::render::json::{marks, secret, unknown, values};
use crate::render::terraform;
use crate::review::{Kinds, is_head};
use kplan_engine::Planned;
use kplan_model::{Action, Address, Object, Plan, Reason, Step};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

pub(super) fn all(planned: &Planned, kinds: &Kinds) -> Vec<Json> {
    let plan = &planned.plan;
    let listed = plan.steps.iter().filter(|step| {
        !matches!(step.action, Action::Record | Action::Operate) && is_head(plan, step)
    });
    let listed: Vec<&Step> = listed.collect();
    // What only comes on record, or only gets another address, changes nothing.
    let changed: BTreeSet<&Address> = listed.iter().map(|step| &step.address).collect();
    let imported = plan.imported.iter().map(|(address, _)| address);
    let moved = plan.moved.iter().map(|(_, address)| address);
    let quiet: BTreeSet<&Address> = imported.chain(moved).collect();
    let quiet = quiet.difference(&changed).filter_map(|address| {
        let record = planned.snapshot.resources.get(*address)?;
        let fields = recorded(record);
        let mut change = sides(address, Some(&fields), Some(&fields), kinds);
        change.insert("actions".to_owned(), json!(["no-op"]));
        change.insert("replace_paths".to_owned(), json!([]));
        Some(entry(plan, address, change, kinds))
    });
    let listed = listed.into_iter();
    let mut all: Vec<Json> = listed.map(|step| resource(plan, step, kinds)).collect();
    all.extend(quiet.map(Json::Object));
    all
}

/// A change with whose it is: where that was before, and which id it has where it is imported.
fn entry(
    plan: &Plan,
    address: &Address,
    mut change: serde_json::Map<String, Json>,
    kinds: &Kinds,
) -> serde_json::Map<String, Json> {
    if let Some((_, id)) = plan.imported.iter().find(|(to, _)| to == address) {
        change.insert("importing".to_owned(), json!({ "id": id.as_str() }));
    }
    let mut entry = terraform::named(address, kinds);
    if let Some((from, _)) = plan.moved.iter().find(|(_, to)| to == address) {
        entry.insert("previous_address".to_owned(), json!(from.to_string()));
    }
    entry.insert("change".to_owned(), Json::Object(change));
    entry
}

/// The two sides of a change, marked as Terraform marks them.
pub(super) fn sides(
    address: &Address,
    before: Option<&Object>,
    after: Option<&Object>,
    kinds: &Kinds,
) -> serde_json::Map<String, Json> {
    let seen = |fields: &Object| attributes(address.kind(), fields, kinds);
    let (before, after) = (before.map(seen), after.map(seen));
    let marked = |side: Option<&Object>, test| side.map_or_else(|| json!({}), |it| marks(it, test));
    [
        ("before", before.as_ref().map_or(Json::Null, values)),
        ("after", after.as_ref().map_or(Json::Null, values)),
        ("after_unknown", marked(after.as_ref(), unknown)),
        ("before_sensitive", marked(before.as_ref(), secret)),
        ("after_sensitive", marked(after.as_ref(), secret)),
    ]
    .map(|(name, side)| (name.to_owned(), side))
    .into_iter()
    .collect()
}

fn resource(plan: &Plan, step: &Step, kinds: &Kinds) -> Json {
    let other = step.pair.and_then(|pair| plan.step(pair));
    let half = |action: Action| {
        if step.action == action {
            Some(step)
        } else {
            other
        }
    };
    let (create, delete) = (half(Action::Create), half(Action::Delete));
    let info = kinds.get(step.address.kind()).copied();
    let before = delete.or(Some(step)).and_then(|step| step.before.as_ref());
    let before = before.map(recorded);
    let after = match create {
        Some(create) => Some(created(create, info)),
        None if step.action == Action::Update => Some(updated(step, info)),
        None => None,
    };
    let replaces: Vec<Json> = create
        .into_iter()
        .flat_map(|step| &step.changes)
        .filter(|change| change.forces_replacement)
        .map(|change| terraform::path(step.address.kind(), &change.field))
        .collect();
    let mut change = sides(&step.address, before.as_ref(), after.as_ref(), kinds);
    change.insert("actions".to_owned(), actions(step, other));
    change.insert("replace_paths".to_owned(), replaces.into());
    let mut entry = entry(plan, &step.address, change, kinds);
    if let Some(reason) = action_reason(create.unwrap_or(step)) {
        entry.insert("action_reason".to_owned(), json!(reason));
    }
    if let Some(loses) = delete.and_then(|step| step.loses.as_ref()) {
        entry.insert("loses".to_owned(), json!(loses));
    }
    Json::Object(entry)
}

fn actions(step: &Step, other: Option<&Step>) -> Json {
    match (step.action, other) {
        (Action::Delete, Some(_)) => json!(["delete", "create"]),
        (_, Some(_)) => json!(["create", "delete"]),
        (Action::Create, None) => json!(["create"]),
        (Action::Update, None) if step.only_waits() => json!(["read"]),
        (Action::Update, None) => json!(["update"]),
        (Action::Delete, None) => json!(["delete"]),
        (Action::Forget, None) => json!(["forget"]),
        (Action::Record | Action::Operate, None) => json!(["no-op"]),
    }
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
        | Reason::Released(_)
        | Reason::DestroyRequested => None,
    }
}
