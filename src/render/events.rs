//! The lines of `apply --json` that are about the plan rather than about what happens: which
//! version speaks, what is about to change, what came of it. Types and names are Terraform's where
//! it has them; fields are kplan's.

use crate::error::Problem;
use crate::render::json::{marks, masked, secret, unknown, values};
use crate::render::problem;
use crate::render::remainder::{Remainder, document, sentence};
use crate::review::{Kinds, is_head};
use kplan_model::{Action, Address, KindInfo, Object, Plan, PlanMode, Step, StepId, Value};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// The version of the lines' form.
const FORMAT: &str = "1.0";

/// What a step does to the fields it changes, by step.
pub type Changes = BTreeMap<StepId, Json>;

/// A line with what every line has.
pub fn stamped(mut line: Json, level: &str, message: &str) -> Json {
    if let Some(map) = line.as_object_mut() {
        map.insert("@level".to_owned(), json!(level));
        map.insert(
            "@timestamp".to_owned(),
            json!(format!("{:.3}", jiff::Timestamp::now())),
        );
        map.insert("@module".to_owned(), json!("kplan.ui"));
        map.insert("@message".to_owned(), json!(message));
    }
    line
}

/// The first line.
pub fn version() -> Json {
    let version = env!("CARGO_PKG_VERSION");
    let line = json!({ "type": "version", "kplan": version, "format_version": FORMAT });
    stamped(line, "info", &format!("kplan {version}"))
}

/// What a problem says, as a line.
pub fn diagnostic(problem: &Problem) -> Json {
    let document = problem::document(problem);
    let level = match document["severity"].as_str() {
        Some("error") => "error",
        _ => "warn",
    };
    let line = json!({ "type": "diagnostic", "diagnostic": document });
    stamped(line, level, &problem.message)
}

/// The last line, but for a destroy's [`remainder`]: how many resources were added, changed, destroyed
/// and imported.
pub fn summary(
    (added, changed, destroyed): (usize, usize, usize),
    imported: usize,
    mode: PlanMode,
) -> Json {
    let operation = match mode {
        PlanMode::Destroy => "destroy",
        PlanMode::Apply | PlanMode::RefreshOnly => "apply",
    };
    let line = json!({
        "type": "change_summary",
        "changes": {
            "add": added, "change": changed, "remove": destroyed, "import": imported,
            "operation": operation,
        },
    });
    let message = format!("Resources: {added} added, {changed} changed, {destroyed} destroyed.");
    stamped(line, "info", &message)
}

/// Of a destroy: what is left in the account.
pub fn remainder(cluster: &str, found: &Remainder) -> Json {
    let level = if found.is_proven() { "info" } else { "error" };
    stamped(document(cluster, found), level, &sentence(cluster, found))
}

/// A line for each resource that a plan changes.
pub fn planned(plan: &Plan, kinds: &Kinds) -> Vec<Json> {
    let listed = plan.steps.iter().filter(|step| {
        !matches!(step.action, Action::Record | Action::Operate) && is_head(plan, step)
    });
    listed
        .map(|step| {
            let other = step.pair.and_then(|pair| plan.step(pair));
            let create = [Some(step), other]
                .into_iter()
                .flatten()
                .find(|half| half.action == Action::Create)
                .unwrap_or(step);
            let (action, change) = match other {
                Some(_) => ("replace", sides(create, kinds, create.changes.iter())),
                None => (planned_action(step), of(step, kinds)),
            };
            let mut planned = change;
            planned["resource"] = resource(&step.address);
            planned["action"] = json!(action);
            let message = format!("{}: Plan to {action}", step.address);
            let line = json!({ "type": "planned_change", "change": planned });
            stamped(line, "info", &message)
        })
        .collect()
}

/// What each step of a plan does to the fields it changes.
pub fn changes(plan: &Plan, kinds: &Kinds) -> Changes {
    let steps = plan.steps.iter();
    steps.map(|step| (step.id, of(step, kinds))).collect()
}

/// How a resource is called in a line.
pub fn resource(address: &Address) -> Json {
    json!({
        "addr": address.to_string(),
        "resource_type": address.kind().as_str(),
        "resource_name": address.name(),
        "resource_key": address.index(),
    })
}

fn planned_action(step: &Step) -> &'static str {
    match step.action {
        Action::Create => "create",
        Action::Update if step.only_waits() => "wait",
        Action::Update => "update",
        Action::Delete => "delete",
        Action::Forget => "forget",
        Action::Record | Action::Operate => "noop",
    }
}

/// The fields a step changes: all that are set where something comes or goes, those that differ
/// where it stays.
fn of(step: &Step, kinds: &Kinds) -> Json {
    let info = kinds.get(step.address.kind()).copied();
    let set = |fields: &Object| -> Object {
        let set = fields.iter().filter(|(_, value)| !value.is_null());
        set.map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    };
    match step.action {
        Action::Create => written(info, None, step.args.as_ref().map(set)),
        Action::Delete => {
            let before = step.before.as_ref().map(|record| set(&record.args));
            written(info, before, None)
        }
        Action::Update => sides(step, kinds, step.changes.iter()),
        Action::Forget | Action::Record | Action::Operate => {
            written(info, Some(Object::new()), Some(Object::new()))
        }
    }
}

fn sides<'a>(
    step: &Step,
    kinds: &Kinds,
    changes: impl Iterator<Item = &'a kplan_model::FieldChange> + Clone,
) -> Json {
    let info = kinds.get(step.address.kind()).copied();
    let side = |value: fn(&kplan_model::FieldChange) -> &Value| -> Object {
        let all = changes.clone();
        all.map(|change| (change.field.as_str(), value(change).clone()))
            .collect()
    };
    let (before, after) = (side(|it| &it.before), side(|it| &it.after));
    written(info, Some(before), Some(after))
}

fn written(info: Option<&KindInfo>, before: Option<Object>, after: Option<Object>) -> Json {
    let seen = |side: Option<Object>| side.map(|fields| masked(info, &fields));
    let (before, after) = (seen(before), seen(after));
    let marked = |side: Option<&Object>, test| side.map_or_else(|| json!({}), |it| marks(it, test));
    json!({
        "before": before.as_ref().map(values),
        "after": after.as_ref().map(values),
        "after_unknown": marked(after.as_ref(), unknown),
        "before_sensitive": marked(before.as_ref(), secret),
        "after_sensitive": marked(after.as_ref(), secret),
    })
}
