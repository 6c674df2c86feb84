//! The Kubernetes server's own dry run of what a plan would update.

use crate::cmd::session::Session;
use crate::{diff, review};
use kplan_engine::Planned;
use kplan_model::value::fill_object;
use kplan_model::{Action, Address, Preview, Ref, Snapshot, Value};
use serde_json::json;

/// What the server said about one resource's update.
pub struct DryRun {
    /// The resource.
    pub address: Address,
    /// The objects that would change; or why nobody knows.
    pub answer: Result<Vec<Preview>, String>,
}

/// Asks for every update in the plan. A cluster that does not answer is said, and takes nothing
/// from the plan.
pub async fn ask(session: &Session, planned: &Planned) -> Vec<DryRun> {
    let mut answers = Vec::new();
    for step in &planned.plan.steps {
        let (Action::Update, Some(entry), Some(before), Some(args)) = (
            step.action,
            session.adapters.registry.get(step.address.kind()),
            step.before.as_ref(),
            step.args.as_ref(),
        ) else {
            continue;
        };
        let args = fill_object(args, &|reference| recorded(&planned.snapshot, reference));
        let answer = entry.observe.preview(Some(&before.known()), &args).await;
        answers.push(DryRun {
            address: step.address.clone(),
            answer: answer.map_err(|error| error.to_string()),
        });
    }
    answers
}

/// What a reference gives by the record: good enough for a preview, never for an apply.
fn recorded(snapshot: &Snapshot, reference: &Ref) -> Option<Value> {
    let record = snapshot.resources.get(&reference.address)?;
    record.attribute(&reference.attribute)
}

/// As they are shown with the plan.
pub fn review(runs: &[DryRun]) -> Vec<review::DryRun> {
    let mut all = Vec::new();
    for run in runs {
        let address = run.address.to_string();
        match &run.answer {
            Ok(objects) => all.extend(objects.iter().map(|object| review::DryRun {
                address: address.clone(),
                object: Some(object.object.clone()),
                lines: review::columns(diff::text(&object.before, &object.after)),
                error: None,
            })),
            Err(error) => all.push(review::DryRun {
                address,
                object: None,
                lines: Vec::new(),
                error: Some(error.clone()),
            }),
        }
    }
    all
}

/// As JSON: one object per Kubernetes object, and one with `error` where there was no answer.
pub fn document(runs: &[DryRun]) -> serde_json::Value {
    let mut list = Vec::new();
    for run in runs {
        let address = run.address.to_string();
        match &run.answer {
            Ok(objects) => list.extend(objects.iter().map(|object| {
                json!({
                    "address": address,
                    "object": object.object,
                    "before": object.before,
                    "after": object.after,
                })
            })),
            Err(error) => list.push(json!({ "address": address, "error": error })),
        }
    }
    serde_json::Value::Array(list)
}
