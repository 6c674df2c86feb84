//! Who needs whom, by position: as the file says now, and as it was when each was last applied.

use super::make::Inputs;
use crate::diff::{Change, NodeDiff};
use kplan_model::{Address, Recorded};
use std::collections::BTreeSet;

/// Relations between the nodes of a diff. Positions are places in [`crate::diff::Diff::nodes`],
/// which stand in address order.
pub(super) struct Relations {
    /// What a node needs, by the file (for nodes not in it, by the record).
    pub(super) needs: Vec<Vec<usize>>,
    /// Who needs it.
    pub(super) needed_by: Vec<Vec<usize>>,
    /// What the living resource depends on.
    pub(super) old_needs: Vec<Vec<usize>>,
    /// Whose living resource depends on it.
    pub(super) old_needed_by: Vec<Vec<usize>>,
    /// The container the living resource stands in.
    pub(super) old_inside: Vec<Option<usize>>,
    /// What a declared resource runs on.
    pub(super) runs_on: Vec<BTreeSet<usize>>,
}

impl Relations {
    pub(super) fn of(inputs: &Inputs<'_, '_>) -> Self {
        let nodes = &inputs.diff.nodes;
        let mut relations = Self {
            needs: (0..nodes.len()).map(|at| inputs.graph.needs(at)).collect(),
            needed_by: vec![Vec::new(); nodes.len()],
            old_needs: vec![Vec::new(); nodes.len()],
            old_needed_by: vec![Vec::new(); nodes.len()],
            old_inside: vec![None; nodes.len()],
            runs_on: vec![BTreeSet::new(); nodes.len()],
        };
        for (at, node) in nodes.iter().enumerate() {
            for need in relations.needs[at].clone() {
                relations.needed_by[need].push(at);
            }
            if let Some(record) = node.record.as_deref() {
                for need in inputs.graph.recorded_needs(at) {
                    relations.old_needs[at].push(need);
                    relations.old_needed_by[need].push(at);
                }
                let inside = record.meta.inside.as_ref();
                relations.old_inside[at] = inside
                    .and_then(|to| inputs.graph.position(to))
                    .filter(|outer| relations.old_needs[at].contains(outer));
            }
            relations.runs_on[at] = runs_on(inputs, node);
        }
        relations
    }
}

fn runs_on(inputs: &Inputs<'_, '_>, node: &NodeDiff<'_>) -> BTreeSet<usize> {
    let (Some(place), Some(info)) = (node.declared, inputs.kinds.get(node.address.kind())) else {
        return BTreeSet::new();
    };
    let declaration = &inputs.declarations.resources[place];
    let carriers = crate::diff::runs_on(info, declaration).into_iter();
    carriers
        .filter_map(|address| inputs.graph.position(&address))
        .collect()
}

/// Positions of what a record depended on, container included; ascending, each once.
pub(super) fn old_needs(
    record: &Recorded,
    position: impl Fn(&Address) -> Option<usize>,
) -> BTreeSet<usize> {
    let all = record.depends_on.iter().chain(&record.meta.inside);
    all.filter_map(position).collect()
}

/// Whether the living resource goes.
pub(super) fn goes(node: &NodeDiff<'_>) -> bool {
    matches!(node.change, Change::Delete { .. } | Change::Replace { .. })
}

/// Whether something is done at all.
pub(super) fn changes(node: &NodeDiff<'_>) -> bool {
    !matches!(
        node.change,
        Change::None | Change::Kept | Change::Blocked { .. }
    )
}
