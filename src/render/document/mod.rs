//! A plan as one JSON document in the form of Terraform's plans, so that what reads those reads it
//! unchanged, with what kplan says besides.
//!
//! Addresses are kplan's (`droplet.servers[0]`), because that is what its commands take; types and
//! attributes are those of Terraform's providers. Every entry has both, and tools take an address
//! as it is.

mod changes;
mod configuration;
mod drift;
mod outputs;
#[cfg(test)]
mod tests;
mod values;

use crate::compose::leavings::is_preparation;
use crate::render::json::Statistics;
use crate::render::terraform;
use crate::review::{Counts, Kinds, preparation};
use kplan_engine::Planned;
use kplan_model::{Action, Declarations, Plan, Reason};
use serde_json::{Value as Json, json};
use values::Values;

/// The version of the plan's form, Terraform's.
const FORMAT: &str = "1.2";

/// What a document is made from.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The plan, and the state it was made from.
    pub planned: &'a Planned,
    /// What the file asks for, with its references.
    pub declarations: &'a Declarations,
    /// The tables of all kinds.
    pub kinds: &'a Kinds,
    /// What it cost.
    pub statistics: &'a Statistics,
    /// What else a reader has to know.
    pub notes: &'a [String],
}

/// The document.
pub fn plan(source: &Source<'_>) -> Json {
    let Source {
        planned,
        declarations,
        kinds,
        statistics,
        notes,
    } = *source;
    let plan = &planned.plan;
    let values = Values::of(planned, kinds);
    let counts = Counts::of(plan);
    let outputs = outputs::Outputs::of(planned, &values);
    json!({
        "format_version": FORMAT,
        "terraform_version": terraform::VERSION,
        "kplan_version": env!("CARGO_PKG_VERSION"),
        "mode": plan.mode,
        "planned_values": {
            "outputs": outputs.planned(),
            "root_module": { "resources": values.planned(kinds) },
        },
        "resource_drift": drift::changes(planned, kinds),
        "resource_changes": changes::all(planned, kinds),
        "output_changes": outputs.changes(),
        "prior_state": {
            "format_version": "1.0",
            "terraform_version": terraform::VERSION,
            "values": {
                "outputs": outputs.prior(),
                "root_module": { "resources": values.prior(kinds) },
            },
        },
        "configuration": configuration::all(declarations, kinds),
        "applyable": !plan.steps.is_empty() || counts.import + counts.moved > 0,
        "complete": !planned.report.is_partial(),
        "errored": false,
        "drift": drift::columns(planned, declarations, kinds),
        "operations": operations(plan),
        "changes": {
            "add": counts.add, "change": counts.change, "destroy": counts.destroy,
            "import": counts.import, "moved": counts.moved,
        },
        "notes": notes,
        "statistics": statistics.document(),
    })
}

/// What changed outside of kplan, in three columns.
pub fn drift(planned: &Planned, declarations: &Declarations, kinds: &Kinds) -> Vec<Json> {
    drift::columns(planned, declarations, kinds)
}

/// What is done to resources besides changing them; Terraform has no name for it.
fn operations(plan: &Plan) -> Vec<Json> {
    let operated = plan
        .steps
        .iter()
        .filter_map(|step| Some((step, step.operation?)));
    let before_all = plan
        .steps
        .iter()
        .filter(|step| step.action == Action::Delete && is_preparation(&step.address));
    let before_all = before_all.map(|step| {
        json!({
            "address": step.address.to_string(),
            "operation": step.address.kind().as_str().trim_start_matches("cluster_"),
            "does": preparation(step),
            "before": "delete",
        })
    });
    let operated = operated.map(|(step, operated)| {
        json!({
            "address": step.address.to_string(),
            "operation": operated.name(),
            "does": operated.doc(),
            "before": match &step.reason {
                _ if operated.undone => Json::Null,
                Reason::PoweredOff(_) => json!("power_off"),
                _ => json!("delete"),
            },
        })
    });
    before_all.chain(operated).collect()
}
