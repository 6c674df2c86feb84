//! Makes a plan of a diff: selects, orders, numbers; refuses what guards forbid.

use super::containers::Containers;
use super::draft::Drafts;
use super::relations::{Relations, goes};
use super::report::PlanReport;
use super::{
    PlanOptions, deleting, groups, moved, needs, operations, order, policy, quorum, remake,
    replace, select,
};
use crate::diff::Diff;
use crate::error::Refusal;
use crate::graph::{Graph, Kinds};
use kplan_model::{Base, Declarations, Object, Plan, PlanMode, Snapshot};

/// What a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a, 'd> {
    /// What the file asks for.
    pub declarations: &'a Declarations,
    /// What we believe exists.
    pub snapshot: &'a Snapshot,
    /// The graph the diff was made over.
    pub graph: &'a Graph,
    /// The diff.
    pub diff: &'a Diff<'d>,
    /// The tables.
    pub kinds: &'a Kinds,
    /// What is wanted.
    pub options: &'a PlanOptions,
}

/// Makes the plan. An error lists everything that guards refuse.
///
/// The same inputs give the same plan, byte for byte, and declarations in another order give
/// the same plan, too: steps are numbered by dependency, then by address.
pub fn make(inputs: &Inputs<'_, '_>) -> Result<(Plan, PlanReport), Vec<Refusal>> {
    let mut refused = inputs.diff.refused.clone();
    select::check_options(inputs, &mut refused);
    let relations = Relations::of(inputs);
    let selection = select::select(inputs, &relations, &mut refused);
    let nodes = inputs.diff.nodes.iter().zip(&selection.chosen);
    let going: Vec<bool> = nodes.map(|(node, chosen)| *chosen && goes(node)).collect();
    let containers = Containers::of(&relations, &going);
    let orders = replace::orders(inputs, &relations, &containers, &going);
    let mut drafts = Drafts::of(inputs, &relations, &selection.chosen);
    needs::require(inputs, &relations, &mut drafts);
    let wishes = deleting::require(inputs, &relations, &containers, &orders, &mut drafts);
    remake::require(&mut drafts);
    let rollouts = groups::require(inputs, &relations, &mut drafts);
    deleting::require_softly(wishes, &mut drafts);
    needs::require_of_waits(inputs, &relations, &mut drafts);
    needs::require_of_old_halves(inputs, &relations, &mut drafts);
    remake::require(&mut drafts);
    operations::require(inputs, &selection.chosen, &mut drafts);
    policy::check(inputs, &relations, &drafts, &mut refused);
    quorum::check(&rollouts, &drafts, &mut refused);
    let together = quorum::together(&rollouts, &drafts);
    moved::check(inputs, &selection.chosen, &mut refused);
    let steps = match order::number(drafts) {
        Ok(steps) => steps,
        Err(refusal) => {
            refused.push(*refusal);
            Vec::new()
        }
    };
    if !refused.is_empty() {
        return Err(refused);
    }
    let plan = Plan {
        owner: inputs.snapshot.owner.clone(),
        mode: inputs.options.mode,
        base: Base {
            lineage: inputs.snapshot.lineage.clone(),
            serial: inputs.snapshot.serial,
        },
        steps,
        moved: inputs.declarations.moved.clone(),
        imported: inputs.declarations.imported.clone(),
        refreshed: inputs.diff.refreshed.clone(),
        vanished: inputs.diff.vanished.clone(),
        drift: inputs.diff.drift.clone(),
        outputs: outputs(inputs),
    };
    let report = PlanReport {
        not_done: selection.not_done,
        not_compared: inputs.diff.not_compared.clone(),
        not_read: inputs.diff.not_read.clone(),
        circles: inputs.graph.dropped().to_vec(),
        together,
    };
    Ok((plan, report))
}

fn outputs(inputs: &Inputs<'_, '_>) -> Object {
    match inputs.options.mode {
        PlanMode::Apply => inputs.declarations.outputs.clone(),
        PlanMode::RefreshOnly => inputs.snapshot.outputs.clone(),
        PlanMode::Destroy => Object::new(),
    }
}
